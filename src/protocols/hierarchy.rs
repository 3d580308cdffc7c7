//! The hierarchy: light nodes report to full nodes, full nodes report digests of them to super nodes.
//!
//! | who | to whom | what | how often (base 30 s) |
//! |---|---|---|---|
//! | super | every super node | heartbeat, or a rumour in its tier | 30 s |
//! | full | its super parents | digest of its children | 60 s |
//! | full | its full peers | heartbeat, or a rumour in its tier | 60 s |
//! | light, mobile | its full parents | heartbeat | 5 min, 10 min |
//!
//! Who is whose parent or peer stands in the graph; with gossip there are no links within a tier.
//!
//! With a detector, super and full nodes judge those that they should hear: along their links, and of the nodes of their
//! own tier that they hear of by rumours, those that are tracked.

mod state;
mod tracking;

use serde::{Deserialize, Serialize};

use super::adaptive::AdaptiveHeartbeat;
use super::detector::{Detector, Watch};
use super::gossip::{GossipEngine, SeenMessages};
use super::sampler::NodeSampler;
use super::wire::{self, DIGEST_CHILDREN_MAX, Digest, WireMessage};
use crate::contract::{
    CoarseTime, Column, Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime, Verdict,
};
use crate::topologies::{Clustering, Graph, Incoming, Neighbourhood};
use state::Scratch;
pub use state::{HierarchyState, RumourCounts};
use tracking::Detection;

/// A child counts as alive for this many of its own intervals after it was heard.
pub const ALIVE_INTERVALS: u64 = 3;

/// Most messages that a node remembers for each node of its tier.
///
/// Beats are told apart modulo 2^16, so a node must have forgotten a rumour when its number comes round again. Then
/// 16 times as many others have come, and hence 128 or so in a set of eight.
const SEEN_PER_ORIGIN_MAX: usize = 1 << 12;

/// Heartbeats along the links of the tiers, and digests of them upwards.
#[derive(Debug)]
pub struct Hierarchy {
    graph: Graph,
    incoming: Incoming,
    population: Population,
    /// By type of node.
    intervals: [SimSpan; 4],
    size: u32,
    heartbeat_len: u32,
    rumour_len: u32,
    gossip: Option<GossipEngine>,
    seen: u32,
    /// The tiers of super and full nodes, if rumours are passed on to near nodes first.
    nearby: Option<Box<[Neighbourhood; 2]>>,
    leaves: bool,
    detection: Option<Box<Detection>>,
}

impl Hierarchy {
    /// Heartbeats and digests along the links of `graph`, which goes from children to parents and within tiers, at the
    /// intervals of `heartbeat`. Messages are padded to `size` bytes.
    pub fn new(graph: Graph, heartbeat: AdaptiveHeartbeat, size: u32) -> Self {
        Hierarchy {
            incoming: Incoming::new(&graph),
            population: graph.population(),
            graph,
            intervals: NodeType::ALL.map(|node_type| heartbeat.calculate_interval(node_type)),
            size,
            heartbeat_len: wire::padded_len(wire::HEARTBEAT_LEN, size),
            rumour_len: wire::padded_len(wire::RUMOUR_LEN, size),
            gossip: None,
            seen: 0,
            nearby: None,
            leaves: false,
            detection: None,
        }
    }

    /// As [`Hierarchy::new`]; besides, super and full nodes start a rumour in their tier with every beat, spread by
    /// `gossip`. A node remembers `seen` rumours (in sets of eight, and not more than 4096 for each node of its tier).
    /// `graph` should have no links within a tier: they would carry heartbeats as well.
    pub fn with_gossip(graph: Graph, heartbeat: AdaptiveHeartbeat, size: u32, gossip: GossipEngine, seen: u32) -> Self {
        Hierarchy::new(graph, heartbeat, size).gossiping(gossip, seen)
    }

    /// As it is, with the rumours of [`Hierarchy::with_gossip`].
    #[must_use]
    pub fn gossiping(self, gossip: GossipEngine, seen: u32) -> Self {
        Hierarchy { gossip: Some(gossip), seen, ..self }
    }

    /// Rumours are passed on to nodes that are chosen as `clustering` says; 4 bytes for each super and full node.
    #[must_use]
    pub fn with_clustering(self, clustering: &Clustering) -> Self {
        let tier = |node_type| Neighbourhood::new(clustering, self.population.range(node_type));
        Hierarchy { nearby: Some(Box::new([NodeType::SuperNode, NodeType::FullNode].map(tier))), ..self }
    }

    /// Nodes that leave in good order say so along their links, and in their tier by a rumour where they tell by rumours
    /// that they live. Both are of the kind `leave`.
    #[must_use]
    pub fn with_leaves(self) -> Self {
        Hierarchy { leaves: true, ..self }
    }

    /// Super and full nodes judge by `detector` those that they should hear, whenever their own heartbeat is due; and
    /// with [`Hierarchy::with_leaves`]. Where rumours tell who lives, those in the sample of `track` are judged, by
    /// every node of their tier. Children live in digests as long as the detector takes them for up.
    ///
    /// Takes four bytes a link besides what the detector takes, and what the detector takes for each pair of a tracked
    /// node and a node of its tier.
    #[must_use]
    pub fn with_detector(self, detector: Detector, track: &NodeSampler) -> Self {
        let track = self.gossip.is_some().then_some(track);
        let detection = Detection::new(detector, self.intervals, self.population, track);
        Hierarchy { detection: Some(Box::new(detection)), ..self }.with_leaves()
    }

    /// The links between nodes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The slots of each receiver.
    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Memory of what all partitions share, in bytes: the links, who is near whom, and who is tracked.
    pub fn bytes(&self) -> usize {
        let nearby: usize = self.nearby.iter().flat_map(|tiers| tiers.iter()).map(Neighbourhood::bytes).sum();
        let tracked = self.detection.iter().flat_map(|detection| &detection.tracked).map(|tracked| tracked.bytes());
        self.graph.bytes() + self.incoming.bytes() + nearby + tracked.sum::<usize>()
    }

    fn detector(&self) -> Option<&Detector> {
        self.detection.as_ref().map(|detection| &detection.detector)
    }

    /// How many intervals of the node have passed, modulo 2^16.
    #[inline(always)]
    fn beat(&self, here: Here, now: SimTime) -> u16 {
        (now.since(SimTime::ZERO) / self.intervals[here.node_type as usize]) as u16
    }

    /// The node `from` was heard at the other end of a link.
    #[inline(always)]
    fn hear_link(&self, state: &mut HierarchyState, slot: u32, from: NodeId, fx: &mut impl Effects<Self>) {
        let Some(detection) = &self.detection else {
            state.links.note(slot as usize, fx.now());
            return;
        };
        let rule = &detection.rules[self.population.type_of(from) as usize];
        if state.links.hear(slot as usize, rule, fx.now()) {
            fx.judge(from, Verdict::Up);
        }
    }

    /// Judges all that the super or full node `here` should hear.
    fn look_around(&self, detection: &Detection, state: &mut HierarchyState, here: Here, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        for senders in NodeType::ALL {
            let (slots, rule) = (self.incoming.slots(here.id, senders), &detection.rules[senders as usize]);
            state.links.look(slots, rule, now, |slot| fx.judge(state.senders[slot], Verdict::Down));
        }
        let tier = tier_of(here.node_type);
        let (tracked, rule) = (&detection.tracked[tier], &detection.rules[here.node_type as usize]);
        let row = tracked.row(here.index - state.tier_start(tier));
        let start = row.start;
        state.rumoured[tier].look(row, rule, now, |cell| fx.judge(tracked.origins[cell - start], Verdict::Down));
    }

    /// Sends a digest of the children of the full node `here` to each of its parents.
    fn send_digests(&self, state: &mut HierarchyState, here: Here, beat: u16, fx: &mut impl Effects<Self>) {
        let supers = self.population.range(NodeType::SuperNode);
        let parents = self.graph.links(here.id).iter().filter(|link| supers.contains(&link.peer));
        if parents.clone().next().is_none() {
            return;
        }
        let Scratch { lives, bitmap, bytes } = &mut state.scratch;
        lives.clear();
        for node_type in [NodeType::LightNode, NodeType::MobileNode] {
            // With a detector, the time of a link says whether the peer is taken for up at all.
            let span =
                self.intervals[node_type as usize] * if self.detection.is_some() { u64::MAX } else { ALIVE_INTERVALS };
            let since = SimTime::from_nanos(fx.now().as_nanos().saturating_sub(span.as_nanos())).into();
            let slots = self.incoming.slots(here.id, node_type);
            lives.extend(state.links.heard()[slots].iter().map(|&heard: &CoarseTime| heard >= since));
        }
        let (children, alive) = (lives.len() as u32, lives.iter().filter(|&&lives| lives).count() as u32);
        // Without children there is still one digest, which says so.
        for first in (0..children.max(1)).step_by(DIGEST_CHILDREN_MAX as usize) {
            let rest = &lives[first as usize..];
            let part = &rest[..rest.len().min(DIGEST_CHILDREN_MAX as usize)];
            bitmap.clear();
            bitmap.extend(part.chunks(8).map(pack));
            bytes.clear();
            WireMessage::Digest(Digest { sender: here.id, beat, children, alive, first, bitmap }).encode(bytes);
            for link in parents.clone() {
                fx.send_payload(link.peer, HierarchyMessage::Digest { beat, slot: link.slot }, bytes);
            }
        }
    }

    /// Starts a rumour that `here` lives.
    fn start_rumour(&self, state: &mut HierarchyState, here: Here, beat: u16, fx: &mut impl Effects<Self>) {
        if self.population.count(here.node_type) < 2 {
            return;
        }
        let tier = tier_of(here.node_type);
        // So that it is no news when it comes back.
        state.seen[tier].insert(here.index - state.tier_start(tier), rumour_id(here.id, beat));
        state.rumours[tier].started += 1;
        self.pass_on(here, 0, fx, |hops| HierarchyMessage::Rumour { hops, beat, origin: here.id });
    }

    /// A rumour that arrived with `hops`.
    #[inline(always)]
    fn hear_rumour(
        &self,
        state: &mut HierarchyState,
        here: Here,
        (origin, beat, hops): (NodeId, u16, u8),
        fx: &mut impl Effects<Self>,
    ) {
        let tier = tier_of(here.node_type);
        let index = here.index - state.tier_start(tier);
        if state.seen[tier].insert(index, rumour_id(origin, beat)) {
            state.rumours[tier].accepted += 1;
            if let Some(detection) = &self.detection
                && let Some(cell) = detection.tracked[tier].cell(index, origin)
                && origin != here.id
                && state.rumoured[tier].hear(cell, &detection.rules[here.node_type as usize], fx.now())
            {
                fx.judge(origin, Verdict::Up);
            }
            self.pass_on(here, hops, fx, |hops| HierarchyMessage::Rumour { hops, beat, origin });
        } else {
            state.rumours[tier].repeated += 1;
        }
    }

    /// A rumour that `origin` leaves, which arrived with `hops`; or, with none, that of `here`.
    fn hear_parting(
        &self,
        state: &mut HierarchyState,
        here: Here,
        (origin, beat, hops): (NodeId, u16, u8),
        fx: &mut impl Effects<Self>,
    ) {
        let tier = tier_of(here.node_type);
        let index = here.index - state.tier_start(tier);
        if !state.seen[tier].insert(index, rumour_id(origin, beat) | PARTING) {
            return;
        }
        if let Some(detection) = &self.detection
            && let Some(cell) = detection.tracked[tier].cell(index, origin)
            && state.rumoured[tier].leave(cell)
        {
            fx.judge(origin, Verdict::Down);
        }
        self.pass_on(here, hops, fx, |hops| HierarchyMessage::Parting { hops, beat, origin });
    }

    /// Sends on in the tier what `message` makes of the hops, unless it came with too many.
    #[inline(always)]
    fn pass_on(&self, here: Here, hops: u8, fx: &mut impl Effects<Self>, message: impl Fn(u8) -> HierarchyMessage) {
        let Some(gossip) = &self.gossip else { return };
        let Some(hops) = gossip.next_hop(hops) else { return };
        let random = fx.random();
        let rumour = |peer| (peer, message(hops));
        match &self.nearby {
            None => {
                let tier = self.population.range(here.node_type);
                fx.send_each(gossip.select_gossip_peers(tier, here.id, random).map(rumour));
            }
            Some(tiers) => {
                let tier = &tiers[tier_of(here.node_type)];
                fx.send_each(gossip.select_near_peers(tier, here.id, random).map(rumour));
            }
        }
    }
}

/// Tells in an id that a rumour is parting.
const PARTING: u64 = 1 << 63;

/// Up to eight bits as a byte, lowest first.
#[inline(always)]
fn pack(bits: &[bool]) -> u8 {
    bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))
}

/// Place of a tier in [`HierarchyState`]: 0 for super nodes, 1 for full nodes.
#[inline(always)]
fn tier_of(node_type: NodeType) -> usize {
    usize::from(node_type != NodeType::SuperNode)
}

/// Tells rumours apart; never zero.
#[inline(always)]
fn rumour_id(origin: NodeId, beat: u16) -> u64 {
    (u64::from(origin) << 16 | u64::from(beat)) + 1
}

/// A message under way. Slots name the link by the handle that the receiver knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HierarchyMessage {
    /// The sender lives.
    Heartbeat {
        /// How many intervals of the sender had passed, modulo 2^16.
        beat: u16,
        /// The link.
        slot: u32,
    },
    /// Which children of the sender live; the payload is the wire format.
    Digest {
        /// As for a heartbeat.
        beat: u16,
        /// The link.
        slot: u32,
    },
    /// Some node lives.
    Rumour {
        /// How many nodes have sent this rumour on its way here.
        hops: u8,
        /// How many intervals of the origin had passed, modulo 2^16.
        beat: u16,
        /// Who lives.
        origin: NodeId,
    },
    /// The sender leaves.
    Leave {
        /// As for a heartbeat.
        beat: u16,
        /// The link.
        slot: u32,
    },
    /// Some node leaves.
    Parting {
        /// As for a rumour.
        hops: u8,
        /// As for a rumour.
        beat: u16,
        /// Who leaves.
        origin: NodeId,
    },
}

impl Protocol for Hierarchy {
    type Message = HierarchyMessage;
    type Timer = ();
    type State = HierarchyState;

    fn kinds(&self) -> &'static [&'static str] {
        match (self.gossip.is_some(), self.leaves) {
            (false, false) => &["heartbeat", "digest"],
            (false, true) => &["heartbeat", "digest", "leave"],
            (true, false) => &["heartbeat", "digest", "rumour"],
            (true, true) => &["heartbeat", "digest", "rumour", "leave"],
        }
    }

    #[inline(always)]
    fn kind(&self, message: &HierarchyMessage) -> usize {
        match message {
            HierarchyMessage::Heartbeat { .. } => 0,
            HierarchyMessage::Digest { .. } => 1,
            HierarchyMessage::Rumour { .. } => 2,
            HierarchyMessage::Leave { .. } | HierarchyMessage::Parting { .. } => 2 + usize::from(self.gossip.is_some()),
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &HierarchyMessage, payload: usize) -> u32 {
        match message {
            HierarchyMessage::Heartbeat { .. } => self.heartbeat_len,
            HierarchyMessage::Digest { .. } => wire::padded_len(payload, self.size),
            HierarchyMessage::Rumour { .. } | HierarchyMessage::Parting { .. } => self.rumour_len,
            HierarchyMessage::Leave { .. } => wire::padded_len(wire::LEAVE_LEN, self.size),
        }
    }

    #[inline(always)]
    fn fingerprint(&self, message: &HierarchyMessage) -> u64 {
        // Slots are numbered by partition, which must not show; the link itself is told by sender and receiver.
        match *message {
            HierarchyMessage::Heartbeat { beat, .. } => u64::from(beat) << 16,
            HierarchyMessage::Digest { beat, .. } => u64::from(beat) << 16 | 1,
            HierarchyMessage::Rumour { hops, beat, origin } => {
                u64::from(origin) << 32 | u64::from(beat) << 16 | u64::from(hops) << 8 | 2
            }
            HierarchyMessage::Leave { beat, .. } => u64::from(beat) << 16 | 3,
            HierarchyMessage::Parting { hops, beat, origin } => {
                u64::from(origin) << 32 | u64::from(beat) << 16 | u64::from(hops) << 8 | 4
            }
        }
    }

    fn state(&self, nodes: Nodes) -> HierarchyState {
        let (supers, upper) = (nodes.end_of(NodeType::SuperNode), nodes.end_of(NodeType::FullNode));
        let super_slots = supers.checked_sub(1).map_or(0, |last| self.incoming.all(nodes.id(last)).end);
        let seen = |node_type, members| {
            let tier = self.population.count(node_type) as usize;
            if self.gossip.is_none() || tier < 2 {
                return SeenMessages::default();
            }
            SeenMessages::new(members, (self.seen as usize).min(SEEN_PER_ORIGIN_MAX * tier))
        };
        let rumoured = |tier, members: std::ops::Range<usize>| match &self.detection {
            None => Watch::new(0, None),
            Some(detection) => detection.watch(tier, members.map(|index| nodes.id(index))),
        };
        let links = Watch::new(self.graph.slots(&nodes), self.detector());
        let senders = if self.detection.is_some() { self.graph.senders(&nodes) } else { Column::default() };
        HierarchyState {
            supers,
            links,
            senders,
            alive: Column::filled(super_slots, 0),
            seen: [seen(NodeType::SuperNode, supers), seen(NodeType::FullNode, upper - supers)],
            rumoured: [rumoured(0, 0..supers), rumoured(1, supers..upper)],
            rumours: [RumourCounts::default(); 2],
            rejected: 0,
            nodes,
            scratch: Scratch::default(),
        }
    }

    fn state_bytes(&self, state: &HierarchyState) -> usize {
        // Not the scratch: no node remembers it, and it differs with the partitions.
        let seen: usize = state.seen.iter().map(SeenMessages::bytes).sum();
        let rumoured: usize = state.rumoured.iter().map(Watch::bytes).sum();
        state.links.bytes() + state.senders.bytes() + state.alive.bytes() + seen + rumoured
    }

    fn handle_start(&self, _: &mut HierarchyState, here: Here, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.intervals[here.node_type as usize].as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), ());
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut HierarchyState,
        here: Here,
        from: NodeId,
        message: HierarchyMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        match message {
            HierarchyMessage::Heartbeat { slot, .. } => self.hear_link(state, slot, from, fx),
            HierarchyMessage::Digest { slot, .. } => {
                if state.take_digest(slot, from, payload) {
                    self.hear_link(state, slot, from, fx);
                }
            }
            HierarchyMessage::Rumour { hops, beat, origin } => {
                self.hear_rumour(state, here, (origin, beat, hops), fx);
            }
            HierarchyMessage::Leave { slot, .. } => {
                if state.links.leave(slot as usize) && self.detection.is_some() {
                    fx.judge(from, Verdict::Down);
                }
            }
            HierarchyMessage::Parting { hops, beat, origin } => {
                self.hear_parting(state, here, (origin, beat, hops), fx);
            }
        }
    }

    #[inline(always)]
    fn handle_timer(&self, state: &mut HierarchyState, here: Here, (): (), fx: &mut impl Effects<Self>) {
        let beat = self.beat(here, fx.now());
        let mut links = self.graph.links(here.id);
        if let Some(detection) = &self.detection
            && here.node_type <= NodeType::FullNode
        {
            self.look_around(detection, state, here, fx);
        }
        if here.node_type == NodeType::FullNode {
            self.send_digests(state, here, beat, fx);
            // Parents come first; the rest are peers.
            let supers = self.population.range(NodeType::SuperNode);
            links = &links[links.partition_point(|link| supers.contains(&link.peer))..];
        }
        fx.send_each(links.iter().map(|link| (link.peer, HierarchyMessage::Heartbeat { beat, slot: link.slot })));
        if self.gossip.is_some() && here.node_type <= NodeType::FullNode {
            self.start_rumour(state, here, beat, fx);
        }
        fx.wake_after(self.intervals[here.node_type as usize], ());
    }

    fn handle_leave(&self, state: &mut HierarchyState, here: Here, fx: &mut impl Effects<Self>) {
        if !self.leaves {
            return;
        }
        let beat = self.beat(here, fx.now());
        let links = self.graph.links(here.id).iter();
        fx.send_each(links.map(|link| (link.peer, HierarchyMessage::Leave { beat, slot: link.slot })));
        let has_rumours = self.gossip.is_some() && here.node_type <= NodeType::FullNode;
        if has_rumours && self.population.count(here.node_type) > 1 {
            self.hear_parting(state, here, (here.id, beat, 0), fx);
        }
    }

    /// As a fresh node, which has heard nobody.
    fn handle_join(&self, state: &mut HierarchyState, here: Here, fx: &mut impl Effects<Self>) {
        if here.node_type <= NodeType::FullNode {
            let (slots, now) = (self.incoming.all(here.id), fx.now());
            state.links.forget(slots.clone(), self.detector(), now);
            if here.node_type == NodeType::SuperNode {
                state.alive[slots].fill(0);
            }
            let tier = tier_of(here.node_type);
            let index = here.index - state.tier_start(tier);
            state.seen[tier].forget(index);
            if let Some(detection) = &self.detection {
                let tracked = &detection.tracked[tier];
                tracked.forget(&mut state.rumoured[tier], index, here.id, &detection.detector, now);
            }
        }
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &HierarchyState, index: usize, message: &HierarchyMessage) {
        match *message {
            HierarchyMessage::Rumour { beat, origin, .. } => {
                let tier = usize::from(index >= state.supers);
                state.seen[tier].prefetch(index - state.tier_start(tier), rumour_id(origin, beat));
            }
            HierarchyMessage::Parting { .. } => {}
            HierarchyMessage::Heartbeat { slot, .. }
            | HierarchyMessage::Digest { slot, .. }
            | HierarchyMessage::Leave { slot, .. } => state.links.prefetch(slot as usize),
        }
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &HierarchyState, index: usize, (): &()) {
        self.graph.prefetch(state.nodes.id(index));
    }
}

#[cfg(test)]
mod tests;
