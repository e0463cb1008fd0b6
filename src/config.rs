//! Settings: default < `relaybox.toml` < environment `RELAYBOX_*` < flags → one valid [`Config`].
//!
//! Everything about one setting is its row in `settings.rs`: flags, help, the reading of all
//! sources and the list of what waits for a restart come from there. Only the settings file and the
//! file of declared tokens are read here; flags, environment and the open-file limit are handed in,
//! so that every rule can be tested as a function. A higher source replaces a lower one's list as a
//! whole. Invariants: a `Config` is valid as it is; no error, warning or `Debug` holds a token.

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

pub use cross_check::is_listened_on;
pub use declared_token::DeclaredToken;
pub use error::ConfigError;
pub use load::{Loaded, load, load_data, load_stopped, resolve};
pub use logging::LogFormat;
pub use setting::{
    CLIENT_ENV_PREFIX, CONFIG_ENV, ENV_PREFIX, Setting, TOKEN_FILE_ENV, TakesEffect,
};
pub use settings::{Config, settings};
pub use source::{Env, FileText, Flags, Source};

#[cfg(test)]
mod tests;
