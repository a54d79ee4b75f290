//! Following a run on standard error: a live block on a terminal, else one line every ten seconds; and passing on what
//! the operator's signals ask for.

use std::io::Write;
use std::time::Duration;

use clock::Instant;
use cluster::runtime::orchestrator::Running;
use cluster::view::RunView;
use cluster::{Handle, RunResult};
use plan::StageInfo;
use report::{Progress, StageProgress};

use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::{Asked, Interrupts};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Between two drawings of the live block.
const REDRAW: Duration = Duration::from_millis(500);
/// Between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Follows a run until it is over; its result.
pub fn to_the_end(
    orchestrator: &Running,
    run_id: &str,
    interrupts: &Interrupts,
    terminal: Terminal,
) -> anyhow::Result<RunResult> {
    let handle = orchestrator.handle();
    let mut screen = Screen { terminal, drawn: 0, last: None };
    let mut obeyed = Asked::Nothing;
    let mut seen = 0;
    loop {
        seen = handle.wait_change(seen, LOOK);
        if interrupts.asked() > obeyed {
            obeyed = interrupts.asked();
            screen.clear();
            obey(&handle, run_id, obeyed);
        }
        let ended = orchestrator.has_ended();
        let view = handle.run(run_id);
        if ended && view.as_ref().is_none_or(|view| !view.state.is_over()) {
            screen.clear();
            return Err(Ended::because(
                Exit::Internal,
                "the orchestrator ended before the run did; see the log",
            ));
        }
        let Some(view) = view else { continue };
        if view.state.is_over() {
            screen.clear();
            return handle.result(run_id).ok_or_else(|| {
                Ended::because(Exit::Internal, format!("the result of run {run_id} is gone"))
            });
        }
        screen.show(&view, &handle, clock::now());
    }
}

fn obey(handle: &Handle, run_id: &str, asked: Asked) {
    let done = match asked {
        Asked::Nothing => return,
        Asked::Stop => {
            output::tell("stopping: requests in flight may finish; Ctrl-C again aborts");
            handle.stop(run_id)
        }
        Asked::Abort => {
            output::tell("aborting; Ctrl-C again exits at once");
            handle.abort(run_id, "interrupted")
        }
    };
    if let Err(failure) = done {
        output::tell(&failure.to_string());
    }
}

/// What is drawn on standard error.
struct Screen {
    terminal: Terminal,
    /// Lines of the block that stands on the terminal.
    drawn: usize,
    last: Option<Instant>,
}

impl Screen {
    fn show(&mut self, view: &RunView, handle: &Handle, now: Instant) {
        let pause = if self.terminal.live { REDRAW } else { LINE };
        if self.terminal.quiet || self.last.is_some_and(|last| now.since(last) < pause) {
            return;
        }
        let mut progress = progress(view);
        let troubles = handle.storage().troubles(clock::unix_ms());
        progress.storage_trouble = troubles.into_iter().next().map(|trouble| trouble.text);
        if self.terminal.live {
            let lines = report::live_block(&progress, self.terminal.color_err, output::WIDTH);
            self.draw(&lines);
        } else if view.latest.is_some() {
            output::tell(&report::progress_line(&progress));
        } else {
            return;
        }
        self.last = Some(now);
    }

    /// Draws over the block that stands there. Only whole lines are rewritten, so the scrollback stays intact.
    fn draw(&mut self, lines: &[String]) {
        let mut text = self.up();
        for line in lines {
            text += &format!("\x1b[2K{line}\n");
        }
        // The block before may have been longer.
        text += "\x1b[0J";
        self.drawn = lines.len();
        // A terminal that is gone shows nothing.
        std::io::stderr().lock().write_all(text.as_bytes()).ok();
    }

    /// Removes the block: the summary takes its place.
    fn clear(&mut self) {
        if self.drawn > 0 {
            let text = format!("{}\x1b[0J", self.up());
            std::io::stderr().lock().write_all(text.as_bytes()).ok();
            self.drawn = 0;
        }
    }

    fn up(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\r", self.drawn) }
    }
}

fn progress(view: &RunView) -> Progress {
    let plan = &view.plan;
    let tick = view.latest.as_deref();
    let elapsed_s = tick.map_or(0.0, |tick| f64::from(tick.second) + 1.0);
    let drivers = view.drivers.iter().filter(|driver| !driver.foreign).count();
    let asked = plan.planned_iterations(drivers);
    let sent = tick.map_or(0, |tick| tick.sent_total);
    // A load that has a length is followed by its time.
    let asked = asked.filter(|asked| *asked > 0 && (plan.is_per_driver() || plan.duration().is_none()));
    Progress {
        plan: plan.name.clone(),
        run_id: view.run_id.clone(),
        state: view.state.as_str().to_owned(),
        elapsed_s,
        planned_s: plan.duration().map(|duration| duration.as_secs_f64()),
        done_share: asked.map(|asked| (sent as f64 / asked as f64).min(1.0)),
        stage: stage(view, elapsed_s),
        planned_per_s: tick.and_then(|tick| tick.planned),
        achieved_per_s: tick.map(|tick| tick.started as f64),
        sent,
        done: tick.map_or(0, |tick| tick.succeeded_total + tick.failed_total),
        failed: tick.map_or(0, |tick| tick.failed_total),
        missed: tick.map_or(0, |tick| tick.missed_total),
        in_flight: tick.map_or(0, |tick| tick.in_flight),
        connections: tick.map_or(0, |tick| tick.connections),
        p50_ms: tick.and_then(|tick| tick.total_response).map(|stats| stats.p50),
        p99_ms: tick.and_then(|tick| tick.total_response).map(|stats| stats.p99),
        max_ms: tick.and_then(|tick| tick.total_response).map(|stats| stats.max),
        drivers_reporting: tick.map_or(0, |tick| tick.drivers_reporting),
        drivers: u32::try_from(view.drivers.len()).unwrap_or(u32::MAX),
        send_lag_p99_ms: tick.and_then(|tick| tick.send_lag_p99_ms),
        verdict: tick.map(|_| view.verdict.value.as_str().to_owned()),
        storage_trouble: None,
        last_event: view.events.last().map(|event| event.text.clone()),
    }
}

/// The stages at a run time, of loads that have some.
fn stage(view: &RunView, elapsed_s: f64) -> Option<StageProgress> {
    if view.plan.is_per_driver() {
        return None;
    }
    let under_way = |stage: &StageInfo| {
        let from_s = stage.begins.as_secs_f64();
        let to_s = stage.duration.map_or(f64::INFINITY, |duration| from_s + duration.as_secs_f64());
        (from_s < elapsed_s || from_s == 0.0) && elapsed_s <= to_s
    };
    let stages = view.plan.stages();
    let now: Vec<&StageInfo> = stages.iter().filter(|stage| under_way(stage)).collect();
    let names: Vec<&str> = now.iter().map(|stage| stage.name.as_str()).collect();
    let number = stages.iter().position(under_way)? + 1;
    Some(StageProgress {
        place: (view.plan.workloads.len() == 1).then_some((number, stages.len())),
        name: names.join(", "),
        warmup: now.iter().all(|stage| stage.warmup),
    })
}
