//! Project tokens declared in the settings: kept in memory alone, beside the stored ones.
//!
//! Invariant: a token that was ended stays ended until the next start, however often the settings are read.

use std::collections::{HashMap, HashSet};

use super::{Auth, secret};
use crate::model::{Domain, ProjectToken};

impl Auth {
    /// Adds a declared project token; only its hash is kept.
    pub fn declare(&self, domain: &Domain, token: &str) {
        let token = secret::stored(token);
        self.domains.write().change(domain, |entry| {
            entry.declared.retain(|known| known.sha256 != token.sha256);
            entry.declared.push(token);
        });
    }

    /// Replaces all declared tokens, and returns the domains whose declarations changed, in order of their names. A
    /// token that has been ended stays so as long as it is declared.
    pub fn redeclare<'a>(
        &self,
        tokens: impl IntoIterator<Item = (&'a Domain, &'a str)>,
    ) -> Vec<Domain> {
        let mut wanted: HashMap<Domain, Vec<ProjectToken>> = HashMap::new();
        for (domain, token) in tokens {
            let declared = wanted.entry(domain.clone()).or_default();
            declared.push(secret::stored(token));
        }
        let mut changed = Vec::new();
        let mut domains = self.domains.write();
        let known = domains.iter().map(|(domain, _)| domain);
        let names: HashSet<_> = known.chain(wanted.keys()).cloned().collect();
        for domain in names {
            let mut declared = wanted.remove(&domain).unwrap_or_default();
            domains.change(&domain, |entry| {
                for token in &mut declared {
                    let known = entry
                        .declared
                        .iter()
                        .find(|known| known.sha256 == token.sha256);
                    token.expires_at_ms = known.and_then(|known| known.expires_at_ms);
                }
                if entry.declared != declared {
                    entry.declared = declared;
                    changed.push(domain.clone());
                }
            });
        }
        changed.sort();
        changed
    }

    /// Ends the declared tokens of a domain at `at_ms` (now or in the past: at once), until the next start. Returns
    /// whether there were any.
    pub fn expire_declared(&self, domain: &Domain, at_ms: u64) -> bool {
        self.domains.write().change(domain, |entry| {
            for token in &mut entry.declared {
                token.expires_at_ms = Some(token.expires_at_ms.unwrap_or(u64::MAX).min(at_ms));
            }
            !entry.declared.is_empty()
        })
    }

    /// The domains with a declared token that has not been ended, in order of their names.
    pub fn declared(&self) -> Vec<Domain> {
        let domains = self.domains.read();
        let mut names: Vec<_> = domains
            .iter()
            .filter(|(_, entry)| entry.is_declared())
            .map(|(domain, _)| domain.clone())
            .collect();
        names.sort();
        names
    }
}
