//! Names that stay the same when ids change: of steps, from paths; of variables, from keys.

/// A path in which ids, hashes and tokens are named, so that requests of one kind share a row.
pub(crate) fn stable(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    path.split('/')
        .map(|segment| segment.split('.').map(piece).collect::<Vec<_>>().join("."))
        .collect::<Vec<_>>()
        .join("/")
}

fn piece(piece: &str) -> &str {
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    let hex = piece.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let word = piece.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    match piece.len() {
        0 => piece,
        length if length == digits => "{id}",
        36 if hex && piece.bytes().filter(|byte| *byte == b'-').count() == 4 => "{uuid}",
        6.. if hex && digits > 1 => "{hash}",
        16.. if word && digits > 1 && has_both_cases(piece) => "{token}",
        24.. if word && digits > 3 && !piece.contains('-') => "{token}",
        _ => piece,
    }
}

fn has_both_cases(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_lowercase()) && text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Names of expressions that a variable must not take.
const TAKEN: [&str; 17] = [
    "user",
    "iteration",
    "now",
    "uuid",
    "rand",
    "env",
    "secret",
    "loop",
    "row",
    "true",
    "false",
    "null",
    "and",
    "or",
    "not",
    "item",
    "raw",
];

/// `key` as the name of a variable: letters, digits and underscores.
pub(crate) fn variable(key: &str) -> String {
    let mut name = String::new();
    let mut small = false;
    for c in key.chars() {
        if c.is_ascii_uppercase() && small {
            name.push('_');
        }
        small = c.is_ascii_lowercase() || c.is_ascii_digit();
        name.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
    }
    let joined: Vec<&str> = name.split('_').filter(|part| !part.is_empty()).collect();
    let name = joined.join("_");
    match name.as_str() {
        "" => "value".to_owned(),
        name if TAKEN.contains(&name) => format!("{name}_value"),
        name if name.starts_with(|c: char| c.is_ascii_digit()) => format!("v_{name}"),
        name => name.to_owned(),
    }
}

/// `name`, or with a number behind it, so that `taken` does not hold.
pub(crate) fn free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_paths_are_named_and_words_are_kept() {
        for (path, name) in [
            ("/api/v2/products", "/api/v2/products"),
            ("/orders/1234/items/5?x=1", "/orders/{id}/items/{id}"),
            ("/u/0b8c0f6e-13e0-4c5e-9f2a-0d8d5f1e6a77", "/u/{uuid}"),
            ("/static/app.3f2a9c1b.js", "/static/app.{hash}.js"),
            ("/facade/decade/red-shoe-42", "/facade/decade/red-shoe-42"),
            ("/s/Zm9vYmFyQmF6UXV4MTIz", "/s/{token}"),
        ] {
            assert_eq!(stable(path), name);
        }
    }

    #[test]
    fn keys_become_names_of_variables() {
        for (key, name) in [
            ("accessToken", "access_token"),
            ("user", "user_value"),
            ("X-CSRF-Token", "x_csrf_token"),
            ("2fa", "v_2fa"),
            ("--", "value"),
        ] {
            assert_eq!(variable(key), name);
        }
    }
}
