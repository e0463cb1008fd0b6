//! The possible steps and their frequencies: each step is derived from one random number.

use super::case::Settings;
use super::store::{DEVICES, RESOURCES};
use crate::session::machine::Window;

/// Most steps of a case.
pub(super) const STEPS_MAX: usize = 120;

/// A step. A `device` means its newest session; without one nothing happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Login {
        device: usize,
        manual: bool,
        after: After,
        lifetime_ms: Option<u64>,
        /// A receipt is in flight to the session being replaced.
        racing: bool,
        /// The client begins with a receipt for the last message it ever received.
        claiming: bool,
        /// The store is slow to find the cursor.
        late: bool,
    },
    Commit {
        mailbox: usize,
        only: Option<usize>,
        count: usize,
        bytes: usize,
        reach: Reach,
    },
    /// Committed messages go through the hub and count as published.
    Publish,
    /// Erases a mailbox, except for ids within `kept` of the newest.
    Erase {
        mailbox: usize,
        kept: u64,
    },
    Read {
        device: usize,
        bytes: usize,
    },
    /// The client asks its library for messages one by one, and works on each for a while.
    Take {
        device: usize,
        count: usize,
        work_ms: u64,
    },
    Stall {
        device: usize,
        on: bool,
    },
    Pong {
        device: usize,
        which: Pong,
    },
    Received {
        device: usize,
        which: Receipt,
    },
    Say {
        device: usize,
    },
    Cut {
        device: usize,
        to_server: usize,
        to_client: usize,
    },
    CutAfter {
        device: usize,
        bytes: usize,
    },
    Close {
        device: usize,
        code: u16,
    },
    Pass {
        ms: u64,
    },
    /// The tokens of the device's domain have changed.
    Recheck {
        device: usize,
        lifetime_ms: Option<u64>,
    },
    /// The store carries out pending requests, and keeps the answers back.
    StoreLooks,
    StoreAnswers,
    StoreFails {
        device: usize,
    },
    Busy(bool),
    Persist,
    /// A new process: sessions are gone, as are the non-durable cursors in `lost`.
    Restart {
        lost: u64,
    },
    /// All sessions are told to end.
    Stop,
    /// For a while the client reads and confirms everything, and the store answers.
    Honest {
        device: usize,
    },
}

/// Start of deliveries asked for by a login.
#[derive(Debug, Clone, Copy)]
pub(super) enum After {
    Cursor,
    LastReceived,
    Beginning,
    /// So many below the newest.
    Below(u64),
    Future,
}

/// How far a committed message gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Store,
    Hub,
    Published,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Pong {
    Latest,
    Next,
    /// The first pending one, and none of the others.
    First,
    All,
    /// A delivery, whether or not a Ping has asked for it.
    Delivery(usize),
    /// A payload that no Ping has carried, by number.
    Junk(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Receipt {
    /// So many before the last delivery of this session.
    Back(usize),
    /// The last message that the device ever received.
    LastEver,
    /// An id that is not for the device, so many below the newest.
    Foreign(u64),
    Future,
    Malformed(usize),
}

/// Random bits, used up from the lowest.
pub(super) struct Bits(pub(super) u64);

impl Bits {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let value = self.0 % bound;
        self.0 /= bound;
        value
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn size(&mut self, bound: u64) -> usize {
        self.below(bound) as usize
    }
}

/// A step, and whether sessions run after it.
pub(super) fn step(random: u64) -> (Step, bool) {
    let mut bits = Bits(random);
    let runs = !bits.one_in(6);
    let kind = bits.below(100);
    // The first device gets most of the steps.
    let device = bits.pick(&[0, 0, 0, 0, 1, 1, 2, 3, 4]);
    let step = match kind {
        0..16 => commit(&mut bits),
        16..30 => Step::Read {
            device,
            bytes: bits.pick(&[1, 30, 200, 1000, 1_000_000]),
        },
        30..34 => Step::Honest { device },
        34..37 => Step::Take {
            device,
            count: bits.pick(&[1, 2, 5]),
            work_ms: bits.pick(&[0, 100, 900, 20_000, 60_000]),
        },
        37..46 => Step::Pong {
            device,
            which: pong(&mut bits),
        },
        46..56 => Step::Received {
            device,
            which: receipt(&mut bits),
        },
        56..63 => Step::Pass {
            ms: bits.pick(&[1, 50, 100, 1000, 5_000, 25_000, 60_000]),
        },
        63..73 => login(&mut bits, device),
        73..80 => Step::StoreAnswers,
        80..82 => Step::StoreLooks,
        82 => Step::StoreFails { device },
        83..85 => Step::Publish,
        85..88 => Step::Stall {
            device,
            on: bits.one_in(2),
        },
        88..90 => {
            let (to_server, to_client) = (bits.size(100), bits.size(1000));
            Step::Cut {
                device,
                to_server,
                to_client,
            }
        }
        90 => Step::CutAfter {
            device,
            bytes: bits.size(1000),
        },
        91 => Step::Close {
            device,
            code: bits.pick(&[1000, 1001, 4000]),
        },
        92 => Step::Recheck {
            device,
            lifetime_ms: lifetime(&mut bits, 3),
        },
        93 => Step::Busy(bits.one_in(2)),
        94 => Step::Persist,
        95..97 => Step::Restart {
            lost: bits.below(1 << DEVICES.len()),
        },
        97 => Step::Stop,
        98 => Step::Erase {
            mailbox: bits.pick(&[0, 0, 0, 0, 1, 2]),
            kept: bits.pick(&[0, 0, 5, 30]),
        },
        _ => Step::Say { device },
    };
    (step, runs)
}

fn commit(bits: &mut Bits) -> Step {
    Step::Commit {
        mailbox: bits.pick(&[0, 0, 0, 0, 0, 0, 1, 2]),
        only: bits.one_in(4).then(|| bits.size(RESOURCES.len() as u64)),
        count: bits.pick(&[1, 1, 1, 2, 3, 5, 20]),
        bytes: bits.size(200),
        reach: bits.pick(&[
            Reach::Published,
            Reach::Published,
            Reach::Published,
            Reach::Hub,
            Reach::Store,
        ]),
    }
}

fn login(bits: &mut Bits, device: usize) -> Step {
    let below = After::Below(bits.below(30));
    let afters = [After::LastReceived, After::Beginning, below, After::Future];
    Step::Login {
        device,
        manual: bits.one_in(2),
        after: if bits.one_in(3) {
            bits.pick(&afters)
        } else {
            After::Cursor
        },
        lifetime_ms: if bits.one_in(6) {
            lifetime(bits, 1)
        } else {
            None
        },
        racing: bits.one_in(3),
        claiming: bits.one_in(4),
        late: bits.one_in(4),
    }
}

fn lifetime(bits: &mut Bits, revoked: u64) -> Option<u64> {
    let lives = revoked == 1 || !bits.one_in(revoked);
    lives.then(|| bits.pick(&[1, 1000, 30_000, 1_000_000]))
}

fn pong(bits: &mut Bits) -> Pong {
    let (back, junk) = (bits.size(4), bits.size(7));
    let (delivery, junk) = (Pong::Delivery(back), Pong::Junk(junk));
    bits.pick(&[
        Pong::Latest,
        Pong::Latest,
        Pong::Latest,
        Pong::Next,
        Pong::First,
        Pong::All,
        delivery,
        junk,
    ])
}

fn receipt(bits: &mut Bits) -> Receipt {
    let (back, foreign) = (
        Receipt::Back(bits.size(6)),
        Receipt::Foreign(bits.below(60)),
    );
    let malformed = Receipt::Malformed(bits.size(8));
    let last = Receipt::Back(0);
    bits.pick(&[
        last,
        last,
        back,
        back,
        Receipt::LastEver,
        foreign,
        foreign,
        Receipt::Future,
        malformed,
    ])
}

/// The limits of a case.
pub(super) fn settings(random: u64) -> Settings {
    let mut bits = Bits(random);
    Settings {
        window: Window {
            messages_max: bits.pick(&[2, 3, 5, 12, 100]),
            bytes_max: bits.pick(&[600, 2000, 10_000, 100_000]),
        },
        chunk_messages: bits.pick(&[1, 2, 5, 20]),
        chunk_bytes: bits.pick(&[100, 500, 10_000]),
        outbox_bytes_max: bits.pick(&[150, 500, 2000, 10_000]),
        to_client_bytes: bits.pick(&[40, 300, 2000, 100_000]),
        to_server_bytes: bits.pick(&[20, 1000]),
        interval_ms: bits.pick(&[1000, 25_000, 25_000]),
        store_at_once: bits.one_in(2),
        ends_with_restart: bits.one_in(2),
        ends_manual: bits.one_in(2),
    }
}
