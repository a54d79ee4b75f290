//! Thresholds of k6 as ours: `http_req_duration: ['p(95)<500']` is `p95 < 500ms`.

use super::short;
use crate::node::Node;
use crate::notes::Notes;

/// An expression, and what it was.
type Translated = (String, Option<String>);

/// All thresholds that can be translated, and whether one of them needs phases.
pub(super) fn thresholds(node: &Node, scenarios: &[String], notes: &mut Notes) -> (Vec<Translated>, bool) {
    let mut translated = Vec::new();
    let mut phases = false;
    for (metric, list) in node.entries() {
        let one = std::slice::from_ref(list);
        for threshold in if list.list().is_empty() { one } else { list.list() } {
            let (text, aborts) = match threshold {
                Node::Text(text) => (text.as_str(), false),
                other => (
                    other.text_of("threshold").unwrap_or_default(),
                    other.get("abortOnFail").is_some_and(Node::is_true),
                ),
            };
            if let Some(delay) = threshold.get("delayAbortEval") {
                notes.add(format!("threshold {metric}: delayAbortEval: {} is not translated; `for 10s` waits for a breach that lasts", short(delay)));
            }
            let translation = translate(metric, text, scenarios).and_then(|(expression, of_phase)| {
                let expression = if aborts { format!("{expression}, abort") } else { expression };
                accepted(&expression, scenarios).map(|()| (expression, of_phase))
            });
            match translation {
                Ok((expression, of_phase)) => {
                    phases |= of_phase;
                    translated.push((expression, Some(format!("{metric}: {text}"))));
                }
                Err(why) => notes.add(format!("threshold {metric}: {text}: {why}, not translated")),
            }
        }
    }
    (translated, phases)
}

/// What a metric of k6 measures.
enum Kind {
    /// Times, under our name, and whether that is a phase.
    Time(&'static str, bool),
    Failed,
    Checks,
    Requests,
}

fn kind(metric: &str) -> Option<Kind> {
    Some(match metric {
        "http_req_duration" => Kind::Time("", false),
        "iteration_duration" => Kind::Time("iteration_time.", false),
        "http_req_blocked" => Kind::Time("connection_wait.", false),
        "http_req_connecting" => Kind::Time("connect.", true),
        "http_req_tls_handshaking" => Kind::Time("tls.", true),
        "http_req_sending" => Kind::Time("sending.", true),
        "http_req_waiting" => Kind::Time("waiting.", true),
        "http_req_receiving" => Kind::Time("receiving.", true),
        "http_req_failed" => Kind::Failed,
        "checks" => Kind::Checks,
        "http_reqs" => Kind::Requests,
        _ => return None,
    })
}

/// Our expression, and whether it looks at a phase.
fn translate(metric: &str, text: &str, scenarios: &[String]) -> Result<(String, bool), String> {
    let (metric, tags) = match metric.split_once('{') {
        Some((metric, tags)) => (metric, tags.trim_end_matches('}')),
        None => (metric, ""),
    };
    let scope = scope(tags, scenarios)?;
    let (aggregate, operator, value) = parts(text).ok_or("it is not understood")?;
    let kind = kind(metric.trim()).ok_or("there is no such metric here")?;
    if !matches!(operator, "<" | "<=" | ">" | ">=") {
        return Err(format!("there is no {operator} here"));
    }
    match kind {
        Kind::Time(prefix, phase) => {
            let statistic = statistic(aggregate).ok_or("there is no such statistic here")?;
            Ok((format!("{prefix}{statistic}{scope} {operator} {value}ms"), phase))
        }
        Kind::Failed if aggregate == "rate" => {
            Ok((format!("error_rate{scope} {operator} {}%", percent(value)), false))
        }
        // Checks become expectations of steps; what does not meet them is an error.
        Kind::Checks if aggregate == "rate" => {
            let turned = match operator {
                ">" => "<",
                ">=" => "<=",
                "<" => ">",
                _ => ">=",
            };
            Ok((format!("error_rate{scope} {turned} {}%", percent(1.0 - value)), false))
        }
        Kind::Requests if aggregate == "count" => Ok((format!("count{scope} {operator} {value}"), false)),
        Kind::Requests if aggregate == "rate" => Ok((format!("rate{scope} {operator} {value}/s"), false)),
        _ => Err(format!("{metric} has no {aggregate} here")),
    }
}

/// Whether a plan may have this threshold: k6 compares with what a plan refuses, such as a time of zero.
fn accepted(expression: &str, scenarios: &[String]) -> Result<(), String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let scenarios: Vec<String> = scenarios
        .iter()
        .enumerate()
        .map(|(number, name)| format!("{}: {{ steps: [ get: /{number} ] }}", quoted(name)))
        .chain(scenarios.is_empty().then(|| "main: { steps: [ get: / ] }".to_owned()))
        .collect();
    let plan = format!(
        "version: 1\nname: k6\ntarget: http://localhost\nphases: true\n\
         load: {{ model: closed, stages: [ {{ users: 1, for: 1m }} ] }}\n\
         scenarios: {{ {} }}\nthresholds: [ {} ]\n",
        scenarios.join(", "),
        quoted(expression)
    );
    match plan::parse("k6", &plan) {
        Ok(_) => Ok(()),
        // Other faults are of what is around it here.
        Err(faults) => match faults.iter().find(|fault| fault.line == 7) {
            Some(fault) => Err(fault.message.clone()),
            None => Ok(()),
        },
    }
}

/// Only a scenario is also one here; other tags are k6's, or the script's.
fn scope(tags: &str, scenarios: &[String]) -> Result<String, String> {
    if tags.is_empty() {
        return Ok(String::new());
    }
    match tags.split_once(':') {
        Some(("scenario", name)) if scenarios.iter().any(|known| known == name) => {
            Ok(format!(" of scenario \"{name}\""))
        }
        Some(("expected_response", "true")) => Err("times here are of all answers".to_owned()),
        _ => Err(format!("its filter {{{tags}}} is not known here")),
    }
}

/// `p(95)<500` in its parts.
fn parts(text: &str) -> Option<(&str, &str, f64)> {
    let at = text.find(['<', '>', '=', '!'])?;
    let end = at + text[at..].find(|c| !"<>=!".contains(c))?;
    Some((
        text[..at].trim(),
        &text[at..end],
        text[end..].trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?,
    ))
}

fn statistic(aggregate: &str) -> Option<String> {
    let percentile = aggregate.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')'));
    if let Some(percentile) = percentile {
        let share: f64 = percentile.trim().parse().ok()?;
        let share = (share > 0.0 && share < 100.0).then(|| share.to_string())?;
        let places = share.split_once('.').map_or(0, |(_, places)| places.len());
        return (places <= 4).then(|| format!("p{share}"));
    }
    let ours = match aggregate {
        "avg" => "mean",
        "med" => "median",
        "min" => "min",
        "max" => "max",
        _ => return None,
    };
    Some(ours.to_owned())
}

/// A share as percent, without what floating point adds.
fn percent(share: f64) -> f64 {
    (share * 100.0 * 1e6).round() / 1e6
}
