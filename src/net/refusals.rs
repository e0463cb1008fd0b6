//! Logs failed TLS handshakes, throttled: anybody can cause as many as they like.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use rustls::{AlertDescription, Error};

use crate::limits::Throttle;

#[derive(Debug, Default)]
pub(super) struct Refusals(Throttle);

impl Refusals {
    /// Logs why a handshake failed, unless another line has just done so.
    pub(super) fn log(&self, peer: IpAddr, name: Option<&String>, error: &io::Error) {
        // Port checks and scanners are not clients that were refused.
        if name.is_none() && is_nobody(error) {
            return tracing::debug!(%peer, %error, "the TLS handshake failed");
        }
        let Some(times) = self.0.due() else {
            return tracing::debug!(%peer, name, %error, "the TLS handshake failed");
        };
        let reason = reason(error);
        tracing::info!(%peer, name, %error, times, "a TLS handshake failed{reason}");
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::TimedOut
    )
}

/// Explains an alert from the client, which the library only names.
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
