//! What mends a relay that is open, or keeps the right one out.
//!
//! In: a row's id and what came of it. Out: a sentence. It refuses to know how it came about: there may be several ways, and the
//! printed service mends them all.

use super::asking::{BUSY, Outcome, Stage};
use super::services::Mark;

/// Where a refusal is final and need not be.
pub const PERMANENT: &str = "a mistake in the map would bounce mail for good: with `smtpd_relay_restrictions=permit_tls_clientcerts,defer` it waits";

/// Where the right certificate could not even be shown.
pub const NOT_ASKED: &str = "the relay asks for no certificate: `smtpd_tls_ask_ccert=yes` and `smtpd_tls_req_ccert=yes` with `smtpd_tls_security_level=encrypt`";

/// Where a revoked key is taken, and one that was never listed is not.
pub const OLD_LIST: &str = "the list on the relay is an old one, from before the revocation: `relayca deploy --relays`, or paste there what `relayca map --format paste` prints";

/// What mends a row.
pub fn of(id: &str, mark: Mark, outcome: &Outcome) -> Option<String> {
    match mark {
        Mark::Untried => match outcome {
            Outcome::Untried { why, .. } if why.starts_with(BUSY) => {
                Some("the relay limits how often one address connects: wait a minute".to_owned())
            }
            _ => None,
        },
        Mark::Fault if id == "good" => Some(kept_out(outcome).to_owned()),
        Mark::Fault => Some(opened(id).to_owned()),
        _ => None,
    }
}

/// What to give for a row to be tried.
pub fn untried(id: &str) -> Option<String> {
    let hint = match id {
        "good" | "listed-expired" | "listed-self-signed" | "listed-other-ca" | "listed-server" => {
            "name a host whose bundle opens here with --as, or give its files: --cert-file, --key-file"
        }
        _ => "run it where the authority is, with what opens it (-i, --passphrase-file)",
    };
    Some(hint.to_owned())
}

/// Why the right certificate was turned away, as far as the answer tells.
pub fn kept_out(outcome: &Outcome) -> &'static str {
    let Outcome::Refused { stage, code, text } = outcome else {
        return "see the relay's mail log";
    };
    // Enhanced status codes (RFC 3463): about the recipient's domain, not about us.
    let about_recipient = ["4.1.2", "5.1.2", "5.1.10", "4.4.3"];
    match (stage, code) {
        (Stage::Connection | Stage::Greeting | Stage::Ehlo, _) => {
            "the service itself does not work, or does not talk to this address: see the relay's mail log"
        }
        (Stage::StartTls, _) => {
            "the relay has no TLS: its certificate, key or CA file does not load; see its mail log, and `relayca lint` there"
        }
        (Stage::Handshake | Stage::InTls, _) => {
            "the relay does not take the certificate: its CA file may be another one (`relayca snippet RELAY`), or its clock is wrong; see its mail log"
        }
        (Stage::Mail | Stage::Rcpt, Some(451)) => {
            "the relay cannot read its map: `relayca map --format paste`, pasted there"
        }
        (Stage::Rcpt, _) if about_recipient.iter().any(|code| text.starts_with(code)) => {
            "the relay dislikes the recipient: take another one with --recipient"
        }
        (Stage::Mail | Stage::Rcpt, _) => {
            "the map on the relay may be an old one: `relayca map --format paste`, pasted there; a host that is bound to senders needs --sender"
        }
        (Stage::Command, _) => "see the relay's mail log",
    }
}

fn opened(id: &str) -> &'static str {
    match id {
        "none" => {
            "it relays for anybody who connects from here: `smtpd_relay_restrictions=permit_tls_clientcerts,defer` and nothing before it; if this machine is in `mynetworks`, probe from another one"
        }
        "listed-expired" | "listed-self-signed" | "listed-other-ca" | "listed-server" => {
            "the relay only asks for a certificate and takes any with a listed key: `smtpd_tls_security_level=encrypt` with `smtpd_tls_req_ccert=yes`"
        }
        "unlisted" | "revoked" => {
            "it takes certificates that are not listed: `permit_tls_all_clientcerts` or a `static:` map lets all in; `smtpd_relay_restrictions=permit_tls_clientcerts,defer` and today's map (`relayca map --format paste`)"
        }
        "self-signed" | "other-ca" | "expired" | "not-yet-valid" | "relay" => {
            "it takes a certificate that it must not trust: `smtpd_tls_security_level=encrypt`, `smtpd_tls_req_ccert=yes`, and a map that lists keys one by one"
        }
        "plaintext" => "`smtpd_tls_security_level=encrypt`, which wants TLS before MAIL",
        "auth" => "`smtpd_sasl_auth_enable=no` in the relay's service: passwords are guessed",
        "vrfy" => "`disable_vrfy_command=yes`: VRFY tells strangers which mailboxes there are",
        "etrn" => {
            "`smtpd_etrn_restrictions=reject` and `smtpd_discard_ehlo_keywords=etrn,silent-discard`"
        }
        "sslv3" | "tlsv1" | "tlsv1.1" => {
            "`smtpd_tls_mandatory_protocols=!SSLv2,!SSLv3,!TLSv1,!TLSv1.1`"
        }
        "tls13-resumption" | "tls12-resumption" => {
            "on a resumed session a certificate that expired meanwhile still relays: `tls_ssl_options=NO_TICKET` in the service, and an empty `smtpd_tls_session_cache_database` in main.cf: tlsmgr(8) keeps the cache for all services, whatever theirs say"
        }
        "injection" => {
            "the server obeys what came in the clear (CVE-2011-0411): it needs an update"
        }
        _ => "`relayca snippet RELAY` prints the service as it must be",
    }
}
