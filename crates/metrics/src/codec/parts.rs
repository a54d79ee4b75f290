//! The fields of each value, in their order on the wire.

use std::collections::BTreeMap;

use plan::{StageId, StepId};

use super::bytes::{Reader, Writer};
use super::{
    Coded, DecodeError, MAX_CAUSE_SETS, MAX_DRIVERS, MAX_NAME_BYTES, MAX_OUTCOMES, MAX_ROWS, SINCE_2,
    SINCE_3, SINCE_4,
};
use crate::{
    BINS, Causes, DriverTotals, DriverWindow, ErrorKind, EventCounts, Gauges, Histogram, Merged, Missed,
    Outcome, Pair, Phase, PhaseTimings, StageWindow, StepWindow, Timing, Totals,
};

/// The least bytes of a step's measurements.
const STEP_BYTES: usize = 11;
/// The least bytes of a stage's measurements.
const STAGE_BYTES: usize = 10;
/// The least bytes of a set of causes and its seconds.
const CAUSES_BYTES: usize = 2;
/// The least bytes of an outcome and its count.
const OUTCOME_BYTES: usize = 3;
/// The least bytes of a driver and its name.
const DRIVER_BYTES: usize = 19;

impl Coded for Histogram {
    fn put(&self, to: &mut Writer) {
        to.number(self.bins().count() as u64);
        let mut next = 0;
        for (bin, count) in self.bins() {
            let distance = u64::from(bin - next) << 1;
            if count == 1 {
                to.number(distance);
            } else {
                to.number(distance | 1);
                to.number(count - 2);
            }
            next = bin + 1;
        }
        if !self.is_empty() {
            to.number(self.clamped());
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = from.length("bins", BINS as usize, 1)?;
        if length == 0 {
            return Ok(Self::new());
        }
        let mut bins = Vec::with_capacity(length);
        let mut next = 0u64;
        for _ in 0..length {
            let word = from.number()?;
            let bin = next + (word >> 1);
            let count = match word & 1 {
                0 => 1,
                _ => from.number()?.checked_add(2).ok_or(DecodeError::Invalid("count"))?,
            };
            next = bin + 1;
            bins.push((u32::try_from(bin).map_err(|_| DecodeError::Invalid("bin"))?, count));
        }
        Self::from_bins(bins, from.number()?).ok_or(DecodeError::Invalid("histogram"))
    }
}

impl Coded for Timing {
    fn put(&self, to: &mut Writer) {
        self.histogram().put(to);
        if let (Some(min_ns), Some(max_ns)) = (self.min_ns(), self.max_ns()) {
            to.number(min_ns);
            to.number(max_ns);
            to.wide(self.sum_ns());
            to.wide(self.sum_sq_ns());
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let histogram = Histogram::get(from)?;
        if histogram.is_empty() {
            return Ok(Self::new());
        }
        let (min_ns, max_ns) = (from.number()?, from.number()?);
        let (sum_ns, sum_sq_ns) = (from.wide()?, from.wide()?);
        Self::from_parts(histogram, sum_ns, sum_sq_ns, min_ns, max_ns).ok_or(DecodeError::Invalid("timing"))
    }
}

impl Coded for Pair {
    fn put(&self, to: &mut Writer) {
        self.response.put(to);
        self.service.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { response: Timing::get(from)?, service: Timing::get(from)? })
    }
}

impl Coded for PhaseTimings {
    fn put(&self, to: &mut Writer) {
        self.iter().for_each(|(_, timing)| timing.put(to));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut timings = [const { Timing::new() }; Phase::ALL.len()];
        for timing in &mut timings {
            *timing = Timing::get(from)?;
        }
        Ok(Self::new(timings))
    }
}

impl Coded for Outcome {
    fn put(&self, to: &mut Writer) {
        let (code, detail) = match *self {
            Self::Success(status) => (0, status),
            Self::Failed(kind, detail) => (kind as u8 + 1, detail),
        };
        to.byte(code);
        to.number(u64::from(detail));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = usize::from(from.byte()?);
        let detail = from.small("detail of an outcome")?;
        match code.checked_sub(1) {
            None => Ok(Self::Success(detail)),
            Some(kind) => {
                let kind = ErrorKind::ALL.get(kind).ok_or(DecodeError::Invalid("outcome"))?;
                Ok(Self::Failed(*kind, detail))
            }
        }
    }
}

impl Coded for StepWindow {
    fn put(&self, to: &mut Writer) {
        to.number(u64::from(self.stage.0));
        to.number(u64::from(self.step.0));
        to.number(self.sent);
        self.ok.put(to);
        self.failed.put(to);
        to.number(self.outcomes.len() as u64);
        for (outcome, count) in &self.outcomes {
            outcome.put(to);
            to.number(*count);
        }
        to.number(self.cancelled);
        to.number(self.bytes_in);
        to.number(self.bytes_out);
        put_option(self.phases.as_deref(), to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stage = StageId(from.small("stage")?);
        let step = StepId(from.small("step")?);
        let sent = from.number()?;
        let (ok, failed) = (Pair::get(from)?, Pair::get(from)?);
        let length = from.length("outcomes", MAX_OUTCOMES, OUTCOME_BYTES)?;
        let mut outcomes = Vec::with_capacity(length);
        for _ in 0..length {
            outcomes.push((Outcome::get(from)?, from.number()?));
        }
        ascending(&outcomes, |(outcome, _)| *outcome, "order of outcomes")?;
        let (cancelled, bytes_in, bytes_out) = (from.number()?, from.number()?, from.number()?);
        let phases = if from.is_since(SINCE_2) { get_option(from)?.map(Box::new) } else { None };
        Ok(Self { step, stage, sent, ok, failed, outcomes, cancelled, bytes_in, bytes_out, phases })
    }
}

impl Coded for Missed {
    fn put(&self, to: &mut Writer) {
        to.number(self.ours);
        to.number(self.target);
        to.number(self.limit);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { ours: from.number()?, target: from.number()?, limit: from.number()? })
    }
}

impl Coded for StageWindow {
    fn put(&self, to: &mut Writer) {
        to.number(u64::from(self.stage.0));
        to.number(self.due);
        to.number(self.started);
        self.missed.put(to);
        to.number(self.completed);
        self.iteration_time.put(to);
        self.send_lag.put(to);
        self.connection_wait.put(to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            stage: StageId(from.small("stage")?),
            due: from.number()?,
            started: from.number()?,
            missed: Missed::get(from)?,
            completed: from.number()?,
            iteration_time: Timing::get(from)?,
            send_lag: Timing::get(from)?,
            connection_wait: Timing::get(from)?,
        })
    }
}

impl Coded for Causes {
    fn put(&self, to: &mut Writer) {
        to.number(u64::from(self.bits()));
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_bits(from.small("cause")?).ok_or(DecodeError::Invalid("cause"))
    }
}

impl Coded for Gauges {
    fn put(&self, to: &mut Writer) {
        to.number(u64::from(self.in_flight));
        to.number(u64::from(self.queued));
        to.number(u64::from(self.connections));
        to.number(u64::from(self.busiest_thread_permille));
        to.byte(u8::from(self.never_waited));
        to.number(self.throttled_us);
        to.number(u64::from(self.cpu_permille));
        put_option(self.causes.as_ref(), to);
        to.number(u64::from(self.starved_permille));
        to.number(u64::from(self.stolen_permille));
        to.number(self.memory_bytes);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut gauges = Self {
            in_flight: from.small("gauge")?,
            queued: from.small("gauge")?,
            connections: from.small("gauge")?,
            busiest_thread_permille: from.small("gauge")?,
            never_waited: get_bool(from)?,
            throttled_us: from.number()?,
            cpu_permille: from.small("gauge")?,
            causes: get_option(from)?,
            ..Self::default()
        };
        if from.is_since(SINCE_2) {
            gauges.starved_permille = from.small("gauge")?;
            gauges.stolen_permille = from.small("gauge")?;
        }
        if from.is_since(SINCE_4) {
            gauges.memory_bytes = from.number()?;
        }
        Ok(gauges)
    }
}

impl Coded for DriverWindow {
    fn put(&self, to: &mut Writer) {
        to.number(u64::from(self.from_s));
        to.number(u64::from(self.to_s));
        self.gauges.put(to);
        put_all(self.stages.iter(), self.stages.len(), to);
        put_all(self.steps.iter(), self.steps.len(), to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (from_s, to_s) = (from.small("second")?, from.small("second")?);
        if from_s > to_s {
            return Err(DecodeError::Invalid("span of seconds"));
        }
        let gauges = Gauges::get(from)?;
        let stages = get_stages(from)?;
        let steps = get_steps(from)?;
        Ok(Self { from_s, to_s, steps, stages, gauges })
    }
}

impl Coded for Totals {
    fn put(&self, to: &mut Writer) {
        to.number(self.due);
        to.number(self.started);
        self.missed.put(to);
        to.number(self.requests_sent);
        to.number(self.succeeded);
        to.number(self.failed);
        to.number(self.cancelled);
        to.number(self.bytes_in);
        to.number(self.bytes_out);
        to.number(self.windows);
        put_option(self.events.as_ref(), to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut totals = Self {
            due: from.number()?,
            started: from.number()?,
            missed: Missed::get(from)?,
            requests_sent: from.number()?,
            succeeded: from.number()?,
            failed: from.number()?,
            cancelled: from.number()?,
            bytes_in: from.number()?,
            bytes_out: from.number()?,
            windows: from.number()?,
            events: None,
        };
        if from.is_since(SINCE_3) {
            totals.events = get_option(from)?;
        }
        Ok(totals)
    }
}

impl Coded for EventCounts {
    fn put(&self, to: &mut Writer) {
        to.number(self.produced);
        to.number(self.dropped);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { produced: from.number()?, dropped: from.number()? })
    }
}

impl Coded for DriverTotals {
    fn put(&self, to: &mut Writer) {
        self.totals().put(to);
        self.send_lag.put(to);
        to.number(self.seconds);
        to.number(self.noted.len() as u64);
        for (causes, seconds) in &self.noted {
            causes.put(to);
            to.number(*seconds);
        }
        to.number(self.cpu_permille_sum);
        to.number(u64::from(self.last_second));
        put_option(self.final_totals.as_ref(), to);
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let totals = Totals::get(from)?;
        let (send_lag, seconds) = (Timing::get(from)?, from.number()?);
        let length = from.length("sets of causes", MAX_CAUSE_SETS, CAUSES_BYTES)?;
        let mut noted = Vec::with_capacity(length);
        for _ in 0..length {
            noted.push((Causes::get(from)?, from.number()?));
        }
        ascending(&noted, |(causes, _)| *causes, "order of causes")?;
        Ok(Self {
            requests_sent: totals.requests_sent,
            succeeded: totals.succeeded,
            failed: totals.failed,
            cancelled: totals.cancelled,
            started: totals.started,
            due: totals.due,
            missed: totals.missed,
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            windows: totals.windows,
            send_lag,
            seconds,
            noted: BTreeMap::from_iter(noted),
            cpu_permille_sum: from.number()?,
            last_second: from.small("second")?,
            final_totals: get_option(from)?,
        })
    }
}

impl Coded for Merged {
    fn put(&self, to: &mut Writer) {
        put_all(self.stages.values(), self.stages.len(), to);
        put_all(self.steps.values(), self.steps.len(), to);
        to.number(self.drivers.len() as u64);
        for (node_id, totals) in &self.drivers {
            to.slice(node_id.as_bytes());
            totals.put(to);
        }
    }

    fn get(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stages = get_stages(from)?;
        let steps = get_steps(from)?;
        let mut drivers = BTreeMap::new();
        for _ in 0..from.length("drivers", MAX_DRIVERS, DRIVER_BYTES)? {
            let name = from.slice("bytes of a node id", MAX_NAME_BYTES)?;
            let node_id = str::from_utf8(name).map_err(|_| DecodeError::Invalid("node id"))?;
            if drivers.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= node_id) {
                return Err(DecodeError::Invalid("order of drivers"));
            }
            drivers.insert(node_id.to_owned(), DriverTotals::get(from)?);
        }
        Ok(Self {
            steps: steps.into_iter().map(|step| ((step.stage, step.step), step)).collect(),
            stages: stages.into_iter().map(|stage| (stage.stage, stage)).collect(),
            drivers,
        })
    }
}

fn put_all<'a, T: Coded + 'a>(values: impl Iterator<Item = &'a T>, length: usize, to: &mut Writer) {
    to.number(length as u64);
    values.for_each(|value| value.put(to));
}

fn get_steps(from: &mut Reader<'_>) -> Result<Vec<StepWindow>, DecodeError> {
    let length = from.length("steps", MAX_ROWS, STEP_BYTES)?;
    let mut steps = Vec::with_capacity(length);
    for _ in 0..length {
        steps.push(StepWindow::get(from)?);
    }
    ascending(&steps, |step| (step.stage, step.step), "order of steps")?;
    Ok(steps)
}

fn get_stages(from: &mut Reader<'_>) -> Result<Vec<StageWindow>, DecodeError> {
    let length = from.length("stages", MAX_ROWS, STAGE_BYTES)?;
    let mut stages = Vec::with_capacity(length);
    for _ in 0..length {
        stages.push(StageWindow::get(from)?);
    }
    ascending(&stages, |stage| stage.stage, "order of stages")?;
    Ok(stages)
}

fn ascending<T, K: Ord>(values: &[T], key: impl Fn(&T) -> K, what: &'static str) -> Result<(), DecodeError> {
    if values.is_sorted_by(|a, b| key(a) < key(b)) { Ok(()) } else { Err(DecodeError::Invalid(what)) }
}

fn put_option<T: Coded>(value: Option<&T>, to: &mut Writer) {
    to.byte(u8::from(value.is_some()));
    if let Some(value) = value {
        value.put(to);
    }
}

fn get_option<T: Coded>(from: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
    if get_bool(from)? { T::get(from).map(Some) } else { Ok(None) }
}

fn get_bool(from: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match from.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Invalid("flag")),
    }
}
