//! Which row of a source an iteration uses.
//!
//! | pick | open load | other loads |
//! | --- | --- | --- |
//! | `once`, `in_turn` | the iteration's place in the fleet ([`Order`]) | the next of the thread's own rows ([`Hand`], once [`Pile`]) |
//! | `random` | from seed and index | from seed and index |
//! | `per_user` | – | the user's number |
//!
//! Invariant: drivers and threads agree without a word between them. Deliberately absent: what becomes of an iteration
//! that gets no row; the plan's [`WhenExhausted`] says it.

use std::sync::Arc;

use plan::{Arrival, DataSource, LaneSet, Pick, Plan, Schedule, WhenExhausted, Workload, mix};

use crate::hand::Hand;
use crate::order::Order;
use crate::pile::Pile;

/// Gives the iterations of one thread their rows of one source.
#[derive(Debug, Clone)]
pub struct Rows {
    rows: u64,
    /// How many of them are the workload's, and which.
    own: u64,
    part: Part,
    again: bool,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    Ordered(Order),
    Hand(Hand),
    Pile(Pile),
    Random { salt: u64 },
    PerUser,
}

/// What one of several workloads has of a source's rows: they are dealt, one each in turn, to those that use it.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// The workload's number among those, and how many they are.
    number: u64,
    of: u64,
}

impl Part {
    /// Of rows that may be used again and are fewer than workloads, each has all.
    fn new(workloads: &[Arc<Workload>], workload: usize, uses: &[bool], (rows, again): (u64, bool)) -> Self {
        let uses = |workload: &&Arc<Workload>| {
            workload.scenarios.iter().any(|scenario| uses.get(*scenario).copied().unwrap_or(false))
        };
        let count = |workloads: &[Arc<Workload>]| workloads.iter().filter(uses).count() as u64;
        let of = count(workloads);
        if of <= 1 || again && rows < of {
            return Self { number: 0, of: 1 };
        }
        Self { number: count(workloads.get(..workload).unwrap_or_default()), of }
    }

    /// How many of `rows` it has.
    const fn count(self, rows: u64) -> u64 {
        rows.saturating_sub(self.number).div_ceil(self.of)
    }

    /// The source's row that is its own number `row`.
    const fn row(self, row: u64) -> u64 {
        row * self.of + self.number
    }
}

/// Why an iteration gets no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRow {
    /// None is left.
    UsedUp,
    /// A change of the rate was learned of too late: its row may be another's by the rate before, or it is not due at all.
    Passed,
}

impl Rows {
    /// For each thread of a driver that walks workload number `workload` of `plan`: of the source number `source`, which has
    /// `rows` rows. `uses` says by the numbers of the scenarios which of them use it, `lanes` are the threads' own, and
    /// `schedule` is that of an open load.
    pub fn of_threads(
        plan: &Plan,
        workload: usize,
        source: usize,
        rows: u64,
        uses: &[bool],
        lanes: &[LaneSet],
        schedule: Option<&Arc<Schedule>>,
    ) -> Vec<Self> {
        let Some(DataSource { pick, when_exhausted, .. }) = plan.data.get(source) else { return Vec::new() };
        let again = *when_exhausted == WhenExhausted::Recycle;
        let part = Part::new(&plan.workloads, workload, uses, (rows, again));
        let own = part.count(rows);
        let of_each = |way: &dyn Fn(&LaneSet) -> Way| lanes.iter().map(way).collect::<Vec<_>>();
        let ways = match (pick, schedule) {
            (Pick::Once | Pick::InTurn, Some(schedule)) => {
                of_each(&|_| Way::Ordered(Order::new(schedule, uses)))
            }
            (Pick::Once | Pick::InTurn, None) if again => of_each(&|lanes| Way::Hand(Hand::new(own, *lanes))),
            (Pick::Once | Pick::InTurn, None) => {
                Pile::of_threads(own, lanes).into_iter().map(Way::Pile).collect()
            }
            (Pick::Random, _) => of_each(&|_| Way::Random { salt: source as u64 }),
            (Pick::PerUser, _) => of_each(&|_| Way::PerUser),
        };
        ways.into_iter().map(|way| Self { rows, own, part, again, way }).collect()
    }

    /// The same for one thread that has all of a driver's lanes.
    pub fn new(
        plan: &Plan,
        workload: usize,
        source: usize,
        rows: u64,
        uses: &[bool],
        lanes: LaneSet,
        schedule: Option<&Arc<Schedule>>,
    ) -> Option<Self> {
        Self::of_threads(plan, workload, source, rows, uses, &[lanes], schedule).pop()
    }

    /// The row, from 0, of an iteration of `workload`. To be asked in the order of time; in loads that are not open each call
    /// is another iteration.
    ///
    /// # Errors
    /// There is none for it.
    pub fn row(&mut self, workload: &Workload, arrival: &Arrival) -> Result<u64, NoRow> {
        let own = match &mut self.way {
            Way::Random { salt } => {
                return row_at_random(workload.seed, *salt, arrival.index, self.rows).ok_or(NoRow::UsedUp);
            }
            Way::Ordered(order) => {
                let place = order.place(workload, arrival.index, arrival.at_ns).ok_or(NoRow::Passed)?;
                if !self.again && order.is_doubtful(place) {
                    return Err(NoRow::Passed);
                }
                row_of_user(place, self.own, self.again)
            }
            Way::Hand(hand) => hand.next_row(),
            Way::Pile(pile) => pile.next_row(),
            Way::PerUser => row_of_user(u64::from(arrival.user), self.own, self.again),
        };
        own.map(|row| self.part.row(row)).ok_or(NoRow::UsedUp)
    }

    /// Whether it counts the iterations of the fleet, and is to be asked to [`follow`](Self::follow).
    pub fn counts(&self) -> bool {
        matches!(self.way, Way::Ordered(_))
    }

    /// Counts the iterations of the fleet that are due before `until_ns`, as far as `left` goes, which it counts down;
    /// whether that is all. None of those that are still to get a row may be among them.
    pub fn follow(&mut self, workload: &Workload, until_ns: u64, left: &mut u32) -> bool {
        match &mut self.way {
            Way::Ordered(order) => order.follow(workload, until_ns, left),
            _ => true,
        }
    }

    /// Another schedule of an open load for what is due at or after `from_ns`.
    pub fn change_schedule(&mut self, from_ns: u64, now_ns: u64, schedule: &Arc<Schedule>) {
        if let Way::Ordered(order) = &mut self.way {
            order.change_schedule(from_ns, now_ns, Arc::clone(schedule));
        }
    }

    /// The thread's lanes have moved during the run.
    pub fn set_lanes(&mut self, lanes: LaneSet) {
        if let Way::Hand(hand) = &mut self.way {
            hand.set_lanes(lanes);
        }
    }
}

/// The row of number `user`, be it a user's or a place; beyond the last row, begins `again` with the first, or is `None`.
pub fn row_of_user(user: u64, rows: u64, again: bool) -> Option<u64> {
    if user >= rows && !again { None } else { user.checked_rem(rows) }
}

/// Any of `rows` rows, as the seed has it for this iteration and source. `None` without rows.
pub fn row_at_random(seed: u64, source: u64, index: u64, rows: u64) -> Option<u64> {
    /// Keeps rows apart from the choice of a scenario.
    const SALT: u64 = 0x6461_7461;
    let random = mix(seed ^ mix(index ^ mix(source ^ SALT)));
    // Below `rows`, so it fits.
    let row = u64::try_from((u128::from(random) * u128::from(rows)) >> 64).ok()?;
    (row < rows).then_some(row)
}
