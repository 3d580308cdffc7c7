//! The messages that a lane has sent and that are still under way: by window in the current block, by block after it.

use std::io;

use super::event::{Event, Windows};
use super::inbox::Inbox;
use super::side::Parcels;
use super::stream::{Pool, Stream};
use crate::contract::Share;

/// Most blocks that the ring of an outbox spans; messages further away wait in a list.
const RING_MAX: u64 = 4096;

/// What is taken out of an outbox at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    /// The messages of a window. Its block must be open, if windows form blocks.
    Window(u64),
    /// The messages of a block.
    Block(u64),
}

/// What goes to other ranks at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trip {
    /// The messages of a window of the open block.
    Window(u64),
    /// The messages of so many blocks from `first` on, none of which is open.
    Blocks { first: u64, count: u64 },
}

impl Trip {
    /// The first window that any of it can be due in.
    pub(super) fn first_window(self, windows: Windows) -> u64 {
        match self {
            Trip::Window(window) => window,
            Trip::Blocks { first, .. } => windows.first_of(first),
        }
    }
}

/// The messages that a lane has sent and that are still under way, by time and by partition of the receiver.
#[derive(Debug)]
pub(super) struct Outbox<M: Copy> {
    windows: Windows,
    /// `[row][partition]`, flattened: first, where windows form blocks, a row for each window of the current block, then
    /// a ring of blocks. The number of partitions and the length of the ring are powers of two.
    slots: Vec<Slot<M>>,
    /// Whether anything is in the slots of a row.
    occupied: Vec<bool>,
    /// Rows before the ring.
    window_rows: usize,
    partitions_log2: u32,
    partition_mask: u32,
    /// How many blocks after the current one the ring holds.
    near: u64,
    /// The block that was opened last.
    opened: u64,
    /// Messages too far ahead for the ring, and the earliest of their windows.
    far: Vec<Far<M>>,
    far_next: Option<u64>,
    /// The largest index that a message was ever sent to, so that windows are sorted by as many bits as occur.
    index_max: u32,
    pub(super) chunks: Pool<Event<M>>,
    free_parcels: Vec<Parcels<M>>,
    /// Empty but for the moment of delivery; kept for its memory.
    taken: Inbox<M>,
}

/// A cache line, so that finding a slot takes a shift.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<M: Copy> {
    stream: Stream<Event<M>>,
    parcels: Option<Box<Parcels<M>>>,
}

impl<M: Copy> Slot<M> {
    fn is_empty(&self) -> bool {
        self.stream.is_empty() && self.parcels.is_none()
    }
}

#[derive(Debug)]
struct Far<M> {
    window: u64,
    /// The place of the receiver.
    to: u32,
    event: Event<M>,
    payload: Option<Box<[u8]>>,
}

impl<M: Copy> Outbox<M> {
    /// An outbox whose ring covers `windows_ahead` windows if that is feasible.
    pub(super) fn new(partitions_log2: u32, windows: Windows, windows_ahead: u64) -> Self {
        let ring = (windows.block(windows_ahead).saturating_add(2)).clamp(4, RING_MAX).next_power_of_two() as usize;
        let window_rows = if windows.block_log2() == 0 { 0 } else { 1 << windows.block_log2() };
        let rows = window_rows + ring;
        Outbox {
            windows,
            slots: (0..rows << partitions_log2).map(|_| Slot { stream: Stream::new(), parcels: None }).collect(),
            occupied: vec![false; rows],
            window_rows,
            partitions_log2,
            partition_mask: (1 << partitions_log2) - 1,
            near: ring as u64 - 1,
            opened: 0,
            far: Vec::new(),
            far_next: None,
            index_max: 0,
            chunks: Pool::new(),
            free_parcels: Vec::new(),
            taken: Inbox::new(),
        }
    }

    /// The row of `block` in the ring.
    #[inline(always)]
    fn row(&self, block: u64) -> usize {
        self.window_rows + (block & self.near) as usize
    }

    /// The slot of messages to place `to` that are due in `window`, and `offset` into that window as the slot has it, if
    /// the ring reaches so far from `current`. It does not reach a window that is not after `current`, which is refused
    /// with those that are too far.
    #[inline(always)]
    fn slot(&self, current: u64, window: u64, to: u32, offset: u32) -> Option<(usize, u32)> {
        let block = self.windows.block(window);
        let ahead = block.wrapping_sub(self.windows.block(current));
        let (row, offset) = if ahead.wrapping_sub(1) < self.near {
            (self.row(block), self.windows.to_block_offset(window, offset))
        } else if ahead == 0 && window > current {
            (self.windows.place(window), offset)
        } else {
            return None;
        };
        Some((row << self.partitions_log2 | (to & self.partition_mask) as usize, offset))
    }

    /// Queues a message to place `to` that is due in `window`, while `current` is handled.
    ///
    /// # Panics
    /// If `window` is not after `current`: a deadline that is already missed.
    #[inline(always)]
    pub(super) fn push(&mut self, current: u64, window: u64, to: u32, event: Event<M>) {
        // Before the far messages part from the others: they are due in a window that is sorted by this bound, too.
        if event.index > self.index_max {
            self.index_max = event.index;
        }
        let Some((slot, offset)) = self.slot(current, window, to, event.offset) else {
            self.push_far(current, Far { window, to, event, payload: None });
            return;
        };
        self.add(slot, Event { offset, ..event });
    }

    #[inline(always)]
    fn add(&mut self, slot: usize, event: Event<M>) {
        // Never handed to a function that is not inlined, or it would be put together in memory and then copied: a load
        // that waits for several stores.
        if !self.slots[slot].stream.try_push(event) {
            self.extend(slot);
            let pushed = self.slots[slot].stream.try_push(event);
            debug_assert!(pushed, "there is room in a new chunk");
        }
    }

    /// Adds a chunk to the stream of `slot`, which is full or empty.
    #[cold]
    #[inline(never)]
    fn extend(&mut self, slot: usize) {
        self.slots[slot].stream.extend(&mut self.chunks);
        self.occupied[slot >> self.partitions_log2] = true;
    }

    #[cold]
    #[inline(never)]
    fn push_far(&mut self, current: u64, far: Far<M>) {
        assert!(far.window > current, "a message undercuts the smallest delay that its network states");
        self.far_next = self.far_next.into_iter().chain([far.window]).min();
        self.far.push(far);
    }

    /// As [`Outbox::push`], with a payload.
    pub(super) fn push_parcel(&mut self, current: u64, window: u64, to: u32, event: Event<M>, payload: &[u8]) {
        let Some((slot, offset)) = self.slot(current, window, to, event.offset) else {
            self.push_far(current, Far { window, to, event, payload: Some(payload.into()) });
            return;
        };
        self.add_parcel(slot, Event { offset, ..event }, payload);
    }

    fn add_parcel(&mut self, slot: usize, event: Event<M>, payload: &[u8]) {
        let free = &mut self.free_parcels;
        let parcels = self.slots[slot].parcels.get_or_insert_with(|| Box::new(free.pop().unwrap_or_else(Parcels::new)));
        parcels.push(event, payload);
        self.occupied[slot >> self.partitions_log2] = true;
    }

    /// Files the far messages that come into reach when `block` begins.
    fn reel_in(&mut self, block: u64) {
        if self.far_next.is_none_or(|far| self.windows.block(far) > block) {
            return;
        }
        self.refile_far(block);
    }

    /// Files the far messages that are in reach when `block` begins.
    fn refile_far(&mut self, block: u64) {
        self.far_next = None;
        // As seen from the block before, so that a message due in `block` itself is in the ring.
        let current = self.windows.first_of(block) - 1;
        for far in std::mem::take(&mut self.far) {
            match far.payload {
                Some(payload) => self.push_parcel(current, far.window, far.to, far.event, &payload),
                None => self.push(current, far.window, far.to, far.event),
            }
        }
    }

    /// The row of what is due.
    fn row_of(&mut self, due: Due) -> usize {
        match due {
            Due::Window(window) if self.window_rows > 0 => self.windows.place(window),
            Due::Window(block) | Due::Block(block) => {
                self.reel_in(block);
                self.row(block)
            }
        }
    }

    /// Hands the messages that are due to `deliver`, partition by partition.
    pub(super) fn take(&mut self, due: Due, deliver: impl FnMut(usize, &mut Inbox<M>)) {
        let row = self.row_of(due);
        if std::mem::take(&mut self.occupied[row]) {
            self.take_row(row, |_| true, deliver);
        }
    }

    /// The most blocks that a trip may have, so that the ring has room for all of them.
    pub(super) fn trip_max(&self) -> u64 {
        self.near
    }

    /// The row of the stop with this number on a trip.
    fn stop(&self, trip: Trip, number: u32) -> usize {
        match trip {
            Trip::Window(window) => self.windows.place(window),
            Trip::Blocks { first, .. } => self.row(first + u64::from(number)),
        }
    }

    /// Stops of a trip.
    fn stops(trip: Trip) -> std::ops::Range<u32> {
        match trip {
            Trip::Window(_) => 0..1,
            // A ring has fewer rows.
            Trip::Blocks { count, .. } => 0..count as u32,
        }
    }

    /// Shows `visit` the messages of `trip` to partitions which `share` does not hold, with the number of their stop on it,
    /// and takes them out.
    pub(super) fn take_foreign(&mut self, trip: Trip, share: Share, mut visit: impl FnMut(u32, u32, &Inbox<M>)) {
        if let Trip::Blocks { first, .. } = trip
            && self.has_far(trip)
        {
            self.refile_far(first);
        }
        let mut spent = Inbox::new();
        let is_foreign = |partition: usize| !share.holds(partition as u32);
        for number in Self::stops(trip) {
            let row = self.stop(trip, number);
            if self.occupied[row] {
                self.take_row(row, is_foreign, |partition, inbox| {
                    visit(number, partition as u32, inbox);
                    spent.append(inbox);
                });
                let mut slots = self.slots[row << self.partitions_log2..][..1 << self.partitions_log2].iter();
                self.occupied[row] = slots.any(|slot| !slot.is_empty());
            }
        }
        spent.chunks.drain(..).for_each(|chunk| self.chunks.give(chunk));
        spent.parcels.drain(..).for_each(|parcels| self.recycle_parcels(parcels));
    }

    /// Whether any of the far messages are due on `trip`.
    fn has_far(&self, trip: Trip) -> bool {
        match trip {
            Trip::Window(_) => false,
            Trip::Blocks { first, count } => self.far_next.is_some_and(|far| self.windows.block(far) < first + count),
        }
    }

    /// Whether there may be messages of `trip` to partitions that `share` does not hold.
    pub(super) fn has_foreign(&self, trip: Trip, share: Share) -> bool {
        let is_foreign = |row: usize| {
            let mut partitions = (0..1 << self.partitions_log2).filter(|&partition| !share.holds(partition));
            partitions.any(|partition| !self.slots[row << self.partitions_log2 | partition as usize].is_empty())
        };
        let mut rows = Self::stops(trip).map(|number| self.stop(trip, number));
        self.has_far(trip) || rows.any(|row| self.occupied[row] && is_foreign(row))
    }

    /// What is sent together with what is due in `window`, if nothing is sent for later ones.
    pub(super) fn trip_of(&self, window: u64) -> Trip {
        let block = self.windows.block(window);
        let is_open = self.window_rows > 0 && block == self.opened;
        if is_open { Trip::Window(window) } else { Trip::Blocks { first: block, count: 1 } }
    }

    /// Where messages to `partition` are filed that another rank sent to the stop with this number on `trip`.
    pub(super) fn landing(&self, trip: Trip, stop: u32, partition: u32) -> usize {
        self.stop(trip, stop) << self.partitions_log2 | partition as usize
    }

    /// Takes out the messages of a row that are for the partitions which `is_taken` tells.
    fn take_row(
        &mut self,
        row: usize,
        is_taken: impl Fn(usize) -> bool,
        mut deliver: impl FnMut(usize, &mut Inbox<M>),
    ) {
        let mut inbox = std::mem::replace(&mut self.taken, Inbox::new());
        let slots = &mut self.slots[row << self.partitions_log2..(row + 1) << self.partitions_log2];
        for (partition, slot) in slots.iter_mut().enumerate().filter(|(partition, _)| is_taken(*partition)) {
            slot.stream.drain_into(&mut inbox.chunks);
            inbox.parcels.extend(slot.parcels.take().map(|parcels| *parcels));
            if !inbox.chunks.is_empty() || !inbox.parcels.is_empty() {
                deliver(partition, &mut inbox);
            }
        }
        self.taken = inbox;
    }

    /// Files a message that another rank sent at its [`landing`](Outbox::landing).
    #[inline(always)]
    pub(super) fn land(&mut self, slot: usize, event: Event<M>, payload: Option<&[u8]>) {
        self.index_max = self.index_max.max(event.index);
        match payload {
            Some(payload) => self.add_parcel(slot, event, payload),
            None => self.add(slot, event),
        }
    }

    /// Begins `block`: what is sent from now on for its windows is filed by window.
    pub(super) fn open(&mut self, block: u64) {
        self.opened = block;
    }

    /// Messages without payload to `partition` that are due in `window`, if that is in the open block and they are few.
    pub(super) fn upcoming(&self, window: u64, partition: usize) -> Option<&[Event<M>]> {
        if self.window_rows == 0 || self.windows.block(window) != self.opened {
            return None;
        }
        self.slots[self.windows.place(window) << self.partitions_log2 | partition].stream.only_chunk()
    }

    /// Files `inbox`, the messages of the open block for `partition`, by window, and leaves it empty.
    pub(super) fn deal(&mut self, partition: usize, inbox: &mut Inbox<M>) {
        for chunk in inbox.chunks.drain(..) {
            for event in chunk.iter() {
                let (row, offset) = self.windows.split_block_offset(event.offset);
                self.add(row << self.partitions_log2 | partition, Event { offset, ..*event });
            }
            self.chunks.give(chunk);
        }
        for parcels in inbox.parcels.drain(..) {
            for parcel in &parcels.events {
                let (row, offset) = self.windows.split_block_offset(parcel.event.offset);
                let slot = row << self.partitions_log2 | partition;
                self.add_parcel(slot, Event { offset, ..parcel.event }, parcels.payload(parcel.start, parcel.len));
            }
            self.recycle_parcels(parcels);
        }
    }

    /// The first window after `current` with a message, or the first of the first block with one.
    pub(super) fn next(&self, current: u64) -> Option<u64> {
        // All windows of a block that has just been opened are after `current`.
        let is_open = self.windows.block(current) == self.opened;
        let mut left = if is_open { self.windows.place(current) + 1 } else { 0 }..self.window_rows;
        let place = left.find(|&place| self.occupied[place]);
        let in_block = place.map(|place| self.windows.first_of(self.opened) + place as u64);
        let block = self.windows.block(current).max(self.opened);
        // Near the end of time there are no blocks for all of the ring, and nothing is where they would be.
        let in_ring = || {
            let ahead = (1..=self.near).find(|ahead| self.occupied[self.row(block.wrapping_add(*ahead))])?;
            Some(self.windows.first_of(block + ahead))
        };
        // As for those in the ring, so that all that is due in a block is known when that comes next.
        let far = self.far_next.map(|window| self.windows.first_of(self.windows.block(window)));
        in_block.or_else(in_ring).into_iter().chain(far).min()
    }

    /// Shows `visit` every message to `partition` that is under way, after the window `current` was handled: the window in which
    /// it is due, the place of its receiver, the message with its offset into that window, and its payload.
    pub(super) fn each(
        &self,
        current: u64,
        partition: u32,
        mut visit: impl FnMut(u64, u32, Event<M>, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let base = self.windows.block(current).max(self.opened);
        for place in 0..self.window_rows {
            let window = self.windows.first_of(self.opened) + place as u64;
            self.each_of_row(place, partition, |to, event, payload| visit(window, to, event, payload))?;
        }
        for block in (1..=self.near).map(|ahead| base.wrapping_add(ahead)) {
            self.each_of_row(self.row(block), partition, |to, event, payload| {
                let (place, offset) = self.windows.split_block_offset(event.offset);
                visit(self.windows.first_of(block) + place as u64, to, Event { offset, ..event }, payload)
            })?;
        }
        let mut far = self.far.iter().filter(|far| far.to & self.partition_mask == partition);
        far.try_for_each(|far| visit(far.window, far.to, far.event, far.payload.as_deref().unwrap_or(&[])))
    }

    fn each_of_row(
        &self,
        row: usize,
        partition: u32,
        mut visit: impl FnMut(u32, Event<M>, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.occupied[row] {
            return Ok(());
        }
        let slot = &self.slots[row << self.partitions_log2 | partition as usize];
        let to = |event: &Event<M>| event.index << self.partitions_log2 | partition;
        slot.stream.iter().try_for_each(|event| visit(to(event), *event, &[]))?;
        if let Some(parcels) = slot.parcels.as_deref() {
            let mut each = parcels.events.iter();
            each.try_for_each(|one| visit(to(&one.event), one.event, parcels.payload(one.start, one.len)))?;
        }
        Ok(())
    }

    /// Stands where an outbox stood in which `block` was opened last and no message went to an index above `index_max`.
    pub(super) fn stand_at(&mut self, block: u64, index_max: u32) {
        self.opened = block;
        self.index_max = self.index_max.max(index_max);
    }

    /// Adds to `repaid` as much free memory as the messages `from` another lane bring, if there is as much. If more went
    /// one way than the other, lanes would run out of memory that others have and do not need.
    pub(super) fn repay(&mut self, from: &Inbox<M>, repaid: &mut Inbox<M>) {
        repaid.chunks.extend(from.chunks.iter().filter_map(|chunk| self.chunks.spare(chunk)));
        let left = self.free_parcels.len().saturating_sub(from.parcels.len());
        repaid.parcels.extend(self.free_parcels.drain(left..));
    }

    /// Takes over the free memory `repaid`.
    pub(super) fn take_over(&mut self, repaid: &mut Inbox<M>) {
        repaid.chunks.drain(..).for_each(|chunk| self.chunks.give(chunk));
        self.free_parcels.append(&mut repaid.parcels);
    }

    pub(super) fn index_max(&self) -> u32 {
        self.index_max
    }

    pub(super) fn recycle_parcels(&mut self, mut parcels: Parcels<M>) {
        parcels.clear();
        self.free_parcels.push(parcels);
    }

    pub(super) fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot<M>>();
        let free: usize = self.free_parcels.iter().map(Parcels::capacity_bytes).sum();
        slots + self.chunks.bytes() + free + self.far.capacity() * size_of::<Far<M>>()
    }
}
