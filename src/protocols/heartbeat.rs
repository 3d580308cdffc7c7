//! Heartbeats along fixed links: who is alive, as its neighbours see it.

use super::wire;
use crate::contract::{CoarseTime, Column, Effects, Here, NodeId, Nodes, Protocol, SimSpan};
use crate::topologies::Graph;

/// Every node sends a heartbeat along each of its links once per interval, at a phase that is random by node.
/// Receivers keep when they last heard each sender.
#[derive(Debug)]
pub struct Heartbeat {
    graph: Graph,
    interval: SimSpan,
    len: u32,
}

impl Heartbeat {
    /// Heartbeats along the links of `graph`, padded to `size` bytes.
    pub fn new(graph: Graph, interval: SimSpan, size: u32) -> Self {
        Heartbeat { graph, interval, len: wire::padded_len(wire::HEARTBEAT_LEN, size) }
    }

    /// The links along which heartbeats go.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

/// A heartbeat under way, naming the link by the handle that its receiver knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    slot: u32,
}

/// When each incoming link of a partition was last heard of.
#[derive(Debug)]
pub struct LastHeard {
    nodes: Nodes,
    /// By slot of the graph.
    times: Column<CoarseTime>,
}

impl LastHeard {
    /// The times by slot of the graph; [`CoarseTime::NEVER`] if never heard.
    pub fn times(&self) -> &[CoarseTime] {
        &self.times
    }
}

impl Protocol for Heartbeat {
    type Message = Beat;
    type Timer = ();
    type State = LastHeard;

    const ANSWERS: bool = false;

    fn kinds(&self) -> &'static [&'static str] {
        &["heartbeat"]
    }

    #[inline(always)]
    fn wire_len(&self, _: &Beat, _: usize) -> u32 {
        self.len
    }

    #[inline(always)]
    fn fingerprint(&self, beat: &Beat) -> u64 {
        // Slots are numbered by partition, which must not show; the link itself is told by sender and receiver.
        let _ = beat;
        0
    }

    fn state(&self, nodes: Nodes) -> LastHeard {
        LastHeard { nodes, times: Column::filled(self.graph.slots(nodes), CoarseTime::NEVER) }
    }

    fn state_bytes(&self, state: &LastHeard) -> usize {
        state.times.bytes()
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
        _: NodeId,
        beat: Beat,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        state.times[beat.slot as usize] = fx.now().into();
    }

    #[inline(always)]
    fn handle_timer(&self, _: &mut LastHeard, here: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, Beat { slot: link.slot })));
        fx.wake_after(self.interval, ());
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &LastHeard, _: usize, beat: &Beat) {
        state.times.prefetch(beat.slot as usize);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &LastHeard, index: usize, (): &()) {
        self.graph.prefetch(state.nodes.id(index));
    }
}
