//! The `relaybox` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    relaybox::cli::run()
}
