//! The wire format of the router, version 1. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind, as below |
//! | 2 | 32 | id of the sender |
//!
//! What follows by kind:
//!
//! | kind | fields |
//! |---|---|
//! | 64 attach, 65 accept | number of the request, 2 bytes |
//! | 66 refuse | number of the request, 2 bytes; id of who is named, 32 bytes, all ones if nobody is |
//! | 67 heartbeat | place of the receiver among the sender's parents, 1 byte: 0, 1, 2, or 3 for those behind |
//! | 68 ack, 70 detach | nothing |
//! | 69 advice | id of a full node, 32 bytes, all ones if none is known; how many children may go there, 2 bytes |
//! | 71 move | id of the new parent, 32 bytes |
//! | 72 register | id of the child, 32 bytes; first parent 0 or second 1, 1 byte |
//! | 73 unregister | id of the child, 32 bytes |
//! | 74 message | the way, [`WAY_LEN`] bytes; length of the contents, 2 bytes; the contents |
//! | 75 receipt | the way |
//! | 76 failed | the way; cause, 1 byte: 1 unknown, 2 stale |
//!
//! and the way is
//!
//! | bytes | field |
//! |---|---|
//! | 1 | times that the message was sent before, in the two highest bits; nodes that sent it on its way, in the others |
//! | 2 | when the message was first sent, in steps of 2^20 ns, modulo 2^16 |
//! | 32 | id of the origin |
//! | 32 | id of the destination |
//! | 32 | id of the parent of the origin by which the message went |
//!
//! Digests have the format of [`crate::protocols::wire`], and so have ids.

use std::ops::Range;

use super::{Cause, Purpose, Routed, RouterMessage};
use crate::contract::{Key256, NodeId};
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 64..77;
/// Length of a message that says nothing but its kind and its sender, in bytes.
pub const HEAD_LEN: usize = 34;
/// Length of an id, in bytes.
pub const ID_LEN: usize = 32;
/// Length of the way of a message, in bytes.
pub const WAY_LEN: usize = 3 + 3 * ID_LEN;
/// Longest contents of a message, in bytes: it fits an Ethernet frame.
pub const CONTENT_LEN_MAX: usize = 1_300;

/// The id that stands for nobody.
const NOBODY_ID: Key256 = [u8::MAX; ID_LEN];

const ATTACH: u8 = 64;
const ACCEPT: u8 = 65;
const REFUSE: u8 = 66;
const HEARTBEAT: u8 = 67;
const ACK: u8 = 68;
const ADVICE: u8 = 69;
const DETACH: u8 = 70;
const MOVE: u8 = 71;
const REGISTER: u8 = 72;
const UNREGISTER: u8 = 73;
const MESSAGE: u8 = 74;
const RECEIPT: u8 = 75;
const FAILED: u8 = 76;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouterWireError {
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
    /// An id that no simulated node has.
    #[error("an id does not stand for a simulated node")]
    Id,
    /// A place among parents that there is not.
    #[error("{0} is no place among parents")]
    Rank(u8),
    /// A cause that cannot be sent.
    #[error("{0} is no cause of a failure")]
    Cause(u8),
}

/// Length of a message with a payload of `payload` bytes, in bytes; contents of messages have `content`.
#[inline(always)]
pub fn wire_len(message: &RouterMessage, payload: usize, content: u16) -> usize {
    let more = match message {
        RouterMessage::Attach { .. } | RouterMessage::Accept { .. } => 2,
        RouterMessage::Refuse { .. } | RouterMessage::Advice { .. } => 2 + ID_LEN,
        RouterMessage::Heartbeat { .. } => 1,
        RouterMessage::Ack | RouterMessage::Detach => 0,
        RouterMessage::Digest { .. } => return payload,
        RouterMessage::Move { .. } | RouterMessage::Unregister { .. } => ID_LEN,
        RouterMessage::Register { .. } => ID_LEN + 1,
        RouterMessage::Routed(routed) => match routed.purpose {
            Purpose::Message => WAY_LEN + 2 + content as usize,
            Purpose::Receipt => WAY_LEN,
            Purpose::Failed(_) => WAY_LEN + 1,
        },
    };
    HEAD_LEN + more
}

/// A message as it is encoded; any but a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRouter<'a> {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: RouterMessage,
    /// The contents, of a message from a light node to another.
    pub content: &'a [u8],
}

impl<'a> WireRouter<'a> {
    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If it is a digest, which [`WireMessage`](crate::protocols::wire::WireMessage) encodes, if the contents are too long
    /// or belong to another kind, or if a cause cannot be sent.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let is_message = matches!(self.message, RouterMessage::Routed(Routed { purpose: Purpose::Message, .. }));
        let fits = self.content.is_empty() || is_message && self.content.len() <= CONTENT_LEN_MAX;
        assert!(fits, "{} bytes of contents of {:?}", self.content.len(), self.message);
        out.extend_from_slice(&[VERSION, kind_of(&self.message)]);
        out.extend_from_slice(&key_of(self.sender));
        match self.message {
            RouterMessage::Attach { number } | RouterMessage::Accept { number } => {
                out.extend_from_slice(&number.to_le_bytes());
            }
            RouterMessage::Refuse { number, named } => {
                out.extend_from_slice(&number.to_le_bytes());
                out.extend_from_slice(&optional_key_of(named));
            }
            RouterMessage::Advice { lighter, room } => {
                out.extend_from_slice(&optional_key_of(lighter));
                out.extend_from_slice(&room.to_le_bytes());
            }
            RouterMessage::Heartbeat { rank, .. } => out.push(rank),
            RouterMessage::Ack | RouterMessage::Detach | RouterMessage::Digest { .. } => {}
            RouterMessage::Move { to } => out.extend_from_slice(&key_of(to)),
            RouterMessage::Register { child, rank } => {
                out.extend_from_slice(&key_of(child));
                out.push(rank);
            }
            RouterMessage::Unregister { child } => out.extend_from_slice(&key_of(child)),
            RouterMessage::Routed(routed) => {
                out.push(routed.trace);
                out.extend_from_slice(&routed.stamp.to_le_bytes());
                for node in [routed.origin, routed.destination, routed.via] {
                    out.extend_from_slice(&key_of(node));
                }
                match routed.purpose {
                    Purpose::Message => {
                        out.extend_from_slice(&(self.content.len() as u16).to_le_bytes());
                        out.extend_from_slice(self.content);
                    }
                    Purpose::Receipt => {}
                    Purpose::Failed(cause) => out.push(cause as u8),
                }
            }
        }
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, RouterWireError> {
        let mut reader = Reader { bytes, read: 0 };
        let [version, kind] = reader.take()?;
        if version != VERSION {
            return Err(RouterWireError::Version(version));
        }
        if !KINDS.contains(&kind) {
            return Err(RouterWireError::Kind(kind));
        }
        let sender = reader.id()?;
        let mut content = &bytes[..0];
        let message = match kind {
            ATTACH => RouterMessage::Attach { number: reader.number()? },
            ACCEPT => RouterMessage::Accept { number: reader.number()? },
            REFUSE => RouterMessage::Refuse { number: reader.number()?, named: reader.optional_id()? },
            HEARTBEAT => RouterMessage::Heartbeat { child: sender, rank: reader.rank(3)? },
            ACK => RouterMessage::Ack,
            ADVICE => RouterMessage::Advice { lighter: reader.optional_id()?, room: reader.number()? },
            DETACH => RouterMessage::Detach,
            MOVE => RouterMessage::Move { to: reader.id()? },
            REGISTER => RouterMessage::Register { child: reader.id()?, rank: reader.rank(1)? },
            UNREGISTER => RouterMessage::Unregister { child: reader.id()? },
            _ => {
                let [trace] = reader.take()?;
                let (stamp, origin) = (reader.number()?, reader.id()?);
                let (destination, via) = (reader.id()?, reader.id()?);
                let purpose = match kind {
                    MESSAGE => {
                        let len = usize::from(reader.number()?);
                        content = reader.slice(len)?;
                        Purpose::Message
                    }
                    RECEIPT => Purpose::Receipt,
                    _ => Purpose::Failed(reader.cause()?),
                };
                RouterMessage::Routed(Routed { purpose, trace, stamp, origin, destination, via })
            }
        };
        if reader.read < bytes.len() || content.len() > CONTENT_LEN_MAX {
            return Err(RouterWireError::Length { found: bytes.len() });
        }
        Ok(WireRouter { sender, message, content })
    }
}

fn kind_of(message: &RouterMessage) -> u8 {
    match message {
        RouterMessage::Attach { .. } => ATTACH,
        RouterMessage::Accept { .. } => ACCEPT,
        RouterMessage::Refuse { .. } => REFUSE,
        RouterMessage::Heartbeat { .. } => HEARTBEAT,
        RouterMessage::Ack => ACK,
        RouterMessage::Digest { .. } => panic!("a digest has a format of its own"),
        RouterMessage::Advice { .. } => ADVICE,
        RouterMessage::Detach => DETACH,
        RouterMessage::Move { .. } => MOVE,
        RouterMessage::Register { .. } => REGISTER,
        RouterMessage::Unregister { .. } => UNREGISTER,
        RouterMessage::Routed(routed) => match routed.purpose {
            Purpose::Message => MESSAGE,
            Purpose::Receipt => RECEIPT,
            Purpose::Failed(Cause::Unknown | Cause::Stale) => FAILED,
            Purpose::Failed(cause) => panic!("{cause:?} is nothing that another could tell"),
        },
    }
}

fn optional_key_of(node: NodeId) -> Key256 {
    if node == NodeId::MAX { NOBODY_ID } else { key_of(node) }
}

struct Reader<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], RouterWireError> {
        let end = self.read + len;
        let slice = self.bytes.get(self.read..end).ok_or(RouterWireError::Length { found: self.bytes.len() })?;
        self.read = end;
        Ok(slice)
    }

    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], RouterWireError> {
        let mut taken = [0; LEN];
        taken.copy_from_slice(self.slice(LEN)?);
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, RouterWireError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    /// The number of a node; the largest of all stands for nobody, and is none.
    fn id(&mut self) -> Result<NodeId, RouterWireError> {
        node_of(&self.take()?).filter(|&node| node != NodeId::MAX).ok_or(RouterWireError::Id)
    }

    fn optional_id(&mut self) -> Result<NodeId, RouterWireError> {
        if self.bytes.get(self.read..self.read + ID_LEN) == Some(&NOBODY_ID) {
            self.read += ID_LEN;
            return Ok(NodeId::MAX);
        }
        self.id()
    }

    fn rank(&mut self, most: u8) -> Result<u8, RouterWireError> {
        let [rank] = self.take()?;
        if rank <= most { Ok(rank) } else { Err(RouterWireError::Rank(rank)) }
    }

    fn cause(&mut self) -> Result<Cause, RouterWireError> {
        let [cause] = self.take()?;
        let sent = [Cause::Unknown, Cause::Stale].into_iter().find(|&known| known as u8 == cause);
        sent.ok_or(RouterWireError::Cause(cause))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(wire: &WireRouter<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        wire.encode(&mut bytes);
        bytes
    }

    fn node() -> impl Strategy<Value = NodeId> {
        0..NodeId::MAX
    }

    fn messages() -> impl Strategy<Value = RouterMessage> {
        let optional = || prop_oneof![node(), Just(NodeId::MAX)];
        let purpose = prop_oneof![
            Just(Purpose::Message),
            Just(Purpose::Receipt),
            Just(Purpose::Failed(Cause::Unknown)),
            Just(Purpose::Failed(Cause::Stale)),
        ];
        prop_oneof![
            any::<u16>().prop_map(|number| RouterMessage::Attach { number }),
            any::<u16>().prop_map(|number| RouterMessage::Accept { number }),
            (any::<u16>(), optional()).prop_map(|(number, named)| RouterMessage::Refuse { number, named }),
            (0u8..4).prop_map(|rank| RouterMessage::Heartbeat { child: 7, rank }),
            Just(RouterMessage::Ack),
            (optional(), any::<u16>()).prop_map(|(lighter, room)| RouterMessage::Advice { lighter, room }),
            Just(RouterMessage::Detach),
            node().prop_map(|to| RouterMessage::Move { to }),
            (node(), 0u8..2).prop_map(|(child, rank)| RouterMessage::Register { child, rank }),
            node().prop_map(|child| RouterMessage::Unregister { child }),
            (purpose, any::<u8>(), any::<u16>(), node(), node(), node()).prop_map(
                |(purpose, trace, stamp, origin, destination, via)| {
                    RouterMessage::Routed(Routed { purpose, trace, stamp, origin, destination, via })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            message in messages(),
            content in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let is_message = matches!(message, RouterMessage::Routed(Routed { purpose: Purpose::Message, .. }));
            let content = if is_message { &content[..] } else { &[] };
            let sent = WireRouter { sender: 7, message, content };
            let bytes = encoded(&sent);
            prop_assert_eq!(bytes.len(), wire_len(&message, 0, content.len() as u16));
            prop_assert_eq!(WireRouter::decode(&bytes), Ok(sent));
            for len in 0..bytes.len() {
                let found = WireRouter::decode(&bytes[..len]);
                prop_assert_eq!(found, Err(RouterWireError::Length { found: len }));
            }
            let longer = [&bytes[..], &[0]].concat();
            prop_assert_eq!(WireRouter::decode(&longer), Err(RouterWireError::Length { found: longer.len() }));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_what_they_hold_encodes_to_them(
            mut bytes in prop::collection::vec(any::<u8>(), 0..240),
            kind in 60u8..80,
            ids in prop::collection::vec(34usize..200, 0..4),
            fill: bool,
        ) {
            if fill && bytes.len() >= HEAD_LEN {
                // Get past the first checks: zeros after the four bytes of a number.
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                bytes[6..HEAD_LEN].fill(0);
                for start in ids.into_iter().chain([34, 36, 37, 69, 101]) {
                    bytes.iter_mut().skip(start + 4).take(28).for_each(|byte| *byte = 0);
                }
            }
            if let Ok(message) = WireRouter::decode(&bytes) {
                prop_assert_eq!(encoded(&message), bytes);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let id = |node: u8| [&[node][..], &[0; 31]].concat();
        let bytes = |message, content| encoded(&WireRouter { sender: 7, message, content });
        let head = |kind: u8| [&[1, kind][..], &id(7)].concat();
        assert_eq!(bytes(RouterMessage::Attach { number: 0x0201 }, &[]), [head(64), vec![1, 2]].concat());
        let refuse = RouterMessage::Refuse { number: 3, named: NodeId::MAX };
        assert_eq!(bytes(refuse, &[]), [head(66), vec![3, 0], vec![255; 32]].concat());
        assert_eq!(bytes(RouterMessage::Register { child: 9, rank: 1 }, &[]), [head(72), id(9), vec![1]].concat());
        let routed = Routed { purpose: Purpose::Message, trace: 0x42, stamp: 5, origin: 1, destination: 2, via: 3 };
        assert_eq!((routed.attempt(), routed.hops()), (1, 2));
        let expected = [head(74), vec![0x42, 5, 0], id(1), id(2), id(3), vec![2, 0, 8, 9]].concat();
        assert_eq!(bytes(RouterMessage::Routed(routed), &[8, 9]), expected);
        let failed = Routed { purpose: Purpose::Failed(Cause::Stale), ..routed };
        assert_eq!(bytes(RouterMessage::Routed(failed), &[]).last(), Some(&2));
    }

    #[test]
    fn what_is_not_a_message_of_this_version_is_refused() {
        let refused = |message, place: usize, byte: u8| {
            let mut bytes = encoded(&WireRouter { sender: 7, message, content: &[] });
            bytes[place] = byte;
            WireRouter::decode(&bytes).unwrap_err()
        };
        let heartbeat = RouterMessage::Heartbeat { child: 7, rank: 0 };
        assert_eq!(refused(heartbeat, 0, 2), RouterWireError::Version(2));
        assert_eq!(refused(heartbeat, 1, 63), RouterWireError::Kind(63));
        assert_eq!(refused(heartbeat, 1, 77), RouterWireError::Kind(77));
        assert_eq!(refused(heartbeat, 10, 1), RouterWireError::Id);
        assert_eq!(refused(heartbeat, 34, 4), RouterWireError::Rank(4));
        assert_eq!(refused(RouterMessage::Register { child: 1, rank: 1 }, 66, 2), RouterWireError::Rank(2));
        let failed = Purpose::Failed(Cause::Unknown);
        let failed = Routed { purpose: failed, trace: 1, stamp: 5, origin: 1, destination: 2, via: 3 };
        let last = HEAD_LEN + WAY_LEN;
        assert_eq!(refused(RouterMessage::Routed(failed), last, 0), RouterWireError::Cause(0));
        assert_eq!(refused(RouterMessage::Routed(failed), last, 3), RouterWireError::Cause(3));
        let message = RouterMessage::Routed(Routed { purpose: Purpose::Message, ..failed });
        let long = vec![0; CONTENT_LEN_MAX + 1];
        let mut bytes = encoded(&WireRouter { sender: 7, message, content: &long[1..] });
        assert!(WireRouter::decode(&bytes).is_ok());
        bytes.push(0);
        bytes[last..last + 2].copy_from_slice(&(long.len() as u16).to_le_bytes());
        assert_eq!(WireRouter::decode(&bytes), Err(RouterWireError::Length { found: bytes.len() }));
    }
}
