//! Messages that never come to their end: what they cost, whom they hold up, and how they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::raw::{Frame, frame, text_frame};
use crate::support::{Login, Options, Raw, Server, until};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Together far more than there is room for.
const SESSIONS: usize = 400;
/// Of each of the others: who is refused, and who has closed.
const OTHERS: usize = 100;
const MESSAGE_BYTES: usize = 500 << 10;
/// For so many of them there is room: 64 MiB, of which each takes a multiple of 64 KiB.
const THERE_IS_ROOM_FOR: usize = 128;

/// What there is room for, what each may have besides, and what so many connections cost anyway, with what an
/// allocator keeps.
const GROWTH_KIB_MAX: usize = (64 << 10) + SESSIONS * 16 + (64 << 10);

/// How long a message may take, and may wait for room.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much later a busy machine may notice that it took longer.
const PATIENCE: Duration = Duration::from_secs(50);

/// A stream on which next to nothing waits for a server that does not read.
async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    let address = server.plain.as_ref().unwrap().parse().unwrap();
    socket.connect(address).await.unwrap()
}

/// Logs in, and says all but the end of a message; whether the server has taken it, to `taken`, and what it said
/// to the end.
async fn half_said(
    mut stream: TcpStream,
    query: String,
    before: Vec<u8>,
    message: Arc<Vec<u8>>,
    taken: Arc<AtomicUsize>,
) -> String {
    let head = format!(
        "GET /ws?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let head = [head.into_bytes(), before].concat();
    stream.write_all(&head).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let saying = async {
        let all_but_the_end = &message[..message.len() - 1000];
        if writing.write_all(all_but_the_end).await.is_ok() {
            taken.fetch_add(1, Ordering::Relaxed);
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    tokio::select! {
        () = saying => {}
        end = timeout(PATIENCE, reading.read_to_end(&mut said)) => {
            assert!(end.is_ok(), "it goes on: {}", said.escape_ascii());
        }
    }
    said.escape_ascii().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_messages_share_a_room_while_others_talk() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let before = server.peak_kib();
    let message = Arc::new(text_frame(&"x".repeat(MESSAGE_BYTES)));
    let (taken, unread) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (mut unfinished, mut others) = (JoinSet::new(), JoinSet::new());
    for n in 0..SESSIONS {
        let (stream, message) = (connect(&server).await, Arc::clone(&message));
        let query = Login::new(&format!("u{n}")).query();
        unfinished.spawn(half_said(
            stream,
            query,
            Vec::new(),
            message,
            Arc::clone(&taken),
        ));
    }
    for n in 0..OTHERS {
        let refused = Login::new("stranger").token("wrong").query();
        let leaves = Login::new(&format!("leaver{n}")).query();
        let close = frame(8, &1000u16.to_be_bytes());
        for (query, before) in [(refused, Vec::new()), (leaves, close)] {
            let (stream, message) = (connect(&server).await, Arc::clone(&message));
            others.spawn(half_said(
                stream,
                query,
                before,
                message,
                Arc::clone(&unread),
            ));
        }
    }
    until("the room is full", async || {
        (taken.load(Ordering::Relaxed) >= THERE_IS_ROOM_FOR).then_some(())
    })
    .await;
    let (mut one, mut other) = (server.user("quiet1").await, server.user("quiet2").await);
    for n in 0..20 {
        one.say("quiet2", &n.to_string()).await;
        assert_eq!(other.message().await["content"], n.to_string());
    }
    for said in others.join_all().await {
        let codes = [
            "\\x88\\x02\\x03\\xe8",
            "\\x111the token or the domain is unknown",
        ];
        assert!(codes.iter().any(|code| said.ends_with(code)), "{said}");
    }
    // A long message has to wait until some of those that came before it are over.
    let content = "y".repeat(200 << 10);
    let send = json!({"clientMsgId": "long", "toId": "quiet4", "type": 10, "content": content});
    let mut long = Raw::plain(&server, &Login::new("quiet3")).await;
    long.send(&send).await;
    unfinished.shutdown().await;
    long.ack("long").await;
    let growth = server.peak_kib() - before;
    println!("by {growth} KiB");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

/// As many as one may have.
const SESSIONS_OF_USER: usize = 32;
const USERS: usize = 16;
/// So many messages each of them has room for.
const OF_USER_AT_A_TIME: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_users_with_all_their_sessions_keep_no_long_message_waiting() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let message = Arc::new(text_frame(&"x".repeat(MESSAGE_BYTES)));
    let taken = Arc::<AtomicUsize>::default();
    let mut unfinished = JoinSet::new();
    for n in 0..USERS * SESSIONS_OF_USER {
        let login = Login::new(&format!("u{}", n % USERS)).resource(&format!("r{n}"));
        let (stream, message) = (connect(&server).await, Arc::clone(&message));
        unfinished.spawn(half_said(
            stream,
            login.query(),
            Vec::new(),
            message,
            Arc::clone(&taken),
        ));
    }
    until("all have what they get", async || {
        (taken.load(Ordering::Relaxed) >= USERS * OF_USER_AT_A_TIME).then_some(())
    })
    .await;
    let content = "y".repeat(200 << 10);
    let send = json!({"clientMsgId": "long", "toId": "quiet2", "type": 10, "content": content});
    let mut long = Raw::plain(&server, &Login::new("quiet1")).await;
    long.send(&send).await;
    // Sooner than any of the others ends.
    long.ack("long").await;
}

/// Far more than there is room for, but for 5 at a time.
const LONG_SESSIONS: usize = 12;
const LONG_BYTES: usize = 12 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_messages_that_come_at_the_same_time_are_all_read_to_their_end() {
    let args = ["--plain", "127.0.0.1:0", "--content-bytes-max", "8MiB"];
    let server = Server::with(Options::new().args(&args)).await;
    // No JSON, so that nothing is stored: the answer to its end is all that counts.
    let message = Arc::new(text_frame(&"x".repeat(LONG_BYTES)));
    let mut sessions = JoinSet::new();
    for n in 0..LONG_SESSIONS {
        let mut session = Raw::plain(&server, &Login::new(&format!("u{n}"))).await;
        let message = Arc::clone(&message);
        sessions.spawn(async move {
            // The server reads it when it can: it takes longer than other writes may.
            let written = async {
                for piece in message.chunks(64 << 10) {
                    session.try_write(piece).await;
                }
            };
            timeout(PATIENCE, written).await.expect("all is read");
            session.error().await
        });
    }
    for error in sessions.join_all().await {
        assert_eq!(error["error"]["code"], "invalid_json", "{error}");
    }
}

/// The first part of a message, which goes beyond what needs no room.
fn part() -> Vec<u8> {
    let mut part = text_frame(&"x".repeat(20 << 10));
    // Not the last one.
    part[0] &= 0x7f;
    part
}

/// A further part, of one byte.
const BYTE: &[u8] = b"\x00\x81\x00\x00\x00\x00x";

/// Reads up to the Close, and sends a byte each second where it `trickles`; what the Close says, and how long after
/// `since` that was.
async fn closed(session: &mut Raw, since: Instant, trickles: bool) -> (u16, String, Duration) {
    while since.elapsed() < PATIENCE {
        if trickles {
            session.try_write(BYTE).await;
        }
        match session.frame_within(Duration::from_secs(1)).await {
            Some(Frame::Close(code, reason)) => return (code, reason, since.elapsed()),
            Some(Frame::Ping(_) | Frame::Pong(_)) | None => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_has_its_time_and_the_wait_for_room_another_one() {
    let args = ["--plain", "127.0.0.1:0", "--content-bytes-max", "8MiB"];
    let server = Server::with(Options::new().args(&args)).await;
    let since = Instant::now();
    // What is to have another part may become as large as any, a quarter of the room.
    let mut holders = Vec::new();
    for n in 0..4 {
        let mut holder = Raw::plain(&server, &Login::new(&format!("holder{n}"))).await;
        holder.write(&part()).await;
        // Answered once all before it is read, in the middle of the message.
        holder.ping("read").await;
        let pong = holder.frame().await;
        assert_eq!(pong, Frame::Pong(b"read".to_vec()));
        holders.push(holder);
    }
    // They come before the honest one, and so do their turns.
    sleep(Duration::from_secs(1)).await;
    let mut queue = Vec::new();
    for n in 0..8 {
        let mut waiting = Raw::plain(&server, &Login::new(&format!("waiting{n}"))).await;
        waiting.write(&part()).await;
        queue.push(waiting);
    }
    sleep(Duration::from_secs(2)).await;
    let (mut one, mut other) = (server.user("quiet1").await, server.user("quiet2").await);
    one.say("quiet2", "small").await;
    assert_eq!(other.message().await["content"], "small");

    let mut honest = Raw::plain(&server, &Login::new("honest")).await;
    let content = "y".repeat(100 << 10);
    let begun = Instant::now();
    honest
        .send(&json!({"toId": "quiet4", "type": 10, "content": content}))
        .await;
    let mut endings = JoinSet::new();
    for (n, mut holder) in holders.into_iter().enumerate() {
        endings.spawn(async move { closed(&mut holder, since, n % 2 == 0).await });
    }
    let (code, reason, waited) = closed(&mut honest, begun, false).await;
    let text = "retry in 5000 ms: too many long messages at once";
    assert_eq!((code, &*reason), (1013, text));
    assert!(waited >= MESSAGE_TIMEOUT, "after {waited:?}");
    for (code, reason, took) in endings.join_all().await {
        let text = "message not complete within 30 s: send a smaller one";
        assert_eq!((code, &*reason), (1009, text));
        assert!(took >= MESSAGE_TIMEOUT, "after {took:?}");
    }
    drop(queue);
    let metrics = server.get("/metrics", None).await.body;
    for (limit, least) in [("message_room", 1), ("message_time", 4)] {
        let counted = format!("relaybox_limited_total{{limit=\"{limit}\"}} ");
        let counted = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&*counted));
        let counted: u64 = counted.unwrap().parse().unwrap();
        assert!(counted >= least, "{limit}: {counted}");
        let logged = format!("limit=\"{limit}\"");
        assert!(server.stderr().contains(&logged), "{}", server.stderr());
    }
}
