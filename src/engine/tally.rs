//! What one lane counts: traffic by slice of time, what it queued, delays, and events.

use std::io;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::checkpoint::{CheckpointError, Decoder, Encoder};
use crate::contract::NodeType;
use crate::metrics::{Count, Flow, LinkDelays, StoredHistogram, Traffic};

/// Most message kinds of a protocol; a power of two, so that a masked index needs no check.
pub(super) const KINDS_MAX: usize = 128;

const TYPES: usize = NodeType::ALL.len();
/// Rows of one slice: flows by types, rounded up to a power of two.
const ROWS: usize = (Flow::ALL.len() * TYPES).next_power_of_two();

/// Counters of one lane. A window may straddle one boundary between slices, so two slices are open at a time: the
/// current one (0) and the one after the next boundary (1).
#[derive(Debug)]
pub(super) struct Tally {
    kinds: usize,
    /// `[kind][slice][flow][type]`, the last three flattened: what the conservation check adds up lies together.
    open: Box<[[Count; 2 * ROWS]; KINDS_MAX]>,
    closed: Vec<Traffic>,
    /// Sums over the closed slices, for the conservation check.
    settled: [KindTotals; KINDS_MAX],
    /// Messages put into queues less messages taken out of them, by kind. Only the sum over lanes means something:
    /// one lane puts in what another takes out.
    pub(super) queued: [i64; KINDS_MAX],
    pub(super) delays: Vec<Histogram<u64>>,
    /// Delays by region, row by row: from, then to. Empty if not recorded.
    pub(super) links: Vec<LinkDelays>,
    /// Deliveries and timer firings.
    pub(super) events: u64,
    /// Wire bytes of counted broadcasts in the measured span: every other node received them.
    pub(super) broadcast_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct KindTotals {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) dropped: u64,
}

/// The row of the counters of `flow` at nodes of `node_type` in an open slice.
#[inline(always)]
pub(super) const fn row(slice: usize, flow: Flow, node_type: NodeType) -> usize {
    slice * ROWS + flow as usize * TYPES + node_type as usize
}

impl Tally {
    /// Counters of `kinds` kinds of messages. With `with_delays`, delays are recorded, also by pair of `regions`.
    pub(super) fn new(kinds: usize, with_delays: bool, regions: usize) -> Self {
        let histogram = || Histogram::new(3).expect("three significant digits are allowed");
        Tally {
            kinds,
            open: Box::new([[Count::default(); 2 * ROWS]; KINDS_MAX]),
            closed: Vec::new(),
            settled: [KindTotals::default(); KINDS_MAX],
            queued: [0; KINDS_MAX],
            delays: if with_delays { (0..kinds).map(|_| histogram()).collect() } else { Vec::new() },
            links: if with_delays { vec![LinkDelays::default(); regions * regions] } else { Vec::new() },
            events: 0,
            broadcast_bytes: 0,
        }
    }

    /// Counts in a [`row`].
    #[inline(always)]
    pub(super) fn add(&mut self, row: usize, kind: usize, messages: u64, bytes: u64) {
        self.open[kind % KINDS_MAX][row % (2 * ROWS)] += Count { messages, bytes };
    }

    /// Passes a boundary: the current slice is closed.
    pub(super) fn close_slice(&mut self) {
        let mut done = Traffic::new(self.kinds);
        for flow in Flow::ALL {
            for node_type in NodeType::ALL {
                for kind in 0..self.kinds {
                    let open = &mut self.open[kind];
                    let next = std::mem::take(&mut open[row(1, flow, node_type)]);
                    let count = std::mem::replace(&mut open[row(0, flow, node_type)], next);
                    done.add(flow, kind, node_type, count);
                    self.settled[kind].add(flow, count.messages);
                }
            }
        }
        self.closed.push(done);
    }

    /// Totals of `kind` since the start of the run.
    pub(super) fn totals(&self, kind: usize) -> KindTotals {
        let mut totals = self.settled[kind];
        for slice in 0..2 {
            for flow in Flow::ALL {
                for node_type in NodeType::ALL {
                    totals.add(flow, self.open[kind][row(slice, flow, node_type)].messages);
                }
            }
        }
        totals
    }

    /// Adds all that `other` counted up to the same moment.
    pub(super) fn absorb(&mut self, other: &Tally) {
        self.closed.resize_with(other.closed.len(), || Traffic::new(self.kinds));
        self.closed.iter_mut().zip(&other.closed).for_each(|(sum, more)| *sum += more);
        for kind in 0..self.kinds {
            let rows = self.open[kind].iter_mut().zip(&other.open[kind]);
            rows.for_each(|(sum, more)| *sum += *more);
            self.settled[kind] += other.settled[kind];
            self.queued[kind] += other.queued[kind];
        }
        for (sum, more) in self.delays.iter_mut().zip(&other.delays) {
            sum.add(more).expect("histograms that grow can be added");
        }
        self.links.iter_mut().zip(&other.links).for_each(|(sum, more)| sum.add(more));
        self.events += other.events;
        self.broadcast_bytes = self.broadcast_bytes.wrapping_add(other.broadcast_bytes);
    }

    /// How many slices are closed.
    pub(super) fn closed_slices(&self) -> usize {
        self.closed.len()
    }

    /// Writes all that was counted.
    pub(super) fn save(&self, to: &mut Encoder<'_>) -> io::Result<()> {
        to.put(&(self.events, self.broadcast_bytes))?;
        to.put(&self.closed)?;
        for kind in 0..self.kinds {
            to.put(&(self.settled[kind], self.queued[kind]))?;
            self.open[kind].iter().try_for_each(|count| to.put(count))?;
        }
        self.delays.iter().try_for_each(|delays| to.put(&StoredHistogram::of(delays)))?;
        self.links.iter().try_for_each(|delays| to.put(delays))
    }

    /// Reads what a tally that counts the same wrote, after `passed` boundaries, over what this one has.
    pub(super) fn load(&mut self, from: &mut Decoder<'_>, passed: usize) -> Result<(), CheckpointError> {
        (self.events, self.broadcast_bytes) = from.get()?;
        self.closed = from.get()?;
        if self.closed.len() != passed || self.closed.iter().any(|slice| !slice.is_of_kinds(self.kinds)) {
            return Err(CheckpointError::damaged("its slices of time are not those of the run"));
        }
        for kind in 0..self.kinds {
            (self.settled[kind], self.queued[kind]) = from.get()?;
            for count in &mut self.open[kind] {
                *count = from.get()?;
            }
        }
        for delays in &mut self.delays {
            let stored = from.get::<StoredHistogram>()?.histogram();
            *delays = stored.ok_or_else(|| CheckpointError::damaged("a histogram holds what it cannot"))?;
        }
        for delays in &mut self.links {
            *delays = from.get()?;
        }
        Ok(())
    }

    /// The slices in order, the delays, and those by region, when the run has ended.
    pub(super) fn into_results(mut self) -> (Vec<Traffic>, Vec<Histogram<u64>>, Vec<LinkDelays>) {
        self.close_slice();
        (self.closed, self.delays, self.links)
    }
}

impl std::ops::AddAssign for KindTotals {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.received += more.received;
        self.dropped += more.dropped;
    }
}

impl KindTotals {
    fn add(&mut self, flow: Flow, messages: u64) {
        match flow {
            Flow::Sent => self.sent += messages,
            Flow::Received => self.received += messages,
            _ => self.dropped += messages,
        }
    }
}
