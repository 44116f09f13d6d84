//! Asking a relay for its certificate, in one go.
//!
//! In comes a target; out comes what it presents. It refuses to send mail or to log in: the conversation is EHLO,
//! STARTTLS, the handshake and QUIT.

use crate::dialogue::{Dialogue, GREETING, HELLO, yes};
use crate::error::ProbeError;
use crate::target::{Dial, Mode, Target, Timeouts};
use crate::tls::TlsClient;

/// What a relay presents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Presented {
    /// The certificates in DER, leaf first, as sent. At least one.
    pub chain: Vec<Vec<u8>>,
    /// The SMTP greeting without control characters; empty if none was got.
    pub banner: String,
    /// For example `TLS 1.3`; empty if the handshake did not get that far.
    pub protocol: String,
    /// For example `TLS13_AES_256_GCM_SHA384`; empty if the handshake did not get that far.
    pub cipher: String,
    /// Whether the server proved that it holds the key of the leaf. False if the handshake failed before or the
    /// certificate is too strange for rustls to check a signature with.
    pub proven: bool,
    /// What went wrong after the certificates were shown, most often that the server demands a client certificate.
    pub refusal: Option<String>,
}

/// Asks a relay for its certificates. They are returned even if the server then turns us away for having none ourselves.
///
/// # Errors
/// [`ProbeError`] when no certificate was shown.
pub fn present(target: &Target, timeouts: Timeouts) -> Result<Presented, ProbeError> {
    let client = TlsClient::anonymous()?;
    let dial = Dial {
        timeouts,
        ..Dial::default()
    };
    let mut dialogue = Dialogue::connect(target, &dial)?;
    let mut banner = String::new();
    let begun = if target.mode == Mode::StartTls {
        banner = yes(dialogue.greeting()?, GREETING)?.text();
        yes(dialogue.hello()?, HELLO)?;
        if !dialogue.offers().has("STARTTLS") {
            // Nothing depends on the answer.
            let _ = dialogue.quit();
            return Err(ProbeError::NoStartTls);
        }
        dialogue.starttls(&client)
    } else {
        dialogue.handshake(&client)
    };
    let shown = dialogue.shown().unwrap_or_default();
    if shown.chain.is_empty() {
        return Err(begun.err().unwrap_or_else(|| ProbeError::Tls {
            reason: "the server sent no certificate".into(),
        }));
    }
    let refusal = match begun {
        Err(failure) => Some(failure.to_string()),
        Ok(()) => part(&mut dialogue, target.mode, &mut banner),
    };
    Ok(Presented {
        chain: shown.chain,
        banner,
        protocol: shown.protocol,
        cipher: shown.cipher,
        proven: shown.proven,
        refusal,
    })
}

/// After the handshake: says goodbye and hears whether the server minds having seen no client certificate. In TLS 1.3
/// that is told only now (RFC 8446 section 4.4.2.4).
fn part(dialogue: &mut Dialogue, mode: Mode, banner: &mut String) -> Option<String> {
    dialogue.part_soon();
    if mode == Mode::Implicit {
        match dialogue.greeting() {
            Ok(greeting) => *banner = greeting.text(),
            Err(error) => return refusal(&error),
        }
    }
    dialogue.quit().err().as_ref().and_then(refusal)
}

/// A TLS alert is a refusal; silence, a closed connection or chatter after all was seen is not.
fn refusal(error: &ProbeError) -> Option<String> {
    matches!(error, ProbeError::Alert { .. } | ProbeError::Tls { .. }).then(|| error.to_string())
}
