//! Services that integration tests run against: a real Kafka broker, in KRaft mode, on free ports of this machine, and a
//! real [`Postgres`].
//!
//! Each [`Kafka`] is one broker with its own ports and its own folder below the system's temporary one, so that tests
//! run side by side. It ends when its value is dropped, and also when the test process dies. The jars come from Maven
//! once (`tests/kafka/pom.xml`) and stay in `.services/` at the root of the repository.
//!
//! Needs `java` (17 or later), `mvn` for the first start, and `setpriv` of util-linux. Deliberately absent: a broker that
//! somebody else runs; tests break theirs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

mod postgres;

pub use postgres::Postgres;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Version of the broker, as `tests/kafka/pom.xml` names it.
pub const KAFKA_VERSION: &str = "3.9.1";
/// A broker starts in about 4 s; a machine busy with builds needs several times that.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const FOLDER_PREFIX: &str = "swell-kafka-";
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Any 16 bytes in URL-safe base64: brokers of tests never meet.
const CLUSTER_ID: &str = "Z3JvdW5kc3dlbGx0ZXN0cw";

/// One broker.
pub struct Kafka {
    folder: PathBuf,
    port: u16,
    java: Vec<String>,
    process: Option<Process>,
}

/// A running service, and what keeps the thread that started it alive: the kernel ends the service with that thread.
struct Process {
    child: Child,
    _keeper: SyncSender<()>,
}

impl Kafka {
    /// A new broker without any topic, once it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with further lines of `server.properties`.
    pub fn start_with(properties: &[&str]) -> Result<Self> {
        let jars = jars()?;
        let folder = new_folder(FOLDER_PREFIX)?;
        let (port, controller_port) = free_ports()?;
        let log = format!("-Dlog4j.configuration=file:{}", folder.join("log4j.properties").display());
        let class_path = jars.join("*").display().to_string();
        let options =
            ["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", &log, "-cp", &class_path];
        let java = options.map(str::to_owned).to_vec();
        let mut kafka = Self { folder, port, java, process: None };
        kafka.write_configuration(controller_port, properties)?;
        kafka.format()?;
        kafka.restart()?;
        Ok(kafka)
    }

    /// `HOST:PORT` of the broker.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// Where it writes its log, for the reader of a failed test.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// Where it keeps its topics: a folder for each partition.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Kills it as a power cut would: SIGKILL. Its data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// Lets it end by itself: SIGTERM.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |process| process.stop(Signal::TERM))
    }

    /// Holds it still, connections and all, until [`Self::resume`]: SIGSTOP.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on: SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again, on the same ports and data, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "Kafka runs already");
        self.process = Some(self.spawn()?);
        let address = self.address();
        let started = wait_until(START_TIMEOUT, || {
            if let Some(process) = &mut self.process
                && let Some(status) = process.child.try_wait()?
            {
                bail!("Kafka ended with {status}; see {}", self.folder.join("server.log").display());
            }
            Ok(TcpStream::connect(&address).is_ok() && log_says_started(&self.folder))
        })?;
        ensure!(started, "Kafka did not start within {START_TIMEOUT:?}; see {}", self.log_file().display());
        Ok(())
    }

    /// Starts it again in the background of the caller: returns at once.
    pub fn spawn_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "Kafka runs already");
        self.process = Some(self.spawn()?);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), |process| process.signal(signal))
    }

    fn write_configuration(&self, controller_port: u16, properties: &[&str]) -> Result<()> {
        let port = self.port;
        let data = self.data_folder();
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             num.network.threads=2\n\
             num.io.threads=4\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             log.cleaner.enable=false\n",
            data.display()
        );
        for line in properties {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(self.folder.join("server.properties"), text)?;
        let log4j = format!(
            "log4j.rootLogger=INFO, file\n\
             log4j.appender.file=org.apache.log4j.FileAppender\n\
             log4j.appender.file.File={}\n\
             log4j.appender.file.layout=org.apache.log4j.PatternLayout\n\
             log4j.appender.file.layout.ConversionPattern=[%d] %p %m (%c)%n\n",
            self.log_file().display()
        );
        fs::write(self.folder.join("log4j.properties"), log4j)?;
        Ok(())
    }

    fn format(&self) -> Result<()> {
        let output = Command::new("java")
            .args(&self.java)
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config"])
            .arg(self.folder.join("server.properties"))
            .output()
            .context("cannot run java; install a JRE 17 or later")?;
        ensure!(output.status.success(), "formatting failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Starts the broker from a thread that lives as long as this value: the signal on the death of the parent is one
    /// on the death of the thread that started it, and threads of tests end early.
    fn spawn(&self) -> Result<Process> {
        let output = File::options().create(true).append(true).open(self.folder.join("output.log"))?;
        let started = self.folder.join("server.log");
        // A start is recognised in a log of its own.
        if started.exists() {
            fs::rename(&started, self.folder.join("server.log.before"))?;
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "java"])
            .args(&self.java)
            .args([OsStr::new("kafka.Kafka"), self.folder.join("server.properties").as_os_str()])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        Process::spawn(command)
    }
}

impl Process {
    /// Starts a program from a thread that lives as long as this value.
    fn spawn(mut command: Command) -> Result<Self> {
        let (spawned, result) = sync_channel(1);
        let (keeper, ended) = sync_channel::<()>(1);
        thread::Builder::new().name("service-parent".to_owned()).spawn(move || {
            if spawned.send(command.spawn()).is_ok() {
                // Nothing is ever sent: it returns when the sender is dropped.
                ended.recv().ok();
            }
        })?;
        let child = result.recv()?.context("cannot run setpriv of util-linux")?;
        Ok(Self { child, _keeper: keeper })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Kills it as a power cut would: SIGKILL.
    fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill a service")?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it end by itself, by SIGTERM or whatever else it takes for that.
    fn stop(mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        if !wait_until(STOP_TIMEOUT, || Ok(self.child.try_wait()?.is_some()))? {
            self.kill()?;
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // A failed test is explained by the log, which therefore stays.
        if self.kill().is_ok() && !thread::panicking() {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// The folder with the broker's jars, fetched by Maven when they are not there yet.
pub fn jars() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let services = root.join(".services");
    let jars = services.join(format!("kafka-{KAFKA_VERSION}"));
    fs::create_dir_all(&services)?;
    // Test processes that start together must not fetch together.
    let lock = File::create(services.join("kafka.lock"))?;
    lock.lock()?;
    if jars.is_dir() {
        return Ok(jars);
    }
    let fetched = services.join("kafka.partial");
    if let Err(error) = fs::remove_dir_all(&fetched)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let output = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(root.join("tests/kafka/pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", fetched.display()))
        .output()
        .context("cannot run mvn; install Maven")?;
    ensure!(output.status.success(), "maven failed: {}", String::from_utf8_lossy(&output.stdout));
    fs::rename(&fetched, &jars)?;
    Ok(jars)
}

fn new_folder(prefix: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Once, and before this process has a folder: an earlier one of the same id is gone.
    static REMOVED: LazyLock<()> = LazyLock::new(remove_abandoned);
    LazyLock::force(&REMOVED);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("{prefix}{}-{number}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Removes the folders of test processes that are gone: a broker that all tests of a process share is never dropped.
fn remove_abandoned() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let of = |prefix| name.to_str().and_then(|name| name.strip_prefix(prefix)?.split('-').next());
        let owner = of(FOLDER_PREFIX).or_else(|| of(postgres::FOLDER_PREFIX));
        let Some(owner) = owner else { continue };
        let lives = Path::new("/proc").join(owner).exists() && owner != std::process::id().to_string();
        if !lives {
            // Another process may be removing it, too.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Two ports that were free a moment ago.
fn free_ports() -> Result<(u16, u16)> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

fn log_says_started(folder: &Path) -> bool {
    fs::read_to_string(folder.join("server.log")).is_ok_and(|log| log.contains("Kafka Server started"))
}

fn wait_until(timeout: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let mut waited = Duration::ZERO;
    while waited < timeout {
        if done()? {
            return Ok(true);
        }
        thread::sleep(CHECK_INTERVAL);
        waited += CHECK_INTERVAL;
    }
    Ok(false)
}
