//! What is kept of responses, for those who asked.
//!
//! Invariant: there are at most twice as many places as streams, so that what was kept of the last responses outlives the
//! streams that they came on.

use super::KEPT_CAPACITY;
use crate::{Tag, Want, session};

#[derive(Debug, Default)]
pub(super) struct Kept {
    places: Vec<Place>,
    /// Where the search for a place goes on.
    next: usize,
    most: usize,
}

#[derive(Debug, Default)]
struct Place {
    tag: Tag,
    want: Want,
    /// Whether the response is still to come, or on its way.
    is_out: bool,
    headers: Vec<u8>,
    body: Vec<u8>,
}

impl Kept {
    pub(super) fn new(streams: u32) -> Self {
        Self { places: Vec::new(), next: 0, most: 2 * streams as usize }
    }

    pub(super) fn reset(&mut self) {
        self.next = 0;
        for place in &mut self.places {
            place.clear();
            place.is_out = false;
        }
    }

    /// A place for the response with `tag`: the one it had, or a new one, or the one that was used longest ago.
    pub(super) fn claim(&mut self, tag: Tag, want: Want) -> u32 {
        let used = self.places.iter().position(|place| place.tag == tag && !place.is_out);
        let at = used.unwrap_or_else(|| self.other());
        let place = &mut self.places[at];
        place.clear();
        (place.tag, place.want, place.is_out) = (tag, want, true);
        u32::try_from(at).expect("places are few")
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The tag is used again, and nothing is wanted.
    pub(super) fn forget(&mut self, tag: Tag) {
        if let Some(place) = self.places.iter_mut().find(|place| place.tag == tag && !place.is_out) {
            place.clear();
        }
    }

    fn other(&mut self) -> usize {
        if self.places.len() < self.most {
            self.places.push(Place::default());
            return self.places.len() - 1;
        }
        // At most half of the places are out.
        loop {
            self.next = (self.next + 1) % self.places.len();
            if !self.places[self.next].is_out {
                return self.next;
            }
        }
    }

    /// Where the headers go, empty; `None` when they are not wanted.
    pub(super) fn headers(&mut self, at: u32) -> Option<&mut Vec<u8>> {
        let place = self.places.get_mut(at as usize)?;
        place.headers.clear();
        place.want.headers.then_some(&mut place.headers)
    }

    pub(super) fn keep_body(&mut self, at: u32, bytes: &[u8]) {
        if let Some(place) = self.places.get_mut(at as usize) {
            let room = place.want.body - place.body.len();
            place.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// The response is over; what was kept of it stays when it is whole.
    pub(super) fn release(&mut self, at: u32, is_whole: bool) {
        if let Some(place) = self.places.get_mut(at as usize) {
            place.is_out = false;
            if !is_whole {
                place.clear();
            }
        }
    }

    pub(super) fn of(&self, tag: Tag) -> session::Kept<'_> {
        let place = self.places.iter().find(|place| place.tag == tag && !place.is_out);
        place.map_or_else(session::Kept::default, |place| session::Kept {
            headers: &place.headers,
            body: &place.body,
        })
    }
}

impl Place {
    fn clear(&mut self) {
        for buffer in [&mut self.headers, &mut self.body] {
            buffer.clear();
            buffer.shrink_to(KEPT_CAPACITY);
        }
    }
}
