//! The ids of all nodes, and who is close to a key: 36 bytes a node, shared by all of them.

use std::cmp::Ordering;
use std::ops::Range;

use crate::contract::{Column, Key256, NodeId};

/// The first 64 bits of a key, of which distances are made.
#[inline(always)]
pub(super) fn head_of(key: &Key256) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|place| key[place]))
}

fn tail_of(key: &Key256) -> [u64; 3] {
    std::array::from_fn(|word| u64::from_be_bytes(std::array::from_fn(|place| key[8 * (word + 1) + place])))
}

/// The id of a node: BLAKE3 of its number, as four bytes, little-endian. Nobody can choose where to stand.
pub fn id_of(node: NodeId) -> Key256 {
    *blake3::hash(&node.to_le_bytes()).as_bytes()
}

/// The ids of the nodes `0..n`, and their order.
///
/// Ids are random, so the first 64 bits nearly always tell which of two is closer to a key. They stand in a column of
/// their own, which the caches hold better.
#[derive(Debug)]
pub struct Keys {
    heads: Column<u64>,
    tails: Column<[u64; 3]>,
    /// The nodes in the order of their ids.
    order: Column<NodeId>,
}

impl Keys {
    /// The ids of the nodes `0..nodes`.
    pub fn new(nodes: NodeId) -> Self {
        let count = nodes as usize;
        let (mut heads, mut tails) = (Column::with_capacity(count), Column::with_capacity(count));
        for id in (0..nodes).map(id_of) {
            heads.push(head_of(&id));
            tails.push(tail_of(&id));
        }
        let mut order = Column::collect(count, 0..nodes);
        order.sort_unstable_by_key(|&node: &NodeId| (heads[node as usize], tails[node as usize]));
        Keys { heads, tails, order }
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> NodeId {
        self.heads.len() as NodeId
    }

    /// The first 64 bits of the id of `node`.
    ///
    /// # Panics
    /// If there is no such node, as all that take a node do.
    #[inline(always)]
    pub fn head(&self, node: NodeId) -> u64 {
        self.heads[node as usize]
    }

    /// The id of `node`.
    pub fn id(&self, node: NodeId) -> Key256 {
        let mut id = [0; 32];
        let words = std::iter::once(self.head(node)).chain(self.tails[node as usize]);
        for (bytes, word) in id.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        id
    }

    /// Whether `id` is that of `node`; there need not be such a node.
    pub fn is_id_of(&self, id: &Key256, node: NodeId) -> bool {
        self.heads.get(node as usize) == Some(&head_of(id)) && self.tails[node as usize] == tail_of(id)
    }

    /// Which of two nodes is closer to `target`: the smaller exclusive or of the ids, taken as a number. Equal only if it
    /// is the same node.
    #[inline]
    pub fn compare(&self, target: &Key256, a: NodeId, b: NodeId) -> Ordering {
        let head = head_of(target);
        (self.head(a) ^ head).cmp(&(self.head(b) ^ head)).then_with(|| self.compare_tails(target, a, b))
    }

    /// As [`Keys::compare`] for nodes whose ids begin with the same 64 bits.
    #[cold]
    pub(super) fn compare_tails(&self, target: &Key256, a: NodeId, b: NodeId) -> Ordering {
        let target = tail_of(target);
        let distance = |node: NodeId| -> [u64; 3] {
            let tail = self.tails[node as usize];
            std::array::from_fn(|word| tail[word] ^ target[word])
        };
        distance(a).cmp(&distance(b))
    }

    /// The nodes in the order of their ids.
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// Splits `range` of [`Keys::order`], whose ids have the first `bit` bits in common, by the next one.
    pub(super) fn split(&self, range: Range<usize>, bit: u32) -> (Range<usize>, Range<usize>) {
        let zeros = self.order[range.clone()].partition_point(|&node| self.bit(node, bit) == 0);
        let middle = range.start + zeros;
        (range.start..middle, middle..range.end)
    }

    fn bit(&self, node: NodeId, bit: u32) -> u64 {
        if bit < 64 { self.head(node) >> (63 - bit) & 1 } else { bit_of(&self.id(node), bit) }
    }

    /// Of the nodes that `may_count`, the one that is closest to `target`; `None` if none counts.
    ///
    /// Takes the square of log n steps, and more only where many do not count.
    pub fn closest(&self, target: &Key256, may_count: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        // Ranges that are left, the closest last; each is closer than those before it.
        let mut ranges = vec![(0..self.order.len(), 0)];
        while let Some((range, bit)) = ranges.pop() {
            if range.len() <= 1 {
                match self.order[range].first() {
                    Some(&node) if may_count(node) => return Some(node),
                    _ => continue,
                }
            }
            let (zeros, ones) = self.split(range, bit);
            let (near, far) = if bit_of(target, bit) == 0 { (zeros, ones) } else { (ones, zeros) };
            ranges.extend([(far, bit + 1), (near, bit + 1)]);
        }
        None
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.heads.bytes() + self.tails.bytes() + self.order.bytes()
    }
}

fn bit_of(key: &Key256, bit: u32) -> u64 {
    u64::from(key[bit as usize / 8] >> (7 - bit % 8) & 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    fn distance(a: &Key256, b: &Key256) -> Key256 {
        std::array::from_fn(|place| a[place] ^ b[place])
    }

    #[test]
    fn an_id_is_the_hash_of_the_number() {
        let keys = Keys::new(100);
        for node in 0..100 {
            assert_eq!(keys.id(node), *blake3::hash(&node.to_le_bytes()).as_bytes());
            assert!(keys.is_id_of(&id_of(node), node) && !keys.is_id_of(&id_of(node), (node + 1) % 100));
        }
        assert!(!keys.is_id_of(&id_of(100), 100), "there is no such node");
        let mut id = id_of(7);
        id[31] ^= 1;
        assert!(!keys.is_id_of(&id, 7));
        assert_eq!(keys.bytes(), 36 * 100);
    }

    #[test]
    fn the_closest_node_is_the_one_with_the_smallest_distance() {
        let keys = Keys::new(500);
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for round in 0..300 {
            let target: Key256 = if round % 3 == 0 {
                keys.id(random.below(500) as NodeId)
            } else {
                std::array::from_fn(|_| random.word() as u8)
            };
            let mut nodes: Vec<NodeId> = (0..500).collect();
            nodes.sort_by_key(|&node| distance(&keys.id(node), &target));
            assert!(nodes.is_sorted_by(|&a, &b| keys.compare(&target, a, b).is_lt()));
            assert_eq!(keys.closest(&target, |_| true), Some(nodes[0]));
            let counts = |node: NodeId| !node.is_multiple_of(10);
            assert_eq!(keys.closest(&target, |node| !counts(node)), nodes.iter().copied().find(|&node| !counts(node)));
            assert_eq!(keys.closest(&target, |_| false), None);
        }
        assert!(keys.order().is_sorted_by_key(|&node| keys.id(node)));
    }

    #[test]
    fn ids_that_begin_alike_are_told_apart_by_the_rest() {
        let keys = Keys::new(2);
        let target: Key256 = std::array::from_fn(|place| place as u8);
        let expected = distance(&keys.id(0), &target)[8..].cmp(&distance(&keys.id(1), &target)[8..]);
        assert_eq!(keys.compare_tails(&target, 0, 1), expected);
        assert_eq!(keys.compare(&target, 1, 1), Ordering::Equal);
    }
}
