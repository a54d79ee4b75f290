//! The connections to one target, and the iterations that wait for one of them.
//!
//! A queue and connections are not tied to each other: whichever connection is free first takes whoever waits longest.
//! So a connection that fails fails whoever waits longest, and one that is opened may be needed by nobody any more.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use protocol::Protocol;

use crate::flight::Flight;
use crate::peer::Peer;

/// Connections of one thread to one target, by their numbers among the thread's.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) addresses: Vec<Address>,
    /// Addresses of this machine to connect from, in turn; none when the system chooses.
    sources: Arc<[IpAddr]>,
    /// The one tried next, so that they are used in turn.
    turn: usize,
    /// The last one freed is used first, so that what is not needed grows old and is closed by the target.
    pub(crate) idle: Vec<u32>,
    pub(crate) queue: VecDeque<Flight>,
    /// Until when somebody waits, or last waited, for the limit alone: there was a connection.
    pub(crate) limited_ns: Option<u64>,
    /// Connecting, idle or busy.
    pub(crate) open: u32,
    /// At most.
    pub(crate) max: u32,
    /// Opened and not ready for requests yet.
    pub(crate) connecting: u32,
    pub(crate) protocol: Arc<dyn Protocol>,
    /// Whether a connection may carry several requests at a time.
    pub(crate) is_multiplexed: bool,
    /// Whether each new connection looks up where it goes.
    pub(crate) looks_up: bool,
    pub(crate) has_tls: bool,
}

#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) peer: Peer,
    /// Whose handshake by TCP is under way.
    pub(crate) connecting: u32,
    /// The source tried next. Each address has its own turn, so that all pairs of source and address come about.
    source: usize,
    /// Whether new connections go there.
    is_current: bool,
}

impl Address {
    fn new(peer: Peer) -> Self {
        Self { peer, connecting: 0, source: 0, is_current: true }
    }
}

/// Places that a queue keeps, whether or not somebody waits.
const QUEUE_KEPT: usize = 256;

/// Addresses that are kept: the present ones, and former ones for as long as a connection to them is being made.
const ADDRESSES_MAX: usize = 1024;

impl Pool {
    pub(crate) fn new(
        peers: &[Peer],
        sources: Arc<[IpAddr]>,
        max: u32,
        protocol: Arc<dyn Protocol>,
        is_multiplexed: bool,
        has_tls: bool,
    ) -> Self {
        Self {
            addresses: peers.iter().cloned().map(Address::new).collect(),
            sources,
            turn: 0,
            idle: Vec::new(),
            queue: VecDeque::new(),
            limited_ns: None,
            open: 0,
            max,
            connecting: 0,
            protocol,
            is_multiplexed,
            looks_up: false,
            has_tls,
        }
    }

    /// Whether the kernel can tell of all its addresses when bytes arrive.
    pub(crate) fn is_stamped(&self) -> bool {
        self.addresses.iter().all(|address| matches!(address.peer, Peer::Tcp(_)))
    }

    /// Gives back the room that the queue took in a stall and does not need any more.
    pub(crate) fn give_memory_back(&mut self) {
        let needed = self.queue.len().max(QUEUE_KEPT);
        if self.queue.capacity() > 4 * needed {
            self.queue.shrink_to(needed);
        }
    }

    /// The address to open a connection to; `None` while as many as may be are connecting to each.
    pub(crate) fn next_address(&mut self, connecting_max: u32) -> Option<usize> {
        let count = self.addresses.len();
        let free = |turn: &usize| {
            let address = &self.addresses[*turn];
            address.is_current && address.connecting < connecting_max
        };
        let chosen = (self.turn..self.turn + count).map(|turn| turn % count).find(free)?;
        self.turn = (chosen + 1) % count;
        Some(chosen)
    }

    /// New connections go to `peers`, and to no others. An address keeps its number while a connection is made to it.
    pub(crate) fn set_peers(&mut self, peers: &[Peer]) {
        for address in &mut self.addresses {
            address.is_current = peers.contains(&address.peer);
        }
        for peer in peers {
            if self.addresses.iter().any(|address| address.peer == *peer) {
                continue;
            }
            let address = Address::new(peer.clone());
            let is_gone = |former: &&mut Address| !former.is_current && former.connecting == 0;
            if let Some(former) = self.addresses.iter_mut().find(is_gone) {
                *former = address;
            } else if self.addresses.len() < ADDRESSES_MAX {
                self.addresses.push(address);
            }
        }
    }

    /// Who is at `address`, and where to connect from.
    pub(crate) fn route(&mut self, address: usize) -> (&Peer, Option<IpAddr>) {
        let Address { peer, source: turn, .. } = &mut self.addresses[address];
        let count = self.sources.len();
        let places = (*turn..*turn + count).map(|place| place % count);
        let chosen = places.into_iter().find(|place| peer.is_reached_from(self.sources[*place]));
        *turn = chosen.map_or(0, |place| place + 1);
        (peer, chosen.map(|place| self.sources[place]))
    }
}
