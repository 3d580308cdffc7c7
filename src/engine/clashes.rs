//! Which nodes have several events in one window: the others need no sorting.

/// Bits per event: a node that has one event only is taken for one that has several with a chance below one in this.
const BITS_PER_EVENT: usize = 16;

/// A filter over the events of a window, by the index of their node. It finds every node that has more than one event,
/// and few others.
#[derive(Debug, Default)]
pub(super) struct Clashes {
    /// Bits of the indexes that have come up, and of those that have come up again, modulo the number of bits.
    seen: Vec<u64>,
    again: Vec<u64>,
    word_mask: usize,
}

impl Clashes {
    /// Forgets everything, to take `events` events.
    pub(super) fn reset(&mut self, events: usize) {
        let words = (events * BITS_PER_EVENT).next_power_of_two().div_ceil(64);
        for bits in [&mut self.seen, &mut self.again] {
            bits.clear();
            bits.resize(words, 0);
        }
        self.word_mask = words - 1;
    }

    #[inline(always)]
    fn place(&self, index: u32) -> (usize, u64) {
        ((index as usize / 64) & self.word_mask, 1 << (index % 64))
    }

    /// Notes an event at the node with `index`.
    #[inline(always)]
    pub(super) fn note(&mut self, index: u32) {
        let (word, bit) = self.place(index);
        self.again[word] |= self.seen[word] & bit;
        self.seen[word] |= bit;
    }

    /// Whether the node with `index` may have more than one of the events.
    #[inline(always)]
    pub(super) fn is_clash(&self, index: u32) -> bool {
        let (word, bit) = self.place(index);
        self.again[word] & bit != 0
    }

    pub(super) fn bytes(&self) -> usize {
        (self.seen.capacity() + self.again.capacity()) * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    #[test]
    fn every_node_with_several_events_is_found_and_few_others() {
        let mut clashes = Clashes::default();
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for count in [0, 1, 2, 100, 5_000] {
            let indexes: Vec<u32> = (0..count).map(|_| random.below(1 << 20) as u32).collect();
            clashes.reset(count);
            indexes.iter().for_each(|&index| clashes.note(index));
            let times = |index: u32| indexes.iter().filter(|&&other| other == index).count();
            let found: Vec<u32> = indexes.iter().copied().filter(|&index| clashes.is_clash(index)).collect();
            assert!(indexes.iter().all(|index| times(*index) < 2 || found.contains(index)));
            let wrong = found.iter().filter(|&&index| times(index) < 2).count();
            assert!(wrong <= 2 * count / BITS_PER_EVENT, "{wrong} of {count}");
        }
    }
}
