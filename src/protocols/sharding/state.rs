//! What full nodes and the registrar remember.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::figures::{ShardingCounts, TraceEntry};
use super::registrar::Registrar;
use super::view::View;
use crate::contract::{CoarseTime, NodeId, exact};

/// What a full node remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Keeper {
    /// The epoch of its view; 0 if it has none.
    pub(super) epoch: u32,
    /// Number of its last batch.
    pub(super) number: u32,
    /// The records that it keeps, ascending.
    #[serde(with = "exact")]
    pub(super) held: Vec<u32>,
    /// Whom it has still to give which record. The first `sending` are under way.
    #[serde(with = "exact")]
    pub(super) queue: VecDeque<(NodeId, u32)>,
    pub(super) sending: u16,
    /// Records that their owners may have missed, because changes followed closely on each other; at most
    /// about as many as it keeps.
    #[serde(with = "exact")]
    pub(super) doubtful: Vec<u32>,
    /// How often the batch under way was sent.
    pub(super) attempts: u8,
    /// Whether a timer is set to send the next batch.
    pub(super) is_paced: bool,
    /// When it last took another view.
    pub(super) changed: CoarseTime,
    /// Until when it offers what it gets to the other owners, because changes follow so closely on each other that
    /// these may have been missed.
    pub(super) overlap: CoarseTime,
    /// Whether a timer is set to offer what is doubtful.
    pub(super) is_mending: bool,
    /// Whether it leaves, as soon as it has handed over all.
    pub(super) leaves: bool,
}

/// What the nodes of a partition remember: full nodes what they keep, the first super node who is a member.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShardingState {
    /// Index of the first full node.
    pub(super) first: usize,
    pub(super) keepers: Vec<Keeper>,
    pub(super) registrar: Option<Box<Registrar>>,
    pub(super) views: Views,
    pub(super) counts: ShardingCounts,
    /// What was stored and dropped, in the order of each node's events; empty unless asked for.
    pub(super) trace: Vec<TraceEntry>,
    pub(super) bytes: Vec<u8>,
}

impl ShardingState {
    /// The records that the full node at `index` keeps, ascending; none of other nodes.
    pub fn held(&self, index: usize) -> &[u32] {
        index.checked_sub(self.first).and_then(|place| self.keepers.get(place)).map_or(&[], |keeper| &keeper.held)
    }

    /// The members that the full node at `index` knows of; `None` if it has not heard yet.
    pub fn view(&self, index: usize) -> Option<&View> {
        self.views.get(self.keepers.get(index.checked_sub(self.first)?)?.epoch)
    }

    /// How many records the full node at `index` has still to hand over; 0 of other nodes.
    pub fn waiting(&self, index: usize) -> usize {
        index.checked_sub(self.first).and_then(|place| self.keepers.get(place)).map_or(0, |keeper| keeper.queue.len())
    }

    /// What was sent and what became of it.
    pub fn counts(&self) -> &ShardingCounts {
        &self.counts
    }

    /// What was stored and dropped, if [`ShardingOptions::trace`](super::ShardingOptions) is set.
    pub fn trace(&self) -> &[TraceEntry] {
        &self.trace
    }
}

/// The views of the nodes of a partition. A view follows from its epoch, so nodes of the same epoch share one here; a
/// real node holds its own, an eighth of a byte for each full node.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Views {
    /// By epoch, with the number of nodes that have it.
    by_epoch: BTreeMap<u32, (View, u32)>,
}

impl Views {
    pub(super) fn get(&self, epoch: u32) -> Option<&View> {
        self.by_epoch.get(&epoch).map(|(view, _)| view)
    }

    /// A node takes the view of `epoch`, made by `make` if no other node has it.
    pub(super) fn take(&mut self, epoch: u32, make: impl FnOnce(&Self) -> View) {
        if !self.by_epoch.contains_key(&epoch) {
            let view = make(self);
            self.by_epoch.insert(epoch, (view, 0));
        }
        if let Some((_, nodes)) = self.by_epoch.get_mut(&epoch) {
            *nodes += 1;
        }
    }

    /// A node gives the view of `epoch` back.
    pub(super) fn give_back(&mut self, epoch: u32) {
        if let Some((_, nodes)) = self.by_epoch.get_mut(&epoch) {
            *nodes -= 1;
            if *nodes == 0 {
                self.by_epoch.remove(&epoch);
            }
        }
    }
}
