//! Answers that others read: what is known of them goes on here at once, and what they turn out to be when it is known.
//!
//! Invariant: an iteration whose answer is being read counts as under way, and is nowhere else. Its connection is free.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::{ErrorKind, Exchange, Outcome, Times};
use protocol::{Response, Tag};

use super::Worker;
use crate::flight::Flight;
use crate::reading::{Done, Task, WAITING_MAX};
use crate::source::Source;

/// An answer that takes longer to read is handed over: longer than that nobody else shall wait.
const LONG_NS: u64 = 100_000;

/// The answers of one worker that are being read.
pub(super) struct Readers {
    tasks: Option<Sender<Task>>,
    results: (Sender<Done>, Receiver<Done>),
    waker: Arc<OwnedFd>,
    open: Vec<Open>,
    next_ticket: u32,
}

/// One of them, and what its request came to so far.
struct Open {
    ticket: u32,
    flight: Flight,
    times: Times,
    exchange: Exchange,
}

impl Readers {
    pub(super) fn new(tasks: Option<Sender<Task>>, waker: Arc<OwnedFd>) -> Self {
        Self { tasks, results: bounded(WAITING_MAX), waker, open: Vec::new(), next_ticket: 0 }
    }
}

impl<S: Source> Worker<S> {
    /// Hands an answer of an accepted status over where it takes long to read. False when it is to be read here.
    #[inline]
    pub(super) fn is_read_elsewhere(
        &mut self,
        id: u32,
        tag: Tag,
        response: &Response,
        is_final: bool,
    ) -> bool {
        let Some(tasks) = &self.readers.tasks else { return false };
        let Some(flight) = self.connections[id as usize].flight(tag).copied() else { return false };
        let step = self.program.step(flight.step);
        let session = self.connections[id as usize].session.as_ref();
        let (Some(reading), Some(session)) = (&step.reading, session) else { return false };
        let kept = session.kept(tag);
        if !step.expect.accepts(response.status)
            || reading.cost_ns(kept.body.len()) < LONG_NS
            || self.readers.open.len() == WAITING_MAX
        {
            return false;
        }
        let done_ns = self.heard_ns.max(flight.sent_ns);
        let response_time = Duration::from_nanos(self.times_of(&flight, done_ns).response_ns());
        let Some(walk) = self.walks.get_mut(flight.walk) else { return false };
        let Some(journey) = walk.journey.take() else { return false };
        let ticket = self.readers.next_ticket;
        let task = Task {
            ticket,
            step: flight.step,
            status: response.status,
            response_time,
            headers: kept.headers.into(),
            body: kept.body.into(),
            journey,
            results: self.readers.results.0.clone(),
            waker: Arc::clone(&self.readers.waker),
        };
        if let Err(refused) = tasks.try_send(task) {
            walk.journey = Some(refused.into_inner().journey);
            return false;
        }
        self.readers.next_ticket = ticket.wrapping_add(1);
        self.leave_to_reader(id, tag, response, is_final);
        true
    }

    /// The request is over but for its outcome.
    fn leave_to_reader(&mut self, id: u32, tag: Tag, response: &Response, is_final: bool) {
        let ticket = self.readers.next_ticket.wrapping_sub(1);
        let Some((mut flight, times, exchange)) = self.detach(id, tag, true, response.status) else { return };
        let goes_on = self.settle(id, response.keep_alive && !is_final, is_final, times.done);
        self.bind(id, &mut flight, goes_on);
        let target = usize::from(flight.target);
        self.readers.open.push(Open { ticket, flight, times, exchange });
        self.dispatch(target);
    }

    /// Iterations go on whose answers were read.
    #[inline]
    pub(super) fn hear_readers(&mut self) {
        while !self.readers.open.is_empty()
            && let Ok(done) = self.readers.results.1.try_recv()
        {
            self.hear_reader(done);
        }
    }

    fn hear_reader(&mut self, Done { ticket, outcome, journey }: Done) {
        let Some(place) = self.readers.open.iter().position(|open| open.ticket == ticket) else { return };
        let Open { flight, times, exchange, .. } = self.readers.open.swap_remove(place);
        if let Some(walk) = self.walks.get_mut(flight.walk) {
            walk.journey = Some(journey);
        }
        let step = self.program.step(flight.step);
        self.recorder.done(step.id, flight.stage, &times, outcome, exchange);
        if !outcome.is_success() {
            self.note_failure(&flight);
        }
        self.advance(flight, times.done, true);
    }

    /// Nobody waits for what is still being read.
    pub(super) fn give_up_reading(&mut self) {
        for Open { flight, times, exchange, .. } in std::mem::take(&mut self.readers.open) {
            let step = self.program.step(flight.step);
            let outcome = Outcome::Failed(ErrorKind::Cancelled, 0);
            self.recorder.done(step.id, flight.stage, &times, outcome, exchange);
            self.active -= 1;
        }
    }
}
