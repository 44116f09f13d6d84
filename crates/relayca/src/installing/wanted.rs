//! What a bundle wants of Postfix.
//!
//! In: its pieces of main.cf and master.cf. Out: [`Wanted`]: settings and services. It refuses what relayca never says: a bundle
//! comes from outside, and a public one has no seal, so no program is run by it, no file named but its own, nobody let in who is
//! not listed.

use relayca_ca::Role;
use relayca_postfix::config::{Config, Service};
use relayca_postfix::{ACCESS_MAP, CLIENT_MAP, SUBDIRECTORY, authority_file};

use crate::failure::Failure;
use crate::printer::one_line;

/// A setting whose name Postfix knows from 3.10 on: a `TLS-Required: no` in a message would undo `secure` without it.
pub const KNOWN_LATER: (&str, &str) = ("tls_required_enable", "no");

/// What main.cf of a mail host may be told, beside `smtp_tls_…`.
const MAIN: [&str; 6] = [
    "default_transport",
    "relayhost",
    "smtp_sasl_auth_enable",
    "smtp_fallback_relay",
    "tls_append_default_CA",
    "smtp_host_lookup",
];
/// What a relay's service may be told, beside `smtpd_…`.
const SERVICE: [&str; 9] = [
    "syslog_name",
    "tls_append_default_CA",
    "tls_ssl_options",
    "tlsmgr_service_name",
    "relay_clientcerts",
    "parent_domain_matches_subdomains",
    "disable_vrfy_command",
    "mynetworks",
    "content_filter",
];

/// Types of tables that are read from a file.
const TABLES: [&str; 8] = [
    "${default_database_type}",
    "hash",
    "btree",
    "cdb",
    "dbm",
    "lmdb",
    "sdbm",
    "texthash",
];

/// What its own tlsmgr may be told.
const SESSIONS: [&str; 4] = [
    "syslog_name",
    "smtpd_tls_session_cache_database",
    "smtp_tls_session_cache_database",
    "lmtp_tls_session_cache_database",
];
/// How the names of services begin that a relay's service needs beside it.
const BESIDE: &str = "relayca-";

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What the host is.
    pub role: Role,
    /// The configuration directory that the paths are for.
    pub directory: String,
    /// Settings of main.cf.
    pub main: Vec<(String, String)>,
    /// Services of master.cf.
    pub services: Vec<WantedService>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedService {
    /// As `postconf -P` names it.
    pub label: String,
    /// The fields behind name and type, by their names for `postconf -F`.
    pub fields: Vec<(&'static str, String)>,
    /// The program.
    pub command: String,
    /// The options.
    pub options: Vec<(String, String)>,
}

impl WantedService {
    /// Whether it receives mail.
    pub fn is_smtpd(&self) -> bool {
        self.command == "smtpd"
    }

    /// Whether it is one that a relay's service needs beside it.
    pub fn is_beside(&self) -> bool {
        self.command == "tlsmgr" && self.label.starts_with(BESIDE) && self.label.ends_with("/unix")
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Wanted {
    /// A value, of main.cf or of any service.
    pub fn value(&self, name: &str) -> Option<&str> {
        let options = self.services.iter().flat_map(|service| &service.options);
        self.main
            .iter()
            .chain(options)
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The fields of a service behind its name and type, by their names for `postconf -F`.
pub fn fields(service: &Service) -> Vec<(&'static str, String)> {
    let flag = |flag: Option<bool>| {
        match flag {
            Some(true) => "y",
            Some(false) => "n",
            None => "-",
        }
        .to_owned()
    };
    vec![
        ("private", flag(service.private)),
        ("unprivileged", flag(service.unprivileged)),
        ("chroot", flag(service.chroot)),
        ("wakeup", service.wakeup.clone()),
        ("process_limit", service.max_processes.clone()),
    ]
}

/// Reads the pieces.
pub fn read(
    host: &str,
    domain: &str,
    main: Option<&str>,
    master: Option<&str>,
) -> Result<Wanted, Failure> {
    if main.is_none() && master.is_none() {
        return Err(Failure::new(format!(
            "the bundle of {host} has no pieces of main.cf or master.cf; nothing was changed"
        ))
        .hint("with `style = \"postconf\"` in relayca.toml there are none: set `transport` there, and `relayca bundle HOST`; or run HOST.snippet.sh"));
    }
    let config = Config::parse(
        main.unwrap_or_default().as_bytes(),
        master.map(str::as_bytes),
        None,
    );
    let defects = config.main.defects.iter().chain(&config.master.defects);
    if let Some(defect) = defects.into_iter().next() {
        return Err(strange(&defect.text));
    }
    let main: Vec<(String, String)> = config
        .main
        .counting()
        .map(|entry| (entry.name.clone(), entry.value.clone()))
        .collect();
    let services: Vec<WantedService> = config
        .master
        .services
        .iter()
        .map(|service| WantedService {
            label: service.label(),
            fields: fields(service),
            command: service.command.clone(),
            options: service
                .counting()
                .map(|option| (option.name.clone(), option.value.clone()))
                .collect(),
        })
        .collect();
    let role = if services.iter().any(WantedService::is_smtpd) {
        Role::Relay
    } else {
        Role::MailHost
    };
    let mut wanted = Wanted {
        role,
        directory: String::new(),
        main,
        services,
    };
    for (service, parsed) in wanted.services.iter().zip(&config.master.services) {
        refuse_strange_service(service, parsed, role)?;
    }
    wanted.directory = directory(&wanted, domain)?;
    refuse_strange(&wanted)?;
    Ok(wanted)
}

/// The configuration directory, as the path of the CA certificate tells it.
fn directory(wanted: &Wanted, domain: &str) -> Result<String, Failure> {
    let name = match wanted.role {
        Role::Relay => "smtpd_tls_CAfile",
        Role::MailHost => "smtp_tls_CAfile",
    };
    wanted
        .value(name)
        .and_then(|path| path.strip_suffix(&format!("/{SUBDIRECTORY}/{}", authority_file(domain))))
        .filter(|directory| directory.starts_with('/'))
        .map(str::to_owned)
        .ok_or_else(|| strange(&format!("`{name}` does not name its CA certificate")))
}

fn refuse_strange_service(
    service: &WantedService,
    parsed: &Service,
    role: Role,
) -> Result<(), Failure> {
    let known = match role {
        Role::Relay if service.is_beside() => service.options.iter().all(|(name, value)| {
            SESSIONS.contains(&name.as_str()) && (name == SESSIONS[0] || value.is_empty())
        }),
        Role::Relay => service.is_smtpd() && parsed.port().is_some(),
        Role::MailHost => service.command == "smtp" && service.label == "relayca/unix",
    };
    // Each option is `-o` and its value: nothing else may be among the words.
    let plain = parsed.words.len() == 2 * parsed.options.len();
    if known && plain {
        Ok(())
    } else {
        Err(strange(&format!("the service `{}`", service.label)))
    }
}

fn refuse_strange(wanted: &Wanted) -> Result<(), Failure> {
    let ours = format!("{}/{SUBDIRECTORY}/", wanted.directory);
    let options = wanted
        .services
        .iter()
        .filter(|service| !service.is_beside())
        .flat_map(|service| &service.options);
    for (name, value) in options {
        let known = match wanted.role {
            Role::Relay => {
                name.starts_with("smtpd_")
                    || name.starts_with("relayca_")
                    || SERVICE.contains(&name.as_str())
            }
            Role::MailHost => name == "syslog_name" || may_be_set(name),
        };
        if !known
            || value
                .chars()
                .any(|c| c.is_whitespace() || !c.is_ascii_graphic())
        {
            return Err(strange(&format!("`{name}={value}`")));
        }
        refuse_foreign_paths(name, value, &ours)?;
    }
    for (name, value) in &wanted.main {
        let plain = value.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if wanted.role != Role::MailHost || !may_be_set(name) || !plain {
            return Err(strange(&format!("`{name} = {value}`")));
        }
        refuse_foreign_paths(name, value, &ours)?;
    }
    let all_hold = match wanted.role {
        Role::Relay => {
            let smtpd = || wanted.services.iter().filter(|service| service.is_smtpd());
            smtpd().count() == 1 && smtpd().all(|service| lets_in_the_listed(service, &ours))
        }
        Role::MailHost => sends_to_the_relay(wanted),
    };
    if all_hold {
        Ok(())
    } else {
        Err(strange("it would not ask for certificates"))
    }
}

fn may_be_set(name: &str) -> bool {
    name.starts_with("smtp_tls_") || MAIN.contains(&name) || name == KNOWN_LATER.0
}

/// Mail is neither dropped nor given to a program, nor to anybody whom the CA does not name.
fn sends_to_the_relay(wanted: &Wanted) -> bool {
    let options = wanted.services.iter().flat_map(|service| &service.options);
    let holds = |name: &str, value: &str| match name {
        "default_transport" => matches!(
            value.split(':').next().unwrap_or_default(),
            "relayca" | "smtp"
        ),
        "smtp_tls_security_level" => value == "secure",
        "smtp_tls_policy_maps" => matches!(value, "" | "static:secure"),
        "tls_append_default_CA" => value == "no",
        "smtp_tls_trust_anchor_file" | "smtp_tls_CApath" | "smtp_tls_per_site" => value.is_empty(),
        _ => true,
    };
    let secure = wanted.value("smtp_tls_security_level").is_some();
    secure
        && wanted
            .main
            .iter()
            .chain(options)
            .all(|(name, value)| holds(name, value))
}

/// Nobody relays but who is listed, and mail goes to nobody else.
fn lets_in_the_listed(service: &WantedService, ours: &str) -> bool {
    let refuses = |rest: &str| matches!(rest, "defer" | "reject");
    // A type that reads a file: with `static:` everybody is listed.
    let in_file = |table: &str, file: &str| {
        table
            .strip_suffix(&format!(":{ours}{file}"))
            .is_some_and(|kind| TABLES.contains(&kind))
    };
    let restricted = service
        .option("smtpd_relay_restrictions")
        .is_some_and(|list| match list.rsplit_once(',') {
            Some(("permit_tls_clientcerts", last)) => {
                let map = service.option("relay_clientcerts").unwrap_or_default();
                refuses(last) && in_file(map, CLIENT_MAP)
            }
            Some((first, last)) => {
                let table = first.strip_prefix("check_ccert_access,");
                refuses(last) && table.is_some_and(|table| in_file(table, ACCESS_MAP))
            }
            None => false,
        });
    let empty = |name: &str| service.option(name) == Some("");
    let empty_if_there = |name: &str| service.option(name).is_none_or(str::is_empty);
    let filters = [
        "content_filter",
        "smtpd_milters",
        "smtpd_milter_maps",
        "smtpd_proxy_filter",
        "smtpd_command_filter",
        "smtpd_upstream_proxy_protocol",
    ];
    restricted
        && service.option("smtpd_tls_security_level") == Some("encrypt")
        && service.option("smtpd_tls_req_ccert") == Some("yes")
        && service.option("tls_append_default_CA") != Some("yes")
        && empty("smtpd_recipient_restrictions")
        && empty("smtpd_tls_CApath")
        && filters.into_iter().all(empty_if_there)
}

/// A path is at the beginning of a value or of a table's name; ours lie in one place.
fn refuse_foreign_paths(name: &str, value: &str, ours: &str) -> Result<(), Failure> {
    let mut before = ',';
    for (at, letter) in value.char_indices() {
        if letter == '/' && ",:= {}()".contains(before) {
            let path = value.get(at..).unwrap_or_default();
            if !path.starts_with(ours) || path.contains("/../") {
                return Err(strange(&format!("`{name}={value}`")));
            }
        }
        before = letter;
    }
    let program = value.contains("|") || value.contains("pipe:") || value.contains("unix:");
    if program {
        return Err(strange(&format!("`{name}={value}`")));
    }
    Ok(())
}

fn strange(what: &str) -> Failure {
    Failure::new(format!(
        "the bundle wants of Postfix what relayca never says: {}; nothing was changed",
        one_line(what)
    ))
    .hint("it was not made by relayca, or by a newer one: get it anew from where the authority is")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = "\
2500 inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_req_ccert=yes
  -o smtpd_tls_CAfile=/etc/postfix/relayca/example.org-ca.crt.pem
  -o smtpd_tls_CApath=
  -o smtpd_recipient_restrictions=
  -o mynetworks=127.0.0.1/32
  -o relay_clientcerts=${default_database_type}:/etc/postfix/relayca/relay_clientcerts
  -o smtpd_relay_restrictions=permit_tls_clientcerts,defer
";

    fn relay(master: &str) -> Result<Wanted, Failure> {
        read("relay.example.org", "example.org", None, Some(master))
    }

    #[test]
    fn a_relays_own_tlsmgr_may_stand_beside_it_and_no_other_service() {
        let beside = |line: &str| relay(&format!("{GOOD}{line}\n"));
        let tlsmgr =
            "relayca-tlsmgr-2500 unix - - n 1000? 1 tlsmgr\n  -o smtp_tls_session_cache_database=";
        assert_eq!(beside(tlsmgr).unwrap().services.len(), 2);
        assert!(beside(&tlsmgr.replace("1 tlsmgr", "1 pipe")).is_err());
        assert!(beside(&tlsmgr.replace("relayca-", "")).is_err());
        assert!(beside(&format!("{tlsmgr}btree:/tmp/x")).is_err());
        assert!(beside(&tlsmgr.replace("smtp_tls", "x_tls")).is_err());
    }

    #[test]
    fn what_relayca_says_is_understood() {
        let wanted = relay(GOOD).unwrap();
        assert_eq!(wanted.directory, "/etc/postfix");
        assert_eq!(wanted.services[0].label, "2500/inet");
    }

    #[test]
    fn a_bundle_cannot_open_a_relay_run_a_program_or_name_other_files() {
        for (from, to) in [
            ("smtpd\n", "pipe\n"),
            ("inet n", "inet n -"),
            ("permit_tls_clientcerts,defer", "permit"),
            (
                "permit_tls_clientcerts,defer",
                "permit_tls_all_clientcerts,defer",
            ),
            (
                "permit_tls_clientcerts,defer",
                "permit_mynetworks,permit_tls_clientcerts,defer",
            ),
            ("encrypt", "may"),
            ("req_ccert=yes", "req_ccert=no"),
            ("relayca/example.org-ca", "relayca/../example.org-ca"),
            ("smtpd_tls_CApath=", "smtpd_tls_CApath=/etc/ssl/certs"),
            (
                "smtpd_recipient_restrictions=",
                "smtpd_recipient_restrictions=permit",
            ),
            ("mynetworks=127.0.0.1/32", "mailbox_command=/bin/sh"),
            ("mynetworks=127.0.0.1/32", "smtpd_milters=unix:/tmp/x"),
            ("mynetworks=127.0.0.1/32", "mynetworks=cidr:/etc/passwd"),
            ("mynetworks=127.0.0.1/32", "-v"),
            ("mynetworks=127.0.0.1/32", "tls_append_default_CA=yes"),
            ("mynetworks=127.0.0.1/32", "content_filter=smtp:[192.0.2.1]"),
            ("mynetworks=127.0.0.1/32", "smtpd_milters=inet:192.0.2.1:25"),
            ("mynetworks=127.0.0.1/32", "smtpd_proxy_filter=192.0.2.1:25"),
            ("${default_database_type}:", "static:"),
            (
                "${default_database_type}:/etc/postfix/relayca/relay_clientcerts",
                "static:yes",
            ),
            ("permit_tls_clientcerts,", "check_ccert_access,static:OK,"),
        ] {
            let changed = GOOD.replacen(from, to, 1);
            assert_ne!(changed, GOOD);
            assert!(relay(&changed).is_err(), "{changed}");
        }
        let two =
            format!("{GOOD}smtp inet n - n - - smtpd\n  -o smtpd_relay_restrictions=permit\n");
        assert!(relay(&two).is_err());
        assert!(relay("").is_err());
    }

    #[test]
    fn a_mail_host_is_told_only_where_mail_goes() {
        let main = |text: &str| read("m.example.org", "example.org", Some(text), None);
        let good = "relayhost = [relay.example.org]:2500\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/postfix/relayca/example.org-ca.crt.pem\n";
        assert_eq!(main(good).unwrap().role, Role::MailHost);
        for line in [
            "mailbox_command = /bin/sh",
            "smtp_tls_key_file = /etc/shadow",
            "alias_maps = hash:/tmp/a",
            "smtp_tls_security_level = may",
            "default_transport = discard:",
            "smtp_tls_policy_maps = static:none",
            "smtp_tls_trust_anchor_file = /etc/postfix/relayca/m.example.org.crt.pem",
            "tls_append_default_CA = yes",
            "default_transport = local",
        ] {
            assert!(main(&format!("{good}{line}\n")).is_err(), "{line}");
        }
    }
}
