//! What the nodes of a partition remember: two cache lines a node, its contacts, and what it is busy with.

use serde::{Deserialize, Serialize};

use super::figures::{KademliaFigures, LookupRecord};
use super::lookup::Lookup;
use super::table::Table;
use super::values::Values;
use super::{LOOKUPS_MAX, SPARES_MAX};
use crate::contract::{NodeId, exact};

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Presence {
    /// Its turn to join has not come: it hears nothing.
    #[default]
    Absent,
    /// It answers, but has not found its place yet.
    Joining,
    /// It has found its place.
    Joined,
}

/// A ping that decides whether a contact stays one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Check {
    /// Of the ping.
    pub(super) number: u32,
    /// The least recently seen contact of its bucket, which was pinged.
    pub(super) contact: NodeId,
}

/// What a node keeps besides its contacts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Values for others.
    pub(super) values: Values,
    /// Who takes the place of a contact that is removed: up to [`SPARES_MAX`] a bucket, and none where there is room.
    pub(super) spares: Table,
}

/// What one node remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct Node {
    pub(super) table: Table,
    /// Number of the last request. Survives an absence, so that no old answer fits a new request.
    pub(super) number: u32,
    /// A bit for each bucket in whose range something was looked for since the last refresh.
    pub(super) looked: u32,
    /// A bit for each bucket that is to be refreshed.
    pub(super) due: u32,
    pub(super) records: u16,
    pub(super) presence: Presence,
    #[serde(with = "exact")]
    pub(super) lookups: Vec<Lookup>,
    #[serde(with = "exact")]
    pub(super) checks: Vec<Check>,
    /// In a box, because most messages do not concern it.
    pub(super) kept: Option<Box<Kept>>,
}

const _: () = assert!(size_of::<Node>() == 128, "a node is two cache lines");

/// Gives the memory of an empty list back: there are as many as nodes, and most are idle.
pub(super) fn give_back<T>(list: &mut Vec<T>) {
    if list.is_empty() {
        *list = Vec::new();
    }
}

impl Node {
    /// A node that has joined and knows those of `table`.
    pub(super) fn joined(table: Table) -> Self {
        Node { table, presence: Presence::Joined, ..Node::default() }
    }

    /// The number of the next request.
    pub(super) fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// Keeps a lookup that has ended until all that it waits for have answered or are late; but not more than
    /// [`LOOKUPS_MAX`] of them.
    pub(super) fn wait_out(&mut self, lookup: Lookup) {
        let waiting = self.lookups.iter().filter(|other| other.has_ended).count();
        if !lookup.is_quiet() && waiting < LOOKUPS_MAX {
            self.lookups.push(lookup);
        }
        give_back(&mut self.lookups);
    }

    /// The values that it keeps, if it keeps anything.
    pub(super) fn values(&self) -> Option<&Values> {
        self.kept.as_ref().map(|kept| &kept.values)
    }

    /// Keeps `spare` as the replacement of `bucket` that was seen last, instead of the least recently seen if there are
    /// [`SPARES_MAX`].
    pub(super) fn keep_spare(&mut self, bucket: usize, spare: NodeId) {
        let spares = &mut self.kept.get_or_insert_default().spares;
        if spares.touch(bucket, spare) || spares.insert(bucket, spare, SPARES_MAX) {
            return;
        }
        let oldest = spares.bucket(bucket)[0];
        spares.remove(bucket, oldest);
        spares.insert(bucket, spare, SPARES_MAX);
    }

    /// Removes `contact` from `bucket`; the replacement that was seen last takes its place, as if it had just been seen.
    /// Returns whether there was such a contact, and whether there was a replacement.
    pub(super) fn replace(&mut self, bucket: usize, contact: NodeId, k: usize) -> (bool, bool) {
        if !self.table.remove(bucket, contact) {
            return (false, false);
        }
        let spares = self.kept.as_mut().map(|kept| &mut kept.spares);
        let spare = spares.and_then(|spares| {
            let spare = *spares.bucket(bucket).last()?;
            spares.remove(bucket, spare).then_some(spare)
        });
        (true, spare.is_some_and(|spare| self.table.insert(bucket, spare, k)))
    }

    fn bytes(&self) -> usize {
        let lookups: usize = self.lookups.iter().map(Lookup::bytes).sum();
        let busy = self.lookups.capacity() * size_of::<Lookup>() + self.checks.capacity() * size_of::<Check>();
        let kept = self.kept.as_ref().map_or(0, |kept| size_of::<Kept>() + kept.values.bytes() + kept.spares.bytes());
        size_of::<Node>() + self.table.bytes() + lookups + busy + kept
    }
}

/// What the nodes of a partition remember, and what became of their lookups.
#[derive(Debug, Serialize, Deserialize)]
pub struct KademliaState {
    pub(super) nodes: Vec<Node>,
    pub(super) figures: KademliaFigures,
    pub(super) records: Vec<LookupRecord>,
    /// Nodes that were found in a table, with the first 64 bits of their distances.
    pub(super) found: Vec<(u64, NodeId)>,
    /// Nodes that came in an answer.
    pub(super) told: Vec<NodeId>,
    /// The payload that is being made.
    pub(super) payload: Vec<u8>,
}

impl KademliaState {
    /// Nodes that have not joined yet.
    pub(super) fn new(nodes: usize) -> Self {
        KademliaState {
            nodes: std::iter::repeat_with(Node::default).take(nodes).collect(),
            figures: KademliaFigures::default(),
            records: Vec::new(),
            found: Vec::new(),
            told: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// How many nodes these are.
    #[allow(clippy::len_without_is_empty, reason = "a partition has nodes")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The contacts of the node at `index`.
    pub fn table(&self, index: usize) -> &Table {
        &self.nodes[index].table
    }

    /// Those who wait to take the place of a contact of the node at `index`, if there ever were any.
    pub fn spares(&self, index: usize) -> Option<&Table> {
        self.nodes[index].kept.as_ref().map(|kept| &kept.spares)
    }

    /// Whether the node at `index` has found its place.
    pub fn has_joined(&self, index: usize) -> bool {
        self.nodes[index].presence == Presence::Joined
    }

    /// How many lookups of the node at `index` are under way.
    pub fn lookups(&self, index: usize) -> usize {
        self.nodes[index].lookups.iter().filter(|lookup| !lookup.has_ended).count()
    }

    /// The values that the node at `index` keeps.
    pub fn values(&self, index: usize) -> Option<&Values> {
        self.nodes[index].values().filter(|values| !values.is_empty())
    }

    /// What became of the lookups and contacts of these nodes.
    pub fn figures(&self) -> &KademliaFigures {
        &self.figures
    }

    /// The lookups that were recorded, in an order that depends on how nodes are spread over partitions.
    pub fn records(&self) -> &[LookupRecord] {
        &self.records
    }

    /// Forgets everything that the node at `index` knew.
    pub(super) fn reset(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        self.figures.aborted += node.lookups.iter().filter(|lookup| !lookup.has_ended).count() as u64;
        *node = Node { number: node.number, records: node.records, ..Node::default() };
    }

    /// Memory that the nodes hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let nodes: usize = self.nodes.iter().map(Node::bytes).sum();
        nodes + self.records.len() * size_of::<LookupRecord>()
    }
}
