//! A generator's summary held against the target's record.

use serde_json::Value;

use super::{Delay, Record, Request};

/// Percentiles that are compared, as the summary names them.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];
/// What a percentile may differ by: the greater of a share and a time.
const TOLERANCE: f64 = 0.01;
const TOLERANCE_MS: f64 = 0.05;

/// One number by the target's record and by the generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Of which number.
    pub what: String,
    /// As the target knows it.
    pub truth: f64,
    /// As the generator says; `None` when it says nothing.
    pub said: Option<f64>,
    /// Whether nothing at all may lie between them.
    pub exact: bool,
    /// Whether they are as close as they have to be.
    pub holds: bool,
}

/// All that was compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Numbers of requests and bytes: exact.
    pub counts: Vec<Difference>,
    /// Requests per second, within 1 %.
    pub rates: Vec<Difference>,
    /// Percentiles in ms, within 1 % or 50 µs.
    pub times: Vec<Difference>,
}

impl Report {
    /// Whether all counts are exact.
    pub fn counts_hold(&self) -> bool {
        self.counts.iter().all(|difference| difference.holds)
    }
}

/// Compares the summary of a run of `per_s` equally spaced requests a second, whose steps have the names of
/// distributions, with what the target recorded of it.
pub fn compare(record: &Record, per_s: f64, summary: &Value) -> Report {
    let mut report = Report::default();
    let responses = record.responses(per_s);
    let exact = |what: &str, truth: u64, said: &Value| {
        let said = said.as_u64();
        let holds = said == Some(truth);
        Difference {
            what: what.to_owned(),
            truth: truth as f64,
            said: said.map(|said| said as f64),
            exact: true,
            holds,
        }
    };
    let count = record.requests.len() as u64;
    report.counts.extend([
        exact("requests sent", count, &summary["requests"]["sent"]),
        exact("requests succeeded", count, &summary["requests"]["succeeded"]),
        exact("requests failed", record.faults, &summary["requests"]["failed"]),
        exact("bytes sent", record.bytes_in, &summary["bytes"]["out"]),
        exact("bytes received", record.bytes_out, &summary["bytes"]["in"]),
    ]);
    report.rates.extend(rate(record, summary));
    add_times(&mut report.times, "all", &responses, |_| true, summary);
    for step in summary["steps"].as_array().into_iter().flatten() {
        let Some(delay) = step["name"].as_str().and_then(Delay::parse) else { continue };
        let count = responses.iter().filter(|(request, _)| request.delay == delay).count() as u64;
        report.counts.push(exact(
            &format!("{}: requests", delay.name()),
            count,
            &step["requests"]["succeeded"],
        ));
        add_times(&mut report.times, delay.name(), &responses, |of| of == delay, step);
    }
    report
}

fn rate(record: &Record, summary: &Value) -> Option<Difference> {
    let arrivals = record.by_arrival();
    let (first, last) = (arrivals.first()?, arrivals.last()?);
    let seconds = (last.arrived_ns - first.arrived_ns) as f64 / 1e9;
    let truth = (arrivals.len() - 1) as f64 / seconds;
    let said = summary["rate"]["requests_per_s"].as_f64();
    let holds = said.is_some_and(|said| (said - truth).abs() <= TOLERANCE * truth);
    Some(Difference { what: "requests per second".to_owned(), truth, said, exact: false, holds })
}

fn add_times(
    times: &mut Vec<Difference>,
    name: &str,
    responses: &[(Request, u64)],
    of: impl Fn(Delay) -> bool,
    said: &Value,
) {
    let mine: Vec<_> = responses.iter().filter(|(request, _)| of(request.delay)).collect();
    let service: Vec<u64> = mine.iter().map(|(request, _)| request.service_ns()).collect();
    let response: Vec<u64> = mine.iter().map(|(_, ns)| *ns).collect();
    for (kind, field, truth_ns) in
        [("service time", "service_time_ms", service), ("response time", "response_time_ms", response)]
    {
        let mut truth: Vec<f64> = truth_ns.into_iter().map(|ns| ns as f64 / 1e6).collect();
        truth.sort_by(f64::total_cmp);
        for (percentile, q) in PERCENTILES {
            let Some(truth) = quantile(&truth, q) else { continue };
            let said = said[field][percentile].as_f64();
            let holds =
                said.is_some_and(|said| (said - truth).abs() <= (TOLERANCE * truth).max(TOLERANCE_MS));
            let what = format!("{name}: {kind} {}", percentile.replace('_', "."));
            times.push(Difference { what, truth, said, exact: false, holds });
        }
    }
}

/// The smallest of `ascending` that the share `q` of them does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is within it"
)]
pub fn quantile(ascending: &[f64], q: f64) -> Option<f64> {
    let rank = (q * ascending.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    ascending.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        for (q, expected) in
            [(0.0, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (0.999, 100.0), (1.0, 100.0)]
        {
            assert_eq!(quantile(&samples, q), Some(expected), "{q}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn what_differs_is_found() {
        let request = |number: u64| {
            let arrived_ns = 1_000_000_000 + number * 1_000_000;
            let answered_ns = arrived_ns + 1_000_000;
            Request { delay: Delay::Fixed, arrived_ns, due_ns: answered_ns, answered_ns }
        };
        let requests: Vec<Request> = (0..1000).map(request).collect();
        let record = Record { requests, bytes_in: 50, bytes_out: 70, faults: 0 };
        let times = json!({"p50": 1.04, "p90": 1.04, "p99": 1.04, "p99_9": 1.06});
        let requests = json!({"sent": 1000, "succeeded": 1000, "failed": 0});
        let step = json!({"name": "fixed", "requests": requests, "service_time_ms": times, "response_time_ms": times});
        let mut summary = json!({
            "requests": requests, "bytes": {"in": 70, "out": 50}, "rate": {"requests_per_s": 1003.0},
            "service_time_ms": times, "response_time_ms": times, "steps": [step],
        });
        let report = compare(&record, 1000.0, &summary);
        assert!(report.counts_hold() && report.rates.iter().all(|rate| rate.holds), "{report:#?}");
        let wrong: Vec<&str> =
            report.times.iter().filter(|time| !time.holds).map(|time| time.what.as_str()).collect();
        let expected =
            ["all: service time", "all: response time", "fixed: service time", "fixed: response time"];
        assert_eq!(wrong, expected.map(|kind| format!("{kind} p99.9")));

        summary["bytes"]["in"] = json!(71);
        assert!(!compare(&record, 1000.0, &summary).counts_hold());
        summary["bytes"]["in"] = json!(null);
        assert!(!compare(&record, 1000.0, &summary).counts_hold());
    }
}
