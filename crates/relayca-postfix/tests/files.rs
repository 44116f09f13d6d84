//! New certificates pasted beside a key that lies on the host: all of them in place, or the old ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pair;
mod still;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use pair::{DOMAIN, MAIL_HOST, Pair, Wish, write};
use relayca_postfix::{NewFiles, files_script};
use still::{PEM, everything, instance, new_files, paste, paste_into, pretend, real, try_paste};
use xtask::lab::Instance;
use xtask::lab::openssl::{Authority, Usage, openssl};

const TRUST: &str = "example.org-ca.crt.pem";
const CERTIFICATE: &str = "mail.example.org.crt.pem";
const KEY: &str = "mail.example.org.key.pem";

fn read(instance: &Instance, name: &str) -> String {
    fs::read_to_string(instance.config().join("relayca").join(name)).unwrap()
}

/// A Postfix that does not run, with a real key and certificate; another certificate of that key, and one of another.
struct Host {
    instance: Instance,
    renewed: String,
    foreign: String,
    trust: String,
    _directory: tempfile::TempDir,
}

fn host() -> Host {
    let instance = instance();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::create(directory.path(), "example.org mail relay CA").unwrap();
    let old = authority.issue(MAIL_HOST, Usage::Client).unwrap();
    old.install(&instance.config(), MAIL_HOST).unwrap();
    let foreign = authority.issue(MAIL_HOST, Usage::Client).unwrap();
    Host {
        renewed: resigned(&authority, &old.certificate),
        foreign: fs::read_to_string(&foreign.certificate).unwrap(),
        trust: fs::read_to_string(authority.certificate()).unwrap(),
        instance,
        _directory: directory,
    }
}

/// Another certificate of the same key and names.
fn resigned(authority: &Authority, certificate: &Path) -> String {
    let ca = authority.certificate().to_str().unwrap();
    let key = ca.replace(".crt.pem", ".key.pem");
    let beside = |end: &str| certificate.to_str().unwrap().replace(".crt.pem", end);
    let (request, extensions) = (beside(".csr"), beside(".ext"));
    let pem = openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        ca,
        "-CAkey",
        &key,
        "-set_serial",
        "7777",
        "-days",
        "365",
        "-extfile",
        &extensions,
    ]);
    String::from_utf8(pem.unwrap()).unwrap()
}

fn leftovers(instance: &Instance) -> Vec<String> {
    fs::read_dir(instance.config().join("relayca"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("work."))
        .collect()
}

#[test]
fn new_certificates_lie_beside_the_key_and_a_second_paste_changes_nothing() {
    let host = host();
    let instance = &host.instance;
    let key = read(instance, KEY);
    let script = new_files(instance, &host.trust.repeat(2), Some(&host.renewed));
    for _ in 0..2 {
        let said = paste(instance, &script);
        assert!(said.stderr.contains("done"), "{said:?}");
        assert_eq!(read(instance, CERTIFICATE), host.renewed);
        assert_eq!(read(instance, TRUST), host.trust.repeat(2));
        assert_eq!(read(instance, KEY), key);
        assert_eq!(leftovers(instance), [""; 0]);
    }
    for name in [CERTIFICATE, TRUST] {
        let mode = fs::metadata(instance.config().join("relayca").join(name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o7777, 0o644, "{name}");
    }
    // The CA certificates alone need no key here.
    fs::remove_file(instance.config().join("relayca").join(KEY)).unwrap();
    paste(instance, &new_files(instance, &host.trust, None));
    assert_eq!(read(instance, TRUST), host.trust);
    assert_eq!(read(instance, CERTIFICATE), host.renewed);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let host = host();
    let instance = &host.instance;
    let before = everything(instance);
    for (certificate, why) in [
        (host.foreign.as_str(), "not for the key"),
        (PEM, "does not open"),
    ] {
        let said = try_paste(
            instance,
            &new_files(instance, &host.trust, Some(certificate)),
        );
        assert!(
            !said.ok() && said.stderr.contains(why) && said.stderr.contains("nothing was changed"),
            "{said:?}"
        );
        assert_eq!(before, everything(instance));
    }
    let script = new_files(instance, &host.trust, Some(&host.renewed));
    let key = instance.config().join("relayca").join(KEY);
    let (kept, mode) = (
        fs::read(&key).unwrap(),
        fs::metadata(&key).unwrap().permissions(),
    );
    for (content, why) in [
        (None, "is missing"),
        (Some(""), "is missing"),
        (Some("PEM\n"), "does not open"),
    ] {
        match content {
            None => fs::remove_file(&key).unwrap(),
            Some(content) => write(&key, content),
        }
        let said = try_paste(instance, &script);
        assert!(
            !said.ok() && said.stderr.contains(why),
            "{content:?}: {said:?}"
        );
        assert_ne!(read(instance, CERTIFICATE), host.renewed);
    }
    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, mode).unwrap();
    assert_eq!(before, everything(instance));
    assert_eq!(leftovers(instance), [""; 0]);
    // Without the directory there is nothing to put them into, and without root nobody may.
    assert!(
        !paste_into(
            instance,
            &["setpriv", "--reuid=65534", "--clear-groups", "sh"],
            &script
        )
        .ok()
    );
    assert_eq!(before, everything(instance));
    fs::rename(
        instance.config().join("relayca"),
        instance.config().join("aside"),
    )
    .unwrap();
    let said = try_paste(instance, &script);
    assert!(!said.ok() && said.stderr.contains("is missing"), "{said:?}");
}

#[test]
fn the_old_ones_come_back_whatever_fails() {
    let host = host();
    let instance = &host.instance;
    let script = new_files(instance, &host.trust.repeat(2), Some(&host.renewed));
    let before = everything(instance);
    let once = instance.directory().join("once");
    let first = |what: &str| format!("[ -e {0} ] || {{ : > {0}; {what}; }}", once.display());
    let running = |what: &str| format!("case $1 in (status) exit 0 ;; (reload) {what} ;; esac");
    let second_mv = "case $2 in (*/mail.example.org.crt.pem) [ ${1%/old/*} != \"$1\" ] || exit 1 ;; esac; exec /bin/mv \"$@\"";
    for (program, what) in [
        ("mv", format!("{}; exec /bin/mv \"$@\"", first("exit 1"))),
        ("mv", second_mv.to_owned()),
        ("cp", "exit 1".to_owned()),
        ("chmod", "exit 1".to_owned()),
        ("mkdir", "exit 1".to_owned()),
        ("mktemp", "exit 1".to_owned()),
        ("cat", "exit 1".to_owned()),
        ("postfix", running("exit 1")),
        ("postfix", running("kill -TERM $PPID; sleep 1")),
        ("postfix", running("kill -HUP $PPID; sleep 1")),
    ] {
        let _ = fs::remove_file(&once);
        let kept = fs::read(instance.directory().join("bin").join(program)).ok();
        pretend(instance, program, &what);
        let said = try_paste(instance, &script);
        assert!(!said.ok(), "{program} {what}: {said:?}");
        assert_eq!(before, everything(instance), "{program} {what}");
        assert_eq!(leftovers(instance), [""; 0], "{program} {what}");
        if program == "postfix" {
            assert!(said.stderr.contains("the old files are back"), "{said:?}");
        }
        real(instance, program);
        if let Some(kept) = kept {
            let path = instance.directory().join("bin").join(program);
            fs::write(&path, kept).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    // Where there was none before, none is left.
    fs::remove_file(instance.config().join("relayca").join(TRUST)).unwrap();
    pretend(instance, "postfix", &running("exit 1"));
    assert!(!try_paste(instance, &script).ok());
    assert!(!instance.config().join("relayca").join(TRUST).exists());
    // Where not even the way back works, the old files are kept, and it is said where.
    pretend(
        instance,
        "mv",
        "case $1 in (*/old/*) exit 1 ;; esac; exec /bin/mv \"$@\"",
    );
    let said = try_paste(instance, &script);
    assert!(
        !said.ok() && said.stderr.contains("the old files lie in"),
        "{said:?}"
    );
    let left = leftovers(instance);
    assert_eq!(left.len(), 1);
    assert!(
        instance
            .config()
            .join("relayca")
            .join(&left[0])
            .join("old")
            .join(CERTIFICATE)
            .exists()
    );
}

#[test]
fn without_openssl_it_is_pasted_all_the_same() {
    let host = host();
    let instance = &host.instance;
    let tools = instance.directory().join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in [
        "sh", "id", "mktemp", "mkdir", "cat", "chmod", "cp", "mv", "rm", "env",
    ] {
        symlink(Path::new("/bin").join(tool), tools.join(tool)).unwrap();
    }
    symlink("/usr/sbin/postconf", tools.join("postconf")).unwrap();
    // /usr/sbin is appended by the script itself; no openssl is there.
    assert!(!Path::new("/usr/sbin/openssl").exists());
    let path = format!(
        "PATH={}:{}",
        instance.directory().join("bin").display(),
        tools.display()
    );
    let script = new_files(instance, &host.trust, Some(&host.renewed));
    let said = instance
        .paste_into(&["/usr/bin/env", &path, "sh"], &script)
        .unwrap();
    assert!(said.ok(), "{said:?}");
    assert_eq!(read(instance, CERTIFICATE), host.renewed);
}

#[test]
fn a_paste_cut_short_or_with_carriage_returns_does_nothing() {
    let host = host();
    let instance = &host.instance;
    let script = new_files(instance, &host.trust, Some(&host.renewed));
    let before = everything(instance);
    let lines: Vec<&str> = script.split_inclusive('\n').collect();
    for count in 3..lines.len() {
        let mut cut = lines[..count].concat();
        if count % 3 == 0 {
            cut.truncate(cut.len() - lines[count - 1].len() / 2 - 1);
        }
        let said = try_paste(instance, &cut);
        assert!(
            count == 3 || !said.ok(),
            "cut after line {count}: {}",
            lines[count - 1]
        );
    }
    for shell in [&["sh"][..], &["bash"], &["busybox", "ash"]] {
        assert!(!paste_into(instance, shell, &script.replace('\n', "\r\n")).ok());
    }
    assert_eq!(before, everything(instance));
}

#[test]
fn every_shell_writes_the_same_and_a_csh_nothing() {
    let host = host();
    let instance = &host.instance;
    let script = new_files(instance, &host.trust, Some(&host.renewed));
    let before = everything(instance);
    // Line by line, as at a terminal.
    let called = instance.directory().join("called");
    pretend(
        instance,
        "postconf",
        &format!("echo \"$@\" >> {}", called.display()),
    );
    for line in script.lines() {
        paste_into(instance, &["tcsh", "-f", "-c", line], "");
    }
    real(instance, "postconf");
    assert_eq!(before, everything(instance));
    let mut written = Vec::new();
    for shell in [
        &["bash"][..],
        &["bash", "--posix"],
        &["dash"],
        &["busybox", "ash"],
        &["zsh", "--emulate", "sh"],
    ] {
        for (name, _, content) in &before {
            fs::write(name, content).unwrap();
        }
        let said = paste_into(instance, shell, &script);
        assert!(said.ok(), "{shell:?}: {said:?}");
        written.push(everything(instance));
    }
    assert!(
        written
            .iter()
            .all(|one| *one == written[0] && *one != before)
    );
}

#[test]
fn hostile_words_and_texts_are_refused() {
    let good = NewFiles {
        domain: DOMAIN,
        host: MAIL_HOST,
        config_directory: "/etc/postfix",
        trust: PEM,
        certificate: Some(PEM),
    };
    assert!(files_script(&good).is_ok());
    let long = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        "A".repeat(65)
    );
    for bad in [
        "",
        "\n",
        "RELAYCA_END\n",
        "-----BEGIN CERTIFICATE-----\nRELAYCA_END\n$(id)\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nRELAYCA_END\n",
        "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAA\tAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        &long,
    ] {
        assert!(
            files_script(&NewFiles { trust: bad, ..good }).is_err(),
            "{bad:?}"
        );
        assert!(
            files_script(&NewFiles {
                certificate: Some(bad),
                ..good
            })
            .is_err(),
            "{bad:?}"
        );
    }
    for bad in [
        "",
        "a b",
        "$(id).example.org",
        "../x",
        "a;b.example.org",
        "a\n.example.org",
        "'x'.example.org",
        "-x.example.org",
    ] {
        assert!(
            files_script(&NewFiles {
                domain: bad,
                ..good
            })
            .is_err(),
            "{bad:?}"
        );
        assert!(
            files_script(&NewFiles { host: bad, ..good }).is_err(),
            "{bad:?}"
        );
    }
    for bad in [
        "",
        "etc/postfix",
        "/etc/$(id)",
        "/etc/a b",
        "/etc/\n",
        "/etc/'x",
    ] {
        assert!(
            files_script(&NewFiles {
                config_directory: bad,
                ..good
            })
            .is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn a_renewed_certificate_that_was_pasted_relays_on_a_postfix_that_runs() {
    let pair = Pair::new(Wish::default());
    pair.relays("before@example.net");
    let old = fs::read_to_string(&pair.listed.certificate).unwrap();
    let renewed = resigned(&pair.authority, &pair.listed.certificate);
    let trust = fs::read_to_string(pair.authority.certificate()).unwrap();
    let script = new_files(&pair.mail_host, &trust.repeat(2), Some(&renewed));
    let said = pair::paste(&pair.mail_host, &script);
    assert!(said.stderr.contains("done"), "{said:?}");
    assert_ne!(read(&pair.mail_host, CERTIFICATE), old);
    pair.relays("after@example.net");
    // Pasted again, and then one that is not for the key: mail goes on.
    pair::paste(&pair.mail_host, &script);
    let other = pair.authority.issue(MAIL_HOST, Usage::Client).unwrap();
    let other = fs::read_to_string(other.certificate).unwrap();
    let said = pair
        .mail_host
        .paste(&new_files(&pair.mail_host, &trust, Some(&other)))
        .unwrap();
    assert!(
        !said.ok() && said.stderr.contains("not for the key"),
        "{said:?}"
    );
    pair.relays("still@example.net");
}
