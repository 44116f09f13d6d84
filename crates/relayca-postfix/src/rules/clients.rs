//! The services that send mail by SMTP: where to, with which certificate, at which TLS level.
//!
//! Enters: a [`Subject`]. Leaves: a [`Client`] for every `smtp` of master.cf, with the next hops that the configuration names for it.
//! Refuses to know: DNS, and tables that only a server could answer.

use std::collections::HashMap;
use std::rc::Rc;

use super::Subject;
use super::files::named::{Named, Side, owner, sides};
use super::next_hop::{NextHop, several, transport_and_next_hop};
use super::tables::{Row, Table, tables};
use crate::config::{Place, Scope, Value};

/// More ways than this of one transport are not followed.
const MOST_ROUTES: usize = 200;

/// What a text of a table says of TLS for a next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Policy {
    /// No table has a word on it: the level of the service counts.
    Silent,
    /// The level, in lower case, and the attributes.
    Says(String, String),
    /// It cannot be said here.
    Unknown,
}

/// A next hop that is written down somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub hop: NextHop,
    /// The parameter that names it.
    pub parameter: &'static str,
    /// Where.
    pub place: Place,
}

/// A client.
#[derive(Debug, Clone)]
pub(super) struct Client<'a> {
    pub side: Side<'a>,
    /// The certificate that it shows to servers which ask for one, if it has any.
    pub certificate: Option<Named>,
    pub routes: Vec<Route>,
    /// What smtp_tls_policy_maps says.
    pub policies: Rc<Policies>,
    /// Whether it delivers to wherever the recipients' domains point.
    pub direct: bool,
}

impl<'a> Client<'a> {
    pub fn scope(&self) -> Scope<'a> {
        self.side.scope
    }

    pub fn value(&self, rest: &str) -> Value {
        self.side.value(rest)
    }

    /// `relayca/unix`; none for main.cf.
    pub fn label(&self) -> Option<String> {
        self.scope().service().map(|service| service.label())
    }

    /// Where the level is set, or, where nobody sets it, the service.
    pub fn level_place(&self) -> (Place, Option<String>) {
        let value = self.value("tls_security_level");
        (self.scope().place(&value), owner(self.scope(), &value))
    }

    /// The level for a next hop; none where a table decides that cannot be asked here.
    pub fn level_for(&self, hop: Option<&NextHop>) -> Option<String> {
        match self.policies.ask(hop) {
            Policy::Silent => Some(self.side.level.clone()),
            Policy::Says(level, _) => Some(level),
            Policy::Unknown => None,
        }
    }

    /// The one way for all its mail, if there is one: the first next hop that main.cf names.
    pub fn relay(&self) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| matches!(route.parameter, "relayhost" | "default_transport"))
    }
}

/// Whether a level proves who the server is.
pub(super) fn proves(level: &str) -> bool {
    matches!(level, "fingerprint" | "dane-only" | "verify" | "secure")
}

/// Whether a level lets no mail go in the clear.
pub(super) fn encrypts(level: &str) -> bool {
    proves(level) || level == "encrypt"
}

/// All of them.
pub(super) fn clients<'a>(subject: &Subject<'a>) -> Vec<Client<'a>> {
    let main = subject.config.main_scope();
    let text = main.value("default_transport").text;
    let (default, hop) = transport_and_next_hop(&text);
    let has_hop = !hop.is_empty() || !main.value("relayhost").is_empty();
    let by_table = routes_of_tables(subject, main);
    // Most services inherit the tables of main.cf: each is read once.
    let mut read: HashMap<(String, String), Rc<Policies>> = HashMap::new();
    sides(subject)
        .into_iter()
        .filter(|side| side.prefix == "smtp")
        .map(|side| {
            let certificate = side
                .chain_files()
                .into_iter()
                .next()
                .or_else(|| side.pairs().into_iter().next().map(|pair| pair.certificate));
            let service = side.scope.service();
            let is_default = service.is_none_or(|service| service.name == default);
            let mut routes = if is_default {
                routes_of_main(main)
            } else {
                Vec::new()
            };
            let name = service.map_or(default, |service| service.name.as_str());
            if let Some(more) = by_table.get(name) {
                routes.extend(more.iter().cloned());
            }
            let names = (
                side.value("tls_policy_maps").text,
                side.value("tls_per_site").text,
            );
            let policies = read
                .entry(names)
                .or_insert_with(|| Rc::new(Policies::of(subject, side.scope)));
            Client {
                certificate,
                routes,
                policies: Rc::clone(policies),
                direct: is_default && !has_hop,
                side,
            }
        })
        .collect()
}

fn routes_of_main(main: Scope<'_>) -> Vec<Route> {
    let transport = main.value("default_transport");
    let (_, hop) = transport_and_next_hop(&transport.text);
    if !hop.is_empty() {
        return routes(hop, "default_transport", &main.place(&transport));
    }
    let relayhost = main.value("relayhost");
    routes(&relayhost.text, "relayhost", &main.place(&relayhost))
}

fn routes(text: &str, parameter: &'static str, place: &Place) -> Vec<Route> {
    several(text)
        .filter_map(|hop| {
            Some(Route {
                hop: NextHop::parse(hop).ok()?,
                parameter,
                place: place.clone(),
            })
        })
        .collect()
}

/// What transport_maps and its like send to each transport, with a next hop of their own.
fn routes_of_tables(subject: &Subject<'_>, main: Scope<'_>) -> HashMap<String, Vec<Route>> {
    let mut found: HashMap<String, Vec<Route>> = HashMap::new();
    let mut add = |value: &str, parameter, place: &Place| {
        let (transport, hop) = transport_and_next_hop(value);
        if hop.is_empty() {
            return;
        }
        let known = found.entry(transport.to_owned()).or_default();
        for route in routes(hop, parameter, place) {
            if known.len() < MOST_ROUTES && !known.iter().any(|known| known.hop == route.hop) {
                known.push(route);
            }
        }
    };
    for parameter in ["transport_maps", "sender_dependent_default_transport_maps"] {
        let at = main.place(&main.value(parameter));
        for table in tables(subject, main, parameter) {
            match &table {
                Table::Always(value) => add(value, parameter, &at),
                Table::Rows(rows) => {
                    for row in rows {
                        add(&row.value, parameter, row.place.as_ref().unwrap_or(&at));
                    }
                }
                Table::Unknown => {}
            }
        }
    }
    found
}

/// smtp_tls_policy_maps as a service sees it, to be asked for many next hops.
#[derive(Debug)]
pub(super) struct Policies {
    tables: Vec<Table>,
    /// Where a key stands, in lower case: table and row.
    rows: HashMap<String, (usize, usize)>,
    /// The same by the host that is meant, whatever stands around it.
    hosts: HashMap<String, Vec<(usize, usize)>>,
    per_site: bool,
}

impl Policies {
    pub fn of(subject: &Subject<'_>, scope: Scope<'_>) -> Self {
        let tables = tables(subject, scope, "smtp_tls_policy_maps");
        let mut rows = HashMap::new();
        let mut hosts: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (number, table) in tables.iter().enumerate() {
            for (at, row) in table.rows().iter().enumerate() {
                rows.entry(row.key.to_ascii_lowercase())
                    .or_insert((number, at));
                if let Ok(key) = NextHop::parse(&row.key) {
                    hosts.entry(key.host).or_default().push((number, at));
                }
            }
        }
        Self {
            per_site: !scope.value("smtp_tls_per_site").is_empty(),
            tables,
            rows,
            hosts,
        }
    }

    /// The tables, in order.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Rows that mean a next hop, or its host at large, however they are written.
    pub fn meant_for(&self, hop: &NextHop) -> Vec<&Row> {
        let rows = self.hosts.get(&hop.host).map_or(&[][..], Vec::as_slice);
        rows.iter()
            .filter_map(|(number, at)| self.tables.get(*number)?.rows().get(*at))
            // Another port is another server, unless the key has none.
            .filter(|row| {
                NextHop::parse(&row.key).is_ok_and(|key| key.port.is_none() || key.is_same(hop))
            })
            .collect()
    }

    /// What they say of a next hop; of none: of the destinations at large. Where there is no such table,
    /// smtp_tls_per_site counts, which is not read here.
    pub fn ask(&self, hop: Option<&NextHop>) -> Policy {
        if self.tables.is_empty() {
            return if self.per_site {
                Policy::Unknown
            } else {
                Policy::Silent
            };
        }
        let keys = hop.map(keys).unwrap_or_default();
        for (number, table) in self.tables.iter().enumerate() {
            let answer = match table {
                Table::Always(value) => Some(value.as_str()),
                Table::Rows(rows) => keys
                    .iter()
                    .filter_map(|key| self.rows.get(key))
                    .find(|(table, _)| *table == number)
                    .and_then(|(_, at)| rows.get(*at))
                    .map(|row| row.value.as_str()),
                Table::Unknown => return Policy::Unknown,
            };
            if let Some(answer) = answer {
                let mut words = answer.splitn(2, [' ', '\t', ',']);
                let level = words.next().unwrap_or_default().to_ascii_lowercase();
                return Policy::Says(level, words.next().unwrap_or_default().trim().to_owned());
            }
        }
        Policy::Silent
    }
}

/// The keys that smtp(8) asks for, in lower case: the next hop as it is written; for a bare name its parent domains too.
fn keys(hop: &NextHop) -> Vec<String> {
    let mut keys = vec![hop.written.to_ascii_lowercase()];
    if !hop.brackets && hop.port.is_none() && !hop.is_address() {
        let mut rest = hop.written.as_str();
        while let Some(at) = rest.get(1..).and_then(|tail| tail.find('.')) {
            rest = rest.get(at + 1..).unwrap_or_default();
            keys.push(rest.to_ascii_lowercase());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_bare_name_is_also_asked_for_by_its_parents() {
        let of = |text: &str| keys(&NextHop::parse(text).unwrap());
        assert_eq!(
            of("a.example.org"),
            ["a.example.org", ".example.org", ".org"]
        );
        assert_eq!(of("[a.example.org]:25"), ["[a.example.org]:25"]);
        assert_eq!(of("a.example.org:25"), ["a.example.org:25"]);
    }
}
