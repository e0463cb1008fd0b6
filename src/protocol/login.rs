//! The parameters of a login (PROTOCOL.md section 2), from the query string and headers.

use std::fmt;

use crate::model::{Domain, MsgId, NameError, Resource, UserId, UserName, check_name};
use crate::protocol::query::{self, Query};

/// Longest accepted token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// The source of receipts for a session's deliveries (PROTOCOL.md section 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReceiptMode {
    /// The client's WebSocket library, through its Pongs.
    #[default]
    Auto,
    /// The application, through `{"received":…}`.
    Manual,
}

/// A login with well-formed parameters; its token has not been verified yet.
pub struct Login {
    /// Id of the user.
    pub id: UserId,
    /// Display name, unless the token overrides it.
    pub name: UserName,
    /// Domain of the user.
    pub domain: Domain,
    /// The device that logs in.
    pub resource: Resource,
    /// The token in clear, not verified yet.
    pub token: String,
    /// The source of receipts.
    pub receipts: ReceiptMode,
    /// The last message the client has processed, if it says so.
    pub after: Option<MsgId>,
}

impl Login {
    /// Parses a login from its query string and its chosen token, from whichever place.
    ///
    /// # Errors
    /// A sentence that names the parameter and its expected value.
    pub fn parse(query: &Query, token: Option<&str>) -> Result<Self, String> {
        let id = required(query, "id", UserId::parse)?;
        if id.is_system() {
            return Err("`id` must not be `system`, which is reserved".into());
        }
        let name = required(query, "name", UserName::parse)?;
        if name.is_system() {
            return Err("`name` must not be `system`, which is reserved".into());
        }
        let domain = required(query, "domain", Domain::parse)?;
        let resource = required(query, "resource", Resource::parse)?;
        let token = token.ok_or("`token` is missing")?.to_owned();
        check_token(&token)?;
        let receipts = optional(query, "receipts", receipt_mode)?.unwrap_or_default();
        let after = optional(query, "after", msg_id)?;
        Ok(Self {
            id,
            name,
            domain,
            resource,
            token,
            receipts,
            after,
        })
    }
}

fn optional<T, E: fmt::Display>(
    query: &Query,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, String> {
    let value = query.value(name).map_err(|error| error.to_string())?;
    let parsed = value.map(parse).transpose();
    parsed.map_err(|expected| format!("`{name}` {expected}"))
}

fn required<T>(
    query: &Query,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, NameError>,
) -> Result<T, String> {
    optional(query, name, parse)?.ok_or_else(|| format!("`{name}` is missing"))
}

fn receipt_mode(text: &str) -> Result<ReceiptMode, &'static str> {
    match text {
        "auto" => Ok(ReceiptMode::Auto),
        "manual" => Ok(ReceiptMode::Manual),
        _ => Err("must be `auto` or `manual`"),
    }
}

fn msg_id(text: &str) -> Result<MsgId, &'static str> {
    query::msg_id_at_least(text).ok_or("must be a msgId: an integer from 0 to 2^53 - 1")
}

/// Checks a token's length and characters.
///
/// # Errors
/// A sentence that names the parameter and never contains the token.
pub fn check_token(token: &str) -> Result<(), String> {
    let checked = check_name(token, TOKEN_BYTES_MAX);
    checked.map_err(|error| format!("`token` {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::given_token::GivenTokens;

    fn parse(
        query: &str,
        authorization: Option<&str>,
        subprotocols: &[&str],
    ) -> Result<Login, String> {
        let query = Query::parse(query).map_err(|error| error.to_string())?;
        let given = GivenTokens::of(&query, authorization, subprotocols);
        let token = given.map_err(|error| error.to_string())?.choose(|_| true)?;
        Login::parse(&query, token)
    }

    const GOOD: &str = "id=u1&name=Alice&domain=demo&resource=web";

    fn refusal(query: &str, authorization: Option<&str>, subprotocols: &[&str]) -> String {
        parse(query, authorization, subprotocols)
            .err()
            .expect("refused")
    }

    #[test]
    fn the_token_comes_in_three_ways() {
        for (query, authorization, subprotocols) in [
            (format!("{GOOD}&token=t"), None, &[][..]),
            (GOOD.into(), Some("Bearer t"), &[]),
            (GOOD.into(), Some("bearer  t"), &[]),
            (GOOD.into(), None, &["relaybox", "t"]),
            (format!("{GOOD}&token=t"), Some("Bearer t"), &["relaybox"]),
        ] {
            let login = parse(&query, authorization, subprotocols).expect("accepted");
            assert_eq!(login.token, "t");
        }
    }

    #[test]
    fn receipts_and_the_start_are_told_where_they_are_given() {
        let login = |more: &str| parse(&format!("{GOOD}&token=t{more}"), None, &[]);
        let table = [
            ("", ReceiptMode::Auto, None),
            ("&receipts=auto&after=0", ReceiptMode::Auto, Some(0)),
            ("&receipts=manual", ReceiptMode::Manual, None),
            (
                "&after=9007199254740991",
                ReceiptMode::Auto,
                Some((1 << 53) - 1),
            ),
            ("&after=10.0", ReceiptMode::Auto, Some(10)),
            ("&after=1e%2B1", ReceiptMode::Auto, Some(10)),
            // Rounded to 14 digits: no message is skipped.
            (
                "&after=1.7640000001235e+15",
                ReceiptMode::Auto,
                Some(1_764_000_000_123_450),
            ),
            ("&after=1E+1", ReceiptMode::Auto, Some(10)),
            ("&after=%2210%22", ReceiptMode::Auto, Some(10)),
        ];
        for (more, receipts, after) in table {
            let login = login(more).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert_eq!((login.receipts, login.after), (receipts, after.map(MsgId)));
        }
        for wrong in ["", "Auto", "none"] {
            let refusal = login(&format!("&receipts={wrong}")).err().expect(wrong);
            assert_eq!(refusal, "`receipts` must be `auto` or `manual`");
        }
        for wrong in [
            "",
            "-1",
            "+1",
            "%201",
            "1.5",
            "1e400",
            "9007199254740992",
            "%22%22",
            "%221.0%22",
            "%221",
            "x",
        ] {
            let refusal = login(&format!("&after={wrong}")).err().expect(wrong);
            assert!(refusal.starts_with("`after` must be a msgId"), "{refusal}");
        }
        assert!(
            login("&after=1&after=1")
                .err()
                .expect("twice")
                .starts_with("`after` is given")
        );
    }

    #[test]
    fn a_refusal_names_the_parameter() {
        for name in ["id", "name", "domain", "resource"] {
            let missing = format!("{GOOD}&token=t").replace(&format!("{name}="), "other=");
            assert_eq!(refusal(&missing, None, &[]), format!("`{name}` is missing"));
            let twice = format!("{GOOD}&token=t&{name}=x");
            assert!(refusal(&twice, None, &[]).starts_with(&format!("`{name}` is given more")));
        }
        assert_eq!(refusal(GOOD, None, &[]), "`token` is missing");
        assert_eq!(refusal(GOOD, Some("Basic abc"), &[]), "`token` is missing");
        assert_eq!(
            refusal(GOOD, Some("Bearer"), &[]),
            "`token` must not be empty"
        );
        assert!(refusal(&format!("{GOOD}&token=a"), Some("Bearer b"), &[]).contains("differently"));
        assert!(refusal(&format!("{GOOD}&token={}", "a".repeat(4097)), None, &[]).contains("4096"));
        assert!(refusal(&GOOD.replace("u1", "system"), None, &[]).contains("reserved"));
        assert_eq!(
            refusal(&GOOD.replace("u1", ""), None, &[]),
            "`id` must not be empty"
        );
    }
}
