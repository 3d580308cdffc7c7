//! The messages that a node can still pass on: so many and no more, those that came last.

use serde::{Deserialize, Serialize};

use super::ids::Ids;
use crate::contract::{CoarseTime, Column};

/// A message that a node has: eight bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The number plus one, which has 24 bits, and the hops it took, eight. Zero where there is none.
    packed: u32,
    /// When it came.
    pub(super) arrived: CoarseTime,
}

impl Kept {
    #[inline(always)]
    fn new(number: u32, hops: u8, arrived: CoarseTime) -> Self {
        Kept { packed: (number + 1) << 8 | u32::from(hops), arrived }
    }

    #[inline(always)]
    fn is_none(&self) -> bool {
        self.packed == 0
    }

    #[inline(always)]
    pub(super) fn number(&self) -> u32 {
        (self.packed >> 8) - 1
    }

    /// How many nodes had sent it when it came.
    #[inline(always)]
    pub(super) fn hops(&self) -> u8 {
        self.packed as u8
    }
}

/// The last messages of some nodes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Store {
    /// `[node][place]`, flattened; the last one first.
    kept: Column<Kept>,
    capacity: usize,
}

impl Store {
    /// Room for `capacity` messages of each of `nodes` nodes.
    pub(super) fn new(nodes: usize, capacity: u8) -> Self {
        let capacity = usize::from(capacity);
        Store { kept: Column::filled(nodes * capacity, Kept::default()), capacity }
    }

    #[inline(always)]
    fn row(&self, node: usize) -> &[Kept] {
        &self.kept[node * self.capacity..][..self.capacity]
    }

    /// The messages of a node, those that came last first.
    #[inline(always)]
    pub(super) fn of(&self, node: usize) -> impl Iterator<Item = Kept> + Clone {
        self.row(node).iter().copied().take_while(|kept| !kept.is_none())
    }

    /// Keeps a message, which must be new to the node, instead of the one that came first if there is no room.
    #[inline]
    pub(super) fn insert(&mut self, node: usize, number: u32, hops: u8, arrived: CoarseTime) {
        let row = &mut self.kept[node * self.capacity..][..self.capacity];
        let mut moved = Kept::new(number, hops, arrived);
        for place in row {
            moved = std::mem::replace(place, moved);
            if moved.is_none() {
                break;
            }
        }
    }

    /// The messages of a node from number `oldest` on. Nothing that it has had and that is not older than the base of
    /// the answer is left out, as far as it remembers.
    pub(super) fn digest(&self, node: usize, oldest: u32) -> Ids {
        let row = self.row(node);
        let newest = self.of(node).map(|kept| kept.number()).max();
        let mut base = oldest.max(newest.map_or(0, |newest| (newest + 1).saturating_sub(Ids::SPAN)));
        if row.last().is_some_and(|last| !last.is_none()) {
            // Others may have been forgotten that are as old as the oldest.
            let smallest = self.of(node).map(|kept| kept.number()).min();
            base = base.max(smallest.unwrap_or(0));
        }
        let mut ids = Ids::none(base);
        for kept in self.of(node) {
            // Those that are older have no place.
            ids.insert(kept.number());
        }
        ids
    }

    /// Forgets all messages of a node.
    pub(super) fn forget(&mut self, node: usize) {
        self.kept[node * self.capacity..][..self.capacity].fill(Kept::default());
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, node: usize) {
        self.kept.prefetch(node * self.capacity);
    }

    pub(super) fn bytes(&self) -> usize {
        self.kept.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::SimTime;

    fn at(millis: u64) -> CoarseTime {
        CoarseTime::from(SimTime::from_nanos(millis * 1_000_000))
    }

    fn numbers(store: &Store, node: usize) -> Vec<u32> {
        store.of(node).map(|kept| kept.number()).collect()
    }

    #[test]
    fn the_last_messages_are_kept_and_a_node_forgets_without_the_others() {
        let mut store = Store::new(3, 4);
        for number in [0, 7, 3, 9, 1, (1 << 24) - 2] {
            store.insert(1, number, 5, at(u64::from(number)));
        }
        store.insert(2, 8, 255, at(1));
        assert_eq!(numbers(&store, 1), [(1 << 24) - 2, 1, 9, 3]);
        assert_eq!((numbers(&store, 0), numbers(&store, 2)), (vec![], vec![8]));
        assert!(store.of(1).all(|kept| kept.hops() == 5) && store.of(2).all(|kept| kept.hops() == 255));
        assert_eq!(store.of(1).nth(2).unwrap().arrived, at(9));
        store.forget(1);
        assert_eq!((numbers(&store, 1), numbers(&store, 2), store.bytes()), (vec![], vec![8], 3 * 4 * 8));
    }

    #[test]
    fn a_digest_states_from_which_number_on_it_is_complete() {
        let mut store = Store::new(1, 4);
        assert_eq!(store.digest(0, 5), Ids::none(5));
        for number in [10, 12, 11] {
            store.insert(0, number, 1, at(1));
        }
        let digest = store.digest(0, 5);
        assert!(digest.base() == 5 && digest.iter().eq([10, 11, 12]), "it has had nothing else from 5 on");
        store.insert(0, 15, 1, at(2));
        let digest = store.digest(0, 5);
        assert!(digest.base() == 10 && digest.iter().eq([10, 11, 12, 15]), "it may have forgotten 9");
        assert!(store.digest(0, 12).iter().eq([12, 15]), "too old");
        store.insert(0, 100, 1, at(2));
        let digest = store.digest(0, 5);
        assert!(digest.base() == 37 && digest.iter().eq([100]), "what is far from the newest has no place");
        assert_eq!(Store::new(2, 0).digest(1, 3), Ids::none(3));
    }
}
