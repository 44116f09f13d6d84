//! Restriction lists, walked as Postfix walks them.
//!
//! Enters: a [`Scope`]. Leaves: the restrictions in order, with their arguments and with classes unfolded; who passes a list; which
//! services are there to relay by certificate. Refuses to know: what the tables hold.

use crate::config::{Place, Scope, Service};
use crate::rules::Subject;
use crate::rules::files::named::owner;

/// The lists that every recipient has to pass, in the order of their names in postconf(5).
pub(in crate::rules) const RELAY: &str = "smtpd_relay_restrictions";
pub(in crate::rules) const RECIPIENT: &str = "smtpd_recipient_restrictions";
pub(in crate::rules) const OTHERS: &[&str] = &[
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
];

/// Classes in classes deeper than this are not followed.
const DEEPEST: usize = 8;

/// More restrictions than this are not read.
const MOST: usize = 2000;

/// A restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Restriction {
    /// In lower case: Postfix does not care.
    pub name: String,
    /// What stands behind a restriction that takes something.
    pub argument: Option<String>,
    /// Whether `warn_if_reject` stands before it: then it never refuses.
    pub only_warns: bool,
}

/// Restrictions that take an argument.
fn takes_argument(name: &str) -> bool {
    (name.starts_with("check_") && name.ends_with("_access"))
        || name.starts_with("reject_rhsbl_")
        || matches!(
            name,
            "reject_rbl_client"
                | "reject_rbl"
                | "permit_dnswl_client"
                | "permit_rhswl_client"
                | "check_policy_service"
                | "sleep"
        )
}

/// Every restriction that smtpd of 3.4 to 3.12 knows (smtpd_check.c, generic_checks), those with tables aside.
const PLAIN: &[&str] = &[
    "permit",
    "reject",
    "defer",
    "defer_if_permit",
    "defer_if_reject",
    "warn_if_reject",
    "sleep",
    "reject_unauth_pipelining",
    "reject_plaintext_session",
    "reject_unknown_client",
    "reject_unknown_client_hostname",
    "reject_unknown_reverse_client_hostname",
    "reject_unknown_forward_client_hostname",
    "permit_inet_interfaces",
    "permit_mynetworks",
    "permit_naked_ip_address",
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_unknown_helo_hostname",
    "reject_unknown_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    "reject_non_fqdn_sender",
    "reject_non_fqdn_recipient",
    "reject_unknown_sender_domain",
    "reject_unknown_recipient_domain",
    "reject_unknown_address",
    "reject_unlisted_sender",
    "reject_unlisted_recipient",
    "check_recipient_maps",
    "reject_unverified_recipient",
    "reject_unverified_sender",
    "reject_multi_recipient_bounce",
    "reject_sender_login_mismatch",
    "reject_authenticated_sender_login_mismatch",
    "reject_known_sender_login_mismatch",
    "reject_unauthenticated_sender_login_mismatch",
    "permit_sasl_authenticated",
    "permit_auth_destination",
    "reject_unauth_destination",
    "defer_unauth_destination",
    "check_relay_domains",
    "permit_tls_clientcerts",
    "permit_tls_all_clientcerts",
    "permit_mx_backup",
    "reject_rbl_client",
    "reject_rbl",
    "reject_rhsbl_client",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_sender",
    "reject_rhsbl_recipient",
    "permit_dnswl_client",
    "permit_rhswl_client",
    "reject_maps_rbl",
    "check_policy_service",
];

/// The tables that smtpd can be told to ask.
const TABLES: &[&str] = &[
    "check_client_access",
    "check_reverse_client_hostname_access",
    "check_ccert_access",
    "check_sasl_access",
    "check_helo_access",
    "check_sender_access",
    "check_recipient_access",
    "check_etrn_access",
    "check_client_mx_access",
    "check_reverse_client_hostname_mx_access",
    "check_helo_mx_access",
    "check_sender_mx_access",
    "check_recipient_mx_access",
    "check_client_ns_access",
    "check_reverse_client_hostname_ns_access",
    "check_helo_ns_access",
    "check_sender_ns_access",
    "check_recipient_ns_access",
    "check_client_a_access",
    "check_reverse_client_hostname_a_access",
    "check_helo_a_access",
    "check_sender_a_access",
    "check_recipient_a_access",
];

/// Whether smtpd knows a restriction of this name.
pub(super) fn is_known(name: &str) -> bool {
    PLAIN.contains(&name) || TABLES.contains(&name)
}

/// All names, for a suggestion.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    PLAIN.iter().chain(TABLES).copied()
}

/// The restrictions of a list, in order, classes unfolded.
pub(in crate::rules) fn restrictions(scope: Scope<'_>, list: &str) -> Vec<Restriction> {
    let mut all = Vec::new();
    unfold(scope, list, 0, &mut all);
    all
}

fn unfold(scope: Scope<'_>, list: &str, depth: usize, all: &mut Vec<Restriction>) {
    let classes = scope.list("smtpd_restriction_classes");
    let mut only_warns = false;
    let mut words = scope.list(list).into_iter();
    while let Some(word) = words.next() {
        if all.len() >= MOST {
            return;
        }
        let name = word.to_ascii_lowercase();
        if name == "warn_if_reject" {
            only_warns = true;
            continue;
        }
        if depth < DEEPEST && classes.contains(&word) {
            let from = all.len();
            unfold(scope, &word, depth + 1, all);
            for restriction in all.iter_mut().skip(from) {
                restriction.only_warns |= only_warns;
            }
            only_warns = false;
            continue;
        }
        // A table without a name asks for whatever the list is about.
        let argument = if takes_argument(&name) {
            words.next()
        } else {
            None
        };
        all.push(Restriction {
            name,
            argument,
            only_warns,
        });
        only_warns = false;
    }
}

impl Restriction {
    /// Whether it refuses a recipient elsewhere whoever asks.
    pub fn blocks(&self) -> bool {
        !self.only_warns
            && (self.blocks_all()
                || matches!(
                    self.name.as_str(),
                    "reject_unauth_destination"
                        | "defer_unauth_destination"
                        | "check_relay_domains"
                ))
    }

    /// Whether it refuses everything.
    pub fn blocks_all(&self) -> bool {
        !self.only_warns && matches!(self.name.as_str(), "reject" | "defer" | "defer_if_permit")
    }

    /// Whether it lets in by certificate.
    pub fn permits_by_certificate(&self) -> bool {
        matches!(
            self.name.as_str(),
            "permit_tls_clientcerts" | "permit_tls_all_clientcerts" | "check_ccert_access"
        )
    }
}

/// Whether certificates are asked for: `smtpd_tls_ask_ccert`, or `smtpd_tls_req_ccert` where TLS is mandatory.
pub(in crate::rules) fn asks(scope: Scope<'_>) -> bool {
    scope.level("smtpd") != "none" && (scope.yes("smtpd_tls_ask_ccert") || requires(scope))
}

/// Whether sessions without a certificate that is trusted end: only where TLS is mandatory.
pub(in crate::rules) fn requires(scope: Scope<'_>) -> bool {
    is_mandatory(scope) && scope.yes("smtpd_tls_req_ccert")
}

/// Whether TLS is mandatory for clients of this service.
pub(in crate::rules) fn is_mandatory(scope: Scope<'_>) -> bool {
    !matches!(scope.level("smtpd").as_str(), "none" | "may")
}

/// A service that lets clients relay by certificate.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Relay<'a> {
    pub service: Option<&'a Service>,
    pub scope: Scope<'a>,
    /// The relay restrictions.
    pub list: Vec<Restriction>,
    /// Whether it is there for nothing else: it refuses everybody who is not let in, local recipients or not, or it has a port
    /// and restrictions of its own.
    pub dedicated: bool,
}

impl Relay<'_> {
    /// `2500/inet`; none for main.cf.
    pub fn label(&self) -> Option<String> {
        self.service.map(Service::label)
    }

    /// Where a parameter that the rule is about stands: its line, or that of the service.
    pub fn place(&self, parameter: &str) -> Place {
        let value = self.scope.value(parameter);
        self.scope.place(&value)
    }

    /// The line of the service in master.cf; main.cf as a whole where none is known.
    pub fn own_place(&self) -> Place {
        match self.service {
            Some(service) => Place::master(service.line),
            None => self.place(RELAY),
        }
    }

    /// Whether the service itself sets a parameter.
    pub fn sets(&self, parameter: &str) -> bool {
        owner(self.scope, &self.scope.value(parameter)).is_some()
    }
}

/// All smtpd services; main.cf itself where no master.cf is known.
pub(in crate::rules) fn servers<'a>(
    subject: &Subject<'a>,
) -> Vec<(Option<&'a Service>, Scope<'a>)> {
    let config = subject.config;
    if config.master.services.is_empty() {
        return vec![(None, config.main_scope())];
    }
    config
        .smtpd_services()
        .map(|(service, scope)| (Some(service), scope))
        .collect()
}

/// Those that let clients relay by certificate.
pub(in crate::rules) fn relays<'a>(subject: &Subject<'a>) -> Vec<Relay<'a>> {
    servers(subject)
        .into_iter()
        .filter_map(|(service, scope)| {
            let list = restrictions(scope, RELAY);
            if !list.iter().any(Restriction::permits_by_certificate) {
                return None;
            }
            let refuses_all = list.last().is_some_and(Restriction::blocks_all);
            let own_port = service
                .and_then(Service::port)
                .is_some_and(|port| !matches!(port, 25 | 465 | 587));
            let own_list = owner(scope, &scope.value(RELAY)).is_some();
            let others = list
                .iter()
                .any(|restriction| restriction.name == "permit_sasl_authenticated");
            Some(Relay {
                service,
                scope,
                dedicated: !others && (refuses_all || (own_port && own_list)),
                list,
            })
        })
        .collect()
}

/// Only the dedicated ones.
pub(in crate::rules) fn dedicated<'a>(subject: &Subject<'a>) -> Vec<Relay<'a>> {
    relays(subject)
        .into_iter()
        .filter(|relay| relay.dedicated)
        .collect()
}

/// Whether a list has a refusal that Postfix counts (smtpd_check.c, has_required): named directly or in a class, not behind
/// `warn_if_reject`, and not behind `permit`.
pub(super) fn has_working_refusal(scope: Scope<'_>, list: &str) -> bool {
    let classes = scope.list("smtpd_restriction_classes");
    has_refusal(scope, &classes, list, 0)
}

fn has_refusal(scope: Scope<'_>, classes: &[String], list: &str, depth: usize) -> bool {
    let mut words = scope.list(list).into_iter();
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_str() {
            "warn_if_reject" => {
                words.next();
            }
            "permit" => return false,
            "reject"
            | "defer"
            | "defer_if_permit"
            | "reject_unauth_destination"
            | "defer_unauth_destination"
            | "check_relay_domains" => {
                return true;
            }
            _ if depth < DEEPEST
                && classes.contains(&word)
                && has_refusal(scope, classes, &word, depth + 1) =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}
