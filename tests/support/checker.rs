//! Judges what a fleet has seen: what was sent, what the history holds, and what each device got,
//! connection by connection. Pure: the same story gives the same faults.
//!
//! It knows PROTOCOL sections 3 and 4 only. Per device it keeps two bounds on the receipt cursor:
//! it cannot be above the highest receipt that the device ever gave away (`offered`), and it
//! cannot be below what the device knows to be confirmed (`sure`). So a connection must begin
//! between the two, and go on without a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Since the fleet began.
pub type Time = Duration;

/// Confirmations are stored this soon, so a kill may take back only later ones.
pub const STORED_WITHIN: Duration = Duration::from_secs(2);

/// One send, however often it was tried.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its `clientMsgId`, which its content holds, too. Unique.
    pub key: String,
    /// `id/resource`.
    pub from: String,
    pub to: Vec<String>,
    pub to_resource: Option<String>,
    /// A hash of the content's text.
    pub content: u64,
    pub attempts: u32,
    /// As acknowledged, in the order of `to`.
    pub ids: Option<Vec<u64>>,
}

/// A message as it was delivered, or as the history tells it.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: u64,
    pub key: String,
    pub from: String,
    pub to: String,
    pub content: u64,
    pub send_at: u64,
    pub offline: bool,
}

/// A receipt that the server has surely handled: it answered a question asked behind it.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    pub asked: Time,
    pub answered: Time,
    pub id: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// When it stood; the login was handled by then.
    pub opened: Time,
    /// The login's `after`.
    pub after: Option<u64>,
    pub got: Vec<Message>,
    /// The highest receipt that was handed to the network.
    pub offered: u64,
    pub sure: Vec<Receipt>,
}

/// One device's life, in order.
#[derive(Debug, Clone, Default)]
pub struct Device {
    pub user: String,
    pub resource: String,
    /// What its cursor was at most when it was first delivered to: 0, or the highest receipt that
    /// the user's other devices had given away by then.
    pub base: u64,
    pub connections: Vec<Connection>,
}

/// The server was killed somewhere in between.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub began: Time,
    pub ended: Time,
}

#[derive(Debug, Default)]
pub struct Story {
    pub sent: Vec<Sent>,
    /// By user, oldest first.
    pub history: BTreeMap<String, Vec<Message>>,
    pub devices: Vec<Device>,
    pub kills: Vec<Kill>,
    /// What senders and devices met that no client should.
    pub wrong: Vec<String>,
}

/// What must not be. `at` says where: `user/resource` and the number of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Wrong(String),
    Unacknowledged(String),
    /// An acknowledged send is not in the history under its id.
    NotStored {
        key: String,
        to: String,
    },
    /// The history holds something twice, out of order, altered, or that nobody sent there.
    History {
        to: String,
        id: u64,
        why: &'static str,
    },
    /// Two sends of one sender to one recipient have changed places.
    Swapped {
        first: String,
        second: String,
    },
    Lost {
        at: String,
        id: u64,
    },
    /// Not this device's, or not in the history.
    Foreign {
        at: String,
        id: u64,
    },
    Altered {
        at: String,
        id: u64,
    },
    NotRising {
        at: String,
        id: u64,
    },
    /// `id` came although `missing` was due before it.
    Gap {
        at: String,
        id: u64,
        missing: u64,
    },
    /// It was confirmed up to `sure`.
    Repeated {
        at: String,
        id: u64,
        sure: u64,
    },
    /// `offline` is wrong.
    Offline {
        at: String,
        id: u64,
    },
}

/// All faults of a story.
pub fn check(story: &Story) -> Vec<Fault> {
    let mut faults: Vec<_> = story.wrong.iter().cloned().map(Fault::Wrong).collect();
    let sends: HashMap<&str, &Sent> = story.sent.iter().map(|s| (s.key.as_str(), s)).collect();
    check_history(story, &sends, &mut faults);
    check_order_of_senders(story, &mut faults);
    for device in &story.devices {
        check_device(story, &sends, device, &mut faults);
    }
    faults
}

fn check_history(story: &Story, sends: &HashMap<&str, &Sent>, faults: &mut Vec<Fault>) {
    let mut stored = BTreeSet::new();
    for (to, messages) in &story.history {
        let mut last = 0;
        for message in messages {
            let mut fault = |why| {
                let (to, id) = (to.clone(), message.id);
                faults.push(Fault::History { to, id, why });
            };
            if message.id <= last {
                fault("not above the one before");
            }
            last = message.id;
            let send = sends.get(message.key.as_str());
            let place = send.and_then(|send| send.to.iter().position(|one| one == to));
            let (Some(send), Some(place)) = (send, place) else {
                fault("nobody sent it");
                continue;
            };
            let as_sent = message.from == send.from && message.content == send.content;
            if !as_sent || message.to != *to || message.send_at != message.id / 1000 {
                fault("not as sent");
            }
            if !stored.insert((send.key.as_str(), to.as_str())) {
                fault("stored twice");
            } else if send
                .ids
                .as_ref()
                .is_some_and(|ids| ids[place] != message.id)
            {
                fault("acknowledged under another id");
            }
        }
    }
    for send in &story.sent {
        if send.ids.is_none() {
            faults.push(Fault::Unacknowledged(send.key.clone()));
            continue;
        }
        for to in &send.to {
            if !stored.contains(&(send.key.as_str(), to.as_str())) {
                let (key, to) = (send.key.clone(), to.clone());
                faults.push(Fault::NotStored { key, to });
            }
        }
    }
}

/// Sends that were tried once only keep their order; which try of the others counted, nobody knows.
fn check_order_of_senders(story: &Story, faults: &mut Vec<Fault>) {
    let mut last: HashMap<(&str, &str), (u64, &Sent)> = HashMap::new();
    for send in story.sent.iter().filter(|send| send.attempts == 1) {
        for (to, id) in send.to.iter().zip(send.ids.iter().flatten()) {
            let before = last.insert((&send.from, to), (*id, send));
            if let Some((_, before)) = before.filter(|(before, _)| before >= id) {
                faults.push(Fault::Swapped {
                    first: before.key.clone(),
                    second: send.key.clone(),
                });
            }
        }
    }
}

/// What is due to a device, by the history and what was addressed to which resource.
struct Due<'a>(Vec<&'a Message>);

impl Due<'_> {
    fn place(&self, id: u64) -> Option<usize> {
        self.0.binary_search_by_key(&id, |message| message.id).ok()
    }

    /// The place of the first message above `id`.
    fn above(&self, id: u64) -> usize {
        self.0.partition_point(|message| message.id <= id)
    }

    fn id(&self, place: usize) -> u64 {
        self.0.get(place).map_or(u64::MAX, |message| message.id)
    }
}

fn check_device(
    story: &Story,
    sends: &HashMap<&str, &Sent>,
    device: &Device,
    faults: &mut Vec<Fault>,
) {
    let resource_of = |message: &Message| {
        let send = sends.get(message.key.as_str());
        send.and_then(|send| send.to_resource.as_deref())
    };
    let history = story.history.get(&device.user).into_iter().flatten();
    let due = Due(history
        .filter(|message| resource_of(message).is_none_or(|only| only == device.resource))
        .collect());
    // What was written to this very device made it known, where it was not yet.
    let targeted = due.0.iter().find(|message| resource_of(message).is_some());
    let mut lower = targeted.map_or(device.base, |first| device.base.min(first.id - 1));
    let mut met = false;
    let mut offered = 0;
    let mut sure: Vec<Receipt> = Vec::new();
    // Also a login that came late, or never, may have lowered the cursor.
    let mut lowest_after = u64::MAX;
    let mut seen = BTreeSet::new();
    for (number, connection) in device.connections.iter().enumerate() {
        let at = format!("{}/{} #{number}", device.user, device.resource);
        let floor = connection.after.unwrap_or_else(|| {
            surely_confirmed(&sure, &story.kills, connection.opened).min(lowest_after)
        });
        lowest_after = lowest_after.min(connection.after.unwrap_or(u64::MAX));
        let start = due.above(connection.after.unwrap_or(lower.max(offered)));
        check_connection(&due, connection, start, floor, &seen, &at, faults);
        if let Some(first) = connection.got.first().filter(|_| !met) {
            // Its cursor is known from then on, wherever it began.
            met = true;
            lower = lower.min(first.id - 1);
        }
        if let Some(after) = connection.after.filter(|_| !connection.got.is_empty()) {
            // The login was handled: it lowered the cursor.
            lower = lower.min(after);
            offered = offered.min(after);
        }
        seen.extend(connection.got.iter().map(|message| message.id));
        offered = offered.max(connection.offered);
        sure.extend(&connection.sure);
    }
    for message in &due.0[due.above(lower)..] {
        if !seen.contains(&message.id) {
            let at = format!("{}/{}", device.user, device.resource);
            faults.push(Fault::Lost { at, id: message.id });
        }
    }
}

/// The highest receipt that no kill before `now` can have taken back.
fn surely_confirmed(sure: &[Receipt], kills: &[Kill], now: Time) -> u64 {
    let stands = |receipt: &&Receipt| {
        let endangers = |kill: &Kill| {
            kill.began <= now
                && kill.ended >= receipt.asked
                && kill.began < receipt.answered + STORED_WITHIN
        };
        !kills.iter().any(endangers)
    };
    let standing = sure.iter().filter(stands).map(|receipt| receipt.id);
    standing.max().unwrap_or(0)
}

/// `start`: the place of the first message that cannot have been confirmed before. `floor`: up to
/// here nothing may come. `seen`: what earlier connections got.
fn check_connection(
    due: &Due<'_>,
    connection: &Connection,
    start: usize,
    floor: u64,
    seen: &BTreeSet<u64>,
    at: &str,
    faults: &mut Vec<Fault>,
) {
    let mut expected: Option<usize> = None;
    let mut live = false;
    for message in &connection.got {
        let (at, id) = (at.to_owned(), message.id);
        let Some(place) = due.place(id) else {
            faults.push(Fault::Foreign { at, id });
            continue;
        };
        let stored = due.0[place];
        let same = message.key == stored.key && message.from == stored.from;
        let same = same && message.to == stored.to && message.content == stored.content;
        if !same || message.send_at != stored.send_at {
            faults.push(Fault::Altered { at: at.clone(), id });
        }
        if expected.is_some_and(|expected| place < expected) {
            faults.push(Fault::NotRising { at: at.clone(), id });
        } else if place > expected.unwrap_or(start) {
            let missing = due.id(expected.unwrap_or(start));
            let at = at.clone();
            faults.push(Fault::Gap { at, id, missing });
        }
        expected = Some((place + 1).max(expected.unwrap_or(0)));
        if id <= floor {
            let (at, sure) = (at.clone(), floor);
            faults.push(Fault::Repeated { at, id, sure });
        }
        // What was live for this session cannot have come to an earlier one, and once a session
        // has seen something live, nothing older is left.
        let impossible = if message.offline {
            live
        } else {
            seen.contains(&id)
        };
        if impossible {
            faults.push(Fault::Offline { at, id });
        }
        live |= !message.offline;
    }
}
