//! Sharding on the engine: what moves, what is lost, and that threads and partitions cannot be seen.

use qnetsim::contract::{Domain, NodeId, NodeType, Placement, Population, RandomKey, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::Turn;
use qnetsim::protocols::sharding::figures::{Replication, ShardingFigures};
use qnetsim::protocols::sharding::placement::{RegionRule, ShardPlacement};
use qnetsim::protocols::sharding::{Departures, Sharding, ShardingOptions};

const FULLS: u32 = 100;
const RECORDS: u32 = 3_000;
const RING: ShardPlacement = ShardPlacement::ConsistentHashing { virtual_nodes: 32 };
const PLACEMENTS: [ShardPlacement; 5] = [
    ShardPlacement::Modulo,
    ShardPlacement::FixedShards { shards: 1_024 },
    RING,
    ShardPlacement::ByRegion { virtual_nodes: 32, rule: RegionRule::Spread },
    ShardPlacement::ByRegion { virtual_nodes: 32, rule: RegionRule::Together },
];

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn options(placement: ShardPlacement) -> ShardingOptions {
    ShardingOptions { records: RECORDS, trace: true, ..ShardingOptions::new(placement) }
}

fn settings(secs: u64) -> Settings {
    Settings::new(Population::new([2, u64::from(FULLS), 5, 0]).unwrap(), 4, at(secs))
}

/// The `count` full nodes, all at once, that go 100 s after the start and come back after `until`.
fn outage(settings: &Settings, count: usize, until: Option<u64>, graceful: bool) -> (Outage, Vec<NodeId>) {
    let key = RandomKey::new(settings.seed, Domain::Fault);
    let fulls = settings.population.range(NodeType::FullNode);
    let set = |number| NodeSet {
        types: [false, true, false, false],
        share: count as f64 / f64::from(FULLS),
        number,
        ..NodeSet::ALL
    };
    let hit = |number| {
        let nodes = fulls.clone().filter(|&node| set(number).contains(&key, node, NodeType::FullNode, 0));
        nodes.collect::<Vec<_>>()
    };
    let number = (0..).find(|&number| hit(number).len() == count).unwrap();
    let outage = Outage {
        nodes: set(number),
        from: at(100),
        from_over: SimSpan::ZERO,
        until: until.map(at),
        until_over: SimSpan::ZERO,
        graceful,
    };
    (outage, hit(number))
}

struct Found {
    outcome: Outcome<Sharding>,
    figures: ShardingFigures,
    replication: Replication,
    sharding: Sharding,
}

fn run(options: ShardingOptions, loss: f64, settings: &Settings) -> Found {
    let regions = Placement::new(&[0.4, 0.3, 0.3], settings.seed);
    let sharding = Sharding::new(settings.population, options, Some(&regions));
    let latency = Latency::Uniform { min: SimSpan::from_millis(20), max: SimSpan::from_millis(80) };
    let network = NetworkModel::new(latency, loss);
    let outcome = Simulation::new(&sharding, &network, settings.clone()).run().expect("nothing is lost or made up");
    let is_up = |node: NodeId| {
        outcome.lives.iter().rev().find(|life| life.node == node).is_none_or(|life| life.turn == Turn::Joined)
    };
    let mut figures = ShardingFigures::default();
    for (nodes, state) in &outcome.states {
        figures.merge(&sharding.figures(nodes, state, is_up));
    }
    let downs: Vec<(SimTime, NodeId)> =
        outcome.lives.iter().filter(|life| life.turn != Turn::Joined).map(|life| (life.time, life.node)).collect();
    let traces = outcome.states.iter().map(|(_, state)| state.trace());
    let replication = sharding.replication(traces, &downs, &[at(99), at(150), settings.end]);
    Found { outcome, figures, replication, sharding }
}

/// How many of all records only `nodes` keep at the start.
fn kept_by_none_but(sharding: &Sharding, nodes: &[NodeId]) -> u64 {
    let first = sharding.placer();
    let view = qnetsim::protocols::sharding::view::View::all(2, FULLS);
    let only = |record| first.owners(sharding.hash_of(record), &view).iter().all(|owner| nodes.contains(owner));
    (0..RECORDS).filter(|&record| only(record)).count() as u64
}

#[test]
fn nothing_is_lost_when_fewer_nodes_crash_at_once_than_there_are_replicas() {
    for placement in PLACEMENTS {
        let mut settings = settings(2_000);
        let (outage, _) = outage(&settings, 2, None, false);
        settings.faults = Schedule { churns: Vec::new(), outages: vec![outage] };
        let Found { figures, replication, .. } = run(options(placement), 0.0, &settings);
        let name = placement.name();
        assert_eq!((figures.lost(), figures.under_replicated()), (0, 0), "{name}");
        assert_eq!(figures.by_replicas()[3], u64::from(RECORDS), "{name}: none has too many either");
        let [before, during, after] = replication.at[..] else { panic!("{replication:?}") };
        assert_eq!((before.under_replicated, after.under_replicated, after.lost), (0, 0, 0), "{name}");
        assert!(during.under_replicated > 60 && replication.worst.under_replicated >= during.under_replicated);
        // Detection after 75 s at most 105 s, a tick, and the hand-off.
        let full = replication.full_since.unwrap();
        let limit = if placement == ShardPlacement::Modulo { 1_300 } else { 240 };
        assert!(full > at(160) && full < at(limit), "{name}: {full}");
        assert_eq!(figures.counts.changes[0], 2);
    }
}

#[test]
fn what_all_who_keep_it_take_along_is_lost_and_nothing_else() {
    let mut settings = settings(2_000);
    let (outage, nodes) = outage(&settings, 20, None, false);
    settings.faults = Schedule { churns: Vec::new(), outages: vec![outage] };
    for placement in PLACEMENTS {
        let Found { figures, replication, sharding, .. } = run(options(placement), 0.0, &settings);
        let expected = kept_by_none_but(&sharding, &nodes);
        assert!(expected > 2, "{}: {expected}", placement.name());
        assert_eq!((figures.lost(), figures.under_replicated()), (expected, 0), "{}", placement.name());
        assert_eq!(replication.at[2].lost, expected);
        assert!(replication.full_since.is_some());
    }
}

#[test]
fn who_leaves_in_good_order_moves_its_share_and_no_record_ever_misses_a_replica() {
    for placement in [RING, ShardPlacement::FixedShards { shards: 1_024 }, ShardPlacement::Modulo] {
        let departures = Some(Departures { share: 0.05, from: at(50), over: SimSpan::from_secs(300) });
        let options = ShardingOptions { departures, ..options(placement) };
        let Found { figures, replication, .. } = run(options, 0.0, &settings(900));
        let counts = &figures.counts;
        assert!(counts.drained >= 2 && counts.changes == [0, 0, counts.drained], "{counts:?}");
        assert_eq!(figures.lost(), 0);
        // Where everything is under way when the next one leaves, what others still miss may be dropped.
        let most = if placement == ShardPlacement::Modulo { u64::from(RECORDS) / 500 } else { 0 };
        assert!(replication.worst.under_replicated <= most, "{}: {replication:?}", placement.name());
        let case = format!("few are given twice where departures overlap: {counts:?}");
        let share = if placement == ShardPlacement::Modulo { 2 } else { 20 };
        assert!(counts.repeated * share < counts.stored, "{case}");
        let ratio = figures.moved_per_change() / figures.least_per_change(u64::from(FULLS));
        match placement {
            ShardPlacement::Modulo => assert!(ratio > 80.0, "nearly all of it: {ratio}"),
            // The share of a few nodes, which differ, against that of the average one.
            _ => assert!((0.6..1.6).contains(&ratio), "{}: {ratio}", placement.name()),
        }
        assert_eq!(figures.nodes, u64::from(FULLS) - counts.drained);
    }
}

#[test]
fn who_comes_back_gets_its_share_again() {
    for graceful in [false, true] {
        let mut settings = settings(900);
        let (outage, nodes) = outage(&settings, 2, Some(400), graceful);
        settings.faults = Schedule { churns: Vec::new(), outages: vec![outage] };
        let Found { figures, replication, outcome, sharding } = run(options(RING), 0.0, &settings);
        assert_eq!(figures.by_replicas()[3], u64::from(RECORDS));
        assert_eq!((figures.counts.changes, figures.nodes), ([2, 2, 0], u64::from(FULLS)));
        let held = |node: NodeId| {
            outcome.states.iter().find_map(|(nodes, state)| Some(state.held(nodes.index_of(node)?).len())).unwrap()
        };
        assert!(nodes.iter().all(|&node| held(node) > 40), "3000 records and three replicas on 100 nodes");
        let view = qnetsim::protocols::sharding::view::View::all(2, FULLS);
        for record in 0..RECORDS {
            assert_eq!(sharding.placer().owners(sharding.hash_of(record), &view).len(), 3);
        }
        // Who says that it goes is not waited for.
        let full = replication.at[1];
        assert_eq!(full.under_replicated == 0, graceful, "{full:?}");
    }
}

#[test]
fn lost_messages_are_made_good() {
    for placement in [RING, ShardPlacement::Modulo] {
        let mut settings = settings(2_400);
        let (outage, _) = outage(&settings, 2, Some(500), false);
        settings.faults = Schedule { churns: Vec::new(), outages: vec![outage] };
        // Four missed in a row of 5 % each are rare: 100 nodes say 8 000 times that they live.
        let detector = qnetsim::protocols::detector::Detector::Timeout { missed: 4 };
        let repair = Some(SimSpan::from_secs(120));
        let options = ShardingOptions { detector, repair, ..options(placement) };
        let Found { figures, .. } = run(options, 0.05, &settings);
        let case = format!("{}: {:?} {:?}", placement.name(), figures.by_replicas(), figures.counts);
        assert_eq!((figures.lost(), figures.under_replicated()), (0, 0), "{case}");
        assert!(figures.by_replicas()[3] > u64::from(RECORDS) - 10, "{case}");
        assert!(figures.counts.views > 0 && figures.counts.repeated > 0, "{:?}", figures.counts);
    }
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let seconds = |mean| Distribution::Exponential { mean };
    let churn = Churn {
        nodes: NodeSet { types: [false, true, false, false], share: 0.1, ..NodeSet::ALL },
        session: seconds(800.0),
        absence: seconds(400.0),
        graceful: 0.5,
        steady: true,
    };
    let mut settings = settings(900);
    settings.faults = Schedule { churns: vec![churn], outages: Vec::new() };
    settings.judgements = true;
    for placement in PLACEMENTS {
        let departures = Some(Departures { share: 0.05, from: at(50), over: SimSpan::from_secs(300) });
        let options = ShardingOptions { departures, records: 1_500, ..options(placement) };
        let expected = run(options, 0.02, &settings);
        let counts = &expected.figures.counts;
        assert!(counts.stored > 100 && expected.figures.changes() > 5, "{}: {counts:?}", placement.name());
        for (threads, partitions_log2) in [(1, Some(3)), (3, None)] {
            let settings = Settings { threads, partitions_log2, ..settings.clone() };
            let found = run(options, 0.02, &settings);
            let layout = format!("{}: {threads} threads, {} partitions", placement.name(), found.outcome.partitions);
            assert_eq!(found.outcome.digest, expected.outcome.digest, "{layout}");
            assert_eq!(found.outcome.judgements, expected.outcome.judgements, "{layout}");
            assert_eq!(found.figures, expected.figures, "{layout}");
            assert_eq!(found.replication, expected.replication, "{layout}");
        }
    }
}
