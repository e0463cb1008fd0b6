//! The simulated disk: inodes, names, and what of both is durable.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;

use super::fault::{Fault, Operation};
use super::limits::Limits;

const BLOCK_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) current: Vec<u8>,
    pub(super) synced: Vec<u8>,
    /// A sync has failed: later ones do not bring back what it lost.
    pub(super) poisoned: bool,
    /// So many bytes are its own, written or not.
    pub(super) reserved: u64,
}

#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Set(PathBuf, u64),
    Remove(PathBuf),
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) names: BTreeMap<PathBuf, u64>,
    pub(super) synced_names: BTreeMap<PathBuf, u64>,
    pub(super) unsynced_changes: Vec<NameChange>,
    pub(super) inodes: HashMap<u64, Inode>,
    pub(super) next_inode: u64,
    pub(super) armed: Option<(Fault, u32)>,
    pub(super) crashed: bool,
    pub(super) full_for: u32,
    pub(super) limits: Option<Limits>,
    pub(super) seed: u64,
}

pub(super) fn crashed() -> io::Error {
    io::Error::other("the world has stopped")
}

impl Disk {
    pub(super) fn random(&mut self, below: usize) -> usize {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.seed >> 33) as usize % below.max(1)
    }

    /// Counts an operation; `Ok(Some)` where it is to go wrong.
    pub(super) fn step(&mut self, operation: Operation) -> io::Result<Option<Fault>> {
        if self.crashed {
            return Err(crashed());
        }
        self.full_for = self.full_for.saturating_sub(1);
        match &mut self.armed {
            Some((_, after)) if *after > 0 => *after -= 1,
            Some((fault, _)) if fault.fits(operation) => {
                let fault = *fault;
                self.armed = None;
                match fault {
                    Fault::Crash => self.crashed = true,
                    Fault::Full(operations) => self.full_for = operations,
                    Fault::FailSync | Fault::ShortWrite => {}
                }
                if fault == Fault::Crash && operation != Operation::Write {
                    return Err(crashed());
                }
                if !matches!(fault, Fault::Full(_)) {
                    return Ok(Some(fault));
                }
            }
            _ => {}
        }
        let needs_space = matches!(operation, Operation::Write | Operation::Reserve);
        if self.full_for > 0 && needs_space {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(None)
    }

    /// Some blocks of what is unsynced, the others as they were.
    pub(super) fn torn(&mut self, inode: &Inode) -> Vec<u8> {
        let mut torn = inode.synced.clone();
        let whole = self.random(3);
        let blocks = inode.current.len().div_ceil(BLOCK_BYTES);
        if whole == 0 {
            return torn;
        }
        if whole == 1 {
            return inode.current.clone();
        }
        if self.random(2) == 0 {
            torn.truncate(inode.current.len());
        }
        for block in 0..blocks {
            if self.random(2) == 0 {
                continue;
            }
            let from = block * BLOCK_BYTES;
            let to = inode.current.len().min(from + BLOCK_BYTES);
            if torn.len() < to {
                torn.resize(to, 0);
            }
            torn[from..to].copy_from_slice(&inode.current[from..to]);
        }
        torn
    }

    pub(super) fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.unsynced_changes.push(change);
    }
}

pub(super) fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &NameChange) {
    match change {
        NameChange::Set(path, inode) => names.insert(path.clone(), *inode),
        NameChange::Remove(path) => names.remove(path),
    };
}
