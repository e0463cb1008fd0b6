//! The trailer: the last entry that a flush writes, by which its loss shows.
//!
//! sled takes up a log whose tail is unreadable as if nothing had stood there. What is lost with it
//! was written before the trailer, so a trailer older than the manifest says that something is.

use super::database::Index;
use super::engine::guarded;
use super::error::IndexError;
use super::fixed;
use super::manifest::Manifest;
use crate::store::age::AgeState;
use crate::store::data::Domains;

const KEY: &[u8] = b"frames";

impl Index {
    /// This index holds the journal's frames before `sequence`.
    pub(super) fn put_trailer(&self, sequence: u64) -> Result<(), IndexError> {
        self.trailer.insert(KEY, fixed::encode(sequence))?;
        Ok(())
    }

    /// What a build goes on with from `state`. An index without a trailer gets one.
    pub(crate) fn resume(
        &self,
        state: &Manifest,
    ) -> Result<(Domains, Option<AgeState>), IndexError> {
        guarded(|| {
            if !self.has_trailer(state)? {
                self.put_trailer(state.position.sequence)?;
            }
            Ok((self.domains()?, self.age()?))
        })
    }

    /// As in an index of an earlier version.
    #[cfg(test)]
    pub(crate) fn drop_trailer(&self) {
        assert!(!self.trailer.is_empty(), "there is one");
        self.trailer.remove(KEY).expect("sled is whole");
    }

    /// Whether there is a trailer; an index of an earlier version has none.
    ///
    /// # Errors
    /// `Damaged` if the trailer is older than `state`.
    pub(crate) fn has_trailer(&self, state: &Manifest) -> Result<bool, IndexError> {
        let Some(value) = self.trailer.get(KEY)? else {
            return Ok(false);
        };
        let sequence: u64 = fixed::decode(&value).ok_or("its trailer")?;
        match sequence < state.position.sequence {
            true => Err("the end of its log is lost".into()),
            false => Ok(true),
        }
    }
}
