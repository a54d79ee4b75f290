//! A bare COPY loop, which `cargo xtask bench pipeline` holds the ingest against:
//! `cargo run --release -p store --example copy -- FROM TO RUN ROWS`.
//!
//! Takes rows of RUN from the database FROM in the form in which PostgreSQL gives and takes them, and says them to the
//! run's partition in TO again and again, until it has ROWS of them: in transactions as large as those of the ingest and
//! as little durable, and with nothing else in them. Prints one line of JSON.

#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use events::{Batch, Builder, Row};
use futures_util::{SinkExt as _, TryStreamExt as _};
use store::{EventStore, Location, postgres};
use tokio_postgres::{Client, NoTls};

/// Rows that are said again and again, and rows of a transaction.
const ROWS: usize = 1 << 20;
const ROWS_AT_ONCE: usize = 1 << 16;
/// Bytes that go out at a time.
const CHUNK_BYTES: usize = 512 << 10;
/// Signature, flags and length of the extension, before the first row.
const HEADER_BYTES: usize = 19;
const TRAILER: i16 = -1;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, run, rows] = arguments.as_slice() else { return Err("FROM TO RUN ROWS".into()) };
    make_partition(to, run)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(copy(from, to, run, rows.parse()?))
}

/// Makes the run's partition by the way that the ingest makes it, with one row in it.
fn make_partition(to: &str, run: &str) -> Result<()> {
    let Location::Postgres(address) = Location::parse(to, &|_| None)? else {
        return Err("no address".into());
    };
    postgres::init(&address, &postgres::Setup::default())?;
    let mut rows = Builder::new();
    rows.push(&Row { endpoint: "the first", ..Row::default() })?;
    let (run_id, worker_id) = (run.to_owned(), "copy".to_owned());
    let batch = Batch { run_id, worker_id, identity: None, rows: rows.finish() };
    postgres::Events::open(&address, "copy")?.store_loose(&[batch])?;
    Ok(())
}

async fn copy(from: &str, to: &str, run: &str, rows: usize) -> Result<()> {
    let portions = portions(&connected(from).await?, run).await?;
    let to = connected(to).await?;
    let found = to.query_one("SELECT relation FROM run_partition WHERE test_run_id = $1", &[&run]).await?;
    let statement = format!("COPY {} FROM STDIN (FORMAT binary)", found.get::<_, &str>(0));
    let (began, cpu) = (clock::now(), clock::process_cpu());
    let mut copied = 0;
    for (chunks, count) in portions.iter().cycle() {
        if copied >= rows {
            break;
        }
        to.batch_execute("BEGIN; SET LOCAL synchronous_commit = off").await?;
        let mut sink = pin!(to.copy_in::<_, Bytes>(&statement).await?);
        for chunk in chunks {
            sink.feed(chunk.clone()).await?;
        }
        sink.finish().await?;
        to.batch_execute("COMMIT").await?;
        copied += count;
    }
    let (seconds, cpu_s) =
        (clock::now().since(began).as_secs_f64(), (clock::process_cpu() - cpu).as_secs_f64());
    println!("{{\"rows\": {copied}, \"seconds\": {seconds:.3}, \"cpu_s\": {cpu_s:.3}}}");
    Ok(())
}

/// The rows as they are said in one transaction, in chunks, and how many they are.
async fn portions(from: &Client, run: &str) -> Result<Vec<(Vec<Bytes>, usize)>> {
    let relation =
        from.query_one("SELECT relation FROM run_partition WHERE test_run_id = $1", &[&run]).await?;
    let relation: &str = relation.get(0);
    let statement = format!("COPY (SELECT * FROM {relation} LIMIT {ROWS}) TO STDOUT (FORMAT binary)");
    let mut source = pin!(from.copy_out(&statement).await?);
    let mut header = Bytes::new();
    let (mut portions, mut bytes, mut rows) = (Vec::new(), BytesMut::new(), 0);
    while let Some(mut message) = source.try_next().await? {
        if header.is_empty() {
            header = message.split_to(HEADER_BYTES);
        }
        // A message is a row, the last one says that there is none.
        if message.len() == size_of_val(&TRAILER) {
            break;
        }
        if bytes.is_empty() {
            bytes.put_slice(&header);
        }
        bytes.put_slice(&message);
        rows += 1;
        if rows == ROWS_AT_ONCE {
            bytes.put_i16(TRAILER);
            portions.push((chunks(bytes.split().freeze()), rows));
            rows = 0;
        }
    }
    if portions.is_empty() {
        Err(format!("fewer than {ROWS_AT_ONCE} rows of {run}").into())
    } else {
        Ok(portions)
    }
}

fn chunks(mut bytes: Bytes) -> Vec<Bytes> {
    let mut chunks = Vec::with_capacity(bytes.len() / CHUNK_BYTES + 1);
    while bytes.len() > CHUNK_BYTES {
        chunks.push(bytes.split_to(CHUNK_BYTES));
    }
    chunks.push(bytes);
    chunks
}

async fn connected(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // It ends with the runtime, which lives as long as this program.
    drop(tokio::runtime::Handle::current().spawn(connection));
    Ok(client)
}
