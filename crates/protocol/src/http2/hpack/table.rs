//! The tables that an index points into (RFC 7541, 2.3).
//!
//! Invariant: the dynamic table is at most [`TABLE_BYTES`] large, as the standard counts, and holds its text in one buffer
//! of at most twice that.

use std::collections::VecDeque;

use super::{ENTRY_BYTES, Error, TABLE_BYTES};

/// RFC 7541, Appendix A; the first has index 1.
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// What the other side had us remember.
#[derive(Debug)]
pub(super) struct Dynamic {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// The text of the entries, the newest last; what is before the oldest is of no more use.
    text: Vec<u8>,
    size: usize,
    max: usize,
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: usize,
    name: usize,
    value: usize,
}

impl Entry {
    fn size(self) -> usize {
        self.name + self.value + ENTRY_BYTES
    }
}

impl Default for Dynamic {
    fn default() -> Self {
        let max = TABLE_BYTES as usize;
        Self { entries: VecDeque::new(), text: Vec::new(), size: 0, max, version: 0 }
    }
}

impl Dynamic {
    /// For another connection; buffers are kept.
    pub(super) fn reset(&mut self) {
        self.entries.clear();
        self.text.clear();
        (self.size, self.max) = (0, TABLE_BYTES as usize);
        self.version += 1;
    }

    /// Changes with every change of the table, and never back.
    #[inline]
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Name and value at an index, of either table.
    pub(super) fn get(&self, index: u32) -> Result<(&[u8], &[u8]), Error> {
        let missing = Error::Index(index);
        let at = (index as usize).checked_sub(1).ok_or(missing)?;
        if let Some((name, value)) = STATIC.get(at) {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(at - STATIC.len()).ok_or(missing)?;
        let (name, value) = self.text[entry.at..][..entry.name + entry.value].split_at(entry.name);
        Ok((name, value))
    }

    /// Adds an entry whose name is the first `name` bytes of `text` and whose value is the rest. One that is larger than
    /// the table empties it (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, text: &[u8], name: usize) {
        let entry = Entry { at: self.text.len(), name, value: text.len() - name };
        self.evict_to(self.max.saturating_sub(entry.size()));
        if entry.size() > self.max {
            return;
        }
        self.version += 1;
        self.size += entry.size();
        self.text.extend_from_slice(text);
        self.entries.push_front(entry);
        if self.text.len() > 2 * TABLE_BYTES as usize {
            self.compact();
        }
    }

    /// RFC 7541, 4.3.
    pub(super) fn resize(&mut self, max: u32) -> Result<(), Error> {
        if max > TABLE_BYTES {
            return Err(Error::Resize);
        }
        if self.max != max as usize {
            self.max = max as usize;
            self.version += 1;
            self.evict_to(self.max);
        }
        Ok(())
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
            self.version += 1;
        }
    }

    fn compact(&mut self) {
        let used = self.entries.back().map_or(self.text.len(), |oldest| oldest.at);
        self.text.drain(..used);
        for entry in &mut self.entries {
            entry.at -= used;
        }
    }
}
