//! Histograms of fixed size that protocols keep and partitions merge: of small numbers, and of spans of time.

use serde::{Deserialize, Serialize};

use super::{SimSpan, exact};

/// How often each of the numbers `0..N` came; those beyond count as the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts<const N: usize> {
    #[serde(with = "exact::array")]
    counts: [u64; N],
    sum: u64,
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Counts { counts: [0; N], sum: 0 }
    }
}

impl<const N: usize> Counts<N> {
    /// Adds a number.
    pub fn add(&mut self, number: u64) {
        self.counts[number.min(N as u64 - 1) as usize] += 1;
        self.sum += number;
    }

    /// Adds those of another histogram.
    pub fn merge(&mut self, other: &Self) {
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

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean of all numbers; `None` if there are none.
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum as f64 / count as f64)
    }

    /// The smallest number that `percent` per cent of all do not exceed, those beyond `N - 1` taken for it; `None` if
    /// there are none.
    pub fn quantile(&self, percent: u64) -> Option<u64> {
        nearest_rank(&self.counts, percent).map(|number| number as u64)
    }
}

/// The first cell by which `percent` per cent of all that was counted in `cells` are reached; `None` if nothing was.
fn nearest_rank(cells: &[u64], percent: u64) -> Option<usize> {
    let count: u64 = cells.iter().sum();
    let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
    let mut before = 0u128;
    cells.iter().position(|&cell| {
        before += u128::from(cell);
        before >= rank
    })
}

/// Cells of a histogram of spans: eight for each doubling.
const SPAN_CELLS: usize = 61 * 8;

/// How long things took, to within an eighth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spans {
    #[serde(with = "exact::array")]
    cells: Box<[u64; SPAN_CELLS]>,
    nanos: u128,
}

impl Default for Spans {
    fn default() -> Self {
        Spans { cells: Box::new([0; SPAN_CELLS]), nanos: 0 }
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
        self.nanos += u128::from(span.as_nanos());
    }

    /// Adds those of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.cells.iter_mut().zip(other.cells.iter()).for_each(|(own, more)| *own += more);
        self.nanos += other.nanos;
    }

    /// How many spans there are.
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// The mean, exact to the nanosecond; `None` if there are none.
    pub fn mean(&self) -> Option<SimSpan> {
        let count = u128::from(self.count());
        (count > 0).then(|| SimSpan::from_nanos((self.nanos / count) as u64))
    }

    /// A span that `percent` per cent of all reach at most: the end of its cell, less than an eighth too long. `None` if
    /// there are none.
    pub fn quantile(&self, percent: u64) -> Option<SimSpan> {
        let cell = nearest_rank(&*self.cells, percent)?;
        // The end of the last cell is 2^64.
        let end = (cell as u128 % 8 + 9) << (cell / 8);
        Some(SimSpan::from_nanos((end - 1) as u64))
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
        assert_eq!([0, 20, 60, 61, 100].map(|percent| counts.quantile(percent)), [0, 0, 1, 2, 3].map(Some));
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
        assert_eq!((spans.count(), spans.mean()), (100, Some(SimSpan::from_micros(50_500))));
        for percent in [1, 50, 99, 100] {
            let found = spans.quantile(percent).unwrap();
            let exact = SimSpan::from_millis(percent);
            assert!(found >= exact && found.as_nanos() <= exact.as_nanos() * 9 / 8, "{found} for {exact}");
        }
    }
}
