//! What a server counts, since its start.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that many threads raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counters of a server.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub $name: Counter,)+
        }

        /// What a server counted since its start.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Counts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// All of them now.
            pub fn counts(&self) -> Counts {
                Counts { $($name: self.$name.get(),)+ }
            }
        }

        impl Counts {
            /// Each with its name, as clients are told them.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Connections that were accepted.
    connections,
    /// Connections that were closed at once, since there were too many.
    connections_refused,
    /// Calls of `Log` that were answered `OK`.
    calls,
    /// Calls of `Log` that were answered `TRY_LATER`.
    calls_later,
    /// JSON events that were committed.
    events,
    /// Batches of drivers that were committed, those that had come before among them.
    batches,
    /// Entries of other categories, which were answered `OK` and dropped.
    ignored,
    /// Entries that mean nothing, which were answered `OK` and set aside.
    set_aside,
    /// Streams and calls that are not of the protocol.
    malformed,
}
