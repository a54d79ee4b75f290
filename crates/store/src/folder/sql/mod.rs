//! Every SQL statement of the program.
//!
//! Functions here take a connection, say one thing to it and give back plain rows; what the rows mean is decided by
//! their callers. Invariant: no other module contains SQL.

pub(crate) mod schema;
pub(crate) mod runs;
pub(crate) mod windows;
pub(crate) mod events;
pub(crate) mod points;
