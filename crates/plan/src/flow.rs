//! The order in which an iteration goes through its steps: pauses, groups, conditions, loops and fragments become one list
//! of operations with jumps.
//!
//! ```text
//! - repeat: 3              0  Begin  loop 0, at most 3
//!   steps:                 1  Head   loop 0, else go to 4
//!     - get: /a       ─►   2  Request 0
//!     - get: /b            3  … Again loop 0, go to 1
//! ```
//!
//! Invariant: jumps lead to operations of the same list or to its end, and every loop has a bound.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::answer::check_identifier;
use crate::diagnostic::{Faults, Place, Wrong};
use crate::expression::{Expression, Known, Names, unit};
use crate::limits;
use crate::read::{self, Fields};
use crate::scenario::{Rows, Step};
use crate::shapes;
use crate::step::{self, Around, METHODS};
use crate::tree::{Entry, Kind, Node};

/// One operation of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Sends the step of this number in the scenario, and waits for its answer.
    Request(u32),
    /// Waits: the next request is intended so much later.
    Pause(Pause),
    /// A group of this number in the plan begins.
    Enter(u16),
    /// It ends.
    Leave(u16),
    /// Goes on elsewhere unless the condition holds.
    Unless(Expression, u32),
    /// A loop begins, the outermost being 0.
    Begin(u16, Bound),
    /// Goes on elsewhere when the loop has been walked as often as it may.
    Head {
        /// Which loop.
        nesting: u16,
        /// What must hold for another round.
        condition: Option<Expression>,
        /// Where the element of this round goes.
        item: Option<u16>,
        /// Where the loop ends.
        end: u32,
    },
    /// Another round, from its head.
    Again(u16, u32),
}

/// How often a loop is walked.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// At most so often.
    Times(Expression),
    /// Once for each element of a list.
    Each(Expression),
}

/// A time to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two, equally likely.
    Uniform(Duration, Duration),
    /// Normally distributed, by mean and standard deviation; what would be negative is zero.
    Normal(Duration, Duration),
    /// Exponentially distributed, by its mean.
    Exponential(Duration),
}

impl Op {
    /// Puts what is known in its places.
    pub fn settle<'k>(&mut self, known: impl Into<Known<'k>>) {
        match self {
            Self::Unless(condition, _) | Self::Head { condition: Some(condition), .. } => {
                condition.settle(known);
            }
            Self::Begin(_, Bound::Times(times) | Bound::Each(times)) => times.settle(known),
            _ => {}
        }
    }
}

impl Pause {
    /// A time, by two random numbers; an hour at most.
    pub fn draw(&self, first: u64, second: u64) -> Duration {
        let seconds = match self {
            Self::Fixed(span) => return *span,
            Self::Uniform(least, most) => {
                let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
                least + unit(first) * (most - least)
            }
            Self::Normal(mean, deviation) => {
                // Box and Muller 1958.
                let radius = (-2.0 * (1.0 - unit(first)).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * unit(second)).cos();
                mean.as_secs_f64() + normal * deviation.as_secs_f64()
            }
            Self::Exponential(mean) => -(1.0 - unit(first)).ln() * mean.as_secs_f64(),
        };
        Duration::from_secs_f64(seconds.clamp(0.0, limits::WAIT.as_secs_f64()))
    }

    fn parse(text: &str) -> Result<Self, Wrong> {
        let span = |text: &str| crate::quantity::parse_span(text, "the pause", limits::WAIT);
        match text.split_once("..") {
            None => span(text).map(Self::Fixed),
            Some((least, most)) => {
                let zero = matches!(least.trim(), "0" | "0s" | "0ms");
                let least = if zero { Duration::ZERO } else { span(least.trim())? };
                let most = span(most.trim())?;
                match least <= most {
                    true => Ok(Self::Uniform(least, most)),
                    false => Err(Wrong::new("bad_range", "the pause ends before it begins")
                        .help("the lesser one comes first: 1s..3s")),
                }
            }
        }
    }
}

/// What is read into: one scenario.
pub(crate) struct Reader<'r, 'f> {
    pub faults: &'r mut Faults<'f>,
    pub names: &'r mut Names,
    pub rows: &'r mut Rows,
    pub fragments: &'r [Entry],
    pub around: Around,
    pub steps: Vec<Step>,
    pub ops: Vec<Op>,
    /// Items that were read, those of fragments included.
    pub items: usize,
    /// Fragments that are being put in.
    pub within: Vec<String>,
    /// Loops and groups around.
    pub nesting: usize,
    pub is_complete: bool,
    /// A pause that nothing has followed yet.
    pub pause: Option<Place>,
}

/// What an item of a list of steps may be, beside a request.
const ITEMS: [&str; 6] = ["pause", "group", "repeat", "while", "for_each", "use"];

impl Reader<'_, '_> {
    /// The items of a list.
    pub(crate) fn items(&mut self, node: &Node) {
        let Some(nodes) = read::list(self.faults, node, "steps") else {
            self.is_complete = false;
            return;
        };
        for node in nodes {
            // Fragments that use others may make any number of items of a few lines, with or without steps in them.
            if self.steps.len() > limits::STEPS || self.items > limits::ITEMS {
                return;
            }
            self.items += 1;
            if self.item(node).is_none() {
                self.is_complete = false;
                // It may have been meant as the request after a pause.
                self.pause = None;
            }
        }
    }

    fn item(&mut self, node: &Node) -> Option<()> {
        let entries = read::map(self.faults, node, "a step")?;
        let methods = entries.iter().filter(|entry| METHODS.contains(&entry.key.as_str())).count();
        let kind = entries.iter().find(|entry| ITEMS.contains(&entry.key.as_str()));
        match (methods, kind) {
            (0, Some(entry)) => match entry.key.as_str() {
                "pause" => self.pause(node),
                "group" => self.group(node),
                "repeat" => self.repeat(node),
                "while" => self.while_(node),
                "for_each" => self.for_each(node),
                _ => self.fragment(node),
            },
            (0, None) if node.entry("steps").is_some() && node.entry("when").is_some() => {
                self.condition(node)
            }
            (0, None) => {
                // Its keys are checked all the same, since a slip in one may be why there is no method.
                Fields::of_any(self.faults, node, &shapes::ITEMS, &step::NOT_YET)?;
                let wrong = match node.entry("steps") {
                    None => Wrong::new("missing", "a step needs a method with its path")
                        .help("write it like: get: /path"),
                    Some(_) => Wrong::new("missing", "nothing says what these steps are")
                        .help("write group, repeat, while, for_each or when beside them"),
                };
                read::fault(self.faults, node, wrong)
            }
            (_, Some(entry)) if entry.key == "pause" => {
                let wrong = Wrong::new("pause_in_request", "a pause is an item of its own");
                self.faults.add(entry.place, "pause", wrong.help("write `- pause: 1s` before the step"));
                None
            }
            (_, Some(entry)) => {
                let wrong = Wrong::new("not_together", format!("\"{}\" is an item of its own", entry.key));
                self.faults.add(entry.place, &entry.key, wrong.help("put the request into its `steps`"));
                None
            }
            (1, None) => self.request(node),
            _ => {
                let wrong = Wrong::new("several_requests", "a step has one method");
                read::fault(self.faults, node, wrong.help("make several steps of it"))
            }
        }
    }

    /// Where the next operation will be.
    fn here(&self) -> u32 {
        u32::try_from(self.ops.len()).unwrap_or(u32::MAX)
    }

    fn request(&mut self, node: &Node) -> Option<()> {
        let condition = match node.entry("when") {
            Some(entry) => {
                Some(read::expression(self.faults, self.names, &entry.value, "the condition").map(Some))
            }
            None => None,
        };
        let around = self.around.clone();
        let request = step::request(self.faults, self.names, node, &around);
        let condition = condition.unwrap_or(Some(None));
        let (request, condition) = (request?, condition?);
        let tags = &request.tags;
        let Some(id) = self.rows.id(&request.name, tags) else {
            let message = format!("more than {} step names in one run", limits::STEP_NAMES);
            let wrong = Wrong::new("too_many_step_names", message);
            return read::fault(self.faults, node, wrong.help("give steps a common name"));
        };
        self.pause = None;
        let number = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.steps.push(Step { id, ..request });
        if let Some(condition) = condition {
            let end = self.here() + 2;
            self.ops.push(Op::Unless(condition, end));
        }
        self.ops.push(Op::Request(number));
        Some(())
    }

    fn pause(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::PAUSE, &[])?;
        let value = fields.required(self.faults, "pause")?;
        let pause = match &value.kind {
            Kind::Map(_) => self.distribution(value)?,
            _ => {
                let text = read::text(self.faults, value, "the pause")?;
                read::checked(self.faults, value, Pause::parse(text))?
            }
        };
        if self.steps.is_empty() && self.ops.is_empty() && self.is_complete {
            let wrong = Wrong::new("pause_without_effect", "a pause stands between two requests");
            self.faults.add_here(value.place, wrong.help("the first request's time is the schedule's"));
        } else if self.nesting == 0 {
            // In a loop others follow, and in a group its time is the longer for it.
            self.pause = Some(value.place);
        }
        let condition = match fields.get(self.faults, "when") {
            Some(node) => Some(read::expression(self.faults, self.names, node, "the condition")?),
            None => None,
        };
        if let Some(condition) = condition {
            let end = self.here() + 2;
            self.ops.push(Op::Unless(condition, end));
        }
        self.ops.push(Op::Pause(pause));
        Some(())
    }

    fn distribution(&mut self, node: &Node) -> Option<Pause> {
        let fields = Fields::of(self.faults, node, &shapes::DISTRIBUTION, &[])?;
        let mut span = |key: &str| {
            let node = fields.required(self.faults, key)?;
            read::span(self.faults, node, "the pause", limits::WAIT)
        };
        match (fields.has("normal"), fields.has("exponential")) {
            (true, false) => {
                let (mean, deviation) = (span("normal"), span("stddev"));
                Some(Pause::Normal(mean?, deviation?))
            }
            (false, true) if !fields.has("stddev") => span("exponential").map(Pause::Exponential),
            _ => {
                let wrong = Wrong::new("bad_range", "a pause has one distribution");
                let help = "write { normal: 2s, stddev: 500ms } or { exponential: 2s }";
                read::fault(self.faults, node, wrong.help(help))
            }
        }
    }

    /// The steps of a loop or group, which must have some.
    fn inner(&mut self, fields: &Fields<'_>) -> Option<()> {
        let node = fields.required(self.faults, "steps")?;
        if self.nesting >= limits::NESTING {
            let message =
                format!("loops, groups and conditions stand in one another at most {} deep", limits::NESTING);
            return read::fault(self.faults, node, Wrong::new("too_deep", message));
        }
        let before = self.steps.len();
        self.nesting += 1;
        self.items(node);
        self.nesting -= 1;
        if self.steps.len() == before && self.is_complete {
            return read::fault(self.faults, node, Wrong::new("missing", "there is no request in it"));
        }
        Some(())
    }

    fn condition(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::CONDITION, &[])?;
        let condition = fields.required(self.faults, "when")?;
        let condition = read::expression(self.faults, self.names, condition, "the condition");
        let at = self.ops.len();
        self.ops.push(Op::Pause(Pause::Fixed(Duration::ZERO)));
        let inner = self.inner(&fields);
        self.ops[at] = Op::Unless(condition?, self.here());
        inner
    }

    fn group(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::GROUP, &[])?;
        let name = fields.required(self.faults, "group")?;
        let name = read::name(self.faults, name, "the group's name");
        let number = name.as_deref().and_then(|name| {
            let number = self.rows.group(name);
            if number.is_none() {
                let message = format!("more than {} groups in one run", limits::STEP_NAMES);
                self.faults.add_here(node.place, Wrong::new("too_many_step_names", message));
            }
            number
        });
        self.ops.push(Op::Enter(number.unwrap_or(0)));
        let inner = self.inner(&fields);
        self.ops.push(Op::Leave(number.unwrap_or(0)));
        number?;
        inner
    }

    fn repeat(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::REPEAT, &[])?;
        let times = fields.required(self.faults, "repeat")?;
        let bound = self.times(times).map(Bound::Times);
        self.rounds(&fields, bound, |_| Some(None), None)
    }

    /// A number, or an expression that gives one.
    fn times(&mut self, node: &Node) -> Option<Expression> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
        if node.is_null() || !matches!(&node.kind, Kind::Scalar { text, .. } if !is_number(text)) {
            return read::count(self.faults, node, "how often", limits::LOOPS).map(Expression::whole);
        }
        let times = read::expression(self.faults, self.names, node, "how often")?;
        // No round at all makes sense of a variable; what else is known to be wrong need not wait for the run.
        let Some(value) = times.constant() else { return Some(times) };
        match value.int() {
            Some(number) if u64::try_from(number).is_ok_and(|number| number <= limits::LOOPS) => Some(times),
            Some(number) => {
                let message = format!("{number} rounds are not between 0 and {}", limits::LOOPS);
                read::fault(self.faults, node, Wrong::new("absurd", message))
            }
            None => {
                let mut text = String::new();
                value.write_json(&mut text);
                let message = format!("how often must be a whole number, and this is {text}");
                read::fault(self.faults, node, Wrong::new("not_a_number", message))
            }
        }
    }

    fn while_(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::WHILE, &[])?;
        let most = match fields.required(self.faults, "at_most") {
            Some(node) => read::count(self.faults, node, "at_most", limits::LOOPS),
            None => None,
        };
        let condition = fields.required(self.faults, "while");
        let bound = most.map(|most| Bound::Times(Expression::whole(most)));
        self.rounds(
            &fields,
            bound,
            |reader| read::expression(reader.faults, reader.names, condition?, "the condition").map(Some),
            None,
        )
    }

    fn for_each(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::FOR_EACH, &[])?;
        let list = fields.required(self.faults, "for_each");
        let list = list.and_then(|node| read::expression(self.faults, self.names, node, "the list"));
        let item = fields.required(self.faults, "as").and_then(|node| {
            let name = read::text(self.faults, node, "the element's name")?;
            read::checked(self.faults, node, check_identifier(name, self.names))?;
            self.names.saved_before.insert(name.to_owned());
            Some(self.names.slot(name))
        });
        let rounds = self.rounds(&fields, list.map(Bound::Each), |_| Some(None), item);
        item?;
        rounds
    }

    /// A loop. Its condition is read after its steps, and may name what they save.
    fn rounds(
        &mut self,
        fields: &Fields<'_>,
        bound: Option<Bound>,
        condition: impl FnOnce(&mut Self) -> Option<Option<Expression>>,
        item: Option<u16>,
    ) -> Option<()> {
        let nesting = u16::try_from(self.names.loops).unwrap_or(u16::MAX);
        let begin = self.ops.len();
        self.names.loops += 1;
        // Filled in when it is known where the loop ends.
        self.ops.extend([Op::Pause(Pause::Fixed(Duration::ZERO)), Op::Pause(Pause::Fixed(Duration::ZERO))]);
        let inner = self.inner(fields);
        let condition = condition(self);
        self.names.loops -= 1;
        let head = u32::try_from(begin + 1).unwrap_or(u32::MAX);
        self.ops.push(Op::Again(nesting, head));
        let end = self.here();
        self.ops[begin + 1] = Op::Head { nesting, condition: condition?, item, end };
        self.ops[begin] = Op::Begin(nesting, bound?);
        inner
    }

    fn fragment(&mut self, node: &Node) -> Option<()> {
        let fields = Fields::of(self.faults, node, &shapes::USE, &[])?;
        let value = fields.required(self.faults, "use")?;
        let name = read::text(self.faults, value, "the fragment's name")?;
        let fragments = self.fragments;
        let Some(entry) = fragments.iter().find(|entry| entry.key == name) else {
            let known: Vec<&str> = fragments.iter().map(|entry| entry.key.as_str()).collect();
            let wrong = Wrong::new("unknown_fragment", format!("there is no fragment \"{name}\""));
            return read::fault(self.faults, value, wrong.suggest(name, &known, &[]));
        };
        if self.within.iter().any(|within| within == name) {
            let circle = format!("{} → {name}", self.within.join(" → "));
            let wrong = Wrong::new("circle", format!("the fragment uses itself: {circle}"));
            return read::fault(self.faults, value, wrong);
        }
        if self.within.len() >= limits::DEPTH {
            let message = format!("fragments use one another at most {} deep", limits::DEPTH);
            return read::fault(self.faults, value, Wrong::new("too_deep", message));
        }
        self.within.push(name.to_owned());
        self.items(&entry.value);
        self.within.pop();
        Some(())
    }
}

/// What is saved anywhere in `node`, fragments included: names that a loop may use before. `used` are the fragments that
/// were looked at: each is once, however often it is used.
pub(crate) fn saved_in<'n>(
    node: &'n Node,
    fragments: &'n [Entry],
    (depth, used): (usize, &mut BTreeSet<&'n str>),
    names: &mut Names,
) {
    match &node.kind {
        Kind::List(nodes) => {
            nodes.iter().for_each(|node| saved_in(node, fragments, (depth, &mut *used), names))
        }
        Kind::Map(entries) => {
            for entry in entries {
                match (entry.key.as_str(), &entry.value.kind) {
                    ("save", Kind::Map(saved)) => {
                        saved.iter().take(limits::SAVED).for_each(|saved| {
                            names.slot(&saved.key);
                        });
                    }
                    ("as", Kind::Scalar { text, .. }) => {
                        names.slot(text);
                    }
                    ("steps", _) => saved_in(&entry.value, fragments, (depth, &mut *used), names),
                    ("use", Kind::Scalar { text, .. }) if depth < limits::DEPTH => {
                        let fragment = fragments.iter().find(|fragment| fragment.key == *text);
                        if let Some(fragment) = fragment.filter(|fragment| used.insert(&fragment.key)) {
                            saved_in(&fragment.value, fragments, (depth + 1, &mut *used), names);
                        }
                    }
                    _ => {}
                }
            }
        }
        Kind::Scalar { .. } | Kind::Faulty => {}
    }
}
