//! A bar on a terminal while many files are worked on.
//!
//! In: how many there are. Out: the bar, hidden for a few, under `-q`, and where stderr is no terminal. It refuses to know what
//! is done with them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::Run;

/// From this many on.
const MANY: usize = 50;

/// `relayca: DOING [bar] 3/100 UNIT, 2s left`.
pub fn bar(run: &Run, total: usize, doing: &str, unit: &str) -> ProgressBar {
    let target = if total >= MANY && !run.printer.quiet {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total as u64), target);
    match ProgressStyle::with_template(&format!(
        "relayca: {doing} {{bar:32}} {{pos}}/{{len}} {unit}, {{eta}} left"
    )) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
