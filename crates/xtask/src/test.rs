//! `make test`: everything that must hold, in the order in which it fails fastest.

use anyhow::Context;
use clap::ValueEnum;

use crate::packages;
use crate::run::{command, run};

/// A part of the full run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// rustfmt and clippy, warnings denied
    Lint,
    /// Unit tests, simulation, tidy checks, real processes, real Kafka
    Rust,
    /// The page: types, a rebuild that must not differ, a real browser
    Page,
}

/// Runs `parts`, or all of them when none is named.
pub fn run_parts(parts: &[Part]) -> anyhow::Result<()> {
    let parts = if parts.is_empty() { Part::value_variants() } else { parts };
    packages::for_testing()?;
    for part in parts {
        match part {
            Part::Lint => lint()?,
            Part::Rust => rust()?,
            Part::Page => page()?,
        }
    }
    Ok(())
}

fn lint() -> anyhow::Result<()> {
    run(&mut command("cargo fmt --all --check"))?;
    run(&mut command("cargo clippy --workspace --all-targets --locked -- --deny warnings"))
}

fn rust() -> anyhow::Result<()> {
    // The binary first: the tests of crates/swell start it as a user would.
    run(&mut command("cargo build --workspace --all-targets --locked"))?;
    run(&mut command("cargo test --workspace --locked --no-fail-fast"))?;
    // The engine chooses io_uring where it can; the other loop is tested as well.
    run(command("cargo test --package engine --locked --no-fail-fast").env("GROUNDSWELL_IO", "epoll"))
}

fn page() -> anyhow::Result<()> {
    ui(true)?;
    run(&mut command("npm test --prefix ui"))
}

/// Builds the page; with `check`, fails when the committed files are not what the sources give.
pub fn ui(check: bool) -> anyhow::Result<()> {
    run(&mut command("npm ci --prefix ui --no-audit --no-fund"))?;
    run(&mut command("npm run check --prefix ui"))?;
    run(&mut command("npm run build --prefix ui"))?;
    if check {
        run(&mut command("git diff --exit-code --stat -- crates/api/assets")).context(
            "the committed page differs from its sources: run `cargo xtask ui` and commit crates/api/assets",
        )?;
    }
    Ok(())
}
