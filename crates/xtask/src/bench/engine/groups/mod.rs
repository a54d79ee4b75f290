//! The groups: each measures one thing and says what it found.

pub mod closed;
pub mod open;
pub mod peers;
pub mod lag;
pub mod tools;
