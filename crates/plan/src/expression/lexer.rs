//! An expression's text as tokens.

use super::grammar::Slip;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    /// An operator or bracket.
    Sign(&'static str),
}

/// Longer ones first.
const SIGNS: [&str; 18] =
    ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ".", ",", "|", "+", "-", "*", "/", "%"];

/// The tokens of `text`.
///
/// # Errors
/// What no token begins with, and text without its end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Slip> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphabetic() || first == '_' {
            let length = length_while(rest, |c| c.is_ascii_alphanumeric() || c == '_');
            tokens.push(Token::Name(rest[..length].to_owned()));
            length
        } else if first.is_ascii_digit() {
            let (token, length) = number(rest)?;
            tokens.push(token);
            length
        } else if first == '"' || first == '\'' {
            let (text, length) = quoted(rest, first)?;
            tokens.push(Token::Text(text));
            length
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            let help = match first {
                '=' => "compare with ==",
                '&' => "write `and`",
                '!' => "write `not`",
                _ => "text stands in quotes",
            };
            return Err(Slip::new(format!("\"{first}\" has no meaning here")).help(help));
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What an expression names of the environment: `env.NAME` or `env['NAME']`. None where it is faulty, which is told later.
pub(crate) fn env_names(text: &str) -> Vec<String> {
    let tokens = tokens(text).unwrap_or_default();
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        // `row.env.NAME` is a member that is called so.
        let is_member = at > 0 && tokens[at - 1] == Token::Sign(".");
        if is_member || !matches!(token, Token::Name(name) if name == "env") {
            continue;
        }
        if let [Token::Sign("."), Token::Name(name), ..]
        | [Token::Sign("["), Token::Text(name), Token::Sign("]"), ..] = &tokens[at + 1..]
        {
            names.push(name.clone());
        }
    }
    names
}

fn length_while(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

fn number(text: &str) -> Result<(Token, usize), Slip> {
    let whole = length_while(text, |c| c.is_ascii_digit());
    let fraction = match text[whole..].strip_prefix('.') {
        // `ids[0].name` is no number with a fraction.
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
            1 + length_while(digits, |c| c.is_ascii_digit())
        }
        _ => 0,
    };
    let length = whole + fraction;
    let token = if fraction == 0 {
        text[..length].parse().ok().map(Token::Int)
    } else {
        text[..length].parse().ok().map(Token::Float)
    };
    let token = token.ok_or_else(|| Slip::new(format!("{} is no number", &text[..length])))?;
    Ok((token, length))
}

/// Text in `quote`s, in which a backslash begins what cannot stand there as it is.
fn quoted(text: &str, quote: char) -> Result<(String, usize), Slip> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => return Ok((content, at + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => content.push('\n'),
                Some((_, 't')) => content.push('\t'),
                Some((_, 'r')) => content.push('\r'),
                Some((_, meant @ ('\\' | '"' | '\''))) => content.push(meant),
                Some((_, other)) => {
                    let help = "known here: \\n, \\r, \\t, \\\\, \\' and \\\"; a backslash is written twice";
                    return Err(Slip::new(format!("there is no \\{other} in a text")).help(help));
                }
                None => break,
            },
            _ => content.push(c),
        }
    }
    Err(Slip::new(format!("the text {text} has no end")).help(format!("close it with {quote}")))
}
