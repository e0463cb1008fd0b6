#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::model::{ProjectToken, SigningKey};

mod ended;
mod forged;
mod known;

const NOW_S: u64 = 1_764_000_000;
const KEY: [u8; 32] = [7; 32];

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn key(secret: [u8; 32], expires_at_ms: Option<u64>) -> SigningKey {
    SigningKey {
        secret,
        expires_at_ms,
    }
}

fn record(
    name: &str,
    tokens: &[(&str, Option<u64>)],
    signing_keys: Vec<SigningKey>,
) -> DomainRecord {
    DomainRecord {
        domain: domain(name),
        created_at_ms: 0,
        tokens: tokens
            .iter()
            .map(|(token, expires_at_ms)| ProjectToken {
                sha256: sha256(token.as_bytes()),
                expires_at_ms: *expires_at_ms,
            })
            .collect(),
        signing_keys,
    }
}

/// `demo` with the project token `project`, and `other` with a key of its own.
fn fixture() -> (Auth, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW_S * 1_000_000));
    let auth = Auth::new(clock.clone());
    auth.put(record("demo", &[("project", None)], vec![key(KEY, None)]));
    auth.put(record(
        "other",
        &[("project2", None)],
        vec![key([8; 32], None)],
    ));
    (auth, clock)
}

fn signed(claims: &Value, alg: Algorithm, secret: &[u8]) -> String {
    jsonwebtoken::encode(&Header::new(alg), claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn claims() -> Value {
    json!({"sub": "u1", "dom": "demo", "iat": NOW_S, "exp": NOW_S + 60})
}

fn with(field: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[field] = value;
    claims
}

fn without(field: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(field);
    claims
}

#[test]
fn project_tokens_open_their_own_domain_only() {
    let (auth, _) = fixture();
    let demo = domain("demo");
    assert_eq!(auth.verify(&demo, "project").unwrap().grant, Grant::Project);
    for (name, token) in [
        ("demo", "project2"),
        ("other", "project"),
        ("nowhere", "project"),
        ("demo", "projec"),
        ("demo", ""),
        ("demo", "a.b.c"),
    ] {
        assert_eq!(
            auth.verify(&domain(name), token),
            Err(AuthError::Unknown),
            "{name} {token}"
        );
    }
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    auth.declare(&demo, &long);
    assert_eq!(auth.verify(&demo, &long), Err(AuthError::Unknown));
}

#[test]
fn declared_tokens_may_look_like_anything_and_end_when_told() {
    let (auth, clock) = fixture();
    let (demo, new) = (domain("demo"), domain("new"));
    auth.declare(&demo, "a.b.c");
    auth.declare(&new, "secret");
    assert_eq!(auth.declared(), [demo.clone(), new.clone()]);
    let verified = auth.verify(&demo, "a.b.c").unwrap();
    assert_eq!(verified.grant, Grant::Project);

    let soon_ms = NOW_S * 1000 + 5;
    assert!(auth.expire_declared(&demo, soon_ms));
    assert_eq!(
        auth.validity(&demo, &verified.credential),
        Validity::Until(soon_ms)
    );
    clock.advance_us(5000);
    assert_eq!(auth.validity(&demo, &verified.credential), Validity::Ended);
    assert_eq!(auth.verify(&demo, "a.b.c"), Err(AuthError::Expired));
    assert!(
        auth.verify(&demo, "project").is_ok(),
        "the stored one stays"
    );
    assert!(!auth.expire_declared(&domain("other"), 0));
}

#[test]
fn redeclaring_replaces_and_names_what_changed() {
    let (auth, _) = fixture();
    let (demo, new, old) = (domain("demo"), domain("new"), domain("old"));
    auth.declare(&demo, "same");
    auth.declare(&old, "gone");
    let mut changed = auth.redeclare([(&demo, "same"), (&new, "fresh")]);
    changed.sort();
    assert_eq!(changed, [new.clone(), old.clone()]);
    assert!(auth.verify(&demo, "same").is_ok());
    assert!(auth.verify(&new, "fresh").is_ok());
    assert_eq!(auth.verify(&old, "gone"), Err(AuthError::Unknown));
    assert!(auth.verify(&demo, "project").is_ok());
}

#[test]
fn minted_tokens_verify_until_their_last_second() {
    let (auth, clock) = fixture();
    let demo = domain("demo");
    let name = UserName::parse("Zoë \"Z\"").unwrap();
    let ttl = Duration::from_secs(60);
    let (token, expires_at_ms) = auth
        .mint(&demo, &user("u1"), Some(&name), ttl, true)
        .unwrap();
    assert_eq!(expires_at_ms, (NOW_S + 60) * 1000);
    let verified = auth.verify(&demo, &token).unwrap();
    assert_eq!(
        verified.grant,
        Grant::User(UserGrant {
            id: user("u1"),
            name: Some(name),
            system: true
        })
    );
    assert_eq!(
        auth.validity(&demo, &verified.credential),
        Validity::Until(expires_at_ms)
    );
    assert_eq!(
        auth.verify(&domain("other"), &token),
        Err(AuthError::OtherDomain)
    );

    clock.set_us(expires_at_ms * 1000 - 1);
    assert!(auth.verify(&demo, &token).is_ok());
    clock.set_us(expires_at_ms * 1000);
    assert_eq!(auth.verify(&demo, &token), Err(AuthError::Expired));
    assert_eq!(
        auth.verify(&domain("other"), &token),
        Err(AuthError::Expired)
    );
    assert_eq!(auth.validity(&demo, &verified.credential), Validity::Ended);

    auth.remove(&demo);
    assert_eq!(auth.verify(&demo, &token), Err(AuthError::Unknown));
}

#[test]
fn minting_has_bounds() {
    let (auth, _) = fixture();
    let mint = |name: &str, id: &str, ttl_s| {
        auth.mint(
            &domain(name),
            &user(id),
            None,
            Duration::from_secs(ttl_s),
            false,
        )
        .map(|_| ())
    };
    assert_eq!(mint("demo", "u1", USER_TOKEN_TTL_S_MAX), Ok(()));
    assert_eq!(
        mint("demo", "u1", USER_TOKEN_TTL_S_MAX + 1),
        Err(MintError::Ttl)
    );
    assert_eq!(mint("demo", "u1", 0), Err(MintError::Ttl));
    assert_eq!(mint("demo", "system", 60), Err(MintError::Reserved));
    let name = UserName::parse("system").unwrap();
    let named = auth.mint(
        &domain("demo"),
        &user("u1"),
        Some(&name),
        Duration::from_secs(60),
        false,
    );
    assert_eq!(named.map(|_| ()), Err(MintError::Reserved));
    assert_eq!(mint("nowhere", "u1", 60), Err(MintError::UnknownDomain));
    auth.declare(&domain("bare"), "secret");
    assert_eq!(mint("bare", "u1", 60), Err(MintError::UnknownDomain));
    // The longest value of everything, escaped where JSON requires it, still fits.
    let long = |bytes| "\"".repeat(bytes);
    auth.put(record(&long(253), &[], vec![key(KEY, None)]));
    let name = UserName::parse(&long(256)).unwrap();
    let ttl = Duration::from_secs(60);
    let (token, _) = auth
        .mint(
            &domain(&long(253)),
            &user(&long(128)),
            Some(&name),
            ttl,
            true,
        )
        .unwrap();
    assert!(token.len() <= TOKEN_BYTES_MAX, "{}", token.len());
    assert!(auth.verify(&domain(&long(253)), &token).is_ok());
}

#[test]
fn user_tokens_are_hs256_complete_and_in_time() {
    let (auth, _) = fixture();
    let demo = domain("demo");
    let hs256 = |claims: Value| signed(&claims, Algorithm::HS256, &KEY);
    let good = hs256(claims());
    assert!(auth.verify(&demo, &good).is_ok());
    assert!(
        auth.verify(&demo, &hs256(with("exp", json!(NOW_S as f64 + 0.5))))
            .is_ok()
    );
    assert!(
        auth.verify(&demo, &hs256(with("nbf", json!(NOW_S))))
            .is_ok()
    );
    assert!(
        auth.verify(&demo, &hs256(with("caps", json!(["unheard-of"]))))
            .is_ok()
    );

    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (body, signature) = good.rsplit_once('.').unwrap();
    let payload = body.split_once('.').unwrap().1;
    let none = part(json!({"alg": "none", "typ": "JWT"}));
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["b64".into()]);
    let critical =
        jsonwebtoken::encode(&critical, &claims(), &EncodingKey::from_secret(&KEY)).unwrap();

    let unknown = [
        ("another key", signed(&claims(), Algorithm::HS256, &[9; 32])),
        ("HS384", signed(&claims(), Algorithm::HS384, &KEY)),
        ("HS512", signed(&claims(), Algorithm::HS512, &KEY)),
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, signed", format!("{none}.{payload}.{signature}")),
        ("no signature", format!("{body}.")),
        ("cut signature", good[..good.len() - 2].to_owned()),
        ("four parts", format!("{good}.x")),
        (
            "other payload",
            format!(
                "{}.{}.{signature}",
                body.split_once('.').unwrap().0,
                part(with("sub", json!("u2")))
            ),
        ),
        ("critical header", critical),
        ("no exp", hs256(without("exp"))),
        ("exp null", hs256(with("exp", Value::Null))),
        ("exp text", hs256(with("exp", json!("soon")))),
        ("exp negative", hs256(with("exp", json!(-5)))),
        ("no sub", hs256(without("sub"))),
        ("sub empty", hs256(with("sub", json!("")))),
        ("sub too long", hs256(with("sub", json!("x".repeat(129))))),
        ("sub reserved", hs256(with("sub", json!("system")))),
        ("sub control", hs256(with("sub", json!("a\u{7}")))),
        ("no dom", hs256(without("dom"))),
        (
            "dom elsewhere, this key",
            hs256(with("dom", json!("other"))),
        ),
        ("dom unknown", hs256(with("dom", json!("nowhere")))),
        ("name empty", hs256(with("name", json!("")))),
        ("name reserved", hs256(with("name", json!("system")))),
        ("not yet", hs256(with("nbf", json!(NOW_S + 1)))),
    ];
    for (what, token) in unknown {
        assert_eq!(
            auth.verify(&demo, &token),
            Err(AuthError::Unknown),
            "{what}"
        );
    }
    for exp in [json!(NOW_S), json!(0), json!(NOW_S as f64 - 0.5)] {
        let token = hs256(with("exp", exp.clone()));
        assert_eq!(auth.verify(&demo, &token), Err(AuthError::Expired), "{exp}");
    }
}

#[test]
fn rotated_keys_and_tokens_end_when_their_grace_does() {
    let (auth, clock) = fixture();
    let demo = domain("demo");
    let ttl = Duration::from_secs(3600);
    let (token, _) = auth.mint(&demo, &user("u1"), None, ttl, false).unwrap();
    let by_user = auth.verify(&demo, &token).unwrap().credential;
    let by_project = auth.verify(&demo, "project").unwrap().credential;

    let until_ms = (NOW_S + 10) * 1000;
    let keys = vec![key([9; 32], None), key(KEY, Some(until_ms))];
    auth.put(record(
        "demo",
        &[("new", None), ("project", Some(until_ms))],
        keys,
    ));
    assert_eq!(auth.validity(&demo, &by_user), Validity::Until(until_ms));
    assert_eq!(auth.validity(&demo, &by_project), Validity::Until(until_ms));
    assert!(auth.verify(&demo, &token).is_ok());

    clock.set_us(until_ms * 1000);
    assert_eq!(auth.verify(&demo, &token), Err(AuthError::Unknown));
    assert_eq!(auth.verify(&demo, "project"), Err(AuthError::Expired));
    assert_eq!(auth.validity(&demo, &by_user), Validity::Ended);
    assert_eq!(auth.validity(&demo, &by_project), Validity::Ended);

    auth.put(record("demo", &[("new", None)], vec![key([9; 32], None)]));
    assert_eq!(auth.verify(&demo, "project"), Err(AuthError::Unknown));
    let (token, _) = auth.mint(&demo, &user("u1"), None, ttl, false).unwrap();
    assert!(auth.verify(&demo, &token).is_ok(), "signed by the new key");
}

#[test]
fn debug_shows_no_secret() {
    let (auth, _) = fixture();
    let demo = domain("demo");
    let (token, _) = auth
        .mint(&demo, &user("u1"), None, Duration::from_secs(60), false)
        .unwrap();
    let shown = format!(
        "{auth:?} {:?} {:?}",
        auth.verify(&demo, &token),
        auth.verify(&demo, "project")
    );
    assert!(!shown.contains("project\"") && !shown.contains(&token));
    assert!(!shown.contains("sha256") && !shown.contains('['), "{shown}");
}
