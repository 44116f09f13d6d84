//! What a service sees.
//!
//! Enters: a configuration, and a service of it or none. Leaves: values, expanded, with who sets them and where. Refuses
//! to know: what a value does, but for the levels of TLS.

use std::borrow::Cow;

use super::expand::{Lookup, Trouble, Values, Work, expand};
use super::parameters::parameter;
use super::words::{is_comma_or_blank, words};
use super::{Config, MAIN_CF, Place, READ_ONLY, Service, Version};

/// The values as one service sees them, or those of main.cf.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    config: &'a Config,
    service: Option<&'a Service>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Expanded. What this reader cannot know (`$myhostname` where nobody sets it) stays as it is. Where it cannot be
    /// expanded ([`Value::broken`]) it is as it is written.
    pub text: String,
    /// As it is written.
    pub raw: String,
    /// Who says so.
    pub origin: Origin,
    /// Why it cannot be expanded; Postfix stops then.
    pub broken: Option<String>,
}

/// Who sets a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An option of the service in master.cf.
    Override {
        /// The line of the value.
        line: u32,
    },
    /// main.cf.
    Main {
        /// The first line.
        line: u32,
    },
    /// Nobody.
    Default,
}

impl Value {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether main.cf or an option sets it, be it to nothing.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.origin != Origin::Default
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(config: &'a Config, service: Option<&'a Service>) -> Self {
        Self { config, service }
    }

    /// The service, if it is one's.
    #[must_use]
    pub fn service(&self) -> Option<&'a Service> {
        self.service
    }

    /// Whose values they are.
    #[must_use]
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// The value of a parameter; that of an unknown one that nobody sets is empty, by default.
    #[must_use]
    pub fn value(&self, name: &str) -> Value {
        let (origin, found) = self.find(name);
        let raw = match found {
            Lookup::Text(text) | Lookup::Verbatim(text) => text.into_owned(),
            Lookup::Machine => {
                let literal = format!("${name}");
                return Value {
                    text: literal.clone(),
                    raw: literal,
                    origin,
                    broken: None,
                };
            }
            Lookup::Undefined => String::new(),
        };
        let (text, broken) = if parameter(name).is_some_and(|parameter| parameter.raw) {
            (raw.clone(), None)
        } else {
            match self.expand(&raw, &mut Work::for_one()) {
                Ok(text) => (text, None),
                Err(trouble) => (raw.clone(), Some(trouble.text())),
            }
        };
        Value {
            text,
            raw,
            origin,
            broken,
        }
    }

    /// Expands text as if it were a value of this scope. None where Postfix would stop.
    #[must_use]
    pub fn expanded(&self, text: &str) -> Option<String> {
        self.expand(text, &mut Work::for_one()).ok()
    }

    pub(super) fn expand(&self, text: &str, work: &mut Work) -> Result<String, Trouble> {
        expand(text, self, self.config.version, work)
    }

    /// Where a value stands: its line, or for a default the service's (main.cf as a whole for that of main.cf).
    #[must_use]
    pub fn place(&self, value: &Value) -> Place {
        match (value.origin, self.service) {
            (Origin::Override { line }, _) => Place::master(line),
            (Origin::Main { line }, _) => Place::main(line),
            (Origin::Default, Some(service)) => Place::master(service.line),
            (Origin::Default, None) => Place::file(MAIN_CF),
        }
    }

    /// Where a parameter is set, by an option or in main.cf.
    #[must_use]
    pub fn set_at(&self, name: &str) -> Option<Place> {
        match self.find(name).0 {
            Origin::Override { line } => Some(Place::master(line)),
            Origin::Main { line } => Some(Place::main(line)),
            Origin::Default => None,
        }
    }

    /// Whether a parameter is set, by an option or in main.cf, be it to nothing.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.find(name).0 != Origin::Default
    }

    /// The elements of a list: split at commas and blanks, braces kept together and left on, as Postfix does.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        split_list(&self.value(name).text)
    }

    /// Whether a yes-or-no parameter says yes; in any case of letters. Anything but `no` and `yes` stops Postfix.
    #[must_use]
    pub fn yes(&self, name: &str) -> bool {
        self.value(name).text.eq_ignore_ascii_case("yes")
    }

    /// The TLS level that counts, for `smtpd`, `smtp` or `lmtp`: with the obsolete `*_use_tls` and `*_enforce_tls`,
    /// which only count where no level is set, and with smtpd's wrapper mode, which is `encrypt` whatever the level
    /// says. For smtpd, the levels above `encrypt` are `encrypt`. A word that is no level comes back as it is.
    #[must_use]
    pub fn level(&self, side: &str) -> String {
        let yes = |name: &str| self.yes(&format!("{side}_{name}"));
        if side == "smtpd" && yes("tls_wrappermode") {
            return "encrypt".to_owned();
        }
        let level = self
            .value(&format!("{side}_tls_security_level"))
            .text
            .to_ascii_lowercase();
        if level.is_empty() {
            return if yes("enforce_tls") && side != "smtpd" && yes("tls_enforce_peername") {
                "verify"
            } else if yes("enforce_tls") {
                "encrypt"
            } else if yes("use_tls") {
                "may"
            } else {
                "none"
            }
            .to_owned();
        }
        match (side, level.as_str()) {
            ("smtpd", "fingerprint" | "verify" | "secure") => "encrypt".to_owned(),
            _ => level,
        }
    }

    /// Who sets a parameter, and to what.
    fn find(&self, name: &str) -> (Origin, Lookup<'a>) {
        if READ_ONLY.contains(&name) {
            let found = match (name, self.service) {
                ("process_name", Some(service)) => text(service.process_name()),
                ("service_name", Some(service)) => text(&service.name),
                _ => Lookup::Machine,
            };
            return (Origin::Default, found);
        }
        match self.find_set(name) {
            Some((origin, value)) => (origin, text(value)),
            None => (Origin::Default, self.default(name)),
        }
    }

    fn find_set(&self, name: &str) -> Option<(Origin, &'a str)> {
        if let Some(option) = self.service.and_then(|service| service.option(name)) {
            let line = option.line;
            return Some((Origin::Override { line }, &option.value));
        }
        let entry = self.config.main.get(name)?;
        Some((Origin::Main { line: entry.line }, &entry.value))
    }

    fn default(&self, name: &str) -> Lookup<'a> {
        match name {
            "config_directory" => return text(self.config.directory()),
            "mydomain" => return self.domain(),
            _ => {}
        }
        let version = self.config.version;
        if let Some(parameter) = parameter(name).filter(|parameter| parameter.known_by(version)) {
            return match parameter.default(version) {
                Some(default) => text(default),
                None => Lookup::Machine,
            };
        }
        match self.config.default_of_service(name) {
            Some(default) => Lookup::Text(Cow::Owned(format!("${default}"))),
            None => Lookup::Undefined,
        }
    }

    /// What Postfix makes of `myhostname` where nobody sets `mydomain`: all behind the first dot. It looks at what is
    /// set alone, not at defaults.
    fn domain(&self) -> Lookup<'a> {
        let domain = match self.service {
            Some(service) if !service.options.is_empty() => self.find_domain().map(Cow::Owned),
            _ => {
                let known = self.config.domain.get_or_init(|| self.find_domain());
                known.as_deref().map(Cow::Borrowed)
            }
        };
        domain.map_or(Lookup::Machine, Lookup::Verbatim)
    }

    fn find_domain(&self) -> Option<String> {
        let (_, host) = self.find_set("myhostname")?;
        let set = SetOnly::by_all(*self);
        let host = expand(host, &set, self.config.version, &mut Work::for_a_name());
        // A host that Postfix stops at has no domain.
        let host = host.unwrap_or_else(|_| ".".to_owned());
        Some(match host.split_once('.') {
            Some((_, domain)) => domain.to_owned(),
            None => "localdomain".to_owned(),
        })
    }
}

fn text(text: &str) -> Lookup<'_> {
    Lookup::Text(Cow::Borrowed(text))
}

/// Splits a list as Postfix does: at commas and blanks, what is in braces kept together, the braces left on.
pub(super) fn split_list(text: &str) -> Vec<String> {
    words(text, is_comma_or_blank)
        .map(|(_, word)| word.to_owned())
        .collect()
}

impl Values for Scope<'_> {
    fn lookup(&self, name: &str) -> Lookup<'_> {
        let found = self.find(name).1;
        // From 3.11 on, what is not expanded of itself is not expanded within others either.
        let verbatim = self
            .config
            .version
            .is_some_and(|version| version >= Version::new(3, 11))
            && parameter(name).is_some_and(|parameter| parameter.raw);
        match found {
            Lookup::Text(text) if verbatim => Lookup::Verbatim(text),
            found => found,
        }
    }
}

/// What is set, without defaults.
pub(super) struct SetOnly<'a> {
    scope: Scope<'a>,
    /// Whether a service's options are all that is looked at.
    own: bool,
}

impl<'a> SetOnly<'a> {
    /// By the service's options and main.cf.
    fn by_all(scope: Scope<'a>) -> Self {
        Self { scope, own: false }
    }

    /// By the service's options alone; by main.cf for its scope.
    pub(super) fn by_its_own(scope: Scope<'a>) -> Self {
        Self { scope, own: true }
    }
}

impl Values for SetOnly<'_> {
    fn lookup(&self, name: &str) -> Lookup<'_> {
        match self.scope.find_set(name) {
            Some((Origin::Main { .. }, _)) if self.own && self.scope.service.is_some() => {
                Lookup::Undefined
            }
            Some((_, value)) => text(value),
            None => Lookup::Undefined,
        }
    }
}
