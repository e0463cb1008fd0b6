//! What backends do over HTTP: PROTOCOL sections 6 and 7.

mod openapi;
mod refusals;
mod tokens;

use super::Service;
