//! Golden bytes of every record, and what is refused.
#![allow(clippy::unwrap_used)]

use super::*;
use std::sync::Arc;

use super::super::cursor::CursorValue;
use crate::model::{MessageType, ProjectToken, SigningKey, UserId, UserName};
use crate::store::age::{Hold, Span};

fn send() -> Record {
    let message = |id, user, recipient_offline| Message {
        id: MsgId(id),
        mailbox: Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse(user).unwrap(),
        },
        to_resource: None,
        from_id: UserId::parse("a").unwrap(),
        from_name: UserName::parse("A").unwrap(),
        from_resource: Resource::parse("web").unwrap(),
        kind: MessageType(10),
        content: "1".into(),
        recipient_offline,
    };
    Record::Send {
        messages: vec![message(258, "u", true), message(259, "é", false)],
        client_msg_id: Some(ClientMsgId::parse("c").unwrap()),
    }
}

#[test]
fn golden_bytes() {
    let device = Device {
        mailbox: Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        },
        resource: Resource::parse("web").unwrap(),
    };
    let cursor = |change| Record::Cursor {
        device: device.clone(),
        change,
    };
    let domain = DomainRecord {
        domain: Domain::parse("d").unwrap(),
        created_at_ms: 5,
        tokens: vec![ProjectToken {
            sha256: [7; 32],
            expires_at_ms: Some(6),
        }],
        signing_keys: vec![SigningKey {
            secret: [8; 32],
            expires_at_ms: None,
        }],
    };
    let domain_bytes = [
        &b"\x01\x02\x01d\x05\x01"[..],
        &[7; 32],
        b"\x01\x06\x01",
        &[8; 32],
        b"\0",
    ];
    let table = [
        (
            send(),
            b"\x01\0\x01d\x01a\x01A\x03web\0\x0a\x011\x01\x01c\xfb\x02\x01\x02\x01u\x01\x02\xc3\xa9\0"
                .to_vec(),
        ),
        (
            cursor(CursorChange::Raise {
                id: MsgId(258),
                at_ms: 3,
            }),
            b"\x01\x01\x01d\x01u\x03web\xfb\x02\x01\x03".to_vec(),
        ),
        (
            cursor(CursorChange::Set(CursorValue {
                id: MsgId(258),
                at_ms: 3,
                used: true,
            })),
            b"\x01\x04\x01d\x01u\x03web\xfb\x02\x01\x03\x01".to_vec(),
        ),
        (
            cursor(CursorChange::Use { at_ms: 3 }),
            b"\x01\x05\x01d\x01u\x03web\x03".to_vec(),
        ),
        (
            cursor(CursorChange::Drop),
            b"\x01\x06\x01d\x01u\x03web".to_vec(),
        ),
        (Record::Domain(domain), domain_bytes.concat()),
        (
            Record::DomainRemoved {
                domain: Domain::parse("d").unwrap(),
                low_watermark: MsgId(4),
            },
            b"\x01\x03\x01d\x04".to_vec(),
        ),
        (
            Record::Erased {
                mailbox: device.mailbox.clone(),
                upto: MsgId(258),
                at_ms: 3,
            },
            b"\x01\x07\x01d\x01u\xfb\x02\x01\x03".to_vec(),
        ),
        (
            Record::Confirmed {
                mailbox: device.mailbox.clone(),
                id: MsgId(258),
            },
            b"\x01\x09\x01d\x01u\xfb\x02\x01".to_vec(),
        ),
        (
            Record::Age(AgeState {
                now_us: 258,
                wall_us: 3,
                offset_us: -1,
                hold: Some(Hold {
                    since_us: 4,
                    passed_us: 5,
                    stop_us: 9,
                }),
                spans: Arc::new(vec![Span {
                    after: MsgId(6),
                    since_us: 7,
                    offset_us: -255,
                    gap_us: 8,
                }]),
            }),
            b"\x01\x0a\xfb\x02\x01\x03\x01\x01\x04\x05\x09\x01\x06\x07\xfb\xfd\x01\x08".to_vec(),
        ),
        (
            Record::SendIds {
                key: SendKey {
                    domain: Domain::parse("d").unwrap(),
                    from_id: UserId::parse("a").unwrap(),
                    client_msg_id: ClientMsgId::parse("c").unwrap(),
                },
                ids: SendIds {
                    first: MsgId(258),
                    count: 2,
                },
            },
            b"\x01\x08\x01d\x01a\x01c\xfb\x02\x01\x02".to_vec(),
        ),
    ];
    for (record, golden) in table {
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert_eq!(bytes, golden, "{record:?}");
        assert_eq!(decode(&golden).unwrap(), record);
        for cut in 0..golden.len() {
            assert!(decode(&golden[..cut]).is_err());
        }
        assert!(decode(&[golden.as_slice(), b"x"].concat()).is_err());
    }
}

#[test]
fn what_could_not_have_been_written_is_refused() {
    assert!(matches!(decode(b"\x02\0"), Err(RecordError::Version(2))));
    assert!(matches!(decode(b"\x01\x0b"), Err(RecordError::Coding(_))));
    assert!(matches!(
        decode(b"\x01\x03\0\x04"),
        Err(RecordError::Name(_))
    ));
    // A count that no frame has bytes for.
    for count in [1_u64 << 40, u64::MAX] {
        let spans = [b"\x01\x0a\0\0\0\0\xfd", count.to_le_bytes().as_slice()].concat();
        assert!(matches!(decode(&spans), Err(RecordError::Coding(_))));
    }
}
