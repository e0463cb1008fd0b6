use super::*;

fn refused(flags: &Flags, env: &Env, text: &str) -> String {
    let in_file = file(text);
    let refused = resolve(flags, env, Some(&in_file), None);
    refused.expect_err("something is wrong").to_string()
}

#[test]
fn unknown_keys_of_the_file_are_no_settings() {
    assert_eq!(
        refused(
            &Flags::new(),
            &Env::new(),
            "[server]\nx = 1\n[hosts]\ny = 2"
        ),
        "relaybox.toml:3: the key in this line is unknown; did you mean `host`?; \
         relaybox.toml:1: the key in this line is unknown; `relaybox serve --help` has all that are known",
    );
}

#[test]
fn unknown_variables_are_pointed_out_and_those_of_tokens_refused() {
    let vars = env(&[
        ("RELAYBOX_LISTEM", "x"),
        ("RELAYBOX_KONFIG", "x"),
        ("RELAYBOX_XYZ", "x"),
        ("RELAYBOX_TOKENS", ""),
        ("RELAYBOX_CONFIG", "y"),
        ("RELAYBOX_CLIENT_TOKEN", "z"),
    ]);
    let loaded = resolve(&Flags::new(), &vars, None, None).unwrap();
    let mut warnings = loaded.warnings;
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "an environment variable that begins with RELAYBOX_ is unknown and ignored; `relaybox serve --help` has all that are known",
            "an environment variable that begins with RELAYBOX_ is unknown and ignored; did you mean `RELAYBOX_CONFIG`?",
            "an environment variable that begins with RELAYBOX_ is unknown and ignored; did you mean `RELAYBOX_LISTEN`?",
        ]
    );
    for name in [
        "RELAYBOX_TOKENS",
        "RELAYBOX_TOKEN_DEMO_HUSH",
        "RELAYBOX_TOKE",
        "RELAYBOX_TOKEN_FIEL",
    ] {
        let sentence = refused(&Flags::new(), &env(&[(name, "demo=hush")]), "");
        assert!(
            sentence.starts_with("an environment variable that begins with RELAYBOX_ is unknown; ")
        );
        assert!(!sentence.to_lowercase().contains("hush"), "{sentence}");
    }
}

#[test]
fn all_that_is_wrong_is_named_at_once() {
    let given = flags(&[("ping_interval", &["never"]), ("listen", &["8443"])]);
    let vars = env(&[("RELAYBOX_TYPES", "ten"), ("RELAYBOX_TOKENS", "x")]);
    // The last one would be too small only beside a content that is itself too large.
    let text = "plain = 7\nhosts = \"x\"\ncontent_bytes_max = \"9MiB\"\ntail_bytes_max = \"1MiB\"";
    let sentence = refused(&given, &vars, text);
    let named: Vec<_> = sentence
        .split("; ")
        .map(|flaw| flaw.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "relaybox.toml:2",
            "did you mean `host`?",
            "an environment variable that begins with RELAYBOX_ is unknown",
            "did you mean `RELAYBOX_TOKEN`?",
            "setting listen (--listen)",
            "setting plain (relaybox.toml:1)",
            "setting types (RELAYBOX_TYPES)",
            "setting content_bytes_max (relaybox.toml:3)",
            "setting ping_interval (--ping-interval)",
        ],
        "{sentence}"
    );
}

#[test]
fn a_number_is_no_directory_and_no_name() {
    for (text, expected) in [
        (
            "certs = 5",
            "setting certs (relaybox.toml:1): expected a text in quotes",
        ),
        (
            "data = true",
            "setting data (relaybox.toml:1): expected a text in quotes",
        ),
        (
            "socket = 1",
            "setting socket (relaybox.toml:1): expected a text in quotes",
        ),
        (
            "log = 5",
            "setting log (relaybox.toml:1): expected a text in quotes",
        ),
        (
            "host = [\"a\", 5]",
            "setting host (relaybox.toml:1): expected a list of texts in quotes",
        ),
    ] {
        assert_eq!(refused(&Flags::new(), &Env::new(), text), expected);
    }
}

#[test]
fn declared_tokens_may_stand_in_a_file_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens");
    std::fs::write(
        &path,
        "demo=a-123456789-123456\r\nshop=b-123456789-123456, c=d-123456789-123456\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let data = dir.path().to_str().unwrap();
    let at_data = flags(&[("data", &[data])]);
    let load_with = |vars: &[(&str, &str)]| {
        let sources = Sources {
            flags: at_data.clone(),
            env: env(vars),
            named: None,
        };
        sources.load(None)
    };
    let loaded = load_with(&[(TOKEN_FILE_ENV, path)]).unwrap();
    let tokens: Vec<_> = loaded
        .config
        .token
        .iter()
        .map(|t| (t.domain.as_str(), t.token()))
        .collect();
    let expected = [
        ("demo", "a-123456789-123456"),
        ("shop", "b-123456789-123456"),
        ("c", "d-123456789-123456"),
    ];
    assert_eq!(tokens, expected);
    assert!(
        load_with(&[(TOKEN_FILE_ENV, "")])
            .unwrap()
            .config
            .token
            .is_empty()
    );

    let both = load_with(&[(TOKEN_FILE_ENV, path), ("RELAYBOX_TOKEN", "demo=hush")]).unwrap_err();
    assert_eq!(
        both.to_string(),
        "setting token (RELAYBOX_TOKEN_FILE): expected this variable or RELAYBOX_TOKEN, and not both"
    );
    let missing = load_with(&[(TOKEN_FILE_ENV, "demo=hush")])
        .unwrap_err()
        .to_string();
    assert!(missing.starts_with("the file that RELAYBOX_TOKEN_FILE names cannot be read: "));
    assert!(!missing.contains("hush"), "{missing}");
}
