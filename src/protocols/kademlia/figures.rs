//! What became of lookups and contacts: counters, histograms of fixed size, and records of single lookups.

use serde::{Deserialize, Serialize};

use super::lookup::Purpose;
use crate::contract::{Counts, Key256, NodeId, SimSpan, SimTime, Spans};

/// What became of the lookups with one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupFigures {
    /// Lookups that ended.
    pub finished: u64,
    /// Of these, those that found what they were for: the value, or anybody who answered.
    pub found: u64,
    /// Nodes that answered neither a request nor its repetition in time, as long as the lookup was under way.
    pub timeouts: u64,
    /// Steps to the closest node that answered, or to whoever had the value: how many nodes told of each other on the
    /// way to it. A contact of the node itself is one hop away, the node itself none. Of those that found anything.
    pub hops: Counts<32>,
    /// Requests of a lookup, repetitions included.
    pub requests: Counts<256>,
    /// From the first request to the last answer, of those that found anything.
    pub latency: Spans,
}

impl LookupFigures {
    pub(super) fn add(&mut self, record: &LookupRecord) {
        self.finished += 1;
        self.timeouts += u64::from(record.timeouts);
        self.requests.add(u64::from(record.requests));
        if record.found {
            self.found += 1;
            self.hops.add(u64::from(record.hops));
            self.latency.add(record.latency);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.finished += other.finished;
        self.found += other.found;
        self.timeouts += other.timeouts;
        self.hops.merge(&other.hops);
        self.requests.merge(&other.requests);
        self.latency.merge(&other.latency);
    }
}

/// One lookup that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupRecord {
    /// When it ended.
    pub ended: SimTime,
    /// Whose lookup it was.
    pub node: NodeId,
    /// What it was for.
    pub purpose: Purpose,
    /// Of what.
    pub target: Key256,
    /// The closest node that answered, or whoever had the value; the node itself if that is closer.
    pub closest: NodeId,
    /// Whether the value was found, or anybody answered.
    pub found: bool,
    /// Steps to the closest node.
    pub hops: u8,
    /// Requests that were sent, repetitions included.
    pub requests: u16,
    /// Nodes that answered neither a request nor its repetition in time.
    pub timeouts: u16,
    /// How long it took.
    pub latency: SimSpan,
}

/// What became of lookups and contacts, of all nodes of a partition, or of several partitions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KademliaFigures {
    lookups: [LookupFigures; Purpose::COUNT],
    /// Messages that could not be understood; they were ignored as a whole.
    pub rejected: u64,
    /// Answers that nobody waited for: late ones, and second ones to requests that were repeated too soon, included.
    pub unasked: u64,
    /// Lookups that were due, but the node had not joined yet or had too many under way.
    pub skipped: u64,
    /// Lookups whose node went away.
    pub aborted: u64,
    /// Full buckets whose least recently seen contact was pinged because there was another.
    pub checks: u64,
    /// Contacts that did not answer such a ping, and were removed.
    pub evicted: u64,
    /// Contacts that did not answer a request and its repetition, and were removed.
    pub failed: u64,
    /// Of contacts that were evicted or removed, those for which there was a replacement.
    pub replaced: u64,
    /// Requests of lookups that were sent for the second time.
    pub repeated: u64,
    /// Values that were kept.
    pub stored: u64,
    /// Values for which there was no room.
    pub refused: u64,
}

impl KademliaFigures {
    /// What became of the lookups with the purpose of this one; numbers of values do not matter.
    pub fn lookups(&self, purpose: Purpose) -> &LookupFigures {
        &self.lookups[purpose.index()]
    }

    pub(super) fn lookups_mut(&mut self, purpose: Purpose) -> &mut LookupFigures {
        &mut self.lookups[purpose.index()]
    }

    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.lookups.iter_mut().zip(&other.lookups).for_each(|(own, more)| own.merge(more));
        self.rejected += other.rejected;
        self.unasked += other.unasked;
        self.skipped += other.skipped;
        self.aborted += other.aborted;
        self.checks += other.checks;
        self.evicted += other.evicted;
        self.failed += other.failed;
        self.replaced += other.replaced;
        self.repeated += other.repeated;
        self.stored += other.stored;
        self.refused += other.refused;
    }
}
