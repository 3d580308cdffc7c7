//! Light and mobile nodes: they submit transactions and follow headers.

use super::{Ledger, LedgerMessage, LedgerState, LedgerTimer, Submissions, Times};
use crate::contract::{Effects, Here, NodeId, NodeType, SimSpan};

impl Ledger {
    fn submissions(&self, here: Here) -> Option<Submissions> {
        self.options.submissions.filter(|submissions| submissions.types[here.node_type as usize])
    }

    pub(super) fn start_client(&self, here: Here, fx: &mut impl Effects<Self>) {
        if let Some(submissions) = self.submissions(here) {
            let first = if submissions.poisson {
                fx.random().exponential(submissions.every.as_nanos() as f64)
            } else {
                SimSpan::from_nanos(fx.random().below(submissions.every.as_nanos()))
            };
            fx.wake_after(first, LedgerTimer::Submit);
        }
        if let Some(check) = self.options.check.filter(|_| self.gets_headers(here.node_type)) {
            let first = check + SimSpan::from_nanos(fx.random().below(check.as_nanos()));
            fx.wake_after(first, LedgerTimer::Check);
        }
    }

    #[inline]
    pub(super) fn client_hears(
        &self,
        state: &mut LedgerState,
        here: Here,
        from: NodeId,
        message: LedgerMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        if !payload.is_empty() || !self.is_of(from, NodeType::FullNode) {
            state.figures.invalid += 1;
            return;
        }
        match message {
            LedgerMessage::Header { height, proposed, committed } => {
                let held = &mut state.heights[here.index - state.starts[1]];
                if height <= *held {
                    state.figures.hold_mut(here.node_type).repeated += 1;
                    return;
                }
                // Who holds none yet has passed nothing over.
                let passed_over = if *held == 0 { 0 } else { height - *held - 1 };
                *held = height;
                let [since_proposal, since_commit] = Times { proposed, committed }.since(fx.now());
                state.figures.held(here.node_type, since_proposal, since_commit);
                state.figures.hold_mut(here.node_type).passed_over += u64::from(passed_over);
            }
            LedgerMessage::Accepted { number } if !state.clients.is_empty() => {
                let client = state.client(here);
                if client.number == number {
                    client.attempts = 0;
                }
            }
            LedgerMessage::Included { submitted, .. } => state.figures.seen.add(fx.now().since(submitted)),
            _ => state.figures.invalid += 1,
        }
    }

    pub(super) fn client_wakes(
        &self,
        state: &mut LedgerState,
        here: Here,
        timer: LedgerTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match timer {
            LedgerTimer::Submit => self.submit(state, here, fx),
            LedgerTimer::Accepted { number, attempt } => {
                let client = *state.client(here);
                if (client.number, client.attempts) != (number, attempt) {
                    return;
                }
                if attempt < self.options.attempts {
                    state.figures.retried += 1;
                    self.send_submission(state, here, fx);
                } else {
                    state.client(here).attempts = 0;
                    state.figures.abandoned += 1;
                }
            }
            LedgerTimer::Check => self.check(state, here, fx),
            _ => {}
        }
    }

    /// A transaction is due.
    fn submit(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(submissions) = self.submissions(here) else { return };
        let next = if submissions.poisson {
            fx.random().exponential(submissions.every.as_nanos() as f64)
        } else {
            submissions.every
        };
        fx.wake_after(next, LedgerTimer::Submit);
        let client = state.client(here);
        if client.attempts > 0 {
            state.figures.skipped += 1;
            return;
        }
        client.number = client.number.wrapping_add(1);
        client.submitted = fx.now();
        state.figures.submitted += 1;
        self.send_submission(state, here, fx);
    }

    /// Sends the transaction that is not accepted yet, to the next parent.
    fn send_submission(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let client = state.client(here);
        let attempt = usize::from(client.parent) + usize::from(client.attempts);
        client.attempts += 1;
        let (number, submitted, attempts) = (client.number, client.submitted, client.attempts);
        if let Some(parent) = self.parent(here.id, attempt) {
            fx.send(parent.peer, LedgerMessage::Submit { number, submitted });
        }
        fx.wake_after(self.options.patience, LedgerTimer::Accepted { number, attempt: attempts });
    }

    /// Turns to the next parent if no header came since the last time.
    fn check(&self, state: &mut LedgerState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(check) = self.options.check else { return };
        fx.wake_after(check, LedgerTimer::Check);
        let height = state.heights[here.index - state.starts[1]];
        let client = state.client(here);
        if client.checked != height {
            client.checked = height;
            return;
        }
        let old = self.parent(here.id, usize::from(client.parent));
        client.parent = client.parent.wrapping_add(1);
        let new = self.parent(here.id, usize::from(client.parent));
        state.figures.hold_mut(here.node_type).switched += 1;
        for (parent, wanted) in [(old, false), (new, true)] {
            if let Some(parent) = parent {
                fx.send(parent.peer, LedgerMessage::Subscribe { slot: parent.slot, wanted });
            }
        }
    }
}
