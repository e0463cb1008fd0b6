//! Domains: add, list, remove, rotate, and minting user tokens.
//!
//! The same operations serve the running server and the command line on a stopped one. They block
//! on the disk. Invariants: the store is written before [`Auth`] learns of a change, so nothing is
//! ever allowed or refused that a restart would judge otherwise; a token leaves this module once,
//! in the answer to the caller that asked for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::{error, info};

use crate::auth::{self, Auth, MintError};
use crate::clock::Clock;
use crate::model::{Domain, DomainRecord, SigningKey, UserId, UserName};
use crate::store::{AppendError, Store};

/// Longest grace period of a rotated token, in seconds: the longest lifetime of a user token.
pub const GRACE_S_MAX: u64 = auth::USER_TOKEN_TTL_S_MAX;
/// Most tokens, and most keys, that a domain keeps in their grace period. The oldest beyond that
/// end at once.
const IN_GRACE_MAX: usize = 15;
/// Name of the domain that the first start adds.
const FIRST_DOMAIN: &str = "demo";

/// Why an operation was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// The domain exists already.
    #[error("the domain {0:?} exists already")]
    Exists(Domain),
    /// There is no such domain.
    #[error("there is no domain {0:?}")]
    Unknown(Domain),
    /// The user token cannot be minted.
    #[error(transparent)]
    Mint(MintError),
    /// The store refused the change.
    #[error(transparent)]
    Store(#[from] AppendError),
}

/// An entry in the list of domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSummary {
    /// Name of the domain.
    pub domain: String,
    /// Creation time in milliseconds since the Unix epoch.
    #[serde(rename = "createdAt")]
    pub created_at_ms: u64,
    /// Stored project tokens that are valid now, those in their grace period included.
    pub tokens: usize,
    /// Whether the settings declare a token for it as well.
    pub declared: bool,
}

/// The outcome of a rotation.
pub struct Rotated {
    /// The new project token, returned only here.
    pub token: String,
    /// Whether declared tokens ended too; the settings declare them again at the next start.
    pub declared: bool,
}

/// The domains of one store and their tokens in [`Auth`]. Clones share both.
#[derive(Clone)]
pub struct Domains {
    store: Store,
    auth: Auth,
    clock: Arc<dyn Clock>,
    /// Serializes operations, which read, change and write a record.
    operation: Arc<Mutex<()>>,
}

impl Domains {
    /// Registers every stored domain with `auth`.
    pub fn new(store: Store, auth: Auth, clock: Arc<dyn Clock>) -> Self {
        for record in store.domains() {
            auth.put(record);
        }
        Self {
            store,
            auth,
            clock,
            operation: Arc::default(),
        }
    }

    /// The in-memory view of the domains' tokens.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The store that holds the domains.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn record(&self, domain: &Domain) -> Option<DomainRecord> {
        let mut records = self.store.domains().into_iter();
        records.find(|record| record.domain == *domain)
    }

    fn put(&self, record: DomainRecord) -> Result<(), DomainError> {
        self.store.put_domain(record.clone())?;
        self.auth.put(record);
        Ok(())
    }

    /// Adds a domain and returns its project token.
    ///
    /// # Errors
    /// [`DomainError::Exists`], [`DomainError::Store`].
    pub fn add(&self, domain: &Domain) -> Result<String, DomainError> {
        let _one = self.operation.lock();
        if self.record(domain).is_some() {
            return Err(DomainError::Exists(domain.clone()));
        }
        let token = auth::project_token();
        self.put(DomainRecord {
            domain: domain.clone(),
            created_at_ms: self.clock.now_ms(),
            tokens: vec![auth::stored(&token)],
            signing_keys: vec![new_key()],
        })?;
        info!(%domain, "a domain has been added");
        Ok(token)
    }

    /// All stored domains, sorted by name.
    pub fn list(&self) -> Vec<DomainSummary> {
        summaries(self.store.domains(), &self.auth, self.clock.now_ms())
    }

    /// Removes a domain with its messages, and ends all its tokens. Returns whether the settings
    /// declare a token for it, which brings it back, empty, at the next start.
    ///
    /// # Errors
    /// [`DomainError::Unknown`], [`DomainError::Store`].
    pub fn remove(&self, domain: &Domain) -> Result<bool, DomainError> {
        let _one = self.operation.lock();
        if !self.store.remove_domain(domain)? {
            return Err(DomainError::Unknown(domain.clone()));
        }
        let declared = self.auth.declared().contains(domain);
        self.auth.remove(domain);
        info!(%domain, "a domain has been removed");
        Ok(declared)
    }

    /// Gives a domain a new project token and a new signing key. All old ones, declared ones
    /// included, end at once or after `grace`, but never later than they would have.
    ///
    /// # Errors
    /// [`DomainError::Unknown`], [`DomainError::Store`].
    pub fn rotate(&self, domain: &Domain, grace: Duration) -> Result<Rotated, DomainError> {
        let _one = self.operation.lock();
        let mut record = self
            .record(domain)
            .ok_or_else(|| DomainError::Unknown(domain.clone()))?;
        let now_ms = self.clock.now_ms();
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(grace_ms.min(GRACE_S_MAX * 1000));

        for token in &mut record.tokens {
            token.expires_at_ms = Some(token.expires_at_ms.unwrap_or(u64::MAX).min(until_ms));
        }
        record.tokens.retain(|t| is_live(t.expires_at_ms, now_ms));
        record.tokens.truncate(IN_GRACE_MAX);
        for key in &mut record.signing_keys {
            key.expires_at_ms = Some(key.expires_at_ms.unwrap_or(u64::MAX).min(until_ms));
        }
        let live_key = |key: &SigningKey| is_live(key.expires_at_ms, now_ms);
        record.signing_keys.retain(live_key);
        record.signing_keys.truncate(IN_GRACE_MAX);

        let token = auth::project_token();
        record.tokens.insert(0, auth::stored(&token));
        record.signing_keys.insert(0, new_key());
        self.put(record)?;
        let declared = self.auth.expire_declared(domain, until_ms);
        info!(%domain, "the tokens of a domain have been replaced");
        Ok(Rotated { token, declared })
    }

    /// Gives every declared domain a stored record with a signing key and no token, so that user
    /// tokens can be minted for it.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub fn ensure_declared(&self) -> Result<(), DomainError> {
        let _one = self.operation.lock();
        for domain in self.auth.declared() {
            if self.record(&domain).is_none() {
                self.put(DomainRecord {
                    domain,
                    created_at_ms: self.clock.now_ms(),
                    tokens: Vec::new(),
                    signing_keys: vec![new_key()],
                })?;
            }
        }
        Ok(())
    }

    /// Stores the declared domains. If there is no domain at all, adds a first one and returns it
    /// with its token. A store that cannot be written is served as it is.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    pub fn start(&self) -> Result<Option<(Domain, String)>, DomainError> {
        match self.ensure_declared().and_then(|()| self.first_start()) {
            Err(DomainError::Store(AppendError::Unavailable(reason))) => {
                error!(reason, "domains that are new cannot be stored");
                Ok(None)
            }
            made => made,
        }
    }

    /// Adds the first domain if there is none, and returns it with its token.
    ///
    /// # Errors
    /// [`DomainError::Store`].
    fn first_start(&self) -> Result<Option<(Domain, String)>, DomainError> {
        if !self.store.domains().is_empty() {
            return Ok(None);
        }
        let domain = Domain::parse(FIRST_DOMAIN).expect("the name is a valid one");
        let token = self.add(&domain)?;
        Ok(Some((domain, token)))
    }
}

/// The list entries of stored domains, sorted by name.
pub fn summaries(records: Vec<DomainRecord>, auth: &Auth, now_ms: u64) -> Vec<DomainSummary> {
    let declared: HashSet<Domain> = auth.declared().into_iter().collect();
    let summary = |record: DomainRecord| DomainSummary {
        created_at_ms: record.created_at_ms,
        tokens: record
            .tokens
            .iter()
            .filter(|token| is_live(token.expires_at_ms, now_ms))
            .count(),
        declared: declared.contains(&record.domain),
        domain: record.domain.to_string(),
    };
    let mut list: Vec<_> = records.into_iter().map(summary).collect();
    list.sort_by(|a, b| a.domain.cmp(&b.domain));
    list
}

/// Mints a user token for a domain known to `auth`; also returns its expiry in milliseconds since
/// the Unix epoch. Stores nothing.
///
/// # Errors
/// [`DomainError::Unknown`], [`DomainError::Mint`].
pub fn mint(
    auth: &Auth,
    domain: &Domain,
    id: &UserId,
    name: Option<&UserName>,
    ttl: Duration,
    system: bool,
) -> Result<(String, u64), DomainError> {
    let minted = auth.mint(domain, id, name, ttl, system);
    minted.map_err(|error| match error {
        MintError::UnknownDomain => DomainError::Unknown(domain.clone()),
        MintError::Reserved | MintError::Ttl => DomainError::Mint(error),
    })
}

fn new_key() -> SigningKey {
    SigningKey {
        secret: auth::random_key(),
        expires_at_ms: None,
    }
}

fn is_live(expires_at_ms: Option<u64>, now_ms: u64) -> bool {
    expires_at_ms.is_none_or(|at_ms| at_ms > now_ms)
}

#[cfg(test)]
mod tests;
