//! User tokens that the domain's key did not sign, or not like that.
//!
//! What only the key itself could sign (another algorithm, a future `nbf`, a critical header) is in the unit tests of
//! `auth`: nobody out here has the key.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::message;
use crate::support::{DEMO, Login, PROJECT_TOKEN, Server, Way};

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn read(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// A JWT of this header, whatever it says, with a real HMAC of this key.
fn signed(header: &Value, claims: &Value, with: hmac::Algorithm, key: &[u8]) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(with, key), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The three parts of a token.
fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

#[tokio::test]
async fn what_the_domain_did_not_sign_is_refused_everywhere() {
    let mut server = Server::start().await;
    server.add_domain("other").await;
    let good = server.mint("u1", &[]).await;
    let of_another = server.mint("u2", &[]).await;
    let of_other = server.mint_for("other", "u1", &[]).await;
    let [header, payload, signature] = parts(&good);
    let [_, payload_of_another, signature_of_another] = parts(&of_another);
    let [_, _, signature_of_other] = parts(&of_other);
    let claims = read(payload);
    assert_eq!(read(header), json!({"typ": "JWT", "alg": "HS256"}));

    let alg = |name: &str| part(&json!({"typ": "JWT", "alg": name}));
    let with = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        part(&claims)
    };
    let hs256 = json!({"typ": "JWT", "alg": "HS256"});
    let by = |key: &[u8]| signed(&hs256, &claims, hmac::HMAC_SHA256, key);
    let foreign = [7; 32];
    let mut jwk = hs256.clone();
    jwk["jwk"] = json!({"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(foreign)});
    let mut elsewhere = hs256.clone();
    elsewhere["jku"] = json!("https://example.org/keys");
    elsewhere["kid"] = json!("../../../dev/null");
    let later = json!(claims["iat"].as_u64().unwrap() + 3600);
    let mut not_yet = claims.clone();
    not_yet["nbf"] = later.clone();
    let ca = std::fs::read(server.home.ca()).unwrap();

    let cases = [
        ("none", format!("{}.{payload}.", alg("none"))),
        ("None", format!("{}.{payload}.", alg("None"))),
        (
            "none, with the signature",
            format!("{}.{payload}.{signature}", alg("none")),
        ),
        ("no signature", format!("{header}.{payload}.")),
        ("no third part", format!("{header}.{payload}")),
        (
            "HS384, with the signature",
            format!("{}.{payload}.{signature}", alg("HS384")),
        ),
        (
            "HS512, with the signature",
            format!("{}.{payload}.{signature}", alg("HS512")),
        ),
        (
            "RS256, with the signature",
            format!("{}.{payload}.{signature}", alg("RS256")),
        ),
        (
            "HS384 of a foreign key",
            signed(
                &json!({"alg": "HS384"}),
                &claims,
                hmac::HMAC_SHA384,
                &foreign,
            ),
        ),
        (
            "RS256 with an HMAC of what is public",
            signed(&json!({"alg": "RS256"}), &claims, hmac::HMAC_SHA256, &ca),
        ),
        ("a foreign key", by(&foreign)),
        ("no key", by(&[])),
        ("zeros", by(&[0; 32])),
        ("the project token as the key", by(PROJECT_TOKEN.as_bytes())),
        ("the domain as the key", by(DEMO.as_bytes())),
        (
            "a key that it brings along",
            signed(&jwk, &claims, hmac::HMAC_SHA256, &foreign),
        ),
        (
            "a key from elsewhere",
            signed(&elsewhere, &claims, hmac::HMAC_SHA256, &[]),
        ),
        (
            "a foreign key, and not yet",
            signed(&hs256, &not_yet, hmac::HMAC_SHA256, &foreign),
        ),
        (
            "another user's name",
            format!("{header}.{}.{signature}", with("sub", json!("u9"))),
        ),
        (
            "longer",
            format!("{header}.{}.{signature}", with("exp", later)),
        ),
        (
            "more rights",
            format!("{header}.{}.{signature}", with("caps", json!(["system"]))),
        ),
        (
            "another domain's name",
            format!("{header}.{}.{signature}", with("dom", json!("other"))),
        ),
        (
            "another token's signature",
            format!("{header}.{payload}.{signature_of_another}"),
        ),
        (
            "another token's payload",
            format!("{header}.{payload_of_another}.{signature}"),
        ),
        (
            "another domain's signature",
            format!("{header}.{payload}.{signature_of_other}"),
        ),
        ("four parts", format!("{good}.{signature}")),
        (
            "a signature with a tail",
            format!("{header}.{payload}.{signature}AA"),
        ),
        (
            "a cut signature",
            format!("{header}.{payload}.{}", &signature[..40]),
        ),
        ("two tokens", format!("{good}{good}")),
        ("a space before", format!("\u{a0}{good}")),
    ];
    let log = format!("/message-log?domain={DEMO}&toId=u1");
    for (case, token) in cases {
        server.secret(&token);
        for way in [Way::Query, Way::Header, Way::Subprotocol] {
            // Headers hold ASCII.
            if token.is_ascii() || way == Way::Query {
                let login = Login::new("u1").way(way).token(&token);
                let mut client = server.connect(&login).await;
                client.try_send_text("ping").await;
                let answer = client.text_or_code().await;
                assert_eq!(answer, Err(Some(4401)), "{case} {way:?}");
            }
        }
        if token.is_ascii() {
            let read = server.get(&log, Some(&token)).await;
            let sent = server.post("/messages", &token, message(json!({}))).await;
            assert_eq!((read.status, sent.status), (401, 401), "{case}");
        }
    }
    assert_eq!(server.mailbox("box").await.len(), 0);
    // As it was made it is good.
    let whole = format!("{header}.{payload}.{signature}");
    server.login(&Login::new("u1").token(&whole)).await;
    assert_eq!(server.get(&log, Some(&whole)).await.status, 200);
}
