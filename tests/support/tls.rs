//! TLS as a client that trusts exactly what it is told to.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bytes both ways, encrypted or not.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
pub type Stream = Box<dyn Io>;

/// Trust in the certificates of one PEM file.
pub fn roots(pem: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(pem).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    assert!(!roots.is_empty(), "no certificate in {pem:?}");
    roots
}

/// Connects to `address` and verifies that it is `name`; by any version, or by this one.
pub async fn connect(
    address: &str,
    name: &str,
    roots: &RootCertStore,
    version: Option<&'static SupportedProtocolVersion>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    over(tcp, name, roots, version).await
}

/// The same on a connection that is there.
pub async fn over(
    tcp: TcpStream,
    name: &str,
    roots: &RootCertStore,
    version: Option<&'static SupportedProtocolVersion>,
) -> io::Result<TlsStream<TcpStream>> {
    let versions = match version {
        Some(version) => vec![version],
        None => rustls::ALL_VERSIONS.to_vec(),
    };
    over_with(tcp, name, roots, &versions, &[]).await
}

/// The same by these versions, with these protocols to choose from.
pub async fn over_with(
    tcp: TcpStream,
    name: &str,
    roots: &RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
}
