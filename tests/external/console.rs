//! The web console in a real browser (PROTOCOL.md section 8), and how its assets are served.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::chromium::{self, Browser};
use crate::harness::devtools::{Devtools, Page};
use crate::support::proxy::Proxy;
use crate::support::random::Random;
use crate::support::{DEADLINE, Login, Options, PROJECT_TOKEN, Server};
use serde_json::json;

/// All of the assets, in bytes.
const ASSETS_BYTES_MAX: usize = 41 * 1024;

/// What a page may do; everything else it may not.
const POLICY: [&str; 8] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'none'",
];

/// A server and a browser.
struct Scene {
    server: Server,
    browser: Browser,
    devtools: Devtools,
}

impl Scene {
    /// Nothing where there is no browser.
    async fn new(options: Options) -> Option<Self> {
        let program = chromium::find()?;
        let server = Server::with(options).await;
        let (browser, devtools) = Browser::driven(&program);
        Some(Self {
            server,
            browser,
            devtools,
        })
    }

    async fn page(&self) -> Page {
        let address = format!("https://{}/", self.server.address);
        self.devtools.open(&address).await
    }

    async fn logged_in(&self, id: &str, name: &str) -> Page {
        let page = self.page().await;
        log_in(&page, id, name, PROJECT_TOKEN).await;
        connected(&page).await;
        page
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let console = self.browser.console();
            for complaint in ["Content Security Policy", "Uncaught", "TrustedHTML"] {
                assert!(!console.contains(complaint), "{console}");
            }
        }
    }
}

async fn log_in(page: &Page, id: &str, name: &str, token: &str) {
    for (field, text) in [("id", id), ("name", name), ("token", token)] {
        page.fill(&format!("#login [name={field}]"), text).await;
    }
    page.enter().await;
}

async fn connected(page: &Page) {
    page.until("document.querySelector('#phase').innerText === 'Connected'")
        .await;
}

async fn say(page: &Page, to: &str, content: &str) {
    page.fill("#send [name=toId]", to).await;
    page.fill("#send [name=content]", content).await;
    page.enter().await;
}

/// Waits until an element has these words in it.
async fn shows(page: &Page, selector: &str, words: &str) {
    let (selector, words) = (json!(selector), json!(words));
    page.until(&format!(
        "Boolean(document.querySelector({selector})?.innerText.includes({words}))"
    ))
    .await;
}

/// Waits until a list has so many messages; the contents of those that came, as texts.
async fn contents(page: &Page, list: &str, count: usize) -> Vec<String> {
    let texts = format!(
        "[...document.querySelectorAll('{list} .message:not(.own) .content')].map(c => c.innerText)"
    );
    page.until(&format!("{texts}.length >= {count}")).await;
    serde_json::from_value(page.value(&texts).await).unwrap()
}

fn numbers(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Keeps the addresses of the page's sockets, and its timers that have yet to fire.
async fn keep_attempts(page: &Page) {
    page.value(
        "window.sockets = []; \
         WebSocket = class extends WebSocket { constructor(...all) { super(...all); sockets.push(String(all[0])); } }; \
         window.timers = new Set(); \
         const [set, clear] = [setTimeout, clearTimeout]; \
         setTimeout = (action, ms) => { \
           const timer = set(() => { timers.delete(timer); action(); }, ms); \
           timers.add(timer); return timer; }; \
         clearTimeout = (timer) => { timers.delete(timer); clear(timer); }; 0",
    )
    .await;
}

#[tokio::test]
async fn the_assets_are_served_with_a_strict_policy_and_are_asked_for_again() {
    let server = Server::start().await;
    let mut todo: Vec<String> = vec!["/".into()];
    let mut found = BTreeSet::new();
    let mut bytes = 0;
    while let Some(path) = todo.pop() {
        if !found.insert(path.clone()) {
            continue;
        }
        let answer = server.get(&path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        bytes += answer.body.len();
        let expected = match path.rsplit_once('.').map_or("html", |(_, kind)| kind) {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "js" => "text/javascript; charset=utf-8",
            other => panic!("{other}"),
        };
        assert_eq!(answer.header("content-type"), expected);
        let policy: Vec<_> = answer
            .header("content-security-policy")
            .split("; ")
            .collect();
        for rule in POLICY {
            assert!(policy.contains(&rule), "{path} lacks {rule}: {policy:?}");
        }
        assert!(!policy.iter().any(|rule| rule.contains("unsafe")));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-cache");

        let tag = answer.header("etag").to_owned();
        let (weak, list) = (format!("W/{tag}"), format!("\"other\", {tag}"));
        let other = [
            (tag.as_str(), 304),
            (&weak, 304),
            (&list, 304),
            ("*", 304),
            ("\"other\"", 200),
        ];
        for (known, status) in other {
            let again = server
                .request("GET", &path, &[("if-none-match", known)])
                .await;
            assert_eq!(again.status, status, "{path} {known}");
            assert_eq!(again.header("etag"), tag);
            assert_eq!(again.body.is_empty(), status == 304);
        }
        let head = server.request("HEAD", &path, &[]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
        assert_eq!(head.header("etag"), tag);
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let refused = server.request(method, &path, &[]).await;
            refused.problem(405);
            assert_eq!(refused.header("allow"), "GET,HEAD", "{method} {path}");
        }

        assert!(!answer.body.contains(" style=\""), "{path}");
        assert!(!answer.body.contains(" onclick=\""), "{path}");
        // What the page and its modules refer to.
        let page = answer
            .body
            .split('"')
            .filter(|word| word.starts_with("console/"));
        todo.extend(page.map(|word| format!("/{word}")));
        let modules = answer
            .body
            .split('"')
            .filter_map(|word| word.strip_prefix("./"));
        todo.extend(modules.map(|word| format!("/console/{word}")));
    }
    assert_eq!(found.len(), 9, "{found:?}");
    assert!(bytes < ASSETS_BYTES_MAX, "{bytes}");
    server.get("/console/other.js", None).await.problem(404);
}

#[tokio::test]
async fn two_users_write_to_each_other_and_nothing_is_taken_for_html() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let evil = "<img src=x onerror='hacked = true'><script>hacked = true</script>";
    let bob_token = scene.server.mint("u2", &["--ttl", "1h"]).await;
    let alice = scene.logged_in("u1", evil).await;
    let bob = scene.page().await;
    keep_attempts(&bob).await;
    log_in(&bob, "u2", "Bob", &bob_token).await;
    connected(&bob).await;

    say(&alice, "u2", evil).await;
    shows(&alice, "#log .own", "✓ stored").await;
    assert_eq!(contents(&bob, "#log", 1).await, [evil]);
    assert_eq!(bob.text("#log .who").await, evil);
    assert_eq!(bob.text("#log .ids").await, "u1/console");
    bob.click("#log summary").await;
    shows(&bob, "#log pre", "hacked").await;
    assert_eq!(
        bob.value("document.querySelectorAll('#log img, #log script').length")
            .await,
        0
    );
    assert_eq!(bob.value("typeof hacked").await, "undefined");
    assert_eq!(alice.value("typeof hacked").await, "undefined");

    // JSON, byte for byte, also where a browser would round it.
    bob.click("#log .reply").await;
    bob.click("#send summary").await;
    bob.click("#send [value=json]").await;
    let odd = r#"{"n": 1.50, "big": 12345678901234567890}"#;
    bob.fill("#send [name=clientMsgId]", "mine-1").await;
    bob.fill("#send [name=content]", odd).await;
    bob.click("#send .primary").await;
    shows(&bob, "#log .own", "✓ stored · mine-1").await;
    assert!(contents(&alice, "#log", 1).await[0].contains(r#""big": 12345678901234567890"#));
    let log = scene
        .server
        .get("/message-log?domain=demo&toId=u1", Some(PROJECT_TOKEN))
        .await;
    assert!(log.body.contains(odd), "{}", log.body);

    // A repeat of the same clientMsgId is told apart, and comes once.
    bob.fill("#send [name=clientMsgId]", "mine-1").await;
    bob.fill("#send [name=content]", "{}").await;
    bob.click("#send .primary").await;
    shows(&bob, "#log .own:last-child", "✓ stored before · mine-1").await;
    // What the page itself can see to be wrong.
    bob.fill("#send [name=content]", "{").await;
    bob.click("#send .primary").await;
    shows(&bob, "#send-error", "not JSON").await;
    // What the server refuses, in its words; the text comes back to be changed.
    bob.click("#send [value=text]").await;
    bob.choose("#send [name=type]", "100").await;
    say(&bob, "u1", "from the system?").await;
    shows(&bob, "#log .failed", "`type` 100 needs a project token").await;
    let content = "document.querySelector('#send [name=content]').value";
    assert_eq!(bob.value(content).await, "from the system?");
    assert_eq!(scene.server.mailbox("u1").await.len(), 1);

    // The token is nowhere but in memory.
    let places = "JSON.stringify([sockets, location.href, performance.getEntries().map(e => e.name), \
                  {...sessionStorage}, {...localStorage}, document.cookie, \
                  [...document.querySelectorAll('input')].map(i => i.value)])";
    let places = bob.value(places).await.as_str().unwrap().to_owned();
    assert!(!places.contains(&bob_token), "{places}");
    assert!(places.contains("/ws?"), "{places}");
    assert!(places.contains("&receipts=manual"), "{places}");
}

#[tokio::test]
async fn a_mailbox_is_paged_to_its_end() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let mut author = scene.server.user("author").await;
    for number in 1..=60 {
        author.say_acked("u2", &number.to_string()).await;
    }
    let token = scene.server.mint("u1", &["--ttl", "1h"]).await;
    let page = scene.logged_in("u1", "Alice").await;
    // The window is narrow: one view at a time.
    page.click(".views [value=history]").await;
    page.fill("#look [name=toId]", "u2").await;
    page.enter().await;
    shows(&page, "#look-count", "25 of 60").await;
    // What arrives meanwhile shifts nothing.
    author.say_acked("u2", "61").await;
    page.click("#older").await;
    shows(&page, "#look-count", "50 of 60").await;
    page.click("#older").await;
    shows(&page, "#look-count", "60 of 60").await;
    let mut expected = numbers(1..=60);
    expected.reverse();
    assert_eq!(contents(&page, "#pages", 60).await, expected);
    assert_eq!(
        page.value("document.querySelector('#older').hidden").await,
        true
    );

    page.choose("#look [name=whose]", "with").await;
    page.fill("#look [name=other]", "author").await;
    page.enter().await;
    shows(&page, "#look-count", "25 of 61").await;
    page.choose("#look [name=whose]", "fromId").await;
    page.fill("#look [name=other]", "nobody").await;
    page.enter().await;
    shows(&page, "#look-count", "There is no message.").await;

    page.click("#logout").await;
    log_in(&page, "u1", "Alice", &token).await;
    connected(&page).await;
    page.fill("#look [name=toId]", "u2").await;
    page.enter().await;
    shows(&page, "#look-error", "403: a user token reads only where").await;
}

#[tokio::test]
async fn a_refused_login_is_said_in_words_and_not_tried_again() {
    let Some(scene) = Scene::new(Options::new()).await else {
        return;
    };
    let page = scene.page().await;
    keep_attempts(&page).await;
    log_in(&page, "u1", "Alice", "wrong").await;
    shows(&page, "#login-error", "The token was not accepted").await;
    shows(
        &page,
        "#login-error",
        "(4401: the token or the domain is unknown)",
    )
    .await;
    // Nor is it when the network changes.
    page.value("dispatchEvent(new Event('online'))").await;
    assert_eq!(
        page.value("[sockets.length, timers.size]").await,
        json!([1, 0])
    );
    assert_eq!(page.value("document.activeElement.name").await, "token");

    log_in(&page, "system", "Alice", PROJECT_TOKEN).await;
    shows(&page, "#login-error", "`id` must not be `system`").await;
    assert_eq!(page.value("document.activeElement.name").await, "id");
    log_in(&page, "u1", "Alice", "not a token of HTTP").await;
    shows(&page, "#login-error", "A browser cannot send this token").await;
    assert_eq!(
        page.value("[sockets.length, timers.size]").await,
        json!([2, 0])
    );

    // The line that the first start prints.
    let url = format!(
        "wss://localhost:8443/ws?id=u7&name=Al+Ice&domain=demo&resource=web&token={PROJECT_TOKEN}"
    );
    page.fill("#login [name=token]", &url).await;
    page.enter().await;
    connected(&page).await;
    shows(&page, "#detail", "Al Ice (u7) · web · demo").await;

    // A newer login of the same resource takes its place, until its user wants it back.
    let mut newer = scene.server.login(&Login::new("u7").resource("web")).await;
    shows(&page, "#lost", "has logged in elsewhere").await;
    page.value("dispatchEvent(new Event('online'))").await;
    assert_eq!(
        page.value("[sockets.length, timers.size]").await,
        json!([3, 0])
    );
    page.click("#again").await;
    newer.closed(4409).await;
    connected(&page).await;
}

#[tokio::test]
async fn a_refusal_that_passes_is_tried_again_and_the_pause_is_the_servers() {
    let options = Options::new().args(&["--sessions-per-user-max", "1"]);
    let Some(scene) = Scene::new(options).await else {
        return;
    };
    let first = scene.server.user("u1").await;
    let page = scene.page().await;
    log_in(&page, "u1", "Alice", PROJECT_TOKEN).await;
    shows(&page, "#login-error", "too many sessions").await;
    first.close().await;
    connected(&page).await;

    let pauses = "import('/console/session.js').then(({ pauseMs }) => [[0, ''], [3, ''], [99, ''], \
                  [0, 'retry in 7000 ms: busy'], [0, 'retry in 99999999999 ms']] \
                  .map(([attempt, reason]) => pauseMs(attempt, reason)))";
    let bounds = [
        (250, 500),
        (2000, 4000),
        (15_000, 30_000),
        (7000, 8400),
        (3_600_000, 4_320_000),
    ];
    for _ in 0..20 {
        let pauses: Vec<f64> = serde_json::from_value(page.value(pauses).await).unwrap();
        for (pause, (least, most)) in pauses.into_iter().zip(bounds) {
            assert!(
                (f64::from(least)..=f64::from(most)).contains(&pause),
                "{pause}"
            );
        }
    }
}

#[tokio::test]
async fn after_a_restart_it_comes_back_and_has_missed_and_repeated_nothing() {
    let Some(mut scene) = Scene::new(Options::new()).await else {
        return;
    };
    let proxy = Proxy::to(&scene.server.address, Random::new(1)).await;
    let page = scene
        .devtools
        .open(&format!("https://{}/", proxy.address))
        .await;
    log_in(&page, "u2", "Bob", PROJECT_TOKEN).await;
    connected(&page).await;
    // Its receipts are lost: only `after` says what it has.
    let mute = "const { send } = WebSocket.prototype; window.isMute = true; \
                WebSocket.prototype.send = function (text) { \
                  if (!isMute || !text.startsWith('{\"received')) send.call(this, text); }; 0";
    page.value(mute).await;
    let mut author = scene.server.user("author").await;
    for number in 1..=5 {
        author.say_acked("u2", &number.to_string()).await;
    }
    contents(&page, "#log", 5).await;
    author.close().await;

    // The next attempt soon has another reason to give.
    let listen = "const words = document.querySelector('#lost-words'); window.reasons = []; \
                  new MutationObserver(() => reasons.push(words.innerText)) \
                  .observe(words, {childList: true}); 0";
    page.value(listen).await;
    scene.server.stop().await;
    page.until(
        "reasons.includes('The server is shutting down. (1001: the server is shutting down)')",
    )
    .await;
    say(&page, "u1", "written while nobody was there").await;
    shows(&page, "#log .own", "… sending").await;
    // A message before the page finds its way.
    scene.server.spawn().await;
    let mut author = scene.server.user("author").await;
    for number in 6..=9 {
        author.say_acked("u2", &number.to_string()).await;
    }
    proxy.retarget(&scene.server.address);
    shows(&page, "#log .own", "✓ stored").await;
    author.say_acked("u2", "10").await;
    contents(&page, "#log", 10).await;

    // The same without a word: the connection is cut.
    keep_attempts(&page).await;
    proxy.set_calm(false);
    proxy.set_calm(true);
    page.until("sockets.length > 0").await;
    author.say_acked("u2", "11").await;
    connected(&page).await;
    page.value("isMute = false; 0").await;
    author.say_acked("u2", "12").await;
    assert_eq!(contents(&page, "#log", 12).await, numbers(1..=12));
    let away = "[...document.querySelectorAll('#log .message:not(.own)')] \
                .filter(m => !m.querySelector('.away').hidden).map(m => m.querySelector('.content').innerText)";
    let away: Vec<String> = serde_json::from_value(page.value(away).await).unwrap();
    assert!(away.starts_with(&numbers(6..=9)), "{away:?}");
    assert_eq!(scene.server.mailbox("u1").await.len(), 1);

    // All of it is confirmed: whoever takes the page's place gets what is new only.
    let login = Login::new("u2").resource("console");
    let mut next = scene.server.login(&login).await;
    author.say_acked("u2", "13").await;
    assert_eq!(next.message().await["content"], "13");
}

/// Holds back what the page would draw, as a tab does that nobody looks at.
async fn hide(page: &Page) {
    page.value("window.held = []; requestAnimationFrame = (draw) => held.push(draw); 0")
        .await;
}

/// Draws what was held back, and all that comes from now on.
async fn unhide(page: &Page) {
    page.value("requestAnimationFrame = (draw) => setTimeout(draw); held.pop()(); 0")
        .await;
}

/// Waits until the server has taken all that the page has sent so far.
async fn settled(page: &Page, words: &str) {
    say(page, "u1", words).await;
    shows(page, "#log .own:last-child", words).await;
    shows(page, "#log .own:last-child", "✓ stored").await;
}

#[tokio::test]
async fn what_is_received_is_what_was_shown_whoever_else_logs_in() {
    let Some(scene) = Scene::new(Options::new()).await else {
        return;
    };
    let login = Login::new("u2").resource("console").receipts("manual");
    let page = scene.logged_in("u2", "Bob").await;
    let mut author = scene.server.user("author").await;
    author.say_acked("u2", "1").await;
    contents(&page, "#log", 1).await;

    // Come, and not shown: not received.
    hide(&page).await;
    author.say_acked("u2", "2").await;
    page.until("held.length === 1").await;
    settled(&page, "one").await;
    let mut other = scene.server.login(&login).await;
    let message = other.message().await;
    assert_eq!(
        (&message["content"], &message["offline"]),
        (&json!("2"), &json!(true))
    );
    shows(&page, "#lost", "4409").await;
    assert_eq!(contents(&page, "#log", 1).await, ["1"]);

    // It comes again to a page that has it already.
    page.click("#again").await;
    connected(&page).await;
    unhide(&page).await;
    author.say_acked("u2", "3").await;
    assert_eq!(contents(&page, "#log", 3).await, numbers(1..=3));

    // Shown while there is no connection: received once there is one.
    hide(&page).await;
    author.say_acked("u2", "4").await;
    page.until("held.length === 1").await;
    let mut other = scene.server.login(&login).await;
    shows(&page, "#lost", "4409").await;
    unhide(&page).await;
    assert_eq!(contents(&page, "#log", 4).await, numbers(1..=4));
    page.click("#again").await;
    other.closed(4409).await;
    connected(&page).await;
    settled(&page, "two").await;
    let mut other = scene.server.login(&login).await;
    let id = author.say_acked("u2", "5").await;
    assert_eq!(other.message().await["content"], "5");

    // What another one has received in its place comes here, too.
    other.send(&json!({"received": id})).await;
    other.ready().await;
    page.click("#again").await;
    connected(&page).await;
    assert_eq!(contents(&page, "#log", 5).await, numbers(1..=5));
}

#[tokio::test]
async fn it_works_without_tls() {
    let Some(scene) = Scene::new(Options::new().args(&["--plain", "127.0.0.1:0"])).await else {
        return;
    };
    let address = format!("http://{}/", scene.server.plain.as_ref().unwrap());
    let page = scene.devtools.open(&address).await;
    log_in(&page, "u1", "Alice", PROJECT_TOKEN).await;
    connected(&page).await;
    say(&page, "u1", "to myself").await;
    assert_eq!(contents(&page, "#log", 1).await, ["to myself"]);
}

#[tokio::test]
async fn a_reload_keeps_the_login_where_its_user_has_said_so() {
    let Some(scene) = Scene::new(Options::new()).await else {
        return;
    };
    let page = scene.page().await;
    page.choose("#login [name=keep]", "").await;
    log_in(&page, "u1", "Alice", PROJECT_TOKEN).await;
    connected(&page).await;
    page.value("window.isOld = true; location.reload()").await;
    page.until("typeof isOld === 'undefined' && document.querySelector('#phase')?.innerText === 'Connected'")
        .await;
    page.click("#logout").await;
    page.value("window.isOld = true; location.reload()").await;
    page.until("typeof isOld === 'undefined' && document.readyState === 'complete'")
        .await;
    assert_eq!(page.text("#phase").await, "Not logged in");
    assert_eq!(page.value("sessionStorage.length").await, 0);
}

/// Waits until the user is online, or is not.
async fn until_online(server: &Server, id: &str, online: bool) {
    let target = format!("/presence?domain=demo&id={id}");
    let end = Instant::now() + DEADLINE;
    while server.get(&target, Some(PROJECT_TOKEN)).await.json()["online"] != online {
        assert!(Instant::now() < end, "{id} is not online={online}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_follows_a_link_is_offline_and_has_missed_nothing_when_back() {
    let Some(scene) = Scene::new(Options::new().args(&["--plain", "127.0.0.1:0"])).await else {
        return;
    };
    let address = format!("http://{}/", scene.server.plain.as_ref().unwrap());
    let page = scene.devtools.open(&address).await;
    log_in(&page, "u2", "Bob", PROJECT_TOKEN).await;
    connected(&page).await;
    let mut author = scene.server.user("author").await;
    author.say_acked("u2", "1").await;
    contents(&page, "#log", 1).await;

    page.value("window.stayed = true; location.href = '/healthz'; 0")
        .await;
    page.until("location.pathname === '/healthz'").await;
    until_online(&scene.server, "u2", false).await;
    for content in ["2", "3"] {
        author.say_acked("u2", content).await;
    }
    page.value("history.back(); 0").await;
    page.until("location.pathname === '/' && window.stayed === true")
        .await;
    assert_eq!(contents(&page, "#log", 3).await, numbers(1..=3));
    connected(&page).await;
    until_online(&scene.server, "u2", true).await;

    // Who has logged out stays so.
    page.click("#logout").await;
    page.value("location.href = '/healthz'; 0").await;
    page.until("location.pathname === '/healthz'").await;
    page.value("history.back(); 0").await;
    page.until("location.pathname === '/' && window.stayed === true")
        .await;
    assert_eq!(page.text("#phase").await, "Not logged in");
}
