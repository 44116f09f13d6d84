//! What machines do to `install`: files that cannot be replaced, what earlier runs left, programs that hang on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod install_kit;
mod install_system;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use authority::{Outcome, RELAYCA, judge};
use install_kit::{same, same_bytes, stand};
use install_system::{MAILHOST, RELAY, System};

#[test]
fn an_old_copy_that_was_left_for_a_person_to_look_at_never_takes_the_place_of_what_is_there() {
    let system = System::new();
    let config = system.root.join("etc/postfix");
    for name in ["main.cf", "master.cf"] {
        let left = config.join(format!(".{name}.relayca-old"));
        fs::write(&left, "# what it was months ago\n").unwrap();
        system.refuses(
            &system.sealed(MAILHOST),
            &["--apply"],
            1,
            &format!(".{name}.relayca-old"),
        );
        fs::remove_file(left).unwrap();
    }
    // A new one that never got to its place is of no use to anybody, and what it leads to is not touched.
    let other = system.root.join("etc/other");
    fs::write(&other, "mine\n").unwrap();
    symlink(&other, config.join(".main.cf.relayca-new")).unwrap();
    system.installs(&system.sealed(MAILHOST), &["--apply"]);
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine\n");
    assert!(!config.join(".main.cf.relayca-new").is_symlink());
}

#[test]
fn what_lies_in_another_systems_tree_does_not_reach_out_of_it() {
    let system = System::new();
    let outside = system.admin.file("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine\n").unwrap();
    let config = system.root.join("etc/postfix");
    symlink(&outside, config.join("out")).unwrap();
    // A journal that would have it removed, as if a killed run had made it.
    let files = config.join("relayca");
    fs::create_dir(&files).unwrap();
    let digest = judge("sha256sum", &[outside.join("file").to_str().unwrap()]);
    let journal = format!(
        r#"{{"format":1,"made_directory":false,"removes_directory":false,"running":true,"lines":[{{"path":"/etc/postfix/out/file","was":null,"becomes":"{}"}}]}}"#,
        digest.split(' ').next().unwrap()
    );
    let path = files.join(".journal");
    fs::write(&path, journal).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    system.refuses(
        &system.sealed(MAILHOST),
        &["--apply"],
        1,
        "is not what relayca wrote",
    );
    assert!(outside.join("file").exists());
    fs::remove_file(&path).unwrap();
    fs::remove_dir(&files).unwrap();
    // A record that would have postconf work on another configuration.
    system.installs(&system.sealed(MAILHOST), &["--apply"]);
    let victim = system.admin.file("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("main.cf"), "relayhost = x\n").unwrap();
    let name = format!("-c{}", victim.display());
    let record = files.join("installed.json");
    let text = fs::read_to_string(&record).unwrap();
    let changed = text.replacen(
        "\"main\": [",
        &format!("\"main\": [{{\"name\": \"{name}\", \"value\": \"y\", \"was\": null}}, {{\"name\": \"relayhost\", \"value\": \"y\", \"was\": null}},"),
        1,
    );
    assert_ne!(changed, text);
    fs::write(&record, changed).unwrap();
    let main = fs::read_to_string(config.join("main.cf")).unwrap();
    fs::write(
        config.join("main.cf"),
        format!("{main}{name} = y\nrelayhost = y\n"),
    )
    .unwrap();
    let root = system.root.to_str().unwrap();
    system.admin.run(&["uninstall", "--root", root, "--apply"]);
    assert_eq!(
        fs::read_to_string(victim.join("main.cf")).unwrap(),
        "relayhost = x\n"
    );
}

#[test]
fn a_main_cf_that_cannot_be_replaced_is_left_as_it_is() {
    let system = System::new();
    let (main, kept, after) = (
        system.root.join("etc/postfix/main.cf"),
        system.admin.file("kept"),
        system.admin.file("after"),
    );
    let sealed = system.sealed(MAILHOST);
    // As containers have it: a file that is mounted over another. Nothing can be renamed over it, and it has no second name.
    let script = format!(
        "mount --bind {0} {0} && cp -a {1} {2} && \"$@\"; code=$?; cp -a {1} {3}; exit $code",
        main.display(),
        system.root.display(),
        kept.display(),
        after.display(),
    );
    let mut command = system.admin.program("unshare");
    command
        .args(["--mount", "sh", "-c", &script, "sh", RELAYCA])
        .args(system.line(&sealed, &["--apply"]));
    let said = Outcome::of(&mut command).refused(1);
    assert!(
        said.contains("main.cf") && said.contains("; everything is as it was"),
        "{said}"
    );
    same(&stand(&kept), &stand(&after));
    // And nothing of it is in the way of the next one.
    system.installs(&sealed, &["--apply"]);
    system.installs(&system.sealed(RELAY), &["--apply"]);
}

#[test]
fn two_hosts_of_one_domain_share_their_files_and_the_last_one_takes_them_along() {
    let system = System::new();
    let before = stand(&system.root);
    for order in [[RELAY, MAILHOST], [MAILHOST, RELAY]] {
        system.installs(&system.sealed(RELAY), &["--apply"]);
        system.installs(&system.sealed(MAILHOST), &["--apply"]);
        // The relay's list of today, with an INSTALL.txt of its own.
        system.installs(&system.public(RELAY), &["--apply"]);
        for host in order {
            let said = system.uninstalls(&[host, "--apply"]);
            assert!(!said.contains("warning"), "{said}");
        }
        same_bytes(&before, &stand(&system.root));
    }
}

#[test]
fn the_relays_of_two_domains_do_not_share_one_list() {
    let system = System::new();
    system.installs(&system.sealed(RELAY), &["--apply"]);
    let other = System::of("example.net", &["--relay", "relayhost.example.net:2501"]);
    let sealed = other
        .admin
        .home()
        .join("data/relayca/example.net/bundles/relayhost.example.net.tar.age");
    let sealed = system
        .admin
        .write("other.tar.age", fs::read(sealed).unwrap());
    fs::copy(other.admin.file("key.txt"), system.admin.file("other.txt")).unwrap();
    system.refuses(
        &sealed,
        &["-i", "other.txt", "--apply"],
        1,
        "is the list of relayhost.example.org",
    );
}

#[test]
fn a_bundle_for_another_machine_does_not_take_the_place_of_this_one() {
    let system = System::new();
    system
        .admin
        .done(&["issue", "second", "--seal-to", system.admin.recipient()]);
    system.installs(&system.sealed(MAILHOST), &["--apply"]);
    let second = system.sealed("second.example.org");
    system.refuses(
        &second,
        &["--apply"],
        1,
        "this Postfix is set up as mailhost.example.org, and the bundle is for second.example.org",
    );
    system.uninstalls(&["--apply"]);
    system.installs(&second, &["--apply"]);
}

#[test]
fn directories_that_others_can_write_to_are_refused_wherever_they_are_on_the_way() {
    let system = System::new();
    let sealed = system.sealed(MAILHOST);
    let etc = system.root.join("etc");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o777)).unwrap();
    system.refuses(&sealed, &["--apply"], 1, "can be written by others");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&etc, Some(65534), None).unwrap();
    system.refuses(&sealed, &["--apply"], 1, "belongs to somebody else");
    chown(&etc, Some(0), None).unwrap();
    // main.cf is elsewhere: the link stays, and what it leads to is changed, unless others can change that.
    let elsewhere = system.root.join("srv/postfix");
    fs::create_dir_all(&elsewhere).unwrap();
    let main = etc.join("postfix/main.cf");
    fs::rename(&main, elsewhere.join("main.cf")).unwrap();
    symlink("/srv/postfix/main.cf", &main).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
    system.refuses(&sealed, &["--apply"], 1, "can be written by others");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
    let before = stand(&system.root);
    system.installs(&sealed, &["--apply"]);
    assert!(main.is_symlink());
    assert!(
        fs::read_to_string(elsewhere.join("main.cf"))
            .unwrap()
            .contains("default_transport = relayca:")
    );
    system.uninstalls(&["--apply"]);
    same_bytes(&before, &stand(&system.root));
}

#[test]
fn a_key_that_was_made_on_the_host_must_be_for_root_alone() {
    let system = System::new();
    let files = system.root.join("etc/postfix/relayca");
    let place = files.to_str().unwrap();
    system
        .admin
        .done(&["request", "keeps.example.org", "-C", place]);
    let request = files.join("keeps.example.org.csr.pem");
    system
        .admin
        .done(&["issue", "keeps", "--csr", request.to_str().unwrap()]);
    let key = files.join("keeps.example.org.key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let public = system.public("keeps.example.org");
    system.refuses(&public, &["--apply"], 1, "can be read by others than root");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let before = stand(&system.root);
    system.installs(&public, &["--apply"]);
    system.uninstalls(&["--apply"]);
    same_bytes(&before, &stand(&system.root));
}

#[test]
fn a_root_whose_name_is_no_text_is_refused_before_anything_is_done() {
    let system = System::new();
    let odd = system.admin.home().join(OsStr::from_bytes(b"\xffroot"));
    fs::rename(&system.root, &odd).unwrap();
    let before = stand(&odd);
    for command in [vec!["install", &system.sealed(MAILHOST)], vec!["uninstall"]] {
        let mut line = system.admin.relayca(&command);
        line.args(["-i", "key.txt", "--json", "--apply", "--root"])
            .arg(&odd);
        Outcome::of(&mut line).refused(2);
        same(&before, &stand(&odd));
    }
}

/// Of one text what the other has not, line by line and in order.
fn gone(before: &[u8], after: &[u8]) -> Vec<String> {
    let mut rest = after.split_inclusive(|byte| *byte == b'\n');
    let mut gone = Vec::new();
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        let mut ahead = rest.clone();
        if ahead.any(|other| other == line || other == [line, b"\n"].concat()) {
            rest = ahead;
        } else {
            gone.push(String::from_utf8_lossy(line).into_owned());
        }
    }
    gone
}

#[test]
fn whatever_people_write_into_main_cf_and_master_cf_stays_to_the_last_byte() {
    let system = System::new();
    let config = system.root.join("etc/postfix");
    let (main, master) = (config.join("main.cf"), config.join("master.cf"));
    let first = "myhostname = a.example.org\n";
    let service = "smtp inet n - y - - smtpd\n";
    for (main_text, master_text, lost) in [
        ("", "", 0),
        ("\n", "#\n\n", 0),
        ("myhostname = a.example.org", "smtp inet n - y - - smtpd", 0),
        (
            "myhostname = a.example.org\r\nmydestination =\r\n  x\r\n# end\r\n",
            "smtp inet n - y - - smtpd\r\n  -o a=b\r\n",
            0,
        ),
        // Ours is set already, over several lines, with a comment between, and twice.
        (
            "default_transport = one\n# between\n  two\n\nmyhostname=x\ndefault_transport\t=\tthree:\n   four\n# end",
            "# top\nsmtp inet n - y - - smtpd\n# between\n    -o { a = b\n  c }\n\n   # odd\nsmtp inet n - n - - smtpd\n",
            4,
        ),
        (
            "#default_transport = no\n  # indented\nfoo = ${bar:$baz}\n \nmynetworks = \u{e9}\n",
            "relayca2 unix - - n - - smtp\nsmtp unix - - - - - smtp -o x=y -v\n",
            0,
        ),
        (first, service, 0),
    ] {
        fs::write(&main, main_text).unwrap();
        fs::write(&master, master_text).unwrap();
        let before = stand(&system.root);
        system.installs(&system.sealed(MAILHOST), &["--apply"]);
        system.installs(&system.sealed(RELAY), &["--apply"]);
        let (new_main, new_master) = (fs::read(&main).unwrap(), fs::read(&master).unwrap());
        assert_eq!(
            gone(main_text.as_bytes(), &new_main).len(),
            lost,
            "{main_text}"
        );
        assert_eq!(
            gone(master_text.as_bytes(), &new_master),
            Vec::<String>::new()
        );
        system.uninstalls(&[RELAY, "--apply"]);
        system.uninstalls(&[MAILHOST, "--apply"]);
        same_bytes(&before, &stand(&system.root));
        // Where somebody wrote into them meanwhile, that stays, and all that was there before, but for the value's line breaks.
        system.installs(&system.sealed(MAILHOST), &["--apply"]);
        for file in [&main, &master] {
            let mut text = fs::read(file).unwrap();
            text.extend_from_slice(b"# later\n");
            fs::write(file, text).unwrap();
        }
        system.uninstalls(&["--apply"]);
        let (new_main, new_master) = (fs::read(&main).unwrap(), fs::read(&master).unwrap());
        assert_eq!(
            gone(main_text.as_bytes(), &new_main).len(),
            lost,
            "{main_text}"
        );
        assert_eq!(
            gone(master_text.as_bytes(), &new_master),
            Vec::<String>::new()
        );
        assert!(new_main.ends_with(b"# later\n") && new_master.ends_with(b"# later\n"));
        assert!(!String::from_utf8_lossy(&new_main).contains("relayca:"));
        assert!(!String::from_utf8_lossy(&new_master).contains("\nrelayca "));
    }
}
