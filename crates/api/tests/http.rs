//! The interface as a client sees it, over real sockets, with a control plane that plays a run without drivers.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod scripted;

use std::io::{BufRead, BufReader};
use std::time::Duration;

use api::{Server, Settings};
use cluster::view::{Fault, Ingest, PartitionLag, Storage};
use scripted::Scripted;
use serde_json::{Value, json};

const FORM: &str = r#"{"test_type": "TSUNAMI", "test_message_delay": 5, "message_count_per_driver": 100,
    "target": "http://127.0.0.1:7701/ping"}"#;

struct Site {
    server: Server,
    control: Scripted,
    _folder: tempfile::TempDir,
}

fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    drop(store::Store::open(folder.path()).unwrap());
    let control = Scripted::new(folder.path());
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        store: folder.path().into(),
        data: folder.path().to_owned(),
    };
    let server = api::serve(settings, control.clone()).unwrap();
    Site { server, control, _folder: folder }
}

struct Answer {
    status: u16,
    kind: String,
    body: String,
    headers: ureq::http::HeaderMap,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Site {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.local_addr())
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .allow_non_standard_methods(true)
                .build(),
        );
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = match body {
            Some(body) => agent.run(request.body(body.to_owned()).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        Answer {
            status: answer.status().as_u16(),
            kind: answer.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned(),
            headers: answer.headers().clone(),
            body: answer.body_mut().read_to_string().unwrap(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], None)
    }

    fn post(&self, path: &str, kind: &str, body: &str) -> Answer {
        self.call("POST", path, &[("content-type", kind)], Some(body))
    }

    fn create(&self) -> String {
        let answer = self.post("/api/v1/runs", "application/json", FORM);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["run_id"].as_str().unwrap().to_owned()
    }

    fn viewer(&self, run_id: &str, last_id: Option<&str>) -> Viewer {
        let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(20))).build();
        let mut request =
            ureq::Agent::new_with_config(config).get(self.url(&format!("/api/v1/runs/{run_id}/live")));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        Viewer(BufReader::new(request.call().unwrap().into_body().into_reader()))
    }
}

struct Viewer(BufReader<ureq::BodyReader<'static>>);

struct Message {
    event: String,
    id: String,
    data: Value,
}

impl Viewer {
    /// The next event; `None` when the stream has ended.
    fn next(&mut self) -> Option<Message> {
        let mut message = Message { event: String::new(), id: String::new(), data: Value::Null };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut message.event),
                Some(("id", id)) => id.clone_into(&mut message.id),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                _ if message.event.is_empty() => {}
                _ => return Some(message),
            }
        }
    }

    fn next_row(&mut self) -> Message {
        loop {
            let message = self.next().unwrap();
            if message.data.get("row").is_some() {
                return message;
            }
        }
    }
}

fn assert_problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.kind, "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string());
    problem
}

#[test]
fn a_run_is_created_started_seen_and_stopped() {
    let site = site();
    let run = site.create();
    assert_eq!(site.get(&format!("/api/v1/runs/{run}")).json()["state"], "created");
    let answer = site.post(&format!("/api/v1/runs/{run}/start"), "application/json", "{}");
    assert_eq!((answer.status, answer.json()["state"].as_str()), (202, Some("running")));

    let again = site.post(&format!("/api/v1/runs/{run}/start"), "application/json", "");
    assert_eq!(assert_problem(&again, 409)["state"], "running");

    site.control.tick(3);
    let view = site.get(&format!("/api/v1/runs/{run}")).json();
    assert_eq!(view["loop"], "open");
    assert_eq!(view["targets"][0], "http://127.0.0.1:7701");
    assert!(view["plan_source"].as_str().unwrap().contains("7701"));

    let summary = site.get(&format!("/api/v1/runs/{run}/summary")).json();
    assert_eq!(summary["schema"], "groundswell/summary/v1");

    let stopped = site.post(&format!("/api/v1/runs/{run}/stop"), "application/json", "{}");
    assert_eq!(stopped.json()["state"], "draining");
}

#[test]
fn a_plan_is_taken_as_yaml_and_started_at_once() {
    let site = site();
    let plan = site.control.source_of_a_plan();
    let answer = site.post("/api/v1/runs?start=true", "application/yaml", &plan);
    assert_eq!((answer.status, answer.json()["state"].as_str()), (201, Some("running")), "{}", answer.body);
    assert!(
        answer.headers["location"].to_str().unwrap().ends_with(answer.json()["run_id"].as_str().unwrap())
    );
}

#[test]
fn all_faults_of_a_form_come_at_once_with_their_fields() {
    let site = site();
    let form = r#"{"test_type": "HURRICANE", "test_message_delay": -5, "message_count_per_driver": 0, "target": "x"}"#;
    for path in ["/api/v1/runs", "/api/v1/plans/check"] {
        let problem = assert_problem(&site.post(path, "application/json", form), 422);
        let mut fields: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|fault| fault["field"].as_str())
            .collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields, ["message_count_per_driver", "target", "test_message_delay", "test_type"]);
    }
}

#[test]
fn faults_of_a_plan_have_a_place_and_a_code() {
    let site = site();
    let problem =
        assert_problem(&site.post("/api/v1/plans/check", "application/yaml", "nmae: x\nload: 7\n"), 422);
    let faults = problem["errors"].as_array().unwrap();
    assert!(faults.len() > 1, "{problem}");
    for fault in faults {
        assert!(fault["line"].as_u64().unwrap() >= 1 && fault["column"].as_u64().unwrap() >= 1);
        assert!(!fault["code"].as_str().unwrap().is_empty());
    }
}

#[test]
fn every_failure_is_a_problem_document() {
    let site = site();
    assert_problem(&site.get("/api/v1/nothing"), 404);
    assert_problem(&site.get("/api/v1/runs/none"), 404);
    assert_problem(&site.get("/api/v1/runs/none/live"), 404);
    assert_problem(&site.post("/api/v1/runs/none/start", "application/json", "{}"), 404);
    assert_problem(&site.call("DELETE", "/api/v1/runs", &[], None), 405);
    assert_problem(&site.post("/api/v1/runs", "application/json", &" ".repeat(300 * 1024)), 413);
    assert_problem(&site.post("/api/v1/runs", "text/plain", "x"), 415);
    assert_problem(&site.get("/api/v1/runs?limit=many"), 400);
    let syntax = assert_problem(&site.post("/api/v1/runs", "application/json", "{\n  \"a\": ,\n}"), 400);
    assert_eq!(syntax["errors"][0]["line"], 2);
    let run = site.create();
    assert_problem(
        &site.post(&format!("/api/v1/runs/{run}/rate"), "application/json", r#"{"factor": -1}"#),
        422,
    );
    assert_problem(&site.get(&format!("/api/v1/runs/{run}/series?resolution=7")), 400);
    assert_problem(&site.get(&format!("/api/v1/runs/{run}/series?step=none")), 400);
}

#[test]
fn strangers_are_kept_out() {
    let site = site();
    let rebound = site.call("GET", "/api/v1/runs", &[("host", "evil.example:7700")], None);
    assert_problem(&rebound, 403);
    let json = ("content-type", "application/json");
    for foreign in ["http://evil.example", "null", "https://127.0.0.1:1"] {
        let answer = site.call("POST", "/api/v1/runs", &[json, ("origin", foreign)], Some(FORM));
        assert_problem(&answer, 403);
    }
    let foreign = site.call("POST", "/api/v1/runs", &[json, ("sec-fetch-site", "cross-site")], Some(FORM));
    assert_problem(&foreign, 403);
    let own = format!("http://{}", site.server.local_addr());
    assert_eq!(site.call("POST", "/api/v1/runs", &[json, ("origin", &own)], Some(FORM)).status, 201);
}

#[test]
fn the_page_is_served_whole_and_strictly() {
    let site = site();
    for (path, kind) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/app.css", "text/css")] {
        let answer = site.get(path);
        assert_eq!(answer.status, 200);
        assert!(answer.kind.starts_with(kind));
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    assert!(site.get("/app.js").body.len() <= 150_000);
}

#[test]
fn the_document_names_exactly_the_routes() {
    let site = site();
    let document = site.get("/api/v1/openapi.json").json();
    let run = site.create();
    let mut named = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled = format!("/api/v1{}", path.replace("{run_id}", &run));
        for method in ["get", "post", "put", "patch", "delete"] {
            let status = if path.ends_with("/live") && method == "get" {
                assert_eq!(site.viewer(&run, None).next().unwrap().event, "snapshot");
                200
            } else {
                site.call(&method.to_uppercase(), &filled, &[("content-type", "application/json")], Some(""))
                    .status
            };
            let described = item.get(method).is_some();
            named += usize::from(described);
            assert_eq!(status != 405, described, "{method} {path} gave {status}");
            assert_ne!(status, 404, "{method} {path}");
        }
    }
    let routes = include_str!("../src/routes.rs");
    let built = routes.matches("get(").count() + routes.matches("post(").count();
    // The three files of the page are no part of the interface.
    assert_eq!(named, built - 3);
}

#[test]
fn viewers_learn_how_storing_goes() {
    let site = site();
    let run = site.create();
    site.control.start(&run);
    assert_eq!(site.get("/api/v1/storage").json(), json!({"troubles": [], "events": null}));
    assert_eq!(site.get("/api/v1/readyz").status, 200);
    let mut viewer = site.viewer(&run, None);
    assert_eq!(viewer.next().unwrap().data["storage"]["troubles"], json!([]));

    let partition = PartitionLag { partition: 0, messages: 4, oldest_ms: Some(clock::unix_ms() - 2_000) };
    let other =
        store::Peer { name: "b".to_owned(), partitions: 1, lag_batches: 38, ..store::Peer::default() };
    let fault = |why: &str| Some(Fault { why: why.to_owned(), since_ms: clock::unix_ms() - 12_000 });
    site.control.storing(Storage {
        results_fault: fault("the disk is full"),
        ingest: Some(Ingest {
            name: "a".to_owned(),
            partitions: vec![partition],
            fault: fault("PostgreSQL is away"),
            ..Ingest::default()
        }),
        others: vec![other],
        ..Storage::default()
    });
    site.control.tick(1);
    let told = viewer.next_row().data["storage"].clone();
    assert_eq!(told["events"]["lag_batches"], 42);
    assert!(told["events"]["lag_s"].as_f64().unwrap() >= 2.0, "{told}");
    let names = told["events"]["collectors"].as_array().unwrap().iter().map(|one| one["name"].clone());
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
    let codes = told["troubles"].as_array().unwrap().iter().map(|one| one["code"].clone());
    assert_eq!(codes.collect::<Vec<_>>(), ["results_refused", "events_refused"]);
    assert!(told["troubles"][1]["text"].as_str().unwrap().ends_with("wait in memory: PostgreSQL is away"));
    assert_eq!(site.get("/api/v1/readyz").status, 503);
}

#[test]
fn a_live_stream_begins_with_a_snapshot_and_resumes() {
    let site = site();
    let run = site.create();
    site.control.start(&run);
    site.control.tick(5);
    let mut viewer = site.viewer(&run, None);
    let snapshot = viewer.next().unwrap();
    assert_eq!(snapshot.event, "snapshot");
    assert_eq!(snapshot.data["series"]["second"], json!([0, 1, 2, 3, 4]));
    assert_eq!(snapshot.data["totals"]["sent"], 500);

    site.control.tick(1);
    let first = viewer.next_row();
    assert_eq!(
        (first.data["row"]["second"].as_u64(), first.data["totals"]["sent"].as_u64()),
        (Some(5), Some(600))
    );
    site.control.tick(1);
    let second = viewer.next_row();
    assert_eq!(second.data["row"]["second"], 6);

    let mut late = site.viewer(&run, None);
    assert_eq!(late.next().unwrap().data["series"]["second"].as_array().unwrap().len(), 7);
    let mut back = site.viewer(&run, Some(&first.id));
    let resumed = back.next_row();
    assert_eq!((resumed.event.as_str(), resumed.data["row"]["second"].as_u64()), ("delta", Some(6)));
    let mut stranger = site.viewer(&run, Some("1-1"));
    assert_eq!(stranger.next().unwrap().event, "snapshot");

    site.control.finish(&run);
    let mut last = String::new();
    while let Some(message) = viewer.next() {
        last = message.event;
    }
    assert_eq!(last, "end");
}

#[test]
fn a_slow_viewer_loses_seconds_and_gets_a_new_snapshot() {
    let site = site();
    let run = site.create();
    site.control.start(&run);
    site.control.fatten(200_000);
    site.control.tick(1);
    let mut slow = site.viewer(&run, None);
    assert_eq!(slow.next().unwrap().event, "snapshot");
    for _ in 0..40 {
        site.control.tick(1);
        std::thread::sleep(Duration::from_millis(130));
    }
    let mut events = Vec::new();
    let mut at = 0;
    while at < 40 {
        let message = slow.next().unwrap();
        match message.event.as_str() {
            "snapshot" => at = message.data["series"]["second"].as_array().unwrap().len() - 1,
            _ => at = message.data["row"]["second"].as_u64().map_or(at, |n| usize::try_from(n).unwrap()),
        }
        events.push(message.event);
    }
    assert!(events.iter().any(|event| event == "snapshot"), "{events:?}");
}

#[test]
fn metrics_follow_the_conventions() {
    let site = site();
    let run = site.create();
    site.control.start(&run);
    site.control.tick(1);
    let text = site.get("/api/v1/metrics").body;
    for line in [
        "# TYPE groundswell_requests_total counter",
        "# TYPE groundswell_response_time_seconds histogram",
        "groundswell_drivers{state=\"idle\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.contains(&format!("groundswell_in_flight{{run=\"{run}\"}}")));
}

#[test]
fn a_port_in_use_is_told_apart() {
    let site = site();
    let folder = tempfile::tempdir().unwrap();
    drop(store::Store::open(folder.path()).unwrap());
    let settings = Settings {
        listen: site.server.local_addr(),
        store: folder.path().into(),
        data: folder.path().to_owned(),
    };
    let error = api::serve(settings, site.control.clone()).unwrap_err();
    assert!(error.is_listen());
}

#[test]
fn beyond_loopback_a_token_is_needed_and_roles_differ() {
    let folder = tempfile::tempdir().unwrap();
    drop(store::Store::open(folder.path()).unwrap());
    let control = Scripted::new(folder.path());
    let settings = Settings {
        listen: "0.0.0.0:0".parse().unwrap(),
        store: folder.path().into(),
        data: folder.path().to_owned(),
    };
    let server = api::serve(settings, control.clone()).unwrap();
    let tokens = server.new_tokens().unwrap().clone();
    let site = Site { server, control, _folder: folder };
    assert_problem(&site.get("/api/v1/runs"), 401);
    assert_eq!(site.get("/api/v1/healthz").status, 200);
    assert_eq!(site.get("/").status, 200);
    let with = |token: &str| format!("Bearer {token}");
    let json = ("content-type", "application/json");
    let reading = with(&tokens.reading);
    assert_eq!(site.call("GET", "/api/v1/runs", &[("authorization", &reading)], None).status, 200);
    assert_problem(&site.call("POST", "/api/v1/runs", &[json, ("authorization", &reading)], Some(FORM)), 403);
    let checked = site.call("POST", "/api/v1/plans/check", &[json, ("authorization", &reading)], Some(FORM));
    assert_eq!(checked.status, 200);
    let controlling = with(&tokens.controlling);
    assert_eq!(
        site.call("POST", "/api/v1/runs", &[json, ("authorization", &controlling)], Some(FORM)).status,
        201
    );
    assert_problem(&site.call("GET", "/api/v1/runs", &[("authorization", "Bearer guess")], None), 401);
}
