//! Sources of data: what a plan says of the rows that its iterations use.
//!
//! Invariant: a source's name can stand in an expression and means nothing else there. Deliberately absent: contents of
//! files, and which iteration gets which row; those are the crate `data`'s.

use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Names, RESERVED, Template};
use crate::file::{self, FileUse};
use crate::limits;
use crate::load;
use crate::read::{self, Fields};
use crate::shapes;
use crate::tree::{Entry, Node};
use crate::workload;

/// Rows, by the name of their source.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// Its key in the plan: an identifier.
    pub name: String,
    /// Where its rows come from.
    pub kind: DataKind,
    /// Which row an iteration uses.
    pub pick: Pick,
    /// What happens when there is none left. [`WhenExhausted::Recycle`] where rows never run out.
    pub when_exhausted: WhenExhausted,
}

/// Where rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum DataKind {
    /// A file beside the plan.
    File {
        /// See [`FileUse::path`].
        path: String,
        /// How it is written.
        format: DataFormat,
    },
    /// Made from templates.
    Generated {
        /// How many; at least 1.
        rows: u64,
        /// Names and templates, in the plan's order; at least one.
        columns: Vec<(String, Template)>,
    },
}

/// How a file of rows is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// Values separated by commas (RFC 4180), below a row of names.
    Csv,
    /// The same, separated by tabs.
    Tsv,
    /// A JSON object per line, all with the same keys.
    JsonLines,
}

/// Which row an iteration uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// One that no other iteration of the run uses.
    Once,
    /// The next one. The default.
    InTurn,
    /// Any one, from the plan's seed.
    Random,
    /// The one of its user, the same in all of the user's iterations. Only in a closed load.
    PerUser,
}

/// What happens when an iteration needs a row and there is none left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenExhausted {
    /// No iteration that needs one begins any more. Default of [`Pick::Once`].
    Stop,
    /// The rows are used again from the first one on. Default of [`Pick::InTurn`].
    Recycle,
    /// Such iterations fail. Default of [`Pick::PerUser`].
    Fail,
}

pub(crate) static FORMATS: [(&str, DataFormat); 3] =
    [("csv", DataFormat::Csv), ("tsv", DataFormat::Tsv), ("jsonl", DataFormat::JsonLines)];

pub(crate) static PICKS: [(&str, Pick); 4] =
    [("once", Pick::Once), ("in_turn", Pick::InTurn), ("random", Pick::Random), ("per_user", Pick::PerUser)];

pub(crate) static ENDS: [(&str, WhenExhausted); 3] =
    [("stop", WhenExhausted::Stop), ("recycle", WhenExhausted::Recycle), ("fail", WhenExhausted::Fail)];

/// The sources that the plan's `data` describes, and the files they need.
pub(crate) fn data(
    faults: &mut Faults<'_>,
    names: &mut Names,
    plan: &Fields<'_>,
) -> Option<(Vec<DataSource>, Vec<FileUse>)> {
    let Some(node) = plan.get(faults, "data") else {
        return Some((Vec::new(), Vec::new()));
    };
    let entries = read::map(faults, node, "data")?;
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "data names at least one source"));
    }
    if entries.len() > limits::DATA_SOURCES {
        let message = format!("a plan has at most {} sources of data", limits::DATA_SOURCES);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let has_users = workload::loads(plan).next().is_none() || workload::loads(plan).any(load::may_have_users);
    let mut files = Vec::new();
    let sources: Vec<Option<DataSource>> =
        entries.iter().map(|entry| source(faults, names, entry, has_users, &mut files)).collect();
    Some((sources.into_iter().collect::<Option<_>>()?, files))
}

fn source(
    faults: &mut Faults<'_>,
    names: &mut Names,
    entry: &Entry,
    has_users: bool,
    files: &mut Vec<FileUse>,
) -> Option<DataSource> {
    let name = check_source_name(&entry.key);
    if let Err(wrong) = name.clone() {
        faults.add(entry.place, &entry.key, wrong);
    }
    let fields = Fields::of(faults, &entry.value, &shapes::DATA, &[])?;
    let kind = kind(faults, names, &fields, files);
    let pick = match fields.get(faults, "pick") {
        Some(node) => pick(faults, node, has_users),
        None => Some(Pick::InTurn),
    };
    let when_exhausted = when_exhausted(faults, &fields, pick);
    Some(DataSource { name: name.ok()?, kind: kind?, pick: pick?, when_exhausted: when_exhausted? })
}

fn check_source_name(name: &str) -> Result<String, Wrong> {
    if RESERVED.contains(&name) {
        let message = format!("\"{name}\" means something else in expressions");
        return Err(Wrong::new("reserved_name", message).help("give the source another name"));
    }
    check_identifier(name, "a source's name")
}

/// A name that can stand in an expression.
fn check_identifier(name: &str, what: &str) -> Result<String, Wrong> {
    let name = read::check_name(name, what)?;
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !starts || name.contains(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')) {
        let wrong = Wrong::new("bad_name", format!("{what} stands in expressions, and \"{name}\" cannot"));
        return Err(wrong.help("use a to z, 0 to 9 and _, with a letter or _ first"));
    }
    Ok(name.to_owned())
}

fn kind(
    faults: &mut Faults<'_>,
    names: &mut Names,
    fields: &Fields<'_>,
    files: &mut Vec<FileUse>,
) -> Option<DataKind> {
    if !fields.has("file") && !fields.has("rows") && !fields.has("columns") {
        let wrong = Wrong::new("missing", "a source of data needs \"file\", or \"rows\" and \"columns\"");
        faults.add_here(fields.place(), wrong);
        return None;
    }
    if fields.has("file") {
        return from_file(faults, fields, files);
    }
    if let Some(entry) = fields.entry("format") {
        let wrong = Wrong::new("without_effect", "only a file has a format");
        faults.add(entry.place, &entry.key, wrong.help("leave it out"));
    }
    let rows = fields
        .required(faults, "rows")
        .and_then(|node| read::count(faults, node, "the number of rows", limits::DATA_ROWS));
    let columns = fields.required(faults, "columns").and_then(|node| columns(faults, names, node));
    Some(DataKind::Generated { rows: rows?, columns: columns? })
}

fn from_file(faults: &mut Faults<'_>, fields: &Fields<'_>, files: &mut Vec<FileUse>) -> Option<DataKind> {
    for entry in ["rows", "columns"].into_iter().filter_map(|key| fields.entry(key)) {
        let wrong = Wrong::new("not_together", "rows come from a file, or are made from templates");
        faults.add(entry.place, &entry.key, wrong.help("leave out file, or rows and columns"));
    }
    let node = fields.get(faults, "file");
    let path = node.and_then(|node| file::path(faults, node, "the file"));
    let format = match (fields.get(faults, "format"), node, &path) {
        (Some(node), ..) => read::choice(faults, node, "the format", &FORMATS),
        (None, Some(node), Some(path)) if !fields.has("format") => {
            read::checked(faults, node, format_of(path))
        }
        _ => None,
    };
    let (node, path) = (node?, path?);
    files.push(FileUse::new(path.clone(), node.place));
    Some(DataKind::File { path, format: format? })
}

/// The format that the ending of a file's name says.
fn format_of(path: &str) -> Result<DataFormat, Wrong> {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => Ok(DataFormat::Csv),
        Some("tsv") => Ok(DataFormat::Tsv),
        Some("jsonl" | "ndjson") => Ok(DataFormat::JsonLines),
        _ => {
            let wrong =
                Wrong::new("unknown_format", format!("the name {path} does not say how it is written"));
            Err(wrong.help("add `format: csv`, `tsv` or `jsonl`"))
        }
    }
}

fn columns(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Vec<(String, Template)>> {
    let entries = read::map(faults, node, "columns")?;
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "generated rows have at least one column"));
    }
    if entries.len() > limits::DATA_COLUMNS {
        let message = format!("rows have at most {} columns", limits::DATA_COLUMNS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    names.in_row = true;
    let columns: Vec<Option<(String, Template)>> = entries
        .iter()
        .map(|entry| {
            let name = check_identifier(&entry.key, "a column's name");
            if let Err(wrong) = name.clone() {
                faults.add(entry.place, &entry.key, wrong);
            }
            let template = read::template(faults, names, &entry.value, "a column", Encoding::Plain)?;
            Some((name.ok()?, template))
        })
        .collect();
    names.in_row = false;
    columns.into_iter().collect()
}

fn pick(faults: &mut Faults<'_>, node: &Node, has_users: bool) -> Option<Pick> {
    let pick = read::choice(faults, node, "pick", &PICKS)?;
    if pick == Pick::PerUser && !has_users {
        let wrong = Wrong::new("not_for_this_model", "only a closed load has users");
        return read::fault(faults, node, wrong.help("in_turn gives each iteration the next row"));
    }
    Some(pick)
}

/// What the plan says, or what `pick` implies. `None` for `pick` was reported, and keeps the word from being judged.
fn when_exhausted(faults: &mut Faults<'_>, fields: &Fields<'_>, pick: Option<Pick>) -> Option<WhenExhausted> {
    let Some(node) = fields.get(faults, "when_exhausted") else {
        return pick.map(|pick| match pick {
            Pick::Once => WhenExhausted::Stop,
            Pick::InTurn | Pick::Random => WhenExhausted::Recycle,
            Pick::PerUser => WhenExhausted::Fail,
        });
    };
    let end = read::choice(faults, node, "when_exhausted", &ENDS)?;
    match (pick?, end) {
        (Pick::Random, _) => {
            let wrong = Wrong::new("without_effect", "rows picked at random never run out");
            read::fault(faults, node, wrong.help("leave it out"))
        }
        (Pick::Once, WhenExhausted::Recycle) => {
            let wrong = Wrong::new("not_together", "a row that is used once is not used again");
            read::fault(faults, node, wrong.help("write `pick: in_turn`"))
        }
        (_, end) => Some(end),
    }
}
