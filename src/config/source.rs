//! Where a setting's text comes from: flags, environment, file. Collects, orders, and
//! points out what nobody knows; looks at no value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{
    CLIENT_ENV_PREFIX, CONFIG_ENV, ENV_PREFIX, Setting, TOKEN_FILE_ENV, settings,
};
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

/// The settings' texts by their names.
pub(super) type Raws = BTreeMap<&'static str, Raw>;

/// What was found in all sources.
pub(super) struct Collected {
    /// Each setting's text from the highest source that has it.
    pub(super) raws: Raws,
    /// About what is ignored.
    pub(super) warnings: Vec<String>,
    /// What is wrong before any value is looked at.
    pub(super) flaws: Vec<ConfigError>,
}

/// Collects the settings' texts.
///
/// # Errors
/// The file is not TOML.
pub(super) fn collect(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
) -> Result<Collected, ConfigError> {
    let (mut warnings, mut flaws) = (Vec::new(), Vec::new());
    let defaults = settings()
        .iter()
        .map(|setting| (setting.name, default(setting)));
    let mut raws: Raws = defaults.collect();
    if let Some(file) = file {
        raws.extend(from_file(file, &mut flaws)?);
    }
    raws.extend(from_env(env, &mut warnings, &mut flaws));
    for setting in settings() {
        if let Some(values) = flags.get(setting.name).filter(|values| !values.is_empty()) {
            let values = values.clone();
            let origin = Origin::Flag(setting.flag);
            raws.insert(setting.name, Raw { values, origin });
        }
    }
    Ok(Collected {
        raws,
        warnings,
        flaws,
    })
}

fn default(setting: &Setting) -> Raw {
    Raw {
        values: split(setting, setting.default),
        origin: Origin::Default,
    }
}

/// Puts a setting's default in the place of what was written; whether something was.
pub(super) fn take_default(raws: &mut Raws, name: &'static str) -> bool {
    let setting = settings().iter().find(|setting| setting.name == name);
    let replaced = setting.and_then(|setting| raws.insert(name, default(setting)));
    replaced.is_some_and(|raw| raw.origin != Origin::Default)
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

fn from_env(env: &Env, warnings: &mut Vec<String>, flaws: &mut Vec<ConfigError>) -> Raws {
    let mut raws = BTreeMap::new();
    // An empty variable is how containers write "not set".
    for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
        if name == CONFIG_ENV || name.starts_with(CLIENT_ENV_PREFIX) {
            continue;
        }
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            continue;
        };
        let of_file = name == TOKEN_FILE_ENV;
        let known = |setting: &&Setting| setting.env == name || of_file && setting.name == "token";
        let Some(setting) = settings().iter().find(known) else {
            unknown_variable(rest, warnings, flaws);
            continue;
        };
        // In a file each may have a line.
        let values = match of_file {
            true => split(setting, &text.replace('\n', ",")),
            false => split(setting, text),
        };
        let origin = Origin::Env(if of_file { TOKEN_FILE_ENV } else { setting.env });
        if let Some(other) = raws.insert(setting.name, Raw { values, origin }) {
            flaws.push(ConfigError::Invalid {
                setting: setting.name,
                origin: Origin::Env(TOKEN_FILE_ENV),
                expected: format!("this variable or {}, and not both", other.origin),
            });
        }
    }
    raws
}

/// Says what may be meant by a variable, without its prefix. Orchestrators set some of their own; one that is to
/// declare a token is missed only when its clients are refused.
fn unknown_variable(rest: &str, warnings: &mut Vec<String>, flaws: &mut Vec<ConfigError>) {
    let known = settings().iter().map(|setting| setting.env);
    let known = known.chain([CONFIG_ENV, TOKEN_FILE_ENV]);
    let near = nearest(rest, known.filter_map(|env| env.strip_prefix(ENV_PREFIX)));
    let hint = hint(near.map(|near| format!("{ENV_PREFIX}{near}")).as_deref());
    let what = format!("an environment variable that begins with {ENV_PREFIX}");
    let token = "TOKEN";
    if rest.starts_with(token) || near.is_some_and(|near| near.starts_with(token)) {
        flaws.push(ConfigError::Unknown(format!("{what} is unknown; {hint}")));
    } else {
        warnings.push(format!("{what} is unknown and ignored; {hint}"));
    }
}

fn hint(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`relaybox serve --help` has all that are known".to_owned(),
    }
}

fn from_file(file: &FileText, flaws: &mut Vec<ConfigError>) -> Result<Raws, ConfigError> {
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
            let hint = hint(nearest(name, known));
            let sentence = format!("{origin}: the key in this line is unknown; {hint}");
            flaws.push(ConfigError::Unknown(sentence));
            continue;
        };
        let Some(values) = texts(setting, value) else {
            let expected = match (is_text(setting), setting.list) {
                (true, true) => "a list of texts in quotes",
                (true, false) => "a text in quotes",
                (false, true) => "a list of texts or numbers",
                (false, false) => "one text, number or true/false",
            };
            flaws.push(ConfigError::Invalid {
                setting: setting.name,
                origin,
                expected: expected.to_owned(),
            });
            continue;
        };
        raws.insert(setting.name, Raw { values, origin });
    }
    Ok(raws)
}

/// Whether any text may be its value: a number in its place is a slip that nothing else would show.
fn is_text(setting: &Setting) -> bool {
    matches!(setting.value, "DIR" | "PATH" | "NAME" | "FILTER")
}

/// A value as the texts that a flag would have had; `None`: not such a value.
fn texts(setting: &Setting, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    let one = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ if is_text(setting) => None,
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    };
    match value.get_ref() {
        DeValue::Array(entries) if setting.list => entries.iter().map(one).collect(),
        _ => one(value).map(|text| vec![text]),
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
