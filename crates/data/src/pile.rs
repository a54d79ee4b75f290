//! Rows that are used once, where responses decide who comes next: each thread has those of its own lanes, and takes of
//! what the other threads of its driver have left when it has none any more.
//!
//! Invariant: a row is given out by one thread of one driver, whatever happens to the lanes: what moves during the run
//! takes no row along, since nobody knows which of them the last owner has used. Deliberately absent: a lock; a thread
//! writes where others do only once its own rows are used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plan::LaneSet;

/// One thread's hold of the rows of its driver.
#[derive(Debug, Clone)]
pub struct Pile {
    rows: u64,
    /// By the numbers of the threads.
    shares: Arc<[Share]>,
    thread: usize,
}

/// Rows of some lanes. On cache lines of its own, since its thread writes it with every row.
#[derive(Debug)]
#[repr(align(128))]
struct Share {
    lanes: LaneSet,
    /// The next row is this one, or the first after it that is of these lanes.
    next: AtomicU64,
}

impl Share {
    fn take(&self, rows: u64) -> Option<u64> {
        let mut next = self.next.load(Ordering::Relaxed);
        loop {
            let row = self.lanes.next_index(next).filter(|row| *row < rows)?;
            match self.next.compare_exchange_weak(next, row + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(row),
                Err(other) => next = other,
            }
        }
    }
}

impl Pile {
    /// Of `rows` rows those of a driver whose threads begin with `lanes`, for each of them.
    pub fn of_threads(rows: u64, lanes: &[LaneSet]) -> Vec<Self> {
        let share = |lanes: &LaneSet| Share { lanes: *lanes, next: AtomicU64::new(0) };
        let shares: Arc<[Share]> = lanes.iter().map(share).collect();
        (0..lanes.len()).map(|thread| Self { rows, shares: Arc::clone(&shares), thread }).collect()
    }

    /// The next row, from 0; `None` when the driver has none left.
    pub fn next_row(&self) -> Option<u64> {
        let (before, own) = self.shares.split_at(self.thread);
        own.iter().chain(before).find_map(|share| share.take(self.rows))
    }
}
