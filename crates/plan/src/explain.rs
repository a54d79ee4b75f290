//! What the codes of faults mean, at more length than a message has room for.
//!
//! Invariant: every code has its section; a test reads the sources. Deliberately absent: another copy of the texts, which
//! are those of `docs/faults.md`.

const PAGE: &str = include_str!("../../../docs/faults.md");

/// What the fault `code` means and how to mend it, as Markdown without its heading; `None` when there is no such code.
pub fn explain(code: &str) -> Option<&'static str> {
    sections().find(|(known, _)| *known == code).map(|(_, text)| text)
}

/// All codes of faults, in alphabetical order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    sections().map(|(code, _)| code)
}

fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = PAGE.split("\n## ").skip(1);
    sections
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .map(|(code, text)| (code, text.trim()))
}
