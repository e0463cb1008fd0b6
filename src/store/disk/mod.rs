//! Files, locks and free space, without knowledge of what is stored in them.

pub(crate) mod files;
mod identity;
mod locks;
mod names;
mod pacer;
pub(crate) mod reserve;
mod reserving;

pub(crate) use files::{
    Condition, FileSystem, FileWriter, JournalFile, OutOfSpace, RealFileSystem, Temporary,
};
pub(crate) use identity::FileIdentity;
pub(crate) use locks::{is_locked, try_lock};
pub(crate) use names::{Name, Names, is_gone};
pub(crate) use pacer::Pacer;
pub(crate) use reserve::{
    INDEX_FACTOR, INDEX_FILES, Lent, MEMTABLE_BYTES, OPEN_BYTES, RESERVE, Reserve, WRITE_FILES,
};
pub(crate) use reserving::ReservingFileSystem;
