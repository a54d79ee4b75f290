//! What a plan may ask for at most, each with its reason.
//!
//! A value beyond these is far more often a slip (a unit, a zero too many) than a wish.

use std::time::Duration;

/// Bytes of a plan's text: larger ones would not fit beside the shares into one Kafka message (1 MB by default).
pub const PLAN_BYTES: usize = 256 * 1024;
/// Levels of nesting: a plan needs seven, a JSON body a few more.
pub const DEPTH: usize = 32;
/// Diagnostics that are reported of one file; a reader does not get beyond these, and a hostile file gets no more.
pub const DIAGNOSTICS: usize = 200;
/// Step names in one run: each is a row in every table, and two histograms per driver and second.
pub const STEP_NAMES: usize = 1_000;
/// Scenarios; beyond the step names there is nothing to tell them apart.
pub const SCENARIOS: usize = STEP_NAMES;
/// Steps in all scenarios together: names may repeat, so rows do not bound them.
pub const STEPS: usize = 10_000;
/// Items of a scenario's steps, fragments put in: requests, pauses, loops, groups and conditions about each.
pub const ITEMS: usize = 10 * STEPS;
/// Loads side by side: each has threads and connections of its own on every driver.
pub const LOADS: usize = 32;
/// Stages of all loads together: `StageId` is a column of every window.
pub const STAGES: usize = 1_000;
/// Thresholds: each is looked at once a second, and one that nobody reads says nothing.
pub const THRESHOLDS: usize = 100;
/// Targets among which iterations are divided.
pub const TARGETS: usize = 100;
/// Characters of a name: it is a column heading.
pub const NAME_CHARS: usize = 200;
/// Headers of a request: the limit that common servers have.
pub const HEADERS: usize = 100;
/// Bytes of a request's path and query: common servers refuse longer lines.
pub const PATH_BYTES: usize = 8 * 1024;
/// Arrivals per second of the whole fleet: a hundred drivers at the most that one machine's loopback takes.
pub const RATE_PER_S: f64 = 10_000_000.0;
/// Arrivals per second at least: one per hour. Slower is a timer, not a load.
pub const RATE_PER_S_MIN: f64 = 1.0 / 3600.0;
/// Length of a run, and of each stage: thirty days, longer than any soak test.
pub const RUN: Duration = Duration::from_secs(30 * 24 * 3600);
/// Timeouts, pauses, `max_wait` and `drain`: an hour is where the histograms end.
pub const WAIT: Duration = Duration::from_secs(3600);
/// Requests per driver: a day at ten million a second.
pub const REQUESTS_PER_DRIVER: u64 = 1_000_000_000_000;
/// Connections per driver: one address pair has about 64,000 ports, and few targets have more than one address.
pub const CONNECTIONS: u32 = 65_000;
/// Users of the whole fleet: more need more drivers than a fleet has, and 20 bits of an iteration's index.
pub const USERS: u32 = 1_000_000;
/// Streams of an HTTP/2 connection: the largest number that common servers allow (RFC 9113, 6.5.2 suggests 100).
pub const STREAMS: u32 = 1_000;
/// Redirects that are followed for one request: more is a circle. Browsers give up after 20.
pub const REDIRECTS: u32 = 50;
/// Addresses to connect from: each has its own 64,000 ports.
pub const SOURCE_ADDRESSES: usize = 1_000;
/// Characters of a file's name, as long as Linux takes them (`PATH_MAX`).
pub const FILE_NAME_BYTES: usize = 4_096;
/// Bytes of a Unix socket's path (`sockaddr_un`, less the final zero).
pub const SOCKET_PATH_BYTES: usize = 107;
/// Iterations in flight per driver, queue included: some kilobytes each.
pub const IN_FLIGHT: u32 = 1_000_000;
/// Weight of a scenario or target: enough for parts per million.
pub const WEIGHT: u32 = 1_000_000;
/// Secrets of a plan: each is looked up before the run.
pub const SECRETS: usize = 1_000;
/// Bytes of a body that is searched, when the plan does not say.
pub const SEARCHED_BODY_BYTES: u64 = 256 * 1024;
/// Bytes of a body that is searched, at most: each connection may hold one.
pub const SEARCHED_BODY_BYTES_MOST: u64 = 64 * 1024 * 1024;
/// Values that a step saves, demands that it makes of an answer, and parts of a multipart body.
pub const PARTS: usize = 100;
/// Setup and teardown, each as a whole, when the plan does not say: as in k6.
pub const FIXTURE: Duration = Duration::from_secs(60);
/// Values that a scenario saves.
pub const SAVED: usize = 1_000;
/// Times that a loop is walked in one iteration: beyond this it is a load of its own.
pub const LOOPS: u64 = 1_000_000;
/// Loops and groups in one another.
pub const NESTING: usize = 8;
/// Tags of a step.
pub const TAGS: usize = 20;
/// Sources of data: each is a file to send and a table to keep.
pub const DATA_SOURCES: usize = 100;
/// Columns of a table: looked for one after the other in each row.
pub const DATA_COLUMNS: usize = 1_000;
/// Generated rows: as many as iterations of a long run, and far fewer than numbers of 64 bits.
pub const DATA_ROWS: u64 = 1_000_000_000_000;
/// Bytes of one value in a table: larger ones are files of their own.
pub const DATA_CELL_BYTES: usize = 1024 * 1024;
/// Bytes of all files of a run: each driver keeps them in memory, and the message log for a week.
pub const FILES_BYTES: u64 = 1024 * 1024 * 1024;
