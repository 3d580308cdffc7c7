//! Directed adjacency in compressed sparse rows, with a slot at the receiver for every edge.

mod share;

use std::ops::Range;

use rayon::prelude::*;

use super::Incoming;
use crate::contract::{Column, NodeId, NodeType, Nodes, Places, Population};
use share::Own;
pub use share::{Kept, Notes};

/// Rows are generated in blocks of this many nodes, in parallel.
const BLOCK: usize = 1 << 14;
/// Where only some rows are kept, so many blocks are generated at a time by each thread.
const BLOCKS_AT_ONCE: usize = 2;

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
    places: Places,
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
    /// There are only the rows of a share of the partitions.
    Own(Own),
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
    /// Its places must be those of the run, because slots are numbered by partition; see
    /// [`Settings::places`](crate::engine::Settings::places). Where it is `kept` for a share of the nodes, the links of others
    /// are drawn twice and forgotten, and meanwhile it takes four bytes for every node of all.
    ///
    /// # Panics
    /// If a node links to itself or to a node that does not exist, or if a partition or a share has 2^32 edges or more.
    pub fn new(
        population: Population,
        kept: impl Into<Kept>,
        targets: impl Fn(NodeId, &mut Vec<NodeId>) + Sync,
    ) -> Self {
        let kept = kept.into();
        if !kept.share.is_whole() {
            return Graph::of_share(population, kept, targets);
        }
        let places = kept.places;
        let (rows, mut links) = generate(population, &targets);
        let slots = number_slots(population, &places, &mut links);
        Graph { population, places, rows, links, slots }
    }

    /// The nodes that the graph connects.
    pub fn population(&self) -> Population {
        self.population
    }

    /// The places of the nodes that slots are numbered for.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Whether it has the edges of `node`.
    pub fn holds(&self, node: NodeId) -> bool {
        match &self.rows {
            Rows::Own(rows) => rows.number(node).is_some(),
            _ => true,
        }
    }

    /// The edges of a node.
    ///
    /// # Panics
    /// If another rank has them.
    #[inline(always)]
    pub fn links(&self, node: NodeId) -> &[Link] {
        match &self.rows {
            Rows::ByType(rows) => &self.links[rows.row(node)],
            Rows::Starts(starts) => &self.links[starts[node as usize] as usize..starts[node as usize + 1] as usize],
            Rows::Own(rows) => &self.links[rows.row(node)],
        }
    }

    /// Starts loading the edges of a node.
    #[inline(always)]
    pub fn prefetch(&self, node: NodeId) {
        let first = match &self.rows {
            Rows::ByType(rows) => rows.row(node).start,
            Rows::Starts(starts) => starts[node as usize] as usize,
            Rows::Own(rows) => rows.row(node).start,
        };
        self.links.prefetch(first);
        self.links.prefetch(first + 7);
    }

    /// How many slots the incoming links of `nodes` take.
    ///
    /// # Panics
    /// If `nodes` is not a partition of the layout that the graph was made for.
    pub fn slots(&self, nodes: &Nodes) -> usize {
        assert!(
            self.places.holds(nodes) && nodes.population() == self.population,
            "the graph is laid out for {} partitions",
            1u64 << self.places.partitions_log2()
        );
        self.slots[nodes.number() as usize] as usize
    }

    /// The most edges that a node of `node_type` has. Goes over all of them.
    pub fn degree_max(&self, node_type: NodeType) -> usize {
        match &self.rows {
            Rows::Own(own) => own.degrees_max[node_type as usize] as usize,
            _ => self.population.range(node_type).map(|node| self.links(node).len()).max().unwrap_or(0),
        }
    }

    /// Who is at the other end of each slot of `nodes`: four bytes a slot. Goes over all edges once.
    ///
    /// # Panics
    /// As [`Graph::slots`]; of a share, if that was not noted, or was asked before.
    pub fn senders(&self, nodes: &Nodes) -> Column<NodeId> {
        if let Rows::Own(own) = &self.rows {
            return own.senders(nodes);
        }
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
    /// As [`Graph::senders`].
    pub fn slot_ends(&self, nodes: &Nodes) -> Column<u32> {
        assert!(self.slots(nodes) <= u32::MAX as usize, "slots have 32 bits");
        if let Rows::Own(own) = &self.rows {
            return own.slot_ends(nodes);
        }
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

    /// Of each slot of `nodes`, whether its edge is the first one of its sender: a byte a slot. Goes over all nodes once.
    ///
    /// # Panics
    /// As [`Graph::senders`].
    pub fn firsts(&self, nodes: &Nodes) -> Column<bool> {
        if let Rows::Own(own) = &self.rows {
            return own.first_slots(nodes);
        }
        let mut firsts = Column::filled(self.slots(nodes), false);
        for first in (0..self.population.total()).filter_map(|sender| self.links(sender).first()) {
            if nodes.index_of(first.peer).is_some() {
                firsts[first.slot as usize] = true;
            }
        }
        firsts
    }

    /// What a graph of a share noted about the types of senders.
    pub(super) fn noted_types(&self) -> Option<Incoming> {
        match &self.rows {
            Rows::Own(own) => Some(own.incoming()),
            _ => None,
        }
    }

    /// Number of edges, as far as they are kept.
    pub fn edges(&self) -> usize {
        self.links.len()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let starts = match &self.rows {
            Rows::ByType(_) => 0,
            Rows::Starts(starts) | Rows::Own(Own { starts, .. }) => starts.bytes(),
        };
        starts + self.links.bytes()
    }
}

/// The degrees and the peers of the nodes of a block.
fn block(number: usize, total: usize, targets: &(impl Fn(NodeId, &mut Vec<NodeId>) + Sync)) -> (Vec<u32>, Vec<NodeId>) {
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
}

/// Shows `visit` every node with its peers, in order. A few blocks are in memory at a time.
fn each_row(
    population: Population,
    targets: &(impl Fn(NodeId, &mut Vec<NodeId>) + Sync),
    mut visit: impl FnMut(NodeId, &[NodeId]),
) {
    let total = population.total() as usize;
    let (blocks, mut node) = (total.div_ceil(BLOCK), 0);
    let at_once = BLOCKS_AT_ONCE * rayon::current_num_threads();
    for first in (0..blocks).step_by(at_once) {
        let some = first..(first + at_once).min(blocks);
        let some: Vec<_> = some.into_par_iter().map(|number| block(number, total, targets)).collect();
        for (degrees, peers) in &some {
            let mut rest = peers.as_slice();
            for &degree in degrees {
                let (row, others) = rest.split_at(degree as usize);
                visit(node, row);
                (rest, node) = (others, node + 1);
            }
        }
    }
}

/// All rows, block by block in parallel; the slots are not numbered yet.
fn generate(population: Population, targets: &(impl Fn(NodeId, &mut Vec<NodeId>) + Sync)) -> (Rows, Column<Link>) {
    let total = population.total() as usize;
    let blocks: Vec<(Vec<u32>, Vec<NodeId>)> =
        (0..total.div_ceil(BLOCK)).into_par_iter().map(|number| block(number, total, targets)).collect();
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

/// Makes of the number of incoming links of every node, in `next`, the number of its first one in its partition. Returns how
/// many each partition has.
fn place_slots(population: Population, places: &Places, next: &mut Column<u32>) -> Vec<u32> {
    let mut ends = vec![0u32; 1 << places.partitions_log2()];
    for node in 0..population.total() {
        let end = &mut ends[places.partition_of(node) as usize];
        let degree = std::mem::replace(&mut next[node as usize], *end);
        *end = end.checked_add(degree).expect("a partition has fewer than 2^32 incoming links");
    }
    ends
}

/// Numbers the incoming links of every partition by receiver, then by sender. Returns how many each has.
fn number_slots(population: Population, places: &Places, links: &mut Column<Link>) -> Vec<u32> {
    let mut next = Column::filled(population.total() as usize, 0u32);
    for link in links.iter() {
        next[link.peer as usize] += 1;
    }
    let slots = place_slots(population, places, &mut next);
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
    use crate::contract::Share;

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
                    assert_eq!(incoming.len(), graph.slots(&nodes));
                    assert!(incoming.iter().enumerate().all(|(place, &(slot, _))| place as u32 == slot));
                    assert!(incoming.is_sorted_by_key(|&(_, peer)| peer));
                    let (senders, ends) = (graph.senders(&nodes), graph.slot_ends(&nodes));
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
    fn shares_have_the_links_of_the_whole_graph_between_them() {
        let population = Population::flat(50);
        for (partitions_log2, uneven) in [(1, false), (3, false), (3, true), (4, true)] {
            let degree = |node: NodeId| if uneven { node % 5 } else { 3 };
            let targets = |node, peers: &mut Vec<NodeId>| {
                peers.extend((1..=degree(node)).map(|step| (node + 7 * step) % 50));
            };
            let table = Places::new(population, partitions_log2, |node| node * 7 % 11 % (1 << partitions_log2));
            for places in [Places::from(partitions_log2), table] {
                let whole = Graph::new(population, places.clone(), targets);
                for ranks in 1..=4 {
                    let shares = (0..ranks).map(|rank| Share::new(rank, ranks));
                    let edges = shares.map(|share| check_share(&whole, &places, share, targets));
                    assert_eq!(edges.sum::<usize>(), whole.edges(), "{ranks} shares");
                }
            }
        }
    }

    /// The edges of a share, which are those of `whole`.
    fn check_share(
        whole: &Graph,
        places: &Places,
        share: Share,
        targets: impl Fn(NodeId, &mut Vec<NodeId>) + Sync,
    ) -> usize {
        let population = whole.population();
        let notes = Notes { senders: true, firsts: true, types: true };
        let graph = Graph::new(population, Kept { places: places.clone(), share, notes }, targets);
        for partition in share.partitions(places.partitions_log2()) {
            let nodes = places.nodes(population, partition);
            assert_eq!(graph.slots(&nodes), whole.slots(&nodes));
            assert!(nodes.iter().all(|here| graph.links(here.id) == whole.links(here.id)));
            assert_eq!(graph.senders(&nodes)[..], whole.senders(&nodes)[..]);
            assert_eq!(graph.slot_ends(&nodes)[..], whole.slot_ends(&nodes)[..]);
            assert_eq!(graph.firsts(&nodes)[..], whole.firsts(&nodes)[..]);
        }
        let [incoming, expected] = [&graph, whole].map(Incoming::new);
        for (receiver, senders) in (0..50).flat_map(|node| NodeType::ALL.map(|senders| (node, senders))) {
            assert_eq!(incoming.slots(receiver, senders), expected.slots(receiver, senders));
        }
        assert!(NodeType::ALL.map(|node_type| graph.degree_max(node_type) == whole.degree_max(node_type)) == [true; 4]);
        graph.edges()
    }

    /// The graph of a ring of five nodes that the first of two ranks keeps.
    fn half_of_a_ring(notes: Notes) -> Graph {
        let kept = Kept { share: Share::new(0, 2), notes, ..Kept::from(1) };
        Graph::new(Population::flat(5), kept, |node, peers| peers.push((node + 1) % 5))
    }

    #[test]
    #[should_panic(expected = "another rank has the links of node 1")]
    fn the_links_of_another_share_are_refused() {
        half_of_a_ring(Notes::default()).links(1);
    }

    #[test]
    #[should_panic(expected = "handed over once")]
    fn what_was_noted_is_not_held_twice() {
        let (graph, nodes) =
            (half_of_a_ring(Notes { senders: true, ..Notes::default() }), Nodes::partition(Population::flat(5), 0, 1));
        assert_eq!(graph.senders(&nodes)[..], [4, 1, 3]);
        graph.senders(&nodes);
    }

    #[test]
    #[should_panic(expected = "node 3 cannot link to node 3")]
    fn a_link_to_oneself_is_refused() {
        Graph::new(Population::flat(5), 0, |_, peers| peers.push(3));
    }
}
