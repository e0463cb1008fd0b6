//! Reading and erasing a mailbox over HTTP: PROTOCOL sections 5 to 7.

mod erasing;
pub(crate) mod open;
mod pages;
mod unread;
mod walks;

use crate::support::Server;
use serde_json::Value;

pub(crate) const LOG: &str = "/message-log?domain=demo&toId=box";

/// A server whose mailbox `box` holds 25 messages: n = 0..25, every fifth from `rare`.
async fn filled() -> Server {
    let server = Server::start().await;
    let mut often = server.user("often").await;
    let mut rare = server.user("rare").await;
    for n in 0..25 {
        let sender = if n % 5 == 0 { &mut rare } else { &mut often };
        sender.say_acked("box", &n.to_string()).await;
    }
    drop((often, rare));
    server
}

/// The contents of a list, which are numbers.
pub(crate) fn numbers(answer: &Value) -> Vec<u64> {
    let list = answer["list"].as_array().unwrap().iter();
    list.map(|message| message["content"].as_str().unwrap().parse().unwrap())
        .collect()
}

/// The ids of a list.
pub(crate) fn ids(answer: &Value) -> Vec<u64> {
    let list = answer["list"].as_array().unwrap().iter();
    list.map(|message| message["msgId"].as_u64().unwrap())
        .collect()
}
