//! Full nodes as gateways: they ask the shards that an operation takes, one after the other.

use serde::{Deserialize, Serialize};

use super::shards::Members;
use super::store::{Command, CommandKind, Outcome};
use super::users::COUNTRIES;
use super::{
    DRIVER, NOBODY, Operation, PAGE_MAX, ROUTES_MAX, RegistryMessage, RegistryService, RegistryState, RegistryTimer,
};
use crate::contract::{Effects, Here, NodeId, scale_word};

/// What a gateway waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// A command that the leader of a shard takes.
    Command(CommandKind),
    /// A user.
    Read,
    /// Users of several shards.
    Scan,
}

/// An operation under way at a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) step: Step,
    /// Whose operation it is; nobody's if a claim is settled.
    pub(super) client: NodeId,
    /// Which of the device's operations.
    pub(super) number: u16,
    pub(super) key: u32,
    pub(super) id: u32,
    pub(super) token: u32,
    /// Requests so far, which tells timers of old ones.
    pub(super) turn: u16,
    /// Of these, those of this step.
    pub(super) tries: u8,
    /// Pages that have not come yet.
    pub(super) open: u16,
    pub(super) found: Vec<u8>,
}

/// Who keeps a shard, as a gateway knows it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Route {
    pub(super) members: Members,
    pub(super) leader: NodeId,
}

impl Flow {
    /// The claim of `id` for `key` is to be settled.
    pub(super) fn settling(key: u32, id: u32, token: u32) -> Self {
        let step = Step::Command(CommandKind::Fence);
        Flow { step, client: NOBODY, number: 0, key, id, token, turn: 0, tries: 0, open: 0, found: Vec::new() }
    }
}

impl RegistryService {
    /// Begins what a device asks for.
    pub(super) fn begin(
        &self,
        state: &mut RegistryState,
        here: Here,
        client: NodeId,
        (number, operation, key, id): (u16, Operation, u32, u32),
        fx: &mut impl Effects<Self>,
    ) {
        let of_key = self.shards.of_key(&self.users, key);
        let other = match operation {
            Operation::Register => self.shards.of_id(&self.users, id),
            Operation::Endorse => self.shards.of_key(&self.users, id),
            _ => of_key,
        };
        let is_one = of_key == other;
        let step = match operation {
            Operation::Register if is_one => Step::Command(CommandKind::Register),
            Operation::Register => Step::Command(CommandKind::Claim),
            Operation::Endorse if is_one => Step::Command(CommandKind::Endorse),
            Operation::Endorse => Step::Command(CommandKind::Standing),
            Operation::Lookup => Step::Read,
            Operation::Query if key < COUNTRIES.len() as u32 => Step::Scan,
            _ => {
                state.figures.invalid += 1;
                return;
            }
        };
        if let Some(crossing) = state.figures.crossing.get_mut(operation as usize) {
            crossing[usize::from(!is_one)] += 1;
        }
        let flow = Flow { step, client, number, ..Flow::settling(key, id, 0) };
        self.start_flow(state, here, operation, flow, fx);
    }

    pub(super) fn start_flow(
        &self,
        state: &mut RegistryState,
        here: Here,
        operation: Operation,
        flow: Flow,
        fx: &mut impl Effects<Self>,
    ) {
        let full = state.full(here);
        if full.flows.len() >= self.options.flows_max as usize {
            state.figures.dropped += 1;
            return;
        }
        let id = next_id(&mut full.next_flow, operation);
        full.flows.insert(id, flow);
        self.ask(state, here, id, fx);
    }

    /// Who may be asked about `shard`, the leader first, as far as the gateway knows.
    fn route(&self, state: &mut RegistryState, here: Here, shard: u32) -> Route {
        state.full(here).routes.get(&shard).copied().unwrap_or_else(|| {
            let members = self.shards.at_start(shard);
            Route { members, leader: members.first().copied().unwrap_or(here.id) }
        })
    }

    fn learn(&self, state: &mut RegistryState, here: Here, shard: u32, change: impl FnOnce(&mut Route)) {
        let mut route = self.route(state, here, shard);
        change(&mut route);
        let routes = &mut state.full(here).routes;
        if routes.len() >= ROUTES_MAX && !routes.contains_key(&shard) {
            routes.pop_first();
        }
        routes.insert(shard, route);
    }

    /// The shard and the command of the flow's step, if a leader is to take it.
    fn command(&self, flow: &Flow) -> Option<(u32, Command)> {
        let Step::Command(kind) = flow.step else { return None };
        let Flow { key, id, token, .. } = *flow;
        let (of_key, of_id) = (|key| self.shards.of_key(&self.users, key), |id| self.shards.of_id(&self.users, id));
        Some(match kind {
            CommandKind::Claim | CommandKind::Confirm | CommandKind::Release => {
                (of_id(id), Command { kind, key, id, token })
            }
            CommandKind::Standing => (of_key(id), Command::new(kind, id, 0)),
            _ => (of_key(key), Command { kind, key, id, token }),
        })
    }

    /// Sends the request of the flow's step, each time to another member.
    fn ask(&self, state: &mut RegistryState, here: Here, id: u32, fx: &mut impl Effects<Self>) {
        let Some(flow) = state.full(here).flows.get_mut(&id) else { return };
        if flow.tries >= self.options.attempts {
            state.full(here).flows.remove(&id);
            state.figures.given_up += 1;
            return;
        }
        (flow.turn, flow.tries) = (flow.turn.wrapping_add(1), flow.tries + 1);
        let (turn, tries) = (flow.turn, usize::from(flow.tries) - 1);
        let flow = flow.clone();
        fx.wake_after(self.options.patience, RegistryTimer::Late { flow: id, turn });
        let (shard, message) = match self.command(&flow) {
            Some((shard, command)) => (shard, RegistryMessage::Request { shard, flow: id, command }),
            None if flow.step == Step::Scan => return self.scatter(state, here, id, &flow, fx),
            None => {
                let shard = self.shards.of_key(&self.users, flow.key);
                (shard, RegistryMessage::Read { shard, flow: id, key: flow.key })
            }
        };
        let route = self.route(state, here, shard);
        let start = match flow.step {
            Step::Read if self.options.read_replicas => any(id, route.members.len()),
            _ => route.members.iter().position(|&member| member == route.leader).unwrap_or(0),
        };
        let to = route.members[(start + tries) % route.members.len()];
        if tries > 0 && tries % route.members.len() == 0 {
            // Nobody who is known has answered; there may be others by now.
            self.post(state, here, DRIVER, RegistryMessage::Find { shard, flow: id }, Vec::new(), fx);
        }
        self.post(state, here, to, message, Vec::new(), fx);
    }

    /// Asks several shards for users with a currency.
    fn scatter(&self, state: &mut RegistryState, here: Here, id: u32, flow: &Flow, fx: &mut impl Effects<Self>) {
        let (count, most) = (self.shards.count(), self.options.scatter.min(self.shards.count()) as usize);
        let currency = flow.key as u8;
        let shards = match self.shards.of_currency(currency) {
            Some(shards) => shards,
            None => {
                let first = any(id, count as usize) as u32;
                (0..most as u32).map(|next| (first + next) % count).collect()
            }
        };
        let shards = &shards[..shards.len().min(most)];
        if let Some(flow) = state.full(here).flows.get_mut(&id) {
            // A page is asked for once: what has come when it is late is all of it.
            (flow.open, flow.tries) = (shards.len() as u16, u8::MAX);
        }
        state.figures.scanned += shards.len() as u64;
        for &shard in shards {
            let members = self.route(state, here, shard).members;
            let to = members[any(id ^ shard, members.len())];
            let most = self.options.page as u16;
            self.post(state, here, to, RegistryMessage::Scan { shard, flow: id, currency, most }, Vec::new(), fx);
        }
    }

    /// An answer is late.
    pub(super) fn late(&self, state: &mut RegistryState, here: Here, id: u32, turn: u16, fx: &mut impl Effects<Self>) {
        let Some(flow) = state.full(here).flows.get(&id).filter(|flow| flow.turn == turn) else { return };
        if flow.step == Step::Scan { self.gathered(state, here, id, fx) } else { self.ask(state, here, id, fx) }
    }

    /// A member answers a command.
    pub(super) fn answered(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        (id, outcome, value): (u32, Outcome, u32),
        fx: &mut impl Effects<Self>,
    ) {
        let Some(flow) = state.full(here).flows.get(&id) else { return };
        let (Some((shard, command)), step) = (self.command(flow), flow.step) else { return };
        if self.route(state, here, shard).leader != from {
            self.learn(state, here, shard, |route| {
                route.members.add(from);
                route.leader = from;
            });
        }
        let Some(mut flow) = state.full(here).flows.remove(&id) else { return };
        let next = match command.kind {
            CommandKind::Claim if outcome == Outcome::Done => {
                flow.token = value;
                Some(CommandKind::Create)
            }
            CommandKind::Create => match outcome {
                Outcome::Done | Outcome::Repeated => Some(CommandKind::Confirm),
                // The device asks again, which makes a new claim.
                Outcome::Fenced => return,
                _ => Some(CommandKind::Release),
            },
            CommandKind::Standing if outcome == Outcome::Done => Some(CommandKind::Endorse),
            CommandKind::Fence => {
                let exists = outcome == Outcome::Repeated;
                state.figures.settled[usize::from(!exists)] += 1;
                Some(if exists { CommandKind::Confirm } else { CommandKind::Release })
            }
            _ => None,
        };
        let is_answer = !matches!(
            (step, next),
            (Step::Command(CommandKind::Claim | CommandKind::Standing), Some(_))
                | (Step::Command(CommandKind::Fence | CommandKind::Confirm | CommandKind::Release), _)
        );
        let operation = Operation::of_flow(id);
        if is_answer {
            let unknown = command.kind == CommandKind::Standing && outcome == Outcome::UnknownUser;
            let outcome = if unknown { Outcome::UnknownEndorser } else { outcome };
            let told = RegistryMessage::Told { number: flow.number, operation, outcome };
            self.post(state, here, flow.client, told, Vec::new(), fx);
        }
        if let Some(kind) = next {
            // A new number, so that what still comes of the step before is not taken for an answer to this one.
            (flow.step, flow.tries, flow.turn) = (Step::Command(kind), 0, 0);
            let full = state.full(here);
            let id = next_id(&mut full.next_flow, operation);
            full.flows.insert(id, flow);
            self.ask(state, here, id, fx);
        }
    }

    /// A member answers whether there is a user.
    pub(super) fn found(
        &self,
        state: &mut RegistryState,
        here: Here,
        id: u32,
        is_there: bool,
        fx: &mut impl Effects<Self>,
    ) {
        let flows = &mut state.full(here).flows;
        if flows.get(&id).is_none_or(|flow| flow.step != Step::Read) {
            return;
        }
        let Some(flow) = flows.remove(&id) else { return };
        let outcome = if is_there { Outcome::Done } else { Outcome::UnknownUser };
        let told = RegistryMessage::Told { number: flow.number, operation: Operation::Lookup, outcome };
        self.post(state, here, flow.client, told, Vec::new(), fx);
    }

    /// A member answers with users.
    pub(super) fn take_page(
        &self,
        state: &mut RegistryState,
        here: Here,
        id: u32,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let most = self.options.page as usize * 4;
        if !payload.len().is_multiple_of(4) || payload.len() > PAGE_MAX as usize * 4 {
            state.figures.invalid += 1;
            return;
        }
        let Some(flow) = state.full(here).flows.get_mut(&id).filter(|flow| flow.step == Step::Scan) else { return };
        let room = most.saturating_sub(flow.found.len());
        flow.found.extend_from_slice(&payload[..payload.len().min(room)]);
        flow.open = flow.open.saturating_sub(1);
        let is_done = flow.open == 0 || flow.found.len() >= most;
        state.figures.pages += 1;
        if is_done {
            self.gathered(state, here, id, fx);
        }
    }

    /// A page is as full as it gets.
    fn gathered(&self, state: &mut RegistryState, here: Here, id: u32, fx: &mut impl Effects<Self>) {
        let Some(flow) = state.full(here).flows.remove(&id) else { return };
        state.figures.short_pages += u64::from(flow.open > 0 && flow.found.len() < self.options.page as usize * 4);
        let told = RegistryMessage::Told { number: flow.number, operation: Operation::Query, outcome: Outcome::Done };
        self.post(state, here, flow.client, told, flow.found, fx);
    }

    /// A member knows that another one leads, or knows of nobody.
    pub(super) fn redirected(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        id: u32,
        leader: NodeId,
        fx: &mut impl Effects<Self>,
    ) {
        let Some(flow) = state.full(here).flows.get(&id).cloned() else { return };
        if leader == NOBODY || leader == from || !self.fulls().contains(&leader) {
            return;
        }
        let shard = match self.command(&flow) {
            Some((shard, _)) => shard,
            None => self.shards.of_key(&self.users, flow.key),
        };
        self.learn(state, here, shard, |route| {
            route.members.add(leader);
            route.leader = leader;
        });
        if let Some((shard, command)) = self.command(&flow)
            && let Some(flow) = state.full(here).flows.get_mut(&id)
            && flow.tries < self.options.attempts
        {
            // The timer of the request before goes on.
            flow.tries += 1;
            let request = RegistryMessage::Request { shard, flow: id, command };
            self.post(state, here, leader, request, Vec::new(), fx);
        }
    }

    /// The driver says who the members are.
    pub(super) fn take_route(&self, state: &mut RegistryState, here: Here, shard: u32, members: Members) {
        if shard >= self.shards.count() || members.is_empty() {
            state.figures.invalid += 1;
            return;
        }
        let leader = self.route(state, here, shard).leader;
        let leader = if members.contains(&leader) { leader } else { members[0] };
        self.learn(state, here, shard, |route| *route = Route { members, leader });
    }
}

/// A number for a flow: which operation it is about stands in the three lowest bits.
fn next_id(next: &mut u32, operation: Operation) -> u32 {
    *next = next.wrapping_add(8);
    (*next & !7) | operation as u32
}

/// One of `count`, by a flow's number.
fn any(id: u32, count: usize) -> usize {
    let mixed = (u64::from(id) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    scale_word(mixed ^ (mixed >> 29) << 32, count as u64) as usize
}
