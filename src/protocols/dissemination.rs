//! Dissemination: messages of some nodes come to all, pushed, pulled, announced, or along a mesh; with repair.
//!
//! | spread | how a message goes on |
//! |---|---|
//! | [`Spread::Push`] | infect and die: who first gets it sends it to `fanout` random others |
//! | [`Spread::Lazy`] | who first gets it announces it to `fanout` random others, who ask for it if they have it not |
//! | [`Spread::Rounds`] | every period, each node compares with a random other: [`Exchange`] says who gives whom |
//! | [`Spread::Mesh`] | along links, with announcements to others: [`mesh`], as gossipsub |
//!
//! With repair, every node also compares with a random other once in a while, in both directions (anti-entropy; Demers et
//! al., "Epidemic algorithms for replicated database maintenance", PODC 1987).
//!
//! Everything is bounded. A node remembers which messages it saw last ([`SeenMessages`]), keeps a few to pass on, and waits
//! for a few that it asked for, each of at most three nodes in turn, at most six times. Messages are passed on and taken only until they are
//! as old as their lifetime, by the time of publication that is part of their contents. So a message that a node has
//! forgotten cannot go round for ever: none is forgotten while it lives as long as `seen` holds all that live at a time.
//! One request is answered with at most `kept` messages.
//!
//! A message is a number; numbers are handed out in the order of publication. Contents count on the wire alone.

mod figures;
mod ids;
pub mod mesh;
mod schedule;
mod state;
mod steps;
mod store;
mod wanted;
pub mod wire;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use self::figures::{Coverage, Delays, DisseminationFigures, Hops, KINDS, MessageFigures};
pub use self::ids::Ids;
pub use self::mesh::{CONTACTS_MAX, MeshOptions};
use self::schedule::Schedule;
pub use self::schedule::{MESSAGES_MAX, Publishing};
pub use self::state::DisseminationState;
use super::gossip::GossipEngine;
#[cfg(doc)]
use super::gossip::SeenMessages;
use crate::contract::{Effects, Here, NodeId, Nodes, Protocol, SimSpan, SimTime};
use crate::topologies::Tier;

/// How messages go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Who first gets a message sends it to random others, which may coincide, and never again.
    Push {
        /// To so many.
        fanout: u32,
    },
    /// Who first gets a message announces it to random others, and sends it to those who ask.
    Lazy {
        /// To so many.
        fanout: u32,
    },
    /// Every node contacts one random other in every period.
    Rounds {
        /// Who gives whom what the other has not.
        exchange: Exchange,
        /// Time between two contacts of a node.
        period: SimSpan,
        /// Whether all nodes begin their rounds at the same moment, and what comes in a round is told from the next on, as
        /// in the literature. A round must be longer than all messages of a contact take together. Else each begins at a
        /// phase of its own, and tells what it has.
        synchronous: bool,
    },
    /// Along the links of a mesh.
    Mesh(MeshOptions),
}

/// Who gives whom at a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Who contacts announces what it has, if anything; the other asks for what it has not.
    Push,
    /// Who contacts says what it has; the other sends the rest.
    Pull,
    /// Both.
    PushPull,
}

/// What is published, how it spreads, and how much a node remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisseminationOptions {
    /// How messages go on.
    pub spread: Spread,
    /// What is published.
    pub publishing: Publishing,
    /// Time after its publication for which a message is taken and passed on.
    pub lifetime: SimSpan,
    /// Messages that a node remembers to have seen, rounded up to a multiple of eight: 8 bytes each. At least as many as
    /// live at a time; of more than eight better twice as many, because sets of eight forget by themselves.
    pub seen: u32,
    /// Messages that a node keeps to pass on: 8 bytes each, 1 to 64. None are kept where nothing asks for them (push
    /// without repair).
    pub kept: u8,
    /// Messages that a node waits for after it asked for them: 16 bytes each. None where nothing is announced.
    pub wanted: u8,
    /// Time after which a requested message is late, and the next node that has it is asked.
    pub timeout: SimSpan,
    /// Time between two comparisons of a node with a random other; none if `None`.
    pub repair: Option<SimSpan>,
}

/// Dissemination among the nodes of a tier.
#[derive(Debug)]
pub struct Dissemination {
    options: DisseminationOptions,
    engine: GossipEngine,
    tier: Tier,
    members: Range<NodeId>,
    schedule: Schedule,
    seed: u64,
}

impl Dissemination {
    /// The names of the kinds of message, in the order of the figures.
    pub const KIND_NAMES: [&'static str; KINDS] = ["message", "ihave", "iwant", "ask", "sync", "graft", "prune"];

    /// Dissemination among the nodes of `tier`, peers being chosen as that says; other nodes take no part and no memory.
    /// `seed` chooses publishers and the first contacts.
    ///
    /// # Panics
    /// If the tier is empty, if a span or a number that must not be zero is, if there are too many messages, if `kept` is
    /// beyond 64, or if the options of a mesh contradict each other.
    pub fn new(tier: Tier, options: DisseminationOptions, seed: u64) -> Self {
        let DisseminationOptions { spread, lifetime, kept, wanted, timeout, repair, .. } = options;
        let members = tier.range();
        assert!(!members.is_empty(), "somebody takes part");
        assert!(lifetime > SimSpan::ZERO && timeout > SimSpan::ZERO, "lifetime {lifetime}, timeout {timeout}");
        assert!((1..=64).contains(&kept) && wanted > 0, "{kept} kept and {wanted} wanted");
        assert!(repair != Some(SimSpan::ZERO), "time passes between repairs");
        let fanout = match spread {
            Spread::Push { fanout } | Spread::Lazy { fanout } => fanout,
            Spread::Rounds { period, .. } => {
                assert!(period > SimSpan::ZERO, "a round takes time");
                1
            }
            Spread::Mesh(mesh) => {
                mesh.check();
                1
            }
        };
        let schedule = Schedule::new(options.publishing, lifetime, &tier, seed);
        Dissemination { options, engine: GossipEngine::new(fanout, u32::from(u8::MAX)), tier, members, schedule, seed }
    }

    /// What this was made with.
    pub fn options(&self) -> &DisseminationOptions {
        &self.options
    }

    /// When message `number` is published.
    pub fn published(&self, number: u32) -> SimTime {
        self.schedule.time_of(number)
    }

    /// Memory of what all partitions share, in bytes.
    pub fn bytes(&self) -> usize {
        self.tier.bytes() + self.schedule.bytes()
    }

    /// Whether nodes keep messages to pass on later.
    fn keeps(&self) -> bool {
        !matches!(self.options.spread, Spread::Push { .. }) || self.options.repair.is_some()
    }

    /// Whether nodes ask for what is announced.
    fn fetches(&self) -> bool {
        match self.options.spread {
            Spread::Lazy { .. } | Spread::Mesh(_) => true,
            Spread::Rounds { exchange, .. } => exchange != Exchange::Pull || self.options.repair.is_some(),
            Spread::Push { .. } => self.options.repair.is_some(),
        }
    }

    fn mesh(&self) -> Option<&MeshOptions> {
        if let Spread::Mesh(mesh) = &self.options.spread { Some(mesh) } else { None }
    }

    /// Whether all nodes begin rounds of this length together.
    fn common_round(&self) -> Option<SimSpan> {
        match self.options.spread {
            Spread::Rounds { period, synchronous: true, .. } => Some(period),
            _ => None,
        }
    }

    fn is_member(&self, here: Here) -> bool {
        self.members.contains(&here.id)
    }
}

/// A message under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisseminationMessage {
    /// What was published.
    Message {
        /// Its number.
        number: u32,
        /// How many nodes have sent it on its way here.
        hops: u8,
    },
    /// I have these messages (gossipsub's IHAVE).
    Have(Ids),
    /// Send me these (gossipsub's IWANT).
    Want(Ids),
    /// From the base on I have had these alone: send me the others.
    Ask(Ids),
    /// As both `Ask` and `Have`.
    Sync(Ids),
    /// I push messages to you, and want you to push them to me; or we do so already.
    Graft,
    /// We do not, or no more.
    Prune,
}

const _: () = assert!(size_of::<DisseminationMessage>() == 16, "a message stays in its cache line");

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DisseminationTimer {
    /// A message is to be published.
    Publish {
        /// Its number.
        number: u32,
    },
    /// A round begins.
    Round,
    /// It is time to compare with another.
    Repair,
    /// A heartbeat of the mesh.
    Heartbeat,
    /// A message that was asked for is late, if it is not there.
    Late {
        /// Its number.
        number: u32,
    },
}

impl Protocol for Dissemination {
    type Message = DisseminationMessage;
    type Timer = DisseminationTimer;
    type State = DisseminationState;

    fn kinds(&self) -> &'static [&'static str] {
        &Self::KIND_NAMES
    }

    #[inline(always)]
    fn kind(&self, message: &DisseminationMessage) -> usize {
        match message {
            DisseminationMessage::Message { .. } => 0,
            DisseminationMessage::Have(_) => 1,
            DisseminationMessage::Want(_) => 2,
            DisseminationMessage::Ask(_) => 3,
            DisseminationMessage::Sync(_) => 4,
            DisseminationMessage::Graft => 5,
            DisseminationMessage::Prune => 6,
        }
    }

    #[inline(always)]
    fn wire_len(&self, message: &DisseminationMessage, _: usize) -> u32 {
        wire::wire_len(message, self.options.publishing.size)
    }

    #[inline(always)]
    fn fingerprint(&self, message: &DisseminationMessage) -> u64 {
        let contents = match message {
            DisseminationMessage::Message { number, hops } => u64::from(*number) << 8 | u64::from(*hops),
            DisseminationMessage::Have(ids)
            | DisseminationMessage::Want(ids)
            | DisseminationMessage::Ask(ids)
            | DisseminationMessage::Sync(ids) => ids.fingerprint(),
            DisseminationMessage::Graft | DisseminationMessage::Prune => 0,
        };
        contents.rotate_left(3) ^ self.kind(message) as u64
    }

    fn state(&self, nodes: Nodes) -> DisseminationState {
        DisseminationState::new(self, &nodes)
    }

    fn state_bytes(&self, state: &DisseminationState) -> usize {
        state.bytes()
    }

    fn handle_start(&self, _: &mut DisseminationState, here: Here, fx: &mut impl Effects<Self>) {
        if !self.is_member(here) {
            return;
        }
        for (number, after) in self.schedule.turns_of(here.id, fx.now()) {
            fx.wake_after(after, DisseminationTimer::Publish { number });
        }
        match self.options.spread {
            Spread::Rounds { period, .. } => {
                let after = self.until_round(period, true, fx);
                fx.wake_after(after, DisseminationTimer::Round);
            }
            Spread::Mesh(MeshOptions { heartbeat, .. }) => {
                let phase = fx.random().below(heartbeat.as_nanos());
                fx.wake_after(SimSpan::from_nanos(phase), DisseminationTimer::Heartbeat);
            }
            Spread::Push { .. } | Spread::Lazy { .. } => {}
        }
        if let Some(repair) = self.options.repair {
            let phase = fx.random().below(repair.as_nanos());
            fx.wake_after(SimSpan::from_nanos(phase), DisseminationTimer::Repair);
        }
    }

    #[inline(always)]
    fn handle_message(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        message: DisseminationMessage,
        _: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_member(here) {
            state.figures.rejected += 1;
            return;
        }
        match message {
            DisseminationMessage::Message { number, hops } => self.take_message(state, here, from, (number, hops), fx),
            other => self.take_control(state, here, from, other, fx),
        }
    }

    fn handle_timer(
        &self,
        state: &mut DisseminationState,
        here: Here,
        timer: DisseminationTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match (timer, &self.options.spread) {
            (DisseminationTimer::Publish { number }, _) => {
                state.figures.publish(number);
                state.seen.insert(here.index - state.first, u64::from(number) + 1);
                self.accept(state, here, None, (number, 0), SimSpan::ZERO, fx);
            }
            (DisseminationTimer::Round, &Spread::Rounds { exchange, period, .. }) => {
                self.contact(exchange, state, here, fx);
                let after = self.until_round(period, false, fx);
                fx.wake_after(after, timer);
            }
            (DisseminationTimer::Repair, _) => {
                self.contact(Exchange::PushPull, state, here, fx);
                fx.wake_after(self.options.repair.unwrap_or(SimSpan::ZERO), timer);
            }
            (DisseminationTimer::Heartbeat, Spread::Mesh(mesh)) => self.beat(mesh, state, here, fx),
            (DisseminationTimer::Late { number }, _) => self.ask_next(state, here, number, fx),
            // Nobody sets these.
            (DisseminationTimer::Round | DisseminationTimer::Heartbeat, _) => {}
        }
    }

    fn handle_leave(&self, state: &mut DisseminationState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_member(here) && self.mesh().is_some() {
            self.leave_mesh(state, here, fx);
        }
    }

    /// As a fresh node: it has no message, waits for none, and knows random others.
    fn handle_join(&self, state: &mut DisseminationState, here: Here, fx: &mut impl Effects<Self>) {
        if self.is_member(here) {
            let node = here.index - state.first;
            state.forget(node);
            state.joined[node] = fx.now().into();
            if self.mesh().is_some() {
                state.contacts.renew(node, here.id, &self.tier, &mut fx.random());
            }
        }
        self.handle_start(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &DisseminationState, index: usize, message: &DisseminationMessage) {
        let Some(node) = index.checked_sub(state.first) else { return };
        match message {
            DisseminationMessage::Message { number, .. } => state.seen.prefetch(node, u64::from(*number) + 1),
            DisseminationMessage::Have(ids) | DisseminationMessage::Sync(ids) => {
                state.seen.prefetch(node, u64::from(ids.base()) + 1);
                state.wanted.prefetch(node);
                state.store.prefetch(node);
            }
            DisseminationMessage::Want(_) | DisseminationMessage::Ask(_) => state.store.prefetch(node),
            DisseminationMessage::Graft | DisseminationMessage::Prune => state.contacts.prefetch(node),
        }
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &DisseminationState, index: usize, timer: &DisseminationTimer) {
        let Some(node) = index.checked_sub(state.first) else { return };
        match timer {
            DisseminationTimer::Publish { .. } => {}
            DisseminationTimer::Round | DisseminationTimer::Repair => state.store.prefetch(node),
            DisseminationTimer::Heartbeat => {
                state.contacts.prefetch(node);
                state.store.prefetch(node);
            }
            DisseminationTimer::Late { .. } => state.wanted.prefetch(node),
        }
    }
}

#[cfg(test)]
mod tests;
