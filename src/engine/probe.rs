//! Probes: code that watches every event of a run. The default watches nothing and costs nothing.

use crate::contract::{NodeId, SimTime};
use crate::metrics::{Flow, Turn};

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

/// What became of a message before it was received, or instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passing {
    /// When.
    pub time: SimTime,
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The sender's number of the message.
    pub sequence: u32,
    /// Its kind.
    pub kind: usize,
    /// [`Flow::Sent`], or the cause of a drop.
    pub flow: Flow,
}

/// Watches the events of a run. Each thread has its own probe; all are given back at the end of the run.
///
/// A probe sees the events of one node in their order. The order across nodes depends on threads and partitions;
/// sort by `(time, to, from, sequence)` for the total order.
pub trait Probe: Send + Default {
    /// An event was handled at `to`. A timer has `from == to`; when `to` comes or goes, `from` and `sequence` are the
    /// largest numbers there are.
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, contents: u64);

    /// Whether it wants to know of messages before they are received; asked whenever a node sends.
    #[inline(always)]
    fn watches_messages(&self) -> bool {
        false
    }

    /// A message was sent, or dropped on its way or on its arrival; all of them only where
    /// [`Probe::watches_messages`]. Broadcasts that are counted as a whole are not among them.
    #[inline(always)]
    fn on_passing(&mut self, _passing: Passing) {}
}

impl Probe for () {
    #[inline(always)]
    fn on_event(&mut self, _: SimTime, _: NodeId, _: NodeId, _: u32, _: Cause, _: u64) {}
}

/// What watches if there is anything that does: a branch for each event, for those who would rather not compile an engine
/// with and one without.
impl<O: Probe> Probe for Option<O> {
    #[inline(always)]
    fn on_event(&mut self, time: SimTime, to: NodeId, from: NodeId, sequence: u32, cause: Cause, contents: u64) {
        if let Some(probe) = self {
            probe.on_event(time, to, from, sequence, cause, contents);
        }
    }

    #[inline(always)]
    fn watches_messages(&self) -> bool {
        self.as_ref().is_some_and(Probe::watches_messages)
    }

    #[inline(always)]
    fn on_passing(&mut self, passing: Passing) {
        if let Some(probe) = self {
            probe.on_passing(passing);
        }
    }
}
