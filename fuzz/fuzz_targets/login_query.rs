//! Any text as the parameters of a login: they are understood or refused, never a panic. What is understood is what
//! another reader of query strings finds there, within the contract's limits, and the same when it is written anew; a
//! refusal fits into a Close frame, names what was wrong, and never tells the token.
//!
//! The first line is the query string, the second the `Authorization` header (empty: none), each further one a
//! subprotocol.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use relaybox::model::MsgId;
use relaybox::protocol::close::CloseReason;
use relaybox::protocol::given_token::{GivenTokens, SUBPROTOCOL};
use relaybox::protocol::login::{Login, ReceiptMode, TOKEN_BYTES_MAX};
use relaybox::protocol::query::Query;
use relaybox::websocket::writer;

/// Longer than any word of a sentence.
const TELLING_TOKEN_BYTES: usize = 24;

type Given = HashMap<String, Vec<String>>;

fn decode(query: &str) -> Given {
    let mut given = Given::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        given
            .entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }
    given
}

/// All tokens that a reader could take for the one that counts.
fn tokens<'a>(
    given: &'a Given,
    authorization: Option<&'a str>,
    subprotocols: &[&'a str],
) -> Vec<&'a str> {
    let mut tokens: Vec<&str> = given
        .get("token")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    if let Some(text) = authorization
        && text
            .as_bytes()
            .get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
        && (text.len() == 6 || text.as_bytes()[6] == b' ')
    {
        tokens.push(text[6..].trim());
    }
    if let [SUBPROTOCOL, token, ..] = subprotocols {
        tokens.push(token);
    }
    tokens
}

fn well_formed(text: &str, bytes_max: usize) {
    assert!((1..=bytes_max).contains(&text.len()));
    assert!(!text.chars().any(char::is_control));
}

fn check(login: &Login, given: &Given, tokens: &[&str]) {
    let named = [
        ("id", login.id.as_str(), 128),
        ("name", login.name.as_str(), 256),
        ("domain", login.domain.as_str(), 253),
        ("resource", login.resource.as_str(), 64),
    ];
    for (name, value, bytes_max) in named {
        well_formed(value, bytes_max);
        assert_eq!(given[name], [value]);
    }
    assert_ne!(login.id.as_str(), "system");
    assert_ne!(login.name.as_str(), "system");
    well_formed(&login.token, TOKEN_BYTES_MAX);
    assert!(!tokens.is_empty() && tokens.iter().all(|token| *token == login.token));
    let receipts = match login.receipts {
        ReceiptMode::Auto => given
            .get("receipts")
            .is_none_or(|values| *values == ["auto"]),
        ReceiptMode::Manual => given["receipts"] == ["manual"],
    };
    assert!(receipts);
    match (login.after, given.get("after")) {
        (None, None) => {}
        (Some(after), Some(values)) => {
            let [text] = values.as_slice() else {
                panic!("`after` several times")
            };
            // Else it is a number with a fraction or an exponent, or in quotes.
            let is_odd = text.contains(['.', 'e', 'E', '"']);
            assert!(after <= MsgId::MAX && (text.parse() == Ok(after.0) || is_odd));
        }
        (after, values) => panic!("{after:?} of {values:?}"),
    }
}

/// As the server reads it, where all tokens are of this server.
fn login(query: &str, authorization: Option<&str>, subprotocols: &[&str]) -> Result<Login, String> {
    let query = Query::parse(query).map_err(|error| error.to_string())?;
    let given = GivenTokens::of(&query, authorization, subprotocols);
    let token = given.map_err(|error| error.to_string())?.choose(|_| true)?;
    Login::parse(&query, token)
}

fn written(login: &Login) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut query = format!(
        "id={}&name={}&domain={}&resource={}&token={}",
        encode(login.id.as_str()),
        encode(login.name.as_str()),
        encode(login.domain.as_str()),
        encode(login.resource.as_str()),
        encode(&login.token),
    );
    if login.receipts == ReceiptMode::Manual {
        query.push_str("&receipts=manual");
    }
    if let Some(after) = login.after {
        query.push_str(&format!("&after={after}"));
    }
    query
}

fn check_refusal(sentence: String, tokens: &[&str]) {
    // A parameter by its name or, where nobody knows that, by its place.
    assert!(sentence.contains('`') || sentence.starts_with("parameter "));
    assert!(!sentence.chars().any(char::is_control));
    let is_telling = |token: &&&str| token.len() >= TELLING_TOKEN_BYTES && !token.contains(' ');
    let mut telling = tokens.iter().filter(is_telling);
    assert!(
        !telling.any(|token| sentence.contains(token)),
        "the token is told"
    );
    let reason = CloseReason::BadLogin(sentence);
    assert_eq!(reason.code(), 4400);
    let mut frame = Vec::new();
    writer::close(&mut frame, reason.code(), &reason.text());
    assert!(frame.len() <= 2 + 125);
    assert!(std::str::from_utf8(&frame[4..]).is_ok_and(|text| !text.is_empty()));
}

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let query = lines.next().unwrap_or_default();
    let authorization = lines.next().filter(|line| !line.is_empty());
    let subprotocols: Vec<&str> = lines.collect();
    let given = decode(query);
    let tokens = tokens(&given, authorization, &subprotocols);
    match login(query, authorization, &subprotocols) {
        Err(sentence) => check_refusal(sentence, &tokens),
        Ok(login) => {
            check(&login, &given, &tokens);
            let again = self::login(&written(&login), None, &[])
                .ok()
                .expect("written by the rules");
            assert_eq!(written(&again), written(&login));
        }
    }
});
