//! User tokens made by hand: header, signing key and times.

use aws_lc_rs::hmac;

use super::*;

const OTHER_KEY: [u8; 32] = [8; 32];

/// A token with exactly these texts, signed with HMAC-SHA256.
fn by_hand(header: &str, claims: &str, secret: &[u8]) -> String {
    let text = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let signature = hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_header_that_says_anything_but_hs256_is_not_believed() {
    let (auth, _) = fixture();
    let verdict = |header: &str| {
        let token = by_hand(header, &claims().to_string(), &KEY);
        auth.verify(&domain("demo"), &token).map(|_| ())
    };
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"1","cty":"x"}"#,
        r#"{"alg":"HS256","crit":null}"#,
    ] {
        assert_eq!(verdict(header), Ok(()), "{header}");
    }
    // The key and the HMAC are right.
    for header in [
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"PS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS256 "}"#,
        r#"{"alg":""}"#,
        r#"{"alg":256}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
        r#""HS256""#,
        "{}",
        "",
    ] {
        assert_eq!(verdict(header), Err(AuthError::Unknown), "{header}");
    }
}

#[test]
fn a_key_is_good_for_its_own_domain_alone() {
    let (auth, _) = fixture();
    auth.declare(&domain("bare"), "secret");
    let hash = sha256(&KEY);
    let unknown = Some(AuthError::Unknown);
    let elsewhere = Some(AuthError::OtherDomain);
    let table = [
        ("its own", &KEY[..], "demo", "demo", None),
        ("the other's own", &OTHER_KEY, "other", "other", None),
        ("good elsewhere", &OTHER_KEY, "other", "demo", elsewhere),
        ("a foreign domain's", &OTHER_KEY, "demo", "demo", unknown),
        ("the same, there", &OTHER_KEY, "demo", "other", unknown),
        ("nobody's", &[9; 32], "demo", "demo", unknown),
        ("none", &[], "demo", "demo", unknown),
        ("its hash", &hash, "demo", "demo", unknown),
        ("the project token", b"project", "demo", "demo", unknown),
        ("where there is none", b"secret", "bare", "bare", unknown),
    ];
    for (case, secret, dom, asked, refusal) in table {
        let claims = with("dom", json!(dom)).to_string();
        let token = by_hand(r#"{"alg":"HS256"}"#, &claims, secret);
        let verdict = auth.verify(&domain(asked), &token);
        assert_eq!(verdict.err(), refusal, "{case}");
    }
}

#[test]
fn times_are_kept_whatever_number_they_are() {
    let (auth, clock) = fixture();
    let demo = domain("demo");
    let token = |field: &str, number: &str| {
        let mut claims = with(field, json!("?")).to_string();
        claims = claims.replace("\"?\"", number);
        by_hand(r#"{"alg":"HS256"}"#, &claims, &KEY)
    };
    let in_half = format!("{NOW_S}.5");
    let a_half_ago = format!("{}.5", NOW_S - 1);
    let table = [
        ("nbf", NOW_S.to_string(), true),
        ("nbf", a_half_ago.clone(), true),
        ("nbf", "0".to_owned(), true),
        ("nbf", in_half.clone(), false),
        ("nbf", (NOW_S + 1).to_string(), false),
        ("nbf", u64::MAX.to_string(), false),
        ("nbf", "1e300".to_owned(), false),
        ("nbf", "\"0\"".to_owned(), false),
        ("exp", in_half, true),
        ("exp", "9e15".to_owned(), true),
        ("exp", ((1_u64 << 63) + 1).to_string(), true),
        ("exp", a_half_ago, false),
        ("exp", "-1".to_owned(), false),
        ("exp", "-1e300".to_owned(), false),
        ("exp", "1e400".to_owned(), false),
        ("exp", "\"9e15\"".to_owned(), false),
        ("exp", "[9e15]".to_owned(), false),
        ("exp", "1,\"exp\":9e15".to_owned(), false),
    ];
    for (field, number, good) in &table {
        let verdict = auth.verify(&demo, &token(field, number));
        assert_eq!(verdict.is_ok(), *good, "{field} {number}");
        let until = verdict.map(|verified| auth.validity(&demo, &verified.credential));
        assert!(until.is_err() || matches!(until, Ok(Validity::Until(_))));
    }
    // A token that is not valid yet becomes valid.
    let later = token("nbf", &(NOW_S + 5).to_string());
    assert_eq!(auth.verify(&demo, &later), Err(AuthError::Unknown));
    clock.advance_us(5_000_000);
    assert!(auth.verify(&demo, &later).is_ok());
}
