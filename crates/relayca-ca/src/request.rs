//! Certificate requests (PKCS#10, RFC 2986).
//!
//! Enters: a request in PEM or DER, or a key and a host name. Leaves: its public key, once the request proves possession of the
//! private one, and a list of the wishes that are ignored; or a request in PEM. Refuses to honour any wish: a request that asked for CA:TRUE would get it otherwise.

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::der::is_one_sequence;
use crate::directory_name::shown_name;
use crate::key::{KeyError, PrivateKey};
use crate::name::{HostName, printable};
use crate::pem_block;
use crate::profile;
use crate::public_key::{SubjectKey, key_id};

/// The largest request looked at, in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// Why a request gives no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No PKCS#10 request.
    #[error("this is not a valid certificate request")]
    Malformed,
    /// Its signature is not by its own key.
    #[error("the certificate request is not signed by its own key")]
    Signature,
    /// Its key cannot be certified.
    #[error("the key of the certificate request cannot be certified: {0}")]
    Key(KeyError),
    /// More than 64 KiB.
    #[error("this is too large for a certificate request")]
    TooLarge,
    /// The armour is broken.
    #[error("{0}")]
    Armour(String),
    /// The text holds another number of requests than one.
    #[error("there are {0} certificate requests here, and one is wanted")]
    NotOne(usize),
    /// The text holds something else, such as a private key.
    #[error("there is a `{0}` block beside the certificate request")]
    ForeignBlock(String),
    /// A request of one's own could not be written or signed.
    #[error("the certificate request could not be made")]
    Making,
}

impl RequestError {
    /// The remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            RequestError::Malformed | RequestError::Signature => {
                "make it again with `openssl req -new -key KEY`"
            }
            RequestError::Key(error) => return error.hint(),
            RequestError::Armour(_) => "fetch the file again, complete",
            RequestError::NotOne(_) => "give one request a file",
            RequestError::ForeignBlock(label) if label.ends_with("PRIVATE KEY") => {
                "leave the private key on its host"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// The key that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestedKey {
    /// The SubjectPublicKeyInfo, DER.
    pub spki_der: Vec<u8>,
    /// What else the request asked for and does not get, for a notice; safe to print.
    pub ignored: Vec<String>,
}

/// Takes the public key out of a request in PEM or DER.
///
/// # Errors
/// [`RequestError`].
pub fn public_key_from_csr(bytes: &[u8]) -> Result<RequestedKey, RequestError> {
    if bytes.len() > MAX_REQUEST {
        return Err(RequestError::TooLarge);
    }
    if !pem_block::looks_like_pem(bytes) {
        return from_der(bytes);
    }
    let blocks = pem_block::read(bytes).map_err(|error| RequestError::Armour(error.to_string()))?;
    let is_request =
        |label: &str| matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST");
    if let Some(foreign) = blocks.iter().find(|block| !is_request(&block.label)) {
        return Err(RequestError::ForeignBlock(foreign.label.clone()));
    }
    match blocks.as_slice() {
        [only] => from_der(&only.content),
        others => Err(RequestError::NotOne(others.len())),
    }
}

/// Makes a request in PEM for the key and the host: the name as common name (where it has at most 64 characters) and as
/// subjectAltName. The names serve those who read the request; whoever issues takes the key and asks for the names again.
///
/// # Errors
/// [`RequestError::Making`]; also where the request made does not prove its key.
pub fn certificate_request(key: &PrivateKey, host: &HostName) -> Result<String, RequestError> {
    let params = profile::request(host, &key_id(key.public_bits())).ok_or(RequestError::Making)?;
    let request = params
        .serialize_request(&ItsOwn(key))
        .map_err(|_| RequestError::Making)?;
    // A request that the other side would refuse is found here, not there.
    let read = from_der(request.der()).map_err(|_| RequestError::Making)?;
    if read.spki_der != key.spki_der() {
        return Err(RequestError::Making);
    }
    let text = pem_block::write("CERTIFICATE REQUEST", request.der());
    text.map(|text| text.as_str().to_owned())
        .ok_or(RequestError::Making)
}

/// The key that signs its own request.
struct ItsOwn<'a>(&'a PrivateKey);

impl PublicKeyData for ItsOwn<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for ItsOwn<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

fn from_der(der: &[u8]) -> Result<RequestedKey, RequestError> {
    if !is_one_sequence(der) {
        return Err(RequestError::Malformed);
    }
    let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
        return Err(RequestError::Malformed);
    };
    let spki_der = request.certification_request_info.subject_pki.raw;
    SubjectKey::from_spki(spki_der).map_err(RequestError::Key)?;
    request
        .verify_signature()
        .map_err(|_| RequestError::Signature)?;
    Ok(RequestedKey {
        spki_der: spki_der.to_vec(),
        ignored: wishes(&request),
    })
}

/// The SubjectPublicKeyInfo of any request, its signature unchecked: for a fingerprint, not for a certificate.
pub(crate) fn spki_of_request(der: &[u8]) -> Option<Vec<u8>> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => Some(request.certification_request_info.subject_pki.raw.to_vec()),
        _ => None,
    }
}

fn wishes(request: &X509CertificationRequest<'_>) -> Vec<String> {
    let mut wishes = Vec::new();
    let subject = shown_name(&request.certification_request_info.subject);
    if !subject.is_empty() {
        wishes.push(format!("subject {subject}"));
    }
    for attribute in request.certification_request_info.iter_attributes() {
        match attribute.parsed_attribute() {
            ParsedCriAttribute::ExtensionRequest(requested) => {
                for extension in &requested.extensions {
                    wishes.push(match extension.parsed_extension() {
                        ParsedExtension::SubjectAlternativeName(names) => {
                            let names: Vec<_> =
                                names.general_names.iter().map(shown_general_name).collect();
                            format!("subjectAltName {}", names.join(", "))
                        }
                        ParsedExtension::BasicConstraints(basic) => {
                            format!("basicConstraints CA:{}", basic.ca)
                        }
                        ParsedExtension::KeyUsage(usage) => format!("keyUsage {usage}"),
                        ParsedExtension::ExtendedKeyUsage(_) => "extendedKeyUsage".to_owned(),
                        _ => format!("extension {}", extension.oid.to_id_string()),
                    });
                }
            }
            // The password itself is a secret of sorts.
            ParsedCriAttribute::ChallengePassword(_) => wishes.push("challengePassword".to_owned()),
            ParsedCriAttribute::UnsupportedAttribute => {
                wishes.push(format!("attribute {}", attribute.oid.to_id_string()))
            }
        }
    }
    wishes.iter().map(|wish| printable(wish, 400)).collect()
}

fn shown_general_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) => (*text).to_owned(),
        other => other.to_string(),
    }
}
