//! The files that a plan names: read once, where the plan is submitted, and looked through before anything starts.
//!
//! Invariant: nobody else opens a file because a plan names it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Files, Table};
use plan::limits::FILES_BYTES;
use plan::{DataKind, DataSource, Diagnostic, FileTrouble, Plan};

/// Columns that a description names.
const NAMED_COLUMNS: usize = 8;

/// The files of `plan`, which was read from `file`: their paths count from its folder, or from here for `-`.
///
/// # Errors
/// All files that cannot be read, at the places where the plan names them.
pub fn read(plan: &Plan, file: &str) -> Result<Files, Vec<Diagnostic>> {
    let folder = folder(file);
    let (mut files, mut faults, mut room) = (Files::default(), Vec::new(), FILES_BYTES);
    for used in plan.files() {
        match read_one(&folder, &used.path, room) {
            Ok(content) => {
                room -= content.len() as u64;
                files.insert(used.path.clone(), content);
            }
            Err(trouble) => faults.push(used.fault(file, &trouble)),
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

fn folder(file: &str) -> PathBuf {
    let folder = Path::new(file).parent().filter(|_| file != "-");
    folder.map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Where a file that a plan names really is.
///
/// # Errors
/// It is not there, or a link leads out of the folder: somebody else's plan sends nothing that it does not bring along.
pub fn below(folder: &Path, path: &str) -> Result<PathBuf, FileTrouble> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let file = folder.join(path).canonicalize().map_err(trouble)?;
    let folder = folder.canonicalize().map_err(trouble)?;
    if file.starts_with(folder) { Ok(file) } else { Err(FileTrouble::Outside) }
}

fn trouble(error: io::Error) -> FileTrouble {
    match error.kind() {
        io::ErrorKind::NotFound => FileTrouble::Missing,
        _ => FileTrouble::Unreadable(error.to_string()),
    }
}

/// Reads a file into the place where it stays, so that a large one is never in memory twice.
fn read_one(folder: &Path, path: &str, room: u64) -> Result<Arc<[u8]>, FileTrouble> {
    let path = &below(folder, path)?;
    let about = fs::metadata(path).map_err(trouble)?;
    if !about.is_file() {
        let what = if about.is_dir() { "it is a folder" } else { "it is no ordinary file" };
        return Err(FileTrouble::Unreadable(what.to_owned()));
    }
    if about.len() > room {
        return Err(FileTrouble::TooLarge(FILES_BYTES - room + about.len()));
    }
    let mut file = File::open(path).map_err(trouble)?;
    let length = usize::try_from(about.len()).map_err(|_| FileTrouble::TooLarge(about.len()))?;
    let mut content: Arc<[u8]> = iter::repeat_n(0, length).collect();
    if let Some(place) = Arc::get_mut(&mut content) {
        file.read_exact(place).map_err(trouble)?;
    }
    Ok(content)
}

/// What a source of data has.
pub struct Source {
    /// Its rows.
    pub rows: u64,
    /// All of it in one line.
    pub said: String,
}

/// Looks through the data files of a plan; what they have, by the sources of data.
///
/// # Errors
/// All faults of all files.
pub fn look_through(plan: &Plan, file: &str, files: &Files) -> Result<Vec<Source>, Vec<Diagnostic>> {
    let (mut said, mut faults) = (Vec::new(), Vec::new());
    for (number, source) in plan.data.iter().enumerate() {
        match table(source, plan.columns_of(number), file, files) {
            Ok(source) => said.push(source),
            Err(found) => faults.extend(found),
        }
    }
    // Two sources may read the same file.
    faults.dedup();
    if faults.is_empty() { Ok(said) } else { Err(faults) }
}

fn table(source: &DataSource, used: &[String], file: &str, files: &Files) -> Result<Source, Vec<Diagnostic>> {
    let name = &source.name;
    match &source.kind {
        DataKind::Generated { rows, columns } => {
            let columns = named(columns.iter().map(|(column, _)| column.as_str()));
            Ok(Source { rows: *rows, said: format!("{name}: {rows} generated rows of {columns}") })
        }
        DataKind::File { path, format } => {
            let content = files.get(path).cloned().unwrap_or_else(|| Arc::from([]));
            let shown = folder(file).join(path).display().to_string();
            let table = Table::open(content, *format).map_err(|faults| {
                faults.into_iter().map(|fault| fault.in_file(&shown)).collect::<Vec<_>>()
            })?;
            let missing = used.iter().filter(|column| table.column(column).is_none());
            let missing: Vec<Diagnostic> =
                missing.map(|column| table.without(column, name).in_file(&shown)).collect();
            if !missing.is_empty() {
                return Err(missing);
            }
            let (rows, columns) = (table.len(), named(table.columns().iter().map(String::as_str)));
            let plural = if rows == 1 { "row" } else { "rows" };
            Ok(Source {
                rows: rows as u64,
                said: format!("{name}: {rows} {plural} of {columns}, from {path}"),
            })
        }
    }
}

fn named<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<&str> = columns.collect();
    let more = columns.len().saturating_sub(NAMED_COLUMNS);
    let named = columns[..columns.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more columns") } else { named }
}
