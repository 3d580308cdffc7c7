//! The hierarchical router: nodes find parents, keep them, replace them when they die, and send messages up, across the
//! tiers and down to one another.
//!
//! A light or mobile node has full nodes as parents, a full node has super nodes. Nobody knows the whole network.
//!
//! | what | who | how |
//! |---|---|---|
//! | attach | all but super nodes | asks its [`Candidates`] one after the other, the nearest first, until it has enough parents; one who is full refuses and names another |
//! | keep alive | all but super nodes | heartbeat, or a digest from a full node, to every parent at the interval of its type; a parent acknowledges |
//! | failover | all but super nodes | what is not acknowledged is repeated; a parent that misses `missed` in a row is taken for dead, and the next candidate is asked |
//! | locate | full nodes | tell the homes of a child, a few super nodes that all find by hashing its number ([`Homes`]), that they are its first or second parent; repeated with every heartbeat, forgotten when it is not |
//! | aggregate | full nodes | digests of which children live ([`wire`](super::wire)), to the super nodes above |
//! | rebalance | super nodes | answer a digest with a full node that has few children, and with how many to send there; the full node asks that many children, which attach there before they leave |
//! | route | light nodes | to a parent; which sends to its own child, or else to a home of the receiver; which sends to a parent of the receiver; which sends to it. The receipt goes back without the home |
//! | retry | light nodes | without a receipt a message is sent again, by the next parent, for the other location, then to the next home |
//!
//! A super node's memory of locations is a share of all children ([`RouterOptions::locations_max`]), so it falls with the
//! number of super nodes. Who is a super node is known to all full nodes and does not change during a run; they may be
//! down. A node that returns remembers nothing.

mod attach;
pub mod candidates;
mod figures;
pub mod homes;
mod routing;
mod rows;
mod serve;
mod state;
pub mod wire;

use serde::{Deserialize, Serialize};

use self::candidates::Candidates;
pub use self::figures::{AttachFigures, Cause, LOAD_SLOTS_MAX, Loads, RouterFigures};
pub use self::homes::Homes;
use self::rows::NOBODY;
pub use self::state::RouterState;
use super::adaptive::AdaptiveHeartbeat;
use crate::contract::{Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, prefetch};

/// Most parents of a node.
pub const PARENTS_MAX: usize = 5;

/// Most requests in a row that are in vain.
pub const REQUESTS_MAX: u8 = 16;

/// Most times that a message is sent.
pub const ATTEMPTS_MAX: u8 = 4;

/// Longest time for which a message is sent again and again: its moment of sending is told modulo 2^16 ms.
pub const UNDER_WAY_MAX: SimSpan = SimSpan::from_secs(60);

/// What nodes of a router do, and how much they remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterOptions {
    /// Full parents of a light or mobile node; from 1 to [`PARENTS_MAX`].
    pub parents: u8,
    /// Super parents of a full node; from 1 to [`PARENTS_MAX`].
    pub super_parents: u8,
    /// Most children of a full node, below 65 535; about 11 bytes each.
    pub children_max: u16,
    /// Most full nodes below a super node; 16 bytes each.
    pub fulls_max: u16,
    /// Most children of which a super node keeps the location; about 21 bytes each. The mean is
    /// children * homes / super nodes.
    pub locations_max: u32,
    /// How often nodes send heartbeats or digests.
    pub heartbeat: AdaptiveHeartbeat,
    /// Time after which what was not acknowledged is sent again.
    pub repeat: SimSpan,
    /// Acknowledgements missing in a row after which a parent is dead. A child counts as living in digests until an
    /// interval and this many repeats are over; after this many of both it is forgotten, and so is its location.
    pub missed: u8,
    /// How nodes look for parents.
    pub attaching: Attaching,
    /// How many of its parents, the first ones, can be found by its homes: 1 or 2.
    pub locations: u8,
    /// Homes of each child; from 1 to [`HOMES_MAX`](homes::HOMES_MAX).
    pub homes: u8,
    /// How children are moved to where there are fewer; not at all if `None`.
    pub rebalancing: Option<Rebalancing>,
    /// The messages that light nodes send; none if `None`.
    pub messages: Option<Messages>,
    /// Length of a span by which the children of full nodes are counted; one span for all if `None`.
    pub sample: Option<SimSpan>,
}

/// How nodes look for parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attaching {
    /// Time after which an answer is late.
    pub timeout: SimSpan,
    /// Time between a request in vain and the next, doubled with each, unless another was named.
    pub backoff: SimSpan,
    /// Requests in vain after which a node pauses; from 1 to [`REQUESTS_MAX`].
    pub requests: u8,
    /// Length of a pause.
    pub pause: SimSpan,
    /// At the start of the run, nodes begin at random moments of this span.
    pub spread: SimSpan,
}

/// How children are moved to where there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalancing {
    /// Children are moved from a full node that has more than this many per cent of the mean that its super node knows.
    pub high_percent: u16,
    /// Most children that a full node asks to move between two digests.
    pub moves_max: u16,
}

/// The messages that light nodes send to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Mean time between two messages of a node; uniform from zero to twice as much.
    pub interval: SimSpan,
    /// Length of the contents, in bytes; at most [`wire::CONTENT_LEN_MAX`].
    pub len: u16,
    /// Time from the start from which they are sent.
    pub from: SimSpan,
    /// Time after which a message is sent again if there is no receipt.
    pub answer: SimSpan,
    /// Most times that a message is sent; from 1 to [`ATTEMPTS_MAX`].
    pub attempts: u8,
}

impl RouterOptions {
    /// The documents' intervals, 4 full parents and 3 super parents; three repeats after 5 s; both locations at one home;
    /// 110 per cent of the mean before 16 children at a time move. Room as [`RouterOptions::with_parents`] says, and for
    /// twice the locations that a super node of `population` keeps on average. No messages.
    pub fn for_population(population: Population) -> Self {
        let leaves =
            u64::from(population.count(NodeType::LightNode)) + u64::from(population.count(NodeType::MobileNode));
        let supers = u64::from(population.count(NodeType::SuperNode)).max(1);
        let options = RouterOptions {
            parents: 0,
            super_parents: 0,
            children_max: 0,
            fulls_max: 0,
            locations_max: u32::try_from(2 * leaves / supers + 64).unwrap_or(u32::MAX),
            heartbeat: AdaptiveHeartbeat { base_interval: SimSpan::from_secs(30) },
            repeat: SimSpan::from_secs(5),
            missed: 3,
            attaching: Attaching {
                timeout: SimSpan::from_secs(1),
                backoff: SimSpan::from_millis(250),
                requests: 8,
                pause: SimSpan::from_secs(30),
                spread: SimSpan::from_secs(30),
            },
            locations: 2,
            homes: 1,
            rebalancing: Some(Rebalancing { high_percent: 110, moves_max: 16 }),
            messages: None,
            sample: None,
        };
        options.with_parents(population, 4, 3)
    }

    /// Nodes look for so many parents, which have room for 1.5 times the children that they have on average, and for 16
    /// more.
    #[must_use]
    pub fn with_parents(self, population: Population, parents: u8, super_parents: u8) -> Self {
        let [supers, fulls, lights, mobiles] = NodeType::ALL.map(|node_type| u64::from(population.count(node_type)));
        let room = |children: u64, parents: u8, among: u64| {
            let room = (children * u64::from(parents) * 3).div_ceil(2 * among.max(1)) + 16;
            u16::try_from(room).unwrap_or(u16::MAX - 1)
        };
        RouterOptions {
            parents,
            super_parents,
            children_max: room(lights + mobiles, parents, fulls),
            fulls_max: room(fulls, super_parents, supers),
            ..self
        }
    }

    fn check(&self) {
        let is_parents = |count: u8| (1..=PARENTS_MAX).contains(&usize::from(count));
        assert!(is_parents(self.parents) && is_parents(self.super_parents), "parents: {self:?}");
        assert!(self.children_max < u16::MAX, "{} children", self.children_max);
        assert!((1..=2).contains(&self.locations), "{} locations", self.locations);
        let Attaching { timeout, requests, pause, .. } = self.attaching;
        assert!(timeout > SimSpan::ZERO && pause > SimSpan::ZERO, "attaching takes time");
        assert!((1..=REQUESTS_MAX).contains(&requests), "{requests} requests");
        assert!((1..=100).contains(&self.missed) && self.repeat > SimSpan::ZERO, "{} missed", self.missed);
        assert!(self.heartbeat.base_interval > SimSpan::ZERO, "an interval takes time");
        assert!(self.sample.is_none_or(|sample| sample > SimSpan::ZERO), "a span of zero");
        if let Some(Messages { interval, len, answer, attempts, .. }) = self.messages {
            assert!(interval > SimSpan::ZERO && answer > SimSpan::ZERO, "messages take time");
            assert!((1..=ATTEMPTS_MAX).contains(&attempts), "{attempts} attempts");
            assert!(answer * u64::from(attempts) <= UNDER_WAY_MAX, "{attempts} attempts of {answer}");
            assert!(usize::from(len) <= wire::CONTENT_LEN_MAX, "messages of {len} bytes");
        }
    }
}

/// The hierarchical router over a population.
#[derive(Debug)]
pub struct HierarchicalRouter {
    population: Population,
    options: RouterOptions,
    candidates: Box<dyn Candidates>,
    homes: Homes,
    /// By type of node.
    intervals: [SimSpan; 4],
    /// How many parents a node looks for, by type.
    wanted: [usize; 4],
}

impl HierarchicalRouter {
    /// A router whose nodes ask `candidates` to be their parents.
    ///
    /// # Panics
    /// If an option is out of the bounds that it states.
    pub fn new(population: Population, options: RouterOptions, candidates: Box<dyn Candidates>) -> Self {
        options.check();
        let [supers, fulls] = [NodeType::SuperNode, NodeType::FullNode].map(|tier| population.count(tier));
        let of = |parents: u8, tier: u32| usize::from(parents).min(tier as usize);
        let (upper, lower) = (of(options.super_parents, supers), of(options.parents, fulls));
        HierarchicalRouter {
            population,
            candidates,
            homes: Homes::new(supers, options.homes),
            intervals: NodeType::ALL.map(|node_type| options.heartbeat.calculate_interval(node_type)),
            wanted: [0, upper, lower, lower],
            options,
        }
    }

    /// Whom it is made for.
    pub fn population(&self) -> Population {
        self.population
    }

    /// The options that it was made with.
    pub fn options(&self) -> &RouterOptions {
        &self.options
    }

    /// Which super nodes keep the locations of children.
    pub fn homes(&self) -> &Homes {
        &self.homes
    }

    /// Memory of what all partitions share, in bytes.
    pub fn bytes(&self) -> usize {
        self.candidates.bytes()
    }

    /// Whether `node` exists and is of a tier whose nodes can be parents of `child`.
    #[inline]
    fn is_above(&self, node: NodeId, child: NodeType) -> bool {
        match child {
            NodeType::SuperNode => false,
            NodeType::FullNode => self.population.range(NodeType::SuperNode).contains(&node),
            NodeType::LightNode | NodeType::MobileNode => self.is_full(node),
        }
    }

    #[inline]
    fn is_full(&self, node: NodeId) -> bool {
        self.population.range(NodeType::FullNode).contains(&node)
    }

    /// Whether `node` exists and is a light or mobile node.
    #[inline]
    fn is_leaf(&self, node: NodeId) -> bool {
        (self.population.range(NodeType::LightNode).start..self.population.total()).contains(&node)
    }
}

/// A message under way, of 16 bytes. What is of no fixed size is its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouterMessage {
    /// Be my parent.
    Attach {
        /// Number of the request; answers repeat it.
        number: u16,
    },
    /// I am.
    Accept {
        /// Of the request.
        number: u16,
    },
    /// I have no room.
    Refuse {
        /// Of the request.
        number: u16,
        /// One who may have room; [`NodeId::MAX`] if the sender knows none.
        named: NodeId,
    },
    /// The sender, a light or mobile node, lives.
    Heartbeat {
        /// The sender.
        child: NodeId,
        /// The place of the receiver among the sender's parents; 3 if it is none of the first three.
        rank: u8,
    },
    /// A heartbeat came.
    Ack,
    /// Which children of the sender live; the payload is the wire format.
    Digest {
        /// How many intervals of the sender had passed, modulo 2^16.
        beat: u16,
    },
    /// A digest came.
    Advice {
        /// A full node with few children; [`NodeId::MAX`] if the sender knows none.
        lighter: NodeId,
        /// How many children the receiver may ask to go there.
        room: u16,
    },
    /// You are no longer, or not, my parent or child.
    Detach,
    /// Choose another parent instead of me.
    Move {
        /// Which.
        to: NodeId,
    },
    /// The sender is a parent of a child of which the receiver keeps the location.
    Register {
        /// The child.
        child: NodeId,
        /// Whether the sender is its first parent, 0, or its second, 1.
        rank: u8,
    },
    /// The sender is no longer a parent of a child.
    Unregister {
        /// The child.
        child: NodeId,
    },
    /// Something on its way from one light node to another, or back.
    Routed(Routed),
}

/// What is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// The message, from the origin to the destination.
    Message,
    /// It arrived; from the destination to the origin.
    Receipt,
    /// It cannot be delivered; from where it failed to the origin.
    Failed(Cause),
}

/// Something on its way from one light node to another, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// What it is.
    pub purpose: Purpose,
    /// How often the message was sent before, in the two highest bits, and by how many nodes it was sent on its way, in
    /// the others.
    pub trace: u8,
    /// When the message was first sent, in milliseconds (2^20 ns), modulo 2^16.
    pub stamp: u16,
    /// Who sent the message.
    pub origin: NodeId,
    /// To whom.
    pub destination: NodeId,
    /// The parent of the origin by which it went.
    pub via: NodeId,
}

const _: () = assert!(size_of::<RouterMessage>() == 16, "a message is 16 bytes");

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouterTimer {
    /// A heartbeat or digest is due; of a super node, that it forgets who is not heard.
    Beat,
    /// Acknowledgements are late.
    Check,
    /// A request was not answered in time, or it is time for the next.
    Attach {
        /// Of the request, or of the one before.
        number: u16,
    },
    /// A message is to be sent.
    Message,
    /// A receipt is late, if it is not there.
    Receipt {
        /// When the message was first sent.
        stamp: u16,
        /// How often it was sent before.
        attempt: u8,
    },
}

const _: () = assert!(size_of::<RouterTimer>() <= 8, "a timer is at most 8 bytes");

impl Protocol for HierarchicalRouter {
    type Message = RouterMessage;
    type Timer = RouterTimer;
    type State = RouterState;

    fn kinds(&self) -> &'static [&'static str] {
        &[
            "attach",
            "accept",
            "refuse",
            "heartbeat",
            "ack",
            "digest",
            "advice",
            "detach",
            "move",
            "register",
            "unregister",
            "message",
            "receipt",
            "failed",
        ]
    }

    #[inline(always)]
    fn kind(&self, message: &RouterMessage) -> usize {
        match message {
            RouterMessage::Attach { .. } => 0,
            RouterMessage::Accept { .. } => 1,
            RouterMessage::Refuse { .. } => 2,
            RouterMessage::Heartbeat { .. } => 3,
            RouterMessage::Ack => 4,
            RouterMessage::Digest { .. } => 5,
            RouterMessage::Advice { .. } => 6,
            RouterMessage::Detach => 7,
            RouterMessage::Move { .. } => 8,
            RouterMessage::Register { .. } => 9,
            RouterMessage::Unregister { .. } => 10,
            RouterMessage::Routed(routed) => match routed.purpose {
                Purpose::Message => 11,
                Purpose::Receipt => 12,
                Purpose::Failed(_) => 13,
            },
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &RouterMessage, payload: usize) -> u32 {
        let content = self.options.messages.map_or(0, |messages| messages.len);
        wire::wire_len(message, payload, content) as u32
    }

    #[inline(always)]
    fn fingerprint(&self, message: &RouterMessage) -> u64 {
        let (high, low) = match *message {
            RouterMessage::Attach { number } | RouterMessage::Accept { number } => (0, number),
            RouterMessage::Refuse { number, named } => (named, number),
            RouterMessage::Heartbeat { child, rank } | RouterMessage::Register { child, rank } => {
                (child, u16::from(rank))
            }
            RouterMessage::Digest { beat } => (0, beat),
            RouterMessage::Advice { lighter, room } => (lighter, room),
            RouterMessage::Ack | RouterMessage::Detach => (0, 0),
            RouterMessage::Move { to } => (to, 0),
            RouterMessage::Unregister { child } => (child, 0),
            RouterMessage::Routed(routed) => {
                let ends = u64::from(routed.origin) << 32 | u64::from(routed.destination);
                let way = u64::from(routed.via) << 32 | u64::from(routed.stamp) << 16 | u64::from(routed.trace) << 8;
                let cause = match routed.purpose {
                    Purpose::Failed(cause) => cause as u64 + 2,
                    Purpose::Message => 0,
                    Purpose::Receipt => 1,
                };
                return ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (way | cause);
            }
        };
        u64::from(high) << 32 | u64::from(low) << 8 | self.kind(message) as u64
    }

    fn state(&self, nodes: Nodes) -> RouterState {
        RouterState::new(nodes, &self.options)
    }

    fn state_bytes(&self, state: &RouterState) -> usize {
        state.bytes()
    }

    fn handle_start(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let spread = fx.random().below(self.options.attaching.spread.as_nanos());
        self.start(state, here, SimSpan::from_nanos(spread), fx);
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        message: RouterMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if !payload.is_empty() && !matches!(message, RouterMessage::Digest { .. }) {
            state.figures.rejected += 1;
            return;
        }
        match message {
            RouterMessage::Heartbeat { child, rank } => self.hear_child(state, here, from, (child, rank), fx),
            RouterMessage::Ack => {
                self.hear_parent(state, here, from, fx);
            }
            RouterMessage::Routed(routed) => self.pass_on(state, here, from, routed, fx),
            RouterMessage::Register { child, rank } => self.register(state, here, from, (child, rank), fx),
            RouterMessage::Unregister { child } => self.unregister(state, here, from, child),
            RouterMessage::Attach { number } => self.take_in(state, here, from, number, fx),
            RouterMessage::Accept { number } => self.accepted(state, here, from, number, fx),
            RouterMessage::Refuse { number, named } => self.refused(state, here, from, (number, named), fx),
            RouterMessage::Digest { .. } => self.hear_digest(state, here, from, payload, fx),
            RouterMessage::Advice { lighter, room } => self.advised(state, here, from, (lighter, room), fx),
            RouterMessage::Detach => self.detached(state, here, from, fx),
            RouterMessage::Move { to } => self.move_over(state, here, from, to, fx),
        }
    }

    #[inline(always)]
    fn handle_timer(&self, state: &mut RouterState, here: Here, timer: RouterTimer, fx: &mut impl Effects<Self>) {
        match timer {
            RouterTimer::Beat => {
                match here.node_type {
                    NodeType::SuperNode => self.sweep(state, here, fx),
                    NodeType::FullNode => self.report(state, here, fx),
                    NodeType::LightNode | NodeType::MobileNode => self.beat(state, here, fx),
                }
                fx.wake_after(self.intervals[here.node_type as usize], timer);
            }
            RouterTimer::Check => self.check_parents(state, here, fx),
            RouterTimer::Attach { number } => self.go_on(state, here, number, fx),
            RouterTimer::Message => self.start_message(state, here, fx),
            RouterTimer::Receipt { stamp, attempt } => self.retry(state, here, (stamp, attempt), fx),
        }
    }

    /// Tells parents and children, so that they need not find out.
    fn handle_leave(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let children = state.children(here.index);
        let others = state.parents(here.index).iter().copied().chain(children);
        fx.send_each(others.map(|other| (other, RouterMessage::Detach)));
    }

    /// As a fresh node, which looks for parents at once.
    fn handle_join(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        state.reset(here);
        self.start(state, here, SimSpan::ZERO, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &RouterState, index: usize, message: &RouterMessage) {
        match (index.checked_sub(state.supers), message) {
            (None, RouterMessage::Register { child, .. }) => state.locations.prefetch(index, *child),
            (None, RouterMessage::Routed(routed)) => state.locations.prefetch(index, routed.destination),
            (None, _) => {}
            (Some(place), RouterMessage::Heartbeat { child, .. }) if place < state.advice.len() => {
                state.children.prefetch(place, *child);
            }
            (Some(place), RouterMessage::Routed(routed)) if place < state.advice.len() => {
                state.children.prefetch(place, routed.origin);
                state.children.prefetch(place, routed.destination);
            }
            (Some(place), _) => prefetch(&state.members, place),
        }
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &RouterState, index: usize, _: &RouterTimer) {
        if let Some(place) = index.checked_sub(state.supers) {
            prefetch(&state.members, place);
        }
    }
}

#[cfg(test)]
mod tests;
