//! What runs find that their protocols alone know: each rank in the states of its own nodes, added up by rank 0.

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(test)]
use super::referee;
use super::{Job, Ran, RunError, network};
use crate::contract::{Places, Protocol};
use crate::engine::gather;
use crate::metrics::{EngineFigures, Figures, PointResult, SampleCount, Values, peak_memory};
use crate::protocols::consensus::ConsensusFigures;
use crate::protocols::dissemination::DisseminationFigures;
use crate::protocols::kademlia::KademliaFigures;
use crate::protocols::kademlia::discovery::DiscoveryFigures;
use crate::protocols::ledger::LedgerFigures;
use crate::protocols::mobile::figures::MobileFigures;
use crate::protocols::router::RouterFigures;
use crate::protocols::sharding::figures::ShardingFigures;

/// What a run found that its protocol alone knows.
#[derive(Default)]
pub struct Found {
    /// What trackers counted.
    pub samples: Vec<SampleCount>,
    /// Figures of mechanisms.
    pub figures: Vec<Figures>,
}

/// What is found in the states of some nodes, and can be added to what is found in those of others, in any order.
pub trait Sum: Serialize + DeserializeOwned {
    /// Adds what was found in the states of other nodes.
    fn add(&mut self, other: Self);
}

impl Sum for () {
    fn add(&mut self, (): ()) {}
}

impl Sum for u64 {
    fn add(&mut self, other: u64) {
        *self += other;
    }
}

impl<T: Serialize + DeserializeOwned> Sum for Vec<T> {
    fn add(&mut self, other: Self) {
        self.extend(other);
    }
}

/// Sums that have a way to be merged of their own, and sums of several parts.
macro_rules! sums {
    ($($merged:ty),*; $(($($part:ident $place:tt),*)),*) => {
        $(impl Sum for $merged {
            fn add(&mut self, other: Self) {
                self.merge(&other);
            }
        })*
        $(impl<$($part: Sum),*> Sum for ($($part),*) {
            fn add(&mut self, other: Self) {
                $(self.$place.add(other.$place);)*
            }
        })*
    };
}

sums! {
    ConsensusFigures, DiscoveryFigures, DisseminationFigures, KademliaFigures, LedgerFigures, MobileFigures, RouterFigures,
    ShardingFigures, Values;
    (A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3), (A 0, B 1, C 2, D 3, E 4, F 5)
}

/// How what a run finds is taken out of it.
struct Finding<'f, P: Protocol, S> {
    /// What is found in the states of a process's own nodes.
    own: &'f dyn Fn(&Ran<P>) -> S,
    /// What that makes, added up over all ranks.
    told: &'f dyn Fn(&Ran<P>, S) -> Found,
    /// Whether it takes the states of all nodes.
    with_states: bool,
}

impl Job<'_> {
    /// Runs `protocol`, which results call `name`. `shared_bytes` is the memory of what all nodes share, such as a graph.
    ///
    /// # Errors
    /// When the engine finds that it lost messages or made some up, when the run cannot go on from its checkpoint, and when
    /// it is broken off before anything was measured.
    pub fn run<P: Protocol>(
        &self,
        name: &'static str,
        protocol: &P,
        shared_bytes: usize,
    ) -> Result<PointResult, RunError> {
        self.run_summed(name, protocol, shared_bytes, |_| (), |_, ()| Found::default())
    }

    /// As [`Job::run`]; `told` makes what was found of what `own` finds in the states of each process, added up. So no rank
    /// takes the states of other ranks' nodes. Of the outcome `own` should only look at states and lives, and `told` may look
    /// at all but states.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn run_summed<P: Protocol, S: Sum>(
        &self,
        name: &'static str,
        protocol: &P,
        shared_bytes: usize,
        own: impl Fn(&Ran<P>) -> S,
        told: impl Fn(&Ran<P>, S) -> Found,
    ) -> Result<PointResult, RunError> {
        self.run_finding(name, protocol, shared_bytes, &Finding { own: &own, told: &told, with_states: false })
    }

    /// As [`Job::run`]; `find` takes out of the outcome, with the states of all nodes, what the protocol alone knows. So rank 0
    /// takes the memory of one process, for what cannot be added up.
    ///
    /// # Errors
    /// As [`Job::run`].
    pub fn run_with<P: Protocol>(
        &self,
        name: &'static str,
        protocol: &P,
        shared_bytes: usize,
        find: impl Fn(&Ran<P>) -> Found,
    ) -> Result<PointResult, RunError> {
        let told = |outcome: &Ran<P>, ()| find(outcome);
        self.run_finding(name, protocol, shared_bytes, &Finding { own: &|_| (), told: &told, with_states: true })
    }

    fn run_finding<P: Protocol, S: Sum>(
        &self,
        name: &'static str,
        protocol: &P,
        shared_bytes: usize,
        finding: &Finding<'_, P, S>,
    ) -> Result<PointResult, RunError> {
        let network = network(&self.scenario.network, self.scenario.seed).with_disturbances(
            self.scenario.faults.disturbances.clone(),
            self.settings.population,
            self.settings.placement.clone(),
            self.settings.seed,
        );
        let (boundaries, threads) = (self.settings.boundaries.clone(), self.settings.threads);
        let (built, outcome) = self.simulate(protocol, &network, finding.with_states)?;
        let seconds = (self.watch.clock)() - built;
        // Figures of mechanisms tell of whole runs; where one rank was broken off, all were.
        let sum = outcome.stopped.is_none().then(|| self.added_up((finding.own)(&outcome)));
        let shared_bytes = shared_bytes + self.settings.places.as_ref().map_or(0, Places::bytes);
        let ranks = self.over_ranks(&outcome, shared_bytes);
        let shared_bytes = ranks.map_or(shared_bytes as u64, |ranks| ranks.shared_bytes);
        let figures = EngineFigures {
            events: outcome.events,
            seconds,
            build_seconds: built - self.began,
            peak_memory: peak_memory(),
            bytes_per_node: (outcome.bytes as u64 + shared_bytes) as f64 / f64::from(self.point.population.total()),
            threads,
            partitions: outcome.partitions,
            ranks,
        };
        if self.settings.share.rank() > 0 {
            return Err(RunError::Elsewhere(outcome.stopped));
        }
        let found = match (outcome.stopped, sum) {
            (Some(at), _) if at <= self.settings.measured.start => return Err(RunError::Unmeasured(at)),
            (None, Some(sum)) => (finding.told)(&outcome, sum),
            _ => Found::default(),
        };
        #[cfg(test)]
        if outcome.stopped.is_none() {
            referee::check(self, protocol, &network, &outcome, &found, |outcome| {
                (finding.told)(outcome, (finding.own)(outcome))
            });
        }
        Ok(self.result(name, protocol, &boundaries, outcome, found, figures))
    }

    /// What all ranks found together, for rank 0; the others keep their `own`.
    fn added_up<S: Sum>(&self, mut own: S) -> S {
        if let Some(ranks) = self.ranks.filter(|ranks| !ranks.share().is_whole()) {
            gather(ranks, Some(&own)).for_each(|more| own.add(more));
        }
        own
    }
}
