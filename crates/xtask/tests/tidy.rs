//! Holds the edges of ARCHITECTURE.md: who may use whom, who alone knows what, and how files look.
//!
//! Each check reads `cargo metadata` or the sources, and names file and line of what it finds.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate, and the crates of ours it may use. Development dependencies are free.
const EDGES: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("data", &["plan"]),
    ("metrics", &["plan"]),
    ("events", &[]),
    ("clock", &[]),
    ("protocol", &[]),
    ("engine", &["plan", "data", "metrics", "clock", "protocol"]),
    ("transport", &["plan", "metrics", "clock"]),
    ("store", &["plan", "metrics", "events"]),
    (
        "cluster",
        &["plan", "data", "metrics", "events", "clock", "protocol", "engine", "transport", "store", "scribe"],
    ),
    ("query", &["plan", "metrics", "store"]),
    ("report", &["plan", "metrics"]),
    ("api", &["plan", "metrics", "clock", "report", "store", "cluster"]),
    ("target", &["clock"]),
    ("scribe", &["events", "clock"]),
    ("import", &["plan"]),
    (
        "swell",
        &[
            "plan",
            "data",
            "metrics",
            "clock",
            "engine",
            "transport",
            "store",
            "query",
            "cluster",
            "report",
            "api",
            "target",
            "scribe",
            "import",
        ],
    ),
    ("xtask", &[]),
];

/// Library, and the only crates that may depend on it.
const SOLE_OWNERS: &[(&str, &[&str])] = &[
    ("rdkafka", &["transport"]),
    ("rusqlite", &["store"]),
    ("tokio-postgres", &["store"]),
    ("tokio-postgres-rustls", &["store"]),
    ("parquet", &["store"]),
    ("arrow-ipc", &["events"]),
    ("rtrb", &["metrics"]),
    ("axum", &["api"]),
    ("datafusion", &["query"]),
    ("tokio", &["query", "api", "store"]),
    ("httparse", &["protocol", "target"]),
    ("io-uring", &["engine"]),
    ("iri-string", &["protocol"]),
    ("flate2", &["protocol"]),
    ("brotli-decompressor", &["protocol"]),
    ("ruzstd", &["protocol"]),
    ("rustls", &["protocol", "store"]),
    ("aws-lc-rs", &["protocol"]),
    ("rustls-webpki", &["protocol"]),
    ("rustls-native-certs", &["engine", "store"]),
    ("saphyr-parser", &["plan", "import"]),
    ("json5", &["import"]),
    ("serde_json_path", &["plan"]),
    ("scraper", &["plan"]),
    ("csv-core", &["data"]),
    ("clap", &["swell", "xtask"]),
    ("anyhow", &["swell", "xtask"]),
    ("tracing-subscriber", &["swell"]),
];

/// Crates that do no IO and know no clock and no async.
const PURE: &[&str] = &["plan", "data", "metrics", "events", "report", "protocol", "import"];

/// What pure crates must not name.
const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    "TcpStream",
    "UdpSocket",
    "ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::env",
    "std::io::stdin",
    "Instant::now",
    "SystemTime",
    "async fn",
    "tokio::",
    "rustix::",
    "clock::",
];

/// A file longer than this must be split, or appear in `LONG_FILES` with its reason.
const FILE_LINES: usize = 700;

/// Longer files, each for a reason.
const LONG_FILES: &[&str] = &[
    // One table of faulty texts and what is said of each.
    "crates/plan/tests/diagnostics.rs",
];

/// The programs; no library ends the process.
const MAY_EXIT: &[&str] = &["swell", "xtask"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Crate name to the names of its normal and build dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let packages = metadata.packages.iter().map(|package| {
        let used =
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        (package.name.to_string(), used.map(|dependency| dependency.name.clone()).collect())
    });
    packages.collect()
}

/// The Rust files below `crates/NAME/src`, or below `crates/` when no name is given.
fn sources(name: Option<&str>) -> Vec<PathBuf> {
    let folder = match name {
        Some(name) => root().join("crates").join(name).join("src"),
        None => root().join("crates"),
    };
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The part of a file before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn expect_none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn crates_use_only_what_their_edges_allow() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(found, ours, "a new crate needs a decision record and a line in EDGES");
    let findings = EDGES.iter().flat_map(|(name, allowed)| {
        let used = dependencies[*name].iter().filter(|used| ours.contains(used.as_str()));
        let wrong = used.filter(|used| !allowed.contains(&used.as_str()));
        wrong.map(|used| format!("crates/{name}/Cargo.toml: {name} may not use {used}")).collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}

#[test]
fn libraries_have_their_sole_owners() {
    let dependencies = dependencies();
    let findings = SOLE_OWNERS.iter().flat_map(|(library, owners)| {
        let users = dependencies.iter().filter(|(_, used)| used.contains(*library)).map(|(name, _)| name);
        let wrong = users.filter(|name| !owners.contains(&name.as_str()));
        wrong
            .map(|name| format!("crates/{name}/Cargo.toml: only {owners:?} may use {library}"))
            .collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}

#[test]
fn sql_is_written_in_store_alone() {
    let findings = sources(None).into_iter().filter(|path| !path.starts_with(root().join("crates/store")));
    // What people ask of `swell sql` is not ours.
    let ours = |path: &PathBuf| !path.ends_with("tests/tidy.rs") && !path.ends_with("tests/sql.rs");
    let findings = findings.filter(ours).flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| {
            ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE FROM"].iter().any(|sql| line.contains(sql))
        });
        lines
            .map(|(index, _)| format!("{}:{}: SQL outside store", shown(&path), index + 1))
            .collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}

#[test]
fn pure_crates_do_no_io_and_know_no_clock() {
    let findings = PURE.iter().flat_map(|name| sources(Some(name))).flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let code =
            without_tests(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        let wrong = code.flat_map(|(index, line)| {
            let words = IMPURE_WORDS.iter().filter(move |word| line.contains(**word));
            words.map(move |word| (index + 1, *word))
        });
        wrong
            .map(|(line, word)| format!("{}:{line}: `{word}` in a pure crate", shown(&path)))
            .collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}

#[test]
fn every_module_says_its_purpose() {
    let findings = sources(None).into_iter().filter(|path| {
        let text = fs::read_to_string(path).unwrap();
        !text.trim_start_matches("#![").starts_with("//!") && !text.starts_with("#!")
    });
    expect_none(findings.map(|path| format!("{}: does not open with `//!`", shown(&path))).collect());
}

#[test]
fn files_are_of_a_size_that_can_be_read() {
    let findings = sources(None).into_iter().filter_map(|path| {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        let name = shown(&path);
        let excused = LONG_FILES.contains(&name.as_str());
        (lines > FILE_LINES && !excused).then(|| format!("{name}: {lines} lines, more than {FILE_LINES}"))
    });
    expect_none(findings.collect());
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("];
    let findings =
        sources(None).into_iter().filter(|path| !path.ends_with("tests/tidy.rs")).flat_map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines =
                text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
            lines
                .map(|(index, line)| format!("{}:{}: {}", shown(&path), index + 1, line.trim()))
                .collect::<Vec<_>>()
        });
    expect_none(findings.collect());
}

#[test]
fn only_the_binary_exits() {
    let findings = EDGES.iter().map(|(name, _)| *name).filter(|name| !MAY_EXIT.contains(name));
    let findings = findings.flat_map(|name| sources(Some(name))).flat_map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains("process::exit"));
        lines.map(|(index, _)| format!("{}:{}: exits", shown(&path), index + 1)).collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}

/// The only file that may hold code which the compiler cannot check.
const MAY_BE_UNSAFE: &str = "crates/engine/src/io/ring.rs";

#[test]
fn unsafe_code_has_one_place() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "expect(unsafe_code", "allow(unsafe_code"];
    let paths = sources(None).into_iter().map(|path| (shown(&path), path));
    let others = paths.filter(|(name, _)| name != MAY_BE_UNSAFE && name != "crates/xtask/tests/tidy.rs");
    let findings = others.flat_map(|(name, path)| {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        lines.map(|(index, _)| format!("{name}:{}: unsafe", index + 1)).collect::<Vec<_>>()
    });
    expect_none(findings.collect());
}
