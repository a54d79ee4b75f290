//! Who leads: one orchestrator on these topics at a time.
//!
//! The control topic is the judge. A claimant reads up to its own claim; where another store's claim or lease that has
//! not expired by the stamp of that record precedes it, the claimant withdraws. A lease that has expired when it is sent
//! gives the lead back. Invariant: of two claims of different stores that are less than a lease apart, at most one leads.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::BrokerTime;
use transport::{Command, Control, Uuid};

/// How long a claim or a lease holds unless it is renewed.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// Stores that are remembered. More than a few on one set of topics is a mistake, and the refusal says so.
const MAX_STORES: usize = 64;

/// Until when each store holds the lead, as the control topic says so far.
#[derive(Debug, Default)]
pub(super) struct Holds {
    until: BTreeMap<Uuid, BrokerTime>,
}

impl Holds {
    /// Takes note of one record, in the order of the log.
    pub fn note(&mut self, control: &Control, stamp: BrokerTime) {
        let until = match control.command {
            Command::Claim => stamp.after(LEASE),
            Command::Lease { expires_at } => expires_at,
            _ => return,
        };
        if until <= stamp {
            self.until.remove(&control.store);
            return;
        }
        self.until.retain(|_, until| *until > stamp);
        if self.until.len() < MAX_STORES || self.until.contains_key(&control.store) {
            self.until.insert(control.store, until);
        }
    }

    /// The other store that leads at that moment, and until when.
    pub fn rival(&self, own: Uuid, at: BrokerTime) -> Option<(Uuid, BrokerTime)> {
        self.until
            .iter()
            .map(|(store, until)| (*store, *until))
            .find(|(store, until)| *store != own && *until > at)
    }

    /// Until when `store` leads.
    pub fn until(&self, store: Uuid) -> Option<BrokerTime> {
        self.until.get(&store).copied()
    }
}

/// Where an orchestrator stands with its own claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// The claim was sent and has not been read back. `nonce` tells it from one of a twin with the same store.
    Waiting { nonce: u64, since: clock::Instant, token: Option<u64> },
    /// It leads; the epoch is the offset of its claim. The log may have that claim twice.
    Held { epoch: i64, nonce: u64 },
    /// Another one leads; nothing is commanded any more.
    Superseded,
}
