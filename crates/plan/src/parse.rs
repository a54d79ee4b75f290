//! The one door: text becomes a plan here and nowhere else.
//!
//! All faults of a text are found in one go: a part that cannot be read keeps no other from being checked.

use std::sync::Arc;
use std::time::Duration;

use crate::choice::Choice;
use crate::data::{self, DataSource, Pick};
use crate::diagnostic::{Diagnostic, Faults, Place, Wrong};
use crate::events;
use crate::expression::Names;
use crate::fixture::{self, Fixtures};
use crate::limits;
use crate::load::{self, Load};
use crate::network::{self, HttpVersion};
use crate::plan::{OnDriverLoss, OnUnreadyDriver, Plan};
use crate::quantity;
use crate::read::{self, Fields};
use crate::scenario::{self, Scenario};
use crate::shapes;
use crate::step::Around;
use crate::target::{Scheme, Target, targets};
use crate::thresholds::{self, Known};
use crate::tree::{Entry, Node, tree};
use crate::vocabulary;
use crate::workload::{self, Workload};

pub(crate) static LOSSES: [(&str, OnDriverLoss); 3] = [
    ("redistribute", OnDriverLoss::Redistribute),
    ("continue", OnDriverLoss::Continue),
    ("abort", OnDriverLoss::Abort),
];

pub(crate) static UNREADY: [(&str, OnUnreadyDriver); 2] =
    [("fail", OnUnreadyDriver::Fail), ("start_without", OnUnreadyDriver::StartWithout)];

/// Seed of a plan that names none.
const SEED: u64 = 1;

/// Keeps the choice of a target apart from that of a scenario.
const TARGET_SALT: u64 = 0x7461_7267_6574;

/// Time for the requests in flight at the end when the plan does not say.
const DRAIN: Duration = Duration::from_secs(30);

/// The plan in `text`, which is YAML 1.2 or JSON. `file` only names it in diagnostics.
///
/// # Errors
/// All faults, in the order of the text.
pub fn parse(file: &str, text: &str) -> Result<Plan, Vec<Diagnostic>> {
    let mut faults = Faults::new(file, text);
    let plan = tree(text, 0, &mut faults).and_then(|root| plan(&mut faults, root, text));
    match plan {
        Some(plan) if faults.is_empty() => Ok(plan),
        _ => Err(faults.into_diagnostics()),
    }
}

/// The plan that a tree describes, whose text is `source`.
pub(crate) fn plan(faults: &mut Faults<'_>, mut root: Node, source: &str) -> Option<Plan> {
    let mut names = vocabulary::names(faults, &mut root);
    let fields = Fields::of(faults, &root, &shapes::PLAN, &[])?;
    if let Some(entry) = fields.entry("include") {
        let wrong = Wrong::new("include_not_here", "includes are read where a plan is submitted");
        faults.add(entry.place, &entry.key, wrong.help("use `swell run` or `swell check` on the file"));
    }
    version(faults, &fields);
    let name = fields.required(faults, "name").and_then(|node| read::name(faults, node, "the plan's name"));
    let targets = fields.required(faults, "target").and_then(|node| targets(faults, node));
    let http = network::http(faults, &fields);
    let tls = network::tls(faults, &fields);
    let network = network::network(faults, &fields);
    let phases = read::flag(faults, &fields, "phases");
    let events = events::events(faults, &fields);
    let seed = match fields.get(faults, "seed") {
        Some(node) => seed(faults, node),
        None => Some(SEED),
    };
    let strands = workload::strands(faults, &fields);
    let data = data::data(faults, &mut names, &fields);
    let fragments = vocabulary::fragments(faults, &fields);
    let fixtures = fixture::fixtures(faults, &mut names, &fields, fragments);
    let auth = fixtures.as_ref().and_then(|fixtures| fixtures.auth.clone());
    let around = Around { auth, tags: Vec::new() };
    let scenarios = fields
        .required(faults, "scenarios")
        .and_then(|node| scenario::scenarios(faults, &mut names, node, fragments, &around));
    let thresholds = match fields.get(faults, "thresholds") {
        Some(node) => {
            let scenarios = scenarios.as_ref().map(|(scenarios, rows)| (scenarios.as_slice(), rows));
            thresholds::thresholds(faults, node, &Known { strands: strands.as_deref(), scenarios, phases })
        }
        None => Some(Vec::new()),
    };
    let on_driver_loss = on_driver_loss(faults, &fields);
    let on_unready_driver = match fields.get(faults, "on_unready_driver") {
        Some(node) => read::choice(faults, node, "on_unready_driver", &UNREADY),
        None => Some(OnUnreadyDriver::Fail),
    };
    let drain = match fields.get(faults, "drain") {
        Some(node) => read::span(faults, node, "the drain", limits::WAIT),
        None => Some(DRAIN),
    };
    if let (Some(targets), Some(http)) = (&targets, http) {
        fit(faults, &fields, targets, http);
    }
    let Fixtures { setup, teardown, .. } = fixtures?;
    let (targets, (scenarios, rows), (data, mut files)) = (targets?, scenarios?, data?);
    files.extend(std::mem::take(&mut names.files));
    let target_choice = Choice::new(TARGET_SALT, targets.iter().map(|target| target.weight));
    let seed = seed?;
    let workloads = workload::workloads(strands?, &scenarios, seed, &target_choice);
    fit_users(faults, &fields, &workloads, &scenarios, &data);
    Some(Plan {
        workloads,
        source: source.to_owned(),
        name: name?,
        targets,
        http: http?,
        tls: tls?,
        network: network?,
        phases: phases?,
        events: events?,
        seed,
        unset_secrets: unset_secrets(faults, &names),
        secrets: names.secrets,
        sources: names.sources,
        data,
        scenarios,
        setup,
        teardown,
        given: names.given,
        thresholds: thresholds?,
        on_driver_loss: on_driver_loss?,
        on_unready_driver: on_unready_driver?,
        drain: drain?,
        rows: rows.names,
        tags: rows.tags,
        groups: rows.groups,
        files,
    })
}

/// What is said of each secret where it is not set, at its first place.
fn unset_secrets(faults: &Faults<'_>, names: &Names) -> Vec<Diagnostic> {
    let unset = |(name, place): (&String, &Place)| {
        let wrong = Wrong::new("secret_not_set", format!("the secret {name} is not set"));
        let help = format!("set SWELL_SECRET_{name} in the environment, or {name}=… in a file for --secrets");
        faults.within(*place, &format!("secret.{name}"), wrong.help(help))
    };
    names.secrets.iter().zip(&names.secret_places).map(unset).collect()
}

fn version(faults: &mut Faults<'_>, fields: &Fields<'_>) {
    if let Some(node) = fields.required(faults, "version")
        && let Some(text) = read::text(faults, node, "the version")
        && text != "1"
    {
        let wrong =
            Wrong::new("unsupported_version", format!("version {text} of the plan format is not known"));
        faults.add(node.place, text, wrong.help("write `version: 1`"));
    }
}

fn seed(faults: &mut Faults<'_>, node: &Node) -> Option<u64> {
    let text = read::text(faults, node, "the seed")?;
    read::checked(faults, node, quantity::parse_count(text, "the seed", 0, u64::MAX))
}

/// Whether what is asked of the connections and what the targets are go together.
fn fit(faults: &mut Faults<'_>, fields: &Fields<'_>, targets: &[Target], http: HttpVersion) {
    let mut is_in_vain = |entry: Option<&Entry>, wrong: Wrong| {
        entry.into_iter().for_each(|entry| faults.add(entry.place, &entry.key, wrong.clone()));
    };
    if http == HttpVersion::Auto && targets.iter().any(|target| target.scheme != Scheme::Https) {
        let wrong = Wrong::new("not_together", "only https targets can choose the version of HTTP");
        is_in_vain(fields.entry("http"), wrong.help("write `http: 1.1` or `http: 2`"));
    }
    if targets.iter().all(|target| target.scheme != Scheme::Https) {
        let wrong = Wrong::new("without_effect", "no target speaks TLS");
        is_in_vain(fields.entry("tls"), wrong.help("leave it out, or write https://"));
    }
    if targets.iter().any(|target| target.socket.is_some()) {
        let proxy = fields.entry("network").and_then(|entry| entry.value.entry("proxy"));
        is_in_vain(proxy, Wrong::new("not_together", "no proxy leads to a Unix socket"));
    }
    if http == HttpVersion::Http1 {
        for load in workload::loads(fields) {
            let wrong = Wrong::new("without_effect", "HTTP/1.1 has no streams");
            is_in_vain(load::streams(load), wrong.help("leave it out, or write `http: 2`"));
        }
    }
}

/// Rows per user are for scenarios whose load has users.
fn fit_users(
    faults: &mut Faults<'_>,
    fields: &Fields<'_>,
    workloads: &[Arc<Workload>],
    scenarios: &[Scenario],
    data: &[DataSource],
) {
    let without = workloads.iter().filter(|workload| !matches!(workload.load, Load::Closed { .. }));
    for scenario in without.flat_map(|workload| &workload.scenarios).map(|number| &scenarios[*number]) {
        let sources = scenario.sources.iter().filter_map(|number| data.get(usize::from(*number)));
        for source in sources.filter(|source| source.pick == Pick::PerUser) {
            let entry =
                fields.entry("data").and_then(|data| data.value.entry(&source.name)?.value.entry("pick"));
            let message = format!("the load of scenario \"{}\" has no users", scenario.name);
            let wrong = Wrong::new("not_for_this_model", message);
            let wrong = wrong.help("in_turn gives each iteration the next row");
            entry
                .into_iter()
                .for_each(|entry| faults.add(entry.value.place, entry.value.text(), wrong.clone()));
        }
    }
}

/// A driver's own load cannot move to another; only lanes can.
fn on_driver_loss(faults: &mut Faults<'_>, fields: &Fields<'_>) -> Option<OnDriverLoss> {
    let stays = workload::loads(fields).any(load::stays_with_its_driver);
    let Some(node) = fields.get(faults, "on_driver_loss") else {
        return Some(if stays { OnDriverLoss::Continue } else { OnDriverLoss::Redistribute });
    };
    let chosen = read::choice(faults, node, "on_driver_loss", &LOSSES)?;
    if stays && chosen == OnDriverLoss::Redistribute {
        let wrong =
            Wrong::new("not_for_this_model", "the load of a lost driver cannot be redistributed here");
        return read::fault(
            faults,
            node,
            wrong.help("avalanche, tsunami and a number of iterations know continue and abort"),
        );
    }
    Some(chosen)
}
