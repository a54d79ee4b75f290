//! One module per command: from arguments to crates, from results to text and an exit code.

pub mod demo;
pub mod run;
pub mod orchestrator;
pub mod collector;
pub mod driver;
pub mod target;
pub mod check;
pub mod trial;
pub mod plan_file;
pub mod preview;
pub mod show;
pub mod init;
pub mod schema;
pub mod import;
pub mod explain;
pub mod runs;
pub mod report;
pub mod export;
pub mod db;
pub mod sql;
pub mod doctor;
pub mod completions;

mod chosen;
mod faults;
mod files;
mod secrets;
mod rehearsing;
mod connect;
mod kafka;
mod local;
mod serving;
mod follow;
