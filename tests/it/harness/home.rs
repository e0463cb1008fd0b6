//! Modes of files, and starts that must fail.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::{Home, Options, Outcome};

impl Home {
    pub fn mode(&self, name: impl AsRef<Path>) -> u32 {
        let path = self.path(name);
        let metadata = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        metadata.permissions().mode() & 0o777
    }

    /// `serve`, expected to end by itself.
    pub async fn serve_fails(&self, options: &Options) -> Outcome {
        self.run(self.serve_command(options)).await
    }
}
