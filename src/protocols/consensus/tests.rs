//! Tests of consensus, without an engine.

use proptest::prelude::*;

use super::state::{Certificate, Replica};
use super::wire::{ConsensusWireError, HEAD_LEN, Report, WireConsensus};
use super::*;
use crate::contract::SimTime;
use crate::protocols::recorder::Recorder;

const REPLICAS: u32 = 7;
const QUORUM: u32 = 5;
const OPTIONS: ConsensusOptions =
    ConsensusOptions { interval: SimSpan::ZERO, records_max: 100, block: 100, ..ConsensusOptions::DEFAULT };

fn population() -> Population {
    Population::new([u64::from(REPLICAS), 3, 3, 0]).unwrap()
}

fn of(pattern: Pattern) -> Consensus {
    Consensus::new(population(), ConsensusOptions { pattern, ..OPTIONS })
}

/// Replicas that are driven by hand.
struct Group {
    consensus: Consensus,
    state: ConsensusState,
    now: SimTime,
}

impl Group {
    fn new(options: ConsensusOptions) -> Self {
        let consensus = Consensus::new(population(), options);
        let state = consensus.state(Nodes::all(population()));
        Group { consensus, state, now: SimTime::from_nanos(1_000) }
    }

    fn act(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&Consensus, &mut ConsensusState, Here, &mut Recorder<Consensus>),
    ) -> Recorder<Consensus> {
        let here = Nodes::all(population()).here(id as usize);
        let mut fx = Recorder::new(here, self.now);
        act(&self.consensus, &mut self.state, here, &mut fx);
        fx
    }

    fn start(&mut self, id: NodeId) -> Recorder<Consensus> {
        self.act(id, |consensus, state, here, fx| consensus.handle_start(state, here, fx))
    }

    fn fire(&mut self, id: NodeId, timer: ConsensusTimer) -> Recorder<Consensus> {
        self.act(id, |consensus, state, here, fx| consensus.handle_timer(state, here, timer, fx))
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: ConsensusMessage, payload: &[u8]) -> Recorder<Consensus> {
        self.act(id, |consensus, state, here, fx| consensus.handle_message(state, here, from, message, payload, fx))
    }

    /// The pre-prepare by which replica 0 begins the first height.
    fn proposal(&mut self) -> (ConsensusMessage, Vec<u8>) {
        let fx = self.start(0);
        let (_, message, payload) = fx.sent.into_iter().next().expect("it proposes");
        assert_eq!(message.kind, MessageKind::PrePrepare);
        (message, payload)
    }

    fn replica(&self, id: NodeId) -> &Replica {
        &self.state.replicas[id as usize]
    }
}

fn kinds_of(fx: &Recorder<Consensus>) -> Vec<MessageKind> {
    let mut kinds: Vec<_> = fx.sent.iter().map(|(_, message, _)| message.kind).collect();
    kinds.dedup();
    kinds
}

fn with_kind(message: ConsensusMessage, kind: MessageKind) -> ConsensusMessage {
    ConsensusMessage { kind, ..message }
}

#[test]
fn what_travels_and_what_waits_is_small_and_only_super_nodes_remember() {
    assert_eq!((size_of::<ConsensusMessage>(), size_of::<ConsensusTimer>()), (16, 8));
    let consensus = of(Pattern::Pbft);
    let bytes = |counts| consensus.state_bytes(&consensus.state(Nodes::all(Population::new(counts).unwrap())));
    assert_eq!(bytes([7, 0, 0, 0]), 7 * size_of::<Replica>());
    assert_eq!(bytes([7, 100, 100, 100]), bytes([7, 0, 0, 0]));
}

#[test]
fn a_block_goes_through_three_phases() {
    let mut group = Group::new(OPTIONS);
    let (proposal, block) = group.proposal();
    assert!(group.start(1).sent.is_empty());
    let fx = group.get(1, 0, proposal, &block);
    assert_eq!((kinds_of(&fx), fx.sent.len()), (vec![MessageKind::Prepare], 6));
    let [prepare, commit] = [MessageKind::Prepare, MessageKind::Commit].map(|kind| with_kind(proposal, kind));
    for from in [0, 2, 3] {
        assert!(group.get(1, from, prepare, &[]).sent.is_empty());
        assert!(group.get(1, from, prepare, &[]).sent.is_empty(), "a second vote is none");
    }
    let fx = group.get(1, 4, prepare, &[]);
    assert_eq!((kinds_of(&fx), fx.sent.len()), (vec![MessageKind::Commit], 6), "with its own they are five");
    for from in [0, 2, 3] {
        assert!(group.get(1, from, commit, &[]).sent.is_empty());
        assert_eq!(group.state.height(1), 1);
    }
    group.now = SimTime::from_nanos(3_000);
    group.get(1, 4, commit, &[]);
    assert_eq!((group.state.height(1), group.state.block(1, 1).unwrap().proposer()), (2, 0));
    let record = &group.state.records()[0];
    assert_eq!((record.proposed.as_nanos(), record.committed.as_nanos(), record.replica), (1_000, 3_000, 1));
    assert_eq!((group.state.figures().late, group.state.figures().rejected), (3, 0));
}

#[test]
fn votes_count_before_the_block_comes_but_nothing_is_committed_without_it() {
    let mut group = Group::new(OPTIONS);
    let (proposal, block) = group.proposal();
    group.start(1);
    for from in [0, 2, 3, 4, 5] {
        assert!(group.get(1, from, with_kind(proposal, MessageKind::Prepare), &[]).sent.is_empty());
        let fx = group.get(1, from, with_kind(proposal, MessageKind::Commit), &[]);
        assert_eq!(fx.timers.len(), usize::from(from == 5), "at last it waits for the block");
    }
    let fx = group.fire(1, ConsensusTimer::Missing { height: 1 });
    assert_eq!((kinds_of(&fx), fx.sent.len()), (vec![MessageKind::Fetch], 2));
    let fx = group.get(1, 0, proposal, &block);
    assert_eq!(kinds_of(&fx), [MessageKind::Prepare, MessageKind::Commit], "it owes its votes all the same");
    assert_eq!(group.state.height(1), 2);
}

#[test]
fn a_new_leader_has_to_propose_what_may_have_been_committed() {
    let mut group = Group::new(OPTIONS);
    let (proposal, block) = group.proposal();
    (1..4).for_each(|id| assert!(group.start(id).sent.is_empty()));
    // Replica 2 prepares the block and replica 1 never sees it.
    group.get(2, 0, proposal, &block);
    [0, 3, 4, 5].into_iter().for_each(|from| drop(group.get(2, from, with_kind(proposal, MessageKind::Prepare), &[])));
    let attempt = group.replica(2).instances[0].attempt;
    let fx = group.fire(2, ConsensusTimer::View { attempt, view: 0, height: 1 });
    let to_leader = fx.sent.iter().find(|(to, message, _)| *to == 1 && message.kind == MessageKind::ViewChange);
    let (_, change, prepared) = to_leader.expect("it tells the next leader").clone();
    assert_eq!((change.view, change.digest), (1, proposal.digest));
    assert!(prepared.ends_with(&block) && prepared.len() > block.len());
    let to_others = fx.sent.iter().find(|(to, message, _)| *to == 3 && message.kind == MessageKind::ViewChange);
    assert_eq!(to_others.map(|(_, _, payload)| payload.len()), Some(prepared.len() - block.len()));
    // Others prepared nothing. Two others make replica 1 follow, and with four others a quorum.
    let plain = ConsensusMessage { digest: 0, ..change };
    group.get(1, 3, plain, &[]);
    assert_eq!(group.replica(1).instances[0].view, 0);
    let fx = group.get(1, 4, plain, &[]);
    assert!(kinds_of(&fx).is_empty(), "two may both have failed");
    let fx = group.get(1, 5, plain, &[]);
    assert_eq!(kinds_of(&fx), [MessageKind::ViewChange]);
    let fx = group.get(1, 2, change, &prepared);
    assert_eq!(kinds_of(&fx), [MessageKind::NewView, MessageKind::PrePrepare, MessageKind::Prepare]);
    let new_view = fx.sent.iter().find(|(to, message, _)| *to == 3 && message.kind == MessageKind::NewView);
    let again = fx.sent.iter().find(|(to, message, _)| *to == 3 && message.kind == MessageKind::PrePrepare);
    let ((_, new_view, reports), (_, again, repeated)) = (new_view.unwrap().clone(), again.unwrap().clone());
    assert_eq!((again.view, again.digest, &repeated), (1, proposal.digest, &block));
    // Replica 3 takes the block again only once it knows why, and no other block.
    assert!(group.get(3, 1, again, &repeated).sent.is_empty());
    let mut cut = reports.clone();
    cut.truncate(reports.len() - 1);
    assert!(group.get(3, 1, new_view, &cut).sent.is_empty());
    assert!(group.get(3, 1, ConsensusMessage { digest: 0, ..new_view }, &reports).sent.is_empty());
    assert!(group.get(3, 2, new_view, &reports).sent.is_empty(), "replica 2 does not lead");
    assert_eq!(group.state.figures().rejected, 3);
    let fx = group.get(3, 1, new_view, &reports);
    assert_eq!(kinds_of(&fx), [MessageKind::Prepare]);
    assert_eq!((fx.sent[0].1.view, fx.sent[0].1.digest), (1, proposal.digest));
}

#[test]
fn a_replica_alone_does_not_leave_one_view_after_the_other() {
    let mut group = Group::new(OPTIONS);
    group.start(3);
    for (round, view) in [0, 1, 1, 1].into_iter().enumerate() {
        let attempt = group.replica(3).instances[0].attempt;
        let repeated = group.fire(3, ConsensusTimer::Repeat { attempt, view, height: 1 });
        assert_eq!(repeated.sent.len(), if round == 0 { 0 } else { 6 }, "the view change is sent again");
        let [(patience, timer @ ConsensusTimer::View { .. })] = repeated.timers[..] else { panic!() };
        assert_eq!(patience, OPTIONS.timeout * (1 << view) - SimSpan::from_nanos((1 << view) * 2_500_000_000));
        group.fire(3, timer);
        assert_eq!(group.replica(3).instances[0].view, 1);
    }
    let old = ConsensusTimer::View { attempt: 1, view: 1, height: 1 };
    assert!(group.fire(3, old).sent.is_empty(), "a timer of before");
}

#[test]
fn a_message_waits_for_those_before_it_and_the_queue_has_an_end() {
    let takes = SimSpan::from_micros(5);
    let mut group = Group::new(ConsensusOptions { processing: [takes; KINDS], ..OPTIONS });
    let (proposal, block) = group.proposal();
    group.start(1);
    let fx = group.get(1, 0, proposal, &block);
    assert_eq!((fx.sent.len(), &fx.timers[..]), (0, &[(takes, ConsensusTimer::Handled)][..]));
    let prepare = with_kind(proposal, MessageKind::Prepare);
    assert!(group.get(1, 0, prepare, &[]).timers.is_empty(), "one timer runs for all that wait");
    let fx = group.fire(1, ConsensusTimer::Handled);
    assert_eq!((kinds_of(&fx), fx.timers.len()), (vec![MessageKind::Prepare], 2 - 1));
    assert!(group.fire(1, ConsensusTimer::Handled).timers.is_empty(), "the queue is empty");
    let room = 4 * REPLICAS as usize + 64;
    (0..room + 3).for_each(|_| drop(group.get(1, 0, prepare, &[])));
    assert_eq!((group.replica(1).queue.len(), group.state.figures().overrun), (room, 3));
    let huge = vec![0; 65_000];
    (0..room).for_each(|_| drop(group.get(2, 0, proposal, &huge)));
    assert_eq!(group.replica(2).queue.len(), room, "{} bytes", group.replica(2).queued);
    group.act(1, |consensus, state, here, fx| consensus.handle_join(state, here, fx));
    assert_eq!((group.replica(1).queue.len(), group.replica(1).queued), (0, 0), "what waits is lost in a crash");
}

#[test]
fn who_is_behind_asks_once_and_then_one_after_the_other() {
    let mut group = Group::new(OPTIONS);
    let (proposal, block) = group.proposal();
    for from in 1..QUORUM {
        group.get(0, from, with_kind(proposal, MessageKind::Prepare), &[]);
        group.get(0, from, with_kind(proposal, MessageKind::Commit), &[]);
    }
    assert_eq!(group.state.height(0), 2);
    group.start(6);
    let ahead = ConsensusMessage { height: 3, ..with_kind(proposal, MessageKind::Prepare) };
    let fx = group.get(6, 0, ahead, &[]);
    let [(0, fetch, _)] = fx.sent[..] else { panic!("{:?}", fx.sent) };
    assert_eq!((fetch.kind, fetch.height), (MessageKind::Fetch, 1));
    assert!(group.get(6, 2, ahead, &[]).sent.is_empty(), "it has just asked");
    let answer = group.get(0, 6, fetch, &[]);
    let [(6, told, payload)] = &answer.sent[..] else { panic!("{:?}", answer.sent) };
    assert!(payload.ends_with(&block));
    let mut forged = payload.clone();
    forged[4] = 0;
    assert!(group.get(6, 0, *told, &forged).sent.is_empty(), "too few voters");
    assert_eq!((group.state.height(6), group.state.figures().rejected), (1, 1));
    group.get(6, 0, *told, payload);
    assert_eq!((group.state.height(6), group.state.figures().synced), (2, 1));
    assert!(group.get(1, 6, ConsensusMessage { height: 2, ..fetch }, &[]).sent.is_empty(), "nobody has it");
}

fn encoded(consensus: &Consensus, message: &WireConsensus) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(consensus, &mut bytes);
    bytes
}

fn any_message() -> impl Strategy<Value = ConsensusMessage> {
    (0..KINDS, prop_oneof![0u16..4, any::<u16>()], prop_oneof![0u32..5, any::<u32>()], any::<u64>()).prop_map(
        |(kind, view, height, digest)| ConsensusMessage { kind: MessageKind::ALL[kind], view, height, digest },
    )
}

/// A payload that goes with some message of `kind`, and the digest of its block.
fn payload_of(consensus: &Consensus, kind: MessageKind, body: &[u8], voters: u32) -> (u64, Vec<u8>) {
    let block = Block::new(3, SimTime::from_nanos(9), body);
    let digest = digest_of(5, block.as_bytes());
    let mut set = ReplicaSet::default();
    assert!((0..voters).all(|voter| set.insert(voter)));
    let certificate = Certificate { view: 1, digest, voters: set };
    let mut payload = Vec::new();
    match kind {
        MessageKind::PrePrepare => payload.extend_from_slice(block.as_bytes()),
        MessageKind::Commit if !consensus.has_voters() => set.encode(REPLICAS, &mut payload),
        MessageKind::Prepare | MessageKind::Commit | MessageKind::Fetch => {}
        MessageKind::ViewChange => {
            wire::encode_prepared(consensus, &certificate, &mut payload);
            payload.extend_from_slice(block.as_bytes());
        }
        MessageKind::NewView => {
            let digest_in = |prepared: u16| if prepared > 0 { digest } else { 0 };
            let prepared = (0..5).map(|replica: u16| (replica, replica % 3));
            let reports: Vec<Report> =
                prepared.map(|(replica, prepared)| Report { replica, prepared, digest: digest_in(prepared) }).collect();
            wire::encode_new_view(consensus, &reports, Some(&certificate), &mut payload);
        }
        MessageKind::Block => wire::encode_block(consensus, 7, &certificate, &block, &mut payload),
    }
    (digest, payload)
}

proptest! {
    #[test]
    fn every_kind_survives_a_round_trip(
        sender in 0..REPLICAS, kind in 0..KINDS, body in prop::collection::vec(any::<u8>(), 0..200), is_pbft: bool,
        place: usize, change in 1u8..,
    ) {
        let consensus = of(if is_pbft { Pattern::Pbft } else { Pattern::Linear });
        let kind = MessageKind::ALL[kind];
        let (digest, payload) = payload_of(&consensus, kind, &body, QUORUM);
        let message = ConsensusMessage { kind, view: 2, height: 5, digest };
        let sent = WireConsensus { sender, message, payload };
        let bytes = encoded(&consensus, &sent);
        prop_assert_eq!(bytes.len(), wire::wire_len(&consensus, &message, sent.payload.len()));
        let holds_block = wire::block_in(&consensus, kind, sent.payload.len());
        prop_assert!(holds_block.is_none_or(|before| bytes.len() >= HEAD_LEN + before + 100), "blocks are padded");
        prop_assert_eq!(WireConsensus::decode(&consensus, &bytes), Ok(sent));
        let mut wrong = bytes.clone();
        wrong[place % bytes.len()] ^= change;
        prop_assert!(WireConsensus::decode(&consensus, &wrong).is_err());
        prop_assert!(WireConsensus::decode(&consensus, &bytes[..bytes.len() - 1]).is_err());
        prop_assert!(WireConsensus::decode(&consensus, &[&bytes[..], &[0]].concat()).is_err());
        let (_, few) = payload_of(&consensus, kind, &body, QUORUM - 1);
        let without_quorum = encoded(&consensus, &WireConsensus { sender, message, payload: few.clone() });
        let needs_voters = few != payload_of(&consensus, kind, &body, QUORUM).1;
        prop_assert_eq!(WireConsensus::decode(&consensus, &without_quorum).is_err(), needs_voters);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_decodes_encodes_to_the_same_bytes(
        mut bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..6, any::<u8>()], 0..300), kind in 31u8..41, is_pbft: bool,
    ) {
        let consensus = of(if is_pbft { Pattern::Pbft } else { Pattern::Linear });
        let check = |bytes: &[u8]| {
            if let Ok(message) = WireConsensus::decode(&consensus, bytes) {
                assert_eq!(encoded(&consensus, &message), bytes);
            }
        };
        check(&bytes);
        if bytes.len() >= HEAD_LEN {
            // Get past the first checks.
            bytes[..2].copy_from_slice(&[wire::VERSION, kind]);
            bytes[3..34].fill(0);
            bytes[2] %= 7;
            bytes[48..72].fill(0);
            check(&bytes);
        }
    }

    #[test]
    fn hostile_messages_never_panic_and_take_bounded_memory(
        messages in prop::collection::vec(
            (0..REPLICAS + 5, any_message(), prop::collection::vec(any::<u8>(), 0..60), any::<bool>(), any::<u16>()), 0..150,
        ),
        is_pbft: bool,
    ) {
        let mut group = Group::new(ConsensusOptions { heights: Some(100), ..*of(if is_pbft { Pattern::Pbft } else { Pattern::Linear }).options() });
        group.start(1);
        for (from, mut message, mut payload, is_formed, time) in messages {
            if is_formed {
                let (digest, formed) = payload_of(&group.consensus, message.kind, &payload, QUORUM);
                (message.digest, message.height, payload) = (digest, 5, formed);
            }
            group.now = group.now + SimSpan::from_millis(u64::from(time));
            let fx = group.get(1, from, message, &payload);
            for (_, timer) in fx.timers {
                group.fire(1, timer);
            }
            prop_assert!(group.replica(1).instances.len() <= HEIGHTS_AHEAD as usize);
            for instance in &group.replica(1).instances {
                prop_assert!(instance.rounds.len() <= usize::from(VIEWS_AHEAD) && instance.blocks.len() <= 4);
            }
        }
        prop_assert!(group.state.bytes() < 200_000, "{} bytes", group.state.bytes());
    }
}

#[test]
fn the_bytes_are_those_of_the_tables() {
    let consensus = of(Pattern::Pbft);
    let message = ConsensusMessage {
        kind: MessageKind::Commit,
        view: 0x0201,
        height: 0x0605_0403,
        digest: 0x0e0d_0c0b_0a09_0807,
    };
    let bytes = encoded(&consensus, &WireConsensus { sender: 6, message, payload: vec![] });
    let mut expected = [0; 72];
    expected[..3].copy_from_slice(&[1, 34, 6]);
    expected[34..48].copy_from_slice(&[3, 4, 5, 6, 1, 2, 7, 8, 9, 10, 11, 12, 13, 14]);
    assert_eq!((&bytes[..72], bytes.len()), (&expected[..], HEAD_LEN));
    let check = |place: usize, byte: u8, error| {
        let mut wrong = bytes.clone();
        wrong[place] = byte;
        assert_eq!(WireConsensus::decode(&consensus, &wrong), Err(error));
    };
    check(0, 2, ConsensusWireError::Version(2));
    check(1, 31, ConsensusWireError::Kind(31));
    check(1, 39, ConsensusWireError::Kind(39));
    check(2, 7, ConsensusWireError::Sender);
    check(71, 1, ConsensusWireError::Digest);
    check(34, 0, ConsensusWireError::Signature);
    check(1, 35, ConsensusWireError::Payload);
    let short = ConsensusWireError::Short { found: HEAD_LEN - 1 };
    assert_eq!(WireConsensus::decode(&consensus, &bytes[..HEAD_LEN - 1]), Err(short));
}

#[test]
fn figures_add_up() {
    let mut group = Group::new(OPTIONS);
    group.proposal();
    let mut figures = group.state.figures().clone();
    figures.merge(group.state.figures());
    assert_eq!((figures.proposed, figures.committed), (2, 0));
}
