//! What the certificate's files held at the last looks, and so whether they are to be read again.

use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use super::certificate_error::CertificateError;
use super::certificates::RETRY_S;
use super::files::Files;
use super::pem;

/// A clock that shows so much less than at the last reading was set back: what was planned by it is not waited for.
const SET_BACK_S: i64 = 3600;

/// What is known of the files from one look to the next.
#[derive(Debug)]
pub(super) struct Looks {
    /// What was read last, whether it could be used or not.
    tried: Fingerprint,
    /// What is different, as it was at the last look.
    changed: Option<Fingerprint>,
    /// When the certificate has to be read all the same. Seconds since the Unix epoch.
    look_at_s: i64,
    /// When it was read last, by the clock of that moment. Seconds since the Unix epoch.
    read_at_s: i64,
}

impl Looks {
    /// From a certificate on that is in use, and was read now.
    pub(super) fn new(seen: Fingerprint, look_at_s: i64, now_s: i64) -> Self {
        Self {
            tried: seen,
            changed: None,
            look_at_s,
            read_at_s: now_s,
        }
    }

    /// Whether what is seen now is to be read: it is new, and the look before saw the same.
    pub(super) fn have_changed(&mut self, seen: &Fingerprint) -> bool {
        if *seen == self.tried {
            self.changed = None;
            return false;
        }
        let is_settled = self.changed.as_ref() == Some(seen);
        self.changed = Some(seen.clone());
        is_settled
    }

    /// Whether the certificate has to be read though its files are the same.
    pub(super) fn is_due(&self, now_s: i64) -> bool {
        let was_set_back = now_s < self.read_at_s.saturating_sub(SET_BACK_S);
        (now_s >= self.look_at_s || was_set_back) && self.changed.is_none()
    }

    /// What was seen is in use.
    pub(super) fn taken(&mut self, seen: Fingerprint, look_at_s: i64, now_s: i64) {
        *self = Self::new(seen, look_at_s, now_s);
    }

    /// What was seen cannot be used.
    pub(super) fn refused(&mut self, seen: Fingerprint, now_s: i64) {
        self.tried = seen;
        self.changed = None;
        if self.is_due(now_s) {
            self.look_at_s = now_s.saturating_add(RETRY_S);
        }
        self.read_at_s = now_s;
    }
}

/// What the two files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([Content; 2]);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// By its hash: no copy of a key is kept.
    Hash(Vec<u8>),
    Unreadable(io::ErrorKind),
}

impl Fingerprint {
    /// Reads the files of a certificate directory.
    pub(super) fn of(dir: &Path) -> Self {
        let files = Files::of(dir);
        Self([&files.certificate, &files.key].map(|file| Content::of(file)))
    }
}

impl Content {
    fn of(file: &Path) -> Self {
        match pem::read(file) {
            Ok(bytes) => Self::Hash(digest(&SHA256, &bytes).as_ref().to_vec()),
            Err(CertificateError::Unreadable { error, .. }) => Self::Unreadable(error.kind()),
            Err(_) => Self::Unreadable(io::ErrorKind::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(certificate: u8, key: u8) -> Fingerprint {
        Fingerprint([certificate, key].map(|byte| Content::Hash(vec![byte])))
    }

    #[test]
    fn only_what_two_looks_have_seen_is_read_and_only_once() {
        let mut looks = Looks::new(seen(1, 1), 1000, 0);
        let mut sees = |certificate, key| looks.have_changed(&seen(certificate, key));
        assert!(!sees(1, 1));
        // Half exchanged, then wholly.
        assert!(!sees(2, 1));
        assert!(!sees(2, 2));
        assert!(sees(2, 2));
        looks.taken(seen(2, 2), 2000, 0);
        assert!(!looks.have_changed(&seen(2, 2)));
        // There for a moment only.
        assert!(!looks.have_changed(&seen(3, 2)));
        assert!(!looks.have_changed(&seen(2, 2)));
        assert!(!looks.have_changed(&seen(3, 2)));
        assert!(looks.have_changed(&seen(3, 2)));
        looks.refused(seen(3, 2), 0);
        for _ in 0..3 {
            assert!(!looks.have_changed(&seen(3, 2)), "told of twice");
        }
        assert!(!looks.have_changed(&seen(2, 2)));
        assert!(looks.have_changed(&seen(2, 2)));
    }

    #[test]
    fn a_certificate_near_its_end_is_read_again_but_not_at_every_look() {
        let mut looks = Looks::new(seen(1, 1), 1000, 0);
        assert!(!looks.is_due(999));
        assert!(looks.is_due(1000));
        looks.refused(seen(1, 1), 1000);
        assert!(!looks.is_due(1000 + RETRY_S - 1));
        assert!(looks.is_due(1000 + RETRY_S));
        // Not while its files are being exchanged.
        assert!(!looks.have_changed(&seen(2, 1)));
        assert!(!looks.is_due(1000 + RETRY_S));
        looks.taken(seen(2, 2), 9000, 1000);
        assert!(!looks.is_due(8999));
    }

    #[test]
    fn a_clock_that_was_set_back_has_the_certificate_read_again() {
        let ahead = 1_000_000;
        let mut looks = Looks::new(seen(1, 1), 2 * ahead, ahead);
        assert!(!looks.is_due(ahead - SET_BACK_S));
        let now = ahead - SET_BACK_S - 1;
        assert!(looks.is_due(now));
        // What could not be used then is tried again as any other.
        looks.refused(seen(1, 1), now);
        assert!(!looks.is_due(now + RETRY_S - 1));
        assert!(looks.is_due(now + RETRY_S));
        looks.taken(seen(1, 1), 2 * ahead, now);
        assert!(!looks.is_due(now));
    }
}
