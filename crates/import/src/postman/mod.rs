//! Postman collections 2.0 and 2.1: one scenario, folders as groups, variables as variables.

mod request;
mod auth;
mod template;
mod script;

use crate::curl::plural;
use crate::draft::{Draft, NO_TARGET, Request, Scenario, Step, try_out};
use crate::node::Node;
use crate::notes::Notes;
use crate::url::Url;
use crate::{Error, Options, read};
use template::Variables;

/// Folders in folders that become groups in groups: a plan has 32 levels in all, a group takes two and a body 20.
const FOLDERS: usize = 3;

pub(crate) fn draft(text: &str, options: &Options, notes: &mut Notes) -> Result<Draft, Error> {
    let expected = read::FOUND[3].0;
    let root = read::json(text, expected)?;
    let found = read::must_be(&root, expected);
    if let (Err(error), None) = (found, root.get("collection")) {
        return Err(error);
    }
    // The API of Postman wraps it.
    let root = root.get("collection").unwrap_or(&root);
    let mut variables = Variables::of(root);
    let mut reader = Reader { variables: &mut variables, found: Vec::new(), scripts: 0, lines: 0, notes };
    reader.script(root, None);
    let steps = reader.items(root.list_of("item"), root.get("auth"), 0, "");
    let Reader { found, scripts, lines, .. } = reader;
    if scripts > 0 {
        notes.add(format!(
            "{}, {} not translated",
            plural(scripts, "script", "scripts"),
            plural(lines, "line", "lines")
        ));
    }
    if found.is_empty() {
        return Err(Error::Nothing("the collection has no http request".to_owned()));
    }
    made(root, steps, &found, variables, options, notes)
}

/// A step before it is known which target the plan has.
enum Raw {
    Request(usize),
    Group(String, Vec<Raw>),
}

/// A request, and the URL that its variables give now.
struct Found {
    url: Url,
    request: Request,
}

struct Reader<'a, 'n> {
    variables: &'a mut Variables,
    found: Vec<Found>,
    scripts: usize,
    lines: usize,
    notes: &'n mut Notes,
}

impl Reader<'_, '_> {
    fn items(&mut self, items: &[Node], auth: Option<&Node>, depth: usize, folder: &str) -> Vec<Raw> {
        let mut steps = Vec::new();
        for item in items {
            let name = item.text_of("name").unwrap_or("unnamed");
            let auth = item.get("auth").or(auth);
            if let Some(inner) = item.get("item") {
                self.script(item, None);
                let path = format!("{folder}{name} / ");
                let inner = self.items(inner.list(), auth, depth + 1, &path);
                if depth >= FOLDERS && !inner.is_empty() {
                    self.notes.add(format!(
                        "folder \"{name}\": too deep for a group, its requests stand in the one above"
                    ));
                }
                match depth < FOLDERS {
                    true if !inner.is_empty() => steps.push(Raw::Group(name.to_owned(), inner)),
                    _ => steps.extend(inner),
                }
            } else if let Some(request) = item.get("request") {
                let Some((url, mut request)) =
                    request::request(request, name, auth, self.variables, self.notes)
                else {
                    continue;
                };
                self.script(item, Some(&mut request));
                self.variables.saved(&request);
                steps.push(Raw::Request(self.found.len()));
                self.found.push(Found { url, request });
            }
        }
        steps
    }

    /// Scripts of a collection, folder or request: what is plain in those of requests is taken.
    fn script(&mut self, item: &Node, mut request: Option<&mut Request>) {
        for event in item.list_of("event") {
            let lines = script::lines(event);
            if lines.is_empty() {
                continue;
            }
            let is_test = event.text_of("listen") == Some("test");
            let left = match request.as_deref_mut() {
                Some(request) if is_test => script::taken(&lines, request),
                _ => lines.len(),
            };
            if left > 0 {
                self.scripts += 1;
                self.lines += left;
                let place = item.text_of("name").unwrap_or("the collection");
                let kind = event.text_of("listen").unwrap_or("script");
                self.notes.add(format!(
                    "script ({kind}) of \"{place}\": {}",
                    plural(left, "line not translated", "lines not translated")
                ));
            }
        }
    }
}

fn made(
    root: &Node,
    steps: Vec<Raw>,
    found: &[Found],
    variables: Variables,
    options: &Options,
    notes: &mut Notes,
) -> Result<Draft, Error> {
    let origins = crate::origins::Origins::choose(found.iter().map(|found| &found.url), &options.hosts);
    let target = match origins.target.ends_with(template::UNKNOWN_HOST) {
        true => NO_TARGET.to_owned(),
        false => origins.target.clone(),
    };
    let mut taken: Vec<bool> = Vec::new();
    for found in found {
        let unknown = found.url.host == template::UNKNOWN_HOST;
        if unknown {
            notes.add(format!(
                "a host in a variable without a value: the request goes to {target}, or give --target"
            ));
        }
        taken.push(unknown || origins.takes(&found.url, notes));
    }
    let steps = kept(steps, found, &taken);
    if steps.is_empty() {
        return Err(Error::Nothing("no request of the collection is for the chosen host".to_owned()));
    }
    let name = root.at(&["info", "name"]).and_then(Node::text).unwrap_or("Postman collection").to_owned();
    let count = taken.iter().filter(|taken| **taken).count();
    let (load, load_comments) = try_out();
    let remark =
        (target != NO_TARGET).then(|| "the collection's; give a system that you may load".to_owned());
    Ok(Draft {
        comments: vec![format!(
            "Made from {} of the Postman collection \"{name}\".",
            plural(count, "request", "requests")
        )],
        name,
        variables: variables.used(found.iter().map(|found| &found.request), notes),
        target,
        target_comment: remark,
        load,
        load_comments,
        scenarios: vec![Scenario {
            name: "collection".to_owned(),
            cookies: true,
            steps,
            ..Scenario::default()
        }],
        ..Draft::default()
    })
}

fn kept(raw: Vec<Raw>, found: &[Found], taken: &[bool]) -> Vec<Step> {
    let mut steps = Vec::new();
    for raw in raw {
        match raw {
            Raw::Request(index) if taken[index] => {
                steps.push(Step::Request(Box::new(found[index].request.clone())))
            }
            Raw::Request(_) => {}
            Raw::Group(name, inner) => {
                let inner = kept(inner, found, taken);
                if !inner.is_empty() {
                    steps.push(Step::Group(name, inner));
                }
            }
        }
    }
    steps
}
