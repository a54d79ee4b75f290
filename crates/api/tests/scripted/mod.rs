//! A control plane that plays runs without drivers: it keeps states, and makes seconds when told to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use api::{Control, Refused};
use cluster::RunResult;
use cluster::view::{DriverView, ErrorCount, RunDriver, RunState, RunView, Storage, Tick, TimelineEvent};
use metrics::{Accounting, Merged, Stats, Verdict};
use plan::Plan;
use store::{RunRow, Store};

const RATE: u64 = 100;

#[derive(Clone)]
pub struct Scripted(Arc<(Mutex<Stage>, Condvar)>);

struct Stage {
    store: Store,
    version: u64,
    run: Option<RunView>,
    ticks: Vec<Arc<Tick>>,
    /// Bytes of text in each second, to fill sockets.
    fat: usize,
    storage: Storage,
}

fn stats() -> Stats {
    Stats {
        count: RATE,
        mean: 2.0,
        median: 2.0,
        min: 1.0,
        max: 9.0,
        stddev: 0.5,
        p50: 2.0,
        p75: 2.5,
        p90: 3.0,
        p95: 4.0,
        p99: 8.0,
        p99_9: 9.0,
        p99_99: 9.0,
    }
}

impl Scripted {
    pub fn new(folder: &Path) -> Self {
        let store = Store::open(folder).unwrap();
        let stage =
            Stage { store, version: 1, run: None, ticks: Vec::new(), fat: 0, storage: Storage::default() };
        Self(Arc::new((Mutex::new(stage), Condvar::new())))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Stage) -> T) -> T {
        let mut stage = self.0.0.lock().unwrap();
        let result = change(&mut stage);
        stage.version += 1;
        self.0.1.notify_all();
        result
    }

    fn look<T>(&self, look: impl FnOnce(&Stage) -> T) -> T {
        look(&self.0.0.lock().unwrap())
    }

    /// The text of some plan that parses.
    pub fn source_of_a_plan(&self) -> String {
        let form = serde_json::json!({"test_type": "TSUNAMI", "test_message_delay": 5,
            "message_count_per_driver": 100, "target": "http://127.0.0.1:7701/ping"});
        plan::basic(form.as_object().unwrap()).unwrap().source
    }

    pub fn start(&self, run_id: &str) {
        Control::start(self, run_id).unwrap();
    }

    pub fn finish(&self, run_id: &str) {
        self.step(run_id, &[RunState::Running, RunState::Draining], RunState::Finished).unwrap();
    }

    pub fn storing(&self, storage: Storage) {
        self.change(|stage| stage.storage = storage);
    }

    pub fn fatten(&self, bytes: usize) {
        self.change(|stage| stage.fat = bytes);
    }

    /// Makes `count` more seconds.
    pub fn tick(&self, count: u32) {
        for _ in 0..count {
            self.change(|stage| {
                let second = u32::try_from(stage.ticks.len()).unwrap();
                let tick = Arc::new(tick(second, stage.fat));
                stage.ticks.push(Arc::clone(&tick));
                if let Some(run) = &mut stage.run {
                    run.latest = Some(tick);
                }
            });
        }
    }

    fn step(&self, run_id: &str, from: &[RunState], to: RunState) -> Result<RunState, Refused> {
        self.change(|stage| {
            let run = stage.run.as_mut().filter(|run| run.run_id == run_id).ok_or(Refused::Unknown)?;
            if !from.contains(&run.state) {
                return Err(Refused::NotNow {
                    state: run.state,
                    why: format!("the run is {}", run.state.as_str()),
                });
            }
            run.state = to;
            let now = clock::unix_ms();
            run.started_ms.get_or_insert(now);
            if to.is_over() {
                run.ended_ms = Some(now);
            }
            run.events.push(TimelineEvent {
                second: None,
                unix_ms: now,
                kind: to.as_str().into(),
                text: format!("The run is {}.", to.as_str()),
                driver: None,
            });
            Ok(to)
        })
    }
}

fn tick(second: u32, fat: usize) -> Tick {
    let all = (u64::from(second) + 1) * RATE;
    Tick {
        second,
        planned: Some(RATE as f64),
        due: RATE,
        started: RATE,
        missed: 0,
        sent: RATE,
        completed: RATE,
        failed: 1,
        bytes_in: 10_000,
        bytes_out: 5_000,
        in_flight: 3,
        connections: 8,
        response: Some(stats()),
        service: Some(stats()),
        total_response: Some(stats()),
        total_service: Some(stats()),
        sent_total: all,
        succeeded_total: all - u64::from(second) - 1,
        failed_total: u64::from(second) + 1,
        missed_total: 0,
        per_driver: BTreeMap::from([("d1".to_owned(), all)]),
        errors: vec![ErrorCount {
            kind: "status",
            detail: "5".repeat(fat.max(3)),
            count: u64::from(second) + 1,
        }],
        send_lag_p99_ms: Some(0.1),
        drivers_reporting: 1,
    }
}

impl Control for Scripted {
    fn storage(&self) -> Storage {
        self.look(|stage| stage.storage.clone())
    }

    fn fleet(&self) -> Vec<DriverView> {
        vec![DriverView {
            node_id: "d1".to_owned(),
            address: "127.0.0.1".to_owned(),
            state: "idle",
            reason: None,
            heartbeat_age_ms: Some(200),
            cores: Some(2),
            cpu_percent: Some(10.0),
            memory_bytes: Some(50_000_000),
            version: Some("0.1.0".to_owned()),
            clock_offset_ms: Some(0.1),
            clock_error_ms: Some(0.5),
            requests_sent: Some(0),
            send_lag_p99_us: Some(80),
            open_sockets: Some(8),
            zone: None,
            labels: BTreeMap::new(),
        }]
    }

    fn current(&self) -> Option<RunView> {
        self.look(|stage| stage.run.clone())
    }

    fn run(&self, run_id: &str) -> Option<RunView> {
        self.current().filter(|run| run.run_id == run_id)
    }

    fn ticks(&self, run_id: &str) -> Vec<Arc<Tick>> {
        self.run(run_id).map(|_| self.look(|stage| stage.ticks.clone())).unwrap_or_default()
    }

    fn result(&self, run_id: &str) -> Option<RunResult> {
        let view = self.run(run_id)?;
        let merged = Merged::new();
        let accounting = Accounting::of(&merged, &[], 0);
        Some(RunResult {
            view,
            merged,
            accounting,
            verdict: Verdict::default(),
            complete: None,
            lost_drivers: Vec::new(),
            teardown_fault: None,
        })
    }

    fn wait_change(&self, seen: u64, patience: Duration) -> u64 {
        let stage = self.0.0.lock().unwrap();
        self.0.1.wait_timeout_while(stage, patience, |stage| stage.version == seen).unwrap().0.version
    }

    fn create(&self, plan: Plan) -> Result<String, Refused> {
        self.change(|stage| {
            let run_id = format!("run-{}", stage.version);
            let now = clock::unix_ms();
            let row = RunRow {
                run_id: run_id.clone(),
                plan_name: plan.name.clone(),
                plan_source: plan.source.clone(),
                state: "created".to_owned(),
                created_ms: now,
                loop_kind: plan.loop_kind().as_str().to_owned(),
                ..RunRow::default()
            };
            stage.store.create_run(&row).unwrap();
            stage.ticks.clear();
            stage.run = Some(RunView {
                run_id: run_id.clone(),
                plan: Arc::new(plan),
                state: RunState::Created,
                state_reason: None,
                created_ms: now,
                started_ms: None,
                stopped_ns: None,
                ended_ms: None,
                planned_per_s: None,
                drivers: vec![RunDriver {
                    node_id: "d1".to_owned(),
                    state: "running",
                    requests_sent: 0,
                    foreign: false,
                    summary_only: None,
                }],
                verdict: Verdict::default(),
                thresholds: Vec::new(),
                latest: None,
                events: Vec::new(),
            });
            Ok(run_id)
        })
    }

    fn start(&self, run_id: &str) -> Result<RunState, Refused> {
        self.step(run_id, &[RunState::Created], RunState::Running)
    }

    fn stop(&self, run_id: &str) -> Result<RunState, Refused> {
        self.step(run_id, &[RunState::Running], RunState::Draining)
    }

    fn abort(&self, run_id: &str, _reason: &str) -> Result<RunState, Refused> {
        self.step(run_id, &[RunState::Running, RunState::Draining], RunState::Aborted)
    }

    fn set_rate(&self, run_id: &str, _factor: f64) -> Result<RunState, Refused> {
        self.step(run_id, &[RunState::Running], RunState::Running)
    }
}
