//! Light and mobile nodes as devices of users: they register, endorse, look up and query, one operation at a time.

use super::users::REGISTRATIONS_MAX;
use super::{Operation, RegistryMessage, RegistryService, RegistryState, RegistryTimer};
use crate::contract::{Effects, Here, NodeId, NodeType, SimSpan, SimTime};
use crate::protocols::registry::state::Client;

impl RegistryService {
    /// Operations of a device in a second, by kind.
    fn rates(&self) -> [f64; 4] {
        self.options.load.every.map(|every| every.map_or(0.0, |every| 1.0 / every.as_secs_f64()))
    }

    pub(super) fn start_client(&self, fx: &mut impl Effects<Self>) {
        self.wait_for_next(fx);
    }

    fn wait_for_next(&self, fx: &mut impl Effects<Self>) {
        let rate: f64 = self.rates().iter().sum();
        if rate > 0.0 {
            // Between 2^-53 and 1, so the logarithm is finite; casting saturates.
            let unit = 1.0 - fx.random().unit();
            fx.wake_after(SimSpan::from_nanos((-libm::log(unit) / rate * 1e9) as u64), RegistryTimer::Due);
        }
    }

    /// The `attempt`-th parent of a device, round and round; `None` if it has none.
    fn parent(&self, node: NodeId, attempt: usize) -> Option<NodeId> {
        let links = self.graph.links(node);
        links.get(attempt.checked_rem(links.len())?).map(|link| link.peer)
    }

    /// The device's rank among all.
    fn rank(&self, here: Here) -> u32 {
        here.id - self.population().range(NodeType::LightNode).start
    }

    /// What a device's operation is about: a user, and a government id or an endorser. `None` if it knows nobody.
    fn operands(&self, here: Here, client: &Client, operation: Operation) -> Option<(u32, u32)> {
        let (rank, at_start) = (self.rank(here), self.users.at_start());
        let load = &self.options.load;
        let mut choices = self.users.choices(here.id, client.number);
        let someone = |word: u64| (at_start > 0).then(|| crate::contract::scale_word(word, u64::from(at_start)) as u32);
        match operation {
            Operation::Register => {
                let turn = u32::from(client.registered).checked_sub(1)?;
                let key = self.users.of_device(rank, turn);
                let unit = choices.unit();
                let devices = self.population().total() - self.population().range(NodeType::LightNode).start;
                let id = if unit < load.fraudulent {
                    someone(choices.word()).unwrap_or(key)
                } else if unit < load.fraudulent + load.contested && rank ^ 1 < devices {
                    self.users.of_device(rank ^ 1, turn)
                } else {
                    key
                };
                Some((key, id))
            }
            Operation::Endorse | Operation::Lookup => {
                let known = u64::from(client.known.count_ones());
                let is_own = known > 0 && choices.unit() < load.own;
                let other = match is_own {
                    true => Some(self.users.of_device(rank, nth_one(client.known, choices.below(known) as u32))),
                    false => someone(choices.word()),
                };
                let user = rank.checked_rem(at_start).unwrap_or(0);
                other.map(|other| (other, user))
            }
            _ => Some((u32::from(self.users.currency(someone(choices.word()).unwrap_or(0))), 0)),
        }
    }

    /// An operation is due.
    fn due(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        self.wait_for_next(fx);
        let rates = self.rates();
        let mut draw = fx.random().unit() * rates.iter().sum::<f64>();
        let chosen = rates.iter().position(|rate| {
            draw -= rate;
            draw < 0.0
        });
        let operation = Operation::ALL[chosen.unwrap_or(2)];
        let mut client = *state.client(here);
        let counts = &mut state.figures.operations[operation as usize];
        if client.attempts > 0 {
            counts.skipped += 1;
            return;
        }
        client.number = client.number.wrapping_add(1);
        if operation == Operation::Register {
            if u32::from(client.registered) >= REGISTRATIONS_MAX {
                counts.skipped += 1;
                return;
            }
            client.registered += 1;
        }
        (client.started, client.operation) = (fx.now(), operation as u8);
        if self.operands(here, &client, operation).is_none() {
            counts.skipped += 1;
            return;
        }
        counts.asked += 1;
        *state.client(here) = client;
        state.figures.slice(self.slice(client.started))[usize::from(operation >= Operation::Lookup)][0] += 1;
        self.send_operation(state, here, fx);
    }

    fn slice(&self, time: SimTime) -> usize {
        (time.since(SimTime::ZERO) / self.options.slice) as usize
    }

    /// Asks the next parent.
    fn send_operation(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        let client = state.client(here);
        client.attempts += 1;
        let client = *client;
        let (number, attempt) = (client.number, client.attempts);
        let operation = Operation::ALL[usize::from(client.operation)];
        fx.wake_after(self.client_patience(), RegistryTimer::Unanswered { number, attempt });
        let parent = self.parent(here.id, usize::from(client.parent) + usize::from(attempt) - 1);
        if let (Some(parent), Some((key, id))) = (parent, self.operands(here, &client, operation)) {
            let ask = RegistryMessage::Ask { number, operation, key, id };
            self.send(state, parent, ask, &[], fx);
        }
    }

    /// A gateway may ask twice in each of two shards within it.
    fn client_patience(&self) -> SimSpan {
        self.options.patience * 4
    }

    pub(super) fn client_wakes(
        &self,
        state: &mut RegistryState,
        here: Here,
        timer: RegistryTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match timer {
            RegistryTimer::Due => self.due(state, here, fx),
            RegistryTimer::Unanswered { number, attempt } => {
                let client = *state.client(here);
                if (client.number, client.attempts) != (number, attempt) {
                    return;
                }
                let counts = &mut state.figures.operations[usize::from(client.operation)];
                if attempt < self.options.attempts {
                    counts.retried += 1;
                    self.send_operation(state, here, fx);
                } else {
                    counts.abandoned += 1;
                    let client = state.client(here);
                    (client.attempts, client.parent) = (0, client.parent.wrapping_add(1));
                }
            }
            _ => {}
        }
    }

    pub(super) fn client_hears(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let is_full = self.fulls().contains(&from);
        let RegistryMessage::Told { number, operation, outcome } = message else {
            state.figures.invalid += 1;
            return;
        };
        let client = *state.client(here);
        if !is_full || (!payload.is_empty() && operation != Operation::Query) {
            state.figures.invalid += 1;
            return;
        }
        if client.attempts == 0 || client.number != number || client.operation != operation as u8 {
            return;
        }
        let operands = self.operands(here, &client, operation);
        let slice = self.slice(client.started);
        let figures = &mut state.figures;
        let counts = &mut figures.operations[operation as usize];
        counts.outcomes[outcome as usize] += 1;
        counts.latency.add(fx.now().since(client.started));
        figures.found += payload.len() as u64 / 4;
        figures.slice(slice)[usize::from(operation >= Operation::Lookup)][1] += 1;
        let mut known = client.known;
        match (operation, operands) {
            (Operation::Register, Some((key, id))) if outcome.is_done() => {
                known |= 1 << (u32::from(client.registered) - 1);
                figures.acknowledged.push([key, id]);
            }
            (Operation::Lookup, Some((key, _))) if key >= self.users.at_start() => {
                figures.own_reads += 1;
                figures.missed_reads += u64::from(!outcome.is_done());
            }
            _ => {}
        }
        let client = state.client(here);
        (client.attempts, client.known) = (0, known);
    }
}

/// The place of the `n`-th one among the bits of `word`.
fn nth_one(word: u64, n: u32) -> u32 {
    let rest = (0..n).fold(word, |rest, _| rest & rest.wrapping_sub(1));
    rest.trailing_zeros().min(u64::BITS - 1)
}
