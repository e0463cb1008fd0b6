//! The size of a send, as counted by rates in bytes.

use super::Draft;

/// Overhead per recipient, beside the names and the content.
pub const MESSAGE_BYTES: u64 = 512;

impl Draft {
    /// For each recipient, the names, the content and [`MESSAGE_BYTES`].
    pub fn sent_bytes(&self) -> u64 {
        let ids = self.recipients.iter().map(|to| to.user.as_str().len());
        let count = self.recipients.len() as u64;
        count * (self.each_bytes() + MESSAGE_BYTES) + ids.sum::<usize>() as u64
    }

    /// The names and the content, common to all recipients.
    pub fn each_bytes(&self) -> u64 {
        let to_resource = self.to_resource.as_ref().map_or(0, |to| to.as_str().len());
        let bytes = self.domain.as_str().len()
            + to_resource
            + self.from_id.as_str().len()
            + self.from_name.as_str().len()
            + self.from_resource.as_str().len()
            + self.content.len();
        bytes as u64
    }
}
