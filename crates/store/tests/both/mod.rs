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
    _folder: Option<TempDir>,
}

/// Runs a test over a new store of each kind, which has the run [`RUN`].
pub fn both(test: impl Fn(&Place, Store)) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::from(folder.path());
    let (_, address) = server::database();
    postgres::init(&address, &Setup::default()).unwrap();
    for place in [
        Place { location, _folder: Some(folder) },
        Place { location: Location::from(&address), _folder: None },
    ] {
        let mut store = Store::open(&place.location).unwrap();
        store.create_run(&run(RUN, 1_000)).unwrap();
        test(&place, store);
    }
}
