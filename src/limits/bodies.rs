//! Memory budget for request bodies being read.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// Memory budget for all bodies, in bytes.
pub const BODIES_BYTES_MAX: usize = 64 << 20;

const UNIT_BYTES: usize = 64 << 10;

/// The first bytes of each body need no permit, so small bodies never wait.
const FREE_BYTES: usize = 16 << 10;

/// Longest wait of a body for memory; all waits of one body together stay below the time limit of a
/// request.
const WAIT: Duration = Duration::from_secs(10);

/// The body permits of one server.
#[derive(Debug)]
pub struct BodyPermits(Semaphore);

impl Default for BodyPermits {
    fn default() -> Self {
        Self(Semaphore::new(BODIES_BYTES_MAX / UNIT_BYTES))
    }
}

/// No memory became free within the time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMemory;

/// Memory for one body. Grows with the bytes received, so a body that only announces a large size
/// holds up nobody.
#[derive(Debug)]
pub struct BodyPermit<'a> {
    permits: &'a BodyPermits,
    bytes: usize,
    held: Option<SemaphorePermit<'a>>,
}

impl BodyPermits {
    /// A permit for the free start of a body.
    pub fn start(&self) -> BodyPermit<'_> {
        BodyPermit {
            permits: self,
            bytes: FREE_BYTES,
            held: None,
        }
    }
}

impl BodyPermit<'_> {
    /// Grows to `bytes` bytes.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub async fn grow(&mut self, bytes: usize) -> Result<(), NoMemory> {
        while bytes > self.bytes {
            let more = timeout(WAIT, self.permits.0.acquire()).await;
            // The semaphore is never closed.
            let more = more.ok().and_then(Result::ok).ok_or(NoMemory)?;
            self.bytes += UNIT_BYTES;
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_given_back() {
        let permits = BodyPermits::default();
        let all = BODIES_BYTES_MAX / UNIT_BYTES;
        let mut permit = permits.start();
        assert_eq!(permit.grow(FREE_BYTES).await, Ok(()));
        assert_eq!(permits.0.available_permits(), all);
        assert_eq!(permit.grow(FREE_BYTES + UNIT_BYTES + 1).await, Ok(()));
        assert_eq!(permits.0.available_permits(), all - 2);
        drop(permit);
        assert_eq!(permits.0.available_permits(), all);
    }
}
