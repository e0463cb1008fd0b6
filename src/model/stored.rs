//! What storing takes, as rates by bytes and quotas count it.

use super::Draft;

/// What a stored message takes beside its names and its content.
pub const MESSAGE_BYTES: u64 = 512;

impl Draft {
    /// What storing it takes: for each recipient the names, the content and [`MESSAGE_BYTES`].
    pub fn stored_bytes(&self) -> u64 {
        let to_resource = self
            .to_resource
            .as_ref()
            .map_or(0, |name| name.as_str().len());
        let each = self.domain.as_str().len()
            + to_resource
            + self.from_id.as_str().len()
            + self.from_name.as_str().len()
            + self.from_resource.as_str().len()
            + self.content.len();
        let to: usize = self
            .recipients
            .iter()
            .map(|to| to.user.as_str().len())
            .sum();
        let count = self.recipients.len() as u64;
        count * (each as u64 + MESSAGE_BYTES) + to as u64
    }
}
