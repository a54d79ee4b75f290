//! Thresholds as text: `[metric.]statistic [of KIND "name"] OPERATOR value [for DURATION] [, abort] [, allow_no_data]`.
//!
//! A text is cut into its parts first, and each part is checked on its own, so that all that is wrong with a threshold
//! is found at once. Invariant: names are resolved here and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::StepId;
use crate::diagnostic::{Faults, Wrong};
use crate::limits;
use crate::quantity::{self, decimal, parse_rate, parse_span};
use crate::read;
use crate::scenario::{Rows, Scenario};
use crate::schedule::StageId;
use crate::threshold::{Measure, Metric, Operator, Scope, Statistic, Threshold};
use crate::tree::{Kind, Node};
use crate::workload::Strand;

const FORM: &str = "write it like: p99 of \"GET /cart\" < 800ms for 10s, abort";
const STATISTICS: [&str; 10] =
    ["p99", "p99.9", "median", "mean", "min", "max", "rate", "count", "error_rate", "achieved_rate"];
const KINDS: [&str; 5] = ["step", "stage", "scenario", "group", "tag"];
const FLAGS: [&str; 2] = ["abort", "allow_no_data"];
/// Millionths of everything.
const ALL: u128 = 1_000_000;
/// Percent at most: a load that achieves ten times what was planned is no load of this plan.
const MOST_PERCENT: f64 = 1000.0;

/// What the rest of the plan knows, as far as it could be read: what could not is no second fault here.
pub(crate) struct Known<'a> {
    pub strands: Option<&'a [Strand<'a>]>,
    pub scenarios: Option<(&'a [Scenario], &'a Rows)>,
    pub phases: Option<bool>,
}

/// The thresholds that `node` lists.
pub(crate) fn thresholds(faults: &mut Faults<'_>, node: &Node, known: &Known<'_>) -> Option<Vec<Threshold>> {
    let nodes = read::list(faults, node, "thresholds")?;
    if nodes.len() > limits::THRESHOLDS {
        let message = format!("a plan has at most {} thresholds", limits::THRESHOLDS);
        return read::fault(faults, node, Wrong::new("absurd", message));
    }
    let read: Vec<Option<Threshold>> = nodes.iter().map(|node| threshold(faults, node, known)).collect();
    read.into_iter().collect()
}

fn threshold(faults: &mut Faults<'_>, node: &Node, known: &Known<'_>) -> Option<Threshold> {
    if let Kind::Map(_) | Kind::List(_) = node.kind {
        let wrong = Wrong::new("wrong_kind", "a threshold must be text");
        return read::fault(faults, node, wrong.help("a text with a colon in it stands in quotes"));
    }
    let text = read::text(faults, node, "a threshold")?;
    let mut told = Told { faults, node, text, sound: true };
    let parts = match Parts::of(text) {
        Ok(parts) => parts,
        Err((word, wrong)) => {
            told.wrong(word, wrong);
            return None;
        }
    };
    let measure = told.checked(parts.measure, measure(parts.measure));
    let scope = parts.scope.map_or(Some((Scope::Run, "run".to_owned())), |scope| {
        let resolved = resolve(scope, known);
        told.checked(scope.name, resolved)
            .map(|resolved| (resolved, format!("{} {}", scope.kind, scope.name)))
    });
    let hold_s = parts.hold.map(|text| (text, told.checked(text, whole_seconds(text))));
    let limit = measure.and_then(|measure| told.checked(parts.limit, limit(measure, parts.limit)));
    if let Some(measure) = measure {
        told.fits(parts.measure, measure_fits(measure, known));
        if let (Some(scope), Some((resolved, _))) = (parts.scope, &scope) {
            told.fits(scope.kind_word(), scope_fits(measure, scope.kind, resolved));
        }
        if let (Measure::Count, Some((text, _))) = (measure, hold_s) {
            let wrong = Wrong::new("threshold_for", "a count is of the whole run");
            told.wrong(text, wrong.help("write `rate` for requests of each second"));
        }
        if let (Measure::Count, false, Some(word)) = (measure, parts.operator.is_upper_bound(), parts.abort) {
            let wrong = Wrong::new("threshold_abort", "whether a count gets there is known only at the end");
            told.wrong(word, wrong.help("leave `abort` out"));
        }
    }
    if limit == Some(0.0) && parts.operator == Operator::Below {
        let wrong = Wrong::new("never_holds", "nothing is less than zero");
        told.wrong(parts.limit, wrong.help("write <= for none at all"));
    }
    let sound = told.sound;
    let (scope, scope_name) = scope?;
    let threshold = Threshold {
        expression: text.split_whitespace().collect::<Vec<_>>().join(" "),
        measure: measure?,
        scope,
        scope_name,
        operator: parts.operator,
        limit: limit?,
        hold_s: match hold_s {
            Some((_, hold_s)) => Some(hold_s?),
            None => None,
        },
        abort: parts.abort.is_some(),
        allow_no_data: parts.allow_no_data,
    };
    sound.then_some(threshold)
}

/// Says what is wrong with parts of one threshold, at their places.
struct Told<'f, 's, 'n> {
    faults: &'f mut Faults<'s>,
    node: &'n Node,
    text: &'n str,
    sound: bool,
}

impl Told<'_, '_, '_> {
    /// Reports `wrong` at `word`, which is a part of the text.
    fn wrong(&mut self, word: &str, wrong: Wrong) {
        self.sound = false;
        let before = (word.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let offset = self.text.get(..before).map_or(0, |before| before.chars().count());
        self.faults.add_at_offset(self.node.place, offset, word, wrong);
    }

    fn checked<T>(&mut self, word: &str, value: Result<T, Wrong>) -> Option<T> {
        value.map_err(|wrong| self.wrong(word, wrong)).ok()
    }

    fn fits(&mut self, word: &str, fits: Result<(), Wrong>) {
        self.checked(word, fits);
    }
}

/// A threshold cut into its words.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    measure: &'a str,
    scope: Option<Named<'a>>,
    operator: Operator,
    limit: &'a str,
    hold: Option<&'a str>,
    /// The word itself, for its place.
    abort: Option<&'a str>,
    allow_no_data: bool,
}

/// `of KIND "name"`.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    kind: &'a str,
    is_said: bool,
    name: &'a str,
}

impl<'a> Named<'a> {
    /// The word a fault of the kind is about: the name where no kind is written.
    fn kind_word(&self) -> &'a str {
        if self.is_said { self.kind } else { self.name }
    }
}

type BadPart<'a> = (&'a str, Wrong);

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, BadPart<'a>> {
        let bad = |rest: &'a str, message: &str| {
            let word = if rest.is_empty() { text } else { rest };
            (word, Wrong::new("bad_threshold", message).help(FORM))
        };
        let (measure, rest) = word(text.trim_start());
        if measure.is_empty() {
            return Err(bad(rest, "a threshold begins with a statistic"));
        }
        if FLAGS.contains(&measure) && rest.is_empty() {
            let wrong = Wrong::new("bad_threshold", format!("\"{measure}\" belongs to a threshold"));
            return Err((
                measure,
                wrong.help("in a list in brackets a threshold with a comma stands in quotes"),
            ));
        }
        let (scope, rest) = match word(rest) {
            ("of", rest) => {
                let (scope, rest) = named(rest, bad)?;
                (Some(scope), rest)
            }
            _ => (None, rest),
        };
        let (sign, rest) = rest.split_at(rest.find(|c| !"<>=!".contains(c)).unwrap_or(rest.len()));
        let operator = match sign {
            "<" => Operator::Below,
            "<=" => Operator::AtMost,
            ">" => Operator::Above,
            ">=" => Operator::AtLeast,
            "" => return Err(bad(rest, "a threshold compares: here belongs <, <=, > or >=")),
            _ => return Err(bad(sign, "a threshold compares with <, <=, > or >=")),
        };
        let mut flags = rest.split(',');
        let rest = flags.next().unwrap_or_default().trim();
        let (limit, rest) = match rest.find(" for ") {
            Some(at) => (rest[..at].trim_end(), Some(rest[at + " for ".len()..].trim())),
            None => (rest, None),
        };
        if limit.is_empty() {
            return Err(bad(sign, "a threshold compares with a value"));
        }
        let mut parts =
            Self { measure, scope, operator, limit, hold: rest, abort: None, allow_no_data: false };
        for flag in flags {
            match flag.trim() {
                word @ "abort" => parts.abort = Some(word),
                "allow_no_data" => parts.allow_no_data = true,
                "" => return Err(bad(text, "nothing follows a comma")),
                other => {
                    let wrong = Wrong::new("bad_threshold", format!("a threshold has no \"{other}\""));
                    return Err((other, wrong.suggest(other, &FLAGS, &[])));
                }
            }
        }
        Ok(parts)
    }
}

/// What stands behind `of`: the kind where it is said, and the name in quotes.
fn named<'a>(
    text: &'a str,
    bad: impl Fn(&'a str, &str) -> BadPart<'a>,
) -> Result<(Named<'a>, &'a str), BadPart<'a>> {
    let said = text.find(['"', '\'']).map_or(text, |at| &text[..at]).trim_end();
    let (first, _) = word(said);
    let kind = if said.is_empty() { "step" } else { first };
    let rest = text[said.len()..].trim_start();
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Err(bad(text, "a name stands in quotes behind `of`"));
    };
    if !KINDS.contains(&kind) || said.len() > first.len() {
        let wrong = Wrong::new("unknown_kind", format!("there are no thresholds of a \"{said}\""));
        return Err((said, wrong.suggest(said, &KINDS, &[])));
    }
    match rest[1..].split_once(quote) {
        Some((name, rest)) => Ok((Named { kind, is_said: !said.is_empty(), name }, rest.trim_start())),
        None => Err(bad(rest, "the name's second quote is missing")),
    }
}

/// The first word, and what follows it. An operator ends a word.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || "<>=!,\"'".contains(c)).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// `p99.9`, `service_time.mean`, `error_rate`.
fn measure(text: &str) -> Result<Measure, Wrong> {
    let of_requests = |name: &str| match name {
        "rate" => Some(Measure::Rate),
        "count" => Some(Measure::Count),
        "error_rate" => Some(Measure::ErrorRate),
        "achieved_rate" => Some(Measure::AchievedRate),
        _ => None,
    };
    if let Some(measure) = of_requests(text) {
        return Ok(measure);
    }
    let whole = statistic(text);
    let (metric, name) = match (&whole, text.split_once('.')) {
        (Err(_), Some((metric, name))) => (metric, name),
        _ => return Ok(Measure::Time(Metric::ResponseTime, whole?)),
    };
    let Some(metric) = Metric::ALL.into_iter().find(|known| known.as_str() == metric) else {
        let names = Metric::ALL.map(Metric::as_str);
        let wrong = Wrong::new("unknown_metric", format!("there is no metric \"{metric}\""));
        return Err(wrong.suggest(metric, &names, &[]));
    };
    if of_requests(name).is_some() {
        let wrong = Wrong::new("threshold_metric", format!("{name} is of requests, not of a time"));
        return Err(wrong.help(format!("write {name} alone")));
    }
    Ok(Measure::Time(metric, statistic(name)?))
}

fn statistic(text: &str) -> Result<Statistic, Wrong> {
    match text {
        "median" => return Ok(Statistic::Percentile(500_000)),
        "mean" => return Ok(Statistic::Mean),
        "min" => return Ok(Statistic::Min),
        "max" => return Ok(Statistic::Max),
        _ => {}
    }
    let unknown = || Wrong::new("unknown_statistic", format!("there is no statistic \"{text}\""));
    let digits = text.strip_prefix('p').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let Some(digits) = digits else {
        return Err(unknown().suggest(text, &STATISTICS, &[]));
    };
    match decimal(digits, 4) {
        Some(share) if 0 < share && share < ALL => {
            u32::try_from(share).map(Statistic::Percentile).map_err(|_| unknown())
        }
        _ => Err(unknown().help("percentiles are p0.0001 to p99.9999, such as p50, p99 and p99.9")),
    }
}

/// Whether such a value exists in this plan at all.
fn measure_fits(measure: Measure, known: &Known<'_>) -> Result<(), Wrong> {
    match measure {
        Measure::Time(metric, _) if metric.is_phase() && known.phases == Some(false) => {
            let wrong =
                Wrong::new("phases_off", format!("{} is a phase, and phases are off", metric.as_str()));
            Err(wrong.help("write `phases: true` into the plan"))
        }
        Measure::AchievedRate if known.strands.is_some_and(|loads| !loads.iter().all(Strand::is_open)) => {
            let wrong = Wrong::new("not_for_this_model", "only open loads have a planned rate to achieve");
            Err(wrong.help("write `rate` with requests per second"))
        }
        _ => Ok(()),
    }
}

/// Whether such a value is kept of what it is asked of.
fn scope_fits(measure: Measure, kind: &str, scope: &Scope) -> Result<(), Wrong> {
    let is_group_time = matches!(measure, Measure::ErrorRate | Measure::Time(Metric::ResponseTime, _));
    if kind == "group" && !is_group_time {
        let wrong = Wrong::new("threshold_scope", "of a group the response time and the error rate are kept");
        return Err(wrong.help("name a step for anything else"));
    }
    let what = match measure {
        Measure::Time(metric, _) if metric.is_per_stage() => metric.as_str(),
        Measure::AchievedRate => "achieved_rate",
        _ => return Ok(()),
    };
    match scope {
        Scope::Run | Scope::Stage(_) => Ok(()),
        Scope::Rows(_) => {
            let message = format!("{what} is kept of the run and its stages, not of a {kind}");
            Err(Wrong::new("threshold_scope", message).help("leave the step out, or name a stage"))
        }
    }
}

fn resolve(scope: Named<'_>, known: &Known<'_>) -> Result<Scope, Wrong> {
    let Named { name, kind, .. } = scope;
    let none = format!("the plan has no {kind} \"{name}\"");
    match kind {
        "stage" => stage(name, known, Wrong::new("unknown_stage", none)),
        "scenario" => scenario(name, known, Wrong::new("unknown_scenario", none)),
        "group" => {
            let groups = known.scenarios.map_or(&[][..], |(_, rows)| &rows.groups);
            let groups: Vec<(&str, Vec<StepId>)> = (0..u16::MAX)
                .zip(groups)
                .map(|(number, name)| (name.as_str(), vec![StepId::of_group(number)]))
                .collect();
            rows_of(name, &groups, Wrong::new("unknown_group", none))
        }
        "tag" => tag(name, known, Wrong::new("unknown_tag", none)),
        _ => {
            let Some((_, rows)) = known.scenarios else { return Ok(Scope::Rows(Vec::new())) };
            let rows: Vec<(&str, Vec<StepId>)> =
                (0..=u16::MAX).zip(&rows.names).map(|(id, name)| (name.as_str(), vec![StepId(id)])).collect();
            rows_of(name, &rows, Wrong::new("unknown_step", none))
        }
    }
}

/// The rows of what has this name, or `none`.
fn rows_of(name: &str, known: &[(&str, Vec<StepId>)], none: Wrong) -> Result<Scope, Wrong> {
    let found = known.iter().find(|(known, _)| *known == name);
    found.map(|(_, rows)| Scope::Rows(rows.clone())).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        among(name, &names, none)
    })
}

/// With what there is instead.
fn among(name: &str, known: &[&str], none: Wrong) -> Wrong {
    if known.is_empty() { none.help("it has none at all") } else { none.suggest(name, known, &[]) }
}

fn stage(name: &str, known: &Known<'_>, none: Wrong) -> Result<Scope, Wrong> {
    let Some(strands) = known.strands else { return Ok(Scope::Run) };
    let stages = strands.iter().flat_map(|strand| {
        let has_names = strand.has_stages();
        strand.stages().into_iter().map(move |stage| (has_names, stage))
    });
    let stages: Vec<(StageId, String, bool)> = (0..=u16::MAX)
        .zip(stages)
        .filter(|(_, (has_name, _))| *has_name)
        .map(|(id, (_, stage))| (StageId(id), stage.name, stage.warmup))
        .collect();
    let found = stages.iter().find(|(_, known, _)| *known == name);
    match found {
        Some((_, _, true)) => {
            let message = format!("stage \"{name}\" is a warm-up, and thresholds leave those out");
            Err(Wrong::new("threshold_scope", message).help("leave `warmup` out of the stage"))
        }
        Some((id, ..)) => Ok(Scope::Stage(*id)),
        None => {
            let names: Vec<&str> = stages.iter().map(|(_, name, _)| name.as_str()).collect();
            Err(among(name, &names, none))
        }
    }
}

/// The rows of a scenario's steps, which must be its own: a row does not tell whose request it was.
fn scenario(name: &str, known: &Known<'_>, none: Wrong) -> Result<Scope, Wrong> {
    let Some((scenarios, rows)) = known.scenarios else { return Ok(Scope::Rows(Vec::new())) };
    let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) else {
        let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
        return Err(among(name, &names, none));
    };
    let mut own: Vec<StepId> = scenario.steps.iter().map(|step| step.id).collect();
    own.sort_unstable();
    own.dedup();
    for other in scenarios.iter().filter(|other| other.name != name) {
        if let Some(step) = other.steps.iter().find(|step| own.binary_search(&step.id).is_ok()) {
            let row = rows.names.get(usize::from(step.id.0)).map_or("", String::as_str);
            let message = format!("scenarios \"{name}\" and \"{}\" share the row \"{row}\"", other.name);
            return Err(Wrong::new("shared_row", message).help("give the steps names of their own"));
        }
    }
    Ok(Scope::Rows(own))
}

/// The rows of the steps that have the tag, which no other step may share.
fn tag(name: &str, known: &Known<'_>, none: Wrong) -> Result<Scope, Wrong> {
    let Some((_, rows)) = known.scenarios else { return Ok(Scope::Rows(Vec::new())) };
    let mut tags: BTreeMap<&str, Vec<StepId>> = BTreeMap::new();
    for (id, row) in (0..=u16::MAX).map(StepId).zip(&rows.tags) {
        row.iter().for_each(|tag| tags.entry(tag).or_default().push(id));
    }
    let tagged = tags.get(name).into_iter().flatten();
    if let Some(id) = tagged.copied().find(|id| rows.shared.contains(&(*id, name.to_owned()))) {
        let row = rows.names.get(usize::from(id.0)).map_or("", String::as_str);
        let message = format!("steps with and without the tag \"{name}\" share the row \"{row}\"");
        return Err(Wrong::new("shared_row", message).help("give the steps names of their own"));
    }
    rows_of(name, &tags.into_iter().collect::<Vec<_>>(), none)
}

/// The limit in the unit of what it is compared with.
fn limit(measure: Measure, text: &str) -> Result<f64, Wrong> {
    let unit = |wanted: &str| {
        let message = format!("a threshold of this kind is compared with {wanted}");
        Wrong::new("threshold_unit", message)
    };
    let ends_as_number = text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
    match measure {
        Measure::Time(..) if text.ends_with('%') || text.contains('/') => {
            Err(unit("a time").help("write 250ms or 2s"))
        }
        Measure::Time(..) =>
        // In the way in which observed times become milliseconds, so that equal times are equal.
        {
            parse_span(text, "the limit", limits::WAIT).map(|span| span.as_nanos() as f64 / 1e6)
        }
        Measure::Rate if text.contains('/') || ends_as_number => match parse_rate(text, "the limit") {
            Err(wrong) if wrong.code == "zero" => Ok(0.0),
            rate => rate.map(quantity::Rate::per_second),
        },
        Measure::Rate => Err(unit("a rate").help("write 500/s or 30/min")),
        Measure::Count if ends_as_number => {
            // Beyond 2^53 not every whole number has a value of its own.
            quantity::parse_count(text, "the limit", 0, 1 << 53).map(|count| count as f64)
        }
        Measure::Count => Err(unit("a number of requests").help("write it without a unit")),
        Measure::ErrorRate | Measure::AchievedRate => percent(measure, text, &unit),
    }
}

fn percent(measure: Measure, text: &str, unit: &impl Fn(&str) -> Wrong) -> Result<f64, Wrong> {
    let Some(number) = text.strip_suffix('%') else {
        return Err(unit("percent").help("write 0.5%"));
    };
    let number = number.trim_end();
    if number.starts_with('-') {
        return Err(Wrong::new("negative", "the limit cannot be negative"));
    }
    let most = if measure == Measure::ErrorRate { 100.0 } else { MOST_PERCENT };
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most fifteen digits and six decimals, and bounded below"
    )]
    let value = decimal(number, 6).map(|millionths| millionths as f64 / 1e6);
    match value {
        Some(value) if value <= most => Ok(value),
        Some(_) => Err(Wrong::new("absurd", format!("the limit can be at most {most}%"))),
        None => Err(unit("percent").help("write 0.5%")),
    }
}

/// `for`: windows are whole seconds, so nothing shorter can be told.
fn whole_seconds(text: &str) -> Result<u32, Wrong> {
    let span = parse_span(text, "the time behind `for`", limits::WAIT)?;
    match u32::try_from(span.as_secs()) {
        Ok(seconds) if Duration::from_secs(u64::from(seconds)) == span => Ok(seconds),
        _ => {
            let wrong = Wrong::new("threshold_for", "a threshold is judged second by second");
            Err(wrong.help("write whole seconds behind `for`"))
        }
    }
}
