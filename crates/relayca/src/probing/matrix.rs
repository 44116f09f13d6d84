//! The closedness matrix: everything that a relay must refuse, and the one certificate that it must not.
//!
//! In: what there is to show, and where. Out: [`Row`]s, in the order in which they were tried, one connection after the other. It
//! refuses to know where keys come from, and how a table is printed.

use relayca_ca::{HostName, PrivateKey};
use relayca_probe::{Mode, Offers, OldVersion, TlsVersions};

pub use self::tried::UNTRIED;
use self::tried::{ACCEPTED, REFUSED, Tried, client, row};
use super::asking::{Envelope, Outcome, Place, Stage};
use super::closed::{self, InTheClear, UnderTls};
use super::credentials::{Credential, Fault, Forge};
use super::judging::{Judges, judge};
use super::remedies;
use super::services::Mark;

mod tried;

/// What there is to try, and whom to try it on.
pub struct Plan<'a> {
    /// Where the relay is.
    pub place: &'a Place,
    /// Whose mail it would be.
    pub envelope: &'a Envelope,
    /// Makes the wrong certificates; `None` where not even the CA's certificate is at hand.
    pub forge: Option<Forge<'a>>,
    /// The mail host that the wrong certificates name.
    pub host: HostName,
    /// The relay's name, for a server's certificate.
    pub relay: HostName,
    /// The right certificate with its key; or why there is none.
    pub good: Result<(Credential, PrivateKey), String>,
    /// The relay's own certificate with its key, where its bundle opens.
    pub own: Option<Credential>,
    /// A revoked certificate that is valid otherwise; or why there is none to show.
    pub revoked: Result<Credential, String>,
    /// The host that the map lists this certificate for.
    pub listed: &'a dyn Fn(&Credential) -> Option<String>,
    /// The digest of fingerprints, and who judges the relay's own certificate.
    pub judges: Judges<'a>,
    /// Whether refusals are to be final, as `refusal = "reject"` in relayca.toml wants it.
    pub bounces: bool,
}

/// One thing that was tried.
#[derive(Debug)]
pub struct Row {
    /// Names it, for programs: it does not change.
    pub id: &'static str,
    /// For people.
    pub what: String,
    /// `refused`, `accepted`, `off` or `good`.
    pub must: &'static str,
    /// Likewise, or `on`, `bad`, `untried`.
    pub was: &'static str,
    /// Whether that is as it must be.
    pub mark: Mark,
    /// How far it got.
    pub stage: Option<Stage>,
    /// The SMTP code.
    pub code: Option<u16>,
    /// What the relay said or did; of an untried row why.
    pub text: String,
    /// The fingerprint of the public key that the relay saw.
    pub fingerprint: Option<String>,
    /// The host that the map lists it for.
    pub listed: Option<String>,
    /// What mends it, or what to give for it to be tried.
    pub hint: Option<String>,
}

/// Tries everything.
///
/// # Errors
/// Why there was not even a first connection.
pub fn run(plan: &Plan<'_>) -> Result<Vec<Row>, String> {
    let mut tried = Tried::new(plan);
    good(&mut tried);
    no_certificate(&mut tried);
    if let Some(why) = tried.unreachable {
        return Err(why);
    }
    server(&mut tried);
    unlisted(&mut tried);
    listed(&mut tried);
    commands(&mut tried);
    versions(&mut tried);
    sessions(&mut tried);
    Ok(tried.rows)
}

fn good(tried: &mut Tried<'_>) {
    let what = "the right certificate".to_owned();
    let credential = tried.plan.good.as_ref().map(|(credential, _)| credential);
    match credential {
        Ok(credential) => tried.show("good", what, ACCEPTED, Some(credential)),
        Err(why) => tried.leave_out("good", what, ACCEPTED, why),
    }
}

fn no_certificate(tried: &mut Tried<'_>) {
    tried.show("none", "no certificate".to_owned(), REFUSED, None);
}

/// The relay's own certificate, as it was shown first.
fn server(tried: &mut Tried<'_>) {
    let mut row = row("server", "the relay's own certificate", "good");
    match &tried.shown {
        Some(shown) => {
            let judged = judge(shown, &tried.plan.judges);
            let worst = judged.checks.iter().max_by_key(|check| check.mark);
            row.was = "good";
            row.mark = worst.map_or(Mark::Untried, |check| check.mark.max(Mark::Good));
            if row.mark == Mark::Note {
                row.mark = Mark::Good;
            }
            row.text = judged.fault().unwrap_or_else(|| {
                let seen: Vec<&str> = judged.checks.iter().map(|c| c.seen.as_str()).collect();
                seen.get(..3).unwrap_or(&seen).join("; ")
            });
            row.hint = worst.and_then(|check| check.hint.clone());
            match row.mark {
                Mark::Fault => row.was = "bad",
                Mark::Untried => row.was = UNTRIED,
                _ => {}
            }
        }
        None => row.text = "it was not shown".to_owned(),
    }
    tried.rows.insert(0, row);
}

/// Certificates whose keys are in no map.
fn unlisted(tried: &mut Tried<'_>) {
    let host = &tried.plan.host;
    let cases = [
        (
            "self-signed",
            "a self-signed certificate",
            Fault::SelfSigned,
        ),
        (
            "other-ca",
            "one of another CA of the same name",
            Fault::OtherAuthority,
        ),
        ("expired", "an expired one", Fault::Expired),
        (
            "not-yet-valid",
            "one that is not valid yet",
            Fault::NotYetValid,
        ),
        ("unlisted", "a valid one, not listed", Fault::None),
    ];
    for (id, what, fault) in cases {
        let made = tried.forge(fault, host, None);
        tried.show_made(id, what, &made);
    }
    match &tried.plan.revoked {
        Ok(revoked) => {
            tried.show(
                "revoked",
                "a revoked one".to_owned(),
                REFUSED,
                Some(revoked),
            );
            let lists = tried.refused("unlisted");
            let taken = tried.rows.last_mut().filter(|row| row.was == ACCEPTED);
            if let Some(row) = taken.filter(|_| lists) {
                row.hint = Some(remedies::OLD_LIST.to_owned());
            }
        }
        Err(why) => tried.stand_in("revoked", "a revoked one", why, "unlisted"),
    }
    match &tried.plan.own {
        Some(own) => tried.show(
            "relay",
            "the relay's own, as a client".to_owned(),
            REFUSED,
            Some(own),
        ),
        None => {
            // A relay outside the domain may have a name that the CA cannot certify.
            let made = tried
                .forge(Fault::ServerPurpose, &tried.plan.relay, None)
                .or_else(|_| tried.forge(Fault::ServerPurpose, host, None));
            tried.show_made("relay", "a server's of the relay's name", &made);
        }
    }
}

/// Wrong certificates for the right key: a relay that only asks for a certificate, and does not require a good one, looks no
/// further than the key.
fn listed(tried: &mut Tried<'_>) {
    let cases = [
        ("listed-expired", "listed key, expired", Fault::Expired),
        (
            "listed-self-signed",
            "listed key, self-signed",
            Fault::SelfSigned,
        ),
        (
            "listed-other-ca",
            "listed key, another CA",
            Fault::OtherAuthority,
        ),
        (
            "listed-server",
            "listed key, a server's",
            Fault::ServerPurpose,
        ),
    ];
    let plan = tried.plan;
    for (id, what, fault) in cases {
        match &plan.good {
            Ok((_, key)) => {
                let made = tried.forge(fault, &plan.host, Some(key));
                tried.show_made(id, what, &made);
            }
            Err(why) => tried.leave_out(id, what.to_owned(), REFUSED, why),
        }
    }
}

/// The certificate that gets furthest: the right one, or a valid one that is not listed.
fn furthest(tried: &Tried<'_>) -> Option<Credential> {
    let plan = tried.plan;
    match &plan.good {
        Ok((good, key)) => Some(Credential::new(good.certificate.clone(), key, &[])),
        Err(_) => tried.forge(Fault::None, &plan.host, None).ok(),
    }
}

/// What is done in the clear, and commands that must not be there.
fn commands(tried: &mut Tried<'_>) {
    let heard = match tried.asks(closed::in_the_clear) {
        Ok(heard) => heard,
        Err(why) => InTheClear::untried(&why),
    };
    let what = if tried.plan.place.target.mode == Mode::Implicit {
        "SMTP without TLS"
    } else {
        "MAIL before STARTTLS"
    };
    tried.note_stop(&heard.mail);
    tried.close("plaintext", what, &heard.mail);

    let identity = furthest(tried);
    let under = tried.asks(|place, _| {
        let identity = identity.as_ref().map(Credential::identity);
        closed::under_tls(place, &client(identity, TlsVersions::Both)?)
    });
    let under = under.unwrap_or_else(|why| Err(Outcome::untried(why)));
    if let Err(outcome) = &under {
        tried.note_stop(outcome);
    }
    let inside = under.as_ref().ok();
    let vrfy = [Some(&heard.vrfy), inside.map(|inside| &inside.vrfy)];
    let etrn = [Some(&heard.etrn), inside.map(|inside| &inside.etrn)];
    for (id, keyword, what, answers) in [
        ("auth", "AUTH", "passwords (AUTH)", [None, None]),
        ("vrfy", "VRFY", "VRFY offered or answered", vrfy),
        ("etrn", "ETRN", "ETRN offered or answered", etrn),
    ] {
        let outcome = command(keyword, &heard.offers, &under, answers);
        tried.close(id, what, &outcome);
    }
}

/// Whether a command is offered or answered, in the clear or under TLS.
fn command(
    keyword: &str,
    before: &Offers,
    under: &Result<UnderTls, Outcome>,
    answers: [Option<&Outcome>; 2],
) -> Outcome {
    let offered = |when: &str| Outcome::Taken {
        stage: Stage::Ehlo,
        code: 250,
        text: format!("{keyword} is offered {when}"),
    };
    if closed::offers(before, keyword) {
        return offered("before TLS");
    }
    let taken = |answer: &&Outcome| matches!(answer, Outcome::Taken { .. });
    match under {
        Ok(under) if closed::offers(&under.offers, keyword) => offered("under TLS"),
        _ => match (answers.into_iter().flatten().find(taken), under) {
            (Some(answer), _) => answer.clone(),
            // A relay that lets nobody so far in offers nobody anything there.
            (None, Err(outcome)) => outcome.clone(),
            (None, Ok(_)) => match answers {
                [_, Some(inside)] => inside.clone(),
                _ => Outcome::Refused {
                    stage: Stage::InTls,
                    code: None,
                    text: format!("{keyword} is not offered"),
                },
            },
        },
    }
}

fn versions(tried: &mut Tried<'_>) {
    for (id, version) in [
        ("sslv3", OldVersion::Ssl3),
        ("tlsv1", OldVersion::Tls10),
        ("tlsv1.1", OldVersion::Tls11),
    ] {
        let outcome = tried.asks(|place, _| closed::old_version(place, version));
        let outcome = outcome.unwrap_or_else(Outcome::untried);
        tried.note_stop(&outcome);
        tried.close(id, &version.to_string(), &outcome);
    }
}

fn sessions(tried: &mut Tried<'_>) {
    let identity = furthest(tried);
    let identity = identity.as_ref().map(Credential::identity);
    for (id, what, versions) in [
        (
            "tls13-resumption",
            "resumption in TLS 1.3",
            TlsVersions::Only13,
        ),
        (
            "tls12-resumption",
            "resumption in TLS 1.2",
            TlsVersions::Only12,
        ),
    ] {
        let outcome = tried.asks(|place, _| closed::resumption(place, identity, versions));
        let outcome = outcome.unwrap_or_else(Outcome::untried);
        tried.note_stop(&outcome);
        tried.close(id, what, &outcome);
    }
    if tried.plan.place.target.mode == Mode::Implicit {
        // There is nothing to inject behind.
        return;
    }
    let outcome = tried.asks(|place, _| match client(identity, TlsVersions::Both) {
        Ok(client) => closed::injection(place, &client),
        Err(outcome) => outcome,
    });
    let outcome = outcome.unwrap_or_else(Outcome::untried);
    tried.note_stop(&outcome);
    tried.close("injection", "a command injected behind STARTTLS", &outcome);
}
