//! Sets of replicas and tallies of votes: a bit for each replica, so that nobody is counted twice.

use serde::{Deserialize, Serialize};

use crate::contract::exact;

/// Most replicas.
pub const REPLICAS_MAX: u32 = 1_024;

const WORDS: usize = REPLICAS_MAX as usize / 64;

/// How many of `replicas` may fail in any way, f: fewer than a third of them.
pub const fn faults_max(replicas: u32) -> u32 {
    replicas.saturating_sub(1) / 3
}

/// How many of `replicas` have to agree: so many that any two quorums have a replica in common that has not failed,
/// `ceil((n + f + 1) / 2)`. That is 2f + 1 where n = 3f + 1, and what is left when f of them are silent is enough.
pub const fn quorum(replicas: u32) -> u32 {
    (replicas + faults_max(replicas) + 1).div_ceil(2)
}

/// A set of replicas: 128 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaSet {
    words: [u64; WORDS],
}

impl ReplicaSet {
    /// Adds `replica`; returns whether it was not in the set.
    ///
    /// # Panics
    /// If its number is [`REPLICAS_MAX`] or more.
    #[inline]
    pub fn insert(&mut self, replica: u32) -> bool {
        let (word, bit) = (&mut self.words[replica as usize / 64], 1 << (replica % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether `replica` is in the set.
    pub fn contains(&self, replica: u32) -> bool {
        self.words.get(replica as usize / 64).is_some_and(|word| word >> (replica % 64) & 1 == 1)
    }

    /// How many replicas are in the set.
    pub fn len(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// Length of a set of `replicas` on the wire, in bytes.
    pub const fn encoded_len(replicas: u32) -> usize {
        replicas.div_ceil(8) as usize
    }

    /// Appends the first `replicas` bits, lowest first.
    pub(super) fn encode(&self, replicas: u32, out: &mut Vec<u8>) {
        let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
        out.extend(bytes.take(Self::encoded_len(replicas)));
    }

    /// The set of `replicas` that `bytes` hold; `None` if their length is not right or a bit of nobody is set.
    pub(super) fn decode(replicas: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::encoded_len(replicas) || replicas > REPLICAS_MAX {
            return None;
        }
        let is_nobody = !replicas.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (replicas % 8) > 0);
        let mut words = [0; WORDS];
        for (place, &byte) in bytes.iter().enumerate() {
            words[place / 8] |= u64::from(byte) << (place % 8 * 8);
        }
        (!is_nobody).then_some(ReplicaSet { words })
    }
}

/// What became of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vote {
    /// It is the so-manieth for its digest.
    Counted(u32),
    /// The replica has voted before.
    Again,
}

/// The votes of one phase of one view, by digest. The first vote of a replica counts, and no other; so there are no more
/// digests than replicas, and nobody takes the place of another's vote.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    voted: ReplicaSet,
    #[serde(with = "exact")]
    votes: Vec<Votes>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Votes {
    digest: u64,
    count: u32,
    voters: ReplicaSet,
}

impl Tally {
    /// Counts the vote of `voter` for `digest`.
    pub(super) fn add(&mut self, voter: u32, digest: u64) -> Vote {
        if !self.voted.insert(voter) {
            return Vote::Again;
        }
        let place = self.votes.iter().position(|votes| votes.digest == digest).unwrap_or_else(|| {
            self.votes.push(Votes { digest, count: 0, voters: ReplicaSet::default() });
            self.votes.len() - 1
        });
        let votes = &mut self.votes[place];
        votes.voters.insert(voter);
        votes.count += 1;
        Vote::Counted(votes.count)
    }

    /// How many voted for `digest`.
    pub(super) fn count(&self, digest: u64) -> u32 {
        self.votes.iter().find(|votes| votes.digest == digest).map_or(0, |votes| votes.count)
    }

    /// Who voted for `digest`.
    pub(super) fn voters(&self, digest: u64) -> ReplicaSet {
        self.votes.iter().find(|votes| votes.digest == digest).map(|votes| votes.voters).unwrap_or_default()
    }

    /// Memory beside itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.votes.capacity() * size_of::<Votes>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_quorums_share_somebody_who_has_not_failed_and_are_reached_without_those_who_have() {
        for n in 1..=REPLICAS_MAX {
            let (f, q) = (faults_max(n), quorum(n));
            assert!(3 * f < n && 3 * (f + 1) >= n, "n = {n}: f = {f}");
            assert!(2 * q > n + f && q <= n - f, "n = {n}: f = {f}, q = {q}");
            assert!(n != 3 * f + 1 || q == 2 * f + 1, "n = {n}: f = {f}, q = {q}");
        }
        assert_eq!([4, 7, 49, 100, 1_000].map(quorum), [3, 5, 33, 67, 667]);
    }

    #[test]
    fn a_replica_votes_once_whatever_for() {
        let mut tally = Tally::default();
        assert_eq!(tally.add(3, 7), Vote::Counted(1));
        assert_eq!(tally.add(3, 7), Vote::Again);
        assert_eq!(tally.add(3, 8), Vote::Again);
        assert_eq!(tally.add(1_023, 7), Vote::Counted(2));
        assert_eq!((tally.count(7), tally.count(8), tally.voters(7).len()), (2, 0, 2));
        for digest in 9..1_000 {
            assert_eq!(tally.add(3, digest), Vote::Again);
        }
        assert_eq!(tally.votes.len(), 1, "votes that do not count take no place");
        for voter in 4..40 {
            assert_eq!(tally.add(voter, 100 + u64::from(voter)), Vote::Counted(1));
        }
        assert_eq!(tally.add(99, 7), Vote::Counted(3), "however many digests others vote for");
    }

    proptest! {
        #[test]
        fn a_set_survives_a_round_trip(members in prop::collection::btree_set(0u32..100, 0..100), replicas in 1u32..200) {
            let members: Vec<u32> = members.into_iter().filter(|&member| member < replicas).collect();
            let mut set = ReplicaSet::default();
            prop_assert!(members.iter().all(|&member| set.insert(member)));
            prop_assert!(members.iter().all(|&member| !set.insert(member)));
            prop_assert!((0..200).all(|replica| set.contains(replica) == members.contains(&replica)));
            prop_assert!(!set.contains(u32::MAX));
            prop_assert_eq!((set.len() as usize, set.is_empty()), (members.len(), members.is_empty()));
            let mut bytes = Vec::new();
            set.encode(replicas, &mut bytes);
            prop_assert_eq!(bytes.len(), ReplicaSet::encoded_len(replicas));
            prop_assert_eq!(ReplicaSet::decode(replicas, &bytes), Some(set));
            prop_assert_eq!(ReplicaSet::decode(replicas + 8, &bytes), None);
            if !replicas.is_multiple_of(8) {
                *bytes.last_mut().unwrap() |= 0x80;
                prop_assert_eq!(ReplicaSet::decode(replicas, &bytes), None);
            }
        }
    }
}
