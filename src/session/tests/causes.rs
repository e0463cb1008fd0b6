//! Reasons for which a session may, and must, end.

use super::case::WALL_MS;

/// Events for which a session may, and must, end.
#[derive(Debug, Default)]
pub(super) struct Causes {
    pub(super) replaced: bool,
    pub(super) stopped: bool,
    pub(super) revoked: bool,
    pub(super) read_failed: bool,
    pub(super) closed_by_client: Option<u16>,
    pub(super) expires_ms: Option<u64>,
}

impl Causes {
    pub(super) fn has_expired(&self, now_ms: u64) -> bool {
        let at_ms = self.expires_ms;
        at_ms.is_some_and(|at_ms| WALL_MS + now_ms >= at_ms)
    }
}
