//! Parameters that no Postfix knows, and names that stand for nothing.
//!
//! Enters: a configuration. Leaves: what `postconf` calls an unused parameter, and what it calls an undefined one, with
//! their places. Refuses to know: files of tables (`ldap:/etc/...`), which postconf opens and this does not.
//!
//! A name counts as known if Postfix documents it, if a service of master.cf gives it (`relay_recipient_limit`), if
//! another value asks for it by `$name`, if smtpd_restriction_classes lists it, or if it begins with the name of a
//! table in the old style (`ldap:people` makes `people_server_host` known).

use std::collections::{BTreeSet, HashMap, HashSet};

use super::expand::{Work, expand, names};
use super::parameters::{parameter, parameters};
use super::scope::{Scope, SetOnly, split_list};
use super::words::{balanced, is_comma_or_blank};
use super::{Config, Place, READ_ONLY};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Set, and known to nobody.
    pub(super) unknown: Vec<(String, Place)>,
    /// Asked for, and neither set nor known.
    pub(super) undefined: Vec<(String, Place)>,
}

/// Looks at all names.
pub(super) fn judge_names(config: &Config) -> Names {
    let mut search = Search {
        config,
        setters: HashMap::new(),
        main: HashSet::new(),
        local: HashSet::new(),
        undefined: BTreeSet::new(),
        work: Work::for_all(),
    };
    for (at, service) in config.master.services.iter().enumerate() {
        for option in service.counting() {
            search.setters.entry(&option.name).or_default().push(at);
        }
    }
    search.services();
    search.defaults();
    search.main_cf();
    search.finish()
}

struct Search<'a> {
    config: &'a Config,
    /// Which services override a name.
    setters: HashMap<&'a str, Vec<usize>>,
    /// Names of main.cf that are asked for.
    main: HashSet<String>,
    /// Names of a service's options that are asked for.
    local: HashSet<(usize, String)>,
    undefined: BTreeSet<(Place, String)>,
    work: Work,
}

impl<'a> Search<'a> {
    /// Whether a name needs nobody to ask for it.
    fn is_built_in(&self, name: &str) -> bool {
        parameter(name).is_some_and(|parameter| parameter.known_by(self.config.version))
            || self.config.default_of_service(name).is_some()
    }

    /// Somebody asks for a name: the service of that number, or main.cf.
    fn ask(&mut self, name: &str, service: Option<usize>, place: Option<&Place>) {
        let setters = self
            .setters
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut set = false;
        if let Some(service) = service
            && setters.contains(&service)
        {
            set = true;
            self.local.insert((service, name.to_owned()));
        } else if self.config.main.get(name).is_some() {
            set = true;
            self.main.insert(name.to_owned());
        }
        if service.is_none() {
            for setter in setters {
                set = true;
                self.local.insert((*setter, name.to_owned()));
            }
        }
        if !set
            && let Some(place) = place
            && !self.is_built_in(name)
        {
            self.undefined.insert((place.clone(), name.to_owned()));
        }
    }

    fn ask_all(&mut self, value: &str, service: Option<usize>, place: Option<&Place>) {
        for name in names(value, self.config.version, &mut self.work) {
            self.ask(&name, service, place);
        }
    }

    fn services(&mut self) {
        for (at, service) in self.config.master.services.iter().enumerate() {
            let scope = self.config.scope(service);
            if let Some(option) = service.option("smtpd_restriction_classes") {
                self.classes(&option.value, scope, Some(at), &Place::master(option.line));
            }
            for option in service.counting() {
                let place = Place::master(option.line);
                self.value(&option.name, &option.value, scope, Some(at), &place);
            }
        }
    }

    /// Defaults ask for names too: for old names of the same, often.
    fn defaults(&mut self) {
        let version = self.config.version;
        for parameter in parameters() {
            if let Some(default) = parameter.default(version)
                && parameter.known_by(version)
                && !parameter.raw
                && self.config.main.get(parameter.name).is_none()
            {
                self.ask_all(default, None, None);
            }
        }
    }

    fn main_cf(&mut self) {
        let scope = self.config.main_scope();
        if let Some(entry) = self.config.main.get("smtpd_restriction_classes") {
            self.classes(&entry.value, scope, None, &Place::main(entry.line));
        }
        for entry in self.config.main.counting() {
            let place = Place::main(entry.line);
            self.value(&entry.name, &entry.value, scope, None, &place);
        }
    }

    fn classes(&mut self, value: &str, scope: Scope<'_>, service: Option<usize>, place: &Place) {
        let version = self.config.version;
        let set = SetOnly::by_its_own(scope);
        let Ok(classes) = expand(value, &set, version, &mut self.work) else {
            return;
        };
        for class in classes.split(|c: char| u8::try_from(c).is_ok_and(is_comma_or_blank)) {
            if !class.is_empty() {
                self.ask(class, service, Some(place));
            }
        }
    }

    fn value(
        &mut self,
        name: &str,
        value: &str,
        scope: Scope<'_>,
        service: Option<usize>,
        place: &Place,
    ) {
        if READ_ONLY.contains(&name) || parameter(name).is_some_and(|parameter| parameter.raw) {
            return;
        }
        self.ask_all(value, service, Some(place));
        // A table can only stand where Postfix reads one, and costs an expansion.
        if value.contains(':') || value.contains('$') {
            let legacy =
                parameter(name).is_some_and(|parameter| parameter.legacy_in(self.config.version));
            if self.is_built_in(name)
                && !legacy
                && let Ok(text) = scope.expand(value, &mut self.work)
            {
                self.tables(&text, service, 0);
            }
        }
    }

    /// `ldap:people` and its kin, in braces too.
    fn tables(&mut self, text: &str, service: Option<usize>, depth: u32) {
        if depth > 20 {
            return;
        }
        for word in split_list(text) {
            if word.starts_with('{') {
                self.tables(inside(&word), service, depth + 1);
                continue;
            }
            let mut rest = word.as_str();
            let (kind, table) = loop {
                match rest.split_once(':') {
                    Some(("proxy" | "debug", behind)) => rest = behind,
                    Some(pair) => break pair,
                    None => break ("", ""),
                }
            };
            if table.starts_with('{') {
                self.tables(inside(table), service, depth + 1);
            } else if !table.is_empty() && !table.starts_with(['/', '.']) {
                for suffix in suffixes(kind) {
                    self.ask(&format!("{table}_{suffix}"), service, None);
                }
            }
        }
    }

    fn finish(self) -> Names {
        let config = self.config;
        let mut found = Names::default();
        // What was not looked at to the end cannot be judged.
        if !self.work.is_used_up() {
            for entry in config.main.counting() {
                let name = &entry.name;
                if !self.is_built_in(name) && !self.main.contains(name) {
                    let place = Place::main(entry.line);
                    found.unknown.push((name.clone(), place));
                }
            }
            for (at, service) in config.master.services.iter().enumerate() {
                for option in service.counting() {
                    if !self.is_built_in(&option.name)
                        && !self.main.contains(&option.name)
                        && !self.local.contains(&(at, option.name.clone()))
                    {
                        let place = Place::master(option.line);
                        found.unknown.push((option.name.clone(), place));
                    }
                }
            }
        }
        found.undefined = self
            .undefined
            .into_iter()
            .map(|(place, name)| (name, place))
            .collect();
        found
    }
}

/// What is in the braces that a word begins with, as far as they are closed.
fn inside(word: &str) -> &str {
    let end = balanced(word).map_or(word.len(), |length| length.saturating_sub(1));
    word.get(1..end).unwrap_or_default()
}

/// What the parameters of a table in the old style end in (ldap_table(5), mysql_table(5) and so on), in any version.
fn suffixes(kind: &str) -> impl Iterator<Item = &'static str> {
    match kind {
        "ldap" => {
            "bind bind_dn bind_pw cache cache_expiry cache_size chase_referrals debuglevel dereference domain \
             expansion_limit leaf_result_attribute query_filter recursion_limit result_attribute result_filter \
             result_format sasl_authz_id sasl_mechs sasl_minssf sasl_realm scope search_base server_host server_port \
             size_limit special_result_attribute start_tls terminal_result_attribute timeout tls_ca_cert_dir \
             tls_ca_cert_file tls_cert tls_cipher_suite tls_key tls_random_file tls_require_cert version"
        }
        "mysql" => {
            "additional_conditions charset dbname domain expansion_limit hosts idle_interval option_file option_group \
             password query require_result_set result_format retry_interval select_field table tls_CAfile tls_CApath \
             tls_cert_file tls_ciphers tls_key_file tls_verify_cert user where_field"
        }
        "pgsql" => {
            "additional_conditions dbname domain encoding expansion_limit hosts idle_interval password query \
             result_format retry_interval select_field select_function table user where_field"
        }
        "sqlite" => {
            "additional_conditions dbpath domain expansion_limit query result_format select_field table where_field"
        }
        "memcache" => {
            "backup data_size_limit domain flags key_digest key_format line_size_limit max_try memcache retry_pause \
             timeout ttl"
        }
        "mongodb" => {
            "collection dbname domain expansion_limit projection query_filter result_attribute result_format uri"
        }
        _ => "",
    }
    .split_ascii_whitespace()
}
