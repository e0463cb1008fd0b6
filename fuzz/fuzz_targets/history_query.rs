//! Any text as the parameters of `GET /message-log`, asked of a real store: refused with 400 or answered, never a panic;
//! every answer is what counting through all messages by hand gives, read piece by piece to its end; and its links lead
//! to what comes next.
//!
//! A text that begins with `?` is the whole query, any other one follows the mailbox `a` of the domain `d`. Ids are
//! small, so that they are found.

#![no_main]

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, LazyLock, mpsc};

use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use libfuzzer_sys::fuzz_target;
use relaybox::clock::ManualClock;
use relaybox::command::history::{self, HistoryPage, HistoryQuery, Order, Place, Senders};
use relaybox::http::history::links;
use relaybox::http::history::query::{self, SIZE_MAX};
use relaybox::model::{
    Domain, Draft, Message, MessageType, MsgId, Recipient, Resource, UserId, UserName,
};
use relaybox::protocol::query::Query;
use relaybox::store::{CommitSink, Store, StoreOptions};

const MESSAGES: u64 = 400;
const USERS: [&str; 3] = ["a", "b", "c"];
const FIRST_US: u64 = 1000;
/// Several of these in an answer are more than is read at once.
const LARGE_BYTES: usize = 100_000;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

struct Kept {
    id: MsgId,
    from: &'static str,
    to: &'static str,
}

static STORE: LazyLock<(Store, Vec<Kept>)> = LazyLock::new(|| {
    let tmp = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
    std::fs::create_dir_all(&tmp).expect("room for a store");
    // It is used to the end of the process.
    let dir = tempfile::tempdir_in(tmp).expect("a directory").keep();
    let clock = Arc::new(ManualClock::new(FIRST_US));
    let store = Store::open(StoreOptions::small(dir), clock.clone(), Arc::new(Nobody))
        .expect("a new store");
    let mut kept = Vec::new();
    for n in 0..MESSAGES {
        // Mostly from `b` to `a`; now and then many in a millisecond, or none for some.
        let from = USERS[[1, 1, 0, 1, 2, 1, 0][n as usize % 7]];
        let to = USERS[[0, 0, 0, 1, 0][n as usize % 5]];
        clock.advance_us([1, 300, 5, 2500, 700][n as usize % 5]);
        kept.push(Kept {
            id: send(&store, n, from, to),
            from,
            to,
        });
        if n == MESSAGES / 2 {
            store.flush();
        }
    }
    (store, kept)
});

fn send(store: &Store, n: u64, from: &str, to: &str) -> MsgId {
    let content = if n % 50 == 0 {
        "1".repeat(LARGE_BYTES)
    } else {
        n.to_string()
    };
    let draft = Draft {
        domain: Domain::parse("d").expect("a name"),
        recipients: vec![Recipient {
            user: UserId::parse(to).expect("an id"),
            offline: true,
        }],
        to_resource: None,
        from_id: UserId::parse(from).expect("an id"),
        from_name: UserName::parse("Name").expect("a name"),
        from_resource: Resource::parse("web").expect("a name"),
        kind: MessageType(10),
        content: content.into(),
        client_msg_id: None,
    };
    let (sender, answer) = mpsc::channel();
    store.append(
        draft,
        Box::new(move |accepted| sender.send(accepted).expect("somebody waits")),
    );
    answer.recv().expect("an answer").expect("room").ids[0]
}

/// The ids that match a query, newest last.
fn matching(query: &HistoryQuery, kept: &[Kept]) -> Vec<MsgId> {
    let user = query.mailbox.user.as_str();
    let newest = kept.last().map_or(MsgId::ZERO, |last| last.id);
    let as_of = query
        .as_of
        .filter(|as_of| *as_of <= newest)
        .unwrap_or(newest);
    let times: RangeInclusive<u64> =
        query.since_ms.unwrap_or(0)..=query.until_ms.unwrap_or(u64::MAX);
    let is_meant = |message: &&Kept| match &query.senders {
        Senders::All => message.to == user,
        Senders::From(from) => message.to == user && message.from == from.as_str(),
        Senders::With(with) => {
            let pair = (message.from, message.to);
            pair == (user, with.as_str()) || pair == (with.as_str(), user)
        }
    };
    let in_domain = kept.iter().filter(|_| query.mailbox.domain.as_str() == "d");
    let ids = in_domain.filter(is_meant).map(|message| message.id);
    ids.filter(|id| *id <= as_of && times.contains(&id.send_at_ms()))
        .collect()
}

/// All that lies from the place of a query on, in its order, as if its answer had no size.
fn listed(query: &HistoryQuery, kept: &[Kept]) -> Vec<MsgId> {
    let mut ids = matching(query, kept);
    let (order, skipped) = match query.place {
        Place::Page(number, order) => (order, (number - 1).saturating_mul(query.size)),
        Place::Cursor { before, after } => {
            ids.retain(|id| {
                before.is_none_or(|before| *id < before) && after.is_none_or(|after| *id > after)
            });
            let upwards = before.is_none() && after.is_some();
            (
                if upwards {
                    Order::Ascending
                } else {
                    Order::Descending
                },
                0,
            )
        }
    };
    if order == Order::Descending {
        ids.reverse();
    }
    ids.into_iter()
        .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
        .collect()
}

/// A whole answer.
fn read(store: &Store, query: &HistoryQuery) -> (HistoryPage, Vec<Message>) {
    let (mut page, mut messages) = history::find(store, query).expect("it can be read");
    while !page.is_read() {
        let piece = history::read_on(store, query, &mut page).expect("it can be read");
        assert!(!piece.is_empty(), "nothing vanishes here");
        messages.extend(piece);
    }
    (page, messages)
}

fn check(query: &HistoryQuery, store: &Store, kept: &[Kept]) -> HistoryPage {
    assert!((1..=SIZE_MAX).contains(&query.size));
    let (page, messages) = read(store, query);
    let (matching, listed) = (matching(query, kept), listed(query, kept));
    let expected = &listed[..listed.len().min(query.size as usize)];
    let ids: Vec<MsgId> = messages.iter().map(|message| message.id).collect();
    assert_eq!(ids, expected);
    assert_eq!(page.total, matching.len() as u64);
    assert_eq!(page.pages, page.total.div_ceil(query.size));
    assert_eq!(
        page.next,
        expected
            .last()
            .copied()
            .filter(|_| listed.len() > expected.len())
    );
    let newest = kept.last().map_or(MsgId::ZERO, |last| last.id);
    let pinned = query.as_of.filter(|as_of| *as_of <= newest);
    let as_of = matching
        .last()
        .map_or(MsgId::ZERO, |last| pinned.unwrap_or(*last));
    assert_eq!(page.as_of, as_of);
    page
}

/// The links of an answer, by their relation.
fn links_of(header: &HeaderValue) -> Vec<(String, HistoryQuery)> {
    let text = header.to_str().expect("ASCII");
    let links = text.split(", ").map(|link| {
        let (address, relation) = link.split_once("; rel=").expect("a link");
        let address = address
            .strip_prefix("</message-log?")
            .and_then(|rest| rest.strip_suffix('>'));
        let parameters = Query::parse(address.expect("an address")).expect("well formed");
        (
            relation.trim_matches('"').to_owned(),
            query::parse(&parameters).expect("good parameters"),
        )
    });
    links.collect()
}

fn check_links(query: &HistoryQuery, page: &HistoryPage, store: &Store, kept: &[Kept]) {
    let header = links::header(query, page);
    let has_next = match query.place {
        Place::Page(number, _) => number < page.pages,
        Place::Cursor { .. } => page.next.is_some(),
    };
    let links = header.as_ref().map_or(Vec::new(), links_of);
    assert_eq!(
        links
            .iter()
            .filter(|(relation, _)| relation == "next")
            .count(),
        usize::from(has_next)
    );
    for (relation, to) in &links {
        assert_eq!(
            (&to.mailbox, &to.senders, to.size),
            (&query.mailbox, &query.senders, query.size)
        );
        assert_eq!(to.as_of, Some(page.as_of));
        if relation == "next" {
            let behind = listed(query, kept).split_off(query.size as usize);
            assert_eq!(listed(to, kept), behind);
            check(to, store, kept);
        }
    }
}

fuzz_target!(|text: &str| {
    let (store, kept) = &*STORE;
    let text = match text.strip_prefix('?') {
        Some(whole) => whole.to_owned(),
        None => format!("domain=d&toId=a&{text}"),
    };
    let Ok(parameters) = Query::parse(&text) else {
        return;
    };
    match query::parse(&parameters) {
        Err(problem) => assert_eq!(problem.into_response().status(), StatusCode::BAD_REQUEST),
        Ok(query) => {
            let page = check(&query, store, kept);
            check_links(&query, &page, store, kept);
        }
    }
});
