//! `make demo`: from a fresh clone to a summary.

use crate::packages;
use crate::run::{command, run};

/// Installs what building needs, builds the release binary, runs `swell demo`.
pub fn run_demo() -> anyhow::Result<()> {
    packages::for_building()?;
    run(&mut command("cargo build --release --locked --package swell"))?;
    run(&mut command("target/release/swell demo"))
}
