//! `swell sql`: a question in SQL to the rows of a run.

use std::io::{self, IsTerminal, Read};

use query::{Answer, Engine, Fault, Form, Sink};
use store::{Location, Reader};

use super::chosen;
use super::export::Noted;
use crate::arguments::{RowFormat, Sql};
use crate::exit::{Ended, Exit};
use crate::signals::Interrupts;

/// Bytes of a query that is read from standard input.
const QUERY_BYTES: u64 = 1 << 20;

pub fn run(arguments: &Sql) -> anyhow::Result<Exit> {
    let location = arguments.storage.location()?;
    let Location::Folder(folder) = &location else {
        let advice =
            "a store in PostgreSQL answers SQL itself: psql, or any other client, with the same tables";
        return Err(Ended::because(Exit::Usage, advice));
    };
    let reader = Reader::open(&location).map_err(|error| Ended::because(Exit::Invalid, error.to_string()))?;
    let runs = chosen::runs(&reader, &arguments.run)?;
    drop(reader);
    let sql = match arguments.query.as_str() {
        "-" => standard_input()?,
        query => query.to_owned(),
    };
    // Until here Ctrl-C ends the program at once.
    let interrupts = Interrupts::listen()?;
    let form = match arguments.format {
        Some(RowFormat::Table) => Form::Table,
        Some(RowFormat::Csv) => Form::Csv,
        Some(RowFormat::Json) => Form::Json,
        Some(RowFormat::Ndjson) => Form::Ndjson,
        None if io::stdout().is_terminal() => Form::Table,
        None => Form::Csv,
    };
    let memory = usize::try_from(arguments.memory).unwrap_or(usize::MAX) << 20;
    ended(Noted::watch(io::stdout(), |to| {
        let engine = Engine::open(folder, &runs, memory)?;
        let mut answer = engine.query(&sql)?;
        let mut sink = query::sink(form, &answer.schema(), &runs.join(" "), to)?;
        pour(&mut answer, sink.as_mut(), &interrupts)
    }))
}

fn pour(answer: &mut Answer<'_>, sink: &mut dyn Sink, interrupts: &Interrupts) -> Result<(), Fault> {
    while let Some(rows) = answer.next(interrupts.flag())? {
        sink.write(&rows)?;
    }
    sink.finish()
}

/// What the program ends with after rows were written, or not.
pub fn ended(written: Result<(), Fault>) -> anyhow::Result<Exit> {
    match written {
        Ok(()) => Ok(Exit::Success),
        // Whoever read has what it wanted.
        Err(Fault::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(fault) => {
            let exit = match &fault {
                Fault::Stopped => Exit::Stopped,
                Fault::Query(_) | Fault::Plan { .. } | Fault::Store(_) => Exit::Invalid,
                Fault::Memory(_) | Fault::Write(_) | Fault::Rows(_) | Fault::Engine(_) => Exit::Internal,
            };
            Err(Ended::because(exit, fault.to_string()))
        }
    }
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().take(QUERY_BYTES + 1).read_to_string(&mut text);
    match read {
        Ok(bytes) if bytes as u64 > QUERY_BYTES => {
            let message = format!("the query on standard input is longer than {QUERY_BYTES} bytes");
            Err(Ended::because(Exit::Invalid, message))
        }
        Ok(_) => Ok(text),
        Err(error) => {
            let message = format!("cannot read the query from standard input: {error}");
            Err(Ended::because(Exit::Invalid, message))
        }
    }
}
