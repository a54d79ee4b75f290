//! What the engine says of a query, in the words and names of the tables.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::Fault;

/// A fault of a query, with the place in its text.
pub(super) fn of_query(error: &DataFusionError, sql: &str) -> Fault {
    if let Some(kept) = kept(error) {
        return kept;
    }
    let said = said(error);
    match place(error, &said) {
        Some((line, column)) => {
            Fault::Query(format!("{}\n{}", without_place(&said), pointed(sql, line, column)))
        }
        None => Fault::Query(said),
    }
}

/// What came through the engine from outside it, or is about its limits.
fn kept(error: &DataFusionError) -> Option<Fault> {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(said) => {
            // What follows the first sentence lists the engine's own parts.
            Some(Fault::Memory(said.lines().next().unwrap_or_default().trim_end_matches('.').to_owned()))
        }
        DataFusionError::ObjectStore(said) => Some(Fault::Engine(said.to_string())),
        DataFusionError::IoError(said) => Some(Fault::Engine(said.to_string())),
        DataFusionError::External(said) => Some(Fault::Engine(said.to_string())),
        _ => None,
    }
}

/// What is wrong, without the words for where in the engine it was found.
fn said(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::SchemaError(fault, _) = root
        && let SchemaError::FieldNotFound { field, valid_fields } = fault.as_ref()
    {
        let mut names: Vec<&str> = Vec::new();
        for column in valid_fields {
            if !names.contains(&column.name()) {
                names.push(column.name());
            }
        }
        return format!("there is no column {}{}", field.name(), meant(field.name(), &names));
    }
    let said = root.message().into_owned();
    let said = plain(&said);
    match said.strip_prefix("table 'datafusion.public.").and_then(|rest| rest.strip_suffix("' not found")) {
        Some(table) => format!("there is no table {table}{}", meant(table, &super::table_names())),
        None => said.to_owned(),
    }
}

/// What is said without the engine's words around it.
fn plain(said: &str) -> &str {
    if let Some((_, of_function)) = said.split_once("coercion failed with: Error during planning: ") {
        return of_function.split(". No function matches").next().unwrap_or(of_function);
    }
    let said = said.trim_start_matches("Parser error: ");
    match said.strip_prefix("ParserError(\"") {
        Some(quoted) => quoted.strip_suffix("\")").unwrap_or(quoted),
        None => said,
    }
}

/// The names that are like this one; all when none is and they are few.
fn meant(name: &str, names: &[&str]) -> String {
    let name = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = names.iter().map(|known| (distance(&name, known), *known)).collect();
    near.sort_unstable();
    near.dedup();
    let is_near = |(distance, known): &&(usize, &str)| {
        *distance <= name.len().max(4) / 3
            || known.starts_with(&name)
            || known.split('_').any(|part| part == name)
    };
    let close: Vec<&str> = near.iter().filter(is_near).map(|(_, known)| *known).take(3).collect();
    match (close.as_slice(), near.len()) {
        ([], 0) => String::new(),
        ([], _) => {
            let all: Vec<&str> = names.to_vec();
            format!("; there are {}", all.join(", "))
        }
        (close, _) => format!("; did you mean {}?", close.join(" or ")),
    }
}

/// The edits that lead from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to, letter) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(*letter != from);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[b.len()]
}

/// Line and column, from 1, of what is wrong.
fn place(error: &DataFusionError, said: &str) -> Option<(usize, usize)> {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    if let Some(span) = span {
        return Some((usize::try_from(span.start.line).ok()?, usize::try_from(span.start.column).ok()?));
    }
    // Other messages quote what the query says.
    let DataFusionError::SQL(..) = error.find_root() else { return None };
    let (_, place) = said.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?))
}

fn without_place(said: &str) -> &str {
    said.rsplit_once(" at Line: ").map_or(said, |(said, _)| said)
}

/// The line of the query, and a mark under the column.
fn pointed(sql: &str, line: usize, column: usize) -> String {
    let text = sql.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let before = column.saturating_sub(1).min(text.chars().count());
    format!("line {line}, column {column}:\n  {text}\n  {}^", " ".repeat(before))
}
