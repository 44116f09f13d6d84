//! `relayca explain` on the logs of real Postfixes that relay, and then are broken in one place after the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::lab::{Instance, openssl, wait_for};
use xtask::main_job::{MAIL_HOST, Pair, RELAY, SOON};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

/// The pair, its configuration as it works, and how much of the logs was explained already.
struct Story {
    pair: Pair,
    sent: usize,
    read: [usize; 2],
}

impl Story {
    fn begin() -> Self {
        // Made ten days ago, so that a certificate may have expired since.
        let mut pair = Pair::new(program(), &[], Some("-10 days")).unwrap();
        pair.admin.done(&["issue", "old", "--days", "2"]).unwrap();
        pair.admin.lives(None);
        pair.issue(&[]).unwrap();
        let story = Self {
            pair,
            sent: 0,
            read: [0; 2],
        };
        // So that fingerprints are logged.
        story.relay("smtpd_tls_loglevel", "2");
        story.pair.relay.reload().unwrap();
        story.pair.relays("first@example.net").unwrap();
        // The message is there before it is said of it.
        for instance in [&story.pair.relay, &story.pair.mail_host] {
            instance.wait_for_log("status=sent", SOON).unwrap();
        }
        for instance in [&story.pair.relay, &story.pair.mail_host] {
            copy(&instance.config(), &instance.directory().join("kept"));
        }
        story
    }

    fn relay(&self, name: &str, value: &str) {
        set(
            &self.pair.relay,
            &format!("{}/inet/{name}={value}", self.pair.port.number()),
        );
    }

    fn host(&self, name: &str, value: &str) {
        set(
            &self.pair.mail_host,
            &format!("relayca/unix/{name}={value}"),
        );
    }

    fn relay_file(&self, name: &str) -> PathBuf {
        self.pair.relay.config().join("relayca").join(name)
    }

    fn host_file(&self, name: &str) -> PathBuf {
        self.pair.mail_host.config().join("relayca").join(name)
    }

    /// The files in a host's bundle.
    fn opened(&self, host: &str) -> PathBuf {
        let admin = &self.pair.admin;
        let place = admin.place().join(host);
        let bundle = admin.file(&format!("bundles/{host}.tar.age"));
        let [bundle, identity, directory] =
            [&bundle, &admin.identity(), &place].map(|path| path.display().to_string());
        admin
            .done(&["open", &bundle, "-i", &identity, "-C", &directory])
            .unwrap();
        place
    }

    /// Reloads both, sends a message, waits for its fate, explains what was logged of it on the relay and on the mail host, and mends.
    fn tried(&mut self) -> [Explained; 2] {
        for instance in [&self.pair.relay, &self.pair.mail_host] {
            let _ = instance.reload();
        }
        self.sent += 1;
        let to = format!("someone{}@example.net", self.sent);
        self.pair
            .mail_host
            .send("info@example.org", &to, "x")
            .unwrap();
        wait_for("its fate", SOON, || {
            let log = self.pair.mail_host.log();
            log.lines()
                .any(|line| line.contains(&format!("to=<{to}>")) && line.contains("status="))
        })
        .unwrap();
        // smtpd says its last word after the client has gone.
        let words = |instance: &Instance, words: &str| instance.log().matches(words).count();
        wait_for("the end of the session", SOON, || {
            words(&self.pair.relay, "smtpd[") == 0
                || words(&self.pair.relay, ": connect from")
                    == words(&self.pair.relay, ": disconnect from")
        })
        .unwrap();
        let explained = [self.explained(0), self.explained(1)];
        let _ = self.pair.mail_host.run("postsuper", &["-d", "ALL"]);
        for instance in [&self.pair.relay, &self.pair.mail_host] {
            fs::remove_dir_all(instance.config().join("relayca")).unwrap();
            copy(&instance.directory().join("kept"), &instance.config());
        }
        explained
    }

    fn explained(&mut self, which: usize) -> Explained {
        let instance = [&self.pair.relay, &self.pair.mail_host][which];
        let log = instance.log();
        let path = instance.directory().join("part.log");
        fs::write(&path, &log[self.read[which]..]).unwrap();
        self.read[which] = log.len();
        let path = path.display().to_string();
        Explained {
            text: self.pair.admin.done(&["explain", &path]).unwrap(),
            json: serde_json::from_str(
                &self.pair.admin.done(&["explain", &path, "--json"]).unwrap(),
            )
            .unwrap(),
            log: log[..].to_owned(),
        }
    }
}

struct Explained {
    text: String,
    json: Value,
    log: String,
}

impl Explained {
    /// It has this problem with this host, and the text has the words.
    #[track_caller]
    fn says(&self, id: &str, host: &str, words: &[&str]) {
        let problem = self.json["problems"]
            .as_array()
            .unwrap()
            .iter()
            .find(|problem| problem["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {}\n{}", self.text, self.log));
        if !host.is_empty() {
            assert_eq!(problem["hosts"][0]["host"], host, "{}", self.text);
        }
        for words in words {
            assert!(self.text.contains(words), "{words}: {}", self.text);
        }
    }

    #[track_caller]
    fn host(&self, name: &str) -> &Value {
        self.json["hosts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|host| host["host"] == name)
            .unwrap_or_else(|| panic!("{name}: {}\n{}", self.text, self.log))
    }
}

fn set(instance: &Instance, setting: &str) {
    let said = instance.run("postconf", &["-P", setting]).unwrap();
    assert!(said.ok(), "{setting}: {}", said.stderr);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    // Postfix's programs wait two seconds for a main.cf that was written just now.
    if let Ok(file) = fs::File::options().write(true).open(to.join("main.cf")) {
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
            .unwrap();
    }
}

#[test]
fn a_message_is_relayed_then_eight_faults_are_named_with_their_hosts() {
    let mut story = Story::begin();
    let [relay, mail_host] = [story.explained(0), story.explained(1)];
    let host = relay.host(MAIL_HOST);
    assert_eq!(
        (&host["state"], &host["way"], &host["known"]),
        (&"relays".into(), &"from".into(), &true.into())
    );
    assert_eq!(
        (&host["taken"], &host["sent"]),
        (&1.into(), &1.into()),
        "{}",
        relay.text
    );
    let host = mail_host.host(RELAY);
    assert_eq!(
        (&host["state"], &host["way"], &host["sent"]),
        (&"relays".into(), &"to".into(), &1.into())
    );

    // Taken out of the map.
    let map = story.relay_file("relay_clientcerts");
    fs::write(&map, "# nobody\n").unwrap();
    assert!(
        story
            .pair
            .relay
            .run("postmap", &[&map.display().to_string()])
            .unwrap()
            .ok()
    );
    let [relay, mail_host] = story.tried();
    relay.says(
        "not-listed",
        MAIL_HOST,
        &[
            "relayca map --format paste | ssh root@relayhost.example.org sh\n",
            "relayca show mailhost.example.org\n",
        ],
    );
    assert_eq!(relay.host(MAIL_HOST)["state"], "refused");
    mail_host.says("relay-does-not-permit", RELAY, &["Try again later"]);

    // Another host's certificate, which has expired.
    let opened = story.opened("old.example.org");
    for kind in ["key", "crt"] {
        fs::copy(
            opened.join(format!("old.example.org.{kind}.pem")),
            story.host_file(&format!("{MAIL_HOST}.{kind}.pem")),
        )
        .unwrap();
    }
    let [relay, mail_host] = story.tried();
    relay.says(
        "client-certificate-expired",
        "old.example.org",
        &["relayca renew old.example.org\n"],
    );
    mail_host.says(
        "relay-wants-good-certificate",
        RELAY,
        &["relayca show mailhost.example.org\n"],
    );

    // A certificate of somebody else's CA.
    let other = openssl::Authority::create(story.pair.admin.place(), "another CA").unwrap();
    other
        .issue(MAIL_HOST, openssl::Usage::Client)
        .unwrap()
        .install(&story.pair.mail_host.config(), MAIL_HOST)
        .unwrap();
    let [relay, _] = story.tried();
    relay.says(
        "client-untrusted-issuer",
        "",
        &["untrusted issuer /CN=another CA"],
    );
    assert_eq!(
        relay.json["hosts"][0]["known"], false,
        "it calls itself by the host's name, and is not it"
    );

    // None at all.
    story.host("smtp_tls_cert_file", "");
    story.host("smtp_tls_key_file", "");
    let [relay, mail_host] = story.tried();
    relay.says(
        "no-client-certificate",
        "",
        &["No client certificate presented"],
    );
    mail_host.says(
        "relay-wants-certificate",
        RELAY,
        &["relayca snippet mailhost.example.org\n"],
    );

    // The relay's key is gone.
    fs::remove_file(story.relay_file(&format!("{RELAY}.key.pem"))).unwrap();
    let [relay, mail_host] = story.tried();
    relay.says(
        "file-not-there",
        "",
        &[
            &format!("{RELAY}.key.pem\n"),
            "relayca passphrase relayhost.example.org  # opens",
        ],
    );
    mail_host.says("relay-cannot-start-tls", RELAY, &[]);

    // The map is gone.
    for entry in fs::read_dir(story.relay_file("")).unwrap() {
        let path = entry.unwrap().path();
        if path.display().to_string().contains("relay_clientcerts") {
            fs::remove_file(path).unwrap();
        }
    }
    let [relay, mail_host] = story.tried();
    relay.says("table-missing", MAIL_HOST, &["No such file or directory"]);
    mail_host.says("relay-lookup-failed", RELAY, &[]);

    // The relay shows the certificate of another name.
    story
        .pair
        .admin
        .done(&["issue", "--relay", "other:2500"])
        .unwrap();
    let opened = story.opened("other.example.org");
    for kind in ["key", "crt"] {
        fs::copy(
            opened.join(format!("other.example.org.{kind}.pem")),
            story.relay_file(&format!("{RELAY}.{kind}.pem")),
        )
        .unwrap();
    }
    let [relay, mail_host] = story.tried();
    relay.says("left-after-starttls", MAIL_HOST, &[]);
    mail_host.says(
        "relay-wrong-name",
        RELAY,
        &["relayca fingerprint relayhost.example.org:2500\n"],
    );

    // The relay is down.
    story.pair.relay.stop().unwrap();
    let [_, mail_host] = story.tried();
    mail_host.says("relay-not-listening", RELAY, &["Connection refused"]);
    assert_eq!(mail_host.host(RELAY)["state"], "waits");
}

#[test]
fn all_that_a_probe_has_to_see_refused_is_no_trouble_of_the_relay() {
    let pair = Pair::new(program(), &[], None).unwrap();
    pair.issue(&[]).unwrap();
    let place = format!("127.0.0.1:{}", pair.port.number());
    pair.admin.done(&["probe", &place, "--matrix"]).unwrap();
    pair.admin.run(&["probe", &place]).unwrap();
    let log = pair.relay.directory().join("of-the-matrix.log");
    wait_for("the end of the last session", SOON, || {
        let text = pair.relay.log();
        fs::write(&log, &text).unwrap();
        text.matches(": connect from").count() == text.matches(": disconnect from").count()
    })
    .unwrap();
    let log = log.display().to_string();
    let said = pair
        .admin
        .done(&["explain", "--check", &log, "--json"])
        .unwrap();
    let explained: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(explained["problems"], Value::Array(Vec::new()), "{said}");
    let hosts = explained["hosts"].as_array().unwrap();
    assert!(!hosts.is_empty(), "{said}");
    for host in hosts {
        let shown = (&host["state"], &host["taken"], &host["refused"]);
        assert_eq!(shown, (&"seen".into(), &0.into(), &0.into()), "{host:#}");
    }
}
