//! Whose: a load is divided into lanes, drivers own lanes, threads of a driver divide its lanes.
//!
//! Invariant: every lane has exactly one owner; tables made here give two drivers at most one lane of difference, and
//! made from one another move no lane that need not move. Deliberately absent: weights of drivers, and the time from
//! which a table holds, which is the command's.

use std::collections::BTreeSet;
use std::fmt;

use thiserror::Error;

/// Parts of a load. Enough to balance a thousand drivers within one lane, few enough to send whole.
pub const LANES: usize = 1024;

const WORDS: usize = LANES / 64;

/// A set of lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneSet([u64; WORDS]);

impl LaneSet {
    /// No lane.
    pub const fn empty() -> Self {
        Self([0; WORDS])
    }

    /// Every lane.
    pub const fn all() -> Self {
        Self([u64::MAX; WORDS])
    }

    /// Adds `lane`. A lane beyond [`LANES`] is taken modulo, like the index of an arrival.
    pub fn insert(&mut self, lane: usize) {
        let lane = lane % LANES;
        self.0[lane / 64] |= 1 << (lane % 64);
    }

    /// Whether `lane`, modulo [`LANES`], is in it.
    pub fn contains(&self, lane: usize) -> bool {
        let lane = lane % LANES;
        self.0[lane / 64] & (1 << (lane % 64)) != 0
    }

    /// How many lanes.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The lanes, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..LANES).filter(|lane| self.contains(*lane))
    }

    /// The lanes of this set that `other` does not have.
    pub fn minus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    /// The lanes that one or both have.
    pub fn or(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    /// The lanes that both have.
    pub fn and(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    /// The part of thread `thread` of `threads`: every `threads`-th lane of this set, so that shares differ by at most
    /// one lane and each thread's arrivals stay spread over time.
    pub fn of_thread(&self, thread: usize, threads: usize) -> Self {
        self.iter().skip(thread).step_by(threads.max(1)).collect()
    }

    /// How many of the arrivals 0 to `index`, without `index` itself, are of these lanes.
    pub(crate) fn rank(&self, index: u64) -> u64 {
        let (rounds, lane) = (index / LANES as u64, index % LANES as u64);
        let mut below = 0;
        for (i, word) in self.0.iter().enumerate() {
            let first = i as u64 * 64;
            if first + 64 <= lane {
                below += u64::from(word.count_ones());
            } else if first < lane {
                below += u64::from((word & ((1 << (lane - first)) - 1)).count_ones());
            }
        }
        rounds * self.len() as u64 + below
    }

    /// The first arrival at or after `index` that is of these lanes; `None` when the set is empty.
    pub fn next_index(&self, index: u64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "below LANES")]
        let lane = (index % LANES as u64) as usize;
        let (word, bit) = (lane / 64, lane % 64);
        let here = self.0[word] >> bit;
        if here != 0 {
            return Some(index + u64::from(here.trailing_zeros()));
        }
        // The last round comes back to the word it began with, for the lanes before `bit`.
        let base = index - bit as u64;
        (1..=WORDS).find_map(|ahead| {
            let word = self.0[(word + ahead) % WORDS];
            (word != 0).then(|| base + ahead as u64 * 64 + u64::from(word.trailing_zeros()))
        })
    }
}

impl LaneSet {
    /// The lowest user of these lanes in `from..to`.
    pub(crate) fn first_between(&self, from: u32, to: u32) -> Option<u32> {
        let user = u32::try_from(self.next_index(u64::from(from))?).ok()?;
        (user < to).then_some(user)
    }

    /// The highest user of these lanes in `from..to`.
    pub(crate) fn last_between(&self, from: u32, to: u32) -> Option<u32> {
        // Further down are the same lanes again.
        (from..to).rev().take(LANES).find(|user| usize::try_from(*user).is_ok_and(|user| self.contains(user)))
    }
}

impl FromIterator<usize> for LaneSet {
    fn from_iter<T: IntoIterator<Item = usize>>(lanes: T) -> Self {
        let mut set = Self::empty();
        lanes.into_iter().for_each(|lane| set.insert(lane));
        set
    }
}

impl fmt::Debug for LaneSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lanes", self.len())
    }
}

/// Which driver owns which lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// Grows with every change in a run.
    pub version: u32,
    /// The owners' node ids.
    pub drivers: Vec<String>,
    /// For each of the [`LANES`] lanes the index of its owner in `drivers`.
    pub owners: Vec<u16>,
}

/// Why a table of lanes that came from elsewhere is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidShares {
    /// It has no or too many drivers.
    #[error("a table of lanes has 1 to {LANES} drivers, this one has {0}")]
    Drivers(usize),
    /// A driver's name is empty or stands there twice.
    #[error("the driver name \"{0}\" is empty or there twice")]
    Name(String),
    /// It is too short or too long.
    #[error("a table of lanes has {LANES} entries, this one has {0}")]
    Lanes(usize),
    /// A lane belongs to nobody.
    #[error("lane {lane} belongs to driver number {owner}, which is not in the table")]
    Owner {
        /// The lane.
        lane: usize,
        /// What the table says.
        owner: u16,
    },
}

impl Shares {
    /// Version 1: lane *j* goes to driver *j* mod *n*. `None` without drivers, or with more than [`LANES`].
    pub fn even(drivers: Vec<String>) -> Option<Self> {
        let count = drivers.len();
        if !(1..=LANES).contains(&count) {
            return None;
        }
        let owners = (0..LANES).map(|lane| index(lane % count)).collect();
        Some(Self { version: 1, drivers, owners })
    }

    /// The table after `node` is lost: its lanes, and only these, go to those that have fewest. `None` when nobody is
    /// left; unchanged when `node` has no part in it.
    pub fn without(&self, node: &str) -> Option<Self> {
        let Some(lost) = self.drivers.iter().position(|driver| driver == node) else {
            return Some(self.clone());
        };
        let mut drivers = self.drivers.clone();
        drivers.remove(lost);
        if drivers.is_empty() {
            return None;
        }
        let mut counts = vec![0usize; drivers.len()];
        let kept: Vec<Option<usize>> = self
            .owners
            .iter()
            .map(|owner| match usize::from(*owner) {
                owner if owner == lost || owner >= self.drivers.len() => None,
                owner => Some(owner - usize::from(owner > lost)),
            })
            .collect();
        kept.iter().flatten().for_each(|owner| counts[*owner] += 1);
        let owners = kept
            .into_iter()
            .map(|owner| {
                index(owner.unwrap_or_else(|| {
                    let fewest = (0..counts.len()).min_by_key(|driver| counts[*driver]).unwrap_or(0);
                    counts[fewest] += 1;
                    fewest
                }))
            })
            .collect();
        Some(Self { version: self.version.saturating_add(1), drivers, owners })
    }

    /// The table after `node` joins: it takes its share from those that have most, spread over their lanes. Unchanged
    /// when `node` is in it already, or there are [`LANES`] drivers.
    pub fn with(&self, node: &str) -> Self {
        if self.drivers.iter().any(|driver| driver == node) || self.drivers.len() >= LANES {
            return self.clone();
        }
        let mut drivers = self.drivers.clone();
        drivers.push(node.to_owned());
        let joined = drivers.len() - 1;
        let mut lanes: Vec<Vec<usize>> = vec![Vec::new(); joined];
        for (lane, owner) in self.owners.iter().enumerate() {
            lanes.get_mut(usize::from(*owner)).into_iter().for_each(|lanes| lanes.push(lane));
        }
        let mut gives = vec![0usize; joined];
        for _ in 0..LANES / drivers.len() {
            let most = (0..joined).max_by_key(|driver| lanes[*driver].len() - gives[*driver]).unwrap_or(0);
            gives[most] += 1;
        }
        let mut owners = self.owners.clone();
        for (lanes, gives) in lanes.iter().zip(gives) {
            (0..gives).for_each(|i| owners[lanes[(2 * i + 1) * lanes.len() / (2 * gives)]] = index(joined));
        }
        Self { version: self.version.saturating_add(1), drivers, owners }
    }

    /// The lanes of `node`; empty when it has none.
    pub fn lanes_of(&self, node: &str) -> LaneSet {
        match self.drivers.iter().position(|driver| driver == node) {
            Some(own) => {
                (0..self.owners.len()).filter(|lane| usize::from(self.owners[*lane]) == own).collect()
            }
            None => LaneSet::empty(),
        }
    }

    /// Checks a table that came from elsewhere; what this crate makes always passes.
    pub fn validate(&self) -> Result<(), InvalidShares> {
        if !(1..=LANES).contains(&self.drivers.len()) {
            return Err(InvalidShares::Drivers(self.drivers.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = self.drivers.iter().find(|name| name.is_empty() || !seen.insert(name.as_str())) {
            return Err(InvalidShares::Name(name.clone()));
        }
        if self.owners.len() != LANES {
            return Err(InvalidShares::Lanes(self.owners.len()));
        }
        match self.owners.iter().enumerate().find(|(_, owner)| usize::from(**owner) >= self.drivers.len()) {
            Some((lane, owner)) => Err(InvalidShares::Owner { lane, owner: *owner }),
            None => Ok(()),
        }
    }
}

/// A driver's index as the table has it; there are at most [`LANES`] drivers.
fn index(driver: usize) -> u16 {
    u16::try_from(driver).unwrap_or(u16::MAX)
}
