//! A lane: one thread's share of the partitions, with its outgoing messages and its counters.

use super::clashes::Clashes;
use super::context::{Shared, WindowPlan};
use super::digest::Digest;
use super::event::{Alarm, Event, Windows};
use super::network::Network;
use super::partition::{Inbox, Partition};
use super::probe::Probe;
use super::side::{Parcels, SideQueue};
use super::sorter::Sorter;
use super::stream::{Pool, Stream};
use super::tally::Tally;
use crate::contract::{NodeId, Protocol};
use crate::metrics::Judgement;

/// Most windows that the ring of an outbox spans; messages further away wait in a list.
const RING_MAX: u64 = 4096;
/// The messages that a lane has sent and that are still under way, by window and by partition of the receiver.
#[derive(Debug)]
pub(super) struct Outbox<M: Copy> {
    /// `[window % ring][partition]`, flattened. The ring and the number of partitions are powers of two.
    slots: Vec<Slot<M>>,
    /// Whether anything is in the slots of `window % ring`.
    occupied: Vec<bool>,
    partitions_log2: u32,
    partition_mask: u32,
    /// How many windows after the current one the ring holds.
    near: u64,
    /// Messages too far ahead for the ring, and the earliest of their windows.
    far: Vec<Far<M>>,
    far_next: Option<u64>,
    /// The largest index that a message was ever sent to, so that windows are sorted by as many bits as occur.
    index_max: u32,
    pub(super) chunks: Pool<Event<M>>,
    free_parcels: Vec<Parcels<M>>,
}

/// A cache line, so that finding a slot takes a shift.
#[derive(Debug)]
#[repr(align(64))]
struct Slot<M: Copy> {
    stream: Stream<Event<M>>,
    parcels: Option<Box<Parcels<M>>>,
}

#[derive(Debug)]
struct Far<M> {
    window: u64,
    to: NodeId,
    event: Event<M>,
    payload: Option<Box<[u8]>>,
}

impl<M: Copy> Outbox<M> {
    /// An outbox whose ring covers `windows_ahead` windows if that is feasible.
    fn new(partitions_log2: u32, windows_ahead: u64) -> Self {
        let ring = (windows_ahead.saturating_add(2)).clamp(4, RING_MAX).next_power_of_two() as usize;
        Outbox {
            slots: (0..ring << partitions_log2).map(|_| Slot { stream: Stream::new(), parcels: None }).collect(),
            occupied: vec![false; ring],
            partitions_log2,
            partition_mask: (1 << partitions_log2) - 1,
            near: ring as u64 - 1,
            far: Vec::new(),
            far_next: None,
            index_max: 0,
            chunks: Pool::new(),
            free_parcels: Vec::new(),
        }
    }

    fn row(&self, window: u64) -> usize {
        window as usize & (self.occupied.len() - 1)
    }

    /// The slot of messages to node `to` that are due in `window`, if the ring reaches so far from `current`. It does
    /// not reach a window that is not after `current`, which is refused with those that are too far.
    #[inline(always)]
    fn slot(&self, current: u64, window: u64, to: NodeId) -> Option<usize> {
        let is_near = window.wrapping_sub(current).wrapping_sub(1) < self.near;
        let partition = u64::from(to & self.partition_mask);
        is_near.then_some(((window << self.partitions_log2) | partition) as usize & (self.slots.len() - 1))
    }

    /// Queues a message to node `to` that is due in `window`, while `current` is handled.
    ///
    /// # Panics
    /// If `window` is not after `current`: a deadline that is already missed.
    #[inline(always)]
    pub(super) fn push(&mut self, current: u64, window: u64, to: NodeId, event: Event<M>) {
        // Before the far messages part from the others: they are due in a window that is sorted by this bound, too.
        if event.index > self.index_max {
            self.index_max = event.index;
        }
        let Some(slot) = self.slot(current, window, to) else {
            self.push_far(current, Far { window, to, event, payload: None });
            return;
        };
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
    pub(super) fn push_parcel(&mut self, current: u64, window: u64, to: NodeId, event: Event<M>, payload: &[u8]) {
        let Some(slot) = self.slot(current, window, to) else {
            self.push_far(current, Far { window, to, event, payload: Some(payload.into()) });
            return;
        };
        let free = &mut self.free_parcels;
        let parcels = self.slots[slot].parcels.get_or_insert_with(|| Box::new(free.pop().unwrap_or_else(Parcels::new)));
        parcels.push(event, payload);
        self.occupied[slot >> self.partitions_log2] = true;
    }

    /// Files the far messages that come into reach when `next` is handled.
    fn reel_in(&mut self, next: u64) {
        if self.far_next.is_none_or(|far| far > next) {
            return;
        }
        self.far_next = None;
        for far in std::mem::take(&mut self.far) {
            // As seen from one window back, so that a message due in `next` itself is in the ring.
            match far.payload {
                Some(payload) => self.push_parcel(next - 1, far.window, far.to, far.event, &payload),
                None => self.push(next - 1, far.window, far.to, far.event),
            }
        }
    }

    /// Hands the messages of `window` to `deliver`, partition by partition.
    pub(super) fn take_window(&mut self, window: u64, mut deliver: impl FnMut(usize, &mut Inbox<M>)) {
        self.reel_in(window);
        let row = self.row(window);
        if !std::mem::take(&mut self.occupied[row]) {
            return;
        }
        let mut inbox = Inbox::new();
        let slots = &mut self.slots[row << self.partitions_log2..(row + 1) << self.partitions_log2];
        for (partition, slot) in slots.iter_mut().enumerate() {
            slot.stream.drain_into(&mut inbox.chunks);
            inbox.parcels.extend(slot.parcels.take().map(|parcels| *parcels));
            if !inbox.chunks.is_empty() || !inbox.parcels.is_empty() {
                deliver(partition, &mut inbox);
            }
        }
    }

    /// The first window after `current` with a message.
    fn next(&self, current: u64) -> Option<u64> {
        // Near the end of time there are no windows for all of the ring, and nothing is where they would be.
        let ahead = (1..=self.near).find(|ahead| self.occupied[self.row(current.wrapping_add(*ahead))]);
        let in_ring = ahead.map(|ahead| current + ahead);
        in_ring.into_iter().chain(self.far_next).min()
    }

    pub(super) fn index_max(&self) -> u32 {
        self.index_max
    }

    pub(super) fn recycle_parcels(&mut self, mut parcels: Parcels<M>) {
        parcels.clear();
        self.free_parcels.push(parcels);
    }

    fn bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot<M>>();
        let free: usize = self.free_parcels.iter().map(Parcels::capacity_bytes).sum();
        slots + self.chunks.bytes() + free + self.far.capacity() * size_of::<Far<M>>()
    }
}

/// What the partitions of a lane use in turn.
pub(super) struct Core<P: Protocol, O> {
    pub(super) outbox: Outbox<P::Message>,
    pub(super) tally: Tally,
    pub(super) alarms: Pool<Alarm<P::Timer>>,
    pub(super) side: SideQueue<P::Message, P::Timer>,
    pub(super) sorter: Sorter<Event<P::Message>>,
    pub(super) clashes: Clashes,
    pub(super) digest: Digest,
    pub(super) judgements: Vec<Judgement>,
    pub(super) probe: O,
}

/// The partitions that one thread handles. Aligned so that no two lanes write to the same pair of cache lines.
#[repr(align(128))]
pub(super) struct Lane<P: Protocol, O> {
    pub(super) partitions: Vec<Partition<P>>,
    pub(super) inboxes: Vec<Inbox<P::Message>>,
    pub(super) core: Core<P, O>,
    /// The first window after the current one in which anything can happen.
    pub(super) next: Option<u64>,
}

impl<P: Protocol, O: Probe> Lane<P, O> {
    /// A lane with `partitions` of `2^partitions_log2`, for delays of up to `windows_ahead` windows.
    pub(super) fn new(
        partitions: Vec<Partition<P>>,
        partitions_log2: u32,
        windows: Windows,
        windows_ahead: u64,
        tally: Tally,
    ) -> Self {
        Lane {
            inboxes: partitions.iter().map(|_| Inbox::new()).collect(),
            partitions,
            core: Core {
                outbox: Outbox::new(partitions_log2, windows_ahead),
                tally,
                alarms: Pool::new(),
                side: SideQueue::new(windows.offset_bits()),
                sorter: Sorter::new(windows.offset_bits()),
                clashes: Clashes::default(),
                digest: Digest::default(),
                judgements: Vec::new(),
                probe: O::default(),
            },
            next: None,
        }
    }

    pub(super) fn start<N: Network>(&mut self, shared: &Shared<'_, P, N>, plan: WindowPlan) {
        for partition in &mut self.partitions {
            partition.start(shared, plan, &mut self.core);
        }
        self.find_next(shared.windows, plan.window);
    }

    pub(super) fn run<N: Network>(&mut self, shared: &Shared<'_, P, N>, plan: WindowPlan) {
        for (partition, inbox) in self.partitions.iter_mut().zip(&mut self.inboxes) {
            partition.run(shared, plan, inbox, &mut self.core);
        }
        self.find_next(shared.windows, plan.window);
    }

    fn find_next(&mut self, windows: Windows, current: u64) {
        let timers = self.partitions.iter().filter_map(|partition| partition.next(windows)).min();
        self.next = self.core.outbox.next(current).into_iter().chain(timers).min();
    }

    /// Memory of the lane and of its partitions, in bytes.
    pub(super) fn bytes(&self, protocol: &P) -> usize {
        let core = &self.core;
        let partitions: usize = self.partitions.iter().map(|partition| partition.bytes(protocol)).sum();
        partitions
            + core.outbox.bytes()
            + core.alarms.bytes()
            + core.side.bytes()
            + core.sorter.bytes()
            + core.clashes.bytes()
    }
}
