//! Ctrl-C at any moment of the commands of later years: the old state whole or the new one, and nothing beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::{Admin, Outcome, RELAYCA, Tree};

const CSR: &str = "mailhost.example.org.csr.pem";

/// Interrupts the command at each flush in turn; gives how often.
fn interrupted(admin: &Admin, arguments: &[&str]) -> usize {
    let names = |tree: &Tree| {
        let mut names = tree.names();
        // What was not committed is left to the next command that writes.
        names.retain(|name| !name.contains("/staged"));
        names
    };
    let mut before = Tree::of(&admin.home());
    for nth in 1..200 {
        let mut command = admin.program("strace");
        command
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=fsync,fdatasync",
                "-e",
            ])
            // It ends by another thread, which has time to be scheduled before all is done.
            .arg(format!(
                "inject=fsync,fdatasync:signal=SIGINT:delay_exit=100000:when={nth}"
            ))
            .arg(RELAYCA)
            .args(arguments);
        let outcome = Outcome::of(&mut command);
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        // The next command finishes what was committed; reading changes nothing else.
        if arguments[0] != "request" {
            admin.done(&["list"]);
        }
        let after = Tree::of(&admin.home());
        if names(&before) != names(&after) {
            // It got through: all of it is there, and nothing that it worked with.
            let odd = |name: &String| {
                name.ends_with(".new") || name.ends_with(".going") || name.contains("/.")
            };
            let left: Vec<String> = names(&after).into_iter().filter(odd).collect();
            assert!(left.is_empty(), "{arguments:?} {nth}: {left:?}");
        }
        before = after;
        // Done, or done before and refused by now.
        if outcome.code != Some(130) {
            assert!(
                admin.staged().is_empty(),
                "{arguments:?}: something is staged"
            );
            return nth - 1;
        }
    }
    panic!("{arguments:?} never ended");
}

#[test]
fn an_interrupt_leaves_the_old_state_or_the_new_one() {
    for arguments in [
        ["renew", "mailhost"].as_slice(),
        &["renew", "--rekey", "mailhost"],
        &["crl", "--out", "list.pem"],
        &["issue", "another"],
        &["issue", "other", "--csr", "other.csr"],
    ] {
        let admin = Admin::with_mailhost();
        admin.done(&["request", "other.example.org"]);
        std::fs::rename(
            admin.file("other.example.org.csr.pem"),
            admin.file("other.csr"),
        )
        .unwrap();
        assert!(interrupted(&admin, arguments) > 0, "{arguments:?}");
        assert!(admin.done(&["list"]).contains("mailhost.example.org"));
    }
}

#[test]
fn an_interrupted_request_leaves_both_files_or_none() {
    let admin = Admin::new();
    assert!(interrupted(&admin, &["request", "mailhost.example.org"]) > 0);
    assert!(admin.file(CSR).exists() && admin.file("mailhost.example.org.key.pem").exists());
}
