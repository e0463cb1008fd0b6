//! Unparsed texts of a setting, and their parsing as one value, a list, or values per domain.

use std::collections::BTreeMap;

use super::error::ConfigError;
use super::limits::LIST_ENTRIES_MAX;
use super::parse::{Parsed, domain_value, or_off};
use super::setting::Setting;
use super::source::Source;
use crate::model::{Domain, PerDomain};

/// The unparsed value of every setting, by name.
pub(super) type Raws = BTreeMap<&'static str, Raw>;

/// The unparsed value of a setting; no `Debug`, since it may contain a token.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) setting: &'static Setting,
    /// Exactly one, unless it is a list.
    pub(super) texts: Vec<String>,
    pub(super) source: Source,
}

impl Raw {
    /// From the text of an environment variable.
    pub(super) fn new(setting: &'static Setting, text: &str, source: Source) -> Self {
        let texts = if setting.list {
            let entries = text.split(',').map(str::trim);
            let entries = entries.filter(|entry| !entry.is_empty());
            entries.map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        };
        Self {
            setting,
            texts,
            source,
        }
    }

    pub(super) fn invalid(&self, expected: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            setting: self.setting.name,
            at: self.source.clone(),
            expected: expected.into(),
        }
    }

    pub(super) fn one<T>(&self, parse: impl Fn(&str) -> Parsed<T>) -> Result<T, ConfigError> {
        let text = self.texts.last().map_or("", String::as_str);
        parse(text).map_err(|expected| self.invalid(expected))
    }

    /// Repeated values count once.
    pub(super) fn list<T: PartialEq>(
        &self,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let length = self.texts.len();
        if length > LIST_ENTRIES_MAX {
            return Err(self.invalid(format!("at most {LIST_ENTRIES_MAX} entries")));
        }
        let mut list = Vec::new();
        for (at, text) in self.texts.iter().enumerate() {
            let value = parse(text).map_err(|expected| match length {
                1 => self.invalid(expected),
                // By position: the text may be a misplaced secret.
                _ => self.invalid(format!("{expected}; value {} of {length} is none", at + 1)),
            })?;
            if !list.contains(&value) {
                list.push(value);
            }
        }
        Ok(list)
    }

    /// `VALUE` for all domains and `DOMAIN=VALUE` for single ones; `off` is no value. Without one
    /// for all domains, the default applies.
    pub(super) fn per_domain<T: Copy + PartialEq>(
        &self,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Result<PerDomain<T>, ConfigError> {
        let mut values: BTreeMap<Option<Domain>, Option<T>> = BTreeMap::new();
        for (domain, value) in self.list(|text| domain_value(text, &parse))? {
            if values.insert(domain, value).is_some() {
                return Err(self.invalid("one value for all and one for each domain"));
            }
        }
        let all = match (values.remove(&None), self.setting.default) {
            (Some(all), _) => all,
            (None, "") => None,
            (None, default) => or_off(parse)(default).map_err(|expected| self.invalid(expected))?,
        };
        let domains = values.into_iter();
        Ok(PerDomain {
            all,
            domains: domains
                .filter_map(|(domain, value)| Some((domain?, value)))
                .collect(),
        })
    }
}
