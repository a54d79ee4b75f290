//! The figures of `docs/performance.md`: between two marks, a section for each group that was ever measured.
//!
//! Invariant: what stands outside of the marks, and the sections of groups that are not measured now, stay as they are.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::tools::Tool;
use crate::run::root;

const PAGE: &str = "docs/performance.md";
const START: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";
/// What a section begins with, before the name of its group.
const SECTION: &str = "<!-- group ";

/// Puts the section `name` into the page.
pub fn write(name: &str, text: &str) -> Result<()> {
    let names = super::sections();
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let page =
        with_section(&page, name, text, &names).with_context(|| format!("{PAGE} has lost its marks"))?;
    fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))
}

/// Sections stand in the order of `names`.
fn with_section(page: &str, name: &str, text: &str, names: &[String]) -> Option<String> {
    let (before, rest) = page.split_once(START)?;
    let (figures, after) = rest.split_once(END)?;
    let mut sections: Vec<(&str, &str)> =
        figures.split(SECTION).filter_map(|section| section.split_once(" -->\n")).collect();
    sections.retain(|(of, _)| *of != name);
    sections.push((name, text));
    sections.sort_by_key(|(of, _)| names.iter().position(|name| name == of));
    let mut page = format!("{before}{START}");
    for (of, text) in sections {
        let _ = write!(page, "{SECTION}{of} -->\n{}\n\n", text.trim_end());
    }
    Some(page + END + after)
}

/// Where and when something was measured in such turns, in a sentence.
pub fn circumstances(turns: &str, peers: &str) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "*{}, commit {}: {turns} on {cores} cores of {model}, Linux {}; {peers}.*",
        said("date", &["-u", "+%F"]),
        said("git", &["describe", "--always", "--dirty"]),
        said("uname", &["-r"]),
    )
}

/// The server that engines are measured against, and what it encrypts with.
pub fn servers() -> String {
    let openssl = said("openssl", &["version"]);
    format!("{}, {}", nginx_version(), openssl.split(" (").next().unwrap_or_default())
}

/// The versions of the tools that are here.
pub fn tools() -> String {
    let tools = [Tool::Wrk, Tool::Ab, Tool::H2load, Tool::Hey, Tool::Oha, Tool::K6];
    tools.into_iter().filter(|tool| tool.is_installed()).map(Tool::version).collect::<Vec<_>>().join(", ")
}

fn nginx_version() -> String {
    let output = Command::new("nginx").arg("-v").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    text.trim().trim_start_matches("nginx version: ").replace('/', " ")
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output();
    output.map_or_else(|_| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let names = ["closed", "open", "lag"].map(str::to_owned);
        let page = format!("# Title\n{START}{END}## Reading\n");
        let page = with_section(&page, "lag", "late", &names).unwrap();
        let page = with_section(&page, "closed", "cheap\n", &names).unwrap();
        let page = with_section(&page, "lag", "later", &names).unwrap();
        let sections = "<!-- group closed -->\ncheap\n\n<!-- group lag -->\nlater\n\n";
        assert_eq!(page, format!("# Title\n{START}{sections}{END}## Reading\n"));
        assert_eq!(with_section("no marks", "lag", "late", &names), None);
    }
}
