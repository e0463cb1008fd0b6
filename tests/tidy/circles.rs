//! Circles among files or rooms: each can be reached from each.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Uses;

/// Every circle, as the set of those in it.
pub(crate) fn circles(edges: impl IntoIterator<Item = (String, String)>) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (from, to) in edges {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        next.keys().map(|from| (from, reach(from, &next))).collect();
    let mut circles = BTreeSet::new();
    for (from, to) in &reached {
        let back = |to: &&&String| reached.get(**to).is_some_and(|back| back.contains(from));
        let circle: BTreeSet<String> = to.iter().filter(back).map(|to| (*to).clone()).collect();
        if !circle.is_empty() {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// What can be reached in one step or more.
fn reach<'a>(from: &String, next: &'a BTreeMap<String, Vec<String>>) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = next.get(from).into_iter().flatten().collect();
    while let Some(at) = open.pop() {
        if reached.insert(at) {
            open.extend(next.get(at).into_iter().flatten());
        }
    }
    reached
}

/// A circle as text: both ends and the items of each of its edges.
pub(crate) fn describe(circle: &BTreeSet<String>, uses: &Uses) -> String {
    let inside = uses
        .iter()
        .filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
    let lines = inside.map(|((from, to), items)| {
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        format!("  {from} uses {} of {to}", items.join(", "))
    });
    format!(
        "a circle of files:\n{}",
        lines.collect::<Vec<_>>().join("\n")
    )
}
