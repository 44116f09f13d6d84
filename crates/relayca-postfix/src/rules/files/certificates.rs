//! What a certificate says of itself: dates, use, names, kind of key.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: whether the key fits, and who trusts it.

use super::named::{Named, Side, sides};
use super::pairs::{blocks, certificates, keys};
use crate::rules::{Certificate, Finding, Rule, Severity, Subject, fix};

const DAY: i64 = 86_400;

pub(super) const EXPIRED: Rule = Rule {
    id: "certificate-expired",
    severity: Severity::Error,
    title: "a certificate is no longer valid",
    why: "Postfix loads and shows it without a word. Who verifies refuses it: a relay that requires certificates answers 421 and the mail waits, \
          and so does a mail host that demands a verified relay; mail programs warn their users. Servers that deliver to this MX do not look.",
    remedy: "renew it, then reload Postfix",
    sources: &["RFC 5280 section 4.1.2.5", "TLS_README"],
    check: expired,
};

pub(super) const NOT_YET_VALID: Rule = Rule {
    id: "certificate-not-yet-valid",
    severity: Severity::Error,
    title: "a certificate is not valid yet",
    why: "Postfix loads and shows it without a word; who verifies refuses it as if it had expired. Mostly a clock is wrong, here or where it \
          was made.",
    remedy: "set the clock, or wait",
    sources: &["RFC 5280 section 4.1.2.5"],
    check: not_yet_valid,
};

pub(super) const EXPIRES_SOON: Rule = Rule {
    id: "certificate-expires-soon",
    severity: Severity::Warning,
    title: "a certificate ends within 30 days, or within the last quarter of its life",
    why: "Postfix does not warn of it. From that day on whoever verifies refuses it: mail between a mail host and its relay waits, and is \
          returned after five days (maximal_queue_lifetime).",
    remedy: "renew it, then reload Postfix; see that whatever renews it runs",
    sources: &[
        "RFC 5280 section 4.1.2.5",
        "postconf(5) maximal_queue_lifetime",
    ],
    check: expires_soon,
};

pub(super) const NO_SERVER_USE: Rule = Rule {
    id: "server-certificate-for-clients-only",
    severity: Severity::Error,
    title: "the server's certificate may not be used by a server",
    why: "Its extended key usage lacks serverAuth. Postfix shows it all the same; every client that verifies refuses it (`unsuitable certificate \
          purpose`), a mail host that demands a verified relay keeps its mail.",
    remedy: "issue a certificate for a server",
    sources: &[
        "RFC 5280 section 4.2.1.12",
        "postconf(5) smtpd_tls_cert_file",
    ],
    check: no_server_use,
};

pub(super) const NO_CLIENT_USE: Rule = Rule {
    id: "client-certificate-for-servers-only",
    severity: Severity::Warning,
    title: "the client's certificate may not be used by a client",
    why: "Its extended key usage lacks clientAuth. A relay that requires certificates answers 421 (`Client certificate not trusted`); one that only \
          asks lets it relay by its fingerprint. Certificates of Let's Encrypt are no longer for clients.",
    remedy: "issue a certificate for a client, or show none",
    sources: &[
        "RFC 5280 section 4.2.1.12",
        "postconf(5) smtp_tls_cert_file",
    ],
    check: no_client_use,
};

pub(super) const WEAK_KEY: Rule = Rule {
    id: "certificate-key-weak",
    severity: Severity::Warning,
    title: "the certificate's key is too short, or of a kind that nobody takes any more",
    why: "Postfix shows an RSA key below 2048 bits; clients with OpenSSL's security level 2, the default of Debian, refuse it (`EE certificate key \
          too weak`). With a DSA certificate alone no handshake succeeds at all (`no shared cipher`).",
    remedy: "make a new key: P-256, or RSA with 2048 bits or more",
    sources: &[
        "postconf(5) smtpd_tls_cert_file",
        "postconf(5) smtpd_tls_dcert_file",
        "RFC 8446 section 4.2.3",
    ],
    check: weak_key,
};

pub(super) const OTHER_NAME: Rule = Rule {
    id: "certificate-names-another-host",
    severity: Severity::Note,
    title: "the server's certificate does not name $myhostname",
    why: "Postfix does not compare the two. Clients that verify compare the name by which they reach this server: if that is $myhostname, they \
          refuse it.",
    remedy: "issue a certificate with the name that clients use, or leave it if that is another one",
    sources: &[
        "postconf(5) myhostname",
        "RFC 6125 section 6",
        "postconf(5) smtp_tls_secure_cert_match",
    ],
    check: other_name,
};

pub(super) const LEAF_ALONE: Rule = Rule {
    id: "certificate-without-its-chain",
    severity: Severity::Warning,
    title: "the certificate is shown without the intermediate that issued it",
    why: "Postfix sends what is in the file, and issuers that it finds in the CA file. Without the intermediate a client that verifies finds \
          `unable to get local issuer certificate`. Servers that deliver to this MX do not look; mail programs and mail hosts do.",
    remedy: "name the file with the whole chain, `fullchain.pem` for certbot",
    sources: &["postconf(5) smtpd_tls_cert_file", "TLS_README"],
    check: leaf_alone,
};

/// A certificate that is shown, with the issuers behind it.
struct Shown<'a> {
    file: Named,
    server: bool,
    own: &'a Certificate,
    others: Vec<&'a Certificate>,
}

/// The first certificate of each file that is loaded, CA files aside.
fn shown<'a>(subject: &Subject<'a>) -> Vec<(Side<'a>, Shown<'a>)> {
    let mut all = Vec::new();
    for side in sides(subject).into_iter().filter(Side::speaks_tls) {
        let mut files = side.chain_files();
        if files.is_empty() {
            files = side
                .pairs()
                .into_iter()
                .map(|pair| pair.certificate)
                .collect();
        }
        for file in files {
            let Some(blocks) = blocks(subject, &file.path) else {
                continue;
            };
            // The one of the key, where the file says which: an order that is wrong is another rule's.
            let spki = keys(blocks).next().and_then(|key| key.spki.as_deref());
            let mut list: Vec<&Certificate> = certificates(blocks).collect();
            if let Some(at) = list.iter().position(|one| Some(one.spki.as_str()) == spki) {
                list.swap(0, at);
            }
            if list.is_empty() {
                continue;
            }
            let own = list.remove(0);
            all.push((
                side.clone(),
                Shown {
                    file,
                    server: side.is_server(),
                    own,
                    others: list,
                },
            ));
        }
    }
    all
}

/// A date, for people: `2026-11-21`.
pub(super) fn day(seconds: i64) -> String {
    // Days since 0000-03-01, by the arithmetic of the proleptic Gregorian calendar (Howard Hinnant's civil_from_days).
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Whether the time is known: facts made by hand may lack it.
pub(super) fn now(subject: &Subject<'_>) -> Option<i64> {
    (subject.facts.now > 0).then_some(subject.facts.now)
}

fn renewed(file: &Named) -> [String; 2] {
    [
        fix::note(&format!("renew the certificate in {}, then:", file.path)),
        fix::reload(),
    ]
}

fn expired(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(now) = now(subject) else { return };
    for (_, shown) in shown(subject) {
        for (certificate, what) in std::iter::once((shown.own, "the certificate")).chain(
            shown
                .others
                .iter()
                .map(|other| (*other, "an issuer's certificate")),
        ) {
            if certificate.not_after < now {
                // Issuers are looked up anew by whoever verifies; an old cross-signed one may lie there for good.
                let own = std::ptr::eq(certificate, shown.own);
                let finding = EXPIRED
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "{what} in `{}` ({}) ended on {}",
                            shown.file.path,
                            certificate.subject,
                            day(certificate.not_after)
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix(renewed(&shown.file));
                out.push(if own {
                    finding
                } else {
                    finding.as_severe_as(Severity::Note)
                });
            }
        }
    }
}

fn not_yet_valid(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(now) = now(subject) else { return };
    for (_, shown) in shown(subject) {
        if shown.own.not_before > now {
            out.push(
                NOT_YET_VALID
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "the certificate in `{}` begins on {}, and today is {}",
                            shown.file.path,
                            day(shown.own.not_before),
                            day(now)
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix([fix::note("look at the clock: date -u")]),
            );
        }
    }
}

fn expires_soon(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(now) = now(subject) else { return };
    for (_, shown) in shown(subject) {
        let own = shown.own;
        // A certificate of a few days is renewed in its last third: a month ahead would always be too late.
        let ahead = (30 * DAY).min((own.not_after - own.not_before) / 4);
        if own.not_after >= now && own.not_after - now < ahead {
            out.push(
                EXPIRES_SOON
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "the certificate in `{}` ends on {}",
                            shown.file.path,
                            day(own.not_after)
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix(renewed(&shown.file)),
            );
        }
    }
}

fn no_server_use(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, shown) in shown(subject) {
        if shown.server && !shown.own.server {
            out.push(
                NO_SERVER_USE
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "the certificate in `{}` is not for servers",
                            shown.file.path
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix([fix::note(&format!(
                        "name a server's certificate in {}",
                        shown.file.parameter
                    ))]),
            );
        }
    }
}

fn no_client_use(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (_, shown) in shown(subject) {
        if !shown.server && !shown.own.client {
            out.push(
                NO_CLIENT_USE
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "the certificate in `{}` is not for clients",
                            shown.file.path
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix([fix::note(&format!(
                        "name a client's certificate in {}",
                        shown.file.parameter
                    ))]),
            );
        }
    }
}

/// Why a kind of key (`p256`, `rsa2048`, an object identifier) is not taken.
fn weakness(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    // id-dsa (RFC 3279 section 2.3.2).
    if key.starts_with("dsa") || key == "1.2.840.10040.4.1" {
        return Some("DSA");
    }
    let bits: u32 = key
        .strip_prefix("rsa")?
        .trim_matches(['-', ' '])
        .parse()
        .ok()?;
    (bits < 2048).then_some("RSA below 2048 bits")
}

fn weak_key(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (side, shown) in shown(subject) {
        let Some(weakness) = weakness(&shown.own.key) else {
            continue;
        };
        // Beside another certificate a DSA one is only ballast.
        let alone = side.pairs().len() + side.chain_files().len() == 1;
        let finding = WEAK_KEY
            .finds(
                shown.file.place.clone(),
                format!(
                    "the certificate in `{}` has a key of `{}`: {weakness}",
                    shown.file.path, shown.own.key
                ),
            )
            .on(shown.file.service.clone())
            .fix([
                fix::note("make a new key and a certificate for it, then:"),
                fix::reload(),
            ]);
        out.push(if alone && weakness == "DSA" {
            finding.as_severe_as(Severity::Error)
        } else {
            finding
        });
    }
}

/// Whether a name of a certificate covers a host: equal, or `*.` in place of the first label.
fn covers(name: &str, host: &str) -> bool {
    name.eq_ignore_ascii_case(host)
        || name.strip_prefix("*.").is_some_and(|domain| {
            host.split_once('.')
                .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain))
        })
}

fn other_name(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (side, shown) in shown(subject) {
        let host = side.scope.value("myhostname").text;
        // A default that this reader cannot know stays `$myhostname`, `localhost.…` is nobody's name.
        if !shown.server
            || host.contains('$')
            || !host.contains('.')
            || host.starts_with("localhost")
        {
            continue;
        }
        let names = &shown.own.alt_names;
        if names.is_empty() || names.iter().any(|name| covers(name, &host)) {
            continue;
        }
        let list: Vec<&str> = names.iter().map(String::as_str).take(4).collect();
        out.push(
            OTHER_NAME
                .finds(
                    shown.file.place.clone(),
                    format!(
                        "the certificate in `{}` is for {}, not `{host}`",
                        shown.file.path,
                        list.join(", ")
                    ),
                )
                .on(shown.file.service.clone()),
        );
    }
}

/// Public CAs, whose roots sign no host's certificate themselves, by a word of the issuer's name.
const PUBLIC: &[&str] = &[
    "Let's Encrypt",
    "ZeroSSL",
    "Buypass",
    "Sectigo",
    "COMODO",
    "DigiCert",
    "GeoTrust",
    "RapidSSL",
    "Thawte",
    "GlobalSign",
    "Google Trust Services",
    "GoDaddy",
    "Starfield",
    "Entrust",
    "Amazon",
    "SSL.com",
    "Actalis",
    "HARICA",
    "Certum",
    "SwissSign",
    "Telia",
    "GEANT",
];

/// Whether a path is the leaf alone that certbot leaves beside the whole chain.
fn certbot_leaf(path: &str) -> Option<String> {
    let directory = path.strip_suffix("/cert.pem")?;
    directory
        .contains("/live/")
        .then(|| format!("{directory}/fullchain.pem"))
}

fn leaf_alone(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    // certbot's name for it says enough even where nobody could look.
    for side in sides(subject)
        .iter()
        .filter(|side| side.speaks_tls() && side.chain_files().is_empty())
    {
        for pair in side.pairs() {
            let file = pair.certificate;
            let Some(whole) = certbot_leaf(&file.path) else {
                continue;
            };
            out.push(
                LEAF_ALONE
                    .finds(
                        file.place.clone(),
                        format!("`{}` holds no issuer", file.path),
                    )
                    .on(file.service.clone())
                    .fix([
                        fix::set_for(file.service.as_deref(), &file.parameter, &whole),
                        fix::reload(),
                    ]),
            );
        }
    }
    for (side, shown) in shown(subject) {
        let own = shown.own;
        if certbot_leaf(&shown.file.path).is_some() || own.self_signed || !shown.others.is_empty() {
            continue;
        }
        let public = PUBLIC.iter().any(|name| own.issuer.contains(name));
        // Issuers are also taken from the CA file; what a directory holds is not known.
        let in_ca_file = side.named("tls_CAfile").is_some_and(|file| {
            blocks(subject, &file.path)
                .is_none_or(|blocks| certificates(blocks).any(|one| one.subject == own.issuer))
        });
        if public && !in_ca_file && side.value("tls_CApath").is_empty() {
            out.push(
                LEAF_ALONE
                    .finds(
                        shown.file.place.clone(),
                        format!(
                            "`{}` holds one certificate, and not that of {}",
                            shown.file.path, own.issuer
                        ),
                    )
                    .on(shown.file.service.clone())
                    .fix([
                        fix::note(&format!(
                            "put the issuer's certificate behind it in {}, then:",
                            shown.file.path
                        )),
                        fix::reload(),
                    ]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_795_219_200, "2026-11-21"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(day(seconds), text);
        }
    }
}
