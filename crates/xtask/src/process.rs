//! Programs pinned to a core, and the CPU time they used.
//!
//! A generator's CPU time is what the system adds to the account of this process's children when it is waited for: user
//! and system, all threads, from the first instruction to the last. Its start is in it, some milliseconds among seconds.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};

/// Where the target runs, and all that is not the generator.
pub const SERVER_CORE: &str = "0";
/// Where the generator runs.
pub const GENERATOR_CORE: &str = "1";

/// The unit of CPU times in `/proc`, which Linux fixes for programs whatever its own clock does (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A program that ran to its end.
pub struct Finished {
    pub output: Output,
    pub wall: Duration,
    pub cpu: Duration,
}

impl Finished {
    /// What it said on standard output.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it said in all, for an error.
    pub fn said(&self) -> String {
        format!("{}{}", self.text(), String::from_utf8_lossy(&self.output.stderr))
    }
}

/// `program` with `arguments`, to be run on `cores`.
pub fn pinned(cores: &str, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program.as_ref()).args(arguments).stdin(Stdio::null());
    command
}

/// Runs `command` to its end. Only one program may be measured at a time.
#[expect(
    clippy::disallowed_methods,
    reason = "a task of the project; the clock crate is for what runs in a test"
)]
pub fn measure(command: &mut Command) -> Result<Finished> {
    let before = children_cpu()?;
    let started = Instant::now();
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    Ok(Finished { output, wall: started.elapsed(), cpu: children_cpu()?.saturating_sub(before) })
}

/// CPU time of all children that were waited for.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("cannot read the CPU time of children")?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
        .iter()
        .sum::<i64>();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// User and system time of all threads of a process that runs, to 10 ms.
pub fn cpu_of(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = cpu_ticks(&text).with_context(|| format!("{path} has no CPU times"))?;
    Ok(TICK * ticks)
}

/// Behind the name in parentheses, which may hold anything, the 12th and 13th field.
fn cpu_ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    times.next()?.ok()?.checked_add(times.next()?.ok()?)
}

/// Resident memory of a process in MB (10⁶ bytes): now, and at most so far.
pub fn resident_mb(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no memory in status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Moves all threads of a process to `cores`.
pub fn pin(pid: u32, cores: &str) -> Result<()> {
    let output = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid.to_string()]).output()?;
    ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A program that runs beside the measurement; killed when dropped.
pub struct Beside(pub Child);

impl Beside {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until `ready`, while the program lives.
    pub fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        for _ in 0..200 {
            if let Some(status) = self.0.try_wait()? {
                bail!("{what} ended with {status}");
            }
            if ready() {
                return Ok(());
            }
            sleep(Duration::from_millis(50));
        }
        bail!("{what} is not ready after 10 s")
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Fails only when the process has ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_times_stand_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 17 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(267));
        assert_eq!(cpu_ticks("7 (a) S 1 2"), None);
    }

    #[test]
    fn the_cpu_time_of_a_child_is_measured() {
        let finished =
            measure(Command::new("sh").args(["-c", "while :; do i=$((i+1)); [ $i = 200000 ] && exit; done"]))
                .unwrap();
        assert!(finished.cpu > Duration::from_millis(5), "{:?}", finished.cpu);
        assert!(finished.cpu < finished.wall * 2);
    }
}
