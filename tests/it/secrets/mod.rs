//! No secret is in what is said of it, however it was spoiled: PROTOCOL section 8, and section 7 over HTTP.

mod keys;
mod leak;
mod spoil;
mod tokens;
