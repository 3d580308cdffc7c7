//! The network between nodes: how long a message takes, and whether it arrives at all.

use super::disturbance::Disturbed;
use super::faults::{Disturbances, threshold};
use super::regions::RegionTable;
use crate::contract::{NodeId, Placement, Population, SimSpan, SimTime, scale_word};
use crate::metrics::Flow;

/// What the engine asks of a network. Every answer must be a function of its arguments.
pub trait Network: Sync {
    /// No message takes less than this. The engine's windows are no longer; a larger value means fewer windows.
    fn smallest_delay(&self) -> SimSpan;

    /// No message takes more than this; `None` if there is no bound.
    fn largest_delay(&self) -> Option<SimSpan>;

    /// The one-way delay of a message from `from` to `to` that is sent at `now`; `word` is 64 uniform bits that belong
    /// to this message.
    fn delay(&self, from: NodeId, to: NodeId, now: SimTime, word: u64) -> SimSpan;

    /// Whether any message may ever be dropped on the way.
    fn may_drop(&self) -> bool {
        false
    }

    /// Why a message that is sent at `now` is dropped on its way, if it is; `word` is 64 uniform bits that belong to this
    /// message and are independent of those of its delay. Asked only where [`Network::may_drop`] says so.
    fn drop_cause(&self, _from: NodeId, _to: NodeId, _now: SimTime, _word: u64) -> Option<Flow> {
        None
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
    placement: Placement,
    /// Jitter as a share of the delay, scaled to 2^32.
    jitter: u64,
}

impl RegionMatrix {
    /// Nodes stand in the regions of `table` as `placement` says; a message takes the table's delay times
    /// `1 + jitter * u`, `u` uniform in `[0, 1)`.
    ///
    /// # Panics
    /// If the placement has another number of regions.
    pub fn new(table: &RegionTable, placement: Placement, jitter: f64) -> Self {
        let count = table.regions.len();
        assert_eq!(placement.regions(), count, "one share for each region of {}", table.name);
        let delays = (0..count * count).map(|cell| table.one_way(cell / count, cell % count).as_nanos()).collect();
        let jitter = (jitter * (1u64 << 32) as f64) as u64;
        RegionMatrix { delays, placement, jitter }
    }

    /// Where nodes stand.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    #[inline(never)]
    fn delay(&self, from: NodeId, to: NodeId, word: u64) -> SimSpan {
        let row = self.placement.region_of(from) * self.placement.regions();
        let base = self.delays[row + self.placement.region_of(to)];
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
    disturbed: Option<Box<Disturbed>>,
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
            loss_threshold: threshold(loss),
            disturbed: None,
        }
    }

    /// As it is, with disturbances of the links between the nodes of `population`. Regions matter only with a
    /// `placement`; `seed` is that of the run.
    pub fn with_disturbances(
        mut self,
        disturbances: Disturbances,
        population: Population,
        placement: Option<Placement>,
        seed: u64,
    ) -> Self {
        if disturbances != Disturbances::default() {
            self.disturbed = Some(Box::new(Disturbed::new(disturbances, population, placement, seed)));
        }
        self
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
        let largest = self.disturbed.as_ref().map_or(largest, |disturbed| disturbed.longest(largest));
        Some(SimSpan::from_nanos(largest))
    }

    #[inline(always)]
    fn delay(&self, from: NodeId, to: NodeId, now: SimTime, word: u64) -> SimSpan {
        let delay = match &self.regions {
            None => SimSpan::from_nanos(self.min + scale_word(word, self.width)),
            Some(matrix) => matrix.delay(from, to, word),
        };
        match &self.disturbed {
            None => delay,
            Some(disturbed) => SimSpan::from_nanos(disturbed.prolong(delay.as_nanos(), from, to, now)),
        }
    }

    fn may_drop(&self) -> bool {
        self.loss_threshold > 0 || self.disturbed.as_ref().is_some_and(|disturbed| disturbed.may_drop())
    }

    fn drop_cause(&self, from: NodeId, to: NodeId, now: SimTime, word: u64) -> Option<Flow> {
        match &self.disturbed {
            None => (word < self.loss_threshold).then_some(Flow::Lost),
            Some(disturbed) => disturbed.drop_cause(from, to, now, word, self.loss_threshold),
        }
    }
}
