//! Tests of Kademlia, without an engine.

use proptest::prelude::*;

use super::table::{BUCKETS, bucket_of};
use super::wire::encode_contacts;
use super::*;
use crate::contract::SimTime;
use crate::protocols::recorder::Recorder;

const K: usize = 4;
const MEMBERS: NodeId = 200;
const OPTIONS: KademliaOptions = KademliaOptions {
    k: K as u8,
    alpha: 2,
    timeout: SimSpan::from_millis(500),
    refresh: None,
    values: Some(Publishing {
        values: 300,
        len: 10,
        over: SimSpan::from_secs(1),
        again: None,
        lookups: None,
        kept_max: 3,
    }),
    records_max: 10,
    ..KademliaOptions::PAPER
};

/// Nodes that are driven by hand.
struct Group {
    kademlia: Kademlia,
    state: KademliaState,
    nodes: Nodes,
}

impl Group {
    fn of(bootstrap: Bootstrap) -> Self {
        let population = Population::flat(MEMBERS);
        let (kademlia, nodes) = (Kademlia::new(population, OPTIONS, bootstrap, 1), Nodes::all(population));
        Group { state: kademlia.state(nodes.clone()), kademlia, nodes }
    }

    fn ideal() -> Self {
        Group::of(Bootstrap::Ideal)
    }

    /// Has node `id` do something.
    fn act(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&Kademlia, &mut KademliaState, Here, &mut Recorder<Kademlia>),
    ) -> Recorder<Kademlia> {
        let here = self.nodes.here(id as usize);
        let mut fx = Recorder::new(here, SimTime::ZERO);
        act(&self.kademlia, &mut self.state, here, &mut fx);
        fx
    }

    fn fire(&mut self, id: NodeId, timer: KademliaTimer) -> Recorder<Kademlia> {
        self.act(id, |kademlia, state, here, fx| kademlia.handle_timer(state, here, timer, fx))
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: KademliaMessage, payload: &[u8]) -> Recorder<Kademlia> {
        self.act(id, |kademlia, state, here, fx| kademlia.handle_message(state, here, from, message, payload, fx))
    }

    fn look_up(&mut self, id: NodeId, key: Key256) -> Recorder<Kademlia> {
        self.act(id, |kademlia, state, here, fx| kademlia.begin(state, here, Purpose::Node, key, fx))
    }

    fn bucket(&self, id: NodeId, of: NodeId) -> usize {
        bucket_of(self.kademlia.keys.head(id), self.kademlia.keys.head(of))
    }

    fn knows(&self, id: NodeId, other: NodeId) -> bool {
        self.state.table(id as usize).contacts().contains(&other)
    }

    /// Somebody of the farthest, full bucket of node `id`, whom it does not know.
    fn stranger(&self, id: NodeId) -> NodeId {
        let is_strange = |&other: &NodeId| self.bucket(id, other) == 0 && !self.knows(id, other);
        (0..MEMBERS).find(is_strange).expect("a bucket holds few")
    }

    fn contacts(&self, nodes: &[NodeId]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_contacts(&self.kademlia.keys, nodes.iter().copied(), &mut bytes);
        bytes
    }

    /// The nodes in the order of their distance from `key`.
    fn by_distance(&self, key: &Key256) -> Vec<NodeId> {
        let mut nodes: Vec<_> = (0..MEMBERS).collect();
        nodes.sort_by(|&a, &b| self.kademlia.keys.compare(key, a, b));
        nodes
    }
}

#[test]
fn what_travels_and_what_waits_is_small() {
    assert_eq!((size_of::<KademliaMessage>(), size_of::<KademliaTimer>(), size_of::<Node>()), (8, 12, 128));
    let group = Group::ideal();
    let contacts: usize = (0..MEMBERS as usize).map(|index| group.state.table(index).contacts().len()).sum();
    assert_eq!(group.kademlia.state_bytes(&group.state), 128 * MEMBERS as usize + 4 * contacts);
}

#[test]
fn who_asks_is_told_the_closest_contacts_but_not_itself() {
    let mut group = Group::ideal();
    let key = group.kademlia.keys.id(9);
    let mut known = group.kademlia.routing(&group.state, &group.nodes, 0).find_closest_nodes(&key);
    assert_eq!(known.len(), K);
    let asker = known[0];
    let answer = group.get(0, asker, KademliaMessage::FindNode { number: 5 }, &key);
    let [(to, KademliaMessage::Nodes { number: 5 }, told)] = &answer.sent[..] else { panic!("{:?}", answer.sent) };
    let mut others = Vec::new();
    wire::decode_contacts(&group.kademlia.keys, K, told, &mut others).unwrap();
    known.remove(0);
    assert_eq!((*to, others.len(), &others[..K - 1]), (asker, K, &known[..]));
}

#[test]
fn a_contact_makes_room_only_if_it_does_not_answer() {
    for answers in [true, false] {
        let mut group = Group::ideal();
        let stranger = group.stranger(0);
        let oldest = group.state.table(0).bucket(0)[0];
        let key = [0; 32];
        let asked = group.get(0, stranger, KademliaMessage::FindNode { number: 1 }, &key);
        let [(pinged, KademliaMessage::Ping { number }, _), (told, KademliaMessage::Nodes { .. }, _)] = asked.sent[..]
        else {
            panic!("{:?}", asked.sent)
        };
        assert_eq!((pinged, told), (oldest, stranger));
        assert_eq!(asked.timers, [(OPTIONS.timeout, KademliaTimer::Pong { number })]);
        let again = group.get(0, stranger, KademliaMessage::FindNode { number: 2 }, &key);
        assert_eq!(again.sent.len(), 1, "the bucket is being checked already");
        if answers {
            let ping = group.get(oldest, 0, KademliaMessage::Ping { number }, &[]);
            assert_eq!(ping.sent, [(0, KademliaMessage::Pong { number }, vec![])]);
            group.get(0, oldest, KademliaMessage::Pong { number }, &[]);
        }
        group.fire(0, KademliaTimer::Pong { number });
        let last = *group.state.table(0).bucket(0).last().unwrap();
        assert_eq!((group.knows(0, oldest), group.knows(0, stranger)), (answers, !answers));
        assert_eq!(last, if answers { oldest } else { stranger }, "it was seen last");
        let figures = group.state.figures();
        assert_eq!((figures.checks, figures.evicted), (1, u64::from(!answers)));
        assert_eq!(group.state.table(0).bucket(0).len(), K);
    }
}

#[test]
fn a_contact_that_is_gone_is_replaced_by_who_was_seen_last() {
    let mut group = Group::ideal();
    let strangers: Vec<_> = (1..MEMBERS)
        .filter(|&other| group.bucket(0, other) == 0 && !group.knows(0, other))
        .take(SPARES_MAX + 2)
        .collect();
    assert_eq!(strangers.len(), SPARES_MAX + 2);
    for &from in strangers.iter().chain([&strangers[2]]) {
        group.get(0, from, KademliaMessage::FindNode { number: 1 }, &[0; 32]);
    }
    let spares = |group: &Group| group.state.spares(0).unwrap().bucket(0).to_vec();
    let kept = [&strangers[3..], &strangers[2..3]].concat();
    assert_eq!(spares(&group), kept, "the last ones, each once");
    let contacts = group.state.table(0).bucket(0).to_vec();
    let bucket = |group: &Group| group.state.table(0).bucket(0).to_vec();
    for (round, &contact) in contacts[1..].iter().enumerate() {
        group.act(0, |kademlia, state, here, _| kademlia.drop_contact(state, here, contact));
        let newest = kept[kept.len() - 1 - round];
        assert_eq!((bucket(&group).len(), *bucket(&group).last().unwrap()), (K, newest), "as if it was just seen");
        assert!(!spares(&group).contains(&newest) && !group.knows(0, contact));
    }
    let [only] = spares(&group)[..] else { panic!("{:?}", spares(&group)) };
    group.act(0, |kademlia, state, here, _| kademlia.drop_contact(state, here, contacts[0]));
    group.act(0, |kademlia, state, here, _| kademlia.drop_contact(state, here, only));
    assert_eq!((bucket(&group).len(), spares(&group).len()), (K - 1, 0), "there is nobody left");
    assert_eq!((group.state.figures().failed, group.state.figures().replaced), (K as u64 + 1, K as u64));
}

#[test]
fn a_ping_is_answered_but_checks_nothing() {
    let mut group = Group::ideal();
    let stranger = group.stranger(0);
    let pinged = group.get(0, stranger, KademliaMessage::Ping { number: 3 }, &[]);
    assert_eq!((pinged.sent.len(), pinged.timers.len()), (1, 0));
    assert!(!group.knows(0, stranger));
    let other = group.state.table(0).bucket(0)[1];
    group.state.nodes[0].table.remove(0, other);
    group.get(0, stranger, KademliaMessage::Ping { number: 3 }, &[]);
    assert!(group.knows(0, stranger), "there was room");
}

#[test]
fn checks_are_bounded() {
    let mut group = Group::ideal();
    for from in 1..MEMBERS {
        group.get(0, from, KademliaMessage::FindNode { number: 1 }, &[0; 32]);
    }
    let checks = &group.state.nodes[0].checks;
    let buckets: std::collections::BTreeSet<_> = checks.iter().map(|check| group.bucket(0, check.contact)).collect();
    assert!((2..=CHECKS_MAX).contains(&checks.len()) && buckets.len() == checks.len(), "one a bucket: {checks:?}");
}

#[test]
fn a_lookup_goes_on_without_those_that_do_not_answer_and_they_are_forgotten() {
    let mut group = Group::ideal();
    let key = group.kademlia.keys.id(77);
    let begun = group.look_up(0, key);
    let [(first, KademliaMessage::FindNode { number }, payload), (second, ..)] = &begun.sent[..] else {
        panic!("{:?}", begun.sent)
    };
    let (first, second, number) = (*first, *second, *number);
    assert_eq!(payload[..], key);
    let late = |from| KademliaTimer::Answer { number, from };
    let half = SimSpan::from_nanos(OPTIONS.timeout.as_nanos() / 2);
    assert_eq!(begun.timers, [first, second].map(|from| (half, late(from))));
    let again = group.fire(0, late(first));
    let [(to, KademliaMessage::FindNode { number: repeated }, _)] = again.sent[..] else { panic!("{:?}", again.sent) };
    assert_eq!((to, repeated, &again.timers[..]), (first, number, &[(half, late(first))][..]));
    assert!(group.knows(0, first) && group.state.figures().repeated == 1);
    let next = group.fire(0, late(first));
    assert_eq!(next.sent.len(), 1, "one is under way still");
    assert!(!group.knows(0, first) && group.knows(0, second));
    assert!(group.fire(0, late(first)).sent.is_empty(), "that is known");
    assert_eq!(group.state.figures().failed, 1);
    // It was slow, not down.
    let told = group.contacts(&[77]);
    let after = group.get(0, first, KademliaMessage::Nodes { number }, &told);
    assert!(group.knows(0, first));
    assert_eq!(after.sent.len(), 0, "two are under way");
    let after = group.get(0, second, KademliaMessage::Nodes { number }, &told);
    assert_eq!(after.sent[0].0, 77);
    assert_eq!(group.state.figures().unasked, 0);
    for (from, number) in [(second, number), (150, number), (second, number + 1)] {
        group.get(0, from, KademliaMessage::Nodes { number }, &told);
    }
    assert_eq!(group.state.figures().unasked, 3, "answered, not asked, of another lookup");
    assert_eq!(group.state.lookups(0), 1);
}

/// Carries all messages at once until none is left, and no timer fires.
fn settle(group: &mut Group, id: NodeId, begun: Recorder<Kademlia>) {
    let mut under_way: std::collections::VecDeque<_> =
        begun.sent.into_iter().map(|(to, message, payload)| (id, to, message, payload)).collect();
    while let Some((from, to, message, payload)) = under_way.pop_front() {
        let fx = group.get(to, from, message, &payload);
        under_way.extend(fx.sent.into_iter().map(|(next, message, payload)| (to, next, message, payload)));
    }
}

#[test]
fn a_lookup_finds_the_closest_of_all() {
    let mut group = Group::ideal();
    for target in 0..30 {
        let key = Kademlia::key_of_value(target);
        let begun = group.look_up(0, key);
        settle(&mut group, 0, begun);
    }
    assert_eq!(group.state.lookups(0), 0);
    let figures = group.state.figures().lookups(Purpose::Node);
    assert_eq!((figures.finished, figures.found, figures.timeouts), (30, 30, 0));
    let records = group.state.records();
    assert_eq!(records.len(), 10, "as many as may be kept");
    for record in records {
        assert_eq!(record.closest, group.by_distance(&record.target)[0]);
        assert!((K as u16..30).contains(&record.requests) && (1..6).contains(&record.hops), "{record:?}");
    }
}

#[test]
fn lookups_at_a_time_are_bounded() {
    let mut group = Group::ideal();
    for number in 0..LOOKUPS_MAX + 3 {
        let begun = group.look_up(0, [number as u8; 32]);
        assert_eq!(begun.sent.is_empty(), number >= LOOKUPS_MAX);
    }
    assert_eq!((group.state.lookups(0), group.state.figures().skipped), (LOOKUPS_MAX, 3));
}

#[test]
fn a_published_value_is_kept_by_the_closest_and_found() {
    let mut group = Group::ideal();
    let key = Kademlia::key_of_value(0);
    let begun = group.fire(0, KademliaTimer::Publish { value: 0 });
    settle(&mut group, 0, begun);
    let near = group.by_distance(&key);
    let keepers =
        (0..MEMBERS as usize).filter(|&index| group.state.values(index).is_some_and(|v| v.get(&key).is_some()));
    let mut expected: Vec<_> = near[..K].iter().map(|&node| node as usize).collect();
    expected.sort_unstable();
    assert_eq!(keepers.collect::<Vec<_>>(), expected);
    let asker = near[100];
    let begun = group.act(asker, |kademlia, state, here, fx| {
        kademlia.begin(state, here, Purpose::Value { value: 0 }, key, fx);
    });
    assert!(matches!(begun.sent[0].1, KademliaMessage::FindValue { .. }));
    settle(&mut group, asker, begun);
    let keeper = near[0];
    group.act(keeper, |kademlia, state, here, fx| kademlia.begin(state, here, Purpose::Value { value: 0 }, key, fx));
    let unknown = Kademlia::key_of_value(7);
    let begun = group.act(asker, |kademlia, state, here, fx| {
        kademlia.begin(state, here, Purpose::Value { value: 7 }, unknown, fx);
    });
    settle(&mut group, asker, begun);
    let outcome = |place: usize| {
        let record = &group.state.records()[place];
        (record.purpose, record.found, record.requests > 0, record.hops > 0)
    };
    assert_eq!(outcome(1), (Purpose::Value { value: 0 }, true, true, true));
    assert_eq!(outcome(2), (Purpose::Value { value: 0 }, true, false, false), "it had it itself");
    assert_eq!(outcome(3), (Purpose::Value { value: 7 }, false, true, false), "nobody has it");
}

#[test]
fn a_node_keeps_no_more_values_than_it_may() {
    let mut group = Group::ideal();
    let mut store = |number: u8| {
        let payload = [&[number; 32][..], &[1, 2, 3]].concat();
        group.get(0, 1, KademliaMessage::Store { number: 9 }, &payload).sent.pop().unwrap().1
    };
    let kept: Vec<_> = [1, 2, 3, 4, 2].into_iter().map(&mut store).collect();
    assert_eq!(kept, [true, true, true, false, true].map(|kept| KademliaMessage::Stored { number: 9, kept }));
    assert_eq!((group.state.figures().stored, group.state.figures().refused), (4, 1));
}

#[test]
fn a_wrong_value_is_not_believed() {
    let mut group = Group::ideal();
    let key = Kademlia::key_of_value(0);
    let begun = group.act(0, |kademlia, state, here, fx| {
        kademlia.begin(state, here, Purpose::Value { value: 0 }, key, fx);
    });
    let (asked, KademliaMessage::FindValue { number }, _) = begun.sent[0] else { panic!("{:?}", begun.sent) };
    group.get(0, asked, KademliaMessage::Value { number }, &[0; 10]);
    assert_eq!((group.state.figures().rejected, group.state.lookups(0)), (1, 1));
    let right: Vec<u8> = group.kademlia.bytes_of(&key).collect();
    group.get(0, 190, KademliaMessage::Value { number }, &right);
    assert_eq!((group.state.figures().unasked, group.state.lookups(0)), (1, 1), "it was not asked");
    group.get(0, asked, KademliaMessage::Value { number }, &right);
    assert_eq!(group.state.lookups(0), 0);
}

#[test]
fn a_node_joins_through_one_that_it_knows_and_then_looks_into_every_bucket() {
    let mut group = Group::of(Bootstrap::Joins(SimSpan::ZERO));
    let silent = group.get(5, 1, KademliaMessage::Ping { number: 1 }, &[]);
    assert!(silent.sent.is_empty() && !group.knows(5, 1), "it is not there yet");
    // All but node 0 know everybody of their buckets.
    for node in 1..MEMBERS {
        let Kademlia { keys, tables, .. } = &group.kademlia;
        let table = Table::ideal(keys, node, K, &mut tables.stream(node, 1), &mut Path::new(keys));
        group.state.nodes[node as usize] = Node::joined(table);
    }
    let begun = group.act(0, |kademlia, state, here, fx| kademlia.handle_join(state, here, fx));
    let [(contact, KademliaMessage::FindNode { number }, ref own)] = begun.sent[..] else { panic!("{:?}", begun.sent) };
    assert_eq!(own[..], group.kademlia.keys.id(0));
    assert!(!group.state.has_joined(0));
    // The contact is down: another is tried.
    assert_eq!(group.fire(0, KademliaTimer::Answer { number, from: contact }).sent[0].0, contact);
    let again = group.fire(0, KademliaTimer::Answer { number, from: contact });
    assert_eq!(again.sent.len(), 1);
    settle(&mut group, 0, again);
    assert!(group.state.has_joined(0));
    let figures = group.state.figures();
    assert_eq!((figures.lookups(Purpose::Join).finished, figures.lookups(Purpose::Join).found), (2, 1));
    let deepest = group.state.table(0).deepest().unwrap();
    assert_eq!(figures.lookups(Purpose::Refresh).finished, deepest as u64);
    let buckets: Vec<_> = (1..MEMBERS).map(|other| group.bucket(0, other)).collect();
    let is_known = |bucket| group.state.table(0).bucket(bucket).is_empty() != buckets.contains(&bucket);
    assert!((0..=deepest).all(is_known), "it knows somebody in every bucket in which there is anybody");
    let near = group.by_distance(&group.kademlia.keys.id(0));
    assert_eq!(near[0], 0);
    assert!(near[1..=K].iter().all(|&other| group.knows(0, other)), "it knows its neighbours");
    assert!(near[1..=K].iter().all(|&other| group.knows(other, 0)), "and they know it");
}

#[test]
fn who_comes_back_has_forgotten_everything_but_its_numbers() {
    let mut group = Group::ideal();
    let begun = group.look_up(0, [3; 32]);
    let KademliaMessage::FindNode { number } = begun.sent[0].1 else { panic!("{:?}", begun.sent) };
    let payload = [&[1; 32][..], &[1, 2, 3]].concat();
    group.get(0, 1, KademliaMessage::Store { number: 9 }, &payload);
    group.act(0, |kademlia, state, here, fx| kademlia.handle_join(state, here, fx));
    let node = &group.state.nodes[0];
    assert!(node.table.contacts().is_empty() && node.kept.is_none() && node.lookups.len() == 1);
    assert!(node.lookups[0].number > number);
    assert_eq!(group.state.figures().aborted, 1);
}

#[test]
fn buckets_are_refreshed_one_after_the_other_unless_something_was_looked_for_in_them() {
    let mut group = Group::ideal();
    let deepest = group.state.table(0).deepest().unwrap();
    assert!((4..BUCKETS - 1).contains(&deepest));
    let far: Key256 = group.kademlia.keys.id(group.stranger(0));
    let begun = group.look_up(0, far);
    settle(&mut group, 0, begun);
    let begun = group.act(0, |kademlia, state, here, fx| kademlia.refresh(state, here, fx));
    assert_eq!(group.state.lookups(0), 1);
    settle(&mut group, 0, begun);
    let finished = |group: &Group| group.state.figures().lookups(Purpose::Refresh).finished;
    assert_eq!(finished(&group), deepest as u64, "all but the farthest");
    let begun = group.act(0, |kademlia, state, here, fx| kademlia.refresh(state, here, fx));
    settle(&mut group, 0, begun);
    assert_eq!(finished(&group), deepest as u64 + 1, "the others were looked into by the refresh before");
}

proptest! {
    #[test]
    fn hostile_payloads_are_refused_and_change_nothing(
        payload in prop::collection::vec(any::<u8>(), 0..1_500), form in 0usize..8, number in 0u32..3, from in 1..MEMBERS,
    ) {
        let mut group = Group::ideal();
        group.look_up(0, [7; 32]);
        let messages = [
            KademliaMessage::Ping { number },
            KademliaMessage::Pong { number },
            KademliaMessage::FindNode { number },
            KademliaMessage::Nodes { number },
            KademliaMessage::Store { number },
            KademliaMessage::Stored { number, kept: true },
            KademliaMessage::FindValue { number },
            KademliaMessage::Value { number },
        ];
        let before = group.state.table(0).contacts().to_vec();
        let answer = group.get(0, from, messages[form], &payload);
        if group.state.figures().rejected > 0 {
            prop_assert!(answer.sent.is_empty() && answer.timers.is_empty());
            prop_assert_eq!(group.state.table(0).contacts(), before);
        } else {
            let is_possible = match form {
                0 | 1 | 3 | 5 => payload.is_empty(),
                2 | 6 => payload.len() == 32,
                4 => (32..=32 + wire::VALUE_LEN_MAX).contains(&payload.len()),
                _ => true,
            };
            prop_assert!(is_possible);
        }
        prop_assert_eq!(group.state.lookups(0), 1);
    }
}
