//! Chunks and manifests of any bytes: what decodes means the same once it is written again.

use super::chunk::{Chunk, Contents, Opened, Reference, pack};
use super::error::IndexError;
use super::manifest::Manifest;
use super::messages::{OpenChunk, Rest, Row, rows};
use super::packing::Packing;
use super::senders::{self, Summary};
use crate::model::{Domain, Mailbox, UserId};
use crate::store::disk::FileIdentity;

/// Of a chunk's head: version, codec, count, position, last id and lengths; its checksum follows.
const FIELDS_BYTES: usize = 26;
/// What every chunk begins with.
const VERSION: u8 = 3;
/// The most that the head of a damaged chunk may promise here, or the memory goes.
const RAW_BYTES_MAX: u32 = 1 << 20;

/// Reads `bytes` as they are; then as the fields of a head and the rest of a chunk, under a right checksum; then as the
/// contents of a chunk, which come back as they were.
pub fn chunk_round_trip(bytes: &[u8]) {
    let _ = Chunk::check(bytes);
    let Some((fields, rest)) = bytes.split_first_chunk::<FIELDS_BYTES>() else {
        return;
    };
    let mut head = *fields;
    head[0] = VERSION;
    let raw_bytes = u32::from_le_bytes([head[22], head[23], head[24], head[25]]) % RAW_BYTES_MAX;
    head[22..].copy_from_slice(&raw_bytes.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head), rest);
    let value = [&head, crc.to_le_bytes().as_slice(), rest].concat();
    let chunk = Chunk::check(&value).expect("its checksum is right");
    if let Ok(opened) = chunk.open(|_| Ok(rest.to_vec())) {
        read(&opened);
    }
    contents_round_trip(fields, rest);
}

/// The same fields as the contents of a chunk, in the tree and in the blob file.
fn contents_round_trip(fields: &[u8; FIELDS_BYTES], rest: &[u8]) {
    let number = |at: usize| u64::from_le_bytes(fields[at..at + 8].try_into().expect("eight"));
    let table_bytes = usize::from(u16::from_le_bytes([fields[20], fields[21]]));
    let (table, payload) = rest.split_at(table_bytes.min(rest.len()));
    let contents = Contents {
        count: usize::from(u16::from_le_bytes([fields[2], fields[3]])),
        position: number(4),
        last_id: number(12),
        table: table.to_vec(),
        payload: payload.to_vec(),
    };
    for packing in [Packing::None, Packing::Fast, Packing::Small] {
        let mut blob = Vec::new();
        let mut append = |bytes: &[u8]| {
            blob = bytes.to_vec();
            Ok(number(4))
        };
        let referring = pack(&contents, packing, Some(&mut append)).expect("a vector");
        for value in [referring, pack(&contents, packing, None).expect("a vector")] {
            let chunk = Chunk::check(&value).expect("it was written");
            let opened = chunk.open(|reference| {
                assert_eq!((reference.at, reference.length), (number(4), blob.len()));
                Ok(blob.clone())
            });
            let opened = opened.expect("it was written");
            let head = opened.head;
            assert_eq!(head.count as usize, contents.count);
            assert_eq!((head.position, head.last_id), (number(4), number(12)));
            assert_eq!(opened.table(), table);
            assert_eq!(*opened.payload().expect("it was written"), *payload);
            let unpacked = opened.unpack().expect("it was written");
            let unpacked = Opened::unpacked(head, &unpacked).expect("it is its own");
            assert_eq!(unpacked.table(), table);
            assert_eq!(*unpacked.payload().expect("it was written"), *payload);
            read(&opened);
        }
    }
}

/// Reads a chunk as each of the kinds that there are.
fn read(opened: &Opened<'_>) {
    messages_round_trip(opened);
    if let Ok(ids) = senders::ids(opened) {
        let written = senders::pack_ids(&ids, opened.head.position).expect("a vector");
        let again = Chunk::check(&written)
            .expect("it was written")
            .open(no_blob);
        let again = again.expect("it was written");
        assert_eq!(again.head.last_id, opened.head.last_id);
        assert_eq!(senders::ids(&again).expect("it was written"), ids);
    }
    summary_round_trip(opened);
}

fn no_blob(_: &Reference) -> Result<Vec<u8>, IndexError> {
    Err("none".into())
}

fn messages_round_trip(opened: &Opened<'_>) {
    let (Ok(found), Ok(payload)) = (rows(opened), opened.payload()) else {
        return;
    };
    let bodies: Result<Vec<_>, _> = found.iter().map(|row| row.body(&payload)).collect();
    let Ok(bodies) = bodies else {
        return;
    };
    let mut chunk = OpenChunk::default();
    chunk.begin(opened.head.position);
    for (row, body) in found.iter().zip(&bodies) {
        chunk.push(row.id, row.offline, *body);
    }
    let written = pack(&chunk.contents, Packing::Fast, None).expect("a vector");
    let again = Chunk::check(&written)
        .expect("it was written")
        .open(no_blob);
    let again = again.expect("it was written");
    let payload = again.payload().expect("it was written");
    let again_rows = rows(&again).expect("it was written");
    assert_eq!(again_rows.len(), found.len());
    let mailbox = Mailbox {
        domain: Domain::parse("d").expect("a name"),
        user: UserId::parse("u").expect("a name"),
    };
    for ((row, body), other) in found.iter().zip(bodies).zip(again_rows) {
        let other_body = other.body(&payload).expect("it was written");
        assert_eq!(other_body.rest, body.rest);
        let of = |row: &Row<'_>| (row.id, row.offline, row.sender().to_vec());
        assert_eq!(of(&other), of(row));
        if let Rest::Here(rest) = body.rest {
            let _ = row.message(&mailbox, rest);
        }
    }
}

fn summary_round_trip(opened: &Opened<'_>) {
    // The key of a summary has its first id.
    let first_id = opened.head.last_id / 2 + 1;
    let of = |opened: &Opened<'_>| {
        let mut senders = Vec::new();
        let visit = |sender: &[u8], ids: &[u64]| senders.push((sender.to_vec(), ids.to_vec()));
        senders::each(opened, first_id, visit).map(|()| senders)
    };
    let Ok(found) = of(opened) else {
        return;
    };
    let is_sorted = found.is_sorted_by(|(one, _), (other, _)| one < other);
    for (sender, ids) in &found {
        let mut theirs = Vec::new();
        let is_found = senders::find(opened, first_id, sender, &mut theirs).is_ok();
        assert!(!is_sorted || is_found && theirs == *ids);
    }
    let mut all: Vec<_> = found
        .iter()
        .flat_map(|(sender, ids)| ids.iter().map(move |id| (*id, sender)))
        .collect();
    all.sort_unstable();
    let is_one = all.is_sorted_by(|one, other| one.0 < other.0);
    if !is_sorted || !is_one || all.first().is_none_or(|first| first.0 != first_id) {
        return;
    }
    let mut summary = Summary::at(opened.head.position);
    for (id, sender) in all {
        summary.push(id, sender);
    }
    let written = pack(&summary.contents(), Packing::Small, None).expect("a vector");
    let again = Chunk::check(&written)
        .expect("it was written")
        .open(no_blob);
    let again = of(&again.expect("it was written"));
    assert_eq!(again.expect("it was written"), found);
}

/// Reads `bytes` as they are, and under a right checksum with so many zeros behind.
pub fn manifest_round_trip(padding: u8, bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
    let magic = Manifest::empty(0).encode(FileIdentity::Unknown);
    let crc = crc32c::crc32c(bytes).to_le_bytes();
    let file = [&magic[..8], &crc, bytes, &vec![0; usize::from(padding)]].concat();
    let Some((manifest, identity)) = Manifest::decode(&file) else {
        return;
    };
    let written = manifest.encode(identity);
    assert_eq!(Manifest::decode(&written), Some((manifest, identity)));
}
