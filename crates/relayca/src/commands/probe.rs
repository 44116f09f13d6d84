//! `relayca probe`: looks at live mail servers.
//!
//! In: which one, and what to try. Out: a report and an exit code. It refuses to send a message unless told to. The parts are
//! in `probe/`; what is asked of a server and made of its answers is in `probing/`.

mod egress;
mod matrix;
mod relay;
mod services;
mod whom;

use crate::cli::Probe;
use crate::failure::Failure;
use crate::run::Run;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Probe) -> Result<u8, Failure> {
    if arguments.egress.is_some() {
        return egress::run(run, arguments);
    }
    if arguments.is_about_services() {
        return services::run(run, arguments);
    }
    if arguments.matrix {
        return matrix::run(run, arguments);
    }
    relay::run(run, arguments)
}
