//! What can be done to the server, one operation a file: pure logic on store, hub and auth.
//!
//! Knows no socket, no HTTP and no close code.

pub mod domains;
