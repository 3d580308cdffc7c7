//! The scenarios by which the claims are decided. Each can be run alone.

use super::evidence::Run;

/// Seeds of a quick run and of a full one: 1, 2, ...
pub const SEEDS: [u64; 2] = [3, 5];

macro_rules! scenario {
    ($name:literal, $file:literal, quick: $quick:expr, full: $full:expr) => {
        Run {
            name: $name,
            file: concat!("scenarios/", $file),
            text: include_str!(concat!("../../scenarios/", $file)),
            overrides: [$quick, $full],
            seeds: SEEDS,
        }
    };
}

/// The scenario of the search for the sizes at which budgets are exceeded.
pub const SEARCHED: &str = include_str!("../../scenarios/network-load.toml");
/// Its file.
pub const SEARCHED_FILE: &str = "scenarios/network-load.toml";

/// Every run, in the order in which they are made.
pub const RUNS: &[Run] = &[
    scenario!("load", "network-load.toml",
    quick: &[
        "nodes=[1_000, 3_000, 10_000, 30_000, 100_000]",
        "approaches=[\"full-mesh\", \"hierarchical\", \"gossip\", \"ping\"]",
        "approach.gossip.measure=5s",
    ],
    full: &[
        "nodes=[1_000, 10_000, 100_000, 1_000_000, 10_000_000]",
        "approaches=[\"full-mesh\", \"hierarchical\", \"gossip\", \"ping\"]",
        "approach.gossip.measure=5s",
    ]),
    // The tiers that the documents draw; beyond a million nodes there are more light nodes and nothing else.
    scenario!("drawn", "network-load.toml",
        quick: DRAWN,
        full: DRAWN),
    // Tiers that keep their shares at every size.
    scenario!("shares", "network-load.toml",
    quick: &[
        "nodes=[10_000, 20_000, 30_000, 60_000, 100_000]", "approaches=gossip", "approach.gossip.measure=5s",
        "tiers.super={ share = 0.001 }", "tiers.full={ share = 0.01 }",
    ],
    full: &[
        "nodes=[10_000, 30_000, 100_000, 300_000, 1_000_000]", "approaches=gossip", "approach.gossip.measure=2s",
        "tiers.super={ share = 0.001 }", "tiers.full={ share = 0.01 }",
    ]),
    scenario!("supers-100", "network-load.toml",
    quick: &[
        "nodes=2_100", "tiers.super=100", "tiers.full=1_000", "approaches=hierarchical",
        "approach.hierarchical.measure=60s",
    ],
    full: &[
        "nodes=2_100", "tiers.super=100", "tiers.full=1_000", "approaches=hierarchical",
        "approach.hierarchical.measure=300s",
    ]),
    scenario!("supers-1000", "network-load.toml",
    quick: &[
        "nodes=3_000", "tiers.super=1_000", "tiers.full=1_000", "approaches=hierarchical",
        "approach.hierarchical.measure=30s",
    ],
    full: &[
        "nodes=3_000", "tiers.super=1_000", "tiers.full=1_000", "approaches=hierarchical",
        "approach.hierarchical.measure=300s",
    ]),
    scenario!("fulls-10k", "network-load.toml",
    quick: &[
        "nodes=20_100", "tiers.super=100", "tiers.full=10_000", "approaches=[\"hierarchical\", \"gossip\"]",
        "approach.hierarchical.measure=60s", "approach.gossip.measure=500ms",
    ],
    full: &[
        "nodes=20_100", "tiers.super=100", "tiers.full=10_000", "approaches=[\"hierarchical\", \"gossip\"]",
        "approach.hierarchical.measure=60s", "approach.gossip.measure=5s",
    ]),
    scenario!("fulls-100k", "network-load.toml",
    quick: &[
        "nodes=110_100", "tiers.super=100", "tiers.full=100_000", "approaches=hierarchical",
        "approach.hierarchical.measure=30s",
    ],
    full: &[
        "nodes=110_100", "tiers.super=100", "tiers.full=100_000", "approaches=hierarchical",
        "approach.hierarchical.measure=300s",
    ]),
    scenario!("tiers", "tiers-1m.toml",
        quick: &["nodes=101_010", "tiers.super=10", "tiers.full=1_000", "tiers.light=100_000"],
        full: &[]),
    // Every type of node, for twice the longest interval.
    scenario!("types", "bandwidth.toml",
        quick: &[
            "nodes=10_000", "tiers.super=10", "tiers.full=100", "tiers.mobile=1_000", "approaches=hierarchical",
            "measure=1200s",
        ],
        full: &["approaches=hierarchical", "measure=1200s"]),
    scenario!("votes", "consensus.toml",
        quick: &["nodes=[4, 7, 13, 25, 49, 97]"],
        full: &["nodes=[4, 10, 25, 49, 100, 200, 400]"]),
    scenario!("rumours", "dissemination.toml",
        quick: &[
            "nodes=[1_000, 3_000, 10_000, 30_000, 100_000]", "approach.dissemination.spread=[\"push\"]",
        ],
        full: &["nodes=[1_000, 10_000, 100_000, 300_000, 1_000_000]", "approach.dissemination.spread=[\"push\"]"]),
    scenario!("samples", "churn.toml",
        quick: &["nodes=100_000", "approaches=sampled", "warmup=40min", "measure=10min"],
        full: &["nodes=1_000_000", "approaches=sampled", "measure=10min"]),
    scenario!("watch-all", "churn.toml",
    quick: &[
        "nodes=30_000", "approaches=sampled", "approach.sampled.rates=[1]", "warmup=10min", "measure=1min",
    ],
    full: &[
        "nodes=1_000_000", "approaches=sampled", "approach.sampled.rates=[1]", "warmup=10min", "measure=1min",
    ]),
    scenario!("watch-some", "churn.toml",
    quick: &[
        "nodes=30_000", "approaches=sampled", "approach.sampled.rates=[0.001]", "warmup=10min", "measure=1min",
    ],
    full: &[
        "nodes=1_000_000", "approaches=sampled", "approach.sampled.rates=[0.001]", "warmup=10min", "measure=1min",
    ]),
    scenario!("lookups", "kademlia.toml",
        quick: &[
            "nodes=[300, 600, 1_200, 2_500, 5_000]", "approaches=kademlia", "approach.kademlia.k=20",
            "measure=30s",
        ],
        full: &["nodes=[1_000, 3_000, 10_000, 30_000, 100_000]", "approaches=kademlia", "approach.kademlia.k=20"]),
    scenario!("lookups-churn", "kademlia.toml",
        quick: &["nodes=1_000", "approaches=kademlia", "approach.kademlia.k=20", CHURN],
        full: &["nodes=10_000", "approaches=kademlia", "approach.kademlia.k=20", CHURN]),
    scenario!("phones", "mobile.toml",
        quick: &["nodes=551", "tiers.full=50", "tiers.mobile=500", "measure=10h"],
        full: &["nodes=10_101", "tiers.full=100", "tiers.mobile=10_000"]),
    scenario!("shards", "sharding.toml",
        quick: &[
            "nodes=210", "tiers.super=10", "tiers.full=200", "approach.sharding.records=20_000", "measure=2min", PLACED,
        ],
        full: &["measure=12min", PLACED]),
    scenario!("places", "geo.toml",
        quick: &[
            "nodes=10_000", "tiers.super=50", "tiers.full=200", "topology.nearby=[0, 0.8]",
            "approaches=[\"hierarchical\", \"gossip\"]", "measure=60s", "approach.gossip.measure=20s",
        ],
        full: &["topology.nearby=[0, 0.8]", "approaches=[\"hierarchical\", \"gossip\"]"]),
    scenario!("blocks", "blocks.toml",
        quick: &[
            "nodes=11_110", "tiers.super=10", "tiers.full=100", "tiers.light=10_000", "tiers.mobile=1_000",
            "measure=60s",
        ],
        full: &["measure=60s"]),
    scenario!("together", "recommended-architecture.toml",
        quick: &[
            "nodes=11_110", "tiers.super=10", "tiers.full=100", "tiers.light=10_000", "tiers.mobile=1_000",
            "measure=2min",
        ],
        full: &["measure=10min"]),
    scenario!("user-shards", "registry.toml",
        quick: &[
            "nodes=10_110", "tiers.super=10", "tiers.full=100", "tiers.mobile=1_000", "measure=10min",
            "approach.registry.users=20_000", "approach.registry.shards=64", "approach.registry.register=30min",
            COUNTRY_OR_HASH,
        ],
        full: &["nodes=200_000", "measure=10min", "approach.registry.register=30min", COUNTRY_OR_HASH]),
    scenario!("user-faults", "registry-faults.toml",
        quick: &[
            "nodes=1_110", "tiers.mobile=100", "approach.registry.users=10_000", MAJORITY,
            "approach.registry.partitioning=hash", "approach.registry.shards=24",
        ],
        full: &[MAJORITY, "approach.registry.partitioning=hash"]),
];

/// One size above the others of a quick run: below it tiers are at their least, and nothing can be projected from that.
const DRAWN: &[&str] = &[
    "nodes=1_000_000",
    "approaches=[\"hierarchical\", \"gossip\"]",
    "approach.hierarchical.measure=60s",
    "approach.gossip.measure=500ms",
];
/// Sessions as measured, and short absences.
const CHURN: &str = "faults.churn=[{ session = { model = \"weibull\", published = \"flatout\" }, \
                     absence = { model = \"exponential\", mean = \"10min\" }, start = \"steady\" }]";
const PLACED: &str = "approach.sharding.placement=[\"modulo\", \"fixed-shards\", \"consistent-hashing\"]";
const COUNTRY_OR_HASH: &str = "approach.registry.partitioning=[\"hash\", \"country\"]";
const MAJORITY: &str = "approach.registry.acknowledge=majority";
