//! A batch and what makes it unlike any other.

use arrow_array::RecordBatch;
use uuid::Uuid;

use crate::Columns;

/// Rows of one run and one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The run (`test_run_id` in SQL).
    pub run_id: String,
    /// The driver (`worker_id` in SQL).
    pub worker_id: String,
    /// Which of the worker's batches. Without one, as for rows of foreign clients, the batch is stored each time it comes.
    pub identity: Option<Identity>,
    /// The rows, of [`crate::schema`].
    pub rows: RecordBatch,
}

impl Batch {
    /// The rows by column; `None` when they are not of [`crate::schema`], which a batch of [`crate::Builder`] or
    /// [`crate::decode`] always is.
    pub fn columns(&self) -> Option<Columns<'_>> {
        Columns::of(&self.rows)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What makes a batch of a worker in a run unlike every other: the same is stored once, however often it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The worker's process; another one after each of its starts.
    pub incarnation: Uuid,
    /// Number of the batch, from 0.
    pub number: u64,
}
