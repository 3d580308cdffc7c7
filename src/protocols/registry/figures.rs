//! What devices got, what it took, and how old reads were.

use serde::{Deserialize, Serialize};

use super::Operation;
use super::store::Outcome;
use crate::contract::Spans;

/// What became of the operations of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationFigures {
    /// Operations that were begun.
    pub asked: u64,
    /// Answers, by outcome.
    pub outcomes: [u64; Outcome::COUNT],
    /// Operations that were due while another one was under way, or that could not be.
    pub skipped: u64,
    /// Times that a parent was asked because another did not answer.
    pub retried: u64,
    /// Operations that got no answer.
    pub abandoned: u64,
    /// From when it was due until the answer.
    pub latency: Spans,
}

impl OperationFigures {
    /// Operations that got an answer.
    pub fn answered(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Operations that were done, now or before.
    pub fn done(&self) -> u64 {
        self.outcomes[Outcome::Done as usize] + self.outcomes[Outcome::Repeated as usize]
    }

    fn merge(&mut self, other: &Self) {
        self.asked += other.asked;
        self.outcomes.iter_mut().zip(other.outcomes).for_each(|(own, more)| *own += more);
        self.skipped += other.skipped;
        self.retried += other.retried;
        self.abandoned += other.abandoned;
        self.latency.merge(&other.latency);
    }
}

/// Operations that were begun in a slice of time, and those of them that got an answer: changes, and then reads.
pub type Slice = [[u64; 2]; 2];

/// What the nodes of a partition found, or of several together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryFigures {
    /// Of registrations, endorsements, lookups and queries.
    pub operations: [OperationFigures; 4],
    /// Messages and bytes by what they serve, in the order of [`Operation::ALL`]. What a leader sends counts with its answer.
    pub traffic: [[u64; 2]; Operation::COUNT],
    /// Registrations, and then endorsements, that concern one shard, and those that concern two.
    pub crossing: [[u64; 2]; 2],
    /// How old at most were reads that members other than the leader served.
    pub age: Spans,
    /// Reads that leaders served.
    pub led_reads: u64,
    /// Lookups of users that the asking device had been told to be registered, and those of them that did not find them.
    pub own_reads: u64,
    /// As above.
    pub missed_reads: u64,
    /// Shards that were asked for users, those that answered, users that came to devices, and pages that were cut short
    /// because a shard did not answer.
    pub scanned: u64,
    /// As above.
    pub pages: u64,
    /// As above.
    pub found: u64,
    /// As above.
    pub short_pages: u64,
    /// Requests that were dropped because too much waited at a node.
    pub dropped: u64,
    /// Requests that were dropped because too much of a shard was not committed.
    pub busy: u64,
    /// Flows that gateways gave up.
    pub given_up: u64,
    /// Old claims that were found to be good, and those that were released.
    pub settled: [u64; 2],
    /// How often a member asked to become leader, and became it.
    pub campaigns: u64,
    /// As above.
    pub leaders: u64,
    /// Members that the driver wanted replaced, those that were, and replicas that were dropped.
    pub planned: u64,
    /// As above.
    pub replaced: u64,
    /// As above.
    pub dismissed: u64,
    /// Nodes that left when they kept nothing more.
    pub drained: u64,
    /// Bytes of records, and of entries, that leaders sent to who lacked them.
    pub moved: u64,
    /// As above.
    pub taught: u64,
    /// Messages that could not be understood or were not allowed.
    pub invalid: u64,
    /// Operations over time.
    pub slices: Vec<Slice>,
    /// Users, with their government ids, whose registration devices know of: for the audit, no node knows it.
    pub acknowledged: Vec<[u32; 2]>,
}

impl RegistryFigures {
    /// The slice of this number.
    pub(super) fn slice(&mut self, number: usize) -> &mut Slice {
        if self.slices.len() <= number {
            self.slices.resize(number + 1, Slice::default());
        }
        &mut self.slices[number]
    }

    /// Adds those of another partition.
    pub fn merge(&mut self, other: &Self) {
        self.operations.iter_mut().zip(&other.operations).for_each(|(own, more)| own.merge(more));
        let pairs = self.traffic.as_flattened_mut().iter_mut().zip(other.traffic.as_flattened());
        pairs.for_each(|(own, more)| *own += more);
        let pairs = self.crossing.as_flattened_mut().iter_mut().zip(other.crossing.as_flattened());
        pairs.for_each(|(own, more)| *own += more);
        self.settled.iter_mut().zip(other.settled).for_each(|(own, more)| *own += more);
        self.age.merge(&other.age);
        self.led_reads += other.led_reads;
        self.own_reads += other.own_reads;
        self.missed_reads += other.missed_reads;
        self.scanned += other.scanned;
        self.pages += other.pages;
        self.found += other.found;
        self.short_pages += other.short_pages;
        self.dropped += other.dropped;
        self.busy += other.busy;
        self.given_up += other.given_up;
        self.campaigns += other.campaigns;
        self.leaders += other.leaders;
        self.planned += other.planned;
        self.replaced += other.replaced;
        self.dismissed += other.dismissed;
        self.drained += other.drained;
        self.moved += other.moved;
        self.taught += other.taught;
        self.invalid += other.invalid;
        for (number, slice) in other.slices.iter().enumerate() {
            let own = self.slice(number).as_flattened_mut();
            own.iter_mut().zip(slice.as_flattened()).for_each(|(own, more)| *own += more);
        }
        self.acknowledged.extend_from_slice(&other.acknowledged);
        self.acknowledged.sort_unstable();
    }
}
