//! Rows of a thread's own lanes, given out in order, again and again.
//!
//! Where responses decide who comes next, an iteration's index says nothing about its turn in the fleet. There row *r*
//! belongs to lane *r* mod 1,024, and whoever has the lane has the row. Deliberately absent: rows that are used once
//! ([`Pile`](crate::Pile)).

use plan::LaneSet;

/// The rows of some lanes.
#[derive(Debug, Clone)]
pub struct Hand {
    lanes: LaneSet,
    rows: u64,
    /// The next row is this one, or the first after it that is of these lanes.
    next: u64,
}

impl Hand {
    /// The hand of a thread at the beginning of a run: of `rows` rows those of its `lanes`. Lanes without a row take all
    /// rows in turn.
    pub fn new(rows: u64, lanes: LaneSet) -> Self {
        let mut hand = Self { lanes, rows, next: 0 };
        hand.set_lanes(lanes);
        hand
    }

    /// The next row, from 0; `None` when there are no rows at all.
    pub fn next_row(&mut self) -> Option<u64> {
        let from = |next: u64| self.lanes.next_index(next).filter(|row| *row < self.rows);
        let row = from(self.next).or_else(|| from(0))?;
        self.next = row + 1;
        Some(row)
    }

    /// The lanes have moved.
    pub fn set_lanes(&mut self, lanes: LaneSet) {
        let has_row = lanes.next_index(0).is_some_and(|row| row < self.rows);
        self.lanes = if has_row { lanes } else { LaneSet::all() };
        if !has_row {
            // Not all of them begin with the same row.
            let first = lanes.iter().next().unwrap_or(0);
            self.next = (first as u64).checked_rem(self.rows).unwrap_or(0);
        }
    }
}
