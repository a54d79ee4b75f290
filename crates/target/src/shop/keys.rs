//! A store of values by key, with versions: `/kv/{key}`.

use serde_json::json;

use super::message::{Answer, Problem, Reply, Request, decode, names_tag};
use super::table::Table;

/// The largest value.
pub(crate) const MAX_VALUE_BYTES: usize = 8 * 1024;

/// The longest key, and the longest type of a value that is kept.
const MAX_KEY_BYTES: usize = 200;
const MAX_TYPE_BYTES: usize = 100;

/// A value, and how many times it was written since it came into being.
#[derive(Debug)]
pub(crate) struct Entry {
    version: u64,
    content_type: Box<str>,
    value: Box<[u8]>,
}

/// `GET /kv/{key}`
pub(crate) fn get(keys: &Table<Entry>, request: &Request<'_>, key: &str) -> Answer {
    let found = keys.with(&decode(key), |entry| {
        let version = entry.version.to_string();
        let is_known = request.if_none_match.is_some_and(|tags| names_tag(tags, &version));
        let reply = if is_known {
            Reply::empty(304)
        } else {
            Reply::new(200, entry.content_type.to_string(), entry.value.to_vec())
        };
        reply.with("ETag", format!("\"{version}\""))
    });
    found.ok_or_else(unknown)
}

/// `PUT /kv/{key}`
pub(crate) fn put(keys: &Table<Entry>, request: &Request<'_>, key: &str) -> Answer {
    let key = decode(key);
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Problem::new(400, format!("a key has 1 to {MAX_KEY_BYTES} bytes")));
    }
    if request.body.len() > MAX_VALUE_BYTES {
        return Err(Problem::new(413, format!("a value has at most {MAX_VALUE_BYTES} bytes")));
    }
    let is_plain =
        |value: &&str| value.len() <= MAX_TYPE_BYTES && value.bytes().all(|it| (b' '..=b'~').contains(&it));
    let content_type = request.content_type.filter(is_plain).unwrap_or("application/octet-stream");
    let version = keys.update(&key, |entry| {
        check(request, entry.as_ref())?;
        let version = entry.as_ref().map_or(0, |entry| entry.version) + 1;
        *entry = Some(Entry { version, content_type: content_type.into(), value: request.body.into() });
        Ok(version)
    })?;
    let status = if version == 1 { 201 } else { 200 };
    Ok(Reply::json(status, &json!({"version": version})).with("ETag", format!("\"{version}\"")))
}

/// `DELETE /kv/{key}`
pub(crate) fn delete(keys: &Table<Entry>, request: &Request<'_>, key: &str) -> Answer {
    keys.update(&decode(key), |entry| {
        if entry.is_none() {
            return Err(unknown());
        }
        check(request, entry.as_ref())?;
        *entry = None;
        Ok(Reply::empty(204))
    })
}

/// Holds `If-Match` and `If-None-Match` against what is there.
fn check(request: &Request<'_>, entry: Option<&Entry>) -> Result<(), Problem> {
    let names = |tags| entry.is_some_and(|entry| names_tag(tags, &entry.version.to_string()));
    if request.if_match.is_some_and(|tags| !names(tags)) || request.if_none_match.is_some_and(names) {
        let now =
            entry.map_or("there is no value".into(), |entry| format!("the version is {}", entry.version));
        return Err(Problem::new(412, now));
    }
    Ok(())
}

fn unknown() -> Problem {
    Problem::new(404, "no such key")
}
