//! What machines do to `install`: files that cannot be replaced, what earlier runs left, programs that hang on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod install_kit;
mod install_system;

use std::fs;

use authority::{Outcome, RELAYCA};
use install_kit::{same, stand};
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
    system.installs(&system.sealed(MAILHOST), &["--apply"]);
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
