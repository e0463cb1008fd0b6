//! Answers that nobody reads: what they cost, and whom they hold up.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Options, PROJECT_TOKEN, Server, soon, until};

const READERS: usize = 300;
const USERS: usize = 75;
const MESSAGES: usize = 30;
const CONTENT_BYTES: usize = 250_000;

/// Four at a time, and four more for each 5 s that a busy machine takes to ask: unread ones end by then.
const FEW: usize = 16;

/// All that unread answers may cost: their room, and what an allocator keeps.
const GROWTH_KIB_MAX: usize = 100 << 10;

/// A server whose users `u0`, `u1`, … have large messages.
async fn filled(users: usize, options: Options) -> Server {
    let server = Server::with(options.args(&["--plain", "127.0.0.1:0"])).await;
    let to: Vec<String> = (0..users).map(|n| format!("u{n}")).collect();
    for _ in 0..MESSAGES {
        let sent = json!({
            "domain": "demo", "toIds": to, "fromId": "news", "fromName": "News",
            "type": 10, "content": "x".repeat(CONTENT_BYTES),
        });
        let answer = server.post("/messages", PROJECT_TOKEN, sent).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    server
}

/// Asks for a large page, and reads no more of the answer than its status.
async fn unread(address: String, user: String, header: String) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /message-log?domain=demo&toId={user}&size=100 HTTP/1.1\r\nHost: localhost\r\n\
         {header}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    soon("an answer", stream.read_exact(&mut status))
        .await
        .unwrap();
    let status = String::from_utf8_lossy(&status[9..]).into_owned();
    (status, stream)
}

/// Readers of these users with their headers, in turn, who keep their answers; how many got which status.
async fn unread_by(
    server: &Server,
    users: &[(String, String)],
) -> (BTreeMap<String, usize>, Vec<TcpStream>) {
    let mut readers = JoinSet::new();
    for (user, header) in users.iter().cycle().take(READERS) {
        let address = server.plain.clone().unwrap();
        readers.spawn(unread(address, user.clone(), header.clone()));
    }
    let (mut statuses, mut kept) = (BTreeMap::new(), Vec::new());
    for (status, stream) in readers.join_all().await {
        *statuses.entry(status).or_default() += 1;
        kept.push(stream);
    }
    (statuses, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_answers_share_a_room_and_others_are_served() {
    let mut server = filled(USERS, Options::new()).await;
    let mut users = Vec::new();
    for n in 0..USERS {
        let user = format!("u{n}");
        let token = server.mint(&user, &[]).await;
        users.push((user, format!("Authorization: Bearer {token}")));
    }
    let other = server.add_domain("other").await;
    // It has served such an answer before.
    let (status, stream) = unread(
        server.plain.clone().unwrap(),
        users[0].0.clone(),
        users[0].1.clone(),
    )
    .await;
    assert_eq!(status, "200");
    drop(stream);
    server.forget_peak();
    let before = server.peak_kib();

    let (of_one, mut kept) = unread_by(&server, &users[..1]).await;
    assert_eq!(
        of_one.keys().collect::<Vec<_>>(),
        ["200", "429"],
        "{of_one:?}"
    );
    assert!(of_one["200"] <= FEW, "a few at a time: {of_one:?}");
    // Others are not held up by them.
    let (of_all, more) = unread_by(&server, &users[1..]).await;
    kept.extend(more);
    assert!(of_all["200"] > 20, "{of_all:?}");
    assert!(of_all["503"] > 20, "{of_all:?}");
    let metrics = server.get("/metrics", None).await.body;
    for (limit, refused) in [
        // Some of these users ask five times.
        (
            "history_answers_per_user",
            of_one["429"] + of_all.get("429").copied().unwrap_or_default(),
        ),
        ("history_answers", of_all["503"]),
    ] {
        let counted = format!("relaybox_limited_total{{limit=\"{limit}\"}} {refused}\n");
        assert!(metrics.contains(&counted), "no {counted}in {metrics}");
        server.says(&format!("limit=\"{limit}\"")).await;
    }
    // Nor is another domain by all of these.
    let target = "/message-log?domain=other&toId=u0";
    assert_eq!(server.get(target, Some(&other)).await.status, 200);
    let growth = server.peak_kib().saturating_sub(before);
    println!("{of_one:?}, {of_all:?}: {growth} KiB");
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");

    // Once they are gone there is room again.
    drop(kept);
    let (user, header) = &users[7];
    let target = format!("/message-log?domain=demo&toId={user}&size=100");
    let headers = header.split_once(": ").unwrap();
    until("there is room", || async {
        let answer = server.request("GET", &target, &[headers]).await;
        if answer.status != 200 {
            assert_eq!(answer.header("retry-after"), "1", "{}", answer.status);
            return None;
        }
        let page = answer.json();
        assert_eq!(page["list"].as_array().unwrap().len(), MESSAGES);
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_one_address_has_a_few_answers() {
    let open = Options::new().file("history_open = true\n");
    let server = filled(1, open.args(&["--trusted-proxies", "127.0.0.1"])).await;
    let of = |address: &str| vec![("u0".to_owned(), format!("X-Forwarded-For: {address}"))];
    let (of_one, kept) = unread_by(&server, &of("203.0.113.7")).await;
    assert!((4..=FEW).contains(&of_one["200"]), "{of_one:?}");
    assert_eq!(of_one["429"], READERS - of_one["200"], "{of_one:?}");
    let metrics = server.get("/metrics", None).await.body;
    let limit = "relaybox_limited_total{limit=\"history_answers_per_address\"}";
    assert!(metrics.contains(&format!("{limit} {}\n", of_one["429"])));
    let line = "limit=\"history_answers_per_address\" who=203.0.113.7 ";
    server.says(line).await;
    // Others are served, also from there by a token.
    let (of_other, more) = unread_by(&server, &of("203.0.113.8")).await;
    assert!((4..=FEW).contains(&of_other["200"]), "{of_other:?}");
    let header = format!("X-Forwarded-For: 203.0.113.7\r\nAuthorization: Bearer {PROJECT_TOKEN}");
    let by_token = unread(server.plain.clone().unwrap(), "u0".to_owned(), header);
    assert_eq!(by_token.await.0, "200");
    drop((kept, more));
}
