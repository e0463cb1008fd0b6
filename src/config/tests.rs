#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use super::*;
use crate::model::{Domain, MessageType};

mod defaults;
mod wrong;

fn flags(list: &[(&'static str, &[&str])]) -> Flags {
    list.iter()
        .map(|(name, texts)| (*name, texts.iter().map(|t| (*t).to_owned()).collect()))
        .collect()
}

fn env(list: &[(&str, &str)]) -> Env {
    list.iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn file(text: &str) -> FileText {
    FileText {
        path: PathBuf::from("relaybox.toml"),
        text: text.to_owned(),
    }
}

fn defaults() -> Config {
    resolve(&Flags::new(), &Env::new(), None, None)
        .unwrap()
        .config
}

fn from_file(text: &str) -> Result<Loaded, ConfigError> {
    resolve(&Flags::new(), &Env::new(), Some(&file(text)), None)
}

/// For every setting three different values, written in the file, the environment and a flag:
/// the highest source that has one wins, and nothing else changes.
#[test]
fn the_highest_source_wins_for_every_setting() {
    let samples: &[(&str, [&str; 3])] = &[
        ("listen", ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]),
        ("plain", ["127.0.0.1:1", "127.0.0.1:2", "off"]),
        ("data", ["a", "b", "c"]),
        ("socket", ["a", "b", "auto"]),
        ("certs", ["a", "b", "c"]),
        ("host", ["a", "b", "c"]),
        (
            "token",
            [
                "demo=one-123456789-123456",
                "demo=two-123456789-123456",
                "demo=three-123456789-1234",
            ],
        ),
        ("history_open", ["true", "false", "true"]),
        (
            "cors_origins",
            [
                "https://a.example",
                "https://*.b.example",
                "http://c.example:8080",
            ],
        ),
        (
            "ws_origins",
            ["https://a.example", "https://b.example", "*"],
        ),
        ("types", ["1", "2", "3"]),
        ("content_bytes_max", ["1KiB", "2KiB", "3KiB"]),
        ("content_depth_max", ["1", "2", "3"]),
        ("sessions_max", ["1", "2", "3"]),
        ("sessions_per_user_max", ["1", "2", "3"]),
        ("connections_max", ["60_000", "60_001", "60_002"]),
        ("ping_interval", ["1s", "2s", "3s"]),
        ("outbox_bytes_max", ["5KiB", "6KiB", "7KiB"]),
        ("retention", ["1day", "2days", "shop=3days"]),
        ("tail_bytes_max", ["5MiB", "6MiB", "7MiB"]),
        ("cache_bytes", ["5MiB", "6MiB", "7MiB"]),
        ("segment_bytes", ["5MiB", "6MiB", "7MiB"]),
        ("connections_per_address_max", ["1", "2", "off"]),
        ("connects_per_address", ["1/s", "2/s", "off"]),
        ("failed_logins_per_address", ["1/s", "2/s", "off"]),
        ("requests_per_address", ["1/s", "2/s", "off"]),
        ("requests_per_user", ["1/s", "2/s", "off"]),
        ("logins_per_user", ["1/s", "2/s", "off"]),
        ("logins", ["1/s", "2/s", "off"]),
        ("sends_per_user", ["1/s", "2/s", "off"]),
        ("send_bytes_per_user", ["1MiB/s", "64MiB/min", "off"]),
        ("sends_per_domain", ["1/s", "2/s", "shop=3/s"]),
        ("send_bytes_per_domain", ["1MiB/s", "2MiB/s", "shop=3GiB/h"]),
        ("store_quota", ["1GiB", "2GiB", "shop=3GiB"]),
        ("strangers_max", ["1_000", "auto", "2_000"]),
        ("disk_free_min", ["1GiB", "0", "off"]),
        ("trusted_proxies", ["10.0.0.1", "10.0.0.2", "10.0.0.0/8"]),
        ("unlimited", ["10.0.0.1", "10.0.0.2", "off"]),
        ("metrics_listen", ["127.0.0.1:1", "127.0.0.1:2", "off"]),
        ("log_format", ["json", "text", "json"]),
        ("log", ["warn", "error", "debug"]),
    ];
    assert_eq!(samples.len(), settings().len());
    for setting in settings() {
        let (_, [low, middle, high]) = samples.iter().find(|s| s.0 == setting.name).unwrap();
        let alone = |text: &str| {
            let config = resolve(&flags(&[(setting.name, &[text])]), &Env::new(), None, None);
            config.unwrap().config
        };
        let in_file = file(&format!("{} = {low:?}", setting.name));
        let in_env = env(&[(setting.env, middle)]);
        let in_flag = flags(&[(setting.name, &[high])]);
        let no_flags = Flags::new();
        for (flags, env, expected) in [
            (&no_flags, &Env::new(), low),
            (&no_flags, &in_env, middle),
            (&in_flag, &in_env, high),
            (&in_flag, &Env::new(), high),
        ] {
            let loaded = resolve(flags, env, Some(&in_file), None).unwrap();
            assert_eq!(loaded.config, alone(expected), "{}", setting.name);
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        }
        assert_ne!(alone(low), alone(middle), "{}", setting.name);
    }
}

#[test]
fn a_value_for_one_domain_leaves_the_default_to_the_others() {
    let rates = |values: &[&str]| {
        let flags = flags(&[("send_bytes_per_domain", values)]);
        let loaded = resolve(&flags, &Env::new(), None, None).unwrap();
        let rates = loaded.config.limits.send_bytes_per_domain;
        ["shop", "other"].map(|domain| {
            let rate = rates.of(&Domain::parse(domain).unwrap());
            rate.map(|rate| rate.count.get() >> 30)
        })
    };
    assert_eq!(rates(&["shop=off"]), [None, Some(16)]);
    assert_eq!(rates(&["off", "shop=1GiB/s"]), [Some(1), None]);
}

#[test]
fn a_file_may_hold_numbers_switches_and_lists() {
    let loaded = from_file(
        "# comment\n\
         types = [60, 50, 60]\n\
         history_open = true\n\
         content_bytes_max = 2048\n\
         token = [\"demo=a,b\", \"other=c\"]\n\
         host = \"one.example.com\"\n",
    )
    .unwrap();
    let config = loaded.config;
    assert_eq!(config.types, [MessageType(50), MessageType(60)]);
    assert!(config.history_open);
    assert_eq!(config.content_bytes_max, 2048);
    let tokens: Vec<_> = config
        .token
        .iter()
        .map(|t| (t.domain.as_str(), t.token()))
        .collect();
    assert_eq!(tokens, [("demo", "a,b"), ("other", "c")]);
    assert_eq!(config.host, ["one.example.com"]);
}

#[test]
fn short_tokens_are_warned_of_where_other_machines_get_at_them() {
    let warnings = |addresses: &[(&'static str, &[&str])]| {
        let token: &[&str] = &["short=123456789012345", "long=1234567890123456"];
        let given = [&[("token", token)], addresses].concat();
        let loaded = resolve(&flags(&given), &Env::new(), None, None).unwrap();
        loaded.warnings
    };
    let loopback: &[&str] = &["127.0.0.1:0"];
    for (listen, plain) in [
        ("0.0.0.0:0", "off"),
        ("[::]:0", "[::1]:0"),
        ("127.0.0.1:0", "10.0.0.1:1"),
        ("off", "10.0.0.1:1"),
    ] {
        let told = warnings(&[("listen", &[listen]), ("plain", &[plain])]);
        let [warning] = &told[..] else {
            panic!("{told:?}");
        };
        assert!(warning.starts_with("setting token (--token): the token of the domain short "));
        assert!(!warning.contains("12345"), "{warning}");
    }
    for listen in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0", "off"] {
        assert!(warnings(&[("listen", &[listen]), ("plain", loopback)]).is_empty());
    }
}

#[test]
fn environment_lists_are_separated_by_commas_and_empty_means_not_set() {
    let env = env(&[
        (
            "RELAYBOX_TOKEN",
            "demo=a-123456789-123456, other=b-123456789-123456,",
        ),
        ("RELAYBOX_PLAIN", ""),
        ("RELAYBOX_LISTEN", ""),
        ("OTHER", "x"),
    ]);
    let in_file = file("plain = \"127.0.0.1:1\"");
    let loaded = resolve(&Flags::new(), &env, Some(&in_file), None).unwrap();
    assert_eq!(loaded.config.token.len(), 2);
    assert_eq!(loaded.config.plain, Some("127.0.0.1:1".parse().unwrap()));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn errors_name_the_setting_its_source_and_what_was_expected() {
    let no_env = Env::new();
    let cases: Vec<(Result<Loaded, ConfigError>, &str)> = vec![
        (
            resolve(&flags(&[("listen", &["8443"])]), &no_env, None, None),
            "setting listen (--listen): expected ADDR:PORT such as [::]:8443 or 127.0.0.1:8443, or off",
        ),
        (
            resolve(
                &Flags::new(),
                &env(&[("RELAYBOX_PING_INTERVAL", "1ms")]),
                None,
                None,
            ),
            "setting ping_interval (RELAYBOX_PING_INTERVAL): expected a duration such as 25s, from 100ms to 1h",
        ),
        (
            from_file("\n\ncontent_bytes_max = 5"),
            "setting content_bytes_max (relaybox.toml:3): expected from 1KiB to 8MiB",
        ),
        (
            from_file("listen = [\"127.0.0.1:1\"]"),
            "setting listen (relaybox.toml:1): expected one text, number or true/false",
        ),
        (
            from_file("types = [1.5]"),
            "setting types (relaybox.toml:1): expected a list of texts or numbers",
        ),
        (
            from_file("plain = \"0.0.0.0:8443\""),
            "setting plain (relaybox.toml:1): expected another address than that of the setting listen",
        ),
        (
            from_file("listen = \"0.0.0.0:80\"\nplain = \"127.0.0.1:80\""),
            "setting plain (relaybox.toml:2): expected another address than that of the setting listen",
        ),
        (
            from_file("plain = \"[::1]:80\"\nmetrics_listen = \"[::1]:80\""),
            "setting metrics_listen (relaybox.toml:2): expected another address than that of the setting plain",
        ),
        (
            from_file("listen = \"off\""),
            "setting listen (relaybox.toml:1): expected an address, as the setting plain is off, too",
        ),
        (
            from_file("tail_bytes_max = \"1MiB\"\ncontent_bytes_max = \"1MiB\""),
            "setting tail_bytes_max (relaybox.toml:1): expected at least 4 times content_bytes_max (4194304 bytes)",
        ),
    ];
    for (result, sentence) in cases {
        assert_eq!(result.unwrap_err().to_string(), sentence);
    }
    let syntax = from_file("listen = \"0.0.0.0:1\"\ntoken = [\"demo=hush\n").unwrap_err();
    let sentence = syntax.to_string();
    assert!(sentence.starts_with("relaybox.toml:2: "), "{sentence}");
    assert!(
        !sentence.contains("hush") && !sentence.contains('\n'),
        "{sentence}"
    );
}

#[test]
fn connections_fit_the_open_file_limit() {
    let loaded = resolve(&Flags::new(), &Env::new(), None, Some(1024)).unwrap();
    assert_eq!(loaded.config.connections_max, 768);
    assert_eq!(
        loaded.config.sessions_max, 753,
        "some are left over for refusals"
    );
    assert_eq!(loaded.warnings, [""; 0], "nobody asked for more");
    let asked = flags(&[("connections_max", &["800"])]);
    let loaded = resolve(&asked, &Env::new(), None, Some(1024)).unwrap();
    assert_eq!(loaded.config.connections_max, 768);
    assert!(loaded.warnings[0].contains("1024"), "{:?}", loaded.warnings);

    let asked = flags(&[("sessions_max", &["900"]), ("connections_max", &["800"])]);
    let loaded = resolve(&asked, &Env::new(), None, Some(1 << 20)).unwrap();
    assert_eq!(loaded.config.sessions_max, 788);
    assert!(
        loaded.warnings[0].contains("--sessions-max"),
        "{:?}",
        loaded.warnings
    );

    for (few, sessions_max) in [("100", 92), ("10", 5), ("1", 1)] {
        let asked = flags(&[("connections_max", &[few])]);
        let loaded = resolve(&asked, &Env::new(), None, Some(1 << 20)).unwrap();
        assert_eq!(loaded.config.sessions_max, sessions_max, "{few}");
    }

    for tiny in [0, 1, 2] {
        let loaded = resolve(&Flags::new(), &Env::new(), None, Some(tiny)).unwrap();
        assert_eq!(loaded.config.connections_max, 1);
    }
}

#[test]
fn debug_shows_no_token() {
    let given = flags(&[("token", &["demo=hush"])]);
    let loaded = resolve(&given, &Env::new(), None, None).unwrap();
    assert_eq!(loaded.config.token[0].token(), "hush");
    assert!(!format!("{loaded:?}").contains("hush"));
    let wrong = resolve(&flags(&[("token", &["hush"])]), &Env::new(), None, None);
    assert!(!format!("{:?}", wrong.unwrap_err()).contains("hush"));
}

#[test]
fn the_file_is_the_named_one_or_that_of_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let at_data = flags(&[("data", &[data])]);
    let no_env = Env::new();
    let log = |flags: &Flags, env: &Env, named: Option<&Path>| {
        let sources = Sources {
            flags: flags.clone(),
            env: env.clone(),
            named: named.map(Path::to_owned),
        };
        sources
            .load(None)
            .map(|loaded| loaded.config.log.to_string())
    };
    assert_eq!(
        log(&at_data, &no_env, None).unwrap(),
        "info",
        "optional there"
    );
    let missing = dir.path().join("other.toml");
    let error = log(&at_data, &no_env, Some(&missing)).unwrap_err();
    assert!(error.to_string().contains("other.toml"), "{error}");

    std::fs::write(dir.path().join("relaybox.toml"), "log = \"warn\"").unwrap();
    std::fs::write(&missing, "log = \"error\"").unwrap();
    assert_eq!(log(&at_data, &no_env, None).unwrap(), "warn");
    let by_env = env(&[("RELAYBOX_DATA", data)]);
    assert_eq!(log(&Flags::new(), &by_env, None).unwrap(), "warn");
    assert_eq!(log(&at_data, &no_env, Some(&missing)).unwrap(), "error");
    let named_by_env = env(&[(CONFIG_ENV, missing.to_str().unwrap())]);
    assert_eq!(log(&at_data, &named_by_env, None).unwrap(), "error");

    std::fs::write(&missing, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(matches!(
        log(&at_data, &no_env, Some(&missing)),
        Err(ConfigError::Read { .. })
    ));
}

#[test]
fn changes_take_effect_when_the_table_says_so() {
    let with = |name, text: &str| {
        let given = flags(&[(name, &[text])]);
        resolve(&given, &Env::new(), None, None).unwrap().config
    };
    for (name, text, pending) in [
        ("plain", "127.0.0.1:1", true),
        ("content_bytes_max", "1KiB", true),
        ("log_format", "json", true),
        ("log", "debug", false),
        ("retention", "1day", false),
        ("logins", "off", false),
    ] {
        let pending: &[&str] = if pending { &[name] } else { &[] };
        assert_eq!(defaults().pending_restart(&with(name, text)), pending);
    }
}
