//! The engine's thread allocates nothing in steady state, and a cut costs it nothing; counted by a global allocator.

use allocation_counter::measure;
use fastrand::Rng;
use metrics::{ErrorKind, Gauges, Outcome, Pages, Recorder, Times, Unstarted};
use plan::{StageId, StepId};

/// Half a second of an engine thread over `steps` rows, with all that can happen to a request.
fn half_a_second(recorder: &mut Recorder, rng: &mut Rng, steps: u16, stage: StageId) {
    for _ in 0..20_000 {
        let step = StepId(rng.u16(..steps));
        let (intended, wait, lag) = (rng.u64(..1_000_000_000), rng.u64(..500), rng.u64(..50_000));
        let service = 1_000_000 + rng.u64(..2_000_000);
        let sent = intended + wait + lag;
        let times = Times { intended, usable: intended + wait, sent, done: sent + service };
        recorder.due(stage);
        if rng.u8(..) == 0 {
            recorder.missed(stage, Unstarted::Target);
            continue;
        }
        recorder.started(stage);
        match rng.u8(..) {
            0 => recorder.failed_unsent(step, stage, &times, ErrorKind::ConnectRefused),
            1..10 => {
                recorder.sent(step, stage, &times);
                recorder.done(step, stage, &times, Outcome::Failed(ErrorKind::Status, 503), 80, 60);
            }
            _ => {
                recorder.sent(step, stage, &times);
                recorder.done(step, stage, &times, Outcome::Success(200), 250, 60);
            }
        }
        recorder.completed(stage, times.intended, times.done);
    }
}

fn check(steps: u16) {
    let rng = &mut Rng::with_seed(5);
    let mut recorder = Recorder::new(usize::from(steps), 2, 0);
    let mut spare = Some(Pages::new(usize::from(steps), 2));
    for second in 0..8 {
        let mut closed = None;
        let on_engine = measure(|| {
            // A stage ends in the middle of second 4.
            half_a_second(&mut recorder, rng, steps, StageId(u16::from(second > 4)));
            half_a_second(&mut recorder, rng, steps, StageId(u16::from(second >= 4)));
            let pages = spare.take().expect("given back below");
            closed = Some(recorder.cut(second + 1, Gauges::default(), pages));
        });
        // The first second of each set of pages shows how much is needed; a set that was drained is large enough.
        if second > 1 || steps == 1 {
            assert_eq!(on_engine.count_total, 0, "{steps} steps, second {second}: {on_engine:?}");
        }
        let mut pages = closed.expect("cut above");
        let window = pages.drain();
        assert_eq!((window.from_s, window.to_s), (second, second + 1));
        spare = Some(pages);
    }
}

#[test]
fn one_step_allocates_nothing_from_the_start() {
    check(1);
}

#[test]
fn five_hundred_steps_allocate_nothing_once_they_are_warm() {
    check(500);
}

#[test]
fn a_cut_touches_no_memory_but_pointers() {
    let mut recorder = Recorder::new(500, 1, 0);
    let spare = Pages::new(500, 1);
    half_a_second(&mut recorder, &mut Rng::with_seed(6), 500, StageId(0));
    let mut closed = None;
    let cut = measure(|| closed = Some(recorder.cut(1, Gauges::default(), spare)));
    assert_eq!((cut.count_total, cut.bytes_current), (0, 0));
}
