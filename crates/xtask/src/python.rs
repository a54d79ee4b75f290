//! Pythons with what tests of other make need, each in a virtual environment of its own under `.services/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One with the Kafka client of `tests/peers/requirements.txt`.
pub fn interpreter() -> Result<PathBuf> {
    environment("python", "tests/peers/requirements.txt")
}

/// One with the readers of Parquet of `tests/readers/requirements.txt`.
pub fn readers() -> Result<PathBuf> {
    environment("python-readers", "tests/readers/requirements.txt")
}

/// One with Apache Thrift's library, as in `tests/scribe/requirements.txt`.
pub fn scribe() -> Result<PathBuf> {
    environment("python-scribe", "tests/scribe/requirements.txt")
}

/// The interpreter; its environment is made when it is missing.
pub(crate) fn environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let services = root.join(".services");
    let environment = services.join(name);
    let python = environment.join("bin/python");
    fs::create_dir_all(&services)?;
    // Test processes that start together must not install together.
    let lock = File::create(services.join(format!("{name}.lock")))?;
    lock.lock()?;
    let done = environment.join("complete");
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(root.join(requirements)))?;
        File::create(done)?;
    }
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let output =
        command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let told = || String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), told());
    Ok(())
}
