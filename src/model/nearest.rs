//! Suggestions for misspelled names. An unknown name is never repeated: it may be a misplaced secret. Messages give its
//! position and the closest known name instead.

/// The known name closest to a misspelled one, if any is close.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = (unknown.len() / 3).clamp(1, 3);
    let length = unknown.chars().count();
    known
        .into_iter()
        // The distance is at least the difference in length: a long unknown name costs nothing.
        .filter(|name| name.chars().count().abs_diff(length) <= close)
        .map(|name| (strsim::levenshtein(unknown, name), name))
        .filter(|(distance, _)| *distance <= close)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips_and_nothing_else() {
        let names = || ["listen", "host", "history_open"];
        assert_eq!(nearest("lissten", names()), Some("listen"));
        assert_eq!(nearest("histroy_open", names()), Some("history_open"));
        assert_eq!(nearest("hosts", names()), Some("host"));
        assert_eq!(nearest("password", names()), None);
        assert_eq!(nearest("", names()), None);
        assert_eq!(nearest(&"host".repeat(1 << 20), names()), None);
    }
}
