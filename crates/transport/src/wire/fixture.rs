//! Setup and teardown on the wire: the values that travel, the order to one driver, and what it says of it.

use plan::{Fixture, Values};
use serde::{Deserialize, Serialize};

use super::form::{Count, MAX_NAME_BYTES, Name, Text};
use super::{Malformed, Source};
use crate::message::{FixtureOutcome, FixtureReport};

/// Longest JSON text of all values that setup saves. They stand beside a plan and a table of shares in one message.
pub const MAX_VALUES_BYTES: usize = 64 * 1024;

/// Levels that messages add to values; a reader takes 128 in all.
const FRAME: usize = 8;

/// Whether values can travel.
///
/// # Errors
/// Why they cannot.
pub fn fit_values(values: &Values) -> Result<(), String> {
    let bytes = bytes_of(values);
    if bytes > MAX_VALUES_BYTES {
        return Err(format!("the values have {bytes} bytes as JSON, more than {MAX_VALUES_BYTES}"));
    }
    let text = serde_json::to_string(values).unwrap_or_default();
    let framed = format!("{}{text}{}", "[".repeat(FRAME), "]".repeat(FRAME));
    match serde_json::from_str::<serde_json::Value>(&framed) {
        Ok(_) => Ok(()),
        Err(_) => Err("a value is nested too deep".to_owned()),
    }
}

fn bytes_of(values: &Values) -> usize {
    serde_json::to_string(values).map_or(usize::MAX, |text| text.len())
}

pub fn check_values(values: Values, source: &Source) -> Result<Values, Malformed> {
    if values.keys().any(|name| name.len() > MAX_NAME_BYTES) {
        return Err(source.malformed("values", format!("expected names of at most {MAX_NAME_BYTES} bytes")));
    }
    let bytes = bytes_of(&values);
    if bytes > MAX_VALUES_BYTES {
        let problem = format!("expected at most {MAX_VALUES_BYTES} bytes, found {bytes}");
        return Err(source.malformed("values", problem));
    }
    Ok(values)
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixtureName {
    Setup,
    Teardown,
}

impl From<Fixture> for FixtureName {
    fn from(fixture: Fixture) -> Self {
        match fixture {
            Fixture::Setup => Self::Setup,
            Fixture::Teardown => Self::Teardown,
        }
    }
}

impl From<FixtureName> for Fixture {
    fn from(name: FixtureName) -> Self {
        match name {
            FixtureName::Setup => Self::Setup,
            FixtureName::Teardown => Self::Teardown,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct ReportFields {
    test_id: Name,
    fixture: FixtureName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeFields>,
}

#[derive(Serialize, Deserialize)]
struct OutcomeFields {
    #[serde(default)]
    requests: Count<u64>,
    #[serde(default)]
    took_ms: Count<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Text>,
    #[serde(default)]
    failures: Count<u64>,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    values: Values,
}

impl ReportFields {
    pub fn of(report: &FixtureReport) -> Self {
        let outcome = report.outcome.as_ref().map(|outcome| OutcomeFields {
            requests: Count(outcome.requests),
            took_ms: Count(outcome.took_ms),
            failure: outcome.failure.clone().map(Text),
            failures: Count(outcome.failures),
            values: outcome.values.clone(),
        });
        Self { test_id: Name(report.test_id.clone()), fixture: report.fixture.into(), outcome }
    }

    pub fn check(self, source: &Source) -> Result<FixtureReport, Malformed> {
        let outcome = self.outcome.map(|outcome| {
            Ok(FixtureOutcome {
                requests: outcome.requests.0,
                took_ms: outcome.took_ms.0,
                failure: outcome.failure.map(|text| text.0),
                failures: outcome.failures.0,
                values: check_values(outcome.values, source)?,
            })
        });
        Ok(FixtureReport {
            test_id: self.test_id.0,
            fixture: self.fixture.into(),
            outcome: outcome.transpose()?,
        })
    }
}
