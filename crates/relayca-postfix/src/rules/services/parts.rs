//! Services that others cannot do without, and options that no service reads.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what runs.

use super::add;
use crate::config::Place;
use crate::rules::relay::walk::{requires, servers};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const NO_TLSMGR: Rule = Rule {
    id: "tlsmgr-missing",
    severity: Severity::Error,
    title: "TLS without the service tlsmgr",
    why: "smtpd and smtp get their random numbers and session tickets from tlsmgr. Without it they say `no entropy for TLS key \
          generation: disabling TLS support`, and STARTTLS is answered with 454 4.7.0.",
    remedy: "add tlsmgr to master.cf",
    sources: &["tlsmgr(8)", "master(5)"],
    check: no_tlsmgr,
};

pub(super) const NO_TLSPROXY: Rule = Rule {
    id: "postscreen-without-tlsproxy",
    severity: Severity::Error,
    title: "postscreen with TLS, and no tlsproxy",
    why: "postscreen speaks TLS through tlsproxy. Without that service it offers STARTTLS and answers it with 454 4.7.0 `TLS not \
          available due to local problem`.",
    remedy: "add tlsproxy to master.cf",
    sources: &["POSTSCREEN_README", "tlsproxy(8)"],
    check: no_tlsproxy,
};

pub(super) const NO_SMTPD_PASS: Rule = Rule {
    id: "postscreen-without-smtpd",
    severity: Severity::Error,
    title: "postscreen, and no smtpd of type pass behind it",
    why: "postscreen hands clients to the service smtpd of type pass. Without it everybody hears 421 4.3.2 `All server ports are \
          busy`.",
    remedy: "add smtpd of type pass to master.cf",
    sources: &["POSTSCREEN_README", "postscreen(8)"],
    check: no_smtpd_pass,
};

pub(super) const NO_POSTLOG: Rule = Rule {
    id: "postlog-missing",
    severity: Severity::Error,
    title: "maillog_file without the service postlog",
    why: "Postfix does not start then: `missing 'postlog' service in master.cf`. Others write their log through that service.",
    remedy: "run postfix upgrade-configuration",
    sources: &["MAILLOG_README", "postlogd(8)"],
    check: no_postlog,
};

pub(super) const OTHER_SIDE: Rule = Rule {
    id: "option-of-the-other-side",
    severity: Severity::Error,
    title: "smtp and smtpd mixed up: the service never reads this option",
    why: "smtpd takes mail in and reads smtpd_ parameters, smtp sends it out and reads smtp_ ones, and lmtp reads lmtp_ ones \
          alone. An option of the other side is passed over without a word; what it was meant to close stays open.",
    remedy: "write the parameter of the daemon that the service runs",
    sources: &["smtp(8)", "smtpd(8)", "lmtp(8)"],
    check: other_side,
};

pub(super) const CACHE_OPTION: Rule = Rule {
    id: "session-cache-option-without-effect",
    severity: Severity::Warning,
    title: "the TLS session cache is set on a service, where it does nothing",
    why: "The caches belong to tlsmgr, which reads main.cf: an option of smtpd or smtp neither starts nor stops one, and sets no \
          time-out. A relay whose main.cf has smtpd_tls_session_cache_database goes on resuming sessions, also with \
          tls_ssl_options=NO_TICKET, and an expired certificate relays on a resumed one.",
    remedy: "set it in main.cf, for all services",
    sources: &[
        "postconf(5) smtpd_tls_session_cache_database",
        "postconf(5) smtpd_tls_session_cache_timeout",
        "tlsmgr(8)",
    ],
    check: cache_option,
};

/// Whether master.cf is known and has no service that runs a program under a name.
fn lacks(subject: &Subject<'_>, name: &str, kinds: &[&str]) -> bool {
    let services = &subject.config.master.services;
    !services.is_empty()
        && !services
            .iter()
            .any(|service| service.name == name && kinds.contains(&service.kind.as_str()))
}

/// The first service that runs a program.
fn first<'a>(subject: &Subject<'a>, program: &str) -> Option<&'a crate::config::Service> {
    subject
        .config
        .master
        .services
        .iter()
        .find(|service| service.process_name() == program)
}

fn no_tlsmgr(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let name = main.value("tlsmgr_service_name").text;
    let name = if name.is_empty() { "tlsmgr" } else { &name };
    if !lacks(subject, name, &["unix", "fifo"]) {
        return;
    }
    let Some((service, scope)) = servers(subject)
        .into_iter()
        .find(|(_, scope)| scope.level("smtpd") != "none")
    else {
        return;
    };
    let place = service.map_or_else(
        || scope.place(&scope.value("smtpd_tls_security_level")),
        |service| Place::master(service.line),
    );
    found.push(
        NO_TLSMGR
            .finds(place, format!("master.cf has no service `{name}`"))
            .fix([fix::note(
                "add to master.cf: tlsmgr unix - - n 1000? 1 tlsmgr",
            )]),
    );
}

fn no_tlsproxy(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(postscreen) = first(subject, "postscreen") else {
        return;
    };
    let scope = subject.config.scope(postscreen);
    let own = scope
        .value("postscreen_tls_security_level")
        .text
        .to_ascii_lowercase();
    let on = matches!(own.as_str(), "may" | "encrypt")
        || (own.is_empty()
            && (scope.yes("postscreen_use_tls") || scope.yes("postscreen_enforce_tls")));
    if !on || !lacks(subject, "tlsproxy", &["unix"]) {
        return;
    }
    found.push(
        NO_TLSPROXY
            .finds(
                Place::master(postscreen.line),
                "master.cf has no service `tlsproxy`",
            )
            .fix([fix::note(
                "add to master.cf: tlsproxy unix - - n - 0 tlsproxy",
            )])
            .on(Some(postscreen.label())),
    );
}

fn no_smtpd_pass(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(postscreen) = first(subject, "postscreen") else {
        return;
    };
    let name = subject
        .config
        .scope(postscreen)
        .value("smtpd_service_name")
        .text;
    let name = if name.is_empty() { "smtpd" } else { &name };
    if !lacks(subject, name, &["pass"]) {
        return;
    }
    found.push(
        NO_SMTPD_PASS
            .finds(
                Place::master(postscreen.line),
                format!("master.cf has no service `{name}` of type pass"),
            )
            .fix([fix::note(&format!(
                "add to master.cf: {name} pass - - n - - smtpd"
            ))])
            .on(Some(postscreen.label())),
    );
}

fn no_postlog(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = subject.config.main_scope();
    let file = main.value("maillog_file");
    if file.is_empty() || !lacks(subject, "postlog", &["unix-dgram"]) {
        return;
    }
    found.push(
        NO_POSTLOG
            .finds(
                main.place(&file),
                format!(
                    "`maillog_file = {}`, and master.cf has no service `postlog`",
                    file.text
                ),
            )
            .fix([fix::note("run: postfix upgrade-configuration")]),
    );
}

/// How the parameters of a daemon begin, for those that are mixed up.
fn side(parameter: &str) -> Option<&'static str> {
    let (side, rest) = parameter.split_once('_')?;
    let mixed = rest.starts_with("tls_")
        || rest.starts_with("sasl_")
        || rest.ends_with("_restrictions")
        || rest.ends_with("_tls");
    match side {
        "smtpd" if mixed => Some("smtpd"),
        "smtp" if mixed => Some("smtp"),
        "lmtp" if mixed => Some("lmtp"),
        _ => None,
    }
}

fn other_side(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for service in &subject.config.master.services {
        let program = service.process_name();
        if !matches!(program, "smtpd" | "smtp" | "lmtp") {
            continue;
        }
        for option in &service.options {
            let Some(side) = side(&option.name).filter(|side| *side != program) else {
                continue;
            };
            // Another option may take its value from it.
            if service.options.iter().any(|other| {
                other.value.contains(&format!("${}", option.name))
                    || other.value.contains(&format!("{{{}", option.name))
            }) {
                continue;
            }
            let meant = option.name.replacen(side, program, 1);
            let label = service.label();
            let known = crate::config::parameter(&meant).is_some();
            let mut fix = vec![fix::unset_override(&label, &option.name)];
            if known {
                fix.push(fix::override_(&label, &meant, &option.value));
            }
            found.push(
                OTHER_SIDE
                    .finds(
                        Place::master(option.line),
                        format!(
                            "`{program}` does not read `{}`{}",
                            option.name,
                            if known {
                                format!("; is `{meant}` meant?")
                            } else {
                                String::new()
                            }
                        ),
                    )
                    .fix(fix)
                    .on(Some(label)),
            );
        }
    }
}

fn cache_option(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = subject.config;
    let main = config.main_scope();
    for service in &config.master.services {
        if !matches!(service.process_name(), "smtpd" | "smtp" | "lmtp") {
            continue;
        }
        for option in &service.options {
            let cache = option.name.ends_with("_tls_session_cache_database");
            if !cache && !option.name.ends_with("_tls_session_cache_timeout") {
                continue;
            }
            let scope = config.scope(service);
            let wanted = scope.value(&option.name).text;
            let real = main.value(&option.name).text;
            if wanted == real {
                continue;
            }
            let severity = if !cache {
                Severity::Note
            } else if service.is_smtpd() && wanted.is_empty() && requires(scope) {
                Severity::Error
            } else if wanted.is_empty() {
                Severity::Note
            } else {
                Severity::Warning
            };
            let label = service.label();
            let finding = CACHE_OPTION
                .finds(
                    Place::master(option.line),
                    format!(
                        "`{} = {}` of main.cf counts here, not `{wanted}`",
                        option.name, real
                    ),
                )
                .as_severe_as(severity)
                .fix([
                    fix::set(&option.name, &wanted),
                    fix::unset_override(&label, &option.name),
                ])
                .on(Some(label));
            add(found, finding);
        }
    }
}
