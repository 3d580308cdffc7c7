//! Probes: code that watches every event of a run. The default watches nothing and costs nothing.

use crate::contract::{NodeId, SimTime};
use crate::metrics::Turn;

/// What made a node act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A message of the given kind arrived.
    Message(usize),
    /// A timer fired.
    Timer,
    /// It joined, left or crashed.
    Turn(Turn),
}

/// Watches the events of a run. Each thread has its own probe; all are given back at the end of the run.
///
/// A probe sees the events of one node in their order. The order across nodes depends on threads and partitions;
/// sort by `(time, to, from, sequence)` for the total order.
pub trait Probe: Send + Default {
    /// An event was handled at `to`. A timer has `from == to`; when `to` comes or goes, `from` and `sequence` are the
    /// largest numbers there are.
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, contents: u64);
}

impl Probe for () {
    #[inline(always)]
    fn on_event(&mut self, _: SimTime, _: NodeId, _: NodeId, _: u32, _: Cause, _: u64) {}
}
