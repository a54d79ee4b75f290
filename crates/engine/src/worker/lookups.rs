//! New connections of which it must first be looked up where they go.
//!
//! Until the answer is there, such a connection counts as one that is being opened. Invariant: the answer is not waited for
//! longer than whoever needs the connection waits; then it fails, and what comes later opens nothing.

use std::sync::Arc;

use crossbeam_channel::Sender;
use metrics::{ErrorKind, Outcome};

use super::Worker;
use crate::names::{LOOKUPS_MAX, Question};
use crate::peer::Peer;
use crate::source::Source;

/// The questions of one worker that are not answered.
pub(super) struct Lookups {
    asker: Option<Sender<Question>>,
    open: Vec<Lookup>,
    next_ticket: u32,
}

struct Lookup {
    ticket: u32,
    pool: u16,
    since_ns: u64,
    deadline_ns: u64,
}

impl Lookups {
    pub(super) fn new(asker: Option<Sender<Question>>) -> Self {
        Self { asker, open: Vec::new(), next_ticket: 0 }
    }

    pub(super) fn next_expiry_at(&self) -> u64 {
        self.open.iter().map(|lookup| lookup.deadline_ns).min().unwrap_or(u64::MAX)
    }
}

impl<S: Source> Worker<S> {
    /// Asks where a new connection of `pool` goes. False when no more questions may be open.
    pub(super) fn look_up(&mut self, pool: usize, deadline_ns: u64) -> bool {
        let Some(asker) = &self.lookups.asker else { return false };
        if self.lookups.open.len() >= LOOKUPS_MAX {
            return false;
        }
        let ticket = self.lookups.next_ticket;
        let number = u16::try_from(pool).unwrap_or(0);
        let until_boot_ns = self.clock.boot_time(deadline_ns);
        let mailbox = Arc::clone(&self.mailbox);
        if asker.try_send(Question { pool: number, ticket, until_boot_ns, mailbox }).is_err() {
            return false;
        }
        self.lookups.next_ticket = ticket.wrapping_add(1);
        self.lookups.open.push(Lookup { ticket, pool: number, since_ns: self.now_ns, deadline_ns });
        self.pools[pool].connecting += 1;
        self.pools[pool].open += 1;
        true
    }

    /// Hears the peers of a pool, and opens the connection for which they were asked for, if it is still needed.
    pub(super) fn hear_peers(&mut self, pool: u16, ticket: Option<u32>, peers: Option<&[Peer]>) {
        if let Some(peers) = peers {
            self.pools[usize::from(pool)].set_peers(peers);
        }
        let place = self.lookups.open.iter().position(|lookup| Some(lookup.ticket) == ticket);
        let Some(lookup) = place.map(|place| self.end_lookup(place)) else { return };
        let pool = usize::from(lookup.pool);
        if peers.is_none() {
            self.fail_waiting(pool, Outcome::Failed(ErrorKind::Dns, 0));
        } else if self.is_wanted(pool) {
            let lookup_ns = self.now_ns.saturating_sub(lookup.since_ns);
            self.open_for_waiting(pool, lookup.deadline_ns.max(self.now_ns + 1), Some(lookup_ns));
        }
    }

    /// Fails those for whom an answer comes too late.
    pub(super) fn expire_lookups(&mut self) {
        while let Some(place) = self.lookups.open.iter().position(|lookup| lookup.deadline_ns <= self.now_ns)
        {
            let pool = usize::from(self.end_lookup(place).pool);
            self.fail_waiting(pool, Outcome::Failed(ErrorKind::Dns, 0));
        }
    }

    fn end_lookup(&mut self, place: usize) -> Lookup {
        let lookup = self.lookups.open.swap_remove(place);
        let pool = &mut self.pools[usize::from(lookup.pool)];
        pool.connecting -= 1;
        pool.open -= 1;
        lookup
    }
}
