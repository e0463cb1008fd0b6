//! What the documents say is so: the README's table of settings is the table in the code, and the
//! tests that docs/DELIVERY.md names exist.

#![allow(clippy::unwrap_used)]

use relaybox::config::settings;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn table() -> String {
    let row = |setting: &relaybox::config::Setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let repeatable = if setting.list { " (repeatable)" } else { "" };
        let (name, flag, env) = (setting.name, setting.flag, setting.env);
        let (value, meaning) = (setting.value, setting.meaning);
        format!("| `{name}` | `{flag} {value}`{repeatable} | `{env}` | {default} | {meaning} |\n")
    };
    settings().iter().map(row).collect()
}

#[test]
fn every_setting_stands_in_the_readme() {
    let readme = read("README.md");
    assert!(
        readme.contains(&table()),
        "the table of settings should be:\n{}",
        table()
    );
}

/// The tests in a cell such as "`tests/a.rs` one, two (of course); `tests/b/`": file and names.
fn tests_of(cell: &str) -> Vec<(String, Vec<String>)> {
    let parts = cell.split(';').filter_map(|part| {
        let (_, rest) = part.split_once('`')?;
        let (path, names) = rest.split_once('`')?;
        let words = names.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let names = words.filter(|word| word.contains('_'));
        Some((path.to_owned(), names.map(str::to_owned).collect()))
    });
    parts.collect()
}

#[test]
fn the_tests_that_show_what_is_promised_exist() {
    let document = read("docs/DELIVERY.md");
    let rows = document.lines().filter(|line| line.starts_with("| **"));
    let mut count = 0;
    for row in rows {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests = tests_of(cell);
        assert!(!tests.is_empty(), "nothing shows this: {row}");
        for (path, names) in tests {
            if path.ends_with('/') {
                read(&format!("{path}main.rs"));
                continue;
            }
            let text = read(&path);
            for name in names {
                count += 1;
                assert!(text.contains(&format!("fn {name}(")), "no {name} in {path}");
            }
        }
    }
    assert!(count > 10, "only {count} tests are named");
}
