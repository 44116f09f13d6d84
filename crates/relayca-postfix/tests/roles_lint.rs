//! The rules find nothing in what roles print, on the main.cf and master.cf that Debian installs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod roles_kit;

use std::fs;

use relayca_postfix::config::Config;
use relayca_postfix::roles::{Role, RoleHost, role_snippet};
use relayca_postfix::rules::{Facts, Finding, Severity, Subject, all, judge};
use roles_kit::{host, of_our_ca};

/// What Debian installs with the pieces of these roles in it, without the lines that the block comments out.
fn findings(described: impl Fn(Role) -> RoleHost, version: &str) -> Vec<Finding> {
    let read = |name: &str| fs::read_to_string(format!("/usr/share/postfix/{name}")).unwrap();
    let (main, mut master) = (read("main.cf.debian"), read("master.cf.dist"));
    let mut ours = String::new();
    for role in [Role::Mx, Role::Submission, Role::Submissions] {
        let snippet = role_snippet(&described(role)).unwrap();
        if role == Role::Mx {
            ours.push_str(&snippet.main_cf.unwrap());
        }
        master.push_str(&snippet.master_cf.unwrap_or_default());
    }
    let name = |line: &str| {
        let (name, _) = line.split_once('=')?;
        (!line.starts_with('#')).then(|| name.trim().to_owned())
    };
    let set: Vec<String> = ours.lines().filter_map(name).collect();
    let kept = |line: &&str| name(line).is_none_or(|name| !set.contains(&name));
    let main: Vec<&str> = main.lines().filter(kept).chain(ours.lines()).collect();
    let version = version.parse().ok();
    let config = Config::parse(
        (main.join("\n") + "\n").as_bytes(),
        Some(master.as_bytes()),
        version,
    );
    let facts = Facts {
        version,
        ..Facts::default()
    };
    judge(&Subject {
        config: &config,
        facts: &facts,
    })
}

#[test]
fn the_rules_find_nothing_in_what_roles_print() {
    assert!(all().len() > 50);
    for version in ["3.4", "3.5", "3.7", "3.10", "3.11"] {
        for described in [host, of_our_ca] {
            let found: Vec<_> = findings(described, version)
                .into_iter()
                .filter(|finding| finding.severity > Severity::Note)
                .collect();
            assert!(found.is_empty(), "{version}: {found:#?}");
        }
    }
}
