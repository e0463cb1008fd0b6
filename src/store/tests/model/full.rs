//! The same on a disk without room: nothing that was acknowledged is lost, whatever is ordered is
//! done, every start succeeds, what is gone leaves the disk, and when there is room again service
//! resumes.

use super::super::support::*;
use super::run::*;
use std::collections::BTreeMap;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::steps::{Ending, Harm, Step, steps};
use crate::store::tests::simulated::Lack;

/// What happens between steps.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Nothing,
    Fill(Lack, u64),
    MakeRoom,
}

fn turn() -> impl Strategy<Value = Turn> {
    let lack = prop_oneof![
        Just(Lack::Space(StorageFull)),
        Just(Lack::Space(QuotaExceeded)),
        Just(Lack::Files(StorageFull)),
        Just(Lack::Files(QuotaExceeded)),
        (8 << 10..600_usize << 10).prop_map(Lack::FileSize),
    ];
    prop_oneof![
        4 => Just(Turn::Nothing),
        2 => (lack, 0..100_000_u64).prop_map(|(lack, left)| Turn::Fill(lack, left)),
        1 => Just(Turn::MakeRoom),
    ]
}

impl World {
    fn turn(&mut self, turn: Turn, is_full: &mut bool) {
        match turn {
            // What is kept back is whole then.
            Turn::Fill(lack, left_bytes) if !*is_full => {
                self.files.fill(lack, left_bytes);
                *is_full = true;
            }
            Turn::MakeRoom => self.make_room(is_full),
            Turn::Fill(..) | Turn::Nothing => {}
        }
    }

    fn make_room(&mut self, is_full: &mut bool) {
        self.files.make_room();
        *is_full = false;
        step_until(&self.clock, "room", || self.store().writable().is_ok());
    }

    fn compacted(&self) {
        let mark = self.dir.path().join("sweep.due");
        step_until(&self.clock, "the compaction", || !self.files.holds(&mark));
    }
}

/// What goes wrong otherwise is left out.
fn sound(step: Step) -> Option<Step> {
    match step {
        Step::Arm(..) => None,
        Step::Reopen(Ending::Power(seed, _)) => Some(Step::Reopen(Ending::Power(seed, Harm::None))),
        Step::Reopen(Ending::CloseAnd(_)) => Some(Step::Reopen(Ending::Close)),
        step => Some(step),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases().div_ceil(2),
        rng_seed: RngSeed::Fixed(seed()),
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_full_disk_takes_orders_and_loses_nothing(
        steps in steps(),
        turns in prop::collection::vec(turn(), 30),
    ) {
        let mut world = World::new(true);
        let mut is_full = false;
        world.open();
        for (step, turn) in steps.into_iter().filter_map(sound).zip(turns) {
            world.turn(turn, &mut is_full);
            world.step(&step);
        }
        world.compacted();
        world.reopen(Ending::Power(3, Harm::None));
        world.make_room(&mut is_full);
        world.store().put_domain(record("d")).unwrap();
        let stored = |world: &World| world.model.mailboxes.values().map(BTreeMap::len).sum::<usize>();
        let (before, deadline) = (stored(&world), Instant::now() + WAIT);
        // While a compaction still has what is kept back, it is refused.
        while stored(&world) == before {
            prop_assert!(Instant::now() < deadline, "nothing is taken");
            world.clock.advance_monotonic(Duration::from_millis(50));
            world.send(&[(0, 0, 10, true)]);
        }
        world.check();
    }
}
