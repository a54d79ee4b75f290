//! The one thing that JSON can say and YAML cannot: characters beyond U+FFFF as two escapes (`\ud83d\ude00`).
//!
//! Such a pair becomes YAML's one escape (`\U0001f600`), so that both languages go through one parser. What stands behind
//! it on its line is then reported two columns too far left per pair, which is rarer than it is wrong.

use std::borrow::Cow;

/// `text` with its pairs replaced, if it is JSON and has any.
pub(crate) fn joined(text: &str) -> Cow<'_, str> {
    let may_have = text.trim_start().starts_with('{') && (text.contains("\\ud") || text.contains("\\uD"));
    // In YAML outside of double quotes the same characters stand for themselves.
    if !may_have || serde_json::from_str::<serde_json::Value>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        // In JSON a backslash and what it escapes, both ASCII, are two bytes at least.
        let length = match pair(escape) {
            Some(character) => {
                out.push_str(&format!("\\U{:08x}", u32::from(character)));
                12
            }
            None => {
                out.push_str(&escape[..2]);
                2
            }
        };
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of the two escapes that `text` begins with.
fn pair(text: &str) -> Option<char> {
    let unit = |from: usize| u16::from_str_radix(text.get(from..from + 6)?.strip_prefix("\\u")?, 16).ok();
    char::decode_utf16([unit(0)?, unit(6)?]).next()?.ok().filter(|character| u32::from(*character) > 0xFFFF)
}
