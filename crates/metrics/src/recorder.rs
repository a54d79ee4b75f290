//! What an engine thread writes into: no lock, no allocation in steady state, nanoseconds per event.
//!
//! A [`Recorder`] writes into [`Pages`]. At the cut they are exchanged for spare ones in constant time, and another
//! thread turns them into a [`DriverWindow`] ([`Pages::drain`]), clears and tops them up, and gives them back. When no
//! spare ones are there the cut is left out and the window spans more seconds.
//!
//! ```text
//! engine threads   Recorder ── cut ──► Pages         ◄── cleared ──┐
//! helper thread                          └─ drain ──► DriverWindow ┘  merge threads, set gauges, judge, hand over
//! ```
//!
//! Two sets of pages per thread are enough; each remembers how much memory its busiest window took, so what grows does
//! so on the other thread. Only rows that were touched are visited, however many the plan has.
//!
//! The recorder has no clock: an event counts in the window that is open. So the engine makes the arrivals of a second
//! due, then cuts, then records what came after the boundary.

use plan::{StageId, StepId};

use crate::histogram::Pool;
use crate::{
    DriverWindow, ErrorKind, Exchange, Gauges, Outcome, PhaseTimings, Phases, StageWindow, StepWindow, Tap,
    Times, Totals, Unstarted,
};

/// Stages open at once, for whose rows memory is kept: a second in which one ends and the next begins touches both.
const STAGES_AT_ONCE: usize = 2;

/// Spare pages beside those that were used, and beside the share per step of a fresh set: half a MiB, for outliers and
/// for the timings of stages, which spread over many octaves.
const RESERVE_PAGES: usize = 512;

/// Pages per step that a fresh set holds. With many steps the first seconds still allocate, since nobody knows how
/// widely their times spread.
const PAGES_PER_STEP: usize = 4;

/// Steps for which a fresh set holds memory.
const STEPS_RESERVED: usize = 512;

/// Different outcomes of a step and second for which memory is there from the start.
const OUTCOMES_RESERVED: usize = 16;

const NO_ROW: u32 = u32::MAX;

/// The memory of one open window.
#[expect(clippy::vec_box, reason = "phases move between here and the steps as they are, by their address")]
#[derive(Debug)]
pub struct Pages {
    from_s: u32,
    to_s: u32,
    gauges: Gauges,
    /// Where the steps of a touched stage begin in `rows`, in units of `step_count`.
    stage_rows: Vec<u32>,
    /// Where a (stage, step) lies in `steps`.
    rows: Vec<u32>,
    /// Rows of steps, and with those of groups behind them.
    first_group: usize,
    step_count: usize,
    /// As they were touched.
    steps: Vec<StepWindow>,
    stages: Vec<StageWindow>,
    pool: Pool,
    outcome_lists: Vec<Vec<(Outcome, u64)>>,
    /// Empty ones; none before the first request whose phases are recorded.
    phases: Vec<Box<PhaseTimings>>,
}

impl Pages {
    /// Memory for a plan of so many rows and stages.
    pub fn new(steps: usize, stages: usize) -> Box<Self> {
        Self::with_groups(steps, 0, stages)
    }

    /// The same with rows of groups.
    pub fn with_groups(first_group: usize, groups: usize, stages: usize) -> Box<Self> {
        let steps = first_group + groups;
        let reserved = steps.min(STEPS_RESERVED);
        let mut pages = Self {
            from_s: 0,
            to_s: 0,
            gauges: Gauges::default(),
            stage_rows: vec![NO_ROW; stages],
            rows: Vec::with_capacity(steps * STAGES_AT_ONCE),
            first_group,
            step_count: steps,
            steps: Vec::with_capacity(reserved * STAGES_AT_ONCE),
            stages: Vec::with_capacity(STAGES_AT_ONCE),
            pool: Pool::default(),
            outcome_lists: Vec::new(),
            phases: Vec::new(),
        };
        // Response and service time of successes in two stages, and the three timings of each stage.
        pages.top_up(
            (reserved * 2 + 3) * STAGES_AT_ONCE,
            reserved * PAGES_PER_STEP + RESERVE_PAGES,
            reserved * STAGES_AT_ONCE,
            0,
        );
        Box::new(pages)
    }

    #[inline]
    fn stage(&mut self, stage: StageId) -> (&mut StageWindow, &mut Pool) {
        let mut at = self.stage_rows[usize::from(stage.0)];
        if at == NO_ROW {
            at = self.open_stage(stage);
        }
        (&mut self.stages[at as usize], &mut self.pool)
    }

    #[cold]
    fn open_stage(&mut self, stage: StageId) -> u32 {
        let at = u32::try_from(self.stages.len()).unwrap_or(NO_ROW);
        self.stages.push(StageWindow::new(stage));
        self.rows.resize(self.rows.len() + self.step_count, NO_ROW);
        self.stage_rows[usize::from(stage.0)] = at;
        at
    }

    /// Where the step lies in `steps`.
    #[inline]
    fn row(&mut self, step: StepId, stage: StageId) -> usize {
        let mut at = self.stage_rows[usize::from(stage.0)];
        if at == NO_ROW {
            at = self.open_stage(stage);
        }
        let number = step.group().map_or(usize::from(step.0), |group| self.first_group + usize::from(group));
        let slot = at as usize * self.step_count + number;
        let mut row = self.rows[slot];
        if row == NO_ROW {
            row = self.open_step(slot, step, stage);
        }
        row as usize
    }

    #[inline]
    fn step(&mut self, step: StepId, stage: StageId) -> (&mut StepWindow, &mut Pool) {
        let row = self.row(step, stage);
        (&mut self.steps[row], &mut self.pool)
    }

    fn phases(&mut self, step: StepId, stage: StageId) -> (&mut PhaseTimings, &mut Pool) {
        let row = self.row(step, stage);
        let timings = self.steps[row].phases.get_or_insert_with(|| self.phases.pop().unwrap_or_default());
        (timings, &mut self.pool)
    }

    #[cold]
    fn open_step(&mut self, slot: usize, step: StepId, stage: StageId) -> u32 {
        let row = u32::try_from(self.steps.len()).unwrap_or(NO_ROW);
        let mut window = StepWindow::new(step, stage);
        window.outcomes = self.outcome_lists.pop().unwrap_or_default();
        self.steps.push(window);
        self.rows[slot] = row;
        row
    }

    /// Takes what was recorded as a window, and leaves the pages empty for the next. Belongs on a helper thread.
    ///
    /// The window has not been judged: see [`DriverWindow::judge`].
    pub fn drain(&mut self) -> DriverWindow {
        let (tables_before, pages_before) = self.pool.spare();
        let (lists_before, phases_before) = (self.outcome_lists.len(), self.phases.len());
        let mut steps: Vec<StepWindow> = Vec::with_capacity(self.steps.len());
        for mut step in self.steps.drain(..) {
            let mut outcomes = std::mem::take(&mut step.outcomes);
            outcomes.sort_unstable();
            step.outcomes = outcomes.as_slice().to_vec();
            outcomes.clear();
            self.outcome_lists.push(outcomes);
            for pair in [&mut step.ok, &mut step.failed] {
                pair.response = pair.response.take(&mut self.pool);
                pair.service = pair.service.take(&mut self.pool);
            }
            if let Some(mut phases) = step.phases.take() {
                step.phases = Some(Box::new(phases.take(&mut self.pool)));
                self.phases.push(phases);
            }
            steps.push(step);
        }
        let mut stages: Vec<StageWindow> = Vec::with_capacity(self.stages.len());
        for mut stage in self.stages.drain(..) {
            stage.iteration_time = stage.iteration_time.take(&mut self.pool);
            stage.send_lag = stage.send_lag.take(&mut self.pool);
            stage.connection_wait = stage.connection_wait.take(&mut self.pool);
            self.stage_rows[usize::from(stage.stage.0)] = NO_ROW;
            stages.push(stage);
        }
        self.rows.clear();
        steps.sort_unstable_by_key(|step| (step.stage, step.step));
        stages.sort_unstable_by_key(|stage| stage.stage);

        let (tables, pages) = self.pool.spare();
        let [tables, pages, lists, phases] = [
            tables - tables_before,
            pages - pages_before,
            self.outcome_lists.len() - lists_before,
            self.phases.len() - phases_before,
        ]
        .map(|used| used * STAGES_AT_ONCE);
        self.top_up(tables, pages + RESERVE_PAGES, lists, phases);
        self.steps.reserve(steps.len() * STAGES_AT_ONCE);
        DriverWindow { from_s: self.from_s, to_s: self.to_s, steps, stages, gauges: self.gauges }
    }

    fn top_up(&mut self, tables: usize, pages: usize, lists: usize, phases: usize) {
        self.pool.reserve(tables, pages);
        while self.outcome_lists.len() < lists {
            self.outcome_lists.push(Vec::with_capacity(OUTCOMES_RESERVED));
        }
        while self.phases.len() < phases {
            self.phases.push(Box::default());
        }
    }
}

/// Records what one engine thread does.
///
/// Steps and stages are those of the plan it was made for; any other is a bug of the caller and panics.
#[derive(Debug)]
pub struct Recorder {
    pages: Box<Pages>,
    totals: Totals,
    tap: Option<Tap>,
}

impl Recorder {
    /// A recorder for a plan of so many rows and stages, whose first window begins at the run second `from_s`.
    pub fn new(steps: usize, stages: usize, from_s: u32) -> Self {
        Self::with_groups(steps, 0, stages, from_s)
    }

    /// The same with rows of groups.
    pub fn with_groups(steps: usize, groups: usize, stages: usize, from_s: u32) -> Self {
        let mut pages = Pages::with_groups(steps, groups, stages);
        pages.from_s = from_s;
        Self { pages, totals: Totals::default(), tap: None }
    }

    /// The same, which also notes down the requests that `tap` asks for.
    pub fn with_tap(self, tap: Option<Tap>) -> Self {
        Self { tap, ..self }
    }

    /// The first run second of the open window.
    pub fn from_s(&self) -> u32 {
        self.pages.from_s
    }

    /// What this thread has counted since the start; `windows` is left to whoever hands them over.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The intended time of an iteration came.
    #[inline]
    pub fn due(&mut self, stage: StageId) {
        self.pages.stage(stage).0.due += 1;
        self.totals.due += 1;
    }

    /// The intended times of `n` iterations came, none of which will be started.
    pub fn due_and_missed(&mut self, stage: StageId, who: Unstarted, n: u64) {
        let window = self.pages.stage(stage).0;
        window.due += n;
        window.missed.count_n(who, n);
        self.totals.due += n;
        self.totals.missed.count_n(who, n);
    }

    /// The first request of an iteration left, or failed before it could.
    #[inline]
    pub fn started(&mut self, stage: StageId) {
        self.pages.stage(stage).0.started += 1;
        self.totals.started += 1;
    }

    /// A due iteration will never be started.
    pub fn missed(&mut self, stage: StageId, who: Unstarted) {
        self.pages.stage(stage).0.missed.count(who);
        self.totals.missed.count(who);
    }

    /// A request left: counts it, its send lag and its connection wait. `times.done` is not looked at.
    #[inline]
    pub fn sent(&mut self, step: StepId, stage: StageId, times: &Times) {
        self.pages.step(step, stage).0.sent += 1;
        let (window, pool) = self.pages.stage(stage);
        window.send_lag.record_from(times.send_lag_ns(), pool);
        window.connection_wait.record_from(times.connection_wait_ns(), pool);
        self.totals.requests_sent += 1;
    }

    /// A request that was sent is done. [`ErrorKind::Cancelled`] is counted apart, without its times.
    #[inline]
    pub fn done(
        &mut self,
        step: StepId,
        stage: StageId,
        times: &Times,
        outcome: Outcome,
        exchange: Exchange,
    ) {
        if let Some(tap) = &mut self.tap {
            tap.note((step, stage), times, outcome, exchange, true);
        }
        let Exchange { bytes_in, bytes_out, .. } = exchange;
        let (window, pool) = self.pages.step(step, stage);
        window.bytes_in += bytes_in;
        window.bytes_out += bytes_out;
        self.totals.bytes_in += bytes_in;
        self.totals.bytes_out += bytes_out;
        if matches!(outcome, Outcome::Failed(ErrorKind::Cancelled, _)) {
            window.cancelled += 1;
            self.totals.cancelled += 1;
            return;
        }
        let pair = if outcome.is_success() {
            self.totals.succeeded += 1;
            &mut window.ok
        } else {
            self.totals.failed += 1;
            &mut window.failed
        };
        pair.response.record_from(times.response_ns(), pool);
        pair.service.record_from(times.service_ns(), pool);
        count_outcome(&mut window.outcomes, outcome);
    }

    /// Where the time of a request went that is done, or failed before it could be sent: to be called beside
    /// [`Recorder::done`] or [`Recorder::failed_unsent`], and only in a run that asks. Until it is called, phases take no
    /// memory; the first windows of a run that asks allocate it.
    pub fn phases(&mut self, step: StepId, stage: StageId, phases: &Phases) {
        let (timings, pool) = self.pages.phases(step, stage);
        timings.record_from(phases, pool);
    }

    /// A request failed before it could be sent, for want of a connection: it counts as sent and failed, and has a
    /// response time (done − intended) and no other. `outcome` is a failure.
    pub fn failed_unsent(&mut self, step: StepId, stage: StageId, times: &Times, outcome: Outcome) {
        debug_assert!(!outcome.is_success(), "what was not sent cannot succeed");
        if let Some(tap) = &mut self.tap {
            tap.note((step, stage), times, outcome, Exchange::default(), false);
        }
        let (window, pool) = self.pages.step(step, stage);
        window.sent += 1;
        window.failed.response.record_from(times.response_ns(), pool);
        count_outcome(&mut window.outcomes, outcome);
        self.totals.requests_sent += 1;
        self.totals.failed += 1;
    }

    /// A group was walked through in that time. It is no request, and counts in its own row alone.
    pub fn group(&mut self, group: StepId, stage: StageId, time_ns: u64, has_succeeded: bool) {
        debug_assert!(group.group().is_some(), "a group has a row of its own");
        let (window, pool) = self.pages.step(group, stage);
        let pair = if has_succeeded { &mut window.ok } else { &mut window.failed };
        pair.response.record_from(time_ns, pool);
    }

    /// An iteration came to its end; both times in ns since the start of the run.
    #[inline]
    pub fn completed(&mut self, stage: StageId, arrival_ns: u64, done_ns: u64) {
        let (window, pool) = self.pages.stage(stage);
        window.completed += 1;
        window.iteration_time.record_from(done_ns.saturating_sub(arrival_ns), pool);
    }

    /// Closes the open window before the run second `to_s`, which begins the next one, and returns its pages, to be
    /// drained on another thread. `spare` must have been drained. Takes constant time.
    ///
    /// A window has at least one second: the last of a run is closed after the second that it ends in.
    pub fn cut(&mut self, to_s: u32, gauges: Gauges, spare: Box<Pages>) -> Box<Pages> {
        debug_assert!(spare.steps.is_empty() && spare.stages.is_empty(), "spare pages have been drained");
        let mut closed = std::mem::replace(&mut self.pages, spare);
        closed.to_s = to_s.max(closed.from_s.saturating_add(1));
        closed.gauges = gauges;
        self.pages.from_s = closed.to_s;
        closed
    }
}

#[inline]
fn count_outcome(outcomes: &mut Vec<(Outcome, u64)>, outcome: Outcome) {
    match outcomes.iter_mut().find(|(held, _)| *held == outcome) {
        Some((_, count)) => *count += 1,
        None => outcomes.push((outcome, 1)),
    }
}
