//! What became of lookups and contacts: counters and histograms of fixed size, and records of single lookups.

use super::lookup::Purpose;
use crate::contract::{Key256, NodeId, SimSpan, SimTime};

/// How often each of the numbers `0..N` came; those beyond count as the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts<const N: usize> {
    counts: [u64; N],
    sum: u64,
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Counts { counts: [0; N], sum: 0 }
    }
}

impl<const N: usize> Counts<N> {
    fn add(&mut self, number: u64) {
        self.counts[number.min(N as u64 - 1) as usize] += 1;
        self.sum += number;
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
        self.sum += other.sum;
    }

    /// How often each number came.
    pub fn counts(&self) -> &[u64; N] {
        &self.counts
    }

    /// The sum of all numbers, those beyond included as they were.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The mean of all numbers; `None` if there are none.
    pub fn mean(&self) -> Option<f64> {
        let count: u64 = self.counts.iter().sum();
        (count > 0).then(|| self.sum as f64 / count as f64)
    }
}

/// Cells of a histogram of spans: eight for each doubling.
const SPAN_CELLS: usize = 61 * 8;

/// How long things took, to within an eighth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    cells: Box<[u64; SPAN_CELLS]>,
}

impl Default for Spans {
    fn default() -> Self {
        Spans { cells: Box::new([0; SPAN_CELLS]) }
    }
}

/// The cell of a span of `nanos`: the number of its highest bit and the three bits after it.
fn cell_of(nanos: u64) -> usize {
    let nanos = nanos.max(8);
    let high = nanos.ilog2();
    (high as usize - 3) * 8 + (nanos >> (high - 3)) as usize - 8
}

impl Spans {
    /// Adds a span.
    pub fn add(&mut self, span: SimSpan) {
        self.cells[cell_of(span.as_nanos())] += 1;
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(other.cells.iter()).for_each(|(own, more)| *own += more);
    }

    /// A span that `percent` per cent of all reach at most: the end of its cell, less than an eighth too long. `None` if
    /// there are none.
    pub fn quantile(&self, percent: u64) -> Option<SimSpan> {
        let count: u64 = self.cells.iter().sum();
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut before = 0u128;
        let cell = self.cells.iter().position(|&cell| {
            before += u128::from(cell);
            before >= rank
        })?;
        // The end of the last cell is 2^64.
        let end = (cell as u128 % 8 + 9) << (cell / 8);
        Some(SimSpan::from_nanos((end - 1) as u64))
    }
}

/// What became of the lookups with one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupFigures {
    /// Lookups that ended.
    pub finished: u64,
    /// Of these, those that found what they were for: the value, or anybody who answered.
    pub found: u64,
    /// Requests that were not answered in time, as long as the lookup was under way.
    pub timeouts: u64,
    /// Steps to the closest node that answered, or to whoever had the value: how many nodes told of each other on the
    /// way to it. A contact of the node itself is one hop away, the node itself none. Of those that found anything.
    pub hops: Counts<32>,
    /// Requests of a lookup.
    pub requests: Counts<256>,
    /// From the first request to the last answer, of those that found anything.
    pub latency: Spans,
}

impl LookupFigures {
    pub(super) fn add(&mut self, record: &LookupRecord) {
        self.finished += 1;
        self.timeouts += u64::from(record.timeouts);
        self.requests.add(u64::from(record.requests));
        if record.found {
            self.found += 1;
            self.hops.add(u64::from(record.hops));
            self.latency.add(record.latency);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.finished += other.finished;
        self.found += other.found;
        self.timeouts += other.timeouts;
        self.hops.merge(&other.hops);
        self.requests.merge(&other.requests);
        self.latency.merge(&other.latency);
    }
}

/// One lookup that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupRecord {
    /// When it ended.
    pub ended: SimTime,
    /// Whose lookup it was.
    pub node: NodeId,
    /// What it was for.
    pub purpose: Purpose,
    /// Of what.
    pub target: Key256,
    /// The closest node that answered, or whoever had the value; the node itself if that is closer.
    pub closest: NodeId,
    /// Whether the value was found, or anybody answered.
    pub found: bool,
    /// Steps to the closest node.
    pub hops: u8,
    /// Requests that were sent.
    pub requests: u16,
    /// Requests that were not answered in time.
    pub timeouts: u16,
    /// How long it took.
    pub latency: SimSpan,
}

/// What became of lookups and contacts, of all nodes of a partition, or of several partitions together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KademliaFigures {
    lookups: [LookupFigures; Purpose::COUNT],
    /// Messages that could not be understood; they were ignored as a whole.
    pub rejected: u64,
    /// Answers that nobody waited for, the late included.
    pub unasked: u64,
    /// Lookups that were due, but the node had not joined yet or had too many under way.
    pub skipped: u64,
    /// Lookups whose node went away.
    pub aborted: u64,
    /// Full buckets whose least recently seen contact was pinged because there was another.
    pub checks: u64,
    /// Contacts that did not answer such a ping, and were replaced.
    pub evicted: u64,
    /// Contacts that did not answer a request, and were removed.
    pub failed: u64,
    /// Values that were kept.
    pub stored: u64,
    /// Values for which there was no room.
    pub refused: u64,
}

impl KademliaFigures {
    /// What became of the lookups with the purpose of this one; numbers of values do not matter.
    pub fn lookups(&self, purpose: Purpose) -> &LookupFigures {
        &self.lookups[purpose.index()]
    }

    pub(super) fn lookups_mut(&mut self, purpose: Purpose) -> &mut LookupFigures {
        &mut self.lookups[purpose.index()]
    }

    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.lookups.iter_mut().zip(&other.lookups).for_each(|(own, more)| own.merge(more));
        self.rejected += other.rejected;
        self.unasked += other.unasked;
        self.skipped += other.skipped;
        self.aborted += other.aborted;
        self.checks += other.checks;
        self.evicted += other.evicted;
        self.failed += other.failed;
        self.stored += other.stored;
        self.refused += other.refused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_the_last_count_as_the_last_but_add_up_as_they_are() {
        let (mut counts, mut more) = (Counts::<4>::default(), Counts::default());
        assert_eq!(counts.mean(), None);
        [0, 1, 1, 9].into_iter().for_each(|number| counts.add(number));
        more.add(2);
        counts.merge(&more);
        assert_eq!((counts.counts(), counts.sum(), counts.mean()), (&[1, 2, 1, 1], 13, Some(2.6)));
    }

    #[test]
    fn a_quantile_is_less_than_an_eighth_too_long() {
        for nanos in [0, 1, 8, 9, 15, 16, 17, 100, 1_000_000, 123_456_789, u64::MAX] {
            let mut spans = Spans::default();
            assert_eq!(spans.quantile(50), None);
            spans.add(SimSpan::from_nanos(nanos));
            let found = spans.quantile(50).unwrap().as_nanos();
            assert!(found >= nanos && found - nanos <= (nanos / 8).max(8), "{found} for {nanos}");
        }
        let mut spans = Spans::default();
        (1..=100).for_each(|millis| spans.add(SimSpan::from_millis(millis)));
        for percent in [1, 50, 99, 100] {
            let found = spans.quantile(percent).unwrap();
            let exact = SimSpan::from_millis(percent);
            assert!(found >= exact && found.as_nanos() <= exact.as_nanos() * 9 / 8, "{found} for {exact}");
        }
    }
}
