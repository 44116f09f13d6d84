//! Another system's tree, into which bundles are put by `install --root`: quick, because no Postfix runs there.
//!
//! In: nothing. Out: an authority whose bundles the admin's own key opens, and a directory with main.cf and master.cf. It refuses
//! to know how install works.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::authority::{Admin, judge};
use crate::install_kit::{same, stand};

pub const RELAY: &str = "relayhost.example.org";
pub const MAILHOST: &str = "mailhost.example.org";

/// A tree of another system, with bundles that the admin's own key opens.
pub struct System {
    pub admin: Admin,
    pub root: PathBuf,
}

impl System {
    pub fn new() -> Self {
        Self::of("example.org", &[])
    }

    /// Of this domain, and with more for `init`.
    pub fn of(domain: &str, arguments: &[&str]) -> Self {
        let admin = Admin::new();
        let recipient = admin.recipient().to_owned();
        let mut all = vec!["init", domain, "--recipient", &recipient, "-i", "key.txt"];
        all.extend(["--seal-to", &recipient]);
        all.extend(arguments);
        admin.done(&all);
        admin.done(&["issue", "mailhost", "--seal-to", &recipient]);
        let root = admin.file("system");
        fs::create_dir_all(root.join("etc/postfix")).unwrap();
        fs::write(
            root.join("etc/postfix/main.cf"),
            "myhostname = a.example.org\n",
        )
        .unwrap();
        fs::write(
            root.join("etc/postfix/master.cf"),
            "smtp inet n - y - - smtpd\n",
        )
        .unwrap();
        Self { admin, root }
    }

    pub fn sealed(&self, host: &str) -> String {
        let path = self.admin.part(&format!("bundles/{host}.tar.age"));
        path.to_str().unwrap().to_owned()
    }

    pub fn public(&self, host: &str) -> String {
        let path = self.admin.part(&format!("bundles/{host}.public.tar"));
        path.to_str().unwrap().to_owned()
    }

    pub fn line<'a>(&'a self, bundle: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut line = vec!["install", bundle, "-i", "key.txt", "--root"];
        line.push(self.root.to_str().unwrap());
        line.extend(more);
        line
    }

    /// Refuses with `code` and these words, and nothing changes, nor does it in a dry run.
    #[track_caller]
    pub fn refuses(&self, bundle: &str, more: &[&str], code: i32, words: &str) {
        let before = stand(&self.root);
        let said = self.admin.run(&self.line(bundle, more)).refused(code);
        assert!(said.contains(words), "{said}");
        same(&before, &stand(&self.root));
    }

    #[track_caller]
    pub fn installs(&self, bundle: &str, more: &[&str]) -> String {
        let outcome = self.admin.run(&self.line(bundle, more));
        let said = outcome.stderr.clone();
        outcome.done();
        said
    }

    #[track_caller]
    pub fn uninstalls(&self, more: &[&str]) -> String {
        let mut line = vec!["uninstall", "--root", self.root.to_str().unwrap()];
        line.extend(more);
        let outcome = self.admin.run(&line);
        let said = outcome.stderr.clone();
        outcome.done();
        said
    }

    /// The bundle's files in a directory of their own, to be spoiled.
    pub fn opened(&self, host: &str) -> PathBuf {
        let place = self.admin.file("opened");
        let _ = fs::remove_dir_all(&place);
        let place_name = place.to_str().unwrap();
        self.admin.done(&[
            "open",
            &self.sealed(host),
            "-i",
            "key.txt",
            "-C",
            place_name,
        ]);
        place
    }

    /// Packs a directory by stock tar; `sums` are made anew before.
    pub fn packed(&self, directory: &Path, sums: bool, arguments: &[&str]) -> String {
        if sums {
            judge(
                "sh",
                &[
                    "-c",
                    "cd \"$0\" && rm -f SHA256SUMS && sha256sum * > SHA256SUMS",
                    directory.to_str().unwrap(),
                ],
            );
        }
        let tar = self.admin.name("spoiled.tar");
        let mut all = vec!["-C", directory.to_str().unwrap(), "-cf", &tar];
        all.extend(["--format=gnu", "--owner=root", "--group=root"]);
        all.extend(arguments);
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        all.extend(names.iter().map(String::as_str));
        judge("tar", &all);
        tar
    }
}
