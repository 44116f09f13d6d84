//! From the authority to the hosts, over the system's ssh.
//!
//! In: the authority, hosts that ssh reaches. Out: on each all in place and at work, or as it was; one [`Outcome`] a host. It
//! refuses to know passwords and keys of ssh (they are the user's and ssh's), and to leave a host half done: what runs there is
//! [`relayca_postfix::host_script`], which needs the line only until everything has arrived.
//!
//! A host is looked at first ([`answer`]); what it lacks is told by [`standing`], from what it should have ([`target`]); only then
//! is anything sent ([`carrying`]).

pub mod answer;
pub mod carrying;
pub mod host_key;
pub mod keys;
pub mod ssh;
pub mod standing;
pub mod target;

use relayca_ca::HostName;

/// What is told of a host where an interrupt came before it was asked.
pub const NOT_ASKED: &str = "interrupted before it was asked";

/// What came of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All is in place, and Postfix was told.
    Deployed,
    /// All was in place already.
    Unchanged,
    /// It did not go well; the host is as it was.
    Failed,
    /// The line broke after the host had begun, and it could not be asked again.
    Unknown,
    /// Left alone.
    Skipped,
}

impl State {
    /// The word for it, in every output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }

    /// Whether the host is as it should be.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Deployed | Self::Unchanged)
    }
}

/// One host at the end.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which.
    pub host: HostName,
    /// Whether it is a relay.
    pub relay: bool,
    /// What came of it.
    pub state: State,
    /// What was changed, or why not.
    pub told: String,
    /// What the host said beside.
    pub notes: Vec<String>,
    /// What mends it.
    pub hint: Option<String>,
}
