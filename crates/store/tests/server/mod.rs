//! One PostgreSQL for all tests of a process, and a database for each.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails where it fails")]

use std::sync::LazyLock;

use store::postgres::Address;
use xtask::services::Postgres;

/// The server; it ends with the process.
pub fn server() -> &'static Postgres {
    static SERVER: LazyLock<Postgres> = LazyLock::new(|| Postgres::start().unwrap());
    &SERVER
}

/// An address without any environment.
pub fn address(text: &str) -> Address {
    Address::parse(text, &|_| None).unwrap()
}

/// The address of a database as text.
pub fn url(name: &str) -> String {
    server().url(name)
}

/// A new, empty database: its name and address.
pub fn database() -> (String, Address) {
    let name = server().new_database().unwrap();
    let address = address(&url(&name));
    (name, address)
}
