//! The approach `discovery`: light and mobile nodes find their parents through Kademlia.

use super::super::build::{Found, Job, Ran, RunError};
use super::super::options::span;
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::kademlia::{INTERVAL, Sizes, network, sizes, sizes_of_buckets, tables, undivided_of, variants};
use super::{KademliaSpec, Kind, Mechanism, Spec, Variant, states_of};
use crate::contract::{NodeType, Nodes, Population, SimSpan};
use crate::metrics::{Figures, PointResult, Values};
use crate::protocols::kademlia::discovery::{Discovery, DiscoveryFigures, DiscoveryState, PARENTS_MAX};
use crate::protocols::kademlia::{Bootstrap, KademliaOptions};

pub(super) const KIND: Kind = Kind {
    name: "discovery",
    keys: &["warmup", "measure", "k", "alpha", "timeout", "refresh", "parents", "over"],
    is_tiered: true,
    read,
};

/// How light and mobile nodes find their parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscoverySpec {
    /// The network of super and full nodes; k from 1 to 64, alpha from 1 to 16. It looks for nothing but what refreshes
    /// its tables.
    pub options: KademliaOptions,
    /// Parents of a node, 1 to 8, not more than k.
    pub parents: u32,
    /// The span in which all begin to look, a second to 30 days.
    pub over: SimSpan,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let options = network(reader, own);
    let sizes = sizes_of_buckets(reader, own);
    let most = sizes.iter().flatten().copied().min().map_or(PARENTS_MAX, |k| PARENTS_MAX.min(usize::from(k)));
    let parents =
        reader.field(own, "parents", most.min(4) as u32, |reader, value| reader.count_u32(value, 1, most as u32));
    let over = span(reader, own, "over", SimSpan::from_secs(30), INTERVAL);
    let (options, parents, over) = (options?, parents.value?, over.value?);
    let with = |k| Mechanism::Discovery(DiscoverySpec { options: KademliaOptions { k, ..options }, parents, over });
    Some(variants(&sizes?, with))
}

impl DiscoverySpec {
    /// The network of those who are found.
    fn network(&self) -> KademliaSpec {
        KademliaSpec { options: self.options, bootstrap: Bootstrap::Ideal }
    }

    /// The network, in which light and mobile nodes look for parents.
    pub(super) fn protocol(&self, job: &Job<'_>) -> Discovery {
        Discovery::new(job.point.population, self.options, self.parents as usize, self.over, job.scenario.seed)
    }

    /// What is found of all that nodes came by.
    pub(super) fn figures(&self, found: &Discovered) -> Vec<Figures> {
        vec![self.found(found), tables(&found.3)]
    }

    /// Deliveries and timers where `clients` look for parents among `members`: requests are answered and have a timer, as
    /// have the choice and its confirmation.
    pub(super) fn events_of(&self, members: f64, clients: f64, on: &Conditions) -> f64 {
        let arrives = 1.0 - on.lost;
        let answered = arrives + arrives * arrives;
        let begun = (on.run / self.over.as_secs_f64()).min(1.0);
        let each = self.network().asked(members) * (1.0 + answered) + f64::from(self.parents) * answered + 2.0;
        self.network().events_of(members, on) + clients * begun * each
    }

    fn counts(point: &Point) -> (f64, f64) {
        let members = f64::from(point.population.range(NodeType::FullNode).end);
        (members, f64::from(point.population.total()) - members)
    }
}

impl Spec for DiscoverySpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let members = population.range(NodeType::FullNode).end;
        if members < self.parents {
            let title = format!("{members} super and full nodes are too few for {} parents", self.parents);
            reader.report(Draft::new(at, title, "write more full nodes under [tiers], or fewer parents"));
        }
    }

    fn canonical(&self) -> String {
        format!("{} {} parents {}", self.network().canonical(), self.over.as_nanos(), self.parents)
    }

    fn memory(&self, _: &Scenario, point: &Point) -> u64 {
        /// What a node remembers, and its entries at its parents, which grow by doubling.
        const CLIENT_BYTES: f64 = 72.0;
        const CHILD_BYTES: f64 = 4.0 * 2.0;
        let (members, clients) = Self::counts(point);
        let child = CLIENT_BYTES + f64::from(self.parents) * CHILD_BYTES;
        self.network().memory_of(members) + (clients * child) as u64
    }

    fn undivided(&self, _: &Scenario, point: &Point) -> u64 {
        undivided_of(Self::counts(point).0)
    }

    fn events(&self, _: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let (members, clients) = Self::counts(point);
        self.events_of(members, clients, on)
    }

    fn kinds(&self) -> usize {
        10
    }

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let (members, clients) = Self::counts(point);
        let asked = self.network().requests(members) + f64::from(self.parents);
        self.network().messages_per_second_of(members) + 2.0 * asked * clients / self.over.as_secs_f64()
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let discovery = self.protocol(job);
        let own = |outcome: &Ran<Discovery>| discovered(&states_of(outcome));
        job.run_summed("discovery", &discovery, discovery.bytes(), own, |_, found| Found {
            figures: self.figures(&found),
            ..Found::default()
        })
    }
}

/// What looking for parents took, how many parents nodes have, how many children members have, and their tables.
pub(super) type Discovered = (DiscoveryFigures, Values, Values, Sizes);

/// What nodes came by where partitions ended with `states`.
pub(super) fn discovered(states: &[(Nodes, &DiscoveryState)]) -> Discovered {
    let mut all = DiscoveryFigures::default();
    states.iter().for_each(|(_, state)| all.merge(state.figures()));
    let parents = states.iter().flat_map(|(_, state)| state.parents()).map(|found| found.len() as u64);
    let children = states.iter().flat_map(|(_, state)| state.children()).map(|children| children as u64);
    (all, parents.collect(), children.collect(), sizes(states.iter().map(|(_, state)| state.kademlia())))
}

impl DiscoverySpec {
    /// Who found parents, what that took, and how the children are spread when the run ends. Over the whole run.
    fn found(&self, (all, parents, children, _): &Discovered) -> Figures {
        let clients = parents.count() as f64;
        let mut figures = Figures::new("discovery of parents");
        figures.add("clients", "nodes", "1", clients);
        let share = |count: u64| (clients > 0.0).then(|| count as f64 / clients);
        figures.add("clients", "attached", "share", share(parents.count_of(u64::from(self.parents))));
        figures.add("clients", "orphaned", "share", share(parents.count_of(0)));
        let millis = |span: Option<SimSpan>| span.map(|span| span.as_nanos() as f64 / 1e6);
        for (name, percent) in [("delay-p50", 50), ("delay-p99", 99), ("delay-max", 100)] {
            figures.add("clients", name, "ms", millis(all.delay.quantile(percent)));
        }
        figures.add("clients", "hops-mean", "1", all.hops.mean());
        figures.add("clients", "requests-mean", "1", all.requests.mean());
        figures.add("clients", "retries", "1", all.retries as f64);
        let spread = children.spread();
        figures.add("members", "children-mean", "1", spread.map(|spread| spread.mean));
        figures.add("members", "children-p99", "1", spread.map(|spread| spread.p99 as f64));
        figures.add("members", "children-max", "1", spread.map(|spread| spread.max as f64));
        figures.add("all", "messages-rejected", "1", all.rejected as f64);
        figures
    }
}
