//! A mail exchanger, or a submission service: what it offers before and behind TLS, and whether it relays for strangers.
//!
//! In: a question. Out: checks. It refuses to log in, and never says DATA.

use std::net::IpAddr;

use relayca_probe::{Dialogue, Mode, Offers, ProbeError, Reply, TlsClient, egress};

use super::{Check, Mark, Question, Report, Service, is_near, opening, shows_secret};

/// Looks at it.
pub fn look(question: &Question<'_>, report: &mut Report) -> Result<(), ProbeError> {
    let client = TlsClient::anonymous()?;
    let Some(mut dialogue) = opening::open(question, report, &client)? else {
        return Ok(());
    };
    if question.service == Service::Mx {
        report.add(banner(
            question,
            report.greeting.as_deref().unwrap_or_default(),
        ));
    }
    if question.service.mode() == Mode::StartTls {
        report.add(opening::offered(question, &dialogue));
        report.add(auth_before_tls(question, dialogue.offers()));
        if question.service == Service::Submission {
            for check in mail_before_tls(question, report, &mut dialogue)? {
                report.add(check);
            }
        }
        let offered = dialogue.offers().has("STARTTLS");
        if !opening::starttls(question, report, &mut dialogue, &client)? {
            if question.service == Service::Mx {
                plain_exchanger(question, report, dialogue, offered)?;
            }
            return Ok(());
        }
    }
    report.add(auth(question, dialogue.offers()));
    let check = relaying(question, report, &mut dialogue)?;
    report.add(check);
    if question.service == Service::Mx {
        report.add(commands(report));
    }
    // All is known; nothing depends on the answer.
    let _ = dialogue.quit();
    report.add(opening::old_tls(question));
    Ok(())
}

/// Without TLS a mail exchanger still takes mail: from whom, is asked all the same.
fn plain_exchanger(
    question: &Question<'_>,
    report: &mut Report,
    mut dialogue: Dialogue,
    tls_failed: bool,
) -> Result<(), ProbeError> {
    if tls_failed {
        // The connection is spoilt.
        dialogue = Dialogue::connect(
            &question.target(Mode::StartTls),
            &question.dial(question.timeout),
        )?;
        dialogue.greeting()?;
        dialogue.hello()?;
    }
    let check = relaying(question, report, &mut dialogue)?;
    report.add(check);
    report.add(commands(report));
    let _ = dialogue.quit();
    Ok(())
}

fn banner(question: &Question<'_>, greeting: &str) -> Check {
    const ID: &str = "name";
    match egress::banner_name(greeting) {
        Some(name) if name.eq_ignore_ascii_case(&question.host) => {
            Check::new(ID, Mark::Good, format!("it calls itself `{name}`"))
        }
        Some(name) => Check::new(
            ID,
            Mark::Note,
            format!("it calls itself `{name}`, not `{}`", question.host),
        )
        .hint("no sender minds; where it also sends mail, `myhostname`, the PTR record and the address record should agree"),
        None => Check::new(ID, Mark::Note, "its greeting does not begin with its name")
            .hint("RFC 5321 wants the name first: `smtpd_banner` must begin with `$myhostname`"),
    }
}

/// The mechanisms, also of servers that write `AUTH=` for clients of the last century.
fn mechanisms(offers: &Offers) -> Vec<String> {
    let standard = offers.get("AUTH").unwrap_or_default();
    let old = offers
        .0
        .iter()
        .filter_map(|line| line.strip_prefix("AUTH="));
    let mut found: Vec<String> = Vec::new();
    for line in std::iter::once(standard).chain(old) {
        for word in line.split_whitespace() {
            let word = word.to_ascii_uppercase();
            if !found.contains(&word) {
                found.push(word);
            }
        }
    }
    found
}

fn auth_before_tls(question: &Question<'_>, offers: &Offers) -> Check {
    const ID: &str = "auth-before-tls";
    let offered = mechanisms(offers);
    if offered.is_empty() {
        return Check::new(ID, Mark::Good, "AUTH is not offered before TLS");
    }
    let open = offered.iter().any(|mechanism| shows_secret(mechanism));
    let mark = match question.service {
        Service::Mx => Mark::Warning,
        _ if open => Mark::Fault,
        _ => Mark::Warning,
    };
    let what = if open {
        ": passwords can be read on the way"
    } else {
        ""
    };
    Check::new(
        ID,
        mark,
        format!("AUTH {} is offered before TLS{what}", offered.join(" ")),
    )
    .hint(match question.service {
        Service::Mx => "on port 25 nobody needs to log in: `postconf -e smtpd_sasl_auth_enable=no`, and `-o smtpd_sasl_auth_enable=yes` for submission only",
        _ => "`-o smtpd_tls_security_level=encrypt` for this service, or `smtpd_tls_auth_only = yes`",
    })
}

fn auth(question: &Question<'_>, offers: &Offers) -> Check {
    const ID: &str = "auth";
    let offered = mechanisms(offers);
    match (question.service, offered.is_empty()) {
        (Service::Mx, true) => Check::new(ID, Mark::Good, "AUTH is not offered under TLS either"),
        (Service::Mx, false) => Check::new(
            ID,
            Mark::Warning,
            format!("AUTH {} is offered under TLS: passwords are tried out here all day", offered.join(" ")),
        )
        .hint("people log in on 587 or 465: `postconf -e smtpd_sasl_auth_enable=no`, and `-o smtpd_sasl_auth_enable=yes` for those"),
        (_, false) => Check::new(ID, Mark::Good, format!("AUTH {} under TLS", offered.join(" "))),
        (_, true) => Check::new(ID, Mark::Fault, "AUTH is not offered under TLS: nobody can log in")
            .hint("`-o smtpd_sasl_auth_enable=yes` for this service, and a SASL server that runs (`smtpd_sasl_type`, `smtpd_sasl_path`)"),
    }
}

/// A mail before TLS must be refused at once, so that nobody's is sent in the clear by mistake.
fn mail_before_tls(
    question: &Question<'_>,
    report: &Report,
    dialogue: &mut Dialogue,
) -> Result<Vec<Check>, ProbeError> {
    const ID: &str = "mail-before-tls";
    let reply = dialogue.command("MAIL FROM:<>")?;
    let said = shown(&reply);
    let mut checks = Vec::new();
    match reply.code() {
        400..=499 => checks.push(Check::new(
            ID,
            Mark::Untried,
            format!("MAIL before TLS is put off: {said}"),
        )),
        code if !(200..=399).contains(&code) => {
            checks.push(Check::new(
                ID,
                Mark::Good,
                format!("MAIL before TLS is refused: {said}"),
            ));
        }
        _ => {
            let reply = dialogue.command(&format!("RCPT TO:<{}>", question.recipient))?;
            if reply.is_yes() {
                checks.push(open_relay("relaying-before-tls", question, report, "<>"));
            }
            checks.push(
                Check::new(
                    ID,
                    Mark::Warning,
                    "MAIL is taken before TLS: mail can be sent in the clear",
                )
                .hint(
                    "`-o smtpd_tls_security_level=encrypt` for the submission service in master.cf",
                ),
            );
            dialogue.command("RSET")?;
        }
    }
    Ok(checks)
}

/// What became of an attempt to relay.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Taken,
    /// Refused for want of a right to relay.
    Refused(String),
    /// Refused for another reason, which tells nothing about relaying.
    Otherwise(String),
}

/// Nobody, and a sender of their own, which those let through who look at the sender instead of the client.
fn senders(host: &str) -> Vec<String> {
    let mut senders = vec!["<>".to_owned()];
    if host.parse::<IpAddr>().is_err() && host.contains('.') {
        senders.push(format!("<postmaster@{host}>"));
    }
    senders
}

/// Whether mail from a stranger to a stranger is refused: MAIL and RCPT, with two senders, and nothing is ever sent.
fn relaying(
    question: &Question<'_>,
    report: &Report,
    dialogue: &mut Dialogue,
) -> Result<Check, ProbeError> {
    const ID: &str = "relaying";
    let (mut refused, mut otherwise) = (None, None);
    for sender in &senders(&question.host) {
        let (outcome, ended) = attempt(dialogue, sender, question.recipient)?;
        match outcome {
            Attempt::Taken => return Ok(open_relay(ID, question, report, sender)),
            Attempt::Refused(said) => refused = refused.or(Some(said)),
            Attempt::Otherwise(said) => otherwise = otherwise.or(Some(said)),
        }
        if ended {
            break;
        }
    }
    Ok(match (refused, otherwise) {
        (Some(said), _) => Check::new(ID, Mark::Good, format!("refused: {said}")),
        (None, Some(said)) => Check::new(ID, Mark::Untried, format!("refused for another reason: {said}"))
            .hint("this does not tell whether it relays: ask from elsewhere or later, or give another --recipient"),
        (None, None) => Check::new(ID, Mark::Untried, "not asked"),
    })
}

/// Tries one sender; gives also whether the server ended the conversation.
fn attempt(
    dialogue: &mut Dialogue,
    sender: &str,
    recipient: &str,
) -> Result<(Attempt, bool), ProbeError> {
    let reply = dialogue.command(&format!("MAIL FROM:{sender}"))?;
    let reply = if reply.is_yes() {
        dialogue.command(&format!("RCPT TO:<{recipient}>"))?
    } else {
        reply
    };
    let outcome = if reply.is_yes() {
        Attempt::Taken
    } else {
        refusal(&reply)
    };
    // 421 is a goodbye (RFC 5321 section 3.8).
    if reply.code() == 421 {
        return Ok((outcome, true));
    }
    dialogue.command("RSET")?;
    Ok((outcome, false))
}

/// A refusal for want of a right, or for another reason: our address, an address that does not exist, greylisting.
fn refusal(reply: &Reply) -> Attempt {
    let said = shown(reply);
    let text = reply.text().to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let of_relaying = text.contains("relay") && !text.contains("relay recipient table");
    let says_why = of_relaying || has(&["authenticat", "auth required", "starttls"]);
    let is_other = has(&[
        "blocked",
        "blacklist",
        "blocklist",
        "spamhaus",
        "dnsbl",
        "rbl",
        "dynamic",
        "reputation",
        "greylist",
        "domain not found",
        "user unknown",
        "unknown user",
        "does not exist",
        "null mx",
        "nullmx",
        "sender address rejected",
    ]) || ["5.1.", "5.4.", "5.5."]
        .iter()
        .any(|status| text.starts_with(status));
    match reply.code() {
        _ if says_why => Attempt::Refused(said),
        530 => Attempt::Refused(said),
        500..=599 if !is_other => Attempt::Refused(said),
        _ => Attempt::Otherwise(said),
    }
}

/// From this machine or this house it may be taken by right: that is all that can be said then.
fn open_relay(id: &'static str, question: &Question<'_>, report: &Report, sender: &str) -> Check {
    let what = format!("mail from {sender} to <{}>", question.recipient);
    if report.address.is_some_and(is_near) {
        let seen = format!("{what} is taken from this machine without a password");
        return Check::new(id, Mark::Warning, seen)
            .hint("this machine is in its `mynetworks`, or anybody may: ask from outside; a submission service should not know `mynetworks` at all");
    }
    let hint = match question.service {
        Service::Mx => {
            "spammers find this within hours: `postconf -e 'smtpd_relay_restrictions=permit_mynetworks,permit_sasl_authenticated,reject_unauth_destination'`, a short `mynetworks`, and `postfix reload`"
        }
        _ => {
            "spammers find this within hours: `-o smtpd_relay_restrictions=permit_sasl_authenticated,reject` for this service, and `postfix reload`"
        }
    };
    let seen = format!("OPEN: {what} is taken from anybody, without a password");
    Check::new(id, Mark::Fault, seen).hint(hint)
}

fn commands(report: &Report) -> Check {
    const ID: &str = "commands";
    let said = [&report.offers_before, &report.offers];
    let found: Vec<&str> = ["VRFY", "ETRN"]
        .into_iter()
        .filter(|command| said.into_iter().flatten().any(|offers| offers.has(command)))
        .collect();
    if found.is_empty() {
        return Check::new(ID, Mark::Good, "neither VRFY nor ETRN is offered");
    }
    Check::new(ID, Mark::Note, format!("{} offered", found.join(" and ")))
        .hint("VRFY tells strangers who has a mailbox (`disable_vrfy_command = yes`), ETRN makes it work (`smtpd_etrn_restrictions = reject`)")
}

/// A reply in a line.
fn shown(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.text())
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Judges;
    use super::*;

    fn reply(text: &str) -> Reply {
        let (status, text) = text.split_once(' ').unwrap_or((text, ""));
        Reply {
            status: status.to_owned(),
            lines: vec![text.to_owned()],
        }
    }

    #[test]
    fn a_refusal_to_relay_is_told_from_others() {
        for said in [
            "554 5.7.1 <a@example.com>: Relay access denied",
            "454 4.7.1 <a@example.com>: Relay access denied",
            "550 5.7.1 relaying denied",
            "550 relay not permitted",
            "550-5.7.1 unable to relay for a@example.com",
            "530 5.7.0 Must issue a STARTTLS command first",
            "530 5.7.0 Authentication required",
            "550 5.1.0 authentication required",
            "554 5.7.1 <a@example.com>: Recipient address rejected: Access denied",
            "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
        ] {
            assert!(
                matches!(refusal(&reply(said)), Attempt::Refused(_)),
                "{said}"
            );
        }
        for said in [
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            "556 5.1.10 <a@example.com>: Recipient address rejected: Domain example.com does not accept mail (nullMX)",
            "550 5.1.2 <a@example.com>: Recipient address rejected: Domain not found",
            "450 4.2.0 <a@example.com>: Recipient address rejected: Greylisted",
            "451 4.3.0 Temporary lookup failure",
            "501 5.5.4 bad syntax",
        ] {
            assert!(
                matches!(refusal(&reply(said)), Attempt::Otherwise(_)),
                "{said}"
            );
        }
    }

    #[test]
    fn an_open_relay_is_a_fault_and_one_for_this_house_wants_a_look_from_outside() {
        let judges = Judges::default();
        let question = Question {
            service: Service::Mx,
            host: "mx.example.org".into(),
            port: 25,
            timeout: std::time::Duration::ZERO,
            recipient: "a@example.com",
            judges: &judges,
            now: time::OffsetDateTime::UNIX_EPOCH,
        };
        for (address, mark) in [
            ("203.0.113.7:25", Mark::Fault),
            ("[2001:db8::7]:25", Mark::Fault),
            ("127.0.0.1:25", Mark::Warning),
            ("192.168.1.2:25", Mark::Warning),
            ("[fd00::7]:25", Mark::Warning),
        ] {
            let report = Report {
                address: address.parse().ok(),
                ..Report::new(&question)
            };
            let check = open_relay("relaying", &question, &report, "<>");
            assert_eq!((check.id, check.mark), ("relaying", mark), "{address}");
            assert!(check.seen.contains("<a@example.com>"), "{}", check.seen);
        }
    }

    #[test]
    fn senders_are_nobody_and_one_of_their_own() {
        assert_eq!(
            senders("mx.example.org"),
            ["<>", "<postmaster@mx.example.org>"]
        );
        assert_eq!(senders("192.0.2.1"), ["<>"]);
        assert_eq!(senders("localhost"), ["<>"]);
    }

    #[test]
    fn mechanisms_are_read_in_both_spellings() {
        let offers = Offers(
            ["AUTH PLAIN login", "AUTH=PLAIN LOGIN", "AUTHX A"]
                .map(str::to_owned)
                .into(),
        );
        assert_eq!(mechanisms(&offers), ["PLAIN", "LOGIN"]);
        assert!(mechanisms(&Offers::default()).is_empty());
    }
}
