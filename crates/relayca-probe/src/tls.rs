//! A TLS client that records the certificates of the other side.
//!
//! In comes a connection; out come the certificates, and what was agreed. It refuses to judge certificates: any is
//! accepted, so nothing but a question may ever be sent over such a connection, mail never.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
};

use crate::wire::Wire;

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
pub(crate) struct Session<'a> {
    recorder: Arc<Recorder>,
    connection: ClientConnection,
    wire: &'a mut Wire,
    /// Why the handshake failed, if it did.
    pub(crate) failure: Option<std::io::Error>,
}

/// What was learnt in a session.
pub(crate) struct Learnt {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) proven: bool,
    pub(crate) protocol: String,
    pub(crate) cipher: String,
}

/// Shakes hands, without a client certificate, as far as the server lets it.
pub(crate) fn handshake<'a>(
    server: ServerName<'static>,
    wire: &'a mut Wire,
) -> Result<Session<'a>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let recorder = Arc::new(Recorder {
        provider: Arc::clone(&provider),
        seen: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), server)?;
    let mut failure = None;
    while connection.is_handshaking() {
        if let Err(e) = connection.complete_io(wire) {
            failure = Some(e);
            break;
        }
    }
    Ok(Session {
        recorder,
        connection,
        wire,
        failure,
    })
}

impl Session<'_> {
    /// What the session is, with the certificates emptied out of it.
    pub(crate) fn learnt(&self) -> Learnt {
        let mut seen = self
            .recorder
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let protocol = self
            .connection
            .protocol_version()
            .and_then(|v| v.as_str().map(ToOwned::to_owned));
        let cipher = self.connection.negotiated_cipher_suite();
        let cipher = cipher.and_then(|c| c.suite().as_str().map(ToOwned::to_owned));
        Learnt {
            chain: std::mem::take(&mut seen.chain),
            proven: seen.proven,
            protocol: protocol
                .map(|p| p.replace('_', ".").replacen("TLSv", "TLS ", 1))
                .unwrap_or_default(),
            cipher: cipher.unwrap_or_default(),
        }
    }

    /// The encrypted stream, to be polite in.
    pub(crate) fn stream(&mut self) -> impl Read + Write + '_ {
        rustls::Stream::new(&mut self.connection, self.wire)
    }

    /// Tells the server that this is all.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
        while self.connection.wants_write() {
            // It may have gone already; nothing depends on it.
            if !matches!(self.connection.write_tls(self.wire), Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// Brings the deadline forward.
    pub(crate) fn hurry(&mut self, within: std::time::Duration) {
        self.wire.hurry(within);
    }
}
