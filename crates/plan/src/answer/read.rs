//! The keys `save` and `expect` of a step.

use std::ops::RangeInclusive;

use super::check::{Check, Demand, JsonDemand, TextDemand};
use super::json::JsonPath;
use super::take::{Css, Pattern, Source, Taking};
use crate::diagnostic::{Faults, Wrong};
use crate::expression::{Encoding, Expression, Names, RESERVED, Template};
use crate::json;
use crate::limits;
use crate::quantity::{parse_size, show_size};
use crate::read::{self, Fields};
use crate::scenario::Expect;
use crate::shapes;
use crate::tree::{Entry, Kind, Node};

const SOURCES: [&str; 6] = ["json", "header", "regex", "css", "body", "status"];

/// What a step saves, in the order of the file.
pub(crate) fn save(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Vec<Taking>> {
    let entries = read::map(faults, node, "save")?;
    if entries.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "nothing is saved"));
    }
    if entries.len() > limits::PARTS {
        let message = format!("a step saves at most {} values", limits::PARTS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let takings: Vec<Option<Taking>> = entries.iter().map(|entry| taking(faults, names, entry)).collect();
    takings.into_iter().collect()
}

fn taking(faults: &mut Faults<'_>, names: &mut Names, entry: &Entry) -> Option<Taking> {
    let named = check_identifier(&entry.key, names);
    if let Err(wrong) = named {
        faults.add(entry.place, &entry.key, wrong);
        return None;
    }
    let (source, default) = match &entry.value.kind {
        Kind::Map(_) => long(faults, names, &entry.value)?,
        _ => {
            let text = read::text(faults, &entry.value, "what is saved")?;
            (read::checked(faults, &entry.value, short(names, text))?, None)
        }
    };
    let slot = names.slot(&entry.key);
    names.saved_before.insert(entry.key.clone());
    Some(Taking { name: entry.key.clone(), slot, source, default })
}

/// A name that expressions can use for a value.
pub(crate) fn check_identifier(name: &str, names: &Names) -> Result<(), Wrong> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_word)
        && name.chars().count() <= limits::NAME_CHARS;
    if !is_identifier {
        let wrong = Wrong::new("bad_name", format!("\"{name}\" is no name for a value"));
        return Err(wrong.help("letters, digits and _ make a name, and no digit begins it"));
    }
    let is_user = name == "user";
    if RESERVED.contains(&name) && !is_user {
        let wrong = Wrong::new("reserved_name", format!("\"{name}\" means something else in expressions"));
        return Err(wrong.help("choose another name"));
    }
    let is_taken =
        names.variables.contains_key(name) || names.sources.iter().any(|source| source.name == name);
    if names.given.iter().any(|given| given == name) {
        let wrong = Wrong::new("name_taken", format!("\"{name}\" is a value that setup saves"));
        return Err(wrong.help("choose another name; the one of setup is the same in the whole run"));
    }
    if is_taken {
        let wrong = Wrong::new("name_taken", format!("\"{name}\" is a variable or data already"));
        return Err(wrong.help("choose another name"));
    }
    Ok(())
}

/// `$.path`, `header:NAME`, `regex:PATTERN`, `css:SELECTOR`, `body` or `status`.
fn short(names: &mut Names, text: &str) -> Result<Source, Wrong> {
    match text {
        "body" => return Ok(Source::Body),
        "status" => return Ok(Source::Status),
        _ if text.starts_with('$') => return source(names, "json", text),
        _ => {}
    }
    match text.split_once(':') {
        Some((kind, rest)) if SOURCES.contains(&kind) => source(names, kind, rest.trim_start()),
        _ => {
            let wrong = Wrong::new("bad_source", format!("\"{text}\" does not say where the value is"));
            Err(wrong
                .help("write a JSONPath such as $.token, or header:, regex: or css: before what is meant"))
        }
    }
}

fn source(names: &mut Names, kind: &str, text: &str) -> Result<Source, Wrong> {
    let bad = |what: &'static str| {
        move |why: String| Wrong::new("bad_pattern", format!("{what} is not valid: {}", one_line(&why)))
    };
    if text.is_empty() {
        return Err(Wrong::new("missing", format!("{kind}: says nothing")));
    }
    match kind {
        "json" => JsonPath::parse(text).map(Source::Json).map_err(bad("the JSONPath")),
        "regex" => names.pattern(text).map(Source::Regex).map_err(bad("the regular expression")),
        "css" => Css::parse(text).map(Source::Css).map_err(bad("the CSS selector")),
        _ => {
            crate::step::check_header_token(text)?;
            Ok(Source::Header(text.to_owned(), None))
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `{ json: $.id, default: 0 }`, or `{ header: link, regex: "<(.*?)>" }`: a pattern in a header.
fn long(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<(Source, Option<Expression>)> {
    let fields = Fields::of(faults, node, &shapes::SAVED, &[])?;
    let kinds: Vec<&str> = SOURCES[..4].iter().copied().filter(|kind| fields.has(kind)).collect();
    let Some(kind) = kinds.first() else {
        let wrong = Wrong::new("missing", "it does not say where the value is");
        return read::fault(faults, node, wrong.help("write json:, header:, regex: or css:"));
    };
    let is_in_header = kinds == ["header", "regex"];
    if kinds.len() > 1 && !is_in_header {
        let wrong = Wrong::new("several_sources", "a value is in one place");
        let help = "header and regex alone go together: then the pattern is looked for in the header";
        return read::fault(faults, node, wrong.help(help));
    }
    let mut part = |kind: &str| {
        let value = fields.required(faults, kind)?;
        let text = read::text(faults, value, kind)?;
        read::checked(faults, value, source(names, kind, text))
    };
    let source = match part(kind)? {
        Source::Header(name, _) if is_in_header => match part("regex")? {
            Source::Regex(pattern) => Source::Header(name, Some(pattern)),
            other => other,
        },
        other => other,
    };
    let default = match fields.entry("default") {
        Some(entry) => {
            let json = json::template(faults, names, &entry.value)?;
            let wrong = Wrong::new("bad_expression", "a default is a value, or one expression");
            Some(read::checked(faults, &entry.value, Expression::of_json(json).ok_or(wrong))?)
        }
        None => None,
    };
    Some((source, default))
}

/// What a step demands of its answer.
pub(crate) fn expect(faults: &mut Faults<'_>, names: &mut Names, node: &Node) -> Option<Expect> {
    let fields = Fields::of(faults, node, &shapes::EXPECT, &[])?;
    let mut reader = Reader { faults, names, checks: Vec::new(), is_complete: true };
    let status = match fields.get(reader.faults, "status") {
        Some(node) => statuses(reader.faults, node).map(Some),
        None => Some(None),
    };
    for entry in shapes::EXPECT.names().filter_map(|key| fields.entry(key)) {
        reader.demand(entry);
    }
    let Reader { checks, is_complete, .. } = reader;
    if checks.len() > limits::PARTS {
        let message = format!("a step makes at most {} demands", limits::PARTS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let status = status?;
    is_complete.then_some(Expect { status, checks })
}

struct Reader<'r, 'f> {
    faults: &'r mut Faults<'f>,
    names: &'r mut Names,
    checks: Vec<Check>,
    is_complete: bool,
}

impl Reader<'_, '_> {
    fn demand(&mut self, entry: &Entry) {
        let node = &entry.value;
        match entry.key.as_str() {
            "headers" => self.headers(node),
            "json" => self.json(node),
            "body_contains" => {
                let nodes = match &node.kind {
                    Kind::List(nodes) => nodes.as_slice(),
                    _ => std::slice::from_ref(node),
                };
                for node in nodes {
                    let text = self.text(node);
                    let demand = text.map(|text| Demand::Body(TextDemand::Contains(text)));
                    self.add(format!("body_contains {}", json::quote(node.text())), demand);
                }
            }
            "body_matches" => {
                let pattern = self.pattern(node);
                let demand = pattern.map(|pattern| Demand::Body(TextDemand::Matches(pattern)));
                self.add(format!("body_matches {}", node.text()), demand);
            }
            "size" => {
                let text = read::text(self.faults, node, "the size");
                let range = text.and_then(|text| read::checked(self.faults, node, sizes(text)));
                self.add(format!("size {}", node.text()), range.map(Demand::Size));
            }
            "under" => {
                let span = read::span(self.faults, node, "the response time", limits::WAIT);
                self.add(format!("under {}", node.text()), span.map(Demand::Under));
            }
            // The status is no check: it decides first.
            _ => {}
        }
    }

    fn add(&mut self, text: String, demand: Option<Demand>) {
        match demand {
            Some(demand) => self.checks.push(Check { text, demand }),
            None => self.is_complete = false,
        }
    }

    fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let text = read::text(self.faults, node, "the regular expression")?;
        let pattern = self.names.pattern(text).map_err(|why| {
            Wrong::new("bad_pattern", format!("the regular expression is not valid: {}", one_line(&why)))
        });
        read::checked(self.faults, node, pattern)
    }

    fn headers(&mut self, node: &Node) {
        let Some(entries) = read::map(self.faults, node, "the expected headers") else {
            self.is_complete = false;
            return;
        };
        for entry in entries {
            let name = crate::step::check_header_token(&entry.key);
            if let Err(wrong) = name {
                self.faults.add(entry.place, &entry.key, wrong);
                self.is_complete = false;
                continue;
            }
            let demand = self.text_demand(&entry.value);
            let text = format!("header {} {}", entry.key, in_words(&entry.value));
            self.add(text, demand.map(|demand| Demand::Header(entry.key.clone(), demand)));
        }
    }

    fn text_demand(&mut self, node: &Node) -> Option<TextDemand> {
        if !matches!(node.kind, Kind::Map(_)) {
            let text = read::template(self.faults, self.names, node, "the header", Encoding::Plain);
            return text.map(TextDemand::Is);
        }
        let known: Vec<&str> = shapes::DEMAND.names().collect();
        let fields = Fields::of(self.faults, node, &shapes::DEMAND, &[])?;
        let kind = self.only(&fields, node, &known)?;
        let value = fields.required(self.faults, kind)?;
        match kind {
            "matches" => self.pattern(value).map(TextDemand::Matches),
            "is" => self.text(value).map(TextDemand::Is),
            "contains" => self.text(value).map(TextDemand::Contains),
            _ => read::boolean(self.faults, value, "exists").map(TextDemand::Exists),
        }
    }

    fn text(&mut self, node: &Node) -> Option<Template> {
        read::template(self.faults, self.names, node, "the text", Encoding::Plain)
    }

    /// The one key of a demand.
    fn only(&mut self, fields: &Fields<'_>, node: &Node, known: &[&'static str]) -> Option<&'static str> {
        let mut present = known.iter().copied().filter(|key| fields.has(key));
        match (present.next(), present.next()) {
            (Some(key), None) => Some(key),
            _ => {
                let wrong = Wrong::new("one_demand", "a demand says one thing");
                read::fault(self.faults, node, wrong.help(format!("write one of {}", known.join(", "))))
            }
        }
    }

    fn json(&mut self, node: &Node) {
        let Some(entries) = read::map(self.faults, node, "the expected JSON") else {
            self.is_complete = false;
            return;
        };
        for entry in entries {
            let path = match JsonPath::parse(&entry.key) {
                Ok(path) => path,
                Err(why) => {
                    let message = format!("the JSONPath is not valid: {}", one_line(&why));
                    let wrong = Wrong::new("bad_pattern", message).help("write $.name, or $.items[0].id");
                    self.faults.add(entry.place, &entry.key, wrong);
                    self.is_complete = false;
                    continue;
                }
            };
            let demand = self.json_demand(&entry.value);
            let text = format!("json {} {}", entry.key, in_words(&entry.value));
            self.add(text, demand.map(|demand| Demand::Json(path, demand)));
        }
    }

    /// A map whose keys are words of demands is a demand; any other value is what has to be there.
    fn json_demand(&mut self, node: &Node) -> Option<JsonDemand> {
        let known: Vec<&str> = shapes::DEMAND.names().collect();
        let entries = if let Kind::Map(entries) = &node.kind { entries.as_slice() } else { &[] };
        let (words, others): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().partition(|entry| known.contains(&entry.key.as_str()));
        let Some(word) = words.first() else { return self.json_value(node).map(JsonDemand::Is) };
        if let Some(other) = others.first() {
            let message = format!("\"{}\" is a demand, and \"{}\" is none", word.key, other.key);
            let wrong = Wrong::new("mixed_demand", message);
            let wrong = wrong.help("an object with both is written { is: { … } }");
            self.faults.add(other.place, &other.key, wrong);
            return None;
        }
        let fields = Fields::of(self.faults, node, &shapes::DEMAND, &[])?;
        let kind = self.only(&fields, node, &known)?;
        // Null is a value here.
        let value = &fields.entry(kind)?.value;
        match kind {
            "is" => self.json_value(value).map(JsonDemand::Is),
            "contains" => self.json_value(value).map(JsonDemand::Contains),
            "matches" => self.pattern(value).map(JsonDemand::Matches),
            _ => read::boolean(self.faults, value, "exists").map(JsonDemand::Exists),
        }
    }

    fn json_value(&mut self, node: &Node) -> Option<Template> {
        json::template(self.faults, self.names, node)
    }
}

/// A demand as it is told: `contains json` of `{ contains: json }`.
fn in_words(node: &Node) -> String {
    match &node.kind {
        Kind::Map(entries) => {
            let words: Vec<String> =
                entries.iter().map(|entry| format!("{} {}", entry.key, in_words(&entry.value))).collect();
            words.join(", ")
        }
        _ => node.text().to_owned(),
    }
}

/// `1KiB..2MiB`, `..2MiB`, `1KiB..` or an exact size.
fn sizes(text: &str) -> Result<RangeInclusive<u64>, Wrong> {
    let size = |text: &str| parse_size(text, "the size", limits::SEARCHED_BODY_BYTES_MOST);
    let range = match text.split_once("..") {
        None => size(text).map(|size| size..=size)?,
        Some((from, to)) => {
            let from = if from.is_empty() { 0 } else { size(from)? };
            let to = if to.is_empty() { u64::MAX } else { size(to)? };
            from..=to
        }
    };
    if range.is_empty() {
        return Err(Wrong::new("bad_size", "no size lies between these").help("the lesser one comes first"));
    }
    Ok(range)
}

/// Whether a body may be as large as is demanded.
pub(crate) fn check_sizes(faults: &mut Faults<'_>, fields: &Fields<'_>, expect: &Expect, max_body: u64) {
    let least = expect.checks.iter().find_map(|check| match &check.demand {
        Demand::Size(range) => Some(*range.start()).filter(|least| *least > max_body),
        _ => None,
    });
    let size = fields.entry("expect").and_then(|entry| entry.value.entry("size"));
    if let (Some(least), Some(size)) = (least, size) {
        let message = format!("bodies are looked at up to max_body, which is {}", show_size(max_body));
        let help = format!("write max_body: {} or more beside expect", show_size(least));
        read::fault::<()>(faults, &size.value, Wrong::new("size_above_max_body", message).help(help));
    }
}

fn statuses(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<RangeInclusive<u16>>> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        return read::fault(faults, node, Wrong::new("missing", "no status is expected"));
    }
    let ranges: Vec<Option<RangeInclusive<u16>>> = nodes
        .iter()
        .map(|node| {
            let text = read::text(faults, node, "a status")?;
            read::checked(faults, node, status(text))
        })
        .collect();
    ranges.into_iter().collect()
}

/// `200`, `2xx` or `200..299`, both ends included.
fn status(text: &str) -> Result<RangeInclusive<u16>, Wrong> {
    let code =
        |text: &str| text.parse::<u16>().ok().filter(|code| text.len() == 3 && (100..=599).contains(code));
    let range = match (text.strip_suffix("xx"), text.split_once("..")) {
        (Some(class), _) => code(&format!("{class}00")).map(|from| from..=from + 99),
        (None, Some((from, to))) => {
            code(from).zip(code(to)).filter(|(from, to)| from <= to).map(|(from, to)| from..=to)
        }
        (None, None) => code(text).map(|code| code..=code),
    };
    range.ok_or_else(|| Wrong::new("bad_status", "a status is 100 to 599").help("write 200, 2xx or 200..299"))
}
