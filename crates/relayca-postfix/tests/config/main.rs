//! main.cf and master.cf as Postfix reads them: the judge is `postconf`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bounds;
mod defaults;
mod defects;
mod generated;
mod judge;
mod live;
mod scopes;
mod values;

use relayca_postfix::config::Config;

/// A configuration as the version that judges would read it.
fn read(main_cf: &str, master_cf: &str) -> Config {
    Config::parse(
        main_cf.as_bytes(),
        Some(master_cf.as_bytes()),
        Some(judge::version()),
    )
}
