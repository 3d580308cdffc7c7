//! The first super node: it hears who lives, decides who is a member, and tells the full nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::view::View;
use super::{Sharding, ShardingMessage, ShardingState, ShardingTimer, wire};
use crate::contract::{Effects, Here, NodeId, NodeType, SimTime, Verdict};
use crate::protocols::detector::Watch;

/// Most changes that are announced together; others wait for the next time.
pub const CHANGES_MAX: usize = 1_024;

/// What becomes of a full node; the flags of the wire format.
pub(super) const DOWN: u32 = 0;
pub(super) const MEMBER: u32 = 1;
pub(super) const LEAVING: u32 = 2;

/// What the registrar remembers. It is not lost while the registrar is away.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Registrar {
    epoch: u32,
    view: View,
    /// By full node.
    watch: Watch,
    /// What is to be announced, the last word on each node; not more than there are full nodes.
    changes: BTreeMap<NodeId, u32>,
    /// Those that leave and have not gone down yet: they are told of changes, so that they know whom to give what.
    leaving: Vec<NodeId>,
}

impl Registrar {
    pub(super) fn new(view: View, full_nodes: u32, sharding: &Sharding) -> Self {
        Registrar {
            epoch: 1,
            view,
            watch: Watch::new(full_nodes as usize, Some(&sharding.options.detector)),
            changes: BTreeMap::new(),
            leaving: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.watch.bytes()
    }
}

impl Sharding {
    fn cell_of(&self, from: NodeId) -> Option<usize> {
        self.fulls().contains(&from).then(|| (from - self.fulls().start) as usize)
    }

    /// A full node lives, with the view of `epoch`.
    pub(super) fn hear_alive(&self, state: &mut ShardingState, from: NodeId, epoch: u32, fx: &mut impl Effects<Self>) {
        let (Some(cell), Some(registrar)) = (self.cell_of(from), &mut state.registrar) else {
            state.counts.rejected += 1;
            return;
        };
        if registrar.watch.hear(cell, &self.rule, fx.now()) {
            fx.judge(from, Verdict::Up);
        }
        // Who comes back with nothing is no longer about to leave.
        if epoch == 0 {
            registrar.leaving.retain(|&node| node != from);
        }
        let is_leaving = registrar.leaving.contains(&from);
        if !registrar.view.contains(from) && !is_leaving {
            registrar.changes.insert(from, MEMBER);
        } else {
            registrar.changes.retain(|&node, change| node != from || *change == LEAVING);
            if epoch < registrar.epoch {
                state.counts.views += 1;
                state.bytes.clear();
                registrar.view.encode(&mut state.bytes);
                fx.send_payload(from, ShardingMessage::View { epoch: registrar.epoch }, &state.bytes);
            }
        }
    }

    /// A full node leaves, and `stays` until it has handed over all.
    pub(super) fn hear_leave(&self, state: &mut ShardingState, from: NodeId, stays: bool, fx: &mut impl Effects<Self>) {
        let (Some(cell), Some(registrar)) = (self.cell_of(from), &mut state.registrar) else {
            state.counts.rejected += 1;
            return;
        };
        if stays {
            if !registrar.leaving.contains(&from) {
                registrar.leaving.push(from);
                registrar.changes.insert(from, LEAVING);
            }
        } else if registrar.watch.leave(cell) {
            registrar.changes.insert(from, DOWN);
            fx.judge(from, Verdict::Down);
        }
    }

    /// The registrar looks around, and announces what has changed.
    pub(super) fn announce(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(registrar) = &mut state.registrar else { return };
        let (first, changes) = (self.fulls().start, &mut registrar.changes);
        registrar.watch.look(0..self.fulls().len(), &self.rule, fx.now(), |cell| {
            let node = first + cell as NodeId;
            changes.insert(node, DOWN);
            fx.judge(node, Verdict::Down);
        });
        registrar.leaving.retain(|node| registrar.changes.get(node) != Some(&DOWN));
        let mut announced = Vec::new();
        while announced.len() < CHANGES_MAX {
            let Some((node, change)) = registrar.changes.pop_first() else { break };
            if registrar.view.contains(node) != (change == MEMBER) {
                announced.push((node, change));
            }
        }
        fx.wake_after(self.options.tick, ShardingTimer::Tick);
        if announced.is_empty() {
            return;
        }
        for (_, change) in &announced {
            state.counts.changes[*change as usize] += 1;
        }
        let changed = announced.iter().map(|&(node, change)| (node, change == MEMBER));
        registrar.view = registrar.view.with(changed);
        registrar.epoch += 1;
        state.counts.epochs += 1;
        let (epoch, bytes) = (registrar.epoch, &mut state.bytes);
        bytes.clear();
        wire::pack(announced.iter().map(|&(node, change)| wire::item(node, change)), bytes);
        let is_new = |node: NodeId| announced.iter().any(|&(other, change)| other == node && change == MEMBER);
        let told = registrar.view.members().iter().chain(&registrar.leaving).copied();
        for node in told.filter(|&node| !is_new(node)) {
            fx.send_payload(node, ShardingMessage::Change { epoch }, bytes);
        }
        bytes.clear();
        registrar.view.encode(bytes);
        for (node, _) in announced.into_iter().filter(|&(_, change)| change == MEMBER) {
            fx.send_payload(node, ShardingMessage::View { epoch }, bytes);
        }
        debug_assert_eq!(here.node_type, NodeType::SuperNode);
    }

    /// The registrar starts, or comes back: silence counts from now.
    pub(super) fn open_register(&self, state: &mut ShardingState, now: SimTime, fx: &mut impl Effects<Self>) {
        if let Some(registrar) = &mut state.registrar {
            for cell in 0..self.fulls().len() {
                // Who is taken for down stays so until it is heard.
                if registrar.view.contains(self.fulls().start + cell as NodeId) {
                    registrar.watch.forget(cell..cell + 1, Some(&self.options.detector), now);
                }
            }
            fx.wake_after(self.options.tick, ShardingTimer::Tick);
        }
    }
}
