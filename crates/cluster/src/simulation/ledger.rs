//! A model of the collector and its store: each report counts once by its identity, whatever the log repeats.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use metrics::Totals;
use transport::{Metrics, Uuid};

use crate::orchestrator::Collected;

/// What one store has of one life of a driver.
#[derive(Debug, Default)]
struct Life {
    stored: Totals,
    fin: Option<Totals>,
    reported_s: u32,
    windows: BTreeSet<u64>,
    changed: bool,
}

/// What survives a restart of an orchestrator, beside its record.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub cursor: i64,
    seen: HashSet<(String, String, Uuid, u64, u32)>,
    lives: BTreeMap<(String, String, Uuid), Life>,
    /// How often each arrival of a run was reported as due.
    pub due: HashMap<String, HashMap<u64, u32>>,
}

impl Ledger {
    /// Takes in one report; `due` names the arrivals of a window by its identity.
    pub fn ingest(&mut self, metrics: &Metrics, due: &HashMap<(String, Uuid, u64), Vec<u64>>) {
        let Some(ours) = &metrics.ours else { return };
        let run = &metrics.test_id;
        let key = (run.clone(), metrics.node_id.clone(), ours.incarnation);
        if !self.seen.insert((key.0.clone(), key.1.clone(), key.2, ours.seq, ours.part)) {
            return;
        }
        let life = self.lives.entry(key).or_default();
        life.changed = true;
        life.fin = life.fin.or(ours.fin);
        let Some(window) = &ours.window else { return };
        let mut added = Totals::default();
        added.add(window);
        added.windows = u64::from(life.windows.insert(ours.seq));
        life.stored.merge(&added);
        life.reported_s = life.reported_s.max(window.to_s);
        let counts = self.due.entry(run.clone()).or_default();
        for index in due.get(&(run.clone(), ours.incarnation, ours.seq)).into_iter().flatten() {
            *counts.entry(*index).or_default() += 1;
        }
    }

    /// What changed of a run; everything when `all`.
    pub fn collected(&mut self, run_id: &str, all: bool) -> Vec<Collected> {
        let of_run = self.lives.iter_mut().filter(|((run, ..), life)| run == run_id && (all || life.changed));
        of_run
            .map(|((run_id, node_id, incarnation), life)| {
                life.changed = false;
                Collected {
                    run_id: run_id.clone(),
                    node_id: node_id.clone(),
                    incarnation: *incarnation,
                    reported_s: life.reported_s,
                    stored: life.stored,
                    fin: life.fin,
                }
            })
            .collect()
    }
}
