//! The header lines of a response, as [`Kept::headers`](crate::Kept) has them, one by one.
//!
//! Invariant: no line panics or is skipped silently but those without a colon. Deliberately absent: values as text; they
//! are bytes.

/// The headers in `lines`, in order: name and value without the blanks around it. A folded line (RFC 9112, 5.2) belongs to
/// the value before it, and keeps its line end inside.
pub fn headers(lines: &[u8]) -> Headers<'_> {
    Headers { rest: lines }
}

/// The values of all headers called `name`, which is compared without regard to case, in order.
pub fn header_values<'l>(lines: &'l [u8], name: &'l str) -> impl Iterator<Item = &'l [u8]> {
    headers(lines)
        .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| value)
}

/// See [`headers`].
#[derive(Debug, Clone)]
pub struct Headers<'l> {
    rest: &'l [u8],
}

impl<'l> Iterator for Headers<'l> {
    type Item = (&'l [u8], &'l [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (line, rest) = self.rest.split_at(line_length(self.rest));
            self.rest = rest;
            if let Some(colon) = line.iter().position(|byte| *byte == b':') {
                return Some((&line[..colon], line[colon + 1..].trim_ascii()));
            }
        }
        None
    }
}

/// Bytes of the first line, with those that continue it.
fn line_length(lines: &[u8]) -> usize {
    let mut length = 0;
    loop {
        let Some(at) = lines[length..].iter().position(|byte| *byte == b'\n') else { return lines.len() };
        length += at + 1;
        if !matches!(lines.get(length), Some(b' ' | b'\t')) {
            return length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        headers(lines.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn lines_become_names_and_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(all(""), []);
        assert_eq!(
            all("A: b\r\nC:d \r\nE:\r\nF: g:h"),
            [pair("A", "b"), pair("C", "d"), pair("E", ""), pair("F", "g:h")]
        );
        assert_eq!(all("A: b\n c\n\td\nno colon\nE: f\n"), [pair("A", "b\n c\n\td"), pair("E", "f")]);
    }

    #[test]
    fn values_are_found_by_name() {
        let lines = b"Set-Cookie: a=1\r\nX: y\r\nset-cookie: b=2\r\n";
        let values: Vec<&[u8]> = header_values(lines, "Set-Cookie").collect();
        assert_eq!(values, [b"a=1", b"b=2"]);
        assert_eq!(header_values(lines, "Location").count(), 0);
    }
}
