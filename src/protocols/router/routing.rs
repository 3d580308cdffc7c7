//! Messages between light nodes: up to a parent, across to a home of the receiver, and down; and who keeps locations.

use super::figures::Cause;
use super::rows::NOBODY;
use super::state::{Location, RouterState, coarse_span};
use super::{HierarchicalRouter, Purpose, Routed, RouterMessage, RouterTimer};
use crate::contract::{CoarseTime, Effects, Here, NodeId, NodeType, SimSpan, SimTime};

/// Bits of a trace that count hops.
const HOPS: u8 = 0x3f;

impl Routed {
    /// How often the message was sent before.
    pub fn attempt(&self) -> u8 {
        self.trace >> 6
    }

    /// By how many nodes it was sent on its way.
    pub fn hops(&self) -> u8 {
        self.trace & HOPS
    }

    /// As the next node sends it; more than 63 hops count as 63.
    #[inline]
    fn passed_on(self) -> RouterMessage {
        let trace = self.trace & !HOPS | (self.hops() + 1).min(HOPS);
        RouterMessage::Routed(Routed { trace, ..self })
    }

    /// The answer to it, as the first node sends it.
    #[inline]
    fn answer(self, purpose: Purpose) -> RouterMessage {
        RouterMessage::Routed(Routed { purpose, trace: self.trace & !HOPS | 1, ..self })
    }
}

/// The time `now` as messages tell it.
fn stamp_of(now: SimTime) -> u16 {
    CoarseTime::from(now).ticks_since(CoarseTime::NEVER) as u16
}

/// The time from `stamp`, which is no longer ago than 2^16 ticks, to `now`.
fn elapsed(stamp: u16, now: SimTime) -> SimSpan {
    CoarseTime::TICK * u64::from(stamp_of(now).wrapping_sub(stamp))
}

impl HierarchicalRouter {
    /// Sets the timer for the next message of a light node.
    pub(super) fn wait_for_message(&self, fx: &mut impl Effects<Self>) {
        if let Some(messages) = self.options.messages {
            let until = (SimTime::ZERO + messages.from).since(fx.now());
            let about = fx.random().below((messages.interval * 2).as_nanos());
            fx.wake_after(until + SimSpan::from_nanos(about), RouterTimer::Message);
        }
    }

    /// Sends a message to a random light node, unless one is under way.
    pub(super) fn start_message(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        self.wait_for_message(fx);
        let lights = self.population.range(NodeType::LightNode);
        let others = u64::from(lights.end - lights.start) - 1;
        if others == 0 {
            return;
        }
        let draw = lights.start + fx.random().below(others) as NodeId;
        let member = &mut state.members[here.index - state.supers];
        if member.to != NOBODY {
            state.figures.skipped += 1;
            return;
        }
        state.figures.sent += 1;
        (member.to, member.stamp, member.attempt) = (draw + NodeId::from(draw >= here.id), stamp_of(fx.now()), 0);
        self.send_message(state, here, fx);
    }

    /// Sends the message that is under way by the parent whose turn it is.
    fn send_message(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(messages) = self.options.messages else { return };
        let member = state.member(here.index);
        let (stamp, attempt) = (member.stamp, member.attempt);
        member.cause = match usize::from(attempt).checked_rem(member.parents().len()) {
            None => Cause::Orphaned,
            Some(place) => {
                let via = member.parents()[place];
                let (purpose, trace, destination) = (Purpose::Message, attempt << 6 | 1, member.to);
                let routed = Routed { purpose, trace, stamp, origin: here.id, destination, via };
                fx.send(via, RouterMessage::Routed(routed));
                Cause::Unanswered
            }
        };
        fx.wake_after(messages.answer, RouterTimer::Receipt { stamp, attempt });
    }

    /// No receipt came in time for what was sent at `stamp` as attempt `attempt`, if it is still under way.
    pub(super) fn retry(
        &self,
        state: &mut RouterState,
        here: Here,
        (stamp, attempt): (u16, u8),
        fx: &mut impl Effects<Self>,
    ) {
        let member = &mut state.members[here.index - state.supers];
        if member.to == NOBODY || (member.stamp, member.attempt) != (stamp, attempt) {
            return;
        }
        if self.options.messages.is_some_and(|messages| attempt + 1 < messages.attempts) {
            member.attempt += 1;
            state.figures.retries += 1;
            self.send_message(state, here, fx);
        } else {
            member.to = NOBODY;
            state.figures.failed[member.cause as usize] += 1;
        }
    }

    /// Something that arrived on its way.
    #[inline]
    pub(super) fn pass_on(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        routed: Routed,
        fx: &mut impl Effects<Self>,
    ) {
        let is_sound = self.is_leaf(routed.origin) && self.is_leaf(routed.destination) && self.is_full(routed.via);
        let is_sound = is_sound && routed.origin != routed.destination;
        let is_taken = is_sound
            && match here.node_type {
                NodeType::SuperNode => self.pass_down(state, here, from, routed, fx),
                NodeType::FullNode if self.is_leaf(from) => self.pass_from_child(state, here, from, routed, fx),
                NodeType::FullNode => self.pass_to_child(state, here, from, routed, fx),
                NodeType::LightNode | NodeType::MobileNode => self.arrive(state, here, from, routed, fx),
            };
        state.figures.rejected += u64::from(!is_taken);
    }

    /// A child of a full node sends a message or a receipt. Returns whether it may.
    fn pass_from_child(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        routed: Routed,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        let is_own = match routed.purpose {
            Purpose::Message => routed.origin == from && routed.via == here.id,
            Purpose::Receipt => routed.destination == from,
            Purpose::Failed(_) => false,
        };
        let row = here.index - state.supers;
        if is_own && state.children.get(row, from).is_none() {
            state.figures.strangers += 1;
            fx.send(from, RouterMessage::Detach);
        } else if is_own && routed.purpose == Purpose::Receipt {
            self.send_back(state, here, routed.passed_on(), &routed, fx);
        } else if is_own {
            // Every other attempt is for the second location, and every other pair of them goes to the next home.
            let home = || self.homes.home(routed.destination, routed.attempt() / self.options.locations);
            if state.children.get(row, routed.destination).is_some() {
                fx.send(routed.destination, routed.passed_on());
            } else if let Some(home) = home() {
                fx.send(home, routed.passed_on());
            } else {
                fx.send(from, routed.answer(Purpose::Failed(Cause::Unknown)));
            }
        }
        is_own
    }

    /// Sends `message` about `routed` to the parent of the origin that `routed` came by, or from there to the origin.
    fn send_back(
        &self,
        state: &RouterState,
        here: Here,
        message: RouterMessage,
        routed: &Routed,
        fx: &mut impl Effects<Self>,
    ) {
        if routed.via != here.id {
            fx.send(routed.via, message);
        } else if state.children.get(here.index - state.supers, routed.origin).is_some() {
            fx.send(routed.origin, message);
        }
    }

    /// A super node sends a message down to a full node, or somebody sends news of one back. Returns whether they may.
    fn pass_to_child(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        routed: Routed,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        if routed.purpose != Purpose::Message {
            let is_for_child = routed.via == here.id;
            if is_for_child {
                self.send_back(state, here, routed.passed_on(), &routed, fx);
            }
            return is_for_child;
        }
        if self.is_full(from) {
            return false;
        }
        if state.children.get(here.index - state.supers, routed.destination).is_some() {
            fx.send(routed.destination, routed.passed_on());
        } else {
            fx.send(from, RouterMessage::Unregister { child: routed.destination });
            self.send_back(state, here, routed.answer(Purpose::Failed(Cause::Stale)), &routed, fx);
        }
        true
    }

    /// A full node sends a message to a home of the destination. Returns whether it may.
    fn pass_down(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        routed: Routed,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        if routed.purpose != Purpose::Message || routed.via != from {
            return false;
        }
        let now = fx.now().into();
        let lease = self.lease(self.population.type_of(routed.destination));
        let location = state.locations.get(here.index, routed.destination);
        let fulls = location.filter(|location| coarse_span(now, location.confirmed) <= lease).map(|found| found.fulls);
        let first = usize::from(routed.attempt()) % 2;
        let order = fulls.map_or([NOBODY; 2], |fulls| [fulls[first], fulls[1 - first]]);
        // Whoever sent it here has no such child.
        match order.into_iter().find(|&full| full != NOBODY && full != from) {
            Some(full) => fx.send(full, routed.passed_on()),
            None => fx.send(from, routed.answer(Purpose::Failed(Cause::Unknown))),
        }
        true
    }

    /// What arrives at a light or mobile node. Returns whether it is for it.
    fn arrive(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        routed: Routed,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        let receiver = if routed.purpose == Purpose::Message { routed.destination } else { routed.origin };
        if receiver != here.id || !self.is_full(from) {
            return false;
        }
        let (now, figures) = (fx.now(), &mut state.figures);
        let member = &mut state.members[here.index - state.supers];
        if routed.purpose == Purpose::Message {
            // Odd, so that no message hashes to the zero of none.
            let hash = routed.origin.wrapping_mul(0x9e37_79b1) ^ u32::from(routed.stamp).rotate_right(15) | 1;
            if std::mem::replace(&mut member.last, hash) == hash {
                figures.repeated += 1;
            } else {
                figures.delivered += 1;
                figures.hops.add(u64::from(routed.hops()));
                figures.latency.add(elapsed(routed.stamp, now));
            }
            fx.send(from, routed.answer(Purpose::Receipt));
        } else if (member.to, member.stamp) != (routed.destination, routed.stamp) {
            figures.late += 1;
        } else if let Purpose::Failed(cause) = routed.purpose {
            member.cause = cause;
        } else {
            member.to = NOBODY;
            figures.confirmed += 1;
            figures.round_trip.add(elapsed(routed.stamp, now));
        }
        true
    }

    /// `from` says that it is a parent of `child`, of which this super node keeps the location.
    #[inline]
    pub(super) fn register(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        (child, rank): (NodeId, u8),
        fx: &mut impl Effects<Self>,
    ) {
        let is_sound = here.node_type == NodeType::SuperNode && self.is_full(from) && self.is_leaf(child);
        if !is_sound || rank >= self.options.locations {
            state.figures.rejected += 1;
            return;
        }
        let Some(location) = state.locations.get_or_insert(here.index, child, Location::default()) else {
            state.figures.unregistrable += 1;
            return;
        };
        let [own, other] = if rank == 0 { [0, 1] } else { [1, 0] };
        location.fulls[own] = from;
        if location.fulls[other] == from {
            location.fulls[other] = NOBODY;
        }
        location.confirmed = fx.now().into();
        state.figures.registered += 1;
    }

    /// `from` says that it is no longer a parent of `child`.
    pub(super) fn unregister(&self, state: &mut RouterState, here: Here, from: NodeId, child: NodeId) {
        if here.node_type != NodeType::SuperNode || !self.is_full(from) {
            state.figures.rejected += 1;
            return;
        }
        if let Some(location) = state.locations.get_mut(here.index, child) {
            location.fulls.iter_mut().filter(|full| **full == from).for_each(|full| *full = NOBODY);
            if location.fulls == [NOBODY; 2] {
                state.locations.remove(here.index, child);
            }
        }
    }
}
