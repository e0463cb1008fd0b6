//! The data directory as a whole: its layout, its lock, its owner, and its small files.

mod backup_mark;
mod claim;
mod held;
pub(crate) mod hold;
mod holder;
pub(crate) mod layout;
mod owner;
pub(crate) mod retention;

pub(crate) use backup_mark::{BACKUP, Mark};
pub use claim::Claim;
pub(crate) use held::HeldFileSystem;
pub(crate) use hold::Hold;
pub use holder::{Holder, holder};
pub(crate) use layout::{ASIDE, COMPACTION_DUE, is_aside};
pub use owner::{Owner, owner_of};
pub(crate) use retention::{FILE, applied, encode};
