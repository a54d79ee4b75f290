//! A page of text: lines of toned words that never grow wider than the page.
//!
//! Invariants: a line fits its page, whatever the words in it; what comes from elsewhere (names, messages) cannot move
//! the cursor or turn the direction of the text. Tone is added when a page is printed, so that layout counts columns of
//! text only and the page without colour has the same columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a word is, to be seen at a glance; never the only sign of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// A line under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    words: Vec<(Tone, String)>,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds text in a tone.
    pub(crate) fn toned(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        self.words.push((tone, clean(text.as_ref())));
        self
    }

    /// Adds text.
    pub(crate) fn text(self, text: impl AsRef<str>) -> Self {
        self.toned(Tone::Plain, text)
    }

    /// Fills up with blanks to `column`; one blank when it is passed already.
    pub(crate) fn to(self, column: usize) -> Self {
        let gap = column.saturating_sub(self.width()).max(usize::from(column > 0));
        self.text(" ".repeat(gap))
    }

    /// Columns taken so far.
    pub(crate) fn width(&self) -> usize {
        self.words.iter().map(|(_, text)| text.width()).sum()
    }

    /// The line as text of at most `width` columns, without blanks at its end.
    pub(crate) fn print(&self, width: usize, color: bool) -> String {
        let mut printed = String::new();
        let mut left = if self.width() > width { width.saturating_sub(1) } else { width };
        let cut = self.width() > width;
        let last = self.words.iter().rposition(|(_, text)| !text.trim_end().is_empty());
        for (index, (tone, text)) in self.words.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            let text = if last == Some(index) { text.trim_end() } else { text };
            let text = prefix(text, left);
            left -= text.width();
            match tone.code().filter(|_| color && !text.is_empty()) {
                Some(code) => printed.push_str(&format!("\x1b[{code}m{text}\x1b[0m")),
                None => printed.push_str(text),
            }
        }
        if cut && width > 0 {
            printed.push('…');
        }
        printed
    }
}

/// `text` in at most `columns` columns, with `…` at the end where something was left out.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    let text = clean(text);
    if text.width() <= columns {
        return text;
    }
    match columns.checked_sub(1) {
        Some(kept) => format!("{}…", prefix(&text, kept).trim_end()),
        None => String::new(),
    }
}

/// Columns that `text` takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    clean(text).width()
}

/// `text` as lines of at most `columns` columns, broken at blanks; a longer word is shortened.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in clean(text).split_whitespace() {
        let word = shortened(word, columns);
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// A beginning of `text` of at most `columns` columns: the longest, but for letters that change each other's width.
fn prefix(text: &str, columns: usize) -> &str {
    let ends: Vec<usize> = text.char_indices().map(|(start, letter)| start + letter.len_utf8()).collect();
    let fitting = ends.partition_point(|end| text[..*end].width() <= columns);
    let longest = ends[..fitting].iter().rev().find(|end| text[..**end].width() <= columns);
    &text[..longest.copied().unwrap_or(0)]
}

/// `text` without letters that a terminal obeys instead of showing: controls, and marks of direction.
fn clean(text: &str) -> String {
    let shown = |letter: char| {
        let turns =
            matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.width().is_none() || turns || matches!(letter, '\u{2028}' | '\u{2029}') {
            '\u{fffd}'
        } else {
            letter
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits() {
        let line = Line::new().toned(Tone::Strong, "日本語").text(" and more");
        assert_eq!(line.print(80, false), "日本語 and more");
        assert_eq!(line.print(5, false), "日本…");
        assert_eq!(line.print(80, true), "\x1b[1m日本語\x1b[0m and more");
        assert_eq!(line.print(0, false), "");
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(shortened("a\x1b[2Jb\nc\u{202e}", 80), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }

    #[test]
    fn text_breaks_at_blanks() {
        assert_eq!(wrapped("the quick brown fox", 9), ["the quick", "brown fox"]);
        assert_eq!(wrapped("incomprehensible word", 8), ["incompr…", "word"]);
    }
}
