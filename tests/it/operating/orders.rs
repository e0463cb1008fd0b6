//! `relaybox stats`, `sessions` and `kick`.

use serde_json::Value;

use crate::support::{DEMO, Login, Options, Server, until};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn sessions_are_listed_for_people_and_for_scripts() {
    let mut server = Server::start().await;
    let shop = server.add_domain("shop").await;
    let _web = server.user("u1").await;
    let _phone = server.login(&Login::new("u1").resource("phone")).await;
    let _seller = server
        .login(&Login::new("tab\u{a0}x").domain("shop").token(&shop))
        .await;
    let table = server.cli(&["sessions"]).await;
    let mut lines = table.lines();
    let head: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    let names = [
        "DOMAIN",
        "ID",
        "RESOURCE",
        "SINCE",
        "ADDRESS",
        "STATE",
        "UNCONFIRMED",
    ];
    assert_eq!(head, names);
    let rows: Vec<Vec<_>> = lines
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][..3], ["demo", "u1", "phone"]);
    assert_eq!(rows[0][4..6], ["127.0.0.1", "live"]);

    let list = async |more: &[&str]| {
        let args = [&["sessions", "--json"], more].concat();
        json(&server.cli(&args).await)
    };
    assert_eq!(list(&[]).await["total"], 3);
    assert_eq!(
        list(&["--domain", "shop"]).await["list"][0]["id"],
        "tab\u{a0}x"
    );
    let mine = list(&["--domain", DEMO, "--id", "u1"]).await;
    let resources: Vec<_> = mine["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["resource"])
        .collect();
    assert_eq!(resources, ["phone", "web"]);
    let since = mine["list"][0]["since"].as_u64().unwrap();
    assert!(since > 1_700_000_000_000, "{since} is in milliseconds");
    assert_eq!(list(&["--id", "nobody"]).await["total"], 0);
}

#[tokio::test]
async fn a_kick_ends_sessions_for_good_and_no_others() {
    let server = Server::start().await;
    let mut web = server.user("u1").await;
    let mut phone = server.login(&Login::new("u1").resource("phone")).await;
    let mut other = server.user("u2").await;
    let kick = ["kick", "--domain", DEMO, "--id", "u1"];
    let said = server
        .cli(&[&kick[..], &["--resource", "web"]].concat())
        .await;
    assert_eq!(said, "1 session was ended");
    assert_eq!(web.closed(4410).await, "ended by the operator");
    phone.ready().await;
    let said = server.cli(&[&kick[..], &["--json"]].concat()).await;
    assert_eq!(json(&said)["sessions"], 1);
    phone.closed(4410).await;
    other.ready().await;
    until("nobody of that name", || async {
        let outcome = server.home.cli(&kick).await;
        (outcome.code == Some(1)).then_some(())
    })
    .await;
    let outcome = server.home.cli(&kick).await;
    outcome.failure(1, &["no such session"]);
    // It may log in again: its token is as good as before.
    server.user("u1").await;
}

#[tokio::test]
async fn stats_count_and_say_how_it_is() {
    let server = Server::start().await;
    let mut user = server.user("u1").await;
    for _ in 0..5 {
        user.say_acked("u2", "hello").await;
    }
    let stats = json(&server.cli(&["stats", "--json"]).await);
    assert_eq!(stats["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        (&stats["sessions"], &stats["logins"]),
        (&1.into(), &1.into())
    );
    assert_eq!(stats["messagesIn"], 5);
    assert_eq!(stats["notWritable"], Value::Null);
    for name in [
        "commits",
        "commitUs",
        "journalBytes",
        "freeBytes",
        "memoryBytes",
        "startedAt",
    ] {
        assert!(
            stats[name].as_u64().is_some_and(|number| number > 0),
            "{name}: {stats}"
        );
    }
    let table = server.cli(&["stats"]).await;
    for words in [
        "storage      writable",
        "messages     5 in",
        "logins       1 admitted, 0 refused",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
}

#[tokio::test]
async fn ended_sessions_say_when_why_and_by_whom() {
    let options = Options::new().args(&["--log", "debug", "--log-format", "json"]);
    let mut server = Server::with(options).await;
    let token = server.mint("expiring", &["--ttl", "2s"]).await;
    let mut expiring = server.login(&Login::new("expiring").token(&token)).await;
    server.user("leaving").await.close().await;
    drop(server.user("lost").await);
    let mut kicked = server.user("kicked").await;
    server
        .cli(&["kick", "--domain", DEMO, "--id", "kicked"])
        .await;
    kicked.closed(4410).await;
    let mut older = server.user("replaced").await;
    let _newer = server.user("replaced").await;
    older.closed(4409).await;
    expiring.closed(4401).await;
    let _here = server.user("here").await;

    let ended = async |more: &[&str]| {
        let args = [&["sessions", "--ended", "--json"], more].concat();
        json(&server.cli(&args).await)["list"].clone()
    };
    until("the lost one", || async {
        (!ended(&["--id", "lost"]).await[0].is_null()).then_some(())
    })
    .await;
    for (id, code, by, words) in [
        ("leaving", 1000, "client", "closed by the client"),
        ("lost", 1006, "client", "the connection was lost"),
        ("kicked", 4410, "server", "ended by the operator"),
        ("replaced", 4409, "server", "replaced by a newer login"),
        ("expiring", 4401, "server", "the token has expired"),
    ] {
        let list = ended(&["--domain", DEMO, "--id", id]).await;
        let one = &list[0];
        assert!(list[1].is_null(), "{list}");
        assert_eq!(
            (&one["code"], &one["by"]),
            (&code.into(), &by.into()),
            "{id}"
        );
        assert!(one["reason"].as_str().unwrap().contains(words), "{one}");
        let (since, until) = (
            one["since"].as_u64().unwrap(),
            one["until"].as_u64().unwrap(),
        );
        assert!(1_700_000_000_000 < since && since <= until, "{one}");
        let table = server.cli(&["sessions", "--ended", "--id", id]).await;
        for words in ["UNTIL", &code.to_string(), by, words, "127.0.0.1"] {
            assert!(table.contains(words), "{words}: {table}");
        }
    }
    assert_eq!(ended(&["--id", "here"]).await, Value::Array(Vec::new()));
    assert_eq!(ended(&["--domain", "shop"]).await, Value::Array(Vec::new()));

    // The log says it without naming the user.
    let log = server.stderr();
    for (code, by) in [(1000, "client"), (1006, "client"), (4410, "server")] {
        let says = |line: &Value| {
            line["message"] == "a session ends"
                && line["code"] == code
                && line["by"] == by
                && line["domain"] == DEMO
        };
        assert!(
            log.lines().map(json).any(|line| says(&line)),
            "{code}: {log}"
        );
    }
}

#[tokio::test]
async fn without_a_server_each_says_so() {
    let mut server = Server::start().await;
    server.stop().await;
    let kick = ["kick", "--domain", "demo", "--id", "u"];
    for args in [
        &["stats"][..],
        &["sessions"],
        &["sessions", "--ended"],
        &kick,
    ] {
        let outcome = server.home.cli(args).await;
        outcome.failure(
            1,
            &["no server runs on the data directory", "RELAYBOX_DATA"],
        );
    }
    server.spawn().await;
    for (args, words) in [
        (&["kick", "--domain", "demo"][..], "--id"),
        (
            &["kick", "--domain", "demo", "--id", ""],
            "an id must not be empty",
        ),
        (
            &["sessions", "--domain", ""],
            "a domain's name must not be empty",
        ),
    ] {
        server.home.cli(args).await.failure(2, &[words]);
    }
}

#[tokio::test]
async fn a_setting_that_is_wrong_keeps_nobody_from_a_running_server() {
    let server = Server::start().await;
    server
        .home
        .write("data/relaybox.toml", "sends_per_user = 12");
    server.cli(&["stats"]).await;
    server.cli(&["sessions"]).await;
    server.cli(&["domain", "list"]).await;
    server
        .cli(&["token", "--domain", DEMO, "--id", "u1"])
        .await
        .split('.')
        .nth(2)
        .unwrap();
    let copy = server.home.path("copy");
    server.cli(&["backup", copy.to_str().unwrap()]).await;
    server.cli(&["check"]).await;
}

#[tokio::test]
async fn what_was_rotated_away_stays_so_over_a_reload() {
    let server = Server::start().await;
    server.cli(&["domain", "rotate", DEMO]).await;
    server.refused(&Login::new("u1"), 4401).await;
    server.signal(rustix::process::Signal::HUP);
    until("the reload", || async {
        server
            .stderr()
            .contains("the settings have been read again")
            .then_some(())
    })
    .await;
    server.refused(&Login::new("u1"), 4401).await;
}
