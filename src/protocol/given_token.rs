//! The token of a request, accepted in three places (PROTOCOL.md section 2).
//!
//! Cannot validate tokens: the caller tells which ones are the server's own. Invariant: no message contains a token.

use crate::protocol::query::{Query, QueryError};

/// relaybox's subprotocol; a second one after it is the token.
pub const SUBPROTOCOL: &str = "relaybox";

/// The tokens of a request, each with its place; a token in several places counts once, with the first.
// No `Debug`: they are secrets.
pub struct GivenTokens<'a> {
    tokens: Vec<(&'static str, &'a str)>,
    /// Whether `Authorization` has a token, and no other place has one.
    in_authorization_alone: bool,
}

impl<'a> GivenTokens<'a> {
    /// Collects the tokens of a query string, an `Authorization` header and the offered subprotocols.
    ///
    /// # Errors
    /// [`QueryError::Repeated`].
    pub fn of(
        query: &'a Query,
        authorization: Option<&'a str>,
        subprotocols: &[&'a str],
    ) -> Result<Self, QueryError> {
        let in_subprotocol = match subprotocols {
            [first, token, ..] if *first == SUBPROTOCOL => Some(*token),
            _ => None,
        };
        let given = [
            ("in `Authorization`", authorization.and_then(bearer)),
            ("in the URL", query.value("token")?),
            ("as a subprotocol", in_subprotocol),
        ];
        let mut tokens: Vec<(_, &'a str)> = Vec::new();
        let [in_authorization, elsewhere @ ..] = given.map(|(_, token)| token.is_some());
        for (place, token) in given {
            if let Some(token) = token
                && tokens.iter().all(|(_, known)| *known != token)
            {
                tokens.push((place, token));
            }
        }
        Ok(Self {
            tokens,
            in_authorization_alone: in_authorization && elsewhere == [false; 2],
        })
    }

    /// Whether the request has no token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether `Authorization` has a token, and no other place has any, not even the same.
    pub fn are_in_authorization_alone(&self) -> bool {
        self.in_authorization_alone
    }

    /// The given tokens, without their places.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.tokens.iter().map(|(_, token)| *token)
    }

    /// The token to use. Of several, foreign ones are ignored: a proxy in front may have its own in `Authorization`.
    /// `is_own` is called only if there are several. If none is the server's own, the one in the least likely place for
    /// a proxy's is chosen, to be refused.
    ///
    /// # Errors
    /// A sentence if several are the server's own: choosing between them must not be a guess.
    pub fn choose(&self, is_own: impl Fn(&str) -> bool) -> Result<Option<&'a str>, String> {
        if self.tokens.len() < 2 {
            return Ok(self.iter().next());
        }
        let own = self.tokens.iter().filter(|(_, token)| is_own(token));
        let own: Vec<_> = own.collect();
        match own[..] {
            [] => Ok(self.iter().last()),
            [(_, one)] => Ok(Some(*one)),
            [..] => {
                let places: Vec<_> = own.iter().map(|(place, _)| *place).collect();
                let places = places.join(" and ");
                Err(format!(
                    "`token` is given {places}, and differently: which one counts?"
                ))
            }
        }
    }
}

/// The token of an `Authorization: Bearer …` header (RFC 6750, 2.1; the scheme's case does not matter).
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ').unwrap_or((authorization, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_gives_a_token_in_authorization_and_nowhere_else_is_sure_to_have_set_it() {
        for (query, authorization, subprotocols, expected) in [
            ("", Some("Bearer x"), &[][..], true),
            ("", Some("Bearer x"), &["other", "x"], true),
            ("", None, &[], false),
            ("", Some("Basic x"), &[], false),
            ("token=x", None, &[], false),
            ("token=x", Some("Bearer x"), &[], false),
            ("token=y", Some("Bearer x"), &[], false),
            ("", Some("Bearer x"), &["relaybox", "x"], false),
        ] {
            let query = Query::parse(query).expect("well formed");
            let given = GivenTokens::of(&query, authorization, subprotocols).expect("once");
            let found = given.are_in_authorization_alone();
            assert_eq!(found, expected, "{authorization:?} {subprotocols:?}");
        }
    }

    #[test]
    fn of_several_tokens_the_one_of_this_server_counts() {
        let is_own = |token: &str| token.starts_with("own");
        let url_and_header = "`token` is given in `Authorization` and in the URL, and differently: which one counts?";
        let all = "`token` is given in `Authorization` and in the URL and as a subprotocol, and differently: which one counts?";
        for (query, authorization, subprotocols, expected) in [
            ("", None, &[][..], Ok(None)),
            ("", Some("Basic own"), &["other", "own"], Ok(None)),
            ("token=x", None, &[], Ok(Some("x"))),
            ("", Some("bearer  x"), &[], Ok(Some("x"))),
            ("", None, &["relaybox", "x"], Ok(Some("x"))),
            (
                "token=own",
                Some("Bearer own"),
                &["relaybox", "own"],
                Ok(Some("own")),
            ),
            // A proxy's token, which may be anything.
            ("token=own", Some("Bearer x"), &[], Ok(Some("own"))),
            ("", Some("Bearer "), &["relaybox", "own"], Ok(Some("own"))),
            (
                "token=x",
                Some("Bearer own"),
                &["relaybox", "y"],
                Ok(Some("own")),
            ),
            ("token=x", Some("Bearer y"), &[], Ok(Some("x"))),
            (
                "token=own1",
                Some("Bearer own2"),
                &[],
                Err(url_and_header.to_owned()),
            ),
            (
                "token=own1",
                Some("Bearer own2"),
                &["relaybox", "own3"],
                Err(all.to_owned()),
            ),
        ] {
            let query = Query::parse(query).expect("well formed");
            let given = GivenTokens::of(&query, authorization, subprotocols).expect("once");
            assert_eq!(
                given.choose(is_own),
                expected,
                "{authorization:?} {subprotocols:?}"
            );
        }
        // The longest reason of a Close frame.
        assert!(all.len() <= 123);
        let query = Query::parse("token=x&token=x").expect("well formed");
        let twice = GivenTokens::of(&query, None, &[]).err();
        assert_eq!(twice, Some(QueryError::Repeated("token")));
    }
}
