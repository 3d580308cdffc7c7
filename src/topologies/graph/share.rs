//! The links of the nodes of one process, where several share a run.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::{Graph, Link, Rows, each_row, place_slots};
use crate::contract::{Column, NodeId, Nodes, Places, Population, Share};
use crate::topologies::Incoming;

/// What of a graph a process keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Where the nodes of the run are.
    pub places: Places,
    /// Whose links are kept.
    pub share: Share,
    /// What is noted about links to those nodes.
    pub notes: Notes,
}

impl<P: Into<Places>> From<P> for Kept {
    /// All of it, laid out for these places.
    fn from(places: P) -> Self {
        Kept { places: places.into(), share: Share::WHOLE, notes: Notes::default() }
    }
}

/// What a graph of a share notes, while it draws all links, about those to its own nodes, which other ranks may have. A graph
/// of all links finds it in them, and notes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Who sends along each, for [`Graph::senders`] and [`Graph::slot_ends`]: four bytes a slot, and four a node.
    pub senders: bool,
    /// Which are the first links of their senders, for [`Graph::firsts`]: a byte a slot.
    pub firsts: bool,
    /// How many come from each type of node, for [`Incoming::new`]: 20 bytes for every super and full node of all ranks.
    pub types: bool,
}

/// The rows of a share of the partitions, partition by partition.
#[derive(Debug)]
pub(super) struct Own {
    share: Share,
    places: Places,
    /// The number of the first row of each partition of the share.
    firsts: Vec<usize>,
    /// Where each row starts, and where the last one ends.
    pub(super) starts: Column<u32>,
    /// The most links of a node of each type, whoever has it.
    pub(super) degrees_max: [u32; 4],
    noted: Mutex<Noted>,
}

/// What was noted and not yet handed over.
#[derive(Debug, Default)]
struct Noted {
    /// By place of the partition in the share.
    senders: Vec<Option<Column<NodeId>>>,
    ends: Vec<Option<Column<u32>>>,
    firsts: Vec<Option<Column<bool>>>,
    incoming: Option<Incoming>,
}

impl Noted {
    /// Room for what `notes` ask about each of the partitions of a share, which have so many slots.
    fn new(notes: Notes, slots: impl Iterator<Item = u32> + Clone) -> Self {
        let senders = slots.clone().filter(|_| notes.senders).map(|slots| Some(Column::filled(slots as usize, 0)));
        let firsts = slots.filter(|_| notes.firsts).map(|slots| Some(Column::filled(slots as usize, false)));
        Noted { senders: senders.collect(), firsts: firsts.collect(), ..Noted::default() }
    }

    /// The link at `place` among those of `sender` leads to the partition at place `to` of the share.
    #[inline]
    fn note(&mut self, to: usize, sender: NodeId, place: usize, slot: u32) {
        if let Some(Some(senders)) = self.senders.get_mut(to) {
            senders[slot as usize] = sender;
        }
        if let Some(Some(firsts)) = self.firsts.get_mut(to) {
            firsts[slot as usize] = place == 0;
        }
    }
}

impl Own {
    /// The number of the row of `node`, if it is there.
    #[inline]
    pub(super) fn number(&self, node: NodeId) -> Option<usize> {
        let partition = self.places.partition_of(node);
        let first = self.share.holds(partition).then(|| self.firsts[self.share.place(partition)])?;
        Some(first + self.places.index_of(node))
    }

    /// # Panics
    /// If the row is not there.
    #[inline]
    pub(super) fn row(&self, node: NodeId) -> Range<usize> {
        let Some(number) = self.number(node) else { panic!("another rank has the links of node {node}") };
        self.starts[number] as usize..self.starts[number + 1] as usize
    }

    /// Hands over what was noted about `nodes`.
    fn hand_over<T>(&self, nodes: &Nodes, of: impl Fn(&mut Noted) -> &mut Vec<Option<T>>) -> T {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.share.place(nodes.number());
        let taken = of(&mut noted).get_mut(place).and_then(Option::take);
        taken.expect("what a graph of a share notes was asked for, and is handed over once")
    }

    pub(super) fn senders(&self, nodes: &Nodes) -> Column<NodeId> {
        self.hand_over(nodes, |noted| &mut noted.senders)
    }

    pub(super) fn slot_ends(&self, nodes: &Nodes) -> Column<u32> {
        self.hand_over(nodes, |noted| &mut noted.ends)
    }

    pub(super) fn first_slots(&self, nodes: &Nodes) -> Column<bool> {
        self.hand_over(nodes, |noted| &mut noted.firsts)
    }

    pub(super) fn incoming(&self) -> Incoming {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.incoming.take().expect("what a graph of a share notes was asked for, and is handed over once")
    }
}

impl Graph {
    /// The graph of the nodes of a share. Goes over all links twice without keeping those of other nodes, and meanwhile takes
    /// four bytes for every node.
    pub(super) fn of_share(
        population: Population,
        Kept { places, share, notes }: Kept,
        targets: impl Fn(NodeId, &mut Vec<NodeId>) + Sync,
    ) -> Self {
        let mut firsts = vec![0; share.partitions(places.partitions_log2()).len() + 1];
        for partition in (0..population.total()).map(|node| places.partition_of(node)).filter(|&one| share.holds(one)) {
            firsts[share.place(partition) + 1] += 1;
        }
        (1..firsts.len()).for_each(|place| firsts[place] += firsts[place - 1]);
        let own_nodes = firsts.pop().unwrap_or(0);
        let starts = Column::filled(own_nodes + 1, 0);
        let mut own = Own { share, places, firsts, starts, degrees_max: [0; 4], noted: Mutex::default() };
        let mut next = Column::filled(population.total() as usize, 0u32);
        let mut incoming = notes.types.then(|| Incoming::unplaced(population));
        each_row(population, &targets, |sender, peers| {
            let (degree, node_type) = (peers.len() as u32, population.type_of(sender));
            peers.iter().for_each(|&peer| next[peer as usize] += 1);
            if let Some(incoming) = &mut incoming {
                incoming.count(node_type, peers);
            }
            let most = &mut own.degrees_max[node_type as usize];
            *most = degree.max(*most);
            if let Some(number) = own.number(sender) {
                own.starts[number + 1] = degree;
            }
        });
        let mut edges = 0u32;
        for end in own.starts.iter_mut() {
            edges = edges.checked_add(*end).expect("a share has fewer than 2^32 edges");
            *end = edges;
        }
        let slots = place_slots(population, &own.places, &mut next);
        let own_slots = share.partitions(own.places.partitions_log2()).map(|partition| slots[partition as usize]);
        let own_slots: Vec<u32> = own_slots.collect();
        let mut noted = Noted::new(notes, own_slots.iter().copied());
        let is_noting = notes.senders || notes.firsts;
        let mut links = Column::filled(edges as usize, Link::default());
        each_row(population, &targets, |sender, peers| {
            let first = own.number(sender).map(|number| own.starts[number] as usize);
            for (place, &peer) in peers.iter().enumerate() {
                let slot = &mut next[peer as usize];
                if let Some(first) = first {
                    links[first + place] = Link { peer, slot: *slot };
                }
                if is_noting {
                    let partition = own.places.partition_of(peer);
                    if share.holds(partition) {
                        noted.note(share.place(partition), sender, place, *slot);
                    }
                }
                *slot += 1;
            }
        });
        if notes.senders {
            noted.ends = own.slot_ends_of(population, &next);
        }
        noted.incoming = incoming.map(|incoming| incoming.placed(&own.places));
        own.noted = Mutex::new(noted);
        let places = own.places.clone();
        Graph { population, places, rows: Rows::Own(own), links, slots }
    }
}

impl Own {
    /// Of each partition, where the slots of its nodes end, of which `ends` tells those of all nodes.
    fn slot_ends_of(&self, population: Population, ends: &[u32]) -> Vec<Option<Column<u32>>> {
        let bounds = self.firsts.iter().copied().chain([self.starts.len() - 1]).collect::<Vec<_>>();
        let sizes = bounds.windows(2).map(|pair| pair[1] - pair[0]);
        let mut of_partitions: Vec<Column<u32>> = sizes.map(Column::with_capacity).collect();
        for (node, &end) in (0..population.total()).zip(ends) {
            let partition = self.places.partition_of(node);
            if self.share.holds(partition) {
                of_partitions[self.share.place(partition)].push(end);
            }
        }
        of_partitions.into_iter().map(Some).collect()
    }
}
