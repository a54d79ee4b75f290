//! A real PostgreSQL 15, on a free port of this machine, with its data in a folder below the system's temporary one.
//!
//! Over TCP it asks for the password, over its socket for nothing. It runs as the user `postgres` where the tests run as
//! root, which PostgreSQL refuses to be. Deliberately absent: a server that somebody else runs; tests break theirs.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Signal, getuid};

use super::{Process, free_ports, new_folder, wait_until};

pub(super) const FOLDER_PREFIX: &str = "swell-postgres-";
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const PASSWORD: &str = "secret";
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// One server.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Postgres {
    /// A new server, once it answers.
    pub fn start() -> Result<Self> {
        // A killed process loses nothing of it all the same; only a machine that loses its power would.
        Self::start_with(&["fsync = off"])
    }

    /// As [`Self::start`], with these lines of `postgresql.conf` alone.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let folder = new_folder(FOLDER_PREFIX)?;
        let (port, _) = free_ports()?;
        let password = folder.join("password");
        fs::write(&password, PASSWORD)?;
        if let Some((user, group)) = other_user()? {
            chown(&folder, Some(user), Some(group))?;
            chown(&password, Some(user), Some(group))?;
        }
        let mut postgres = Self { folder, port, process: None };
        let data = postgres.folder.join("data");
        let output = unprivileged(&format!("{PROGRAMS}/initdb"))?
            .args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(&data)
            .output()
            .context("cannot run initdb; install postgresql-15")?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        let own = [
            format!("port = {port}"),
            "listen_addresses = '127.0.0.1'".to_owned(),
            format!("unix_socket_directories = '{}'", postgres.folder.display()),
        ];
        let lines: Vec<&str> = own.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        let file = data.join("postgresql.conf");
        fs::write(&file, format!("{}\n{}\n", fs::read_to_string(&file)?, lines.join("\n")))?;
        postgres.restart()?;
        Ok(postgres)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its socket.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with its data and settings.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The address of a database as its superuser, with the password in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database that is no other test's; its name.
    pub fn new_database(&self) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// Says statements to a database by psql, as a user would; what it prints, a line per row, `|` between columns.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let mut psql = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"])
            .args(["--username=postgres", "--dbname", database, "--port", &self.port.to_string()])
            .arg("--host")
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run psql; install postgresql-15")?;
        if let Some(mut input) = psql.stdin.take() {
            // When it ends early, it says why.
            input.write_all(statements.as_bytes()).ok();
        }
        let output = psql.wait_with_output()?;
        ensure!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Kills it as a power cut would: SIGKILL. Its data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// Lets it end, and its connections with it: SIGINT.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop(Signal::INT))
    }

    /// Holds it still until [`Self::resume`]; connections that are there go on. SIGSTOP.
    pub fn pause(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::STOP))
    }

    /// Lets it go on: SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::CONT))
    }

    /// Lets it read its settings again: SIGHUP.
    pub fn reload(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(Signal::HUP))
    }

    /// Starts it again, on the same port and data, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "PostgreSQL runs already");
        // Of a server that was killed, its helpers may still be there for a moment, and hold what the next one needs.
        let output = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let started = wait_until(START_TIMEOUT, || {
            if let Some(process) = &mut self.process
                && process.child.try_wait()?.is_some()
            {
                self.process = None;
                thread::sleep(Duration::from_millis(200));
            }
            if self.process.is_none() {
                let mut command = unprivileged(&format!("{PROGRAMS}/postgres"))?;
                command.arg("-D").arg(self.data_folder()).stdin(Stdio::null());
                command.stdout(output.try_clone()?).stderr(output.try_clone()?);
                self.process = Some(Process::spawn(command)?);
            }
            Ok(self.sql("postgres", "SELECT 1").is_ok())
        })?;
        ensure!(started, "PostgreSQL did not start; see {}", self.folder.join("log").display());
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A failed test is explained by the log, which therefore stays.
        if self.kill().is_ok() && !thread::panicking() {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// `program`, as another user where this one is root; ended by the kernel when the thread that starts it ends.
fn unprivileged(program: &str) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if other_user()?.is_some() {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    }
    command.arg(program).current_dir("/");
    Ok(command)
}

/// Numbers of the user and the group `postgres`, where this process is root's.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.context("there is no user postgres; install postgresql-15")?.split(':').skip(2);
    match (fields.next().map(str::parse), fields.next().map(str::parse)) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some((user, group))),
        _ => bail!("the user postgres has no numbers"),
    }
}
