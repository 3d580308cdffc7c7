//! Tests of mobile nodes, without an engine.

use super::wire::{WireBody, WireMobile};
use super::*;
use crate::contract::Population;
use crate::protocols::recorder::Recorder;
use crate::topologies::TierDegrees;

const SUPERS: NodeId = 1;
const MOBILE: NodeId = 14;
const MINUTE: SimSpan = SimSpan::from_secs(60);
const PIGGYBACK: WakePolicy = WakePolicy::Piggyback { silence: SimSpan::from_secs(3_600) };
const PUSH: WakePolicy = WakePolicy::Push { check: SimSpan::from_secs(600) };

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

/// One super, five full, eight light and twenty mobile nodes with two parents each, driven by hand.
struct Group {
    mobile: Mobile,
    state: MobileState,
    nodes: Nodes,
}

impl Group {
    fn with(policy: WakePolicy, change: impl FnOnce(&mut MobileOptions)) -> Self {
        let population = Population::new([u64::from(SUPERS), 5, 8, 20]).unwrap();
        let degrees = TierDegrees { full_peers: 0, super_parents: 0, light_parents: 2, mesh: false };
        let mut options = MobileOptions::new(policy);
        change(&mut options);
        let graph = degrees.children_graph(population, 0, 3, None, NodeType::MobileNode);
        let (mobile, nodes) = (Mobile::new(graph, options), Nodes::all(population));
        Group { state: mobile.state(nodes.clone()), mobile, nodes }
    }

    fn of(policy: WakePolicy) -> Self {
        Group::with(policy, |_| {})
    }

    fn act(
        &mut self,
        id: NodeId,
        now: SimTime,
        act: impl FnOnce(&Mobile, &mut MobileState, Here, &mut Recorder<Mobile>),
    ) -> Recorder<Mobile> {
        let here = self.nodes.here(id as usize);
        let mut fx = Recorder::new(here, now);
        act(&self.mobile, &mut self.state, here, &mut fx);
        fx
    }

    fn fire(&mut self, id: NodeId, secs: u64, timer: MobileTimer) -> Recorder<Mobile> {
        self.act(id, at(secs), |mobile, state, here, fx| mobile.handle_timer(state, here, timer, fx))
    }

    fn get(&mut self, id: NodeId, now: SimTime, from: NodeId, message: MobileMessage) -> Recorder<Mobile> {
        self.act(id, now, |mobile, state, here, fx| mobile.handle_message(state, here, from, message, &[], fx))
    }

    /// Delivers what `from` sent.
    fn deliver(&mut self, from: NodeId, fx: &Recorder<Mobile>, now: SimTime) {
        for &(to, message, _) in &fx.sent {
            self.get(to, now, from, message);
        }
    }

    fn parents(&self, id: NodeId) -> Vec<NodeId> {
        self.mobile.graph.links(id).iter().map(|link| link.peer).collect()
    }

    fn joules(&self, id: NodeId, until: SimTime) -> f64 {
        self.mobile.options.radio.energy(self.state.radio(id as usize).unwrap(), until) as f64 / 1e12
    }

    fn counts(&self) -> &MobileCounts {
        self.state.counts()
    }
}

fn receivers(fx: &Recorder<Mobile>) -> Vec<NodeId> {
    fx.sent.iter().map(|(to, ..)| *to).collect()
}

#[test]
fn pings_and_adaptive_heartbeats_go_to_all_parents_at_their_interval() {
    for (policy, secs) in [(WakePolicy::PING, 30), (WakePolicy::ADAPTIVE, 600)] {
        let mut group = Group::of(policy);
        let fx = group.fire(MOBILE, 100, MobileTimer::Heartbeat);
        assert_eq!(receivers(&fx), group.parents(MOBILE));
        assert!(fx.sent.iter().all(|(_, message, _)| matches!(message, MobileMessage::Heartbeat { .. })));
        assert_eq!(fx.timers, [(SimSpan::from_secs(secs), MobileTimer::Heartbeat)]);
        // A transaction goes to the first parent, and tells the others nothing.
        let fx = group.fire(MOBILE, 101, MobileTimer::Transaction);
        assert_eq!(receivers(&fx), group.parents(MOBILE)[..1]);
        assert!(matches!(fx.timers[..], [(_, MobileTimer::Transaction)]));
        // 12.4 s in all connected states, 256 + 314 bytes, and 88 s idle before.
        let spent = group.joules(MOBILE, at(111));
        let expected = 11.366 + 1.091 + 88.7 * 0.01995;
        assert!((spent - expected).abs() < 0.15, "{spent} J, expected about {expected}");
        assert_eq!(group.state.radio(MOBILE as usize).unwrap().wakes(), 1);
        let counts = group.counts();
        assert_eq!((counts.heartbeats, counts.piggybacked, counts.transactions), (2, 0, 1));
    }
}

#[test]
fn heartbeats_ride_on_transactions_and_others_wait_for_a_long_silence() {
    let mut group = Group::of(PIGGYBACK);
    let parents = group.parents(MOBILE);
    let fx = group.fire(MOBILE, 1_000, MobileTimer::Transaction);
    assert_eq!(receivers(&fx), parents);
    assert!(matches!(fx.sent[0].1, MobileMessage::Transaction { .. }));
    assert!(matches!(fx.sent[1].1, MobileMessage::Heartbeat { .. }));
    // The fallback is not due before an hour of silence.
    let fx = group.fire(MOBILE, 3_000, MobileTimer::Heartbeat);
    let left = SimSpan::from_secs(1_600);
    let [(wait, MobileTimer::Heartbeat)] = fx.timers[..] else { panic!("{:?}", fx.timers) };
    assert!(fx.sent.is_empty() && wait >= left && wait < left + CoarseTime::TICK * 2, "{wait}");
    let fx = group.fire(MOBILE, 4_600, MobileTimer::Heartbeat);
    assert_eq!(receivers(&fx), parents);
    assert_eq!(fx.timers, [(SimSpan::from_secs(3_600), MobileTimer::Heartbeat)]);
    let counts = group.counts();
    assert_eq!((counts.heartbeats, counts.piggybacked, counts.transactions), (3, 1, 1));
}

#[test]
fn a_pushed_node_is_silent_until_it_is_paged() {
    let mut group = Group::of(PUSH);
    let fx = group.act(MOBILE, SimTime::ZERO, |mobile, state, here, fx| mobile.handle_start(state, here, fx));
    assert!(matches!(fx.timers[..], [(_, MobileTimer::Transaction)]), "{:?}", fx.timers);
    let parents = group.parents(MOBILE);
    let fx = group.get(MOBILE, at(100), parents[0], MobileMessage::Check);
    let [(wait, MobileTimer::Receive)] = fx.timers[..] else { panic!("{:?}", fx.timers) };
    assert!(fx.sent.is_empty() && wait >= SimSpan::from_millis(260) && wait <= SimSpan::from_millis(1_540));
    // Whatever comes meanwhile is answered with it, however often.
    for _ in 0..5 {
        assert!(group.get(MOBILE, at(100), parents[1], MobileMessage::Check).timers.is_empty());
    }
    assert!(group.get(MOBILE, at(100), parents[1], MobileMessage::Notice { newest: 3 }).timers.is_empty());
    let fx = group.act(MOBILE, at(100) + wait, |mobile, state, here, fx| {
        mobile.handle_timer(state, here, MobileTimer::Receive, fx);
    });
    assert_eq!(receivers(&fx), [parents[1], parents[0], parents[1]]);
    assert!(matches!(fx.sent[0].1, MobileMessage::Confirmation { newest: 3, .. }));
    assert_eq!(group.state.radio(MOBILE as usize).unwrap().wakes(), 1);
    // While the radio receives, it is answered at once.
    let now = at(100) + wait + SimSpan::from_millis(50);
    assert_eq!(receivers(&group.get(MOBILE, now, parents[0], MobileMessage::Check)), parents);
}

#[test]
fn parents_check_whom_they_have_not_heard_and_judge_who_does_not_answer() {
    let mut group = Group::of(PUSH);
    let parents = group.parents(MOBILE);
    let beat = group.fire(MOBILE, 100, MobileTimer::Transaction);
    group.deliver(MOBILE, &beat, at(100));
    let mut checks = Vec::new();
    for secs in (115..2_000).step_by(30) {
        let fx = group.fire(parents[0], secs, MobileTimer::Look);
        assert_eq!(fx.timers, [(SimSpan::from_secs(30), MobileTimer::Look)]);
        checks.extend(fx.sent.iter().filter(|(to, ..)| *to == MOBILE).map(|_| secs));
        let verdicts: Vec<_> = fx.judged.iter().filter(|(peer, _)| *peer == MOBILE).collect();
        // Two checks and a half were not answered.
        assert_eq!(verdicts.len(), usize::from(secs == 1_615), "at {secs} s");
    }
    assert_eq!(checks, [715, 1_315], "and none to those that are taken for down");
    let back = group.fire(MOBILE, 2_100, MobileTimer::Transaction);
    let heard = group.get(parents[0], at(2_100), MOBILE, back.sent[0].1);
    assert_eq!(heard.judged, [(MOBILE, Verdict::Up)]);
}

#[test]
fn there_is_a_verdict_after_the_missed_heartbeats_of_each_policy() {
    for (policy, secs) in [(WakePolicy::PING, 75), (WakePolicy::ADAPTIVE, 1_500), (PIGGYBACK, 9_000), (PUSH, 1_500)] {
        let mut group = Group::of(policy);
        let parent = group.parents(MOBILE)[0];
        let children = group.mobile.incoming.slots(parent, NodeType::MobileNode).len();
        assert!(group.fire(parent, secs, MobileTimer::Look).judged.is_empty());
        assert_eq!(group.fire(parent, secs + 1, MobileTimer::Look).judged.len(), children, "{}", policy.name());
    }
}

#[test]
fn news_are_pushed_or_wait_for_a_heartbeat_and_are_told_until_they_are_confirmed() {
    for policy in [WakePolicy::PING, PUSH] {
        let mut group = Group::of(policy);
        let fx = group.fire(1, 50, MobileTimer::News);
        let slot = (0..).find(|&slot| !group.state.waiting[slot].is_empty()).unwrap();
        let child = group.state.senders[slot];
        let is_push = policy.is_push();
        assert_eq!(fx.sent.len(), usize::from(is_push));
        assert!(matches!(fx.timers[..], [(_, MobileTimer::News)]));
        // The first notice is lost; the next heartbeat brings another.
        let slot = slot as u32;
        let fx = group.get(1, at(70), child, MobileMessage::Heartbeat { slot });
        let [(to, notice @ MobileMessage::Notice { newest: 1 }, _)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
        assert_eq!(to, child);
        if is_push {
            assert!(group.fire(1, 80, MobileTimer::Look).sent.iter().any(|sent| (sent.0, sent.1) == (child, notice)));
        }
        // Old confirmations do not count.
        group.get(1, at(75), child, MobileMessage::Confirmation { slot, newest: 0 });
        assert_eq!(group.counts().delivered, 0);
        let fx = group.get(1, at(75), child, MobileMessage::Confirmation { slot, newest: 1 });
        assert!(fx.sent.is_empty() && group.state.waiting[slot as usize].is_empty());
        group.get(1, at(76), child, MobileMessage::Confirmation { slot, newest: 1 });
        let counts = group.counts();
        assert_eq!((counts.news, counts.delivered), (1, 1));
        let delay = counts.delay.quantile(100).unwrap();
        assert!(delay >= SimSpan::from_secs(25) && delay < SimSpan::from_secs(29), "{delay}");
    }
}

#[test]
fn who_leaves_says_so_and_who_comes_back_too() {
    let mut group = Group::of(PUSH);
    let parents = group.parents(MOBILE);
    let fx = group.act(MOBILE, at(5), |mobile, state, here, fx| mobile.handle_leave(state, here, fx));
    assert_eq!(receivers(&fx), parents);
    assert_eq!(group.get(parents[0], at(6), MOBILE, fx.sent[0].1).judged, [(MOBILE, Verdict::Down)]);
    assert_eq!(group.get(parents[0], at(6), MOBILE, fx.sent[0].1).judged, []);
    let fx = group.act(MOBILE, at(50), |mobile, state, here, fx| mobile.handle_join(state, here, fx));
    assert_eq!(receivers(&fx), parents);
    assert_eq!(group.get(parents[0], at(51), MOBILE, fx.sent[0].1).judged, [(MOBILE, Verdict::Up)]);
    // A parent that comes back has forgotten what there was.
    group.fire(parents[0], 60, MobileTimer::News);
    group.act(parents[0], at(90), |mobile, state, here, fx| mobile.handle_join(state, here, fx));
    assert!(group.state.waiting.iter().all(Waiting::is_empty));
    assert_eq!((group.counts().news, group.counts().forgotten), (1, 1));
}

#[test]
fn messages_over_links_that_are_none_are_rejected() {
    let mut group = Group::of(WakePolicy::PING);
    let link = group.mobile.graph.links(MOBILE)[0];
    let stranger = (1..6).find(|parent| !group.parents(MOBILE).contains(parent)).unwrap();
    let slot = link.slot;
    let heartbeat = MobileMessage::Heartbeat { slot };
    group.get(link.peer, at(1), MOBILE + 1, heartbeat);
    group.get(stranger, at(1), MOBILE, heartbeat);
    group.get(link.peer, at(1), MOBILE, MobileMessage::Confirmation { slot: u32::MAX, newest: 1 });
    group.get(MOBILE + 1, at(1), MOBILE, MobileMessage::Leave { slot });
    group.get(0, at(1), MOBILE, heartbeat);
    group.get(MOBILE, at(1), stranger, MobileMessage::Check);
    group.get(link.peer, at(1), MOBILE, MobileMessage::Notice { newest: 1 });
    assert_eq!(group.counts().rejected, 7);
    // Notices where nobody has news.
    let mut group = Group::with(WakePolicy::PING, |options| options.news = None);
    group.get(MOBILE, at(1), link.peer, MobileMessage::Notice { newest: 1 });
    assert_eq!(group.counts().rejected, 1);
}

#[test]
fn lengths_are_those_of_the_encoding() {
    for size in [0, 100, 1_000] {
        let group = Group::with(WakePolicy::PING, |options| options.size = size);
        let (transaction, news) = ([0; 250], [0; 100]);
        let cases = [
            (MobileMessage::Heartbeat { slot: 0 }, WireBody::Heartbeat),
            (MobileMessage::Transaction { slot: 0 }, WireBody::Transaction(&transaction)),
            (MobileMessage::Check, WireBody::Check),
            (MobileMessage::Notice { newest: 7 }, WireBody::Notice { newest: 7, contents: &news }),
            (MobileMessage::Confirmation { slot: 0, newest: 7 }, WireBody::Confirmation { newest: 7 }),
            (MobileMessage::Leave { slot: 0 }, WireBody::Leave),
        ];
        for (kind, (message, body)) in cases.into_iter().enumerate() {
            let len = (WireMobile { sender: 1, body }.encoded_len() as u32).max(size);
            assert_eq!((group.mobile.wire_len(&message, 0), group.mobile.kind(&message)), (len, kind));
        }
    }
    assert_eq!((size_of::<MobileMessage>(), size_of::<MobileTimer>()), (8, 1));
}

#[test]
fn only_mobile_nodes_and_slots_of_parents_take_memory() {
    let group = Group::with(WakePolicy::PING, |options| options.news = None);
    assert_eq!(group.mobile.state_bytes(&group.state), 20 * 32 + 20 * 2 * (4 + 4));
    let group = Group::of(WakePolicy::PING);
    assert_eq!(group.mobile.state_bytes(&group.state), 20 * (32 + 2 * 2) + 20 * 2 * (4 + 4 + 8));
    assert!(group.state.radio(MOBILE as usize - 1).is_none());
    let mut group = group;
    let figures = group.mobile.figures(&group.state, SimTime::ZERO);
    assert_eq!((figures.nodes, figures.mean_mw()), (20, 0.0));
    for id in [0, 6] {
        let fx = group.act(id, SimTime::ZERO, |mobile, state, here, fx| mobile.handle_start(state, here, fx));
        assert!(fx.timers.is_empty() && fx.sent.is_empty(), "super and light nodes do nothing");
    }
    let figures = group.mobile.figures(&group.state, SimTime::ZERO + MINUTE * 60);
    let (mean, most) = (figures.mean_mw(), figures.powers.quantile(99).unwrap());
    assert!((mean - 19.955).abs() < 0.1 && (most - 20.0).abs() < 0.11, "idle: {mean} mW, {most} mW");
}
