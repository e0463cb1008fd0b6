//! Applies the records of a replayed frame to memtables and domains.

use crate::model::MsgId;
use crate::store::data::{Domains, Record, SendIds, SendKey};
use crate::store::journal::Position;
use crate::store::memtable::{EncodedBatch, Memtables};

/// Applies the records of one frame.
pub(crate) fn take(
    domains: &mut Domains,
    memtables: &mut Memtables,
    records: Vec<Record>,
    behind: Position,
) {
    let mut last_id = MsgId::ZERO;
    let mut batch = Vec::new();
    for record in records {
        if let Some((domain, state)) = domains.apply(&record) {
            last_id = last_id.max(state.low_watermark);
            memtables.push_domain(domain, state);
        }
        match record {
            Record::Send {
                messages,
                client_msg_id,
            } => {
                let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
                    continue;
                };
                last_id = last_id.max(last.id);
                if let Some(client_msg_id) = client_msg_id {
                    let key = SendKey {
                        domain: first.mailbox.domain.clone(),
                        from_id: first.from_id.clone(),
                        client_msg_id,
                    };
                    let ids = SendIds {
                        first: first.id,
                        count: messages.len() as u32,
                    };
                    memtables.push_send(key, ids);
                }
                batch.extend(messages);
            }
            Record::SendIds { key, ids } => {
                last_id = last_id.max(ids.last());
                memtables.push_send(key, ids);
            }
            Record::Erased { mailbox, upto, .. } => {
                // This id may have been issued and never stored; the next one is above it.
                last_id = last_id.max(upto);
                domains.low_watermarks.raise(&mailbox, upto);
                memtables.push_erased(mailbox, upto);
            }
            Record::Cursor { device, change } => memtables.push_cursor(&device, change),
            Record::Confirmed { mailbox, id } => memtables.push_confirmed(&mailbox, id),
            Record::Age(age) => memtables.push_age(age),
            Record::Domain(_) | Record::DomainRemoved { .. } => {}
        }
    }
    memtables.push_messages(EncodedBatch::new(&batch));
    memtables.advance(last_id, behind);
}
