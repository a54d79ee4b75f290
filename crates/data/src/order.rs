//! The place of an iteration among those of the whole fleet that use a source: counted in the order of time, by everybody
//! alike.
//!
//! An open load's arrivals follow from the plan, so each thread can count all of them, its own and others', without a word
//! from anybody. Of a uniform process the index is the place in time; of a Poisson process, whose lanes run ahead of one
//! another, the arrivals of all lanes are walked through.
//!
//! A change of the schedule counts from its own time on, whenever it is learned: what was counted beyond is counted anew.
//! Whoever learned of it late has given out places by the old count meanwhile. Those of them that come again are told
//! apart, see [`Order::is_doubtful`]; that others who knew in time give them out as well cannot be helped.
//!
//! Invariant: two iterations never have the same place, whoever asks, as far as changes are known before their time.
//! Deliberately absent: iterations that were missed; their places stay empty.

use std::collections::VecDeque;
use std::sync::Arc;

use plan::{Arrivals, LaneSet, Schedule, Workload};

/// How often a count is kept, so that there is one to go back to.
const KEPT_EVERY_NS: u64 = 10_000_000_000;

/// Counts that are kept. A change that is older than all of them has everything counted from the beginning.
const KEPT: usize = 3;

/// Threads of a driver learn of a change within this time of one another.
const LEARNED_WITHIN_NS: u64 = 1_000_000_000;

/// Counts on from the iteration that was asked for last.
#[derive(Debug, Clone)]
pub struct Order {
    /// By the numbers of the scenarios.
    uses: Vec<bool>,
    /// Those counted.
    count: u64,
    /// Places before this one may have been given out by a count that no longer holds.
    doubtful: u64,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    ByIndex {
        /// The index that comes next.
        next: u64,
        schedule: Arc<Schedule>,
    },
    ByTime(Box<ByTime>),
}

#[derive(Debug, Clone)]
struct ByTime {
    arrivals: Arrivals,
    /// All before were counted.
    counted_ns: u64,
    /// Counts at some times, ascending.
    kept: VecDeque<(u64, u64, Arrivals)>,
}

impl ByTime {
    fn new(schedule: Arc<Schedule>) -> Self {
        Self { arrivals: Arrivals::new(schedule, LaneSet::all()), counted_ns: 0, kept: VecDeque::new() }
    }

    /// The index of the next arrival that is due by `at_ns`, which is counted then.
    fn pass(&mut self, at_ns: u64, count: u64) -> Option<u64> {
        let arrival = self.arrivals.peek().filter(|arrival| arrival.at_ns <= at_ns)?;
        if arrival.at_ns >= self.kept.back().map_or(0, |(kept_ns, ..)| *kept_ns) + KEPT_EVERY_NS {
            self.kept.push_back((arrival.at_ns, count, self.arrivals.clone()));
            if self.kept.len() > KEPT {
                self.kept.pop_front();
            }
        }
        self.arrivals.next();
        self.counted_ns = arrival.at_ns + 1;
        Some(arrival.index)
    }

    /// Another schedule from `from_ns` on; how many are counted then.
    fn change_schedule(&mut self, from_ns: u64, count: u64, schedule: Arc<Schedule>) -> u64 {
        self.kept.retain(|(kept_ns, ..)| *kept_ns <= from_ns);
        for (_, _, arrivals) in &mut self.kept {
            arrivals.change_schedule(from_ns, 0, Arc::clone(&schedule));
        }
        if self.counted_ns <= from_ns {
            self.arrivals.change_schedule(from_ns, 0, schedule);
            return count;
        }
        match self.kept.back() {
            Some((kept_ns, count, arrivals)) => {
                (self.arrivals, self.counted_ns) = (arrivals.clone(), *kept_ns);
                *count
            }
            None => {
                // It has all that changed before.
                *self = Self::new(schedule);
                0
            }
        }
    }
}

impl Order {
    /// For an open load with this schedule; `uses` says by the numbers of the scenarios which of them use the source.
    pub fn new(schedule: &Arc<Schedule>, uses: &[bool]) -> Self {
        let way = match schedule.is_poisson() {
            true => Way::ByTime(Box::new(ByTime::new(Arc::clone(schedule)))),
            false => Way::ByIndex { next: 0, schedule: Arc::clone(schedule) },
        };
        Self { uses: uses.to_vec(), count: 0, doubtful: 0, way }
    }

    /// The place of iteration `index` of `workload`, due at `at_ns`, which uses the source; to be asked in the order of time.
    /// `None` when it has been passed, or is not in the schedule.
    pub fn place(&mut self, workload: &Workload, index: u64, at_ns: u64) -> Option<u64> {
        let uses = |index: u64| self.uses.get(workload.scenario_of(index)).copied().unwrap_or(false);
        match &mut self.way {
            Way::ByIndex { next, .. } => {
                let passed = index.min(*next)..index.max(*next);
                // Where all use it, index and place are the same.
                let users = match self.uses.iter().all(|uses| *uses) {
                    true => passed.end - passed.start,
                    false => passed.filter(|index| uses(*index)).count() as u64,
                };
                // A slower schedule that was learned late goes back.
                self.count =
                    if index < *next { self.count.saturating_sub(users) } else { self.count + users };
                *next = index + 1;
                self.count += 1;
                Some(self.count - 1)
            }
            Way::ByTime(way) => {
                while let Some(passed) = way.pass(at_ns, self.count) {
                    if uses(passed) {
                        self.count += 1;
                        if passed == index {
                            return Some(self.count - 1);
                        }
                    }
                }
                None
            }
        }
    }

    /// Counts what is due before `until_ns`, as far as `left` goes, which it counts down; whether that is all. So a long way
    /// to the next place can be gone bit by bit.
    pub fn follow(&mut self, workload: &Workload, until_ns: u64, left: &mut u32) -> bool {
        let uses = |index: u64| self.uses.get(workload.scenario_of(index)).copied().unwrap_or(false);
        match &mut self.way {
            Way::ByIndex { .. } if self.uses.iter().all(|uses| *uses) => {}
            Way::ByIndex { next, schedule } => {
                let until = schedule.count_in(&LaneSet::all(), 0, until_ns);
                while *next < until {
                    if *left == 0 {
                        return false;
                    }
                    *left -= 1;
                    self.count += u64::from(uses(*next));
                    *next += 1;
                }
            }
            Way::ByTime(way) => {
                let Some(last_ns) = until_ns.checked_sub(1) else { return true };
                while *left > 0 {
                    let Some(passed) = way.pass(last_ns, self.count) else { return true };
                    *left -= 1;
                    self.count += u64::from(uses(passed));
                }
                return way.arrivals.peek().is_none_or(|next| next.at_ns >= until_ns);
            }
        }
        true
    }

    /// Whether this driver may have given `place` to another iteration, by a schedule that no longer held.
    pub fn is_doubtful(&self, place: u64) -> bool {
        place < self.doubtful
    }

    /// Another schedule for what is due at or after `from_ns`, as is learned at `now_ns`.
    pub fn change_schedule(&mut self, from_ns: u64, now_ns: u64, schedule: Arc<Schedule>) {
        let until_ns = now_ns.saturating_add(LEARNED_WITHIN_NS);
        let is_late = now_ns > from_ns;
        match &mut self.way {
            Way::ByIndex { next, schedule: old } => {
                if is_late {
                    let given = old.count_in(&LaneSet::all(), 0, until_ns).saturating_sub(*next);
                    self.doubtful = self.doubtful.max(self.count + given);
                }
                *old = schedule;
            }
            Way::ByTime(way) => {
                if is_late {
                    let expected = way.arrivals.schedule().expected_in(way.counted_ns, until_ns);
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                    // As good as never are there more.
                    let given = (expected + 8.0 * expected.sqrt() + 16.0) as u64;
                    self.doubtful = self.doubtful.max(self.count + given);
                }
                self.count = way.change_schedule(from_ns, self.count, schedule);
            }
        }
    }
}
