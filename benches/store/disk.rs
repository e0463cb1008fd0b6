//! What a directory and this process take.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// Bytes of disk that a directory takes.
pub fn bytes(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        // A file that is gone meanwhile takes nothing.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += match metadata.is_dir() {
            true => self::bytes(&entry.path()),
            false => metadata.blocks() * 512,
        };
    }
    bytes
}

/// Removes a directory, if it is there.
pub fn clear(dir: &Path) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
}

/// Waits until all journal segments but the last are compressed.
pub fn wait_for_compression(dir: &Path) {
    const COMPRESSED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let is_compressed = |path: &Path| {
        use std::io::Read;
        let mut magic = [0; 4];
        let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && magic == COMPRESSED
    };
    loop {
        let files = fs::read_dir(dir.join("journal")).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.pop();
        if paths.iter().all(|path| is_compressed(path)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Resident memory of this process, now and at its peak, in bytes.
pub fn resident() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.unwrap().parse::<u64>().unwrap() << 10
    };
    (line("VmRSS:"), line("VmHWM:"))
}

/// Bytes as MiB.
pub fn mib(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}
