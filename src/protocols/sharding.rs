//! Sharding: full nodes keep records, each several times, and hand them over when nodes come and go.
//!
//! Who is a member is for the first super node, the registrar, to say. Full nodes tell it at an interval that they live,
//! and by which view they go; it judges them by a detector. What has changed it announces to all members at most once per
//! tick, as a new *epoch*: a list of changes, or all members for who comes back or has missed an epoch. So between a
//! crash and the hand-off lie the detection, half a tick and the way of a message. There is one registrar; while it is
//! away, members stay who they are.
//!
//! Where a record is kept follows from its hash and the members ([`ShardPlacement`]), so nobody has to be asked. How
//! records move is told in `handoff.rs`. A node that leaves in good order by [`ShardingOptions::departures`] tells the
//! registrar and stays until it has handed over all that it keeps. One that leaves as a fault does, which has but one
//! chance to send, tells the registrar, which saves the detection; what it keeps is gone, as with a crash.
//!
//! A node remembers four bytes for each record that it keeps, four for each that others may have missed, eight for each that it has still to hand over, and 104
//! besides. Its view stands with those of others of the same epoch; a real node would take an eighth of a byte for each
//! full node. Values are not simulated, but their bytes are counted.

pub mod figures;
mod handoff;
pub mod placement;
mod registrar;
pub mod shard;
mod state;
pub mod view;
pub mod wire;

use serde::{Deserialize, Serialize};

use super::detector::{Detector, Rule};
use crate::contract::{
    Column, Effects, Here, NodeId, NodeType, Nodes, Placement, Population, Protocol, SimSpan, SimTime,
};
use figures::ShardingCounts;
use placement::{Owners, Placer, REPLICAS_MAX, ShardPlacement};
pub use registrar::CHANGES_MAX;
use registrar::Registrar;
use shard::{address_of, hash_of};
pub use state::ShardingState;
use state::{Keeper, Views};
use view::View;

/// How often a batch is sent until it is given up.
pub const ATTEMPTS_MAX: u8 = 5;
/// Most records in an offer.
pub const OFFER_MAX: usize = 1_024;
/// Longest batch on the wire, in bytes; it fits a UDP datagram.
pub const BATCH_LEN_MAX: usize = 60_000;
/// Most records of a run: their numbers have 30 bits.
pub const RECORDS_MAX: u32 = 1 << wire::NUMBER_BITS;

/// The registrar.
const REGISTRAR: NodeId = 0;

/// Full nodes that leave in good order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Departures {
    /// Which share of them, from 0 to 1; drawn by node.
    pub share: f64,
    /// When the first may leave.
    pub from: SimTime,
    /// Over which span they do, uniformly.
    pub over: SimSpan,
}

/// What is kept and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardingOptions {
    /// How records are placed.
    pub placement: ShardPlacement,
    /// Replicas of a record, from 1 to [`REPLICAS_MAX`].
    pub replicas: usize,
    /// Records, all of which are there at the start; at most [`RECORDS_MAX`].
    pub records: u32,
    /// Bytes of a value.
    pub value_len: u32,
    /// How often full nodes say that they live.
    pub alive: SimSpan,
    /// How the registrar judges them.
    pub detector: Detector,
    /// How often the registrar looks around and announces changes.
    pub tick: SimSpan,
    /// Most records in a batch, which has [`BATCH_LEN_MAX`] at most.
    pub batch: u16,
    /// From the confirmation of a batch to the next.
    pub pace: SimSpan,
    /// How long a batch may take to be confirmed before it is sent again, [`ATTEMPTS_MAX`] times in all.
    pub retry: SimSpan,
    /// How long a hand-off may take. Where one change follows on another within it, nodes offer what they get to its other
    /// owners.
    pub settle: SimSpan,
    /// How often nodes offer what they keep; never if `None`.
    pub repair: Option<SimSpan>,
    /// Who leaves in good order.
    pub departures: Option<Departures>,
    /// Whether it is written down what nodes store and drop: 16 bytes each time.
    pub trace: bool,
}

impl ShardingOptions {
    /// Three replicas of a million records of 200 bytes; nodes that say every 30 s that they live and are taken for down
    /// when they missed two; changes announced every 5 s; batches of 32 records, 50 ms apart; a minute for a hand-off; offers
    /// every 10 min.
    pub const fn new(placement: ShardPlacement) -> Self {
        ShardingOptions {
            placement,
            replicas: 3,
            records: 1_000_000,
            value_len: 200,
            alive: SimSpan::from_secs(30),
            detector: Detector::Timeout { missed: 2 },
            tick: SimSpan::from_secs(5),
            batch: 32,
            pace: SimSpan::from_millis(50),
            retry: SimSpan::from_secs(2),
            settle: SimSpan::from_secs(60),
            repair: Some(SimSpan::from_secs(600)),
            departures: None,
            trace: false,
        }
    }
}

/// Full nodes that keep records, and the registrar.
#[derive(Debug)]
pub struct Sharding {
    population: Population,
    options: ShardingOptions,
    placer: Placer,
    rule: Rule,
    /// By record.
    hashes: Column<u64>,
}

impl Sharding {
    /// The full nodes of `population` keep records as `options` say, and start with all that is theirs to keep.
    /// `regions` says where nodes stand, for [`ShardPlacement::ByRegion`]. Takes eight bytes a record, which stand for
    /// the hash of an address that a real node computes, and what [`Placer::new`] takes.
    ///
    /// # Panics
    /// If there is no super or no full node, if options are outside of their bounds, or as [`Placer::new`].
    pub fn new(population: Population, options: ShardingOptions, regions: Option<&Placement>) -> Self {
        let fulls = population.range(NodeType::FullNode);
        assert!(population.count(NodeType::SuperNode) > 0, "the first super node is the registrar");
        assert!(!fulls.is_empty() && fulls.end <= RECORDS_MAX, "{} full nodes", fulls.len());
        assert!(options.records <= RECORDS_MAX, "{} records", options.records);
        let longest =
            wire::HEAD_LEN as u64 + u64::from(options.batch) * (wire::RECORD_LEN as u64 + u64::from(options.value_len));
        assert!(options.batch > 0 && longest <= BATCH_LEN_MAX as u64, "a batch has {longest} bytes");
        assert!(fulls.len().div_ceil(8) <= BATCH_LEN_MAX, "a view of {} full nodes fits no datagram", fulls.len());
        let spans = [options.alive, options.tick, options.pace, options.retry];
        let spans = spans.into_iter().chain(options.repair);
        assert!(spans.into_iter().all(|span| span > SimSpan::ZERO), "spans are above zero");
        Sharding {
            population,
            placer: Placer::new(options.placement, fulls.start, fulls.len() as u32, options.replicas, regions),
            rule: options.detector.rule(options.alive),
            hashes: Column::collect(options.records as usize, (0..options.records).map(|r| hash_of(&address_of(r)))),
            options,
        }
    }

    /// The options.
    pub fn options(&self) -> &ShardingOptions {
        &self.options
    }

    /// Who keeps what.
    pub fn placer(&self) -> &Placer {
        &self.placer
    }

    /// Memory of what all partitions share, in bytes: hashes, and what it takes to find owners.
    pub fn bytes(&self) -> usize {
        self.hashes.bytes() + self.placer.bytes()
    }

    fn fulls(&self) -> std::ops::Range<NodeId> {
        self.population.range(NodeType::FullNode)
    }

    /// The hash of the address of `record`, which is one of the run.
    #[inline]
    pub fn hash_of(&self, record: u32) -> u64 {
        self.hashes[record as usize]
    }

    fn everyone(&self) -> View {
        View::all(self.fulls().start, self.fulls().len() as u32)
    }

    /// Every record with those who keep it at the start.
    fn start_owners(&self) -> impl Iterator<Item = (u32, Owners)> {
        let view = self.everyone();
        (0..self.options.records).map(move |record| (record, self.placer.owners(self.hash_of(record), &view)))
    }

    /// Sets the timer for the first offers of a node.
    fn wait_to_offer(&self, fx: &mut impl Effects<Self>) {
        if let Some(repair) = self.options.repair {
            let wait = Self::phase(repair, fx);
            fx.wake_after(wait, ShardingTimer::Offer);
        }
    }

    /// A full node says that it lives.
    fn say_alive(&self, state: &ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let epoch = state.keepers[here.index - state.first].epoch;
        fx.send(REGISTRAR, ShardingMessage::Alive { epoch });
    }

    /// The registrar announces changes to the node `here`.
    fn hear_change(
        &self,
        state: &mut ShardingState,
        here: Here,
        epoch: u32,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let Some(items) = wire::unpack(payload).filter(|items| items.len() <= CHANGES_MAX) else {
            state.counts.rejected += 1;
            return;
        };
        let own = state.keepers[here.index - state.first].epoch;
        if epoch <= own {
            return;
        }
        if own + 1 < epoch {
            // One was missed: the answer is the whole view.
            self.say_alive(state, here, fx);
            return;
        }
        let changes = items.map(wire::parts);
        let leaving: Vec<NodeId> =
            changes.clone().filter(|&(_, change)| change == registrar::LEAVING).map(|(node, _)| node).collect();
        let make = |views: &Views| {
            let old = views.get(own).cloned().unwrap_or_else(|| self.everyone());
            old.with(changes.map(|(node, change)| (node, change == registrar::MEMBER)))
        };
        self.change_view(state, here, epoch, &leaving, make, fx);
    }

    /// The registrar tells the node `here` of all members.
    fn hear_view(
        &self,
        state: &mut ShardingState,
        here: Here,
        epoch: u32,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let Some(view) = View::decode(self.fulls().start, self.fulls().len() as u32, payload) else {
            state.counts.rejected += 1;
            return;
        };
        if epoch > state.keepers[here.index - state.first].epoch {
            self.change_view(state, here, epoch, &[], |_| view, fx);
        }
    }
}

/// A message under way. What it carries is the payload; see the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardingMessage {
    /// The sender lives.
    Alive {
        /// Of its view; 0 if it has none.
        epoch: u32,
    },
    /// The sender leaves.
    Leave {
        /// Whether it stays until it has handed over all.
        stays: bool,
    },
    /// What has changed since the epoch before.
    Change {
        /// The new one.
        epoch: u32,
    },
    /// Who is a member.
    View {
        /// Of the view.
        epoch: u32,
    },
    /// Records for the receiver to keep.
    Batch {
        /// Tells batches of the sender apart.
        number: u32,
    },
    /// The batch is kept.
    Taken {
        /// Of the batch.
        number: u32,
    },
    /// What the sender keeps.
    Offer {
        /// Whether that is others' to keep.
        keeps_for_others: bool,
    },
    /// Which of what was offered the sender asks for, and which it has.
    Answer,
}

impl ShardingMessage {
    #[inline(always)]
    const fn kind(&self) -> usize {
        match self {
            ShardingMessage::Alive { .. } => 0,
            ShardingMessage::Leave { .. } => 1,
            ShardingMessage::Change { .. } => 2,
            ShardingMessage::View { .. } => 3,
            ShardingMessage::Batch { .. } => 4,
            ShardingMessage::Taken { .. } => 5,
            ShardingMessage::Offer { .. } => 6,
            ShardingMessage::Answer => 7,
        }
    }
}

/// What a timer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShardingTimer {
    /// A full node says that it lives.
    Alive,
    /// The registrar looks around.
    Tick,
    /// The next batch is due.
    Send,
    /// A batch should have been confirmed.
    Retry {
        /// Of the batch.
        number: u32,
    },
    /// A full node offers what it keeps.
    Offer,
    /// A full node offers what others may have missed.
    Mend,
    /// A full node leaves.
    Depart,
}

impl Protocol for Sharding {
    type Message = ShardingMessage;
    type Timer = ShardingTimer;
    type State = ShardingState;

    fn kinds(&self) -> &'static [&'static str] {
        &["alive", "leave", "change", "view", "batch", "taken", "offer", "answer"]
    }

    #[inline(always)]
    fn kind(&self, message: &ShardingMessage) -> usize {
        message.kind()
    }

    #[inline(always)]
    fn wire_len(&self, message: &ShardingMessage, payload: usize) -> u32 {
        wire::wire_len(message, payload, self.options.value_len) as u32
    }

    fn fingerprint(&self, message: &ShardingMessage) -> u64 {
        let field = match *message {
            ShardingMessage::Alive { epoch } | ShardingMessage::Change { epoch } | ShardingMessage::View { epoch } => {
                epoch
            }
            ShardingMessage::Batch { number } | ShardingMessage::Taken { number } => number,
            ShardingMessage::Leave { stays } => u32::from(stays),
            ShardingMessage::Offer { keeps_for_others } => u32::from(keeps_for_others),
            ShardingMessage::Answer => 0,
        };
        message.kind() as u64 | u64::from(field) << 8
    }

    fn state(&self, nodes: Nodes) -> ShardingState {
        let (first, end) = (nodes.end_of(NodeType::SuperNode), nodes.end_of(NodeType::FullNode));
        let mut keepers: Vec<Keeper> = (first..end).map(|_| Keeper { epoch: 1, ..Keeper::default() }).collect();
        for (record, owners) in self.start_owners() {
            for index in owners.iter().filter_map(|&owner| nodes.index_of(owner)) {
                keepers[index - first].held.push(record);
            }
        }
        keepers.iter_mut().for_each(|keeper| keeper.held.shrink_to_fit());
        let mut views = Views::default();
        keepers.iter().for_each(|_| views.take(1, |_| self.everyone()));
        let count = self.fulls().len() as u32;
        let registrar = || Box::new(Registrar::new(self.everyone(), count, self));
        ShardingState {
            first,
            keepers,
            registrar: nodes.index_of(REGISTRAR).map(|_| registrar()),
            views,
            counts: ShardingCounts::default(),
            trace: Vec::new(),
            bytes: Vec::new(),
        }
    }

    fn state_bytes(&self, state: &ShardingState) -> usize {
        // Not the views, which a partition holds once for all its nodes, nor the trace, which no node keeps.
        let lists =
            |keeper: &Keeper| (keeper.held.capacity() + keeper.doubtful.capacity()) * 4 + keeper.queue.capacity() * 8;
        let keepers: usize = state.keepers.iter().map(|keeper| size_of::<Keeper>() + lists(keeper)).sum();
        keepers + state.registrar.as_ref().map_or(0, |registrar| registrar.bytes())
    }

    fn handle_start(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::SuperNode if here.id == REGISTRAR => self.open_register(state, fx.now(), fx),
            NodeType::FullNode => {
                let wait = Self::phase(self.options.alive, fx);
                fx.wake_after(wait, ShardingTimer::Alive);
                self.wait_to_offer(fx);
                if let Some(departures) = self.options.departures {
                    let departs = fx.random().unit() < departures.share;
                    let wait = departures.from.since(fx.now()) + Self::phase(departures.over, fx);
                    if departs {
                        fx.wake_after(wait, ShardingTimer::Depart);
                    }
                }
            }
            _ => {}
        }
    }

    fn handle_message(
        &self,
        state: &mut ShardingState,
        here: Here,
        from: NodeId,
        message: ShardingMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let (is_full, from_registrar) = (here.node_type == NodeType::FullNode, from == REGISTRAR);
        let from_full = self.fulls().contains(&from);
        match message {
            ShardingMessage::Alive { epoch } if here.id == REGISTRAR => self.hear_alive(state, from, epoch, fx),
            ShardingMessage::Leave { stays } if here.id == REGISTRAR => self.hear_leave(state, from, stays, fx),
            ShardingMessage::Change { epoch } if is_full && from_registrar => {
                self.hear_change(state, here, epoch, payload, fx);
            }
            ShardingMessage::View { epoch } if is_full && from_registrar => {
                self.hear_view(state, here, epoch, payload, fx);
            }
            ShardingMessage::Batch { number } if is_full && from_full => {
                self.take_batch(state, here, (from, number), payload, fx);
            }
            ShardingMessage::Taken { number } if is_full && from_full => self.finish(state, here, from, number, fx),
            ShardingMessage::Offer { keeps_for_others } if is_full && from_full => {
                self.take_offer(state, here, (from, keeps_for_others), payload, fx);
            }
            ShardingMessage::Answer if is_full && from_full => self.take_answer(state, here, from, payload, fx),
            _ => state.counts.rejected += 1,
        }
    }

    fn handle_timer(&self, state: &mut ShardingState, here: Here, timer: ShardingTimer, fx: &mut impl Effects<Self>) {
        match timer {
            ShardingTimer::Alive => {
                let keeper = &state.keepers[here.index - state.first];
                if keeper.leaves {
                    // So that it is heard if the first message was lost.
                    fx.send(REGISTRAR, ShardingMessage::Leave { stays: true });
                }
                self.say_alive(state, here, fx);
                fx.wake_after(self.options.alive, timer);
            }
            ShardingTimer::Tick => self.announce(state, here, fx),
            ShardingTimer::Send => self.send_next(state, here, fx),
            ShardingTimer::Retry { number } => self.retry(state, here, number, fx),
            ShardingTimer::Offer => {
                self.offer_all(state, here, fx);
                if let Some(repair) = self.options.repair {
                    fx.wake_after(repair, timer);
                }
            }
            ShardingTimer::Mend => self.mend(state, here, fx),
            ShardingTimer::Depart => {
                state.keepers[here.index - state.first].leaves = true;
                fx.send(REGISTRAR, ShardingMessage::Leave { stays: true });
            }
        }
    }

    fn handle_leave(&self, _: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        if here.node_type == NodeType::FullNode {
            fx.send(REGISTRAR, ShardingMessage::Leave { stays: false });
        }
    }

    /// A full node comes back with nothing and without a view; the registrar with all that it knew.
    fn handle_join(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::FullNode => {
                let number = state.keepers[here.index - state.first].number;
                let fresh = Keeper { number: number.wrapping_add(1), ..Keeper::default() };
                let before = std::mem::replace(&mut state.keepers[here.index - state.first], fresh);
                state.views.give_back(before.epoch);
                self.say_alive(state, here, fx);
                fx.wake_after(self.options.alive, ShardingTimer::Alive);
                self.wait_to_offer(fx);
            }
            NodeType::SuperNode if here.id == REGISTRAR => self.open_register(state, fx.now(), fx),
            _ => {}
        }
    }
}

const _: () = assert!(REPLICAS_MAX < 9, "replicas are counted up to nine");

#[cfg(test)]
mod tests;
