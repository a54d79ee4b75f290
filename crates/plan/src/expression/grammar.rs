//! Tokens as a tree, and names as what they stand for.
//!
//! ```text
//! or      := and ("or" and)*
//! and     := not ("and" not)*
//! not     := "not" not | sum (("==" | "!=" | "<" | "<=" | ">" | ">=") sum)?
//! sum     := product (("+" | "-") product)*
//! product := unary (("*" | "/" | "%") unary)*
//! unary   := "-" unary | postfix
//! postfix := primary ("." NAME | "[" or "]" | "|" FILTER ("(" or ")")?)*
//! primary := NUMBER | TEXT | "true" | "false" | "null" | "(" or ")" | NAME | FUNCTION ("(" or ("," or)* ")")?
//! ```
//!
//! Filters bind as tightly as in Jinja. Nesting is bounded, so that no text overflows the stack.

use super::lexer::{Token, tokens};
use super::names::Names;
use super::{Template, Value};
use crate::diagnostic::Wrong;

/// Levels of brackets and operators in an expression.
const DEPTH: usize = 32;

/// Characters of random text at most.
const RANDOM_TEXT: i64 = 65_536;

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip(Wrong);

impl Slip {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self::coded("bad_expression", message)
    }

    pub(super) fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self(Wrong::new(code, message))
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self(self.0.help(help))
    }

    pub(super) fn suggest(self, word: &str, known: &[&str]) -> Self {
        Self(self.0.suggest(word, known, &[]))
    }
}

impl From<Slip> for Wrong {
    fn from(slip: Slip) -> Self {
        slip.0
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Constant(Value<'static>),
    /// A value of the iteration, by its slot.
    Saved(u16),
    /// A column of data: the source, and which of the columns that the plan uses of it.
    Cell(u16, u16),
    /// Which of the plan's secrets.
    Secret(u16),
    /// Which of the values that setup saves.
    Given(u16),
    /// Text with expressions in it.
    Text(Template),
    /// Iterations of the innermost loop before this one.
    LoopIndex,
    /// Number of the iteration in the run.
    Iteration,
    /// Number of the user.
    User,
    /// Number of the row, in generated data.
    Row,
    Uuid,
    Now(Clock),
    Random(Random, Vec<Node>),
    Member(Box<Node>, String),
    Element(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    Filter(Filter, Box<Node>),
    /// The first, or the second where there is none.
    Default(Box<Node>, Box<Node>),
}

/// How `now` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    Milliseconds,
    Seconds,
    Iso,
}

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Random {
    Int,
    Float,
    Text,
    Hex,
    Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    By,
    Modulo,
}

/// What is made of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    String,
    Number,
    Json,
    Raw,
    Url,
    Base64,
    /// Text without a colon; no filter of the language.
    UserId,
    Lower,
    Upper,
    Length,
}

const FILTERS: [(&str, Filter); 9] = [
    ("string", Filter::String),
    ("number", Filter::Number),
    ("json", Filter::Json),
    ("raw", Filter::Raw),
    ("url", Filter::Url),
    ("base64", Filter::Base64),
    ("lower", Filter::Lower),
    ("upper", Filter::Upper),
    ("length", Filter::Length),
];

const COMPARISONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
];

/// The tree of the expression `text`.
///
/// # Errors
/// The first slip in it.
pub(super) fn parse(text: &str, names: &mut Names) -> Result<Node, Slip> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(Slip::new("there is no expression").help("write a name, as in {{ token }}"));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, names };
    let node = parser.or()?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(Slip::new(format!("{} is one too many", shown(token)))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("\"{name}\""),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Text(text) => format!("'{text}'"),
        Token::Sign(sign) => format!("\"{sign}\""),
    }
}

struct Parser<'n> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    names: &'n mut Names,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(is_it);
        is_it
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Name(found)) if found == word);
        self.at += usize::from(is_it);
        is_it
    }

    fn need(&mut self, sign: &str) -> Result<(), Slip> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end".to_owned(), shown);
        Err(Slip::new(format!("\"{sign}\" is missing before {found}")))
    }

    fn name(&mut self, what: &str) -> Result<String, Slip> {
        match self.peek() {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(Slip::new(format!("{what} is missing"))),
        }
    }

    fn or(&mut self) -> Result<Node, Slip> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Slip::new(format!("nested deeper than {DEPTH} levels")));
        }
        let mut node = self.and()?;
        while self.take_word("or") {
            node = Node::Binary(Operator::Or, Box::new(node), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn and(&mut self) -> Result<Node, Slip> {
        let mut node = self.not()?;
        while self.take_word("and") {
            node = Node::Binary(Operator::And, Box::new(node), Box::new(self.not()?));
        }
        Ok(node)
    }

    fn not(&mut self) -> Result<Node, Slip> {
        if self.take_word("not") {
            let node = self.deeper(Self::not)?;
            return Ok(Node::Not(Box::new(node)));
        }
        let node = self.sum()?;
        match COMPARISONS.into_iter().find(|(sign, _)| self.take(sign)) {
            Some((_, operator)) => Ok(Node::Binary(operator, Box::new(node), Box::new(self.sum()?))),
            None => Ok(node),
        }
    }

    fn deeper(&mut self, part: impl Fn(&mut Self) -> Result<Node, Slip>) -> Result<Node, Slip> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Slip::new(format!("nested deeper than {DEPTH} levels")));
        }
        let node = part(self);
        self.depth -= 1;
        node
    }

    fn sum(&mut self) -> Result<Node, Slip> {
        let signs = [("+", Operator::Plus), ("-", Operator::Minus)];
        let mut node = self.product()?;
        while let Some((_, operator)) = signs.into_iter().find(|(sign, _)| self.take(sign)) {
            node = Node::Binary(operator, Box::new(node), Box::new(self.product()?));
        }
        Ok(node)
    }

    fn product(&mut self) -> Result<Node, Slip> {
        let signs = [("*", Operator::Times), ("/", Operator::By), ("%", Operator::Modulo)];
        let mut node = self.unary()?;
        while let Some((_, operator)) = signs.into_iter().find(|(sign, _)| self.take(sign)) {
            node = Node::Binary(operator, Box::new(node), Box::new(self.unary()?));
        }
        Ok(node)
    }

    fn unary(&mut self) -> Result<Node, Slip> {
        if self.take("-") {
            let node = self.deeper(Self::unary)?;
            return Ok(match node {
                Node::Constant(Value::Int(number)) => Node::Constant(Value::Int(-number)),
                Node::Constant(Value::Float(number)) => Node::Constant(Value::Float(-number)),
                node => Node::Negative(Box::new(node)),
            });
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Node, Slip> {
        let mut node = self.primary()?;
        loop {
            if self.take(".") {
                node = Node::Member(Box::new(node), self.name("the name after \".\"")?);
            } else if self.take("[") {
                let at = self.or()?;
                self.need("]")?;
                node = match at {
                    Node::Constant(Value::Text(name)) => Node::Member(Box::new(node), name.into_owned()),
                    at => Node::Element(Box::new(node), Box::new(at)),
                };
            } else if self.take("|") {
                node = self.filter(node)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn filter(&mut self, node: Node) -> Result<Node, Slip> {
        let name = self.name("the filter after \"|\"")?;
        if name == "default" {
            self.need("(")?;
            let other = self.or()?;
            self.need(")")?;
            return Ok(Node::Default(Box::new(node), Box::new(other)));
        }
        match FILTERS.into_iter().find(|(known, _)| *known == name) {
            Some((_, filter)) => Ok(Node::Filter(filter, Box::new(node))),
            None => {
                let mut known: Vec<&str> = FILTERS.iter().map(|(name, _)| *name).collect();
                known.push("default");
                let slip = Slip::coded("unknown_filter", format!("there is no filter \"{name}\""));
                Err(slip.suggest(&name, &known))
            }
        }
    }

    fn primary(&mut self) -> Result<Node, Slip> {
        let Some(token) = self.peek().cloned() else {
            return Err(Slip::new("the expression ends too early"));
        };
        self.at += 1;
        match token {
            Token::Int(number) => Ok(Node::Constant(Value::Int(number))),
            Token::Float(number) => Ok(Node::Constant(Value::Float(number))),
            Token::Text(text) => Ok(Node::Constant(Value::Text(text.into()))),
            Token::Sign("(") => {
                let node = self.or()?;
                self.need(")")?;
                Ok(node)
            }
            Token::Sign(sign) => Err(Slip::new(format!("\"{sign}\" has no place here"))),
            Token::Name(name) => self.named(&name),
        }
    }

    fn named(&mut self, name: &str) -> Result<Node, Slip> {
        match name {
            "true" => Ok(Node::Constant(Value::Bool(true))),
            "false" => Ok(Node::Constant(Value::Bool(false))),
            "null" => Ok(Node::Constant(Value::Null)),
            "and" | "or" | "not" => Err(Slip::new(format!("\"{name}\" has no place here"))),
            "rand" => self.random(),
            "uuid" => Ok(Node::Uuid),
            "now" => self.now(),
            "iteration" => Ok(Node::Iteration),
            "user" if !self.names.is_saved("user") => Ok(Node::User),
            "loop" => {
                self.part_of("loop", &["index"])?;
                match self.names.loops {
                    0 => Err(Slip::coded("unknown_name", "loop.index has a meaning in a loop alone")),
                    _ => Ok(Node::LoopIndex),
                }
            }
            "env" => {
                let name = self.member_of("env")?;
                self.names.env(&name)
            }
            "secret" => {
                let name = self.member_of("secret")?;
                Ok(Node::Secret(self.names.secret(name)?))
            }
            _ if self.names.is_source(name) => {
                let column = self.member_of(name)?;
                self.names.cell(name, column)
            }
            _ => self.names.value(name),
        }
    }

    fn member_of(&mut self, name: &str) -> Result<String, Slip> {
        if self.take("[") {
            return match self.peek().cloned() {
                Some(Token::Text(text)) => {
                    self.at += 1;
                    self.need("]")?;
                    Ok(text)
                }
                _ => Err(Slip::new(format!("{name}[…] takes a name in quotes"))),
            };
        }
        if !self.take(".") {
            return Err(Slip::new(format!("\"{name}\" is no value")).help(format!("write {name}.NAME")));
        }
        self.name(&format!("the name after \"{name}.\""))
    }

    fn part_of(&mut self, name: &str, parts: &[&str]) -> Result<String, Slip> {
        let part = self.member_of(name)?;
        if parts.contains(&part.as_str()) {
            return Ok(part);
        }
        let slip = Slip::coded("unknown_name", format!("there is no {name}.{part}"));
        Err(slip.suggest(&part, parts))
    }

    fn now(&mut self) -> Result<Node, Slip> {
        if !matches!(self.peek(), Some(Token::Sign("."))) {
            return Ok(Node::Now(Clock::Milliseconds));
        }
        let part = self.part_of("now", &["ms", "s", "iso"])?;
        Ok(Node::Now(match part.as_str() {
            "s" => Clock::Seconds,
            "iso" => Clock::Iso,
            _ => Clock::Milliseconds,
        }))
    }

    fn random(&mut self) -> Result<Node, Slip> {
        let part = self.part_of("rand", &["int", "float", "string", "hex", "choice"])?;
        self.need("(")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.need(",")?;
            }
            arguments.push(self.or()?);
        }
        let (random, count) = match part.as_str() {
            "int" => (Random::Int, 2),
            "float" => (Random::Float, 2),
            "string" => (Random::Text, 1),
            "hex" => (Random::Hex, 1),
            _ => (Random::Choice, arguments.len().max(1)),
        };
        if arguments.len() != count {
            let example = match random {
                Random::Int => "rand.int(1, 6)",
                Random::Float => "rand.float(0, 1)",
                Random::Text | Random::Hex => "rand.string(8)",
                Random::Choice => "rand.choice('a', 'b')",
            };
            let message = format!("rand.{part} does not take {} arguments", arguments.len());
            return Err(Slip::new(message).help(format!("write {example}")));
        }
        let known: Vec<Option<f64>> = arguments
            .iter()
            .map(|node| if let Node::Constant(value) = node { value.float() } else { None })
            .collect();
        match (random, known.as_slice()) {
            (Random::Int | Random::Float, [Some(least), Some(most)]) if least > most => {
                Err(Slip::new(format!("nothing lies between {least} and {most}"))
                    .help("the lesser one comes first"))
            }
            (Random::Text | Random::Hex, [Some(length)]) if *length > RANDOM_TEXT as f64 => {
                Err(Slip::new(format!("random text has at most {RANDOM_TEXT} characters")))
            }
            _ => Ok(Node::Random(random, arguments)),
        }
    }
}

/// Characters of random text, as far as there may be so many.
pub(super) fn random_length(length: i64) -> Option<usize> {
    if length > RANDOM_TEXT { None } else { usize::try_from(length).ok() }
}
