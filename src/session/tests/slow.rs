//! Clients whose app is slow on each message: as long as it stays within the three intervals it
//! has, every connection gets past at least one, and in the end everything is confirmed.

use proptest::{prop_assert, prop_assert_eq};

use super::case::{Checked, Settings, fail};
use super::client::Amount;
use super::steps::{self, After, Bits, Reach};
use super::store::DEVICES;
use super::world::World;

/// Most messages of a case.
const MESSAGES_MAX: u64 = 40;

/// Most turns of a case: far more than any should need.
const TURNS_MAX: usize = 2000;

#[derive(Debug, Clone, Copy)]
enum Library {
    /// Reads up to the next message and no further when its app asks, and answers every Ping on the
    /// way.
    WhenAsked,
    /// Reads everything, hands it to its app, and then answers only the first of those Pings.
    FirstPing,
}

/// A device with a backlog, to which more may arrive, logs in again and again.
pub(super) fn run(settings: u64, random: u64) -> Checked {
    let mut bits = Bits(random);
    let library = bits.pick(&[Library::WhenAsked, Library::FirstPing]);
    let settings = steps::settings(settings);
    let settings = Settings {
        store_at_once: true,
        // Room for the message the app works on, and the Ping behind it.
        to_client_bytes: settings.to_client_bytes.max(1000),
        to_server_bytes: 1000,
        ..settings
    };
    let work_ms = 100 + bits.below(3 * settings.interval_ms - 101);
    let (backlog, mut live) = (1 + bits.size(MESSAGES_MAX), bits.size(MESSAGES_MAX));
    let mut world = World::new(settings);
    let commit = |world: &mut World, count| world.commit(0, None, count, 50, Reach::Published);
    // From here on the device is known, and new messages are due to it.
    (0..DEVICES.len()).for_each(|device| world.login(device, false, After::Cursor, None));
    world.begin()?;
    world.restart(0)?;
    commit(&mut world, backlog);
    let got = |world: &mut World| world.session(0).map_or(0, |s| s.client.ids.len());
    let mut before = None;
    for _ in 0..TURNS_MAX {
        let (cursor, last) = {
            let store = &world.shared.borrow().store;
            (store.cursor(0), store.last)
        };
        if cursor == last && live == 0 {
            return Ok(());
        }
        if !world.session(0).is_some_and(|session| session.is_open()) {
            let stuck = before.is_some_and(|before| cursor <= before);
            prop_assert!(
                !stuck,
                "no progress at {work_ms} ms, {library:?}, {settings:?}"
            );
            before = Some(cursor);
            world.login(0, false, After::Cursor, None);
            world.begin()?;
        }
        if live > 0 {
            live -= 1;
            commit(&mut world, 1);
        }
        world.run()?;
        let had = got(&mut world);
        let idle_ms = match library {
            Library::WhenAsked => {
                world.read(0, Amount::Message)?;
                100
            }
            Library::FirstPing => {
                world.read(0, Amount::ALL)?;
                settings.interval_ms
            }
        };
        let worked = got(&mut world) > had;
        world.pass(if worked { work_ms } else { idle_ms })?;
        if let (Library::FirstPing, Some(session)) = (library, world.session(0)) {
            session.client.pong_first();
        }
        world.run()?;
    }
    let store = &world.shared.borrow().store;
    prop_assert_eq!(store.cursor(0), store.last, "{:?}", library);
    Err(fail(format!("messages were not sent: {live}")))
}
