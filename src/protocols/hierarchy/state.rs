//! What the nodes of the hierarchy remember.

use serde::{Deserialize, Serialize};

use crate::contract::{CoarseTime, Column, NodeId, Nodes};
use crate::protocols::detector::Watch;
use crate::protocols::gossip::SeenMessages;
use crate::protocols::wire::WireMessage;

/// What became of the rumours of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RumourCounts {
    /// Started by nodes of the tier.
    pub started: u64,
    /// Arrivals that were new to the node.
    pub accepted: u64,
    /// Arrivals that were not.
    pub repeated: u64,
}

/// What the nodes of a partition remember. Light and mobile nodes remember nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct HierarchyState {
    pub(super) nodes: Nodes,
    /// First index of a full node.
    pub(super) supers: usize,
    /// By slot of the graph.
    pub(super) links: Watch,
    /// Who sends, by slot of the graph; empty without a detector.
    pub(super) senders: Column<NodeId>,
    /// Living children that full nodes reported last, by slot of the graph, as far as super nodes have slots.
    pub(super) alive: Column<u32>,
    /// Of super nodes, and of full nodes.
    pub(super) seen: [SeenMessages; 2],
    /// Whom rumours told of, likewise; empty without a detector.
    pub(super) rumoured: [Watch; 2],
    pub(super) rumours: [RumourCounts; 2],
    pub(super) rejected: u64,
    pub(super) scratch: Scratch,
}

/// Reused between digests.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Scratch {
    pub(super) lives: Vec<bool>,
    pub(super) bitmap: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl HierarchyState {
    /// When each incoming link was last heard of, by slot of the graph; [`CoarseTime::NEVER`] if never, or, with a
    /// detector, if its sender is taken for down.
    pub fn heard(&self) -> &[CoarseTime] {
        self.links.heard()
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
    pub(super) fn tier_start(&self, tier: usize) -> usize {
        if tier == 0 { 0 } else { self.supers }
    }

    /// Keeps what a digest reports. Returns whether it counts as a heartbeat: of several at once, the first does.
    pub(super) fn take_digest(&mut self, slot: u32, from: NodeId, payload: &[u8]) -> bool {
        match WireMessage::decode(payload) {
            Ok(WireMessage::Digest(digest)) if digest.sender == from => {
                self.alive[slot as usize] = digest.alive;
                digest.first == 0
            }
            _ => {
                self.rejected += 1;
                false
            }
        }
    }
}
