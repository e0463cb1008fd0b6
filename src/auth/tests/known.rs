//! Project tokens of an unnamed domain, found by their hash.

use super::*;

fn is_project(auth: &Auth, token: &str) -> bool {
    auth.identify(token) == Ok(Grant::Project)
}

#[test]
fn a_token_is_known_before_its_domain_is_told() {
    let (auth, clock) = fixture();
    let ending = Some(NOW_S * 1_000 + 60_000);
    auth.put(record(
        "brief",
        &[("ending", ending)],
        vec![key([9; 32], None)],
    ));
    let user_token = signed(&claims(), Algorithm::HS256, &KEY);
    let forged = signed(&claims(), Algorithm::HS256, &[1; 32]);
    for token in ["project", "project2", "ending"] {
        assert_eq!(auth.identify(token), Ok(Grant::Project), "{token}");
    }
    let found = auth.identify(&user_token);
    assert!(matches!(found, Ok(Grant::User(grant)) if grant.id == user("u1")));
    for token in ["", "projec", "a.b.c", &forged] {
        assert_eq!(auth.identify(token), Err(AuthError::Unknown), "{token}");
    }
    clock.advance_us(60_000_000);
    for token in ["ending", &user_token] {
        assert_eq!(auth.identify(token), Err(AuthError::Expired), "{token}");
    }
    // The same token may be declared for several domains: one valid declaration suffices.
    auth.declare(&domain("other"), "ending");
    assert_eq!(auth.identify("ending"), Ok(Grant::Project));

    // It is known as long as any domain has it, in whatever order they come and go.
    auth.declare(&domain("third"), "ending");
    for (gone, is_known) in [("other", true), ("brief", true), ("third", false)] {
        auth.remove(&domain(gone));
        assert_eq!(is_project(&auth, "ending"), is_known, "{gone}");
    }
    assert!(!is_project(&auth, "project2"), "removed with its domain");
    assert_eq!(auth.identify("project2"), Err(AuthError::Unknown));
    auth.put(record("demo", &[("next", None)], vec![key(KEY, None)]));
    assert!(is_project(&auth, "next") && !is_project(&auth, "project"));
    let (third, fourth) = (domain("third"), domain("fourth"));
    auth.redeclare([(&third, "ending"), (&fourth, "declared")]);
    assert!(is_project(&auth, "declared") && !is_project(&auth, "ending"));
    auth.redeclare([]);
    assert!(!is_project(&auth, "declared"));
    assert!(is_project(&auth, "next"), "no declared one");
}
