//! The wire format of SWIM, version 1. All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 48 ping, 49 ping for another, 50 ping request, 51 ack, 52 ack for another, 53 join, 54 view, 55 leave |
//! | 2 | 32 | id of the sender |
//! | 34 | 2 | number of the probe, modulo 2^16; zero for kinds 53 to 55 |
//! | 36 | 2 | updates that follow |
//!
//! Kinds 49 and 52 go on with the id of the member that the probe is for, kind 50 with that of the member to be probed,
//! 32 bytes each. Then come the updates, [`UPDATE_LEN`] bytes each:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | status: 0 alive, 1 suspected, 2 down, 3 left |
//! | 4 | incarnation, below 2^30 |
//! | 32 | id of the member |
//!
//! Ids are those of [`crate::protocols::wire`].

use std::ops::Range;

use super::SwimMessage;
use super::membership::{Standing, Status, Update, View};
use crate::contract::NodeId;
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 48..56;
/// Length of a message that names nobody but its sender, without updates, in bytes.
pub const HEAD_LEN: usize = 38;
/// What a message is longer that names another member, in bytes.
pub const ID_LEN: usize = 32;
/// Length of an update, in bytes.
pub const UPDATE_LEN: usize = 37;
/// Longest message that updates are added to, in bytes: memberlist's default, which fits an Ethernet frame.
pub const MESSAGE_LEN_MAX: usize = 1_400;
/// Most updates that any message but a view carries.
pub const UPDATES_MAX: usize = (MESSAGE_LEN_MAX - HEAD_LEN - ID_LEN) / UPDATE_LEN;

const PING: u8 = 48;
const PING_FOR: u8 = 49;
const PING_REQUEST: u8 = 50;
const ACK: u8 = 51;
const ACK_FOR: u8 = 52;
const JOIN: u8 = 53;
const VIEW: u8 = 54;
const LEAVE: u8 = 55;

/// Longest payload of a UDP datagram over IPv4, in bytes.
const DATAGRAM_MAX: usize = 65_507;
const _: () = assert!(HEAD_LEN + View::EXCEPTIONS_MAX * UPDATE_LEN <= DATAGRAM_MAX, "a view fits a datagram");

/// Why bytes are not a message, or not updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwimWireError {
    /// The bytes end early, or go on.
    #[error("the message needs {expected} bytes, but there are {found}")]
    Length {
        /// Bytes that it needs, as far as can be told.
        expected: usize,
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
    #[error("the id at byte {0} does not stand for a simulated node")]
    Id(usize),
    /// A number of a probe in a message that belongs to none.
    #[error("the message belongs to no probe, but has the number {0}")]
    Probe(u16),
    /// An update with a status, an incarnation or an id that there cannot be.
    #[error("update {0} has a status, an incarnation or an id that there cannot be")]
    Update(usize),
}

/// A message as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireSwim {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: SwimMessage,
    /// What it tells of members.
    pub updates: Vec<Update>,
}

/// Length of `message` without updates, in bytes.
#[inline(always)]
pub fn head_len(message: &SwimMessage) -> usize {
    match message {
        SwimMessage::PingFor { .. } | SwimMessage::PingRequest { .. } | SwimMessage::AckFor { .. } => HEAD_LEN + ID_LEN,
        _ => HEAD_LEN,
    }
}

/// Appends the encoding of `update` to `out`.
#[inline]
pub fn encode_update(update: Update, out: &mut Vec<u8>) {
    let mut bytes = [0; UPDATE_LEN];
    bytes[0] = update.standing.status() as u8;
    bytes[1..5].copy_from_slice(&update.standing.incarnation().to_le_bytes());
    bytes[5..].copy_from_slice(&key_of(update.member));
    out.extend_from_slice(&bytes);
}

/// The updates that `bytes` hold one after the other.
///
/// # Errors
/// If they hold anything else; then nothing is to be believed of them.
pub fn decode_updates(bytes: &[u8]) -> Result<impl Iterator<Item = Update>, SwimWireError> {
    let (updates, rest) = bytes.as_chunks::<UPDATE_LEN>();
    if !rest.is_empty() {
        return Err(SwimWireError::Length { expected: (updates.len() + 1) * UPDATE_LEN, found: bytes.len() });
    }
    match updates.iter().position(|update| decode_update(update).is_none()) {
        Some(index) => Err(SwimWireError::Update(index)),
        None => Ok(updates.iter().filter_map(decode_update)),
    }
}

#[inline]
fn decode_update(bytes: &[u8; UPDATE_LEN]) -> Option<Update> {
    let (status, rest) = bytes.split_first()?;
    let (incarnation, id) = rest.split_first_chunk()?;
    let incarnation = Some(u32::from_le_bytes(*incarnation)).filter(|&own| own <= Standing::INCARNATION_MAX)?;
    let standing = Standing::new(incarnation, Status::from_number(*status)?);
    Some(Update { member: node_of(id.first_chunk()?)?, standing })
}

impl WireSwim {
    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If there are 2^16 updates or more.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let (kind, probe, other) = match self.message {
            SwimMessage::Ping { probe } => (PING, probe, None),
            SwimMessage::PingFor { probe, origin } => (PING_FOR, probe, Some(origin)),
            SwimMessage::PingRequest { probe, target } => (PING_REQUEST, probe, Some(target)),
            SwimMessage::Ack { probe } => (ACK, probe, None),
            SwimMessage::AckFor { probe, origin } => (ACK_FOR, probe, Some(origin)),
            SwimMessage::Join => (JOIN, 0, None),
            SwimMessage::View => (VIEW, 0, None),
            SwimMessage::Leave => (LEAVE, 0, None),
        };
        let count = u16::try_from(self.updates.len()).expect("a message has fewer than 2^16 updates");
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&key_of(self.sender));
        out.extend_from_slice(&probe.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend(other.iter().flat_map(|&other| key_of(other)));
        self.updates.iter().for_each(|&update| encode_update(update, out));
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(bytes: &[u8]) -> Result<Self, SwimWireError> {
        let short = |expected| SwimWireError::Length { expected, found: bytes.len() };
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().ok_or(short(HEAD_LEN))?;
        let (version, kind) = (head[0], head[1]);
        if version != VERSION {
            return Err(SwimWireError::Version(version));
        }
        let sender = head[2..34].first_chunk().and_then(node_of).ok_or(SwimWireError::Id(2))?;
        let (probe, count) = (u16::from_le_bytes([head[34], head[35]]), u16::from_le_bytes([head[36], head[37]]));
        let (other, updates) = match kind {
            PING_FOR | PING_REQUEST | ACK_FOR => {
                let (id, updates) = rest.split_first_chunk::<ID_LEN>().ok_or(short(HEAD_LEN + ID_LEN))?;
                (node_of(id).ok_or(SwimWireError::Id(HEAD_LEN))?, updates)
            }
            _ => (0, rest),
        };
        let message = match kind {
            PING => SwimMessage::Ping { probe },
            PING_FOR => SwimMessage::PingFor { probe, origin: other },
            PING_REQUEST => SwimMessage::PingRequest { probe, target: other },
            ACK => SwimMessage::Ack { probe },
            ACK_FOR => SwimMessage::AckFor { probe, origin: other },
            JOIN => SwimMessage::Join,
            VIEW => SwimMessage::View,
            LEAVE => SwimMessage::Leave,
            _ => return Err(SwimWireError::Kind(kind)),
        };
        if kind >= JOIN && probe != 0 {
            return Err(SwimWireError::Probe(probe));
        }
        let expected = usize::from(count) * UPDATE_LEN;
        if updates.len() != expected {
            return Err(short(bytes.len() - updates.len() + expected));
        }
        Ok(WireSwim { sender, message, updates: decode_updates(updates)?.collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(message: &WireSwim) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    fn messages(probe: u16, other: NodeId) -> [SwimMessage; 8] {
        [
            SwimMessage::Ping { probe },
            SwimMessage::PingFor { probe, origin: other },
            SwimMessage::PingRequest { probe, target: other },
            SwimMessage::Ack { probe },
            SwimMessage::AckFor { probe, origin: other },
            SwimMessage::Join,
            SwimMessage::View,
            SwimMessage::Leave,
        ]
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            sender: NodeId,
            probe: u16,
            other: NodeId,
            updates in prop::collection::vec((any::<NodeId>(), 0..=Standing::INCARNATION_MAX, 0u8..4), 0..40),
        ) {
            let update = |(member, incarnation, status)| {
                Update { member, standing: Standing::new(incarnation, Status::from_number(status).unwrap()) }
            };
            let updates: Vec<_> = updates.into_iter().map(update).collect();
            for message in messages(probe, other) {
                let sent = WireSwim { sender, message, updates: updates.clone() };
                let bytes = encoded(&sent);
                prop_assert_eq!(bytes.len(), head_len(&message) + updates.len() * UPDATE_LEN);
                prop_assert_eq!(WireSwim::decode(&bytes), Ok(sent));
                for wrong in (0..bytes.len()).step_by(7).chain([bytes.len() + 1]) {
                    let mut cut = bytes.clone();
                    cut.resize(wrong, 0);
                    let refused = WireSwim::decode(&cut);
                    prop_assert!(matches!(refused, Err(SwimWireError::Length { .. })), "{wrong}: {refused:?}");
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 46u8..58, fill: bool) {
            let _ = WireSwim::decode(&bytes);
            let _ = decode_updates(&bytes).map(Iterator::count);
            // Get past the first checks.
            if fill && bytes.len() >= HEAD_LEN {
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                bytes[6..34].fill(0);
                bytes[37] = 0;
                if let Ok(message) = WireSwim::decode(&bytes) {
                    prop_assert_eq!(encoded(&message), bytes);
                }
            }
        }
    }

    fn sample() -> WireSwim {
        let updates = vec![
            Update { member: 0x0102, standing: Standing::new(0x0304, Status::Down) },
            Update { member: 9, standing: Standing::new(1, Status::Alive) },
        ];
        WireSwim { sender: 7, message: SwimMessage::PingRequest { probe: 0x0506, target: 8 }, updates }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let mut expected = vec![1, 50, 7];
        expected.extend([0; 31]);
        expected.extend([6, 5, 2, 0, 8]);
        expected.extend([0; 31]);
        expected.extend([2, 4, 3, 0, 0, 2, 1]);
        expected.extend([0; 30]);
        expected.extend([0, 1, 0, 0, 0, 9]);
        expected.extend([0; 31]);
        assert_eq!(encoded(&sample()), expected);
        const { assert!(HEAD_LEN + ID_LEN + UPDATES_MAX * UPDATE_LEN <= MESSAGE_LEN_MAX) }
    }

    #[track_caller]
    fn check_refused(place: usize, byte: u8, error: SwimWireError) {
        let mut bytes = encoded(&sample());
        bytes[place] = byte;
        assert_eq!(WireSwim::decode(&bytes), Err(error));
    }

    #[test]
    fn what_is_not_a_message_of_this_version_is_refused() {
        let found = encoded(&sample()).len();
        check_refused(0, 2, SwimWireError::Version(2));
        check_refused(1, 47, SwimWireError::Kind(47));
        check_refused(1, 56, SwimWireError::Kind(56));
        check_refused(1, 51, SwimWireError::Length { expected: found - ID_LEN, found });
        check_refused(33, 1, SwimWireError::Id(2));
        check_refused(36, 3, SwimWireError::Length { expected: found + UPDATE_LEN, found });
        check_refused(69, 1, SwimWireError::Id(38));
        check_refused(70, 4, SwimWireError::Update(0));
        check_refused(74, 0x40, SwimWireError::Update(0));
        check_refused(107, 7, SwimWireError::Update(1));
        check_refused(143, 7, SwimWireError::Update(1));
        let mut bytes = encoded(&WireSwim { message: SwimMessage::Join, ..sample() });
        bytes[34] = 1;
        assert_eq!(WireSwim::decode(&bytes), Err(SwimWireError::Probe(1)));
    }
}
