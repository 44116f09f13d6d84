//! Inputs as long as they may be, made of what is dear to read: each must end soon. Nothing here looks at a clock; what takes
//! more than linear time on these takes minutes, and the test runner ends it.
#![allow(missing_docs)]

use std::fs;
use std::path::Path;

use relayca_fuzz::TARGETS;

const LONG: usize = 1 << 20;

fn run(name: &str, input: &[u8]) -> bool {
    let (_, body) = TARGETS.iter().find(|(target, _)| *target == name).unwrap();
    body(input)
}

fn seed(path: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz");
    fs::read(fixtures.join(path)).unwrap()
}

/// One DER element.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let header = match content.len() {
        0..=0x7f => vec![tag, length[3]],
        0x80..=0xff => vec![tag, 0x81, length[3]],
        0x100..=0xffff => vec![tag, 0x82, length[2], length[3]],
        _ => vec![tag, 0x83, length[1], length[2], length[3]],
    };
    [&header, content].concat()
}

const ALGORITHM: [u8; 12] = [
    0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
];

fn list(issuer: &[u8], entries: &[u8], extensions: &[u8]) -> Vec<u8> {
    let time = der(0x17, b"261121000000Z");
    let entries = if entries.is_empty() {
        Vec::new()
    } else {
        der(0x30, entries)
    };
    let signed = [
        &[2, 1, 1][..],
        &ALGORITHM,
        &der(0x30, issuer),
        &time,
        &time,
        &entries,
        &der(0xa0, &der(0x30, extensions)),
    ]
    .concat();
    let signature = der(3, &[0; 65]);
    der(
        0x30,
        &[&der(0x30, &signed)[..], &ALGORITHM, &signature].concat(),
    )
}

/// The extensions that a list must have.
fn needed() -> Vec<u8> {
    let number = der(
        0x30,
        &[&[6, 3, 0x55, 0x1d, 20][..], &der(4, &[2, 1, 1])].concat(),
    );
    let key = der(
        0x30,
        &[
            &[6, 3, 0x55, 0x1d, 35][..],
            &der(4, &der(0x30, &[0x80, 1, 1])),
        ]
        .concat(),
    );
    [number, key].concat()
}

fn extension(number: u32) -> Vec<u8> {
    let [_, a, b, c] = number.to_be_bytes();
    let arc = [
        0x80 | (a & 0x7f),
        0x80 | (b >> 1),
        0x80 | (c & 0x7f),
        (b & 1) << 6 | 1 | (c >> 7) << 5,
    ];
    let oid = der(6, &[&[0x2a, 3][..], &arc].concat());
    der(0x30, &[&oid[..], &der(4, &[])].concat())
}

#[test]
fn a_revocation_list_of_extensions_ends() {
    let extensions: Vec<u8> = (0..60_000).flat_map(extension).collect();
    run("revocation_lists", &list(&[], &[], &extensions));
}

#[test]
fn a_revocation_list_of_entries_ends() {
    let time = der(0x17, b"261121000000Z");
    let entry = |number: u32| {
        let serial = [&[1][..], &number.to_be_bytes()].concat();
        der(0x30, &[&der(2, &serial)[..], &time].concat())
    };
    let entries: Vec<u8> = (0..20_000).flat_map(entry).collect();
    assert!(run("revocation_lists", &list(&[], &entries, &needed())));
}

#[test]
fn a_name_of_one_endless_number_ends() {
    let mut arcs = vec![0x2a];
    arcs.resize(LONG, 0xff);
    arcs.push(1);
    let attribute = der(0x30, &[&der(6, &arcs)[..], &der(12, b"x")].concat());
    let name = der(0x31, &attribute);
    assert!(run("revocation_lists", &list(&name, &[], &needed())));
}

#[test]
fn a_file_of_blocks_ends() {
    let block = b"-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n";
    let blocks = [&block.repeat(255)[..], &b"a\n".repeat(LONG / 2)].concat();
    for name in [
        "certificates",
        "requests",
        "private_keys",
        "locked_keys",
        "inspection",
        "revocation_lists",
    ] {
        run(name, &blocks);
    }
}

#[test]
fn a_header_of_one_stanza_ends() {
    let line = [&[b'A'; 64][..], b"\n"].concat();
    let sealed = [
        b"age-encryption.org/v1\n-> x\n",
        &line.repeat(1500)[..],
        b"\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef",
    ]
    .concat();
    run("sealed", &sealed);
}

#[test]
fn files_of_many_identities_and_recipients_end() {
    let own = String::from_utf8(seed("identities/fixed.txt")).unwrap();
    let secret = own.lines().last().unwrap();
    run(
        "identities",
        format!("{secret}\n").repeat(LONG / 76).as_bytes(),
    );
    let public = own.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert!(run(
        "recipients",
        format!("{public}\n").repeat(LONG / 64).as_bytes()
    ));
    let all = seed("recipients/all-kinds.txt");
    let some = all.repeat(LONG / all.len());
    assert!(run("recipients", &some));
}

#[test]
fn settings_that_nest_end() {
    for (open, piece) in [
        ("x = ", "["),
        ("x = ", "{a="),
        ("", "a."),
        ("", "[a]\n"),
        ("[host.", "a."),
        ("x = ", "[{a="),
    ] {
        let text = format!(
            "domain = \"example.org\"\n{open}{}",
            piece.repeat(LONG / piece.len())
        );
        run("settings", text.as_bytes());
    }
    let hosts: String = (0..20_000)
        .map(|n| format!("[host.\"h{n}.example.org\"]\nsenders = [\"a\"]\n"))
        .collect();
    assert!(run(
        "settings",
        format!("domain = \"example.org\"\n{hosts}").as_bytes()
    ));
    let relays: String = (0..30_000)
        .map(|n| format!("\"r{n}.example.org:25\", "))
        .collect();
    assert!(run(
        "settings",
        format!("domain = \"example.org\"\nrelays = [{relays}]\n").as_bytes()
    ));
}

#[test]
fn long_lists_of_hosts_end() {
    let hosts: String = (0..10_000)
        .map(|n| format!("host{n} san=s{n}.example.org\n"))
        .collect();
    assert!(run("host_lists", hosts.as_bytes()));
    let one_line = format!(
        "host {}",
        "seal-to=age1a5z8g446l70tvmqmpx2myltk3kn83swev3hjp4tjhwe37t9z4drqkrf4wq ".repeat(13_000)
    );
    run("host_lists", one_line.as_bytes());
}

#[test]
fn long_maps_end() {
    let pair = |n: u32| {
        let hex = format!("{n:064x}");
        let pairs: Vec<&str> = (0..32).map(|at| &hex[2 * at..2 * at + 2]).collect();
        format!("{} host{n}\n", pairs.join(":"))
    };
    let map: String = (0..9_000).map(pair).collect();
    assert!(run("maps", map.as_bytes()));
}

#[test]
fn ssh_keys_of_many_lines_end() {
    for line in ["A\n".to_owned(), format!("{}\n", "A".repeat(64))] {
        for kind in ["OPENSSH", "RSA"] {
            let lines = line.repeat(LONG / 2 / line.len());
            let text = format!("-----BEGIN {kind} PRIVATE KEY-----\n{lines}");
            run("identities", text.as_bytes());
            let most = &text[..16 << 10];
            run("identities", most.as_bytes());
        }
    }
}
