use super::*;
use crate::model::UserId;

fn device(user: &str, resource: &str) -> Device {
    Device {
        mailbox: Mailbox {
            domain: Domain::parse("demo").expect("valid"),
            user: UserId::parse(user).expect("valid"),
        },
        resource: Resource::parse(resource).expect("valid"),
    }
}

fn hub() -> Arc<Hub> {
    Arc::new(Hub::new(
        HubLimits {
            sessions_max: 3,
            sessions_per_user_max: 2,
        },
        Arc::default(),
    ))
}

fn login(hub: &Arc<Hub>, user: &str, resource: &str) -> Result<Registration, HubFull> {
    login_at(hub, user, resource, 0)
}

fn login_at(
    hub: &Arc<Hub>,
    user: &str,
    resource: &str,
    now_ms: u64,
) -> Result<Registration, HubFull> {
    let outbox = Arc::new(Outbox::new(1024));
    let from = std::net::Ipv4Addr::LOCALHOST.into();
    let arrival = Arrival {
        at_ms: now_ms,
        from,
    };
    hub.register(device(user, resource), outbox, arrival)
}

#[test]
fn sessions_leave_when_dropped_and_a_replaced_one_leaves_its_successor_alone() {
    let hub = hub();
    let mailbox = device("u", "web").mailbox;
    let first = login(&hub, "u", "web").expect("room");
    let second = login(&hub, "u", "web").expect("replaces");
    assert_eq!(hub.sessions(), 1);
    let acts = |registration: &Registration| {
        let mut acted = false;
        registration.if_current(|| acted = true);
        acted
    };
    assert!(!acts(&first), "it was replaced");
    assert!(acts(&second));
    drop(first);
    assert!(hub.is_online(&mailbox));
    drop(second);
    assert!(!hub.is_online(&mailbox));
    assert_eq!(hub.sessions(), 0);
}

#[test]
fn sessions_of_a_user_are_told_with_the_time_of_their_login() {
    let hub = hub();
    let mailbox = device("u", "web").mailbox;
    let told = || {
        let sessions = hub.sessions_of(&mailbox).into_iter();
        let pairs = sessions.map(|one| (one.resource.as_str().to_owned(), one.since_ms));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(told(), []);
    let web = login_at(&hub, "u", "web", 7).expect("room");
    let _phone = login_at(&hub, "u", "phone", 8).expect("room");
    let _other = login_at(&hub, "v", "web", 9).expect("room");
    assert_eq!(told(), [("phone".into(), 8), ("web".into(), 7)]);
    let newer = login_at(&hub, "u", "web", 10).expect("replaces");
    drop(web);
    assert_eq!(told(), [("phone".into(), 8), ("web".into(), 10)]);
    drop(newer);
    assert_eq!(told(), [("phone".into(), 8)]);
}

#[test]
fn limits_hold_and_leave_no_trace() {
    let hub = hub();
    let _a = login(&hub, "u", "a").expect("room");
    let b = login(&hub, "u", "b").expect("room");
    assert_eq!(login(&hub, "u", "c").err(), Some(HubFull::User { max: 2 }));
    let _v = login(&hub, "v", "a").expect("room");
    assert_eq!(login(&hub, "w", "a").err(), Some(HubFull::Server));
    assert!(!hub.is_online(&device("w", "a").mailbox));
    drop(b);
    assert!(login(&hub, "w", "a").is_ok());
}

#[test]
fn what_waits_is_told_and_a_kick_ends_one_session_or_all_of_a_user() {
    let hub = hub();
    let outboxes: Vec<_> = ["web", "phone"]
        .map(|resource| login(&hub, "u", resource).expect("room"))
        .into_iter()
        .collect();
    let mailbox = device("u", "web").mailbox;
    outboxes[0].outbox.note_session(3, 100);
    assert!(outboxes[0].outbox.try_go_live(crate::model::MsgId::ZERO));
    outboxes[0].outbox.deliver(crate::model::MsgId(1), b"12345");
    let totals = hub.totals();
    assert_eq!((totals.sessions, totals.catching_up), (2, 1));
    assert_eq!((totals.bytes, totals.unconfirmed), (105, 3));
    let resources = |is_wanted: bool, max| {
        let (lines, _) = hub.list(|_| is_wanted, max);
        let names = lines
            .into_iter()
            .map(|line| line.resource.as_str().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(resources(true, 9), ["phone", "web"]);
    assert_eq!(resources(true, 1), ["phone"]);
    assert!(resources(false, 9).is_empty());

    let web = Resource::parse("web").expect("valid");
    assert_eq!(hub.kick(&mailbox, Some(&web)), 1);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut closed = |at: usize| match outboxes[at].outbox.poll_take(&mut cx, false, true) {
        std::task::Poll::Ready(taken) => taken.close,
        std::task::Poll::Pending => None,
    };
    assert_eq!(closed(0), Some(CloseReason::Kicked));
    assert_eq!(closed(1), None);
    assert_eq!(hub.kick(&mailbox, None), 2);
    assert_eq!(closed(1), Some(CloseReason::Kicked));
    assert_eq!(hub.kick(&device("v", "web").mailbox, None), 0);
}
