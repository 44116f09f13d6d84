//! Passphrases: generated words for people, generated keys for files, and what somebody typed.
//!
//! In comes randomness or a typed text; out comes a value that is wiped when dropped and never printed.
//! It refuses to know what the passphrase opens.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, Zeroizing};

/// Ten words of 11 bits: 110 random bits, beyond any search, and still short enough to read over a telephone.
const WORDS: usize = 10;

/// A line that a person types or a file holds; more than this is a wrong file, not a passphrase.
const MAX_BYTES: usize = 1024;

/// A passphrase. Wiped on drop, neither `Clone` nor printable.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Generates ten words of the BIP 39 English list joined by `-`, 110 random bits in all.
    ///
    /// # Errors
    /// [`PassphraseError::Randomness`] when the system gives no random bytes.
    pub fn generate_words() -> Result<Self, PassphraseError> {
        let list = bip39::Language::English.word_list();
        let mut drawn = Zeroizing::new([0u8; 2 * WORDS]);
        fill(&mut *drawn)?;
        // The longest word has 8 letters: one allocation, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(String::with_capacity(9 * WORDS));
        for pair in drawn.chunks_exact(2) {
            // The list has 2048 = 2^11 words, so masking is unbiased.
            let index = usize::from(u16::from_be_bytes([pair[0], pair[1]]) & 0x07ff);
            if !text.is_empty() {
                text.push('-');
            }
            text.push_str(list[index]);
        }
        Ok(Self(text))
    }

    /// Generates 256 random bits as 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`PassphraseError::Randomness`] when the system gives no random bytes.
    pub fn generate_key() -> Result<Self, PassphraseError> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut key = Zeroizing::new([0u8; 32]);
        fill(&mut *key)?;
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in key.iter() {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Ok(Self(text))
    }

    /// Takes a passphrase that was typed or read, without its line end.
    ///
    /// # Errors
    /// Refuses an empty one, one over 1024 bytes and one with control characters: none of these can be typed again at
    /// the prompt of stock `age -d`.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(PassphraseError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PassphraseError::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// The passphrase itself. Keep it out of messages, arguments and environments.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same, in time that depends on their lengths only.
    pub fn same_as(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase([elided])")
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), PassphraseError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| {
        bytes.zeroize();
        PassphraseError::Randomness
    })
}

/// Why a text is no passphrase, or none could be generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing was given.
    #[error("the passphrase is empty")]
    Empty,
    /// Over 1024 bytes.
    #[error("the passphrase is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// A tab, a line end or the like inside.
    #[error("the passphrase contains a control character")]
    ControlCharacter,
    /// The operating system's random generator failed.
    #[error("the system gave no random bytes")]
    Randomness,
}

impl PassphraseError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Empty => {
                Some("type one, or give a file whose first line is the passphrase".into())
            }
            Self::TooLong => {
                Some("check that the file given is a passphrase file: one short line".into())
            }
            Self::ControlCharacter => {
                Some("use one line without tabs or other control characters".into())
            }
            Self::Randomness => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::BTreeSet;

    fn typed(text: &str) -> Result<Passphrase, PassphraseError> {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn words_are_ten_from_the_list_and_never_twice_the_same() {
        let list = bip39::Language::English.word_list();
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let made = Passphrase::generate_words().unwrap();
            let words: Vec<&str> = made.expose().split('-').collect();
            assert_eq!(words.len(), 10);
            assert!(words.iter().all(|w| list.contains(w)));
            assert!(seen.insert(made.expose().to_owned()));
        }
    }

    #[test]
    fn every_word_can_be_drawn_about_equally_often() {
        let mut first_half = 0;
        for _ in 0..400 {
            let made = Passphrase::generate_words().unwrap();
            let list = bip39::Language::English.word_list();
            first_half += made
                .expose()
                .split('-')
                .filter(|w| list[..1024].contains(w))
                .count();
        }
        // 4000 draws, mean 2000, standard deviation 32: ten of those never happen by chance.
        assert!((1680..=2320).contains(&first_half), "{first_half}");
    }

    #[test]
    fn a_generated_key_is_256_bits_in_hex() {
        let one = Passphrase::generate_key().unwrap();
        let two = Passphrase::generate_key().unwrap();
        assert_eq!(one.expose().len(), 64);
        assert!(
            one.expose()
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        assert!(!one.same_as(&two));
    }

    #[test]
    fn what_cannot_be_typed_again_is_refused() {
        assert!(matches!(typed(""), Err(PassphraseError::Empty)));
        assert!(matches!(
            typed("a\nb"),
            Err(PassphraseError::ControlCharacter)
        ));
        assert!(matches!(
            typed("a\u{85}b"),
            Err(PassphraseError::ControlCharacter)
        ));
        assert!(matches!(
            typed(&"a".repeat(1025)),
            Err(PassphraseError::TooLong)
        ));
        assert!(typed("correct horse bättery").is_ok());
    }

    #[test]
    fn same_as_compares_and_debug_tells_nothing() {
        assert!(typed("abc").unwrap().same_as(&typed("abc").unwrap()));
        assert!(!typed("abc").unwrap().same_as(&typed("abd").unwrap()));
        assert!(!typed("abc").unwrap().same_as(&typed("abcd").unwrap()));
        assert_eq!(
            format!("{:?}", typed("abc").unwrap()),
            "Passphrase([elided])"
        );
    }
}
