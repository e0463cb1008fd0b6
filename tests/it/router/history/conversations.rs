//! `with`: both directions of a conversation.

use super::{Service, ids, numbers};
use crate::support::PROJECT_TOKEN;

const ANN: &str = "/message-log?domain=demo&toId=ann";

/// Ann and Bob take turns, with notes to themselves and a third one in between.
async fn talked() -> Service {
    let server = Service::start();
    for n in 0..30 {
        let content = n.to_string();
        match n % 6 {
            0 | 1 => server.say("ann", "bob", &content).await,
            2 | 3 => server.say("bob", "ann", &content).await,
            4 => server.say("ann", "ann", &content).await,
            _ => server.say("eve", ["ann", "bob"][n % 2], &content).await,
        };
    }
    server
}

#[tokio::test]
async fn a_conversation_is_both_directions_in_one_order() {
    let server = talked().await;
    let theirs: Vec<u64> = (0..30).rev().filter(|n| n % 6 < 4).collect();
    for (to, with) in [("ann", "bob"), ("bob", "ann")] {
        let answer = server.history(to, &format!("&with={with}&size=100")).await;
        assert_eq!(numbers(&answer), theirs);
        assert_eq!(answer["total"], 20);
        let ids = ids(&answer);
        assert_eq!(answer["asOf"], ids[0]);
        let cursors = [
            (format!("&before={}&size=7", ids[5]), &theirs[6..13]),
            (
                format!("&before={}&after={}", ids[5], ids[9]),
                &theirs[6..9],
            ),
        ];
        for (query, expected) in cursors {
            let answer = server.history(to, &format!("&with={with}{query}")).await;
            assert_eq!(numbers(&answer), expected, "{query}");
            assert_eq!(answer["total"], 20);
        }
        let query = format!("&with={with}&after={}&size=4", ids[9]);
        let up: Vec<u64> = theirs[5..9].iter().rev().copied().collect();
        assert_eq!(numbers(&server.history(to, &query).await), up);
    }
    let notes = server.history("ann", "&with=ann&size=100").await;
    assert_eq!(numbers(&notes), [28, 22, 16, 10, 4]);
    assert_eq!(notes["total"], 5);
    let nothing = server.history("bob", "&with=nobody").await;
    assert_eq!(
        (&nothing["total"], &nothing["asOf"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn those_who_talk_may_read_it() {
    let server = talked().await;
    let (ann, bob) = (server.mint("ann"), server.mint("bob"));
    let eve = server.mint("eve");
    let status = async |more: &str, token: &str| {
        let answer = server.get(&format!("{ANN}{more}"), Some(token)).await;
        answer.status
    };
    for token in [ann.as_str(), &bob, PROJECT_TOKEN] {
        assert_eq!(status("&with=bob", token).await, 200);
    }
    assert_eq!(status("&with=bob", &eve).await, 403);
    assert_eq!(status("&with=eve", &bob).await, 403);
    assert_eq!(status("&with=eve", &eve).await, 200);
    assert_eq!(status("", &bob).await, 403);
}
