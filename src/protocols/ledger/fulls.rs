//! Full nodes: they validate and forward transactions, fetch blocks, and send headers on.

use super::transactions::{BlockKeys, Transaction, encode_all};
use super::{Ledger, LedgerMessage, LedgerState, LedgerTimer, TRANSACTIONS_MAX, Times};
use crate::contract::{Effects, Here, NodeId, NodeType, SimSpan};

impl Ledger {
    pub(super) fn full_hears(
        &self,
        state: &mut LedgerState,
        here: Here,
        from: NodeId,
        message: LedgerMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let from_above = self.is_of(from, NodeType::SuperNode);
        let from_below = from >= self.population().range(NodeType::LightNode).start;
        match message {
            LedgerMessage::Submit { number, submitted }
                if from_below && payload.is_empty() && submitted <= fx.now() =>
            {
                let transaction = Transaction { submitter: from, number, submitted };
                self.take_submission(state, here, transaction, fx);
            }
            LedgerMessage::Subscribe { slot, wanted } if from_below && payload.is_empty() => {
                self.take_subscription(state, here, from, slot, wanted, fx);
            }
            LedgerMessage::BatchAccepted { number } if from_above && payload.is_empty() => {
                let full = state.full(here);
                if full.number == number {
                    full.forwarded.extend(full.outgoing.drain(..));
                    let surplus = full.forwarded.len().saturating_sub(TRANSACTIONS_MAX);
                    full.forwarded.drain(..surplus);
                }
            }
            LedgerMessage::Announce { height } if from_above && payload.is_empty() => {
                let full = state.full(here);
                if height > full.height.max(full.wanted) {
                    (full.wanted, full.asked) = (height, 1);
                    fx.send(from, LedgerMessage::GetBlock { height });
                    fx.wake_after(self.options.patience, LedgerTimer::FullBlock { height });
                }
            }
            LedgerMessage::FullBlock { height, proposed, committed } if from_above => {
                let nodes = self.population().total();
                match BlockKeys::decode(payload, nodes, TRANSACTIONS_MAX) {
                    Some(list) => self.take_block(state, here, height, Times { proposed, committed }, list, fx),
                    None => state.figures.invalid += 1,
                }
            }
            _ => state.figures.invalid += 1,
        }
    }

    pub(super) fn full_wakes(
        &self,
        state: &mut LedgerState,
        here: Here,
        timer: LedgerTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match timer {
            LedgerTimer::Validated => {
                let full = state.full(here);
                let Some(transaction) = full.queue.pop_front() else { return };
                if !full.queue.is_empty() {
                    fx.wake_after(self.options.validation, LedgerTimer::Validated);
                }
                self.accept(state, here, transaction, fx);
            }
            LedgerTimer::Batch => self.send_batch(state, here, fx),
            LedgerTimer::BatchAccepted { number, attempt } => {
                let full = state.full(here);
                if full.outgoing.is_empty() || (full.number, full.attempts) != (number, attempt) {
                    return;
                }
                full.parent = full.parent.wrapping_add(1);
                if attempt < self.options.attempts {
                    self.repeat_batch(state, here, fx);
                } else {
                    let dropped = std::mem::take(&mut full.outgoing).len();
                    state.figures.dropped += dropped as u64;
                }
            }
            LedgerTimer::FullBlock { height } => {
                let full = state.full(here);
                if full.wanted != height || full.height >= height {
                    return;
                }
                let asked = full.asked;
                if asked >= self.options.attempts {
                    full.wanted = 0;
                    return;
                }
                full.asked += 1;
                state.figures.hold_mut(here.node_type).switched += 1;
                if let Some(parent) = self.parent(here.id, usize::from(asked)) {
                    fx.send(parent.peer, LedgerMessage::GetBlock { height });
                }
                fx.wake_after(self.options.patience, timer);
            }
            _ => {}
        }
    }

    fn take_submission(
        &self,
        state: &mut LedgerState,
        here: Here,
        transaction: Transaction,
        fx: &mut impl Effects<Self>,
    ) {
        if self.options.validation == SimSpan::ZERO {
            return self.accept(state, here, transaction, fx);
        }
        let full = state.full(here);
        if full.queue.len() >= self.options.queue_max as usize {
            state.figures.refused += 1;
            return;
        }
        if full.queue.is_empty() {
            fx.wake_after(self.options.validation, LedgerTimer::Validated);
        }
        full.queue.push_back(transaction);
    }

    /// Puts a transaction that is valid into the next batch, if there is room, and tells its submitter.
    fn accept(&self, state: &mut LedgerState, here: Here, transaction: Transaction, fx: &mut impl Effects<Self>) {
        let full = state.full(here);
        if full.batch.len() >= TRANSACTIONS_MAX {
            state.figures.refused += 1;
            return;
        }
        full.batch.push(transaction);
        if !full.is_timed {
            full.is_timed = true;
            fx.wake_after(self.options.batch, LedgerTimer::Batch);
        }
        state.figures.validated += 1;
        fx.send(transaction.submitter, LedgerMessage::Accepted { number: transaction.number });
    }

    /// A batch is due; it waits as long again while the one before is under way.
    fn send_batch(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let full = state.full(here);
        if !full.outgoing.is_empty() {
            fx.wake_after(self.options.batch, LedgerTimer::Batch);
            return;
        }
        full.is_timed = false;
        if full.batch.is_empty() {
            return;
        }
        std::mem::swap(&mut full.batch, &mut full.outgoing);
        full.number = full.number.wrapping_add(1);
        full.attempts = 0;
        self.repeat_batch(state, here, fx);
    }

    fn repeat_batch(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let LedgerState { payload, fulls, starts, .. } = state;
        let full = &mut fulls[here.index - starts[0]];
        full.attempts += 1;
        payload.clear();
        encode_all(&mut full.outgoing, payload);
        let (number, attempt) = (full.number, full.attempts);
        if let Some(parent) = self.parent(here.id, usize::from(full.parent)) {
            fx.send_payload(parent.peer, LedgerMessage::Batch { number }, payload);
        }
        fx.wake_after(self.options.patience, LedgerTimer::BatchAccepted { number, attempt });
    }

    fn take_subscription(
        &self,
        state: &mut LedgerState,
        here: Here,
        from: NodeId,
        slot: u32,
        wanted: bool,
        fx: &mut impl Effects<Self>,
    ) {
        let slot = slot as usize;
        if !self.incoming.all(here.id).contains(&slot) || state.senders[slot] != from {
            state.figures.invalid += 1;
            return;
        }
        state.subscribed[slot] = wanted;
        let full = state.full(here);
        if wanted && full.height > 0 {
            fx.send(from, LedgerMessage::header(full.height, full.times));
        }
    }

    fn take_block(
        &self,
        state: &mut LedgerState,
        here: Here,
        height: u32,
        times: Times,
        list: BlockKeys<'_>,
        fx: &mut impl Effects<Self>,
    ) {
        let LedgerState { fulls, starts, figures, senders, subscribed, .. } = state;
        let full = &mut fulls[here.index - starts[0]];
        if height <= full.height || full.wanted != height || times.proposed > fx.now() {
            figures.hold_mut(here.node_type).repeated += 1;
            return;
        }
        let passed_over = if full.height == 0 { 0 } else { height - full.height - 1 };
        (full.height, full.wanted, full.times) = (height, 0, times);
        let [since_proposal, since_commit] = times.since(fx.now());
        figures.held(here.node_type, since_proposal, since_commit);
        figures.hold_mut(here.node_type).passed_over += u64::from(passed_over);
        // Light nodes come before mobile ones, and nobody after them.
        let start = self.incoming.slots(here.id, NodeType::LightNode).start;
        let end = self.incoming.all(here.id).end;
        let header = LedgerMessage::header(height, times);
        let children = subscribed[start..end].iter().zip(&senders[start..end]);
        fx.send_each(children.filter(|(subscribed, _)| **subscribed).map(|(_, &child)| (child, header)));
        full.forwarded.retain(|transaction| {
            let is_in = list.contains(transaction.key());
            if is_in {
                let Transaction { submitter, number, submitted } = *transaction;
                fx.send(submitter, LedgerMessage::Included { number, submitted });
            }
            !is_in
        });
    }
}
