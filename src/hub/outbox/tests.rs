use super::*;

fn take(outbox: &Outbox) -> Option<Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match outbox.poll_take(&mut cx, true, true) {
        Poll::Ready(taken) => taken.output,
        Poll::Pending => None,
    }
}

#[test]
fn deliveries_wait_for_catch_up_and_come_once() {
    let outbox = Outbox::new(100);
    outbox.deliver(MsgId(5), b"five");
    let taken = take(&outbox).expect("behind");
    assert!(taken.behind && taken.frames.is_empty());
    assert!(!outbox.try_go_live(MsgId(4)), "five was missed");
    assert!(outbox.try_go_live(MsgId(5)));
    outbox.deliver(MsgId(5), b"five");
    assert_eq!(take(&outbox), None, "five came from the store");
    outbox.deliver(MsgId(6), b"six");
    let taken = take(&outbox).expect("live");
    assert_eq!(
        (taken.frames.as_slice(), taken.behind),
        (&b"six"[..], false)
    );
}

#[test]
fn a_full_outbox_falls_behind_instead_of_growing() {
    let outbox = Outbox::new(10);
    assert!(outbox.try_go_live(MsgId::ZERO));
    outbox.deliver(MsgId(1), b"12345678");
    outbox.deliver(MsgId(2), b"12345678");
    outbox.deliver(MsgId(3), b"1");
    let taken = take(&outbox).expect("frames");
    assert_eq!(
        (taken.frames.as_slice(), taken.behind),
        (&b"12345678"[..], true)
    );
    assert!(!outbox.try_go_live(MsgId(2)));
    assert!(outbox.try_go_live(MsgId(3)));
}

#[test]
fn who_is_behind_is_not_woken_for_each_delivery() {
    struct Wakes(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Wakes {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let wakes = std::sync::Arc::new(Wakes(0.into()));
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let outbox = Outbox::new(10);
    assert!(outbox.try_go_live(MsgId::ZERO));
    for id in 1..100 {
        // The socket stays busy.
        assert!(outbox.poll_take(&mut cx, false, true).is_pending());
        outbox.deliver(MsgId(id), b"123456");
    }
    let wakes = wakes.0.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(wakes, 2, "one frame, and the news of being behind");
    assert!(take(&outbox).expect("frames").behind);
}

#[test]
fn a_busy_socket_leaves_frames_but_hears_of_the_end() {
    let outbox = Outbox::new(10);
    assert!(outbox.try_go_live(MsgId::ZERO));
    outbox.deliver(MsgId(1), b"1");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(outbox.poll_take(&mut cx, false, true).is_pending());
    outbox.close(CloseReason::Replaced);
    outbox.close(CloseReason::ShuttingDown);
    let Poll::Ready(taken) = outbox.poll_take(&mut cx, false, true) else {
        panic!("must be told")
    };
    assert_eq!(taken.close, Some(CloseReason::Replaced));
    assert_eq!(taken.output, None);
    assert_eq!(take(&outbox).expect("still there").frames, b"1");
}

#[test]
fn the_window_of_sends_closes_and_opens() {
    let outbox = Outbox::new(10);
    outbox.send_started(10);
    assert!(!outbox.may_send());
    outbox.send_finished(10, Ok(Some(b"ack")));
    assert!(outbox.may_send());
    assert_eq!(take(&outbox).expect("ack").frames, b"ack");
}

#[test]
fn answers_that_nobody_takes_close_the_window_of_sends() {
    let refusal = || FrameError {
        code: crate::protocol::error_code::ErrorCode::TypeNotAllowed,
        field: None,
        message: String::new(),
        client_msg_id: None,
    };
    let answers: [&dyn Fn(&Outbox); 2] = [
        &|outbox| outbox.send_finished(1, Ok(Some(b"0123456789"))),
        &|outbox| outbox.send_finished(1, Err(refusal())),
    ];
    for answer in answers {
        let outbox = Outbox::new(1024);
        let mut answered = 0;
        while outbox.may_send() {
            assert!(answered < 1024, "answers pile up");
            outbox.send_started(1);
            answer(&outbox);
            answered += 1;
        }
        assert!(take(&outbox).is_some());
        assert!(outbox.may_send(), "what was taken makes room");
    }
}
