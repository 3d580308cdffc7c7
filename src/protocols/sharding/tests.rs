//! Tests of sharding, without an engine.

use super::*;
use crate::contract::Verdict;
use crate::protocols::recorder::Recorder;

const SUPERS: NodeId = 2;
const FULLS: NodeId = 12;

fn at(secs: u64) -> SimTime {
    SimTime::ZERO + SimSpan::from_secs(secs)
}

/// Two super, twelve full and three light nodes, driven by hand.
struct Group {
    sharding: Sharding,
    state: ShardingState,
    nodes: Nodes,
}

impl Group {
    fn with(placement: ShardPlacement, change: impl FnOnce(&mut ShardingOptions)) -> Self {
        let population = Population::new([u64::from(SUPERS), u64::from(FULLS), 3, 0]).unwrap();
        let mut options = ShardingOptions { records: 2_000, trace: true, ..ShardingOptions::new(placement) };
        change(&mut options);
        let (sharding, nodes) = (Sharding::new(population, options, None), Nodes::all(population));
        Group { state: sharding.state(nodes.clone()), sharding, nodes }
    }

    fn new() -> Self {
        Group::with(ShardPlacement::ConsistentHashing { virtual_nodes: 16 }, |_| {})
    }

    fn act(
        &mut self,
        id: NodeId,
        now: SimTime,
        act: impl FnOnce(&Sharding, &mut ShardingState, Here, &mut Recorder<Sharding>),
    ) -> Recorder<Sharding> {
        let here = self.nodes.here(id as usize);
        let mut fx = Recorder::new(here, now);
        act(&self.sharding, &mut self.state, here, &mut fx);
        fx
    }

    fn fire(&mut self, id: NodeId, secs: u64, timer: ShardingTimer) -> Recorder<Sharding> {
        self.act(id, at(secs), |sharding, state, here, fx| sharding.handle_timer(state, here, timer, fx))
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: ShardingMessage, payload: &[u8]) -> Recorder<Sharding> {
        self.act(id, at(1), |sharding, state, here, fx| {
            sharding.handle_message(state, here, from, message, payload, fx)
        })
    }

    /// Delivers everything, and what follows from it, and lets timers of batches fire at once.
    fn settle(&mut self, from: NodeId, fx: Recorder<Sharding>) {
        let mut rest = vec![(from, fx)];
        while let Some((from, fx)) = rest.pop() {
            for (to, message, payload) in fx.sent {
                rest.push((to, self.get(to, from, message, &payload)));
            }
            for (_, timer) in fx.timers.into_iter().filter(|(_, timer)| *timer == ShardingTimer::Send) {
                rest.push((from, self.fire(from, 1, timer)));
            }
        }
    }

    /// Announces that these full nodes are down, leave, or are members.
    fn announce(&mut self, changes: &[(NodeId, u32)]) -> Recorder<Sharding> {
        for &(node, change) in changes {
            match change {
                registrar::MEMBER => self.get(0, node, ShardingMessage::Alive { epoch: 0 }, &[]),
                registrar::LEAVING => self.get(0, node, ShardingMessage::Leave { stays: true }, &[]),
                _ => self.get(0, node, ShardingMessage::Leave { stays: false }, &[]),
            };
        }
        self.fire(0, 1, ShardingTimer::Tick)
    }

    fn held(&self, id: NodeId) -> Vec<u32> {
        self.state.held(id as usize).to_vec()
    }

    /// Asserts that those who keep records are exactly their owners among `members`.
    #[track_caller]
    fn check_placed(&self, is_member: impl Fn(NodeId) -> bool) {
        let view = View::of(SUPERS, FULLS, &is_member);
        for record in 0..self.sharding.options.records {
            let mut owners = self.sharding.placer.owners(self.sharding.hash_of(record), &view).to_vec();
            owners.sort_unstable();
            let holders: Vec<NodeId> =
                view.members().iter().copied().filter(|&id| self.held(id).binary_search(&record).is_ok()).collect();
            assert_eq!(holders, owners, "record {record}");
        }
    }
}

#[test]
fn at_the_start_owners_keep_what_is_theirs() {
    let group = Group::new();
    group.check_placed(|_| true);
    let total: usize = (SUPERS..SUPERS + FULLS).map(|id| group.held(id).len()).sum();
    assert_eq!(total, 3 * 2_000);
    let keepers = FULLS as usize * size_of::<Keeper>();
    assert_eq!(size_of::<Keeper>(), 104);
    assert_eq!(group.sharding.state_bytes(&group.state), keepers + total * 4 + FULLS as usize * 4, "no spare room");
}

#[test]
fn records_of_who_goes_down_come_from_those_who_have_them_and_each_once() {
    for placement in [
        ShardPlacement::Modulo,
        ShardPlacement::FixedShards { shards: 128 },
        ShardPlacement::ConsistentHashing { virtual_nodes: 16 },
    ] {
        let mut group = Group::with(placement, |_| {});
        let lost = group.held(5).len() as u64;
        let fx = group.announce(&[(5, registrar::DOWN)]);
        assert_eq!(fx.sent.len(), FULLS as usize - 1, "one that is down is not told");
        // Node 5 says nothing from now on: nobody sends to it.
        group.settle(0, fx);
        group.check_placed(|id| id != 5);
        let counts = group.state.counts().clone();
        assert_eq!((counts.repeated, counts.abandoned, counts.rejected), (0, 0, 0));
        assert_eq!((counts.changes, counts.sent), ([1, 0, 0], counts.stored));
        if placement == ShardPlacement::Modulo {
            assert!(counts.stored > 4_000, "nearly all: {}", counts.stored);
        } else {
            assert_eq!(counts.stored, lost, "only what it had");
        }
        // It comes back with nothing, and gets its share again.
        let fx = group.act(5, at(2), |sharding, state, here, fx| sharding.handle_join(state, here, fx));
        assert!(group.held(5).is_empty());
        group.settle(5, fx);
        let fx = group.fire(0, 3, ShardingTimer::Tick);
        group.settle(0, fx);
        group.check_placed(|_| true);
        assert_eq!(group.state.counts().repeated, 0);
        if placement != ShardPlacement::Modulo {
            assert_eq!(group.state.counts().dropped, lost, "others have dropped what it has");
        }
    }
}

#[test]
fn who_leaves_in_good_order_hands_over_all_and_keeps_nothing() {
    let mut group = Group::new();
    let fx = group.fire(6, 1, ShardingTimer::Depart);
    assert!(matches!(fx.sent[..], [(0, ShardingMessage::Leave { stays: true }, _)]));
    group.settle(6, fx);
    let before = group.held(6).len() as u64;
    let fx = group.fire(0, 1, ShardingTimer::Tick);
    group.settle(0, fx);
    group.check_placed(|id| id != 6);
    assert!(group.held(6).is_empty());
    let counts = group.state.counts();
    assert_eq!((counts.changes, counts.drained, counts.sent, counts.dropped), ([0, 0, 1], 1, before, before));
    // That it still says that it lives does not make it a member.
    let alive = group.fire(6, 30, ShardingTimer::Alive);
    group.settle(6, alive);
    assert!(group.fire(0, 31, ShardingTimer::Tick).sent.is_empty());
}

#[test]
fn who_missed_an_epoch_gets_the_whole_view() {
    let mut group = Group::new();
    group.announce(&[(5, registrar::DOWN)]);
    let fx = group.announce(&[(9, registrar::DOWN)]);
    let (_, change, payload) = fx.sent.iter().find(|(to, ..)| *to == 7).unwrap().clone();
    let fx = group.get(7, 0, change, &payload);
    assert!(matches!(fx.sent[..], [(0, ShardingMessage::Alive { epoch: 1 }, _)]));
    let fx = group.get(0, 7, ShardingMessage::Alive { epoch: 1 }, &[]);
    let [(7, view @ ShardingMessage::View { epoch: 3 }, ref payload)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
    let payload = payload.clone();
    group.get(7, 0, view, &payload);
    assert_eq!(group.state.view(7).unwrap().members().len(), FULLS as usize - 2);
    assert!(group.state.waiting(7) > 0, "it hands over what changed meanwhile");
    // Old news change nothing.
    let waiting = group.state.waiting(7);
    group.get(7, 0, view, &payload);
    assert_eq!(group.state.waiting(7), waiting);
}

#[test]
fn a_batch_is_sent_again_until_it_is_given_up_and_offers_mend_what_is_missing() {
    let mut group = Group::new();
    let fx = group.announce(&[(5, registrar::DOWN)]);
    let (_, change, payload) = fx.sent.iter().find(|(to, ..)| *to == 7).unwrap().clone();
    for id in (SUPERS..SUPERS + FULLS).filter(|&id| id != 5) {
        group.get(id, 0, change, &payload);
    }
    let fx = group.fire(7, 2, ShardingTimer::Send);
    let [(to, ShardingMessage::Batch { number }, ref batch)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
    assert!(fx.timers.contains(&(SimSpan::from_secs(2), ShardingTimer::Retry { number })));
    let waiting = group.state.waiting(7);
    for _ in 1..ATTEMPTS_MAX {
        let again = group.fire(7, 4, ShardingTimer::Retry { number });
        assert_eq!((again.sent[0].0, &again.sent[0].2), (to, batch));
    }
    let given_up = group.fire(7, 6, ShardingTimer::Retry { number });
    assert!(given_up.sent.is_empty());
    assert_eq!(group.state.waiting(7), waiting - batch.len() / 4);
    assert_eq!(group.state.counts().abandoned, batch.len() as u64 / 4);
    // A confirmation that comes too late, or from another, changes nothing.
    group.get(7, to, ShardingMessage::Taken { number }, &[]);
    assert_eq!(group.state.waiting(7), waiting - batch.len() / 4);
    for id in (SUPERS..SUPERS + FULLS).filter(|&id| id != 5) {
        while group.state.waiting(id as usize) > 0 {
            let fx = group.fire(id, 8, ShardingTimer::Send);
            group.settle(id, fx);
        }
    }
    // Owner by owner, so as many rounds as others miss it.
    for round in 1..3 {
        for id in (SUPERS..SUPERS + FULLS).filter(|&id| id != 5) {
            let fx = group.fire(id, round * 600, ShardingTimer::Offer);
            group.settle(id, fx);
        }
    }
    group.check_placed(|id| id != 5);
    assert!(group.state.counts().asked > 0);
}

#[test]
fn who_keeps_what_is_others_drops_it_when_they_have_it() {
    let mut group = Group::new();
    let record = (0..2_000).find(|record| group.held(4).binary_search(record).is_err()).unwrap();
    group.get(4, 7, ShardingMessage::Batch { number: 1 }, &record.to_le_bytes());
    assert!(group.held(4).contains(&record));
    let fx = group.fire(4, 600, ShardingTimer::Offer);
    group.settle(4, fx);
    group.check_placed(|_| true);
}

#[test]
fn the_registrar_judges_by_silence() {
    let mut group = Group::new();
    for id in (SUPERS..SUPERS + FULLS).filter(|&id| id != 8) {
        group.act(0, at(50), |sharding, state, here, fx| {
            sharding.handle_message(state, here, id, ShardingMessage::Alive { epoch: 1 }, &[], fx);
        });
    }
    let fx = group.fire(0, 75, ShardingTimer::Tick);
    assert!(fx.judged.is_empty() && fx.sent.is_empty());
    let fx = group.fire(0, 76, ShardingTimer::Tick);
    assert_eq!(fx.judged, [(8, Verdict::Down)]);
    assert_eq!(fx.sent.len(), FULLS as usize - 1);
    let fx = group.act(0, at(76), |sharding, state, here, fx| {
        sharding.handle_message(state, here, 8, ShardingMessage::Alive { epoch: 1 }, &[], fx);
    });
    assert_eq!((fx.judged, fx.sent.len()), (vec![(8, Verdict::Up)], 0));
    // It is a member again with the next announcement, and is told all.
    let fx = group.fire(0, 77, ShardingTimer::Tick);
    let views = fx.sent.iter().filter(|(to, message, _)| *to == 8 && *message == ShardingMessage::View { epoch: 3 });
    assert_eq!((views.count(), fx.sent.len()), (1, FULLS as usize));
    // A registrar that was away itself waits before it judges.
    group.act(0, at(5_000), |sharding, state, here, fx| sharding.handle_join(state, here, fx));
    assert!(group.fire(0, 5_070, ShardingTimer::Tick).judged.is_empty());
    assert_eq!(group.fire(0, 5_076, ShardingTimer::Tick).judged.len(), FULLS as usize);
}

#[test]
fn what_nobody_may_send_or_nobody_can_read_is_rejected() {
    let mut group = Group::new();
    let big = vec![0; 4 * (OFFER_MAX + 1)];
    let beyond = 2_000u32.to_le_bytes();
    let cases: [(NodeId, NodeId, ShardingMessage, &[u8]); 14] = [
        (0, 1, ShardingMessage::Alive { epoch: 1 }, &[]),
        (0, 15, ShardingMessage::Leave { stays: true }, &[]),
        (5, 6, ShardingMessage::Alive { epoch: 1 }, &[]),
        (5, 6, ShardingMessage::Change { epoch: 2 }, &[]),
        (5, 1, ShardingMessage::View { epoch: 2 }, &[0, 0]),
        (5, 0, ShardingMessage::View { epoch: 2 }, &[0, 0xf0]),
        (5, 0, ShardingMessage::View { epoch: 2 }, &[0]),
        (5, 0, ShardingMessage::Change { epoch: 2 }, &[1, 2, 3]),
        (5, 15, ShardingMessage::Batch { number: 1 }, &[]),
        (5, 6, ShardingMessage::Batch { number: 1 }, &beyond),
        (5, 6, ShardingMessage::Batch { number: 1 }, &[0; 4 * 33]),
        (5, 6, ShardingMessage::Offer { keeps_for_others: false }, &big),
        (5, 6, ShardingMessage::Answer, &[0; 7]),
        (16, 6, ShardingMessage::Taken { number: 1 }, &[]),
    ];
    for (count, (id, from, message, payload)) in cases.into_iter().enumerate() {
        let before = group.held(5);
        assert!(group.get(id, from, message, payload).sent.is_empty());
        assert_eq!(group.state.counts().rejected, count as u64 + 1, "{message:?}");
        assert_eq!(group.held(5), before);
    }
    assert_eq!((size_of::<ShardingMessage>(), size_of::<ShardingTimer>()), (8, 8));
}

#[test]
fn figures_tell_spread_and_losses() {
    let mut group = Group::with(ShardPlacement::Modulo, |_| {});
    let down = [5, 6, 7];
    let lost = (0..2_000u32).filter(|record| {
        let holders = (SUPERS..SUPERS + FULLS).filter(|&id| group.held(id).binary_search(record).is_ok());
        holders.collect::<Vec<_>>().iter().all(|id| down.contains(id))
    });
    let lost = lost.count() as u64;
    let figures = group.sharding.figures(&group.nodes, &group.state, |id| !down.contains(&id));
    let loads: Vec<u64> =
        (SUPERS..SUPERS + FULLS).filter(|id| !down.contains(id)).map(|id| group.held(id).len() as u64).collect();
    let (sum, count) = (loads.iter().sum::<u64>(), loads.len() as f64);
    let mean = sum as f64 / count;
    let variance = loads.iter().map(|&load| (load as f64 - mean) * (load as f64 - mean)).sum::<f64>() / count;
    assert_eq!((figures.nodes, figures.replicas, figures.load), (9, sum, sum));
    assert_eq!((figures.most, figures.fewest), (*loads.iter().max().unwrap(), *loads.iter().min().unwrap()));
    assert!((figures.mean() - mean).abs() < 1e-9 && (figures.deviation() - variance.sqrt()).abs() < 1e-6);
    assert_eq!(figures.lost(), lost);
    assert!(lost > 0 && figures.under_replicated() > lost);
    let by_replicas = figures.by_replicas();
    assert_eq!((by_replicas.iter().sum::<u64>(), by_replicas[1] + by_replicas[2]), (2_000, figures.under_replicated()));
    // The same by replay: nothing was stored or dropped yet.
    let downs: Vec<_> = down.map(|id| (at(10), id)).to_vec();
    let replication = group.sharding.replication([group.state.trace()].into_iter(), &downs, &[at(9), at(10), at(99)]);
    let expected = [(0, 0), (figures.under_replicated(), lost), (figures.under_replicated(), lost)];
    let found: Vec<_> = replication.at.iter().map(|missing| (missing.under_replicated, missing.lost)).collect();
    assert_eq!(found, expected);
    assert_eq!((replication.full_since, replication.worst.time), (None, at(10)));
    let fx = group.announce(&down.map(|id| (id, registrar::DOWN)));
    group.settle(0, fx);
    let replication = group.sharding.replication([group.state.trace()].into_iter(), &[], &[at(99)]);
    assert_eq!(replication.full_since, Some(SimTime::ZERO), "as if nobody had gone down");
}
