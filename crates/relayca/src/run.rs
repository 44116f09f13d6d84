//! What every command is given: the global options, the printer, the secrets and the time.
//!
//! In: the parsed command line. Out: [`Run`]. The clock is read here, once a process.

use time::OffsetDateTime;

use crate::cli::Global;
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::Printer;
use crate::secrets::Secrets;

/// One run of relayca.
#[derive(Debug)]
pub struct Run {
    /// The global options.
    pub global: Global,
    /// Output.
    pub printer: Printer,
    /// Passphrases and identities.
    pub secrets: Secrets,
    /// When the command began.
    pub now: OffsetDateTime,
}

impl Run {
    /// Reads the clock.
    pub fn new(global: Global) -> Self {
        let printer = Printer::new(global.json, global.quiet);
        let secrets = Secrets::new(&global, printer);
        Self {
            printer,
            secrets,
            now: OffsetDateTime::now_utc(),
            global,
        }
    }

    /// The authority that is meant; `host` may tell by its suffix.
    pub fn home(&self, host: Option<&str>) -> Result<Home, Failure> {
        Home::find(&self.global, host, &self.printer)
    }
}
