//! The recommended architecture: all mechanisms of the documents at once, as layers of one protocol.
//!
//! | layer | who | what |
//! |---|---|---|
//! | [`tiers`](Hierarchy) | super and full nodes | heartbeats: super nodes to all others of their tier, full nodes to some |
//! | [`router`](HierarchicalRouter) | super, full and light nodes | parents and children, digests of who lives, messages from light node to light node |
//! | [`ledger`](Ledger) | all | transactions up, consensus among super nodes, blocks and headers down |
//! | [`discovery`](Discovery) | super, full and mobile nodes | a Kademlia network of super and full nodes, in which mobile nodes find parents |
//! | [`mobile`](Mobile) | full and mobile nodes | heartbeats that save the battery, and what the radio takes |
//! | [`gossip`](Dissemination) | super and full nodes | announcements that come to all of them |
//! | [`sharding`](Sharding) | super and full nodes | records in shards, of which full nodes keep copies |
//!
//! Layers share nodes, links, losses and faults, and know nothing of each other but this: whatever a mobile node sends or
//! gets is charged to its radio, and when it submits a transaction its heartbeats ride on that.

use serde::{Deserialize, Serialize};

use crate::contract::{Effects, Here, NodeId, NodeType, Nodes, Protocol, SimSpan, SimTime, Stream, Verdict};
use crate::protocols::dissemination::Dissemination;
use crate::protocols::hierarchy::Hierarchy;
use crate::protocols::kademlia::discovery::Discovery;
use crate::protocols::layer::{Contains, Layer};
use crate::protocols::ledger::{Ledger, LedgerMessage};
use crate::protocols::mobile::Mobile;
use crate::protocols::router::HierarchicalRouter;
use crate::protocols::sharding::Sharding;

/// Makes of each layer a variant of the messages and the timers, a field of the protocol and of the state, and a branch
/// of everything that goes by layer.
macro_rules! layers {
    ($($(#[$doc:meta])* $variant:ident $field:ident: $protocol:ty, $kinds:literal;)*) => {
        /// The layers of the architecture.
        #[derive(Debug)]
        pub struct Recommended {
            $($(#[$doc])* pub $field: $protocol,)*
        }

        /// What the nodes of a partition remember, by layer.
        #[derive(Debug, Serialize, Deserialize)]
        pub struct RecommendedState {
            $($(#[$doc])* pub $field: <$protocol as Protocol>::State,)*
        }

        /// A message of one of the layers.
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        pub enum RecommendedMessage {
            $($(#[$doc])* $variant(<$protocol as Protocol>::Message),)*
        }

        /// A timer of one of the layers.
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        pub enum RecommendedTimer {
            $($(#[$doc])* $variant(<$protocol as Protocol>::Timer),)*
        }

        $(impl Contains<$protocol> for Recommended {
            #[inline(always)]
            fn wrap_message(message: <$protocol as Protocol>::Message) -> RecommendedMessage {
                RecommendedMessage::$variant(message)
            }

            #[inline(always)]
            fn wrap_timer(timer: <$protocol as Protocol>::Timer) -> RecommendedTimer {
                RecommendedTimer::$variant(timer)
            }
        })*

        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Place {
            $($variant,)*
        }

        /// How many kinds of messages each layer has.
        const KIND_COUNTS: &[usize] = &[$($kinds,)*];

        impl Recommended {
            #[inline(always)]
            fn layer_kind(&self, message: &RecommendedMessage) -> usize {
                match message {
                    $(RecommendedMessage::$variant(message) => {
                        self.$field.kind(message) + const { first_kind(Place::$variant as usize) }
                    })*
                }
            }

            #[inline(always)]
            fn layer_wire_len(&self, message: &RecommendedMessage, payload: usize) -> u32 {
                match message {
                    $(RecommendedMessage::$variant(message) => self.$field.wire_len(message, payload),)*
                }
            }

            #[inline(always)]
            fn layer_fingerprint(&self, message: &RecommendedMessage) -> u64 {
                match message {
                    $(RecommendedMessage::$variant(message) => {
                        self.$field.fingerprint(message).rotate_left(3) ^ Place::$variant as u64
                    })*
                }
            }

            /// Lets the layers in which `here` takes part start, leave or join.
            fn each_layer<F: Effects<Self>>(
                &self,
                state: &mut RecommendedState,
                here: Here,
                event: Life,
                fx: &mut F,
            ) {
                $(if here.node_type <= last_of(Place::$variant) {
                    let (layer, state, fx) = (&self.$field, &mut state.$field, &mut Layer::new(fx));
                    match event {
                        Life::Start => layer.handle_start(state, here, fx),
                        Life::Leave => layer.handle_leave(state, here, fx),
                        Life::Join => layer.handle_join(state, here, fx),
                    }
                })*
            }

            #[inline(always)]
            fn layer_message<F: Effects<Self>>(
                &self,
                state: &mut RecommendedState,
                here: Here,
                from: NodeId,
                message: RecommendedMessage,
                payload: &[u8],
                fx: &mut F,
            ) {
                match message {
                    $(RecommendedMessage::$variant(message) => {
                        if here.node_type <= last_of(Place::$variant) {
                            let (layer, state) = (&self.$field, &mut state.$field);
                            layer.handle_message(state, here, from, message, payload, &mut Layer::new(fx));
                        }
                    })*
                }
            }

            #[inline(always)]
            fn layer_timer<F: Effects<Self>>(
                &self,
                state: &mut RecommendedState,
                here: Here,
                timer: RecommendedTimer,
                fx: &mut F,
            ) {
                match timer {
                    $(RecommendedTimer::$variant(timer) => {
                        self.$field.handle_timer(&mut state.$field, here, timer, &mut Layer::new(fx));
                    })*
                }
            }

            fn layer_states(&self, nodes: Nodes) -> RecommendedState {
                RecommendedState {
                    $($field: self.$field.state(nodes.up_to(last_of(Place::$variant))),)*
                }
            }

            fn layer_state_bytes(&self, state: &RecommendedState) -> usize {
                0 $(+ self.$field.state_bytes(&state.$field))*
            }

            #[inline(always)]
            fn layer_prefetch_message(&self, state: &RecommendedState, index: usize, message: &RecommendedMessage) {
                match message {
                    $(RecommendedMessage::$variant(message) => {
                        self.$field.prefetch_message(&state.$field, index, message);
                    })*
                }
            }

            #[inline(always)]
            fn layer_prefetch_timer(&self, state: &RecommendedState, index: usize, timer: &RecommendedTimer) {
                match timer {
                    $(RecommendedTimer::$variant(timer) => {
                        self.$field.prefetch_timer(&state.$field, index, timer);
                    })*
                }
            }

            #[cfg(test)]
            fn layer_kinds(&self) -> Vec<(&'static str, &'static [&'static str])> {
                vec![$((stringify!($field), self.$field.kinds()),)*]
            }
        }
    };
}

layers! {
    /// Heartbeats within the tiers of super and full nodes.
    Tiers tiers: Hierarchy, 3;
    /// Parents and children, and messages by way of them.
    Router router: HierarchicalRouter, 14;
    /// Transactions and blocks.
    Ledger ledger: Ledger, 18;
    /// The Kademlia network, and who looks for parents in it.
    Discovery discovery: Discovery, 10;
    /// Mobile nodes and their radios.
    Mobile mobile: Mobile, 6;
    /// Announcements among super and full nodes.
    Gossip gossip: Dissemination, 7;
    /// Records in shards.
    Sharding sharding: Sharding, 8;
}

/// The number of the first kind of a layer.
const fn first_kind(place: usize) -> usize {
    let (mut first, mut layer) = (0, 0);
    while layer < place {
        first += KIND_COUNTS[layer];
        layer += 1;
    }
    first
}

/// The last type of node that takes part in a layer; earlier ones do as well.
const fn last_of(place: Place) -> NodeType {
    match place {
        Place::Tiers | Place::Gossip | Place::Sharding => NodeType::FullNode,
        Place::Router => NodeType::LightNode,
        Place::Ledger | Place::Discovery | Place::Mobile => NodeType::MobileNode,
    }
}

#[derive(Clone, Copy)]
enum Life {
    Start,
    Leave,
    Join,
}

/// The kinds of all layers, each with the name of its layer before it.
const KINDS: [&str; first_kind(KIND_COUNTS.len())] = [
    "tiers-heartbeat",
    "tiers-digest",
    "tiers-leave",
    "router-attach",
    "router-accept",
    "router-refuse",
    "router-heartbeat",
    "router-ack",
    "router-digest",
    "router-advice",
    "router-detach",
    "router-move",
    "router-register",
    "router-unregister",
    "router-message",
    "router-receipt",
    "router-failed",
    "ledger-pre-prepare",
    "ledger-prepare",
    "ledger-commit",
    "ledger-view-change",
    "ledger-new-view",
    "ledger-fetch",
    "ledger-block",
    "ledger-submit",
    "ledger-accepted",
    "ledger-batch",
    "ledger-batch-accepted",
    "ledger-share",
    "ledger-announce",
    "ledger-get-block",
    "ledger-full-block",
    "ledger-header",
    "ledger-included",
    "ledger-subscribe",
    "discovery-ping",
    "discovery-pong",
    "discovery-find-node",
    "discovery-nodes",
    "discovery-store",
    "discovery-stored",
    "discovery-find-value",
    "discovery-value",
    "discovery-attach",
    "discovery-attached",
    "mobile-heartbeat",
    "mobile-transaction",
    "mobile-check",
    "mobile-notice",
    "mobile-confirmation",
    "mobile-leave",
    "gossip-message",
    "gossip-ihave",
    "gossip-iwant",
    "gossip-ask",
    "gossip-sync",
    "gossip-graft",
    "gossip-prune",
    "sharding-alive",
    "sharding-leave",
    "sharding-change",
    "sharding-view",
    "sharding-batch",
    "sharding-taken",
    "sharding-offer",
    "sharding-answer",
];

/// Effects of a mobile node in a layer that knows nothing of radios: adds up what it sends.
struct Metered<'a, F> {
    fx: &'a mut F,
    protocol: &'a Recommended,
    /// Bytes sent, with headers.
    up: u64,
    /// Whether a transaction was among them.
    has_submitted: bool,
}

impl<F> Metered<'_, F> {
    fn count(&mut self, message: &RecommendedMessage, payload: usize) {
        self.up += self.protocol.bytes_of(message, payload);
        self.has_submitted |= matches!(message, RecommendedMessage::Ledger(LedgerMessage::Submit { .. }));
    }
}

impl<F: Effects<Recommended>> Effects<Recommended> for Metered<'_, F> {
    fn now(&self) -> SimTime {
        self.fx.now()
    }

    fn send(&mut self, to: NodeId, message: RecommendedMessage) {
        self.count(&message, 0);
        self.fx.send(to, message);
    }

    fn send_payload(&mut self, to: NodeId, message: RecommendedMessage, payload: &[u8]) {
        self.count(&message, payload.len());
        self.fx.send_payload(to, message, payload);
    }

    fn broadcast(&mut self, message: RecommendedMessage) {
        self.fx.broadcast(message);
    }

    fn wake_after(&mut self, span: SimSpan, timer: RecommendedTimer) {
        self.fx.wake_after(span, timer);
    }

    fn random(&mut self) -> Stream {
        self.fx.random()
    }

    fn judge(&mut self, peer: NodeId, verdict: Verdict) {
        self.fx.judge(peer, verdict);
    }
}

impl Recommended {
    /// The number of the first kind of message of consensus, after which the others of the ledger follow.
    pub fn first_kind_of_ledger(&self) -> usize {
        const { first_kind(Place::Ledger as usize) }
    }

    /// Memory of what all partitions share, in bytes.
    pub fn bytes(&self) -> usize {
        let upper = self.tiers.bytes() + self.gossip.bytes() + self.sharding.bytes();
        upper + self.router.bytes() + self.ledger.bytes() + self.discovery.bytes() + self.mobile.bytes()
    }

    /// Bytes of `message` with its headers.
    fn bytes_of(&self, message: &RecommendedMessage, payload: usize) -> u64 {
        u64::from(self.layer_wire_len(message, payload)) + u64::from(self.mobile.options().header)
    }

    /// Runs `event` of a layer that knows nothing of radios at the mobile node `here`, and charges its radio for `down`
    /// bytes that came and for what is sent.
    fn metered<F: Effects<Self>>(
        &self,
        state: &mut RecommendedState,
        here: Here,
        down: u64,
        fx: &mut F,
        event: impl FnOnce(&Self, &mut RecommendedState, &mut Metered<'_, F>),
    ) {
        let mut metered = Metered { fx, protocol: self, up: 0, has_submitted: false };
        event(self, state, &mut metered);
        let Metered { up, has_submitted, .. } = metered;
        if up + down > 0 {
            self.mobile.activity(&mut state.mobile, here, fx.now(), up, down);
        }
        if has_submitted {
            self.mobile.piggyback(&mut state.mobile, here, &mut Layer::new(fx));
        }
    }
}

impl Protocol for Recommended {
    type Message = RecommendedMessage;
    type Timer = RecommendedTimer;
    type State = RecommendedState;

    fn kinds(&self) -> &'static [&'static str] {
        &KINDS
    }

    #[inline(always)]
    fn kind(&self, message: &RecommendedMessage) -> usize {
        self.layer_kind(message)
    }

    #[inline(always)]
    fn wire_len(&self, message: &RecommendedMessage, payload: usize) -> u32 {
        self.layer_wire_len(message, payload)
    }

    #[inline(always)]
    fn fingerprint(&self, message: &RecommendedMessage) -> u64 {
        self.layer_fingerprint(message)
    }

    fn state(&self, nodes: Nodes) -> RecommendedState {
        self.layer_states(nodes)
    }

    fn state_bytes(&self, state: &RecommendedState) -> usize {
        self.layer_state_bytes(state)
    }

    fn handle_start(&self, state: &mut RecommendedState, here: Here, fx: &mut impl Effects<Self>) {
        self.each_layer(state, here, Life::Start, fx);
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut RecommendedState,
        here: Here,
        from: NodeId,
        message: RecommendedMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if here.node_type == NodeType::MobileNode && !matches!(message, RecommendedMessage::Mobile(_)) {
            let down = self.bytes_of(&message, payload.len());
            self.metered(state, here, down, fx, |layers, state, fx| {
                layers.layer_message(state, here, from, message, payload, fx);
            });
        } else {
            self.layer_message(state, here, from, message, payload, fx);
        }
    }

    fn handle_timer(
        &self,
        state: &mut RecommendedState,
        here: Here,
        timer: RecommendedTimer,
        fx: &mut impl Effects<Self>,
    ) {
        if here.node_type == NodeType::MobileNode && !matches!(timer, RecommendedTimer::Mobile(_)) {
            self.metered(state, here, 0, fx, |layers, state, fx| layers.layer_timer(state, here, timer, fx));
        } else {
            self.layer_timer(state, here, timer, fx);
        }
    }

    fn handle_leave(&self, state: &mut RecommendedState, here: Here, fx: &mut impl Effects<Self>) {
        self.each_layer(state, here, Life::Leave, fx);
    }

    fn handle_join(&self, state: &mut RecommendedState, here: Here, fx: &mut impl Effects<Self>) {
        self.each_layer(state, here, Life::Join, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &RecommendedState, index: usize, message: &RecommendedMessage) {
        self.layer_prefetch_message(state, index, message);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &RecommendedState, index: usize, timer: &RecommendedTimer) {
        self.layer_prefetch_timer(state, index, timer);
    }
}

#[cfg(test)]
mod tests;
