//! TLS as the server speaks it: 1.2 and 1.3, HTTP/1.1, one certificate that can be exchanged while running.
//!
//! Never asks clients for certificates and keeps nothing of past sessions: resumption is by tickets that the client
//! holds. Invariant: there is a usable certificate at any time; a failed reload keeps the one in use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::certificates::{self, CertificateError};

/// The TLS side of a listener. Clones share one certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    hosts: Vec<String>,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

impl Tls {
    /// Reads the certificate of `dir`, making one for `hosts` where there is none (see [`certificates::ensure`]).
    /// Blocks on files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn open(dir: &Path, hosts: &[String]) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified = certificates::ensure(dir, hosts, &provider)?;
        let current = Arc::new(Current(RwLock::new(Arc::new(certified))));
        let config = server_config(&provider, &current)
            .map_err(|error| CertificateError::Issue(error.to_string()))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                hosts: hosts.to_vec(),
                provider,
                current,
            }),
        })
    }

    /// Reads the certificate again, for connections from now on. Blocks on files.
    ///
    /// # Errors
    /// A sentence that names the file; the certificate in use stays.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let shared = &self.shared;
        let certified = certificates::ensure_again(&shared.dir, &shared.hosts, &shared.provider)?;
        *shared
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        Ok(())
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tls")
            .field("dir", &self.shared.dir)
            .field("hosts", &self.shared.hosts)
            .finish_non_exhaustive()
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    current: &Arc<Current>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(current) as Arc<dyn ResolvesServerCert>);
    // A WebSocket upgrade needs HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets spare a reconnecting crowd the full handshake and cost the server no memory; one each is enough.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// The certificate in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}
