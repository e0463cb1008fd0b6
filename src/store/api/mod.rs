//! The store's public types: options, answers and errors. No logic; uses nothing else of the store.

mod answers;
mod error;
mod opening;
mod options;
mod portion;

pub use answers::{
    Accepted, Backlog, CommitSink, DiskBytes, DiskRoom, Done, EnterDone, Entered, StoreStats,
};
pub(crate) use error::io_error;
pub use error::{AppendError, Damage, FileError, OpenError, ReadError};
pub use opening::Opening;
pub(crate) use opening::Work;
pub use options::StoreOptions;
pub use portion::Portion;
pub(crate) use portion::Reading;
