//! What is done to the store, at random: sends, logins, failing disks, crashes.

use proptest::prelude::*;

use crate::store::tests::simulated::Fault;

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// So many sends at once: sender, recipient (the last one: all of them), bytes, and whether
    /// with an own id.
    Send(Vec<(u8, u8, u16, bool)>),
    /// The last own id once more.
    Repeat,
    Confirm(u8, u8),
    /// Recipient, device, and the how manieth of its messages `after` names.
    Enter(u8, u8, Option<u8>),
    /// Recipient and device.
    SendTo(u8, u8),
    Month,
    PutDomain,
    RemoveDomain,
    /// Recipient, and the how manieth of its messages is the first to stay.
    Erase(u8, Option<u8>),
    Flush,
    MoveClock(i32),
    Arm(Fault, u32),
    Reopen(Ending),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Close,
    Kill,
    Power(u64, Harm),
    CloseAnd(Harm),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Harm {
    None,
    Truncate(u16),
    Overwrite(u16),
    Delete,
    DeleteState,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        3 => Just(Fault::Crash),
        2 => Just(Fault::FailSync),
        2 => Just(Fault::ShortWrite),
        1 => (1..60_u32).prop_map(Fault::Full),
    ];
    let harm = prop_oneof![
        2 => Just(Harm::None),
        1 => any::<u16>().prop_map(Harm::Truncate),
        1 => any::<u16>().prop_map(Harm::Overwrite),
        1 => Just(Harm::Delete),
        1 => Just(Harm::DeleteState),
    ];
    let ending = prop_oneof![
        1 => Just(Ending::Close),
        1 => Just(Ending::Kill),
        3 => (any::<u64>(), harm.clone()).prop_map(|(seed, harm)| Ending::Power(seed, harm)),
        1 => harm.prop_map(Ending::CloseAnd),
    ];
    let send = (0..4_u8, 0..=3_u8, 0..3_000_u16, any::<bool>());
    let step = prop_oneof![
        12 => prop::collection::vec(send, 1..30).prop_map(Step::Send),
        2 => Just(Step::Repeat),
        3 => (0..3_u8, 0..2_u8).prop_map(|(to, device)| Step::Confirm(to, device)),
        4 => (0..3_u8, 0..2_u8, prop::option::of(0..40_u8))
            .prop_map(|(to, device, after)| Step::Enter(to, device, after)),
        2 => (0..3_u8, 0..2_u8).prop_map(|(to, device)| Step::SendTo(to, device)),
        1 => Just(Step::Month),
        1 => Just(Step::PutDomain),
        1 => Just(Step::RemoveDomain),
        3 => (0..3_u8, prop::option::of(0..40_u8)).prop_map(|(to, before)| Step::Erase(to, before)),
        3 => Just(Step::Flush),
        1 => (-1_000_000..1_000_000_i32).prop_map(Step::MoveClock),
        5 => (fault, 0..40_u32).prop_map(|(fault, after)| Step::Arm(fault, after)),
        3 => ending.prop_map(Step::Reopen),
    ];
    prop::collection::vec(step, 1..30)
}
