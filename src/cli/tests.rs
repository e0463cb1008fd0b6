#![allow(clippy::unwrap_used)]

use clap::CommandFactory as _;

use super::*;
use crate::config::{self, Env, settings};
use crate::server::StartError;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("relaybox").chain(line.split_whitespace()))
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_is_a_flag_of_serve_and_in_its_help() {
    let mut command = Cli::command();
    let serve = command.find_subcommand_mut("serve").unwrap();
    let help = serve.render_long_help().to_string();
    for setting in settings() {
        assert!(help.contains(setting.flag), "{}", setting.flag);
        assert!(help.contains(setting.env), "{}", setting.env);
    }
    for name in [
        "serve",
        "domain",
        "token",
        "backup",
        "restore",
        "check",
        "doctor",
        "clock",
        "serve",
        "domain",
        "token",
        "backup",
        "restore",
        "check",
        "send",
        "listen",
        "completions",
        "man",
    ] {
        let help = command.find_subcommand_mut(name).unwrap();
        let help = help.render_help().to_string();
        assert!(help.contains("Examples:"), "{name}");
    }
}

#[test]
fn lines_are_taken_or_refused() {
    for line in [
        "serve",
        "serve --config f --data d --listen 1 --token a=b --token c=d --types 1 --types 2",
        "serve --history-open",
        "serve --history-open --log info",
        "serve --history-open=false --log info",
        "serve --history-open false --log info",
        "domain add shop --data d --config f",
        "domain list --data d",
        "domain remove shop",
        "domain remove shop --yes",
        "domain rotate shop --grace 1h",
        "token --domain d --id u",
        "token --domain d --id u --ttl 30days --name N --cap system --data d",
        "backup dest",
        "backup dest --data d --config f",
        "restore src --data d",
        "check",
        "check dir",
        "check dir --repair",
        "check --data d --repair",
        "doctor",
        "doctor --json --data d --listen 1 --host a --host b",
        "send u2",
        "send u2 -",
        "send u2 hello --to u3 --to u4 --json --type 20 --to-resource web --timeout 1s",
        "send u2 hello --url ws://h --domain d --id u --name N --resource r --ca f --token-file -",
        "listen",
        "listen --json --after 0 --count 1",
        "listen --token t",
        "completions bash",
        "man --dir d",
    ] {
        assert!(parse(line).is_ok(), "{line}");
    }
    for line in [
        "",
        "fly",
        "serve now",
        "serve --data",
        "serve --data a --data b",
        "serve --history-open true false",
        "domain",
        "domain add",
        "domain add a b",
        "domain add shop --listen 1",
        "domain rotate shop --grace 31days",
        "token --domain d",
        "token --id u",
        "token --domain d --id system",
        "token --domain d --id u --name system",
        "token --domain d --id u --ttl 31days",
        "token --domain d --id u --cap fly",
        "backup",
        "backup a b",
        "backup a --listen 1",
        "restore",
        "restore a b",
        "check a b",
        "check dir --data d",
        "check --repair=yes",
        "doctor now",
        "send",
        "send u2 a b",
        "send u2 hello --type text",
        "send u2 hello --timeout soon",
        "send u2 hello --data d",
        "listen u2",
        "listen --count 0",
        "listen --after -1",
        "listen --token t --token-file f",
        "completions",
        "completions csh",
        "man serve",
    ] {
        let error = parse(line).err();
        assert_eq!(error.map(|e| e.exit_code()), Some(2), "{line}");
    }
}

#[test]
fn settings_are_usage_and_everything_else_is_not() {
    let flags = [("listen", vec!["x".to_owned()])].into();
    let wrong = config::resolve(&flags, &Env::new(), None, None).unwrap_err();
    assert!(matches!(Failure::from(wrong), Failure::Usage(_)));
    let other = std::io::Error::other("x");
    assert!(matches!(Failure::from(other), Failure::Other(_)));
}

#[test]
fn a_cause_is_told_once() {
    let cause = || std::io::Error::other("no space");
    let told = StartError::Listen {
        setting: "listen",
        address: "127.0.0.1:1".parse().unwrap(),
        source: cause(),
    };
    assert_eq!(
        sentence(&told.into()),
        "cannot listen on 127.0.0.1:1 (listen): no space"
    );
    let error = anyhow::Error::new(cause()).context("signals cannot be handled");
    assert_eq!(sentence(&error), "signals cannot be handled: no space");
}
