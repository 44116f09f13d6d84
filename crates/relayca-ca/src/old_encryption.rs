//! The encryptions of old: keys that openssl and easy-rsa wrote before today's were the rule. They are opened, never made.
//!
//! Enters: a sealed key and a passphrase. Leaves: its DER, zeroized on drop. Refuses to know: what kind of key it is.
//!
//! None of them checks the passphrase but by the padding: what comes out may be noise, which no key loader takes.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

use crate::der::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, element};
use crate::key::KeyError;
use crate::pem_block::Sealed;

/// The longest key of the ciphers here: AES-256.
const MAX_KEY: usize = 32;
/// Octets of the salt in the traditional form: the first of the initialisation vector.
const SALT: usize = 8;
/// pbeWithSHAAnd3-KeyTripleDES-CBC, 1.2.840.113549.1.12.1.3 (RFC 7292 appendix C).
const PBE_SHA1_3DES: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01, 0x03];
/// The block of SHA-1, which the derivation of PKCS#12 works in.
const SHA1_BLOCK: usize = 64;
/// The longest salt and passphrase looked at, in octets of UTF-16.
const MAX_STRETCHED: usize = 4096;

/// A cipher in CBC mode.
#[derive(Clone, Copy)]
enum Cipher {
    TripleDes,
    Aes128,
    Aes192,
    Aes256,
}

impl Cipher {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "DES-EDE3-CBC" => Some(Cipher::TripleDes),
            "AES-128-CBC" => Some(Cipher::Aes128),
            "AES-192-CBC" => Some(Cipher::Aes192),
            "AES-256-CBC" => Some(Cipher::Aes256),
            _ => None,
        }
    }

    fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::TripleDes | Cipher::Aes192 => 24,
            Cipher::Aes256 => 32,
        }
    }

    /// Decrypts in place and gives the length without padding; `None` for a vector or a key of the wrong length, and for
    /// padding that is none.
    fn decrypt(self, key: &[u8], iv: &[u8], buffer: &mut [u8]) -> Option<usize> {
        match self {
            Cipher::TripleDes => decrypt::<cbc::Decryptor<des::TdesEde3>>(key, iv, buffer),
            Cipher::Aes128 => decrypt::<cbc::Decryptor<aes::Aes128>>(key, iv, buffer),
            Cipher::Aes192 => decrypt::<cbc::Decryptor<aes::Aes192>>(key, iv, buffer),
            Cipher::Aes256 => decrypt::<cbc::Decryptor<aes::Aes256>>(key, iv, buffer),
        }
    }
}

fn decrypt<M: BlockModeDecrypt + KeyIvInit>(
    key: &[u8],
    iv: &[u8],
    buffer: &mut [u8],
) -> Option<usize> {
    let mode = M::new_from_slices(key, iv).ok()?;
    mode.decrypt_padded::<Pkcs7>(buffer).ok().map(<[u8]>::len)
}

/// Opens the form before PKCS#8: the key is MD5 over passphrase and salt, once (EVP_BytesToKey of openssl).
pub(crate) fn open_traditional(
    sealed: &Sealed,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let cipher = Cipher::from_name(&sealed.cipher).ok_or(KeyError::UnsupportedEncryption)?;
    let salt = sealed
        .iv
        .get(..SALT)
        .ok_or(KeyError::UnsupportedEncryption)?;
    let mut key = Zeroizing::new([0; MAX_KEY]);
    let mut block: Zeroizing<[u8; 16]> = Zeroizing::default();
    for (index, part) in key.chunks_mut(16).enumerate() {
        let mut digest = Md5::new();
        if index > 0 {
            digest.update(*block);
        }
        digest.update(passphrase.as_bytes());
        digest.update(salt);
        let mut output: [u8; 16] = digest.finalize().into();
        part.copy_from_slice(&output);
        block.copy_from_slice(&output);
        output.zeroize();
    }
    let key = key
        .get(..cipher.key_length())
        .ok_or(KeyError::UnsupportedEncryption)?;
    opened(cipher, key, &sealed.iv, &sealed.content)
}

/// Opens PKCS#8 under pbeWithSHAAnd3-KeyTripleDES-CBC, `None` where it is under something else.
pub(crate) fn open_pbes1(
    der: &[u8],
    passphrase: &str,
    max_iterations: u32,
) -> Option<Result<Zeroizing<Vec<u8>>, KeyError>> {
    let outer = element(der, SEQUENCE).filter(|outer| outer.rest.is_empty())?;
    let algorithm = element(outer.content, SEQUENCE)?;
    let kind = element(algorithm.content, OBJECT_IDENTIFIER)?;
    if kind.content != PBE_SHA1_3DES {
        return None;
    }
    let parameters = element(kind.rest, SEQUENCE)?;
    let salt = element(parameters.content, OCTET_STRING)?;
    let iterations = element(salt.rest, INTEGER)?.content;
    let data = element(algorithm.rest, OCTET_STRING).filter(|data| data.rest.is_empty())?;

    // BMPString with two zero octets behind it (RFC 7292 appendix B.1).
    let mut password = Zeroizing::new(Vec::with_capacity(passphrase.len() * 2 + 2));
    for unit in passphrase.encode_utf16().chain([0]) {
        password.extend_from_slice(&unit.to_be_bytes());
    }
    let iterations = iterations
        .iter()
        .try_fold(0u32, |sum, b| {
            sum.checked_mul(256)?.checked_add((*b).into())
        })
        .filter(|count| (1..=max_iterations).contains(count));
    let Some(iterations) = iterations else {
        return Some(Err(KeyError::ExcessiveWork));
    };
    if password.len() > MAX_STRETCHED || salt.content.len() > MAX_STRETCHED {
        return Some(Err(KeyError::ExcessiveWork));
    }
    let key = pkcs12_bytes(1, &password, salt.content, iterations, 24);
    let iv = pkcs12_bytes(2, &password, salt.content, iterations, 8);
    Some(opened(Cipher::TripleDes, &key, &iv, data.content))
}

/// Octets for a purpose out of a password (RFC 7292 appendix B.2).
fn pkcs12_bytes(
    purpose: u8,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let filled = |bytes: &[u8]| {
        let length = bytes.len().div_ceil(SHA1_BLOCK) * SHA1_BLOCK;
        Zeroizing::new(
            bytes
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect::<Vec<_>>(),
        )
    };
    let (salt, password) = (filled(salt), filled(password));
    let mut input = Zeroizing::new(Vec::with_capacity(salt.len() + password.len()));
    input.extend_from_slice(&salt);
    input.extend_from_slice(&password);
    let mut output = Zeroizing::new(Vec::with_capacity(length + 20));
    while output.len() < length {
        let mut digest = Sha1::new();
        digest.update([purpose; SHA1_BLOCK]);
        digest.update(&*input);
        let mut hash: Zeroizing<[u8; 20]> = Zeroizing::new(digest.finalize().into());
        for _ in 1..iterations {
            *hash = Sha1::digest(*hash).into();
        }
        output.extend_from_slice(&*hash);
        // Each block of the input plus the hash, repeated, plus one.
        for block in input.chunks_mut(SHA1_BLOCK) {
            let mut carry = 1u16;
            for (byte, added) in block.iter_mut().rev().zip(
                hash.iter()
                    .cycle()
                    .take(SHA1_BLOCK)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev(),
            ) {
                carry += u16::from(*byte) + u16::from(*added);
                let [high, low] = carry.to_be_bytes();
                *byte = low;
                carry = high.into();
            }
        }
    }
    output.truncate(length);
    output
}

fn opened(
    cipher: Cipher,
    key: &[u8],
    iv: &[u8],
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut buffer = Zeroizing::new(content.to_vec());
    let length = cipher
        .decrypt(key, iv, &mut buffer)
        .ok_or(KeyError::WrongPassphrase)?;
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::der::write;

    fn sealed(salt: &[u8], iterations: &[u8], data: &[u8]) -> Vec<u8> {
        let parameters = [
            write(OCTET_STRING, &[salt]).unwrap(),
            write(INTEGER, &[iterations]).unwrap(),
        ];
        let algorithm = [
            write(OBJECT_IDENTIFIER, &[&PBE_SHA1_3DES]).unwrap(),
            write(SEQUENCE, &[&parameters.concat()]).unwrap(),
        ];
        let whole = [
            write(SEQUENCE, &[&algorithm.concat()]).unwrap(),
            write(OCTET_STRING, &[data]).unwrap(),
        ];
        write(SEQUENCE, &[&whole.concat()]).unwrap()
    }

    #[test]
    fn a_hostile_file_cannot_make_the_machine_hang() {
        let open = |der: &[u8], passphrase: &str| {
            open_pbes1(der, passphrase, 10_000_000)
                .unwrap()
                .unwrap_err()
        };
        let salt = [1; 8];
        for iterations in [
            &[][..],
            &[0],
            &[0x00, 0x98, 0x96, 0x81],
            &[0x7f, 0xff, 0xff, 0xff],
            &[1, 0, 0, 0, 0],
            &[0x7f; 100],
        ] {
            let der = sealed(&salt, iterations, &[0; 16]);
            assert_eq!(open(&der, "x"), KeyError::ExcessiveWork, "{iterations:x?}");
        }
        let der = sealed(&salt, &[1], &[0; 16]);
        assert_eq!(open(&der, &"x".repeat(5000)), KeyError::ExcessiveWork);
        let der = sealed(&[1; 5000], &[1], &[0; 16]);
        assert_eq!(open(&der, "x"), KeyError::ExcessiveWork);
    }

    #[test]
    fn odd_lengths_are_wrong_and_nothing_worse() {
        for length in [0, 1, 7, 9, 15] {
            let der = sealed(&[], &[1], &vec![5; length]);
            let error = open_pbes1(&der, "", 1).unwrap().unwrap_err();
            assert_eq!(error, KeyError::WrongPassphrase, "{length}");
            for cipher in ["DES-EDE3-CBC", "AES-256-CBC"] {
                let sealed = Sealed {
                    cipher: cipher.to_owned(),
                    iv: vec![0; if cipher.starts_with('D') { 8 } else { 16 }],
                    content: Zeroizing::new(vec![5; length]),
                };
                let error = open_traditional(&sealed, "x").unwrap_err();
                assert_eq!(error, KeyError::WrongPassphrase, "{cipher} {length}");
            }
        }
    }
}
