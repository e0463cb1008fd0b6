//! How much of a list is read at once, and from which end.

use crate::model::Message;

/// From which end of a list messages are read, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// From the newest on downwards; else from the oldest on upwards.
    pub newest_first: bool,
    /// No more are read once their contents reach so many bytes; the first one is read however
    /// large it is.
    pub bytes_max: usize,
}

impl Portion {
    /// From the oldest on, to the end.
    pub const ALL: Self = Self {
        newest_first: false,
        bytes_max: usize::MAX,
    };

    /// Whether these, in the order of reading, are as much as is read.
    pub(crate) fn is_full(self, read: &[Message]) -> bool {
        !read.is_empty() && bytes(read) >= self.bytes_max
    }

    /// Adds what goes on from there and comes in the order of ids, up to the bound.
    pub(crate) fn add<E>(
        self,
        mut rising: impl DoubleEndedIterator<Item = Result<Message, E>>,
        read: &mut Vec<Message>,
    ) -> Result<(), E> {
        while !self.is_full(read) {
            let next = match self.newest_first {
                true => rising.next_back(),
                false => rising.next(),
            };
            let Some(message) = next else {
                break;
            };
            read.push(message?);
        }
        Ok(())
    }

    /// What is read behind these, in the order of reading; `None` where they are all that is.
    pub(crate) fn behind(self, read: &[Message]) -> Option<Self> {
        let bytes_max = self.bytes_max.saturating_sub(bytes(read));
        (!self.is_full(read)).then_some(Self { bytes_max, ..self })
    }
}

fn bytes(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.content.len()).sum()
}
