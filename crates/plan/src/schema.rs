//! The JSON Schema (draft 2020-12) of plans, for editors: what the shapes say, in another language.
//!
//! Invariant: every plan that the parser takes is valid; the reverse does not hold, since much of what is wrong with a plan
//! is wrong between its parts. Deliberately absent: knowledge of plans; that is in [`crate::shapes`].

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::quantity::{RATE_UNITS, SIZE_UNITS, SPAN_UNITS};
use crate::shape::{Form, Key, Shape};
use crate::shapes::{ITEMS, PLAN};
use crate::step::METHODS;

/// The schema as text, ending with a line end.
pub fn schema() -> String {
    format!("{:#}\n", schema_value())
}

/// The schema as JSON.
pub fn schema_value() -> Value {
    let mut shapes = BTreeMap::new();
    collect(&PLAN, &mut shapes);
    let mut definitions: Map<String, Value> = scalars();
    definitions.insert("steps".to_owned(), steps());
    let others = shapes.values().filter(|shape| shape.id != PLAN.id);
    definitions.extend(others.map(|shape| (shape.id.to_owned(), object(shape))));
    let mut root = object(&PLAN);
    if let Value::Object(root) = &mut root {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("Groundswell plan"));
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

/// `shape` and all that it leads to, by their names.
pub(crate) fn collect(shape: &'static Shape, shapes: &mut BTreeMap<&'static str, &'static Shape>) {
    if shapes.insert(shape.id, shape).is_none() {
        shape.keys.iter().for_each(|key| collect_in(&key.form, shapes));
    }
}

fn collect_in(form: &'static Form, shapes: &mut BTreeMap<&'static str, &'static Shape>) {
    match form {
        Form::Of(shape) => collect(shape, shapes),
        Form::Steps => ITEMS.iter().for_each(|shape| collect(shape, shapes)),
        Form::Map(form) | Form::List(form) | Form::OneOrMore(form) => collect_in(form, shapes),
        Form::Any(forms) => forms.iter().for_each(|form| collect_in(form, shapes)),
        _ => {}
    }
}

fn object(shape: &Shape) -> Value {
    let properties: Map<String, Value> =
        shape.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = shape.keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = value(&key.form);
    property["description"] = json!(key.about);
    if let Some(default) = key.default {
        property["default"] = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
    }
    property
}

fn value(form: &Form) -> Value {
    let named = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    match form {
        Form::Text => named("text"),
        Form::Name => named("name"),
        Form::Expression => named("condition_text"),
        Form::Flag => named("flag"),
        Form::Count => named("count"),
        Form::Number => named("number"),
        Form::Span => named("span"),
        Form::Spans => named("spans"),
        Form::Rate => named("rate"),
        Form::Sample => named("sample"),
        Form::Size => named("size"),
        Form::Sizes => named("sizes"),
        Form::Status => named("status"),
        Form::Steps => named("steps"),
        Form::Words(words) => {
            let words = words();
            // `http: 2` is a number to YAML.
            let numbers = words.iter().filter_map(|word| serde_json::from_str(word).ok());
            let all: Vec<Value> = words.iter().map(|word| json!(word)).chain(numbers).collect();
            json!({"anyOf": [{"enum": all}, named("expression")]})
        }
        Form::Json => json!({}),
        Form::Of(shape) => named(shape.id),
        Form::Map(form) => json!({"type": "object", "additionalProperties": value(form)}),
        Form::List(form) => json!({"type": "array", "items": value(form)}),
        Form::OneOrMore(form) => json!({"anyOf": [value(form), {"type": "array", "items": value(form)}]}),
        Form::Any(forms) => json!({"anyOf": forms.iter().map(value).collect::<Vec<_>>()}),
    }
}

/// A list of steps: a request has a method, and what else there is a key that it must have.
fn steps() -> Value {
    let methods: Vec<Value> = METHODS.iter().map(|method| json!({"required": [method]})).collect();
    let items = ITEMS.iter().map(|shape| match shape.id {
        "request" => json!({"$ref": "#/$defs/request", "oneOf": methods}),
        id => json!({"$ref": format!("#/$defs/{id}")}),
    });
    json!({"type": "array", "minItems": 1, "items": {"anyOf": items.collect::<Vec<_>>()}})
}

fn scalars() -> Map<String, Value> {
    let scalar = json!(["string", "number", "boolean"]);
    let or_expression = |form: Value| json!({"anyOf": [form, {"$ref": "#/$defs/expression"}]});
    let units = |units: &[(&str, u64)]| {
        let units: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
        units.join("|")
    };
    let span = format!("([0-9]+([.][0-9]+)?({}))+", units(&SPAN_UNITS));
    let size = format!("(0|[0-9]+ *({}))", units(&SIZE_UNITS));
    let text = |pattern: String| json!({"type": "string", "pattern": pattern});
    let definitions = [
        ("expression", text("[{][{]".to_owned())),
        ("text", json!({"type": scalar})),
        ("name", json!({"type": scalar, "minLength": 1})),
        ("condition_text", json!({"type": scalar})),
        ("flag", or_expression(json!({"type": "boolean"}))),
        ("count", or_expression(json!({"type": "integer", "minimum": 1}))),
        (
            "number",
            or_expression(json!({"anyOf": [{"type": "integer", "minimum": 0}, text("^[0-9]+$".to_owned())]})),
        ),
        ("span", or_expression(text(format!("^{span}$")))),
        ("spans", or_expression(text(format!("^({span}|({span}|0) *[.][.] *{span})$")))),
        ("rate", or_expression(text(format!("^[0-9]+([.][0-9]+)? */ *({})$", units(&RATE_UNITS))))),
        ("sample", or_expression(text("^sample *[0-9]+([.][0-9]{1,4})? *%$".to_owned()))),
        ("size", or_expression(text(format!("^{size}$")))),
        (
            "sizes",
            or_expression(json!({"anyOf": [{"const": 0}, text(format!("^({size}|{size}?[.][.]{size}?)$"))]})),
        ),
        (
            "status",
            or_expression(json!({"anyOf": [
                {"type": "integer", "minimum": 100, "maximum": 599},
                text("^[1-5]([0-9]{2}([.][.][1-5][0-9]{2})?|xx)$".to_owned()),
            ]})),
        ),
    ];
    definitions.into_iter().map(|(name, form)| (name.to_owned(), form)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::diagnostic::Faults;
    use crate::json;
    use crate::tree::tree;

    /// What an editor makes of a plan's text.
    fn instance(text: &str) -> Value {
        let mut faults = Faults::new("p", text);
        let root = tree(text, 0, &mut faults).unwrap_or_else(|| panic!("no tree: {text}"));
        let json = json::render(&mut faults, &root).unwrap_or_else(|| panic!("no JSON: {text}"));
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}"))
    }

    fn faults(text: &str) -> Vec<String> {
        let validator =
            jsonschema::draft202012::new(&schema_value()).unwrap_or_else(|error| panic!("{error}"));
        validator
            .iter_errors(&instance(text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    fn find(folder: &Path, plans: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if path.is_dir() && !matches!(&*name, "target" | "node_modules") && !name.starts_with('.') {
                find(&path, plans);
            } else if name.ends_with(".plan.yaml") {
                plans.push(path);
            }
        }
    }

    #[test]
    fn the_schema_is_one() {
        assert!(jsonschema::meta::is_valid(&schema_value()));
    }

    #[test]
    fn every_plan_of_the_repository_is_valid() {
        let mut plans = Vec::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
        find(root, &mut plans);
        let mut held = 0;
        for plan in plans {
            let text = fs::read_to_string(&plan).unwrap_or_default();
            // The demo's target is put in when it is run.
            let text = text.replace("target: TARGET", "target: http://127.0.0.1:1");
            // What another version will know is in neither.
            if crate::parse("p", &text).is_ok() {
                assert_eq!(faults(&text), Vec::<String>::new(), "{}", plan.display());
                held += 1;
            }
        }
        assert!(held > 25, "only {held} plans");
    }

    /// A plan with every key of every shape, as far as they go together.
    const FULL: &str = include_str!("../tests/full.yaml");

    #[test]
    fn a_plan_with_every_key_is_valid_and_read() {
        assert_eq!(faults(FULL), Vec::<String>::new());
        let parsed = crate::parse("full.yaml", FULL);
        assert!(parsed.is_ok(), "{:#?}", parsed.err());
    }

    #[test]
    fn every_shape_of_the_parser_is_in_the_schema() {
        let mut reached = BTreeMap::new();
        collect(&PLAN, &mut reached);
        let source = include_str!("shapes.rs");
        let shapes = source.matches(": Shape = Shape {").count();
        assert_eq!(reached.len() + 1, shapes, "{:?}", reached.keys().collect::<Vec<_>>());
        let schema = schema_value();
        for shape in reached.values() {
            let object = if shape.id == PLAN.id { &schema } else { &schema["$defs"][shape.id] };
            let keys: Vec<&str> =
                object["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
            let mut known: Vec<&str> = shape.names().collect();
            known.sort_unstable();
            assert_eq!(keys, known, "{}", shape.id);
        }
    }

    #[test]
    fn every_key_of_a_shape_is_read() {
        let mut reached = BTreeMap::new();
        collect(&PLAN, &mut reached);
        let mut sources = String::new();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for file in ["", "answer"].iter().flat_map(|part| fs::read_dir(folder.join(part))).flatten().flatten()
        {
            let is_reader =
                !matches!(&*file.file_name().to_string_lossy(), "shapes.rs" | "schema.rs" | "show.rs");
            sources.extend(fs::read_to_string(file.path()).ok().filter(|_| is_reader));
        }
        // A key of the parser that it does not read would have no effect.
        for shape in reached.values() {
            let unread: Vec<&str> =
                shape.names().filter(|name| !sources.contains(&format!("\"{name}\""))).collect();
            assert_eq!(unread, Vec::<&str>::new(), "{}", shape.id);
        }
    }

    #[test]
    fn what_is_wrong_in_itself_is_refused() {
        let plan = |load: &str, steps: &str| {
            format!(
                "version: 1\nname: x\ntarget: http://h\nload: {{ {load} }}\nscenarios: {{ one: {{ steps: [{steps}] }} }}\n"
            )
        };
        let open = "model: open, stages: [{ at: 5/s, for: 3s }]";
        assert_eq!(faults(&plan(open, "{ get: / }")), Vec::<String>::new());
        for (load, steps) in [
            ("model: opn, stages: [{ at: 5/s, for: 3s }]", "{ get: / }"),
            ("model: open, stages: [{ at: 5, for: 3s }]", "{ get: / }"),
            ("model: open, stages: [{ at: 5/s, for: 3 }]", "{ get: / }"),
            ("model: open, stages: [{ at: 5/s, fro: 3s }]", "{ get: / }"),
            ("model: open, stages: [{ users: 5, for: 3s }]", "{ get: / }"),
            ("model: open", "{ get: / }"),
            ("model: closed, stages: [{ users: 0, for: 3s }]", "{ get: / }"),
            ("model: avalanche, requests_per_driver: many", "{ get: / }"),
            ("model: avalanche", "{ get: / }"),
            (open, "{ gett: / }"),
            (open, "{ get: /, post: / }"),
            (open, "{ get: /, timeout: 5 }"),
            (open, "{ get: /, expect: { status: 600 } }"),
            (open, "{ get: /, expect: { stats: 200 } }"),
            (open, "{ get: /, headers: [a] }"),
            (open, "{ pause: 1 }"),
            (open, "{ repeat: 3 }"),
            (open, "{ while: x, steps: [{ get: / }] }"),
            (open, "{ get: /, decompress: maybe }"),
            (open, "{ get: /, auth: { bearr: x } }"),
            (open, ""),
        ] {
            let text = plan(load, steps);
            assert_ne!(faults(&text), Vec::<String>::new(), "{text}");
            assert!(crate::parse("p", &text).is_err(), "the parser takes it: {text}");
        }
    }
}
