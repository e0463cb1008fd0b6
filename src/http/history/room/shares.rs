//! The same share for each key, of which whoever comes gets a part in turn.
//!
//! Invariants: of a key no more than so many have a part or wait for one; nothing is remembered of
//! a key of which nobody does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;

#[derive(Debug)]
pub(super) struct Shares<K> {
    each: usize,
    takers_max: usize,
    taken: Mutex<HashMap<K, Taken>>,
}

/// What is taken of a key's share.
#[derive(Debug)]
struct Taken {
    free: Arc<Semaphore>,
    /// Who has a part or waits for one.
    takers: usize,
}

/// A part of a key's share, or a place among those who wait for one.
#[derive(Debug)]
pub(super) struct Share<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    key: K,
    free: Arc<Semaphore>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    pub(super) fn new(each: usize, takers_max: usize) -> Arc<Self> {
        Arc::new(Self {
            each,
            takers_max,
            taken: Mutex::default(),
        })
    }

    /// A place among those who want a part of the key's share; `None` where there are too many.
    pub(super) fn enter(shares: &Arc<Self>, key: &K) -> Option<Share<K>> {
        let mut taken = lock(&shares.taken);
        let of_key = taken.entry(key.clone()).or_insert_with(|| Taken {
            free: Arc::new(Semaphore::new(shares.each)),
            takers: 0,
        });
        if of_key.takers >= shares.takers_max {
            return None;
        }
        of_key.takers += 1;
        Some(Share {
            shares: Arc::clone(shares),
            key: key.clone(),
            free: Arc::clone(&of_key.free),
            permit: None,
        })
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        lock(&self.taken).is_empty()
    }
}

impl<K: Hash + Eq> Share<K> {
    /// Waits until so much is free, and takes it.
    pub(super) async fn filled(mut self, units: usize) -> Self {
        let free = Arc::clone(&self.free);
        // Nobody closes it.
        self.permit = free.acquire_many_owned(units as u32).await.ok();
        self
    }

    /// Waits until one unit is free, for less time than this place is held.
    pub(super) async fn lent(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_owned().await.ok()
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        self.permit = None;
        let mut taken = lock(&self.shares.taken);
        if let Some(of_key) = taken.get_mut(&self.key) {
            of_key.takers -= 1;
            if of_key.takers == 0 {
                taken.remove(&self.key);
            }
        }
    }
}
