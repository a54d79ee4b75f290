//! A fault in a plan or a form, said so that it can be found and mended.
//!
//! Invariant: a `code` never changes its meaning once released. Deliberately absent: severities. A finding either stops
//! the plan or is none.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use crate::limits;

/// One fault, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable name of the kind of fault, such as `unknown_key`.
    pub code: &'static str,
    /// The file as it was named, or the form.
    pub file: String,
    /// Line from 1; 0 for a field of a form, which has no text.
    pub line: usize,
    /// Column from 1, in characters; 0 for a field of a form.
    pub column: usize,
    /// The form's field or the command's option; `None` in a file.
    pub field: Option<String>,
    /// The offending text, shortened to one line.
    pub text: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// How to mend it, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{}: {field}: {} [{}]", self.file, self.message, self.code)?,
            None => {
                write!(f, "{}:{}:{}: {} [{}]", self.file, self.line, self.column, self.message, self.code)?
            }
        }
        self.help.iter().try_for_each(|help| write!(f, "\n  {help}"))
    }
}

/// What is wrong with a value, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds "did you mean" where one of `close` resembles `word`, else the list of what is known.
    pub(crate) fn suggest(self, word: &str, known: &[&str], close: &[&str]) -> Self {
        let help = match closest(word, known.iter().chain(close).copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if known.is_empty() => return self,
            None => format!("known here: {}", known.join(", ")),
        };
        self.help(help)
    }

    /// Something that plans have, but not yet here.
    pub(crate) fn unsupported(code: &'static str, what: &str) -> Self {
        Self::new(code, format!("{what} is not supported in this version"))
    }

    /// The fault of a form's field.
    pub(crate) fn in_field(self, form: &str, field: &str, text: &str) -> Diagnostic {
        Diagnostic {
            code: self.code,
            file: form.to_owned(),
            line: 0,
            column: 0,
            field: Some(field.to_owned()),
            text: one_line(text),
            message: self.message,
            help: self.help,
        }
    }
}

/// A place in a file, line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Which of the plan's files; 0 is its own.
    pub file: usize,
    pub line: usize,
    pub column: usize,
}

/// The faults of a plan's files as they are found.
#[derive(Debug)]
pub(crate) struct Faults<'a> {
    /// Name and text of each.
    files: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    found: Vec<(Place, Diagnostic)>,
    /// Where the lines of each file begin, once a fault asks for one.
    lines: Vec<OnceCell<Vec<usize>>>,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(file: &'a str, source: &'a str) -> Self {
        let files = vec![(file.into(), source.into())];
        Self { files, found: Vec::new(), lines: vec![OnceCell::new()] }
    }

    /// Another file; its number.
    pub(crate) fn file(&mut self, name: String, source: String) -> usize {
        self.files.push((name.into(), source.into()));
        self.lines.push(OnceCell::new());
        self.files.len() - 1
    }

    /// The text of a file.
    pub(crate) fn source(&self, file: usize) -> String {
        self.files.get(file).map_or_else(String::new, |(_, source)| source.clone().into_owned())
    }

    /// The name of a file.
    pub(crate) fn name(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |(name, _)| name)
    }

    /// A line of a file without its end.
    fn line(&self, place: Place) -> &str {
        let (Some((_, source)), Some(lines)) = (self.files.get(place.file), self.lines.get(place.file))
        else {
            return "";
        };
        let begins = lines.get_or_init(|| {
            let ends = memchr::memchr_iter(b'\n', source.as_bytes());
            std::iter::once(0).chain(ends.map(|end| end + 1)).collect()
        });
        let begin = begins.get(place.line.saturating_sub(1));
        begin.and_then(|begin| source.get(*begin..)?.lines().next()).unwrap_or("")
    }

    /// Adds a fault whose text is the rest of its line.
    pub(crate) fn add_here(&mut self, place: Place, wrong: Wrong) {
        // Looking for the line takes time, which a hostile file would have us spend on each of its faults.
        if self.found.len() < limits::DIAGNOSTICS {
            let text: String = self.line(place).chars().skip(place.column.saturating_sub(1)).collect();
            self.add(place, text.trim_end(), wrong);
        }
    }

    /// Adds a fault of a part of the value at `place`: where that part is in the same line, it is pointed at.
    pub(crate) fn add_within(&mut self, place: Place, part: &str, wrong: Wrong) {
        if self.found.len() >= limits::DIAGNOSTICS {
            return;
        }
        self.add(self.place_within(place, part), part, wrong);
    }

    /// Where `part` stands in the value at `place`, if that is in the same line; else where the value does.
    fn place_within(&self, place: Place, part: &str) -> Place {
        let line = self.line(place);
        let rest = line.char_indices().nth(place.column.saturating_sub(1)).map_or("", |(at, _)| &line[at..]);
        let before = rest.find(part).map_or(0, |at| rest[..at].chars().count());
        Place { column: place.column + before, ..place }
    }

    /// What would be said of a part of the value at `place`.
    pub(crate) fn within(&self, place: Place, part: &str, wrong: Wrong) -> Diagnostic {
        self.diagnostic(self.place_within(place, part), part, wrong)
    }

    fn diagnostic(&self, place: Place, text: &str, wrong: Wrong) -> Diagnostic {
        Diagnostic {
            code: wrong.code,
            file: self.files.get(place.file).map_or_else(String::new, |(name, _)| name.to_string()),
            line: place.line,
            column: place.column,
            field: None,
            text: one_line(text),
            message: wrong.message,
            help: wrong.help,
        }
    }

    pub(crate) fn add(&mut self, place: Place, text: &str, wrong: Wrong) {
        if self.found.len() < limits::DIAGNOSTICS {
            let fault = self.diagnostic(place, text, wrong);
            // Fragments are read wherever they are used.
            if !self.found.iter().any(|(_, known)| *known == fault) {
                self.found.push((place, fault));
            }
        }
    }

    /// Adds a fault of a part of a value: of `text`, `offset` characters behind the value's beginning, where the file
    /// shows it there. In a value over several lines it does not, and then the value's own place is as good.
    pub(crate) fn add_at_offset(&mut self, place: Place, offset: usize, text: &str, wrong: Wrong) {
        let line = self.line(place);
        // A quote before the value is not part of it.
        let shown = [offset, offset + 1].into_iter().map(|offset| place.column + offset).find(|column| {
            let rest = line.char_indices().nth(column - 1).map_or("", |(at, _)| &line[at..]);
            rest.starts_with(text)
        });
        self.add(Place { column: shown.unwrap_or(place.column), ..place }, text, wrong);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them, in the order of the files.
    pub(crate) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(place, _)| *place);
        self.found.into_iter().map(|(_, fault)| fault).collect()
    }
}

/// Characters of offending text that are shown.
const SHOWN_CHARS: usize = 80;

fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The one of `known` that `word` was probably meant to be: at most a third of its letters, and at least one, may
/// differ. A single letter is like any other.
fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = (word.len() / 3).max(usize::from(word.len() > 1));
    let mut room = Room::default();
    known
        .into_iter()
        .filter_map(|candidate| Some((room.distance(&word, candidate, allowed)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What comparing words needs: a plan may have a thousand names, and each fault asks for the closest.
#[derive(Default)]
struct Room {
    other: Vec<char>,
    before: Vec<usize>,
    last: Vec<usize>,
    row: Vec<usize>,
}

impl Room {
    /// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment), `most` at most.
    fn distance(&mut self, a: &[char], b: &str, most: usize) -> Option<usize> {
        let Self { other, before, last, row } = self;
        other.clear();
        other.extend(b.chars());
        let b = other.as_slice();
        if a.len().abs_diff(b.len()) > most {
            return None;
        }
        before.clear();
        before.resize(b.len() + 1, 0);
        last.clear();
        last.extend(0..=b.len());
        for i in 1..=a.len() {
            row.clear();
            row.push(i);
            for j in 1..=b.len() {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut least = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(before[j - 2] + 1);
                }
                row.push(least);
            }
            // A row begins where the last one or, after a swap, the one before it ended.
            if row.iter().chain(last.iter()).all(|distance| *distance > most) {
                return None;
            }
            std::mem::swap(before, last);
            std::mem::swap(last, row);
        }
        last.last().copied().filter(|distance| *distance <= most)
    }
}
