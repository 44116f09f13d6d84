//! What holds of everything that is sealed and packed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use relayca_bundle::{
    CHECKSUMS_NAME, Entry, Identities, MODES, OpenWith, Passphrase, Recipient, SealTo,
    generate_identity, no_prompt, open, pack, parse_recipients_file, seal, sealed_with_passphrase,
    unpack,
};
use zeroize::Zeroizing;

type Files = BTreeMap<String, (u32, Vec<u8>)>;

fn files() -> impl Strategy<Value = Files> {
    let name = "[A-Za-z0-9_][A-Za-z0-9._-]{0,140}"
        .prop_filter("made by pack itself", |name| name != CHECKSUMS_NAME);
    let mode = prop::sample::select(MODES.to_vec());
    btree_map(name, (mode, vec(any::<u8>(), 0..1500)), 0..8)
}

fn entries(files: &Files) -> Vec<Entry> {
    files
        .iter()
        .map(|(name, (mode, content))| Entry {
            name: name.clone(),
            mode: *mode,
            content: Zeroizing::new(content.clone()),
        })
        .collect()
}

fn unpacked(archive: &[u8]) -> Option<Files> {
    let entries = unpack(archive).ok()?;
    let files = entries
        .into_iter()
        .filter(|entry| entry.name != CHECKSUMS_NAME)
        .map(|entry| (entry.name.clone(), (entry.mode, entry.content.to_vec())));
    Some(files.collect())
}

fn identity() -> (Identities, Recipient) {
    let (text, recipient) = generate_identity();
    let identities = Identities::parse(text.as_bytes(), "identity", no_prompt()).unwrap();
    (identities, recipient)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(files in files(), mtime in 0..4_000_000_000u64) {
        let archive = pack(&entries(&files), mtime).unwrap();
        prop_assert_eq!(unpacked(&archive), Some(files.clone()));
        let mut backwards = entries(&files);
        backwards.reverse();
        prop_assert_eq!(&*pack(&backwards, mtime).unwrap(), &*archive);
    }

    #[test]
    fn an_archive_with_a_byte_changed_is_refused_or_the_same(
        files in files(), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let mut archive = pack(&entries(&files), 0).unwrap().to_vec();
        let at = at.index(archive.len());
        archive[at] ^= flip;
        if let Some(read) = unpacked(&archive) {
            prop_assert_eq!(read, files);
        }
    }

    #[test]
    fn an_archive_cut_short_is_refused(files in files(), at in any::<prop::sample::Index>()) {
        let archive = pack(&entries(&files), 0).unwrap();
        prop_assert_eq!(unpacked(&archive[..at.index(archive.len())]), None);
    }

    #[test]
    fn what_is_sealed_to_somebody_opens_to_them_alone(plain in vec(any::<u8>(), 0..70_000), others in 0..3usize) {
        let (identities, recipient) = identity();
        let mut recipients: Vec<Recipient> = (0..others).map(|_| identity().1).collect();
        recipients.push(recipient);
        let to = SealTo::Recipients { recipients: &recipients, prompt: &no_prompt() };
        let sealed = seal(&plain, &to).unwrap();
        prop_assert!(!sealed_with_passphrase(&sealed).unwrap());
        prop_assert_eq!(&**open(&sealed, &OpenWith::Identities(&identities)).unwrap(), &*plain);
        prop_assert!(open(&sealed, &OpenWith::Identities(&identity().0)).is_err());
    }

    #[test]
    fn what_is_sealed_with_a_passphrase_opens_with_that_one(
        plain in vec(any::<u8>(), 0..5000), one in "[^\\p{Cc}]{1,40}", other in "[^\\p{Cc}]{1,40}",
    ) {
        let given = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned())).unwrap();
        let (right, wrong) = (given(&one), given(&other));
        let to = SealTo::Passphrase { passphrase: &right, work_factor: 1 };
        let sealed = seal(&plain, &to).unwrap();
        prop_assert!(sealed_with_passphrase(&sealed).unwrap());
        prop_assert_eq!(&**open(&sealed, &OpenWith::Passphrase(&right)).unwrap(), &*plain);
        prop_assert_eq!(open(&sealed, &OpenWith::Passphrase(&wrong)).is_ok(), one == other);
    }

    #[test]
    fn a_sealed_file_with_a_byte_changed_or_cut_does_not_open(
        plain in vec(any::<u8>(), 0..2000), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let (identities, recipient) = identity();
        let to = SealTo::Recipients { recipients: &[recipient], prompt: &no_prompt() };
        let sealed = seal(&plain, &to).unwrap();
        let with = OpenWith::Identities(&identities);
        let at = at.index(sealed.len());
        prop_assert!(open(&sealed[..at], &with).is_err());
        let mut changed = sealed;
        changed[at] ^= flip;
        prop_assert!(open(&changed, &with).is_err());
    }

    #[test]
    fn a_recipients_file_is_its_recipients(count in 1..6usize, comment in "# [ -~]{0,20}") {
        let recipients: Vec<Recipient> = (0..count).map(|_| identity().1).collect();
        let mut text = String::new();
        for recipient in &recipients {
            text.push_str(&format!("{comment}\n\n  {recipient}\r\n"));
        }
        prop_assert_eq!(parse_recipients_file(&text).unwrap(), recipients);
    }
}
