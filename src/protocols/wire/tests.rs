//! Tests of the wire formats: round trips, and what is refused.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::contract::Population;
use crate::protocols::consensus::wire::{ConsensusWireError, WireConsensus};
use crate::protocols::consensus::{self, Consensus, ConsensusOptions};
use crate::protocols::dissemination::{self, wire::DisseminationWireError};
use crate::protocols::kademlia::wire::{KademliaWireError, WireKademlia};
use crate::protocols::kademlia::{self, keys::Keys};
use crate::protocols::ledger::wire::{LedgerWireError, WireLedger};
use crate::protocols::ledger::{self, Ledger, LedgerOptions};
use crate::protocols::mobile::wire::{MobileWireError, WireMobile};
use crate::protocols::registry::wire::{RegistryWireError, WireRegistry};
use crate::protocols::router::wire::{RouterWireError, WireRouter};
use crate::protocols::sharding::wire::{ShardingWireError, WireSharding};
use crate::protocols::swim::wire::{SwimWireError, WireSwim};
use crate::protocols::{mobile, registry, router, sharding, swim};
use crate::topologies::TierDegrees;

fn encoded(message: &WireMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// A bitmap of `children`, and how many of them live in it.
fn bitmap(children: u32, random: &[u8]) -> (Vec<u8>, u32) {
    let mut bitmap: Vec<u8> = random.iter().copied().cycle().take(bitmap_len(children)).collect();
    if !children.is_multiple_of(8)
        && let Some(last) = bitmap.last_mut()
    {
        *last &= (1 << (children % 8)) - 1;
    }
    let alive = bitmap.iter().map(|byte| byte.count_ones()).sum();
    (bitmap, alive)
}

fn check_round_trip(message: WireMessage<'_>, padding: usize) -> Result<(), TestCaseError> {
    let mut bytes = encoded(&message);
    let natural = bytes.len();
    prop_assert_eq!(natural, message.encoded_len());
    for short in 0..natural {
        let cut = WireMessage::decode(&bytes[..short]);
        prop_assert!(matches!(cut, Err(WireError::Short { .. })), "{short} bytes: {cut:?}");
    }
    bytes.resize(natural + padding, 0);
    prop_assert_eq!(bytes.len() as u32, padded_len(natural, (natural + padding) as u32));
    prop_assert_eq!(WireMessage::decode(&bytes), Ok(message));
    if padding > 0 {
        bytes[natural + padding / 2] = 1;
        prop_assert_eq!(WireMessage::decode(&bytes), Err(WireError::Padding(natural + padding / 2)));
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_kind_survives_a_round_trip(
        id: NodeId,
        beat: u16,
        hops: u8,
        children in 0u32..2_000,
        random in prop::collection::vec(any::<u8>(), 1..300),
        padding in 0usize..100,
    ) {
        check_round_trip(WireMessage::Heartbeat { sender: id, beat }, padding)?;
        check_round_trip(WireMessage::Rumour { origin: id, beat, hops }, padding)?;
        check_round_trip(WireMessage::Leave { sender: id, beat }, padding)?;
        check_round_trip(WireMessage::Parting { origin: id, beat, hops }, padding)?;
        let (bitmap, alive) = bitmap(children, &random);
        let digest = Digest { sender: id, beat, children, alive, first: 0, bitmap: &bitmap };
        check_round_trip(WireMessage::Digest(digest), padding)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 0u8..7, plain: bool) {
        let _ = WireMessage::decode(&bytes);
        // Get past the first checks.
        if plain && bytes.len() > 48 {
            bytes[..2].copy_from_slice(&[VERSION, kind]);
            bytes[6..34].fill(0);
            bytes[37..40].fill(0);
            if let Ok(message) = WireMessage::decode(&bytes) {
                prop_assert_eq!(&encoded(&message)[..], &bytes[..message.encoded_len()]);
            }
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_tables() {
    let (bitmap, alive) = bitmap(11, &[0b1010_0001, 0b111]);
    let digest = Digest { sender: 0x0102_0304, beat: 0x0506, children: 11, alive, first: 0, bitmap: &bitmap };
    let bytes = encoded(&WireMessage::Digest(digest));
    let mut expected = vec![1, 2, 4, 3, 2, 1];
    expected.extend([0; 28]);
    expected.extend([6, 5, 11, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0b1010_0001, 0b111]);
    assert_eq!(bytes, expected);
    let rumour = encoded(&WireMessage::Rumour { origin: 7, beat: 1, hops: 3 });
    assert_eq!((rumour[1], rumour[2], &rumour[34..]), (3, 7, &[1, 0, 3][..]));
    let heartbeat = encoded(&WireMessage::Heartbeat { sender: 7, beat: 1 });
    assert_eq!((heartbeat[1], heartbeat.len()), (1, HEARTBEAT_LEN));
    let parting = encoded(&WireMessage::Parting { origin: 7, beat: 1, hops: 3 });
    assert_eq!((parting[1], &parting[2..]), (5, &rumour[2..]));
    let leave = encoded(&WireMessage::Leave { sender: 7, beat: 1 });
    assert_eq!((leave[1], &leave[2..], leave.len()), (4, &heartbeat[2..], LEAVE_LEN));
    const {
        assert!(
            HEARTBEAT_LEN <= 48 && RUMOUR_LEN <= 48 && LEAVE_LEN <= 48,
            "the smallest size that a scenario can ask for"
        )
    }
}

#[test]
fn many_children_take_several_digests_that_fit_datagrams() {
    let children = DIGEST_CHILDREN_MAX + 9;
    let (whole, _) = bitmap(DIGEST_CHILDREN_MAX, &[0xff]);
    let (rest, _) = bitmap(9, &[0xff]);
    for (first, bitmap) in [(0, &whole), (DIGEST_CHILDREN_MAX, &rest)] {
        let digest = Digest { sender: 1, beat: 2, children, alive: children, first, bitmap };
        let bytes = encoded(&WireMessage::Digest(digest));
        assert!(bytes.len() <= 65_507);
        assert_eq!(WireMessage::decode(&bytes), Ok(WireMessage::Digest(digest)));
    }
}

#[track_caller]
fn check_refused(change: impl Fn(&mut Vec<u8>), error: WireError) {
    let (bitmap, alive) = bitmap(11, &[0b1010_0001, 0b111]);
    let digest = Digest { sender: 9, beat: 5, children: 11, alive, first: 0, bitmap: &bitmap };
    let mut bytes = encoded(&WireMessage::Digest(digest));
    change(&mut bytes);
    assert_eq!(WireMessage::decode(&bytes), Err(error));
}

#[test]
fn what_is_not_a_message_of_this_version_is_refused() {
    check_refused(|bytes| bytes[0] = 2, WireError::Version(2));
    check_refused(|bytes| bytes[1] = 0, WireError::Kind(0));
    check_refused(|bytes| bytes[1] = 6, WireError::Kind(6));
    check_refused(|bytes| bytes[33] = 1, WireError::Id);
    check_refused(|bytes| bytes[36] = 17, WireError::Short { expected: 51, found: 50 });
    check_refused(|bytes| bytes[40] = 7, WireError::Bitmap { children: 11, alive: 7 });
    check_refused(|bytes| bytes[49] |= 8, WireError::Bitmap { children: 11, alive: 6 });
    check_refused(|bytes| bytes[44] = 8, WireError::Part { first: 8, children: 11 });
    check_refused(|bytes| bytes.push(1), WireError::Padding(50));
    check_refused(Vec::clear, WireError::Short { expected: 2, found: 0 });
}

/// A format: its name, the kinds that the table gives it and those in use, and whether its decoder knows a kind.
type Family = (&'static str, Range<u8>, Range<u8>, Box<dyn Fn(u8) -> bool>);

/// Whether `decode` refuses a message of `kind`, which says nothing else, for another reason than its kind.
fn knows<T, E: PartialEq + 'static>(
    decode: impl Fn(&[u8]) -> Result<T, E> + 'static,
    refused: fn(u8) -> E,
) -> Box<dyn Fn(u8) -> bool> {
    Box::new(move |kind| {
        let mut bytes = vec![0; 400];
        bytes[..2].copy_from_slice(&[VERSION, kind]);
        decode(&bytes).err() != Some(refused(kind))
    })
}

fn families() -> Vec<Family> {
    let population = Population::new([4, 1, 5, 0]).unwrap();
    let consensus = Consensus::new(population, ConsensusOptions::DEFAULT);
    let degrees = TierDegrees { full_peers: 0, super_parents: 1, light_parents: 1, mesh: true };
    let ledger = Ledger::new(Arc::new(degrees.graph(population, 0, 1)), LedgerOptions::DEFAULT);
    // A message of consensus is one of a ledger, in the format of consensus.
    let ledger = knows(move |bytes| WireLedger::decode(&ledger, bytes), LedgerWireError::Kind);
    let ledger = Box::new(move |kind| ledger(kind) && !consensus::wire::KINDS.contains(&kind));
    let nodes = Keys::new(9);
    let kademlia = move |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[6..38].copy_from_slice(&nodes.id(7));
        WireKademlia::decode(&nodes, 7, 20, &bytes)
    };
    vec![
        ("heartbeats", 0..16, KINDS, knows(|bytes| WireMessage::decode(bytes).map(|_| ()), WireError::Kind)),
        ("kademlia", 16..32, kademlia::wire::KINDS, knows(kademlia, KademliaWireError::Kind)),
        (
            "consensus",
            32..48,
            consensus::wire::KINDS,
            knows(move |bytes| WireConsensus::decode(&consensus, bytes), ConsensusWireError::Kind),
        ),
        ("swim", 48..64, swim::wire::KINDS, knows(WireSwim::decode, SwimWireError::Kind)),
        (
            "router",
            64..80,
            router::wire::KINDS,
            knows(|bytes| WireRouter::decode(bytes).map(|_| ()), RouterWireError::Kind),
        ),
        (
            "sharding",
            80..96,
            sharding::wire::KINDS,
            knows(|bytes| WireSharding::decode(10, bytes), ShardingWireError::Kind),
        ),
        (
            "dissemination",
            96..112,
            dissemination::wire::KINDS,
            knows(|bytes| dissemination::wire::decode(bytes).map(|_| ()), DisseminationWireError::Kind),
        ),
        ("ledger", 112..128, ledger::wire::KINDS, ledger),
        ("registry", 128..160, registry::wire::KINDS, knows(WireRegistry::decode, RegistryWireError::Kind)),
        (
            "mobile",
            160..176,
            mobile::wire::KINDS,
            knows(|bytes| WireMobile::decode(bytes).map(|_| ()), MobileWireError::Kind),
        ),
    ]
}

#[test]
fn no_two_formats_share_a_kind_and_each_knows_its_own_and_no_other() {
    let families = families();
    for (at, (name, given, used, knows)) in families.iter().enumerate() {
        assert!(given.start <= used.start && used.end <= given.end && !used.is_empty(), "{name} {used:?}");
        for (other, range, ..) in &families[..at] {
            assert!(range.end <= given.start || given.end <= range.start, "{name} and {other}");
        }
        let known: Vec<u8> = (0..=u8::MAX).filter(|&kind| knows(kind)).collect();
        assert_eq!(known, used.clone().collect::<Vec<_>>(), "{name}");
    }
}
