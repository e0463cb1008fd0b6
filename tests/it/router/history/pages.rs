//! Pages, who may read them, and the HTTP errors of section 7.

use std::time::Duration;

use serde_json::json;

use super::{LOG, Service, filled};
use crate::router::service::TTL;
use crate::support::{DEMO, PROJECT_TOKEN, encode};

#[tokio::test]
async fn pages_are_counted_and_newest_first() {
    let server = filled().await;
    let newest = server.history("box", "").await["list"][0]["msgId"].clone();
    // query, page, size, pages, total, contents (newest, oldest, count)
    let cases = [
        ("", 1, 10, 3, 25, Some((24, 15, 10))),
        ("&page=1&size=10", 1, 10, 3, 25, Some((24, 15, 10))),
        ("&page=2", 2, 10, 3, 25, Some((14, 5, 10))),
        ("&page=3", 3, 10, 3, 25, Some((4, 0, 5))),
        ("&page=4", 4, 10, 3, 25, None),
        ("&page=1000000000", 1_000_000_000, 10, 3, 25, None),
        ("&size=1&page=25", 25, 1, 25, 25, Some((0, 0, 1))),
        ("&size=25", 1, 25, 1, 25, Some((24, 0, 25))),
        ("&size=100", 1, 100, 1, 25, Some((24, 0, 25))),
        ("&size=24&page=2", 2, 24, 2, 25, Some((0, 0, 1))),
        ("&fromId=rare", 1, 10, 1, 5, Some((20, 0, 5))),
        ("&fromId=rare&size=2&page=2", 2, 2, 3, 5, Some((10, 5, 2))),
        ("&fromId=often&size=20", 1, 20, 1, 20, Some((24, 1, 20))),
        ("&fromId=nobody", 1, 10, 0, 0, None),
    ];
    for (query, page, size, pages, total, contents) in cases {
        let answer = server.history("box", query).await;
        assert_eq!(answer["page"], page, "{query}");
        assert_eq!(answer["size"], size, "{query}");
        assert_eq!(answer["pages"], pages, "{query}");
        assert_eq!(answer["total"], total, "{query}");
        if !query.contains("nobody") && !query.contains("rare") {
            assert_eq!(answer["asOf"], newest, "{query}");
        }
        let list = answer["list"].as_array().unwrap();
        let found = list.first().map(|first| {
            let number = |v: &serde_json::Value| v["content"].as_str().unwrap().parse().unwrap();
            (number(first), number(list.last().unwrap()), list.len())
        });
        assert_eq!(found, contents, "{query}");
        let ids: Vec<_> = list.iter().map(|m| m["msgId"].as_u64().unwrap()).collect();
        assert!(
            ids.windows(2).all(|two| two[0] > two[1]),
            "{query}: {ids:?}"
        );
    }
    let message = server.history("box", "&fromId=rare").await["list"][0].clone();
    let id = message["msgId"].as_u64().unwrap();
    let expected = json!({
        "fromId": "rare", "fromName": "Name of rare", "fromResource": "web", "toId": "box",
        "domain": DEMO, "type": 10, "content": "20", "sendAt": id / 1000, "offline": true,
        "msgId": id,
    });
    assert_eq!(message, expected);
}

#[tokio::test]
async fn an_empty_mailbox_is_no_error() {
    let server = Service::start();
    let answer = server.history("never-written-to", "").await;
    let expected = json!({"total": 0, "page": 1, "size": 10, "pages": 0, "asOf": 0, "list": []});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let server = Service::start();
    let long = "x".repeat(300);
    let cases = [
        ("domain", "toId=box".to_owned()),
        ("domain", "domain=&toId=box".to_owned()),
        ("domain", format!("domain={long}&toId=box")),
        ("domain", "domain=demo&domain=demo&toId=box".to_owned()),
        ("toId", "domain=demo".to_owned()),
        ("toId", "domain=demo&toId=".to_owned()),
        ("toId", format!("domain=demo&toId={long}")),
        ("toId", "domain=demo&toId=a&toId=b".to_owned()),
        ("toId", "domain=demo&toId=a%00b".to_owned()),
        ("toId", "domain=demo&toId=a%zz".to_owned()),
        ("toId", "domain=demo&toId=%ff".to_owned()),
        ("fromId", "domain=demo&toId=box&fromId=".to_owned()),
        ("fromId", format!("domain=demo&toId=box&fromId={long}")),
        (
            "fromId",
            "domain=demo&toId=box&fromId=a&fromId=a".to_owned(),
        ),
        ("page", "domain=demo&toId=box&page=1&page=1".to_owned()),
        ("size", "domain=demo&toId=box&size=1&size=1".to_owned()),
    ];
    let numbers = [
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "1x",
        "%201",
        "99999999999999999999999999",
    ];
    let numbers = numbers.iter().flat_map(|n| {
        ["page", "size"].map(|name| (name, format!("domain=demo&toId=box&{name}={n}")))
    });
    let sizes = ["101", "1000"].map(|n| ("size", format!("domain=demo&toId=box&size={n}")));
    for (name, query) in cases.into_iter().chain(numbers).chain(sizes) {
        let answer = server
            .get(&format!("/message-log?{query}"), Some(PROJECT_TOKEN))
            .await;
        let detail = answer.problem(400);
        assert!(detail.contains(name), "{query}: {detail}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{query}");
    }
}

#[tokio::test]
async fn only_those_who_may_read_a_mailbox_can() {
    let server = filled().await;
    let elsewhere = server.add_domain("other");
    let reader = server.mint("box");
    let writer = server.mint("rare");
    let stranger = server.mint("stranger");
    let foreign = server.mint_for("other", "box", TTL, false);
    let from = |who: &str| format!("{LOG}&fromId={who}");
    let own = "/message-log?domain=demo&toId=rare".to_owned();
    let unknown = "/message-log?domain=nowhere&toId=box".to_owned();
    // case, target, token, status, total
    let cases = [
        ("project", LOG.to_owned(), PROJECT_TOKEN, 200, 25),
        ("the recipient", LOG.to_owned(), &reader, 200, 25),
        ("the recipient, by sender", from("rare"), &reader, 200, 5),
        (
            "the sender of what is listed",
            from("rare"),
            &writer,
            200,
            5,
        ),
        ("its own mailbox", own, &writer, 200, 0),
        ("a sender, but all senders", LOG.to_owned(), &writer, 403, 0),
        ("a sender, but another's", from("often"), &writer, 403, 0),
        ("a stranger", LOG.to_owned(), &stranger, 403, 0),
        ("a stranger, by sender", from("rare"), &stranger, 403, 0),
        (
            "the same id of another domain",
            LOG.to_owned(),
            &foreign,
            403,
            0,
        ),
        (
            "another domain's project",
            LOG.to_owned(),
            &elsewhere,
            401,
            0,
        ),
        ("an unknown domain", unknown, PROJECT_TOKEN, 401, 0),
        ("a token of nobody", LOG.to_owned(), "rb-of-nobody", 401, 0),
    ];
    for (case, target, token, status, total) in cases {
        let with_token = format!("{target}&token={}", encode(token));
        for answer in [
            server.get(&target, Some(token)).await,
            server.get(&with_token, None).await,
        ] {
            assert_eq!(answer.status, status, "{case}: {}", answer.body);
            if status == 200 {
                assert_eq!(answer.json()["total"], total, "{case}");
                continue;
            }
            answer.problem(status);
            assert!(!answer.body.contains(token), "{case}: {}", answer.body);
            if status == 401 {
                assert!(
                    answer.header("www-authenticate").starts_with("Bearer"),
                    "{case}"
                );
            }
        }
    }
    let none = server.get(LOG, None).await;
    none.problem(401);
    assert!(none.header("www-authenticate").starts_with("Bearer"));
    let basic = server
        .request("GET", LOG, &[("authorization", "Basic dTpw")])
        .await;
    basic.problem(401);
}

#[tokio::test]
async fn a_token_that_came_twice_is_no_guess() {
    let server = Service::start();
    let good = format!("Bearer {PROJECT_TOKEN}");
    let another = server.mint("box");
    let bad = format!("{LOG}&token={another}");
    let one = [("authorization", good.as_str())];
    let two = [one[0], ("authorization", "Bearer another")];
    for (target, headers) in [(LOG, &two[..]), (&bad, &one[..])] {
        let answer = server.request("GET", target, headers).await;
        let detail = answer.problem(400);
        assert!(detail.contains("`token`"), "{detail}");
    }
    for counts in [PROJECT_TOKEN, "of-a-proxy"] {
        let target = format!("{LOG}&token={counts}");
        assert_eq!(server.request("GET", &target, &one).await.status, 200);
    }
}

#[tokio::test]
async fn an_expired_token_reads_nothing() {
    let server = Service::start();
    let token = server.mint_for(DEMO, "box", Duration::from_secs(3), false);
    assert_eq!(server.get(LOG, Some(&token)).await.status, 200);
    server.clock.advance_us(2_999_999);
    assert_eq!(server.get(LOG, Some(&token)).await.status, 200);
    server.clock.advance_us(1);
    let expired = server.get(LOG, Some(&token)).await;
    expired.problem(401);
    assert!(expired.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_answers() {
    let server = Service::start();
    let origin = ("origin", "https://app.example");
    for token in [PROJECT_TOKEN, "unknown"] {
        let bearer = format!("Bearer {token}");
        let headers = [origin, ("authorization", bearer.as_str())];
        let answer = server.request("GET", LOG, &headers).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let preflight = [
        origin,
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let answer = server.request("OPTIONS", LOG, &preflight).await;
    assert!((200..300).contains(&answer.status), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("GET")
    );
    // A wildcard does not cover this header (Fetch standard).
    let allowed = answer
        .header("access-control-allow-headers")
        .to_ascii_lowercase();
    assert!(allowed.contains("authorization"), "{allowed}");
}

#[tokio::test]
async fn only_the_recipient_and_backends_learn_who_was_there() {
    let server = Service::start();
    server.say("a", "box", "x").await;
    for (user, is_told) in [("a", false), ("box", true)] {
        let token = server.mint(user);
        for who in ["fromId", "with"] {
            let target = format!("{LOG}&{who}=a");
            let page = server.get(&target, Some(&token)).await.json();
            assert_eq!(page["list"][0]["offline"], is_told, "{user} {who}: {page}");
        }
    }
    assert_eq!(server.history("box", "").await["list"][0]["offline"], true);
}
