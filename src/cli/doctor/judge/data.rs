//! Whether messages are safe in their place, and how long the space lasts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::super::progress::{bytes, count, counted, time};
use super::super::facts::{Directory, Disk, Facts, Kind, Rights, ServerStatus};
use super::super::finding::{Check, Findings};
use crate::config::Config;
use crate::model::{MsgId, Retention};
use crate::store::Survey;

/// A disk or inode table with less free than this is nearly full.
const FREE_PERCENT_MIN: u64 = 10;
/// Segments that must fit: a new one, and one being rewritten.
const SEGMENTS_MIN: u64 = 2;
/// Inodes that must be free: segments and the index.
const FILES_MIN: u64 = 64;
/// Shorter periods say little about growth.
const GROWTH_US_MIN: u64 = DAY_US;
/// Warn when the disk fills up sooner.
const LEFT_DAYS_MIN: u64 = 30;

const DAY_US: u64 = 24 * 3600 * 1_000_000;

pub(super) fn judge(config: &Config, facts: &Facts, out: &mut Findings) {
    let dir = config.data.display().to_string();
    let kind = facts.disk.map(|disk| disk.kind);
    directory(&dir, &facts.data, kind, out);
    let store = match &facts.store {
        Ok(store) => store.as_ref(),
        Err(why) => {
            out.on(Check::Store)
                .problem(format!("no server starts on this data directory: {why}"));
            None
        }
    };
    if let Some(store) = store {
        new_retention(&config.retention, facts.now_us, store, out);
    }
    if let Some(disk) = &facts.disk {
        file_system(disk.kind, out);
        space(config, disk, out);
        retention(&config.retention, disk, store, out);
    }
    if let Some(store) = store {
        let size = bytes(store.bytes);
        out.on(Check::Store).ok(format!(
            "{size} of journal and index; `relaybox check` reads them all"
        ));
    }
    domains(config, facts, store, out);
}

fn directory(dir: &str, data: &Directory, kind: Option<Kind>, out: &mut Findings) {
    let tried = &mut out.on(Check::DataDirectory);
    match data {
        Directory::Absent { can_be_made: true } => {
            tried.ok(format!("there is no {dir} yet: the first start makes it"));
        }
        Directory::Absent { can_be_made: false } => tried.problem(format!(
            "there is no {dir}, and this user cannot make it: make it, for the server's user \
             (--data)"
        )),
        Directory::Unreadable(error) => tried.problem(format!(
            "{dir} cannot be used: {error}; it has to be a directory of the server's user"
        )),
        Directory::There(rights) => {
            match &rights.written {
                Ok(()) => tried.ok(format!("a file in {dir} can be written and made durable")),
                Err(error) => tried.problem(format!(
                    "a file in {dir} cannot be written and made durable: {error}; nothing is \
                     accepted then"
                )),
            }
            owners(dir, rights, kind, out);
        }
    }
}

fn owners(dir: &str, rights: &Rights, kind: Option<Kind>, out: &mut Findings) {
    let out = &mut out.on(Check::DataRights);
    let Rights {
        mode, owner, user, ..
    } = *rights;
    let root = 0;
    if let Some((path, other)) = &rights.foreign {
        out.problem(format!(
            "{} belongs to user {other}, but {dir} to user {owner}, whose server cannot write it: \
             chown -R {owner} {dir}",
            path.display()
        ));
    }
    let chmod = match kind {
        Some(Kind::Rightless(_)) => {
            "mount it for the server's user alone (uid=, umask=077): chmod does nothing there"
                .to_owned()
        }
        _ => format!("chmod 700 {dir}"),
    };
    if mode & 0o002 != 0 {
        out.problem(format!(
            "every user of this machine may remove and replace what is in {dir} (mode {mode:04o}): \
             {chmod}"
        ));
    } else if mode & 0o020 != 0 {
        out.warning(format!(
            "its group may remove and replace what is in {dir} (mode {mode:04o}): {chmod}"
        ));
    } else if mode & 0o007 != 0 {
        out.warning(format!(
            "every user of this machine may look into {dir} (mode {mode:04o}), which holds \
             messages and signing keys: {chmod}"
        ));
    }
    if user != owner && user == root {
        out.warning(format!(
            "{dir} belongs to user {owner}, but this ran as root, who may do everything: run it as \
             that user to know what the server may"
        ));
    } else if user != owner {
        out.warning(format!(
            "{dir} belongs to user {owner}, but this is user {user}"
        ));
    }
    if out.is_empty() {
        out.ok(format!("{dir} is closed to other users"));
    }
}

fn file_system(kind: Kind, out: &mut Findings) {
    let out = &mut out.on(Check::FileSystem);
    match kind {
        Kind::Disk => out.ok("one that outlives a restart"),
        Kind::Memory(name) => out.warning(format!(
            "{name} is memory: everything is lost when this machine restarts; choose a directory \
             on a disk (--data)"
        )),
        Kind::Layer(name) => out.warning(format!(
            "{name} goes with its container, and every message with it: put the data directory on \
             a volume"
        )),
        Kind::Network(name) => out.warning(format!(
            "{name} is on another machine: locks and fsync may not hold there, and every send \
             waits for it; take a local disk, and back up to that one"
        )),
        Kind::Rightless(name) => out.warning(format!(
            "{name} keeps no rights: whoever it was mounted for reads and writes everything on it; \
             take a file system of this machine's own"
        )),
    }
}

/// Whether less than [`FREE_PERCENT_MIN`] is free.
fn is_short(free: u64, total: u64) -> bool {
    u128::from(free) * 100 < u128::from(total) * u128::from(FREE_PERCENT_MIN)
}

fn space(config: &Config, disk: &Disk, out: &mut Findings) {
    let out = &mut out.on(Check::DiskSpace);
    let needed = config.segment_bytes.saturating_mul(SEGMENTS_MIN);
    let floor = config.limits.disk_free_min.bytes(disk.total_bytes);
    let (free, total) = (bytes(disk.free_bytes), bytes(disk.total_bytes));
    if disk.free_bytes < needed {
        out.problem(format!(
            "{free} are free, and two journal files take {}: sends are about to be refused; make \
             room",
            bytes(needed)
        ));
    } else if disk.free_bytes < floor {
        out.problem(format!(
            "{free} of {total} are free, less than {} (disk_free_min): user tokens send nothing; \
             make room",
            bytes(floor)
        ));
    } else if is_short(disk.free_bytes, disk.total_bytes) {
        out.warning(format!(
            "{free} of {total} are free: make room before it is full"
        ));
    }
    // Some file systems have no inode table to fill up.
    let files = count(disk.free_files);
    if disk.total_files > 0 && disk.free_files < FILES_MIN {
        out.problem(format!(
            "{files} more files (inodes) can be made, and sends are about to be refused: remove \
             files"
        ));
    } else if is_short(disk.free_files, disk.total_files) {
        let all = count(disk.total_files);
        out.warning(format!(
            "{files} of {all} files (inodes) are free: remove some before none is"
        ));
    }
    if out.is_empty() {
        out.ok(format!("{free} of {total} are free"));
    }
}

fn retention(retention: &Retention, disk: &Disk, store: Option<&Survey>, out: &mut Findings) {
    let out = &mut out.on(Check::Retention);
    if !out.is_empty() {
        return;
    }
    if let Some(kept) = retention.all {
        let kept = humantime::format_duration(kept);
        return out.ok(format!(
            "messages are kept for {kept}, where a domain has no time of its own"
        ));
    }
    let growth = store.and_then(growth_per_day);
    let left_days = growth.map(|growth| disk.free_bytes / growth.max(1));
    let is_soon = left_days.is_some_and(|days| days < LEFT_DAYS_MIN);
    if !is_soon && !is_short(disk.free_bytes, disk.total_bytes) {
        return out.ok("messages are kept for ever, and there is room");
    }
    let stored = store.map_or(0, |store| store.bytes);
    let pace = match (growth, left_days) {
        (Some(growth), Some(days)) => format!(
            " and grow by about {} a day, for which there is room for {}",
            bytes(growth),
            counted(days, "day")
        ),
        _ => String::new(),
    };
    out.warning(format!(
        "messages are kept for ever; they take {}{pace}: set --retention, or give them a larger \
         disk",
        bytes(stored)
    ));
}

/// Retention settings that erase more than those last in force.
fn new_retention(wanted: &Retention, now_us: u64, store: &Survey, out: &mut Findings) {
    let before = |kept: Duration| MsgId(now_us.saturating_sub(kept.as_micros() as u64));
    let erases = |kept: Duration| {
        let kept_text = humantime::format_duration(kept);
        let from = time(before(kept));
        format!("what is older than {kept_text}, from before {from}")
    };
    let is_new = |kept: &Duration| store.oldest != MsgId::ZERO && before(*kept) >= store.oldest;
    let mut erased = Vec::new();
    let stricter = |kept: Option<Duration>, old: Option<Duration>| {
        kept.filter(|kept| old.is_none_or(|old| *kept < old))
    };
    if let Some(kept) = stricter(wanted.all, store.retention.all).filter(is_new) {
        erased.push(erases(kept));
    }
    // Domains of both: one that is no longer named may lose messages, too.
    let named = wanted.domains.keys().chain(store.retention.domains.keys());
    for domain in named.collect::<BTreeSet<_>>() {
        let stricter = stricter(wanted.of(domain), store.retention.of(domain));
        if let Some(kept) = stricter.filter(is_new) {
            erased.push(format!("of the domain {domain} {}", erases(kept)));
        }
    }
    let Some(more) = erased.len().checked_sub(1) else {
        return;
    };
    let first = &erased[0];
    let more = match more {
        0 => String::new(),
        more => format!("; and of {}", counted(more as u64, "more domain")),
    };
    out.on(Check::Retention).warning(format!(
        "new settings: a minute behind the start or the reload that takes them over they erase \
         {first}{more}, for good; the oldest message is of {}",
        time(store.oldest)
    ));
}

/// Average bytes per day over the whole stored period.
fn growth_per_day(store: &Survey) -> Option<u64> {
    let time_us = store.newest.0.saturating_sub(store.oldest.0);
    if store.oldest.0 == 0 || time_us < GROWTH_US_MIN {
        return None;
    }
    let growth = u128::from(store.bytes) * u128::from(DAY_US) / u128::from(time_us);
    u64::try_from(growth).ok()
}

fn domains(config: &Config, facts: &Facts, store: Option<&Survey>, out: &mut Findings) {
    let out = &mut out.on(Check::Domains);
    match (&facts.server, store.and_then(|store| store.has_domains)) {
        (ServerStatus::Running { domains: 0, .. }, _) => out.warning(
            "the running server has no domain, and nobody can log in: relaybox domain add NAME",
        ),
        (ServerStatus::Running { domains, .. }, _) => {
            out.ok(format!(
                "the running server has {}",
                counted(*domains as u64, "domain")
            ));
        }
        _ if !config.token.is_empty() => {
            let declared = counted(config.token.len() as u64, "project token");
            out.ok(format!("the settings declare {declared}"));
        }
        (_, Some(true)) => out.ok("some have been made: relaybox domain list"),
        (_, Some(false)) => out.ok(FIRST_START),
        (_, None) if facts.store.as_ref().is_ok_and(Option::is_none) => out.ok(FIRST_START),
        (_, None) => {}
    }
}

const FIRST_START: &str = "there is none yet: the first start makes `demo` and prints its token";
