//! Any bytes as a PEM file: never a panic, and the same blocks with other ends of lines and in other encodings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::net::pem_round_trip;

fuzz_target!(|bytes: &[u8]| pem_round_trip(bytes));
