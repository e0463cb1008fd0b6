//! The tokens and keys of each domain, and the index from project tokens to domains.
//!
//! Invariant: the index by token hash agrees with the domains' entries.

use std::collections::{HashMap, HashSet};

use super::secret;
use crate::model::{Domain, DomainRecord, ProjectToken};

/// Expiry of a declared token whose domain was removed: as if it had never been valid.
pub(super) const ENDED: Option<u64> = Some(0);

/// The tokens and keys of one domain.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) record: Option<DomainRecord>,
    pub(super) declared: Vec<ProjectToken>,
}

impl Entry {
    /// Whether any declared token has not been ended immediately.
    pub(super) fn is_declared(&self) -> bool {
        let mut tokens = self.declared.iter();
        tokens.any(|token| token.expires_at_ms != ENDED)
    }

    fn project_tokens(&self) -> impl Iterator<Item = &ProjectToken> {
        let stored = self.record.iter().flat_map(|record| &record.tokens);
        self.declared.iter().chain(stored)
    }

    fn hashes(&self) -> HashSet<[u8; 32]> {
        self.project_tokens().map(|token| token.sha256).collect()
    }

    /// The longest-lived token of this hash, if there is one.
    pub(super) fn project_token(&self, sha256: &[u8; 32]) -> Option<&ProjectToken> {
        self.project_tokens()
            .filter(|token| secret::same(&token.sha256, sha256))
            .filter(|token| token.expires_at_ms != ENDED)
            .max_by_key(|token| token.expires_at_ms.unwrap_or(u64::MAX))
    }
}

#[derive(Default)]
pub(super) struct Known {
    entries: HashMap<Domain, Entry>,
    /// Domains by the hash of a project token. The map hashes that hash with a secret key, so that lookup time reveals
    /// nothing about a token.
    by_token: HashMap<[u8; 32], HashSet<Domain>>,
}

impl Known {
    pub(super) fn get(&self, domain: &Domain) -> Option<&Entry> {
        self.entries.get(domain)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Domain, &Entry)> {
        self.entries.iter()
    }

    /// The project tokens of this hash, in any domain.
    pub(super) fn project_tokens<'a>(
        &'a self,
        sha256: &'a [u8; 32],
    ) -> impl Iterator<Item = &'a ProjectToken> {
        let domains = self.by_token.get(sha256).into_iter().flatten();
        let entries = domains.filter_map(|domain| self.entries.get(domain));
        entries.filter_map(|entry| entry.project_token(sha256))
    }

    /// Changes a domain's entry, and drops it if nothing is left in it.
    pub(super) fn change<T>(&mut self, domain: &Domain, change: impl FnOnce(&mut Entry) -> T) -> T {
        let entry = self.entries.entry(domain.clone()).or_default();
        let before = entry.hashes();
        let changed = change(entry);
        let after = entry.hashes();
        if entry.record.is_none() && entry.declared.is_empty() {
            self.entries.remove(domain);
        }
        for gone in before.difference(&after) {
            if let Some(domains) = self.by_token.get_mut(gone) {
                domains.remove(domain);
                if domains.is_empty() {
                    self.by_token.remove(gone);
                }
            }
        }
        for come in after.difference(&before) {
            let domains = self.by_token.entry(*come).or_default();
            domains.insert(domain.clone());
        }
        changed
    }
}
