//! When a script refuses, or takes back what it did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;
mod still;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use pair::{MAIL_HOST, RELAY, config_files, write};
use relayca_postfix::{
    NextHop, RelayStyle, Style, access_map_text, mail_host_snippet, map_script, relay_snippet,
};
use still::*;

#[test]
fn a_port_that_another_service_has_is_refused() {
    let instance = instance();
    let (_, master) = config_files(&instance);
    for (line, port) in [
        ("127.0.0.1:2500 inet n - n - - smtpd", 2500),
        ("[::1]:2500 inet n - n - - smtpd", 2500),
        ("smtp inet n - n - - smtpd", 25),
        ("submission inet n - n - - smtpd", 587),
    ] {
        write(
            &instance.config().join("master.cf"),
            &format!("{master}{line}\n"),
        );
        let mut wanted = service(&instance);
        wanted.port = port;
        let said = try_paste(
            &instance,
            &relay_snippet(&wanted, RelayStyle::Block).unwrap().script,
        );
        assert!(
            !said.ok() && said.stderr.contains("too; nothing was changed"),
            "{line}: {said:?}"
        );
        assert_eq!(config_files(&instance).1, format!("{master}{line}\n"));
    }
}

#[test]
fn a_broken_block_is_left_to_people() {
    let instance = instance();
    let (_, master) = config_files(&instance);
    for text in [
        "# BEGIN relayca example.org relay\n2500 inet n - n - - smtpd\n",
        "# END relayca example.org relay\n",
        "# BEGIN relayca example.net relay\n# BEGIN relayca example.org relay\n# END relayca example.org relay\n",
    ] {
        write(
            &instance.config().join("master.cf"),
            &format!("{master}{text}"),
        );
        let said = try_paste(&instance, &block(&instance));
        assert!(
            !said.ok() && said.stderr.contains("master.cf: the block of example."),
            "{text}: {said:?}"
        );
        assert_eq!(config_files(&instance).1, format!("{master}{text}"));
    }
}

#[test]
fn what_is_missing_is_named_before_anything_changes() {
    let instance = instance();
    let before = config_files(&instance);
    for file in [
        "relay.example.org.key.pem",
        "relay.example.org.crt.pem",
        "example.org-ca.crt.pem",
        "relay_clientcerts",
    ] {
        let path = instance.config().join("relayca").join(file);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let said = try_paste(&instance, &block(&instance));
        assert!(
            !said.ok()
                && said.stderr.contains(&format!("relayca/{file} is missing"))
                && said.stdout.is_empty(),
            "{said:?}"
        );
        fs::write(path, kept).unwrap();
    }
    assert_eq!(before, config_files(&instance));
    assert!(
        !paste_into(
            &instance,
            &["setpriv", "--reuid=65534", "--clear-groups", "sh"],
            &block(&instance)
        )
        .ok(),
        "not as root"
    );
    assert_eq!(before, config_files(&instance));
}

#[test]
fn the_old_files_come_back_if_postfix_does_not_take_the_new_ones() {
    let instance = instance();
    let before = everything(&instance);
    pretend(
        &instance,
        "postfix",
        "[ \"$1\" != check ] || { echo 'postfix: fatal: something' >&2; exit 1; }",
    );
    for script in &every_script(&instance)[..7] {
        if script.contains("relay_ccert_access") {
            continue;
        }
        let said = try_paste(&instance, script);
        assert!(!said.ok() && said.stderr.contains("as before"), "{said:?}");
        let after = everything(&instance);
        let known = |files: &[(String, u32, Vec<u8>)]| {
            files
                .iter()
                .filter(|(name, _, _)| !name.ends_with(".db"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(known(&before), known(&after));
    }
    // Also when a program on the way fails, and when the shell is told to stop.
    for (program, what) in [
        ("mv", "exit 1"),
        ("awk", "exit 1"),
        ("postmap", "exit 1"),
        ("postfix", "kill -TERM $PPID; sleep 1"),
    ] {
        pretend(&instance, program, what);
        let said = try_paste(&instance, &block(&instance));
        assert!(!said.ok(), "{program}: {said:?}");
        real(&instance, program);
        let (main, master) = config_files(&instance);
        assert_eq!(
            (main.as_bytes(), master.as_bytes()),
            (
                &*before.iter().find(|f| f.0.ends_with("main.cf")).unwrap().2,
                &*before
                    .iter()
                    .find(|f| f.0.ends_with("master.cf"))
                    .unwrap()
                    .2
            ),
            "{program}"
        );
    }
}

#[test]
fn a_map_that_postmap_refuses_leaves_the_old_one() {
    let instance = instance();
    let old = fs::read(instance.config().join("relayca/relay_clientcerts")).unwrap();
    pretend(&instance, "postmap", "exit 1");
    let script = map_script(
        &instance.config_inside(),
        &format!("{FINGERPRINT} mail.example.org\n"),
        None,
    )
    .unwrap();
    let said = try_paste(&instance, &script);
    assert!(
        !said.ok() && said.stderr.contains("the map is as before"),
        "{said:?}"
    );
    assert_eq!(
        fs::read(instance.config().join("relayca/relay_clientcerts")).unwrap(),
        old
    );

    real(&instance, "postmap");
    paste(&instance, &script);
    let map = instance.config().join("relayca/relay_clientcerts");
    assert_eq!(
        fs::read_to_string(&map).unwrap(),
        format!("{FINGERPRINT} mail.example.org\n")
    );
    assert_eq!(fs::metadata(&map).unwrap().mode() & 0o777, 0o644);
    let said = instance
        .run(
            "postmap",
            &["-q", FINGERPRINT, &format!("hash:{}", map.display())],
        )
        .unwrap();
    assert_eq!(said.stdout, "mail.example.org\n");
}

#[test]
fn maps_are_checked_before_they_are_pasted() {
    for (text, line) in [
        ("A\nRELAYCA_END\nrm -rf /\n", 2),
        ("a\tb\n", 1),
        ("\u{e9}\n", 1),
        ("a\r\n", 1),
        ("a\0\n", 1),
    ] {
        let error = map_script("/etc/postfix", text, None).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("line {line} ")),
            "{error}"
        );
    }
    assert!(
        map_script("/etc/postfix", "# $(reboot) `reboot` '\"\n", Some(1)).is_ok(),
        "the heredoc is quoted"
    );
    assert!(map_script("etc/postfix", "", None).is_err());
    let twice = [
        (FINGERPRINT.to_owned(), MAIL_HOST.to_owned()),
        (FINGERPRINT.to_owned(), RELAY.to_owned()),
    ];
    assert!(access_map_text(&twice, &[]).is_err());
    assert!(access_map_text(&[(FINGERPRINT.to_lowercase(), MAIL_HOST.to_owned())], &[]).is_err());
}

#[test]
fn old_versions_are_refused_where_they_would_break() {
    let instance = instance();
    let mut two = mail_host(&instance, Style::Transport);
    two.relays.push(NextHop {
        destination: "relay2.example.org".to_owned(),
        port: 2500,
        certificate_name: "relay2.example.org".to_owned(),
    });
    let (one, two) = (
        transport(&instance),
        mail_host_snippet(&two).unwrap().script,
    );
    let before = config_files(&instance);
    for (version, one_works, two_work) in [
        ("2.11.3", false, false),
        ("3.3.22", false, false),
        ("3.3", false, false),
        ("3.4.23", true, false),
        ("3.4-RC1", true, false),
        ("3.5.25", true, true),
        ("3.11.7", true, true),
        ("3.31.1", true, true),
    ] {
        pretend(
            &instance,
            "postconf",
            &format!(
                "[ \"$*\" != '-h mail_version' ] || {{ echo {version}; exit; }}\nexec /usr/sbin/postconf \"$@\""
            ),
        );
        for (script, works) in [(&one, one_works), (&two, two_work)] {
            let said = try_paste(&instance, script);
            assert_eq!(said.ok(), works, "{version}: {said:?}");
            assert_eq!(
                said.stderr.contains("older than"),
                !works,
                "{version}: {said:?}"
            );
        }
        write(&instance.config().join("main.cf"), &before.0);
        write(&instance.config().join("master.cf"), &before.1);
    }
}

#[test]
fn a_setting_of_later_versions_is_written_only_where_it_is_known() {
    let instance = instance();
    let line = "tls_required_enable = no";
    let fake = |known: &str| {
        format!(
            "[ \"$*\" != '-dh tls_required_enable' ] || {{ {known}; exit; }}\n[ \"$*\" != '-e {line}' ] || {{ echo '{line}' >> $MAIL_CONFIG/main.cf; exit; }}\nexec /usr/sbin/postconf \"$@\""
        )
    };
    for style in [Style::Transport, Style::Main, Style::Postconf] {
        let script = mail_host_snippet(&mail_host(&instance, style))
            .unwrap()
            .script;
        let before = config_files(&instance);
        for (known, expected) in [("echo yes", true), ("true", false)] {
            pretend(&instance, "postconf", &fake(known));
            assert!(try_paste(&instance, &script).ok());
            assert_eq!(
                config_files(&instance).0.lines().any(|l| l == line),
                expected,
                "{style} {known}"
            );
            write(&instance.config().join("main.cf"), &before.0);
            write(&instance.config().join("master.cf"), &before.1);
        }
    }
}

#[test]
fn settings_that_send_mail_another_way_are_named() {
    let instance = instance();
    let set = |setting: &str| assert!(instance.run("postconf", &["-e", setting]).unwrap().ok());
    assert_eq!(
        paste(&instance, &transport(&instance)).stderr,
        "relayca: Postfix is not running; what was written counts when it starts\nrelayca: done\n"
    );
    set("transport_maps = inline:{ x=y }");
    set("relayhost = [old.example.org]");
    let said = paste(&instance, &transport(&instance)).stderr;
    assert!(
        said.contains("warning: transport_maps = inline:{ x=y } comes before default_transport"),
        "{said}"
    );
    assert!(
        said.contains("warning: relayhost = [old.example.org] has no say any more"),
        "{said}"
    );
    set("sender_dependent_relayhost_maps = inline:{ x=y }");
    let said = paste(
        &instance,
        &mail_host_snippet(&mail_host(&instance, Style::Main))
            .unwrap()
            .script,
    )
    .stderr;
    assert!(
        said.contains(
            "warning: sender_dependent_relayhost_maps = inline:{ x=y } comes before relayhost"
        ),
        "{said}"
    );
}
