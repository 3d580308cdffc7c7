//! Which slots of a receiver belong to senders of which type.

use std::ops::Range;

use super::Graph;
use crate::contract::{Column, NodeId, NodeType, Places, Population};

/// The incoming slots of every super and full node, by type of sender: 20 bytes for each, none for other nodes.
///
/// The slots of a receiver are contiguous and ordered by sender, and node numbers ascend by type; so the slots of one
/// type of sender are contiguous too, in the order of the senders' numbers.
#[derive(Debug)]
pub struct Incoming {
    rows: Column<Row>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    start: u32,
    /// Where the slots of each type of sender end; how many there are, until all are counted.
    ends: [u32; 4],
}

impl Incoming {
    /// The incoming slots of the super and full nodes of `graph`. Goes over all edges once.
    ///
    /// # Panics
    /// If the graph is of a share and did not note that, or was asked before.
    pub fn new(graph: &Graph) -> Self {
        if let Some(noted) = graph.noted_types() {
            return noted;
        }
        let population = graph.population();
        let mut incoming = Incoming::unplaced(population);
        for node_type in NodeType::ALL {
            for link in population.range(node_type).flat_map(|sender| graph.links(sender)) {
                incoming.count(node_type, &[link.peer]);
            }
        }
        incoming.placed(graph.places())
    }

    /// Rows that have counted no links yet.
    pub(super) fn unplaced(population: Population) -> Self {
        Incoming { rows: Column::filled(population.range(NodeType::FullNode).end as usize, Row::default()) }
    }

    /// Counts a link from a node of type `sender` to each of `peers`.
    #[inline]
    pub(super) fn count(&mut self, sender: NodeType, peers: &[NodeId]) {
        for &peer in peers {
            if let Some(row) = self.rows.get_mut(peer as usize) {
                row.ends[sender as usize] += 1;
            }
        }
    }

    /// Makes slots of what was counted.
    pub(super) fn placed(mut self, places: &Places) -> Self {
        let mut partition_ends = vec![0; 1 << places.partitions_log2()];
        for (receiver, row) in (0..).zip(self.rows.iter_mut()) {
            let end = &mut partition_ends[places.partition_of(receiver) as usize];
            row.start = *end;
            for place in &mut row.ends {
                *end += *place;
                *place = *end;
            }
        }
        self
    }

    /// The slots of the links from nodes of type `senders` to `receiver`, in the order of the senders' numbers.
    ///
    /// # Panics
    /// If `receiver` is not a super or full node.
    #[inline]
    pub fn slots(&self, receiver: NodeId, senders: NodeType) -> Range<usize> {
        let row = &self.rows[receiver as usize];
        let start = if senders == NodeType::SuperNode { row.start } else { row.ends[senders as usize - 1] };
        start as usize..row.ends[senders as usize] as usize
    }

    /// All slots of `receiver`.
    ///
    /// # Panics
    /// If `receiver` is not a super or full node.
    #[inline]
    pub fn all(&self, receiver: NodeId) -> Range<usize> {
        let row = &self.rows[receiver as usize];
        row.start as usize..row.ends[3] as usize
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.rows.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topologies::TierDegrees;

    #[test]
    fn slots_are_told_apart_by_sender_for_every_layout() {
        let population = Population::new([3, 9, 40, 11]).unwrap();
        let degrees = TierDegrees { full_peers: 4, super_parents: 2, light_parents: 3, mesh: true };
        for partitions_log2 in 0..5 {
            let graph = degrees.graph(population, partitions_log2, 5);
            let incoming = Incoming::new(&graph);
            for receiver in 0..population.range(NodeType::FullNode).end {
                let links = |sender| graph.links(sender).iter().filter(move |link| link.peer == receiver);
                for senders in NodeType::ALL {
                    let slots = population.range(senders).flat_map(links).map(|link| link.slot as usize);
                    assert!(slots.eq(incoming.slots(receiver, senders)), "{senders} nodes to node {receiver}");
                }
                let slots = (0..population.total()).flat_map(links).map(|link| link.slot as usize);
                assert!(slots.eq(incoming.all(receiver)));
            }
            assert_eq!(incoming.bytes(), 12 * 20);
        }
    }
}
