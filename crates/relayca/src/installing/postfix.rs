//! The Postfix that runs here.
//!
//! In: its configuration directory. Out: whether it runs; checked, reloaded. It refuses to start one that was stopped: who
//! stopped it had a reason.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::programs::run;
use crate::failure::Failure;
use crate::process;

/// How soon after a reload a master that cannot go on is gone: it ends when it cannot have a port.
const SETTLES: Duration = Duration::from_millis(1000);

/// Whether it runs.
pub fn runs(config: &str) -> Result<bool, Failure> {
    Ok(run("postfix", &["-c", config, "status"])?.ok)
}

/// `postfix check`.
pub fn check(config: &str) -> Result<(), Failure> {
    run("postfix", &["-c", config, "check"])?
        .done("postfix check")
        .map(drop)
}

/// `postfix reload`, and that it still runs then.
pub fn reload(config: &str) -> Result<(), Failure> {
    run("postfix", &["-c", config, "reload"])?.done("postfix reload")?;
    let start = Instant::now();
    while start.elapsed() < SETTLES {
        refuse_interrupted()?;
        sleep(Duration::from_millis(100));
    }
    if runs(config)? {
        return Ok(());
    }
    Err(Failure::new("Postfix ended after the reload")
        .hint("its log tells why; most often something else has the port"))
}

/// Lets a Postfix that ran before run again with what is in place now.
pub fn run_again(config: &str) -> Result<(), Failure> {
    if runs(config)? {
        return run("postfix", &["-c", config, "reload"])?
            .done("postfix reload")
            .map(drop);
    }
    run("postfix", &["-c", config, "start"])?
        .done("postfix start")
        .map(drop)
}

/// A failure where an interrupt waits for the end of this.
pub fn refuse_interrupted() -> Result<(), Failure> {
    if process::interrupted() {
        Err(Failure {
            code: crate::failure::INTERRUPTED,
            ..Failure::new("interrupted")
        })
    } else {
        Ok(())
    }
}
