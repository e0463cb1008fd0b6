//! The settings' texts, each read as what it is to be.

use std::collections::BTreeMap;

use super::ConfigError;
use super::limits::{self, Bound};
use super::parse::{self, Parsed};
use super::settings::settings;
use super::source::Raw;
use crate::model::{Domain, PerDomain};

/// All settings' texts; every known name is in it.
pub(super) struct Values<'a>(pub(super) &'a BTreeMap<&'static str, Raw>);

impl Values<'_> {
    pub(super) fn raw(&self, name: &'static str) -> &Raw {
        self.0
            .get(name)
            .expect("every setting has at least its default")
    }

    pub(super) fn invalid(&self, setting: &'static str, expected: String) -> ConfigError {
        ConfigError::Invalid {
            setting,
            origin: self.raw(setting).origin.clone(),
            expected,
        }
    }

    pub(super) fn one<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Result<T, ConfigError> {
        let text = self.raw(name).values.last().map_or("", String::as_str);
        parse(text).map_err(|expected| self.invalid(name, expected))
    }

    pub(super) fn list<T: PartialEq>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let texts = &self.raw(name).values;
        if texts.len() > limits::LIST_ENTRIES_MAX {
            let expected = format!("at most {} entries", limits::LIST_ENTRIES_MAX);
            return Err(self.invalid(name, expected));
        }
        let mut list = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            // The text itself may be a secret in the wrong place.
            let which = match texts.len() {
                1 => String::new(),
                length => format!("; value {} of {length} is none", at + 1),
            };
            let value =
                parse(text).map_err(|expected| self.invalid(name, format!("{expected}{which}")))?;
            if !list.contains(&value) {
                list.push(value);
            }
        }
        Ok(list)
    }

    pub(super) fn size(&self, name: &'static str, bound: &Bound) -> Result<usize, ConfigError> {
        self.one(name, |text| {
            parse::size(text, bound).and_then(parse::to_usize)
        })
    }

    pub(super) fn count(&self, name: &'static str, bound: &Bound) -> Result<usize, ConfigError> {
        self.one(name, |text| {
            parse::count(text, bound).and_then(parse::to_usize)
        })
    }

    /// `VALUE` for all domains and `DOMAIN=VALUE` for some; `off` is no value. Where there is none for
    /// all, the default stays.
    pub(super) fn per_domain<T: Copy + PartialEq>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Result<PerDomain<T>, ConfigError> {
        let mut per_domain = PerDomain::default();
        let mut named: Vec<Option<Domain>> = Vec::new();
        for (domain, value) in self.list(name, |text| parse::per_domain(text, &parse))? {
            if named.contains(&domain) {
                let expected = "one value for all and one for each domain".to_owned();
                return Err(self.invalid(name, expected));
            }
            match domain.clone() {
                Some(domain) => _ = per_domain.domains.insert(domain, value),
                None => per_domain.all = value,
            }
            named.push(domain);
        }
        let setting = settings().iter().find(|setting| setting.name == name);
        let default = setting.map_or("", |setting| setting.default);
        if !named.contains(&None) && !default.is_empty() {
            let default = parse::or_off(parse)(default);
            per_domain.all = default.map_err(|expected| self.invalid(name, expected))?;
        }
        Ok(per_domain)
    }
}
