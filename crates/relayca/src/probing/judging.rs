//! Whether a relay's certificate is the right one.
//!
//! In: what TLS showed, the CAs, the name, the time. Out: [`Check`]s and a [`Judgement`]. It refuses to know the network.

use relayca_ca::{Certificate, Finding, HostName, Role};
use relayca_fingerprint::{Digest, fingerprint};
use relayca_probe::Shown;
use time::{Duration, OffsetDateTime};

use super::services::{Check, Mark};
use crate::dates;

/// A certificate that expires sooner is worth a warning.
const SOON: Duration = Duration::days(30);

/// What is said of dates.
const DATES: [&str; 4] = [
    "expired",
    "not-yet-valid",
    "authority-expired",
    "authority-not-yet-valid",
];

/// What is odd about a certificate and stops no mail.
const HARMLESS: [&str; 19] = [
    "serial-zero",
    "serial-short",
    "no-subject-key-id",
    "no-authority-key-id",
    "no-basic-constraints",
    "no-key-usage",
    "key-usage-not-critical",
    "no-purpose",
    "no-alt-name",
    "alt-name",
    "common-name",
    "no-common-name",
    "outlives-authority",
    "predates-authority",
    "authority-version",
    "authority-no-subject-key-id",
    "authority-path-length",
    "authority-unconstrained",
    "authority-constraints",
];

/// Who judges.
#[derive(Debug, Clone, Copy)]
pub struct Judges<'a> {
    /// The CAs that may have issued it; none where none are at hand.
    pub authorities: &'a [Certificate],
    /// The name that it must carry; `None` where nobody knows.
    pub name: Option<&'a HostName>,
    /// The digest of fingerprints.
    pub digest: Digest,
    /// When.
    pub now: OffsetDateTime,
}

/// A relay's certificate, judged.
#[derive(Debug)]
pub struct Judgement {
    /// The certificate, where one was shown that can be read.
    pub leaf: Option<Certificate>,
    /// Chain, name, dates, proof, in this order.
    pub checks: Vec<Check>,
}

impl Judgement {
    /// The leaf, if all is good: only then may a message be sent.
    pub fn verified(&self) -> Option<&Certificate> {
        let good = |check: &Check| matches!(check.mark, Mark::Good | Mark::Note | Mark::Warning);
        let all = self.checks.len() >= 3 && self.checks.iter().all(good);
        self.leaf.as_ref().filter(|_| all)
    }

    /// What is not as it must be, in one line.
    pub fn fault(&self) -> Option<String> {
        let faults: Vec<&str> = self
            .checks
            .iter()
            .filter(|check| check.mark == Mark::Fault)
            .map(|check| check.seen.as_str())
            .collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

/// Judges what was shown.
pub fn judge(shown: &Shown, judges: &Judges<'_>) -> Judgement {
    let Some(der) = shown.chain.first() else {
        return Judgement {
            leaf: None,
            checks: vec![fault("chain", "no certificate was shown")],
        };
    };
    let leaf = match Certificate::from_der(der) {
        Ok(leaf) => leaf,
        Err(error) => {
            return Judgement {
                leaf: None,
                checks: vec![fault("chain", format!("it cannot be read: {error}"))],
            };
        }
    };
    let mut findings = relayca_ca::verify(&leaf, judges.authorities, Some(Role::Relay), judges.now);
    // One without any purpose, as made by hand, is taken by everybody.
    findings.retain(|found| found.code != "wrong-purpose" || !leaf.purposes().is_empty());
    let (of_dates, of_chain): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|found| DATES.contains(&found.code));
    let mut checks = vec![
        chain(&leaf, &of_chain, judges),
        name(&leaf, judges.name),
        when(&leaf, &of_dates, judges.now),
    ];
    if !shown.proven {
        checks.push(
            fault(
                "proof",
                "the relay did not prove that it has the certificate's key",
            )
            .with_hint("its key is of a kind that cannot be checked here; use p256"),
        );
    }
    let seen = fingerprint(judges.digest, leaf.spki_der());
    checks.push(check(
        "fingerprint",
        Mark::Good,
        format!("{} of its public key {seen}", judges.digest),
    ));
    Judgement {
        leaf: Some(leaf),
        checks,
    }
}

fn chain(leaf: &Certificate, found: &[Finding], judges: &Judges<'_>) -> Check {
    if judges.authorities.is_empty() {
        return check(
            "chain",
            Mark::Untried,
            format!(
                "issued by `{}`; no CA is at hand to judge it by",
                leaf.issuer()
            ),
        )
        .with_hint("give the CA certificate: --ca-file");
    }
    let (harmless, grave): (Vec<&Finding>, Vec<&Finding>) = found
        .iter()
        .partition(|found| HARMLESS.contains(&found.code));
    if let Some(first) = grave.first() {
        let seen: Vec<&str> = grave.iter().map(|found| found.message.as_str()).collect();
        let mut check = fault("chain", seen.join("; "));
        check.hint = match first.code {
            "unknown-authority" | "signature" => Some(
                "the relay shows another certificate than its own: `postconf -P` and main.cf on the relay, or another relay answers there".to_owned(),
            ),
            "wrong-purpose" => Some(
                "it is a mail host's: the relay's settings name the wrong files".to_owned(),
            ),
            _ => first.hint.clone(),
        };
        return check;
    }
    let by = judges
        .authorities
        .iter()
        .find(|ca| leaf.issuer_is(ca))
        .map(|ca| format!("issued by CA {} `{}`", ca.serial(), ca.subject()))
        .unwrap_or_default();
    if let Some(odd) = harmless.first() {
        return check("chain", Mark::Note, format!("{by}; {}", odd.message));
    }
    check("chain", Mark::Good, by)
}

fn name(leaf: &Certificate, wanted: Option<&HostName>) -> Check {
    let mut names: Vec<String> = leaf.alt_names().iter().map(ToString::to_string).collect();
    names.extend_from_slice(leaf.wildcards());
    if names.is_empty() {
        // Postfix, too, looks at the common name only then.
        names.extend(leaf.common_name().map(str::to_ascii_lowercase));
    }
    let told = if names.is_empty() {
        "no name".to_owned()
    } else {
        names.join(", ")
    };
    match wanted {
        None => check(
            "name",
            Mark::Untried,
            format!("{told}; which name it must carry is not known"),
        )
        .with_hint("say it with --name"),
        Some(wanted) if names.iter().any(|name| is_for(name, wanted.as_str())) => {
            check("name", Mark::Good, wanted.as_str())
        }
        Some(wanted) => fault("name", format!("{told}, not {wanted}")).with_hint(format!(
            "mail hosts refuse it: the certificate must carry `{wanted}`, or they must be told the other name"
        )),
    }
}

/// A name, or one with a star for its first label (RFC 6125 section 6.4.3).
fn is_for(name: &str, wanted: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => wanted
            .split_once('.')
            .is_some_and(|(_, rest)| rest == parent),
        None => name == wanted,
    }
}

fn when(leaf: &Certificate, found: &[Finding], now: OffsetDateTime) -> Check {
    let until = dates::day(leaf.not_after());
    if let Some(first) = found.first() {
        let seen: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        let mut check = fault("dates", seen.join("; "));
        check.hint.clone_from(&first.hint);
        return check;
    }
    if leaf.not_after() - now < SOON {
        return check("dates", Mark::Warning, format!("it expires on {until}"))
            .with_hint("`relayca renew` the relay, and take the file there");
    }
    check("dates", Mark::Good, format!("valid until {until}"))
}

/// A check without a hint.
pub fn check(id: &'static str, mark: Mark, seen: impl Into<String>) -> Check {
    Check {
        id,
        mark,
        seen: seen.into(),
        hint: None,
    }
}

/// What is not as it must be.
pub fn fault(id: &'static str, seen: impl Into<String>) -> Check {
    check(id, Mark::Fault, seen)
}

/// Adds what mends it.
pub trait WithHint {
    /// Gives the check with the hint.
    #[must_use]
    fn with_hint(self, hint: impl Into<String>) -> Self;
}

impl WithHint for Check {
    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
