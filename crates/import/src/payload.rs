//! A body by its media type: JSON, a form, parts, or text.

use crate::draft::{Body, Part, literal};
use crate::node::Node;
use crate::notes::Notes;
use crate::read;
use crate::url;

/// The media type without its parameters, in small letters.
pub(crate) fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether it is JSON or one of its dialects.
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// The body `text` of `media_type`, all of it literal. Where its kind implies the content type, that header is dropped.
pub(crate) fn body(
    text: &str,
    media_type: &str,
    headers: &mut Vec<(String, String)>,
    place: &str,
    notes: &mut Notes,
) -> Body {
    if text.is_empty() {
        return Body::None;
    }
    let mut implied = |essence: &str| {
        headers.retain(|(name, value)| {
            !name.eq_ignore_ascii_case("content-type") || self::essence(value) != essence
        });
    };
    if is_json(media_type)
        && let Ok(mut node) = read::json(text, "JSON")
    {
        implied("application/json");
        node.each_text(&mut |text| *text = literal(text));
        return Body::Json(node);
    }
    if essence(media_type) == "application/x-www-form-urlencoded"
        && let Some(pairs) = url::pairs(text)
    {
        implied("application/x-www-form-urlencoded");
        return Body::Form(pairs.into_iter().map(|(key, value)| (key, literal(&value))).collect());
    }
    if essence(media_type) == "multipart/form-data"
        && let Some(parts) = parts(text, media_type, place, notes)
    {
        implied("multipart/form-data");
        return Body::Multipart(parts);
    }
    if text.contains('\u{fffd}') || text.contains('\0') {
        notes.add(format!(
            "{place}: its body is binary and was recorded as text; put the bytes into the file body.bin"
        ));
        return Body::File("body.bin".to_owned());
    }
    Body::Text(literal(text))
}

/// The parts of a `multipart/form-data` body (RFC 7578); contents of files are not kept.
fn parts(text: &str, media_type: &str, place: &str, notes: &mut Notes) -> Option<Vec<(String, Part)>> {
    let named = media_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
    let boundary = match named {
        Some(named) => named.trim_matches('"').to_owned(),
        None => text.lines().next()?.strip_prefix("--")?.to_owned(),
    };
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    for piece in text.split(delimiter.as_str()).skip(1) {
        if piece.starts_with("--") {
            break;
        }
        let piece = piece.trim_start_matches("\r\n").trim_start_matches('\n');
        let (head, content) = piece.split_once("\r\n\r\n").or_else(|| piece.split_once("\n\n"))?;
        let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix('\n')).unwrap_or(content);
        let line = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let disposition = line("content-disposition")?;
        let name = parameter(disposition, "name")?;
        let part = match parameter(disposition, "filename") {
            Some(file) => {
                notes
                    .add(format!("{place}: put the file {file} beside the plan; its bytes are not imported"));
                Part::File { file, media_type: line("content-type").map(str::to_owned), filename: None }
            }
            None => Part::Text(literal(content)),
        };
        add_part(&mut parts, name, part, place, notes);
    }
    (!parts.is_empty()).then_some(parts)
}

/// Adds a part; a plan has one of each name.
pub(crate) fn add_part(
    parts: &mut Vec<(String, Part)>,
    name: String,
    part: Part,
    place: &str,
    notes: &mut Notes,
) {
    if parts.iter().any(|(known, _)| *known == name) {
        notes.add(format!("{place}: the part \"{name}\" comes again and was left out"));
    } else {
        parts.push((name, part));
    }
}

fn parameter(disposition: &str, name: &str) -> Option<String> {
    disposition.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The texts of `node` as literals.
pub(crate) fn literals(mut node: Node) -> Node {
    node.each_text(&mut |text| *text = literal(text));
    node
}
