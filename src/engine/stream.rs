//! Append-only streams of events in recycled chunks: no reallocation, no page fault once the run is warm.

use crate::contract::{Column, Slab};

/// Bytes of the first chunk of a stream. Each further chunk is twice as large, so that streams of a few events take
/// little memory and long ones few chunks.
const CHUNK_BYTES_MIN: usize = 1 << 10;
/// Doublings from the first chunk to the largest.
const CLASSES: usize = 7;
/// Bytes of a slab of chunks: as many as there are already, within these bounds.
const SLAB_BYTES_MIN: usize = CHUNK_BYTES_MIN << (CLASSES - 1);
const SLAB_BYTES_MAX: usize = 1 << 20;

/// Chunks that are free for use, by size.
#[derive(Debug)]
pub(super) struct Pool<E: Copy> {
    free: [Vec<Column<E>>; CLASSES],
    /// Where new chunks come from.
    slab: Option<Slab>,
    /// Bytes of the slabs that this pool ever allocated. Their chunks may have been handed on to other pools.
    allocated: usize,
}

impl<E: Copy> Pool<E> {
    const CHUNK_LEN_MIN: usize =
        if CHUNK_BYTES_MIN / size_of::<E>() > 8 { CHUNK_BYTES_MIN / size_of::<E>() } else { 8 };

    pub(super) fn new() -> Self {
        Pool { free: [const { Vec::new() }; CLASSES], slab: None, allocated: 0 }
    }

    /// The class of chunks with `capacity`; that of the smallest if it is zero.
    fn class(capacity: usize) -> usize {
        ((capacity / Self::CHUNK_LEN_MIN).max(1).ilog2() as usize).min(CLASSES - 1)
    }

    fn take(&mut self, class: usize) -> Column<E> {
        self.free[class].pop().unwrap_or_else(|| self.cut(Self::CHUNK_LEN_MIN << class))
    }

    /// A new chunk.
    fn cut(&mut self, capacity: usize) -> Column<E> {
        if let Some(chunk) = self.slab.as_mut().and_then(|slab| slab.cut(capacity)) {
            return chunk;
        }
        let least = (capacity * size_of::<E>()).next_multiple_of(64);
        let bytes = self.allocated.clamp(SLAB_BYTES_MIN, SLAB_BYTES_MAX).max(least);
        let slab = self.slab.insert(Slab::new(bytes));
        // Faulting in a page at a time took a sixth of the time of push gossip. Huge pages would be faster still where
        // the system has them at hand, and several times slower where a hypervisor must find them first.
        slab.populate();
        self.allocated += bytes;
        slab.cut(capacity).expect("a slab has room for a chunk")
    }

    /// A free chunk of the size of `like`, if there is one.
    pub(super) fn spare(&mut self, like: &Column<E>) -> Option<Column<E>> {
        self.free[Self::class(like.capacity())].pop()
    }

    /// Takes back a chunk; its contents are dropped.
    pub(super) fn give(&mut self, mut chunk: Column<E>) {
        chunk.clear();
        self.free[Self::class(chunk.capacity())].push(chunk);
    }

    /// Bytes of all the chunks that this pool allocated.
    pub(super) fn bytes(&self) -> usize {
        self.allocated
    }
}

/// A sequence of events that is appended to, then taken as a whole.
#[derive(Debug)]
pub(super) struct Stream<E: Copy> {
    current: Column<E>,
    full: Vec<Column<E>>,
}

impl<E: Copy> Stream<E> {
    pub(super) fn new() -> Self {
        Stream { current: Column::default(), full: Vec::new() }
    }

    /// Adds a chunk, when the stream is full.
    #[cold]
    #[inline(never)]
    pub(super) fn extend(&mut self, pool: &mut Pool<E>) {
        if self.current.capacity() == 0 {
            self.current = pool.take(0);
        } else {
            let class = (Pool::<E>::class(self.current.capacity()) + 1).min(CLASSES - 1);
            self.full.push(std::mem::replace(&mut self.current, pool.take(class)));
        }
    }

    /// Appends `event` and returns true, or returns false if the stream needs a chunk more, as an empty one does.
    #[inline(always)]
    #[must_use]
    pub(super) fn try_push(&mut self, event: E) -> bool {
        self.current.try_push(event)
    }

    /// Appends `event`, to a chunk from `pool` if need be.
    #[inline(always)]
    pub(super) fn push(&mut self, event: E, pool: &mut Pool<E>) {
        if !self.try_push(event) {
            self.extend(pool);
            let pushed = self.try_push(event);
            debug_assert!(pushed, "there is room in a new chunk");
        }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// All events, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.full.iter().chain([&self.current]).flat_map(|chunk| chunk.iter())
    }

    /// The events, if one chunk holds them all.
    pub(super) fn only_chunk(&self) -> Option<&[E]> {
        self.full.is_empty().then_some(&self.current)
    }

    /// Moves all chunks to `chunks` and leaves the stream empty.
    pub(super) fn drain_into(&mut self, chunks: &mut Vec<Column<E>>) {
        if self.is_empty() {
            return;
        }
        chunks.append(&mut self.full);
        chunks.push(std::mem::take(&mut self.current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_gives_back_all_it_was_given_and_chunks_are_reused() {
        let mut pool = Pool::new();
        let mut stream = Stream::new();
        for round in 0..3u64 {
            for value in 0..10_000 {
                stream.push(value + round, &mut pool);
            }
            let mut chunks = Vec::new();
            stream.drain_into(&mut chunks);
            assert!(stream.is_empty());
            let values: Vec<u64> = chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect();
            assert_eq!(values, (round..10_000 + round).collect::<Vec<_>>());
            chunks.into_iter().for_each(|chunk| pool.give(chunk));
        }
        let needed = 10_000 * 8;
        assert!((needed..3 * needed).contains(&pool.bytes()), "{} bytes", pool.bytes());
    }
}
