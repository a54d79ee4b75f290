//! A small part of GraphQL: `POST /graphql`.
//!
//! ```graphql
//! query ($n: Int = 3) {
//!   products(first: $n, category: "office", q: "lamp") { total items { id name price category } }
//!   best: product(id: 7) { name }
//! }
//! ```
//!
//! As the specification for HTTP says of `application/json`, a query that is wrong is answered with 200 and `errors`;
//! only a body that is no such request is a 400. Deliberately absent: mutations, fragments, directives, introspection,
//! lists and objects as arguments, and types of variables, which are read and not checked.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::catalogue::{Catalogue, MAX_PAGE, PAGE};
use super::message::{Answer, Reply, Request};

mod parse;

use parse::{Fault, Field};

#[derive(Debug, Deserialize)]
struct Query {
    query: String,
    #[serde(default)]
    variables: Option<Map<String, Value>>,
}

/// `POST /graphql`
pub(crate) fn answer(catalogue: &Catalogue, request: &Request<'_>) -> Answer {
    let Query { query, variables } = request.json()?;
    let data = parse::parse(&query, variables.unwrap_or_default())
        .and_then(|fields| select(&fields, "Query", |field| root(catalogue, field)));
    Ok(match data {
        Ok(data) => Reply::json(200, &json!({"data": data})),
        Err(fault) => {
            let (line, column) = place(&query, fault.at);
            let locations = [json!({"line": line, "column": column})];
            Reply::json(200, &json!({"errors": [{"message": fault.message, "locations": locations}]}))
        }
    })
}

/// The value of each field, by its alias.
fn select(
    fields: &[Field],
    kind: &str,
    value: impl Fn(&Field) -> Result<Option<(&'static str, Value)>, Fault>,
) -> Result<Value, Fault> {
    let mut selected = Map::new();
    for field in fields {
        let found = if field.name == "__typename" { Some(("String", kind.into())) } else { value(field)? };
        let Some((kind, value)) = found else {
            let message = format!("Cannot query field \"{}\" on type \"{kind}\".", field.name);
            return Err(Fault { message, at: field.at });
        };
        selected.insert(field.alias.clone(), project(field, kind, value)?);
    }
    Ok(Value::Object(selected))
}

/// What a field selects of its value.
fn project(field: &Field, kind: &'static str, value: Value) -> Result<Value, Fault> {
    match value {
        Value::Array(values) => {
            values.into_iter().map(|value| project(field, kind, value)).collect::<Result<_, _>>()
        }
        Value::Object(object) if !field.fields.is_empty() => select(&field.fields, kind, |inner| {
            Ok(object.get(&inner.name).map(|value| (kind_of(&inner.name), value.clone())))
        }),
        Value::Object(_) => {
            let message =
                format!("Field \"{}\" of type \"{kind}\" must have a selection of subfields.", field.name);
            Err(Fault { message, at: field.at })
        }
        Value::Null => Ok(Value::Null),
        _ if !field.fields.is_empty() => {
            let message = format!("Field \"{}\" must not have a selection.", field.name);
            Err(Fault { message, at: field.at })
        }
        scalar => Ok(scalar),
    }
}

fn kind_of(field: &str) -> &'static str {
    if field == "items" { "Product" } else { "scalar" }
}

/// The fields that a query can begin with.
fn root(catalogue: &Catalogue, field: &Field) -> Result<Option<(&'static str, Value)>, Fault> {
    let found = match field.name.as_str() {
        "products" => {
            field.only(&["first", "category", "q"])?;
            let first = field.number("first")?.unwrap_or(PAGE as u64);
            if first > MAX_PAGE as u64 {
                return Err(Fault { message: format!("\"first\" is at most {MAX_PAGE}."), at: field.at });
            }
            let mut found = catalogue.find(&field.text("q")?.unwrap_or_default());
            if let Some(category) = field.text("category")? {
                found.retain(|product| product.category == category);
            }
            let total = found.len();
            found.truncate(usize::try_from(first).unwrap_or(MAX_PAGE));
            ("ProductPage", json!({"total": total, "items": found}))
        }
        "product" => {
            field.only(&["id"])?;
            let missing =
                || Fault { message: "Argument \"id\" of \"product\" is required.".into(), at: field.at };
            let id = field.number("id")?.ok_or_else(missing)?;
            let product = u32::try_from(id).ok().and_then(|id| catalogue.get(id));
            ("Product", json!(product))
        }
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// Line and column of a byte, both from 1 on.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|byte| **byte == b'\n').count() + 1, before.len() - line_start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str, variables: &Value) -> Value {
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = Request { body: body.as_bytes(), ..Request::default() };
        serde_json::from_slice(&answer(&Catalogue::new(), &request).unwrap().body).unwrap()
    }

    #[test]
    fn queries_select() {
        for (query, data) in [
            (
                "{ products(first: 1) { total items { id } } }",
                json!({"products": {"total": 1000, "items": [{"id": 1}]}}),
            ),
            (
                "query Q { a: product(id: 1) { n: name __typename } }",
                json!({"a": {"n": "small pan 0", "__typename": "Product"}}),
            ),
            (
                "query ($n: Int! = 2) { products(first: $n) { items { id } } }",
                json!({"products": {"items": [{"id": 1}, {"id": 2}]}}),
            ),
            (
                "query Q($ids: [Int!]) { product(id: \"1000\") { price } } # end",
                json!({"product": {"price": 9500}}),
            ),
            ("{ product(id: 5000) { name } }", json!({"product": null})),
            ("{products(q:\"LAMP\",category:\"office\"){total}}", json!({"products": {"total": 100}})),
        ] {
            assert_eq!(ask(query, &Value::Null), json!({"data": data}), "{query}");
        }
        let query = "query ($n: Int = 2) { products(first: $n) { items { id } } }";
        assert_eq!(ask(query, &json!({"n": 0}))["data"]["products"]["items"], json!([]));
    }

    #[test]
    fn faults_say_where() {
        for (query, message, line, column) in [
            (
                "{ products }",
                "Field \"products\" of type \"ProductPage\" must have a selection of subfields.",
                1,
                3,
            ),
            ("{\n  goods { id }\n}", "Cannot query field \"goods\" on type \"Query\".", 2, 3),
            ("{ product(id: 1) { id colour } }", "Cannot query field \"colour\" on type \"Product\".", 1, 23),
            ("{ product(id: 1) { id { x } } }", "Field \"id\" must not have a selection.", 1, 20),
            ("{ product { id } }", "Argument \"id\" of \"product\" is required.", 1, 3),
            ("{ product(no: 1) { id } }", "Unknown argument \"no\" on field \"product\".", 1, 3),
            ("{ product(id: \"x\") { id } }", "Argument \"id\" is not a number.", 1, 3),
            ("{ products(first: 101) { total } }", "\"first\" is at most 100.", 1, 3),
            ("{ product(id: $n) { id } }", "Variable \"$n\" is not defined.", 1, 16),
            ("query ($n: Int!) { product(id: $n) { id } }", "Variable \"$n\" has no value.", 1, 8),
            ("{ product(id: 1) { id }", "Syntax Error: Expected a name, found the end.", 1, 24),
            ("{ }", "Syntax Error: Expected a name, found \"}\".", 1, 3),
            ("", "Syntax Error: Expected \"{\", found the end.", 1, 1),
            ("mutation { x }", "Only queries are answered here.", 1, 1),
            ("{ product(id: [1]) { id } }", "Syntax Error: Expected a value, found \"[\".", 1, 15),
            ("{ product(id: \"1) { id } }", "Syntax Error: Unterminated string.", 1, 15),
            ("{ ä }", "Syntax Error: Unexpected character \"ä\".", 1, 3),
        ] {
            let error = json!({"message": message, "locations": [{"line": line, "column": column}]});
            assert_eq!(ask(query, &Value::Null), json!({"errors": [error]}), "{query}");
        }
        let deep = "{a".repeat(10_000);
        assert_eq!(ask(&deep, &Value::Null)["errors"][0]["message"], "The query is nested too deeply.");
    }
}
