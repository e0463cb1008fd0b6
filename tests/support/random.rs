//! A small seeded generator, so that a run can be played again: `RELAYBOX_TEST_SEED=<number>`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seed of this run, printed: of the environment, or a new one.
pub fn seed() -> u64 {
    let given = std::env::var("RELAYBOX_TEST_SEED");
    let seed = given.map_or_else(
        |_| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.expect("the clock is behind 1970").as_secs() % 1_000_000 * 1000
                + u64::from(std::process::id()) % 1000
        },
        |text| text.parse().expect("RELAYBOX_TEST_SEED is a number"),
    );
    eprintln!("RELAYBOX_TEST_SEED={seed}");
    seed
}

/// How long to run: `RELAYBOX_TEST_ROUNDS`, or `default`.
pub fn rounds(default: u64) -> u64 {
    let given = std::env::var("RELAYBOX_TEST_ROUNDS");
    given.map_or(default, |text| text.parse().expect("a number of rounds"))
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another generator, told apart by `number`: its draws do not depend on what this one draws
    /// later.
    pub fn fork(&self, number: u64) -> Self {
        let mut fork = Self(self.0 ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        fork.draw();
        fork
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end as u64).expect("below a usize")
    }

    /// Once in `n` draws.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Between 2^`low` and 2^`high`, each magnitude as likely as any other.
    pub fn magnitude(&mut self, low: usize, high: usize) -> usize {
        let bits = low + self.below(high - low);
        (1 << bits) + self.below(1 << bits)
    }

    /// Up to `most`.
    pub fn millis(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most + 1) as u64)
    }
}
