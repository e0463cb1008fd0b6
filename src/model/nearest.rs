//! Slips in names. A name that nobody knows is never repeated: it may be a secret that belongs
//! elsewhere. What is said instead is where it stands, and which known name is near.

/// The known name closest to a misspelled one, if any is close.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = (unknown.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|name| (distance(unknown, name), name))
        .filter(|(distance, _)| *distance <= close)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance. Names are short; a long unknown one is cut, which only adds distance.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
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
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
