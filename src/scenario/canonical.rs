//! The hash of a scenario: equal for files that run the same simulation, however they are written.

use std::fmt::Write;

use super::{Approach, LatencySpec, Scenario, TierLinks};
use crate::contract::NodeType;
use crate::protocols::detector::Detector;

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
        LatencySpec::Regions { table, shares, jitter } => {
            let mut line = format!("latency regions {} {}", table.name, bits(*jitter));
            for share in shares {
                let _ = write!(line, " {}", bits(*share));
            }
            line
        }
    });
    lines.push(format!("loss {}", bits(network.loss)));
    lines.push(format!("header {}", network.header));
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
        lines
            .push(format!("point {name} {} nodes {counts} times {warmup} {measure}", options(&point.approach, judged)));
    }
    lines.join("\n")
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
    }
}

fn links(links: &TierLinks) -> String {
    format!("{} {} {}", links.full_peers, links.super_parents, links.light_parents)
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}
