//! Consensus among super nodes: one block for each height, whoever fails, as long as fewer than a third do.
//!
//! Two patterns of messages, of which a round takes, among n replicas,
//!
//! | | [`Pattern::Pbft`] | [`Pattern::Linear`] |
//! |---|---|---|
//! | the leader sends its block | pre-prepare to all others, n - 1 | proposal to all others, n - 1 |
//! | who accepts it says so | prepare to all others, n (n - 1) | vote to the leader, n - 1 |
//! | a quorum has said so | commit to all others, n (n - 1) | certificate from the leader to all others, n - 1 |
//! | commits | who has a quorum of commits | who has the certificate |
//!
//! The first is that of Castro and Liskov, "Practical Byzantine Fault Tolerance", OSDI 1999, but that the leader sends a
//! prepare as well, and that heights follow each other: a block is proposed when the one below is committed. The second
//! is the baseline in which every node votes to the leader. A quorum is `ceil((n + f + 1) / 2)` of n replicas of which up
//! to f = `(n - 1) / 3` fail ([`quorum()`]); 2f + 1 where n = 3f + 1.
//!
//! | when | what a replica does |
//! |---|---|
//! | a height begins | waits for a proposal for the interval between blocks and the timeout; if it is the leader, proposes after the interval |
//! | half of the timeout has passed | repeats what it said in the view |
//! | nothing is committed by then | leaves the view: sends all a view change that holds what it prepared, and waits twice as long in the next view, up to [`DOUBLINGS_MAX`] times |
//! | a quorum did not follow it by then | sends its view change again instead of leaving the next view as well |
//! | f + 1 others are in later views | follows them: one of them at least has not failed |
//! | a quorum changes to a view that it leads | sends all a new-view with what they prepared, and proposes the block prepared in the highest view, or its own if there is none |
//! | it misses blocks | asks two random replicas for the next, and whoever has more for the one after that |
//! | it was down | goes on where it was: what it voted is durable, what waited is lost |
//!
//! Leaders take turns: view v of a height is led by the v-th replica after whoever proposed the block below, so a leader
//! that crashed is passed over at every height but one. With [`ConsensusOptions::rotates`], by the one after that.
//!
//! **What is promised.** No two replicas that have not failed commit different blocks at a height, whatever is lost,
//! delayed or cut off. With Pbft that holds while up to f of them do anything at all; with Linear, which has one phase of
//! votes, while they do no worse than to crash, or to propose different blocks as a leader. Blocks are committed while a
//! quorum is up and messages arrive in time more often than not.
//!
//! Simulated messages carry signatures on the wire, but no proof in memory. So the promise under faults of any kind assumes
//! what signatures give: nobody speaks in the name of another; nobody reports a view change, or names voters, that there were
//! not. What remains to a replica that lies is defended against: other blocks and votes for each receiver, votes for blocks
//! that there are not, view changes that hide what was prepared, new-views on chosen reports, old certificates. Tests of
//! this module let up to f replicas do so on a network that loses, repeats, delays and cuts.
//!
//! A replica handles messages one after the other; each takes as long as [`ConsensusOptions::processing`] says. Its queue
//! holds `4 n + 64` messages and [`QUEUED_BYTES_MAX`] of payload; what finds it full is dropped. All else is bounded too:
//! messages are taken for [`HEIGHTS_AHEAD`] heights and [`VIEWS_AHEAD`] views, four blocks of each height are kept before
//! it is committed, and the last [`HISTORY_MAX`] blocks after that.
//!
//! Replicas are the super nodes of the population, or all full nodes where there are no others; nodes of other types take
//! no part and no memory. As a layer below another
//! protocol, it is driven by [`Consensus::start`], [`Consensus::receive`] and [`Consensus::fire`]; after each,
//! [`ConsensusState::poll`] says what it asks for.

mod blocks;
mod figures;
mod quorum;
mod rounds;
mod state;
mod sync;
mod views;
pub mod wire;

use serde::{Deserialize, Serialize};

use self::blocks::digest_of;
pub use self::blocks::{BLOCK_HEAD_LEN, BODY_LEN_MAX, Block};
pub use self::figures::{CommitRecord, ConsensusFigures, Fork, HeightFigures, by_height};
pub use self::quorum::{REPLICAS_MAX, ReplicaSet, faults_max, quorum};
pub use self::state::{ConsensusState, HEIGHTS_AHEAD, HISTORY_MAX, VIEWS_AHEAD};
use self::state::{Instance, Mandate, Waiting};
use crate::contract::{Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, prefetch};

/// How often a timeout doubles, at most.
pub const DOUBLINGS_MAX: u16 = 6;
/// Most bytes of payload in the queue of a replica.
pub const QUEUED_BYTES_MAX: usize = 16 << 20;

/// The last view of a height; no height ever gets there. One more still fits a number of 16 bits.
const VIEW_MAX: u16 = u16::MAX - 1;

/// Kinds of messages.
const KINDS: usize = 7;

/// Who sends what to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Three phases, two of which go from all to all.
    Pbft,
    /// One phase of votes, to the leader and back.
    Linear,
}

/// How replicas agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsensusOptions {
    /// Who sends what to whom.
    pub pattern: Pattern,
    /// Whether every height has another leader, in turn.
    pub rotates: bool,
    /// The leader of the first height.
    pub first: NodeId,
    /// From the commit of a block at the next leader to its proposal.
    pub interval: SimSpan,
    /// From the moment at which a block may be proposed until replicas give its leader up.
    pub timeout: SimSpan,
    /// What a message takes to handle, by kind, in the order of [`MessageKind::ALL`].
    // A literal, because closures that capture this field stop rustc 1.95 if it is a constant.
    pub processing: [SimSpan; 7],
    /// Blocks are padded to this many bytes.
    pub block: u32,
    /// The last height; none if `None`.
    pub heights: Option<u32>,
    /// Commits of each replica of which a record is kept, the first ones; 32 bytes each.
    pub records_max: u32,
    /// A replica that as a leader sends one block to every other replica and another to the rest, and votes for both: to
    /// test that the others stay safe.
    pub equivocator: Option<NodeId>,
}

impl ConsensusOptions {
    /// Pbft with a block a second, without processing times; leaders stay until they fail, and are given up after five
    /// seconds.
    pub const DEFAULT: ConsensusOptions = ConsensusOptions {
        pattern: Pattern::Pbft,
        rotates: false,
        first: 0,
        interval: SimSpan::from_secs(1),
        timeout: SimSpan::from_secs(5),
        processing: [SimSpan::ZERO; KINDS],
        block: 0,
        heights: None,
        records_max: 0,
        equivocator: None,
    };
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageKind {
    /// The leader's block; of the linear pattern, the proposal.
    PrePrepare,
    /// The sender accepts the block; of the linear pattern, a vote for it.
    Prepare,
    /// A quorum accepts the block, as the sender knows; of the linear pattern, the leader's certificate of that.
    Commit,
    /// The sender gives the leader of the view before up.
    ViewChange,
    /// A quorum does, as its new leader knows.
    NewView,
    /// The sender misses the block of a height.
    Fetch,
    /// Here is a block that is committed.
    Block,
}

impl MessageKind {
    /// All kinds, in the order of the rows of results.
    pub const ALL: [MessageKind; KINDS] = [
        MessageKind::PrePrepare,
        MessageKind::Prepare,
        MessageKind::Commit,
        MessageKind::ViewChange,
        MessageKind::NewView,
        MessageKind::Fetch,
        MessageKind::Block,
    ];
}

/// A message under way. What is of no fixed size is its payload, as [`wire`] encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsensusMessage {
    /// What it is.
    pub kind: MessageKind,
    /// Of which view; of a block, the one that it was committed in. Zero in a fetch.
    pub view: u16,
    /// Of which height.
    pub height: u32,
    /// Of which block; of a view change and a new-view, of the one that was prepared. Zero where there is none.
    pub digest: u64,
}

/// What a timer of a replica says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsensusTimer {
    /// A block is to be proposed in view 0, if this replica leads it.
    Propose {
        /// At which height.
        height: u32,
    },
    /// Half of the time of a view has passed: what was said in it may have been lost.
    Repeat {
        /// Which of the timers of the height this is, modulo 256.
        attempt: u8,
        /// Which view.
        view: u16,
        /// Of which height.
        height: u32,
    },
    /// The leader of a view is to be given up.
    View {
        /// Which of the timers of the height this is, modulo 256.
        attempt: u8,
        /// Which view.
        view: u16,
        /// Of which height.
        height: u32,
    },
    /// A block that was decided, but has not arrived, is to be asked for.
    Missing {
        /// Of which height.
        height: u32,
    },
    /// The first message of the queue is handled.
    Handled,
}

/// What consensus asks of the layer above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// The replica is to propose a block: call [`Consensus::propose`] before anything else happens to it.
    Propose {
        /// At which height.
        height: u32,
    },
    /// The replica committed a block; [`ConsensusState::block`] has it. Heights ascend, but those that were skipped never
    /// come.
    Committed {
        /// At which height.
        height: u32,
    },
}

/// Why a message was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Rejected,
    Late,
    Early,
}

/// Consensus among the super nodes of a population.
#[derive(Debug)]
pub struct Consensus {
    options: ConsensusOptions,
    /// The type of the replicas, of which the first node is one.
    tier: NodeType,
    replicas: u32,
}

impl Consensus {
    /// Consensus among the super nodes of `population`, or its full nodes if it has no super nodes.
    ///
    /// # Panics
    /// If there are none or more than [`REPLICAS_MAX`], if the first leader or the equivocator is none of them, if the
    /// timeout is less than 8 ns, or if there is one replica and no interval.
    pub fn new(population: Population, options: ConsensusOptions) -> Self {
        let has_supers = population.count(NodeType::SuperNode) > 0;
        let tier = if has_supers { NodeType::SuperNode } else { NodeType::FullNode };
        let replicas = population.count(tier);
        assert!((1..=REPLICAS_MAX).contains(&replicas), "{replicas} replicas");
        let named = [Some(options.first), options.equivocator];
        assert!(named.iter().flatten().all(|&node| node < replicas), "{named:?} of {replicas} replicas");
        assert!(options.timeout.as_nanos() >= 8, "a timeout takes time");
        assert!(replicas > 1 || options.interval > SimSpan::ZERO, "a single replica waits for nobody");
        Consensus { options, tier, replicas }
    }

    /// How replicas agree.
    pub fn options(&self) -> &ConsensusOptions {
        &self.options
    }

    /// How many replicas there are; their numbers are the first.
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// How many of them have to agree.
    pub fn quorum(&self) -> u32 {
        quorum(self.replicas)
    }

    /// Who leads `view` of the height after that of a block by `last`.
    fn leader_after(&self, last: NodeId, view: u16) -> NodeId {
        (last + u32::from(self.options.rotates) + u32::from(view)) % self.replicas
    }

    /// Who leads the current height of the replica at `index` in `view`.
    fn leader(&self, state: &ConsensusState, index: usize, view: u16) -> NodeId {
        self.leader_after(state.replicas[index].last_proposer, view)
    }

    /// Who leads the view that the replica at `index` is in.
    pub fn leader_of(&self, state: &ConsensusState, index: usize) -> NodeId {
        let view = state.replicas[index].instances.front().map_or(0, |instance| instance.view);
        self.leader(state, index, view)
    }

    /// Whether `height` is beyond the last.
    fn is_beyond(&self, height: u32) -> bool {
        self.options.heights.is_some_and(|last| height > last)
    }

    fn others(&self, own: NodeId) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.replicas).filter(move |&replica| replica != own)
    }

    fn send_others(&self, own: NodeId, message: ConsensusMessage, fx: &mut impl Effects<Self>) {
        fx.send_each(self.others(own).map(|replica| (replica, message)));
    }

    /// The replica `here` starts, or goes on after it was down.
    pub fn start(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(replica) = state.replicas.get_mut(here.index) else { return };
        replica.queue.clear();
        replica.queued = 0;
        replica.is_fetching = false;
        self.begin_height(state, here, fx);
        self.progress(state, here, fx);
    }

    /// The replica `here` was down and goes on: others may have gone further.
    pub fn resume(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        self.start(state, here, fx);
        if here.index < state.replicas.len() && !self.is_beyond(state.replicas[here.index].height) {
            self.ask_anybody(state, here, fx);
        }
    }

    /// `message` arrived from `from`. It is handled when its turn comes.
    pub fn receive(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let takes = self.options.processing[message.kind as usize];
        let Some(replica) = state.replicas.get_mut(here.index).filter(|_| from < self.replicas && from != here.id)
        else {
            state.figures.rejected += 1;
            return;
        };
        if takes == SimSpan::ZERO && replica.queue.is_empty() {
            return self.handle(state, here, from, message, payload, fx);
        }
        let room = 4 * self.replicas as usize + 64;
        if replica.queue.len() == room || replica.queued + payload.len() > QUEUED_BYTES_MAX {
            state.figures.overrun += 1;
            return;
        }
        if replica.queue.is_empty() {
            fx.wake_after(takes, ConsensusTimer::Handled);
        }
        replica.queued += payload.len();
        replica.queue.push_back(Waiting { from, message, payload: payload.into() });
    }

    /// The first message of the queue has taken its time.
    fn handle_first(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let replica = &mut state.replicas[here.index];
        let Some(Waiting { from, message, payload }) = replica.queue.pop_front() else { return };
        replica.queued -= payload.len();
        if let Some(next) = replica.queue.front() {
            fx.wake_after(self.options.processing[next.message.kind as usize], ConsensusTimer::Handled);
        }
        self.handle(state, here, from, message, &payload, fx);
    }

    fn handle(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if message.height >= state.replicas[here.index].height.saturating_add(2) {
            // The sender has committed the next height at least; who is only slower is one behind.
            self.catch_up(state, here, from, fx);
        }
        let handled = match message.kind {
            _ if message.view > VIEW_MAX => Err(Refusal::Rejected),
            MessageKind::PrePrepare => self.take_proposal(state, here, from, message, payload, fx),
            MessageKind::Prepare => self.take_vote(state, here, from, message, payload, fx),
            MessageKind::Commit => match self.options.pattern {
                Pattern::Pbft => self.take_vote(state, here, from, message, payload, fx),
                Pattern::Linear => self.take_certificate(state, here, message, payload, fx),
            },
            MessageKind::ViewChange => self.take_change(state, here, from, message, payload, fx),
            MessageKind::NewView => self.take_new_view(state, here, from, message, payload, fx),
            MessageKind::Fetch => self.take_fetch(state, here, from, message, payload, fx),
            MessageKind::Block => self.take_block(state, here, from, message, payload, fx),
        };
        match handled {
            Ok(()) => {}
            Err(Refusal::Rejected) => state.figures.rejected += 1,
            Err(Refusal::Late) => state.figures.late += 1,
            Err(Refusal::Early) => state.figures.early += 1,
        }
    }

    /// A timer of the replica `here` fired.
    pub fn fire(&self, state: &mut ConsensusState, here: Here, timer: ConsensusTimer, fx: &mut impl Effects<Self>) {
        if here.index >= state.replicas.len() {
            return;
        }
        match timer {
            ConsensusTimer::Propose { height } => {
                if state.replicas[here.index].height == height {
                    self.prepare_proposal(state, here, 0, fx);
                }
            }
            ConsensusTimer::Repeat { attempt, view, height } => self.repeat(state, here, (height, view, attempt), fx),
            ConsensusTimer::View { attempt, view, height } => self.give_up(state, here, (height, view, attempt), fx),
            ConsensusTimer::Missing { height } => {
                let is_missing = state.replicas[here.index].height == height;
                if is_missing {
                    self.ask_anybody(state, here, fx);
                }
            }
            ConsensusTimer::Handled => self.handle_first(state, here, fx),
        }
    }

    /// What consensus asks for where there is no layer above: it proposes blocks without body.
    fn answer_itself(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        while let Some(output) = state.poll() {
            if let Output::Propose { .. } = output {
                self.propose(state, here, &[], fx);
            }
        }
    }
}

impl Protocol for Consensus {
    type Message = ConsensusMessage;
    type Timer = ConsensusTimer;
    type State = ConsensusState;

    fn kinds(&self) -> &'static [&'static str] {
        match self.options.pattern {
            Pattern::Pbft => &["pre-prepare", "prepare", "commit", "view-change", "new-view", "fetch", "block"],
            Pattern::Linear => &["proposal", "vote", "certificate", "view-change", "new-view", "fetch", "block"],
        }
    }

    #[inline(always)]
    fn kind(&self, message: &ConsensusMessage) -> usize {
        message.kind as usize
    }

    #[inline(always)]
    fn wire_len(&self, message: &ConsensusMessage, payload: usize) -> u32 {
        wire::wire_len(self, message, payload) as u32
    }

    #[inline(always)]
    fn fingerprint(&self, message: &ConsensusMessage) -> u64 {
        let place = u64::from(message.height) << 32 | u64::from(message.view) << 8 | message.kind as u64;
        message.digest.rotate_left(17) ^ place
    }

    fn state(&self, nodes: Nodes) -> ConsensusState {
        let ConsensusOptions { first, rotates, .. } = self.options;
        let last = if rotates { (first + self.replicas - 1) % self.replicas } else { first };
        ConsensusState::new(nodes.end_of(self.tier), last)
    }

    fn state_bytes(&self, state: &ConsensusState) -> usize {
        state.bytes()
    }

    fn handle_start(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        self.start(state, here, fx);
        self.answer_itself(state, here, fx);
    }

    fn handle_message(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        self.receive(state, here, from, message, payload, fx);
        self.answer_itself(state, here, fx);
    }

    fn handle_timer(&self, state: &mut ConsensusState, here: Here, timer: ConsensusTimer, fx: &mut impl Effects<Self>) {
        self.fire(state, here, timer, fx);
        self.answer_itself(state, here, fx);
    }

    fn handle_join(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        self.resume(state, here, fx);
        self.answer_itself(state, here, fx);
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &ConsensusState, index: usize, _: &ConsensusMessage) {
        prefetch(&state.replicas, index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &ConsensusState, index: usize, _: &ConsensusTimer) {
        prefetch(&state.replicas, index);
    }
}

#[cfg(test)]
mod adversary;
#[cfg(test)]
mod tests;
