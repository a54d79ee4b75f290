//! Rows of data: a file becomes a table, and an iteration learns which of its rows is its own.
//!
//! ```text
//! bytes ─► Table ─► cell (row, column)
//! plan  ─► Rows  ─► row of an iteration
//! ```
//!
//! Invariant: a [`Table`] exists only if all of its rows were found sound, so that reading a cell can only fail where
//! there is none. Deliberately absent: IO, and the meaning of a value.

mod files;
mod fault;
mod separated;
mod lines;
mod table;
mod order;
mod hand;
mod pile;
mod rows;

pub use fault::{FAULTS, TableFault};
pub use files::Files;
pub use hand::Hand;
pub use order::Order;
pub use pile::Pile;
pub use rows::{NoRow, Rows, row_at_random, row_of_user};
pub use table::{Buffer, Cell, Table};
