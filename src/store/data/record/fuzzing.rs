//! Records of any bytes: what decodes means the same once it is written again.

use super::{Record, VERSION, decode, encode};
use crate::model::Message;
use crate::store::data::body;

/// Reads `bytes` as they are, and behind the version byte.
pub fn record_round_trip(bytes: &[u8]) {
    let _ = decode(bytes);
    let Ok(record) = decode(&[&[VERSION], bytes].concat()) else {
        return;
    };
    let mut written = Vec::new();
    encode(&record, &mut written);
    if let Record::Send { messages, .. } = &record {
        if messages.is_empty() {
            // A send to nobody is never written.
            assert!(written.is_empty());
            return;
        }
        messages.iter().for_each(body_round_trip);
    }
    assert_eq!(decode(&written).expect("it was written"), record);
}

fn body_round_trip(message: &Message) {
    let mut written = Vec::new();
    body::encode(message, &mut written);
    let (_, rest) = body::split(&written).expect("it was written");
    let sender = body::sender(&written).expect("it was written");
    let (mailbox, offline) = (&message.mailbox, message.recipient_offline);
    let read = body::decode(sender, rest, message.id.0, mailbox, offline);
    assert_eq!(read.as_ref(), Ok(message));
}
