//! Tests of heartbeats with detectors and leaves, without an engine.

use super::*;
use crate::contract::{Population, SimTime};
use crate::protocols::recorder::Recorder;

const INTERVAL: SimSpan = SimSpan::from_secs(10);
const NODES: NodeId = 6;

/// Every node sends to its two successors.
fn ring(partitions_log2: u32) -> Heartbeat {
    let graph = Graph::new(Population::flat(NODES), partitions_log2, |node, peers| {
        peers.extend([(node + 1) % NODES, (node + 2) % NODES]);
    });
    Heartbeat::new(graph, INTERVAL, 100)
}

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

/// What `act` makes the node `id` do after `secs` seconds.
fn record(id: NodeId, secs: u64, act: impl FnOnce(Here, &mut Recorder<Heartbeat>)) -> Recorder<Heartbeat> {
    let here = Nodes::all(Population::flat(NODES)).here(id as usize);
    let mut fx = Recorder::new(here, at(secs));
    act(here, &mut fx);
    fx
}

/// Hands over what `from` sent to `to` and returns the verdicts.
fn deliver(
    protocol: &Heartbeat,
    state: &mut LastHeard,
    (from, to): (NodeId, NodeId),
    sent: &Recorder<Heartbeat>,
) -> Vec<(NodeId, Verdict)> {
    let (_, beat, _) = sent.sent.iter().find(|(peer, ..)| *peer == to).expect("there is a link");
    let secs = sent.now.as_nanos() / 1_000_000_000;
    record(to, secs, |here, fx| protocol.handle_message(state, here, from, *beat, &[], fx)).judged
}

#[test]
fn neighbours_are_judged_by_their_silence_their_leave_and_their_return() {
    let protocol = ring(0).with_detector(Detector::Timeout { missed: 2 });
    let mut state = protocol.state(Nodes::all(Population::flat(NODES)));
    // Node 2 hears nodes 0 and 1.
    let fire =
        |state: &mut LastHeard, id, secs| record(id, secs, |here, fx| protocol.handle_timer(state, here, (), fx));
    let beat = fire(&mut state, 1, 5);
    assert_eq!(deliver(&protocol, &mut state, (1, 2), &beat), []);
    assert_eq!(fire(&mut state, 2, 24).judged, []);
    assert_eq!(fire(&mut state, 2, 26).judged, [(0, Verdict::Down)], "never heard");
    assert_eq!(fire(&mut state, 2, 36).judged, [(1, Verdict::Down)]);
    assert_eq!(fire(&mut state, 2, 46).judged, [], "a verdict falls once");
    let beat = fire(&mut state, 0, 47);
    assert_eq!(deliver(&protocol, &mut state, (0, 2), &beat), [(0, Verdict::Up)]);
    assert_eq!(deliver(&protocol, &mut state, (0, 2), &beat), []);
    let leave = record(0, 50, |here, fx| protocol.handle_leave(&mut state, here, fx));
    assert!(leave.sent.len() == 2 && leave.sent.iter().all(|(_, message, _)| protocol.kind(message) == 1));
    assert_eq!(deliver(&protocol, &mut state, (0, 2), &leave), [(0, Verdict::Down)]);
    assert_eq!(deliver(&protocol, &mut state, (0, 2), &leave), []);
    assert_eq!(fire(&mut state, 2, 100).judged, [], "both are down already");
    let join = record(2, 200, |here, fx| protocol.handle_join(&mut state, here, fx));
    assert!(join.judged.is_empty() && join.timers[0].0 < INTERVAL);
    assert_eq!(fire(&mut state, 2, 224).judged, []);
    assert_eq!(fire(&mut state, 2, 226).judged, [(0, Verdict::Down), (1, Verdict::Down)]);
}

#[test]
fn without_a_detector_leaves_are_told_and_judged_by_nobody() {
    let silent = ring(0);
    let mut state = silent.state(Nodes::all(Population::flat(NODES)));
    assert!(record(0, 1, |here, fx| silent.handle_leave(&mut state, here, fx)).sent.is_empty());
    assert_eq!(silent.kinds(), ["heartbeat"]);
    let protocol = ring(0).with_leaves();
    let leave = record(0, 1, |here, fx| protocol.handle_leave(&mut state, here, fx));
    let beat = record(0, 2, |here, fx| protocol.handle_timer(&mut state, here, (), fx));
    for sent in [&beat, &leave, &beat] {
        assert_eq!(deliver(&protocol, &mut state, (0, 1), sent), []);
    }
    assert_eq!(state.times().iter().filter(|&&time| time == at(2).into()).count(), 1);
    let [leave, beat] = [leave, beat].map(|fx| fx.sent[0].1);
    assert_ne!(protocol.fingerprint(&leave), protocol.fingerprint(&beat));
    assert_eq!((protocol.kinds(), protocol.wire_len(&leave, 0)), (&["heartbeat", "leave"][..], 100));
}

#[test]
fn what_is_off_takes_no_memory_and_what_is_on_the_same_for_every_layout() {
    let population = Population::flat(NODES);
    let edges = 2 * NODES as usize;
    let bytes = |log2: u32, build: &dyn Fn(Heartbeat) -> Heartbeat| -> usize {
        let protocol = build(ring(log2));
        let partitions = (0..1 << log2).map(|partition| Nodes::partition(population, partition, log2));
        partitions.map(|nodes| protocol.state_bytes(&protocol.state(nodes))).sum()
    };
    for log2 in 0..3 {
        assert_eq!(bytes(log2, &|plain| plain), 4 * edges);
        assert_eq!(bytes(log2, &Heartbeat::with_leaves), 4 * edges);
        let detector = Detector::Timeout { missed: 3 };
        assert_eq!(bytes(log2, &|plain| plain.with_detector(detector)), 8 * edges + 4 * NODES as usize);
        let detector = Detector::Phi { threshold: 8.0 };
        assert_eq!(bytes(log2, &|plain| plain.with_detector(detector)), 16 * edges + 4 * NODES as usize);
    }
    assert_eq!(size_of::<Beat>(), 4);
}
