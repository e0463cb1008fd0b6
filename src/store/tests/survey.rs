//! A data directory as it looks from outside.

use super::support::*;
use crate::store::survey;

fn look(dir: &Path) -> survey::Survey {
    survey::survey(dir).unwrap().unwrap()
}

#[test]
fn a_running_store_is_looked_at_without_being_held_up() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(survey::survey(dir.path()).unwrap(), None);
    let missing = dir.path().join("missing");
    assert_eq!(survey::survey(&missing).unwrap(), None);

    let store = open(dir.path());
    assert_eq!(look(dir.path()).newest, MsgId::ZERO);
    assert_eq!(look(dir.path()).has_domains, Some(false));
    let first = send_one(&store, "a", "b", "first");
    let (found, newest) = (look(dir.path()), store.last_id());
    assert_eq!((found.oldest, found.newest), (first, newest));

    store.put_domain(record("d")).unwrap();
    assert_eq!(look(dir.path()).has_domains, Some(true));
    let newest = send_one(&store, "a", "b", "second");
    assert_eq!(look(dir.path()).newest, newest);
    store.close();
    // What it left is right, and was not touched.
    open(dir.path()).close();
    assert_eq!(look(dir.path()).newest, newest);
}

#[test]
fn newest_and_oldest_are_found_across_segments() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.put_domain(record("d")).unwrap();
    let first = send_one(&store, "a", "b", "first");
    store.close();
    let store = with_segments(dir.path(), 4);
    let newest = send_one(&store, "a", "b", "newest");
    let found = look(dir.path());
    assert_eq!((found.oldest, found.newest), (first, newest));
    assert!(found.bytes > 4 * 9_000, "{found:?}");
    // All is in the index, and nothing of a domain in the last segment.
    store.close();
    assert_eq!(look(dir.path()).has_domains, Some(true));
}

#[test]
fn what_no_server_would_start_on_is_an_error() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 3] = [
        ("has version 99", |dir| {
            std::fs::write(dir.join("VERSION"), "99").unwrap();
        }),
        ("was interrupted", |dir| {
            std::fs::create_dir(dir.join("journal.restoring")).unwrap();
        }),
        ("is damaged at byte 0", |dir| {
            let mut names = std::fs::read_dir(dir.join("journal")).unwrap();
            let segment = names.next().unwrap().unwrap().path();
            std::fs::write(segment, "no segment").unwrap();
        }),
    ];
    for (expected, spoil) in spoils {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).close();
        spoil(dir.path());
        let error = survey::survey(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
