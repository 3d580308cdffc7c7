//! How each claim about networks is decided.

use super::evidence::{BySize, Evidence, Missing, named};
use super::fit::Law;
use super::verdict::{Means, Part, Rule};
use super::{Definition, bandwidth_budget, claim, monthly_data};
use crate::contract::NodeType;
use crate::metrics::{Flow, PointResult};

type Parts = Result<Vec<Part>, Missing>;

/// What is not exact in a run of finite length: heartbeats that fall just inside of the span or just outside.
const ROUNDING: f64 = 0.05;

/// Every claim about networks, in the order of the documents.
pub const DEFINITIONS: &[Definition] = &[
    Definition {
        id: "QN-01",
        runs: &["load"],
        parts: ping_rate,
        because: "a ping per node and interval, and nothing else",
    },
    Definition {
        id: "QN-02",
        runs: &["load"],
        parts: ping_bandwidth,
        because: "the document counts the 100 bytes of a ping; IP and UDP headers add 28",
    },
    Definition {
        id: "QN-03",
        runs: &["samples", "load"],
        parts: tracking_state,
        because: "no number is claimed; state of liveness over all nodes, with all tracking all and with trackers of a sample",
    },
    Definition { id: "QN-04", runs: &["load"], parts: mesh_growth, because: "every node sends to every other" },
    Definition {
        id: "QN-05",
        runs: &["load"],
        parts: mesh_messages,
        because: "n (n - 1) messages an interval, counted; equal to delivered ones at sizes that can be delivered",
    },
    Definition { id: "QN-06", runs: &["votes"], parts: vote_growth, because: "a proposal to each and a vote of each" },
    Definition {
        id: "QN-07",
        runs: &["tiers"],
        parts: tiers_run,
        because: "every message of these tiers was an event",
    },
    Definition {
        id: "QN-08",
        runs: &["load"],
        parts: hierarchy_growth,
        because: "total messages stay O(n): everybody still reports. What a node sends does not grow with n, and what a super \
                  node bears grows with the tiers below it",
    },
    Definition {
        id: "QN-09",
        runs: &["rumours"],
        parts: rumour_hops,
        because: "with eight targets a hop, a rumour needs log8 n hops to reach everybody, and a few for the last ones; \
                  log2 n is more than enough",
    },
    Definition {
        id: "QN-10",
        runs: &["rumours", "load"],
        parts: gossip_growth,
        because: "a rumour costs fanout messages a node, O(n). But where every node's heartbeat is a rumour, an interval \
                  costs O(n^2) among those who spread them",
    },
    Definition {
        id: "QN-11",
        runs: &["samples"],
        parts: sample_share,
        because: "a hash below a threshold decides, so the share is binomial around the rate",
    },
    Definition {
        id: "QN-12",
        runs: &["load"],
        parts: intervals,
        because: "heartbeats of a node, counted by type and divided by the links on which each is sent",
    },
    Definition {
        id: "QN-13",
        runs: &["lookups"],
        parts: lookup_growth,
        because: "each hop brings the lookup some bits nearer; with k = 20 there are fewer hops than log2 n, by far",
    },
    Definition { id: "QN-14", runs: &["load"], parts: super_rate, because: "no number is claimed" },
    Definition { id: "QN-15", runs: &["load"], parts: full_rate, because: "no number is claimed" },
    Definition { id: "QN-16", runs: &["load", "children"], parts: light_rate, because: "no number is claimed" },
    Definition { id: "QN-17", runs: &["phones"], parts: wakes, because: "no number is claimed" },
    load("QN-20", full_mesh_1k),
    load("QN-21", full_mesh_100k),
    load("QN-22", full_mesh_1m),
    load("QN-23", full_mesh_10m),
    load("QN-24", hierarchical_1k),
    load("QN-25", hierarchical_100k),
    load("QN-26", hierarchical_1m),
    load("QN-27", hierarchical_10m),
    load("QN-28", gossip_1k),
    load("QN-29", gossip_100k),
    load("QN-30", gossip_1m),
    load("QN-31", gossip_10m),
    together("QN-40", budget_super),
    together("QN-41", budget_full),
    together("QN-42", budget_light),
    together("QN-43", budget_mobile),
    together("QN-44", month_super),
    together("QN-45", month_full),
    together("QN-46", month_light),
    together("QN-47", month_mobile),
    Definition {
        id: "QN-50",
        runs: &["load"],
        parts: nodes_supported,
        because: "the largest network that ran event by event",
    },
    Definition {
        id: "QN-51",
        runs: &["load"],
        parts: bandwidth_growth,
        because: "all nodes together cannot send less than O(n), because each says that it lives; per node it is O(1)",
    },
    Definition {
        id: "QN-52",
        runs: &["phones"],
        parts: battery,
        because: "ten times is right of the radio alone; a phone does more than talk",
    },
    Definition {
        id: "QN-53",
        runs: &["together"],
        parts: consensus_latency,
        because: "consensus is among super nodes; millions below hear of it down the tiers, a hop of latency each",
    },
    Definition { id: "QN-54", runs: &["shards"], parts: shard_balance, because: "no number is claimed" },
    Definition {
        id: "QN-55",
        runs: &["load"],
        parts: break_even,
        because: "the size at which what a node sends exceeds its budget, by a search over sizes",
    },
    Definition {
        id: "QN-56",
        runs: &["places"],
        parts: clustering,
        because: "links to near nodes have less far to go",
    },
];

/// A cell of the documents' table of network load.
const fn load(id: &'static str, parts: fn(&Evidence) -> Parts) -> Definition {
    let because = "the document mixes messages per second and per interval; implied is its own number a second, at an \
                   interval of 30 s";
    Definition { id, runs: &["load"], parts, because }
}

/// A row of the documents' table of bandwidth.
const fn together(id: &'static str, parts: fn(&Evidence) -> Parts) -> Definition {
    Definition { id, runs: &["together"], parts, because: "all mechanisms at once, mean over the nodes of the type" }
}

fn documented(id: &str) -> Option<f64> {
    claim(id)?.number()
}

fn rate(point: &PointResult) -> Option<f64> {
    Some(point.messages_per_second())
}

fn ping_rate(evidence: &Evidence) -> Parts {
    let rate = evidence.at("load", "ping", 1_000_000, &rate)?;
    Ok(vec![rate.part("", "msg/s", documented("QN-01"), Rule::Near(ROUNDING))])
}

fn ping_bandwidth(evidence: &Evidence) -> Parts {
    let sent = |bytes: fn(&PointResult) -> u64| {
        move |point: &PointResult| Some(bytes(point) as f64 / 1e6 / point.measure.as_secs_f64())
    };
    let payload = sent(|point| point.measured.total(Flow::Sent).bytes);
    let wire = sent(|point| point.measured.total(Flow::Sent).wire_bytes(point.header));
    let at = |quantity| evidence.at("load", "ping", 1_000_000, quantity);
    Ok(vec![
        at(&payload)?.part("payload", "MB/s", documented("QN-02"), Rule::Near(ROUNDING)),
        at(&wire)?.part("with headers", "MB/s", None, Rule::Shown),
    ])
}

fn tracking_state(evidence: &Evidence) -> Parts {
    let state = |point: &PointResult| Some(point.state_bytes_per_node());
    let sampled = evidence.largest("samples", "sampled", &state)?;
    Ok(vec![sampled.part("sampled, a node on average", "B", None, Rule::Shown)])
}

fn mesh_growth(evidence: &Evidence) -> Parts {
    let per_interval = |point: &PointResult| Some(point.messages_per_interval());
    let rule = Rule::Exponent(ROUNDING);
    Ok(vec![evidence.growth("load", "full-mesh", "messages an interval", &per_interval, documented("QN-04"), rule)?])
}

fn mesh_messages(evidence: &Evidence) -> Parts {
    let per_interval = |point: &PointResult| Some(point.messages_per_interval());
    let messages = evidence.at("load", "full-mesh", 1_000_000, &per_interval)?;
    let part = messages.part("", "msg/interval", documented("QN-05"), Rule::Near(ROUNDING));
    Ok(vec![Part { implied: Some(1e6 * (1e6 - 1.0)), ..part }])
}

fn vote_growth(evidence: &Evidence) -> Parts {
    let messages = named("consensus.super.messages-per-round");
    let rule = Rule::Exponent(ROUNDING);
    let linear =
        evidence.growth("votes", "consensus linear", "votes to the leader", &messages, documented("QN-06"), rule)?;
    let pbft = evidence.growth("votes", "consensus pbft", "PBFT", &messages, None, Rule::Shown)?;
    Ok(vec![linear, pbft])
}

fn tiers_run(evidence: &Evidence) -> Parts {
    let nodes = evidence.largest("tiers", "hierarchical", &|point| Some(f64::from(point.nodes())))?;
    Ok(vec![nodes.part("", "nodes", documented("QN-07"), Rule::AtLeast)])
}

/// Wire bytes a second that the busiest node of any type sends.
fn busiest(point: &PointResult) -> Option<f64> {
    let most = point.bandwidth_by_type().map(|(_, band)| band.upload.max.max(band.download.max)).max()?;
    Some(most as f64 / point.measure.as_secs_f64())
}

fn hierarchy_growth(evidence: &Evidence) -> Parts {
    let per_node = |point: &PointResult| Some(point.messages_per_node_per_second());
    let slow = Rule::NoFasterThan(Law::Logarithmic);
    Ok(vec![
        evidence.growth("load", "hierarchical", "messages of all nodes", &rate, None, slow)?,
        evidence.growth("load", "hierarchical", "messages of a node", &per_node, None, slow)?,
        evidence.growth("load", "hierarchical", "bytes at the busiest node", &busiest, None, slow)?,
    ])
}

fn rumour_hops(evidence: &Evidence) -> Parts {
    let share = |percent: &'static str, name: &'static str| {
        let hops = evidence.at("rumours", "dissemination push", 1_000_000, &named(name))?;
        Ok(hops.part(percent, "hops", documented("QN-09"), Rule::AtMost))
    };
    let missed = evidence.largest("rumours", "dissemination push", &named("coverage.all.never-reached"))?;
    Ok(vec![
        share("50 %", "coverage.all.coverage-50-hops")?,
        share("99 %", "coverage.all.coverage-99-hops")?,
        share("99.9 %", "coverage.all.coverage-99.9-hops")?,
        share("100 %", "coverage.all.coverage-100-hops")?,
        missed.part("never reached", "share", None, Rule::Shown),
    ])
}

fn gossip_growth(evidence: &Evidence) -> Parts {
    let per_rumour =
        |point: &PointResult| Some(named("cost-of-a-delivery.message.messages")(point)? * f64::from(point.nodes()));
    let slow = Rule::NoFasterThan(Law::Linearithmic);
    Ok(vec![
        evidence.growth("rumours", "dissemination push", "messages of a rumour", &per_rumour, None, slow)?,
        evidence.growth("load", "gossip", "messages of an interval of heartbeats", &rate, None, slow)?,
    ])
}

fn sample_share(evidence: &Evidence) -> Parts {
    // Of what is up and in the sample, trackers miss some who have just come back.
    let tracked = |point: &PointResult| {
        let rows = &point.population_over_time.as_ref()?.rows;
        let row = rows.iter().rev().find(|row| row.sample.is_some_and(|sample| sample.rate == 0.001))?;
        Some(row.sample?.alive / row.total())
    };
    let error = |point: &PointResult| {
        let rows = &point.population_over_time.as_ref()?.rows;
        let row = rows.iter().rev().find(|row| row.sample.is_some_and(|sample| sample.rate == 0.001))?;
        Some(row.sample?.standard_error / row.total())
    };
    Ok(vec![
        evidence.largest("samples", "sampled", &tracked)?.part(
            "tracked among the live",
            "share",
            documented("QN-11"),
            Rule::Near(0.5),
        ),
        evidence.largest("samples", "sampled", &error)?.part("standard error", "share", None, Rule::Shown),
    ])
}

/// Seconds between two heartbeats of a node of `node_type` on one of its links.
fn interval_of(node_type: NodeType) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let nodes = f64::from(point.population.count(node_type));
        let sent = point.measured.get(Flow::Sent, 0, node_type).messages as f64;
        let links = match node_type {
            NodeType::SuperNode => nodes - 1.0,
            NodeType::FullNode => return None,
            NodeType::LightNode | NodeType::MobileNode => 4.0,
        };
        (sent > 0.0).then(|| point.measure.as_secs_f64() * nodes * links / sent)
    }
}

fn intervals(evidence: &Evidence) -> Parts {
    let written = claim("QN-12").and_then(|claim| claim.figure.as_deref()).unwrap_or("");
    let spans: Vec<Option<f64>> = written.split(';').map(|span| span.parse().ok()).collect();
    let mut parts = Vec::new();
    for (node_type, documented) in NodeType::ALL.into_iter().zip(spans) {
        let Ok(interval) = evidence.largest("load", "hierarchical", &interval_of(node_type)) else { continue };
        parts.push(interval.part(node_type.name(), "s", documented, Rule::Near(ROUNDING)));
    }
    Ok(parts)
}

fn lookup_growth(evidence: &Evidence) -> Parts {
    let (hops, requests) = (named("lookups.node.hops-mean"), named("lookups.node.requests-mean"));
    let found = named("lookups.node.found");
    let slow = Rule::NoFasterThan(Law::Logarithmic);
    Ok(vec![
        evidence.growth("lookups", "kademlia", "hops", &hops, None, slow)?,
        evidence.growth("lookups", "kademlia", "requests", &requests, None, slow)?,
        evidence.largest("lookups", "kademlia", &hops)?.part("hops at the largest size", "1", None, Rule::Shown),
        evidence.largest("lookups", "kademlia", &found)?.part("lookups that found", "share", None, Rule::Shown),
    ])
}

/// Messages a second that the nodes of one type send.
fn rate_of(node_type: NodeType) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let kinds = 0..point.measured.kinds();
        let sent: u64 = kinds.map(|kind| point.measured.get(Flow::Sent, kind, node_type).messages).sum();
        Some(sent as f64 / point.measure.as_secs_f64())
    }
}

fn super_rate(evidence: &Evidence) -> Parts {
    let rate = evidence.largest("load", "hierarchical", &rate_of(NodeType::SuperNode))?;
    Ok(vec![rate.part("all super nodes", "msg/s", None, Rule::Shown)])
}

fn full_rate(evidence: &Evidence) -> Parts {
    let by_links = evidence.largest("load", "hierarchical", &rate_of(NodeType::FullNode))?;
    let by_gossip = evidence.largest("load", "gossip", &rate_of(NodeType::FullNode))?;
    Ok(vec![
        by_links.part("all full nodes, along links", "msg/s", None, Rule::Shown),
        by_gossip.part("all full nodes, by gossip", "msg/s", None, Rule::Shown),
    ])
}

fn light_rate(evidence: &Evidence) -> Parts {
    let rate = evidence.largest("load", "hierarchical", &rate_of(NodeType::LightNode))?;
    let mut parts = vec![rate.part("all light nodes", "msg/s", None, Rule::Shown)];
    for (name, figure) in [
        ("children of a full node, mean", "children.full.children-mean"),
        ("99 %", "children.full.children-p99"),
        ("most", "children.full.children-max"),
    ] {
        parts.push(evidence.largest("children", "routing", &named(figure))?.part(name, "1", None, Rule::Shown));
    }
    Ok(parts)
}

fn wakes(evidence: &Evidence) -> Parts {
    let policies = ["mobile ping", "mobile adaptive", "mobile piggyback", "mobile push"];
    let wakes = |policy: &&str| {
        let wakes = evidence.largest("phones", policy, &named("battery.mobile.wakes-a-day"))?;
        Ok(wakes.part(policy.trim_start_matches("mobile "), "1/day", None, Rule::Shown))
    };
    policies.iter().map(wakes).collect()
}

/// A cell of the table of network load. Implied is what it says an interval, a second.
fn cell(evidence: &Evidence, id: &str, approach: &str, nodes: u32) -> Parts {
    const INTERVAL: f64 = 30.0;
    let documented = documented(id);
    let part = evidence.at("load", approach, nodes, &rate)?.part("", "msg/s", documented, Rule::Near(0.25));
    Ok(vec![Part { implied: documented.map(|rate| rate / INTERVAL), ..part }])
}

macro_rules! cells {
    ($($name:ident: $id:literal, $approach:literal, $nodes:literal;)*) => {
        $(fn $name(evidence: &Evidence) -> Parts {
            cell(evidence, $id, $approach, $nodes)
        })*
    };
}

cells! {
    full_mesh_1k: "QN-20", "full-mesh", 1_000;
    full_mesh_100k: "QN-21", "full-mesh", 100_000;
    full_mesh_1m: "QN-22", "full-mesh", 1_000_000;
    full_mesh_10m: "QN-23", "full-mesh", 10_000_000;
    hierarchical_1k: "QN-24", "hierarchical", 1_000;
    hierarchical_100k: "QN-25", "hierarchical", 100_000;
    hierarchical_1m: "QN-26", "hierarchical", 1_000_000;
    hierarchical_10m: "QN-27", "hierarchical", 10_000_000;
    gossip_1k: "QN-28", "gossip", 1_000;
    gossip_100k: "QN-29", "gossip", 100_000;
    gossip_1m: "QN-30", "gossip", 1_000_000;
    gossip_10m: "QN-31", "gossip", 10_000_000;
}

fn mbps(node_type: NodeType, is_upload: bool, is_max: bool) -> impl Fn(&PointResult) -> Option<f64> {
    move |point| {
        let band = point.bandwidth[node_type as usize]?;
        let spread = if is_upload { band.upload } else { band.download };
        let bytes = if is_max { spread.max as f64 } else { spread.mean };
        Some(bytes * 8.0 / 1e6 / point.measure.as_secs_f64())
    }
}

fn budget(evidence: &Evidence, node_type: NodeType) -> Parts {
    let budget = bandwidth_budget(node_type);
    let mut parts = Vec::new();
    for (name, is_upload, granted) in [("upload", true, budget.upload_mbps), ("download", false, budget.download_mbps)]
    {
        for (statistic, is_max) in [("mean", false), ("most", true)] {
            let measured = evidence.largest("together", "recommended", &mbps(node_type, is_upload, is_max))?;
            parts.push(measured.part(&format!("{name}, {statistic}"), "Mbps", Some(granted), Rule::AtMost));
        }
    }
    Ok(parts)
}

fn month(evidence: &Evidence, node_type: NodeType) -> Parts {
    const MONTH_S: f64 = 30.0 * 86_400.0;
    let (granted, budget) = (monthly_data(node_type), bandwidth_budget(node_type));
    let moved = |point: &PointResult| {
        let band = point.bandwidth[node_type as usize]?;
        Some((band.upload.mean + band.download.mean) * MONTH_S / point.measure.as_secs_f64() / 1e9)
    };
    let part = evidence.largest("together", "recommended", &moved)?;
    let part = part.part("upload and download", "GB", Some(granted.gigabytes), Rule::AtMost);
    // The documented upload, used in full for a month.
    Ok(vec![Part { implied: Some(budget.upload_mbps / 8.0 * MONTH_S / 1e3), ..part }])
}

macro_rules! by_type {
    ($($name:ident: $of:ident, $node_type:ident;)*) => {
        $(fn $name(evidence: &Evidence) -> Parts {
            $of(evidence, NodeType::$node_type)
        })*
    };
}

by_type! {
    budget_super: budget, SuperNode;
    budget_full: budget, FullNode;
    budget_light: budget, LightNode;
    budget_mobile: budget, MobileNode;
    month_super: month, SuperNode;
    month_full: month, FullNode;
    month_light: month, LightNode;
    month_mobile: month, MobileNode;
}

fn nodes_supported(evidence: &Evidence) -> Parts {
    let nodes = evidence.largest("load", "hierarchical", &|point| Some(f64::from(point.nodes())))?;
    Ok(vec![nodes.part("", "nodes", documented("QN-50"), Rule::AtLeast)])
}

fn bandwidth_growth(evidence: &Evidence) -> Parts {
    let per_node = |point: &PointResult| Some(point.wire_bytes_per_node_per_second());
    let total = |point: &PointResult| Some(point.wire_bytes_per_node_per_second() * f64::from(point.nodes()));
    let slow = Rule::NoFasterThan(Law::Logarithmic);
    Ok(vec![
        evidence.growth("load", "hierarchical", "bytes of all nodes", &total, None, slow)?,
        evidence.growth("load", "hierarchical", "bytes of a node", &per_node, None, slow)?,
        evidence.growth("load", "hierarchical", "bytes at the busiest node", &busiest, None, slow)?,
        evidence.growth("load", "full-mesh", "full mesh, all nodes", &total, Some(2.0), Rule::Exponent(ROUNDING))?,
    ])
}

fn battery(evidence: &Evidence) -> Parts {
    let mut parts = Vec::new();
    for policy in ["mobile adaptive", "mobile piggyback", "mobile push"] {
        for (what, figure) in
            [("radio", "battery.mobile.life-of-radio-by-pinging"), ("phone", "battery.mobile.life-of-phone-by-pinging")]
        {
            let name = format!("{}, {what}", policy.trim_start_matches("mobile "));
            let life = evidence.largest("phones", policy, &named(figure))?;
            // What is claimed is an improvement, so more of it is no fault.
            parts.push(life.part(
                &name,
                "times",
                documented("QN-52").map(|ratio| ratio * (1.0 - ROUNDING)),
                Rule::AtLeast,
            ));
        }
    }
    Ok(parts)
}

fn consensus_latency(evidence: &Evidence) -> Parts {
    let figures = [
        ("committed, 99 %", "consensus.super.commit-p99"),
        ("at full nodes, 99 %", "blocks-held.full.since-proposal-p99"),
        ("at light nodes, 99 %", "blocks-held.light.since-proposal-p99"),
        ("at mobile nodes, 99 %", "blocks-held.mobile.since-proposal-p99"),
    ];
    let part = |(name, figure): &(&str, &str)| {
        let latency = evidence.largest("together", "recommended", &named(figure))?;
        Ok(latency.part(name, "s", documented("QN-53"), Rule::AtMost))
    };
    figures.iter().map(part).collect()
}

fn shard_balance(evidence: &Evidence) -> Parts {
    let placements = ["sharding fixed-shards", "sharding consistent-hashing"];
    let part = |label: &&str| {
        let imbalance = evidence.largest("shards", label, &named("storage.full.imbalance"))?;
        Ok(imbalance.part(label.trim_start_matches("sharding "), "max/mean", None, Rule::Shown))
    };
    placements.iter().map(part).collect()
}

/// The least size at which the busiest node of `node_type` sends or gets more than its budget, by bisection over the fitted
/// growth between the measured sizes and beyond them.
fn break_even_of(evidence: &Evidence, approach: &str, node_type: NodeType) -> Result<Option<BySize>, Missing> {
    let budget = bandwidth_budget(node_type);
    let share = |point: &PointResult| {
        let band = point.bandwidth[node_type as usize]?;
        let mbps = |bytes: u64| bytes as f64 * 8.0 / 1e6 / point.measure.as_secs_f64();
        Some((mbps(band.upload.max) / budget.upload_mbps).max(mbps(band.download.max) / budget.download_mbps))
    };
    let exceeds = |nodes: u32| -> Result<bool, Missing> {
        let at = evidence.at("load", approach, nodes, &share)?;
        Ok(at.values.iter().sum::<f64>() / at.values.len() as f64 > 1.0)
    };
    let (mut low, mut high) = (1_000, 4_000_000_000u32);
    if !exceeds(high)? {
        return Ok(None);
    }
    if exceeds(low)? {
        high = low;
    }
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        *(if exceeds(middle)? { &mut high } else { &mut low }) = middle;
    }
    Ok(Some(BySize { nodes: high, values: vec![f64::from(high)], means: Means::Projected }))
}

fn break_even(evidence: &Evidence) -> Parts {
    let mut parts = Vec::new();
    let cases = [
        ("full-mesh", NodeType::FullNode),
        ("gossip", NodeType::SuperNode),
        ("gossip", NodeType::FullNode),
        ("hierarchical", NodeType::SuperNode),
        ("hierarchical", NodeType::FullNode),
        ("hierarchical", NodeType::LightNode),
    ];
    for (approach, node_type) in cases {
        let Some(size) = break_even_of(evidence, approach, node_type)? else { continue };
        // The claim is about networks without a hierarchy.
        let (documented, rule) = match approach {
            "full-mesh" => (documented("QN-55"), Rule::Near(0.5)),
            _ => (None, Rule::Shown),
        };
        parts.push(size.part(&format!("{approach}, {node_type} nodes"), "nodes", documented, rule));
    }
    Ok(parts)
}

fn clustering(evidence: &Evidence) -> Parts {
    let mut parts = Vec::new();
    for (statistic, figure) in [("median", "delay.p50"), ("99 %", "delay.p99")] {
        let anywhere = evidence.largest("places", "hierarchical nearby 0", &named(figure))?;
        let near = evidence.largest("places", "hierarchical nearby 0.8", &named(figure))?;
        let ratios = near.values.iter().zip(&anywhere.values).map(|(near, anywhere)| near / anywhere).collect();
        // Anything below one is a reduction.
        parts.push(Part::new(
            &format!("{statistic}, near by random"),
            "ratio",
            Some(1.0),
            ratios,
            near.means,
            Rule::AtMost,
        ));
    }
    Ok(parts)
}
