//! Which keys, certificates and CAs a configuration names, and for whom.
//!
//! Enters: a [`Subject`]. Leaves: sides of TLS with the files that Postfix would load for them, as absolute paths with the
//! place that names them. Refuses to know: what is in the files.

use crate::config::{Origin, Place, Scope, Value};
use crate::rules::Subject;

/// One end of TLS: a service as a server, or as a client.
#[derive(Debug, Clone)]
pub(in crate::rules) struct Side<'a> {
    /// Whose values count.
    pub scope: Scope<'a>,
    /// How its parameters begin: `smtpd`, `smtp` or `lmtp`.
    pub prefix: &'static str,
    /// Its TLS level.
    pub level: String,
}

/// A file that a parameter names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Named {
    /// The parameter.
    pub parameter: String,
    /// As it is written, expanded.
    pub written: String,
    /// Where Postfix looks: relative ones are below the queue directory.
    pub path: String,
    /// Where it is named.
    pub place: Place,
    /// The service whose option names it; none where main.cf does.
    pub service: Option<String>,
    /// Whether an option of the service names it.
    pub own: bool,
    /// Whether nobody sets it, so that it follows from another parameter.
    pub default: bool,
}

/// A certificate with its key, by the older parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::rules) struct Pair {
    pub certificate: Named,
    pub key: Named,
}

/// The parameters of certificates and of their keys.
const PAIRS: &[(&str, &str)] = &[
    ("cert_file", "key_file"),
    ("eccert_file", "eckey_file"),
    ("dcert_file", "dkey_file"),
];

/// Every service that speaks SMTP, as a server and as a client; main.cf itself where no master.cf is known.
pub(in crate::rules) fn sides<'a>(subject: &Subject<'a>) -> Vec<Side<'a>> {
    let config = subject.config;
    let side = |scope: Scope<'a>, prefix| Side {
        scope,
        prefix,
        level: scope.level(prefix),
    };
    if config.master.services.is_empty() {
        let scope = config.main_scope();
        return vec![side(scope, "smtpd"), side(scope, "smtp")];
    }
    config
        .master
        .services
        .iter()
        .filter_map(|service| {
            let prefix = match service.command.as_str() {
                "smtpd" => "smtpd",
                "smtp" => "smtp",
                "lmtp" => "lmtp",
                _ => return None,
            };
            Some(side(config.scope(service), prefix))
        })
        .collect()
}

/// The service that a value belongs to: that of the option that sets it, none for main.cf and defaults.
pub(in crate::rules) fn owner(scope: Scope<'_>, value: &Value) -> Option<String> {
    match value.origin {
        Origin::Override { .. } => scope.service().map(|service| service.label()),
        _ => None,
    }
}

impl<'a> Side<'a> {
    /// The whole name of a parameter: `tls_cert_file` is `smtpd_tls_cert_file` on a server.
    pub fn parameter(&self, rest: &str) -> String {
        format!("{}_{rest}", self.prefix)
    }

    /// The value of a parameter of this side.
    pub fn value(&self, rest: &str) -> Value {
        self.scope.value(&self.parameter(rest))
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        self.prefix == "smtpd"
    }

    /// Whether TLS is used at all, so that the files are loaded.
    pub fn speaks_tls(&self) -> bool {
        self.level != "none"
            || (!self.is_server()
                && ["tls_policy_maps", "tls_per_site"]
                    .iter()
                    .any(|name| !self.value(name).is_empty()))
    }

    /// Whether TLS is demanded.
    pub fn demands_tls(&self) -> bool {
        !matches!(self.level.as_str(), "none" | "may" | "dane")
    }

    /// Whether the other side's certificate has to hang on a CA that is trusted here.
    pub fn needs_trust(&self) -> bool {
        if self.is_server() {
            self.demands_tls() && self.scope.yes("smtpd_tls_req_ccert")
        } else {
            matches!(self.level.as_str(), "verify" | "secure")
        }
    }

    /// A file of this side, if it is named.
    pub fn named(&self, rest: &str) -> Option<Named> {
        let parameter = self.parameter(rest);
        let value = self.scope.value(&parameter);
        self.file(parameter, &value, &value.text)
    }

    fn file(&self, parameter: String, value: &Value, written: &str) -> Option<Named> {
        // What is left of an unknown `$name` is no path.
        if written.is_empty() || written.contains('$') {
            return None;
        }
        Some(Named {
            parameter,
            written: written.to_owned(),
            path: self.scope.config().absolute(written, self.scope),
            place: self.scope.place(value),
            service: owner(self.scope, value),
            own: matches!(value.origin, Origin::Override { .. }),
            default: value.origin == Origin::Default,
        })
    }

    /// The chain files, in order. Since 3.4; where there are any, the older parameters are ignored.
    pub fn chain_files(&self) -> Vec<Named> {
        let parameter = self.parameter("tls_chain_files");
        let value = self.scope.value(&parameter);
        self.scope
            .list(&parameter)
            .iter()
            .filter_map(|path| self.file(parameter.clone(), &value, path))
            .collect()
    }

    /// The certificates of the older parameters, with their keys. A key that nobody names is in the certificate's file.
    pub fn pairs(&self) -> Vec<Pair> {
        PAIRS
            .iter()
            .filter_map(|(certificate, key)| {
                let certificate = self.named(&format!("tls_{certificate}"))?;
                // `none` asks a server for no certificate at all.
                if self.is_server() && certificate.written.eq_ignore_ascii_case("none") {
                    return None;
                }
                let key_name = format!("tls_{key}");
                let key = self
                    .named(&key_name)
                    .filter(|key| !key.default)
                    .unwrap_or_else(|| Named {
                        parameter: self.parameter(&key_name),
                        default: true,
                        ..certificate.clone()
                    });
                Some(Pair { certificate, key })
            })
            .collect()
    }

    /// Everything that holds a key and is loaded or lies ready.
    pub fn key_files(&self) -> Vec<Named> {
        let mut files: Vec<Named> = self.pairs().into_iter().map(|pair| pair.key).collect();
        files.extend(self.chain_files());
        files
    }

    /// Everything that is loaded: what counts of chain files and pairs, and the CA file.
    pub fn loaded(&self) -> Vec<Named> {
        let mut files = self.chain_files();
        if files.is_empty() {
            for pair in self.pairs() {
                files.push(pair.certificate);
                if !pair.key.default {
                    files.push(pair.key);
                }
            }
        }
        files.extend(self.named("tls_CAfile"));
        files
    }
}
