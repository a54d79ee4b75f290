//! The streams of a connection.
//!
//! A stream lies in a table at its number modulo the size of the table, so that it is found without a search. Numbers only
//! have to rise (RFC 9113, 5.1.1): where one would fall on a stream that is still open, the next is taken instead.
//!
//! Invariant: the table is larger than the streams that are open at once, and a stream that is over is known until its place
//! is taken.

use super::MAX_31_BITS;
use crate::Tag;

/// One request and its response.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    /// 0 before the first use of the place.
    pub id: u32,
    pub state: State,
    pub tag: Tag,
    /// 0 until the final head.
    pub status: u16,
    pub is_head: bool,
    pub has_started: bool,
    /// Whether a part of the request's body has not gone.
    pub is_sending: bool,
    /// Whether [`Kept`](super::kept::Kept) has a place for the response, and which.
    pub kept: Option<u32>,
    /// Bytes that the target may still send.
    pub receive_left: u32,
    /// Bytes that we may still send; below 0 once the target has thought better of it (RFC 9113, 6.9.2).
    pub send_left: i64,
    pub body_bytes: u64,
    pub content_length: Option<u64>,
}

impl Stream {
    /// Whether the response has no body, whatever its headers say (RFC 9110, 6.4.1).
    #[inline]
    pub(super) fn is_bodiless(&self) -> bool {
        self.is_head || self.status == 204 || self.status == 304
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    Open,
    /// The target has said all that it will say.
    Ended,
    /// One of us gave up: the target may not know yet.
    #[default]
    Reset,
}

/// What is known of a stream that was opened.
pub(super) enum Found<'s> {
    Open(&'s mut Stream),
    Ended,
    /// Reset, or forgotten.
    Gone,
}

#[derive(Debug)]
pub(super) struct Streams {
    places: Vec<Stream>,
    mask: usize,
    /// The number of the next stream; odd.
    next_id: u32,
    /// From here on, the numbers that are left could all fall on open streams.
    exhausted_id: u32,
    open: u32,
}

impl Streams {
    /// Room for `limit` open streams, and a quarter more so that a free place is near.
    pub(super) fn new(limit: u32) -> Self {
        let places = (limit as usize + (limit as usize).div_ceil(4)).next_power_of_two();
        let spare = u32::try_from(2 * places).unwrap_or(MAX_31_BITS);
        Self {
            places: vec![Stream::default(); places],
            mask: places - 1,
            next_id: 1,
            exhausted_id: MAX_31_BITS - spare,
            open: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.places.fill(Stream::default());
        (self.next_id, self.open) = (1, 0);
    }

    #[inline]
    pub(super) fn open_count(&self) -> u32 {
        self.open
    }

    /// Whether the numbers are used up (RFC 9113, 5.1.1).
    #[inline]
    pub(super) fn is_exhausted(&self) -> bool {
        self.next_id >= self.exhausted_id
    }

    #[inline]
    fn place(&self, id: u32) -> usize {
        (id >> 1) as usize & self.mask
    }

    /// Opens a stream.
    #[inline]
    pub(super) fn open(&mut self) -> &mut Stream {
        while self.places[self.place(self.next_id)].state == State::Open {
            self.next_id += 2;
        }
        let (id, place) = (self.next_id, self.place(self.next_id));
        self.next_id += 2;
        self.open += 1;
        let stream = &mut self.places[place];
        *stream = Stream { id, state: State::Open, ..Stream::default() };
        stream
    }

    /// Whether we ever opened it, or passed it over.
    #[inline]
    pub(super) fn was_opened(&self, id: u32) -> bool {
        id & 1 == 1 && id < self.next_id
    }

    #[inline]
    pub(super) fn find(&mut self, id: u32) -> Found<'_> {
        let place = self.place(id);
        let stream = &mut self.places[place];
        match stream.state {
            _ if stream.id != id => Found::Gone,
            State::Open => Found::Open(stream),
            State::Ended => Found::Ended,
            State::Reset => Found::Gone,
        }
    }

    #[inline]
    pub(super) fn get(&mut self, id: u32) -> Option<&mut Stream> {
        match self.find(id) {
            Found::Open(stream) => Some(stream),
            Found::Ended | Found::Gone => None,
        }
    }

    /// Closes an open stream.
    #[inline]
    pub(super) fn close(&mut self, id: u32, state: State) {
        if let Some(stream) = self.get(id) {
            stream.state = state;
            self.open -= 1;
        }
    }

    pub(super) fn all_open(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().filter(|stream| stream.state == State::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_before_the_last_falls_on_an_open_stream() {
        let mut streams = Streams::new(3);
        for _ in 0..2 {
            streams.open();
        }
        streams.next_id = streams.exhausted_id - 1;
        let mut last = 0;
        while !streams.is_exhausted() {
            let id = streams.open().id;
            assert!(id > last);
            last = id;
            streams.close(id, State::Ended);
        }
        assert!(streams.next_id <= MAX_31_BITS && last > MAX_31_BITS - 100);
        assert!(streams.get(1).is_some() && streams.get(3).is_some());
    }
}
