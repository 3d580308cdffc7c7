//! The [`Protocol`] trait: logic without input or output, driven by a simulator or by a test.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Here, NodeId, Nodes, SimSpan, SimTime, Stream};

/// The logic that runs in every node, sans-IO: it is told what happened and answers with effects.
///
/// One value of the protocol serves all nodes and holds what does not change during a run (parameters, topology).
/// What a node remembers stands in [`Protocol::State`], which holds the nodes of one partition, best as one
/// [`Column`](super::Column) per field.
///
/// A protocol must not read a clock, a global generator, or the order of a hash map: then the same scenario and seed
/// give the same bytes, whatever the number of threads.
///
/// ```
/// use qnetsim::contract::{Effects, Here, NodeId, Nodes, Protocol, SimSpan};
///
/// /// Every node counts the pings that it gets from its successor.
/// struct Ring;
///
/// impl Protocol for Ring {
///     type Message = ();
///     type Timer = ();
///     type State = Vec<u32>;
///
///     fn kinds(&self) -> &'static [&'static str] {
///         &["ping"]
///     }
///     fn wire_len(&self, _: &(), _: usize) -> u32 {
///         100
///     }
///     fn state(&self, nodes: Nodes) -> Vec<u32> {
///         vec![0; nodes.len()]
///     }
///     fn handle_start(&self, _: &mut Vec<u32>, _: Here, fx: &mut impl Effects<Self>) {
///         fx.wake_after(SimSpan::from_secs(1), ());
///     }
///     fn handle_message(&self, heard: &mut Vec<u32>, here: Here, _: NodeId, _: (), _: &[u8], _: &mut impl Effects<Self>) {
///         heard[here.index] += 1;
///     }
///     fn handle_timer(&self, _: &mut Vec<u32>, here: Here, _: (), fx: &mut impl Effects<Self>) {
///         fx.send(if here.id == 0 { 99 } else { here.id - 1 }, ());
///         fx.wake_after(SimSpan::from_secs(1), ());
///     }
/// }
/// ```
pub trait Protocol: Sync + Sized {
    /// What travels between nodes, in memory: small and of fixed size. Variable-size contents go as payload.
    type Message: Copy + Send + Sync + Debug + Serialize + DeserializeOwned;
    /// What a timer says when it fires.
    type Timer: Copy + Send + Sync + Debug + Serialize + DeserializeOwned;
    /// What the nodes of one partition remember. A checkpoint writes all of it with `serde`, and a run that goes on from one
    /// has nothing else: `#[derive(Serialize, Deserialize)]` does. Where [`Protocol::state_bytes`] counts the capacity of a
    /// list, that is kept too by `#[serde(with = "qnetsim::contract::exact")]`.
    type State: Send + Serialize + DeserializeOwned;

    /// Whether nodes often answer a message with effects: a hint by which a simulator has at hand what effects need.
    const ANSWERS: bool = true;

    /// The names of the message kinds, at least one and at most 128; they name rows of the results.
    fn kinds(&self) -> &'static [&'static str];

    /// The kind of `message`, an index into [`Protocol::kinds`].
    fn kind(&self, _message: &Self::Message) -> usize {
        0
    }

    /// Length of `message` with a payload of `payload` bytes as it is sent, in bytes, without IP and UDP headers.
    fn wire_len(&self, message: &Self::Message, payload: usize) -> u32;

    /// The contents of `message` as a number, for the digest of the run. Two messages that differ should differ here.
    fn fingerprint(&self, message: &Self::Message) -> u64 {
        self.kind(message) as u64
    }

    /// The state of `nodes` before the run starts.
    fn state(&self, nodes: Nodes) -> Self::State;

    /// Memory that `state` holds for its nodes, in bytes, for the report. The sum over partitions must not depend on how
    /// many there are.
    fn state_bytes(&self, _state: &Self::State) -> usize {
        0
    }

    /// The run starts. Called once for every node at time zero.
    fn handle_start(&self, state: &mut Self::State, here: Here, fx: &mut impl Effects<Self>);

    /// `message` arrived from `from`.
    fn handle_message(
        &self,
        state: &mut Self::State,
        here: Here,
        from: NodeId,
        message: Self::Message,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    );

    /// A timer fired that this node set with [`Effects::wake_after`].
    fn handle_timer(&self, state: &mut Self::State, here: Here, timer: Self::Timer, fx: &mut impl Effects<Self>);

    /// The node leaves in good order: its last chance to send anything. It gets no event until it joins again.
    fn handle_leave(&self, _state: &mut Self::State, _here: Here, _fx: &mut impl Effects<Self>) {}

    /// The node joins, or comes back after it left or crashed. Its timers of before are gone; what of its state is gone
    /// as well is for the protocol to say, by resetting it.
    fn handle_join(&self, state: &mut Self::State, here: Here, fx: &mut impl Effects<Self>) {
        self.handle_start(state, here, fx);
    }

    /// Start loading what [`Protocol::handle_message`] will touch; called a few events ahead. See
    /// [`Column::prefetch`](super::Column::prefetch).
    #[inline(always)]
    fn prefetch_message(&self, _state: &Self::State, _index: usize, _message: &Self::Message) {}

    /// Start loading what [`Protocol::handle_timer`] will touch; called a few events ahead.
    #[inline(always)]
    fn prefetch_timer(&self, _state: &Self::State, _index: usize, _timer: &Self::Timer) {}
}

/// What a node can do in answer to what happened.
pub trait Effects<P: Protocol> {
    /// The time of the event that is being handled.
    fn now(&self) -> SimTime;

    /// Sends `message` to `to`. It arrives after the network's delay, or is lost.
    ///
    /// # Panics
    /// If `to` is the sender itself or not a node of the run.
    fn send(&mut self, to: NodeId, message: P::Message);

    /// Sends every message of `messages` to the node beside it: the same as [`Effects::send`] for one after the other,
    /// but faster.
    ///
    /// # Panics
    /// As [`Effects::send`].
    #[inline(always)]
    fn send_each(&mut self, messages: impl Iterator<Item = (NodeId, P::Message)>) {
        messages.for_each(|(to, message)| self.send(to, message));
    }

    /// Sends `message` with `payload`, which the receiver gets byte for byte. At most 64 KiB.
    ///
    /// # Panics
    /// As [`Effects::send`], and if the payload is longer than a UDP datagram can be (65 507 bytes).
    fn send_payload(&mut self, to: NodeId, message: P::Message, payload: &[u8]);

    /// Sends `message` to every other node of the run.
    ///
    /// A simulator may count such a broadcast as a whole instead of delivering `n - 1` messages, when it is told to.
    fn broadcast(&mut self, message: P::Message);

    /// Sets a timer that fires once after `span`; a span of zero is taken as one nanosecond.
    fn wake_after(&mut self, span: SimSpan, timer: P::Timer);

    /// A fresh random stream of this node; every call gives another.
    fn random(&mut self) -> Stream;

    /// States what this node now takes `peer` for. Changes nothing in the run: it is for whoever compares verdicts with
    /// the truth.
    fn judge(&mut self, _peer: NodeId, _verdict: Verdict) {}
}

/// What a node takes another for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// It may be down; a first stage, which not every detector has.
    Suspected,
    /// It is down.
    Down,
    /// It is up after all, or again.
    Up,
}
