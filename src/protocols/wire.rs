//! Wire formats: the bytes of every message, fixed and versioned.
//!
//! Every message of every format starts with its version and its kind, one byte each. Formats share no kind, so that the
//! two bytes tell how to read the rest:
//!
//! | kinds | format | of which in use |
//! |---|---|---|
//! | 0 to 15 | heartbeats, rumours and digests: this one | [`KINDS`] |
//! | 16 to 31 | [Kademlia](super::kademlia::wire) | [`KINDS`](super::kademlia::wire::KINDS) |
//! | 32 to 47 | [consensus](super::consensus::wire) | [`KINDS`](super::consensus::wire::KINDS) |
//! | 48 to 63 | [SWIM](super::swim::wire) | [`KINDS`](super::swim::wire::KINDS) |
//! | 64 to 79 | [router](super::router::wire) | [`KINDS`](super::router::wire::KINDS) |
//! | 80 to 95 | [sharding](super::sharding::wire) | [`KINDS`](super::sharding::wire::KINDS) |
//! | 96 to 111 | [dissemination](super::dissemination::wire) | [`KINDS`](super::dissemination::wire::KINDS) |
//! | 112 to 127 | [ledger](super::ledger::wire) | [`KINDS`](super::ledger::wire::KINDS) |
//! | 128 to 159 | [registry](super::registry::wire) | [`KINDS`](super::registry::wire::KINDS) |
//! | 160 to 175 | [mobile nodes](super::mobile::wire) | [`KINDS`](super::mobile::wire::KINDS) |
//! | 176 to 255 | free | |
//!
//! # Heartbeats, rumours and digests
//!
//! All numbers are little endian. Every message starts with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 1 heartbeat, 2 digest, 3 rumour, 4 leave, 5 parting rumour |
//! | 2 | 32 | id of the sender; of a rumour, of the node that it tells of |
//! | 34 | 2 | beat: how many intervals of that node had passed, modulo 2^16 |
//!
//! and a heartbeat ends there, and so does a leave, by which a node says that no heartbeat will follow. A rumour, and a
//! parting rumour, which says that a node leaves where a rumour says that it lives, goes on with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 36 | 1 | hops: how many nodes have sent it, 1 for the first |
//!
//! and a digest, by which a full node tells a super node which of its children live, with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 36 | 4 | children of the sender |
//! | 40 | 4 | how many of them live |
//! | 44 | 4 | first child of the bitmap, a multiple of [`DIGEST_CHILDREN_MAX`] |
//! | 48 | `ceil(c / 8)` | bitmap, lowest bit first: whether child `first + i` lives; unused bits are zero |
//!
//! with `c = min(children - first, DIGEST_CHILDREN_MAX)`: a datagram holds no more, so more children take several
//! digests. Children are in the order of their ids.
//!
//! Ids have 32 bytes, as in the documents. A simulated node's number stands in the first four; the rest is zero.
//! Any message may be followed by zeros: a scenario fixes a size, and shorter messages are padded to it.

use std::ops::Range;

use crate::contract::{Key256, NodeId};

/// The version of the formats.
pub const VERSION: u8 = 1;
/// Length of a heartbeat, in bytes.
pub const HEARTBEAT_LEN: usize = 36;
/// Length of a leave, in bytes.
pub const LEAVE_LEN: usize = 36;
/// Length of a rumour, parting or not, in bytes.
pub const RUMOUR_LEN: usize = 37;
/// Length of a digest before its bitmap, in bytes.
pub const DIGEST_HEAD_LEN: usize = 48;
/// Most children in one digest; its 65 048 bytes fit a UDP datagram.
pub const DIGEST_CHILDREN_MAX: u32 = 520_000;

/// The kinds of this format; no other has any of them.
pub const KINDS: Range<u8> = 1..6;

const HEARTBEAT: u8 = 1;
const DIGEST: u8 = 2;
const RUMOUR: u8 = 3;
const LEAVE: u8 = 4;
const PARTING: u8 = 5;

/// A message, as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireMessage<'a> {
    /// The sender lives.
    Heartbeat {
        /// Who lives.
        sender: NodeId,
        /// In which of its intervals.
        beat: u16,
    },
    /// Which children of a full node live.
    Digest(Digest<'a>),
    /// Some node lives, passed on.
    Rumour {
        /// Who lives.
        origin: NodeId,
        /// In which of its intervals.
        beat: u16,
        /// How many nodes have sent this rumour on its way here.
        hops: u8,
    },
    /// The sender leaves in good order.
    Leave {
        /// Who leaves.
        sender: NodeId,
        /// In which of its intervals.
        beat: u16,
    },
    /// Some node leaves in good order, passed on.
    Parting {
        /// Who leaves.
        origin: NodeId,
        /// In which of its intervals.
        beat: u16,
        /// How many nodes have sent this rumour on its way here.
        hops: u8,
    },
}

/// Which children of a full node live, or as much of it as a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest<'a> {
    /// The full node.
    pub sender: NodeId,
    /// In which of its intervals.
    pub beat: u16,
    /// How many children it has.
    pub children: u32,
    /// How many of them live.
    pub alive: u32,
    /// The first child of the bitmap, a multiple of [`DIGEST_CHILDREN_MAX`].
    pub first: u32,
    /// Whether each child lives, from `first` on, lowest bit first.
    pub bitmap: &'a [u8],
}

impl Digest<'_> {
    /// How many children the bitmap covers.
    fn covered(&self) -> u32 {
        self.children.saturating_sub(self.first).min(DIGEST_CHILDREN_MAX)
    }

    fn check(&self) -> Result<(), WireError> {
        let covered = self.covered();
        let reaches = self.first < self.children || self.first == 0;
        if !reaches || !self.first.is_multiple_of(DIGEST_CHILDREN_MAX) {
            return Err(WireError::Part { first: self.first, children: self.children });
        }
        let set: u32 = self.bitmap.iter().map(|byte| byte.count_ones()).sum();
        let unused = !covered.is_multiple_of(8) && self.bitmap.last().is_some_and(|last| last >> (covered % 8) > 0);
        // What lies outside of this bitmap may live or not.
        let possible = set..=set + (self.children - covered);
        if unused || !possible.contains(&self.alive) {
            return Err(WireError::Bitmap { children: self.children, alive: self.alive });
        }
        Ok(())
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end early.
    #[error("the message needs {expected} bytes, but there are {found}")]
    Short {
        /// Bytes that it needs, as far as can be told.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// Another version of the formats.
    #[error("version {0} is not known; this is version {VERSION}")]
    Version(u8),
    /// A kind that this version does not have.
    #[error("kind {0} is not known")]
    Kind(u8),
    /// An id that no simulated node has.
    #[error("the id of the sender does not stand for a simulated node")]
    Id,
    /// Bytes that follow the message.
    #[error("byte {0} is padding, but not zero")]
    Padding(usize),
    /// A digest that starts where none can.
    #[error("no digest of {children} children starts at child {first}")]
    Part {
        /// Where it starts.
        first: u32,
        /// Children of its sender.
        children: u32,
    },
    /// A digest whose bitmap and counts disagree.
    #[error("the bitmap disagrees with {alive} living of {children} children")]
    Bitmap {
        /// Children of the sender.
        children: u32,
        /// Of which live.
        alive: u32,
    },
}

/// Length of a message of `natural` bytes that is padded to `size`: the larger of the two.
#[inline(always)]
pub const fn padded_len(natural: usize, size: u32) -> u32 {
    let natural = natural as u32;
    if natural > size { natural } else { size }
}

impl<'a> WireMessage<'a> {
    /// Length of the encoding, in bytes, without padding.
    pub fn encoded_len(&self) -> usize {
        match self {
            WireMessage::Heartbeat { .. } => HEARTBEAT_LEN,
            WireMessage::Digest(digest) => DIGEST_HEAD_LEN + digest.bitmap.len(),
            WireMessage::Rumour { .. } | WireMessage::Parting { .. } => RUMOUR_LEN,
            WireMessage::Leave { .. } => LEAVE_LEN,
        }
    }

    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If a digest's counts and bitmap disagree.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, id, beat) = match *self {
            WireMessage::Heartbeat { sender, beat } => (HEARTBEAT, sender, beat),
            WireMessage::Digest(digest) => (DIGEST, digest.sender, digest.beat),
            WireMessage::Rumour { origin, beat, .. } => (RUMOUR, origin, beat),
            WireMessage::Leave { sender, beat } => (LEAVE, sender, beat),
            WireMessage::Parting { origin, beat, .. } => (PARTING, origin, beat),
        };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&key_of(id));
        out.extend_from_slice(&beat.to_le_bytes());
        match self {
            WireMessage::Heartbeat { .. } | WireMessage::Leave { .. } => {}
            WireMessage::Digest(digest) => {
                let valid = digest.check().is_ok() && digest.bitmap.len() == bitmap_len(digest.covered());
                assert!(valid, "a digest's counts and bitmap agree");
                for number in [digest.children, digest.alive, digest.first] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(digest.bitmap);
            }
            WireMessage::Rumour { hops, .. } | WireMessage::Parting { hops, .. } => out.push(*hops),
        }
    }

    /// The message that `bytes` hold, padding included.
    ///
    /// # Errors
    /// If they hold none of this version, or something after it that is not zero.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader { bytes, read: 0 };
        let [version, kind] = reader.take()?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        if !KINDS.contains(&kind) {
            return Err(WireError::Kind(kind));
        }
        let id = node_of(&reader.take()?).ok_or(WireError::Id)?;
        let beat = u16::from_le_bytes(reader.take()?);
        let message = match kind {
            HEARTBEAT => WireMessage::Heartbeat { sender: id, beat },
            DIGEST => {
                let [children, alive, first] = [reader.take()?, reader.take()?, reader.take()?].map(u32::from_le_bytes);
                let mut digest = Digest { sender: id, beat, children, alive, first, bitmap: &[] };
                digest.bitmap = reader.slice(bitmap_len(digest.covered()))?;
                digest.check()?;
                WireMessage::Digest(digest)
            }
            RUMOUR => WireMessage::Rumour { origin: id, beat, hops: reader.take::<1>()?[0] },
            LEAVE => WireMessage::Leave { sender: id, beat },
            _ => WireMessage::Parting { origin: id, beat, hops: reader.take::<1>()?[0] },
        };
        match bytes[reader.read..].iter().position(|&byte| byte != 0) {
            Some(place) => Err(WireError::Padding(reader.read + place)),
            None => Ok(message),
        }
    }
}

/// Bytes of a bitmap of `children`.
const fn bitmap_len(children: u32) -> usize {
    children.div_ceil(8) as usize
}

/// The id of a simulated node on the wire: its number in the first four bytes, then zeros.
pub fn key_of(node: NodeId) -> Key256 {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&node.to_le_bytes());
    key
}

/// The simulated node with an id, if there can be one.
pub(super) fn node_of(key: &Key256) -> Option<NodeId> {
    let (number, rest) = key.split_first_chunk()?;
    rest.iter().all(|&byte| byte == 0).then_some(NodeId::from_le_bytes(*number))
}

struct Reader<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl<'a> Reader<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let end = self.read + len;
        let slice =
            self.bytes.get(self.read..end).ok_or(WireError::Short { expected: end, found: self.bytes.len() })?;
        self.read = end;
        Ok(slice)
    }

    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], WireError> {
        let mut taken = [0; LEN];
        taken.copy_from_slice(self.slice(LEN)?);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
