//! Tests of the registry, without an engine.

use super::figures::RegistryFigures;
use super::replica::Sendings;
use super::store::{Decision, Store, Tentative};
use super::*;
use crate::protocols::recorder::Recorder;
use crate::protocols::sharding::shard::ShardedState;
use crate::topologies::TierDegrees;

/// The driver 0; six full nodes, 1 to 6; light nodes from 7.
const COUNTS: [u64; 4] = [1, 6, 20, 0];

fn service(partitioning: Partitioning) -> RegistryService {
    let degrees = TierDegrees { full_peers: 0, super_parents: 1, light_parents: 3, mesh: false };
    let graph = degrees.graph(Population::new(COUNTS).unwrap(), 0, 1);
    RegistryService::new(Arc::new(graph), RegistryOptions { users: 600, ..RegistryOptions::new(partitioning) }, 1)
}

#[test]
fn a_service_time_lies_between_its_quantiles_as_often_as_they_say() {
    let micros = SimSpan::from_micros;
    let service = ServiceTime { quantiles: [micros(1), micros(5), micros(10), micros(50), micros(500)] };
    let at = |share: f64| service.at((share * u64::MAX as f64) as u64).as_nanos();
    for (share, nanos) in [(0.0, 1_000), (0.25, 3_000), (0.5, 5_000), (0.9, 10_000), (0.99, 50_000), (0.995, 275_000)] {
        assert!(at(share).abs_diff(nanos) <= nanos / 1_000, "{share}: {}", at(share));
    }
    assert!(service.at(u64::MAX) <= micros(500) && service.at(u64::MAX) > micros(499));
    assert_eq!(ServiceTime::constant(micros(7)).at(12_345), micros(7));
}

#[test]
fn shards_are_those_of_the_documents_and_users_are_spread_as_people_are() {
    let service = service(Partitioning::Hash);
    let directory = service.directory();
    let mut seen = 0;
    for shard in 0..6 {
        let own = ShardedState::new(shard, 6).unwrap();
        let keys = directory.base.keys(shard);
        assert!(keys.iter().all(|&key| own.is_responsible_for(&crate::protocols::wire::key_of(key))));
        assert!(keys.is_sorted_by_key(|&key| directory.users.currency(key)));
        seen += keys.len();
        let members = directory.shards.at_start(shard);
        assert_eq!(members[..], [0, 1, 2].map(|next| 1 + (shard + next) % 6));
    }
    assert_eq!(seen, 600);
    let users = Users::new(100_000, 5, 3);
    let of = |country: usize| (0..100_000).filter(|&user| users.country(user) == country).count();
    // 1 451 and 85 of 7 060 millions.
    assert!(of(0).abs_diff(20_550) < 500 && of(18).abs_diff(1_204) < 150, "{} {}", of(0), of(18));
    let euros = users.currency((0..).find(|&user| users.country(user) == 22).unwrap());
    assert_eq!(usize::from(euros), 18, "France has the currency of Germany, which comes first");
    let verified = (0..1_000).filter(|&user| users.endorsements(user) >= 5).count();
    assert!((400..700).contains(&verified), "{verified}");
    let endorsed = (0..1_000).find(|&user| users.endorsements(user) == 3).unwrap();
    assert_eq!((0..100_000).filter(|&endorser| users.is_endorsed_by(endorsed, endorser)).count(), 3);
}

/// A shard's store and the entries that are not committed.
struct Ledger<'a> {
    service: &'a RegistryService,
    shard: u32,
    store: Store,
    pending: Vec<Entry>,
    first: u32,
}

impl Ledger<'_> {
    fn decide(&self, kind: CommandKind, key: u32, id: u32, token: u32) -> Decision {
        let (store, pending) = (&self.store, &self.pending[..]);
        let directory = self.service.directory();
        let tentative = Tentative { directory, shard: self.shard, store, pending, first: self.first };
        tentative.decide(&Command { kind, key, id, token })
    }

    /// Decides, and appends what is to be. Returns its place.
    fn push(&mut self, kind: CommandKind, key: u32, id: u32, token: u32) -> u32 {
        assert_eq!(self.decide(kind, key, id, token), Decision::Append, "{kind:?} {key} {id} {token}");
        self.pending.push(Entry { term: 1, command: Command { kind, key, id, token } });
        self.first + self.pending.len() as u32 - 1
    }

    fn commit(&mut self) {
        for entry in self.pending.drain(..) {
            self.store.apply(&self.service.directory(), &entry.command, self.first, SimTime::ZERO);
            self.first += 1;
        }
    }
}

/// Runs `check` on a ledger that commits at once, and on one that does not.
fn either(check: impl Fn(&mut Ledger<'_>, &dyn Fn(&mut Ledger<'_>))) {
    let service = service(Partitioning::Hash);
    for commits in [true, false] {
        let mut ledger = Ledger { service: &service, shard: 0, store: Store::default(), pending: Vec::new(), first: 1 };
        check(&mut ledger, &|ledger| {
            if commits {
                ledger.commit()
            }
        });
    }
}

#[test]
fn a_claim_is_bound_to_its_key_and_released_by_its_token_alone() {
    either(|ledger, settle| {
        let first = ledger.push(CommandKind::Claim, 700, 900, 0);
        settle(ledger);
        assert_eq!(ledger.decide(CommandKind::Claim, 701, 900, 0), Decision::Answer(Outcome::IdTaken));
        let again = ledger.push(CommandKind::Claim, 700, 900, 0);
        settle(ledger);
        assert!(again > first);
        let repeated = Decision::Answer(Outcome::Repeated);
        assert_eq!(ledger.decide(CommandKind::Release, 700, 900, first), repeated, "the old claim is gone");
        ledger.push(CommandKind::Release, 700, 900, again);
        settle(ledger);
        ledger.push(CommandKind::Claim, 701, 900, 0);
        settle(ledger);
        ledger.push(CommandKind::Confirm, 701, 900, 0);
        settle(ledger);
        assert_eq!(ledger.decide(CommandKind::Claim, 701, 900, 0), repeated);
        assert_eq!(ledger.decide(CommandKind::Claim, 700, 900, 0), Decision::Answer(Outcome::IdTaken));
        assert_eq!(ledger.decide(CommandKind::Release, 701, 900, 99), repeated, "what is confirmed stays");
    });
}

#[test]
fn a_fence_keeps_out_old_claims_and_lets_new_ones_in() {
    either(|ledger, settle| {
        ledger.push(CommandKind::Fence, 700, 900, 5);
        settle(ledger);
        assert_eq!(ledger.decide(CommandKind::Create, 700, 900, 5), Decision::Answer(Outcome::Fenced));
        ledger.push(CommandKind::Create, 700, 900, 6);
        settle(ledger);
        let repeated = Decision::Answer(Outcome::Repeated);
        assert_eq!(ledger.decide(CommandKind::Create, 700, 900, 5), repeated);
        assert_eq!(ledger.decide(CommandKind::Fence, 700, 900, 9), repeated, "the user exists");
        assert_eq!(ledger.decide(CommandKind::Create, 700, 901, 9), Decision::Answer(Outcome::KeyTaken));
        assert_eq!(ledger.decide(CommandKind::Standing, 700, 0, 0), Decision::Answer(Outcome::Done));
        assert_eq!(ledger.decide(CommandKind::Standing, 701, 0, 0), Decision::Answer(Outcome::UnknownUser));
    });
}

#[test]
fn endorsements_follow_the_rules_for_new_users_and_old_ones() {
    either(|ledger, settle| {
        let base = ledger.service.base.keys(0)[0];
        let other = ledger.service.base.keys(1)[0];
        let count = ledger.service.users.endorsements(base);
        if !ledger.service.users.is_endorsed_by(base, other) {
            ledger.push(CommandKind::Endorse, base, other, 0);
        }
        settle(ledger);
        assert_eq!(ledger.decide(CommandKind::Endorse, base, other, 0), Decision::Answer(Outcome::EndorsedAlready));
        assert_eq!(ledger.decide(CommandKind::Endorse, base, base, 0), Decision::Answer(Outcome::SelfEndorsement));
        assert_eq!(ledger.decide(CommandKind::Endorse, 9_999, other, 0), Decision::Answer(Outcome::UnknownUser));
        // Who would be kept here and is not there.
        let unknown = (700..).find(|&key| ledger.service.shards.of_key(&ledger.service.users, key) == 0).unwrap();
        assert_eq!(ledger.decide(CommandKind::Endorse, base, unknown, 0), Decision::Answer(Outcome::UnknownEndorser));
        let (store, pending) = (&ledger.store, &ledger.pending[..]);
        let directory = ledger.service.directory();
        let tentative = Tentative { directory, shard: 0, store, pending, first: ledger.first };
        let Ok(standing) = crate::registry::rules::Records::standing(&tentative, &base);
        assert_eq!(standing.unwrap().endorsements, count + 1);
    });
}

/// The replicas of shard 0, at nodes 1, 2 and 3, and what is under way between them.
struct Group {
    service: RegistryService,
    replicas: Vec<Replica>,
    now: SimTime,
    /// Sender, receiver, message.
    mail: Vec<(NodeId, NodeId, RegistryMessage)>,
    /// What came to nodes that keep nothing.
    outside: Vec<(NodeId, RegistryMessage)>,
}

impl Group {
    fn new() -> Self {
        let service = service(Partitioning::Hash);
        let members = service.shards.at_start(0);
        let held = service.base.records(0).iter().sum();
        let replicas = members.iter().map(|&node| Replica::new(0, members, node, held)).collect();
        let now = SimTime::ZERO + SimSpan::from_secs(1);
        Group { service, replicas, now, mail: Vec::new(), outside: Vec::new() }
    }

    fn act(&mut self, node: NodeId, act: impl FnOnce(&mut Replica, &Own<'_>, &mut Sendings)) {
        let own = self.service.own(node, self.now);
        let mut out = Vec::new();
        act(&mut self.replicas[node as usize - 1], &own, &mut out);
        self.mail.extend(out.into_iter().map(|(to, message)| (node, to, message)));
    }

    fn request(&mut self, node: NodeId, key: u32) {
        let command = Command { kind: CommandKind::Create, key, id: key, token: 1 };
        self.act(node, |replica, own, out| assert!(replica.request(own, (6, key), command, out)));
    }

    /// Carries messages, and their answers, between nodes for which `passes` says so.
    fn carry(&mut self, passes: impl Fn(NodeId, NodeId) -> bool) {
        while !self.mail.is_empty() {
            for (from, to, message) in std::mem::take(&mut self.mail) {
                if !passes(from, to) {
                    continue;
                }
                if !(1..=3).contains(&to) {
                    self.outside.push((to, message));
                    continue;
                }
                // What entries carry is read off the sender's log, as when they are sent.
                let mut payload = Vec::new();
                if let RegistryMessage::Entries { prev, .. } = message {
                    let log = &self.replicas[from as usize - 1].log;
                    log[prev as usize..].iter().for_each(|entry| wire::put_entry(entry, &mut payload));
                }
                self.act(to, |replica, own, out| {
                    served::hear(replica, own, from, message, &payload, out);
                });
            }
        }
    }

    fn answers(&mut self) -> Vec<u32> {
        let answers = std::mem::take(&mut self.outside);
        let done = answers.iter().filter_map(|(_, message)| match message {
            RegistryMessage::Answer { flow, outcome: Outcome::Done, .. } => Some(*flow),
            _ => None,
        });
        done.collect()
    }

    fn has(&self, node: NodeId, key: u32) -> bool {
        self.replicas[node as usize - 1].log.iter().any(|entry| entry.command.key == key)
    }
}

#[test]
fn a_change_is_answered_when_a_majority_has_it_and_not_before() {
    let mut group = Group::new();
    group.request(1, 700);
    group.carry(|_, to| to == 6);
    assert_eq!(group.answers(), [0; 0]);
    // Who lacks the one before it says so, and gets both.
    group.request(1, 701);
    group.carry(|from, to| from != 3 && to != 3);
    assert_eq!(group.answers(), [700, 701]);
    group.request(1, 702);
    group.carry(|_, _| false);
    group.now = group.now + SimSpan::from_secs(5);
    group.act(1, |replica, own, out| assert!(!replica.tick(own, out)));
    group.carry(|from, to| from != 2 && to != 2);
    assert_eq!(group.answers(), [702], "it was sent again, and node 3 got all three");
    assert!(group.has(2, 701) && !group.has(2, 702) && group.has(3, 700) && group.has(3, 702));
}

#[test]
fn a_new_leader_has_all_that_was_acknowledged_and_what_was_not_goes() {
    let mut group = Group::new();
    group.request(1, 700);
    group.carry(|from, to| from != 3 && to != 3);
    assert_eq!(group.answers(), [700]);
    group.request(1, 701);
    group.carry(|_, _| false);
    // The leader is cut off; who lacks what was acknowledged asks first, and does not get a vote.
    group.now = group.now + SimSpan::from_secs(20);
    for node in [3, 2] {
        group.act(node, |replica, own, out| assert!(replica.tick(own, out)));
        group.carry(|from, to| from != 1 && to != 1);
        assert_eq!(group.replicas[node as usize - 1].role == Role::Leader, node == 2, "{node}");
    }
    assert!(group.has(3, 700), "the new leader taught it");
    group.request(2, 702);
    group.carry(|from, to| from != 1 && to != 1);
    assert_eq!(group.answers(), [702]);
    // The old leader still thinks that it leads, but gets nothing through, and learns.
    group.request(1, 703);
    group.carry(|_, _| true);
    assert_eq!(group.answers(), [0; 0]);
    assert_eq!((group.replicas[0].role, group.replicas[0].term >= 2), (Role::Follower, true));
    group.now = group.now + SimSpan::from_secs(5);
    group.act(2, |replica, own, out| assert!(!replica.tick(own, out)));
    group.carry(|_, _| true);
    assert!(group.has(1, 700) && group.has(1, 702) && !group.has(1, 701) && !group.has(1, 703));
    let logs: Vec<_> = group.replicas.iter().map(|replica| &replica.log).collect();
    assert!(logs[0] == logs[1] && logs[1] == logs[2]);
}

#[test]
fn who_hears_its_leader_votes_for_nobody_and_nobody_votes_twice() {
    let mut group = Group::new();
    let vote = |term, phase| RegistryMessage::Vote { shard: 0, term, last: 9, last_term: 9, phase };
    let ask = |group: &mut Group, from: NodeId, term, phase| {
        group.mail.push((from, 2, vote(term, phase)));
        group.carry(|_, to| to == 2 || to == 6);
        let message = std::mem::take(&mut group.mail);
        assert!(message.is_empty());
        group.replicas[1].voted
    };
    group.act(2, |replica, own, _| replica.heard = own.now);
    assert_eq!(ask(&mut group, 3, 2, Phase::Vote), 1, "it hears node 1, for which it voted");
    group.now = group.now + SimSpan::from_secs(20);
    assert_eq!(ask(&mut group, 3, 2, Phase::Before), 1, "what is asked beforehand changes nothing");
    assert_eq!(ask(&mut group, 3, 2, Phase::Vote), 3);
    assert_eq!(ask(&mut group, 1, 2, Phase::Handover), 3, "not in the same term");
    assert_eq!(ask(&mut group, 1, 3, Phase::Handover), 1);
    // A crash forgets no vote.
    let now = group.now;
    group.replicas[1].restart(now);
    assert_eq!(ask(&mut group, 3, 3, Phase::Vote), 1);
}

#[test]
fn a_device_asks_the_next_parent_and_takes_one_answer() {
    let service = service(Partitioning::Hash);
    let nodes = Nodes::all(service.population());
    let mut state = service.state(nodes.clone());
    let here = nodes.here(9);
    let mut fx = Recorder::new(here, SimTime::ZERO + SimSpan::from_secs(1));
    service.handle_timer(&mut state, here, RegistryTimer::Due, &mut fx);
    let (first, ask, _) = fx.sent.remove(0);
    let RegistryMessage::Ask { number, operation, key, id } = ask else { panic!("{ask:?}") };
    service.handle_timer(&mut state, here, RegistryTimer::Unanswered { number, attempt: 1 }, &mut fx);
    let (second, again, _) = fx.sent.remove(0);
    assert!(again == RegistryMessage::Ask { number, operation, key, id } && second != first);
    let told = RegistryMessage::Told { number, operation, outcome: Outcome::Done };
    for _ in 0..2 {
        service.handle_message(&mut state, here, second, told, &[], &mut fx);
    }
    let RegistryFigures { operations, .. } = state.figures();
    let counts = &operations[operation as usize];
    assert_eq!((counts.asked, counts.answered(), counts.retried), (1, 1, 1));
    service.handle_message(&mut state, here, 12, told, &[], &mut fx);
    service.handle_message(&mut state, here, second, RegistryMessage::Leave, &[], &mut fx);
    assert_eq!(state.figures().invalid, 2);
}

#[test]
fn a_gateway_drops_what_finds_no_room_and_refuses_what_makes_no_sense() {
    let service = service(Partitioning::Hash);
    let nodes = Nodes::all(service.population());
    let mut state = service.state(nodes.clone());
    let here = nodes.here(2);
    let mut fx = Recorder::new(here, SimTime::ZERO + SimSpan::from_secs(1));
    let ask = |operation, key| RegistryMessage::Ask { number: 1, operation, key, id: 900 };
    service.handle_message(&mut state, here, 3, ask(Operation::Lookup, 5), &[], &mut fx);
    service.handle_message(&mut state, here, 9, ask(Operation::Query, 500), &[], &mut fx);
    service.handle_message(&mut state, here, 9, ask(Operation::Settle, 5), &[], &mut fx);
    service.handle_message(&mut state, here, 9, ask(Operation::Lookup, 5), &[1], &mut fx);
    service.handle_message(&mut state, here, 3, RegistryMessage::Elect { shard: 99, term: 1 }, &[], &mut fx);
    let entries = RegistryMessage::Entries { shard: 0, term: 1, prev: 0, prev_term: 0, commit: 0, sent: 0 };
    // No such command, half an entry, and a member that is no full node.
    for payload in [&[99; 17][..], &[0; 16], &[9; 17]] {
        service.handle_message(&mut state, here, 1, entries, payload, &mut fx);
    }
    assert_eq!(state.figures().invalid, 8);
    assert!(fx.sent.is_empty() && state.replicas(2).iter().all(|replica| replica.entries().0.is_empty()));
    for _ in 0..=service.options().flows_max {
        service.handle_message(&mut state, here, 9, ask(Operation::Register, 7_000), &[], &mut fx);
    }
    assert!(state.figures().dropped >= 1);
}
