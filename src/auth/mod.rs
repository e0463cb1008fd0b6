//! Authorization in a domain: project tokens and user tokens.
//!
//! [`Auth`] is the in-memory view of all domains' hashes and signing keys. It stores nothing, speaks no HTTP and closes
//! no session; callers report every change of a domain to it.
//!
//! Invariants: no token and no key appears in any `Debug`, `Display` or log line; hashes and signatures are compared in
//! constant time; expiry has no leeway.

mod declared;
mod jwt;
mod known;
mod secret;
mod validity;

pub use secret::{project_token, random_key, sha256, stored};
pub use validity::Validity;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use crate::clock::Clock;
use crate::model::{Domain, DomainRecord, UserId, UserName};
use crate::protocol::login::TOKEN_BYTES_MAX;
use crate::protocol::request::{self, CAP_SYSTEM};
use jwt::{Claims, NumericDate};
use known::{ENDED, Known};

/// Longest lifetime of a user token, in seconds: 30 days.
pub const USER_TOKEN_TTL_S_MAX: u64 = request::TTL_S_MAX;

/// The rights that a token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A project token: acts as any user of its domain.
    Project,
    /// A user token: acts as one user.
    User(UserGrant),
}

/// The rights that a user token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGrant {
    /// The user it acts as; never the reserved id `system`.
    pub id: UserId,
    /// Overrides the login's `name`.
    pub name: Option<UserName>,
    /// Whether it may send messages of type 100.
    pub system: bool,
}

/// A session's handle to its token: enough for [`Auth::validity`] later, but not for a login.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Project { sha256: [u8; 32] },
    // The key is identified by its hash, the token by its own expiry.
    User { key: [u8; 32], expires_at_ms: u64 },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Project { .. } => "Credential(project token)",
            Kind::User { .. } => "Credential(user token)",
        })
    }
}

/// The result of a successful verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The rights it grants.
    pub grant: Grant,
    /// The handle that a session keeps.
    pub credential: Credential,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Token or domain unknown, or token malformed, revoked, or wrongly signed.
    #[error("the token or the domain is unknown")]
    Unknown,
    /// Valid once, but past its expiry.
    #[error("the token has expired")]
    Expired,
    /// A valid user token of another domain.
    #[error("the token belongs to another domain")]
    OtherDomain,
}

/// Why a user token was not minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// No such domain, or no signing key for it yet.
    #[error("the domain is unknown")]
    UnknownDomain,
    /// The requested id or name is reserved for the server itself.
    #[error("the id and the name \"system\" are reserved")]
    Reserved,
    /// The requested lifetime is out of range.
    #[error("ttl must be from 1 second to 30 days")]
    Ttl,
}

/// Verifies and mints tokens. Clones share one view.
#[derive(Clone)]
pub struct Auth {
    domains: Arc<RwLock<Known>>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// Starts without any domain.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            domains: Arc::default(),
            clock,
        }
    }

    /// Adds or replaces a stored domain; its declared tokens stay.
    pub fn put(&self, record: DomainRecord) {
        let domain = record.domain.clone();
        self.domains
            .write()
            .change(&domain, |entry| entry.record = Some(record));
    }

    /// Removes a domain, and ends its declared tokens.
    pub fn remove(&self, domain: &Domain) {
        self.domains.write().change(domain, |entry| {
            entry.record = None;
            // Ended tokens are remembered, or the same settings would bring them back.
            for token in &mut entry.declared {
                token.expires_at_ms = ENDED;
            }
        });
    }

    /// Whether and as whom this token may act in this domain.
    ///
    /// # Errors
    /// [`AuthError::Unknown`] also covers a project token of another domain: the two are indistinguishable. A user
    /// token is verified with the keys of its own domain first.
    pub fn verify(&self, domain: &Domain, token: &str) -> Result<Verified, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Unknown);
        }
        let now_ms = self.clock.now_ms();
        let sha256 = secret::sha256(token.as_bytes());
        let domains = self.domains.read();
        // A declared token may have any form, a JWT's included: its hash is tried first.
        if let Some(known) = domains.get(domain).and_then(|e| e.project_token(&sha256)) {
            if is_past(known.expires_at_ms, now_ms) {
                return Err(AuthError::Expired);
            }
            return Ok(Verified {
                grant: Grant::Project,
                credential: Credential(Kind::Project { sha256 }),
            });
        }

        let claimed = jwt::unverified(token).ok_or(AuthError::Unknown)?;
        let owner = Domain::parse(&claimed.dom).map_err(|_| AuthError::Unknown)?;
        let record = domains.get(&owner).and_then(|e| e.record.as_ref());
        let (claims, key) = record
            .into_iter()
            .flat_map(|record| &record.signing_keys)
            .filter(|key| !is_past(key.expires_at_ms, now_ms))
            .find_map(|key| Some((jwt::verify(token, &key.secret)?, key)))
            .ok_or(AuthError::Unknown)?;
        let grant = user_grant(&claims).ok_or(AuthError::Unknown)?;
        let expires_at_ms = claims.exp.ms();
        if is_past(Some(expires_at_ms), now_ms) {
            return Err(AuthError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf.ms() > now_ms) {
            return Err(AuthError::Unknown);
        }
        if owner != *domain {
            return Err(AuthError::OtherDomain);
        }
        Ok(Verified {
            grant: Grant::User(grant),
            credential: Credential(Kind::User {
                key: secret::sha256(&key.secret),
                expires_at_ms,
            }),
        })
    }

    /// Whether this token is valid in any domain, and its kind, for a request that has not named a domain yet;
    /// [`Auth::verify`] decides about its rights there.
    ///
    /// # Errors
    /// [`AuthError::Unknown`], [`AuthError::Expired`].
    pub fn identify(&self, token: &str) -> Result<Grant, AuthError> {
        let now_ms = self.clock.now_ms();
        let sha256 = secret::sha256(token.as_bytes());
        let ends: Vec<_> = {
            let domains = self.domains.read();
            let known = domains.project_tokens(&sha256);
            known.map(|known| known.expires_at_ms).collect()
        };
        if ends.iter().any(|end_ms| !is_past(*end_ms, now_ms)) {
            return Ok(Grant::Project);
        }
        if !ends.is_empty() {
            return Err(AuthError::Expired);
        }
        let claimed = jwt::unverified(token).ok_or(AuthError::Unknown)?;
        let domain = Domain::parse(&claimed.dom).map_err(|_| AuthError::Unknown)?;
        Ok(self.verify(&domain, token)?.grant)
    }

    /// Remaining validity of a session's token.
    pub fn validity(&self, domain: &Domain, credential: &Credential) -> Validity {
        let domains = self.domains.read();
        let expires_at_ms = match &credential.0 {
            Kind::Project { sha256 } => {
                let known = domains.get(domain).and_then(|e| e.project_token(sha256));
                known.map(|token| token.expires_at_ms)
            }
            Kind::User { key, expires_at_ms } => {
                let record = domains.get(domain).and_then(|e| e.record.as_ref());
                let mut keys = record.into_iter().flat_map(|record| &record.signing_keys);
                let known = keys.find(|known| secret::same(&secret::sha256(&known.secret), key));
                known.map(|known| Some(known.expires_at_ms.unwrap_or(u64::MAX).min(*expires_at_ms)))
            }
        };
        expires_at_ms.map_or(Validity::Ended, |at_ms| {
            Validity::at(self.clock.now_ms(), at_ms)
        })
    }

    /// Mints a user token, and returns it with its expiry (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// See [`MintError`]; `ttl` is rounded down to whole seconds.
    pub fn mint(
        &self,
        domain: &Domain,
        id: &UserId,
        name: Option<&UserName>,
        ttl: Duration,
        system: bool,
    ) -> Result<(String, u64), MintError> {
        if id.is_system() || name.is_some_and(UserName::is_system) {
            return Err(MintError::Reserved);
        }
        if !(1..=USER_TOKEN_TTL_S_MAX).contains(&ttl.as_secs()) {
            return Err(MintError::Ttl);
        }
        let now_s = self.clock.now_ms() / 1000;
        let expires_at_s = now_s.saturating_add(ttl.as_secs());
        let claims = Claims {
            sub: id.as_str().to_owned(),
            dom: domain.as_str().to_owned(),
            exp: NumericDate::Whole(expires_at_s),
            iat: Some(NumericDate::Whole(now_s)),
            nbf: None,
            name: name.map(|name| name.as_str().to_owned()),
            caps: system.then(|| CAP_SYSTEM.to_owned()).into_iter().collect(),
        };
        let domains = self.domains.read();
        let key = domains
            .get(domain)
            .and_then(|entry| entry.record.as_ref()?.signing_keys.first())
            .ok_or(MintError::UnknownDomain)?;
        let token = jwt::sign(&claims, &key.secret).expect("claims of text and numbers are JSON");
        Ok((token, NumericDate::Whole(expires_at_s).ms()))
    }
}

/// The domain and user id of an unverified user token: the login its holder asks for.
pub fn claimed_login(token: &str) -> Option<(String, String)> {
    jwt::unverified(token).map(|claims| (claims.dom, claims.sub))
}

fn is_past(expires_at_ms: Option<u64>, now_ms: u64) -> bool {
    Validity::at(now_ms, expires_at_ms) == Validity::Ended
}

fn user_grant(claims: &Claims) -> Option<UserGrant> {
    let id = UserId::parse(&claims.sub).ok()?;
    let name = match &claims.name {
        Some(name) => Some(UserName::parse(name).ok()?),
        None => None,
    };
    let is_reserved = id.is_system() || name.as_ref().is_some_and(UserName::is_system);
    (!is_reserved).then(|| UserGrant {
        id,
        name,
        system: claims.caps.iter().any(|cap| cap == CAP_SYSTEM),
    })
}

#[cfg(test)]
mod tests;
