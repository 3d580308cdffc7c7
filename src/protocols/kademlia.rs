//! Kademlia: nodes find each other, and values, by the exclusive or of ids, in a logarithmic number of steps.
//!
//! Maymounkov and Mazieres, "Kademlia: A Peer-to-peer Information System Based on the XOR Metric", IPTPS 2002.
//!
//! | when | what a node does |
//! |---|---|
//! | it hears of any kind from another | makes it the most recently seen contact of its bucket, or adds it if there is room |
//! | there is none | keeps it as a replacement, [`SPARES_MAX`] a bucket, those that were seen last; if it asked or answered, pings the least recently seen contact of the bucket |
//! | no pong comes | removes the contact; the replacement that was seen last takes its place |
//! | a lookup is due | asks for the nodes closest to the target, as [`lookup`] says |
//! | a request is not answered in half of the time that it has | sends it again, once |
//! | nor then | removes the contact, for which a replacement comes in, and asks the next |
//! | it joins | looks for its own id through one node that it knows, then for a random id in every bucket farther than its closest contact |
//! | every refresh interval | looks for a random id in every bucket in whose range it looked for nothing since the last time |
//! | a value is to be published | looks for its key, and stores it at the k closest nodes |
//! | it leaves | nothing: others find out |
//!
//! What differs from the paper, and why:
//!
//! - A ping does not make its receiver check a bucket, though it may fill one: else pings would answer pings for ever.
//! - A contact that does not answer a request and its repetition is removed even if there is no replacement.
//! - A lookup does not leave copies of a value on its way, and nodes do not pass their values on to newer ones: whoever
//!   published a value publishes it again.
//! - Buckets are not split further than by distance from the node itself (b = 1), and ids have 256 bits.

mod contacts;
pub mod discovery;
mod figures;
pub mod keys;
pub mod lookup;
mod state;
mod steps;
pub mod table;
pub mod values;
pub mod wire;

pub use self::figures::{KademliaFigures, LookupFigures, LookupRecord};
use serde::{Deserialize, Serialize};

use self::keys::Keys;
use self::lookup::Purpose;
pub use self::state::KademliaState;
use self::state::{Node, Presence};
pub use self::table::KademliaRouting;
use self::table::{Path, Table};
use crate::contract::{
    Domain, Effects, Here, Key256, NodeId, Nodes, Population, Protocol, RandomKey, SimSpan, SimTime, prefetch,
};

/// Most lookups of a node at a time. As many again may have ended, but wait for answers to see who is down.
pub const LOOKUPS_MAX: usize = 8;

/// Most buckets of a node that are checked at a time, each for one contact.
pub const CHECKS_MAX: usize = 8;

/// Most replacements of a bucket. They are asked for nothing, so a few are as good as many: those that were seen last are the
/// likeliest to live.
pub const SPARES_MAX: usize = 4;

/// How large tables are, and what nodes do of their own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KademliaOptions {
    /// Contacts of a bucket, nodes in an answer, and nodes that keep a value: k.
    pub k: u8,
    /// Requests of a lookup that are under way at a time: alpha.
    pub alpha: u8,
    /// Time after which an answer is late; after half of it the request is sent again.
    pub timeout: SimSpan,
    /// Time after which a bucket is looked into in which nothing was looked for; never if `None`.
    pub refresh: Option<SimSpan>,
    /// Mean time between two lookups of a node for the nodes closest to a random key; none if `None`.
    pub lookups: Option<SimSpan>,
    /// Values that are stored and looked for.
    pub values: Option<Publishing>,
    /// Lookups of each node of which a record is kept, the first ones; about 100 bytes each.
    pub records_max: u16,
}

impl KademliaOptions {
    /// The paper's: k = 20, alpha = 3, buckets refreshed every hour. No lookups but those that serve the tables. Answers
    /// are late after a second.
    pub const PAPER: KademliaOptions = KademliaOptions {
        k: 20,
        alpha: 3,
        timeout: SimSpan::from_secs(1),
        refresh: Some(SimSpan::from_secs(3_600)),
        lookups: None,
        values: None,
        records_max: 0,
    };
}

/// Values that are stored and looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// How many there are. Value `v` is published by node `v` modulo the number of nodes.
    pub values: u32,
    /// Length of each, in bytes; at most [`wire::VALUE_LEN_MAX`].
    pub len: u16,
    /// Each is published first at a random moment of this span, which begins when all nodes have joined.
    pub over: SimSpan,
    /// And again after this time; once only if `None`.
    pub again: Option<SimSpan>,
    /// Mean time between two lookups of a node for the value of a random stored key, from the end of `over` on; none if
    /// `None`.
    pub lookups: Option<SimSpan>,
    /// Most values that a node keeps for others.
    pub kept_max: u16,
}

/// How nodes get to know each other in the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// Every node knows k random nodes of each distance, or all if there are no more, whether they are up or not.
    Ideal,
    /// Nobody knows anybody. Nodes join one after the other, in the order of their numbers, evenly over this span; each
    /// through one random node whose turn was before.
    Joins(SimSpan),
}

/// Kademlia over a flat population.
#[derive(Debug)]
pub struct Kademlia {
    options: KademliaOptions,
    bootstrap: Bootstrap,
    keys: Keys,
    tables: RandomKey,
    /// Lookups that began earlier are not counted.
    counted_from: SimTime,
}

impl Kademlia {
    /// Kademlia over all of `population`, whatever the types. `seed` is for ideal tables.
    ///
    /// # Panics
    /// If k, alpha, the timeout or an interval is zero, or values are too long or none.
    pub fn new(population: Population, options: KademliaOptions, bootstrap: Bootstrap, seed: u64) -> Self {
        let KademliaOptions { k, alpha, timeout, refresh, lookups, values, .. } = options;
        assert!(k > 0 && alpha > 0 && timeout > SimSpan::ZERO, "k {k}, alpha {alpha}, timeout {timeout}");
        let repeated = [refresh, lookups, values.and_then(|values| values.again), values.and_then(|v| v.lookups)];
        assert!(repeated.iter().flatten().all(|&interval| interval > SimSpan::ZERO), "an interval takes time");
        if let Some(Publishing { values, len, .. }) = values {
            assert!(values > 0 && usize::from(len) <= wire::VALUE_LEN_MAX, "{values} values of {len} bytes");
        }
        let (keys, tables) = (Keys::new(population.total()), RandomKey::new(seed, Domain::Topology));
        Kademlia { options, bootstrap, keys, tables, counted_from: SimTime::ZERO }
    }

    /// Counts only lookups that begin at `time` or later. Records are made of earlier ones as well.
    pub fn counted_from(self, time: SimTime) -> Self {
        Kademlia { counted_from: time, ..self }
    }

    /// Memory of the ids, which all nodes share, in bytes.
    pub fn bytes(&self) -> usize {
        self.keys.bytes()
    }

    /// The ids of the nodes.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What the node at `index` of `nodes`, whose state is `state`, knows of where others stand.
    pub fn routing<'a>(&'a self, state: &'a KademliaState, nodes: &Nodes, index: usize) -> KademliaRouting<'a> {
        KademliaRouting::new(nodes.id(index), self.k(), state.table(index), &self.keys)
    }

    /// The key of value `value`: BLAKE3 of `value` and its number.
    pub fn key_of_value(value: u32) -> Key256 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"value").update(&value.to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    /// The bytes of the value of `key`, of which there are `len`.
    fn bytes_of_value(key: &Key256, len: u16) -> impl Iterator<Item = u8> {
        let mut bytes = blake3::Hasher::new().update(key).finalize_xof();
        (0..len).map(move |_| {
            let mut byte = [0];
            bytes.fill(&mut byte);
            byte[0]
        })
    }

    fn k(&self) -> usize {
        usize::from(self.options.k)
    }

    fn nodes(&self) -> NodeId {
        self.keys.nodes()
    }

    /// Time from the start until the turn of `node` to join; that of a node that there is not is the end of all turns.
    fn turn_of(&self, node: NodeId) -> SimSpan {
        match self.bootstrap {
            Bootstrap::Ideal => SimSpan::ZERO,
            Bootstrap::Joins(over) => {
                let nanos = u128::from(over.as_nanos()) * u128::from(node) / u128::from(self.nodes());
                SimSpan::from_nanos(nanos as u64)
            }
        }
    }
}

/// A message under way. What is of no fixed size is its payload, as [`wire`] encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KademliaMessage {
    /// Are you there?
    Ping {
        /// The sender's request.
        number: u32,
    },
    /// I am.
    Pong {
        /// The receiver's request.
        number: u32,
    },
    /// Which nodes do you know that are close to a key?
    FindNode {
        /// The sender's lookup.
        number: u32,
    },
    /// These.
    Nodes {
        /// The receiver's lookup.
        number: u32,
    },
    /// Keep a value.
    Store {
        /// The sender's lookup.
        number: u32,
    },
    /// I have it, or have no room for it.
    Stored {
        /// The receiver's lookup.
        number: u32,
        /// Which of the two.
        kept: bool,
    },
    /// What is the value of a key; or else, which nodes do you know that are close to it?
    FindValue {
        /// The sender's lookup.
        number: u32,
    },
    /// This.
    Value {
        /// The receiver's lookup.
        number: u32,
    },
}

impl KademliaMessage {
    fn number(self) -> u32 {
        match self {
            KademliaMessage::Ping { number }
            | KademliaMessage::Pong { number }
            | KademliaMessage::FindNode { number }
            | KademliaMessage::Nodes { number }
            | KademliaMessage::Store { number }
            | KademliaMessage::Stored { number, .. }
            | KademliaMessage::FindValue { number }
            | KademliaMessage::Value { number } => number,
        }
    }
}

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KademliaTimer {
    /// It is the node's turn to join.
    Join,
    /// An answer has taken half of its time, or all of it, if it is not there.
    Answer {
        /// To which lookup.
        number: u32,
        /// Of whom.
        from: NodeId,
    },
    /// A pong is late, if it is not there.
    Pong {
        /// To which ping.
        number: u32,
    },
    /// Buckets are to be refreshed.
    Refresh,
    /// A lookup for nodes is due.
    Lookup,
    /// A lookup for a value is due.
    ValueLookup,
    /// A value is to be published.
    Publish {
        /// Its number.
        value: u32,
    },
}

impl Protocol for Kademlia {
    type Message = KademliaMessage;
    type Timer = KademliaTimer;
    type State = KademliaState;

    fn kinds(&self) -> &'static [&'static str] {
        &["ping", "pong", "find-node", "nodes", "store", "stored", "find-value", "value"]
    }

    #[inline(always)]
    fn kind(&self, message: &KademliaMessage) -> usize {
        match message {
            KademliaMessage::Ping { .. } => 0,
            KademliaMessage::Pong { .. } => 1,
            KademliaMessage::FindNode { .. } => 2,
            KademliaMessage::Nodes { .. } => 3,
            KademliaMessage::Store { .. } => 4,
            KademliaMessage::Stored { .. } => 5,
            KademliaMessage::FindValue { .. } => 6,
            KademliaMessage::Value { .. } => 7,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &KademliaMessage, payload: usize) -> u32 {
        wire::wire_len(message, payload) as u32
    }

    #[inline(always)]
    fn fingerprint(&self, message: &KademliaMessage) -> u64 {
        let is_kept = matches!(message, KademliaMessage::Stored { kept: true, .. });
        u64::from(message.number()) << 8 | u64::from(is_kept) << 4 | self.kind(message) as u64
    }

    fn state(&self, nodes: Nodes) -> KademliaState {
        let mut state = KademliaState::new(nodes.len());
        if let Bootstrap::Ideal = self.bootstrap {
            let mut path = Path::new(&self.keys);
            for &own in self.keys.order() {
                let Some(index) = nodes.index_of(own) else { continue };
                let mut random = self.tables.stream(own, 0);
                let table = Table::ideal(&self.keys, own, self.k(), &mut random, &mut path);
                state.nodes[index] = Node::joined(table);
            }
        }
        state
    }

    fn state_bytes(&self, state: &KademliaState) -> usize {
        state.bytes()
    }

    fn handle_start(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        self.set_timers(here, fx);
        if let Bootstrap::Joins(_) = self.bootstrap {
            self.join_in_turn(state, here, fx);
        }
    }

    fn handle_message(
        &self,
        state: &mut KademliaState,
        here: Here,
        from: NodeId,
        message: KademliaMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if state.nodes[here.index].presence == Presence::Absent {
            return;
        }
        if self.take(state, here, from, message, payload, fx).is_err() {
            state.figures.rejected += 1;
        }
    }

    fn handle_timer(&self, state: &mut KademliaState, here: Here, timer: KademliaTimer, fx: &mut impl Effects<Self>) {
        match timer {
            KademliaTimer::Join => self.join(state, here, fx),
            KademliaTimer::Answer { number, from } => self.miss(state, here, number, from, fx),
            KademliaTimer::Pong { number } => self.evict(state, here, number),
            KademliaTimer::Refresh => {
                self.refresh(state, here, fx);
                fx.wake_after(self.options.refresh.unwrap_or(SimSpan::ZERO), timer);
            }
            KademliaTimer::Lookup => {
                let key = steps::random_key(&mut fx.random());
                self.begin(state, here, Purpose::Node, key, fx);
                self.wake_about(self.options.lookups, timer, fx);
            }
            KademliaTimer::ValueLookup => {
                let Some(Publishing { values, lookups, .. }) = self.options.values else { return };
                let value = fx.random().below(u64::from(values)) as u32;
                self.begin(state, here, Purpose::Value { value }, Self::key_of_value(value), fx);
                self.wake_about(lookups, timer, fx);
            }
            KademliaTimer::Publish { value } => {
                self.begin(state, here, Purpose::Publish { value }, Self::key_of_value(value), fx);
                if let Some(again) = self.options.values.and_then(|values| values.again) {
                    fx.wake_after(again, timer);
                }
            }
        }
    }

    /// A node that was away has forgotten its contacts and what it kept for others. It joins through a random node.
    fn handle_join(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        state.reset(here.index);
        self.set_timers(here, fx);
        self.join_in_turn(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &KademliaState, index: usize, _: &KademliaMessage) {
        prefetch(&state.nodes, index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &KademliaState, index: usize, _: &KademliaTimer) {
        prefetch(&state.nodes, index);
    }
}

#[cfg(test)]
mod tests;
