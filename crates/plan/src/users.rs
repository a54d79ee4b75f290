//! The users of some lanes: who comes and who goes, in order, while lanes and numbers change on the way.
//!
//! Invariant: after each event the users that have come and not gone are those of the lanes that the population has at
//! that time. Deliberately absent: waiting, iterations (a user that goes ends the one it walks), and users that are
//! made up for: one that is learned of too late comes late.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::population::Population;
use crate::share::LaneSet;

/// Changes that are known and not yet in force, at most; see [`crate::Arrivals`].
const PENDING_CHANGES: usize = 16;

/// A user comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserEvent {
    /// Nanoseconds since the start of the run.
    pub at_ns: u64,
    /// Its number in the fleet; its lane is this modulo [`crate::LANES`].
    pub user: u32,
    /// Whether it comes: its first iteration is intended now. One that goes ends the iteration it walks and begins no
    /// other.
    pub comes: bool,
}

/// Iterator over the events of the users of some lanes.
#[derive(Debug, Clone)]
pub struct Users {
    /// The current one and those to come; never empty.
    eras: VecDeque<Era>,
    /// Who is there.
    there: There,
    /// What comes next, once it was looked for.
    step: Option<Step>,
}

/// A span of time with the same lanes and the same population.
#[derive(Debug, Clone)]
struct Era {
    from_ns: u64,
    lanes: LaneSet,
    population: Arc<Population>,
}

/// The users below `count` of `lanes`.
#[derive(Debug, Clone, Copy)]
struct There {
    /// When that came about; `None` before the beginning, when nobody is there.
    since_ns: Option<u64>,
    count: u32,
    lanes: LaneSet,
}

impl There {
    fn has(&self, user: u32) -> bool {
        user < self.count && usize::try_from(user).is_ok_and(|user| self.lanes.contains(user))
    }
}

/// A change of who is there: at least one user comes or goes.
#[derive(Debug, Clone, Copy)]
struct Step {
    at_ns: u64,
    before: There,
    after: There,
    /// The number of the era that brings it.
    era: usize,
    /// The next user to look at.
    user: u32,
    /// Whether an event of it was given.
    has_begun: bool,
}

impl Step {
    fn new(before: There, era: usize, of: &Era, at_ns: u64) -> Self {
        let count = of.population.count_at(at_ns);
        let after = There { since_ns: Some(at_ns), count, lanes: of.lanes };
        Self { at_ns, before, after, era, user: 0, has_begun: false }
    }

    /// The next event of it.
    fn event(&self) -> Option<UserEvent> {
        let either = self.before.lanes.or(&self.after.lanes);
        let most = self.before.count.max(self.after.count);
        let mut user = either.first_between(self.user, most)?;
        while self.before.has(user) == self.after.has(user) {
            user = either.first_between(user + 1, most)?;
        }
        Some(UserEvent { at_ns: self.at_ns, user, comes: self.after.has(user) })
    }
}

impl Users {
    /// The users of `lanes` in `population`.
    pub fn new(population: Arc<Population>, lanes: LaneSet) -> Self {
        let mut eras = VecDeque::with_capacity(PENDING_CHANGES + 1);
        eras.push_back(Era { from_ns: 0, lanes, population });
        let there = There { since_ns: None, count: 0, lanes };
        Self { eras, there, step: None }
    }

    /// The latest population, which may not be in force yet: the one to scale further.
    pub fn population(&self) -> &Arc<Population> {
        &self.eras[self.eras.len() - 1].population
    }

    /// The next event, without taking it.
    pub fn peek(&mut self) -> Option<UserEvent> {
        if let Some(step) = &self.step {
            if let Some(event) = step.event() {
                return Some(event);
            }
            self.there = step.after;
        }
        self.step = self.next_step();
        self.step.as_ref().and_then(Step::event)
    }

    /// Other lanes from `from_ns` on, or from `now_ns` on when that is later; replaces what was known of lanes from
    /// there on.
    pub fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) {
        self.change(from_ns.max(now_ns), |era| era.lanes = lanes);
    }

    /// Another population from `from_ns` on, or from `now_ns` on when that is later.
    pub fn change_population(&mut self, from_ns: u64, now_ns: u64, population: &Arc<Population>) {
        self.change(from_ns.max(now_ns), |era| era.population = Arc::clone(population));
    }

    /// Changes all that holds from `from_ns` on, but nothing that has begun.
    fn change(&mut self, from_ns: u64, change: impl Fn(&mut Era)) {
        self.step = self.step.filter(|step| step.has_begun);
        let begun_ns = self.step.map(|step| step.at_ns).or(self.there.since_ns);
        let from_ns = from_ns.max(begun_ns.map_or(0, |begun_ns| begun_ns + 1)).max(self.eras[0].from_ns);
        let number = self.eras.partition_point(|era| era.from_ns < from_ns);
        let starts_one = self.eras.get(number).is_some_and(|era| era.from_ns == from_ns);
        if !starts_one {
            let before = self.eras[number.saturating_sub(1)].clone();
            self.eras.insert(number, Era { from_ns, ..before });
        }
        self.eras.iter_mut().skip(number).for_each(change);
        if self.eras.len() > PENDING_CHANGES {
            self.eras.remove(1);
        }
    }

    /// The next time at which a user comes or goes.
    fn next_step(&self) -> Option<Step> {
        let mut there = self.there;
        let mut number = 0;
        loop {
            let era = &self.eras[number];
            let change_ns = match there.since_ns {
                Some(since_ns) => era.population.change_after(since_ns, &era.lanes),
                None => Some(0),
            };
            let next = self.eras.get(number + 1);
            let step = match (change_ns, next) {
                (Some(at_ns), next) if next.is_none_or(|next| at_ns < next.from_ns) => {
                    Step::new(there, number, era, at_ns)
                }
                (_, Some(next)) => Step::new(there, number + 1, next, next.from_ns),
                (_, None) => return None,
            };
            if step.event().is_some() {
                return Some(step);
            }
            (there, number) = (step.after, step.era);
        }
    }
}

impl Iterator for Users {
    type Item = UserEvent;

    fn next(&mut self) -> Option<UserEvent> {
        let event = self.peek()?;
        if let Some(step) = &mut self.step {
            // What has begun is no more to be changed: its era is the current one.
            self.eras.drain(..step.era);
            (step.era, step.user, step.has_begun) = (0, event.user + 1, true);
        }
        Some(event)
    }
}
