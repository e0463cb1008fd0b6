//! Any bytes as a frame of the journal, behind any others.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaybox::store::fuzzing::frame_round_trip;

fuzz_target!(|input: (&[u8], &[u8])| frame_round_trip(input.0, input.1));
