//! What only these tests need of the support library.

pub mod links;
pub mod past;
pub mod raw;
pub mod stage;

mod client;
mod fleet;
mod home;
mod server;
mod small_disk;
