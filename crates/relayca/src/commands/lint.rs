//! `relayca lint`: what is wrong with a Postfix's configuration, and how to mend it. Needs no authority.

use relayca_postfix::rules::all;
use serde_json::Value;

use crate::cli::Lint;
use crate::failure::Failure;
use crate::linting::{self, Linted, fixes, report, sarif};
use crate::printer::{count, one_line};
use crate::run::Run;

/// Paths that are named before the rest is counted.
const MOST_NAMED: usize = 3;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Lint) -> Result<u8, Failure> {
    if arguments.rules {
        return list(run).map(|()| 0);
    }
    if let Some(id) = &arguments.rule {
        return describe(run, id).map(|()| 0);
    }
    if let Some(id) = arguments
        .ignore
        .iter()
        .find(|id| report::rule(id).is_none())
    {
        return Err(no_rule(id));
    }
    if run.printer.json && (arguments.fix || arguments.sarif) {
        return Err(Failure::usage("--json does not go with --fix or --sarif")
            .hint("leave one of the two out; the JSON has the commands too"));
    }
    let linted = linting::lint(run, arguments)?;
    print(run, arguments, &linted)?;
    notes(run, arguments, &linted);
    Ok(report::exit_code(&linted.findings))
}

fn print(run: &Run, arguments: &Lint, linted: &Linted) -> Result<(), Failure> {
    if arguments.sarif {
        return run.printer.json(&sarif::document(linted));
    }
    if run.printer.json {
        return run.printer.json(&report::json(linted));
    }
    if arguments.fix {
        return match fixes::script(linted) {
            Some(script) => run.printer.data(&script),
            None => Ok(()),
        };
    }
    run.printer.data(&report::text(linted))
}

fn notes(run: &Run, arguments: &Lint, linted: &Linted) {
    let where_it_lies = linted.source.shown("main.cf");
    let version = linted.facts.version.map_or_else(
        || "a Postfix of unknown version (--postfix VERSION tells it)".to_owned(),
        |version| format!("Postfix {version}"),
    );
    run.printer.note(&format!(
        "{where_it_lies}, for {version}: {}",
        report::counts(&linted.findings)
    ));
    if linted.source.master_cf.is_none() {
        run.printer
            .note("services were not looked at; --master-cf FILE gives them");
    }
    if let Some((first, rest)) = linted.unreadable.split_first() {
        let mut named: Vec<String> = vec![first.clone()];
        named.extend(rest.iter().take(MOST_NAMED - 1).cloned());
        let named: Vec<String> = named.iter().map(|path| one_line(path)).collect();
        let more = linted.unreadable.len() - named.len();
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        run.printer.notice(&format!(
            "{} could not be looked at by this user, and counted as neither good nor bad: {}{more}",
            count(linted.unreadable.len(), "path", "paths"),
            named.join(", ")
        ));
        run.printer.hint("run it as root to have them judged");
    }
    if arguments.fix && !linted.findings.is_empty() {
        run.printer
            .note("nothing was changed; read it, then paste it into a root shell");
    } else if linted
        .findings
        .iter()
        .any(|finding| !finding.fix.is_empty())
    {
        run.printer
            .note("`relayca lint --fix` prints all commands as one script");
    }
}

fn list(run: &Run) -> Result<(), Failure> {
    if run.printer.json {
        return run.printer.json(&Value::Array(
            all().into_iter().map(report::rule_json).collect(),
        ));
    }
    run.printer.data(&report::of_rules())?;
    run.printer.note(&format!(
        "{}; `relayca lint --rule ID` says more of one",
        count(all().len(), "rule", "rules")
    ));
    Ok(())
}

fn describe(run: &Run, id: &str) -> Result<(), Failure> {
    let rule = report::rule(id).ok_or_else(|| no_rule(id))?;
    if run.printer.json {
        return run.printer.json(&report::rule_json(rule));
    }
    run.printer.data(&report::of_rule(rule))
}

fn no_rule(id: &str) -> Failure {
    Failure::usage(format!("there is no rule `{}`", one_line(id)))
        .hint("`relayca lint --rules` lists them")
}
