//! What `deploy/grafana` and `docs/sql.md` ask of PostgreSQL, as Grafana and people send it: every query gives rows of the
//! shape that is expected, and where figures are known they are those of `metrics`.

#![allow(clippy::unwrap_used, reason = "fails where it fails")]

mod fixture;
mod raw;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fixture::{merged, reports, run};
use metrics::{Merged, StepWindow, Timing};
use plan::StageId;
use serde_json::{Map, Value};
use store::postgres::{self, Setup};
use store::{Batch, Delivery, EventRow, Location, RunRow, Store, open_events};

const RUN: &str = "benchmark_42";
const BASELINE: &str = "benchmark_41";
const STARTED_MS: i64 = 1_772_367_000_000;
const SECONDS: u32 = 130;
/// What the variables of the dashboards stand for.
const CHOSEN: &[(&str, &[&str])] = &[
    ("run", &[RUN]),
    ("baseline", &[BASELINE]),
    ("step", &["GET /a", "GET /b"]),
    ("driver", &["d0", "d1"]),
    ("plan", &["checkout", "with 'quotes'"]),
];
/// The width of a point when Grafana shows some minutes, in seconds.
const INTERVAL_S: u32 = 10;

const PLAN: &str = "version: 1
name: checkout
target: http://127.0.0.1:1
load: { model: open, stages: [{ name: warm, at: 10/s, for: 5s, warmup: true }, { name: hold, at: 10/s, for: 125s }] }
scenarios: { s: { steps: [{ get: /a }, { get: /b }] } }
";

/// A database with two runs of a plan and raw events of the newer one, and what was measured of that.
struct Filled {
    name: String,
    measured: Merged,
}

static FILLED: LazyLock<Filled> = LazyLock::new(|| {
    let (name, address) = server::database();
    postgres::init(&address, &Setup::default()).unwrap();
    let location = Location::from(&address);
    let mut store = Store::open(&location).unwrap();
    fill(
        &mut store,
        BASELINE,
        STARTED_MS - 3_600_000,
        &reports(&mut fastrand::Rng::with_seed(1), 2, SECONDS, 2),
    );
    let reports = reports(&mut fastrand::Rng::with_seed(2), 2, SECONDS, 2);
    fill(&mut store, RUN, STARTED_MS, &reports);
    open_events(&location, "test")
        .unwrap()
        .store_loose(&[raw::loose(RUN, "d0", 300), raw::loose(RUN, "d1", 100)])
        .unwrap();
    Filled { name, measured: merged(&reports) }
});

fn fill(store: &mut Store, run_id: &str, started_ms: i64, reports: &[Delivery]) {
    let row = RunRow {
        plan_source: PLAN.to_owned(),
        started_ms: Some(started_ms),
        drivers: vec!["d0".to_owned(), "d1".to_owned()],
        ..run(run_id, started_ms - 5_000)
    };
    // Of a plan that cannot be read the store knows neither names nor warm-up.
    plan::parse("p", PLAN).unwrap();
    store.create_run(&row).unwrap();
    let event = |second: u32, kind: &str| EventRow {
        second: Some(second),
        unix_ms: started_ms + i64::from(second) * 1_000,
        kind: kind.to_owned(),
        text: format!("{kind} it is"),
        driver: None,
    };
    store.add_event(run_id, &event(0, "started")).unwrap();
    store.add_event(run_id, &event(SECONDS, "ended")).unwrap();
    for part in reports.chunks(60) {
        let batch = Batch { run_id: run_id.to_owned(), deliveries: part.to_vec(), positions: Vec::new() };
        store.ingest(&batch).unwrap();
    }
    let ended = RunRow {
        state: "finished".to_owned(),
        ended_ms: Some(started_ms + i64::from(SECONDS) * 1_000),
        verdict: Some("valid".to_owned()),
        ..row
    };
    store.update_run(&ended).unwrap();
}

/// What a query gives: the names of its columns in their order, and its rows by them.
struct Answer {
    columns: Vec<String>,
    rows: Vec<Map<String, Value>>,
}

impl Answer {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }
}

fn asked(query: &str) -> Answer {
    let query = query.trim().trim_end_matches(';');
    let sql = |text: &str| {
        let text = format!("SET TimeZone = 'UTC'; {text}");
        server::server().sql(&FILLED.name, &text).unwrap_or_else(|error| panic!("{query}\n{error:#}"))
    };
    let columns = sql(&format!(
        "SELECT json_object_keys(row_to_json(q)) FROM (SELECT q.* FROM (SELECT 1) AS one LEFT JOIN ({query}) AS q ON true LIMIT 1) AS q"
    ));
    let rows = sql(&format!("SELECT row_to_json(q) FROM ({query}) AS q"));
    Answer {
        columns: columns.lines().map(str::to_owned).collect(),
        rows: rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    }
}

fn one(query: &str) -> f64 {
    let Answer { columns, rows } = asked(query);
    assert_eq!((rows.len(), columns.len()), (1, 1), "{query}");
    rows[0].values().next().and_then(Value::as_f64).unwrap_or_else(|| panic!("no number: {query}"))
}

/// All requests of the measured part of the run.
fn all_measured() -> (StepWindow, Timing) {
    let all = FILLED.measured.all_steps(|stage| stage == StageId(1));
    let mut response = all.ok.response.clone();
    response.merge(&all.failed.response);
    (all, response)
}

fn quantile_ms(response: &Timing, q: f64) -> f64 {
    response.histogram().quantile(q).unwrap() as f64 / 1e6
}

fn assert_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found}, not {expected}");
}

// ------------------------------------------------------------------------------------------------ Grafana

/// The query as Grafana's PostgreSQL data source sends it: variables first, then macros. A macro ends at the first closing
/// bracket, as Grafana has it (`pkg/tsdb/grafana-postgresql-datasource/macros.go`).
fn expanded(query: &str) -> String {
    let mut text = query.to_owned();
    for (name, values) in CHOSEN {
        let quoted: Vec<String> =
            values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
        text = text.replace(&format!("${{{name}:sqlstring}}"), &quoted.join(","));
    }
    text = text.replace("$__interval_ms", &format!("{}", INTERVAL_S * 1_000));
    text = text.replace("$__interval", &format!("{INTERVAL_S}s"));
    while let Some(at) = text.find("$__") {
        let open = at + text[at..].find('(').unwrap_or_else(|| panic!("no macro: {}", &text[at..]));
        let close = open + text[open..].find(')').unwrap_or_else(|| panic!("no end: {}", &text[at..]));
        let arguments: Vec<&str> = text[open + 1..close].split(',').map(str::trim).collect();
        let instead = match (&text[at + 3..open], &arguments[..]) {
            ("timeFilter", [column]) => {
                format!("{column} BETWEEN '2026-02-01T00:00:00Z' AND '2026-04-01T00:00:00Z'")
            }
            ("timeGroup", [column, interval]) => {
                let seconds = interval.trim_end_matches('s');
                format!("floor(extract(epoch from {column})/{seconds})*{seconds}")
            }
            (other, _) => panic!("the test does not know the macro {other} of {arguments:?}"),
        };
        text.replace_range(at..=close, &instead);
    }
    assert!(!text.contains('$'), "a variable is left: {text}");
    text
}

#[test]
fn a_query_is_expanded_as_grafana_does() {
    assert_eq!(
        expanded("$__timeGroup(at, $__interval) $__timeFilter(at) ${plan:sqlstring} $__interval_ms"),
        "floor(extract(epoch from at)/10)*10 at BETWEEN '2026-02-01T00:00:00Z' AND '2026-04-01T00:00:00Z' \
         'checkout','with ''quotes''' 10000"
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Each dashboard, by the name of its file.
fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(root().join("deploy/grafana/dashboards")).unwrap();
    let paths = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|is| is == "json"));
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    };
    paths.map(read).collect()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// Seconds of the column `time`: a number, or a time stamp.
fn is_time(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|text| text.starts_with("20"))
}

/// A series has a time, then either numbers by the names of their columns, or a name and one number.
fn check_series(place: &str, answer: &Answer) {
    let (names, rows) = (answer.columns(), &answer.rows);
    assert_eq!(names[0], "time", "{place}");
    if names.contains(&"metric") {
        assert_eq!((names[1], names.len()), ("metric", 3), "{place}");
    }
    for row in rows {
        for (name, value) in row {
            let fits = match name.as_str() {
                "time" => is_time(value),
                "metric" => value.is_string(),
                _ => value.is_number() || value.is_null(),
            };
            assert!(fits, "{place}: {name} is {value}");
        }
    }
    let last = names[names.len() - 1];
    assert!(rows.iter().any(|row| row[last].is_number()), "{place}: no number");
    let times: Vec<String> = rows.iter().map(|row| row["time"].to_string()).collect();
    assert!(times.is_sorted(), "{place}: not by time");
}

/// Names that the settings of a panel speak of are columns of its answer, or its series.
fn check_names(place: &str, panel: &Value, answer: &Answer) {
    let mut names = answer.columns();
    names.extend(answer.rows.iter().filter_map(|row| row.get("metric")?.as_str()));
    for wanted in list(panel, "/fieldConfig/overrides").iter().filter(|one| one["matcher"]["id"] == "byName")
    {
        let wanted = text(wanted, "/matcher/options");
        assert!(names.contains(&wanted), "{place}: settings for {wanted:?}, of {names:?}");
    }
    let settings = panel.to_string();
    for field in settings.split("${__data.fields.").skip(1).filter_map(|rest| rest.split('}').next()) {
        assert!(names.contains(&field), "{place}: a link with {field:?}, of {names:?}");
    }
}

#[test]
fn every_panel_gives_what_it_shows() {
    let mut panels = 0;
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "/panels").iter().filter(|panel| panel["type"] != "row") {
            let place = format!("{name}, {}", text(panel, "/title"));
            for target in list(panel, "/targets") {
                let answer = asked(&expanded(text(target, "/rawSql")));
                let rows = &answer.rows;
                assert!(!rows.is_empty(), "{place}: no rows");
                match text(target, "/format") {
                    "time_series" => check_series(&place, &answer),
                    "table" if panel["type"] == "stat" => {
                        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{place}");
                        assert!(rows[0].values().all(Value::is_number), "{place}: {:?}", rows[0]);
                    }
                    "table" => {}
                    other => panic!("{place}: format {other:?}"),
                }
                check_names(&place, panel, &answer);
                panels += 1;
            }
        }
    }
    assert!(panels > 40, "{panels} panels");
}

#[test]
fn variables_and_annotations_give_their_columns() {
    for (name, dashboard) in dashboards() {
        for variable in
            list(&dashboard, "/templating/list").iter().filter(|variable| variable["type"] == "query")
        {
            let place = format!("{name}, {}", text(variable, "/name"));
            let answer = asked(&expanded(text(variable, "/query")));
            let (names, rows) = (answer.columns(), &answer.rows);
            assert!(names.len() == 1 || names == ["__value", "__text"], "{place}: {names:?}");
            let (_, chosen) = CHOSEN.iter().find(|(chosen, _)| *chosen == text(variable, "/name")).unwrap();
            let values: Vec<&str> = rows.iter().filter_map(|row| row[names[0]].as_str()).collect();
            assert!(values.contains(&chosen[0]), "{place}: {values:?}");
        }
        for annotation in list(&dashboard, "/annotations/list") {
            let answer = asked(&expanded(text(annotation, "/target/rawSql")));
            let names = answer.columns();
            assert!(names.contains(&"time") && names.contains(&"text"), "{name}: {names:?}");
            assert_eq!(answer.rows.len(), 2, "{name}: two things happened, in two runs");
        }
    }
}

#[test]
fn figures_of_a_run_are_those_of_metrics() {
    let dashboards = dashboards();
    let (_, board) = dashboards.iter().find(|(name, _)| name == "run").unwrap();
    let shown = |title: &str| {
        let panel = list(board, "/panels").iter().find(|panel| text(panel, "/title") == title).unwrap();
        one(&expanded(text(panel, "/targets/0/rawSql")))
    };
    let (all, response) = all_measured();
    assert_near(shown("Requests"), response.count() as f64, "requests");
    assert_near(shown("Error rate"), all.failures() as f64 / response.count() as f64, "error rate");
    for (title, q) in [("Response time p50", 0.5), ("Response time p95", 0.95), ("Response time p99", 0.99)] {
        assert_near(shown(title), quantile_ms(&response, q), title);
    }
}

// ------------------------------------------------------------------------------------------- docs/sql.md

/// The queries of `docs/sql.md`, by their numbers.
fn questions() -> Vec<(u32, String)> {
    let page = fs::read_to_string(root().join("docs/sql.md")).unwrap();
    let sections = page.split("\n### ").skip(1).map(|section| {
        let number = section.split('.').next().unwrap().parse().unwrap();
        let query = section.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        (number, query.to_owned())
    });
    sections.collect()
}

/// What each question is answered with: its columns, and the least and the most rows that this database gives.
const ANSWERS: &[(&str, usize, usize)] = &[
    ("test_run_id plan_name state verdict started_at lasted", 2, 2),
    ("sent succeeded failed cancelled", 1, 1),
    ("p95_ms", 1, 1),
    ("p50_ms p75_ms p90_ms p99_ms p99_9_ms mean_ms min_ms max_ms", 1, 1),
    ("share", 1, 1),
    ("second requests", 130, 130),
    ("second requests p95_ms", 1, 1),
    ("minute p95_ms", 3, 3),
    ("stage is_warmup requests error_rate p95_ms", 2, 2),
    ("second kind text worker_id", 2, 2),
    ("received_mb sent_mb bytes_per_answer", 1, 1),
    ("endpoint requests p50_ms p95_ms p99_ms", 2, 2),
    ("endpoint share_of_waiting", 2, 2),
    ("endpoint response_ms service_ms share_waited", 2, 2),
    ("from_ms to_ms requests", 10, 100),
    ("second endpoint p95_ms", 0, 0),
    ("error count first_second last_second", 1, 1),
    ("endpoint error count", 2, 2),
    ("first_second", 1, 1),
    ("share", 1, 1),
    ("timestamp worker_id endpoint status_code error latency_ms", 100, 100),
    ("p95_ms", 1, 1),
    ("minute requests", 1, 1),
    ("timestamp endpoint worker_id response_ms service_ms status_code", 20, 20),
    ("worker_id requests service_ms send_lag_ms", 2, 2),
    ("due started missed_by_drivers missed_by_target missed_by_limit", 1, 1),
    ("worker_id requests cpu_percent memory_mb busiest_thread_percent worst_send_lag_p99_ms", 2, 2),
    ("second worker_id send_lag_p99_ms cpu_percent starved_percent stolen_percent throttled_us", 200, 260),
    ("endpoint p95_ms before_ms change", 2, 2),
    ("started_at test_run_id verdict requests p95_ms", 2, 2),
];

#[test]
fn thirty_questions_are_answered() {
    let questions = questions();
    assert_eq!(questions.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    for ((number, query), (wanted, least, most)) in questions.iter().zip(ANSWERS) {
        let answer = asked(query);
        let found = answer.rows.len();
        assert!((*least..=*most).contains(&found), "question {number}: {found} rows");
        assert_eq!(answer.columns().join(" "), *wanted, "question {number}");
    }
}

#[test]
fn answers_are_those_of_metrics() {
    let questions = questions();
    let answer = |number: usize| asked(&questions[number - 1].1).rows.remove(0);
    let (_, response) = all_measured();
    let stats = response.stats().unwrap();
    assert_near(answer(3)["p95_ms"].as_f64().unwrap(), quantile_ms(&response, 0.95), "p95");
    let found = answer(4);
    for (name, expected) in [
        ("p50_ms", quantile_ms(&response, 0.5)),
        ("p75_ms", quantile_ms(&response, 0.75)),
        ("p99_9_ms", quantile_ms(&response, 0.999)),
        ("mean_ms", stats.mean),
        ("min_ms", stats.min),
        ("max_ms", stats.max),
    ] {
        assert_near(found[name].as_f64().unwrap(), expected, name);
    }
    let totals = FILLED.measured.totals();
    let found = answer(2);
    for (name, expected) in
        [("sent", totals.requests_sent), ("succeeded", totals.succeeded), ("failed", totals.failed)]
    {
        assert_eq!(found[name].as_u64(), Some(expected), "{name}");
    }
    assert_eq!(answer(26)["due"].as_u64(), Some(totals.due));
    assert_near(answer(20)["share"].as_f64().unwrap(), 0.5, "every second raw event is a 503");
}
