//! A partition of the nodes: their columns, their timers, and the walk over the events of a window.

use super::access::Access;
use super::capacity::Wire;
use super::cells::Cells;
use super::clashes::Clashes;
use super::context::{Context, Meter, Shared, WindowPlan};
use super::digest::Digest;
use super::event::{Event, Windows};
use super::inbox::Inbox;
use super::lane::Core;
use super::living::{Living, NOBODY};
use super::network::Network;
use super::probe::{Cause, Probe};
use super::side::{Parcels, Side, SideEvent};
use super::sorter::{Keyed, Sorter};
use super::tally::KINDS_MAX;
use super::wheel::TimerWheel;
use crate::contract::{Column, Effects, Here, NodeId, NodeType, Nodes, Protocol, prefetch};
use crate::metrics::{Flow, Turn};

/// Events whose state is prefetched at a time. In bursts, because a load that misses the TLB as well waits for one of a
/// few page walkers, and only loads that follow each other closely wait at the same time.
const BURST: usize = 16;

/// The events to prefetch for before that at `position` is handled: none, or the next burst; at first, two.
#[inline(always)]
fn burst<E>(events: &[E], position: usize) -> &[E] {
    if !position.is_multiple_of(BURST) {
        return &[];
    }
    let start = if position == 0 { 0 } else { events.len().min(position + BURST) };
    &events[start..events.len().min(position + 2 * BURST)]
}

/// A window with fewer events than one for so many nodes is sparse: hardly any node has two.
const SPARSE_NODES_PER_EVENT: u64 = 8;

pub(super) struct Partition<P: Protocol> {
    pub(super) nodes: Nodes,
    pub(super) state: P::State,
    pub(super) sequences: Column<u32>,
    pub(super) wheel: TimerWheel<P::Timer>,
    pub(super) meters: Column<Meter>,
    /// Where nodes come and go.
    pub(super) living: Option<Box<Living>>,
    /// The last window for whose messages prefetching began in the window before it.
    loaded: u64,
    /// Where access links have a limited capacity.
    pub(super) access: Option<Box<Access<P::Message>>>,
}

impl<P: Protocol> Partition<P> {
    /// The part `nodes` of a run as `shared` describes it.
    pub(super) fn new<N>(shared: &Shared<'_, P, N>, nodes: Nodes, metered: bool) -> Self {
        Partition {
            state: shared.protocol.state(nodes.clone()),
            sequences: Column::filled(nodes.len(), 0),
            wheel: TimerWheel::new(),
            meters: Column::filled(if metered { nodes.len() } else { 0 }, Meter::default()),
            living: shared.lives.as_ref().map(|_| Box::new(Living::new(&nodes))),
            loaded: 0,
            access: shared.capacity.map(|_| Box::new(Access::new(nodes.len()))),
            nodes,
        }
    }

    pub(super) fn bytes(&self, protocol: &P) -> usize {
        let living = self.living.as_ref().map_or(0, |living| living.bytes());
        let access = self.access.as_ref().map_or(0, |access| access.bytes());
        let columns = self.sequences.bytes() + self.meters.bytes() + self.wheel.bytes();
        protocol.state_bytes(&self.state) + columns + living + access
    }

    /// The first window after the current one in which anything but a message from another node may happen.
    pub(super) fn next(&self, windows: Windows) -> Option<u64> {
        let turn = self.living.as_ref().and_then(|living| living.next(windows));
        let parked = self.access.as_ref().and_then(|access| access.next(windows));
        self.wheel.next(windows).into_iter().chain(turn).chain(parked).min()
    }

    /// Splits the partition and the lane's parts into the state and the effects of its nodes.
    fn open<'a, N: Network, O: Probe>(
        &'a mut self,
        shared: &'a Shared<'a, P, N>,
        plan: WindowPlan,
        core: &'a mut Core<P, O>,
    ) -> Walk<'a, P, N, O> {
        Walk {
            nodes: &self.nodes,
            first: self.nodes.number(),
            partitions_log2: self.nodes.partitions_log2(),
            state: &mut self.state,
            fx: Context {
                shared,
                plan,
                outbox: &mut core.outbox,
                tally: &mut core.tally,
                wheel: &mut self.wheel,
                alarms: &mut core.alarms,
                side: &mut core.side,
                judgements: &mut core.judgements,
                access: self.access.as_deref_mut(),
                sequences: &mut self.sequences,
                meters: &mut self.meters,
                here: self.nodes.here(0),
                now: 0,
                slice: 0,
                probe: &mut core.probe,
            },
            is_limited: shared.capacity.is_some(),
            living: self.living.as_deref_mut(),
            digest: &mut core.digest,
            node_type: NodeType::SuperNode,
            type_start: 0,
            type_len: if self.nodes.is_by_number() { self.nodes.end_of(NodeType::SuperNode) as u32 } else { 0 },
            handled: 0,
            unhandled: 0,
        }
    }

    /// Starts every node that is up.
    pub(super) fn start<N: Network, O: Probe>(
        &mut self,
        shared: &Shared<'_, P, N>,
        plan: WindowPlan,
        core: &mut Core<P, O>,
    ) {
        if self.nodes.is_empty() {
            return;
        }
        let mut walk = self.open(shared, plan, core);
        for here in walk.nodes.iter() {
            let is_up = match (&shared.lives, walk.living.as_deref_mut()) {
                (Some(lives), Some(living)) => living.start(lives, here, shared.windows),
                _ => true,
            };
            if is_up {
                walk.fx.here = here;
                shared.protocol.handle_start(walk.state, here, &mut walk.fx);
            }
        }
    }

    /// Where windows form blocks, they hold few events, and there is no time to load what these touch when it begins. So
    /// `core.ahead` gets the messages of `window`, the next one, to prefetch for them meanwhile, if they are known and few;
    /// for its timers that begins at once.
    fn look_ahead<N, O>(&self, shared: &Shared<'_, P, N>, window: u64, core: &mut Core<P, O>) {
        core.ahead.clear();
        let Some(upcoming) = core.outbox.upcoming(window, self.nodes.number() as usize) else { return };
        core.ahead.extend_from_slice(upcoming);
        let cells = Cells {
            protocol: shared.protocol,
            state: &self.state,
            sequences: &self.sequences,
            meters: &self.meters,
            living: self.living.as_deref(),
        };
        for alarm in self.wheel.upcoming(window) {
            cells.prefetch_timer(alarm.index as usize, &alarm.timer);
        }
    }

    /// Handles all events of a window: the messages of `inbox`, which is left empty, and the partition's timers.
    pub(super) fn run<N: Network, O: Probe>(
        &mut self,
        shared: &Shared<'_, P, N>,
        plan: WindowPlan,
        inbox: &mut Inbox<P::Message>,
        core: &mut Core<P, O>,
    ) {
        self.look_ahead(shared, plan.window.saturating_add(1), core);
        let (nodes, side) = (&self.nodes, &mut core.side);
        self.wheel.advance(plan.window, shared.windows, &mut core.alarms, |alarm| {
            let offset = shared.windows.offset(alarm.time);
            if offset < plan.end_offset {
                side.add_timer(alarm, offset, nodes);
            }
        });
        if let Some(living) = &mut self.living {
            living.advance(plan, shared.windows, side);
        }
        if let Some(access) = &mut self.access {
            access.advance(plan, shared.windows, side);
        }
        if plan.end_offset < u32::MAX {
            inbox.cut(plan.end_offset);
        }
        core.side.add_parcels(&inbox.parcels);
        // Parcels are among the side events now.
        let events = inbox.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + core.side.len();
        if events > 0 {
            unqueue(inbox, core, shared);
            core.digest.start_window();
            let is_sparse = events as u64 * SPARSE_NODES_PER_EVENT <= u64::from(plan.index_max);
            if is_sparse {
                self.run_lone(shared, plan, inbox, core, events);
            }
            if core.side.len() > 0 || inbox.chunks.iter().any(|chunk| !chunk.is_empty()) {
                self.run_sorted(shared, plan, inbox, core);
            }
        }
        for chunk in inbox.chunks.drain(..) {
            core.outbox.chunks.give(chunk);
        }
        for parcels in inbox.parcels.drain(..) {
            core.outbox.recycle_parcels(parcels);
        }
    }

    /// Handles the events of nodes that have no other in this window, in whatever order they come, and leaves the rest.
    fn run_lone<N: Network, O: Probe>(
        &mut self,
        shared: &Shared<'_, P, N>,
        plan: WindowPlan,
        inbox: &mut Inbox<P::Message>,
        core: &mut Core<P, O>,
        events: usize,
    ) {
        // Taken out, because the walk borrows the rest of the core.
        let (mut clashes, ahead) = (std::mem::take(&mut core.clashes), std::mem::take(&mut core.ahead));
        clashes.reset(events);
        inbox.chunks.iter().flat_map(|chunk| chunk.iter()).for_each(|event| clashes.note(event.index));
        core.side.indexes().for_each(|index| clashes.note(index));
        core.side.set_lone_apart(&clashes);
        let is_loaded = self.loaded == plan.window;
        let mut walk = self.open(shared, plan, core);
        let mut left = ahead.iter();
        for chunk in &mut inbox.chunks {
            walk.handle_lone(chunk, &clashes, is_loaded, &mut left);
        }
        walk.prefetch_next(&mut left, usize::MAX);
        walk.handle_lone_sides(&inbox.parcels);
        core.tally.events += walk.finish(&inbox.parcels);
        if !ahead.is_empty() {
            self.loaded = plan.window.saturating_add(1);
        }
        (core.clashes, core.ahead) = (clashes, ahead);
    }

    /// Handles the events that are left, node by node.
    fn run_sorted<N: Network, O: Probe>(
        &mut self,
        shared: &Shared<'_, P, N>,
        plan: WindowPlan,
        inbox: &mut Inbox<P::Message>,
        core: &mut Core<P, O>,
    ) {
        core.side.sort();
        // Taken out, because the walk borrows the rest of the core.
        let mut sorter = std::mem::replace(&mut core.sorter, Sorter::new(shared.windows.offset_bits()));
        let index_bits = u32::BITS - plan.index_max.leading_zeros();
        let groups = sorter.load(&mut inbox.chunks, index_bits, &mut core.outbox.chunks);
        let mut walk = self.open(shared, plan, core);
        for group in 0..groups {
            let events = sorter.group(group, &mut walk.fx.outbox.chunks);
            walk.handle(events, &inbox.parcels);
        }
        core.tally.events += walk.finish(&inbox.parcels);
        core.sorter = sorter;
    }
}

/// Counts the messages of `inbox` out of the queue, by kind.
fn unqueue<P: Protocol, N, O>(inbox: &Inbox<P::Message>, core: &mut Core<P, O>, shared: &Shared<'_, P, N>) {
    let queued = &mut core.tally.queued;
    if shared.protocol.kinds().len() == 1 {
        queued[0] -= inbox.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() as i64;
    } else {
        for chunk in &inbox.chunks {
            for event in chunk.iter() {
                queued[shared.protocol.kind(&event.message) % KINDS_MAX] -= 1;
            }
        }
    }
    for parcel in inbox.parcels.iter().flat_map(|parcels| &parcels.events) {
        queued[shared.protocol.kind(&parcel.event.message)] -= 1;
    }
}

/// The walk over the events of one window of one partition, node by node in ascending order.
struct Walk<'a, P: Protocol, N, O> {
    nodes: &'a Nodes,
    /// Where nodes are dealt out by number, that of the first of them, and how far they are apart.
    first: NodeId,
    partitions_log2: u32,
    state: &'a mut P::State,
    fx: Context<'a, P, N, O>,
    digest: &'a mut Digest,
    /// The type of the node at work, and the indexes of nodes of this type: nodes are ordered by type. No indexes at all
    /// where nodes are listed.
    node_type: NodeType,
    type_start: u32,
    type_len: u32,
    /// Events handled so far, those among them included that turned out to be none: nobody was there, or a message has
    /// yet to come through a downlink.
    handled: u64,
    unhandled: u64,
    /// Whether the links of nodes have a limited capacity.
    is_limited: bool,
    living: Option<&'a mut Living>,
}

impl<P: Protocol, N: Network, O: Probe> Walk<'_, P, N, O> {
    /// Handles `events`, which follow those of earlier calls, and the side events among them.
    fn handle(&mut self, events: &[Event<P::Message>], parcels: &[Parcels<P::Message>]) {
        // A copy on the stack, which the compiler can keep in registers.
        let mut digest = *self.digest;
        self.handled += events.len() as u64;
        let mut side_key = self.fx.side.next_key(self.fx.here.index as u32);
        for (position, event) in events.iter().enumerate() {
            for ahead in burst(events, position) {
                self.prefetch_message(ahead.index as usize, &ahead.message);
            }
            if side_key <= event.key() {
                *self.digest = digest;
                while self.handle_side(event.key(), event.tie(), parcels) {}
                digest = *self.digest;
                side_key = self.fx.side.next_key(self.fx.here.index as u32);
            }
            self.turn_to(event.index, event.offset);
            self.handle_message(&mut digest, event.from, event.sequence, event.message, &[]);
            if self.fx.side.has_pending() {
                side_key = self.fx.side.next_key(event.index);
            }
        }
        *self.digest = digest;
    }

    /// Starts loading what the next `count` of `events` will touch.
    #[inline(always)]
    fn prefetch_next<'e>(&self, events: &mut impl Iterator<Item = &'e Event<P::Message>>, count: usize)
    where
        P::Message: 'e,
    {
        events.take(count).for_each(|event| self.prefetch_message(event.index as usize, &event.message));
    }

    /// Handles the events of `chunk` whose nodes have no other, and leaves the others in it. Meanwhile loads what those of
    /// `chunk` touch, unless it is loaded already, and what those `ahead` in the next window will.
    fn handle_lone(
        &mut self,
        chunk: &mut Column<Event<P::Message>>,
        clashes: &Clashes,
        is_loaded: bool,
        ahead: &mut std::slice::Iter<'_, Event<P::Message>>,
    ) {
        let mut digest = *self.digest;
        let mut kept = 0;
        for position in 0..chunk.len() {
            if !is_loaded {
                self.prefetch_next(&mut burst(chunk, position).iter(), 2 * BURST);
            }
            if position.is_multiple_of(BURST) {
                self.prefetch_next(ahead, BURST);
            }
            let event = chunk[position];
            if clashes.is_clash(event.index) {
                chunk[kept] = event;
                kept += 1;
                continue;
            }
            self.turn_to(event.index, event.offset);
            self.handle_message(&mut digest, event.from, event.sequence, event.message, &[]);
            if self.fx.side.has_pending() {
                *self.digest = digest;
                while self.handle_side(u64::MAX, u64::MAX, &[]) {}
                digest = *self.digest;
            }
        }
        *self.digest = digest;
        self.handled += (chunk.len() - kept) as u64;
        chunk.truncate(kept);
    }

    /// Handles the side events that were set apart.
    fn handle_lone_sides(&mut self, parcels: &[Parcels<P::Message>]) {
        let mut lone = std::mem::take(&mut self.fx.side.lone);
        for (position, side) in lone.iter().enumerate() {
            for ahead in burst(&lone, position) {
                self.prefetch_side(ahead);
            }
            self.act(*side, parcels);
            while self.handle_side(u64::MAX, u64::MAX, parcels) {}
        }
        lone.clear();
        self.fx.side.lone = lone;
    }

    /// Handles the side events that are left. Returns how many events were handled in all.
    fn finish(mut self, parcels: &[Parcels<P::Message>]) -> u64 {
        while self.handle_side(u64::MAX, u64::MAX, parcels) {}
        self.handled - self.unhandled
    }

    /// Handles the next side event if it comes before the event with `key` and `tie`. Returns whether it did.
    fn handle_side(&mut self, key: u64, tie: u64, parcels: &[Parcels<P::Message>]) -> bool {
        let here = self.fx.here;
        for ahead in burst(self.fx.side.listed(), self.fx.side.position()) {
            self.prefetch_side(ahead);
        }
        let Some(side) = self.fx.side.pop_before(key, tie, here.index as u32) else { return false };
        self.act(side, parcels);
        true
    }

    /// Handles a side event.
    #[inline(always)]
    fn act(&mut self, side: SideEvent<P::Message, P::Timer>, parcels: &[Parcels<P::Message>]) {
        self.handled += 1;
        self.turn_to(side.index(), side.key as u32);
        let (from, sequence) = ((side.tie >> 32) as u32, side.tie as u32);
        match side.what {
            Side::Timer(timer) => {
                let (here, time) = (self.fx.here, self.fx.now);
                if self.living.as_ref().is_some_and(|living| !living.is_current(here.index, sequence)) {
                    self.unhandled += 1;
                    return;
                }
                self.digest.add(here.index as u32, here.id, time, from, sequence, u64::MAX);
                let at = self.fx.now();
                self.fx.probe.on_event(at, here.id, from, sequence, Cause::Timer, u64::MAX);
                self.fx.shared.protocol.handle_timer(self.state, here, timer, &mut self.fx);
            }
            Side::Parcel { message, source, start, len } => {
                let payload = parcels[source as usize].payload(start, len);
                let mut digest = *self.digest;
                self.handle_message(&mut digest, from, sequence, message, payload);
                *self.digest = digest;
            }
            Side::Parked { message, payload } => self.handle_parked(from, sequence, message, payload),
            Side::Turn(number) => self.handle_turn(number),
        }
    }

    /// A node comes or goes.
    fn handle_turn(&mut self, number: u32) {
        let (Some(living), Some(lives)) = (self.living.as_deref_mut(), &self.fx.shared.lives) else { return };
        let (here, now, turn) = (self.fx.here, self.fx.now, living.turn(number));
        let (from, sequence) = NOBODY;
        self.digest.add(here.index as u32, here.id, now, from, sequence, turn as u64);
        let at = self.fx.now();
        self.fx.probe.on_event(at, here.id, from, sequence, Cause::Turn(turn), turn as u64);
        let protocol = self.fx.shared.protocol;
        match turn {
            Turn::Joined => {
                living.bring_up(here.index, self.fx.sequences[here.index]);
                if let Some(access) = self.fx.access.as_deref_mut() {
                    access.uplinks[here.index] = Wire::default();
                }
                protocol.handle_join(self.state, here, &mut self.fx);
            }
            Turn::Left => {
                protocol.handle_leave(self.state, here, &mut self.fx);
                living.take_down(here.index);
            }
            Turn::Crashed => living.take_down(here.index),
        }
        living.go_on(lives, here, now, number, self.fx.plan, self.fx.shared.windows, self.fx.side);
    }

    /// A message has come through the downlink of the current node.
    fn handle_parked(&mut self, from: u32, sequence: u32, message: P::Message, payload: u32) {
        self.fx.tally.queued[self.fx.shared.protocol.kind(&message) % KINDS_MAX] -= 1;
        let taken = self.fx.access.as_deref_mut().map(|access| access.take_payload(payload));
        let payload = taken.unwrap_or_default();
        if self.is_nobody_here(from, sequence, &message, payload.len()) {
            return;
        }
        let mut digest = *self.digest;
        self.deliver(&mut digest, from, sequence, message, &payload);
        *self.digest = digest;
    }

    /// Whether the current node is down; then a message to it is dropped.
    #[inline(always)]
    fn is_nobody_here(&mut self, from: u32, sequence: u32, message: &P::Message, payload: usize) -> bool {
        let is_down = self.living.as_ref().is_some_and(|living| !living.is_up(self.fx.here.index));
        if is_down {
            self.unhandled += 1;
            self.fx.drop_arrived((from, sequence), message, payload, Flow::ReceiverDown);
        }
        is_down
    }

    /// Whether a message that arrives at the current node has to come through its downlink first, or is dropped there.
    #[inline(never)]
    fn is_parked(&mut self, from: u32, sequence: u32, message: P::Message, payload: &[u8]) -> bool {
        let parked = self.fx.park(from, sequence, message, payload);
        self.unhandled += u64::from(parked);
        parked
    }

    #[inline(always)]
    fn handle_message(&mut self, digest: &mut Digest, from: u32, sequence: u32, message: P::Message, payload: &[u8]) {
        if self.is_nobody_here(from, sequence, &message, payload.len())
            || (self.is_limited && self.is_parked(from, sequence, message, payload))
        {
            return;
        }
        self.deliver(digest, from, sequence, message, payload);
    }

    #[inline(always)]
    fn deliver(&mut self, digest: &mut Digest, from: u32, sequence: u32, message: P::Message, payload: &[u8]) {
        let protocol = self.fx.shared.protocol;
        let here = self.fx.here;
        self.fx.receive(&message, payload.len());
        let mut contents = protocol.fingerprint(&message);
        if !payload.is_empty() {
            contents ^= hash_bytes(payload);
        }
        digest.add(here.index as u32, here.id, self.fx.now, from, sequence, contents);
        let at = self.fx.now();
        self.fx.probe.on_event(at, here.id, from, sequence, Cause::Message(protocol.kind(&message)), contents);
        protocol.handle_message(self.state, here, from, message, payload, &mut self.fx);
    }

    #[inline(always)]
    fn turn_to(&mut self, index: u32, offset: u32) {
        let mut id = self.first + (index << self.partitions_log2);
        if index.wrapping_sub(self.type_start) >= self.type_len {
            id = self.change_type(index);
        }
        self.fx.turn_to(index, id, self.node_type, offset);
    }

    /// Notes the type of the node with `index`, and up to where it is that of others. Returns its number.
    #[cold]
    fn change_type(&mut self, index: u32) -> NodeId {
        let Here { id, node_type, .. } = self.nodes.here(index as usize);
        self.node_type = node_type;
        if !self.nodes.is_by_number() {
            return id;
        }
        let before = NodeType::ALL[..self.node_type as usize].last();
        self.type_start = before.map_or(0, |&before| self.nodes.end_of(before) as u32);
        self.type_len = self.nodes.end_of(self.node_type) as u32 - self.type_start;
        id
    }

    #[inline(always)]
    fn prefetch_side(&self, side: &SideEvent<P::Message, P::Timer>) {
        let index = side.index() as usize;
        match &side.what {
            Side::Timer(timer) => self.cells().prefetch_timer(index, timer),
            Side::Parcel { message, .. } | Side::Parked { message, .. } => {
                prefetch(self.fx.sequences, index);
                self.prefetch_message(index, message);
            }
            Side::Turn(_) => {}
        }
    }

    #[inline(always)]
    fn prefetch_message(&self, index: usize, message: &P::Message) {
        self.cells().prefetch_message(index, message);
    }

    #[inline(always)]
    fn cells(&self) -> Cells<'_, P> {
        Cells {
            protocol: self.fx.shared.protocol,
            state: self.state,
            sequences: self.fx.sequences,
            meters: self.fx.meters,
            living: self.living.as_deref(),
        }
    }
}

/// The first eight bytes of the BLAKE3 hash of a payload.
fn hash_bytes(payload: &[u8]) -> u64 {
    let hash = blake3::hash(payload);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}
