//! Which CAs a service trusts whose clients relay, and for how long it believes what it saw.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the CA files.

use super::walk::{dedicated, relays, requires};
use crate::config::{Origin, Scope};
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const NO_AUTHORITY: Rule = Rule {
    id: "no-ca-to-trust",
    severity: Severity::Error,
    title: "certificates are required, and no CA is trusted",
    why: "With smtpd_tls_CAfile and smtpd_tls_CApath both empty no chain ends anywhere: every client hears `421 4.7.1 … Client certificate not \
          trusted`. tls_append_default_CA adds the system's CAs only beside one of the two.",
    remedy: "name the CA's certificate in smtpd_tls_CAfile",
    sources: &[
        "postconf(5) smtpd_tls_CAfile",
        "postconf(5) smtpd_tls_req_ccert",
    ],
    check: no_authority,
};

pub(super) const INHERITED_DIRECTORY: Rule = Rule {
    id: "inherited-ca-directory",
    severity: Severity::Warning,
    title: "main.cf adds a directory of CAs to the one that the relay service trusts",
    why: "smtpd_tls_CApath adds to smtpd_tls_CAfile and does not replace it. A service that names its own CA file and inherits a directory trusts all \
          of both, so certificates of those CAs pass smtpd_tls_req_ccert as well; then the fingerprint alone decides.",
    remedy: "empty smtpd_tls_CApath in the service",
    sources: &[
        "postconf(5) smtpd_tls_CApath",
        "postconf(5) smtpd_tls_CAfile",
    ],
    check: inherited_directory,
};

pub(super) const SYSTEM_AUTHORITIES: Rule = Rule {
    id: "system-cas-trusted-for-clients",
    severity: Severity::Warning,
    title: "the relay service trusts the CAs of the whole web",
    why: "Anybody can get a certificate of one of them, so requiring one proves nothing; the fingerprint alone decides. Certificates of your own CA \
          are refused (421), as it is not among them. The server also sends the names of all of them to every client.",
    remedy: "name the CA file of your own CA, and nothing else",
    sources: &[
        "postconf(5) smtpd_tls_CAfile",
        "postconf(5) tls_append_default_CA",
    ],
    check: system_authorities,
};

pub(super) const RESUMED: Rule = Rule {
    id: "resumed-sessions-outlive-certificates",
    severity: Severity::Warning,
    title: "on a resumed TLS session an expired certificate still relays",
    why: "A client that resumes a session shows no certificate again: Postfix believes what it saw then, and logs `Trusted` for one that expired in \
          the meantime. Tickets are on unless tls_ssl_options has NO_TICKET, which a service can have for itself; the cache is tlsmgr's, \
          which reads main.cf alone. Taking a fingerprint out of the table works at once either way.",
    remedy: "turn tickets off on the relay service, and the session cache off in main.cf",
    sources: &[
        "postconf(5) tls_ssl_options",
        "postconf(5) smtpd_tls_session_cache_database",
        "TLS_README",
    ],
    check: resumed,
};

/// The CA file, if it is the system's collection.
pub(super) fn system_bundle(scope: Scope<'_>) -> Option<String> {
    const BUNDLES: &[&str] = &[
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/certs/ca-bundle.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/pki/tls/cert.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/usr/local/share/certs/ca-root-nss.crt",
        "/usr/share/ca-certificates/trust-source/mozilla.trust.p11-kit",
    ];
    let file = scope.value("smtpd_tls_CAfile").text;
    BUNDLES.contains(&file.as_str()).then_some(file)
}

fn no_authority(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (service, scope) in super::walk::servers(subject) {
        let empty = scope.value("smtpd_tls_CAfile").is_empty()
            && scope.value("smtpd_tls_CApath").is_empty();
        if !requires(scope) || !empty {
            continue;
        }
        let value = scope.value("smtpd_tls_req_ccert");
        out.push(
            NO_AUTHORITY
                .finds(
                    scope.place(&value),
                    "`smtpd_tls_CAfile` and `smtpd_tls_CApath` are empty",
                )
                .on(service.map(|service| service.label()))
                .fix([
                    fix::note("with the path of the CA's certificate:"),
                    fix::note(&fix::set_for(
                        owner(scope, &value).as_deref(),
                        "smtpd_tls_CAfile",
                        "/path/to/ca.pem",
                    )),
                    fix::reload(),
                ]),
        );
    }
}

fn inherited_directory(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in dedicated(subject) {
        let Some(service) = relay.label() else {
            continue;
        };
        let value = relay.scope.value("smtpd_tls_CApath");
        if value.is_empty()
            || !matches!(value.origin, Origin::Main { .. })
            || !relay.sets("smtpd_tls_CAfile")
        {
            continue;
        }
        out.push(
            INHERITED_DIRECTORY
                .finds(
                    relay.place("smtpd_tls_CAfile"),
                    format!(
                        "`smtpd_tls_CApath = {}` of main.cf counts as well",
                        value.text
                    ),
                )
                .on(Some(service.clone()))
                .fix([
                    fix::override_(&service, "smtpd_tls_CApath", ""),
                    fix::reload(),
                ]),
        );
    }
}

fn system_authorities(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        let scope = relay.scope;
        if !requires(scope) && !relay.dedicated {
            continue;
        }
        let named = !scope.value("smtpd_tls_CAfile").is_empty()
            || !scope.value("smtpd_tls_CApath").is_empty();
        let (parameter, value) = if system_bundle(scope).is_some() {
            ("smtpd_tls_CAfile", None)
        } else if named && scope.yes("tls_append_default_CA") {
            ("tls_append_default_CA", Some("no"))
        } else {
            continue;
        };
        let label = relay.label();
        let current = scope.value(parameter);
        let line = match value {
            Some(value) => fix::set_for(label.as_deref(), parameter, value),
            None => fix::note("name your own CA's certificate in smtpd_tls_CAfile"),
        };
        out.push(
            SYSTEM_AUTHORITIES
                .finds(
                    scope.place(&current),
                    format!("`{parameter} = {}`", current.text),
                )
                .on(label.clone())
                .fix([line, fix::reload()]),
        );
    }
}

fn resumed(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for relay in relays(subject) {
        // Where certificates are only asked for, an expired one relays anyway.
        if !requires(relay.scope) {
            continue;
        }
        let label = relay.label();
        let options = relay.scope.list("tls_ssl_options");
        if !options
            .iter()
            .any(|option| option.eq_ignore_ascii_case("NO_TICKET"))
        {
            let mut all = options;
            all.push("NO_TICKET".to_owned());
            out.push(
                RESUMED
                    .finds(
                        relay.place("tls_ssl_options"),
                        "`tls_ssl_options` lacks `NO_TICKET`",
                    )
                    .on(label.clone())
                    .fix([
                        fix::set_for(label.as_deref(), "tls_ssl_options", &all.join(",")),
                        fix::reload(),
                    ]),
            );
        }
        // An option of the service would change nothing; where there is one, another rule says so.
        let main = subject.config.main_scope();
        let cache = main.value("smtpd_tls_session_cache_database");
        if !cache.is_empty() && !relay.sets("smtpd_tls_session_cache_database") {
            out.push(
                RESUMED
                    .finds(
                        main.place(&cache),
                        format!("`smtpd_tls_session_cache_database = {}`", cache.text),
                    )
                    .on(label.clone())
                    .fix([
                        fix::unset("smtpd_tls_session_cache_database"),
                        fix::reload(),
                    ]),
            );
        }
    }
}
