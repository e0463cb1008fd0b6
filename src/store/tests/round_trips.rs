//! What `fuzz/` asks of the stored forms, of a few bytes each time.

use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof, proptest};
use proptest::strategy::Strategy;

use crate::store::fuzzing::{
    chunk_round_trip, frame_round_trip, manifest_round_trip, record_round_trip,
};

/// Small numbers are versions, variants and lengths.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => 0_u8..12, 1 => any::<u8>()], 0..120)
}

proptest! {
    #[test]
    fn what_decodes_means_the_same_once_it_is_written_again(junk in bytes(), bytes in bytes()) {
        frame_round_trip(&junk, &bytes);
        record_round_trip(&bytes);
        chunk_round_trip(&bytes);
        manifest_round_trip(junk.len() as u8, &bytes);
    }
}
