//! What a run gave, and how it is gathered from its lanes and from other ranks.

use std::sync::{Mutex, PoisonError};

use hdrhistogram::Histogram;
use rayon::prelude::*;

use super::super::context::Meter;
use super::super::lane::Lane;
use super::super::network::Network;
use super::super::probe::Probe;
use super::super::ranks::Remote;
use super::post::Post;
use super::{Ended, Run};
use crate::contract::{NodeType, Nodes, Protocol, SimTime};
use crate::metrics::{Bandwidth, Judgement, LifeEvent, LinkDelays, Spread, Traffic};

/// What a run gave.
pub struct Outcome<P: Protocol, O = ()> {
    /// Traffic slice by slice, one more than there were boundaries.
    pub slices: Vec<Traffic>,
    /// One-way delays of messages sent in the measured span, in nanoseconds, by kind; empty if not recorded.
    pub delays: Vec<Histogram<u64>>,
    /// The same delays by region of sender and receiver, row by row; empty if nodes stand in no regions.
    pub links: Vec<LinkDelays>,
    /// Wire bytes per node in the measured span, by type; `None` for types without nodes, or if not metered.
    pub bandwidth: [Option<Bandwidth>; 4],
    /// Hash of all that was delivered: order-independent across nodes, ordered within one.
    pub digest: u64,
    /// Deliveries, timer firings, and nodes that come or go.
    pub events: u64,
    /// Windows that were handled; over ranks, by the one that handled the most.
    pub windows: u64,
    /// Messages still under way at the end.
    pub in_flight: u64,
    /// Memory of node state and queues at the end, in bytes: what was allocated, not what the system counts.
    pub bytes: usize,
    /// Memory of the protocol in all nodes at the end, as [`Protocol::state_bytes`] counts it.
    pub state_bytes: u64,
    /// Messages that went from rank to rank.
    pub remote: Remote,
    /// Number of partitions, those of other ranks included.
    pub partitions: usize,
    /// When nodes came and went, in order.
    pub lives: Vec<LifeEvent>,
    /// What nodes took each other for, in order; empty if not recorded.
    pub judgements: Vec<Judgement>,
    /// The state of every partition at the end.
    pub states: Vec<(Nodes, P::State)>,
    /// The probe of every thread.
    pub probes: Vec<O>,
    /// The end of what was simulated, where the run was broken off before its end.
    pub stopped: Option<SimTime>,
}

impl<P: Protocol, N: Network, O: Probe> Run<'_, P, N, O> {
    pub(super) fn finish(self, Ended { windows, stopped }: Ended) -> Outcome<P, O> {
        let protocol = self.shared.protocol;
        let unlocked = |lane: Mutex<Lane<P, O>>| lane.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<Lane<P, O>> = self.lanes.into_iter().map(unlocked).collect();
        let bytes = all.iter().map(|lane| lane.bytes(protocol)).sum();
        let events = all.iter().map(|lane| lane.core.tally.events).sum();
        let in_flight: i64 = all.iter().flat_map(|lane| &lane.core.tally.queued).sum();
        let digest = all.iter().fold(0u64, |sum, lane| sum.wrapping_add(lane.core.digest.value()));
        let bandwidth = bandwidth(&all, self.post.as_ref());
        let (lanes, remote) =
            (all.len(), self.post.as_ref().map_or(Remote::default(), |post| post.remote(&all, self.shared.windows)));
        let windows = self.post.as_ref().map_or(windows, |post| post.windows(windows));
        let mut states: Vec<Option<(Nodes, P::State)>> = (0..self.partitions).map(|_| None).collect();
        let (mut slices, mut delays, mut probes) = (Vec::<Traffic>::new(), Vec::<Histogram<u64>>::new(), Vec::new());
        let (mut lives, mut judgements) = (Vec::<LifeEvent>::new(), Vec::<Judgement>::new());
        let mut links = Vec::<LinkDelays>::new();
        for (number, lane) in all.into_iter().enumerate() {
            for (place, partition) in lane.partitions.into_iter().enumerate() {
                lives.extend(partition.living.map(|living| living.into_log()).unwrap_or_default());
                states[place * lanes + number] = Some((partition.nodes, partition.state));
            }
            judgements.extend(lane.core.judgements);
            let (lane_slices, lane_delays, lane_links) = lane.core.tally.into_results();
            merge(&mut slices, lane_slices, |sum, more| *sum += &more);
            merge(&mut delays, lane_delays, |sum, more| sum.add(more).expect("histograms that grow can be added"));
            merge(&mut links, lane_links, |sum, more| sum.add(&more));
            probes.push(lane.core.probe);
        }
        let states: Vec<(Nodes, P::State)> = states.into_iter().flatten().collect();
        let state_bytes = states.iter().map(|(_, state)| protocol.state_bytes(state) as u64).sum();
        let mut outcome = Outcome {
            slices,
            delays,
            links,
            bandwidth,
            digest,
            events,
            windows,
            in_flight: in_flight as u64,
            bytes,
            state_bytes,
            remote,
            partitions: 1 << self.shared.places.partitions_log2(),
            lives,
            judgements,
            states,
            probes,
            stopped,
        };
        if let Some(post) = &self.post {
            post.gather(&mut outcome, self.shared.population, &self.shared.places);
        }
        outcome.lives.par_sort_unstable();
        outcome.judgements.par_sort_unstable();
        outcome
    }
}

/// The spread of the nodes' bytes, by type.
fn bandwidth<P: Protocol, O>(lanes: &[Lane<P, O>], post: Option<&Post<'_>>) -> [Option<Bandwidth>; 4] {
    // What was broadcast reached every node and is on no meter yet.
    let own: u64 = lanes.iter().map(|lane| lane.core.tally.broadcast_bytes).sum();
    let broadcast_bytes = post.map_or(own, |post| post.sum(own));
    let spread = |node_type: NodeType, pick: fn(&Meter) -> u64, more: u64| {
        let mut values = Vec::new();
        for partition in lanes.iter().flat_map(|lane| &lane.partitions).filter(|part| !part.meters.is_empty()) {
            let first = NodeType::ALL[..node_type as usize].last().map_or(0, |&before| partition.nodes.end_of(before));
            let meters = &partition.meters[first..partition.nodes.end_of(node_type)];
            values.extend(meters.iter().map(|meter| pick(meter).wrapping_add(more)));
        }
        match post {
            None => Spread::of(&mut values),
            Some(post) => post.spread(&values),
        }
    };
    NodeType::ALL.map(|node_type| {
        Some(Bandwidth {
            upload: spread(node_type, |meter| meter.sent, 0)?,
            download: spread(node_type, |meter| meter.received, broadcast_bytes)?,
        })
    })
}

/// Adds `more` to `sums` element by element; the first addition moves.
fn merge<T>(sums: &mut Vec<T>, more: Vec<T>, add: impl Fn(&mut T, T)) {
    if sums.is_empty() {
        *sums = more;
    } else {
        sums.iter_mut().zip(more).for_each(|(sum, more)| add(sum, more));
    }
}
