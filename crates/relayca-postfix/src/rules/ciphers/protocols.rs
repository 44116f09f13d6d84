//! Lists of protocols.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: which protocols this host's OpenSSL still has.

use super::{SIDES, set_values};
use crate::config::Scope;
use crate::rules::files::named::owner;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const UNKNOWN: Rule = Rule {
    id: "protocol-unknown",
    severity: Severity::Error,
    title: "a protocol list with a name that Postfix does not know",
    why: "The names are SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2 and TLSv1.3, in any case of letters. With any other (`TLSv1.0`, \
          `TLS1.2`) smtpd says `Invalid TLS protocol list: disabling TLS support` and answers STARTTLS with 454; smtp ends every \
          session that would be encrypted, and the mail waits (4.7.5).",
    remedy: "write !SSLv2, !SSLv3, !TLSv1, !TLSv1.1, or >=TLSv1.2 from 3.6 on",
    sources: &[
        "postconf(5) smtpd_tls_mandatory_protocols",
        "postconf(5) smtp_tls_protocols",
    ],
    check: unknown,
};

pub(super) const BOUNDS: Rule = Rule {
    id: "protocol-bounds-before-3.6",
    severity: Severity::Error,
    title: "`>=` in a protocol list, which this Postfix does not know",
    why: "Up to 3.5 `>=TLSv1.2` is an unknown protocol: smtpd says `Invalid TLS protocol list` and has no TLS, and smtp ends \
          every session that would be encrypted.",
    remedy: "write !SSLv2, !SSLv3, !TLSv1, !TLSv1.1, which every version takes",
    sources: &["postconf(5) smtpd_tls_mandatory_protocols"],
    check: bounds,
};

pub(super) const OLD_ALONE: Rule = Rule {
    id: "old-protocols-alone",
    severity: Severity::Error,
    title: "only protocols are left that today's peers refuse",
    why: "A list of plain names allows these and nothing else. With TLSv1 or older alone, handshakes with peers that are kept up \
          to date fail; what still connects is Postfix itself, which then agrees on TLSv1 with an anonymous cipher that proves \
          nothing.",
    remedy: "exclude what is old, instead of naming what is allowed: !SSLv2, !SSLv3, !TLSv1, !TLSv1.1",
    sources: &[
        "postconf(5) smtpd_tls_mandatory_protocols",
        "RFC 8996 section 4",
    ],
    check: old_alone,
};

pub(super) const NEW_EXCLUDED: Rule = Rule {
    id: "current-protocol-excluded",
    severity: Severity::Warning,
    title: "TLSv1.2 or TLSv1.3 is excluded",
    why: "Without TLSv1.3 every session is a TLSv1.2 one. Without TLSv1.2 many mail servers share no protocol with this one: the \
          handshake fails, and what may go in the clear goes in the clear at the next attempt.",
    remedy: "exclude what is old only: !SSLv2, !SSLv3, !TLSv1, !TLSv1.1",
    sources: &["postconf(5) smtpd_tls_protocols", "RFC 9325 section 3.1.1"],
    check: new_excluded,
};

pub(super) const SSL_ALLOWED: Rule = Rule {
    id: "ssl-allowed",
    severity: Severity::Warning,
    title: "SSLv2 or SSLv3 is allowed",
    why: "A list replaces the default, it is not added to it: whoever excludes TLSv1 and TLSv1.1 alone allows SSLv2 and SSLv3 \
          again, as far as the OpenSSL of the host still has them. Both are broken.",
    remedy: "exclude them too: !SSLv2, !SSLv3, !TLSv1, !TLSv1.1",
    sources: &["postconf(5) smtpd_tls_protocols", "RFC 7568", "RFC 6176"],
    check: ssl_allowed,
};

pub(super) const FLOOR: Rule = Rule {
    id: "tls-1.0-for-mandatory-tls",
    severity: Severity::Warning,
    title: "TLS 1.0 and 1.1 are allowed where TLS is mandatory",
    why: "The default of *_tls_mandatory_protocols allows TLS 1.0 in every version of Postfix; whether a session gets that low \
          is up to OpenSSL and the system's settings. Where TLS is mandatory the peers are known, and need no such old protocol.",
    remedy: "set *_tls_mandatory_protocols = !SSLv2, !SSLv3, !TLSv1, !TLSv1.1",
    sources: &[
        "postconf(5) smtpd_tls_mandatory_protocols",
        "RFC 8996",
        "RFC 9325 section 3.1.1",
    ],
    check: floor,
};

/// What every version takes and every peer of today speaks.
const GOOD: &str = "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1";

const NAMES: [&str; 6] = ["SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const TLS_1_0: usize = 2;
const TLS_1_2: usize = 4;
const TLS_1_3: usize = 5;

/// What a list allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protocols {
    /// In the order of [`NAMES`].
    allowed: [bool; 6],
    unknown: Vec<String>,
    bounds: bool,
}

impl Protocols {
    /// As `tls_proto_mask_lims` reads it.
    pub fn read(list: &str) -> Self {
        let index = |name: &str| {
            NAMES
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name))
        };
        let mut excluded = [false; 6];
        let mut included = [false; 6];
        let (mut lowest, mut highest) = (0, NAMES.len());
        let mut unknown = Vec::new();
        let mut bounds = false;
        for word in list
            .split([',', ' ', '\t', '\r', '\n', ':'])
            .filter(|word| !word.is_empty())
        {
            let bound = word.strip_prefix(">=").or_else(|| word.strip_prefix("<="));
            let name = bound.unwrap_or_else(|| word.strip_prefix('!').unwrap_or(word));
            let Some(at) = index(name).or_else(|| bound.and_then(hexadecimal)) else {
                unknown.push(word.to_owned());
                continue;
            };
            bounds |= bound.is_some();
            if word.starts_with(">=") {
                lowest = at;
            } else if word.starts_with("<=") {
                highest = at;
            } else if word.starts_with('!') {
                excluded =
                    std::array::from_fn(|each| each == at || excluded.get(each) == Some(&true));
            } else {
                included =
                    std::array::from_fn(|each| each == at || included.get(each) == Some(&true));
            }
        }
        let any = included.contains(&true);
        let allowed = std::array::from_fn(|each| {
            each >= lowest
                && each <= highest
                && excluded.get(each) != Some(&true)
                && (!any || included.get(each) == Some(&true))
        });
        Self {
            allowed,
            unknown,
            bounds,
        }
    }

    fn allows(&self, at: usize) -> bool {
        self.allowed.get(at) == Some(&true)
    }

    fn names(&self) -> String {
        let names: Vec<&str> = NAMES
            .iter()
            .enumerate()
            .filter(|(at, _)| self.allows(*at))
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// `0x0303` and its like, in bounds.
fn hexadecimal(text: &str) -> Option<usize> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    match u32::from_str_radix(digits, 16).ok()? {
        0x0002 => Some(0),
        0x0300 => Some(1),
        0x0301 => Some(2),
        0x0302 => Some(3),
        0x0303 => Some(4),
        0x0304.. => Some(5),
        _ => None,
    }
}

struct List<'a> {
    scope: Scope<'a>,
    name: String,
    value: crate::config::Value,
    protocols: Protocols,
    mandatory: bool,
}

impl List<'_> {
    fn finding(&self, rule: &Rule, message: String) -> Finding {
        let who = owner(self.scope, &self.value);
        rule.finds(self.scope.place(&self.value), message)
            .fix([fix::set_for(who.as_deref(), &self.name, GOOD)])
            .on(who)
    }

    fn shown(&self) -> String {
        format!("`{} = {}`", self.name, self.value.text)
    }
}

/// Every list that is set to something.
fn lists<'a>(subject: &Subject<'a>) -> Vec<List<'a>> {
    let mut lists = Vec::new();
    for side in SIDES {
        for (rest, mandatory) in [("tls_protocols", false), ("tls_mandatory_protocols", true)] {
            let name = format!("{side}_{rest}");
            for (scope, value) in set_values(subject.config, &name) {
                if value.text.contains('$') {
                    continue;
                }
                lists.push(List {
                    scope,
                    name: name.clone(),
                    protocols: Protocols::read(&value.text),
                    value,
                    mandatory,
                });
            }
        }
    }
    lists
}

fn unknown(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for list in lists(subject) {
        for word in &list.protocols.unknown {
            found.push(list.finding(
                &UNKNOWN,
                format!("{}: there is no protocol `{word}`", list.shown()),
            ));
        }
    }
}

fn bounds(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    if !subject.facts.older_than(3, 6) {
        return;
    }
    for list in lists(subject) {
        if list.protocols.bounds {
            found.push(list.finding(&BOUNDS, format!("{} needs Postfix 3.6", list.shown())));
        }
    }
}

fn old_alone(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for list in lists(subject) {
        let protocols = &list.protocols;
        if protocols.unknown.is_empty() && !protocols.allows(TLS_1_2) && !protocols.allows(TLS_1_3)
        {
            found.push(list.finding(
                &OLD_ALONE,
                format!("{} leaves {}", list.shown(), protocols.names()),
            ));
        }
    }
}

fn new_excluded(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for list in lists(subject) {
        let protocols = &list.protocols;
        let missing = match (protocols.allows(TLS_1_2), protocols.allows(TLS_1_3)) {
            (true, false) => "TLSv1.3",
            (false, true) => "TLSv1.2",
            _ => continue,
        };
        // Where the peers are known, TLSv1.3 alone can be meant.
        let severity = if list.mandatory {
            Severity::Note
        } else {
            Severity::Warning
        };
        found.push(
            list.finding(
                &NEW_EXCLUDED,
                format!("{} leaves out {missing}", list.shown()),
            )
            .as_severe_as(severity),
        );
    }
}

fn ssl_allowed(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for list in lists(subject) {
        let protocols = &list.protocols;
        let old: Vec<&str> = NAMES
            .iter()
            .take(TLS_1_0)
            .enumerate()
            .filter(|(at, _)| protocols.allows(*at))
            .map(|(_, name)| *name)
            .collect();
        // Of SSLv2 alone no OpenSSL that a Postfix of today runs on knows anything any more.
        if !old.contains(&"SSLv3") || !protocols.unknown.is_empty() {
            continue;
        }
        let severity = if list.mandatory {
            Severity::Warning
        } else {
            Severity::Note
        };
        found.push(
            list.finding(
                &SSL_ALLOWED,
                format!("{} allows {}", list.shown(), old.join(" and ")),
            )
            .as_severe_as(severity),
        );
    }
}

fn floor(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for list in lists(subject) {
        let protocols = &list.protocols;
        let newer = protocols.allows(TLS_1_2) || protocols.allows(TLS_1_3);
        if list.mandatory && newer && (protocols.allows(TLS_1_0) || protocols.allows(TLS_1_0 + 1)) {
            found.push(list.finding(
                &FLOOR,
                format!("{} allows {}", list.shown(), protocols.names()),
            ));
        }
    }
    // The default, where something depends on it.
    for side in ["smtpd", "smtp"] {
        let name = format!("{side}_tls_mandatory_protocols");
        let used = subject.config.master.services.iter().any(|service| {
            let scope = subject.config.scope(service);
            service.process_name() == side
                && !scope.is_set(&name)
                && !matches!(scope.level(side).as_str(), "none" | "may" | "dane")
        });
        let main = subject.config.main_scope();
        if used {
            found.push(
                FLOOR
                    .finds(
                        main.place(&main.value(&name)),
                        format!("`{name}` is not set, and its default allows TLS 1.0"),
                    )
                    .as_severe_as(Severity::Note)
                    .fix([fix::set(&name, GOOD)]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_postfix_reads_them() {
        let names = |list: &str| Protocols::read(list).names();
        assert_eq!(names(""), "SSLv2, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3");
        assert_eq!(names("!SSLv2,!sslv3 !TLSv1:!TLSv1.1"), "TLSv1.2, TLSv1.3");
        assert_eq!(names(">=TLSv1.2"), "TLSv1.2, TLSv1.3");
        assert_eq!(names(">=0303, <=0x0303"), "TLSv1.2");
        assert_eq!(names("TLSv1"), "TLSv1");
        assert_eq!(names("TLSv1, TLSv1.2, !TLSv1"), "TLSv1.2");
        assert_eq!(
            Protocols::read("!TLSv1.0 TLS1.2").unknown,
            ["!TLSv1.0", "TLS1.2"]
        );
    }
}
