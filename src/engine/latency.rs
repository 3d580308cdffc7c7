//! How long a message takes: constant, drawn from a distribution, or by the regions of its ends.
//!
//! Every model is a smallest delay plus something that is never negative, in whole nanoseconds. So the lookahead of the
//! engine is known exactly, whatever the tail of a distribution.

use super::distribution::{Distribution, OPEN_UNIT_MAX, open_unit};
use super::regions::RegionTable;
use crate::contract::{NodeId, Placement, SimSpan, scale_word};

/// What a draw of a distribution without bound adds to the smallest delay at most: an hour. Tails are cut here.
pub const TAIL_MAX: SimSpan = SimSpan::from_secs(3_600);

/// One-way delays, drawn for every message on its own.
#[derive(Clone, Debug)]
pub enum Latency {
    /// Always the same.
    Constant(SimSpan),
    /// Uniform between two bounds, both included.
    Uniform {
        /// The smallest delay.
        min: SimSpan,
        /// The largest delay.
        max: SimSpan,
    },
    /// `min` plus a lognormal part.
    Lognormal {
        /// The smallest delay.
        min: SimSpan,
        /// The median of the whole, `min` included; above `min`.
        median: SimSpan,
        /// Standard deviation of the logarithm of the lognormal part; finite and not negative.
        sigma: f64,
    },
    /// A delay exceeds `d` with probability `(min / d)^shape`.
    Pareto {
        /// The smallest delay.
        min: SimSpan,
        /// Above one, so that there is a mean, `min * shape / (shape - 1)`.
        shape: f64,
    },
    /// By the regions of sender and receiver.
    Regions(RegionMatrix),
}

/// What is drawn for a message on top of, or around, the delay between two regions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Nothing: the delay is that of the table.
    None,
    /// The delay times `1 + share * u`, `u` uniform in `[0, 1)`.
    Uniform {
        /// The largest jitter as a share of the delay.
        share: f64,
    },
    /// The delay times `1 + x`, `x` lognormal.
    Lognormal {
        /// The median of `x`.
        median: f64,
        /// Standard deviation of the logarithm of `x`.
        sigma: f64,
    },
    /// The table holds the mean `m`: the delay follows a Pareto distribution with smallest value `m - excess` and shape
    /// `m / excess`, whose mean is `m`. SimBlock (Aoki et al., "SimBlock: a blockchain network simulator", 2019) has an
    /// excess of 5 ms.
    Pareto {
        /// How far the mean is above the smallest delay; below every delay of the table, and above zero.
        excess: SimSpan,
    },
}

/// Nodes placed in regions at random by share, with a matrix of one-way delays and jitter.
#[derive(Clone, Debug)]
pub struct RegionMatrix {
    /// The smallest delay in nanoseconds, row by row: from, then to.
    bases: Vec<u64>,
    placement: Placement,
    jitter: Extra,
}

/// Jitter, in the form in which it is drawn.
#[derive(Clone, Debug)]
enum Extra {
    /// As a share of the delay, scaled to 2^32.
    Uniform(u64),
    /// As a share of the delay.
    Lognormal(Distribution),
    /// The excess in nanoseconds; the base is the table's delay less this.
    Pareto(u64),
}

impl RegionMatrix {
    /// Nodes stand in the regions of `table` as `placement` says, and messages take the table's delays with `jitter`.
    ///
    /// # Panics
    /// If the placement has another number of regions, or if the excess of a Pareto jitter is zero or not below every
    /// delay of the table.
    pub fn new(table: &RegionTable, placement: Placement, jitter: Jitter) -> Self {
        let count = table.regions.len();
        assert_eq!(placement.regions(), count, "one share for each region of {}", table.name);
        let mut bases: Vec<u64> =
            (0..count * count).map(|cell| table.one_way(cell / count, cell % count).as_nanos()).collect();
        let jitter = match jitter {
            Jitter::None => Extra::Uniform(0),
            Jitter::Uniform { share } => Extra::Uniform((share * (1u64 << 32) as f64) as u64),
            Jitter::Lognormal { median, sigma } => Extra::Lognormal(Distribution::Lognormal { median, sigma }),
            Jitter::Pareto { excess } => {
                assert!(SimSpan::ZERO < excess && excess < table.smallest(), "an excess of {excess} does not fit");
                bases.iter_mut().for_each(|base| *base -= excess.as_nanos());
                Extra::Pareto(excess.as_nanos())
            }
        };
        RegionMatrix { bases, placement, jitter }
    }

    /// Where nodes stand.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The smallest delay from one region to another, of those pairs that `is_meant` tells; `None` if it tells none.
    pub fn smallest_where(&self, is_meant: impl Fn(usize, usize) -> bool) -> Option<SimSpan> {
        let count = self.placement.regions();
        let meant = self.bases.iter().enumerate().filter(|(cell, _)| is_meant(cell / count, cell % count));
        meant.map(|(_, &base)| SimSpan::from_nanos(base)).min()
    }

    /// Where the delays from the region of `from` begin in the table.
    #[inline(always)]
    pub(super) fn row(&self, from: NodeId) -> usize {
        self.placement.region_of(from) * self.placement.regions()
    }

    /// The delay from the region whose delays begin at `row` to `to`, in nanoseconds.
    #[inline(never)]
    pub(super) fn delay(&self, row: usize, to: NodeId, word: u64) -> u64 {
        let base = self.bases[row + self.placement.region_of(to)];
        match &self.jitter {
            Extra::Uniform(share) => base + scale_word(word, uniform_max(base, *share)),
            jitter => base + jitter.tail(base, open_unit(word)),
        }
    }

    /// The smallest of all delays, and what no more than the share `1 - u` of messages exceed, in nanoseconds.
    fn range(&self, u: f64) -> (u64, u64) {
        let long = |base: &u64| match self.jitter {
            Extra::Uniform(share) => base + uniform_max(*base, share),
            _ => base + self.jitter.tail(*base, u),
        };
        (self.bases.iter().copied().min().unwrap_or(0), self.bases.iter().map(long).max().unwrap_or(0))
    }
}

impl Extra {
    /// What a draw without bound adds to `base`, at the quantile `u`; nothing if there is none.
    fn tail(&self, base: u64, u: f64) -> u64 {
        match self {
            Extra::Uniform(_) => 0,
            Extra::Lognormal(share) => cut(base as f64 * share.quantile(u)),
            Extra::Pareto(excess) => cut(pareto_above(base, (base + excess) as f64 / *excess as f64, u)),
        }
    }
}

impl Latency {
    /// The one-way delay of a message from `from` to `to`; `word` is 64 uniform bits that belong to it.
    pub fn delay(&self, from: NodeId, to: NodeId, word: u64) -> SimSpan {
        SimSpan::from_nanos(match self {
            Latency::Constant(delay) => delay.as_nanos(),
            Latency::Uniform { min, max } => {
                min.as_nanos() + scale_word(word, (max.as_nanos() - min.as_nanos()).saturating_add(1))
            }
            Latency::Lognormal { .. } | Latency::Pareto { .. } => self.quantile(open_unit(word)),
            Latency::Regions(matrix) => matrix.delay(matrix.row(from), to, word),
        })
    }

    /// No message takes less.
    pub fn smallest(&self) -> SimSpan {
        match self {
            Latency::Constant(min)
            | Latency::Uniform { min, .. }
            | Latency::Lognormal { min, .. }
            | Latency::Pareto { min, .. } => *min,
            Latency::Regions(matrix) => SimSpan::from_nanos(matrix.range(0.0).0),
        }
    }

    /// No message takes more.
    pub fn largest(&self) -> SimSpan {
        self.long(OPEN_UNIT_MAX)
    }

    /// What no more than the share `1 - u` of the messages between any two nodes exceed. Where delays have a bound,
    /// that bound.
    pub fn long(&self, u: f64) -> SimSpan {
        SimSpan::from_nanos(match self {
            Latency::Constant(delay) | Latency::Uniform { max: delay, .. } => delay.as_nanos(),
            Latency::Regions(matrix) => matrix.range(u).1,
            _ => self.quantile(u),
        })
    }

    /// The delay at quantile `u` where it is the same for all nodes and has no bound, in nanoseconds.
    fn quantile(&self, u: f64) -> u64 {
        match self {
            Latency::Lognormal { min, median, sigma } => {
                let above = (median.as_nanos() - min.as_nanos()) as f64;
                min.as_nanos() + cut(Distribution::Lognormal { median: above, sigma: *sigma }.quantile(u))
            }
            Latency::Pareto { min, shape } => min.as_nanos() + cut(pareto_above(min.as_nanos(), *shape, u)),
            _ => self.smallest().as_nanos(),
        }
    }

    /// The smallest and the largest delay where all between are equally likely and regions do not matter.
    pub(super) fn plain(&self) -> Option<(SimSpan, SimSpan)> {
        match self {
            Latency::Constant(delay) => Some((*delay, *delay)),
            Latency::Uniform { min, max } => Some((*min, *max)),
            _ => None,
        }
    }

    /// # Panics
    /// If the smallest delay exceeds the largest, or the median.
    pub(super) fn check(&self) {
        match self {
            Latency::Uniform { min, max } => {
                assert!(min <= max, "the smallest delay, {min}, exceeds the largest, {max}")
            }
            Latency::Lognormal { min, median, .. } => {
                assert!(min <= median, "the smallest delay, {min}, exceeds the median, {median}");
            }
            _ => {}
        }
    }
}

/// The largest uniform jitter of `base`, `share` being scaled to 2^32.
#[inline]
fn uniform_max(base: u64, share: u64) -> u64 {
    ((u128::from(base) * u128::from(share)) >> 32) as u64
}

/// How far the quantile `u` of a Pareto distribution is above its smallest value.
fn pareto_above(smallest: u64, shape: f64, u: f64) -> f64 {
    smallest as f64 * libm::expm1(-libm::log1p(-u) / shape)
}

/// Whole nanoseconds, rounded down, up to [`TAIL_MAX`].
fn cut(nanos: f64) -> u64 {
    // The cast saturates.
    (nanos as u64).min(TAIL_MAX.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    const MS: u64 = 1_000_000;

    fn matrix(name: &str, jitter: Jitter) -> Latency {
        let table = RegionTable::published(name, None).unwrap();
        let shares = table.shares.clone().unwrap_or(vec![1.0 / table.regions.len() as f64; table.regions.len()]);
        Latency::Regions(RegionMatrix::new(&table, Placement::new(&shares, 1), jitter))
    }

    fn every() -> [Latency; 8] {
        let span = SimSpan::from_millis;
        [
            Latency::Constant(span(50)),
            Latency::Uniform { min: span(10), max: span(100) },
            Latency::Lognormal { min: span(5), median: span(50), sigma: 0.5 },
            Latency::Pareto { min: span(40), shape: 3.0 },
            matrix("aws-13", Jitter::None),
            matrix("aws-6", Jitter::Uniform { share: 0.1 }),
            matrix("aws-13", Jitter::Lognormal { median: 0.05, sigma: 0.5 }),
            matrix("p2p-6", Jitter::Pareto { excess: span(5) }),
        ]
    }

    /// Delays in nanoseconds that each of [`every`] draws first.
    const PINNED: [u64; 8] =
        [50_000_000, 98_495_215, 135_326_722, 156_428_513, 69_000_000, 49_809_174, 78_991_715, 79_279_806];

    #[test]
    fn the_same_word_gives_the_same_delay_on_every_machine() {
        let word = RandomKey::new(42, Domain::Latency).word(3, 1);
        let drawn = every().map(|latency| latency.delay(3, 5, word).as_nanos());
        assert_eq!(drawn, PINNED, "a change here changes every result");
    }

    #[test]
    fn no_draw_is_outside_of_the_bounds_and_the_extremes_are_drawn() {
        for latency in every() {
            let (smallest, largest) = (latency.smallest(), latency.largest());
            assert!(SimSpan::ZERO < smallest && latency.long(0.5) <= latency.long(0.999));
            assert!(latency.long(0.999) <= largest && largest <= SimSpan::from_secs(3_601));
            let pairs = || (0..200).flat_map(|from| (0..5).map(move |to| (from, to)));
            let drawn = |word| pairs().map(move |(from, to)| (from, to, word));
            let words = [0, 1 << 40, u64::MAX / 2, u64::MAX];
            let delays: Vec<_> =
                words.into_iter().flat_map(drawn).map(|(from, to, word)| latency.delay(from, to, word)).collect();
            assert!(delays.iter().all(|delay| (smallest..=largest).contains(delay)), "{latency:?}");
            let near = |a: SimSpan, b: SimSpan| a.as_nanos().abs_diff(b.as_nanos()) <= 1 + b.as_nanos() / 6;
            assert!(near(*delays.iter().max().unwrap(), largest), "{latency:?}: largest {largest}");
            assert!(near(*delays.iter().min().unwrap(), smallest), "{latency:?}: smallest {smallest}");
        }
    }

    #[test]
    fn tails_without_bound_are_cut() {
        let steep = Latency::Pareto { min: SimSpan::from_secs(1), shape: 1.01 };
        let wide = Latency::Lognormal { min: SimSpan::from_secs(1), median: SimSpan::from_secs(3_600), sigma: 5.0 };
        for latency in [steep, wide] {
            assert_eq!(latency.delay(0, 1, u64::MAX), SimSpan::from_secs(3_601));
            assert_eq!(latency.largest(), SimSpan::from_secs(3_601));
        }
    }

    /// The share of messages between nodes 0 and 1 that take no longer than `bound`, over a hundred thousand words.
    fn share_within(latency: &Latency, bound: u64) -> f64 {
        let mut stream = RandomKey::new(3, Domain::Latency).stream(0, 0);
        let within = (0..100_000).filter(|_| latency.delay(0, 1, stream.word()).as_nanos() <= bound).count();
        within as f64 / 100_000.0
    }

    #[track_caller]
    fn check_share(latency: &Latency, bound: u64, expected: f64) {
        let share = share_within(latency, bound);
        assert!((share - expected).abs() < 0.008, "{share} within {bound} ns, not {expected}");
    }

    #[test]
    fn distributions_are_those_of_their_formulas() {
        let [_, _, lognormal, pareto, ..] = every();
        check_share(&lognormal, 50 * MS, 0.5);
        // One sigma above the median of the lognormal part.
        check_share(&lognormal, ((5.0 + 45.0 * libm::exp(0.5)) * MS as f64) as u64, 0.8413);
        check_share(&pareto, 80 * MS, 1.0 - 1.0 / 8.0);
        let base = |name| matrix(name, Jitter::None).delay(0, 1, 0).as_nanos();
        let jitter = matrix("aws-13", Jitter::Lognormal { median: 0.05, sigma: 0.5 });
        check_share(&jitter, base("aws-13") * 105 / 100, 0.5);
        let mean = base("p2p-6") as f64;
        let simblock = matrix("p2p-6", Jitter::Pareto { excess: SimSpan::from_millis(5) });
        let (scale, shape) = (mean - 5e6, mean / 5e6);
        check_share(&simblock, (scale * libm::pow(2.0, 1.0 / shape)) as u64, 0.5);
        let mut stream = RandomKey::new(4, Domain::Latency).stream(0, 0);
        let sum: u64 = (0..100_000).map(|_| simblock.delay(0, 1, stream.word()).as_nanos()).sum();
        let found = sum as f64 / 1e5;
        assert!((found / mean - 1.0).abs() < 0.002, "the mean is {found}, not that of the table, {mean}");
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn an_excess_that_leaves_no_delay_is_refused() {
        matrix("p2p-6", Jitter::Pareto { excess: SimSpan::from_micros(5_500) });
    }
}
