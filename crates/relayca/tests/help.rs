//! What relayca tells of itself: help, manual pages, completions; and what `--quiet` leaves out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::process::Command;

use authority::{Admin, Outcome, judge};

#[test]
fn completions_are_accepted_by_their_shells() {
    let admin = Admin::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = admin.done(&["completions", shell]);
        assert!(
            script.contains("issue") && script.contains("passphrase-file"),
            "{shell}"
        );
        judge(shell, &["-n", &admin.write(shell, script)]);
    }
}

#[test]
fn manual_pages_please_groff_and_mandoc() {
    let admin = Admin::new();
    std::fs::create_dir(admin.file("man1")).unwrap();
    admin.done(&["man", "--out", "man1"]);
    admin.write("man1/standard.1", admin.done(&["man"]));
    let pages: Vec<_> = admin
        .file("man1")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(pages.len() >= 15, "{pages:?}");
    for page in pages {
        let page = page.to_str().unwrap();
        let groff = Command::new("groff")
            .args(["-Kutf8", "-ww", "-z", "-man", "-Tutf8", page])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&groff.stderr), "", "{page}");
        judge("mandoc", &["-T", "lint", "-W", "error", page]);
    }
    // What is there is not overwritten.
    admin.refused(1, &["man", "--out", "man1"]);
}

#[test]
fn help_shows_examples_and_every_command_has_its_own() {
    let admin = Admin::new();
    let help = admin.done(&["--help"]);
    assert!(
        help.contains("Exit codes: 0 done, 1 failed, 2 usage"),
        "{help}"
    );
    assert!(help.contains("`probe`, `deploy`) also 3"), "{help}");
    assert!(help.contains("`explain --check` also 3"), "{help}");
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let commands: Vec<(&str, &str)> = commands
        .lines()
        .map(|line| line.trim().split_once(' ').unwrap())
        .filter(|(command, _)| *command != "help")
        .collect();
    assert!(commands.len() > 30, "{help}");
    std::fs::create_dir(admin.file("pages")).unwrap();
    admin.done(&["man", "--out", "pages"]);
    for (command, what) in commands {
        let what = what.trim();
        let own = admin.done(&[command, "--help"]);
        assert!(own.contains("relayca ") && own.contains("xample"), "{own}");
        // The same sentence everywhere: here, in its own help, and what whatis(1) shows.
        assert!(own.starts_with(&format!("{what}\n")), "{what}: {own}");
        let page = std::fs::read_to_string(admin.file(&format!("pages/relayca-{command}.1")));
        // Up to what troff writes in its own way.
        let what = what.split(['\'', '`', '-']).next().unwrap();
        let name = format!("relayca\\-{command} \\- {what}");
        assert!(page.unwrap().contains(&name), "{command}");
    }
    assert!(admin.done(&["--version"]).starts_with("relayca "));
}

#[test]
fn examples_in_help_name_rules_that_there_are_and_options_that_old_programs_have() {
    let admin = Admin::new();
    let help = admin.done(&["--help"]);
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next());
    let mut rules = 0;
    for command in commands {
        let own = admin.done(&["help", command]);
        // OpenSSH of Debian 12 has no -q there.
        assert!(!own.contains("ssh-keyscan -q"), "{own}");
        for (_, rule) in own.lines().filter_map(|line| line.split_once(" --rule ")) {
            let rule = rule.split_whitespace().next().unwrap_or_default();
            if !rule.starts_with('<') {
                admin.done(&["lint", "--rule", rule]);
                rules += 1;
            }
        }
    }
    assert!(rules > 0, "the example of a rule is gone");
}

#[test]
fn quiet_keeps_data_and_errors_and_drops_notes() {
    let admin = Admin::with_mailhost();
    let outcome = admin.run(&["list", "-q"]);
    assert_eq!(outcome.stderr, "");
    assert!(outcome.done().contains("mailhost"));
    let outcome = Outcome::of(&mut admin.relayca(&["show", "nobody", "-q"]));
    outcome.refused(1);
}
