//! Iterations whose way depends on what happens: where they go next, what their requests say, what is taken from answers.
//!
//! Invariant: an iteration that cannot go on ends, with the reason counted as the failure of the step that it stood before.

use std::time::Duration;

use data::NoRow;
use metrics::{ErrorKind, Outcome, Unstarted};
use plan::{Arrival, EvaluateError, Pick, StepId, WhenExhausted};
use protocol::Tag;

use super::Worker;
use super::pacing::REST_NS;
use crate::flight::Flight;
use crate::journey::{Journey, Left, Next};
use crate::sequel::Line;
use crate::source::Source;
use crate::template::Unmade;

/// How far the iterations of the fleet are counted ahead: less than a change of the rate is.
const COUNTED_AHEAD_NS: u64 = 100_000_000;

impl<S: Source> Worker<S> {
    /// Counts the iterations of the fleet up to the next one of this thread, so that its place is known when it is due. False
    /// when that is a long way, after a hold or for who joins late: then others have their turn between.
    pub(super) fn count_places(&mut self, left: &mut u32) -> bool {
        let until_ns = self.source.next_at().min(self.now_ns + COUNTED_AHEAD_NS);
        let Self { workload, rows, .. } = self;
        rows.iter_mut().flatten().all(|rows| rows.follow(workload, until_ns, left))
    }

    /// Takes a row of each source that the scenario uses. Fails where one has none and no iteration shall begin without,
    /// by the plan, or because a row may be another's.
    pub(super) fn take_rows(&mut self, scenario: usize, arrival: &Arrival) -> Result<(), Unstarted> {
        let Self { program, plan, workload, rows, taken, .. } = self;
        taken.clear();
        for source in &program.course(scenario).sources {
            let number = usize::from(*source);
            let Some(rows) = rows.get_mut(number).and_then(Option::as_mut) else { continue };
            let row = rows.row(workload, arrival);
            let data = &plan.data[number];
            if row == Err(NoRow::Passed) {
                return Err(Unstarted::Ours);
            }
            if row.is_err() && data.when_exhausted == WhenExhausted::Stop {
                // Of users none comes back: one that is beyond the rows alone, else all of them.
                match data.pick {
                    _ if !S::CLOSED => {}
                    Pick::PerUser => self.source.leave(arrival.user),
                    _ => self.source.stop(),
                }
                if !std::mem::replace(&mut self.is_out_of_rows, true) {
                    tracing::warn!(thread = self.thread, data = data.name, "no row of data is left");
                }
                return Err(Unstarted::Limit);
            }
            taken.push((*source, row.ok()));
        }
        Ok(())
    }

    /// Leads an iteration that is due to its first request. `None` when it does not begin with one at once.
    pub(super) fn embark(
        &mut self,
        mut flight: Flight,
        scenario: usize,
        arrival: &Arrival,
    ) -> Option<Flight> {
        let Self { program, walks, taken, buffer, seed, .. } = self;
        let course = program.course(scenario);
        let walk = walks.open(&mut flight.walk);
        let journey = walk.journey.get_or_insert_with(Box::default);
        journey.begin(scenario, course.slots, (arrival.index, u64::from(arrival.user)), *seed);
        for (place, (source, row)) in journey.rows(taken.len()).iter_mut().zip(&*taken) {
            (place.source, place.is_there) = (*source, row.is_some());
            if let Some(row) = row {
                program.tables.read(usize::from(*source), *row, buffer, &mut place.values);
            }
        }
        match self.next_of(&mut flight, arrival.at_ns) {
            Next::Step(_, 0) => self.made(flight),
            Next::Step(..) => {
                self.begin_early(&mut flight);
                self.pauses.push_any(flight);
                None
            }
            Next::Stuck(_, error) => {
                self.unable.push((flight, failure_of(error)));
                self.is_unfinished = true;
                None
            }
            Next::Later | Next::Left(_) => {
                self.begin_early(&mut flight);
                self.wait_for_turn(flight);
                None
            }
            Next::End => {
                self.begin_early(&mut flight);
                self.arrive(flight, arrival.at_ns);
                // Else a user whose iterations are empty would walk nothing but them.
                if S::CLOSED {
                    self.source.rest(flight.user, self.now_ns + REST_NS);
                }
                None
            }
        }
    }

    /// An iteration begins though none of its requests leaves yet.
    fn begin_early(&mut self, flight: &mut Flight) {
        self.count_start(flight);
        flight.is_fresh = false;
    }

    /// Where `flight` goes after `done_ns`; its step and times are those of the next request.
    fn next_of(&mut self, flight: &mut Flight, done_ns: u64) -> Next {
        // For all of it: a loop may leave a group in each of its rounds.
        let mut left = Left::AT_ONCE;
        loop {
            let Self { program, walks, recorder, .. } = self;
            let Some(journey) = walks.get_mut(flight.walk).and_then(|walk| walk.journey.as_mut()) else {
                return Next::End;
            };
            let course = program.course(journey.scenario);
            let flow = course.flow.as_deref().unwrap_or_default();
            let next = if journey.is_broken {
                journey.innermost().map_or(Next::End, Next::Left)
            } else {
                journey.go_on(flow, &mut left)
            };
            match next {
                Next::Left(_) => {
                    if let Some(group) = journey.leave_group()
                        && let Some(since_ns) = group.since_ns
                    {
                        let time_ns = done_ns.saturating_sub(since_ns);
                        let row = StepId::of_group(group.group);
                        recorder.group(row, flight.stage, time_ns, !group.has_failed && !journey.is_broken);
                    }
                }
                Next::Step(step, pause_ns) => {
                    flight.step = course.first + step;
                    flight.is_sent = false;
                    flight.gone_ns = 0;
                    flight.answered_ns = 0;
                    flight.intended_ns = done_ns.saturating_add(pause_ns);
                    journey.start_groups(flight.intended_ns);
                    return Next::Step(step, pause_ns);
                }
                Next::Stuck(step, error) => {
                    flight.step = course.first + step;
                    flight.intended_ns = done_ns;
                    return Next::Stuck(step, error);
                }
                Next::Later => {
                    // Not in this turn any more.
                    flight.intended_ns = done_ns.max(self.now_ns) + 1;
                    return Next::Later;
                }
                Next::End => return Next::End,
            }
        }
    }

    /// The present request of `flight` is over.
    pub(super) fn go_further(&mut self, mut flight: Flight, done_ns: u64, connected: bool) {
        flight.is_fresh = false;
        match self.next_of(&mut flight, done_ns) {
            Next::Step(_, 0) => self.go_on(flight),
            Next::Step(..) => self.pauses.push_any(flight),
            Next::Later | Next::Left(_) => self.wait_for_turn(flight),
            Next::Stuck(_, error) => {
                self.unable.push((flight, failure_of(error)));
                self.is_unfinished = true;
            }
            Next::End => {
                let has_requested = self.journey_of(&flight).is_none_or(|journey| journey.has_requested);
                self.conclude(flight, done_ns, connected && has_requested);
            }
        }
    }

    fn wait_for_turn(&mut self, flight: Flight) {
        self.walkers.push_back(flight);
        self.is_unfinished = true;
    }

    /// One iteration that has gone a long way without a request goes on: others have their turn between.
    pub(super) fn walk_on(&mut self) {
        if let Some(flight) = self.walkers.pop_front() {
            let done_ns = flight.intended_ns;
            self.go_further(flight, done_ns, true);
            self.is_unfinished |= !self.walkers.is_empty();
        }
    }

    /// `flight` with its request made, if it is one that varies. `None` when that cannot be: then it fails.
    #[inline]
    pub(super) fn made(&mut self, flight: Flight) -> Option<Flight> {
        let step = self.program.step(flight.step);
        if step.varying.is_none() { Some(flight) } else { self.make(flight) }
    }

    fn make(&mut self, flight: Flight) -> Option<Flight> {
        let Self { program, walks, pools, room, .. } = self;
        let step = program.step(flight.step);
        let (Some(varying), Some(walk)) = (&step.varying, walks.get_mut(flight.walk)) else {
            return Some(flight);
        };
        // One that follows a redirect says what the redirect said; one that waited has been made.
        if walk.hop.is_some() || walk.request.is_some() {
            return Some(flight);
        }
        let Some(journey) = &walk.journey else { return Some(flight) };
        let place = &program.places[usize::from(flight.target)];
        let protocol = pools[usize::from(flight.target)].protocol.as_ref();
        let written = varying.write(flight.step, place, journey.as_ref(), room).map_err(Unmade::from);
        let request = written.and_then(|()| {
            let made = varying.render(flight.step, place, room, protocol, &program.user_agent);
            made.map_err(|_| Unmade::Text)
        });
        match request {
            Ok(request) => {
                walk.request = Some(request);
                if step.sequel.is_some() {
                    let headers = room.headers[flight.step as usize].clone();
                    let body = room.body.as_slice().into();
                    walk.line = Some(Line::new(place, &varying.method, room.path.clone(), headers, body));
                }
                Some(flight)
            }
            Err(unmade) => {
                let kind = match unmade {
                    Unmade::Value(error) => failure_of(error),
                    Unmade::Text => ErrorKind::Expression,
                };
                self.unable.push((flight, kind));
                self.is_unfinished = true;
                None
            }
        }
    }

    /// Fails those whose next request could not be made, and ends their iterations.
    pub(super) fn fail_unable(&mut self) {
        while let Some((mut flight, kind)) = self.unable.pop() {
            flight.usable_ns = flight.intended_ns;
            flight.sent_ns = self.now_ns;
            let id = self.program.step(flight.step).id;
            let times = flight.times(self.now_ns.max(flight.intended_ns));
            self.count_start(&flight);
            self.recorder.failed_unsent(id, flight.stage, &times, Outcome::Failed(kind, 0));
            if let Some(journey) = self.journey_of(&flight) {
                journey.is_broken = true;
            }
            self.advance(flight, self.now_ns, false);
        }
    }

    fn journey_of(&mut self, flight: &Flight) -> Option<&mut Journey> {
        self.walks.get_mut(flight.walk).and_then(|walk| walk.journey.as_deref_mut())
    }

    /// A request of an iteration with a way of its own failed.
    #[cold]
    pub(super) fn note_failure(&mut self, flight: &Flight) {
        let reading = self.program.step(flight.step).reading.as_ref();
        let is_needed = reading.is_some_and(|reading| !reading.saves.is_empty());
        if let Some(journey) = self.journey_of(flight) {
            journey.fail_groups();
            journey.is_broken |= is_needed;
        }
    }

    /// What an answer of an accepted status is, once it is looked at: checks are made, and values taken.
    pub(super) fn read_answer(&mut self, id: u32, tag: Tag, status: u16) -> Option<Outcome> {
        let flight = *self.connections[id as usize].flight(tag)?;
        let times = self.times_of(&flight, self.heard_ns.max(flight.sent_ns));
        let Self { program, connections, walks, .. } = self;
        let reading = program.step(flight.step).reading.as_ref()?;
        let journey = walks.get_mut(flight.walk).and_then(|walk| walk.journey.as_deref_mut())?;
        let kept = connections[id as usize].session.as_ref().map(|session| session.kept(tag))?;
        Some(reading.outcome(status, kept, Duration::from_nanos(times.response_ns()), journey))
    }
}

pub(crate) const fn failure_of(error: EvaluateError) -> ErrorKind {
    match error {
        EvaluateError::Exhausted => ErrorKind::Data,
        _ => ErrorKind::Expression,
    }
}
