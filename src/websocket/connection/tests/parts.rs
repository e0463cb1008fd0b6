//! Messages in parts, and the budget they wait for.

use std::task::Waker;

use super::*;

/// A part of a long message.
fn part(first: u8) -> Vec<u8> {
    const BYTES: u16 = 20 << 10;
    let length = BYTES.to_be_bytes();
    let mut part = vec![first, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    part.resize(part.len() + usize::from(BYTES), b'x');
    part
}

#[tokio::test]
async fn a_message_in_parts_goes_on_to_its_end_whoever_waits_for_room() {
    let budget = MessageBudget::default();
    let (mut client, server) = duplex(1 << 20);
    let mut first = within(&budget, 500 << 10, server);
    client.write_all(&part(0x01)).await.unwrap();
    assert!(is_pending(&mut first, true));
    assert!(!first.waits_for_room());
    // Needs the whole budget, and nobody overtakes it.
    let (mut other, server) = duplex(1 << 20);
    let mut second = within(&budget, 1 << 30, server);
    other.write_all(&part(0x01)).await.unwrap();
    assert!(is_pending(&mut second, true));
    assert!(second.waits_for_room());

    for _ in 0..20 {
        client.write_all(&part(0x00)).await.unwrap();
        client.write_all(&frame(0x89, b"")).await.unwrap();
    }
    client.write_all(&part(0x80)).await.unwrap();
    let text = loop {
        assert!(!first.waits_for_room(), "it may have to wait for ever");
        let mut cx = Context::from_waker(Waker::noop());
        match first.poll_event(&mut cx, true) {
            Poll::Ready(Event::Text(text)) => break text,
            Poll::Ready(Event::Pinged(_)) | Poll::Pending => {}
            Poll::Ready(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(text.len(), 22 * (20 << 10));
    assert!(is_pending(&mut second, true));
    assert!(!second.waits_for_room());
}
