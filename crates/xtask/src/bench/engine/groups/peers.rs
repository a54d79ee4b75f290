//! The other ways to ask, closed, each against the tool that is good at it.

use anyhow::Result;

use crate::bench::engine::Bench;
use crate::bench::engine::measure::alternate;
use crate::bench::engine::ours::{Io, Ours, closed};
use crate::bench::engine::table::{Goal, Table};
use crate::bench::engine::tools::{Shape, Tool};

/// HTTP/2 in plain text, 10 streams on each of 10 connections, against h2load.
pub fn http2(bench: &Bench) -> Result<Table> {
    let shape = Shape::Http2 { connections: 10, streams: 10 };
    let title = "HTTP/2, 10 streams on each of 10 connections, closed: h2load = 1";
    against(bench, title, Tool::H2load, &bench.nginx.url_http2(), shape, 1.1)
}

/// HTTPS over 64 kept connections, against wrk.
pub fn https(bench: &Bench) -> Result<Table> {
    let title = "HTTPS, 64 kept connections, closed: wrk = 1";
    let mut table = against(bench, title, Tool::Wrk, &bench.nginx.url_https(), Shape::Kept(64), 1.0)?;
    let negotiated = bench.nginx.negotiated()?;
    table.note(format!("The server offers nothing else than what all negotiated: {negotiated}."));
    Ok(table)
}

/// A new connection for each request, 64 at a time, against ab.
pub fn connections(bench: &Bench) -> Result<Table> {
    let title = "A new connection for each request, 64 at a time, closed: ab without -k = 1";
    against(bench, title, Tool::Ab, &bench.nginx.url(), Shape::PerRequest(64), 0.9)
}

fn against(bench: &Bench, title: &str, tool: Tool, url: &str, shape: Shape, goal: f64) -> Result<Table> {
    let plan = closed(url, shape);
    let mut contestants = vec![tool.contestant(bench, url.to_owned(), shape)];
    contestants
        .extend(Io::ALL.map(|io| Ours::on_one_core(io).contestant(bench, plan.clone(), shape.in_flight())));
    let rounds = alternate(&mut contestants, bench.turns)?;
    let mut table = Table::of_costs(title);
    let goal = Some(Goal::at_most(goal));
    table.add_contestants(&contestants, &rounds, &[None, goal, goal]);
    Ok(table)
}
