//! What the documents say is so: the tables of settings and of metrics are those of the code, the tests that
//! docs/DELIVERY.md names exist, docs/CLIENTS.md knows every code, and the contract and the code name the same
//! sections, codes, settings and endpoints.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use relaybox::config::settings;
use relaybox::metrics::Metrics;
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
    let mut own = String::new();
    let mut help = String::new();
    // From the code: a metric with labels is not in the text before it has counted something.
    for line in read("src/metrics/mod.rs").lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            help.push_str(words);
            continue;
        }
        let help = std::mem::take(&mut help);
        let Some((declared, rest)) = line.split_once(" = \"") else {
            continue;
        };
        let kind = match declared.split_once(": ").unwrap().1 {
            "IntCounter" | "IntCounterVec" => "counter",
            "IntGauge" | "IntGaugeVec" => "gauge",
            "Histogram" => "histogram",
            other => panic!("{other}"),
        };
        let (name, labels) = rest.trim_end_matches(';').split_once('"').unwrap();
        let labels: Vec<_> = labels.split('"').skip(1).step_by(2).collect();
        own.push_str(&row(name, kind, &labels, help.trim_start()));
    }
    let text = Metrics::new(&[]).text().unwrap();
    let of_process = text.split("# HELP ").skip(1).filter_map(|family| {
        let mut lines = family.lines();
        let (name, help) = lines.next()?.split_once(' ')?;
        let kind = lines.next()?.rsplit(' ').next()?;
        let is_of_process = name.starts_with("process_");
        is_of_process.then(|| row(name, kind, &[], help))
    });
    [own, of_process.collect()]
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
                read(&format!("{path}mod.rs"));
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

/// The numbers in a text that are close codes.
fn close_codes(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words
        .filter(|word| ("1000".."1016").contains(word) || ("4000".."5000").contains(word))
        .filter(|word| word.len() == 4)
        .collect()
}

/// The words between backticks that look like a setting or a code.
fn snake_case_names(text: &str) -> BTreeSet<&str> {
    let names = text.split('`').skip(1).step_by(2);
    names
        .filter(|name| name.trim_matches('_').contains('_'))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect()
}

/// The codes of problems: `StatusCode::NOT_FOUND, "not_found"`.
fn problem_codes(source: &str) -> BTreeSet<&str> {
    let codes = source.split("StatusCode::").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once(',')?;
        rest.trim_start().strip_prefix('"')?.split('"').next()
    });
    codes.collect()
}

#[test]
fn every_section_of_the_contract_that_is_cited_exists() {
    let contract = read("docs/PROTOCOL.md");
    let mut texts = vec![contract.clone()];
    for part in ["src", "tests", "benches"] {
        let root = format!("{}/{part}", env!("CARGO_MANIFEST_DIR"));
        sources(root.as_ref(), &mut texts);
    }
    let mut count = 0;
    for text in &texts {
        for cited in text.split("PROTOCOL.md section").skip(1) {
            // "sections 3 and 7" names two.
            let cited = cited.trim_start_matches('s');
            let cited = cited.split([')', ':', ';', '.', '\n']).next().unwrap();
            let words = cited.split([' ', ',']);
            for number in words.filter(|word| word.parse::<u32>().is_ok()) {
                count += 1;
                let heading = format!("\n## {number}. ");
                assert!(contract.contains(&heading), "no section {number}: {cited}");
            }
        }
    }
    for cited in contract.split("(section ").skip(1) {
        let number = cited.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        count += 1;
        assert!(contract.contains(&format!("\n## {number}. ")), "{number}");
    }
    assert!(count > 30, "only {count} sections are cited");
}

#[test]
fn the_contract_and_the_code_have_the_same_codes() {
    let contract = read("docs/PROTOCOL.md");
    let table = first_cells(&contract, "Close codes tell a client");
    let source = read("src/protocol/close.rs");
    assert_eq!(close_codes(&table), close_codes(&source));

    let source = read("src/http/problem.rs");
    let mut codes = problem_codes(source.split("#[cfg(test)]").next().unwrap());
    codes.extend(ErrorCode::ALL.map(ErrorCode::as_str));
    for code in &codes {
        let named = format!("`{code}`");
        assert!(contract.contains(&named), "{code} is not in the contract");
    }
    let known: BTreeSet<_> = settings().iter().map(|setting| setting.name).collect();
    for name in snake_case_names(&contract) {
        let exists = codes.contains(name) || known.contains(name);
        assert!(exists, "{name} is neither a code nor a setting");
    }
}

#[test]
fn the_flags_and_variables_of_the_contract_exist() {
    let contract = read("docs/PROTOCOL.md");
    let (_, table) = contract.split_once("| flag | environment |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let names = |cell: usize| row.split('|').nth(cell).unwrap().split('`').nth(1).unwrap();
        let (flag, env) = (names(1).split(' ').next().unwrap(), names(2));
        let is_so =
            |setting: &relaybox::config::Setting| setting.flag == flag && setting.env == env;
        assert!(settings().iter().any(is_so), "{flag} and {env}");
        count += 1;
    }
    assert!(count > 5, "only {count} rows found");
    // All flags of all commands stand in a completion.
    let completions = std::process::Command::new(env!("CARGO_BIN_EXE_relaybox"))
        .args(["completions", "bash"])
        .output()
        .unwrap();
    let completions = String::from_utf8(completions.stdout).unwrap();
    let flags: BTreeSet<_> = completions.split([' ', '"', ')', '|', '\n']).collect();
    for rest in contract.split("`--").skip(1) {
        let name = rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        let flag = format!("--{}", name.into_iter().next().unwrap());
        assert!(flags.contains(flag.as_str()), "no command has {flag}");
    }
}

#[test]
fn the_contract_and_the_code_have_the_same_endpoints() {
    let contract = read("docs/PROTOCOL.md");
    let mut texts = Vec::new();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http");
    sources(root.as_ref(), &mut texts);
    let mut served = BTreeSet::new();
    for attribute in texts
        .iter()
        .flat_map(|text| text.split("#[utoipa::path(").skip(1))
    {
        let method = attribute.trim_start().split(',').next().unwrap();
        let (_, path) = attribute.split_once("path = \"").unwrap();
        let path = path.split('"').next().unwrap();
        served.insert(format!("{} {path}", method.to_uppercase()));
    }
    let mut named = BTreeSet::new();
    for method in ["GET", "POST", "DELETE"] {
        for rest in contract.split(&format!("`{method} ")).skip(1) {
            let rest = rest.trim_start_matches("wss://HOST");
            let path = rest.split(['?', '`', ' ']).next().unwrap();
            named.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(named, served);
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
