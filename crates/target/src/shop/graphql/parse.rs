//! The text of a query as the fields that it asks for, with its variables put in.

use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::{Map, Value};

/// Selections within selections; the answers are three deep.
const MAX_DEPTH: u32 = 10;

/// What is wrong with a query, and at which byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub message: String,
    pub at: usize,
}

/// A field that is asked for.
#[derive(Debug)]
pub(super) struct Field {
    pub alias: String,
    pub name: String,
    pub at: usize,
    arguments: Map<String, Value>,
    pub fields: Vec<Field>,
}

impl Field {
    fn fault(&self, message: String) -> Fault {
        Fault { message, at: self.at }
    }

    /// Refuses arguments that are not among `known`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Fault> {
        match self.arguments.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.fault(format!("Unknown argument \"{name}\" on field \"{}\".", self.name))),
            None => Ok(()),
        }
    }

    /// An argument that is a number, which may be written as an ID.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        let number = match self.arguments.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        };
        number.map(Some).ok_or_else(|| self.fault(format!("Argument \"{name}\" is not a number.")))
    }

    /// An argument that is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.arguments.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.fault(format!("Argument \"{name}\" is not a string."))),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(String),
    /// A number or a string.
    Scalar(Value),
    /// One of `{}()[]:$!=`.
    Mark(char),
}

/// Reads a query; `variables` are what came with it.
pub(super) fn parse(text: &str, variables: Map<String, Value>) -> Result<Vec<Field>, Fault> {
    let tokens = tokens(text)?.into_iter().peekable();
    let mut parser = Parser { tokens, end: text.len(), given: variables, variables: Map::new() };
    parser.query()
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, token) = match char {
            ' ' | '\t' | '\r' | '\n' | ',' | '\u{feff}' => (char.len_utf8(), None),
            '#' => (rest.find('\n').unwrap_or(rest.len()), None),
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '$' | '!' | '=' => (1, Some(Token::Mark(char))),
            '"' => {
                let unterminated = || Fault { message: "Syntax Error: Unterminated string.".into(), at };
                let length = quoted_length(rest).ok_or_else(unterminated)?;
                // The escapes of GraphQL are those of JSON.
                let value = serde_json::from_str(&rest[..length]).map_err(|_| unterminated())?;
                (length, Some(Token::Scalar(value)))
            }
            '-' | '0'..='9' => {
                let is_other = |char: char| !(char.is_ascii_alphanumeric() || "+-.".contains(char));
                let length = rest.find(is_other).unwrap_or(rest.len());
                let fault = |_| Fault { message: "Syntax Error: Invalid number.".into(), at };
                (length, Some(Token::Scalar(serde_json::from_str(&rest[..length]).map_err(fault)?)))
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_other = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
                let length = rest.find(is_other).unwrap_or(rest.len());
                (length, Some(Token::Name(rest[..length].to_owned())))
            }
            _ => {
                return Err(Fault { message: format!("Syntax Error: Unexpected character \"{char}\"."), at });
            }
        };
        tokens.extend(token.map(|token| (at, token)));
        at += length;
    }
    Ok(tokens)
}

/// Bytes of the string that `text` begins with, both quotes included.
fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[derive(Debug)]
struct Parser {
    tokens: Peekable<IntoIter<(usize, Token)>>,
    end: usize,
    given: Map<String, Value>,
    /// Those that the query declares, with their values.
    variables: Map<String, Value>,
}

impl Parser {
    fn query(&mut self) -> Result<Vec<Field>, Fault> {
        let at = self.at();
        if let Some((_, Token::Name(kind))) = self.tokens.peek() {
            if kind != "query" {
                return Err(Fault { message: "Only queries are answered here.".into(), at });
            }
            self.tokens.next();
            if let Some((_, Token::Name(_))) = self.tokens.peek() {
                self.tokens.next();
            }
            if self.takes('(') {
                while !self.takes(')') {
                    self.declaration()?;
                }
            }
        }
        let fields = self.selection(0)?;
        match self.tokens.next() {
            None => Ok(fields),
            Some(found) => Err(self.expected("the end", Some(found))),
        }
    }

    /// `$name: Type = default`
    fn declaration(&mut self) -> Result<(), Fault> {
        let at = self.at();
        self.expect('$')?;
        let name = self.name()?;
        self.expect(':')?;
        while self.takes('[') {}
        self.name()?;
        // The last mark is the one that is about the variable, and not about what is in its list.
        let mut is_required = false;
        loop {
            if self.takes('!') {
                is_required = true;
            } else if self.takes(']') {
                is_required = false;
            } else {
                break;
            }
        }
        let default = if self.takes('=') { Some(self.value()?) } else { None };
        let value = self.given.remove(&name).or(default);
        if value.is_none() && is_required {
            return Err(Fault { message: format!("Variable \"${name}\" has no value."), at });
        }
        self.variables.insert(name, value.unwrap_or(Value::Null));
        Ok(())
    }

    fn selection(&mut self, depth: u32) -> Result<Vec<Field>, Fault> {
        if depth == MAX_DEPTH {
            return Err(Fault { message: "The query is nested too deeply.".into(), at: self.at() });
        }
        self.expect('{')?;
        let mut fields = vec![self.field(depth)?];
        while !self.takes('}') {
            fields.push(self.field(depth)?);
        }
        Ok(fields)
    }

    fn field(&mut self, depth: u32) -> Result<Field, Fault> {
        let at = self.at();
        let alias = self.name()?;
        let name = if self.takes(':') { self.name()? } else { alias.clone() };
        let mut arguments = Map::new();
        if self.takes('(') {
            while !self.takes(')') {
                let argument = self.name()?;
                self.expect(':')?;
                arguments.insert(argument, self.value()?);
            }
        }
        let has_fields = matches!(self.tokens.peek(), Some((_, Token::Mark('{'))));
        let fields = if has_fields { self.selection(depth + 1)? } else { Vec::new() };
        Ok(Field { alias, name, at, arguments, fields })
    }

    fn value(&mut self) -> Result<Value, Fault> {
        match self.tokens.next() {
            Some((_, Token::Scalar(value))) => Ok(value),
            Some((_, Token::Name(name))) => Ok(match name.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                // A value of an enum.
                _ => Value::String(name),
            }),
            Some((_, Token::Mark('$'))) => {
                let at = self.at();
                let name = self.name()?;
                let undefined = || Fault { message: format!("Variable \"${name}\" is not defined."), at };
                self.variables.get(&name).cloned().ok_or_else(undefined)
            }
            found => Err(self.expected("a value", found)),
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.tokens.next() {
            Some((_, Token::Name(name))) => Ok(name),
            found => Err(self.expected("a name", found)),
        }
    }

    fn expect(&mut self, mark: char) -> Result<(), Fault> {
        match self.tokens.next() {
            Some((_, Token::Mark(found))) if found == mark => Ok(()),
            found => Err(self.expected(&format!("\"{mark}\""), found)),
        }
    }

    fn takes(&mut self, mark: char) -> bool {
        self.tokens.next_if(|(_, token)| *token == Token::Mark(mark)).is_some()
    }

    fn at(&mut self) -> usize {
        self.tokens.peek().map_or(self.end, |(at, _)| *at)
    }

    fn expected(&self, what: &str, found: Option<(usize, Token)>) -> Fault {
        let (at, found) = match found {
            None => (self.end, "the end".to_owned()),
            Some((at, Token::Name(name))) => (at, format!("\"{name}\"")),
            Some((at, Token::Mark(mark))) => (at, format!("\"{mark}\"")),
            Some((at, Token::Scalar(value))) => (at, value.to_string()),
        };
        Fault { message: format!("Syntax Error: Expected {what}, found {found}."), at }
    }
}
