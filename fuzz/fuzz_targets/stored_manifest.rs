//! Any bytes as the manifest of the index, padded with zeros: never a panic, and what decodes means the same once it is
//! written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::store::fuzzing::manifest_round_trip;

fuzz_target!(|input: (u8, &[u8])| manifest_round_trip(input.0, input.1));
