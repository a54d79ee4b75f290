//! Closed: users who walk one iteration after the other, each with its think time and pacing, while users come and go.
//!
//! Nothing is caught up: a user whose iteration took longer than its pacing starts the next one at once, and a user that
//! is learned of late starts late.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use plan::{Arrival, LaneSet, Late, Population, UserEvent, Users, Workload};

use super::{Source, Timetable};

/// One thread's users.
pub(crate) struct Closed {
    workload: Arc<Workload>,
    population: Arc<Population>,
    events: Users,
    /// The next of them, once it was looked for.
    next_event: Option<Option<UserEvent>>,
    pacing_ns: Option<u64>,
    /// Whether users end on their own, after so many iterations.
    is_counted: bool,
    /// By their numbers in the fleet, as far as they have come.
    users: Vec<User>,
    /// Users that are there, and have iterations left.
    present: usize,
    /// Who starts when: those that were free at once, ascending, and the others.
    free: VecDeque<(u64, u32)>,
    later: BinaryHeap<Reverse<(u64, u32)>>,
    /// Who has gone for good, until somebody asks.
    gone: Vec<u32>,
    is_stopped: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct User {
    is_present: bool,
    is_walking: bool,
    came_ns: u64,
    /// Iterations it has begun since it came.
    begun: u64,
    /// Iterations it may still begin.
    left: u64,
    /// When its present or last iteration was intended.
    intended_ns: u64,
    /// When the next one is; only then does an entry in a queue count.
    due_ns: Option<u64>,
}

impl Closed {
    /// The users of `lanes`.
    pub(crate) fn new(workload: Arc<Workload>, population: Arc<Population>, lanes: LaneSet) -> Self {
        let (pacing, is_counted) = match workload.load {
            plan::Load::Closed { pacing, iterations, .. } => (pacing, iterations.is_some()),
            _ => (None, false),
        };
        Self {
            workload,
            events: Users::new(Arc::clone(&population), lanes),
            population,
            next_event: None,
            pacing_ns: pacing.map(clock::nanos),
            is_counted,
            users: Vec::new(),
            present: 0,
            free: VecDeque::new(),
            later: BinaryHeap::new(),
            gone: Vec::new(),
            is_stopped: false,
        }
    }

    #[inline]
    fn next_event(&mut self) -> Option<UserEvent> {
        let events = &mut self.events;
        *self.next_event.get_or_insert_with(|| events.peek())
    }

    /// Users come and go as they should have by `now_ns`.
    fn follow(&mut self, now_ns: u64) {
        while let Some(event) = self.next_event().filter(|event| event.at_ns <= now_ns) {
            self.events.next();
            self.next_event = None;
            if event.comes { self.come(event) } else { self.go(event.user) }
        }
    }

    fn come(&mut self, UserEvent { at_ns, user, .. }: UserEvent) {
        let number = user as usize;
        if self.users.len() <= number {
            self.users.resize(number + 1, User::default());
        }
        // Who takes over a counted user does not know how far it came, and sends nothing twice.
        let left = match self.workload.iterations_of(user) {
            Some(_) if at_ns > 0 => 0,
            Some(left) => left,
            None => u64::MAX,
        };
        let mine = &mut self.users[number];
        (mine.is_present, mine.came_ns, mine.begun, mine.left) = (left > 0, at_ns, 0, left);
        self.present += usize::from(left > 0);
        // One that went and comes again may still walk the iteration it was in.
        if left > 0 && !mine.is_walking {
            mine.due_ns = Some(at_ns);
            self.later.push(Reverse((at_ns, user)));
        }
    }

    fn go(&mut self, user: u32) {
        if let Some(mine) = self.users.get_mut(user as usize)
            && std::mem::replace(&mut mine.is_present, false)
        {
            mine.due_ns = None;
            self.present -= 1;
            if !mine.is_walking {
                self.gone.push(user);
            }
        }
    }

    /// The first entry of either queue.
    #[inline]
    fn first(&self) -> u64 {
        let free = self.free.front().map_or(u64::MAX, |(at_ns, _)| *at_ns);
        self.later.peek().map_or(free, |Reverse((at_ns, _))| free.min(*at_ns))
    }

    /// When a user that was free at `free_ns` starts again, by its think time and pacing.
    fn due_after(&self, user: u32, free_ns: u64) -> u64 {
        let mine = &self.users[user as usize];
        let index = Workload::iteration_of(user, mine.came_ns, mine.begun.wrapping_sub(1));
        let thought_ns = free_ns.saturating_add(clock::nanos(self.workload.think_time_of(index)));
        self.pacing_ns
            .map_or(thought_ns, |pacing_ns| thought_ns.max(mine.intended_ns.saturating_add(pacing_ns)))
    }

    /// An iteration ended; whether its user walks another one.
    fn ended(&mut self, user: u32) -> bool {
        let mine = &mut self.users[user as usize];
        mine.is_walking = false;
        if mine.is_present && mine.left == 0 {
            mine.is_present = false;
            self.present -= 1;
        }
        let stays = self.users[user as usize].is_present;
        if !stays {
            self.gone.push(user);
        }
        stays && !self.is_stopped
    }
}

impl Source for Closed {
    const CLOSED: bool = true;
    const HAS_USERS: bool = true;

    #[inline]
    fn next_at(&mut self) -> u64 {
        if self.is_stopped {
            return u64::MAX;
        }
        let event_ns = self.next_event().map_or(u64::MAX, |event| event.at_ns);
        event_ns.min(self.first())
    }

    fn pull(&mut self, now_ns: u64) -> Option<Arrival> {
        if self.is_stopped {
            return None;
        }
        self.follow(now_ns);
        loop {
            let at_ns = self.first();
            if at_ns > now_ns {
                return None;
            }
            let user = match self.free.front() {
                Some(&(free_ns, user)) if free_ns == at_ns => {
                    self.free.pop_front();
                    user
                }
                _ => self.later.pop()?.0.1,
            };
            let mine = &mut self.users[user as usize];
            if mine.due_ns != Some(at_ns) {
                continue;
            }
            mine.due_ns = None;
            mine.is_walking = true;
            mine.intended_ns = at_ns;
            let index = Workload::iteration_of(user, mine.came_ns, mine.begun);
            mine.begun += 1;
            mine.left -= 1;
            return Some(Arrival { at_ns, index, stage: self.population.stage_at(at_ns), user });
        }
    }

    fn again(&mut self, user: u32, at_ns: u64) {
        if !self.ended(user) {
            return;
        }
        let due_ns = self.due_after(user, at_ns);
        self.users[user as usize].due_ns = Some(due_ns);
        if due_ns == at_ns && self.free.back().is_none_or(|(last_ns, _)| *last_ns <= at_ns) {
            self.free.push_back((at_ns, user));
        } else {
            self.later.push(Reverse((due_ns, user)));
        }
    }

    fn rest(&mut self, user: u32, until_ns: u64) {
        self.again(user, until_ns);
    }

    fn leave(&mut self, user: u32) {
        self.users[user as usize].left = 0;
        self.ended(user);
    }

    fn gone(&mut self) -> Option<u32> {
        self.gone.pop()
    }

    fn is_exhausted(&mut self, now_ns: u64) -> bool {
        self.is_stopped
            || self.present == 0
                && now_ns >= self.open_until()
                && self.next_event().is_none_or(|event| !event.comes)
    }

    fn open_until(&self) -> u64 {
        if self.is_stopped || self.is_counted { 0 } else { self.population.end_ns() }
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn change_lanes(&mut self, from_ns: u64, now_ns: u64, lanes: LaneSet) -> Late {
        self.events.change_lanes(from_ns, now_ns, lanes);
        self.next_event = None;
        Late::default()
    }

    fn change_timetable(&mut self, from_ns: u64, now_ns: u64, timetable: Timetable) -> Late {
        if let Timetable::Population(population) = timetable {
            self.events.change_population(from_ns, now_ns, &population);
            self.population = population;
            self.next_event = None;
        }
        Late::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn closed(load: &str) -> Closed {
        let text = format!(
            "version: 1\nname: t\ntarget: http://127.0.0.1\nload: {{ model: closed, {load} }}\nscenarios: {{ s: {{ steps: [{{ get: / }}] }} }}"
        );
        let plan = plan::parse("t", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let workload = Arc::clone(&plan.workloads[0]);
        let population = Arc::new(workload.population().unwrap());
        Closed::new(workload, population, LaneSet::all())
    }

    /// What starts until `until_ns` when each iteration takes `took_ns`: when, and whose.
    fn walk(source: &mut Closed, until_ns: u64, took_ns: u64) -> Vec<(u64, u32)> {
        let mut starts = Vec::new();
        let mut under_way: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
        loop {
            let ends_ns = under_way.peek().map_or(u64::MAX, |Reverse((at_ns, _))| *at_ns);
            let now_ns = source.next_at().min(ends_ns);
            if now_ns >= until_ns {
                return starts;
            }
            if ends_ns == now_ns {
                let Some(Reverse((at_ns, user))) = under_way.pop() else { unreachable!() };
                source.again(user, at_ns);
            }
            while let Some(arrival) = source.pull(now_ns) {
                assert!(arrival.at_ns <= now_ns);
                starts.push((arrival.at_ns, arrival.user));
                under_way.push(Reverse((now_ns + took_ns, arrival.user)));
            }
        }
    }

    #[test]
    fn each_user_walks_one_iteration_after_the_other() {
        let mut source = closed("stages: [{ users: 3, for: 10s }]");
        let starts = walk(&mut source, 20 * SECOND, SECOND);
        assert_eq!(starts.len(), 30);
        for user in 0..3 {
            let mine: Vec<u64> = starts.iter().filter(|(_, by)| *by == user).map(|(at, _)| *at).collect();
            assert_eq!(mine, (0..10).map(|number| number * SECOND).collect::<Vec<_>>());
        }
        assert!(source.is_exhausted(10 * SECOND));
    }

    #[test]
    fn think_time_and_pacing_hold_users_back() {
        let mut source = closed("stages: [{ users: 1, for: 10s }], think_time: 1s");
        assert_eq!(walk(&mut source, 20 * SECOND, SECOND).len(), 5);
        let mut source = closed("stages: [{ users: 1, for: 10s }], pacing: 2s");
        assert_eq!(walk(&mut source, 20 * SECOND, SECOND).len(), 5, "paced");
        let mut source = closed("stages: [{ users: 1, for: 10s }], pacing: 2s");
        assert_eq!(walk(&mut source, 20 * SECOND, 5 * SECOND).len(), 2, "too slow to be paced");
        let mut source = closed("stages: [{ users: 100, for: 100s }], think_time: 1s..3s");
        let starts = walk(&mut source, 100 * SECOND, 0);
        assert!((4800..5300).contains(&starts.len()), "one per 2 s on average: {}", starts.len());
    }

    #[test]
    fn users_come_and_go_with_a_ramp() {
        let mut source = closed("stages: [{ from: 0, to: 10, over: 10s }, { from: 10, to: 0, over: 10s }]");
        let starts = walk(&mut source, 30 * SECOND, SECOND / 10);
        let users = |from: u64| {
            let of_second = starts.iter().filter(|(at, _)| (from..from + 1).contains(&(at / SECOND)));
            of_second.map(|(_, user)| *user).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!((users(0), users(5), users(9)), (1, 6, 10));
        assert_eq!((users(10), users(19), users(20)), (10, 1, 0));
        assert!(source.is_exhausted(20 * SECOND));
    }

    #[test]
    fn iterations_are_divided_among_the_users() {
        let mut source = closed("users: 3, iterations: 10");
        let starts = walk(&mut source, 100 * SECOND, SECOND);
        assert_eq!(starts.len(), 10);
        assert!(source.is_exhausted(5 * SECOND));
    }

    #[test]
    fn a_changed_population_and_changed_lanes_take_users_away_and_bring_others() {
        let mut source = closed("stages: [{ users: 10, for: 10s }]");
        let doubled = Arc::new(source.population.scaled_from(5 * SECOND, 2.0));
        source.change_timetable(5 * SECOND, SECOND, Timetable::Population(doubled));
        let starts = walk(&mut source, 20 * SECOND, SECOND);
        assert_eq!(starts.len(), 5 * 10 + 5 * 20);
        let mut source = closed("stages: [{ users: 10, for: 10s }]");
        source.change_lanes(5 * SECOND, SECOND, LaneSet::empty());
        assert_eq!(walk(&mut source, 20 * SECOND, SECOND).len(), 50);
    }
}
