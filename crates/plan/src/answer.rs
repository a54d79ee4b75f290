//! What a plan takes from an answer, and what it demands of one.
//!
//! ```text
//! save: { token: $.token }                    ─► Taking: a Source, and the slot it goes to
//! expect: { json: { $.total: 3 }, under: 2s } ─► Check
//! ```
//!
//! Invariant: patterns are compiled once, with the plan; looking at an answer takes time in proportion to its size.
//! Deliberately absent: the answer's coding, which `protocol` undoes.

mod json;
mod take;
mod check;
mod read;

pub use check::{Answer, Check, CheckKind, Demand, JsonDemand, TextDemand};
pub use json::JsonPath;
pub use take::{Css, Pattern, Source, Taking};

pub(crate) use read::{check_identifier, check_sizes, expect, save};
