//! What the target knows of each request, and its form in a file: a line of counts, then a line per request.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::Delay;

/// One request, in nanoseconds of the monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub delay: Delay,
    /// Just after its last byte was received.
    pub arrived_ns: u64,
    /// When it was to be answered.
    pub due_ns: u64,
    /// Just before its answer was sent.
    pub answered_ns: u64,
}

impl Request {
    /// How long it was here.
    pub fn service_ns(&self) -> u64 {
        self.answered_ns - self.arrived_ns
    }
}

/// All requests, in the order of their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    pub requests: Vec<Request>,
    /// Bytes that clients sent, and that they were sent.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// What was not understood, or could not be answered or recorded.
    pub faults: u64,
}

impl Record {
    /// The requests in the order in which they came.
    pub fn by_arrival(&self) -> Vec<Request> {
        let mut requests = self.requests.clone();
        requests.sort_by_key(|request| request.arrived_ns);
        requests
    }

    /// The rate, per second, at which those were answered that were due while the target stood still, from the moment in
    /// which it went on: at `to_ns`.
    pub fn worked_off_per_s(&self, per_s: f64, from_ns: u64, to_ns: u64) -> Option<f64> {
        let held = self.responses(per_s).into_iter().filter_map(|(request, response_ns)| {
            let intended_ns = request.answered_ns - response_ns;
            (from_ns..to_ns).contains(&intended_ns).then_some(request.answered_ns)
        });
        let held: Vec<u64> = held.collect();
        let last_ns = held.iter().max()?.checked_sub(to_ns).filter(|span_ns| *span_ns > 0)?;
        Some(held.len() as f64 * 1e9 / last_ns as f64)
    }

    /// By the schedule of `per_s` equally spaced requests a second, each request with its response time in ns: from its
    /// intended time to its answer. The schedule's origin is the latest that makes no request arrive before its time.
    pub fn responses(&self, per_s: f64) -> Vec<(Request, u64)> {
        let requests = self.by_arrival();
        let intended_ns = |index: usize| (index as f64 * 1e9 / per_s).round() as u64;
        let offset = |(index, request): (usize, &Request)| {
            request.arrived_ns - intended_ns(index).min(request.arrived_ns)
        };
        let origin_ns = requests.iter().enumerate().map(offset).min().unwrap_or(0);
        let response = |(index, request): (usize, Request)| {
            (request, request.answered_ns.saturating_sub(origin_ns + intended_ns(index)))
        };
        requests.into_iter().enumerate().map(response).collect()
    }

    /// As text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{} {} {}\n", self.bytes_in, self.bytes_out, self.faults);
        for request in &self.requests {
            let Request { delay, arrived_ns, due_ns, answered_ns } = request;
            let _ = writeln!(text, "{} {arrived_ns} {due_ns} {answered_ns}", delay.name());
        }
        text
    }

    /// From text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let [bytes_in, bytes_out, faults] = numbers(lines.next().unwrap_or_default())?;
        let request = |line: &str| -> Result<Request> {
            let (delay, times) = line.split_once(' ').context("a line has a name and three times")?;
            let [arrived_ns, due_ns, answered_ns] = numbers(times)?;
            let delay = Delay::parse(delay).with_context(|| format!("{delay} is no distribution"))?;
            Ok(Request { delay, arrived_ns, due_ns, answered_ns })
        };
        let requests = lines.map(request).collect::<Result<_>>()?;
        Ok(Self { requests, bytes_in, bytes_out, faults })
    }
}

fn numbers(text: &str) -> Result<[u64; 3]> {
    let numbers = text.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    <[u64; 3]>::try_from(numbers).ok().context("three numbers are expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrived_ns: u64, answered_ns: u64) -> Request {
        Request { delay: Delay::Fixed, arrived_ns, due_ns: answered_ns, answered_ns }
    }

    #[test]
    fn what_was_written_is_read() {
        let record =
            Record { requests: vec![request(5, 9), request(6, 7)], bytes_in: 1, bytes_out: 2, faults: 3 };
        assert_eq!(Record::parse(&record.to_text()).unwrap(), record);
        assert!(Record::parse("").is_err() && Record::parse("1 2 3\nelse 1 2 3\n").is_err());
    }

    #[test]
    fn a_late_request_counts_from_its_intended_time() {
        // One each ms; the second comes 4 ms late and is answered after the third.
        let ms = 1_000_000;
        let requests = vec![
            request(1_000 * ms, 1_000 * ms + 7),
            request(1_002 * ms, 1_002 * ms + 7),
            request(1_005 * ms, 1_005 * ms + 7),
        ];
        let record = Record { requests, ..Record::default() };
        let worked_off_per_s = record.worked_off_per_s(1000.0, 1_000 * ms, 1_004 * ms).unwrap();
        assert!((worked_off_per_s - 3000.0).abs() < 1.0, "{worked_off_per_s}");
        assert_eq!(record.worked_off_per_s(1000.0, 2_000 * ms, 2_001 * ms), None);
        let responses: Vec<u64> = record.responses(1000.0).iter().map(|(_, ns)| *ns).collect();
        assert_eq!(responses, [7, ms + 7, 3 * ms + 7]);
    }
}
