//! What a package brings along: completions of shells, and manual pages.

use std::path::Path;
use std::process::Command;

use crate::support::{Home, Outcome};

/// The commands that `--help` names.
async fn commands(home: &Home, of: &[&str]) -> Vec<String> {
    let help = home.cli_bare(&[of, &["--help"]].concat()).await.success();
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    // A further line of the same description stands farther in.
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// What bash offers for the last of `words`, with our script sourced.
async fn completed(home: &Home, script: &Path, words: &[&str]) -> Vec<String> {
    // As bash calls a completion: the command, the word, the one before.
    let bash = r#"
        set -eu
        source "$1"; shift
        complete -p relaybox >&2
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        _relaybox relaybox "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command
        .args(["--norc", "-c", bash, "bash"])
        .arg(script)
        .args(words);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let outcome = home.run(command).await;
    assert!(outcome.stderr.contains("-F _relaybox"), "{outcome:?}");
    outcome.success().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn bash_completes_commands_flags_and_values() {
    let home = Home::new();
    let script = home.cli_bare(&["completions", "bash"]).await.success();
    let script = home.write("relaybox.bash", script);
    for (words, offered) in [
        (&["relaybox", "lis"][..], &["listen"][..]),
        (&["relaybox", "domain", "ro"], &["rotate"]),
        (&["relaybox", "send", "--to-"], &["--to-resource"]),
        (&["relaybox", "serve", "--history"], &["--history-open"]),
        (&["relaybox", "token", "--cap", "s"], &["system"]),
        (&["relaybox", "completions", "b"], &["bash"]),
    ] {
        let found = completed(&home, &script, words).await;
        assert_eq!(found, offered, "{words:?}");
    }
}

#[tokio::test]
async fn every_shell_gets_completions_of_every_command() {
    let home = Home::new();
    let commands = commands(&home, &[]).await;
    assert!(commands.len() > 8, "{commands:?}");
    for shell in ["bash", "zsh", "fish"] {
        let script = home.cli_bare(&["completions", shell]).await.success();
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell} lacks {command}");
        }
        // Where the shell is there, it says whether it is one of its scripts.
        let file = home.write("script", script);
        let mut check = Command::new(shell);
        check.arg("-n").arg(file);
        if let Ok(checked) = check.output() {
            assert!(checked.status.success(), "{shell}: {checked:?}");
        }
    }
    let other = home.cli_bare(&["completions", "csh"]).await;
    other.failure(2, &["SHELL", "bash"]);
}

#[tokio::test]
async fn there_is_a_manual_page_of_every_command() {
    let home = Home::new();
    let dir = home.path("share/man/man1");
    let args = ["man", "--dir", dir.to_str().unwrap()];
    home.cli_bare(&args).await.success();
    let mut wanted = vec!["relaybox.1".to_owned()];
    for command in commands(&home, &[]).await {
        wanted.push(format!("relaybox-{command}.1"));
    }
    for group in ["domain", "clock"] {
        for command in commands(&home, &[group]).await {
            wanted.push(format!("relaybox-{group}-{command}.1"));
        }
    }
    wanted.sort();
    let mut found: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, wanted);

    let page = home.cli_bare(&["man"]).await;
    let stored = std::fs::read_to_string(dir.join("relaybox.1")).unwrap();
    assert_eq!(page.stdout, stored);
    for file in found {
        check_page(&home, &dir.join(file)).await;
    }
}

/// A page that has its sections, and that groff has nothing to say against.
async fn check_page(home: &Home, file: &Path) {
    let page = std::fs::read_to_string(file).unwrap();
    let name = file.file_stem().unwrap().to_str().unwrap();
    for macros in [&format!(".TH {name} 1 "), ".SH NAME\n", ".SH SYNOPSIS\n"] {
        assert_eq!(page.matches(macros).count(), 1, "{macros} in {file:?}");
    }
    let mut groff = Command::new("groff");
    // -ww: all warnings; -z: nothing but them.
    groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(file);
    match groff.output() {
        Ok(checked) => {
            let said = String::from_utf8_lossy(&checked.stderr);
            assert!(
                checked.status.success() && said.is_empty(),
                "{file:?}: {said}"
            );
        }
        // Most machines that build have none.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
    let examples = page.split(".SH EXAMPLES\n.nf\n").nth(1);
    let has_examples = home_help(home, name).await.stdout.contains("Example");
    assert_eq!(examples.is_some(), has_examples, "{file:?}");
    let lines = examples.unwrap_or_default().lines();
    let shown = lines.filter(|line| line.contains("relaybox")).count();
    assert!(shown > 0 || !has_examples, "{file:?} has no example");
}

async fn home_help(home: &Home, page: &str) -> Outcome {
    let words: Vec<_> = page.split('-').skip(1).chain(["--help"]).collect();
    home.cli_bare(&words).await
}
