//! What was uploaded, named, measured and hashed: `POST /api/upload`.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::message::{Answer, Problem, Reply, Request};

/// Parts of a multipart body.
const MAX_PARTS: usize = 100;

/// Headers of a part.
const MAX_PART_HEADERS: usize = 16;

/// `POST /api/upload`: the parts of multipart/form-data, or any other body as a whole.
pub(crate) fn answer(request: &Request<'_>) -> Answer {
    let content_type = request.content_type.unwrap_or("application/octet-stream");
    let (kind, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    let size = request.body.len();
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        let hash = sha256(request.body);
        return Ok(Reply::json(200, &json!({"size": size, "type": content_type, "sha256": hash})));
    }
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary.ok_or_else(|| Problem::new(400, "multipart/form-data without a boundary"))?;
    let parts = parts(request.body, &boundary).map_err(|fault| Problem::new(400, fault))?;
    Ok(Reply::json(200, &json!({"size": size, "parts": parts})))
}

/// Each part of a multipart body (RFC 2046), as it is shown.
fn parts(body: &[u8], boundary: &str) -> Result<Vec<Value>, &'static str> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter may begin the body, without an end of line before it.
    let mut rest = match body.strip_prefix(&delimiter.as_bytes()[2..]) {
        Some(rest) => rest,
        None => cut(body, delimiter.as_bytes()).ok_or("the boundary is not in the body")?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let (line, after) = cut(rest, b"\r\n").ok_or("a boundary without an end of line")?;
        if !line.trim_ascii().is_empty() {
            return Err("a boundary is followed by something else");
        }
        if parts.len() == MAX_PARTS {
            return Err("too many parts");
        }
        let (part, after) = cut(after, delimiter.as_bytes()).ok_or("the last boundary is missing")?;
        parts.push(shown(part)?);
        rest = after;
    }
    Ok(parts)
}

/// What a part is called, its size and its hash.
fn shown(part: &[u8]) -> Result<Value, &'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_PART_HEADERS];
    let Ok(httparse::Status::Complete((length, headers))) = httparse::parse_headers(part, &mut headers)
    else {
        return Err("the headers of a part cannot be read");
    };
    let header = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| String::from_utf8_lossy(header.value))
    };
    let disposition = header("content-disposition").unwrap_or_default();
    let name = parameter(&disposition, "name").ok_or("a part has no name")?;
    let filename = parameter(&disposition, "filename");
    let content = &part[length..];
    Ok(json!({
        "name": name,
        "filename": filename,
        "type": header("content-type"),
        "size": content.len(),
        "sha256": sha256(content),
    }))
}

/// What stands before and after the first `separator`.
fn cut<'b>(bytes: &'b [u8], separator: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

/// A parameter of a header's value, such as `boundary` of `multipart/form-data; boundary="a;b"`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (found, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (found, after) = after.split_once(';').unwrap_or((after, ""));
                (found.trim().to_owned(), after)
            }
        };
        if name.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(wanted) {
            return Some(found);
        }
        rest = after;
    }
}

/// A quoted text whose first quote is gone, and what follows its last.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut found = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((found, &text[at + 1..])),
            '\\' => found.push(chars.next()?.1),
            _ => found.push(char),
        }
    }
    None
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found() {
        for (value, found) in [
            ("form-data; name=\"a\"; filename=\"b;name=c.txt\"", Some("a")),
            ("form-data; filename=\"name=x\"", None),
            ("form-data; filename=\"\\\"q\\\"\"; NAME = plain ; x=1", Some("plain")),
            ("form-data; name=\"open", None),
            ("form-data", None),
            ("", None),
        ] {
            assert_eq!(parameter(value, "name").as_deref(), found, "{value}");
        }
        assert_eq!(parameter("a/b; boundary=\"x;y\"", "boundary").as_deref(), Some("x;y"));
    }

    #[test]
    fn parts_are_told_apart() {
        let part = |name: &str, text: &str| {
            format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let body = format!("preamble\r\n--b\r\n{}--b \r\n{}--b--\r\nrest", part("x", "b--"), part("y", ""));
        let parts = parts(body.as_bytes(), "b").unwrap();
        let sizes: Vec<_> = parts.iter().map(|part| (&part["name"], &part["size"])).collect();
        assert_eq!(sizes, [(&"x".into(), &3.into()), (&"y".into(), &0.into())]);
        assert_eq!(parts[1]["sha256"], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_is_no_multipart_is_refused() {
        for body in [
            "",
            "--b",
            "--b\r\n",
            "--bx\r\n\r\n--b--",
            "--b\r\n\r\n",
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx",
            "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
            "--b\r\n: \r\n\r\nx\r\n--b--",
        ] {
            assert!(parts(body.as_bytes(), "b").is_err(), "{body:?}");
        }
        let many =
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(MAX_PARTS + 1) + "--b--";
        assert_eq!(parts(many.as_bytes(), "b"), Err("too many parts"));
    }
}
