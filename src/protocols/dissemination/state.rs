//! What the nodes of a partition remember, and what was delivered to them.

use serde::{Deserialize, Serialize};

use super::Dissemination;
use super::figures::DisseminationFigures;
use super::mesh::Contacts;
use super::store::Store;
use super::wanted::WantedMessages;
use crate::contract::{CoarseTime, Column, NodeId, NodeType, Nodes};
use crate::protocols::gossip::SeenMessages;

/// What the nodes of a partition remember that take part; others take no memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct DisseminationState {
    /// Where the first node stands that takes part. Columns begin with it.
    pub(super) first: usize,
    /// When each came or came back; never if it has been there from the start.
    pub(super) joined: Column<CoarseTime>,
    pub(super) seen: SeenMessages,
    pub(super) store: Store,
    pub(super) wanted: WantedMessages,
    pub(super) contacts: Contacts,
    pub(super) figures: DisseminationFigures,
}

impl DisseminationState {
    pub(super) fn new(protocol: &Dissemination, nodes: &Nodes) -> Self {
        let range = &protocol.members;
        let place_of = |id: NodeId| nodes.iter().position(|here| here.id >= id).unwrap_or(nodes.len());
        let (first, end) = (place_of(range.start), place_of(range.end));
        let members = end - first;
        let mut by_type = [0; 4];
        for node_type in NodeType::ALL {
            let types = nodes.population().range(node_type);
            let own = place_of(types.start).clamp(first, end)..place_of(types.end).clamp(first, end);
            by_type[node_type as usize] = own.len() as u64;
        }
        let options = &protocol.options;
        let contacts = protocol
            .mesh()
            .map(|mesh| Contacts::new(nodes, first, members, mesh.contacts, &protocol.tier, protocol.seed));
        DisseminationState {
            first,
            joined: Column::filled(members, CoarseTime::NEVER),
            seen: SeenMessages::new(members, options.seen as usize),
            store: Store::new(members, if protocol.keeps() { options.kept } else { 0 }),
            wanted: WantedMessages::new(members, if protocol.fetches() { options.wanted } else { 0 }),
            contacts: contacts.unwrap_or_default(),
            figures: DisseminationFigures::new(by_type, options.publishing.messages),
        }
    }

    /// What was delivered to these nodes.
    pub fn figures(&self) -> &DisseminationFigures {
        &self.figures
    }

    /// How many links of a mesh the node at `index` has; `None` if it takes no part.
    pub fn degree(&self, index: usize) -> Option<u32> {
        let node = index.checked_sub(self.first).filter(|&node| node < self.joined.len())?;
        Some(self.contacts.degree(node))
    }

    /// Whom the node at `index` has links of a mesh to; nobody if it takes no part.
    pub fn linked(&self, index: usize) -> impl Iterator<Item = NodeId> {
        let node = index.checked_sub(self.first).filter(|&node| node < self.joined.len());
        node.into_iter().flat_map(|node| self.contacts.linked(node))
    }

    /// Forgets all messages that a node had.
    pub(super) fn forget(&mut self, node: usize) {
        self.seen.forget(node);
        self.store.forget(node);
        self.wanted.forget(node);
    }

    /// Memory that the nodes hold, in bytes. Not the figures, which are a result that no node keeps.
    pub(super) fn bytes(&self) -> usize {
        self.joined.bytes() + self.seen.bytes() + self.store.bytes() + self.wanted.bytes() + self.contacts.bytes()
    }
}
