//! Redirects that are followed, cookies that are carried on, bodies that wait for permission.
//!
//! Each request that a redirect asks for is a request of its own: counted as sent when it leaves, and as done. A redirect
//! that is followed is a success; its response time counts from the end of the one before. The last answer's counts from
//! the step's intended time, so that it is what a user waited for.
//!
//! Invariant: requests go to targets of the plan alone, which were looked up and allowed before the run.

use metrics::{ErrorKind, Outcome, Times};
use protocol::{Request, Response, Tag, header_values, redirect};

use super::{SECOND_NS, Worker};
use crate::flight::Flight;
use crate::sequel::{Hop, NO_WALK, target_of};
use crate::source::Source;

/// How long a target may take to permit a body (RFC 9110, 10.1.1); as long as in curl and Go.
pub(crate) const CONTINUE_NS: u64 = SECOND_NS;

/// What becomes of a step after a response.
enum After {
    /// It was the last one.
    Answer,
    /// It was a redirect that is not followed.
    Lost,
    Follow(Hop),
}

impl<S: Source> Worker<S> {
    /// The request of `flight`, when it is not its step's as it was rendered.
    #[inline]
    pub(super) fn own_request(&mut self, flight: &Flight) -> Option<Request> {
        if flight.walk == NO_WALK { None } else { self.render_own(flight) }
    }

    #[cold]
    fn render_own(&mut self, flight: &Flight) -> Option<Request> {
        let walk = self.walks.get_mut(flight.walk)?;
        let Some(sequel) = &self.program.step(flight.step).sequel else { return walk.request.clone() };
        let protocol = self.pools[usize::from(flight.target)].protocol.as_ref();
        walk.request = sequel.render(walk, flight.target, protocol, unix_seconds());
        walk.request.clone()
    }

    /// The times of `flight`'s present request. Of one that follows redirects, the response time is the step's.
    #[inline]
    pub(super) fn times_of(&self, flight: &Flight, done_ns: u64) -> Times {
        let times = flight.times(done_ns);
        match self.walks.get(flight.walk).and_then(|walk| walk.hop.as_ref()) {
            Some(hop) => Times { intended: hop.intended_ns, ..times },
            None => times,
        }
    }

    /// Bytes of `flight`'s request, as far as they were meant to leave.
    #[inline]
    pub(super) fn request_bytes(&self, id: u32, flight: &Flight) -> usize {
        let step = self.program.step(flight.step);
        let rendered = step.requests.get(usize::from(flight.target));
        if let Some(rendered) = rendered.filter(|_| step.sequel.is_none()) {
            return rendered.bytes().len();
        }
        let own = self.walks.get(flight.walk).and_then(|walk| walk.request.as_ref());
        let Some(request) = own.or(rendered) else { return 0 };
        let session = self.connections[id as usize].session.as_ref();
        let is_held_back =
            request.expects_continue() && session.is_some_and(|session| session.is_held_back());
        if is_held_back { request.body_at() } else { request.bytes().len() }
    }

    /// A response came for a step that has a sequel.
    #[cold]
    pub(super) fn finish_with_sequel(&mut self, id: u32, tag: Tag, response: Response, is_final: bool) {
        let after = self.learn(id, tag, response.status);
        // A body that was permitted together with the answer goes before anything else.
        self.say(id);
        match after {
            After::Answer => self.finish_as_judged(id, tag, response, is_final),
            After::Lost => {
                let outcome = Outcome::Failed(ErrorKind::Redirect, response.status);
                self.finish_as(id, tag, response, is_final, outcome);
            }
            After::Follow(hop) => self.follow(id, tag, response, is_final, hop),
        }
    }

    /// Takes what the response's headers say to the step.
    fn learn(&mut self, id: u32, tag: Tag, status: u16) -> After {
        let Self { plan, program, connections, pools, walks, .. } = self;
        let connection = &mut connections[id as usize];
        let Some(mut flight) = connection.flight(tag).copied() else { return After::Answer };
        let Some(sequel) = &program.step(flight.step).sequel else { return After::Answer };
        let headers = connection.session.as_ref().map_or(&[][..], |session| session.kept(tag).headers);
        let walk = walks.get_mut(flight.walk);
        let (hop, own) = walk.map_or((None, None), |walk| (walk.hop.take(), walk.line.take()));
        let line = hop.as_ref().map(|hop| &hop.line).or(own.as_ref()).or(sequel.line(flight.target));
        let Some(line) = line else { return After::Answer };
        if sequel.cookies {
            for value in header_values(headers, "set-cookie") {
                walks.open(&mut flight.walk).jar.set(line.place(), value, unix_seconds());
            }
        }
        let location = header_values(headers, "location").next();
        let after = match location {
            Some(location) if sequel.redirects > 0 && redirect::is_redirect(status) => {
                let count = hop.as_ref().map_or(0, |hop| hop.count) + 1;
                let next = sequel.next(line, status, location).filter(|_| count <= sequel.redirects);
                let next = next.and_then(|next| Some((target_of(plan, &next, flight.target)?, next)));
                let following = next.and_then(|(target, next)| {
                    let protocol = pools[usize::from(target)].protocol.as_ref();
                    Some((target, sequel.following(line, next, protocol).ok()?))
                });
                following.map_or(After::Lost, |(target, line)| {
                    let intended_ns = hop.as_ref().map_or(flight.intended_ns, |hop| hop.intended_ns);
                    let home = hop.as_ref().map_or(flight.target, |hop| hop.home);
                    After::Follow(Hop { line, target, count, intended_ns, home })
                })
            }
            _ => After::Answer,
        };
        // A redirect that is followed has times of its own, all else those of the step.
        if !matches!(after, After::Follow(_))
            && let Some(walk) = walks.get_mut(flight.walk)
        {
            walk.hop = hop;
        }
        if let Some(present) = self.connections[id as usize].flight(tag) {
            present.walk = flight.walk;
        }
        after
    }

    /// Sends what a redirect asks for.
    fn follow(&mut self, id: u32, tag: Tag, response: Response, is_final: bool, hop: Hop) {
        let Some(mut flight) = self.record(id, tag, Outcome::Success(response.status), response.status)
        else {
            return;
        };
        let pool = usize::from(flight.target);
        let done_ns = self.heard_ns.max(flight.sent_ns);
        let goes_on = self.settle(id, response.keep_alive && !is_final, is_final, done_ns);
        self.bind(id, &mut flight, goes_on);
        flight.intended_ns = done_ns;
        flight.target = hop.target;
        flight.is_fresh = false;
        flight.is_sent = false;
        flight.gone_ns = 0;
        flight.answered_ns = 0;
        self.walks.open(&mut flight.walk).hop = Some(hop);
        self.go_on(flight);
        self.dispatch(pool);
    }

    /// The present step of `flight` is over: the next begins at its own target.
    #[inline]
    pub(super) fn leave_step(&mut self, flight: &mut Flight) {
        if let Some(walk) = self.walks.get_mut(flight.walk) {
            (walk.request, walk.line) = (None, None);
            if let Some(hop) = walk.hop.take() {
                flight.target = hop.home;
            }
        }
    }

    /// Sends a body whose target said nothing for long enough; when to look again, if it is not long enough yet.
    pub(super) fn proceed(&mut self, id: u32) -> Option<u64> {
        let connection = &mut self.connections[id as usize];
        if !connection.session.as_ref().is_some_and(|session| session.is_held_back()) {
            return None;
        }
        let tags: smallvec::SmallVec<[Tag; 8]> = connection.tags().collect();
        let sent_ns = tags.iter().filter_map(|tag| connection.flight(*tag).map(|flight| flight.sent_ns));
        let until_ns = sent_ns.min()?.saturating_add(CONTINUE_NS);
        if until_ns > self.now_ns {
            return Some(until_ns);
        }
        if let Some(session) = &mut connection.session {
            session.proceed();
        }
        self.say(id);
        None
    }
}

/// By the system's clock, for cookies.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(clock::unix_ms() / 1000).unwrap_or(0)
}
