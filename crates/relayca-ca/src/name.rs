//! Domains, host names and the names a certificate may carry.
//!
//! Enters: text from people and files. Leaves: names in the one form DNS, X.509 and a shell all take: lower-case A-labels of
//! letters, digits and hyphens. Refuses to know: whether a name resolves.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest text looked at. A name has at most 253 octets as A-labels, fewer characters before conversion.
const MAX_TEXT: usize = 1024;
/// RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text.
const MAX_NAME: usize = 253;
/// RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// More than 253 characters.
    #[error("the name is longer than 253 characters")]
    TooLong,
    /// IDNA (UTS 46, strict) cannot convert it.
    #[error("`{0}` is not a valid host name")]
    NotAHostName(String),
    /// A label is empty, too long, or starts or ends with a hyphen.
    #[error("`{name}` is not a valid host name: {why}")]
    Label {
        /// The name as given, made safe to print.
        name: String,
        /// What is wrong with one of its labels.
        why: &'static str,
    },
    /// A domain or full name needs a dot.
    #[error("`{0}` is a single label, not a full name")]
    SingleLabel(String),
    /// The last label consists of digits, so that programs take it for an address.
    #[error("`{0}` ends in a number, as an address does and a host name must not")]
    NumericEnd(String),
    /// `*` is not issued: a wildcard would name hosts nobody listed.
    #[error("`{0}` is a wildcard, and a certificate names its hosts one by one")]
    Wildcard(String),
    /// An address no host can have as its own.
    #[error("`{0}` is not the address of one host")]
    NotAHostAddress(IpAddr),
}

impl NameError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            NameError::Empty | NameError::SingleLabel(_) => {
                "give a full name such as `mail.example.org`"
            }
            NameError::TooLong => "DNS allows 253 characters",
            NameError::NotAHostName(_) | NameError::Label { .. } => {
                "labels consist of letters, digits and inner hyphens, 1 to 63 of them, joined by dots"
            }
            NameError::NumericEnd(_) => "if it is meant as an address, check its form",
            NameError::Wildcard(_) => "name each host",
            NameError::NotAHostAddress(_) => {
                "give a unicast address, not a wildcard, multicast or broadcast one"
            }
        };
        Some(hint.to_owned())
    }
}

/// A full host name: at least two labels, lower-case A-labels, no trailing dot. Safe to put into a shell or a config.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// Takes a full name in ASCII or Unicode, with or without a trailing dot.
    ///
    /// # Errors
    /// [`NameError`] for all that is not a host name of at least two labels (RFC 1123 section 2.1, RFC 5891, UTS 46 strict).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = to_a_labels(text.strip_suffix('.').unwrap_or(text))?;
        if !name.contains('.') {
            return Err(NameError::SingleLabel(name));
        }
        Ok(HostName(name))
    }

    /// Takes a bare label, which gets the domain appended, or a full name, which may lie outside the domain: the caller checks
    /// with [`Domain::contains`].
    ///
    /// # Errors
    /// As [`HostName::parse`].
    pub fn in_domain(text: &str, domain: &Domain) -> Result<Self, NameError> {
        // A dot may hide in a Unicode full stop, so the question is put after conversion. A trailing dot says that the name is
        // complete as it stands.
        let complete = text.ends_with('.');
        let name = to_a_labels(text.strip_suffix('.').unwrap_or(text))?;
        match (name.contains('.'), complete) {
            (true, _) => Ok(HostName(name)),
            (false, true) => Err(NameError::SingleLabel(name)),
            (false, false) => HostName::parse(&format!("{name}.{domain}")),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for HostName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        HostName::parse(text)
    }
}

/// A domain: the same form as a host name, at least two labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(HostName);

impl Domain {
    /// Takes a domain in ASCII or Unicode, with or without a trailing dot.
    ///
    /// # Errors
    /// As [`HostName::parse`]. A single label such as `org` is refused: an authority over it would constrain nothing.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        HostName::parse(text).map(Domain)
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the name is the domain itself or lies below it.
    #[must_use]
    pub fn contains(&self, name: &HostName) -> bool {
        is_at_or_below(name.as_str(), self.as_str())
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Domain {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Domain::parse(text)
    }
}

/// A name for the subjectAltName extension: a host name or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AltName {
    /// A dNSName.
    Dns(HostName),
    /// An iPAddress.
    Ip(IpAddr),
}

impl AltName {
    /// Takes an address (`192.0.2.5`, `2001:db8::5`) or a full host name. An IPv4 address in IPv6 clothes becomes the IPv4
    /// address, which is what a peer will look for.
    ///
    /// # Errors
    /// [`NameError`]; also for unspecified, multicast and broadcast addresses.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.parse::<IpAddr>() {
            Ok(address) => AltName::from_address(address),
            Err(_) => HostName::parse(text).map(AltName::Dns),
        }
    }

    /// Takes an address.
    ///
    /// # Errors
    /// [`NameError::NotAHostAddress`] for unspecified, multicast and broadcast addresses.
    pub fn from_address(address: IpAddr) -> Result<Self, NameError> {
        let address = address.to_canonical();
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || broadcast {
            return Err(NameError::NotAHostAddress(address));
        }
        Ok(AltName::Ip(address))
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Dns(name) => name.fmt(f),
            AltName::Ip(address) => address.fmt(f),
        }
    }
}

impl FromStr for AltName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        AltName::parse(text)
    }
}

impl From<HostName> for AltName {
    fn from(name: HostName) -> Self {
        AltName::Dns(name)
    }
}

/// Whether `name` is `base` or ends in `.base`; both already lower-case.
pub(crate) fn is_at_or_below(name: &str, base: &str) -> bool {
    name.strip_suffix(base)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Text from outside made fit to print: control and direction characters dropped, long text cut.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !is_direction(*c))
        .take(limit)
        .collect()
}

/// Characters that change the order in which others are shown.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Converts one or more labels to lower-case A-labels and checks them.
fn to_a_labels(text: &str) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(NameError::TooLong);
    }
    let shown = || printable(text, 100);
    if text.contains('*') {
        return Err(NameError::Wildcard(shown()));
    }
    let bad = |why| NameError::Label { name: shown(), why };
    if text.split('.').any(str::is_empty) {
        return Err(bad("a label is empty"));
    }
    // Said before IDNA, which has one error for everything.
    if text.is_ascii() {
        if text.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        if text.split('.').any(|label| label.len() > MAX_LABEL) {
            return Err(bad("a label is longer than 63 characters"));
        }
        if text
            .split('.')
            .any(|label| label.starts_with('-') || label.ends_with('-'))
        {
            return Err(bad("a label starts or ends with a hyphen"));
        }
    }
    let name = idna::domain_to_ascii_strict(text).map_err(|_| NameError::NotAHostName(shown()))?;

    // The conversion promises most of this; what reaches a shell and a certificate is checked here all the same.
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(bad("a label is empty"));
        }
        if label.len() > MAX_LABEL {
            return Err(bad("a label is longer than 63 characters"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(bad("a label starts or ends with a hyphen"));
        }
        if !label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(bad("only letters, digits, hyphens and dots are allowed"));
        }
    }
    let numeric = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    if name.contains('.') && name.rsplit('.').next().is_some_and(numeric) {
        return Err(NameError::NumericEnd(name));
    }
    Ok(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_label_gets_the_domain_and_a_full_name_keeps_its_own() {
        let domain = Domain::parse("Example.ORG.").unwrap();
        assert_eq!(domain.as_str(), "example.org");
        let bare = HostName::in_domain("MailHost", &domain).unwrap();
        assert_eq!(bare.as_str(), "mailhost.example.org");
        assert!(domain.contains(&bare));
        let full = HostName::in_domain("mx.example.net", &domain).unwrap();
        assert!(!domain.contains(&full));
        assert!(matches!(
            HostName::in_domain("mailhost.", &domain),
            Err(NameError::SingleLabel(_))
        ));
        let numbered = HostName::in_domain("1", &domain).unwrap();
        assert_eq!(numbered.as_str(), "1.example.org");
    }

    #[test]
    fn the_apex_belongs_to_the_domain_and_a_lookalike_does_not() {
        let domain = Domain::parse("example.org").unwrap();
        assert!(domain.contains(&HostName::parse("example.org").unwrap()));
        assert!(domain.contains(&HostName::parse("a.b.example.org").unwrap()));
        assert!(!domain.contains(&HostName::parse("badexample.org").unwrap()));
        assert!(!domain.contains(&HostName::parse("example.org.evil.net").unwrap()));
    }

    #[test]
    fn unicode_becomes_a_labels() {
        assert_eq!(
            HostName::parse("Bücher.example.org").unwrap().as_str(),
            "xn--bcher-kva.example.org"
        );
        assert_eq!(
            HostName::parse("mail。example。org").unwrap().as_str(),
            "mail.example.org"
        );
        let domain = Domain::parse("bücher.example").unwrap();
        assert_eq!(
            HostName::in_domain("straße", &domain).unwrap().as_str(),
            "xn--strae-oqa.xn--bcher-kva.example"
        );
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long_label = format!("{}.example.org", "a".repeat(64));
        let long_name = format!("{}example.org", "abcdefgh.".repeat(28));
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".example.org",
            "example.org..",
            "org",
            "a b.example.org",
            "a_b.example.org",
            "-a.example.org",
            "a-.example.org",
            "*.example.org",
            "$(id).example.org",
            "a;b.example.org",
            "a'b.example.org",
            "a\nb.example.org",
            "a\0.example.org",
            "192.0.2.5",
            "１９２.0.2.5",
            "example.org:25",
            "[::1]",
            "xn--a.example.org",
            "mail\u{200b}\u{202e}.example.org/",
            &long_label,
            &long_name,
            &"x".repeat(5000),
        ] {
            let error = HostName::parse(text).expect_err(text);
            assert!(error.hint().is_some());
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
    }

    #[test]
    fn limits_are_met_exactly() {
        let label = "a".repeat(63);
        assert!(HostName::parse(&format!("{label}.example.org")).is_ok());
        let longest = format!("{label}.{label}.{label}.{}", "b.".repeat(30) + "c");
        assert_eq!(longest.len(), 253);
        assert!(HostName::parse(&longest).is_ok());
        assert!(HostName::parse(&format!("{longest}c")).is_err());
    }

    #[test]
    fn alt_names_are_addresses_or_names() {
        assert_eq!(
            AltName::parse("2001:DB8::5").unwrap().to_string(),
            "2001:db8::5"
        );
        assert_eq!(
            AltName::parse("::ffff:192.0.2.5").unwrap().to_string(),
            "192.0.2.5"
        );
        assert_eq!(
            AltName::parse("Mail.Example.org").unwrap().to_string(),
            "mail.example.org"
        );
        for text in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "192.0.2",
            "192.0.2.5/32",
            "fe80::1%eth0",
        ] {
            assert!(AltName::parse(text).is_err(), "{text}");
        }
    }
}
