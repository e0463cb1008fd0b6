//! What the documents say is so: the tables of settings and of metrics are those of the code, the tests that
//! docs/DELIVERY.md names exist, and docs/CLIENTS.md knows every code.

#![allow(clippy::unwrap_used)]

use relaybox::config::settings;
use relaybox::metrics::{Metrics, descriptions};
use relaybox::protocol::close::CloseReason;
use relaybox::protocol::error_code::ErrorCode;

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
fn every_setting_stands_in_the_manual() {
    let manual = read("docs/SETTINGS.md");
    assert!(
        manual.contains(&table()),
        "the table of settings should be:\n{}",
        table()
    );
}

/// The rows that docs/METRICS.md should have: of relaybox itself, and of its process.
fn metrics_table() -> [String; 2] {
    let row = |name: &str, kind: &str, labels: &[&str], help: &str| {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    };
    let own = descriptions().map(|one| row(one.name, one.kind, one.labels, one.help));
    let text = Metrics::new(&[]).text().unwrap();
    let of_process = text.split("# HELP ").skip(1).filter_map(|family| {
        let mut lines = family.lines();
        let (name, help) = lines.next()?.split_once(' ')?;
        let kind = lines.next()?.rsplit(' ').next()?;
        let is_of_process = name.starts_with("process_");
        is_of_process.then(|| row(name, kind, &[], help))
    });
    [own.collect(), of_process.collect()]
}

#[test]
fn every_metric_stands_in_the_manual() {
    let manual = read("docs/METRICS.md");
    for rows in metrics_table() {
        assert!(rows.lines().count() > 5);
        assert!(manual.contains(&rows), "it should have:\n{rows}");
    }
    let errors = ErrorCode::ALL.map(ErrorCode::as_str);
    for value in CloseReason::OF_LOGINS.iter().chain(&errors) {
        assert!(manual.contains(&format!("`{value}`")), "{value} is missing");
    }
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

/// The Rust files below `dir`.
fn sources(dir: &std::path::Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The names of the fields that stand before an event's sentence: `%error, times = 2, "…`.
fn fields(event: &str) -> impl Iterator<Item = &str> {
    let head = event.split('"').next().unwrap_or_default();
    let names = head
        .split(',')
        .map(|field| field.split('=').next().unwrap_or_default());
    let names = names.map(|name| name.trim().trim_start_matches(['%', '?']));
    names.filter(|name| !name.is_empty())
}

#[test]
fn every_field_of_the_log_is_documented() {
    let document = read("docs/LOGGING.md");
    let mut texts = Vec::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    sources(root.as_ref(), &mut texts);
    let mut count = 0;
    for text in &texts {
        for level in ["error!(", "warn!(", "info!(", "debug!(", "trace!("] {
            for event in text.split(level).skip(1) {
                for name in fields(event) {
                    count += 1;
                    let row = format!("| `{name}` |");
                    assert!(
                        document.contains(&row),
                        "{name}: {}",
                        &event[..event.len().min(80)]
                    );
                }
            }
        }
    }
    assert!(count > 40, "only {count} fields found");
}

/// The first cells of the table below this heading.
fn first_cells(document: &str, heading: &str) -> String {
    let (_, part) = document.split_once(heading).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let rows = part.lines().filter_map(|row| row.strip_prefix("| "));
    rows.filter_map(|row| row.split(" | ").next())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn clients_are_told_what_to_do_on_every_code() {
    let contract = read("docs/PROTOCOL.md");
    let codes = first_cells(&contract, "Close codes tell a client");
    let codes: Vec<_> = codes
        .split(|c: char| !c.is_ascii_digit())
        .filter(|word| word.len() == 4)
        .collect();
    assert!(codes.len() > 12, "{codes:?}");
    let clients = read("docs/CLIENTS.md");
    let told = first_cells(&clients, "## When the connection closes");
    for code in codes {
        // These are a range in the document.
        let is_told = told.contains(code) || ("4500".."4600").contains(&code);
        assert!(is_told, "{code} is not in docs/CLIENTS.md");
    }
    let told = first_cells(&clients, "| `error.code` |");
    for code in ErrorCode::ALL {
        assert!(
            told.contains(code.as_str()),
            "{code:?} is not in docs/CLIENTS.md"
        );
    }
}
