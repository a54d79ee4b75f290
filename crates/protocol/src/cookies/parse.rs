//! The value of a `Set-Cookie` header (RFC 6265, 5.2), read as leniently as browsers do.
//!
//! Invariant: name and value hold no byte that would end a header line or the cookie. Deliberately absent: values that are
//! not UTF-8, which are ignored.

use super::MAX_COOKIE_BYTES;
use super::date;

/// Bytes of an attribute that is believed; longer ones are ignored (RFC 6265bis, 5.6).
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// What a target asks to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SetCookie {
    pub name: String,
    pub value: String,
    /// In lower case, without a dot before it.
    pub domain: Option<String>,
    /// None when it is the default of the request.
    pub path: Option<String>,
    pub is_secure: bool,
    /// Seconds since 1970.
    pub expires_at: Option<u64>,
}

pub(super) fn parse(bytes: &[u8], now: u64) -> Option<SetCookie> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return None;
    }
    let mut parts = text.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || name.len() + value.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let mut set = SetCookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: None,
        path: None,
        is_secure: false,
        expires_at: None,
    };
    let mut max_age = None;
    // The last of a name counts.
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim(), value.trim());
        if value.len() > MAX_ATTRIBUTE_BYTES {
            continue;
        }
        match name.to_ascii_lowercase().as_str() {
            "expires" => set.expires_at = date::parse(value).or(set.expires_at),
            "max-age" => max_age = read_max_age(value).or(max_age),
            "domain" if value.is_empty() => {}
            "domain" => set.domain = Some(value.strip_prefix('.').unwrap_or(value).to_ascii_lowercase()),
            "path" => set.path = value.starts_with('/').then(|| value.to_owned()),
            "secure" => set.is_secure = true,
            _ => {}
        }
    }
    if let Some(seconds) = max_age {
        set.expires_at = Some(now.saturating_add(seconds));
    }
    Some(set)
}

/// Seconds; 0 for what is to go at once.
fn read_max_age(value: &str) -> Option<u64> {
    let (is_negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if is_negative { 0 } else { digits.parse().unwrap_or(u64::MAX) })
}
