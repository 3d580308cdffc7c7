//! Tests of SWIM, without an engine.

use super::wire::{UPDATE_LEN, WireSwim, decode_updates};
use super::*;
use crate::contract::SimTime;
use crate::protocols::recorder::Recorder;

const TIMING: SwimTiming = SwimTiming {
    period: SimSpan::from_secs(1),
    probe_timeout: SimSpan::from_millis(300),
    indirect_probes: 3,
    suspicion_mult: 4,
};

/// A population of SWIM members that are driven by hand.
struct Group {
    swim: Swim,
    state: SwimState,
    nodes: Nodes,
}

impl Group {
    fn of(members: NodeId) -> Self {
        let population = Population::flat(members);
        let (swim, nodes) = (Swim::new(population, TIMING), Nodes::all(population));
        Group { state: swim.state(nodes.clone()), swim, nodes }
    }

    /// Has member `id` do something.
    fn act(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&Swim, &mut SwimState, Here, &mut Recorder<Swim>),
    ) -> Recorder<Swim> {
        let here = self.nodes.here(id as usize);
        let mut fx = Recorder::new(here, SimTime::ZERO);
        act(&self.swim, &mut self.state, here, &mut fx);
        fx
    }

    fn fire(&mut self, id: NodeId, timer: SwimTimer) -> Recorder<Swim> {
        self.act(id, |swim, state, here, fx| swim.handle_timer(state, here, timer, fx))
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: SwimMessage, updates: &[Update]) -> Recorder<Swim> {
        let mut payload = Vec::new();
        updates.iter().for_each(|&update| wire::encode_update(update, &mut payload));
        self.act(id, |swim, state, here, fx| swim.handle_message(state, here, from, message, &payload, fx))
    }

    /// Begins a period of member `id`. Returns its probe and whom it pings.
    fn ping(&mut self, id: NodeId) -> (u16, NodeId) {
        let fx = self.fire(id, SwimTimer::Period);
        let [(target, SwimMessage::Ping { probe }, _)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
        (probe, target)
    }

    fn standing(&self, id: NodeId, of: NodeId) -> (u32, Status) {
        let standing = self.state.view(id as usize).standing(of);
        (standing.incarnation(), standing.status())
    }
}

fn update(member: NodeId, incarnation: u32, status: Status) -> Update {
    Update { member, standing: Standing::new(incarnation, status) }
}

fn updates(payload: &[u8]) -> Vec<Update> {
    decode_updates(payload).expect("a member sends updates").collect()
}

#[test]
fn what_travels_and_what_waits_is_small() {
    assert_eq!((size_of::<SwimMessage>(), size_of::<SwimTimer>(), size_of::<Member>()), (8, 12, 64));
    let group = Group::of(1_000);
    assert_eq!(group.swim.state_bytes(&group.state), 64 * 1_000, "nothing is known that is not usual");
}

#[test]
fn suspicions_and_retransmissions_grow_with_the_logarithm_of_the_members() {
    let of = |members| {
        let swim = Swim::new(Population::flat(members), TIMING);
        (swim.suspicion().as_nanos() / 1_000_000, swim.times_max())
    };
    assert_eq!([2, 10, 100, 1_000_000].map(of), [(4_000, 4), (4_000, 8), (8_000, 12), (24_000, 28)]);
    assert_eq!([9, 99, 999].map(|members| of(members).1), [4, 8, 12], "ceil(log10(n + 1))");
    assert_eq!(of(50).0, 6_795, "4 log10(50) seconds");
}

#[test]
fn a_member_that_answers_is_not_suspected() {
    let mut group = Group::of(100);
    let mut targets = Vec::new();
    for _ in 0..20 {
        let (probe, target) = group.ping(0);
        targets.push(target);
        let answer = group.get(target, 0, SwimMessage::Ping { probe }, &[]);
        assert_eq!(answer.sent, [(0, SwimMessage::Ack { probe }, vec![])]);
        let heard = group.get(0, target, SwimMessage::Ack { probe }, &[]);
        assert!(heard.sent.is_empty() && heard.judged.is_empty());
        let late = group.fire(0, SwimTimer::Timeout);
        assert_eq!((late.sent.len(), late.timers), (0, vec![(SimSpan::from_millis(700), SwimTimer::Period)]));
    }
    assert_eq!(group.state.view(0).exceptions(), []);
    assert!(!targets.contains(&0));
}

#[test]
fn a_silent_member_is_probed_through_others_then_suspected_then_down() {
    let mut group = Group::of(100);
    let (probe, target) = group.ping(0);
    let late = group.fire(0, SwimTimer::Timeout);
    let mut helpers: Vec<_> = late.sent.iter().map(|&(to, ..)| to).collect();
    helpers.sort_unstable();
    helpers.dedup();
    assert!(helpers.len() == 3 && !helpers.contains(&target) && !helpers.contains(&0), "{helpers:?}");
    assert!(late.sent.iter().all(|&(_, message, _)| message == SwimMessage::PingRequest { probe, target }));
    let next = group.fire(0, SwimTimer::Period);
    assert_eq!(next.judged, [(target, Verdict::Suspected)]);
    let suspicion = SwimTimer::Suspicion { member: target, incarnation: 0 };
    assert_eq!(next.timers[0], (group.swim.suspicion(), suspicion));
    assert_eq!(updates(&next.sent[0].2), [update(target, 0, Status::Suspected)], "the next ping says so");
    let over = group.fire(0, suspicion);
    assert_eq!(over.judged, [(target, Verdict::Down)]);
    assert_eq!(group.standing(0, target), (0, Status::Down));
    let again = group.fire(0, suspicion);
    assert!(again.judged.is_empty());
    for _ in 0..2_000 {
        assert_ne!(group.ping(0).1, target, "who is down is not probed");
        group.state.members[0].is_acked = true;
    }
}

#[test]
fn an_answer_through_another_member_counts() {
    let mut group = Group::of(100);
    let (probe, target) = group.ping(0);
    let late = group.fire(0, SwimTimer::Timeout);
    let (helper, request, _) = late.sent[0];
    let relayed = group.get(helper, 0, request, &[]);
    assert_eq!(relayed.sent, [(target, SwimMessage::PingFor { probe, origin: 0 }, vec![])]);
    let answer = group.get(target, helper, relayed.sent[0].1, &[]);
    assert_eq!(answer.sent, [(helper, SwimMessage::AckFor { probe, origin: 0 }, vec![])]);
    let passed = group.get(helper, target, answer.sent[0].1, &[]);
    assert_eq!(passed.sent, [(0, SwimMessage::Ack { probe }, vec![])]);
    group.get(0, helper, passed.sent[0].1, &[]);
    assert!(group.fire(0, SwimTimer::Period).judged.is_empty());
}

#[test]
fn an_answer_to_an_earlier_probe_does_not_count() {
    let mut group = Group::of(2);
    let (old, _) = group.ping(0);
    group.get(0, 1, SwimMessage::Ack { probe: old }, &[]);
    group.ping(0);
    group.get(0, 1, SwimMessage::Ack { probe: old }, &[]);
    assert_eq!(group.fire(0, SwimTimer::Period).judged, [(1, Verdict::Suspected)]);
    assert_eq!(group.fire(0, SwimTimer::Timeout).sent, [], "there is nobody else to ask");
}

#[test]
fn a_suspect_is_told_so_and_refutes_it() {
    let mut group = Group::of(100);
    group.get(0, 9, SwimMessage::Leave, &[update(5, 0, Status::Suspected)]);
    let told = group.get(0, 5, SwimMessage::Ping { probe: 1 }, &[]);
    let [(5, SwimMessage::Ack { probe: 1 }, ref payload)] = told.sent[..] else { panic!("{:?}", told.sent) };
    let accusation = update(5, 0, Status::Suspected);
    assert_eq!(updates(payload)[0], accusation);
    let heard = group.get(5, 0, SwimMessage::Ping { probe: 7 }, &[accusation]);
    assert_eq!(group.state.incarnation(5), 1);
    let refutation = update(5, 1, Status::Alive);
    assert_eq!(updates(&heard.sent[0].2), [refutation]);
    let believed = group.get(0, 5, SwimMessage::Ack { probe: 0 }, &[refutation]);
    assert_eq!(believed.judged, [(5, Verdict::Up)]);
    let over = group.fire(0, SwimTimer::Suspicion { member: 5, incarnation: 0 });
    assert!(over.judged.is_empty(), "the suspicion was of another incarnation");
    let heard = group.get(5, 0, SwimMessage::Ping { probe: 8 }, &[accusation]);
    assert_eq!(group.state.incarnation(5), 1, "an old accusation is answered, but raises nothing");
    assert_eq!(updates(&heard.sent[0].2), [refutation]);
}

#[test]
fn news_is_passed_on_a_limited_number_of_times_and_old_news_is_not() {
    let mut group = Group::of(100);
    let news = [update(7, 2, Status::Down), update(8, 0, Status::Left), update(9, 3, Status::Alive)];
    let first = group.get(0, 1, SwimMessage::Ping { probe: 1 }, &news);
    assert_eq!(first.judged, [(7, Verdict::Down), (8, Verdict::Down)], "9 was up before");
    for sent in 1..=group.swim.times_max() {
        let known = if sent == 1 {
            first.sent[0].2.clone()
        } else {
            group.get(0, 1, SwimMessage::Ping { probe: 1 }, &news).sent[0].2.clone()
        };
        assert_eq!(updates(&known).len(), 3);
    }
    let silent = group.get(0, 1, SwimMessage::Ping { probe: 1 }, &news);
    assert_eq!((silent.sent, silent.judged), (vec![(1, SwimMessage::Ack { probe: 1 }, vec![])], vec![]));
}

#[test]
fn a_message_holds_what_fits_and_is_as_long_as_its_encoding() {
    let mut group = Group::of(1_000);
    let many: Vec<_> = (100..200).map(|member| update(member, 0, Status::Suspected)).collect();
    group.get(0, 1, SwimMessage::Leave, &[update(5, 0, Status::Down)]);
    group.get(0, 1, SwimMessage::Leave, &many);
    for (from, request, told) in [
        (5, SwimMessage::Ping { probe: 1 }, wire::UPDATES_MAX),
        (2, SwimMessage::Ping { probe: 1 }, wire::UPDATES_MAX),
        (2, SwimMessage::PingFor { probe: 1, origin: 3 }, wire::UPDATES_MAX),
        (2, SwimMessage::Join, 101),
    ] {
        let fx = group.get(0, from, request, &[]);
        let [(_, message, ref payload)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
        let encoded = WireSwim { sender: 0, message, updates: updates(payload) };
        assert_eq!(encoded.updates.len(), told);
        assert_eq!(encoded.updates.first() == Some(&update(5, 0, Status::Down)), from == 5 || told > 100);
        let mut bytes = Vec::new();
        encoded.encode(&mut bytes);
        assert_eq!(group.swim.wire_len(&message, payload.len()) as usize, bytes.len());
        assert_eq!(bytes.len() <= wire::MESSAGE_LEN_MAX, message != SwimMessage::View);
    }
}

#[test]
fn a_member_that_comes_back_is_believed_and_is_told_what_happened() {
    let mut group = Group::of(100);
    group.get(5, 1, SwimMessage::Leave, &[update(50, 0, Status::Suspected), update(60, 0, Status::Down)]);
    let back = group.act(5, |swim, state, here, fx| swim.handle_join(state, here, fx));
    let [(asked, SwimMessage::Join, ref payload)] = back.sent[..] else { panic!("{:?}", back.sent) };
    assert_eq!(updates(payload), [update(5, 1, Status::Alive)], "the rest is forgotten");
    let [(phase, SwimTimer::Period)] = back.timers[..] else { panic!("{:?}", back.timers) };
    assert!(phase < TIMING.period);
    // The question may be lost: it is asked again until there is an answer.
    let again = group.fire(5, SwimTimer::Period);
    assert!(
        matches!(again.sent[..], [(_, SwimMessage::Ping { .. }, _), (_, SwimMessage::Join, _)]),
        "{:?}",
        again.sent
    );
    group.get(asked, 7, SwimMessage::Leave, &[update(5, 0, Status::Down), update(70, 3, Status::Down)]);
    let answer = group.get(asked, 5, SwimMessage::Join, &updates(payload));
    assert_eq!(answer.judged, [(5, Verdict::Up)], "its incarnation is higher");
    let [(5, SwimMessage::View, ref view)] = answer.sent[..] else { panic!("{:?}", answer.sent) };
    assert_eq!(updates(view), [update(5, 1, Status::Alive), update(70, 3, Status::Down)]);
    let told = group.get(5, asked, SwimMessage::View, &updates(view));
    assert_eq!(told.judged, [(70, Verdict::Down)]);
    let (_, target) = (group.state.members[5].is_acked = true, group.fire(5, SwimTimer::Period));
    assert_eq!(target.sent.len(), 1, "it asks no more");
    assert_eq!(updates(&target.sent[0].2), [update(5, 1, Status::Alive)], "what others know is not news");
}

#[test]
fn a_member_that_leaves_tells_a_few_others_who_pass_it_on() {
    let mut group = Group::of(100);
    let gone = group.act(5, |swim, state, here, fx| swim.handle_leave(state, here, fx));
    let mut told: Vec<_> = gone.sent.iter().map(|&(to, ..)| to).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len() as u32, LEAVE_FANOUT);
    for (to, message, payload) in &gone.sent {
        assert_eq!((message, updates(payload)), (&SwimMessage::Leave, vec![update(5, 0, Status::Left)]));
        let heard = group.get(*to, 5, *message, &updates(payload));
        assert_eq!((heard.judged, heard.sent.len()), (vec![(5, Verdict::Down)], 0));
        let next = group.fire(*to, SwimTimer::Period);
        assert_eq!(updates(&next.sent[0].2), [update(5, 0, Status::Left)]);
    }
    let late = group.get(told[0], 9, SwimMessage::Leave, &[update(5, 0, Status::Down)]);
    assert!(late.judged.is_empty() && group.standing(told[0], 5).1 == Status::Left, "it left; it did not fail");
}

#[test]
fn bytes_that_are_no_updates_are_counted_and_nothing_is_believed() {
    let mut group = Group::of(100);
    let mut payload = Vec::new();
    wire::encode_update(update(7, 0, Status::Down), &mut payload);
    for broken in [&payload[..UPDATE_LEN - 1], &[payload.as_slice(), &[9; UPDATE_LEN]].concat()] {
        let fx = group.act(0, |swim, state, here, fx| {
            swim.handle_message(state, here, 1, SwimMessage::Ping { probe: 1 }, broken, fx);
        });
        assert!(fx.sent.is_empty() && fx.judged.is_empty());
    }
    assert_eq!((group.state.rejected(), group.standing(0, 7)), (2, (0, Status::Alive)));
    // Members that there are not, and requests about oneself.
    assert!(group.get(0, 1, SwimMessage::Leave, &[update(100, 0, Status::Down)]).judged.is_empty());
    for message in [
        SwimMessage::PingRequest { probe: 1, target: 0 },
        SwimMessage::PingRequest { probe: 1, target: 100 },
        SwimMessage::AckFor { probe: 1, origin: 0 },
        SwimMessage::AckFor { probe: 1, origin: u32::MAX },
    ] {
        assert!(group.get(0, 1, message, &[]).sent.is_empty(), "{message:?}");
    }
}

#[test]
fn probes_are_uniform_and_find_the_last_one_that_is_up() {
    let mut group = Group::of(11);
    let mut hits = [0u32; 11];
    for draw in 0..20_000 {
        let mut random = crate::contract::RandomKey::new(3, crate::contract::Domain::Protocol).stream(4, draw);
        let target = group.swim.pick(4, &mut random, |member| member != 7).unwrap();
        hits[target as usize] += 1;
    }
    assert_eq!((hits[4], hits[7]), (0, 0));
    let expected = 20_000.0 / 9.0;
    let others = hits.iter().enumerate().filter(|&(member, _)| ![4, 7].contains(&member));
    assert!(
        others.clone().all(|(_, &count)| (f64::from(count) - expected).abs() < 6.0 * f64::sqrt(expected)),
        "{hits:?}"
    );
    let dead: Vec<_> =
        (0..11).filter(|member| ![4, 9].contains(member)).map(|id| update(id, 0, Status::Down)).collect();
    group.get(4, 9, SwimMessage::Leave, &dead);
    for _ in 0..50 {
        assert_eq!(group.ping(4).1, 9);
        group.state.members[4].is_acked = true;
    }
    group.get(4, 9, SwimMessage::Leave, &[update(9, 0, Status::Left)]);
    let alone = group.fire(4, SwimTimer::Period);
    assert_eq!((alone.sent.len(), alone.timers), (0, vec![(TIMING.probe_timeout, SwimTimer::Timeout)]));
}
