//! What became of transactions and blocks: counters and histograms of fixed size.

use serde::{Deserialize, Serialize};

use crate::contract::{Counts, NodeType, SimSpan, Spans};

/// When the nodes of one type held blocks, or of light and mobile nodes their headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldFigures {
    /// From the first proposal of a block until a node held it.
    pub since_proposal: Spans,
    /// From its commit at the super node that the node got it from.
    pub since_commit: Spans,
    /// Blocks or headers that came again, or after a later one.
    pub repeated: u64,
    /// Heights that a node passed over because a later one came first.
    pub passed_over: u64,
    /// How often a node turned to another parent because the one before was silent.
    pub switched: u64,
}

impl HoldFigures {
    fn merge(&mut self, other: &Self) {
        self.since_proposal.merge(&other.since_proposal);
        self.since_commit.merge(&other.since_commit);
        self.repeated += other.repeated;
        self.passed_over += other.passed_over;
        self.switched += other.switched;
    }
}

/// What became of transactions and blocks, of all nodes of a partition, or of several partitions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerFigures {
    /// Transactions that light and mobile nodes submitted.
    pub submitted: u64,
    /// Transactions that were due, but the one before was not accepted yet, so they were not made.
    pub skipped: u64,
    /// Submissions that were sent again because they were not accepted in time.
    pub retried: u64,
    /// Transactions that no parent accepted, so their submitter gave them up.
    pub abandoned: u64,
    /// Submissions that a full node had no room for.
    pub refused: u64,
    /// Transactions that full nodes validated.
    pub validated: u64,
    /// Transactions of a batch that no super node acknowledged, so the full node gave them up.
    pub dropped: u64,
    /// Transactions that a super node got, but had no room for.
    pub rejected: u64,
    /// Transactions that a super node got though it had them, or a block did.
    pub duplicates: u64,
    /// Transactions in committed blocks, counted where the block was proposed.
    pub committed: u64,
    /// Of these, those that were in one of the blocks before as well.
    pub committed_again: u64,
    /// From the submission to the commit, at the super node that proposed the block.
    pub commit: Spans,
    /// From the submission until the submitter was told that a block holds it.
    pub seen: Spans,
    /// Blocks that were committed, counted where they were proposed.
    pub blocks: u64,
    /// Transactions in them, by hundreds.
    pub block_size: Counts<64>,
    /// When full, light and mobile nodes held them.
    hold: [HoldFigures; 3],
    /// Messages that could not be understood or were not allowed.
    pub invalid: u64,
}

impl LedgerFigures {
    /// When the nodes of `node_type` held blocks; super nodes hold them when they commit, so theirs are empty.
    pub fn hold(&self, node_type: NodeType) -> Option<&HoldFigures> {
        self.hold.get((node_type as usize).checked_sub(1)?)
    }

    /// Of a full, light or mobile node.
    #[inline(always)]
    pub(super) fn hold_mut(&mut self, node_type: NodeType) -> &mut HoldFigures {
        &mut self.hold[(node_type as usize).saturating_sub(1)]
    }

    #[inline(always)]
    pub(super) fn held(&mut self, node_type: NodeType, since_proposal: SimSpan, since_commit: SimSpan) {
        let hold = self.hold_mut(node_type);
        hold.since_proposal.add(since_proposal);
        hold.since_commit.add(since_commit);
    }

    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.submitted += other.submitted;
        self.skipped += other.skipped;
        self.retried += other.retried;
        self.abandoned += other.abandoned;
        self.refused += other.refused;
        self.validated += other.validated;
        self.dropped += other.dropped;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.committed += other.committed;
        self.committed_again += other.committed_again;
        self.commit.merge(&other.commit);
        self.seen.merge(&other.seen);
        self.blocks += other.blocks;
        self.block_size.merge(&other.block_size);
        self.hold.iter_mut().zip(&other.hold).for_each(|(own, more)| own.merge(more));
        self.invalid += other.invalid;
    }
}
