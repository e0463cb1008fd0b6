//! What tells a file from every copy of it.

use std::path::Path;

use bincode::{Decode, Encode};
use rustix::fs::{AtFlags, CWD, StatxFlags, StatxTimestamp};

/// At most so long after its creation a file is renamed into place.
const NAMED_WITHIN_NS: u64 = 10_000_000_000;

/// Written into a file when it is made, it matches that file and no copy of it. It survives a
/// rename and an image of the whole file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum FileIdentity {
    /// The file system offers none.
    Unknown,
    /// The birth time, in nanoseconds of Unix time. No copying tool can set it.
    Born(u64),
    /// Without a birth time. Inode numbers are reused at once, and a tool may write into an
    /// existing file, so the number counts only with a time that no tool can set.
    Inode {
        /// The file system, the same over restarts of the machine.
        file_system: u64,
        inode: u64,
        /// The ctime, in nanoseconds of Unix time.
        changed_ns: u64,
    },
}

impl FileIdentity {
    /// That of the file at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        let wanted = StatxFlags::BTIME | StatxFlags::CTIME | StatxFlags::INO;
        let Ok(found) = rustix::fs::statx(CWD, path, AtFlags::empty(), wanted) else {
            return Self::Unknown;
        };
        let has = |what: StatxFlags| found.stx_mask & what.bits() == what.bits();
        let born_ns = nanoseconds(found.stx_btime).filter(|_| has(StatxFlags::BTIME));
        if let Some(born_ns) = born_ns.filter(|born_ns| *born_ns > 0) {
            return Self::Born(born_ns);
        }
        let changed_ns = nanoseconds(found.stx_ctime);
        let changed_ns = changed_ns.filter(|_| has(StatxFlags::CTIME | StatxFlags::INO));
        let file_system = rustix::fs::statvfs(path).map_or(0, |status| status.f_fsid);
        match changed_ns {
            // Network file systems and FUSE have no identity, and their files no lasting numbers.
            Some(changed_ns) if file_system != 0 => Self::Inode {
                file_system,
                inode: found.stx_ino,
                changed_ns,
            },
            _ => Self::Unknown,
        }
    }

    /// Whether this, written into a file, is the identity `found` for that file now.
    pub(crate) fn is_still(self, found: Self) -> bool {
        match (self, found) {
            (
                Self::Inode {
                    file_system,
                    inode,
                    changed_ns,
                },
                Self::Inode {
                    file_system: found_file_system,
                    inode: found_inode,
                    changed_ns: found_ns,
                },
            ) => {
                let since_ns = found_ns.checked_sub(changed_ns);
                (file_system, inode) == (found_file_system, found_inode)
                    && since_ns.is_some_and(|since_ns| since_ns <= NAMED_WITHIN_NS)
            }
            (Self::Born(born_ns), Self::Born(found_ns)) => born_ns == found_ns,
            _ => false,
        }
    }
}

fn nanoseconds(time: StatxTimestamp) -> Option<u64> {
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = seconds.checked_mul(1_000_000_000)?;
    nanoseconds.checked_add(time.tv_nsec.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_given_again_is_no_identity() {
        let of = |file_system, inode, seconds: u64| FileIdentity::Inode {
            file_system,
            inode,
            changed_ns: seconds * 1_000_000_000,
        };
        let noted = of(7, 12, 100);
        for seconds in [100, 103, 110] {
            assert!(noted.is_still(of(7, 12, seconds)), "{seconds}");
        }
        for other in [
            of(7, 12, 111),
            of(7, 12, 99),
            of(7, 13, 100),
            of(8, 12, 100),
            FileIdentity::Born(100),
            FileIdentity::Unknown,
        ] {
            assert!(!noted.is_still(other), "{other:?}");
        }
        let born = FileIdentity::Born(100);
        assert!(born.is_still(born) && !born.is_still(FileIdentity::Born(101)));
        assert!(!FileIdentity::Unknown.is_still(FileIdentity::Unknown));
    }
}
