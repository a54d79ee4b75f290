//! Executors as load models. A plan has one load: of several scenarios those that add up are added, else the first counts.

use super::{ms, short};
use crate::Error;
use crate::draft::{at_most, closed, closed_iterations, length, open, rate};
use crate::node::Node;
use crate::notes::Notes;
use crate::span::show_ms;
use crate::yaml::{Entry, Yaml, entry, plain};

/// What the options say of load.
pub(super) struct Loaded {
    pub load: Vec<Entry>,
    pub comments: Vec<String>,
    /// Name and weight.
    pub scenarios: Vec<(String, Option<u64>)>,
    pub drain: Option<Entry>,
}

/// Keys of a scenario that are read, or mean nothing here.
const READ: [&str; 17] = [
    "executor",
    "vus",
    "duration",
    "iterations",
    "stages",
    "rate",
    "timeUnit",
    "startVUs",
    "startRate",
    "gracefulStop",
    "exec",
    "preAllocatedVUs",
    "maxVUs",
    "maxDuration",
    "gracefulRampDown",
    "startTime",
    "tags",
];

pub(super) fn load(root: &Node, notes: &mut Notes) -> Result<Loaded, Error> {
    let scenarios = root.get("scenarios").map_or(&[][..], Node::entries);
    let Some((name, first)) = scenarios.first() else {
        return Ok(shortcut(root, notes));
    };
    if let Some(loaded) = added(scenarios, notes) {
        return Ok(loaded);
    }
    for (name, other) in &scenarios[1..] {
        notes.add(format!(
            "scenario {name}: a plan has one load, and its is not translated: {}",
            short(other)
        ));
    }
    tell(name, first, notes);
    let mut loaded = of(first, notes).ok_or_else(|| {
        Error::Nothing(format!("the executor of the scenario {name} has no load that a plan can have"))
    })?;
    loaded.scenarios = vec![(name.clone(), None)];
    if let Some(exec) = first.text_of("exec") {
        loaded.comments.push(format!("its function is {exec}"));
    }
    Ok(loaded)
}

/// `vus`, `duration`, `iterations`, `stages` at the top.
fn shortcut(root: &Node, notes: &mut Notes) -> Loaded {
    let executor = match root {
        root if root.get("stages").is_some() => "ramping-vus",
        root if root.get("iterations").is_some() => "shared-iterations",
        _ => "constant-vus",
    };
    let loaded = by_name(executor, root, notes);
    let mut loaded = loaded.unwrap_or_else(|| {
        notes.add("the options have no load: one user for ten minutes, or say more");
        from(closed(1, 600_000, notes), "none")
    });
    loaded.scenarios = vec![("default".to_owned(), None)];
    loaded
}

/// Scenarios that begin together and last equally long, all of one constant level: their levels add up.
fn added(scenarios: &[(String, Node)], notes: &mut Notes) -> Option<Loaded> {
    let executor = scenarios[0].1.text_of("executor")?;
    let level = match executor {
        "constant-vus" => "vus",
        "constant-arrival-rate" => "rate",
        _ => return None,
    };
    let same = |key: &str| scenarios.iter().all(|(_, scenario)| scenario.get(key) == scenarios[0].1.get(key));
    if scenarios.len() < 2 || !["executor", "duration", "timeUnit", "startTime"].into_iter().all(same) {
        return None;
    }
    let levels: Option<Vec<u64>> =
        scenarios.iter().map(|(_, scenario)| scenario.get(level).map_or(Some(1), Node::count)).collect();
    let levels = levels?;
    let total = levels.iter().try_fold(0u64, |sum, level| sum.checked_add(*level))?;
    let mut all = scenarios[0].1.clone();
    if let Node::Map(entries) = &mut all {
        entries.retain(|(key, _)| key != level);
        entries.push((level.to_owned(), Node::Number(total.to_string())));
    }
    let mut loaded = of(&all, notes)?;
    scenarios.iter().for_each(|(name, scenario)| tell(name, scenario, notes));
    loaded
        .comments
        .push(format!("{} scenarios of k6 added up; the weights are their shares", scenarios.len()));
    if level == "vus" {
        notes
            .add("several scenarios of users: here each user draws a scenario for each iteration, by weight");
    }
    loaded.scenarios = scenarios
        .iter()
        .zip(levels)
        .map(|((name, _), level)| (name.clone(), Some(level.clamp(1, 1_000_000))))
        .collect();
    Some(loaded)
}

/// Tells what of a scenario has no counterpart.
fn tell(name: &str, scenario: &Node, notes: &mut Notes) {
    for (key, value) in scenario.entries() {
        let told = ["maxDuration", "gracefulRampDown", "startTime", "tags", "maxVUs", "preAllocatedVUs"];
        if told.contains(&key.as_str()) || !READ.contains(&key.as_str()) {
            notes.add(format!("scenario {name}: {key}: {} is not translated", short(value)));
        }
    }
}

fn of(scenario: &Node, notes: &mut Notes) -> Option<Loaded> {
    let executor = scenario.text_of("executor").unwrap_or_default();
    let mut loaded = by_name(executor, scenario, notes)?;
    // Half a minute is the default of both.
    let grace =
        scenario.get("gracefulStop").and_then(ms).filter(|ms| *ms != 30_000 && *ms > 0 && *ms <= 3_600_000);
    loaded.drain = grace.map(|ms| entry("drain", plain(show_ms(ms))).remark("gracefulStop"));
    Some(loaded)
}

fn from(load: Vec<Entry>, executor: &str) -> Loaded {
    Loaded { load, comments: vec![format!("executor: {executor}")], scenarios: Vec::new(), drain: None }
}

fn by_name(executor: &str, node: &Node, notes: &mut Notes) -> Option<Loaded> {
    let count =
        |key: &str, default: u64| node.get(key).map_or(Some(default), Node::count).filter(|count| *count > 0);
    let duration = || node.get("duration").and_then(ms).filter(|ms| *ms > 0);
    let unit = || node.get("timeUnit").map_or(Some(1000), ms).filter(|ms| *ms > 0);
    let load = match executor {
        "constant-vus" => closed(count("vus", 1)?, duration()?, notes),
        "shared-iterations" => {
            let users = count("vus", 1)?;
            closed_iterations(users, count("iterations", 1)?, notes)
        }
        "per-vu-iterations" => {
            let users = count("vus", 1)?;
            closed_iterations(users, users.checked_mul(count("iterations", 1)?)?, notes)
        }
        "ramping-vus" => {
            let start =
                node.get("startVUs").and_then(Node::number).unwrap_or(if node.get("executor").is_some() {
                    1.0
                } else {
                    node.get("vus").and_then(Node::number).unwrap_or(1.0)
                });
            let stages = stages(node, start, "users", &|level, notes| users(level, notes), notes)?;
            vec![entry("model", plain("closed")), entry("stages", stages)]
        }
        "constant-arrival-rate" => {
            open(node.get("rate")?.number().filter(|rate| *rate > 0.0)?, unit()?, duration()?, notes)
        }
        "ramping-arrival-rate" => {
            let unit = unit()?;
            let start = node.get("startRate").and_then(Node::number).unwrap_or(0.0);
            let stages = stages(node, start, "at", &|level, notes| rate(level, unit, notes), notes)?;
            vec![entry("model", plain("open")), entry("stages", stages)]
        }
        "externally-controlled" => {
            notes.add("externally-controlled: users are set over REST in k6; here the plan says them, and the API scales them");
            closed(count("vus", 1)?, duration().unwrap_or(600_000), notes)
        }
        other => {
            notes.add(format!("executor {other}: not known"));
            return None;
        }
    };
    Some(from(load, executor))
}

/// Ramps from level to level; one that takes no time is a jump.
fn stages(
    node: &Node,
    start: f64,
    key: &str,
    show: &dyn Fn(f64, &mut Notes) -> String,
    notes: &mut Notes,
) -> Option<Yaml> {
    let mut level = start;
    let mut stages = Vec::new();
    for stage in node.list_of("stages") {
        let target = stage.get("target").and_then(Node::number).unwrap_or(level).max(0.0);
        let duration_ms = stage.get("duration").and_then(ms).unwrap_or(0);
        let before = std::mem::replace(&mut level, target);
        if duration_ms == 0 {
            continue;
        }
        let duration = plain(length(duration_ms, notes));
        let nothing = show(0.0, notes);
        let (before, target) = (show(before, notes), show(target, notes));
        if before == nothing && target == nothing {
            notes.add("a stage without load was left out: a plan has none");
        } else if before == target {
            stages.push(Yaml::Flow(vec![entry(key, plain(before)), entry("for", duration)]).into());
        } else {
            stages.push(
                Yaml::Flow(vec![
                    entry("from", plain(before)),
                    entry("to", plain(target)),
                    entry("over", duration),
                ])
                .into(),
            );
        }
    }
    (!stages.is_empty()).then_some(Yaml::List(stages))
}

/// A number of users, which may be none at the end of a ramp.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
fn users(level: f64, notes: &mut Notes) -> String {
    let level = level.round().clamp(0.0, 1e15) as u64;
    if level == 0 {
        "0".to_owned()
    } else {
        at_most("users", level, plan::limits::USERS.into(), notes).to_string()
    }
}
