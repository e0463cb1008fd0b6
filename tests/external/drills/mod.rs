//! The command blocks of docs/BACKUP.md and docs/OPERATING.md, run as they are printed, by the users that they name:
//! root, and `relaybox` where cron and systemd run them.
//!
//! In a mount namespace of its own (`machine.sh`), so that nothing of the machine is changed; systemd is played by a
//! few lines of shell there, and so is restic, where it is not installed. Needs root and mount namespaces; without
//! them nothing is run, and the test says so.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use crate::support::Home;

/// What must hold at the end of docs/BACKUP.md.
const BACKED_UP: &str = "
command relaybox domain list --data /var/lib/relaybox | grep shop
test \"$(stat -c %U /var/lib/relaybox/VERSION)\" = relaybox
test \"$(stat -c %U /mnt/backup/relaybox/VERSION)\" = relaybox
";

/// What must hold at the end of docs/OPERATING.md: the server's user reads what only root could.
const COPIED: &str = "
test \"$(stat -c '%U %a' /var/lib/relaybox/certs/key.pem)\" = 'relaybox 600'
setpriv --reuid relaybox --regid relaybox --clear-groups \\
  relaybox doctor --data /var/lib/relaybox --certs /var/lib/relaybox/certs >/run/relaybox/doctor || true
grep '^ok .*certificate-key: the key is that of the certificate' /run/relaybox/doctor
";

/// What says that nothing has ended the script before.
const END: &str = "echo all of it was run\n";

/// The blocks of a page, each with its language and the line before it that is not empty.
fn blocks(page: &str) -> Vec<(&str, &str, String)> {
    let mut blocks = Vec::new();
    let (mut before, mut lines) = ("", page.lines());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let mut text = String::new();
            for line in lines.by_ref().take_while(|line| *line != "```") {
                writeln!(text, "{line}").unwrap();
            }
            blocks.push((language, before, text));
        } else if !line.is_empty() {
            before = line;
        }
    }
    blocks
}

/// The file that a line names before its text.
fn file(before: &str) -> Option<&str> {
    before.strip_prefix('`')?.strip_suffix("`:")
}

/// The page's blocks as one script, and how many they are.
fn script(page: &str) -> (String, usize) {
    let mut script = "set -x\n".to_owned();
    let mut count = 0;
    for (language, before, text) in blocks(page) {
        match (language, file(before)) {
            ("sh", None) => script += &text,
            ("sh" | "ini", Some(path)) => {
                write!(script, "cat >{path} <<'END_OF_FILE'\n{text}END_OF_FILE\n").unwrap();
            }
            ("cron", _) => {
                let fields: Vec<_> = text.split_whitespace().collect();
                let (user, command) = (fields[5], fields[6..].join(" "));
                writeln!(
                    script,
                    "setpriv --reuid {user} --regid {user} --clear-groups env -i PATH=/usr/bin:/bin /bin/sh -c '{command}'"
                )
                .unwrap();
            }
            // What a command says.
            ("text", _) => continue,
            (other, _) => panic!("a block of {other}"),
        }
        count += 1;
    }
    (script, count)
}

/// Runs all blocks of a page, of which there are so many, between what they find and what they should have done.
async fn run(page: &str, blocks: usize, begin: &str, end: &str) {
    if !rustix::process::geteuid().is_root() {
        println!("not run: it needs root");
        return;
    }
    let root = env!("CARGO_MANIFEST_DIR");
    let page = std::fs::read_to_string(format!("{root}/docs/{page}")).unwrap();
    let (script, count) = script(&page);
    assert!(count >= blocks, "{count} blocks");

    let home = Home::new();
    let machine =
        std::fs::read_to_string(format!("{root}/tests/external/drills/machine.sh")).unwrap();
    let path = home.write("drill.sh", [&machine, begin, &script, end, END].concat());
    let outside = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "bash"])
        .arg(path)
        .arg(outside)
        .arg(home.path("scratch"))
        .arg(env!("CARGO_BIN_EXE_relaybox"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let outcome = home.run(command).await;
    if outcome.stderr.contains("unshare failed") {
        println!("not run: there are no mount namespaces here");
        return;
    }
    let said = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert!(said.contains("all of it was run"), "{said}");
    outcome.success();
}

#[tokio::test]
async fn the_command_blocks_about_backups_run_as_they_are_printed() {
    run("BACKUP.md", 11, "", BACKED_UP).await;
}

#[tokio::test]
async fn the_command_blocks_about_operating_run_as_they_are_printed() {
    let made = rcgen::generate_simple_self_signed(vec!["chat.example.com".to_owned()]).unwrap();
    let mut begin = "mkdir -p /etc/letsencrypt/renewal-hooks/deploy\n".to_owned();
    begin +=
        "lineage=/etc/letsencrypt/live/chat.example.com\ninstall -d -m 700 $lineage\numask 077\n";
    for (name, pem) in [
        ("fullchain", made.cert.pem()),
        ("privkey", made.signing_key.serialize_pem()),
    ] {
        let pem = pem.trim();
        writeln!(
            begin,
            "cat >$lineage/{name}.pem <<'END_OF_PEM'\n{pem}\nEND_OF_PEM"
        )
        .unwrap();
    }
    run("OPERATING.md", 2, &(begin + "umask 022\n"), COPIED).await;
}
