//! What one lane counts: traffic by slice of time, what it queued, delays, and events.

use hdrhistogram::Histogram;

use crate::contract::NodeType;
use crate::metrics::{Count, Flow, LinkDelays, Traffic};

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

#[derive(Clone, Copy, Debug, Default)]
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
