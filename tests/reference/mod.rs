//! The reference engine: one binary heap, no windows, no partitions, no threads. Slow, and easy to believe.
//!
//! It runs any [`Protocol`] and any [`Network`] with the same meaning as the real engine: events in the order
//! `(time, receiver, sender, sequence of the sender)`; every effect of a node takes its next sequence number; delay
//! and loss of a message are drawn for (sender, sequence). A node comes or goes after all else at that time.
#![allow(dead_code, unreachable_pub, reason = "shared by tests and the bench, of which none uses all")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use qnetsim::contract::{
    Domain, Effects, Here, NodeId, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime, Stream,
};
use qnetsim::engine::{Capacity, Cause, Life, Lives, Network, Probe};
use qnetsim::metrics::Turn;

/// The key orders the heap; the body does not take part.
struct Event<P: Protocol> {
    key: (u64, NodeId, NodeId, u32),
    body: Body<P>,
}

enum Body<P: Protocol> {
    Message(P::Message, Vec<u8>),
    /// A message that has come through the downlink of its receiver.
    Parked(P::Message, Vec<u8>),
    Timer(P::Timer),
    Turn(Turn, Life),
}

impl<P: Protocol> PartialEq for Event<P> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<P: Protocol> Eq for Event<P> {}
impl<P: Protocol> PartialOrd for Event<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<P: Protocol> Ord for Event<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// What a reference run gave.
pub struct Outcome<P: Protocol, O> {
    /// Deliveries and timer firings.
    pub events: u64,
    /// Messages by kind: sent, received, lost.
    pub messages: Vec<[u64; 3]>,
    /// Messages still under way at the end.
    pub in_flight: u64,
    /// State of all nodes.
    pub state: P::State,
    /// The probe, which saw every event in the total order.
    pub probe: O,
    /// What was set or sent, in that order, if the world notes it.
    pub dues: Vec<Due>,
}

/// A timer that was set, or a message that was not lost on its way: when it has to happen, as it stood at that moment. A
/// message that waits for its receiver's downlink gets another, which holds instead.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub set: SimTime,
    pub time: SimTime,
    pub to: NodeId,
    pub from: NodeId,
    pub sequence: u32,
    pub is_timer: bool,
}

/// What may go wrong beside loss in the network.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub lives: Option<Lives>,
    pub capacity: Option<Capacity>,
    pub header: u32,
    /// Whether it is noted when everything is due.
    pub notes_dues: bool,
}

/// Runs `protocol` over `network` until `end` or until nothing is left to happen.
pub fn run<P: Protocol, N: Network, O: Probe>(
    protocol: &P,
    network: &N,
    population: Population,
    seed: u64,
    end: SimTime,
) -> Outcome<P, O> {
    run_in(&World::default(), protocol, network, population, seed, end)
}

/// As [`run`], in a world where more may go wrong.
pub fn run_in<P: Protocol, N: Network, O: Probe>(
    world: &World,
    protocol: &P,
    network: &N,
    population: Population,
    seed: u64,
    end: SimTime,
) -> Outcome<P, O> {
    let nodes = Nodes::all(population);
    let total = population.total() as usize;
    let mut simulator = Simulator {
        world,
        protocol,
        network,
        population,
        keys: [Domain::Latency, Domain::Loss, Domain::Protocol].map(|domain| RandomKey::new(seed, domain)),
        heap: BinaryHeap::new(),
        sequences: vec![0; total],
        born: vec![Some(0); total],
        free: vec![[0; 2]; total],
        messages: vec![[0; 3]; protocol.kinds().len()],
        here: nodes.here(0),
        now: 0,
        dues: Vec::new(),
    };
    let (mut state, mut probe, mut events) = (protocol.state(nodes.clone()), O::default(), 0);
    for here in nodes.iter() {
        simulator.here = here;
        let life = world.lives.as_ref().map(|lives| lives.start(here.id));
        if life.is_none_or(|life| life.up) {
            protocol.handle_start(&mut state, here, &mut simulator);
        } else {
            simulator.born[here.index] = None;
        }
        life.into_iter().for_each(|life| simulator.go_on(life));
    }
    while simulator.heap.peek().is_some_and(|Reverse(event)| event.key.0 < end.as_nanos()) {
        let Some(Reverse(event)) = simulator.heap.pop() else { break };
        (simulator.now, simulator.here) = (event.key.0, nodes.here(event.key.1 as usize));
        events += u64::from(simulator.handle(event, &mut state, &mut probe));
    }
    let is_message = |body: &Body<P>| matches!(body, Body::Message(..) | Body::Parked(..));
    let in_flight = simulator.heap.iter().filter(|Reverse(event)| is_message(&event.body)).count() as u64;
    Outcome { events, messages: simulator.messages, in_flight, state, probe, dues: simulator.dues }
}

struct Simulator<'a, P: Protocol, N> {
    world: &'a World,
    protocol: &'a P,
    network: &'a N,
    population: Population,
    /// Latency, loss, protocol.
    keys: [RandomKey; 3],
    heap: BinaryHeap<Reverse<Event<P>>>,
    sequences: Vec<u32>,
    /// The sequence number at which each node joined; `None` while it is down.
    born: Vec<Option<u32>>,
    /// When uplink and downlink of each node are free.
    free: Vec<[u64; 2]>,
    messages: Vec<[u64; 3]>,
    here: Here,
    now: u64,
    dues: Vec<Due>,
}

impl<P: Protocol, N: Network> Simulator<'_, P, N> {
    /// Handles an event. Returns whether it was one after all: messages may be dropped, and timers outlived.
    fn handle<O: Probe>(&mut self, event: Event<P>, state: &mut P::State, probe: &mut O) -> bool {
        let (protocol, here) = (self.protocol, self.here);
        let (_, to, from, sequence) = event.key;
        let mut see = |cause, contents| {
            probe.on_event(SimTime::from_nanos(event.key.0), to, from, sequence, cause, contents);
        };
        let born = self.born[here.index];
        match event.body {
            Body::Message(message, _) | Body::Parked(message, _) if born.is_none() => {
                self.messages[protocol.kind(&message)][2] += 1;
                return false;
            }
            Body::Message(message, payload) if self.world.capacity.is_some() => {
                match self.transmit(1, &message, payload.len()) {
                    Some(time) => {
                        let key = (time, to, from, sequence);
                        self.note(key, false);
                        self.heap.push(Reverse(Event { key, body: Body::Parked(message, payload) }));
                    }
                    None => self.messages[protocol.kind(&message)][2] += 1,
                }
                return false;
            }
            Body::Message(message, payload) | Body::Parked(message, payload) => {
                let kind = protocol.kind(&message);
                self.messages[kind][1] += 1;
                let mut contents = protocol.fingerprint(&message);
                if !payload.is_empty() {
                    contents ^= u64::from_le_bytes(blake3::hash(&payload).as_bytes()[..8].try_into().unwrap());
                }
                see(Cause::Message(kind), contents);
                protocol.handle_message(state, here, from, message, &payload, self);
            }
            Body::Timer(timer) => {
                if born.is_none_or(|born| sequence < born) {
                    return false;
                }
                see(Cause::Timer, u64::MAX);
                protocol.handle_timer(state, here, timer, self);
            }
            Body::Turn(turn, life) => {
                see(Cause::Turn(turn), turn as u64);
                if turn == Turn::Joined {
                    self.born[here.index] = Some(self.sequences[here.index]);
                    self.free[here.index][0] = 0;
                    protocol.handle_join(state, here, self);
                } else {
                    if turn == Turn::Left {
                        protocol.handle_leave(state, here, self);
                    }
                    self.born[here.index] = None;
                }
                self.go_on(life);
            }
        }
        true
    }

    /// Schedules what becomes of the current node next.
    fn go_on(&mut self, life: Life) {
        let Some(lives) = &self.world.lives else { return };
        if let Some((time, turn, life)) = lives.next(self.here.id, life, SimTime::from_nanos(self.now)) {
            let key = (time.as_nanos(), self.here.id, NodeId::MAX, u32::MAX);
            self.heap.push(Reverse(Event { key, body: Body::Turn(turn, life) }));
        }
    }

    /// When a message is through the uplink (0) or downlink (1) of the current node; `None` if the queue is full.
    fn transmit(&mut self, direction: usize, message: &P::Message, payload: usize) -> Option<u64> {
        let Some(capacity) = self.world.capacity else { return Some(self.now) };
        let rate = u128::from([capacity.upload, capacity.download][direction][self.here.node_type as usize]);
        let free = &mut self.free[self.here.index][direction];
        let start = self.now.max(*free);
        if u128::from(start - self.now) * rate > 8_000_000_000 * u128::from(capacity.queue) {
            return None;
        }
        let bits = u128::from(self.protocol.wire_len(message, payload) + self.world.header) * 8;
        let takes = (bits * 1_000_000_000).div_ceil(rate).max(1);
        *free = u64::try_from(u128::from(start) + takes).unwrap_or(u64::MAX);
        Some(*free)
    }

    /// Notes when something is due, before it is queued.
    fn note(&mut self, (time, to, from, sequence): (u64, NodeId, NodeId, u32), is_timer: bool) {
        if self.world.notes_dues {
            let [set, time] = [self.now, time].map(SimTime::from_nanos);
            self.dues.push(Due { set, time, to, from, sequence, is_timer });
        }
    }

    fn next_sequence(&mut self) -> u32 {
        let counter = &mut self.sequences[self.here.index];
        *counter += 1;
        *counter - 1
    }

    fn post(&mut self, to: NodeId, message: P::Message, payload: Vec<u8>) {
        let from = self.here.id;
        assert!(to != from && to < self.population.total(), "node {from} sends to node {to}");
        let sequence = self.next_sequence();
        let kind = self.protocol.kind(&message);
        self.messages[kind][0] += 1;
        let (network, now) = (self.network, SimTime::from_nanos(self.now));
        let Some(through) = self.transmit(0, &message, payload.len()) else {
            self.messages[kind][2] += 1;
            return;
        };
        if network.may_drop() && network.drop_cause(from, to, now, self.keys[1].word(from, sequence)).is_some() {
            self.messages[kind][2] += 1;
            return;
        }
        let delay = network.delay(from, to, now, self.keys[0].word(from, sequence));
        // A time that does not exist stays under way for ever.
        let key = (through.saturating_add(delay.as_nanos()), to, from, sequence);
        self.note(key, false);
        self.heap.push(Reverse(Event { key, body: Body::Message(message, payload) }));
    }
}

impl<P: Protocol, N: Network> Effects<P> for Simulator<'_, P, N> {
    fn now(&self) -> SimTime {
        SimTime::from_nanos(self.now)
    }

    fn send(&mut self, to: NodeId, message: P::Message) {
        self.post(to, message, Vec::new());
    }

    fn send_payload(&mut self, to: NodeId, message: P::Message, payload: &[u8]) {
        self.post(to, message, payload.to_vec());
    }

    fn broadcast(&mut self, message: P::Message) {
        for to in 0..self.population.total() {
            if to != self.here.id {
                self.post(to, message, Vec::new());
            }
        }
    }

    fn wake_after(&mut self, span: SimSpan, timer: P::Timer) {
        let (node, sequence) = (self.here.id, self.next_sequence());
        let key = (self.now.saturating_add(span.as_nanos().max(1)), node, node, sequence);
        self.note(key, true);
        self.heap.push(Reverse(Event { key, body: Body::Timer(timer) }));
    }

    fn random(&mut self) -> Stream {
        let sequence = self.next_sequence();
        self.keys[2].stream(self.here.id, sequence)
    }
}
