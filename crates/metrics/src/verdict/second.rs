//! What one second of one driver is noted for, from all that it measured then.
//!
//! What the generator did is judged by its effects (late, full, something not started or failed for want of something
//! here). What the machine did to it, starving and stealing, is the cause of such an effect and is noted only beside
//! one: a second that went well is good, however busy the machine was.

use super::{Cause, Causes, exceeds};
use crate::{DriverWindow, ErrorKind, Histogram, LocalLimit, Outcome, StageWindow};

/// Send lag p99 that is never bad, in ns.
const SEND_LAG_ALWAYS_FINE_NS: u64 = 1_000_000;

/// Send lag p99 is bad above this part of the median service time: 5 %.
const SEND_LAG_PART_OF_SERVICE: u64 = 20;

/// A thread busier than this, in thousandths, makes its second bad.
const BUSY_PERMILLE: u64 = 900;

/// A thread that starves for less than this, in thousandths of the second, is late for another reason. Being woken takes
/// 4 to 11 of them at 3,000 wakes a second on a virtual machine of two cores; what makes a second late there, 20 to 300.
const STARVED_PERMILLE: u64 = 10;

/// Less CPU stolen than this, in thousandths of all cores, is the usual noise of a virtual machine.
const STOLEN_PERMILLE: u64 = 20;

/// More CPU withheld than this, in thousandths of the second, and we are no witness of what the target could do.
const BLIND_PERMILLE: u64 = 250;

/// More than this share of a second's due iterations missed by the target's fault says that it was saturated,
/// and more than this share of its requests refused that it was refusing, in hundredths.
const TARGET_PERCENT: u64 = 1;

/// Waits for a connection below this median are no queue, in ns.
const QUEUE_WAIT_NS: u64 = 1_000_000;

/// What the seconds of a window are noted for. The window must be whole: all threads, all steps.
pub fn causes_of(window: &DriverWindow) -> Causes {
    let stages = all_stages(window);
    let mut causes = ours(window, &stages);
    let is_saturated = is_saturated(&stages, || median_service_ns(window));
    causes.note(Cause::TargetSaturated, is_saturated && !is_blind(window));
    causes.note(Cause::TargetRefusing, refuses(window));
    causes.note(Cause::TargetStopped, answers_nothing(window));
    causes.note(Cause::PlanLimit, stages.missed.limit > 0);
    causes
}

/// Whether our threads had so little CPU that they saw answers, and with them free connections, long after they came:
/// then waiting for a connection says nothing of the target.
fn is_blind(window: &DriverWindow) -> bool {
    let gauges = &window.gauges;
    let withheld = gauges.starved_permille.max(gauges.stolen_permille);
    u64::from(withheld).max(throttled_permille(window)) > BLIND_PERMILLE
}

fn throttled_permille(window: &DriverWindow) -> u64 {
    let span_us = u64::from(window.seconds()).max(1) * 1_000_000;
    window.gauges.throttled_us.saturating_mul(1000) / span_us
}

fn ours(window: &DriverWindow, stages: &StageWindow) -> Causes {
    let gauges = &window.gauges;
    let throttled = throttled_permille(window);
    let busy = u64::from(gauges.busiest_thread_permille);
    let sends_late = sends_late(stages, || median_service_ns(window));
    let is_hampered = sends_late || busy > BUSY_PERMILLE || stages.missed.ours > 0;
    let withheld = |permille: u64, noise: u64| if is_hampered && permille > noise { permille } else { 0 };
    // Some kernels count a throttled thread as one that is ready to run.
    let starved = withheld(u64::from(gauges.starved_permille).saturating_sub(throttled), STARVED_PERMILLE);
    let stolen = withheld(u64::from(gauges.stolen_permille), STOLEN_PERMILLE);
    let by_itself = busy.saturating_sub(throttled).saturating_sub(starved).saturating_sub(stolen);

    let mut causes = Causes::NONE;
    causes.note(Cause::SendLag, sends_late);
    causes.note(Cause::EngineBusy, by_itself > BUSY_PERMILLE);
    causes.note(Cause::EngineStarved, starved > 0);
    causes.note(Cause::CpuStolen, stolen > 0);
    causes.note(Cause::Throttled, gauges.throttled_us > 0);
    causes.note(Cause::MissedOurs, stages.missed.ours > 0);
    causes.note(Cause::GeneratorBound, gauges.never_waited);
    for (outcome, _) in outcomes(window) {
        if let Outcome::Failed(ErrorKind::LocalLimit, detail) = outcome {
            causes.insert(cause_of(LocalLimit::from_detail(detail)));
        }
    }
    causes
}

const fn cause_of(limit: LocalLimit) -> Cause {
    match limit {
        LocalLimit::Other => Cause::LocalLimit,
        LocalLimit::Descriptors => Cause::NoDescriptor,
        LocalLimit::Ports => Cause::NoPort,
        LocalLimit::Memory => Cause::NoMemory,
    }
}

fn sends_late(stages: &StageWindow, service_ns: impl Fn() -> Option<u64>) -> bool {
    let late = stages.send_lag.quantile(0.99).filter(|&p99| p99 > SEND_LAG_ALWAYS_FINE_NS);
    late.is_some_and(|p99| p99 > service_ns().unwrap_or(0) / SEND_LAG_PART_OF_SERVICE)
}

/// An open loop asks for a rate; the target is saturated when it let iterations be missed, or when requests typically
/// waited longer for a connection than they then took.
pub(super) fn is_saturated(stages: &StageWindow, service_ns: impl Fn() -> Option<u64>) -> bool {
    let queued = || stages.connection_wait.quantile(0.5).filter(|&wait| wait > QUEUE_WAIT_NS);
    exceeds(stages.missed.target, TARGET_PERCENT, stages.due)
        || queued().is_some_and(|wait| service_ns().is_some_and(|service| wait > service))
}

fn refuses(window: &DriverWindow) -> bool {
    let is_refusal = |outcome: &Outcome| {
        matches!(outcome, Outcome::Failed(ErrorKind::ConnectRefused | ErrorKind::ConnectReset, _))
    };
    let all = outcomes(window).map(|(_, count)| count).fold(0, u64::saturating_add);
    let refused = outcomes(window).filter(|(outcome, _)| is_refusal(outcome));
    exceeds(refused.map(|(_, count)| count).fold(0, u64::saturating_add), TARGET_PERCENT, all)
}

/// Whether requests were out, and none of them came to an end but by our own patience.
fn answers_nothing(window: &DriverWindow) -> bool {
    let is_silence = |outcome: Outcome| {
        matches!(outcome, Outcome::Failed(ErrorKind::ConnectTimeout | ErrorKind::ReadTimeout, _))
    };
    let mut silent = outcomes(window).map(|(outcome, _)| is_silence(outcome)).peekable();
    (window.gauges.in_flight > 0 || silent.peek().is_some()) && silent.all(|is_silent| is_silent)
}

fn outcomes(window: &DriverWindow) -> impl Iterator<Item = (Outcome, u64)> {
    window.steps.iter().flat_map(|step| step.outcomes.iter().copied())
}

fn all_stages(window: &DriverWindow) -> StageWindow {
    let mut all = StageWindow::new(plan::StageId(0));
    window.stages.iter().for_each(|stage| all.merge(stage));
    all
}

fn median_service_ns(window: &DriverWindow) -> Option<u64> {
    let mut service = Histogram::new();
    for step in window.of_requests() {
        service.merge(step.ok.service.histogram());
        service.merge(step.failed.service.histogram());
    }
    service.quantile(0.5)
}
