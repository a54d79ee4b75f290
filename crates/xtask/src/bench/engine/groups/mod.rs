//! The groups: each measures one thing and says what it found.

pub mod closed;
pub mod driver;
pub mod open;
pub mod peers;
pub mod lag;
pub mod threads;
pub mod tools;
