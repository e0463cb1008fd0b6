#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::site::ShortPath;
use super::*;
use crate::auth::Auth;
use crate::clock::SystemClock;
use crate::command::domains::Domains;
use crate::hub::{Arrival, Hub, HubLimits, Outbox, Registration};
use crate::metrics::Metrics;
use crate::model::{Device, Domain, Mailbox, Message, Resource, UserId};
use crate::store::{CommitSink, Store, StoreOptions};

struct Nobody;
impl CommitSink for Nobody {
    fn committed(&self, _messages: &[Message]) {}
}

struct Running {
    auth: Auth,
    hub: Arc<Hub>,
    changed: Arc<Mutex<Vec<Domain>>>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

fn start(dir: &Path) -> Running {
    let clock = Arc::new(SystemClock);
    let store = Store::open(StoreOptions::small(dir), clock.clone(), Arc::new(Nobody)).unwrap();
    let auth = Auth::new(clock.clone());
    let changed: Arc<Mutex<Vec<Domain>>> = Arc::default();
    let seen = changed.clone();
    let limits = HubLimits {
        sessions_max: 5000,
        sessions_per_user_max: 5000,
    };
    let metrics = Arc::<Metrics>::default();
    let hub = Arc::new(Hub::new(limits, Arc::clone(&metrics)));
    let context = Orders {
        domains: Domains::new(store.clone(), auth.clone(), clock),
        changed: Arc::new(move |domain| seen.lock().unwrap().push(domain.clone())),
        live: Live {
            store,
            hub: Arc::clone(&hub),
            metrics,
            started_at_ms: 7,
        },
    };
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let socket = AdminSocket::bind(&Site::new(dir, None)).unwrap();
    tracker.spawn(serve(socket, context, tracker.clone(), stop.clone()));
    Running {
        auth,
        hub,
        changed,
        tracker,
        stop,
    }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        let stopped = tokio::time::timeout(Duration::from_secs(5), self.tracker.wait());
        stopped.await.unwrap();
    }
}

fn login(running: &Running, domain: &str, user: &str, resource: &str) -> Registration {
    let device = Device {
        mailbox: Mailbox {
            domain: Domain::parse(domain).unwrap(),
            user: UserId::parse(user).unwrap(),
        },
        resource: Resource::parse(resource).unwrap(),
    };
    let from = "192.0.2.1".parse().unwrap();
    let arrival = Arrival { at_ms: 5, from };
    let outbox = Arc::new(Outbox::new(1024));
    running.hub.register(device, outbox, arrival).unwrap()
}

async fn try_ask(dir: &Path, order: Request) -> Result<Option<Response>, ClientError> {
    let site = Site::new(dir, None);
    let asked = tokio::task::spawn_blocking(move || request(&site, &order));
    asked.await.unwrap()
}

async fn ask(dir: &Path, order: Request) -> Option<Response> {
    try_ask(dir, order).await.unwrap()
}

async fn raw(dir: &Path, bytes: Vec<u8>) -> String {
    let path = dir.join(SOCKET_NAME);
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        let deadline = Some(Duration::from_secs(5));
        stream.set_read_timeout(deadline).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        // A refused flood may be reset before its answer is read.
        let _ = stream.read_to_string(&mut answer);
        answer
    });
    asked.await.unwrap()
}

fn add(name: &str) -> Request {
    Request::DomainAdd {
        domain: name.to_owned(),
    }
}

async fn sentence(dir: &Path, order: Request) -> String {
    match try_ask(dir, order).await {
        Err(ClientError::Refused(sentence)) => sentence,
        _ => panic!("that should have been refused"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_carried_out_and_changes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert!(
        ask(dir, Request::DomainList {}).await.is_none(),
        "nobody yet"
    );
    let running = start(dir);
    let demo = Domain::parse("demo").unwrap();
    let Some(Response::Token { token: first, .. }) = ask(dir, add("demo")).await else {
        panic!("no token")
    };
    assert!(running.auth.verify(&demo, &first).is_ok());
    assert!(running.changed.lock().unwrap().is_empty());

    let rotate = Request::DomainRotate {
        domain: "demo".into(),
        grace_ms: 0,
    };
    let Some(Response::Token { token: second, .. }) = ask(dir, rotate).await else {
        panic!("no token")
    };
    assert!(running.auth.verify(&demo, &first).is_err());
    assert!(running.auth.verify(&demo, &second).is_ok());

    let mint = Request::Token(TokenRequest {
        domain: "demo".into(),
        id: "u1".into(),
        name: None,
        ttl_s: 60,
        system: false,
    });
    let Some(Response::Token { token, .. }) = ask(dir, mint).await else {
        panic!("no token")
    };
    assert!(running.auth.verify(&demo, &token).is_ok());

    let Some(Response::Domains { list }) = ask(dir, Request::DomainList {}).await else {
        panic!("no list")
    };
    assert_eq!((list.len(), list[0].tokens), (1, 1));

    let remove = Request::DomainRemove {
        domain: "demo".into(),
    };
    let removed = ask(dir, remove.clone()).await;
    assert!(matches!(
        removed,
        Some(Response::Removed { declared: false })
    ));
    assert_eq!(*running.changed.lock().unwrap(), [demo.clone(), demo]);
    assert_eq!(sentence(dir, remove).await, "there is no domain \"demo\"");

    running.stop().await;
    assert!(!dir.join(SOCKET_NAME).exists());
    assert!(ask(dir, Request::DomainList {}).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_orders_are_refused_and_the_next_one_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    for bytes in [
        b"not json\n".to_vec(),
        b"{\"order\":\"fly\"}\n".to_vec(),
        b"{\"order\":\"domain-list\"}".to_vec(),
        b"\xff\xfe\n".to_vec(),
    ] {
        let answer = raw(dir.path(), bytes).await;
        assert!(answer.starts_with("{\"answer\":\"refused\""), "{answer}");
    }
    assert_eq!(raw(dir.path(), Vec::new()).await, "");
    let flood = raw(dir.path(), vec![b'x'; (REQUEST_BYTES_MAX + 1) as usize]).await;
    assert!(flood.is_empty() || flood.contains("refused"), "{flood}");
    assert_eq!(
        sentence(dir.path(), add("")).await,
        "domain must not be empty"
    );
    let rotate = Request::DomainRotate {
        domain: "demo".into(),
        grace_ms: u64::MAX,
    };
    assert_eq!(
        sentence(dir.path(), rotate).await,
        "grace must be at most 30 days"
    );
    let mint = |id: &str, ttl_s| {
        Request::Token(TokenRequest {
            domain: "demo".into(),
            id: id.into(),
            name: None,
            ttl_s,
            system: false,
        })
    };
    for (order, expected) in [
        (mint("", 60), "id must not be empty"),
        (mint("u1", 0), "ttl must be from 1 second to 30 days"),
        (mint("u1", u64::MAX), "ttl must be from 1 second to 30 days"),
        (
            mint("system", 60),
            "the id and the name \"system\" are reserved",
        ),
        (mint("u1", 60), "there is no domain \"demo\""),
    ] {
        assert_eq!(sentence(dir.path(), order).await, expected);
    }
    assert!(ask(dir.path(), add("demo")).await.is_some());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_callers_hold_up_neither_orders_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let path = dir.path().join(SOCKET_NAME);
    let idle: Vec<_> = (0..3)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    assert!(ask(dir.path(), add("demo")).await.is_some());
    running.stop().await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_read_no_answer_hold_up_neither_orders_nor_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    // An answer larger than any socket buffer.
    let sessions: Vec<_> = (0..5000)
        .map(|n| login(&running, "demo", "u1", &n.to_string()))
        .collect();
    let path = dir.path().join(SOCKET_NAME);
    let mut deaf: Vec<_> = (0..12)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    for stream in &mut deaf {
        stream.write_all(b"{\"order\":\"sessions\"}\n").unwrap();
    }
    for stream in &deaf {
        // Its answer has begun.
        let mut first = [0];
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        (&*stream).read_exact(&mut first).unwrap();
    }
    let asked = ask(dir.path(), add("demo"));
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
    assert!(matches!(asked, Ok(Some(Response::Token { .. }))));
    running.stop().await;
    drop((deaf, sessions));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_private_replaces_a_dead_ones_and_fits_any_path() {
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("d".repeat(120)).join("e".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    for dir in [root.path(), &deep] {
        // Left by a killed server: a bound file without a listener.
        let short = ShortPath::new(&dir.join(SOCKET_NAME)).unwrap();
        drop(UnixListener::bind(&short.path).unwrap());
        assert!(dir.join(SOCKET_NAME).exists());
        assert!(ask(dir, Request::DomainList {}).await.is_none());

        let running = start(dir);
        let mode = std::fs::metadata(dir.join(SOCKET_NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(ask(dir, Request::DomainList {}).await.is_some());
        running.stop().await;
        assert!(!dir.join(SOCKET_NAME).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_lists_counts_and_ends_its_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let running = start(dir.path());
    let _sessions = [
        login(&running, "demo", "u1", "web"),
        login(&running, "demo", "u1", "phone"),
        login(&running, "demo", "u2", "web"),
        login(&running, "shop", "u1", "web"),
    ];
    let text = |text: &str| Some(text.to_owned());
    for (domain, id, expected) in [
        (None, None, 4),
        (text("demo"), None, 3),
        (text("demo"), text("u1"), 2),
        (text("other"), None, 0),
    ] {
        let order = Request::Sessions(SessionFilter { domain, id });
        let Some(Response::Sessions { list, total }) = ask(dir.path(), order).await else {
            panic!("a list");
        };
        assert_eq!((list.len(), total), (expected, expected));
        assert!(
            list.iter()
                .all(|entry| entry.since == 5 && entry.catching_up)
        );
    }
    let kick = |id: &str, resource: Option<String>| Request::Kick {
        domain: "demo".to_owned(),
        id: id.to_owned(),
        resource,
    };
    for (order, expected) in [
        (kick("u1", text("web")), 1),
        (kick("u1", None), 2),
        (kick("u3", None), 0),
    ] {
        let kicked = ask(dir.path(), order).await;
        assert!(matches!(kicked, Some(Response::Kicked { sessions }) if sessions == expected));
    }
    let refused = sentence(dir.path(), kick("", None)).await;
    assert!(refused.starts_with("id "), "{refused}");
    let Some(Response::Stats(answer)) = ask(dir.path(), Request::Stats {}).await else {
        panic!("numbers");
    };
    assert_eq!((answer.started_at, answer.stats.sessions), (7, 4));
    assert_eq!(answer.stats.catching_up, 4);
    assert!(answer.stats.journal_bytes > Some(0) && answer.stats.memory_bytes > 0);
    running.stop().await;
}
