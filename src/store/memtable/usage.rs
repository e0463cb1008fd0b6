//! How much of a domain the memtables hold, as its quota counts it.

use super::pair::Memtables;
use super::table::Memtable;
use crate::model::{Domain, Mailbox, MsgId};
use crate::store::data::{CursorChange, body, quota};

impl Memtables {
    /// As [`crate::store::Store::usage`]. Counts messages above the low watermark of their mailbox.
    pub(crate) fn bytes_of(
        &self,
        domain: &Domain,
        low_watermark: impl Fn(&Mailbox) -> MsgId,
    ) -> u64 {
        let of = |part: &Memtable| part.messages_of(domain, &low_watermark) + part.rows_of(domain);
        self.both().map(of).sum()
    }
}

impl Memtable {
    fn messages_of(&self, domain: &Domain, low_watermark: &impl Fn(&Mailbox) -> MsgId) -> u64 {
        let mut bytes = 0;
        for (mailbox, part) in &self.mailboxes {
            if mailbox.domain != *domain {
                continue;
            }
            let low_watermark = low_watermark(mailbox).0;
            let each = quota::message(domain, &mailbox.user);
            for entry in part.entries.iter().filter(|entry| entry.id > low_watermark) {
                let body = self.body(*entry);
                let is_of_another = self.shared_from(*entry).is_some_and(|id| id != entry.id);
                let body_bytes = match is_of_another {
                    true => body::sender(body).map_or(0, <[u8]>::len),
                    false => body.len(),
                };
                bytes += each + body_bytes as u64;
            }
        }
        bytes
    }

    fn rows_of(&self, domain: &Domain) -> u64 {
        let sends = self.sends.keys().filter(|key| key.domain == *domain);
        let sends = sends.map(|key| quota::send(&key.domain, &key.from_id, &key.client_msg_id));
        let erased = self.erased.keys().filter(|of| of.domain == *domain);
        let erased = erased.map(quota::erasure);
        let cursors = self.cursors.iter().filter(|(of, _)| of.domain == *domain);
        let cursors = cursors.map(|(mailbox, user)| {
            // Cursors that are only raised are nearly always in the index already.
            let new = user.kept().iter();
            let new = new.filter(|(_, change)| matches!(change, CursorChange::Set(_)));
            let bytes = new.map(|(resource, _)| quota::cursor(mailbox, resource));
            bytes.sum::<u64>()
        });
        sends.chain(erased).chain(cursors).sum()
    }
}
