//! The approach `recommended`: all mechanisms together in one network.
//!
//! Each layer has a table with the options of the approach of that name, such as `[approach.recommended.ledger]`.

use super::super::build::{Found, Job, Ran, RunError, clustering};
use super::super::plan::events::Conditions;
use super::super::problem::{Draft, Place};
use super::super::reader::{Reader, Section};
use super::super::{Point, Scenario};
use super::{
    DiscoverySpec, DisseminationSpec, Kind, LedgerSpec, Mechanism, MobileSpec, RoutingSpec, ShardingSpec, Spec,
    Variant, consensus, discovery, dissemination, ledger, mobile, routing, sharding,
};
use crate::contract::{NodeType, Nodes, Population};
use crate::metrics::PointResult;
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::hierarchy::Hierarchy;
use crate::protocols::recommended::{Recommended, RecommendedState};
use crate::topologies::{Notes, TierDegrees};

pub(super) const KIND: Kind = Kind {
    name: "recommended",
    keys: &["warmup", "measure", "full_peers", "routing", "ledger", "discovery", "mobile", "dissemination", "sharding"],
    is_tiered: true,
    read,
};

/// All mechanisms, each with the options of its own approach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecommendedSpec {
    /// Full nodes to which a full node sends heartbeats, 1 to 1000.
    pub full_peers: u32,
    /// Parents and children of all but mobile nodes, and messages between light nodes.
    pub routing: RoutingSpec,
    /// Transactions and blocks.
    pub ledger: LedgerSpec,
    /// How mobile nodes find parents.
    pub discovery: DiscoverySpec,
    /// Mobile nodes. Their transactions are those of the ledger.
    pub mobile: MobileSpec,
    /// Announcements among super and full nodes.
    pub dissemination: DisseminationSpec,
    /// The state that full nodes keep.
    pub sharding: ShardingSpec,
}

fn read(reader: &mut Reader, own: &Section<'_>) -> Option<Vec<Variant>> {
    let full_peers = reader.field(own, "full_peers", 32, |reader, value| reader.count_u32(value, 1, 1_000)).value;
    let mut layer = |kind: &Kind, list, default| one_way(reader, own, kind, list, default);
    let layers = [
        layer(&routing::KIND, "rebalancing", ""),
        layer(&ledger::KIND, "pattern", "pbft"),
        layer(&discovery::KIND, "k", ""),
        layer(&mobile::KIND, "policy", "piggyback"),
        layer(&dissemination::KIND, "spread", "mesh"),
        layer(&sharding::KIND, "placement", "consistent-hashing"),
    ];
    let [
        Some(Mechanism::Routing(routing)),
        Some(Mechanism::Ledger(mut ledger)),
        Some(Mechanism::Discovery(discovery)),
        Some(Mechanism::Mobile(mut mobile)),
        Some(Mechanism::Dissemination(dissemination)),
        Some(Mechanism::Sharding(sharding)),
    ] = layers
    else {
        return None;
    };
    // Those of the ledger take their place, and headers would never let a phone sleep.
    mobile.options.transactions = None;
    ledger.options.mobile_headers = false;
    let full_peers = full_peers?;
    let spec = RecommendedSpec { full_peers, routing, ledger, discovery, mobile, dissemination, sharding };
    Some(vec![Variant { suffix: String::new(), mechanism: Mechanism::Recommended(spec) }])
}

/// The mechanism of a layer, from the table of its name. It runs in one way: where the file does not choose of the list
/// under the key `list`, in the way `default`.
fn one_way(reader: &mut Reader, own: &Section<'_>, kind: &Kind, list: &str, default: &str) -> Option<Mechanism> {
    // Warm-up and measurement are those of the whole.
    let section = reader.section(own, kind.name, &kind.keys[2..]);
    let variants = (kind.read)(reader, &section)?;
    if let [variant] = &variants[..] {
        return Some(variant.mechanism);
    }
    if let Some(entry) = section.get(list) {
        let title = format!("several ways of `{}` in one network", kind.name);
        reader.report(Draft::new(entry.value.at, title, format!("write one {list}")));
        return None;
    }
    variants.iter().find(|variant| variant.suffix.trim() == default).map(|variant| variant.mechanism)
}

/// The network of `point` without the types after `last`.
fn up_to(point: &Point, last: NodeType) -> Point {
    Point { population: point.population.up_to(last), ..point.clone() }
}

impl RecommendedSpec {
    /// Every layer with the part of the network of `point` that takes part in it.
    fn layers(&self, point: &Point) -> [(&dyn Spec, Point); 6] {
        let (upper, lights) = (up_to(point, NodeType::FullNode), up_to(point, NodeType::LightNode));
        [
            (&self.routing, lights),
            (&self.ledger, point.clone()),
            (&self.discovery, point.clone()),
            (&self.mobile, point.clone()),
            (&self.dissemination, upper.clone()),
            (&self.sharding, upper),
        ]
    }

    fn tier_links(&self, population: Population) -> f64 {
        let [supers, fulls] = [NodeType::SuperNode, NodeType::FullNode].map(|tier| f64::from(population.count(tier)));
        supers * supers + fulls * f64::from(self.full_peers).min(fulls)
    }

    fn protocol(&self, job: &Job<'_>) -> Recommended {
        let (point, seed) = (job.point, job.scenario.seed);
        let (upper, lights) = (up_to(point, NodeType::FullNode), up_to(point, NodeType::LightNode));
        let degrees = TierDegrees { full_peers: self.full_peers, super_parents: 0, light_parents: 0, mesh: true };
        let near = clustering(&job.scenario.network.latency, seed, point.nearby);
        let kept = job.kept(Notes { types: true, ..Notes::default() });
        let graph = degrees.clustered_graph(upper.population, kept, seed, near.as_ref());
        let heartbeat = AdaptiveHeartbeat { base_interval: job.scenario.heartbeat.interval };
        Recommended {
            tiers: Hierarchy::new(graph, heartbeat, job.scenario.heartbeat.size).with_leaves(),
            router: self.routing.protocol(job, &lights),
            ledger: self.ledger.protocol(job),
            discovery: self.discovery.protocol(job).for_mobile_nodes(),
            mobile: self.mobile.protocol(job),
            gossip: self.dissemination.protocol(job, &upper),
            sharding: self.sharding.protocol(job, &upper),
        }
    }
}

/// The state of one layer in each partition, with those of the nodes up to type `last`.
fn layer<'a, S>(
    outcome: &'a Ran<Recommended>,
    last: NodeType,
    of: impl Fn(&'a RecommendedState) -> &'a S,
) -> Vec<(Nodes, &'a S)> {
    outcome.states.iter().map(|(nodes, state)| (nodes.up_to(last), of(state))).collect()
}

impl Spec for RecommendedSpec {
    fn check(&self, reader: &mut Reader, population: Population, at: Place) {
        let layers: [&dyn Spec; 4] = [&self.ledger, &self.discovery, &self.mobile, &self.sharding];
        layers.into_iter().for_each(|spec| spec.check(reader, population, at));
    }

    fn canonical(&self) -> String {
        let layers: [&dyn Spec; 6] =
            [&self.routing, &self.ledger, &self.discovery, &self.mobile, &self.dissemination, &self.sharding];
        let layers = layers.map(|spec| format!("({})", spec.canonical())).join(" ");
        format!("peers {} {layers}", self.full_peers)
    }

    fn memory(&self, scenario: &Scenario, point: &Point) -> u64 {
        /// A link at both ends.
        const LINK_BYTES: f64 = 12.0;
        let layers: u64 = self.layers(point).iter().map(|(spec, point)| spec.memory(scenario, point)).sum();
        layers + (self.tier_links(point.population) * LINK_BYTES) as u64
    }

    fn undivided(&self, scenario: &Scenario, point: &Point) -> u64 {
        self.layers(point).iter().map(|(spec, point)| spec.undivided(scenario, point)).sum()
    }

    fn has_links(&self) -> bool {
        true
    }

    fn events(&self, scenario: &Scenario, point: &Point, on: &Conditions) -> f64 {
        let [routing, ledger, _, mobile, dissemination, sharding] = self.layers(point);
        let layers = [routing, ledger, mobile, dissemination, sharding];
        let layers: f64 = layers.iter().map(|(spec, point)| spec.events(scenario, point, on)).sum();
        let mobiles = on.alive(point, NodeType::MobileNode);
        let discovery =
            self.discovery.events_of(f64::from(point.population.range(NodeType::FullNode).end), mobiles, on);
        // Heartbeats along the links of the tiers.
        let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
        let supers = f64::from(point.population.count(NodeType::SuperNode));
        let peers = f64::from(self.full_peers).min(f64::from(point.population.count(NodeType::FullNode)));
        let tiers = [(NodeType::SuperNode, supers - 1.0), (NodeType::FullNode, peers)].map(|(tier, links)| {
            let beats = on.alive(point, tier) * on.times(adaptive.calculate_interval(tier));
            beats * (1.0 + links * on.heard(tier))
        });
        layers + discovery + tiers.iter().sum::<f64>()
    }

    fn kinds(&self) -> usize {
        // Heartbeats, digests and leaves of the tiers, and those of the layers.
        let layers: [&dyn Spec; 6] =
            [&self.routing, &self.ledger, &self.discovery, &self.mobile, &self.dissemination, &self.sharding];
        3 + layers.iter().map(|spec| spec.kinds()).sum::<usize>()
    }

    fn messages_per_second(&self, scenario: &Scenario, point: &Point) -> f64 {
        let layers: f64 =
            self.layers(point).iter().map(|(spec, point)| spec.messages_per_second(scenario, point)).sum();
        layers + self.tier_links(point.population) / scenario.heartbeat.interval.as_secs_f64()
    }

    fn chooses_peers(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<PointResult, RunError> {
        let protocol = self.protocol(job);
        let end = job.settings.end;
        let own = |outcome: &Ran<Recommended>| {
            let (upper, all) = (NodeType::FullNode, NodeType::MobileNode);
            let lights = layer(outcome, NodeType::LightNode, |state| &state.router);
            (
                routing::routed(&protocol.router, &lights, &outcome.lives, end),
                ledger::held(&layer(outcome, all, |state| &state.ledger)),
                discovery::discovered(&layer(outcome, all, |state| &state.discovery)),
                mobile::spent(&protocol.mobile, &layer(outcome, all, |state| &state.mobile), end),
                dissemination::spreading(&layer(outcome, upper, |state| &state.gossip)),
                sharding::records(&protocol.sharding, &layer(outcome, upper, |state| &state.sharding), &outcome.lives),
            )
        };
        let told = |outcome: &Ran<Recommended>, (routed, held, discovered, spent, spreading, records)| {
            let sent = consensus::sent(outcome, protocol.first_kind_of_ledger());
            let mut figures = self.routing.figures(&protocol.router, &routed, &outcome.lives, end);
            figures.extend(self.ledger.figures(&protocol.ledger, held, sent));
            figures.extend(self.discovery.figures(&discovered));
            figures.extend(self.mobile.figures(&spent));
            figures.extend(self.dissemination.figures(job, &spreading));
            figures.extend(self.sharding.figures(job, &protocol.sharding, &records, &outcome.lives));
            Found { figures, ..Found::default() }
        };
        job.run_summed("recommended", &protocol, protocol.bytes(), own, told)
    }
}
