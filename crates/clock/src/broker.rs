//! Broker time: the stamps of the message log, which every process sees alike.
//!
//! A heartbeat sent at *a*, stamped *T* and acknowledged at *b* bounds the offset between the two clocks (Cristian's
//! method). The stamp has whole milliseconds, hence the half millisecond in both offset and error.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Instant;

/// Samples that are kept; the one with the smallest error counts.
const KEPT_SAMPLES: usize = 32;

/// A moment in the time of the message log: Unix milliseconds as the broker stamps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BrokerTime(i64);

impl BrokerTime {
    /// The moment `ms` Unix milliseconds.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Unix milliseconds.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// This moment, `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long `earlier` lies before this moment; zero when it does not.
    pub fn since(self, earlier: BrokerTime) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The first whole second at or after this moment.
    pub fn ceil_second(self) -> Self {
        let partial = self.0.rem_euclid(1000);
        Self(if partial == 0 { self.0 } else { self.0.saturating_add(1000 - partial) })
    }
}

/// One exchange with the broker: sent, stamped, acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When the record was handed over.
    pub sent: Instant,
    /// What the broker stamped on it.
    pub stamped: BrokerTime,
    /// When its acknowledgement was read.
    pub acknowledged: Instant,
}

/// Broker time minus monotonic time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Milliseconds to add to a monotonic instant to get broker time.
    pub ms: f64,
    /// The true offset lies within this many milliseconds of `ms`.
    pub error_ms: f64,
}

impl Offset {
    fn of(sample: &Sample) -> Self {
        let sent_ms = millis(sample.sent);
        let acknowledged_ms = millis(sample.acknowledged);
        Self {
            ms: sample.stamped.0 as f64 + 0.5 - (sent_ms + acknowledged_ms) / 2.0,
            error_ms: (acknowledged_ms - sent_ms).max(0.0) / 2.0 + 0.5,
        }
    }

    fn meets(&self, other: &Self) -> bool {
        (self.ms - other.ms).abs() <= self.error_ms + other.error_ms
    }
}

/// Converts between this machine's monotonic clock and broker time.
#[derive(Debug, Clone, Default)]
pub struct BrokerClock {
    samples: VecDeque<Offset>,
}

impl BrokerClock {
    /// A clock that has seen nothing: unsynchronised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns from one exchange. A sample that contradicts the kept ones discards them: the broker's leader moved, or a
    /// clock stepped. Returns whether it did.
    pub fn observe(&mut self, sample: &Sample) -> bool {
        let offset = Offset::of(sample);
        let stepped = !self.samples.iter().all(|kept| kept.meets(&offset));
        if stepped {
            self.samples.clear();
        }
        if self.samples.len() == KEPT_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(offset);
        stepped
    }

    /// The best estimate, or `None` while unsynchronised.
    pub fn offset(&self) -> Option<Offset> {
        self.samples.iter().copied().min_by(|a, b| a.error_ms.total_cmp(&b.error_ms))
    }

    /// What the broker's clock shows at `instant`.
    pub fn broker_time(&self, instant: Instant) -> Option<BrokerTime> {
        self.offset().map(|offset| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "Unix milliseconds fit an i64 for 292 million years"
            )]
            BrokerTime((millis(instant) + offset.ms).floor() as i64)
        })
    }

    /// The monotonic instant at which the broker's clock shows `time`; the clock's origin when that lies before it.
    pub fn instant(&self, time: BrokerTime) -> Option<Instant> {
        self.offset().map(|offset| {
            let ms = (time.0 as f64 - offset.ms).max(0.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and below 2^63 ns"
            )]
            Instant::from_nanos((ms * 1e6) as u64)
        })
    }
}

fn millis(instant: Instant) -> f64 {
    instant.as_nanos() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sent_ms: u64, stamped_ms: i64, acknowledged_ms: u64) -> Sample {
        Sample {
            sent: Instant::from_nanos(sent_ms * 1_000_000),
            stamped: BrokerTime(stamped_ms),
            acknowledged: Instant::from_nanos(acknowledged_ms * 1_000_000),
        }
    }

    #[test]
    fn unsynchronised_until_the_first_sample() {
        assert_eq!(BrokerClock::new().broker_time(Instant::from_nanos(5)), None);
    }

    #[test]
    fn the_sample_with_the_smallest_error_counts() {
        let mut clock = BrokerClock::new();
        assert!(!clock.observe(&sample(1000, 1_700_000_001_000, 1020)));
        assert!(!clock.observe(&sample(2000, 1_700_000_002_001, 2002)));
        let offset = clock.offset().unwrap();
        assert_eq!(offset.error_ms, 1.5);
        assert_eq!(offset.ms, 1_700_000_000_000.5);
        assert_eq!(
            clock.broker_time(Instant::from_nanos(3_000_000_000)),
            Some(BrokerTime(1_700_000_003_000))
        );
        let instant = clock.instant(BrokerTime(1_700_000_003_000)).unwrap();
        assert!(instant.since(Instant::from_nanos(2_999_000_000)) <= Duration::from_millis(1));
    }

    #[test]
    fn a_step_discards_what_was_known() {
        let mut clock = BrokerClock::new();
        clock.observe(&sample(1000, 50_000, 1001));
        assert!(clock.observe(&sample(2000, 56_000, 2001)));
        assert_eq!(clock.offset().unwrap().ms, 53_999.999_999_999_99_f64.round());
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(BrokerTime(1001).ceil_second(), BrokerTime(2000));
        assert_eq!(BrokerTime(2000).ceil_second(), BrokerTime(2000));
    }
}
