//! `relayca verify`: judges a certificate against the authority, or the authority itself.
//!
//! Exit codes: 0 holds, 3 holds with warnings, 4 does not hold; 1 it could not be judged.

use relayca_ca::{Finding, Role};
use relayca_inventory::{CertificateRecord, Phase, Records, State};
use serde_json::json;
use time::Duration;

use super::list::{Today, listed};
use super::show::read_certificate;
use crate::authorities::{Authorities, Standing};
use crate::cli::Verify;
use crate::dates;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::opening::AdminKeys;
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
    let inventory = home.inventory_read_only()?;
    let authorities = Authorities::of(&inventory)?;
    let own = |one: &Standing| one.certificate.der() == certificate.der();
    if authorities.all().iter().any(own) {
        return Err(Failure::usage("that is the certificate of the CA itself")
            .hint("`relayca verify ca` judges it, with its key"));
    }
    let mut faults = relayca_ca::verify(&certificate, &authorities.trusted(), role, run.now);
    let mut warnings = Vec::new();
    match authorities.signer_of(&certificate) {
        Some(signer) if signer.phase == Phase::Retired => retired_signer(signer, &mut faults),
        Some(signer) if signer.phase == Phase::Outgoing => warnings.push(format!(
            "it hangs on the outgoing CA {}: renew it before `relayca rollover retire`",
            signer.certificate.serial()
        )),
        _ => {}
    }
    match inventory.certificate(&certificate.serial().to_string())? {
        Some(record) if record.certificate_der == certificate.der() => {
            if record.state == State::Revoked {
                faults.push(revoked(&record));
            } else if record.state != State::Live {
                warnings.push(format!("it was {}", record.state));
            } else if record.role == "mailhost"
                && !listed(&record, &Today::of(&inventory, run.now)?)
            {
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

/// Whatever its chain says, it is withdrawn.
fn revoked(record: &CertificateRecord) -> Finding {
    Finding::new("revoked", format!("serial {} was revoked", record.serial)).with_hint(format!(
        "`relayca renew --rekey {}` gives the host a new key",
        record.host
    ))
}

/// Of a retired CA more is known than that no host trusts it.
fn retired_signer(signer: &Standing, faults: &mut [Finding]) {
    for fault in faults
        .iter_mut()
        .filter(|fault| fault.code == "unknown-authority")
    {
        fault.message = format!(
            "it was issued by CA {}, which is retired: no host is to trust it any more",
            signer.certificate.serial()
        );
    }
}

/// Every CA in use: its certificate, and that its key opens and belongs to it. Of a retired one the files may be gone.
fn verify_ca(run: &Run) -> Result<u8, Failure> {
    let home = run.home(None)?;
    let inventory = home.inventory_read_only()?;
    let authorities = Authorities::of(&inventory)?;
    let admins = home.admin_keys(&run.secrets)?;
    let mut faults = Vec::new();
    let mut warnings = Vec::new();
    for standing in authorities.in_use() {
        verify_one(run, &home, standing, &admins, &mut faults, &mut warnings)?;
    }
    if let AdminKeys::Passphrase(passphrase) = &admins {
        home.wrapped_identity(&run.secrets, passphrase)?;
    }
    warnings.extend(open_to_others(&home, &authorities));
    judge(run, "ca", &faults, &warnings)
}

fn verify_one(
    run: &Run,
    home: &Home,
    standing: &Standing,
    admins: &AdminKeys,
    faults: &mut Vec<Finding>,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let known = &standing.certificate;
    let directory = standing.directory();
    // The active one has to be valid today. One beside it may have run out: that is told, and its key is looked at all the same.
    let at = if standing.phase == Phase::Active {
        run.now
    } else {
        run.now.clamp(known.not_before(), known.not_after())
    };
    let authority = home.authority_in(&directory, admins, at)?;
    let ca = authority.certificate();
    if ca.der() != known.der() {
        return Err(Failure::new(format!(
            "`{}` is not the CA certificate that the inventory has",
            home.path(&format!("{directory}/{}", home::CERTIFICATE))
                .display()
        ))
        .hint("the file is damaged or another one: restore it from a backup"));
    }
    let which = match standing.phase {
        Phase::Active => "the CA".to_owned(),
        phase => format!("the {phase} CA {}", ca.serial()),
    };
    faults.extend(relayca_ca::lint(ca, ca).into_iter().map(|mut fault| {
        if standing.phase != Phase::Active {
            fault.message = format!("{which}: {}", fault.message);
        }
        fault
    }));
    if ca.not_after() < run.now {
        warnings.push(format!("{which} expired on {}", dates::day(ca.not_after())));
    } else if ca.not_after() - run.now < Duration::days(365) {
        warnings.push(format!("{which} expires on {}", dates::day(ca.not_after())));
    }
    Ok(())
}

/// Files of the authority that other users could read or change.
fn open_to_others(home: &Home, authorities: &Authorities) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let of_cas = authorities.all().iter().flat_map(|one| {
        let directory = one.directory();
        [home::KEY, home::PASSPHRASE].map(|file| format!("{directory}/{file}"))
    });
    [".", home::INVENTORY, home::SETTINGS, home::ADMIN_IDENTITY]
        .map(str::to_owned)
        .into_iter()
        .chain(of_cas)
        .map(|name| home.path(&name))
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
