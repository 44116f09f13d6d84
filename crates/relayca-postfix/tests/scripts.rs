//! The scripts on the files of a Postfix that does not run: what they change, what they leave, and when they refuse.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use pair::{DOMAIN, MAIL_HOST, RELAY, config_files, write};
use relayca_postfix::{
    MailHost, NextHop, Refusal, RelayService, RelayStyle, SenderBinding, Style, access_map_text,
    mail_host_snippet, map_script, relay_snippet,
};
use xtask::lab::{Instance, Pasted, Setup};

const FINGERPRINT: &str = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

/// An instance with relayca's files, whose contents do not matter here.
fn instance() -> Instance {
    let instance = Setup::new(RELAY).create().unwrap();
    for file in [
        "relay.example.org.key.pem",
        "relay.example.org.crt.pem",
        "mail.example.org.key.pem",
        "mail.example.org.crt.pem",
        "example.org-ca.crt.pem",
        "example.net-ca.crt.pem",
    ] {
        write(&instance.config().join("relayca").join(file), "PEM\n");
    }
    // Postfix waits two seconds for each main.cf that was written just now. What the real thing says is for the other
    // tests.
    pretend(&instance, "postfix", "[ \"$1\" = check ]");
    pretend(&instance, "postmap", "[ -f \"$1\" ]");
    paste(
        &instance,
        &map_script(&instance.config_inside(), "# nobody\n").unwrap(),
    );
    instance
}

/// No longer pretends.
fn real(instance: &Instance, program: &str) {
    fs::remove_file(instance.directory().join("bin").join(program)).unwrap();
}

/// Puts a program of another's name first on the path.
fn pretend(instance: &Instance, program: &str, script: &str) {
    let bin = instance.directory().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(program), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
}

fn paste_into(instance: &Instance, shell: &[&str], script: &str) -> Pasted {
    pair::backdate(instance);
    let path = format!(
        "PATH={}:{}:/usr/sbin",
        instance.directory().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    instance
        .paste_into(&[&["env", path.as_str()], shell].concat(), script)
        .unwrap()
}

fn try_paste(instance: &Instance, script: &str) -> Pasted {
    paste_into(instance, &["sh"], script)
}

fn paste(instance: &Instance, script: &str) -> Pasted {
    let pasted = try_paste(instance, script);
    assert!(pasted.ok(), "{pasted:?}");
    pasted
}

fn service(instance: &Instance) -> RelayService {
    RelayService {
        domain: DOMAIN.to_owned(),
        relay: RELAY.to_owned(),
        port: 2500,
        wrapper: false,
        config_directory: instance.config_inside(),
        digest: "sha256".to_owned(),
        refusal: Refusal::Defer,
        senders: Vec::new(),
    }
}

fn mail_host(instance: &Instance, style: Style) -> MailHost {
    MailHost {
        domain: DOMAIN.to_owned(),
        host: MAIL_HOST.to_owned(),
        config_directory: instance.config_inside(),
        relays: vec![NextHop {
            destination: RELAY.to_owned(),
            port: 2500,
            certificate_name: RELAY.to_owned(),
        }],
        wrapper: false,
        style,
    }
}

fn block(instance: &Instance) -> String {
    relay_snippet(&service(instance), RelayStyle::Block)
        .unwrap()
        .script
}

fn transport(instance: &Instance) -> String {
    mail_host_snippet(&mail_host(instance, Style::Transport))
        .unwrap()
        .script
}

fn every_script(instance: &Instance) -> Vec<String> {
    let mut bound = service(instance);
    bound.senders = vec![SenderBinding {
        host: MAIL_HOST.to_owned(),
        senders: vec![DOMAIN.to_owned()],
    }];
    let mut two = mail_host(instance, Style::Main);
    two.relays.push(NextHop {
        destination: "2001:db8::1".to_owned(),
        port: 465,
        certificate_name: "relay2.example.org".to_owned(),
    });
    two.wrapper = true;
    vec![
        block(instance),
        relay_snippet(&service(instance), RelayStyle::Postconf)
            .unwrap()
            .script,
        relay_snippet(&bound, RelayStyle::Block).unwrap().script,
        relay_snippet(&bound, RelayStyle::Postconf).unwrap().script,
        transport(instance),
        mail_host_snippet(&mail_host(instance, Style::Main))
            .unwrap()
            .script,
        mail_host_snippet(&mail_host(instance, Style::Postconf))
            .unwrap()
            .script,
        mail_host_snippet(&two).unwrap().script,
        map_script(
            &instance.config_inside(),
            &format!("{FINGERPRINT} mail.example.org\n"),
        )
        .unwrap(),
    ]
}

/// Everything in the configuration directory, with names and modes.
fn everything(instance: &Instance) -> Vec<(String, u32, Vec<u8>)> {
    let mut files = Vec::new();
    for directory in [instance.config(), instance.config().join("relayca")] {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                files.push((
                    entry.path().display().to_string(),
                    entry.metadata().unwrap().mode(),
                    fs::read(entry.path()).unwrap(),
                ));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn scripts_are_plain_to_paste() {
    let instance = instance();
    for script in every_script(&instance) {
        assert!(script.is_ascii() && !script.contains('\t') && !script.contains('\r'));
        for line in script.lines() {
            assert!(!line.ends_with('\\') && !line.ends_with(' '), "{line}");
            assert!(
                line.len() < 1000,
                "too long for a terminal in line mode: {line}"
            );
            let comment = line.trim_start().starts_with('#');
            assert!(
                !(comment && line.contains(['\'', '!', '"'])),
                "history expansion and quotes in {line}"
            );
            if let Some(option) = line.trim_start().strip_prefix("-o ") {
                assert!(!option.contains(' '), "{line}");
            }
        }
        assert!(script.ends_with("\n)\n"), "{script}");
        assert_eq!(script.lines().filter(|line| *line == "(").count(), 1);
    }
}

#[test]
fn every_setting_is_one_that_postfix_sees() {
    let instance = instance();
    paste(&instance, &block(&instance));
    paste(&instance, &transport(&instance));
    pair::backdate(&instance);
    for (service, script) in [
        ("2500/inet", block(&instance)),
        ("relayca/unix", transport(&instance)),
    ] {
        let seen = instance.run("postconf", &["-P", service]).unwrap();
        let seen: Vec<String> = seen
            .stdout
            .lines()
            .map(|line| line.replacen(" =", "=", 1).replacen("= ", "=", 1))
            .collect();
        let written: Vec<&str> = script
            .lines()
            .filter_map(|line| line.strip_prefix("  -o "))
            .collect();
        assert!(written.len() > 15);
        for option in written {
            let line = format!("{service}/{option}");
            assert!(seen.contains(&line), "{line} not in\n{seen:#?}");
            let (name, _) = option.split_once('=').unwrap();
            let known = instance.run("postconf", &["-d", name]).unwrap();
            assert!(known.stdout.starts_with(name), "{name}: {}", known.stderr);
        }
    }
    let said = instance.run("postconf", &[]).unwrap();
    assert_eq!(said.stderr, "", "unused parameters");
}

#[test]
fn a_paste_cut_short_does_nothing() {
    let instance = instance();
    for script in [
        block(&instance),
        transport(&instance),
        map_script(
            &instance.config_inside(),
            &format!("{FINGERPRINT} mail.example.org\n"),
        )
        .unwrap(),
    ] {
        let before = everything(&instance);
        let lines: Vec<&str> = script.split_inclusive('\n').collect();
        // Every line in turn is the last; every third is torn in its middle.
        for count in 3..lines.len() {
            let mut cut = lines[..count].concat();
            if count % 3 == 0 {
                cut.truncate(cut.len() - lines[count - 1].len() / 2 - 1);
            }
            let said = try_paste(&instance, &cut);
            assert!(
                count == 3 || !said.ok(),
                "cut after line {count}: {}",
                lines[count - 1]
            );
        }
        assert_eq!(before, everything(&instance));
    }
}

#[test]
fn a_paste_with_carriage_returns_does_nothing() {
    let instance = instance();
    let before = everything(&instance);
    for script in every_script(&instance) {
        for shell in [&["sh"][..], &["bash"], &["busybox", "ash"]] {
            if shell[0] == "busybox" && !Path::new("/bin/busybox").exists() {
                continue;
            }
            assert!(!paste_into(&instance, shell, &script.replace('\n', "\r\n")).ok());
        }
    }
    assert_eq!(before, everything(&instance));
}

#[test]
fn what_the_block_sets_is_commented_out_elsewhere() {
    let instance = instance();
    let (main, master) = config_files(&instance);
    write(
        &instance.config().join("main.cf"),
        &format!(
            "{main}default_transport = smtp:[old.example.org]\n# a comment within\n   , more\nrelayhost_not = 1\ndefault_transport=uucp"
        ),
    );
    write(
        &instance.config().join("master.cf"),
        &format!(
            "{master}2500 inet n - y - - smtpd\n  -o smtpd_tls_security_level=none\n\n  # still the same service\n  -o content_filter=x\nrelayca   unix - - y - - lmtp\n  -o a=b\nother unix - - n - - smtp\n  -o syslog_name=other"
        ),
    );
    fs::set_permissions(
        instance.config().join("main.cf"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    std::os::unix::fs::chown(instance.config().join("main.cf"), Some(1), Some(2)).unwrap();
    paste(&instance, &block(&instance));
    paste(&instance, &transport(&instance));
    let (main, master) = config_files(&instance);
    let line = "#relayca# default_transport = smtp:[old.example.org]\n# a comment within\n#relayca#    , more\nrelayhost_not = 1\n#relayca# default_transport=uucp\n# BEGIN relayca example.org mailhost\n";
    assert!(main.contains(line), "{main}");
    assert!(
        master.contains(
            "#relayca# 2500 inet n - y - - smtpd\n#relayca#   -o smtpd_tls_security_level=none\n\n  # still the same service\n#relayca#   -o content_filter=x\n#relayca# relayca   unix - - y - - lmtp\n#relayca#   -o a=b\nother unix - - n - - smtp\n  -o syslog_name=other\n# BEGIN"
        ),
        "{master}"
    );
    let data = fs::metadata(instance.config().join("main.cf")).unwrap();
    assert_eq!(
        (data.mode() & 0o7777, data.uid(), data.gid()),
        (0o640, 1, 2)
    );
    let services = instance.run("postconf", &["-M"]).unwrap().stdout;
    assert_eq!(
        services.lines().filter(|l| l.starts_with("2500")).count(),
        1
    );
    assert_eq!(
        services
            .lines()
            .filter(|l| l.starts_with("relayca"))
            .count(),
        1
    );

    // A line that somebody put below the block would belong to our service.
    write(
        &instance.config().join("master.cf"),
        &format!("{master}  -o smtp_tls_security_level=none\n"),
    );
    paste(&instance, &transport(&instance));
    assert_eq!(
        config_files(&instance).1,
        format!("{master}#relayca#   -o smtp_tls_security_level=none\n")
    );
}

#[test]
fn a_block_replaces_itself_where_it_stands() {
    let instance = instance();
    paste(&instance, &block(&instance));
    paste(&instance, &transport(&instance));
    let (main, master) = config_files(&instance);
    write(
        &instance.config().join("main.cf"),
        &format!("{main}\nmessage_size_limit = 1\n"),
    );
    write(
        &instance.config().join("master.cf"),
        &format!("{master}\nlast unix - - n - - smtp\n"),
    );
    let mut other_port = service(&instance);
    other_port.port = 2501;
    paste(
        &instance,
        &relay_snippet(&other_port, RelayStyle::Block)
            .unwrap()
            .script,
    );
    let (_, moved) = config_files(&instance);
    assert!(
        moved.contains("\n2501 ")
            && !moved.contains("\n2500 ")
            && moved.ends_with("\nlast unix - - n - - smtp\n"),
        "{moved}"
    );
    assert_eq!(moved.matches("# BEGIN relayca").count(), 2);
}

#[test]
fn main_cf_may_begin_and_end_with_anything() {
    for (start, end) in [
        ("\u{feff}", ""),
        ("\n\n", "\n\n\n"),
        ("# END of something\n", "x = y\n   z"),
        ("\r\n", "\r\n"),
        ("'\"`$(x)\\\n", "# no newline"),
    ] {
        let instance = instance();
        let (main, _) = config_files(&instance);
        let text = format!("{start}{main}{end}");
        write(&instance.config().join("main.cf"), &text);
        let script = transport(&instance);
        // `postfix check` may not like such a file; what counts is that nothing of it is lost.
        let said = try_paste(&instance, &script);
        let (after, _) = config_files(&instance);
        if said.ok() {
            assert!(after.starts_with(text.trim_end_matches('\n')), "{after}");
            paste(&instance, &script);
            assert_eq!(after, config_files(&instance).0);
        } else {
            assert_eq!(after, text, "{}", said.stderr);
        }
    }
}

#[test]
fn the_files_may_be_links() {
    let instance = instance();
    let real = instance.directory().join("real-main.cf");
    fs::rename(instance.config().join("main.cf"), &real).unwrap();
    symlink(&real, instance.config().join("main.cf")).unwrap();
    paste(&instance, &transport(&instance));
    assert!(
        fs::symlink_metadata(instance.config().join("main.cf"))
            .unwrap()
            .is_symlink()
    );
    assert!(
        fs::read_to_string(real)
            .unwrap()
            .contains("# END relayca example.org mailhost")
    );
}

#[test]
fn two_domains_share_a_relay_but_no_port() {
    let instance = instance();
    paste(&instance, &block(&instance));
    let (_, first) = config_files(&instance);
    let mut other = service(&instance);
    other.domain = "example.net".to_owned();
    for style in [RelayStyle::Block, RelayStyle::Postconf] {
        let said = try_paste(&instance, &relay_snippet(&other, style).unwrap().script);
        assert!(
            !said.ok()
                && said
                    .stderr
                    .contains("serves another domain (example.org-ca.crt.pem)"),
            "{said:?}"
        );
        assert_eq!(config_files(&instance).1, first);
    }
    other.port = 2501;
    paste(
        &instance,
        &relay_snippet(&other, RelayStyle::Block).unwrap().script,
    );
    let (_, both) = config_files(&instance);
    assert!(
        both.starts_with(&first) && both.ends_with("# END relayca example.net relay\n"),
        "{both}"
    );
    paste(&instance, &block(&instance));
    assert_eq!(config_files(&instance).1, both);

    // The transport and main.cf are one domain's.
    paste(&instance, &transport(&instance));
    let before = config_files(&instance);
    let mut other = mail_host(&instance, Style::Transport);
    other.domain = "example.net".to_owned();
    for style in [Style::Transport, Style::Postconf] {
        other.style = style;
        let said = try_paste(&instance, &mail_host_snippet(&other).unwrap().script);
        assert!(
            !said.ok() && said.stderr.contains("serves another domain"),
            "{said:?}"
        );
    }
    assert_eq!(config_files(&instance), before);
}

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
        let error = map_script("/etc/postfix", text).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("line {line} ")),
            "{error}"
        );
    }
    assert!(
        map_script("/etc/postfix", "# $(reboot) `reboot` '\"\n").is_ok(),
        "the heredoc is quoted"
    );
    assert!(map_script("etc/postfix", "").is_err());
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
