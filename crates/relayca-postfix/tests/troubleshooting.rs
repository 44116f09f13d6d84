//! docs/TROUBLESHOOTING.md says what the commands say.
//! `RELAYCA_BLESS=1 cargo nextest run -p relayca-postfix --test troubleshooting` writes it anew.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

#[test]
fn the_document_is_what_the_tables_of_explain_and_lint_say() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/TROUBLESHOOTING.md");
    let text = relayca_postfix::troubleshooting();
    if std::env::var_os("RELAYCA_BLESS").is_some() {
        std::fs::write(&place, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(&place).unwrap_or_default() == text,
        "write it anew with RELAYCA_BLESS=1"
    );
}
