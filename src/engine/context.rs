//! The effects of a node, carried out by the engine: sends, timers and random streams.

use serde::{Deserialize, Serialize};

use super::access::Access;
use super::capacity::Capacity;
use super::event::{Alarm, Event, Windows};
use super::lives::Lives;
use super::network::Network;
use super::outbox::Outbox;
use super::probe::{Passing, Probe};
use super::side::{Pending, Side, SideQueue};
use super::simulation::Broadcast;
use super::stream::Pool;
use super::tally::{KINDS_MAX, Tally, row};
use super::wheel::TimerWheel;
use crate::contract::{
    Effects, Here, NodeId, NodeType, Places, Population, Protocol, RandomKey, SimSpan, SimTime, Stream, Verdict,
};
use crate::metrics::{Flow, Judgement};

/// Longest payload of a UDP datagram over IPv4, in bytes.
const DATAGRAM_MAX: usize = 65_507;

/// What all partitions of a run share and none changes.
pub(super) struct Shared<'a, P, N> {
    pub(super) protocol: &'a P,
    pub(super) network: &'a N,
    pub(super) population: Population,
    pub(super) windows: Windows,
    pub(super) places: Places,
    pub(super) broadcast: Broadcast,
    /// IP and UDP headers of a message, in bytes; only the bandwidth of nodes counts them.
    pub(super) header: u32,
    pub(super) may_drop: bool,
    /// When nodes come and go, if they do.
    pub(super) lives: Option<Lives>,
    /// What access links carry, if that is limited.
    pub(super) capacity: Option<Capacity>,
    pub(super) judgements: bool,
    pub(super) latency_key: RandomKey,
    pub(super) loss_key: RandomKey,
    pub(super) protocol_key: RandomKey,
}

/// One window, as all partitions see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowPlan {
    pub(super) window: u64,
    /// Where it starts, in nanoseconds.
    pub(super) start: u64,
    /// Events from this offset on are not handled: the run ends there. `u32::MAX` in all but the last window.
    pub(super) end_offset: u32,
    /// Events from this offset on count in the next slice of time. `u32::MAX` where no boundary falls inside.
    pub(super) boundary_offset: u32,
    /// No message goes to a node with a larger index in its partition.
    pub(super) index_max: u32,
    /// Whether the current and the next slice are measured.
    pub(super) measured: [bool; 2],
}

impl WindowPlan {
    /// The slice in which an event at `offset` counts: 0, or 1 after the boundary.
    #[inline(always)]
    pub(super) fn slice(&self, offset: u32) -> usize {
        usize::from(offset >= self.boundary_offset)
    }
}

/// Bytes that one node sent and received, headers included, in the measured span.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Meter {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What a node sends in one go. Counters stay in registers from one message to the next.
struct Sent {
    /// Kind and length, without headers, of the messages that are not counted yet.
    kind: usize,
    bytes: u64,
    /// The sequence number of the first of them, and how many of them are lost.
    counted: u32,
    lost: u32,
    /// The sequence number of the next message, and the draws for its delay and its loss, and for those after it.
    sequence: u32,
    draws: Stream,
    losses: Stream,
    /// What the network knows of the sender.
    row: usize,
    /// Whether messages may wait, their delays are recorded, a probe watches them, or a table has their places.
    watched: bool,
}

#[cold]
#[inline(never)]
fn refuse_receiver(from: NodeId, to: NodeId) -> ! {
    panic!("node {from} sends to node {to}: itself, or nobody");
}

const TOO_MANY_EFFECTS: &str = "a node has fewer than 2^32 effects";

/// The effects of the nodes of one partition in one window.
pub(super) struct Context<'a, P: Protocol, N, O> {
    pub(super) shared: &'a Shared<'a, P, N>,
    pub(super) plan: WindowPlan,
    pub(super) outbox: &'a mut Outbox<P::Message>,
    pub(super) tally: &'a mut Tally,
    pub(super) wheel: &'a mut TimerWheel<P::Timer>,
    pub(super) alarms: &'a mut Pool<Alarm<P::Timer>>,
    pub(super) side: &'a mut SideQueue<P::Message, P::Timer>,
    pub(super) judgements: &'a mut Vec<Judgement>,
    /// The access links of the nodes, where their capacity is limited.
    pub(super) access: Option<&'a mut Access<P::Message>>,
    /// Effects that each node has had so far.
    pub(super) sequences: &'a mut [u32],
    /// Empty where nodes are not metered.
    pub(super) meters: &'a mut [Meter],
    pub(super) here: Here,
    pub(super) now: u64,
    /// The slice of time in which `now` lies.
    pub(super) slice: usize,
    pub(super) probe: &'a mut O,
}

impl<P: Protocol, N: Network, O: Probe> Context<'_, P, N, O> {
    /// Turns to an event at the node with `index`, `offset` nanoseconds into the window.
    #[inline(always)]
    pub(super) fn turn_to(&mut self, index: u32, id: NodeId, node_type: NodeType, offset: u32) {
        self.here = Here { id, index: index as usize, node_type };
        self.now = self.plan.start + u64::from(offset);
        self.slice = self.plan.slice(offset);
    }

    /// Counts the arrival of `message` at the current node.
    #[inline(always)]
    pub(super) fn receive(&mut self, message: &P::Message, payload: usize) {
        let bytes = u64::from(self.shared.protocol.wire_len(message, payload));
        let kind = self.shared.protocol.kind(message);
        self.tally.add(row(self.slice, Flow::Received, self.here.node_type), kind, 1, bytes);
        if !self.meters.is_empty() && self.is_measured() {
            self.meters[self.here.index].received += bytes + u64::from(self.shared.header);
        }
    }

    /// Counts `message`, which has arrived at the current node from a sender with its number of it, as dropped.
    pub(super) fn drop_arrived(
        &mut self,
        (from, sequence): (NodeId, u32),
        message: &P::Message,
        payload: usize,
        cause: Flow,
    ) {
        let bytes = u64::from(self.shared.protocol.wire_len(message, payload));
        let kind = self.shared.protocol.kind(message);
        self.tally.add(row(self.slice, cause, self.here.node_type), kind, 1, bytes);
        let (time, to) = (SimTime::from_nanos(self.now), self.here.id);
        self.probe.on_passing(Passing { time, from, to, sequence, kind, flow: cause });
    }

    /// Sends a message that has arrived at the current node down its link, if that has a limited capacity. Returns whether
    /// it does: then the message comes later, or is dropped.
    pub(super) fn park(&mut self, from: NodeId, sequence: u32, message: P::Message, payload: &[u8]) -> bool {
        let (Some(capacity), Some(access)) = (&self.shared.capacity, self.access.as_deref_mut()) else { return false };
        let bytes = u64::from(self.shared.protocol.wire_len(&message, payload.len())) + u64::from(self.shared.header);
        let rate = capacity.download[self.here.node_type as usize];
        let through = access.downlinks[self.here.index].transmit(self.now, bytes, rate, capacity.queue);
        if let Some(time) = through {
            let (index, windows) = (self.here.index as u32, self.shared.windows);
            access.park((from, sequence), index, time, message, payload, self.plan, windows, self.side);
            self.tally.queued[self.shared.protocol.kind(&message) % KINDS_MAX] += 1;
        } else {
            self.drop_arrived((from, sequence), &message, payload.len(), Flow::DownlinkFull);
        }
        true
    }

    #[inline(always)]
    fn next_sequence(&mut self) -> u32 {
        let counter = &mut self.sequences[self.here.index];
        let sequence = *counter;
        *counter = sequence.checked_add(1).expect(TOO_MANY_EFFECTS);
        sequence
    }

    /// Draws the fate of a message that is sent now and notes it in `sent`: its window, the place of its receiver and what
    /// is queued, or `None` if it never arrives.
    #[inline(always)]
    fn depart(
        &mut self,
        sent: &mut Sent,
        to: NodeId,
        message: P::Message,
        payload: usize,
    ) -> Option<(u64, u32, Event<P::Message>)> {
        let shared = self.shared;
        let from = self.here.id;
        if to == from || to >= shared.population.total() {
            refuse_receiver(from, to);
        }
        let bytes = u64::from(shared.protocol.wire_len(&message, payload));
        let kind = shared.protocol.kind(&message);
        if (kind, bytes) != (sent.kind, sent.bytes) {
            self.count(sent);
            (sent.kind, sent.bytes) = (kind, bytes);
        }
        let sequence = sent.sequence;
        sent.sequence = sequence.wrapping_add(1);
        let now = SimTime::from_nanos(self.now);
        let mut delay = shared.network.delay_in(sent.row, from, to, now, sent.draws.word()).as_nanos();
        let cause = if shared.may_drop { shared.network.drop_cause(from, to, now, sent.losses.word()) } else { None };
        let mut place = to;
        if sent.watched {
            place = shared.places.of(to);
            let message = Passing { time: now, from, to, sequence, kind, flow: Flow::Sent };
            let Some(watched) = self.watch(sent.row, message, bytes, delay, cause) else {
                sent.lost += 1;
                return None;
            };
            delay = watched;
        } else if let Some(cause) = cause {
            self.drop_sent(kind, bytes, cause);
            sent.lost += 1;
            return None;
        }
        let arrival = self.now.wrapping_add(delay);
        if arrival.wrapping_add(1) <= self.now {
            // At the end of time or later. No run goes on so far, so the message stays under way for ever.
            return None;
        }
        let (window, offset) = shared.windows.split(arrival);
        let index = place >> shared.places.partitions_log2();
        Some((window, place, Event { offset, index, from, sequence, message }))
    }

    /// Counts a message of the current node as dropped.
    #[cold]
    #[inline(never)]
    fn drop_sent(&mut self, kind: usize, bytes: u64, cause: Flow) {
        self.tally.add(row(self.slice, cause, self.here.node_type), kind, 1, bytes);
    }

    /// Sends a message over the uplink of the current node, and records its delay if neither that nor `cause` drops it.
    /// Returns its delay with the time that the uplink took, or `None` if it never arrives.
    #[inline(never)]
    fn watch(&mut self, row: usize, message: Passing, bytes: u64, delay: u64, cause: Option<Flow>) -> Option<u64> {
        let shared = self.shared;
        let Passing { to, kind, .. } = message;
        let (mut delay, mut cause) = (delay, cause);
        self.probe.on_passing(message);
        if let (Some(capacity), Some(access)) = (&shared.capacity, self.access.as_deref_mut()) {
            let wire = bytes + u64::from(shared.header);
            let rate = capacity.upload[self.here.node_type as usize];
            match access.uplinks[self.here.index].transmit(self.now, wire, rate, capacity.queue) {
                Some(through) => delay = delay.saturating_add(through - self.now),
                None => cause = Some(Flow::UplinkFull),
            }
        }
        if let Some(cause) = cause {
            self.drop_sent(kind, bytes, cause);
            self.probe.on_passing(Passing { flow: cause, ..message });
            return None;
        }
        if self.is_measured()
            && let Some(delays) = self.tally.delays.get_mut(kind)
        {
            // Not `saturating_record`, which clamps to the range of the histogram instead of growing it.
            delays.record(delay).expect("a histogram that grows takes every delay");
            if let Some(placement) = shared.network.placement() {
                self.tally.links[row + placement.region_of(to)].record(delay);
            }
        }
        Some(delay)
    }

    /// Whether the slice of time of the current event is measured.
    #[inline(always)]
    fn is_measured(&self) -> bool {
        self.plan.measured[self.slice & 1]
    }

    /// What the current node sends from now on: nothing yet.
    #[inline(always)]
    fn nothing_sent(&self) -> Sent {
        let delays_recorded = self.is_measured() && !self.tally.delays.is_empty();
        let sequence = self.sequences[self.here.index];
        Sent {
            kind: KINDS_MAX,
            bytes: 0,
            counted: sequence,
            lost: 0,
            sequence,
            draws: self.shared.latency_key.draws(self.here.id, sequence),
            losses: self.shared.loss_key.draws(self.here.id, sequence),
            row: self.shared.network.row(self.here.id),
            watched: self.access.is_some()
                || delays_recorded
                || !self.shared.places.is_by_number()
                || self.probe.watches_messages(),
        }
    }

    /// Counts the messages of `sent` that are not counted yet.
    #[inline(always)]
    fn count(&mut self, sent: &mut Sent) {
        if sent.sequence != sent.counted {
            self.count_sent(sent.kind, sent.bytes, sent.sequence.wrapping_sub(sent.counted), sent.lost);
            (sent.counted, sent.lost) = (sent.sequence, 0);
        }
    }

    /// Counts so many messages of the current node, and those of them that are lost.
    #[inline(never)]
    fn count_sent(&mut self, kind: usize, bytes_each: u64, messages: u32, lost: u32) {
        let (messages, bytes) = (u64::from(messages), u64::from(messages) * bytes_each);
        self.tally.add(row(self.slice, Flow::Sent, self.here.node_type), kind, messages, bytes);
        self.tally.queued[kind % KINDS_MAX] += messages as i64 - i64::from(lost);
        if !self.meters.is_empty() && self.is_measured() {
            self.meters[self.here.index].sent += bytes + messages * u64::from(self.shared.header);
        }
    }

    /// Counts the last messages of `sent` and takes their sequence numbers.
    #[inline(always)]
    fn settle(&mut self, mut sent: Sent) {
        self.count(&mut sent);
        let counter = &mut self.sequences[self.here.index];
        assert!(sent.sequence >= *counter, "{TOO_MANY_EFFECTS}");
        *counter = sent.sequence;
    }

    fn broadcast_counted(&mut self, message: &P::Message) {
        let shared = self.shared;
        let bytes = u64::from(shared.protocol.wire_len(message, 0));
        let kind = shared.protocol.kind(message);
        let own_type = self.here.node_type;
        let others = u64::from(shared.population.total() - 1);
        self.tally.add(row(self.slice, Flow::Sent, own_type), kind, others, others * bytes);
        for node_type in NodeType::ALL {
            let receivers = u64::from(shared.population.count(node_type)) - u64::from(node_type == own_type);
            self.tally.add(row(self.slice, Flow::Received, node_type), kind, receivers, receivers * bytes);
        }
        if !self.meters.is_empty() && self.is_measured() {
            let wire = bytes + u64::from(shared.header);
            let meter = &mut self.meters[self.here.index];
            meter.sent += others * wire;
            // Every node is credited with every broadcast at the end of the run, so take back one's own here.
            meter.received = meter.received.wrapping_sub(wire);
            self.tally.broadcast_bytes += wire;
        }
    }
}

impl<P: Protocol, N: Network, O: Probe> Effects<P> for Context<'_, P, N, O> {
    #[inline(always)]
    fn now(&self) -> SimTime {
        SimTime::from_nanos(self.now)
    }

    /// Protocols send from dozens of places: what takes long to compile stands here once for all of them. Where messages
    /// are many, they go by `send_each`.
    #[inline(never)]
    fn send(&mut self, to: NodeId, message: P::Message) {
        self.send_each(std::iter::once((to, message)));
    }

    #[inline(always)]
    fn send_each(&mut self, messages: impl Iterator<Item = (NodeId, P::Message)>) {
        let mut sent = self.nothing_sent();
        for (to, message) in messages {
            if let Some((window, place, event)) = self.depart(&mut sent, to, message, 0) {
                self.outbox.push(self.plan.window, window, place, event);
            }
        }
        self.settle(sent);
    }

    #[inline(never)]
    fn send_payload(&mut self, to: NodeId, message: P::Message, payload: &[u8]) {
        assert!(payload.len() <= DATAGRAM_MAX, "a payload of {} bytes does not fit a datagram", payload.len());
        let mut sent = self.nothing_sent();
        if let Some((window, place, event)) = self.depart(&mut sent, to, message, payload.len()) {
            self.outbox.push_parcel(self.plan.window, window, place, event, payload);
        }
        self.settle(sent);
    }

    fn broadcast(&mut self, message: P::Message) {
        match self.shared.broadcast {
            Broadcast::Counted => {
                self.next_sequence();
                self.broadcast_counted(&message);
            }
            Broadcast::Delivered => {
                let own = self.here.id;
                let others = (0..self.shared.population.total()).filter(|&to| to != own);
                self.send_each(others.map(|to| (to, message)));
            }
        }
    }

    #[inline(never)]
    fn wake_after(&mut self, span: SimSpan, timer: P::Timer) {
        let sequence = self.next_sequence();
        // Every run ends before `SimTime::MAX`, so a timer for then, or for later, never fires.
        let Some(time) = self.now.checked_add(span.as_nanos().max(1)).filter(|&time| time < u64::MAX) else { return };
        let windows = self.shared.windows;
        let index = self.here.index as u32;
        if windows.of(time) > self.plan.window {
            self.wheel.insert(Alarm { time, index, sequence, timer }, windows, self.alarms);
        } else if windows.offset(time) < self.plan.end_offset {
            let tie = u64::from(self.here.id) << 32 | u64::from(sequence);
            self.side.push_pending(Pending { offset: windows.offset(time), tie, what: Side::Timer(timer) });
        }
    }

    #[inline(always)]
    fn random(&mut self) -> Stream {
        let sequence = self.next_sequence();
        self.shared.protocol_key.stream(self.here.id, sequence)
    }

    fn judge(&mut self, peer: NodeId, verdict: Verdict) {
        if self.shared.judgements {
            let time = SimTime::from_nanos(self.now);
            self.judgements.push(Judgement { time, observer: self.here.id, subject: peer, verdict });
        }
    }
}
