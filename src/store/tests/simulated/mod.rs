//! A file system in memory that fails on demand and forgets what was not synced.
//!
//! A restart after a crash keeps of unsynced names a beginning, in their order, and of
//! unsynced bytes any blocks, by a seed. Its room can be taken by others.

mod disk;
mod fault;
mod file_system;
mod limits;
mod room;

pub(super) use fault::Fault;
pub(super) use file_system::SimulatedFileSystem;
pub(super) use limits::Lack;
