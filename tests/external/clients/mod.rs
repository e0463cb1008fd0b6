//! The clients of examples/clients and of docs/CLIENTS.md, run as their users would: real libraries, a real browser,
//! and a server that is killed under them.

mod backend;
mod debian;
mod examples;
mod language;
mod libraries;
mod numbers;
mod peer;
mod program;
mod tools;
mod tungstenite;
