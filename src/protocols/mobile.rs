//! Mobile nodes: how they say that they live, what that costs their batteries, and how soon it is noticed if they do not.
//!
//! Mobile nodes are linked to full nodes, their parents, which judge them by a detector. A [`WakePolicy`] says when a
//! node wakes its radio; a [`RadioModel`] what that takes. Besides heartbeats, nodes send transactions, to the first of
//! their parents, and there is now and then something for them at a parent, which has to tell them:
//!
//! | policy | heartbeats | parents tell a node |
//! |---|---|---|
//! | ping | every 30 s | when they next hear of it |
//! | adaptive | every 10 min | when they next hear of it |
//! | piggyback | with its transactions, and after a long silence | when they next hear of it |
//! | push | with its transactions, and when it is asked | at once |
//!
//! What reaches a node whose radio does not listen waits until it does: for the next paging and the promotion if it is
//! idle, which is 0.9 s on average, for the next on-duration if it sleeps in a tail. The node that answers does so then.
//! What a node sends by itself leaves when its timer fires, and the promotion lies before that.
//!
//! Parents learn of notices that got lost from confirmations that do not come: they send a notice again whenever they
//! hear the node, and if they push, when they look around for the first, second, fourth, eighth, ... time since there is
//! something. News that come meanwhile join it.

pub mod battery;
pub mod figures;
mod parents;
pub mod policy;
pub mod radio;
mod state;
pub mod wire;

use serde::{Deserialize, Serialize};

use super::detector::{Detector, Rule, Watch};
use super::wire::padded_len;
use crate::contract::{
    CoarseTime, Column, Effects, Here, NodeId, NodeType, Nodes, Protocol, SimSpan, SimTime, Verdict,
};
use crate::topologies::{Graph, Incoming, Link};
use figures::{MobileCounts, MobileFigures};
use policy::WakePolicy;
use radio::RadioModel;
pub use state::MobileState;
use state::{Phone, Waiting};

/// Most parents of a mobile node.
pub const PARENTS_MAX: usize = 16;

/// What mobile nodes and their parents do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MobileOptions {
    /// When nodes say that they live.
    pub policy: WakePolicy,
    /// What their radios take.
    pub radio: RadioModel,
    /// How parents judge.
    pub detector: Detector,
    /// How often parents look around for nodes that they have not heard; above zero, and not above the interval of the
    /// policy where parents push.
    pub look: SimSpan,
    /// From one transaction of a node to the next, on average; intervals are exponential. None without it.
    pub transactions: Option<SimSpan>,
    /// From one time that there is something for a node to the next, on average, likewise.
    pub news: Option<SimSpan>,
    /// Bytes of a transaction.
    pub transaction_len: u16,
    /// Bytes of what there is for a node.
    pub news_len: u16,
    /// Shorter messages are padded to so many bytes.
    pub size: u32,
    /// IP and UDP headers, which the radio carries too, in bytes.
    pub header: u32,
}

impl MobileOptions {
    /// An LTE radio; parents that look every 30 s and take a node for down that missed two heartbeats; a transaction of
    /// 250 bytes and a notice of 100 bytes every four hours; messages of 100 bytes at least.
    pub const fn new(policy: WakePolicy) -> Self {
        let four_hours = Some(SimSpan::from_secs(4 * 3_600));
        MobileOptions {
            policy,
            radio: RadioModel::LTE,
            detector: Detector::Timeout { missed: 2 },
            look: SimSpan::from_secs(30),
            transactions: four_hours,
            news: four_hours,
            transaction_len: 250,
            news_len: 100,
            size: 100,
            header: 28,
        }
    }
}

/// Mobile nodes and their parents.
#[derive(Debug)]
pub struct Mobile {
    graph: Graph,
    incoming: Incoming,
    options: MobileOptions,
    rule: Rule,
    /// Most parents that a node has.
    parents: u64,
}

impl Mobile {
    /// Mobile nodes whose parents are the full nodes that `graph` links them to. It should have no other links, because
    /// each takes memory at its receiver: see [`TierDegrees::children_graph`](crate::topologies::TierDegrees).
    ///
    /// # Panics
    /// If a mobile node has more than [`PARENTS_MAX`] links or one that does not lead to a full node, or if options are
    /// outside of their bounds.
    pub fn new(graph: Graph, options: MobileOptions) -> Self {
        let population = graph.population();
        let (mobiles, fulls) = (population.range(NodeType::MobileNode), population.range(NodeType::FullNode));
        let parents = graph.degree_max(NodeType::MobileNode);
        assert!(parents <= PARENTS_MAX, "a mobile node has {parents} parents");
        let is_parent = |link: &Link| fulls.contains(&link.peer);
        let mut own = mobiles.filter(|&node| graph.holds(node));
        assert!(own.all(|node| graph.links(node).iter().all(is_parent)), "parents are full nodes");
        assert!(options.radio.is_valid(), "{:?}", options.radio);
        let interval = options.policy.interval();
        let spans = [Some(interval), Some(options.look), options.transactions, options.news];
        assert!(spans.into_iter().flatten().all(|span| span > SimSpan::ZERO), "spans are above zero");
        assert!(!options.policy.is_push() || options.look <= interval, "parents look more often than they check");
        Mobile {
            incoming: Incoming::new(&graph),
            rule: options.detector.rule(interval),
            options,
            parents: parents as u64,
            graph,
        }
    }

    /// The options.
    pub fn options(&self) -> &MobileOptions {
        &self.options
    }

    /// Memory of what all partitions share, in bytes: the links.
    pub fn bytes(&self) -> usize {
        self.graph.bytes() + self.incoming.bytes()
    }

    /// What the mobile nodes of `state` spent until `end`, the end of the run.
    pub fn figures(&self, state: &MobileState, end: SimTime) -> MobileFigures {
        let span = end.since(SimTime::ZERO);
        let counts = MobileCounts::clone(&state.counts);
        let mut figures = MobileFigures { nodes: state.phones.len() as u64, span, counts, ..MobileFigures::default() };
        if span == SimSpan::ZERO {
            return figures;
        }
        for phone in state.phones.iter() {
            let energy = self.options.radio.energy(&phone.radio, end);
            figures.wakes += u64::from(phone.radio.wakes());
            figures.energy_pj += u128::from(energy);
            figures.powers.add(energy, span);
        }
        figures
    }

    /// The radio of the mobile node `here` begins to send `up` and to receive `down` bytes, headers included. Public for
    /// a protocol that runs this one within it, and whose other messages use the same radio.
    ///
    /// # Panics
    /// If it is not a mobile node.
    pub fn activity(&self, state: &mut MobileState, here: Here, now: SimTime, up: u64, down: u64) {
        let cut = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let radio = &mut state.phones[here.index - state.first].radio;
        self.options.radio.activity(radio, now, cut(up), cut(down));
    }

    /// Bytes of `message` with its headers.
    fn bytes_of(&self, message: &MobileMessage) -> u64 {
        u64::from(self.wire_len(message, 0)) + u64::from(self.options.header)
    }

    /// Sends a heartbeat to all parents but the first `skipped`.
    fn send_heartbeats(&self, state: &mut MobileState, here: Here, skipped: usize, fx: &mut impl Effects<Self>) {
        let links = &self.graph.links(here.id)[skipped..];
        fx.send_each(links.iter().map(|link| (link.peer, MobileMessage::Heartbeat { slot: link.slot })));
        state.counts.heartbeats += links.len() as u64;
        let bytes = self.bytes_of(&MobileMessage::Heartbeat { slot: 0 }) * links.len() as u64;
        self.activity(state, here, fx.now(), bytes, 0);
    }

    fn send_transaction(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(first) = self.graph.links(here.id).first() else { return };
        let message = MobileMessage::Transaction { slot: first.slot };
        fx.send(first.peer, message);
        state.counts.transactions += 1;
        self.activity(state, here, fx.now(), self.bytes_of(&message), 0);
        self.ride(state, here, 1, fx);
    }

    /// The mobile node `here` has just sent something that this protocol knows nothing of: heartbeats ride on it, if its
    /// policy has any that do. Public for a protocol that runs this one within it.
    ///
    /// # Panics
    /// If it is not a mobile node.
    pub fn piggyback(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        self.ride(state, here, 0, fx);
    }

    /// Sends heartbeats to all parents but the first `skipped`, in the same wake as something else.
    fn ride(&self, state: &mut MobileState, here: Here, skipped: usize, fx: &mut impl Effects<Self>) {
        if self.options.policy.tells_all() && self.graph.links(here.id).len() >= skipped {
            let before = state.counts.heartbeats;
            self.send_heartbeats(state, here, skipped, fx);
            state.counts.piggybacked += state.counts.heartbeats - before;
            state.phones[here.index - state.first].sent = fx.now().into();
        }
    }

    /// A heartbeat of the node's own is due, or would be if it had been silent.
    fn beat(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        if self.graph.links(here.id).is_empty() {
            return;
        }
        let phone = &mut state.phones[here.index - state.first];
        let now = fx.now();
        if let WakePolicy::Piggyback { silence } = self.options.policy {
            let ticks = CoarseTime::from(now).ticks_since(phone.sent);
            let left = silence - CoarseTime::TICK * u64::from(ticks);
            if phone.sent != CoarseTime::NEVER && left > CoarseTime::TICK {
                fx.wake_after(left, MobileTimer::Heartbeat);
                return;
            }
        }
        phone.sent = now.into();
        self.send_heartbeats(state, here, 0, fx);
        if !self.options.policy.is_push() {
            fx.wake_after(self.options.policy.interval(), MobileTimer::Heartbeat);
        }
    }

    /// The parent at place `place` sends something to the mobile node `here`, which gets it when its radio listens.
    fn page(&self, state: &mut MobileState, here: Here, place: usize, is_notice: bool, fx: &mut impl Effects<Self>) {
        let phone = &mut state.phones[here.index - state.first];
        let is_first = phone.checked | phone.noticed == 0;
        *(if is_notice { &mut phone.noticed } else { &mut phone.checked }) |= 1 << place;
        if is_first {
            match self.options.radio.wait_to_receive(&phone.radio, fx.now()) {
                SimSpan::ZERO => self.receive(state, here, fx),
                wait => fx.wake_after(wait, MobileTimer::Receive),
            }
        }
    }

    /// The radio of the mobile node `here` listens: it gets what has waited, and answers.
    fn receive(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        let phone = &mut state.phones[here.index - state.first];
        let (checked, noticed) = (std::mem::take(&mut phone.checked), std::mem::take(&mut phone.noticed));
        let times = |mask: u16, message| self.bytes_of(&message) * u64::from(mask.count_ones());
        let (check, notice) = (MobileMessage::Check, MobileMessage::Notice { newest: 0 });
        let received = times(checked, check) + times(noticed, notice);
        let confirmation = MobileMessage::Confirmation { slot: 0, newest: 0 };
        self.activity(state, here, fx.now(), times(noticed, confirmation), received);
        for (place, link) in self.graph.links(here.id).iter().enumerate() {
            if noticed & 1 << place != 0 {
                let newest = state.notices[(here.index - state.first) * self.parents as usize + place];
                fx.send(link.peer, MobileMessage::Confirmation { slot: link.slot, newest });
            }
        }
        if checked != 0 {
            // To all parents, so that the others need not ask.
            state.phones[here.index - state.first].sent = fx.now().into();
            self.send_heartbeats(state, here, 0, fx);
        }
    }

    fn wait_for_transaction(&self, here: Here, fx: &mut impl Effects<Self>) {
        if let Some(mean) = self.options.transactions
            && !self.graph.links(here.id).is_empty()
        {
            let span = fx.random().exponential(mean.as_nanos() as f64);
            fx.wake_after(span, MobileTimer::Transaction);
        }
    }
}

/// A message under way. Slots name the link by the handle that the receiver knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MobileMessage {
    /// The sender lives.
    Heartbeat {
        /// The link.
        slot: u32,
    },
    /// A transaction of the sender.
    Transaction {
        /// The link.
        slot: u32,
    },
    /// Does the receiver live?
    Check,
    /// There is something for the receiver.
    Notice {
        /// Number of the newest, modulo 2^16.
        newest: u16,
    },
    /// The sender has got a notice.
    Confirmation {
        /// The link.
        slot: u32,
        /// Number of the newest in it.
        newest: u16,
    },
    /// The sender leaves.
    Leave {
        /// The link.
        slot: u32,
    },
}

/// What a timer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MobileTimer {
    /// A heartbeat may be due.
    Heartbeat,
    /// A transaction is.
    Transaction,
    /// The radio listens.
    Receive,
    /// A parent looks around.
    Look,
    /// There is something for a child.
    News,
}

impl Protocol for Mobile {
    type Message = MobileMessage;
    type Timer = MobileTimer;
    type State = MobileState;

    const ANSWERS: bool = false;

    fn kinds(&self) -> &'static [&'static str] {
        &["heartbeat", "transaction", "check", "notice", "confirmation", "leave"]
    }

    #[inline(always)]
    fn kind(&self, message: &MobileMessage) -> usize {
        match message {
            MobileMessage::Heartbeat { .. } => 0,
            MobileMessage::Transaction { .. } => 1,
            MobileMessage::Check => 2,
            MobileMessage::Notice { .. } => 3,
            MobileMessage::Confirmation { .. } => 4,
            MobileMessage::Leave { .. } => 5,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &MobileMessage, _: usize) -> u32 {
        let natural = match message {
            MobileMessage::Heartbeat { .. } | MobileMessage::Check | MobileMessage::Leave { .. } => wire::HEAD_LEN,
            MobileMessage::Transaction { .. } => wire::TRANSACTION_LEN + usize::from(self.options.transaction_len),
            MobileMessage::Notice { .. } => wire::NOTICE_LEN + usize::from(self.options.news_len),
            MobileMessage::Confirmation { .. } => wire::CONFIRMATION_LEN,
        };
        padded_len(natural, self.options.size)
    }

    #[inline(always)]
    fn fingerprint(&self, message: &MobileMessage) -> u64 {
        // Slots are numbered by partition, which must not show; the link itself is told by sender and receiver.
        let newest = match *message {
            MobileMessage::Notice { newest } | MobileMessage::Confirmation { newest, .. } => newest,
            _ => 0,
        };
        self.kind(message) as u64 | u64::from(newest) << 8
    }

    fn state(&self, nodes: Nodes) -> MobileState {
        let first = nodes.end_of(NodeType::LightNode);
        let phone = |index| Phone {
            radio: self.options.radio.ledger(nodes.id(index)),
            sent: CoarseTime::NEVER,
            checked: 0,
            noticed: 0,
        };
        let slots = self.graph.slots(&nodes);
        let phones = nodes.len() - first;
        let has_news = self.options.news.is_some();
        MobileState {
            first,
            phones: Column::collect(phones, (first..nodes.len()).map(phone)),
            notices: Column::filled(if has_news { phones * self.parents as usize } else { 0 }, 0),
            watch: Watch::new(slots, Some(&self.options.detector)),
            senders: self.graph.senders(&nodes),
            nodes,
            waiting: Column::filled(if has_news { slots } else { 0 }, Waiting::NOTHING),
            counts: Box::default(),
        }
    }

    fn state_bytes(&self, state: &MobileState) -> usize {
        let children = state.watch.bytes() + state.senders.bytes() + state.waiting.bytes();
        state.phones.bytes() + state.notices.bytes() + children
    }

    fn handle_start(&self, _: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        let mut random = fx.random();
        let mut phase = |span: SimSpan| SimSpan::from_nanos(random.below(span.as_nanos()));
        match here.node_type {
            NodeType::MobileNode => {
                // With push a node is silent until it is asked.
                if !self.options.policy.is_push() && !self.graph.links(here.id).is_empty() {
                    fx.wake_after(phase(self.options.policy.interval()), MobileTimer::Heartbeat);
                }
                self.wait_for_transaction(here, fx);
            }
            NodeType::FullNode if !self.incoming.slots(here.id, NodeType::MobileNode).is_empty() => {
                fx.wake_after(phase(self.options.look), MobileTimer::Look);
                self.wait_for_news(here, fx);
            }
            _ => {}
        }
    }

    fn handle_message(
        &self,
        state: &mut MobileState,
        here: Here,
        from: NodeId,
        message: MobileMessage,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let (slot, is_confirmed) = match message {
            MobileMessage::Heartbeat { slot } | MobileMessage::Transaction { slot } => (slot, false),
            MobileMessage::Confirmation { slot, .. } | MobileMessage::Leave { slot } => (slot, true),
            MobileMessage::Check | MobileMessage::Notice { .. } => {
                let place = self.graph.links(here.id).iter().position(|link| link.peer == from);
                let (Some(place), NodeType::MobileNode) = (place, here.node_type) else {
                    state.counts.rejected += 1;
                    return;
                };
                if let MobileMessage::Notice { newest } = message {
                    let cell = (here.index - state.first) * self.parents as usize + place;
                    let Some(notice) = state.notices.get_mut(cell) else {
                        state.counts.rejected += 1;
                        return;
                    };
                    *notice = newest;
                    self.page(state, here, place, true, fx);
                } else {
                    self.page(state, here, place, false, fx);
                }
                return;
            }
        };
        let Some(slot) = self.checked_slot(state, here, from, slot) else {
            state.counts.rejected += 1;
            return;
        };
        if let MobileMessage::Leave { .. } = message {
            if state.watch.leave(slot) {
                fx.judge(from, Verdict::Down);
            }
            return;
        }
        if let MobileMessage::Confirmation { newest, .. } = message {
            self.confirm(state, slot, newest, fx.now());
        }
        self.hear(state, slot, from, is_confirmed, fx);
    }

    fn handle_timer(&self, state: &mut MobileState, here: Here, timer: MobileTimer, fx: &mut impl Effects<Self>) {
        match timer {
            MobileTimer::Heartbeat => self.beat(state, here, fx),
            MobileTimer::Transaction => {
                self.send_transaction(state, here, fx);
                self.wait_for_transaction(here, fx);
            }
            MobileTimer::Receive => self.receive(state, here, fx),
            MobileTimer::Look => {
                self.look(state, here, fx);
                fx.wake_after(self.options.look, MobileTimer::Look);
            }
            MobileTimer::News => self.bring_news(state, here, fx),
        }
    }

    /// A mobile node says so to its parents.
    fn handle_leave(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        if here.node_type == NodeType::MobileNode {
            let links = self.graph.links(here.id);
            fx.send_each(links.iter().map(|link| (link.peer, MobileMessage::Leave { slot: link.slot })));
            let bytes = self.bytes_of(&MobileMessage::Leave { slot: 0 }) * links.len() as u64;
            self.activity(state, here, fx.now(), bytes, 0);
        }
    }

    /// As a fresh node. A mobile node sends a heartbeat at once, so that its parents know it again; the ledger of its
    /// radio counts the time that it was away as idle. A parent has forgotten what there was for its children.
    fn handle_join(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::MobileNode => {
                let phone = &mut state.phones[here.index - state.first];
                (phone.sent, phone.checked, phone.noticed) = (CoarseTime::NEVER, 0, 0);
                self.beat(state, here, fx);
                self.wait_for_transaction(here, fx);
            }
            NodeType::FullNode => {
                let slots = self.incoming.all(here.id);
                state.watch.forget(slots.clone(), Some(&self.options.detector), fx.now());
                for waiting in state.waiting.get_mut(slots).into_iter().flatten() {
                    state.counts.forgotten += u64::from(waiting.count);
                    *waiting = Waiting { newest: waiting.newest, ..Waiting::NOTHING };
                }
                self.handle_start(state, here, fx);
            }
            _ => {}
        }
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &MobileState, index: usize, message: &MobileMessage) {
        match *message {
            MobileMessage::Heartbeat { slot }
            | MobileMessage::Transaction { slot }
            | MobileMessage::Confirmation { slot, .. }
            | MobileMessage::Leave { slot } => {
                state.watch.prefetch(slot as usize);
                state.senders.prefetch(slot as usize);
            }
            MobileMessage::Check | MobileMessage::Notice { .. } => {
                state.phones.prefetch(index.wrapping_sub(state.first));
            }
        }
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &MobileState, index: usize, _: &MobileTimer) {
        state.phones.prefetch(index.wrapping_sub(state.first));
        self.graph.prefetch(state.nodes.id(index));
    }
}

#[cfg(test)]
mod tests;
