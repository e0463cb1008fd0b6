//! Any bytes as a record of the journal: never a panic, and what decodes means the same once it is written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::store::fuzzing::record_round_trip;

fuzz_target!(|bytes: &[u8]| record_round_trip(bytes));
