//! The relay's service: a port of its own in master.cf on which nobody relays but listed certificates of our CA.
//!
//! Enters: [`RelayService`]. Leaves: [`Snippet`]. Refuses to know: the fingerprints (they live in a map of their own, so
//! that a new mail host changes no configuration), keys, files.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::script::{self, Parts, Target};
use crate::setting::{self, Group, fixed, group};
use crate::{
    ACCESS_MAP, CLIENT_MAP, SUBDIRECTORY, Snippet, SnippetError, authority_file, certificate_file,
    key_file, validate,
};

/// What an unlisted client hears (`defer` or `reject` in access(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refusal {
    /// `450 4.3.2`: the mail waits, so that a mistake in the map loses nothing.
    #[default]
    Defer,
    /// `554 5.7.1`: the mail bounces. Every mistake in the map is then final.
    Reject,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Defer => "defer",
            Self::Reject => "reject",
        })
    }
}

impl FromStr for Refusal {
    type Err = SnippetError;

    fn from_str(text: &str) -> Result<Self, SnippetError> {
        match text {
            "defer" => Ok(Self::Defer),
            "reject" => Ok(Self::Reject),
            _ => Err(SnippetError::Refusal(validate::shown(text))),
        }
    }
}

/// How the relay is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RelayStyle {
    /// A commented, marked block in master.cf.
    #[default]
    Block,
    /// `postconf -M` and `postconf -P` commands.
    Postconf,
}

impl fmt::Display for RelayStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Block => "block",
            Self::Postconf => "postconf",
        })
    }
}

impl FromStr for RelayStyle {
    type Err = SnippetError;

    fn from_str(text: &str) -> Result<Self, SnippetError> {
        match text {
            "block" => Ok(Self::Block),
            "postconf" => Ok(Self::Postconf),
            _ => Err(SnippetError::Style(validate::shown(text))),
        }
    }
}

/// The envelope senders that a mail host may use. `<>` is always allowed, or bounces would fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderBinding {
    /// The mail host, as its certificate is listed.
    pub host: String,
    /// Domains (exactly these, not what lies below them) or addresses.
    pub senders: Vec<String>,
}

/// The relay's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayService {
    /// The domain of the authority.
    pub domain: String,
    /// The relay, as its certificate and key files are named.
    pub relay: String,
    /// The port to listen on; 2500 by custom.
    pub port: u16,
    /// Implicit TLS (`smtpd_tls_wrappermode`) instead of STARTTLS.
    pub wrapper: bool,
    /// Postfix's configuration directory, `/etc/postfix` on most systems.
    pub config_directory: String,
    /// `smtpd_tls_fingerprint_digest`: `sha256` unless an old map says otherwise.
    pub digest: String,
    /// What an unlisted client hears.
    pub refusal: Refusal,
    /// Hosts bound to senders; a host that is not in here may use any.
    pub senders: Vec<SenderBinding>,
}

/// Sessions a minute that one address may open. A mail host opens one TLS session a message, up to 20 at once
/// (`default_destination_concurrency_limit`). Measured on loopback, both Postfixes on two shared cores: 3000 messages in
/// 21 s, so 8400 sessions a minute; with a limit of 60, 240 of 300 messages are deferred, most of them unasked because
/// the mail host then takes the relay for dead. 12000 leaves that alone, and holds a stranger to 200 handshakes a second.
const SESSIONS_A_MINUTE: &str = "12000";

/// Renders the service for the relay.
///
/// # Errors
/// [`SnippetError`] where a name, directory, port, digest or sender is not plain.
pub fn relay_snippet(service: &RelayService, style: RelayStyle) -> Result<Snippet, SnippetError> {
    let domain = validate::domain(&service.domain)?;
    let relay = validate::host(&service.relay)?;
    let directory = validate::directory(&service.config_directory)?;
    let port = validate::port(service.port)?;
    validate::digest(&service.digest)?;
    let classes = classes(&service.senders)?;

    let groups = groups(service, &classes);
    // Columns: service, type, private, unprivileged, chroot, wakeup, maxproc, command. Chroot `n`, whatever the system's
    // custom: Debian's `y` is for the jail that its init script fills.
    let line = format!(
        "{:<9} inet  n       -       n       -       -       smtpd",
        port.to_string()
    );
    let owner = format!("{domain} relay");
    let manager = session_manager(port);
    let manager_line = format!("{manager} unix  -       -       n       1000?   1       tlsmgr");
    let keeps_none = keeps_no_sessions();
    let block = setting::block(
        &owner,
        &format!(
            "{}{}",
            setting::service(&line, &groups),
            setting::service(&manager_line, &keeps_none)
        ),
    );

    let map = if service.senders.is_empty() {
        CLIENT_MAP
    } else {
        ACCESS_MAP
    };
    let target = Target {
        title: format!("the relay service of {domain} on port {port} of {relay}"),
        directory,
        bundle_of: relay,
        files: vec![
            key_file(relay),
            certificate_file(relay),
            authority_file(domain),
            map.to_owned(),
        ],
        oldest: script::OLDEST,
    };
    let mut text = script::start(&target);
    let checks = script::port_is_ours(port, &authority_file(domain));
    let mut edits = String::new();
    match style {
        RelayStyle::Block => {
            edits.push_str(&script::edit_function(&owner));
            edits.push_str(&script::edit(
                "master.cf",
                &format!("{port}/inet {manager}/unix"),
                &block,
            ));
        }
        RelayStyle::Postconf => {
            edits.push_str(script::changing());
            edits.push_str(&setting::postconf_service(
                &format!("{manager}/unix"),
                &format!("{manager} unix - - n 1000? 1 tlsmgr"),
                &keeps_none,
            ));
            edits.push_str(&setting::postconf_service(
                &format!("{port}/inet"),
                &format!("{port} inet n - n - - smtpd"),
                &groups,
            ));
        }
    }
    text.push_str(&checks);
    text.push_str(&script::keep_old_files());
    text.push_str(&script::build_map(map));
    text.push_str(&edits);
    text.push_str(&script::finish_relay(port));

    let mut warnings = Vec::new();
    if service.refusal == Refusal::Reject {
        warnings.push(
            "refusals are permanent: a mistake in the map bounces mail instead of letting it wait"
                .to_owned(),
        );
    }
    if matches!(service.digest.as_str(), "md5" | "sha1") {
        warnings.push(format!(
            "`{}` fingerprints can be forged; use sha256 where Postfix is 2.5 or later",
            service.digest
        ));
    }
    Ok(Snippet {
        main_cf: None,
        master_cf: (style == RelayStyle::Block).then_some(block),
        script: text,
        warnings,
        parts: Parts::new(target.oldest, &checks, edits),
    })
}

/// The service of the relay's own tlsmgr. The one of all others keeps sessions if main.cf names a cache, and asks no service what
/// it says about that (tlsmgr(8)): measured, an inherited cache had sessions resumed here.
fn session_manager(port: u16) -> String {
    format!("relayca-tlsmgr-{port}")
}

/// What that tlsmgr is told.
fn keeps_no_sessions() -> Vec<Group> {
    vec![
        fixed(
            "A tlsmgr for this service alone: that of all others keeps sessions where main.cf names a cache.",
            [("syslog_name", "postfix/relayca")],
        ),
        fixed(
            "It keeps none.",
            [
                ("smtpd_tls_session_cache_database", ""),
                ("smtp_tls_session_cache_database", ""),
                ("lmtp_tls_session_cache_database", ""),
            ],
        ),
    ]
}

/// A restriction class for each bound host, with its senders.
struct Class {
    name: String,
    host: String,
    senders: Vec<String>,
}

fn classes(bindings: &[SenderBinding]) -> Result<Vec<Class>, SnippetError> {
    let mut classes = Vec::new();
    let mut seen = BTreeSet::new();
    for binding in bindings {
        let host = validate::host(&binding.host)?;
        if !seen.insert(host) {
            return Err(SnippetError::BindingTwice(host.to_owned()));
        }
        let senders = binding
            .senders
            .iter()
            .map(|s| validate::sender(s))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if senders.is_empty() {
            return Err(SnippetError::NoSenders(host.to_owned()));
        }
        classes.push(Class {
            name: class_name(host),
            host: host.to_owned(),
            senders: senders.into_iter().collect(),
        });
    }
    classes.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(classes)
}

/// The restriction class of a host. No two hosts share one: a dot becomes `_`, a hyphen `__`, and in a valid name a dot
/// touches neither a dot nor a hyphen.
pub(crate) fn class_name(host: &str) -> String {
    format!("relayca_{}", host.replace('-', "__").replace('.', "_"))
}

fn groups(service: &RelayService, classes: &[Class]) -> Vec<Group> {
    let file = |name: &str| format!("{}/{SUBDIRECTORY}/{name}", service.config_directory);
    let map = |name: &str| format!("${{default_database_type}}:{}", file(name));
    let refusal = service.refusal;
    let mut groups = vec![
        fixed(
            "Logged under a name of its own, to be found by grep.",
            [("syslog_name", "postfix/relayca")],
        ),
        fixed(
            "TLS or nothing.",
            [
                ("smtpd_tls_security_level", "encrypt"),
                (
                    "smtpd_tls_wrappermode",
                    if service.wrapper { "yes" } else { "no" },
                ),
            ],
        ),
        fixed(
            "Without a certificate of our CA that is valid today the session ends here (421).",
            [
                ("smtpd_tls_ask_ccert", "yes"),
                ("smtpd_tls_req_ccert", "yes"),
            ],
        ),
        group(
            "Our CA alone: an inherited directory would add others, and so would those that the system trusts.",
            [
                ("smtpd_tls_CAfile", file(&authority_file(&service.domain))),
                ("smtpd_tls_CApath", String::new()),
                ("tls_append_default_CA", "no".to_owned()),
            ],
        ),
        group(
            "The certificate of this relay.",
            [
                (
                    "smtpd_tls_cert_file",
                    file(&certificate_file(&service.relay)),
                ),
                ("smtpd_tls_key_file", file(&key_file(&service.relay))),
            ],
        ),
        fixed(
            "Inherited ones of these kinds would be shown instead of it.",
            [
                ("smtpd_tls_chain_files", ""),
                ("smtpd_tls_eccert_file", ""),
                ("smtpd_tls_eckey_file", ""),
                ("smtpd_tls_dcert_file", ""),
                ("smtpd_tls_dkey_file", ""),
            ],
        ),
        fixed(
            "TLS 1.2 or later, as every Postfix can read it.",
            [(
                "smtpd_tls_mandatory_protocols",
                "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1",
            )],
        ),
        group(
            "No resumed sessions: on one, a certificate that expired meanwhile still relays. Whether sessions are kept is up to tlsmgr.",
            [
                ("tls_ssl_options", "NO_TICKET".to_owned()),
                ("smtpd_tls_session_cache_database", String::new()),
                ("tlsmgr_service_name", session_manager(service.port)),
            ],
        ),
        group(
            "How the fingerprints in the map were made; the default differs by version.",
            [("smtpd_tls_fingerprint_digest", service.digest.clone())],
        ),
    ];
    if classes.is_empty() {
        groups.push(group(
            "The certificates that may relay.",
            [("relay_clientcerts", map(CLIENT_MAP))],
        ));
        groups.push(group(
            match refusal {
                Refusal::Defer => {
                    "Who is not in the map waits (450), so that a mistake loses no mail."
                }
                Refusal::Reject => "Who is not in the map is refused for good (554).",
            },
            [(
                "smtpd_relay_restrictions",
                format!("permit_tls_clientcerts,{refusal}"),
            )],
        ));
    } else {
        groups.extend(sender_groups(classes, &map(ACCESS_MAP), refusal));
    }
    groups.extend([
        fixed(
            "No inherited restriction lets anybody in beside the map, or keeps a listed host out.",
            [
                ("smtpd_client_restrictions", ""),
                ("smtpd_helo_restrictions", ""),
                ("smtpd_sender_restrictions", ""),
                ("smtpd_recipient_restrictions", ""),
                ("smtpd_data_restrictions", ""),
                ("smtpd_end_of_data_restrictions", ""),
            ],
        ),
        fixed(
            "Restrictions are judged at RCPT TO, when the certificate is known.",
            [("smtpd_delay_reject", "yes")],
        ),
        fixed("No passwords here.", [("smtpd_sasl_auth_enable", "no")]),
        fixed(
            "ETRN and VRFY would be offered before any certificate is asked for.",
            [
                ("smtpd_etrn_restrictions", "reject"),
                ("disable_vrfy_command", "yes"),
            ],
        ),
        fixed(
            "So they are not even mentioned.",
            [
                ("smtpd_discard_ehlo_keywords", "etrn,silent-discard"),
                ("smtpd_discard_ehlo_keyword_address_maps", ""),
            ],
        ),
        fixed(
            "Recipients that do not exist here are refused at once: no backscatter.",
            [("smtpd_reject_unlisted_recipient", "yes")],
        ),
        fixed(
            "Senders need not exist here: where the mail domain is local too, a mail host knows more of them.",
            [("smtpd_reject_unlisted_sender", "no")],
        ),
        fixed(
            "No address is trusted, and none is free of the limits below.",
            [
                ("mynetworks", "127.0.0.1/32"),
                ("smtpd_client_event_limit_exceptions", ""),
            ],
        ),
        fixed(
            "Bounds what one stranger can make us compute; a busy mail host stays far below.",
            [
                ("smtpd_client_connection_rate_limit", SESSIONS_A_MINUTE),
                ("smtpd_client_new_tls_session_rate_limit", SESSIONS_A_MINUTE),
            ],
        ),
        fixed(
            "Inherited filters are for mail from outside.",
            [
                ("smtpd_milters", ""),
                ("smtpd_milter_maps", ""),
                ("content_filter", ""),
                ("smtpd_proxy_filter", ""),
            ],
        ),
        fixed(
            "Mail hosts connect themselves; a proxy on other ports does not speak first on this one.",
            [("smtpd_upstream_proxy_protocol", "")],
        ),
        fixed(
            "Commands are taken as they come; what an inherited table makes of them is for other clients.",
            [("smtpd_command_filter", "")],
        ),
        fixed(
            "One line a session, with the name in the certificate.",
            [("smtpd_tls_loglevel", "1")],
        ),
    ]);
    groups
}

fn sender_groups(classes: &[Class], map: &str, refusal: Refusal) -> Vec<Group> {
    let mut groups = vec![
        group(
            "The certificates that may relay, each with OK or with the class of its senders; others wait or are refused.",
            [(
                "smtpd_relay_restrictions",
                format!("check_ccert_access,{map},{refusal}"),
            )],
        ),
        group(
            "The classes, one a host.",
            [(
                "smtpd_restriction_classes",
                classes
                    .iter()
                    .map(|c| c.name.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
            )],
        ),
        fixed(
            "A sender domain means itself, not what lies below it.",
            [(
                "parent_domain_matches_subdomains",
                "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains",
            )],
        ),
        fixed(
            "How the empty sender of bounces is looked up.",
            [("smtpd_null_access_lookup_key", "<>")],
        ),
    ];
    for class in classes {
        // No spaces: `postconf -P` takes none, and after `-o` they would end the value.
        let mut table = "{<>=OK}".to_owned();
        for sender in &class.senders {
            table.push_str(&format!(",{{{sender}=OK}}"));
        }
        groups.push(Group {
            why: format!(
                "The senders of {}; the empty one is for bounces.",
                class.host
            ),
            settings: vec![(
                class.name.clone(),
                format!("check_sender_access,inline:{{{table}}},{refusal}"),
            )],
        });
    }
    groups
}
