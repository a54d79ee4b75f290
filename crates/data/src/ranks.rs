//! How many iterations before one use a source: the same number on every driver, without a word between them.
//!
//! Which scenario an iteration walks is a pure function of its index. So whoever counts from 0 knows the rank of an
//! iteration among those that use a source, and with it the row that is this iteration's in the whole fleet.
//!
//! Invariant: [`Ranks`] keeps a bounded part of what it counted. Questions come in about the order of the indices, since
//! lanes go side by side; one from far behind costs a count from the last mark before it.

use std::collections::VecDeque;

/// Iterations whose scenarios are counted at a time.
const BLOCK: u64 = 1024;
const WORDS: usize = 16;
/// Blocks that are kept: 8 million iterations, in about a megabyte. Lanes of Poisson arrivals are not further apart from
/// each other until each of them has had a million.
const KEPT: usize = 8 * 1024;
/// Marks of what is no longer kept. When there are more, every second one is dropped.
const MARKS: usize = 64 * 1024;

const _: () = assert!(BLOCK == 64 * WORDS as u64);

/// Counts the iterations that use a source. One per thread and source, or per set of scenarios.
#[derive(Debug, Clone)]
pub struct Ranks {
    /// By the number of a scenario. Empty when all do, and there is nothing to count.
    uses: Vec<bool>,
    /// The last blocks, without a gap.
    blocks: VecDeque<Block>,
    /// The number of the first of them.
    first: u64,
    /// The rank with which every `apart`-th block begins, from block 0 on.
    marks: Vec<u64>,
    apart: u64,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    /// The rank of its first iteration.
    before: u64,
    /// Which of its iterations use the source.
    bits: [u64; WORDS],
}

impl Block {
    fn count(before: u64, number: u64, uses: impl Fn(u64) -> bool) -> Self {
        let bits = std::array::from_fn(|word| {
            let first = number * BLOCK + word as u64 * 64;
            (0..64).fold(0, |bits, bit| bits | u64::from(uses(first + bit)) << bit)
        });
        Self { before, bits }
    }

    fn after(&self) -> u64 {
        self.before + self.bits.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
    }

    fn rank(&self, within: u64) -> u64 {
        let counts = self.bits.iter().zip((0..).step_by(64)).map(|(word, first)| {
            let below = within.saturating_sub(first);
            u64::from(if below < 64 { word & ((1 << below) - 1) } else { *word }.count_ones())
        });
        self.before + counts.sum::<u64>()
    }
}

impl Ranks {
    /// For a source that the scenarios use of which `uses` says so, by their numbers.
    pub fn new(uses: &[bool]) -> Self {
        let uses = if uses.iter().all(|uses| *uses) { Vec::new() } else { uses.to_vec() };
        let room = if uses.is_empty() { 0 } else { KEPT };
        Self { uses, blocks: VecDeque::with_capacity(room), first: 0, marks: Vec::new(), apart: 64 }
    }

    /// How many of the iterations 0 to `index`, without `index` itself, use the source. `scenario_of` is
    /// [`plan::Plan::scenario_of`]. The first question counts all iterations before it, some nanoseconds each: whoever joins
    /// a run that is on asks once while it prepares.
    pub fn rank(&mut self, index: u64, scenario_of: impl Fn(u64) -> usize) -> u64 {
        if self.uses.is_empty() {
            return index;
        }
        let (block, within) = (index / BLOCK, index % BLOCK);
        if block < self.first {
            return self.rank_behind(block, within, scenario_of);
        }
        loop {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a difference that is not there is beyond them all"
            )]
            if let Some(block) = self.blocks.get((block - self.first) as usize) {
                return block.rank(within);
            }
            self.count_another(&scenario_of);
        }
    }

    fn count_another(&mut self, scenario_of: impl Fn(u64) -> usize) {
        let number = self.first + self.blocks.len() as u64;
        let before = self.blocks.back().map_or(0, Block::after);
        if number.is_multiple_of(self.apart) {
            if self.marks.len() >= MARKS {
                let mut is_even = false;
                self.marks.retain(|_| {
                    is_even = !is_even;
                    is_even
                });
                self.apart *= 2;
            }
            if number.is_multiple_of(self.apart) {
                self.marks.push(before);
            }
        }
        let block = Block::count(before, number, |index| self.uses_source(index, &scenario_of));
        if self.blocks.len() >= KEPT {
            self.blocks.pop_front();
            self.first += 1;
        }
        self.blocks.push_back(block);
    }

    /// The rank in a block that is no longer kept.
    fn rank_behind(&self, block: u64, within: u64, scenario_of: impl Fn(u64) -> usize) -> u64 {
        let mark = block / self.apart;
        let before = usize::try_from(mark).ok().and_then(|mark| self.marks.get(mark)).copied().unwrap_or(0);
        let from = mark * self.apart * BLOCK;
        let counted = (from..block * BLOCK + within).filter(|index| self.uses_source(*index, &scenario_of));
        before + counted.count() as u64
    }

    fn uses_source(&self, index: u64, scenario_of: impl Fn(u64) -> usize) -> bool {
        self.uses.get(scenario_of(index)).copied().unwrap_or(false)
    }
}
