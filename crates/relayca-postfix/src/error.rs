//! What can be wrong with the description of a relay or a mail host, and the remedy.

/// A description that cannot be turned into a snippet. Nothing was rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnippetError {
    /// Not a full host name of letters, digits and hyphens.
    #[error("`{0}` is not a full host name in lower case")]
    HostName(String),
    /// Not a domain of letters, digits and hyphens.
    #[error("`{0}` is not a domain name in lower case")]
    Domain(String),
    /// Neither a host name nor an IP address.
    #[error("`{0}` is neither a host name nor an IP address")]
    Destination(String),
    /// Not an absolute directory of plain characters.
    #[error("`{0}` is not an absolute directory in plain characters")]
    Directory(String),
    /// Not a bare file name, or not a word, of plain characters.
    #[error("`{0}` is not a plain name")]
    FileName(String),
    /// Port 0.
    #[error("port 0 cannot be listened on")]
    Port,
    /// A digest that Postfix is not told about.
    #[error("`{0}` is not a fingerprint digest")]
    Digest(String),
    /// A mail host without a relay.
    #[error("there is no relay to send to")]
    NoRelay,
    /// The same relay, with the same port, twice.
    #[error("the relay `{0}` is given twice")]
    RelayTwice(String),
    /// Neither a domain nor an address.
    #[error("`{0}` is neither a domain nor a mail address")]
    Sender(String),
    /// A binding that lets a host send nothing at all.
    #[error("`{0}` is bound to no sender at all")]
    NoSenders(String),
    /// One host with two bindings.
    #[error("the senders of `{0}` are given twice")]
    BindingTwice(String),
    /// A map with something in it that does not survive being pasted.
    #[error("line {line} of the map holds {what}")]
    MapText {
        /// The line, from 1.
        line: usize,
        /// What it holds.
        what: &'static str,
    },
    /// Text that is not PEM certificates and nothing else.
    #[error("line {line} is not part of a certificate in PEM")]
    NoCertificate {
        /// The line, from 1.
        line: usize,
    },
    /// Not upper-case hexadecimal pairs joined by colons.
    #[error("`{0}` is not a fingerprint in upper-case pairs joined by colons")]
    Fingerprint(String),
    /// The same fingerprint twice.
    #[error("the fingerprint `{0}` is given twice")]
    FingerprintTwice(String),
    /// A refusal that does not exist.
    #[error("`{0}` is not a refusal")]
    Refusal(String),
    /// A style that does not exist.
    #[error("`{0}` is not a style")]
    Style(String),
}

impl SnippetError {
    /// The remedy, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::HostName(_) => "write it with its domain, for example `mail.example.org`",
            Self::Domain(_) => "write it like `example.org`",
            Self::Destination(_) => {
                "write a name like `relay.example.org`, or an address without brackets"
            }
            Self::Directory(_) => {
                "use letters, digits, `.`, `_`, `-` and `/`, without `..` and without a slash at the end"
            }
            Self::FileName(_) => "use letters, digits, `.`, `_` and `-`",
            Self::Port => "the relay service is usually on port 2500",
            Self::Digest(_) => "choose one of md5, sha1, sha256, sha384, sha512",
            Self::NoRelay => "name at least one relay",
            Self::RelayTwice(_) | Self::FingerprintTwice(_) => "give it once",
            Self::Sender(_) => "write `example.org` or `someone@example.org`",
            Self::NoSenders(_) => "name its senders, or leave the host out to let it use any",
            Self::BindingTwice(_) => "put all senders of a host into one list",
            Self::MapText { .. } => "maps are plain ASCII lines, without tabs",
            Self::NoCertificate { .. } => "give certificates in PEM, and nothing else",
            Self::Fingerprint(_) => "`relayca fingerprint FILE` prints it as Postfix looks it up",
            Self::Refusal(_) => "choose `defer` (mail waits) or `reject` (mail bounces)",
            Self::Style(_) => {
                "mail hosts have `transport`, `main` and `postconf`; relays have `block` and `postconf`"
            }
        };
        Some(text.to_owned())
    }
}
