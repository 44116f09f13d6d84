//! Makes fixtures/logs anew, by real Postfixes. Some minutes:
//! `RELAYCA_TREES=TREE:TREE... RELAYCA_BLESS=1 cargo nextest run -p relayca-postfix --test log_made --run-ignored only`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod log_faults;
mod pair;

use std::path::Path;

use log_faults::{CLIENTS, Lab, MAIL_HOSTS, RELAYS};
use xtask::lab::Tree;

fn made_with(tree: &Tree) {
    let said = tree
        .command("postconf")
        .args(["-dh", "mail_version"])
        .output()
        .unwrap();
    let version = String::from_utf8(said.stdout).unwrap();
    let version: Vec<&str> = version.trim().split('.').take(2).collect();
    let version = version.join(".");
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/logs")
        .join(&version);
    std::fs::create_dir_all(&place).unwrap();
    let only = std::env::var("RELAYCA_ONLY").unwrap_or_default();
    let mut lab = Lab::new(tree);
    for (name, cause) in CLIENTS.iter().chain(RELAYS).chain(MAIL_HOSTS) {
        if !name.contains(&only) {
            continue;
        }
        eprintln!("{version}: {name}");
        cause(&mut lab);
        std::fs::write(place.join(format!("{name}.log")), lab.logged()).unwrap();
        lab.mend();
    }
}

#[test]
#[ignore = "makes fixtures; needs RELAYCA_TREES"]
fn make_the_logs_of_other_versions() {
    for tree in std::env::var("RELAYCA_TREES")
        .unwrap_or_default()
        .split(':')
        .filter(|path| !path.is_empty())
    {
        made_with(&Tree::at(tree));
    }
}

#[test]
#[ignore = "makes fixtures"]
fn make_the_logs_of_this_version() {
    made_with(&Tree::default());
}
