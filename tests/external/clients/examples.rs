//! The three clients of examples/clients, each of which writes to another of its kind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::backend::{Backend, Tokens};
use super::program::{PATIENCE, Program};
use super::tools;
use crate::harness::chromium::{self, Browser};
use crate::harness::devtools::{Devtools, Page};
use crate::support::proxy::Proxy;
use crate::support::random::Random;
use crate::support::{DEMO, Home, Server, until_within};
use serde_json::json;

/// Messages of a burst, in the midst of which the server is killed.
const BURST: usize = 60;

/// How often it is killed while messages are on their way.
const KILLS: usize = 2;

/// A burst may be through before the kill; no machine is that fast so many times.
const BURSTS_MAX: usize = 20;

/// Where a kind of client comes from.
enum Kind {
    /// The browser lives as long as this.
    Page {
        _browser: Browser,
        devtools: Devtools,
    },
    Python(std::path::PathBuf),
    Node(std::path::PathBuf),
}

impl Kind {
    fn page() -> Option<Self> {
        let (_browser, devtools) = Browser::driven(&chromium::find()?);
        Some(Self::Page { _browser, devtools })
    }

    fn python() -> Option<Self> {
        Some(Self::Python(tools::python()?))
    }

    /// Its program has to lie beside its packages.
    fn node(home: &Home) -> Option<Self> {
        let (node, modules) = tools::node()?;
        symlink(modules, home.path("node_modules")).unwrap();
        home.write("client.mjs", example("client.mjs"));
        Some(Self::Node(node))
    }

    async fn start(&self, scene: &Scene, id: &str) -> App {
        let mut command = match self {
            Self::Page { devtools, .. } => {
                let address = format!("{}/{id}/", scene.backend.address);
                return App::Page(devtools.open(&address).await);
            }
            Self::Python(python) => {
                let mut command = Command::new(python);
                command.arg(path("client.py"));
                command
            }
            Self::Node(node) => {
                let mut command = Command::new(node);
                command.arg(scene.server.home.path("client.mjs"));
                command
            }
        };
        let ca = scene.server.home.ca();
        command.env("SSL_CERT_FILE", &ca);
        command.env("NODE_EXTRA_CA_CERTS", &ca);
        command.env("LOGIN_URL", format!("{}/{id}/login", scene.backend.address));
        App::Program(Program::start(command))
    }
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/clients")
        .join(name)
}

fn example(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// A client that runs.
enum App {
    Page(Page),
    Program(Program),
}

impl App {
    async fn write(&mut self, to: &str, text: &str) {
        match self {
            Self::Program(program) => program.tell(&format!("{to} {text}")),
            Self::Page(page) => {
                let (to, text) = (json!(to), json!(text));
                let script = format!(
                    "form.elements.to.value = {to}; form.elements.text.value = {text}; \
                     form.requestSubmit()"
                );
                page.value(&script).await;
            }
        }
    }

    /// All messages, as its user sees them.
    async fn shown(&self) -> Vec<String> {
        match self {
            Self::Program(program) => program.stdout(),
            Self::Page(page) => {
                let shown = page.value("[...list.children].map((item) => item.innerText)");
                serde_json::from_value(shown.await).unwrap()
            }
        }
    }

    async fn shows(&self, count: usize) -> Vec<String> {
        until_within(
            PATIENCE,
            &format!("{count} messages are shown"),
            async || {
                let shown = self.shown().await;
                (shown.len() >= count).then_some(shown)
            },
        )
        .await
    }

    /// Waits until it says that it has ended for this code.
    async fn gives_up(&mut self, code: &str) {
        match self {
            Self::Page(page) => {
                page.until(&format!("state.value.startsWith('{code} ')"))
                    .await
            }
            Self::Program(program) => {
                assert!(!program.ended().await);
                let said = program.stderr();
                assert!(said.contains(code), "{said}");
            }
        }
    }
}

/// A server behind a proxy, so that it keeps its address when it starts again at another one.
struct Scene {
    server: Server,
    proxy: Proxy,
    backend: Backend,
}

impl Scene {
    async fn new(tokens: Tokens) -> Self {
        let server = Server::start().await;
        let proxy = Proxy::to(&server.address, Random::new(1)).await;
        let backend = Backend::of(server.home.clone(), &proxy.address, tokens).await;
        Self {
            server,
            proxy,
            backend,
        }
    }

    /// A start after a SIGKILL.
    async fn start_again(&mut self) {
        self.server.spawn().await;
        self.proxy.retarget(&self.server.address);
    }
}

/// Everything arrives once and in order, whatever becomes of the server, and of tokens meanwhile.
async fn nothing_is_lost_nor_shown_twice(mut scene: Scene, kind: Kind) {
    let mut from = kind.start(&scene, "u1").await;
    let mut to = kind.start(&scene, "u2").await;
    let mut wanted = Vec::new();
    let mut kills = 0;
    while kills < KILLS {
        assert!(
            wanted.len() < BURSTS_MAX * BURST,
            "no kill has come in time"
        );
        let before = wanted.len();
        for _ in 0..BURST {
            wanted.push(format!("u1: {}", wanted.len() + 1));
            from.write("u2", &wanted.len().to_string()).await;
        }
        to.shows(before + 5).await;
        scene.server.kill9().await;
        if to.shown().await.len() < wanted.len() {
            kills += 1;
        }
        scene.start_again().await;
        to.shows(wanted.len()).await;
    }
    // Both have to get new tokens, one of them twice over while messages are on their way.
    until_within(PATIENCE, "tokens are renewed", async || {
        let renewed = ["u1", "u2"].map(|id| scene.backend.asked(id).len());
        renewed.iter().all(|times| *times >= 4).then_some(())
    })
    .await;
    for _ in 0..BURST {
        wanted.push(format!("u1: {}", wanted.len() + 1));
        from.write("u2", &wanted.len().to_string()).await;
    }
    let shown = to.shows(wanted.len()).await;
    assert_eq!(shown, wanted);
    let kick = ["kick", "--domain", DEMO, "--id", "u2"];
    until_within(PATIENCE, "it is there to be ended", async || {
        let outcome = scene.server.home.cli(&kick).await;
        (outcome.code == Some(0)).then_some(())
    })
    .await;
    to.gives_up("4410").await;
    assert_eq!(to.shown().await, wanted);
}

/// A refused login opens first: pauses grow all the same.
async fn pauses_grow_while_logins_are_refused(scene: Scene, kind: Kind) {
    let _app = kind.start(&scene, "u1").await;
    let asked = until_within(PATIENCE, "five logins", async || {
        let asked = scene.backend.asked("u1");
        (asked.len() >= 5).then_some(asked)
    })
    .await;
    // Half of 0.5, 1, 2 and 4 s. If each began anew, they would be 2 s at most.
    let took = asked[4] - asked[0];
    assert!(took >= Duration::from_millis(3700), "{took:?}");
}

macro_rules! of_each_kind {
    ($($name:ident: $test:ident, $tokens:expr, $kind:expr;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let scene = Scene::new($tokens).await;
            let kind: fn(&Home) -> Option<Kind> = $kind;
            if let Some(kind) = kind(&scene.server.home) {
                $test(scene, kind).await;
            }
        }
    )+};
}

of_each_kind! {
    the_page_loses_nothing_and_shows_nothing_twice:
        nothing_is_lost_nor_shown_twice, Tokens::Short, |_| Kind::page();
    the_python_client_loses_nothing_and_shows_nothing_twice:
        nothing_is_lost_nor_shown_twice, Tokens::Short, |_| Kind::python();
    the_node_client_loses_nothing_and_shows_nothing_twice:
        nothing_is_lost_nor_shown_twice, Tokens::Short, Kind::node;
    the_page_comes_back_later_each_time:
        pauses_grow_while_logins_are_refused, Tokens::Bad, |_| Kind::page();
    the_python_client_comes_back_later_each_time:
        pauses_grow_while_logins_are_refused, Tokens::Bad, |_| Kind::python();
    the_node_client_comes_back_later_each_time:
        pauses_grow_while_logins_are_refused, Tokens::Bad, Kind::node;
}
