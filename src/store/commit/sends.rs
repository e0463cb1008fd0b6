//! Sends in a batch: deduplication, then ids.

use super::batch::StagedBatch;
use super::committer::Committer;
use crate::model::{Draft, Mailbox, Message, MsgId};
use crate::store::api::{Accepted, AppendError};
use crate::store::data::{SendIds, SendKey, quota, record};

impl Committer {
    /// What became of this send when it came before, in this batch too.
    fn known(&self, batch: &StagedBatch, key: &SendKey) -> Result<Option<Accepted>, AppendError> {
        let known = match batch.repeats.get(key) {
            Some(ids) => Some(*ids),
            None => self.shared.known_send(key)?,
        };
        Ok(known.map(|known| Accepted {
            ids: known.ids(),
            duplicate: true,
            stored_bytes: 0,
        }))
    }

    /// As [`crate::store::Store::repeat`].
    pub(super) fn stage_repeat(
        &self,
        batch: &StagedBatch,
        key: &SendKey,
    ) -> Result<Accepted, AppendError> {
        self.known(batch, key)?.ok_or(AppendError::NotRepeated)
    }

    pub(super) fn stage_append(
        &mut self,
        batch: &mut StagedBatch,
        draft: Draft,
    ) -> Result<Accepted, AppendError> {
        // It would be above the low watermark, and so come back with a domain of that name.
        if self.shared.domains().is_removed(&draft.domain) {
            return Err(AppendError::DomainRemoved);
        }
        let key = draft.client_msg_id.clone().map(|client_msg_id| SendKey {
            domain: draft.domain.clone(),
            from_id: draft.from_id.clone(),
            client_msg_id,
        });
        if let Some(key) = &key
            && let Some(accepted) = self.known(batch, key)?
        {
            return Ok(accepted);
        }
        let unknown = batch.cursors.unknown(&self.shared, &draft)?;
        let devices = unknown
            .iter()
            .map(|of| quota::cursor(&of.mailbox, &of.resource));
        let stored_bytes = quota::stored_bytes(&draft) + devices.sum::<u64>();
        let count = draft.recipients.len();
        let first = self.next_ids(count as u64).ok_or_else(|| {
            AppendError::Unavailable("no message id is left at this time".to_owned())
        })?;
        let from = batch.messages.len();
        for (id, recipient) in (first.0..).zip(draft.recipients) {
            batch.messages.push(Message {
                id: MsgId(id),
                mailbox: Mailbox {
                    domain: draft.domain.clone(),
                    user: recipient.user,
                },
                to_resource: draft.to_resource.clone(),
                from_id: draft.from_id.clone(),
                from_name: draft.from_name.clone(),
                from_resource: draft.from_resource.clone(),
                kind: draft.kind,
                content: draft.content.clone(),
                recipient_offline: recipient.offline,
            });
        }
        let messages = &batch.messages[from..];
        let client_msg_id = draft.client_msg_id.as_ref();
        self.frame
            .push(|out| record::encode_send(messages, client_msg_id, out));
        let (shared, frame) = (&self.shared, &mut self.frame);
        batch.cursors.make_known(shared, frame, &unknown);
        let ids = SendIds {
            first,
            count: count as u32,
        };
        if let Some(key) = key {
            batch.repeats.insert(key.clone(), ids);
            batch.sends.push((key, ids));
        }
        Ok(Accepted {
            ids: ids.ids(),
            duplicate: false,
            stored_bytes,
        })
    }
}
