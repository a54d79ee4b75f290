//! What a plan will say, before it is text.
//!
//! Every text in it is a template: `{{ }}` holds an expression, and what a source has literally goes through [`literal`].
//! Invariant after [`Draft::settle`]: what `plan::parse` would refuse in form (long names, headers that the engine
//! writes, bodies that are too deep) is mended, and said in the notes.

use crate::node::Node;
use crate::notes::Notes;
use crate::span::show_ms;
use crate::yaml::{self, Entry, Item, Yaml, entry, plain, text};

/// Target of a plan whose source names none: where `swell target` listens.
pub(crate) const NO_TARGET: &str = "http://127.0.0.1:7701";

/// A plan.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub name: String,
    /// What it was made from, and what to know before it is run.
    pub comments: Vec<String>,
    /// Name, value, and what to say of it.
    pub variables: Vec<(String, Node, Option<String>)>,
    pub target: String,
    pub target_comment: Option<String>,
    /// `http`, `tls`, `network`, …, as they are written.
    pub settings: Vec<Entry>,
    pub load: Vec<Entry>,
    pub load_comments: Vec<String>,
    pub scenarios: Vec<Scenario>,
    /// Expression, and what it was.
    pub thresholds: Vec<(String, Option<String>)>,
}

#[derive(Debug, Default)]
pub(crate) struct Scenario {
    pub name: String,
    pub comments: Vec<String>,
    pub weight: Option<u64>,
    pub cookies: bool,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum Step {
    Request(Box<Request>),
    /// A span.
    Pause(String),
    Group(String, Vec<Step>),
}

/// A request, its texts as templates.
#[derive(Debug, Default, Clone)]
pub(crate) struct Request {
    pub comments: Vec<String>,
    /// As in a plan: `get`.
    pub method: String,
    /// Encoded, without the query in `query`.
    pub path: String,
    pub name: Option<String>,
    /// Not encoded.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub auth: Option<Auth>,
    pub timeout: Option<String>,
    pub follow_redirects: bool,
    pub decompress: bool,
    /// Statuses as a plan writes them.
    pub status: Vec<String>,
    /// Name, where from, and what to say of it.
    pub save: Vec<(String, String, Option<String>)>,
}

#[derive(Debug, Default, Clone)]
pub(crate) enum Body {
    #[default]
    None,
    Text(String),
    Json(Node),
    Form(Vec<(String, String)>),
    Multipart(Vec<(String, Part)>),
    File(String),
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(String),
    File { file: String, media_type: Option<String>, filename: Option<String> },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Auth {
    Bearer(String),
    Basic { user: String, password: String },
    Aws(Vec<(String, String)>),
}

/// Literal text as a template. Keys are literal in a draft, and become templates when it is settled.
pub(crate) fn literal(text: &str) -> String {
    text.replace("{{", "{{ '{{' }}")
}

/// Methods that a step can have.
pub(crate) const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];

/// Headers that signing writes.
const SIGNERS: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// Headers that the engine writes.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "expect",
    "upgrade",
    "te",
    "trailer",
];

/// Bytes of a body that stands in the plan: the whole plan may have 256 KiB.
const BODY_BYTES: usize = 64 * 1024;
/// Levels of a JSON body that stands in the plan as YAML: 32 in all, and steps are six deep, in groups more.
const JSON_DEPTH: usize = 20;

impl Request {
    /// The row's name: as it is given, or as `plan` would give it.
    pub(crate) fn shown(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            format!("{} {}", self.method.to_uppercase(), self.path.split('?').next().unwrap_or_default())
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Shows every text that is sent to `see`, with the key it is the value of.
    pub(crate) fn each_text(&mut self, see: &mut dyn FnMut(&str, &mut String)) {
        self.query.iter_mut().for_each(|(key, value)| see(key, value));
        self.headers.iter_mut().for_each(|(key, value)| see(key, value));
        match &mut self.body {
            Body::Form(pairs) => pairs.iter_mut().for_each(|(key, value)| see(key, value)),
            Body::Multipart(parts) => parts.iter_mut().for_each(|(key, part)| {
                if let Part::Text(text) = part {
                    see(key, text);
                }
            }),
            Body::Json(node) => each_member(node, "", see),
            Body::Text(text) => see("", text),
            Body::None | Body::File(_) => {}
        }
    }

    /// Shows every text in which an expression may stand to `see`.
    pub(crate) fn each_template(&mut self, see: &mut dyn FnMut(&mut String)) {
        see(&mut self.path);
        self.each_text(&mut |_, text| see(text));
        match &mut self.auth {
            Some(Auth::Bearer(token)) => see(token),
            Some(Auth::Basic { user, password }) => {
                see(user);
                see(password);
            }
            Some(Auth::Aws(pairs)) => pairs.iter_mut().for_each(|(_, value)| see(value)),
            None => {}
        }
    }

    /// No name of a user has a colon, which stands behind it. `variables` are those whose values have one.
    fn settle_user(&mut self, shown: &str, variables: &[String], notes: &mut Notes) {
        let Some(Auth::Basic { user, .. }) = &self.auth else { return };
        let is_named = variables.iter().any(|name| user.contains(&format!("{{{{ {name} }}}}")));
        let mut parts = user.split("{{");
        let before = parts.next().unwrap_or_default();
        // What follows an expression's end is literal.
        let has_colon = std::iter::once(before)
            .chain(parts.filter_map(|part| Some(part.split_once("}}")?.1)))
            .any(|text| text.contains(':'));
        if is_named || has_colon {
            notes.add(format!(
                "{shown}: basic authorization left out, since its user has a colon in the name"
            ));
            self.auth = None;
        }
    }

    /// A signature is whole, of one request, and writes its own headers.
    fn settle_signing(&mut self, shown: &str, notes: &mut Notes) {
        let Some(Auth::Aws(pairs)) = &mut self.auth else { return };
        for (key, usual) in [
            ("region", "us-east-1"),
            ("service", "execute-api"),
            ("access_key", "{{ secret.AWS_ACCESS_KEY }}"),
            ("secret_key", "{{ secret.AWS_SECRET_KEY }}"),
        ] {
            if !pairs.iter().any(|(known, _)| known == key) {
                pairs.push((key.to_owned(), usual.to_owned()));
                notes.add(format!("{shown}: its signature names no {key}, {usual} stands there"));
            }
        }
        if std::mem::take(&mut self.follow_redirects) {
            notes.add(format!("{shown}: redirects of a signed request are not followed"));
        }
        self.headers.retain(|(name, _)| {
            let is_signers = SIGNERS.iter().any(|signers| signers.eq_ignore_ascii_case(name));
            if is_signers {
                notes.add(format!("{shown}: header \"{name}\" left out, the signing writes it"));
            }
            !is_signers
        });
    }

    fn settle(&mut self, variables: &[String], notes: &mut Notes) {
        let shown = self.shown();
        self.settle_user(&shown, variables, notes);
        self.settle_signing(&shown, notes);
        let mut kept: Vec<(String, String)> = Vec::new();
        for (name, value) in std::mem::take(&mut self.headers) {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let lower = name.to_ascii_lowercase();
            if RESERVED.contains(&lower.as_str()) {
                notes.gather("headers left out, since a browser or the engine adds them", &lower);
            } else if name.is_empty()
                || !name.bytes().all(token)
                || value.contains(|c: char| c.is_control() && c != '\t')
            {
                notes.add(format!("{shown}: header \"{name}\" is not valid, left out"));
            } else if let Some((_, before)) = kept.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(&name))
            {
                before.push_str(if lower == "cookie" { "; " } else { ", " });
                before.push_str(&value);
            } else {
                kept.push((name, value));
            }
        }
        self.headers = kept;
        if let Body::Json(node) = &mut self.body {
            node.each_key(&mut |key| *key = literal(key));
        }
        let bytes = match &self.body {
            Body::Json(node) if node.depth() > JSON_DEPTH => {
                let json = node.json();
                if self.header("content-type").is_none() {
                    self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
                }
                let length = json.len();
                self.body = Body::Text(json);
                length
            }
            Body::Json(node) => node.json().len(),
            Body::Text(text) => text.len(),
            _ => 0,
        };
        if bytes > BODY_BYTES {
            notes.add(format!(
                "{shown}: its body of {bytes} bytes is too long for a plan; put it into the file body.bin"
            ));
            self.body = Body::File("body.bin".to_owned());
        }
        if self.path.len() > plan::limits::PATH_BYTES {
            notes.add(format!("{shown}: its path of {} bytes is too long for a plan", self.path.len()));
        }
        self.name = self.name.take().map(|name| short_name(&name));
        let default =
            format!("{} {}", self.method.to_uppercase(), self.path.split('?').next().unwrap_or_default());
        if self.name.is_none() && (default.contains("{{") || short_name(&default) != default) {
            self.name = Some(short_name(&default.replace("{{ ", "{").replace(" }}", "}")));
        }
        if self.name.as_ref() == Some(&default) {
            self.name = None;
        }
    }

    fn yaml(&self) -> Item {
        let mut entries = vec![entry(&self.method, text(&self.path))];
        let mut put = |key: &str, value: Yaml| entries.push(entry(key, value));
        if let Some(name) = &self.name {
            put("name", text(name));
        }
        if !self.query.is_empty() {
            put("query", pairs(&self.query));
        }
        if !self.headers.is_empty() {
            put("headers", pairs(&self.headers));
        }
        match &self.body {
            Body::None => {}
            Body::Text(body) => put("body", text(body)),
            Body::Json(node) => put("json", node.into()),
            Body::Form(fields) => put("form", pairs(fields)),
            // A multipart body without parts is none.
            Body::Multipart(parts) if parts.is_empty() => {}
            Body::Multipart(parts) => {
                let parts = parts.iter().map(|(name, part)| entry(line(name), part.yaml())).collect();
                put("multipart", Yaml::Map(parts));
            }
            Body::File(file) => put("file", text(beside(file))),
        }
        if let Some(auth) = &self.auth {
            put("auth", auth.yaml());
        }
        if let Some(timeout) = &self.timeout {
            put("timeout", plain(timeout));
        }
        if self.follow_redirects {
            put("follow_redirects", plain(true));
        }
        if self.decompress {
            put("decompress", plain(true));
        }
        if !self.status.is_empty() {
            let status = match self.status.as_slice() {
                [one] => plain(one),
                several => Yaml::FlowList(several.iter().map(plain).collect()),
            };
            put("expect", Yaml::Flow(vec![entry("status", status)]));
        }
        if !self.save.is_empty() {
            let saved = self.save.iter().map(|(name, from, remark)| {
                let saved = entry(name, text(from));
                if let Some(remark) = remark { saved.remark(remark) } else { saved }
            });
            put("save", Yaml::Map(saved.collect()).compact());
        }
        Item { comments: self.comments.clone(), value: Yaml::Map(entries) }
    }
}

fn each_member(node: &mut Node, key: &str, see: &mut dyn FnMut(&str, &mut String)) {
    match node {
        Node::Text(text) => see(key, text),
        Node::List(nodes) => nodes.iter_mut().for_each(|node| each_member(node, key, see)),
        Node::Map(entries) => entries.iter_mut().for_each(|(key, node)| each_member(node, key, see)),
        _ => {}
    }
}

/// A name as a column heading has it.
pub(crate) fn short_name(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut name: String = name.trim().chars().take(plan::limits::NAME_CHARS).collect();
    // No expression can stand in a name.
    while name.contains("{{") {
        name = name.replace("{{", "{");
    }
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Pairs as a map; the values of a key that comes again are a list.
fn pairs(pairs: &[(String, String)]) -> Yaml {
    let mut entries: Vec<Entry> = Vec::new();
    for (key, value) in pairs {
        let key = literal(key);
        match entries.iter_mut().find(|entry| entry.key == key) {
            None => entries.push(entry(key, text(value))),
            Some(entry) => match &mut entry.value {
                Yaml::FlowList(values) => values.push(text(value)),
                first => *first = Yaml::FlowList(vec![first.clone(), text(value)]),
            },
        }
    }
    Yaml::Map(entries).compact()
}

/// Text on one line and without braces, as headers of parts want it.
fn line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '{' | '}')).collect()
}

/// The name of a file where a plan can have it: in its own folder.
fn beside(file: &str) -> String {
    let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control() && !matches!(c, ':' | '{' | '}')).collect();
    let name = name.trim().trim_start_matches('~');
    if matches!(name, "" | "." | "..") { "body.bin".to_owned() } else { name.to_owned() }
}

impl Part {
    fn yaml(&self) -> Yaml {
        match self {
            Part::Text(body) => text(body),
            Part::File { file, media_type, filename } => {
                let mut entries = vec![entry("file", text(beside(file)))];
                entries.extend(media_type.as_ref().map(|media_type| entry("type", text(line(media_type)))));
                entries.extend(filename.as_ref().map(|filename| entry("filename", text(line(filename)))));
                Yaml::Flow(entries)
            }
        }
    }
}

impl Auth {
    fn yaml(&self) -> Yaml {
        let (kind, value) = match self {
            Auth::Bearer(token) => ("bearer", text(token)),
            Auth::Basic { user, password } => {
                ("basic", Yaml::Flow(vec![entry("user", text(user)), entry("password", text(password))]))
            }
            Auth::Aws(pairs) => {
                ("aws", Yaml::Flow(pairs.iter().map(|(key, value)| entry(key, text(value))).collect()))
            }
        };
        Yaml::Flow(vec![entry(kind, value)])
    }
}

impl Draft {
    /// Shows every request to `see`.
    pub(crate) fn each_request(&mut self, see: &mut dyn FnMut(&mut Request)) {
        self.scenarios.iter_mut().for_each(|scenario| each_request(&mut scenario.steps, see));
    }

    /// Mends what a plan must not have.
    pub(crate) fn settle(&mut self, notes: &mut Notes) {
        self.name = short_name(&self.name);
        let with_colon = |(_, value, _): &&(String, Node, Option<String>)| {
            value.text().is_some_and(|text| text.contains(':'))
        };
        let with_colon: Vec<String> =
            self.variables.iter().filter(with_colon).map(|(name, ..)| name.clone()).collect();
        self.each_request(&mut |request| request.settle(&with_colon, notes));
        let mut names: Vec<String> = Vec::new();
        for scenario in &mut self.scenarios {
            let name = short_name(&scenario.name);
            let free = |name: &String| !names.contains(name);
            scenario.name = std::iter::once(name.clone())
                .chain((2..).map(|number| short_name(&format!("{number} {name}"))))
                .find(free)
                .unwrap_or(name);
            names.push(scenario.name.clone());
        }
    }

    /// The plan's text; `notes` stand at its top.
    pub(crate) fn text(&self, notes: &[String]) -> String {
        let mut out = String::new();
        for comment in &self.comments {
            out.push_str(&format!("# {}\n", yaml::one_line(comment)));
        }
        if !notes.is_empty() {
            out.push_str("#\n# To know, and what was not translated:\n");
            notes.iter().for_each(|note| out.push_str(&format!("#   * {}\n", yaml::one_line(note))));
        }
        out.push_str(&yaml::file(&self.entries()));
        out
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![entry("version", plain(1)), entry("name", text(&self.name))];
        if !self.variables.is_empty() {
            let variables = self.variables.iter().map(|(name, value, remark)| {
                let variable = entry(name, value.into());
                if let Some(remark) = remark { variable.remark(remark) } else { variable }
            });
            entries.push(entry("variables", Yaml::Map(variables.collect())));
        }
        let mut target = entry("target", text(&self.target));
        target.remark.clone_from(&self.target_comment);
        entries.push(target);
        entries.extend(self.settings.iter().cloned());
        let mut load = entry("load", Yaml::Map(self.load.clone()));
        load.comments.clone_from(&self.load_comments);
        entries.push(load);
        entries.push(entry("scenarios", Yaml::Map(self.scenarios.iter().map(Scenario::yaml).collect())));
        if !self.thresholds.is_empty() {
            let item = |(expression, was): &(String, Option<String>)| Item {
                comments: was.iter().cloned().collect(),
                value: text(expression),
            };
            entries.push(entry("thresholds", Yaml::List(self.thresholds.iter().map(item).collect())));
        }
        entries
    }
}

impl Scenario {
    fn yaml(&self) -> Entry {
        let mut entries = Vec::new();
        entries.extend(self.weight.map(|weight| entry("weight", plain(weight))));
        if self.cookies {
            entries.push(entry("cookies", plain(true)));
        }
        entries.push(entry("steps", Yaml::List(self.steps.iter().map(Step::yaml).collect())));
        Entry { comments: self.comments.clone(), ..entry(&self.name, Yaml::Map(entries)) }
    }
}

impl Step {
    fn yaml(&self) -> Item {
        match self {
            Step::Request(request) => request.yaml(),
            Step::Pause(span) => Yaml::Map(vec![entry("pause", plain(span))]).into(),
            Step::Group(name, steps) => Yaml::Map(vec![
                entry("group", text(short_name(name))),
                entry("steps", Yaml::List(steps.iter().map(Step::yaml).collect())),
            ])
            .into(),
        }
    }
}

fn each_request(steps: &mut [Step], see: &mut dyn FnMut(&mut Request)) {
    for step in steps {
        match step {
            Step::Request(request) => see(request),
            Step::Group(_, steps) => each_request(steps, see),
            Step::Pause(_) => {}
        }
    }
}

/// The load of a source that names none: so little that nobody is hurt by trying it.
pub(crate) fn try_out() -> (Vec<Entry>, Vec<String>) {
    let comments = vec!["A first try with one user. Say here how much load you mean.".to_owned()];
    (closed(1, 30_000, &mut Notes::default()), comments)
}

/// So many users for so long.
pub(crate) fn closed(users: u64, ms: u64, notes: &mut Notes) -> Vec<Entry> {
    let users = plain(at_most("users", users, plan::limits::USERS.into(), notes));
    let stage = Yaml::Flow(vec![entry("users", users), entry("for", plain(length(ms, notes)))]);
    vec![entry("model", plain("closed")), entry("stages", Yaml::List(vec![stage.into()]))]
}

/// So many users, and iterations of all of them together.
pub(crate) fn closed_iterations(users: u64, iterations: u64, notes: &mut Notes) -> Vec<Entry> {
    let users = at_most("users", users, plan::limits::USERS.into(), notes);
    let iterations = at_most("iterations", iterations, plan::limits::REQUESTS_PER_DRIVER, notes);
    vec![
        entry("model", plain("closed")),
        entry("users", plain(users)),
        entry("iterations", plain(iterations.max(users))),
    ]
}

/// Arrivals of one rate.
pub(crate) fn open(count: f64, per_ms: u64, ms: u64, notes: &mut Notes) -> Vec<Entry> {
    let rate = plain(rate(count, per_ms, notes));
    let stage = Yaml::Flow(vec![entry("at", rate), entry("for", plain(length(ms, notes)))]);
    vec![entry("model", plain("open")), entry("stages", Yaml::List(vec![stage.into()]))]
}

/// A count that a plan may have.
pub(crate) fn at_most(what: &str, count: u64, most: u64, notes: &mut Notes) -> u64 {
    if count > most {
        notes.add(format!("{count} {what} are more than a plan has, {most} stand for them"));
    }
    count.clamp(1, most)
}

/// The length of a stage, as a plan writes it.
pub(crate) fn length(ms: u64, notes: &mut Notes) -> String {
    let most = u64::try_from(plan::limits::RUN.as_millis()).unwrap_or(u64::MAX);
    if ms > most {
        notes.add(format!(
            "a run of {} is longer than a plan's, {} stand for it",
            show_ms(ms),
            show_ms(most)
        ));
    }
    show_ms(ms.min(most))
}

/// So many per so many milliseconds, as a plan writes it. Zero is the end of a ramp, never a level that stays.
pub(crate) fn rate(count: f64, per_ms: u64, notes: &mut Notes) -> String {
    let per_s = count * 1000.0 / per_ms as f64;
    let (least, most) = (plan::limits::RATE_PER_S_MIN, plan::limits::RATE_PER_S);
    if per_s > most || (per_s < least && per_s > 0.0) {
        notes.add(format!("a rate of {per_s}/s is none that a plan has, the nearest stands for it"));
        return if per_s > most { format!("{most}/s") } else { "1/h".to_owned() };
    }
    match per_ms {
        1000 => format!("{}/s", short(count)),
        60_000 => format!("{}/min", short(count)),
        3_600_000 => format!("{}/h", short(count)),
        _ if per_s < 1.0 => format!("{}/h", short(per_s * 3600.0)),
        _ => format!("{}/s", short(per_s)),
    }
}

/// A number with at most six places.
fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Each address from which to connect that is one; the others are told.
pub(crate) fn source_address(address: &str, notes: &mut Notes) -> Option<Entry> {
    if address.parse::<std::net::IpAddr>().is_err() {
        notes.add(format!("{address}: no address to connect from, left out"));
        return None;
    }
    let addresses = entry("source_addresses", Yaml::FlowList(vec![text(address)]));
    Some(entry("network", Yaml::Map(vec![addresses])))
}
