//! Files that a plan names and that travel with the run: where they are, and what is said when one cannot be had.
//!
//! Invariant: a path leads to the plan's folder or below it, as written and over links; no two spellings of it are told apart.
//! Deliberately absent: contents, and IO. Whoever submits the plan reads its files; nobody else does, so that a plan sent
//! to a server makes it open nothing.

use crate::diagnostic::{Diagnostic, Faults, Place, Wrong};
use crate::limits;
use crate::read;
use crate::tree::Node;

/// A file that a plan needs, and where the plan says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUse {
    /// Below the plan's folder, with `/` between its parts; the name under which it travels.
    pub path: String,
    /// Line of the plan, from 1.
    pub line: usize,
    /// Column of the plan, from 1, in characters.
    pub column: usize,
}

/// Why a file cannot be sent with the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileTrouble {
    /// There is none.
    Missing,
    /// A link leads out of the plan's folder.
    Outside,
    /// It cannot be read, with the reason.
    Unreadable(String),
    /// It has so many bytes, which is more than [`limits::FILES_BYTES`] together with those before it.
    TooLarge(u64),
    /// Nothing can be read here: the plan came without its files.
    NotSent,
}

impl FileUse {
    pub(crate) fn new(path: String, place: Place) -> Self {
        Self { path, line: place.line, column: place.column }
    }

    /// What is said of the plan named `plan` when `trouble` keeps this file from being sent.
    pub fn fault(&self, plan: &str, trouble: &FileTrouble) -> Diagnostic {
        let path = &self.path;
        let wrong = match trouble {
            FileTrouble::Missing => Wrong::new("missing_file", format!("there is no file {path}"))
                .help("paths count from the plan's folder"),
            FileTrouble::Outside => outside(&format!("{path} is a link to a file that")),
            FileTrouble::Unreadable(why) => {
                Wrong::new("unreadable_file", format!("{path} cannot be read: {why}"))
            }
            FileTrouble::TooLarge(bytes) => {
                let most = limits::FILES_BYTES >> 20;
                let message = format!("with {path} the run's files have {bytes} bytes, more than {most} MiB");
                Wrong::new("too_large_files", message).help("send fewer rows, or generate them with `rows`")
            }
            FileTrouble::NotSent => {
                let message = format!("the plan needs the file {path}, and files cannot be sent this way");
                Wrong::new("file_not_sent", message).help("start it with `swell run`, which reads the files")
            }
        };
        Diagnostic {
            code: wrong.code,
            file: plan.to_owned(),
            line: self.line,
            column: self.column,
            field: None,
            text: path.clone(),
            message: wrong.message,
            help: wrong.help,
        }
    }
}

/// The path that `node` names, without `.` and doubled slashes.
pub(crate) fn path(faults: &mut Faults<'_>, node: &Node, what: &str) -> Option<String> {
    let text = read::text(faults, node, what)?;
    read::checked(faults, node, check_path(text, what))
}

fn check_path(text: &str, what: &str) -> Result<String, Wrong> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad_file", format!("{what} must be the name of a file")));
    }
    if text.len() > limits::FILE_NAME_BYTES {
        let most = limits::FILE_NAME_BYTES;
        return Err(Wrong::new("absurd", format!("{what} has {} bytes, more than {most}", text.len())));
    }
    if text.contains('\\') {
        let wrong = Wrong::new("bad_file", format!("{what} has a backslash"));
        return Err(wrong.help(format!("write {}", text.replace('\\', "/"))));
    }
    let has_drive = text.as_bytes().get(1) == Some(&b':');
    if text.starts_with(['/', '~']) || has_drive || text.split('/').any(|part| part == "..") {
        return Err(outside(what));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || text.ends_with('/') {
        return Err(Wrong::new("bad_file", format!("{what} is a folder")));
    }
    Ok(parts.join("/"))
}

fn outside(what: &str) -> Wrong {
    Wrong::new("outside_folder", format!("{what} is not below the plan's folder"))
        .help("put the file beside the plan and write its path from there")
}
