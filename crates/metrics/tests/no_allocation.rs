//! The engine's thread allocates nothing in steady state, and a cut costs it nothing; counted by a global allocator.

use allocation_counter::measure;
use fastrand::Rng;
use metrics::{
    ErrorKind, Exchange, Gauges, Outcome, Pages, Phases, Recorder, Samples, Times, Unstarted, tap,
};
use plan::{Events, StageId, StepId};

const FAILED: Exchange = Exchange { status: 503, bytes_in: 80, bytes_out: 60 };
const ANSWERED: Exchange = Exchange { status: 200, bytes_in: 250, bytes_out: 60 };

/// What a thread records.
#[derive(Clone, Copy)]
struct Asked {
    steps: u16,
    phases: bool,
    events: Events,
}

/// Half a second of an engine thread, with all that can happen to a request.
fn half_a_second(recorder: &mut Recorder, rng: &mut Rng, Asked { steps, phases, .. }: Asked, stage: StageId) {
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
            0 => recorder.failed_unsent(step, stage, &times, Outcome::Failed(ErrorKind::ConnectRefused, 0)),
            1..10 => {
                recorder.sent(step, stage, &times);
                recorder.done(step, stage, &times, Outcome::Failed(ErrorKind::Status, 503), FAILED);
            }
            _ => {
                recorder.sent(step, stage, &times);
                recorder.done(step, stage, &times, Outcome::Success(200), ANSWERED);
            }
        }
        if phases {
            let phases = Phases {
                connect_ns: (rng.u8(..) < 3).then_some(service / 2),
                sending_ns: Some(3_000 + rng.u64(..2_000)),
                waiting_ns: Some(service),
                receiving_ns: Some(5_000 + rng.u64(..5_000)),
                ..Phases::default()
            };
            recorder.phases(step, stage, &phases);
        }
        recorder.completed(stage, times.intended, times.done);
    }
}

fn check(asked: Asked) {
    let Asked { steps, phases, events } = asked;
    let rng = &mut Rng::with_seed(5);
    // Too small for what is done in a second, and read once in it.
    let (tap, mut samples) = tap(events, 1, 30_000).unzip();
    let mut recorder = Recorder::new(usize::from(steps), 2, 0).with_tap(tap);
    let mut spare = Some(Pages::new(usize::from(steps), 2));
    for second in 0..8 {
        let mut closed = None;
        let on_engine = measure(|| {
            // A stage ends in the middle of second 4.
            half_a_second(&mut recorder, rng, asked, StageId(u16::from(second > 4)));
            half_a_second(&mut recorder, rng, asked, StageId(u16::from(second >= 4)));
            let pages = spare.take().expect("given back below");
            closed = Some(recorder.cut(second + 1, Gauges::default(), pages));
            samples.iter_mut().for_each(|samples: &mut Samples| {
                samples.take(usize::MAX, |sample| assert!(sample.times.done > 0));
            });
        });
        // The first second of each set of pages shows how much is needed; a set that was drained is large enough.
        if second > 1 || (steps == 1 && !phases) {
            assert_eq!(on_engine.count_total, 0, "{steps} steps, second {second}: {on_engine:?}");
        }
        let mut pages = closed.expect("cut above");
        let window = pages.drain();
        assert_eq!((window.from_s, window.to_s), (second, second + 1));
        assert!(window.steps.iter().all(|step| step.phases.is_some() == phases));
        spare = Some(pages);
    }
    let counts = samples.map(|samples| (samples.produced(), samples.dropped()));
    assert_eq!(
        counts.is_some_and(|(produced, dropped)| produced > dropped && dropped > 0),
        events == Events::All
    );
}

#[test]
fn one_step_allocates_nothing_from_the_start() {
    check(Asked { steps: 1, phases: false, events: Events::None });
}

#[test]
fn five_hundred_steps_allocate_nothing_once_they_are_warm() {
    check(Asked { steps: 500, phases: false, events: Events::None });
}

#[test]
fn phases_allocate_nothing_once_they_are_warm() {
    check(Asked { steps: 1, phases: true, events: Events::None });
    check(Asked { steps: 500, phases: true, events: Events::None });
}

#[test]
fn raw_events_allocate_nothing() {
    check(Asked { steps: 1, phases: false, events: Events::All });
    check(Asked { steps: 500, phases: false, events: Events::Errors });
}

#[test]
fn a_cut_touches_no_memory_but_pointers() {
    let mut recorder = Recorder::new(500, 1, 0);
    let spare = Pages::new(500, 1);
    half_a_second(
        &mut recorder,
        &mut Rng::with_seed(6),
        Asked { steps: 500, phases: true, events: Events::None },
        StageId(0),
    );
    let mut closed = None;
    let cut = measure(|| closed = Some(recorder.cut(1, Gauges::default(), spare)));
    assert_eq!((cut.count_total, cut.bytes_current), (0, 0));
}
