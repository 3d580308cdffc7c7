//! What a partition handles in a window beside plain messages: timers, messages with a payload, nodes that come and go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clashes::Clashes;
use super::event::{Alarm, Event};
use super::sorter::{Keyed, Sorter};
use super::stream::{Pool, Stream};
use crate::contract::Nodes;

/// Messages with payload that one lane sends to one partition in one window, and the bytes of their payloads.
#[derive(Debug)]
pub(super) struct Parcels<M> {
    pub(super) events: Vec<Parcel<M>>,
    pub(super) bytes: Vec<u8>,
}

/// A message and where its payload stands in [`Parcels::bytes`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel<M> {
    pub(super) event: Event<M>,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl<M> Parcels<M> {
    pub(super) fn new() -> Self {
        Parcels { events: Vec::new(), bytes: Vec::new() }
    }

    /// Adds a message.
    ///
    /// # Panics
    /// If the payloads of one lane to one partition in one window exceed 4 GiB.
    pub(super) fn push(&mut self, event: Event<M>, payload: &[u8]) {
        let start = u32::try_from(self.bytes.len()).expect("payloads of one window stay below 4 GiB");
        self.bytes.extend_from_slice(payload);
        self.events.push(Parcel { event, start, len: payload.len() as u32 });
    }

    /// The payload at `start`, as a [`Parcel`] has it.
    pub(super) fn payload(&self, start: u32, len: u32) -> &[u8] {
        &self.bytes[start as usize..][..len as usize]
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.bytes.clear();
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        self.events.capacity() * size_of::<Parcel<M>>() + self.bytes.capacity()
    }
}

/// Something beside a plain message, with its place in the order of the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideEvent<M, T> {
    pub(super) key: u64,
    pub(super) tie: u64,
    pub(super) what: Side<M, T>,
}

impl<M: Copy, T: Copy> Keyed for SideEvent<M, T> {
    #[inline(always)]
    fn key(&self) -> u64 {
        self.key
    }

    #[inline(always)]
    fn tie(&self) -> u64 {
        self.tie
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Side<M, T> {
    Timer(T),
    /// A message, and its payload at `start..start + len` in the `source`-th parcels of the inbox.
    Parcel {
        message: M,
        source: u32,
        start: u32,
        len: u32,
    },
    /// A message that has come through the downlink of its receiver, and the number of its payload.
    Parked {
        message: M,
        payload: u32,
    },
    /// The node comes or goes: the number of the turn among those of the window.
    Turn(u32),
}

/// What comes to the node at work in the window that is being handled because of what it did in the same window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<M, T> {
    pub(super) offset: u32,
    pub(super) tie: u64,
    pub(super) what: Side<M, T>,
}

impl<M, T> PartialEq for Pending<M, T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<M, T> Eq for Pending<M, T> {}

impl<M, T> PartialOrd for Pending<M, T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M, T> Ord for Pending<M, T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.offset, self.tie).cmp(&(other.offset, other.tie))
    }
}

/// The side events of one window of one partition, in order, merged with timers that are set on the way.
#[derive(Debug)]
pub(super) struct SideQueue<M: Copy, T: Copy> {
    unsorted: Vec<SideEvent<M, T>>,
    sorter: Sorter<SideEvent<M, T>>,
    pool: Pool<SideEvent<M, T>>,
    /// Events of nodes that have no other: in no order.
    pub(super) lone: Vec<SideEvent<M, T>>,
    events: Vec<SideEvent<M, T>>,
    next: usize,
    /// What the node at work brought about in this window for this window. Drained before the next node is at work.
    pending: BinaryHeap<Reverse<Pending<M, T>>>,
}

impl<M: Copy, T: Copy> SideQueue<M, T> {
    /// A queue for windows of `2^offset_bits` nanoseconds.
    pub(super) fn new(offset_bits: u32) -> Self {
        SideQueue {
            unsorted: Vec::new(),
            sorter: Sorter::new(offset_bits),
            pool: Pool::new(),
            lone: Vec::new(),
            events: Vec::new(),
            next: 0,
            pending: BinaryHeap::new(),
        }
    }

    /// Adds a timer of `nodes` that is due in this window, at `offset`.
    #[inline(always)]
    pub(super) fn add_timer(&mut self, alarm: &Alarm<T>, offset: u32, nodes: &Nodes) {
        self.unsorted.push(SideEvent {
            key: u64::from(alarm.index) << 32 | u64::from(offset),
            tie: u64::from(nodes.id(alarm.index as usize)) << 32 | u64::from(alarm.sequence),
            what: Side::Timer(alarm.timer),
        });
    }

    /// Adds something of the node with `index` in its partition that is due in this window, at `offset`.
    pub(super) fn add(&mut self, index: u32, offset: u32, tie: u64, what: Side<M, T>) {
        self.unsorted.push(SideEvent { key: u64::from(index) << 32 | u64::from(offset), tie, what });
    }

    /// Adds the parcels of an inbox.
    pub(super) fn add_parcels(&mut self, inbox: &[Parcels<M>]) {
        for (source, parcels) in inbox.iter().enumerate() {
            self.unsorted.extend(parcels.events.iter().map(|&Parcel { event, start, len }| SideEvent {
                key: event.key(),
                tie: event.tie(),
                what: Side::Parcel { message: event.message, source: source as u32, start, len },
            }));
        }
    }

    /// How many were added since the last time that they were sorted.
    pub(super) fn len(&self) -> usize {
        self.unsorted.len()
    }

    /// The nodes of what was added, by their places in the partition.
    pub(super) fn indexes(&self) -> impl Iterator<Item = u32> {
        self.unsorted.iter().map(Keyed::index)
    }

    /// Sets those events apart that are the only ones of their node.
    pub(super) fn set_lone_apart(&mut self, clashes: &Clashes) {
        let lone = &mut self.lone;
        self.unsorted.retain(|event| {
            let is_clash = clashes.is_clash(event.index());
            if !is_clash {
                lone.push(*event);
            }
            is_clash
        });
    }

    /// Puts in order what was added since the last time.
    pub(super) fn sort(&mut self) {
        debug_assert!(self.pending.is_empty() && self.next == self.events.len());
        self.events.clear();
        self.next = 0;
        let (mut index_max, mut stream, mut chunks) = (0, Stream::new(), Vec::new());
        for event in self.unsorted.drain(..) {
            index_max = event.index().max(index_max);
            stream.push(event, &mut self.pool);
        }
        stream.drain_into(&mut chunks);
        let index_bits = u32::BITS - index_max.leading_zeros();
        for group in 0..self.sorter.load(&mut chunks, index_bits, &mut self.pool) {
            self.events.extend_from_slice(self.sorter.group(group, &mut self.pool));
        }
    }

    /// The key of the next side event when the node with `index` in its partition is at work; `u64::MAX` if none.
    #[inline(always)]
    pub(super) fn next_key(&self, index: u32) -> u64 {
        let listed = self.events.get(self.next).map_or(u64::MAX, |event| event.key);
        match self.pending.peek() {
            None => listed,
            Some(Reverse(pending)) => listed.min(u64::from(index) << 32 | u64::from(pending.offset)),
        }
    }

    /// Whether anything is left in this window that the node at work brought about in this window.
    #[inline(always)]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes the next side event if it comes before the event with `key` and `tie`. `index` is the place in the partition
    /// of the node at work.
    #[inline(always)]
    pub(super) fn pop_before(&mut self, key: u64, tie: u64, index: u32) -> Option<SideEvent<M, T>> {
        let comes_first = |event: &SideEvent<M, T>| (event.key, event.tie) < (key, tie);
        let listed = self.events.get(self.next).copied();
        if let Some(Reverse(pending)) = self.pending.peek() {
            let pending = SideEvent {
                key: u64::from(index) << 32 | u64::from(pending.offset),
                tie: pending.tie,
                what: pending.what,
            };
            if listed.is_none_or(|listed| pending.precedes(&listed)) {
                return Some(pending).filter(comes_first).inspect(|_| {
                    self.pending.pop();
                });
            }
        }
        listed.filter(comes_first).inspect(|_| self.next += 1)
    }

    /// The side events in order, without timers that are set on the way.
    #[inline(always)]
    pub(super) fn listed(&self) -> &[SideEvent<M, T>] {
        &self.events
    }

    /// How many of the listed events are taken.
    #[inline(always)]
    pub(super) fn position(&self) -> usize {
        self.next
    }

    #[inline(always)]
    pub(super) fn push_pending(&mut self, pending: Pending<M, T>) {
        self.pending.push(Reverse(pending));
    }

    pub(super) fn bytes(&self) -> usize {
        (self.unsorted.capacity() + self.lone.capacity() + self.events.capacity()) * size_of::<SideEvent<M, T>>()
            + self.sorter.bytes()
    }
}
