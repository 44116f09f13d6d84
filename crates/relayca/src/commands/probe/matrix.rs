//! `relayca probe --matrix`: everything that a relay must refuse, and the one certificate that it must not.
//!
//! In: the arguments, the opened authority. Out: a table, and an exit code. It refuses to write a certificate or key anywhere.

use relayca_bundle::Identities;
use relayca_ca::{Authority, HostName};
use serde_json::{Value, json};

use super::relay::{client_json, host_of};
use super::whom::{self, Opened, Whom};
use crate::cli::Probe;
use crate::failure::Failure;
use crate::home::Home;
use crate::printer::{count, one_line, table};
use crate::probing::asking::Envelope;
use crate::probing::credentials::{Credential, Forge};
use crate::probing::in_a_line;
use crate::probing::judging::Judges;
use crate::probing::matrix::{self, Plan, Row, UNTRIED};
use crate::probing::services::{FAULTY, Mark, PARTLY};
use crate::run::Run;

/// Hosts whose bundles are tried, where none is named.
const TRIED: usize = 8;
/// Characters of a fingerprint in the table: enough to find it in the map.
const SHORT: usize = 23;

/// Runs the command; gives the exit code.
pub fn run(run: &Run, arguments: &Probe) -> Result<u8, Failure> {
    let whom = whom::find(run, arguments)?;
    let keys = match &whom.home {
        Some(home) => Some(Keys::open(run, home)?),
        None => None,
    };
    let good = good(arguments, &whom, keys.as_ref())?;
    let host = good
        .as_ref()
        .ok()
        .and_then(|opened| host_of(&opened.0.certificate));
    let client = good
        .as_ref()
        .ok()
        .map(|opened| client_json(opened, &whom, whom.listed(&opened.0).as_deref()));
    let envelope = whom.envelope(arguments, host.as_ref())?;
    let domain = whom.domain(host.as_ref());
    let relay = match &whom.name {
        Some(name) => name.clone(),
        None => HostName::parse(&format!("relay.{domain}"))?,
    };
    let host = match host {
        Some(host) => host,
        None => HostName::parse(&format!("relayca-probe.{domain}"))?,
    };
    let opening = whom.home.as_ref().zip(keys.as_ref());
    let plan = Plan {
        place: &whom.place,
        envelope: &envelope,
        forge: forge(run, &whom, keys.as_ref()),
        host,
        own: opening.and_then(|(home, keys)| {
            let (own, _) = whom::from_bundle(home, &keys.admins, &relay).ok()?;
            Some(own)
        }),
        relay,
        good,
        revoked: match opening {
            Some((home, keys)) => whom::revoked(run, home, &keys.admins, &whom),
            None => Err("no authority is at hand to take one from".to_owned()),
        },
        listed: &|credential: &Credential| whom.listed(credential),
        judges: Judges {
            authorities: &whom.authorities,
            name: whom.name.as_ref(),
            digest: whom.digest,
            now: run.now,
        },
        bounces: whom.bounces,
    };
    let rows = matrix::run(&plan).map_err(|why| {
        Failure::new(why).hint(
            "check that the relay service runs (`postfix status`, `ss -ltn`) and no firewall is between",
        )
    })?;
    drop(plan);
    print(run, &whom, &envelope, client, &rows)
}

/// What opens the authority: the CA's key, and what is sealed to the admins.
struct Keys {
    authority: Authority,
    admins: Identities,
}

impl Keys {
    fn open(run: &Run, home: &Home) -> Result<Self, Failure> {
        let (authority, admins) = home.authority(&run.secrets, run.now)?;
        let admins = home.proof(&run.secrets, admins)?;
        Ok(Self { authority, admins })
    }
}

fn forge<'a>(run: &Run, whom: &'a Whom, keys: Option<&'a Keys>) -> Option<Forge<'a>> {
    let authority = keys.map(|keys| &keys.authority);
    let ca = match authority {
        Some(authority) => authority.certificate(),
        None => whom.authorities.first()?,
    };
    Some(Forge {
        authority,
        ca,
        now: run.now,
    })
}

/// The right certificate: of the host or the files named, or of the first listed host whose bundle opens.
fn good(
    arguments: &Probe,
    whom: &Whom,
    keys: Option<&Keys>,
) -> Result<Result<Opened, String>, Failure> {
    if let Some(opened) = whom::from_files(arguments)? {
        return Ok(Ok(opened));
    }
    let Some((home, keys)) = whom.home.as_ref().zip(keys) else {
        return Ok(Err("no certificate and key were given".to_owned()));
    };
    if let Some(host) = &arguments.host {
        let host = HostName::in_domain(host, &home.settings.domain)?;
        let opened = match whom::from_bundle(home, &keys.admins, &host) {
            Ok(opened) => opened,
            Err(failure) => return Ok(Err(failure.message)),
        };
        if whom.listed(&opened.0).is_none() {
            return Err(Failure::usage(format!(
                "`{host}` is not in the map: the relay is right to refuse it"
            ))
            .hint("name a host that is listed; `relayca map` shows who is"));
        }
        return Ok(Ok(opened));
    }
    let mut why = "no host is listed".to_owned();
    for host in whom.listed_hosts().iter().take(TRIED) {
        match whom::from_bundle(home, &keys.admins, host) {
            Ok(opened) if whom.listed(&opened.0).is_some() => return Ok(Ok(opened)),
            Ok(_) => {}
            Err(failure) => why = failure.message,
        }
    }
    Ok(Err(why))
}

fn print(
    run: &Run,
    whom: &Whom,
    envelope: &Envelope,
    client: Option<Value>,
    rows: &[Row],
) -> Result<u8, Failure> {
    // A note stands where another row is a try of the same kind.
    let marks = rows.iter().map(|row| row.mark);
    let worst = marks.filter(|mark| *mark != Mark::Note).max();
    let code = match worst {
        Some(Mark::Good | Mark::Note) => 0,
        Some(Mark::Untried | Mark::Warning) => PARTLY,
        Some(Mark::Fault) | None => FAULTY,
    };
    let place = one_line(&whom.place.text());
    if run.printer.json {
        let rows: Vec<Value> = rows.iter().map(row_json).collect();
        run.printer.json(&json!({
            "relay": whom.place.text(),
            "name": whom.name.as_ref().map(HostName::as_str),
            "status": worst.map(Mark::as_str),
            "client": client,
            "envelope": { "sender": envelope.sender, "recipient": envelope.recipient },
            "rows": rows,
        }))?;
    } else {
        let cells: Vec<Vec<String>> = rows.iter().map(row_cells).collect();
        let header = [
            "VERDICT",
            "WHAT",
            "MUST BE",
            "WAS",
            "KEY",
            "LISTED AS",
            "ANSWER",
        ];
        run.printer
            .data(&format!("{place}\n{}", table(&header, &cells)))?;
        if let Some(client) = &client {
            run.printer.data(&listed_text(client))?;
        }
        let mut told: Vec<&str> = Vec::new();
        for row in rows {
            let Some(hint) = row.hint.as_deref().filter(|hint| !told.contains(hint)) else {
                continue;
            };
            run.printer.hint(&format!("{}: {hint}", row.id));
            told.push(hint);
        }
    }
    let of = |mark: Mark| rows.iter().filter(|row| row.mark == mark).count();
    let made = rows.iter().filter(|row| row.was != UNTRIED).count();
    let tries = count(made, "try", "tries");
    let (open, odd, untried) = (of(Mark::Fault), of(Mark::Warning), of(Mark::Untried));
    run.printer.note(&match (open, odd + untried) {
        (0, 0) => format!(
            "{place} lets in whom it should, and refuses all else: {tries}"
        ),
        (0, _) => format!(
            "of {tries} at {place}, nothing was open; {untried} more could not be made, {odd} with a warning"
        ),
        _ => format!(
            "{place} is not as it must be: {open} of {tries}"
        ),
    });
    run.printer.note("no message was sent");
    Ok(code)
}

/// What the relay sees of the right certificate beside what the map lists for that host.
fn listed_text(client: &Value) -> String {
    let text = |key: &str| client[key].as_str().unwrap_or("-").to_owned();
    let listed: Vec<&str> = client["listed_fingerprints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let host = text("host");
    let mut lines = format!("\n{host} shows   {}\n", text("fingerprint"));
    if listed.is_empty() {
        lines.push_str(&format!("{host} listed  -\n"));
    }
    for fingerprint in listed {
        lines.push_str(&format!("{host} listed  {fingerprint}\n"));
    }
    crate::printer::printable(&lines)
}

fn row_cells(row: &Row) -> Vec<String> {
    let short = |text: &str| match text.get(..SHORT) {
        Some(start) => format!("{start}…"),
        None => text.to_owned(),
    };
    let stage = row.stage.map(|stage| stage.as_str()).unwrap_or_default();
    let code = row.code.map(|code| code.to_string()).unwrap_or_default();
    let answer = [stage, code.as_str(), row.text.as_str()];
    let answer: Vec<&str> = answer.into_iter().filter(|part| !part.is_empty()).collect();
    vec![
        row.mark.as_str().to_owned(),
        row.what.clone(),
        row.must.to_owned(),
        row.was.to_owned(),
        row.fingerprint
            .as_deref()
            .map(short)
            .unwrap_or_else(|| "-".to_owned()),
        row.listed.clone().unwrap_or_else(|| "-".to_owned()),
        in_a_line(&answer.join(" ")),
    ]
}

fn row_json(row: &Row) -> Value {
    json!({
        "id": row.id,
        "what": row.what,
        "must_be": row.must,
        "was": row.was,
        "verdict": row.mark.as_str(),
        "stage": row.stage.map(|stage| stage.as_str()),
        "code": row.code,
        "text": row.text,
        "fingerprint": row.fingerprint,
        "listed": row.listed,
        "hint": row.hint,
    })
}
