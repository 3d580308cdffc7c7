//! Where a node's candidate parents come from: a seam for whatever discovers nodes.

use std::fmt::Debug;

use crate::contract::{Domain, NodeId, NodeType, Population, RandomKey};
use crate::topologies::{Clustering, Graph, Tier};

/// Most candidates of a list that are looked at.
pub const CANDIDATES_MAX: usize = 64;

/// Tells nodes which parents they may ask.
///
/// Must be a function of its arguments, so that a node need not keep its list. Asked only when a node looks for a
/// parent.
pub trait Candidates: Sync + Debug {
    /// Appends the candidates of `node` to `out`, which is empty, the one to be asked first before all others. `round` is
    /// how often the node has gone through a list. Of more than [`CANDIDATES_MAX`] the first ones count; those that
    /// cannot be a parent of the node are passed over.
    fn candidates(&self, node: NodeId, round: u16, out: &mut Vec<NodeId>);

    /// Memory held, in bytes.
    fn bytes(&self) -> usize {
        0
    }
}

/// Candidates that are drawn from the tier above, and drawn anew in every round, as one who asks a directory gets them.
/// Takes no memory a light node.
#[derive(Debug)]
pub struct DrawnCandidates {
    population: Population,
    /// Super nodes, and full nodes.
    tiers: [Tier; 2],
    clustering: Option<Clustering>,
    count: u32,
    key: RandomKey,
}

impl DrawnCandidates {
    /// `count` distinct candidates, or all of the tier if there are no more: near ones as `clustering` says, and ordered
    /// by how near their regions are; uniform if there is none.
    pub fn new(population: Population, count: u32, clustering: Option<Clustering>, seed: u64) -> Self {
        let tier = |node_type| Tier::new(population.range(node_type), clustering.as_ref());
        let tiers = [tier(NodeType::SuperNode), tier(NodeType::FullNode)];
        DrawnCandidates { population, tiers, clustering, count, key: RandomKey::new(seed, Domain::Topology) }
    }
}

impl Candidates for DrawnCandidates {
    fn candidates(&self, node: NodeId, round: u16, out: &mut Vec<NodeId>) {
        let tier = match self.population.type_of(node) {
            NodeType::SuperNode => return,
            NodeType::FullNode => &self.tiers[0],
            NodeType::LightNode | NodeType::MobileNode => &self.tiers[1],
        };
        let mut random = self.key.stream(node, u32::from(round));
        tier.distinct_peers(self.count, node, &mut random, out);
        // A tier that is taken whole comes in the order of its numbers, but must not be asked in that order by all.
        for place in (1..out.len()).rev() {
            out.swap(place, random.below(place as u64 + 1) as usize);
        }
        if let Some(clustering) = &self.clustering {
            out.sort_by_key(|&candidate| clustering.rank(node, candidate));
        }
    }

    fn bytes(&self) -> usize {
        self.tiers.iter().map(Tier::bytes).sum()
    }
}

/// The peers of a node in the order of its links, the same in every round.
impl Candidates for Graph {
    fn candidates(&self, node: NodeId, _: u16, out: &mut Vec<NodeId>) {
        out.extend(self.links(node).iter().map(|link| link.peer));
    }

    fn bytes(&self) -> usize {
        Graph::bytes(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Placement, SimSpan};
    use crate::topologies::TierDegrees;

    #[test]
    fn near_candidates_come_first_and_every_round_has_its_own() {
        let placement = Placement::new(&[0.25; 4], 3);
        let one_way = |from: usize, to: usize| SimSpan::from_millis(from.abs_diff(to) as u64);
        let clustering = Clustering::new(placement.clone(), 0.5, one_way);
        let population = Population::new([10, 200, 1_000, 0]).unwrap();
        let drawn = DrawnCandidates::new(population, 8, Some(clustering), 1);
        let list = |node, round| {
            let mut list = Vec::new();
            drawn.candidates(node, round, &mut list);
            list
        };
        for node in [300, 777, 1_209] {
            let home = placement.region_of(node);
            let distances: Vec<_> =
                list(node, 0).iter().map(|&full| placement.region_of(full).abs_diff(home)).collect();
            assert!(distances.len() == 8 && distances.is_sorted() && distances[3] == 0, "{distances:?}");
            assert!(list(node, 0).iter().all(|full| population.range(NodeType::FullNode).contains(full)));
            assert_eq!(list(node, 0), list(node, 0));
            assert_ne!(list(node, 0), list(node, 1));
        }
        assert!(list(50, 0).iter().all(|&parent| parent < 10), "full nodes have super nodes as parents");
        assert!(list(3, 0).is_empty());
    }

    #[test]
    fn a_graph_gives_its_links() {
        let population = Population::new([3, 10, 20, 0]).unwrap();
        let graph =
            TierDegrees { full_peers: 0, super_parents: 2, light_parents: 4, mesh: false }.graph(population, 0, 1);
        let mut list = Vec::new();
        graph.candidates(20, 5, &mut list);
        assert!(list.len() == 4 && list.iter().eq(graph.links(20).iter().map(|link| &link.peer)));
    }
}
