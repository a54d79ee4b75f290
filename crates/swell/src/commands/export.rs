//! `swell export`: the rows of a run in a file of another tool.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use query::{Fault, Form, Table};
use store::{Reader, RecordBatches};

use super::{chosen, sql};
use crate::arguments::{Export, ExportFormat, What};
use crate::exit::{Ended, Exit};
use crate::output::{self, Terminal};
use crate::signals::Interrupts;

pub fn run(arguments: &Export, terminal: Terminal) -> anyhow::Result<Exit> {
    let form = match arguments.format {
        ExportFormat::Csv => Form::Csv,
        ExportFormat::Jtl => Form::Jtl,
        ExportFormat::Parquet => Form::Parquet,
        ExportFormat::Json => Form::Json,
        ExportFormat::Ndjson => Form::Ndjson,
    };
    if form == Form::Jtl && arguments.what != What::Events {
        return Err(Ended::because(
            Exit::Usage,
            "a JTL file holds single requests; --what goes with the other formats",
        ));
    }
    let interrupts = Interrupts::listen()?;
    let location = arguments.storage.location()?;
    let invalid = |error: store::Error| Ended::because(Exit::Invalid, error.to_string());
    let reader = Reader::open(&location).map_err(invalid)?;
    let run_id = chosen::one(&reader, &arguments.run)?;
    let rows = match arguments.what {
        What::Windows => Rows::Of { table: Table::Windows, reader, run_id: &run_id },
        What::Iterations => Rows::Of { table: Table::Iterations, reader, run_id: &run_id },
        What::Errors => Rows::Of { table: Table::Errors, reader, run_id: &run_id },
        What::Drivers => Rows::Of { table: Table::Drivers, reader, run_id: &run_id },
        What::Timeline => Rows::Of { table: Table::Events, reader, run_id: &run_id },
        What::Run => Rows::Of { table: Table::Runs, reader, run_id: &run_id },
        What::Events => {
            let mut rows = store::event_rows(&location, &run_id).map_err(invalid)?.peekable();
            if rows.peek().is_none() && !terminal.quiet {
                output::tell(&format!(
                    "note: no raw events are stored of {run_id}; a plan with `events: all` records each request"
                ));
            }
            Rows::Events { rows, run_id: &run_id }
        }
    };
    match &arguments.output {
        Some(file) if file != Path::new("-") => to_file(file, arguments.force, rows, form, &interrupts),
        _ if form == Form::Parquet && io::stdout().is_terminal() => {
            Err(Ended::because(Exit::Usage, "Parquet is not for a terminal; -o FILE writes it to a file"))
        }
        _ => sql::ended(write(rows, form, io::stdout(), &interrupts)),
    }
}

/// What is exported.
enum Rows<'a> {
    Events { rows: Peekable<RecordBatches>, run_id: &'a str },
    Of { table: Table, reader: Reader, run_id: &'a str },
}

/// Writes all rows, or says why not.
fn write(rows: Rows<'_>, form: Form, to: impl Write + Send, interrupts: &Interrupts) -> Result<(), Fault> {
    Noted::watch(to, |to| write_rows(rows, form, to, interrupts))
}

/// Remembers that nobody reads any more.
pub(super) struct Noted<W> {
    to: W,
    is_gone: bool,
}

impl<W: Write> Noted<W> {
    /// Has `write` write to `to`, through a buffer.
    pub(super) fn watch(
        to: W,
        write: impl FnOnce(&mut BufWriter<Self>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut to = BufWriter::with_capacity(1 << 16, Self { to, is_gone: false });
        let written = write(&mut to).and_then(|()| Ok(to.flush()?));
        // Not every form says what became of the writing itself.
        if to.get_ref().is_gone { Err(Fault::Write(io::ErrorKind::BrokenPipe.into())) } else { written }
    }
}

impl<W: Write> Write for Noted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes);
        self.is_gone |= written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write_rows(
    rows: Rows<'_>,
    form: Form,
    mut to: impl Write + Send,
    interrupts: &Interrupts,
) -> Result<(), Fault> {
    let is_stopped = || interrupts.flag().load(Ordering::Relaxed);
    match rows {
        Rows::Events { rows, run_id } => {
            let mut sink = query::sink(form, &store::perf_results(), run_id, &mut to)?;
            for rows in rows {
                if is_stopped() {
                    return Err(Fault::Stopped);
                }
                sink.write(&rows?)?;
            }
            sink.finish()?;
        }
        Rows::Of { table, reader, run_id } => {
            let mut sink = query::sink(form, &table.schema(), run_id, &mut to)?;
            let mut written = Ok(());
            query::rows(&reader, run_id, table, |rows| {
                written = if is_stopped() { Err(Fault::Stopped) } else { sink.write(&rows) };
                written.is_ok()
            })?;
            written?;
            sink.finish()?;
        }
    }
    Ok(to.flush()?)
}

/// Writes beside the file and renames, so that the file is there whole or not at all.
fn to_file(
    file: &Path,
    force: bool,
    rows: Rows<'_>,
    form: Form,
    interrupts: &Interrupts,
) -> anyhow::Result<Exit> {
    if !force && file.exists() {
        let message = format!("{} is there already; --force overwrites it", file.display());
        return Err(Ended::because(Exit::Invalid, message));
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let cannot =
        |error: io::Error| Ended::because(Exit::Invalid, format!("cannot write {}: {error}", file.display()));
    let to = File::create(&part).map_err(cannot)?;
    let written = write(rows, form, to, interrupts).and_then(|()| Ok(fs::rename(&part, file)?));
    if written.is_err() {
        // What is half written is of no use to anybody.
        fs::remove_file(&part).ok();
    }
    sql::ended(written)
}
