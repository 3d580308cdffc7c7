//! Blocks as consensus sees them: who proposed them and when, and a body that only the layer above understands.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, SimTime};

/// Bytes of a block before its body: the proposer's number (2 bytes), the time of the proposal (8 bytes, in nanoseconds),
/// and the length of the body (4 bytes), little endian.
pub const BLOCK_HEAD_LEN: usize = 14;

/// Longest body, in bytes: with the votes of 1 024 replicas it fits a UDP datagram.
pub const BODY_LEN_MAX: usize = 65_000;

/// A block: its bytes, at least [`BLOCK_HEAD_LEN`] and at most [`BODY_LEN_MAX`] more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    bytes: Box<[u8]>,
}

/// The proposer, the time, and the length of the body, as the block that `bytes` begin with says.
fn read_head(bytes: &[u8]) -> Option<(NodeId, SimTime, usize)> {
    let (proposer, rest) = bytes.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    let body = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let (proposer, time) = (NodeId::from(u16::from_le_bytes(*proposer)), u64::from_le_bytes(*time));
    Some((proposer, SimTime::from_nanos(time), body))
}

/// What stands at the head of the block in `bytes`; `None` if they are not as many as it says, or too many.
pub(super) fn head_of(bytes: &[u8]) -> Option<(NodeId, SimTime)> {
    let (proposer, time, body) = read_head(bytes)?;
    (body <= BODY_LEN_MAX && bytes.len() == BLOCK_HEAD_LEN + body).then_some((proposer, time))
}

/// How many of `bytes` are the block that they begin with, as it says.
pub(super) fn block_len(bytes: &[u8]) -> Option<usize> {
    read_head(bytes).map(|(_, _, body)| BLOCK_HEAD_LEN + body)
}

/// The digest of the block of `height` in `bytes`: the first eight bytes of BLAKE3 of both. Never zero.
pub(super) fn digest_of(height: u32, bytes: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&height.to_le_bytes()).update(bytes);
    let hash = hasher.finalize();
    let (word, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    u64::from_le_bytes(*word).max(1)
}

impl Block {
    pub(super) fn new(proposer: NodeId, time: SimTime, body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(BLOCK_HEAD_LEN + body.len());
        bytes.extend_from_slice(&(proposer as u16).to_le_bytes());
        bytes.extend_from_slice(&time.as_nanos().to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        Block { bytes: bytes.into() }
    }

    /// The block in `bytes`, which has been looked at.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        debug_assert!(head_of(bytes).is_some(), "{} bytes", bytes.len());
        Block { bytes: bytes.into() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn head(&self) -> (NodeId, SimTime) {
        head_of(&self.bytes).expect("a block has a head")
    }

    /// Who proposed it first; another leader may have proposed it again.
    pub fn proposer(&self) -> NodeId {
        self.head().0
    }

    /// When it was proposed first.
    pub fn proposed(&self) -> SimTime {
        self.head().1
    }

    /// What the layer above made of it.
    pub fn body(&self) -> &[u8] {
        &self.bytes[BLOCK_HEAD_LEN..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_tells_who_proposed_what_and_when() {
        let block = Block::new(1_023, SimTime::from_nanos(7), b"body");
        assert_eq!((block.proposer(), block.proposed(), block.body()), (1_023, SimTime::from_nanos(7), &b"body"[..]));
        assert_eq!(Block::from_bytes(block.as_bytes()), block);
        assert_eq!(head_of(&block.as_bytes()[..BLOCK_HEAD_LEN - 1]), None);
        assert!(head_of(Block::new(0, SimTime::ZERO, &vec![0; BODY_LEN_MAX]).as_bytes()).is_some());
        assert_eq!(head_of(Block::new(0, SimTime::ZERO, &vec![0; BODY_LEN_MAX + 1]).as_bytes()), None);
        let padded = [block.as_bytes(), &[0; 9]].concat();
        assert_eq!((head_of(&padded), block_len(&padded)), (None, Some(BLOCK_HEAD_LEN + 4)));
    }

    #[test]
    fn the_digest_depends_on_the_height_and_on_every_byte() {
        let bytes = [3; 20];
        let digest = digest_of(1, &bytes);
        assert_ne!(digest, digest_of(2, &bytes));
        for place in 0..20 {
            let mut other = bytes;
            other[place] ^= 1;
            assert_ne!(digest, digest_of(1, &other));
        }
    }
}
