//! A real browser whose page is frozen, left, reloaded or killed in the middle of a burst: what a
//! Pong confirms and what the page itself does (PROTOCOL section 4).
//!
//! `u1` writes numbers to `u2`, whose resource `tab` is a page in Chromium. The page copies
//! each number to the user `ledger`, and has processed it once that is acknowledged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::chromium::{self, Browser};
use crate::harness::devtools::Page;
use crate::support::{Client, DEADLINE, Login, Options, Server, Way};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PAGE: &str = include_str!("browser/page.html");

const README: &str = include_str!("../../README.md");

/// Everybody's place: the server, who writes, and who keeps what was processed.
struct Scene {
    program: PathBuf,
    server: Server,
    token: String,
    author: Client,
    ledger: Client,
    /// The msgId of each number, from 1 on.
    ids: Vec<u64>,
    probes: usize,
}

impl Scene {
    /// Nothing where there is no browser.
    async fn new(options: Options) -> Option<Self> {
        let program = chromium::find()?;
        let mut server = Server::with(options).await;
        let token = server.mint("u2", &["--ttl", "1h"]).await;
        let author = server.user("u1").await;
        let ledger = server.user("ledger").await;
        Some(Self {
            program,
            server,
            token,
            author,
            ledger,
            ids: Vec::new(),
            probes: 0,
        })
    }

    /// A page that reports as this run, and the ones after it where it is loaded again; logged in.
    async fn page(&self, run: u64, login: Login, more: Value) -> Browser {
        let page = self.html(run, login, more);
        let browser = Browser::open(&self.program, &page);
        browser.says(&format!("run {run} is open")).await;
        browser
    }

    /// As [`Scene::page`], for run 1, with another page beside it at `/elsewhere`: only what comes over HTTP is
    /// kept in the back/forward cache.
    async fn page_of_a_site(&self, login: Login, more: Value) -> (Browser, Page) {
        let address = serve(self.html(1, login, more)).await;
        let (browser, devtools) = Browser::driven(&self.program);
        let page = devtools.open(&address).await;
        browser.says("run 1 is open").await;
        (browser, page)
    }

    fn html(&self, run: u64, login: Login, more: Value) -> String {
        let query = login.way(Way::Subprotocol).query();
        let mut config = json!({
            "run": run,
            "url": format!("wss://{}/ws?{query}", self.server.address),
            "token": self.token,
        });
        let more = more.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(more);
        PAGE.replace("{/* CONFIG */}", &config.to_string())
    }

    /// The next `count` numbers, stored when this returns.
    async fn write(&mut self, count: usize) {
        let numbers = self.ids.len() + 1..=self.ids.len() + count;
        for number in numbers.clone() {
            let frame = json!({"toId": "u2", "type": 10, "content": number,
                "clientMsgId": format!("number-{number}")});
            self.author.send(&frame).await;
        }
        for number in numbers {
            let ack = self.author.ack(&format!("number-{number}")).await;
            self.ids.push(ack["msgId"].as_u64().unwrap());
        }
    }

    fn newest(&self) -> u64 {
        *self.ids.last().unwrap()
    }

    /// The page's next report that `wanted` accepts.
    async fn report(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let report = self.ledger.message().await["content"].take();
            assert!(report["refused"].is_null(), "{report}");
            if wanted(&report) {
                return report;
            }
        }
    }

    /// Waits until this run has processed all that was written, and has said so.
    async fn processed(&mut self, run: u64) {
        let newest = self.newest();
        self.report(|r| r["run"] == run && r["idle"] == true && r["done"] == newest)
            .await;
    }

    /// Whether this resource has nothing of the numbers to get.
    async fn has_nothing_for(&mut self, resource: &str) -> bool {
        let login = Login::new("u2").resource(resource).receipts("manual");
        let mut probe = self.server.login(&login).await;
        let frame = json!({"toId": "u2", "toResource": resource, "type": 10, "content": "marker",
            "clientMsgId": format!("marker-{resource}")});
        self.author.send(&frame).await;
        self.author.ack(&format!("marker-{resource}")).await;
        let first = probe.message().await["content"].take();
        probe.rest().await;
        first == "marker"
    }

    /// Whether a resource of `u2` has confirmed every number: a new one starts behind it.
    async fn all_is_confirmed(&mut self) -> bool {
        self.probes += 1;
        let resource = format!("probe-{}", self.probes);
        self.has_nothing_for(&resource).await
    }

    /// Waits until all that was written is confirmed.
    async fn until_confirmed(&mut self) {
        let end = Instant::now() + DEADLINE;
        while !self.all_is_confirmed().await {
            assert!(Instant::now() < end, "not all is confirmed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// All that the ledger holds.
    async fn ledger(&self) -> Ledger {
        let mailbox = self.server.mailbox("ledger").await;
        Ledger(mailbox.iter().map(|m| m["content"].clone()).collect())
    }
}

/// The page's reports, in the order in which they were stored.
struct Ledger(Vec<Value>);

impl Ledger {
    /// The numbers that this run has copied.
    fn copies(&self, run: u64) -> Vec<u64> {
        let copies = self.of(run).filter_map(|report| report["copy"].as_u64());
        copies.collect()
    }

    /// Up to which number this run is known to have got and confirmed everything.
    fn confirmed(&self, run: u64, ids: &[u64]) -> usize {
        let done = self.of(run).filter_map(|report| report["done"].as_u64());
        let done = done.max().unwrap_or(0);
        ids.iter().filter(|id| **id <= done).count()
    }

    fn of(&self, run: u64) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |report| report["run"] == run)
    }

    /// Asserts that run 2 began where run 1 ended, or lower, though never at or below what run 1
    /// has confirmed, and that both took every number in order. Gives what each has copied.
    fn hand_over(&self, ids: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let (first, second) = (self.copies(1), self.copies(2));
        let last = first.last().copied().unwrap_or(0);
        assert_eq!(first, (1..=last).collect::<Vec<_>>(), "run 1");
        let begin = second.first().copied().unwrap_or(0);
        let to_the_end: Vec<_> = (begin..=ids.len() as u64).collect();
        assert_eq!(second, to_the_end, "run 2");
        assert!(begin <= last + 1, "lost between {last} and {begin}");
        let confirmed = self.confirmed(1, ids);
        assert!(begin > confirmed as u64, "{begin} again: confirmed");
        (first, second)
    }
}

/// Serves this page over HTTP at the address that it gives, and an empty one everywhere else.
async fn serve(page: String) -> String {
    let other = "<!doctype html><title>elsewhere</title>";
    let site = Router::new()
        .route("/", get(|| async { Html(page) }))
        .fallback(move || async move { Html(other) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, site).await });
    address
}

/// Follows a link.
async fn leave(page: &Page) {
    page.value("window.stayed = true; location.href = '/elsewhere'; 0")
        .await;
    page.until("location.pathname === '/elsewhere' && document.readyState === 'complete'")
        .await;
}

/// Goes back to the page as it was left.
async fn back(page: &Page) {
    page.value("history.back(); 0").await;
    page.until("location.pathname === '/' && window.stayed === true")
        .await;
}

fn tab() -> Login {
    Login::new("u2").resource("tab")
}

#[tokio::test]
async fn with_manual_receipts_a_frozen_page_that_is_killed_loses_nothing() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let manual = || tab().receipts("manual");
    let more = json!({"manual": true, "freezeAt": 100, "freezeMs": 3_600_000});
    let page = scene.page(1, manual(), more).await;
    scene.write(50).await;
    scene.processed(1).await;
    scene.write(150).await;
    scene.report(|r| r["frozen"] == 100).await;
    scene.write(100).await;
    page.kill();

    let _page = scene.page(2, manual(), json!({"manual": true})).await;
    scene.processed(2).await;
    let ledger = scene.ledger().await;
    let (first, second) = ledger.hand_over(&scene.ids);
    assert!(ledger.confirmed(1, &scene.ids) >= 50);
    assert!(first.len() < 100, "it was frozen at 100: {first:?}");
    assert!(second.len() > 200, "{second:?}");
    let offline = |report: &Value| report["copy"].is_null() || report["offline"] == true;
    assert!(ledger.of(2).all(offline), "all of it was stored before");
}

#[tokio::test]
async fn pongs_confirm_what_a_frozen_page_has_not_seen_and_after_brings_it_back() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let more = json!({"freezeAt": 100, "freezeMs": 3_600_000});
    let page = scene.page(1, tab(), more).await;
    scene.write(50).await;
    scene.processed(1).await;
    scene.write(150).await;
    scene.report(|r| r["frozen"] == 100).await;
    scene.write(100).await;
    // The browser answers Pings for a page that never runs again.
    scene.until_confirmed().await;
    page.kill();
    assert!(scene.has_nothing_for("tab").await);
    let seen = scene.ledger().await.copies(1).len();
    assert!((50..100).contains(&seen), "it was frozen at 100: {seen}");

    let after = tab().after(scene.ids[seen - 1]);
    let _page = scene.page(2, after, json!({})).await;
    scene.write(1).await;
    scene.processed(2).await;
    let (first, second) = scene.ledger().await.hand_over(&scene.ids);
    let all: Vec<_> = first.into_iter().chain(second).collect();
    assert_eq!(all, (1..=301).collect::<Vec<_>>(), "each of them once");
}

#[tokio::test]
async fn with_manual_receipts_a_page_killed_at_work_loses_nothing() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let manual = || tab().receipts("manual");
    let page = scene
        .page(1, manual(), json!({"manual": true, "workMs": 2}))
        .await;
    scene.write(50).await;
    scene.processed(1).await;
    scene.write(400).await;
    scene.report(|r| r["copy"] == 100).await;
    page.kill();
    scene.write(50).await;

    let _page = scene.page(2, manual(), json!({"manual": true})).await;
    scene.processed(2).await;
    let ledger = scene.ledger().await;
    let (first, second) = ledger.hand_over(&scene.ids);
    assert!(first.len() >= 100, "{first:?}");
    assert!(second.len() >= 50, "{second:?}");
    assert!(ledger.confirmed(1, &scene.ids) >= 50);
}

#[tokio::test]
async fn a_page_that_was_frozen_for_long_goes_on_where_it_was() {
    // Silent for two intervals after a Ping, and it would be closed with 1011.
    let options = Options::new().args(&["--ping-interval", "1500ms"]);
    let Some(mut scene) = Scene::new(options).await else {
        return;
    };
    let more = json!({"manual": true, "freezeAt": 100, "freezeMs": 6_000});
    let page = scene.page(1, tab().receipts("manual"), more).await;
    scene.write(200).await;
    scene.report(|r| r["frozen"] == 100).await;
    scene.write(100).await;
    scene.processed(1).await;
    let copies = scene.ledger().await.copies(1);
    assert_eq!(copies, (1..=300).collect::<Vec<_>>());
    page.kill();
    assert!(scene.has_nothing_for("tab").await, "it has confirmed all");
}

#[tokio::test]
async fn a_page_reloaded_at_work_asks_for_what_it_has_not_processed() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let _page = scene
        .page(1, tab(), json!({"resume": true, "reloadAt": 100}))
        .await;
    scene.write(50).await;
    scene.processed(1).await;
    scene.write(250).await;
    scene.processed(2).await;
    let ledger = scene.ledger().await;
    let (first, second) = ledger.hand_over(&scene.ids);
    assert!(first.len() < 100, "it was reloaded at 100: {first:?}");
    assert!(second.len() > 200, "{second:?}");
}

#[tokio::test]
async fn with_manual_receipts_a_page_in_the_back_forward_cache_loses_nothing() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let manual = tab().receipts("manual");
    let (_browser, page) = scene.page_of_a_site(manual, json!({"manual": true})).await;
    scene.write(50).await;
    scene.processed(1).await;
    leave(&page).await;
    scene.write(50).await;
    back(&page).await;
    scene.processed(1).await;
    assert!(scene.has_nothing_for("tab").await, "it has confirmed all");
    // In its first moments in the cache the page may have taken some, which then come again.
    let copies = BTreeSet::from_iter(scene.ledger().await.copies(1));
    assert_eq!(copies, (1..=100).collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn pongs_confirm_what_a_page_in_the_back_forward_cache_has_not_seen_and_after_brings_it_back()
{
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let (_browser, page) = scene.page_of_a_site(tab(), json!({"resume": true})).await;
    scene.write(50).await;
    scene.processed(1).await;
    leave(&page).await;
    scene.write(50).await;
    scene.until_confirmed().await;
    let seen = scene.ledger().await.copies(1).len();
    back(&page).await;
    scene.processed(1).await;
    let copies = scene.ledger().await.copies(1);
    assert!(seen < 100, "nothing was in the cache");
    let copies = BTreeSet::from_iter(copies);
    assert_eq!(copies, (1..=100).collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn the_web_page_of_the_readme_loses_nothing_when_its_user_goes_away_and_comes_back() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let (_, code) = README.split_once("```js\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let names = json!([scene.server.address, "demo", "u2", "tab", scene.token]);
    let address = serve(format!(
        "<!doctype html><script>const [HOST, domain, id, resource, token] = {names}; name = 'Bob'; \
         const handled = [], handle = (message) => handled.push(message.content);</script>\
         <script>{code}</script>"
    ))
    .await;
    let (_browser, devtools) = Browser::driven(&scene.program);
    let page = devtools.open(&address).await;
    scene.write(20).await;
    page.until("handled.length >= 20").await;
    leave(&page).await;
    scene.write(20).await;
    back(&page).await;
    scene.write(20).await;
    page.until("handled.length >= 60").await;
    let all: Vec<_> = (1..=60).collect();
    assert_eq!(page.value("handled").await, json!(all));
    scene.until_confirmed().await;
}

/// What `tests/it/history/open.rs` asks by hand, as a browser asks it.
#[tokio::test]
async fn no_page_of_another_origin_reads_a_history_that_is_open_without_a_token() {
    let Some(program) = chromium::find() else {
        return;
    };
    let options = Options::new().file("history_open = true\n");
    let server = Server::with(options.args(&["--plain", "127.0.0.1:0"])).await;
    server.user("u1").await.say_acked("box", "hello").await;
    let own = format!("http://{}", server.plain.as_ref().unwrap());
    let rebound = own.replace("127.0.0.1", "rebound.example");
    let foreign = serve(String::new()).await;
    let (_browser, devtools) = Browser::driven(&program);
    for (page, asked, is_read) in [
        (format!("{own}/healthz"), &own, true),
        (foreign, &own, false),
        (format!("{rebound}/healthz"), &rebound, false),
    ] {
        let opened = devtools.open(&page).await;
        let fetched = format!(
            "fetch('{asked}/message-log?domain=demo&toId=box').then(r => r.text(), () => 'nothing')"
        );
        let text = opened.value(&fetched).await;
        let text = text.as_str().unwrap();
        assert_eq!(text.contains("hello"), is_read, "{page}: {text}");
        // It is the server that says no to its own origin under another name.
        let is_named = asked == &rebound;
        assert_eq!(text.contains("setting `host`"), is_named, "{page}: {text}");
    }
}
