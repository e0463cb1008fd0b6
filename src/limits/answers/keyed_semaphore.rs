//! A semaphore per key, all of the same size, first come, first served.
//!
//! Invariants: at most `holders_max` permits per key are held or waited for; a key without any is
//! dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(super) struct KeyedSemaphore<K> {
    units: usize,
    holders_max: usize,
    keys: Mutex<HashMap<K, Entry>>,
}

#[derive(Debug)]
struct Entry {
    semaphore: Arc<Semaphore>,
    /// Permits held or waited for.
    holders: usize,
}

/// A holder slot of a key, and the units it holds.
#[derive(Debug)]
pub(super) struct KeyedPermit<K: Hash + Eq> {
    keys: Arc<KeyedSemaphore<K>>,
    key: K,
    semaphore: Arc<Semaphore>,
    pub(super) units: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq + Clone> KeyedSemaphore<K> {
    pub(super) fn new(units: usize, holders_max: usize) -> Arc<Self> {
        Arc::new(Self {
            units,
            holders_max,
            keys: Mutex::default(),
        })
    }

    /// A holder slot of the key, without units yet; `None` if the key is full.
    pub(super) fn enter(self: &Arc<Self>, key: &K) -> Option<KeyedPermit<K>> {
        let mut keys = self.keys.lock();
        let entry = keys.entry(key.clone()).or_insert_with(|| Entry {
            semaphore: Arc::new(Semaphore::new(self.units)),
            holders: 0,
        });
        if entry.holders >= self.holders_max {
            return None;
        }
        entry.holders += 1;
        Some(KeyedPermit {
            keys: Arc::clone(self),
            key: key.clone(),
            semaphore: Arc::clone(&entry.semaphore),
            units: None,
        })
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.keys.lock().is_empty()
    }
}

impl<K: Hash + Eq> KeyedPermit<K> {
    /// Waits until `units` units are free and takes them.
    pub(super) async fn acquired(mut self, units: usize) -> Self {
        let semaphore = Arc::clone(&self.semaphore);
        // The semaphore is never closed.
        self.units = semaphore.acquire_many_owned(units as u32).await.ok();
        self
    }

    /// Waits for one unit to hold for less time than the holder slot.
    pub(super) async fn acquire_one(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }
}

impl<K: Hash + Eq> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        self.units = None;
        let mut keys = self.keys.keys.lock();
        if let Some(entry) = keys.get_mut(&self.key) {
            entry.holders -= 1;
            if entry.holders == 0 {
                keys.remove(&self.key);
            }
        }
    }
}
