//! Heartbeats along fixed links: who is alive, as its neighbours see it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::detector::{Detector, Rule, Watch};
use super::wire;
use crate::contract::{CoarseTime, Column, Effects, Here, NodeId, Nodes, Protocol, SimSpan, Verdict};
use crate::topologies::Graph;

/// Marks a message as a leave instead of a heartbeat. So a message takes four bytes, and slots have 31 bits.
const LEAVE: u32 = 1 << 31;
/// Fewer slots than this a partition has where nodes can leave.
pub(super) const SLOTS_MAX: usize = LEAVE as usize;

/// Every node sends a heartbeat along each of its links once per interval, at a phase that is random by node.
/// Receivers keep when they last heard each sender, and with a detector judge them by it.
#[derive(Debug)]
pub struct Heartbeat {
    graph: Graph,
    interval: SimSpan,
    len: u32,
    leaves: bool,
    detector: Option<(Detector, Rule)>,
}

impl Heartbeat {
    /// Heartbeats along the links of `graph`, padded to `size` bytes.
    pub fn new(graph: Graph, interval: SimSpan, size: u32) -> Self {
        let len = wire::padded_len(wire::HEARTBEAT_LEN, size);
        Heartbeat { graph, interval, len, leaves: false, detector: None }
    }

    /// Nodes that leave in good order say so along their links, by a message of the kind `leave`.
    #[must_use]
    pub fn with_leaves(self) -> Self {
        Heartbeat { leaves: true, ..self }
    }

    /// Nodes judge by `detector` those that they should hear, whenever their own heartbeat is due; and with
    /// [`Heartbeat::with_leaves`]. Takes four bytes a link besides what the detector takes, and four a node.
    #[must_use]
    pub fn with_detector(self, detector: Detector) -> Self {
        let rule = detector.rule(self.interval);
        Heartbeat { detector: Some((detector, rule)), ..self }.with_leaves()
    }

    /// The links along which heartbeats go.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What a receiver does where nodes may leave or are judged.
    fn take(&self, state: &mut LastHeard, from: NodeId, beat: Beat, fx: &mut impl Effects<Self>) {
        let slot = beat.slot();
        if beat.is_leave() {
            if state.watch.leave(slot) && self.detector.is_some() {
                fx.judge(from, Verdict::Down);
            }
            return;
        }
        match &self.detector {
            None => state.watch.note(slot, fx.now()),
            Some((_, rule)) => {
                if state.watch.hear(slot, rule, fx.now()) {
                    fx.judge(from, Verdict::Up);
                }
            }
        }
    }
}

/// A heartbeat under way, or a leave, naming the link by the handle that its receiver knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    slot: u32,
}

impl Beat {
    /// A heartbeat along the link with `slot`.
    #[inline(always)]
    pub(super) fn lives(slot: u32) -> Self {
        Beat { slot }
    }

    /// A leave along the link with `slot`.
    #[inline(always)]
    pub(super) fn leaves(slot: u32) -> Self {
        Beat { slot: slot | LEAVE }
    }

    #[inline(always)]
    pub(super) fn is_leave(self) -> bool {
        self.slot & LEAVE != 0
    }

    #[inline(always)]
    pub(super) fn slot(self) -> usize {
        (self.slot & !LEAVE) as usize
    }
}

/// When each incoming link of a partition was last heard of.
#[derive(Debug, Serialize, Deserialize)]
pub struct LastHeard {
    nodes: Nodes,
    /// By slot of the graph.
    watch: Watch,
    /// Who sends, by slot of the graph; empty without a detector.
    senders: Column<NodeId>,
    /// Where the slots of each node end; empty without a detector.
    ends: Column<u32>,
}

impl LastHeard {
    /// The times by slot of the graph; [`CoarseTime::NEVER`] if never heard, or, with a detector, taken for down.
    pub fn times(&self) -> &[CoarseTime] {
        self.watch.heard()
    }

    /// The slots of the node at `index`; only with a detector.
    fn slots(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start as usize..self.ends[index] as usize
    }
}

impl Protocol for Heartbeat {
    type Message = Beat;
    type Timer = ();
    type State = LastHeard;

    const ANSWERS: bool = false;

    fn kinds(&self) -> &'static [&'static str] {
        let kinds = &["heartbeat", "leave"];
        if self.leaves { kinds } else { &kinds[..1] }
    }

    #[inline(always)]
    fn kind(&self, beat: &Beat) -> usize {
        usize::from(self.leaves && beat.is_leave())
    }

    #[inline(always)]
    fn wire_len(&self, _: &Beat, _: usize) -> u32 {
        const { assert!(wire::HEARTBEAT_LEN == wire::LEAVE_LEN, "both kinds are as long") }
        self.len
    }

    #[inline(always)]
    fn fingerprint(&self, beat: &Beat) -> u64 {
        // Slots are numbered by partition, which must not show; the link itself is told by sender and receiver.
        self.kind(beat) as u64
    }

    fn state(&self, nodes: Nodes) -> LastHeard {
        let slots = self.graph.slots(&nodes);
        assert!(!self.leaves || slots < SLOTS_MAX, "{slots} slots of a partition do not fit 31 bits");
        let (senders, ends) = match &self.detector {
            None => Default::default(),
            Some(_) => (self.graph.senders(&nodes), self.graph.slot_ends(&nodes)),
        };
        let watch = Watch::new(slots, self.detector.as_ref().map(|(detector, _)| detector));
        LastHeard { nodes, watch, senders, ends }
    }

    fn state_bytes(&self, state: &LastHeard) -> usize {
        state.watch.bytes() + state.senders.bytes() + state.ends.bytes()
    }

    fn handle_start(&self, _: &mut LastHeard, _: Here, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.interval.as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), ());
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut LastHeard,
        _: Here,
        from: NodeId,
        beat: Beat,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if self.leaves {
            self.take(state, from, beat, fx);
        } else {
            state.watch.note(beat.slot(), fx.now());
        }
    }

    #[inline(always)]
    fn handle_timer(&self, state: &mut LastHeard, here: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, Beat::lives(link.slot))));
        if let Some((_, rule)) = &self.detector {
            let (slots, now) = (state.slots(here.index), fx.now());
            state.watch.look(slots, rule, now, |slot| fx.judge(state.senders[slot], Verdict::Down));
        }
        fx.wake_after(self.interval, ());
    }

    fn handle_leave(&self, _: &mut LastHeard, here: Here, fx: &mut impl Effects<Self>) {
        if self.leaves {
            fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, Beat::leaves(link.slot))));
        }
    }

    /// As a fresh node. What it heard before it was away is forgotten with a detector; without one nobody looks at it.
    fn handle_join(&self, state: &mut LastHeard, here: Here, fx: &mut impl Effects<Self>) {
        if let Some((detector, _)) = &self.detector {
            state.watch.forget(state.slots(here.index), Some(detector), fx.now());
        }
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &LastHeard, _: usize, beat: &Beat) {
        state.watch.prefetch(beat.slot());
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &LastHeard, index: usize, (): &()) {
        self.graph.prefetch(state.nodes.id(index));
        if self.detector.is_some() {
            state.watch.prefetch(state.slots(index).start);
        }
    }
}

#[cfg(test)]
mod tests;
