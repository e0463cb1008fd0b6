//! How much of a list is read at once, and from which end.

use crate::model::Message;

/// Where a read of a list begins, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Downwards from the newest; otherwise upwards from the oldest.
    pub newest_first: bool,
    /// Bytes of content at which the read ends. The first message is read however large it is.
    pub bytes_max: usize,
}

impl Portion {
    /// From the oldest to the newest.
    pub const ALL: Self = Self {
        newest_first: false,
        bytes_max: usize::MAX,
    };
}

/// A read of one portion, from the index and from the memtables.
pub(crate) struct Reading {
    portion: Portion,
    count_max: usize,
    /// In the order of reading.
    pub(crate) messages: Vec<Message>,
    bytes: usize,
}

impl Reading {
    pub(crate) fn new(portion: Portion, count_max: usize) -> Self {
        Self {
            portion,
            count_max,
            messages: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn newest_first(&self) -> bool {
        self.portion.newest_first
    }

    pub(crate) fn is_full(&self) -> bool {
        let is_large = self.bytes >= self.portion.bytes_max && !self.messages.is_empty();
        is_large || self.messages.len() >= self.count_max
    }

    /// Reads further messages, which come in id order.
    pub(crate) fn add<E>(
        &mut self,
        mut rising: impl DoubleEndedIterator<Item = Result<Message, E>>,
    ) -> Result<(), E> {
        while !self.is_full() {
            let next = match self.portion.newest_first {
                true => rising.next_back(),
                false => rising.next(),
            };
            let Some(message) = next.transpose()? else {
                break;
            };
            self.bytes += message.content.len();
            self.messages.push(message);
        }
        Ok(())
    }
}
