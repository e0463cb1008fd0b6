//! The step that reads the history and compares it with the list.

use serde_json::Value;

use super::session::{Outcome, fail};
use super::state::{Id, Message};
use super::world::World;
use crate::support::encode;
use crate::support::http::Answer;
use proptest::test_runner::TestCaseError;

/// Pages that a step reads at most: each is a connection of its own.
const PAGES_MAX: usize = 3;

impl World<'_> {
    /// All pages of a mailbox, perhaps of one sender only, pinned by `asOf` while messages come in.
    pub async fn page(
        &mut self,
        user: usize,
        size: u8,
        from: Option<usize>,
        growing: bool,
    ) -> Outcome {
        let mailbox = self.model.mailbox(user).iter();
        let matching = |m: &&Message| from.is_none_or(|from| m.from.user == from);
        let mut expected: Vec<Message> = mailbox.filter(matching).cloned().collect();
        expected.reverse();
        let size = usize::from(size).max(expected.len().div_ceil(PAGES_MAX));
        let size = size.clamp(1, 100);
        let pages = expected.len().div_ceil(size);
        let mut as_of: Option<Id> = None;
        let mut listed = Vec::new();
        for page in 1..=pages.max(1) {
            let answer = self.history(user, from, (page, size), as_of).await?;
            let told = answer["asOf"].as_u64().unwrap_or_default();
            let right = answer["total"] == expected.len()
                && answer["pages"] == pages
                && answer["page"] == page
                && answer["size"] == size
                && told >= expected.first().map_or(0, |m| m.id)
                && as_of.is_none_or(|as_of| as_of == told);
            let Some(list) = answer["list"].as_array().filter(|_| right) else {
                let total = expected.len();
                fail!("page {page} of {pages}, asOf {as_of:?}, total {total}: {answer}");
            };
            listed.extend(list.iter().cloned());
            if expected.is_empty() {
                break;
            }
            as_of = Some(told);
            if growing {
                self.send_meanwhile(user, 1).await?;
            }
        }
        if listed.len() != expected.len() {
            let lengths = (listed.len(), expected.len());
            fail!("{lengths:?} messages in the history and in the list: {listed:?}");
        }
        for (message, given) in expected.iter().zip(&listed) {
            let checked = self.model.listed(message, given);
            checked.map_err(TestCaseError::fail)?;
        }
        Ok(())
    }

    async fn history(
        &self,
        user: usize,
        from: Option<usize>,
        (page, size): (usize, usize),
        as_of: Option<Id>,
    ) -> Outcome<Value> {
        let names = &self.model.names;
        let (domain, to) = (encode(&names.domain), encode(&names.users[user]));
        let mut target = format!("/message-log?domain={domain}&toId={to}&page={page}&size={size}");
        if let Some(from) = from {
            target += &format!("&fromId={}", encode(&names.users[from]));
        }
        if let Some(as_of) = as_of {
            target += &format!("&asOf={as_of}");
        }
        let stream = self.door.stream(false).await;
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str())];
        let answer = Answer::of(stream, "GET", &target, &headers).await;
        if answer.status != 200 {
            fail!("{target}: {answer:?}");
        }
        Ok(answer.json())
    }
}
