//! A project token declared in the settings.

use std::fmt;

use super::parse::Parsed;
use crate::model::Domain;
use crate::protocol::login::TOKEN_BYTES_MAX;

/// A project token declared in the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct DeclaredToken {
    /// The token's domain.
    pub domain: Domain,
    token: String,
}

impl DeclaredToken {
    /// The secret in clear, only to be hashed.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl fmt::Debug for DeclaredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeclaredToken")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

pub(super) fn declared_token(text: &str) -> Parsed<DeclaredToken> {
    let (domain, token) = text
        .split_once('=')
        .ok_or_else(|| "DOMAIN=TOKEN".to_owned())?;
    let domain = Domain::parse(domain).map_err(|e| format!("DOMAIN=TOKEN: the domain {e}"))?;
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || token.chars().any(char::is_control) {
        return Err(format!(
            "DOMAIN=TOKEN: the token must be 1 to {TOKEN_BYTES_MAX} bytes without control characters"
        ));
    }
    Ok(DeclaredToken {
        domain,
        token: token.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_token_is_never_repeated() {
        let declared = declared_token("a/b=x=y").ok();
        assert!(declared.is_some_and(|d| d.domain.as_str() == "a/b" && d.token() == "x=y"));
        for text in ["hush", "=hush", "demo=", "de\tmo=hush", "demo=hu\nsh"] {
            let expected = declared_token(text).err();
            assert!(expected.is_some_and(|e| !e.contains("hush")), "{text}");
        }
    }
}
