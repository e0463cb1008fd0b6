//! The report of a check.

use super::note::Note;
use crate::model::MsgId;
use crate::store::api::Damage;
use crate::store::journal::Position;

/// The condition of the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IndexCondition {
    /// Not checked: a server is using it.
    #[default]
    InUse,
    /// Not checked, since it could not be copied, for this reason.
    Unseen(String),
    /// Missing: rebuilt at the next start.
    Absent,
    /// Not checked, since it came with a copy: rebuilt at the next start.
    Copied,
    /// Valid.
    Fit,
    /// Rebuilt at the next start, for this reason.
    Unfit(String),
    /// The same, and possibly because it came with a copy.
    PerhapsCopied(String),
}

/// The outcome of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments read.
    pub segments: u64,
    /// Their frames.
    pub frames: u64,
    /// Messages in them.
    pub messages: u64,
    /// The highest id in them.
    pub newest: MsgId,
    /// Behind the last valid frame.
    pub end: Position,
    /// Bytes of a torn tail behind it.
    pub torn_bytes: u64,
    /// Whether the newest segment is sealed.
    pub sealed: bool,
    /// Oddities that are no damage.
    pub notes: Vec<Note>,
    /// Damage to the journal.
    pub damage: Vec<Damage>,
    /// Further damage that is not listed.
    pub more_damage: u64,
    /// The condition of the index.
    pub index: IndexCondition,
}

/// Receives progress: what is done, and the total.
pub type Progress<'a> = &'a dyn Fn(u64, u64);
