//! The client side of a connection, for the terminal client: from a host name to a stream, encrypted or not.
//!
//! Never encrypts without verifying the server. Invariant: every wait has a deadline.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{CertificateError as Flaw, ClientConfig, Error as TlsError, RootCertStore};
use rustls_native_certs::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::certificate_error::CertificateError;
use super::material;

/// Deadline of each step: name resolution, TCP connect, TLS handshake.
const STEP_DEADLINE: Duration = Duration::from_secs(10);

/// A bidirectional byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection to a server, with or without TLS.
pub type Stream = Box<dyn Io>;

/// Why no trust anchors are available.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of CA certificates cannot be used.
    #[error(transparent)]
    File(#[from] CertificateError),
    /// The file holds a certificate that is not a CA's.
    #[error("{0} holds a certificate that cannot vouch for a server")]
    Unfit(String),
    /// No trust anchors were found at all.
    #[error("this system trusts no authorities{0}")]
    None(String),
    /// The TLS library refused the configuration.
    #[error("TLS cannot be set up")]
    Setup,
}

/// Trust anchors that servers are verified against.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// Exactly the CAs of a PEM file. Blocks on files.
    ///
    /// # Errors
    /// A message that names the file.
    pub fn in_file(file: &Path) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, file)?;
        Self::with(roots)
    }

    /// The system's CAs, plus those of `file` if it exists. Blocks on files.
    ///
    /// # Errors
    /// A sentence, also if no CA was found.
    pub fn in_system_and(file: &Path) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        if file.is_file() {
            add(&mut roots, file)?;
        }
        let system = rustls_native_certs::load_native_certs();
        // System stores contain a few malformed certificates; the usable ones count.
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(TrustError::None(
                system.errors.iter().map(describe).collect(),
            ));
        }
        Self::with(roots)
    }

    /// No CA: every server fails verification. For addresses without TLS.
    ///
    /// # Errors
    /// A sentence.
    pub fn nobody() -> Result<Self, TrustError> {
        Self::with(RootCertStore::empty())
    }

    fn with(roots: RootCertStore) -> Result<Self, TrustError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| TrustError::Setup)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A WebSocket upgrade needs HTTP/1.1.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), TrustError> {
    for certificate in material::certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|_| TrustError::Unfit(file.display().to_string()))?;
    }
    Ok(())
}

/// Why a file of the system's CAs is unusable. A variable can point it at any file, whose contents a PEM reader's
/// message may repeat.
fn describe(error: &rustls_native_certs::Error) -> String {
    match &error.kind {
        ErrorKind::Io { inner, path } => format!(": {} cannot be read: {inner}", path.display()),
        ErrorKind::Pem(_) => ": a file of them is not PEM".to_owned(),
        _ => ": they cannot be found out".to_owned(),
    }
}

/// Why no connection was established.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Name resolution or the TCP connection failed.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// No trusted CA signed the server's certificate.
    #[error("the certificate of {host} is signed by no authority that is trusted here")]
    Untrusted {
        /// Name of the host.
        host: String,
    },
    /// The certificate does not identify the requested server.
    #[error("the certificate of {host} {flaw}")]
    Certificate {
        /// Name of the host.
        host: String,
        /// The flaw, as the rest of a sentence.
        flaw: String,
    },
    /// The TLS handshake failed for another reason.
    #[error("{address} does not speak TLS as it should: {flaw}")]
    Tls {
        /// Host and port.
        address: String,
        /// The failure, as reported to the user.
        flaw: String,
    },
}

/// Connects to a host: over TLS with `trust`, over plain TCP without.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(host: &str, port: u16, trust: Option<&Trust>) -> Result<Stream, ConnectError> {
    let address = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let unreachable = |source| ConnectError::Unreachable {
        address: address.clone(),
        source,
    };
    let connecting = timeout(STEP_DEADLINE, TcpStream::connect((host, port)));
    let tcp = connecting
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let Some(trust) = trust else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ConnectError::Tls {
        address: address.clone(),
        flaw: error.to_string(),
    })?;
    let greeting = timeout(STEP_DEADLINE, trust.0.connect(name, tcp));
    let stream = greeting
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| judge(error, host, &address))?;
    Ok(Box::new(stream))
}

fn judge(error: io::Error, host: &str, address: &str) -> ConnectError {
    let tls = error.get_ref().and_then(|error| error.downcast_ref());
    match tls {
        None => ConnectError::Unreachable {
            address: address.to_owned(),
            source: error,
        },
        Some(TlsError::InvalidCertificate(Flaw::UnknownIssuer)) => ConnectError::Untrusted {
            host: host.to_owned(),
        },
        Some(TlsError::InvalidCertificate(flaw)) => ConnectError::Certificate {
            host: host.to_owned(),
            flaw: match flaw {
                Flaw::NotValidForName | Flaw::NotValidForNameContext { .. } => {
                    "is made out to other names".to_owned()
                }
                Flaw::Expired | Flaw::ExpiredContext { .. } => "has expired".to_owned(),
                Flaw::NotValidYet | Flaw::NotValidYetContext { .. } => {
                    "is not valid yet by this machine's clock".to_owned()
                }
                flaw => format!("is not good: {flaw}"),
            },
        },
        Some(error) => ConnectError::Tls {
            address: address.to_owned(),
            flaw: error.to_string(),
        },
    }
}
