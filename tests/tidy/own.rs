//! That the rules find what they forbid.

use crate::circles::{circles, describe};
use crate::modules::{Crate, Uses};
use crate::rooms::contradictions;

/// The uses within a crate of these files, `lib.rs` its root.
fn uses(files: &[(&str, &str)]) -> Uses {
    let text = |wanted: &str| {
        let found = files.iter().find(|(file, _)| *file == wanted);
        found.map(|(_, text)| (*text).to_owned())
    };
    Crate::read("lib.rs", &text).uses()
}

/// The circles of such a crate, described.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let uses = uses(files);
    let circles = circles(uses.keys().cloned());
    circles
        .iter()
        .map(|circle| describe(circle, &uses))
        .collect()
}

#[test]
fn a_circle_names_both_ends_and_the_items() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b::{self, Beta as Other}; pub struct Alpha; fn f() { b::go(); }",
        ),
        ("b.rs", "pub struct Beta(super::a::Alpha); pub fn go() {}"),
    ];
    assert_eq!(
        found(&files),
        ["a circle of files:\n  a.rs uses Beta, go of b.rs\n  b.rs uses Alpha of a.rs"]
    );
}

#[test]
fn a_circle_is_found_behind_a_re_export() {
    let parent = (
        "room/mod.rs",
        "mod a; mod b; pub use a::Alpha; pub(crate) use b::*;",
    );
    let files = [
        ("lib.rs", "mod room;"),
        parent,
        ("room/a.rs", "use super::Beta; pub struct Alpha;"),
        (
            "room/b.rs",
            "pub struct Beta; impl Beta { fn of(_: crate::room::Alpha) {} }",
        ),
    ];
    assert_eq!(
        found(&files),
        [
            "a circle of files:\n  room/a.rs uses Beta of room/b.rs\n  room/b.rs uses Alpha of room/a.rs"
        ]
    );
}

#[test]
fn what_a_macro_defines_is_used_where_it_is_invoked() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "pub use crate::b::Made; fn f() { std::mem::drop(Made); }",
        ),
        ("b.rs", "make! { Made } fn f() { crate::a::f() }"),
    ];
    assert_eq!(
        found(&files),
        ["a circle of files:\n  a.rs uses Made of b.rs\n  b.rs uses f of a.rs"]
    );
}

#[test]
fn a_circle_is_found_through_a_glob() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::*; pub struct Alpha(Vec<Beta>);"),
        (
            "b.rs",
            "pub struct Beta; mod inner { use super::*; fn f(_: crate::a::Alpha) {} }",
        ),
    ];
    assert_eq!(found(&files).len(), 1);
    let by_method = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b::*; pub struct Alpha; fn f() { 1.twice(); }",
        ),
        (
            "b.rs",
            "use crate::a::Alpha; pub trait Twice { fn twice(&self); }",
        ),
    ];
    assert_eq!(found(&by_method).len(), 1);
}

#[test]
fn a_child_and_its_parent_are_a_circle_by_items_alone() {
    let by_item = [
        ("lib.rs", "mod a;"),
        (
            "a/mod.rs",
            "mod child; pub struct Limit; fn f() { child::check(); }",
        ),
        ("a/child.rs", "use super::Limit; pub fn check() {}"),
    ];
    assert_eq!(found(&by_item).len(), 1);
    let by_name = [
        ("lib.rs", "mod a; pub use a::check;"),
        (
            "a/mod.rs",
            "mod child; pub struct Limit; pub use child::check; mod tests;",
        ),
        ("a/child.rs", "use super::Limit; pub fn check() {}"),
        ("a/tests.rs", "use super::*; fn f() { check(); }"),
    ];
    assert_eq!(found(&by_name), [""; 0]);
}

#[test]
fn what_only_looks_like_a_use_is_none() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        (
            "a.rs",
            "use crate::b::Beta;\n/// Not crate::b::Beta.\npub fn alpha<'alpha>() { \"super::b\"; }",
        ),
        (
            "b.rs",
            "pub struct Beta { alpha: u8 } fn f(b: Beta) { b.alpha; /* crate::a::alpha */ }",
        ),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn the_table_refuses_other_edges_unused_ones_and_circles() {
    let uses = uses(&[
        ("lib.rs", "mod high; mod low;"),
        ("high.rs", "use crate::low::Low;"),
        ("low.rs", "pub struct Low;"),
    ]);
    let wrong = |rooms: &[crate::rooms::Row]| contradictions(rooms, &uses);
    assert_eq!(wrong(&[("high", &["low"]), ("low", &[])]), [""; 0]);
    assert_eq!(
        wrong(&[("high", &[]), ("low", &[])]),
        ["high.rs uses Low of low.rs: high may not use low"]
    );
    assert_eq!(
        wrong(&[("high", &["low"]), ("low", &["high"])]),
        [
            "low may use high, and does not",
            "a circle of rooms: {\"high\", \"low\"}"
        ]
    );
}
