//! Sorting what is due in a window by node, then time: linear, and in pieces that fit the second-level cache.

use super::stream::{Pool, Stream};
use crate::contract::Column;

/// What can be sorted: it belongs to a node of a partition and has a place in the order of that node's events.
pub(super) trait Keyed: Copy {
    /// The node's place in its partition, then the time.
    fn key(&self) -> u64;

    /// Orders items of the same key.
    fn tie(&self) -> u64;

    /// The node's place in its partition.
    #[inline(always)]
    fn index(&self) -> u32 {
        (self.key() >> 32) as u32
    }

    /// Whether this comes before `other`.
    #[inline(always)]
    fn precedes(&self, other: &Self) -> bool {
        let (key, other_key) = (self.key(), other.key());
        key < other_key || (key == other_key && self.tie() < other.tie())
    }
}

/// A bucket larger than this is sorted by the library, a smaller one by insertion.
const INSERTION_MAX: u32 = 16;
/// Items that are sorted at a time: with their sorted copies they fit in half a mebibyte.
const GROUP_ITEMS: usize = 1 << 13;
/// How many items ahead of the one that is split off are loaded into the cache.
const SPLIT_AHEAD: usize = 64;
/// At most this many groups, so that splitting writes to few places at a time.
const GROUPS_LOG2_MAX: u32 = 8;

/// Reused memory of the sort.
///
/// A window is sorted in two steps. [`Sorter::load`] splits it by the high bits of the node index into groups that fit
/// the cache; a small window is one group and stays where it is. [`Sorter::group`] then sorts one group by counting:
/// there are about as many buckets as items, so a bucket is a stretch of nodes in a sparse window, a node in a dense
/// one, and a part of a node's window where nodes have many items each. What is left to do within buckets is done by
/// insertion. Bits are counted from the largest index that occurs, because the busiest nodes have the smallest.
#[derive(Debug)]
pub(super) struct Sorter<T: Copy> {
    groups: Vec<Stream<T>>,
    /// The chunks of the group that is sorted next or, if the window is one group, all chunks.
    chunks: Vec<Column<T>>,
    /// Per bucket: first its size, then where its next item goes.
    buckets: Vec<u32>,
    sorted: Vec<T>,
    /// Bits of the time within a window.
    offset_bits: u32,
    /// Bits of the node indexes of what is loaded.
    index_bits: u32,
    groups_log2: u32,
}

impl<T: Keyed> Sorter<T> {
    /// A sorter for windows of `2^offset_bits` nanoseconds.
    pub(super) fn new(offset_bits: u32) -> Self {
        Sorter {
            groups: Vec::new(),
            chunks: Vec::new(),
            buckets: Vec::new(),
            sorted: Vec::new(),
            offset_bits,
            index_bits: 0,
            groups_log2: 0,
        }
    }

    /// Takes the items of `chunks`, whose indexes have `index_bits` bits. Returns how many groups there are.
    ///
    /// Chunks go back to `pool` as soon as they are read, and groups are made of them, so that all of it stays in the
    /// cache.
    pub(super) fn load(&mut self, chunks: &mut Vec<Column<T>>, index_bits: u32, pool: &mut Pool<T>) -> usize {
        let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        self.index_bits = index_bits;
        let wanted = total.div_ceil(GROUP_ITEMS).max(1).next_power_of_two().ilog2();
        self.groups_log2 = wanted.min(GROUPS_LOG2_MAX).min(index_bits);
        if self.groups_log2 == 0 {
            self.chunks.append(chunks);
        } else {
            let count = 1usize << self.groups_log2;
            self.groups.resize_with(count.max(self.groups.len()), Stream::new);
            let groups = &mut self.groups[..count];
            let shift = index_bits - self.groups_log2;
            for chunk in chunks.drain(..) {
                for (place, item) in chunk.iter().enumerate() {
                    chunk.prefetch(place + SPLIT_AHEAD);
                    groups[(item.index() >> shift) as usize].push(*item, pool);
                }
                pool.give(chunk);
            }
        }
        if total == 0 { 0 } else { 1 << self.groups_log2 }
    }

    /// The items of group `group` in order: all of its nodes are after those of earlier groups. Each group must be asked
    /// for once; its chunks go back to `pool`.
    pub(super) fn group(&mut self, group: usize, pool: &mut Pool<T>) -> &[T] {
        let Sorter { groups, chunks, buckets, sorted, .. } = self;
        if self.groups_log2 > 0 {
            groups[group].drain_into(chunks);
        }
        let bits = Bits { index: self.index_bits - self.groups_log2, offset: self.offset_bits };
        let sorted = sort_into(sorted, buckets, chunks, bits);
        chunks.drain(..).for_each(|chunk| pool.give(chunk));
        sorted
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * 4 + self.sorted.capacity() * size_of::<T>()
    }
}

/// In how many bits items to sort differ.
#[derive(Clone, Copy)]
struct Bits {
    /// Of the node index, the lowest.
    index: u32,
    /// Of the time within the window.
    offset: u32,
}

/// Sorts the items of `chunks` into `sorted`. Uses `buckets` for counting.
fn sort_into<'s, T: Keyed>(
    sorted: &'s mut Vec<T>,
    buckets: &mut Vec<u32>,
    chunks: &[Column<T>],
    bits: Bits,
) -> &'s [T] {
    let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let bucket_bits = (usize::BITS - total.leading_zeros()).min(bits.index + bits.offset);
    if bucket_bits <= bits.index {
        let (shift, mask) = (bits.index - bucket_bits, (1u64 << bucket_bits) - 1);
        scatter(sorted, buckets, chunks, mask, |key| key >> 32 >> shift)
    } else {
        let (more, mask) = (bucket_bits - bits.index, (1u64 << bucket_bits) - 1);
        let shift = bits.offset - more;
        scatter(sorted, buckets, chunks, mask, |key| key >> 32 << more | (key & u64::from(u32::MAX)) >> shift)
    }
}

/// Sorts the items of `chunks` into `sorted` by counting; the bucket of a key is the lowest bits of `bucket` that `mask`
/// leaves, and must ascend with it.
#[inline(always)]
fn scatter<'s, T: Keyed>(
    sorted: &'s mut Vec<T>,
    buckets: &mut Vec<u32>,
    chunks: &[Column<T>],
    mask: u64,
    bucket: impl Fn(u64) -> u64,
) -> &'s [T] {
    let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let Some(&filler) = chunks.iter().find_map(|chunk| chunk.first()) else { return &[] };
    if sorted.len() < total {
        sorted.resize(total, filler);
    }
    let sorted = &mut sorted[..total];
    buckets.clear();
    buckets.resize(mask as usize + 1, 0);
    for chunk in chunks {
        for item in chunk.iter() {
            buckets[(bucket(item.key()) & mask) as usize] += 1;
        }
    }
    let (mut start, mut largest) = (0, 0);
    for bucket in buckets.iter_mut() {
        let size = std::mem::replace(bucket, start);
        start += size;
        largest = largest.max(size);
    }
    for chunk in chunks {
        for item in chunk.iter() {
            let place = &mut buckets[(bucket(item.key()) & mask) as usize];
            sorted[*place as usize] = *item;
            *place += 1;
        }
    }
    if largest <= INSERTION_MAX {
        insertion_sort(sorted);
    } else {
        let mut start = 0;
        for &end in buckets.iter() {
            sort_bucket(&mut sorted[start..end as usize]);
            start = end as usize;
        }
    }
    sorted
}

fn sort_bucket<T: Keyed>(bucket: &mut [T]) {
    if bucket.len() <= INSERTION_MAX as usize {
        insertion_sort(bucket);
    } else {
        bucket.sort_unstable_by_key(|item| (item.key(), item.tie()));
    }
}

/// Quadratic only within a bucket, because items of different buckets are in order already.
#[inline(always)]
fn insertion_sort<T: Keyed>(items: &mut [T]) {
    let mut last = items.first().map_or(0, T::key);
    for position in 1..items.len() {
        let key = items[position].key();
        if key > last {
            last = key;
        } else {
            sink(items, position);
            last = items[position].key();
        }
    }
}

/// Moves the item at `position` down to its place among the items before it, which are in order.
#[inline(always)]
fn sink<T: Keyed>(items: &mut [T], position: usize) {
    let item = items[position];
    let mut hole = position;
    while hole > 0 && item.precedes(&items[hole - 1]) {
        items[hole] = items[hole - 1];
        hole -= 1;
    }
    items[hole] = item;
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;
    use crate::contract::{Domain, RandomKey};

    fn check(count: usize, nodes: u64, offsets: u64) {
        let mut random = RandomKey::new(count as u64, Domain::Protocol).stream(nodes as u32, 0);
        let events: Vec<Event<u64>> = (0..count as u32)
            .map(|sequence| Event {
                offset: random.below(offsets) as u32,
                index: random.below(nodes) as u32,
                from: random.below(3) as u32,
                sequence,
                message: random.word(),
            })
            .collect();
        let column = |events: &[Event<u64>]| Column::collect(events.len(), events.iter().copied());
        let mut chunks: Vec<_> = events.chunks(7).map(column).collect();
        let (mut sorter, mut pool) = (Sorter::new(30), Pool::new());
        let bits = u64::BITS - (nodes - 1).leading_zeros();
        // Something larger before, because leftovers of an earlier window must not show.
        let mut sorted = Vec::new();
        for chunks in [&mut vec![column(&events), column(&events)], &mut chunks] {
            sorted.clear();
            for group in 0..sorter.load(chunks, bits, &mut pool) {
                sorted.extend_from_slice(sorter.group(group, &mut pool));
            }
        }
        let mut expected = events;
        expected.sort_by_key(|event| (event.index, event.offset, event.from, event.sequence));
        let seen = |events: &[Event<u64>]| events.iter().map(|e| (e.key(), e.tie(), e.message)).collect::<Vec<_>>();
        assert_eq!(seen(&sorted), seen(&expected), "{count} events on {nodes} nodes");
    }

    #[test]
    fn dense_sparse_and_lopsided_windows_come_out_in_total_order() {
        for count in [0, 1, 2, 17, 300, 5_000, 100_000] {
            for nodes in [1, 2, 3, 100, 4_096, 1_000_000] {
                check(count, nodes, 10);
                check(count, nodes, 1 << 30);
            }
        }
    }
}
