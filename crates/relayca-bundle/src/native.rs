//! age's native stanza: a file key wrapped for an X25519 key (<https://c2sp.org/age#x25519-recipient-stanza>).
//!
//! In come the text of a recipient or an identity and a file key; out comes a stanza, or the file key again. It refuses to
//! know payloads.
//!
//! The `age` crate has the same on a slower Curve25519, and works out the identity's public half anew for every file: where
//! thousands of passphrases are sealed, and each is opened again, a quarter of the time went there. Texts are read by the
//! `age` crate all the same, so that both agree on what is a key.

use std::collections::HashSet;
use std::io;

use age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt, bech32_decode, hkdf};
use age_core::secrecy::ExposeSecret;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

use crate::recipient::Recipient;
use crate::seal_error::SealError;

const TAG: &str = "X25519";
const LABEL: &[u8] = b"age-encryption.org/v1/X25519";
const POINT_BYTES: usize = 32;
const WRAPPED_BYTES: usize = FILE_KEY_BYTES + 16;

type Point = [u8; POINT_BYTES];

/// The public half of an age key.
#[derive(Clone)]
pub(crate) struct NativeRecipient {
    point: Point,
}

impl NativeRecipient {
    /// Reads `age1...`; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|key| Self::of(&key))
    }

    /// The same key.
    pub(crate) fn of(key: &age::x25519::Recipient) -> Self {
        let text = data(&key.to_string()).unwrap_or_default();
        // age's own text is read, so this cannot fail; if it did, nothing could be sealed to the zero point.
        let point = Point::try_from(text.as_slice()).unwrap_or_default();
        Self { point }
    }
}

impl age::Recipient for NativeRecipient {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let refused = |reason: SealError| EncryptError::Io(io::Error::other(reason));
        let ephemeral =
            PrivateKey::generate(&X25519).map_err(|_| refused(SealError::Randomness))?;
        let share = public_half(&ephemeral).ok_or_else(|| refused(SealError::Randomness))?;
        let key = wrapping_key(&ephemeral, &self.point, &share, &self.point)
            .ok_or_else(|| refused(SealError::WeakRecipient))?;
        let stanza = Stanza {
            tag: TAG.to_owned(),
            args: vec![BASE64_STANDARD_NO_PAD.encode(share)],
            body: aead_encrypt(&key, file_key.expose_secret()),
        };
        Ok((vec![stanza], HashSet::new()))
    }
}

/// An age key. AWS-LC wipes the secret half when it is dropped.
pub(crate) struct NativeIdentity {
    secret: PrivateKey,
    point: Point,
    recipient: Recipient,
}

impl NativeIdentity {
    /// Reads `AGE-SECRET-KEY-1...`; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let recipient = text.parse::<age::x25519::Identity>().ok()?.to_public();
        let secret = PrivateKey::from_private_key(&X25519, &data(text)?).ok()?;
        let point = public_half(&secret)?;
        Some(Self {
            secret,
            point,
            recipient: Recipient::native(&recipient),
        })
    }

    /// The public half.
    pub(crate) fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// The file key, `None` where the stanza is for somebody else.
    fn unwrap(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let [share] = stanza.args.as_slice() else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        let share = BASE64_STANDARD_NO_PAD
            .decode(share)
            .ok()
            .and_then(|share| Point::try_from(share).ok());
        let (Some(share), WRAPPED_BYTES) = (share, stanza.body.len()) else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        let Some(key) = wrapping_key(&self.secret, &share, &share, &self.point) else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        // Nothing but this tells whose the stanza is.
        let plain = Zeroizing::new(aead_decrypt(&key, FILE_KEY_BYTES, &stanza.body).ok()?);
        Some(FileKey::try_init_with_mut(|file_key| {
            if plain.len() != file_key.len() {
                return Err(DecryptError::DecryptionFailed);
            }
            file_key.copy_from_slice(&plain);
            Ok(())
        }))
    }
}

impl age::Identity for NativeIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        (stanza.tag == TAG).then(|| self.unwrap(stanza)).flatten()
    }
}

/// What stands behind the prefix of a Bech32 text, checked by its checksum.
fn data(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    bech32_decode(
        text,
        |_| (),
        |_| Ok(()),
        |_, bytes| {
            // Room from the start: a vector that grows would leave copies of a secret behind.
            let mut data = Zeroizing::new(Vec::with_capacity(text.len()));
            data.extend(bytes);
            Ok(data)
        },
    )
    .ok()
}

fn public_half(secret: &PrivateKey) -> Option<Point> {
    let public = secret.compute_public_key().ok()?;
    Point::try_from(public.as_ref()).ok()
}

/// The key that wraps the file key: HKDF-SHA256 over the shared secret, salted with the ephemeral share and the recipient.
/// `None` for a point of low order, with which the secret would be zero for everybody; AWS-LC refuses it (RFC 7748, section 6.1).
fn wrapping_key(
    secret: &PrivateKey,
    peer: &Point,
    share: &Point,
    recipient: &Point,
) -> Option<Zeroizing<[u8; 32]>> {
    let mut salt = [0u8; 2 * POINT_BYTES];
    salt[..POINT_BYTES].copy_from_slice(share);
    salt[POINT_BYTES..].copy_from_slice(recipient);
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agree(secret, peer, (), |shared| {
        // Twice is cheap, and this is the one thing that must not depend on a library's version.
        if shared.iter().all(|byte| *byte == 0) {
            return Err(());
        }
        Ok(Zeroizing::new(hkdf(&salt, LABEL, shared)))
    })
    .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use age::{Identity as _, Recipient as _};

    fn file_key() -> FileKey {
        FileKey::init_with_mut(|key| key.copy_from_slice(b"sixteen bytes .."))
    }

    /// Ours and the `age` crate's of the same key.
    fn both() -> (NativeIdentity, age::x25519::Identity) {
        let theirs = age::x25519::Identity::generate();
        let ours = NativeIdentity::parse(theirs.to_string().expose_secret()).unwrap();
        (ours, theirs)
    }

    fn wrapped(recipient: &dyn age::Recipient) -> Stanza {
        let (mut stanzas, labels) = recipient.wrap_file_key(&file_key()).unwrap();
        assert!(labels.is_empty() && stanzas.len() == 1);
        stanzas.remove(0)
    }

    #[test]
    fn the_age_crate_unwraps_what_is_wrapped_here_and_the_other_way_round() {
        for _ in 0..20 {
            let (ours, theirs) = both();
            let text = theirs.to_public().to_string();
            assert_eq!(ours.recipient().text(), text);
            let here = wrapped(&NativeRecipient::parse(&text).unwrap());
            let there = wrapped(&theirs.to_public());
            for (identity, stanza) in [
                (&ours as &dyn age::Identity, &here),
                (&ours, &there),
                (&theirs, &here),
            ] {
                let key = identity.unwrap_stanza(stanza).unwrap().unwrap();
                assert_eq!(key.expose_secret(), file_key().expose_secret());
            }
            assert!(both().0.unwrap_stanza(&here).is_none(), "a stranger's");
        }
    }

    #[test]
    fn no_two_stanzas_share_an_ephemeral_key() {
        let recipient = NativeRecipient::of(&both().1.to_public());
        assert_ne!(wrapped(&recipient).args, wrapped(&recipient).args);
    }

    #[test]
    fn a_changed_stanza_does_not_unwrap() {
        let (ours, theirs) = both();
        let good = || wrapped(&theirs.to_public());
        let refused = |stanza: &Stanza| match ours.unwrap_stanza(stanza) {
            Some(Err(DecryptError::InvalidHeader)) => "invalid",
            None => "not ours",
            _ => panic!("{stanza:?}"),
        };
        let mut other_body = good();
        other_body.body[5] ^= 1;
        assert_eq!(refused(&other_body), "not ours");
        let mut other_share = good();
        other_share.args = good().args;
        assert_eq!(refused(&other_share), "not ours");
        let mut short_body = good();
        short_body.body.pop();
        assert_eq!(refused(&short_body), "invalid");
        let mut long_body = good();
        long_body.body.push(0);
        assert_eq!(refused(&long_body), "invalid");
        let share = good().args.remove(0);
        for args in [
            vec![],
            vec![share.clone(), share.clone()],
            vec![share[1..].to_owned()],
            vec![format!("{share}A")],
            vec![format!("{share}=")],
            // The last character carries four bits that no byte needs: they must be zero.
            vec![format!("{}B", &share[..share.len() - 1])],
            vec![String::new()],
        ] {
            let stanza = Stanza { args, ..good() };
            assert_eq!(refused(&stanza), "invalid", "{stanza:?}");
        }
        let foreign = Stanza {
            tag: "x25519".to_owned(),
            ..good()
        };
        assert_eq!(refused(&foreign), "not ours");
    }

    /// With these the shared secret is zero whatever the other key is (<https://cr.yp.to/ecdh.html#validate>).
    fn points_of_low_order() -> Vec<Point> {
        let hex = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        let byte = |text: &str, at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16);
        hex.iter()
            .flat_map(|text| {
                let point: Point = std::array::from_fn(|at| byte(text, at).unwrap());
                // The highest bit of a point does not count (RFC 7748, section 5).
                let mut twin = point;
                twin[POINT_BYTES - 1] |= 0x80;
                [point, twin]
            })
            .collect()
    }

    #[test]
    fn nothing_is_wrapped_for_a_point_of_low_order() {
        for point in points_of_low_order() {
            match (NativeRecipient { point }).wrap_file_key(&file_key()) {
                Err(EncryptError::Io(error)) => assert!(matches!(
                    error.downcast::<SealError>(),
                    Ok(SealError::WeakRecipient)
                )),
                _ => panic!("{point:x?}"),
            }
        }
    }

    #[test]
    fn a_stanza_with_a_point_of_low_order_is_refused() {
        let (ours, theirs) = both();
        for point in points_of_low_order() {
            // What a forger would send who knows that the secret is zero.
            let mut salt = [0u8; 2 * POINT_BYTES];
            salt[..POINT_BYTES].copy_from_slice(&point);
            salt[POINT_BYTES..].copy_from_slice(&ours.point);
            let forged = Stanza {
                tag: TAG.to_owned(),
                args: vec![BASE64_STANDARD_NO_PAD.encode(point)],
                body: aead_encrypt(&hkdf(&salt, LABEL, &[0; 32]), file_key().expose_secret()),
            };
            for identity in [&ours as &dyn age::Identity, &theirs] {
                assert!(matches!(
                    identity.unwrap_stanza(&forged),
                    Some(Err(DecryptError::InvalidHeader))
                ));
            }
        }
    }

    #[test]
    fn other_texts_are_no_keys() {
        let (_, theirs) = both();
        let secret = theirs.to_string();
        let public = theirs.to_public().to_string();
        assert!(NativeIdentity::parse(&public).is_none());
        assert!(NativeRecipient::parse(secret.expose_secret()).is_none());
        assert!(NativeRecipient::parse(&public[..public.len() - 1]).is_none());
        assert!(NativeIdentity::parse(&secret.expose_secret().replace('1', "2")).is_none());
    }
}
