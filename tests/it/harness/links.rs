//! The `Link` header (RFC 8288) of an answer.

use std::collections::BTreeMap;

use crate::support::http::Answer;

/// Relation and target of each link.
pub fn links(answer: &Answer) -> BTreeMap<String, String> {
    let header = answer.header("link");
    let links = header.split(", ").filter(|link| !link.is_empty());
    let parts = links.map(|link| {
        let (target, rel) = link.split_once("; rel=").unwrap();
        let target = target.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
        // It holds below whatever path.
        assert!(target.starts_with('?'), "{target}");
        (
            rel.trim_matches('"').to_owned(),
            format!("/message-log{target}"),
        )
    });
    parts.collect()
}
