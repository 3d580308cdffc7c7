//! Full nodes: they take one thing after the other, and what they send waits until they are done with it.

use super::gateways::Flow;
use super::members::Replacing;
use super::replica::{ENTRIES_MAX, Own, Replica, Sendings};
use super::state::{Full, Item};
use super::store::{CommandKind, Entry, changes};
use super::{
    DRIVER, NOBODY, Operation, PAGE_MAX, RegistryMessage, RegistryService, RegistryState, RegistryTimer, Role,
    SETTLED_MAX, ServiceTime, span_of, ticks, wire,
};
use crate::contract::{Effects, Here, NodeId, NodeType, SimTime};

impl RegistryService {
    /// Sends `message` now, and counts it.
    pub(super) fn send(
        &self,
        state: &mut RegistryState,
        to: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let operation = self.operation_of(&message) as usize;
        let traffic = &mut state.figures.traffic[operation];
        let length = wire::wire_len(&message, payload.len()) as u64;
        // What a leader sends counts with its answer, which does not say what it is about.
        let answer = match message {
            RegistryMessage::Append { .. } | RegistryMessage::Beat { .. } | RegistryMessage::Entries { .. } => {
                Some(wire::APPENDED_LEN as u64)
            }
            RegistryMessage::Appended { .. } => None,
            _ => Some(0),
        };
        if let Some(answer) = answer {
            traffic[0] += 1 + u64::from(answer > 0);
            traffic[1] += length + answer;
        }
        if payload.is_empty() { fx.send(to, message) } else { fx.send_payload(to, message, payload) }
    }

    /// Sends `message` from a full node when it has done what it is about, which may be at once.
    pub(super) fn post(
        &self,
        state: &mut RegistryState,
        here: Here,
        to: NodeId,
        message: RegistryMessage,
        payload: Vec<u8>,
        fx: &mut impl Effects<Self>,
    ) {
        let now = fx.now();
        let full = state.full(here);
        if full.outbox.is_empty() && full.busy <= now && to != here.id {
            self.send(state, to, message, &payload, fx);
            return;
        }
        let due = full.busy.max(now);
        if !std::mem::replace(&mut full.is_timed, true) {
            fx.wake_after(due.since(now), RegistryTimer::Served);
        }
        full.outbox.push_back(Item { due, to, message, payload });
    }

    /// Sends what is due.
    fn serve(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        // What a node says to itself may make it say more, so this ends with what is there now.
        for _ in 0..state.full(here).outbox.len() {
            let full = state.full(here);
            let Some(item) = full.outbox.pop_front_if(|item| item.due <= now) else { break };
            let Item { to, message, payload, .. } = item;
            if to == here.id {
                self.full_hears(state, here, here.id, message, &payload, fx);
            } else {
                self.send(state, to, message, &payload, fx);
            }
        }
        let full = state.full(here);
        full.is_timed = !full.outbox.is_empty();
        if let Some(first) = full.outbox.front() {
            fx.wake_after(first.due.since(now), RegistryTimer::Served);
        }
    }

    /// Takes the node's time. Returns `false` if so much waits that a request is dropped.
    fn charge(
        &self,
        state: &mut RegistryState,
        here: Here,
        service: &ServiceTime,
        is_request: bool,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        let (now, word) = (fx.now(), fx.random().word());
        let full = state.full(here);
        if is_request && full.outbox.len() >= self.options.queue_max as usize {
            state.figures.dropped += 1;
            return false;
        }
        let span = service.at(word);
        full.busy = full.busy.max(now) + span;
        true
    }

    pub(super) fn full_hears(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let options = &self.options;
        let is_served = match message {
            RegistryMessage::Request { command, .. } if command.kind == CommandKind::Standing => {
                self.charge(state, here, &options.read, true, fx)
            }
            RegistryMessage::Request { .. } => self.charge(state, here, &options.write, true, fx),
            RegistryMessage::Read { .. } | RegistryMessage::Scan { .. } => {
                self.charge(state, here, &options.read, true, fx)
            }
            RegistryMessage::Append { .. } | RegistryMessage::Entries { .. } | RegistryMessage::Chunk { .. } => {
                self.charge(state, here, &options.write, false, fx)
            }
            RegistryMessage::Ask { .. } => {
                let has_room = state.full(here).outbox.len() < options.queue_max as usize;
                state.figures.dropped += u64::from(!has_room);
                has_room
            }
            _ => true,
        };
        if is_served {
            self.take(state, here, from, message, payload, fx);
        }
    }

    /// Does what `message` is about.
    fn take(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let from_type = self.population().type_of(from);
        let is_from_device = from_type >= NodeType::LightNode;
        let has_payload = matches!(message, RegistryMessage::Entries { .. } | RegistryMessage::Page { .. });
        let is_driver = matches!(message, RegistryMessage::Replace { .. } | RegistryMessage::Found { .. });
        let is_plausible = match message {
            RegistryMessage::Ask { .. } => is_from_device,
            _ if is_driver => from == DRIVER,
            _ => from_type == NodeType::FullNode,
        };
        if !is_plausible || (!payload.is_empty() && !has_payload) || !self.names_full_nodes(&message, payload) {
            state.figures.invalid += 1;
            return;
        }
        match message {
            RegistryMessage::Ask { number, operation, key, id } => {
                self.begin(state, here, from, (number, operation, key, id), fx);
            }
            RegistryMessage::Answer { flow, outcome, value } => {
                self.answered(state, here, from, (flow, outcome, value), fx);
            }
            RegistryMessage::Record { flow, is_there } => self.found(state, here, flow, is_there, fx),
            RegistryMessage::Page { flow } => self.take_page(state, here, flow, payload, fx),
            RegistryMessage::Elsewhere { flow, leader } => self.redirected(state, here, from, flow, leader, fx),
            RegistryMessage::Found { shard, members, .. } => self.take_route(state, here, shard, members),
            RegistryMessage::Read { shard, flow, key } => {
                let reply = self.read(state, here, shard, flow, key, fx.now());
                self.post(state, here, from, reply, Vec::new(), fx);
            }
            RegistryMessage::Scan { shard, flow, currency, most } => {
                let mut page = Vec::new();
                let full = state.full(here);
                if let Ok(place) = full.place(shard) {
                    let most = usize::from(most).min(PAGE_MAX as usize);
                    full.replicas[place].store.page(&self.directory(), shard, currency, most, &mut page);
                }
                self.post(state, here, from, RegistryMessage::Page { flow }, page, fx);
            }
            _ => self.take_as_member(state, here, from, message, payload, fx),
        }
    }

    /// Whether all nodes that `message` makes members of, and all entries that come with it, are what they should be.
    fn names_full_nodes(&self, message: &RegistryMessage, payload: &[u8]) -> bool {
        let is_full = |node: NodeId| self.fulls().contains(&node);
        let is_sound = |entry: Entry| changes(&entry.command).is_none_or(|(node, _)| is_full(node));
        match message {
            RegistryMessage::Append { entry, .. } => is_sound(*entry),
            RegistryMessage::Entries { .. } => wire::entries(payload).is_some_and(|mut all| all.all(is_sound)),
            RegistryMessage::Replace { old, new, .. } => is_full(*old) && is_full(*new),
            RegistryMessage::Found { members, .. } => members.iter().all(|&node| is_full(node)),
            _ => true,
        }
    }

    /// What a member answers that is asked for a user.
    fn read(
        &self,
        state: &mut RegistryState,
        here: Here,
        shard: u32,
        flow: u32,
        key: u32,
        now: SimTime,
    ) -> RegistryMessage {
        let full = &state.fulls[here.index - state.starts[0]];
        let figures = &mut state.figures;
        let directory = self.directory();
        let whole = |replica: &Replica| replica.held >= directory.base.records(replica.shard).iter().sum();
        let replica = full.place(shard).ok().map(|place| &full.replicas[place]).filter(|replica| whole(replica));
        let Some(replica) = replica else {
            return RegistryMessage::Elsewhere { flow, leader: full.former.get(&shard).copied().unwrap_or(NOBODY) };
        };
        if replica.role == Role::Leader {
            figures.led_reads += 1;
        } else {
            figures.age.add(span_of(ticks(now).saturating_sub(replica.as_of)));
        }
        RegistryMessage::Record { flow, is_there: replica.store.government_id(&directory, shard, key).is_some() }
    }

    /// What concerns one replica.
    fn take_as_member(
        &self,
        state: &mut RegistryState,
        here: Here,
        from: NodeId,
        message: RegistryMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let Some(shard) = wire::shard(&message).filter(|&shard| shard < self.shards.count()) else {
            state.figures.invalid += 1;
            return;
        };
        let mut out = std::mem::take(&mut state.out);
        let own = self.own(here.id, fx.now());
        let figures = &mut state.figures;
        let full = &mut state.fulls[here.index - state.starts[0]];
        let place = match full.place(shard) {
            Ok(place) => Some(place),
            Err(place) if teaches(&message) && !full.former.contains_key(&shard) => {
                let start = self.shards.at_start(shard);
                full.replicas.insert(place, Replica::to_be(shard, start, own.now));
                Some(place)
            }
            Err(_) => None,
        };
        match (place, message) {
            (Some(_), RegistryMessage::Gone { leader, .. }) if leader == from => {
                figures.dismissed += 1;
                full.dismiss(shard, leader);
            }
            (Some(place), _) => {
                let replica = &mut full.replicas[place];
                let was_leader = replica.role == Role::Leader;
                if !hear(replica, &own, from, message, payload, &mut out) {
                    figures.busy += 1;
                }
                figures.leaders += u64::from(!was_leader && replica.role == Role::Leader);
            }
            (None, RegistryMessage::Request { flow, .. }) => {
                let leader = full.former.get(&shard).copied().unwrap_or(NOBODY);
                out.push((from, RegistryMessage::Elsewhere { flow, leader }));
            }
            _ => {}
        }
        self.flush(state, here, out, fx);
    }

    /// Sends what replicas want sent.
    fn flush(&self, state: &mut RegistryState, here: Here, mut out: Sendings, fx: &mut impl Effects<Self>) {
        for (to, message) in out.drain(..) {
            match message {
                RegistryMessage::Entries { shard, prev, .. } => {
                    let mut payload = std::mem::take(&mut state.payload);
                    payload.clear();
                    let full = &state.fulls[here.index - state.starts[0]];
                    if let Ok(place) = full.place(shard) {
                        let entries = full.replicas[place].log.iter().skip(prev as usize).take(ENTRIES_MAX);
                        entries.for_each(|entry| wire::put_entry(entry, &mut payload));
                    }
                    state.figures.taught += wire::wire_len(&message, payload.len()) as u64;
                    self.send(state, to, message, &payload, fx);
                    state.payload = payload;
                }
                RegistryMessage::Chunk { .. } => {
                    state.figures.moved += wire::wire_len(&message, 0) as u64;
                    self.post(state, here, to, message, Vec::new(), fx);
                }
                _ => self.post(state, here, to, message, Vec::new(), fx),
            }
        }
        state.out = out;
    }

    pub(super) fn full_wakes(
        &self,
        state: &mut RegistryState,
        here: Here,
        timer: RegistryTimer,
        fx: &mut impl Effects<Self>,
    ) {
        match timer {
            RegistryTimer::Served => self.serve(state, here, fx),
            RegistryTimer::Late { flow, turn } => self.late(state, here, flow, turn, fx),
            RegistryTimer::Tick => self.tick(state, here, fx),
            RegistryTimer::Alive => {
                fx.wake_after(self.options.alive, timer);
                self.send(state, DRIVER, RegistryMessage::Alive, &[], fx);
                if state.full(here).leaves && !state.full(here).replicas.is_empty() {
                    // So that it is heard if the first message was lost.
                    self.send(state, DRIVER, RegistryMessage::Leave, &[], fx);
                }
            }
            RegistryTimer::Depart => {
                state.full(here).leaves = true;
                self.send(state, DRIVER, RegistryMessage::Leave, &[], fx);
            }
            RegistryTimer::Due | RegistryTimer::Unanswered { .. } => {}
        }
    }

    /// Looks after all replicas, and settles old claims.
    fn tick(&self, state: &mut RegistryState, here: Here, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        fx.wake_after(self.options.heartbeat, RegistryTimer::Tick);
        let own: Own<'_> = self.own(here.id, now);
        let mut out = std::mem::take(&mut state.out);
        let mut old = Vec::new();
        let figures = &mut state.figures;
        for replica in &mut state.fulls[here.index - state.starts[0]].replicas {
            figures.campaigns += u64::from(replica.tick(&own, &mut out));
            if replica.role == Role::Leader && now.since(SimTime::ZERO) > self.options.settle {
                let before = SimTime::from_nanos(now.as_nanos() - self.options.settle.as_nanos());
                old.extend(replica.store.stale_claims(before, now, SETTLED_MAX));
            }
        }
        self.flush(state, here, out, fx);
        for (id, claim) in old {
            let flow = Flow::settling(claim.key, id, claim.token);
            self.start_flow(state, here, Operation::Settle, flow, fx);
        }
    }
}

impl Full {
    /// The node keeps `shard` no more, by order of its `leader`.
    fn dismiss(&mut self, shard: u32, leader: NodeId) {
        if let Ok(place) = self.place(shard) {
            self.replicas.remove(place);
            self.former.insert(shard, leader);
        }
    }
}

/// Whether `message` is for a replica that may not be there yet.
fn teaches(message: &RegistryMessage) -> bool {
    matches!(
        message,
        RegistryMessage::Chunk { .. }
            | RegistryMessage::Entries { prev: 0, .. }
            | RegistryMessage::Beat { prev: 0, .. }
    )
}

/// Hands `message` to a replica. Returns `false` if there was no room for a request.
pub(super) fn hear(
    replica: &mut Replica,
    own: &Own<'_>,
    from: NodeId,
    message: RegistryMessage,
    payload: &[u8],
    out: &mut Sendings,
) -> bool {
    match message {
        RegistryMessage::Request { flow, command, .. } if command.kind.is_request() => {
            return replica.request(own, (from, flow), command, out);
        }
        RegistryMessage::Append { term, prev, prev_term, commit, sent, entry, .. } => {
            replica.take_entries(own, from, [term, prev, prev_term, commit, sent], std::iter::once(entry), out);
        }
        RegistryMessage::Beat { term, prev, prev_term, commit, sent, .. } => {
            replica.take_entries(own, from, [term, prev, prev_term, commit, sent], std::iter::empty(), out);
        }
        RegistryMessage::Entries { term, prev, prev_term, commit, sent, .. } => {
            if let Some(entries) = wire::entries(payload) {
                replica.take_entries(own, from, [term, prev, prev_term, commit, sent], entries, out);
            }
        }
        RegistryMessage::Appended { term, matched, ok, .. } => {
            replica.take_appended(own, from, [term, matched], ok, out);
        }
        RegistryMessage::Vote { term, last, last_term, phase, .. } => {
            replica.take_vote(own, from, [term, last, last_term], phase, out);
        }
        RegistryMessage::Voted { term, granted, before, .. } => {
            replica.take_voted(own, from, (term, granted, before), out);
        }
        RegistryMessage::Elect { term, .. }
            if term == replica.term
                && from == replica.leader
                && replica.members.contains(&own.node)
                && replica.role == Role::Follower =>
        {
            replica.campaign(own, super::Phase::Handover, out);
        }
        RegistryMessage::Chunk { term, from: start, users, ids, .. } => {
            replica.take_chunk(own, from, [term, start, u32::from(users) + u32::from(ids)], out);
        }
        RegistryMessage::ChunkTaken { held, .. } => replica.take_chunk_taken(own, from, held, out),
        RegistryMessage::Replace { old, new, .. } => replica.take_replace(own, Replacing { old, new }, out),
        _ => {}
    }
    true
}
