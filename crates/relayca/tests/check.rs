//! What `relayca check` finds: expiry, the clock, the map, the settings, revocation lists and a rollover; and silence where
//! all is well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod looking;

use std::fs;

use authority::{Admin, keygen};
use looking::{at, check, check_at, mode, settings, sqlite};
use relayca_ca::{Authority, Domain, KeyType, NewAuthority};
use relayca_inventory::{CertificateRecord, Inventory, Phase, State};
use time::OffsetDateTime;

const MAP: &str = "bundles/relayhost.example.org.public.tar";

/// An authority that has lived: two hosts, one of them rekeyed and retired, one revoked, and a revocation list.
fn lived() -> Admin {
    let admin = Admin::new();
    let init = [
        "init",
        "example.org",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ];
    at(&admin, "-50d", &init).done();
    at(&admin, "-50d", &["issue", "mailhost", "gone"]).done();
    at(&admin, "-40d", &["renew", "--rekey", "mailhost"]).done();
    at(&admin, "-35d", &["retire", "mailhost"]).done();
    at(
        &admin,
        "-30d",
        &["revoke", "gone", "--reason", "cessationOfOperation"],
    )
    .done();
    at(&admin, "-9d", &["renew", "relayhost"]).done();
    admin.done(&["crl", "--out", "crl.pem"]);
    admin
}

#[test]
fn where_all_is_well_it_says_so_in_one_line() {
    let admin = lived();
    let outcome = admin.run(&["check", "-q", "--open"]);
    assert_eq!(outcome.stderr, "");
    let line = outcome.done();
    assert!(
        line.starts_with("all is well with example.org; next: mailhost.example.org expires on 20"),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1);
    assert_eq!(check(&admin, &["--open"]), [""; 0]);
    assert_eq!(check_at(&Admin::with_authority(), "+1h", &[]), [""; 0]);
    let notes = admin.run(&["check"]).stderr;
    assert!(notes.contains("nothing sealed was opened"), "{notes}");
}

#[test]
fn what_expires_is_told_in_time() {
    let admin = Admin::new();
    admin.init(&["--ca-days", "400"]);
    admin.done(&["issue", "mailhost", "--days", "100"]);
    assert_eq!(check_at(&admin, "+69d", &[]), [""; 0]);
    let warned = ["mailhost-expiry warning mailhost.example.org"];
    assert_eq!(check_at(&admin, "+71d", &[]), warned);
    assert_eq!(check_at(&admin, "+50d", &["--within", "60d"]), warned);
    assert_eq!(check_at(&admin, "+71d", &["--within", "5d"]), [""; 0]);
    let critical = ["mailhost-expiry critical mailhost.example.org"];
    assert_eq!(check_at(&admin, "+94d", &[]), critical);
    assert_eq!(check_at(&admin, "+80d", &["--critical", "21d"]), critical);
    // Expired, it leaves the map, and the one last written has it.
    assert_eq!(
        check_at(&admin, "+101d", &[]),
        [critical[0], &format!("map-stale warning {MAP}")]
    );
    let end = check_at(&admin, "+395d", &[]);
    for one in [
        "ca-expiry critical example.org",
        "relay-expiry critical relayhost.example.org",
    ] {
        assert!(end.contains(&one.to_owned()), "{end:?}");
    }
    let table = at(&admin, "+401d", &["check"]);
    assert_eq!(table.code, Some(4));
    assert!(table.stdout.contains("all mail stops") && table.stderr.contains("rollover prepare"));
}

#[test]
fn a_renewed_certificate_counts_and_the_old_one_is_to_be_retired() {
    let admin = Admin::new();
    let init = [
        "init",
        "example.org",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ];
    at(&admin, "-25d", &init).done();
    at(
        &admin,
        "-25d",
        &["issue", "mailhost", "other", "--days", "60"],
    )
    .done();
    admin.done(&["renew", "mailhost", "--days", "600"]);
    let two_weeks = [
        "renew",
        "--rekey",
        "other",
        "--retire-after",
        "14d",
        "--days",
        "600",
    ];
    admin.done(&two_weeks);
    // The old ones expire soon: no alarm, there are new ones.
    assert_eq!(check(&admin, &[]), [""; 0]);
    assert_eq!(check_at(&admin, "+13d", &[]), [""; 0]);
    assert_eq!(
        check_at(&admin, "+15d", &[]),
        [
            format!("map-stale warning {MAP}"),
            "retirement-due warning other.example.org".to_owned()
        ]
    );
    assert_eq!(
        check_at(&admin, "+31d", &[])[1..],
        [
            "not-retired warning mailhost.example.org",
            "retirement-due warning other.example.org"
        ]
    );
    // Once they have expired there is nothing to retire.
    assert_eq!(
        check_at(&admin, "+36d", &[]),
        [format!("map-stale warning {MAP}")]
    );
    // The new one is taken back: the calendar would leave the host without any.
    let new = sqlite(
        &admin,
        "select serial from certificates where host like 'other%' order by not_after desc limit 1",
    );
    admin.done(&["revoke", new.trim()]);
    let cut_off = check_at(&admin, "+15d", &[]);
    assert!(
        cut_off.contains(&"last-certificate-retired critical other.example.org".to_owned()),
        "{cut_off:?}"
    );
    assert!(
        at(&admin, "+15d", &["check"])
            .stdout
            .contains("relays still, because the host has no other"),
        "as the map has it"
    );
    assert!(
        at(&admin, "+15d", &["map"])
            .done()
            .contains("other.example.org")
    );
}

#[test]
fn a_clock_before_the_last_event_is_wrong() {
    let admin = Admin::with_mailhost();
    assert_eq!(check_at(&admin, "-2m", &[]), [""; 0]);
    assert!(check_at(&admin, "-30m", &[]).contains(&"clock-behind warning clock".to_owned()));
    let yesterday = check_at(&admin, "-2d", &[]);
    for one in [
        "clock-behind warning clock",
        "not-yet-valid critical example.org",
        "not-yet-valid critical mailhost.example.org",
        "not-yet-valid critical relayhost.example.org",
    ] {
        assert!(yesterday.contains(&one.to_owned()), "{yesterday:?}");
    }
}

#[test]
fn the_map_last_written_is_compared_with_the_map_as_it_should_be() {
    let admin = Admin::with_mailhost();
    let path = admin.part(MAP);
    let one_host = fs::read(&path).unwrap();
    admin.done(&["issue", "other"]);
    let two_hosts = fs::read(&path).unwrap();
    let put = |content: &[u8]| fs::write(&path, content).unwrap();
    put(&one_host);
    assert_eq!(
        check(&admin, &[]),
        [format!("map-lacks-host critical {MAP}")]
    );
    admin.done(&["revoke", "other"]);
    put(&two_hosts);
    assert_eq!(check(&admin, &[]), [format!("map-stale critical {MAP}")]);
    put(b"not an archive");
    assert_eq!(
        check(&admin, &[]),
        [format!("map-unreadable warning {MAP}")]
    );
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&admin, &[]), [format!("map-missing warning {MAP}")]);
    admin.done(&["bundle", "relayhost"]);
    assert_eq!(check(&admin, &[]), [""; 0]);
    settings(&admin, "digest = \"sha256\"", "digest = \"sha512\"");
    assert_eq!(
        check(&admin, &[]),
        [
            format!("map-lacks-host critical {MAP}"),
            format!("map-stale warning {MAP}")
        ]
    );
}

#[test]
fn relayca_toml_is_compared_with_what_was_issued() {
    let admin = Admin::with_mailhost();
    let toml = fs::read_to_string(admin.part("relayca.toml")).unwrap();
    let again = || fs::write(admin.part("relayca.toml"), &toml).unwrap();
    let add = |text: &str| fs::write(admin.part("relayca.toml"), format!("{toml}{text}")).unwrap();

    add("[host.\"mailhots.example.org\"]\nsenders = [\"example.org\"]\n");
    let told = check(&admin, &[]);
    assert!(
        told.contains(&"unknown-host-settings warning mailhots.example.org".to_owned()),
        "{told:?}"
    );
    add("[host.\"mailhost.example.org\"]\nsenders = [\"example.org\"]\n");
    assert_eq!(check(&admin, &[]), [format!("senders-stale warning {MAP}")]);
    // What ends it, whether the relay has them already or not.
    let hint = "`relayca bundle relayhost.example.org` writes them anew";
    assert!(admin.run(&["check"]).stderr.contains(hint));
    admin.done(&["bundle", "relayhost"]);
    assert_eq!(check(&admin, &[]), [""; 0]);
    again();
    assert_eq!(check(&admin, &[]), [format!("senders-stale warning {MAP}")]);
    admin.done(&["bundle", "relayhost"]);

    settings(
        &admin,
        "relayhost.example.org:2500",
        "relay2.example.org:2500",
    );
    assert_eq!(
        check(&admin, &[]),
        [
            "relay-without-certificate critical relay2.example.org",
            "relay-not-in-settings warning relayhost.example.org"
        ]
    );
    again();
    let stranger = keygen(&admin.file("stranger.txt"));
    let drift = ["recipients-drift warning relayca.toml"];
    settings(
        &admin,
        "recipients = [",
        &format!("recipients = [\"{stranger}\", "),
    );
    assert_eq!(check(&admin, &[]), drift, "a second one");
    again();
    settings(&admin, admin.recipient(), &stranger);
    assert_eq!(check(&admin, &[]), [""; 0], "a header does not tell who");
    assert_eq!(check(&admin, &["--open", "-i", "key.txt"]), drift);
    again();
    settings(
        &admin,
        "domain = \"example.org\"",
        "domain = \"example.net\"",
    );
    assert!(check(&admin, &[]).contains(&"settings-domain critical relayca.toml".to_owned()));
}

#[test]
fn revocation_lists_matter_once_there_is_one() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "other"]);
    admin.done(&["revoke", "other"]);
    assert_eq!(check(&admin, &[]), [""; 0], "nobody here reads lists");
    admin.done(&["crl", "--out", "crl.pem"]);
    assert_eq!(check(&admin, &[]), [""; 0]);
    assert_eq!(check_at(&admin, "+19d", &[]), [""; 0]);
    assert_eq!(check_at(&admin, "+21d", &[]), ["crl-expiry warning CRL 1"]);
    assert_eq!(check_at(&admin, "+31d", &[]), ["crl-expiry critical CRL 1"]);
    admin.done(&["issue", "third"]);
    admin.done(&["revoke", "third", "--reason", "keyCompromise"]);
    assert_eq!(check(&admin, &[]), ["crl-lacks-revocation warning CRL 1"]);
    admin.done(&["crl", "--out", "crl.pem"]);
    assert_eq!(check(&admin, &[]), [""; 0]);
}

/// A new CA in the inventory and on the disk, made some days ago.
fn another_ca(admin: &Admin, days_ago: i64) -> String {
    let now = OffsetDateTime::now_utc() - time::Duration::days(days_ago);
    let new = NewAuthority {
        domain: Domain::parse("example.org").unwrap(),
        permits: Vec::new(),
        key_type: KeyType::P256,
        days: 3000,
    };
    let ca = Authority::create(&new, now).unwrap();
    let ca = ca.certificate();
    let stamp = |at: OffsetDateTime| {
        let format = &time::format_description::well_known::Rfc3339;
        at.truncate_to_second().format(format).unwrap()
    };
    let serial = ca.serial().to_string();
    let mut inventory = relayca_inventory::open(&admin.part("inventory.db")).unwrap();
    let mut change = inventory.change().unwrap();
    change
        .add_certificate(&CertificateRecord {
            serial: serial.clone(),
            host: "example.org".into(),
            role: "ca".into(),
            certificate_der: ca.der().to_vec(),
            spki_sha256: "0".repeat(64),
            not_before: stamp(ca.not_before()),
            not_after: stamp(ca.not_after()),
            issued_at: stamp(now),
            state: State::Live,
        })
        .unwrap();
    change.set_phase(&serial, Phase::Prepared).unwrap();
    change.commit().unwrap();
    let directory = admin.part(&format!("ca/{serial}"));
    fs::create_dir(&directory).unwrap();
    mode(&directory, 0o700);
    fs::write(directory.join("ca.crt.pem"), ca.to_pem()).unwrap();
    for name in ["ca.key.pem", "ca.passphrase.age"] {
        fs::copy(admin.part(&format!("ca/{name}")), directory.join(name)).unwrap();
    }
    serial
}

fn phases(admin: &Admin, phases: &[(&str, Phase)]) {
    let mut inventory = relayca_inventory::open(&admin.part("inventory.db")).unwrap();
    let mut change = inventory.change().unwrap();
    for (serial, phase) in phases {
        change.set_phase(serial, *phase).unwrap();
    }
    change.commit().unwrap();
}

#[test]
fn a_rollover_is_watched_until_it_is_over() {
    let admin = Admin::with_mailhost();
    let old = sqlite(&admin, "select serial from authorities")
        .trim()
        .to_owned();
    let new = another_ca(&admin, 1);
    assert_eq!(check(&admin, &[]), [""; 0]);
    assert_eq!(
        check_at(&admin, "+90d", &[]),
        ["rollover-unfinished warning example.org"]
    );
    let key = format!("ca/{new}/ca.key.pem");
    assert_eq!(
        check(&admin, &["--open"]),
        [format!("ca-key-differs critical {key}")]
    );

    phases(&admin, &[(&old, Phase::Outgoing), (&new, Phase::Active)]);
    fs::rename(admin.part(&format!("ca/{new}")), admin.file("new")).unwrap();
    fs::create_dir(admin.part(&format!("ca/{old}"))).unwrap();
    mode(&admin.part(&format!("ca/{old}")), 0o700);
    for name in ["ca.crt.pem", "ca.key.pem", "ca.passphrase.age"] {
        fs::rename(
            admin.part(&format!("ca/{name}")),
            admin.part(&format!("ca/{old}/{name}")),
        )
        .unwrap();
        fs::rename(
            admin.file(&format!("new/{name}")),
            admin.part(&format!("ca/{name}")),
        )
        .unwrap();
    }
    let in_use = "outgoing-ca-in-use warning example.org";
    assert_eq!(check(&admin, &[]), [in_use]);
    assert_eq!(
        check_at(&admin, "+91d", &[]),
        [in_use, "rollover-unfinished warning example.org"]
    );
    let report = admin.run(&["check", "--json"]).stdout;
    assert!(
        report.contains("2 hosts hang on") && report.contains("mailhost.example.org, relayhost"),
        "{report}"
    );

    phases(&admin, &[(&old, Phase::Retired)]);
    assert_eq!(
        check(&admin, &[]),
        [
            "untrusted-certificate critical mailhost.example.org",
            "untrusted-certificate critical relayhost.example.org"
        ]
    );
}

#[test]
fn a_rollover_by_its_commands_is_silent_but_for_what_is_left_to_do() {
    let admin = Admin::new();
    let init = [
        "init",
        "example.org",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ];
    at(&admin, "-3d", &init).done();
    at(&admin, "-3d", &["issue", "mailhost"]).done();
    at(&admin, "-2d", &["rollover", "prepare"]).done();
    assert_eq!(check(&admin, &["--open"]), [""; 0]);
    at(&admin, "-1d", &["rollover", "activate"]).done();
    let left = ["outgoing-ca-in-use warning example.org"];
    assert_eq!(check(&admin, &["--open"]), left);
    assert!(admin.run(&["check"]).stderr.contains("renew --due"));
    admin.done(&["renew", "--due"]);
    assert_eq!(check(&admin, &["--open"]), left);
    assert!(admin.run(&["check"]).stderr.contains("retire HOST"));
    admin.done(&["retire", "mailhost", "relayhost"]);
    assert_eq!(check(&admin, &["--open"]), [""; 0]);
    // Nothing hangs on the old CA, and yet it is not let go: counted from the day when the new one took over.
    assert_eq!(check_at(&admin, "+88d", &[]), [""; 0]);
    assert_eq!(
        check_at(&admin, "+90d", &[]),
        ["rollover-unfinished warning example.org"]
    );
    admin.done(&["rollover", "retire"]);
    assert_eq!(check(&admin, &["--open"]), [""; 0]);
    assert_eq!(check_at(&admin, "+90d", &[]), [""; 0]);
}
