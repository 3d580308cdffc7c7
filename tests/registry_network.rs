//! The registry on the engine: nothing acknowledged is lost and nobody is registered twice, whatever fails, and threads and
//! partitions cannot be seen.

use std::sync::Arc;

use qnetsim::contract::{Domain, NodeId, NodeType, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, Disturbances, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::Flow;
use qnetsim::protocols::registry::audit::{Audit, audit};
use qnetsim::protocols::registry::shards::Partitioning;
use qnetsim::protocols::registry::store::Outcome as Told;
use qnetsim::protocols::registry::{
    Acknowledge, Departures, Load, RegistryFigures, RegistryOptions, RegistryService, RegistryState,
};
use qnetsim::topologies::TierDegrees;

const COUNTS: [u64; 4] = [1, 12, 150, 10];
const FULLS: [bool; 4] = [false, true, false, false];
const RING: Partitioning = Partitioning::ConsistentHashing { shards: 24, virtual_nodes: 16 };
const PARTITIONINGS: [Partitioning; 3] = [Partitioning::Hash, RING, Partitioning::Country { virtual_nodes: 16 }];

fn at(seconds: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(seconds)
}

fn secs(seconds: u64) -> SimSpan {
    SimSpan::from_secs(seconds)
}

/// A busy registry: a registration every ten seconds of each device, some of them for an id that its neighbour wants too.
fn options(partitioning: Partitioning) -> RegistryOptions {
    let every = [Some(secs(10)), Some(secs(15)), Some(secs(8)), Some(secs(60))];
    RegistryOptions {
        users: 3_000,
        load: Load { every, contested: 0.2, fraudulent: 0.05, own: 0.5 },
        settle: secs(20),
        alive: secs(5),
        missing: secs(12),
        ..RegistryOptions::new(partitioning)
    }
}

fn settings(seed: u64, seconds: u64) -> Settings {
    Settings::new(Population::new(COUNTS).unwrap(), seed, at(seconds))
}

fn network(loss: f64) -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) }, loss)
}

struct Ended {
    figures: RegistryFigures,
    audit: Audit,
    outcome: Outcome<RegistryService>,
    bytes: usize,
}

#[track_caller]
fn run(options: RegistryOptions, network: &NetworkModel, settings: &Settings) -> Ended {
    let degrees = TierDegrees { full_peers: 0, super_parents: 1, light_parents: 3, mesh: false };
    let graph = degrees.graph(settings.population, settings.partitions_log2(), settings.seed);
    let service = RegistryService::new(Arc::new(graph), options, settings.seed);
    let outcome = Simulation::new(&service, network, settings.clone()).run().expect("no message is made up");
    let mut figures = RegistryFigures::default();
    outcome.states.iter().for_each(|(_, state)| figures.merge(state.figures()));
    let states: Vec<(Nodes, &RegistryState)> =
        outcome.states.iter().map(|(nodes, state)| (nodes.clone(), state)).collect();
    let audit = audit(&service, &states, &figures.acknowledged);
    let bytes = states.iter().map(|(_, state)| service.state_bytes(state)).sum();
    Ended { figures, audit, outcome, bytes }
}

/// That nothing acknowledged is lost, nobody stands twice, and no two replicas disagree.
#[track_caller]
fn check_safety(audit: &Audit, case: &str) {
    let Audit { lost, thin, ids_twice, keys_twice, diverged, .. } = *audit;
    assert_eq!([lost, thin, ids_twice, keys_twice, diverged], [0; 5], "{case}: {audit:?}");
}

#[test]
fn without_faults_every_operation_is_answered_as_the_rules_say() {
    for partitioning in PARTITIONINGS {
        let Ended { figures, audit, bytes, .. } = run(options(partitioning), &network(0.0), &settings(1, 300));
        let name = partitioning.name();
        check_safety(&audit, name);
        for (operation, counts) in figures.operations.iter().enumerate() {
            assert_eq!([counts.abandoned, counts.retried], [0, 0], "{name} {operation}");
            let under_way = counts.asked - counts.answered();
            assert!(counts.asked > 300 && under_way < 20, "{name} {operation}: {under_way}");
        }
        assert_eq!([figures.dropped, figures.busy, figures.given_up, figures.invalid, figures.campaigns], [0; 5]);
        let told = |operation: usize, outcome: Told| figures.operations[operation].outcomes[outcome as usize];
        // One in twenty wants the id of somebody else, one in five that of a neighbour who may come first or later.
        let refused = told(0, Told::IdTaken);
        assert!(refused * 20 > figures.operations[0].asked && told(0, Told::KeyTaken) == 0, "{name}: {refused}");
        assert_eq!(told(2, Told::UnknownUser), figures.missed_reads, "who exists at the start is always found");
        assert!(figures.missed_reads < figures.own_reads && told(1, Told::UnknownUser) == 0, "{name}");
        assert!(audit.created - audit.acknowledged < 20, "{name}: {audit:?}");
        let is_country = matches!(partitioning, Partitioning::Country { .. });
        // An id of one's own country is kept where the user is.
        let [one, two] = figures.crossing[0];
        assert_eq!(one > two * 2, is_country, "{name}: {:?}", figures.crossing);
        assert!(audit.open_claims < 30 && bytes > 100_000, "{name}");
        assert!(figures.found > 0 && figures.short_pages == 0);
    }
}

/// Crashes of a third of the full nodes at a time, loss, and partitions, as `seed` has them.
fn trouble(seed: u64, settings: &mut Settings) -> NetworkModel {
    let key = RandomKey::new(seed, Domain::Fault);
    let draw = |index: u32, bound: u64| key.word(u32::MAX, index) % bound;
    let seconds = |mean: f64| Distribution::Exponential { mean };
    let churn = Churn {
        nodes: NodeSet { types: FULLS, share: 0.6, number: 7, ..NodeSet::ALL },
        session: seconds(40.0 + draw(0, 60) as f64),
        absence: seconds(5.0 + draw(1, 30) as f64),
        graceful: 0.0,
        steady: true,
    };
    let outage = |number: u64, share: f64| {
        let from = 30 + draw(10 + number as u32, 200);
        Outage {
            nodes: NodeSet { types: FULLS, share, number: number as u32, ..NodeSet::ALL },
            from: at(from),
            from_over: secs(draw(20, 10)),
            until: Some(at(from + 10 + draw(30 + number as u32, 60))),
            until_over: secs(5),
            graceful: false,
        }
    };
    let outages = vec![outage(1, 0.4), outage(2, 0.3)];
    settings.faults = Schedule { churns: if draw(2, 3) > 0 { vec![churn] } else { Vec::new() }, outages };
    let partition = |number: u64| {
        let from = 20 + draw(40 + number as u32, 220);
        let set =
            NodeSet { types: [true; 4], share: 0.3 + 0.1 * number as f64, number: 10 + number as u32, ..NodeSet::ALL };
        (at(from)..at(from + 5 + draw(50 + number as u32, 50)), set)
    };
    let partitions = vec![partition(1), partition(2)];
    let disturbances = Disturbances { partitions, ..Disturbances::default() };
    network([0.0, 0.02, 0.15][draw(3, 3) as usize]).with_disturbances(
        disturbances,
        settings.population,
        None,
        settings.seed,
    )
}

#[track_caller]
fn check_seeds(seeds: std::ops::Range<u64>) {
    let (mut elected, mut replaced, mut settled, mut acknowledged) = (0, 0, 0, 0);
    for seed in seeds {
        let partitioning = PARTITIONINGS[seed as usize % 3];
        let mut settings = settings(seed, 360);
        let network = trouble(seed, &mut settings);
        let departures = Departures { share: 0.15, from: at(60), over: secs(200) };
        let departures = (seed % 2 == 0).then_some(departures);
        let options = RegistryOptions { departures, ..options(partitioning) };
        let Ended { figures, audit, .. } = run(options, &network, &settings);
        check_safety(&audit, &format!("seed {seed}, {}", partitioning.name()));
        elected += figures.leaders;
        replaced += figures.replaced;
        settled += figures.settled.iter().sum::<u64>();
        acknowledged += audit.acknowledged;
    }
    assert!(elected > 50 && replaced > 5 && settled > 5, "{elected} leaders, {replaced} replaced, {settled} settled");
    assert!(acknowledged > 1_000, "{acknowledged}");
}

#[test]
fn nothing_acknowledged_is_lost_and_nobody_is_registered_twice_whatever_fails() {
    check_seeds(0..6);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test registry_network many -- --ignored"]
fn nothing_is_lost_or_registered_twice_in_many_runs() {
    check_seeds(100..500);
}

#[test]
fn what_the_leader_alone_acknowledges_gets_lost() {
    // The same checks find what is lost where a change is acknowledged before others have it.
    let lost: u64 = (0..6)
        .map(|seed| {
            let mut settings = settings(seed, 360);
            let network = trouble(seed, &mut settings);
            let options = RegistryOptions { acknowledge: Acknowledge::Leader, ..options(Partitioning::Hash) };
            let Ended { audit, .. } = run(options, &network, &settings);
            audit.lost + audit.ids_twice
        })
        .sum();
    assert!(lost > 0, "nothing is");
}

/// The full nodes of a share of a set that `number` draws.
fn set(share: f64, number: u32) -> NodeSet {
    NodeSet { types: FULLS, share, number, ..NodeSet::ALL }
}

fn members(settings: &Settings, set: &NodeSet) -> Vec<NodeId> {
    let key = RandomKey::new(settings.seed, Domain::Fault);
    let fulls = settings.population.range(NodeType::FullNode);
    fulls.filter(|&node| set.contains(&key, node, NodeType::FullNode, 0)).collect()
}

#[test]
fn a_crash_costs_a_shard_its_leader_for_an_election_and_its_place_goes_to_another_node() {
    let mut settings = settings(3, 400);
    let number = (0..).find(|&number| members(&settings, &set(0.08, number)).len() == 1).unwrap();
    let gone = members(&settings, &set(0.08, number))[0];
    let outage = |until: Option<u64>| Outage {
        nodes: set(0.08, number),
        from: at(100),
        from_over: SimSpan::ZERO,
        until: until.map(at),
        until_over: SimSpan::ZERO,
        graceful: false,
    };
    settings.faults = Schedule { churns: Vec::new(), outages: vec![outage(None)] };
    let Ended { figures, audit, outcome, .. } = run(options(Partitioning::Hash), &network(0.0), &settings);
    check_safety(&audit, "crash");
    // It was a member of three shards and led one.
    assert_eq!([figures.leaders, figures.replaced], [1, 3], "{}", figures.planned);
    let [changes, reads] = [0, 1].map(|kind| {
        let of = |from: usize, to: usize| {
            let slices = &figures.slices[from..to];
            let sum = |place: usize| slices.iter().map(|slice| slice[kind][place]).sum::<u64>() as f64;
            sum(1) / sum(0)
        };
        [of(2, 10), of(10, 12), of(20, 35)]
    });
    assert!(changes[0] == 1.0 && changes[2] == 1.0 && changes[1] > 0.9, "{changes:?}");
    assert!(reads[0] == 1.0 && reads[2] == 1.0, "{reads:?}");
    let held: u64 = outcome
        .states
        .iter()
        .filter_map(|(nodes, state)| Some(state.replicas(nodes.index_of(gone)?).len() as u64))
        .sum();
    assert_eq!(held, 3, "its disk keeps them, but nobody asks it");
    assert!(figures.moved > 500 * 3 * 60, "three shards of some 250 users and as many ids: {}", figures.moved);
    // Who comes back before it is missed keeps its place, and one that comes back later is dismissed.
    settings.faults.outages = vec![outage(Some(102))];
    let Ended { figures, audit, .. } = run(options(Partitioning::Hash), &network(0.0), &settings);
    check_safety(&audit, "short crash");
    assert_eq!([figures.replaced, figures.dismissed], [0, 0]);
    settings.faults.outages = vec![outage(Some(250))];
    let Ended { figures, audit, .. } = run(options(Partitioning::Hash), &network(0.0), &settings);
    check_safety(&audit, "long crash");
    assert_eq!([figures.replaced, figures.dismissed], [3, 3]);
}

#[test]
fn who_leaves_in_good_order_hands_over_all_and_nothing_is_refused_meanwhile() {
    let settings = settings(5, 400);
    let departures = Some(Departures { share: 0.2, from: at(60), over: secs(60) });
    for partitioning in PARTITIONINGS {
        let options = RegistryOptions { departures, ..options(partitioning) };
        let Ended { figures, audit, .. } = run(options, &network(0.0), &settings);
        check_safety(&audit, partitioning.name());
        let case = format!(
            "{}: {} drained, {} of {}",
            partitioning.name(),
            figures.drained,
            figures.replaced,
            figures.planned
        );
        assert!(figures.drained >= 1 && figures.replaced > 2, "{case}");
        assert_eq!(figures.dismissed, figures.replaced, "{}", partitioning.name());
        for counts in &figures.operations[..3] {
            assert!(counts.abandoned == 0 && counts.asked - counts.answered() < 20, "{case}: {}", counts.asked);
        }
    }
}

#[test]
fn a_side_without_a_majority_acknowledges_nothing_that_gets_lost() {
    let mut settings = settings(8, 300);
    settings.faults = Schedule { churns: Vec::new(), outages: Vec::new() };
    let half = NodeSet { types: [true; 4], share: 0.5, number: 3, ..NodeSet::ALL };
    let disturbances = Disturbances { partitions: vec![(at(60)..at(200), half)], ..Disturbances::default() };
    let network = network(0.0).with_disturbances(disturbances, settings.population, None, settings.seed);
    let Ended { figures, audit, outcome, .. } = run(options(RING), &network, &settings);
    check_safety(&audit, "partition");
    let cut: u64 = outcome.slices.iter().map(|slice| slice.total(Flow::Partitioned).messages).sum();
    assert!(cut > 1_000 && figures.leaders > 0, "{cut} {}", figures.leaders);
    let registrations = &figures.operations[0];
    assert!(registrations.abandoned > 0 || registrations.skipped > 100, "{registrations:?}");
    // Afterwards all goes on.
    let late = &figures.slices[24..28];
    assert!(late.iter().all(|slice| slice[0][1] * 20 >= slice[0][0] * 19), "{late:?}");
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    for partitioning in PARTITIONINGS {
        let mut base = settings(4, 200);
        let network = trouble(4, &mut base);
        let departures = Some(Departures { share: 0.15, from: at(60), over: secs(60) });
        let options = RegistryOptions { departures, ..options(partitioning) };
        let expected = run(options, &network, &base);
        assert!(expected.figures.leaders > 0 && expected.figures.acknowledged.len() > 100);
        for (threads, partitions_log2) in [(1, Some(3)), (3, None)] {
            let settings = Settings { threads, partitions_log2, ..base.clone() };
            let found = run(options, &network, &settings);
            let layout = format!("{}: {threads} threads, {:?}", partitioning.name(), partitions_log2);
            assert_eq!(found.outcome.digest, expected.outcome.digest, "{layout}");
            assert_eq!(found.figures, expected.figures, "{layout}");
            assert_eq!((found.audit, found.bytes), (expected.audit.clone(), expected.bytes), "{layout}");
        }
    }
}
