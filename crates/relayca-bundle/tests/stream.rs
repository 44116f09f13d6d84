//! Large sealed files and trees: stock age, tar and sha256sum open what is written, and whatever is not whole or not plain is
//! refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use std::io::{Read, Write};

use judges::run;
use relayca_bundle::{
    Identities, Manifest, Member, OpenError, OpenWith, Passphrase, Recipient, SealTo, SealedReader,
    TreeError, TreeWriter, generate_identity, no_prompt, read_tree, seal_to_writer,
};
use zeroize::Zeroizing;

/// More than two of age's chunks.
const LARGE: usize = 150_000;

fn key() -> (Identities, Vec<Recipient>, String) {
    let (text, recipient) = generate_identity();
    let identities = Identities::parse(text.as_bytes(), "key", no_prompt()).unwrap();
    (identities, vec![recipient], text.to_string())
}

fn sealed(content: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let prompt = no_prompt();
    let to = SealTo::Recipients {
        recipients,
        prompt: &prompt,
    };
    let mut writer = seal_to_writer(Vec::new(), &to).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn opened(sealed: &[u8], with: &OpenWith<'_>) -> Result<Vec<u8>, OpenError> {
    let mut content = Vec::new();
    let read = SealedReader::begin(sealed)?
        .open(with)?
        .read_to_end(&mut content);
    match read {
        Ok(_) => Ok(content),
        Err(error) => Err(match OpenError::behind(&error).unwrap() {
            OpenError::Truncated => OpenError::Truncated,
            OpenError::Damaged => OpenError::Damaged,
            other => panic!("{other}"),
        }),
    }
}

#[test]
fn stock_age_opens_what_is_sealed_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let (identities, recipients, text) = key();
    std::fs::write(dir.path().join("key"), &text).unwrap();
    for size in [0, 1, 65_536, 65_537, 131_072, LARGE] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let ours = sealed(&content, &recipients);
        assert_eq!(run("age", &["-d", "-i", "key"], dir.path(), &ours), content);
        let theirs = run("age", &["-r", recipients[0].text()], dir.path(), &content);
        let with = OpenWith::Identities(&identities);
        assert_eq!(opened(&theirs, &with).unwrap(), content);
        assert_eq!(opened(&ours, &with).unwrap(), content);
    }
}

#[test]
fn a_passphrase_seals_and_only_it_opens() {
    let passphrase = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned())).unwrap();
    let right = passphrase("correct horse");
    let to = SealTo::Passphrase {
        passphrase: &right,
        work_factor: 2,
    };
    let mut writer = seal_to_writer(Vec::new(), &to).unwrap();
    writer.write_all(&[7; LARGE]).unwrap();
    let file = writer.finish().unwrap();
    assert!(SealedReader::begin(&file[..]).unwrap().by_passphrase());
    let with = OpenWith::Passphrase(&right);
    assert_eq!(opened(&file, &with).unwrap(), [7; LARGE]);
    let wrong = passphrase("wrong");
    let (identities, recipients, _) = key();
    assert!(matches!(
        opened(&file, &OpenWith::Passphrase(&wrong)),
        Err(OpenError::WrongPassphrase)
    ));
    assert!(matches!(
        opened(&file, &OpenWith::Identities(&identities)),
        Err(OpenError::NeedsPassphrase)
    ));
    let file = sealed(b"x", &recipients);
    assert!(!SealedReader::begin(&file[..]).unwrap().by_passphrase());
    assert!(matches!(
        opened(&file, &with),
        Err(OpenError::NeedsIdentity)
    ));
    assert!(matches!(
        opened(&file, &OpenWith::Identities(&key().0)),
        Err(OpenError::WrongKey)
    ));
}

#[test]
fn what_is_cut_altered_or_foreign_is_told_apart() {
    let (identities, recipients, _) = key();
    let with = OpenWith::Identities(&identities);
    let file = sealed(&[1; LARGE], &recipients);
    let end = file.len();
    for cut in [
        1,
        10,
        60,
        150,
        300,
        70_000,
        131_000,
        end - LARGE / 3,
        end - 1,
    ] {
        let error = opened(&file[..cut], &with).unwrap_err();
        assert!(
            matches!(error, OpenError::Truncated | OpenError::Damaged),
            "{cut}: {error}"
        );
    }
    // The whole header, wherever age's random stanza lets it end. Where its end is no longer seen, it is too large.
    for at in (0..500).chain([70_000, end - 1]) {
        let mut altered = file.clone();
        altered[at] ^= 1;
        let error = opened(&altered, &with).unwrap_err();
        let told = match error {
            OpenError::Damaged | OpenError::WrongKey | OpenError::UnknownVersion => true,
            OpenError::NotAge => at < 22,
            OpenError::HeaderTooLarge => at < 500,
            _ => false,
        };
        assert!(told, "{at}: {error}");
    }
    let mut longer = file.clone();
    longer.extend([0; 100]);
    assert!(opened(&longer, &with).is_err());
    assert!(matches!(opened(b"PK", &with), Err(OpenError::NotAge)));
    assert!(matches!(opened(b"", &with), Err(OpenError::Truncated)));
    let endless = std::io::repeat(b'x');
    let endless = b"age-encryption.org/v1\n".chain(endless);
    assert!(matches!(
        SealedReader::begin(endless),
        Err(OpenError::HeaderTooLarge)
    ));
    let mut stanzas = b"age-encryption.org/v1\n".to_vec();
    stanzas.extend(b"-> x\n\n".repeat(10_000));
    stanzas.extend(b"--- mac\n");
    assert!(matches!(
        SealedReader::begin(&stanzas[..]),
        Err(OpenError::HeaderTooLarge)
    ));
}

fn long_name() -> String {
    format!("bundles/{}.tar.age", "h".repeat(200))
}

fn tree() -> (Vec<u8>, Manifest) {
    let mut tree = TreeWriter::new(Vec::new());
    tree.file("first", 0o644, 7, 3, &mut &b"one"[..]).unwrap();
    tree.directory("bundles", 0o700, 7).unwrap();
    tree.file(&long_name(), 0o600, 7, 1000, &mut &[5; 1000][..])
        .unwrap();
    tree.finish(7).unwrap()
}

fn read(archive: &[u8]) -> Result<Manifest, TreeError> {
    read_tree(archive, |_, _| Ok(()))
}

#[test]
fn stock_tar_and_sha256sum_take_a_tree_and_what_they_make_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, manifest) = tree();
    run("tar", &["-x"], dir.path(), &archive);
    run(
        "sha256sum",
        &["-c", "--strict", "SHA256SUMS"],
        dir.path(),
        b"",
    );
    assert_eq!(
        std::fs::read(dir.path().join(long_name())).unwrap(),
        [5; 1000]
    );
    let mut seen = Vec::new();
    let again = read_tree(&archive[..], |member, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        seen.push((member.clone(), bytes));
        Ok::<(), TreeError>(())
    })
    .unwrap();
    assert_eq!(again, manifest);
    let first = Member::File {
        path: "first".into(),
        mode: 0o644,
        size: 3,
    };
    assert_eq!(seen[0], (first, b"one".to_vec()));
    assert_eq!(seen.len(), 3);
    let theirs = run(
        "tar",
        &["-c", "--format=gnu", "first", "bundles", "SHA256SUMS"],
        dir.path(),
        b"",
    );
    assert_eq!(read(&theirs).unwrap().files, manifest.files);
}

#[test]
fn only_plain_files_and_directories_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let script = "
        mkdir d; echo a > a; echo b > b; echo c > -c; echo d > 'e f'; ln -s a link; ln a hard; mkfifo pipe
        sha256sum a > SHA256SUMS; mkdir -p 1/2/3/4; echo x > .hidden
        tar -cf good.tar a SHA256SUMS
        tar -cf unlisted.tar a b SHA256SUMS
        tar -cf link.tar a link SHA256SUMS
        tar -cf hard.tar a hard SHA256SUMS
        tar -cf pipe.tar a pipe SHA256SUMS
        tar -cf twice.tar a a SHA256SUMS
        tar -cf nosums.tar a b
        tar -cf after.tar a SHA256SUMS b
        tar -cf space.tar a 'e f' SHA256SUMS
        tar -cf dash.tar a ./-c SHA256SUMS
        tar -cf hidden.tar a .hidden SHA256SUMS
        tar -cf deep.tar a 1 SHA256SUMS; mkdir -p 1/2/3/4/5; tar -cf deeper.tar a 1/2/3/4/5 SHA256SUMS
        tar --format=pax -cf pax.tar a SHA256SUMS
        tar -cPf absolute.tar a \"$PWD/b\" SHA256SUMS
        (cd d && tar -cPf ../up.tar ../a ../SHA256SUMS)
        tar -cf dot.tar ./a ./SHA256SUMS
        sha256sum a b > SHA256SUMS; tar -cf missing.tar a SHA256SUMS
        echo A > a; tar -cf wrong.tar a b SHA256SUMS
        echo nonsense > SHA256SUMS; tar -cf nonsense.tar a b SHA256SUMS
        head -c 700 good.tar > cut.tar; cat good.tar good.tar > double.tar
        head -c 3000 /dev/urandom > noise.tar; : > empty.tar; head -c 10240 /dev/zero > zeros.tar
    ";
    run("sh", &["-ec", script], dir.path(), b"");
    let judged = |name: &str| read(&std::fs::read(dir.path().join(name)).unwrap());
    assert_eq!(judged("good.tar").unwrap().files.len(), 1);
    for (name, told) in [
        ("unlisted", "`b` is not listed"),
        ("link", "`link` is neither a file nor a directory"),
        ("hard", "`hard` is neither a file nor a directory"),
        ("pipe", "`pipe` is neither a file nor a directory"),
        ("twice", "neither a file nor a directory"),
        ("nosums", "no `SHA256SUMS` at its end"),
        ("after", "a file after `SHA256SUMS`"),
        ("space", "`e f` is not a plain path"),
        ("dash", "`./-c` is not a plain path"),
        ("hidden", "`.hidden` is not a plain path"),
        ("deeper", "`1/2/3/4/5` is not a plain path"),
        ("pax", "neither a file nor a directory"),
        ("absolute", "is not a plain path"),
        ("up", "`../a` is not a plain path"),
        ("dot", "`./a` is not a plain path"),
        ("missing", "`b` is listed in `SHA256SUMS` but missing"),
        ("wrong", "`a` does not match its checksum"),
        ("nonsense", "`SHA256SUMS` is not a list of checksums"),
        ("cut", "damaged"),
        ("double", "bytes after the end"),
        ("noise", "not a tar archive"),
        ("empty", "not a tar archive"),
        ("zeros", "not a tar archive"),
    ] {
        let error = judged(&format!("{name}.tar")).unwrap_err();
        assert!(error.to_string().contains(told), "{name}: {error}");
        assert!(error.hint().is_some());
    }
    assert!(judged("deep.tar").is_ok());
}

#[test]
fn a_name_as_long_as_memory_is_not_read() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().chain(std::io::repeat(b'a'));
    let error = read_tree(endless, |_, _| Ok::<(), TreeError>(())).unwrap_err();
    assert!(matches!(error, TreeError::Damaged), "{error}");
}

#[test]
fn a_tree_in_a_damaged_seal_says_so() {
    let (identities, recipients, _) = key();
    let mut tree = TreeWriter::new(Vec::new());
    tree.file("a", 0o600, 0, LARGE as u64, &mut &[1; LARGE][..])
        .unwrap();
    let file = sealed(&tree.finish(0).unwrap().0, &recipients);
    let with = OpenWith::Identities(&identities);
    let judged = |file: &[u8]| {
        let opened = SealedReader::begin(file).unwrap().open(&with).unwrap();
        read_tree(opened, |_, _| Ok::<(), TreeError>(())).map(|manifest| manifest.files.len())
    };
    assert_eq!(judged(&file).unwrap(), 1);
    let mut altered = file.clone();
    altered[100_000] ^= 1;
    for broken in [&altered[..], &file[..100_000], &file[..file.len() - 1]] {
        let error = judged(broken).unwrap_err();
        assert!(error.to_string().contains("age file"), "{error}");
    }
}

#[test]
fn a_file_that_grows_or_shrinks_while_it_is_read_is_refused() {
    for size in [2, 4] {
        let mut tree = TreeWriter::new(Vec::new());
        let error = tree
            .file("a", 0o600, 0, size, &mut &b"one"[..])
            .unwrap_err();
        assert!(matches!(error, TreeError::Changed { .. }), "{error}");
    }
    let mut tree = TreeWriter::new(Vec::new());
    for bad in ["", "../x", "/x", "a//b", ".x", "SHA256SUMS", "a b", "a\n"] {
        assert!(tree.file(bad, 0o600, 0, 0, &mut &b""[..]).is_err(), "{bad}");
    }
    tree.directory("a", 0o700, 0).unwrap();
    assert!(tree.file("a", 0o600, 0, 0, &mut &b""[..]).is_err());
}
