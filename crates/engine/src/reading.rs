//! What is taken from answers and demanded of them, and by whom: short ones are read by the thread that paces, long ones by
//! threads of their own.
//!
//! Invariant: an answer is read once, and its outcome is the same wherever that is. Whoever paces never waits for a reader: when
//! readers are behind, it reads itself.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::{ErrorKind, Outcome};
use plan::{Answer, Check, Demand, Scope, Source, Taking, Value};
use protocol::decode::{DecodeError, decode};
use protocol::{Kept, headers};

use crate::io::wake;
use crate::journey::Journey;
use crate::program::Program;

/// Nanoseconds per byte that is looked at: `cargo run --release -p plan --example answer_cost`.
const CSS_COST: u64 = 26;
const JSON_COST: u64 = 2;
const TEXT_COST: u64 = 1;

/// What a byte becomes that was packed, about.
const UNPACKED: u64 = 5;

/// Answers that wait for a reader, for each engine thread.
pub(crate) const WAITING_MAX: usize = 64;

/// Readers come behind those who pace, where cores are few.
const READER_NICENESS: i32 = 5;

/// What becomes of an answer beyond its status.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) checks: Vec<Check>,
    pub(crate) saves: Vec<Taking>,
    /// Bytes that are looked at, at most; 0 when the body is not.
    pub(crate) max_body: usize,
    pub(crate) needs_headers: bool,
    /// Nanoseconds.
    cost_per_byte: u64,
}

impl Reading {
    /// `None` when only the status counts.
    pub(crate) fn of(step: &plan::Step, secrets: &[String]) -> Option<Box<Self>> {
        let (mut checks, mut saves) = (step.expect.checks.clone(), step.saves.clone());
        checks.iter_mut().for_each(|check| check.settle(secrets));
        saves.iter_mut().for_each(|taking| taking.settle(secrets));
        if checks.is_empty() && saves.is_empty() {
            return None;
        }
        let needs_body =
            checks.iter().any(Check::needs_body) || saves.iter().any(|taking| taking.source.needs_body());
        let needs_headers = needs_body
            || checks.iter().any(Check::needs_headers)
            || saves.iter().any(|taking| matches!(taking.source, Source::Header(..)));
        let max_body = if needs_body { step.max_body } else { 0 };
        let of_checks = checks.iter().map(|check| match &check.demand {
            Demand::Json(..) => JSON_COST,
            Demand::Body(_) => TEXT_COST,
            Demand::Header(..) | Demand::Size(_) | Demand::Under(_) => 0,
        });
        let of_saves = saves.iter().map(|taking| match &taking.source {
            Source::Json(_) => JSON_COST,
            Source::Css(_) => CSS_COST,
            Source::Regex(_) | Source::Body => TEXT_COST,
            Source::Header(..) | Source::Status => 0,
        });
        let cost_per_byte =
            of_checks.chain(of_saves).sum::<u64>() * if step.decompress { UNPACKED } else { 1 };
        Some(Box::new(Self { checks, saves, max_body, needs_headers, cost_per_byte }))
    }

    /// The body that is looked at; empty where none is.
    ///
    /// # Errors
    /// It is too large, or coded in a way that cannot be undone.
    pub(crate) fn body<'k>(&self, kept: Kept<'k>) -> Result<Cow<'k, [u8]>, DecodeError> {
        match self.max_body {
            0 => Ok(Cow::Borrowed(&[])),
            // More may have been kept than is looked at; one byte more tells that it is too large.
            most => decode(kept.headers, &kept.body[..kept.body.len().min(most.saturating_add(1))], most),
        }
    }

    /// What an answer of an accepted status is: checks are made, and values taken, in proportion to its size.
    pub(crate) fn outcome(
        &self,
        status: u16,
        kept: Kept<'_>,
        response_time: Duration,
        journey: &mut Journey,
    ) -> Outcome {
        let body = match self.body(kept) {
            Ok(body) => body,
            Err(error) => {
                tracing::trace!(%error, "body cannot be looked at");
                return Outcome::Failed(ErrorKind::Body, 0);
            }
        };
        let header = |name: &str| {
            let mut found =
                headers(kept.headers).filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
            found.next().map(|(_, value)| value)
        };
        let answer = Answer { status, header: &header, body: &body, response_time };
        if let Some(check) = self.checks.iter().find(|check| !check.holds(&answer, journey)) {
            return Outcome::check(check.kind());
        }
        for taking in &self.saves {
            match Self::take(taking, &answer, journey) {
                Some(value) => journey.save(taking.slot, value),
                None => return Outcome::Failed(ErrorKind::Extract, 0),
            }
        }
        Outcome::Success(status)
    }

    /// About how long that takes for a body of so many bytes as they came, in nanoseconds.
    pub(crate) fn cost_ns(&self, body_bytes: usize) -> u64 {
        (body_bytes.min(self.max_body) as u64).saturating_mul(self.cost_per_byte)
    }

    /// The value that `taking` asks for.
    pub(crate) fn take(taking: &Taking, answer: &Answer<'_>, scope: &dyn Scope) -> Option<Value<'static>> {
        taking.source.take(answer).or_else(|| {
            let default = taking.default.as_ref()?;
            default.evaluate(scope).ok().map(Value::into_owned)
        })
    }
}

/// An answer that takes long to read, and what is needed for it.
pub(crate) struct Task {
    pub(crate) ticket: u32,
    pub(crate) step: u32,
    pub(crate) status: u16,
    pub(crate) response_time: Duration,
    pub(crate) headers: Box<[u8]>,
    pub(crate) body: Box<[u8]>,
    pub(crate) journey: Box<Journey>,
    /// Where the result goes; there is room for it.
    pub(crate) results: Sender<Done>,
    pub(crate) waker: Arc<OwnedFd>,
}

/// An answer that was read.
pub(crate) struct Done {
    pub(crate) ticket: u32,
    pub(crate) outcome: Outcome,
    pub(crate) journey: Box<Journey>,
}

/// Starts so many readers for the answers to a program; they end when nobody can hand them anything any more. `None` where
/// no body is looked at.
///
/// # Errors
/// The system refuses a thread.
pub(crate) fn readers(program: &Arc<Program>, count: usize) -> io::Result<Option<Sender<Task>>> {
    let is_read =
        |step: &crate::program::Step| step.reading.as_ref().is_some_and(|reading| reading.max_body > 0);
    if !program.steps().iter().any(is_read) {
        return Ok(None);
    }
    let (sender, tasks) = bounded(WAITING_MAX * count);
    for _ in 0..count {
        let (program, tasks) = (Arc::clone(program), tasks.clone());
        let name = thread::Builder::new().name("engine-reader".to_owned());
        name.spawn(move || read_all(&program, &tasks))?;
    }
    Ok(Some(sender))
}

fn read_all(program: &Program, tasks: &Receiver<Task>) {
    if let Err(error) = rustix::process::nice(READER_NICENESS) {
        tracing::debug!(%error, "cannot lower the priority of a reader");
    }
    for Task { ticket, step, status, response_time, headers, body, mut journey, results, waker } in tasks {
        let Some(reading) = &program.step(step).reading else { continue };
        let kept = Kept { headers: &headers, body: &body };
        let outcome = reading.outcome(status, kept, response_time, &mut journey);
        // Whoever handed it over may be gone.
        if results.try_send(Done { ticket, outcome, journey }).is_ok() {
            wake(&waker);
        }
    }
}
