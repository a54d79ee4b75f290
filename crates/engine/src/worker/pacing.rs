//! What is due: it gets a connection at once, waits for one, or is missed.
//!
//! Invariant: an iteration that is due is counted once as due and once as started or missed, and keeps its intended time
//! for as long as it waits.

use metrics::{ErrorKind, Exchange, Outcome, Unstarted};
use plan::Arrival;

use super::Worker;
use crate::flight::{Belongings, Bond, Flight};
use crate::merge::Report;
use crate::source::Source;

/// A pacer that did not run for longer than this sends nothing of what was due meanwhile.
const PAUSE_NS: u64 = 1_000_000_000;

/// How long nothing is sent after a pause, unless the owner has read its commands before and says so.
const HOLD_NS: u64 = 1_000_000_000;

/// Requests sent in one go, so that answers do not wait for a great many of them.
const SENT_AT_ONCE: u32 = 64;

/// Iterations made due in one go. Those that find no connection cost next to nothing, and must not come late for it.
const PACED_AT_ONCE: usize = 4096;

/// Iterations of others counted in one go, each of which takes a tenth of a microsecond: far more than lie between two of
/// this thread's, unless it was held up.
const COUNTED_AT_ONCE: u32 = 2_000;

/// Iterations of one thread that are due and not over. A bound on memory (a hundred bytes each), far beyond what a
/// thread can have under way.
const ACTIVE_MAX: u64 = 1 << 20;

/// How long a user rests that found no connection. Without it a target that refuses would use up an avalanche in
/// fractions of a second, and be hammered.
pub(super) const REST_NS: u64 = 10_000_000;

impl<S: Source> Worker<S> {
    /// Starts what is due by now.
    pub(super) fn pace(&mut self) {
        if !self.unable.is_empty() {
            self.fail_unable();
        }
        while let Some(flight) = self.pauses.pop(self.now_ns) {
            self.go_on(flight);
        }
        self.walk_on();
        let in_flight_most = self.in_flight + SENT_AT_ONCE;
        let mut counted_left = COUNTED_AT_ONCE;
        for _ in 0..PACED_AT_ONCE {
            if self.in_flight >= in_flight_most {
                break;
            }
            if self.counts_places && !self.count_places(&mut counted_left) {
                break;
            }
            let Some(arrival) = self.source.pull(self.now_ns) else { return };
            if let Some(flight) = self.admit(arrival) {
                self.submit(flight);
            }
        }
        self.is_unfinished = true;
    }

    /// Makes due what is due before `until_ns`, without sending it: the second in which it is sent has not begun.
    pub(super) fn make_due(&mut self, until_ns: u64) {
        if S::CLOSED {
            return;
        }
        while let Some(arrival) = self.source.pull(until_ns - 1) {
            if let Some(flight) = self.admit(arrival) {
                self.pools[usize::from(flight.target)].queue.push_back(flight);
            }
        }
    }

    /// Counts an iteration that is due; `None` when it is missed there and then.
    #[inline]
    fn admit(&mut self, arrival: Arrival) -> Option<Flight> {
        if !S::CLOSED
            && let Some(who) = self.missed_at_once(arrival.at_ns)
        {
            self.recorder.due_and_missed(arrival.stage, who, 1);
            return None;
        }
        let scenario = self.workload.scenario_of(arrival.index);
        let course = self.program.course(scenario);
        let (step, has_flow) = (course.first, course.flow.is_some());
        if has_flow && let Err(who) = self.take_rows(scenario, &arrival) {
            if !S::CLOSED {
                self.recorder.due_and_missed(arrival.stage, who, 1);
            }
            return None;
        }
        if !S::CLOSED {
            self.recorder.due(arrival.stage);
        }
        self.active += 1;
        let target = if self.pools.len() == 1 { 0 } else { self.workload.target_of(arrival.index) };
        let mut flight = Flight::new(&arrival, step, u16::try_from(target).unwrap_or(0));
        if self.keeps_belongings
            && let Some(belongings) = self.belongings.remove(&arrival.user)
        {
            (flight.bond, flight.walk) = (belongings.bond, belongings.walk);
        }
        if has_flow { self.embark(flight, scenario, &arrival) } else { Some(flight) }
    }

    #[inline]
    fn missed_at_once(&self, at_ns: u64) -> Option<Unstarted> {
        if self.hold_until_ns.is_some() || self.now_ns > at_ns.saturating_add(PAUSE_NS) {
            return Some(Unstarted::Ours);
        }
        if self.limits.in_flight.is_some_and(|most| self.active >= most) {
            return Some(Unstarted::Limit);
        }
        if self.active >= ACTIVE_MAX {
            let is_waiting = self.pools.iter().any(|pool| !pool.queue.is_empty());
            return Some(if is_waiting { Unstarted::Target } else { Unstarted::Ours });
        }
        None
    }

    /// Sends `flight`'s present request now, or has it wait for its turn.
    #[inline]
    fn submit(&mut self, flight: Flight) {
        let pool = usize::from(flight.target);
        let has_own = self.own_connection(&flight).is_some();
        let flight = if has_own || self.pools[pool].queue.is_empty() {
            match self.try_launch(flight) {
                Ok(()) => return,
                Err(flight) => flight,
            }
        } else {
            flight
        };
        if has_own {
            // It waits for the limit alone, and holds up nobody.
            self.pools[pool].queue.push_front(flight);
        } else {
            self.pools[pool].queue.push_back(flight);
        }
    }

    /// Sends those that wait for `pool`'s connections, as far as there are any.
    pub(super) fn dispatch(&mut self, pool: usize) {
        while let Some(flight) = self.pools[pool].queue.front() {
            if self.try_launch(*flight).is_err() {
                return;
            }
            self.pools[pool].queue.pop_front();
        }
    }

    /// Sends on an idle connection, if there is one and the limit allows it; else gives `flight` back.
    #[inline]
    fn try_launch(&mut self, flight: Flight) -> Result<(), Flight> {
        let Some(allowed_ns) = self.allowed_since() else {
            let pool = usize::from(flight.target);
            if !self.pools[pool].idle.is_empty() || self.own_connection(&flight).is_some() {
                let until_ns = self.limiter.as_mut().map(|limiter| limiter.next_allowed(self.now_ns));
                self.pools[pool].limited_ns = until_ns;
            }
            return Err(flight);
        };
        while let Some(id) = self.take_connection(&flight) {
            if self.launch(id, flight, allowed_ns) {
                if let Some(limiter) = &mut self.limiter {
                    limiter.take(self.now_ns);
                }
                let is_shared = self.keeping.per == plan::Per::Pool;
                if is_shared && self.pools[usize::from(flight.target)].is_multiplexed {
                    self.offer(id, self.connections[id as usize].since_ns);
                }
                return Ok(());
            }
            // The target had closed it, and nothing was sent: as if it had never been there.
            self.close(id);
        }
        Err(flight)
    }

    /// The connection that is `flight`'s own, or one that is nobody's.
    #[inline]
    fn take_connection(&mut self, flight: &Flight) -> Option<u32> {
        match self.own_connection(flight) {
            Some(id) => Some(id),
            None => self.pop_idle(usize::from(flight.target)),
        }
    }

    /// `flight`'s own connection, if it is still there, leads to its target, and has room.
    #[inline]
    fn own_connection(&self, flight: &Flight) -> Option<u32> {
        let bond = flight.bond?;
        let connection = &self.connections[bond.id as usize];
        let is_usable =
            connection.serial == bond.serial && connection.pool == flight.target && connection.room() > 0;
        is_usable.then_some(bond.id)
    }

    /// Closes a connection that was somebody's own, unless it is another one by now.
    pub(super) fn let_go(&mut self, bond: Bond) {
        let connection = &self.connections[bond.id as usize];
        if connection.serial == bond.serial && connection.is_idle() {
            self.close(bond.id);
        }
    }

    /// Since when a request may leave; `None` when none may yet.
    #[inline]
    fn allowed_since(&mut self) -> Option<u64> {
        if self.hold_until_ns.is_some() {
            return None;
        }
        match &mut self.limiter {
            None => Some(0),
            Some(limiter) => Some(limiter.next_allowed(self.now_ns)).filter(|at_ns| *at_ns <= self.now_ns),
        }
    }

    /// When the limit lets the next of those leave that have a connection and wait only for it.
    pub(super) fn next_allowed_at(&mut self) -> u64 {
        if self.limiter.is_none() {
            return u64::MAX;
        }
        let has_one = |flight: &Flight| self.own_connection(flight).is_some();
        let waits = |pool: &crate::pool::Pool| {
            pool.queue.front().is_some_and(|first| !pool.idle.is_empty() || has_one(first))
        };
        if self.pools.iter().any(waits)
            && let Some(limiter) = &mut self.limiter
        {
            limiter.next_allowed(self.now_ns)
        } else {
            u64::MAX
        }
    }

    /// The present request of `flight` is over; `connected` says whether it had a connection.
    #[inline]
    pub(super) fn advance(&mut self, mut flight: Flight, done_ns: u64, connected: bool) {
        self.leave_step(&mut flight);
        if self.program.step(flight.step).has_flow {
            return self.go_further(flight, done_ns, connected);
        }
        if !self.program.step(flight.step).is_last {
            flight.step += 1;
            flight.is_fresh = false;
            flight.is_sent = false;
            flight.gone_ns = 0;
            flight.answered_ns = 0;
            let pause_ns = self.program.step(flight.step).pause_ns;
            flight.intended_ns = done_ns.saturating_add(pause_ns);
            if pause_ns > 0 {
                self.pauses.push(pause_ns, flight)
            } else {
                self.go_on(flight)
            }
            return;
        }
        self.conclude(flight, done_ns, connected);
    }

    /// An iteration has come to its end.
    #[inline]
    pub(super) fn conclude(&mut self, flight: Flight, done_ns: u64, connected: bool) {
        self.arrive(flight, done_ns);
        if S::CLOSED {
            if connected {
                self.source.again(flight.user, done_ns);
            } else {
                self.source.rest(flight.user, self.now_ns + REST_NS);
            }
            if let Some(arrival) = self.source.pull(self.now_ns)
                && let Some(flight) = self.admit(arrival)
            {
                self.submit(flight);
            }
        }
    }

    #[inline]
    pub(super) fn arrive(&mut self, flight: Flight, done_ns: u64) {
        self.recorder.completed(flight.stage, flight.arrival_ns, done_ns);
        self.active -= 1;
        self.part(&flight);
    }

    /// What becomes at the end of an iteration of what was its own.
    #[inline]
    fn part(&mut self, flight: &Flight) {
        if self.keeps_belongings {
            self.belongings.insert(flight.user, Belongings { bond: flight.bond, walk: flight.walk });
            return;
        }
        self.walks.close(flight.walk);
        if let Some(bond) = flight.bond {
            self.let_go(bond);
        }
    }

    /// Ends what users that have gone kept.
    pub(super) fn see_off(&mut self) {
        while let Some(user) = self.source.gone() {
            if let Some(Belongings { bond, walk }) = self.belongings.remove(&user) {
                self.walks.close(walk);
                bond.into_iter().for_each(|bond| self.let_go(bond));
            }
        }
    }

    /// Sends the next request of an iteration that is under way. One that became due while nothing may be sent is given
    /// up: many of them would make a burst afterwards.
    pub(super) fn go_on(&mut self, flight: Flight) {
        if self.hold_until_ns.is_some() && !S::CLOSED {
            self.drop_waiting(&flight);
        } else if let Some(flight) = self.made(flight) {
            self.submit(flight);
        }
    }

    /// Fails whoever waits longest for `pool`: the connection that was to be opened for it is not there.
    pub(super) fn fail_waiting(&mut self, pool: usize, outcome: Outcome) {
        if let Some(flight) = self.pools[pool].queue.pop_front() {
            self.fail_unserved(flight, outcome);
        }
    }

    /// Fails one that waited for a connection and will have none.
    fn fail_unserved(&mut self, mut flight: Flight, outcome: Outcome) {
        flight.usable_ns = self.now_ns;
        flight.sent_ns = self.now_ns;
        let id = self.program.step(flight.step).id;
        let times = self.times_of(&flight, self.now_ns);
        if flight.is_sent {
            // It was on a connection that the target had closed.
            self.recorder.done(id, flight.stage, &times, outcome, Exchange::default());
        } else {
            self.count_start(&flight);
            self.recorder.failed_unsent(id, flight.stage, &times, outcome);
        }
        if self.program.step(flight.step).has_flow {
            self.note_failure(&flight);
        }
        self.advance(flight, self.now_ns, false);
    }

    #[inline]
    pub(super) fn count_start(&mut self, flight: &Flight) {
        if flight.is_fresh {
            if S::CLOSED {
                self.recorder.due(flight.stage);
            }
            self.recorder.started(flight.stage);
        }
    }

    /// When the first of those that wait must be looked at, because it has waited too long.
    pub(super) fn next_expiry_at(&self) -> u64 {
        if S::CLOSED && !S::HAS_USERS {
            return u64::MAX;
        }
        (0..self.pools.len())
            .filter_map(|pool| self.pools[pool].queue.front().map(|flight| self.expires_at(pool, flight)))
            .min()
            .unwrap_or(u64::MAX)
    }

    /// When a flight that waits for `pool` has waited too long for a connection. What is under way is held up by the plan's
    /// limit for as long as it takes: that is nobody's failure.
    fn expires_at(&self, pool: usize, flight: &Flight) -> u64 {
        let limited_ns = if S::CLOSED || !flight.is_fresh { self.pools[pool].limited_ns } else { None };
        let since_ns = flight.intended_ns.max(limited_ns.unwrap_or(0));
        since_ns.saturating_add(self.program.step(flight.step).max_wait_ns)
    }

    /// Gives up those that have waited too long for a connection.
    pub(super) fn expire_waiting(&mut self) {
        if S::CLOSED && !S::HAS_USERS {
            return;
        }
        for pool in 0..self.pools.len() {
            while let Some(flight) = self.pools[pool].queue.front().copied()
                && self.expires_at(pool, &flight) <= self.now_ns
            {
                self.pools[pool].queue.pop_front();
                if flight.is_fresh && !S::CLOSED {
                    self.miss(&flight, self.who_keeps_waiting(&flight));
                } else {
                    self.fail_unserved(flight, Outcome::Failed(ErrorKind::ConnectTimeout, 0));
                }
            }
        }
    }

    /// Who kept `flight` waiting: the limit, if there was a connection meanwhile.
    fn who_keeps_waiting(&self, flight: &Flight) -> Unstarted {
        let limited_ns = self.pools[usize::from(flight.target)].limited_ns;
        let is_limited = limited_ns.is_some_and(|limited_ns| limited_ns >= flight.intended_ns);
        if is_limited { Unstarted::Limit } else { Unstarted::Target }
    }

    fn miss(&mut self, flight: &Flight, who: Unstarted) {
        self.recorder.missed(flight.stage, who);
        self.forget(flight);
    }

    /// Ends an iteration that does not come to its end, with all that was its own.
    fn forget(&mut self, flight: &Flight) {
        if let Some(bond) = flight.bond {
            self.let_go(bond);
        }
        self.walks.close(flight.walk);
        self.active -= 1;
    }

    /// Empties the queues; of those that were not started, `who` is to blame, or whatever they waited for.
    pub(super) fn give_up_waiting(&mut self, who: Option<Unstarted>) {
        for pool in 0..self.pools.len() {
            while let Some(flight) = self.pools[pool].queue.pop_front() {
                if flight.is_fresh && !S::CLOSED {
                    let who = who.unwrap_or_else(|| self.who_keeps_waiting(&flight));
                    self.miss(&flight, who);
                } else {
                    self.drop_waiting(&flight);
                }
            }
        }
    }

    /// Gives up one that waits and was started before, or is a user's. A request that is counted as sent is cancelled.
    fn drop_waiting(&mut self, flight: &Flight) {
        if flight.is_sent {
            let times = flight.times(self.now_ns.max(flight.sent_ns));
            let id = self.program.step(flight.step).id;
            let cancelled = Outcome::Failed(ErrorKind::Cancelled, 0);
            self.recorder.done(id, flight.stage, &times, cancelled, Exchange::default());
        }
        self.forget(flight);
    }

    /// Gives up those that wait and were not started; iterations under way wait on.
    pub(super) fn drop_fresh_waiting(&mut self) {
        for pool in 0..self.pools.len() {
            for _ in 0..self.pools[pool].queue.len() {
                let Some(flight) = self.pools[pool].queue.pop_front() else { break };
                if !flight.is_fresh {
                    self.pools[pool].queue.push_back(flight);
                } else if S::CLOSED {
                    self.forget(&flight);
                } else {
                    let who = self.who_keeps_waiting(&flight);
                    self.miss(&flight, who);
                }
            }
        }
    }

    /// Looks whether this thread did not run for so long after `expected_ns` that it must not catch up.
    #[inline]
    pub(super) fn notice_pause(&mut self, expected_ns: u64) {
        if self.now_ns > expected_ns.saturating_add(PAUSE_NS) {
            self.hold(self.now_ns - expected_ns);
        }
    }

    #[cold]
    fn hold(&mut self, paused_ns: u64) {
        self.hold_until_ns = Some(self.now_ns + HOLD_NS);
        let for_ms = paused_ns / 1_000_000;
        tracing::warn!(thread = self.thread, for_ms, "pacer did not run, what was due is missed");
        if self.reports.try_send(Report::Paused { for_ms }).is_err() {
            tracing::debug!("nobody is there to end the hold, time will");
        }
        if !S::CLOSED {
            self.give_up_waiting(Some(Unstarted::Ours));
        }
    }

    /// Sends again.
    pub(super) fn release(&mut self) {
        if self.hold_until_ns.is_none() {
            return;
        }
        // What was due until now is missed, not sent in a burst.
        self.cut_seconds();
        self.make_due(self.now_ns + 1);
        self.hold_until_ns = None;
        if S::CLOSED {
            for flight in self.pools.iter_mut().flat_map(|pool| pool.queue.iter_mut()) {
                flight.intended_ns = self.now_ns;
                if flight.is_fresh {
                    flight.arrival_ns = self.now_ns;
                }
            }
        }
        self.is_unfinished = true;
    }
}
