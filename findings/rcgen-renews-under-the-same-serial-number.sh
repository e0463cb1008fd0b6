#!/usr/bin/env bash
# A certificate that rcgen makes anew for the same key has the serial number of the one that it replaces.
#
# Expected: each certificate gets a serial number of its own where none is set, as an issuer must not give one twice
# (RFC 5280, 4.1.2.2).
# What happens: the number is derived from the public key. A renewal that keeps the key, as clients that pin it want, is
# another certificate of the same issuer under the same number. Revocation and caches cannot tell the two apart.
# Seen with rcgen 0.14.10, 2026-11-29.
#
# Why it matters here: the server renews its own certificate by itself, with the same issuer for ten years, and what
# looks right in every test (the names, the dates, the chain) leaves browsers with two certificates of one number. Who
# renews with rcgen has to set a random one.
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
rcgen = { version = "=0.14.10", default-features = false, features = ["pem", "ring"] }
TOML
cat >src/main.rs <<'RS'
use rcgen::{date_time_ymd, CertificateParams, Issuer, KeyPair};

fn main() {
    let names = || CertificateParams::new(vec!["chat.example.com".to_owned()]).expect("a name");
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let issuer = Issuer::new(CertificateParams::default(), ca_key);
    for (file, year) in [("first.pem", 2026), ("renewed.pem", 2027)] {
        let mut params = names();
        params.not_before = date_time_ymd(year, 1, 1);
        params.not_after = date_time_ymd(year + 1, 2, 1);
        let made = params.signed_by(&key, &issuer).expect("a certificate");
        std::fs::write(file, made.pem()).expect("written");
    }
}
RS
cargo run --quiet 2>cargo.log || { cat cargo.log; exit 1; }
for file in first.pem renewed.pem; do
  openssl x509 -in "$file" -noout -serial -startdate | tr '\n' ' '
  echo
done
cmp -s first.pem renewed.pem && { echo "the two are the same certificate"; exit 1; }
if [ "$(openssl x509 -in first.pem -noout -serial)" = "$(openssl x509 -in renewed.pem -noout -serial)" ]; then
  echo "as it was: one issuer, two certificates, one serial number"
else
  echo "this has changed"
  exit 1
fi
