//! A lane: one thread's share of the partitions, with its outgoing messages and its counters.

use super::clashes::Clashes;
use super::context::{Shared, WindowPlan};
use super::digest::Digest;
use super::event::{Alarm, Event, Windows};
use super::inbox::Inbox;
use super::network::Network;
use super::outbox::{Outbox, Trip};
use super::partition::Partition;
use super::probe::Probe;
use super::ranks;
use super::side::SideQueue;
use super::sorter::Sorter;
use super::stream::Pool;
use super::tally::Tally;
use crate::contract::{Protocol, Share};
use crate::metrics::Judgement;

/// What the partitions of a lane use in turn.
pub(super) struct Core<P: Protocol, O> {
    pub(super) outbox: Outbox<P::Message>,
    pub(super) tally: Tally,
    pub(super) alarms: Pool<Alarm<P::Timer>>,
    pub(super) side: SideQueue<P::Message, P::Timer>,
    pub(super) sorter: Sorter<Event<P::Message>>,
    pub(super) clashes: Clashes,
    /// Messages of the next window of the partition at work, to prefetch for.
    pub(super) ahead: Vec<Event<P::Message>>,
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
    /// Messages to each other rank, as they will travel; nothing where there is none.
    pub(super) packed: Vec<Vec<u8>>,
    /// Messages that ever went to other ranks, and that came from them.
    pub(super) shipped: u64,
    pub(super) landed: u64,
}

impl<P: Protocol, O: Probe> Lane<P, O> {
    /// A lane with `partitions` of `2^partitions_log2`, for delays of up to `windows_ahead` windows.
    pub(super) fn new(
        partitions: Vec<Partition<P>>,
        partitions_log2: u32,
        windows: Windows,
        windows_ahead: u64,
        tally: Tally,
        probe: O,
    ) -> Self {
        Lane {
            inboxes: partitions.iter().map(|_| Inbox::new()).collect(),
            partitions,
            core: Core {
                outbox: Outbox::new(partitions_log2, windows, windows_ahead),
                tally,
                alarms: Pool::new(),
                side: SideQueue::new(windows.offset_bits()),
                sorter: Sorter::new(windows.offset_bits()),
                clashes: Clashes::default(),
                ahead: Vec::new(),
                digest: Digest::default(),
                judgements: Vec::new(),
                probe,
            },
            next: None,
            packed: Vec::new(),
            shipped: 0,
            landed: 0,
        }
    }

    pub(super) fn start<N: Network>(&mut self, shared: &Shared<'_, P, N>, plan: WindowPlan) {
        for partition in &mut self.partitions {
            partition.start(shared, plan, &mut self.core);
        }
        self.find_next(shared.windows, plan.window);
    }

    /// Begins `block`, whose messages are in the inboxes.
    pub(super) fn open_block<N: Network>(&mut self, shared: &Shared<'_, P, N>, block: u64) {
        self.core.outbox.open(block);
        for (partition, inbox) in self.partitions.iter().zip(&mut self.inboxes) {
            self.core.outbox.deal(partition.nodes.number() as usize, inbox);
        }
        self.find_next(shared.windows, shared.windows.first_of(block) - 1);
    }

    pub(super) fn run<N: Network>(&mut self, shared: &Shared<'_, P, N>, plan: WindowPlan) {
        for (partition, inbox) in self.partitions.iter_mut().zip(&mut self.inboxes) {
            partition.run(shared, plan, inbox, &mut self.core);
        }
        self.find_next(shared.windows, plan.window);
    }

    /// Packs what goes to partitions that `share` does not hold.
    pub(super) fn pack(&mut self, trip: Trip, share: Share) {
        let Lane { core, packed, shipped, .. } = self;
        packed.resize(share.ranks(), Vec::new());
        core.outbox.take_foreign(trip, share, |stop, partition, inbox| {
            *shipped += ranks::pack(stop, partition, inbox, &mut packed[share.holder(partition)]);
        });
    }

    /// Takes those messages of `packed`, what all other ranks sent on a `trip`, that are for the partitions which `is_own`
    /// tells, as if they had been sent here.
    pub(super) fn unpack(&mut self, trip: Trip, packed: &[Vec<u8>], windows: Windows, is_own: impl Fn(u32) -> bool) {
        for packed in packed {
            self.landed += ranks::unpack::<P>(packed, trip, &is_own, &mut self.core.outbox);
        }
        self.find_next(windows, trip.first_window(windows).saturating_sub(1));
    }

    pub(super) fn find_next(&mut self, windows: Windows, current: u64) {
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
