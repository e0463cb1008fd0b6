//! Memory limit of the process: that of the machine or of its control groups.

use std::fs;
use std::path::Path;

/// In bytes; `None` if unknown.
pub(super) fn bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_bytes(Path::new("/sys/fs/cgroup"), &groups);
    machine_bytes(&machine).into_iter().chain(group).min()
}

/// Parses a line such as `MemTotal:       16318480 kB` (proc_meminfo(5)).
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let total = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// The lowest limit of the group and its ancestors (cgroups(7); version 2 is `0::/PATH`).
fn group_bytes(mount: &Path, groups: &str) -> Option<u64> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = mount.join(path);
    let groups = group.ancestors().take_while(|path| path.starts_with(mount));
    // Beyond `high` a group is throttled, beyond `max` killed; without a limit either file says
    // `max`.
    let files = groups.flat_map(|path| [path.join("memory.high"), path.join("memory.max")]);
    let texts = files.filter_map(|path| fs::read_to_string(path).ok());
    texts.filter_map(|text| text.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_linux_says_of_the_machine_is_read() {
        let text = "MemTotal:       16318480 kB\nMemFree:         1318480 kB\n";
        assert_eq!(machine_bytes(text), Some(16_318_480 << 10));
        for other in ["", "MemTotal:", "MemTotal: x kB", "MemTotal: 16318480"] {
            assert_eq!(machine_bytes(other), None, "{other}");
        }
        assert!(bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_narrowest_of_the_groups_counts() {
        let mount = tempfile::tempdir().unwrap();
        let unit = mount.path().join("system.slice/relaybox.service");
        fs::create_dir_all(&unit).unwrap();
        let groups = "1:name=systemd:/x\n0::/system.slice/relaybox.service\n";
        assert_eq!(group_bytes(mount.path(), groups), None);
        fs::write(unit.join("memory.max"), "max\n").unwrap();
        assert_eq!(group_bytes(mount.path(), groups), None);
        fs::write(mount.path().join("system.slice/memory.max"), "536870912\n").unwrap();
        fs::write(mount.path().join("memory.max"), "1073741824\n").unwrap();
        assert_eq!(group_bytes(mount.path(), groups), Some(512 << 20));
        assert_eq!(group_bytes(mount.path(), "0::/\n"), Some(1 << 30));
        fs::write(unit.join("memory.high"), "268435456\n").unwrap();
        assert_eq!(group_bytes(mount.path(), groups), Some(256 << 20));
        assert_eq!(group_bytes(mount.path(), ""), None);
    }
}
