//! What the nodes of a partition remember: four bytes a light or mobile node, 16 more if it submits or looks for headers.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::figures::LedgerFigures;
use super::transactions::Transaction;
use super::{Ledger, Times};
use crate::contract::{Column, Here, NodeId, NodeType, Nodes, Protocol, SimTime, exact, prefetch};
use crate::protocols::consensus::ConsensusState;

/// What a light or mobile node remembers beside the height of its last header.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Client {
    /// When its last transaction was submitted first.
    pub(super) submitted: SimTime,
    /// The height of its last header when it looked last.
    pub(super) checked: u32,
    /// Number of its last transaction.
    pub(super) number: u16,
    /// How often that was sent; 0 if it is accepted or given up.
    pub(super) attempts: u8,
    /// Which of its parents sends headers.
    pub(super) parent: u8,
}

/// What a full node remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Full {
    /// The height of the last block that it holds; 0 if none.
    pub(super) height: u32,
    /// The height of the block that it asked for; 0 if none.
    pub(super) wanted: u32,
    /// How often it asked.
    pub(super) asked: u8,
    /// Which of its parents gets its batches.
    pub(super) parent: u8,
    /// How often the batch under way was sent.
    pub(super) attempts: u8,
    /// Whether a timer runs for the next batch.
    pub(super) is_timed: bool,
    /// Number of its last batch.
    pub(super) number: u16,
    /// Of the last block that it holds.
    pub(super) times: Times,
    /// Submissions that are not validated yet.
    #[serde(with = "exact")]
    pub(super) queue: VecDeque<Transaction>,
    /// What goes into the next batch.
    #[serde(with = "exact")]
    pub(super) batch: Vec<Transaction>,
    /// The batch under way.
    #[serde(with = "exact")]
    pub(super) outgoing: Vec<Transaction>,
    /// What it forwarded and has seen in no block.
    #[serde(with = "exact")]
    pub(super) forwarded: VecDeque<Transaction>,
}

impl Full {
    fn bytes(&self) -> usize {
        let lists =
            self.queue.capacity() + self.batch.capacity() + self.outgoing.capacity() + self.forwarded.capacity();
        size_of::<Self>() + lists * size_of::<Transaction>()
    }
}

/// A transaction in a mempool.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pooled {
    pub(super) transaction: Transaction,
    /// The height at which it was shared with the leader; 0 if it is to be.
    pub(super) shared: u32,
}

/// What a super node remembers beside its part in consensus.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Super {
    /// By [`Transaction::key`].
    pub(super) mempool: BTreeMap<u64, Pooled>,
    /// Their keys, the oldest first; among them some that are gone.
    #[serde(with = "exact")]
    pub(super) order: VecDeque<u64>,
    /// Whether a timer runs after which transactions are shared.
    pub(super) is_timed: bool,
    /// With whom they were shared last.
    pub(super) leader: NodeId,
    /// When it committed the last blocks, by height.
    #[serde(with = "exact")]
    pub(super) commits: VecDeque<(u32, SimTime)>,
}

impl Super {
    /// What a mempool takes: a key and an entry of the map, with the share of its nodes that stands empty, and a key in
    /// the order.
    const POOLED_BYTES: usize = (8 + size_of::<Pooled>()) * 3 / 2;

    fn bytes(&self) -> usize {
        let lists = self.order.capacity() * 8 + self.commits.capacity() * size_of::<(u32, SimTime)>();
        size_of::<Self>() + self.mempool.len() * Self::POOLED_BYTES + lists
    }
}

/// What the nodes of a partition remember, and what became of transactions and blocks.
#[derive(Debug, Serialize, Deserialize)]
pub struct LedgerState {
    /// Where the full nodes begin, and the light ones.
    pub(super) starts: [usize; 2],
    pub(super) consensus: ConsensusState,
    pub(super) supers: Vec<Super>,
    pub(super) fulls: Vec<Full>,
    /// Of each light and mobile node, the height of its last header; 0 if none.
    pub(super) heights: Column<u32>,
    /// Empty if nodes neither submit nor look for headers.
    pub(super) clients: Column<Client>,
    /// Who sends, by slot of the graph.
    pub(super) senders: Column<NodeId>,
    /// Whether headers are sent the other way, by slot of the graph.
    pub(super) subscribed: Column<bool>,
    pub(super) figures: LedgerFigures,
    /// The payload that is being made.
    pub(super) payload: Vec<u8>,
    pub(super) keys: SentKeys,
}

/// The payload of the block that was sent last, kept because it will be sent again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SentKeys {
    /// Its height, who proposed it, and when.
    pub(super) of: Option<(u32, NodeId, SimTime)>,
    pub(super) bytes: Vec<u8>,
}

impl LedgerState {
    pub(super) fn new(ledger: &Ledger, nodes: &Nodes) -> Self {
        let starts = [nodes.end_of(NodeType::SuperNode), nodes.end_of(NodeType::FullNode)];
        let clients = nodes.len() - starts[1];
        let busy = ledger.options.submissions.is_some() || ledger.options.check.is_some();
        let graph = &*ledger.graph;
        let (senders, mut subscribed) = (graph.senders(nodes), graph.firsts(nodes));
        for (is_first, &sender) in subscribed.iter_mut().zip(senders.iter()) {
            *is_first &= ledger.gets_headers(graph.population().type_of(sender));
        }
        LedgerState {
            starts,
            consensus: ledger.consensus.state(nodes.clone()),
            supers: std::iter::repeat_with(Super::default).take(starts[0]).collect(),
            fulls: std::iter::repeat_with(Full::default).take(starts[1] - starts[0]).collect(),
            heights: Column::filled(clients, 0),
            clients: Column::filled(if busy { clients } else { 0 }, Client::default()),
            senders,
            subscribed,
            figures: LedgerFigures::default(),
            payload: Vec::new(),
            keys: SentKeys::default(),
        }
    }

    /// What became of transactions and blocks.
    pub fn figures(&self) -> &LedgerFigures {
        &self.figures
    }

    /// What super nodes remember of consensus.
    pub fn consensus(&self) -> &ConsensusState {
        &self.consensus
    }

    /// The height of the last block, or header, that the node at `index` holds; 0 if none.
    pub fn height(&self, index: usize) -> u32 {
        let [fulls, clients] = self.starts;
        if index < fulls {
            self.consensus.height(index) - 1
        } else if index < clients {
            self.fulls[index - fulls].height
        } else {
            self.heights[index - clients]
        }
    }

    pub(super) fn full(&mut self, here: Here) -> &mut Full {
        &mut self.fulls[here.index - self.starts[0]]
    }

    pub(super) fn client(&mut self, here: Here) -> &mut Client {
        &mut self.clients[here.index - self.starts[1]]
    }

    /// What waits at a node that was down is lost.
    pub(super) fn forget(&mut self, here: Here) {
        match here.node_type {
            NodeType::SuperNode => self.supers[here.index] = Super::default(),
            NodeType::FullNode => {
                let full = self.full(here);
                let Full { height, times, number, .. } = *full;
                *full = Full { height, times, number, ..Full::default() };
            }
            _ if self.clients.is_empty() => {}
            _ => self.client(here).attempts = 0,
        }
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, index: usize) {
        let [fulls, clients] = self.starts;
        if index >= clients {
            self.heights.prefetch(index - clients);
        } else if index >= fulls {
            prefetch(&self.fulls, index - fulls);
        } else {
            prefetch(&self.supers, index);
        }
    }

    #[inline(always)]
    pub(super) fn prefetch_client(&self, index: usize) {
        if let Some(client) = index.checked_sub(self.starts[1]) {
            self.clients.prefetch(client);
        }
    }

    /// Memory without that of consensus, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let columns = size_of_val(&*self.heights)
            + size_of_val(&*self.clients)
            + size_of_val(&*self.senders)
            + size_of_val(&*self.subscribed);
        let fulls: usize = self.fulls.iter().map(Full::bytes).sum();
        let supers: usize = self.supers.iter().map(Super::bytes).sum();
        columns + fulls + supers
    }
}
