//! More that a client can be asked for.

use std::collections::VecDeque;

use serde_json::Value;

use crate::support::Client;
use crate::support::client::Event;

impl Client {
    /// The next text frame.
    pub async fn text(&mut self) -> String {
        if let Some(text) = self.held.pop_front() {
            return text;
        }
        match self.event("a text frame").await {
            Event::Text(text) => text,
            other => panic!("instead of a text frame: {other:?}"),
        }
    }

    /// The contents of the next `count` delivered messages.
    pub async fn contents(&mut self, count: usize) -> Vec<Value> {
        let mut contents = Vec::new();
        for _ in 0..count {
            contents.push(self.message().await["content"].take());
        }
        contents
    }

    /// The next text frame, or nothing where the server closes instead.
    pub async fn text_or_close(&mut self) -> Option<String> {
        self.text_or_code().await.ok()
    }

    /// Text frames that came and were not asked for.
    pub fn held(&self) -> &VecDeque<String> {
        &self.held
    }

    /// Waits until the connection is gone, however it ends.
    pub async fn gone(mut self) {
        while !matches!(self.event("the end").await, Event::Ended(_)) {}
    }
}
