//! Directed adjacency in compressed sparse rows, with a slot at the receiver for every edge.

use std::ops::Range;

use rayon::prelude::*;

use crate::contract::{Column, NodeId, NodeType, Nodes, Population};

/// Rows are generated in blocks of this many nodes, in parallel.
const BLOCK: usize = 1 << 14;

/// A directed edge, as its sender holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Where it leads.
    pub peer: NodeId,
    /// Which of the incoming edges of the peer's partition it is: the index of a column that the receiver keeps for
    /// its incoming links. A real node would send the handle that its peer gave it when the link was set up.
    pub slot: u32,
}

/// A directed graph over a population, laid out for a given number of partitions.
///
/// Eight bytes an edge, and four a node unless all nodes of a type have the same number of edges.
#[derive(Debug)]
pub struct Graph {
    population: Population,
    partitions_log2: u32,
    rows: Rows,
    links: Column<Link>,
    /// Incoming edges of every partition: the length of its column of slots.
    slots: Vec<u32>,
}

#[derive(Debug)]
enum Rows {
    /// All nodes of a type have as many edges.
    ByType(ByType),
    /// Where each row starts, and where the last one ends.
    Starts(Column<u32>),
}

/// Rows whose place follows from the type, so that finding one reads no memory of its own.
#[derive(Debug)]
struct ByType {
    /// Numbers of the first full, light and mobile node.
    type_starts: [NodeId; 3],
    degrees: [usize; 4],
    /// Where the row of node 0 would start if all nodes were of that type, modulo 2^64.
    origins: [usize; 4],
}

impl ByType {
    fn new(population: Population, degrees: [usize; 4]) -> Self {
        let mut origins = [0; 4];
        let mut end = 0;
        for (node_type, origin) in NodeType::ALL.into_iter().zip(&mut origins) {
            let degree = degrees[node_type as usize];
            let range = population.range(node_type);
            *origin = usize::wrapping_sub(end, range.start as usize * degree);
            end += range.len() * degree;
        }
        let start = |node_type| population.range(node_type).start;
        let type_starts = [start(NodeType::FullNode), start(NodeType::LightNode), start(NodeType::MobileNode)];
        ByType { type_starts, degrees, origins }
    }

    #[inline(always)]
    fn row(&self, node: NodeId) -> Range<usize> {
        let [full, light, mobile] = self.type_starts;
        let node_type = usize::from(node >= full) + usize::from(node >= light) + usize::from(node >= mobile);
        let degree = self.degrees[node_type];
        let start = (node as usize * degree).wrapping_add(self.origins[node_type]);
        start..start + degree
    }
}

impl Graph {
    /// The graph in which `targets` gives the peers of a node: it appends them to a vector, in any order.
    ///
    /// `partitions_log2` must be that of the run, because slots are numbered by partition; see
    /// [`Settings::partitions_log2`](crate::engine::Settings).
    ///
    /// # Panics
    /// If a node links to itself or to a node that does not exist, or if a partition has 2^32 edges or more.
    pub fn new(
        population: Population,
        partitions_log2: u32,
        targets: impl Fn(NodeId, &mut Vec<NodeId>) + Sync,
    ) -> Self {
        let (rows, mut links) = generate(population, &targets);
        let slots = number_slots(population, partitions_log2, &mut links);
        Graph { population, partitions_log2, rows, links, slots }
    }

    /// The nodes that the graph connects.
    pub fn population(&self) -> Population {
        self.population
    }

    /// Base-2 logarithm of the number of partitions that slots are numbered for.
    pub fn partitions_log2(&self) -> u32 {
        self.partitions_log2
    }

    /// The edges of a node.
    #[inline(always)]
    pub fn links(&self, node: NodeId) -> &[Link] {
        match &self.rows {
            Rows::ByType(rows) => &self.links[rows.row(node)],
            Rows::Starts(starts) => &self.links[starts[node as usize] as usize..starts[node as usize + 1] as usize],
        }
    }

    /// Starts loading the edges of a node.
    #[inline(always)]
    pub fn prefetch(&self, node: NodeId) {
        let first = match &self.rows {
            Rows::ByType(rows) => rows.row(node).start,
            Rows::Starts(starts) => starts[node as usize] as usize,
        };
        self.links.prefetch(first);
        self.links.prefetch(first + 7);
    }

    /// How many slots the incoming links of `nodes` take.
    ///
    /// # Panics
    /// If `nodes` is not a partition of the layout that the graph was made for.
    pub fn slots(&self, nodes: Nodes) -> usize {
        let partition = nodes.id(0);
        assert_eq!(
            nodes,
            Nodes::partition(self.population, partition, self.partitions_log2),
            "the graph is laid out for {} partitions",
            1u64 << self.partitions_log2
        );
        self.slots[partition as usize] as usize
    }

    /// Who is at the other end of each slot of `nodes`: four bytes a slot. Goes over all edges once.
    ///
    /// # Panics
    /// As [`Graph::slots`].
    pub fn senders(&self, nodes: Nodes) -> Column<NodeId> {
        let mut senders = Column::filled(self.slots(nodes), 0);
        for sender in 0..self.population.total() {
            for link in self.links(sender).iter().filter(|link| nodes.index_of(link.peer).is_some()) {
                senders[link.slot as usize] = sender;
            }
        }
        senders
    }

    /// Where the slots of each of `nodes` end, by index; they start where those of the node before end. Four bytes a
    /// node. Goes over all edges once.
    ///
    /// # Panics
    /// As [`Graph::slots`].
    pub fn slot_ends(&self, nodes: Nodes) -> Column<u32> {
        assert!(self.slots(nodes) <= u32::MAX as usize, "slots have 32 bits");
        let mut ends = Column::filled(nodes.len(), 0);
        for peer in self.links.iter().map(|link| link.peer) {
            if let Some(index) = nodes.index_of(peer) {
                ends[index] += 1;
            }
        }
        let mut end = 0;
        for place in ends.iter_mut() {
            end += *place;
            *place = end;
        }
        ends
    }

    /// Number of edges.
    pub fn edges(&self) -> usize {
        self.links.len()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let starts = match &self.rows {
            Rows::ByType(_) => 0,
            Rows::Starts(starts) => starts.bytes(),
        };
        starts + self.links.bytes()
    }
}

/// All rows, block by block in parallel; the slots are not numbered yet.
fn generate(population: Population, targets: &(impl Fn(NodeId, &mut Vec<NodeId>) + Sync)) -> (Rows, Column<Link>) {
    let total = population.total() as usize;
    let block = |number: usize| {
        let (mut degrees, mut peers) = (Vec::with_capacity(BLOCK), Vec::new());
        for node in number * BLOCK..((number + 1) * BLOCK).min(total) {
            let before = peers.len();
            targets(node as NodeId, &mut peers);
            for &peer in &peers[before..] {
                assert!(peer as usize != node && (peer as usize) < total, "node {node} cannot link to node {peer}");
            }
            degrees.push((peers.len() - before) as u32);
        }
        (degrees, peers)
    };
    let blocks: Vec<(Vec<u32>, Vec<NodeId>)> = (0..total.div_ceil(BLOCK)).into_par_iter().map(block).collect();
    let edges: usize = blocks.iter().map(|(_, peers)| peers.len()).sum();
    let degrees = || blocks.iter().flat_map(|(degrees, _)| degrees).copied();
    let rows = if let Some(degrees) = shared_degrees(population, degrees()) {
        Rows::ByType(ByType::new(population, degrees))
    } else {
        assert!(u32::try_from(edges).is_ok(), "{edges} edges of uneven degree do not fit 32 bits");
        let mut end = 0;
        let ends = degrees().map(|degree| {
            end += degree;
            end
        });
        Rows::Starts(Column::collect(total + 1, std::iter::once(0).chain(ends)))
    };
    // Blocks are dropped one by one, so that edges are not held twice.
    let links = blocks.into_iter().flat_map(|(_, peers)| peers).map(|peer| Link { peer, slot: 0 });
    (rows, Column::collect(edges, links))
}

/// The degree that all nodes of each type have, if they do; zero for a type without nodes.
fn shared_degrees(population: Population, mut degrees: impl Iterator<Item = u32>) -> Option<[usize; 4]> {
    let mut shared = [0; 4];
    for node_type in NodeType::ALL {
        let mut same = degrees.by_ref().take(population.range(node_type).len());
        let Some(degree) = same.next() else { continue };
        // All of them are taken, so that the next type begins where it should.
        if same.fold(false, |differs, other| differs | (other != degree)) {
            return None;
        }
        shared[node_type as usize] = degree as usize;
    }
    Some(shared)
}

/// Numbers the incoming links of every partition by receiver, then by sender. Returns how many each has.
fn number_slots(population: Population, partitions_log2: u32, links: &mut Column<Link>) -> Vec<u32> {
    let mut next = Column::filled(population.total() as usize, 0u32);
    for link in links.iter() {
        next[link.peer as usize] += 1;
    }
    let mut slots = Vec::with_capacity(1 << partitions_log2);
    for partition in 0..1u32 << partitions_log2 {
        let mut end = 0u32;
        for here in Nodes::partition(population, partition, partitions_log2).iter() {
            let degree = std::mem::replace(&mut next[here.id as usize], end);
            end = end.checked_add(degree).expect("a partition has fewer than 2^32 incoming links");
        }
        slots.push(end);
    }
    for link in links.iter_mut() {
        let place = &mut next[link.peer as usize];
        link.slot = *place;
        *place += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_incoming_link_has_its_own_slot_grouped_by_receiver() {
        let population = Population::flat(50);
        for partitions_log2 in 0..4 {
            for uneven in [false, true] {
                let degree = |node: NodeId| if uneven { node % 5 } else { 3 };
                let graph = Graph::new(population, partitions_log2, |node, peers| {
                    peers.extend((1..=degree(node)).map(|step| (node + 7 * step) % 50));
                });
                assert_eq!(graph.edges() as u32, (0..50).map(degree).sum::<u32>());
                for partition in 0..1 << partitions_log2 {
                    let nodes = Nodes::partition(population, partition, partitions_log2);
                    let mut incoming: Vec<(u32, NodeId)> = (0..50)
                        .flat_map(|node| graph.links(node))
                        .filter_map(|link| nodes.index_of(link.peer).map(|_| (link.slot, link.peer)))
                        .collect();
                    incoming.sort_unstable();
                    assert_eq!(incoming.len(), graph.slots(nodes));
                    assert!(incoming.iter().enumerate().all(|(place, &(slot, _))| place as u32 == slot));
                    assert!(incoming.is_sorted_by_key(|&(_, peer)| peer));
                    let (senders, ends) = (graph.senders(nodes), graph.slot_ends(nodes));
                    for here in nodes.iter() {
                        let start = if here.index == 0 { 0 } else { ends[here.index - 1] };
                        for slot in start..ends[here.index] {
                            let links = graph.links(senders[slot as usize]);
                            assert!(links.contains(&Link { peer: here.id, slot }), "slot {slot} of node {}", here.id);
                        }
                    }
                    assert_eq!(ends.last().map(|&end| end as usize), Some(incoming.len()));
                }
            }
        }
    }

    #[test]
    fn rows_are_found_whether_degrees_follow_the_type_or_not() {
        for counts in [[3, 4, 20, 5], [0, 30, 0, 2], [2, 0, 30, 0], [0, 0, 0, 32], [32, 0, 0, 0]] {
            let population = Population::new(counts).unwrap();
            for odd_one in [None, Some(1), Some(31)] {
                let degree = |node: NodeId| match population.type_of(node) {
                    _ if odd_one == Some(node) => 9,
                    NodeType::SuperNode => 0,
                    node_type => 2 * node_type as u32 + 1,
                };
                let peers_of = |node: NodeId| (1..=degree(node)).map(move |step| (node + step) % 32);
                let graph = Graph::new(population, 1, |node, peers| peers.extend(peers_of(node)));
                for node in 0..32 {
                    assert!(graph.links(node).iter().map(|link| link.peer).eq(peers_of(node)), "node {node}");
                }
                let columns = if odd_one.is_some() && population.count(population.type_of(odd_one.unwrap())) > 1 {
                    4 * 33
                } else {
                    0
                };
                assert_eq!(graph.bytes(), 8 * graph.edges() + columns);
            }
        }
    }

    #[test]
    #[should_panic(expected = "node 3 cannot link to node 3")]
    fn a_link_to_oneself_is_refused() {
        Graph::new(Population::flat(5), 0, |_, peers| peers.push(3));
    }
}
