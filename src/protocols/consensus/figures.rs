//! What became of blocks: counters and histograms of fixed size, and records of single commits.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, SimSpan, SimTime, Spans};

/// One replica committed one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The height of the block.
    pub height: u32,
    /// Who committed it.
    pub replica: NodeId,
    /// The block.
    pub digest: u64,
    /// When it was proposed first.
    pub proposed: SimTime,
    /// When it was committed.
    pub committed: SimTime,
}

/// How long the commit of one block took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeightFigures {
    /// The height of the block.
    pub height: u32,
    /// Replicas that committed it.
    pub replicas: u32,
    /// From the first proposal until a quorum of replicas had committed; `None` if no quorum did.
    pub quorum: Option<SimSpan>,
    /// From the first proposal until the last of them had.
    pub last: SimSpan,
}

/// Two replicas committed different blocks at a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replicas {} and {} committed different blocks at height {}", .0.replica, .1.replica, .0.height)]
pub struct Fork(pub CommitRecord, pub CommitRecord);

/// What `records` of all partitions together tell of each height, ascending, where `quorum` replicas have to agree. Sorts
/// them.
///
/// # Errors
/// If two replicas committed different blocks at a height.
pub fn by_height(records: &mut [CommitRecord], quorum: u32) -> Result<Vec<HeightFigures>, Fork> {
    records.sort_unstable_by_key(|record| (record.height, record.committed, record.replica));
    let figures_of = |commits: &[CommitRecord]| {
        if let Some(other) = commits.iter().find(|other| other.digest != commits[0].digest) {
            return Err(Fork(commits[0], *other));
        }
        let took = |record: &CommitRecord| record.committed.since(record.proposed);
        Ok(HeightFigures {
            height: commits[0].height,
            replicas: commits.len() as u32,
            quorum: commits.get(quorum.max(1) as usize - 1).map(took),
            last: took(&commits[commits.len() - 1]),
        })
    };
    records.chunk_by(|one, other| one.height == other.height).map(figures_of).collect()
}

/// What became of blocks, of all replicas of a partition, or of several partitions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsensusFigures {
    /// Blocks that were proposed for the first time.
    pub proposed: u64,
    /// Commits: a block that n replicas commit counts n times.
    pub committed: u64,
    /// Of these, those that a replica learned from another that had committed the block.
    pub synced: u64,
    /// Heights that a replica never learned the block of, because those that it asked had no longer kept it.
    pub skipped: u64,
    /// The largest height that was committed by anybody.
    pub height_max: u32,
    /// From the first proposal of a block to its commit at a replica.
    pub latency: Spans,
    /// How often a replica left a view.
    pub view_changes: u64,
    /// How often a replica went on in a new view.
    pub new_views: u64,
    /// Blocks that were asked for because they were missed.
    pub fetches: u64,
    /// Leaders that were seen to propose two blocks in a view, once for each replica and proposal too many.
    pub equivocations: u64,
    /// Messages that could not be understood or were not allowed; they were ignored as a whole.
    pub rejected: u64,
    /// Messages for heights or views that were over, and votes of those who had voted.
    pub late: u64,
    /// Messages for heights or views that were too far ahead.
    pub early: u64,
    /// Messages that found the queue of a replica full.
    pub overrun: u64,
}

impl ConsensusFigures {
    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.proposed += other.proposed;
        self.committed += other.committed;
        self.synced += other.synced;
        self.skipped += other.skipped;
        self.height_max = self.height_max.max(other.height_max);
        self.latency.merge(&other.latency);
        self.view_changes += other.view_changes;
        self.new_views += other.new_views;
        self.fetches += other.fetches;
        self.equivocations += other.equivocations;
        self.rejected += other.rejected;
        self.late += other.late;
        self.early += other.early;
        self.overrun += other.overrun;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(height: u32, replica: NodeId, digest: u64, committed: u64) -> CommitRecord {
        let (proposed, committed) = (SimTime::from_nanos(100), SimTime::from_nanos(committed));
        CommitRecord { height, replica, digest, proposed, committed }
    }

    #[test]
    fn heights_tell_when_a_quorum_had_committed() {
        let mut records = [record(2, 0, 9, 900), record(1, 1, 7, 300), record(1, 0, 7, 200), record(1, 2, 7, 500)];
        let figures = by_height(&mut records, 2).unwrap();
        let span = SimSpan::from_nanos;
        let first = HeightFigures { height: 1, replicas: 3, quorum: Some(span(200)), last: span(400) };
        assert_eq!(figures, [first, HeightFigures { height: 2, replicas: 1, quorum: None, last: span(800) }]);
        assert_eq!(by_height(&mut [], 2), Ok(vec![]));
    }

    #[test]
    fn a_fork_is_found() {
        let mut records = [record(1, 0, 7, 200), record(1, 1, 7, 300), record(1, 2, 8, 400)];
        let fork = by_height(&mut records, 2).unwrap_err();
        assert_eq!(fork.to_string(), "replicas 0 and 2 committed different blocks at height 1");
    }
}
