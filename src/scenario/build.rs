//! From a point of a scenario to its result: the one place where protocols, topologies, networks and the engine meet.

mod found;
mod keeping;
mod over;
mod places;
mod slices;

use std::cell::RefCell;

use crate::contract::{Domain, NodeType, Placement, Protocol, RandomKey, Share, SimSpan, SimTime};
use crate::engine::faults::Schedule;
use crate::engine::trace::{Record, Trace, Tracing};
use crate::engine::{Broadcast, Latency, NetworkModel, Outcome, Progress, Ranks, RegionMatrix, Settings, Simulation};
use crate::metrics::{
    Detection, EngineFigures, Judgement, LifeEvent, LinkDelays, Links, Method, PointResult, PopulationOverTime,
    SampleCount, TimelineBucket, Traffic, Truth, reset_peak_memory,
};
use crate::protocols::adaptive::AdaptiveHeartbeat;
use crate::protocols::detector::Detector;
use crate::protocols::full_mesh::FullMesh;
use crate::protocols::gossip::GossipEngine;
use crate::protocols::heartbeat::Heartbeat;
use crate::protocols::hierarchy::Hierarchy;
use crate::protocols::sampled::{AliveCount, Sampled};
use crate::protocols::sampler::NodeSampler;
use crate::protocols::swim::Swim;
use crate::topologies::{Clustering, Graph, Kept, Notes, Tier, TierDegrees};

pub use found::{Found, Sum};
pub use keeping::{Ending, Keeping, RunError, run_kept};
pub use over::run_over;

use over::Aside;
pub(super) use places::Deal;
use slices::boundaries;

use super::{Approach, DetectionSpec, LatencySpec, NetworkSpec, Point, Scenario, TierLinks};

/// Periods in which a member of SWIM is probed: that nobody does has a chance of e^-10, 1 in 22,000.
const SWIM_PERIODS: u64 = 10;

/// Who watches a run: `progress` is updated on the way, and `clock` tells the seconds since some moment.
pub struct Watch<'a> {
    /// How far the run has come.
    pub progress: &'a Progress,
    /// Wall time in seconds. The simulation itself never reads it.
    pub clock: &'a (dyn Fn() -> f64 + Sync),
}

/// A point on its way to a result.
pub struct Job<'a> {
    /// What it belongs to.
    pub scenario: &'a Scenario,
    /// What is simulated.
    pub point: &'a Point,
    /// How the engine runs it.
    pub settings: Settings,
    watch: &'a Watch<'a>,
    /// When building began.
    began: f64,
    /// Where the trace goes, if there is to be one.
    sink: Option<&'a Sink>,
    /// Who keeps checkpoints, until the run takes it.
    keeping: RefCell<Option<Keeping<'a>>>,
    /// The other processes that run parts of it, if there are any.
    ranks: Option<&'a dyn Ranks>,
}

/// What a run gives: with probes, which trace it if there is to be a trace.
pub type Ran<P> = Outcome<P, Option<Trace>>;

/// Takes in the trace of a run.
struct Sink {
    tracing: Tracing,
    log: RefCell<TraceLog>,
}

/// What was traced of a run.
#[derive(Clone, Debug, Default)]
pub struct TraceLog {
    /// The records, in their order.
    pub records: Vec<Record>,
    /// How many more there would have been without the bound.
    pub cut: u64,
}

/// How the engine shares a run out. Cannot be seen in a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Threads; at least one.
    pub threads: usize,
    /// Base-2 logarithm of the number of partitions, at most 16; `None` lets the engine choose.
    pub partitions_log2: Option<u32>,
}

impl From<usize> for Layout {
    /// The engine's choice for so many threads.
    fn from(threads: usize) -> Self {
        Layout { threads, partitions_log2: None }
    }
}

/// Simulates one point of `scenario`, on so many threads or in a whole `layout`.
///
/// # Errors
/// When the engine finds that it lost messages or made some up.
pub fn run_point(
    scenario: &Scenario,
    point: &Point,
    layout: impl Into<Layout>,
    watch: &Watch<'_>,
) -> Result<PointResult, RunError> {
    run_into(scenario, point, layout.into(), watch, Aside::default())
}

/// As [`run_point`], and writes down `tracing` of its events. A traced run takes longer and gives the same result.
///
/// # Errors
/// As [`run_point`].
pub fn run_traced(
    scenario: &Scenario,
    point: &Point,
    layout: impl Into<Layout>,
    watch: &Watch<'_>,
    tracing: Tracing,
) -> Result<(PointResult, TraceLog), RunError> {
    let sink = Sink { tracing, log: RefCell::default() };
    let aside = Aside { sink: Some(&sink), ..Aside::default() };
    let result = run_into(scenario, point, layout.into(), watch, aside)?;
    Ok((result, sink.log.into_inner()))
}

fn run_into<'a>(
    scenario: &'a Scenario,
    point: &'a Point,
    layout: Layout,
    watch: &'a Watch<'a>,
    Aside { sink, keeping, ranks }: Aside<'a>,
) -> Result<PointResult, RunError> {
    reset_peak_memory();
    let (population, seed) = (point.population, scenario.seed);
    let end = SimTime::ZERO + point.warmup + point.measure;
    let mut settings = Settings::new(population, seed, end);
    let share = ranks.map_or(Share::WHOLE, Ranks::share);
    let kept = |keeping: &Keeping<'_>| keeping.partitions_log2(layout, share.ranks());
    let partitions_log2 = keeping.as_ref().map_or(layout.partitions_log2, kept);
    (settings.threads, settings.partitions_log2) = (layout.threads, partitions_log2);
    settings.boundaries = boundaries(point, scenario.timeline);
    settings.measured = SimTime::ZERO + point.warmup..end;
    settings.meters = true;
    settings.delays = method(point) == Method::Event;
    settings.header = scenario.network.header;
    if method(point) == Method::Counted {
        settings.broadcast = Broadcast::Counted;
    }
    // What is counted as a whole does not arrive, so nobody can judge by it.
    settings.judgements = judging(scenario, point).is_some();
    settings.faults = scenario.faults.schedule.clone();
    settings.placement = placement(&scenario.network.latency, seed);
    settings.capacity = scenario.network.capacity;
    settings.share = share;
    settings.dealt_to = keeping.as_ref().and_then(Keeping::dealt_to).unwrap_or(share.ranks());
    places::deal_out(&mut settings, scenario, point);
    let (began, keeping) = ((watch.clock)(), RefCell::new(keeping));
    let job = Job { scenario, point, settings, watch, began, sink, keeping, ranks };
    let (interval, size) = (scenario.heartbeat.interval, scenario.heartbeat.size);
    let adaptive = AdaptiveHeartbeat { base_interval: interval };
    let clustering = clustering(&scenario.network.latency, seed, point.nearby);
    let clustering = clustering.as_ref();
    match point.approach {
        Approach::FullMesh { .. } => {
            let mesh = FullMesh::new(population, interval, size, method(point) == Method::Event);
            job.run("full-mesh", &job.judged(mesh, FullMesh::with_leaves, FullMesh::with_detector), 0)
        }
        Approach::FlatGossip { fanout } => job.run_flat(job.random_graph(fanout, clustering)),
        Approach::Ping => job.run_flat(job.random_graph(1, clustering)),
        Approach::Hierarchical(links) => {
            job.run_tiers("hierarchy", job.tiers(degrees(links, true), adaptive, clustering), 0.0)
        }
        Approach::Gossip { links, fanout, seen, hops_max, track } => {
            let gossip = GossipEngine::new(fanout, hops_max);
            let mut hierarchy = job.tiers(degrees(links, false), adaptive, clustering).gossiping(gossip, seen);
            if let Some(clustering) = clustering {
                hierarchy = hierarchy.with_clustering(clustering);
            }
            job.run_tiers("hierarchy-gossip", hierarchy, track)
        }
        Approach::Sampled { trackers, rates, missed } => {
            let detector = scenario.detection.map_or(Detector::Timeout { missed }, |detection| detection.detector);
            let kept = job.kept(Notes::default());
            let sampled = Sampled::new(population, kept, adaptive, size, trackers, rates.as_slice(), detector);
            job.run_sampled(&if job.has_leaves() { sampled.with_leaves() } else { sampled })
        }
        Approach::Mechanism(mechanism) => mechanism.spec().run(&job),
        Approach::Swim(timing) => job.run("swim", &Swim::new(population, timing), 0),
    }
}

/// How the nodes of a point decide that others are down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judging {
    /// The name of the detector in results.
    pub detector: &'static str,
    /// How long the failure of a node of each type lasts at least that counts as never noticed if nobody does, in the
    /// order of [`NodeType::ALL`].
    pub patience: [SimSpan; 4],
}

/// How the nodes of `point` decide that others are down, if they do: trackers of a sample and members of SWIM do without
/// a detector of the scenario. In a flat approach all nodes have the base interval.
pub fn judging(scenario: &Scenario, point: &Point) -> Option<Judging> {
    let own = match point.approach {
        _ if method(point) == Method::Counted => return None,
        Approach::Mechanism(mechanism) => return mechanism.spec().judging(scenario, point),
        Approach::Swim(timing) => {
            let given = scenario.detection.and_then(|detection| detection.patience);
            let suspicion = Swim::new(point.population, timing).suspicion();
            let patience = given.unwrap_or(suspicion + timing.period * SWIM_PERIODS);
            return Some(Judging { detector: "swim", patience: [patience; 4] });
        }
        Approach::Sampled { missed, .. } => {
            Some(DetectionSpec { detector: Detector::Timeout { missed }, patience: None })
        }
        _ => None,
    };
    let detection = scenario.detection.or(own)?;
    let adaptive = AdaptiveHeartbeat { base_interval: scenario.heartbeat.interval };
    let is_tiered =
        matches!(point.approach, Approach::Hierarchical(_) | Approach::Gossip { .. } | Approach::Sampled { .. });
    let interval = |node_type| match is_tiered {
        true => adaptive.calculate_interval(node_type),
        false => adaptive.base_interval,
    };
    let detector = match detection.detector {
        Detector::Timeout { .. } => "timeout",
        Detector::Phi { .. } => "phi",
    };
    Some(Judging { detector, patience: NodeType::ALL.map(|node_type| detection.patience(interval(node_type))) })
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

/// How a share `nearby` of the links is chosen, where nodes stand in regions.
pub(super) fn clustering(latency: &LatencySpec, seed: u64, nearby: Option<f64>) -> Option<Clustering> {
    let LatencySpec::Regions { table, shares, .. } = latency else { return None };
    Some(Clustering::new(Placement::new(shares, seed), nearby?, |from, to| table.one_way(from, to)))
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

/// Where the nodes stand, if the network has regions.
fn placement(latency: &LatencySpec, seed: u64) -> Option<Placement> {
    match latency {
        LatencySpec::Regions { shares, .. } => Some(Placement::new(shares, seed)),
        _ => None,
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

impl Job<'_> {
    /// Whether nodes tell others when they leave in good order: where somebody judges, or where some do leave.
    fn has_leaves(&self) -> bool {
        let Schedule { churns, outages } = &self.settings.faults;
        self.scenario.detection.is_some()
            || churns.iter().any(|churn| churn.graceful > 0.0)
            || outages.iter().any(|outage| outage.graceful)
    }

    /// `protocol` with the detector of the scenario, or at least with leaves if there are any.
    fn judged<P>(&self, protocol: P, with_leaves: impl Fn(P) -> P, with_detector: impl Fn(P, Detector) -> P) -> P {
        match self.scenario.detection {
            Some(detection) => with_detector(protocol, detection.detector),
            None if self.has_leaves() => with_leaves(protocol),
            None => protocol,
        }
    }

    /// What this process keeps of a graph: the links of its own nodes, and what `notes` ask for about links to them.
    pub fn kept(&self, notes: Notes) -> Kept {
        Kept { places: self.settings.places(), share: self.settings.share, notes }
    }

    /// Every node has links to `degree` others, drawn uniformly, or near ones first.
    fn random_graph(&self, degree: u32, clustering: Option<&Clustering>) -> Graph {
        let Settings { population, seed, .. } = self.settings;
        let key = RandomKey::new(seed, Domain::Topology);
        let all = Tier::new(0..population.total(), clustering);
        let notes = Notes { senders: self.scenario.detection.is_some(), ..Notes::default() };
        Graph::new(population, self.kept(notes), |node, peers| {
            all.distinct_peers(degree, node, &mut key.stream(node, 0), peers);
        })
    }

    /// Tiers with links of so many `degrees`.
    fn tiers(&self, degrees: TierDegrees, adaptive: AdaptiveHeartbeat, clustering: Option<&Clustering>) -> Hierarchy {
        let Settings { population, seed, .. } = self.settings;
        let notes = Notes { senders: self.scenario.detection.is_some(), types: true, firsts: false };
        let graph = degrees.clustered_graph(population, self.kept(notes), seed, clustering);
        Hierarchy::new(graph, adaptive, self.scenario.heartbeat.size)
    }

    fn run_flat(&self, graph: Graph) -> Result<PointResult, RunError> {
        let heartbeat = &self.scenario.heartbeat;
        let protocol = Heartbeat::new(graph, heartbeat.interval, heartbeat.size);
        let protocol = self.judged(protocol, Heartbeat::with_leaves, Heartbeat::with_detector);
        self.run("heartbeat", &protocol, protocol.graph().bytes())
    }

    fn run_sampled(&self, sampled: &Sampled) -> Result<PointResult, RunError> {
        let own = |outcome: &Ran<Sampled>| -> Vec<AliveCount> {
            outcome.states.iter().flat_map(|(_, state)| state.counts()).copied().collect()
        };
        self.run_summed("sampled", sampled, sampled.bytes(), own, |_, mut counts| {
            // In the order of time, observer and rate.
            counts.sort_unstable();
            let named = |AliveCount { time, observer, sample, alive }| {
                let rate = sampled.samplers()[usize::from(sample)].rate();
                SampleCount { time, observer, rate, alive }
            };
            Found { samples: counts.into_iter().map(named).collect(), ..Found::default() }
        })
    }

    /// Rumours, if there are any, are tracked of the share `track` of the nodes.
    fn run_tiers(&self, name: &'static str, hierarchy: Hierarchy, track: f64) -> Result<PointResult, RunError> {
        let track = NodeSampler::new(track);
        let with_detector = |hierarchy: Hierarchy, detector| hierarchy.with_detector(detector, &track);
        let hierarchy = self.judged(hierarchy, Hierarchy::with_leaves, with_detector);
        self.run(name, &hierarchy, hierarchy.bytes())
    }

    /// The outcome of `protocol` on `network`, with the states of all nodes if they are wanted, and when all was built.
    fn simulate<P: Protocol>(
        &self,
        protocol: &P,
        network: &NetworkModel,
        with_states: bool,
    ) -> Result<(f64, Ran<P>), RunError> {
        let probe = || self.sink.map(|sink| Trace::new(sink.tracing));
        let mut simulation = Simulation::with_probes(protocol, network, self.settings.clone(), probe);
        let mut keeping = self.keeping.take();
        if let Some(checkpoint) = keeping.as_mut().and_then(|keeping| keeping.from.take()) {
            simulation = keeping::all_restored(simulation.restore(&checkpoint), self.ranks)?;
        }
        if let Some(ranks) = self.ranks {
            simulation = simulation.over(ranks, with_states);
        }
        let built = (self.watch.clock)();
        let mut outcome = match keeping {
            Some(Keeping { keeper, .. }) => simulation.run_kept(self.watch.progress, Some(keeper))?,
            None => simulation.run_watched(self.watch.progress)?,
        };
        if let Some(sink) = self.sink {
            let (records, cut) = Trace::gather(outcome.probes.drain(..).flatten().collect());
            *sink.log.borrow_mut() = TraceLog { records, cut };
        }
        Ok((built, outcome))
    }

    fn result<P: Protocol>(
        &self,
        name: &'static str,
        protocol: &P,
        boundaries: &[SimTime],
        mut outcome: Ran<P>,
        found: Found,
        engine: EngineFigures,
    ) -> PointResult {
        let kinds = protocol.kinds();
        let starts = std::iter::once(SimTime::ZERO).chain(boundaries.iter().copied());
        // Of a run that was broken off, those that began.
        let starts: Vec<SimTime> = starts.take(outcome.slices.len()).collect();
        let measured_span = self.settings.measured.start..outcome.stopped.unwrap_or(self.settings.end);
        let detection = self.detection(measured_span.clone(), &outcome.lives, std::mem::take(&mut outcome.judgements));
        let population_over_time = self.population_over_time(&starts, &outcome.lives, &found.samples);
        let timeline: Vec<TimelineBucket> =
            starts.into_iter().zip(outcome.slices).map(|(start, traffic)| TimelineBucket { start, traffic }).collect();
        let mut measured = Traffic::new(kinds.len());
        for bucket in timeline.iter().filter(|bucket| self.settings.measured.contains(&bucket.start)) {
            measured += &bucket.traffic;
        }
        PointResult {
            approach: self.point.label.clone(),
            protocol: name,
            population: self.point.population,
            method: method(self.point),
            seed: self.scenario.seed,
            warmup: self.point.warmup,
            measure: measured_span.end.since(measured_span.start),
            interval: self.scenario.heartbeat.interval,
            header: self.scenario.network.header,
            kinds,
            measured,
            timeline,
            delays: outcome.delays,
            links: links(&self.scenario.network.latency, outcome.links),
            bandwidth: outcome.bandwidth,
            detection,
            population_over_time,
            figures: found.figures,
            state_bytes: outcome.state_bytes,
            in_flight: outcome.in_flight,
            digest: outcome.digest,
            engine,
        }
    }

    /// How well the verdicts of the run fit those who came and went; `None` if verdicts were not recorded.
    fn detection(
        &self,
        measured: std::ops::Range<SimTime>,
        lives: &[LifeEvent],
        judgements: Vec<Judgement>,
    ) -> Option<Detection> {
        let Judging { detector, patience } = judging(self.scenario, self.point)?;
        let truth = Truth { population: self.settings.population, end: measured.end, measured, patience, lives };
        Some(Detection::of(detector, &truth, judgements))
    }

    /// The nodes that were up, with what trackers counted; `None` if all were all the time and nobody counted.
    fn population_over_time(
        &self,
        starts: &[SimTime],
        lives: &[LifeEvent],
        samples: &[SampleCount],
    ) -> Option<PopulationOverTime> {
        let anything = !lives.is_empty() || !samples.is_empty();
        anything.then(|| PopulationOverTime::of(self.point.population, starts, lives, samples))
    }
}

#[cfg(test)]
mod referee;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_interval_of_each_type() {
        let patience = |approach: &str, detection: &str| {
            let text = format!("name = \"a\"\nnodes = \"1K\"\napproaches = \"{approach}\"\n{detection}");
            let scenario = super::super::parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
            judging(&scenario, &scenario.points[0])
                .map(|judging| judging.patience.map(|span| span.as_nanos() / 1_000_000_000))
        };
        assert_eq!(patience("hierarchical", ""), None);
        assert_eq!(patience("hierarchical", "[detection]\nmissed = 2"), Some([120, 240, 1_200, 2_400]));
        assert_eq!(patience("sampled", "[detection]"), Some([150, 300, 1_500, 3_000]));
        assert_eq!(patience("flat-gossip", "[detection]"), Some([150; 4]));
        assert_eq!(patience("gossip", "[detection]\npatience = \"7s\""), Some([7; 4]));
    }
}
