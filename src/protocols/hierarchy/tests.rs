//! Tests of the hierarchy, without an engine.

use super::*;
use crate::protocols::recorder::Recorder;
use crate::topologies::TierDegrees;

const DEGREES: TierDegrees = TierDegrees { full_peers: 4, super_parents: 2, light_parents: 3, mesh: true };
const ADAPTIVE: AdaptiveHeartbeat = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) };

fn population() -> Population {
    Population::new([3, 8, 40, 10]).unwrap()
}

fn mesh(population: Population) -> Hierarchy {
    Hierarchy::new(DEGREES.graph(population, 0, 1), ADAPTIVE, 100)
}

fn gossip(population: Population) -> Hierarchy {
    let graph = TierDegrees { mesh: false, ..DEGREES }.graph(population, 0, 1);
    Hierarchy::with_gossip(graph, ADAPTIVE, 100, GossipEngine::new(5, 3), 16)
}

/// What the node with number `id` does when its timer fires after `secs` seconds.
fn fire(hierarchy: &Hierarchy, state: &mut HierarchyState, id: NodeId, secs: u64) -> Recorder<Hierarchy> {
    let here = Nodes::all(hierarchy.population).here(id as usize);
    let mut fx = Recorder::new(here, SimTime::ZERO + SimSpan::from_secs(secs));
    hierarchy.handle_timer(state, here, (), &mut fx);
    assert_eq!(
        fx.timers.iter().map(|&(span, ())| span).collect::<Vec<_>>(),
        [hierarchy.intervals[here.node_type as usize]]
    );
    fx
}

/// Hands over the messages that `from` sent, at the time of sending.
fn deliver(hierarchy: &Hierarchy, state: &mut HierarchyState, from: NodeId, sent: &Recorder<Hierarchy>) {
    for (to, message, payload) in &sent.sent {
        let here = Nodes::all(hierarchy.population).here(*to as usize);
        let mut fx = Recorder::new(here, sent.now);
        hierarchy.handle_message(state, here, from, *message, payload, &mut fx);
    }
}

#[test]
fn a_message_takes_eight_bytes() {
    assert_eq!(size_of::<HierarchyMessage>(), 8);
}

#[test]
fn each_tier_sends_what_it_should() {
    let hierarchy = mesh(population());
    let mut state = hierarchy.state(Nodes::all(population()));
    for (id, heartbeats, digests, beat) in [(0, 2, 0, 20), (5, 4, 2, 10), (20, 3, 0, 2), (60, 3, 0, 1)] {
        let fx = fire(&hierarchy, &mut state, id, 601);
        let count = |kind| fx.sent.iter().filter(|(_, message, _)| hierarchy.kind(message) == kind).count();
        assert_eq!((count(0), count(1)), (heartbeats, digests), "node {id}");
        for (_, message, payload) in &fx.sent {
            let (HierarchyMessage::Heartbeat { beat: sent, .. } | HierarchyMessage::Digest { beat: sent, .. }) =
                message
            else {
                panic!("{message:?} without gossip")
            };
            assert_eq!(*sent, beat);
            assert_eq!(hierarchy.wire_len(message, payload.len()), 100);
        }
    }
    assert_eq!(hierarchy.kinds(), ["heartbeat", "digest"]);
}

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

#[test]
fn a_digest_tells_which_children_live() {
    let hierarchy = mesh(population());
    let mut state = hierarchy.state(Nodes::all(population()));
    let full = 6;
    let slots = |node_type| hierarchy.incoming.slots(full, node_type);
    let (lights, mobiles) = (slots(NodeType::LightNode), slots(NodeType::MobileNode));
    assert!(lights.len() > 5 && mobiles.len() > 1, "the seed gives this node children of both types");
    let bitmap_at = |state: &mut HierarchyState, secs| {
        let fx = fire(&hierarchy, state, full, secs);
        let WireMessage::Digest(digest) = WireMessage::decode(&fx.sent[0].2).unwrap() else {
            panic!("no digest first")
        };
        assert_eq!((digest.sender, digest.children as usize), (full, lights.len() + mobiles.len()));
        (0..digest.children as usize)
            .filter(|child| digest.bitmap[child / 8] >> (child % 8) & 1 == 1)
            .collect::<Vec<_>>()
    };
    assert_eq!(bitmap_at(&mut state, 10), [0; 0], "nobody was heard yet");
    // Heard at 100 s: light child 3 is alive up to 1000 s, and the first mobile child up to 1900 s.
    state.links.note(lights.start + 3, at(100));
    state.links.note(mobiles.start, at(100));
    assert_eq!(bitmap_at(&mut state, 101), [3, lights.len()]);
    assert_eq!(bitmap_at(&mut state, 1_000), [3, lights.len()]);
    assert_eq!(bitmap_at(&mut state, 1_001), [lights.len()]);
    assert_eq!(bitmap_at(&mut state, 1_900), [lights.len()]);
    assert_eq!(bitmap_at(&mut state, 1_901), [0; 0]);
}

#[test]
fn super_nodes_keep_what_digests_report_and_reject_what_is_none() {
    let hierarchy = mesh(population());
    let mut state = hierarchy.state(Nodes::all(population()));
    let full = 6;
    let children = hierarchy.incoming.slots(full, NodeType::LightNode);
    children.for_each(|slot| state.links.note(slot, at(90)));
    let sent = fire(&hierarchy, &mut state, full, 100);
    let (to, message, payload) = sent.sent[0].clone();
    deliver(&hierarchy, &mut state, full, &sent);
    let lights = hierarchy.incoming.slots(full, NodeType::LightNode).len() as u32;
    for link in hierarchy.graph.links(full).iter().take(2) {
        assert!(hierarchy.incoming.slots(link.peer, NodeType::FullNode).contains(&(link.slot as usize)));
        assert_eq!(state.alive[link.slot as usize], lights);
        assert_eq!(state.heard()[link.slot as usize], at(100).into());
    }
    let supers = hierarchy.population.range(NodeType::SuperNode);
    let slots: usize = supers.map(|node| hierarchy.incoming.all(node).len()).sum();
    assert_eq!(state.alive().len(), slots, "the column ends with the slots of super nodes");
    let here = Nodes::all(population()).here(to as usize);
    let mut fx = Recorder::new(here, SimTime::MAX);
    hierarchy.handle_message(&mut state, here, full + 1, message, &payload, &mut fx);
    hierarchy.handle_message(&mut state, here, full, message, &payload[1..], &mut fx);
    assert_eq!(state.rejected(), 2);
}

#[test]
fn a_rumour_is_passed_on_once_within_its_tier() {
    let hierarchy = gossip(population());
    let mut state = hierarchy.state(Nodes::all(population()));
    for (origin, digests, tier) in [(1, 0, 0..3), (7, 2, 3..11)] {
        let fx = fire(&hierarchy, &mut state, origin, 61);
        let rumours = &fx.sent[digests..];
        assert_eq!(rumours.len(), 5);
        let beat = if digests == 0 { 2 } else { 1 };
        let expected = HierarchyMessage::Rumour { hops: 1, beat, origin };
        assert!(rumours.iter().all(|(to, message, _)| tier.contains(to) && *message == expected));
        let to = rumours[0].0;
        let here = Nodes::all(population()).here(to as usize);
        let mut first = Recorder::new(here, fx.now);
        hierarchy.handle_message(&mut state, here, origin, expected, &[], &mut first);
        let next = HierarchyMessage::Rumour { hops: 2, beat, origin };
        assert!(
            first.sent.len() == 5 && first.sent.iter().all(|(to, message, _)| tier.contains(to) && *message == next)
        );
        let mut second = Recorder::new(here, fx.now);
        hierarchy.handle_message(&mut state, here, origin, expected, &[], &mut second);
        let back = Nodes::all(population()).here(origin as usize);
        hierarchy.handle_message(&mut state, back, to, next, &[], &mut second);
        assert!(second.sent.is_empty(), "it is no news any more");
        let counts = state.rumours()[tier_of(here.node_type)];
        assert_eq!(counts, RumourCounts { started: 1, accepted: 1, repeated: 2 });
        let mut last = Recorder::new(here, fx.now);
        let far = HierarchyMessage::Rumour { hops: 3, beat: 9, origin };
        hierarchy.handle_message(&mut state, here, origin, far, &[], &mut last);
        assert!(last.sent.is_empty(), "it has come far enough");
    }
    assert_eq!(hierarchy.kinds(), ["heartbeat", "digest", "rumour"]);
}

#[test]
fn a_beat_that_comes_round_again_is_news() {
    let population = Population::new([0, 2, 0, 0]).unwrap();
    let graph = TierDegrees { mesh: false, ..DEGREES }.graph(population, 0, 1);
    let hierarchy = Hierarchy::with_gossip(graph, ADAPTIVE, 100, GossipEngine::new(1, 9), u32::MAX);
    let mut state = hierarchy.state(Nodes::all(population));
    let here = Nodes::all(population).here(1);
    for number in 0..1u64 << 17 {
        let rumour = HierarchyMessage::Rumour { hops: 1, beat: number as u16, origin: 0 };
        let mut fx = Recorder::new(here, SimTime::ZERO);
        hierarchy.handle_message(&mut state, here, 0, rumour, &[], &mut fx);
        assert_eq!(fx.sent.len(), 1, "rumour {number}");
    }
}

#[test]
fn a_tier_of_one_has_nobody_to_tell() {
    let population = Population::new([1, 1, 5, 0]).unwrap();
    let hierarchy = gossip(population);
    let mut state = hierarchy.state(Nodes::all(population));
    assert_eq!(fire(&hierarchy, &mut state, 0, 10).sent.len(), 0);
    assert_eq!(fire(&hierarchy, &mut state, 1, 10).sent.len(), 1, "its digest");
}

#[test]
fn lower_tiers_cost_nothing_but_the_links_to_their_parents() {
    let counts = [[3, 8, 0, 0], [3, 8, 1_000, 0], [3, 8, 0, 1_000]];
    let sizes = counts.map(|counts| {
        let population = Population::new(counts).unwrap();
        let hierarchy = gossip(population);
        (hierarchy.state_bytes(&hierarchy.state(Nodes::all(population))), hierarchy.bytes())
    });
    for (state, shared) in &sizes[1..] {
        assert_eq!(state - sizes[0].0, 3 * 1_000 * 4, "when each link was last heard of");
        assert_eq!(shared - sizes[0].1, 3 * 1_000 * 8, "the links");
    }
    let seen = (3 + 8) * 16 * 8;
    let slots = 8 * 2;
    assert_eq!(sizes[0].0, seen + slots * (4 + 4));
}

#[test]
fn fingerprints_tell_messages_apart_but_not_slots() {
    let hierarchy = gossip(population());
    let print = |message| hierarchy.fingerprint(&message);
    let beat = |beat, slot| HierarchyMessage::Heartbeat { beat, slot };
    assert_eq!(print(beat(1, 2)), print(beat(1, 3)));
    let rumour = |hops, beat, origin| HierarchyMessage::Rumour { hops, beat, origin };
    let mut prints = vec![
        print(beat(1, 2)),
        print(beat(2, 2)),
        print(HierarchyMessage::Digest { beat: 1, slot: 2 }),
        print(HierarchyMessage::Digest { beat: 2, slot: 2 }),
        print(rumour(1, 1, 1)),
        print(rumour(2, 1, 1)),
        print(rumour(1, 2, 1)),
        print(rumour(1, 1, 2)),
    ];
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), 8);
}

const TIMEOUT: Detector = Detector::Timeout { missed: 2 };

/// What the node `id` judges when its timer fires after `secs` seconds.
fn judged(hierarchy: &Hierarchy, state: &mut HierarchyState, id: NodeId, secs: u64) -> Vec<(NodeId, Verdict)> {
    fire(hierarchy, state, id, secs).judged
}

/// What `to` judges when it gets what `from` sent to it.
fn judged_at(
    hierarchy: &Hierarchy,
    state: &mut HierarchyState,
    (from, to): (NodeId, NodeId),
    sent: &Recorder<Hierarchy>,
) -> Vec<(NodeId, Verdict)> {
    let here = Nodes::all(hierarchy.population).here(to as usize);
    let mut fx = Recorder::new(here, sent.now);
    for (_, message, payload) in sent.sent.iter().filter(|(peer, ..)| *peer == to) {
        hierarchy.handle_message(state, here, from, *message, payload, &mut fx);
    }
    fx.judged
}

fn down(peers: impl IntoIterator<Item = NodeId>) -> Vec<(NodeId, Verdict)> {
    peers.into_iter().map(|peer| (peer, Verdict::Down)).collect()
}

#[test]
fn every_type_of_peer_is_judged_by_its_own_interval() {
    let hierarchy = mesh(population()).with_detector(TIMEOUT, &NodeSampler::new(1.0));
    let mut state = hierarchy.state(Nodes::all(population()));
    let sends_to = |node: NodeId, to| hierarchy.graph.links(node).iter().any(|link| link.peer == to);
    let senders = |to, node_type| population().range(node_type).filter(move |&node| sends_to(node, to));
    // A super node: others like it are silent for longer than 75 s, full nodes for longer than 150 s.
    assert_eq!(judged(&hierarchy, &mut state, 0, 74), []);
    assert_eq!(judged(&hierarchy, &mut state, 0, 76), down([1, 2]));
    assert_eq!(judged(&hierarchy, &mut state, 0, 149), []);
    assert_eq!(judged(&hierarchy, &mut state, 0, 151), down(senders(0, NodeType::FullNode)));
    // A full node: peers for 150 s, light children for 750 s, mobile ones for 1500 s.
    let full = 6;
    assert_eq!(judged(&hierarchy, &mut state, full, 151), down(senders(full, NodeType::FullNode)));
    assert_eq!(judged(&hierarchy, &mut state, full, 749), []);
    assert_eq!(judged(&hierarchy, &mut state, full, 751), down(senders(full, NodeType::LightNode)));
    assert_eq!(judged(&hierarchy, &mut state, full, 1_501), down(senders(full, NodeType::MobileNode)));
    // Light nodes judge nobody.
    assert_eq!(judged(&hierarchy, &mut state, 20, 9_000), []);
    // A heartbeat and a digest bring their senders back.
    let beat = fire(&hierarchy, &mut state, 1, 9_000);
    assert_eq!(judged_at(&hierarchy, &mut state, (1, 0), &beat), [(1, Verdict::Up)]);
    let parent = hierarchy.graph.links(full)[0].peer;
    let digest = fire(&hierarchy, &mut state, full, 9_001);
    let verdict = judged_at(&hierarchy, &mut state, (full, parent), &digest);
    assert_eq!(verdict, if parent == 0 { vec![(full, Verdict::Up)] } else { vec![] });
}

#[test]
fn digests_tell_whom_the_detector_takes_for_up() {
    let hierarchy = mesh(population()).with_detector(TIMEOUT, &NodeSampler::new(1.0));
    let mut state = hierarchy.state(Nodes::all(population()));
    let full = 6;
    let children = |node_type| hierarchy.incoming.slots(full, node_type).len() as u32;
    let alive_at = |state: &mut HierarchyState, secs| {
        let fx = fire(&hierarchy, state, full, secs);
        let Ok(WireMessage::Digest(digest)) = WireMessage::decode(&fx.sent[0].2) else { panic!("no digest first") };
        digest.alive
    };
    let (lights, mobiles) = (children(NodeType::LightNode), children(NodeType::MobileNode));
    assert_eq!(alive_at(&mut state, 740), lights + mobiles);
    assert_eq!(alive_at(&mut state, 760), mobiles);
    assert_eq!(alive_at(&mut state, 1_510), 0);
}

/// What the node `id` sends when it leaves after `secs` seconds.
fn leave(hierarchy: &Hierarchy, state: &mut HierarchyState, id: NodeId, secs: u64) -> Recorder<Hierarchy> {
    let here = Nodes::all(hierarchy.population).here(id as usize);
    let mut fx = Recorder::new(here, at(secs));
    hierarchy.handle_leave(state, here, &mut fx);
    fx
}

#[test]
fn who_leaves_says_so_along_its_links_and_is_forgotten_when_it_joins() {
    let hierarchy = mesh(population()).with_detector(TIMEOUT, &NodeSampler::new(1.0));
    let mut state = hierarchy.state(Nodes::all(population()));
    for id in [1, 6, 20, 60] {
        let sent = leave(&hierarchy, &mut state, id, 30);
        let to: Vec<_> = sent.sent.iter().map(|(to, ..)| *to).collect();
        assert!(to.iter().eq(hierarchy.graph.links(id).iter().map(|link| &link.peer)), "node {id}");
        for (to, message, _) in &sent.sent {
            assert_eq!((hierarchy.kind(message), hierarchy.wire_len(message, 0)), (2, 100));
            assert_eq!(judged_at(&hierarchy, &mut state, (id, *to), &sent), down([id]));
            assert_eq!(judged_at(&hierarchy, &mut state, (id, *to), &sent), []);
        }
    }
    assert_eq!(hierarchy.kinds(), ["heartbeat", "digest", "leave"]);
    let here = Nodes::all(population()).here(0);
    let mut fx = Recorder::new(here, at(1_000));
    hierarchy.handle_join(&mut state, here, &mut fx);
    assert!(fx.judged.is_empty() && fx.timers[0].0 < SimSpan::from_secs(30));
    assert!(hierarchy.incoming.all(0).all(|slot| state.alive[slot] == 0 && state.heard()[slot] == at(1_000).into()));
    assert_eq!(judged(&hierarchy, &mut state, 0, 1_076), down([1, 2]));
    // Without leaves, as without anything else of this, nobody says anything.
    assert!(leave(&mesh(population()), &mut state, 1, 30).sent.is_empty());
}

#[test]
fn rumours_tell_who_of_the_tier_lives_and_who_leaves() {
    for (rate, judges) in [(1.0, true), (0.0, false)] {
        let hierarchy = gossip(population()).with_detector(TIMEOUT, &NodeSampler::new(rate));
        let mut state = hierarchy.state(Nodes::all(population()));
        let only = |verdicts: Vec<(NodeId, Verdict)>| if judges { verdicts } else { Vec::new() };
        let here = Nodes::all(population()).here(5);
        let rumour = |state: &mut HierarchyState, message, secs| {
            let mut fx = Recorder::new(here, at(secs));
            hierarchy.handle_message(state, here, 4, message, &[], &mut fx);
            (fx.judged, fx.sent)
        };
        let lives = |beat| HierarchyMessage::Rumour { hops: 1, beat, origin: 7 };
        let parting = |hops| HierarchyMessage::Parting { hops, beat: 9, origin: 7 };
        assert_eq!(rumour(&mut state, lives(1), 60).0, []);
        let silent = (3..11).filter(|&node| node != 5 && node != 7);
        let mut verdicts = judged(&hierarchy, &mut state, 5, 151);
        // Children are judged along their links, whatever is tracked.
        verdicts.retain(|(peer, _)| *peer < 11);
        assert_eq!(verdicts, only(down(silent)));
        assert_eq!(judged(&hierarchy, &mut state, 5, 211), only(down([7])));
        assert_eq!(rumour(&mut state, lives(1), 212).0, [], "no news");
        assert_eq!(rumour(&mut state, lives(2), 213).0, only(vec![(7, Verdict::Up)]));
        let (verdicts, sent) = rumour(&mut state, parting(1), 220);
        assert_eq!(verdicts, only(down([7])));
        assert!(sent.len() == 5 && sent.iter().all(|(to, message, _)| (3..11).contains(to) && *message == parting(2)));
        let again = rumour(&mut state, parting(3), 221);
        assert!(again.0.is_empty() && again.1.is_empty(), "it is no news any more");
        // Its own leave goes to its parents and, as a rumour, to its tier.
        let sent = leave(&hierarchy, &mut state, 5, 240);
        assert!(sent.judged.is_empty() && sent.sent.len() == 2 + 5);
        assert!(sent.sent.iter().all(|(_, message, _)| hierarchy.kind(message) == 3));
        let own = HierarchyMessage::Parting { hops: 1, beat: 4, origin: 5 };
        assert!(sent.sent[2..].iter().all(|(_, message, _)| *message == own));
        // Fresh, it takes all for up and has seen nothing.
        let mut fx = Recorder::new(here, at(300));
        hierarchy.handle_join(&mut state, here, &mut fx);
        assert_eq!(rumour(&mut state, lives(2), 301).1.len(), 5);
        assert_eq!(hierarchy.kinds(), ["heartbeat", "digest", "rumour", "leave"]);
    }
}

#[test]
fn detectors_take_the_memory_that_they_say_for_every_layout() {
    let counts = [3u32, 8, 40, 10];
    let links = 3 * 2 + 8 * (2 + 4) + 50 * 3;
    for log2 in 0..3 {
        let nodes = (0..1 << log2).map(|partition| Nodes::partition(population(), partition, log2));
        let bytes = |hierarchy: &Hierarchy| -> usize {
            nodes.clone().map(|nodes| hierarchy.state_bytes(&hierarchy.state(nodes))).sum()
        };
        let everyone = NodeSampler::new(1.0);
        let mesh = || Hierarchy::new(DEGREES.graph(population(), log2, 1), ADAPTIVE, 100);
        let plain = bytes(&mesh());
        assert_eq!(bytes(&mesh().with_leaves()), plain);
        assert_eq!(bytes(&mesh().with_detector(TIMEOUT, &everyone)) - plain, 4 * links);
        let phi = Detector::Phi { threshold: 8.0 };
        assert_eq!(bytes(&mesh().with_detector(phi, &everyone)) - plain, (4 + 8) * links);
        let gossip = || {
            let graph = TierDegrees { mesh: false, ..DEGREES }.graph(population(), log2, 1);
            Hierarchy::with_gossip(graph, ADAPTIVE, 100, GossipEngine::new(5, 3), 16)
        };
        let (pairs, links) = (3 * 3 + 8 * 8, 8 * 2 + 50 * 3);
        assert_eq!(bytes(&gossip().with_detector(TIMEOUT, &everyone)) - bytes(&gossip()), 4 * links + 4 * pairs);
        let shared = gossip().with_detector(TIMEOUT, &everyone).bytes() - gossip().bytes();
        assert_eq!(shared, 8 * (counts[0] + counts[1]) as usize);
    }
    assert_eq!(size_of::<HierarchyMessage>(), 8);
}
