//! What must hold whatever relayca is given to read.
//!
//! Enters: bytes, from a fuzzer or a seed. Leaves: whether a reader took any of them; a promise that does not hold is a panic, which is what a fuzzer
//! looks for. Refuses to know: who makes the bytes. The binaries for libFuzzer are in `fuzz/`, a workspace of its own, so that
//! no ordinary build needs a C++ compiler; `tests/seeds.rs` runs the same bodies over the seeds in `fixtures/fuzz`.

mod bundles;
mod certificates;
mod der;
mod files;
mod fixed;
mod inventory;
mod keys;
mod log;
mod maps;
mod postfix;
mod wire;
mod words;

pub use bundles::{archives, identities, recipients, sealed};
pub use certificates::{certificates, foreign_authorities, inspection, requests, revocation_lists};
pub use files::{host_answers, host_lists, imports, settings};
pub use inventory::inventory;
pub use keys::{locked_keys, private_keys};
pub use log::mail_log;
pub use maps::maps;
pub use postfix::postfix_config;
pub use wire::smtp_replies;
pub use words::{names, serials, spans};

/// A target: its name, which is also that of its seeds' directory, and its body.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub const TARGETS: &[Target] = &[
    ("archives", archives),
    ("certificates", certificates),
    ("foreign_authorities", foreign_authorities),
    ("host_answers", host_answers),
    ("host_lists", host_lists),
    ("identities", identities),
    ("imports", imports),
    ("inspection", inspection),
    ("inventory", inventory),
    ("locked_keys", locked_keys),
    ("mail_log", mail_log),
    ("maps", maps),
    ("names", names),
    ("postfix_config", postfix_config),
    ("private_keys", private_keys),
    ("recipients", recipients),
    ("requests", requests),
    ("revocation_lists", revocation_lists),
    ("sealed", sealed),
    ("serials", serials),
    ("settings", settings),
    ("smtp_replies", smtp_replies),
    ("spans", spans),
];

/// Text that is shown to people must not be able to steer their terminal.
fn assert_printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
