//! What became of one request: a closed list, the same in metrics, API and report.
//!
//! A new way to fail is a new [`ErrorKind`], never free text. Deliberately absent: messages of libraries and of the
//! target, which would make the list open and its counts unmergeable.

use std::fmt;

use plan::CheckKind;

/// Why a request did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The target's name could not be resolved.
    Dns,
    /// Nobody listens at the target's address.
    ConnectRefused,
    /// No connection within the time allowed.
    ConnectTimeout,
    /// The connection was reset while it was being made.
    ConnectReset,
    /// The TLS handshake failed.
    Tls,
    /// The request could not be written in full.
    Send,
    /// The answer stalled.
    ReadTimeout,
    /// The connection ended in the middle of the answer.
    ReadReset,
    /// The answer was not valid HTTP.
    Protocol,
    /// The step's timeout passed.
    RequestTimeout,
    /// A status that the plan does not accept.
    Status,
    /// A check of the plan failed.
    Check,
    /// The body could not be read as the plan needs it.
    Body,
    /// Ours: this machine had no more of what a request needs; [`LocalLimit`] says of what.
    LocalLimit,
    /// Ours: could not be started in time.
    Missed,
    /// Still in flight when the drain ended.
    Cancelled,
    /// A redirect that is not followed: one too many, to no target of the plan, or to nowhere.
    Redirect,
    /// A value that the plan saves was not in the answer.
    Extract,
    /// A request could not be made: an expression had no value, or one that does not fit its place.
    Expression,
    /// No row of data was left.
    Data,
}

impl ErrorKind {
    /// All of them, in the order of the connection's life but for those that came later: the place of each is its number
    /// in coded windows.
    pub const ALL: [Self; 20] = [
        Self::Dns,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectReset,
        Self::Tls,
        Self::Send,
        Self::ReadTimeout,
        Self::ReadReset,
        Self::Protocol,
        Self::RequestTimeout,
        Self::Status,
        Self::Check,
        Self::Body,
        Self::LocalLimit,
        Self::Missed,
        Self::Cancelled,
        Self::Redirect,
        Self::Extract,
        Self::Expression,
        Self::Data,
    ];

    /// The name in every output, such as `connect_refused`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectReset => "connect_reset",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::ReadTimeout => "read_timeout",
            Self::ReadReset => "read_reset",
            Self::Protocol => "protocol",
            Self::RequestTimeout => "request_timeout",
            Self::Status => "status",
            Self::Check => "check",
            Self::Body => "body",
            Self::LocalLimit => "local_limit",
            Self::Missed => "missed",
            Self::Cancelled => "cancelled",
            Self::Redirect => "redirect",
            Self::Extract => "extract",
            Self::Expression => "expression",
            Self::Data => "data",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the generator is to blame; then it is never counted against the target.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::LocalLimit | Self::Missed)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What this machine had no more of: the detail of [`ErrorKind::LocalLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum LocalLimit {
    /// Something else, or nobody said what.
    Other = 0,
    /// File descriptors, of the process or of the machine (`EMFILE`, `ENFILE`).
    Descriptors = 1,
    /// Local ports towards the target (`EADDRNOTAVAIL`).
    Ports = 2,
    /// Memory or buffers of the kernel (`ENOMEM`, `ENOBUFS`).
    Memory = 3,
}

impl LocalLimit {
    /// All of them, by their number.
    pub const ALL: [Self; 4] = [Self::Other, Self::Descriptors, Self::Ports, Self::Memory];

    /// The number that stands for it in an [`Outcome`].
    pub const fn detail(self) -> u16 {
        self as u16
    }

    /// What that number stands for; numbers of a later version are other limits.
    pub fn from_detail(detail: u16) -> Self {
        Self::ALL.get(usize::from(detail)).copied().unwrap_or(Self::Other)
    }

    /// In words, as they stand beside `local_limit`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other limit",
            Self::Descriptors => "no file descriptor",
            Self::Ports => "no local port",
            Self::Memory => "no memory",
        }
    }
}

/// What is checked, by its number in an [`Outcome`] less one: later ones come at the end.
const CHECKS: [CheckKind; 5] =
    [CheckKind::Header, CheckKind::Body, CheckKind::Json, CheckKind::Size, CheckKind::Time];

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// An answer that the plan accepts, with its status.
    Success(u16),
    /// A failure, with the status for [`ErrorKind::Status`], what was checked for [`ErrorKind::Check`],
    /// [`LocalLimit::detail`] for [`ErrorKind::LocalLimit`], else 0.
    Failed(ErrorKind, u16),
}

impl Outcome {
    /// A failure for want of something on this machine.
    pub const fn local_limit(limit: LocalLimit) -> Self {
        Self::Failed(ErrorKind::LocalLimit, limit.detail())
    }

    /// An answer that is not as the plan demands.
    pub fn check(kind: CheckKind) -> Self {
        let number = CHECKS.iter().position(|known| *known == kind).unwrap_or(0);
        Self::Failed(ErrorKind::Check, u16::try_from(number + 1).unwrap_or(0))
    }

    /// Whether the request succeeded.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success(_))
    }

    /// What is shown beside the kind of a failure: the status, what was checked, or what had run out.
    pub fn detail(self) -> Option<String> {
        let Self::Failed(kind, detail) = self else { return None };
        match kind {
            ErrorKind::Status => Some(detail.to_string()),
            ErrorKind::Check => {
                let kind = usize::from(detail).checked_sub(1).and_then(|at| CHECKS.get(at))?;
                Some(kind.as_str().to_owned())
            }
            ErrorKind::LocalLimit => match LocalLimit::from_detail(detail) {
                LocalLimit::Other => None,
                limit => Some(limit.as_str().to_owned()),
            },
            _ => None,
        }
    }

    /// The HTTP status, where there was an answer whose status counts.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Success(status) | Self::Failed(ErrorKind::Status | ErrorKind::Redirect, status) => {
                Some(status)
            }
            Self::Failed(..) => None,
        }
    }
}

/// Who kept a due iteration from being started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unstarted {
    /// The generator: it was too late, paused, or out of descriptors, ports or CPU.
    Ours,
    /// The target: no connection became free within `max_wait`.
    Target,
    /// The plan: `max_in_flight` was reached, or no row of data was left.
    Limit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_kind() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(ErrorKind::from_name("timeout"), None);
    }

    #[test]
    fn only_some_failures_have_a_detail() {
        let detail = |kind, number| Outcome::Failed(kind, number).detail();
        assert_eq!(detail(ErrorKind::Status, 503).as_deref(), Some("503"));
        assert_eq!(detail(ErrorKind::LocalLimit, 1).as_deref(), Some("no file descriptor"));
        assert_eq!(detail(ErrorKind::LocalLimit, 0), None);
        assert_eq!(detail(ErrorKind::Dns, 0), None);
        assert_eq!(Outcome::Success(200).detail(), None);
    }

    #[test]
    fn numbers_lead_back_to_their_limit() {
        for limit in LocalLimit::ALL {
            assert_eq!(LocalLimit::from_detail(limit.detail()), limit);
        }
        assert_eq!(LocalLimit::from_detail(u16::MAX), LocalLimit::Other);
    }

    #[test]
    fn the_list_is_in_its_own_order() {
        assert!(ErrorKind::ALL.is_sorted());
    }
}
