//! Secrets are not shown: each is replaced wherever it stands, in the forms that requests and answers have.
//!
//! Invariant: what the engine says of a request, be it in an error or an event, went through here.

use std::fmt;

use protocol::RequestError;

/// What stands in the place of a secret.
const MASKED: &str = "***";

/// The texts that are not shown.
#[derive(Clone, Default)]
pub struct Mask(Vec<String>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} texts)", self.0.len())
    }
}

impl Mask {
    pub(crate) fn of(secrets: &[String]) -> Self {
        let mut mask = Self::default();
        secrets.iter().for_each(|secret| mask.hide(secret));
        mask
    }

    /// Hides `text` from here on, as it is, percent-encoded, in a form, in JSON and in HTML.
    pub(crate) fn hide(&mut self, text: &str) {
        let (mut url, mut upper, mut form) = (String::new(), String::new(), String::new());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                [&mut url, &mut upper, &mut form].into_iter().for_each(|form| form.push(char::from(byte)));
            } else {
                url.push_str(&format!("%{byte:02X}"));
                upper.push_str(&format!("%{byte:02x}"));
                form.push_str(&if byte == b' ' { "+".to_owned() } else { format!("%{byte:02X}") });
            }
        }
        let json = serde_json::Value::from(text).to_string();
        let html =
            text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let json = json.trim_matches('"').to_owned();
        for form in [text.to_owned(), url, upper, form, json, html] {
            if !form.is_empty() && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // A text that has another in it is hidden as a whole.
        self.0.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    /// `text` without what is hidden.
    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, hidden| {
            if text.contains(hidden.as_str()) { text.replace(hidden.as_str(), MASKED) } else { text }
        })
    }

    /// Why a request cannot be sent, without its text: that may have values in it that setup saved.
    pub(crate) fn whole(error: RequestError) -> RequestError {
        let hidden = || MASKED.to_owned();
        match error {
            RequestError::Host(_) => RequestError::Host(hidden()),
            RequestError::Path(_) => RequestError::Path(hidden()),
            RequestError::HeaderValue { name, .. } => RequestError::HeaderValue { name, value: hidden() },
            other => other,
        }
    }

    /// The same of why a request cannot be sent.
    pub(crate) fn error(&self, error: RequestError) -> RequestError {
        match error {
            RequestError::Method(text) => RequestError::Method(self.text(&text)),
            RequestError::Host(text) => RequestError::Host(self.text(&text)),
            RequestError::Path(text) => RequestError::Path(self.text(&text)),
            RequestError::HeaderName(text) => RequestError::HeaderName(self.text(&text)),
            RequestError::HeaderValue { name, value } => {
                RequestError::HeaderValue { name, value: self.text(&value) }
            }
            RequestError::ContentLength { given, actual } => {
                RequestError::ContentLength { given: self.text(&given), actual }
            }
            RequestError::ConnectionHeader { name, value } => {
                RequestError::ConnectionHeader { name, value: self.text(&value) }
            }
            other => other,
        }
    }

    /// The same of bytes that need not be text.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.iter().fold(bytes.to_vec(), |mut bytes, hidden| {
            let hidden = hidden.as_bytes();
            let mut at = 0;
            while let Some(found) = bytes[at..].windows(hidden.len()).position(|window| window == hidden) {
                let from = at + found;
                bytes.splice(from..from + hidden.len(), MASKED.bytes());
                at = from + MASKED.len();
            }
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_told_without_its_text() {
        let error = RequestError::HeaderValue { name: "x".to_owned(), value: "token\n".to_owned() };
        assert!(!Mask::whole(error).to_string().contains("token"));
    }

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms() {
        let mask = Mask::of(&["p w/\"&x".to_owned()]);
        for text in [
            "p w/\"&x",
            "p%20w%2F%22%26x",
            "p%20w%2f%22%26x",
            "p+w%2F%22%26x",
            "p w/\\\"&x",
            "p w/&quot;&amp;x",
        ] {
            assert_eq!(mask.text(&format!("<{text}>")), "<***>");
            assert_eq!(mask.bytes(format!("\u{1}{text}{text}").as_bytes()), b"\x01******");
        }
        assert_eq!(format!("{mask:?}"), "Mask(6 texts)");
    }

    #[test]
    fn of_two_the_longer_goes_first() {
        let mask = Mask::of(&["abc".to_owned(), "abcdef".to_owned(), String::new()]);
        assert_eq!(mask.text("abcdef abc"), "*** ***");
    }
}
