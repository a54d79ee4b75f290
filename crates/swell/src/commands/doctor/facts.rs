//! What `doctor` looks at: what the machine says of itself, and what only trying tells. All IO of it is here.

use std::time::Duration;

use engine::Machine;

use crate::arguments::Kafka;
use crate::commands::kafka::{self, Broker};

/// Wake-ups that are measured, a millisecond apart: so long, too, the hypervisor is watched.
const WAKE_UPS: usize = 1000;

/// All that is judged.
#[derive(Debug, Clone)]
pub struct Facts {
    pub machine: Machine,
    pub wake_up: WakeUp,
    /// Of the time of all processors while wake-ups were measured, in thousandths.
    pub stolen_permille: Option<u64>,
    /// Whether io_uring works here with all that the engine needs of it, or what the system says.
    pub uring: Result<(), String>,
    /// What was found behind `--kafka`, or why nothing; `None` when no broker was named.
    pub broker: Option<Result<Broker, String>>,
}

/// How late a sleeping thread is woken, in µs.
#[derive(Debug, Clone, Copy, Default)]
pub struct WakeUp {
    pub median_us: u64,
    pub p99_us: u64,
}

impl Facts {
    /// Looks at all of it; takes about a second, and as long as the brokers take to answer.
    pub fn gather(arguments: &Kafka) -> Self {
        let before = engine::stolen_ticks();
        let wake_up = wake_up();
        let stolen_permille = before.zip(engine::stolen_ticks()).and_then(|(before, after)| {
            let (all, stolen) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
            (stolen * 1000).checked_div(all)
        });
        let broker = kafka::examine(arguments).map(|examined| examined.map_err(|error| format!("{error:#}")));
        let uring = engine::uring_support().map_err(|error| error.to_string());
        Self { machine: Machine::read(), wake_up, stolen_permille, uring, broker }
    }
}

fn wake_up() -> WakeUp {
    let pause = Duration::from_millis(1);
    let mut late: Vec<Duration> = (0..WAKE_UPS)
        .map(|_| {
            let due = clock::now() + pause;
            std::thread::sleep(pause);
            clock::now().since(due)
        })
        .collect();
    late.sort_unstable();
    let micros = |rank: usize| u64::try_from(late[rank].as_micros()).unwrap_or(u64::MAX);
    WakeUp { median_us: micros(WAKE_UPS / 2), p99_us: micros(WAKE_UPS * 99 / 100) }
}
