//! What nodes do with a message, an announcement, a question, and when they compare with each other.

use super::mesh::{newest_of, ticks_of};
use super::wanted::Announced;
use super::{
    Dissemination, DisseminationFigures, DisseminationMessage, DisseminationState, DisseminationTimer, Exchange, Ids,
    Spread, wire,
};
use crate::contract::{CoarseTime, Effects, Here, NodeId, Protocol, SimSpan, SimTime, Stream};
use crate::protocols::gossip::GossipEngine;
use crate::topologies::Tier;

impl Dissemination {
    /// A random other member, if there is one.
    pub(super) fn any_other(&self, own: NodeId, random: Stream) -> Option<NodeId> {
        let one = GossipEngine::new(1, 1);
        match &self.tier {
            Tier::Uniform(range) => one.select_gossip_peers(range.clone(), own, random).next(),
            Tier::Nearby(near) => one.select_near_peers(near, own, random).next(),
        }
    }

    /// Counts messages that are sent.
    #[inline(always)]
    pub(super) fn count(
        &self,
        figures: &mut DisseminationFigures,
        sent: u32,
        message: &DisseminationMessage,
        now: SimTime,
    ) {
        if now >= self.options.publishing.first {
            let len = wire::wire_len(message, self.options.publishing.size);
            figures.sent[self.kind(message)] += u64::from(sent);
            figures.bytes[self.kind(message)] += u64::from(sent) * u64::from(len);
        }
    }

    pub(super) fn send(
        &self,
        state: &mut DisseminationState,
        to: NodeId,
        message: DisseminationMessage,
        fx: &mut impl Effects<Self>,
    ) {
        self.count(&mut state.figures, 1, &message, fx.now());
        fx.send(to, message);
    }

    /// Sends `message` to as many random others as the fanout says.
    #[inline(always)]
    fn push(
        &self,
        state: &mut DisseminationState,
        here: Here,
        message: DisseminationMessage,
        fx: &mut impl Effects<Self>,
    ) {
        let random = fx.random();
        let mut sent = 0;
        match &self.tier {
            Tier::Uniform(range) => {
                let peers = self.engine.select_gossip_peers(range.clone(), here.id, random);
                fx.send_each(peers.inspect(|_| sent += 1).map(|peer| (peer, message)));
            }
            Tier::Nearby(near) => {
                let peers = self.engine.select_near_peers(near, here.id, random);
                fx.send_each(peers.inspect(|_| sent += 1).map(|peer| (peer, message)));
            }
        }
        self.count(&mut state.figures, sent, &message, fx.now());
    }

    /// A message came from another node.
    #[inline(always)]
    pub(super) fn take_message(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        (number, hops): (u32, u8),
        fx: &mut impl Effects<Self>,
    ) {
        match self.schedule.age(number, fx.now()) {
            Some(age) if hops > 0 && age <= self.options.lifetime => {
                if state.seen.insert(here.index - state.first, u64::from(number) + 1) {
                    self.accept(state, here, Some(from), (number, hops), age, fx);
                } else {
                    state.figures.duplicates += 1;
                }
            }
            Some(_) if hops > 0 => state.figures.late += 1,
            _ => state.figures.rejected += 1,
        }
    }

    /// A node has a message that is new to it, `age` after its publication: keeps it and has it go on. It is its own if it
    /// is `from` nobody.
    #[inline]
    pub(super) fn accept(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: Option<NodeId>,
        (number, hops): (u32, u8),
        age: SimSpan,
        fx: &mut impl Effects<Self>,
    ) {
        let node = here.index - state.first;
        if CoarseTime::from(self.schedule.time_of(number)) < state.joined[node] {
            state.figures.caught_up += 1;
        } else {
            state.figures.deliver(number, here.node_type, hops, age);
        }
        if self.keeps() {
            state.store.insert(node, number, hops, fx.now().into());
        }
        if self.fetches() {
            state.wanted.settle(node, number);
        }
        let Some(hops) = self.engine.next_hop(hops) else { return };
        let message = DisseminationMessage::Message { number, hops };
        match &self.options.spread {
            Spread::Push { .. } => self.push(state, here, message, fx),
            Spread::Lazy { .. } => self.push(state, here, DisseminationMessage::Have(Ids::one(number)), fx),
            Spread::Mesh(_) => self.push_along_links(state, here, from, message, fx),
            Spread::Rounds { .. } => {}
        }
    }

    /// Whether all of `ids` are messages that were published.
    fn are_published(&self, ids: &Ids, now: SimTime) -> bool {
        ids.is_empty() || ids.last().is_some_and(|last| self.schedule.age(last, now).is_some())
    }

    /// `from` says that it has these messages: asks for those that the node has not, if they live.
    fn take_announcement(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        ids: Ids,
        fx: &mut impl Effects<Self>,
    ) {
        let node = here.index - state.first;
        let live = self.schedule.live(fx.now());
        let mut missing = Ids::none(ids.base());
        for number in ids.iter().filter(|number| live.contains(number)) {
            if state.seen.contains(node, u64::from(number) + 1) {
                continue;
            }
            match state.wanted.announce(node, number, from) {
                Announced::Ask => {
                    missing.insert(number);
                    fx.wake_after(self.options.timeout, DisseminationTimer::Late { number });
                }
                Announced::Noted => {}
                Announced::Full => state.figures.overflows += 1,
            }
        }
        if !missing.is_empty() {
            self.send(state, from, DisseminationMessage::Want(missing.from_smallest()), fx);
        }
    }

    /// Sends those messages to `to` that it wants and that the node keeps.
    fn give(
        &self,
        state: &mut DisseminationState,
        here: Here,
        to: NodeId,
        told: impl Fn(CoarseTime) -> bool,
        wants: impl Fn(u32) -> bool,
        fx: &mut impl Effects<Self>,
    ) {
        let live = self.schedule.live(fx.now());
        let first = state.first;
        let DisseminationState { store, figures, .. } = state;
        for kept in store.of(here.index - first).filter(|kept| told(kept.arrived)) {
            let number = kept.number();
            let Some(hops) = self.engine.next_hop(kept.hops()).filter(|_| live.contains(&number) && wants(number))
            else {
                continue;
            };
            let message = DisseminationMessage::Message { number, hops };
            self.count(figures, 1, &message, fx.now());
            fx.send(to, message);
        }
    }

    /// `from` asks for messages.
    fn take_request(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        ids: Ids,
        fx: &mut impl Effects<Self>,
    ) {
        let kept = self.mesh().map_or(u32::MAX, |mesh| ticks_of(mesh.kept()));
        let now = CoarseTime::from(fx.now());
        self.give(state, here, from, |arrived| now.ticks_since(arrived) <= kept, |number| ids.contains(number), fx);
    }

    /// `from` has had no messages but these from their base on: sends it the others.
    fn take_digest(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        ids: Ids,
        fx: &mut impl Effects<Self>,
    ) {
        // What came in a common round is told from the next on.
        let before = self.common_round().map_or(CoarseTime::from(SimTime::MAX), |round| {
            CoarseTime::from(SimTime::ZERO + round * (fx.now().since(SimTime::ZERO) / round))
        });
        let lacks = |number| number >= ids.base() && !ids.contains(number);
        self.give(state, here, from, |arrived| arrived < before, lacks, fx);
    }

    /// Compares with a random other node.
    pub(super) fn contact(
        &self,
        exchange: Exchange,
        state: &mut DisseminationState,
        here: Here,
        fx: &mut impl Effects<Self>,
    ) {
        let live = self.schedule.live(fx.now());
        let node = here.index - state.first;
        let Some(other) = self.any_other(here.id, fx.random()) else { return };
        let message = match exchange {
            Exchange::Push => {
                let has = state.store.of(node).map(|kept| kept.number()).filter(|number| live.contains(number));
                let Some(ids) = newest_of(has) else { return };
                DisseminationMessage::Have(ids)
            }
            Exchange::Pull => DisseminationMessage::Ask(state.store.digest(node, live.start)),
            Exchange::PushPull => DisseminationMessage::Sync(state.store.digest(node, live.start)),
        };
        self.send(state, other, message, fx);
    }

    /// Time from `now` until the next round; the first begins at a phase of the node's own unless all begin together.
    pub(super) fn until_round(&self, period: SimSpan, is_first: bool, fx: &mut impl Effects<Self>) -> SimSpan {
        match self.common_round() {
            Some(round) => {
                let since = fx.now().since(SimTime::ZERO);
                round * (since / round + 1) - since
            }
            None if is_first => SimSpan::from_nanos(fx.random().below(period.as_nanos())),
            None => period,
        }
    }

    /// Anything but a message.
    pub(super) fn take_control(
        &self,
        state: &mut DisseminationState,
        here: Here,
        from: NodeId,
        message: DisseminationMessage,
        fx: &mut impl Effects<Self>,
    ) {
        match (message, self.mesh()) {
            (DisseminationMessage::Have(ids), _) if self.fetches() && self.are_published(&ids, fx.now()) => {
                self.take_announcement(state, here, from, ids, fx);
            }
            (DisseminationMessage::Want(ids), _) if self.keeps() && self.are_published(&ids, fx.now()) => {
                self.take_request(state, here, from, ids, fx);
            }
            (DisseminationMessage::Ask(ids), _) if self.keeps() && self.are_published(&ids, fx.now()) => {
                self.take_digest(state, here, from, ids, fx);
            }
            (DisseminationMessage::Sync(ids), _) if self.fetches() && self.are_published(&ids, fx.now()) => {
                self.take_digest(state, here, from, ids, fx);
                self.take_announcement(state, here, from, ids, fx);
            }
            (DisseminationMessage::Graft, Some(mesh)) => self.take_graft(mesh, state, here, from, fx),
            (DisseminationMessage::Prune, Some(mesh)) => self.take_prune(mesh, state, here, from),
            _ => state.figures.rejected += 1,
        }
    }

    /// Whoever was asked for a message has not sent it in time: asks the next who has it.
    pub(super) fn ask_next(
        &self,
        state: &mut DisseminationState,
        here: Here,
        number: u32,
        fx: &mut impl Effects<Self>,
    ) {
        let Some(next) = state.wanted.next(here.index - state.first, number) else { return };
        state.figures.timeouts += 1;
        if let Some(next) = next {
            self.send(state, next, DisseminationMessage::Want(Ids::one(number)), fx);
            fx.wake_after(self.options.timeout, DisseminationTimer::Late { number });
        } else {
            state.figures.given_up += 1;
        }
    }
}
