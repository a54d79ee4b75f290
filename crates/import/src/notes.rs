//! What was not translated, and what the reader must know: each once, with how often.

/// Notes that are kept; a recording of an hour has as many oddities, and nobody reads more.
const MOST: usize = 200;

/// The notes, in the order in which they first came.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    found: Vec<(String, usize)>,
    more: usize,
}

impl Notes {
    pub(crate) fn add(&mut self, note: impl Into<String>) {
        let note = crate::yaml::one_line(&note.into());
        let full = self.found.len() >= MOST;
        match self.found.iter_mut().find(|(text, _)| *text == note) {
            Some((_, times)) => *times += 1,
            None if full => self.more += 1,
            None => self.found.push((note, 1)),
        }
    }

    /// One line per note.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(text, times): &(String, usize)| match times {
            1 => text.clone(),
            times => format!("{text} ({times} times)"),
        };
        let mut lines: Vec<String> = self.found.iter().map(line).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines
    }
}
