//! Tracking a sample: few nodes say that they live, to few super nodes, who reckon from them how many live in all.
//!
//! Nodes in the sample of the largest rate send a heartbeat at the interval of their type to the trackers; the others
//! send nothing. The trackers are the first super nodes, the same for all: only who hears the whole sample can tell from
//! it how many nodes there are. A tracker judges by a detector, and at each of its own heartbeats counts for every rate
//! the nodes of its sample that it takes for up, itself included if it is one of them.

use serde::{Deserialize, Serialize};

use super::adaptive::AdaptiveHeartbeat;
use super::detector::{Detector, Rule, Watch};
use super::heartbeat::{Beat, SLOTS_MAX};
use super::sampler::NodeSampler;
use super::wire::{self, key_of};
use crate::contract::{
    CoarseTime, Column, Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime, Verdict,
};
use crate::topologies::{Graph, Incoming, Kept, Notes};

/// Most rates of a run.
pub const RATES_MAX: usize = 8;

/// Heartbeats of a sample of the nodes to a few trackers.
#[derive(Debug)]
pub struct Sampled {
    graph: Graph,
    incoming: Incoming,
    population: Population,
    trackers: NodeId,
    /// By type of node.
    intervals: [SimSpan; 4],
    len: u32,
    /// Ascending by rate.
    samplers: Vec<NodeSampler>,
    detector: Detector,
    /// By type of node.
    rules: [Rule; 4],
    leaves: bool,
}

impl Sampled {
    /// Nodes in the samples of `rates` report to the first `trackers` super nodes, or to all where there are fewer, at
    /// the intervals of `heartbeat`, by messages padded to `size` bytes. Trackers judge by `detector`. Links are
    /// `kept` where their nodes are, whatever notes that asks for.
    ///
    /// # Panics
    /// If there is no rate, if there are more than [`RATES_MAX`], if one is not from 0 to 1, or if they do not ascend.
    pub fn new(
        population: Population,
        kept: impl Into<Kept>,
        heartbeat: AdaptiveHeartbeat,
        size: u32,
        trackers: u32,
        rates: &[f64],
        detector: Detector,
    ) -> Self {
        assert!((1..=RATES_MAX).contains(&rates.len()), "{} rates", rates.len());
        assert!(rates.is_sorted_by(|smaller, larger| smaller < larger), "the rates {rates:?} do not ascend");
        let samplers: Vec<NodeSampler> = rates.iter().map(|&rate| NodeSampler::new(rate)).collect();
        let largest = samplers[samplers.len() - 1];
        let trackers = trackers.min(population.count(NodeType::SuperNode));
        let kept = Kept { notes: Notes { senders: true, types: true, firsts: false }, ..kept.into() };
        let graph = Graph::new(population, kept, |node, peers| {
            if largest.should_track_node(&key_of(node)) {
                peers.extend((0..trackers).filter(|&tracker| tracker != node));
            }
        });
        let intervals = NodeType::ALL.map(|node_type| heartbeat.calculate_interval(node_type));
        Sampled {
            incoming: Incoming::new(&graph),
            graph,
            population,
            trackers,
            intervals,
            len: wire::padded_len(wire::HEARTBEAT_LEN, size),
            samplers,
            detector,
            rules: intervals.map(|interval| detector.rule(interval)),
            leaves: false,
        }
    }

    /// Nodes that leave in good order say so to the trackers, by a message of the kind `leave`.
    #[must_use]
    pub fn with_leaves(self) -> Self {
        Sampled { leaves: true, ..self }
    }

    /// The samples that are counted, ascending by rate; each is a part of the next.
    pub fn samplers(&self) -> &[NodeSampler] {
        &self.samplers
    }

    /// Memory of what all partitions share, in bytes: the links.
    pub fn bytes(&self) -> usize {
        self.graph.bytes() + self.incoming.bytes()
    }

    /// The smallest of the samples that a node is in; their number if it is in none.
    fn level_of(&self, node: NodeId) -> u8 {
        self.samplers.iter().take_while(|sampler| !sampler.should_track_node(&key_of(node))).count() as u8
    }

    fn is_tracker(&self, node: NodeId) -> bool {
        node < self.trackers
    }

    /// Judges the nodes that the tracker `here` should hear, and counts those that it takes for up.
    fn count(&self, state: &mut SampledState, here: Here, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        for senders in NodeType::ALL {
            let slots = self.incoming.slots(here.id, senders);
            let rule = &self.rules[senders as usize];
            state.watch.look(slots, rule, now, |slot| fx.judge(state.senders[slot], Verdict::Down));
        }
        let mut by_level = [0; RATES_MAX + 1];
        by_level[usize::from(self.level_of(here.id))] += 1;
        let slots = self.incoming.all(here.id);
        for (heard, &level) in state.watch.heard()[slots.clone()].iter().zip(&state.levels[slots]) {
            by_level[usize::from(level)] += u32::from(*heard != CoarseTime::NEVER);
        }
        let mut alive = 0;
        for (sample, count) in by_level[..self.samplers.len()].iter().enumerate() {
            alive += count;
            state.counts.push(AliveCount { time: now, observer: here.id, sample: sample as u8, alive });
        }
    }
}

/// How many nodes of a sample a tracker took for up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AliveCount {
    /// When.
    pub time: SimTime,
    /// Who tracks.
    pub observer: NodeId,
    /// Which of [`Sampled::samplers`].
    pub sample: u8,
    /// How many.
    pub alive: u32,
}

/// What the trackers of a partition remember. Other nodes remember nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct SampledState {
    /// By slot of the graph.
    watch: Watch,
    /// Who sends, by slot of the graph.
    senders: Column<NodeId>,
    /// The smallest sample that the sender is in, by slot of the graph.
    levels: Column<u8>,
    counts: Vec<AliveCount>,
}

impl SampledState {
    /// What trackers counted, in the order in which they did.
    pub fn counts(&self) -> &[AliveCount] {
        &self.counts
    }
}

impl Protocol for Sampled {
    type Message = Beat;
    type Timer = ();
    type State = SampledState;

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

    fn state(&self, nodes: Nodes) -> SampledState {
        let slots = self.graph.slots(&nodes);
        assert!(slots < SLOTS_MAX, "{slots} slots of a partition do not fit 31 bits");
        let senders = self.graph.senders(&nodes);
        let levels = Column::collect(slots, senders.iter().map(|&sender| self.level_of(sender)));
        SampledState { watch: Watch::new(slots, Some(&self.detector)), senders, levels, counts: Vec::new() }
    }

    fn state_bytes(&self, state: &SampledState) -> usize {
        // Not the counts, which are a result that no node keeps.
        state.watch.bytes() + state.senders.bytes() + state.levels.bytes()
    }

    fn handle_start(&self, _: &mut SampledState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_tracker(here.id) || !self.graph.links(here.id).is_empty() {
            let phase = fx.random().below(self.intervals[here.node_type as usize].as_nanos());
            fx.wake_after(SimSpan::from_nanos(phase), ());
        }
    }

    fn handle_message(
        &self,
        state: &mut SampledState,
        _: Here,
        from: NodeId,
        beat: Beat,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if beat.is_leave() {
            if state.watch.leave(beat.slot()) {
                fx.judge(from, Verdict::Down);
            }
        } else if state.watch.hear(beat.slot(), &self.rules[self.population.type_of(from) as usize], fx.now()) {
            fx.judge(from, Verdict::Up);
        }
    }

    fn handle_timer(&self, state: &mut SampledState, here: Here, (): (), fx: &mut impl Effects<Self>) {
        fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, Beat::lives(link.slot))));
        if self.is_tracker(here.id) {
            self.count(state, here, fx);
        }
        fx.wake_after(self.intervals[here.node_type as usize], ());
    }

    fn handle_leave(&self, _: &mut SampledState, here: Here, fx: &mut impl Effects<Self>) {
        if self.leaves {
            fx.send_each(self.graph.links(here.id).iter().map(|link| (link.peer, Beat::leaves(link.slot))));
        }
    }

    /// As a fresh node: a tracker takes all for up until it knows better.
    fn handle_join(&self, state: &mut SampledState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_tracker(here.id) {
            state.watch.forget(self.incoming.all(here.id), Some(&self.detector), fx.now());
        }
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &SampledState, _: usize, beat: &Beat) {
        state.watch.prefetch(beat.slot());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::recorder::Recorder;

    const RATES: [f64; 2] = [0.05, 0.5];
    const TIMEOUT: Detector = Detector::Timeout { missed: 2 };

    fn population() -> Population {
        Population::new([5, 40, 400, 55]).unwrap()
    }

    fn sampled(partitions_log2: u32) -> Sampled {
        let heartbeat = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) };
        Sampled::new(population(), partitions_log2, heartbeat, 100, 3, &RATES, TIMEOUT)
    }

    /// What `act` makes the node `id` do after `secs` seconds.
    fn record(id: NodeId, secs: u64, act: impl FnOnce(Here, &mut Recorder<Sampled>)) -> Recorder<Sampled> {
        let here = Nodes::all(population()).here(id as usize);
        let mut fx = Recorder::new(here, SimTime::ZERO + SimSpan::from_secs(secs));
        act(here, &mut fx);
        fx
    }

    fn is_in(rate: f64, node: NodeId) -> bool {
        NodeSampler::new(rate).should_track_node(&key_of(node))
    }

    #[test]
    fn the_sample_reports_to_the_trackers_and_nobody_else_does_anything() {
        let protocol = sampled(0);
        let mut state = protocol.state(Nodes::all(population()));
        let mut senders = 0;
        for id in 0..500 {
            let started = record(id, 0, |here, fx| protocol.handle_start(&mut state, here, fx));
            assert_eq!(!started.timers.is_empty(), is_in(0.5, id) || id < 3, "node {id}");
            if started.timers.is_empty() {
                continue;
            }
            let fired = record(id, 60, |here, fx| protocol.handle_timer(&mut state, here, (), fx));
            let to: Vec<_> = fired.sent.iter().map(|(to, ..)| *to).collect();
            let trackers: Vec<_> = (0..3).filter(|&tracker| tracker != id && is_in(0.5, id)).collect();
            assert_eq!(to, trackers, "node {id}");
            assert_eq!(fired.timers[0].0, protocol.intervals[population().type_of(id) as usize]);
            senders += usize::from(!to.is_empty());
        }
        assert!((200..300).contains(&senders), "half of 500: {senders}");
    }

    #[test]
    fn a_tracker_counts_whom_it_takes_for_up_by_nested_samples() {
        let protocol = sampled(0).with_leaves();
        let mut state = protocol.state(Nodes::all(population()));
        let tracker = 1;
        let alive = |state: &mut SampledState, secs| {
            state.counts.clear();
            let fired = record(tracker, secs, |here, fx| protocol.handle_timer(state, here, (), fx));
            let time = SimTime::ZERO + SimSpan::from_secs(secs);
            assert!(state.counts().iter().all(|count| (count.time, count.observer) == (time, tracker)));
            assert!(state.counts().iter().map(|count| count.sample).eq([0, 1]));
            let down: Vec<_> = fired.judged.iter().map(|(peer, _)| *peer).collect();
            (state.counts()[0].alive as usize, state.counts()[1].alive as usize, down)
        };
        let members = |rate, nodes: std::ops::Range<NodeId>| nodes.filter(move |&node| is_in(rate, node));
        let size = |nodes: std::ops::Range<NodeId>| (members(0.05, nodes.clone()).count(), members(0.5, nodes).count());
        let all = size(0..500);
        assert_eq!(alive(&mut state, 10), (all.0, all.1, vec![]), "who was never heard may yet be");
        // Super nodes are silent for longer than 75 s, full nodes for longer than 150 s.
        let without_upper = size(45..500);
        let own = (usize::from(is_in(0.05, tracker)), usize::from(is_in(0.5, tracker)));
        let upper: Vec<_> = members(0.5, 0..45).filter(|&node| node != tracker).collect();
        let (fifth, half, mut down) = alive(&mut state, 151);
        down.sort_unstable();
        assert_eq!((fifth, half), (without_upper.0 + own.0, without_upper.1 + own.1));
        assert_eq!(down, upper);
        // One that is in both samples comes back and leaves again.
        let node = members(0.05, 5..500).next().unwrap();
        let rejoin = record(node, 152, |here, fx| protocol.handle_timer(&mut state, here, (), fx));
        let leave = record(node, 153, |here, fx| protocol.handle_leave(&mut state, here, fx));
        assert_eq!((leave.sent.len(), protocol.kind(&leave.sent[0].1)), (3, 1));
        let mut deliver = |sent: &Recorder<Sampled>| {
            let (_, beat, _) = sent.sent[1];
            record(tracker, 154, |here, fx| protocol.handle_message(&mut state, here, node, beat, &[], fx)).judged
        };
        let up = if node < 45 { vec![(node, Verdict::Up)] } else { vec![] };
        assert_eq!(deliver(&rejoin), up);
        assert_eq!(deliver(&leave), [(node, Verdict::Down)]);
        assert_eq!(deliver(&leave), []);
        // A tracker that was away itself begins with all.
        record(tracker, 400, |here, fx| protocol.handle_join(&mut state, here, fx));
        assert_eq!(alive(&mut state, 401), (all.0, all.1, vec![]));
    }

    #[test]
    fn only_trackers_take_memory_and_the_same_for_every_layout() {
        let members = (0..500).filter(|&node| is_in(0.5, node)).count();
        let own = (0..3).filter(|&node| is_in(0.5, node)).count();
        for log2 in 0..4 {
            let protocol = sampled(log2);
            let partitions = (0..1 << log2).map(|partition| Nodes::partition(population(), partition, log2));
            let bytes: usize = partitions.map(|nodes| protocol.state_bytes(&protocol.state(nodes))).sum();
            assert_eq!(bytes, (3 * members - own) * (4 + 4 + 1));
        }
    }

    #[test]
    fn there_are_no_more_trackers_than_super_nodes() {
        let population = Population::new([2, 0, 50, 0]).unwrap();
        let heartbeat = AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) };
        let protocol = Sampled::new(population, 0, heartbeat, 100, 3, &[1.0], TIMEOUT);
        assert_eq!((protocol.trackers, protocol.graph.edges(), protocol.samplers().len()), (2, 2 + 50 * 2, 1));
    }
}
