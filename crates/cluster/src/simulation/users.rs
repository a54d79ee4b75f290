//! The users of a closed load in the model of the engine: each is ready again some time after its answer.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use plan::{LaneSet, Plan, Users};

/// What a user waits after an answer: the think time of the simulated plans.
const THINK_NS: u64 = 100_000_000;

#[derive(Debug)]
pub(super) struct Closed {
    plan: Arc<Plan>,
    users: Users,
    /// Those who are there, and when they came.
    present: BTreeMap<u32, u64>,
    /// Who walks an iteration.
    walking: BTreeSet<u32>,
    /// Who is ready to begin one, and since when.
    ready: BinaryHeap<Reverse<(u64, u32)>>,
    /// Iterations that each has begun.
    begun: BTreeMap<u32, u64>,
}

impl Closed {
    /// The users of some lanes; `None` in the other models.
    pub(super) fn new(plan: &Arc<Plan>, lanes: LaneSet) -> Option<Self> {
        let population = Arc::new(plan.workloads[0].population()?);
        Some(Self {
            plan: Arc::clone(plan),
            users: Users::new(population, lanes),
            present: BTreeMap::new(),
            walking: BTreeSet::new(),
            ready: BinaryHeap::new(),
            begun: BTreeMap::new(),
        })
    }

    pub(super) fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) {
        self.users.change_lanes(from_ns, now_ns, lanes);
    }

    pub(super) fn change_rate(&mut self, from_ns: u64, now_ns: u64, factor: f64) {
        let population = Arc::new(self.users.population().scaled_from(from_ns, factor));
        self.users.change_population(from_ns, now_ns, &population);
    }

    /// When somebody comes, goes or begins next.
    pub(super) fn next_ns(&mut self) -> Option<u64> {
        let moves = self.users.peek().map(|event| event.at_ns);
        let begins = self.ready.peek().map(|Reverse((at_ns, _))| *at_ns);
        [moves, begins].into_iter().flatten().min()
    }

    /// Takes what is next; gives the user and the index of its iteration when one begins.
    pub(super) fn take(&mut self) -> Option<(u32, u64)> {
        let begins = self.ready.peek().map(|Reverse((at_ns, _))| *at_ns);
        if let Some(event) = self.users.peek().filter(|event| begins.is_none_or(|at_ns| event.at_ns <= at_ns))
        {
            self.users.next();
            if !event.comes {
                self.present.remove(&event.user);
                self.ready.retain(|Reverse((_, user))| *user != event.user);
            } else if self.present.insert(event.user, event.at_ns).is_none()
                && !self.walking.contains(&event.user)
            {
                self.ready.push(Reverse((event.at_ns, event.user)));
            }
            return None;
        }
        let Reverse((_, user)) = self.ready.pop()?;
        let came_ns = *self.present.get(&user)?;
        let begun = self.begun.entry(user).or_default();
        if self.plan.workloads[0].iterations_of(user).is_some_and(|most| *begun >= most) {
            return None;
        }
        self.walking.insert(user);
        let index = plan::Workload::iteration_of(user, came_ns, *begun);
        *begun += 1;
        Some((user, index))
    }

    /// The iteration of a user is done.
    pub(super) fn done(&mut self, user: u32, at_ns: u64) {
        self.walking.remove(&user);
        if self.present.contains_key(&user) {
            self.ready.push(Reverse((at_ns + THINK_NS, user)));
        }
    }

    /// Whether nobody will begin anything any more.
    pub(super) fn is_over(&mut self, now_ns: u64) -> bool {
        match self.plan.duration() {
            Some(length) => now_ns >= clock::nanos(length),
            None => {
                let all_came = self.users.peek().is_none_or(|event| event.at_ns > now_ns);
                all_came && self.ready.is_empty() && self.walking.is_empty()
            }
        }
    }
}
