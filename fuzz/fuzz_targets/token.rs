//! Any text, and JWTs that are nearly right, as tokens: a verdict, never a panic. Good are the domains' project tokens
//! where they belong, and what a live key of the domain itself signed with HS256, in time, for a user that may exist;
//! nothing else, not even with one byte changed. Whoever did not sign it learns no more than that it is unknown.
//!
//! A token's parts are read by another reader to say what it is worth.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use relaybox::auth::{Auth, AuthError, Grant, USER_TOKEN_TTL_S_MAX, UserGrant, Validity, sha256};
use relaybox::clock::ManualClock;
use relaybox::model::{Domain, DomainRecord, ProjectToken, SigningKey, UserId, UserName};
use relaybox::protocol::login::TOKEN_BYTES_MAX;
use serde_json::{Map, Value, json};

const NOW_S: u64 = 1_764_000_000;
const NOW_MS: u64 = NOW_S * 1000;
const GRACE_S: u64 = 10;
/// More than a millisecond, less than the hundredths of [`Date::Fraction`].
const INSTANT_S: f64 = 0.002;

/// Domain, token: all project tokens there are. One looks like a JWT.
const PROJECT_TOKENS: [(Place, &str); 3] = [
    (Place::Demo, "project"),
    (Place::Other, "project2"),
    (Place::Declared, "e30.e30.e30"),
];

static AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let auth = Auth::new(Arc::new(ManualClock::new(NOW_MS * 1000)));
    let record = |place: Place, token: &str, keys: &[(Key, Option<u64>)]| DomainRecord {
        domain: place.domain(),
        created_at_ms: 0,
        tokens: vec![ProjectToken {
            sha256: sha256(token.as_bytes()),
            expires_at_ms: None,
        }],
        signing_keys: keys
            .iter()
            .map(|(key, expires_at_ms)| SigningKey {
                secret: key.secret(),
                expires_at_ms: *expires_at_ms,
            })
            .collect(),
    };
    let in_grace = (Key::DemoInGrace, Some(NOW_MS + GRACE_S * 1000));
    let keys = [(Key::Demo, None), in_grace, (Key::DemoEnded, Some(NOW_MS))];
    auth.put(record(Place::Demo, "project", &keys));
    auth.put(record(Place::Other, "project2", &[(Key::Other, None)]));
    // Without a record it has no key.
    auth.declare(&Place::Declared.domain(), "e30.e30.e30");
    auth
});

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Place {
    Demo,
    Other,
    Declared,
    Nowhere,
}

impl Place {
    const ALL: [Self; 4] = [Self::Demo, Self::Other, Self::Declared, Self::Nowhere];

    fn name(self) -> &'static str {
        ["demo", "other", "declared", "nowhere"][self as usize]
    }

    fn domain(self) -> Domain {
        Domain::parse(self.name()).expect("a good name")
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Key {
    Demo,
    DemoInGrace,
    DemoEnded,
    Other,
    Foreign,
}

impl Key {
    fn secret(self) -> [u8; 32] {
        [self as u8 + 1; 32]
    }

    fn is_live_in(self, domain: &str) -> bool {
        match self {
            Self::Demo | Self::DemoInGrace => domain == "demo",
            Self::Other => domain == "other",
            Self::DemoEnded | Self::Foreign => false,
        }
    }
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Es256,
    None,
    Lower,
    Number,
}

impl Algorithm {
    fn json(self) -> Value {
        let names = ["HS256", "HS384", "HS512", "RS256", "ES256", "none", "hs256"];
        names
            .get(self as usize)
            .map_or(json!(256), |name| json!(name))
    }

    fn sign(self, key: Key, text: &str) -> Vec<u8> {
        let with = match self {
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(with, &key.secret()), text.as_bytes())
            .as_ref()
            .to_vec()
    }
}

#[derive(Arbitrary, Debug)]
enum Date {
    /// Seconds from now.
    Near(i8),
    /// Hundredths of a second from now, written as a fraction.
    Fraction(i16),
    Whole(u64),
    Float(f64),
    Negative(i64),
    Text,
    Null,
}

impl Date {
    fn json(&self) -> Value {
        match self {
            Self::Near(seconds) => json!(NOW_S.saturating_add_signed((*seconds).into())),
            Self::Fraction(hundredths) => json!(NOW_S as f64 + f64::from(*hundredths) / 100.0),
            Self::Whole(seconds) => json!(seconds),
            Self::Float(seconds) => json!(seconds),
            Self::Negative(seconds) => json!(seconds),
            Self::Text => json!("1999999999"),
            Self::Null => Value::Null,
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Forged<'a> {
    algorithm: Algorithm,
    crit: Option<Vec<&'a str>>,
    /// JSON text put behind the header's members, and behind those of the claims.
    more_header: Option<&'a str>,
    more_claims: Option<&'a str>,
    sub: Option<&'a str>,
    dom: Place,
    exp: Option<Date>,
    nbf: Option<Date>,
    name: Option<&'a str>,
    system: bool,
    cap: Option<&'a str>,
    key: Key,
    /// Where a byte is replaced, and by what.
    change: Option<(u16, u8)>,
    /// How many bytes are cut off the end.
    cut: Option<u8>,
}

impl Forged<'_> {
    fn header(&self) -> String {
        let mut header = Map::from_iter([
            ("typ".to_owned(), json!("JWT")),
            ("alg".to_owned(), self.algorithm.json()),
        ]);
        header.extend(
            self.crit
                .as_ref()
                .map(|crit| ("crit".to_owned(), json!(crit))),
        );
        with_more(&header, self.more_header)
    }

    fn claims(&self) -> String {
        let mut claims = Map::from_iter([("dom".to_owned(), json!(self.dom.name()))]);
        // Mostly it is a user that may exist.
        claims.insert("sub".to_owned(), json!(self.sub.unwrap_or("u1")));
        let exp = self.exp.as_ref().map_or(json!(NOW_S + 60), Date::json);
        claims.insert("exp".to_owned(), exp);
        claims.extend(self.nbf.as_ref().map(|nbf| ("nbf".to_owned(), nbf.json())));
        claims.extend(self.name.map(|name| ("name".to_owned(), json!(name))));
        let caps: Vec<&str> = self
            .system
            .then_some("system")
            .into_iter()
            .chain(self.cap)
            .collect();
        claims.insert("caps".to_owned(), json!(caps));
        with_more(&claims, self.more_claims)
    }

    fn token(&self) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&self.header()), encode(&self.claims()));
        let signature = self.algorithm.sign(self.key, &signed);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The other reader takes no numbers beyond those of 64 bits, no half of a surrogate pair, no great depth.
    fn is_readable(&self) -> bool {
        let is_json = |text: &str| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let is_value = |text: &str| serde_json::from_str::<Value>(text).is_ok();
        [self.header(), self.claims()]
            .iter()
            .all(|text| is_value(text) || !is_json(text))
    }

    /// Nothing about it is unusual: where it is worth something it has to be taken.
    fn is_plain(&self) -> bool {
        let is_usual =
            |date: &Option<Date>| matches!(date, None | Some(Date::Near(_) | Date::Fraction(_)));
        self.crit.is_none()
            && self.more_header.is_none()
            && self.more_claims.is_none()
            && is_usual(&self.exp)
            && is_usual(&self.nbf)
    }

    /// What it allows in its domain, by another reader; `None` where it is worth nothing. Times apart.
    fn worth(&self) -> Option<(UserGrant, Value)> {
        let header: Value = serde_json::from_str(&self.header()).ok()?;
        let claims: Value = serde_json::from_str(&self.claims()).ok()?;
        let name = match &claims["name"] {
            Value::Null => None,
            name => Some(UserName::parse(name.as_str()?).ok()?),
        };
        let id = UserId::parse(claims["sub"].as_str()?).ok()?;
        let is_good = header["alg"] == "HS256"
            && header["crit"].is_null()
            && self.key.is_live_in(claims["dom"].as_str()?)
            && id.as_str() != "system"
            && claims["name"] != "system";
        let caps = claims["caps"].as_array().map_or(&[][..], Vec::as_slice);
        let system = caps.iter().any(|cap| cap == "system");
        is_good.then_some((UserGrant { id, name, system }, claims))
    }
}

fn with_more(members: &Map<String, Value>, more: Option<&str>) -> String {
    let mut text = serde_json::to_string(members).expect("JSON");
    if let Some(more) = more {
        text.insert_str(text.len() - 1, more);
    }
    text
}

fn check_forged(forged: &Forged, asked: Place) {
    if !forged.is_readable() {
        return;
    }
    let mut token = forged.token();
    let whole = token.clone();
    if let Some((at, byte)) = forged.change {
        let at = usize::from(at) % token.len();
        token.replace_range(at..=at, char::from(byte & 0x7f).encode_utf8(&mut [0]));
    }
    if let Some(cut) = forged.cut {
        token.truncate(token.len() - usize::from(cut).min(token.len()));
    }
    let is_whole = token == whole && token.len() <= TOKEN_BYTES_MAX;
    let worth = forged.worth().filter(|_| is_whole);
    let verdict = AUTH.verify(&asked.domain(), &token);
    let Some((grant, claims)) = worth else {
        assert_eq!(verdict.err(), Some(AuthError::Unknown), "{token}");
        assert_eq!(AUTH.identify(&token), Err(AuthError::Unknown));
        return;
    };
    let seconds = |claim: &str| claims[claim].as_f64();
    // Times are looked at by the millisecond.
    let lives = seconds("exp").is_some_and(|exp| exp >= NOW_S as f64 + INSTANT_S);
    let has_begun = seconds("nbf").is_none_or(|nbf| nbf < NOW_S as f64 + INSTANT_S);
    let is_here = claims["dom"] == asked.name();
    match &verdict {
        Ok(verified) => {
            assert!(seconds("exp").is_some_and(|exp| exp > NOW_S as f64));
            assert!(has_begun && is_here);
            assert_eq!(verified.grant, Grant::User(grant.clone()));
            let until_ms = AUTH.validity(&asked.domain(), &verified.credential);
            let Validity::Until(until_ms) = until_ms else {
                panic!("it ends")
            };
            // Whole seconds exactly: a fraction of this size is rounded.
            let whole_ms = claims["exp"].as_u64().map(|exp| exp.saturating_mul(1000));
            let fraction_ms = || (seconds("exp").unwrap_or_default() * 1000.0) as u64;
            let exp_ms = whole_ms.unwrap_or_else(fraction_ms);
            assert!((NOW_MS + 1..=exp_ms).contains(&until_ms));
            assert!(forged.key != Key::DemoInGrace || until_ms <= NOW_MS + GRACE_S * 1000);
        }
        Err(AuthError::Expired) => assert!(!lives),
        Err(AuthError::OtherDomain) => assert!(has_begun && !is_here),
        Err(AuthError::Unknown) => assert!(!has_begun || !forged.is_plain()),
    }
    if forged.is_plain() {
        assert_eq!(verdict.is_ok(), lives && has_begun && is_here, "{token}");
    }
    let identified = AUTH.identify(&token);
    assert_eq!(
        identified.is_ok(),
        verdict.is_ok() || verdict == Err(AuthError::OtherDomain)
    );
    assert!(identified.is_err() || identified == Ok(Grant::User(grant)));
}

fn check_text(text: &str) {
    for place in Place::ALL {
        let verdict = AUTH.verify(&place.domain(), text);
        if PROJECT_TOKENS.contains(&(place, text)) {
            assert!(verdict.is_ok_and(|verified| verified.grant == Grant::Project));
        } else {
            assert_eq!(verdict, Err(AuthError::Unknown));
        }
    }
    let is_one = PROJECT_TOKENS.iter().any(|(_, token)| *token == text);
    let expected = if is_one {
        Ok(Grant::Project)
    } else {
        Err(AuthError::Unknown)
    };
    assert_eq!(AUTH.identify(text), expected);
}

fn check_minted(minted: &Minted, asked: Place) {
    let Minted {
        domain,
        id,
        name,
        ttl_s,
        system,
    } = *minted;
    let (Ok(id), Ok(name)) = (UserId::parse(id), name.map(UserName::parse).transpose()) else {
        return;
    };
    let ttl = Duration::from_secs(ttl_s);
    let has_key = matches!(domain, Place::Demo | Place::Other);
    let in_range = (1..=USER_TOKEN_TTL_S_MAX).contains(&ttl_s);
    let answer = AUTH.mint(&domain.domain(), &id, name.as_ref(), ttl, system);
    let is_reserved = id.is_system() || name.as_ref().is_some_and(UserName::is_system);
    assert_eq!(answer.is_ok(), has_key && in_range && !is_reserved);
    let Ok((token, expires_at_ms)) = answer else {
        return;
    };
    assert!(token.len() <= TOKEN_BYTES_MAX);
    assert_eq!(expires_at_ms, (NOW_S + ttl_s) * 1000);
    match AUTH.verify(&asked.domain(), &token) {
        Ok(verified) => {
            assert_eq!(asked, domain);
            assert_eq!(verified.grant, Grant::User(UserGrant { id, name, system }));
            let validity = AUTH.validity(&asked.domain(), &verified.credential);
            assert_eq!(validity, Validity::Until(expires_at_ms));
        }
        Err(error) => assert!(error == AuthError::OtherDomain && asked != domain),
    }
}

#[derive(Arbitrary, Debug)]
struct Minted<'a> {
    domain: Place,
    id: &'a str,
    name: Option<&'a str>,
    ttl_s: u64,
    system: bool,
}

#[derive(Arbitrary, Debug)]
enum Case<'a> {
    Text(&'a str),
    Minted(Minted<'a>),
    Forged(Forged<'a>),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    asked: Place,
    case: Case<'a>,
}

fuzz_target!(|input: Input| {
    match &input.case {
        Case::Text(text) => check_text(text),
        Case::Minted(minted) => check_minted(minted, input.asked),
        Case::Forged(forged) => check_forged(forged, input.asked),
    }
});
