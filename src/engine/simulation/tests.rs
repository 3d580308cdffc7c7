//! Tampered counters: what no protocol and no network can bring about, because it would be a bug of the engine.

use super::*;
use crate::contract::{Effects, Here, NodeId, NodeType, Nodes};
use crate::engine::{Latency, NetworkModel};

/// Two kinds of message go round, from each node to the next.
struct Round;

impl Protocol for Round {
    type Message = usize;
    type Timer = ();
    type State = ();

    fn kinds(&self) -> &'static [&'static str] {
        &["ping", "pong"]
    }
    fn kind(&self, kind: &usize) -> usize {
        *kind
    }
    fn wire_len(&self, _: &usize, _: usize) -> u32 {
        1
    }
    fn state(&self, _: Nodes) {}
    fn handle_start(&self, (): &mut (), here: Here, fx: &mut impl Effects<Self>) {
        fx.send((here.id + 1) % 8, here.index % 2);
    }
    fn handle_message(&self, (): &mut (), here: Here, _: NodeId, kind: usize, _: &[u8], fx: &mut impl Effects<Self>) {
        fx.send((here.id + 1) % 8, kind);
    }
    fn handle_timer(&self, (): &mut (), _: Here, (): (), _: &mut impl Effects<Self>) {}
}

/// Runs on two lanes after `tamper` had its way with the second.
fn run(tamper: impl Fn(&mut Tally)) -> Result<Outcome<Round>, Violation> {
    let network = NetworkModel::new(Latency::Constant(SimSpan::from_millis(1)), 0.0);
    let mut settings = Settings::new(Population::flat(8), 7, SimTime::from_nanos(100_000_000));
    settings.threads = 2;
    let simulation = Simulation::new(&Round, &network, settings);
    tamper(&mut lock(&simulation.run.lanes[1]).core.tally);
    simulation.run()
}

#[test]
fn a_message_lost_or_made_up_stops_the_run() {
    assert!(run(|_| {}).is_ok());
    let found = run(|tally| tally.queued[1] -= 1).err().expect("a message fell out of a queue");
    let expected =
        Violation { kind: "pong", time: SimTime::ZERO, sent: 4, received: 0, dropped: 0, in_flight: 3, seed: 7 };
    assert_eq!(found, expected);
    let received = super::super::tally::row(0, crate::metrics::Flow::Received, NodeType::FullNode);
    let found = run(|tally| tally.add(received, 0, 1, 0)).err().expect("a message was received twice");
    assert_eq!((found.kind, found.received, found.in_flight), ("ping", 1, 4));
}
