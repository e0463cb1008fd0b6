//! Brings an index up to the journal: replays the journal into it, one memtable at a time.

mod builder;
mod error;
mod replay;
pub(crate) mod space;
mod writer;

pub(crate) use builder::Builder;
pub(crate) use error::BuildError;
pub(crate) use space::{check_space, file_space, flush_bytes, needed_bytes, space_for};
pub(crate) use writer::Site;
