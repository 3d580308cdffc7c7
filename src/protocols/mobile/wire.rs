//! The wire format of mobile nodes, version 1. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 160 heartbeat, 161 transaction, 162 check, 163 notice, 164 confirmation, 165 leave |
//! | 2 | 32 | id of the sender |
//!
//! Heartbeats, checks and leaves end there. Confirmations and notices go on with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 34 | 2 | number of the newest thing that there is for the node, modulo 2^16 |
//!
//! and notices (from offset 36) and transactions (from offset 34) with
//!
//! | bytes | field |
//! |---|---|
//! | 2 | length of the contents |
//! | length | contents |
//!
//! Ids are those of [`wire`](crate::protocols::wire). Any message may be followed by zeros, to which a scenario pads it.

use std::ops::Range;

use crate::contract::NodeId;
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 160..166;
/// Length of a heartbeat, a check or a leave, in bytes.
pub const HEAD_LEN: usize = 34;
/// Length of a confirmation, in bytes.
pub const CONFIRMATION_LEN: usize = HEAD_LEN + 2;
/// Length of a transaction without its contents, in bytes.
pub const TRANSACTION_LEN: usize = HEAD_LEN + 2;
/// Length of a notice without its contents, in bytes.
pub const NOTICE_LEN: usize = HEAD_LEN + 4;

const HEARTBEAT: u8 = 160;
const TRANSACTION: u8 = 161;
const CHECK: u8 = 162;
const NOTICE: u8 = 163;
const CONFIRMATION: u8 = 164;
const LEAVE: u8 = 165;

/// A message, as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireMobile<'a> {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub body: WireBody<'a>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireBody<'a> {
    /// The sender lives.
    Heartbeat,
    /// A transaction.
    Transaction(&'a [u8]),
    /// Does the receiver live?
    Check,
    /// There is something for the receiver.
    Notice {
        /// Number of the newest.
        newest: u16,
        /// What it is.
        contents: &'a [u8],
    },
    /// The sender has got a notice.
    Confirmation {
        /// Number of the newest in it.
        newest: u16,
    },
    /// The sender leaves.
    Leave,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MobileWireError {
    /// The bytes end early.
    #[error("{found} bytes are too few for what they hold")]
    Short {
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
    #[error("the id of the sender does not stand for a simulated node")]
    Id,
    /// Bytes that follow the message.
    #[error("byte {0} is padding, but not zero")]
    Padding(usize),
}

impl<'a> WireMobile<'a> {
    /// Length of the encoding, in bytes, without padding.
    pub fn encoded_len(&self) -> usize {
        match self.body {
            WireBody::Heartbeat | WireBody::Check | WireBody::Leave => HEAD_LEN,
            WireBody::Confirmation { .. } => CONFIRMATION_LEN,
            WireBody::Transaction(contents) => TRANSACTION_LEN + contents.len(),
            WireBody::Notice { contents, .. } => NOTICE_LEN + contents.len(),
        }
    }

    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If the contents are longer than 65 535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, newest, contents) = match self.body {
            WireBody::Heartbeat => (HEARTBEAT, None, None),
            WireBody::Transaction(contents) => (TRANSACTION, None, Some(contents)),
            WireBody::Check => (CHECK, None, None),
            WireBody::Notice { newest, contents } => (NOTICE, Some(newest), Some(contents)),
            WireBody::Confirmation { newest } => (CONFIRMATION, Some(newest), None),
            WireBody::Leave => (LEAVE, None, None),
        };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&key_of(self.sender));
        if let Some(newest) = newest {
            out.extend_from_slice(&newest.to_le_bytes());
        }
        if let Some(contents) = contents {
            let len = u16::try_from(contents.len()).expect("contents have at most 65 535 bytes");
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(contents);
        }
    }

    /// The message that `bytes` hold, padding included.
    ///
    /// # Errors
    /// If they hold none of this version, or something after it that is not zero.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MobileWireError> {
        let short = MobileWireError::Short { found: bytes.len() };
        let (head, mut rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(short)?;
        let [version, kind, id @ ..] = head;
        if *version != VERSION {
            return Err(MobileWireError::Version(*version));
        }
        let sender = node_of(id).ok_or(MobileWireError::Id)?;
        let body = match *kind {
            HEARTBEAT => WireBody::Heartbeat,
            TRANSACTION => WireBody::Transaction(take_contents(&mut rest).ok_or(short)?),
            CHECK => WireBody::Check,
            NOTICE => {
                let newest = take_number(&mut rest).ok_or(short)?;
                WireBody::Notice { newest, contents: take_contents(&mut rest).ok_or(short)? }
            }
            CONFIRMATION => WireBody::Confirmation { newest: take_number(&mut rest).ok_or(short)? },
            LEAVE => WireBody::Leave,
            other => return Err(MobileWireError::Kind(other)),
        };
        match rest.iter().position(|&byte| byte != 0) {
            Some(place) => Err(MobileWireError::Padding(bytes.len() - rest.len() + place)),
            None => Ok(WireMobile { sender, body }),
        }
    }
}

fn take_number(rest: &mut &[u8]) -> Option<u16> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u16::from_le_bytes(*number))
}

fn take_contents<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_number(rest)?;
    let (contents, after) = rest.split_at_checked(usize::from(len))?;
    *rest = after;
    Some(contents)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(message: &WireMobile<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            sender: NodeId, newest: u16, contents in prop::collection::vec(any::<u8>(), 0..300), padding in 0usize..50,
        ) {
            let bodies = [
                WireBody::Heartbeat,
                WireBody::Transaction(&contents),
                WireBody::Check,
                WireBody::Notice { newest, contents: &contents },
                WireBody::Confirmation { newest },
                WireBody::Leave,
            ];
            for body in bodies {
                let message = WireMobile { sender, body };
                let mut bytes = encoded(&message);
                prop_assert_eq!(bytes.len(), message.encoded_len());
                let end = bytes.len();
                bytes.resize(end + padding, 0);
                prop_assert_eq!(WireMobile::decode(&bytes), Ok(message));
                if padding > 0 {
                    bytes[end] = 1;
                    prop_assert_eq!(WireMobile::decode(&bytes), Err(MobileWireError::Padding(end)));
                }
                let cut = &bytes[..end - 1];
                prop_assert_eq!(WireMobile::decode(cut), Err(MobileWireError::Short { found: end - 1 }));
            }
        }

        #[test]
        fn arbitrary_bytes_decode_to_a_message_that_encodes_to_them_or_to_an_error(
            mut bytes in prop::collection::vec(any::<u8>(), 0..120), kind in 158u8..168, fill: bool,
        ) {
            if fill && bytes.len() >= HEAD_LEN {
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                bytes[6..HEAD_LEN].fill(0);
                if let Some(high) = bytes.get_mut(HEAD_LEN + 1) {
                    *high = 0;
                }
            }
            if let Ok(message) = WireMobile::decode(&bytes) {
                let again = encoded(&message);
                prop_assert!(bytes.starts_with(&again) && bytes[again.len()..].iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let message = WireMobile { sender: 258, body: WireBody::Notice { newest: 0x0403, contents: &[7, 8, 9] } };
        let expected = [&[1, 163, 2, 1][..], &[0; 30], &[3, 4, 3, 0, 7, 8, 9]].concat();
        assert_eq!(encoded(&message), expected);
        let mut bytes = encoded(&WireMobile { sender: 1, body: WireBody::Leave });
        bytes[0] = 2;
        assert_eq!(WireMobile::decode(&bytes), Err(MobileWireError::Version(2)));
        bytes[..2].copy_from_slice(&[1, 159]);
        assert_eq!(WireMobile::decode(&bytes), Err(MobileWireError::Kind(159)));
        bytes[33] = 1;
        assert_eq!(WireMobile::decode(&bytes), Err(MobileWireError::Id));
    }
}
