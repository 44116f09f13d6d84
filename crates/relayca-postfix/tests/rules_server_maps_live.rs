//! What the rules about tables claim of Postfix, on a real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod rules_live;

use rules_live::{
    Bench, DEFER, ENCRYPT, Hosts, REQUIRE, SHA256, SOON, client, fingerprint, postmap, row, table,
    trusting,
};
use xtask::lab::wait_for;

#[test]
fn a_table_is_what_postfix_opens_and_not_what_was_meant() {
    let mut bench = Bench::new();
    let hosts = Hosts::new(&bench);
    let Hosts { listed, .. } = &hosts;
    let ca = trusting(&bench);
    let sha256 = listed.fingerprint().unwrap();
    let md5 = fingerprint(listed, "md5");
    let service = |bench: &mut Bench, table: &str, more: &[&str]| {
        let map = format!("relay_clientcerts={table}");
        let mut all = vec![ENCRYPT, REQUIRE, ca.as_str(), map.as_str(), DEFER];
        all.extend_from_slice(more);
        bench.server(&all)
    };
    let good = table(&bench, "good", &row(listed));
    let refused = [
        table(
            &bench,
            "no-colons",
            &format!("{} mail\n", sha256.replace(':', "")),
        ),
        table(
            &bench,
            "openssl",
            &format!("SHA256 Fingerprint={sha256} mail\n"),
        ),
        table(&bench, "cut", &format!("{} mail\n", &sha256[..60])),
        table(&bench, "name", "mail.example.org yes\n"),
        table(&bench, "md5", &format!("{md5} mail\n")),
        table(&bench, "continued", &format!("AA:BB one\n {sha256} mail\n")),
        table(&bench, "without-value", &format!("{sha256}\n")),
    ]
    .map(|table| service(&mut bench, &table, &[SHA256]));
    let lower = table(
        &bench,
        "lower",
        &format!("{} mail\n", sha256.to_lowercase()),
    );
    let reject = table(&bench, "reject", &format!("{sha256} REJECT\n"));
    let relays = [lower, reject].map(|table| service(&mut bench, &table, &[SHA256]));
    let by_old_default = table(&bench, "old", &format!("{md5} mail\n"));
    let old_default = service(&mut bench, &by_old_default, &["compatibility_level=3.5"]);
    let missing = service(&mut bench, "lmdb:/nowhere/map", &[SHA256]);
    let unknown = service(&mut bench, "nosuch:/nowhere/map", &[SHA256]);
    let relative = service(&mut bench, "lmdb:good", &[SHA256]);
    let without_type = service(&mut bench, &good.replace("lmdb:", ""), &[SHA256]);
    let names = good.clone();
    let no_action = bench.server(&[
        ENCRYPT,
        REQUIRE,
        &ca,
        SHA256,
        &format!("smtpd_relay_restrictions=check_ccert_access,{names},defer"),
    ]);
    // Two rows for one fingerprint: one of them stays.
    let twice = bench.write("twice", format!("{sha256} one\n{sha256} two\n"));
    assert!(postmap("lmdb", &twice).contains("duplicate entry"));
    // What says nothing, and what does.
    assert_eq!(
        postmap(
            "lmdb",
            &bench.write("o", format!("SHA256 Fingerprint={sha256} mail\n"))
        ),
        ""
    );
    assert!(
        postmap("lmdb", &bench.write("v", format!("{sha256}\n")))
            .contains("expected format: key whitespace value")
    );
    let open = bench.write("open", row(listed));
    postmap("lmdb", &open);
    for path in [open.clone(), format!("{open}.lmdb")] {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
    }
    let writable = service(&mut bench, &format!("lmdb:{open}"), &[SHA256]);
    bench.start();
    std::fs::copy(
        bench.directory.path().join("good.lmdb"),
        bench.postfix().config().join("good.lmdb"),
    )
    .unwrap();

    for port in refused {
        client(listed).relay(port).hears("450 4.3.2");
        assert!(
            !bench.log_of(port).contains("warning"),
            "{}",
            bench.log_of(port)
        );
    }
    for port in relays.into_iter().chain([old_default, writable]) {
        client(listed).relay(port).hears("250 2.1.5");
    }
    assert!(
        !bench.log_of(writable).contains("warning"),
        "{}",
        bench.log_of(writable)
    );
    for port in [missing, unknown, relative] {
        client(listed).relay(port).hears("451 4.3.0");
    }
    bench.logged(
        missing,
        "error: open database /nowhere/map.lmdb: No such file or directory",
    );
    bench.logged(unknown, "unsupported dictionary type: nosuch");
    bench.logged(relative, "good.lmdb: No such file or directory");
    bench.stops(without_type, "expecting \"type:name\" form");
    client(listed)
        .relay(no_action)
        .hears("451 4.3.5 Server configuration error");
    bench.logged(no_action, "unknown smtpd restriction");
}

#[test]
fn a_line_that_was_taken_out_relays_until_postmap_or_a_reload() {
    let mut bench = Bench::new();
    bench.set("max_use", "100");
    // One smtpd a service: a second one would read the tables anew.
    bench.set("default_process_limit", "1");
    let hosts = Hosts::new(&bench);
    let Hosts {
        listed, unlisted, ..
    } = &hosts;
    let ca = trusting(&bench);
    let both = [listed, unlisted].map(row).concat();
    let database = bench.write("database", &both);
    postmap("lmdb", &database);
    let text = bench.write("text", &both);
    let service = |bench: &mut Bench, table: &str| {
        let map = format!("relay_clientcerts={table}");
        bench.server(&[ENCRYPT, REQUIRE, &ca, SHA256, &map, DEFER])
    };
    let built = service(&mut bench, &format!("lmdb:{database}"));
    let read = service(&mut bench, &format!("texthash:{text}"));
    let pattern = bench.write(
        "pattern",
        format!("/^{}$/ other\n", unlisted.fingerprint().unwrap()),
    );
    let matched = service(&mut bench, &format!("regexp:{pattern}"));
    bench.start();
    for port in [built, read, matched] {
        client(unlisted).relay(port).hears("250 2.1.5");
    }
    for name in ["database", "text"] {
        bench.write(name, row(listed));
    }
    bench.write("pattern", "/^nobody$/ other\n");
    for port in [built, read, matched] {
        client(unlisted).relay(port).hears("250 2.1.5");
        assert!(
            !bench.log_of(port).contains("older than source"),
            "{}",
            bench.log_of(port)
        );
    }
    assert_eq!(postmap("lmdb", &database), "");
    client(unlisted).relay(built).hears("450 4.3.2");
    client(unlisted).relay(read).hears("250 2.1.5");
    bench.postfix().reload().unwrap();
    client(unlisted).relay(read).hears("450 4.3.2");
    client(unlisted).relay(matched).hears("450 4.3.2");
    client(listed).relay(read).hears("250 2.1.5");
    assert!(
        !bench.log_of(built).contains("older than source"),
        "{}",
        bench.log_of(built)
    );
    // A change of some minutes ago, when the table is opened anew.
    let ago = |path: &str, minutes: u64| {
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(
            std::time::SystemTime::now() - std::time::Duration::from_secs(60 * minutes),
        )
        .unwrap();
    };
    ago(&format!("{database}.lmdb"), 10);
    ago(&database, 5);
    bench.postfix().reload().unwrap();
    wait_for("the warning", SOON, || {
        let _ = client(listed).relay(built);
        bench.log_of(built).contains("is older than source file")
    })
    .unwrap();
}
