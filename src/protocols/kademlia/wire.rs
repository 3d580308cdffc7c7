//! The wire format of Kademlia, version 1. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 16 ping, 17 pong, 18 find node, 19 nodes, 20 store, 21 stored, 22 find value, 23 value |
//! | 2 | 4 | number of the request; an answer repeats it |
//! | 6 | 32 | id of the sender |
//!
//! Pings and pongs end there. What follows in the other kinds is the payload:
//!
//! | kind | payload |
//! |---|---|
//! | find node, find value | the key, 32 bytes |
//! | nodes | the contacts, [`CONTACT_LEN`] bytes each, the closest first; as many as there are |
//! | store | the key, 32 bytes, and the value, up to [`VALUE_LEN_MAX`] |
//! | stored | 1 byte: 1 if the value was kept, 0 if there is no room for it |
//! | value | the value |
//!
//! A contact is its id, 32 bytes, its IPv4 address, 4 bytes, and its port, 2 bytes. A simulated node's address is its
//! number, and its port is [`PORT`]. An id is the hash of the address ([`id_of`](super::keys::id_of)); who claims another
//! is not believed, so nobody can choose an id that is close to a key.

use std::ops::Range;

use super::KademliaMessage;
use super::keys::Keys;
use crate::contract::{Key256, NodeId};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 16..24;
/// Length of a message without payload, in bytes.
pub const HEAD_LEN: usize = 38;
/// Length of a contact, in bytes.
pub const CONTACT_LEN: usize = 38;
/// Longest value, in bytes: a store fits an Ethernet frame.
pub const VALUE_LEN_MAX: usize = 1_024;
/// The port of every simulated node.
pub const PORT: u16 = 30_303;

const KEY_LEN: usize = 32;

const PING: u8 = 16;
const PONG: u8 = 17;
const FIND_NODE: u8 = 18;
const NODES: u8 = 19;
const STORE: u8 = 20;
const STORED: u8 = 21;
const FIND_VALUE: u8 = 22;
const VALUE: u8 = 23;

/// Why bytes are not a message, or not a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KademliaWireError {
    /// The bytes end early, or go on.
    #[error("{found} bytes are too few or too many for what they hold")]
    Length {
        /// Bytes that there are.
        found: usize,
    },
    /// Another version of the format.
    #[error("version {0} is not known; this is version {VERSION}")]
    Version(u8),
    /// A kind that this version does not have.
    #[error("kind {0} is not known")]
    Kind(u8),
    /// An id that is not that of any simulated node.
    #[error("the sender's id belongs to no simulated node")]
    Sender,
    /// A contact that is no simulated node, or whose id is not that of its address.
    #[error("contact {0} has an address that there is not, or an id that is not that of its address")]
    Contact(usize),
    /// Something else than yes or no.
    #[error("a value was kept or not, but the byte is {0}")]
    Kept(u8),
}

/// Length of a message with a payload of `payload` bytes, in bytes.
#[inline(always)]
pub fn wire_len(message: &KademliaMessage, payload: usize) -> usize {
    HEAD_LEN + payload + usize::from(matches!(message, KademliaMessage::Stored { .. }))
}

/// Appends the encoding of `contacts` to `out`.
///
/// # Panics
/// If one is not a node of `keys`.
pub fn encode_contacts(keys: &Keys, contacts: impl Iterator<Item = NodeId>, out: &mut Vec<u8>) {
    for contact in contacts {
        let mut bytes = [0; CONTACT_LEN];
        bytes[..KEY_LEN].copy_from_slice(&keys.id(contact));
        bytes[KEY_LEN..KEY_LEN + 4].copy_from_slice(&contact.to_le_bytes());
        bytes[KEY_LEN + 4..].copy_from_slice(&PORT.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// Appends the contacts that `bytes` hold to `out`. There may be up to `most` of them.
///
/// # Errors
/// If the bytes hold anything else; then nothing is appended.
pub fn decode_contacts(keys: &Keys, most: usize, bytes: &[u8], out: &mut Vec<NodeId>) -> Result<(), KademliaWireError> {
    let (contacts, rest) = bytes.as_chunks::<CONTACT_LEN>();
    if !rest.is_empty() || contacts.len() > most {
        return Err(KademliaWireError::Length { found: bytes.len() });
    }
    let before = out.len();
    for (number, contact) in contacts.iter().enumerate() {
        let Some(contact) = decode_contact(keys, contact) else {
            out.truncate(before);
            return Err(KademliaWireError::Contact(number));
        };
        out.push(contact);
    }
    Ok(())
}

#[inline]
fn decode_contact(keys: &Keys, bytes: &[u8; CONTACT_LEN]) -> Option<NodeId> {
    let (id, rest) = bytes.split_first_chunk::<KEY_LEN>()?;
    let (address, port) = rest.split_first_chunk()?;
    let contact = NodeId::from_le_bytes(*address);
    (keys.is_id_of(id, contact) && *port == PORT.to_le_bytes()).then_some(contact)
}

/// The key that a find node or find value asks for.
///
/// # Errors
/// If `bytes` are no key.
pub fn decode_key(bytes: &[u8]) -> Result<&Key256, KademliaWireError> {
    <&Key256>::try_from(bytes).map_err(|_| KademliaWireError::Length { found: bytes.len() })
}

/// The key and the value of a store.
///
/// # Errors
/// If `bytes` hold none, or the value is too long.
pub fn decode_store(bytes: &[u8]) -> Result<(&Key256, &[u8]), KademliaWireError> {
    bytes
        .split_first_chunk()
        .filter(|(_, value)| value.len() <= VALUE_LEN_MAX)
        .ok_or(KademliaWireError::Length { found: bytes.len() })
}

/// A message as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireKademlia {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: KademliaMessage,
    /// What goes with it.
    pub payload: Vec<u8>,
}

impl WireKademlia {
    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If the sender is not a node of `keys`.
    pub fn encode(&self, keys: &Keys, out: &mut Vec<u8>) {
        let (kind, number, kept) = match self.message {
            KademliaMessage::Ping { number } => (PING, number, None),
            KademliaMessage::Pong { number } => (PONG, number, None),
            KademliaMessage::FindNode { number } => (FIND_NODE, number, None),
            KademliaMessage::Nodes { number } => (NODES, number, None),
            KademliaMessage::Store { number } => (STORE, number, None),
            KademliaMessage::Stored { number, kept } => (STORED, number, Some(u8::from(kept))),
            KademliaMessage::FindValue { number } => (FIND_VALUE, number, None),
            KademliaMessage::Value { number } => (VALUE, number, None),
        };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&keys.id(self.sender));
        out.extend(kept);
        out.extend_from_slice(&self.payload);
    }

    /// The message from the node with the address `sender` that `bytes` hold; nodes may be up to `most`.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(keys: &Keys, sender: NodeId, most: usize, bytes: &[u8]) -> Result<Self, KademliaWireError> {
        let length = KademliaWireError::Length { found: bytes.len() };
        let (head, payload) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(length)?;
        if head[0] != VERSION {
            return Err(KademliaWireError::Version(head[0]));
        }
        if !head[6..].first_chunk().is_some_and(|id| keys.is_id_of(id, sender)) {
            return Err(KademliaWireError::Sender);
        }
        let number = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let message = match head[1] {
            PING => KademliaMessage::Ping { number },
            PONG => KademliaMessage::Pong { number },
            FIND_NODE => KademliaMessage::FindNode { number },
            NODES => KademliaMessage::Nodes { number },
            STORE => KademliaMessage::Store { number },
            STORED => match payload {
                [kept @ (0 | 1)] => KademliaMessage::Stored { number, kept: *kept == 1 },
                [kept] => return Err(KademliaWireError::Kept(*kept)),
                _ => return Err(length),
            },
            FIND_VALUE => KademliaMessage::FindValue { number },
            VALUE => KademliaMessage::Value { number },
            kind => return Err(KademliaWireError::Kind(kind)),
        };
        let payload = if head[1] == STORED { &[] } else { payload };
        check_payload(keys, most, &message, payload)?;
        Ok(WireKademlia { sender, message, payload: payload.to_vec() })
    }
}

/// Checks that `payload` is one that can go with `message`.
fn check_payload(keys: &Keys, most: usize, message: &KademliaMessage, payload: &[u8]) -> Result<(), KademliaWireError> {
    let length = KademliaWireError::Length { found: HEAD_LEN + payload.len() };
    let fits = match message {
        KademliaMessage::Ping { .. } | KademliaMessage::Pong { .. } | KademliaMessage::Stored { .. } => {
            payload.is_empty()
        }
        KademliaMessage::FindNode { .. } | KademliaMessage::FindValue { .. } => decode_key(payload).is_ok(),
        KademliaMessage::Nodes { .. } => {
            return match decode_contacts(keys, most, payload, &mut Vec::new()) {
                Err(KademliaWireError::Length { .. }) => Err(length),
                other => other,
            };
        }
        KademliaMessage::Store { .. } => decode_store(payload).is_ok(),
        KademliaMessage::Value { .. } => payload.len() <= VALUE_LEN_MAX,
    };
    if fits { Ok(()) } else { Err(length) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODES: NodeId = 300;

    fn encoded(keys: &Keys, message: &WireKademlia) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(keys, &mut bytes);
        bytes
    }

    fn contacts_of(keys: &Keys, contacts: &[NodeId]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_contacts(keys, contacts.iter().copied(), &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            sender in 0..NODES,
            number: u32,
            key: Key256,
            kept: bool,
            contacts in prop::collection::vec(0..NODES, 0..=20),
            value in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let keys = Keys::new(NODES);
            let nodes = contacts_of(&keys, &contacts);
            let mut decoded = Vec::new();
            prop_assert_eq!(decode_contacts(&keys, 20, &nodes, &mut decoded), Ok(()));
            prop_assert_eq!(decoded, contacts);
            let store = [&key[..], &value].concat();
            prop_assert_eq!(decode_store(&store), Ok((&key, &value[..])));
            let messages = [
                (KademliaMessage::Ping { number }, vec![]),
                (KademliaMessage::Pong { number }, vec![]),
                (KademliaMessage::FindNode { number }, key.to_vec()),
                (KademliaMessage::Nodes { number }, nodes),
                (KademliaMessage::Store { number }, store),
                (KademliaMessage::Stored { number, kept }, vec![]),
                (KademliaMessage::FindValue { number }, key.to_vec()),
                (KademliaMessage::Value { number }, value),
            ];
            for (message, payload) in messages {
                let sent = WireKademlia { sender, message, payload };
                let mut bytes = encoded(&keys, &sent);
                prop_assert_eq!(bytes.len(), wire_len(&message, sent.payload.len()));
                prop_assert_eq!(WireKademlia::decode(&keys, sender, 20, &bytes), Ok(sent));
                let other = WireKademlia::decode(&keys, (sender + 1) % NODES, 20, &bytes);
                prop_assert_eq!(other, Err(KademliaWireError::Sender));
                bytes.truncate(HEAD_LEN - 1);
                let refused = WireKademlia::decode(&keys, sender, 20, &bytes);
                prop_assert_eq!(refused, Err(KademliaWireError::Length { found: HEAD_LEN - 1 }));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 14u8..26, sender: NodeId, fill: bool,
        ) {
            let keys = Keys::new(NODES);
            let mut out = vec![3];
            let is_refused = decode_contacts(&keys, 5, &bytes, &mut out).is_err();
            prop_assert!(out == [3] && (is_refused || bytes.is_empty()));
            let _ = decode_key(&bytes);
            let _ = decode_store(&bytes);
            prop_assert!(WireKademlia::decode(&keys, sender, 5, &bytes).is_err());
            // Get past the first checks.
            let sender = sender % NODES;
            if fill && bytes.len() >= HEAD_LEN {
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                bytes[6..HEAD_LEN].copy_from_slice(&keys.id(sender));
                if let Ok(message) = WireKademlia::decode(&keys, sender, 5, &bytes) {
                    prop_assert_eq!(encoded(&keys, &message), bytes);
                }
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let keys = Keys::new(300);
        let message = KademliaMessage::Nodes { number: 0x0403_0201 };
        let sent = WireKademlia { sender: 7, message, payload: contacts_of(&keys, &[258]) };
        let expected =
            [&[1, 19, 1, 2, 3, 4][..], &keys.id(7), &keys.id(258), &[2, 1, 0, 0], &PORT.to_le_bytes()].concat();
        assert_eq!(encoded(&keys, &sent), expected);
        let message = KademliaMessage::Stored { number: 1, kept: true };
        let sent = WireKademlia { sender: 7, message, payload: vec![] };
        assert_eq!(encoded(&keys, &sent), [&[1, 21, 1, 0, 0, 0][..], &keys.id(7), &[1]].concat());
    }

    #[test]
    fn what_is_not_a_message_of_this_version_is_refused() {
        let keys = Keys::new(10);
        let payload = contacts_of(&keys, &[1, 2, 3]);
        let sent = WireKademlia { sender: 7, message: KademliaMessage::Nodes { number: 9 }, payload };
        let good = encoded(&keys, &sent);
        let check = |place: usize, byte: u8, error| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            assert_eq!(WireKademlia::decode(&keys, 7, 3, &bytes), Err(error));
        };
        let length = KademliaWireError::Length { found: good.len() };
        check(0, 2, KademliaWireError::Version(2));
        check(1, 15, KademliaWireError::Kind(15));
        check(1, 24, KademliaWireError::Kind(24));
        check(1, 16, length);
        check(1, 18, length);
        check(1, 21, length);
        check(6, !good[6], KademliaWireError::Sender);
        check(HEAD_LEN + CONTACT_LEN, !good[HEAD_LEN + CONTACT_LEN], KademliaWireError::Contact(1));
        check(HEAD_LEN + 32, 4, KademliaWireError::Contact(0));
        check(HEAD_LEN + 33, 1, KademliaWireError::Contact(0));
        check(good.len() - 1, 0, KademliaWireError::Contact(2));
        assert_eq!(WireKademlia::decode(&keys, 7, 2, &good), Err(length), "more than were asked for");
        let stored =
            WireKademlia { sender: 7, message: KademliaMessage::Stored { number: 9, kept: true }, payload: vec![] };
        let mut bytes = encoded(&keys, &stored);
        bytes[HEAD_LEN] = 2;
        assert_eq!(WireKademlia::decode(&keys, 7, 3, &bytes), Err(KademliaWireError::Kept(2)));
        let long = vec![0; KEY_LEN + VALUE_LEN_MAX + 1];
        assert_eq!(decode_store(&long), Err(KademliaWireError::Length { found: long.len() }));
        assert!(decode_store(&long[1..]).is_ok() && decode_store(&long[..31]).is_err());
    }
}
