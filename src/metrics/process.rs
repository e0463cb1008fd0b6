//! Linux's figures about this process, under the names common to all Prometheus clients.
//!
//! Our own instead of the `prometheus` crate's collector: that needs `procfs` to read three files, and `procfs` takes
//! longer to build than any crate but two.

use std::fs;

use prometheus::{IntCounter, IntGauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::group::group;

group! {
    /// This process.
    pub(super) struct Process {
        /// Total user and system CPU time spent in seconds.
        cpu_seconds: IntCounter = "process_cpu_seconds_total";
        /// Maximum number of open file descriptors.
        max_fds: IntGauge = "process_max_fds";
        /// Number of open file descriptors.
        open_fds: IntGauge = "process_open_fds";
        /// Resident memory size in bytes.
        resident_memory: IntGauge = "process_resident_memory_bytes";
        /// Start time of the process since unix epoch in seconds.
        start_time: IntGauge = "process_start_time_seconds";
        /// Number of OS threads in the process.
        threads: IntGauge = "process_threads";
        /// Virtual memory size in bytes.
        virtual_memory: IntGauge = "process_virtual_memory_bytes";
    }
}

impl Process {
    /// Samples all of them. A value that Linux does not provide stays unchanged.
    pub(super) fn observe(&self) {
        if let Some(stat) = Stat::read() {
            let ticks = clock_ticks_per_second();
            // With two concurrent readers, the later one has nothing left to add.
            let cpu_seconds = stat.cpu_ticks / ticks;
            let counted = self.cpu_seconds.get();
            self.cpu_seconds.inc_by(cpu_seconds.saturating_sub(counted));
            self.threads.set(gauge(stat.threads));
            self.virtual_memory.set(gauge(stat.virtual_bytes));
            // Once, even if the clock is wrong now: Linux moves the time of the boot with every step of the clock, and
            // a step is no restart.
            if self.start_time.get() == 0
                && let Some(booted) = read("/proc/stat").as_deref().and_then(boot_time)
            {
                let started = stat.start_ticks / ticks;
                self.start_time.set(gauge(booted.saturating_add(started)));
            }
        }
        if let Some(resident) = resident_bytes() {
            self.resident_memory.set(gauge(resident));
        }
        if let Some(open) = open_fds() {
            self.open_fds.set(gauge(open));
        }
        if let Some(most) = getrlimit(Resource::Nofile).current {
            self.max_fds.set(gauge(most));
        }
    }
}

/// Resident memory of this process in bytes; zero if Linux does not provide it.
pub fn memory_bytes() -> u64 {
    resident_bytes().unwrap_or_default()
}

/// From `statm`: the figure in `stat` is inaccurate (proc_pid_stat(5)).
fn resident_bytes() -> Option<u64> {
    let statm = read("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page_size() as u64))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Open file descriptors. Since Linux 6.2 the size of the directory is their number (proc_pid_fd(5)).
fn open_fds() -> Option<u64> {
    let known = fs::metadata("/proc/self/fd").ok()?.len();
    if known > 0 {
        return Some(known);
    }
    // Except the one used to read the directory.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn gauge(value: u64) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The fields of `/proc/PID/stat` in use here (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// Since boot.
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&read("/proc/self/stat")?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, and may itself contain spaces and parentheses.
        let (_, behind_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
        // Numbered as in the manual, where 3 is the first field after the name.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

/// Boot time in seconds since the Unix epoch: the `btime` of `/proc/stat`.
fn boot_time(stat: &str) -> Option<u64> {
    let mut lines = stat.lines();
    let seconds = lines.find_map(|line| line.strip_prefix("btime "))?;
    seconds.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name_whatever_it_holds() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 903 0 0 0 150 25 0 0 20 0 12 0 4711 268435456 1024 18446744073709551615 1\n";
        let expected = Stat {
            cpu_ticks: 175,
            threads: 12,
            start_ticks: 4711,
            virtual_bytes: 268_435_456,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        for other in [
            "",
            "7 (a",
            "7 (a) S 1 7",
            "7 (a) S 1 7 7 0 -1 1 9 0 0 0 x 25 0 0 20 0 12 0 1 2 3",
        ] {
            assert_eq!(Stat::parse(other), None, "{other}");
        }
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1700000000\nprocesses 9\n"),
            Some(1_700_000_000)
        );
        assert_eq!(boot_time("cpu 1 2\nbtime\n"), None);
    }

    #[test]
    fn what_linux_tells_of_this_process_is_plausible() {
        let process = Process::register(&prometheus::Registry::new()).unwrap();
        process.observe();
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        assert!((now_s - 86_400..=now_s + 1).contains(&process.start_time.get()));
        assert!(process.resident_memory.get() > 1 << 20);
        assert!(process.virtual_memory.get() >= process.resident_memory.get());
        assert!(process.threads.get() >= 1);
        assert!((3..=process.max_fds.get()).contains(&process.open_fds.get()));
    }
}
