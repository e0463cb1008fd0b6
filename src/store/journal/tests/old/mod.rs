//! The readers as they were before the scanner, to be held against it.
#![allow(dead_code)]

pub(super) mod check;
pub(crate) mod copy;
pub(super) mod reader;
pub(crate) mod scan;
mod segment;
mod stream;
mod walk;
