//! Certificate serial numbers.
//!
//! Enters: bytes or hex text in the forms openssl and certtool print. Leaves: a number of at most 20 octets, not negative
//! (RFC 5280 section 4.1.2.2). Refuses to know: which serials were issued.
//!
//! Zero is read and never made: old openssl gave its self-signed authorities the serial 0, and they are still about.

use std::fmt;
use std::str::FromStr;

/// Octets of a random serial.
const RANDOM_LENGTH: usize = 16;
/// RFC 5280 section 4.1.2.2.
const MAX_LENGTH: usize = 20;

/// A serial number, big-endian without leading zeros; zero is one zero octet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

/// Why something is no serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerialError {
    /// No octets at all.
    #[error("the serial number is empty")]
    Empty,
    /// The encoded number has its sign bit set.
    #[error("a serial number must not be negative")]
    Negative,
    /// More than 20 octets.
    #[error("a serial number has at most 20 octets")]
    TooLong,
    /// Not hexadecimal.
    #[error("a serial number is written in hexadecimal digits")]
    NotHex,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl SerialError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            SerialError::NotHex => Some("give it as `openssl x509 -serial` prints it".to_owned()),
            _ => None,
        }
    }
}

impl Serial {
    /// A random serial of 16 octets: top bit clear so that it is positive, the next bit set so that all have the same width.
    /// That leaves 126 random bits, where the CA/Browser Forum asks for 64.
    ///
    /// # Errors
    /// [`SerialError::NoRandomness`].
    pub fn random() -> Result<Self, SerialError> {
        let mut bytes = vec![0; RANDOM_LENGTH];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SerialError::NoRandomness)?;
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x3f) | 0x40;
        }
        Ok(Serial(bytes))
    }

    /// Takes a big-endian magnitude; leading zeros are dropped.
    ///
    /// # Errors
    /// [`SerialError::Empty`] and [`SerialError::TooLong`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SerialError> {
        let last = bytes.len().checked_sub(1).ok_or(SerialError::Empty)?;
        let start = bytes.iter().position(|b| *b != 0).unwrap_or(last);
        let magnitude = bytes.get(start..).unwrap_or_default();
        if magnitude.len() > MAX_LENGTH {
            return Err(SerialError::TooLong);
        }
        Ok(Serial(magnitude.to_vec()))
    }

    /// Takes the content octets of a DER INTEGER.
    pub(crate) fn from_der_integer(content: &[u8]) -> Result<Self, SerialError> {
        if content.first().is_some_and(|b| b & 0x80 != 0) {
            return Err(SerialError::Negative);
        }
        Serial::from_bytes(content)
    }

    /// Whether it is the 0 that old openssl gave to authorities (RFC 5280 wants a positive number).
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [0]
    }

    /// The number, big-endian, without leading zeros: 1 to 20 octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = String::with_capacity(self.0.len() * 2);
        for byte in &self.0 {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(
                    DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'),
                ));
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let text = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        if text.len() > 3 * MAX_LENGTH + 3 {
            return Err(SerialError::TooLong);
        }
        let mut digits = Vec::with_capacity(text.len());
        if text.contains(':') {
            for pair in text.split(':') {
                if pair.len() != 2 {
                    return Err(SerialError::NotHex);
                }
                digits.extend_from_slice(pair.as_bytes());
            }
        } else {
            digits.extend_from_slice(text.as_bytes());
        }
        if digits.is_empty() {
            return Err(SerialError::NotHex);
        }
        if digits.len() % 2 == 1 {
            digits.insert(0, b'0');
        }
        let mut bytes = Vec::with_capacity(digits.len() / 2);
        for pair in digits.chunks_exact(2) {
            let mut byte = 0;
            for digit in pair {
                let value = char::from(*digit).to_digit(16).ok_or(SerialError::NotHex)?;
                byte = byte * 16 + value;
            }
            bytes.push(u8::try_from(byte).map_err(|_| SerialError::NotHex)?);
        }
        Serial::from_bytes(&bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn random_serials_are_positive_of_one_width_and_differ() {
        let mut seen = HashSet::new();
        for _ in 0..2000 {
            let serial = Serial::random().unwrap();
            assert_eq!(serial.to_string().len(), 32);
            assert!(serial.as_bytes()[0] & 0x80 == 0);
            assert!(seen.insert(serial));
        }
    }

    #[test]
    fn every_way_of_writing_one_serial_means_the_same() {
        let plain: Serial = "0a1b2c".parse().unwrap();
        for text in [
            "0A1B2C",
            "0a:1b:2c",
            "00:0A:1b:2c",
            "0x0a1b2c",
            "0xA1B2C",
            "a1b2c",
        ] {
            assert_eq!(text.parse::<Serial>().unwrap(), plain, "{text}");
        }
        assert_eq!(plain.to_string(), "0a1b2c");
    }

    #[test]
    fn zero_is_read_as_openssl_prints_it() {
        for text in ["0", "00", "00:00", "0x0"] {
            let zero: Serial = text.parse().unwrap();
            assert!(zero.is_zero());
            assert_eq!(zero.to_string(), "00");
            assert_eq!(Serial::from_der_integer(&[0]).unwrap(), zero);
        }
        assert!(Serial::from_der_integer(&[]).is_err());
    }

    #[test]
    fn what_is_no_serial_is_refused() {
        for text in [
            "",
            "0x",
            "xyz",
            "1:2",
            "-1",
            "12 34",
            "é",
            &"a".repeat(42),
            &"f".repeat(5000),
        ] {
            assert!(text.parse::<Serial>().is_err(), "{text}");
        }
        assert_eq!(
            Serial::from_der_integer(&[0x80]),
            Err(SerialError::Negative)
        );
    }
}
