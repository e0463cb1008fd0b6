//! Cursors, times and orders, and parameters that are refused.

use super::{LOG, Service, filled, ids, numbers};
use crate::support::PROJECT_TOKEN;

#[tokio::test]
async fn cursors_and_orders_list_what_they_say() {
    let server = filled().await;
    let all = server.mailbox("box").await;
    let id = |n: usize| all[n]["msgId"].as_u64().unwrap();
    let (max, rare) = ((1_u64 << 53) - 1, "&fromId=rare");
    let before = |n: usize| format!("&before={}", id(n));
    let after = |n: usize| format!("&after={}", id(n));
    let down = |from: u64, to: u64| (to..=from).rev().collect::<Vec<_>>();
    let up = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    // query, total, pages, contents
    let cases = [
        (before(10), 25, 3, down(9, 0)),
        (before(10) + "&size=3", 25, 9, down(9, 7)),
        (format!("&before={}&size=1", id(10) + 1), 25, 25, vec![10]),
        (before(0), 25, 3, vec![]),
        ("&before=0".into(), 25, 3, vec![]),
        (format!("&before={max}"), 25, 3, down(24, 15)),
        (after(10), 25, 3, up(11, 20)),
        (after(10) + "&size=3", 25, 9, up(11, 13)),
        (format!("&after={}&size=1", id(10) - 1), 25, 25, vec![10]),
        (after(24), 25, 3, vec![]),
        (format!("&after={max}"), 25, 3, vec![]),
        ("&after=0&size=100".into(), 25, 1, up(0, 24)),
        (before(20) + &after(10), 25, 3, down(19, 11)),
        (before(20) + &after(10) + "&size=2", 25, 13, down(19, 18)),
        (before(11) + &after(10), 25, 3, vec![]),
        (before(5) + &after(10), 25, 3, vec![]),
        (before(20) + rare, 5, 1, vec![15, 10, 5, 0]),
        (after(5) + rare + "&size=2", 5, 3, vec![10, 15]),
        (after(5) + "&fromId=nobody", 0, 0, vec![]),
        (format!("&asOf={}", id(12)) + &after(10), 13, 2, up(11, 12)),
        (
            format!("&asOf={}", id(12)) + &before(20),
            13,
            2,
            down(12, 3),
        ),
        ("&order=desc".into(), 25, 3, down(24, 15)),
        ("&order=asc".into(), 25, 3, up(0, 9)),
        ("&order=asc&page=3".into(), 25, 3, up(20, 24)),
        ("&order=asc&page=4".into(), 25, 3, vec![]),
        (
            format!("&order=asc&asOf={}", id(12)) + "&page=2",
            13,
            2,
            up(10, 12),
        ),
        (
            "&order=asc&size=2&page=2&fromId=rare".into(),
            5,
            3,
            vec![10, 15],
        ),
    ];
    for (query, total, pages, contents) in cases {
        let answer = server.history("box", &query).await;
        assert_eq!(numbers(&answer), contents, "{query}");
        assert_eq!(answer["total"], total, "{query}");
        assert_eq!(answer["pages"], pages, "{query}");
        if query.contains("before=") || query.contains("after=") {
            assert_eq!(answer["page"], 0, "{query}");
        }
    }
}

#[tokio::test]
async fn times_are_inclusive_and_go_with_everything() {
    let server = filled().await;
    let all = server.mailbox("box").await;
    let sent = |n: usize| all[n]["sendAt"].as_u64().unwrap();
    let matching = |since: u64, until: u64| -> Vec<u64> {
        let sent_then = |n: &u64| (since..=until).contains(&sent(usize::try_from(*n).unwrap()));
        (0..25).filter(sent_then).collect()
    };
    for (first, last) in [(0, 24), (3, 3), (7, 18), (24, 24), (18, 7)] {
        for (less, more) in [(0, 0), (1, 0), (0, 1)] {
            let (since, until) = (sent(first) - less, sent(last) + more);
            let up = matching(since, until);
            let down: Vec<u64> = up.iter().rev().copied().collect();
            let times = format!("&size=100&since={since}&until={until}");
            for (more, expected) in [("", &down), ("&order=asc", &up), ("&after=0", &up)] {
                let query = format!("{times}{more}");
                let answer = server.history("box", &query).await;
                assert_eq!(numbers(&answer), *expected, "{query}");
                assert_eq!(answer["total"], up.len(), "{query}");
            }
        }
    }
    let since = format!("&since={}&size=100", sent(10));
    // Others may have been sent in the same millisecond.
    let expected: Vec<u64> = matching(sent(10), u64::MAX).into_iter().rev().collect();
    assert_eq!(numbers(&server.history("box", &since).await), expected);
    let rare = format!("&until={}&fromId=rare", sent(10));
    let expected = matching(0, sent(10)).into_iter().rev();
    let expected: Vec<u64> = expected.filter(|n| n % 5 == 0).collect();
    assert_eq!(numbers(&server.history("box", &rare).await), expected);
    let never = server.history("box", "&since=9007199254740991").await;
    assert_eq!((&never["total"], &never["asOf"]), (&0.into(), &0.into()));
    assert!(ids(&server.history("box", "&until=0").await).is_empty());
}

#[tokio::test]
async fn what_does_not_go_together_is_refused_with_both_names() {
    let server = Service::start();
    let value = |name: &str| match name {
        "with" | "fromId" => "u1",
        "order" => "desc",
        _ => "1",
    };
    for (one, other) in [
        ("with", "fromId"),
        ("with", "page"),
        ("with", "order"),
        ("before", "page"),
        ("before", "order"),
        ("after", "page"),
        ("after", "order"),
    ] {
        let target = format!("{LOG}&{one}={}&{other}={}", value(one), value(other));
        let detail = server.get(&target, Some(PROJECT_TOKEN)).await.problem(400);
        for name in [one, other] {
            assert!(detail.contains(&format!("`{name}`")), "{target}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_number_is_the_same_in_any_notation() {
    let server = filled().await;
    let id = server.history("box", "").await["list"][9]["msgId"]
        .as_u64()
        .unwrap();
    let (first, rest) = (id / 10_u64.pow(15), id % 10_u64.pow(15));
    let exponent = format!("{first}.{rest:015}");
    let cases = ["before", "after", "asOf"].iter().flat_map(|name| {
        [
            format!("{id}.0"),
            format!("{exponent}E15"),
            format!("{exponent}e%2B15"),
            // As programs write it that do not escape it.
            format!("{exponent}e+15"),
            format!("%22{id}%22"),
        ]
        .map(|value| (*name, id.to_string(), value))
    });
    let others = [("size", "5"), ("page", "2"), ("since", "0")]
        .map(|(name, value)| (name, value.to_owned(), format!("{value}.0")));
    for (name, plain, notation) in cases.chain(others) {
        let expected = server.history("box", &format!("&{name}={plain}")).await;
        let found = server.history("box", &format!("&{name}={notation}")).await;
        assert_eq!(found, expected, "{name}={notation}");
    }
}

#[tokio::test]
async fn values_that_nobody_knows_and_repeats_are_refused() {
    let server = Service::start();
    let numbers = [
        "",
        "-1",
        "+1",
        "1.5",
        "x",
        "%201",
        "1e400",
        "9007199254740992",
    ];
    let cases = ["before", "after", "since", "until", "asOf"]
        .iter()
        .flat_map(|name| numbers.map(|value| (*name, value)));
    let orders = ["", "ASC", "up", "asc,desc"].map(|value| ("order", value));
    let withs = [("with", ""), ("with", "a%00b")];
    for (name, value) in cases.chain(orders).chain(withs) {
        let target = format!("{LOG}&{name}={value}");
        let detail = server.get(&target, Some(PROJECT_TOKEN)).await.problem(400);
        assert!(detail.contains(&format!("`{name}`")), "{target}: {detail}");
    }
    for (name, value) in [
        ("before", "5"),
        ("after", "5"),
        ("since", "5"),
        ("until", "5"),
        ("asOf", "5"),
        ("with", "u1"),
        ("order", "asc"),
    ] {
        let target = format!("{LOG}&{name}={value}&{name}={value}");
        let detail = server.get(&target, Some(PROJECT_TOKEN)).await.problem(400);
        assert!(detail.contains(&format!("`{name}`")), "{target}: {detail}");
    }
}
