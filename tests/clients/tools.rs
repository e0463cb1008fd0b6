//! Python and Node with the pinned packages, installed once below `target`.
//!
//! Where one is missing, or its packages cannot be had, the test is skipped and says so, except in CI, where it fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const PACKAGES: &str = include_str!("package.json");

/// A Python that has the packages.
pub(crate) fn python() -> Option<PathBuf> {
    let python = program("python3")?;
    let dir = prepared("python", REQUIREMENTS, |dir| {
        fs::write(dir.join("requirements.txt"), REQUIREMENTS).unwrap();
        run(Command::new(python).args(["-m", "venv", "venv"]), dir)?;
        let install = ["install", "-q", "-r", "requirements.txt"];
        run(Command::new(dir.join("venv/bin/pip")).args(install), dir)
    })?;
    Some(dir.join("venv/bin/python"))
}

/// Node, and the folder `node_modules` with the packages.
pub(crate) fn node() -> Option<(PathBuf, PathBuf)> {
    let (node, npm) = (program("node")?, program("npm")?);
    let dir = prepared("node", PACKAGES, |dir| {
        fs::write(dir.join("package.json"), PACKAGES).unwrap();
        let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
        run(
            Command::new(npm).args(install).arg("--no-package-lock"),
            dir,
        )
    })?;
    Some((node, dir.join("node_modules")))
}

/// What `PATH` has under this name; where it has nothing, this is no failure in CI either.
pub(crate) fn optional(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        eprintln!("SKIPPED, nothing was tested: there is no {name} in PATH");
    }
    found
}

fn program(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        skipped(&format!("there is no {name} in PATH"));
    }
    found
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| place.join(name));
    places.find(|program| program.is_file())
}

fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("SKIPPED, nothing was tested: {why}");
}

/// A folder that was filled from this recipe by one of the tests, which may run in processes of their own.
fn prepared(
    name: &str,
    recipe: &str,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    fs::create_dir_all(&parent).unwrap();
    let (dir, done) = (parent.join(name), parent.join(format!("{name}.done")));
    let lock = File::create(parent.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if fs::read_to_string(&done).is_ok_and(|of| of == recipe) {
        return Some(dir);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir(&dir).unwrap();
    match fill(&dir) {
        Ok(()) => {
            fs::write(done, recipe).unwrap();
            Some(dir)
        }
        Err(why) => {
            skipped(&why);
            None
        }
    }
}

fn run(command: &mut Command, dir: &Path) -> Result<(), String> {
    let output = command.current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {said}")),
    }
}
