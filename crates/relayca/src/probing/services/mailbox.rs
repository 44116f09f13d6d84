//! IMAP and POP3: whether a password can be sent in the clear, and whether somebody can log in under TLS.
//!
//! In: a question. Out: checks. It refuses to log in.

use relayca_probe::{Mode, Offers, ProbeError, Protocol, TlsClient};

use super::{Check, Mark, Question, Report, is_own, opening, shows_secret};

/// Looks at it.
pub fn look(question: &Question<'_>, report: &mut Report) -> Result<(), ProbeError> {
    let client = TlsClient::anonymous()?;
    let Some(mut dialogue) = opening::open(question, report, &client)? else {
        return Ok(());
    };
    if question.service.mode() == Mode::StartTls {
        report.add(opening::offered(question, &dialogue));
        let own = report.address.is_some_and(is_own);
        report.add(login_before_tls(
            question.service.protocol(),
            own,
            dialogue.offers(),
        ));
        if !opening::starttls(question, report, &mut dialogue, &client)? {
            return Ok(());
        }
    }
    report.add(login(question, dialogue.offers()));
    // All is known; nothing depends on the answer.
    let _ = dialogue.quit();
    report.add(opening::old_tls(question));
    Ok(())
}

/// The ways to log in: mechanisms, and the plain command, which has a name of its own in each protocol.
fn ways(protocol: Protocol, offers: &Offers) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    match protocol {
        Protocol::Imap => {
            for word in &offers.0 {
                if let Some((key, mechanism)) = word.split_once('=')
                    && key.eq_ignore_ascii_case("AUTH")
                {
                    found.push(mechanism.to_ascii_uppercase());
                }
            }
            // LOGIN is always there unless it is said not to be (RFC 9051 section 6.2.3).
            if !offers.has("LOGINDISABLED") && !found.contains(&"LOGIN".to_owned()) {
                found.push("LOGIN".to_owned());
            }
        }
        Protocol::Pop3 => {
            let mechanisms = offers.get("SASL").unwrap_or_default();
            found.extend(mechanisms.split_whitespace().map(str::to_ascii_uppercase));
            if offers.has("USER") {
                found.push("USER".to_owned());
            }
        }
        Protocol::Smtp => {}
    }
    found
}

/// `own` says that the server is this machine: Dovecot takes passwords in the clear from its own address, whatever is set.
fn login_before_tls(protocol: Protocol, own: bool, offers: &Offers) -> Check {
    const ID: &str = "login-before-tls";
    if offers.0.is_empty() {
        return no_capabilities(protocol, ID);
    }
    let ways = ways(protocol, offers);
    let open: Vec<&str> = ways
        .iter()
        .map(String::as_str)
        .filter(|way| shows_secret(way) || *way == "USER")
        .collect();
    if open.is_empty() {
        return Check::new(ID, Mark::Good, "passwords are not taken before TLS");
    }
    let open = open.join(" ");
    if own {
        let seen = format!("passwords are taken before TLS from this machine ({open})");
        return Check::new(ID, Mark::Untried, seen)
            .hint("Dovecot does so for its own address whatever is set: ask from another machine");
    }
    let seen = format!("passwords are taken before TLS ({open}), readable on the way");
    Check::new(ID, Mark::Fault, seen).hint("Dovecot: `ssl = required`")
}

fn login(question: &Question<'_>, offers: &Offers) -> Check {
    const ID: &str = "login";
    if offers.0.is_empty() {
        return no_capabilities(question.service.protocol(), ID);
    }
    let ways = ways(question.service.protocol(), offers);
    if ways.is_empty() {
        return Check::new(ID, Mark::Fault, "no way to log in is offered under TLS")
            .hint("Dovecot: `auth_mechanisms = plain login`, and a passdb");
    }
    Check::new(ID, Mark::Good, format!("{} under TLS", ways.join(" ")))
}

fn no_capabilities(protocol: Protocol, id: &'static str) -> Check {
    let command = match protocol {
        Protocol::Pop3 => "CAPA",
        Protocol::Imap | Protocol::Smtp => "CAPABILITY",
    };
    Check::new(
        id,
        Mark::Untried,
        format!("it does not answer {command}, and so says nothing about it"),
    )
    .hint("try it by hand: `openssl s_client -connect HOST:PORT`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(words: &[&str]) -> Offers {
        Offers(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_password_in_the_clear_is_a_fault_unless_the_server_is_this_machine() {
        let verdict = |protocol, own, words: &[&str]| {
            let check = login_before_tls(protocol, own, &offers(words));
            (check.mark, check.hint.is_some())
        };
        let open = ["IMAP4rev1", "STARTTLS", "AUTH=PLAIN"];
        assert_eq!(verdict(Protocol::Imap, false, &open), (Mark::Fault, true));
        assert_eq!(verdict(Protocol::Imap, true, &open), (Mark::Untried, true));
        let open = ["STLS", "USER"];
        assert_eq!(verdict(Protocol::Pop3, false, &open), (Mark::Fault, true));
        let closed = [
            "IMAP4rev1",
            "STARTTLS",
            "LOGINDISABLED",
            "AUTH=SCRAM-SHA-256",
        ];
        assert_eq!(verdict(Protocol::Imap, false, &closed), (Mark::Good, false));
        assert_eq!(verdict(Protocol::Pop3, false, &[]), (Mark::Untried, true));
    }

    #[test]
    fn ways_to_log_in_are_found_in_both_protocols() {
        let ways_of = |protocol, words: &[&str]| ways(protocol, &offers(words)).join(" ");
        assert_eq!(
            ways_of(Protocol::Imap, &["IMAP4rev1", "STARTTLS", "LOGINDISABLED"]),
            ""
        );
        assert_eq!(
            ways_of(Protocol::Imap, &["IMAP4rev1", "auth=plain", "SASL-IR"]),
            "PLAIN LOGIN"
        );
        assert_eq!(
            ways_of(
                Protocol::Imap,
                &["IMAP4rev1", "AUTH=SCRAM-SHA-256", "LOGINDISABLED"]
            ),
            "SCRAM-SHA-256"
        );
        assert_eq!(ways_of(Protocol::Pop3, &["CAPA", "STLS", "SASL"]), "");
        assert_eq!(
            ways_of(Protocol::Pop3, &["USER", "SASL PLAIN LOGIN"]),
            "PLAIN LOGIN USER"
        );
    }
}
