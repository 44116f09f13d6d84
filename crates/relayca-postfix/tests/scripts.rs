//! What a script changes in the files of a Postfix, and what it leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;
mod still;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use pair::{config_files, write};
use relayca_postfix::{RelayStyle, Style, mail_host_snippet, map_script, relay_snippet};
use still::*;

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
        ("relayca-tlsmgr-2500/unix", block(&instance)),
        ("relayca/unix", transport(&instance)),
    ] {
        let seen = instance.run("postconf", &["-P", service]).unwrap();
        let seen: Vec<String> = seen
            .stdout
            .lines()
            .map(|line| line.replacen(" =", "=", 1).replacen("= ", "=", 1))
            .collect();
        let (name, kind) = service.split_once('/').unwrap();
        let written: Vec<&str> = script
            .lines()
            .skip_while(|line| !(line.starts_with(&format!("{name} ")) && line.contains(kind)))
            .skip(1)
            .take_while(|line| line.starts_with(' '))
            .filter_map(|line| line.strip_prefix("  -o "))
            .collect();
        assert!(written.len() > 15 || (name.contains("tlsmgr") && written.len() > 3));
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
            Some(7),
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
fn a_list_of_an_earlier_change_does_not_take_the_place_of_a_later_one() {
    let instance = instance();
    let directory = instance.config_inside();
    let list = |change: u64, host: &str| {
        format!(
            "# Who may relay.\n# As of change {change} of the authority: a list with a lower number is an older one.\n{FINGERPRINT} {host}\n"
        )
    };
    let access = format!("# nobody is bound\n{FINGERPRINT} OK\n");
    for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
        let place = |as_of: u64, host: &str| {
            let script = map_script(&directory, &list(as_of, host), Some(as_of)).unwrap();
            paste_into(&instance, shell, &script)
        };
        let file = instance.config().join("relayca/relay_clientcerts");
        let _ = fs::remove_file(&file);
        assert!(place(9, "first.example.org").ok(), "there is none yet");
        assert!(place(10, "later.example.org").ok());
        assert!(place(10, "same.example.org").ok(), "of the same change");
        let before = everything(&instance);
        let refused = place(9, "first.example.org");
        assert!(!refused.ok());
        assert!(
            refused.stderr.contains(
                "the list here is of change 10 of the authority, and this one of change 9"
            ) && refused.stderr.contains("nothing was changed"),
            "{refused:?}"
        );
        // The senders of that day neither.
        let senders = relayca_postfix::access_map_script(&directory, &access, Some(9)).unwrap();
        assert!(!paste_into(&instance, shell, &senders).ok());
        assert_eq!(before, everything(&instance));
        let senders = relayca_postfix::access_map_script(&directory, &access, Some(10)).unwrap();
        assert!(paste_into(&instance, shell, &senders).ok());
        // As the words say, for who knows better.
        fs::remove_file(&file).unwrap();
        assert!(place(9, "first.example.org").ok());
        // One that does not say is as old as can be.
        write(&file, &format!("{FINGERPRINT} mail.example.org\n"));
        assert!(place(1, "first.example.org").ok());
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
            .filter(|l| l.starts_with("relayca "))
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
