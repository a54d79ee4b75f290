//! The shapes of a plan, all of them, from the outside in.
//!
//! Invariant: each is reachable from [`PLAN`], but for [`INCLUDED`].

use crate::connections::KNOWN as PER;
use crate::data::{ENDS, FORMATS, PICKS};
use crate::events::KNOWN as KEPT;
use crate::load::PROCESSES;
use crate::network::{FAMILIES, VERSIONS};
use crate::parse::{LOSSES, UNREADY};
use crate::shape::Form::{
    Any, Count, Expression, Flag, Json, List, Map, Name, Number, Of, OneOrMore, Rate, Sample, Size, Sizes,
    Span, Spans, Status, Steps, Text, Words,
};
use crate::shape::{Form, Key, Shape, words};

pub(crate) static PLAN: Shape = Shape {
    id: "plan",
    what: "a plan",
    keys: &[
        Key::required("version", Words(|| vec!["1"]), "Version of the format: 1"),
        Key::required("name", Name, "Name of the plan"),
        Key::new(
            "include",
            List(&Text),
            "Files beside the plan with variables, data and fragments of their own",
        ),
        Key::new("env", Map(&Text), "The environment, as it was where the plan was submitted"),
        Key::new("variables", Map(&Json), "Values for expressions; `--var NAME=VALUE` sets them for a run"),
        Key::new("fragments", Map(&Steps), "Steps for several scenarios, which `use: NAME` puts in"),
        Key::new("auth", Of(&AUTH), "Authorization of all requests"),
        Key::required(
            "target",
            OneOrMore(&Any(TARGETS)),
            "Base URL of the target, or several, chosen by weight",
        ),
        Key::or(
            "http",
            Words(|| words(&VERSIONS)),
            "1.1",
            "Version of HTTP; auto is what an https target chooses",
        ),
        Key::new("tls", Of(&TLS), "What TLS needs beyond the target's URL"),
        Key::new("network", Of(&NETWORK), "How targets are reached"),
        Key::or(
            "phases",
            Flag,
            "false",
            "Also record name lookup, connect, TLS, sending, waiting and receiving",
        ),
        Key::or(
            "events",
            Any(&[Words(|| words(&KEPT)), Sample]),
            "errors",
            "Which requests leave a row of their own: all, errors, a part such as sample 1%, or none",
        ),
        Key::or("seed", Number, "1", "The same plan and seed give the same times and choices"),
        Key::new(
            "load",
            Any(LOADS),
            "When requests are sent: one model, for all scenarios that have none of their own",
        ),
        Key::new("data", Map(&Of(&DATA)), "Rows that iterations use, by the name of their source"),
        Key::new("setup", Steps, "Steps that one driver walks once before the load; what they save all have"),
        Key::new("setup_timeout", Span, "How long setup may take; default: 60s"),
        Key::required("scenarios", Map(&Of(&SCENARIO)), "What is sent, by name"),
        Key::new("teardown", Steps, "Steps that one driver walks once after the load"),
        Key::new("teardown_timeout", Span, "How long teardown may take; default: 60s"),
        Key::new(
            "thresholds",
            List(&Text),
            "What must have been measured for the run to pass, such as `p99 < 250ms`",
        ),
        Key::new("on_driver_loss", Words(|| words(&LOSSES)), "What happens when a driver is lost in the run"),
        Key::or(
            "on_unready_driver",
            Words(|| words(&UNREADY)),
            "fail",
            "What happens when a driver cannot begin in time",
        ),
        Key::or("drain", Span, "30s", "How long requests in flight may take at the end"),
    ],
};

/// What an included file may have.
pub(crate) static INCLUDED: Shape = Shape {
    id: "included",
    what: "an included file",
    keys: &[
        Key::new("include", List(&Text), "More files"),
        Key::new("variables", Map(&Json), "Values for expressions"),
        Key::new("data", Map(&Of(&DATA)), "Sources of rows"),
        Key::new("fragments", Map(&Steps), "Steps for several scenarios"),
    ],
};

static TARGETS: &[Form] = &[Text, Of(&TARGET)];

pub(crate) static TARGET: Shape = Shape {
    id: "target",
    what: "a target",
    keys: &[
        Key::required("url", Text, "Base URL: http://, https://, or unix:/run/app.sock:/base"),
        Key::or("weight", Count, "1", "How often it is chosen, against the others"),
    ],
};

pub(crate) static TLS: Shape = Shape {
    id: "tls",
    what: "tls",
    keys: &[
        Key::new("ca", Text, "PEM file of authorities to trust instead of the system's"),
        Key::new(
            "certificate",
            Text,
            "PEM file of the certificate shown to targets that ask for one; with `key`",
        ),
        Key::new("key", Text, "PEM file of its private key"),
        Key::new("server_name", Text, "Name that the certificate must be for; default: the target's host"),
        Key::or("insecure", Flag, "false", "Take any certificate"),
        Key::or(
            "resumption",
            Flag,
            "true",
            "Whether connections take up earlier sessions; false makes each handshake a full one",
        ),
    ],
};

pub(crate) static NETWORK: Shape = Shape {
    id: "network",
    what: "network",
    keys: &[
        Key::new(
            "source_addresses",
            OneOrMore(&Text),
            "Addresses of the driver's machine to connect from, in turn",
        ),
        Key::or("addresses", Words(|| words(&FAMILIES)), "any", "Which addresses of a name are used"),
        Key::or(
            "dns",
            Any(&[Words(|| vec!["start", "connection"]), Span]),
            "start",
            "When names are looked up: once, for each connection, or again after so long",
        ),
        Key::new("proxy", Text, "HTTP proxy that all connections go through, such as http://10.0.0.1:3128"),
    ],
};

static LOADS: &[Form] = &[Of(&OPEN), Of(&CLOSED), Of(&TSUNAMI), Of(&AVALANCHE)];

static CONNECTION_FORMS: &[Form] = &[Count, Of(&CONNECTIONS)];

pub(crate) static OPEN: Shape = Shape {
    id: "open",
    what: "an open load",
    keys: &[
        Key::required(
            "model",
            Words(|| vec!["open"]),
            "Iterations by schedule, for the whole fleet, whatever the target does",
        ),
        Key::or(
            "arrivals",
            Words(|| words(&PROCESSES)),
            "uniform",
            "Equally spaced, or independent of each other",
        ),
        Key::required("stages", List(&Of(&RATE_STAGE)), "Rates, one after the other"),
        Key::new(
            "connections",
            Any(CONNECTION_FORMS),
            "Connections of each driver: a number, or start, max and more",
        ),
        Key::new(
            "max_in_flight",
            Count,
            "Iterations of each driver under way or waiting for a connection, at most",
        ),
        Key::new(
            "max_wait",
            Span,
            "How long an arrival may wait for a connection; default: its step's timeout",
        ),
    ],
};

pub(crate) static CLOSED: Shape = Shape {
    id: "closed",
    what: "a closed load",
    keys: &[
        Key::required("model", Words(|| vec!["closed"]), "Users of the whole fleet, each in a loop"),
        Key::new("stages", List(&Of(&USER_STAGE)), "Numbers of users, one after the other"),
        Key::new("users", Count, "So many users, with `iterations` instead of stages"),
        Key::new("iterations", Count, "The run is over after so many, of all users together"),
        Key::new("think_time", Spans, "Waited by a user between two iterations: 1s, or 1s..3s"),
        Key::new("pacing", Span, "An iteration is intended so long after the one before, at the earliest"),
        Key::new(
            "connections",
            Any(CONNECTION_FORMS),
            "Connections of each driver: a number, or start, max and more",
        ),
        Key::new(
            "max_wait",
            Span,
            "How long a request may wait for a connection; default: its step's timeout",
        ),
    ],
};

pub(crate) static TSUNAMI: Shape = Shape {
    id: "tsunami",
    what: "a tsunami",
    keys: &[
        Key::required("model", Words(|| vec!["tsunami"]), "Each driver sends a request per delay"),
        Key::required("requests_per_driver", Count, "Requests of each driver"),
        Key::required("delay", Span, "Time between two requests of a driver"),
        Key::new("target_throughput_per_driver", Rate, "Intended times are at least 1/limit apart"),
        Key::new(
            "connections",
            Any(CONNECTION_FORMS),
            "Connections of each driver: a number, or start, max and more",
        ),
        Key::new(
            "max_wait",
            Span,
            "How long a request may wait for a connection; default: its step's timeout",
        ),
    ],
};

pub(crate) static AVALANCHE: Shape = Shape {
    id: "avalanche",
    what: "an avalanche",
    keys: &[
        Key::required(
            "model",
            Words(|| vec!["avalanche"]),
            "Each driver sends as fast as the target answers",
        ),
        Key::required("requests_per_driver", Count, "Requests of each driver"),
        Key::new(
            "connections",
            Any(CONNECTION_FORMS),
            "Connections of each driver, 64 unless this says otherwise",
        ),
        Key::new(
            "target_throughput_per_driver",
            Rate,
            "At most so many requests leave each driver per second",
        ),
    ],
};

pub(crate) static RATE_STAGE: Shape = Shape {
    id: "rate_stage",
    what: "a stage",
    keys: &[
        Key::new("name", Name, "Name of the stage"),
        Key::new("at", Rate, "A rate that stays; with `for`"),
        Key::new(
            "from",
            Any(&[Rate, Words(|| vec!["0/s"])]),
            "The rate at the beginning of a ramp; with `to` and `over`",
        ),
        Key::new("for", Span, "How long"),
        Key::new("to", Any(&[Rate, Words(|| vec!["0/s"])]), "The rate at its end"),
        Key::new("over", Span, "How long the ramp takes"),
        Key::or("warmup", Flag, "false", "Shown, but left out of the summary"),
    ],
};

pub(crate) static USER_STAGE: Shape = Shape {
    id: "user_stage",
    what: "a stage",
    keys: &[
        Key::new("name", Name, "Name of the stage"),
        Key::new("users", Count, "A number of users that stays; with `for`"),
        Key::new("from", Number, "Users at the beginning of a ramp; with `to` and `over`"),
        Key::new("for", Span, "How long"),
        Key::new("to", Number, "Users at its end"),
        Key::new("over", Span, "How long the ramp takes"),
        Key::or("warmup", Flag, "false", "Shown, but left out of the summary"),
    ],
};

pub(crate) static CONNECTIONS: Shape = Shape {
    id: "connections",
    what: "connections",
    keys: &[
        Key::new("start", Count, "Opened before the run, per driver"),
        Key::new("max", Count, "Open at once at most, per driver"),
        Key::or(
            "per",
            Words(|| words(&PER)),
            "pool",
            "Any that is free, each user its own, or a new one for each iteration",
        ),
        Key::new("requests", Count, "Requests on one connection at most"),
        Key::new("lifetime", Span, "How long one is used at most"),
        Key::new("streams", Count, "HTTP/2: requests at once on one connection at most"),
    ],
};

pub(crate) static DATA: Shape = Shape {
    id: "data",
    what: "a source of data",
    keys: &[
        Key::new("file", Text, "File of rows, in the plan's folder or below"),
        Key::new("format", Words(|| words(&FORMATS)), "How it is written, where its ending does not say so"),
        Key::new("rows", Count, "Instead of a file: so many rows, made from `columns`"),
        Key::new("columns", Map(&Text), "Names and templates of generated columns"),
        Key::or("pick", Words(|| words(&PICKS)), "in_turn", "Which row an iteration uses"),
        Key::new("when_exhausted", Words(|| words(&ENDS)), "What happens when no row is left"),
    ],
};

pub(crate) static AUTH: Shape = Shape {
    id: "auth",
    what: "auth",
    keys: &[
        Key::new("basic", Of(&BASIC), "User and password"),
        Key::new("bearer", Text, "A token"),
        Key::new("aws", Of(&AWS), "Signature Version 4 of AWS"),
    ],
};

pub(crate) static BASIC: Shape = Shape {
    id: "basic",
    what: "basic",
    keys: &[
        Key::required("user", Text, "The user's name"),
        Key::required("password", Text, "The password, best as {{ secret.NAME }}"),
    ],
};

pub(crate) static AWS: Shape = Shape {
    id: "aws",
    what: "aws",
    keys: &[
        Key::required("region", Text, "Such as eu-central-1"),
        Key::required("service", Text, "Such as s3 or execute-api"),
        Key::required("access_key", Text, "Whose key it is"),
        Key::required("secret_key", Text, "The key, best as {{ secret.NAME }}"),
        Key::new("session_token", Text, "For keys that hold for a while"),
    ],
};

pub(crate) static SCENARIO: Shape = Shape {
    id: "scenario",
    what: "a scenario",
    keys: &[
        Key::or("weight", Count, "1", "How often it is walked, against the others of the plan's load"),
        Key::new("load", Any(LOADS), "When it is walked, beside the plan's load: open or closed"),
        Key::or("cookies", Flag, "false", "What targets set is sent back"),
        Key::new("tags", List(&Name), "Tags of all its steps"),
        Key::new("auth", Of(&AUTH), "Authorization of its requests"),
        Key::required("steps", Steps, "Its steps, one after the other"),
    ],
};

/// What an item of a list of steps may be.
pub(crate) static ITEMS: [&Shape; 8] =
    [&REQUEST, &PAUSE, &GROUP, &REPEAT, &WHILE, &FOR_EACH, &CONDITION, &USE];

pub(crate) static REQUEST: Shape = Shape {
    id: "request",
    what: "a step",
    keys: &[
        Key::new("get", Text, "Path, appended to the target's URL"),
        Key::new("post", Text, "Path, appended to the target's URL"),
        Key::new("put", Text, "Path, appended to the target's URL"),
        Key::new("patch", Text, "Path, appended to the target's URL"),
        Key::new("delete", Text, "Path, appended to the target's URL"),
        Key::new("head", Text, "Path, appended to the target's URL"),
        Key::new("options", Text, "Path, appended to the target's URL"),
        Key::new("name", Name, "The row in every table; default: method and path"),
        Key::new("headers", Map(&Text), "Headers of the request"),
        Key::new("query", Map(&OneOrMore(&Text)), "Parameters of the URL"),
        Key::new("body", Text, "A body as it is sent"),
        Key::new("json", Json, "A body of JSON"),
        Key::new("form", Map(&OneOrMore(&Text)), "A body of a form"),
        Key::new("multipart", Map(&OneOrMore(&Any(&[Text, Of(&PART)]))), "A body of several parts"),
        Key::new("file", Text, "A body from a file beside the plan"),
        Key::new("auth", Of(&AUTH), "Authorization of this request"),
        Key::or("timeout", Span, "30s", "How long it may take"),
        Key::new("expect", Of(&EXPECT), "What makes the answer a success; default: a status of 200 to 399"),
        Key::new("save", Map(&Any(&[Text, Of(&SAVED)])), "Values to keep of the answer, by name"),
        Key::new("max_body", Size, "Bytes of an answer that is looked at, at most; default: 256KiB"),
        Key::or("follow_redirects", Any(&[Flag, Number]), "false", "Follow redirects: true is ten"),
        Key::or("decompress", Flag, "false", "Ask for compressed answers"),
        Key::or("expect_continue", Flag, "false", "Hold the body back until the target asks for it"),
        Key::new("tags", List(&Name), "Words by which results are put together"),
        Key::new("when", Expression, "Sent only if this holds"),
    ],
};

pub(crate) static PART: Shape = Shape {
    id: "part",
    what: "a part",
    keys: &[
        Key::new("file", Text, "A file beside the plan"),
        Key::new("text", Text, "Text"),
        Key::new("type", Text, "Its content type"),
        Key::new("filename", Text, "The name that the target is told"),
    ],
};

pub(crate) static SAVED: Shape = Shape {
    id: "saved",
    what: "a saved value",
    keys: &[
        Key::new("json", Text, "A JSONPath"),
        Key::new("header", Text, "The name of a header"),
        Key::new("regex", Text, "A regular expression; its first group is kept"),
        Key::new("css", Text, "A CSS selector, with @attribute at its end if need be"),
        Key::new("default", Json, "What it is when it is not there"),
    ],
};

pub(crate) static EXPECT: Shape = Shape {
    id: "expect",
    what: "expect",
    keys: &[
        Key::new("status", OneOrMore(&Status), "Status codes: 200, 2xx, 200..299, or a list"),
        Key::new("headers", Map(&Any(&[Text, Of(&DEMAND)])), "Headers, by their names"),
        Key::new("body_contains", OneOrMore(&Text), "Text that must be in the body"),
        Key::new("body_matches", Text, "A regular expression that the body must match"),
        Key::new(
            "json",
            Map(&Json),
            "Values by JSONPath, or { exists: true }, { contains: … }, { matches: … }",
        ),
        Key::new("size", Sizes, "Bytes of the body: 2KiB, or 1KiB..2MiB"),
        Key::new("under", Span, "The response time must be below this"),
    ],
};

pub(crate) static DEMAND: Shape = Shape {
    id: "demand",
    what: "a demand",
    keys: &[
        Key::new("is", Text, "Exactly this"),
        Key::new("contains", Text, "This is in it"),
        Key::new("matches", Text, "A regular expression"),
        Key::new("exists", Flag, "It is there, or is not"),
    ],
};

pub(crate) static PAUSE: Shape = Shape {
    id: "pause",
    what: "a pause",
    keys: &[
        Key::required("pause", Any(&[Spans, Of(&DISTRIBUTION)]), "1s, 1s..3s, or a distribution"),
        Key::new("when", Expression, "Only if this holds"),
    ],
};

pub(crate) static DISTRIBUTION: Shape = Shape {
    id: "distribution",
    what: "a pause",
    keys: &[
        Key::new("normal", Span, "Mean of a normal distribution; with `stddev`"),
        Key::new("stddev", Span, "Its standard deviation"),
        Key::new("exponential", Span, "Mean of an exponential distribution"),
    ],
};

pub(crate) static GROUP: Shape = Shape {
    id: "group",
    what: "a group",
    keys: &[
        Key::required("group", Name, "Steps with a time of their own, all together"),
        Key::required("steps", Steps, "What is in it"),
    ],
};

pub(crate) static REPEAT: Shape = Shape {
    id: "repeat",
    what: "a loop",
    keys: &[
        Key::required("repeat", Any(&[Count, Expression]), "So many times: a number, or an expression"),
        Key::required("steps", Steps, "What is in it; loop.index counts from 0"),
    ],
};

pub(crate) static WHILE: Shape = Shape {
    id: "while",
    what: "a loop",
    keys: &[
        Key::required("while", Expression, "As long as this holds"),
        Key::required("at_most", Count, "And so many times at most"),
        Key::required("steps", Steps, "What is in it"),
    ],
};

pub(crate) static FOR_EACH: Shape = Shape {
    id: "for_each",
    what: "a loop",
    keys: &[
        Key::required("for_each", Expression, "A list"),
        Key::required("as", Text, "The name of its element in each round"),
        Key::required("steps", Steps, "What is in it"),
    ],
};

pub(crate) static CONDITION: Shape = Shape {
    id: "condition",
    what: "a condition",
    keys: &[
        Key::required("when", Expression, "Only if this holds"),
        Key::required("steps", Steps, "What is in it"),
    ],
};

pub(crate) static USE: Shape = Shape {
    id: "use",
    what: "the use of a fragment",
    keys: &[Key::required("use", Text, "The name of a fragment, whose steps stand here")],
};
