//! Every event is in the window of its second, once, whatever way the seconds are cut.

mod common;

use std::collections::BTreeMap;

use fastrand::Rng;
use metrics::{
    DriverWindow, ErrorKind, Exchange, Gauges, LocalLimit, Merged, Outcome, Pages, Phase, Phases, Recorder,
    Times, Totals, Unstarted, tap,
};
use plan::{StageId, StepId};

/// So many bytes in and out.
const fn exchange(bytes_in: u64, bytes_out: u64) -> Exchange {
    Exchange { status: 0, bytes_in, bytes_out }
}

const SECOND_NS: u64 = 1_000_000_000;

/// What a thread does, at one time.
#[derive(Debug, Clone, Copy)]
enum Event {
    Due(StageId),
    Started(StageId),
    Missed(StageId),
    Sent(StepId, StageId, Times),
    Done(StepId, StageId, Times, Outcome),
    Phases(StepId, StageId, Phases),
    Completed(StageId, Times),
}

/// Requests of a few seconds, as events in the order of their times.
fn events(rng: &mut Rng, seconds: u64) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for _ in 0..rng.usize(..300) {
        let intended = rng.u64(..seconds * SECOND_NS);
        let (step, stage) = (StepId(rng.u16(..5)), StageId(rng.u16(..2)));
        events.push((intended, Event::Due(stage)));
        if rng.u8(..10) == 0 {
            events.push((intended, Event::Missed(stage)));
            continue;
        }
        let usable = intended + rng.u64(..SECOND_NS / 4);
        let sent = usable + rng.u64(..SECOND_NS / 8);
        let times = Times { intended, usable, sent, done: sent + rng.u64(..2 * SECOND_NS) };
        let outcome = common::pick(
            rng,
            &[
                Outcome::Success(200),
                Outcome::Success(201),
                Outcome::Failed(ErrorKind::ReadReset, 0),
                Outcome::Failed(ErrorKind::Cancelled, 0),
            ],
        );
        events.push((sent, Event::Started(stage)));
        events.push((sent, Event::Sent(step, stage, times)));
        events.push((times.done, Event::Done(step, stage, times, outcome)));
        events.push((times.done, Event::Phases(step, stage, phases(rng))));
        events.push((times.done, Event::Completed(stage, times)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Phases of a request, of which any may be absent.
fn phases(rng: &mut Rng) -> Phases {
    let mut some = || rng.bool().then_some(rng.u64(..SECOND_NS));
    Phases {
        lookup_ns: some(),
        connect_ns: some(),
        tls_ns: some(),
        sending_ns: some(),
        waiting_ns: some(),
        receiving_ns: some(),
    }
}

fn record(recorder: &mut Recorder, event: Event) {
    match event {
        Event::Due(stage) => recorder.due(stage),
        Event::Started(stage) => recorder.started(stage),
        Event::Missed(stage) => recorder.missed(stage, Unstarted::Ours),
        Event::Sent(step, stage, times) => recorder.sent(step, stage, &times),
        Event::Done(step, stage, times, outcome) => {
            recorder.done(step, stage, &times, outcome, exchange(100, 10))
        }
        Event::Phases(step, stage, phases) => recorder.phases(step, stage, &phases),
        Event::Completed(stage, times) => recorder.completed(stage, times.intended, times.done),
    }
}

/// Records the events and cuts at each boundary at which `spare_at` says that spare pages are there.
fn cut_by_seconds(events: &[(u64, Event)], spare_at: impl Fn(u32) -> bool) -> (Vec<DriverWindow>, Totals) {
    cut_with(Recorder::new(5, 2, 0), events, spare_at)
}

fn cut_with(
    mut recorder: Recorder,
    events: &[(u64, Event)],
    spare_at: impl Fn(u32) -> bool,
) -> (Vec<DriverWindow>, Totals) {
    let mut spare = Some(Pages::new(5, 2));
    let mut windows = Vec::new();
    let mut cut = |recorder: &mut Recorder, to_s| {
        let mut closed = recorder.cut(to_s, Gauges::default(), spare.take().expect("given back below"));
        windows.push(closed.drain());
        spare = Some(closed);
    };
    let mut second = 0;
    for &(at, event) in events {
        while at >= u64::from(second + 1) * SECOND_NS {
            second += 1;
            if spare_at(second) {
                cut(&mut recorder, second);
            }
        }
        record(&mut recorder, event);
    }
    cut(&mut recorder, second + 1);
    (windows, *recorder.totals())
}

#[test]
fn latencies_are_in_the_second_of_done_and_sends_in_that_of_sent() {
    for seed in 0..200 {
        let events = events(&mut Rng::with_seed(seed), 4);
        let (windows, _) = cut_by_seconds(&events, |_| true);
        let mut expected: BTreeMap<u32, [u64; 5]> = BTreeMap::new();
        for &(at, event) in &events {
            let counts = expected.entry(u32::try_from(at / SECOND_NS).unwrap()).or_default();
            match event {
                Event::Due(_) => counts[0] += 1,
                Event::Started(_) => counts[1] += 1,
                Event::Missed(_) => counts[2] += 1,
                Event::Sent(..) => counts[3] += 1,
                Event::Done(.., Outcome::Failed(ErrorKind::Cancelled, _)) => {}
                Event::Completed(..) | Event::Phases(..) => {}
                Event::Done(..) => counts[4] += 1,
            }
        }
        for window in &windows {
            assert_eq!(window.seconds(), 1, "seed {seed}");
            let mut merged = Merged::new();
            merged.add_rows(window);
            let (steps, stages) = (merged.all_steps(|_| true), merged.all_stages(|_| true));
            assert_eq!(stages.send_lag.count(), steps.sent);
            let done = steps.succeeded() + steps.failures();
            let found = [stages.due, stages.started, stages.missed.ours, steps.sent, done];
            assert_eq!(found, expected.remove(&window.from_s).unwrap_or_default(), "seed {seed}");
        }
        assert!(expected.is_empty(), "seed {seed}: {expected:?}");
    }
}

#[test]
fn a_late_cut_loses_nothing_and_says_what_it_spans() {
    for seed in 0..200 {
        let events = events(&mut Rng::with_seed(seed), 6);
        let (punctual, totals) = cut_by_seconds(&events, |_| true);
        let (late, late_totals) = cut_by_seconds(&events, |second| second % 3 == 0);
        assert_eq!(late_totals, totals, "seed {seed}");
        let spans: Vec<_> = late.iter().map(|window| (window.from_s, window.to_s)).collect();
        assert!(spans.iter().zip(spans.iter().skip(1)).all(|(a, b)| a.1 == b.0), "seed {seed}: {spans:?}");
        let add_all = |windows: &[DriverWindow]| {
            let mut merged = Merged::new();
            windows.iter().for_each(|window| merged.add_rows(window));
            merged
        };
        assert_eq!(add_all(&late), add_all(&punctual), "seed {seed}");
    }
}

#[test]
fn windows_add_up_to_the_totals_of_the_thread() {
    for seed in 0..200 {
        let (windows, totals) = cut_by_seconds(&events(&mut Rng::with_seed(seed), 3), |_| true);
        let mut merged = Merged::new();
        windows.iter().for_each(|window| merged.add("d1", window));
        let measured = Totals { windows: 0, ..merged.totals() };
        assert_eq!(measured, totals, "seed {seed}");
        assert_eq!(totals.requests_sent, totals.succeeded + totals.failed + totals.cancelled, "seed {seed}");
        assert_eq!(totals.due, totals.started + totals.missed.total(), "seed {seed}");
    }
}

#[test]
fn the_differences_of_the_times_go_where_they_belong() {
    let (step, stage) = (StepId(0), StageId(0));
    let mut recorder = Recorder::new(1, 1, 4);
    let times = Times { intended: 1_000, usable: 1_400, sent: 1_410, done: 3_000 };
    recorder.sent(step, stage, &times);
    recorder.done(step, stage, &times, Outcome::Success(204), exchange(1, 2));
    recorder.completed(stage, times.intended, times.done);
    let early = Times { intended: 1_000, usable: 0, sent: 1_007, done: 1_008 };
    recorder.sent(step, stage, &early);
    recorder.done(step, stage, &early, Outcome::Failed(ErrorKind::Status, 503), exchange(1, 2));
    recorder.failed_unsent(
        step,
        stage,
        &Times { done: 1_500, ..times },
        Outcome::local_limit(LocalLimit::Ports),
    );
    let window = recorder.cut(5, Gauges::default(), Pages::new(1, 1)).drain();

    let (row, stage) = (&window.steps[0], &window.stages[0]);
    let sums = |timing: &metrics::Timing| (timing.count(), timing.sum_ns());
    assert_eq!(sums(&row.ok.response), (1, 2_000));
    assert_eq!(sums(&row.ok.service), (1, 1_590));
    assert_eq!(sums(&row.failed.response), (2, 8 + 500));
    assert_eq!(sums(&row.failed.service), (1, 1));
    assert_eq!(sums(&stage.send_lag), (2, 10 + 7));
    assert_eq!(sums(&stage.connection_wait), (2, 400));
    assert_eq!(sums(&stage.iteration_time), (1, 2_000));
    assert_eq!((row.sent, row.bytes_in, row.bytes_out), (3, 2, 4));
    assert_eq!(
        row.outcomes,
        [
            (Outcome::Success(204), 1),
            (Outcome::Failed(ErrorKind::Status, 503), 1),
            (Outcome::Failed(ErrorKind::LocalLimit, 2), 1),
        ]
    );
}

#[test]
fn phases_are_with_their_step_and_only_those_there_were() {
    let mut recorder = Recorder::new(3, 1, 0);
    let (first, second, stage) = (StepId(0), StepId(2), StageId(0));
    let opened = Phases {
        lookup_ns: Some(100),
        connect_ns: Some(2_000),
        tls_ns: Some(30_000),
        sending_ns: Some(400),
        waiting_ns: Some(5_000),
        receiving_ns: Some(60),
    };
    recorder.phases(first, stage, &opened);
    recorder.phases(
        first,
        stage,
        &Phases { sending_ns: Some(0), waiting_ns: Some(7_000), ..Phases::default() },
    );
    recorder.phases(second, stage, &Phases { connect_ns: Some(9), ..Phases::default() });
    let times = Times::default();
    recorder.done(StepId(1), stage, &times, Outcome::Success(200), exchange(0, 0));
    let window = recorder.cut(1, Gauges::default(), Pages::new(3, 1)).drain();

    let sums = |row: usize| {
        let phases = window.steps[row].phases.as_ref()?;
        Some(Phase::ALL.map(|phase| (phases.get(phase).count(), phases.get(phase).sum_ns())))
    };
    assert_eq!(sums(0), Some([(1, 100), (1, 2_000), (1, 30_000), (2, 400), (2, 12_000), (1, 60)]));
    assert_eq!(sums(1), None);
    assert_eq!(sums(2), Some([(0, 0), (1, 9), (0, 0), (0, 0), (0, 0), (0, 0)]));
}

#[test]
fn only_rows_that_were_touched_are_in_a_window() {
    let mut recorder = Recorder::new(500, 20, 0);
    recorder.sent(StepId(499), StageId(19), &Times::default());
    recorder.sent(StepId(7), StageId(3), &Times::default());
    let mut pages = recorder.cut(1, Gauges::default(), Pages::new(500, 20));
    let rows: Vec<_> = pages.drain().steps.iter().map(|row| (row.stage.0, row.step.0)).collect();
    assert_eq!(rows, [(3, 7), (19, 499)]);
    assert!(pages.drain().is_empty());
}

/// Requests, sum of response times, bytes in, by second of the answer, row, stage and whether it succeeded.
type BySecond = BTreeMap<(u32, StepId, StageId, bool), (u64, u128, u64)>;

#[test]
fn rows_and_windows_say_the_same_of_each_second() {
    for seed in 0..20 {
        let events = events(&mut Rng::with_seed(seed), 4);
        let (tap, mut samples) = tap(plan::Events::All, seed, 300).expect("asked for");
        let (windows, totals) = cut_with(Recorder::new(5, 2, 0).with_tap(Some(tap)), &events, |_| true);
        let (mut rows, mut windowed) = (BySecond::new(), BySecond::new());
        let mut cancelled = 0;
        samples.take(usize::MAX, |sample| {
            if matches!(sample.outcome, Outcome::Failed(ErrorKind::Cancelled, _)) {
                cancelled += 1;
                return;
            }
            let second = u32::try_from(sample.times.done / SECOND_NS).expect("a few seconds");
            let key = (second, sample.step, sample.stage, sample.outcome.is_success());
            let sums = rows.entry(key).or_default();
            *sums = (sums.0 + 1, sums.1 + u128::from(sample.times.response_ns()), sums.2 + 100);
        });
        for window in &windows {
            for step in &window.steps {
                for (pair, succeeded) in [(&step.ok, true), (&step.failed, false)] {
                    if !pair.response.is_empty() {
                        let count = pair.response.count();
                        let sums = (count, pair.response.sum_ns(), count * 100);
                        windowed.insert((window.from_s, step.step, step.stage, succeeded), sums);
                    }
                }
            }
        }
        assert_eq!(rows, windowed, "seed {seed}");
        assert_eq!((samples.produced(), samples.dropped()), (totals.requests_sent, 0));
        assert_eq!(cancelled, totals.cancelled);
    }
}

#[test]
fn what_finds_no_room_is_counted_and_the_rest_is_in_order() {
    let (tap, mut samples) = tap(plan::Events::All, 1, 4).expect("asked for");
    let mut recorder = Recorder::new(1, 1, 0).with_tap(Some(tap));
    let mut request = |done| {
        let times = Times { done, ..Times::default() };
        recorder.done(StepId(0), StageId(0), &times, Outcome::Success(200), exchange(5_000_000_000, 1));
    };
    let mut taken = Vec::new();
    let mut take = |samples: &mut metrics::Samples, most| {
        let count = samples.take(most, |sample| taken.push(sample.times.done));
        (count, samples.produced(), samples.dropped())
    };
    (0..7).for_each(&mut request);
    assert_eq!(take(&mut samples, 1), (1, 4, 3));
    (7..9).for_each(&mut request);
    assert_eq!(take(&mut samples, usize::MAX), (4, 9, 4));
    (9..10).for_each(&mut request);
    assert_eq!(take(&mut samples, usize::MAX), (1, 10, 4));
    assert_eq!(taken, [0, 1, 2, 3, 7, 9]);
}

#[test]
fn a_sample_is_as_large_as_asked() {
    let plan = plan::parse(
        "p",
        "{ version: 1, name: p, target: \"http://h\", events: sample 2.5%, \
         load: { model: avalanche, requests_per_driver: 1 }, scenarios: { s: { steps: [{ get: / }] } } }",
    );
    let events = plan.expect("a plan").events;
    let counts = [1, 2, 3].map(|seed| {
        let (tap, samples) = tap(events, seed, 1).expect("asked for");
        let mut recorder = Recorder::new(1, 1, 0).with_tap(Some(tap));
        for _ in 0..1_000_000 {
            recorder.done(StepId(0), StageId(0), &Times::default(), Outcome::Success(200), exchange(0, 0));
        }
        samples.dropped() + 1
    });
    // Six standard deviations of a million draws are 940.
    assert!(counts.iter().all(|count| (24_060..25_940).contains(count)), "{counts:?}");
    assert!(counts[0] != counts[1] || counts[1] != counts[2], "seeds make no difference");
}
