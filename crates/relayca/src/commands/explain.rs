//! `relayca explain`: what Postfix's log means, and what to do.
//!
//! In: logs, read and never changed. Out: who relays, who is refused and why, and each trouble once, with its remedy. Works without an authority;
//! with one, hosts are named by their fingerprints. Exit codes: 0 read, with `--check` 3 where mail does not flow at the end.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;

use relayca_postfix::log::{Ended, Explainer, Report, State};
use time::OffsetDateTime;

use crate::cli::Explain;
use crate::explaining::follow::{self, Followed, PAUSE};
use crate::explaining::known::Hosts;
use crate::explaining::{json, open, text, when};
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::{Printer, count};
use crate::process;
use crate::run::Run;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Explain) -> Result<u8, Failure> {
    let logs = if arguments.logs.is_empty() {
        vec![open::default()?]
    } else {
        arguments.logs.clone()
    };
    let since = arguments
        .since
        .as_deref()
        .map(|text| when::since(text, run.now))
        .transpose()?;
    let hosts = hosts(run)?;
    let host = arguments
        .host
        .as_ref()
        .map(|host| host.trim_end_matches('.').to_ascii_lowercase());
    let around = relayca_postfix::log::Around::until(run.now.unix_timestamp());
    let explainer = Explainer::new(around, hosts.known())
        .since(since)
        .only(host);
    let report = if arguments.follow {
        let [log] = logs.as_slice() else {
            return Err(Failure::usage("--follow takes one log")
                .hint("name one, or `-` for standard input"));
        };
        let Some(report) = until_the_end(run, arguments, log, explainer)? else {
            return Ok(0);
        };
        report
    } else {
        read(run, &logs, explainer)?
    };
    print(run, arguments, &report)?;
    notes(run, arguments, &hosts, &report);
    let stands = |state: State| matches!(state, State::Refused | State::Waits | State::Bounces);
    let bad = report
        .hosts
        .iter()
        .any(|host| host.ours && stands(host.state));
    Ok(if arguments.check && bad { 3 } else { 0 })
}

/// The hosts of the authority. Without one, there are none; one that was named has to be there.
fn hosts(run: &Run) -> Result<Hosts, Failure> {
    let named = run.global.dir.is_some() || run.global.domain.is_some();
    match Home::look(&run.global, None).and_then(|home| Hosts::of(&home)) {
        Ok(hosts) => Ok(hosts),
        Err(failure) if named => Err(failure),
        Err(failure) => {
            run.printer
                .note(&format!("no inventory to name hosts from: {failure}"));
            Ok(Hosts::default())
        }
    }
}

fn read(
    run: &Run,
    logs: &[std::path::PathBuf],
    mut explainer: Explainer<'_>,
) -> Result<Report, Failure> {
    let mut block = vec![0; BLOCK];
    for path in logs {
        let mut log = open::open(path, run.now)?;
        explainer.written_until(log.around);
        loop {
            let read = match log.reader.read(&mut block) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                other => other.map_err(|error| Failure::io("read", path, &error))?,
            };
            if read == 0 {
                break;
            }
            explainer.feed(block.get(..read).unwrap_or_default(), &mut |_| {});
        }
        explainer.end_of_file(&mut |_| {});
    }
    Ok(explainer.finish(&mut |_| {}))
}

/// What a session that ends is told with, as long as somebody reads it.
struct Teller<'a> {
    printer: Printer,
    all: bool,
    explained: HashSet<(String, &'static str)>,
    /// The reader went away, or writing failed.
    ended: &'a mut Option<Result<(), Failure>>,
}

impl Teller<'_> {
    fn tell(&mut self, session: &Ended) {
        if self.ended.is_some() || !(self.all || session.ours) {
            return;
        }
        let text = if self.printer.json {
            format!("{}\n", json::ended(session))
        } else {
            text::ended(session, &mut self.explained)
        };
        match self.printer.flows(&text) {
            Ok(true) => {}
            Ok(false) => *self.ended = Some(Ok(())),
            Err(failure) => *self.ended = Some(Err(failure)),
        }
    }
}

/// Follows until an interrupt, the end of standard input, or until nobody reads any more: then there is no report.
fn until_the_end(
    run: &Run,
    arguments: &Explain,
    path: &Path,
    mut explainer: Explainer<'_>,
) -> Result<Option<Report>, Failure> {
    let mut ended = None;
    let mut teller = Teller {
        printer: run.printer,
        all: arguments.all,
        explained: HashSet::new(),
        ended: &mut ended,
    };
    // An interrupt is not the end of the process here, but of the waiting.
    let undisturbed = process::undisturbed();
    if path == Path::new("-") {
        let blocks = follow::standard_input();
        while teller.ended.is_none() && !process::interrupted() {
            match blocks.recv_timeout(PAUSE) {
                Ok(block) => explainer.feed(&block?, &mut |session| teller.tell(session)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    } else {
        let mut block = vec![0; BLOCK];
        let mut log = Followed::open(path, arguments.since.is_some())?;
        run.printer.note(&format!(
            "following {}; Ctrl-C ends it with a summary",
            path.display()
        ));
        while teller.ended.is_none() && !process::interrupted() {
            let read = log.read(&mut block)?;
            if read > 0 {
                let now = OffsetDateTime::now_utc().unix_timestamp();
                explainer.written_until(relayca_postfix::log::Around::until(now));
                explainer.feed(block.get(..read).unwrap_or_default(), &mut |session| {
                    teller.tell(session)
                });
            } else if log.look()? {
                explainer.end_of_file(&mut |session| teller.tell(session));
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }
    let report = explainer.finish(&mut |session| teller.tell(session));
    if process::interrupted() {
        // The thread that ends the process at an interrupt waits for this to be given back: main ends it.
        std::mem::forget(undisturbed);
    }
    match ended {
        None => Ok(Some(report)),
        Some(Ok(())) => Ok(None),
        Some(Err(failure)) => Err(failure),
    }
}

fn print(run: &Run, arguments: &Explain, report: &Report) -> Result<(), Failure> {
    if !run.printer.json {
        let text = text::report(report, arguments.all);
        let apart = if arguments.follow && !text.is_empty() {
            "\n"
        } else {
            ""
        };
        return run.printer.data(&format!("{apart}{text}"));
    }
    let value = json::report(report);
    if arguments.follow {
        return run
            .printer
            .data(&format!("{}\n", serde_json::json!({"summary": value})));
    }
    run.printer.json(&value)
}

fn notes(run: &Run, arguments: &Explain, hosts: &Hosts, report: &Report) {
    let printer = &run.printer;
    let counts = &report.counts;
    let number = |number: u64, one: &str, several: &str| {
        count(usize::try_from(number).unwrap_or(usize::MAX), one, several)
    };
    if counts.too_long > 0 {
        printer.warning(&format!(
            "{} left out",
            number(
                counts.too_long,
                "line of more than 64 KiB was",
                "lines of more than 64 KiB were"
            )
        ));
    }
    if counts.not_believed > 0 {
        printer.warning(&format!(
            "{} not believed: a stranger's text looks like Postfix's own there",
            number(counts.not_believed, "line was", "lines were")
        ));
    }
    let (strangers, problems) = text::left_out(report, arguments.all);
    if strangers + problems > 0 && !printer.json {
        printer.note(&format!(
            "beside that, {} and {} that have nothing to do with relaying by certificate{}",
            count(strangers, "host", "hosts"),
            count(problems, "trouble", "troubles"),
            if arguments.all {
                ""
            } else {
                "; --all shows them"
            }
        ));
    }
    let span = match (counts.first, counts.last) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    printer.note(&format!(
        "{}, {} of them about mail that comes or goes{span}",
        number(counts.lines, "line", "lines"),
        counts.told
    ));
    if counts.told == 0 {
        printer.hint("no line of Postfix's was in it: is it the log of the right host and time?");
    } else if hosts.any() && !counts.fingerprints {
        printer.note("the log has no fingerprints, so hosts are named as Postfix names them; smtpd_tls_loglevel = 2 on the relay's service logs them");
    }
}
