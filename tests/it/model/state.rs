//! What must be true: a list a mailbox, a receipt cursor a device, and who is surely online.
//!
//! Never talks to a server and never waits. A cursor is an interval where the contract leaves it
//! open: receipts whose arrival nobody has seen, and what a kill may take back.

use std::time::Instant;

use serde_json::{Value, json};

use super::cursor::{Confirmed, Cursor};
pub use super::names::Names;
use super::step::{Device, RESOURCES, USERS};

pub type Id = u64;

/// What is wrong, as a sentence.
pub type Checked = Result<(), String>;

/// A stored message.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: Id,
    pub to: usize,
    pub resource: Option<usize>,
    pub from: Device,
    pub kind: u32,
    pub content: Value,
    /// Whether its recipient surely had no session, or surely had one, when it was sent.
    pub to_nobody: Option<bool>,
}

impl Message {
    fn is_for(&self, resource: usize) -> bool {
        self.resource.is_none_or(|only| only == resource)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Offline,
    Online,
    Unclear,
}

/// What one session was given so far.
#[derive(Debug, Clone)]
pub struct Track {
    device: Device,
    /// Deliveries begin above an id of this interval.
    from: (Id, Id),
    /// The login's `after`: up to there the client may say that it has everything.
    named: Id,
    /// The newest message before the login, and when it was surely accepted.
    newest: (Id, Id),
    /// Erased before the login; what was erased later may have been on its way.
    floor: Id,
    pub last: Option<Id>,
    /// A message came that was stored after the login.
    live: bool,
    /// The first delivery shows where the cursor was.
    shows_cursor: bool,
}

impl Track {
    /// From here on the cursor may have moved away from where this session began.
    pub fn hides_cursor(&mut self) {
        self.shows_cursor = false;
    }

    /// What is stored up to here was perhaps stored before the login.
    pub fn perhaps_began_after(&mut self, newest: Id) {
        self.newest.1 = self.newest.1.max(newest);
    }

    /// Whether this is surely above what the session begins at.
    pub fn is_after_start(&self, id: Id) -> bool {
        id > self.from.1
    }

    /// Whether the login said that the client has it.
    pub fn was_named(&self, id: Id) -> bool {
        id <= self.named
    }

    /// What was stored before the login, and is to be delivered for sure.
    pub fn is_awaited(&self, id: Id) -> bool {
        self.is_after_start(id) && id <= self.newest.0
    }
}

/// Two mailboxes, and the devices of their users.
pub struct Model {
    pub names: Names,
    /// All messages that there ever were, and up to which id they are erased.
    mailboxes: [Vec<Message>; USERS + 1],
    floors: [Id; USERS + 1],
    cursors: [[Option<Cursor>; RESOURCES]; USERS + 1],
    confirmed: [Confirmed; USERS + 1],
    presence: [[Presence; RESOURCES]; USERS + 1],
    newest: Id,
    /// When it was seen last that something is confirmed.
    pub confirmed_at: Instant,
}

impl Model {
    pub fn new(names: Names) -> Self {
        Self {
            names,
            mailboxes: Default::default(),
            floors: [0; USERS + 1],
            cursors: Default::default(),
            confirmed: Default::default(),
            presence: [[Presence::Offline; RESOURCES]; USERS + 1],
            newest: 0,
            confirmed_at: Instant::now(),
        }
    }

    /// What is there of a user's mailbox.
    pub fn mailbox(&self, user: usize) -> &[Message] {
        let all = &self.mailboxes[user];
        &all[all.partition_point(|m| m.id <= self.floors[user])..]
    }

    /// A mailbox was erased up to this id.
    pub fn erased(&mut self, user: usize, upto: Id) {
        self.floors[user] = self.floors[user].max(upto);
    }

    /// The newest message that a user's mailbox ever had.
    pub fn newest(&self, user: usize) -> Id {
        self.mailboxes[user].last().map_or(0, |m| m.id)
    }

    pub fn cursor(&self, device: Device) -> Option<Cursor> {
        self.cursors[device.user][device.resource]
    }

    fn cursor_mut(&mut self, device: Device) -> &mut Cursor {
        let cursor = &mut self.cursors[device.user][device.resource];
        cursor.as_mut().expect("a device that has logged in")
    }

    pub fn set_presence(&mut self, device: Device, presence: Presence) {
        self.presence[device.user][device.resource] = presence;
    }

    /// Whether nobody or somebody is online for sure.
    pub fn is_offline(&self, user: usize) -> Option<bool> {
        let devices = self.presence[user];
        if devices.contains(&Presence::Online) {
            return Some(false);
        }
        (!devices.contains(&Presence::Unclear)).then_some(true)
    }

    /// A message was acknowledged. One to a device that was never seen makes it known.
    pub fn stored(&mut self, message: Message) -> Checked {
        let Message { id, to, .. } = message;
        if id <= self.newest {
            return Err(format!("the msgId {id} after {}", self.newest));
        }
        self.newest = id;
        if let Some(resource) = message.resource {
            let device = Device { user: to, resource };
            let from = self.start(device);
            self.set_cursor(device, from);
            let cursor = self.cursor_mut(device);
            cursor.known_stored = true;
        }
        self.mailboxes[to].push(message);
        Ok(())
    }

    /// Where a login of this device would begin: at its cursor, or where its user has confirmed.
    fn start(&self, device: Device) -> (Id, Id) {
        let own = self.cursor(device);
        if let Some(own) = own.filter(|own| own.known) {
            return (own.sure, own.perhaps);
        }
        let others = self.cursors[device.user].iter().flatten();
        let sure = others.filter(|cursor| cursor.known).map(|c| c.sure).max();
        let confirmed = self.confirmed[device.user];
        let sure = confirmed.sure.max(sure.unwrap_or(0));
        match own {
            Some(own) => (sure.min(own.sure), confirmed.perhaps.max(own.perhaps)),
            None => (sure, confirmed.perhaps),
        }
    }

    /// The device is known, with a cursor in this interval.
    fn set_cursor(&mut self, device: Device, (sure, perhaps): (Id, Id)) {
        let cursor = &mut self.cursors[device.user][device.resource];
        *cursor = Some(Cursor::moved(*cursor, sure, perhaps));
    }

    /// A login was accepted; `before` was the mailbox's newest message when it began. `after` lowers
    /// the cursor, never raises it.
    pub fn logged_in(&mut self, device: Device, before: Id, after: Option<Id>) -> Track {
        let newest = (before, self.newest(device.user));
        let cursor = self.start(device);
        let named = after.unwrap_or(0);
        // Above the newest message it counts as that one.
        let after = after.map(|after| (after.min(newest.0), after.min(newest.1)));
        let from = after.unwrap_or(cursor);
        let cursor = (cursor.0.min(from.0), cursor.1.min(from.1));
        self.set_cursor(device, cursor);
        Track {
            floor: self.floors[device.user],
            device,
            from,
            named,
            newest,
            last: None,
            live: false,
            shows_cursor: after.is_none(),
        }
    }

    /// The messages for a device with ids in `(above, upto)`, both exclusive.
    fn between(&self, device: Device, above: Id, upto: Id) -> impl DoubleEndedIterator<Item = Id> {
        let all = self.mailbox(device.user).iter();
        let mine = all.filter(move |m| m.is_for(device.resource));
        mine.map(|m| m.id)
            .filter(move |id| above < *id && *id < upto)
    }

    /// What this session must still be given.
    pub fn due(&self, track: &Track) -> Vec<Id> {
        let above = track.last.unwrap_or(track.from.1);
        self.between(track.device, above, Id::MAX).collect()
    }

    /// A session was given a message.
    pub fn delivered(&mut self, track: &mut Track, delivery: &Value) -> Checked {
        let device = track.device;
        let Some(id) = delivery["msgId"].as_u64() else {
            return Err(format!("{device:?} got no msgId: {delivery}"));
        };
        let all = self.mailboxes[device.user].iter();
        let Some(message) = all.filter(|m| m.id > track.floor).find(|m| m.id == id) else {
            return Err(format!(
                "{device:?} got what is not in its mailbox: {delivery}"
            ));
        };
        if !message.is_for(device.resource) {
            return Err(format!(
                "{device:?} got another device's message: {delivery}"
            ));
        }
        self.looks_right(message, delivery)?;
        let offline = delivery["offline"].as_bool();
        let right = match id {
            _ if id <= track.newest.0 => offline == Some(true),
            _ if id > track.newest.1 || track.live => offline == Some(false),
            _ => offline.is_some(),
        };
        if !right {
            let newest = track.newest;
            return Err(format!(
                "offline is wrong, newest at the login {newest:?}: {delivery}"
            ));
        }
        track.live |= offline == Some(false);
        let (not_below, gap_above) = track.last.map_or(track.from, |last| (last, last));
        if id <= not_below {
            return Err(format!(
                "{device:?} got {id} again, after {not_below}: {delivery}"
            ));
        }
        let gap: Vec<_> = self.between(device, gap_above, id).collect();
        if !gap.is_empty() {
            return Err(format!("{device:?} got {id} without {gap:?}: {delivery}"));
        }
        let previous = self.between(device, 0, id).next_back().unwrap_or(0);
        let sure = self.cursor(device).map_or(0, |cursor| cursor.sure);
        let cursor = self.cursor_mut(device);
        if track.last.is_none() && track.shows_cursor {
            cursor.sure = cursor.sure.max(previous);
            cursor.perhaps = cursor.perhaps.min(id - 1).max(cursor.sure);
        }
        cursor.known_stored = true;
        let shown = cursor.sure;
        self.confirmed[device.user].took(shown);
        if shown > sure {
            self.confirmed_at = Instant::now();
        }
        track.last = Some(id);
        Ok(())
    }

    fn looks_right(&self, message: &Message, given: &Value) -> Checked {
        let Names { domain, users } = &self.names;
        let from = message.from;
        let wanted = json!({
            "fromId": users[from.user],
            "fromName": self.names.name(from.user),
            "fromResource": Names::resource(from.resource),
            "toId": users[message.to],
            "domain": domain,
            "type": message.kind,
            "content": message.content,
            "sendAt": message.id / 1000,
            "msgId": message.id,
        });
        let wrong = |(name, value): &(&String, &Value)| given[name.as_str()] != **value;
        match wanted.as_object().expect("an object").iter().find(wrong) {
            Some((name, value)) => Err(format!("{name} is not {value}: {given}")),
            None => Ok(()),
        }
    }

    /// Whether this message is in the device's mailbox and for it.
    pub fn is_for(&self, device: Device, id: Id) -> bool {
        let mailbox = self.mailboxes[device.user].iter();
        mailbox
            .filter(|m| m.id == id)
            .any(|m| m.is_for(device.resource))
    }

    /// Whether this is at or below the cursor for sure.
    pub fn is_confirmed(&self, device: Device, id: Id) -> bool {
        self.cursor(device).is_some_and(|cursor| id <= cursor.sure)
    }

    /// Whether the device surely has not confirmed some message below this id.
    pub fn lacks_before(&self, device: Device, id: Id) -> bool {
        let cursor = self.cursor(device);
        let above = cursor.map_or(0, |cursor| cursor.perhaps);
        self.between(device, above, id).next().is_some()
    }

    /// All that the server knows, or may know.
    pub fn devices(&self) -> Vec<Device> {
        let device = |(user, resource)| Device { user, resource };
        let all = (0..USERS).flat_map(|user| (0..RESOURCES).map(move |r| (user, r)));
        let all = all.map(device);
        all.filter(|device| self.cursor(*device).is_some())
            .collect()
    }

    /// A receipt is on its way.
    pub fn receipt_sent(&mut self, device: Device, id: Id) {
        let cursor = self.cursor_mut(device);
        cursor.perhaps = cursor.perhaps.max(id);
        self.confirmed[device.user].may_take(id);
    }

    /// A receipt has been taken.
    pub fn receipt_taken(&mut self, device: Device, id: Id) {
        self.confirmed_at = Instant::now();
        let cursor = self.cursor_mut(device);
        cursor.sure = cursor.sure.max(id);
        cursor.perhaps = cursor.perhaps.max(id);
        self.confirmed[device.user].took(id);
    }

    /// Everything that was confirmed has had the time to be stored.
    pub fn rested(&mut self) {
        for cursor in self.cursors.iter_mut().flatten().flatten() {
            cursor.stored = cursor.sure;
            cursor.known_stored |= cursor.known;
        }
        self.confirmed.iter_mut().for_each(Confirmed::rested);
    }

    /// The server was killed and is there again.
    pub fn killed(&mut self) {
        for cursor in self.cursors.iter_mut().flatten().flatten() {
            cursor.sure = cursor.stored;
            cursor.known = cursor.known_stored;
        }
        self.confirmed.iter_mut().for_each(Confirmed::killed);
        self.presence = [[Presence::Offline; RESOURCES]; USERS + 1];
    }

    /// The server was stopped, which stores everything, and is there again.
    pub fn stopped(&mut self) {
        self.rested();
        self.killed();
    }

    /// A message of the history.
    pub fn listed(&self, message: &Message, given: &Value) -> Checked {
        self.looks_right(message, given)?;
        let offline = given["offline"].as_bool();
        if offline.is_none() || message.to_nobody.is_some() && offline != message.to_nobody {
            return Err(format!("offline is not {:?}: {given}", message.to_nobody));
        }
        Ok(())
    }
}
