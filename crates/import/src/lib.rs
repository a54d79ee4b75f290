//! What other tools recorded, describe or were told, as a plan: text in, the text of a plan and a list of notes out.
//!
//! ```text
//! text ─► Node ─► (one module per format) ─► Draft ─► secrets hidden ─► commented YAML
//!       positions do not matter here        what a plan says          plan::parse reads it
//! ```
//!
//! Invariants: nothing is dropped in silence, it is in [`Imported::notes`] and in the plan's comments; no password,
//! token or cookie of the source is written into the plan; any text whatever gives a plan or an [`Error`], never a panic.
//! Deliberately absent: IO, and any wish to run scripts of other tools.

mod node;
mod read;
mod yaml;
mod draft;
mod notes;
mod url;
mod names;
mod origins;
mod secrets;
mod headers;
mod payload;
mod span;
mod shell;
mod flags;
mod har;
mod curl;
mod openapi;
mod postman;
mod k6;
mod ab;
mod wrk;
mod vegeta;

use draft::Draft;
use notes::Notes;

/// Bytes of a text that is imported: recordings of an hour have some tens of megabytes, and a tree of them ten times that.
pub const INPUT_BYTES: usize = 64 * 1024 * 1024;

/// Where a text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// HTTP Archive 1.2, as browsers record.
    Har,
    /// Command lines of curl.
    Curl,
    /// OpenAPI 3.0 or 3.1, JSON or YAML.
    Openapi,
    /// A Postman collection 2.0 or 2.1.
    Postman,
    /// The `options` of a k6 script: JSON, or the script.
    K6Options,
    /// A command line of ApacheBench.
    Ab,
    /// A command line of wrk or wrk2.
    Wrk,
    /// A command line of `vegeta attack`, or its targets.
    Vegeta,
}

/// What is imported: a text, the words of a command line, or both (the targets of vegeta, and its command line).
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// The text of a file or of standard input.
    pub text: Option<&'a str>,
    /// The words of a command line, as a shell would give them.
    pub words: &'a [String],
}

/// What the user wants of it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The plan's target, instead of the source's.
    pub target: Option<String>,
    /// The plan's name, instead of the source's.
    pub name: Option<String>,
    /// Hosts whose requests are taken; when empty, those of the target alone.
    pub hosts: Vec<String>,
    /// Recordings: take images, styles, scripts and fonts, too.
    pub include_assets: bool,
    /// OpenAPI: only operations with one of these tags.
    pub tags: Vec<String>,
    /// OpenAPI: only these operations, by `operationId` or as `GET /path`.
    pub operations: Vec<String>,
}

/// A plan that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Commented YAML.
    pub plan: String,
    /// What was not translated, and what the reader must do or know; each on one line.
    pub notes: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`INPUT_BYTES`].
    #[error("the text has {0} bytes, more than {INPUT_BYTES}")]
    TooLarge(usize),
    /// Not the syntax that the format has.
    #[error("this is not {expected}: {message}")]
    Syntax {
        /// What was expected.
        expected: &'static str,
        /// What is wrong, and where.
        message: String,
    },
    /// The right syntax, but of another format.
    #[error("this is {found}, not {expected}{}", hint(found))]
    WrongFormat {
        /// What was expected.
        expected: &'static str,
        /// What it seems to be.
        found: &'static str,
    },
    /// Nothing in it that a plan could be made of.
    #[error("there is nothing to import: {0}")]
    Nothing(String),
    /// A command line that the tool itself would refuse.
    #[error("{0}")]
    Usage(String),
}

/// How to import what was found, where that is possible.
fn hint(found: &str) -> String {
    match read::FOUND.iter().find(|(name, _)| *name == found).and_then(|(_, format)| *format) {
        Some(format) => format!("; try `swell import {format}`"),
        None => String::new(),
    }
}

/// The plan that says what `input` says.
///
/// # Errors
/// See [`Error`]. What can only partly be translated is no error, but a note.
pub fn import(format: Format, input: Input<'_>, options: &Options) -> Result<Imported, Error> {
    let bytes = input.text.map_or(0, str::len) + input.words.iter().map(String::len).sum::<usize>();
    if bytes > INPUT_BYTES {
        return Err(Error::TooLarge(bytes));
    }
    let mut notes = Notes::default();
    let text = input.text.unwrap_or_default().trim_start_matches('\u{feff}');
    let draft = match format {
        Format::Har => har::draft(text, options, &mut notes),
        Format::Curl => curl::draft(text, input.words, options, &mut notes),
        Format::Openapi => openapi::draft(text, options, &mut notes),
        Format::Postman => postman::draft(text, options, &mut notes),
        Format::K6Options => k6::draft(text, options, &mut notes),
        Format::Ab => ab::draft(text, input.words, &mut notes),
        Format::Wrk => wrk::draft(text, input.words, &mut notes),
        Format::Vegeta => vegeta::draft(text, input.words, options, &mut notes),
    }?;
    Ok(finished(draft, options, notes))
}

/// Says when there is more than a plan may have: nothing is left out by itself.
fn count(draft: &mut Draft, notes: &mut Notes) {
    let mut steps = 0;
    let mut names = std::collections::BTreeSet::new();
    draft.each_request(&mut |request| {
        steps += 1;
        names.insert(request.shown());
    });
    let counted = [
        ("scenarios", draft.scenarios.len(), plan::limits::SCENARIOS),
        ("steps", steps, plan::limits::STEPS),
        ("names of steps", names.len(), plan::limits::STEP_NAMES),
    ];
    for (what, count, most) in counted.into_iter().filter(|(_, count, most)| count > most) {
        notes.add(format!("the plan has {count} {what}, and may have {most}: import less at a time"));
    }
}

fn finished(mut draft: Draft, options: &Options, mut notes: Notes) -> Imported {
    if let Some(name) = &options.name {
        draft.name.clone_from(name);
    }
    if let Some(target) = &options.target {
        draft.target.clone_from(target);
        draft.target_comment = None;
    }
    secrets::hide(&mut draft, &mut notes);
    draft.settle(&mut notes);
    count(&mut draft, &mut notes);
    let mut plan = draft.text(&notes.lines());
    if plan.len() > plan::limits::PLAN_BYTES {
        let most = plan::limits::PLAN_BYTES;
        notes.add(format!("the plan has {} bytes, and may have {most}: import less at a time", plan.len()));
        plan = draft.text(&notes.lines());
    }
    Imported { plan, notes: notes.lines() }
}
