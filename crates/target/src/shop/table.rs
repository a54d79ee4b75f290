//! Maps that all threads share, and that forget their oldest entry when they are full.
//!
//! Invariant: a table never holds more entries than its capacity. It is cut into shards by the hash of the key, each
//! with a lock of its own and its part of the capacity; so the first to go is the oldest of a shard, which is about the
//! oldest of all.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Many times the threads that serve, so that two rarely want the same.
const SHARDS: usize = 64;

/// Values by the hash of a key, each behind its own lock.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    hasher: RandomState,
    shards: Box<[Mutex<T>]>,
}

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { hasher: RandomState::new(), shards }
    }
}

impl<T> Shards<T> {
    /// The shard of `key`, held until the guard is dropped.
    pub(crate) fn lock(&self, key: &str) -> MutexGuard<'_, T> {
        #[expect(clippy::cast_possible_truncation, reason = "any part of a hash will do")]
        let index = self.hasher.hash_one(key) as usize % self.shards.len();
        lock(&self.shards[index])
    }

    /// Each shard in turn.
    pub(crate) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.shards.iter().map(lock)
    }
}

/// A change is made in one step or not at all, so a thread that panicked leaves nothing half-done.
fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A map from texts to values with a bound.
#[derive(Debug)]
pub(crate) struct Table<V> {
    shards: Shards<Recent<V>>,
    shard_capacity: usize,
}

/// One shard: its entries, and their keys from the oldest on.
#[derive(Debug)]
struct Recent<V> {
    entries: HashMap<Arc<str>, Aged<V>>,
    /// Also names entries that are gone, at most as many as there are others; an age tells them from their successors.
    order: VecDeque<(u64, Arc<str>)>,
    next_age: u64,
}

#[derive(Debug)]
struct Aged<V> {
    age: u64,
    value: Option<V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), next_age: 0 }
    }
}

impl<V> Table<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { shards: Shards::default(), shard_capacity: (capacity / SHARDS).max(1) }
    }

    /// Shows `change` the value of `key`, if there is one, to look at, set, change or take away.
    pub(crate) fn update<R>(&self, key: &str, change: impl FnOnce(&mut Option<V>) -> R) -> R {
        let mut shard = self.shards.lock(key);
        if let Some(entry) = shard.entries.get_mut(key) {
            let result = change(&mut entry.value);
            if entry.value.is_none() {
                shard.entries.remove(key);
            }
            return result;
        }
        let mut value = None;
        let result = change(&mut value);
        if value.is_some() {
            shard.insert(key.into(), value, self.shard_capacity);
        }
        result
    }

    /// Shows `change` the value of `key`; `None` when there is none.
    pub(crate) fn with<R>(&self, key: &str, change: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.update(key, |value| value.as_mut().map(change))
    }

    pub(crate) fn set(&self, key: &str, value: V) {
        self.update(key, |place| *place = Some(value));
    }

    pub(crate) fn clear(&self) {
        self.shards.all().for_each(|mut shard| *shard = Recent::default());
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.all().map(|shard| shard.entries.len()).sum()
    }
}

impl<V> Recent<V> {
    fn insert(&mut self, key: Arc<str>, value: Option<V>, capacity: usize) {
        while self.entries.len() >= capacity {
            let Some((age, oldest)) = self.order.pop_front() else { break };
            if self.is_current(age, &oldest) {
                self.entries.remove(&oldest);
            }
        }
        if self.order.len() >= 2 * capacity {
            let order = std::mem::take(&mut self.order);
            self.order = order.into_iter().filter(|(age, key)| self.is_current(*age, key)).collect();
        }
        let age = self.next_age;
        self.next_age += 1;
        self.order.push_back((age, key.clone()));
        self.entries.insert(key, Aged { age, value });
    }

    fn is_current(&self, age: u64, key: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.age == age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_its_oldest() {
        let table = Table::new(10 * SHARDS);
        for number in 0..100_000 {
            table.set(&number.to_string(), number);
        }
        assert_eq!(table.len(), 10 * SHARDS);
        let kept = |number: u32| table.with(&number.to_string(), |value| *value);
        assert_eq!((kept(0), kept(90_000), kept(99_999)), (None, None, Some(99_999)));
        table.clear();
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn entries_that_go_and_come_again_count_from_their_return() {
        let table = Table::new(1);
        table.shards.lock("a").insert("a".into(), Some(1), 2);
        table.shards.lock("a").insert("b".into(), Some(2), 2);
        table.update("a", |value| value.take());
        for _ in 0..1000 {
            table.shards.lock("a").insert("a".into(), Some(3), 2);
            table.update("a", |value| value.take());
        }
        let mut shard = table.shards.lock("a");
        assert!(shard.order.len() <= 5, "{:?}", shard.order);
        shard.insert("a".into(), Some(4), 2);
        shard.insert("c".into(), Some(5), 2);
        let mut keys: Vec<&str> = shard.entries.keys().map(|key| &**key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["a", "c"]);
    }
}
