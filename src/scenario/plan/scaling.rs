//! How long a run over ranks takes: a model of compute, exchange and latency, whose terms were measured on one machine.
//!
//! A run of `R` ranks with `T` threads each that handles `E` events, meets `M` times and sends `B` bytes from rank to rank
//! at `X` of these meetings takes
//!
//! - compute: `E * event / (R * T * share)`, where `share` is 1 for one thread and [`THREADS_SHARE`] for more;
//! - exchange: `B / R * (byte / (T * share) + 1 / bandwidth)`, what the threads of a rank pack and unpack, and it sends;
//! - latency: `M * meeting + (M * ceil(log2 R) + X) * latency + X * (R - 1) * post`, an all-reduce a meeting, and for an
//!   exchange a message to every other rank.
//!
//! `event`, `byte` and `meeting` are [`Terms`], fitted to runs of two ranks on one machine. All else is the network of a
//! [`Cluster`], which is stated and not measured: on one machine there is none.

use super::super::build::{Deal, latency};
use super::super::{Point, Scenario};
use super::forecast;
use crate::engine::meeting_span;

/// What runs on one machine took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Of an event on one thread, in seconds.
    pub event: f64,
    /// Of a byte that a rank packs, hands over in memory, and unpacks, in seconds.
    pub byte: f64,
    /// Of a meeting of two ranks on one machine, and the bookkeeping of its windows, in seconds.
    pub meeting: f64,
}

/// Fitted to the runs of `tests/ranks/scaling.csv` by least squares of relative errors.
pub const MEASURED: Terms = Terms { event: 206.0e-9, byte: 6.950e-9, meeting: 5603e-9 };

/// What more threads of a rank do of what they would do if each did as much as one: two threads of one process handle 1.6 to
/// 1.9 times the events of one. Of more than two it is an assumption.
pub const THREADS_SHARE: f64 = 0.8;

/// Bytes of a remote heartbeat.
const MESSAGE_BYTES: f64 = 19.0;
/// What it takes a rank to post a message to another, in seconds: an assumption.
const POST_S: f64 = 1e-6;

/// A network between machines with one rank each. Assumed, not measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// What it is called in plans.
    pub name: &'static str,
    /// What a rank can send, in bytes a second.
    pub bandwidth: f64,
    /// One way of a small message, in seconds.
    pub latency: f64,
}

/// 25 Gbit/s with the latency of a fast interconnect, and with that of ordinary Ethernet and its protocols.
pub const CLUSTERS: [Cluster; 2] = [
    Cluster { name: "25 Gbit/s and 2 us", bandwidth: 25e9 / 8.0, latency: 2e-6 },
    Cluster { name: "25 Gbit/s and 50 us", bandwidth: 25e9 / 8.0, latency: 50e-6 },
];

/// What a run over ranks has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Ranks.
    pub ranks: usize,
    /// Threads of each.
    pub threads: usize,
    /// Events in all ranks.
    pub events: f64,
    /// Bytes from rank to rank.
    pub bytes: f64,
    /// Times at which ranks agree on what is next.
    pub meetings: f64,
    /// Meetings at which they send each other something.
    pub exchanges: f64,
}

/// What a run takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds {
    /// Handling events.
    pub compute: f64,
    /// Sending bytes.
    pub exchange: f64,
    /// Waiting for others.
    pub latency: f64,
}

impl Seconds {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.compute + self.exchange + self.latency
    }
}

impl Load {
    /// What `point` is expected to be over `ranks` ranks of `threads` threads. Every event counts as a message, and every
    /// meeting as an exchange, so it is rather too much.
    pub fn of(scenario: &Scenario, point: &Point, ranks: usize, threads: usize) -> Load {
        let events = forecast(scenario, point, threads).events as f64;
        let delays = latency(&scenario.network.latency, scenario.seed);
        let (smallest, largest) = (delays.smallest(), delays.largest());
        let (apart, kept) = match Deal::of(scenario, point, ranks) {
            Deal::Regions { apart, .. } => (apart, point.nearby.unwrap_or(0.0)),
            Deal::Stretches(_) => (smallest, point.nearby.unwrap_or(0.0)),
            _ => (smallest, 0.0),
        };
        let span = meeting_span(smallest, largest, apart);
        let meetings = ((point.warmup + point.measure).as_secs_f64() / span.as_secs_f64()).min(events);
        let remote = (1.0 - kept) * (ranks - 1) as f64 / ranks as f64;
        Load { ranks, threads, events, bytes: events * remote * MESSAGE_BYTES, meetings, exchanges: meetings }
    }

    /// What that takes with these `terms`, on `cluster`, or on one machine if there is none.
    pub fn seconds(&self, terms: &Terms, cluster: Option<&Cluster>) -> Seconds {
        let ranks = self.ranks as f64;
        let threads = if self.threads > 1 { self.threads as f64 * THREADS_SHARE } else { 1.0 };
        let (wire, network) = cluster.map_or((0.0, 0.0), |cluster| {
            let steps = f64::from(self.ranks.next_power_of_two().ilog2());
            let posts = self.exchanges * (ranks - 1.0) * POST_S;
            let turns = self.meetings * steps + self.exchanges * steps.min(1.0);
            (1.0 / cluster.bandwidth, turns * cluster.latency + posts)
        });
        Seconds {
            compute: self.events * terms.event / (ranks * threads),
            exchange: self.bytes / ranks * (terms.byte / threads + wire),
            latency: self.meetings * terms.meeting + network,
        }
    }
}
