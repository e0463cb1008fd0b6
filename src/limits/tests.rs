use std::net::IpAddr;
use std::num::NonZeroU64;

use super::*;
use crate::model::{Networks, PerDomain};

fn rate(count: u64, per_s: u64) -> Option<Rate> {
    Some(Rate {
        count: NonZeroU64::new(count)?,
        per: Duration::from_secs(per_s),
    })
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn direct(text: &str) -> Visitor {
    Visitor::direct(ip(text))
}

fn limits(options: LimitOptions) -> (Limits, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    (Limits::new(options, Arc::clone(&metrics)), metrics)
}

fn refusals(metrics: &Metrics, limit: Limit) -> u64 {
    metrics
        .sessions
        .limited
        .with_label_values(&[limit.name()])
        .get()
}

#[test]
fn connections_of_one_address_do_not_count_for_another() {
    let (limits, metrics) = limits(LimitOptions {
        unlimited: Networks::new(vec!["192.0.2.0/24".parse().expect("a network")]),
        connections_per_address_max: Some(2),
        connects_per_address: rate(3, 3600),
        ..LimitOptions::default()
    });
    let stranger = direct("198.51.100.1");
    let places: Vec<_> = (0..2)
        .map(|_| limits.connect(&stranger, false).expect("room"))
        .collect();
    let limit = limits
        .connect(&stranger, false)
        .expect_err("too many")
        .limit;
    assert_eq!(limit, Limit::ConnectionsPerAddress);
    drop(places);
    let limited = limits.connect(&stranger, false).expect_err("too fast");
    assert_eq!(limited.limit, Limit::ConnectsPerAddress);
    assert!(limited.retry > Duration::from_secs(60));
    assert!(limits.connect(&stranger, true).is_ok(), "a good token");
    assert!(limits.connect(&direct("198.51.100.2"), false).is_ok());
    let friends: Vec<_> = (0..9)
        .map(|_| limits.connect(&direct("192.0.2.7"), false))
        .collect();
    assert!(friends.iter().all(Result::is_ok));
    assert_eq!(refusals(&metrics, Limit::ConnectionsPerAddress), 1);
    assert_eq!(refusals(&metrics, Limit::ConnectsPerAddress), 1);
}

#[test]
fn bad_tokens_of_one_address_are_limited() {
    let (limits, metrics) = limits(LimitOptions {
        failed_logins_per_address: rate(3, 3600),
        ..LimitOptions::default()
    });
    let (stranger, friend) = (direct("198.51.100.1"), direct("198.51.100.2"));
    for _ in 0..3 {
        assert!(limits.bad_token(&stranger).is_ok());
    }
    let limited = limits.bad_token(&stranger).expect_err("too often");
    assert!(limited.retry > Duration::from_secs(60));
    assert!(limits.bad_token(&friend).is_ok());
    assert_eq!(refusals(&metrics, Limit::FailedLoginsPerAddress), 1);
    limits.reload(LimitOptions::default());
    assert!(limits.bad_token(&stranger).is_ok(), "no limit any more");
}

#[test]
fn whom_a_proxy_does_not_name_is_limited_as_the_proxy_would_be() {
    let (limits, _) = limits(LimitOptions {
        trusted_proxies: Networks::new(vec!["127.0.0.1/32".parse().expect("a network")]),
        unlimited: Networks::new(vec![
            "127.0.0.0/8".parse().expect("a network"),
            "192.0.2.0/24".parse().expect("a network"),
        ]),
        connections_per_address_max: Some(1),
        failed_logins_per_address: rate(1, 3600),
        ..LimitOptions::default()
    });
    let visitor = |lines: &[&str]| limits.visitor(&direct("127.0.0.1"), lines.iter().copied());
    let nobody: [&[&str]; 4] = [&[], &["unknown"], &["\"127.0.0.1:80\""], &["127.0.0.1, x"]];
    let first = limits.connect(&visitor(nobody[0]), false).expect("room");
    for lines in nobody {
        let limited = limits
            .connect(&visitor(lines), false)
            .expect_err("too many");
        assert_eq!(limited.limit, Limit::ConnectionsPerAddress, "{lines:?}");
    }
    assert!(limits.bad_token(&visitor(nobody[1])).is_ok());
    for lines in nobody {
        assert!(limits.bad_token(&visitor(lines)).is_err(), "{lines:?}");
    }
    // Its own requests, and those of clients it names, count apart.
    for lines in [&["198.51.100.1"], &["\"198.51.100.2:4711\""]] {
        assert!(limits.bad_token(&visitor(lines)).is_ok());
        let place = limits.connect(&visitor(lines), false).expect("room");
        assert!(limits.connect(&visitor(lines), false).is_err(), "{lines:?}");
        drop(place);
    }
    for unlimited in [direct("127.0.0.1"), visitor(&["192.0.2.1"])] {
        let places: Vec<_> = (0..9).map(|_| limits.connect(&unlimited, false)).collect();
        assert!(places.iter().all(Result::is_ok));
        assert!((0..9).all(|_| limits.bad_token(&unlimited).is_ok()));
    }
    // An untrusted proxy in front of it on this machine.
    let chained = visitor(&["198.51.100.1, 127.0.0.2"]);
    let place = limits.connect(&chained, false).expect("room");
    assert!(limits.connect(&chained, false).is_err());
    drop((place, first));
}

#[test]
fn who_is_in_the_network_of_the_proxies_is_one_of_many() {
    let (limits, _) = limits(LimitOptions {
        trusted_proxies: Networks::new(vec!["10.0.0.0/8".parse().expect("a network")]),
        unlimited: Networks::new(vec!["10.1.0.0/16".parse().expect("a network")]),
        connections_per_address_max: Some(1),
        ..LimitOptions::default()
    });
    let visitor = |lines: &[&str]| limits.visitor(&direct("10.1.0.1"), lines.iter().copied());
    let mut places = Vec::new();
    for line in ["10.2.0.1", "10.2.0.2", "10.2.0.3, 10.2.0.1"] {
        places.push(limits.connect(&visitor(&[line]), false).expect("room"));
        assert!(limits.connect(&visitor(&[line]), false).is_err(), "{line}");
    }
    // Any client behind it may have written this entry.
    let friend = visitor(&["10.1.2.3", "10.2.0.1"]);
    let _place = limits.connect(&friend, false).expect("room");
    assert!(limits.connect(&friend, false).is_err() && limits.network(&friend).is_some());
    let unnamed = visitor(&[]);
    assert!(unnamed.is_unnamed() && limits.network(&unnamed).is_some());
}

#[test]
fn sends_are_limited_by_user_by_domain_and_by_what_is_stored() {
    let domain = |name: &str| Domain::parse(name).expect("valid");
    let user = |name: &str| Mailbox {
        domain: domain("d"),
        user: crate::model::UserId::parse(name).expect("valid"),
    };
    let (limits, metrics) = limits(LimitOptions {
        sends_per_user: rate(5, 3600),
        sends_per_domain: PerDomain {
            all: rate(20, 3600),
            domains: [(domain("free"), None)].into(),
        },
        store_quota: PerDomain {
            all: None,
            domains: [(domain("full"), Some(10))].into(),
        },
        ..LimitOptions::default()
    });
    let send = |name: &str, user: Option<&Mailbox>, messages| {
        let sent = limits.send(&domain(name), user, Amount { messages, bytes: 1 }, 5);
        sent.map(drop).map_err(|limited| limited.limit)
    };
    // One message to five recipients counts as five.
    assert_eq!(send("d", Some(&user("a")), 5), Ok(()));
    assert_eq!(send("d", Some(&user("a")), 1), Err(Limit::SendsPerUser));
    assert_eq!(
        send("d", None, 15),
        Ok(()),
        "project tokens have no limit of their own"
    );
    assert_eq!(send("d", None, 1), Err(Limit::SendsPerDomain));
    for _ in 0..100 {
        assert_eq!(send("free", None, 1000), Ok(()));
    }
    limits.quotas().add(&domain("full"), 5);
    assert_eq!(send("full", None, 1), Ok(()));
    limits.quotas().add(&domain("full"), 1);
    assert_eq!(send("full", None, 1), Err(Limit::StoreQuota));
    for limit in [Limit::SendsPerUser, Limit::StoreQuota] {
        assert_eq!(refusals(&metrics, limit), 1, "{limit:?}");
    }
}

#[test]
fn bytes_are_limited_as_messages_are() {
    let domain = Domain::parse("d").expect("valid");
    let user = Mailbox {
        domain: domain.clone(),
        user: crate::model::UserId::parse("u").expect("valid"),
    };
    let (limits, metrics) = limits(LimitOptions {
        send_bytes_per_user: rate(100, 3600),
        send_bytes_per_domain: PerDomain {
            all: rate(1000, 3600),
            domains: Default::default(),
        },
        ..LimitOptions::default()
    });
    let send = |user: Option<&Mailbox>, bytes| {
        let sent = limits.send(&domain, user, Amount { messages: 1, bytes }, 1);
        sent.map(drop).map_err(|limited| limited.limit)
    };
    assert_eq!(send(Some(&user), 99), Ok(()));
    assert_eq!(send(Some(&user), 200), Ok(()), "there is room for a byte");
    assert_eq!(send(Some(&user), 1), Err(Limit::SendBytesPerUser));
    assert_eq!(send(None, 701), Ok(()));
    assert_eq!(send(None, 1), Err(Limit::SendBytesPerDomain));
    for limit in [Limit::SendBytesPerUser, Limit::SendBytesPerDomain] {
        assert_eq!(refusals(&metrics, limit), 1, "{limit:?}");
    }
}

#[test]
fn one_user_that_logs_in_again_and_again_is_told_so_unless_it_is_trusted() {
    let user = Mailbox {
        domain: Domain::parse("d").expect("valid"),
        user: crate::model::UserId::parse("u").expect("valid"),
    };
    let (limits, _) = limits(LimitOptions {
        logins_per_user: rate(3, 3600),
        ..LimitOptions::default()
    });
    for _ in 0..3 {
        assert!(limits.admit(&user, true).is_ok());
    }
    let limited = limits.admit(&user, true).expect_err("too often");
    assert_eq!(limited.limit, Limit::LoginsPerUser);
    assert!(limits.admit(&user, false).is_ok());
}
