//! What must hold for any bytes whatever: an answer or an error in bounded time, no panic, and a few identities.
//!
//! Each target is a function of bytes, so that a finding can be run again without a fuzzer.

use std::cell::Cell;

use data::{Buffer, Table};
use import::{Format, Input, Options};
use plan::{Answer, DataFormat, EvaluateError, Scope, Value};
use scribe::wire::{self, Call, Frame, Frames, Reply, ResultCode};

/// A plan, or faults with places in the text.
pub fn plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match plan::parse("fuzz", text) {
        Ok(plan) => {
            // What is stored is read back as it was.
            let again = plan::parse("again", &plan.source).expect("its own source");
            assert_eq!(again.scenarios, plan.scenarios);
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(plan::explain(fault.code).is_some(), "{}", fault.code);
                assert!(fault.line >= 1 && fault.column >= 1, "{fault}");
            }
        }
    }
}

/// A JSON value in the first line, and in the others a template that may use it as `v`.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (json, template) = text.split_once('\n').unwrap_or(("null", text));
    let value = serde(json);
    let Some(plan) = plan_with(&format!("{{\"body\": {}, \"post\": \"/\"}}", quoted(template))) else {
        return;
    };
    let Some(step) = plan.scenarios[0].steps.last() else { return };
    let plan::Body::Text(body) = &step.body else { return };
    let here = Here { value, draws: Cell::new(1) };
    let mut written = String::new();
    if body.write(&here, &mut written).is_ok() {
        here.draws.set(1);
        let mut again = String::new();
        body.write(&here, &mut again).expect("the same once more");
        assert_eq!(written, again, "an expression depends on its scope alone");
    }
}

/// The first byte says which format the others are.
pub fn table(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let format = [DataFormat::Csv, DataFormat::Tsv, DataFormat::JsonLines][usize::from(first % 3)];
    match Table::open(bytes.into(), format) {
        Ok(table) => {
            let mut buffer = Buffer::default();
            for row in 0..table.len() {
                for column in 0..table.columns().len() {
                    assert!(table.cell(row, column, &mut buffer).is_some(), "row {row}, column {column}");
                }
            }
            assert!(table.cell(table.len(), 0, &mut buffer).is_none());
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
}

/// The first byte says what the text is.
pub fn import(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let formats = [
        Format::Har,
        Format::Curl,
        Format::Openapi,
        Format::Postman,
        Format::K6Options,
        Format::Ab,
        Format::Wrk,
        Format::Vegeta,
    ];
    let format = formats[usize::from(first % 8)];
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let input = match format {
        Format::Ab | Format::Wrk => Input { text: None, words: &words },
        _ => Input { text: Some(text), words: &[] },
    };
    if let Ok(imported) = import::import(format, input, &Options::default())
        && let Err(faults) = plan::parse("imported", &imported.plan)
    {
        // A plan has at most 256 KiB; what was recorded may be more.
        assert!(
            faults.iter().all(|fault| ["too_large", "absurd"].contains(&fault.code)),
            "{faults:#?}\n{}",
            imported.plan
        );
    }
}

/// What is saved stands in the first line, as in a plan; the others are the body.
pub fn answer(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let Ok(source) = std::str::from_utf8(&bytes[..at]) else { return };
    let body = bytes.get(at + 1..).unwrap_or_default();
    let save = quoted(source);
    let Some(plan) = plan_with(&format!("{{\"get\": \"/\", \"save\": {{\"w\": {save}}}}}")) else { return };
    let Some(taking) = plan.scenarios[0].steps.last().and_then(|step| step.saves.first()) else { return };
    let none = |_: &str| None;
    let answer = Answer { status: 200, header: &none, body, response_time: Default::default() };
    if let Some(value) = taking.source.take(&answer) {
        value.write_json(&mut String::new());
    }
}

/// A plan whose second step is `step`, and whose first one saves `v`.
fn plan_with(step: &str) -> Option<plan::Plan> {
    let text = format!(
        "{{\"version\": 1, \"name\": \"fuzz\", \"target\": \"http://127.0.0.1\", \
         \"load\": {{\"model\": \"avalanche\", \"requests_per_driver\": 1}}, \
         \"scenarios\": {{\"s\": {{\"steps\": [{{\"get\": \"/first\", \"save\": {{\"v\": \"$.v\"}}}}, {step}]}}}}}}"
    );
    plan::parse("fuzz", &text).ok()
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    Value::Text(text.into()).write_json(&mut quoted);
    quoted
}

/// The value of a JSON text, by the way a saved one takes.
fn serde(json: &str) -> Value<'static> {
    let Some(plan) = plan_with("{\"get\": \"/\", \"save\": {\"w\": \"$.v\"}}") else { return Value::Null };
    let none = |_: &str| None;
    let body = format!("{{\"v\": {json}}}");
    let answer =
        Answer { status: 200, header: &none, body: body.as_bytes(), response_time: Default::default() };
    plan.scenarios[0].steps[1].saves[0].source.take(&answer).unwrap_or(Value::Null)
}

/// Where expressions are evaluated.
struct Here {
    value: Value<'static>,
    draws: Cell<u64>,
}

impl Scope for Here {
    fn saved(&self, _slot: u16) -> &Value<'static> {
        &self.value
    }

    fn cell(&self, _source: u16, _column: u16) -> Result<Value<'_>, EvaluateError> {
        Err(EvaluateError::Exhausted)
    }

    fn draw(&self) -> u64 {
        self.draws.set(self.draws.get() + 1);
        plan::mix(self.draws.get())
    }
}

/// The first byte says what the others are: a stream of frames, in pieces of so many bytes; a JSON event; a driver's batch.
pub fn scribe(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    match first {
        0 => {
            if let Ok(event) = wire::read_event(bytes) {
                let mut builder = events::Builder::new();
                builder.push(&event.row()).expect("the first");
                assert_eq!(builder.finish().num_rows(), 1);
            }
        }
        1 => {
            if let Ok(batch) = wire::read_batch(bytes) {
                let again = wire::write_batch(&batch).expect("it is of the schema");
                assert_eq!(wire::read_batch(&again).expect("as it was written"), batch);
            }
        }
        size => frames(bytes, usize::from(*size)),
    }
}

fn frames(bytes: &[u8], size: usize) {
    const LIMIT: usize = 1 << 20;
    let mut frames = Frames::new(LIMIT);
    let mut granted = 0;
    for mut piece in bytes.chunks(size) {
        loop {
            let grant = |wanted| {
                granted = granted.max(wanted);
                true
            };
            match frames.next(&mut piece, grant) {
                Ok(Some(Frame::Whole(frame) | Frame::Passed(frame))) => call(frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert!(granted <= LIMIT.min(2 * bytes.len().max(4096)), "memory grows with the bytes");
}

fn call(frame: &[u8]) {
    let Ok(request) = wire::read(frame) else { return };
    if let Ok(Call::Log(entries)) = request.call {
        let sizes = entries.map(|entry| entry.category.len() + entry.message.len());
        assert!(sizes.sum::<usize>() <= frame.len());
    }
    let answer = request.answer(&wire::Answer::Logged(ResultCode::Ok));
    let read = wire::read_reply(&answer[4..], request.number);
    assert_eq!(read, Ok(Reply::Logged(ResultCode::Ok)));
}
