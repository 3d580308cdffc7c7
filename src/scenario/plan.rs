//! What a point will take, before anything is allocated: events, memory, and disk for its results.

mod disk;
pub(super) mod events;
mod faults;
mod ranks;
pub mod scaling;
mod verdicts;

use crate::contract::NodeType;
use crate::metrics::Method;
use crate::protocols::detector::Detector;
use crate::protocols::swim::SwimTiming;
use crate::protocols::swim::membership::{View, Waiting};

use super::build::method;
use super::{Approach, Point, Scenario};
pub use ranks::memory_of_rank;

/// Memory that a process of this program takes whatever it runs, in bytes: code, buffers of empty queues.
const PROCESS_BYTES: u64 = 8 << 20;
/// What a thread takes: its stack, the buffers and timer wheel of its partitions, and the chunks that are not in
/// use yet.
const THREAD_BYTES: u64 = 2 << 20;
/// A message under way, with its share of half-filled chunks and of the sorted copy of its window.
const MESSAGE_BYTES: u64 = 64;
/// What the engine keeps for a node: effects so far 4, traffic 16, its next timer 16 and the slack of its chunk 4, and
/// its share of the list from which percentiles are taken 8.
const NODE_BYTES: u64 = 48;
/// What a node takes that runs SWIM: a cache line, a larger timer than others have, and what it knows of failures that
/// are not planned.
const SWIM_BYTES: u64 = 64 + 16 + 128;
/// What a suspicion takes at each member that has heard of it: a timer of 32 bytes, and the slack of its chunk.
const SUSPICION_BYTES: f64 = 48.0;
/// A bucket of the time series in each thread that counts for it: 12 counts of 16 bytes for each of three kinds.
const BUCKET_BYTES: u64 = 640;
/// Delays between two regions: the slots of a histogram up to a second, in each thread and in each result.
const LINK_BYTES: u64 = 13 << 10;
/// A bucket in the result that is kept until all points have run: its counts and its lines of the CSV file.
const RESULT_BYTES: u64 = 640 + 9 * 80;

/// What running a point takes: estimates, from the scenario alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Deliveries, timers, and nodes that come or go.
    pub events: u64,
    /// Peak memory of the process, in bytes.
    pub memory_bytes: u64,
    /// The part of the result files that is about the point, in bytes.
    pub disk_bytes: u64,
}

/// What running `point` of `scenario` on `threads` threads takes. Quick, and allocates next to nothing.
///
/// Events follow from rates, fan-outs, losses and faults, as protocols and scenario have them; what random draws make of that
/// is not in it. On the project's scenarios they are within 30 % of those that runs count, and memory within 15 % of its peak
/// (`tests/forecasts.rs`).
///
/// ```
/// # use qnetsim::scenario::{parse, plan};
/// let text = "name = \"a\"\nnodes = 1000\napproaches = \"ping\"\nwarmup = \"0s\"\nmeasure = \"60s\"";
/// let scenario = parse("a.toml", text, &[])?;
/// let forecast = plan::forecast(&scenario, &scenario.points[0], 1);
/// // Two intervals of 30 s, in each of which a node has a timer and sends a message.
/// assert_eq!(forecast.events, 1_000 * 2 * 2);
/// # Ok::<(), qnetsim::scenario::ScenarioError>(())
/// ```
pub fn forecast(scenario: &Scenario, point: &Point, threads: usize) -> Forecast {
    Forecast {
        // The cast saturates.
        events: libm::round(events::expected(scenario, point)) as u64,
        memory_bytes: memory(scenario, point, threads),
        disk_bytes: disk::bytes(scenario, point),
    }
}

/// What must be available for a run that is estimated to take `bytes`: estimates may be 15 % too low.
pub fn memory_with_margin(bytes: u64) -> u64 {
    (bytes / 17).saturating_mul(20)
}

/// Peak memory of running `point` of `scenario` on `threads` threads, in bytes: an estimate from what is stored per
/// node, link, message under way and bucket of the time series. The results of earlier points are held beside it.
pub fn memory(scenario: &Scenario, point: &Point, threads: usize) -> u64 {
    let nodes = u64::from(point.population.total());
    let in_flight = messages_per_second(scenario, point) * usual_delay(scenario) * MESSAGE_BYTES as f64;
    let faults = faults::bytes(scenario, point);
    // Links take 12 bytes each: 8 at the sender and 4 at the receiver. Building takes 12 before the receiver has its
    // 4, so it takes no more. Rows of uneven length, their lengths while building, and slots take 12 per node.
    let stored = match point.approach {
        Approach::FullMesh { .. } if method(point) == Method::Event => (nodes * nodes).saturating_mul(4),
        Approach::FullMesh { .. } => 0,
        Approach::Ping | Approach::FlatGossip { .. } => links(point) * 12 + nodes * 8,
        Approach::Hierarchical(_) => links(point) * 12 + nodes * 12,
        Approach::Swim(timing) => {
            // A view keeps eight bytes of all who ever went or were suspected, and grows by a quarter.
            let known = faults::changing(scenario, point) + verdicts::suspicions(scenario, point, timing) as u64;
            let known = known.min(View::EXCEPTIONS_MAX as u64) * 10;
            let suspected = verdicts::suspected_at_once(scenario, point, timing) * SUSPICION_BYTES;
            nodes.saturating_mul(SWIM_BYTES + known + known.min(Waiting::BYTES_MAX as u64) + suspected as u64)
        }
        Approach::Gossip { seen, .. } => {
            let upper = u64::from(upper_nodes(point));
            links(point) * 12 + nodes * 12 + upper * u64::from(seen).next_power_of_two() * 8
        }
        Approach::Sampled { .. } => links(point) * 12 + nodes * 12 + counted(scenario, point),
        Approach::Mechanism(mechanism) => mechanism.spec().memory(scenario, point),
    };
    let stored = stored.saturating_add(detectors(scenario, point));
    let stored = stored.saturating_add(verdicts::bytes(scenario, point));
    (nodes * NODE_BYTES)
        .saturating_add(stored)
        .saturating_add(faults)
        .saturating_add(nearby(point))
        .saturating_add(in_flight as u64)
        .saturating_add(of_process(scenario, point, threads))
}

/// Who stands where, to choose near nodes from.
fn nearby(point: &Point) -> u64 {
    match point.approach {
        _ if point.nearby.is_none() => 0,
        Approach::Hierarchical(_) | Approach::Gossip { .. } => u64::from(upper_nodes(point)) * 4,
        _ => u64::from(point.population.total()) * 4,
    }
}

/// What a process takes on `threads` threads however many nodes there are, and for the results of earlier points.
fn of_process(scenario: &Scenario, point: &Point, threads: usize) -> u64 {
    let regions = scenario.network.latency.regions().len() as u64;
    let links = regions * regions * LINK_BYTES;
    let so_far =
        scenario.points.iter().position(|other| other == point).map_or(scenario.points.len(), |index| index + 1);
    let results =
        scenario.points[..so_far].iter().map(|point| buckets(scenario, point) * RESULT_BYTES + links).sum::<u64>();
    let per_thread = THREAD_BYTES + buckets(scenario, point) * BUCKET_BYTES + links;
    PROCESS_BYTES.saturating_add((threads as u64).saturating_mul(per_thread)).saturating_add(results)
}

/// What detectors keep: who sends along each link, where the links of each node end, and of phi two averages a peer.
fn detectors(scenario: &Scenario, point: &Point) -> u64 {
    let averages = match scenario.detection.map(|detection| detection.detector) {
        Some(Detector::Phi { .. }) => 8,
        Some(Detector::Timeout { .. }) => 0,
        // Trackers judge without as well.
        None if matches!(point.approach, Approach::Sampled { .. }) => 0,
        None => return 0,
    };
    let nodes = u64::from(point.population.total());
    let on_links = links(point) * (4 + averages);
    match point.approach {
        Approach::FullMesh { .. } if method(point) == Method::Event => (nodes * nodes).saturating_mul(averages),
        Approach::FullMesh { .. } | Approach::Swim(_) | Approach::Mechanism(_) => 0,
        Approach::Ping | Approach::FlatGossip { .. } => on_links + nodes * 4,
        Approach::Hierarchical(_) => on_links,
        Approach::Gossip { track, .. } => {
            let pairs = |node_type| {
                let members = f64::from(point.population.count(node_type));
                members * members * track
            };
            let pairs = pairs(NodeType::SuperNode) + pairs(NodeType::FullNode);
            on_links.saturating_add((pairs * (4 + averages) as f64) as u64)
        }
        // Besides, the sample that each sender is in.
        Approach::Sampled { .. } => on_links + links(point),
    }
}

/// What the trackers' counts take, here and in the result.
fn counted(scenario: &Scenario, point: &Point) -> u64 {
    let Approach::Sampled { trackers, rates, .. } = point.approach else { return 0 };
    let counts = (point.warmup + point.measure) / scenario.heartbeat.interval + 1;
    // Vectors grow by doubling.
    counts.saturating_mul(u64::from(trackers) * rates.as_slice().len() as u64 * (2 * 24 + 24 + 32))
}

/// Buckets of the time series of `point`.
fn buckets(scenario: &Scenario, point: &Point) -> u64 {
    let width = scenario.timeline.as_nanos().max(1);
    point.warmup.as_nanos().div_ceil(width) + point.measure.as_nanos().div_ceil(width)
}

fn upper_nodes(point: &Point) -> u32 {
    point.population.range(NodeType::FullNode).end
}

/// Directed links of the topology.
fn links(point: &Point) -> u64 {
    let count = |node_type| u64::from(point.population.count(node_type));
    let (supers, fulls) = (count(NodeType::SuperNode), count(NodeType::FullNode));
    let lower = count(NodeType::LightNode) + count(NodeType::MobileNode);
    match point.approach {
        Approach::FullMesh { .. } | Approach::Swim(_) | Approach::Mechanism(_) => 0,
        Approach::Ping => u64::from(point.population.total()),
        Approach::FlatGossip { fanout } => u64::from(point.population.total()) * u64::from(fanout),
        Approach::Hierarchical(links) => {
            let peers = u64::from(links.full_peers).min(fulls.saturating_sub(1)) + u64::from(links.super_parents);
            supers * supers.saturating_sub(1) + fulls * peers + lower * u64::from(links.light_parents)
        }
        Approach::Gossip { links, .. } => {
            fulls * u64::from(links.super_parents) + lower * u64::from(links.light_parents)
        }
        Approach::Sampled { trackers, rates, .. } => {
            // The sample is random: four standard deviations above its mean.
            let mean = f64::from(point.population.total()) * rates.largest();
            (mean + 4.0 * mean.sqrt()).min(f64::from(point.population.total())).ceil() as u64 * u64::from(trackers)
        }
    }
}

/// Messages sent per second in the steady state, from above; those that are counted as a whole are left out.
fn messages_per_second(scenario: &Scenario, point: &Point) -> f64 {
    if let Approach::Swim(SwimTiming { period, .. }) = point.approach {
        // A ping and its ack.
        return 2.0 * f64::from(point.population.total()) / period.as_secs_f64();
    }
    if let Approach::Mechanism(mechanism) = point.approach {
        return mechanism.spec().messages_per_second(scenario, point);
    }
    let interval = scenario.heartbeat.interval.as_secs_f64();
    let nodes = f64::from(point.population.total());
    let per_interval = match point.approach {
        Approach::FullMesh { .. } if method(point) == Method::Event => nodes * (nodes - 1.0),
        Approach::FullMesh { .. } => 0.0,
        Approach::Gossip { fanout, .. } => {
            let size = |node_type| f64::from(point.population.count(node_type));
            let (supers, fulls) = (size(NodeType::SuperNode), size(NodeType::FullNode));
            // Every rumour of a tier reaches every node of it, which sends it on `fanout` times; full nodes start one
            // every other interval.
            links(point) as f64 + (supers * supers + fulls * fulls / 2.0) * f64::from(fanout)
        }
        _ => links(point) as f64,
    };
    per_interval / interval
}

/// How long a message is under way, in seconds: the mean, or what surges make of it.
fn usual_delay(scenario: &Scenario) -> f64 {
    faults::longest_delay(scenario, events::mean_delay(&scenario.network.latency))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// The estimate for the first point of the scenario that `sets` make, on one thread.
    #[track_caller]
    fn estimate(sets: &[&str]) -> u64 {
        let text = "name = \"a\"\nnodes = 1000\napproaches = \"ping\"\n";
        let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
        let scenario = parse("a.toml", text, &sets).unwrap_or_else(|error| panic!("{error}"));
        memory(&scenario, &scenario.points[0], 1)
    }

    /// How much more the estimate is at ten times `nodes` than at `nodes`, what every process takes left out.
    #[track_caller]
    fn growth(nodes: u64, sets: &[&str]) -> f64 {
        let at = |nodes: u64| {
            let size = format!("nodes={nodes}");
            estimate(&[&[size.as_str()], sets].concat()) - PROCESS_BYTES - THREAD_BYTES
        };
        at(10 * nodes) as f64 / at(nodes) as f64
    }

    #[test]
    fn flat_approaches_grow_with_the_nodes() {
        for approach in ["approaches=ping", "approaches=flat-gossip", "approaches=swim"] {
            for nodes in [100_000, 1_000_000, 10_000_000] {
                let growth = growth(nodes, &[approach]);
                assert!((9.8..=10.0).contains(&growth), "{approach} at {nodes}: {growth}");
            }
        }
    }

    #[test]
    fn a_mesh_grows_with_the_square_event_by_event_and_with_the_nodes_where_it_is_counted() {
        let delivered = ["approaches=full-mesh", "approach.full-mesh.event_nodes_max=4G"];
        let quadratic = growth(10_000, &delivered);
        assert!((99.0..=100.0).contains(&quadratic), "{quadratic}");
        let linear = growth(100_000, &["approaches=full-mesh"]);
        assert!((9.7..=10.0).contains(&linear), "{linear}");
        let [counted, delivered] = [&delivered[..1], &delivered].map(|sets| estimate(&[sets, &["nodes=1M"]].concat()));
        assert!(delivered > 4_000_000_000_000 && counted < 100_000_000, "{delivered}, {counted}");
    }

    #[test]
    fn the_largest_of_everything_does_not_overflow() {
        let largest = ["nodes=4G", "approaches=full-mesh", "approach.full-mesh.event_nodes_max=4G", "warmup=1h"];
        let slow = ["heartbeat.interval=1ms", "network.latency={ model = 'constant', delay = '1h' }"];
        assert_eq!(estimate(&[&largest[..], &slow].concat()), u64::MAX, "more than can be counted");
    }

    #[test]
    fn links_children_and_memories_of_gossip_are_counted() {
        let tiers = ["nodes=100K", "approaches=hierarchical", "tiers.super=10", "tiers.full=1000"];
        let with = |more: &str| estimate(&[&tiers[..], &[more]].concat());
        let base = with("seed=1");
        let (lower, fulls) = (100_000 - 1_010, 1_000);
        // 12 bytes a link, and what is under way of one message per link and interval.
        let near = |bytes: u64, links: u64| (links * 12..=links * 13).contains(&(bytes - base));
        assert!(near(with("approach.hierarchical.light_parents=9"), 5 * lower));
        assert!(near(with("approach.hierarchical.full_peers=132"), 100 * fulls));
        assert!(near(with("approach.hierarchical.super_parents=5"), 3 * fulls));
        assert!(near(with("tiers.super=110"), 110 * 109 - 10 * 9 - 4 * 100));
        assert!(with("approaches=gossip") > 1_010 * 1_024 * 8 + 4 * lower * 12);
        let sets = |seen| estimate(&[&tiers[..], &["approaches=gossip", seen]].concat());
        assert_eq!(sets("approach.gossip.seen=8K") - sets("approach.gossip.seen=4096"), 1_010 * (8_192 - 4_096) * 8);
    }

    #[test]
    fn choosing_near_nodes_takes_four_bytes_for_each_that_is_chosen_from() {
        let base = ["nodes=100K", "network.latency.model='regions'", "tiers.super=10", "tiers.full=1000"];
        for (approach, nodes) in [("ping", 100_000), ("hierarchical", 1_010), ("gossip", 1_010), ("full-mesh", 0)] {
            let approach = format!("approaches={approach}");
            let with = |more: &str| estimate(&[&base[..], &[approach.as_str(), more]].concat());
            assert_eq!(with("topology.nearby=0.5") - with("seed=1"), 4 * nodes, "{approach}");
        }
    }

    #[test]
    fn detectors_and_samples_are_counted() {
        let growth = |sets: &[&str], more: &[&str]| estimate(&[sets, more].concat()) - estimate(sets);
        let on = ["detection={}"];
        let phi = ["detection={ detector = 'phi' }"];
        let flat = ["nodes=100K", "approaches=flat-gossip"];
        assert_eq!([growth(&flat, &on), growth(&flat, &phi)], [100_000 * (8 * 4 + 4), 100_000 * (8 * 12 + 4)]);
        let mesh = ["approaches=full-mesh"];
        assert_eq!([growth(&mesh, &on), growth(&mesh, &phi)], [0, 1_000 * 1_000 * 8]);
        let counted = ["approaches=full-mesh", "nodes=1M"];
        assert_eq!(growth(&counted, &phi), 0);
        let tiers = ["nodes=100K", "approaches=gossip", "tiers.super=10", "tiers.full=1000"];
        let pairs = 10 * 10 + 1_000 * 1_000;
        let links = 1_000 * 2 + (100_000 - 1_010) * 4;
        assert_eq!(growth(&tiers, &on), 4 * (links + pairs));
        assert_eq!(growth(&tiers, &["detection={}", "approach.gossip.track=0.5"]), 4 * links + 2 * pairs);
        let sampled = ["nodes=1M", "approaches=sampled"];
        let base = estimate(&["nodes=1M"]);
        // A tenth of the nodes sends to three trackers, instead of all to one.
        let links = 3 * 100_000 * (12 + 4 + 1);
        let own = estimate(&sampled) as i64 - base as i64;
        assert!((own - (links - 1_000_000 * 12 + 1_000_000 * 4)).abs() < 1_000_000, "{own}");
        let long = growth(&sampled, &["measure=1h", "timeline=1h"]);
        assert!(long < growth(&sampled, &["measure=10h", "timeline=10h"]), "{long}");
    }

    #[test]
    fn what_is_under_way_grows_with_rate_and_delay() {
        let base = ["nodes=1M", "approaches=flat-gossip"];
        let with = |more: &[&str]| estimate(&[&base[..], more].concat());
        // 8M messages a second for half a second.
        let busy = with(&["heartbeat.interval=1s", "network.latency.max=1s"]);
        assert!((245_000_000..265_000_000).contains(&(busy - with(&[]))), "{busy}");
        let regions = with(&["heartbeat.interval=1s", "network.latency={ model = 'regions', jitter = 0.5 }"]);
        assert!(regions > with(&["heartbeat.interval=1s", "network.latency={ model = 'regions' }"]));
    }

    #[test]
    fn every_thread_and_the_result_hold_the_time_series() {
        let fine = ["timeline=1ms", "warmup=0s", "measure=50s"];
        assert_eq!(estimate(&fine) - estimate(&fine[1..]), (50_000 - 50) * (BUCKET_BYTES + RESULT_BYTES));
        let text = "name = \"a\"\nnodes = [10, 20]\napproaches = \"ping\"\n";
        let scenario = parse("a.toml", text, &[]).unwrap();
        let on = |threads| memory(&scenario, &scenario.points[0], threads);
        assert_eq!(on(5) - on(1), 4 * (THREAD_BYTES + 65 * BUCKET_BYTES));
        assert_eq!(on(1), estimate(&["nodes=10"]), "the second point comes later");
        let second = memory(&scenario, &scenario.points[1], 1);
        assert_eq!(second - estimate(&["nodes=20"]), 65 * RESULT_BYTES, "the first point's result");
    }
}
