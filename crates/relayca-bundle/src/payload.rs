//! age's payload, opened (<https://c2sp.org/age#payload>).
//!
//! In come a file key, a nonce and the chunks behind the header; out comes the plain text. It refuses to know headers.
//!
//! The `age` crate has the same on another ChaCha20-Poly1305, by way of three copies. All that relayca seals is opened again
//! before it counts: what seals it shares no code with what opens it.

use std::cell::OnceCell;

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::hkdf;
use age_core::secrecy::ExposeSecret;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::seal_error::OpenError;

/// Bytes of the random nonce before the chunks.
pub(crate) const PAYLOAD_NONCE_BYTES: usize = 16;

const LABEL: &[u8] = b"payload";
const TAG_BYTES: usize = 16;
const CHUNK_BYTES: usize = 64 << 10;
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// An identity that remembers the file key it found.
pub(crate) struct Remembering<'a> {
    pub(crate) identity: &'a dyn age::Identity,
    pub(crate) found: &'a OnceCell<Zeroizing<[u8; FILE_KEY_BYTES]>>,
}

impl Remembering<'_> {
    fn noted(
        &self,
        unwrapped: Option<Result<FileKey, age::DecryptError>>,
    ) -> Option<Result<FileKey, age::DecryptError>> {
        if let Some(Ok(key)) = &unwrapped {
            // The first is the one that the payload is opened with: nobody is asked after it.
            let _ = self.found.set(Zeroizing::new(*key.expose_secret()));
        }
        unwrapped
    }
}

impl age::Identity for Remembering<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, age::DecryptError>> {
        self.noted(self.identity.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, age::DecryptError>> {
        self.noted(self.identity.unwrap_stanzas(stanzas))
    }
}

/// Opens all chunks, the last of which says that it is the last.
pub(crate) fn open_payload(
    file_key: &[u8; FILE_KEY_BYTES],
    nonce: &[u8],
    mut sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let key = Zeroizing::new(hkdf(nonce, LABEL, file_key));
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*key).map_err(|_| OpenError::Damaged)?;
    let key = LessSafeKey::new(key);
    // Whole from the start: the plain text is shorter than what it comes from.
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    let mut length = 0;
    for number in 0u64.. {
        if sealed.is_empty() {
            return Err(OpenError::Truncated);
        }
        let (chunk, rest) = sealed.split_at(sealed.len().min(SEALED_CHUNK_BYTES));
        sealed = rest;
        let last = rest.is_empty();
        let Some((text, tag)) = chunk.split_last_chunk::<TAG_BYTES>() else {
            return Err(OpenError::Damaged);
        };
        let room = &mut plain[length..length + text.len()];
        let mut opens = |last| {
            key.open_separate_gather(chunk_nonce(number, last), Aad::empty(), text, tag, room)
        };
        if opens(last).is_err() {
            // A whole chunk that is not marked as the last one: more was there.
            let cut = last && text.len() == CHUNK_BYTES && opens(false).is_ok();
            return Err(if cut {
                OpenError::Truncated
            } else {
                OpenError::Damaged
            });
        }
        length += text.len();
        if last {
            // Only an empty text ends in an empty chunk.
            if text.is_empty() && number > 0 {
                return Err(OpenError::Damaged);
            }
            break;
        }
    }
    plain.truncate(length);
    Ok(plain)
}

/// The number of the chunk in eleven bytes, and one that marks the last.
fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::{GENERATED_WORK_FACTOR, OpenWith, Passphrase, SealTo, open, seal};

    /// What the `age` crate itself says to a file; the kind of its error.
    fn by_age(sealed: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, bool> {
        let unwrap = crate::stretch::Unwrap {
            passphrase,
            max_work_factor: 22,
        };
        let mut reader = age::Decryptor::new_buffered(sealed)
            .map_err(|_| false)?
            .decrypt(std::iter::once(&unwrap as &dyn age::Identity))
            .map_err(|_| false)?;
        let mut plain = Vec::new();
        match reader.read_to_end(&mut plain) {
            Ok(_) => Ok(plain),
            Err(error) => Err(error.kind() == std::io::ErrorKind::UnexpectedEof),
        }
    }

    fn agrees(sealed: &[u8], passphrase: &Passphrase) -> bool {
        let ours = open(sealed, &OpenWith::Passphrase(passphrase));
        match (&ours, by_age(sealed, passphrase)) {
            (Ok(ours), Ok(theirs)) => **ours == theirs,
            (Err(OpenError::Truncated), Err(cut)) => cut,
            (Err(_), Err(cut)) => !cut,
            _ => false,
        }
    }

    #[test]
    fn whatever_length_a_file_has_or_is_cut_to_it_is_judged_as_by_age() {
        let passphrase = Passphrase::generate_words().unwrap();
        let to = SealTo::Passphrase {
            passphrase: &passphrase,
            work_factor: GENERATED_WORK_FACTOR,
        };
        for length in [
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            2 * CHUNK_BYTES,
            3 * CHUNK_BYTES + 5,
        ] {
            let sealed = seal(&vec![7; length], &to).unwrap();
            assert!(agrees(&sealed, &passphrase), "{length}");
            let payload = sealed.len() - length - TAG_BYTES * length.div_ceil(CHUNK_BYTES).max(1);
            for end in [0, 1, TAG_BYTES - 1, TAG_BYTES, TAG_BYTES + 1]
                .into_iter()
                .chain((1..4).flat_map(|chunk| {
                    let end = chunk * SEALED_CHUNK_BYTES;
                    [end - 1, end, end + 1, end + TAG_BYTES]
                }))
                .filter(|end| payload + end < sealed.len())
            {
                let cut = &sealed[..payload + end];
                assert!(agrees(cut, &passphrase), "{length} cut to {end}");
                assert!(open(cut, &OpenWith::Passphrase(&passphrase)).is_err());
            }
            for at in [0, length / 2, sealed.len() - payload - 1] {
                let mut altered = sealed.clone();
                altered[payload + at] ^= 1;
                assert!(agrees(&altered, &passphrase), "{length} altered at {at}");
            }
            let mut longer = sealed.clone();
            for _ in 0..TAG_BYTES + 1 {
                longer.push(0);
                assert!(agrees(&longer, &passphrase), "{length} and more");
            }
            // The last chunk once more, and chunks in another order.
            let mut doubled = sealed.clone();
            doubled.extend_from_slice(&sealed[payload..]);
            assert!(agrees(&doubled, &passphrase), "{length} twice");
        }
    }
}
