//! What goes to hosts and admins, sealed, and whom it is sealed to.
//!
//! Promised: what is sealed opens to the same bytes, what is unpacked packs again to the same files, and no secret is repeated
//! in an error.

use std::io::Read;

use relayca_bundle::{
    CHECKSUMS_NAME, Entry, Identities, OpenError, OpenWith, Recipient, SealTo, open, pack,
    parse_recipients_file, seal, sealed_with_passphrase, unpack,
};
use zeroize::Zeroizing;

use crate::fixed;

/// [`parse_recipients_file`] and [`Recipient::parse`].
pub fn recipients(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    match parse_recipients_file(text) {
        Ok(found) => {
            let mut again = String::new();
            for recipient in &found {
                crate::assert_printable(recipient.text());
                assert_eq!(&Recipient::parse(recipient.text()).unwrap(), recipient);
                again.push_str(recipient.text());
                again.push('\n');
            }
            assert_eq!(parse_recipients_file(&again).unwrap(), found);
            true
        }
        Err(error) => {
            let said = error.to_string();
            crate::assert_printable(&said);
            assert!(!said.contains("AGE-SECRET-KEY-1"), "{said}");
            false
        }
    }
}

/// [`Identities::parse`]; nobody is asked for a passphrase.
pub fn identities(data: &[u8]) -> bool {
    let found = match Identities::parse(data, "file", fixed::nobody()) {
        Ok(found) => found,
        Err(error) => {
            let said = error.to_string();
            crate::assert_printable(&said);
            assert!(!said.contains("AGE-SECRET-KEY-1"), "{said}");
            return false;
        }
    };
    assert!(!found.is_empty());
    assert!(!format!("{found:?}").contains("AGE-SECRET"));
    let recipients = found.recipients();
    // An SSH key says itself what its public half is, and may be wrong.
    for recipient in recipients
        .iter()
        .filter(|one| one.text().starts_with("age1"))
        .take(4)
    {
        let to = SealTo::Recipients {
            recipients: std::slice::from_ref(recipient),
            prompt: &fixed::nobody(),
        };
        let sealed = seal(b"content", &to).unwrap();
        if found.native_only() {
            let opened = open(&sealed, &OpenWith::Identities(&found)).unwrap();
            assert_eq!(&opened[..], b"content");
        }
    }
    true
}

/// [`open`] with a passphrase and with an identity, and [`seal`] of the bytes.
pub fn sealed(data: &[u8]) -> bool {
    let mut opened = false;
    let (identities, passphrase) = (fixed::identities(), fixed::passphrase());
    let with_passphrase = sealed_with_passphrase(data);
    match open(data, &OpenWith::Identities(&identities)) {
        Ok(plain) => {
            assert!(plain.len() < data.len());
            assert!(matches!(with_passphrase, Ok(false)));
            opened = true;
        }
        Err(OpenError::NeedsPassphrase) => assert!(matches!(with_passphrase, Ok(true))),
        Err(error) => crate::assert_printable(&error.to_string()),
    }
    if !too_much_work(data) {
        match open(data, &OpenWith::Passphrase(&passphrase)) {
            Ok(plain) => {
                assert!(plain.len() < data.len());
                opened = true;
            }
            Err(OpenError::NeedsIdentity) => assert!(matches!(with_passphrase, Ok(false))),
            Err(error) => crate::assert_printable(&error.to_string()),
        }
    }
    let recipients = identities.recipients();
    let ways = [
        (
            SealTo::Recipients {
                recipients: &recipients,
                prompt: &fixed::nobody(),
            },
            OpenWith::Identities(&identities),
        ),
        (
            SealTo::Passphrase {
                passphrase: &passphrase,
                work_factor: 1,
            },
            OpenWith::Passphrase(&passphrase),
        ),
    ];
    for (to, with) in ways {
        let sealed = seal(data, &to).unwrap();
        assert_eq!(&open(&sealed, &with).unwrap()[..], data);
        assert!(open(&sealed[..sealed.len() - 1], &with).is_err());
    }
    opened
}

/// Whether a passphrase would be stretched for longer than a fuzzer waits: relayca allows a work factor of 22, which is
/// 16 seconds and 4 GiB.
fn too_much_work(data: &[u8]) -> bool {
    let mut plain = Vec::new();
    let armored = data.trim_ascii_start().starts_with(b"-----BEGIN ");
    let binary = if armored {
        // What comes before an error counts as well.
        let _ = age::armor::ArmoredReader::new(data).read_to_end(&mut plain);
        &plain
    } else {
        data
    };
    let header = String::from_utf8_lossy(&binary[..binary.len().min(1 << 17)]).into_owned();
    header
        .split("-> scrypt ")
        .skip(1)
        .filter_map(|stanza| {
            stanza
                .lines()
                .next()?
                .split(' ')
                .nth(1)?
                .parse::<u32>()
                .ok()
        })
        .any(|factor| factor > 12)
}

/// [`unpack`] of the bytes; [`pack`] of files made of them, and of that archive with one byte changed.
pub fn archives(data: &[u8]) -> bool {
    match unpack(data) {
        Ok(entries) => {
            assert_packs_again(entries);
            return true;
        }
        Err(error) => crate::assert_printable(&error.to_string()),
    }
    let Some((&[at_high, at_low, flip, mode], rest)) = data.split_first_chunk::<4>() else {
        return false;
    };
    let entries: Vec<Entry> = rest
        .split(|byte| *byte == 0xff)
        .map(|file| {
            let (name, content) = file.split_at(
                file.iter()
                    .take(100)
                    .position(|b| *b == 0)
                    .unwrap_or(file.len().min(12)),
            );
            Entry {
                name: String::from_utf8_lossy(name).into_owned(),
                mode: relayca_bundle::MODES[usize::from(mode) % 3],
                content: Zeroizing::new(content.to_vec()),
            }
        })
        .collect();
    let Ok(archive) = pack(&entries, u64::from(at_high) << 24) else {
        return false;
    };
    let unpacked = unpack(&archive).unwrap();
    assert_eq!(without_sums(&unpacked), sorted(&entries));
    let mut changed = archive.to_vec();
    let at = usize::from(u16::from_be_bytes([at_high, at_low])) % changed.len();
    changed[at] ^= flip;
    // Not all bytes of an archive mean something, but those that do are under a checksum.
    if let Ok(read) = unpack(&changed) {
        assert_eq!(without_sums(&read), sorted(&entries));
    }
    true
}

fn assert_packs_again(entries: Vec<Entry>) {
    let before = without_sums(&entries)
        .iter()
        .map(|(name, mode, content)| ((*name).to_owned(), *mode, content.to_vec()))
        .collect::<Vec<_>>();
    let kept: Vec<Entry> = entries
        .into_iter()
        .filter(|one| one.name != CHECKSUMS_NAME)
        .collect();
    let again = unpack(&pack(&kept, 0).unwrap()).unwrap();
    let after = without_sums(&again)
        .iter()
        .map(|(name, mode, content)| ((*name).to_owned(), *mode, content.to_vec()))
        .collect::<Vec<_>>();
    assert_eq!(before, after);
}

type File<'a> = (&'a str, u32, &'a [u8]);

fn sorted(entries: &[Entry]) -> Vec<File<'_>> {
    let mut files: Vec<File<'_>> = entries
        .iter()
        .map(|one| (one.name.as_str(), one.mode, one.content.as_slice()))
        .collect();
    files.sort_unstable();
    files
}

fn without_sums(entries: &[Entry]) -> Vec<File<'_>> {
    let mut files = sorted(entries);
    files.retain(|(name, ..)| *name != CHECKSUMS_NAME);
    files
}
