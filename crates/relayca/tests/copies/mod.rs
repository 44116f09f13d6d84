//! Authorities to be copied, and whether a copy is the same.
//!
//! In: directories. Out: nothing, or what differs. It refuses to know how a copy was made.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

use super::authority::{Admin, Tree, judge, keygen};

pub fn dump(inventory: &Path) -> String {
    judge("sqlite3", &[inventory.to_str().unwrap(), ".dump"])
}

/// The authority without what a backup does not take as a file.
pub fn files(root: &Path) -> Tree {
    Tree::of(root).without("inventory.db").without("staged")
}

/// Both hold the same, byte for byte; the inventories row for row.
#[track_caller]
pub fn assert_identical(one: &Path, other: &Path) {
    files(one).assert_same(&files(other));
    assert_eq!(
        dump(&one.join("inventory.db")),
        dump(&other.join("inventory.db"))
    );
}

/// Nothing unfinished lies in the home.
#[track_caller]
pub fn assert_no_leavings(admin: &Admin) {
    let names = Tree::of(&admin.home()).names();
    let left: Vec<_> = names
        .iter()
        .filter(|name| name.contains("unfinished"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// An authority with a rekeyed host, a relay and a file of each kind.
pub fn full() -> Admin {
    let admin = Admin::with_mailhost();
    admin.done(&["renew", "--rekey", "mailhost"]);
    let host = keygen(&admin.file("host.txt"));
    admin.done(&["issue", "other", "--seal-to", &host]);
    admin.done(&["issue", &"h".repeat(60)]);
    admin
}
