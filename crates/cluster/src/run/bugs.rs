//! Planted bugs: one for each invariant that the simulation checks, so that a check which cannot fail is noticed.
//!
//! Outside this crate's own tests no machine can be given one.

/// One mistake that a machine can be told to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The orchestrator does not count what was due on a lost driver.
    ForgetLost,
    /// The driver reports a window twice, under two identities.
    ReportTwice,
    /// The driver never hands over its third window.
    DropWindow,
    /// The driver stops when it has read nothing for a while, instead of going on until its lease ends.
    StopWhenCutOff,
    /// The orchestrator says nothing of a lost driver.
    SilentLoss,
    /// The driver takes a lease for endless.
    EndlessLease,
    /// The driver goes on after a stop.
    IgnoreStop,
    /// The driver goes on after a fence.
    IgnoreFence,
    /// The driver lets a paused engine go on before it has read what happened meanwhile.
    ReleaseAtOnce,
    /// The orchestrator leads although another one does.
    IgnoreRival,
    /// A driver obeys a fence that is meant for another life of its name.
    FenceByName,
    /// The orchestrator judges loss by its own clock.
    LossByOwnClock,
    /// The driver obeys an orchestrator that was superseded.
    ObeyOldEpoch,
    /// The driver starts when it reads the trigger.
    StartOnReading,
    /// The driver arms although it does not know the broker's time.
    ArmUnsynchronised,
    /// The orchestrator repeats its commands at every heartbeat.
    RepeatCommands,
    /// A new orchestrator forgets which driver has which lanes.
    ForgetShares,
    /// The driver walks setup or teardown as often as it is told to.
    SetUpAgain,
    /// The orchestrator has teardown walked without waiting for drivers that it lost.
    TearDownEarly,
    /// The orchestrator calls a run complete without comparing totals.
    CompleteUnseen,
}

/// Which of them a machine makes: at most one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bugs {
    #[cfg(test)]
    planted: Option<Bug>,
}

impl Bugs {
    #[cfg(test)]
    pub(crate) fn plant(bug: Option<Bug>) -> Self {
        Self { planted: bug }
    }

    #[cfg(test)]
    pub(crate) fn has(self, bug: Bug) -> bool {
        self.planted == Some(bug)
    }

    #[cfg(not(test))]
    pub(crate) const fn has(self, _: Bug) -> bool {
        false
    }
}
