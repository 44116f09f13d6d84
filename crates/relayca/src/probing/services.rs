//! Services of a mail server as the world sees them: a mail exchanger, submission, IMAP and POP3.
//!
//! In: which service, and by whom its certificate is judged. Out: a [`Report`] of [`Check`]s, each with what was seen and what
//! mends it. It refuses to log in, to send a message, and to know how a report is printed.

mod certificate;
mod mailbox;
mod opening;
mod smtp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use relayca_ca::Certificate;
use relayca_probe::{Dial, Mode, Offers, ProbeError, Protocol, Target, Timeouts, TrustStore};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::printer;

/// Exit code: warnings, or something could not be tried.
pub const PARTLY: u8 = 3;
/// Exit code: something is not as it must be.
pub const FAULTY: u8 = 4;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Mail from the world, port 25.
    Mx,
    /// Mail from people, STARTTLS, port 587.
    Submission,
    /// Mail from people, TLS at once, port 465 (RFC 8314).
    Submissions,
    /// Mailboxes, STARTTLS, port 143.
    Imap,
    /// Mailboxes, TLS at once, port 993.
    Imaps,
    /// Mailboxes, STLS, port 110.
    Pop3,
    /// Mailboxes, TLS at once, port 995.
    Pop3s,
}

impl Service {
    /// Its name, as in the options and in /etc/services; `mx` is ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mx => "mx",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
        }
    }

    /// Its port at IANA.
    pub fn port(self) -> u16 {
        match self {
            Self::Mx => 25,
            Self::Submission => 587,
            Self::Submissions => 465,
            Self::Imap => 143,
            Self::Imaps => 993,
            Self::Pop3 => 110,
            Self::Pop3s => 995,
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::Mx | Self::Submission | Self::Submissions => Protocol::Smtp,
            Self::Imap | Self::Imaps => Protocol::Imap,
            Self::Pop3 | Self::Pop3s => Protocol::Pop3,
        }
    }

    /// How TLS begins on it.
    fn mode(self) -> Mode {
        match self {
            Self::Mx | Self::Submission | Self::Imap | Self::Pop3 => Mode::StartTls,
            Self::Submissions | Self::Imaps | Self::Pop3s => Mode::Implicit,
        }
    }

    /// The same with TLS begun the other way; there is none for an MX.
    fn counterpart(self) -> Option<&'static str> {
        match self {
            Self::Mx => None,
            Self::Submission => Some("--submissions"),
            Self::Submissions => Some("--submission"),
            Self::Imap => Some("--imaps"),
            Self::Imaps => Some("--imap"),
            Self::Pop3 => Some("--pop3s"),
            Self::Pop3s => Some("--pop3"),
        }
    }

    /// Whether people's programs connect to it, which check certificates, or only other servers, which mostly do not.
    fn is_for_people(self) -> bool {
        self != Self::Mx
    }
}

/// By whom certificates are judged.
#[derive(Debug, Default)]
pub struct Judges {
    /// The authorities trusted: this system's, or those of a file.
    pub store: TrustStore,
    /// Where they come from, for messages; none where no list was found.
    pub source: Option<String>,
    /// This domain and its CAs, where an authority is at hand.
    pub own: Option<(String, Vec<Certificate>)>,
}

/// What is to be looked at, and how.
#[derive(Debug)]
pub struct Question<'a> {
    /// The service.
    pub service: Service,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// For each connection, all in all.
    pub timeout: Duration,
    /// An address elsewhere: mail for it must be refused.
    pub recipient: &'a str,
    /// By whom certificates are judged.
    pub judges: &'a Judges,
    /// When.
    pub now: OffsetDateTime,
}

impl Question<'_> {
    fn target(&self, mode: Mode) -> Target {
        Target {
            host: self.host.clone(),
            port: self.port,
            mode,
        }
    }

    fn dial(&self, total: Duration) -> Dial {
        Dial {
            timeouts: Timeouts {
                connect: total.min(Duration::from_secs(10)),
                total,
            },
            protocol: self.service.protocol(),
            server_name: None,
        }
    }
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// It could not be told.
    Untried,
    /// Not as it should be.
    Warning,
    /// Not as it must be.
    Fault,
}

impl Mark {
    /// The word for it, in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Untried => "untried",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Names it, for programs: it does not change.
    pub id: &'static str,
    /// How it stands.
    pub mark: Mark,
    /// What was seen, without a full stop.
    pub seen: String,
    /// What mends it.
    pub hint: Option<String>,
}

impl Check {
    /// Without a remedy.
    pub fn new(id: &'static str, mark: Mark, seen: impl Into<String>) -> Self {
        Self {
            id,
            mark,
            seen: seen.into(),
            hint: None,
        }
    }

    /// With a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A service as it was seen.
#[derive(Debug)]
pub struct Report {
    /// The service.
    pub service: Service,
    /// As asked for.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The address that accepted; none where none did.
    pub address: Option<SocketAddr>,
    /// What it said first.
    pub greeting: Option<String>,
    /// What it offers in the clear; none with TLS at once.
    pub offers_before: Option<Offers>,
    /// What it offers under TLS.
    pub offers: Option<Offers>,
    /// Version and cipher.
    pub tls: Option<(String, String)>,
    /// What TLS showed: the leaf, how many certificates were sent, whether the leaf bears the host's name.
    pub certificate: Option<Shown>,
    /// In the order in which they were looked at.
    pub checks: Vec<Check>,
}

/// The server's own certificate.
#[derive(Debug)]
pub struct Shown {
    /// The certificate.
    pub leaf: Certificate,
    /// How many were sent, this one among them.
    pub sent: usize,
    /// Its last second, in whole days from now; negative once it is over.
    pub days: i64,
}

/// Looks at a service.
pub fn look(question: &Question<'_>) -> Report {
    let mut report = Report::new(question);
    let ended = match question.service.protocol() {
        Protocol::Smtp => smtp::look(question, &mut report),
        Protocol::Imap | Protocol::Pop3 => mailbox::look(question, &mut report),
    };
    // What ended the conversation before its end is told last: all that was seen until then stands.
    if let Err(error) = ended {
        let check = Check::new("conversation", Mark::Untried, error.to_string());
        report
            .add(check.hint("what comes behind could not be looked at; see the server's mail log"));
    }
    report
}

impl Report {
    fn new(question: &Question<'_>) -> Self {
        Self {
            service: question.service,
            host: question.host.clone(),
            port: question.port,
            address: None,
            greeting: None,
            offers_before: None,
            offers: None,
            tls: None,
            certificate: None,
            checks: Vec::new(),
        }
    }

    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// `mail.example.org:587`.
    pub fn place(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The worst there is.
    pub fn worst(&self) -> Mark {
        let marks = self.checks.iter().map(|check| check.mark);
        marks.max().unwrap_or(Mark::Untried)
    }

    /// A table for people, under a line that says what it is about.
    pub fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .checks
            .iter()
            .map(|check| {
                vec![
                    check.id.to_owned(),
                    check.mark.as_str().to_owned(),
                    super::in_a_line(&check.seen),
                ]
            })
            .collect();
        format!(
            "{} ({})\n{}",
            printer::one_line(&self.place()),
            self.service.name(),
            printer::table(&["CHECK", "VERDICT", "SEEN"], &rows)
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| {
                json!({
                    "id": check.id,
                    "verdict": check.mark.as_str(),
                    "seen": check.seen,
                    "hint": check.hint,
                })
            })
            .collect();
        let lines = |offers: &Option<Offers>| offers.as_ref().map(|offers| offers.0.clone());
        json!({
            "service": self.service.name(),
            "host": self.host,
            "port": self.port,
            "address": self.address.map(|address| address.ip().to_string()),
            "status": self.worst().as_str(),
            "greeting": self.greeting,
            "offers_before_tls": lines(&self.offers_before),
            "offers": lines(&self.offers),
            "tls": self.tls.as_ref().map(|(protocol, cipher)| json!({ "protocol": protocol, "cipher": cipher })),
            "certificate": self.certificate.as_ref().map(certificate::json),
            "checks": checks,
        })
    }
}

/// Why nobody accepted, in a line.
fn unreachable(error: &ProbeError) -> String {
    match error {
        ProbeError::Connect { tried, .. } if !tried.is_empty() => {
            let each: Vec<String> = tried
                .iter()
                .filter_map(|attempt| {
                    let failure = attempt.failure.as_ref()?;
                    Some(format!("{}: {}", attempt.address.ip(), failure.text))
                })
                .collect();
            each.join("; ")
        }
        other => other.to_string(),
    }
}

/// Whether an address is one of this machine's own, for which servers make exceptions.
fn is_own(address: SocketAddr) -> bool {
    if address.ip().to_canonical().is_loopback() {
        return true;
    }
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Nothing is sent: the system only says from which of its addresses it would go there.
    let from = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address.ip())
}

/// Whether an address belongs to this machine or to the house, whose mail servers mostly take.
fn is_near(address: SocketAddr) -> bool {
    let in_house = match address.ip().to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    in_house || is_own(address)
}

/// Mechanisms that show the password, or something as good, to whoever listens.
fn shows_secret(mechanism: &str) -> bool {
    ["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"]
        .iter()
        .any(|open| mechanism.eq_ignore_ascii_case(open))
}

/// `4 good, 1 note, 2 warnings, 1 fault` for all reports together.
pub fn tally(reports: &[Report]) -> String {
    let count = |mark| {
        reports
            .iter()
            .flat_map(|report| &report.checks)
            .filter(|check| check.mark == mark)
            .count()
    };
    [
        (Mark::Fault, "fault", "faults"),
        (Mark::Warning, "warning", "warnings"),
        (Mark::Untried, "untried", "untried"),
        (Mark::Note, "note", "notes"),
        (Mark::Good, "good", "good"),
    ]
    .into_iter()
    .filter(|(mark, ..)| count(*mark) > 0)
    .map(|(mark, one, several)| printer::count(count(mark), one, several))
    .collect::<Vec<_>>()
    .join(", ")
}

/// 0, [`PARTLY`] or [`FAULTY`]; [`crate::failure::FAILED`] where none of them accepted a connection.
pub fn exit_code(reports: &[Report]) -> u8 {
    if reports.iter().all(|report| report.address.is_none()) {
        return crate::failure::FAILED;
    }
    match reports.iter().map(Report::worst).max() {
        Some(Mark::Fault) => FAULTY,
        Some(Mark::Warning | Mark::Untried) => PARTLY,
        Some(Mark::Note | Mark::Good) | None => 0,
    }
}
