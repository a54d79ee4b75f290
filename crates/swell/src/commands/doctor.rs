//! `swell doctor`: the limits and clocks of this machine that spoil measurements before anyone notices.
//!
//! Each line says ok, warn or fail, why it matters, and the command that fixes it.

mod facts;
mod findings;

use serde_json::json;

use crate::arguments::Doctor;
use crate::exit::Exit;
use crate::output;
use facts::Facts;
use findings::{Finding, Level, findings};

pub fn run(arguments: &Doctor) -> anyhow::Result<Exit> {
    let findings = findings(&Facts::gather(&arguments.kafka));
    if arguments.json {
        let findings: Vec<_> = findings.iter().map(as_json).collect();
        output::print(&format!("{:#}\n", json!({ "findings": findings })))?;
    } else {
        output::print(&findings.iter().map(show).collect::<String>())?;
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { Exit::Preflight } else { Exit::Success })
}

fn show(finding: &Finding) -> String {
    let Finding { level, what, found, advice } = finding;
    let line = format!("{:<4}  {what:<16} {found}\n", level.as_str());
    match advice {
        None => line,
        Some((why, fix)) => format!("{line}      {:<16} why: {why}\n      {:<16} fix: {fix}\n", "", ""),
    }
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let Finding { level, what, found, advice } = finding;
    let (why, fix) = advice.as_ref().map(|(why, fix)| (*why, fix.as_str())).unzip();
    json!({ "level": level.as_str(), "what": what, "found": found, "why": why, "fix": fix })
}
