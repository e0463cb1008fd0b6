#![allow(clippy::unwrap_used)]

use super::*;
use crate::auth::AuthError;
use crate::clock::ManualClock;
use crate::model::Message;
use crate::store::{CommitSink, StoreOptions};

struct Nobody;
impl CommitSink for Nobody {
    fn committed(&self, _messages: &[Message]) {}
}

const TTL: Duration = Duration::from_secs(3600);

struct Fixture {
    domains: Domains,
    auth: Auth,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(1_764_000_000_000_000));
    let options = StoreOptions::small(dir.path());
    let store = Store::open(options, clock.clone(), Arc::new(Nobody)).unwrap();
    let auth = Auth::new(clock.clone());
    Fixture {
        domains: Domains::new(store, auth.clone(), clock.clone()),
        auth,
        clock,
        _dir: dir,
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn user() -> UserId {
    UserId::parse("u1").unwrap()
}

#[test]
fn a_domain_is_added_once_listed_and_removed_once() {
    let f = fixture();
    let (a, b) = (domain("a"), domain("b"));
    let token = f.domains.add(&b).unwrap();
    f.domains.add(&a).unwrap();
    assert_eq!(f.domains.add(&b), Err(DomainError::Exists(b.clone())));
    let names: Vec<_> = f.domains.list().into_iter().map(|s| s.domain).collect();
    assert_eq!(names, [a.as_str(), b.as_str()]);
    assert!(f.auth.verify(&b, &token).is_ok());

    assert_eq!(f.domains.remove(&b), Ok(false));
    assert_eq!(f.auth.verify(&b, &token), Err(AuthError::Unknown));
    let unknown = Err(DomainError::Unknown(b.clone()));
    assert_eq!(f.domains.remove(&b), unknown);
    assert_eq!(f.domains.rotate(&b, TTL).err(), unknown.clone().err());
    assert_eq!(
        mint(f.domains.auth(), &b, &user(), None, TTL, false).err(),
        unknown.err()
    );
    assert_eq!(f.domains.list().len(), 1);
    assert_ne!(
        f.domains.add(&b).unwrap(),
        token,
        "a new one, not the old one again"
    );
}

#[test]
fn a_reopened_store_knows_its_tokens() {
    let f = fixture();
    let demo = domain("demo");
    let token = f.domains.add(&demo).unwrap();
    let auth = Auth::new(f.clock.clone());
    assert_eq!(auth.verify(&demo, &token), Err(AuthError::Unknown));
    Domains::new(f.domains.store.clone(), auth.clone(), f.clock.clone());
    assert!(auth.verify(&demo, &token).is_ok());
}

#[test]
fn rotating_ends_old_tokens_at_once_or_after_the_grace() {
    let f = fixture();
    let demo = domain("demo");
    let first = f.domains.add(&demo).unwrap();
    let (by_key, _) = mint(f.domains.auth(), &demo, &user(), None, TTL, false).unwrap();
    let grace = Duration::from_secs(10);
    let second = f.domains.rotate(&demo, grace).unwrap();
    assert!(!second.declared);
    for token in [&first, &second.token, &by_key] {
        assert!(f.auth.verify(&demo, token).is_ok());
    }
    assert_eq!(f.domains.list()[0].tokens, 2);

    f.clock.advance_us(10_000_000);
    assert_eq!(f.auth.verify(&demo, &first), Err(AuthError::Expired));
    assert_eq!(f.auth.verify(&demo, &by_key), Err(AuthError::Unknown));
    assert_eq!(f.domains.list()[0].tokens, 1);

    let third = f.domains.rotate(&demo, Duration::ZERO).unwrap();
    assert_eq!(f.auth.verify(&demo, &second.token), Err(AuthError::Unknown));
    assert!(f.auth.verify(&demo, &third.token).is_ok());
    let record = f.domains.record(&demo).unwrap();
    assert_eq!((record.tokens.len(), record.signing_keys.len()), (1, 1));
}

#[test]
fn a_later_rotation_prolongs_no_grace_and_tokens_stay_bounded() {
    let f = fixture();
    let demo = domain("demo");
    let first = f.domains.add(&demo).unwrap();
    f.domains.rotate(&demo, Duration::from_secs(1)).unwrap();
    f.domains.rotate(&demo, Duration::MAX).unwrap();
    f.clock.advance_us(1_000_000);
    assert_eq!(f.auth.verify(&demo, &first), Err(AuthError::Expired));
    for _ in 0..40 {
        f.domains.rotate(&demo, TTL).unwrap();
    }
    let record = f.domains.record(&demo).unwrap();
    assert_eq!(record.tokens.len(), IN_GRACE_MAX + 1);
    assert_eq!(record.signing_keys.len(), IN_GRACE_MAX + 1);
}

#[test]
fn declared_domains_get_a_key_and_rotating_ends_their_tokens() {
    let f = fixture();
    let demo = domain("demo");
    f.auth.declare(&demo, "declared");
    f.domains.ensure_declared().unwrap();
    assert_eq!(f.domains.first_start(), Ok(None));
    let summary = f.domains.list().remove(0);
    assert_eq!((summary.tokens, summary.declared), (0, true));
    let (token, _) = mint(f.domains.auth(), &demo, &user(), None, TTL, true).unwrap();
    f.domains.ensure_declared().unwrap();
    assert!(
        f.auth.verify(&demo, &token).is_ok(),
        "the key stays the same"
    );

    assert!(f.domains.rotate(&demo, Duration::ZERO).unwrap().declared);
    assert_eq!(f.auth.verify(&demo, "declared"), Err(AuthError::Expired));
    assert_eq!(f.auth.verify(&demo, &token), Err(AuthError::Unknown));
    assert_eq!(f.domains.remove(&demo), Ok(true));
    assert_eq!(f.auth.verify(&demo, "declared"), Err(AuthError::Unknown));
}

#[test]
fn the_first_start_makes_demo_once() {
    let f = fixture();
    let (name, token) = f.domains.first_start().unwrap().unwrap();
    assert_eq!(name, domain("demo"));
    assert!(f.auth.verify(&name, &token).is_ok());
    assert_eq!(f.domains.first_start(), Ok(None));
}
