//! The report of a check.

use super::note::Note;
use crate::model::MsgId;
use crate::store::api::Damage;
use crate::store::journal::Position;

/// In what condition the index is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IndexCondition {
    /// Not looked at: a server is using it.
    #[default]
    InUse,
    /// Not looked at, as there was no place for a copy of it, for this reason.
    Unseen(String),
    /// There is none: it is made at the next start.
    Absent,
    /// It came with a copy, and is not looked at: it is rebuilt at the next start.
    Copied,
    /// It is right.
    Fit,
    /// It is rebuilt at the next start, for this reason.
    Unfit(String),
    /// The same, where nothing tells whether it came with a copy: it may then be as it was copied.
    PerhapsCopied(String),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Segments that were read.
    pub segments: u64,
    /// Their frames.
    pub frames: u64,
    /// Messages in them.
    pub messages: u64,
    /// The highest id in them.
    pub newest: MsgId,
    /// Behind the last right frame.
    pub end: Position,
    /// Bytes behind it that a crash left.
    pub torn_bytes: u64,
    /// Whether the newest segment is one that nobody writes on any more.
    pub sealed: bool,
    /// What there is to know beside the damage.
    pub notes: Vec<Note>,
    /// All that is wrong with the journal.
    pub damage: Vec<Damage>,
    /// What is wrong beyond that, and not in the list.
    pub more_damage: u64,
    /// The index.
    pub index: IndexCondition,
}

/// Tells how far a long work is, in bytes: what is done, and what there is in all.
pub type Progress<'a> = &'a dyn Fn(u64, u64);
