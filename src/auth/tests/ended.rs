//! Declared tokens that were ended.

use super::*;

#[test]
fn what_was_ended_stays_so_when_the_settings_are_read_again() {
    let (auth, clock) = fixture();
    let (demo, new) = (domain("demo"), domain("new"));
    auth.declare(&demo, "rotated");
    auth.declare(&new, "removed");
    auth.expire_declared(&demo, NOW_S * 1000 + 5);
    auth.remove(&new);
    let again = || auth.redeclare([(&demo, "rotated"), (&new, "removed")]);
    assert_eq!(again(), []);
    clock.advance_us(5000);
    assert_eq!(again(), []);
    assert_eq!(auth.verify(&demo, "rotated"), Err(AuthError::Expired));
    assert_eq!(auth.verify(&new, "removed"), Err(AuthError::Unknown));
    assert!(!auth.declared().contains(&new), "no domain comes back");
    assert_eq!(auth.redeclare([(&demo, "fresh")]), [demo.clone(), new]);
}
