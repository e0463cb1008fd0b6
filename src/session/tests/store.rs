//! An in-memory store with the rules of the real one: messages by mailbox, which may be erased, and
//! a cursor per device.

use crate::model::{
    Device, Domain, Mailbox, Message, MessageType, MsgId, Resource, UserId, UserName,
};
use crate::store::Backlog;

/// Domain and user.
const MAILBOXES: [(&str, &str); 3] = [("d", "u"), ("d", "v"), ("e", "u")];

/// Devices of each user have the same names, so that `toResource` names one.
pub(super) const RESOURCES: [&str; 3] = ["a", "b", "c"];

/// Mailbox and resource of each device that logs in.
pub(super) const DEVICES: [(usize, usize); 5] = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0)];

pub(super) fn device(device: usize) -> Device {
    let (mailbox, resource) = DEVICES[device];
    Device {
        mailbox: mailbox_of(mailbox),
        resource: Resource::parse(RESOURCES[resource]).expect("valid"),
    }
}

fn mailbox_of(mailbox: usize) -> Mailbox {
    let (domain, user) = MAILBOXES[mailbox];
    Mailbox {
        domain: Domain::parse(domain).expect("valid"),
        user: UserId::parse(user).expect("valid"),
    }
}

#[derive(Debug, Clone, Copy)]
struct Cursor {
    id: MsgId,
    /// The cursor that a crash may bring back.
    durable: MsgId,
}

#[derive(Default)]
pub(super) struct Store {
    mailboxes: [Vec<Message>; MAILBOXES.len()],
    /// Everything up to here is erased.
    floors: [MsgId; MAILBOXES.len()],
    cursors: [Option<Cursor>; DEVICES.len()],
    /// The newest message of all mailboxes.
    pub(super) last: MsgId,
    /// The newest message that a login counts as older than itself.
    pub(super) published: MsgId,
}

impl Store {
    /// Makes a message durable and readable. Ids are even: an odd one never names a message.
    pub(super) fn commit(&mut self, mailbox: usize, only: Option<usize>, bytes: usize) -> Message {
        if let Some(known) =
            only.and_then(|only| DEVICES.iter().position(|d| *d == (mailbox, only)))
            && self.cursors[known].is_none()
        {
            self.set(known, self.highest(mailbox));
        }
        self.last = MsgId(self.last.0 + 2 + 2 * (bytes as u64 % 3));
        let message = Message {
            id: self.last,
            mailbox: mailbox_of(mailbox),
            to_resource: only.map(|only| Resource::parse(RESOURCES[only]).expect("valid")),
            from_id: UserId::parse("s").expect("valid"),
            from_name: UserName::parse("S").expect("valid"),
            from_resource: Resource::parse("w").expect("valid"),
            kind: MessageType(10),
            content: format!("\"{}:{}\"", self.last, ".".repeat(bytes)).into(),
            recipient_offline: false,
        };
        self.mailboxes[mailbox].push(message.clone());
        message
    }

    /// Reads a mailbox like the real store.
    pub(super) fn messages_after(
        &self,
        device: usize,
        after: MsgId,
        count_max: usize,
        bytes_max: usize,
    ) -> Backlog {
        let mailbox = self.above(device, after);
        let mut bytes = 0;
        let fits = |message: &&Message| {
            let room = bytes < bytes_max;
            bytes += message.content.len();
            room
        };
        let chunk = mailbox.iter().take(count_max).take_while(fits);
        let messages: Vec<Message> = chunk.cloned().collect();
        let full = messages.len() >= count_max || bytes >= bytes_max && !messages.is_empty();
        let upto = (!full).then_some(self.last);
        Backlog { messages, upto }
    }

    /// Erases a mailbox up to `upto`.
    pub(super) fn erase(&mut self, mailbox: usize, upto: MsgId) {
        self.floors[mailbox] = self.floors[mailbox].max(upto);
    }

    /// Messages in the device's mailbox above `above`.
    fn above(&self, device: usize, above: MsgId) -> &[Message] {
        let (mailbox, _) = DEVICES[device];
        let above = above.max(self.floors[mailbox]);
        let mailbox = &self.mailboxes[mailbox];
        &mailbox[mailbox.partition_point(|message| message.id <= above)..]
    }

    fn highest(&self, mailbox: usize) -> MsgId {
        let of_user = (0..DEVICES.len()).filter(|device| DEVICES[*device].0 == mailbox);
        of_user
            .map(|device| self.cursor(device))
            .max()
            .unwrap_or_default()
    }

    fn set(&mut self, device: usize, id: MsgId) {
        self.cursors[device] = Some(Cursor { id, durable: id });
    }

    /// The device's cursor; zero if unknown.
    pub(super) fn cursor(&self, device: usize) -> MsgId {
        self.cursors[device].map_or(MsgId::ZERO, |cursor| cursor.id)
    }

    /// A login: `after` lowers the cursor and never raises it.
    pub(super) fn enter(&mut self, device: usize, after: Option<MsgId>) -> MsgId {
        if self.cursors[device].is_none() {
            self.set(device, self.highest(DEVICES[device].0));
        }
        if let Some(after) = after.filter(|after| *after < self.cursor(device)) {
            self.set(device, after);
        }
        self.cursor(device)
    }

    /// Raises a cursor, at most to the newest message; durable later.
    pub(super) fn confirm(&mut self, device: usize, id: MsgId) {
        let id = id.min(self.last);
        if let Some(cursor) = &mut self.cursors[device] {
            cursor.id = cursor.id.max(id);
        }
    }

    pub(super) fn persist(&mut self) {
        for cursor in self.cursors.iter_mut().flatten() {
            cursor.durable = cursor.id;
        }
    }

    /// Drops the non-durable part of the cursors in `lost`, one bit per device.
    pub(super) fn restart(&mut self, lost: u64) {
        for (device, cursor) in self.cursors.iter_mut().enumerate() {
            if let Some(cursor) = cursor.as_mut().filter(|_| lost >> device & 1 == 1) {
                cursor.id = cursor.durable;
            }
        }
        self.persist();
        self.published = self.last;
    }

    /// Number of messages in the device's mailbox above `above`, erased ones included.
    pub(super) fn count(&self, device: usize, above: MsgId) -> usize {
        let mailbox = &self.mailboxes[DEVICES[device].0];
        mailbox.len() - mailbox.partition_point(|message| message.id <= above)
    }

    /// Messages above `above` due to this device, oldest first.
    pub(super) fn due(&self, device: usize, above: MsgId) -> impl Iterator<Item = &Message> {
        let messages = self.above(device, above).iter();
        messages.filter(move |message| is_for(message, device))
    }

    /// As [`Store::due`], erased messages included.
    pub(super) fn ever_due(&self, device: usize, above: MsgId) -> impl Iterator<Item = &Message> {
        let mailbox = &self.mailboxes[DEVICES[device].0];
        let from = mailbox.partition_point(|message| message.id <= above);
        let messages = mailbox[from..].iter();
        messages.filter(move |message| is_for(message, device))
    }

    /// The message with this id, if it is, or before its erasure was, due to the device.
    pub(super) fn find(&self, device: usize, id: MsgId) -> Option<&Message> {
        let mailbox = &self.mailboxes[DEVICES[device].0];
        let at = mailbox.binary_search_by_key(&id, |message| message.id);
        let message = mailbox.get(at.ok()?);
        message.filter(|message| is_for(message, device))
    }

    /// Whether it was due to the device and is erased.
    pub(super) fn is_erased(&self, device: usize, id: MsgId) -> bool {
        id <= self.floors[DEVICES[device].0] && self.find(device, id).is_some()
    }

    /// The first message due above `above`.
    pub(super) fn next_due(&self, device: usize, above: MsgId) -> Option<&Message> {
        self.due(device, above).next()
    }

    /// Whether this is the id of a message due to the device.
    pub(super) fn is_due(&self, device: usize, id: MsgId) -> bool {
        self.find(device, id).is_some() && !self.is_erased(device, id)
    }
}

fn is_for(message: &Message, device: usize) -> bool {
    let resource = RESOURCES[DEVICES[device].1];
    let only = message.to_resource.as_ref();
    only.is_none_or(|only| only.as_str() == resource)
}
