//! Rows of a thread's own lanes, given out in order.
//!
//! Where responses decide who comes next, an iteration's index says nothing about its turn in the fleet. There row *r*
//! belongs to lane *r* mod 1,024, and whoever has the lane has the row.
//!
//! Invariant: a row that is used once is given out by one thread of one driver, whatever happens to the lanes: what moves
//! during the run takes no row along, since nobody knows which of them the last owner has used.

use plan::LaneSet;

/// The rows of some lanes.
#[derive(Debug, Clone)]
pub struct Hand {
    lanes: LaneSet,
    rows: u64,
    /// The next row is this one, or the first after it that is of these lanes.
    next: u64,
    again: bool,
}

impl Hand {
    /// The hand of a thread at the beginning of a run: of `rows` rows those of its `lanes`, and those `again` and again,
    /// or once. When rows are used again, lanes without a row take all rows in turn.
    pub fn new(rows: u64, lanes: LaneSet, again: bool) -> Self {
        let mut hand = Self { lanes, rows, next: 0, again };
        hand.set_lanes(lanes);
        hand
    }

    /// The next row, from 0; `None` when there is none left.
    pub fn next_row(&mut self) -> Option<u64> {
        let next = self.lanes.next_index(self.next).filter(|row| *row < self.rows);
        let row = match next {
            None if self.again => self.lanes.next_index(0).filter(|row| *row < self.rows),
            next => next,
        }?;
        self.next = row + 1;
        Some(row)
    }

    /// The lanes have moved. Rows that are used once go with no lane: those of lanes that came are their last owner's,
    /// and those of lanes that went are lost.
    pub fn set_lanes(&mut self, lanes: LaneSet) {
        if !self.again {
            self.lanes = self.lanes.and(&lanes);
            return;
        }
        let has_row = lanes.next_index(0).is_some_and(|row| row < self.rows);
        self.lanes = if has_row { lanes } else { LaneSet::all() };
        if !has_row {
            // Not all of them begin with the same row.
            let first = lanes.iter().next().unwrap_or(0);
            self.next = (first as u64).checked_rem(self.rows).unwrap_or(0);
        }
    }
}
