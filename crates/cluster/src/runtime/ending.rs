//! What the end of a run waits for: that its raw events are stored.
//!
//! Invariant: it waits for a bounded time. What comes later is in the store all the same, and in every later report.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use metrics::{Accounting, Merged};
use store::Store;

use super::ingest::Hurry;
use super::locked;

/// How long the end of a run waits for its raw events.
const EVENTS_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// How many raw events of the run are stored, once these are all that its drivers made and did not drop, or after a
/// while; `None` where no driver said how many it made, the store cannot say how many it has, or they may all be in
/// another one: this process has no ingest (`has_ingest`), and the store has none.
pub(super) fn events_stored(
    store: &Mutex<Store>,
    hurry: &Hurry,
    run_id: &str,
    merged: &Merged,
    has_ingest: bool,
) -> Option<u64> {
    let events = Accounting::of(merged, &[], 0).events;
    let kept = events.produced?.saturating_sub(events.dropped?);
    let counted = locked(store).reader().and_then(|reader| {
        let deadline = clock::now() + EVENTS_PATIENCE;
        loop {
            hurry.ask();
            let stored = reader.events_stored(run_id)?;
            if stored >= kept || clock::now() >= deadline {
                return Ok(stored);
            }
            thread::sleep(LOOK);
        }
    });
    let stored = counted.inspect_err(
        |error| tracing::warn!(run_id, %error, "the store does not say how many raw events it has"),
    );
    stored.ok().filter(|stored| has_ingest || *stored > 0)
}
