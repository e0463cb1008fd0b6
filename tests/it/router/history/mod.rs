//! Reading and erasing a mailbox: PROTOCOL sections 5 to 7.

mod conversations;
mod cursors;
mod erasing;
mod links;
mod open;
mod pages;

use super::Service;
use crate::history::{LOG, ids, numbers};

/// A service whose mailbox `box` holds 25 messages: n = 0..25, every fifth from `rare`.
async fn filled() -> Service {
    filled_with("").await
}

/// The same with these settings.
async fn filled_with(settings: &str) -> Service {
    let service = Service::with(settings);
    for n in 0..25 {
        let sender = if n % 5 == 0 { "rare" } else { "often" };
        service.say(sender, "box", &n.to_string()).await;
    }
    service
}
