//! The counters as Prometheus text (format 0.0.4) and as JSON.

use std::fmt::Write;

use crate::counters::{BOUNDS_US, KINDS, Snapshot};

/// The snapshot as Prometheus text.
pub(crate) fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = String::with_capacity(4096);
    write_prometheus(&mut text, snapshot).expect("writing to a string does not fail");
    text
}

/// The snapshot as one JSON object. Times are Unix nanoseconds, null before the first request.
pub(crate) fn json(snapshot: &Snapshot) -> String {
    let mut text = String::with_capacity(4096);
    write_json(&mut text, snapshot).expect("writing to a string does not fail");
    text
}

fn write_prometheus(text: &mut String, snapshot: &Snapshot) -> std::fmt::Result {
    let sums = &snapshot.sums;
    family(text, "requests_total", "counter", "Requests received, by what they asked for.")?;
    for (kind, count) in KINDS.iter().zip(&sums.by_kind) {
        writeln!(text, "groundswell_target_requests_total{{kind=\"{kind}\"}} {count}")?;
    }
    for (name, kind, help, value) in [
        ("answered_total", "counter", "Requests whose answer was handed to the system.", sums.answered),
        ("abandoned_total", "counter", "Requests whose client went away before the answer.", sums.abandoned),
        ("malformed_total", "counter", "Requests that could not be understood.", sums.malformed),
        ("in_flight", "gauge", "Requests received and not answered yet.", snapshot.in_flight),
        ("connections", "gauge", "Connections that are open.", snapshot.connections),
        ("accepted_total", "counter", "Connections accepted.", sums.accepted),
        ("refused_total", "counter", "Connections closed because of a limit.", sums.refused),
        ("received_bytes_total", "counter", "Bytes received.", sums.bytes_in),
        ("sent_bytes_total", "counter", "Bytes sent.", sums.bytes_out),
    ] {
        family(text, name, kind, help)?;
        writeln!(text, "groundswell_target_{name} {value}")?;
    }
    let name = "request_duration_seconds";
    family(text, name, "histogram", "From the last byte of a request to the hand-over of its answer.")?;
    let mut below = 0;
    for (index, count) in sums.latency.iter().enumerate() {
        below += count;
        let bound =
            BOUNDS_US.get(index).map_or("+Inf".to_owned(), |bound_us| (*bound_us as f64 / 1e6).to_string());
        writeln!(text, "groundswell_target_{name}_bucket{{le=\"{bound}\"}} {below}")?;
    }
    writeln!(text, "groundswell_target_{name}_sum {}", sums.latency_sum_ns as f64 / 1e9)?;
    writeln!(text, "groundswell_target_{name}_count {below}")?;

    family(text, "client_requests_total", "counter", "Requests received, by user agent.")?;
    for (user_agent, seen) in &snapshot.clients {
        writeln!(
            text,
            "groundswell_target_client_requests_total{{user_agent=\"{user_agent}\"}} {}",
            seen.requests
        )?;
    }
    family(
        text,
        "client_first_request_timestamp_seconds",
        "gauge",
        "When the first was received, by user agent.",
    )?;
    for (user_agent, seen) in &snapshot.clients {
        let (seconds, nanos) = (seen.first_unix_ns / 1_000_000_000, seen.first_unix_ns % 1_000_000_000);
        let labels = format_args!("{{user_agent=\"{user_agent}\"}}");
        writeln!(
            text,
            "groundswell_target_client_first_request_timestamp_seconds{labels} {seconds}.{nanos:09}"
        )?;
    }
    Ok(())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP groundswell_target_{name} {help}\n# TYPE groundswell_target_{name} {kind}")
}

fn write_json(text: &mut String, snapshot: &Snapshot) -> std::fmt::Result {
    let sums = &snapshot.sums;
    let seen = snapshot.seen();
    write!(text, "{{\"requests\":{},\"requests_by_kind\":{{", snapshot.requests())?;
    for (index, (kind, count)) in KINDS.iter().zip(&sums.by_kind).enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(text, "{comma}\"{kind}\":{count}")?;
    }
    text.push('}');
    for (name, value) in [
        ("answered", sums.answered),
        ("abandoned", sums.abandoned),
        ("malformed", sums.malformed),
        ("in_flight", snapshot.in_flight),
        ("connections", snapshot.connections),
        ("connections_accepted", sums.accepted),
        ("connections_refused", sums.refused),
        ("bytes_in", sums.bytes_in),
        ("bytes_out", sums.bytes_out),
    ] {
        write!(text, ",\"{name}\":{value}")?;
    }
    text.push(',');
    times(text, seen.requests, seen.first_unix_ns, seen.last_unix_ns)?;
    let count: u64 = sums.latency.iter().sum();
    write!(text, ",\"latency\":{{\"count\":{count},\"sum_ns\":{},\"buckets\":[", sums.latency_sum_ns)?;
    for (index, count) in sums.latency.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let bound = BOUNDS_US.get(index).map_or("null".to_owned(), u64::to_string);
        write!(text, "{comma}{{\"le_us\":{bound},\"count\":{count}}}")?;
    }
    text.push_str("]},\"clients\":[");
    for (index, (user_agent, seen)) in snapshot.clients.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(text, "{comma}{{\"user_agent\":\"{user_agent}\",\"requests\":{},", seen.requests)?;
        times(text, seen.requests, seen.first_unix_ns, seen.last_unix_ns)?;
        text.push('}');
    }
    text.push_str("]}\n");
    Ok(())
}

fn times(text: &mut String, requests: u64, first_unix_ns: u64, last_unix_ns: u64) -> std::fmt::Result {
    let shown = |unix_ns: u64| if requests == 0 { "null".to_owned() } else { unix_ns.to_string() };
    let (first, last) = (shown(first_unix_ns), shown(last_unix_ns));
    write!(text, "\"first_request_unix_ns\":{first},\"last_request_unix_ns\":{last}")
}
