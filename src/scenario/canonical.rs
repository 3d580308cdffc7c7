//! The hash of a scenario: equal for files that run the same simulation, however they are written.

use std::fmt::Write;

use super::{Approach, LatencySpec, Scenario, TierLinks};
use crate::contract::NodeType;

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
    lines.push(format!("timeline {}", scenario.timeline.as_nanos()));
    for point in &scenario.points {
        let counts = NodeType::ALL.map(|node_type| point.population.count(node_type).to_string()).join(" ");
        let (warmup, measure) = (point.warmup.as_nanos(), point.measure.as_nanos());
        let name = point.approach.name();
        let nearby = point.nearby.map_or(String::new(), |share| format!(" nearby {}", bits(share)));
        lines
            .push(format!("point {name} {} nodes {counts} times {warmup} {measure}{nearby}", options(&point.approach)));
    }
    lines.join("\n")
}

fn options(approach: &Approach) -> String {
    match approach {
        Approach::FullMesh { event_nodes_max } => event_nodes_max.to_string(),
        Approach::Hierarchical(tier_links) => links(tier_links),
        Approach::Gossip { links: tier_links, fanout, seen, hops_max } => {
            format!("{} {fanout} {seen} {hops_max}", links(tier_links))
        }
        Approach::FlatGossip { fanout } => fanout.to_string(),
        Approach::Ping => "-".to_owned(),
    }
}

fn links(links: &TierLinks) -> String {
    format!("{} {} {}", links.full_peers, links.super_parents, links.light_parents)
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}
