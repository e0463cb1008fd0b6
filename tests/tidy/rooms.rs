//! Rooms, and which of them each may use.

use std::collections::BTreeSet;

use crate::circles::circles;
use crate::modules::Uses;

/// A room and those that it may use.
pub(crate) type Row = (&'static str, &'static [&'static str]);

/// As small as the code allows: an edge that nothing uses is to be taken out.
pub(crate) const ROOMS: [Row; 20] = [
    ("main", &["cli"]),
    (
        "cli",
        &[
            "admin", "auth", "client", "clock", "command", "config", "model", "net", "protocol",
            "server", "store",
        ],
    ),
    ("client", &["auth", "config", "model", "net", "protocol"]),
    (
        "server",
        &[
            "admin", "auth", "clock", "command", "config", "http", "hub", "limits", "metrics",
            "model", "net", "protocol", "session", "state", "store",
        ],
    ),
    ("net", &["clock", "limits", "metrics", "state"]),
    (
        "http",
        &[
            "auth",
            "clock",
            "command",
            "config",
            "hub",
            "limits",
            "metrics",
            "model",
            "protocol",
            "session",
            "state",
            "store",
            "websocket",
        ],
    ),
    (
        "admin",
        &[
            "auth", "clock", "command", "hub", "metrics", "model", "store",
        ],
    ),
    (
        "session",
        &[
            "auth",
            "command",
            "hub",
            "limits",
            "metrics",
            "model",
            "protocol",
            "state",
            "store",
            "websocket",
        ],
    ),
    (
        "state",
        &[
            "auth",
            "clock",
            "command",
            "config",
            "hub",
            "limits",
            "metrics",
            "protocol",
            "store",
            "websocket",
        ],
    ),
    (
        "command",
        &[
            "auth", "clock", "hub", "limits", "metrics", "model", "protocol", "store",
        ],
    ),
    (
        "hub",
        &["metrics", "model", "protocol", "store", "websocket"],
    ),
    ("limits", &["config", "metrics", "model"]),
    ("websocket", &[]),
    ("auth", &["clock", "model", "protocol"]),
    ("store", &["clock", "metrics", "model"]),
    ("config", &["model", "protocol"]),
    ("protocol", &["model"]),
    ("model", &[]),
    ("metrics", &[]),
    ("clock", &[]),
];

/// `src/store/index/mod.rs` and `src/store.rs` are both in the room `store`.
pub(crate) fn room(file: &str) -> &str {
    let file = file.strip_prefix("src/").unwrap_or(file);
    file.split('/')
        .next()
        .unwrap_or(file)
        .trim_end_matches(".rs")
}

/// What contradicts the table, a sentence each.
pub(crate) fn contradictions(rooms: &[Row], uses: &Uses) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut unused: BTreeSet<(&str, &str)> = rooms
        .iter()
        .flat_map(|(room, below)| below.iter().map(move |used| (*room, *used)))
        .collect();
    let allowed = unused.clone();
    for ((from, to), items) in uses {
        let edge = (room(from), room(to));
        unused.remove(&edge);
        if edge.0 != edge.1 && !allowed.contains(&edge) {
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            let items = items.join(", ");
            wrong.push(format!(
                "{from} uses {items} of {to}: {} may not use {}",
                edge.0, edge.1
            ));
        }
    }
    wrong.extend(
        unused
            .iter()
            .map(|(from, to)| format!("{from} may use {to}, and does not")),
    );
    let edges = allowed
        .iter()
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    wrong.extend(
        circles(edges)
            .iter()
            .map(|circle| format!("a circle of rooms: {circle:?}")),
    );
    wrong
}
