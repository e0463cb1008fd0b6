//! Python and Node with the pinned packages, installed once below `target`, and packages of Debian's.
//!
//! Where Python or Node is missing, or its packages cannot be had, the test is skipped and says so, except in CI, where
//! it fails. What is missing of Debian's is skipped everywhere; `make clients` installs it.

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

/// Whether these packages of Debian's are installed, the first of them in this version of its authors.
pub(crate) fn debian(packages: &[&str], version: &str) -> bool {
    let missing = packages.iter().enumerate().find(|(at, package)| {
        let version = if *at == 0 { version } else { "" };
        !installed(package).is_some_and(|installed| is_of(&installed, version))
    });
    if let Some((_, package)) = missing {
        eprintln!(
            "SKIPPED, nothing was tested: {package} is not installed (make clients), or not that of {version}"
        );
    }
    missing.is_none()
}

/// The version of a package of Debian's.
fn installed(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    let output = query.args(["-W", "-f", "${Version}", package]).output();
    let version = String::from_utf8(output.ok()?.stdout).unwrap();
    (!version.is_empty()).then_some(version)
}

/// Whether a package's version, `[epoch:]upstream[-revision]`, is of this one.
fn is_of(package: &str, version: &str) -> bool {
    let upstream = package.split_once(':').map_or(package, |(_, rest)| rest);
    let rest = upstream.strip_prefix(version);
    rest.is_some_and(|rest| {
        version.is_empty() || !rest.starts_with(|next: char| next.is_ascii_digit())
    })
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
pub(crate) fn prepared(
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

pub(crate) fn run(command: &mut Command, dir: &Path) -> Result<(), String> {
    let output = command.current_dir(dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {said}")),
    }
}
