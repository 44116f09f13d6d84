//! The beginning of a conversation: connection, TLS at once where it is so, greeting, capabilities; and STARTTLS.
//!
//! In: a question. Out: a conversation, and what was seen on the way as checks. It refuses to know what is asked next.

use std::time::Duration;

use relayca_probe::{
    Dialogue, Mode, OldAnswer, OldVersion, ProbeError, Protocol, Reply, TlsClient,
};

use super::{Check, Mark, Question, Report, Service, certificate, unreachable};

/// For the second look, at a server that did not speak as expected.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// Opens the conversation up to the capabilities. `None` where it ended before, which the checks say.
pub fn open(
    question: &Question<'_>,
    report: &mut Report,
    client: &TlsClient,
) -> Result<Option<Dialogue>, ProbeError> {
    let mode = question.service.mode();
    let dial = question.dial(question.timeout);
    let mut dialogue = match Dialogue::connect(&question.target(mode), &dial) {
        Ok(dialogue) => dialogue,
        Err(error) => {
            report.add(nobody(question, &error));
            return Ok(None);
        }
    };
    report.address = dialogue.address();
    if mode == Mode::Implicit {
        let outcome = dialogue.handshake(client);
        let failed = outcome.is_err();
        if failed && let Some(check) = plaintext(question) {
            report.add(check);
            return Ok(None);
        }
        tls(question, report, &dialogue, outcome);
        if failed {
            return Ok(None);
        }
    }
    let greeting = match dialogue.greeting() {
        Ok(greeting) => greeting,
        Err(error) => {
            report.add(no_greeting(question, &error, client));
            return Ok(None);
        }
    };
    report.greeting = Some(greeting.text());
    let said = said(question, &greeting);
    if greeting.status == "PREAUTH" {
        let check = Check::new(
            "answers",
            Mark::Fault,
            format!("it needs no password: {said}"),
        );
        report.add(check.hint("it takes this machine for a user; ask from elsewhere, and see what logs in by address or certificate"));
        return Ok(None);
    }
    if !greeting.is_yes() {
        report.add(turned_away(&said, greeting.code()));
        return Ok(None);
    }
    report.add(Check::new("answers", Mark::Good, said));
    let hello = dialogue.hello()?;
    if !hello.is_yes() && question.service.protocol() == Protocol::Smtp {
        let seen = format!("EHLO is refused: {} {}", hello.status, hello.text());
        report.add(Check::new("ehlo", Mark::Fault, seen));
        return Ok(None);
    }
    let offers = Some(dialogue.offers().clone());
    match mode {
        Mode::StartTls => report.offers_before = offers,
        Mode::Implicit => report.offers = offers,
    }
    Ok(Some(dialogue))
}

/// A greeting as it came over the wire.
fn said(question: &Question<'_>, greeting: &Reply) -> String {
    let star = match question.service.protocol() {
        Protocol::Imap => "* ",
        Protocol::Smtp | Protocol::Pop3 => "",
    };
    let text = format!("{star}{} {}", greeting.status, greeting.text());
    text.trim_end().to_owned()
}

/// Says whether STARTTLS is offered; if so, begins TLS and asks for the capabilities again. Gives whether it did.
pub fn starttls(
    question: &Question<'_>,
    report: &mut Report,
    dialogue: &mut Dialogue,
    client: &TlsClient,
) -> Result<bool, ProbeError> {
    let word = match question.service.protocol() {
        Protocol::Pop3 => "STLS",
        Protocol::Smtp | Protocol::Imap => "STARTTLS",
    };
    if !dialogue.offers().has(word) {
        return Ok(false);
    }
    let outcome = dialogue.starttls(client);
    let failed = outcome.is_err();
    tls(question, report, dialogue, outcome);
    if failed {
        return Ok(false);
    }
    dialogue.hello()?;
    report.offers = Some(dialogue.offers().clone());
    Ok(true)
}

/// The check on whether STARTTLS is offered.
pub fn offered(question: &Question<'_>, dialogue: &Dialogue) -> Check {
    let has = dialogue.offers().has("STARTTLS") || dialogue.offers().has("STLS");
    if has {
        return Check::new("starttls", Mark::Good, "offered");
    }
    match question.service {
        Service::Mx => Check::new("starttls", Mark::Warning, "not offered: mail arrives readable by anybody on the way")
            .hint("give it a certificate, and `postconf -e smtpd_tls_security_level=may`; if it has one, a certificate or key that does not load is in its log"),
        Service::Submission => Check::new("starttls", Mark::Fault, "not offered: passwords would go in the clear, or nobody can log in")
            .hint("in master.cf: `-o smtpd_tls_security_level=encrypt` for the submission service, and a certificate"),
        _ => Check::new("starttls", Mark::Fault, "not offered: passwords would go in the clear, or nobody can log in")
            .hint("Dovecot: `ssl = required` and a certificate"),
    }
}

/// What TLS came to: version and cipher, or why there is none; and the certificate, also after a handshake that failed later.
fn tls(
    question: &Question<'_>,
    report: &mut Report,
    dialogue: &Dialogue,
    outcome: Result<(), ProbeError>,
) {
    let shown = dialogue.shown().unwrap_or_default();
    match outcome {
        Ok(()) => {
            report.add(Check::new(
                "tls",
                Mark::Good,
                format!("{}, {}", shown.protocol, shown.cipher),
            ));
            report.tls = Some((shown.protocol.clone(), shown.cipher.clone()));
        }
        Err(error) => {
            let check = Check::new("tls", Mark::Fault, error.to_string());
            let hint = match (&error, question.service.protocol()) {
                (ProbeError::Refused { .. }, Protocol::Smtp) => {
                    "its certificate or key cannot be loaded, most often: see `postfix/smtpd` in its log, and `relayca lint` there"
                }
                (ProbeError::Alert { alert, .. }, _) if alert == "certificate_required" => {
                    "it demands a client certificate, which this service must not"
                }
                (ProbeError::TimedOut { .. }, _) => {
                    "it accepts connections and says nothing: a firewall in between, or a server that is stuck (Postfix: `throttling` in its log)"
                }
                (ProbeError::Tls { .. }, _) => {
                    "TLS 1.2 or later is needed, and a certificate; see the server's log"
                }
                (ProbeError::Injected, _) => {
                    "something between here and the server tampers with it, or the server itself; do not trust this path"
                }
                _ => "see the server's log",
            };
            report.add(check.hint(hint));
        }
    }
    if !shown.chain.is_empty() {
        certificate::judge(question, report, &shown);
    }
}

/// Whether versions of TLS are still spoken that nobody should (RFC 8996), each asked for on a connection of its own.
pub fn old_tls(question: &Question<'_>) -> Check {
    const ID: &str = "old-tls";
    let (mut spoken, mut untold): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for version in OldVersion::ALL {
        match offer_old(question, version) {
            Ok(OldAnswer::Accepted { version, .. }) if spoken.contains(&version) => {}
            Ok(OldAnswer::Accepted { version, .. }) => spoken.push(version),
            Ok(OldAnswer::Refused { .. }) => {}
            Err(error) => untold.push(format!("{version}: {error}")),
        }
    }
    let seen = format!("{} too", spoken.join(", "));
    match (spoken.as_slice(), question.service) {
        ([], _) if untold.is_empty() => {
            Check::new(ID, Mark::Good, "nothing older than TLS 1.2 is spoken")
        }
        ([], _) => Check::new(ID, Mark::Untried, untold.join("; ")),
        (spoken, Service::Mx) if spoken.iter().all(|version| version != "SSLv3") => {
            Check::new(ID, Mark::Note, seen)
                .hint("on an MX that is better than plaintext, which those without better would fall back to")
        }
        (_, Service::Mx | Service::Submission | Service::Submissions) => {
            Check::new(ID, Mark::Warning, seen)
                .hint("`smtpd_tls_protocols` and `smtpd_tls_mandatory_protocols`: `!SSLv2,!SSLv3,!TLSv1,!TLSv1.1`")
        }
        _ => Check::new(ID, Mark::Warning, seen).hint("Dovecot: `ssl_min_protocol = TLSv1.2`"),
    }
}

fn offer_old(question: &Question<'_>, version: OldVersion) -> Result<OldAnswer, ProbeError> {
    let mode = question.service.mode();
    let dial = question.dial(question.timeout);
    let mut dialogue = Dialogue::connect(&question.target(mode), &dial)?;
    match mode {
        Mode::Implicit => dialogue.handshake_old(version),
        Mode::StartTls => {
            dialogue.greeting()?;
            dialogue.hello()?;
            dialogue.starttls_old(version)
        }
    }
}

/// Where TLS at once failed: whether the server speaks first, as one does that has STARTTLS.
fn plaintext(question: &Question<'_>) -> Option<Check> {
    let dial = question.dial(question.timeout.min(SECOND_LOOK));
    let mut dialogue = Dialogue::connect(&question.target(Mode::StartTls), &dial).ok()?;
    let words = match dialogue.greeting() {
        Ok(greeting) => said(question, &greeting),
        Err(ProbeError::Foreign { line, .. }) => line,
        Err(_) => return None,
    };
    let seen = format!("it greets in plaintext: {words}");
    let has_starttls = dialogue
        .hello()
        .is_ok_and(|_| offered(question, &dialogue).mark == Mark::Good);
    let hint = match (
        has_starttls,
        question.service.counterpart(),
        question.service,
    ) {
        (true, Some(other), Service::Submissions) => format!(
            "it has STARTTLS there: `-o smtpd_tls_wrappermode=yes` makes it begin with TLS; {other} looks at it as it is"
        ),
        (true, Some(other), _) => {
            format!(
                "it has STARTTLS there: `ssl = yes` for this listener makes it begin with TLS; {other} looks at it as it is"
            )
        }
        _ => "nothing on this port begins with TLS; check which service listens there".to_owned(),
    };
    // Nothing depends on the answer.
    let _ = dialogue.quit();
    Some(Check::new("answers", Mark::Fault, seen).hint(hint))
}

/// Where a greeting was expected in the clear and none came: whether the server waits for TLS.
fn no_greeting(question: &Question<'_>, error: &ProbeError, client: &TlsClient) -> Check {
    let check = Check::new("answers", Mark::Fault, error.to_string());
    let waits = matches!(
        error,
        ProbeError::TimedOut { .. } | ProbeError::Closed { .. }
    ) && question.service.mode() == Mode::StartTls;
    if waits {
        let dial = question.dial(question.timeout.min(SECOND_LOOK));
        let begins_with_tls = Dialogue::connect(&question.target(Mode::Implicit), &dial)
            .and_then(|mut dialogue| {
                let outcome = dialogue.handshake(client);
                let _ = dialogue.quit();
                outcome
            })
            .is_ok();
        if begins_with_tls {
            let check = Check::new(
                "answers",
                Mark::Fault,
                "it says nothing in the clear: it begins with TLS",
            );
            return match question.service.counterpart() {
                Some(other) => check.hint(format!("look at it with {other}")),
                None => check
                    .hint("port 25 must greet in the clear: `smtpd_tls_wrappermode` is not for it"),
            };
        }
    }
    match error {
        ProbeError::Foreign { .. } => check.hint("check which service listens on this port"),
        ProbeError::Alert { .. } => {
            check.hint("if it demands a client certificate: this service must not")
        }
        ProbeError::TimedOut { .. } => check.hint("it accepts connections and says nothing: a firewall in between, or a server that is stuck; --timeout waits longer"),
        ProbeError::Closed { .. } if matches!(question.service, Service::Submission | Service::Submissions) => {
            check.hint("see the server's mail log: smtpd ends so where its SASL server does not run (`fatal: no SASL authentication mechanisms`)")
        }
        _ => check.hint("see the server's mail log"),
    }
}

fn nobody(question: &Question<'_>, error: &ProbeError) -> Check {
    let check = Check::new("answers", Mark::Fault, unreachable(error));
    let hint = match (error, question.service) {
        (ProbeError::Connect { tried, .. }, _) if tried.is_empty() => {
            "check the name; of a mail domain, `dig +short MX DOMAIN` gives the hosts to ask".to_owned()
        }
        (_, Service::Mx) => "check that Postfix listens (`ss -ltn`) and the firewall lets port 25 in; if this network blocks port 25 outwards (`relayca probe --egress`), ask from elsewhere".to_owned(),
        _ => format!("check that the service runs (`ss -ltn`) and the firewall lets port {} in", question.port),
    };
    check.hint(hint)
}

fn turned_away(said: &str, code: u16) -> Check {
    match code {
        400..=499 => Check::new("answers", Mark::Untried, format!("it puts us off: {said}")).hint(
            "ask again in some minutes; postscreen and greylisting let nobody in at the first try",
        ),
        _ => Check::new("answers", Mark::Fault, format!("it turns us away: {said}"))
            .hint("if it does so for the address of this machine alone, ask from elsewhere"),
    }
}
