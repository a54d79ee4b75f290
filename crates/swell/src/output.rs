//! What is printed: results to standard output, everything else to standard error.
//!
//! Invariant: a closed pipe ends the program quietly (`swell runs | head`), it is not a fault.

use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

use crate::arguments::Color;
use crate::exit::{Ended, Exit};

/// Columns of what is printed: the width of a terminal that nobody changed.
pub const WIDTH: usize = 80;

/// Prints a result to standard output.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes a file that a person asked for: a new one, or with `force` over the one that is there.
pub fn write(file: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let written = options.open(file).and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| {
        let message = match error.kind() {
            ErrorKind::AlreadyExists => format!("{} is there already; --force overwrites it", file.display()),
            _ => format!("cannot write {}: {error}", file.display()),
        };
        Ended::because(Exit::Invalid, message)
    })
}

/// Tells the person at the keyboard something on standard error. Nobody there is no fault.
pub fn tell(text: &str) {
    let mut err = std::io::stderr().lock();
    writeln!(err, "{text}").ok();
}

/// Where text goes to.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Colour on standard output.
    pub color_out: bool,
    /// Colour on standard error.
    pub color_err: bool,
    /// A live block may be drawn on standard error: it is a terminal, and not a build's log.
    pub live: bool,
    /// Nothing but errors.
    pub quiet: bool,
}

impl Terminal {
    /// What the settings and the environment (`NO_COLOR`, `CI`, `TERM`) allow.
    pub fn detect(color: Color, quiet: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let allowed = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !set("NO_COLOR") && !dumb,
        };
        let err = std::io::stderr().is_terminal();
        Self {
            color_out: allowed(std::io::stdout().is_terminal()),
            color_err: allowed(err),
            live: err && !set("CI") && !dumb && !quiet,
            quiet,
        }
    }
}
