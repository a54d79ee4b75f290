//! The parts of the project's own tasks that tests of other crates use.

pub mod golang;
pub mod python;
pub mod services;
pub mod truth;
