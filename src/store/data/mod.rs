//! What the store keeps (sends, cursors, domains, watermarks), their stored form, and what
//! they count against a quota. Pure: no file, no clock, no lock.

pub(crate) mod body;
pub(crate) mod cursor;
mod devices;
mod domains;
mod id;
pub(crate) mod quota;
pub(crate) mod record;
mod sends;
#[cfg(test)]
mod tests;
mod watermarks;

pub(crate) use cursor::{Changes, CursorChange, CursorValue, push};
pub(crate) use devices::{Decision, Devices, Known, Moment, UserCursors};
pub(crate) use domains::{DomainState, Domains};
pub use quota::stored_bytes;
pub(crate) use record::Record;
pub(crate) use sends::{SendIds, SendKey, day};
pub(crate) use watermarks::LowWatermarks;
