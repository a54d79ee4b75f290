//! What is written is read back exactly; what was not written is refused, or is harmless.

mod common;

use fastrand::Rng;
use metrics::codec::{self, DecodeError};
use metrics::{DriverWindow, Merged, verdict};

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
    assert_eq!(timing, [codec::VERSION, 4, 0]);
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
