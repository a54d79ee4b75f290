//! One iteration at a time, looked at closely: the same program, journeys and sessions as in a run, driven by one thread
//! that waits, and each thing that happens is told.
//!
//! ```text
//! Job ─► survey ─► Program (closely) ─► Journey: where next? ─► Varying: the request ─► Wire: sends it
//!                                            ▲                                            │
//!                                            └──── checks and saved values ◄──────────────┘
//! ```
//!
//! Invariant: what is sent, checked and saved is what a run sends, checks and saves; only pauses may be skipped, and each
//! iteration has connections of its own. Deliberately absent: load, measurements, and several things at a time.

mod event;
mod exchange;
mod fixture;
mod wire;

use std::sync::Arc;

use data::Buffer;
use plan::{Arrival, LaneSet, Load, Op, Plan, StageId, Value, WhenExhausted, Workload};

pub use event::{Answer, Checked, Event, Exchange, Failure, Row, Sent};
pub use fixture::{Once, Walked, walk_once};

use crate::journey::{Journey, Left, Next, Passed};
use crate::mask::Mask;
use crate::names;
use crate::peer::Peer;
use crate::prepare::{Ground, survey};
use crate::program::{Given, Program};
use crate::sequel::Walk;
use crate::template::Room;
use crate::worker::failure_of;
use crate::{Job, PrepareError};
use wire::Wire;

/// Iterations that are looked at to find one of a scenario, which may be a rare one.
const INDICES_MAX: u64 = 1_000_000;

/// Operations that an iteration may go through without a request: more is a loop without one, which would not end soon.
const TURNS_MAX: u32 = 100;

/// Rounds are counted here, and how long they take does not matter.
const LEFT: Left = Left { copies: u32::MAX, ..Left::AT_ONCE };

/// What is rehearsed.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// One scenario, by its number in the plan; else all, one after the other.
    pub scenario: Option<usize>,
    /// Iterations of each.
    pub iterations: u32,
    /// Whether pauses are waited for.
    pub keeps_pauses: bool,
}

/// Walks iterations and tells of them. The job's threads, lanes and loop are of no meaning here.
///
/// # Errors
/// As [`prepare`](crate::prepare): then nothing was sent.
pub fn rehearse(
    job: &Job,
    options: &Options,
    tell: &mut dyn FnMut(Event, &Mask),
) -> Result<(), PrepareError> {
    let plan = &*job.plan;
    let mut stage = staged(job, None, tell)?;
    let chosen = (0..plan.scenarios.len()).filter(|number| options.scenario.is_none_or(|one| one == *number));
    for scenario in chosen {
        let mut walk = Walk::default();
        for (number, index) in (1..=options.iterations).zip(indices(plan, scenario)) {
            // The users of a closed load keep their cookies.
            let jar = std::mem::take(&mut walk.jar);
            walk = Walk { jar, ..Walk::default() };
            if !has_users(&plan.workloads[plan.workload_with(scenario)]) {
                walk.jar.clear();
            }
            stage.wires.iter_mut().for_each(|wire| *wire = None);
            if !stage.iterate(scenario, number, index, &mut walk, options.keeps_pauses) {
                break;
            }
        }
    }
    Ok(())
}

/// All that is needed for iterations of the job's plan.
fn staged<'r>(
    job: &'r Job,
    once: Option<Once<'r>>,
    tell: &'r mut dyn FnMut(Event, &Mask),
) -> Result<Stage<'r>, PrepareError> {
    let plan = &*job.plan;
    let Ground { peers, speech, secrets, .. } = survey(job, Arc::new(names::system))?;
    let protocols = speech.protocols(plan, &plan.workloads[0])?;
    let program = Program::compile(Given {
        plan,
        protocols: &protocols,
        user_agent: &job.user_agent,
        secrets: &secrets,
        files: &job.files,
        closely: true,
    })?;
    let of_source = |workload: usize, source: usize| {
        let number = u16::try_from(source).unwrap_or(u16::MAX);
        let uses: Vec<bool> =
            plan.scenarios.iter().map(|scenario| scenario.sources.contains(&number)).collect();
        // Row by row, since there is no schedule that says whose turn it is.
        data::Rows::new(plan, workload, source, program.tables.rows(source), &uses, LaneSet::all(), None)
    };
    let of_workload = |workload| (0..plan.data.len()).map(|source| of_source(workload, source)).collect();
    let rows = (0..plan.workloads.len()).map(of_workload);
    Ok(Stage {
        plan,
        once,
        peers,
        protocols,
        is_http2: (0..plan.targets.len()).map(|target| speech.is_multiplexed(target)).collect(),
        rows: rows.collect(),
        wires: plan.targets.iter().map(|_| None).collect(),
        mask: Mask::of(&secrets),
        secrets,
        room: Room::default(),
        program,
        tell,
    })
}

/// Indices of the iterations that walk a scenario in a run; any, where it is so rare that none was found.
fn indices(plan: &Plan, scenario: usize) -> impl Iterator<Item = u64> + '_ {
    let workload = &plan.workloads[plan.workload_with(scenario)];
    let has_users = has_users(workload);
    let index = move |number| if has_users { Workload::iteration_of(0, 0, number) } else { number };
    let found = (0..INDICES_MAX).map(index).filter(move |index| workload.scenario_of(*index) == scenario);
    found.chain((0..).map(index))
}

fn has_users(workload: &Workload) -> bool {
    matches!(workload.load, Load::Closed { .. })
}

/// All that iterations have in common.
struct Stage<'r> {
    plan: &'r Plan,
    /// How setup or teardown is walked, if it is that.
    once: Option<Once<'r>>,
    program: Program,
    /// Of each target.
    peers: Vec<Vec<Peer>>,
    protocols: Vec<Arc<dyn protocol::Protocol>>,
    is_http2: Vec<bool>,
    wires: Vec<Option<Wire>>,
    /// Of each workload and source.
    rows: Vec<Vec<Option<data::Rows>>>,
    secrets: Vec<String>,
    mask: Mask,
    room: Room,
    tell: &'r mut dyn FnMut(Event, &Mask),
}

impl Stage<'_> {
    fn say(&mut self, event: Event) {
        (self.tell)(event, &self.mask);
    }

    /// Walks one iteration; false when there is none, and none after it.
    fn iterate(
        &mut self,
        scenario: usize,
        number: u32,
        index: u64,
        walk: &mut Walk,
        keeps_pauses: bool,
    ) -> bool {
        let plan = self.plan;
        let workload = &plan.workloads[plan.workload_with(scenario)];
        let mut journey = Box::<Journey>::default();
        journey.begin(scenario, self.program.course(scenario).slots, (index, 0), workload.seed);
        let name = plan.scenarios[scenario].name.clone();
        let rows = match self.take_rows(scenario, index, &mut journey) {
            Ok(rows) => rows,
            Err(source) => {
                self.say(Event::NoRow { scenario: name, source });
                return false;
            }
        };
        let home = u16::try_from(workload.target_of(index)).unwrap_or(0);
        let target = plan.targets[usize::from(home)].to_string();
        self.say(match self.once {
            Some(Once { fixture, .. }) => Event::Once { fixture, target },
            None => Event::Begins { scenario: name, number, target, rows },
        });
        walk.journey = Some(journey);
        let flow = self.program.course(scenario).flow.clone().unwrap_or_default();
        let (mut turns, mut left) = (0, LEFT);
        loop {
            self.cut_short(walk);
            let next = self.go_on(scenario, &flow, &mut left, walk, keeps_pauses);
            match next {
                Next::Later => (turns, left) = (turns + 1, LEFT),
                // A loop may leave a group in each of its rounds.
                Next::Left(_) => {}
                _ => (turns, left) = (0, LEFT),
            }
            let Some(journey) = &mut walk.journey else { break };
            match next {
                Next::Step(step, _) => {
                    let number = self.program.course(scenario).first + step;
                    (walk.request, walk.line, walk.hop) = (None, None, None);
                    self.take_step(scenario, (step, number), home, walk);
                }
                Next::Left(group) => {
                    if journey.leave_group().is_some() {
                        let name = plan.groups().get(usize::from(group)).cloned().unwrap_or_default();
                        self.say(Event::Left(name));
                    }
                }
                Next::Stuck(step, error) => {
                    let missing = op_missing(journey, &flow, plan.named(&plan.scenarios[scenario]));
                    journey.is_broken = true;
                    let name =
                        plan.scenarios[scenario].steps.get(step as usize).map(|step| step.name.clone());
                    let text = missing.map_or_else(|| error.to_string(), |missing| exchange::said(&missing));
                    let failure = Failure { kind: failure_of(error).as_str(), text: self.mask.text(&text) };
                    let (step, failure) = (name.unwrap_or_default(), Some(failure));
                    self.say(Event::Exchange(Box::new(Exchange { step, failure, ..Exchange::default() })));
                }
                Next::Later if turns > TURNS_MAX => {
                    journey.is_broken = true;
                    let text = format!("a loop went round {turns},000 times and more without a request");
                    let failure = Some(Failure { kind: "expression", text });
                    self.say(Event::Exchange(Box::new(Exchange { failure, ..Exchange::default() })));
                }
                Next::Later => {}
                Next::End => {
                    // A pause at the end may have been cut short.
                    self.cut_short(walk);
                    break;
                }
            }
        }
        let is_broken = walk.journey.as_ref().is_some_and(|journey| journey.is_broken);
        self.say(Event::Ends { is_broken });
        true
    }

    /// The next thing to do, with all that lies before it told and waited for.
    fn go_on(
        &mut self,
        scenario: usize,
        flow: &[Op],
        left: &mut Left,
        walk: &mut Walk,
        keeps_pauses: bool,
    ) -> Next {
        let Some(journey) = &mut walk.journey else { return Next::End };
        if journey.is_broken {
            return journey.innermost().map_or(Next::End, Next::Left);
        }
        let (plan, mask) = (self.plan, &self.mask);
        let mut events = Vec::new();
        let next = journey.go_on_telling(flow, left, &mut |journey, passed| {
            // A loop without a request does not fill the memory.
            if events.len() < 1_000 {
                events.push(event_of(plan, scenario, mask, journey, passed));
            }
        });
        for mut event in events {
            if let Event::Pause { drawn, waited } = &mut event
                && keeps_pauses
            {
                self.rest(*drawn);
                *waited = *drawn;
            }
            self.say(event);
        }
        next
    }

    /// Gives the iteration a row of each source that the scenario uses; the name of one without.
    fn take_rows(&mut self, scenario: usize, index: u64, journey: &mut Journey) -> Result<Vec<Row>, String> {
        let Self { plan, program, rows, mask, .. } = self;
        let sources = &program.course(scenario).sources;
        let number = plan.workload_with(scenario);
        let (workload, rows) = (&plan.workloads[number], &mut rows[number]);
        let (mut told, mut buffer) = (Vec::new(), Buffer::default());
        for (place, source) in journey.rows(sources.len()).iter_mut().zip(sources) {
            let number = usize::from(*source);
            let Some(rows) = rows.get_mut(number).and_then(Option::as_mut) else { continue };
            let row = rows.row(workload, &Arrival { at_ns: 0, index, stage: StageId(0), user: 0 }).ok();
            let data = &plan.data[number];
            if row.is_none() && data.when_exhausted == WhenExhausted::Stop {
                return Err(data.name.clone());
            }
            (place.source, place.is_there) = (*source, row.is_some());
            if let Some(row) = row {
                program.tables.read(number, row, &mut buffer, &mut place.values);
            }
            let values = plan.columns_of(number).iter().zip(&place.values);
            let values = values.map(|(column, value)| (column.clone(), mask.text(&text_of(value))));
            told.push(Row {
                source: data.name.clone(),
                number: row.map(|row| row + 1),
                rows: program.tables.rows(number),
                values: values.collect(),
            });
        }
        Ok(told)
    }
}

/// A value as it is shown: text as it is, all else as JSON.
fn text_of(value: &Value<'_>) -> String {
    let mut text = String::new();
    if !value.write_text(&mut text) {
        text.push_str("null");
    }
    text
}

fn event_of(plan: &Plan, scenario: usize, mask: &Mask, journey: &Journey, passed: Passed<'_>) -> Event {
    match passed {
        Passed::Pause(drawn) => Event::Pause { drawn, waited: std::time::Duration::ZERO },
        Passed::Group(group) => {
            Event::Group(plan.groups().get(usize::from(group)).cloned().unwrap_or_default())
        }
        Passed::Condition(condition, holds) => Event::Condition { text: condition.to_string(), holds },
        Passed::Round { index, most, condition, item } => {
            let item = item.and_then(|slot| {
                let name = plan.scenarios[scenario].saved.get(usize::from(slot))?;
                Some((name.clone(), mask.text(&text_of(plan::Scope::saved(journey, slot)))))
            });
            Event::Round { number: index + 1, most, condition: condition.map(ToString::to_string), item }
        }
        Passed::Rounds(rounds) => Event::Rounds(rounds),
    }
}

/// What the operation that the iteration is stuck at lacks.
fn op_missing(journey: &Journey, flow: &[Op], named: plan::Named<'_>) -> Option<plan::Missing> {
    let expression = match journey.last_op(flow)? {
        Op::Unless(expression, _)
        | Op::Begin(_, plan::Bound::Times(expression) | plan::Bound::Each(expression))
        | Op::Head { condition: Some(expression), .. } => expression,
        _ => return None,
    };
    expression.missing(journey, named)
}
