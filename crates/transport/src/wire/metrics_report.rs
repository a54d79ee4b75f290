//! Measurements: the four basic latencies, and the mergeable windows that ours adds.

use serde::{Deserialize, Serialize};

use super::form::{Count, Id, Latency, Name};
use super::{Malformed, Mark, Source, Whole, windows};
use crate::message::{Metrics, MetricsOurs, Summary};

#[derive(Serialize, Deserialize)]
struct Basis {
    node_id: Name,
    test_id: Name,
    report_id: Name,
    metrics: Latencies,
}

#[derive(Serialize, Deserialize)]
struct Latencies {
    mean_latency: Latency,
    median_latency: Latency,
    min_latency: Latency,
    max_latency: Latency,
}

#[derive(Serialize, Deserialize)]
struct Added {
    incarnation: Id,
    seq: Count<u64>,
    part: Count<u32>,
    parts: Count<u32>,
    second: Count<u32>,
    requests_sent: Count<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    windows: Option<String>,
    #[serde(rename = "final", default, skip_serializing_if = "is_false")]
    is_final: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Serialize, Deserialize)]
struct Totals {
    due: Count<u64>,
    started: Count<u64>,
    missed_ours: Count<u64>,
    missed_target: Count<u64>,
    missed_limit: Count<u64>,
    requests_sent: Count<u64>,
    succeeded: Count<u64>,
    failed: Count<u64>,
    cancelled: Count<u64>,
    bytes_in: Count<u64>,
    bytes_out: Count<u64>,
    windows: Count<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events_produced: Option<Count<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    events_dropped: Option<Count<u64>>,
}

impl Totals {
    fn of(totals: &metrics::Totals) -> Self {
        Self {
            due: Count(totals.due),
            started: Count(totals.started),
            missed_ours: Count(totals.missed.ours),
            missed_target: Count(totals.missed.target),
            missed_limit: Count(totals.missed.limit),
            requests_sent: Count(totals.requests_sent),
            succeeded: Count(totals.succeeded),
            failed: Count(totals.failed),
            cancelled: Count(totals.cancelled),
            bytes_in: Count(totals.bytes_in),
            bytes_out: Count(totals.bytes_out),
            windows: Count(totals.windows),
            events_produced: totals.events.map(|events| Count(events.produced)),
            events_dropped: totals.events.map(|events| Count(events.dropped)),
        }
    }

    fn into_domain(self) -> metrics::Totals {
        metrics::Totals {
            due: self.due.0,
            started: self.started.0,
            missed: metrics::Missed {
                ours: self.missed_ours.0,
                target: self.missed_target.0,
                limit: self.missed_limit.0,
            },
            requests_sent: self.requests_sent.0,
            succeeded: self.succeeded.0,
            failed: self.failed.0,
            cancelled: self.cancelled.0,
            bytes_in: self.bytes_in.0,
            bytes_out: self.bytes_out.0,
            windows: self.windows.0,
            events: self
                .events_produced
                .zip(self.events_dropped)
                .map(|(produced, dropped)| metrics::EventCounts { produced: produced.0, dropped: dropped.0 }),
        }
    }
}

pub fn write(report: &Metrics) -> serde_json::Result<Vec<u8>> {
    let basis = Basis {
        node_id: Name(report.node_id.clone()),
        test_id: Name(report.test_id.clone()),
        report_id: Name(report.report_id.clone()),
        metrics: Latencies {
            mean_latency: Latency(report.summary.mean_ms),
            median_latency: Latency(report.summary.median_ms),
            min_latency: Latency(report.summary.min_ms),
            max_latency: Latency(report.summary.max_ms),
        },
    };
    let added = report.ours.as_ref().map(|ours| Added {
        incarnation: Id(ours.incarnation),
        seq: Count(ours.seq),
        part: Count(ours.part),
        parts: Count(ours.parts),
        second: Count(ours.second),
        requests_sent: Count(ours.requests_sent),
        windows: ours.window.as_ref().map(windows::pack),
        is_final: ours.fin.is_some(),
        totals: ours.fin.as_ref().map(Totals::of),
    });
    Whole::write(basis, added)
}

pub fn read(source: &Source) -> Result<Metrics, Malformed> {
    let basis: Basis = source.fields()?;
    let added: Option<Added> = source.added(Mark::Incarnation)?;
    Ok(Metrics {
        node_id: basis.node_id.0,
        test_id: basis.test_id.0,
        report_id: basis.report_id.0,
        summary: Summary {
            mean_ms: basis.metrics.mean_latency.0,
            median_ms: basis.metrics.median_latency.0,
            min_ms: basis.metrics.min_latency.0,
            max_ms: basis.metrics.max_latency.0,
        },
        ours: added.map(|added| check(added, source)).transpose()?,
    })
}

fn check(added: Added, source: &Source) -> Result<MetricsOurs, Malformed> {
    if added.part.0 >= added.parts.0 {
        let problem = format!("expected less than `parts` ({}), found {}", added.parts.0, added.part.0);
        return Err(source.malformed("part", problem));
    }
    let window = added
        .windows
        .map(|blob| windows::unpack(&blob).map_err(|problem| source.malformed("windows", problem)))
        .transpose()?;
    let fin = match (added.is_final, added.totals) {
        (true, totals) => Some(source.required("totals", totals)?.into_domain()),
        (false, _) => None,
    };
    Ok(MetricsOurs {
        incarnation: added.incarnation.0,
        seq: added.seq.0,
        part: added.part.0,
        parts: added.parts.0,
        second: added.second.0,
        requests_sent: added.requests_sent.0,
        window,
        fin,
    })
}
