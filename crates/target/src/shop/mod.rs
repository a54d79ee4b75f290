//! A small shop, so that a plan has something real to walk through: catalogue, sign-in, cart, checkout, and beside it
//! GraphQL, uploads and a store of keys. `docs/shop.md` is its reference.
//!
//! Invariant: what clients send changes the shop only within its limits: each table holds so many entries and then
//! gives up its oldest, and what cannot be understood is answered with a problem document. All threads share one shop;
//! no request holds more than one lock at a time. Deliberately absent: time, and anything that outlives the process.

use std::sync::atomic::{AtomicU64, Ordering};

mod message;
mod table;
mod catalogue;
mod page;
mod account;
mod cart;
mod record;
mod graphql;
mod upload;
mod keys;

pub(crate) use message::Reply;

use account::Sessions;
use cart::Order;
use catalogue::Catalogue;
use keys::Entry;
use message::{Answer, Problem, Request};
use record::Record;
use table::Table;

/// Orders that are remembered: as many as sessions, each of which rarely orders twice.
const MAX_ORDERS: usize = 65_536;

/// Keys of the store. With [`keys::MAX_VALUE_BYTES`] it holds at most 128 MiB.
const MAX_KEYS: usize = 16_384;

/// The shop and all that happened in it.
#[derive(Debug)]
pub(crate) struct Shop {
    catalogue: Catalogue,
    sessions: Sessions,
    orders: Table<Order>,
    keys: Table<Entry>,
    record: Record,
    last_order: AtomicU64,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self {
            catalogue: Catalogue::new(),
            sessions: Sessions::new(),
            orders: Table::new(MAX_ORDERS),
            keys: Table::new(MAX_KEYS),
            record: Record::default(),
            last_order: AtomicU64::new(0),
        }
    }

    /// Forgets all that happened. Numbers of orders and sessions go on, so that old ones stay unknown.
    pub(crate) fn reset(&self) {
        self.sessions.clear();
        self.orders.clear();
        self.keys.clear();
        self.record.clear();
    }

    /// Answers a request, given as its head and its body in one piece.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Reply {
        let answer = match Request::read(bytes) {
            Some(request) => self.route(&request),
            None => Err(Problem::new(400, "the request cannot be read")),
        };
        answer.unwrap_or_else(Reply::from)
    }

    fn route(&self, request: &Request<'_>) -> Answer {
        let path: Vec<&str> = request.path.split('/').skip(1).collect();
        match (request.method, path.as_slice()) {
            ("GET", [""] | ["products"]) => page::products(&self.catalogue, request),
            ("GET", ["api", "products"]) => self.catalogue.list(request),
            ("GET", ["api", "products", id]) => self.catalogue.one(request, id),
            ("GET", ["login"]) => Ok(account::login_page(self, request)),
            ("POST", ["login"]) => account::submit_login(self, request),
            ("GET", ["account"]) => Ok(account::account_page(self, request)),
            ("POST", ["api", "login"]) => account::api_login(self, request),
            ("GET", ["api", "cart"]) => cart::show(self, request),
            ("POST", ["api", "cart"]) => cart::add(self, request),
            ("DELETE", ["api", "cart", product]) => cart::remove(self, request, product),
            ("POST", ["api", "checkout"]) => cart::checkout(self, request),
            ("GET", ["api", "orders", id]) => cart::order(self, request, id),
            ("GET", ["api", "record"]) => Ok(self.record.show()),
            ("POST", ["graphql"]) => graphql::answer(&self.catalogue, request),
            ("POST", ["api", "upload"]) => upload::answer(request),
            ("GET", ["kv", key]) => keys::get(&self.keys, request, key),
            ("PUT", ["kv", key]) => keys::put(&self.keys, request, key),
            ("DELETE", ["kv", key]) => keys::delete(&self.keys, request, key),
            (method, path) => Err(match methods(path) {
                "" => Problem::new(404, "there is nothing at this path"),
                methods => Problem::new(405, format!("{method} is not for this path")).with("Allow", methods),
            }),
        }
    }

    fn next_order(&self) -> u64 {
        self.last_order.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What a path may be asked with; nothing when it is not ours.
fn methods(path: &[&str]) -> &'static str {
    match path {
        ["" | "products" | "account"] | ["api", "products" | "record"] => "GET, HEAD",
        ["api", "products" | "orders", _] => "GET, HEAD",
        ["login"] | ["api", "cart"] => "GET, HEAD, POST",
        ["api", "cart", _] => "DELETE",
        ["graphql"] | ["api", "login" | "checkout" | "upload"] => "POST",
        ["kv", _] => "GET, HEAD, PUT, DELETE",
        _ => "",
    }
}
