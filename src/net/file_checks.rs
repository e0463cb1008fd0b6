//! Periodic checks of the certificate's files: their fingerprints, and whether they are due for
//! reading.

use std::io;

use aws_lc_rs::digest::{SHA256, digest};

use super::files::Files;
use super::pem;

/// Delay before a failed renewal is retried.
pub(super) const RETRY_S: i64 = 3600;

/// A clock this far behind the last reading was set back: times planned before are not waited for.
const SET_BACK_S: i64 = 3600;

/// State between two checks.
#[derive(Debug)]
pub(super) struct FileChecks {
    /// The files last read, usable or not.
    tried: Fingerprint,
    /// The changed files, as of the last check.
    changed: Option<Fingerprint>,
    /// When the certificate is read even if its files are unchanged. Seconds since the Unix epoch.
    check_at_s: i64,
    /// Time of the last reading, by the clock of that moment. Seconds since the Unix epoch.
    read_at_s: i64,
}

impl FileChecks {
    /// Starts with the certificate in use, just read.
    pub(super) fn new(seen: Fingerprint, check_at_s: i64, now_s: i64) -> Self {
        Self {
            tried: seen,
            changed: None,
            check_at_s,
            read_at_s: now_s,
        }
    }

    /// Whether to read the files seen now: they have changed, and the previous check saw the same.
    pub(super) fn have_changed(&mut self, seen: &Fingerprint) -> bool {
        if *seen == self.tried {
            self.changed = None;
            return false;
        }
        let is_settled = self.changed.as_ref() == Some(seen);
        self.changed = Some(seen.clone());
        is_settled
    }

    /// Whether to read the certificate although its files are unchanged.
    pub(super) fn is_due(&self, now_s: i64) -> bool {
        let was_set_back = now_s < self.read_at_s.saturating_sub(SET_BACK_S);
        (now_s >= self.check_at_s || was_set_back) && self.changed.is_none()
    }

    /// Records that the files seen are in use.
    pub(super) fn taken(&mut self, seen: Fingerprint, check_at_s: i64, now_s: i64) {
        *self = Self::new(seen, check_at_s, now_s);
    }

    /// Records that the files seen are unusable.
    pub(super) fn refused(&mut self, seen: Fingerprint, now_s: i64) {
        self.tried = seen;
        self.changed = None;
        if self.is_due(now_s) {
            self.check_at_s = now_s.saturating_add(RETRY_S);
        }
        self.read_at_s = now_s;
    }
}

/// Contents of the two files: hashes, as no copy of a key is kept, or why they are unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint([Result<Vec<u8>, io::ErrorKind>; 2]);

impl Fingerprint {
    /// Reads the files of a certificate directory.
    pub(super) fn of(files: &Files) -> Self {
        Self([&files.certificate, &files.key].map(|file| {
            let hash = |bytes: Vec<u8>| digest(&SHA256, &bytes).as_ref().to_vec();
            pem::read_bounded(file)
                .map(hash)
                .map_err(|error| error.kind())
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(certificate: u8, key: u8) -> Fingerprint {
        Fingerprint([certificate, key].map(|byte| Ok(vec![byte])))
    }

    #[test]
    fn only_what_two_looks_have_seen_is_read_and_only_once() {
        let mut checks = FileChecks::new(seen(1, 1), 1000, 0);
        let mut sees = |certificate, key| checks.have_changed(&seen(certificate, key));
        assert!(!sees(1, 1));
        // One file exchanged, then both.
        assert!(!sees(2, 1));
        assert!(!sees(2, 2));
        assert!(sees(2, 2));
        checks.taken(seen(2, 2), 2000, 0);
        assert!(!checks.have_changed(&seen(2, 2)));
        // A change that lasts for one check only.
        assert!(!checks.have_changed(&seen(3, 2)));
        assert!(!checks.have_changed(&seen(2, 2)));
        assert!(!checks.have_changed(&seen(3, 2)));
        assert!(checks.have_changed(&seen(3, 2)));
        checks.refused(seen(3, 2), 0);
        for _ in 0..3 {
            assert!(!checks.have_changed(&seen(3, 2)), "told of twice");
        }
        assert!(!checks.have_changed(&seen(2, 2)));
        assert!(checks.have_changed(&seen(2, 2)));
    }

    #[test]
    fn a_certificate_near_its_end_is_read_again_but_not_at_every_look() {
        let mut checks = FileChecks::new(seen(1, 1), 1000, 0);
        assert!(!checks.is_due(999));
        assert!(checks.is_due(1000));
        checks.refused(seen(1, 1), 1000);
        assert!(!checks.is_due(1000 + RETRY_S - 1));
        assert!(checks.is_due(1000 + RETRY_S));
        // Not while the files are being exchanged.
        assert!(!checks.have_changed(&seen(2, 1)));
        assert!(!checks.is_due(1000 + RETRY_S));
        checks.taken(seen(2, 2), 9000, 1000);
        assert!(!checks.is_due(8999));
    }

    #[test]
    fn a_clock_that_was_set_back_has_the_certificate_read_again() {
        let ahead = 1_000_000;
        let mut checks = FileChecks::new(seen(1, 1), 2 * ahead, ahead);
        assert!(!checks.is_due(ahead - SET_BACK_S));
        let now = ahead - SET_BACK_S - 1;
        assert!(checks.is_due(now));
        // Files that were unusable are tried again like any others.
        checks.refused(seen(1, 1), now);
        assert!(!checks.is_due(now + RETRY_S - 1));
        assert!(checks.is_due(now + RETRY_S));
        checks.taken(seen(1, 1), 2 * ahead, now);
        assert!(!checks.is_due(now));
    }
}
