//! How storing goes: what the store refuses, and how far raw events are behind.
//!
//! Ages are computed when they are looked at, from the moments they count from: whoever stores may be waiting for a
//! database just then. Deliberately absent: the loss of events before the log, which drivers count and results state.

use store::Peer;

/// So far behind, storing does not keep up: twice what the slowest store lets rows wait to take many at once.
const BEHIND_MS: i64 = 10_000;
/// A collector tells once a second, unless it waits for its database; then it is given up after this.
const SILENT_MS: i64 = 5_000;
/// Looks are taken once a second; what was seen longer ago has grown older since.
const RECENT_MS: i64 = 2_500;
/// A lag that moved by less between two looks some seconds apart stands still.
const STILL_MS: i64 = 500;

/// How storing goes in this process, and in the collectors that share its work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Storage {
    /// Why results cannot be stored at the moment.
    pub results_fault: Option<Fault>,
    /// The ingest of raw events, where this process has one.
    pub ingest: Option<Ingest>,
    /// The other collectors of the same log and database, as they last said.
    pub others: Vec<Peer>,
    /// Since when, in Unix milliseconds, none of the collectors tells any more to whom this process leaves raw events.
    pub abandoned_ms: Option<i64>,
}

/// Something that does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What, and what to do about it.
    pub why: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: i64,
}

impl Fault {
    /// That it fails for `why` from now on, or still does.
    pub(crate) fn go_on(before: Option<&Self>, why: String, now_ms: i64) -> Self {
        Self { why, since_ms: before.map_or(now_ms, |before| before.since_ms) }
    }

    fn seconds(&self, now_ms: i64) -> i64 {
        (now_ms - self.since_ms).max(0) / 1000
    }
}

/// What an operator should know of, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Stable: `results_refused`, `events_refused`, `retention`, `behind`, `no_collector`, `collector`.
    pub code: &'static str,
    /// What happens, and what to do.
    pub text: String,
}

/// How the ingest of raw events stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingest {
    /// Its name among the collectors.
    pub name: String,
    /// Whether the log outlives this process.
    pub is_lasting: bool,
    /// Rows stored since it began.
    pub rows: u64,
    /// Rows that came again and had been stored before.
    pub duplicates: u64,
    /// Records that could not be understood and were set aside.
    pub set_aside: u64,
    /// Offsets that the log deleted before they were read.
    pub missing: u64,
    /// When the log was looked at, in Unix milliseconds: what follows was so then.
    pub looked_ms: i64,
    /// The partitions that it reads.
    pub partitions: Vec<PartitionLag>,
    /// What its lag was some seconds ago.
    pub lag_before_ms: i64,
    /// Why it cannot store at the moment.
    pub fault: Option<Fault>,
    /// That the log will soon delete what is not stored.
    pub warning: Option<String>,
}

/// How far the store is behind one partition of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// Its number.
    pub partition: i32,
    /// Records that are not stored.
    pub messages: i64,
    /// When the log took the oldest of them, in Unix milliseconds.
    pub oldest_ms: Option<i64>,
}

impl PartitionLag {
    /// Age of that in milliseconds, at a time in Unix milliseconds.
    fn ms(&self, at_ms: i64) -> i64 {
        self.oldest_ms.map_or(0, |oldest_ms| (at_ms - oldest_ms).max(0))
    }
}

impl Ingest {
    /// Age of the oldest record of its partitions that is not stored, in milliseconds.
    pub fn lag_ms(&self, now_ms: i64) -> i64 {
        self.partitions.iter().map(|partition| self.lag_of(partition, now_ms)).max().unwrap_or(0)
    }

    /// Age of the oldest record of a partition that is not stored, in milliseconds. As it was seen, unless that is long ago:
    /// whoever looks may be waiting for the store, and what was seen waits with him.
    pub fn lag_of(&self, partition: &PartitionLag, now_ms: i64) -> i64 {
        let is_recent = (0..RECENT_MS).contains(&(now_ms - self.looked_ms));
        partition.ms(if is_recent { self.looked_ms } else { now_ms })
    }

    /// Records of its partitions that are not stored.
    pub fn lag_messages(&self) -> i64 {
        self.partitions.iter().map(|partition| partition.messages).sum()
    }

    /// What an operator should know of, but for the other collectors; the worst first.
    pub fn troubles(&self, now_ms: i64) -> Vec<Trouble> {
        let retention = self.warning.clone().map(|text| Trouble { code: "retention", text });
        let refused = self.fault.as_ref().map(|fault| {
            let place = if self.is_lasting { "Kafka" } else { "memory" };
            let (seconds, why) = (fault.seconds(now_ms), &fault.why);
            let text = format!("raw events have not been stored for {seconds} s, and wait in {place}: {why}");
            Trouble { code: "events_refused", text }
        });
        // Whoever is refused is behind for no other reason.
        let behind = self.behind(now_ms).filter(|_| self.fault.is_none());
        refused.into_iter().chain(retention).chain(behind).collect()
    }

    fn behind(&self, now_ms: i64) -> Option<Trouble> {
        let lag_ms = self.lag_ms(now_ms);
        if lag_ms < BEHIND_MS {
            return None;
        }
        let advice = if self.is_lasting {
            "start more collectors, which need a store in PostgreSQL, or keep"
        } else {
            "keep"
        };
        let moved_ms = lag_ms - self.lag_before_ms;
        let trend = if moved_ms < -STILL_MS {
            "and it is catching up".to_owned()
        } else {
            let trend = if moved_ms > STILL_MS { "the lag grows" } else { "does not catch up" };
            format!("and {trend}: {advice} fewer events (`events` of the plan)")
        };
        let (seconds, batches) = (lag_ms / 1000, self.lag_messages());
        let text = format!("the store is {seconds} s and {batches} batches of raw events behind, {trend}");
        Some(Trouble { code: "behind", text })
    }
}

impl Storage {
    /// Takes down how the collectors stand to whom this process leaves raw events. Of a store that is away, who writes results
    /// into it tells.
    pub(crate) fn meet(&mut self, others: Result<Vec<Peer>, store::Error>, now_ms: i64) {
        if let Ok(others) = &others {
            let is_left = others.is_empty() && (self.abandoned_ms.is_some() || !self.others.is_empty());
            self.abandoned_ms = is_left.then(|| self.abandoned_ms.unwrap_or(now_ms));
            self.others.clone_from(others);
        }
    }

    /// Age of the oldest record that no collector has stored, in milliseconds.
    pub fn lag_ms(&self, now_ms: i64) -> i64 {
        let own = self.ingest.iter().map(|ingest| ingest.lag_ms(now_ms));
        own.chain(self.others.iter().map(|other| other.lag_ms)).max().unwrap_or(0)
    }

    /// Records that no collector has stored.
    pub fn lag_messages(&self) -> i64 {
        let own = self.ingest.iter().map(Ingest::lag_messages);
        own.chain(self.others.iter().map(|other| other.lag_batches)).sum()
    }

    /// What an operator should know of, the worst first.
    pub fn troubles(&self, now_ms: i64) -> Vec<Trouble> {
        let results = self.results_fault.as_ref().map(|fault| {
            let (seconds, why) = (fault.seconds(now_ms), &fault.why);
            let text = format!("results have not been stored for {seconds} s, and wait in memory: {why}");
            Trouble { code: "results_refused", text }
        });
        let own = self.ingest.iter().flat_map(|ingest| ingest.troubles(now_ms));
        let silent_ms = self.abandoned_ms.map(|since_ms| now_ms - since_ms);
        let abandoned = silent_ms.filter(|silent_ms| *silent_ms >= SILENT_MS).map(|silent_ms| Trouble {
            code: "no_collector",
            text: format!(
                "no collector is left: for {} s none has told how it stands, and raw events wait in Kafka; look for \
                 `swell collector`",
                silent_ms / 1000
            ),
        });
        let of = |other: &Peer| {
            let text = format!("{}: {}", other.name, other.trouble.as_ref()?);
            Some(Trouble { code: "collector", text })
        };
        results.into_iter().chain(own).chain(abandoned).chain(self.others.iter().filter_map(of)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000_000;

    fn behind_by(lag_ms: i64, lag_before_ms: i64) -> Ingest {
        let partition = |partition, messages, lag_ms| PartitionLag {
            partition,
            messages,
            oldest_ms: (messages > 0).then_some(NOW_MS - lag_ms),
        };
        let partitions = vec![partition(0, 3, lag_ms), partition(1, 0, 0), partition(2, 40, lag_ms / 2)];
        Ingest { is_lasting: true, partitions, lag_before_ms, ..Ingest::default() }
    }

    fn texts(ingest: Ingest) -> Vec<String> {
        let storage = Storage { ingest: Some(ingest), ..Storage::default() };
        storage.troubles(NOW_MS).into_iter().map(|trouble| trouble.text).collect()
    }

    #[test]
    fn a_lag_is_told_once_it_is_long_and_whether_it_grows() {
        assert_eq!(texts(behind_by(9_999, 0)), Vec::<String>::new());
        let ends = |lag_before_ms, end: &str| {
            let [text] = &texts(behind_by(12_400, lag_before_ms))[..] else { panic!("one trouble") };
            assert!(text.starts_with("the store is 12 s and 43 batches of raw events behind, "), "{text}");
            assert!(text.contains(end), "{text}");
        };
        ends(2_400, "the lag grows: start more collectors");
        ends(12_400, "does not catch up: start more collectors");
        ends(40_000, "it is catching up");
    }

    #[test]
    fn what_was_seen_ages_once_nobody_looks() {
        let mut ingest = behind_by(400, 0);
        ingest.looked_ms = NOW_MS;
        assert_eq!(ingest.lag_ms(NOW_MS + 1_000), 400);
        assert_eq!(ingest.lag_ms(NOW_MS + 20_000), 20_400);
    }

    #[test]
    fn a_refusal_says_since_when_and_the_lag_is_no_second_trouble() {
        let fault = Fault::go_on(None, "the disk is full".to_owned(), NOW_MS - 12_900);
        let fault = Fault::go_on(Some(&fault), "the disk is still full".to_owned(), NOW_MS);
        let warning = Some("Kafka deletes them".to_owned());
        let ingest = Ingest { fault: Some(fault), warning, ..behind_by(13_000, 3_000) };
        let refused =
            "raw events have not been stored for 12 s, and wait in Kafka: the disk is still full".to_owned();
        assert_eq!(texts(ingest), [refused, "Kafka deletes them".to_owned()]);
    }

    #[test]
    fn the_last_collector_is_missed_after_a_while() {
        let codes = |abandoned_ms| {
            let storage = Storage { abandoned_ms, ..Storage::default() };
            storage.troubles(NOW_MS).iter().map(|trouble| trouble.code).collect::<Vec<_>>()
        };
        assert!(codes(None).is_empty() && codes(Some(NOW_MS - 4_999)).is_empty());
        assert_eq!(codes(Some(NOW_MS - 5_000)), ["no_collector"]);
    }

    #[test]
    fn a_collector_that_was_never_there_is_not_missed() {
        let mut storage = Storage::default();
        let mut after = |others: &[Peer], now_ms| {
            storage.meet(Ok(others.to_vec()), now_ms);
            storage.abandoned_ms
        };
        let peer = [Peer::default()];
        let looks = [after(&[], 1), after(&peer, 2), after(&[], 3), after(&[], 4), after(&peer, 5)];
        assert_eq!(looks, [None, None, Some(3), Some(3), None]);
    }

    #[test]
    fn lag_is_that_of_all_collectors() {
        let other = Peer {
            name: "collector-b-7".to_owned(),
            partitions: 2,
            rows: 5,
            lag_batches: 7,
            lag_ms: 31_000,
            trouble: Some("it is slow".to_owned()),
        };
        let own = Some(behind_by(1_000, 1_000));
        let storage = Storage { ingest: own, others: vec![other], ..Storage::default() };
        assert_eq!((storage.lag_ms(NOW_MS), storage.lag_messages()), (31_000, 50));
        let [trouble] = &storage.troubles(NOW_MS)[..] else { panic!("one trouble") };
        assert_eq!((trouble.code, trouble.text.as_str()), ("collector", "collector-b-7: it is slow"));
    }
}
