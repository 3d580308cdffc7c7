//! The hash of a scenario: equal for files that run the same simulation, however they are written.

use std::fmt::Write;

use super::{Approach, FaultsSpec, LatencySpec, Scenario, TierLinks};
use crate::contract::NodeType;
use crate::engine::faults::{Between, Churn, NodeSet, Outage};
use crate::engine::{Capacity, Distribution, Jitter};
use crate::protocols::detector::Detector;
use crate::protocols::swim::SwimTiming;

/// Changes when the text below changes its meaning.
const VERSION: u32 = 1;

/// BLAKE3 of [`text`], in hex.
pub(super) fn hash(scenario: &Scenario) -> String {
    blake3::hash(text(scenario).as_bytes()).to_hex().to_string()
}

/// All that decides what is simulated, one fact a line: times in nanoseconds, sizes in bytes, fractions as their bits.
///
/// Not in it: name, description and seed.
fn text(scenario: &Scenario) -> String {
    let mut lines = vec![format!("qnetsim scenario {VERSION}")];
    let network = &scenario.network;
    lines.push(match &network.latency {
        LatencySpec::Constant { delay } => format!("latency constant {}", delay.as_nanos()),
        LatencySpec::Uniform { min, max } => format!("latency uniform {} {}", min.as_nanos(), max.as_nanos()),
        LatencySpec::Lognormal { min, median, sigma } => {
            format!("latency lognormal {} {} {}", min.as_nanos(), median.as_nanos(), bits(*sigma))
        }
        LatencySpec::Pareto { min, shape } => format!("latency pareto {} {}", min.as_nanos(), bits(*shape)),
        // The delays themselves, so that it does not matter where they were read.
        LatencySpec::Regions { table, shares, jitter } => {
            let mut line = format!("latency regions {} {}", shares.len(), jitter_text(jitter));
            for share in shares {
                let _ = write!(line, " {}", bits(*share));
            }
            for delay in table.delays() {
                let _ = write!(line, " {}", delay.as_nanos());
            }
            line
        }
    });
    lines.push(format!("loss {}", bits(network.loss)));
    lines.push(format!("header {}", network.header));
    if let Some(Capacity { upload, download, queue }) = network.capacity {
        lines.push(format!("capacity up {} down {} queue {queue}", words(upload), words(download)));
    }
    faults(&scenario.faults, &mut lines);
    lines.push(format!("heartbeat {} {}", scenario.heartbeat.interval.as_nanos(), scenario.heartbeat.size));
    if let Some(detection) = &scenario.detection {
        let patience = detection.patience.map_or("-".to_owned(), |patience| patience.as_nanos().to_string());
        lines.push(match detection.detector {
            Detector::Timeout { missed } => format!("detection timeout {missed} {patience}"),
            Detector::Phi { threshold } => format!("detection phi {} {patience}", bits(threshold)),
        });
    }
    lines.push(format!("timeline {}", scenario.timeline.as_nanos()));
    let judged = scenario.detection.is_some();
    for point in &scenario.points {
        let counts = NodeType::ALL.map(|node_type| point.population.count(node_type).to_string()).join(" ");
        let (warmup, measure) = (point.warmup.as_nanos(), point.measure.as_nanos());
        let name = point.approach.name();
        let nearby = point.nearby.map_or(String::new(), |share| format!(" nearby {}", bits(share)));
        let options = options(&point.approach, judged);
        lines.push(format!("point {name} {options} nodes {counts} times {warmup} {measure}{nearby}"));
    }
    lines.join("\n")
}

/// One line a fault, none where there are none.
fn faults(faults: &FaultsSpec, lines: &mut Vec<String>) {
    for Churn { nodes, session, absence, graceful, steady } in &faults.schedule.churns {
        let spans = format!("session {} absence {}", distribution(session), distribution(absence));
        lines.push(format!("churn {} {spans} graceful {} steady {steady}", node_set(nodes), bits(*graceful)));
    }
    for Outage { nodes, from, from_over, until, until_over, graceful } in &faults.schedule.outages {
        let until = until.map_or("-".to_owned(), |until| until.as_nanos().to_string());
        let times = format!("{} {} {until} {}", from.as_nanos(), from_over.as_nanos(), until_over.as_nanos());
        lines.push(format!("outage {} times {times} graceful {graceful}", node_set(nodes)));
    }
    for (between, loss) in &faults.disturbances.losses {
        lines.push(format!("loss {} {}", links_between(between), bits(*loss)));
    }
    for (between, factor, extra) in &faults.disturbances.surges {
        lines.push(format!("surge {} {} {}", links_between(between), bits(*factor), extra.as_nanos()));
    }
    for (during, nodes) in &faults.disturbances.partitions {
        lines.push(format!("partition {} {} {}", during.start.as_nanos(), during.end.as_nanos(), node_set(nodes)));
    }
}

fn node_set(nodes: &NodeSet) -> String {
    let NodeSet { types, regions, share, number } = nodes;
    format!("{} {regions:x} {} {number}", words(types.map(u8::from)), bits(*share))
}

fn links_between(between: &Between) -> String {
    let Between { during, from, to, both_ways } = between;
    let (start, end) = (during.start.as_nanos(), during.end.as_nanos());
    format!("{start} {end} from {} to {} both {both_ways}", node_set(from), node_set(to))
}

/// The values of a trace enter by their own hash: they may be a million.
fn distribution(distribution: &Distribution) -> String {
    match distribution {
        Distribution::Constant(value) => format!("constant {}", bits(*value)),
        Distribution::Exponential { mean } => format!("exponential {}", bits(*mean)),
        Distribution::Weibull { shape, scale } => format!("weibull {} {}", bits(*shape), bits(*scale)),
        Distribution::Lognormal { median, sigma } => format!("lognormal {} {}", bits(*median), bits(*sigma)),
        Distribution::Pareto { shape, scale } => format!("pareto {} {}", bits(*shape), bits(*scale)),
        Distribution::Observed(observed) => {
            let mut hasher = blake3::Hasher::new();
            for value in observed.values() {
                hasher.update(&value.to_bits().to_le_bytes());
            }
            format!("observed {}", hasher.finalize().to_hex())
        }
    }
}

fn words<T: ToString>(values: [T; 4]) -> String {
    values.map(|value| value.to_string()).join(" ")
}

fn jitter_text(jitter: &Jitter) -> String {
    match jitter {
        Jitter::None => "none".to_owned(),
        Jitter::Uniform { share } => format!("uniform {}", bits(*share)),
        Jitter::Lognormal { median, sigma } => format!("lognormal {} {}", bits(*median), bits(*sigma)),
        Jitter::Pareto { excess } => format!("pareto {}", excess.as_nanos()),
    }
}

/// `judged` says whether the scenario has a detector.
fn options(approach: &Approach, judged: bool) -> String {
    match approach {
        Approach::FullMesh { event_nodes_max } => event_nodes_max.to_string(),
        Approach::Hierarchical(tier_links) => links(tier_links),
        Approach::Gossip { links: tier_links, fanout, seen, hops_max, track } => {
            // Who is tracked matters only where somebody judges.
            let track = if judged { format!(" track {}", bits(*track)) } else { String::new() };
            format!("{} {fanout} {seen} {hops_max}{track}", links(tier_links))
        }
        Approach::FlatGossip { fanout } => fanout.to_string(),
        Approach::Ping => "-".to_owned(),
        Approach::Sampled { trackers, rates, missed } => {
            let mut text = trackers.to_string();
            // Another detector takes the place of the timeout.
            if !judged {
                let _ = write!(text, " {missed}");
            }
            for rate in rates.as_slice() {
                let _ = write!(text, " {}", bits(*rate));
            }
            text
        }
        Approach::Mechanism(mechanism) => mechanism.spec().canonical(),
        Approach::Swim(SwimTiming { period, probe_timeout, indirect_probes, suspicion_mult }) => {
            let (period, timeout) = (period.as_nanos(), probe_timeout.as_nanos());
            format!("{period} {timeout} {indirect_probes} {suspicion_mult}")
        }
    }
}

fn links(links: &TierLinks) -> String {
    format!("{} {} {}", links.full_peers, links.super_parents, links.light_parents)
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}
