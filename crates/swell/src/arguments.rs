//! The command line as it is typed: names, defaults and help. What it means is decided in `commands`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod database;
mod rows;

pub use database::{Database, DbCommand, DbInit, DbPrune, DbStatus, Storage, location};
pub use rows::{Export, ExportFormat, RowFormat, Sql, What};

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// An address, or one without a port, which is Scribe's then.
fn scribe_address(text: &str) -> Result<SocketAddr, String> {
    let whole = text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, scribe::PORT)));
    whole.map_err(|_| "it is written ADDR or ADDR:PORT, such as 127.0.0.1:1463".to_owned())
}

/// Distributed load testing with one result that can be trusted.
#[derive(Debug, Parser)]
#[command(name = "swell", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    /// Colour of text on standard output and standard error
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Only errors on standard error
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// What to log to standard error, such as `info` or `warn,transport=debug`
    #[arg(long, global = true, env = "SWELL_LOG", default_value = "warn", value_name = "FILTER")]
    pub log: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole system in one process: target, orchestrator, three drivers, dashboard, a short run
    Demo(Demo),
    /// Run a plan, or a URL with the quick options, and print the result
    Run(Box<Run>),
    /// Serve the REST API and the dashboard, and coordinate runs over the drivers
    Orchestrator(Orchestrator),
    /// Store the raw events of the fleet, for scaling out; takes events by the Scribe protocol, too
    Collector(Collector),
    /// Join the fleet and generate load when told
    Driver(Driver),
    /// Serve a sample target to put load on
    Target(Target),
    /// Check a plan and report all its faults, without sending anything
    Check(Check),
    /// Walk each scenario of a plan once, and show every request and what came of it
    Try(Box<Try>),
    /// Look at a plan before it is run
    Plan {
        #[command(subcommand)]
        command: PlanCommand,
    },
    /// Write a plan to start from
    Init(Init),
    /// Print the JSON Schema of a format, for editors
    Schema(Schema),
    /// Make a plan of what another tool recorded, describes or was told
    Import(Box<Import>),
    /// Say what the code of a plan's fault means
    Explain(Explain),
    /// List past runs
    Runs(Runs),
    /// Print the result of a past run
    Report(Report),
    /// Ask the rows of a run in SQL
    Sql(Sql),
    /// Write the rows of a run to a file of another tool
    Export(Export),
    /// Set up and look after a PostgreSQL or TimescaleDB store
    Db {
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Check the limits and clocks of this machine
    Doctor(Doctor),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// How to reach Kafka.
#[derive(Debug, Args)]
pub struct Kafka {
    /// Kafka brokers to start from
    #[arg(long, env = "SWELL_KAFKA", value_name = "HOST:PORT,…")]
    pub kafka: Option<String>,

    /// What the names of the topics begin with; empty to meet other implementations of the protocol
    #[arg(long, env = "SWELL_TOPIC_PREFIX", default_value = "swell.", value_name = "TEXT")]
    pub topic_prefix: String,

    /// More Kafka client settings, `name=value` lines in librdkafka's names (TLS, SASL)
    #[arg(long, env = "SWELL_KAFKA_CONFIG", value_name = "FILE")]
    pub kafka_config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Address of the dashboard and the API; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Keep the dashboard up after the run, until Ctrl-C
    #[arg(long)]
    pub linger: bool,

    /// Folder of the embedded store, or a PostgreSQL database; a temporary folder when not given
    #[arg(long, value_name = "DIR|URL")]
    pub store: Option<String>,
}

#[derive(Debug, Args)]
pub struct Run {
    /// A plan file, `-` for standard input, or a URL with the quick options
    #[arg(value_name = "PLAN|URL")]
    pub plan: String,

    /// Drivers: how many to start in this process, or with --kafka how many to use at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub drivers: Option<u16>,

    /// With --kafka: wait for at least this many drivers
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub min_drivers: u16,

    /// Put the load on this target instead of the plan's
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// Set a variable of the plan; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,

    /// Write the result to a file: `json=FILE` or `text=FILE`; repeatable
    #[arg(short, long, value_name = "FORMAT=FILE")]
    pub output: Vec<String>,

    /// Serve the dashboard while the run is on
    #[arg(long)]
    pub ui: bool,

    /// Keep the dashboard up after the run, until Ctrl-C; implies --ui
    #[arg(long)]
    pub linger: bool,

    /// Address of the dashboard; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7700", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// End with exit code 112 when the verdict is not `valid`
    #[arg(long)]
    pub strict: bool,

    #[command(flatten)]
    pub quick: Quick,
    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub storage: Storage,
    #[command(flatten)]
    pub generator: Generator,
}

/// A run without a plan file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Quick form, with a URL")]
pub struct Quick {
    /// Arrivals per second over all drivers, such as `500/s`; with --for
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,

    /// How long, such as `30s`; with --rate or --users
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,

    /// So many users over all drivers, each in a loop; with --for or --requests
    #[arg(long, value_name = "N")]
    pub users: Option<u64>,

    /// This many requests per driver, as fast as the target answers; with --users of all users together
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,

    /// Connections of each driver; with --requests
    #[arg(long, value_name = "N")]
    pub connections: Option<u32>,

    /// Request method
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,

    /// Request header `Name: value`; repeatable
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,

    /// Request body
    #[arg(long, value_name = "TEXT")]
    pub body: Option<String>,

    /// How long to wait for one response, such as `10s`
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,

    /// Speak HTTP/2: with prior knowledge to http:// URLs, as the only offer to https:// ones
    #[arg(long)]
    pub http2: bool,

    /// Take any certificate of the target for good
    #[arg(long)]
    pub insecure: bool,

    /// Seed of what is random in the plan
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// How load is generated here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load generation")]
pub struct Generator {
    /// Engine threads of a driver; by default the cores it may use (in one process: less one, shared by the drivers)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Also load this host: a name, an address or a network such as 203.0.113.0/24; repeatable. Loopback and private
    /// networks are always allowed
    #[arg(long, env = "SWELL_ALLOW", value_delimiter = ',', value_name = "HOST")]
    pub allow: Vec<String>,

    /// Loop that drives the sockets: auto, uring or epoll; auto takes io_uring where it works
    #[arg(long, env = "SWELL_IO", default_value = "auto", value_name = "LOOP")]
    pub io: engine::Io,

    #[command(flatten)]
    pub secrets: SecretFile,
}

/// Where secrets are, beside the environment.
#[derive(Debug, Args)]
pub struct SecretFile {
    /// Secrets of plans, a line NAME=VALUE each, before those in variables of the environment called SWELL_SECRET_NAME
    #[arg(long = "secrets", env = "SWELL_SECRETS", value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Where the requests of `try` and `check --connect` go.
#[derive(Debug, Args)]
pub struct Reach {
    /// Send to this target instead of the plan's
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// Take any certificate of the target for good
    #[arg(long)]
    pub insecure: bool,

    /// Also send to this host, beside the plan's targets, loopback and private networks; repeatable
    #[arg(long, env = "SWELL_ALLOW", value_delimiter = ',', value_name = "HOST")]
    pub allow: Vec<String>,

    #[command(flatten)]
    pub secrets: SecretFile,
}

#[derive(Debug, Args)]
pub struct Try {
    /// A plan file, or `-` for standard input
    #[arg(value_name = "PLAN")]
    pub plan: String,

    /// Only this scenario
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,

    /// Iterations of each scenario
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub iterations: u32,

    /// Wait for the pauses of the plan, which are skipped otherwise
    #[arg(long)]
    pub with_pauses: bool,

    /// Seed of what is random in the plan, instead of the plan's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Set a variable of the plan; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,

    /// One JSON object a line for each request
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub reach: Reach,
}

#[derive(Debug, Args)]
pub struct Orchestrator {
    /// Address of the API and the dashboard
    #[arg(long, env = "SWELL_LISTEN", default_value = "127.0.0.1:7700", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Leave raw events to `swell collector`
    #[arg(long)]
    pub no_collector: bool,

    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Args)]
pub struct Collector {
    /// Also take events by the Scribe protocol, at this address; without a port: 1463
    #[arg(long, env = "SWELL_SCRIBE", value_name = "ADDR[:PORT]", value_parser = scribe_address)]
    pub scribe: Option<SocketAddr>,

    /// Take events of this Scribe category only, besides those of drivers; repeatable. By default of all
    #[arg(long = "scribe-category", value_name = "NAME", requires = "scribe")]
    pub scribe_categories: Vec<String>,

    /// Serve `/metrics` for Prometheus here, to whoever reaches the address
    #[arg(long, env = "SWELL_COLLECTOR_LISTEN", value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Args)]
pub struct Driver {
    /// Name of this driver in the fleet; by default the host's name and a short random part
    #[arg(long, env = "SWELL_NODE_ID", value_name = "NAME")]
    pub node_id: Option<String>,

    /// Label `key=value`, shown with the driver; repeatable
    #[arg(long = "label", value_name = "K=V")]
    pub labels: Vec<String>,

    /// Where it runs, shown with the driver
    #[arg(long, env = "SWELL_ZONE", value_name = "NAME")]
    pub zone: Option<String>,

    /// Target for orchestrators of other make, which do not send one
    #[arg(long, env = "SWELL_TARGET", value_name = "URL")]
    pub target: Option<String>,

    /// Send raw events to this Scribe server instead of Kafka: `scribe://HOST` or `scribe://HOST:PORT`
    #[arg(long, env = "SWELL_EVENTS", value_name = "URL")]
    pub events: Option<scribe::Address>,

    /// Folder where raw events wait while Kafka takes none and memory is full; no other driver may use it
    #[arg(long, env = "SWELL_SPILL", value_name = "DIR")]
    pub spill: Option<PathBuf>,

    /// What the files in --spill take at most; beyond, new raw events are dropped and counted
    #[arg(long, env = "SWELL_SPILL_MAX", default_value = "1GiB", value_name = "SIZE", value_parser = plan::size, requires = "spill")]
    pub spill_max: u64,

    #[command(flatten)]
    pub kafka: Kafka,
    #[command(flatten)]
    pub generator: Generator,
}

#[derive(Debug, Args)]
pub struct Target {
    /// Address to serve
    #[arg(long, default_value = "127.0.0.1:7701", value_name = "ADDR:PORT")]
    pub listen: SocketAddr,

    /// Threads that serve
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,

    /// Also serve a small shop for plans to walk through: catalogue, sign-in, cart, checkout (docs/shop.md)
    #[arg(long)]
    pub shop: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Plan files, or `-` for standard input
    #[arg(required = true, value_name = "PLAN")]
    pub plans: Vec<String>,

    /// Set a variable of the plans; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,

    /// Also walk each scenario once and say how the target answers each step
    #[arg(long)]
    pub connect: bool,

    #[command(flatten)]
    pub reach: Reach,
}

#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Draw the load of a plan and say what it asks for, without sending anything
    Preview(Preview),
    /// Print a plan with all that it includes and leaves out, and where each value comes from
    Show(Show),
}

#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    pub given: GivenPlan,

    /// Drivers among which the load is divided
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub drivers: u16,
}

#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub given: GivenPlan,

    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A plan, and what is set in it from outside.
#[derive(Debug, Args)]
pub struct GivenPlan {
    /// A plan file, or `-` for standard input
    #[arg(value_name = "PLAN")]
    pub plan: String,

    /// Set a variable of the plan; repeatable
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,

    /// Another target instead of the plan's
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Which plan; without one, all are listed
    #[arg(value_name = "TEMPLATE")]
    pub template: Option<String>,

    /// Write it to this file instead of TEMPLATE.plan.yaml; `-` is standard output
    #[arg(short, long, requires = "template", value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite the file that is there
    #[arg(long, requires = "template")]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Schema {
    /// Of what
    #[arg(value_enum)]
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Plan files
    Plan,
}

#[derive(Debug, Args)]
pub struct Import {
    /// What it is
    #[arg(value_enum)]
    pub format: Source,

    /// A file, or `-` for standard input. The command line of a tool may stand behind `--` instead
    #[arg(value_name = "FILE")]
    pub file: Option<String>,

    /// Write the plan to this file instead of standard output
    #[arg(short, long, value_name = "PLAN")]
    pub output: Option<PathBuf>,

    /// Overwrite the file that is there
    #[arg(long, requires = "output")]
    pub force: bool,

    /// Target of the plan, instead of what the source names
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,

    /// Name of the plan
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Take the requests to this host; by default those to the host that has most. Repeatable
    #[arg(long = "host", value_name = "HOST")]
    pub hosts: Vec<String>,

    /// Recordings: also take images, styles, scripts and fonts
    #[arg(long)]
    pub include_assets: bool,

    /// OpenAPI: only operations with this tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,

    /// OpenAPI: only this operation, by its operationId or as `GET /path`; repeatable
    #[arg(long = "operation", value_name = "ID")]
    pub operations: Vec<String>,

    /// Command line of curl, ab, wrk or vegeta
    #[arg(last = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Recording of a browser or proxy (HTTP Archive 1.2)
    Har,
    /// Command lines of curl
    Curl,
    /// OpenAPI 3.0 or 3.1, JSON or YAML
    Openapi,
    /// Postman collection 2.0 or 2.1
    Postman,
    /// The options of a k6 script: JSON, or the script
    K6Options,
    /// Command line of ApacheBench
    Ab,
    /// Command line of wrk or wrk2
    Wrk,
    /// Command line of vegeta attack, or its targets
    Vegeta,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The code, as it stands beside the fault; without one, all codes are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// How many, newest first
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,

    /// As JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Args)]
pub struct Report {
    /// The run: its identity, the beginning of it, or `last`
    #[arg(default_value = "last", value_name = "RUN")]
    pub run: String,

    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    #[command(flatten)]
    pub storage: Storage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// As JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub kafka: Kafka,
}

#[derive(Debug, Args)]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

impl Quick {
    /// Whether any of it was typed.
    pub fn is_given(&self) -> bool {
        let Self { rate, duration, users, requests, connections, method, headers, body, timeout, .. } = self;
        let Self { http2, insecure, seed, .. } = self;
        rate.is_some()
            || users.is_some()
            || *http2
            || *insecure
            || duration.is_some()
            || requests.is_some()
            || connections.is_some()
            || method.is_some()
            || !headers.is_empty()
            || body.is_some()
            || timeout.is_some()
            || seed.is_some()
    }
}
