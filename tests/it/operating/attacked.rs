//! A stop while strangers and users hold on to all that they can.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Login, Options, PROJECT_TOKEN, Server};

/// Connections of each kind.
const EACH: usize = 50;

/// How long a stop is waited for: it takes half of that at most, but other tests may have the machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

fn connected(address: &str, begin: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(begin).unwrap();
    stream
}

fn upgrade(login: &Login) -> Vec<u8> {
    let head = format!(
        "GET /ws?{} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        login.query()
    );
    head.into_bytes()
}

/// Returns once the server has answered with the beginning of its head, which alone is read.
fn answered(stream: &mut TcpStream, begin: &[u8]) {
    let mut said = vec![0; begin.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, begin, "{}", said.escape_ascii());
}

/// One connection of each kind that goes on with a byte now and then.
fn trickling(server: &Server, number: usize) -> Vec<TcpStream> {
    let plain = server.plain.as_deref().unwrap();
    let hello = b"\x16\x03\x01\x02\x00\x01";
    let head = b"GET /message-log HTTP/1.1\r\nHost: x\r\nX-More: ";
    let body = |token: &str| {
        format!(
            "POST /messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n{{"
        )
    };
    // Half of a text, masked with zeros, so that any letter goes on with it.
    let mut message = vec![0x81, 0xff];
    message.extend(200_000_u64.to_be_bytes());
    message.extend([0; 4]);
    message.resize(100_000, b'x');
    let mut sends = connected(plain, &upgrade(&Login::new(&format!("sender{number}"))));
    answered(&mut sends, b"HTTP/1.1 101 ");
    sends.write_all(&message).unwrap();
    let refused = upgrade(&Login::new("stranger").token("wrong"));
    vec![
        connected(&server.address, hello),
        connected(plain, head),
        connected(plain, body(PROJECT_TOKEN).as_bytes()),
        connected(plain, body("wrong").as_bytes()),
        connected(plain, &refused),
        sends,
    ]
}

/// Connections that take nothing of what they have asked for.
fn unread(server: &Server, number: usize) -> Vec<TcpStream> {
    let plain = server.plain.as_deref().unwrap();
    let history = format!(
        "GET /message-log?domain=demo&toId=u1&size=100 HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {PROJECT_TOKEN}\r\n\r\n"
    );
    let session = upgrade(&Login::new("u1").resource(&format!("r{number}")).after(0));
    vec![
        connected(plain, history.as_bytes()),
        connected(plain, &session),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_attack_ends_in_time_and_in_order() {
    let options = Options::new().args(&["--plain", "127.0.0.1:0"]);
    let options = options.args(&["--sessions-per-user-max", "1000"]);
    let mut server = Server::with(options).await;
    let mut sender = server.user("sender").await;
    let content = "x".repeat(200 << 10);
    for _ in 0..40 {
        sender.say_acked("u1", &content).await;
    }
    let mut held: Vec<TcpStream> = (0..EACH).flat_map(|n| trickling(&server, n)).collect();
    let mut silent: Vec<TcpStream> = (0..EACH).flat_map(|n| unread(&server, n)).collect();
    for stream in &mut silent {
        answered(stream, b"HTTP/1.1 ");
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let trickle = {
        let stopped = Arc::clone(&stopped);
        thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for stream in &mut held {
                    // Whoever was closed is closed.
                    let _ = stream.write_all(b"x");
                }
                thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let last = sender.say_acked("u2", "accepted before the stop").await;
    let since = Instant::now();
    server.signal(Signal::TERM);
    let code = server.ended().await;
    let took = since.elapsed();
    stopped.store(true, Ordering::Relaxed);
    trickle.join().unwrap();
    assert_eq!(code, Some(0), "{}", server.stderr());
    println!("after {took:?}");
    assert!(took < STOP_TIMEOUT, "after {took:?}");
    // Each connection has ended by its own bound. By its own clock the server gives up before 5 s, and says so.
    let log = server.stderr();
    assert!(!log.contains("did not end in time"), "{log}");
    server.spawn().await;
    assert_eq!(
        server.history("u2", "").await["list"][0]["msgId"],
        json!(last)
    );
}
