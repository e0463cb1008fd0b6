//! Whether what is kept for a short time is there, and only that.

use std::time::SystemTime;

use crate::support::Server;
use crate::support::brief::{Brief, DOMAIN, RETENTION, SENDERS, TOKEN};

impl Brief {
    /// Asserts that a server has what was acknowledged in the last seconds, and nothing older.
    pub async fn check(&self, server: &Server) {
        for number in 0..SENDERS {
            let target = format!("/message-log?domain={DOMAIN}&toId=brief-{number}&size=100");
            let before = oldest_kept();
            let answer = server.get(&target, Some(TOKEN)).await;
            let after = oldest_kept();
            assert_eq!(answer.status, 200, "{}", answer.body);
            let answer = answer.json();
            let listed = answer["list"].as_array().unwrap().iter();
            let listed: Vec<u64> = listed.map(|m| m["msgId"].as_u64().unwrap()).collect();
            let expired = listed.iter().find(|id| **id < before);
            assert!(expired.is_none(), "{expired:?} has expired: {answer}");
            let ids = self.ids[number].lock().unwrap();
            let recent = ids.iter().rev().take_while(|id| **id > after).take(50);
            for id in recent {
                assert!(listed.contains(id), "LOST: {id} to brief-{number}");
            }
        }
    }
}

/// The lowest id that has not expired.
fn oldest_kept() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from((now.unwrap() - RETENTION).as_micros()).unwrap()
}
