//! What README says to a client's machine so that it trusts the made authority, run in homes as they are.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::chromium;
use crate::support::Server;

const NEW: &str = ".local/share/pki/nssdb";
const OLD: &str = ".pki/nssdb";

/// The lines for Chromium on Linux, as they are printed.
fn printed() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let begin = "```sh\ndb=";
    let (_, rest) = readme.split_once(begin).expect("no lines for Chromium");
    let (lines, _) = rest.split_once("```").unwrap();
    format!("db={lines}")
}

/// Runs the lines in the server's directory, for this home.
fn run(server: &Server, home: &Path) {
    let ended = Command::new("sh")
        .args(["-ec", &printed()])
        .current_dir(server.home.path(""))
        .env("HOME", home)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

fn is_trusted(store: &Path) -> bool {
    let listed = Command::new("certutil")
        .args(["-L", "-n", "relaybox", "-d"])
        .arg(format!("sql:{}", store.display()))
        .output()
        .unwrap();
    listed.status.success()
}

/// What Chromium shows of the console.
async fn shown(program: &Path, server: &Server, home: &Path) -> String {
    let mut browser = tokio::process::Command::new(program);
    browser
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            home.join("profile").display()
        ))
        .arg(format!(
            "https://{}/",
            server.address.replace("127.0.0.1", "localhost")
        ))
        .env("HOME", home)
        .env_remove("XDG_DATA_HOME")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = browser.output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await;
    String::from_utf8_lossy(&output.expect("no page").unwrap().stdout).into_owned()
}

#[tokio::test]
async fn the_lines_for_chromium_work_in_a_fresh_home_and_in_one_with_the_old_store() {
    if Command::new("certutil").arg("-H").output().is_err() {
        return eprintln!("skipped: there is no certutil");
    }
    let server = Server::start().await;
    let fresh = tempfile::tempdir().unwrap();
    // Twice: who is not sure repeats it.
    for _ in 0..2 {
        run(&server, fresh.path());
    }
    assert!(is_trusted(&fresh.path().join(NEW)));
    assert!(
        !fresh.path().join(OLD).exists(),
        "that switches the new one off"
    );

    let old = tempfile::tempdir().unwrap();
    fs::create_dir_all(old.path().join(OLD)).unwrap();
    run(&server, old.path());
    assert!(is_trusted(&old.path().join(OLD)));
    assert!(!old.path().join(NEW).exists());

    let Some(program) = chromium::find() else {
        return;
    };
    let nobody = tempfile::tempdir().unwrap();
    let console = "relaybox</title>";
    for (home, is_let_in) in [(&fresh, true), (&old, true), (&nobody, false)] {
        let page = shown(&program, &server, home.path()).await;
        assert_eq!(page.contains(console), is_let_in, "{page}");
    }
}
