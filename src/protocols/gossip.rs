//! Push gossip: whom a rumour is passed on to, and which rumours a node has seen.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::contract::{Column, NodeId, Stream};
use crate::topologies::Neighbourhood;

/// Infect-and-die push: a node passes a rumour on when it first gets it, and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipEngine {
    fanout: u32,
    hops_max: u8,
}

impl GossipEngine {
    /// Passes a rumour on to `fanout` others, until `hops_max` nodes have sent it on a path (at most 255, which is
    /// what the wire format holds).
    pub fn new(fanout: u32, hops_max: u32) -> Self {
        GossipEngine { fanout, hops_max: u8::try_from(hops_max).unwrap_or(u8::MAX) }
    }

    /// The hops to put on a rumour that came with `hops` (0 for one's own); `None` if it has come far enough.
    #[inline(always)]
    pub fn next_hop(&self, hops: u8) -> Option<u8> {
        (hops < self.hops_max).then(|| hops + 1)
    }

    /// `fanout` members of `tier` other than `own`: uniform and independent, so some may coincide. None if there are
    /// no others.
    #[inline(always)]
    pub fn select_gossip_peers(
        &self,
        tier: Range<NodeId>,
        own: NodeId,
        mut random: Stream,
    ) -> impl Iterator<Item = NodeId> + use<> {
        let others = (tier.end - tier.start).saturating_sub(1);
        (0..if others == 0 { 0 } else { self.fanout }).map(move |_| {
            let peer = tier.start + random.below(u64::from(others)) as NodeId;
            peer + NodeId::from(peer >= own)
        })
    }
}

impl GossipEngine {
    /// As [`GossipEngine::select_gossip_peers`], near ones first: see [`Neighbourhood::peers`].
    #[inline(always)]
    pub fn select_near_peers<'a>(
        &self,
        tier: &'a Neighbourhood,
        own: NodeId,
        random: Stream,
    ) -> impl Iterator<Item = NodeId> + use<'a> {
        tier.peers(self.fanout, own, random)
    }
}

/// Ids of one set: a cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
struct Set([u64; WAYS]);

const WAYS: usize = 8;

/// The messages that each of some nodes saw last, bounded by a capacity.
///
/// An id belongs to one set of eight, by its hash, and every set forgets the id that was seen longest ago. So looking
/// an id up touches one cache line, where a list over all ids with an index would touch four or more. The price is that
/// a node may forget an id when its set is full though others have room: with a capacity of eight times the ids that
/// are under way at once, a set holds one of them on average, and more than eight with a chance of 1 in 10^6.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct SeenMessages {
    /// `[node][set]`, flattened; the ids of a set are ordered from the last seen on. Zero where there is none.
    sets: Column<Set>,
    sets_per_node: usize,
}

impl SeenMessages {
    /// Nothing seen yet by `nodes` nodes, each of which remembers `capacity` ids, rounded up to a multiple of eight.
    pub fn new(nodes: usize, capacity: usize) -> Self {
        let sets_per_node = capacity.div_ceil(WAYS).max(1);
        SeenMessages { sets: Column::filled(nodes * sets_per_node, Set([0; WAYS])), sets_per_node }
    }

    #[inline(always)]
    fn place(&self, node_index: usize, id: u64) -> usize {
        // Fibonacci hashing; the upper half of the product scales to the number of sets.
        let hash = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        node_index * self.sets_per_node + ((hash * self.sets_per_node as u64) >> 32) as usize
    }

    /// Notes that the node saw `id`, which must not be zero. Returns whether it is new to the node, as far as it
    /// remembers.
    #[inline(always)]
    pub fn insert(&mut self, node_index: usize, id: u64) -> bool {
        debug_assert!(id != 0, "zero stands for no id");
        let place = self.place(node_index, id);
        // Each id moves one place back, up to where `id` stood or off the end.
        let mut moved = id;
        for seen in &mut self.sets[place].0 {
            moved = std::mem::replace(seen, moved);
            if moved == id {
                return false;
            }
        }
        true
    }

    /// Whether the node saw `id`, as far as it remembers. Does not count as seeing it.
    #[inline(always)]
    pub fn contains(&self, node_index: usize, id: u64) -> bool {
        self.sets[self.place(node_index, id)].0.contains(&id)
    }

    /// Forgets all that a node saw.
    pub fn forget(&mut self, node_index: usize) {
        self.sets[node_index * self.sets_per_node..][..self.sets_per_node].fill(Set([0; WAYS]));
    }

    /// Starts loading what [`SeenMessages::insert`] will touch.
    #[inline(always)]
    pub fn prefetch(&self, node_index: usize, id: u64) {
        self.sets.prefetch(self.place(node_index, id));
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.sets.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::contract::{Domain, RandomKey};

    #[test]
    fn a_set_is_a_cache_line_and_capacity_is_rounded_up_to_sets() {
        for (capacity, sets) in [(0, 1), (8, 1), (9, 2), (1_024, 128), (10_000, 1_250)] {
            let seen = SeenMessages::new(3, capacity);
            assert_eq!((seen.bytes(), seen.sets.as_ptr() as usize % 64), (3 * sets * 64, 0));
        }
        assert_eq!(SeenMessages::default().bytes(), 0);
    }

    #[test]
    fn every_set_forgets_what_it_saw_longest_ago() {
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for capacity in [8, 64, 100] {
            let mut seen = SeenMessages::new(2, capacity);
            let mut model = vec![VecDeque::<u64>::new(); seen.sets.len()];
            for _ in 0..50_000 {
                let (node, id) = (random.below(2) as usize, 1 + random.below(2 * capacity as u64));
                let set = &mut model[seen.place(node, id)];
                let known = set.iter().position(|&other| other == id);
                known.and_then(|place| set.remove(place));
                set.push_front(id);
                set.truncate(WAYS);
                assert_eq!(seen.contains(node, id), known.is_some());
                assert_eq!(seen.insert(node, id), known.is_none());
            }
        }
    }

    #[test]
    fn a_node_forgets_without_the_others() {
        let mut seen = SeenMessages::new(3, 64);
        for id in 1..50 {
            (0..3).for_each(|node| assert!(seen.insert(node, id)));
        }
        seen.forget(1);
        assert_eq!([0, 1, 2].map(|node| seen.insert(node, 49)), [false, true, false]);
    }

    /// Rumours as a tier of 10 000 nodes starts them, each seen eight times while `live` others are under way: how
    /// many come back as new in a million.
    fn forgotten_per_million(capacity: usize, live: u64) -> u64 {
        let mut seen = SeenMessages::new(1, capacity);
        let mut random = RandomKey::new(2, Domain::Protocol).stream(0, 0);
        let id = |number: u64| (number * 7_919 % 10_000 + 100) << 16 | (number / 10_000 + 1);
        let (mut forgotten, rounds) = (0, 200_000);
        for newest in live..live + rounds {
            for lookup in 0..8 {
                let number = if lookup == 0 { newest } else { newest - random.below(live) };
                let is_new = seen.insert(0, id(number));
                forgotten += u64::from(is_new && lookup > 0 && newest > 3 * live);
            }
        }
        forgotten * 1_000_000 / (rounds * 7)
    }

    #[test]
    fn with_eight_times_the_live_messages_as_capacity_hardly_any_is_forgotten() {
        // A live rumour that this node was never told of is new to it when it first comes: the baseline.
        let baseline = forgotten_per_million(1 << 20, 128);
        let ample = forgotten_per_million(8 * 128, 128);
        assert!(ample <= baseline + 20, "{ample} against {baseline} per million");
        assert!(forgotten_per_million(64, 128) > baseline + 100_000, "too small a cache forgets");
    }

    #[test]
    fn peers_are_uniform_over_the_others_of_the_tier() {
        let engine = GossipEngine::new(8, 3);
        let key = RandomKey::new(3, Domain::Protocol);
        for own in [100, 105, 109] {
            let mut hits = [0u32; 10];
            for draw in 0..10_000 {
                let peers = engine.select_gossip_peers(100..110, own, key.stream(own, draw));
                peers.for_each(|peer| hits[peer as usize - 100] += 1);
            }
            assert_eq!((hits[own as usize - 100], hits.iter().sum::<u32>()), (0, 80_000));
            let expected = 80_000.0 / 9.0f64;
            let others = hits.iter().filter(|&&count| count > 0);
            assert!(others.clone().count() == 9);
            assert!(
                others.clone().all(|&count| (f64::from(count) - expected).abs() < 6.0 * expected.sqrt()),
                "{hits:?}"
            );
        }
        assert_eq!(engine.select_gossip_peers(4..5, 4, key.stream(0, 0)).count(), 0, "there is nobody else");
    }

    #[test]
    fn a_rumour_is_sent_by_at_most_hops_max_nodes_in_a_row() {
        let engine = GossipEngine::new(8, 3);
        assert_eq!([0, 2, 3, 255].map(|hops| engine.next_hop(hops)), [Some(1), Some(3), None, None]);
        assert_eq!(GossipEngine::new(8, 1_000).next_hop(254), Some(255));
    }
}
