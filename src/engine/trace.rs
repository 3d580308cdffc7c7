//! Traces: a sample of the events of a run, written down one by one.
//!
//! Each thread keeps the first of what it sees, so that all together have the first of the run; which events are sampled is
//! a function of the seed, the sender and its number of the message. So a trace is the same on any number of threads.

use super::faults::threshold;
use super::probe::{Cause, Passing, Probe};
use crate::contract::{Domain, NodeId, RandomKey, SimTime};
use crate::metrics::{Flow, Turn};

/// What is written down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracing {
    /// Most records of a run; the first in their order are kept.
    pub max: usize,
    /// Share of the messages, timers and nodes whose events are written down, from 0 to 1. Of a message all events or none.
    pub rate: f64,
    /// The seed of the run.
    pub seed: u64,
}

impl Tracing {
    /// Records that are kept unless somebody asks for more or fewer.
    pub const MAX_DEFAULT: usize = 100_000;
    /// The most records that may be kept: 32 bytes each, twice in every thread.
    pub const MAX: usize = 10_000_000;
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// A message was sent.
    Sent,
    /// A message was dropped; see [`Flow::name`] for why.
    Dropped(&'static str),
    /// A message was received.
    Received,
    /// A timer fired.
    Timer,
    /// The node joined, left or crashed.
    Turn(Turn),
}

/// An event. The order of records is that of their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// When.
    pub time: SimTime,
    /// Where: at the sender for what is sent or dropped on its way, else at the receiver.
    pub node: NodeId,
    /// Who sent the message; the node for its timers, the largest number for a turn.
    pub sender: NodeId,
    /// The sender's number of the message or the timer; the largest number for a turn.
    pub sequence: u32,
    /// What.
    pub happening: Happening,
    /// Who gets the message; the node where there is none.
    pub receiver: NodeId,
    /// The kind of the message; zero where there is none.
    pub kind: u8,
}

/// What a thread has seen.
#[derive(Clone, Debug)]
pub struct Trace {
    key: RandomKey,
    threshold: u64,
    all: bool,
    max: usize,
    records: Vec<Record>,
    /// Records that were sampled, those included that were not kept.
    seen: u64,
}

impl Default for Trace {
    /// Keeps nothing.
    fn default() -> Self {
        Trace::new(Tracing { max: 0, rate: 0.0, seed: 0 })
    }
}

impl Trace {
    /// Nothing yet.
    pub fn new(tracing: Tracing) -> Self {
        let Tracing { max, rate, seed } = tracing;
        let key = RandomKey::new(seed, Domain::Trace);
        Trace { key, threshold: threshold(rate), all: rate >= 1.0, max, records: Vec::new(), seen: 0 }
    }

    /// The trace of a run from those of its threads: the first records in their order, and how many more there were.
    pub fn gather(traces: Vec<Trace>) -> (Vec<Record>, u64) {
        let max = traces.iter().map(|trace| trace.max).max().unwrap_or(0);
        let seen: u64 = traces.iter().map(|trace| trace.seen).sum();
        let mut records: Vec<Record> = traces.into_iter().flat_map(|trace| trace.records).collect();
        records.sort_unstable();
        records.truncate(max);
        let cut = seen - records.len() as u64;
        (records, cut)
    }

    fn add(&mut self, record: Record, (entity, number): (NodeId, u32)) {
        if !self.all && self.key.word(entity, number) >= self.threshold {
            return;
        }
        self.seen += 1;
        if self.max == 0 {
            return;
        }
        self.records.push(record);
        if self.records.len() >= 2 * self.max {
            // The records after the first `max` of this thread are not among the first of the run either.
            self.records.select_nth_unstable(self.max - 1);
            self.records.truncate(self.max);
        }
    }
}

impl Probe for Trace {
    #[cold]
    #[inline(never)]
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, _: u64) {
        let (happening, kind) = match cause {
            Cause::Message(kind) => (Happening::Received, kind as u8),
            Cause::Timer => (Happening::Timer, 0),
            Cause::Turn(turn) => (Happening::Turn(turn), 0),
        };
        let entity = if let Cause::Turn(_) = cause { to } else { from };
        let record = Record { time, node: to, sender: from, sequence, happening, receiver: to, kind };
        self.add(record, (entity, sequence));
    }

    fn watches_messages(&self) -> bool {
        true
    }

    #[cold]
    #[inline(never)]
    fn on_passing(&mut self, passing: Passing) {
        let Passing { time, from, to, sequence, kind, flow } = passing;
        let node = if matches!(flow, Flow::DownlinkFull | Flow::ReceiverDown) { to } else { from };
        let happening = if flow == Flow::Sent { Happening::Sent } else { Happening::Dropped(flow.name()) };
        let record = Record { time, node, sender: from, sequence, happening, receiver: to, kind: kind as u8 };
        self.add(record, (from, sequence));
    }
}
