//! Where a setting's text comes from: flags, environment, file. Collects, orders, and
//! points out what nobody knows; looks at no value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{CLIENT_ENV_PREFIX, CONFIG_ENV, ENV_PREFIX, Setting, settings};
use super::{ConfigError, Env, FileText, Flags};
use crate::model::nearest;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is built in.
    Default,
    /// In the settings file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In this environment variable.
    Env(&'static str),
    /// In this flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A setting's text and where it was written; one text, unless it is a list.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// Each setting's text from the highest source that has it, and warnings about the rest.
pub(super) fn collect(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
) -> Result<(BTreeMap<&'static str, Raw>, Vec<String>), ConfigError> {
    let mut warnings = Vec::new();
    let mut raws = BTreeMap::new();
    for setting in settings() {
        let values = split(setting, setting.default);
        let origin = Origin::Default;
        raws.insert(setting.name, Raw { values, origin });
    }
    if let Some(file) = file {
        raws.extend(from_file(file, &mut warnings)?);
    }
    raws.extend(from_env(env, &mut warnings));
    for setting in settings() {
        if let Some(values) = flags.get(setting.name).filter(|values| !values.is_empty()) {
            let values = values.clone();
            let origin = Origin::Flag(setting.flag);
            raws.insert(setting.name, Raw { values, origin });
        }
    }
    Ok((raws, warnings))
}

fn split(setting: &Setting, text: &str) -> Vec<String> {
    if !setting.list {
        return vec![text.to_owned()];
    }
    let entries = text.split(',').map(str::trim);
    entries
        .filter(|e| !e.is_empty())
        .map(str::to_owned)
        .collect()
}

fn from_env(env: &Env, warnings: &mut Vec<String>) -> BTreeMap<&'static str, Raw> {
    let mut raws = BTreeMap::new();
    for (name, text) in env {
        if name == CONFIG_ENV || name.starts_with(CLIENT_ENV_PREFIX) {
            continue;
        }
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        let Some(setting) = settings().iter().find(|setting| setting.env == name) else {
            let known = settings().iter().map(|setting| setting.env);
            let known = known.chain([CONFIG_ENV]);
            let near = nearest(rest, known.filter_map(|env| env.strip_prefix(ENV_PREFIX)));
            let near = near.map(|near| format!("{ENV_PREFIX}{near}"));
            let what = format!("an environment variable that begins with {ENV_PREFIX}");
            warnings.push(unknown(&what, near.as_deref()));
            continue;
        };
        // An empty variable is how containers write "not set".
        if !text.is_empty() {
            let values = split(setting, text);
            let origin = Origin::Env(setting.env);
            raws.insert(setting.name, Raw { values, origin });
        }
    }
    raws
}

fn unknown(what: &str, near: Option<&str>) -> String {
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`relaybox serve --help` has all that are known".to_owned(),
    };
    format!("{what} is unknown and ignored; {hint}")
}

fn from_file(
    file: &FileText,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<&'static str, Raw>, ConfigError> {
    let line = |at: usize| line_of(&file.text, at);
    // Only the place: what the library says may hold a token.
    let table = DeTable::parse(&file.text).map_err(|error| ConfigError::Syntax {
        path: file.path.clone(),
        line: line(error.span().map_or(0, |span| span.start)),
    })?;
    let mut raws = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let origin = Origin::File {
            path: file.path.clone(),
            line: line(key.span().start),
        };
        let name: &str = key.get_ref();
        let Some(setting) = settings().iter().find(|setting| setting.name == name) else {
            let known = settings().iter().map(|setting| setting.name);
            let warning = unknown("the key in this line", nearest(name, known));
            warnings.push(format!("{origin}: {warning}"));
            continue;
        };
        let values = texts(setting, value).ok_or_else(|| ConfigError::Invalid {
            setting: setting.name,
            origin: origin.clone(),
            expected: if setting.list {
                "a list of texts or numbers".to_owned()
            } else {
                "one text, number or true/false".to_owned()
            },
        })?;
        raws.insert(setting.name, Raw { values, origin });
    }
    Ok(raws)
}

/// A value as the texts that a flag would have had; `None`: not such a value.
fn texts(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    match value.get_ref() {
        DeValue::Array(entries) if setting.list => entries.iter().map(text).collect(),
        _ => text(value).map(|text| vec![text]),
    }
}

fn text(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The settings file to read: the one that was named, else `relaybox.toml` in the data
/// directory (which flags or environment may have moved). The flag says whether it must exist.
pub(super) fn file_path(flags: &Flags, env: &Env, named: Option<&Path>) -> (PathBuf, bool) {
    let from_env = |name: &str| env.get(name).filter(|text| !text.is_empty());
    if let Some(path) = named {
        return (path.to_owned(), true);
    }
    if let Some(path) = from_env(CONFIG_ENV) {
        return (PathBuf::from(path), true);
    }
    let data = settings().iter().find(|setting| setting.name == "data");
    let dir = flags
        .get("data")
        .and_then(|values| values.last())
        .or_else(|| data.and_then(|data| from_env(data.env)))
        .map_or_else(|| data.map_or("", |data| data.default), String::as_str);
    (Path::new(dir).join("relaybox.toml"), false)
}
