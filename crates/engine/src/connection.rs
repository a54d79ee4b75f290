//! One connection and what is under way on it.

use protocol::{Session, Tag};
use smallvec::SmallVec;

use metrics::{ErrorKind, Phases};

use crate::flight::Flight;

/// What no deadline is.
pub(crate) const NEVER: u64 = u64::MAX;

/// The place of a connection that is not among the idle ones.
pub(crate) const NOWHERE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No socket.
    Vacant,
    Connecting,
    /// Connected; what has to be agreed upon before the first request is under way.
    Greeting,
    /// Takes requests, as many as its session has room for.
    Open,
    /// Its last response came; the target is to close first, so that the port is not held by us.
    Ending,
}

/// A place for a connection, used again for others.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) state: State,
    /// Of the pool it had last; `None` before the first.
    pub(crate) session: Option<Box<dyn Session>>,
    /// The requests that are out, by their tags.
    flights: SmallVec<[Option<Flight>; 1]>,
    pub(crate) in_flight: u32,
    /// When it is looked at by the wheel: it, or the first of its requests, has lasted long enough then.
    pub(crate) deadline_ns: u64,
    /// Since when it has room, or is connecting.
    pub(crate) since_ns: u64,
    /// Since the last response was complete.
    pub(crate) bytes_in: u64,
    /// Why a send failed; what the target said before may still come.
    pub(crate) failure: Option<ErrorKind>,
    /// Its place among the idle ones of its pool, or [`NOWHERE`].
    pub(crate) idle_place: u32,
    pub(crate) pool: u16,
    /// Which address of the pool it is to.
    pub(crate) address: u16,
    /// Whether a request was answered on it.
    pub(crate) is_used: bool,
    /// Whether it is among those that have something to say.
    pub(crate) is_unsaid: bool,
    /// Distinguishes the connections that had this place.
    pub(crate) serial: u32,
    /// Requests that were begun on it.
    pub(crate) requests: u64,
    /// When it is not to be used any more.
    pub(crate) expires_ns: u64,
    /// What it took to open it, until a request was told of it.
    pub(crate) opened: Phases,
}

impl Connection {
    pub(crate) fn vacant() -> Self {
        Self {
            state: State::Vacant,
            session: None,
            flights: SmallVec::new(),
            in_flight: 0,
            deadline_ns: NEVER,
            since_ns: 0,
            bytes_in: 0,
            failure: None,
            idle_place: NOWHERE,
            pool: 0,
            address: 0,
            is_used: false,
            is_unsaid: false,
            serial: 0,
            requests: 0,
            expires_ns: NEVER,
            opened: Phases::default(),
        }
    }

    /// Open, and nothing is out on it.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Open && self.in_flight == 0
    }

    /// Requests that can be begun now.
    #[inline]
    pub(crate) fn room(&self) -> u32 {
        if self.state == State::Open { self.session.as_ref().map_or(0, |session| session.room()) } else { 0 }
    }

    /// A tag that is free.
    #[inline]
    pub(crate) fn free_tag(&mut self) -> Tag {
        let free = self.flights.iter().position(Option::is_none).unwrap_or_else(|| {
            self.flights.push(None);
            self.flights.len() - 1
        });
        Tag::try_from(free).unwrap_or(Tag::MAX)
    }

    #[inline]
    pub(crate) fn put(&mut self, tag: Tag, flight: Flight) {
        self.in_flight += 1;
        self.flights[tag as usize] = Some(flight);
    }

    #[inline]
    pub(crate) fn flight(&mut self, tag: Tag) -> Option<&mut Flight> {
        self.flights.get_mut(tag as usize)?.as_mut()
    }

    #[inline]
    pub(crate) fn take(&mut self, tag: Tag) -> Option<Flight> {
        let flight = self.flights.get_mut(tag as usize)?.take()?;
        self.in_flight -= 1;
        Some(flight)
    }

    /// The tags of the requests that are out.
    pub(crate) fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        (0..).zip(&self.flights).filter(|(_, flight)| flight.is_some()).map(|(tag, _)| tag)
    }
}
