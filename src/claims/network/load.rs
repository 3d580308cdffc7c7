//! Claims about what it takes to keep a network alive: rates of messages, and how they grow.

use super::{
    EXPONENT, ONE_DIGIT, Parts, ROUNDING, Rule, SLOW, busiest, bytes, bytes_per_node, documented, missing,
    per_interval, per_node, rate,
};
use crate::claims::evidence::{BySize, Evidence, named};
use crate::claims::fit::Law;
use crate::claims::verdict::{Means, Part};
use crate::claims::{bandwidth_budget, claim};
use crate::contract::NodeType;
use crate::metrics::{Flow, PointResult};

/// The heartbeat interval of super nodes and of flat approaches, in seconds.
const INTERVAL_S: f64 = 30.0;
/// Links of a full node: to full and to super nodes.
const FULL_LINKS: f64 = 32.0 + 2.0;
/// Parents of a light node.
const PARENTS: f64 = 4.0;

pub(super) fn ping_rate(evidence: &Evidence, id: &'static str) -> Parts {
    let rate = evidence.at("load", "ping", 1_000_000, &rate)?;
    Ok(vec![rate.part("", "msg/s", documented(id), Rule::Near(ROUNDING))])
}

pub(super) fn ping_bandwidth(evidence: &Evidence, id: &'static str) -> Parts {
    let payload =
        |point: &PointResult| Some(point.measured.total(Flow::Sent).bytes as f64 / 1e6 / point.measure.as_secs_f64());
    let wire = |point: &PointResult| Some(bytes(point)? / 1e6);
    Ok(vec![
        evidence.at("load", "ping", 1_000_000, &payload)?.part("payload", "MB/s", documented(id), Rule::Near(ROUNDING)),
        evidence.at("load", "ping", 1_000_000, &wire)?.part("with headers", "MB/s", None, Rule::Shown),
    ])
}

/// A quantity of a point.
type Taken = fn(&PointResult) -> Option<f64>;

/// The five quantities whose growth is told of every approach, of which the rules decide.
fn growths(evidence: &Evidence, run: &'static str, approach: &str, rules: [(Rule, Option<f64>); 5]) -> Parts {
    let quantities: [(&str, Taken); 5] = [
        ("messages of all nodes", per_interval),
        ("messages of a node", per_node),
        ("bytes of all nodes", bytes),
        ("bytes of a node", bytes_per_node),
        ("bytes at the busiest node", busiest),
    ];
    let part = |((name, quantity), (rule, documented)): ((&str, Taken), _)| {
        evidence.growth(run, approach, name, &quantity, documented, rule)
    };
    quantities.into_iter().zip(rules).map(part).collect()
}

pub(super) fn mesh_growth(evidence: &Evidence, id: &'static str) -> Parts {
    let shown = (Rule::Shown, None);
    growths(evidence, "load", "full-mesh", [(Rule::Exponent(EXPONENT), documented(id)), shown, shown, shown, shown])
}

pub(super) fn mesh_messages(evidence: &Evidence, id: &'static str) -> Parts {
    let messages = evidence.at("load", "full-mesh", 1_000_000, &per_interval)?;
    let part = messages.part("", "msg/interval", documented(id), Rule::Near(ROUNDING));
    Ok(vec![Part { implied: Some(1e6 * (1e6 - 1.0)), ..part }])
}

pub(super) fn tiers_run(evidence: &Evidence, id: &'static str) -> Parts {
    let nodes = evidence.largest("tiers", "hierarchical", &|point| Some(f64::from(point.nodes())))?;
    let rate = evidence.largest("tiers", "hierarchical", &rate)?;
    Ok(vec![
        nodes.part("nodes that ran", "nodes", documented(id), Rule::Reached),
        rate.part("messages", "msg/s", None, Rule::Shown),
    ])
}

pub(super) fn hierarchy_growth(evidence: &Evidence, _: &'static str) -> Parts {
    growths(evidence, "load", "hierarchical", [(SLOW, None); 5])
}

pub(super) fn gossip_growth(evidence: &Evidence, _: &'static str) -> Parts {
    let per_rumour =
        |point: &PointResult| Some(named("cost-of-a-delivery.message.messages")(point)? * f64::from(point.nodes()));
    let slow = Rule::NoFasterThan(Law::Linearithmic);
    let rumour = evidence.growth("rumours", "dissemination", "messages of a rumour", &per_rumour, None, slow)?;
    let shown = (Rule::Shown, None);
    let mut parts = growths(evidence, "shares", "gossip", [(slow, None), shown, shown, shown, shown])?;
    for part in &mut parts {
        part.name = format!("heartbeats by gossip, {}", part.name);
    }
    parts.insert(0, rumour);
    Ok(parts)
}

/// Seconds between two heartbeats of a node of `node_type` on one of its `links`.
fn interval_of(node_type: NodeType) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let nodes = f64::from(point.population.count(node_type));
        let heartbeat = point.kinds.iter().position(|kind| *kind == "heartbeat")?;
        let sent = point.measured.get(Flow::Sent, heartbeat, node_type).messages as f64;
        let links = match node_type {
            NodeType::SuperNode => nodes - 1.0,
            // Super parents of full nodes get digests instead.
            NodeType::FullNode => FULL_LINKS - 2.0,
            NodeType::LightNode | NodeType::MobileNode => PARENTS,
        };
        (sent > 0.0).then(|| point.measure.as_secs_f64() * nodes * links / sent)
    }
}

pub(super) fn intervals(evidence: &Evidence, id: &'static str) -> Parts {
    let written = claim(id).and_then(|claim| claim.figure.as_deref()).unwrap_or("");
    let spans: Vec<Option<f64>> = written.split(';').map(|span| span.parse().ok()).collect();
    let part = |(node_type, documented): (NodeType, Option<f64>)| {
        let interval = evidence.largest("types", "hierarchical", &interval_of(node_type))?;
        Ok(interval.part(node_type.name(), "s", documented, Rule::Near(ROUNDING)))
    };
    NodeType::ALL.into_iter().zip(spans).map(part).collect()
}

/// Messages a second that the nodes of one type send.
fn rate_of(node_type: NodeType) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let kinds = 0..point.measured.kinds();
        let sent: u64 = kinds.map(|kind| point.measured.get(Flow::Sent, kind, node_type).messages).sum();
        Some(sent as f64 / point.measure.as_secs_f64())
    }
}

/// Mbit/s of the busiest node of one type, sent or received, whichever is more.
fn busiest_of(node_type: NodeType) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let band = point.bandwidth[node_type as usize]?;
        Some(band.upload.max.max(band.download.max) as f64 * 8.0 / 1e6 / point.measure.as_secs_f64())
    }
}

pub(super) fn super_rate(evidence: &Evidence, _: &'static str) -> Parts {
    let budget = bandwidth_budget(NodeType::SuperNode).upload_mbps;
    let mut parts = Vec::new();
    for (run, supers) in [("supers-100", 100.0), ("supers-1000", 1_000.0)] {
        let rate = evidence.largest(run, "hierarchical", &rate_of(NodeType::SuperNode))?;
        let part = rate.part(&format!("all {supers} super nodes"), "msg/s", None, Rule::Near(ROUNDING));
        parts.push(Part { implied: Some(supers * (supers - 1.0) / INTERVAL_S), ..part });
        let busiest = evidence.largest(run, "hierarchical", &busiest_of(NodeType::SuperNode))?;
        parts.push(busiest.part(&format!("busiest of {supers}"), "Mbps", None, Rule::NoMoreThan(budget)));
    }
    Ok(parts)
}

pub(super) fn full_rate(evidence: &Evidence, _: &'static str) -> Parts {
    let budget = bandwidth_budget(NodeType::FullNode).upload_mbps;
    let busy = busiest_of(NodeType::FullNode);
    let mut parts = Vec::new();
    for (run, fulls, name) in [("fulls-10k", 10_000.0, "10K"), ("fulls-100k", 100_000.0, "100K")] {
        let rate = evidence.largest(run, "hierarchical", &rate_of(NodeType::FullNode))?;
        let part = rate.part(&format!("{name} full nodes, along links"), "msg/s", None, Rule::Near(ROUNDING));
        parts.push(Part { implied: Some(fulls * FULL_LINKS / (2.0 * INTERVAL_S)), ..part });
        let busiest = evidence.largest(run, "hierarchical", &busy)?;
        parts.push(busiest.part(&format!("busiest of {name}, along links"), "Mbps", None, Rule::NoMoreThan(budget)));
    }
    // How far the fullest node's links are from the mean, which its heartbeats show.
    let spread = |point: &PointResult| {
        let download = point.bandwidth[NodeType::FullNode as usize]?.download;
        Some(download.max as f64 / download.mean)
    };
    let degree = evidence.largest("fulls-10k", "hierarchical", &spread)?;
    parts.push(degree.part("most received by mean of 10K", "ratio", None, Rule::Shown));
    let gossip = evidence.largest("fulls-10k", "gossip", &rate_of(NodeType::FullNode))?;
    parts.push(gossip.part("10K full nodes, by gossip", "msg/s", None, Rule::Shown));
    let gossip = evidence.largest("fulls-10k", "gossip", &busy)?;
    parts.push(gossip.part("busiest of 10K, by gossip", "Mbps", None, Rule::NoMoreThan(budget)));
    // One node in a hundred is a full node, so there are 100K of them among ten million.
    let gossip = evidence.at("shares", "gossip", 10_000_000, &busy)?;
    parts.push(gossip.part("busiest of 100K, by gossip", "Mbps", None, Rule::NoMoreThan(budget)));
    Ok(parts)
}

pub(super) fn light_rate(evidence: &Evidence, _: &'static str) -> Parts {
    let lights = |point: &PointResult| Some(f64::from(point.population.count(NodeType::LightNode)));
    let count = evidence.largest("tiers", "hierarchical", &lights)?;
    let count = count.values.first().copied().ok_or_else(|| missing("light node"))?;
    let rate = evidence.largest("tiers", "hierarchical", &rate_of(NodeType::LightNode))?;
    let part = rate.part("all light nodes", "msg/s", None, Rule::Near(ROUNDING));
    let mut parts = vec![Part { implied: Some(count * PARENTS / (10.0 * INTERVAL_S)), ..part }];
    for (name, figure) in [
        ("children of a full node, mean", "children.full.children-mean"),
        ("children of a full node, p99", "children.full.children-p99"),
        ("children of a full node, most", "children.full.children-max"),
    ] {
        parts.push(evidence.largest("together", "recommended", &named(figure))?.part(name, "1", None, Rule::Shown));
    }
    Ok(parts)
}

/// What the document's own links and intervals come to, in messages a second.
fn implied(approach: &str, nodes: f64) -> f64 {
    match approach {
        "full-mesh" => nodes * (nodes - 1.0) / INTERVAL_S,
        "gossip" => nodes * 8.0 / INTERVAL_S,
        _ => {
            let (supers, fulls) = ((nodes * 1e-4).clamp(10.0, 100.0), (nodes * 0.01).clamp(100.0, 10_000.0));
            let upper = supers * (supers - 1.0) / INTERVAL_S + fulls * FULL_LINKS / (2.0 * INTERVAL_S);
            upper + (nodes - supers - fulls) * PARENTS / (10.0 * INTERVAL_S)
        }
    }
}

/// The approach and the size of a cell of the table of network load, from QN-20 on: three rows of four.
fn cell_of(id: &str) -> (&'static str, u32) {
    let number = id.trim_start_matches("QN-").parse::<usize>().map_or(0, |number| number.saturating_sub(20));
    let approach = ["full-mesh", "hierarchical", "gossip"][(number / 4).min(2)];
    (approach, [1_000, 100_000, 1_000_000, 10_000_000][number % 4])
}

fn cell_part(rate: BySize, id: &str, approach: &str, nodes: u32) -> Vec<Part> {
    let part = rate.part("", "msg/s", documented(id), Rule::Near(ONE_DIGIT));
    vec![Part { implied: Some(implied(approach, f64::from(nodes))), ..part }]
}

/// A cell of the full mesh, which follows one law at all sizes.
pub(super) fn cell(evidence: &Evidence, id: &'static str) -> Parts {
    let (approach, nodes) = cell_of(id);
    Ok(cell_part(evidence.at("load", approach, nodes, &rate)?, id, approach, nodes))
}

/// A cell of an approach with tiers: as measured, or from the tiers that the documents draw, to which a larger network
/// adds light nodes only.
pub(super) fn tiers_cell(evidence: &Evidence, id: &'static str) -> Parts {
    let (approach, nodes) = cell_of(id);
    let sizes = evidence.by_size("load", approach, &rate)?;
    if let Some(size) = sizes.into_iter().find(|size| size.nodes == nodes) {
        return Ok(cell_part(size, id, approach, nodes));
    }
    let lights = |point: &PointResult| f64::from(point.population.count(NodeType::LightNode));
    let scaled = |point: &PointResult| {
        let more = f64::from(nodes) - f64::from(point.nodes());
        Some(rate(point)? + rate_of(NodeType::LightNode)(point)? * more / lights(point))
    };
    let mut size = evidence.largest("drawn", approach, &scaled)?;
    if size.nodes != nodes {
        size.means = Means::Projected;
    }
    Ok(cell_part(size, id, approach, nodes))
}

pub(super) fn nodes_supported(evidence: &Evidence, id: &'static str) -> Parts {
    let nodes = evidence.largest("load", "hierarchical", &|point| Some(f64::from(point.nodes())))?;
    Ok(vec![Part { means: Means::Event, ..nodes.part("", "nodes", documented(id), Rule::Reached) }])
}

pub(super) fn bandwidth_growth(evidence: &Evidence, _: &'static str) -> Parts {
    let shown = (Rule::Shown, None);
    let mut parts =
        growths(evidence, "load", "hierarchical", [shown, shown, (SLOW, None), (SLOW, None), (SLOW, None)])?;
    let rule = Rule::Exponent(EXPONENT);
    parts.push(evidence.growth("load", "full-mesh", "full mesh, bytes of all", &bytes, Some(2.0), rule)?);
    Ok(parts)
}
