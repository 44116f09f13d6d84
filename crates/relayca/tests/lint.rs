//! `relayca lint`: what it looks at, how it says it, and what it must never take for a fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use authority::{Admin, Outcome, judge};
use serde_json::Value;

/// A system that is not this one: its Postfix, and a certificate laid out as certbot does.
struct Elsewhere {
    admin: Admin,
}

impl Elsewhere {
    fn new(main_cf: &str) -> Self {
        let elsewhere = Self {
            admin: Admin::new(),
        };
        elsewhere.put("etc/postfix/main.cf", main_cf);
        elsewhere.put(
            "etc/postfix/master.cf",
            "smtp      inet  n       -       n       -       -       smtpd\n\
             smtp      unix  -       -       n       -       -       smtp\n\
             local     unix  -       n       n       -       -       local\n\
             virtual   unix  -       n       n       -       -       virtual\n\
             relay     unix  -       -       n       -       -       smtp\n\
             error     unix  -       -       n       -       -       error\n\
             bounce    unix  -       -       n       -       0       bounce\n\
             tlsmgr    unix  -       -       n       1000?   1       tlsmgr\n",
        );
        elsewhere
    }

    fn root(&self) -> String {
        self.admin.name("elsewhere")
    }

    fn put(&self, path: &str, content: &str) {
        let path = Path::new(&self.root()).join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A key and its certificate under `archive`, and the links to them under `live`, absolute as on a moved disk.
    fn certbot(&self, name: &str) {
        let root = self.root();
        let archive = format!("{root}/etc/letsencrypt/archive/{name}");
        let live = format!("{root}/etc/letsencrypt/live/{name}");
        for directory in [&archive, &live] {
            std::fs::create_dir_all(directory).unwrap();
        }
        judge(
            "openssl",
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "90",
                "-subj",
                &format!("/CN={name}"),
                "-addext",
                &format!("subjectAltName=DNS:{name}"),
                "-keyout",
                &format!("{archive}/privkey1.pem"),
                "-out",
                &format!("{archive}/fullchain1.pem"),
            ],
        );
        let key = format!("{archive}/privkey1.pem");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
        for file in ["privkey", "fullchain"] {
            symlink(
                format!("/etc/letsencrypt/archive/{name}/{file}1.pem"),
                format!("{live}/{file}.pem"),
            )
            .unwrap();
        }
    }

    fn lint(&self, more: &[&str]) -> Outcome {
        let root = self.root();
        let mut arguments = vec!["lint", "--root", &root];
        arguments.extend(more);
        self.admin.run(&arguments)
    }

    fn ids(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["--json"];
        arguments.extend(more);
        ids(&document(&self.lint(&arguments).stdout))
    }
}

fn document(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

fn ids(document: &Value) -> Vec<String> {
    document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["id"].as_str().unwrap().to_owned())
        .collect()
}

const LETS_ENCRYPT: &str = "\
compatibility_level = 3.6
myhostname = mx.example.org
mydestination = $myhostname, localhost
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/letsencrypt/live/$myhostname/fullchain.pem
smtpd_tls_key_file = /etc/letsencrypt/live/$myhostname/privkey.pem
smtp_tls_security_level = may
";

#[test]
fn another_root_is_read_with_its_own_links_and_its_own_version() {
    let there = Elsewhere::new(LETS_ENCRYPT);
    there.certbot("mx.example.org");
    there.put(
        "var/lib/dpkg/status",
        "Package: postfix\nStatus: install ok installed\nVersion: 3.5.25-0+deb11u1\n",
    );
    let outcome = there.lint(&["--json"]);
    let said = document(&outcome.stdout);
    assert_eq!(outcome.code, Some(0), "{said:#}");
    assert_eq!(said["postfix"], "3.5");
    assert_eq!(
        said["main_cf"],
        format!("{}/etc/postfix/main.cf", there.root())
    );
    // The same files swapped are seen through the links.
    there.put(
        "etc/postfix/main.cf",
        &LETS_ENCRYPT
            .replace("cert_file", "x_file")
            .replace("key_file", "cert_file")
            .replace("x_file", "key_file"),
    );
    let outcome = there.lint(&[]);
    assert_eq!(outcome.code, Some(4), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("swapped"), "{}", outcome.stdout);
    // An explicit version counts more.
    assert_eq!(
        document(&there.lint(&["--json", "--postfix", "3.11"]).stdout)["postfix"],
        "3.11"
    );
}

#[test]
fn a_link_cannot_lead_out_of_the_root() {
    let there = Elsewhere::new(
        "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/postfix/out.pem\nsmtpd_tls_key_file = /etc/postfix/out.pem\n",
    );
    // There is a certificate and key out here, and none in there.
    there.certbot("mx.example.org");
    let outside = there.admin.name("outside.pem");
    std::fs::copy(
        format!(
            "{}/etc/letsencrypt/archive/mx.example.org/fullchain1.pem",
            there.root()
        ),
        &outside,
    )
    .unwrap();
    symlink(&outside, format!("{}/etc/postfix/out.pem", there.root())).unwrap();
    let said = there.lint(&["--json"]).stdout;
    assert!(
        ids(&document(&said))
            .iter()
            .any(|id| id.contains("missing")),
        "{said}"
    );
}

#[test]
fn what_an_ordinary_user_may_not_read_is_named_and_no_fault() {
    let there = Elsewhere::new(LETS_ENCRYPT);
    there.certbot("mx.example.org");
    let as_root = there.lint(&[]);
    assert_eq!(as_root.code, Some(0), "{}", as_root.stdout);
    for directory in ["etc/letsencrypt/archive", "etc/letsencrypt/live"] {
        let path = Path::new(&there.root()).join(directory);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    // The way there is open to everybody.
    for directory in [there.admin.home().parent().unwrap(), &there.admin.home()] {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let root = there.root();
    let nobody = Outcome::of(&mut there.admin.as_nobody(&["lint", "--root", &root]));
    assert_eq!(nobody.code, Some(0), "{}{}", nobody.stdout, nobody.stderr);
    assert!(
        nobody
            .stderr
            .contains("counted as neither good nor bad: /etc/letsencrypt/live/mx.example.org"),
        "{}",
        nobody.stderr
    );
    assert!(nobody.stderr.contains("hint: run it as root"));
}

#[test]
fn a_pipe_or_a_giant_in_place_of_a_key_does_not_hold_it_up() {
    let there = Elsewhere::new(
        "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /etc/postfix/pipe\nsmtpd_tls_key_file = /etc/postfix/giant\nsmtpd_tls_CAfile = /dev/zero\n",
    );
    let root = there.root();
    judge("mkfifo", &[&format!("{root}/etc/postfix/pipe")]);
    std::fs::create_dir(format!("{root}/dev")).unwrap();
    symlink("/etc/postfix/pipe", format!("{root}/dev/zero")).unwrap();
    std::fs::File::create(format!("{root}/etc/postfix/giant"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let said = document(&there.lint(&["--json"]).stdout);
    let unreadable = said["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 3, "{said:#}");
}

#[test]
fn single_files_are_judged_for_the_version_and_map_types_given() {
    let admin = Admin::new();
    let main_cf = admin.write(
        "main.cf",
        "compatibility_level = 3.6\nrelay_clientcerts = lmdb:/nowhere/relay_clientcerts\nsmtpd_tls_mandatory_protocols = >=TLSv1.2\n",
    );
    let lint = |more: &[&str]| {
        let mut arguments = vec!["lint", "--json", "--main-cf", &main_cf];
        arguments.extend(more);
        ids(&document(&admin.run(&arguments).stdout))
    };
    let old = lint(&["--postfix", "3.5", "--map-types", "hash,btree"]);
    let new = lint(&["--postfix", "3.7", "--map-types", "hash lmdb"]);
    assert!(old.len() > new.len(), "{old:?} {new:?}");
    let said = admin.run(&["lint", "--main-cf", &main_cf, "--postfix", "3.7"]);
    assert!(said.stderr.contains("--master-cf FILE gives them"));
}

#[test]
fn every_finding_names_its_place_reason_remedy_and_source() {
    let there = Elsewhere::new(
        "smtpd_use_tls = yes\nsmtpd_tls_cert_file = cert.pem\nrelayhost = relay.example.org:2500\nsmtpd_tls_mandatory_protocols = TLSv1\n",
    );
    let said = document(&there.lint(&["--json", "--postfix", "3.7"]).stdout);
    let findings = said["findings"].as_array().unwrap();
    assert!(findings.len() >= 3, "{said:#}");
    for finding in findings {
        for key in ["id", "severity", "file", "message", "why", "remedy"] {
            assert!(!finding[key].as_str().unwrap().is_empty(), "{finding:#}");
        }
        assert!(!finding["sources"].as_array().unwrap().is_empty());
    }
    let text = there.lint(&["--postfix", "3.7"]).stdout;
    let place = format!("{}/etc/postfix/main.cf:1: ", there.root());
    assert!(text.contains(&place), "{text}");
    assert!(text.contains("\n    why  "), "{text}");
    assert!(text.contains("\n    fix  "), "{text}");
    assert!(text.contains("\n    see  "), "{text}");
    // What is ignored is gone, and decides nothing.
    let id = findings[0]["id"].as_str().unwrap().to_owned();
    assert!(
        !there
            .ids(&["--postfix", "3.7", "--ignore", &id])
            .contains(&id)
    );
}

#[test]
fn sarif_has_every_rule_and_every_place() {
    let there = Elsewhere::new("smtpd_use_tls = yes\nrelayhost = relay.example.org:2500\n");
    let said = document(&there.lint(&["--sarif", "--postfix", "3.7"]).stdout);
    assert_eq!(said["version"], "2.1.0");
    let run = &said["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.len() >= 50);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), there.ids(&["--postfix", "3.7"]).len());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert!(
            place["artifactLocation"]["uri"]
                .as_str()
                .unwrap()
                .starts_with("file:///")
        );
        assert!(["note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
    }
}

#[test]
fn rules_can_be_listed_and_read_one_by_one() {
    let admin = Admin::new();
    let all = admin.json(&["lint", "--rules"]);
    let all = all.as_array().unwrap();
    assert!(all.len() >= 50, "{}", all.len());
    let listed = admin.done(&["lint", "--rules"]);
    for rule in all {
        let id = rule["id"].as_str().unwrap();
        assert!(listed.contains(id));
    }
    let id = all[0]["id"].as_str().unwrap();
    let one = admin.done(&["lint", "--rule", id]);
    assert!(one.starts_with(id) && one.contains("\n    why  "), "{one}");
    assert!(
        admin
            .refused(2, &["lint", "--rule", "none"])
            .contains("--rules")
    );
    assert!(
        admin
            .refused(2, &["lint", "--ignore", "none"])
            .contains("there is no rule")
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let admin = Admin::new();
    let place = admin.name("");
    let stderr = admin.refused(1, &["lint", &place]);
    assert!(
        stderr.contains("main.cf") && stderr.contains("hint:"),
        "{stderr}"
    );
    let main_cf = admin.write("main.cf", "");
    for arguments in [
        &["lint", "--main-cf", &main_cf, "--postfix", "three"][..],
        &["lint", "--main-cf", &main_cf, "--map-types", "ha$h"],
        &["lint", "--root", &main_cf],
        &["lint", "--json", "--fix", "--main-cf", &main_cf],
    ] {
        admin.refused(2, arguments);
    }
    admin.write("main.cf", vec![b'#'; (4 << 20) + 1]);
    assert!(
        admin
            .refused(1, &["lint", "--main-cf", &main_cf])
            .contains("larger than 4 MiB")
    );
}

#[test]
fn neither_mail_config_nor_the_path_decides_whom_it_asks() {
    let admin = Admin::new();
    let main_cf = admin.write("main.cf", "compatibility_level = 3.6\n");
    let liar = admin.write("postconf", "#!/bin/sh\necho 9.9\n");
    std::fs::set_permissions(&liar, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command: Command = admin.relayca(&["lint", "--json", "--main-cf", &main_cf]);
    command
        .env("PATH", admin.home())
        .env("MAIL_CONFIG", admin.home());
    let said = document(&Outcome::of(&mut command).stdout);
    let real = judge("postconf", &["-d", "-h", "mail_version"]);
    let real = real.trim();
    let told = said["postfix"].as_str().unwrap();
    assert!(
        real == told || real.starts_with(&format!("{told}.")),
        "{real} {told}"
    );
}
