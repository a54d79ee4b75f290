//! What an answer of the sample target costs, against nginx.
//!
//! Both serve a body of four bytes on one core with one thread, while `wrk` on another core asks as fast as it is
//! answered over 64 kept connections. They take turns (nginx, ours, nginx, ours, …); what is compared is the CPU time of
//! the server's process, user and system, per answered request, and the figure is the median of the pairs' ratios.
//! Needs `nginx` and `wrk` (Debian: nginx-light, wrk) and `taskset`.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::engine::servers::free_address;
use crate::process::{Beside, GENERATOR_CORE, SERVER_CORE, cpu_of};
use crate::run::{command, run as run_loudly};

const PAIRS: usize = 9;
const ROUND: Duration = Duration::from_secs(2);

/// Builds the program and compares its target with nginx; prints the figures.
pub fn run() -> anyhow::Result<()> {
    run_loudly(&mut command("cargo build --release --locked --package swell"))?;
    let folder = std::env::var("CARGO_TARGET_DIR").unwrap_or("target".to_owned());
    compare(&format!("{folder}/release/swell target --threads 1 --listen"))
}

/// Compares the target that `ours`, followed by an address, starts.
pub fn compare(ours: &str) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("groundswell-bench-target-{}", std::process::id()));
    fs::create_dir_all(&folder).context("cannot create a folder for nginx")?;
    let nginx_address = free_address()?;
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, nginx_configuration(nginx_address)).context("cannot write nginx.conf")?;
    let nginx = format!("nginx -e stderr -p {} -c {}", folder.display(), configuration.display());

    let our_address = free_address()?;
    let nginx = Server::start("nginx", &nginx, nginx_address)?;
    let ours = Server::start("ours", &format!("{ours} {our_address}"), our_address)?;
    let pairs = measure(&nginx, &ours);
    drop((nginx, ours));
    fs::remove_dir_all(&folder).context("cannot remove the folder of nginx")?;
    report(&pairs?);
    Ok(())
}

fn measure(nginx: &Server, ours: &Server) -> anyhow::Result<Vec<[Round; 2]>> {
    // The first round of a process pays for its start.
    nginx.round()?;
    ours.round()?;
    let mut pairs = Vec::with_capacity(PAIRS);
    for number in 1..=PAIRS {
        let pair = [nginx.round()?, ours.round()?];
        let [nginx_us, our_us] = [pair[0].cpu_us, pair[1].cpu_us];
        println!("{number}: nginx {nginx_us:.2} µs, ours {our_us:.2} µs, ratio {:.2}", our_us / nginx_us);
        pairs.push(pair);
    }
    Ok(pairs)
}

fn report(pairs: &[[Round; 2]]) {
    let middle = |of: &dyn Fn(&[Round; 2]) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0], values[values.len() - 1])
    };
    println!("\nCPU of the server per answer   median   least    most");
    for (name, at) in [("nginx", 0), ("ours", 1)] {
        let (median, least, most) = middle(&|pair| pair[at].cpu_us);
        let (per_s, ..) = middle(&|pair| pair[at].requests_per_s);
        println!(
            "  {name:6} µs                    {median:6.2}  {least:6.2}  {most:6.2}   {per_s:.0} requests/s"
        );
    }
    let (median, least, most) = middle(&|pair| pair[1].cpu_us / pair[0].cpu_us);
    println!("  ours, nginx = 1              {median:6.2}  {least:6.2}  {most:6.2}");
}

fn nginx_configuration(address: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr crit;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_timeout 1h; keepalive_requests 1000000000; default_type text/plain;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen {address}; location / {{ return 200 'pong'; }} }}
        }}
        "
    )
}

/// A server pinned to its core; which ends with this value.
struct Server {
    process: Beside,
    url: String,
}

/// What one round measured.
struct Round {
    cpu_us: f64,
    requests_per_s: f64,
}

impl Server {
    fn start(name: &str, words: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let mut command = command(&format!("taskset -c {SERVER_CORE} {words}"));
        let process =
            Beside(command.stdout(Stdio::null()).spawn().context("cannot start taskset (util-linux)")?);
        let mut server = Self { process, url: format!("http://{address}/ping") };
        server.process.wait_until(name, || TcpStream::connect(address).is_ok())?;
        Ok(server)
    }

    fn round(&self) -> anyhow::Result<Round> {
        let before = cpu_of(self.process.pid())?;
        let seconds = ROUND.as_secs();
        let mut wrk = command(&format!("taskset -c {GENERATOR_CORE} wrk -t1 -c64 -d{seconds}s {}", self.url));
        let requests = requests_of(&mut wrk)?;
        let cpu = cpu_of(self.process.pid())?.saturating_sub(before);
        Ok(Round {
            cpu_us: cpu.as_secs_f64() * 1e6 / requests,
            requests_per_s: requests / ROUND.as_secs_f64(),
        })
    }
}

/// Runs wrk and returns how many requests were answered, all of them well.
fn requests_of(wrk: &mut Command) -> anyhow::Result<f64> {
    let output = wrk.output().context("cannot start taskset and wrk (apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("Socket errors") || text.contains("Non-2xx") {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    let count = text.lines().find_map(|line| line.trim().split_once(" requests in ").map(|(count, _)| count));
    count.and_then(|count| count.parse().ok()).with_context(|| format!("wrk counted no requests: {text}"))
}
