//! The `relaybox` binary.

fn main() {}
