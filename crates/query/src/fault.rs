//! What can go wrong with a question, said so that whoever asked can mend it.

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The query is not one, or asks for what is not there.
    #[error("{0}")]
    Query(String),
    /// It would take more memory than it may.
    #[error(
        "the query needs more memory than it may take: {0}; ask for less at once, approx_percentile_cont instead of percentile_cont, or allow more with --memory"
    )]
    Memory(String),
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
    /// The engine could not be started, or failed.
    #[error("{0}")]
    Engine(String),
}
