//! The secrets that this process knows: from a file, and from the environment.
//!
//! Invariant: nothing that is said here has a value in it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engine::Secrets;

use crate::arguments::SecretFile;
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};

/// What variables of the environment begin with that hold a secret.
const PREFIX: &str = "SWELL_SECRET_";

/// Bytes of a file of secrets at most; a larger one is another file.
const FILE_BYTES: u64 = 1024 * 1024;

/// All that are known. One that is in the file stands before one in the environment.
///
/// # Errors
/// The file cannot be read, or a line of it says nothing.
pub fn known(file: &SecretFile, terminal: Terminal) -> anyhow::Result<Secrets> {
    let secret = |(name, value): (OsString, OsString)| {
        let name = name.into_string().ok()?.strip_prefix(PREFIX)?.to_owned();
        Some((name, value.into_string().ok()?))
    };
    let mut secrets: BTreeMap<String, String> = std::env::vars_os().filter_map(secret).collect();
    if let Some(path) = &file.file {
        secrets.extend(read(path, terminal)?);
    }
    Ok(Secrets(secrets))
}

fn read(path: &Path, terminal: Terminal) -> anyhow::Result<Vec<(String, String)>> {
    let shown = path.display();
    let fault = |what: String| Ended::because(Exit::Invalid, format!("secrets in {shown}: {what}"));
    let io = |error: std::io::Error| fault(error.to_string());
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 && !terminal.quiet {
        output::tell(&format!(
            "warning: others may read the secrets in {shown} (mode {mode:03o}): chmod 600 {shown}"
        ));
    }
    let mut text = String::new();
    File::open(path).map_err(io)?.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(io)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(fault(format!("more than {FILE_BYTES} bytes")));
    }
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines
        .map(|(line, number)| match line.split_once('=') {
            Some((name, value)) if is_name(name.trim()) => Ok((name.trim().to_owned(), value.to_owned())),
            _ => Err(fault(format!("line {number} is not written NAME=VALUE"))),
        })
        .collect()
}
