//! HTTP: what a request becomes. Thin handlers, no logic.

pub mod upgrade;
