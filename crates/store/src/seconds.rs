//! From reports to seconds: what is new is merged in memory before it is stored, so that a second of many drivers is as
//! few rows as a second of one.
//!
//! Invariant: merging is exact and knows no order, so the rows of several batches about one second add up to what one
//! batch would have said.

use std::collections::BTreeMap;

use metrics::{DriverTotals, DriverWindow, Gauges, Merged, StepWindow};
use plan::{StageId, StepId};

use crate::Delivery;

/// What one driver did in one second, and how it stood at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriverSecond {
    /// The second of the run.
    pub second: u32,
    /// The driver.
    pub node_id: String,
    /// What it did.
    pub totals: DriverTotals,
    /// Requests in flight.
    pub in_flight: u32,
    /// Arrivals that wait for a connection.
    pub queued: u32,
    /// Open connections.
    pub connections: u32,
    /// Resident memory of its process; 0 where it did not tell.
    pub memory_bytes: u64,
}

impl DriverSecond {
    pub(crate) fn new(second: u32, node_id: &str) -> Self {
        Self { second, node_id: node_id.to_owned(), ..Self::default() }
    }

    /// Several rows may say how the driver stood.
    pub(crate) fn raise(&mut self, state: &Gauges) {
        self.in_flight = self.in_flight.max(state.in_flight);
        self.queued = self.queued.max(state.queued);
        self.connections = self.connections.max(state.connections);
        self.memory_bytes = self.memory_bytes.max(state.memory_bytes);
    }
}

/// What the drivers' fresh reports say about one second.
#[derive(Default)]
pub(crate) struct Second {
    pub(crate) merged: Merged,
    /// The drivers' states at the end of it.
    pub(crate) states: BTreeMap<String, Gauges>,
}

impl Second {
    /// All steps together, by stage; groups repeat what their steps say and are left out.
    pub(crate) fn all_steps(&self) -> BTreeMap<StageId, StepWindow> {
        let mut all: BTreeMap<StageId, StepWindow> = BTreeMap::new();
        for (&(stage, step), window) in &self.merged.steps {
            if step.group().is_none() {
                all.entry(stage).or_insert_with(|| StepWindow::new(StepId(0), stage)).merge(window);
            }
        }
        all
    }
}

/// The seconds of those deliveries.
pub(crate) fn gather<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> BTreeMap<u32, Second> {
    let mut seconds: BTreeMap<u32, Second> = BTreeMap::new();
    for delivery in deliveries {
        let Some(window) = &delivery.window else { continue };
        let second = seconds.entry(window.from_s).or_default();
        second.merged.add(&delivery.node_id, window);
        // A further part of a window carries no gauges.
        raise(second.states.entry(delivery.node_id.clone()).or_default(), window);
    }
    seconds
}

/// The state is the driver's own, so what several parts say of it is not summed.
fn raise(state: &mut Gauges, window: &DriverWindow) {
    let said = &window.gauges;
    state.in_flight = state.in_flight.max(said.in_flight);
    state.queued = state.queued.max(said.queued);
    state.connections = state.connections.max(said.connections);
    state.busiest_thread_permille = state.busiest_thread_permille.max(said.busiest_thread_permille);
    state.throttled_us = state.throttled_us.max(said.throttled_us);
    state.cpu_permille = state.cpu_permille.max(said.cpu_permille);
    state.memory_bytes = state.memory_bytes.max(said.memory_bytes);
    state.starved_permille = state.starved_permille.max(said.starved_permille);
    state.stolen_permille = state.stolen_permille.max(said.stolen_permille);
}

/// What drivers said at their ends, by node id.
pub(crate) fn ends<'a>(
    deliveries: impl Iterator<Item = &'a Delivery>,
) -> impl Iterator<Item = (&'a str, DriverTotals)> {
    deliveries.filter_map(|delivery| {
        let mut driver = DriverTotals::default();
        driver.finish(delivery.totals.as_ref()?);
        Some((delivery.node_id.as_str(), driver))
    })
}
