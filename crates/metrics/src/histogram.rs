//! Counts of durations in bins of about a thousandth: three significant digits from 1 µs to 1 h.
//!
//! Below 1,024 ns each nanosecond has its bin; from there every octave is cut into 1,024 equal bins. The bins are the
//! same everywhere, so merging is adding counts. Pages of 128 bins exist once they are touched, and come from a [`Pool`]
//! where allocating would disturb.
//!
//! Invariant: `count` is the sum of the bins, and equal contents are equal whatever form they are held in. Deliberately
//! absent: interpolation between bins, and resizing; a duration above [`LONGEST_NS`] is counted in the last bin and in
//! `clamped`.

use std::ops::Range;

/// The longest duration with a bin of its own, in ns: one hour.
pub const LONGEST_NS: u64 = 3_600_000_000_000;

/// How many bins there are; the last one holds [`LONGEST_NS`].
pub const BINS: u32 = bin_of(LONGEST_NS) + 1;

/// Bins of an octave, as a power of two.
const OCTAVE_BITS: u32 = 10;

/// Bins of a page: 1 KiB of counts, an eighth of an octave, so that a narrow distribution costs little.
const PAGE_BINS: usize = 128;

/// Pages of a full table.
const PAGES: usize = (BINS as usize).div_ceil(PAGE_BINS);

/// Up to this many bins a merge of two lists stays a list: 16 KiB. A table whose bins are spread over the seven octaves
/// of an overloaded target takes four times that, and a run of 500 steps has a thousand of them.
const LONGEST_LIST: usize = 1024;

/// A list that is this many times shorter is inserted into the longer one; else both are copied in order.
const INSERT_FACTOR: usize = 8;

/// The bin of a duration in ns; durations above [`LONGEST_NS`] share the last.
#[expect(clippy::cast_possible_truncation, reason = "a shifted value is below 2,048")]
#[inline]
pub const fn bin_of(ns: u64) -> u32 {
    let ns = if ns > LONGEST_NS { LONGEST_NS } else { ns };
    let octave = 63 - OCTAVE_BITS - (ns | (1 << OCTAVE_BITS)).leading_zeros();
    (octave << OCTAVE_BITS) + (ns >> octave) as u32
}

/// The durations in ns that fall into `bin`; the last bin's for any above it.
pub const fn bin_bounds(bin: u32) -> Range<u64> {
    let bin = if bin < BINS { bin } else { BINS - 1 };
    let octave = (bin >> OCTAVE_BITS).saturating_sub(1);
    let step = (bin - (octave << OCTAVE_BITS)) as u64;
    (step << octave)..((step + 1) << octave)
}

/// The duration in ns that stands for `bin`: the middle one.
const fn bin_middle(bin: u32) -> u64 {
    let bounds = bin_bounds(bin);
    bounds.start + (bounds.end - 1 - bounds.start) / 2
}

type Page = [u64; PAGE_BINS];

fn empty_page() -> Box<Page> {
    Box::new([0; PAGE_BINS])
}

/// All bins, in pages that exist once they are touched.
#[derive(Debug, Clone)]
struct Table {
    pages: [Option<Box<Page>>; PAGES],
}

impl Table {
    fn new() -> Box<Self> {
        Box::new(Self { pages: [const { None }; PAGES] })
    }

    #[inline]
    fn add(&mut self, bin: u32, count: u64, pool: &mut Pool) {
        let page = self.pages[bin as usize / PAGE_BINS].get_or_insert_with(|| pool.page());
        let held = &mut page[bin as usize % PAGE_BINS];
        *held = held.saturating_add(count);
    }

    fn bins(&self) -> impl Iterator<Item = (u32, u64)> {
        let numbered = (0u32..).step_by(PAGE_BINS).zip(&self.pages);
        numbered
            .filter_map(|(first, page)| page.as_ref().map(|page| (first, page)))
            .flat_map(|(first, page)| (first..).zip(page.iter().copied()).filter(|&(_, count)| count > 0))
    }
}

#[derive(Debug, Clone)]
enum Form {
    /// Ascending bins with counts above 0: what is read from elsewhere, or taken from a recorder.
    Listed(Vec<(u32, u64)>),
    /// What is being added to.
    Paged(Box<Table>),
}

/// Empty tables and pages for histograms that must not allocate.
#[expect(clippy::vec_box, reason = "they move between here and the histograms as they are, by their address")]
#[derive(Debug, Default)]
pub(crate) struct Pool {
    tables: Vec<Box<Table>>,
    pages: Vec<Box<Page>>,
}

impl Pool {
    fn page(&mut self) -> Box<Page> {
        self.pages.pop().unwrap_or_else(empty_page)
    }

    fn table(&mut self) -> Box<Table> {
        self.tables.pop().unwrap_or_else(Table::new)
    }

    /// Grows to at least so many spare tables and pages.
    pub(crate) fn reserve(&mut self, tables: usize, pages: usize) {
        while self.tables.len() < tables {
            self.tables.push(Table::new());
        }
        while self.pages.len() < pages {
            self.pages.push(empty_page());
        }
    }

    /// Spare tables and pages.
    pub(crate) fn spare(&self) -> (usize, usize) {
        (self.tables.len(), self.pages.len())
    }

    /// Keeps a table that was used, with its pages, as empty ones.
    fn take_back(&mut self, mut table: Box<Table>) {
        for mut page in table.pages.iter_mut().filter_map(Option::take) {
            page.fill(0);
            self.pages.push(page);
        }
        self.tables.push(table);
    }
}

/// A mergeable distribution of durations in ns.
#[derive(Debug, Clone)]
pub struct Histogram {
    form: Form,
    count: u64,
    clamped: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.clamped == other.clamped && self.bins().eq(other.bins())
    }
}

impl Eq for Histogram {}

impl Histogram {
    /// An empty histogram, which holds no memory.
    pub const fn new() -> Self {
        Self { form: Form::Listed(Vec::new()), count: 0, clamped: 0 }
    }

    /// The histogram of those bins; they must be ascending, below [`BINS`], with counts above 0 whose sum fits.
    /// `clamped` of them lay above [`LONGEST_NS`]. `None` when any of that does not hold.
    pub fn from_bins(bins: Vec<(u32, u64)>, clamped: u64) -> Option<Self> {
        let ascending = bins.is_sorted_by(|a, b| a.0 < b.0);
        let known = bins.last().is_none_or(|&(bin, _)| bin < BINS);
        let last = bins.last().filter(|&&(bin, _)| bin == BINS - 1).map_or(0, |&(_, count)| count);
        let mut total = 0u64;
        for &(_, count) in &bins {
            if count == 0 {
                return None;
            }
            total = total.checked_add(count)?;
        }
        (ascending && known && clamped <= last).then_some(Self {
            form: Form::Listed(bins),
            count: total,
            clamped,
        })
    }

    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Counts `n` equal durations.
    pub fn record_n(&mut self, ns: u64, n: u64) {
        self.record_from(ns, n, &mut Pool::default());
    }

    /// Counts `n` equal durations, with memory from `pool`.
    #[inline]
    pub(crate) fn record_from(&mut self, ns: u64, n: u64, pool: &mut Pool) {
        if n == 0 {
            return;
        }
        self.count = self.count.saturating_add(n);
        if ns > LONGEST_NS {
            self.clamped = self.clamped.saturating_add(n);
        }
        self.table(pool).add(bin_of(ns), n, pool);
    }

    #[inline]
    fn table(&mut self, pool: &mut Pool) -> &mut Table {
        if let Form::Listed(_) = self.form {
            self.unfold(pool);
        }
        match &mut self.form {
            Form::Paged(table) => table,
            Form::Listed(_) => unreachable!("unfolded above"),
        }
    }

    #[cold]
    fn unfold(&mut self, pool: &mut Pool) {
        if let Form::Listed(list) = &self.form {
            let mut table = pool.table();
            for &(bin, count) in list {
                table.add(bin, count, pool);
            }
            self.form = Form::Paged(table);
        }
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.count = self.count.saturating_add(other.count);
        self.clamped = self.clamped.saturating_add(other.clamped);
        match (&mut self.form, &other.form) {
            (Form::Listed(mine), Form::Listed(theirs)) if mine.len() + theirs.len() <= LONGEST_LIST => {
                add_list(mine, theirs);
            }
            (_, Form::Listed(theirs)) => {
                let pool = &mut Pool::default();
                let table = self.table(pool);
                for &(bin, count) in theirs {
                    table.add(bin, count, pool);
                }
            }
            (_, Form::Paged(theirs)) => {
                let pool = &mut Pool::default();
                let table = self.table(pool);
                for (mine, theirs) in table.pages.iter_mut().zip(&theirs.pages) {
                    let Some(theirs) = theirs else { continue };
                    match mine {
                        None => *mine = Some(theirs.clone()),
                        Some(mine) => {
                            mine.iter_mut().zip(theirs.iter()).for_each(|(a, b)| *a = a.saturating_add(*b))
                        }
                    }
                }
            }
        }
    }

    /// Takes what was counted, as small as it goes, and leaves this histogram empty; its memory goes to `pool`.
    pub(crate) fn take(&mut self, pool: &mut Pool) -> Self {
        let taken = std::mem::take(self);
        match taken.form {
            Form::Listed(_) => taken,
            Form::Paged(table) => {
                let mut list = Vec::with_capacity(table.bins().count());
                list.extend(table.bins());
                pool.take_back(table);
                Self { form: Form::Listed(list), ..taken }
            }
        }
    }

    /// Forgets all counts and keeps the pages.
    pub fn clear(&mut self) {
        self.count = 0;
        self.clamped = 0;
        match &mut self.form {
            Form::Listed(list) => list.clear(),
            Form::Paged(table) => table.pages.iter_mut().flatten().for_each(|page| page.fill(0)),
        }
    }

    /// Durations counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many of them were longer than [`LONGEST_NS`].
    pub const fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Whether nothing was counted.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bins that hold something, ascending, with their counts.
    pub fn bins(&self) -> impl Iterator<Item = (u32, u64)> {
        let (list, table) = match &self.form {
            Form::Listed(list) => (Some(list.iter().copied()), None),
            Form::Paged(table) => (None, Some(table.bins())),
        };
        list.into_iter().flatten().chain(table.into_iter().flatten())
    }

    /// The first and the last bin that hold something.
    pub fn ends(&self) -> Option<(u32, u32)> {
        match &self.form {
            Form::Listed(list) => Some((list.first()?.0, list.last()?.0)),
            Form::Paged(table) => Some((table.bins().next()?.0, table.bins().last()?.0)),
        }
    }

    /// The duration in ns that the share `q` (0 to 1) does not exceed, to the middle of its bin; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let [ns] = self.quantiles([q]);
        ns
    }

    /// Several quantiles in one pass; `qs` ascend.
    pub fn quantiles<const N: usize>(&self, qs: [f64; N]) -> [Option<u64>; N] {
        let mut found = [None; N];
        let mut wanted = qs.iter().zip(&mut found).peekable();
        let mut seen = 0u64;
        for (bin, count) in self.bins() {
            seen = count.saturating_add(seen);
            while let Some((q, slot)) = wanted.next_if(|(q, _)| rank(**q, self.count) <= seen) {
                debug_assert!((0.0..=1.0).contains(q), "a quantile is a share");
                *slot = Some(bin_middle(bin));
            }
        }
        found
    }

    /// Bytes held on the heap.
    pub fn memory_bytes(&self) -> usize {
        match &self.form {
            Form::Listed(list) => list.capacity() * size_of::<(u32, u64)>(),
            Form::Paged(table) => {
                size_of::<Table>() + table.pages.iter().flatten().count() * size_of::<Page>()
            }
        }
    }
}

/// The number, from 1, of the smallest sample that the share `q` of `count` samples does not exceed.
fn rank(q: f64, count: u64) -> u64 {
    // One step down undoes the rounding that would make 0.07 × 100 the eighth sample.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts from f64 saturate")]
    let rank = (q * count as f64).next_down().ceil() as u64;
    rank.clamp(1, count)
}

fn add_list(mine: &mut Vec<(u32, u64)>, theirs: &[(u32, u64)]) {
    if theirs.len() * INSERT_FACTOR > mine.len() {
        *mine = merged_lists(mine, theirs);
        return;
    }
    for &(bin, count) in theirs {
        match mine.binary_search_by_key(&bin, |&(held, _)| held) {
            Ok(at) => mine[at].1 = mine[at].1.saturating_add(count),
            Err(at) => mine.insert(at, (bin, count)),
        }
    }
}

fn merged_lists(a: &[(u32, u64)], b: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let next = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1.saturating_add(y.1)),
            (Some(x), Some(y)) => {
                if x.0 < y.0 {
                    **x
                } else {
                    **y
                }
            }
            (Some(x), None) => **x,
            (None, Some(y)) => **y,
            (None, None) => return out,
        };
        a.next_if(|x| x.0 == next.0);
        b.next_if(|y| y.0 == next.0);
        out.push(next);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use fastrand::Rng;

    use super::*;

    fn sample(rng: &mut Rng) -> u64 {
        rng.u64(..) >> rng.u32(18..64)
    }

    fn recorded(samples: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        samples.iter().for_each(|&ns| histogram.record(ns));
        histogram
    }

    fn listed(histogram: &Histogram) -> Histogram {
        Histogram::from_bins(histogram.bins().collect(), histogram.clamped()).expect("its own bins")
    }

    #[test]
    fn bins_where_octaves_begin_and_end() {
        let durations =
            [0, 1, 1023, 1024, 2047, 2048, 2049, 2050, 1_000_000, LONGEST_NS - 1, LONGEST_NS, u64::MAX];
        let rows =
            durations.map(|ns| format!("{ns} ns: bin {} of {:?}\n", bin_of(ns), bin_bounds(bin_of(ns))));
        expect![[r#"
            0 ns: bin 0 of 0..1
            1 ns: bin 1 of 1..2
            1023 ns: bin 1023 of 1023..1024
            1024 ns: bin 1024 of 1024..1025
            2047 ns: bin 2047 of 2047..2048
            2048 ns: bin 2048 of 2048..2050
            2049 ns: bin 2048 of 2048..2050
            2050 ns: bin 2049 of 2050..2052
            1000000 ns: bin 11169 of 999936..1000448
            3599999999999 ns: bin 33420 of 3599182594048..3601330077696
            3600000000000 ns: bin 33420 of 3599182594048..3601330077696
            18446744073709551615 ns: bin 33420 of 3599182594048..3601330077696
        "#]]
        .assert_eq(&rows.concat());
    }

    #[test]
    fn bins_follow_each_other_and_are_a_thousandth_wide() {
        for bin in 0..BINS {
            let bounds = bin_bounds(bin);
            assert_eq!((bin_of(bounds.start), bin_of((bounds.end - 1).min(LONGEST_NS))), (bin, bin));
            assert!(bin == 0 || bin_bounds(bin - 1).end == bounds.start, "no gap before bin {bin}");
            assert!(bounds.end - bounds.start <= 1.max(bounds.start / 1024), "bin {bin} is {bounds:?}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_samples_within_their_bin() {
        let seed = 0x6d65_7472;
        let mut rng = Rng::with_seed(seed);
        for _ in 0..200 {
            let mut samples: Vec<u64> = (0..rng.usize(1..300)).map(|_| sample(&mut rng)).collect();
            let histogram = recorded(&samples);
            samples.sort_unstable();
            let mut at = 0;
            for per_mille in [1, 250, 500, 900, 990, 999, 1000] {
                at = (samples.len() * per_mille).div_ceil(1000).max(at);
                let found = histogram.quantile(per_mille as f64 / 1000.0).map(bin_of);
                assert_eq!(found, Some(bin_of(samples[at - 1])), "seed {seed}, {per_mille} ‰ of {samples:?}");
            }
        }
    }

    #[test]
    fn a_rank_is_not_pushed_over_by_rounding() {
        for count in 1..2000 {
            for percent in 1..=100 {
                assert_eq!(
                    rank(percent as f64 / 100.0, count),
                    (count * percent).div_ceil(100),
                    "{percent} of {count}"
                );
            }
        }
    }

    #[test]
    fn what_is_above_the_last_bin_is_counted_there() {
        let histogram = recorded(&[LONGEST_NS, LONGEST_NS + 1, u64::MAX]);
        assert_eq!((histogram.count(), histogram.clamped()), (3, 2));
        assert_eq!(histogram.bins().collect::<Vec<_>>(), [(BINS - 1, 3)]);
    }

    #[test]
    fn merging_does_not_depend_on_form_or_order() {
        let seed = 0x6d65_7267;
        let mut rng = Rng::with_seed(seed);
        for _ in 0..300 {
            let length = *rng.choice(&[0, 1, 20, 150, 900]).unwrap();
            let (a, b): (Vec<u64>, Vec<u64>) = (
                (0..length).map(|_| sample(&mut rng)).collect(),
                (0..100).map(|_| sample(&mut rng)).collect(),
            );
            let whole = recorded(&[a.clone(), b.clone()].concat());
            let (a, b) = (recorded(&a), recorded(&b));
            for (mut mine, theirs) in [
                (a.clone(), b.clone()),
                (b.clone(), a.clone()),
                (listed(&a), b.clone()),
                (a.clone(), listed(&b)),
                (listed(&a), listed(&b)),
            ] {
                mine.merge(&theirs);
                assert_eq!(mine, whole, "seed {seed}");
            }
        }
    }

    #[test]
    fn what_is_taken_is_whole_and_its_memory_comes_back_empty() {
        let mut pool = Pool::default();
        let mut histogram = Histogram::new();
        for round in 0..3 {
            for ns in [5, 900, 1_000_000, 1_000_001 + round] {
                histogram.record_from(ns, 1, &mut pool);
            }
            let taken = histogram.take(&mut pool);
            assert_eq!(taken, recorded(&[5, 900, 1_000_000, 1_000_001 + round]));
            assert!(histogram.is_empty());
        }
        assert_eq!(pool.spare(), (1, 3));
    }

    #[test]
    fn impossible_bins_are_refused() {
        for bins in [
            vec![(2, 1), (1, 1)],
            vec![(1, 1), (1, 1)],
            vec![(BINS, 1)],
            vec![(1, 0)],
            vec![(0, u64::MAX), (1, 1)],
        ] {
            assert_eq!(Histogram::from_bins(bins.clone(), 0), None, "{bins:?}");
        }
        assert_eq!(Histogram::from_bins(vec![(1, 1)], 1), None, "bin 1 clamps nothing");
    }

    #[test]
    fn memory_follows_what_is_touched() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.memory_bytes(), 0);
        histogram.record(1_000_000);
        let narrow = histogram.memory_bytes();
        (0..1000).for_each(|n| histogram.record(1_000_000 + n));
        assert_eq!(histogram.memory_bytes(), narrow);
        histogram.clear();
        assert_eq!((histogram.memory_bytes(), histogram.bins().count()), (narrow, 0));
    }
}
