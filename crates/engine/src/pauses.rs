//! Iterations between two steps.
//!
//! Fixed pauses of one length end nearly in the order in which they began: a queue per length instead of a heap. Not
//! quite, since answers are not heard in the order in which they came. Pauses of any length are in a heap.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use crate::flight::Flight;

/// Iterations that wait for their next step's intended time.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    /// By length of the pause; as many as the plan has different ones.
    queues: Vec<(u64, VecDeque<Flight>)>,
    /// Those of no length of their own.
    heap: BinaryHeap<Reverse<Ending>>,
    /// When the first of all is due.
    next_at: Option<u64>,
}

/// An iteration by the end of its pause.
#[derive(Debug)]
struct Ending(Flight);

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        self.0.intended_ns == other.0.intended_ns
    }
}

impl Eq for Ending {}

impl PartialOrd for Ending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.intended_ns.cmp(&other.0.intended_ns)
    }
}

impl Pauses {
    /// When the next iteration goes on; `u64::MAX` when none is waiting.
    #[inline]
    pub(crate) fn next_at(&self) -> u64 {
        self.next_at.unwrap_or(u64::MAX)
    }

    /// Holds `flight`, whose pause has that length, until its intended time.
    pub(crate) fn push(&mut self, pause_ns: u64, flight: Flight) {
        let number = self.queues.iter().position(|(length, _)| *length == pause_ns).unwrap_or_else(|| {
            self.queues.push((pause_ns, VecDeque::new()));
            self.queues.len() - 1
        });
        let queue = &mut self.queues[number].1;
        let later = queue.iter().rev().take_while(|other| other.intended_ns > flight.intended_ns).count();
        queue.insert(queue.len() - later, flight);
        self.next_at = Some(self.next_at().min(flight.intended_ns));
    }

    /// The same for a pause that is unlike others.
    pub(crate) fn push_any(&mut self, flight: Flight) {
        self.heap.push(Reverse(Ending(flight)));
        self.next_at = Some(self.next_at().min(flight.intended_ns));
    }

    /// An iteration whose pause is over.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<Flight> {
        if self.next_at() > now_ns {
            return None;
        }
        let first = |(_, queue): &(u64, VecDeque<Flight>)| {
            queue.front().map_or(u64::MAX, |flight| flight.intended_ns)
        };
        let in_heap = |heap: &BinaryHeap<Reverse<Ending>>| {
            heap.peek().map_or(u64::MAX, |Reverse(Ending(flight))| flight.intended_ns)
        };
        let queue = self.queues.iter_mut().min_by_key(|queue| first(queue));
        let flight = match queue {
            Some(queue) if first(queue) <= in_heap(&self.heap) => queue.1.pop_front(),
            _ => self.heap.pop().map(|Reverse(Ending(flight))| flight),
        };
        let next_at = self.queues.iter().map(first).min().unwrap_or(u64::MAX).min(in_heap(&self.heap));
        self.next_at = Some(next_at).filter(|at| *at != u64::MAX);
        flight
    }

    /// Forgets all, and says how many they were.
    pub(crate) fn clear(&mut self) -> usize {
        let queued: usize = self.queues.iter().map(|(_, queue)| queue.len()).sum();
        let count = queued + self.heap.len();
        *self = Self::default();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(intended_ns: u64) -> Flight {
        let arrival = plan::Arrival { at_ns: 0, index: 0, stage: plan::StageId(0), user: 0 };
        Flight { intended_ns, ..Flight::new(&arrival, 0, 0) }
    }

    #[test]
    fn what_is_told_late_ends_in_its_turn() {
        let mut pauses = Pauses::default();
        [1000, 990, 995].into_iter().for_each(|end| pauses.push(100, flight(end)));
        assert_eq!(pauses.next_at(), 990);
        let ends: Vec<u64> =
            std::iter::from_fn(|| pauses.pop(996)).map(|flight| flight.intended_ns).collect();
        assert_eq!(ends, [990, 995]);
    }

    #[test]
    fn pauses_of_different_lengths_end_in_order() {
        let mut pauses = Pauses::default();
        for start in 0..4 {
            pauses.push(100, flight(start * 10 + 100));
            pauses.push(15, flight(start * 10 + 15));
        }
        let mut ends = Vec::new();
        while let Some(flight) = pauses.pop(120) {
            ends.push(flight.intended_ns);
        }
        assert_eq!(ends, [15, 25, 35, 45, 100, 110, 120]);
        assert_eq!(pauses.next_at(), 130);
        assert_eq!(pauses.clear(), 1);
        assert_eq!(pauses.next_at(), u64::MAX);
    }
}
