//! How often the steps of a plan are sent and how large their requests are, as far as the plan tells.
//!
//! Invariant: bounds, not guesses: a condition may hold or not, a loop over a list may have any length. They hold for
//! iterations in which every request succeeds, since one that fails may end its iteration. Deliberately absent:
//! redirects, and answers.

use std::ops::{Add, Mul};

use plan::{Body, Bound, Content, Expression, Op, Plan, Scenario, Step, Template, Value, Workload};

/// What an expression is taken to write: an identifier or a short word.
pub(crate) const VALUE_BYTES: usize = 16;

/// The `User-Agent` that drivers send, with a version of usual length.
const USER_AGENT: &str = "User-Agent: groundswell/0.1.0\r\n";

/// Two bounds of a number; the upper one is infinite where there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Between {
    pub least: f64,
    pub most: f64,
}

impl Between {
    pub(crate) const NONE: Self = Self { least: 0.0, most: 0.0 };

    pub(crate) fn exactly(number: f64) -> Self {
        Self { least: number, most: number }
    }
}

impl Mul<f64> for Between {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        self * Self::exactly(factor)
    }
}

impl Mul for Between {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        // Nothing, even of an unknown number of times, is nothing.
        let most = if self.most == 0.0 || other.most == 0.0 { 0.0 } else { self.most * other.most };
        Self { least: self.least * other.least, most }
    }
}

impl Add for Between {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { least: self.least + other.least, most: self.most + other.most }
    }
}

/// How often each step of `scenario` is sent in one of its iterations.
fn visits(scenario: &Scenario) -> Vec<Between> {
    let mut visits = vec![Between::NONE; scenario.steps.len()];
    // What the operation stands in: where that ends, and how often it is gone through.
    let mut around: Vec<(u32, Between)> = Vec::new();
    let mut rounds = Between::NONE;
    for (op, at) in scenario.flow.iter().zip(0..) {
        around.retain(|(end, _)| at < *end);
        match op {
            Op::Request(number) => {
                let often = around.iter().fold(Between::exactly(1.0), |often, (_, each)| often * *each);
                if let Some(visits) = usize::try_from(*number).ok().and_then(|at| visits.get_mut(at)) {
                    *visits = often;
                }
            }
            Op::Unless(condition, end) => around.push((*end, if_holds(condition))),
            Op::Begin(_, bound) => rounds = rounds_of(bound),
            Op::Head { condition: None, end, .. } => around.push((*end, rounds)),
            Op::Head { end, .. } => around.push((*end, Between { least: 0.0, ..rounds })),
            Op::Pause(_) | Op::Enter(_) | Op::Leave(_) | Op::Again(..) => {}
        }
    }
    visits
}

fn if_holds(condition: &Expression) -> Between {
    match condition.constant() {
        Some(Value::Bool(holds)) => Between::exactly(f64::from(u8::from(holds))),
        _ => Between { least: 0.0, most: 1.0 },
    }
}

fn rounds_of(bound: &Bound) -> Between {
    match bound {
        Bound::Times(times) => match times.constant() {
            Some(Value::Int(times)) => Between::exactly(times.max(0) as f64),
            _ => Between { least: 0.0, most: f64::INFINITY },
        },
        Bound::Each(_) => Between { least: 0.0, most: f64::INFINITY },
    }
}

/// The scenarios of a workload, each with its share of the iterations.
fn walked<'p>(plan: &'p Plan, workload: &'p Workload) -> impl Iterator<Item = (&'p Scenario, f64)> {
    let scenarios = || workload.scenarios.iter().filter_map(|number| plan.scenarios.get(*number));
    let weights: f64 = scenarios().map(|scenario| f64::from(scenario.weight)).sum();
    scenarios().map(move |scenario| (scenario, f64::from(scenario.weight) / weights.max(1.0)))
}

/// Each step of a workload with how often it is sent in one iteration, over all its scenarios by their weights.
fn sent<'p>(plan: &'p Plan, workload: &'p Workload) -> impl Iterator<Item = (&'p Step, Between)> {
    walked(plan, workload).flat_map(move |(scenario, share)| {
        scenario.steps.iter().zip(visits(scenario)).map(move |(step, often)| (step, often * share))
    })
}

/// Requests of each row in one iteration of a workload, in the order of [`Plan::rows`].
pub(crate) fn requests_by_row(plan: &Plan, workload: &Workload) -> Vec<Between> {
    let mut rows = vec![Between::NONE; plan.rows().len()];
    for (step, often) in sent(plan, workload) {
        if let Some(row) = rows.get_mut(usize::from(step.id.0)) {
            *row = *row + often;
        }
    }
    rows
}

/// Requests in one iteration of a workload.
pub(crate) fn requests(plan: &Plan, workload: &Workload) -> Between {
    requests_by_row(plan, workload).into_iter().fold(Between::NONE, Add::add)
}

/// Bytes that an iteration of a workload sends, where files have as many as `file_bytes` says.
pub(crate) fn bytes(plan: &Plan, workload: &Workload, file_bytes: &dyn Fn(&str) -> u64) -> Between {
    let each = sent(plan, workload).map(|(step, often)| often * request_bytes(plan, step, file_bytes) as f64);
    each.fold(Between::NONE, Add::add)
}

/// Of a workload's iterations those whose scenario uses the source of this number.
pub(crate) fn share_with_source(plan: &Plan, workload: &Workload, source: usize) -> f64 {
    let uses = |scenario: &Scenario| scenario.sources.iter().any(|used| usize::from(*used) == source);
    walked(plan, workload).filter(|(scenario, _)| uses(scenario)).map(|(_, share)| share).sum()
}

/// Whether a request has parts that are known only when it is sent.
pub(crate) fn has_expressions(plan: &Plan) -> bool {
    let is_open = |text: &Template| text.as_text().is_none();
    let in_body = |body: &Body| match body {
        Body::Text(text) => is_open(text),
        Body::File(_) => false,
        Body::Multipart(multipart) => multipart
            .parts
            .iter()
            .any(|part| is_open(&part.head) || matches!(&part.content, Content::Text(text) if is_open(text))),
    };
    plan.scenarios.iter().flat_map(|scenario| &scenario.steps).any(|step| {
        is_open(&step.path) || step.headers.iter().any(|(_, value)| is_open(value)) || in_body(&step.body)
    })
}

/// A request as HTTP/1.1 writes it, to the plan's first target.
fn request_bytes(plan: &Plan, step: &Step, file_bytes: &dyn Fn(&str) -> u64) -> u64 {
    let (base, authority) = match plan.targets.first() {
        Some(target) => (target.base_path.len(), target.authority().len()),
        None => (0, 0),
    };
    let has = |wanted: &str| step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut head =
        step.method.len() + base + text_bytes(&step.path) + "  HTTP/1.1\r\nHost: \r\n\r\n".len() + authority;
    head += if has("user-agent") { 0 } else { USER_AGENT.len() };
    head += step.headers.iter().map(|(name, value)| name.len() + text_bytes(value) + 4).sum::<usize>();
    if step.decompress && !has("accept-encoding") {
        head += "accept-encoding: gzip, deflate, br, zstd\r\n".len();
    }
    let body = match &step.body {
        Body::Text(text) => text_bytes(text) as u64,
        Body::File(path) => file_bytes(path),
        Body::Multipart(multipart) => {
            let delimiter = multipart.boundary.len() + "--\r\n\r\n".len();
            let parts = multipart.parts.iter().map(|part| {
                let content = match &part.content {
                    Content::Text(text) => text_bytes(text) as u64,
                    Content::File(path) => file_bytes(path),
                };
                (delimiter + text_bytes(&part.head)) as u64 + content
            });
            parts.sum::<u64>() + (delimiter + 2) as u64
        }
    };
    if body > 0 || matches!(step.method.as_str(), "POST" | "PUT" | "PATCH") {
        head += "Content-Length: \r\n".len() + body.to_string().len();
    }
    head as u64 + body
}

/// Bytes of a text, each expression in it taken for [`VALUE_BYTES`].
fn text_bytes(template: &Template) -> usize {
    if let Some(text) = template.as_text() {
        return text.len();
    }
    let written = template.to_string();
    let mut pieces = written.split("{{");
    let first = pieces.next().map_or(0, str::len);
    first
        + pieces
            .map(|piece| VALUE_BYTES + piece.split_once("}}").map_or(0, |(_, rest)| rest.len()))
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: &str) -> Plan {
        let text = format!(
            "version: 1\nname: x\ntarget: http://127.0.0.1:8080\nvariables: {{ n: 3, on: true }}\n\
             load: {{ model: open, stages: [{{ at: 1/s, for: 1s }}] }}\nscenarios:\n  one:\n    steps:\n{steps}"
        );
        plan::parse("x", &text).unwrap_or_else(|faults| panic!("{faults:#?}"))
    }

    fn requests(steps: &str) -> Vec<(f64, f64)> {
        let plan = plan(steps);
        requests_by_row(&plan, &plan.workloads[0])
            .into_iter()
            .map(|often| (often.least, often.most))
            .collect()
    }

    #[test]
    fn loops_multiply_and_conditions_halve_nothing() {
        let steps = "
      - get: /a
      - repeat: 2
        steps:
          - get: /b
          - repeat: \"{{ n }}\"
            steps:
              - get: /c
              - { get: /d, when: \"iteration > 5\" }
              - { get: /e, when: \"on\" }
      - while: \"iteration > 5\"
        at_most: 4
        steps: [{ get: /f }]
      - for_each: \"{{ iteration }}\"
        as: one
        steps: [{ get: /g }, { get: /a }]
      - get: /h
";
        let expected = [
            (1.0, f64::INFINITY),
            (2.0, 2.0),
            (6.0, 6.0),
            (0.0, 6.0),
            (6.0, 6.0),
            (0.0, 4.0),
            (0.0, f64::INFINITY),
            (1.0, 1.0),
        ];
        assert_eq!(requests(steps), expected);
    }

    #[test]
    fn sizes_are_those_of_requests_as_they_are_written() {
        let get = plan("      - get: /ping\n");
        let written = "GET /ping HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: groundswell/0.1.0\r\n\r\n";
        assert_eq!(bytes(&get, &get.workloads[0], &|_| 0), Between::exactly(written.len() as f64));
        let post = plan("      - { post: /x, body: \"a{{ iteration }}b\", headers: { x: y } }\n");
        let written = "POST /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: groundswell/0.1.0\r\nx: y\r\n\
                       Content-Length: 18\r\n\r\n";
        assert_eq!(bytes(&post, &post.workloads[0], &|_| 0), Between::exactly((written.len() + 18) as f64));
        assert!(has_expressions(&post) && !has_expressions(&get));
        let file = plan("      - { put: /x, file: a.bin }\n");
        let of = |size| bytes(&file, &file.workloads[0], &|_| size).least;
        assert_eq!(of(1000) - of(0), 1000.0 + 3.0);
    }
}
