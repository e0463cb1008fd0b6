//! What may happen in a case, and how cases are drawn.
//!
//! Every step makes sense in every state (a step of a session that is not there takes another, or
//! logs it in), so that a failing case can lose any of its steps and still run.

use std::fmt;

use proptest::prelude::*;

/// Users of a case that get messages; one more only sends.
pub const USERS: usize = 2;

/// Devices of a user.
pub const RESOURCES: usize = 3;

/// One device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    pub user: usize,
    pub resource: usize,
}

/// Who only sends.
pub const STRANGER: Device = Device {
    user: USERS,
    resource: 0,
};

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, resource } = self;
        write!(f, "{}{resource}", ["a", "b", "stranger"][*user])
    }
}

/// A session of this case, whichever there is: the n-th of those that live.
pub type Pick = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    Auto,
    Manual,
}

/// `after=`.
#[derive(Debug, Clone, Copy)]
pub enum After {
    Zero,
    /// The id of a message of the mailbox, plus this.
    Message(Pick, i64),
    /// This much above the newest message.
    Above(u64),
    /// The last that this device has processed.
    Processed,
}

/// How a device logs in.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    pub receipts: Receipts,
    pub after: Option<After>,
    /// The device has next to no room for what it does not read.
    pub narrow: bool,
    /// Messages that are sent to the user at the same time.
    pub meanwhile: u8,
    /// A session that is replaced goes on sending receipts.
    pub late: bool,
}

/// The recipients of a send.
#[derive(Debug, Clone, Copy)]
pub struct To {
    pub users: Recipients,
    pub resource: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
pub enum Recipients {
    One(usize),
    /// An array of one.
    Listed(usize),
    /// An array of both, in this order.
    Both(usize),
}

impl Recipients {
    pub fn users(self) -> Vec<usize> {
        match self {
            Self::One(user) | Self::Listed(user) => vec![user],
            Self::Both(first) => vec![first, 1 - first],
        }
    }
}

/// What a device says about what it has received.
#[derive(Debug, Clone, Copy)]
pub enum Receipt {
    /// Takes all that is due and confirms it in its mode's way.
    All,
    /// Answers the latest Ping that it has read.
    Latest,
    /// Answers an earlier one.
    Earlier(Pick),
    /// `received` of something this session was given.
    Received(Pick),
    /// `received` of any message of its user.
    Stray(Pick),
    /// `received` of something that is not there yet.
    Ahead,
    /// `received` of a message of the other user.
    Foreign(Pick),
    /// A Pong that nobody asked for.
    Forged(Forged),
}

#[derive(Debug, Clone, Copy)]
pub enum Forged {
    /// With the id of a message that this session was given.
    Given(Pick),
    Ahead,
    Empty,
    Junk,
}

#[derive(Debug, Clone)]
pub enum Step {
    Connect(Device, Opening),
    /// One message a size, written at once; by the stranger or by a session.
    Send(Option<Pick>, To, Vec<u16>),
    /// Sends, cuts the connection without waiting for an acknowledgement, comes back, sends again.
    Interrupted(Pick, To, Vec<u16>),
    /// Sends something again, as it was or with another content.
    Retry(Pick, bool),
    /// Reads this many messages, where so many are due. Nobody reads by itself.
    Read(Pick, u8),
    /// Reads everything that is due.
    Settle(Pick),
    /// A receipt, and whether to wait until the server has taken it.
    Receipt(Pick, Receipt, bool),
    /// Closes as a browser does, or cuts the connection.
    Drop(Pick, bool),
    /// The history of a user, perhaps of one sender, while perhaps messages come in.
    Page {
        user: usize,
        size: u8,
        from: Option<usize>,
        growing: bool,
    },
    /// A user's mailbox is erased, up to one of its messages or whole.
    Erase(usize, Option<Pick>),
    /// A token ends: a user's with its time, or in a domain of its own the project's by rotation.
    Expire(Device),
    /// The server stops, or is killed; some sends are under way.
    Restart(Restart),
}

#[derive(Debug, Clone, Copy)]
pub struct Restart {
    pub kill: bool,
    /// Every receipt has had the time that the server may take to store it.
    pub rested: bool,
    pub sends: u8,
}

/// A case: steps of two users.
#[derive(Clone)]
pub struct Case {
    pub own_domain: bool,
    pub steps: Vec<Step>,
}

/// A line for each step.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "own domain: {}", self.own_domain)?;
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "\n{step:?}"))
    }
}

fn device() -> impl Strategy<Value = Device> {
    (0..USERS, 0..RESOURCES).prop_map(|(user, resource)| Device { user, resource })
}

fn opening() -> impl Strategy<Value = Opening> {
    let after = prop_oneof![
        12 => Just(None),
        1 => Just(Some(After::Zero)),
        3 => (any::<Pick>(), -1..=1i64).prop_map(|(pick, more)| Some(After::Message(pick, more))),
        1 => prop_oneof![1..10u64, Just(1_000_000)].prop_map(|more| Some(After::Above(more))),
        2 => Just(Some(After::Processed)),
    ];
    let receipts = prop_oneof![3 => Just(Receipts::Auto), 2 => Just(Receipts::Manual)];
    let meanwhile = prop_oneof![3 => Just(0), 1 => 1..6u8];
    let narrow = prop::bool::weighted(0.2);
    (receipts, after, narrow, meanwhile, any::<bool>()).prop_map(
        |(receipts, after, narrow, meanwhile, late)| Opening {
            receipts,
            after,
            narrow,
            meanwhile,
            late,
        },
    )
}

fn to() -> impl Strategy<Value = To> {
    let users = prop_oneof![
        6 => (0..USERS).prop_map(Recipients::One),
        1 => (0..USERS).prop_map(Recipients::Listed),
        1 => (0..USERS).prop_map(Recipients::Both),
    ];
    let resource = prop_oneof![3 => Just(None), 1 => (0..RESOURCES).prop_map(Some)];
    (users, resource).prop_map(|(users, resource)| To { users, resource })
}

fn sizes() -> impl Strategy<Value = Vec<u16>> {
    // Some messages are larger than the whole outbox; bursts of them make a session fall behind.
    let size = prop_oneof![6 => 0..40u16, 2 => 500..1500u16, 1 => 4000..9000u16];
    prop_oneof![
        30 => prop::collection::vec(size.clone(), 1),
        20 => prop::collection::vec(size, 1..8),
        10 => prop::collection::vec(200..900u16, 10..40),
        // More than a session that catches up reads at once.
        1 => prop::collection::vec(0..40u16, 130..200),
    ]
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let forged = prop_oneof![
        4 => any::<Pick>().prop_map(Forged::Given),
        1 => Just(Forged::Ahead),
        1 => Just(Forged::Empty),
        1 => Just(Forged::Junk),
    ];
    prop_oneof![
        4 => Just(Receipt::All),
        4 => Just(Receipt::Latest),
        2 => any::<Pick>().prop_map(Receipt::Earlier),
        4 => any::<Pick>().prop_map(Receipt::Received),
        2 => any::<Pick>().prop_map(Receipt::Stray),
        1 => Just(Receipt::Ahead),
        1 => any::<Pick>().prop_map(Receipt::Foreign),
        3 => forged.prop_map(Receipt::Forged),
    ]
}

fn page() -> impl Strategy<Value = Step> {
    let from = prop_oneof![2 => Just(None), 1 => (0..=USERS).prop_map(Some)];
    (0..USERS, 1..40u8, from, any::<bool>()).prop_map(|(user, size, from, growing)| Step::Page {
        user,
        size,
        from,
        growing,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<Pick>;
    prop_oneof![
        40 => (device(), opening()).prop_map(|(device, opening)| Step::Connect(device, opening)),
        50 => (prop::option::of(pick()), to(), sizes())
            .prop_map(|(sender, to, sizes)| Step::Send(sender, to, sizes)),
        8 => (pick(), to(), sizes())
            .prop_map(|(sender, to, sizes)| Step::Interrupted(sender, to, sizes)),
        14 => (pick(), any::<bool>()).prop_map(|(pick, altered)| Step::Retry(pick, altered)),
        24 => (pick(), 1..30u8).prop_map(|(pick, count)| Step::Read(pick, count)),
        16 => pick().prop_map(Step::Settle),
        60 => (pick(), receipt(), prop::bool::weighted(0.7))
            .prop_map(|(pick, receipt, wait)| Step::Receipt(pick, receipt, wait)),
        24 => (pick(), any::<bool>()).prop_map(|(pick, orderly)| Step::Drop(pick, orderly)),
        10 => page(),
        4 => (0..USERS, prop::option::of(pick()))
            .prop_map(|(user, before)| Step::Erase(user, before)),
        2 => device().prop_map(Step::Expire),
    ]
}

fn restart() -> impl Strategy<Value = Step> {
    (any::<bool>(), prop::bool::weighted(0.3), 0..4u8).prop_map(|(kill, rested, sends)| {
        Step::Restart(Restart {
            kill,
            rested,
            sends,
        })
    })
}

fn case(steps: impl Strategy<Value = Vec<Step>>) -> impl Strategy<Value = Case> {
    (prop::bool::weighted(0.1), steps).prop_map(|(own_domain, steps)| Case { own_domain, steps })
}

/// A case that others may run beside, on the same server.
pub fn peaceful() -> impl Strategy<Value = Case> {
    case(prop::collection::vec(step(), 4..28))
}

/// A case with a server of its own, which restarts now and then.
pub fn with_restarts() -> impl Strategy<Value = Case> {
    let step = prop_oneof![8 => step(), 1 => restart()];
    case(prop::collection::vec(step, 10..40))
}
