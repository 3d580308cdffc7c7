//! The router on the engine: everybody is attached, messages arrive by the ways they should, and failures are survived.

use std::collections::BTreeSet;

use qnetsim::contract::{NodeId, NodeType, Nodes, Placement, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::faults::{Churn, NodeSet, Outage, Schedule};
use qnetsim::engine::{Distribution, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Flow, Turn};
use qnetsim::protocols::adaptive::AdaptiveHeartbeat;
use qnetsim::protocols::router::candidates::DrawnCandidates;
use qnetsim::protocols::router::{
    Cause, HierarchicalRouter, Loads, Messages, Rebalancing, RouterFigures, RouterOptions, RouterState,
};
use qnetsim::topologies::{Clustering, TierDegrees};

const FULL: usize = NodeType::FullNode as usize;
const LIGHT: usize = NodeType::LightNode as usize;

const KINDS: [&str; 14] = [
    "attach",
    "accept",
    "refuse",
    "heartbeat",
    "ack",
    "digest",
    "advice",
    "detach",
    "move",
    "register",
    "unregister",
    "message",
    "receipt",
    "failed",
];

const DELAY_MS: u64 = 50;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn population() -> Population {
    Population::new([10, 100, 3_000, 200]).unwrap()
}

fn network(loss: f64) -> NetworkModel {
    NetworkModel::new(Latency::Constant(SimSpan::from_millis(DELAY_MS)), loss)
}

fn settings(secs: u64) -> Settings {
    Settings::new(population(), 5, at(secs))
}

/// Intervals a tenth of the documents': 3 s, 6 s, 30 s and 60 s.
fn options() -> RouterOptions {
    let mut options = RouterOptions::for_population(population());
    options.heartbeat = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(3) };
    options.repeat = SimSpan::from_secs(1);
    options.attaching.spread = SimSpan::from_secs(5);
    options.attaching.pause = SimSpan::from_secs(5);
    options.messages = Some(Messages {
        interval: SimSpan::from_secs(20),
        len: 200,
        from: SimSpan::from_secs(20),
        answer: SimSpan::from_secs(1),
        attempts: 4,
    });
    options
}

fn router(options: RouterOptions) -> HierarchicalRouter {
    HierarchicalRouter::new(population(), options, Box::new(DrawnCandidates::new(population(), 8, None, 5)))
}

fn run(router: &HierarchicalRouter, network: &NetworkModel, settings: Settings) -> Outcome<HierarchicalRouter> {
    Simulation::new(router, network, settings).run().expect("nothing is lost or made up")
}

/// The nodes that are down at the end.
fn down(outcome: &Outcome<HierarchicalRouter>) -> BTreeSet<NodeId> {
    let mut down = BTreeSet::new();
    for life in &outcome.lives {
        if life.turn == Turn::Joined {
            down.remove(&life.node)
        } else {
            down.insert(life.node)
        };
    }
    down
}

fn figures(outcome: &Outcome<HierarchicalRouter>, end: SimTime) -> RouterFigures {
    let (down, mut figures) = (down(outcome), RouterFigures::default());
    outcome.states.iter().for_each(|(_, state)| figures.merge(&state.figures_at(end, |node| !down.contains(&node))));
    figures
}

/// The nodes of `node_type` that are up at the end, each with its parents.
fn parents(outcome: &Outcome<HierarchicalRouter>, node_type: NodeType) -> Vec<(NodeId, Vec<NodeId>)> {
    let down = down(outcome);
    let of = outcome
        .states
        .iter()
        .flat_map(|(nodes, state)| nodes.iter().map(move |here| (here, state.parents(here.index).to_vec())));
    let of = of.filter(|(here, _)| here.node_type == node_type && !down.contains(&here.id));
    of.map(|(here, parents)| (here.id, parents)).collect()
}

/// The children of a node.
fn children(outcome: &Outcome<HierarchicalRouter>, node: NodeId) -> Vec<NodeId> {
    let find = |(nodes, state): &(Nodes, RouterState)| nodes.index_of(node).map(|index| state.children(index));
    outcome.states.iter().find_map(find).expect("every node is in a partition")
}

fn sent(outcome: &Outcome<HierarchicalRouter>, kind: &str) -> u64 {
    let kind = KINDS.iter().position(|known| *known == kind).expect("a kind of the router");
    outcome.slices.iter().map(|slice| slice.kind_total(Flow::Sent, kind).messages).sum()
}

/// A share of the full nodes crashes at 100 s and never returns.
fn crash(share: f64) -> Schedule {
    let outage = Outage {
        nodes: NodeSet { share, types: [false, true, false, false], ..NodeSet::ALL },
        from: at(100),
        from_over: SimSpan::ZERO,
        until: None,
        until_over: SimSpan::ZERO,
        graceful: false,
    };
    Schedule { churns: Vec::new(), outages: vec![outage] }
}

#[test]
fn without_faults_everybody_is_attached_and_every_message_arrives_in_two_hops_or_four() {
    let router = router(RouterOptions { rebalancing: None, ..options() });
    let outcome = run(&router, &network(0.0), settings(200));
    let figures = figures(&outcome, at(200));
    for (node_type, wanted) in [(NodeType::FullNode, 3), (NodeType::LightNode, 4), (NodeType::MobileNode, 4)] {
        for (node, parents) in parents(&outcome, node_type) {
            assert_eq!(parents.len(), wanted, "node {node}");
            assert!(parents.iter().all(|&parent| children(&outcome, parent).contains(&node)), "node {node}");
        }
        let attach = &figures.attach[node_type as usize];
        // One round trip, and the first of all.
        assert!(attach.joined.quantile(100).unwrap() < SimSpan::from_millis(120));
        assert_eq!((attach.requests, attach.orphaned.quantile(50), attach.failovers), (attach.accepted, None, 0));
    }
    for (asked, answered) in [("heartbeat", "ack"), ("digest", "advice"), ("attach", "accept")] {
        let under_way = sent(&outcome, asked) - sent(&outcome, answered);
        assert!(under_way < 50 && sent(&outcome, asked) > 300, "{under_way} of {asked}");
    }
    let under_way = figures.sent - figures.confirmed;
    assert!(figures.sent > 25_000 && under_way < 100, "{} sent, {under_way} under way", figures.sent);
    assert_eq!(
        (figures.failures(), figures.retries, figures.rejected, figures.strangers, figures.repeated),
        (0, 0, 0, 0, 0)
    );
    let hops = figures.hops.counts();
    assert_eq!(hops[2] + hops[4], figures.delivered, "{hops:?}");
    // Two nodes with 4 of 100 parents each have one in common with a chance of 1/25 that grows by those of the others:
    // what counts is whether the first parent of one is among those of the other.
    let share = hops[2] as f64 / figures.delivered as f64;
    assert!((0.035..0.045).contains(&share), "{share}");
    // To within a step of the clock of a hop's delay, and an eighth.
    let latency = figures.latency.quantile(50).unwrap();
    let exact = SimSpan::from_millis(4 * DELAY_MS);
    assert!(latency + SimSpan::from_millis(2) >= exact && latency.as_nanos() < exact.as_nanos() * 9 / 8, "{latency}");
    // A receipt takes three hops.
    let round_trip = figures.round_trip.quantile(50).unwrap();
    let exact = SimSpan::from_millis(7 * DELAY_MS);
    assert!(round_trip + SimSpan::from_millis(2) >= exact && round_trip.as_nanos() < exact.as_nanos() * 9 / 8);
}

#[test]
fn homes_know_every_child_once_and_digests_tell_who_lives() {
    let router = router(RouterOptions { rebalancing: None, messages: None, ..options() });
    let outcome = run(&router, &network(0.0), settings(100));
    let mut located = 0;
    for (nodes, state) in &outcome.states {
        for here in nodes.iter().filter(|here| here.node_type == NodeType::SuperNode) {
            located += state.locations(here.index);
            assert!(state.locations(here.index).abs_diff(320) < 120, "a tenth of the children, by hashing");
            for (full, load, alive) in state.digested(here.index) {
                let children = children(&outcome, full).len();
                assert_eq!((usize::from(load), usize::from(alive)), (children, children), "full node {full}");
            }
        }
    }
    assert_eq!(located, 3_200);
    assert_eq!(figures(&outcome, at(100)).unregistrable, 0);
}

#[test]
fn when_a_third_of_the_full_nodes_crash_nobody_stays_without_parents() {
    let mut settings = settings(300);
    settings.faults = crash(0.3);
    let options = options();
    let router = router(options);
    let outcome = run(&router, &network(0.0), settings);
    let (figures, down) = (figures(&outcome, at(300)), down(&outcome));
    assert!((15..50).contains(&down.len()), "{}", down.len());
    for node_type in [NodeType::LightNode, NodeType::MobileNode] {
        for (node, parents) in parents(&outcome, node_type) {
            assert!(parents.len() == 4 && parents.iter().all(|parent| !down.contains(parent)), "{node}: {parents:?}");
        }
    }
    let attach = &figures.attach[LIGHT];
    assert!(attach.failovers > 2_500, "3 in 10 of 12 000 parents died: {}", attach.failovers);
    // All parents of a node are gone with a chance of 0.3^4, about one in a hundred.
    let believed = attach.orphaned.quantile(100).expect("some node lost all of its parents");
    let unserved = attach.unserved.quantile(100).unwrap();
    // From the last acknowledgement: at most an interval, the repeats, and all requests of a bout in vain.
    let missed = SimSpan::from_secs(30) + options.repeat * u64::from(options.missed);
    let requests = SimSpan::from_secs(8) + options.attaching.backoff * 127;
    let slack = SimSpan::from_secs(1);
    assert!(believed <= requests + slack && unserved.as_nanos() * 8 / 9 <= (missed + requests + slack).as_nanos());
    assert!(unserved > SimSpan::from_secs(3) && believed < unserved, "{believed} and {unserved}");
    // Those whose first location is gone are found by the second.
    let lost = figures.failures() as f64 / figures.sent as f64;
    assert!(lost < 0.02 && figures.retries > 500, "{lost}, {} retries", figures.retries);
    let before = crash_free_failures(options);
    assert!(figures.failed[Cause::Unanswered as usize] > 0 && before == 0);
}

fn crash_free_failures(options: RouterOptions) -> u64 {
    figures(&run(&router(options), &network(0.0), settings(120)), at(120)).failures()
}

#[test]
fn nodes_with_one_parent_are_without_for_longer_and_lose_more_messages() {
    let with = |parents| {
        let mut settings = settings(300);
        settings.faults = crash(0.2);
        let router = router(options().with_parents(population(), parents, 3));
        figures(&run(&router, &network(0.0), settings), at(300))
    };
    let [one, three] = [1, 3].map(with);
    let nanos = |figures: &RouterFigures| figures.attach[LIGHT].unserved_nanos;
    assert!(nanos(&one) > 10 * nanos(&three), "{} and {}", nanos(&one), nanos(&three));
    assert!(one.failures() > 4 * three.failures(), "{} and {}", one.failures(), three.failures());
}

#[test]
fn rebalancing_brings_the_fullest_nearer_to_the_mean() {
    let with = |rebalancing| {
        let options = RouterOptions { rebalancing, messages: None, sample: Some(SimSpan::from_secs(100)), ..options() };
        let outcome = run(&router(options), &network(0.0), settings(400));
        let figures = figures(&outcome, at(400));
        let loads = figures.loads().to_vec();
        let settled: &Loads = loads.last().unwrap();
        (f64::from(settled.max().unwrap()) / settled.mean().unwrap(), figures)
    };
    let (without, still) = with(None);
    let (percent, moves) = (105, 16);
    let (rebalanced, moved) = with(Some(Rebalancing { high_percent: percent, moves_max: moves }));
    assert!(without > 1.2 && rebalanced < 1.1, "{without} and {rebalanced}");
    assert_eq!((still.asked_to_move, still.attach[LIGHT].moved), (0, 0));
    assert!(moved.attach[LIGHT].moved > 300 && moved.asked_to_move >= moved.attach[LIGHT].moved);
    // What moves stays attached.
    assert_eq!(moved.attach[LIGHT].orphaned.quantile(100), None);
}

#[test]
fn full_nodes_refuse_whom_they_have_no_room_for_and_name_another() {
    let mut options = options();
    // 12 800 links, and room for 13 300.
    options.children_max = 133;
    options.rebalancing = None;
    let outcome = run(&router(options), &network(0.0), settings(200));
    let figures = figures(&outcome, at(200));
    let light = &figures.attach[LIGHT];
    assert!(light.refused > 300 && light.redirected > 50, "{} and {}", light.refused, light.redirected);
    let counts: Vec<_> = population().range(NodeType::FullNode).map(|full| children(&outcome, full).len()).collect();
    assert!(counts.iter().all(|&count| count <= 133));
    let attached = parents(&outcome, NodeType::LightNode);
    assert!(attached.iter().all(|(_, parents)| !parents.is_empty()));
    let full = attached.iter().filter(|(_, parents)| parents.len() == 4).count();
    assert!(full * 100 > attached.len() * 99, "{full} of {}", attached.len());
}

#[test]
fn a_super_node_that_crashes_costs_its_locations_unless_there_is_a_second_home() {
    let failed = |homes| {
        let mut settings = settings(200);
        settings.faults = crash(0.3);
        settings.faults.outages[0].nodes.types = [true, false, false, false];
        let outcome = run(&router(RouterOptions { homes, ..options() }), &network(0.0), settings);
        let down = down(&outcome);
        assert!((1..6).contains(&down.len()), "{down:?}");
        for (node, parents) in parents(&outcome, NodeType::FullNode) {
            assert!(parents.len() == 3 && parents.iter().all(|parent| !down.contains(parent)), "{node}: {parents:?}");
        }
        let figures = figures(&outcome, at(200));
        (figures.failures() as f64 / figures.sent as f64, figures.attach[FULL].failovers)
    };
    let ((one, failovers), (two, _)) = (failed(1), failed(2));
    assert!(failovers > 20, "{failovers}");
    assert!(one > 0.05 && two < one / 2.0, "{one} with one home, {two} with two");
}

fn churn(graceful: f64) -> Schedule {
    let mean = |mean| Distribution::Exponential { mean };
    let churn = |types, session, absence| Churn {
        nodes: NodeSet { types, ..NodeSet::ALL },
        session: mean(session),
        absence: mean(absence),
        graceful,
        steady: true,
    };
    let full = churn([false, true, false, false], 400.0, 40.0);
    Schedule { churns: vec![full, churn([false, false, true, true], 300.0, 60.0)], outages: Vec::new() }
}

#[test]
fn under_churn_nodes_are_hardly_ever_without_parents_and_those_who_say_farewell_spare_others_the_search() {
    let with = |graceful| {
        let mut settings = settings(400);
        settings.faults = churn(graceful);
        let outcome = run(&router(options()), &network(0.01), settings);
        let attached = parents(&outcome, NodeType::LightNode);
        let without = attached.iter().filter(|(_, parents)| parents.is_empty()).count();
        assert!(without * 200 < attached.len(), "{without} of {} without a parent", attached.len());
        figures(&outcome, at(400))
    };
    let (crash, farewell) = (with(0.0), with(1.0));
    let share = |figures: &RouterFigures| figures.attach[LIGHT].orphaned_nanos as f64 / (3_000.0 * 400e9);
    assert!(share(&crash) < 0.001 && share(&farewell) < 0.001, "{} and {}", share(&crash), share(&farewell));
    let silent = |figures: &RouterFigures| figures.attach[LIGHT].failovers;
    assert!(silent(&crash) > 4 * silent(&farewell), "{} and {}", silent(&crash), silent(&farewell));
    // One receiver in six is away, and nobody knows where.
    let lost = crash.failures() as f64 / crash.sent as f64;
    assert!((0.1..0.35).contains(&lost), "{lost}");
    assert!(crash.confirmed + crash.failures() + crash.aborted <= crash.sent && crash.aborted > 0);
}

#[test]
fn near_parents_are_asked_first_and_far_ones_only_where_those_are_gone() {
    let placement = Placement::new(&[0.25; 4], 5);
    let one_way = |from: usize, to: usize| SimSpan::from_millis(10 + 40 * from.abs_diff(to) as u64);
    let clustering = Clustering::new(placement.clone(), 1.0, one_way);
    let candidates = DrawnCandidates::new(population(), 8, Some(clustering), 5);
    let router =
        HierarchicalRouter::new(population(), RouterOptions { rebalancing: None, ..options() }, Box::new(candidates));
    let outcome = run(&router, &network(0.0), settings(60));
    let attached = parents(&outcome, NodeType::LightNode);
    let is_near = |node: NodeId, parent: NodeId| placement.region_of(node) == placement.region_of(parent);
    assert!(attached.iter().all(|(node, parents)| parents.iter().all(|&parent| is_near(*node, parent))));
}

#[test]
fn candidates_may_come_from_a_graph() {
    let graph =
        TierDegrees { full_peers: 0, super_parents: 4, light_parents: 6, mesh: false }.graph(population(), 0, 9);
    let expected = graph.links(1_000).iter().map(|link| link.peer).take(4).collect::<Vec<_>>();
    let router = HierarchicalRouter::new(
        population(),
        RouterOptions { rebalancing: None, messages: None, ..options() },
        Box::new(graph),
    );
    let outcome = run(&router, &network(0.0), settings(60));
    let found = parents(&outcome, NodeType::LightNode).into_iter().find(|(node, _)| *node == 1_000).unwrap();
    assert_eq!(found.1, expected);
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let mut settings = settings(200);
    settings.faults = churn(0.5);
    settings.faults.outages = crash(0.2).outages;
    settings.boundaries = vec![at(70)];
    let router = router(RouterOptions { sample: Some(SimSpan::from_secs(20)), homes: 2, ..options() });
    let bytes = |outcome: &Outcome<HierarchicalRouter>| -> usize {
        outcome.states.iter().map(|(_, state)| router.state_bytes(state)).sum()
    };
    let expected = run(&router, &network(0.02), settings.clone());
    assert!(figures(&expected, at(200)).sent > 10_000);
    let layouts = [1, 2, 3].map(|threads| (threads, None)).into_iter().chain([0, 1, 4].map(|log2| (2, Some(log2))));
    for (threads, partitions_log2) in layouts {
        let outcome = run(&router, &network(0.02), Settings { threads, partitions_log2, ..settings.clone() });
        let layout = format!("{threads} threads, {} partitions", outcome.partitions);
        assert_eq!(outcome.digest, expected.digest, "{layout}");
        assert_eq!(outcome.slices, expected.slices, "{layout}");
        assert_eq!(figures(&outcome, at(200)), figures(&expected, at(200)), "{layout}");
        assert_eq!(bytes(&outcome), bytes(&expected), "{layout}");
    }
}

#[test]
fn tiers_may_be_small_or_empty() {
    for counts in [[0, 1, 2, 0], [1, 0, 3, 0], [0, 0, 2, 1], [1, 1, 1, 1], [2, 3, 0, 0], [3, 0, 0, 0], [1, 2, 5, 0]] {
        let population = Population::new(counts).unwrap();
        let candidates = DrawnCandidates::new(population, 8, None, 1);
        let router = HierarchicalRouter::new(population, options(), Box::new(candidates));
        let outcome = run(&router, &network(0.0), Settings::new(population, 1, at(100)));
        let figures = figures(&outcome, at(100));
        let [_, fulls, lights, _] = counts;
        let wanted = (fulls as usize).min(4);
        assert!(
            parents(&outcome, NodeType::LightNode).iter().all(|(_, parents)| parents.len() == wanted),
            "{counts:?}"
        );
        let arrives = fulls > 0 && lights > 1;
        assert_eq!(figures.delivered > 0, arrives, "{counts:?}");
        assert_eq!(figures.failures() > 0, lights > 1 && !arrives, "{counts:?}: {:?}", figures.failed);
    }
}

/// `time cargo test --release --test router -- --ignored --nocapture million`
#[test]
#[ignore = "takes a gigabyte and a minute"]
#[expect(clippy::print_stdout, reason = "its figures are for whoever runs it")]
fn a_million_light_nodes_fit_and_reach_each_other() {
    let population = Population::new([100, 10_000, 1_000_000, 0]).unwrap();
    let messages = Messages {
        interval: SimSpan::from_secs(300),
        len: 200,
        from: SimSpan::from_secs(60),
        answer: SimSpan::from_secs(2),
        attempts: 4,
    };
    let options = RouterOptions { messages: Some(messages), ..RouterOptions::for_population(population) };
    let candidates = DrawnCandidates::new(population, 8, None, 5);
    let router = HierarchicalRouter::new(population, options, Box::new(candidates));
    let outcome = run(&router, &network(0.0), Settings { threads: 2, ..Settings::new(population, 5, at(900)) });
    let figures = figures(&outcome, at(900));
    let bytes: usize = outcome.states.iter().map(|(_, state)| router.state_bytes(state)).sum();
    println!("{} events, {} bytes a light node, {} messages", outcome.events, bytes / 1_000_000, figures.sent);
    assert_eq!((figures.failures(), figures.unregistrable), (0, 0));
}
