//! Clients that send as fast as they can what nobody asked for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, DEADLINE, Login, Options, Server};

/// A session on the plain port, whose frames are written by hand. Blocking, and so faster than
/// the server.
fn raw_session(server: &Server, login: &Login) -> TcpStream {
    raw_session_at(server.plain.as_ref().unwrap(), login)
}

fn raw_session_at(plain: &str, login: &Login) -> TcpStream {
    let mut stream = TcpStream::connect(plain).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    let head = format!(
        "GET /ws?{} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        login.query()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
    stream
}

/// Repeats `flood` until the server ends the session; how many bytes it said, and the last of them.
fn drown(mut stream: TcpStream, flood: &[u8]) -> (usize, Vec<u8>) {
    let mut reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let (mut all, mut last) = (0, Vec::new());
        let mut buffer = vec![0; 1 << 20];
        // A reset may follow what the server said last.
        while let Ok(read @ 1..) = reading.read(&mut buffer) {
            all += read;
            last.extend_from_slice(&buffer[..read]);
            last.drain(..last.len().saturating_sub(200));
        }
        let _ = reading.shutdown(Shutdown::Both);
        (all, last)
    });
    let deadline = std::time::Instant::now() + DEADLINE;
    while stream.write_all(flood).is_ok() {
        assert!(
            std::time::Instant::now() < deadline,
            "the session never ends"
        );
    }
    reader.join().unwrap()
}

#[tokio::test]
async fn a_flood_does_not_outlive_its_token() {
    let mut server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let token = server.mint("u1", &["--ttl", "2s"]).await;
    let stream = raw_session(&server, &Login::new("u1").token(&token));
    // Masked with zeros. Nothing counts the parts of a message that have no bytes.
    let begun = b"\x01\x80\0\0\0\0".to_vec();
    let part = b"\x00\x80\0\0\0\0".repeat(100_000);
    let flooding = move || {
        (&stream).write_all(&begun).unwrap();
        drown(stream, &part).1
    };
    let last = thread::spawn(flooding).join().unwrap();
    assert!(
        last.ends_with(b"\x88\x17\x11\x31the token has expired"),
        "{}",
        last.escape_ascii()
    );
}

#[tokio::test]
async fn who_floods_what_is_no_message_is_closed_whatever_its_token() {
    let mut server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    // Masked with zeros: no JSON, no message, a type that is not permitted, a wrong receipt; a `ping`, a
    // Ping, a Pong that nobody asked for, a receipt that says nothing new.
    let frames = [
        &b"\x81\x81\0\0\0\0x"[..],
        b"\x81\x82\0\0\0\0{}",
        b"\x81\xa3\0\0\0\0{\"toId\":\"u2\",\"type\":11,\"content\":1}",
        b"\x81\x8f\0\0\0\0{\"received\":99}",
        b"\x81\x84\0\0\0\0ping",
        b"\x89\x80\0\0\0\0",
        b"\x8a\x80\0\0\0\0",
        b"\x81\x8e\0\0\0\0{\"received\":0}",
    ];
    for (number, frame) in frames.into_iter().enumerate() {
        for trusted in [true, false] {
            let user = format!("u{number}");
            let mut login = Login::new(&user);
            if !trusted {
                login = login.token(&server.mint(&user, &[]).await);
            }
            let stream = raw_session(&server, &login);
            let flood = frame.repeat(10_000);
            let (bytes, last) = thread::spawn(move || drown(stream, &flood)).join().unwrap();
            let said = last.escape_ascii().to_string();
            // The bad frames of a user are above its rate sooner.
            assert!(
                said.contains("\\x11\\xb1retry in 60000 ms: "),
                "{frame:?}: {said}"
            );
            // Six thousand refusals or Pongs.
            assert!(bytes < 5 << 19, "{frame:?}: {bytes} bytes");
        }
    }
}

#[tokio::test]
async fn who_repeats_a_send_on_and_on_is_closed_unless_he_is_trusted() {
    const TIMES: usize = 10_000;
    let mut server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let text = r#"{"toId":"u2","type":10,"content":1,"clientMsgId":"1"}"#;
    // Masked with zeros.
    let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    frame.extend(text.as_bytes());
    let flood = frame.repeat(TIMES);
    let token = server.mint("u1", &[]).await;
    let stream = raw_session(&server, &Login::new("u1").token(&token));
    let repeats = flood.clone();
    let (_, last) = thread::spawn(move || drown(stream, &repeats))
        .join()
        .unwrap();
    let said = last.escape_ascii().to_string();
    assert!(said.contains("retry in 60000 ms: too many"), "{said}");
    // A bridge sends all again of which it has lost the acknowledgements.
    let mut trusted = raw_session(&server, &Login::new("u1"));
    let writing = thread::spawn({
        let mut trusted = trusted.try_clone().unwrap();
        move || trusted.write_all(&flood)
    });
    let (mut acks, mut said) = (0, Vec::new());
    let mut buffer = vec![0; 1 << 16];
    while acks < TIMES {
        let read = trusted.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {acks}");
        said.extend_from_slice(&buffer[..read]);
        let found = said.windows(6).filter(|part| part == b"\"ack\":").count();
        acks += found;
        // The beginning of one more may be at the end.
        let kept = said.len().min(5);
        said.drain(..said.len() - kept);
    }
    writing.join().unwrap().unwrap();
    assert_eq!(server.mailbox("u2").await.len(), 1);
}

#[tokio::test]
async fn who_comes_back_to_flood_is_kept_out_for_a_while() {
    // Five floods and six logins are more than 300, however long they take.
    let options = ["--plain", "127.0.0.1:0", "--logins-per-user", "300/h"];
    let mut server = Server::with(Options::new().args(&options)).await;
    let token = server.mint("u1", &[]).await;
    let login = Login::new("u1").token(&token);
    for _ in 0..5 {
        let stream = raw_session(&server, &login);
        let flood = b"\x89\x80\0\0\0\0".repeat(10_000);
        let (_, last) = thread::spawn(move || drown(stream, &flood)).join().unwrap();
        let said = last.escape_ascii().to_string();
        assert!(said.contains("retry in 60000 ms: too many"), "{said}");
    }
    server.refused(&login, 4529).await;
    server
        .says("a limit is reached: this user logs in too often")
        .await;
    // Others log in, and so does who has a project token.
    server.user("u2").await.ready().await;
    server.user("u1").await.ready().await;
}

#[tokio::test]
async fn bad_frames_count_for_the_rate_of_sends() {
    let options = ["--sends-per-user", "3/h"];
    let mut server = Server::with(Options::new().args(&options)).await;
    let token = server.mint("u1", &[]).await;
    let mut user = server.login(&Login::new("u1").token(&token)).await;
    let bad = [
        ("x", "invalid_json"),
        ("{}", "invalid_field"),
        (
            r#"{"toId":"u2","type":100,"content":1}"#,
            "type_not_allowed",
        ),
    ];
    for (frame, code) in bad {
        user.send_text(frame).await;
        assert_eq!(user.error().await["error"]["code"], code);
    }
    for (frame, _) in bad {
        user.send_text(frame).await;
        assert_eq!(user.error().await["error"]["code"], "rate_limited");
    }
    user.send_text(r#"{"toId":"u2","type":10,"content":1}"#)
        .await;
    assert_eq!(user.error().await["error"]["code"], "rate_limited");
    user.ready().await;
    // Who holds the project token has no such rate.
    let mut trusted = server.user("u1").await;
    for _ in 0..10 {
        trusted.send_text("{}").await;
        assert_eq!(trusted.error().await["error"]["code"], "invalid_field");
    }
}

#[tokio::test]
async fn who_pings_now_and_then_goes_on() {
    let server = Server::start().await;
    let mut user = server.user("u1").await;
    for _ in 0..500 {
        user.ready().await;
    }
    user.say_acked("u1", "still there").await;
}

#[tokio::test]
async fn a_flood_does_not_hold_up_what_its_session_is_to_get() {
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    server.user("sender").await.say("u1", "waiting").await;
    let mut stream = raw_session(&server, &Login::new("u1"));
    let mut reading = stream.try_clone().unwrap();
    let flood = thread::spawn(move || {
        // Messages to somebody else, which the project token may send without end.
        let text = br#"{"toId":"u2","type":10,"content":1}"#;
        let head = [0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        let messages = [&head[..], text].concat().repeat(10_000);
        while stream.write_all(&messages).is_ok() {}
    });
    let delivered = thread::spawn(move || {
        let deadline = std::time::Instant::now() + DEADLINE;
        let (mut buffer, mut last) = (vec![0; 1 << 16], Vec::new());
        let found = loop {
            let read = reading.read(&mut buffer).unwrap();
            last.extend_from_slice(&buffer[..read]);
            let text = b"waiting";
            if last.windows(text.len()).any(|window| window == text) {
                break true;
            }
            last.drain(..last.len().saturating_sub(100));
            if std::time::Instant::now() >= deadline {
                break false;
            }
        };
        reading.shutdown(Shutdown::Both).unwrap();
        found
    });
    assert!(delivered.join().unwrap(), "nothing is delivered");
    flood.join().unwrap();
}

#[tokio::test]
async fn a_peer_that_takes_no_answers_is_closed_as_dead() {
    let options = ["--plain", "127.0.0.1:0", "--ping-interval", "300ms"];
    let server = Server::with(Options::new().args(&options)).await;
    let mut stream = raw_session(&server, &Login::new("u1"));
    let ended = thread::spawn(move || {
        for n in 0u64.. {
            let text = format!(r#"{{"toId":"u2","type":10,"content":1,"clientMsgId":"{n:060}"}}"#);
            let len = u8::try_from(text.len()).unwrap();
            let mut frame = vec![0x81, 0x80 | len, 0, 0, 0, 0];
            frame.extend_from_slice(text.as_bytes());
            if let Err(error) = stream.write_all(&frame) {
                return error.kind();
            }
        }
        unreachable!("it is written until the stream breaks")
    });
    let ended = ended.join().unwrap();
    // Not the deadline of a write.
    let broken = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(broken.contains(&ended), "{ended:?}");
}

/// Reads `count` answers to sends; those that are no acknowledgement.
fn refusals(mut stream: TcpStream, count: usize) -> Vec<String> {
    let mut read = Vec::new();
    let mut answers = 0;
    let mut refusals = Vec::new();
    while answers < count {
        let mut buffer = [0; 1 << 16];
        let got = stream.read(&mut buffer).unwrap();
        assert!(got > 0, "the session ended after {answers} of {count}");
        read.extend_from_slice(&buffer[..got]);
        // Every answer is an object, and ends with its last brace.
        while let Some(end) = read.windows(2).position(|two| two == b"}\x81") {
            refusals.extend(refusal(&read[..=end]));
            read.drain(..=end);
            answers += 1;
        }
        if answers + 1 == count && read.ends_with(b"}") {
            refusals.extend(refusal(&read));
            answers += 1;
        }
    }
    refusals
}

fn refusal(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    (!text.contains("{\"ack\":")).then(|| text.into_owned())
}

#[tokio::test]
async fn senders_that_outrun_the_disk_are_slowed_down_and_not_refused() {
    const SENDERS: usize = 8;
    const SENDS: usize = 6000;
    // So much is in flight from each that together it is more than may wait for the disk.
    let options = ["--plain", "127.0.0.1:0", "--outbox-bytes-max", "8MiB"];
    let server = Server::with(Options::new().args(&options)).await;
    let senders: Vec<_> = (0..SENDERS)
        .map(|n| {
            let mut stream = raw_session(&server, &Login::new(&format!("sender-{n}")));
            thread::spawn(move || {
                let reading = stream.try_clone().unwrap();
                let reader = thread::spawn(move || refusals(reading, SENDS));
                let mut frames = Vec::new();
                for n in 0..SENDS {
                    let text =
                        format!(r#"{{"toId":"u","type":10,"content":1,"clientMsgId":"{n}"}}"#);
                    frames.extend([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
                    frames.extend_from_slice(text.as_bytes());
                }
                stream.write_all(&frames).unwrap();
                reader.join().unwrap()
            })
        })
        .collect();
    for sender in senders {
        let refused = sender.join().unwrap();
        assert!(refused.is_empty(), "{} times {}", refused.len(), refused[0]);
    }
    assert_eq!(server.history("u", "").await["total"], SENDERS * SENDS);
}

/// A flood in a thread of its own.
struct Flood {
    name: &'static str,
    /// How often it has happened.
    times: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

/// What strangers do until `stop`: logins with bad tokens, sessions of which nothing but bad frames
/// comes, and TLS handshakes that go no further.
fn floods(server: &Server, stop: &Arc<AtomicBool>) -> Vec<Flood> {
    let plain = server.plain.clone().unwrap();
    let bad_frames = plain.clone();
    let tls = server.address.clone();
    // What is done says whether it came to something.
    let repeat = |name, mut act: Box<dyn FnMut() -> bool + Send>| {
        let times = Arc::new(AtomicU64::new(0));
        let (stop, counted) = (Arc::clone(stop), Arc::clone(&times));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                counted.fetch_add(u64::from(act()), Ordering::Relaxed);
            }
        });
        Flood {
            name,
            times,
            thread,
        }
    };
    let bad_login = move || {
        let query = Login::new("stranger").token("wrong").query();
        let Ok(mut stream) = TcpStream::connect(&plain) else {
            return false;
        };
        let head = format!(
            "GET /ws?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        // Its end may be a reset.
        let _ = stream.set_read_timeout(Some(DEADLINE));
        let _ = stream.write_all(head.as_bytes());
        let mut said = Vec::new();
        let _ = stream.take(1000).read_to_end(&mut said);
        // 4401, in a Close frame.
        said.windows(2).any(|two| two == 4401u16.to_be_bytes())
    };
    let bad_frame = move || {
        let session = raw_session_at(&bad_frames, &Login::new("flooder"));
        let (_, last) = drown(session, &b"\x81\x81\0\0\0\0x".repeat(100));
        last.windows(2).any(|two| two == 4529u16.to_be_bytes())
    };
    let mut half_open = std::collections::VecDeque::new();
    let handshake = move || {
        let Ok(mut stream) = TcpStream::connect(&tls) else {
            return false;
        };
        // The head of a record of which nothing follows.
        let begun = stream.write_all(b"\x16\x03\x01\x02\x00\x01").is_ok();
        half_open.push_back(stream);
        if half_open.len() > 500 {
            half_open.pop_front();
        }
        thread::sleep(Duration::from_micros(500));
        begun
    };
    vec![
        repeat("bad logins", Box::new(bad_login.clone())),
        repeat("more bad logins", Box::new(bad_login)),
        repeat("sessions of bad frames", Box::new(bad_frame)),
        repeat("half handshakes", Box::new(handshake)),
    ]
}

/// How long messages of one to the other take, in order: so many, and as many more as are wanted.
async fn latencies(
    from: &mut Client,
    to: &mut Client,
    count: usize,
    more: impl Fn() -> bool,
) -> Vec<Duration> {
    let mut all = Vec::new();
    while all.len() < count || more() {
        let number = all.len().to_string();
        let begun = Instant::now();
        from.say("quiet2", &number).await;
        assert_eq!(to.message().await["content"], number);
        all.push(begun.elapsed());
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_pair_talks_on_while_strangers_flood() {
    const COUNT: usize = 200;
    /// How often each flood happens at least while the pair talks.
    const TIMES: u64 = 5;
    let server = Server::with(Options::new().args(&["--plain", "127.0.0.1:0"])).await;
    let (mut one, mut other) = (server.user("quiet1").await, server.user("quiet2").await);
    let quiet = latencies(&mut one, &mut other, COUNT, || false).await;
    let stop = Arc::new(AtomicBool::new(false));
    let floods = floods(&server, &stop);
    let since = Instant::now();
    let some_are_few = || {
        let times = |flood: &Flood| (flood.name, flood.times.load(Ordering::Relaxed));
        let all: Vec<_> = floods.iter().map(times).collect();
        let few = all.iter().any(|(_, times)| *times < TIMES);
        assert!(!few || since.elapsed() < 2 * DEADLINE, "no flood: {all:?}");
        few
    };
    let flooded = latencies(&mut one, &mut other, COUNT, some_are_few).await;
    stop.store(true, Ordering::Relaxed);
    for (what, all) in [("quiet", &quiet), ("flooded", &flooded)] {
        let (p50, p99) = (all[all.len() / 2], all[all.len() * 99 / 100]);
        println!(
            "{what}: p50 {p50:?}, p99 {p99:?}, worst {:?}",
            all[all.len() - 1]
        );
    }
    for flood in floods {
        let times = flood.times.load(Ordering::Relaxed);
        println!("meanwhile {}: {times}", flood.name);
        flood.thread.join().unwrap();
    }
    // Not a matter of speed: somebody who floods must not be able to make others wait.
    assert!(flooded[flooded.len() * 99 / 100] < Duration::from_secs(5));
}
