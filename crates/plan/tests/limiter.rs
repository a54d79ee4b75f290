//! The limit on throughput, against random limits, threads and schedulers.

use std::time::Duration;

use plan::{Limiter, Rate};

const S: u64 = 1_000_000_000;
const WINDOW_NS: u64 = 10 * S;

/// The most requests that left in any window of 10 s.
fn most_in_a_window(sent: &[u64]) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (last, at) in sent.iter().enumerate() {
        while at - sent[first] >= WINDOW_NS {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u64
}

/// When requests leave during `seconds`, if each thread sends all it may whenever it wakes, and `late` says how much
/// later than wished that is.
fn run(rate: Rate, threads: usize, seconds: u64, mut late: impl FnMut() -> u64) -> Vec<u64> {
    let mut sent = Vec::new();
    for thread in 0..threads {
        let mut limiter = Limiter::new(rate, thread, threads);
        let mut now = 0;
        while now < seconds * S {
            while limiter.take(now) {
                sent.push(now);
            }
            now = limiter.next_allowed(now).max(now) + late();
        }
    }
    sent.sort_unstable();
    sent
}

fn allowed(rate: Rate) -> f64 {
    rate.per_second() * 10.0 + (rate.per_second() * 0.010).max(1.0)
}

fn random_rate(rng: &mut fastrand::Rng) -> Rate {
    let rate = 10f64.powf(rng.f64() * 5.0 - 0.5);
    Rate::new(if rng.bool() { rate.ceil() } else { rate }).expect("within the limits")
}

#[test]
fn no_window_of_ten_seconds_holds_more_than_the_limit() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rate = random_rate(&mut rng);
        let threads = Limiter::threads(rate, rng.usize(1..6));
        // From punctual to stalls of two seconds.
        let stall = 10u64.pow(rng.u32(0..6)) * 20_000;
        let chance = rng.f64() * 0.1;
        let sent =
            run(
                rate,
                threads,
                40,
                || if rng.f64() < chance { rng.u64(0..stall) } else { rng.u64(0..60_000) },
            );
        let most = most_in_a_window(&sent);
        assert!(most as f64 <= allowed(rate), "seed {seed}: {most} at {rate} on {threads} threads");
    }
}

#[test]
fn nor_after_all_threads_paused_at_once() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rate = random_rate(&mut rng);
        let threads = Limiter::threads(rate, rng.usize(1..6));
        let (from, to) = (rng.u64(0..10 * S), rng.u64(10 * S..20 * S));
        let mut sent = Vec::new();
        for thread in 0..threads {
            let mut limiter = Limiter::new(rate, thread, threads);
            let mut now = 0;
            while now < 40 * S {
                now = if (from..to).contains(&now) { to } else { now };
                while limiter.take(now) {
                    sent.push(now);
                }
                now = limiter.next_allowed(now);
            }
        }
        sent.sort_unstable();
        let most = most_in_a_window(&sent);
        assert!(most as f64 <= allowed(rate), "seed {seed}: {most} at {rate} on {threads} threads");
    }
}

#[test]
fn a_punctual_sender_reaches_the_limit() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rate = random_rate(&mut rng);
        let threads = Limiter::threads(rate, rng.usize(1..6));
        let seconds = if rate.per_second() < 10.0 { 1500 } else { 40 };
        // A millisecond is what a busy machine may well be late.
        let sent = run(rate, threads, seconds, || rng.u64(0..1_000_000)).len() as f64;
        let share = (sent + 1.0) / (rate.per_second() * seconds as f64);
        assert!(share >= 0.99, "seed {seed}: {share} of {rate} on {threads} threads");
    }
}

#[test]
fn at_most_ten_milliseconds_are_caught_up() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rate = random_rate(&mut rng);
        let mut limiter = Limiter::new(rate, 0, 1);
        let stalled_until = rng.u64(S..100 * S);
        let mut burst = 0;
        while limiter.take(stalled_until) {
            burst += 1;
        }
        assert!(f64::from(burst) <= rate.per_second() * 0.010 + 1.0, "seed {seed}: {burst} at {rate}");
    }
}

#[test]
fn first_requests_are_spread_over_threads() {
    let rate = Rate::new(1000.0).unwrap();
    let first: Vec<u64> = (0..4).map(|thread| Limiter::new(rate, thread, 4).next_allowed(0)).collect();
    assert_eq!(first, [0, 1_000_000, 2_000_000, 3_000_000]);
    let threads = |per_s| Limiter::threads(Rate::new(per_s).unwrap(), 3);
    assert_eq!([threads(1.0), threads(399.0), threads(400.0), threads(1e6)], [1, 1, 2, 3]);
}

#[test]
fn a_tsunami_under_its_own_limit_is_never_held_back() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rate = random_rate(&mut rng);
        let threads = Limiter::threads(rate, rng.usize(1..6));
        let delay = Duration::from_nanos(rng.u64(1_000..1_000_000_000));
        for thread in 0..threads {
            let mut limiter = Limiter::new(rate, thread, threads);
            for arrival in plan::tsunami(20_000, delay, Some(rate), thread, threads) {
                let now = arrival.at_ns + rng.u64(0..1_000_000);
                let waits = limiter.next_allowed(now).saturating_sub(now);
                assert!(waits <= 1_000, "seed {seed}: arrival {} waits {waits} ns at {rate}", arrival.index);
                assert!(limiter.take(now + waits));
            }
        }
    }
}

#[test]
fn another_limit_from_a_time_on() {
    let mut limiter = Limiter::new(Rate::new(1000.0).unwrap(), 0, 1);
    limiter.change_rate(2 * S, Rate::new(100.0).unwrap());
    let mut sent = Vec::new();
    let mut now = 0;
    while now < 4 * S {
        if limiter.take(now) {
            sent.push(now);
        }
        now = limiter.next_allowed(now).max(now);
    }
    assert_eq!(sent.iter().filter(|at| **at < 2 * S).count(), 2000);
    assert_eq!(sent.iter().filter(|at| **at >= 2 * S).count(), 200);
}
