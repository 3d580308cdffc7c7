//! The wire format of the registry, version 1. All numbers are little endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind, from the first of [`KINDS`] on in the order of the table |
//! | 2 | 32 | id of the sender |
//! | 34 | | what the kind says |
//!
//! | kind | what follows |
//! |---|---|
//! | 128 ask | number (2), operation (1), user (33), government id or endorser (33), contents |
//! | 129 told | number (2), operation (1), outcome (1), users |
//! | 130 request | shard (4), flow (4), command (71), contents |
//! | 131 read | shard (4), flow (4), user (33) |
//! | 132 scan | shard (4), flow (4), currency (1), most (2) |
//! | 133 answer | flow (4), outcome (1), value (4) |
//! | 134 record | flow (4), whether there is a user (1), and if so its record ([`USER_LEN`]) |
//! | 135 page | flow (4), users |
//! | 136 elsewhere | flow (4), node (32) |
//! | 137 append | shard, term, previous entry, its term, committed, sent (4 each), term of the entry (4), command (71), contents |
//! | 138 beat | as append, without entry |
//! | 139 entries | as beat, then entries ([`ENTRY_LEN`] each) |
//! | 140 appended | shard, term, matched (4 each), whether it is taken (1) |
//! | 141 vote | shard, term, last entry, its term (4 each), phase (1) |
//! | 142 voted | shard, term (4 each), granted (1), beforehand (1) |
//! | 143 elect | shard, term (4 each) |
//! | 144 chunk | shard, term, first record (4 each), users, government ids (2 each), the records ([`USER_LEN`], [`ID_LEN`] each) |
//! | 145 chunk taken | shard, records (4 each) |
//! | 146 gone | shard (4), node (32) |
//! | 147 alive, 148 leave | nothing |
//! | 149 replace | shard (4), two nodes (32 each) |
//! | 150 changed | shard (4), number of members (1), these (32 each) |
//! | 151 find | shard, flow (4 each) |
//! | 152 found | shard, flow (4 each), number of members (1), these (32 each) |
//!
//! A command is its kind (1), a user (33), a government id, endorser or node (33), and a token (4). Users and government ids
//! are numbers in the first four of their bytes, then zeros. Contents are zeros in the place of what is not simulated: of
//! somebody who is registered or created, proof of identity, currency, country and time (45); of an endorsement, signature and
//! time (72). Lists of users have 33 bytes each, and 4 in memory; entries have 17 in memory and are padded to the longest.

use std::ops::Range;

use super::replica::ENTRIES_MAX;
use super::shards::{MEMBERS_MAX, Members};
use super::store::{Command, CommandKind, Entry, Outcome};
use super::{Operation, PAGE_MAX, Phase, RegistryMessage};
use crate::contract::NodeId;
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// Length of a message before what its kind says, in bytes.
pub const HEAD_LEN: usize = 34;
/// The kinds of this format.
pub const KINDS: Range<u8> = 128..128 + NAMES.len() as u8;
/// A user's record: key, hashes of government id and proof, currency, country, time, endorsements.
pub const USER_LEN: usize = 33 + 32 + 32 + 3 + 2 + 8 + 4;
/// A government id with its user's key.
pub const ID_LEN: usize = 32 + 33;
/// An entry among several.
pub const ENTRY_LEN: usize = 4 + COMMAND_LEN + ENDORSEMENT_LEN;
/// Most records of a chunk; they fit a UDP datagram.
pub const CHUNK_MAX: u32 = 500;
/// Length of what a member answers its leader.
pub const APPENDED_LEN: usize = HEAD_LEN + 13;

const COMMAND_LEN: usize = 71;
const REGISTRATION_LEN: usize = 45;
const ENDORSEMENT_LEN: usize = 72;
/// An entry in memory.
const PACKED_LEN: usize = 17;
/// Most fields of a message.
const FIELDS_MAX: usize = 11;

/// Names of the kinds, in their order.
pub const NAMES: [&str; 25] = [
    "ask",
    "told",
    "request",
    "read",
    "scan",
    "answer",
    "record",
    "page",
    "elsewhere",
    "append",
    "beat",
    "entries",
    "appended",
    "vote",
    "voted",
    "elect",
    "chunk",
    "chunk-taken",
    "gone",
    "alive",
    "leave",
    "replace",
    "changed",
    "find",
    "found",
];

/// How long a field is: a number of so many bytes, which a user's key and a node's id begin with.
const FIELDS: [&[u8]; 25] = [
    &[2, 1, 33, 33],
    &[2, 1, 1],
    &[4, 4, 1, 33, 33, 4],
    &[4, 4, 33],
    &[4, 4, 1, 2],
    &[4, 1, 4],
    &[4, 1],
    &[4],
    &[4, 32],
    &[4, 4, 4, 4, 4, 4, 4, 1, 33, 33, 4],
    &[4, 4, 4, 4, 4, 4],
    &[4, 4, 4, 4, 4, 4],
    &[4, 4, 4, 1],
    &[4, 4, 4, 4, 1],
    &[4, 4, 1, 1],
    &[4, 4],
    &[4, 4, 4, 2, 2],
    &[4, 4],
    &[4, 32],
    &[],
    &[],
    &[4, 32, 32],
    &[4, 1, 32, 32, 32, 32, 32, 32, 32, 32],
    &[4, 4],
    &[4, 4, 1, 32, 32, 32, 32, 32, 32, 32, 32],
];

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryWireError {
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
    /// Not the id of a simulated node or user.
    #[error("an id does not stand for a simulated node or user")]
    Id,
    /// A field that has no such value.
    #[error("{0} is no value of its field")]
    Value(u32),
    /// What should be zero is not.
    #[error("what stands for contents is not zero")]
    Contents,
}

/// The kind of `message`, counted from zero.
#[inline(always)]
pub(super) fn kind(message: &RegistryMessage) -> usize {
    match message {
        RegistryMessage::Ask { .. } => 0,
        RegistryMessage::Told { .. } => 1,
        RegistryMessage::Request { .. } => 2,
        RegistryMessage::Read { .. } => 3,
        RegistryMessage::Scan { .. } => 4,
        RegistryMessage::Answer { .. } => 5,
        RegistryMessage::Record { .. } => 6,
        RegistryMessage::Page { .. } => 7,
        RegistryMessage::Elsewhere { .. } => 8,
        RegistryMessage::Append { .. } => 9,
        RegistryMessage::Beat { .. } => 10,
        RegistryMessage::Entries { .. } => 11,
        RegistryMessage::Appended { .. } => 12,
        RegistryMessage::Vote { .. } => 13,
        RegistryMessage::Voted { .. } => 14,
        RegistryMessage::Elect { .. } => 15,
        RegistryMessage::Chunk { .. } => 16,
        RegistryMessage::ChunkTaken { .. } => 17,
        RegistryMessage::Gone { .. } => 18,
        RegistryMessage::Alive => 19,
        RegistryMessage::Leave => 20,
        RegistryMessage::Replace { .. } => 21,
        RegistryMessage::Changed { .. } => 22,
        RegistryMessage::Find { .. } => 23,
        RegistryMessage::Found { .. } => 24,
    }
}

/// The shard that a message to a member is about.
pub(super) fn shard(message: &RegistryMessage) -> Option<u32> {
    Some(match *message {
        RegistryMessage::Request { shard, .. }
        | RegistryMessage::Append { shard, .. }
        | RegistryMessage::Beat { shard, .. }
        | RegistryMessage::Entries { shard, .. }
        | RegistryMessage::Appended { shard, .. }
        | RegistryMessage::Vote { shard, .. }
        | RegistryMessage::Voted { shard, .. }
        | RegistryMessage::Elect { shard, .. }
        | RegistryMessage::Chunk { shard, .. }
        | RegistryMessage::ChunkTaken { shard, .. }
        | RegistryMessage::Gone { shard, .. }
        | RegistryMessage::Replace { shard, .. } => shard,
        _ => return None,
    })
}

/// The fields of `message` as numbers, in the order of [`FIELDS`]; members that there are not are no node.
fn fields(message: &RegistryMessage) -> [u32; FIELDS_MAX] {
    let mut fields = [0; FIELDS_MAX];
    let mut set = |values: &[u32]| fields[..values.len()].copy_from_slice(values);
    let of_members = |members: &Members| -> [u32; MEMBERS_MAX + 1] {
        std::array::from_fn(|place| match place.checked_sub(1) {
            None => members.len() as u32,
            Some(place) => members.get(place).copied().unwrap_or(0),
        })
    };
    match *message {
        RegistryMessage::Ask { number, operation, key, id } => set(&[number.into(), operation as u32, key, id]),
        RegistryMessage::Told { number, operation, outcome } => set(&[number.into(), operation as u32, outcome as u32]),
        RegistryMessage::Request { shard, flow, command: Command { kind, key, id, token } } => {
            set(&[shard, flow, kind as u32, key, id, token]);
        }
        RegistryMessage::Read { shard, flow, key } => set(&[shard, flow, key]),
        RegistryMessage::Scan { shard, flow, currency, most } => set(&[shard, flow, currency.into(), most.into()]),
        RegistryMessage::Answer { flow, outcome, value } => set(&[flow, outcome as u32, value]),
        RegistryMessage::Record { flow, is_there } => set(&[flow, is_there.into()]),
        RegistryMessage::Page { flow } => set(&[flow]),
        RegistryMessage::Elsewhere { flow, leader } => set(&[flow, leader]),
        RegistryMessage::Append { shard, term, prev, prev_term, commit, sent, entry } => {
            let Command { kind, key, id, token } = entry.command;
            set(&[shard, term, prev, prev_term, commit, sent, entry.term, kind as u32, key, id, token]);
        }
        RegistryMessage::Beat { shard, term, prev, prev_term, commit, sent }
        | RegistryMessage::Entries { shard, term, prev, prev_term, commit, sent } => {
            set(&[shard, term, prev, prev_term, commit, sent]);
        }
        RegistryMessage::Appended { shard, term, matched, ok } => set(&[shard, term, matched, ok.into()]),
        RegistryMessage::Vote { shard, term, last, last_term, phase } => {
            set(&[shard, term, last, last_term, phase as u32]);
        }
        RegistryMessage::Voted { shard, term, granted, before } => set(&[shard, term, granted.into(), before.into()]),
        RegistryMessage::Elect { shard, term } => set(&[shard, term]),
        RegistryMessage::Chunk { shard, term, from, users, ids } => set(&[shard, term, from, users.into(), ids.into()]),
        RegistryMessage::ChunkTaken { shard, held } => set(&[shard, held]),
        RegistryMessage::Gone { shard, leader } => set(&[shard, leader]),
        RegistryMessage::Alive | RegistryMessage::Leave => {}
        RegistryMessage::Replace { shard, old, new } => set(&[shard, old, new]),
        RegistryMessage::Changed { shard, members } => {
            set(&[shard]);
            fields[1..10].copy_from_slice(&of_members(&members));
        }
        RegistryMessage::Find { shard, flow } => set(&[shard, flow]),
        RegistryMessage::Found { shard, flow, members } => {
            set(&[shard, flow]);
            fields[2..].copy_from_slice(&of_members(&members));
        }
    }
    fields
}

/// How many fields are there: of a list of members, as many as it has.
fn field_count(kind: usize, fields: &[u32; FIELDS_MAX]) -> usize {
    match kind {
        22 => 2 + fields[1] as usize,
        24 => 3 + fields[2] as usize,
        _ => FIELDS[kind].len(),
    }
}

/// The message of `kind` with these fields; or the field that has no such value.
fn message(kind: usize, fields: &[u32; FIELDS_MAX]) -> Result<RegistryMessage, u32> {
    fn one_of<T: Copy>(all: &[T], number: u32) -> Result<T, u32> {
        all.get(number as usize).copied().ok_or(number)
    }
    let is = |number: u32| one_of(&[false, true], number);
    let command = |at: usize| -> Result<Command, u32> {
        let kind = one_of(&CommandKind::ALL, fields[at])?;
        Ok(Command { kind, key: fields[at + 1], id: fields[at + 2], token: fields[at + 3] })
    };
    let members = |at: usize| {
        let count = fields[at] as usize;
        let members = Members::of(&fields[at + 1..at + 1 + count]);
        if members.len() == count { Ok(members) } else { Err(fields[at]) }
    };
    let [a, b, c, d, e, f, ..] = *fields;
    let (shard, term, prev, prev_term, commit, sent) = (a, b, c, d, e, f);
    let short = |number: u32| number as u16;
    Ok(match kind {
        0 => RegistryMessage::Ask { number: short(a), operation: one_of(&Operation::ALL, b)?, key: c, id: d },
        1 => {
            let (operation, outcome) = (one_of(&Operation::ALL, b)?, one_of(&Outcome::ALL, c)?);
            RegistryMessage::Told { number: short(a), operation, outcome }
        }
        2 => RegistryMessage::Request { shard, flow: b, command: command(2)? },
        3 => RegistryMessage::Read { shard, flow: b, key: c },
        4 => RegistryMessage::Scan { shard, flow: b, currency: c as u8, most: short(d) },
        5 => RegistryMessage::Answer { flow: a, outcome: one_of(&Outcome::ALL, b)?, value: c },
        6 => RegistryMessage::Record { flow: a, is_there: is(b)? },
        7 => RegistryMessage::Page { flow: a },
        8 => RegistryMessage::Elsewhere { flow: a, leader: b },
        9 => {
            let entry = Entry { term: fields[6], command: command(7)? };
            RegistryMessage::Append { shard, term, prev, prev_term, commit, sent, entry }
        }
        10 => RegistryMessage::Beat { shard, term, prev, prev_term, commit, sent },
        11 => RegistryMessage::Entries { shard, term, prev, prev_term, commit, sent },
        12 => RegistryMessage::Appended { shard, term, matched: c, ok: is(d)? },
        13 => RegistryMessage::Vote { shard, term, last: c, last_term: d, phase: one_of(&Phase::ALL, e)? },
        14 => RegistryMessage::Voted { shard, term, granted: is(c)?, before: is(d)? },
        15 => RegistryMessage::Elect { shard, term },
        16 => RegistryMessage::Chunk { shard, term, from: c, users: short(d), ids: short(e) },
        17 => RegistryMessage::ChunkTaken { shard, held: b },
        18 => RegistryMessage::Gone { shard, leader: b },
        19 => RegistryMessage::Alive,
        20 => RegistryMessage::Leave,
        21 => RegistryMessage::Replace { shard, old: b, new: c },
        22 => RegistryMessage::Changed { shard, members: members(1)? },
        23 => RegistryMessage::Find { shard, flow: b },
        _ => RegistryMessage::Found { shard, flow: b, members: members(2)? },
    })
}

/// The contents of a message as a number: a mix of all its fields.
pub(super) fn fingerprint(message: &RegistryMessage) -> u64 {
    fields(message).iter().fold(kind(message) as u64, |mix, &field| {
        (mix ^ u64::from(field)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
    })
}

/// Bytes that stand for what is not simulated.
fn contents_len(message: &RegistryMessage) -> usize {
    let of = |kind: CommandKind| match kind {
        CommandKind::Create | CommandKind::Register => REGISTRATION_LEN,
        CommandKind::Endorse => ENDORSEMENT_LEN,
        _ => 0,
    };
    match message {
        RegistryMessage::Ask { operation: Operation::Register, .. } => REGISTRATION_LEN,
        RegistryMessage::Ask { operation: Operation::Endorse, .. } => ENDORSEMENT_LEN,
        RegistryMessage::Request { command, .. } => of(command.kind),
        RegistryMessage::Append { entry, .. } => of(entry.command.kind),
        RegistryMessage::Record { is_there: true, .. } => USER_LEN,
        RegistryMessage::Chunk { users, ids, .. } => usize::from(*users) * USER_LEN + usize::from(*ids) * ID_LEN,
        _ => 0,
    }
}

/// How many bytes an item of the payload has in memory and on the wire; `None` if there is none.
fn item_len(message: &RegistryMessage) -> Option<[usize; 2]> {
    match message {
        RegistryMessage::Told { .. } | RegistryMessage::Page { .. } => Some([4, 33]),
        RegistryMessage::Entries { .. } => Some([PACKED_LEN, ENTRY_LEN]),
        _ => None,
    }
}

/// Length of a message with a payload of `payload` bytes in memory, in bytes.
#[inline]
pub fn wire_len(message: &RegistryMessage, payload: usize) -> usize {
    let kind = kind(message);
    let fields: usize = match message {
        RegistryMessage::Changed { members, .. } => 5 + 32 * members.len(),
        RegistryMessage::Found { members, .. } => 9 + 32 * members.len(),
        _ => FIELDS_LEN[kind],
    };
    HEAD_LEN + fields + contents_len(message) + item_len(message).map_or(0, |[packed, sent]| payload / packed * sent)
}

/// Length of all fields of each kind.
const FIELDS_LEN: [usize; 25] = {
    let mut lens = [0; 25];
    let mut kind = 0;
    while kind < 25 {
        let mut place = 0;
        while place < FIELDS[kind].len() {
            lens[kind] += FIELDS[kind][place] as usize;
            place += 1;
        }
        kind += 1;
    }
    lens
};

/// Appends `entry` to a payload.
pub(super) fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    let Command { kind, key, id, token } = entry.command;
    out.extend_from_slice(&entry.term.to_le_bytes());
    out.push(kind as u8);
    [key, id, token].iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).enumerate().fold(0, |number, (place, &byte)| number | u32::from(byte) << (8 * place))
}

fn entry(bytes: &[u8]) -> Option<Entry> {
    let kind = *CommandKind::ALL.get(usize::from(*bytes.get(4)?))?;
    let [key, id, token] = [5, 9, 13].map(|at| number(&bytes[at..]));
    Some(Entry { term: number(bytes), command: Command { kind, key, id, token } })
}

/// The entries of a payload; `None` if it holds something else, or more than [`ENTRIES_MAX`].
pub(super) fn entries(payload: &[u8]) -> Option<impl Iterator<Item = Entry>> {
    let is_whole = payload.len().is_multiple_of(PACKED_LEN) && payload.len() <= ENTRIES_MAX * PACKED_LEN;
    let all = || payload.chunks_exact(PACKED_LEN).map(entry);
    (is_whole && all().all(|entry| entry.is_some())).then(|| all().flatten())
}

/// A message as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireRegistry {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: RegistryMessage,
    /// What goes with it in memory.
    pub payload: Vec<u8>,
}

impl WireRegistry {
    /// Appends the encoding to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let end = out.len() + wire_len(&self.message, self.payload.len());
        let kind = kind(&self.message);
        out.extend_from_slice(&[VERSION, KINDS.start + kind as u8]);
        out.extend_from_slice(&key_of(self.sender));
        let fields = fields(&self.message);
        let count = field_count(kind, &fields);
        for (field, &len) in fields.iter().zip(FIELDS[kind]).take(count) {
            let len = usize::from(len);
            let end = out.len() + len;
            out.extend_from_slice(&field.to_le_bytes()[..len.min(4)]);
            out.resize(end, 0);
        }
        out.resize(out.len() + contents_len(&self.message), 0);
        if let Some([packed, sent]) = item_len(&self.message) {
            for item in self.payload.chunks_exact(packed) {
                let end = out.len() + sent;
                match packed {
                    PACKED_LEN => {
                        // Term, kind, and three numbers, two of which have 33 bytes.
                        out.extend_from_slice(&item[..9]);
                        out.resize(out.len() + 29, 0);
                        out.extend_from_slice(&item[9..13]);
                        out.resize(out.len() + 29, 0);
                        out.extend_from_slice(&item[13..]);
                    }
                    _ => out.extend_from_slice(item),
                }
                out.resize(end, 0);
            }
        }
        debug_assert_eq!(out.len(), end, "{:?}", self.message);
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(bytes: &[u8]) -> Result<Self, RegistryWireError> {
        let whole = RegistryWireError::Length { found: bytes.len() };
        let mut rest = bytes;
        let mut take = |len: usize| {
            let (taken, after) = rest.split_at_checked(len).ok_or(whole)?;
            rest = after;
            Ok(taken)
        };
        let head = take(2)?;
        if head[0] != VERSION {
            return Err(RegistryWireError::Version(head[0]));
        }
        let kind = head[1].checked_sub(KINDS.start).map(usize::from).filter(|&kind| kind < NAMES.len());
        let kind = kind.ok_or(RegistryWireError::Kind(head[1]))?;
        let sender: [u8; 32] = take(32)?.try_into().map_err(|_| whole)?;
        let sender = node_of(&sender).ok_or(RegistryWireError::Id)?;
        let mut fields = [0; FIELDS_MAX];
        let mut place = 0;
        while place < field_count(kind, &fields) {
            let field = take(usize::from(*FIELDS[kind].get(place).ok_or(whole)?))?;
            if field.iter().skip(4).any(|&byte| byte != 0) {
                return Err(RegistryWireError::Id);
            }
            fields[place] = number(field);
            place += 1;
            let is_count = (kind, place) == (22, 2) || (kind, place) == (24, 3);
            if is_count && fields[place - 1] as usize > MEMBERS_MAX {
                return Err(RegistryWireError::Value(fields[place - 1]));
            }
        }
        let message = message(kind, &fields).map_err(RegistryWireError::Value)?;
        if take(contents_len(&message))?.iter().any(|&byte| byte != 0) {
            return Err(RegistryWireError::Contents);
        }
        let payload = decode_items(&message, rest).ok_or(RegistryWireError::Contents)?;
        if wire_len(&message, payload.len()) != bytes.len() {
            return Err(whole);
        }
        Ok(WireRegistry { sender, message, payload })
    }
}

/// The payload in memory of what stands in `bytes`; `None` if that holds no such items.
fn decode_items(message: &RegistryMessage, bytes: &[u8]) -> Option<Vec<u8>> {
    let Some([packed, sent]) = item_len(message) else { return Some(Vec::new()) };
    let mut payload = Vec::new();
    for item in bytes.chunks_exact(sent) {
        let is_kept = |place: usize| match packed {
            4 => place < 4,
            _ => matches!(place, 0..9 | 38..42 | 71..75),
        };
        for (place, &byte) in item.iter().enumerate() {
            if is_kept(place) {
                payload.push(byte);
            } else if byte != 0 {
                return None;
            }
        }
    }
    let most = if packed == 4 { PAGE_MAX as usize } else { ENTRIES_MAX };
    let is_known = packed == 4 || payload.chunks_exact(packed).all(|item| entry(item).is_some());
    (payload.len() <= most * packed && is_known).then_some(payload)
}

#[cfg(test)]
mod tests;
