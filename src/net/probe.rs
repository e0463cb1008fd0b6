//! Connects to a TLS port without verifying trust, and returns the certificate presented there.
//!
//! Sends nothing but the handshake, so it need not trust the peer; the peer's possession of the certificate's key is
//! verified. Invariant: it ends within its deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Why no certificate was presented.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The port accepts no connection.
    #[error("nothing can be connected to: {0}")]
    Connect(io::Error),
    /// The peer does not speak TLS, or not as relaybox does.
    #[error("no TLS handshake can be made: {0}")]
    Handshake(io::Error),
    /// The handshake exceeded its deadline.
    #[error("nothing answers within {} s", .0.as_secs())]
    Late(Duration),
}

/// The certificate presented at an address for the server name `localhost`, as DER.
///
/// # Errors
/// See [`ProbeError`].
pub async fn presented_certificate(
    address: SocketAddr,
    deadline: Duration,
) -> Result<Vec<u8>, ProbeError> {
    let shown = timeout(deadline, handshake(address)).await;
    shown.unwrap_or(Err(ProbeError::Late(deadline)))
}

async fn handshake(address: SocketAddr) -> Result<Vec<u8>, ProbeError> {
    let config = config().map_err(|error| ProbeError::Handshake(io::Error::other(error)))?;
    let name = ServerName::try_from("localhost")
        .map_err(|error| ProbeError::Handshake(io::Error::other(error)))?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(ProbeError::Connect)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = connected.await.map_err(ProbeError::Handshake)?;
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(<[_]>::first).map(|leaf| leaf.to_vec());
    leaf.ok_or_else(|| ProbeError::Handshake(io::Error::other("no certificate was shown")))
}

fn config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let any = Arc::new(AcceptAny(Arc::clone(&provider)));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth())
}

/// Accepts any certificate: it is inspected, not trusted.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
