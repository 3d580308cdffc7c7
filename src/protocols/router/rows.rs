//! Rows of cells, a row for each node, in which others are found by their number: hash tables of fixed size.

use serde::{Deserialize, Serialize};

use crate::contract::{Column, NodeId, prefetch, scale_word};

/// Marks a cell that is free; no node has this number.
pub(super) const NOBODY: NodeId = NodeId::MAX;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Cell<V> {
    key: NodeId,
    value: V,
}

/// A hash table a node, each with room for as many keys: open addressing with linear probing (Knuth, "The Art of
/// Computer Programming", vol. 3, section 6.4, algorithms L and R). Three of four cells are taken at most.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rows<V: Copy> {
    cells: Column<Cell<V>>,
    lens: Column<u32>,
    /// Cells of a row; more than `capacity`, so that every search ends.
    width: usize,
    capacity: u32,
}

impl<V: Copy + Default> Rows<V> {
    /// `rows` empty rows for up to `capacity` keys each.
    pub(super) fn new(rows: usize, capacity: u32) -> Self {
        let width = capacity as usize + (capacity as usize).div_ceil(3) + 1;
        let cells = Column::filled(rows * width, Cell { key: NOBODY, value: V::default() });
        Rows { cells, lens: Column::filled(rows, 0), width, capacity }
    }

    /// How many keys a row holds.
    #[inline]
    pub(super) fn len(&self, row: usize) -> u32 {
        self.lens[row]
    }

    /// How many cells a row has, taken or free.
    #[inline]
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.bytes() + self.lens.bytes()
    }

    /// Where a search for `key` begins.
    #[inline(always)]
    fn home(&self, key: NodeId) -> usize {
        // Multiplicative hashing: 2^64 over the golden ratio spreads neighbouring numbers.
        let word = u64::from(key).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        scale_word(word, self.width as u64) as usize
    }

    /// The place of `key` in a row if it is there, or else that of the free cell where it would go.
    #[inline(always)]
    fn find(&self, row: usize, key: NodeId) -> Result<usize, usize> {
        let cells = &self.cells[row * self.width..][..self.width];
        let mut place = self.home(key);
        loop {
            match cells[place].key {
                NOBODY => return Err(row * self.width + place),
                found if found == key => return Ok(row * self.width + place),
                _ => place = if place + 1 == self.width { 0 } else { place + 1 },
            }
        }
    }

    /// What a row holds for `key`.
    #[inline]
    pub(super) fn get(&self, row: usize, key: NodeId) -> Option<&V> {
        self.find(row, key).ok().map(|place| &self.cells[place].value)
    }

    /// What a row holds for `key`, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, row: usize, key: NodeId) -> Option<&mut V> {
        self.find(row, key).ok().map(|place| &mut self.cells[place].value)
    }

    /// What a row holds for `key`, which is added with `value` if it is not there; `None` if there is no room for it.
    pub(super) fn get_or_insert(&mut self, row: usize, key: NodeId, value: V) -> Option<&mut V> {
        let place = match self.find(row, key) {
            Ok(place) => place,
            Err(_) if self.lens[row] >= self.capacity || key == NOBODY => return None,
            Err(place) => {
                self.lens[row] += 1;
                self.cells[place] = Cell { key, value };
                place
            }
        };
        Some(&mut self.cells[place].value)
    }

    /// Takes `key` out of a row, and returns what it held for it.
    pub(super) fn remove(&mut self, row: usize, key: NodeId) -> Option<V> {
        let place = self.find(row, key).ok()?;
        let value = self.cells[place].value;
        self.remove_at(row, place - row * self.width);
        Some(value)
    }

    fn remove_at(&mut self, row: usize, place: usize) {
        let start = row * self.width;
        let (mut free, mut next) = (place, place);
        loop {
            next = if next + 1 == self.width { 0 } else { next + 1 };
            let cell = self.cells[start + next];
            if cell.key == NOBODY {
                break;
            }
            // A key may move back to the free cell unless its search begins behind that.
            let distance = |from: usize| if next >= from { next - from } else { next + self.width - from };
            if distance(self.home(cell.key)) >= distance(free) {
                self.cells[start + free] = cell;
                free = next;
            }
        }
        self.cells[start + free].key = NOBODY;
        self.lens[row] -= 1;
    }

    /// Takes out of a row whatever `keep` does not say, which may be asked twice.
    pub(super) fn retain(&mut self, row: usize, mut keep: impl FnMut(NodeId, &V) -> bool) {
        for place in 0..self.width {
            loop {
                let cell = self.cells[row * self.width + place];
                if cell.key == NOBODY || keep(cell.key, &cell.value) {
                    break;
                }
                self.remove_at(row, place);
            }
        }
    }

    /// What stands in cell `place` of a row.
    #[inline]
    pub(super) fn at(&self, row: usize, place: usize) -> Option<(NodeId, &V)> {
        let cell = &self.cells[row * self.width + place];
        (cell.key != NOBODY).then_some((cell.key, &cell.value))
    }

    /// The keys of a row and what it holds for them, in the order of the cells.
    pub(super) fn iter(&self, row: usize) -> impl Iterator<Item = (NodeId, &V)> {
        (0..self.width).filter_map(move |place| self.at(row, place))
    }

    /// Forgets all that a row holds.
    pub(super) fn clear(&mut self, row: usize) {
        self.cells[row * self.width..][..self.width].iter_mut().for_each(|cell| cell.key = NOBODY);
        self.lens[row] = 0;
    }

    /// Starts loading what a search for `key` begins with.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: usize, key: NodeId) {
        prefetch(&self.cells, row * self.width + self.home(key));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_hold_what_a_map_would(
            capacity in 1u32..12,
            steps in prop::collection::vec((0u8..4, 0usize..2, 0u32..20, any::<u32>()), 0..200),
        ) {
            let mut rows = Rows::new(2, capacity);
            let mut maps = [BTreeMap::new(), BTreeMap::new()];
            for (step, row, key, value) in steps {
                let map = &mut maps[row];
                match step {
                    0 | 1 => {
                        let fits = map.contains_key(&key) || map.len() < capacity as usize;
                        let held = rows.get_or_insert(row, key, value);
                        prop_assert_eq!(held.is_some(), fits);
                        if let Some(held) = held {
                            prop_assert_eq!(*held, *map.entry(key).or_insert(value));
                        }
                    }
                    2 => prop_assert_eq!(rows.remove(row, key), map.remove(&key)),
                    _ => {
                        rows.retain(row, |key, &held| (key + held) % 3 > 0);
                        map.retain(|&key, held| (key + *held) % 3 > 0);
                    }
                }
                let mut held: Vec<_> = rows.iter(row).map(|(key, &held)| (key, held)).collect();
                held.sort_unstable();
                prop_assert_eq!(held, map.iter().map(|(&key, &held)| (key, held)).collect::<Vec<_>>());
                prop_assert_eq!(rows.len(row) as usize, map.len());
                for key in 0..20 {
                    prop_assert_eq!(rows.get(row, key), map.get(&key));
                }
            }
            rows.clear(0);
            prop_assert!(rows.iter(0).next().is_none() && rows.len(0) == 0 && rows.get_mut(0, 3).is_none());
        }
    }

    #[test]
    fn a_row_takes_four_cells_for_three_keys_and_nobody_is_no_key() {
        let mut rows = Rows::<u32>::new(10, 300);
        assert_eq!((rows.width(), rows.bytes()), (401, 10 * (401 * 8 + 4)));
        assert_eq!(rows.get_or_insert(3, NOBODY, 1), None);
        assert_eq!(Rows::<u32>::new(1, 0).get_or_insert(0, 1, 1), None);
    }
}
