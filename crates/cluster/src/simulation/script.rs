//! What happens in one simulated run: drawn from a seed, so that a number replays it.

use fastrand::Rng;

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1000 * MS;

/// Something that is done to the cluster.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    KillDriver {
        driver: usize,
        restart_after_ms: Option<u64>,
    },
    PauseDriver {
        driver: usize,
        for_ms: u64,
    },
    CutDriver {
        driver: usize,
        for_ms: u64,
    },
    /// SIGTERM.
    Leave {
        driver: usize,
    },
    /// One that was not there before.
    Join,
    /// A second process under the name of a driver.
    Twin {
        driver: usize,
    },
    KillOrchestrator {
        restart_after_ms: Option<u64>,
    },
    PauseOrchestrator {
        for_ms: u64,
    },
    CutOrchestrator {
        for_ms: u64,
    },
    BrokerAway {
        for_ms: u64,
    },
    /// The log's leader moves to a broker whose clock differs.
    BrokerStep {
        by_ms: i64,
    },
    /// Another orchestrator with a store of its own tries to start a run.
    Rival,
    /// A stop by an orchestrator that was superseded long ago.
    Ghost,
    Stop,
    Abort,
    /// A threshold is crossed; the collector says so again and again.
    Cross,
    SetRate {
        percent: u64,
    },
}

/// A file that travels with the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct File {
    pub bytes: usize,
    pub fate: Fate,
}

/// What becomes of it in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    /// A byte of it changes.
    Spoilt,
    /// Its first piece is deleted before anybody reads it.
    Deleted,
}

/// The setup and teardown of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fixtures {
    pub setup_fails: bool,
    /// How long each takes at most.
    pub took_ms: u64,
}

/// What setup saves.
pub(super) const TOKEN: &str = "t0k";

/// Its name in the plan.
pub(super) const FILE: &str = "users.csv";

impl File {
    pub fn content(self) -> Vec<u8> {
        (0..self.bytes).map(|at| b"name\nada\n"[at % 9]).collect()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Script {
    pub seed: u64,
    pub plan: String,
    pub drivers: usize,
    pub min_drivers: usize,
    /// Greatest delay of one hop, ms.
    pub delay_ms: u64,
    /// Of 256 appends so many are repeated because the acknowledgement was lost.
    pub repeats: u8,
    /// How long the collector takes, ms.
    pub collect_ms: u64,
    /// A driver whose acknowledgements never come.
    pub deaf: Option<usize>,
    /// Of 16 preparations so many fail.
    pub unprepared: u8,
    /// The file that the plan needs, if it needs one.
    pub file: Option<File>,
    pub fixtures: Option<Fixtures>,
    /// True time of each fault, ns.
    pub faults: Vec<(u64, Fault)>,
}

/// When the run is asked for. Until then the fleet gathers.
pub(super) const START_AT: u64 = 4 * SECOND;

impl Script {
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let drivers = match rng.u8(0..100) {
            0 => 64,
            1..10 => rng.usize(6..16),
            _ => rng.usize(1..6),
        };
        // A lease outlives a short run.
        let duration_s = if rng.u8(0..12) == 0 { rng.u64(45..80) } else { rng.u64(6..20) };
        let plan = plan_text(&mut rng, drivers, duration_s);
        let count = [0, 1, 1, 2, 2, 3, 4, 8][rng.usize(0..8)];
        let mut faults: Vec<(u64, Fault)> = (0..count)
            .map(|_| (START_AT + rng.u64(0..(duration_s + 8) * 1000) * MS, draw_fault(&mut rng, drivers)))
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            plan,
            drivers,
            min_drivers: if rng.bool() { drivers } else { 1 },
            delay_ms: [2, 5, 20, 150, 400][rng.usize(0..5)],
            repeats: if rng.bool() { 0 } else { 25 },
            collect_ms: [100, 500, 3000][rng.usize(0..3)],
            deaf: (rng.u8(0..20) == 0).then(|| rng.usize(0..drivers)),
            unprepared: u8::from(rng.u8(0..16) == 0),
            file: None,
            fixtures: None,
            faults,
        }
        .with_fixtures(draw_fixtures(seed))
        // Not drawn, so that all else of a seed is what it was before there were files.
        .with_file(seed.is_multiple_of(4).then_some(File { bytes: 3_000, fate: Fate::Whole }))
    }

    /// Whether nothing happens that should cost a measurement.
    pub fn is_calm(&self) -> bool {
        let costs = |fault: &Fault| {
            !matches!(
                fault,
                Fault::Stop
                    | Fault::Abort
                    | Fault::Cross
                    | Fault::SetRate { .. }
                    | Fault::Join
                    | Fault::Twin { .. }
                    | Fault::Rival
                    | Fault::Ghost
            )
        };
        self.deaf.is_none() && self.unprepared == 0 && !self.faults.iter().any(|(_, fault)| costs(fault))
    }

    /// Whether every command is read well before it holds.
    pub fn is_prompt(&self) -> bool {
        let late = |fault: &Fault| {
            matches!(
                fault,
                Fault::PauseDriver { .. }
                    | Fault::CutDriver { .. }
                    | Fault::PauseOrchestrator { .. }
                    | Fault::CutOrchestrator { .. }
                    | Fault::BrokerAway { .. }
                    | Fault::BrokerStep { .. }
            )
        };
        self.delay_ms <= 20 && !self.faults.iter().any(|(_, fault)| late(fault))
    }

    /// A calm run on which one thing is tried.
    pub fn calm(seed: u64, drivers: usize, faults: Vec<(u64, Fault)>) -> Self {
        let plan = open_plan("redistribute", "fail", 12, 60);
        Self {
            seed,
            plan,
            drivers,
            min_drivers: drivers,
            delay_ms: 5,
            repeats: 0,
            collect_ms: 100,
            deaf: None,
            unprepared: 0,
            file: None,
            fixtures: None,
            faults,
        }
    }

    /// The same with a plan that has setup and teardown.
    pub fn with_fixtures(self, fixtures: Option<Fixtures>) -> Self {
        if fixtures.is_none() {
            return self;
        }
        let with_token = "get: /ping\n        headers: { x-token: \"{{ token }}\" }";
        let plan = self.plan.replace("get: /ping", with_token)
            + "setup: [ { post: /session, save: { token: $.token } } ]\nsetup_timeout: 10s\n\
               teardown: [ { delete: \"/session/{{ token }}\", name: end } ]\nteardown_timeout: 10s\n";
        Self { plan, fixtures, ..self }
    }

    /// The same with a plan that needs a file.
    pub fn with_file(self, file: Option<File>) -> Self {
        let data = file.map_or(String::new(), |_| format!("data: {{ users: {{ file: {FILE} }} }}\n"));
        Self { plan: self.plan + &data, file, ..self }
    }
}

/// Not from the numbers of the rest, so that all else of a seed is what it was before there were any.
fn draw_fixtures(seed: u64) -> Option<Fixtures> {
    let mut rng = Rng::with_seed(seed ^ 0xF1C5);
    let fixtures =
        Fixtures { setup_fails: rng.u8(0..8) == 0, took_ms: [50, 500, 3000, 9000][rng.usize(0..4)] };
    (seed % 3 == 1).then_some(fixtures)
}

fn draw_fault(rng: &mut Rng, drivers: usize) -> Fault {
    let driver = rng.usize(0..drivers);
    match rng.u8(0..28) {
        0..4 => Fault::KillDriver { driver, restart_after_ms: rng.bool().then(|| rng.u64(500..12_000)) },
        4..7 => Fault::PauseDriver { driver, for_ms: rng.u64(1000..20_000) },
        7..10 => Fault::CutDriver { driver, for_ms: rng.u64(1000..40_000) },
        10..12 => Fault::Leave { driver },
        12..14 => Fault::Join,
        14 => Fault::Twin { driver },
        15..17 => Fault::KillOrchestrator { restart_after_ms: Some(rng.u64(500..15_000)) },
        17 => Fault::KillOrchestrator { restart_after_ms: rng.bool().then(|| rng.u64(25_000..45_000)) },
        18 => Fault::PauseOrchestrator { for_ms: rng.u64(1000..20_000) },
        19 => Fault::CutOrchestrator { for_ms: rng.u64(1000..20_000) },
        20 => Fault::BrokerAway { for_ms: rng.u64(1000..20_000) },
        21 => Fault::Rival,
        22 => Fault::Ghost,
        23 => Fault::Stop,
        24 => Fault::Abort,
        25 => Fault::Cross,
        26 => Fault::BrokerStep { by_ms: rng.i64(-4000..4000) },
        _ => Fault::SetRate { percent: rng.u64(20..300) },
    }
}

fn plan_text(rng: &mut Rng, drivers: usize, duration_s: u64) -> String {
    let abort_or_continue = ["continue", "continue", "abort"][rng.usize(0..3)];
    let unready = if rng.bool() { "fail" } else { "start_without" };
    match rng.u8(0..10) {
        0 => {
            let requests = rng.u64(50..800);
            let load = format!("{{ model: avalanche, requests_per_driver: {requests}, connections: 4 }}");
            plan(&load, abort_or_continue, unready)
        }
        1 => {
            let requests = rng.u64(20..150);
            let load = format!("{{ model: tsunami, requests_per_driver: {requests}, delay: 100ms }}");
            plan(&load, abort_or_continue, unready)
        }
        2 => {
            let users = rng.u64(1..40);
            let iterations = rng.u64(20..400);
            plan(
                &format!("{{ model: closed, users: {users}, iterations: {iterations} }}"),
                abort_or_continue,
                unready,
            )
        }
        3 => {
            let users = rng.u64(1..40);
            let ramp = format!("{{ from: 0, to: {users}, over: {duration_s}s }}");
            let load = match users % 2 {
                0 => format!("{{ model: closed, stages: [{ramp}] }}"),
                _ => format!("{{ model: closed, stages: [{{ users: {users}, for: {duration_s}s }}] }}"),
            };
            plan(&load, "redistribute", unready)
        }
        4 => any_open_plan(abort_or_continue, unready, duration_s, rng.u64(10..100)),
        _ => any_open_plan("redistribute", unready, duration_s, rng.u64(10..100) + drivers as u64),
    }
}

pub(super) fn open_plan(loss: &str, unready: &str, duration_s: u64, rate: u64) -> String {
    let load = format!("{{ model: open, stages: [{{ at: {rate}/s, for: {duration_s}s }}] }}");
    plan(&load, loss, unready)
}

/// One of the ways in which arrivals can lie in time, all of about the same number.
fn any_open_plan(loss: &str, unready: &str, duration_s: u64, rate: u64) -> String {
    let ramp = rate * 2;
    let load = match rate % 4 {
        0 => {
            format!("{{ model: open, arrivals: poisson, stages: [{{ at: {rate}/s, for: {duration_s}s }}] }}")
        }
        1 => format!("{{ model: open, stages: [{{ from: 0/s, to: {ramp}/s, over: {duration_s}s }}] }}"),
        _ => return open_plan(loss, unready, duration_s, rate),
    };
    plan(&load, loss, unready)
}

fn plan(load: &str, loss: &str, unready: &str) -> String {
    format!(
        "version: 1\nname: simulated\ntarget: http://127.0.0.1:7701\nload: {load}\ndrain: 5s\n\
         on_driver_loss: {loss}\non_unready_driver: {unready}\n\
         scenarios:\n  only:\n    steps:\n      - get: /ping\n"
    )
}
