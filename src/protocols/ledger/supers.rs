//! Super nodes: mempools, what is shared with the leader, blocks that are proposed, and those that are committed.

use super::state::{Pooled, Super};
use super::transactions::{Transaction, Transactions, encode_all, encode_keys};
use super::{
    HEIGHTS_UNSHARED, HISTORY_MAX, Ledger, LedgerMessage, LedgerState, LedgerTimer, RECORD_LEN, TRANSACTIONS_MAX, Times,
};
use crate::contract::{Effects, Here, NodeId, NodeType};
use crate::protocols::consensus::{ConsensusMessage, ConsensusState, Output};
use crate::protocols::layer::Layer;

impl Ledger {
    pub(super) fn super_hears(
        &self,
        state: &mut LedgerState,
        here: Here,
        from: NodeId,
        message: LedgerMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let from_full = self.is_of(from, NodeType::FullNode);
        let from_super = self.is_of(from, NodeType::SuperNode);
        let list = || Transactions::decode(payload, self.population().total(), fx.now(), TRANSACTIONS_MAX);
        match message {
            LedgerMessage::Consensus { kind, view, height, digest } => {
                let message = ConsensusMessage { kind, view, height, digest };
                self.with_consensus(state, here, fx, |consensus, state, fx| {
                    consensus.receive(state, here, from, message, payload, fx);
                });
            }
            LedgerMessage::Batch { number } if from_full => match list() {
                Some(list) => {
                    fx.send(from, LedgerMessage::BatchAccepted { number });
                    let duplicates = self.pool(state, here, list, fx);
                    state.figures.duplicates += duplicates;
                }
                None => state.figures.invalid += 1,
            },
            LedgerMessage::Share if from_super => match list() {
                // That another super node has them as well is as it should be.
                Some(list) => drop(self.pool(state, here, list, fx)),
                None => state.figures.invalid += 1,
            },
            LedgerMessage::GetBlock { height } if from_full && payload.is_empty() => {
                self.send_block(state, here, from, height, fx);
            }
            _ => state.figures.invalid += 1,
        }
    }

    /// Sends the full node `to` the block of `height`. Who has it no longer says nothing; there are other parents.
    fn send_block(&self, state: &mut LedgerState, here: Here, to: NodeId, height: u32, fx: &mut impl Effects<Self>) {
        let LedgerState { consensus, supers, keys, .. } = state;
        let commits = &supers[here.index].commits;
        let Some((_, committed)) = commits.iter().find(|(other, _)| *other == height) else { return };
        let Some(block) = consensus.block(here.index, height) else { return };
        let Times { proposed, committed } = Times::new(block.proposed(), *committed);
        // Many ask for the same block; what tells it from others is who proposed it when.
        let block_id = (height, block.proposer(), proposed);
        if keys.of != Some(block_id) {
            keys.of = Some(block_id);
            keys.bytes.clear();
            encode_keys(Transactions::known(block.body()), &mut keys.bytes);
        }
        fx.send_payload(to, LedgerMessage::FullBlock { height, proposed, committed }, &keys.bytes);
    }

    pub(super) fn super_wakes(
        &self,
        state: &mut LedgerState,
        here: Here,
        timer: LedgerTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match timer {
            LedgerTimer::Consensus(timer) => self.with_consensus(state, here, fx, |consensus, state, fx| {
                consensus.fire(state, here, timer, fx);
            }),
            LedgerTimer::Share => self.share(state, here, fx),
            _ => {}
        }
    }

    /// Does what consensus asks for.
    pub(super) fn answer_consensus(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        while let Some(output) = state.consensus.poll() {
            match output {
                Output::Propose { .. } => self.propose(state, here, fx),
                Output::Committed { height } => self.committed(state, here, height, fx),
            }
        }
    }

    /// Keeps what is new of `list`, as far as there is room. Returns how much of it was not.
    fn pool(&self, state: &mut LedgerState, here: Here, list: Transactions<'_>, fx: &mut impl Effects<Self>) -> u64 {
        let LedgerState { supers, consensus, figures, .. } = state;
        let own = &mut supers[here.index];
        let mut duplicates = 0;
        for transaction in list.iter() {
            let key = transaction.key();
            if own.mempool.contains_key(&key) || is_in_blocks(consensus, here, u32::MAX, key) {
                duplicates += 1;
            } else if own.mempool.len() >= self.options.mempool_max as usize {
                figures.rejected += 1;
            } else {
                own.mempool.insert(key, Pooled { transaction, shared: 0 });
                own.order.push_back(key);
            }
        }
        self.share_soon(own, fx);
        duplicates
    }

    fn share_soon(&self, own: &mut Super, fx: &mut impl Effects<Self>) {
        if !own.is_timed && !own.mempool.is_empty() {
            own.is_timed = true;
            fx.wake_after(self.options.share, LedgerTimer::Share);
        }
    }

    /// Sends the leader what it has not been sent, or what was passed over, as much as goes into one message.
    fn share(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let LedgerState { supers, consensus, payload, .. } = state;
        let own = &mut supers[here.index];
        own.is_timed = false;
        let (leader, height) = (self.consensus.leader_of(consensus, here.index), consensus.height(here.index));
        if leader != own.leader {
            own.leader = leader;
            own.mempool.values_mut().for_each(|pooled| pooled.shared = 0);
        }
        if leader == here.id {
            return;
        }
        let is_due = |pooled: &Pooled| pooled.shared == 0 || pooled.shared + HEIGHTS_UNSHARED <= height;
        let mut list = Vec::new();
        let mut due = own.mempool.values_mut().filter(|pooled| is_due(pooled));
        for pooled in due.by_ref().take(TRANSACTIONS_MAX) {
            pooled.shared = height;
            list.push(pooled.transaction);
        }
        if due.next().is_some() {
            self.share_soon(own, fx);
        }
        if !list.is_empty() {
            payload.clear();
            encode_all(&mut list, payload);
            fx.send_payload(leader, LedgerMessage::Share, payload);
        }
    }

    /// Proposes the oldest transactions.
    fn propose<F: Effects<Self>>(&self, state: &mut LedgerState, here: Here, fx: &mut F) {
        let LedgerState { supers, consensus, payload, .. } = state;
        let own = &supers[here.index];
        let oldest = own.order.iter().filter_map(|key| own.mempool.get(key));
        let mut list: Vec<Transaction> =
            oldest.take(self.options.block_max as usize).map(|pooled| pooled.transaction).collect();
        payload.clear();
        encode_all(&mut list, payload);
        self.consensus.propose(consensus, here, payload, &mut Layer::<Self, F>::new(fx));
    }

    /// The super node `here` committed the block of `height`.
    fn committed(&self, state: &mut LedgerState, here: Here, height: u32, fx: &mut impl Effects<Self>) {
        let LedgerState { supers, consensus, figures, starts: _, senders, .. } = state;
        let own = &mut supers[here.index];
        let now = fx.now();
        if own.commits.len() == HISTORY_MAX {
            own.commits.pop_front();
        }
        own.commits.push_back((height, now));
        let Some(block) = consensus.block(here.index, height) else { return };
        let list = Transactions::known(block.body());
        own.mempool.retain(|&key, _| !list.contains(key));
        if own.order.len() > 2 * own.mempool.len() + 64 {
            own.order.retain(|key| own.mempool.contains_key(key));
        }
        if block.proposer() == here.id {
            figures.blocks += 1;
            figures.block_size.add(list.len() as u64 / 100);
            figures.committed += list.len() as u64;
            for transaction in list.iter() {
                figures.commit.add(now.since(transaction.submitted));
                let again = is_in_blocks(consensus, here, height, transaction.key());
                figures.committed_again += u64::from(again);
            }
        }
        let slots = self.incoming.slots(here.id, NodeType::FullNode);
        fx.send_each(senders[slots].iter().map(|&child| (child, LedgerMessage::Announce { height })));
        self.share_soon(own, fx);
    }
}

/// Whether the transaction with `key` is in one of the last blocks below `height` that the super node `here` committed.
fn is_in_blocks(consensus: &ConsensusState, here: Here, height: u32, key: u64) -> bool {
    let mut bodies = consensus.blocks(here.index).filter(|(other, _)| *other < height).map(|(_, block)| block.body());
    bodies.any(|body| Transactions::known(body).contains(key))
}

const _: () = assert!(TRANSACTIONS_MAX * RECORD_LEN <= crate::protocols::consensus::BODY_LEN_MAX);
