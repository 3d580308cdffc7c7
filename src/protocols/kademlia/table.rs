//! Routing tables: the contacts of a node by distance, in one allocation, and the search for those closest to a key.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::keys::{Keys, head_of};
use crate::contract::{Key256, NodeId, Stream, exact};

/// Buckets of a table. A contact stands in the bucket whose number is how many bits its id and the node's own have in
/// common from the first on; those with more bits in common stand in the last, which a few nodes of 2^32 need.
pub const BUCKETS: usize = 32;

/// The contacts of a node: bucket after bucket, and within one the least recently seen first.
///
/// Four bytes a contact, without gaps, and a byte a bucket: a list for each bucket would take as much for its pointers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Table {
    #[serde(with = "exact")]
    contacts: Vec<NodeId>,
    counts: [u8; BUCKETS],
}

/// The bucket of an id that begins with `head`, in the table of a node whose own begins with `own`.
#[inline(always)]
pub(super) fn bucket_of(own: u64, head: u64) -> usize {
    ((own ^ head).leading_zeros() as usize).min(BUCKETS - 1)
}

impl Table {
    fn range(&self, bucket: usize) -> Range<usize> {
        let start = self.counts[..bucket].iter().map(|&count| usize::from(count)).sum();
        start..start + usize::from(self.counts[bucket])
    }

    /// The contacts of `bucket`, the least recently seen first.
    ///
    /// # Panics
    /// If there is no such bucket, as all that take a bucket do.
    #[inline]
    pub fn bucket(&self, bucket: usize) -> &[NodeId] {
        &self.contacts[self.range(bucket)]
    }

    /// All contacts, the farthest bucket first.
    pub fn contacts(&self) -> &[NodeId] {
        &self.contacts
    }

    /// The last bucket that holds anything.
    pub fn deepest(&self) -> Option<usize> {
        self.counts.iter().rposition(|&count| count > 0)
    }

    /// Makes `contact` the one of `bucket` that was seen last. Returns false if it is not in it.
    pub fn touch(&mut self, bucket: usize, contact: NodeId) -> bool {
        let range = self.range(bucket);
        let contacts = &mut self.contacts[range];
        let Some(place) = contacts.iter().position(|&other| other == contact) else { return false };
        contacts[place..].rotate_left(1);
        true
    }

    /// Adds `contact`, which is not in it, to `bucket` as the one that was seen last. Returns false if it holds `k`
    /// contacts already.
    pub fn insert(&mut self, bucket: usize, contact: NodeId, k: usize) -> bool {
        let range = self.range(bucket);
        if range.len() >= k {
            return false;
        }
        if self.contacts.len() == self.contacts.capacity() {
            // By an eighth, not twofold: there are as many tables as nodes.
            self.contacts.reserve_exact(self.contacts.len() / 8 + 4);
        }
        self.contacts.insert(range.end, contact);
        self.counts[bucket] += 1;
        true
    }

    /// Removes `contact` from `bucket`. Returns false if it is not in it.
    pub fn remove(&mut self, bucket: usize, contact: NodeId) -> bool {
        let range = self.range(bucket);
        let Some(place) = self.contacts[range.clone()].iter().position(|&other| other == contact) else { return false };
        self.contacts.remove(range.start + place);
        self.counts[bucket] -= 1;
        true
    }

    /// Forgets everything, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Table::default();
    }

    /// Memory held besides the table itself, in bytes.
    pub fn bytes(&self) -> usize {
        self.contacts.capacity() * size_of::<NodeId>()
    }

    /// The table of `own` that knows of each bucket `k` random nodes, or all if there are no more. `path` makes it fast for
    /// nodes in the order of their ids.
    pub fn ideal(keys: &Keys, own: NodeId, k: usize, random: &mut Stream, path: &mut Path) -> Self {
        path.go_to(keys, own);
        let mut counts = [0; BUCKETS];
        let contacts = &mut path.contacts;
        contacts.clear();
        for (bucket, count) in counts.iter_mut().enumerate() {
            let Some(inside) = path.ranges.get(bucket) else { break };
            let far = match path.ranges.get(bucket + 1) {
                Some(near) if near.start == inside.start => near.end..inside.end,
                Some(near) => inside.start..near.start,
                None => inside.clone(),
            };
            let before = contacts.len();
            choose(&keys.order()[far], own, k, random, contacts);
            *count = (contacts.len() - before) as u8;
        }
        Table { contacts: contacts.to_vec(), counts }
    }
}

/// The way to a node in the order of all ids: where those stand that have the first bits in common with it.
#[derive(Debug)]
pub struct Path {
    head: u64,
    /// Of those with the first 0, 1, 2, ... bits in common; up to [`BUCKETS`] ranges, the last of which is split no further.
    ranges: Vec<Range<usize>>,
    /// Kept for its memory.
    contacts: Vec<NodeId>,
}

impl Path {
    /// The way to no node yet.
    pub fn new(keys: &Keys) -> Self {
        let mut ranges = Vec::with_capacity(BUCKETS);
        ranges.push(0..keys.order().len());
        Path { head: 0, ranges, contacts: Vec::new() }
    }

    /// Goes on to `own`, from where the ways part.
    fn go_to(&mut self, keys: &Keys, own: NodeId) {
        let head = keys.head(own);
        self.ranges.truncate((self.head ^ head).leading_zeros() as usize + 1);
        self.head = head;
        while self.ranges.len() < BUCKETS {
            let bit = self.ranges.len() as u32 - 1;
            let Some(inside) = self.ranges.last().filter(|inside| inside.len() > 1) else { break };
            let (zeros, ones) = keys.split(inside.clone(), bit);
            self.ranges.push(if head >> (63 - bit) & 1 == 1 { ones } else { zeros });
        }
    }
}

/// Adds `k` random of `nodes` other than `own` to `out`, or all if there are no more: every set alike (Floyd's
/// algorithm; Bentley, "Programming pearls: a sample of brilliance", CACM 1987).
fn choose(nodes: &[NodeId], own: NodeId, k: usize, random: &mut Stream, out: &mut Vec<NodeId>) {
    if nodes.len() <= k {
        out.extend(nodes.iter().filter(|&&node| node != own));
        return;
    }
    // Places first, so that no draw waits for the memory of another.
    let start = out.len();
    for last in (nodes.len() - k) as u32..nodes.len() as u32 {
        let drawn = random.below(u64::from(last) + 1) as u32;
        let place = if out[start..].contains(&drawn) { last } else { drawn };
        out.push(place);
    }
    out[start..].iter_mut().for_each(|place| *place = nodes[*place as usize]);
    if let Some(place) = out[start..].iter().position(|&node| node == own) {
        out.remove(start + place);
    }
}

/// What one node knows of where others stand.
#[derive(Clone, Copy, Debug)]
pub struct KademliaRouting<'a> {
    pub(super) own: NodeId,
    pub(super) k_bucket_size: usize,
    pub(super) table: &'a Table,
    pub(super) keys: &'a Keys,
}

impl<'a> KademliaRouting<'a> {
    /// The routing of `own`, whose contacts are those of `table`, with buckets of `k_bucket_size`.
    pub fn new(own: NodeId, k_bucket_size: usize, table: &'a Table, keys: &'a Keys) -> Self {
        KademliaRouting { own, k_bucket_size, table, keys }
    }

    /// The contacts of the node.
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// The `k_bucket_size` contacts of the node that are closest to `target`, the closest first; all if there are no
    /// more.
    ///
    /// Looks at no more than twice as many contacts, whatever the size of the table.
    pub fn find_closest_nodes(&self, target: &Key256) -> Vec<NodeId> {
        let mut found = Vec::new();
        self.find_closest(target, None, &mut found);
        found.into_iter().map(|(_, node)| node).collect()
    }

    /// As [`KademliaRouting::find_closest_nodes`], into `found`, which is cleared, and without `asker`; with the first 64
    /// bits of the distances.
    pub(super) fn find_closest(&self, target: &Key256, asker: Option<NodeId>, found: &mut Vec<(u64, NodeId)>) {
        found.clear();
        let head = head_of(target);
        let apart = head ^ self.keys.head(self.own);
        // A contact in bucket b is as far from the target as the node itself in the bits before b, and differs from that
        // in bit b. So where the node and the target differ, its contacts are closer than it is, the first such bucket
        // being the closest; where they do not differ they are farther, the last such bucket being the closest.
        let differs = |bucket: &usize| apart >> (63 - bucket) & 1 == 1;
        let closer = (0..BUCKETS).filter(differs);
        let farther = (0..BUCKETS).rev().filter(|bucket| !differs(bucket));
        for bucket in closer.chain(farther) {
            if self.table.counts[bucket] == 0 {
                continue;
            }
            let start = found.len();
            let contacts = self.table.bucket(bucket).iter().filter(|&&contact| Some(contact) != asker);
            found.extend(contacts.map(|&contact| (self.keys.head(contact) ^ head, contact)));
            found[start..]
                .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.keys.compare_tails(target, a.1, b.1)));
            if found.len() >= self.k_bucket_size {
                found.truncate(self.k_bucket_size);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    fn random(counter: u32) -> Stream {
        RandomKey::new(3, Domain::Protocol).stream(0, counter)
    }

    #[test]
    fn a_bucket_keeps_those_first_that_were_not_seen_for_long() {
        let mut table = Table::default();
        assert!([5, 6, 7].iter().all(|&contact| table.insert(3, contact, 3)));
        assert!(!table.insert(3, 8, 3), "it is full");
        assert!(table.insert(0, 1, 3) && table.insert(9, 2, 3));
        assert!(table.touch(3, 5) && !table.touch(3, 8) && !table.touch(4, 5));
        assert_eq!(table.bucket(3), [6, 7, 5]);
        assert!(table.remove(3, 7) && !table.remove(3, 7) && !table.remove(0, 6));
        assert_eq!((table.bucket(3), table.contacts(), table.deepest()), (&[6, 5][..], &[1, 6, 5, 2][..], Some(9)));
        table.clear();
        assert_eq!((table.bytes(), table.deepest(), table.bucket(3).len()), (0, None, 0));
    }

    #[test]
    fn a_table_does_not_take_much_more_than_its_contacts() {
        let mut table = Table::default();
        (0..640).for_each(|contact| assert!(table.insert(contact as usize % BUCKETS, contact, 20)));
        assert!(table.bytes() <= 640 * 5, "{}", table.bytes());
        assert_eq!(size_of::<Table>(), 56);
    }

    #[test]
    fn an_ideal_table_knows_k_nodes_of_each_distance_or_all() {
        let keys = Keys::new(1_000);
        let mut path = Path::new(&keys);
        for own in [0, 17, 999] {
            let table = Table::ideal(&keys, own, 8, &mut random(own), &mut path);
            let mut sizes = [0; BUCKETS];
            (0..1_000).filter(|&other| other != own).for_each(|other| {
                sizes[bucket_of(keys.head(own), keys.head(other))] += 1;
            });
            for (bucket, &size) in sizes.iter().enumerate() {
                let mut contacts = table.bucket(bucket).to_vec();
                assert_eq!(contacts.len(), 8.min(size));
                assert!(contacts.iter().all(|&other| bucket_of(keys.head(own), keys.head(other)) == bucket));
                contacts.sort_unstable();
                contacts.dedup();
                assert_eq!(contacts.len(), 8.min(size), "each once");
            }
            assert_eq!(table.bytes(), 4 * table.contacts().len());
        }
    }

    #[test]
    fn every_node_of_a_bucket_is_chosen_as_often_as_any_other() {
        let nodes: Vec<NodeId> = (0..50).collect();
        let mut counts = [0u32; 50];
        let (mut random, mut out) = (random(1), Vec::new());
        for _ in 0..10_000 {
            out.clear();
            choose(&nodes, 50, 8, &mut random, &mut out);
            assert_eq!(out.len(), 8);
            out.iter().for_each(|&node| counts[node as usize] += 1);
        }
        // 1600 each, with a standard deviation of 37.
        assert!(counts.iter().all(|&count| count.abs_diff(1_600) < 170), "{counts:?}");
    }

    #[test]
    fn the_closest_contacts_are_found_whatever_the_target() {
        let keys = Keys::new(2_000);
        let mut random = random(2);
        let mut path = Path::new(&keys);
        for k in [1, 5, 20] {
            for own in 0..40 {
                let table = Table::ideal(&keys, own, 20, &mut random, &mut path);
                let routing = KademliaRouting::new(own, k, &table, &keys);
                let near = keys.id((own + 1) % 40);
                let anywhere = std::array::from_fn(|_| random.word() as u8);
                for target in [near, keys.id(own), anywhere, [0; 32], [255; 32]] {
                    let mut expected = table.contacts().to_vec();
                    expected.sort_by(|&a, &b| keys.compare(&target, a, b));
                    expected.truncate(k + 1);
                    let mut without = Vec::new();
                    routing.find_closest(&target, Some(expected[0]), &mut without);
                    let without: Vec<_> = without.into_iter().map(|(_, node)| node).collect();
                    assert_eq!(without, expected[1..]);
                    assert_eq!(routing.find_closest_nodes(&target), expected[..k]);
                }
            }
        }
    }
}
