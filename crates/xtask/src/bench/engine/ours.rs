//! Our generator: the engine with all that it measures, as the example `load` of the engine runs it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Bench;
use super::measure::{Contestant, Round};
use super::tools::Shape;
use crate::process::{GENERATOR_CORE, pinned};
use crate::run::built;

/// How the engine waits for sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    Uring,
    Epoll,
}

impl Io {
    pub const ALL: [Self; 2] = [Self::Uring, Self::Epoll];

    fn argument(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }

    /// What tables call the engine with this loop.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "groundswell, io_uring",
            Self::Epoll => "groundswell, epoll",
        }
    }
}

/// The engine, set up in one way.
#[derive(Debug, Clone, Copy)]
pub struct Ours {
    pub io: Io,
    pub threads: u32,
    /// As taskset wants them.
    pub cores: &'static str,
}

impl Ours {
    /// One thread on the generator's core.
    pub fn on_one_core(io: Io) -> Self {
        Self { io, threads: 1, cores: GENERATOR_CORE }
    }

    /// Runs `plan` for the seconds of the measurement, in turn with others.
    pub fn contestant(self, bench: &Bench, plan: Value, in_flight: u32) -> Contestant<'_> {
        Contestant::new(self.io.name(), move || Ok(self.round(bench, &plan, in_flight)?.0))
    }

    /// Runs `plan` for the seconds of the measurement; what was measured, and what it said itself.
    pub fn round(self, bench: &Bench, plan: &Value, in_flight: u32) -> Result<(Round, Value)> {
        let mut command = self.command(bench, plan)?;
        let said = |text: &str| serde_json::from_str::<Value>(text.trim()).ok();
        let completed = |text: &str| {
            let said = said(text)?;
            if said["failed"] == 0 { said["succeeded"].as_f64() } else { None }
        };
        let (round, finished) = bench.round(&mut command, in_flight, completed)?;
        Ok((round, said(&finished.text()).context("load said no JSON")?))
    }

    /// The program, its plan in a file.
    pub fn command(self, bench: &Bench, plan: &Value) -> Result<Command> {
        let file = bench.folder.join("plan.json");
        fs::write(&file, plan.to_string()).context("cannot write the plan")?;
        let (file, threads) = (file.display().to_string(), self.threads.to_string());
        let seconds = bench.seconds.to_string();
        let arguments = ["plan", &file, "--threads", &threads, "--for", &seconds, "--io", self.io.argument()];
        Ok(pinned(self.cores, built("examples/load"), &arguments))
    }
}

/// As often as it is answered, as `shape` says; for ever.
pub fn closed(url: &str, shape: Shape) -> Value {
    let connections = match shape {
        Shape::Kept(connections) => json!(connections),
        Shape::PerRequest(connections) => json!({"max": connections, "per": "iteration"}),
        Shape::Http2 { connections, streams } => json!({"max": connections, "streams": streams}),
    };
    let requests = 1_000_000_000_u64;
    let load = json!({"model": "avalanche", "requests_per_driver": requests, "connections": connections});
    let mut plan = plan(url, &load);
    if let Shape::Http2 { .. } = shape {
        plan["http"] = json!(2);
    }
    if url.starts_with("https:") {
        plan["tls"] = json!({"insecure": true});
    }
    plan
}

/// So many users without think time, each with a connection of its own from the start; for longer than any round.
pub fn users(url: &str, users: u32) -> Value {
    let connections = json!({"start": users, "max": users});
    let stage = json!({"users": users, "for": "1h"});
    plan(url, &json!({"model": "closed", "stages": [stage], "connections": connections}))
}

/// `per_s` requests a second for `seconds`, over at most so many connections, all of them there from the start.
pub fn open(url: &str, per_s: f64, seconds: u64, connections: u32) -> Value {
    let connections = json!({"start": connections, "max": connections});
    let stage = json!({"at": format!("{per_s:.0}/s"), "for": format!("{seconds}s")});
    plan(url, &json!({"model": "open", "stages": [stage], "connections": connections}))
}

fn plan(url: &str, load: &Value) -> Value {
    let target = url.trim_end_matches('/');
    let scenarios = json!({"bench": {"steps": [{"get": "/"}]}});
    json!({"version": 1, "name": "bench", "target": target, "load": load, "scenarios": scenarios})
}
