//! The wire format of the ledger, version 1. All numbers are little endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 112 submit, 113 accepted, 114 batch, 115 batch accepted, 116 share, 117 announce, 118 get block, 119 full block, 120 header, 121 included, 122 subscribe |
//! | 2 | 32 | id of the sender |
//! | 34 | | what the kind says |
//!
//! | kind | what follows |
//! |---|---|
//! | submit | number of the transaction (2), time of its submission (8, nanoseconds); zeros up to the length of a transaction |
//! | accepted, batch accepted | number (2) |
//! | batch | number (2), transactions |
//! | share | transactions |
//! | announce, get block | height (4) |
//! | full block | height (4), time of the proposal (8, nanoseconds), how much later it was committed (2, steps of 2^20 ns), transactions, of each only submitter and number |
//! | header | height (4), the two times as in a full block (10); zeros up to the length of a header, all told |
//! | included | number (2), time of the submission (8) |
//! | subscribe | the receiver's handle of the link (4), 1 for headers or 0 for none (1) |
//!
//! Transactions are the records of all of them, [`RECORD_LEN`] bytes each, in the order of submitter and number, and then
//! for each as many zeros as a transaction is longer than its record: they stand for signatures and contents, which are not
//! carried in memory. In a full block a transaction is as long, but the time of its submission is among its contents, so it
//! begins with [`KEY_LEN`] bytes.
//!
//! Messages of consensus are in the format of [`consensus::wire`]; where one holds a block, such zeros follow for its
//! transactions.

use std::ops::Range;

use super::{BlockKeys, KEY_LEN, Ledger, LedgerMessage, RECORD_LEN, TRANSACTIONS_MAX, Transactions};
use crate::contract::{NodeId, SimTime};
use crate::protocols::consensus::wire::{ConsensusWireError, WireConsensus};
use crate::protocols::consensus::{self, BLOCK_HEAD_LEN, ConsensusMessage};
use crate::protocols::layer::Contains;
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
/// Those of [`consensus::wire`] are messages of a ledger as well.
pub const KINDS: Range<u8> = 112..123;
/// Length of a message before what its kind says, in bytes.
pub const HEAD_LEN: usize = 34;

const SUBMISSION_LEN: usize = 10;
const HEADER_LEN: usize = HEAD_LEN + 14;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerWireError {
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
    /// Not the id of a simulated node.
    #[error("the sender's id does not stand for a simulated node")]
    Sender,
    /// What should be zero is not.
    #[error("what stands for contents or padding is not zero")]
    Padding,
    /// The transactions are not in order, or too many, or by nobody.
    #[error("the transactions are no list")]
    Transactions,
    /// Something else than yes or no.
    #[error("headers are wanted or not, but the byte is {0}")]
    Wanted(u8),
    /// A message of consensus that is none.
    #[error(transparent)]
    Consensus(#[from] ConsensusWireError),
}

impl Ledger {
    /// Bytes of a transaction beyond its record.
    fn contents_len(&self) -> usize {
        (self.options.transaction as usize).saturating_sub(RECORD_LEN)
    }
}

/// Length of a message with a payload of `payload` bytes in memory, in bytes.
#[inline(always)]
pub fn wire_len(ledger: &Ledger, message: &LedgerMessage, payload: usize) -> usize {
    let transactions = |bytes: usize| bytes + bytes / RECORD_LEN * ledger.contents_len();
    HEAD_LEN
        + match message {
            LedgerMessage::Header { .. } => return HEADER_LEN.max(ledger.options.header as usize),
            &LedgerMessage::Consensus { kind, view, height, digest } => {
                let before = consensus::wire::block_in(&ledger.consensus, kind, payload);
                let body = before.map_or(0, |before| payload.saturating_sub(before + BLOCK_HEAD_LEN));
                let message = ConsensusMessage { kind, view, height, digest };
                let plain = consensus::wire::wire_len(&ledger.consensus, &message, payload);
                return plain + transactions(body) - body;
            }
            LedgerMessage::Submit { .. } => SUBMISSION_LEN.max(ledger.options.transaction as usize),
            LedgerMessage::Accepted { .. } | LedgerMessage::BatchAccepted { .. } => 2,
            LedgerMessage::Batch { .. } => 2 + transactions(payload),
            LedgerMessage::Share => transactions(payload),
            LedgerMessage::Announce { .. } | LedgerMessage::GetBlock { .. } => 4,
            LedgerMessage::FullBlock { .. } => 14 + payload / KEY_LEN * (RECORD_LEN + ledger.contents_len()),
            LedgerMessage::Included { .. } => 10,
            LedgerMessage::Subscribe { .. } => 5,
        }
}

/// A message as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireLedger {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: LedgerMessage,
    /// What goes with it in memory.
    pub payload: Vec<u8>,
}

impl WireLedger {
    /// Appends the encoding to `out`.
    pub fn encode(&self, ledger: &Ledger, out: &mut Vec<u8>) {
        let end = out.len() + wire_len(ledger, &self.message, self.payload.len());
        let mut head = |kind: u8, fields: &[&[u8]]| {
            out.extend_from_slice(&[VERSION, KINDS.start + kind]);
            out.extend_from_slice(&key_of(self.sender));
            fields.iter().for_each(|field| out.extend_from_slice(field));
        };
        let time = |time: SimTime| time.as_nanos().to_le_bytes();
        match self.message {
            LedgerMessage::Consensus { kind, view, height, digest } => {
                let message = ConsensusMessage { kind, view, height, digest };
                let inner = WireConsensus { sender: self.sender, message, payload: self.payload.clone() };
                inner.encode(&ledger.consensus, out);
                out.resize(end, 0);
                return;
            }
            LedgerMessage::Submit { number, submitted } => head(0, &[&number.to_le_bytes(), &time(submitted)]),
            LedgerMessage::Accepted { number } => head(1, &[&number.to_le_bytes()]),
            LedgerMessage::Batch { number } => head(2, &[&number.to_le_bytes()]),
            LedgerMessage::BatchAccepted { number } => head(3, &[&number.to_le_bytes()]),
            LedgerMessage::Share => head(4, &[]),
            LedgerMessage::Announce { height } => head(5, &[&height.to_le_bytes()]),
            LedgerMessage::GetBlock { height } => head(6, &[&height.to_le_bytes()]),
            LedgerMessage::FullBlock { height, proposed, committed } => {
                head(7, &[&height.to_le_bytes(), &time(proposed), &committed.to_le_bytes()]);
            }
            LedgerMessage::Header { height, proposed, committed } => {
                head(8, &[&height.to_le_bytes(), &time(proposed), &committed.to_le_bytes()]);
            }
            LedgerMessage::Included { number, submitted } => head(9, &[&number.to_le_bytes(), &time(submitted)]),
            LedgerMessage::Subscribe { slot, wanted } => head(10, &[&slot.to_le_bytes(), &[u8::from(wanted)]]),
        }
        out.extend_from_slice(&self.payload);
        out.resize(end, 0);
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(ledger: &Ledger, bytes: &[u8]) -> Result<Self, LedgerWireError> {
        let mut reader = Reader { bytes, whole: bytes.len() };
        let [version, kind] = reader.take()?;
        if version != VERSION {
            return Err(LedgerWireError::Version(version));
        }
        if !KINDS.contains(&kind) {
            return decode_consensus(ledger, bytes);
        }
        let sender = node_of(&reader.take()?).filter(|&sender| sender < ledger.population().total());
        let sender = sender.ok_or(LedgerWireError::Sender)?;
        let message = match kind - KINDS.start {
            0 => LedgerMessage::Submit { number: reader.number()?, submitted: reader.time()? },
            1 => LedgerMessage::Accepted { number: reader.number()? },
            2 => LedgerMessage::Batch { number: reader.number()? },
            3 => LedgerMessage::BatchAccepted { number: reader.number()? },
            4 => LedgerMessage::Share,
            5 => LedgerMessage::Announce { height: reader.height()? },
            6 => LedgerMessage::GetBlock { height: reader.height()? },
            7 => {
                let (height, proposed) = (reader.height()?, reader.time()?);
                LedgerMessage::FullBlock { height, proposed, committed: reader.number()? }
            }
            8 => {
                let (height, proposed) = (reader.height()?, reader.time()?);
                LedgerMessage::Header { height, proposed, committed: reader.number()? }
            }
            9 => LedgerMessage::Included { number: reader.number()?, submitted: reader.time()? },
            10 => {
                let (slot, [wanted]) = (reader.height()?, reader.take()?);
                if wanted > 1 {
                    return Err(LedgerWireError::Wanted(wanted));
                }
                LedgerMessage::Subscribe { slot, wanted: wanted == 1 }
            }
            _ => return Err(LedgerWireError::Kind(kind)),
        };
        let rest = reader.bytes;
        let count = rest.len() / (RECORD_LEN + ledger.contents_len());
        let records = match message {
            LedgerMessage::Batch { .. } | LedgerMessage::Share => count * RECORD_LEN,
            LedgerMessage::FullBlock { .. } => count * KEY_LEN,
            _ => 0,
        };
        let (payload, padding) = rest.split_at(records);
        if wire_len(ledger, &message, records) != bytes.len() {
            return Err(LedgerWireError::Length { found: bytes.len() });
        }
        let nodes = ledger.population().total();
        if !matches!(message, LedgerMessage::FullBlock { .. }) {
            check(ledger, payload, padding)?;
        } else if BlockKeys::decode(payload, nodes, TRANSACTIONS_MAX).is_none() {
            return Err(LedgerWireError::Transactions);
        } else {
            check(ledger, &[], padding)?;
        }
        Ok(WireLedger { sender, message, payload: payload.to_vec() })
    }
}

/// Checks that `records` are transactions, and `padding` is zero.
fn check(ledger: &Ledger, records: &[u8], padding: &[u8]) -> Result<(), LedgerWireError> {
    let list = Transactions::decode(records, ledger.population().total(), SimTime::MAX, TRANSACTIONS_MAX);
    if list.is_none() {
        return Err(LedgerWireError::Transactions);
    }
    if padding.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(LedgerWireError::Padding) }
}

/// A message of consensus, with the contents of transactions after it if it holds a block.
fn decode_consensus(ledger: &Ledger, bytes: &[u8]) -> Result<WireLedger, LedgerWireError> {
    let length = LedgerWireError::Length { found: bytes.len() };
    let kind = bytes[1]
        .checked_sub(consensus::wire::KINDS.start)
        .and_then(|kind| consensus::MessageKind::ALL.get(usize::from(kind)));
    let kind = *kind.ok_or(LedgerWireError::Kind(bytes[1]))?;
    let rest = bytes.len().checked_sub(consensus::wire::HEAD_LEN).ok_or(length)?;
    let before = consensus::wire::block_in(&ledger.consensus, kind, rest);
    let contents = before.map_or(0, |before| {
        let transactions = rest.saturating_sub(before + BLOCK_HEAD_LEN);
        transactions / (RECORD_LEN + ledger.contents_len()) * ledger.contents_len()
    });
    let (inner, contents) = bytes.split_at(bytes.len() - contents);
    let WireConsensus { sender, message, payload } = WireConsensus::decode(&ledger.consensus, inner)?;
    let records = before.map_or(&[][..], |before| &payload[(before + BLOCK_HEAD_LEN).min(payload.len())..]);
    check(ledger, records, contents)?;
    let message = Ledger::wrap_message(message);
    if wire_len(ledger, &message, payload.len()) != bytes.len() {
        return Err(length);
    }
    Ok(WireLedger { sender, message, payload })
}

struct Reader<'a> {
    bytes: &'a [u8],
    whole: usize,
}

impl Reader<'_> {
    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], LedgerWireError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(LedgerWireError::Length { found: self.whole })?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u16, LedgerWireError> {
        self.take().map(u16::from_le_bytes)
    }

    fn height(&mut self) -> Result<u32, LedgerWireError> {
        self.take().map(u32::from_le_bytes)
    }

    fn time(&mut self) -> Result<SimTime, LedgerWireError> {
        self.take().map(|time| SimTime::from_nanos(u64::from_le_bytes(time)))
    }
}
