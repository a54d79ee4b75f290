//! What a map of a plan may have: its keys, and the form of their values.
//!
//! Invariant: a shape is both what the parser knows and what the JSON Schema says, so neither has a key that the other
//! lacks. Deliberately absent: what cannot be told of one value alone, such as keys that exclude each other; the parser
//! knows that.

/// A map with known keys.
pub(crate) struct Shape {
    /// Its name in the schema.
    pub id: &'static str,
    /// As faults call it.
    pub what: &'static str,
    pub keys: &'static [Key],
}

/// A key of a map.
pub(crate) struct Key {
    pub name: &'static str,
    pub form: Form,
    /// What it says, for who writes a plan.
    pub about: &'static str,
    pub is_required: bool,
    /// What stands for it when it is left out, as it would be written.
    pub default: Option<&'static str>,
}

/// What a value may be. All scalars may be expressions instead.
pub(crate) enum Form {
    /// Any scalar.
    Text,
    /// Text with a line of its own in a table.
    Name,
    /// One expression, with or without its braces.
    Expression,
    /// `true` or `false`.
    Flag,
    /// A whole number from 1.
    Count,
    /// A whole number from 0.
    Number,
    /// A time with its unit.
    Span,
    /// A time, or two with `..` between them.
    Spans,
    /// A rate with its unit.
    Rate,
    /// A part of all, such as `sample 1%`.
    Sample,
    /// Two sizes with `..` between them, or one.
    Sizes,
    /// A size with its unit.
    Size,
    /// A code, a class or a range of codes.
    Status,
    /// One of the words.
    Words(fn() -> Vec<&'static str>),
    /// Anything.
    Json,
    /// A list of steps.
    Steps,
    /// A map.
    Of(&'static Shape),
    /// A map with any keys.
    Map(&'static Form),
    List(&'static Form),
    /// A value, or a list of such.
    OneOrMore(&'static Form),
    Any(&'static [Form]),
}

impl Shape {
    /// The names of its keys.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Key {
    pub(crate) const fn new(name: &'static str, form: Form, about: &'static str) -> Self {
        Self { name, form, about, is_required: false, default: None }
    }

    pub(crate) const fn required(name: &'static str, form: Form, about: &'static str) -> Self {
        Self { name, form, about, is_required: true, default: None }
    }

    pub(crate) const fn or(
        name: &'static str,
        form: Form,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, form, about, is_required: false, default: Some(default) }
    }
}

/// The words of a table of choices.
pub(crate) fn words<T, const N: usize>(known: &'static [(&'static str, T); N]) -> Vec<&'static str> {
    known.iter().map(|(word, _)| *word).collect()
}
