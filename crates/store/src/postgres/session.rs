//! A connection, and transactions on it that cannot wait for ever.
//!
//! The calls are blocking, for threads that have no runtime; below them runs one for the connection alone, so that every
//! wait has an end. Invariant: nothing on a [`Link`] takes longer than its deadline, and after an error the next call
//! begins on a sound connection, a new one where needed. Deliberately absent: repeating what failed, which is the
//! caller's, but for a transaction that could not even begin since an idle connection had died.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row, RowStream, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::SslMode;
use super::error::Failure;
use super::{Address, Fault, MIN_VERSION, lock, schema, tls};
use crate::Error;

/// How long one transaction may take: writing a second of a large fleet takes a tenth of it, and whoever waits for the
/// store still renews its leases.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// How long reading may take: loading a long run from a server that is busy.
pub(super) const READ_DEADLINE: Duration = Duration::from_secs(30);
/// How long the work of an administrator may take: migrations of large tables.
pub(super) const ADMIN_DEADLINE: Duration = Duration::from_secs(3600);

/// A peer that vanished is noticed within this and two more probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a session is set to. The server looks after its clients as we look after it, so that one whose machine vanished, or
/// who stands still in a transaction, holds no lock for long.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET client_min_messages = warning; SET tcp_keepalives_idle = 5; \
                        SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000; \
                        SET idle_in_transaction_session_timeout = '30s'";

/// For rows that go out as slowly as somebody takes them: one who pauses has not vanished. They come in the order in which
/// they are stored, whoever else reads the table.
const COPY_OUT: &str =
    "SET tcp_user_timeout = 0; SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0";

/// Statements that a connection keeps prepared.
const MAX_STATEMENTS: usize = 256;

/// What a transaction promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sees one moment of the database and changes nothing.
    Read,
    /// On the disk when it returns, with all that was committed before.
    Durable,
    /// The last of them may be gone after a crash of the server, whole and in order.
    Loose,
}

impl Kind {
    fn begin(self) -> &'static str {
        match self {
            Self::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Self::Durable => "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on",
            Self::Loose => "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off",
        }
    }
}

/// A database to say statements to.
pub(super) struct Db {
    pub(super) client: Client,
    statements: RefCell<HashMap<String, Statement>>,
    /// Whether the transaction has begun a COPY. When one fails, the client may take its last answer for that of the next
    /// statement, so a connection on which that may have happened is left.
    has_copied: Cell<bool>,
}

impl Db {
    fn new(client: Client) -> Self {
        Self { client, statements: RefCell::default(), has_copied: Cell::new(false) }
    }

    async fn prepared(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= MAX_STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        self.client.query(&self.prepared(sql).await?, values).await
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        self.client.query_opt(&self.prepared(sql).await?, values).await
    }

    pub(super) async fn execute(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, tokio_postgres::Error> {
        self.client.execute(&self.prepared(sql).await?, values).await
    }

    pub(super) async fn query_raw(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<RowStream, tokio_postgres::Error> {
        self.client.query_raw(&self.prepared(sql).await?, values.iter().copied()).await
    }

    /// Opens `sql`, a `COPY … FROM STDIN`.
    pub(super) async fn copy_in(
        &self,
        sql: &str,
    ) -> Result<tokio_postgres::CopyInSink<bytes::Bytes>, tokio_postgres::Error> {
        self.has_copied.set(true);
        self.client.copy_in(&self.prepared(sql).await?).await
    }
}

/// One connection, with the runtime that it lives on.
struct Session {
    db: Db,
    /// Taken when dropped: ending it must not block, since that may happen anywhere.
    runtime: Option<Runtime>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    fn connect(address: &Address) -> Result<Self, Error> {
        let unreachable =
            |error: std::io::Error| Fault::Unreachable { place: address.to_string(), why: error.to_string() };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let tls = MakeRustlsConnect::new(tls::configuration(address)?);
        let modes: &[tokio_postgres::config::SslMode] = {
            use tokio_postgres::config::SslMode::{Disable, Prefer, Require};
            match address.ssl_mode {
                _ if address.is_socket() => &[Disable],
                SslMode::Disable => &[Disable],
                SslMode::Allow => &[Disable, Require],
                SslMode::Prefer => &[Prefer, Disable],
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Require],
            }
        };
        let mut first: Option<Error> = None;
        for mode in modes {
            let mut config = configuration(address);
            config.ssl_mode(*mode);
            match runtime.block_on(connected(&config, &tls, address.connect_timeout)) {
                Ok(db) => return Ok(Self { db, runtime: Some(runtime) }),
                Err(failure) => {
                    let error = failure.into_error(address);
                    // The second way helps only against a server that wants no TLS, or nothing but.
                    let other_way =
                        matches!(&error, Error::Postgres(Fault::Tls { .. } | Fault::Refused { .. }));
                    if !other_way {
                        return Err(first.unwrap_or(error));
                    }
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| Fault::NotInitialised { place: address.to_string() }.into()))
    }

    fn run<T>(
        &self,
        deadline: Duration,
        work: impl AsyncFnOnce(&Db) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.runtime else { return Err(Failure::Silent(deadline)) };
        runtime.block_on(async {
            match timeout(deadline, work(&self.db)).await {
                Ok(result) => result,
                Err(_) => Err(Failure::Silent(deadline)),
            }
        })
    }
}

/// To be called on a runtime, which then carries the connection.
async fn connected(config: &Config, tls: &MakeRustlsConnect, within: Duration) -> Result<Db, Failure> {
    let connect = async {
        if config.get_ssl_mode() == tokio_postgres::config::SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await?;
            carry(connection);
            return Ok(client);
        }
        let (client, connection) = config.connect(tls.clone()).await?;
        carry(connection);
        Ok::<_, tokio_postgres::Error>(client)
    };
    match timeout(within, connect).await {
        Ok(client) => Ok(Db::new(client?)),
        Err(_) => Err(Failure::Silent(within)),
    }
}

fn carry(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    let carried = async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    };
    // Owned by the runtime of its session, and ends with it.
    drop(tokio::runtime::Handle::current().spawn(carried));
}

fn configuration(address: &Address) -> Config {
    let mut config = Config::new();
    if address.is_socket() {
        config.host_path(&address.host);
    } else {
        config.host(&address.host);
    }
    config
        .port(address.port)
        .user(&address.user)
        .dbname(&address.database)
        .application_name(&address.application)
        .connect_timeout(address.connect_timeout)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_PROBES)
        .tcp_user_timeout(TCP_USER_TIMEOUT);
    if let Some(password) = &address.password {
        config.password(password);
    }
    if let Some(options) = &address.options {
        config.options(options);
    }
    config
}

/// A way to a database, over as many connections one after the other as it takes.
pub(super) struct Link {
    address: Address,
    session: Option<Session>,
    /// Runs whose locks each of its connections takes.
    held: Vec<String>,
    /// Whether a connection needs our tables, of this version.
    checks: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.address)
    }
}

impl Link {
    /// Connects to a database that has our tables in this program's version.
    pub(super) fn open(address: &Address) -> Result<Self, Error> {
        Self::to(address, true)
    }

    /// Connects to a database whatever is in it.
    pub(super) fn bare(address: &Address) -> Result<Self, Error> {
        Self::to(address, false)
    }

    fn to(address: &Address, checks: bool) -> Result<Self, Error> {
        let mut link = Self { address: address.clone(), session: None, held: Vec::new(), checks };
        link.session()?;
        Ok(link)
    }

    /// The database, with the schema that was found.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Makes a run this link's to write, on this connection and those after it.
    pub(super) fn hold(&mut self, run_id: &str) -> Result<(), Error> {
        if self.held.iter().any(|held| held == run_id) {
            return Ok(());
        }
        let place = self.address.to_string();
        self.transaction(Kind::Read, DEADLINE, async |db| lock::take(db, run_id, &place).await)?;
        self.held.push(run_id.to_owned());
        Ok(())
    }

    /// Lets others write the run.
    pub(super) fn let_go(&mut self, run_id: &str) {
        self.held.retain(|held| held != run_id);
        let released = self.transaction(Kind::Read, DEADLINE, async |db| lock::release(db, run_id).await);
        if let Err(error) = released {
            tracing::debug!(run_id, %error, "the lock on a run ends with its connection");
        }
    }

    fn session(&mut self) -> Result<&Session, Error> {
        let sound = self.session.take().filter(|session| !session.db.client.is_closed());
        let session = match sound {
            Some(session) => session,
            None => {
                let session = Session::connect(&self.address)?;
                let prepared = session.run(DEADLINE, async |db| {
                    let schema = prepare(db, &self.address, self.checks).await?;
                    for run in &self.held {
                        lock::take(db, run, &self.address.to_string()).await?;
                    }
                    Ok(schema)
                });
                let schema = prepared.map_err(|failure| failure.into_error(&self.address))?;
                self.address = self.address.clone().with_schema(&schema);
                session
            }
        };
        Ok(self.session.insert(session))
    }

    /// Does `work` in one transaction: all of it, or nothing.
    pub(super) fn transaction<T>(
        &mut self,
        kind: Kind,
        deadline: Duration,
        work: impl AsyncFnOnce(&Db) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.begin(kind)?;
        // On the connection that it began on and no other, even when that has died since: on a new one each statement
        // would be committed by itself.
        let result = match &self.session {
            Some(session) => session.run(deadline, async |db| {
                let result = work(db).await?;
                db.client.batch_execute("COMMIT").await?;
                Ok(result)
            }),
            None => Err(Failure::Silent(deadline)),
        };
        result.map_err(|failure| self.failed(failure))
    }

    /// Opens `statement`, a binary `COPY … TO STDOUT` of columns of those types, and gives the connection to it.
    pub(super) fn copy_out(mut self, statement: &str, types: &[Type]) -> Result<CopyOut, Error> {
        let opened = self.session()?.run(READ_DEADLINE, async |db| {
            db.client.batch_execute(COPY_OUT).await?;
            Ok(db.client.copy_out(statement).await?)
        });
        let stream = opened.map_err(|failure| failure.into_error(&self.address))?;
        let rows = Box::pin(BinaryCopyOutStream::new(stream, types));
        Ok(CopyOut { rows, link: self })
    }

    fn begin(&mut self, kind: Kind) -> Result<(), Error> {
        let was_idle = self.session.is_some();
        let begin = async |db: &Db| {
            db.has_copied.set(false);
            Ok(db.client.batch_execute(kind.begin()).await?)
        };
        let Err(failure) = self.session()?.run(DEADLINE, begin) else { return Ok(()) };
        let was_idle = was_idle && failure.is_of_connection();
        let error = self.failed(failure);
        if !was_idle || matches!(error, Error::Postgres(Fault::Silent { .. })) {
            return Err(error);
        }
        let result = self.session()?.run(DEADLINE, begin);
        result.map_err(|failure| self.failed(failure))
    }

    /// Leaves a sound connection behind, or none.
    fn failed(&mut self, failure: Failure) -> Error {
        let rolled_back = !failure.is_of_connection()
            && self.session.as_ref().is_some_and(|session| {
                !session.db.has_copied.get()
                    && session
                        .run(DEADLINE, async |db| Ok(db.client.batch_execute("ROLLBACK").await?))
                        .is_ok()
            });
        if !rolled_back {
            self.session = None;
        }
        failure.into_error(&self.address)
    }
}

/// Rows that come as they are taken.
pub(super) struct CopyOut {
    rows: Pin<Box<BinaryCopyOutStream>>,
    link: Link,
}

impl std::fmt::Debug for CopyOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CopyOut({})", self.link.address)
    }
}

impl CopyOut {
    /// Hands over the next rows, up to `most`; says how many. Fewer are the last, after which there is nothing to ask for.
    pub(super) fn take(
        &mut self,
        most: usize,
        mut each: impl FnMut(&BinaryCopyOutRow) -> Result<(), Failure>,
    ) -> Result<usize, Error> {
        let Self { rows, link } = self;
        // On the connection that it began on and no other.
        let Some(session) = &link.session else { return Ok(0) };
        let taken = session.run(READ_DEADLINE, async |_| {
            for taken in 0..most {
                let Some(row) = rows.next().await else { return Ok(taken) };
                each(&row?)?;
            }
            Ok(most)
        });
        taken.map_err(|failure| failure.into_error(&link.address))
    }

    /// The database, with the schema that was found.
    pub(super) fn address(&self) -> &Address {
        self.link.address()
    }
}

/// Prepares a new connection, and says which schema it is on.
async fn prepare(db: &Db, address: &Address, checks: bool) -> Result<String, Failure> {
    let row =
        db.client.query_one("SELECT current_setting('server_version_num')::INT, version()", &[]).await?;
    let (number, version): (i32, String) = (row.get(0), row.get(1));
    if number / 10_000 < MIN_VERSION {
        let found = version.split_whitespace().nth(1).unwrap_or("of an unknown version").to_owned();
        return Err(Fault::TooOld { place: address.to_string(), found }.into());
    }
    let schema = schema::find(db, address).await?;
    let quoted = schema::quoted(&schema);
    db.client.batch_execute(&format!("SET search_path = {quoted}, public, swell_compat; {SETTINGS}")).await?;
    if checks {
        schema::check(db, address).await?;
    }
    Ok(schema)
}
