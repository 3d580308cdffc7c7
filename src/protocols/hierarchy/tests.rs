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

fn at(secs: u64) -> CoarseTime {
    (SimTime::ZERO + SimSpan::from_secs(secs)).into()
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
    state.heard[lights.start + 3] = at(100);
    state.heard[mobiles.start] = at(100);
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
    state.heard[children].fill(at(90));
    let sent = fire(&hierarchy, &mut state, full, 100);
    let (to, message, payload) = sent.sent[0].clone();
    deliver(&hierarchy, &mut state, full, &sent);
    let lights = hierarchy.incoming.slots(full, NodeType::LightNode).len() as u32;
    for link in hierarchy.graph.links(full).iter().take(2) {
        assert!(hierarchy.incoming.slots(link.peer, NodeType::FullNode).contains(&(link.slot as usize)));
        assert_eq!(state.alive[link.slot as usize], lights);
        assert_eq!(state.heard[link.slot as usize], at(100));
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
