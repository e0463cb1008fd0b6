//! The `Link` header (RFC 8288).

use super::{LOG, Service, filled, ids};
use crate::harness::links::links;
use crate::support::{PROJECT_TOKEN, encode};

#[tokio::test]
async fn pages_link_to_their_neighbours() {
    let server = filled().await;
    let cases = [
        ("", "first next last"),
        ("&page=2", "first prev next last"),
        ("&page=3", "first prev last"),
        // Back to what there is.
        ("&page=9", "first prev last"),
        ("&size=100", "first last"),
        ("&fromId=nobody", ""),
        ("&order=asc&page=2", "first prev next last"),
        ("&before=9007199254740991", "next"),
        ("&after=0", "next"),
        ("&after=0&size=25", ""),
        ("&after=0&before=9007199254740991", "next"),
        ("&with=rare&size=4", "next"),
        ("&with=rare&size=5", ""),
    ];
    for (query, expected) in cases {
        let answer = server
            .get(&format!("{LOG}{query}"), Some(PROJECT_TOKEN))
            .await;
        let links = links(&answer);
        let mut expected: Vec<&str> = expected.split_whitespace().collect();
        expected.sort_unstable();
        assert_eq!(links.keys().collect::<Vec<_>>(), expected, "{query}");
        for (rel, target) in &links {
            let there = server.get(target, Some(PROJECT_TOKEN)).await;
            let (here, there) = (answer.json(), there.json());
            assert_eq!(there["asOf"], here["asOf"], "{target}");
            assert_eq!(there["total"], here["total"], "{target}");
            assert!(
                !ids(&there).is_empty(),
                "{query}: {rel} leads nowhere: {target}"
            );
        }
    }
    let beyond = server
        .get(&format!("{LOG}&page=9"), Some(PROJECT_TOKEN))
        .await;
    assert!(links(&beyond)["prev"].contains("page=3"));
}

#[tokio::test]
async fn links_carry_filters_and_never_the_token() {
    let server = Service::start();
    let names = ["a&b=c", "+ %é\"<>;,"];
    for n in 0..5 {
        server.say(names[0], names[1], &n.to_string()).await;
    }
    let (to, from) = (encode(names[1]), encode(names[0]));
    let token = server.mint(names[1]);
    for more in [
        format!("&fromId={from}&order=asc&since=1&until=9007199254740991"),
        format!("&with={from}&since=1&until=9007199254740991"),
        format!("&fromId={from}&after=0&since=1"),
    ] {
        let target = format!("/message-log?domain=demo&toId={to}&size=2{more}");
        let answer = server.get(&format!("{target}&token={token}"), None).await;
        assert!(!answer.header("link").contains("token"), "{more}");
        assert!(answer.header("link").is_ascii());
        let mut listed = ids(&answer.json());
        let mut next = links(&answer).remove("next");
        while let Some(target) = next {
            for name in more.split('&').filter_map(|pair| pair.split_once('=')) {
                assert!(target.contains(&format!("&{}=", name.0)), "{target}");
            }
            let answer = server.get(&target, Some(&token)).await;
            listed.extend(ids(&answer.json()));
            next = links(&answer).remove("next");
        }
        assert_eq!(listed.len(), 5, "{more}");
        let sorted = listed.is_sorted() || listed.iter().rev().is_sorted();
        assert!(sorted, "{more}: {listed:?}");
    }
}
