//! Where the files of raw events lie in a data folder.
//!
//! Invariant: whatever a run is called, its folder lies directly in `runs`, and two runs have two folders.

use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Files of runs.
const RUNS: &str = "runs";

/// Files that are being written, or whose commit is not finished. They are in a folder of their own so that a start after
/// a crash looks at one folder and not at each run's, and have another ending, so that nobody who reads `*.parquet`
/// anywhere finds them.
const INCOMING: &str = "incoming";

/// Bytes of a folder's name that are taken from a run's at most; file systems allow 255.
const NAME_BYTES: usize = 180;

/// Where new files are written.
pub(super) fn incoming(dir: &Path) -> PathBuf {
    dir.join(INCOMING)
}

/// The file with number `file` while it does not count yet.
pub(super) fn unfinished(dir: &Path, file: i64) -> PathBuf {
    incoming(dir).join(format!("events-{file:08}.parquet.tmp"))
}

/// The number of a file that [`unfinished`] named.
pub(super) fn number(name: &str) -> Option<i64> {
    name.strip_prefix("events-")?.strip_suffix(".parquet.tmp")?.parse().ok()
}

/// The folder of a run's files.
pub(super) fn of_run(dir: &Path, run_id: &str) -> PathBuf {
    dir.join(RUNS).join(folder_name(run_id))
}

/// The file with number `file` where it counts.
pub(super) fn finished(dir: &Path, run_id: &str, file: i64) -> PathBuf {
    of_run(dir, run_id).join(format!("events-{file:08}.parquet"))
}

/// The run's name with all but letters, digits, `-`, `_` and inner dots as `%XX`, as in a URL. What is longer than
/// [`NAME_BYTES`] then is cut, and ends with a hash of the whole.
fn folder_name(run_id: &str) -> String {
    let mut name = String::with_capacity(run_id.len());
    for (at, byte) in run_id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if at > 0 => name.push('.'),
            // Writing to a string cannot fail.
            other => write!(name, "%{other:02X}").unwrap_or_default(),
        }
    }
    if name.is_empty() {
        return "%".to_owned();
    }
    if name.len() > NAME_BYTES {
        name.truncate(NAME_BYTES);
        // `%%` begins nothing that the rule above writes.
        write!(name, "%%{:032x}", fnv1a(run_id.as_bytes())).ok();
    }
    name
}

/// The hash FNV-1a of 128 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
fn fnv1a(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// The files of a run that count, in the order in which they were written; none when there is no folder.
pub(crate) fn files(dir: &Path, run_id: &str) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(of_run(dir, run_id)) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("events-") && name.ends_with(".parquet") {
            files.push(path);
        }
    }
    // Numbers have leading zeros; one that outgrew them comes after all others.
    files.sort_by(|a, b| (a.as_os_str().len(), a).cmp(&(b.as_os_str().len(), b)));
    Ok(files)
}

/// Makes what is said of the folder's entries, such as a file's new name, survive a loss of power.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder, and makes it survive a loss of power; the folder above it must be there or made likewise.
pub(super) fn make(dir: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent()
        && parent != dir
    {
        make(dir, parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    folder.parent().map_or(Ok(()), sync)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_stay_in_the_folder_and_apart() {
        let long = "x".repeat(500);
        let (longer, other) = (format!("{long}y"), format!("{long}z"));
        let names = [
            "",
            ".",
            "..",
            "%",
            "%2E",
            "../etc",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "a\0b",
            "a b",
            "ü",
            "run.1",
            "CON",
            "benchmark_42",
            &long,
            &longer,
            &other,
        ];
        let mut folders: Vec<PathBuf> = names.iter().map(|name| of_run(Path::new("data"), name)).collect();
        for folder in &folders {
            assert_eq!(folder.parent(), Some(Path::new("data/runs")), "{folder:?}");
            let name = folder.file_name().unwrap().to_str().unwrap();
            assert!(name.len() <= 255 && name.is_ascii() && !name.starts_with('.'), "{name}");
        }
        assert_eq!(folder_name("benchmark_42"), "benchmark_42");
        assert_eq!(folder_name("../etc"), "%2E.%2Fetc");
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), names.len());
    }

    #[test]
    fn numbers_lead_back_from_their_names() {
        for file in [1, 12_345_678, 123_456_789, i64::MAX] {
            let path = unfinished(Path::new("data"), file);
            assert_eq!(path.file_name().and_then(|name| number(name.to_str()?)), Some(file));
        }
        assert_eq!(number("events-1.parquet"), None);
        assert_eq!(number("ballast"), None);
    }
}
