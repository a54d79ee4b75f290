//! A body as a person reads it: JSON on lines of its own, other text as it is, all else by its size.

use std::fmt::Write as _;

/// Characters of a body that are shown.
pub const SHOWN_CHARS: usize = 4096;

/// `body`, of which `bytes` came; empty when there is none.
pub fn shown(body: &[u8], bytes: u64, is_cut: bool) -> String {
    if bytes == 0 && body.is_empty() {
        return String::new();
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // A letter that was cut in two.
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return format!("({}, not text)", size(bytes)),
    };
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return format!("({}, not text)", size(bytes));
    }
    let pretty = pretty(text);
    let mut shown = pretty.as_deref().unwrap_or(text).trim_end().replace('\r', "");
    match shown.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => {
            shown.truncate(end);
            write!(shown, "\n… (cut, {} in all)", size(bytes)).unwrap_or_default();
        }
        None if is_cut => write!(shown, "\n… (cut, {} in all)", size(bytes)).unwrap_or_default(),
        None => {}
    }
    shown
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// JSON with a line for each member and element, each as it was written; `None` of what is no JSON.
fn pretty(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<serde_json::Value>(text).is_err() {
        return None;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut chars = text.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            (in_string, is_escaped) = (c != '"' || is_escaped, c == '\\' && !is_escaped);
            continue;
        }
        match c {
            ' ' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if_eq(&' ').is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_shown_on_lines_of_its_own() {
        let text = "{\"a\" : [1, {\"b\":\"x, {y}: \\\"z\\\\\"} ], \"e\": {}, \"f\": [ ], \"n\": 1.50}";
        let shown = shown(text.as_bytes(), 1, false);
        let lines = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x, {y}: \\\"z\\\\\"\n    }\n  ],\n  \"e\": {},\n  \
                     \"f\": [],\n  \"n\": 1.50\n}";
        assert_eq!(shown, lines);
    }

    #[test]
    fn what_is_no_text_is_told_by_its_size() {
        assert_eq!(shown(&[0xFF, 0, 1], 2048, true), "(2.0 KiB, not text)");
        assert_eq!(shown(b"a\x1b[31m", 6, false), "(6 bytes, not text)");
        assert_eq!(shown("aä".as_bytes().split_last().unwrap().1, 3, true), "a\n… (cut, 3 bytes in all)");
        let long = "x".repeat(5000);
        let shown = shown(long.as_bytes(), 5000, false);
        assert!(shown.ends_with("x\n… (cut, 4.9 KiB in all)"), "{shown}");
    }
}
