//! A semaphore of the same size for each key, first come, first served.
//!
//! Invariants: at most `holders_max` permits of a key are held or waited for; a key without any is
//! forgotten.

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
    /// Permits that are held or waited for.
    holders: usize,
}

/// A place among the holders of a key, and the units that it holds.
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

    /// A place among the key's holders, without any unit yet; `None` where there are too many.
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
    /// Waits until so many units are free, and holds them.
    pub(super) async fn acquired(mut self, units: usize) -> Self {
        let semaphore = Arc::clone(&self.semaphore);
        // Nobody closes it.
        self.units = semaphore.acquire_many_owned(units as u32).await.ok();
        self
    }

    /// Waits for one unit, to be held for a shorter time than the place.
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
