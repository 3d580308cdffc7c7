//! The router without an engine: who asks whom, what is answered, and what is believed of whom.

use super::candidates::Candidates;
use super::state::LOAD_UNKNOWN;
use super::*;
use crate::contract::SimTime;
use crate::protocols::recorder::Recorder;
use crate::protocols::wire::{Digest, WireMessage};

/// Two super nodes, six full nodes (2 to 7), four light nodes (8 to 11), and a mobile one (12).
fn population() -> Population {
    Population::new([2, 6, 4, 1]).unwrap()
}

const LIGHT: NodeId = 8;

/// Every light node may ask the full nodes in the order of their numbers, in even rounds, and in reverse in odd ones.
#[derive(Debug)]
struct InOrder;

impl Candidates for InOrder {
    fn candidates(&self, node: NodeId, round: u16, out: &mut Vec<NodeId>) {
        out.extend(if population().type_of(node) == NodeType::FullNode { 0..2 } else { 2..6 });
        if round % 2 == 1 {
            out.reverse();
        }
    }
}

fn options() -> RouterOptions {
    RouterOptions {
        parents: 2,
        super_parents: 1,
        children_max: 3,
        attaching: Attaching { requests: 3, ..RouterOptions::for_population(population()).attaching },
        messages: Some(Messages {
            interval: SimSpan::from_secs(100),
            len: 50,
            from: SimSpan::ZERO,
            answer: SimSpan::from_secs(2),
            attempts: 3,
        }),
        ..RouterOptions::for_population(population())
    }
}

/// A router, the state of all nodes, and a clock.
struct World {
    router: HierarchicalRouter,
    nodes: Nodes,
    state: RouterState,
    now: SimTime,
}

type Sent = Vec<(NodeId, RouterMessage)>;

impl World {
    fn new(options: RouterOptions) -> Self {
        let router = HierarchicalRouter::new(population(), options, Box::new(InOrder));
        let nodes = Nodes::all(population());
        let state = router.state(nodes.clone());
        World { router, nodes, state, now: SimTime::ZERO + SimSpan::from_secs(1_000) }
    }

    fn act(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&HierarchicalRouter, &mut RouterState, Here, &mut Recorder<HierarchicalRouter>),
    ) -> (Sent, Vec<(SimSpan, RouterTimer)>) {
        let here = self.nodes.here(node as usize);
        let mut fx = Recorder::new(here, self.now);
        act(&self.router, &mut self.state, here, &mut fx);
        (fx.sent.into_iter().map(|(to, message, _)| (to, message)).collect(), fx.timers)
    }

    /// `node` gets `message`, and sends what is returned.
    fn deliver(&mut self, node: NodeId, from: NodeId, message: RouterMessage) -> Sent {
        self.act(node, |router, state, here, fx| router.handle_message(state, here, from, message, &[], fx)).0
    }

    fn fire(&mut self, node: NodeId, timer: RouterTimer) -> (Sent, Vec<(SimSpan, RouterTimer)>) {
        self.act(node, |router, state, here, fx| router.handle_timer(state, here, timer, fx))
    }

    /// `node` starts, and its timer for the first request fires.
    fn start(&mut self, node: NodeId) -> Sent {
        let (_, timers) = self.act(node, |router, state, here, fx| router.handle_join(state, here, fx));
        let is_attach = |(_, timer): &&(SimSpan, RouterTimer)| matches!(timer, RouterTimer::Attach { .. });
        let (_, attach) = *timers.iter().find(is_attach).expect("all but super nodes look for parents");
        self.fire(node, attach).0
    }

    /// Carries out what `from` sends, and what comes of it, until nothing is under way; messages to those of `down` are
    /// lost. Returns all that was sent.
    fn settle(&mut self, from: NodeId, sent: Sent, down: &[NodeId]) -> Vec<(NodeId, NodeId, RouterMessage)> {
        let mut under_way: Vec<_> = sent.into_iter().map(|(to, message)| (from, to, message)).collect();
        let mut next = 0;
        while let Some(&(from, to, message)) = under_way.get(next) {
            next += 1;
            assert!(next < 1_000, "it comes to an end");
            if !down.contains(&to) {
                under_way.extend(self.deliver(to, from, message).into_iter().map(|(other, more)| (to, other, more)));
            }
        }
        under_way
    }

    fn attach(&mut self, node: NodeId) {
        let sent = self.start(node);
        self.settle(node, sent, &[]);
    }

    fn parents(&self, node: NodeId) -> &[NodeId] {
        self.state.parents(node as usize)
    }
}

fn number_of(sent: &Sent) -> u16 {
    sent.iter()
        .find_map(|(_, message)| if let RouterMessage::Attach { number } = message { Some(*number) } else { None })
        .expect("a request")
}

fn asked(sent: &Sent) -> Vec<NodeId> {
    sent.iter().filter(|(_, message)| matches!(message, RouterMessage::Attach { .. })).map(|(to, _)| *to).collect()
}

#[test]
fn a_light_node_asks_the_nearest_first_until_it_has_enough_and_tells_them_their_ranks() {
    let mut world = World::new(options());
    let sent = world.start(LIGHT);
    assert_eq!(asked(&sent), [2]);
    let all = world.settle(LIGHT, sent, &[]);
    assert_eq!(world.parents(LIGHT), [2, 3]);
    let home = world.router.homes().home(LIGHT, 0).unwrap();
    let registered: Vec<_> =
        all.iter().filter(|(_, to, _)| *to == home).map(|&(from, _, message)| (from, message)).collect();
    let expected = [0, 1].map(|rank| (2 + NodeId::from(rank), RouterMessage::Register { child: LIGHT, rank }));
    assert_eq!(registered, expected);
    assert_eq!((world.state.children(2), world.state.children(3)), (vec![LIGHT], vec![LIGHT]));
    assert_eq!(world.state.locations(home as usize), 1);
    assert_eq!(world.state.figures().attach[2].requests, 2);
}

#[test]
fn one_who_has_no_room_refuses_and_whoever_it_names_is_asked_next() {
    let mut world = World::new(options());
    [9, 10, 11].into_iter().for_each(|other| world.attach(other));
    let sent = world.start(LIGHT);
    let refusal = world.deliver(2, LIGHT, sent[0].1);
    assert_eq!(refusal, [(LIGHT, RouterMessage::Refuse { number: number_of(&sent), named: NodeId::MAX })]);
    // Without a name it waits before it asks the next.
    let here = world.nodes.here(LIGHT as usize);
    let (asked_now, timers) =
        world.act(LIGHT, |router, state, _, fx| router.handle_message(state, here, 2, refusal[0].1, &[], fx));
    assert_eq!((asked_now.len(), timers.len(), timers[0].0), (0, 1, SimSpan::from_millis(250)));
    let sent = world.fire(LIGHT, timers[0].1).0;
    assert_eq!(asked(&sent), [3]);
    let number = number_of(&sent);
    let sent = world.deliver(LIGHT, 3, RouterMessage::Refuse { number, named: 7 });
    assert_eq!(asked(&sent), [7], "7 is on no list");
    world.settle(LIGHT, sent, &[]);
    assert_eq!(world.parents(LIGHT), [7, 4]);
    let figures = &world.state.figures().attach[2];
    assert_eq!((figures.refused, figures.redirected), (2, 1));
}

#[test]
fn requests_in_vain_wait_longer_each_time_then_pause_and_start_anew_with_the_next_list() {
    let mut world = World::new(options());
    let (_, mut timers) = world.act(LIGHT, |router, state, here, fx| router.handle_join(state, here, fx));
    timers.retain(|(_, timer)| matches!(timer, RouterTimer::Attach { .. }));
    let (mut asks, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..14 {
        assert_eq!(timers.len(), 1, "one thing at a time");
        let (sent, more) = world.fire(LIGHT, timers[0].1);
        asks.extend(asked(&sent));
        waits.extend(more.iter().map(|(span, _)| span.as_nanos() / 1_000_000));
        timers = more;
    }
    // Timeout, backoff, timeout, doubled backoff, timeout and at once the pause.
    let bout = [1_000, 250, 1_000, 500, 1_000, 30_000];
    assert_eq!(waits, [&bout[..], &bout, &bout[..2]].concat());
    assert_eq!(asks, [2, 3, 4, 5, 5, 4, 3][..asks.len()]);
    assert_eq!((asks.len(), world.state.figures().attach[2].pauses), (7, 2));
    // A late answer is turned down.
    let sent = world.deliver(LIGHT, 2, RouterMessage::Accept { number: 1 });
    assert_eq!(sent, [(2, RouterMessage::Detach)]);
}

#[test]
fn a_parent_that_misses_acknowledgements_in_a_row_is_replaced_and_the_second_becomes_the_first() {
    let mut world = World::new(options());
    world.attach(LIGHT);
    let (sent, mut timers) = world.fire(LIGHT, RouterTimer::Beat);
    world.settle(LIGHT, sent, &[2]);
    for repeat in 1..=3 {
        let check = timers.iter().find(|(_, timer)| *timer == RouterTimer::Check).expect("another look");
        assert_eq!(check.0, world.router.options().repeat);
        let (sent, more) = world.fire(LIGHT, RouterTimer::Check);
        timers = more;
        if repeat < 3 {
            assert_eq!(sent, [(2, RouterMessage::Heartbeat { child: LIGHT, rank: 0 })], "only to the silent one");
            assert_eq!(world.parents(LIGHT), [2, 3]);
        } else {
            let first = (3, RouterMessage::Heartbeat { child: LIGHT, rank: 0 });
            assert_eq!((sent[0], sent[1], asked(&sent)), ((2, RouterMessage::Detach), first, vec![4]));
            world.settle(LIGHT, sent, &[2]);
        }
    }
    assert_eq!(world.parents(LIGHT), [3, 4]);
    assert_eq!(world.state.figures().attach[2].failovers, 1);
    assert!(timers.iter().all(|(_, timer)| *timer != RouterTimer::Check), "all have answered");
}

#[test]
fn an_acknowledgement_in_between_starts_the_count_anew() {
    let mut world = World::new(options());
    world.attach(LIGHT);
    for _ in 0..5 {
        let (sent, _) = world.fire(LIGHT, RouterTimer::Beat);
        world.settle(LIGHT, sent, &[2]);
        for _ in 0..2 {
            world.fire(LIGHT, RouterTimer::Check);
        }
        world.deliver(LIGHT, 2, RouterMessage::Ack);
        assert_eq!(world.fire(LIGHT, RouterTimer::Check), (vec![], vec![]));
    }
    assert_eq!(world.parents(LIGHT), [2, 3]);
}

#[test]
fn the_time_without_parents_counts_from_when_the_last_is_given_up() {
    let mut world = World::new(RouterOptions { parents: 1, ..options() });
    world.attach(LIGHT);
    let attach = |world: &World| world.state.figures().attach[2].clone();
    assert_eq!((attach(&world).joined.quantile(50).is_some(), attach(&world).orphaned_nanos), (true, 0));
    let heard = world.now;
    world.fire(LIGHT, RouterTimer::Beat);
    world.now = world.now + SimSpan::from_secs(15);
    (0..2).for_each(|_| drop(world.fire(LIGHT, RouterTimer::Check)));
    let (sent, timers) = world.fire(LIGHT, RouterTimer::Check);
    assert!(world.parents(LIGHT).is_empty() && asked(&sent) == [3]);
    let open = world.state.figures_at(heard + SimSpan::from_secs(17), |_| true);
    assert!(open.attach[2].orphaned_nanos.abs_diff(2_000_000_000) < 3_000_000);
    assert_eq!(world.state.figures_at(heard + SimSpan::from_secs(17), |_| false).attach[2].orphaned_nanos, 0);
    world.now = world.now + SimSpan::from_secs(1);
    let (_, retry) = world.fire(LIGHT, timers[0].1);
    let (sent, _) = world.fire(LIGHT, retry[0].1);
    world.now = world.now + SimSpan::from_secs(1);
    world.settle(LIGHT, sent, &[]);
    let nanos = [attach(&world).orphaned_nanos, attach(&world).unserved_nanos];
    assert!(nanos[0].abs_diff(2_000_000_000) < 3_000_000 && nanos[1].abs_diff(17_000_000_000) < 3_000_000, "{nanos:?}");
}

#[test]
fn a_parent_forgets_who_is_silent_and_tells_the_homes() {
    let mut world = World::new(options());
    world.attach(LIGHT);
    world.attach(12);
    let home = world.router.homes().home(LIGHT, 0).unwrap();
    let lease = world.router.lease(NodeType::LightNode);
    world.now = world.now + (lease - SimSpan::from_millis(5));
    world.fire(2, RouterTimer::Beat);
    assert_eq!(world.state.children(2).len(), 2);
    world.now = world.now + SimSpan::from_millis(10);
    let (sent, _) = world.fire(2, RouterTimer::Beat);
    assert_eq!(world.state.children(2), [12], "mobile nodes may be silent for longer");
    assert_eq!(sent, [(home, RouterMessage::Unregister { child: LIGHT })]);
    world.settle(2, sent, &[]);
    assert_eq!(world.state.figures().expired, 1);
    // The heartbeat of one that is forgotten is not acknowledged, so that it looks for another parent.
    let heartbeat = RouterMessage::Heartbeat { child: LIGHT, rank: 0 };
    assert_eq!(world.deliver(2, LIGHT, heartbeat), [(LIGHT, RouterMessage::Detach)]);
    let sent = world.deliver(LIGHT, 2, RouterMessage::Detach);
    assert_eq!((world.parents(LIGHT), asked(&sent)), (&[3][..], vec![4]));
}

/// What full node `full` with `alive` of `children` tells its super node.
fn digest(full: NodeId, children: u32, alive: u32) -> Vec<u8> {
    let mut bitmap = vec![0; children.div_ceil(8) as usize];
    (0..alive as usize).for_each(|child| bitmap[child / 8] |= 1 << (child % 8));
    let mut bytes = Vec::new();
    WireMessage::Digest(Digest { sender: full, beat: 1, children, alive, first: 0, bitmap: &bitmap })
        .encode(&mut bytes);
    bytes
}

fn deliver_digest(world: &mut World, from: NodeId, bytes: &[u8]) -> Sent {
    let digest = RouterMessage::Digest { beat: 1 };
    world.act(0, |router, state, here, fx| router.handle_message(state, here, from, digest, bytes, fx)).0
}

#[test]
fn a_super_node_takes_digests_in_and_sends_children_from_the_fullest_to_the_emptiest() {
    let rebalancing = Rebalancing { high_percent: 110, moves_max: 16 };
    let mut world = World::new(RouterOptions { rebalancing: Some(rebalancing), ..options() });
    for full in 2..8 {
        world.deliver(0, full, RouterMessage::Attach { number: 1 });
    }
    for (full, load) in [(2, 40), (7, 10)] {
        let sent = deliver_digest(&mut world, full, &digest(full, load, load / 2));
        assert!(matches!(sent[..], [(to, RouterMessage::Advice { room: 0, .. })] if to == full), "no mean is known");
    }
    let mut known: Vec<_> = world.state.digested(0).filter(|(_, load, _)| *load != LOAD_UNKNOWN).collect();
    known.sort_unstable();
    assert_eq!(known, [(2, 40, 20), (7, 10, 5)]);
    world.fire(0, RouterTimer::Beat);
    assert_eq!(world.state.means[0], 25);
    // 110 per cent of 25 are 27. Those that go count at once where they go, and no more go than are missing there.
    let told = [32, 60, 60].map(|load| match deliver_digest(&mut world, 2, &digest(2, load, load))[..] {
        [(2, RouterMessage::Advice { lighter, room })] => (lighter, room),
        ref other => panic!("{other:?}"),
    });
    assert_eq!(told, [(7, 5), (7, 10), (7, 0)]);
    assert_eq!(world.state.wards.get(0, 7).unwrap().load, 25);
    // No more than may move at a time; and who has not reported yet is nobody's refuge.
    deliver_digest(&mut world, 7, &digest(7, 0, 0));
    let sent = deliver_digest(&mut world, 2, &digest(2, 60, 60));
    assert_eq!(sent, [(2, RouterMessage::Advice { lighter: 7, room: 16 })]);
    world.state.wards.get_mut(0, 7).unwrap().load = LOAD_UNKNOWN;
    let sent = deliver_digest(&mut world, 2, &digest(2, 60, 60));
    assert_eq!(sent, [(2, RouterMessage::Advice { lighter: NodeId::MAX, room: 0 })]);
}

#[test]
fn a_child_that_is_asked_to_move_attaches_there_before_it_leaves() {
    let mut world = World::new(options());
    world.attach(2);
    world.attach(LIGHT);
    let advice = RouterMessage::Advice { lighter: 6, room: 5 };
    let sent = world.deliver(2, 0, advice);
    assert_eq!(sent, [(LIGHT, RouterMessage::Move { to: 6 })]);
    assert_eq!(world.deliver(2, 0, advice), sent, "as many as may move, until the next digest");
    let request = world.deliver(LIGHT, 2, RouterMessage::Move { to: 6 });
    assert_eq!((asked(&request), world.parents(LIGHT)), (vec![6], &[2, 3][..]));
    assert_eq!(world.deliver(LIGHT, 2, RouterMessage::Move { to: 7 }), [], "one thing at a time");
    world.settle(LIGHT, request, &[]);
    assert_eq!((world.parents(LIGHT), world.state.children(2)), (&[6, 3][..], vec![]));
    let figures = &world.state.figures().attach[2];
    assert_eq!((figures.moved, figures.stayed, figures.orphaned_nanos), (1, 1, 0));
    // The home knows the new one, and what the old one says of it no longer counts.
    let home = world.router.homes().home(LIGHT, 0).unwrap() as usize;
    assert_eq!(world.state.locations.get(home, LIGHT).unwrap().fulls, [6, 3]);
    // A refusal leaves everything as it is.
    let request = world.deliver(LIGHT, 3, RouterMessage::Move { to: 7 });
    let refuse = RouterMessage::Refuse { number: number_of(&request), named: 4 };
    assert_eq!(world.deliver(LIGHT, 7, refuse), []);
    assert_eq!(world.parents(LIGHT), [6, 3]);
}

/// The light node begins a message; returns it as it is sent, and who gets it.
fn begin_message(world: &mut World) -> (NodeId, Routed) {
    let (sent, timers) = world.fire(LIGHT, RouterTimer::Message);
    assert!(timers.iter().any(|(_, timer)| matches!(timer, RouterTimer::Receipt { attempt: 0, .. })));
    match sent[..] {
        [(to, RouterMessage::Routed(routed))] => (to, routed),
        _ => panic!("{sent:?}"),
    }
}

#[test]
fn a_message_goes_by_the_home_of_the_receiver_unless_a_parent_is_in_common() {
    for apart in [false, true] {
        let mut world = World::new(options());
        world.attach(LIGHT);
        for (other, parent) in [(9, 4), (10, 5), (11, 6)] {
            let parent = if apart { parent } else { 2 };
            world.state.member(other).push(parent);
            world.deliver(parent, other as NodeId, RouterMessage::Attach { number: 1 });
            let heartbeat = RouterMessage::Heartbeat { child: other as NodeId, rank: 0 };
            let sent = world.deliver(parent, other as NodeId, heartbeat);
            world.settle(parent, sent, &[other as NodeId]);
        }
        let (parent, routed) = begin_message(&mut world);
        assert_eq!((parent, routed.hops(), routed.origin), (2, 1, LIGHT));
        let all = world.settle(LIGHT, vec![(parent, RouterMessage::Routed(routed))], &[]);
        let ways: Vec<_> = all.iter().map(|&(from, to, _)| (from, to)).collect();
        let (last, home) = (routed.destination, world.router.homes().home(routed.destination, 0).unwrap());
        if apart {
            let theirs = last - 5;
            let expected = [(8, 2), (2, home), (home, theirs), (theirs, last), (last, theirs), (theirs, 2), (2, 8)];
            assert_eq!(ways, expected);
        } else {
            assert_eq!(ways, [(8, 2), (2, last), (last, 2), (2, 8)]);
        }
        let figures = world.state.figures();
        assert_eq!((figures.delivered, figures.confirmed, figures.hops.sum()), (1, 1, if apart { 4 } else { 2 }));
        // It is not counted again when it comes again, but confirmed again.
        let again = Routed { trace: 1, ..routed };
        let sent = world.deliver(last, 4, RouterMessage::Routed(again));
        assert!(matches!(sent[..], [(4, RouterMessage::Routed(Routed { purpose: Purpose::Receipt, .. }))]));
        assert_eq!((world.state.figures().delivered, world.state.figures().repeated), (1, 1));
    }
}

#[test]
fn without_a_receipt_a_message_is_sent_again_by_another_parent_and_given_up_in_the_end() {
    let mut world = World::new(options());
    world.attach(LIGHT);
    let (first, routed) = begin_message(&mut world);
    let stamp = routed.stamp;
    let (sent, timers) = world.fire(LIGHT, RouterTimer::Receipt { stamp, attempt: 0 });
    let [(second, RouterMessage::Routed(again))] = sent[..] else { panic!("{sent:?}") };
    assert_eq!((first, second, again.attempt(), again.stamp, again.via), (2, 3, 1, stamp, 3));
    assert_eq!(timers, [(SimSpan::from_secs(2), RouterTimer::Receipt { stamp, attempt: 1 })]);
    assert_eq!(world.fire(LIGHT, RouterTimer::Receipt { stamp, attempt: 0 }).0, [], "the first timer has had its time");
    // Nobody knows where the receiver is.
    world.settle(LIGHT, sent, &[]);
    let (sent, _) = world.fire(LIGHT, RouterTimer::Receipt { stamp, attempt: 1 });
    world.settle(LIGHT, sent, &[]);
    assert_eq!(world.fire(LIGHT, RouterTimer::Receipt { stamp, attempt: 2 }), (vec![], vec![]));
    let figures = world.state.figures();
    assert_eq!((figures.sent, figures.retries, figures.failed), (1, 2, [0, 1, 0, 0]));
    // A message that is due while one is under way is not sent.
    begin_message(&mut world);
    assert_eq!(world.fire(LIGHT, RouterTimer::Message).0, []);
    assert_eq!(world.state.figures().skipped, 1);
}

#[test]
fn a_stale_location_is_forgotten_and_the_sender_told() {
    let mut world = World::new(options());
    world.attach(LIGHT);
    let (parent, routed) = begin_message(&mut world);
    let home = world.router.homes().home(routed.destination, 0).unwrap();
    world.deliver(home, 7, RouterMessage::Register { child: routed.destination, rank: 0 });
    let all = world.settle(LIGHT, vec![(parent, RouterMessage::Routed(routed))], &[]);
    let told = (home, RouterMessage::Unregister { child: routed.destination });
    assert!(all.iter().any(|&(from, to, message)| from == 7 && (to, message) == told));
    assert_eq!(world.state.locations.get(home as usize, routed.destination), None);
    (0..3).for_each(|attempt| {
        world.fire(LIGHT, RouterTimer::Receipt { stamp: routed.stamp, attempt });
    });
    assert_eq!(world.state.figures().failures(), 1);
    // A location that was not confirmed for long is not believed.
    world.deliver(home, 7, RouterMessage::Register { child: 9, rank: 1 });
    world.now = world.now + world.router.lease(NodeType::LightNode) + SimSpan::from_millis(5);
    let late = RouterMessage::Routed(Routed { destination: 9, via: 3, ..routed });
    let sent = world.deliver(world.router.homes().home(9, 0).unwrap(), 3, late);
    let is_unknown = |(to, message): &(NodeId, RouterMessage)| {
        let failed = Purpose::Failed(Cause::Unknown);
        *to == 3 && matches!(message, RouterMessage::Routed(routed) if routed.purpose == failed)
    };
    assert!(sent.len() == 1 && is_unknown(&sent[0]), "{sent:?}");
}

#[test]
fn one_who_leaves_tells_parents_and_children_and_one_who_returns_has_forgotten_them() {
    let mut world = World::new(options());
    world.attach(2);
    world.attach(LIGHT);
    let (sent, _) = world.act(2, |router, state, here, fx| router.handle_leave(state, here, fx));
    assert_eq!(sent, [(0, RouterMessage::Detach), (LIGHT, RouterMessage::Detach)]);
    world.settle(2, sent, &[2]);
    assert_eq!((world.parents(LIGHT), world.state.children(0)), (&[3, 4][..], vec![]));
    world.start(2);
    assert!(world.parents(2).is_empty() && world.state.children(2).is_empty());
    begin_message(&mut world);
    world.start(LIGHT);
    assert_eq!((world.parents(LIGHT), world.state.figures().aborted), (&[][..], 1));
    world.deliver(0, 3, RouterMessage::Attach { number: 1 });
    world.act(0, |router, state, here, fx| router.handle_join(state, here, fx));
    assert!(world.state.children(0).is_empty() && world.state.locations(0) == 0);
}

#[test]
fn what_nobody_may_send_is_rejected() {
    let routed = |purpose, origin, destination, via| {
        RouterMessage::Routed(Routed { purpose, trace: 1, stamp: 0, origin, destination, via })
    };
    let (message, receipt) = (Purpose::Message, Purpose::Receipt);
    let cases = [
        // Receiver, sender, message.
        (2, 3, RouterMessage::Attach { number: 1 }),
        (0, LIGHT, RouterMessage::Attach { number: 1 }),
        (LIGHT, 9, RouterMessage::Accept { number: 1 }),
        (LIGHT, 2, RouterMessage::Refuse { number: 0, named: 9 }),
        (LIGHT, 2, RouterMessage::Refuse { number: 0, named: 99 }),
        (2, LIGHT, RouterMessage::Heartbeat { child: 9, rank: 0 }),
        (0, 2, RouterMessage::Heartbeat { child: 2, rank: 0 }),
        (0, 2, RouterMessage::Ack),
        (LIGHT, 0, RouterMessage::Ack),
        (2, 0, RouterMessage::Advice { lighter: 2, room: 9 }),
        (2, 0, RouterMessage::Advice { lighter: LIGHT, room: 9 }),
        (LIGHT, 2, RouterMessage::Advice { lighter: 3, room: 9 }),
        (LIGHT, 2, RouterMessage::Move { to: LIGHT }),
        (LIGHT, 2, RouterMessage::Move { to: 1_000 }),
        (0, LIGHT, RouterMessage::Register { child: LIGHT, rank: 0 }),
        (0, 2, RouterMessage::Register { child: 3, rank: 0 }),
        (0, 2, RouterMessage::Register { child: 99, rank: 0 }),
        (0, 2, RouterMessage::Register { child: LIGHT, rank: 2 }),
        (2, 3, RouterMessage::Register { child: LIGHT, rank: 0 }),
        (0, LIGHT, RouterMessage::Unregister { child: LIGHT }),
        (2, LIGHT, routed(message, LIGHT, 99, 2)),
        (2, LIGHT, routed(message, LIGHT, LIGHT, 2)),
        (2, LIGHT, routed(message, 9, 10, 2)),
        (2, LIGHT, routed(message, LIGHT, 9, 3)),
        (2, LIGHT, routed(Purpose::Failed(Cause::Stale), 9, LIGHT, 2)),
        (2, LIGHT, routed(receipt, 9, 10, 3)),
        (2, 3, routed(message, LIGHT, 9, 2)),
        (2, 3, routed(receipt, LIGHT, 9, 4)),
        (0, LIGHT, routed(message, LIGHT, 9, 2)),
        (0, 3, routed(message, LIGHT, 9, 2)),
        (0, 2, routed(receipt, LIGHT, 9, 2)),
        (LIGHT, 2, routed(message, 9, 10, 3)),
        (LIGHT, 0, routed(message, 9, LIGHT, 3)),
        (LIGHT, 2, RouterMessage::Digest { beat: 0 }),
    ];
    for (number, (node, from, message)) in cases.into_iter().enumerate() {
        let mut world = World::new(options());
        assert_eq!(world.deliver(node, from, message), [], "case {number}");
        assert_eq!(world.state.figures().rejected, 1, "case {number}: {message:?}");
    }
    let mut world = World::new(options());
    world.act(2, |router, state, here, fx| {
        router.handle_message(state, here, LIGHT, RouterMessage::Attach { number: 1 }, &[0], fx);
    });
    assert_eq!((world.state.figures().rejected, world.state.children(2).len()), (1, 0), "nothing goes with a request");
    for bytes in [&[][..], &[1; 60], &digest(3, 5, 5), &digest(2, 70_000, 5)] {
        let mut world = World::new(options());
        world.deliver(0, 2, RouterMessage::Attach { number: 1 });
        assert_eq!(deliver_digest(&mut world, 2, bytes), []);
        assert_eq!(world.state.figures().rejected, 1);
    }
}

#[test]
fn messages_have_the_lengths_of_their_encodings() {
    let router = HierarchicalRouter::new(population(), options(), Box::new(InOrder));
    let routed = Routed { purpose: Purpose::Message, trace: 1, stamp: 0, origin: LIGHT, destination: 9, via: 2 };
    let content = [0; 50];
    let wire = wire::WireRouter { sender: LIGHT, message: RouterMessage::Routed(routed), content: &content };
    let mut bytes = Vec::new();
    wire.encode(&mut bytes);
    assert_eq!(router.wire_len(&wire.message, 0) as usize, bytes.len());
    let digest = digest(2, 100, 50);
    assert_eq!(router.wire_len(&RouterMessage::Digest { beat: 0 }, digest.len()) as usize, digest.len());
    let kinds = router.kinds();
    assert_eq!((kinds.len(), kinds[router.kind(&wire.message)]), (14, "message"));
}
