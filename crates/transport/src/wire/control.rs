//! Commands other than the start. Only orchestrators of ours send them, so every field is ours.

use serde::{Deserialize, Serialize};

use super::files::{FileFields, check_files};
use super::fixture::{FixtureName, check_values};
use super::form::{Count, Id, Moment, Name, Number, Offset, Text};
use super::{MAX_PLAN_BYTES, Malformed, Shares, Source};
use crate::message::{Command, Control, FixtureOrder};

#[derive(Serialize, Deserialize)]
struct ControlFields {
    command: CommandName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_id: Option<Name>,
    epoch: Offset,
    seq: Count<u64>,
    store: Id,
    #[serde(flatten)]
    arguments: Arguments,
}

/// What the commands need, each its own.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ns: Option<Count<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<Shares>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incarnation: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixture: Option<FixtureName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileFields>,
    #[serde(skip_serializing_if = "plan::Values::is_empty")]
    values: plan::Values,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CommandName {
    Claim,
    Lease,
    Stop,
    Abort,
    SetRate,
    SetShares,
    Fence,
    Fixture,
}

pub fn write(control: &Control) -> serde_json::Result<Vec<u8>> {
    let mut arguments = Arguments::default();
    let command = match &control.command {
        Command::Claim => CommandName::Claim,
        Command::Stop => CommandName::Stop,
        Command::Lease { expires_at } => {
            arguments.expires_at = Some(Moment(*expires_at));
            CommandName::Lease
        }
        Command::Abort { reason } => {
            arguments.reason = Some(Text(reason.clone()));
            CommandName::Abort
        }
        Command::SetRate { from_ns, factor } => {
            arguments.from_ns = Some(Count(*from_ns));
            arguments.factor = Some(Number(*factor));
            CommandName::SetRate
        }
        Command::SetShares { from_ns, shares } => {
            arguments.from_ns = Some(Count(*from_ns));
            arguments.shares = Some(Shares::of(shares));
            CommandName::SetShares
        }
        Command::Fence { node_id, incarnation } => {
            arguments.node_id = Some(Name(node_id.clone()));
            arguments.incarnation = Some(Id(*incarnation));
            CommandName::Fence
        }
        Command::Fixture(order) => {
            arguments.fixture = Some(order.fixture.into());
            arguments.node_id = Some(Name(order.node_id.clone()));
            arguments.incarnation = Some(Id(order.incarnation));
            arguments.plan = Some(order.plan.clone());
            arguments.files = order.files.iter().map(FileFields::of).collect();
            arguments.values = order.values.clone();
            CommandName::Fixture
        }
    };
    serde_json::to_vec(&ControlFields {
        command,
        test_id: control.test_id.clone().map(Name),
        epoch: Offset(control.epoch),
        seq: Count(control.seq),
        store: Id(control.store),
        arguments,
    })
}

pub fn read(source: &Source) -> Result<Control, Malformed> {
    let fields: ControlFields = source.fields()?;
    let arguments = fields.arguments;
    let from_ns = || source.required("from_ns", arguments.from_ns.map(|from| from.0));
    let command = match fields.command {
        CommandName::Claim => Command::Claim,
        CommandName::Stop => Command::Stop,
        CommandName::Lease => {
            Command::Lease { expires_at: source.required("expires_at", arguments.expires_at)?.0 }
        }
        CommandName::Abort => Command::Abort { reason: arguments.reason.unwrap_or_default().0 },
        CommandName::SetRate => {
            let factor = source.required("factor", arguments.factor)?.0;
            if factor <= 0.0 {
                return Err(source.malformed("factor", "expected a number above 0"));
            }
            Command::SetRate { from_ns: from_ns()?, factor }
        }
        CommandName::SetShares => Command::SetShares {
            from_ns: from_ns()?,
            shares: source.required("shares", arguments.shares)?.check(source)?,
        },
        CommandName::Fence => Command::Fence {
            node_id: source.required("node_id", arguments.node_id)?.0,
            incarnation: source.required("incarnation", arguments.incarnation)?.0,
        },
        CommandName::Fixture => Command::Fixture(Box::new(order(arguments, source)?)),
    };
    Ok(Control {
        test_id: fields.test_id.map(|name| name.0),
        epoch: fields.epoch.0,
        seq: fields.seq.0,
        store: fields.store.0,
        command,
    })
}

fn order(arguments: Arguments, source: &Source) -> Result<FixtureOrder, Malformed> {
    let plan = source.required("plan", arguments.plan)?;
    if plan.len() > MAX_PLAN_BYTES {
        return Err(source.malformed("plan", format!("expected at most {MAX_PLAN_BYTES} bytes")));
    }
    Ok(FixtureOrder {
        fixture: source.required("fixture", arguments.fixture)?.into(),
        node_id: source.required("node_id", arguments.node_id)?.0,
        incarnation: source.required("incarnation", arguments.incarnation)?.0,
        plan,
        files: check_files(arguments.files, source)?,
        values: check_values(arguments.values, source)?,
    })
}
