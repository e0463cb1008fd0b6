//! The data directory and its file system.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statfs, statvfs};
use rustix::process::geteuid;

use super::super::super::owner;
use super::super::facts::{Directory, Disk, Kind, Rights};

/// Most files whose owner is checked.
const ENTRIES_MAX: usize = 100_000;

/// Examines the data directory, with a trial write.
pub(super) fn directory(dir: &Path) -> Directory {
    let metadata = match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => return Directory::Unreadable(io::ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && dir.is_symlink() => {
            return Directory::Unreadable(io::Error::other("it is a link that leads nowhere"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Directory::Absent {
                can_be_made: can_write_in(dir),
            };
        }
        Err(error) => return Directory::Unreadable(error),
    };
    let owner = metadata.uid();
    Directory::There(Rights {
        mode: metadata.mode() & 0o7777,
        owner,
        user: geteuid().as_raw(),
        // A server run by root can write everything.
        foreign: if owner == 0 {
            None
        } else {
            foreign(dir, owner)
        },
        written: probe(dir),
    })
}

/// The first entry in or below the directory that has another owner.
fn foreign(dir: &Path, owner: u32) -> Option<(PathBuf, u32)> {
    let mut dirs = vec![dir.to_owned()];
    let mut looked_at = 0;
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(dir).into_iter().flatten();
        for entry in entries.filter_map(Result::ok) {
            // Removed meanwhile.
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.uid() != owner {
                return Some((entry.path(), found.uid()));
            }
            looked_at += 1;
            if looked_at > ENTRIES_MAX {
                return None;
            }
            if found.is_dir() {
                dirs.push(entry.path());
            }
        }
    }
    None
}

/// Writes and syncs a file.
fn probe(dir: &Path) -> io::Result<()> {
    owner::with_new_file(dir, |file| {
        file.write_all(b"relaybox doctor\n")?;
        file.sync_all()?;
        File::open(dir)?.sync_all()
    })
}

/// Whether files can be created in a directory that may itself have to be created.
pub(super) fn can_write_in(dir: &Path) -> bool {
    let Ok(dir) = std::path::absolute(dir) else {
        return false;
    };
    let nearest = dir
        .ancestors()
        .find(|dir| fs::symlink_metadata(dir).is_ok());
    nearest
        .is_some_and(|dir| dir.is_dir() && access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok())
}

/// The file system of a directory, existing or to be created.
pub(super) fn disk(dir: &Path) -> Option<Disk> {
    let dir = std::path::absolute(dir).ok()?;
    let nearest = dir.ancestors().find(|dir| dir.is_dir())?;
    let room = statvfs(nearest).ok()?;
    Some(Disk {
        kind: mounted(nearest)
            .and_then(|name| kind_by_name(&name))
            .unwrap_or(kind(statfs(nearest).ok()?.f_type as u64 & 0xffff_ffff)),
        total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
        free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        total_files: room.f_files,
        free_files: room.f_favail,
    })
}

/// The type of file system a directory is on, as mounted.
fn mounted(dir: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    parse_mounts(&mounts, &dir.canonicalize().ok()?)
}

/// Parses lines such as `user@host:/ /mnt/a\040b fuse.sshfs rw 0 0`. The last of several mounts at
/// one place counts.
fn parse_mounts(mounts: &str, dir: &Path) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(at), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let at = PathBuf::from(
            at.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\134", "\\"),
        );
        let depth = at.components().count();
        if dir.starts_with(&at) && best.is_none_or(|(deepest, _)| depth >= deepest) {
            best = Some((depth, name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}

/// Kinds that the magic number does not tell: all FUSE file systems share one.
fn kind_by_name(name: &str) -> Option<Kind> {
    const NETWORK: [&str; 16] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "ceph",
        "afs",
        "glusterfs",
        "davfs",
        "sshfs",
        "rclone",
        "s3fs",
        "goofys",
        "gcsfuse",
        "juicefs",
        "mount-s3",
    ];
    // ntfs-3g and exfat-fuse are mounted as fuseblk.
    const RIGHTLESS: [&str; 8] = [
        "vfat", "msdos", "exfat", "ntfs", "ntfs3", "ntfs-3g", "fuseblk", "fusefat",
    ];
    let name = name.strip_prefix("fuse.").unwrap_or(name);
    let known = |names: &[&'static str]| names.iter().find(|known| **known == name).copied();
    let network = known(&NETWORK).map(Kind::Network);
    network.or_else(|| known(&RIGHTLESS).map(Kind::Rightless))
}

/// Kind by magic number (statfs(2)).
fn kind(magic: u64) -> Kind {
    match magic {
        0x0102_1994 => Kind::Memory("tmpfs"),
        0x8584_58f6 => Kind::Memory("ramfs"),
        0x794c_7630 => Kind::Layer("overlayfs"),
        0x6969 => Kind::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Kind::Network("SMB"),
        0x0102_1997 => Kind::Network("9p"),
        0x00c3_6400 => Kind::Network("CephFS"),
        _ => Kind::Disk,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_probe_leaves_nothing_and_says_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let missing = probe(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("a/b");
        let (here, there) = (disk(dir.path()).unwrap(), disk(&absent).unwrap());
        assert_eq!(
            (here.kind, here.total_bytes),
            (there.kind, there.total_bytes)
        );
        assert!(here.total_bytes >= here.free_bytes && here.total_bytes > 0);
        assert!(matches!(
            directory(&absent),
            Directory::Absent { can_be_made: true }
        ));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(directory(&file), Directory::Unreadable(_)));
        assert!(!can_write_in(&file.join("below")));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(matches!(directory(&link), Directory::Unreadable(_)));
    }

    #[test]
    fn file_systems_are_known_by_the_name_that_they_were_mounted_with() {
        let mounts = "/dev/vda / ext4 rw 0 0\n\
            tmpfs /mnt tmpfs rw 0 0\n\
            user@host:/ /mnt/a\\040b fuse.sshfs rw 0 0\n\
            /dev/sdb1 /mnt/usb fuseblk rw 0 0\n\
            /dev/sdc1 /mnt/usb exfat rw 0 0\n";
        for (dir, name, kind) in [
            ("/var/lib", "ext4", None),
            ("/mnt/ab", "tmpfs", None),
            ("/mnt/a b/c", "fuse.sshfs", Some(Kind::Network("sshfs"))),
            ("/mnt/usb", "exfat", Some(Kind::Rightless("exfat"))),
        ] {
            let found = parse_mounts(mounts, Path::new(dir)).unwrap();
            assert_eq!(
                (found.as_str(), kind_by_name(&found)),
                (name, kind),
                "{dir}"
            );
        }
        assert!(mounted(Path::new("/")).is_some());
        for (name, kind) in [
            ("nfs4", Some(Kind::Network("nfs4"))),
            ("fuse.rclone", Some(Kind::Network("rclone"))),
            ("fuseblk", Some(Kind::Rightless("fuseblk"))),
            ("fuse.gocryptfs", None),
        ] {
            assert_eq!(kind_by_name(name), kind);
        }
    }

    #[test]
    fn file_systems_are_known_by_their_number() {
        assert_eq!(kind(0xef53), Kind::Disk);
        assert_eq!(kind(0x0102_1994), Kind::Memory("tmpfs"));
        assert_eq!(kind(0x6969), Kind::Network("NFS"));
    }
}
