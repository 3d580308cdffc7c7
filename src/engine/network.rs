//! The network between nodes: how long a message takes, and whether it arrives at all.

use super::regions::RegionTable;
use crate::contract::{Domain, NodeId, RandomKey, SimSpan, scale_word};

/// What the engine asks of a network. Every answer must be a function of its arguments.
pub trait Network: Sync {
    /// No message takes less than this. The engine's windows are no longer; a larger value means fewer windows.
    fn smallest_delay(&self) -> SimSpan;

    /// No message takes more than this; `None` if there is no bound.
    fn largest_delay(&self) -> Option<SimSpan>;

    /// The one-way delay of a message from `from` to `to`; `word` is 64 uniform bits that belong to this message.
    fn delay(&self, from: NodeId, to: NodeId, word: u64) -> SimSpan;

    /// The chance that a message is lost, as a threshold: it is lost if 64 uniform bits are below it.
    fn loss_threshold(&self) -> u64 {
        0
    }
}

/// One-way delays.
#[derive(Clone, Debug)]
pub enum Delay {
    /// Always the same.
    Constant(SimSpan),
    /// Uniform between two bounds, both included, independent for every message.
    Uniform {
        /// The smallest delay.
        min: SimSpan,
        /// The largest delay.
        max: SimSpan,
    },
    /// By the regions of sender and receiver.
    Regions(RegionMatrix),
}

/// Nodes placed in regions at random by share, with a matrix of one-way delays and uniform jitter above them.
#[derive(Clone, Debug)]
pub struct RegionMatrix {
    /// Delays in nanoseconds, row by row: from, then to.
    delays: Vec<u64>,
    /// Cumulative shares, scaled to 2^64; the last is the maximum.
    cumulative: Vec<u64>,
    /// Jitter as a share of the delay, scaled to 2^32.
    jitter: u64,
    key: RandomKey,
}

impl RegionMatrix {
    /// Nodes are placed in the regions of `table` with probability `shares` (as many as regions, adding up to 1);
    /// a message takes the table's delay times `1 + jitter * u`, `u` uniform in `[0, 1)`.
    ///
    /// # Panics
    /// If the number of shares is not the number of regions.
    pub fn new(table: &RegionTable, shares: &[f64], jitter: f64, seed: u64) -> Self {
        let count = table.regions.len();
        assert_eq!(shares.len(), count, "one share for each region of {}", table.name);
        let delays = (0..count * count).map(|cell| table.one_way(cell / count, cell % count).as_nanos()).collect();
        let mut sum = 0.0;
        let mut cumulative: Vec<u64> = shares
            .iter()
            .map(|share| {
                sum += share;
                // Casting saturates, so rounding above 1 is harmless.
                (sum * u64::MAX as f64) as u64
            })
            .collect();
        // Rounding must not leave a gap behind the last region that has nodes.
        if let Some(last) = shares.iter().rposition(|&share| share > 0.0) {
            cumulative[last..].fill(u64::MAX);
        }
        let jitter = (jitter * (1u64 << 32) as f64) as u64;
        RegionMatrix { delays, cumulative, jitter, key: RandomKey::new(seed, Domain::Placement) }
    }

    /// The region in which `node` stands, an index into the table's regions.
    #[inline]
    pub fn region_of(&self, node: NodeId) -> usize {
        let word = self.key.word(node, 0);
        self.cumulative.iter().position(|&end| word < end).unwrap_or(self.cumulative.len() - 1)
    }

    #[inline(never)]
    fn delay(&self, from: NodeId, to: NodeId, word: u64) -> SimSpan {
        let base = self.delays[self.region_of(from) * self.cumulative.len() + self.region_of(to)];
        let jitter_max = ((u128::from(base) * u128::from(self.jitter)) >> 32) as u64;
        SimSpan::from_nanos(base + scale_word(word, jitter_max))
    }

    fn extremes(&self) -> (u64, u64) {
        let smallest = self.delays.iter().copied().min().unwrap_or(0);
        let largest = self.delays.iter().copied().max().unwrap_or(0);
        (smallest, largest + ((u128::from(largest) * u128::from(self.jitter)) >> 32) as u64)
    }
}

/// The networks that scenarios choose from: independent delays and independent loss.
#[derive(Clone, Debug)]
pub struct NetworkModel {
    /// Where there are no regions: the smallest delay in nanoseconds, and how many nanoseconds are possible from it on.
    min: u64,
    width: u64,
    regions: Option<Box<RegionMatrix>>,
    loss_threshold: u64,
}

impl NetworkModel {
    /// Messages take `delay` and are lost with probability `loss`, which is clamped to `[0, 1]`.
    ///
    /// # Panics
    /// If the smallest delay exceeds the largest.
    pub fn new(delay: Delay, loss: f64) -> Self {
        let (min, max, regions) = match delay {
            Delay::Constant(delay) => (delay, delay, None),
            Delay::Uniform { min, max } => (min, max, None),
            Delay::Regions(matrix) => (SimSpan::ZERO, SimSpan::ZERO, Some(Box::new(matrix))),
        };
        assert!(min <= max, "the smallest delay, {min}, exceeds the largest, {max}");
        NetworkModel {
            min: min.as_nanos(),
            width: max.as_nanos() - min.as_nanos() + 1,
            regions,
            // 2^64 as a float; the cast saturates.
            loss_threshold: (loss.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0) as u64,
        }
    }

    /// The regions that nodes stand in, if this network has any.
    pub fn regions(&self) -> Option<&RegionMatrix> {
        self.regions.as_deref()
    }
}

impl Network for NetworkModel {
    fn smallest_delay(&self) -> SimSpan {
        SimSpan::from_nanos(self.regions.as_ref().map_or(self.min, |matrix| matrix.extremes().0))
    }

    fn largest_delay(&self) -> Option<SimSpan> {
        let largest = self.regions.as_ref().map_or(self.min + self.width - 1, |matrix| matrix.extremes().1);
        Some(SimSpan::from_nanos(largest))
    }

    #[inline(always)]
    fn delay(&self, from: NodeId, to: NodeId, word: u64) -> SimSpan {
        match &self.regions {
            None => SimSpan::from_nanos(self.min + scale_word(word, self.width)),
            Some(matrix) => matrix.delay(from, to, word),
        }
    }

    #[inline(always)]
    fn loss_threshold(&self) -> u64 {
        self.loss_threshold
    }
}
