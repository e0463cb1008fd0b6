//! The README's table of settings is the table in the code.

#![allow(clippy::unwrap_used)]

use relaybox::config::settings;

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
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = std::fs::read_to_string(format!("{root}/README.md")).unwrap();
    assert!(
        readme.contains(&table()),
        "the table of settings should be:\n{}",
        table()
    );
}
