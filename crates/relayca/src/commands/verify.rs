//! `relayca verify`: judges a certificate against the authority, or the authority itself.
//!
//! Exit codes: 0 holds, 3 holds with warnings, 4 does not hold; 1 it could not be judged.

use relayca_ca::{Finding, Role};
use relayca_inventory::{Records, State};
use serde_json::json;
use time::Duration;

use super::list::listed;
use super::show::read_certificate;
use crate::cli::Verify;
use crate::dates;
use crate::failure::Failure;
use crate::home::{self, AdminKeys, Home};
use crate::run::Run;
use crate::settings::word;

/// Exit code: it holds, and something wants attention.
const WARNING: u8 = 3;
/// Exit code: it does not hold.
const BROKEN: u8 = 4;
/// A certificate that expires sooner is worth a warning.
const SOON: Duration = Duration::days(30);

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Verify) -> Result<u8, Failure> {
    if arguments.what == "ca" {
        verify_ca(run)
    } else {
        verify_file(run, arguments)
    }
}

fn verify_file(run: &Run, arguments: &Verify) -> Result<u8, Failure> {
    let home = run.home(None)?;
    let role: Option<Role> = arguments.role.as_deref().map(word).transpose()?;
    let certificate = read_certificate(std::path::Path::new(&arguments.what))?;
    let ca = home.ca_certificate()?;
    if certificate.der() == ca.der() {
        return Err(Failure::usage("that is the certificate of the CA itself")
            .hint("`relayca verify ca` judges it, with its key"));
    }
    let faults = relayca_ca::verify(&certificate, std::slice::from_ref(&ca), role, run.now);
    let mut warnings = Vec::new();
    match home
        .inventory_read_only()?
        .certificate(&certificate.serial().to_string())?
    {
        Some(record) if record.certificate_der == certificate.der() => {
            if record.state != State::Live {
                warnings.push(format!("it was {}", record.state));
            } else if record.role == "mailhost" && !listed(&record, &dates::stamp(run.now)) {
                warnings.push("it is not in the map".to_owned());
            }
        }
        _ => warnings
            .push("it is not in the inventory, so it is in no map and cannot relay".to_owned()),
    }
    if certificate.not_after() - run.now < SOON && certificate.not_after() >= run.now {
        warnings.push(format!(
            "it expires on {}",
            dates::day(certificate.not_after())
        ));
    }
    judge(run, &arguments.what, &faults, &warnings)
}

/// The CA certificate, and that its key opens and belongs to it.
fn verify_ca(run: &Run) -> Result<u8, Failure> {
    let home = run.home(None)?;
    let (authority, admins) = home.authority(&run.secrets, run.now)?;
    let ca = authority.certificate();
    let faults = relayca_ca::lint(ca, ca);
    let mut warnings = Vec::new();
    if ca.not_after() - run.now < Duration::days(365) {
        warnings.push(format!("the CA expires on {}", dates::day(ca.not_after())));
    }
    if let AdminKeys::Passphrase(passphrase) = &admins {
        home.wrapped_identity(&run.secrets, passphrase)?;
    }
    warnings.extend(open_to_others(&home));
    judge(run, "ca", &faults, &warnings)
}

/// Files of the authority that other users could read or change.
fn open_to_others(home: &Home) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    [
        ".",
        home::CA_KEY,
        home::CA_PASSPHRASE,
        home::INVENTORY,
        home::SETTINGS,
        home::ADMIN_IDENTITY,
    ]
    .into_iter()
    .map(|name| home.path(name))
    .filter(|path| {
        std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
    })
    .map(|path| format!("`{}` is open to other users", path.display()))
    .collect()
}

fn judge(run: &Run, what: &str, faults: &[Finding], warnings: &[String]) -> Result<u8, Failure> {
    let code = match (faults, warnings) {
        ([], []) => 0,
        ([], _) => WARNING,
        _ => BROKEN,
    };
    let verdict = if code == BROKEN {
        "does not hold"
    } else {
        "holds"
    };
    if run.printer.json {
        let faults: Vec<_> = faults
            .iter()
            .map(
                |fault| json!({ "code": fault.code, "message": fault.message, "hint": fault.hint }),
            )
            .collect();
        run.printer.json(&json!({ "what": what, "holds": code != BROKEN, "faults": faults, "warnings": warnings }))?;
        return Ok(code);
    }
    run.printer
        .data(&format!("{} {verdict}\n", crate::printer::one_line(what)))?;
    for fault in faults {
        run.printer.data(&format!(
            "  {}: {}\n",
            fault.code,
            crate::printer::printable(&fault.message)
        ))?;
        if let Some(hint) = &fault.hint {
            run.printer.hint(hint);
        }
    }
    for warning in warnings {
        run.printer.warning(warning);
    }
    Ok(code)
}
