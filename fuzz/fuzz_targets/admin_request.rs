//! Any bytes as lines of the admin socket, carried out on a real store: each is answered, never a panic, in bounded
//! bytes, by what the order asks for or by a sentence that refuses it; and domains, their tokens and what is told of
//! changes are afterwards what a simple model of them says.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use relaybox::admin::{Live, Orders, Request, Response, SessionFilter, TokenRequest};
use relaybox::auth::{Auth, Grant, USER_TOKEN_TTL_S_MAX, UserGrant};
use relaybox::clock::SystemClock;
use relaybox::command::domains::{Domains, GRACE_S_MAX};
use relaybox::hub::{Hub, HubLimits};
use relaybox::metrics::Metrics;
use relaybox::model::{Domain, Message, Resource, UserId, UserName};
use relaybox::store::{CommitSink, Store, StoreOptions};

const LINES_MAX: usize = 16;
const SENTENCE_BYTES_MAX: usize = 2048;
/// Of an answer that is no list.
const ANSWER_BYTES_MAX: usize = 8192;
/// A grace that does not end while this looks.
const LONG_MS: u64 = 600_000;

struct Nobody;

impl CommitSink for Nobody {
    fn committed(&self, _: &[Message]) {}
}

struct Server {
    orders: Orders,
    auth: Auth,
    changes: Arc<AtomicUsize>,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let tmp = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp");
    std::fs::create_dir_all(&tmp).expect("room for a store");
    // It is used to the end of the process.
    let dir = tempfile::tempdir_in(tmp).expect("a directory").keep();
    let clock = Arc::new(SystemClock);
    let store = Store::open(StoreOptions::small(dir), clock.clone(), Arc::new(Nobody))
        .expect("a new store");
    let auth = Auth::new(clock.clone());
    let metrics = Arc::<Metrics>::default();
    let limits = HubLimits {
        sessions_max: 1,
        sessions_per_user_max: 1,
    };
    let changes = Arc::<AtomicUsize>::default();
    let told = Arc::clone(&changes);
    let orders = Orders {
        domains: Domains::new(store.clone(), auth.clone(), clock),
        changed: Arc::new(move |_| _ = told.fetch_add(1, Ordering::Relaxed)),
        live: Live {
            store,
            hub: Arc::new(Hub::new(limits, Arc::clone(&metrics))),
            metrics,
            started_at_ms: 7,
        },
    };
    Server {
        orders,
        auth,
        changes,
    }
});

/// Domains and their newest project tokens.
type Model = BTreeMap<String, String>;

impl Server {
    fn grant(&self, domain: &str, token: &str) -> Option<Grant> {
        let domain = Domain::parse(domain).expect("it was taken");
        self.auth
            .verify(&domain, token)
            .ok()
            .map(|verified| verified.grant)
    }

    fn domain_add(&self, domain: &str, answer: &Response, model: &mut Model) -> bool {
        let expected = Domain::parse(domain).is_ok() && !model.contains_key(domain);
        if let Response::Token {
            token,
            declared: false,
        } = answer
        {
            assert_eq!(self.grant(domain, token), Some(Grant::Project));
            model.insert(domain.to_owned(), token.clone());
        }
        expected
    }

    fn domain_rotate(
        &self,
        domain: &str,
        grace_ms: u64,
        answer: &Response,
        model: &mut Model,
    ) -> bool {
        let expected = model.contains_key(domain) && grace_ms <= GRACE_S_MAX * 1000;
        if let Response::Token {
            token,
            declared: false,
        } = answer
        {
            assert_eq!(self.grant(domain, token), Some(Grant::Project));
            let old = model
                .insert(domain.to_owned(), token.clone())
                .expect("it was there");
            if grace_ms == 0 || grace_ms > LONG_MS {
                assert_eq!(self.grant(domain, &old).is_some(), grace_ms > 0);
            }
        }
        expected
    }

    fn user_token(
        &self,
        domain: &str,
        user: UserGrant,
        ttl_s: u64,
        answer: &Response,
        model: &Model,
    ) -> bool {
        if let Response::Token {
            token,
            declared: false,
        } = answer
        {
            // One of a few seconds may have ended.
            let grant = self.grant(domain, token);
            assert!(grant == Some(Grant::User(user.clone())) || ttl_s <= LONG_MS / 1000);
        }
        model.contains_key(domain)
            && (1..=USER_TOKEN_TTL_S_MAX).contains(&ttl_s)
            && !user.id.is_system()
    }

    /// Whether an order is one to be carried out; its answer's content is checked on the way.
    fn is_carried_out(&self, order: &Request, answer: &Response, model: &mut Model) -> bool {
        let is_none_or_id =
            |id: &Option<String>| id.as_ref().is_none_or(|id| UserId::parse(id).is_ok());
        match order {
            Request::DomainAdd { domain } => self.domain_add(domain, answer, model),
            Request::DomainList {} => {
                let Response::Domains { list } = answer else {
                    return true;
                };
                let names: Vec<&str> = list.iter().map(|line| line.domain.as_str()).collect();
                let known: Vec<&str> = model.keys().map(String::as_str).collect();
                assert_eq!(names, known);
                true
            }
            Request::DomainRemove { domain } => {
                let token = model.remove(domain);
                assert!(
                    token
                        .as_ref()
                        .is_none_or(|token| self.grant(domain, token).is_none())
                );
                token.is_some()
            }
            Request::DomainRotate { domain, grace_ms } => {
                self.domain_rotate(domain, *grace_ms, answer, model)
            }
            Request::Token(TokenRequest {
                domain,
                id,
                name,
                ttl_s,
                system,
            }) => {
                let (Ok(id), Ok(name)) = (
                    UserId::parse(id),
                    name.as_deref().map(UserName::parse).transpose(),
                ) else {
                    return false;
                };
                let user = UserGrant {
                    id,
                    name,
                    system: *system,
                };
                self.user_token(domain, user, *ttl_s, answer, model)
            }
            Request::Kick {
                domain,
                id,
                resource,
            } => {
                let is_resource = resource
                    .as_ref()
                    .is_none_or(|resource| Resource::parse(resource).is_ok());
                Domain::parse(domain).is_ok() && UserId::parse(id).is_ok() && is_resource
            }
            Request::Sessions(SessionFilter { domain, id })
            | Request::EndedSessions(SessionFilter { domain, id }) => {
                domain
                    .as_ref()
                    .is_none_or(|domain| Domain::parse(domain).is_ok())
                    && is_none_or_id(id)
            }
            Request::Clock {}
            | Request::ClockAccept {}
            | Request::JournalEnd {}
            | Request::Site {}
            | Request::Stats {} => true,
        }
    }

    fn check(&self, line: &[u8], model: &mut Model) {
        let changes = self.changes.load(Ordering::Relaxed);
        let answer = self.orders.answer(line);
        let json = serde_json::to_vec(&answer).expect("JSON");
        assert!(!json.contains(&b'\n'), "an answer is one line");
        let read: Response = serde_json::from_slice(&json).expect("the command line reads it");
        assert!(read == answer);
        assert!(json.len() <= ANSWER_BYTES_MAX || matches!(answer, Response::Domains { .. }));

        let order = serde_json::from_slice(line)
            .ok()
            .filter(|_| line.ends_with(b"\n"));
        let expected = order
            .as_ref()
            .is_some_and(|order| self.is_carried_out(order, &answer, model));
        let fits = matches!(
            (&order, &answer),
            (
                Some(
                    Request::DomainAdd { .. }
                        | Request::DomainRotate { .. }
                        | Request::Token { .. }
                ),
                Response::Token { .. }
            ) | (Some(Request::DomainList {}), Response::Domains { .. })
                | (
                    Some(Request::DomainRemove { .. }),
                    Response::Removed { declared: false }
                )
                | (
                    Some(Request::Clock {}),
                    Response::Clock { ahead_s: None, .. }
                )
                | (
                    Some(Request::ClockAccept {}),
                    Response::ClockAccepted { was_held: false }
                )
                | (Some(Request::JournalEnd {}), Response::JournalEnd { .. })
                | (Some(Request::Kick { .. }), Response::Kicked { sessions: 0 })
                | (
                    Some(Request::Sessions { .. }),
                    Response::Sessions { total: 0, .. }
                )
                | (Some(Request::Site {}), Response::Site { .. })
                | (Some(Request::Stats {}), Response::Stats(_))
        );
        match &answer {
            Response::Refused { sentence } => {
                assert!(!expected, "{sentence}");
                assert!(
                    (1..=SENTENCE_BYTES_MAX).contains(&sentence.len()) && !sentence.contains('\n')
                );
            }
            _ => assert!(expected && fits),
        }
        let ends_tokens = matches!(
            &order,
            Some(Request::DomainRemove { .. } | Request::DomainRotate { .. })
        );
        let told = self.changes.load(Ordering::Relaxed) - changes;
        assert_eq!(told, usize::from(expected && ends_tokens));
    }
}

fuzz_target!(|data: &[u8]| {
    let mut model = Model::new();
    for line in data.split_inclusive(|byte| *byte == b'\n').take(LINES_MAX) {
        SERVER.check(line, &mut model);
    }
    // The next input begins with none.
    let left: Vec<String> = model.keys().cloned().collect();
    for domain in left {
        let mut line = serde_json::to_vec(&Request::DomainRemove { domain }).expect("JSON");
        line.push(b'\n');
        SERVER.check(&line, &mut model);
    }
    SERVER.check(b"{\"order\":\"domain-list\"}\n", &mut model);
});
