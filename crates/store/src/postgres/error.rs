//! What can go wrong with PostgreSQL, said so that whoever reads it knows what to do.
//!
//! Invariant: every message names the database and never holds a password.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::Address;

/// Why PostgreSQL could not do what it was asked. `place` is the address without its password.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The address cannot be understood.
    #[error(
        "{text} is no address of a PostgreSQL database: {why}; it is written postgres://USER@HOST:PORT/DATABASE"
    )]
    Address {
        /// The address without its password.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A file that the connection needs (certificates, keys) cannot be read.
    #[error("{path} cannot be used: {why}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Nobody answers there.
    #[error("{place} cannot be reached: {why}; is PostgreSQL running, and does it listen there?")]
    Unreachable {
        /// The database.
        place: String,
        /// What the system said.
        why: String,
    },
    /// The server took the connection, and then said nothing.
    #[error("{place} did not answer within {} s; it may be overloaded, stopped or cut off", after.as_secs())]
    Silent {
        /// The database.
        place: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("the connection to {place} was lost: {why}")]
    Lost {
        /// The database.
        place: String,
        /// What was said.
        why: String,
    },
    /// No TLS, or a certificate that is not trusted.
    #[error("{place} cannot be spoken to by TLS: {why}; sslmode and sslrootcert say what is asked of it")]
    Tls {
        /// The database.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The server asks for a password, and none was given.
    #[error(
        "{place} asks for a password and none was given; put it into ~/.pgpass (mode 0600), PGPASSWORD or the address"
    )]
    NoPassword {
        /// The database.
        place: String,
    },
    /// The password is wrong.
    #[error("{place} does not take the password: {why}; look at ~/.pgpass, PGPASSWORD and the address")]
    WrongPassword {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The server lets this user not in.
    #[error(
        "{place} lets nobody in like this: {why}; mend the user in the address, or pg_hba.conf of the server"
    )]
    Refused {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// There is no such database.
    #[error("{place} is not there: {why}; make it with `createdb`, or mend the address")]
    UnknownDatabase {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// All connections are taken.
    #[error("{place} takes no more connections: {why}; close some, or raise max_connections")]
    TooManyConnections {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The server is older than this program can use.
    #[error("{place} is PostgreSQL {found}; this program needs {} or later", super::MIN_VERSION)]
    TooOld {
        /// The database.
        place: String,
        /// Its version.
        found: String,
    },
    /// The user may not do that.
    #[error("{place} does not allow that to {user}: {why}; grant the right, or connect as another user")]
    Rights {
        /// The database.
        place: String,
        /// Who asked.
        user: String,
        /// What the server said.
        why: String,
    },
    /// The server is a standby, or set read-only.
    #[error("{place} is read-only: {why}; connect to the primary")]
    ReadOnly {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The server's disk is full.
    #[error("{place} has no space left: {why}; free some and it goes on: what is stored is undamaged")]
    Full {
        /// The database.
        place: String,
        /// What the server said.
        why: String,
    },
    /// The tables are not there.
    #[error("{place} has no tables of Groundswell; make them with `swell db init --store {place}`")]
    NotInitialised {
        /// The database.
        place: String,
    },
    /// A newer version of this program made the tables.
    #[error(
        "{place} has schema {found}, this version knows up to {known}; use the newer version that made it"
    )]
    Newer {
        /// The database.
        place: String,
        /// Its schema version.
        found: i32,
        /// The last schema version known here.
        known: i32,
    },
    /// An older version made the tables.
    #[error(
        "{place} has schema {found}, this version needs {known}; bring it up to date with `swell db migrate --store {place}`"
    )]
    Older {
        /// The database.
        place: String,
        /// Its schema version.
        found: i32,
        /// The schema version needed.
        known: i32,
    },
    /// A migration in the database is not the one that this program knows by that number.
    #[error(
        "{place} was made by another build of this program: migration {version} ({name}) differs; use that build, or another schema"
    )]
    Altered {
        /// The database.
        place: String,
        /// Which.
        version: i32,
        /// Its name.
        name: String,
    },
    /// Tables of those names are there already, made by somebody else.
    #[error(
        "{place} has {what} that Groundswell did not make; leave them be and take a schema of its own with `swell db init --schema NAME`"
    )]
    Foreign {
        /// The database.
        place: String,
        /// The tables, and of `perf_results` the columns that differ.
        what: String,
    },
    /// Several schemas have tables of Groundswell.
    #[error(
        "{place} has several stores, in the schemas {schemas}; say which by ?schema=NAME at the end of the address"
    )]
    Ambiguous {
        /// The database.
        place: String,
        /// Their names.
        schemas: String,
    },
    /// Another process writes this run.
    #[error("run {run_id} in {place} is written by another process ({holder}); wait for its end, or stop it")]
    RunInUse {
        /// The run.
        run_id: String,
        /// The database.
        place: String,
        /// Who, as far as the server tells.
        holder: String,
    },
    /// What is stored cannot be read back.
    #[error("{place} holds what cannot be read: {detail}")]
    Damaged {
        /// The database.
        place: String,
        /// What.
        detail: String,
    },
    /// Anything else the server says.
    #[error("{place}: {why}")]
    Database {
        /// The database.
        place: String,
        /// What it said.
        why: String,
    },
}

impl Fault {
    /// Whether the same call may succeed later without anything being changed in it.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Lost { .. }
                | Self::TooManyConnections { .. }
                | Self::Full { .. }
        )
    }
}

/// What a piece of work on a connection fails with, before it is said about which database.
#[derive(Debug)]
pub(super) enum Failure {
    Server(tokio_postgres::Error),
    /// No answer within the time.
    Silent(Duration),
    Said(Box<crate::Error>),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self::Said(Box::new(error))
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Said(Box::new(fault.into()))
    }
}

impl Failure {
    /// Whether the connection is of no use any more.
    pub(super) fn is_of_connection(&self) -> bool {
        match self {
            Self::Server(error) => match error.as_db_error() {
                // Class 57: an operator, or a crash of another process, ended the session.
                Some(said) => said.code().code().starts_with("57P") || said.code().code().starts_with("08"),
                None => true,
            },
            Self::Silent(_) => true,
            Self::Said(_) => false,
        }
    }

    pub(super) fn into_error(self, address: &Address) -> crate::Error {
        match self {
            Self::Server(error) => of_server(address, &error).into(),
            Self::Silent(after) => Fault::Silent { place: address.to_string(), after }.into(),
            Self::Said(error) => *error,
        }
    }
}

/// What the server said, or why it could not say anything.
fn of_server(address: &Address, error: &tokio_postgres::Error) -> Fault {
    let place = address.to_string();
    let Some(said) = error.as_db_error() else { return of_connection(place, error) };
    let mut why = said.message().to_owned();
    if let Some(detail) = said.detail() {
        why = format!("{why} ({detail})");
    }
    let code = said.code();
    match code {
        _ if *code == SqlState::INVALID_PASSWORD => Fault::WrongPassword { place, why },
        _ if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Fault::Refused { place, why },
        _ if *code == SqlState::INVALID_CATALOG_NAME => Fault::UnknownDatabase { place, why },
        _ if *code == SqlState::TOO_MANY_CONNECTIONS => Fault::TooManyConnections { place, why },
        _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            Fault::Rights { place, user: address.user().to_owned(), why }
        }
        _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Fault::ReadOnly { place, why },
        _ if *code == SqlState::DISK_FULL => Fault::Full { place, why },
        // Of a write that met a full disk only the errno's words tell.
        _ if why.contains("No space left on device") => Fault::Full { place, why },
        _ if code.code().starts_with("57P") => Fault::Lost { place, why },
        _ => Fault::Database { place, why: format!("{why} [{}]", code.code()) },
    }
}

fn of_connection(place: String, error: &tokio_postgres::Error) -> Fault {
    let words = error.to_string();
    // All causes in one line: of a TLS or system error only the last says anything.
    let mut why = words.clone();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let text = next.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        cause = next.source();
    }
    let why = why.trim_start_matches("error connecting to server: ").to_owned();
    // A server that does not like our certificate says so by an alert, when it has been spoken to already.
    let is_of_tls = words.contains("TLS handshake")
        || words.contains("does not support TLS")
        || why.contains("received fatal alert");
    match words.as_str() {
        _ if is_of_tls => {
            let why = why.trim_start_matches("error performing TLS handshake: ");
            let why = why.trim_start_matches("error communicating with the server: ");
            Fault::Tls { place, why: why.to_owned() }
        }
        _ if why.contains("password missing") => Fault::NoPassword { place },
        _ if words.starts_with("error connecting") || words.contains("invalid configuration") => {
            Fault::Unreachable { place, why }
        }
        _ => Fault::Lost { place, why },
    }
}
