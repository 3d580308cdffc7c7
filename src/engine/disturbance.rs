//! What disturbs links in the course of a run: loss by pair of regions, surges of latency, partitions.

use super::faults::{Between, Disturbances, NodeSet, threshold};
use crate::contract::{Domain, NodeId, Placement, Population, RandomKey, SimTime};
use crate::metrics::Flow;

/// Disturbances of the links between the nodes of a given population.
#[derive(Clone, Debug)]
pub(super) struct Disturbed {
    losses: Vec<(Between, u64)>,
    surges: Vec<(Between, Surge)>,
    partitions: Vec<(std::ops::Range<SimTime>, NodeSet)>,
    population: Population,
    placement: Option<Placement>,
    key: RandomKey,
}

#[derive(Clone, Copy, Debug)]
struct Surge {
    /// By how much more than once a delay is multiplied, scaled to 2^32.
    more: u64,
    extra: u64,
}

impl Surge {
    /// What the surge adds to a delay of `base` nanoseconds.
    fn adds(self, base: u64) -> u64 {
        let times = (u128::from(base) * u128::from(self.more)) >> 32;
        u64::try_from(times).unwrap_or(u64::MAX).saturating_add(self.extra)
    }
}

impl Disturbed {
    pub(super) fn new(
        disturbances: Disturbances,
        population: Population,
        placement: Option<Placement>,
        seed: u64,
    ) -> Self {
        let Disturbances { losses, surges, partitions } = disturbances;
        let surge =
            |factor: f64, extra: u64| Surge { more: ((factor - 1.0).max(0.0) * (1u64 << 32) as f64) as u64, extra };
        Disturbed {
            losses: losses.into_iter().map(|(between, loss)| (between, threshold(loss))).collect(),
            surges: surges
                .into_iter()
                .map(|(between, factor, extra)| (between, surge(factor, extra.as_nanos())))
                .collect(),
            partitions,
            population,
            placement,
            key: RandomKey::new(seed, Domain::Fault),
        }
    }

    /// Whether any message may be dropped because of these disturbances.
    pub(super) fn may_drop(&self) -> bool {
        !self.losses.is_empty() || !self.partitions.is_empty()
    }

    /// Whether `node` is in `set`.
    fn contains(&self, set: &NodeSet, node: NodeId) -> bool {
        let region = self.placement.as_ref().map_or(0, |placement| placement.region_of(node));
        set.contains(&self.key, node, self.population.type_of(node), region)
    }

    /// Whether `between` means a message that is sent at `now`.
    fn applies(&self, between: &Between, from: NodeId, to: NodeId, now: SimTime) -> bool {
        let joins = |from, to| self.contains(&between.from, from) && self.contains(&between.to, to);
        between.during.contains(&now) && (joins(from, to) || (between.both_ways && joins(to, from)))
    }

    /// A delay of `base` nanoseconds with all that surges add to it.
    #[inline(never)]
    pub(super) fn prolong(&self, base: u64, from: NodeId, to: NodeId, now: SimTime) -> u64 {
        let adding = self.surges.iter().filter(|(between, _)| self.applies(between, from, to, now));
        adding.fold(base, |delay, (_, surge)| delay.saturating_add(surge.adds(base)))
    }

    /// The longest that a delay of up to `base` nanoseconds can become.
    pub(super) fn longest(&self, base: u64) -> u64 {
        self.surges.iter().fold(base, |delay, (_, surge)| delay.saturating_add(surge.adds(base)))
    }

    /// Why a message that is sent at `now` is dropped, if it is, in a network that loses those whose `word` is below
    /// `loss_threshold`.
    #[inline(never)]
    pub(super) fn drop_cause(
        &self,
        from: NodeId,
        to: NodeId,
        now: SimTime,
        word: u64,
        loss_threshold: u64,
    ) -> Option<Flow> {
        let divides = |(during, side): &(std::ops::Range<SimTime>, NodeSet)| {
            during.contains(&now) && self.contains(side, from) != self.contains(side, to)
        };
        if self.partitions.iter().any(divides) {
            return Some(Flow::Partitioned);
        }
        let applying = self.losses.iter().filter(|(between, _)| self.applies(between, from, to, now));
        let largest = applying.fold(loss_threshold, |largest, &(_, threshold)| largest.max(threshold));
        // A loss of one is the largest threshold, below which all but one of 2^64 draws are.
        (word < largest || largest == u64::MAX).then_some(Flow::Lost)
    }
}
