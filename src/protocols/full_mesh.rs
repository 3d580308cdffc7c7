//! The full mesh: every node sends its heartbeat to every other node.

use super::wire;
use crate::contract::{Column, Effects, Here, NodeId, Nodes, Population, Protocol, SimSpan, SimTime};

/// Every node broadcasts a heartbeat once per interval, at a phase that is random by node: n(n - 1) messages an
/// interval. Receivers keep when they last heard every other node, unless broadcasts are only counted.
#[derive(Clone, Copy, Debug)]
pub struct FullMesh {
    population: Population,
    interval: SimSpan,
    len: u32,
    tracked: bool,
}

impl FullMesh {
    /// Heartbeats over `population`, every `interval`, padded to `size` bytes.
    ///
    /// With `tracked`, nodes keep when they heard each other: 8 n² bytes in all. Without, they keep nothing, which is
    /// for broadcasts that are counted as a whole.
    pub fn new(population: Population, interval: SimSpan, size: u32, tracked: bool) -> Self {
        FullMesh { population, interval, len: wire::padded_len(wire::HEARTBEAT_LEN, size), tracked }
    }

    fn places(&self) -> usize {
        if self.tracked { self.population.total() as usize } else { 0 }
    }
}

/// A heartbeat under way. Who sent it, and when, the network tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat;

/// When the nodes of a partition last heard every node.
#[derive(Debug)]
pub struct HeardAll {
    /// `[index of the receiver][number of the sender]`, flattened; zero if never. Empty if not tracked.
    times: Column<SimTime>,
    /// Length of a row.
    places: usize,
}

impl HeardAll {
    /// When the node with `index` last heard each node, by number; [`SimTime::ZERO`] if never, and for itself.
    pub fn times(&self, index: usize) -> &[SimTime] {
        &self.times[index * self.places..][..self.places]
    }
}

impl Protocol for FullMesh {
    type Message = Beat;
    type Timer = ();
    type State = HeardAll;

    const ANSWERS: bool = false;

    fn kinds(&self) -> &'static [&'static str] {
        &["heartbeat"]
    }

    #[inline(always)]
    fn wire_len(&self, _: &Beat, _: usize) -> u32 {
        self.len
    }

    fn state(&self, nodes: Nodes) -> HeardAll {
        let places = self.places();
        HeardAll { times: Column::filled(nodes.len() * places, SimTime::ZERO), places }
    }

    fn state_bytes(&self, state: &HeardAll) -> usize {
        state.times.bytes()
    }

    fn handle_start(&self, _: &mut HeardAll, _: Here, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.interval.as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), ());
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut HeardAll,
        here: Here,
        from: NodeId,
        _: Beat,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if self.tracked {
            state.times[here.index * state.places + from as usize] = fx.now();
        }
    }

    fn handle_timer(&self, _: &mut HeardAll, _: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.broadcast(Beat);
        fx.wake_after(self.interval, ());
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &HeardAll, index: usize, _: &Beat) {
        // The column is not known before the sender is, but a row of a small mesh is only a few cache lines.
        state.times.prefetch(index * state.places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::recorder::Recorder;

    #[test]
    fn a_node_broadcasts_once_per_interval_and_remembers_who_it_heard() {
        let population = Population::flat(6);
        let interval = SimSpan::from_secs(30);
        let nodes = Nodes::partition(population, 1, 1);
        for (tracked, bytes) in [(true, 3 * 6 * 8), (false, 0)] {
            let mesh = FullMesh::new(population, interval, 100, tracked);
            let mut state = mesh.state(nodes);
            assert_eq!((mesh.state_bytes(&state), mesh.wire_len(&Beat, 0)), (bytes, 100));
            let here = nodes.here(2);
            let mut fx = Recorder::new(here, SimTime::from_nanos(7));
            mesh.handle_start(&mut state, here, &mut fx);
            assert!(fx.timers[0].0 < interval);
            mesh.handle_timer(&mut state, here, (), &mut fx);
            assert_eq!((fx.broadcast.len(), fx.timers[1].0), (1, interval));
            mesh.handle_message(&mut state, here, 4, Beat, &[], &mut fx);
            if tracked {
                let heard: Vec<u64> = state.times(2).iter().map(|time| time.as_nanos()).collect();
                assert_eq!(heard, [0, 0, 0, 0, 7, 0]);
                assert!(state.times(1).iter().all(|&time| time == SimTime::ZERO));
            }
        }
    }
}
