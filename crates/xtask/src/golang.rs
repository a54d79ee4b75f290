//! A Go for Grafana's schema library (`tests/grafana`): that of this machine where it is new enough, else one from PyPI,
//! since Debian's is older than the library needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::python;

/// The oldest that `tests/grafana/go.mod` takes.
const OLDEST: (u32, u32) = (1, 21);

/// The program `go`.
pub fn program() -> Result<PathBuf> {
    let here = Command::new("go").args(["env", "GOVERSION"]).output();
    let version = here.ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    if version.is_some_and(|version| version >= OLDEST) {
        return Ok(PathBuf::from("go"));
    }
    let python = python::environment("python-go", "tests/grafana/requirements.txt")?;
    Ok(python.parent().unwrap_or(Path::new("")).join("go"))
}

/// `go1.21.3` as 1 and 21.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("go")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_numbers() {
        assert_eq!(super::version("go1.21.13\n"), Some((1, 21)));
        assert_eq!(super::version("go1.9"), Some((1, 9)));
        assert_eq!(super::version(""), None);
    }
}
