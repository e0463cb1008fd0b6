//! Tells the operator of TLS handshakes that failed, now and then: anybody can make them fail as often as they like.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::{AlertDescription, Error};
use tokio::time::Instant;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// The handshakes of a listener that failed.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    told: Option<Instant>,
    /// Since the last line.
    times: u64,
}

impl Refusals {
    /// Logs why a handshake failed, unless another line has just done so.
    pub(super) fn tell(&self, peer: IpAddr, name: Option<&String>, error: &io::Error) {
        // Probes that only connect, and scanners, are no clients that are kept out.
        if name.is_none() && is_nobody(error) {
            return tracing::debug!(%peer, %error, "the TLS handshake failed");
        }
        let Some(times) = self.due() else {
            return tracing::debug!(%peer, name, %error, "the TLS handshake failed");
        };
        let reason = reason(error);
        tracing::info!(%peer, name, %error, times, "a TLS handshake failed{reason}");
    }

    /// How often one has failed since the last line, if it is time for the next.
    fn due(&self) -> Option<u64> {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.times += 1;
        let is_due = counted.told.is_none_or(|told| told.elapsed() >= INTERVAL);
        is_due.then(|| {
            counted.told = Some(Instant::now());
            std::mem::take(&mut counted.times)
        })
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::TimedOut
    )
}

/// What an alert of the client means, which the library only names.
fn reason(error: &io::Error) -> &'static str {
    let tls = error.get_ref().and_then(|error| error.downcast_ref());
    let Some(Error::AlertReceived(alert)) = tls else {
        return "";
    };
    match alert {
        AlertDescription::UnknownCA => ": the client does not know the CA of the certificate",
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => ": the client refuses the certificate",
        AlertDescription::CertificateExpired => {
            ": by the client's clock the certificate is not valid"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_in_ten_seconds_says_how_many_there_were() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due(), Some(1));
        for _ in 0..5 {
            assert_eq!(refusals.due(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(refusals.due(), Some(6));
        assert_eq!(refusals.due(), None);
    }
}
