//! Is a port open from here to the world, closed, or answered by somebody else?
//!
//! In: whom we asked, and how it answered. Out: a [`Verdict`], and what speaks against the one who answered
//! ([`Suspicion`]). It refuses to know sockets, and who is asked by default.

mod names;

use std::fmt;
use std::io::ErrorKind;
use std::net::IpAddr;

use crate::wire::Attempt;

pub use names::{banner_name, same_host};

/// How a host answered on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its name has no address, and why.
    NoName(String),
    /// None of these addresses accepted.
    Unreachable(Vec<Attempt>),
    /// The connection was accepted, and then there was no word.
    Silent,
    /// The connection was accepted and closed without a word.
    HungUp,
    /// It greeted, and not as SMTP does.
    Foreign(String),
    /// It greeted.
    Greeted(Greeted),
}

/// A greeting, and what else was seen of whoever gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// The address that answered.
    pub address: IpAddr,
    /// The code, 220 for welcome.
    pub code: u16,
    /// The text behind it.
    pub banner: String,
    /// The lines that answered EHLO; none where it was refused.
    pub ehlo: Vec<String>,
    /// Whether it proved by a certificate that the world trusts to be the host asked for. `None` where no certificate was seen.
    pub proved: Option<bool>,
    /// Whether the name in the banner has the address that answered: then it is a name of the host, whatever it looks like.
    pub named: bool,
}

/// What a port is like, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verdict {
    /// The host asked for answered.
    Open,
    /// It answered and does not want us: the port is open, our address has a bad name.
    Unwelcome,
    /// It answered and is busy, or puts us off.
    PutOff,
    /// Somebody else answered.
    Intercepted,
    /// The connection is accepted by something that hangs up or says nothing.
    Swallowed,
    /// The connection is refused.
    Refused,
    /// This machine does not let it out.
    Forbidden,
    /// There is no way there.
    NoRoute,
    /// Nothing comes back.
    Blocked,
    /// The name is not known.
    NoName,
}

impl Verdict {
    /// The word for it, in every output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Unwelcome => "unwelcome",
            Self::PutOff => "put-off",
            Self::Intercepted => "intercepted",
            Self::Swallowed => "swallowed",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::NoRoute => "no-route",
            Self::Blocked => "blocked",
            Self::NoName => "no-name",
        }
    }

    /// Whether asking another host would tell no more.
    #[must_use]
    pub fn is_conclusive(self) -> bool {
        matches!(
            self,
            Self::Open | Self::Unwelcome | Self::PutOff | Self::Intercepted
        )
    }
}

/// What speaks against the one who answered being the one asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suspicion {
    /// The greeting has another name.
    OtherName(String),
    /// The greeting has no name.
    NoName,
    /// The greeting is masked, as firewalls that read along do it.
    Masked,
    /// A capability was struck out in the answer to EHLO, mostly STARTTLS.
    Struck,
    /// A public host has an address that is not public.
    NotPublic(IpAddr),
    /// What answered does not speak SMTP.
    Foreign(String),
    /// DSN is not offered. Many servers do not, so this supports the others and says nothing alone.
    NoDsn,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherName(name) => write!(f, "it calls itself `{name}`"),
            Self::NoName => f.write_str("it does not say its name"),
            Self::Masked => f.write_str("its greeting is masked"),
            Self::Struck => f.write_str("a capability was struck out of what it offers"),
            Self::NotPublic(address) => {
                write!(f, "the name leads to {address}, which is no public address")
            }
            Self::Foreign(line) => write!(f, "it says `{line}`"),
            Self::NoDsn => f.write_str("it does not offer DSN"),
        }
    }
}

/// Judges an answer. `public` says that the host asked for is known to be in the internet.
#[must_use]
pub fn judge(asked: &str, public: bool, answer: &Answer) -> (Verdict, Vec<Suspicion>) {
    match answer {
        Answer::NoName(_) => (Verdict::NoName, Vec::new()),
        Answer::Unreachable(tried) => (unreachable(tried), Vec::new()),
        Answer::Silent | Answer::HungUp => (Verdict::Swallowed, Vec::new()),
        Answer::Foreign(line) => (Verdict::Intercepted, vec![Suspicion::Foreign(line.clone())]),
        Answer::Greeted(greeted) => greeting(asked, public, greeted),
    }
}

/// The address that came farthest decides: a refusal is an answer, silence is none.
fn unreachable(tried: &[Attempt]) -> Verdict {
    tried
        .iter()
        .filter_map(|attempt| attempt.failure.as_ref())
        .map(|failure| match failure.kind {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Verdict::Refused,
            ErrorKind::PermissionDenied => Verdict::Forbidden,
            ErrorKind::TimedOut => Verdict::Blocked,
            _ => Verdict::NoRoute,
        })
        // An IPv6 address without a way there says nothing where IPv4 got a word or silence.
        .min_by_key(|verdict| match verdict {
            Verdict::Refused => 0,
            Verdict::Forbidden => 1,
            Verdict::Blocked => 2,
            _ => 3,
        })
        .unwrap_or(Verdict::NoRoute)
}

fn greeting(asked: &str, public: bool, greeted: &Greeted) -> (Verdict, Vec<Suspicion>) {
    let genuine = greeted.proved == Some(true);
    let suspicions = if genuine {
        Vec::new()
    } else {
        suspicions(asked, public, greeted)
    };
    let verdict = match greeted.code {
        _ if suspicions.iter().any(|s| *s != Suspicion::NoDsn) => Verdict::Intercepted,
        200..=399 => Verdict::Open,
        400..=499 => Verdict::PutOff,
        _ => Verdict::Unwelcome,
    };
    (verdict, suspicions)
}

fn suspicions(asked: &str, public: bool, greeted: &Greeted) -> Vec<Suspicion> {
    let mut found = Vec::new();
    if public && !is_public(greeted.address) {
        found.push(Suspicion::NotPublic(greeted.address));
    }
    if is_masked(&greeted.banner) {
        found.push(Suspicion::Masked);
    } else if !greeted.named && asked.parse::<IpAddr>().is_err() {
        // Whoever turns us away may do so without a word on who it is; whoever welcomes us says it (RFC 5321 section 4.2).
        match (banner_name(&greeted.banner), greeted.code) {
            (Some(name), _) if !same_host(asked, name) => {
                found.push(Suspicion::OtherName(name.to_owned()));
            }
            (None, 200..=399) => found.push(Suspicion::NoName),
            _ => {}
        }
    }
    if greeted.ehlo.iter().skip(1).any(|line| is_struck(line)) {
        found.push(Suspicion::Struck);
    }
    let offers_dsn = |line: &String| line.eq_ignore_ascii_case("DSN");
    if !found.is_empty() && !greeted.ehlo.iter().skip(1).any(offers_dsn) {
        found.push(Suspicion::NoDsn);
    }
    found
}

/// `220 **************`, as a Cisco that "fixes up" SMTP writes it.
fn is_masked(banner: &str) -> bool {
    let stars = banner.bytes().filter(|b| *b == b'*').count();
    stars >= 8 && stars * 2 > banner.len()
}

/// `250-XXXXXXXA` where there was `250-STARTTLS`.
fn is_struck(line: &str) -> bool {
    line.len() >= 4 && line.bytes().take_while(|b| *b == b'X').count() + 1 >= line.len()
}

/// Whether an address is one of the internet's, and not of a house, a provider's inside or a machine.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b); // RFC 6598
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::wire::ConnectFailure;

    const ASKED: &str = "mailly.debian.org";

    fn greeted(code: u16, banner: &str, ehlo: &[&str]) -> Greeted {
        Greeted {
            address: "82.195.75.114".parse().unwrap(),
            code,
            banner: banner.to_owned(),
            ehlo: ehlo.iter().map(|line| (*line).to_owned()).collect(),
            proved: None,
            named: false,
        }
    }

    fn verdict(greeted: Greeted) -> Verdict {
        judge(ASKED, true, &Answer::Greeted(greeted)).0
    }

    #[test]
    fn the_host_asked_for_answers_by_its_name_or_another_of_its_domain() {
        for banner in [
            "mailly.debian.org ESMTP Exim 4.89 Mon, 02 Apr 2018 06:02:46 +0000",
            "MAILLY.debian.org. ESMTP",
            "mx.debian.org ESMTP",
        ] {
            assert_eq!(
                verdict(greeted(220, banner, &[])),
                Verdict::Open,
                "{banner}"
            );
        }
    }

    #[test]
    fn a_proxy_of_the_provider_is_told_by_its_name() {
        let proxy = greeted(
            220,
            "ypsmtpproxy01.t-mobile.example ESMTP Postfix",
            &["ypsmtpproxy01", "PIPELINING"],
        );
        let (verdict, suspicions) = judge(ASKED, true, &Answer::Greeted(proxy.clone()));
        assert_eq!(verdict, Verdict::Intercepted);
        let shown: Vec<String> = suspicions.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "it calls itself `ypsmtpproxy01.t-mobile.example`",
                "it does not offer DSN"
            ]
        );
        // Unless it proves by a certificate to be the one, or the name leads to the address that answered.
        assert_eq!(
            verdict_of(Greeted {
                proved: Some(true),
                ..proxy.clone()
            }),
            Verdict::Open
        );
        assert_eq!(
            verdict_of(Greeted {
                named: true,
                ..proxy.clone()
            }),
            Verdict::Open
        );
        assert_eq!(
            verdict_of(Greeted {
                proved: Some(false),
                ..proxy
            }),
            Verdict::Intercepted
        );
    }

    fn verdict_of(greeted: Greeted) -> Verdict {
        verdict(greeted)
    }

    #[test]
    fn masks_struck_capabilities_and_inner_addresses_are_suspicious() {
        assert_eq!(
            verdict(greeted(220, "****************************0*2******", &[])),
            Verdict::Intercepted
        );
        assert_eq!(
            verdict(greeted(
                220,
                "mailly.debian.org",
                &["mailly.debian.org", "SIZE", "XXXXXXXA"]
            )),
            Verdict::Intercepted
        );
        assert_eq!(
            verdict(greeted(
                220,
                "mailly.debian.org",
                &["mailly.debian.org", "XCLIENT", "X"]
            )),
            Verdict::Open
        );
        assert_eq!(
            verdict(greeted(220, "ESMTP ready", &[])),
            Verdict::Intercepted
        );
        for (address, public) in [
            ("10.0.0.1", false),
            ("100.64.3.2", false),
            ("100.128.0.1", true),
            ("192.168.1.1", false),
            ("127.0.0.1", false),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", false),
            ("2001:41b8:202:deb::1", true),
        ] {
            let here = Greeted {
                address: address.parse().unwrap(),
                ..greeted(220, "mailly.debian.org", &[])
            };
            assert_eq!(verdict(here.clone()) == Verdict::Open, public, "{address}");
            // A host of one's own may well be inside.
            assert_eq!(judge(ASKED, false, &Answer::Greeted(here)).0, Verdict::Open);
        }
    }

    #[test]
    fn a_bad_name_of_ours_is_no_closed_port() {
        assert_eq!(
            verdict(greeted(
                554,
                "mailly.debian.org no SMTP service for dynamic addresses",
                &[]
            )),
            Verdict::Unwelcome
        );
        assert_eq!(
            verdict(greeted(
                554,
                "5.7.1 Service unavailable; Client host blocked",
                &[]
            )),
            Verdict::Unwelcome
        );
        assert_eq!(
            verdict(greeted(421, "too many connections", &[])),
            Verdict::PutOff
        );
        assert_eq!(
            verdict(greeted(554, "proxy.provider.example go away", &[])),
            Verdict::Intercepted
        );
    }

    #[test]
    fn the_kinds_of_failure_are_told_apart() {
        let attempt = |address: &str, kind| Attempt {
            address: address.parse().unwrap(),
            failure: Some(ConnectFailure {
                kind,
                text: String::new(),
            }),
        };
        let none = |all: &[(&str, ErrorKind)]| {
            let tried = all
                .iter()
                .map(|(address, kind)| attempt(address, *kind))
                .collect();
            judge(ASKED, true, &Answer::Unreachable(tried)).0
        };
        const V4: &str = "192.0.2.1:25";
        const V6: &str = "[2001:db8::1]:25";
        assert_eq!(none(&[(V4, ErrorKind::TimedOut)]), Verdict::Blocked);
        assert_eq!(
            none(&[(V4, ErrorKind::ConnectionRefused)]),
            Verdict::Refused
        );
        assert_eq!(
            none(&[(V4, ErrorKind::NetworkUnreachable)]),
            Verdict::NoRoute
        );
        assert_eq!(none(&[(V4, ErrorKind::HostUnreachable)]), Verdict::NoRoute);
        assert_eq!(
            none(&[(V4, ErrorKind::PermissionDenied)]),
            Verdict::Forbidden
        );
        assert_eq!(
            none(&[
                (V6, ErrorKind::NetworkUnreachable),
                (V4, ErrorKind::TimedOut)
            ]),
            Verdict::Blocked
        );
        assert_eq!(
            none(&[
                (V6, ErrorKind::TimedOut),
                (V4, ErrorKind::ConnectionRefused)
            ]),
            Verdict::Refused
        );
        assert_eq!(none(&[]), Verdict::NoRoute);
        assert_eq!(
            judge(ASKED, true, &Answer::NoName(String::new())).0,
            Verdict::NoName
        );
        assert_eq!(judge(ASKED, true, &Answer::Silent).0, Verdict::Swallowed);
        assert_eq!(judge(ASKED, true, &Answer::HungUp).0, Verdict::Swallowed);
        assert_eq!(
            judge(ASKED, true, &Answer::Foreign("HTTP/1.1 400".into())).0,
            Verdict::Intercepted
        );
    }
}
