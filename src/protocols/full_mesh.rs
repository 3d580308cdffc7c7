//! The full mesh: every node sends its heartbeat to every other node.

use serde::{Deserialize, Serialize};

use super::detector::{Detector, Rule, Watch};
use super::wire;
use crate::contract::{CoarseTime, Effects, Here, NodeId, Nodes, Population, Protocol, SimSpan, SimTime, Verdict};

/// Every node broadcasts a heartbeat once per interval, at a phase that is random by node: n(n - 1) messages an
/// interval. Receivers keep when they last heard every other node, unless broadcasts are only counted.
#[derive(Clone, Copy, Debug)]
pub struct FullMesh {
    population: Population,
    interval: SimSpan,
    len: u32,
    tracked: bool,
    leaves: bool,
    detector: Option<(Detector, Rule)>,
}

impl FullMesh {
    /// Heartbeats over `population`, every `interval`, padded to `size` bytes.
    ///
    /// With `tracked`, nodes keep when they heard each other: 4 n² bytes in all. Without, they keep nothing, which is
    /// for broadcasts that are counted as a whole.
    pub fn new(population: Population, interval: SimSpan, size: u32, tracked: bool) -> Self {
        let len = wire::padded_len(wire::HEARTBEAT_LEN, size);
        FullMesh { population, interval, len, tracked, leaves: false, detector: None }
    }

    /// Nodes that leave in good order say so to all others, by a message of the kind `leave`.
    #[must_use]
    pub fn with_leaves(self) -> Self {
        FullMesh { leaves: true, ..self }
    }

    /// All nodes judge each other by `detector`, whenever their own heartbeat is due; and with
    /// [`FullMesh::with_leaves`]. Nobody judges where nothing is kept: what is counted as a whole does not arrive.
    #[must_use]
    pub fn with_detector(self, detector: Detector) -> Self {
        let detector = self.tracked.then(|| (detector, detector.rule(self.interval)));
        FullMesh { detector, ..self }.with_leaves()
    }

    fn places(&self) -> usize {
        if self.tracked { self.population.total() as usize } else { 0 }
    }

    fn detector(&self) -> Option<&Detector> {
        self.detector.as_ref().map(|(detector, _)| detector)
    }
}

/// A message under way. Who sent it, and when, the network tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MeshMessage {
    /// The sender lives.
    Beat,
    /// The sender leaves.
    Leave,
}

/// When the nodes of a partition last heard every node.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeardAll {
    /// `[index of the receiver][number of the sender]`, flattened. Empty if not tracked.
    watch: Watch,
    /// Length of a row.
    places: usize,
}

impl HeardAll {
    /// When the node with `index` last heard each node, by number; [`CoarseTime::NEVER`] if never, for itself, and, with a
    /// detector, if it is taken for down.
    pub fn times(&self, index: usize) -> &[CoarseTime] {
        &self.watch.heard()[self.row(index)]
    }

    fn row(&self, index: usize) -> std::ops::Range<usize> {
        index * self.places..(index + 1) * self.places
    }

    /// Takes note of `message`, which arrived from `from`.
    #[inline(always)]
    fn take(
        &mut self,
        rule: Option<&Rule>,
        here: Here,
        from: NodeId,
        message: MeshMessage,
        now: SimTime,
    ) -> Option<Verdict> {
        let cell = here.index * self.places + from as usize;
        match (message, rule) {
            (MeshMessage::Beat, None) => {
                self.watch.note(cell, now);
                None
            }
            (MeshMessage::Beat, Some(rule)) => self.watch.hear(cell, rule, now).then_some(Verdict::Up),
            (MeshMessage::Leave, _) => (self.watch.leave(cell) && rule.is_some()).then_some(Verdict::Down),
        }
    }
}

impl Protocol for FullMesh {
    type Message = MeshMessage;
    type Timer = ();
    type State = HeardAll;

    const ANSWERS: bool = false;

    fn kinds(&self) -> &'static [&'static str] {
        let kinds = &["heartbeat", "leave"];
        if self.leaves { kinds } else { &kinds[..1] }
    }

    #[inline(always)]
    fn kind(&self, message: &MeshMessage) -> usize {
        *message as usize
    }

    #[inline(always)]
    fn wire_len(&self, _: &MeshMessage, _: usize) -> u32 {
        const { assert!(wire::HEARTBEAT_LEN == wire::LEAVE_LEN, "both kinds are as long") }
        self.len
    }

    fn state(&self, nodes: Nodes) -> HeardAll {
        let places = self.places();
        let mut watch = Watch::new(nodes.len() * places, self.detector());
        if self.detector.is_some() {
            // Nobody judges himself.
            nodes.iter().for_each(|here| _ = watch.leave(here.index * places + here.id as usize));
        }
        HeardAll { watch, places }
    }

    fn state_bytes(&self, state: &HeardAll) -> usize {
        state.watch.bytes()
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
        message: MeshMessage,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if self.tracked {
            let rule = self.detector.as_ref().map(|(_, rule)| rule);
            if let Some(verdict) = state.take(rule, here, from, message, fx.now()) {
                fx.judge(from, verdict);
            }
        }
    }

    fn handle_timer(&self, state: &mut HeardAll, here: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.broadcast(MeshMessage::Beat);
        if let Some((_, rule)) = &self.detector {
            let (row, now) = (state.row(here.index), fx.now());
            let start = row.start;
            state.watch.look(row, rule, now, |cell| fx.judge((cell - start) as NodeId, Verdict::Down));
        }
        fx.wake_after(self.interval, ());
    }

    fn handle_leave(&self, _: &mut HeardAll, _: Here, fx: &mut impl Effects<Self>) {
        if self.leaves {
            fx.broadcast(MeshMessage::Leave);
        }
    }

    /// As a fresh node, which has heard nobody.
    fn handle_join(&self, state: &mut HeardAll, here: Here, fx: &mut impl Effects<Self>) {
        let row = state.row(here.index);
        state.watch.forget(row.clone(), self.detector(), fx.now());
        if self.detector.is_some() {
            state.watch.leave(row.start + here.id as usize);
        }
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &HeardAll, index: usize, _: &MeshMessage) {
        // The column is not known before the sender is, but a row of a small mesh is only a few cache lines.
        state.watch.prefetch(index * state.places);
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
        for (tracked, bytes) in [(true, 3 * 6 * 4), (false, 0)] {
            let mesh = FullMesh::new(population, interval, 100, tracked);
            let mut state = mesh.state(nodes.clone());
            assert_eq!((mesh.state_bytes(&state), mesh.wire_len(&MeshMessage::Beat, 0)), (bytes, 100));
            let here = nodes.here(2);
            let mut fx = Recorder::new(here, SimTime::from_nanos(7 << 20));
            mesh.handle_start(&mut state, here, &mut fx);
            assert!(fx.timers[0].0 < interval);
            mesh.handle_timer(&mut state, here, (), &mut fx);
            assert_eq!((fx.broadcast.len(), fx.timers[1].0), (1, interval));
            mesh.handle_message(&mut state, here, 4, MeshMessage::Beat, &[], &mut fx);
            if tracked {
                let mut heard = [CoarseTime::NEVER; 6];
                assert_eq!(state.times(1), heard);
                heard[4] = fx.now.into();
                assert_eq!(state.times(2), heard);
            }
            assert_eq!((mesh.kinds(), fx.judged.len()), (&["heartbeat"][..], 0));
        }
    }

    #[test]
    fn all_others_are_judged_by_their_silence_their_leave_and_their_return() {
        let population = Population::flat(4);
        let interval = SimSpan::from_secs(10);
        let mesh = FullMesh::new(population, interval, 100, true).with_detector(Detector::Timeout { missed: 2 });
        let nodes = Nodes::all(population);
        let here = nodes.here(1);
        let mut state = mesh.state(nodes.clone());
        let at = |secs| Recorder::new(here, SimTime::ZERO + SimSpan::from_secs(secs));
        let hear = |state: &mut HeardAll, from, message, secs| {
            let mut fx = at(secs);
            mesh.handle_message(state, here, from, message, &[], &mut fx);
            fx.judged
        };
        let fire = |state: &mut HeardAll, secs| {
            let mut fx = at(secs);
            mesh.handle_timer(state, here, (), &mut fx);
            fx.judged
        };
        assert_eq!(hear(&mut state, 2, MeshMessage::Beat, 9), []);
        assert_eq!(hear(&mut state, 3, MeshMessage::Leave, 12), [(3, Verdict::Down)]);
        assert_eq!(fire(&mut state, 26), [(0, Verdict::Down)], "never heard");
        assert_eq!(fire(&mut state, 36), [(2, Verdict::Down)]);
        assert_eq!(hear(&mut state, 0, MeshMessage::Beat, 37), [(0, Verdict::Up)]);
        let mut fx = at(40);
        mesh.handle_leave(&mut state, here, &mut fx);
        assert_eq!(fx.broadcast, [MeshMessage::Leave]);
        let mut fx = at(100);
        mesh.handle_join(&mut state, here, &mut fx);
        assert!(fx.judged.is_empty() && fx.timers[0].0 < interval);
        assert_eq!(fire(&mut state, 125), []);
        assert_eq!(fire(&mut state, 126), [(0, Verdict::Down), (2, Verdict::Down), (3, Verdict::Down)]);
        assert_eq!(mesh.kinds(), ["heartbeat", "leave"]);
        let counted = FullMesh::new(population, interval, 100, false).with_detector(Detector::Timeout { missed: 2 });
        let mut state = counted.state(nodes.clone());
        let mut fx = at(1_000);
        counted.handle_timer(&mut state, here, (), &mut fx);
        assert_eq!((fx.judged.len(), counted.state_bytes(&state)), (0, 0));
    }
}
