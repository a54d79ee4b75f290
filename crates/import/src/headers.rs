//! Headers that a browser adds by itself, which say nothing of what is loaded.

use crate::notes::Notes;

/// Of the browser, its cache and its connection.
const BROWSER: [&str; 14] = [
    "priority",
    "upgrade-insecure-requests",
    "dnt",
    "accept-encoding",
    "cache-control",
    "pragma",
    "if-none-match",
    "if-modified-since",
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "te",
    "proxy-connection",
];
/// Of the page it was on, and of itself.
const PAGE: [&str; 4] = ["referer", "origin", "user-agent", "accept-language"];

/// Takes them out and says which they were. `all`: also those that a command line has on purpose.
pub(crate) fn without_browser(headers: &mut Vec<(String, String)>, all: bool, notes: &mut Notes) {
    headers.retain(|(name, _)| {
        let lower = name.to_ascii_lowercase();
        let dropped = lower.starts_with(':')
            || lower.starts_with("sec-")
            || BROWSER.contains(&lower.as_str())
            || all && PAGE.contains(&lower.as_str());
        if dropped && !lower.starts_with(':') {
            notes.gather("headers left out, since a browser or the engine adds them", &lower);
        }
        !dropped
    });
}
