//! The links of a network in tiers: super nodes above full nodes above light and mobile nodes.

use super::{Clustering, Graph, Kept, Tier};
use crate::contract::{Domain, NodeId, NodeType, Population, RandomKey};

/// How many links the nodes of each tier have. Peers and parents are drawn uniformly, or near ones first, and are
/// distinct; where there are fewer nodes than links, all of them are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierDegrees {
    /// Full nodes that a full node is linked to.
    pub full_peers: u32,
    /// Super nodes that a full node is linked to.
    pub super_parents: u32,
    /// Full nodes that a light or mobile node is linked to.
    pub light_parents: u32,
    /// Whether there are links within the tiers: all pairs of super nodes, and `full_peers` of each full node.
    pub mesh: bool,
}

impl TierDegrees {
    /// The graph of these links over `population`, `kept` as it says.
    ///
    /// The links of a full node go to its parents first, then to its peers. All nodes of a type have the same number
    /// of links, so the graph takes eight bytes a link and nothing besides. With `mesh`, super nodes take a link for
    /// every pair of them.
    pub fn graph(&self, population: Population, kept: impl Into<Kept>, seed: u64) -> Graph {
        self.clustered_graph(population, kept, seed, None)
    }

    /// As [`TierDegrees::graph`], with peers and parents chosen as `clustering` says, if there is one. While it builds,
    /// that takes another four bytes for each super and full node.
    pub fn clustered_graph(
        &self,
        population: Population,
        kept: impl Into<Kept>,
        seed: u64,
        clustering: Option<&Clustering>,
    ) -> Graph {
        Graph::new(population, kept, self.targets(population, seed, clustering))
    }

    /// What appends the peers of a node of [`TierDegrees::clustered_graph`] to a list. As long as it lives, that takes four
    /// bytes for each super and full node if there is a `clustering`.
    pub fn targets(
        &self,
        population: Population,
        seed: u64,
        clustering: Option<&Clustering>,
    ) -> impl Fn(NodeId, &mut Vec<NodeId>) + Sync + use<> {
        let (degrees, key) = (*self, RandomKey::new(seed, Domain::Topology));
        let (supers, fulls) = (population.range(NodeType::SuperNode), population.range(NodeType::FullNode));
        let (super_tier, full_tier) = (Tier::new(supers.clone(), clustering), Tier::new(fulls, clustering));
        move |node, peers| {
            let mut random = key.stream(node, 0);
            match population.type_of(node) {
                NodeType::SuperNode if degrees.mesh => peers.extend(supers.clone().filter(|&peer| peer != node)),
                NodeType::SuperNode => {}
                NodeType::FullNode => {
                    super_tier.distinct_peers(degrees.super_parents, node, &mut random, peers);
                    if degrees.mesh {
                        full_tier.distinct_peers(degrees.full_peers, node, &mut random, peers);
                    }
                }
                NodeType::LightNode | NodeType::MobileNode => {
                    full_tier.distinct_peers(degrees.light_parents, node, &mut random, peers);
                }
            }
        }
    }

    /// The links of the nodes of type `children`, light or mobile, to their parents alone: the same as in
    /// [`TierDegrees::clustered_graph`], for who needs no others.
    pub fn children_graph(
        &self,
        population: Population,
        kept: impl Into<Kept>,
        seed: u64,
        clustering: Option<&Clustering>,
        children: NodeType,
    ) -> Graph {
        let key = RandomKey::new(seed, Domain::Topology);
        let tier = Tier::new(population.range(NodeType::FullNode), clustering);
        Graph::new(population, kept, |node, peers| {
            if population.type_of(node) == children && children > NodeType::FullNode {
                tier.distinct_peers(self.light_parents, node, &mut key.stream(node, 0), peers);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topologies::Incoming;

    const DEGREES: TierDegrees = TierDegrees { full_peers: 20, super_parents: 3, light_parents: 4, mesh: true };

    #[test]
    fn every_node_has_the_links_of_its_tier() {
        let population = Population::new([10, 100, 2_000, 50]).unwrap();
        for mesh in [true, false] {
            let graph = TierDegrees { mesh, ..DEGREES }.graph(population, 2, 1);
            let meshed = |links: usize| if mesh { links } else { 0 };
            for node in 0..population.total() {
                let peers: Vec<_> = graph.links(node).iter().map(|link| link.peer).collect();
                let (parents, above, within) = match population.type_of(node) {
                    NodeType::SuperNode => (0, NodeType::SuperNode, meshed(9)),
                    NodeType::FullNode => (3, NodeType::SuperNode, meshed(20)),
                    _ => (4, NodeType::FullNode, 0),
                };
                assert_eq!(peers.len(), parents + within, "node {node}");
                assert!(peers[..parents].iter().all(|&peer| population.type_of(peer) == above));
                assert!(peers[parents..].iter().all(|&peer| population.type_of(peer) == population.type_of(node)));
                let mut distinct = peers.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert!(distinct.len() == peers.len() && !peers.contains(&node));
            }
            assert_eq!(graph.bytes(), 8 * graph.edges(), "rows take no memory");
        }
    }

    #[test]
    fn the_links_of_children_are_those_of_the_whole_network() {
        let population = Population::new([10, 100, 200, 50]).unwrap();
        let whole = DEGREES.graph(population, 1, 7);
        let links = |graph: &Graph, node| graph.links(node).iter().map(|link| link.peer).collect::<Vec<_>>();
        for children in NodeType::ALL {
            let graph = DEGREES.children_graph(population, 1, 7, None, children);
            for node in 0..population.total() {
                let is_child = children > NodeType::FullNode && population.type_of(node) == children;
                let expected = if is_child { links(&whole, node) } else { Vec::new() };
                assert_eq!(links(&graph, node), expected, "node {node}");
            }
        }
    }

    #[test]
    fn children_are_spread_evenly_over_full_nodes() {
        let population = Population::new([10, 100, 2_000, 50]).unwrap();
        let incoming = Incoming::new(&DEGREES.graph(population, 1, 2));
        let children =
            |node| incoming.slots(node, NodeType::LightNode).len() + incoming.slots(node, NodeType::MobileNode).len();
        let counts: Vec<usize> = population.range(NodeType::FullNode).map(children).collect();
        assert_eq!(counts.iter().sum::<usize>(), 4 * 2_050, "82 a full node on average");
        // A binomial count with mean 82 has a standard deviation of 8.9.
        assert!(counts.iter().all(|&count| (82 - 45..82 + 45).contains(&count)), "{counts:?}");
    }

    #[test]
    fn small_tiers_are_linked_to_whole() {
        for counts in [[1, 2, 5, 0], [0, 3, 4, 1], [2, 0, 3, 0], [1, 0, 0, 0], [0, 1, 0, 9]] {
            let population = Population::new(counts).unwrap();
            let graph = DEGREES.graph(population, 3, 1);
            let [supers, fulls, lights, mobiles] = counts;
            let within = |count: u64| count * count.saturating_sub(1);
            let expected = within(supers) + within(fulls) + fulls * supers + (lights + mobiles) * fulls;
            assert_eq!(graph.edges() as u64, expected, "{counts:?}");
        }
    }
}
