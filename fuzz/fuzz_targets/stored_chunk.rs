//! Any bytes as a chunk of the index, and as its contents: never a panic; what was packed comes back, and messages, ids
//! and summaries mean the same once they are written again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::store::fuzzing::chunk_round_trip;

fuzz_target!(|bytes: &[u8]| chunk_round_trip(bytes));
