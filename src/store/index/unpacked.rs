//! A cache of unpacked chunks from the blob file: a page of one sender needs as many chunks as it
//! has messages, and a reader who pages through a conversation comes back to them.
//!
//! The blob file is append-only, so entries never go stale.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::chunk::Reference;

/// Memory for a chunk beside its bytes.
const CHUNK_BYTES: u64 = 150;
/// Typical size of a chunk.
const USUAL_BYTES: u64 = 6 << 10;

#[derive(Debug, Clone)]
pub(super) struct ByBytes;

impl Weighter<Reference, Arc<[u8]>> for ByBytes {
    fn weight(&self, _: &Reference, chunk: &Arc<[u8]>) -> u64 {
        CHUNK_BYTES + chunk.len() as u64
    }
}

/// Tables and payloads, by where they are in the blob file. Of several readers that miss the same
/// chunk, one reads it.
pub(super) type Unpacked = Cache<Reference, Arc<[u8]>, ByBytes>;

pub(super) fn cache(bytes_max: u64) -> Unpacked {
    let usual = (bytes_max / USUAL_BYTES) as usize;
    Cache::with_weighter(usual, bytes_max, ByBytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::chunk::Chunk;
    use super::super::chunk::Contents;
    use super::super::chunk::pack;
    use super::super::packing::Packing;
    use super::*;

    fn reference(at: u64) -> Reference {
        let contents = Contents::default();
        let value = pack(&contents, Packing::None, Some(&mut |_| Ok(at))).unwrap();
        Chunk::check(&value).unwrap().reference().unwrap().unwrap()
    }

    #[test]
    fn what_was_read_is_not_read_again_and_no_error_is_kept() {
        let unpacked = cache(100_000);
        let read = |at, answer: Result<&str, ()>| {
            unpacked.get_or_insert_with(&reference(at), || Ok(answer?.as_bytes().into()))
        };
        assert_eq!(read(1, Err(())), Err(()));
        assert_eq!(*read(1, Ok("one")).unwrap(), *b"one");
        assert_eq!(*read(1, Err(())).unwrap(), *b"one");
        assert_eq!(*read(2, Ok("two")).unwrap(), *b"two");
        assert_eq!(*read(1, Ok("other")).unwrap(), *b"one");
    }

    #[test]
    fn it_takes_no_more_than_it_may() {
        let unpacked = cache(100_000);
        for at in 0..1_000 {
            let chunk = vec![0; 1 + at as usize * 7];
            let got =
                unpacked.get_or_insert_with(&reference(at), || Ok::<_, ()>(chunk.clone().into()));
            assert_eq!(*got.unwrap(), *chunk);
            assert!(unpacked.weight() <= 100_000);
        }
        assert!(unpacked.weight() > 0);
    }
}
