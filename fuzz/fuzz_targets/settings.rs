//! Any text as the settings of all sources: they are valid or refused, never a panic. A flag is read as the variable and
//! the line of the file are that say the same; what is valid keeps what is promised of all settings together; and no
//! error, warning or `Debug` tells a token, wherever it stands.
//!
//! Lines that begin with `--` are flags, those with `RELAYBOX_` the environment, all others the settings file. `SECRET`
//! in them begins what is to be told to nobody.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use relaybox::config::{
    Config, ENV_PREFIX, Env, FileText, Flags, Loaded, Setting, resolve, settings,
};
use relaybox::model::logged_in_max;

const SECRET: &str = "hUsH-hUsH";
const SENTENCES_BYTES_MAX: usize = 64 << 10;

fn file(text: String) -> FileText {
    let path = PathBuf::from("relaybox.toml");
    FileText { path, text }
}

fn read(flags: &Flags, env: &Env, text: &str, open_files_max: Option<u64>) -> Option<Config> {
    let settings_file = file(text.to_owned());
    match resolve(flags, env, Some(&settings_file), open_files_max) {
        Ok(Loaded { config, warnings }) => {
            for sentence in &warnings {
                // Domains are no secret.
                let domains = config.token.iter().map(|token| token.domain.as_str());
                let rest = domains.fold(sentence.clone(), |rest, domain| rest.replace(domain, ""));
                assert!(!rest.contains(SECRET), "{sentence}");
            }
            for token in &config.token {
                let domain = format!("{:?}", token.domain);
                let shown = format!("{token:?}").replace(&domain, "");
                assert!(!shown.contains(SECRET));
            }
            check(&config);
            Some(config)
        }
        Err(error) => {
            for sentence in [error.to_string(), format!("{error:?}")] {
                assert!((1..=SENTENCES_BYTES_MAX).contains(&sentence.len()));
                assert!(!sentence.contains(SECRET), "{sentence}");
            }
            None
        }
    }
}

fn check(config: &Config) {
    assert!(config.addresses().next().is_some());
    assert!((1..=logged_in_max(config.connections_max)).contains(&config.sessions_max));
    assert!(config.tail_bytes_max >= 4 * config.content_bytes_max);
    assert!(config.types.is_sorted());
    assert!(config.pending_restart(config).is_empty());
}

/// As a basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// One value, alone: the same whatever source has it.
fn check_alone(setting: &'static Setting, value: &str) {
    let is_plain = match setting.list {
        // Entries of a variable are separated, and trimmed.
        true => value.trim() == value && !value.contains(','),
        false => true,
    };
    if value.is_empty() || !is_plain {
        return;
    }
    let (no_flags, no_env) = (Flags::new(), Env::new());
    let flags = Flags::from([(setting.name, vec![value.to_owned()])]);
    let env = Env::from([(setting.env.to_owned(), value.to_owned())]);
    let text = format!("{} = {}", setting.name, quoted(value));
    let by_flag = read(&flags, &no_env, "", None);
    assert_eq!(read(&no_flags, &env, "", None), by_flag);
    assert_eq!(read(&no_flags, &no_env, &text, None), by_flag);
    // The higher source counts, and the lower one is not even read.
    let wrong = format!("{} = {}", setting.name, quoted("\u{7f}"));
    assert_eq!(read(&flags, &no_env, &wrong, None), by_flag);
    assert_eq!(read(&no_flags, &env, &wrong, None), by_flag);
}

fuzz_target!(|input: &str| {
    let (mut flags, mut env, mut text) = (Flags::new(), Env::new(), String::new());
    let input = input.replace("SECRET", SECRET);
    for line in input.lines() {
        let Some((name, value)) = line.split_once('=') else {
            text.extend([line, "\n"]);
            continue;
        };
        let setting = settings()
            .iter()
            .find(|setting| setting.flag == name || setting.env == name);
        if let Some(setting) = setting {
            check_alone(setting, value);
        }
        match setting {
            Some(setting) if setting.flag == name => {
                let values = flags.entry(setting.name).or_default();
                values.push(value.to_owned());
            }
            _ if name.starts_with(ENV_PREFIX) => {
                // The value is what stands behind, and no name is a secret.
                if !name.contains(SECRET) {
                    env.insert(name.to_owned(), value.to_owned());
                }
            }
            _ => text.extend([line, "\n"]),
        }
    }
    let open_files_max = Some(text.len() as u64);
    for open_files_max in [None, open_files_max] {
        read(&flags, &env, &text, open_files_max);
    }
});
