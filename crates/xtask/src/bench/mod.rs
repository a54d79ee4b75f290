//! Measurements. Machines are shared and noisy, so each figure is a ratio between two programs that took turns in one
//! run, and the middle one of several.

mod fleet;
pub mod engine;
pub mod target;
pub mod steps;
pub mod events;
pub mod pipeline;
pub mod plan;
pub mod transport;
pub mod history;
