//! What only these tests need of the support library.

pub mod chromium;
pub mod devtools;
pub mod disk;
pub mod eraser;
pub mod reader;

mod brief;
mod small_disk;
