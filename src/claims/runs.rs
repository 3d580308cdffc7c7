//! The scenarios by which the claims about networks are decided. Each can be run alone.

use super::evidence::Run;

macro_rules! scenario {
    ($name:literal, $file:literal, quick: $quick:expr, full: $full:expr, seeds: $seeds:expr) => {
        Run {
            name: $name,
            file: concat!("scenarios/", $file),
            text: include_str!(concat!("../../scenarios/", $file)),
            overrides: [$quick, $full],
            seeds: $seeds,
        }
    };
}

/// Every run, in the order in which they are made.
pub const RUNS: &[Run] = &[
    scenario!("load", "network-load.toml",
        quick: &[
            "nodes=[1_000, 3_000, 10_000, 30_000, 100_000]",
            "approaches=[\"full-mesh\", \"hierarchical\", \"gossip\", \"ping\"]",
            "approach.gossip.measure=10s",
        ],
        full: &["nodes=[1_000, 10_000, 100_000, 1_000_000, 10_000_000]"],
        seeds: [3, 3]),
    scenario!("tiers", "tiers-1m.toml",
        quick: &["nodes=101_010", "tiers.super=10", "tiers.full=1_000", "tiers.light=100_000"],
        full: &[],
        seeds: [1, 1]),
    scenario!("votes", "consensus.toml",
        quick: &["nodes=[4, 7, 13, 25, 49, 97]"],
        full: &[],
        seeds: [3, 3]),
    scenario!("rumours", "dissemination.toml",
        quick: &[
            "nodes=[1_000, 3_000, 10_000, 30_000, 100_000]",
            "approach.dissemination.spread=[\"push\"]",
            "measure=15s",
        ],
        full: &["nodes=[1_000, 10_000, 100_000, 300_000, 1_000_000]", "approach.dissemination.spread=[\"push\"]"],
        seeds: [1, 3]),
    scenario!("samples", "churn.toml",
        quick: &["nodes=[10_000, 100_000]", "approaches=sampled", "warmup=2min", "measure=10min"],
        full: &["nodes=[10_000, 100_000, 1_000_000, 10_000_000]", "approaches=sampled", "measure=10min"],
        seeds: [1, 1]),
    scenario!("lookups", "kademlia.toml",
        quick: &["nodes=[300, 1_000, 3_000, 10_000, 30_000]", "approaches=kademlia", "approach.kademlia.k=20"],
        full: &["nodes=[1_000, 10_000, 100_000, 300_000, 1_000_000]", "approaches=kademlia", "approach.kademlia.k=20"],
        seeds: [1, 1]),
    scenario!("children", "routing.toml",
        quick: &["nodes=10_000", "approach.routing.rebalancing=false", "approach.routing.parents=4"],
        full: &["nodes=1_000_000", "approach.routing.rebalancing=false", "approach.routing.parents=4"],
        seeds: [1, 1]),
    scenario!("phones", "mobile.toml",
        quick: &["nodes=1_101", "tiers.full=100", "tiers.mobile=1_000", "measure=12h"],
        full: &[],
        seeds: [3, 3]),
    scenario!("shards", "sharding.toml",
        quick: &["nodes=210", "tiers.super=10", "tiers.full=200", "approach.sharding.records=20_000", "measure=2min"],
        full: &["approach.sharding.placement=[\"fixed-shards\", \"consistent-hashing\"]"],
        seeds: [3, 1]),
    scenario!("places", "geo.toml",
        quick: &["nodes=10_000", "topology.nearby=[0, 0.8]"],
        full: &["topology.nearby=[0, 0.8]"],
        seeds: [1, 3]),
    scenario!("together", "recommended-architecture.toml",
        quick: &[
            "nodes=11_110", "tiers.super=10", "tiers.full=100", "tiers.light=10_000", "tiers.mobile=1_000",
            "measure=5min",
        ],
        full: &[],
        seeds: [1, 1]),
];
