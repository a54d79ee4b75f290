//! How the program ends: the documented exit codes, and which one is given when several hold.

use std::process::ExitCode;

/// Why the program ends as it does; the values are the codes given to the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A fault of the program or of what it stands on.
    Internal = 1,
    /// Stopped by the operator, a signal or the API.
    Stopped = 105,
    /// Drivers were lost: the result is incomplete.
    DriversLost = 111,
    /// A threshold failed, or no request succeeded.
    Failed = 99,
    /// The verdict is not `valid`, and `--strict` asked.
    NotTrustworthy = 112,
    /// The command line asks for what does not go together.
    Usage = 2,
    /// The plan or a setting is invalid.
    Invalid = 104,
    /// The address cannot be listened on.
    CannotListen = 106,
    /// Nothing was sent: the target is out of reach, not allowed, or drivers are missing.
    Preflight = 110,
    /// Everything went as asked.
    Success = 0,
}

impl Exit {
    /// Which end is told when a run ends for several reasons.
    const PRECEDENCE: [Exit; 5] =
        [Exit::Internal, Exit::Stopped, Exit::DriversLost, Exit::Failed, Exit::NotTrustworthy];

    /// The end to tell of a run for which all of `reasons` hold; success when there is none.
    pub fn of_run(reasons: &[Exit]) -> Self {
        Self::PRECEDENCE.into_iter().find(|exit| reasons.contains(exit)).unwrap_or(Exit::Success)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An end with a code of its own, and what to tell the user.
#[derive(Debug)]
pub struct Ended {
    pub exit: Exit,
    pub message: String,
}

impl Ended {
    /// Ends with `exit` after telling `message`.
    pub fn because(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { exit, message: message.into() })
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Ended {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_in_the_documented_order_is_told() {
        assert_eq!(Exit::of_run(&[Exit::NotTrustworthy, Exit::Failed, Exit::Stopped]), Exit::Stopped);
        assert_eq!(Exit::of_run(&[Exit::Failed, Exit::DriversLost]), Exit::DriversLost);
        assert_eq!(Exit::of_run(&[]), Exit::Success);
    }
}
