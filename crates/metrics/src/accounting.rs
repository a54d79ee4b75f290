//! Nothing is dropped uncounted: what was due and what was sent, and what became of it.
//!
//! ```text
//! iterations   due  = started + missed + lost
//! requests     sent = succeeded + failed + cancelled + unknown
//! raw events   produced = stored + dropped
//! ```
//!
//! They hold once a run has ended; before, what is queued or in flight is on one side only. Every driver's own totals
//! must equal what its windows add up to, too. Of raw events only the store knows how many it has, and only drivers know
//! how many there were: where one of them has not said, there is nothing to compare.

use std::fmt;

use crate::{DriverTotals, EventCounts, Merged, Totals};

/// A driver that was lost, and what is known of what nobody measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LostDriver {
    /// Which.
    pub node_id: String,
    /// Whether another driver took its share over.
    pub replaced: bool,
    /// Whether it said its totals before it went, so that they can be compared.
    pub said_totals: bool,
    /// Requests it had sent by its last report of any kind.
    pub requests_sent: u64,
    /// Iterations that were due on it after its last window, and before they were another's.
    pub due_unreported: u64,
}

impl LostDriver {
    /// Iterations lost on it: those after its last window, and those that waited for a connection then.
    pub(crate) fn lost_iterations(&self, totals: Option<&DriverTotals>) -> u64 {
        let waiting = totals.map_or(0, |t| t.due.saturating_sub(t.started).saturating_sub(t.missed.total()));
        self.due_unreported.saturating_add(waiting)
    }

    /// Requests it sent, and those of them of which nobody knows what became.
    fn sent_and_unknown(&self, totals: Option<&DriverTotals>) -> (u64, u64) {
        let (sent, known) = totals.map_or((0, 0), |t| {
            (t.requests_sent, t.succeeded.saturating_add(t.failed).saturating_add(t.cancelled))
        });
        let sent = sent.max(self.requests_sent);
        (sent, sent.saturating_sub(known))
    }
}

/// What became of the due iterations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Iterations {
    /// Whose intended time came, to the moment the run really stopped.
    pub due: u64,
    /// Whose first request was sent, or failed in being sent.
    pub started: u64,
    /// That we or the target could not start in time.
    pub missed: u64,
    /// That were due on a lost driver after its last report.
    pub lost: u64,
    /// Stated apart: sent by two drivers while a share moved.
    pub overlap: u64,
}

/// What became of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// That left, or failed before they could.
    pub sent: u64,
    /// That succeeded.
    pub succeeded: u64,
    /// That failed.
    pub failed: u64,
    /// That were in flight when the drain ended.
    pub cancelled: u64,
    /// That a driver sent which died before it reported them.
    pub unknown: u64,
}

/// What became of the raw events; `None` of what nobody has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawEvents {
    /// Requests that the plan asks a raw event of, as all drivers said.
    pub produced: Option<u64>,
    /// Those that are in the store.
    pub stored: Option<u64>,
    /// Those that drivers gave up.
    pub dropped: Option<u64>,
}

/// The accounts of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounting {
    /// What became of the due iterations.
    pub iterations: Iterations,
    /// What became of the requests.
    pub requests: Requests,
    /// What became of their raw events. How many are stored is for whoever has the store to say.
    pub events: RawEvents,
    /// Drivers whose own totals are missing or differ from their windows, with a sentence each.
    pub differences: Vec<(String, String)>,
}

impl Accounting {
    /// The accounts of what was measured, with what is known of lost drivers.
    pub fn of(merged: &Merged, lost: &[LostDriver], overlap: u64) -> Self {
        Self {
            iterations: iterations(merged, lost, overlap),
            requests: requests(merged, lost),
            events: events(merged),
            differences: differences(merged, lost),
        }
    }

    /// Whether every identity holds. Expected of a run that has ended.
    pub fn balanced(&self) -> bool {
        self.imbalances().is_empty()
    }

    /// A sentence for each identity that does not hold, with its terms.
    pub fn imbalances(&self) -> Vec<String> {
        let mut found = Vec::new();
        let Iterations { due, started, missed, lost, .. } = self.iterations;
        if due != started.saturating_add(missed).saturating_add(lost) {
            found.push(format!("{due} iterations due ≠ {started} started + {missed} missed + {lost} lost"));
        }
        let Requests { sent, succeeded, failed, cancelled, unknown } = self.requests;
        if sent != succeeded.saturating_add(failed).saturating_add(cancelled).saturating_add(unknown) {
            found.push(format!(
                "{sent} requests sent ≠ {succeeded} succeeded + {failed} failed + {cancelled} cancelled \
                 + {unknown} unknown"
            ));
        }
        if let RawEvents { produced: Some(produced), stored: Some(stored), dropped: Some(dropped) } =
            self.events
            && produced != stored.saturating_add(dropped)
        {
            found.push(format!("{produced} raw events produced ≠ {stored} stored + {dropped} dropped"));
        }
        found.extend(self.differences.iter().map(|(_, text)| text.clone()));
        found
    }
}

impl fmt::Display for Accounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let imbalances = self.imbalances();
        f.write_str(if imbalances.is_empty() { "balanced" } else { "not balanced: " })?;
        f.write_str(&imbalances.join("; "))
    }
}

/// A sum that stays at the greatest number, since some of its terms come from other processes.
pub(crate) fn sum(terms: impl Iterator<Item = u64>) -> u64 {
    terms.fold(0, u64::saturating_add)
}

fn find<'a>(merged: &'a Merged, lost: &LostDriver) -> Option<&'a DriverTotals> {
    merged.drivers.get(&lost.node_id)
}

/// What became of the due iterations.
pub(crate) fn iterations(merged: &Merged, lost: &[LostDriver], overlap: u64) -> Iterations {
    let totals = merged.totals();
    let unreported = sum(lost.iter().map(|driver| driver.due_unreported));
    let lost = lost
        .iter()
        .fold(0u64, |sum, driver| sum.saturating_add(driver.lost_iterations(find(merged, driver))));
    Iterations {
        due: totals.due.saturating_add(unreported),
        started: totals.started,
        missed: totals.missed.total(),
        lost,
        overlap,
    }
}

fn requests(merged: &Merged, lost: &[LostDriver]) -> Requests {
    let totals = merged.totals();
    let mut sent = totals.requests_sent;
    let mut unknown = 0u64;
    for driver in lost {
        let measured = find(merged, driver);
        let (its_sent, its_unknown) = driver.sent_and_unknown(measured);
        sent = sent.saturating_add(its_sent - measured.map_or(0, |totals| totals.requests_sent));
        unknown = unknown.saturating_add(its_unknown);
    }
    Requests {
        sent,
        succeeded: totals.succeeded,
        failed: totals.failed,
        cancelled: totals.cancelled,
        unknown,
    }
}

/// The raw events of all drivers, where each has said how many it made.
fn events(merged: &Merged) -> RawEvents {
    let said = merged.drivers.values().map(|driver| driver.final_totals?.events);
    let counts = said.collect::<Option<Vec<EventCounts>>>().filter(|counts| !counts.is_empty());
    let of = |which: fn(&EventCounts) -> u64| counts.as_ref().map(|counts| sum(counts.iter().map(which)));
    RawEvents { produced: of(|counts| counts.produced), stored: None, dropped: of(|counts| counts.dropped) }
}

/// Drivers, none of them lost without a word, whose own totals are missing or are not what their windows add up to.
pub(crate) fn differences(merged: &Merged, lost: &[LostDriver]) -> Vec<(String, String)> {
    let is_lost = |node_id: &str| lost.iter().any(|driver| driver.node_id == node_id && !driver.said_totals);
    let present = merged.drivers.iter().filter(|(node_id, _)| !is_lost(node_id));
    present
        .filter_map(|(node_id, driver)| {
            let text = match driver.final_totals {
                None => format!("{node_id} did not say its totals"),
                Some(said) => difference(node_id, &said, &driver.totals())?,
            };
            Some((node_id.clone(), text))
        })
        .collect()
}

fn difference(node_id: &str, said: &Totals, measured: &Totals) -> Option<String> {
    let terms = [
        ("iterations due", said.due, measured.due),
        ("iterations started", said.started, measured.started),
        ("iterations missed", said.missed.total(), measured.missed.total()),
        ("requests sent", said.requests_sent, measured.requests_sent),
        ("requests succeeded", said.succeeded, measured.succeeded),
        ("requests failed", said.failed, measured.failed),
        ("requests cancelled", said.cancelled, measured.cancelled),
        ("bytes in", said.bytes_in, measured.bytes_in),
        ("bytes out", said.bytes_out, measured.bytes_out),
    ];
    let differing = terms.iter().filter(|(_, said, measured)| said != measured);
    let terms: Vec<_> = differing
        .map(|(name, said, measured)| format!("{said} {name}, and {measured} were measured"))
        .collect();
    (!terms.is_empty()).then(|| format!("{node_id} says {}", terms.join("; ")))
}
