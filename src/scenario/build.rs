//! From a point of a scenario to its result: the one place where protocols, topologies, networks and the engine meet.

use crate::contract::{Domain, NodeId, Placement, Population, Protocol, RandomKey, SimSpan, SimTime};
use crate::engine::{
    Broadcast, Latency, NetworkModel, Outcome, Progress, RegionMatrix, Settings, Simulation, Violation,
};
use crate::metrics::{
    EngineFigures, LinkDelays, Links, Method, PointResult, TimelineBucket, Traffic, peak_memory, reset_peak_memory,
};
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::full_mesh::FullMesh;
use crate::protocols::gossip::GossipEngine;
use crate::protocols::heartbeat::Heartbeat;
use crate::protocols::hierarchy::Hierarchy;
use crate::topologies::{Graph, TierDegrees, distinct_peers};

use super::{Approach, LatencySpec, NetworkSpec, Point, Scenario, TierLinks};

/// No slice of time is shorter, because windows are no longer than slices.
const SLICE_MIN: SimSpan = SimSpan::from_millis(1);

/// Who watches a run: `progress` is updated on the way, and `clock` tells the seconds since some moment.
pub struct Watch<'a> {
    /// How far the run has come.
    pub progress: &'a Progress,
    /// Wall time in seconds. The simulation itself never reads it.
    pub clock: &'a (dyn Fn() -> f64 + Sync),
}

/// A point on its way to a result.
struct Job<'a> {
    scenario: &'a Scenario,
    point: &'a Point,
    settings: Settings,
    watch: &'a Watch<'a>,
    /// When building began.
    began: f64,
}

/// Simulates one point of `scenario` on `threads` threads.
///
/// # Errors
/// When the engine finds that it lost messages or made some up.
pub fn run_point(
    scenario: &Scenario,
    point: &Point,
    threads: usize,
    watch: &Watch<'_>,
) -> Result<PointResult, Violation> {
    reset_peak_memory();
    let (population, seed) = (point.population, scenario.seed);
    let end = SimTime::ZERO + point.warmup + point.measure;
    let mut settings = Settings::new(population, seed, end);
    settings.threads = threads;
    settings.boundaries = boundaries(point, scenario.timeline);
    settings.measured = SimTime::ZERO + point.warmup..end;
    settings.meters = true;
    settings.delays = method(point) == Method::Event;
    settings.header = scenario.network.header;
    let layout = settings.partitions_log2();
    let job = Job { scenario, point, settings, watch, began: (watch.clock)() };
    let (interval, size) = (scenario.heartbeat.interval, scenario.heartbeat.size);
    match point.approach {
        Approach::FullMesh { .. } => {
            let delivered = method(point) == Method::Event;
            job.run("full-mesh", &FullMesh::new(population, interval, size, delivered), 0)
        }
        Approach::FlatGossip { fanout } => job.run_flat(random_graph(population, layout, seed, fanout)),
        Approach::Ping => job.run_flat(random_graph(population, layout, seed, 1)),
        Approach::Hierarchical(links) => {
            let graph = degrees(links, true).graph(population, layout, seed);
            let hierarchy = Hierarchy::new(graph, AdaptiveHeartbeat { base_interval: interval }, size);
            job.run("hierarchy", &hierarchy, hierarchy.bytes())
        }
        Approach::Gossip { links, fanout, seen, hops_max } => {
            let graph = degrees(links, false).graph(population, layout, seed);
            let gossip = GossipEngine::new(fanout, hops_max);
            let hierarchy =
                Hierarchy::with_gossip(graph, AdaptiveHeartbeat { base_interval: interval }, size, gossip, seen);
            job.run("hierarchy-gossip", &hierarchy, hierarchy.bytes())
        }
    }
}

/// The links of the tiers; without `mesh` none within a tier.
fn degrees(links: TierLinks, mesh: bool) -> TierDegrees {
    let TierLinks { full_peers, super_parents, light_parents } = links;
    TierDegrees { full_peers, super_parents, light_parents, mesh }
}

/// How the numbers of `point` are obtained.
pub fn method(point: &Point) -> Method {
    match point.approach {
        Approach::FullMesh { event_nodes_max } if point.population.total() > event_nodes_max => Method::Counted,
        _ => Method::Event,
    }
}

/// Every node has links to `degree` others, drawn uniformly.
fn random_graph(population: Population, partitions_log2: u32, seed: u64, degree: u32) -> Graph {
    let key = RandomKey::new(seed, Domain::Topology);
    let all: std::ops::Range<NodeId> = 0..population.total();
    Graph::new(population, partitions_log2, |node, peers| {
        distinct_peers(degree, all.clone(), node, &mut key.stream(node, 0), peers);
    })
}

/// The network that a scenario describes. `seed` places nodes in regions.
pub fn network(spec: &NetworkSpec, seed: u64) -> NetworkModel {
    NetworkModel::new(latency(&spec.latency, seed), spec.loss)
}

/// The delays that a scenario describes. `seed` places nodes in regions.
pub fn latency(spec: &LatencySpec, seed: u64) -> Latency {
    match spec {
        LatencySpec::Constant { delay } => Latency::Constant(*delay),
        LatencySpec::Uniform { min, max } => Latency::Uniform { min: *min, max: *max },
        LatencySpec::Lognormal { min, median, sigma } => {
            Latency::Lognormal { min: *min, median: *median, sigma: *sigma }
        }
        LatencySpec::Pareto { min, shape } => Latency::Pareto { min: *min, shape: *shape },
        LatencySpec::Regions { table, shares, jitter } => {
            Latency::Regions(RegionMatrix::new(table, Placement::new(shares, seed), *jitter))
        }
    }
}

/// What was recorded by pair of regions, with their names and the table behind them.
fn links(spec: &LatencySpec, delays: Vec<LinkDelays>) -> Option<Links> {
    match spec {
        LatencySpec::Regions { table, .. } if !delays.is_empty() => {
            Some(Links { regions: table.regions.clone(), table: table.delays().to_vec(), delays })
        }
        _ => None,
    }
}

/// Where slices of time begin: buckets of `width` from the start and, anew, from the end of the warm-up.
fn boundaries(point: &Point, width: SimSpan) -> Vec<SimTime> {
    let warm = SimTime::ZERO + point.warmup;
    let end = warm + point.measure;
    let buckets = |from: SimTime, to: SimTime| {
        std::iter::successors(Some(from + width), move |&time| Some(time + width))
            .take_while(move |&time| to.since(time) >= SLICE_MIN)
    };
    let warming = buckets(SimTime::ZERO, warm);
    let switch = Some(warm).filter(|&warm| warm > SimTime::ZERO);
    warming.chain(switch).chain(buckets(warm, end)).collect()
}

impl Job<'_> {
    fn run_flat(self, graph: Graph) -> Result<PointResult, Violation> {
        let heartbeat = &self.scenario.heartbeat;
        let protocol = Heartbeat::new(graph, heartbeat.interval, heartbeat.size);
        self.run("heartbeat", &protocol, protocol.graph().bytes())
    }

    /// `shared_bytes` is the memory of what all nodes share, such as the graph.
    fn run<P: Protocol>(
        mut self,
        name: &'static str,
        protocol: &P,
        shared_bytes: usize,
    ) -> Result<PointResult, Violation> {
        if method(self.point) == Method::Counted {
            self.settings.broadcast = Broadcast::Counted;
        }
        let network = network(&self.scenario.network, self.scenario.seed);
        let (boundaries, threads) = (self.settings.boundaries.clone(), self.settings.threads);
        let simulation = Simulation::new(protocol, &network, self.settings.clone());
        let built = (self.watch.clock)();
        let outcome = simulation.run_watched(self.watch.progress)?;
        let seconds = (self.watch.clock)() - built;
        let figures = EngineFigures {
            events: outcome.events,
            seconds,
            build_seconds: built - self.began,
            peak_memory: peak_memory(),
            bytes_per_node: (outcome.bytes + shared_bytes) as f64 / f64::from(self.point.population.total()),
            threads,
            partitions: outcome.partitions,
        };
        Ok(self.result(name, protocol.kinds(), &boundaries, outcome, figures))
    }

    fn result<P: Protocol>(
        &self,
        protocol: &'static str,
        kinds: &'static [&'static str],
        boundaries: &[SimTime],
        outcome: Outcome<P>,
        engine: EngineFigures,
    ) -> PointResult {
        let starts = std::iter::once(SimTime::ZERO).chain(boundaries.iter().copied());
        let timeline: Vec<TimelineBucket> =
            starts.zip(outcome.slices).map(|(start, traffic)| TimelineBucket { start, traffic }).collect();
        let mut measured = Traffic::new(kinds.len());
        for bucket in timeline.iter().filter(|bucket| self.settings.measured.contains(&bucket.start)) {
            measured += &bucket.traffic;
        }
        PointResult {
            approach: self.point.approach.name().to_owned(),
            protocol,
            population: self.point.population,
            method: method(self.point),
            seed: self.scenario.seed,
            warmup: self.point.warmup,
            measure: self.point.measure,
            interval: self.scenario.heartbeat.interval,
            header: self.scenario.network.header,
            kinds,
            measured,
            timeline,
            delays: outcome.delays,
            links: links(&self.scenario.network.latency, outcome.links),
            bandwidth: outcome.bandwidth,
            in_flight: outcome.in_flight,
            digest: outcome.digest,
            engine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(warmup: u64, measure: u64, width: u64) -> Vec<u64> {
        let point = Point {
            approach: Approach::Ping,
            population: Population::flat(2),
            warmup: SimSpan::from_millis(warmup),
            measure: SimSpan::from_millis(measure),
        };
        boundaries(&point, SimSpan::from_millis(width)).iter().map(|time| time.as_nanos() / 1_000_000).collect()
    }

    #[test]
    fn slices_restart_at_the_end_of_the_warmup() {
        assert_eq!(starts(0, 3_000, 1_000), [1_000, 2_000]);
        assert_eq!(starts(2_000, 2_000, 1_000), [1_000, 2_000, 3_000]);
        assert_eq!(starts(1_500, 1_200, 1_000), [1_000, 1_500, 2_500]);
        assert_eq!(starts(500, 500, 1_000), [500]);
        assert_eq!(starts(0, 10, 1_000), [0u64; 0]);
    }
}
