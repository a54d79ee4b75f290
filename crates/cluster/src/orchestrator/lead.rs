//! Commands of operators, and the lead that a run needs.
//!
//! Invariant: nothing is commanded before the own claim was read back without another store's before it, nor after
//! another one superseded it.

use std::sync::Arc;
use std::time::Duration;

use clock::BrokerTime;
use transport::{Control, Message, Uuid};

use super::claim::{Claim, LEASE};
use super::event::{Command, Refused, Start};
use super::run::Run;
use super::{Action, Orchestrator};
use crate::run::{Bug, Level, Now, RunRecord};
use crate::view::{RunState, STOPPED};

/// How long an operator waits for the control topic at most.
const CLAIM_WAIT: Duration = Duration::from_secs(10);

impl Orchestrator {
    pub(super) fn command(&mut self, token: u64, command: Command, now: Now) {
        let result = match command {
            Command::Start(start) => match self.start(token, *start, now) {
                Ok(()) => return,
                Err(refused) => Err(refused),
            },
            Command::Stop { run_id } => {
                self.stop(&run_id, RunState::Finished, &format!("{STOPPED} by the operator"), now)
            }
            Command::Abort { run_id, reason } => {
                self.stop(&run_id, RunState::Aborted, &format!("{STOPPED} at once: {reason}"), now)
            }
            Command::SetRate { run_id, factor } => self.set_rate(&run_id, factor, now),
        };
        self.actions.push(Action::Reply { token, result });
        self.progress(now);
    }

    /// Claims the lead for a new run. The answer is given once the claim is read back.
    fn start(&mut self, token: u64, start: Start, now: Now) -> Result<(), Refused> {
        if self.shutting_down.is_some() {
            return Err(Refused::ShuttingDown);
        }
        if let Some(run) = &self.run {
            return Err(Refused::Busy { run_id: run.run_id.clone(), state: run.state });
        }
        let claim = self.claim(&start.run_id, Some(token), now);
        let drivers = (start.min_drivers, start.max_drivers.max(start.min_drivers));
        let mut run = Run::new(start.run_id, Arc::clone(&start.plan), claim, drivers);
        run.files = start.files;
        self.run = Some(run);
        // Stored before the claim is sent: a restart must claim the same run.
        let claimed = self.actions.pop();
        self.persist();
        self.actions.extend(claimed);
        Ok(())
    }

    /// Takes up a run that a former life of this orchestrator left.
    pub(super) fn resume(&mut self, record: &RunRecord, now: Now) {
        let run_id = record.run_id.clone();
        let claim = self.claim(&run_id, None, now);
        match Run::resume(record, claim, self.bugs) {
            Ok(mut run) => {
                run.resumed_at = Some(now.instant);
                for member in run.present() {
                    self.fleet.expect(&member.node_id, member.incarnation);
                }
                self.run = Some(run);
                self.actions.push(Action::Collect { run_id });
                self.timeline(
                    "orchestrator_back",
                    "the orchestrator is back and continues".to_owned(),
                    None,
                    now,
                );
            }
            Err(why) => {
                self.actions.pop();
                self.notice(Level::Error, format!("run {run_id} cannot be continued: {why}"));
            }
        }
    }

    fn claim(&mut self, run_id: &str, token: Option<u64>, now: Now) -> Claim {
        // Whole numbers beyond 2^53 do not survive every JSON reader.
        let nonce = self.ids.number() >> 11;
        self.send(Message::Control(Control {
            test_id: Some(run_id.to_owned()),
            epoch: -1,
            seq: nonce,
            store: self.settings.store,
            command: transport::Command::Claim,
        }));
        Claim::Waiting { nonce, since: now.instant, token }
    }

    pub(super) fn on_control(&mut self, control: &Control, offset: i64, stamp: Option<BrokerTime>, now: Now) {
        let Some(stamp) = stamp.or_else(|| self.broker_now(now)) else { return };
        match self.run.as_ref().map(|run| run.claim) {
            Some(Claim::Waiting { nonce, token, .. }) if self.is_own_claim(control, nonce) => {
                self.decide_claim(offset, stamp, (nonce, token), now);
            }
            Some(Claim::Held { epoch, nonce })
                if !self.is_own_claim(control, nonce) && self.supersedes(control, offset, epoch) =>
            {
                self.superseded(control, now);
            }
            _ => {}
        }
        self.holds.note(control, stamp);
        self.progress(now);
    }

    fn is_own_claim(&self, control: &Control, nonce: u64) -> bool {
        control.command == transport::Command::Claim
            && control.store == self.settings.store
            && control.seq == nonce
    }

    /// A command under a later claim, or a later claim in the name of this store.
    fn supersedes(&self, control: &Control, offset: i64, epoch: i64) -> bool {
        match control.command {
            transport::Command::Claim => control.store == self.settings.store && offset > epoch,
            _ => control.epoch > epoch,
        }
    }

    fn decide_claim(&mut self, epoch: i64, stamp: BrokerTime, (nonce, token): (u64, Option<u64>), now: Now) {
        let own = self.settings.store;
        let rival = self.holds.rival(own, stamp).filter(|_| !self.bugs.has(Bug::IgnoreRival));
        if let Some((store, until)) = rival {
            self.withdraw(store, until, token, now);
            return;
        }
        let was_led = self.holds.until(own).is_some_and(|until| until > stamp);
        let Some(run) = &mut self.run else { return };
        run.claim = Claim::Held { epoch, nonce };
        let interrupted = run.start_at.is_some() && run.ending.is_none() && !was_led;
        let (run_id, state) = (run.run_id.clone(), run.state);
        self.next_lease = now.instant;
        self.persist();
        if let Some(token) = token {
            self.actions.push(Action::Reply { token, result: Ok(state) });
            self.actions.push(Action::Collect { run_id });
        }
        if interrupted {
            self.end_run(
                RunState::Aborted,
                "control lost: the leases ended before the orchestrator was back",
                now,
            );
        }
        self.lease_tick(now);
        self.rearm(now);
        // What was stored may never have been sent, and no heartbeat echoes a rate.
        self.send_rates();
    }

    /// Gives way to another orchestrator, and tells the log, so that nobody gives way to this claim.
    fn withdraw(&mut self, store: Uuid, until: BrokerTime, token: Option<u64>, now: Now) {
        let refused = Refused::Led { store, until };
        self.release_lead(BrokerTime::default());
        self.notice(Level::Error, refused.to_string());
        match token {
            Some(token) => self.actions.push(Action::Reply { token, result: Err(refused.clone()) }),
            None => self.timeline("lead_refused", refused.to_string(), None, now),
        }
        if let Some(run) = &mut self.run {
            run.ending = Some(RunState::Failed);
            run.reason = Some(refused.to_string());
        }
        self.conclude_unled(now);
    }

    /// An expired lease. It names no epoch: it is for other orchestrators, not for drivers.
    pub(super) fn release_lead(&mut self, expired: BrokerTime) {
        let test_id = self.run.as_ref().map(|run| run.run_id.clone());
        self.control_as(test_id, -1, transport::Command::Lease { expires_at: expired });
    }

    fn superseded(&mut self, control: &Control, now: Now) {
        let twin = control.store == self.settings.store;
        let text = if twin {
            "superseded: another process with the same store commands this run".to_owned()
        } else {
            format!("superseded: the orchestrator of store {} leads now", control.store)
        };
        self.timeline("superseded", text.clone(), None, now);
        self.notice(Level::Error, text.clone());
        let Some(run) = &mut self.run else { return };
        run.claim = Claim::Superseded;
        if twin {
            self.run = None;
            self.exited = true;
            self.actions.push(Action::Exit);
        } else {
            self.end_run(RunState::Aborted, &format!("control lost: {text}"), now);
        }
    }

    /// Gives up on a claim that is not read back, and finds out that the own lease ran out.
    pub(super) fn lead_tick(&mut self, now: Now) {
        let Some(run) = &self.run else { return };
        match run.claim {
            Claim::Waiting { since, token: Some(token), .. } if now.instant.since(since) >= CLAIM_WAIT => {
                let refused = Refused::NoLog(CLAIM_WAIT);
                let reason = refused.to_string();
                self.actions.push(Action::Reply { token, result: Err(refused) });
                self.release_lead(BrokerTime::default());
                if let Some(run) = &mut self.run {
                    run.ending = Some(RunState::Failed);
                    run.reason = Some(reason);
                }
                self.conclude_unled(now);
            }
            Claim::Held { .. } if run.ending.is_none() => self.check_lease(now),
            _ => {}
        }
    }

    /// A lease that ran out is never renewed: another orchestrator may have the lead, and the drivers have stopped.
    fn check_lease(&mut self, now: Now) {
        let until = self.holds.until(self.settings.store);
        let (Some(broker_now), Some(until)) = (self.broker_now(now), until) else { return };
        if until < broker_now {
            let text = format!("control lost: no lease reached the log for {} s", LEASE.as_secs());
            self.end_run(RunState::Aborted, &text, now);
        }
    }

    fn stop(&mut self, run_id: &str, state: RunState, reason: &str, now: Now) -> Result<RunState, Refused> {
        let Some(run) = self.run.as_ref().filter(|run| run.run_id == run_id) else {
            return Err(Refused::NotCurrent(run_id.to_owned()));
        };
        if run.epoch().is_none() {
            return Err(Refused::State { state: run.state, why: "it does not have the lead yet" });
        }
        if run.ending == Some(RunState::Aborted) || run.ending == Some(state) {
            return Ok(run.state);
        }
        self.end_run(state, reason, now);
        Ok(self.run.as_ref().map_or(state, |run| run.state))
    }

    fn set_rate(&mut self, run_id: &str, factor: f64, now: Now) -> Result<RunState, Refused> {
        let Some(run) = self.run.as_ref().filter(|run| run.run_id == run_id) else {
            return Err(Refused::NotCurrent(run_id.to_owned()));
        };
        let state = run.state;
        if !factor.is_finite() || factor <= 0.0 {
            return Err(Refused::State { state, why: "a factor is a number above 0" });
        }
        if !run.is_shared() && run.plan.limit().is_none() {
            return Err(Refused::Unsupported(
                "this load has no rate to change: it is per driver and has no limit",
            ));
        }
        if state != RunState::Running || run.ending.is_some() || run.epoch().is_none() {
            return Err(Refused::State { state, why: "a rate can be changed while the run is on" });
        }
        let earliest = run.rates.last().map_or(0, |(from_ns, _)| from_ns + 1);
        let Some(from_ns) = self.change_ns(now).map(|from_ns| from_ns.max(earliest)) else {
            return Err(Refused::State { state, why: "broker time is not known" });
        };
        if let Some(run) = &mut self.run {
            run.add_rate(from_ns, factor);
        }
        self.persist();
        self.control(transport::Command::SetRate { from_ns, factor });
        let text = format!("rate × {factor} from second {}", from_ns / 1_000_000_000);
        self.timeline("rate_changed", text, None, now);
        Ok(state)
    }

    /// Says all changes of rate; whoever knows them takes no notice.
    pub(super) fn send_rates(&mut self) {
        let rates = self.run.as_ref().map(|run| run.rates.clone()).unwrap_or_default();
        for (from_ns, factor) in rates {
            self.control(transport::Command::SetRate { from_ns, factor });
        }
    }

    /// The run time from which a change can hold: a whole second at least 2 s ahead, so that everybody reads it before.
    pub(super) fn change_ns(&self, now: Now) -> Option<u64> {
        const AHEAD_MS: i64 = 2000;
        let from_ms = self.elapsed_ms(now)?.saturating_add(AHEAD_MS).max(0);
        u64::try_from(from_ms).ok().map(|from_ms| from_ms.div_ceil(1000) * 1_000_000_000)
    }
}
