//! Loads a valid [`Config`] from all sources.

use std::io;
use std::path::{Path, PathBuf};

use super::collect::{self, Collected};
use super::error::ConfigError;
use super::limits::FILE_BYTES_MAX;
use super::raw::Raws;
use super::setting::TOKEN_FILE_ENV;
use super::settings::Config;
use super::source::{Env, FileText, Flags, Sources};
use super::{cross_check, open_files};

/// Settings, and warnings for the operator.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// One sentence each: unknown names, values capped by the system.
    pub warnings: Vec<String>,
}

impl Sources {
    /// Reads the settings file and the token file named by the environment, and resolves all
    /// settings. Blocks on these files.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(mut self, open_files_max: Option<u64>) -> Result<Loaded, ConfigError> {
        let file = self.read_files()?;
        resolve(&self.flags, &self.env, file.as_ref(), open_files_max)
    }

    /// As [`Self::load`], for work on a stopped server's data. Skips the checks between settings,
    /// which may need flags given only to the server.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load_stopped(mut self) -> Result<Loaded, ConfigError> {
        let file = self.read_files()?;
        let (loaded, _) = read_each(&self.flags, &self.env, file.as_ref())?;
        Ok(loaded)
    }

    /// The data directory and the socket alone; the other settings need not be valid.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load_data(&self) -> Result<(PathBuf, Option<PathBuf>), ConfigError> {
        let file = self.read_settings()?;
        let mut raws = collect::defaults();
        let collected = collect::collect(&self.flags, &self.env, file.as_ref())?.raws;
        let needed = |name: &&str| matches!(*name, "data" | "socket");
        raws.extend(collected.into_iter().filter(|(name, _)| needed(name)));
        let config = Config::read(&raws).map_err(ConfigError::all)?;
        Ok((config.data, config.socket))
    }

    fn read_files(&mut self) -> Result<Option<FileText>, ConfigError> {
        let file = self.read_settings()?;
        let tokens = self.env.get_mut(TOKEN_FILE_ENV);
        if let Some(tokens) = tokens.filter(|path| !path.is_empty()) {
            // From here on, the value is the file's content instead of its name.
            *tokens = read(Path::new(&*tokens)).map_err(ConfigError::TokenFile)?;
        }
        Ok(file)
    }

    fn read_settings(&self) -> Result<Option<FileText>, ConfigError> {
        let (path, required) = collect::file_path(self);
        match read(&path) {
            Ok(text) => Ok(Some(FileText { path, text })),
            // The store reports a data directory that is not one.
            Err(source) if is_absent(&source) && !required => Ok(None),
            Err(source) => Err(ConfigError::Read { path, source }),
        }
    }
}

/// Resolves all settings from their sources. `open_files_max` is the process' open-file limit.
///
/// # Errors
/// Every error found, except [`ConfigError::Read`] and [`ConfigError::TokenFile`].
pub fn resolve(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
    open_files_max: Option<u64>,
) -> Result<Loaded, ConfigError> {
    let (mut loaded, raws) = read_each(flags, env, file)?;
    cross_check::check(&loaded.config, &raws)?;
    let cut = open_files::fit(&mut loaded.config, &raws, open_files_max);
    loaded.warnings.extend(cut);
    Ok(loaded)
}

/// Parses every setting on its own.
fn read_each(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
) -> Result<(Loaded, Raws), ConfigError> {
    let Collected {
        raws,
        mut warnings,
        mut errors,
    } = collect::collect(flags, env, file)?;
    match Config::read(&raws) {
        Ok(config) if errors.is_empty() => {
            warnings.extend(cross_check::short_tokens(&config, &raws));
            Ok((Loaded { config, warnings }, raws))
        }
        read => {
            errors.extend(read.err().into_iter().flatten());
            Err(ConfigError::all(errors))
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    // Tools that copy in blocks may append zeros.
    text.truncate(text.trim_end_matches('\0').len());
    Ok(text)
}
