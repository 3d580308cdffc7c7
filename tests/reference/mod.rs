//! The reference engine: one binary heap, no windows, no partitions, no threads. Slow, and easy to believe.
//!
//! It runs any [`Protocol`] and any [`Network`] with the same meaning as the real engine: events in the order
//! `(time, receiver, sender, sequence of the sender)`; every effect of a node takes its next sequence number; delay
//! and loss of a message are drawn for (sender, sequence).
#![allow(dead_code, unreachable_pub, reason = "shared by tests and the bench, of which none uses all")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use qnetsim::contract::{
    Domain, Effects, Here, NodeId, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime, Stream,
};
use qnetsim::engine::{Cause, Network, Probe};

/// The key orders the heap; the body does not take part.
struct Event<P: Protocol> {
    key: (u64, NodeId, NodeId, u32),
    body: Body<P>,
}

enum Body<P: Protocol> {
    Message(P::Message, Vec<u8>),
    Timer(P::Timer),
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
}

/// Runs `protocol` over `network` until `end` or until nothing is left to happen.
pub fn run<P: Protocol, N: Network, O: Probe>(
    protocol: &P,
    network: &N,
    population: Population,
    seed: u64,
    end: SimTime,
) -> Outcome<P, O> {
    let nodes = Nodes::all(population);
    let mut state = protocol.state(nodes);
    let mut probe = O::default();
    let mut fx = Simulator {
        protocol,
        network,
        population,
        keys: [Domain::Latency, Domain::Loss, Domain::Protocol].map(|domain| RandomKey::new(seed, domain)),
        heap: BinaryHeap::new(),
        sequences: vec![0; population.total() as usize],
        messages: vec![[0; 3]; protocol.kinds().len()],
        here: nodes.here(0),
        now: 0,
    };
    for here in nodes.iter() {
        fx.here = here;
        protocol.handle_start(&mut state, here, &mut fx);
    }
    let mut events = 0;
    while fx.heap.peek().is_some_and(|Reverse(event)| event.key.0 < end.as_nanos()) {
        let Some(Reverse(event)) = fx.heap.pop() else { break };
        let (time, to, from, sequence) = event.key;
        events += 1;
        fx.now = time;
        fx.here = nodes.here(to as usize);
        let here = fx.here;
        match event.body {
            Body::Message(message, payload) => {
                let kind = protocol.kind(&message);
                fx.messages[kind][1] += 1;
                let mut contents = protocol.fingerprint(&message);
                if !payload.is_empty() {
                    contents ^= u64::from_le_bytes(blake3::hash(&payload).as_bytes()[..8].try_into().unwrap());
                }
                probe.on_event(SimTime::from_nanos(time), to, from, sequence, Cause::Message(kind), contents);
                protocol.handle_message(&mut state, here, from, message, &payload, &mut fx);
            }
            Body::Timer(timer) => {
                probe.on_event(SimTime::from_nanos(time), to, from, sequence, Cause::Timer, u64::MAX);
                protocol.handle_timer(&mut state, here, timer, &mut fx);
            }
        }
    }
    let in_flight = fx.heap.iter().filter(|Reverse(event)| matches!(event.body, Body::Message(..))).count() as u64;
    Outcome { events, messages: fx.messages, in_flight, state, probe }
}

struct Simulator<'a, P: Protocol, N> {
    protocol: &'a P,
    network: &'a N,
    population: Population,
    /// Latency, loss, protocol.
    keys: [RandomKey; 3],
    heap: BinaryHeap<Reverse<Event<P>>>,
    sequences: Vec<u32>,
    messages: Vec<[u64; 3]>,
    here: Here,
    now: u64,
}

impl<P: Protocol, N: Network> Simulator<'_, P, N> {
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
        if network.may_drop() && network.drop_cause(from, to, now, self.keys[1].word(from, sequence)).is_some() {
            self.messages[kind][2] += 1;
            return;
        }
        let delay = network.delay(from, to, now, self.keys[0].word(from, sequence));
        // A time that does not exist stays under way for ever.
        let key = (self.now.saturating_add(delay.as_nanos()), to, from, sequence);
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
        self.heap.push(Reverse(Event { key, body: Body::Timer(timer) }));
    }

    fn random(&mut self) -> Stream {
        let sequence = self.next_sequence();
        self.keys[2].stream(self.here.id, sequence)
    }
}
