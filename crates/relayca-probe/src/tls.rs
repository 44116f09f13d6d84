//! A TLS client that records the certificates of the other side, and may show one itself.
//!
//! In comes a connection; out come the certificates, and what was agreed. It refuses to judge certificates: any is
//! accepted, so nothing but a question may be sent over such a connection until somebody has judged it.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind,
    SignatureScheme, StreamOwned,
};
use zeroize::Zeroizing;

use crate::error::ProbeError;
use crate::wire::Wire;

/// Sessions of one server kept for resumption.
const KEPT_SESSIONS: usize = 8;

/// A certificate to show to the server, with its key.
pub struct ClientIdentity {
    /// The certificates in DER, leaf first. None are looked at: what is shown may be as wrong as it likes.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's private key, PKCS#8 in DER: P-256, P-384, P-521, Ed25519 or RSA.
    pub key_pkcs8: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity")
            .field("chain", &self.chain.len())
            .field("key_pkcs8", &"[elided]")
            .finish()
    }
}

/// Which versions of TLS are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// One side of TLS: what is offered and shown. It may be used for one connection after the other.
#[derive(Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    recorder: Arc<Recorder>,
    resolver: Arc<Resolver>,
}

impl TlsClient {
    /// Shows no certificate.
    ///
    /// # Errors
    /// [`ProbeError::Tls`] where rustls refuses its own defaults.
    pub fn anonymous() -> Result<Self, ProbeError> {
        Self::new(None, TlsVersions::Both)
    }

    /// Shows this certificate when asked for one, or none; offers these versions. No session is resumed.
    ///
    /// # Errors
    /// [`ProbeError::Identity`] where the key cannot be read.
    pub fn new(
        identity: Option<&ClientIdentity>,
        versions: TlsVersions,
    ) -> Result<Self, ProbeError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let recorder = Arc::new(Recorder {
            provider: Arc::clone(&provider),
            seen: Mutex::default(),
        });
        let resolver = Arc::new(Resolver {
            shown: identity.map(certified).transpose()?,
            asked: AtomicBool::new(false),
            given: AtomicBool::new(false),
        });
        let offered: &[_] = match versions {
            TlsVersions::Both => rustls::ALL_VERSIONS,
            TlsVersions::Only12 => &[&rustls::version::TLS12],
            TlsVersions::Only13 => &[&rustls::version::TLS13],
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(offered)
            .map_err(|error| ProbeError::Tls {
                reason: error.to_string(),
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
            .with_client_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesClientCert>);
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            recorder,
            resolver,
        })
    }

    /// The same, resuming a session of an earlier connection by it where the server lets it.
    #[must_use]
    pub fn resuming(self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(KEPT_SESSIONS);
        Self {
            config: Arc::new(config),
            ..self
        }
    }
}

fn certified(identity: &ClientIdentity) -> Result<Arc<CertifiedKey>, ProbeError> {
    let refused = |reason: String| ProbeError::Identity { reason };
    if identity.chain.is_empty() {
        return Err(refused("there is no certificate".to_owned()));
    }
    // Borrowed: no copy of the key is made outside of the library that signs with it.
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key_pkcs8.as_slice()));
    let key = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|_| refused("the private key cannot be read".to_owned()))?;
    let chain = identity
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    Ok(Arc::new(CertifiedKey::new(chain, key)))
}

/// Gives the certificate to whoever asks for one, whatever authorities it names.
#[derive(Debug)]
struct Resolver {
    shown: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
    given: AtomicBool,
}

impl ResolvesClientCert for Resolver {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        let shown = self.shown.clone()?;
        // With no scheme that both know, rustls sends an empty list.
        let given = shown.key.choose_scheme(schemes).is_some();
        self.given.store(given, Ordering::Relaxed);
        Some(shown)
    }

    fn has_certs(&self) -> bool {
        self.shown.is_some()
    }
}

/// What was seen of the certificates so far.
#[derive(Debug, Default)]
struct Seen {
    chain: Vec<Vec<u8>>,
    proven: bool,
}

/// Takes any certificate and keeps it. The signature made with its key is checked, so that what is shown is what the
/// server holds the key of, except where rustls cannot read the certificate.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

impl Recorder {
    fn signature(
        &self,
        checked: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match checked {
            // The certificate is what the caller wants to look at, all the more if something is wrong with it.
            Err(rustls::Error::InvalidCertificate(e)) if e != CertificateError::BadSignature => {
                Ok(HandshakeSignatureValid::assertion())
            }
            Ok(valid) => {
                self.seen
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .proven = true;
                Ok(valid)
            }
            Err(e) => Err(e),
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chain = std::iter::once(end_entity)
            .chain(intermediates)
            .map(|c| c.as_ref().to_vec())
            .collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A TLS session that has got as far as it could.
pub(crate) struct Session {
    recorder: Arc<Recorder>,
    resolver: Arc<Resolver>,
    stream: StreamOwned<ClientConnection, Wire>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// What TLS showed so far: also after a handshake that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shown {
    /// The certificates in DER, leaf first, as sent. None where the handshake failed before, or the session was resumed.
    pub chain: Vec<Vec<u8>>,
    /// Whether the server proved that it holds the key of the leaf. False if the handshake failed before or the
    /// certificate is too strange for rustls to check a signature with.
    pub proven: bool,
    /// For example `TLS 1.3`; empty if the handshake did not get that far.
    pub protocol: String,
    /// For example `TLS13_AES_256_GCM_SHA384`; empty if the handshake did not get that far.
    pub cipher: String,
    /// Whether the server asked for a client certificate.
    pub asked: bool,
    /// Whether one was given.
    pub given: bool,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// Tickets for resumption got so far: TLS 1.3, and only of a client that resumes.
    pub tickets: u32,
}

/// Shakes hands as far as the server lets it. Gives also why it failed, if it did.
pub(crate) fn handshake(
    client: &TlsClient,
    server: ServerName<'static>,
    wire: Wire,
) -> Result<(Session, io::Result<()>), rustls::Error> {
    *client
        .recorder
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Seen::default();
    client.resolver.asked.store(false, Ordering::Relaxed);
    client.resolver.given.store(false, Ordering::Relaxed);
    let connection = ClientConnection::new(Arc::clone(&client.config), server)?;
    let mut stream = StreamOwned::new(connection, wire);
    let mut outcome = Ok(());
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            outcome = Err(error);
            break;
        }
    }
    let session = Session {
        recorder: Arc::clone(&client.recorder),
        resolver: Arc::clone(&client.resolver),
        stream,
    };
    Ok((session, outcome))
}

impl Session {
    /// What the session is.
    pub(crate) fn shown(&self) -> Shown {
        let connection = &self.stream.conn;
        let seen = self
            .recorder
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let protocol = connection
            .protocol_version()
            .and_then(|v| v.as_str().map(ToOwned::to_owned));
        let cipher = connection.negotiated_cipher_suite();
        let cipher = cipher.and_then(|c| c.suite().as_str().map(ToOwned::to_owned));
        Shown {
            chain: seen.chain.clone(),
            proven: seen.proven,
            protocol: protocol
                .map(|p| p.replace('_', ".").replacen("TLSv", "TLS ", 1))
                .unwrap_or_default(),
            cipher: cipher.unwrap_or_default(),
            asked: self.resolver.asked.load(Ordering::Relaxed),
            given: self.resolver.given.load(Ordering::Relaxed),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            tickets: connection.tls13_tickets_received(),
        }
    }

    /// The connection below.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.stream.sock
    }

    /// Tells the server that this is all.
    pub(crate) fn close(&mut self) {
        self.stream.conn.send_close_notify();
        while self.stream.conn.wants_write() {
            // It may have gone already; nothing depends on it.
            if !matches!(self.stream.conn.write_tls(&mut self.stream.sock), Ok(n) if n > 0) {
                return;
            }
        }
    }
}

impl Read for Session {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Write for Session {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The alert that ended TLS, if one did, as RFC 8446 section 6 writes it.
pub(crate) fn alert(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::AlertReceived(alert) = inner else {
        return None;
    };
    Some(match alert.as_str() {
        Some(name) => snake_case(name),
        None => format!("{alert:?}"),
    })
}

/// `CertificateRequired` as `certificate_required`; `UnknownCA` as `unknown_ca`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    let mut before = 'A';
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !before.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        before = letter;
    }
    text
}
