//! What the shop itself has counted of each user: the truth that a run is held against.
//!
//! Invariant: every sign-in and every order is in the totals; those of users beyond the limit are in `others`.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::message::Reply;
use super::table::Shards;

/// Users that are counted apart: more than the rows of most data files. The record then takes about 10 MB.
const MAX_USERS: usize = 100_000;

/// What one user did.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    logins: u64,
    orders: u64,
}

/// The part of the users that a shard has.
#[derive(Debug, Default)]
struct Part {
    users: HashMap<Box<str>, Tally>,
    others: Tally,
}

/// All users.
#[derive(Debug, Default)]
pub(crate) struct Record {
    parts: Shards<Part>,
    users: AtomicUsize,
}

impl Record {
    /// Counts a sign-in.
    pub(crate) fn login(&self, user: &str) {
        self.count(user, |tally| tally.logins += 1);
    }

    /// Counts an order.
    pub(crate) fn order(&self, user: &str) {
        self.count(user, |tally| tally.orders += 1);
    }

    fn count(&self, user: &str, add: impl FnOnce(&mut Tally)) {
        let mut part = self.parts.lock(user);
        if let Some(tally) = part.users.get_mut(user) {
            return add(tally);
        }
        let is_room = |users| (users < MAX_USERS).then_some(users + 1);
        let place = match self.users.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_room) {
            Ok(_) => part.users.entry(user.into()).or_default(),
            Err(_) => &mut part.others,
        };
        add(place);
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        for mut part in self.parts.all() {
            self.users.fetch_sub(part.users.len(), Ordering::Relaxed);
            *part = Part::default();
        }
    }

    /// `GET /api/record`
    pub(crate) fn show(&self) -> Reply {
        let (mut logins, mut orders) = (BTreeMap::new(), BTreeMap::new());
        let (mut total, mut others) = (Tally::default(), Tally::default());
        for part in self.parts.all() {
            for (user, tally) in &part.users {
                if tally.logins > 0 {
                    logins.insert(user.clone(), tally.logins);
                }
                if tally.orders > 0 {
                    orders.insert(user.clone(), tally.orders);
                }
                total = sum(total, *tally);
            }
            others = sum(others, part.others);
        }
        let total = sum(total, others);
        Reply::json(
            200,
            &json!({
                "logins": logins,
                "orders": orders,
                "total": {"logins": total.logins, "orders": total.orders},
                "others": {"logins": others.logins, "orders": others.orders},
            }),
        )
    }
}

fn sum(one: Tally, other: Tally) -> Tally {
    Tally { logins: one.logins + other.logins, orders: one.orders + other.orders }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn users_beyond_the_limit_are_counted_together() {
        let record = Record::default();
        for number in 0..MAX_USERS + 7 {
            record.login(&number.to_string());
        }
        record.order("0");
        let shown: Value = serde_json::from_slice(&record.show().body).unwrap();
        assert_eq!(shown["logins"].as_object().map(serde_json::Map::len), Some(MAX_USERS));
        assert_eq!((&shown["logins"]["0"], &shown["orders"]), (&1.into(), &json!({"0": 1})));
        assert_eq!(shown["others"], json!({"logins": 7, "orders": 0}));
        assert_eq!(shown["total"], json!({"logins": MAX_USERS + 7, "orders": 1}));
        record.clear();
        record.login("new");
        let shown: Value = serde_json::from_slice(&record.show().body).unwrap();
        assert_eq!((&shown["logins"], &shown["others"]["logins"]), (&json!({"new": 1}), &0.into()));
    }
}
