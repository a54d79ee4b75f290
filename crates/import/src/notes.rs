//! What was not translated, and what the reader must know: each once, with how often or of what.

/// Notes that are kept; a recording of an hour has as many oddities, and nobody reads more.
const MOST: usize = 200;

/// The notes, in the order in which they first came.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    found: Vec<Note>,
    more: usize,
}

#[derive(Debug)]
struct Note {
    text: String,
    times: usize,
    of: Vec<String>,
}

impl Notes {
    pub(crate) fn add(&mut self, note: impl Into<String>) {
        if let Some(note) = self.note(&note.into()) {
            note.times += 1;
        }
    }

    /// One note for all that is the same of many things.
    pub(crate) fn gather(&mut self, note: &str, of: &str) {
        let of = crate::yaml::one_line(of);
        if let Some(note) = self.note(note)
            && !note.of.contains(&of)
        {
            note.of.push(of);
        }
    }

    fn note(&mut self, text: &str) -> Option<&mut Note> {
        let text = crate::yaml::one_line(text);
        if let Some(at) = self.found.iter().position(|note| note.text == text) {
            return self.found.get_mut(at);
        }
        if self.found.len() >= MOST {
            self.more += 1;
            return None;
        }
        self.found.push(Note { text, times: 0, of: Vec::new() });
        self.found.last_mut()
    }

    /// One line per note.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |note: &Note| match (note.times, note.of.is_empty()) {
            (0, false) => crate::yaml::one_line(&format!("{}: {}", note.text, note.of.join(", "))),
            (0 | 1, _) => note.text.clone(),
            (times, _) => format!("{} ({times} times)", note.text),
        };
        let mut lines: Vec<String> = self.found.iter().map(line).collect();
        if self.more > 0 {
            lines.push(format!("and {} more", self.more));
        }
        lines
    }
}
