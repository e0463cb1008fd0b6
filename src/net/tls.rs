//! The server's TLS: 1.2 and 1.3, HTTP/1.1, one certificate that can be exchanged at run time.
//!
//! Never asks for client certificates and stores no past sessions: resumption uses tickets held by the client.
//! Invariant: there is always a usable certificate; a failed reload keeps the one in use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::certificate_error::CertificateError;
use super::certificates::{self, Usable};
use super::file_checks::{FileChecks, Fingerprint};
use super::files::Files;
use super::transcript;
use crate::clock::{Clock, SystemClock};
use crate::metrics::Metrics;

const NO_LABELS: &[&str] = &[];

/// The TLS side of a listener. Clones share one certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    /// For clients whose server name was hidden.
    restoring: TlsAcceptor,
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    hosts: Vec<String>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    current: Arc<Current>,
    /// Held during a check, so that exchanges are serialized.
    checks: Mutex<FileChecks>,
    exchanges: Mutex<Exchanges>,
    /// Notified when a reload is requested.
    reload_requests: Notify,
}

/// The outcome of a check of the certificate's files.
#[derive(Debug)]
pub enum FileCheck {
    /// The files are unchanged.
    Unchanged,
    /// Changed files were read, or the certificate was renewed: new connections use it.
    Loaded,
    /// The files were read on request.
    Requested,
}

/// Counts of certificate exchanges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exchanges {
    /// Successful replacements of the served certificate.
    pub exchanged: u64,
    /// Failures: unusable files, or a failed renewal. The old certificate was kept.
    pub refused: u64,
}

impl Tls {
    /// Reads the certificate of `dir`, issuing one for `hosts` if there is none (see [`certificates`]). Blocks on
    /// files.
    ///
    /// # Errors
    /// A message that names the file.
    pub fn open(dir: &Path, hosts: &[String]) -> Result<Self, CertificateError> {
        Self::open_by(dir, hosts, Arc::new(SystemClock))
    }

    /// As [`Self::open`], with this clock, which decides whether a certificate is at its end.
    ///
    /// # Errors
    /// A message that names the file.
    pub fn open_by(
        dir: &Path,
        hosts: &[String],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let now_s = seconds(clock.as_ref());
        let usable = certificates::ensure(dir, hosts, &provider, now_s)?;
        if let Some(error) = &usable.kept_for {
            tracing::error!(%error, "the certificate cannot be made anew: the old one is served");
        }
        let checks = FileChecks::new(usable.seen.clone(), usable.check_at_s, now_s);
        let current = Arc::new(Current(ArcSwap::from_pointee(usable)));
        let acceptor = |provider| {
            let config = server_config(provider, &current);
            let config = config.map_err(|_| CertificateError::Setup)?;
            Ok(TlsAcceptor::from(Arc::new(config)))
        };
        Ok(Self {
            acceptor: acceptor(&provider)?,
            restoring: acceptor(&transcript::provider())?,
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                hosts: hosts.to_vec(),
                provider,
                clock,
                current,
                checks: Mutex::new(checks),
                exchanges: Mutex::default(),
                reload_requests: Notify::new(),
            }),
        })
    }

    /// Reads the certificate again, for new connections. Blocks on files.
    ///
    /// # Errors
    /// A message that names the file; the certificate in use stays.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let mut checks = self.shared.checks.lock();
        let seen = Fingerprint::of(&Files::of(&self.shared.dir));
        self.exchange(&mut checks, seen).map(|_| ())
    }

    /// Asks [`mod@super::watch`] for a reload soon. Does not wait.
    pub fn request_reload(&self) {
        self.shared.reload_requests.notify_one();
    }

    /// Waits for a reload request. Cancel-safe.
    pub(super) async fn reload_requested(&self) {
        self.shared.reload_requests.notified().await;
    }

    /// Checks the files once. They are read if they have changed and the previous check saw the
    /// same, if the certificate is near its end, or if the clock was set back. In the latter cases
    /// a certificate issued by relaybox is renewed if its dates are wrong. Blocks on files.
    ///
    /// # Errors
    /// A message that names the file; the certificate in use stays, and the same files are not tried again.
    pub fn check_files(&self) -> Result<FileCheck, CertificateError> {
        let mut checks = self.shared.checks.lock();
        let seen = Fingerprint::of(&Files::of(&self.shared.dir));
        let have_changed = checks.have_changed(&seen);
        if !have_changed && !checks.is_due(seconds(self.shared.clock.as_ref())) {
            return Ok(FileCheck::Unchanged);
        }
        let is_another = self.exchange(&mut checks, seen)?;
        Ok(match have_changed || is_another {
            true => FileCheck::Loaded,
            false => FileCheck::Unchanged,
        })
    }

    /// DNS names in the certificate in use.
    pub(super) fn dns_names(&self) -> Vec<String> {
        self.shared.current.0.load().leaf.dns_names.clone()
    }

    /// Counts of exchanges since the start.
    pub fn exchanges(&self) -> Exchanges {
        *self.shared.exchanges.lock()
    }

    /// Exports the end of the certificate in use, and the exchanges, as metrics.
    pub fn count_in(&self, metrics: &Metrics) {
        let ends = metrics.net.certificate_ends.with_label_values(NO_LABELS);
        ends.set(self.shared.current.0.load().leaf.not_after_s);
        let Exchanges { exchanged, refused } = self.exchanges();
        for (outcome, times) in [("taken", exchanged), ("refused", refused)] {
            let counter = metrics
                .net
                .certificate_reloads
                .with_label_values(&[outcome]);
            counter.inc_by(times.saturating_sub(counter.get()));
        }
    }

    /// Replaces the certificate in use with that of the files; returns whether it differs.
    fn exchange(
        &self,
        checks: &mut FileChecks,
        seen: Fingerprint,
    ) -> Result<bool, CertificateError> {
        let shared = &self.shared;
        let now_s = seconds(shared.clock.as_ref());
        let ensured =
            certificates::ensure_again(&shared.dir, &shared.hosts, &shared.provider, now_s);
        let mut usable = match ensured {
            Ok(usable) => usable,
            Err(error) => {
                checks.refused(seen, now_s);
                shared.exchanges.lock().refused += 1;
                return Err(error);
            }
        };
        checks.taken(usable.seen.clone(), usable.check_at_s, now_s);
        let kept_for = usable.kept_for.take();
        let is_another = shared.current.0.load().certified.cert != usable.certified.cert;
        shared.current.0.store(Arc::new(usable));
        shared.exchanges.lock().exchanged += u64::from(is_another);
        match kept_for {
            None => Ok(is_another),
            Some(error) => {
                shared.exchanges.lock().refused += 1;
                Err(error)
            }
        }
    }

    /// The acceptor for a client whose server name [`super::hello`] has hidden, or for any other.
    pub(super) fn acceptor(&self, is_hidden: bool) -> &TlsAcceptor {
        match is_hidden {
            true => &self.restoring,
            false => &self.acceptor,
        }
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

fn seconds(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.now_us() / 1_000_000).unwrap_or(i64::MAX)
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
    // Tickets spare a reconnecting crowd the full handshake and cost the server no memory; one per connection is
    // enough.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

struct Current(ArcSwap<Usable>);

impl fmt::Debug for Current {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Current").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().certified))
    }
}
