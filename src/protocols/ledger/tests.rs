//! Tests of the ledger, without an engine.

use proptest::prelude::*;

use super::transactions::{encode_all, encode_keys};
use super::wire::{HEAD_LEN, LedgerWireError, WireLedger};
use super::*;
use crate::protocols::consensus::MessageKind;
use crate::protocols::recorder::Recorder;
use crate::topologies::TierDegrees;

/// Four super nodes, 0 to 3; six full nodes, 4 to 9; light nodes from 10 and mobile ones from 30.
const COUNTS: [u64; 4] = [4, 6, 20, 5];
const NODES: NodeId = 35;
const OPTIONS: LedgerOptions = LedgerOptions { validation: SimSpan::ZERO, ..LedgerOptions::DEFAULT };
const DEGREES: TierDegrees = TierDegrees { full_peers: 2, super_parents: 2, light_parents: 3, mesh: true };

/// Nodes that are driven by hand.
struct Group {
    ledger: Ledger,
    state: LedgerState,
    now: SimTime,
}

impl Group {
    fn new(options: LedgerOptions) -> Self {
        let population = Population::new(COUNTS).unwrap();
        let ledger = Ledger::new(Arc::new(DEGREES.graph(population, 0, 1)), options);
        let state = ledger.state(Nodes::all(population));
        Group { ledger, state, now: SimTime::from_nanos(10_000_000_000) }
    }

    fn act(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&Ledger, &mut LedgerState, Here, &mut Recorder<Ledger>),
    ) -> Recorder<Ledger> {
        let here = Nodes::all(self.ledger.population()).here(id as usize);
        let mut fx = Recorder::new(here, self.now);
        act(&self.ledger, &mut self.state, here, &mut fx);
        fx
    }

    fn get(&mut self, id: NodeId, from: NodeId, message: LedgerMessage, payload: &[u8]) -> Recorder<Ledger> {
        self.act(id, |ledger, state, here, fx| ledger.handle_message(state, here, from, message, payload, fx))
    }

    fn fire(&mut self, id: NodeId, timer: LedgerTimer) -> Recorder<Ledger> {
        self.act(id, |ledger, state, here, fx| ledger.handle_timer(state, here, timer, fx))
    }

    fn parent(&self, id: NodeId, attempt: usize) -> NodeId {
        self.ledger.parent(id, attempt).unwrap().peer
    }

    /// Has full node `id` hold the block of `height` with `list`.
    fn give_block(&mut self, id: NodeId, height: u32, list: &[Transaction]) -> Recorder<Ledger> {
        let parent = self.parent(id, 0);
        self.get(id, parent, LedgerMessage::Announce { height }, &[]);
        let proposed = SimTime::from_nanos(9_000_000_000);
        self.get(id, parent, LedgerMessage::FullBlock { height, proposed, committed: 100 }, &keys(list))
    }
}

fn transaction(submitter: NodeId, number: u16) -> Transaction {
    Transaction { submitter, number, submitted: SimTime::from_nanos(u64::from(number)) }
}

fn records(list: &[Transaction]) -> Vec<u8> {
    let (mut list, mut bytes) = (list.to_vec(), Vec::new());
    encode_all(&mut list, &mut bytes);
    bytes
}

fn keys(list: &[Transaction]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_keys(Transactions::known(&records(list)), &mut bytes);
    bytes
}

fn sent(fx: &Recorder<Ledger>) -> Vec<(NodeId, LedgerMessage)> {
    fx.sent.iter().map(|(to, message, _)| (*to, *message)).collect()
}

#[test]
fn what_travels_and_what_waits_is_small() {
    assert_eq!((size_of::<LedgerMessage>(), size_of::<LedgerTimer>(), size_of::<state::Client>()), (16, 8, 16));
    let ledger = Group::new(OPTIONS).ledger;
    let mut names = ledger.kinds().to_vec();
    assert_eq!(names[..7], ledger.consensus.kinds()[..]);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 18, "kinds have names of their own");
}

#[test]
fn a_transaction_goes_to_the_next_parent_until_one_accepts_it() {
    let mut group = Group::new(OPTIONS);
    let submitted = group.now;
    let submit = LedgerMessage::Submit { number: 1, submitted };
    let fx = group.fire(12, LedgerTimer::Submit);
    assert_eq!(sent(&fx), [(group.parent(12, 0), submit)]);
    let accepted = |attempt| LedgerTimer::Accepted { number: 1, attempt };
    assert!(fx.timers.contains(&(OPTIONS.patience, accepted(1))));
    group.now = group.now + OPTIONS.patience;
    for (attempt, parent) in [(1, 1), (2, 2)] {
        let fx = group.fire(12, accepted(attempt));
        assert_eq!(sent(&fx), [(group.parent(12, parent), submit)], "it was submitted when it was");
    }
    assert!(group.fire(12, LedgerTimer::Submit).sent.is_empty(), "one at a time");
    assert!(group.fire(12, accepted(2)).sent.is_empty(), "a timer of before");
    assert!(group.fire(12, accepted(3)).sent.is_empty());
    let LedgerFigures { submitted, retried, abandoned, skipped, .. } = *group.state.figures();
    assert_eq!([submitted, retried, abandoned, skipped], [1, 2, 1, 1]);
    group.fire(12, LedgerTimer::Submit);
    group.get(12, 5, LedgerMessage::Accepted { number: 2 }, &[]);
    assert!(group.fire(12, LedgerTimer::Accepted { number: 2, attempt: 1 }).sent.is_empty());
    assert_eq!(group.state.figures().retried, 2);
}

#[test]
fn a_full_node_forwards_batches_and_tells_who_is_in_a_block() {
    let mut group = Group::new(OPTIONS);
    let submitted = SimTime::from_nanos(7);
    for (from, number) in [(12, 7), (31, 7)] {
        let fx = group.get(4, from, LedgerMessage::Submit { number, submitted }, &[]);
        assert_eq!(sent(&fx), [(from, LedgerMessage::Accepted { number })]);
        assert_eq!(fx.timers.len(), usize::from(from == 12), "one timer for a batch");
    }
    let batch = group.fire(4, LedgerTimer::Batch);
    let list = [transaction(12, 7), transaction(31, 7)];
    assert_eq!(batch.sent, [(group.parent(4, 0), LedgerMessage::Batch { number: 1 }, records(&list))]);
    let again = group.fire(4, LedgerTimer::BatchAccepted { number: 1, attempt: 1 });
    assert_eq!(again.sent, [(group.parent(4, 1), LedgerMessage::Batch { number: 1 }, records(&list))]);
    group.get(4, group.parent(4, 1), LedgerMessage::BatchAccepted { number: 1 }, &[]);
    assert!(group.fire(4, LedgerTimer::BatchAccepted { number: 1, attempt: 2 }).sent.is_empty());
    let fx = group.give_block(4, 3, &[transaction(12, 7), transaction(13, 1)]);
    let (headers, others): (Vec<_>, Vec<_>) =
        sent(&fx).into_iter().partition(|(_, message)| matches!(message, LedgerMessage::Header { height: 3, .. }));
    assert_eq!(others, [(12, LedgerMessage::Included { number: 7, submitted })]);
    let children: Vec<NodeId> = (10..NODES).filter(|&child| group.parent(child, 0) == 4).collect();
    assert!(headers.iter().map(|(child, _)| *child).eq(children), "those whose first parent it is");
    assert!(group.give_block(4, 3, &[]).sent.is_empty(), "it has it");
}

#[test]
fn a_super_node_keeps_what_is_new_and_shares_it_with_the_leader() {
    let mut group = Group::new(LedgerOptions { mempool_max: 3, ..OPTIONS });
    let first = |count| (1..=count).map(|number| transaction(12, number)).collect::<Vec<_>>();
    for (count, duplicates, rejected) in [(2, 0, 0), (3, 2, 0), (4, 5, 1)] {
        let fx = group.get(1, 4, LedgerMessage::Batch { number: 9 }, &records(&first(count)));
        assert_eq!(sent(&fx), [(4, LedgerMessage::BatchAccepted { number: 9 })]);
        assert_eq!((group.state.figures().duplicates, group.state.figures().rejected), (duplicates, rejected));
    }
    let shared = group.fire(1, LedgerTimer::Share);
    assert_eq!(shared.sent, [(0, LedgerMessage::Share, records(&first(3)))], "node 0 leads");
    assert!(group.fire(1, LedgerTimer::Share).sent.is_empty(), "once is enough");
    group.get(0, 1, LedgerMessage::Share, &records(&first(2)));
    group.act(0, |ledger, state, here, fx| ledger.handle_start(state, here, fx));
    let timer = LedgerTimer::Consensus(ConsensusTimer::Propose { height: 1 });
    let proposal = group.fire(0, timer);
    let [(1, message @ LedgerMessage::Consensus { kind: MessageKind::PrePrepare, .. }, block), ..] = &proposal.sent[..]
    else {
        panic!()
    };
    assert!(block.ends_with(&records(&first(2))));
    let plain = block.len() + crate::protocols::consensus::wire::HEAD_LEN;
    let on_wire = group.ledger.wire_len(message, block.len());
    assert_eq!(on_wire as usize, plain + 2 * (250 - RECORD_LEN), "transactions have 250 bytes");
}

#[test]
fn who_hears_no_headers_subscribes_elsewhere() {
    let mut group = Group::new(OPTIONS);
    let [old, new] = [0, 1].map(|attempt| group.ledger.parent(12, attempt).unwrap());
    group.give_block(new.peer, 5, &[]);
    let header = LedgerMessage::Header { height: 4, proposed: SimTime::ZERO, committed: 0 };
    group.get(12, old.peer, header, &[]);
    assert!(group.fire(12, LedgerTimer::Check).sent.is_empty());
    let fx = group.fire(12, LedgerTimer::Check);
    let [off, on] = [(old, false), (new, true)]
        .map(|(link, wanted)| (link.peer, LedgerMessage::Subscribe { slot: link.slot, wanted }));
    assert_eq!(sent(&fx), [off, on]);
    assert!(group.get(old.peer, 13, off.1, &[]).sent.is_empty(), "the link of another");
    assert_eq!(group.state.figures().invalid, 1);
    group.get(old.peer, 12, off.1, &[]);
    let answer = group.get(new.peer, 12, on.1, &[]);
    assert!(matches!(sent(&answer)[..], [(12, LedgerMessage::Header { height: 5, .. })]), "the last header at once");
    let to_child = |fx: Recorder<Ledger>| fx.sent.iter().filter(|(to, ..)| *to == 12).count();
    assert_eq!((to_child(group.give_block(old.peer, 6, &[])), to_child(group.give_block(new.peer, 6, &[]))), (0, 1));
}

#[test]
fn a_block_that_does_not_come_is_asked_for_elsewhere() {
    let mut group = Group::new(OPTIONS);
    let [first, second] = [0, 1].map(|attempt| group.parent(4, attempt));
    let fx = group.get(4, second, LedgerMessage::Announce { height: 1 }, &[]);
    assert_eq!(sent(&fx), [(second, LedgerMessage::GetBlock { height: 1 })]);
    assert!(group.get(4, first, LedgerMessage::Announce { height: 1 }, &[]).sent.is_empty(), "it has asked");
    let timer = LedgerTimer::FullBlock { height: 1 };
    let asked: Vec<_> = (0..3).flat_map(|_| sent(&group.fire(4, timer))).collect();
    assert_eq!(asked, [second, first].map(|parent| (parent, LedgerMessage::GetBlock { height: 1 })), "three in all");
    assert_eq!(sent(&group.get(4, first, LedgerMessage::Announce { height: 2 }, &[])).len(), 1);
}

fn any_message() -> impl Strategy<Value = LedgerMessage> {
    let height = prop_oneof![0u32..5, any::<u32>()];
    (0..17usize, any::<u16>(), height, prop_oneof![0u64..20_000_000_000, any::<u64>()]).prop_map(
        |(kind, number, height, nanos)| {
            let time = SimTime::from_nanos(nanos);
            match kind {
                0 => LedgerMessage::Submit { number, submitted: time },
                1 => LedgerMessage::Accepted { number },
                2 => LedgerMessage::Batch { number },
                3 => LedgerMessage::BatchAccepted { number },
                4 => LedgerMessage::Share,
                5 => LedgerMessage::Announce { height },
                6 => LedgerMessage::GetBlock { height },
                7 => LedgerMessage::FullBlock { height, proposed: time, committed: number },
                8 => LedgerMessage::Header { height, proposed: time, committed: number },
                9 => LedgerMessage::Included { number, submitted: time },
                10 => LedgerMessage::Subscribe { slot: height, wanted: number % 2 == 1 },
                kind => {
                    let kind = MessageKind::ALL[kind % 7];
                    LedgerMessage::Consensus { kind, view: number, height, digest: nanos }
                }
            }
        },
    )
}

proptest! {
    #[test]
    fn every_kind_survives_a_round_trip(
        sender in 0..4u32, message in any_message(), list in prop::collection::vec((0..NODES, 0u16..9), 0..20), size in 0u32..400,
        place: usize,
    ) {
        let ledger = Group::new(LedgerOptions { transaction: size, ..OPTIONS }).ledger;
        let list: Vec<_> = list.into_iter().map(|(submitter, number)| transaction(submitter, number)).collect();
        let (message, payload) = match message {
            LedgerMessage::Consensus { .. } => {
                // A pre-prepare as consensus makes it.
                let options = ConsensusOptions { interval: SimSpan::ZERO, ..OPTIONS.consensus };
                let mut group = Group::new(LedgerOptions { consensus: options, transaction: size, ..OPTIONS });
                group.get(0, 4, LedgerMessage::Batch { number: 1 }, &records(&list));
                let fx = group.act(0, |ledger, state, here, fx| ledger.handle_start(state, here, fx));
                let (_, message, payload) = fx.sent.into_iter().next().expect("it proposes");
                (message, payload)
            }
            LedgerMessage::Batch { .. } | LedgerMessage::Share => (message, records(&list)),
            LedgerMessage::FullBlock { .. } => (message, keys(&list)),
            _ => (message, vec![]),
        };
        let sent = WireLedger { sender, message, payload };
        let mut bytes = Vec::new();
        sent.encode(&ledger, &mut bytes);
        prop_assert_eq!(bytes.len(), ledger.wire_len(&message, sent.payload.len()) as usize);
        prop_assert_eq!(WireLedger::decode(&ledger, &bytes), Ok(sent));
        prop_assert!(WireLedger::decode(&ledger, &bytes[..bytes.len() - 1]).is_err());
        prop_assert!(WireLedger::decode(&ledger, &[&bytes[..], &[0]].concat()).is_err());
        let place = place % bytes.len();
        bytes[place] ^= 0x80;
        if let Ok(other) = WireLedger::decode(&ledger, &bytes) {
            let mut again = Vec::new();
            other.encode(&ledger, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_decodes_encodes_to_the_same_bytes(
        mut bytes in prop::collection::vec(prop_oneof![Just(0u8), 0u8..6, any::<u8>()], 0..400), kind in prop_oneof![30u8..41, 110u8..125],
    ) {
        let ledger = Group::new(LedgerOptions { transaction: 20, header: 60, ..OPTIONS }).ledger;
        for known in [false, true] {
            if known && bytes.len() >= HEAD_LEN {
                bytes[..2].copy_from_slice(&[wire::VERSION, kind]);
                bytes[3..34].fill(0);
                bytes[2] %= 35;
            }
            if let Ok(message) = WireLedger::decode(&ledger, &bytes) {
                let mut again = Vec::new();
                message.encode(&ledger, &mut again);
                prop_assert_eq!(&again, &bytes);
            }
        }
    }

    #[test]
    fn hostile_messages_never_panic(
        messages in prop::collection::vec(
            (0..NODES, 0..NODES, any_message(), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..100,
        ),
    ) {
        let mut group = Group::new(OPTIONS);
        group.act(0, |ledger, state, here, fx| ledger.handle_start(state, here, fx));
        for (id, from, message, mut payload, is_formed) in messages {
            if id == from {
                continue;
            }
            if is_formed {
                payload = records(&[transaction(3, 1), transaction(12, 9)]);
            }
            for (_, timer) in group.get(id, from, message, &payload).timers {
                group.fire(id, timer);
            }
        }
        prop_assert!(group.ledger.state_bytes(&group.state) < 300_000);
    }
}

#[test]
fn the_bytes_are_those_of_the_tables() {
    let ledger = Group::new(OPTIONS).ledger;
    let check = |message, payload: Vec<u8>, kind: u8, fields: &[u8], len: usize| {
        let mut bytes = Vec::new();
        WireLedger { sender: 9, message, payload }.encode(&ledger, &mut bytes);
        assert_eq!((bytes[0], bytes[1], bytes[2], bytes.len()), (1, kind, 9, len), "{message:?}");
        assert_eq!(&bytes[HEAD_LEN..HEAD_LEN + fields.len()], fields, "{message:?}");
        let mut wrong = bytes.clone();
        wrong[0] = 2;
        assert_eq!(WireLedger::decode(&ledger, &wrong), Err(LedgerWireError::Version(2)));
        wrong[..2].copy_from_slice(&[1, 123]);
        assert_eq!(WireLedger::decode(&ledger, &wrong), Err(LedgerWireError::Kind(123)));
        wrong[1..3].copy_from_slice(&[kind, 35]);
        assert_eq!(WireLedger::decode(&ledger, &wrong), Err(LedgerWireError::Sender));
    };
    let time = SimTime::from_nanos(0x0a09_0807_0605_0403);
    check(
        LedgerMessage::Submit { number: 0x0201, submitted: time },
        vec![],
        112,
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        284,
    );
    check(LedgerMessage::Header { height: 1, proposed: time, committed: 2 }, vec![], 120, &[1, 0, 0, 0, 3], 200);
    check(LedgerMessage::Subscribe { slot: 7, wanted: true }, vec![], 122, &[7, 0, 0, 0, 1], 39);
    let list = records(&[transaction(1, 2), transaction(3, 4)]);
    check(LedgerMessage::Batch { number: 3 }, list.clone(), 114, &[&[3, 0], &list[..]].concat(), 36 + 2 * 250);
}
