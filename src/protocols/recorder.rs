//! Effects that are written down instead of carried out, to test a protocol without an engine.

use crate::contract::{Domain, Effects, Here, NodeId, Protocol, RandomKey, SimSpan, SimTime, Stream, Verdict};

/// What one node did.
pub(super) struct Recorder<P: Protocol> {
    pub(super) now: SimTime,
    pub(super) sent: Vec<(NodeId, P::Message, Vec<u8>)>,
    pub(super) broadcast: Vec<P::Message>,
    pub(super) timers: Vec<(SimSpan, P::Timer)>,
    pub(super) judged: Vec<(NodeId, Verdict)>,
    node: NodeId,
    draws: u32,
}

impl<P: Protocol> Recorder<P> {
    /// The node `here` at `now`.
    pub(super) fn new(here: Here, now: SimTime) -> Self {
        Recorder {
            now,
            sent: Vec::new(),
            broadcast: Vec::new(),
            timers: Vec::new(),
            judged: Vec::new(),
            node: here.id,
            draws: 0,
        }
    }

    /// Draws other random streams than one with another number.
    pub(super) fn with_draws(self, number: u32) -> Self {
        Recorder { draws: number, ..self }
    }
}

impl<P: Protocol> Effects<P> for Recorder<P> {
    fn now(&self) -> SimTime {
        self.now
    }

    fn send(&mut self, to: NodeId, message: P::Message) {
        self.send_payload(to, message, &[]);
    }

    fn send_payload(&mut self, to: NodeId, message: P::Message, payload: &[u8]) {
        assert_ne!(to, self.node, "a node sends to itself");
        self.sent.push((to, message, payload.to_vec()));
    }

    fn broadcast(&mut self, message: P::Message) {
        self.broadcast.push(message);
    }

    fn wake_after(&mut self, span: SimSpan, timer: P::Timer) {
        self.timers.push((span, timer));
    }

    fn random(&mut self) -> Stream {
        self.draws += 1;
        RandomKey::new(1, Domain::Protocol).stream(self.node, self.draws)
    }

    fn judge(&mut self, peer: NodeId, verdict: Verdict) {
        self.judged.push((peer, verdict));
    }
}
