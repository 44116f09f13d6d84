//! A server's certificates: their chain, the name, the dates, and who trusts them.
//!
//! In: what TLS showed, and the judges. Out: checks. It refuses to know the connection, and revocation.

use relayca_ca::{AltName, Certificate, Role};
use relayca_fingerprint::{Digest, fingerprint};
use relayca_probe::{Trust, bears_name, bears_public_marks, names_of, trust};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Check, Mark, Question, Report, Service, Shown};
use crate::checking::some_of;
use crate::dates;

/// Renewal by an ACME client is due at a third of the life, 30 days for the usual 90: below this it has failed for weeks.
const SOON: Duration = Duration::days(14);
/// Of a certificate for a few days it is this part of its life.
const SOON_PART: i32 = 4;

/// Judges the certificates that a server sent.
pub fn judge(question: &Question<'_>, report: &mut Report, shown: &relayca_probe::Shown) {
    let Some((first, others)) = shown.chain.split_first() else {
        return;
    };
    let leaf = match Certificate::from_der(first) {
        Ok(leaf) => leaf,
        Err(error) => {
            let seen = format!("the certificate cannot be read: {error}");
            report.add(Check::new("certificate", Mark::Fault, seen));
            return;
        }
    };
    if !shown.proven {
        let seen = "the server did not prove that it holds the certificate's key";
        report.add(Check::new("certificate", Mark::Warning, seen).hint(
            "the handshake ended before, or the key is of a kind that is not supported here",
        ));
    }
    report.add(chain(question, &leaf, &shown.chain, others));
    report.add(name(question, &leaf, first));
    report.add(validity(question, &leaf));
    let days = (leaf.not_after() - question.now)
        .whole_seconds()
        .div_euclid(86_400);
    report.certificate = Some(Shown {
        sent: shown.chain.len(),
        days,
        leaf,
    });
}

/// Milder on an MX: servers that deliver mail mostly take any certificate, rather than none.
fn severity(question: &Question<'_>, on_mx: Mark) -> Mark {
    if question.service.is_for_people() {
        Mark::Fault
    } else {
        on_mx
    }
}

fn chain(
    question: &Question<'_>,
    leaf: &Certificate,
    sent: &[Vec<u8>],
    others: &[Vec<u8>],
) -> Check {
    const ID: &str = "certificate-chain";
    if let Some((domain, cas)) = &question.judges.own
        && cas.iter().any(|ca| leaf.issuer_is(ca))
    {
        return of_own(question, leaf, domain, cas);
    }
    let Some(source) = &question.judges.source else {
        return Check::new(
            ID,
            Mark::Untried,
            "this system has no list of public authorities",
        )
        .hint("install ca-certificates, or name a file with --ca-file");
    };
    // Its dates have a check of their own; here it is judged as on a day within them.
    let within = question.now.clamp(leaf.not_before(), leaf.not_after());
    let at = u64::try_from(within.unix_timestamp()).unwrap_or_default();
    match trust(sent, &question.judges.store, at) {
        Trust::Trusted if sent.len() == 1 => Check::new(
            ID,
            Mark::Good,
            format!("trusted: issued by `{}`", leaf.issuer()),
        ),
        Trust::Trusted => Check::new(
            ID,
            Mark::Good,
            format!("complete and trusted: issued by `{}`", leaf.issuer()),
        ),
        _ if is_self_signed(leaf) => self_signed(question),
        Trust::UnknownIssuer => unknown(question, leaf, others, source),
        Trust::OutOfDate => Check::new(
            ID,
            severity(question, Mark::Warning),
            "a certificate in the chain behind the server's own is out of its dates",
        )
        .hint("put the intermediates in place that came with the newest certificate"),
        Trust::Faulty(why) => {
            Check::new(ID, severity(question, Mark::Warning), why).hint("get a new certificate")
        }
        _ => Check::new(ID, Mark::Untried, "it could not be judged"),
    }
}

fn is_self_signed(leaf: &Certificate) -> bool {
    // A signature of a kind that cannot be checked here leaves the names.
    leaf.issuer_is(leaf) || leaf.issuer() == leaf.subject()
}

fn self_signed(question: &Question<'_>) -> Check {
    let id = "certificate-chain";
    match question.service {
        Service::Mx => Check::new(id, Mark::Note, "self-signed: encrypts, and proves nothing; other servers take it")
            .hint("senders that insist (MTA-STS, DANE) need a certificate of a public authority or a TLSA record"),
        _ => Check::new(id, Mark::Fault, "self-signed: people's programs refuse it or ask about it")
            .hint("get a certificate from a public authority, as with `certbot certonly`"),
    }
}

/// Issued by a CA of the authority at hand.
fn of_own(question: &Question<'_>, leaf: &Certificate, domain: &str, cas: &[Certificate]) -> Check {
    let id = "certificate-chain";
    let findings = relayca_ca::verify(leaf, cas, Some(Role::Relay), question.now);
    // The dates have a check of their own.
    let fault = findings
        .iter()
        .find(|finding| !matches!(finding.code, "expired" | "not-yet-valid"));
    if let Some(fault) = fault {
        let seen = format!(
            "issued by the CA of {domain}, and not good: {}",
            fault.message
        );
        return Check::new(id, severity(question, Mark::Warning), seen)
            .hint("issue it anew with `relayca issue --relay`");
    }
    let seen = format!("good: issued by the CA of {domain}");
    if question.service.is_for_people() {
        Check::new(id, Mark::Note, format!("{seen}, which programs must be told to trust"))
            .hint("put the CA certificate into the programs or systems that connect, or use a certificate of a public authority")
    } else {
        Check::new(id, Mark::Good, seen)
    }
}

/// Nobody known signed it: follows the certificates sent as far as they go.
fn unknown(question: &Question<'_>, leaf: &Certificate, others: &[Vec<u8>], source: &str) -> Check {
    let id = "certificate-chain";
    let others: Vec<Certificate> = others
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    let mut top = leaf;
    // Each step uses one up; a loop ends with them.
    for _ in 0..others.len() {
        match others.iter().find(|other| top.issuer_is(other)) {
            Some(issuer) if !is_self_signed(top) => top = issuer,
            _ => break,
        }
    }
    let mark = severity(question, Mark::Warning);
    let private =
        format!("if it is a private CA, give its certificate with --ca-file (judged by {source})");
    if is_self_signed(top) {
        let seen = format!("it leads to `{}`, which is not trusted here", top.subject());
        return Check::new(id, mark, seen).hint(private);
    }
    let fullchain = match question.service {
        Service::Mx | Service::Submission | Service::Submissions => {
            "on the server, `smtpd_tls_cert_file` must name fullchain.pem in place of cert.pem; then `postfix reload`"
        }
        _ => {
            "on the server, Dovecot's `ssl_cert` (2.4: `ssl_server_cert_file`) must name fullchain.pem in place of cert.pem; then `doveadm reload`"
        }
    };
    if top.der() != leaf.der() {
        let seen = format!(
            "the chain ends at `{}`, whose issuer `{}` is neither sent nor trusted here",
            top.subject(),
            top.issuer()
        );
        return Check::new(id, mark, seen).hint(private);
    }
    if bears_public_marks(leaf.der()) {
        let seen = format!(
            "incomplete: the intermediate `{}` is not sent (cert.pem in place of fullchain.pem?)",
            leaf.issuer()
        );
        return Check::new(id, mark, seen).hint(fullchain);
    }
    let seen = format!(
        "its issuer `{}` is neither sent nor trusted here",
        leaf.issuer()
    );
    Check::new(id, mark, seen).hint(format!("{private}; if it is a public one, {fullchain}"))
}

fn names(leaf: &Certificate) -> Vec<String> {
    let addresses = leaf.alt_names().iter().filter_map(|name| match name {
        AltName::Ip(address) => Some(address.to_string()),
        AltName::Dns(_) => None,
    });
    let mut names = names_of(leaf.der());
    names.extend(addresses);
    names
}

fn name(question: &Question<'_>, leaf: &Certificate, der: &[u8]) -> Check {
    const ID: &str = "certificate-name";
    if bears_name(der, &question.host) {
        return Check::new(ID, Mark::Good, format!("it names `{}`", question.host));
    }
    // A self-signed one proves nothing, whatever its name.
    let on_mx = if is_self_signed(leaf) {
        Mark::Note
    } else {
        Mark::Warning
    };
    let mark = severity(question, on_mx);
    let names = names(leaf);
    if names.is_empty() {
        let seen = format!(
            "it names no host in subjectAltName, not `{}`",
            question.host
        );
        return Check::new(ID, mark, seen).hint(
            "names in the subject count no more: get a certificate with the name as subjectAltName",
        );
    }
    let seen = format!(
        "it does not name `{}`, but {}",
        question.host,
        some_of(names.iter().map(String::as_str))
    );
    let hint = match question.service {
        Service::Mx => {
            "the name to cover is the one in the MX record: `certbot certonly --expand` with all names adds it"
        }
        _ => {
            "use a name that it has in people's programs, or add this one: `certbot certonly --expand` with all names"
        }
    };
    Check::new(ID, mark, seen).hint(hint)
}

fn validity(question: &Question<'_>, leaf: &Certificate) -> Check {
    const ID: &str = "certificate-dates";
    const RENEW: &str =
        "renew it, and reload the service: `certbot renew` with a deploy hook does both";
    let (from, until) = (leaf.not_before(), leaf.not_after());
    if question.now > until {
        let seen = format!("it expired on {}", dates::day(until));
        return Check::new(ID, severity(question, Mark::Warning), seen).hint(RENEW);
    }
    if question.now < from {
        let seen = format!("it is not valid before {}", dates::stamp(from));
        return Check::new(ID, severity(question, Mark::Warning), seen)
            .hint("check the clock of this machine");
    }
    let left = until - question.now;
    let days = left.whole_days();
    let seen = format!("until {}, {days} days left", dates::day(until));
    if left < SOON.min(life(from, until) / SOON_PART) {
        let hint = "its renewal has failed, or the service was not reloaded since: compare `certbot certificates` with what is shown here";
        return Check::new(ID, Mark::Warning, seen).hint(hint);
    }
    Check::new(ID, Mark::Good, seen)
}

fn life(from: OffsetDateTime, until: OffsetDateTime) -> Duration {
    until - from
}

/// For programs.
pub fn json(shown: &Shown) -> Value {
    let leaf = &shown.leaf;
    json!({
        "subject": leaf.subject(),
        "issuer": leaf.issuer(),
        "serial": leaf.serial().to_string(),
        "names": names(leaf),
        "key": leaf.key_description(),
        "fingerprint": fingerprint(Digest::Sha256, leaf.spki_der()).to_string(),
        "not_before": dates::stamp(leaf.not_before()),
        "not_after": dates::stamp(leaf.not_after()),
        "days": shown.days,
        "sent": shown.sent,
    })
}
