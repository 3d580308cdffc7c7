//! The network between nodes: how long a message takes, and whether it arrives at all.

use super::disturbance::Disturbed;
use super::faults::{Disturbances, threshold};
use super::latency::Latency;
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

    /// What the delays from `from` have in common, found once for all messages that it sends at a moment.
    fn row(&self, _from: NodeId) -> usize {
        0
    }

    /// As [`Network::delay`], knowing the `row` of `from`.
    #[inline(always)]
    fn delay_in(&self, _row: usize, from: NodeId, to: NodeId, now: SimTime, word: u64) -> SimSpan {
        self.delay(from, to, now, word)
    }

    /// Where nodes stand, if delays depend on it.
    fn placement(&self) -> Option<&Placement> {
        None
    }

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

/// The networks that scenarios choose from: independent delays and independent loss.
#[derive(Clone, Debug)]
pub struct NetworkModel {
    /// Where all delays are equally likely: the smallest in nanoseconds, and how many nanoseconds are possible from it on.
    min: u64,
    width: u64,
    /// All other delays.
    latency: Option<Box<Latency>>,
    loss_threshold: u64,
    disturbed: Option<Box<Disturbed>>,
}

impl NetworkModel {
    /// Messages take `latency` and are lost with probability `loss`, which is clamped to `[0, 1]`.
    ///
    /// # Panics
    /// If the smallest delay exceeds the largest, or the median.
    pub fn new(latency: Latency, loss: f64) -> Self {
        latency.check();
        let plain = latency.plain();
        let (min, max) = plain.unwrap_or_default();
        NetworkModel {
            min: min.as_nanos(),
            width: max.as_nanos() - min.as_nanos() + 1,
            latency: if plain.is_some() { None } else { Some(Box::new(latency)) },
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
}

impl Network for NetworkModel {
    fn smallest_delay(&self) -> SimSpan {
        self.latency.as_ref().map_or(SimSpan::from_nanos(self.min), |latency| latency.smallest())
    }

    fn largest_delay(&self) -> Option<SimSpan> {
        let plain = SimSpan::from_nanos(self.min + self.width - 1);
        let largest = self.latency.as_ref().map_or(plain, |latency| latency.largest());
        let longest = |disturbed: &Disturbed| SimSpan::from_nanos(disturbed.longest(largest.as_nanos()));
        Some(self.disturbed.as_deref().map_or(largest, longest))
    }

    #[inline(always)]
    fn delay(&self, from: NodeId, to: NodeId, now: SimTime, word: u64) -> SimSpan {
        self.delay_in(self.row(from), from, to, now, word)
    }

    #[inline(always)]
    fn row(&self, from: NodeId) -> usize {
        match self.latency.as_deref() {
            Some(Latency::Regions(matrix)) => matrix.row(from),
            _ => 0,
        }
    }

    #[inline(always)]
    fn delay_in(&self, row: usize, from: NodeId, to: NodeId, now: SimTime, word: u64) -> SimSpan {
        let delay = match self.latency.as_deref() {
            None => SimSpan::from_nanos(self.min + scale_word(word, self.width)),
            Some(Latency::Regions(matrix)) => SimSpan::from_nanos(matrix.delay(row, to, word)),
            Some(latency) => latency.delay(from, to, word),
        };
        match &self.disturbed {
            None => delay,
            Some(disturbed) => SimSpan::from_nanos(disturbed.prolong(delay.as_nanos(), from, to, now)),
        }
    }

    fn placement(&self) -> Option<&Placement> {
        match self.latency.as_deref() {
            Some(Latency::Regions(matrix)) => Some(matrix.placement()),
            _ => None,
        }
    }

    fn may_drop(&self) -> bool {
        self.loss_threshold > 0 || self.disturbed.as_ref().is_some_and(|disturbed| disturbed.may_drop())
    }

    #[inline(always)]
    fn drop_cause(&self, from: NodeId, to: NodeId, now: SimTime, word: u64) -> Option<Flow> {
        match &self.disturbed {
            None => (word < self.loss_threshold).then_some(Flow::Lost),
            Some(disturbed) => disturbed.drop_cause(from, to, now, word, self.loss_threshold),
        }
    }
}
