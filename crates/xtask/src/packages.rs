//! Debian packages that building and testing need, installed when what they bring is missing.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::run::run;

/// A package, and how to tell that what it brings is there already.
struct Package {
    name: &'static str,
    /// A program on the path, or an absolute path.
    brings: &'static str,
}

const fn package(name: &'static str, brings: &'static str) -> Package {
    Package { name, brings }
}

/// librdkafka is built from source by cmake and linked against the system's OpenSSL; SQLite is built by the compiler.
const BUILD: &[Package] = &[
    package("cmake", "cmake"),
    package("g++", "g++"),
    package("make", "make"),
    package("pkg-config", "pkg-config"),
    package("libssl-dev", "/usr/include/openssl/ssl.h"),
    package("zlib1g-dev", "/usr/include/zlib.h"),
];

/// A Kafka broker (Java, Maven), a PostgreSQL, an HTTP/2 server, peers in Python, stubs of Thrift, the page (Node) and a browser to look at it.
const TEST: &[Package] = &[
    package("openjdk-17-jre-headless", "java"),
    package("maven", "mvn"),
    package("postgresql-15", "/usr/lib/postgresql/15/bin/postgres"),
    package("nghttp2-server", "nghttpd"),
    package("nodejs", "node"),
    package("npm", "npm"),
    package("python3", "python3"),
    package("python3-venv", "/usr/share/doc/python3-venv"),
    package("thrift-compiler", "thrift"),
    package("chromium", "chromium"),
    package("util-linux", "unshare"),
];

/// The peers that measurements compare with.
const MEASURE: &[Package] = &[
    package("nginx-light", "/usr/sbin/nginx"),
    package("openssl", "openssl"),
    package("wrk", "wrk"),
    package("apache2-utils", "ab"),
    package("nghttp2-client", "h2load"),
    package("hey", "hey"),
    package("util-linux", "taskset"),
];

/// Installs what `cargo build` needs.
pub fn for_building() -> anyhow::Result<()> {
    install(BUILD)
}

/// Installs what the tests need beyond building.
pub fn for_testing() -> anyhow::Result<()> {
    install(BUILD)?;
    install(TEST)
}

/// Installs what measuring needs beyond building and testing.
pub fn for_measuring() -> anyhow::Result<()> {
    for_testing()?;
    install(MEASURE)
}

fn install(packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !is_there(package.brings)).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!("these Debian packages, or what they bring, are missing: {}", missing.join(", "));
    }
    run(apt_get().args(["-qq", "update"]))?;
    run(apt_get()
        .args(["-qq", "install", "--yes", "--no-install-recommends"])
        .args(&missing)
        .stdout(Stdio::null()))
}

fn apt_get() -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn is_there(what: &str) -> bool {
    if what.starts_with('/') { Path::new(what).exists() } else { on_path(what) }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
