//! What a rehearsal tells, all of it without secrets.

use std::time::Duration;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// An iteration begins.
    Begins {
        /// The scenario's name.
        scenario: String,
        /// Which of its iterations, from 1.
        number: u32,
        /// The base URL that it is sent to.
        target: String,
        /// The rows that it has, of the data that the scenario uses.
        rows: Vec<Row>,
    },
    /// Setup or teardown begins.
    Once {
        /// Which of them.
        fixture: plan::Fixture,
        /// The base URL that it is sent to.
        target: String,
    },
    /// A source has no row left, and the plan says that no iteration begins without.
    NoRow {
        /// The scenario's name.
        scenario: String,
        /// The source's.
        source: String,
    },
    /// A pause that was drawn, and what was waited of it.
    Pause {
        /// As in a run.
        drawn: Duration,
        /// Here.
        waited: Duration,
    },
    /// A group begins.
    Group(String),
    /// A group is over.
    Left(String),
    /// A condition was looked at.
    Condition {
        /// As it is written.
        text: String,
        /// Whether what it is for is done.
        holds: bool,
    },
    /// A round of a loop begins.
    Round {
        /// From 1.
        number: u64,
        /// As many as there are at most.
        most: u64,
        /// What holds for it.
        condition: Option<String>,
        /// The element that it is for: name and value.
        item: Option<(String, String)>,
    },
    /// A loop is over, after so many rounds.
    Rounds(u64),
    /// A request and what came of it.
    Exchange(Box<Exchange>),
    /// The iteration is over.
    Ends {
        /// Whether the plan's steps after this were not walked, because one failed whose values they need.
        is_broken: bool,
    },
}

/// A row of data.
#[derive(Debug, Clone)]
pub struct Row {
    /// The source's name.
    pub source: String,
    /// From 1; `None` where none was left.
    pub number: Option<u64>,
    /// How many there are.
    pub rows: u64,
    /// The columns that the plan uses.
    pub values: Vec<(String, String)>,
}

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The step's name.
    pub step: String,
    /// Redirects that were followed before it, in the same step.
    pub redirects: u32,
    /// `None` when it could not be made.
    pub request: Option<Sent>,
    /// When connecting took place for it: the connection itself, then TLS and what else is agreed upon before a request.
    pub connect: Option<(Duration, Duration)>,
    /// `None` when none came.
    pub answer: Option<Answer>,
    /// Whether it is a redirect that is followed.
    pub is_followed: bool,
    /// What the plan demands beside the status.
    pub checks: Vec<Checked>,
    /// What was saved: name and value.
    pub saved: Vec<(String, String)>,
    /// Cookies that were taken: name and value.
    pub cookies: Vec<String>,
    /// Why the step failed.
    pub failure: Option<Failure>,
}

/// A request that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: &'static str,
    /// All of them, those of the engine included.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether the plan accepts that.
    pub is_accepted: bool,
    /// From sent to the first byte.
    pub first_byte: Duration,
    /// From sent to done.
    pub total: Duration,
    /// As they came.
    pub headers: Vec<(String, String)>,
    /// The start of the body, decoded.
    pub body: Vec<u8>,
    /// Bytes of the body as it came.
    pub body_bytes: u64,
    /// Whether `body` is not all of it.
    pub is_cut: bool,
}

/// One demand.
#[derive(Debug, Clone)]
pub struct Checked {
    /// As the plan has it.
    pub text: String,
    /// Whether the answer is as demanded.
    pub holds: bool,
    /// What was demanded.
    pub expected: String,
    /// What was there.
    pub found: String,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of error that a run counts it as.
    pub kind: &'static str,
    /// In words.
    pub text: String,
}
