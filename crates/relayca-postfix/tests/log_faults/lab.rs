//! A pair of real Postfixes that is broken in one place, tried, and mended again.
//!
//! In: what to break. Out: what both logged of it, as one log server would have it. It refuses to know what the lines mean.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use xtask::lab::openssl::{Authority, Certificate, Usage, openssl};
use xtask::lab::{Instance, Tree, wait_for};

use crate::pair::{DOMAIN, MAIL_HOST, Pair, RELAY, SOON, Wish};

/// The pair, and its configuration as it works.
pub struct Lab {
    pub pair: Pair,
    /// Another CA, whom nobody trusts.
    pub foreign: Authority,
    kept: [PathBuf; 2],
    marks: [usize; 2],
    sent: usize,
}

impl Lab {
    /// Both running, and a first message relayed.
    pub fn new(tree: &Tree) -> Self {
        let pair = Pair::new(Wish {
            relay_tree: tree.clone(),
            mail_host_tree: tree.clone(),
            ..Wish::default()
        });
        let place = pair.directory.path();
        let foreign = Authority::create(place, "another CA").unwrap();
        let kept = [place.join("relay"), place.join("mail")];
        let mut lab = Self {
            pair,
            foreign,
            kept,
            marks: [0; 2],
            sent: 0,
        };
        lab.pair.relays("first@example.net");
        // A reload forgets which next hops were down, and nothing is to wait five minutes for a second try.
        for (instance, kept) in lab.both() {
            copy_directory(&instance.config(), kept);
        }
        lab.mark();
        lab
    }

    fn both(&self) -> [(&Instance, &Path); 2] {
        [
            (&self.pair.relay, &self.kept[0]),
            (&self.pair.mail_host, &self.kept[1]),
        ]
    }

    /// The service as `postconf -P` names it.
    pub fn service(&self) -> String {
        format!("{}/inet", self.pair.port.number())
    }

    /// Sets something of the relay's service.
    pub fn relay(&self, name: &str, value: &str) {
        self.set(&self.pair.relay, &self.service(), name, value);
    }

    /// Sets something of the mail host's transport.
    pub fn host(&self, name: &str, value: &str) {
        self.set(&self.pair.mail_host, "relayca/unix", name, value);
    }

    fn set(&self, instance: &Instance, service: &str, name: &str, value: &str) {
        let said = instance
            .run("postconf", &["-P", &format!("{service}/{name}={value}")])
            .unwrap();
        assert!(said.ok(), "{name}: {}", said.stderr);
    }

    /// Sets something of main.cf.
    pub fn main(&self, instance: &Instance, name: &str, value: &str) {
        let said = instance
            .run("postconf", &["-e", &format!("{name} = {value}")])
            .unwrap();
        assert!(said.ok(), "{name}: {}", said.stderr);
        crate::pair::backdate(instance);
    }

    /// A file of relayca's on the relay, as Postfix names it.
    pub fn on_relay(&self, name: &str) -> String {
        format!("{}/relayca/{name}", self.pair.relay.config_inside())
    }

    /// The same, as this process names it.
    pub fn relay_file(&self, name: &str) -> PathBuf {
        self.pair.relay.config().join("relayca").join(name)
    }

    /// A file of relayca's on the mail host.
    pub fn host_file(&self, name: &str) -> PathBuf {
        self.pair.mail_host.config().join("relayca").join(name)
    }

    pub fn on_host(&self, name: &str) -> String {
        format!("{}/relayca/{name}", self.pair.mail_host.config_inside())
    }

    /// A certificate for the mail host, shown from now on.
    pub fn show(&self, certificate: &Certificate) {
        certificate
            .install(&self.pair.mail_host.config(), MAIL_HOST)
            .unwrap();
    }

    /// A certificate for the relay, shown from now on.
    pub fn relay_shows(&self, certificate: &Certificate) {
        certificate
            .install(&self.pair.relay.config(), RELAY)
            .unwrap();
    }

    /// The own CA's file, on one of the two.
    pub fn trust(&self, instance: &Instance, certificate: &Path) {
        std::fs::copy(
            certificate,
            instance
                .config()
                .join(format!("relayca/{DOMAIN}-ca.crt.pem")),
        )
        .unwrap();
    }

    /// Lists these.
    pub fn list(&self, listed: &[&Certificate]) {
        self.pair.paste_map(listed);
    }

    /// Changes the text of a file.
    pub fn rewrite(&self, path: &Path, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, change(text)).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }

    /// Both take what was changed.
    pub fn reload(&self) {
        for (instance, _) in self.both() {
            // What is fatally wrong is said in the log.
            let _ = instance.reload();
        }
    }

    /// Reloads, sends one message, and waits until its fate is logged.
    pub fn attempt(&mut self) {
        self.reload();
        self.send();
    }

    /// Reloads and sends one message where the mail host's client falls over: its fate is not logged for a minute.
    pub fn attempt_in_vain(&mut self) {
        self.reload();
        self.pair
            .mail_host
            .send("info@example.org", "vain@example.net", "hello")
            .unwrap();
        let mark = self.marks[1];
        let log = || self.pair.mail_host.log()[mark..].to_owned();
        let said = || log().contains("throttling") || log().contains("to=<vain@example.net>");
        wait_for("the client to fall over", SOON, said)
            .unwrap_or_else(|e| panic!("{e}\n{}", log()));
        self.settle();
    }

    /// Sends one message and waits until its fate is logged.
    pub fn send(&mut self) {
        self.sent += 1;
        let to = format!("someone{}@example.net", self.sent);
        self.pair
            .mail_host
            .send("info@example.org", &to, "hello")
            .unwrap();
        let fate = || {
            self.pair
                .mail_host
                .log()
                .lines()
                .any(|line| line.contains(&format!("to=<{to}>")) && line.contains("status="))
        };
        wait_for("a delivery attempt", SOON, fate).unwrap_or_else(|e| {
            panic!(
                "{e}\n{}\n{}",
                self.pair.mail_host.log(),
                self.pair.relay.log()
            )
        });
        self.settle();
    }

    /// Waits until the logs stand still.
    pub fn settle(&self) {
        let length = || self.pair.relay.log().len() + self.pair.mail_host.log().len();
        let (mut last, mut since) = (length(), Instant::now());
        while since.elapsed() < Duration::from_millis(250) {
            std::thread::sleep(Duration::from_millis(20));
            if length() != last {
                (last, since) = (length(), Instant::now());
            }
        }
    }

    /// From here on the log counts.
    pub fn mark(&mut self) {
        self.marks = [self.pair.relay.log().len(), self.pair.mail_host.log().len()];
    }

    /// What was logged since: by time, as a log server has it; paths as on a real system.
    pub fn logged(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for ((instance, _), mark) in self.both().iter().zip(self.marks) {
            let directory = instance.config_inside();
            let directory = directory.trim_end_matches("/config");
            let text = instance.log();
            lines.extend(text[mark..].lines().map(|line| {
                line.replace(&format!("{directory}/config"), "/etc/postfix")
                    .replace(&format!("{directory}/queue"), "/var/spool/postfix")
                    .replace(&format!("{directory}/data"), "/var/lib/postfix")
            }));
        }
        // By the second; both sides stay in their own order.
        lines.sort_by(|one, other| one.get(..15).cmp(&other.get(..15)));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// As it was.
    pub fn mend(&mut self) {
        let _ = self.pair.mail_host.run("postsuper", &["-d", "ALL"]);
        for (instance, kept) in self.both() {
            let config = instance.config();
            for name in ["main.cf", "master.cf"] {
                std::fs::copy(kept.join(name), config.join(name)).unwrap();
            }
            std::fs::remove_dir_all(config.join("relayca")).unwrap();
            copy_directory(&kept.join("relayca"), &config.join("relayca"));
            crate::pair::backdate(instance);
            // A service that fell over is not started for a minute; a new master knows nothing of it.
            if instance.log().contains("throttling") {
                instance.stop().unwrap();
                let _ = std::fs::remove_file(instance.directory().join("log"));
            }
            if instance.master().is_none() {
                instance.start().unwrap();
            }
        }
        self.reload();
        self.settle();
        self.mark();
    }
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A CA below a root, or bound to names: what `xtask::lab` does not make.
pub fn authority_with(
    place: &Path,
    extensions: &str,
    below: Option<(&Path, &Path)>,
) -> (PathBuf, PathBuf) {
    std::fs::create_dir_all(place).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (key, certificate) = (place.join("ca.key.pem"), place.join("ca.crt.pem"));
    let extension_file = place.join("ca.ext");
    std::fs::write(&extension_file, format!("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n{extensions}\n")).unwrap();
    let request = place.join("ca.csr");
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=example.org mail relay CA",
        "-keyout",
        &text(&key),
        "-out",
        &text(&request),
    ])
    .unwrap();
    let mut arguments = vec![
        "x509".to_owned(),
        "-req".into(),
        "-days".into(),
        "3650".into(),
        "-in".into(),
        text(&request),
        "-extfile".into(),
        text(&extension_file),
        "-out".into(),
        text(&certificate),
    ];
    match below {
        Some((issuer, issuer_key)) => arguments.extend([
            "-CA".into(),
            text(issuer),
            "-CAkey".into(),
            text(issuer_key),
            "-CAcreateserial".into(),
        ]),
        None => arguments.extend(["-signkey".into(), text(&key)]),
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    openssl(&arguments).unwrap();
    (certificate, key)
}

/// A certificate by such a CA.
pub fn issued_by(
    place: &Path,
    name: &str,
    usage: Usage,
    (issuer, issuer_key): (&Path, &Path),
) -> Certificate {
    std::fs::create_dir_all(place).unwrap();
    let text = |path: &Path| path.display().to_string();
    let made = Certificate {
        key: place.join("leaf.key.pem"),
        certificate: place.join("leaf.crt.pem"),
    };
    let purpose = match usage {
        Usage::Client => "clientAuth",
        Usage::Server => "serverAuth",
    };
    let extension_file = place.join("leaf.ext");
    std::fs::write(&extension_file, format!("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName=DNS:{name}\nauthorityKeyIdentifier=none\n")).unwrap();
    let request = place.join("leaf.csr");
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        &format!("/CN={name}"),
        "-keyout",
        &text(&made.key),
        "-out",
        &text(&request),
    ])
    .unwrap();
    openssl(&[
        "x509",
        "-req",
        "-days",
        "365",
        "-in",
        &text(&request),
        "-extfile",
        &text(&extension_file),
        "-CA",
        &text(issuer),
        "-CAkey",
        &text(issuer_key),
        "-CAcreateserial",
        "-out",
        &text(&made.certificate),
    ])
    .unwrap();
    made
}
