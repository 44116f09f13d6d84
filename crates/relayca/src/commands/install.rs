//! `relayca install`: a bundle put in place on its host, and Postfix told.

pub mod report;

use std::net::ToSocketAddrs;

use relayca_ca::{Certificate, PrivateKey, Role};

use crate::cli::Install;
use crate::failure::Failure;
use crate::installing::age::Allowed;
use crate::installing::bundle::{self, Bundle};
use crate::installing::changes::{self, found};
use crate::installing::place::Place;
use crate::installing::plan::{self, Planned};
use crate::installing::{postfix, proof};
use crate::printer::{Printer, one_line};
use crate::process;
use crate::run::Run;
use report::Report;

/// Runs the command.
pub fn run(run: &Run, arguments: &Install) -> Result<(), Failure> {
    let place = Place::find(
        arguments.root.as_deref(),
        arguments.config_directory.as_deref(),
    )?;
    if !arguments.dry_run {
        refuse_others_than_root()?;
    }
    place.refuse_foreign()?;
    let mut bundle = bundle::open(run, &place, &arguments.bundle)?;
    refuse_other_directory(&place, &bundle)?;
    if arguments.dry_run {
        refuse_unfinished(&place)?;
        let key = bundle.key(&place)?;
        let planned = plan::plan(
            run,
            &place,
            &mut bundle,
            arguments.apply,
            allowed(arguments),
        )?;
        drop(key);
        return Report::of(arguments, &place, &bundle, &planned).print(run);
    }
    let _undisturbed = process::undisturbed();
    let _lock = place.lock()?;
    recover(&run.printer, &place)?;
    let key = bundle.key(&place)?;
    let planned = plan::plan(
        run,
        &place,
        &mut bundle,
        arguments.apply,
        allowed(arguments),
    )?;
    let mut report = Report::of(arguments, &place, &bundle, &planned);
    if planned.changes.is_empty() {
        return report.print(run);
    }
    let told = tell_interrupted(
        &run.printer,
        carry_out(run, arguments, &place, &bundle, key.as_ref(), &planned),
    );
    (report.running, report.proofs) = told?;
    report.print(run)
}

fn allowed(arguments: &Install) -> Allowed {
    Allowed {
        older: arguments.older,
        other_ca: arguments.other_ca,
    }
}

/// Puts all in place, and proves it. Gives whether Postfix ran, and the proof.
fn carry_out(
    run: &Run,
    arguments: &Install,
    place: &Place,
    bundle: &Bundle,
    key: Option<&PrivateKey>,
    planned: &Planned,
) -> Result<(Option<bool>, Vec<proof::Proof>), Failure> {
    let live = arguments.apply && place.root.is_none();
    let probes = live && !arguments.no_probe;
    let certificate = match &bundle.certificate {
        Some(certificate) => Some(certificate.clone()),
        None => certificate_there(place, bundle)?,
    };
    let mut proofs = Vec::new();
    if let (true, Role::MailHost, Some(certificate), Some(key)) =
        (probes, bundle.role, &certificate, key)
    {
        // It asks the relay and not this Postfix: so before anything is changed.
        proofs =
            proof::mail_host(bundle, certificate, key, run.now).map_err(|failure| Failure {
                message: format!("{}; nothing was changed", failure.message),
                ..failure
            })?;
    } else if live && bundle.role == Role::MailHost {
        warn_of_unknown_relays(&run.printer, bundle);
    }
    let running = if live {
        postfix::runs(&place.inside)?
    } else {
        false
    };
    let pending = changes::carry_out(place, &planned.changes, running, false)?;
    let proven = || -> Result<Option<proof::Proof>, Failure> {
        if !live {
            return Ok(None);
        }
        postfix::check(&place.inside)?;
        postfix::refuse_interrupted()?;
        if !running {
            return Ok(None);
        }
        postfix::reload(&place.inside)?;
        match (
            probes && bundle.role == Role::Relay,
            &certificate,
            &planned.config,
        ) {
            (true, Some(certificate), Some(config)) => {
                proof::relay(bundle, certificate, config, run.now).map(Some)
            }
            _ => Ok(None),
        }
    };
    match proven().and_then(|proof| postfix::refuse_interrupted().map(|()| proof)) {
        Ok(proof) => {
            pending.keep()?;
            proofs.extend(proof);
            Ok((live.then_some(running), proofs))
        }
        Err(failure) => Err(pending.give_up(failure)),
    }
}

/// The certificate that a relay has, where its public bundle brings only the list.
fn certificate_there(place: &Place, bundle: &Bundle) -> Result<Option<Certificate>, Failure> {
    let there = found(&bundle.certificate_path(place))?;
    Ok(there.and_then(|there| {
        let text = std::str::from_utf8(&there.content).ok()?;
        Certificate::from_pem(text).ok()
    }))
}

/// Files in CONFIG/relayca belong to root.
pub fn refuse_others_than_root() -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(Failure::new("this must run as root; nothing was changed")
            .hint("--dry-run shows what it would do"))
    }
}

/// What an earlier run left is taken back first.
pub fn recover(printer: &Printer, place: &Place) -> Result<(), Failure> {
    if let Some(told) = changes::recover(place)? {
        printer.warning(&told);
    }
    Ok(())
}

/// A dry run changes nothing, so it takes nothing back.
pub fn refuse_unfinished(place: &Place) -> Result<(), Failure> {
    if changes::is_unfinished(place)? {
        return Err(Failure::new(
            "an earlier run was stopped in the middle, so that nothing can be told",
        )
        .hint("run it without --dry-run: it takes that back first"));
    }
    Ok(())
}

/// On an interrupt the process ends without a word of how: this says it.
pub fn tell_interrupted<T>(printer: &Printer, result: Result<T, Failure>) -> Result<T, Failure> {
    if let Err(failure) = &result
        && process::interrupted()
    {
        printer.warning(&failure.message);
    }
    result
}

fn refuse_other_directory(place: &Place, bundle: &Bundle) -> Result<(), Failure> {
    let wanted = &bundle.wanted.directory;
    if *wanted == place.inside {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the bundle is for `{wanted}`, and Postfix's configuration here is in `{}`; nothing was changed",
        place.inside
    ))
    .hint(format!(
        "where the authority is: `config-directory = \"{}\"` under [host.\"{}\"] in relayca.toml, then `relayca bundle {}`; or name the other one here: --config-directory {wanted}",
        place.inside, bundle.host, bundle.host
    )))
}

fn warn_of_unknown_relays(printer: &Printer, bundle: &Bundle) {
    for hop in proof::next_hops(bundle).unwrap_or_default() {
        let (host, port) = (hop.target.host.as_str(), hop.target.port);
        if (host, port).to_socket_addrs().is_err() {
            printer.warning(&format!(
                "{} does not resolve here: mail waits until it does",
                one_line(host)
            ));
        }
    }
}
