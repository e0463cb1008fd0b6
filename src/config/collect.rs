//! Collects the texts of the settings from flags, environment and file, the highest source first,
//! and reports unknown names. Parses no value.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::raw::{Raw, Raws};
use super::setting::{CLIENT_ENV_PREFIX, CONFIG_ENV, ENV_PREFIX, Setting, TOKEN_FILE_ENV};
use super::settings::{by_name, settings};
use super::source::{Env, FileText, Flags, Source, Sources};
use crate::model::nearest;

/// The content of all sources.
pub(super) struct Collected {
    pub(super) raws: Raws,
    /// About ignored names.
    pub(super) warnings: Vec<String>,
    /// Errors found before any value is parsed.
    pub(super) errors: Vec<ConfigError>,
}

/// The text of every setting, from the highest source that has it.
///
/// # Errors
/// The file is not TOML.
pub(super) fn collect(
    flags: &Flags,
    env: &Env,
    file: Option<&FileText>,
) -> Result<Collected, ConfigError> {
    let mut collected = Collected {
        raws: defaults(),
        warnings: Vec::new(),
        errors: Vec::new(),
    };
    if let Some(file) = file {
        collected.add_file(file)?;
    }
    collected.add_env(env);
    for setting in settings() {
        if let Some(texts) = flags.get(setting.name).filter(|texts| !texts.is_empty()) {
            let (texts, source) = (texts.clone(), Source::Flag(setting.flag));
            let raw = Raw {
                setting,
                texts,
                source,
            };
            collected.raws.insert(setting.name, raw);
        }
    }
    Ok(collected)
}

pub(super) fn defaults() -> Raws {
    let default = |setting: &'static Setting| {
        let raw = Raw::new(setting, setting.default, Source::Default);
        (setting.name, raw)
    };
    settings().iter().map(default).collect()
}

impl Collected {
    fn add_env(&mut self, env: &Env) {
        // Containers write an empty variable for "not set".
        for (name, text) in env.iter().filter(|(_, text)| !text.is_empty()) {
            if name == CONFIG_ENV || name.starts_with(CLIENT_ENV_PREFIX) {
                continue;
            }
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            let raw = if name == TOKEN_FILE_ENV {
                // In the file, tokens may be on lines of their own.
                let text = text.replace('\n', ",");
                by_name("token").map(|token| Raw::new(token, &text, Source::Env(TOKEN_FILE_ENV)))
            } else {
                let setting = settings().iter().find(|setting| setting.env == name);
                setting.map(|setting| Raw::new(setting, text, Source::Env(setting.env)))
            };
            match raw {
                Some(raw) => self.add_variable(raw),
                None => self.add_unknown_variable(rest),
            }
        }
    }

    fn add_variable(&mut self, raw: Raw) {
        let other = self.raws.get(raw.setting.name).map(|other| &other.source);
        if let Some(Source::Env(other)) = other {
            let expected = format!("this variable or {other}, and not both");
            self.errors.push(raw.invalid(expected));
        }
        self.raws.insert(raw.setting.name, raw);
    }

    /// Takes a variable without its prefix. Orchestrators set some of their own; a misspelled token
    /// declaration would otherwise surface only as refused clients.
    fn add_unknown_variable(&mut self, rest: &str) {
        let known = settings().iter().map(|setting| setting.env);
        let known = known.chain([CONFIG_ENV, TOKEN_FILE_ENV]);
        let near = nearest(rest, known.filter_map(|env| env.strip_prefix(ENV_PREFIX)));
        let hint = hint(near.map(|near| format!("{ENV_PREFIX}{near}")).as_deref());
        let what = format!("an environment variable that begins with {ENV_PREFIX}");
        if rest.starts_with("TOKEN") || near.is_some_and(|near| near.starts_with("TOKEN")) {
            let sentence = format!("{what} is unknown; {hint}");
            self.errors.push(ConfigError::Unknown(sentence));
        } else {
            let warning = format!("{what} is unknown and ignored; {hint}");
            self.warnings.push(warning);
        }
    }

    fn add_file(&mut self, file: &FileText) -> Result<(), ConfigError> {
        let line = |at: usize| line_of(&file.text, at);
        // Only the line: the library's message may contain a token.
        let table = DeTable::parse(&file.text).map_err(|error| ConfigError::Syntax {
            path: file.path.clone(),
            line: line(error.span().map_or(0, |span| span.start)),
        })?;
        for (key, value) in table.get_ref() {
            let source = Source::File {
                path: file.path.clone(),
                line: line(key.span().start),
            };
            let name: &str = key.get_ref();
            let Some(setting) = by_name(name) else {
                let known = settings().iter().map(|setting| setting.name);
                let hint = hint(nearest(name, known));
                let sentence = format!("{source}: the key in this line is unknown; {hint}");
                self.errors.push(ConfigError::Unknown(sentence));
                continue;
            };
            let raw = Raw {
                setting,
                texts: Vec::new(),
                source,
            };
            if let Some(texts) = texts(setting, value) {
                self.raws.insert(setting.name, Raw { texts, ..raw });
                continue;
            }
            let expected = match (is_text(setting), setting.list) {
                (true, true) => "a list of texts in quotes",
                (true, false) => "a text in quotes",
                (false, true) => "a list of texts or numbers",
                (false, false) => "one text, number or true/false",
            };
            self.errors.push(raw.invalid(expected));
        }
        Ok(())
    }
}

fn hint(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`relaybox serve --help` has all that are known".to_owned(),
    }
}

/// Whether any text is a valid value: a bare number is then a mistake that nothing else would
/// catch.
fn is_text(setting: &Setting) -> bool {
    matches!(setting.value, "DIR" | "PATH" | "NAME" | "FILTER")
}

/// A value as texts, as a flag would have them; `None`: not of that kind.
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

/// The settings file to read: the one named, else `relaybox.toml` in the data directory, which
/// flags or environment may have moved. The flag tells whether it must exist.
pub(super) fn file_path(sources: &Sources) -> (PathBuf, bool) {
    let from_env = |name: &str| sources.env.get(name).filter(|text| !text.is_empty());
    if let Some(path) = &sources.named {
        return (path.clone(), true);
    }
    if let Some(path) = from_env(CONFIG_ENV) {
        return (PathBuf::from(path), true);
    }
    let in_flags = sources.flags.get("data").and_then(|texts| texts.last());
    let dir = by_name("data").map_or("", |data| {
        let given = in_flags.or_else(|| from_env(data.env));
        given.map_or(data.default, String::as_str)
    });
    (Path::new(dir).join("relaybox.toml"), false)
}
