//! The place of an iteration among those of the whole fleet that use a source: counted in the order of time, by everybody
//! alike.
//!
//! An open load's arrivals follow from the plan, so each thread can count all of them, its own and others', without a word
//! from anybody. Of a uniform process the index is the place in time; of a Poisson process, whose lanes run ahead of one
//! another, the arrivals of all lanes are walked through.
//!
//! Invariant: two iterations never have the same place, whoever asks. Deliberately absent: iterations that were missed;
//! their places stay empty.

use std::sync::Arc;

use plan::{Arrivals, LaneSet, Schedule, Workload};

/// Counts on from the iteration that was asked for last.
#[derive(Debug, Clone)]
pub struct Order {
    /// By the numbers of the scenarios.
    uses: Vec<bool>,
    /// Those counted.
    count: u64,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// The index that comes next.
    ByIndex(u64),
    ByTime(Box<Arrivals>),
}

impl Order {
    /// For an open load with this schedule; `uses` says by the numbers of the scenarios which of them use the source.
    pub fn new(schedule: &Arc<Schedule>, uses: &[bool]) -> Self {
        let way = match schedule.is_poisson() {
            true => Way::ByTime(Box::new(Arrivals::new(Arc::clone(schedule), LaneSet::all()))),
            false => Way::ByIndex(0),
        };
        Self { uses: uses.to_vec(), count: 0, way }
    }

    /// The place of iteration `index` of `workload`, due at `at_ns`, which uses the source; to be asked in the order of time.
    /// `None` when it has been passed, or is not in the schedule.
    pub fn place(&mut self, workload: &Workload, index: u64, at_ns: u64) -> Option<u64> {
        let uses = |index: u64| self.uses.get(workload.scenario_of(index)).copied().unwrap_or(false);
        match &mut self.way {
            Way::ByIndex(next) => {
                if index < *next {
                    return None;
                }
                // Where all use it, index and place are the same.
                if self.uses.iter().all(|uses| *uses) {
                    *next = index + 1;
                    return Some(index);
                }
                let before = (*next..index).filter(|index| uses(*index)).count() as u64;
                *next = index + 1;
                self.count += before + 1;
                Some(self.count - 1)
            }
            Way::ByTime(arrivals) => {
                while let Some(arrival) = arrivals.peek()
                    && arrival.at_ns <= at_ns
                {
                    arrivals.next();
                    if uses(arrival.index) {
                        self.count += 1;
                        if arrival.index == index {
                            return Some(self.count - 1);
                        }
                    }
                }
                None
            }
        }
    }

    /// Another schedule for what is due at or after `from_ns`.
    pub fn change_schedule(&mut self, from_ns: u64, now_ns: u64, schedule: Arc<Schedule>) {
        if let Way::ByTime(arrivals) = &mut self.way {
            arrivals.change_schedule(from_ns, now_ns, schedule);
        }
    }
}
