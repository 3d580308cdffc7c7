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

use super::adaptive::AdaptiveHeartbeat;
use super::gossip::{GossipEngine, SeenMessages};
use super::wire::{self, DIGEST_CHILDREN_MAX, Digest, WireMessage};
use crate::contract::{
    CoarseTime, Column, Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime,
};
use crate::topologies::{Clustering, Graph, Incoming, Neighbourhood};

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
        }
    }

    /// As [`Hierarchy::new`]; besides, super and full nodes start a rumour in their tier with every beat, spread by
    /// `gossip`. A node remembers `seen` rumours (in sets of eight, and not more than 4096 for each node of its tier).
    /// `graph` should have no links within a tier: they would carry heartbeats as well.
    pub fn with_gossip(graph: Graph, heartbeat: AdaptiveHeartbeat, size: u32, gossip: GossipEngine, seen: u32) -> Self {
        Hierarchy { gossip: Some(gossip), seen, ..Hierarchy::new(graph, heartbeat, size) }
    }

    /// Rumours are passed on to nodes that are chosen as `clustering` says; 4 bytes for each super and full node.
    pub fn with_clustering(self, clustering: &Clustering) -> Self {
        let tier = |node_type| Neighbourhood::new(clustering, self.population.range(node_type));
        Hierarchy { nearby: Some(Box::new([NodeType::SuperNode, NodeType::FullNode].map(tier))), ..self }
    }

    /// The links between nodes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The slots of each receiver.
    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Memory of what all partitions share, in bytes: the links, and who is near whom.
    pub fn bytes(&self) -> usize {
        let nearby: usize = self.nearby.iter().flat_map(|tiers| tiers.iter()).map(Neighbourhood::bytes).sum();
        self.graph.bytes() + self.incoming.bytes() + nearby
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
            let span = self.intervals[node_type as usize] * ALIVE_INTERVALS;
            let since = SimTime::from_nanos(fx.now().as_nanos().saturating_sub(span.as_nanos())).into();
            let slots = self.incoming.slots(here.id, node_type);
            lives.extend(state.heard[slots].iter().map(|&heard: &CoarseTime| heard >= since));
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
        self.pass_on(here, here.id, beat, 0, fx);
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
            self.pass_on(here, origin, beat, hops, fx);
        } else {
            state.rumours[tier].repeated += 1;
        }
    }

    #[inline(always)]
    fn pass_on(&self, here: Here, origin: NodeId, beat: u16, hops: u8, fx: &mut impl Effects<Self>) {
        let Some(gossip) = &self.gossip else { return };
        let Some(hops) = gossip.next_hop(hops) else { return };
        let random = fx.random();
        let rumour = |peer| (peer, HierarchyMessage::Rumour { hops, beat, origin });
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// What became of the rumours of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RumourCounts {
    /// Started by nodes of the tier.
    pub started: u64,
    /// Arrivals that were new to the node.
    pub accepted: u64,
    /// Arrivals that were not.
    pub repeated: u64,
}

/// What the nodes of a partition remember. Light and mobile nodes remember nothing.
#[derive(Debug)]
pub struct HierarchyState {
    nodes: Nodes,
    /// First index of a full node.
    supers: usize,
    /// By slot of the graph.
    heard: Column<CoarseTime>,
    /// Living children that full nodes reported last, by slot of the graph, as far as super nodes have slots.
    alive: Column<u32>,
    /// Of super nodes, and of full nodes.
    seen: [SeenMessages; 2],
    rumours: [RumourCounts; 2],
    rejected: u64,
    scratch: Scratch,
}

/// Reused between digests.
#[derive(Debug, Default)]
struct Scratch {
    lives: Vec<bool>,
    bitmap: Vec<u8>,
    bytes: Vec<u8>,
}

impl HierarchyState {
    /// When each incoming link was last heard of, by slot of the graph; [`CoarseTime::NEVER`] if never.
    pub fn heard(&self) -> &[CoarseTime] {
        &self.heard
    }

    /// How many living children each full node last reported, by slot of the graph; zero if it never did. Covers the
    /// slots of super nodes.
    pub fn alive(&self) -> &[u32] {
        &self.alive
    }

    /// What became of the rumours among super nodes, and among full nodes.
    pub fn rumours(&self) -> [RumourCounts; 2] {
        self.rumours
    }

    /// Digests that could not be understood, or that named another sender.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    #[inline(always)]
    fn tier_start(&self, tier: usize) -> usize {
        if tier == 0 { 0 } else { self.supers }
    }

    fn take_digest(&mut self, slot: usize, from: NodeId, payload: &[u8], now: SimTime) {
        match WireMessage::decode(payload) {
            Ok(WireMessage::Digest(digest)) if digest.sender == from => {
                self.heard[slot] = now.into();
                self.alive[slot] = digest.alive;
            }
            _ => self.rejected += 1,
        }
    }
}

impl Protocol for Hierarchy {
    type Message = HierarchyMessage;
    type Timer = ();
    type State = HierarchyState;

    fn kinds(&self) -> &'static [&'static str] {
        let kinds = &["heartbeat", "digest", "rumour"];
        if self.gossip.is_some() { kinds } else { &kinds[..2] }
    }

    #[inline(always)]
    fn kind(&self, message: &HierarchyMessage) -> usize {
        match message {
            HierarchyMessage::Heartbeat { .. } => 0,
            HierarchyMessage::Digest { .. } => 1,
            HierarchyMessage::Rumour { .. } => 2,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &HierarchyMessage, payload: usize) -> u32 {
        match message {
            HierarchyMessage::Heartbeat { .. } => self.heartbeat_len,
            HierarchyMessage::Digest { .. } => wire::padded_len(payload, self.size),
            HierarchyMessage::Rumour { .. } => self.rumour_len,
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
        HierarchyState {
            nodes,
            supers,
            heard: Column::filled(self.graph.slots(nodes), CoarseTime::NEVER),
            alive: Column::filled(super_slots, 0),
            seen: [seen(NodeType::SuperNode, supers), seen(NodeType::FullNode, upper - supers)],
            rumours: [RumourCounts::default(); 2],
            rejected: 0,
            scratch: Scratch::default(),
        }
    }

    fn state_bytes(&self, state: &HierarchyState) -> usize {
        // Without the scratch, which is the partition's and not the nodes'.
        let seen: usize = state.seen.iter().map(SeenMessages::bytes).sum();
        state.heard.bytes() + state.alive.bytes() + seen
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
            HierarchyMessage::Heartbeat { slot, .. } => state.heard[slot as usize] = fx.now().into(),
            HierarchyMessage::Digest { slot, .. } => state.take_digest(slot as usize, from, payload, fx.now()),
            HierarchyMessage::Rumour { hops, beat, origin } => {
                self.hear_rumour(state, here, (origin, beat, hops), fx);
            }
        }
    }

    #[inline(always)]
    fn handle_timer(&self, state: &mut HierarchyState, here: Here, (): (), fx: &mut impl Effects<Self>) {
        let interval = self.intervals[here.node_type as usize];
        let beat = (fx.now().since(SimTime::ZERO) / interval) as u16;
        let mut links = self.graph.links(here.id);
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
        fx.wake_after(interval, ());
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &HierarchyState, index: usize, message: &HierarchyMessage) {
        match *message {
            HierarchyMessage::Rumour { beat, origin, .. } => {
                let tier = usize::from(index >= state.supers);
                state.seen[tier].prefetch(index - state.tier_start(tier), rumour_id(origin, beat));
            }
            HierarchyMessage::Heartbeat { slot, .. } | HierarchyMessage::Digest { slot, .. } => {
                state.heard.prefetch(slot as usize);
            }
        }
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &HierarchyState, index: usize, (): &()) {
        self.graph.prefetch(state.nodes.id(index));
    }
}

#[cfg(test)]
mod tests;
