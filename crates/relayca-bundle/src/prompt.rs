//! Asking a person, without knowing how.
//!
//! In comes a question from an encrypted identity or a plugin; out goes what the person answered. It refuses to know
//! terminals: the caller brings a [`Prompt`].

use std::sync::Arc;

use age::secrecy::SecretString;
use zeroize::Zeroizing;

/// Who answers when an identity is locked or a plugin has a question.
pub trait Prompt: Send + Sync {
    /// Asks for a secret: the passphrase of an identity, the PIN of a token. `None`: nobody can be asked.
    fn passphrase(&self, description: &str) -> Option<Zeroizing<String>>;

    /// Tells something, for example "touch your key now".
    fn message(&self, text: &str);

    /// Asks to choose `yes` or, where there is one, `no`. `None` (the default): nobody can be asked.
    fn confirm(&self, _text: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    /// Asks for a text that is no secret. `None` (the default): nobody can be asked.
    fn text(&self, _description: &str) -> Option<String> {
        None
    }
}

/// Nobody to ask: locked identities stay locked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn passphrase(&self, _description: &str) -> Option<Zeroizing<String>> {
        None
    }

    fn message(&self, _text: &str) {}
}

/// A [`NoPrompt`] ready to be passed on.
pub fn no_prompt() -> Arc<dyn Prompt> {
    Arc::new(NoPrompt)
}

/// A [`Prompt`] as age's plugins want it. What plugins say is cleaned before it reaches a terminal.
#[derive(Clone)]
pub(crate) struct Asked(pub(crate) Arc<dyn Prompt>);

impl age::Callbacks for Asked {
    fn display_message(&self, message: &str) {
        self.0.message(&printable(message));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.confirm(
            &printable(message),
            &printable(yes),
            no.map(printable).as_deref(),
        )
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        self.0.text(&printable(description))
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let mut typed = self.0.passphrase(&printable(description))?;
        Some(SecretString::from(std::mem::take(&mut *typed)))
    }
}

/// A foreign text fit for one line of a terminal: control and direction characters become spaces, 500 characters at most.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .take(500)
        .map(|c| match c {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect::<String>()
        .trim()
        .to_owned()
}
