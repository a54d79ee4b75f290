//! The run under way, or the last one, in Prometheus' text format.
//!
//! Names, base units and labels follow the field's conventions: counters end in `_total`, times are seconds, and times
//! are histograms, so that whoever scrapes can merge them. Deliberately absent: precomputed quantiles.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cluster::RunResult;
use cluster::view::{DriverView, Ingest, PartitionLag};
use metrics::{StepWindow, Timing, bin_bounds};
use plan::StepId;

use crate::problem::Problem;
use crate::state::App;

/// Upper bounds of the buckets, in seconds.
const BUCKETS_S: [f64; 19] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 300.0,
];
/// Drivers with a label value of their own; a larger fleet is a matter for the API.
const MAX_DRIVERS: usize = 1_000;

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let control = Arc::clone(&app.control);
    let viewers = app.hub.viewers();
    let text = tokio::task::spawn_blocking(move || {
        let mut text = Text::default();
        text.fleet(&control.fleet(), viewers);
        if let Some(ingest) = control.storage().ingest {
            text.ingest(&ingest, clock::unix_ms());
        }
        if let Some(result) = control.current().and_then(|view| control.result(&view.run_id)) {
            text.run(&result);
        }
        text.0
    });
    let text =
        text.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The metrics failed"))?;
    Ok(([(header::CONTENT_TYPE, Text::KIND)], text).into_response())
}

/// The text as it grows.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP groundswell_{name} {help}"));
        self.line(format_args!("# TYPE groundswell_{name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        writeln!(self.0, "{line}").ok();
    }

    fn fleet(&mut self, fleet: &[DriverView], viewers: usize) {
        self.head("drivers", "gauge", "Drivers by state.");
        let mut states: Vec<&str> = fleet.iter().map(|driver| driver.state).collect();
        states.sort_unstable();
        for of_state in states.chunk_by(|a, b| a == b) {
            let state = of_state[0];
            self.line(format_args!("groundswell_drivers{{state=\"{state}\"}} {}", of_state.len()));
        }
        self.head("live_viewers", "gauge", "Connections to live streams.");
        self.line(format_args!("groundswell_live_viewers {viewers}"));
    }

    pub(crate) fn ingest(&mut self, ingest: &Ingest, now_ms: i64) {
        let counters = [
            ("events_stored_total", ingest.rows, "Raw events stored."),
            (
                "events_duplicate_total",
                ingest.duplicates,
                "Raw events that came again, and were stored before.",
            ),
            ("event_batches_set_aside_total", ingest.set_aside, "Batches that could not be understood."),
            (
                "event_batches_missing_total",
                ingest.missing,
                "Batches that Kafka deleted before they were read.",
            ),
        ];
        for (name, count, help) in counters {
            self.head(name, "counter", help);
            self.line(format_args!("groundswell_{name} {count}"));
        }
        self.head("events_store_up", "gauge", "Whether raw events can be stored at the moment.");
        self.line(format_args!("groundswell_events_store_up {}", u8::from(ingest.fault.is_none())));
        self.head("events_lag_batches", "gauge", "Batches that are not stored yet, by partition.");
        for lag in &ingest.partitions {
            let PartitionLag { partition, messages, .. } = lag;
            self.line(format_args!("groundswell_events_lag_batches{{partition=\"{partition}\"}} {messages}"));
        }
        self.head("events_lag_seconds", "gauge", "Age of the oldest batch that is not stored.");
        for lag in &ingest.partitions {
            let (partition, seconds) = (lag.partition, ingest.lag_of(lag, now_ms) as f64 / 1e3);
            self.line(format_args!("groundswell_events_lag_seconds{{partition=\"{partition}\"}} {seconds}"));
        }
    }

    pub(crate) fn scribe(&mut self, counts: &[(&str, u64)]) {
        for (what, count) in counts {
            self.head(&format!("scribe_{what}_total"), "counter", "As docs/scribe.md says.");
            self.line(format_args!("groundswell_scribe_{what}_total {count}"));
        }
    }

    fn run(&mut self, result: &RunResult) {
        let view = &result.view;
        let run = escaped(&view.run_id);
        let rows = view.plan.rows();
        let steps: Vec<(String, StepWindow)> = rows
            .iter()
            .enumerate()
            .filter_map(|(at, name)| {
                let step = StepId(u16::try_from(at).ok()?);
                Some((
                    format!("run=\"{run}\",step=\"{}\"", escaped(name)),
                    result.merged.step(step, |_| true),
                ))
            })
            .collect();
        self.head("run_info", "gauge", "The run under way, or the last one.");
        let (plan, state) = (escaped(&view.plan.name), view.state.as_str());
        self.line(format_args!("groundswell_run_info{{run=\"{run}\",plan=\"{plan}\",state=\"{state}\"}} 1"));
        self.head("requests_total", "counter", "Requests that ended, by outcome.");
        for (labels, step) in &steps {
            let counts = [
                ("succeeded", step.ok.response.count()),
                ("failed", step.failed.response.count()),
                ("cancelled", step.cancelled),
            ];
            for (outcome, count) in counts {
                self.line(format_args!(
                    "groundswell_requests_total{{{labels},outcome=\"{outcome}\"}} {count}"
                ));
            }
        }
        self.head("response_time_seconds", "histogram", "From the intended start to the end of a request.");
        for (labels, step) in &steps {
            self.histogram("response_time_seconds", labels, &both(&step.ok.response, &step.failed.response));
        }
        self.head("service_time_seconds", "histogram", "From sending a request to its end.");
        for (labels, step) in &steps {
            self.histogram("service_time_seconds", labels, &both(&step.ok.service, &step.failed.service));
        }
        self.phases(&steps);
        self.drivers(&run, result);
        self.head("in_flight", "gauge", "Requests in flight at the end of the last complete second.");
        let in_flight =
            view.latest.as_ref().filter(|_| !view.state.is_over()).map_or(0, |tick| tick.in_flight);
        self.line(format_args!("groundswell_in_flight{{run=\"{run}\"}} {in_flight}"));
    }

    /// Nothing in a run that does not ask.
    fn phases(&mut self, steps: &[(String, StepWindow)]) {
        if steps.iter().all(|(_, step)| step.phases.is_none()) {
            return;
        }
        self.head("phase_seconds", "histogram", "Where the time of requests went.");
        for (labels, step) in steps {
            let measured = step.phases.iter().flat_map(|phases| phases.iter());
            for (phase, timing) in measured.filter(|(_, timing)| !timing.is_empty()) {
                self.histogram("phase_seconds", &format!("{labels},phase=\"{}\"", phase.as_str()), timing);
            }
        }
    }

    fn drivers(&mut self, run: &str, result: &RunResult) {
        let drivers = || result.merged.drivers.iter().take(MAX_DRIVERS);
        self.head("requests_sent_total", "counter", "Requests sent, by driver.");
        for (node_id, totals) in drivers() {
            let (driver, sent) = (escaped(node_id), totals.requests_sent);
            self.line(format_args!(
                "groundswell_requests_sent_total{{run=\"{run}\",driver=\"{driver}\"}} {sent}"
            ));
        }
        self.head("send_lag_seconds", "histogram", "How late requests left, by the generators' own fault.");
        for (node_id, totals) in drivers() {
            let labels = format!("run=\"{run}\",driver=\"{}\"", escaped(node_id));
            self.histogram("send_lag_seconds", &labels, &totals.send_lag);
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, timing: &Timing) {
        let mut counts = [0_u64; BUCKETS_S.len()];
        for (bin, count) in timing.histogram().bins() {
            let end_ns = bin_bounds(bin).end;
            // A bin belongs to the first bucket that holds all of it: it is at most a thousandth wide.
            let seconds = end_ns as f64 / 1e9 / 1.001;
            if let Some(bucket) = BUCKETS_S.iter().position(|bound| seconds <= *bound) {
                counts[bucket] += count;
            }
        }
        let mut below = 0;
        for (bound, count) in BUCKETS_S.iter().zip(counts) {
            below += count;
            self.line(format_args!("groundswell_{name}_bucket{{{labels},le=\"{bound}\"}} {below}"));
        }
        let (count, sum) = (timing.count(), timing.sum_ns() as f64 / 1e9);
        self.line(format_args!("groundswell_{name}_bucket{{{labels},le=\"+Inf\"}} {count}"));
        self.line(format_args!("groundswell_{name}_sum{{{labels}}} {sum}"));
        self.line(format_args!("groundswell_{name}_count{{{labels}}} {count}"));
    }
}

fn both(ok: &Timing, failed: &Timing) -> Timing {
    let mut all = ok.clone();
    all.merge(failed);
    all
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use cluster::view::Fault;
    use metrics::{PhaseTimings, Phases};
    use plan::StageId;

    use super::*;

    #[test]
    fn the_ingest_says_how_far_behind_it_is() {
        let mut text = Text::default();
        let ingest = Ingest {
            rows: 7,
            partitions: vec![PartitionLag { partition: 3, messages: 12, oldest_ms: Some(10_000) }],
            fault: Some(Fault { why: "the database is away".to_owned(), since_ms: 9_000 }),
            ..Ingest::default()
        };
        text.ingest(&ingest, 12_500);
        for line in [
            "groundswell_events_stored_total 7",
            "groundswell_events_store_up 0",
            "groundswell_events_lag_batches{partition=\"3\"} 12",
            "groundswell_events_lag_seconds{partition=\"3\"} 2.5",
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} in\n{}", text.0);
        }
    }

    #[test]
    fn phases_are_there_where_asked() {
        let mut step = StepWindow::new(StepId(0), StageId(0));
        let phases_of = |step: &StepWindow| {
            let mut text = Text::default();
            text.phases(&[("step=\"a\"".to_owned(), step.clone())]);
            text.0
        };
        assert_eq!(phases_of(&step), "");
        let mut phases = PhaseTimings::default();
        phases.record(&Phases { waiting_ns: Some(2_000_000), ..Phases::default() });
        step.phases = Some(Box::new(phases));
        let text = phases_of(&step);
        for line in [
            "# TYPE groundswell_phase_seconds histogram",
            "groundswell_phase_seconds_bucket{step=\"a\",phase=\"waiting\",le=\"0.001\"} 0",
            "groundswell_phase_seconds_bucket{step=\"a\",phase=\"waiting\",le=\"0.0025\"} 1",
            "groundswell_phase_seconds_count{step=\"a\",phase=\"waiting\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("phase=\"tls\""), "{text}");
    }
}
