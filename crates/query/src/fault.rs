//! What can go wrong with rows, said so that whoever asked for them can mend it.

/// Why there are no more rows.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Somebody asked it to stop.
    #[error("stopped")]
    Stopped,
    /// The plan of a run cannot be read.
    #[error("the stored plan of {run_id} cannot be read: {detail}")]
    Plan {
        /// The run.
        run_id: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was found could not be written.
    #[error(transparent)]
    Write(#[from] std::io::Error),
    /// Rows are not as they were said to be.
    #[error("{0}")]
    Rows(String),
}
