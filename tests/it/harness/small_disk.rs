//! A disk that is nearly full.

use std::fs::File;

use crate::support::small_disk::SmallDisk;

impl SmallDisk {
    /// Takes room until so many megabytes are left.
    pub fn leave(&self, megabytes: u64) {
        let room = rustix::fs::statvfs(&self.at).unwrap();
        let free_bytes = room.f_bavail * room.f_frsize;
        let taken_bytes = free_bytes.checked_sub(megabytes << 20).unwrap();
        let filler = File::create(self.at.join("filler")).unwrap();
        let flags = rustix::fs::FallocateFlags::empty();
        rustix::fs::fallocate(filler, flags, 0, taken_bytes).unwrap();
    }
}
