//! What is written is read back exactly; what was not written is refused, or is harmless.

mod common;

use fastrand::Rng;
use metrics::codec::{self, DecodeError};
use metrics::{
    Cause, Causes, DriverWindow, ErrorKind, Gauges, Merged, Missed, Outcome, StageWindow, StepWindow, verdict,
};
use plan::{StageId, StepId};

#[test]
fn everything_is_read_back_as_it_was_written() {
    for seed in 0..500 {
        let rng = &mut Rng::with_seed(seed);
        let window = common::window(rng);
        assert_eq!(codec::decode_window(&codec::encode_window(&window)), Ok(window), "seed {seed}");
        let step = common::step(rng, 3, 4);
        assert_eq!(codec::decode_step(&codec::encode_step(&step)), Ok(step), "seed {seed}");
        let stage = common::stage(rng, 5);
        assert_eq!(codec::decode_stage(&codec::encode_stage(&stage)), Ok(stage), "seed {seed}");
        let timing = common::timing(rng);
        assert_eq!(codec::decode_timing(&codec::encode_timing(&timing)), Ok(timing), "seed {seed}");
        let totals = common::totals(rng);
        assert_eq!(codec::decode_totals(&codec::encode_totals(&totals)), Ok(totals), "seed {seed}");
        let driver = common::driver(rng);
        assert_eq!(codec::decode_driver(&codec::encode_driver(&driver)), Ok(driver), "seed {seed}");
        let merged = common::merged(rng);
        assert_eq!(codec::decode_merged(&codec::encode_merged(&merged)), Ok(merged), "seed {seed}");
    }
}

#[test]
fn merging_what_was_read_is_merging_what_was_written() {
    for seed in 0..100 {
        let rng = &mut Rng::with_seed(seed);
        let (mut written, mut read) = (Merged::new(), Merged::new());
        for _ in 0..10 {
            let window = common::window(rng);
            written.add("d1", &window);
            read.add("d1", &codec::decode_window(&codec::encode_window(&window)).unwrap());
        }
        assert_eq!(read, written, "seed {seed}");
        assert_eq!(codec::encode_merged(&read), codec::encode_merged(&written), "seed {seed}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let rng = &mut Rng::with_seed(11);
    let bytes = codec::encode_window(&common::window(rng));
    for length in 0..bytes.len() {
        assert!(codec::decode_window(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let timing = codec::encode_timing(&metrics::Timing::new());
    assert_eq!(timing, [2, 4, 0]);
    assert_eq!(codec::encode_window(&DriverWindow::default())[..2], [codec::VERSION, 1]);
    assert_eq!(codec::encode_totals(&metrics::Totals::default())[..2], [3, 5]);
    assert_eq!(codec::decode_timing(&[0, 4, 0]), Err(DecodeError::Version(0)));
    let decode = |bytes: &[u8]| codec::decode_timing(bytes).unwrap_err();
    assert_eq!(decode(&[]), DecodeError::Truncated);
    assert_eq!(decode(&[9, 4, 0]), DecodeError::Version(9));
    assert_eq!(decode(&[1, 5, 0]), DecodeError::Kind { expected: 4, found: 5 });
    assert_eq!(decode(&[1, 4, 0, 0]), DecodeError::Trailing);
    assert_eq!(decode(&[1, 4, 100, 0]), DecodeError::TooMany("bins"));
    assert_eq!(decode(&[1, 4, 1, 0x80, 0x80, 0x80, 1, 0]), DecodeError::Invalid("histogram"));
    let endless = [&[1, 4][..], &[0xff; 40]].concat();
    assert_eq!(decode(&endless), DecodeError::Invalid("number"));
}

/// One second in which everything happened that version 1 knows.
fn second_of_version_1() -> DriverWindow {
    let mut step = StepWindow::new(StepId(3), StageId(1));
    step.sent = 400;
    [1_000, 2_000_000, 2_000_100].into_iter().for_each(|ns| step.ok.response.record(ns));
    step.ok.service.record(900);
    step.failed.response.record(5);
    step.outcomes = vec![(Outcome::Success(200), 3), (Outcome::Failed(ErrorKind::Status, 503), 1)];
    (step.cancelled, step.bytes_in, step.bytes_out) = (2, 70_000, 128);
    let mut stage = StageWindow::new(StageId(1));
    (stage.due, stage.started, stage.completed) = (9, 4, 3);
    stage.missed = Missed { ours: 1, target: 3, limit: 1 };
    stage.iteration_time.record(3_000_000);
    stage.send_lag.record(40_000);
    stage.connection_wait.record(0);
    let gauges = Gauges {
        in_flight: 300,
        queued: 2,
        connections: 301,
        busiest_thread_permille: 450,
        never_waited: true,
        throttled_us: 77,
        cpu_permille: 980,
        causes: Some(Causes::of(&[Cause::Throttled, Cause::GeneratorBound])),
        ..Gauges::default()
    };
    DriverWindow { from_s: 7, to_s: 8, steps: vec![step], stages: vec![stage], gauges }
}

#[test]
fn what_version_1_wrote_is_read() {
    let window = second_of_version_1();
    assert_eq!(codec::decode_window(&bytes_of(WINDOW_1)), Ok(window.clone()));
    let mut merged = Merged::new();
    merged.add("d1", &window);
    let totals = merged.driver("d1").totals();
    merged.driver("d1").finish(&totals);
    assert_eq!(codec::decode_merged(&bytes_of(MERGED_1)), Ok(merged));
}

#[test]
fn what_version_2_wrote_is_read() {
    let mut window = second_of_version_1();
    (window.gauges.starved_permille, window.gauges.stolen_permille) = (5, 7);
    // Two gauges after the causes, and no phases at the end of the only step.
    let bytes =
        WINDOW_1.replacen("0101", "0201", 1).replacen("d4070124", "d40701240507", 1).replace(' ', "") + "00";
    assert_eq!(codec::decode_window(&bytes_of(&bytes)), Ok(window));
}

/// [`second_of_version_1`] as version 1 wrote it, in hexadecimal.
const WINDOW_1: &str = "01010708ac0202ad02c203014dd4070124010109040103010301f0c60100c08db701c08db701c08db70180a0b6cef785\
    0201c46300c0b802c0b802c0b80280a0f8fa0501000000000000010103900302d00ff1ae010000e807e4897acc9af401\
    d0dabde8ebe80101880e0084078407840790b831010a0005050519000200c801030bf7030102f0a2048001";

/// A run of that second alone.
const MERGED_1: &str = "0107010109040103010301f0c60100c08db701c08db701c08db70180a0b6cef7850201c46300c0b802c0b802c0b80280\
    a0f8fa0501000000000000010103900302d00ff1ae010000e807e4897acc9af401d0dabde8ebe80101880e0084078407\
    840790b831010a0005050519000200c801030bf7030102f0a20480010102643109040103019003030102f0a204800101\
    01c46300c0b802c0b802c0b80280a0f8fa0501012401d407080109040103019003030102f0a204800101";

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let pairs = hexadecimal.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

/// Changes a few bytes, drops some, repeats some, or puts numbers there that are extreme.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..12)).min(bytes.len());
        match rng.u8(..5) {
            0 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.u8(..8)),
            1 => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.u8(..)),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => {
                let extreme: &[u8] = if rng.bool() { &[0xff; 9] } else { &[0xff, 0xff, 0xff, 0xff, 0x0f] };
                bytes.splice(at..end, extreme.iter().copied());
            }
        }
    }
}

/// Looks at everything that a window from outside goes through.
fn use_it(window: &DriverWindow, merged: &mut Merged) {
    merged.add("d1", window);
    let context = verdict::Context { ended: true, ..verdict::Context::default() };
    verdict::judge(merged, &context);
    metrics::Accounting::of(merged, &[], 0).imbalances();
    merged.all_steps(|_| true).ok.response.stats();
    merged.all_stages(|_| true).send_lag.stats();
    merged.outcomes(|_| true);
}

#[test]
fn a_hundred_thousand_mutations_neither_panic_nor_take_memory() {
    let seed = 0x6d75_7461;
    println!("seed {seed}");
    let rng = &mut Rng::with_seed(seed);
    let valid: Vec<_> = (0..50).map(|_| codec::encode_window(&common::window(rng))).collect();
    let runs: Vec<_> = (0..50).map(|_| codec::encode_merged(&common::merged(rng))).collect();
    let mut accepted = 0;
    for round in 0..100_000 {
        let is_run = round % 10 == 0;
        let mut bytes = {
            let from = if is_run { &runs } else { &valid };
            from[rng.usize(..from.len())].clone()
        };
        mutate(rng, &mut bytes);
        let mut window = None;
        let taken = allocation_counter::measure(|| {
            if is_run {
                drop(codec::decode_merged(&bytes));
            } else {
                window = codec::decode_window(&bytes).ok();
            }
        });
        let most = codec::memory_bytes_max(bytes.len()) as u64;
        assert!(taken.bytes_max <= most, "round {round}: {} bytes for {bytes:?}", taken.bytes_max);
        if let Some(window) = window {
            accepted += 1;
            let again = codec::decode_window(&codec::encode_window(&window));
            assert_eq!(again.as_ref(), Ok(&window), "round {round}");
            if accepted % 20 == 0 {
                use_it(&window, &mut Merged::new());
            }
        }
    }
    println!("{accepted} were windows still");
    assert!(accepted > 1_000, "the mutations must reach behind the checks");
}
