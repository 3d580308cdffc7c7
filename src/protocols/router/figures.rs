//! What became of attachments and of messages: counters and histograms of fixed size.

use serde::{Deserialize, Serialize};

use crate::contract::{Counts, SimSpan, Spans};

/// Why a message could not be delivered, as far as its sender can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// The sender had no parent.
    Orphaned,
    /// No home of the receiver knew where it is.
    Unknown,
    /// The receiver was no longer where its home took it to be.
    Stale,
    /// No answer came: the message, or the receipt, was lost, or whoever should have passed it on was down.
    Unanswered,
}

impl Cause {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of [`RouterFigures::failed`].
    pub const ALL: [Cause; Cause::COUNT] = [Cause::Orphaned, Cause::Unknown, Cause::Stale, Cause::Unanswered];
}

/// Most spans of time by which the children of full nodes are counted; what comes later counts in the last.
pub const LOAD_SLOTS_MAX: usize = 64;

/// How many children full nodes had: how often each number came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loads {
    /// By number of children; as long as the largest that came, so bounded by the capacity of a full node.
    cells: Vec<u64>,
}

impl Loads {
    /// A full node has `children`.
    pub fn add(&mut self, children: u32) {
        let place = children as usize;
        if self.cells.len() <= place {
            self.cells.resize(place + 1, 0);
        }
        self.cells[place] += 1;
    }

    /// Adds what came elsewhere.
    pub fn merge(&mut self, other: &Self) {
        if self.cells.len() < other.cells.len() {
            self.cells.resize(other.cells.len(), 0);
        }
        self.cells.iter_mut().zip(&other.cells).for_each(|(own, more)| *own += more);
    }

    /// How many full nodes were counted.
    pub fn count(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// All their children.
    pub fn sum(&self) -> u64 {
        self.cells.iter().zip(0..).map(|(&count, children)| count * children).sum()
    }

    /// The mean; `None` if none was counted.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum() as f64 / self.count() as f64)
    }

    /// The number of children that `percent` per cent of the full nodes reach at most; `None` if none was counted.
    pub fn quantile(&self, percent: u64) -> Option<u32> {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        let mut before = 0;
        let place = self.cells.iter().position(|&count| {
            before += count;
            before >= rank
        });
        place.map(|place| place as u32)
    }

    /// The most children; `None` if none was counted.
    pub fn max(&self) -> Option<u32> {
        self.quantile(100)
    }
}

/// How nodes of one type came by their parents, and were without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachFigures {
    /// Times from a node's start, or its return, until it had its first parent.
    pub joined: Spans,
    /// Spans without any parent, after it had one: from when the node took the last for dead until it had another.
    pub orphaned: Spans,
    /// The same spans from when a parent was last heard of: longer by the time that it took to find out, and by that since
    /// the last heartbeat.
    pub unserved: Spans,
    /// The sum of `orphaned`, in nanoseconds.
    pub orphaned_nanos: u128,
    /// The sum of `unserved`, in nanoseconds.
    pub unserved_nanos: u128,
    /// Parents that nodes were asked to be.
    pub requests: u64,
    /// Of these, those who accepted.
    pub accepted: u64,
    /// Of these, those who refused.
    pub refused: u64,
    /// Of these, those who did not answer in time.
    pub timeouts: u64,
    /// Requests that went to somebody whom another had named who refused.
    pub redirected: u64,
    /// Times that a node gave up for a while.
    pub pauses: u64,
    /// Parents that were taken for dead.
    pub failovers: u64,
    /// Parents that said that they are none, or that they leave.
    pub dismissed: u64,
    /// Nodes that went over to another parent because theirs had asked them to.
    pub moved: u64,
    /// Nodes that were asked to, but stayed.
    pub stayed: u64,
}

impl AttachFigures {
    pub(super) fn end_orphaned(&mut self, orphaned: SimSpan, unserved: SimSpan) {
        self.orphaned.add(orphaned);
        self.unserved.add(unserved);
        self.orphaned_nanos += u128::from(orphaned.as_nanos());
        self.unserved_nanos += u128::from(unserved.as_nanos());
    }

    fn merge(&mut self, other: &Self) {
        self.joined.merge(&other.joined);
        self.orphaned.merge(&other.orphaned);
        self.unserved.merge(&other.unserved);
        self.orphaned_nanos += other.orphaned_nanos;
        self.unserved_nanos += other.unserved_nanos;
        self.requests += other.requests;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.timeouts += other.timeouts;
        self.redirected += other.redirected;
        self.pauses += other.pauses;
        self.failovers += other.failovers;
        self.dismissed += other.dismissed;
        self.moved += other.moved;
        self.stayed += other.stayed;
    }
}

/// What became of attachments and of messages, of all nodes of a partition, or of several partitions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterFigures {
    /// By type of node; super nodes have no parents.
    pub attach: [AttachFigures; 4],
    /// Messages that light nodes began to send to others.
    pub sent: u64,
    /// Messages that were due while the one before had neither arrived nor failed; they were not sent.
    pub skipped: u64,
    /// Times that a message was sent again.
    pub retries: u64,
    /// Messages that arrived, each once.
    pub delivered: u64,
    /// Messages that arrived again.
    pub repeated: u64,
    /// Messages whose sender knows that they arrived.
    pub confirmed: u64,
    /// Messages that their sender gave up, by [`Cause`]: the last that it learnt of. Some may have arrived all the same.
    pub failed: [u64; Cause::COUNT],
    /// Messages whose sender went away while they were under way.
    pub aborted: u64,
    /// Receipts, or news of failures, that came too late.
    pub late: u64,
    /// Nodes that a delivered message was sent by: 2 with a parent in common, 4 by way of a home.
    pub hops: Counts<8>,
    /// From when a message was first sent until it arrived, to within a millisecond.
    pub latency: Spans,
    /// From when a message was first sent until the receipt was back, likewise.
    pub round_trip: Spans,
    /// Messages that could not be understood, or that their sender may not send; they were ignored.
    pub rejected: u64,
    /// Answers that nobody waited for, and what came from nodes that are not parents or children.
    pub strangers: u64,
    /// Children that were not heard of for too long, and were forgotten.
    pub expired: u64,
    /// Children that were asked to go over to another parent.
    pub asked_to_move: u64,
    /// Locations that homes learnt of or had confirmed.
    pub registered: u64,
    /// Locations for which homes had no room.
    pub unregistrable: u64,
    /// Locations that were forgotten because they were not confirmed in time.
    pub lapsed: u64,
    /// Digests that super nodes took in.
    pub digests: u64,
    /// Children of full nodes, by span of time.
    loads: Vec<Loads>,
}

impl RouterFigures {
    /// How many children full nodes had whenever they sent digests, by span of time ([`RouterOptions::sample`]).
    ///
    /// [`RouterOptions::sample`]: super::RouterOptions::sample
    pub fn loads(&self) -> &[Loads] {
        &self.loads
    }

    pub(super) fn add_load(&mut self, slot: u64, children: u32) {
        let slot = slot.min(LOAD_SLOTS_MAX as u64 - 1) as usize;
        if self.loads.len() <= slot {
            self.loads.resize(slot + 1, Loads::default());
        }
        self.loads[slot].add(children);
    }

    /// Messages that failed, for whatever cause.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Adds what became of others.
    pub fn merge(&mut self, other: &Self) {
        self.attach.iter_mut().zip(&other.attach).for_each(|(own, more)| own.merge(more));
        self.failed.iter_mut().zip(&other.failed).for_each(|(own, more)| *own += more);
        self.sent += other.sent;
        self.skipped += other.skipped;
        self.retries += other.retries;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.confirmed += other.confirmed;
        self.aborted += other.aborted;
        self.late += other.late;
        self.hops.merge(&other.hops);
        self.latency.merge(&other.latency);
        self.round_trip.merge(&other.round_trip);
        self.rejected += other.rejected;
        self.strangers += other.strangers;
        self.expired += other.expired;
        self.asked_to_move += other.asked_to_move;
        self.registered += other.registered;
        self.unregistrable += other.unregistrable;
        self.lapsed += other.lapsed;
        self.digests += other.digests;
        if self.loads.len() < other.loads.len() {
            self.loads.resize(other.loads.len(), Loads::default());
        }
        self.loads.iter_mut().zip(&other.loads).for_each(|(own, more)| own.merge(more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_loads_are_exact() {
        let (mut even, mut odd) = (Loads::default(), Loads::default());
        assert_eq!((even.mean(), even.max(), even.quantile(50)), (None, None, None));
        (1..=100).for_each(|children| if children % 2 == 0 { even.add(children) } else { odd.add(children) });
        odd.merge(&even);
        assert_eq!((odd.count(), odd.mean(), odd.max()), (100, Some(50.5), Some(100)));
        assert_eq!([1, 50, 99].map(|percent| odd.quantile(percent)), [Some(1), Some(50), Some(99)]);
    }

    #[test]
    fn what_comes_after_the_last_span_counts_in_it() {
        let mut figures = RouterFigures::default();
        figures.add_load(u64::MAX, 3);
        figures.add_load(0, 5);
        let mut both = RouterFigures::default();
        both.merge(&figures);
        both.merge(&figures);
        assert_eq!(both.loads().len(), LOAD_SLOTS_MAX);
        assert_eq!((both.loads()[0].count(), both.loads()[LOAD_SLOTS_MAX - 1].max()), (2, Some(3)));
    }
}
