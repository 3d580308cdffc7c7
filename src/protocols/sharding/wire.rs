//! The wire format of sharding, version 1. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 80 alive, 81 leave, 82 change, 83 view, 84 batch, 85 taken, 86 offer, 87 answer |
//! | 2 | 32 | id of the sender |
//! | 34 | 4 | of alive, change and view: the epoch; of batch and taken: the number of the batch; of leave and offer: 1 if the sender stays until it has handed over all, or keeps what it offers for others, otherwise 0; of answer: 0 |
//!
//! Alive, leave and taken end there. The others go on with a list of items, as many as there are:
//!
//! | kind | item | bytes |
//! |---|---|---|
//! | change | id of a full node, and 0 if it is down, 1 if it is a member, 2 if it leaves | 33 |
//! | view | eight full nodes, in the order of their numbers: a bit for each, whether it is a member, lowest first | 1 |
//! | batch | address, length of the value, value | 36 + length |
//! | offer | address | 32 |
//! | answer | address, and 0 if the sender has it, 1 if it asks for it | 33 |
//!
//! Ids and addresses are those of [`wire`](crate::protocols::wire): a number in the first four bytes. In memory, an item
//! of a change, a batch, an offer or an answer is a number of four bytes, whose two highest bits are what stands beside
//! the id or address; values do not travel in memory. All values have the same length.

use std::ops::Range;

use super::ShardingMessage;
use crate::contract::NodeId;
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 80..88;
/// Length of a message without its items, in bytes.
pub const HEAD_LEN: usize = 38;
/// Bits of an item that are a number of a node or a record; the others are a flag.
pub const NUMBER_BITS: u32 = 30;
/// Bytes of an item in memory, unless it is a part of a bitmap.
pub const ITEM_LEN: usize = 4;
/// Length of a record in a batch without its value, in bytes.
pub const RECORD_LEN: usize = 36;

const KEY_LEN: usize = 32;

/// An item as it is in memory.
pub(super) const fn item(number: u32, flag: u32) -> u32 {
    number | flag << NUMBER_BITS
}

/// The number and the flag of an item.
pub(super) const fn parts(item: u32) -> (u32, u32) {
    (item & ((1 << NUMBER_BITS) - 1), item >> NUMBER_BITS)
}

/// Appends items as they are in memory.
pub(super) fn pack(items: impl Iterator<Item = u32>, out: &mut Vec<u8>) {
    items.for_each(|item| out.extend_from_slice(&item.to_le_bytes()));
}

/// The items in memory; `None` if `payload` is not made of whole ones.
pub(super) fn unpack(payload: &[u8]) -> Option<impl ExactSizeIterator<Item = u32> + Clone + '_> {
    let (items, rest) = payload.as_chunks::<ITEM_LEN>();
    rest.is_empty().then(|| items.iter().map(|item| u32::from_le_bytes(*item)))
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardingWireError {
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
    /// An id or address that no simulated node or record has.
    #[error("an id or address does not stand for a simulated node or record")]
    Id,
    /// A field that has none of its values.
    #[error("{0} is no value of its field")]
    Value(u32),
}

/// A message with what it carries, as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSharding {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: ShardingMessage,
    /// Its items in memory.
    pub payload: Vec<u8>,
}

/// The flags that the items of a message of this kind may have, and the bytes of an item on the wire; `None` if it has
/// none that are numbers.
fn items_of(message: &ShardingMessage, value_len: u32) -> Option<(u32, usize)> {
    match message {
        ShardingMessage::Change { .. } => Some((3, KEY_LEN + 1)),
        ShardingMessage::Batch { .. } => Some((1, RECORD_LEN + value_len as usize)),
        ShardingMessage::Offer { .. } => Some((1, KEY_LEN)),
        ShardingMessage::Answer => Some((2, KEY_LEN + 1)),
        _ => None,
    }
}

/// Length of the encoding of `message` with a payload of `payload` bytes in memory, if values have `value_len` bytes.
pub fn wire_len(message: &ShardingMessage, payload: usize, value_len: u32) -> usize {
    let items = match items_of(message, value_len) {
        Some((_, len)) => payload / ITEM_LEN * len,
        None => payload,
    };
    HEAD_LEN + items
}

impl WireSharding {
    /// Appends the encoding to `out`, with values of `value_len` zeros.
    ///
    /// # Panics
    /// If the payload does not fit the message.
    pub fn encode(&self, value_len: u32, out: &mut Vec<u8>) {
        let field = match self.message {
            ShardingMessage::Alive { epoch } | ShardingMessage::Change { epoch } | ShardingMessage::View { epoch } => {
                epoch
            }
            ShardingMessage::Batch { number } | ShardingMessage::Taken { number } => number,
            ShardingMessage::Leave { stays } => u32::from(stays),
            ShardingMessage::Offer { keeps_for_others } => u32::from(keeps_for_others),
            ShardingMessage::Answer => 0,
        };
        out.extend_from_slice(&[VERSION, KINDS.start + self.message.kind() as u8]);
        out.extend_from_slice(&key_of(self.sender));
        out.extend_from_slice(&field.to_le_bytes());
        if items_of(&self.message, value_len).is_none() {
            out.extend_from_slice(&self.payload);
            return;
        }
        for (number, flag) in unpack(&self.payload).expect("items are whole").map(parts) {
            out.extend_from_slice(&key_of(number));
            match self.message {
                ShardingMessage::Batch { .. } => {
                    out.extend_from_slice(&value_len.to_le_bytes());
                    out.resize(out.len() + value_len as usize, 0);
                }
                ShardingMessage::Offer { .. } => {}
                _ => out.push(flag as u8),
            }
        }
    }

    /// The message that `bytes` hold, if values have `value_len` bytes.
    ///
    /// # Errors
    /// If they are none of this version.
    pub fn decode(value_len: u32, bytes: &[u8]) -> Result<Self, ShardingWireError> {
        let length = ShardingWireError::Length { found: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(length)?;
        let [version, kind, id @ .., a, b, c, d] = head;
        if *version != VERSION {
            return Err(ShardingWireError::Version(*version));
        }
        let sender = node_of(id).ok_or(ShardingWireError::Id)?;
        let field = u32::from_le_bytes([*a, *b, *c, *d]);
        let flag = || if field < 2 { Ok(field == 1) } else { Err(ShardingWireError::Value(field)) };
        let message = match kind.checked_sub(KINDS.start) {
            Some(0) => ShardingMessage::Alive { epoch: field },
            Some(1) => ShardingMessage::Leave { stays: flag()? },
            Some(2) => ShardingMessage::Change { epoch: field },
            Some(3) => ShardingMessage::View { epoch: field },
            Some(4) => ShardingMessage::Batch { number: field },
            Some(5) => ShardingMessage::Taken { number: field },
            Some(6) => ShardingMessage::Offer { keeps_for_others: flag()? },
            Some(7) if field == 0 => ShardingMessage::Answer,
            Some(7) => return Err(ShardingWireError::Value(field)),
            _ => return Err(ShardingWireError::Kind(*kind)),
        };
        let mut payload = Vec::new();
        match items_of(&message, value_len) {
            None if matches!(message, ShardingMessage::View { .. }) => payload.extend_from_slice(rest),
            None if rest.is_empty() => {}
            None => return Err(length),
            Some((flags, len)) => {
                if !rest.len().is_multiple_of(len) {
                    return Err(length);
                }
                for bytes in rest.chunks_exact(len) {
                    let item = decode_item(&message, value_len, flags, bytes)?;
                    payload.extend_from_slice(&item.to_le_bytes());
                }
            }
        }
        Ok(WireSharding { sender, message, payload })
    }
}

/// The item that `bytes`, which are as long as it is, encode.
fn decode_item(message: &ShardingMessage, value_len: u32, flags: u32, bytes: &[u8]) -> Result<u32, ShardingWireError> {
    let (key, rest) = bytes.split_first_chunk().ok_or(ShardingWireError::Length { found: bytes.len() })?;
    let number = node_of(key).filter(|number| number >> NUMBER_BITS == 0).ok_or(ShardingWireError::Id)?;
    match (message, rest) {
        (ShardingMessage::Batch { .. }, [a, b, c, d, value @ ..]) => {
            let len = u32::from_le_bytes([*a, *b, *c, *d]);
            // A simulated value is made of zeros.
            let is_value = len == value_len && value.iter().all(|&byte| byte == 0);
            if is_value { Ok(number) } else { Err(ShardingWireError::Value(len)) }
        }
        (ShardingMessage::Offer { .. }, _) => Ok(number),
        (_, &[flag]) if u32::from(flag) < flags => Ok(item(number, u32::from(flag))),
        (_, rest) => Err(ShardingWireError::Value(rest.first().copied().map_or(0, u32::from))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE_LEN: u32 = 7;

    fn encoded(message: &WireSharding) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(VALUE_LEN, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            sender: NodeId, field: u32, flag: bool, items in prop::collection::vec((0..1u32 << 30, 0..3u32), 0..20),
        ) {
            let packed = |most: u32| {
                let mut payload = Vec::new();
                pack(items.iter().map(|&(number, flag)| item(number, flag % most)), &mut payload);
                payload
            };
            let messages = [
                (ShardingMessage::Alive { epoch: field }, vec![]),
                (ShardingMessage::Leave { stays: flag }, vec![]),
                (ShardingMessage::Change { epoch: field }, packed(3)),
                (ShardingMessage::View { epoch: field }, packed(1)),
                (ShardingMessage::Batch { number: field }, packed(1)),
                (ShardingMessage::Taken { number: field }, vec![]),
                (ShardingMessage::Offer { keeps_for_others: flag }, packed(1)),
                (ShardingMessage::Answer, packed(2)),
            ];
            for (kind, (message, payload)) in messages.into_iter().enumerate() {
                let sent = WireSharding { sender, message, payload };
                let bytes = encoded(&sent);
                prop_assert_eq!(message.kind(), kind);
                prop_assert_eq!(bytes.len(), wire_len(&message, sent.payload.len(), VALUE_LEN));
                prop_assert_eq!(WireSharding::decode(VALUE_LEN, &bytes), Ok(sent));
                let refused = WireSharding::decode(VALUE_LEN, &bytes[..HEAD_LEN - 1]);
                prop_assert_eq!(refused, Err(ShardingWireError::Length { found: HEAD_LEN - 1 }));
            }
        }

        #[test]
        fn arbitrary_bytes_decode_to_a_message_that_encodes_to_them_or_to_an_error(
            mut bytes in prop::collection::vec(0u8..4, 0..200), kind in 78u8..90, fill in 0usize..4,
        ) {
            if fill > 0 && bytes.len() >= HEAD_LEN {
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                bytes[6..HEAD_LEN].fill(0);
            }
            if fill > 1 {
                let place = |index: usize| (index - HEAD_LEN) % if fill == 2 { 33 } else { 43 };
                let rest = bytes.iter_mut().enumerate().skip(HEAD_LEN);
                rest.filter(|(index, _)| (4..32).contains(&place(*index))).for_each(|(_, byte)| *byte = 0);
            }
            if let Ok(message) = WireSharding::decode(VALUE_LEN, &bytes) {
                prop_assert_eq!(encoded(&message), bytes);
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let mut payload = Vec::new();
        pack([item(258, 1), item(3, 0)].into_iter(), &mut payload);
        let sent = WireSharding { sender: 7, message: ShardingMessage::Change { epoch: 9 }, payload };
        let expected = [&[1, 82, 7][..], &[0; 31], &[9, 0, 0, 0, 2, 1], &[0; 30], &[1, 3], &[0; 32]].concat();
        let bytes = encoded(&sent);
        assert_eq!(bytes, expected);
        let check = |place: usize, byte: u8, error| {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            assert_eq!(WireSharding::decode(VALUE_LEN, &bytes), Err(error));
        };
        check(0, 2, ShardingWireError::Version(2));
        check(1, 79, ShardingWireError::Kind(79));
        check(1, 88, ShardingWireError::Kind(88));
        check(1, 80, ShardingWireError::Length { found: bytes.len() });
        check(1, 84, ShardingWireError::Length { found: bytes.len() });
        check(1, 81, ShardingWireError::Value(9));
        check(20, 1, ShardingWireError::Id);
        check(HEAD_LEN + 3, 0x40, ShardingWireError::Id);
        check(HEAD_LEN + 32, 3, ShardingWireError::Value(3));
        assert!(WireSharding::decode(VALUE_LEN, &bytes[..bytes.len() - 1]).is_err());
    }
}
