//! Drivers that measure requests which nobody sent.
//!
//! Requests are as in a run of 50,000 a second per driver: five steps, each with its own size of answers and a log-normal
//! service time; one in 200 answers 503; the send lag of an idle machine; ends in order. They come as fast as Kafka takes
//! them, with so many on the way that nothing is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::ensure;
use clock::BrokerTime;
use cluster::runtime::events::{Begin, Events, Fate, Log, Outlet, Refused};
use events::Identity;
use metrics::{ErrorKind, Exchange, Outcome, Recorder, Times};
use plan::{Plan, StageId, StepId};
use transport::kafka::Cluster;
use transport::{Connect, EventBatch};

use crate::RUN;

const DRIVERS: u64 = 2;
/// Between the ends of two requests of a driver, on average.
const GAP_NS: f64 = 20_000.0;
/// Rows that are recorded and not with Kafka yet, at most; as many find room in the ring.
const ON_THE_WAY: u64 = 1 << 18;
/// Rows that are recorded before it is looked how many are on the way.
const BURST: u64 = 1 << 12;
/// One in so many answers is 503.
const FAILING: u32 = 200;

/// Step, typical service time in µs, bytes of an answer and of a request.
const STEPS: [(&str, f64, u64, u64); 5] = [
    ("GET /", 900.0, 5_210, 112),
    ("GET /api/products", 2_400.0, 18_344, 131),
    ("GET /api/products/{id}", 1_700.0, 2_071, 138),
    ("POST /cart", 4_100.0, 315, 402),
    ("POST /checkout", 9_500.0, 1_022, 655),
];

/// Records `rows` requests, and ends when all of their events are in Kafka.
pub fn run(cluster: &Cluster, rows: u64) -> anyhow::Result<()> {
    let plan = Arc::new(plan()?);
    let drawn = Arc::new(Drawn::new());
    let mut drivers = Vec::new();
    for number in 0..DRIVERS {
        let connect = Connect { node: format!("d{number}-events"), subscriptions: Vec::new() };
        let arrived = Arc::<AtomicU64>::default();
        let log = Log::new(cluster.node(connect)?);
        let outlet = Counted { log, rows: HashMap::new(), arrived: Arc::clone(&arrived) };
        let events = Events::start(format!("worker-0{number}"), Box::new(outlet), None)?;
        drivers.push(Driver { number, events, arrived, plan: Arc::clone(&plan), drawn: Arc::clone(&drawn) });
    }
    let (began, began_ms) = (clock::now(), clock::unix_ms());
    let driving = drivers.into_iter().map(|driver| {
        let share = rows / DRIVERS + u64::from(driver.number < rows % DRIVERS);
        thread::spawn(move || driver.run(share))
    });
    let driving: Vec<_> = driving.collect();
    for driver in driving {
        ensure!(matches!(driver.join(), Ok(0)), "raw events were dropped");
    }
    let (seconds, cpu_s) = (clock::now().since(began).as_secs_f64(), clock::process_cpu().as_secs_f64());
    println!(
        "{{\"rows\": {rows}, \"began_ms\": {began_ms}, \"seconds\": {seconds:.3}, \"cpu_s\": {cpu_s:.3}}}"
    );
    Ok(())
}

fn plan() -> anyhow::Result<Plan> {
    let steps = STEPS.map(|(name, ..)| format!("{{ get: /, name: \"{name}\" }}")).join(", ");
    let text = format!(
        "version: 1\nname: pipeline\ntarget: http://127.0.0.1:1\nevents: all\n\
         load: {{ model: open, stages: [{{ name: hold, at: 100000/s, for: 1h }}] }}\n\
         scenarios: {{ shop: {{ steps: [{steps}] }} }}\n"
    );
    plan::parse("pipeline", &text).map_err(|faults| anyhow::anyhow!("{faults:?}"))
}

struct Driver {
    number: u64,
    events: Events,
    /// Rows that Kafka has.
    arrived: Arc<AtomicU64>,
    plan: Arc<Plan>,
    drawn: Arc<Drawn>,
}

impl Driver {
    /// How many events were dropped.
    fn run(self, rows: u64) -> u64 {
        let room = usize::try_from(ON_THE_WAY + BURST).unwrap_or(usize::MAX);
        let Some((tap, samples)) = metrics::tap(self.plan.events, self.number, room) else { return rows };
        let mut recorder = Recorder::new(STEPS.len(), 1, 0).with_tap(Some(tap));
        self.events.begin(Begin {
            test_id: RUN.to_owned(),
            plan: Arc::clone(&self.plan),
            incarnation: uuid::Uuid::now_v7(),
            epoch: 0,
            began: BrokerTime::from_unix_ms(clock::unix_ms()),
            samples: vec![samples],
        });
        let mut random = fastrand::Rng::with_seed(self.number);
        let (mut done_ns, mut recorded) = (1e9, 0);
        while recorded < rows {
            let burst = BURST.min(rows - recorded);
            for _ in 0..burst {
                done_ns += GAP_NS * self.drawn.exponential(&mut random);
                record(&mut recorder, &self.drawn, &mut random, done_ns);
            }
            recorded += burst;
            while recorded - self.arrived.load(Ordering::Relaxed) > ON_THE_WAY {
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.events.end();
        let counts = loop {
            match self.events.counts() {
                Some(counts) => break counts.unwrap_or_default(),
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        while self.arrived.load(Ordering::Relaxed) < counts.produced - counts.dropped {
            thread::sleep(Duration::from_millis(1));
        }
        counts.dropped
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of synthetic requests")]
fn record(recorder: &mut Recorder, drawn: &Drawn, random: &mut fastrand::Rng, done_ns: f64) {
    let number = random.u16(..STEPS.len() as u16);
    let (_, typical_us, bytes_in, bytes_out) = STEPS[usize::from(number)];
    let service_ns = typical_us * 1e3 * drawn.log_normal(random);
    let lag_ns = 12_000.0 * drawn.log_normal(random);
    let done = done_ns as u64;
    let sent = done.saturating_sub(service_ns as u64);
    let intended = sent.saturating_sub(lag_ns as u64);
    let times = Times { intended, usable: intended, sent, done };
    let (outcome, status) = match random.u32(..FAILING) {
        0 => (Outcome::Failed(ErrorKind::Status, 503), 503),
        _ => (Outcome::Success(200), 200),
    };
    let (step, stage) = (StepId(number), StageId(0));
    recorder.sent(step, stage, &times);
    recorder.done(step, stage, &times, outcome, Exchange { status, bytes_in, bytes_out });
}

/// Numbers of two distributions, drawn once and picked from: making them is no part of what is measured.
struct Drawn {
    log_normal: Vec<f32>,
    exponential: Vec<f32>,
}

/// Enough that what was drawn does not come again soon.
const DRAWN: usize = 1 << 18;

impl Drawn {
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough of a random number")]
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(42);
        // The sum of twelve is close to normal.
        let mut normal = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let log_normal = (0..DRAWN).map(|_| (0.4 * normal()).exp() as f32).collect();
        let exponential = (0..DRAWN).map(|_| -(1.0 - random.f64()).ln() as f32).collect();
        Self { log_normal, exponential }
    }

    /// Of median 1.
    fn log_normal(&self, random: &mut fastrand::Rng) -> f64 {
        f64::from(self.log_normal[random.usize(..DRAWN)])
    }

    /// Of mean 1.
    fn exponential(&self, random: &mut fastrand::Rng) -> f64 {
        f64::from(self.exponential[random.usize(..DRAWN)])
    }
}

/// The log, with a count of the rows that arrived.
struct Counted {
    log: Log,
    /// Of batches on their way.
    rows: HashMap<Identity, u32>,
    arrived: Arc<AtomicU64>,
}

impl Outlet for Counted {
    fn send(&mut self, batch: &EventBatch) -> Result<(), Refused> {
        self.log.send(batch)?;
        self.rows.insert(Identity { incarnation: batch.incarnation, number: batch.number }, batch.rows);
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Option<Fate> {
        let fate = self.log.next(wait)?;
        if let Fate::Arrived(identity) = fate {
            let rows = self.rows.remove(&identity).unwrap_or(0);
            self.arrived.fetch_add(u64::from(rows), Ordering::Relaxed);
        }
        Some(fate)
    }
}
