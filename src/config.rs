//! Settings: default < `relaybox.toml` < environment `RELAYBOX_*` < flags → one valid [`Config`].
//!
//! Everything about a setting is in its row in `settings.rs`, which generates flags, help, parsing,
//! and the list of settings that need a restart. Only the settings file and the token file are read
//! here; flags, environment and the open-file limit are passed in, so that every rule can be tested
//! as a function. A list from a higher source replaces a lower one as a whole. Invariants: a
//! `Config` is valid; no error, warning or `Debug` contains a token.

mod collect;
mod cross_check;
mod declared_token;
mod error;
pub mod limits;
mod load;
mod logging;
mod open_files;
pub mod origins;
mod parse;
mod raw;
mod setting;
mod settings;
mod source;

pub use cross_check::{is_listened_on, is_loopback};
pub use declared_token::DeclaredToken;
pub use error::ConfigError;
pub use load::{Loaded, resolve};
pub use logging::LogFormat;
pub use setting::{
    CLIENT_ENV_PREFIX, CONFIG_ENV, ENV_PREFIX, Setting, TOKEN_FILE_ENV, TakesEffect,
};
pub use settings::{Config, settings};
pub use source::{Env, FileText, Flags, Source, Sources};

#[cfg(test)]
mod tests;
