//! Where an iteration is whose way depends on what happens: its values, loops, groups and rows of data.
//!
//! Invariant: an iteration of a scenario in which nothing varies has no [`Journey`]. Deliberately absent: requests and
//! times (`worker`).

use std::cell::Cell;

use std::time::Duration;

use plan::{EvaluateError, Expression, Op, Scope, Value, mix};

/// What an iteration may still do without a request, before others have their turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) ops: u32,
    /// Values that are copied from lists, and hundreds of bytes of text.
    pub(crate) copies: u32,
}

impl Left {
    pub(crate) const AT_ONCE: Self = Self { ops: 1_000, copies: 1_000 };

    fn copied(&mut self, value: &Value<'_>) {
        self.copies = self.copies.saturating_sub(weight(value));
    }
}

/// Keeps what iterations draw apart from the plan's other choices.
const DRAW_SALT: u64 = 0x6472_6177;

/// The state of an iteration.
#[derive(Debug, Default)]
pub(crate) struct Journey {
    pub(crate) scenario: usize,
    /// The next operation.
    at: u32,
    index: u64,
    user: u64,
    /// What the last random number was made from.
    draws: Cell<u64>,
    /// By slots.
    values: Vec<Value<'static>>,
    /// Loops that it is in, the outermost first.
    rounds: Vec<Rounds>,
    /// Groups that it is in, the outermost first.
    groups: Vec<OpenGroup>,
    rows: Vec<Row>,
    /// Whether it has come to a request.
    pub(crate) has_requested: bool,
    /// Pauses since the last request.
    pause_ns: u64,
    /// Whether the last step failed whose values are needed from here on.
    pub(crate) is_broken: bool,
}

/// A loop under way.
#[derive(Debug)]
struct Rounds {
    index: u64,
    most: u64,
    /// What it goes through; null for other loops.
    list: Value<'static>,
}

/// A group under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenGroup {
    /// Its number in the plan.
    pub(crate) group: u16,
    /// When its first request was intended; `None` before.
    pub(crate) since_ns: Option<u64>,
    pub(crate) has_failed: bool,
}

/// The iteration's row of a source.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) source: u16,
    /// None where no row was left.
    pub(crate) is_there: bool,
    pub(crate) values: Vec<Value<'static>>,
}

/// Where an iteration goes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// To this step of its scenario, which is intended so much later.
    Step(u32, u64),
    /// Nowhere yet: others have their turn.
    Later,
    /// It has left a group. To be asked again.
    Left(u16),
    /// An expression has no value. The step that it stands before.
    Stuck(u32, EvaluateError),
    /// Its end.
    End,
}

/// What an iteration comes by on its way to the next request.
#[derive(Debug)]
pub(crate) enum Passed<'a> {
    Pause(Duration),
    /// A group begins.
    Group(u16),
    Condition(&'a Expression, bool),
    /// A round begins, the first being 0, of as many as there are at most; with the slot of its element.
    Round {
        index: u64,
        most: u64,
        condition: Option<&'a Expression>,
        item: Option<u16>,
    },
    /// A loop is over, after so many rounds.
    Rounds(u64),
}

impl Journey {
    /// Begins anew, for iteration `index` of `user`.
    pub(crate) fn begin(&mut self, scenario: usize, slots: usize, (index, user): (u64, u64), seed: u64) {
        self.scenario = scenario;
        self.at = 0;
        (self.index, self.user) = (index, user);
        self.draws.set(mix(seed ^ DRAW_SALT) ^ mix(index));
        self.values.clear();
        self.values.resize(slots, Value::Null);
        self.rounds.clear();
        self.groups.clear();
        self.pause_ns = 0;
        self.is_broken = false;
        self.has_requested = false;
    }

    /// Room for a row of each of the scenario's sources.
    pub(crate) fn rows(&mut self, sources: usize) -> &mut [Row] {
        self.rows.resize_with(sources, Row::default);
        &mut self.rows
    }

    pub(crate) fn save(&mut self, slot: u16, value: Value<'static>) {
        if let Some(place) = self.values.get_mut(usize::from(slot)) {
            *place = value;
        }
    }

    /// The first request of the groups just entered is intended at `intended_ns`.
    pub(crate) fn start_groups(&mut self, intended_ns: u64) {
        for group in self.groups.iter_mut().rev().take_while(|group| group.since_ns.is_none()) {
            group.since_ns = Some(intended_ns);
        }
    }

    /// A request failed.
    pub(crate) fn fail_groups(&mut self) {
        self.groups.iter_mut().for_each(|group| group.has_failed = true);
    }

    /// The innermost group, which is over.
    pub(crate) fn leave_group(&mut self) -> Option<OpenGroup> {
        self.groups.pop()
    }

    /// The innermost group that it is in.
    pub(crate) fn innermost(&self) -> Option<u16> {
        self.groups.last().map(|group| group.group)
    }

    /// Goes on through `flow` to the next request, as far as it may by what is `left`, which it counts down. To be asked
    /// again after each [`Next::Left`] and, with others to come, after [`Next::Later`].
    pub(crate) fn go_on(&mut self, flow: &[Op], left: &mut Left) -> Next {
        self.go_on_telling(flow, left, &mut |_, _| {})
    }

    /// As [`go_on`](Self::go_on), with each thing told that it comes by.
    pub(crate) fn go_on_telling<'a>(
        &mut self,
        flow: &'a [Op],
        left: &mut Left,
        tell: &mut impl FnMut(&Self, Passed<'a>),
    ) -> Next {
        while left.ops > 0 && left.copies > 0 {
            left.ops -= 1;
            let Some(op) = flow.get(self.at as usize) else { return Next::End };
            self.at += 1;
            match op {
                Op::Request(step) => {
                    self.has_requested = true;
                    return Next::Step(*step, std::mem::take(&mut self.pause_ns));
                }
                Op::Pause(pause) => {
                    let pause = pause.draw(self.draw(), self.draw());
                    self.pause_ns = self.pause_ns.saturating_add(clock::nanos(pause));
                    tell(self, Passed::Pause(pause));
                }
                Op::Enter(group) => {
                    self.groups.push(OpenGroup { group: *group, since_ns: None, has_failed: false });
                    tell(self, Passed::Group(*group));
                }
                Op::Leave(group) => return Next::Left(*group),
                Op::Unless(condition, to) => match condition.evaluate(self).map(|value| value.is_true()) {
                    Ok(holds) => {
                        if !holds {
                            self.at = *to;
                        }
                        tell(self, Passed::Condition(condition, holds));
                    }
                    Err(error) => return self.stuck(flow, error),
                },
                Op::Begin(nesting, bound) => {
                    self.rounds.truncate(usize::from(*nesting));
                    match self.rounds_of(bound) {
                        Ok(rounds) => {
                            left.copied(&rounds.list);
                            self.rounds.push(rounds);
                        }
                        Err(error) => return self.stuck(flow, error),
                    }
                }
                Op::Head { nesting, condition, item, end } => {
                    let holds = match condition {
                        Some(condition) => condition.evaluate(self).map(|value| value.is_true()),
                        None => Ok(true),
                    };
                    let rounds = self.rounds.get(usize::from(*nesting));
                    match (holds, rounds) {
                        (Err(error), _) => return self.stuck(flow, error),
                        (Ok(true), Some(rounds)) if rounds.index < rounds.most => {
                            let (index, most) = (rounds.index, rounds.most);
                            if let Some(slot) = item {
                                let at = usize::try_from(rounds.index).unwrap_or(usize::MAX);
                                let element = rounds.list.element(at).into_owned();
                                left.copied(&element);
                                self.save(*slot, element);
                            }
                            let condition = condition.as_ref();
                            tell(self, Passed::Round { index, most, condition, item: *item });
                        }
                        _ => {
                            let index = rounds.map_or(0, |rounds| rounds.index);
                            self.rounds.truncate(usize::from(*nesting));
                            self.at = *end;
                            tell(self, Passed::Rounds(index));
                        }
                    }
                }
                Op::Again(nesting, head) => {
                    if let Some(rounds) = self.rounds.get_mut(usize::from(*nesting)) {
                        rounds.index += 1;
                    }
                    self.at = *head;
                }
            }
        }
        Next::Later
    }

    /// The operation that it went through last.
    pub(crate) fn last_op<'f>(&self, flow: &'f [Op]) -> Option<&'f Op> {
        flow.get((self.at as usize).checked_sub(1)?)
    }

    fn rounds_of(&self, bound: &plan::Bound) -> Result<Rounds, EvaluateError> {
        match bound {
            plan::Bound::Times(times) => {
                let times = times.evaluate(self)?.int().ok_or(EvaluateError::NoNumber)?;
                let most = u64::try_from(times).unwrap_or(0).min(plan::limits::LOOPS);
                Ok(Rounds { index: 0, most, list: Value::Null })
            }
            plan::Bound::Each(list) => {
                let list = list.evaluate(self)?.into_owned();
                let length = match &list {
                    Value::Json(json) if json.is_array() => list.length(),
                    _ => None,
                };
                let most = length.ok_or(EvaluateError::NoList)? as u64;
                Ok(Rounds { index: 0, most, list })
            }
        }
    }

    /// The step that stands next in the list, to whose row the fault counts.
    fn stuck(&self, flow: &[Op], error: EvaluateError) -> Next {
        let step_of = |op: &Op| if let Op::Request(step) = op { Some(*step) } else { None };
        let at = self.at as usize;
        let after = flow.iter().skip(at).find_map(step_of);
        let before = || flow.iter().take(at).rev().find_map(step_of);
        Next::Stuck(after.or_else(before).unwrap_or(0), error)
    }
}

/// What a copy of `value` cost: one for each value in it, and for each hundred bytes of text.
fn weight(value: &Value<'_>) -> u32 {
    fn of_text(text: &str) -> u32 {
        u32::try_from(text.len() / 100).unwrap_or(u32::MAX)
    }
    fn of_json(json: &serde_json::Value) -> u32 {
        let within = match json {
            serde_json::Value::Array(list) => list.iter().map(of_json).fold(0, u32::saturating_add),
            serde_json::Value::Object(map) => map.values().map(of_json).fold(0, u32::saturating_add),
            serde_json::Value::String(text) => of_text(text),
            _ => 0,
        };
        within.saturating_add(1)
    }
    match value {
        Value::Json(json) => of_json(json),
        Value::Text(text) => of_text(text),
        _ => 0,
    }
}

impl Scope for Journey {
    fn saved(&self, slot: u16) -> &Value<'static> {
        self.values.get(usize::from(slot)).unwrap_or(&Value::Null)
    }

    fn cell(&self, source: u16, column: u16) -> Result<Value<'_>, EvaluateError> {
        match self.rows.iter().find(|row| row.source == source) {
            Some(Row { is_there: false, .. }) => Err(EvaluateError::Exhausted),
            Some(row) => {
                row.values.get(usize::from(column)).map(Value::borrowed).ok_or(EvaluateError::Absent)
            }
            None => Err(EvaluateError::Absent),
        }
    }

    fn draw(&self) -> u64 {
        self.draws.set(self.draws.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        mix(self.draws.get())
    }

    fn loop_index(&self) -> u64 {
        self.rounds.last().map_or(0, |rounds| rounds.index)
    }

    fn iteration(&self) -> u64 {
        self.index
    }

    fn user(&self) -> u64 {
        self.user
    }

    fn unix_ms(&self) -> i64 {
        clock::unix_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_loop_copies_is_bounded_as_its_rounds_are() {
        let steps = "{ get: /a, save: { list: $.a } }, { repeat: 100, steps: [{ for_each: list, as: item, steps: [{ get: /b, when: 'false' }] }] }";
        let text = format!(
            "{{ version: 1, name: x, target: 'http://h', load: {{ model: avalanche, requests_per_driver: 1 }}, \
             scenarios: {{ x: {{ steps: [{steps}] }} }} }}"
        );
        let plan = plan::parse("x", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let scenario = &plan.scenarios[0];
        let slot = scenario.saved.iter().position(|name| name == "list").unwrap();
        let turns = |numbers: usize| {
            let mut journey = Journey::default();
            journey.begin(0, scenario.saved.len(), (0, 0), 1);
            let mut left = Left::AT_ONCE;
            assert_eq!(journey.go_on(&scenario.flow, &mut left), Next::Step(0, 0));
            let list = serde_json::json!([vec![7; numbers], "x".repeat(200 * numbers)]);
            journey.save(u16::try_from(slot).unwrap(), Value::from_json(list));
            let mut turns = 0;
            while journey.go_on(&scenario.flow, &mut { Left::AT_ONCE }) != Next::End {
                turns += 1;
            }
            turns
        };
        assert!(turns(1) <= 2, "{}", turns(1));
        // Each round copies the list, and then its elements.
        assert!(turns(1_000) >= 200, "{}", turns(1_000));
    }
}
