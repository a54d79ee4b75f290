//! The dashboards of `deploy/grafana`, as files: Grafana knows every field, nothing overlaps, and every name that is used
//! is there. Deliberately absent: what their queries say, which is tested where SQL belongs.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(root().join("deploy/grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
}

/// Each dashboard, by the name of its file.
fn dashboards() -> Vec<(String, Value)> {
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    };
    files().iter().map(read).collect()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// Grafana's own library reads them, strictly.
#[test]
fn grafana_knows_every_field() {
    let go = xtask::golang::program().unwrap();
    let folder = root().join("tests/grafana");
    let mut check = Command::new(go);
    check.args(["run", "."]).args(files()).current_dir(folder).env("GOFLAGS", "-mod=readonly");
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "/title");
            let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}, {title}: the id is another panel's");
            assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{name}, {title}: outside of the grid");
            for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
                assert!(taken.insert(cell), "{name}, {title}: overlaps at {cell:?}");
            }
        }
        let height = taken.iter().map(|(row, _)| row + 1).max().unwrap_or(0);
        let holes = (0..height).find(|row| !taken.contains(&(*row, 0)));
        assert_eq!(holes, None, "{name}: an empty line");
    }
}

#[test]
fn panels_say_what_they_show() {
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "/panels").iter().filter(|panel| panel["type"] != "row") {
            let title = text(panel, "/title");
            assert!(!title.is_empty(), "{name}: a panel without a title");
            assert!(text(panel, "/description").ends_with('.'), "{name}, {title}: no description");
            assert!(!list(panel, "/targets").is_empty(), "{name}, {title}: no query");
            let has_unit = match panel["type"].as_str().unwrap() {
                "table" => true,
                "heatmap" => !text(panel, "/options/yAxis/unit").is_empty(),
                _ => !text(panel, "/fieldConfig/defaults/unit").is_empty(),
            };
            assert!(has_unit, "{name}, {title}: no unit");
        }
    }
}

/// The value of `${NAME}` or `${NAME:format}` and `$NAME` in a text, but the built-in ones.
fn used_variables(text: &str) -> BTreeSet<&str> {
    let names = text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or("")
    });
    names.filter(|name| !name.is_empty() && !name.starts_with("__")).collect()
}

/// Every text of a value.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(values) => values.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn variables_and_links_lead_somewhere() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.iter().map(|(_, dashboard)| text(dashboard, "/uid")).collect();
    assert_eq!(uids.len(), dashboards.len(), "two dashboards have the same uid");
    for (name, dashboard) in &dashboards {
        assert!(text(dashboard, "/uid").starts_with("groundswell-"), "{name}: a uid that others may have");
        let own: BTreeSet<&str> =
            list(dashboard, "/templating/list").iter().map(|variable| text(variable, "/name")).collect();
        let mut all = Vec::new();
        texts(dashboard, &mut all);
        let mut linked = BTreeSet::new();
        for found in &all {
            if let Some((uid, query)) = found.strip_prefix("/d/").and_then(|rest| rest.split_once('?')) {
                let there = dashboards.iter().find(|(_, other)| text(other, "/uid") == uid);
                let (_, there) =
                    there.unwrap_or_else(|| panic!("{name}: a link to {uid}, which is not there"));
                linked.insert(uid);
                let takes: Vec<&str> =
                    list(there, "/templating/list").iter().map(|variable| text(variable, "/name")).collect();
                let given = query.split('&').filter_map(|pair| pair.strip_prefix("var-")?.split('=').next());
                for variable in given {
                    assert!(takes.contains(&variable), "{name}: a link gives {uid} the variable {variable}");
                }
            }
        }
        let others: BTreeSet<&str> =
            uids.iter().copied().filter(|uid| *uid != text(dashboard, "/uid")).collect();
        assert!(linked.is_superset(&others), "{name}: no link to {:?}", others.difference(&linked));
        // The overview has no run of its own: its links leave that to the dashboard they lead to.
        let used: BTreeSet<&str> = all.iter().flat_map(|text| used_variables(text)).collect();
        assert!(used.is_subset(&own), "{name}: {:?} stand for nothing", used.difference(&own));
        assert!(own.is_subset(&used), "{name}: nothing uses {:?}", own.difference(&used));
    }
}

/// The database is the user's choice, never a fixed one.
#[test]
fn every_query_asks_the_chosen_database() {
    for (name, dashboard) in dashboards() {
        let panels = list(&dashboard, "/panels").iter().filter(|panel| panel["type"] != "row");
        let targets = panels.flat_map(|panel| std::iter::once(panel).chain(list(panel, "/targets")));
        let variables =
            list(&dashboard, "/templating/list").iter().filter(|variable| variable["type"] == "query");
        for asks in targets.chain(variables).chain(list(&dashboard, "/annotations/list")) {
            assert_eq!(text(asks, "/datasource/uid"), "${datasource}", "{name}: {asks:#}");
            assert_eq!(text(asks, "/datasource/type"), "grafana-postgresql-datasource", "{name}");
        }
    }
}
