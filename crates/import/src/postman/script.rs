//! Scripts of a collection: what is plain in them becomes `expect` and `save`, the rest is counted.
//!
//! Deliberately absent: an interpreter. A line is taken when it says one of a few well-known things and nothing else.

use crate::draft::Request;
use crate::names;
use crate::node::Node;

/// The lines of a script that say something.
pub(super) fn lines(event: &Node) -> Vec<String> {
    let exec = event.at(&["script", "exec"]).unwrap_or(&Node::Null);
    let text = match exec {
        Node::List(lines) => lines.iter().filter_map(Node::text).collect::<Vec<_>>().join("\n"),
        Node::Text(text) => text.clone(),
        _ => String::new(),
    };
    let said = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    said.map(str::to_owned).collect()
}

/// Takes what it can into `request`; how many lines are left.
pub(super) fn taken(lines: &[String], request: &mut Request) -> usize {
    let mut bodies: Vec<String> = Vec::new();
    let mut left = 0;
    for line in lines {
        let mut said = false;
        // `pm.test("…", function () { … });` on one line or on three.
        for statement in inner(line).split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            said |= !(is_frame(statement)
                || status(statement, request)
                || body(statement, &mut bodies)
                || saved(statement, &bodies, request));
        }
        left += usize::from(said);
    }
    left
}

/// What is in the function of a test that stands on one line.
fn inner(line: &str) -> &str {
    let opens = ["function () {", "function() {", "function(){", "() => {", "()=>{"];
    if line.starts_with("pm.test(")
        && let Some(start) = opens.iter().find_map(|open| line.find(open).map(|at| at + open.len()))
    {
        return line[start..].trim_end_matches([';', ')', ' ']).trim_end_matches('}');
    }
    line
}

fn is_frame(statement: &str) -> bool {
    statement.starts_with("pm.test(") && statement.ends_with(['{', ','])
        || statement.chars().all(|c| "{}(); ".contains(c))
        || statement == "use strict"
        || statement.starts_with("console.log(")
}

/// `pm.response.to.have.status(201)` and its relatives.
fn status(statement: &str, request: &mut Request) -> bool {
    let plain: String = statement.chars().filter(|c| !c.is_whitespace()).collect();
    let starts = [
        "pm.response.to.have.status(",
        "pm.expect(pm.response.code).to.equal(",
        "pm.expect(pm.response.code).to.eql(",
        "pm.expect(pm.response.code).to.eq(",
        "pm.expect(pm.response.code).to.be.equal(",
        "pm.expect(pm.response.code).to.be.oneOf([",
        "pm.expect(pm.response.code).to.be.oneof([",
    ];
    let called = starts
        .iter()
        .find_map(|start| plain.strip_prefix(start))
        .map(|rest| rest.trim_end_matches([')', ']']));
    let assigned = plain.strip_prefix("tests[").and_then(|rest| {
        let (_, rest) = rest.split_once("]=responseCode.code")?;
        Some(rest.trim_start_matches('='))
    });
    let codes: Option<Vec<String>> =
        called.or(assigned).map(|codes| codes.split(',').map(str::to_owned).collect());
    let is_code =
        |code: &String| code.len() == 3 && code.parse::<u16>().is_ok_and(|code| (100..=599).contains(&code));
    match codes {
        Some(codes) if codes.iter().all(is_code) => {
            request.status = codes;
            true
        }
        _ if plain == "pm.response.to.be.ok" || plain == "pm.response.to.be.success" => {
            request.status = vec!["2xx".to_owned()];
            true
        }
        _ => false,
    }
}

/// `const body = pm.response.json()`: a name for the body.
fn body(statement: &str, bodies: &mut Vec<String>) -> bool {
    let Some((left, right)) = statement.split_once('=') else {
        return false;
    };
    let right: String = right.chars().filter(|c| !c.is_whitespace()).collect();
    let name =
        left.trim().trim_start_matches("var ").trim_start_matches("let ").trim_start_matches("const ").trim();
    let is_body = ["pm.response.json()", "JSON.parse(responseBody)", "JSON.parse(pm.response.text())"]
        .contains(&right.as_str());
    if is_body && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$') {
        bodies.push(name.to_owned());
        return true;
    }
    false
}

/// `pm.environment.set("token", body.data.token)` and its relatives.
fn saved(statement: &str, bodies: &[String], request: &mut Request) -> bool {
    let starts = [
        "pm.environment.set(",
        "pm.collectionVariables.set(",
        "pm.globals.set(",
        "pm.variables.set(",
        "postman.setEnvironmentVariable(",
        "postman.setGlobalVariable(",
    ];
    let Some(rest) = starts.iter().find_map(|start| statement.strip_prefix(start)) else {
        return false;
    };
    let Some((name, value)) = rest.trim_end().strip_suffix(')').and_then(|rest| rest.split_once(',')) else {
        return false;
    };
    let name = name.trim();
    let unquoted = name.trim_matches(['"', '\'', '`']);
    let value = value.trim();
    let of_body = bodies.iter().map(String::as_str).chain(["pm.response.json()", "JSON.parse(responseBody)"]);
    let path = of_body.filter_map(|body| value.strip_prefix(body)).find_map(json_path);
    match path {
        Some(path) if unquoted.len() + 2 == name.len() => {
            request.save.push((names::variable(unquoted), path, None));
            true
        }
        _ => false,
    }
}

/// `.data[0].id` as a JSONPath.
fn json_path(members: &str) -> Option<String> {
    let mut rest = members;
    while !rest.is_empty() {
        let (member, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => {
                let inner = rest.strip_prefix('.')?;
                let end = inner.find(['.', '[']).unwrap_or(inner.len());
                inner.split_at(end)
            }
        };
        let word = !member.is_empty() && member.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let quoted = member.len() > 2
            && member.starts_with(['"', '\''])
            && member.ends_with(['"', '\''])
            && !member[1..member.len() - 1].contains(['"', '\'', '\\']);
        let index = rest.starts_with('[');
        if !(word && (!index || member.bytes().all(|byte| byte.is_ascii_digit())) || index && quoted) {
            return None;
        }
        rest = after;
    }
    (!members.is_empty()).then(|| format!("${}", members.replace('"', "'")))
}
