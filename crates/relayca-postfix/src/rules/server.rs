//! What the server shows, and whether it speaks TLS at all.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the files, and who relays.

use super::files::named::{Side, owner, sides};
use super::relay::walk::{OTHERS, RECIPIENT, RELAY, asks, restrictions};
use super::{Finding, Rule, Severity, Subject, fix};

const LEVEL: &str = "smtpd_tls_security_level";

/// The rules.
pub(super) const RULES: &[Rule] = &[
    WITHOUT_CERTIFICATE,
    ANONYMOUS,
    LEVEL_UNKNOWN,
    LEVEL_OF_CLIENTS,
    CERTIFICATE_UNUSED,
    TALKATIVE,
    ASKED_OF_EVERYBODY,
];

const WITHOUT_CERTIFICATE: Rule = Rule {
    id: "server-without-certificate",
    severity: Severity::Error,
    title: "the server should speak TLS and has no certificate",
    why: "smtpd warns `No server certs available. TLS won't be enabled`, offers STARTTLS all the same and answers it with `454 4.7.0 TLS not available \
          due to local problem`. Where TLS is mandatory nobody gets in.",
    remedy: "name a certificate and its key",
    sources: &[
        "postconf(5) smtpd_tls_cert_file",
        "postconf(5) smtpd_tls_security_level",
    ],
    check: without_certificate,
};

const ANONYMOUS: Rule = Rule {
    id: "server-anonymous-only",
    severity: Severity::Warning,
    title: "the server has no certificate by intention, which no ordinary client takes",
    why: "With smtpd_tls_cert_file=none the server has anonymous ciphers only, which TLS 1.3 does not have and clients other than Postfix do not offer: \
          the handshake ends with `no shared cipher`. With smtpd_tls_ask_ccert STARTTLS is answered 454.",
    remedy: "name a certificate, be it self-signed",
    sources: &["postconf(5) smtpd_tls_cert_file", "TLS_README"],
    check: anonymous,
};

const LEVEL_UNKNOWN: Rule = Rule {
    id: "server-level-unknown",
    severity: Severity::Error,
    title: "the server's TLS level is no level that a server has",
    why: "smtpd ends with `fatal: Invalid TLS level`: the client gets no greeting and no mail comes in. A server has none, may and encrypt; dane is for \
          clients, and so is anything with a comment behind it.",
    remedy: "set none, may or encrypt",
    sources: &["postconf(5) smtpd_tls_security_level"],
    check: level_unknown,
};

const LEVEL_OF_CLIENTS: Rule = Rule {
    id: "server-level-of-clients",
    severity: Severity::Warning,
    title: "the server's TLS level is one for clients: it becomes `encrypt`",
    why: "verify, secure and fingerprint mean nothing on a server. smtpd warns `unsupported TLS level … using \"encrypt\"` and verifies nobody: clients \
          are verified by smtpd_tls_req_ccert.",
    remedy: "set encrypt, and smtpd_tls_req_ccert if clients are to be verified",
    sources: &[
        "postconf(5) smtpd_tls_security_level",
        "postconf(5) smtpd_tls_req_ccert",
    ],
    check: level_of_clients,
};

const CERTIFICATE_UNUSED: Rule = Rule {
    id: "server-certificate-unused",
    severity: Severity::Warning,
    title: "the server has a certificate, and TLS is off",
    why: "Without smtpd_tls_security_level the server does not offer STARTTLS, whatever certificates are set: all mail comes in the clear.",
    remedy: "set smtpd_tls_security_level=may",
    sources: &["postconf(5) smtpd_tls_security_level"],
    check: certificate_unused,
};

const TALKATIVE: Rule = Rule {
    id: "tls-loglevel-high",
    severity: Severity::Note,
    title: "the TLS log level is meant for debugging",
    why: "From level 3 on the log holds dumps of the handshake in hexadecimal, a hundred lines for each connection; at 4 of everything after it.",
    remedy: "set 1",
    sources: &[
        "postconf(5) smtpd_tls_loglevel",
        "postconf(5) smtp_tls_loglevel",
    ],
    check: talkative,
};

const ASKED_OF_EVERYBODY: Rule = Rule {
    id: "certificates-asked-and-not-used",
    severity: Severity::Note,
    title: "clients are asked for a certificate that no restriction looks at",
    why: "Asking makes some mail programs show a list of certificates to choose from. On a service where no restriction looks at them it is for \
          nothing.",
    remedy: "leave smtpd_tls_ask_ccert at no, and set it in the service that needs it",
    sources: &["postconf(5) smtpd_tls_ask_ccert"],
    check: asked_of_everybody,
};

fn servers<'a>(subject: &Subject<'a>) -> Vec<Side<'a>> {
    sides(subject).into_iter().filter(Side::is_server).collect()
}

fn label(side: &Side<'_>) -> Option<String> {
    side.scope.service().map(|service| service.label())
}

/// `none` for the certificate: no certificate, by intention.
fn is_anonymous(side: &Side<'_>) -> bool {
    side.value("tls_cert_file")
        .text
        .eq_ignore_ascii_case("none")
        && side.pairs().is_empty()
        && side.chain_files().is_empty()
}

fn without_certificate(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in servers(subject).iter().filter(|side| side.speaks_tls()) {
        let empty = [
            "tls_cert_file",
            "tls_eccert_file",
            "tls_dcert_file",
            "tls_chain_files",
        ]
        .iter()
        .all(|rest| side.value(rest).is_empty());
        if !empty {
            continue;
        }
        let value = side.scope.value(LEVEL);
        let service = owner(side.scope, &value);
        out.push(
            WITHOUT_CERTIFICATE
                .finds(
                    side.scope.place(&value),
                    format!(
                        "TLS is at level `{}`, and no certificate is named",
                        side.level
                    ),
                )
                .on(label(side))
                .fix([
                    fix::note("with the paths of a certificate and its key:"),
                    fix::note(&fix::set_for(
                        service.as_deref(),
                        "smtpd_tls_cert_file",
                        "/path/to/certificate.pem",
                    )),
                    fix::note(&fix::set_for(
                        service.as_deref(),
                        "smtpd_tls_key_file",
                        "/path/to/key.pem",
                    )),
                    fix::reload(),
                ]),
        );
    }
}

fn anonymous(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in servers(subject)
        .iter()
        .filter(|side| side.speaks_tls() && is_anonymous(side))
    {
        let value = side.value("tls_cert_file");
        let finding = ANONYMOUS
            .finds(side.scope.place(&value), "`smtpd_tls_cert_file = none`")
            .on(label(side))
            .fix([fix::note(
                "name a certificate in smtpd_tls_cert_file and its key in smtpd_tls_key_file",
            )]);
        out.push(if asks(side.scope) || side.demands_tls() {
            finding.as_severe_as(Severity::Error)
        } else {
            finding
        });
    }
}

fn level_unknown(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &servers(subject) {
        let value = side.scope.value(LEVEL);
        let word = value.text.as_str();
        // Postfix does not care for the case.
        let known = matches!(
            word.to_ascii_lowercase().as_str(),
            "" | "none" | "may" | "encrypt" | "verify" | "secure" | "fingerprint"
        );
        // In wrapper mode the level is not looked at.
        if known || word.contains('$') || side.scope.yes("smtpd_tls_wrappermode") {
            continue;
        }
        let meant = word
            .split([' ', '#', '\t'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let meant = match meant.as_str() {
            "none" | "no" | "off" => "none",
            "encrypt" | "mandatory" | "must" | "required" | "require" => "encrypt",
            _ => "may",
        };
        let service = owner(side.scope, &value);
        out.push(
            LEVEL_UNKNOWN
                .finds(side.scope.place(&value), format!("`{LEVEL} = {word}`"))
                .on(service.clone())
                .fix([
                    fix::set_for(service.as_deref(), LEVEL, meant),
                    fix::reload(),
                ]),
        );
    }
}

fn level_of_clients(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &servers(subject) {
        let value = side.scope.value(LEVEL);
        let word = value.text.to_ascii_lowercase();
        if !matches!(word.as_str(), "verify" | "secure" | "fingerprint")
            || side.scope.yes("smtpd_tls_wrappermode")
        {
            continue;
        }
        let service = owner(side.scope, &value);
        out.push(
            LEVEL_OF_CLIENTS
                .finds(
                    side.scope.place(&value),
                    format!("`{LEVEL} = {}`", value.text),
                )
                .on(service.clone())
                .fix([
                    fix::set_for(service.as_deref(), LEVEL, "encrypt"),
                    fix::reload(),
                ]),
        );
    }
}

fn certificate_unused(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in servers(subject).iter().filter(|side| !side.speaks_tls()) {
        let level = side.scope.value(LEVEL);
        // Said explicitly, for a service behind a filter for example, it is meant.
        if level.text.eq_ignore_ascii_case("none") {
            continue;
        }
        let named = side
            .chain_files()
            .into_iter()
            .chain(side.pairs().into_iter().map(|pair| pair.certificate))
            .next();
        let Some(named) = named else {
            continue;
        };
        let service = owner(side.scope, &level);
        out.push(
            CERTIFICATE_UNUSED
                .finds(
                    named.place.clone(),
                    format!("`{}` is set, and `{LEVEL}` is not", named.parameter),
                )
                .on(named.service.clone())
                .fix([
                    fix::set_for(service.or(named.service).as_deref(), LEVEL, "may"),
                    fix::reload(),
                ]),
        );
    }
}

fn talkative(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &sides(subject) {
        let parameter = side.parameter("tls_loglevel");
        let value = side.scope.value(&parameter);
        if value.text.parse::<u32>().is_ok_and(|level| level >= 3) {
            let service = owner(side.scope, &value);
            out.push(
                TALKATIVE
                    .finds(
                        side.scope.place(&value),
                        format!("`{parameter} = {}`", value.text),
                    )
                    .on(service.clone())
                    .fix([
                        fix::set_for(service.as_deref(), &parameter, "1"),
                        fix::reload(),
                    ]),
            );
        }
    }
}

fn asked_of_everybody(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &servers(subject) {
        let scope = side.scope;
        let value = scope.value("smtpd_tls_ask_ccert");
        if !scope.yes("smtpd_tls_ask_ccert")
            || scope.yes("smtpd_tls_req_ccert")
            || side.level == "none"
        {
            continue;
        }
        let used = [RELAY, RECIPIENT].iter().chain(OTHERS).any(|list| {
            restrictions(scope, list).iter().any(|one| {
                // A policy service is told of the certificate too.
                one.permits_by_certificate() || one.name == "check_policy_service"
            })
        });
        // The header names the certificate, and milters are told: both may be why.
        if used
            || scope.yes("smtpd_tls_received_header")
            || !scope.value("smtpd_milters").is_empty()
        {
            continue;
        }
        out.push(
            ASKED_OF_EVERYBODY
                .finds(scope.place(&value), "`smtpd_tls_ask_ccert = yes`")
                .on(label(side))
                .fix([
                    match owner(scope, &value) {
                        Some(service) => fix::unset_override(&service, "smtpd_tls_ask_ccert"),
                        None => fix::unset("smtpd_tls_ask_ccert"),
                    },
                    fix::reload(),
                ]),
        );
    }
}
