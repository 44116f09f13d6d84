//! Bundles are plain tar with checksums, the same bytes each time, and nothing else is unpacked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::run;
use relayca_bundle::{ArchiveError, CHECKSUMS_NAME, Entry, MAX_ENTRIES, pack, unpack};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const MTIME: u64 = 1_795_230_000;

fn entry(name: &str, mode: u32, content: &[u8]) -> Entry {
    Entry {
        name: name.into(),
        mode,
        content: Zeroizing::new(content.to_vec()),
    }
}

/// What a mail host gets, with a name too long for the plain tar header among them.
fn bundle() -> Vec<Entry> {
    let long = format!("{}.example.org.crt.pem", "a-very-long-label.".repeat(8));
    vec![
        entry("mailhost.example.org.key.pem", 0o600, b"a key\n"),
        entry("example.org-ca.crt.pem", 0o644, &[b'c'; 512]),
        entry(&long, 0o644, b"a certificate\n"),
        entry("INSTALL.txt", 0o640, b""),
        entry("main.cf", 0o644, &[b'm'; 513]),
    ]
}

/// A directory with the given files, as a place for stock tar to pack from.
fn lay_out(entries: &[Entry]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for e in entries {
        let path = dir.path().join(&e.name);
        fs::write(&path, &*e.content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(e.mode)).unwrap();
    }
    dir
}

/// Packs the named things of a directory with stock tar.
fn tar(dir: &Path, options: &[&str], names: &[&str]) -> Vec<u8> {
    run("tar", &[&["-cf", "-"], options, names].concat(), dir, b"")
}

fn refused(archive: &[u8]) -> ArchiveError {
    unpack(archive).expect_err("this archive must be refused")
}

#[test]
fn stock_tar_unpacks_it_and_sha256sum_agrees() {
    let packed = pack(&bundle(), MTIME).unwrap();
    let dir = tempfile::tempdir().unwrap();
    run("tar", &["-xpf", "-"], dir.path(), &packed);
    run(
        "sha256sum",
        &["--strict", "-c", CHECKSUMS_NAME],
        dir.path(),
        b"",
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 6);
    for e in bundle() {
        let path = dir.path().join(&e.name);
        assert_eq!(fs::read(&path).unwrap(), *e.content);
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, e.mode, "{}", e.name);
    }
    let listing = run(
        "tar",
        &["--utc", "--full-time", "-tvf", "-"],
        dir.path(),
        &packed,
    );
    let listing = String::from_utf8(listing).unwrap();
    assert!(
        listing
            .lines()
            .all(|l| l.contains("root/root") && l.contains(" 2026-11-21 03:00:00 ")),
        "{listing}"
    );
    let names: Vec<&str> = listing
        .lines()
        .map(|l| l.rsplit(' ').next().unwrap())
        .collect();
    assert!(names.is_sorted());
}

#[test]
fn the_same_files_give_the_same_bytes_in_any_order() {
    let one = pack(&bundle(), MTIME).unwrap();
    let mut turned = bundle();
    turned.reverse();
    assert_eq!(*one, *pack(&turned, MTIME).unwrap());
    assert_ne!(*one, *pack(&bundle(), MTIME + 1).unwrap());
}

#[test]
fn what_was_packed_unpacks_to_the_same_with_its_checksums() {
    let out = unpack(&pack(&bundle(), MTIME).unwrap()).unwrap();
    let mut expected = bundle();
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    let (sums, rest): (Vec<_>, Vec<_>) = out.into_iter().partition(|e| e.name == CHECKSUMS_NAME);
    assert_eq!(sums[0].mode, 0o644);
    assert_eq!(rest.len(), expected.len());
    for (found, put) in rest.iter().zip(&expected) {
        assert_eq!(
            (&found.name, found.mode, &found.content),
            (&put.name, put.mode, &put.content)
        );
    }
    assert_eq!(unpack(&pack(&[], MTIME).unwrap()).unwrap().len(), 1);
}

#[test]
fn the_same_files_packed_by_stock_tar_unpack_too() {
    let dir = lay_out(&bundle());
    let packed = pack(&bundle(), MTIME).unwrap();
    run("tar", &["-xpf", "-"], dir.path(), &packed);
    let names: Vec<String> = unpack(&packed)
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(
        unpack(&tar(dir.path(), &["--format=gnu"], &names))
            .unwrap()
            .len(),
        6
    );
    let posix = refused(&tar(dir.path(), &["--format=posix"], &names));
    assert!(matches!(posix, ArchiveError::Extended { .. }), "{posix}");
}

#[test]
fn names_that_lead_anywhere_are_refused_both_ways() {
    let bad = [
        "",
        ".",
        "..",
        "../a",
        "/etc/passwd",
        "a/b",
        "./a",
        ".a",
        "-a",
        "a b",
        "a\n",
        "ä",
        "a\\b",
        "a\0b",
    ];
    for name in bad {
        let error = pack(&[entry(name, 0o644, b"")], MTIME).unwrap_err();
        assert!(
            matches!(error, ArchiveError::Name { .. }),
            "{name:?}: {error}"
        );
    }
    assert!(pack(&[entry(&"a".repeat(255), 0o644, b"")], MTIME).is_ok());
    assert!(pack(&[entry(&"a".repeat(256), 0o644, b"")], MTIME).is_err());

    let dir = lay_out(&[entry("a", 0o644, b"a")]);
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/b"), b"b").unwrap();
    fs::write(dir.path().join(".hidden"), b"b").unwrap();
    for (options, name) in [
        (&[][..], "./a"),
        (&[], "d/b"),
        (&[], ".hidden"),
        (&["-P", "--transform=s,a,/tmp/a,"], "a"),
        (&["-P", "--transform=s,a,../a,"], "a"),
        (&["--transform=s,a,a b,"], "a"),
    ] {
        let error = refused(&tar(dir.path(), options, &[name]));
        assert!(
            matches!(error, ArchiveError::Name { .. }),
            "{options:?} {name}: {error}"
        );
    }
}

#[test]
fn links_directories_and_devices_are_refused() {
    let dir = lay_out(&[entry("a", 0o644, b"a")]);
    fs::create_dir(dir.path().join("d")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("hard")).unwrap();
    run("mkfifo", &["pipe"], dir.path(), b"");
    for names in [&["link"][..], &["a", "hard"], &["pipe"]] {
        let error = refused(&tar(dir.path(), &[], names));
        assert!(
            matches!(error, ArchiveError::NotAFile { .. }),
            "{names:?}: {error}"
        );
    }
    assert!(unpack(&tar(dir.path(), &[], &["d"])).is_err());
    let sparse = fs::File::create(dir.path().join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    let error = refused(&tar(dir.path(), &["-S"], &["sparse"]));
    assert!(matches!(error, ArchiveError::NotAFile { .. }), "{error}");
}

#[test]
fn odd_modes_and_double_names_are_refused() {
    for mode in [0o755, 0o4755, 0o666, 0o400, 0o1644, 0] {
        let error = pack(&[entry("a", mode, b"")], MTIME).unwrap_err();
        assert!(matches!(error, ArchiveError::Mode { .. }), "{mode:o}");
        let dir = lay_out(&[entry("a", mode, b"")]);
        assert!(
            matches!(
                refused(&tar(dir.path(), &[], &["a"])),
                ArchiveError::Mode { .. }
            ),
            "{mode:o}"
        );
    }
    let twice = pack(&[entry("a", 0o644, b"1"), entry("a", 0o644, b"2")], MTIME);
    assert!(matches!(twice, Err(ArchiveError::DuplicateName { .. })));
    let dir = lay_out(&[entry("a", 0o644, b"a")]);
    let twice = tar(dir.path(), &["--hard-dereference"], &["a", "a"]);
    assert!(matches!(
        refused(&twice),
        ArchiveError::DuplicateName { .. }
    ));
    assert!(matches!(
        pack(&[entry(CHECKSUMS_NAME, 0o644, b"")], MTIME),
        Err(ArchiveError::ReservedName)
    ));
}

#[test]
fn checksums_that_are_missing_wrong_or_incomplete_are_refused() {
    let sum = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    let with = |sums: &str| {
        let dir = lay_out(&[
            entry("a", 0o644, b"a"),
            entry(CHECKSUMS_NAME, 0o644, sums.as_bytes()),
        ]);
        unpack(&tar(dir.path(), &[], &["a", CHECKSUMS_NAME]))
    };
    assert!(with(&format!("{sum}  a\n")).is_ok());
    assert!(matches!(
        with(&format!("{}  a\n", sum.replace('c', "d"))),
        Err(ArchiveError::WrongChecksum { .. })
    ));
    assert!(matches!(with(""), Err(ArchiveError::Unlisted { .. })));
    assert!(matches!(
        with(&format!("{sum}  a\n{sum}  b\n")),
        Err(ArchiveError::Missing { .. })
    ));
    assert!(matches!(
        with(&format!("{sum}  a\n{sum}  a\n")),
        Err(ArchiveError::BadChecksums)
    ));
    for bad in [
        "hello\n".to_owned(),
        format!("{sum} a\n"),
        format!("{}  a\n", sum.to_uppercase()),
    ] {
        assert!(
            matches!(with(&bad), Err(ArchiveError::BadChecksums)),
            "{bad}"
        );
    }
    let dir = lay_out(&[entry("a", 0o644, b"a")]);
    assert!(matches!(
        refused(&tar(dir.path(), &[], &["a"])),
        ArchiveError::NoChecksums
    ));
}

#[test]
fn no_altered_or_missing_byte_passes_unless_it_means_nothing() {
    let files = bundle();
    let packed = pack(&files, MTIME).unwrap();
    for length in 0..packed.len() {
        assert!(unpack(&packed[..length]).is_err(), "{length}");
    }
    for at in 0..packed.len() {
        let mut altered = packed.to_vec();
        altered[at] ^= 1;
        // Padding behind a file's end means nothing; all else is caught, or gives the very same files.
        if let Ok(out) = unpack(&altered) {
            for e in &files {
                let same = out
                    .iter()
                    .any(|o| o.name == e.name && o.mode == e.mode && o.content == e.content);
                assert!(same, "byte {at} changed `{}`", e.name);
            }
        }
    }
}

#[test]
fn nothing_hides_behind_the_end() {
    let packed = pack(&bundle(), MTIME).unwrap();
    let mut longer = packed.to_vec();
    longer.extend([0; 10_240]);
    assert!(unpack(&longer).is_ok(), "tar pads to 10 KiB");
    longer.push(1);
    assert!(matches!(refused(&longer), ArchiveError::TrailingBytes));
    let two = [&packed[..], &packed[..]].concat();
    assert!(matches!(refused(&two), ArchiveError::TrailingBytes));
}

#[test]
fn too_many_and_too_large_are_refused() {
    let many: Vec<Entry> = (0..MAX_ENTRIES)
        .map(|i| entry(&format!("f{i}"), 0o644, b""))
        .collect();
    assert!(matches!(
        pack(&many, MTIME),
        Err(ArchiveError::TooManyEntries)
    ));
    let packed = pack(&many[..MAX_ENTRIES - 1], MTIME).unwrap();
    assert_eq!(unpack(&packed).unwrap().len(), MAX_ENTRIES);
    let dir = lay_out(&many);
    fs::write(dir.path().join("more"), b"").unwrap();
    let names: Vec<&str> = many
        .iter()
        .map(|e| e.name.as_str())
        .chain(["more"])
        .collect();
    assert!(matches!(
        refused(&tar(dir.path(), &[], &names)),
        ArchiveError::TooManyEntries
    ));

    let large = entry("large", 0o644, &vec![0; (16 << 20) + 1]);
    assert!(matches!(
        pack(std::slice::from_ref(&large), MTIME),
        Err(ArchiveError::EntryTooLarge { .. })
    ));
    let dir = lay_out(&[large]);
    assert!(matches!(
        refused(&tar(dir.path(), &[], &["large"])),
        ArchiveError::EntryTooLarge { .. }
    ));
    let four: Vec<Entry> = (0..4)
        .map(|i| entry(&format!("f{i}"), 0o644, &vec![0; 16 << 20]))
        .collect();
    assert!(matches!(pack(&four, MTIME), Err(ArchiveError::TooLarge)));
}

#[test]
fn what_is_no_archive_is_named_as_such() {
    for foreign in [&b""[..], b"hello", &[0; 1024], &[7; 2048], &[0; 512]] {
        let error = refused(foreign);
        let named = matches!(
            error,
            ArchiveError::NotAnArchive | ArchiveError::NoChecksums
        );
        assert!(named, "{}: {error}", foreign.len());
    }
}

#[test]
fn debug_output_keeps_the_content_to_itself() {
    let shown = format!("{:?}", entry("a.key.pem", 0o600, b"PRIVATE"));
    assert_eq!(
        shown,
        "Entry { name: \"a.key.pem\", mode: 0o600, content: [elided] }"
    );
}
