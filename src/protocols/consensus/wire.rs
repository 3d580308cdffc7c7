//! The wire format of consensus, version 1. All numbers are little endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | 1 | kind: 32 pre-prepare or proposal, 33 prepare or vote, 34 commit or certificate, 35 view change, 36 new-view, 37 fetch, 38 block |
//! | 2 | 32 | id of the sender |
//! | 34 | 4 | height |
//! | 38 | 2 | view |
//! | 40 | 32 | digest of the block |
//! | 72 | 48 | signature of the sender over all else |
//! | 120 | | payload |
//!
//! | kind | payload |
//! |---|---|
//! | pre-prepare | the block: proposer (2), time of the proposal (8, nanoseconds), length of the body (4), body; padded with zeros to the size of blocks |
//! | prepare, fetch | none |
//! | commit | of Pbft, none; a certificate of the linear pattern is the voters |
//! | view change | none if nothing was prepared; else one more than the view in which the block was (2), of Pbft its voters, and, if it goes to the leader of the new view, the block, padded |
//! | new-view | the number of reports (2); of each report, the replica (2), one more than the view in which it prepared a block or zero (2), and if it did the block's digest (32); if any did, of Pbft the voters of the block to propose |
//! | block | the last height that the sender committed (4), the voters, and the block, padded |
//!
//! Voters are a bitmap of all replicas, lowest first, `ceil(n / 8)` bytes; unused bits are zero. Signatures are as long as
//! BLS signatures on BLS12-381, which can be aggregated, so that voters need none beside the sender's. A simulated one is
//! the first 48 bytes of the extended output of BLAKE3 over the message without it: it finds what was changed on the way,
//! but anybody could make it. A simulated digest is eight bytes, and 24 that are zero.
//!
//! Padding is never carried in memory.

use std::ops::Range;

use super::blocks::{Block, block_len, head_of};
use super::state::Certificate;
use super::{Consensus, ConsensusMessage, MessageKind, Pattern, ReplicaSet, digest_of};
use crate::contract::{Key256, NodeId};
use crate::protocols::wire::{key_of, node_of};

/// The version of the format.
pub const VERSION: u8 = 1;
/// The kinds of this format; no other format of [`wire`](crate::protocols::wire) has any of them.
pub const KINDS: Range<u8> = 32..39;
/// Length of a message without payload, in bytes.
pub const HEAD_LEN: usize = 120;
/// Length of a signature, in bytes.
pub const SIGNATURE_LEN: usize = 48;

const SIGNATURE_START: usize = HEAD_LEN - SIGNATURE_LEN;
const DIGEST_LEN: usize = 32;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusWireError {
    /// The bytes end early.
    #[error("{found} bytes are too few for a message")]
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
    /// Not the id of a replica.
    #[error("the sender is no replica")]
    Sender,
    /// A digest that no simulated block has.
    #[error("the digest is not that of a simulated block")]
    Digest,
    /// The signature is not that of this message.
    #[error("the signature does not fit the message")]
    Signature,
    /// The payload is not one that goes with this kind.
    #[error("the payload is not one of this kind")]
    Payload,
}

/// Length of a message with a payload of `payload` bytes in memory, in bytes.
#[inline(always)]
pub fn wire_len(consensus: &Consensus, message: &ConsensusMessage, payload: usize) -> usize {
    HEAD_LEN + block_in(consensus, message.kind, payload).map_or(payload, |before| padded(consensus, payload, before))
}

/// Length of a payload of `payload` bytes of which `before` stand before a block.
fn padded(consensus: &Consensus, payload: usize, before: usize) -> usize {
    before + (payload - before).max(consensus.options.block as usize)
}

/// How many bytes of a payload of `payload` bytes of a message of `kind` stand before the block in it; `None` if there is
/// no block in it.
pub fn block_in(consensus: &Consensus, kind: MessageKind, payload: usize) -> Option<usize> {
    let before = match kind {
        MessageKind::PrePrepare => 0,
        MessageKind::ViewChange => 2 + voters_len(consensus),
        MessageKind::Block => 4 + ReplicaSet::encoded_len(consensus.replicas),
        _ => return None,
    };
    (payload > before).then_some(before)
}

/// Length of the voters of a certificate of what was prepared.
fn voters_len(consensus: &Consensus) -> usize {
    if consensus.has_voters() { ReplicaSet::encoded_len(consensus.replicas) } else { 0 }
}

/// What one replica reported when it changed to a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) replica: u16,
    /// One more than the view in which it prepared a block; 0 if in none.
    pub(super) prepared: u16,
    /// Which block.
    pub(super) digest: u64,
}

/// The payload of a view change.
pub(super) struct ChangeBody<'a> {
    pub(super) prepared: Option<Certificate>,
    pub(super) block: Option<&'a [u8]>,
}

/// The payload of a new-view.
pub(super) struct NewViewBody {
    pub(super) reports: Vec<Report>,
    pub(super) voters: Option<ReplicaSet>,
}

/// The payload of a block.
pub(super) struct BlockBody<'a> {
    pub(super) tip: u32,
    pub(super) voters: ReplicaSet,
    pub(super) block: &'a [u8],
}

/// Appends what was prepared.
pub(super) fn encode_prepared(consensus: &Consensus, prepared: &Certificate, out: &mut Vec<u8>) {
    out.extend_from_slice(&(prepared.view + 1).to_le_bytes());
    encode_voters(consensus, prepared, out);
}

fn encode_voters(consensus: &Consensus, certificate: &Certificate, out: &mut Vec<u8>) {
    if consensus.has_voters() {
        certificate.voters.encode(consensus.replicas, out);
    }
}

/// What a view change says; `None` if it cannot be one.
pub(super) fn decode_change<'a>(
    consensus: &Consensus,
    message: &ConsensusMessage,
    payload: &'a [u8],
) -> Option<ChangeBody<'a>> {
    if payload.is_empty() || message.view == 0 || message.digest == 0 {
        let is_plain = payload.is_empty() && message.view > 0 && message.digest == 0;
        return is_plain.then_some(ChangeBody { prepared: None, block: None });
    }
    let (prepared, rest) = payload.split_first_chunk()?;
    let prepared = u16::from_le_bytes(*prepared);
    let (voters, block) = rest.split_at_checked(voters_len(consensus))?;
    let voters = decode_voters(consensus, voters)?;
    if !(1..=message.view).contains(&prepared) {
        return None;
    }
    let block = Some(block).filter(|block| !block.is_empty());
    if block.is_some_and(|block| !is_block(message, block)) {
        return None;
    }
    let certificate = Certificate { view: prepared - 1, digest: message.digest, voters };
    Some(ChangeBody { prepared: Some(certificate), block })
}

/// The voters of a certificate of what was prepared; `None` if they are no quorum.
fn decode_voters(consensus: &Consensus, bytes: &[u8]) -> Option<ReplicaSet> {
    if !consensus.has_voters() {
        return bytes.is_empty().then(ReplicaSet::default);
    }
    ReplicaSet::decode(consensus.replicas, bytes).filter(|voters| voters.len() >= consensus.quorum())
}

fn is_block(message: &ConsensusMessage, bytes: &[u8]) -> bool {
    head_of(bytes).is_some() && digest_of(message.height, bytes) == message.digest
}

/// Appends the payload of a new-view.
pub(super) fn encode_new_view(
    consensus: &Consensus,
    reports: &[Report],
    certificate: Option<&Certificate>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&(reports.len() as u16).to_le_bytes());
    for report in reports {
        out.extend_from_slice(&report.replica.to_le_bytes());
        out.extend_from_slice(&report.prepared.to_le_bytes());
        if report.prepared > 0 {
            out.extend_from_slice(&encode_digest(report.digest));
        }
    }
    if let Some(certificate) = certificate {
        encode_voters(consensus, certificate, out);
    }
}

/// What the new-view of `view` says; `None` if it cannot be one.
pub(super) fn decode_new_view(consensus: &Consensus, view: u16, payload: &[u8]) -> Option<NewViewBody> {
    let (count, mut rest) = payload.split_first_chunk()?;
    let count = u16::from_le_bytes(*count);
    if u32::from(count) > consensus.replicas || view == 0 {
        return None;
    }
    let (mut reports, mut seen) = (Vec::with_capacity(usize::from(count)), ReplicaSet::default());
    for _ in 0..count {
        let ([replica, prepared], after) = split_numbers(rest)?;
        if u32::from(replica) >= consensus.replicas || !seen.insert(u32::from(replica)) || prepared > view {
            return None;
        }
        rest = after;
        let mut digest = 0;
        if prepared > 0 {
            let (bytes, after) = rest.split_first_chunk()?;
            (digest, rest) = (decode_digest(bytes).filter(|&digest| digest > 0)?, after);
        }
        reports.push(Report { replica, prepared, digest });
    }
    let is_bound = reports.iter().any(|report| report.prepared > 0);
    let voters = if is_bound { Some(decode_voters(consensus, rest)?) } else { None };
    (is_bound || rest.is_empty()).then_some(NewViewBody { reports, voters })
}

fn split_numbers(bytes: &[u8]) -> Option<([u16; 2], &[u8])> {
    let ([a, b, c, d], rest) = bytes.split_first_chunk()?;
    Some(([u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d])], rest))
}

/// Appends the payload of a block.
pub(super) fn encode_block(
    consensus: &Consensus,
    tip: u32,
    certificate: &Certificate,
    block: &Block,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&tip.to_le_bytes());
    certificate.voters.encode(consensus.replicas, out);
    out.extend_from_slice(block.as_bytes());
}

/// What a block says; `None` if it cannot be one.
pub(super) fn decode_block<'a>(
    consensus: &Consensus,
    message: &ConsensusMessage,
    payload: &'a [u8],
) -> Option<BlockBody<'a>> {
    let (tip, rest) = payload.split_first_chunk()?;
    let (voters, block) = rest.split_at_checked(ReplicaSet::encoded_len(consensus.replicas))?;
    let voters = ReplicaSet::decode(consensus.replicas, voters)?;
    let tip = u32::from_le_bytes(*tip);
    let is_valid = voters.len() >= consensus.quorum() && tip >= message.height && is_block(message, block);
    is_valid.then_some(BlockBody { tip, voters, block })
}

fn encode_digest(digest: u64) -> [u8; DIGEST_LEN] {
    let mut bytes = [0; DIGEST_LEN];
    bytes[..8].copy_from_slice(&digest.to_le_bytes());
    bytes
}

fn decode_digest(bytes: &[u8; DIGEST_LEN]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    rest.iter().all(|&byte| byte == 0).then_some(u64::from_le_bytes(*word))
}

/// The signature of a simulated message that is `head` and `payload`.
fn sign(head: &[u8], payload: &[u8]) -> [u8; SIGNATURE_LEN] {
    let mut signature = [0; SIGNATURE_LEN];
    blake3::Hasher::new().update(head).update(payload).finalize_xof().fill(&mut signature);
    signature
}

/// A message as it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireConsensus {
    /// Who sends it.
    pub sender: NodeId,
    /// What it says.
    pub message: ConsensusMessage,
    /// What goes with it, without padding.
    pub payload: Vec<u8>,
}

impl WireConsensus {
    /// Appends the encoding to `out`.
    pub fn encode(&self, consensus: &Consensus, out: &mut Vec<u8>) {
        let ConsensusMessage { kind, view, height, digest } = self.message;
        let start = out.len();
        out.extend_from_slice(&[VERSION, KINDS.start + kind as u8]);
        out.extend_from_slice(&key_of(self.sender));
        out.extend_from_slice(&height.to_le_bytes());
        out.extend_from_slice(&view.to_le_bytes());
        out.extend_from_slice(&encode_digest(digest));
        let signature = sign(&out[start..], &self.payload);
        out.extend_from_slice(&signature);
        out.extend_from_slice(&self.payload);
        out.resize(start + wire_len(consensus, &self.message, self.payload.len()), 0);
    }

    /// The message that `bytes` hold.
    ///
    /// # Errors
    /// If they hold none of this version, or anything after it.
    pub fn decode(consensus: &Consensus, bytes: &[u8]) -> Result<Self, ConsensusWireError> {
        let short = ConsensusWireError::Short { found: bytes.len() };
        let (head, payload) = bytes.split_at_checked(HEAD_LEN).ok_or(short)?;
        if head[0] != VERSION {
            return Err(ConsensusWireError::Version(head[0]));
        }
        let kind = head[1].checked_sub(KINDS.start).and_then(|kind| MessageKind::ALL.get(usize::from(kind)));
        let kind = *kind.ok_or(ConsensusWireError::Kind(head[1]))?;
        let (_, rest) = head.split_at(2);
        let (id, rest) = rest.split_first_chunk::<32>().ok_or(short)?;
        let sender = sender_of(consensus, id).ok_or(ConsensusWireError::Sender)?;
        let (height, rest) = rest.split_first_chunk().ok_or(short)?;
        let (view, rest) = rest.split_first_chunk().ok_or(short)?;
        let (digest, signature) = rest.split_first_chunk().ok_or(short)?;
        let digest = decode_digest(digest).ok_or(ConsensusWireError::Digest)?;
        let (height, view) = (u32::from_le_bytes(*height), u16::from_le_bytes(*view));
        let message = ConsensusMessage { kind, view, height, digest };
        let payload = without_padding(consensus, &message, payload).ok_or(ConsensusWireError::Payload)?;
        if signature != sign(&head[..SIGNATURE_START], payload) {
            return Err(ConsensusWireError::Signature);
        }
        Ok(WireConsensus { sender, message, payload: payload.to_vec() })
    }
}

fn sender_of(consensus: &Consensus, id: &Key256) -> Option<NodeId> {
    node_of(id).filter(|&sender| sender < consensus.replicas)
}

/// The payload of `message` in `bytes` without its padding, if it can be its payload.
fn without_padding<'a>(consensus: &Consensus, message: &ConsensusMessage, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let is_possible = |payload: &[u8]| match message.kind {
        MessageKind::PrePrepare => is_block(message, payload),
        MessageKind::Prepare | MessageKind::Fetch => payload.is_empty(),
        MessageKind::Commit => match consensus.options.pattern {
            Pattern::Pbft => payload.is_empty(),
            Pattern::Linear => {
                ReplicaSet::decode(consensus.replicas, payload).is_some_and(|voters| voters.len() >= consensus.quorum())
            }
        },
        MessageKind::ViewChange => decode_change(consensus, message, payload).is_some(),
        MessageKind::NewView => decode_new_view(consensus, message.view, payload).is_some(),
        MessageKind::Block => decode_block(consensus, message, payload).is_some(),
    };
    let payload = match block_in(consensus, message.kind, bytes.len()) {
        None => bytes,
        Some(before) => {
            let end = before.checked_add(block_len(&bytes[before..])?)?;
            let (payload, padding) = bytes.split_at_checked(end)?;
            let is_right = bytes.len() == padded(consensus, end, before) && padding.iter().all(|&byte| byte == 0);
            is_right.then_some(payload)?
        }
    };
    is_possible(payload).then_some(payload)
}
