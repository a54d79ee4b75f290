//! The object of options in a script, or in a file of JSON.

use crate::Error;
use crate::node::Node;
use crate::read;

/// The options of `text`.
pub(super) fn options(text: &str, expected: &'static str) -> Result<Node, Error> {
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Error::Nothing("the text is empty".to_owned()));
    }
    if start.starts_with('<') {
        return Err(Error::WrongFormat { expected, found: "XML" });
    }
    if start.starts_with('{') {
        return read::json5(text, expected);
    }
    let Some(object) = assigned(text).and_then(balanced) else {
        // Most likely another format; what reads it says which.
        return read::json_or_yaml(text, expected);
    };
    read::json5(object, expected).map_err(|error| match error {
        Error::Syntax { message, .. } => {
            let message = format!(
                "{message}; only literal values can be read: write them out, or give the options as JSON"
            );
            Error::Syntax { expected, message }
        }
        other => other,
    })
}

/// What is behind `options =`.
fn assigned(text: &str) -> Option<&str> {
    let found = text.match_indices("options").find_map(|(at, word)| {
        let before = text[..at].trim_end();
        let declared = ["const", "let", "var", "exports.", "module.exports."]
            .iter()
            .any(|start| before.ends_with(start))
            || before.ends_with("exports.");
        // A type may stand between, as in TypeScript.
        let rest = &text[at + word.len()..];
        let line = rest.split('\n').next().unwrap_or_default();
        let equals = line.find('=')?;
        let typed = rest[..equals].trim();
        (declared && (typed.is_empty() || typed.starts_with(':'))).then(|| &rest[equals + 1..])
    })?;
    Some(found)
}

/// The object at the beginning of `text`, to its last brace.
fn balanced(text: &str) -> Option<&str> {
    let start = text.find('{')?;
    if !text[..start].trim().is_empty() {
        return None;
    }
    let mut depth = 0usize;
    let mut characters = text[start..].char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[start..=start + at]);
                }
            }
            '"' | '\'' | '`' => {
                while let Some((_, inside)) = characters.next() {
                    match inside {
                        '\\' => {
                            characters.next();
                        }
                        inside if inside == c => break,
                        _ => {}
                    }
                }
            }
            '/' if characters.peek().is_some_and(|(_, c)| *c == '/') => {
                while characters.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '/' if characters.peek().is_some_and(|(_, c)| *c == '*') => {
                let mut last = ' ';
                characters.next();
                for (_, c) in characters.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            _ => {}
        }
    }
    None
}
