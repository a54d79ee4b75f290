//! The engine: tables, limits, and a query that runs.
//!
//! Invariant: a query reads the tables of the runs asked for and nothing else: statements that define, change, copy or
//! set are refused, no function reads files, and file names are no tables.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use store::{Location, Reader};
use tokio::runtime::{Builder, Runtime};

use crate::Fault;
use crate::tables::{self, Table};

mod functions;
mod merge;
mod told;

/// What a query may take by default: enough for an exact percentile of some ten million rows.
pub const MEMORY_BYTES: usize = 1 << 30;

/// The table of raw events.
const EVENTS: &str = "perf_results";

/// The tables that hold windows merged, and how.
const MERGED: [(&str, &str); 3] = [
    ("run_seconds", include_str!("engine/run_seconds.sql")),
    ("run_minutes", include_str!("engine/run_minutes.sql")),
    ("run_totals", include_str!("engine/run_totals.sql")),
];

/// Batches of a table that wait to be read.
const WAITING: usize = 2;

/// How often a running query looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The tables there are.
fn table_names() -> Vec<&'static str> {
    [EVENTS].into_iter().chain(Table::ALL.map(Table::name)).chain(MERGED.map(|(name, _)| name)).collect()
}

/// Tables of some runs, ready to be asked.
pub struct Engine {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    context: SessionContext,
}

impl Engine {
    /// Prepares the tables of the runs of those names in the data folder `dir`; nothing is read yet. Queries take at most
    /// about `memory_bytes`.
    ///
    /// # Errors
    /// The folder cannot be read, or threads not started.
    pub fn open(dir: &Path, runs: &[String], memory_bytes: usize) -> Result<Self, Fault> {
        let engine = |error: &dyn std::fmt::Display| Fault::Engine(format!("the query engine: {error}"));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_time()
            .thread_name("query")
            .build()
            .map_err(|error| engine(&error))?;
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| engine(&error))?;
        let mut config = SessionConfig::new().with_information_schema(true).with_target_partitions(threads);
        config.options_mut().sql_parser.collect_spans = true;
        config.options_mut().sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
        let context = SessionContext::new_with_config_rt(config, environment);
        functions::all().into_iter().for_each(|function| context.register_udf(function));
        context.register_udaf(merge::merge());
        let opened = Self { runtime: Some(runtime), context };
        opened.register(dir, runs).map_err(|error| match error {
            Registering::Store(error) => Fault::Store(error),
            Registering::Engine(error) => engine(&error),
        })?;
        Ok(opened)
    }

    fn register(&self, dir: &Path, runs: &[String]) -> Result<(), Registering> {
        let mut files = Vec::new();
        for run_id in runs {
            for file in store::event_files(dir, run_id)? {
                files.push(url(&file)?);
            }
        }
        self.context.register_table(EVENTS, events(files)?)?;
        for table in Table::ALL {
            let lazy = Lazy { dir: dir.to_owned(), runs: runs.to_vec(), table, schema: table.schema() };
            let streamed = StreamingTable::try_new(table.schema(), vec![Arc::new(lazy)])?;
            self.context.register_table(table.name(), Arc::new(streamed))?;
        }
        self.register_merged()
    }

    /// The tables that hold windows merged.
    fn register_merged(&self) -> Result<(), Registering> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        for (name, merged) in MERGED {
            let merged = runtime.block_on(self.context.sql(merged))?;
            self.context.register_table(name, merged.into_view())?;
        }
        Ok(())
    }

    /// Runs a query; its rows come as they are asked for.
    ///
    /// # Errors
    /// [`Fault::Query`] with the place and what there is instead.
    pub fn query<'e>(&'e self, sql: &'e str) -> Result<Answer<'e>, Fault> {
        let reading =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let runtime = self.runtime.as_ref().ok_or(Fault::Stopped)?;
        let rows = runtime
            .block_on(async { self.context.sql_with_options(sql, reading).await?.execute_stream().await });
        let rows = rows.map_err(|error| told::of_query(&error, sql))?;
        Ok(Answer { runtime, sql, rows })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A table that is read in the background must not hold up whoever asked to stop.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

enum Registering {
    Store(store::Error),
    Engine(DataFusionError),
}

impl From<store::Error> for Registering {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<DataFusionError> for Registering {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

/// A file's place as the engine wants it: a URL, since a path with `[` or `*` in it would be a pattern.
fn url(file: &Path) -> Result<ListingTableUrl, DataFusionError> {
    let file = file.canonicalize()?;
    let mut url = "file://".to_owned();
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    ListingTableUrl::parse(url)
}

/// The table of raw events over those files.
fn events(
    files: Vec<ListingTableUrl>,
) -> Result<Arc<dyn datafusion::catalog::TableProvider>, DataFusionError> {
    let schema = read_as();
    if files.is_empty() {
        return Ok(Arc::new(datafusion::datasource::empty::EmptyTable::new(schema)));
    }
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension(".parquet");
    let config =
        ListingTableConfig::new_with_multi_paths(files).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// The columns of raw events, with texts in the form that the engine works with.
fn read_as() -> SchemaRef {
    let schema = store::perf_results();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Field::new(field.name(), DataType::Utf8View, field.is_nullable()),
        _ => field.as_ref().clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The rows of a query.
pub struct Answer<'e> {
    runtime: &'e Runtime,
    sql: &'e str,
    rows: SendableRecordBatchStream,
}

impl Answer<'_> {
    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// The next rows; `None` when there are no more.
    ///
    /// # Errors
    /// [`Fault::Stopped`] soon after `stop` was set.
    pub fn next(&mut self, stop: &AtomicBool) -> Result<Option<RecordBatch>, Fault> {
        if stop.load(Ordering::Relaxed) {
            return Err(Fault::Stopped);
        }
        let Self { runtime, sql, rows } = self;
        let next = runtime.block_on(async {
            loop {
                let next = std::future::poll_fn(|context| rows.as_mut().poll_next(context));
                // What was not there in time is not lost: the stream keeps it.
                match tokio::time::timeout(LOOK, next).await {
                    Ok(next) => break Some(next),
                    Err(_) if stop.load(Ordering::Relaxed) => break None,
                    Err(_) => {}
                }
            }
        });
        match next {
            None => Err(Fault::Stopped),
            Some(None) => Ok(None),
            Some(Some(Ok(rows))) => Ok(Some(rows)),
            Some(Some(Err(error))) => Err(told::of_query(&error, sql)),
        }
    }
}

/// A table that is read from the database when a query gets to it.
#[derive(Debug)]
struct Lazy {
    dir: PathBuf,
    runs: Vec<String>,
    table: Table,
    schema: SchemaRef,
}

impl PartitionStream for Lazy {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), WAITING);
        let to = stream.tx();
        let (dir, runs, table) = (self.dir.clone(), self.runs.clone(), self.table);
        stream.spawn_blocking(move || {
            let reader = Reader::open(Location::Folder(dir))
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            let mut is_asked = true;
            for run in &runs {
                let rows = tables::rows(&reader, run, table, |batch| {
                    is_asked = to.blocking_send(Ok(batch)).is_ok();
                    is_asked
                });
                rows.map_err(|fault| DataFusionError::External(Box::new(fault)))?;
                if !is_asked {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}
