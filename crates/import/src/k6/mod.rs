//! The `options` of a k6 script: load and thresholds. The requests are in the script, and stay there.

mod script;
mod executor;
mod thresholds;

use crate::draft::{Draft, NO_TARGET, Request, Scenario, Step};
use crate::node::Node;
use crate::notes::Notes;
use crate::yaml::{Yaml, entry, plain};
use crate::{Error, Options, read, span};
use executor::Loaded;

/// Options that have a meaning here, and those that say how k6 prints: neither is listed.
const KNOWN: [&str; 16] = [
    "vus",
    "duration",
    "iterations",
    "stages",
    "scenarios",
    "thresholds",
    "insecureSkipTLSVerify",
    "userAgent",
    "noConnectionReuse",
    "noVUConnectionReuse",
    "summaryTrendStats",
    "summaryTimeUnit",
    "noUsageReport",
    "systemTags",
    "discardResponseBodies",
    "linger",
];

pub(crate) fn draft(text: &str, options: &Options, notes: &mut Notes) -> Result<Draft, Error> {
    let expected = read::FOUND[5].0;
    let root = script::options(text, expected)?;
    // k6's own `--export` and archives wrap them.
    let root = root.get("options").filter(|inner| inner.is_map()).unwrap_or(&root);
    read::must_be(root, expected)?;
    let Loaded { load, comments, scenarios, drain } = executor::load(root, notes)?;
    let mut draft = Draft {
        name: "k6".to_owned(),
        comments: vec![
            "Made from the options of a k6 script. The requests are in the script: write them as steps."
                .to_owned(),
        ],
        target: NO_TARGET.to_owned(),
        load,
        load_comments: comments,
        ..Draft::default()
    };
    if options.target.is_none() {
        draft.target_comment = Some("give the script's, with --target".to_owned());
    }
    notes.add("the script's requests are not imported: one GET / stands for them");
    if root.get("insecureSkipTLSVerify").is_some_and(Node::is_true) {
        match options.target.as_ref().is_some_and(|target| target.starts_with("https:")) {
            true => draft.settings.push(entry("tls", Yaml::Flow(vec![entry("insecure", plain(true))]))),
            false => {
                notes.add("insecureSkipTLSVerify: write `tls: { insecure: true }` when the target is https")
            }
        }
    }
    draft.settings.extend(drain);
    connections(root, &mut draft);
    for (key, value) in root.entries().iter().filter(|(key, _)| !KNOWN.contains(&key.as_str())) {
        // Certificates with their keys, and what extensions and clouds are told.
        let private = ["tlsAuth", "cloud", "ext"].contains(&key.as_str());
        let shown = if private { String::new() } else { format!(" {}", short(value)) };
        notes.add(format!("{key}:{shown} is not translated"));
    }
    let has_several = scenarios.len() > 1;
    for (name, weight) in scenarios {
        let mut request = Request { method: "get".to_owned(), path: "/".to_owned(), ..Request::default() };
        // Rows of their own, so that a threshold can be of one scenario.
        request.name = if has_several { Some(format!("{name}: GET /")) } else { None };
        request.headers.extend(
            root.text_of("userAgent").map(|agent| ("user-agent".to_owned(), crate::draft::literal(agent))),
        );
        let steps = vec![Step::Request(Box::new(request))];
        draft.scenarios.push(Scenario { name, weight, steps, ..Scenario::default() });
    }
    let names: Vec<String> = draft.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let (translated, phases) =
        thresholds::thresholds(root.get("thresholds").unwrap_or(&Node::Null), &names, notes);
    draft.thresholds = translated;
    if phases {
        draft.settings.push(entry("phases", plain(true)).remark("a threshold looks at one"));
    }
    Ok(draft)
}

fn connections(root: &Node, draft: &mut Draft) {
    let set = |key: &str| root.get(key).is_some_and(Node::is_true);
    let closed = draft.load.iter().any(|entry| entry.value == plain("closed"));
    let fields = match (set("noConnectionReuse"), set("noVUConnectionReuse")) {
        (true, _) => vec![entry("requests", plain(1))],
        (false, true) => vec![entry("per", plain("iteration"))],
        // As in k6, where each virtual user has its own.
        (false, false) if closed => vec![entry("per", plain("user"))],
        (false, false) => return,
    };
    draft.load.push(entry("connections", Yaml::Flow(fields)));
}

/// A value on one line.
fn short(value: &Node) -> String {
    value.json().chars().take(120).collect()
}

/// A time of k6: text with units, or milliseconds.
fn ms(node: &Node) -> Option<u64> {
    node.scalar().and_then(|text| span::parse_ms(&text, 1.0))
}
