//! PEM text, which may hold secrets.
//!
//! Enters: bounded bytes. Leaves: the blocks in order, contents zeroized on drop; or text for one block. Refuses to know:
//! what a label means. Every block that begins must end: a file cut short is an error, never a shorter list.

use crate::der::is_one_sequence;
use pkcs8::LineEnding;
use pkcs8::der::pem as base64_armor;
use zeroize::Zeroizing;

/// More blocks than any chain or bundle of authorities has.
const MAX_BLOCKS: usize = 256;
/// Base64 characters a line, RFC 7468 section 2.
const LINE: usize = 64;

/// One block.
pub(crate) struct Block {
    pub label: String,
    /// Empty where `legacy_encrypted`.
    pub content: Zeroizing<Vec<u8>>,
    /// It has RFC 1421 headers (`Proc-Type: 4,ENCRYPTED`), as old encrypted keys do.
    pub legacy_encrypted: bool,
    /// What those headers and the base64 behind them say, where they are what openssl writes.
    pub sealed: Option<Sealed>,
}

/// The content of an old encrypted key (RFC 1421 section 4.6.1.3, as openssl uses it).
pub(crate) struct Sealed {
    /// `DES-EDE3-CBC` or the like, as it stands there.
    pub cipher: String,
    pub iv: Vec<u8>,
    pub content: Zeroizing<Vec<u8>>,
}

/// Why PEM text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    #[error("line {0}: a block begins inside another")]
    Nested(usize),
    #[error("line {0}: a block ends that did not begin, or under another label")]
    StrayEnd(usize),
    #[error("line {0}: this is not base64")]
    NotBase64(usize),
    #[error("the block begun in line {0} does not end: the file is cut short")]
    Unfinished(usize),
    #[error("more than 256 blocks")]
    TooMany,
}

/// Whether the bytes hold PEM armour at all. DER may have the words in a name, or by chance in a key: whole DER is not armour.
pub(crate) fn looks_like_pem(bytes: &[u8]) -> bool {
    !is_one_sequence(bytes) && bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// All blocks in order. Text outside blocks is explanation (RFC 7468 section 5.2) and passed over.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Block>, PemError> {
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let line = line.trim_ascii();
        if let Some(label) = boundary(line, b"-----BEGIN ") {
            if open.is_some() {
                return Err(PemError::Nested(number));
            }
            if blocks.len() == MAX_BLOCKS {
                return Err(PemError::TooMany);
            }
            open = Some(Open::new(label, number, bytes.len()));
        } else if let Some(label) = boundary(line, b"-----END ") {
            let begun = open
                .take()
                .filter(|o| o.label == label)
                .ok_or(PemError::StrayEnd(number))?;
            blocks.push(begun.close(number)?);
        } else if let Some(begun) = &mut open {
            begun.take_line(line, number)?;
        }
    }
    match open {
        Some(begun) => Err(PemError::Unfinished(begun.number)),
        None => Ok(blocks),
    }
}

/// Text for one block, lines of 64 characters. The base64 is written in constant time.
pub(crate) fn write(label: &str, content: &[u8]) -> Option<Zeroizing<String>> {
    base64_armor::encode_string(label, LineEnding::LF, content)
        .ok()
        .map(Zeroizing::new)
}

struct Open {
    label: String,
    number: usize,
    base64: Zeroizing<Vec<u8>>,
    headers: bool,
    dek_info: Option<(String, Vec<u8>)>,
}

impl Open {
    fn new(label: String, number: usize, bound: usize) -> Self {
        // Reserved in full at once: a vector that grows leaves copies behind that nobody zeroizes.
        Open {
            label,
            number,
            base64: Zeroizing::new(Vec::with_capacity(bound)),
            headers: false,
            dek_info: None,
        }
    }

    fn take_line(&mut self, line: &[u8], number: usize) -> Result<(), PemError> {
        if line.contains(&b':') || (self.headers && self.base64.is_empty() && line.contains(&b','))
        {
            self.headers = true;
            if let Some(value) = line.strip_prefix(b"DEK-Info:") {
                self.dek_info = dek_info(value.trim_ascii());
            }
            return Ok(());
        }
        if !line
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
        {
            return Err(PemError::NotBase64(number));
        }
        self.base64.extend_from_slice(line);
        Ok(())
    }

    fn close(self, number: usize) -> Result<Block, PemError> {
        if !self.headers {
            return Ok(Block {
                content: self.content(number)?,
                label: self.label,
                legacy_encrypted: false,
                sealed: None,
            });
        }
        let sealed = match &self.dek_info {
            Some((cipher, iv)) => Some(Sealed {
                cipher: cipher.clone(),
                iv: iv.clone(),
                content: self.content(number)?,
            }),
            None => None,
        };
        Ok(Block {
            label: self.label,
            content: Zeroizing::new(Vec::new()),
            legacy_encrypted: true,
            sealed,
        })
    }

    fn content(&self, number: usize) -> Result<Zeroizing<Vec<u8>>, PemError> {
        // Files in the wild wrap at 64, 76 or not at all; the strict decoder wants 64.
        let mut text = Zeroizing::new(Vec::with_capacity(self.base64.len() * 2 + 200));
        text.extend_from_slice(b"-----BEGIN X-----\n");
        for line in self.base64.chunks(LINE) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.extend_from_slice(b"-----END X-----\n");
        let mut content = Zeroizing::new(vec![0; self.base64.len()]);
        let length = base64_armor::decode(&text, &mut content)
            .map(|(_, out)| out.len())
            .map_err(|_| PemError::NotBase64(number))?;
        content.truncate(length);
        Ok(content)
    }
}

/// `CIPHER,IV` with the initialisation vector of 8 or 16 octets in hexadecimal.
fn dek_info(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let (cipher, iv) = std::str::from_utf8(value).ok()?.split_once(',')?;
    if cipher.len() > 40
        || !iv.bytes().all(|b| b.is_ascii_hexdigit())
        || !matches!(iv.len(), 16 | 32)
    {
        return None;
    }
    let octets = iv.as_bytes().chunks_exact(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(digits, 16).ok()
    });
    Some((cipher.to_owned(), octets.collect::<Option<_>>()?))
}

/// The label of a boundary line, `None` where it is none.
fn boundary(line: &[u8], start: &[u8]) -> Option<String> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    let plain = label.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    (plain && label.len() <= 64).then(|| String::from_utf8_lossy(label).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_in_order_whatever_the_wrapping() {
        let first = write("CERTIFICATE", &[1; 200]).unwrap();
        let second = first.replace("CERTIFICATE", "PRIVATE KEY");
        let one_line = {
            let body: String = second.lines().filter(|l| !l.starts_with('-')).collect();
            format!("-----BEGIN PRIVATE KEY-----\r\n{body}\r\n-----END PRIVATE KEY-----\r\n")
        };
        let blocks = read(format!("explanation: here\n{}{one_line}", *first).as_bytes()).unwrap();
        let labels: Vec<_> = blocks.iter().map(|b| b.label.as_str()).collect();
        assert_eq!(labels, ["CERTIFICATE", "PRIVATE KEY"]);
        assert!(blocks.iter().all(|b| *b.content == [1; 200]));
    }

    #[test]
    fn text_cut_short_is_an_error_at_every_length() {
        let whole = write("CERTIFICATE", &[7; 100]).unwrap();
        let end = whole.trim_end().len();
        for length in 27..end {
            let cut = &whole.as_bytes()[..length];
            assert!(read(cut).is_err(), "{length} of {end}");
        }
        assert_eq!(read(&whole.as_bytes()[..end]).unwrap().len(), 1);
    }

    #[test]
    fn the_headers_of_old_keys_are_read_and_their_content_kept_apart() {
        let key = |header: &str| {
            let text = format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n{header}\n\nAAECAwQFBgc=\n\
                 -----END RSA PRIVATE KEY-----\n"
            );
            read(text.as_bytes()).unwrap().pop().unwrap()
        };
        let block = key("DEK-Info: DES-EDE3-CBC,0123456789ABCDEF");
        assert!(block.legacy_encrypted && block.content.is_empty());
        let sealed = block.sealed.unwrap();
        assert_eq!(sealed.cipher, "DES-EDE3-CBC");
        assert_eq!(sealed.iv, [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(*sealed.content, [0, 1, 2, 3, 4, 5, 6, 7]);
        for odd in [
            "DEK-Info: DES-EDE3-CBC",
            "DEK-Info: DES-EDE3-CBC,0123",
            "DEK-Info: DES-EDE3-CBC,0123456789ABCDEX",
            "DEK-Info: DES-EDE3-CBC,+1+1+1+1+1+1+1+é",
            "X: y",
        ] {
            let block = key(odd);
            assert!(block.legacy_encrypted && block.sealed.is_none(), "{odd}");
        }
    }

    #[test]
    fn broken_armour_is_named_by_its_line() {
        let check = |text: &str| match read(text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{text} was read"),
        };
        assert!(check("-----BEGIN A-----\nAA==\n-----END B-----\n").starts_with("line 3"));
        assert!(check("-----BEGIN A-----\n-----BEGIN A-----\n").starts_with("line 2"));
        assert!(check("-----END A-----\n").starts_with("line 1"));
        assert!(check("-----BEGIN A-----\nA*==\n-----END A-----\n").starts_with("line 2"));
        assert!(check("-----BEGIN A-----\nAAA\n-----END A-----\n").starts_with("line 3"));
    }
}
