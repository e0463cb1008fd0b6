//! Time limits of incomplete messages, on a manual clock.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::Waker;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;
use crate::auth::Validity;
use crate::hub::{Arrival, Hub, HubLimits};
use crate::model::{Device, Domain, Mailbox, MessageType, MsgId, Resource, UserId};
use crate::protocol::client_frame::{self, FrameRules};
use crate::protocol::error_code::{ErrorCode, FrameError};
use crate::protocol::login::ReceiptMode;
use crate::session::machine::{Now, Window};
use crate::store::Backlog;
use crate::websocket::{ConnectionOptions, MessageBudget};

/// Large enough to need memory from the budget.
const LONG: usize = 20 << 10;

const OUTPUT_BYTES_MAX: usize = 1000;

/// A store that falls behind when the test says so.
#[derive(Clone)]
struct TestServices {
    now: Rc<Cell<Duration>>,
    behind: Rc<Cell<bool>>,
}

impl Services for TestServices {
    fn now(&self) -> Now {
        let elapsed = self.now.get();
        Now {
            elapsed,
            wall_ms: 0,
        }
    }

    fn output_bytes_max(&self) -> usize {
        OUTPUT_BYTES_MAX
    }

    fn poll_keeps_up(&mut self, _: &mut Context<'_>) -> Poll<()> {
        match self.behind.get() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }

    fn read(&mut self, _: MsgId) {}

    fn poll_read(&mut self, _: &mut Context<'_>) -> Poll<Option<Backlog>> {
        Poll::Pending
    }

    fn confirm(&self, _: MsgId) {}

    fn send(&self, _: &Arc<Outbox>, send: client_frame::Send) {
        panic!("nothing is sent: {send:?}");
    }

    fn refuse(&self, error: FrameError) -> FrameError {
        error
    }

    fn refused(&self, _: ErrorCode) {}

    fn validity(&self) -> Validity {
        Validity::Forever
    }

    fn ended(&self, _: &End) {}
}

/// A timer that never fires and records its last duration.
struct Set<'a>(&'a mut Duration);

impl Future for Set<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Timer for Set<'_> {
    fn wake_in(mut self: Pin<&mut Self>, time: Duration) {
        *self.0 = time;
    }
}

fn connection(room: &MessageBudget, message_bytes_max: usize) -> (DuplexStream, Connection) {
    let (client, server) = duplex(64 << 10);
    let options = ConnectionOptions {
        message_bytes_max,
        binary: false,
        budget: room.clone(),
    };
    (client, Connection::new(server, options))
}

/// The first fragment of a message.
fn part(bytes: usize) -> Vec<u8> {
    let length = u16::try_from(bytes).unwrap().to_be_bytes();
    let mut frame = vec![0x01, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    frame.resize(frame.len() + bytes, b'x');
    frame
}

/// A session whose client has sent one fragment.
struct Session {
    services: TestServices,
    driver: Driver<TestServices>,
    client: DuplexStream,
}

impl Session {
    async fn with_part(room: &MessageBudget) -> Self {
        let services = TestServices {
            now: Rc::default(),
            behind: Rc::default(),
        };
        let limits = HubLimits {
            sessions_max: 1,
            sessions_per_user_max: 1,
        };
        let hub = Arc::new(Hub::new(limits, Arc::default()));
        let mailbox = Mailbox {
            domain: Domain::parse("d").unwrap(),
            user: UserId::parse("u").unwrap(),
        };
        let device = Device {
            mailbox: mailbox.clone(),
            resource: Resource::parse("r").unwrap(),
        };
        let outbox = Arc::new(Outbox::new(OUTPUT_BYTES_MAX));
        let arrival = Arrival {
            at_ms: 0,
            from: std::net::Ipv4Addr::LOCALHOST.into(),
        };
        let registration = hub.register(device.clone(), Arc::clone(&outbox), arrival);
        let start = Start {
            mailbox,
            resource: device.resource,
            rules: Arc::new(FrameRules {
                content_bytes_max: 1 << 20,
                content_depth_max: 60,
                types: MessageType::BASE.into(),
            }),
            receipts: ReceiptMode::Manual,
            cursor: MsgId::ZERO,
            after: MsgId::ZERO,
            newest_at_login: MsgId::ZERO,
            token_expires_at_ms: None,
            ping_interval: Duration::from_secs(1000),
            window: Window::default(),
        };
        let (mut client, connection) = connection(room, 1 << 20);
        client.write_all(&part(LONG)).await.unwrap();
        let registration = registration.unwrap();
        Self {
            driver: Driver::new(services.clone(), registration, outbox, connection, start),
            services,
            client,
        }
    }

    /// The session's end at this time, or the time it has left.
    fn at(&mut self, seconds: u64) -> Result<Duration, CloseReason> {
        self.services.now.set(Duration::from_secs(seconds));
        let mut cx = Context::from_waker(Waker::noop());
        let mut set = Duration::MAX;
        let timer = pin!(Set(&mut set));
        match self.driver.poll_input(&mut cx, timer) {
            Poll::Pending => Ok(set),
            Poll::Ready(Input::Broken(reason)) => Err(reason),
            Poll::Ready(input) => panic!("{input:?}"),
        }
    }
}

fn seconds(seconds: u64) -> Result<Duration, CloseReason> {
    Ok(Duration::from_secs(seconds))
}

/// Takes the whole budget until dropped.
async fn fill(room: &MessageBudget) -> impl Sized {
    let (mut client, mut holder) = connection(room, 1 << 30);
    client.write_all(&part(LONG)).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(holder.poll_event(&mut cx, true).is_pending());
    assert!(!holder.waits_for_room());
    (client, holder)
}

#[tokio::test]
async fn a_message_has_its_time_also_where_the_peer_takes_its_output_slowly() {
    let mut session = Session::with_part(&MessageBudget::default()).await;
    assert_eq!(session.at(0), seconds(30));
    let waiting = (64 << 10) + OUTPUT_BYTES_MAX + 100;
    session.driver.connection.queue().resize(waiting, 0);
    assert_eq!(session.at(10), seconds(20));
    assert!(session.driver.connection.queued_bytes() >= OUTPUT_BYTES_MAX);
    // It reads a little, but too much output is still queued.
    session.client.read_exact(&mut [0; 10]).await.unwrap();
    assert_eq!(session.at(29), seconds(1));
    assert!(session.driver.connection.queued_bytes() >= OUTPUT_BYTES_MAX);
    assert_eq!(session.at(30), Err(NO_ROOM));
}

#[tokio::test]
async fn it_has_all_of_it_again_where_the_store_was_behind() {
    let mut session = Session::with_part(&MessageBudget::default()).await;
    assert_eq!(session.at(0), seconds(30));
    assert_eq!(session.at(29), seconds(1));
    session.services.behind.set(true);
    assert_eq!(session.at(29), seconds(1000 - 29));
    assert_eq!(session.at(100), seconds(1000 - 100));
    session.services.behind.set(false);
    assert_eq!(session.at(110), seconds(30));
    assert_eq!(session.at(140), Err(UNFINISHED));
}

#[tokio::test]
async fn a_wait_for_room_is_no_part_of_it_and_has_its_own_end() {
    let room = MessageBudget::default();
    let held = fill(&room).await;
    let mut session = Session::with_part(&room).await;
    assert_eq!(session.at(0), seconds(30));
    assert!(session.driver.connection.waits_for_room());
    assert_eq!(session.at(29), seconds(1));
    drop(held);
    assert_eq!(session.at(29), seconds(30));
    assert!(!session.driver.connection.waits_for_room());
    assert_eq!(session.at(58), seconds(1));
    assert_eq!(session.at(59), Err(UNFINISHED));

    drop(session);
    let _held = fill(&room).await;
    let mut session = Session::with_part(&room).await;
    assert_eq!(session.at(0), seconds(30));
    let end = session.at(30).unwrap_err();
    assert_eq!(end.code(), 1013);
    assert!(
        end.text().starts_with("retry in 5000 ms: "),
        "{}",
        end.text()
    );
}
