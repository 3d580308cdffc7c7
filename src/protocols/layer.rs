//! A protocol within another: what the inner one sends, and the timers that it sets, become the outer one's.

use std::marker::PhantomData;

use crate::contract::{Effects, NodeId, Protocol, SimSpan, SimTime, Stream, Verdict};

/// A protocol that runs another within it, and tells the messages and timers of that from its own.
pub trait Contains<Inner: Protocol>: Protocol {
    /// A message of the inner protocol as one of this.
    fn wrap_message(message: Inner::Message) -> Self::Message;

    /// A timer of the inner protocol as one of this.
    fn wrap_timer(timer: Inner::Timer) -> Self::Timer;
}

/// The effects that the inner protocol gets: those of the outer one, with everything wrapped.
///
/// Lengths on the wire are the outer protocol's to say, which asks the inner one.
#[derive(Debug)]
pub struct Layer<'a, Outer, F> {
    fx: &'a mut F,
    outer: PhantomData<Outer>,
}

impl<'a, Outer: Protocol, F: Effects<Outer>> Layer<'a, Outer, F> {
    /// A layer over the effects `fx`.
    pub fn new(fx: &'a mut F) -> Self {
        Layer { fx, outer: PhantomData }
    }
}

impl<Inner: Protocol, Outer: Contains<Inner>, F: Effects<Outer>> Effects<Inner> for Layer<'_, Outer, F> {
    #[inline(always)]
    fn now(&self) -> SimTime {
        self.fx.now()
    }

    #[inline(always)]
    fn send(&mut self, to: NodeId, message: Inner::Message) {
        self.fx.send(to, Outer::wrap_message(message));
    }

    #[inline(always)]
    fn send_each(&mut self, messages: impl Iterator<Item = (NodeId, Inner::Message)>) {
        self.fx.send_each(messages.map(|(to, message)| (to, Outer::wrap_message(message))));
    }

    #[inline(always)]
    fn send_payload(&mut self, to: NodeId, message: Inner::Message, payload: &[u8]) {
        self.fx.send_payload(to, Outer::wrap_message(message), payload);
    }

    fn broadcast(&mut self, message: Inner::Message) {
        self.fx.broadcast(Outer::wrap_message(message));
    }

    #[inline(always)]
    fn wake_after(&mut self, span: SimSpan, timer: Inner::Timer) {
        self.fx.wake_after(span, Outer::wrap_timer(timer));
    }

    #[inline(always)]
    fn random(&mut self) -> Stream {
        self.fx.random()
    }

    #[inline(always)]
    fn judge(&mut self, peer: NodeId, verdict: Verdict) {
        self.fx.judge(peer, verdict);
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::contract::{Here, Nodes, Population};
    use crate::protocols::kademlia::{
        Bootstrap, Kademlia, KademliaMessage, KademliaOptions, KademliaState, KademliaTimer,
    };
    use crate::protocols::recorder::Recorder;

    /// Kademlia, and nothing else.
    struct Alone(Kademlia);

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped<T>(T);

    impl Contains<Kademlia> for Alone {
        fn wrap_message(message: KademliaMessage) -> Wrapped<KademliaMessage> {
            Wrapped(message)
        }

        fn wrap_timer(timer: KademliaTimer) -> Wrapped<KademliaTimer> {
            Wrapped(timer)
        }
    }

    impl Protocol for Alone {
        type Message = Wrapped<KademliaMessage>;
        type Timer = Wrapped<KademliaTimer>;
        type State = KademliaState;

        fn kinds(&self) -> &'static [&'static str] {
            self.0.kinds()
        }

        fn wire_len(&self, message: &Self::Message, payload: usize) -> u32 {
            self.0.wire_len(&message.0, payload)
        }

        fn state(&self, nodes: Nodes) -> KademliaState {
            self.0.state(nodes)
        }

        fn handle_start(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
            self.0.handle_start(state, here, &mut Layer::new(fx));
        }

        fn handle_message(
            &self,
            state: &mut KademliaState,
            here: Here,
            from: NodeId,
            message: Self::Message,
            payload: &[u8],
            fx: &mut impl Effects<Self>,
        ) {
            self.0.handle_message(state, here, from, message.0, payload, &mut Layer::new(fx));
        }

        fn handle_timer(&self, state: &mut KademliaState, here: Here, timer: Self::Timer, fx: &mut impl Effects<Self>) {
            self.0.handle_timer(state, here, timer.0, &mut Layer::new(fx));
        }
    }

    #[test]
    fn what_is_wrapped_does_what_it_would_do_alone() {
        let nodes = Nodes::all(Population::flat(50));
        let options = KademliaOptions { lookups: Some(SimSpan::from_secs(1)), ..KademliaOptions::PAPER };
        let protocol = || Kademlia::new(nodes.population(), options, Bootstrap::Ideal, 1);
        let (bare, outer, here) = (protocol(), Alone(protocol()), nodes.here(3));
        let (mut state, mut wrapped) = (bare.state(nodes.clone()), outer.state(nodes.clone()));
        let mut fx = Recorder::<Kademlia>::new(here, SimTime::ZERO);
        let mut outer_fx = Recorder::<Alone>::new(here, SimTime::ZERO);
        bare.handle_start(&mut state, here, &mut fx);
        outer.handle_start(&mut wrapped, here, &mut outer_fx);
        bare.handle_timer(&mut state, here, KademliaTimer::Lookup, &mut fx);
        outer.handle_timer(&mut wrapped, here, Wrapped(KademliaTimer::Lookup), &mut outer_fx);
        assert!(fx.sent.len() == 3 && fx.timers.len() > 3);
        let sent: Vec<_> = outer_fx.sent.into_iter().map(|(to, message, payload)| (to, message.0, payload)).collect();
        let timers: Vec<_> = outer_fx.timers.into_iter().map(|(span, timer)| (span, timer.0)).collect();
        assert_eq!((sent, timers), (fx.sent, fx.timers));
    }
}
