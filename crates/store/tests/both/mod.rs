//! The same test over both kinds of store.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails where it fails")]

use store::postgres::{self, Setup};
use store::{Location, Store};
use tempfile::TempDir;

use crate::fixture::{RUN, run};
use crate::server;

/// Where a test has its store.
pub struct Place {
    pub location: Location,
    folder: Option<TempDir>,
    database: String,
}

impl Place {
    /// Says statements to the database itself: those of a folder, or those of PostgreSQL.
    pub fn sql(&self, of_folder: &str, of_postgres: &str) {
        match &self.folder {
            Some(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("swell.db")).unwrap();
                connection.execute_batch(of_folder).unwrap();
            }
            None => drop(server::server().sql(&self.database, of_postgres).unwrap()),
        }
    }
}

/// Runs a test over a new store of each kind, which has the run [`RUN`].
pub fn both(test: impl Fn(&Place, Store)) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path());
    let (database, address) = server::database();
    postgres::init(&address, &Setup::default()).unwrap();
    for place in [
        Place { location, folder: Some(folder), database: String::new() },
        Place { location: Location::from(&address), folder: None, database },
    ] {
        let mut store = Store::open(&place.location).unwrap();
        store.create_run(&run(RUN, 1_000)).unwrap();
        test(&place, store);
    }
}
