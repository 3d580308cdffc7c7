//! Protocols on the engine: how much they send, what they achieve, and that threads and partitions cannot be seen.

use qnetsim::contract::{NodeType, Population, Protocol, SimSpan, SimTime};
use qnetsim::engine::{Broadcast, Latency, NetworkModel, Outcome, Settings, Simulation};
use qnetsim::metrics::{Flow, Traffic};
use qnetsim::protocols::adaptive::AdaptiveHeartbeat;
use qnetsim::protocols::full_mesh::FullMesh;
use qnetsim::protocols::gossip::GossipEngine;
use qnetsim::protocols::hierarchy::{Hierarchy, HierarchyState, RumourCounts};
use qnetsim::topologies::TierDegrees;

const DEGREES: TierDegrees = TierDegrees { full_peers: 20, super_parents: 3, light_parents: 4, mesh: true };
const HEARTBEAT: usize = 0;
const DIGEST: usize = 1;
const RUMOUR: usize = 2;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

fn adaptive(base_secs: u64) -> AdaptiveHeartbeat {
    AdaptiveHeartbeat { base_interval: SimSpan::from_secs(base_secs) }
}

fn constant() -> NetworkModel {
    NetworkModel::new(Latency::Constant(SimSpan::from_millis(50)), 0.0)
}

fn uniform() -> NetworkModel {
    NetworkModel::new(Latency::Uniform { min: SimSpan::from_millis(10), max: SimSpan::from_millis(100) }, 0.0)
}

/// Settings that measure from one time to another, and end a second later. The slice that is measured is number 1.
fn measure(population: Population, from: u64, to: u64) -> Settings {
    let mut settings = Settings::new(population, 1, at(to + 1));
    settings.boundaries = vec![at(from), at(to)];
    settings.measured = at(from)..at(to);
    settings.meters = true;
    settings
}

fn run<P: Protocol>(protocol: &P, network: &NetworkModel, settings: &Settings) -> Outcome<P> {
    Simulation::new(protocol, network, settings.clone()).run().expect("nothing is lost or made up")
}

fn meshed(population: Population, settings: &Settings, base_secs: u64) -> Hierarchy {
    let graph = DEGREES.graph(population, settings.partitions_log2(), settings.seed);
    Hierarchy::new(graph, adaptive(base_secs), 100)
}

fn gossiping(settings: &Settings, base_secs: u64, engine: GossipEngine) -> Hierarchy {
    let degrees = TierDegrees { mesh: false, ..DEGREES };
    let graph = degrees.graph(settings.population, settings.partitions_log2(), settings.seed);
    Hierarchy::with_gossip(graph, adaptive(base_secs), 100, engine, 1_024)
}

/// Messages of a kind by type of node.
fn messages(traffic: &Traffic, flow: Flow, kind: usize) -> [u64; 4] {
    NodeType::ALL.map(|node_type| traffic.get(flow, kind, node_type).messages)
}

#[test]
fn the_hierarchy_sends_exactly_what_its_degrees_and_intervals_say() {
    let population = Population::new([10, 100, 2_000, 50]).unwrap();
    // 600 seconds are a whole number of intervals of every type.
    let settings = measure(population, 600, 1_200);
    let outcome = run(&meshed(population, &settings, 30), &constant(), &settings);
    let traffic = &outcome.slices[1];
    assert_eq!(messages(traffic, Flow::Sent, HEARTBEAT), [10 * 9 * 20, 100 * 20 * 10, 2_000 * 4 * 2, 50 * 4]);
    assert_eq!(messages(traffic, Flow::Sent, DIGEST), [0, 100 * 3 * 10, 0, 0]);
    // What is under way when measuring starts makes up for what is under way when it ends.
    assert_eq!(
        messages(traffic, Flow::Received, HEARTBEAT),
        [10 * 9 * 20, 100 * 20 * 10 + 2_000 * 4 * 2 + 50 * 4, 0, 0]
    );
    assert_eq!(messages(traffic, Flow::Received, DIGEST), [100 * 3 * 10, 0, 0, 0]);
    let sent = traffic.total(Flow::Sent);
    assert_eq!(sent.bytes, 100 * sent.messages, "some 80 children fit a digest of 100 bytes");
    let light = outcome.bandwidth[NodeType::LightNode as usize].unwrap();
    assert_eq!((light.upload.max, light.download.max), (2 * 4 * 128, 0));
}

#[test]
fn a_digest_with_many_children_is_as_long_as_its_bitmap() {
    let population = Population::new([1, 2, 1_000, 0]).unwrap();
    let settings = measure(population, 60, 120);
    let outcome = run(&meshed(population, &settings, 30), &constant(), &settings);
    let digests = outcome.slices[1].kind_total(Flow::Sent, DIGEST);
    assert_eq!((digests.messages, digests.bytes), (2, 2 * (48 + 125)), "every full node has 1000 children");
}

/// For every link from a full to a super node, what the super node was told, and the children of the full node.
fn reports(protocol: &Hierarchy, outcome: &Outcome<Hierarchy>) -> Vec<(u32, usize)> {
    let population = protocol.graph().population();
    let state_of = |node| outcome.states.iter().find(|(nodes, _)| nodes.index_of(node).is_some()).map(|(_, s)| s);
    let children = |node| {
        let of = |node_type| protocol.incoming().slots(node, node_type).len();
        of(NodeType::LightNode) + of(NodeType::MobileNode)
    };
    let report = |full| {
        let parents = protocol.graph().links(full).iter().take(DEGREES.super_parents as usize);
        parents.map(move |link| (state_of(link.peer).unwrap().alive()[link.slot as usize], children(full)))
    };
    population.range(NodeType::FullNode).flat_map(report).collect()
}

#[test]
fn digests_report_every_child_alive_once_all_had_their_turn() {
    let population = Population::new([10, 100, 2_000, 50]).unwrap();
    for partitions_log2 in [0, 3] {
        let settings = |end| {
            let mut settings = Settings::new(population, 1, at(end));
            settings.partitions_log2 = Some(partitions_log2);
            settings
        };
        let protocol = meshed(population, &settings(0), 30);
        let early = run(&protocol, &uniform(), &settings(200));
        let steady = run(&protocol, &uniform(), &settings(3_000));
        let rejected = |state: &HierarchyState| state.rejected();
        assert!(steady.states.iter().all(|(_, state)| rejected(state) == 0));
        let (early, steady) = (reports(&protocol, &early), reports(&protocol, &steady));
        assert_eq!(steady.len(), 300);
        assert!(steady.iter().all(|&(alive, children)| alive as usize == children));
        assert_eq!(steady.iter().map(|&(alive, _)| alive).sum::<u32>(), 3 * 4 * 2_050);
        let heard: u32 = early.iter().map(|&(alive, _)| alive).sum();
        // Digests are 30 s old on average, so they know the light nodes whose phase is in the first 170 s of 300.
        assert!((0.5..0.65).contains(&(f64::from(heard) / 24_600.0)), "{heard}");
    }
}

/// Runs gossip among `nodes` full nodes until a moment at which every rumour has died out.
fn spread(nodes: u64, fanout: u32, hops_max: u32) -> (RumourCounts, u64) {
    let population = Population::new([0, nodes, 0, 0]).unwrap();
    for millis in (400_000..).step_by(100) {
        let mut settings = Settings::new(population, 3, SimTime::from_nanos(millis * 1_000_000));
        settings.partitions_log2 = Some(1);
        let protocol = gossiping(&settings, 1_000, GossipEngine::new(fanout, hops_max));
        let outcome = run(&protocol, &uniform(), &settings);
        if outcome.in_flight > 0 {
            continue;
        }
        let mut counts = RumourCounts::default();
        for (_, state) in &outcome.states {
            let [supers, fulls] = state.rumours();
            assert_eq!(supers, RumourCounts::default());
            counts.started += fulls.started;
            counts.accepted += fulls.accepted;
            counts.repeated += fulls.repeated;
        }
        let sent = outcome.slices[0].kind_total(Flow::Sent, RUMOUR).messages;
        assert_eq!(counts.accepted + counts.repeated, sent);
        assert!((100..300).contains(&counts.started), "a fifth of the nodes has had its turn");
        return (counts, sent);
    }
    unreachable!("rumours die out between two beats")
}

#[test]
fn rumours_reach_as_many_as_theory_says() {
    const NODES: f64 = 1_000.0;
    for fanout in [2, 3, 8] {
        let (counts, sent) = spread(1_000, fanout, 255);
        assert_eq!(sent, u64::from(fanout) * (counts.started + counts.accepted), "everyone reached sends once");
        // x = 1 - exp(-fanout x), with exp(-y) as the chance that none of y n messages picks a given node.
        let missed = |reached: f64| libm::pow(1.0 - 1.0 / (NODES - 1.0), f64::from(fanout) * reached);
        let theory = (0..200).fold(NODES, |reached, _| NODES * (1.0 - missed(reached)));
        // Variance of the number of empty boxes when balls are thrown, fed back through the map above.
        let q = missed(theory);
        let throws = f64::from(fanout) * theory / NODES;
        let feedback = 1.0 - f64::from(fanout) * q;
        let variance = NODES * q * (1.0 - (1.0 + throws) * q) / (feedback * feedback);
        let reached = 1.0 + counts.accepted as f64 / counts.started as f64;
        let sigma = (variance / counts.started as f64).sqrt();
        assert!((reached - theory).abs() < 5.0 * sigma, "fanout {fanout}: {reached}, in theory {theory} ± {sigma}");
    }
}

#[test]
fn rumours_stop_after_the_hops_they_are_given() {
    let (counts, sent) = spread(1_000, 8, 1);
    assert_eq!(sent, 8 * counts.started);
    let (counts, sent) = spread(1_000, 8, 2);
    let first_hop = 8.0 - 28.0 / 999.0;
    let per_rumour = sent as f64 / counts.started as f64;
    assert!((per_rumour - 8.0 * (1.0 + first_hop)).abs() < 1.0, "{per_rumour} messages a rumour");
}

#[test]
fn the_gossip_variant_has_no_heartbeats_within_tiers() {
    let population = Population::new([10, 100, 2_000, 50]).unwrap();
    let settings = measure(population, 600, 1_200);
    let protocol = gossiping(&settings, 30, GossipEngine::new(8, 20));
    let outcome = run(&protocol, &constant(), &settings);
    let traffic = &outcome.slices[1];
    assert_eq!(messages(traffic, Flow::Sent, HEARTBEAT), [0, 0, 2_000 * 4 * 2, 50 * 4]);
    assert_eq!(messages(traffic, Flow::Sent, DIGEST), [0, 100 * 3 * 10, 0, 0]);
    let [supers, fulls, ..] = messages(traffic, Flow::Sent, RUMOUR);
    // Everyone reached sends eight; all but one in three thousand are reached.
    let all = [10 * 10 * 8 * 20, 100 * 100 * 8 * 10];
    assert!(supers <= all[0] && supers > all[0] * 99 / 100, "{supers} of {}", all[0]);
    assert!(fulls <= all[1] && fulls > all[1] * 99 / 100, "{fulls} of {}", all[1]);
}

#[test]
fn a_full_mesh_sends_n_times_n_minus_one_in_an_interval() {
    for nodes in [1, 2, 30, 200] {
        let population = Population::flat(nodes);
        let settings = measure(population, 30, 60);
        let outcome = run(&FullMesh::new(population, SimSpan::from_secs(30), 100, true), &uniform(), &settings);
        let n = u64::from(nodes);
        assert_eq!(outcome.slices[1].total(Flow::Sent).messages, n * (n - 1));
        for (partition, state) in &outcome.states {
            for here in partition.iter() {
                let heard = state.times(here.index).iter().filter(|&&time| time >= at(30).into()).count();
                assert_eq!(heard as u64, n - 1, "node {} heard everyone lately", here.id);
            }
        }
    }
}

#[test]
fn counting_broadcasts_gives_what_delivering_them_gives() {
    for counts in [[0, 2, 0, 0], [0, 17, 0, 0], [3, 20, 40, 1], [0, 300, 0, 0]] {
        let population = Population::new(counts).unwrap();
        let interval = SimSpan::from_secs(30);
        for (network, received_too) in [(uniform(), false), (constant(), true)] {
            let mut settings = measure(population, 30, 120);
            let delivered = run(&FullMesh::new(population, interval, 100, true), &network, &settings);
            settings.broadcast = Broadcast::Counted;
            let counted = run(&FullMesh::new(population, interval, 100, false), &network, &settings);
            for (slice, (event, count)) in delivered.slices.iter().zip(&counted.slices).enumerate() {
                for node_type in NodeType::ALL {
                    let [event, count] = [event, count].map(|t| t.get(Flow::Sent, HEARTBEAT, node_type));
                    assert_eq!(event, count, "{counts:?}, slice {slice}, {node_type} nodes");
                }
            }
            let n = u64::from(population.total());
            assert_eq!(counted.slices[1].total(Flow::Sent).messages, 3 * n * (n - 1));
            for (event, count) in delivered.bandwidth.iter().zip(&counted.bandwidth) {
                assert_eq!(event.map(|b| b.upload), count.map(|b| b.upload), "{counts:?}");
                if received_too {
                    assert_eq!(event, count, "{counts:?}");
                }
            }
            if received_too {
                assert_eq!(delivered.slices[1], counted.slices[1], "{counts:?}");
            }
            assert!(counted.events < delivered.events);
        }
    }
}

/// Checks that what `build` makes gives the same run whatever the threads and partitions.
#[track_caller]
fn check_invariance<P: Protocol>(settings: &Settings, build: impl Fn(&Settings) -> P) {
    let expected = run(&build(settings), &uniform(), settings);
    let bytes = |protocol: &P, outcome: &Outcome<P>| {
        outcome.states.iter().map(|(_, state)| protocol.state_bytes(state)).sum::<usize>()
    };
    let state_bytes = bytes(&build(settings), &expected);
    assert!(expected.slices[1].total(Flow::Received).messages > 500, "something happens");
    let threads = [1, 2, 3, 8].map(|threads| (threads, None));
    let partitions = [0, 1, 2, 3, 4].map(|log2| (2, Some(log2)));
    for (threads, partitions_log2) in threads.into_iter().chain(partitions) {
        let settings = Settings { threads, partitions_log2, ..settings.clone() };
        let protocol = build(&settings);
        let outcome = run(&protocol, &uniform(), &settings);
        let layout = format!("{threads} threads, {} partitions", outcome.partitions);
        assert_eq!(bytes(&protocol, &outcome), state_bytes, "{layout}");
        assert_eq!(outcome.digest, expected.digest, "{layout}");
        assert_eq!(outcome.slices, expected.slices, "{layout}");
        assert_eq!(outcome.bandwidth, expected.bandwidth, "{layout}");
        assert_eq!((outcome.events, outcome.in_flight), (expected.events, expected.in_flight), "{layout}");
    }
}

#[test]
fn threads_and_partitions_cannot_be_seen() {
    let population = Population::new([12, 60, 900, 40]).unwrap();
    let settings = measure(population, 5, 25);
    check_invariance(&settings, |settings| meshed(population, settings, 1));
    check_invariance(&settings, |settings| gossiping(settings, 1, GossipEngine::new(8, 20)));
    let population = Population::new([3, 100, 5, 0]).unwrap();
    let mut settings = measure(population, 5, 25);
    check_invariance(&settings, |_| FullMesh::new(population, SimSpan::from_secs(2), 100, true));
    settings.broadcast = Broadcast::Counted;
    check_invariance(&settings, |_| FullMesh::new(population, SimSpan::from_secs(2), 100, false));
}
