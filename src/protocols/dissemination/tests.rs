//! Tests of dissemination, without an engine.

use super::*;
use crate::contract::{NodeType, Population};
use crate::protocols::recorder::Recorder;

use DisseminationMessage::{Ask, Graft, Have, Message, Prune, Sync, Want};

const MEMBERS: NodeId = 100;
const MESH: MeshOptions =
    MeshOptions { degree: 4, low: 3, high: 6, lazy: 3, contacts: 12, backoff: 5, renew: 3, ..MeshOptions::ETHEREUM };
const PUSH: Spread = Spread::Push { fanout: 5 };
const LAZY: Spread = Spread::Lazy { fanout: 5 };

/// A message a second from the first second on; each lives for eight.
fn options(spread: Spread) -> DisseminationOptions {
    DisseminationOptions {
        spread,
        publishing: Publishing {
            messages: 100,
            size: 500,
            first: at(1_000),
            every: SimSpan::from_secs(1),
            sources: 100,
        },
        lifetime: SimSpan::from_secs(8),
        seen: 16,
        kept: 8,
        wanted: 2,
        timeout: SimSpan::from_millis(500),
        repair: None,
    }
}

fn rounds(exchange: Exchange, synchronous: bool) -> Spread {
    Spread::Rounds { exchange, period: SimSpan::from_secs(2), synchronous }
}

fn at(millis: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_millis(millis)
}

fn ids(numbers: &[u32]) -> Ids {
    let mut ids = Ids::none(numbers[0]);
    assert!(numbers.iter().all(|&number| ids.insert(number)));
    ids
}

/// Nodes that are driven by hand, at a time of day.
struct Group {
    protocol: Dissemination,
    state: DisseminationState,
    nodes: Nodes,
    now: SimTime,
}

impl Group {
    fn new(options: DisseminationOptions) -> Self {
        let nodes = Nodes::all(Population::flat(MEMBERS));
        let protocol = Dissemination::new(Tier::Uniform(0..MEMBERS), options, 1);
        Group { state: protocol.state(nodes.clone()), protocol, nodes, now: at(4_500) }
    }

    fn of(spread: Spread) -> Self {
        Group::new(options(spread))
    }

    fn act(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&Dissemination, &mut DisseminationState, Here, &mut Recorder<Dissemination>),
    ) -> Recorder<Dissemination> {
        let here = self.nodes.here(id as usize);
        let mut fx = Recorder::new(here, self.now);
        act(&self.protocol, &mut self.state, here, &mut fx);
        fx
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: DisseminationMessage) -> Recorder<Dissemination> {
        self.act(id, |protocol, state, here, fx| protocol.handle_message(state, here, from, message, &[], fx))
    }

    fn fire(&mut self, id: NodeId, timer: DisseminationTimer) -> Recorder<Dissemination> {
        self.act(id, |protocol, state, here, fx| protocol.handle_timer(state, here, timer, fx))
    }

    fn figures(&self) -> &DisseminationFigures {
        self.state.figures()
    }

    fn links(&self, id: NodeId) -> Vec<NodeId> {
        self.state.linked(id as usize).collect()
    }
}

fn sent(fx: &Recorder<Dissemination>) -> Vec<(NodeId, DisseminationMessage)> {
    fx.sent.iter().map(|&(to, message, _)| (to, message)).collect()
}

fn said(fx: &Recorder<Dissemination>) -> Vec<DisseminationMessage> {
    fx.sent.iter().map(|&(_, message, _)| message).collect()
}

#[test]
fn a_publisher_is_the_first_to_have_its_message_and_everybody_passes_it_on_once() {
    for (spread, passed) in [(PUSH, Message { number: 2, hops: 1 }), (LAZY, Have(Ids::one(2)))] {
        let mut group = Group::of(spread);
        group.now = at(3_000);
        let publisher = group.fire(7, DisseminationTimer::Publish { number: 2 });
        assert_eq!(said(&publisher), vec![passed; 5]);
        group.now = at(3_200);
        let first = group.get(8, 7, Message { number: 2, hops: 1 });
        let next = if spread == PUSH { Message { number: 2, hops: 2 } } else { passed };
        assert_eq!(said(&first), vec![next; 5]);
        assert!(first.sent.iter().all(|&(to, ..)| to != 8));
        assert_eq!(said(&group.get(8, 9, Message { number: 2, hops: 4 })), []);
        let figures = group.figures();
        assert_eq!((figures.duplicates, figures.deliveries(), figures.published().count()), (1, 2, 1));
        let delays = figures.delays(NodeType::FullNode);
        assert_eq!((delays.longest(), delays.mean()), (SimSpan::from_millis(200), Some(SimSpan::from_millis(100))));
        assert_eq!(figures.hops(NodeType::FullNode).counts()[..2], [1, 1]);
        assert_eq!((figures.sent.iter().sum::<u64>(), figures.missed(NodeType::FullNode)), (10, (98, 100)));
    }
}

#[test]
fn what_is_too_old_or_was_never_published_or_makes_no_sense_is_ignored() {
    let mut group = Group::of(PUSH);
    group.now = at(10_500);
    for (message, counts) in [
        (Message { number: 1, hops: 1 }, (1, 0)),
        (Message { number: 10, hops: 1 }, (1, 1)),
        (Message { number: u32::MAX, hops: 1 }, (1, 2)),
        (Message { number: 3, hops: 0 }, (1, 3)),
        // Without repair nobody keeps anything, or has a mesh.
        (Have(Ids::one(3)), (1, 4)),
        (Want(Ids::one(3)), (1, 5)),
        (Ask(Ids::one(3)), (1, 6)),
        (Sync(Ids::one(3)), (1, 7)),
        (Graft, (1, 8)),
        (Prune, (1, 9)),
    ] {
        assert_eq!(said(&group.get(8, 7, message)), [], "{message:?}");
        assert_eq!((group.figures().late, group.figures().rejected), counts, "{message:?}");
    }
    assert_eq!(said(&group.get(8, 7, Message { number: 2, hops: 255 })), [], "it has come far enough");
    assert_eq!(group.figures().deliveries(), 1);
    let mut group = Group::of(Spread::Mesh(MESH));
    for forged in
        [Have(ids(&[2, 4])), Want(ids(&[3, 4])), Ask(Ids::one(u32::MAX)), Sync(ids(&[u32::MAX - 1, u32::MAX]))]
    {
        assert_eq!(said(&group.get(8, 7, forged)), [], "{forged:?}");
    }
    assert_eq!(group.figures().rejected, 4);
}

#[test]
fn nodes_that_take_no_part_take_no_memory_and_say_nothing() {
    let population = Population::new([3, 40, 57, 0]).unwrap();
    let protocol = Dissemination::new(Tier::Uniform(3..43), options(Spread::Mesh(MESH)), 1);
    for log2 in 0..3 {
        let mut bytes = 0;
        for partition in 0..1u32 << log2 {
            let nodes = Nodes::partition(population, partition, log2);
            let mut state = protocol.state(nodes.clone());
            bytes += protocol.state_bytes(&state);
            for here in nodes.iter() {
                let mut fx = Recorder::new(here, at(0));
                protocol.handle_start(&mut state, here, &mut fx);
                protocol.handle_message(&mut state, here, 4, Graft, &[], &mut fx);
                let is_member = here.node_type == NodeType::FullNode;
                assert_eq!(!fx.timers.is_empty(), is_member, "node {}", here.id);
                assert_eq!(state.degree(here.index), is_member.then_some(1));
                assert_eq!(state.linked(here.index).collect::<Vec<_>>(), if is_member { vec![4] } else { vec![] });
            }
        }
        assert_eq!(bytes, 40 * (4 + 16 * 8 + 8 * 8 + 2 * 16 + 12 * 5), "the same for every layout");
    }
}

#[test]
fn a_node_takes_no_more_memory_than_its_spread_needs() {
    let defaults = |spread| DisseminationOptions { seen: 8, kept: 8, wanted: 4, ..options(spread) };
    let bytes = |options| {
        let group = Group::new(options);
        group.state.bytes() / MEMBERS as usize
    };
    assert_eq!(bytes(defaults(PUSH)), 68);
    assert_eq!(bytes(DisseminationOptions { repair: Some(SimSpan::from_secs(5)), ..defaults(PUSH) }), 196);
    assert_eq!(bytes(defaults(LAZY)), 196);
    assert_eq!(bytes(defaults(rounds(Exchange::Pull, false))), 132);
    assert_eq!(bytes(defaults(Spread::Mesh(MeshOptions::ETHEREUM))), 316);
}

#[test]
fn an_announced_message_is_asked_for_of_one_after_the_other_and_then_given_up() {
    let mut group = Group::of(LAZY);
    let late = |group: &mut Group| group.fire(8, DisseminationTimer::Late { number: 3 });
    let asked = group.get(8, 20, Have(Ids::one(3)));
    assert_eq!(sent(&asked), [(20, Want(Ids::one(3)))]);
    assert_eq!(asked.timers, [(SimSpan::from_millis(500), DisseminationTimer::Late { number: 3 })]);
    assert_eq!(sent(&group.get(8, 21, Have(Ids::one(3)))), []);
    for source in [21, 20, 21, 20, 21] {
        let again = late(&mut group);
        assert_eq!((sent(&again), again.timers.len()), (vec![(source, Want(Ids::one(3)))], 1));
    }
    let given_up = late(&mut group);
    assert_eq!((sent(&given_up), given_up.timers.len()), (vec![], 0));
    assert_eq!((group.figures().timeouts, group.figures().given_up), (6, 1));
    assert_eq!(sent(&group.get(8, 22, Have(Ids::one(3)))), [(22, Want(Ids::one(3)))]);
    let got = group.get(8, 22, Message { number: 3, hops: 1 });
    assert_eq!(said(&got), vec![Have(Ids::one(3)); 5]);
    assert_eq!((sent(&late(&mut group)), group.figures().timeouts), (vec![], 6), "it is there");
    assert_eq!(sent(&group.get(8, 23, Have(Ids::one(3)))), []);
    assert_eq!(sent(&group.get(8, 24, Want(Ids::one(3)))), [(24, Message { number: 3, hops: 2 })]);
}

#[test]
fn no_more_is_waited_for_than_there_is_room_and_nothing_that_is_too_old() {
    let mut group = Group::of(LAZY);
    group.now = at(12_000);
    // 0 to 2 are older than eight seconds.
    assert_eq!(said(&group.get(8, 20, Have(ids(&[1, 2, 3, 5, 9, 11])))), [Want(ids(&[3, 5]))]);
    assert_eq!((group.figures().overflows, group.figures().rejected), (2, 0));
    group.get(8, 20, Message { number: 3, hops: 1 });
    assert_eq!(said(&group.get(8, 20, Have(ids(&[1, 2, 3, 5, 9, 11])))), [Want(Ids::one(9))]);
}

#[test]
fn a_contact_gives_what_the_exchange_says() {
    for (exchange, question) in [
        (Exchange::Push, Some(Have(ids(&[1, 3])))),
        (
            Exchange::Pull,
            Some(Ask({
                let mut all = Ids::none(0);
                [1, 3].iter().for_each(|&number| assert!(all.insert(number)));
                all
            })),
        ),
        (Exchange::PushPull, None),
    ] {
        let mut group = Group::of(rounds(exchange, false));
        for (id, number) in [(5, 1), (5, 3), (6, 2), (6, 3)] {
            assert_eq!(said(&group.get(id, 50, Message { number, hops: 1 })), [], "rounds alone pass it on");
        }
        let contact = group.fire(5, DisseminationTimer::Round);
        assert_eq!((contact.sent.len(), contact.timers.len()), (1, 1));
        let asked = contact.sent[0].1;
        assert!(question.is_none_or(|question| question == asked), "{asked:?}");
        let answers = said(&group.get(6, 5, asked));
        let pulled = Message { number: 2, hops: 2 };
        let expected = match exchange {
            Exchange::Push => vec![Want(Ids::one(1))],
            Exchange::Pull => vec![pulled],
            Exchange::PushPull => vec![pulled, Want(Ids::one(1))],
        };
        assert_eq!(answers, expected, "{exchange:?}");
        // Who has nothing has nothing to push.
        let idle = group.fire(7, DisseminationTimer::Round);
        assert_eq!((idle.sent.is_empty(), idle.timers.len()), (exchange == Exchange::Push, 1));
    }
}

#[test]
fn in_common_rounds_what_comes_in_a_round_is_told_from_the_next_on() {
    let mut group = Group::of(rounds(Exchange::PushPull, true));
    let started = group.act(5, |protocol, state, here, fx| protocol.handle_start(state, here, fx));
    assert!(started.timers.contains(&(SimSpan::from_millis(1_500), DisseminationTimer::Round)));
    group.now = at(5_000);
    group.get(5, 50, Message { number: 2, hops: 1 });
    for (millis, answers) in [(5_500, 0), (6_000, 1), (7_999, 1)] {
        group.now = at(millis);
        assert_eq!(said(&group.get(5, 6, Ask(Ids::none(0)))).len(), answers, "at {millis} ms");
    }
    group.now = at(6_000);
    let contact = group.fire(5, DisseminationTimer::Round);
    assert_eq!(contact.timers, [(SimSpan::from_secs(2), DisseminationTimer::Round)]);
    // A request is for what was announced before.
    assert_eq!(said(&group.get(5, 6, Want(Ids::one(2)))).len(), 1);
}

#[test]
fn repair_gives_a_node_that_joins_what_lives_and_it_counts_as_caught_up() {
    let mut group = Group::new(DisseminationOptions { repair: Some(SimSpan::from_secs(5)), ..options(PUSH) });
    for number in 0..4 {
        group.get(5, 50, Message { number, hops: 1 });
    }
    assert_eq!(group.figures().deliveries(), 4);
    group.now = at(10_500);
    group.act(5, |protocol, state, here, fx| protocol.handle_leave(state, here, fx));
    let joined = group.act(6, |protocol, state, here, fx| protocol.handle_join(state, here, fx));
    assert!(joined.timers.iter().any(|(_, timer)| *timer == DisseminationTimer::Repair));
    let repair = group.fire(6, DisseminationTimer::Repair);
    assert_eq!(said(&repair), [Sync(Ids::none(2))], "from the oldest that lives on");
    let answers = said(&group.get(5, 6, repair.sent[0].1));
    assert_eq!(answers, [3, 2].map(|number| Message { number, hops: 2 }));
    for answer in answers {
        assert_eq!(group.get(6, 5, answer).sent.len(), 5);
    }
    assert_eq!((group.figures().deliveries(), group.figures().caught_up), (4, 2));
    // One that comes back has forgotten what it had.
    group.act(5, |protocol, state, here, fx| protocol.handle_join(state, here, fx));
    assert_eq!(said(&group.fire(5, DisseminationTimer::Repair)), [Sync(Ids::none(2))]);
}

#[test]
fn traffic_counts_from_the_first_publication_on() {
    let mut group = Group::of(Spread::Mesh(MESH));
    group.now = at(999);
    assert_eq!(group.fire(5, DisseminationTimer::Heartbeat).sent.len(), 4);
    assert_eq!(group.figures().sent, [0; KINDS]);
    group.now = at(1_000);
    group.get(5, group.links(5)[0], Message { number: 0, hops: 1 });
    assert_eq!((group.figures().sent[0], group.figures().bytes[0]), (3, 3 * 523));
}

#[test]
fn a_mesh_is_kept_within_its_bounds() {
    let mut group = Group::of(Spread::Mesh(MESH));
    let grafted = group.fire(5, DisseminationTimer::Heartbeat);
    let links = group.links(5);
    assert!(links.iter().all(|&peer| sent(&grafted).contains(&(peer, Graft))));
    assert_eq!((links.len(), grafted.sent.len()), (4, 4));
    assert_eq!(grafted.timers, [(MESH.heartbeat, DisseminationTimer::Heartbeat)]);
    // Others graft it until it has as many as it may.
    let strangers: Vec<NodeId> = (0..MEMBERS).filter(|id| *id != 5 && !links.contains(id)).take(4).collect();
    let refused: Vec<_> = strangers.iter().map(|&stranger| said(&group.get(5, stranger, Graft))).collect();
    assert_eq!(refused, [vec![], vec![], vec![Prune], vec![Prune]]);
    assert_eq!(group.state.degree(5), Some(6));
    assert_eq!(said(&group.get(5, links[0], Graft)), [], "a renewal");
    // Pruned below the least, it grafts others, but not those that pruned it.
    for peer in group.links(5).into_iter().take(4) {
        group.get(5, peer, Prune);
    }
    assert_eq!(said(&group.get(5, links[0], Graft)), [Prune], "it is too early");
    let again = group.fire(5, DisseminationTimer::Heartbeat);
    let pruned: Vec<_> = links.iter().filter(|&peer| sent(&again).contains(&(*peer, Graft))).collect();
    assert!(group.state.degree(5) == Some(4) && pruned.is_empty(), "{pruned:?}");
    // The backoff ends after five heartbeats.
    let standing = |group: &mut Group| said(&group.get(5, links[0], Graft)).is_empty();
    let waits: Vec<bool> = (0..5)
        .map(|_| {
            let taken = standing(&mut group);
            group.fire(5, DisseminationTimer::Heartbeat);
            taken
        })
        .collect();
    assert_eq!(waits, [false, false, false, false, true]);
}

#[test]
fn a_mesh_pushes_along_links_but_not_back_and_announces_what_is_recent_to_others() {
    let mut group = Group::of(Spread::Mesh(MESH));
    group.fire(5, DisseminationTimer::Heartbeat);
    let links = group.links(5);
    let passed = group.get(5, links[1], Message { number: 2, hops: 3 });
    let to: Vec<NodeId> = passed.sent.iter().map(|&(to, ..)| to).collect();
    assert_eq!(to, [links[0], links[2], links[3]]);
    assert!(said(&passed).iter().all(|&message| message == Message { number: 2, hops: 4 }));
    group.get(5, links[1], Message { number: 0, hops: 3 });
    for heartbeat in 1..=7u64 {
        group.now = at(4_500 + 700 * heartbeat);
        let fired = group.fire(5, DisseminationTimer::Heartbeat);
        let told: Vec<_> = sent(&fired).into_iter().filter(|(_, message)| *message != Graft).collect();
        assert_eq!(told.len(), if heartbeat <= 3 { 3 } else { 0 }, "heartbeat {heartbeat}");
        assert!(told.iter().all(|(to, message)| !links.contains(to) && *message == Have(ids(&[0, 2]))));
        let answers = said(&group.get(5, 60, Want(ids(&[0, 2])))).len();
        // Message 0 was published at 1 s and dies at 9 s; both are kept for six heartbeats.
        assert_eq!(answers, if heartbeat <= 6 { 2 } else { 0 }, "heartbeat {heartbeat}");
    }
}

#[test]
fn links_are_renewed_and_those_that_fall_silent_are_replaced() {
    let mut group = Group::of(Spread::Mesh(MESH));
    group.fire(5, DisseminationTimer::Heartbeat);
    let links = group.links(5);
    let mut renewals = 0;
    // The mesh gives a link up after nine heartbeats without renewal; one of the four renews.
    for heartbeat in 1..=9u64 {
        group.now = at(4_500 + 700 * heartbeat);
        let fired = group.fire(5, DisseminationTimer::Heartbeat);
        renewals += fired.sent.iter().filter(|(_, message, _)| *message == Graft).count();
        group.get(5, links[2], Graft);
        assert_eq!(group.links(5), links, "heartbeat {heartbeat}");
    }
    assert_eq!(renewals, 3 * 4);
    group.fire(5, DisseminationTimer::Heartbeat);
    let left: Vec<NodeId> = group.links(5).into_iter().filter(|peer| links.contains(peer)).collect();
    assert!(left.contains(&links[2]) && group.figures().silent == 3, "{left:?}");
    assert_eq!(group.state.degree(5), Some(4), "others take their place");
    // Who leaves says so.
    let leaving = group.act(5, |protocol, state, here, fx| protocol.handle_leave(state, here, fx));
    assert_eq!(said(&leaving), vec![Prune; 4]);
    // Who comes back knows others.
    group.act(5, |protocol, state, here, fx| protocol.handle_join(state, here, fx));
    assert_eq!(group.state.degree(5), Some(0));
    assert_eq!(group.fire(5, DisseminationTimer::Heartbeat).sent.len(), 4);
}

#[test]
fn first_contacts_know_each_other_and_are_the_same_for_every_layout() {
    let protocol = Dissemination::new(Tier::Uniform(0..MEMBERS), options(Spread::Mesh(MESH)), 1);
    let all = |log2: u32| {
        let mut grafted = Vec::new();
        for partition in 0..1u32 << log2 {
            let nodes = Nodes::partition(Population::flat(MEMBERS), partition, log2);
            let mut state = protocol.state(nodes.clone());
            for here in nodes.iter() {
                let mut fx = Recorder::new(here, at(0));
                protocol.handle_timer(&mut state, here, DisseminationTimer::Heartbeat, &mut fx);
                grafted.extend(fx.sent.iter().map(|&(to, ..)| (here.id, to)));
            }
        }
        grafted.sort_unstable();
        grafted
    };
    assert_eq!(all(0), all(2));
    assert_eq!(all(0).len(), 400);
}

#[test]
fn nodes_of_a_type_may_have_several_times_as_many_links() {
    let grafts = |full_factor| {
        let mut group = Group::of(Spread::Mesh(MeshOptions { full_factor, super_factor: 3, ..MESH }));
        let of_node = |id| {
            group.act(id, |protocol, state, here, fx| {
                protocol.handle_timer(state, here, DisseminationTimer::Heartbeat, fx);
            })
        };
        (0..MEMBERS).map(of_node).map(|fx| fx.sent.len()).collect::<Vec<_>>()
    };
    assert!(grafts(1).iter().all(|&links| links == 4));
    let twice = grafts(2);
    assert!(twice.iter().all(|&links| links <= 8) && twice.iter().filter(|&&links| links == 8).count() > 60);
    let all = grafts(8);
    assert!(all.iter().all(|&links| links <= 11), "of twelve contacts one is left");
    assert!(all.iter().sum::<usize>() > twice.iter().sum::<usize>());
}

#[test]
#[should_panic(expected = "6 contacts for 6 links")]
fn a_mesh_that_cannot_be_is_refused() {
    Group::of(Spread::Mesh(MeshOptions { contacts: 6, ..MESH }));
}
