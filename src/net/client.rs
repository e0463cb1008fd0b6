//! The other side of a connection: from a host's name to a stream, encrypted or not, for the client in the terminal.
//!
//! Never encrypts without verifying who is there. Invariant: every wait has a deadline.

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

/// How long each of finding a host, reaching it and greeting it by TLS may take.
const STEP_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes both ways.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A stream to a server.
pub type Stream = Box<dyn Io>;

/// Why there is no trust to verify a server with.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of authorities cannot be used.
    #[error(transparent)]
    File(#[from] CertificateError),
    /// The file's certificates are none of authorities.
    #[error("{0} holds a certificate that cannot vouch for a server")]
    Unfit(String),
    /// There is nothing to verify a server by.
    #[error("this system trusts no authorities{0}")]
    None(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Setup,
}

/// The authorities that may vouch for a server.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// Exactly the authorities of a PEM file. Blocks on files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn in_file(file: &Path) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, file)?;
        Self::with(roots)
    }

    /// The system's authorities, and those of `file` where it is there. Blocks on files.
    ///
    /// # Errors
    /// A sentence, also where there are none at all.
    pub fn in_system_and(file: &Path) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        if file.is_file() {
            add(&mut roots, file)?;
        }
        let system = rustls_native_certs::load_native_certs();
        // Systems carry a few that are odd; those that are fit count.
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            return Err(TrustError::None(system.errors.iter().map(told).collect()));
        }
        Self::with(roots)
    }

    /// No authority: no server is verified by it. For addresses without TLS.
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

/// Why a file of the system's authorities is of no use. It may be anything, since a variable can name it: what a
/// reader of PEM says may repeat it.
fn told(error: &rustls_native_certs::Error) -> String {
    match &error.kind {
        ErrorKind::Io { inner, path } => format!(": {} cannot be read: {inner}", path.display()),
        ErrorKind::Pem(_) => ": a file of them is not PEM".to_owned(),
        _ => ": they cannot be found out".to_owned(),
    }
}

/// Why a server was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody was found or answered there.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// The host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody that is trusted vouches for the server.
    #[error("the certificate of {host} is signed by no authority that is trusted here")]
    Untrusted {
        /// The host.
        host: String,
    },
    /// The certificate does not show that this is the server that was meant.
    #[error("the certificate of {host} {flaw}")]
    Certificate {
        /// The host.
        host: String,
        /// What is wrong with it, as the rest of a sentence.
        flaw: String,
    },
    /// The TLS handshake failed otherwise.
    #[error("{address} does not speak TLS as it should: {flaw}")]
    Tls {
        /// The host and port.
        address: String,
        /// What went wrong.
        flaw: String,
    },
}

/// Connects to a host: by TLS with `trust`, in plain TCP without.
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
