//! The wire format of dissemination, version 1. All numbers are little endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 96 message, 97 ihave, 98 iwant, 99 ask, 100 sync, 101 graft, 102 prune |
//!
//! Grafts and prunes end there. A message goes on with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 2 | 20 | id |
//! | 22 | 1 | hops: how many nodes have sent it, 1 for the first |
//! | 23 | | the contents, to the end of the datagram |
//!
//! and the others with
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 2 | 4 | of asks and syncs only: the number from which on the list is complete |
//! | next | 1 | how many ids follow: up to 64, of ihaves and iwants at least one |
//! | next | 20 each | ids, ascending, less than 64 apart; in asks and syncs less than 64 from where the list begins |
//!
//! Ids have 20 bytes, as on Ethereum. A simulated message's number stands in the first four; the rest is zero. Ids that
//! are farther apart go in messages of their own. The sender is known by its address.

use std::ops::Range;

use super::DisseminationMessage;
use super::ids::Ids;

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 96..103;
/// Length of an id, in bytes.
pub const ID_LEN: usize = 20;
/// Length of a message before its contents, in bytes.
pub const MESSAGE_HEAD_LEN: usize = 2 + ID_LEN + 1;

const MESSAGE: u8 = 96;
const IHAVE: u8 = 97;
const IWANT: u8 = 98;
const ASK: u8 = 99;
const SYNC: u8 = 100;
const GRAFT: u8 = 101;
const PRUNE: u8 = 102;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisseminationWireError {
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
    /// An id that is not that of any simulated message.
    #[error("id {0} belongs to no simulated message")]
    Id(usize),
    /// Ids that do not ascend, or are too far apart, or too many or none.
    #[error("the list of {0} ids does not ascend, reaches too far, or may not be so long")]
    List(u8),
}

/// Length of a message whose contents have `size` bytes, in bytes.
#[inline(always)]
pub fn wire_len(message: &DisseminationMessage, size: u32) -> u32 {
    match message {
        DisseminationMessage::Message { .. } => MESSAGE_HEAD_LEN as u32 + size,
        DisseminationMessage::Have(ids) | DisseminationMessage::Want(ids) => 3 + ID_LEN as u32 * ids.len(),
        DisseminationMessage::Ask(ids) | DisseminationMessage::Sync(ids) => 7 + ID_LEN as u32 * ids.len(),
        DisseminationMessage::Graft | DisseminationMessage::Prune => 2,
    }
}

fn encode_id(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&[0; ID_LEN - 4]);
}

/// Appends the encoding of `message` to `out`. `contents` are those of a message; other kinds have none.
///
/// # Panics
/// If ids are beyond 32 bits, or there are none where there must be some.
pub fn encode(message: &DisseminationMessage, contents: &[u8], out: &mut Vec<u8>) {
    let kind = match message {
        DisseminationMessage::Message { .. } => MESSAGE,
        DisseminationMessage::Have(_) => IHAVE,
        DisseminationMessage::Want(_) => IWANT,
        DisseminationMessage::Ask(_) => ASK,
        DisseminationMessage::Sync(_) => SYNC,
        DisseminationMessage::Graft => GRAFT,
        DisseminationMessage::Prune => PRUNE,
    };
    out.extend_from_slice(&[VERSION, kind]);
    match message {
        DisseminationMessage::Message { number, hops } => {
            encode_id(*number, out);
            out.push(*hops);
            out.extend_from_slice(contents);
        }
        DisseminationMessage::Have(ids) | DisseminationMessage::Want(ids) => {
            assert!(!ids.is_empty(), "a list of nothing is not sent");
            encode_list(ids, out);
        }
        DisseminationMessage::Ask(ids) | DisseminationMessage::Sync(ids) => {
            out.extend_from_slice(&ids.base().to_le_bytes());
            encode_list(ids, out);
        }
        DisseminationMessage::Graft | DisseminationMessage::Prune => {}
    }
}

fn encode_list(ids: &Ids, out: &mut Vec<u8>) {
    assert!(ids.is_empty() || ids.last().is_some(), "ids have 32 bits");
    out.push(ids.len() as u8);
    ids.iter().for_each(|number| encode_id(number, out));
}

/// The message that `bytes` hold, and its contents.
///
/// # Errors
/// If they hold none of this version, or anything after it.
pub fn decode(bytes: &[u8]) -> Result<(DisseminationMessage, &[u8]), DisseminationWireError> {
    let length = DisseminationWireError::Length { found: bytes.len() };
    let (&[version, kind], rest) = bytes.split_first_chunk().ok_or(length)?;
    if version != VERSION {
        return Err(DisseminationWireError::Version(version));
    }
    let whole = |message| if rest.is_empty() { Ok((message, rest)) } else { Err(length) };
    match kind {
        MESSAGE => {
            let (id, rest) = rest.split_first_chunk().ok_or(length)?;
            let (&[hops], contents) = rest.split_first_chunk().ok_or(length)?;
            Ok((DisseminationMessage::Message { number: decode_id(id, 0)?, hops }, contents))
        }
        IHAVE => Ok((DisseminationMessage::Have(decode_list(None, rest, length)?), &[])),
        IWANT => Ok((DisseminationMessage::Want(decode_list(None, rest, length)?), &[])),
        ASK | SYNC => {
            let (base, rest) = rest.split_first_chunk().ok_or(length)?;
            let ids = decode_list(Some(u32::from_le_bytes(*base)), rest, length)?;
            Ok((if kind == ASK { DisseminationMessage::Ask(ids) } else { DisseminationMessage::Sync(ids) }, &[]))
        }
        GRAFT => whole(DisseminationMessage::Graft),
        PRUNE => whole(DisseminationMessage::Prune),
        _ => Err(DisseminationWireError::Kind(kind)),
    }
}

fn decode_id(id: &[u8; ID_LEN], place: usize) -> Result<u32, DisseminationWireError> {
    let (number, rest) = id.split_first_chunk().ok_or(DisseminationWireError::Id(place))?;
    let is_simulated = rest.iter().all(|&byte| byte == 0);
    is_simulated.then_some(u32::from_le_bytes(*number)).ok_or(DisseminationWireError::Id(place))
}

/// The list of ids that `bytes` hold, from `base` on or else from its first id on.
fn decode_list(base: Option<u32>, bytes: &[u8], length: DisseminationWireError) -> Result<Ids, DisseminationWireError> {
    let (&count, rest) = bytes.split_first().ok_or(length)?;
    let (list, beyond) = rest.as_chunks::<ID_LEN>();
    if !beyond.is_empty() || list.len() != usize::from(count) {
        return Err(length);
    }
    let refused = DisseminationWireError::List(count);
    let first = list.first().map(|id| decode_id(id, 0)).transpose()?;
    let mut ids = Ids::none(base.or(first).ok_or(refused)?);
    let mut last = None;
    for (place, id) in list.iter().enumerate() {
        let number = decode_id(id, place)?;
        if last.is_some_and(|last| last >= number) || !ids.insert(number) {
            return Err(refused);
        }
        last = Some(number);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(message: &DisseminationMessage, contents: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(message, contents, &mut bytes);
        bytes
    }

    /// The numbers of `places` after `base`, which must not be empty.
    fn ids_of(base: u32, places: &[u32]) -> Ids {
        let mut ids = Ids::none(base);
        places.iter().for_each(|place| assert!(ids.insert(base + place)));
        ids
    }

    proptest! {
        #[test]
        fn every_kind_survives_a_round_trip(
            number: u32, hops: u8, base in 0..=u32::MAX - 64,
            places in prop::collection::vec(0u32..64, 1..64),
            contents in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let list = ids_of(base, &places);
            let first = list.iter().next().unwrap();
            let tight = ids_of(first, &list.iter().map(|number| number - first).collect::<Vec<_>>());
            for message in [
                DisseminationMessage::Message { number, hops },
                DisseminationMessage::Have(tight),
                DisseminationMessage::Want(tight),
                DisseminationMessage::Ask(list),
                DisseminationMessage::Sync(list),
                DisseminationMessage::Ask(Ids::none(number)),
                DisseminationMessage::Graft,
                DisseminationMessage::Prune,
            ] {
                let contents = if let DisseminationMessage::Message { .. } = message { &contents[..] } else { &[] };
                let mut bytes = encoded(&message, contents);
                prop_assert_eq!(bytes.len(), wire_len(&message, contents.len() as u32) as usize);
                prop_assert_eq!(decode(&bytes), Ok((message, contents)));
                bytes.push(0);
                let longer = decode(&bytes);
                prop_assert!(longer.is_err() || longer.is_ok_and(|(_, longer)| longer.len() == contents.len() + 1));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_what_they_hold_encodes_to_them(
            mut bytes in prop::collection::vec(any::<u8>(), 0..120),
            kind in 94u8..105,
            ids in prop::collection::vec(0u8..70, 0..4),
        ) {
            let _ = decode(&bytes);
            if bytes.len() > 1 {
                bytes[..2].copy_from_slice(&[VERSION, kind]);
                if let Ok((message, contents)) = decode(&bytes) {
                    prop_assert_eq!(encoded(&message, contents), bytes.clone());
                }
            }
            // Nearly right lists, so that some are.
            for base in [None, Some(0u32), Some(u32::MAX)] {
                let mut list = vec![VERSION, kind];
                base.iter().for_each(|base| list.extend(base.to_le_bytes()));
                list.push(ids.len() as u8);
                ids.iter().for_each(|&id| encode_id(u32::from(id), &mut list));
                if let Ok((message, contents)) = decode(&list) {
                    prop_assert_eq!(encoded(&message, contents), list);
                }
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_tables() {
        let id = |number: u8| [&[number][..], &[0; 19]].concat();
        let message = DisseminationMessage::Message { number: 7, hops: 3 };
        assert_eq!(encoded(&message, &[8, 9]), [&[1, 96][..], &id(7), &[3, 8, 9]].concat());
        let list = ids_of(2, &[0, 5]);
        assert_eq!(encoded(&DisseminationMessage::Have(list), &[]), [&[1, 97, 2][..], &id(2), &id(7)].concat());
        assert_eq!(encoded(&DisseminationMessage::Want(list), &[])[..3], [1, 98, 2]);
        let sync = encoded(&DisseminationMessage::Sync(list), &[]);
        assert_eq!(sync, [&[1, 100, 2, 0, 0, 0, 2][..], &id(2), &id(7)].concat());
        assert_eq!(encoded(&DisseminationMessage::Ask(Ids::none(258)), &[]), [1, 99, 2, 1, 0, 0, 0]);
        let short = [DisseminationMessage::Graft, DisseminationMessage::Prune].map(|message| encoded(&message, &[]));
        assert_eq!(short, [[1, 101], [1, 102]]);
    }

    #[test]
    fn what_is_not_a_message_of_this_version_is_refused() {
        let good = encoded(&DisseminationMessage::Have(ids_of(2, &[0, 5])), &[]);
        let check = |place: usize, byte: u8, error| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            assert_eq!(decode(&bytes), Err(error));
        };
        let length = DisseminationWireError::Length { found: good.len() };
        check(0, 2, DisseminationWireError::Version(2));
        check(1, 95, DisseminationWireError::Kind(95));
        check(1, 103, DisseminationWireError::Kind(103));
        check(1, 101, length);
        check(2, 3, length);
        check(3, 7, DisseminationWireError::List(2));
        check(3, 8, DisseminationWireError::List(2));
        check(24, 1, DisseminationWireError::List(2));
        check(22, 1, DisseminationWireError::Id(0));
        check(42, 1, DisseminationWireError::Id(1));
        assert_eq!(decode(&[1, 97, 0]), Err(DisseminationWireError::List(0)));
        assert_eq!(decode(&[1]), Err(DisseminationWireError::Length { found: 1 }));
    }
}
