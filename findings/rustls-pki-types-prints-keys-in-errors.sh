#!/usr/bin/env bash
# The error of rustls-pki-types for a private key on one line holds the whole key, as a list of decimal numbers.
#
# Expected: the error of a reader of PEM says what is wrong and where, and shows nothing of what lies between the
# labels, as it may be a private key.
# What happens: where the line ends of a key have become spaces, all that follows "-----BEGIN " on its line is taken for
# the end marker that should come. It is part of the error's text, as numbers, which no search for "MC4C" or
# "PRIVATE KEY" in a log finds. A person who pastes the line into a report gives the key away.
# Seen with rustls-pki-types 1.16.0 and a key made by openssl 3.0 (Debian 12), 2026-11-29.
#
# Why it matters here: keys come out of environment variables like that, and a server's log is shown to others. So no
# text of a library that was given a secret may be repeated, also not that of a well-kept one.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "seen"
version = "0.0.0"
edition = "2021"

[dependencies]
rustls-pki-types = "=1.16.0"
TOML
cat >src/main.rs <<'RS'
use rustls_pki_types::{pem::PemObject, PrivateKeyDer};

fn main() {
    let pem = std::fs::read_to_string("key.pem").expect("the key");
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("it is good in lines");
    let line = pem.trim_end().replace('\n', " ");
    let error = PrivateKeyDer::from_pem_slice(line.as_bytes()).expect_err("it is on one line");
    let said = error.to_string();
    let numbers = said.split(|c: char| !c.is_ascii_digit());
    let told: Vec<u8> = numbers.filter_map(|number| number.parse().ok()).collect();
    let told = String::from_utf8_lossy(&told);
    let secret = pem.lines().nth(1).expect("its base64");
    let shown: String = said.chars().take(60).collect();
    println!("the error: {shown}… ({} characters)", said.len());
    println!("the key's base64 is in it, as numbers: {}", told.contains(secret));
    std::process::exit(i32::from(!told.contains(secret)));
}
RS
openssl genpkey -algorithm ed25519 -out key.pem
if cargo run --quiet 2>cargo.log; then
  echo "as it was: the key can be read back from the error"
else
  cat cargo.log
  echo "this has changed"
  exit 1
fi
