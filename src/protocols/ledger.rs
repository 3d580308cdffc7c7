//! Transactions and blocks over the tiers: light and mobile nodes submit, full nodes validate, super nodes agree, and what
//! they agreed on travels down again.
//!
//! | when | what a node does |
//! |---|---|
//! | a transaction is due | a light or mobile node submits it to one of its full parents; if that does not accept it in time, to the next, so often |
//! | a submission comes | a full node validates it, one after the other, accepts it, and puts it into its batch; if its queue is full, it says nothing |
//! | a batch is due | the full node sends it to one of its super parents, and to the next if that does not acknowledge it |
//! | a batch comes | a super node keeps what is new in its mempool, as far as there is room, acknowledges, and soon shares it with the leader |
//! | it is to propose a block | the leader takes the oldest transactions of its mempool |
//! | a block is committed | a super node drops its transactions from its mempool, shares the others again if there is another leader or if they were passed over for [`HEIGHTS_UNSHARED`] heights, and announces the block to its full children |
//! | an announcement comes | a full node asks for the block, if it has not asked for it yet, and other parents if it does not come |
//! | a block comes | the full node sends its header to the children that subscribed to headers from it, and tells those whose transactions it forwarded that they are in |
//! | no header came for a while | a light or mobile node subscribes with its next parent instead |
//!
//! Blocks are announced and fetched, because a full node has several super parents and a block is large; headers are sent
//! at once, because they are small and each node gets them from one parent. In the beginning that is its first.
//!
//! Super nodes agree as [`super::consensus`] says, and remember which transactions were in the last [`HISTORY_MAX`] blocks.
//! So a transaction that was submitted to two parents, because the answer of the first was lost, gets into one block only,
//! unless it is under way for longer than that.
//!
//! Full nodes believe their super parents, and light nodes their full parents: certificates are not checked below the
//! super nodes. What waits anywhere is bounded: a submitter has one transaction that is not accepted, a full node
//! [`LedgerOptions::queue_max`] that are not validated, a batch being filled and one under way of up to
//! [`TRANSACTIONS_MAX`], and as many of which it will tell their submitters; a super node keeps
//! [`LedgerOptions::mempool_max`].

mod clients;
mod figures;
mod fulls;
mod state;
mod supers;
mod transactions;
pub mod wire;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::figures::{HoldFigures, LedgerFigures};
pub use self::state::LedgerState;
pub use self::transactions::{BlockKeys, KEY_LEN, RECORD_LEN, Transaction, Transactions};
use super::consensus::{
    BODY_LEN_MAX, Consensus, ConsensusMessage, ConsensusOptions, ConsensusState, ConsensusTimer, HISTORY_MAX,
    MessageKind, Pattern,
};
use super::layer::{Contains, Layer};
use crate::contract::{Effects, Here, NodeId, NodeType, Nodes, Population, Protocol, SimSpan, SimTime};
use crate::topologies::{Graph, Incoming, Link};

/// Most transactions of a block, of a batch, and of what is shared at a time.
pub const TRANSACTIONS_MAX: usize = BODY_LEN_MAX / RECORD_LEN;
/// Heights after which a super node shares a transaction again that no block holds.
pub const HEIGHTS_UNSHARED: u32 = 3;

/// When transactions are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submissions {
    /// Mean time between two transactions of a node.
    pub every: SimSpan,
    /// Whether they are due at random, as a Poisson process; else in regular intervals from a random moment on.
    pub poisson: bool,
    /// Which types submit, in the order of [`NodeType::ALL`]; super and full nodes never do.
    pub types: [bool; 4],
}

/// What nodes do with transactions and blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// How super nodes agree.
    pub consensus: ConsensusOptions,
    /// When transactions are due; never if `None`.
    pub submissions: Option<Submissions>,
    /// Length of a transaction, in bytes; shorter ones are padded to it.
    pub transaction: u32,
    /// What a full node takes to validate a transaction.
    pub validation: SimSpan,
    /// From the first transaction of a batch until the batch is sent.
    pub batch: SimSpan,
    /// From the first transaction that a super node has to share until it does.
    pub share: SimSpan,
    /// Time after which an answer is late.
    pub patience: SimSpan,
    /// How often a transaction, or a batch, is sent in all before it is given up; at least once.
    pub attempts: u8,
    /// Transactions that wait at a full node to be validated.
    pub queue_max: u32,
    /// Transactions in the mempool of a super node.
    pub mempool_max: u32,
    /// Transactions of a block; at most [`TRANSACTIONS_MAX`].
    pub block_max: u32,
    /// Length of a header, in bytes; shorter ones are padded to it.
    pub header: u32,
    /// Whether mobile nodes get headers: each wakes their radios.
    pub mobile_headers: bool,
    /// Time without a header after which a light or mobile node looks for another parent; never if `None`.
    pub check: Option<SimSpan>,
}

impl LedgerOptions {
    /// A block of up to 4 000 transactions of 250 bytes every five seconds; each light and mobile node submits one every
    /// ten minutes.
    pub const DEFAULT: LedgerOptions = LedgerOptions {
        consensus: ConsensusOptions { interval: SimSpan::from_secs(5), ..ConsensusOptions::DEFAULT },
        submissions: Some(Submissions {
            every: SimSpan::from_secs(600),
            poisson: true,
            types: [false, false, true, true],
        }),
        transaction: 250,
        validation: SimSpan::from_micros(100),
        batch: SimSpan::from_millis(500),
        share: SimSpan::from_millis(200),
        patience: SimSpan::from_secs(2),
        attempts: 3,
        queue_max: 1_000,
        mempool_max: 20_000,
        block_max: 4_000,
        header: 200,
        mobile_headers: true,
        check: Some(SimSpan::from_secs(60)),
    };
}

/// Transactions and blocks over the tiers of a network.
#[derive(Debug)]
pub struct Ledger {
    graph: Arc<Graph>,
    incoming: Incoming,
    consensus: Consensus,
    options: LedgerOptions,
}

impl Ledger {
    /// A ledger over the tiers that `graph` links: full nodes to super nodes first, and light and mobile nodes to full
    /// nodes.
    ///
    /// # Panics
    /// As [`Consensus::new`], or if an interval or the number of attempts is zero, if blocks hold too many transactions or
    /// none, or are padded besides.
    pub fn new(graph: Arc<Graph>, options: LedgerOptions) -> Self {
        let spans = [Some(options.batch), Some(options.share), Some(options.patience), options.check];
        let spans = spans.into_iter().chain([options.submissions.map(|submissions| submissions.every)]);
        assert!(spans.flatten().all(|span| span > SimSpan::ZERO), "an interval takes time");
        assert!((1..=TRANSACTIONS_MAX as u32).contains(&options.block_max), "{} in a block", options.block_max);
        assert!(options.consensus.block == 0, "blocks are as long as their transactions");
        assert!(options.attempts > 0, "who never tries never succeeds");
        let consensus = Consensus::new(graph.population(), options.consensus);
        Ledger { incoming: Incoming::new(&graph), graph, consensus, options }
    }

    /// How super nodes agree.
    pub fn consensus(&self) -> &Consensus {
        &self.consensus
    }

    /// What nodes do with transactions and blocks.
    pub fn options(&self) -> &LedgerOptions {
        &self.options
    }

    /// Memory of what all nodes share, in bytes.
    pub fn bytes(&self) -> usize {
        self.graph.bytes() + self.incoming.bytes()
    }

    /// Whom it is made for.
    pub fn population(&self) -> Population {
        self.graph.population()
    }

    /// Whether nodes of `node_type` get headers.
    fn gets_headers(&self, node_type: NodeType) -> bool {
        node_type == NodeType::LightNode || node_type == NodeType::MobileNode && self.options.mobile_headers
    }

    fn is_of(&self, node: NodeId, node_type: NodeType) -> bool {
        self.population().range(node_type).contains(&node)
    }

    /// The `attempt`-th parent of `node`, round and round; `None` if it has none. Those of a full node are super nodes.
    fn parent(&self, node: NodeId, attempt: usize) -> Option<Link> {
        let links = self.graph.links(node);
        let parents = match self.population().type_of(node) {
            NodeType::SuperNode => 0,
            NodeType::FullNode => links.iter().take_while(|link| self.is_of(link.peer, NodeType::SuperNode)).count(),
            _ => links.len(),
        };
        links[..parents].get(attempt.checked_rem(parents)?).copied()
    }

    /// Hands an event to consensus, and does what it asks for.
    fn with_consensus<F: Effects<Self>>(
        &self,
        state: &mut LedgerState,
        here: Here,
        fx: &mut F,
        event: impl FnOnce(&Consensus, &mut ConsensusState, &mut Layer<'_, Self, F>),
    ) {
        event(&self.consensus, &mut state.consensus, &mut Layer::new(fx));
        self.answer_consensus(state, here, fx);
    }
}

/// When a block was proposed and committed, as far as it is told with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it was proposed first.
    pub proposed: SimTime,
    /// How much later the super node committed it that it comes from, in steps of [`Times::TICK`], at most 65 535.
    pub committed: u16,
}

impl Times {
    /// 2^20 ns, about a millisecond.
    pub const TICK: SimSpan = SimSpan::from_nanos(1 << 20);

    fn new(proposed: SimTime, committed: SimTime) -> Self {
        let ticks = committed.since(proposed) / Times::TICK;
        Times { proposed, committed: ticks.min(u64::from(u16::MAX)) as u16 }
    }

    /// How long ago it was proposed and committed.
    #[inline(always)]
    fn since(self, now: SimTime) -> [SimSpan; 2] {
        let committed = self.proposed + Times::TICK * u64::from(self.committed);
        [now.since(self.proposed), now.since(committed)]
    }
}

impl LedgerMessage {
    #[inline(always)]
    fn header(height: u32, Times { proposed, committed }: Times) -> Self {
        LedgerMessage::Header { height, proposed, committed }
    }
}

/// A message under way. Lists of transactions and blocks are payloads, as [`wire`] encodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedgerMessage {
    /// Of consensus among super nodes; fields as in [`ConsensusMessage`], which spares eight bytes.
    Consensus {
        /// What it is.
        kind: MessageKind,
        /// Of which view.
        view: u16,
        /// Of which height.
        height: u32,
        /// Of which block.
        digest: u64,
    },
    /// A transaction of the sender.
    Submit {
        /// Which of its transactions.
        number: u16,
        /// When it was submitted first.
        submitted: SimTime,
    },
    /// Your transaction is valid and will be forwarded.
    Accepted {
        /// Which.
        number: u16,
    },
    /// Transactions that a full node validated.
    Batch {
        /// Of which of its batches.
        number: u16,
    },
    /// Your batch is here.
    BatchAccepted {
        /// Which.
        number: u16,
    },
    /// Transactions for the leader.
    Share,
    /// There is a block.
    Announce {
        /// Of which height.
        height: u32,
    },
    /// Send me a block.
    GetBlock {
        /// Of which height.
        height: u32,
    },
    /// Here is one: its transactions.
    FullBlock {
        /// Of which height.
        height: u32,
        /// When it was proposed first.
        proposed: SimTime,
        /// How much later it was committed, as in [`Times::committed`].
        committed: u16,
    },
    /// There is a block, and this is its header.
    Header {
        /// Of which height.
        height: u32,
        /// When it was proposed first.
        proposed: SimTime,
        /// How much later it was committed, as in [`Times::committed`].
        committed: u16,
    },
    /// Your transaction is in a block.
    Included {
        /// Which.
        number: u16,
        /// When it was submitted first.
        submitted: SimTime,
    },
    /// Send me headers, or no more.
    Subscribe {
        /// The link from the sender, by the receiver's handle of it.
        slot: u32,
        /// Which of the two.
        wanted: bool,
    },
}

/// What a timer of a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LedgerTimer {
    /// Of consensus among super nodes.
    Consensus(ConsensusTimer),
    /// A transaction is due.
    Submit,
    /// A transaction should be accepted by now.
    Accepted {
        /// Which.
        number: u16,
        /// After how many attempts.
        attempt: u8,
    },
    /// The first submission of the queue is validated.
    Validated,
    /// A batch is due.
    Batch,
    /// A batch should be acknowledged by now.
    BatchAccepted {
        /// Which.
        number: u16,
        /// After how many attempts.
        attempt: u8,
    },
    /// Transactions are to be shared with the leader.
    Share,
    /// A block that was asked for should be here by now.
    FullBlock {
        /// Of which height.
        height: u32,
    },
    /// A header should have come.
    Check,
}

impl Contains<Consensus> for Ledger {
    #[inline(always)]
    fn wrap_message(message: ConsensusMessage) -> LedgerMessage {
        let ConsensusMessage { kind, view, height, digest } = message;
        LedgerMessage::Consensus { kind, view, height, digest }
    }

    #[inline(always)]
    fn wrap_timer(timer: ConsensusTimer) -> LedgerTimer {
        LedgerTimer::Consensus(timer)
    }
}

/// Kinds of consensus, which come first.
const CONSENSUS_KINDS: usize = 7;

const KINDS: [[&str; CONSENSUS_KINDS + 11]; 2] = {
    let pbft = ["pre-prepare", "prepare", "commit"];
    let linear = ["proposal", "vote", "certificate"];
    [kinds_with(pbft), kinds_with(linear)]
};

const fn kinds_with([first, second, third]: [&'static str; 3]) -> [&'static str; CONSENSUS_KINDS + 11] {
    [
        first,
        second,
        third,
        "view-change",
        "new-view",
        "fetch",
        "block",
        "submit",
        "accepted",
        "batch",
        "batch-accepted",
        "share",
        "announce",
        "get-block",
        "full-block",
        "header",
        "included",
        "subscribe",
    ]
}

impl Protocol for Ledger {
    type Message = LedgerMessage;
    type Timer = LedgerTimer;
    type State = LedgerState;

    fn kinds(&self) -> &'static [&'static str] {
        match self.options.consensus.pattern {
            Pattern::Pbft => &KINDS[0],
            Pattern::Linear => &KINDS[1],
        }
    }

    #[inline(always)]
    fn kind(&self, message: &LedgerMessage) -> usize {
        let own = match message {
            LedgerMessage::Consensus { kind, .. } => return *kind as usize,
            LedgerMessage::Submit { .. } => 0,
            LedgerMessage::Accepted { .. } => 1,
            LedgerMessage::Batch { .. } => 2,
            LedgerMessage::BatchAccepted { .. } => 3,
            LedgerMessage::Share => 4,
            LedgerMessage::Announce { .. } => 5,
            LedgerMessage::GetBlock { .. } => 6,
            LedgerMessage::FullBlock { .. } => 7,
            LedgerMessage::Header { .. } => 8,
            LedgerMessage::Included { .. } => 9,
            LedgerMessage::Subscribe { .. } => 10,
        };
        CONSENSUS_KINDS + own
    }

    #[inline(always)]
    fn wire_len(&self, message: &LedgerMessage, payload: usize) -> u32 {
        wire::wire_len(self, message, payload) as u32
    }

    #[inline(always)]
    fn fingerprint(&self, message: &LedgerMessage) -> u64 {
        let contents = match *message {
            LedgerMessage::Consensus { kind, view, height, digest } => {
                return self.consensus.fingerprint(&ConsensusMessage { kind, view, height, digest });
            }
            LedgerMessage::Submit { number, submitted } | LedgerMessage::Included { number, submitted } => {
                submitted.as_nanos().rotate_left(24) ^ u64::from(number)
            }
            LedgerMessage::Accepted { number }
            | LedgerMessage::Batch { number }
            | LedgerMessage::BatchAccepted { number } => u64::from(number),
            LedgerMessage::Share => 0,
            LedgerMessage::Announce { height } | LedgerMessage::GetBlock { height } => u64::from(height),
            LedgerMessage::FullBlock { height, proposed, committed }
            | LedgerMessage::Header { height, proposed, committed } => {
                proposed.as_nanos().rotate_left(8) ^ u64::from(committed) ^ u64::from(height).rotate_left(32)
            }
            LedgerMessage::Subscribe { wanted, .. } => u64::from(wanted),
        };
        contents.rotate_left(8) ^ self.kind(message) as u64
    }

    fn state(&self, nodes: Nodes) -> LedgerState {
        LedgerState::new(self, &nodes)
    }

    fn state_bytes(&self, state: &LedgerState) -> usize {
        state.bytes() + self.consensus.state_bytes(&state.consensus)
    }

    fn handle_start(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::SuperNode => {
                self.with_consensus(state, here, fx, |consensus, state, fx| consensus.start(state, here, fx));
            }
            NodeType::FullNode => {}
            NodeType::LightNode | NodeType::MobileNode => self.start_client(here, fx),
        }
    }

    fn handle_message(
        &self,
        state: &mut LedgerState,
        here: Here,
        from: NodeId,
        message: LedgerMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        match here.node_type {
            NodeType::LightNode | NodeType::MobileNode => self.client_hears(state, here, from, message, payload, fx),
            NodeType::FullNode => self.full_hears(state, here, from, message, payload, fx),
            NodeType::SuperNode => self.super_hears(state, here, from, message, payload, fx),
        }
    }

    fn handle_timer(&self, state: &mut LedgerState, here: Here, timer: LedgerTimer, fx: &mut impl Effects<Self>) {
        match here.node_type {
            NodeType::LightNode | NodeType::MobileNode => self.client_wakes(state, here, timer, fx),
            NodeType::FullNode => self.full_wakes(state, here, timer, fx),
            NodeType::SuperNode => self.super_wakes(state, here, timer, fx),
        }
    }

    /// What waited is lost; what was held is not, nor what a super node voted.
    fn handle_join(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        state.forget(here);
        match here.node_type {
            NodeType::SuperNode => {
                self.with_consensus(state, here, fx, |consensus, state, fx| consensus.resume(state, here, fx));
            }
            NodeType::FullNode => {}
            NodeType::LightNode | NodeType::MobileNode => self.start_client(here, fx),
        }
    }

    #[inline(always)]
    fn prefetch_message(&self, state: &LedgerState, index: usize, _: &LedgerMessage) {
        state.prefetch(index);
    }

    #[inline(always)]
    fn prefetch_timer(&self, state: &LedgerState, index: usize, _: &LedgerTimer) {
        state.prefetch_client(index);
    }
}

#[cfg(test)]
mod tests;
