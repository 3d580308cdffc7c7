//! The approach `discovery`: light and mobile nodes find their parents through Kademlia.

use super::super::build::{Found, Job};
use super::super::options::span;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::kademlia::{INTERVAL, network, sizes_of_buckets, tables, variants};
use super::{KademliaSpec, Kind, Mechanism, Spec, Variant};
use crate::contract::{NodeType, Population, SimSpan};
use crate::engine::{Outcome, Violation};
use crate::metrics::{Figures, PointResult, Spread};
use crate::protocols::kademlia::discovery::{Discovery, DiscoveryFigures, PARENTS_MAX};
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

    fn messages_per_second(&self, _: &Scenario, point: &Point) -> f64 {
        let (members, clients) = Self::counts(point);
        let asked = self.network().requests(members) + f64::from(self.parents);
        self.network().messages_per_second_of(members) + 2.0 * asked * clients / self.over.as_secs_f64()
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, Violation> {
        let (population, seed) = (job.point.population, job.scenario.seed);
        let discovery = Discovery::new(population, self.options, self.parents as usize, self.over, seed);
        job.run_with("discovery", &discovery, discovery.bytes(), |outcome| Found {
            figures: vec![
                found(outcome, self.parents as usize),
                tables(outcome.states.iter().map(|(_, state)| state.kademlia())),
            ],
            ..Found::default()
        })
    }
}

/// Who found parents, what that took, and how the children are spread when the run ends. Over the whole run.
fn found(outcome: &Outcome<Discovery>, parents: usize) -> Figures {
    let mut all = DiscoveryFigures::default();
    outcome.states.iter().for_each(|(_, state)| all.merge(state.figures()));
    let found = || outcome.states.iter().flat_map(|(_, state)| state.parents());
    let clients = found().count() as f64;
    let mut figures = Figures::new("discovery of parents");
    figures.add("light and mobile", "nodes", "1", clients);
    let share = |count: usize| (clients > 0.0).then(|| count as f64 / clients);
    figures.add("light and mobile", "attached", "share", share(found().filter(|found| found.len() == parents).count()));
    figures.add("light and mobile", "orphaned", "share", share(found().filter(|found| found.is_empty()).count()));
    let millis = |span: Option<SimSpan>| span.map(|span| span.as_nanos() as f64 / 1e6);
    for (name, percent) in [("delay-p50", 50), ("delay-p99", 99), ("delay-max", 100)] {
        figures.add("light and mobile", name, "ms", millis(all.delay.quantile(percent)));
    }
    figures.add("light and mobile", "hops-mean", "1", all.hops.mean());
    figures.add("light and mobile", "requests-mean", "1", all.requests.mean());
    figures.add("light and mobile", "retries", "1", all.retries as f64);
    let mut children: Vec<u64> =
        outcome.states.iter().flat_map(|(_, state)| state.children()).map(|children| children as u64).collect();
    let spread = Spread::of(&mut children);
    figures.add("super and full", "children-mean", "1", spread.map(|spread| spread.mean));
    figures.add("super and full", "children-p99", "1", spread.map(|spread| spread.p99 as f64));
    figures.add("super and full", "children-max", "1", spread.map(|spread| spread.max as f64));
    figures.add("all", "messages-rejected", "1", all.rejected as f64);
    figures
}
