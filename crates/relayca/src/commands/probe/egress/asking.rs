//! Asking one host on one port, and making something of its answer.
//!
//! In: whom to ask. Out: [`Met`]. It refuses to send mail: it says EHLO and STARTTLS, and goes.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use relayca_ca::{Certificate, Role};
use relayca_probe::egress::{Answer, Greeted, Suspicion, Verdict, banner_name, judge, same_host};
use relayca_probe::{
    Dial, Dialogue, Mode, ProbeError, Target, Timeouts, TlsClient, Trust, bears_name, trust,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::failures;
use crate::probing::services::Judges;

/// For each address to accept. A blocked port answers never, and three hosts may have to be asked.
const CONNECT: Duration = Duration::from_secs(8);
/// For looking up the name in a greeting.
const LOOKUP: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Debug)]
pub struct Asked {
    /// A name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How TLS begins.
    pub mode: Mode,
    /// Whether it is known to be in the internet.
    pub public: bool,
    /// Seconds for all of it.
    pub timeout: u64,
}

/// A relay of ours.
#[derive(Debug)]
pub struct Relay {
    /// The name in its certificate.
    pub name: String,
    /// Where it is.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Who was met there.
#[derive(Debug)]
pub struct Met {
    /// Who was asked.
    pub asked: Asked,
    /// Whether it is our relay's own port.
    pub own: bool,
    /// The address that accepted.
    pub address: Option<IpAddr>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen, in a line.
    pub seen: String,
    /// What speaks against the one who answered.
    pub suspicions: Vec<Suspicion>,
}

impl Met {
    /// `relay.example.org:2500`.
    pub fn place(&self) -> String {
        match self.asked.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.asked.port),
            _ => format!("{}:{}", self.asked.host, self.asked.port),
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let suspicions: Vec<String> = self.suspicions.iter().map(ToString::to_string).collect();
        json!({
            "host": self.asked.host,
            "port": self.asked.port,
            "address": self.address.map(|address| address.to_string()),
            "verdict": self.verdict.as_str(),
            "seen": self.seen,
            "suspicions": suspicions,
        })
    }
}

/// Asks. With a `relay` its certificate is looked at, too: by the CAs of the authority, where there is one.
pub fn ask(asked: &Asked, relay: Option<&Relay>, judges: &Judges, now: OffsetDateTime) -> Met {
    let mut heard = Heard::default();
    let answer = hear(asked, &mut heard, judges, now);
    let (mut verdict, mut suspicions) = judge(&asked.host, asked.public, &answer);
    let mut seen = seen(&answer);
    if !heard.failed.is_empty() {
        seen.push_str(&format!("; before that {}", heard.failed));
    }
    if let (Some(relay), Some(leaf)) = (relay, heard.chain.first()) {
        match of_relay(relay, leaf, judges, now) {
            Some(Ok(())) => {
                (verdict, suspicions) = (Verdict::Open, Vec::new());
                seen.push_str("; its certificate is the relay's");
            }
            Some(Err(why)) => {
                verdict = Verdict::Intercepted;
                seen.push_str(&format!("; its certificate is not the relay's: {why}"));
            }
            None => {}
        }
    }
    Met {
        asked: Asked {
            host: asked.host.clone(),
            ..*asked
        },
        own: relay.is_some(),
        address: heard.address,
        verdict,
        seen,
        suspicions,
    }
}

/// Whether a certificate is that of the relay, by the authority's CAs; `None` where there is no authority.
fn of_relay(
    relay: &Relay,
    leaf: &[u8],
    judges: &Judges,
    now: OffsetDateTime,
) -> Option<Result<(), String>> {
    let (domain, cas) = judges.own.as_ref()?;
    let Ok(certificate) = Certificate::from_der(leaf) else {
        return Some(Err("it cannot be read".to_owned()));
    };
    if !cas.iter().any(|ca| certificate.issuer_is(ca)) {
        return Some(Err(format!("the CA of {domain} did not issue it")));
    }
    let findings = relayca_ca::verify(&certificate, cas, Some(Role::Relay), now);
    if let Some(finding) = findings.first() {
        return Some(Err(finding.message.clone()));
    }
    if !bears_name(leaf, &relay.name) {
        return Some(Err(format!("it does not name `{}`", relay.name)));
    }
    Some(Ok(()))
}

/// What else was learnt on the way.
#[derive(Default)]
struct Heard {
    address: Option<IpAddr>,
    /// The addresses that did not accept before that one.
    failed: String,
    chain: Vec<Vec<u8>>,
}

fn hear(asked: &Asked, heard: &mut Heard, judges: &Judges, now: OffsetDateTime) -> Answer {
    let total = Duration::from_secs(asked.timeout);
    let dial = Dial {
        timeouts: Timeouts {
            connect: CONNECT.min(total),
            total,
        },
        ..Dial::default()
    };
    let target = Target {
        host: asked.host.clone(),
        port: asked.port,
        mode: asked.mode,
    };
    let Ok(client) = TlsClient::anonymous() else {
        return Answer::Silent;
    };
    let mut dialogue = match Dialogue::connect(&target, &dial) {
        Ok(dialogue) => dialogue,
        Err(ProbeError::Connect { tried, .. }) if !tried.is_empty() => {
            return Answer::Unreachable(tried);
        }
        Err(error) => return Answer::NoName(error.to_string()),
    };
    let Some(address) = dialogue.address().map(|address| address.ip()) else {
        return Answer::Silent;
    };
    heard.address = Some(address);
    heard.failed = failures(dialogue.attempts());
    if asked.mode == Mode::Implicit {
        let begun = dialogue.handshake(&client);
        heard.chain = dialogue.shown().unwrap_or_default().chain;
        if let Err(error) = begun {
            return mute(&error);
        }
    }
    let greeting = match dialogue.greeting() {
        Ok(greeting) => greeting,
        Err(error) => return mute(&error),
    };
    let mut ehlo = Vec::new();
    if greeting.is_yes()
        && let Ok(reply) = dialogue.hello()
        && reply.is_yes()
    {
        ehlo = reply.lines;
        if asked.mode == Mode::StartTls && dialogue.offers().has("STARTTLS") {
            // Also a handshake that fails may have shown certificates.
            let _ = dialogue.starttls(&client);
            heard.chain = dialogue.shown().unwrap_or_default().chain;
        }
    }
    let proved = proved(asked, &heard.chain, judges, now);
    // Nothing depends on the answer.
    let _ = dialogue.quit();
    let banner = greeting.text();
    let named = proved != Some(true) && is_named(&asked.host, &banner, address);
    Answer::Greeted(Greeted {
        address,
        code: greeting.code(),
        banner,
        ehlo,
        proved,
        named,
    })
}

/// Whether the certificates prove, to whom the world trusts, that it is the host asked for.
fn proved(asked: &Asked, chain: &[Vec<u8>], judges: &Judges, now: OffsetDateTime) -> Option<bool> {
    let leaf = chain.first()?;
    let at = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let trusted = trust(chain, &judges.store, at) == Trust::Trusted;
    Some(trusted && bears_name(leaf, &asked.host))
}

fn mute(error: &ProbeError) -> Answer {
    match error {
        ProbeError::TimedOut { .. } => Answer::Silent,
        ProbeError::Foreign { line, .. } => Answer::Foreign(line.clone()),
        ProbeError::TooMuch { .. } | ProbeError::Tls { .. } => Answer::Foreign(error.to_string()),
        _ => Answer::HungUp,
    }
}

/// Whether another name in the greeting leads to the address that answered.
fn is_named(asked: &str, banner: &str, address: IpAddr) -> bool {
    let Some(name) = banner_name(banner).filter(|name| !same_host(asked, name)) else {
        return false;
    };
    let (found, answer) = mpsc::channel();
    let name = name.to_owned();
    // The resolver knows no deadline: it goes on alone where it takes too long.
    let thread = std::thread::Builder::new().spawn(move || {
        let leads = (name.as_str(), 25)
            .to_socket_addrs()
            .is_ok_and(|mut all| all.any(|one| one.ip().to_canonical() == address.to_canonical()));
        // Nobody may be waiting any more.
        let _ = found.send(leads);
    });
    thread.is_ok() && answer.recv_timeout(LOOKUP).unwrap_or(false)
}

fn seen(answer: &Answer) -> String {
    match answer {
        Answer::NoName(why) => why.clone(),
        Answer::Unreachable(tried) => failures(tried),
        Answer::Silent => "accepts the connection and says nothing".to_owned(),
        Answer::HungUp => "accepts the connection and hangs up".to_owned(),
        Answer::Foreign(line) => format!("no SMTP: {line}"),
        Answer::Greeted(greeted) => format!("{} {}", greeted.code, greeted.banner),
    }
}
