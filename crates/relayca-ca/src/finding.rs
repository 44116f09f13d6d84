//! What a lint or a verification has to say about one certificate.
//!
//! Enters: nothing. Leaves: a code for programs, a message and a remedy for people. Refuses to know: how it is printed.

use std::fmt;

/// One thing wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name for programs, in kebab case, such as `expired`.
    pub code: &'static str,
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without a remedy.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Finding {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}
