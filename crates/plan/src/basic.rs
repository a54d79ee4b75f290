//! The basic form: `{test_type, test_message_delay, message_count_per_driver, target_throughput_per_driver, target}`.
//!
//! Counts and delays may be numbers or text, as the wire has them both ways; a bare delay is in milliseconds.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Wrong};
use crate::limits;
use crate::load::check_length;
use crate::parse::parse;
use crate::plan::{BasicType, Plan};
use crate::quantity::{Rate, parse_count, parse_rate, parse_span};
use crate::render::{Model, OneStep};
use crate::target::Target;

/// How diagnostics name the form.
const FORM: &str = "basic form";

const FIELDS: [&str; 5] =
    ["test_type", "test_message_delay", "message_count_per_driver", "target_throughput_per_driver", "target"];

/// The plan of a filled-in basic form: one `GET` per iteration. A delay is required for a tsunami, and checked but
/// without effect for an avalanche; a throughput of 0 is none.
///
/// # Errors
/// All faults, in the order of the fields above.
pub fn basic(form: &Map<String, Value>) -> Result<Plan, Vec<Diagnostic>> {
    let mut reader = Reader { form, faults: Vec::new() };
    let test_type = reader.required("test_type", test_type);
    let delay = match test_type {
        Some(BasicType::Tsunami) => {
            let delay = reader.required("test_message_delay", delay);
            if delay == Some(Duration::ZERO) {
                let wrong = Wrong::new("zero", "a tsunami needs a delay of more than zero");
                reader.fault("test_message_delay", wrong.help("an avalanche sends as fast as possible"));
            }
            delay
        }
        _ => Some(reader.optional("test_message_delay", delay).unwrap_or_default()),
    };
    let count = reader.required("message_count_per_driver", count);
    let limit = reader.optional("target_throughput_per_driver", throughput).flatten();
    let target = reader.required("target", Target::split);
    if let (Some(BasicType::Tsunami), Some(delay), Some(count)) = (test_type, delay, count)
        && delay > Duration::ZERO
        && let Err(wrong) = check_length(count, delay, limit)
    {
        reader.fault("message_count_per_driver", wrong);
    }
    reader.unknown();
    let (Some(test_type), Some(delay), Some(requests), Some((target, path)), true) =
        (test_type, delay, count, target, reader.faults.is_empty())
    else {
        return Err(reader.faults);
    };
    let (name, load) = match test_type {
        BasicType::Avalanche => ("avalanche", Model::Avalanche { requests, connections: None, limit }),
        BasicType::Tsunami => ("tsunami", Model::Tsunami { requests, delay, limit }),
    };
    let plan = OneStep {
        name: name.to_owned(),
        target,
        http2: false,
        insecure: false,
        seed: None,
        load,
        method: "get".to_owned(),
        path,
        headers: Vec::new(),
        body: None,
        timeout: None,
    };
    parse(FORM, &plan.text())
}

struct Reader<'a> {
    form: &'a Map<String, Value>,
    faults: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn fault(&mut self, field: &str, wrong: Wrong) {
        let text = self.form.get(field).map(Value::to_string).unwrap_or_default();
        self.faults.push(wrong.in_field(FORM, field, &text));
    }

    /// The value of a field, if it is there and right.
    fn optional<T>(&mut self, field: &str, read: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let read = match self.form.get(field)? {
            Value::Null => return None,
            Value::String(text) => read(text.trim()),
            Value::Number(number) => read(&number.to_string()),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err(Wrong::new("wrong_kind", "it must be a number or text"))
            }
        };
        read.map_err(|wrong| self.fault(field, wrong)).ok()
    }

    fn required<T>(&mut self, field: &str, read: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        if self.form.get(field).is_none_or(Value::is_null) {
            self.fault(field, Wrong::new("missing", "it is missing"));
            return None;
        }
        self.optional(field, read)
    }

    fn unknown(&mut self) {
        for field in self.form.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
            let wrong = Wrong::new("unknown_key", "the form has no such field").suggest(field, &FIELDS, &[]);
            self.faults.push(wrong.in_field(FORM, field, field));
        }
    }
}

fn test_type(text: &str) -> Result<BasicType, Wrong> {
    match text.to_ascii_uppercase().as_str() {
        "AVALANCHE" => Ok(BasicType::Avalanche),
        "TSUNAMI" => Ok(BasicType::Tsunami),
        _ => Err(Wrong::new("unknown_value", format!("there is no test type \"{text}\""))
            .help("known here: AVALANCHE, TSUNAMI")),
    }
}

/// Milliseconds when bare; zero is a delay here, since an avalanche is often sent with one.
fn delay(text: &str) -> Result<Duration, Wrong> {
    let what = "the delay";
    let bare = text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let with_unit = if bare { format!("{}ms", text.trim_start_matches('+')) } else { text.to_owned() };
    match parse_span(&with_unit, what, limits::WAIT) {
        Err(wrong) if wrong.code == "zero" => Ok(Duration::ZERO),
        Err(wrong) if wrong.code == "bad_duration" => {
            let wrong =
                Wrong::new("not_a_number", format!("{what} must be milliseconds, or a time such as 20ms"));
            Err(wrong)
        }
        read => read,
    }
}

fn count(text: &str) -> Result<u64, Wrong> {
    parse_count(text, "the number of messages", 1, limits::REQUESTS_PER_DRIVER)
}

fn throughput(text: &str) -> Result<Option<Rate>, Wrong> {
    let what = "the target throughput";
    let with_unit = if text.contains('/') { text.to_owned() } else { format!("{text}/s") };
    match parse_rate(&with_unit, what) {
        Ok(rate) => Ok(Some(rate)),
        Err(wrong) if wrong.code == "zero" => Ok(None),
        Err(wrong) if wrong.code == "bad_rate" => {
            Err(Wrong::new("not_a_number", format!("{what} must be a number of requests per second")))
        }
        Err(wrong) => Err(wrong),
    }
}
