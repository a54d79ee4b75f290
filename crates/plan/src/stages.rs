//! Stages: what a load asks for over time, one span after the other.
//!
//! Invariant: a stage is longer than zero and asks for something somewhere; at most [`limits::RUN`] in all.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::quantity::{Rate, show_span};
use crate::read::{self, Fields};
use crate::shape::Shape;
use crate::shapes;
use crate::tree::Node;

/// A span of a load in which its level stays, or changes along a straight line. The level is a rate for the open model,
/// a number of users for the closed one; both are of the whole fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage<L> {
    /// As the plan says, or `stage N` from 1; unique in the plan.
    pub name: String,
    /// The level at its beginning.
    pub from: L,
    /// The level at its end; not zero when `from` is.
    pub to: L,
    /// How long; more than zero.
    pub duration: Duration,
    /// Shown, but left out of the summary.
    pub warmup: bool,
}

/// What a stage is of.
pub(crate) trait Level: Copy + PartialEq {
    /// How a load with such stages is called.
    const LOAD: &'static str;
    /// How the level is called.
    const WHAT: &'static str;
    /// The key of a level that stays.
    const KEY: &'static str;
    /// The keys of a stage.
    const SHAPE: &'static Shape;
    /// How a stage may be written.
    const FORMS: &'static str;
    /// None at all.
    const ZERO: Self;

    /// The level in `node`, which is more than zero unless `may_be_zero`.
    fn read(faults: &mut Faults<'_>, node: &Node, may_be_zero: bool) -> Option<Self>;
}

impl Level for Rate {
    const LOAD: &'static str = "an open load";
    const WHAT: &'static str = "rate";
    const KEY: &'static str = "at";
    const SHAPE: &'static Shape = &shapes::RATE_STAGE;
    const FORMS: &'static str = "write `at: 500/s, for: 30s`, or `from: 0/s, to: 500/s, over: 30s`";
    const ZERO: Self = Rate::ZERO;

    fn read(faults: &mut Faults<'_>, node: &Node, may_be_zero: bool) -> Option<Self> {
        let what = "the stage's rate";
        if may_be_zero { read::rate_or_zero(faults, node, what) } else { read::rate(faults, node, what) }
    }
}

impl Level for u32 {
    const LOAD: &'static str = "a closed load";
    const WHAT: &'static str = "number of users";
    const KEY: &'static str = "users";
    const SHAPE: &'static Shape = &shapes::USER_STAGE;
    const FORMS: &'static str = "write `users: 50, for: 30s`, or `from: 0, to: 50, over: 30s`";
    const ZERO: Self = 0;

    fn read(faults: &mut Faults<'_>, node: &Node, may_be_zero: bool) -> Option<Self> {
        let what = "the number of users";
        read::count_from(faults, node, what, u64::from(!may_be_zero), u64::from(limits::USERS))
            .and_then(|count| u32::try_from(count).ok())
    }
}

/// The stages that `node` lists.
pub(crate) fn stages<L: Level>(faults: &mut Faults<'_>, node: &Node) -> Option<Vec<Stage<L>>> {
    let nodes = read::list(faults, node, "stages")?;
    if nodes.is_empty() {
        let wrong = Wrong::new("missing", format!("{} has at least one stage", L::LOAD));
        return read::fault(faults, node, wrong);
    }
    if nodes.len() > limits::STAGES {
        let message = format!("{} has at most {} stages", L::LOAD, limits::STAGES);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let mut names = BTreeSet::new();
    let read: Vec<Option<Stage<L>>> = nodes
        .iter()
        .zip(1..)
        .map(|(node, number)| {
            let stage: Stage<L> = stage(faults, node, number)?;
            if !names.insert(stage.name.clone()) {
                let wrong = Wrong::new("duplicate_name", format!("two stages are named \"{}\"", stage.name));
                faults.add_here(node.place, wrong);
            }
            Some(stage)
        })
        .collect();
    let stages: Vec<Stage<L>> = read.into_iter().collect::<Option<_>>()?;
    let length: Duration = stages.iter().map(|stage| stage.duration).sum();
    if length > limits::RUN {
        let message = format!("the stages take longer than {}", show_span(limits::RUN));
        faults.add_here(node.place, Wrong::new("absurd", message));
    }
    if stages.iter().all(|stage| stage.warmup) {
        let wrong = Wrong::new("only_warmup", "every stage is a warm-up, so nothing would be in the summary");
        faults.add_here(node.place, wrong);
    }
    Some(stages)
}

fn stage<L: Level>(faults: &mut Faults<'_>, node: &Node, number: usize) -> Option<Stage<L>> {
    let fields = Fields::of(faults, node, L::SHAPE, &[])?;
    let name = match fields.get(faults, "name") {
        Some(node) => read::name(faults, node, "the stage's name"),
        None => Some(format!("stage {number}")),
    };
    let shape = shape(faults, &fields, node);
    let warmup = read::flag(faults, &fields, "warmup");
    let (from, to, duration) = shape?;
    Some(Stage { name: name?, from, to, duration, warmup: warmup? })
}

/// The levels at both ends, and the length: of a level that stays, or of a ramp.
fn shape<L: Level>(faults: &mut Faults<'_>, fields: &Fields<'_>, node: &Node) -> Option<(L, L, Duration)> {
    let stays = fields.has(L::KEY) || fields.has("for");
    let ramps = ["from", "to", "over"].iter().any(|key| fields.has(key));
    if stays && ramps {
        let wrong = Wrong::new("not_together", format!("a stage's {} stays, or is a ramp", L::WHAT));
        faults.add_here(node.place, wrong.help(L::FORMS));
        return None;
    }
    if !ramps {
        let level = fields.required(faults, L::KEY).and_then(|node| L::read(faults, node, false));
        let duration = length(faults, fields, "for");
        return Some((level?, level?, duration?));
    }
    let mut end = |key| fields.required(faults, key).and_then(|node| L::read(faults, node, true));
    let (from, to) = (end("from"), end("to"));
    let duration = length(faults, fields, "over");
    let (from, to, duration) = (from?, to?, duration?);
    if from == L::ZERO && to == L::ZERO {
        let wrong = Wrong::new("zero", format!("a ramp whose {} is zero at both ends is none", L::WHAT));
        faults.add_here(node.place, wrong);
        return None;
    }
    Some((from, to, duration))
}

fn length(faults: &mut Faults<'_>, fields: &Fields<'_>, key: &str) -> Option<Duration> {
    let node = fields.required(faults, key)?;
    read::span(faults, node, "the stage's length", limits::RUN)
}
