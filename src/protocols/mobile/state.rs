//! What mobile nodes and their parents remember.

use serde::{Deserialize, Serialize};

use super::figures::MobileCounts;
use super::radio::RadioLedger;
use crate::contract::{CoarseTime, Column, NodeId, Nodes};
use crate::protocols::detector::Watch;

/// What a mobile node remembers: half a cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Phone {
    pub(super) radio: RadioLedger,
    /// When its parents last heard of it, as far as it knows.
    pub(super) sent: CoarseTime,
    /// The parents whose checks wait until the radio listens: a bit for each, by their place among its links.
    pub(super) checked: u16,
    /// Those whose notices do.
    pub(super) noticed: u16,
}

const _: () = assert!(size_of::<Phone>() == 32, "two phones are a cache line");

/// What there is for a child.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Since when; [`CoarseTime::NEVER`] if there is nothing.
    pub(super) since: CoarseTime,
    /// The number of the newest, which is never reset.
    pub(super) newest: u16,
    /// How many.
    pub(super) count: u16,
}

impl Waiting {
    pub(super) const NOTHING: Waiting = Waiting { since: CoarseTime::NEVER, newest: 0, count: 0 };

    pub(super) fn is_empty(&self) -> bool {
        self.since == CoarseTime::NEVER
    }
}

/// What the nodes of a partition remember. Super and light nodes remember nothing, full nodes what stands in the slots of
/// their children.
#[derive(Debug, Serialize, Deserialize)]
pub struct MobileState {
    pub(super) nodes: Nodes,
    /// First index of a mobile node.
    pub(super) first: usize,
    pub(super) phones: Column<Phone>,
    /// The number of the newest notice, by phone and place of the parent; empty if there is never anything.
    pub(super) notices: Column<u16>,
    /// By slot of the graph.
    pub(super) watch: Watch,
    /// Who sends, by slot of the graph.
    pub(super) senders: Column<NodeId>,
    /// By slot of the graph; empty if there is never anything.
    pub(super) waiting: Column<Waiting>,
    /// In a box because of its histogram.
    pub(super) counts: Box<MobileCounts>,
}

impl MobileState {
    /// When parents last heard each child, by slot of the graph; [`CoarseTime::NEVER`] if it is taken for down.
    pub fn heard(&self) -> &[CoarseTime] {
        self.watch.heard()
    }

    /// The ledger of the radio of the node at `index`, if it is a mobile node.
    pub fn radio(&self, index: usize) -> Option<&RadioLedger> {
        Some(&self.phones.get(index.checked_sub(self.first)?)?.radio)
    }

    /// What travelled.
    pub fn counts(&self) -> &MobileCounts {
        &self.counts
    }
}
