//! The domain of a CA made elsewhere.
//!
//! In: what the user says, names of files, the CA's constraints, the names in its certificates. Out: the domain. Where these
//! leave a doubt it is asked for: the domain is what the CA will be kept to.

use std::collections::BTreeSet;

use relayca_ca::{AltName, Authority, Domain, HostName};

use super::source::SourceCa;
use crate::failure::Failure;

/// How the Makefile's CA files end.
const MAKEFILE: [&str; 2] = ["-ca.crt.pem", "-ca.key.pem"];

/// Finds it. `hosts` are the full names in what the CA signed.
pub fn find(
    given: Option<&str>,
    source: &SourceCa,
    hosts: &BTreeSet<HostName>,
) -> Result<Domain, Failure> {
    let domain = match given {
        Some(given) => Domain::parse(given)?,
        None => guess(source, hosts)?,
    };
    let apex = AltName::Dns(HostName::parse(domain.as_str())?);
    if !source.authority.permits(&apex) {
        return Err(Failure::new(format!(
            "this CA may not certify names in `{domain}`"
        ))
        .hint("its name constraints say what it is for (`openssl x509 -text` shows them): give that domain with --domain"));
    }
    Ok(domain)
}

fn guess(source: &SourceCa, hosts: &BTreeSet<HostName>) -> Result<Domain, Failure> {
    let mut found = by_files(source);
    if found.is_empty() {
        found.extend(by_constraints(&source.authority));
    }
    let said = !found.is_empty();
    if found.is_empty() {
        found.extend(by_hosts(hosts));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None)
            if hosts.is_empty() || hosts.iter().any(|host| only.contains(host)) || !said =>
        {
            Ok(only)
        }
        (None, _) => Err(in_doubt("which domain is this CA for?")),
        (Some(one), None) => Err(in_doubt(&format!(
            "by its name this CA is for `{one}`, and nothing that it signed lies in that"
        ))),
        (Some(one), Some(other)) => Err(in_doubt(&format!(
            "is this CA for `{one}` or for `{other}`?"
        ))),
    }
}

fn in_doubt(message: &str) -> Failure {
    Failure::usage(message).hint("say it with --domain DOMAIN")
}

fn by_files(source: &SourceCa) -> BTreeSet<Domain> {
    source
        .certificate_files
        .iter()
        .chain(&source.key_files)
        .filter_map(|file| {
            let name = file.rsplit('/').next().unwrap_or(file);
            let stem = MAKEFILE.iter().find_map(|end| name.strip_suffix(end))?;
            Domain::parse(stem).ok()
        })
        .collect()
}

fn by_constraints(authority: &Authority) -> Option<Domain> {
    if let Some(domain) = authority.domain() {
        return Some(domain);
    }
    // Made elsewhere: the one host name that is permitted, if there is one.
    let mut names = authority
        .certificate()
        .further_permits()
        .into_iter()
        .filter_map(|name| match name {
            AltName::Dns(name) => Domain::parse(name.as_str()).ok(),
            AltName::Ip(_) => None,
        });
    match (names.next(), names.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

/// What the names of two hosts or more end in. One alone could be of its parent's domain or of its grandparent's.
fn by_hosts(hosts: &BTreeSet<HostName>) -> Option<Domain> {
    let mut hosts = hosts.iter().map(HostName::as_str);
    let (first, second) = (hosts.next()?, hosts.next()?);
    let common = |one: &str, other: &str| -> String {
        let pairs = one.rsplit('.').zip(other.rsplit('.'));
        let mut labels: Vec<&str> = pairs
            .take_while(|(one, other)| one == other)
            .map(|(label, _)| label)
            .collect();
        labels.reverse();
        labels.join(".")
    };
    let suffix = hosts.fold(common(first, second), |suffix, host| common(&suffix, host));
    let labels: Vec<&str> = suffix.split('.').collect();
    match labels.as_slice() {
        [] | [_] => None,
        // `co.uk` or `ab.de`? Nobody's domain must not become one's own.
        [second, top] if top.len() == 2 && second.len() <= 3 => None,
        _ => Domain::parse(&suffix).ok(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn suffix(hosts: &[&str]) -> Option<String> {
        let hosts = hosts.iter().map(|host| HostName::parse(host).unwrap());
        by_hosts(&hosts.collect()).map(|domain| domain.to_string())
    }

    #[test]
    fn the_longest_common_suffix_of_two_hosts_is_the_domain() {
        assert_eq!(
            suffix(&["a.example.org", "b.mail.example.org"]).as_deref(),
            Some("example.org")
        );
        assert_eq!(
            suffix(&["a.example.org", "example.org"]).as_deref(),
            Some("example.org")
        );
        assert_eq!(suffix(&["aexample.org", "bexample.org"]), None);
        assert_eq!(suffix(&["a.co.uk", "b.co.uk"]), None);
        assert_eq!(suffix(&["a.example.org"]), None);
        assert_eq!(suffix(&["a.example.org", "b.example.net"]), None);
        assert_eq!(suffix(&[]), None);
    }
}
