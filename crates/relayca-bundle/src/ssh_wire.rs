//! SSH keys on the wire (RFC 4251 section 5), looked at before age reads them.
//!
//! In comes the text of a key; out comes whether age can be given it: age 0.12 ends the process over a number that is
//! written as nothing but zeros, which no SSH key has. It refuses to know what the fields mean.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// How a private key begins (OpenSSH's PROTOCOL.key).
const MAGIC: &[u8] = b"openssh-key-v1\0";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// Whether the base64 of a public key is fit.
pub(crate) fn public_is_fit(encoded: &str) -> bool {
    BASE64_STANDARD
        .decode(encoded)
        .is_ok_and(|wire| fields_are_fit(&wire))
}

/// Whether a private key is fit. One in another form than OpenSSH's has no such numbers.
pub(crate) fn private_is_fit(text: &str) -> bool {
    let Some(body) = text.strip_prefix(BEGIN) else {
        return true;
    };
    let body = body.split_once(END).map_or(body, |(body, _)| body);
    let base64 = Zeroizing::new(
        body.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect::<Vec<_>>(),
    );
    let wire = BASE64_STANDARD.decode(&*base64).map(Zeroizing::new);
    wire.is_ok_and(|wire| private_fields_are_fit(&wire).unwrap_or(false))
}

/// Cipher, derivation and its options, the number of keys, the public half, the private half; `None` where these are not.
fn private_fields_are_fit(wire: &[u8]) -> Option<bool> {
    let mut rest = wire.strip_prefix(MAGIC)?;
    for _ in 0..3 {
        (_, rest) = field(rest)?;
    }
    let (_count, rest) = rest.split_at_checked(4)?;
    let (public, rest) = field(rest)?;
    let (private, _) = field(rest)?;
    // Two equal numbers to tell a right passphrase by. Of an encrypted key all this is noise, which is no harm.
    let (_check, private) = private.split_at_checked(8)?;
    Some(fields_are_fit(public) && fields_are_fit(private))
}

fn fields_are_fit(mut wire: &[u8]) -> bool {
    while let Some((content, rest)) = field(wire) {
        if !content.is_empty() && content.iter().all(|byte| *byte == 0) {
            return false;
        }
        wire = rest;
    }
    true
}

/// The first field, a length and so many bytes, and what follows it.
fn field(wire: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = wire.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn wire(fields: &[&[u8]]) -> Vec<u8> {
        let mut wire = Vec::new();
        for field in fields {
            wire.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            wire.extend_from_slice(field);
        }
        wire
    }

    fn private(public: &[u8], secret: &[u8]) -> String {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(wire(&[b"none", b"none", b""]));
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(wire(&[public, &[&[7; 8], secret].concat()]));
        let encoded = BASE64_STANDARD.encode(bytes);
        let lines: Vec<&str> = encoded
            .as_bytes()
            .chunks(70)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))
    }

    #[test]
    fn a_number_of_nothing_but_zeros_is_unfit_wherever_it_stands() {
        let encode = |fields: &[&[u8]]| BASE64_STANDARD.encode(wire(fields));
        assert!(public_is_fit(&encode(&[
            b"ssh-rsa",
            &[1, 0, 1],
            &[0, 0x81]
        ])));
        assert!(public_is_fit(&encode(&[b"ssh-rsa", b"", &[0, 0x81]])));
        assert!(!public_is_fit(&encode(&[b"ssh-rsa", &[0], &[1]])));
        assert!(!public_is_fit(&encode(&[b"ssh-rsa", &[3], &[0, 0, 0]])));
        assert!(!public_is_fit("AAAA*"));

        let good = wire(&[b"ssh-rsa", &[3], &[5]]);
        let bad = wire(&[b"ssh-rsa", &[3], &[0]]);
        assert!(private_is_fit(&private(&good, &good)));
        assert!(!private_is_fit(&private(&bad, &good)));
        assert!(!private_is_fit(&private(&good, &bad)));
        assert!(!private_is_fit(&format!("{BEGIN}\nAAAA\n{END}\n")));
        assert!(private_is_fit("-----BEGIN RSA PRIVATE KEY-----\n"));
    }
}
