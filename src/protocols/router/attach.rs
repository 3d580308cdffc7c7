//! The child's side: it looks for parents, keeps them, and replaces those that die.

use std::ops::Range;

use super::state::{AWAITED, Member, NO_PLACE, RouterState, coarse_span};
use super::{HierarchicalRouter, NOBODY, RouterMessage, RouterTimer};
use crate::contract::{CoarseTime, Effects, Here, NodeId, NodeType, SimSpan};

impl HierarchicalRouter {
    /// Sets the timers of a node that begins to look for parents after `wait`.
    pub(super) fn start(&self, state: &mut RouterState, here: Here, wait: SimSpan, fx: &mut impl Effects<Self>) {
        let phase = fx.random().below(self.intervals[here.node_type as usize].as_nanos());
        fx.wake_after(SimSpan::from_nanos(phase), RouterTimer::Beat);
        if here.node_type == NodeType::SuperNode {
            return;
        }
        let member = state.member(here.index);
        member.is_seeking = true;
        let number = member.number;
        fx.wake_after(wait, RouterTimer::Attach { number });
        if here.node_type == NodeType::LightNode {
            self.wait_for_message(fx);
        }
    }

    /// Looks for parents if there are too few and none is being looked for.
    fn seek(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let member = state.member(here.index);
        if !member.is_seeking && member.parents().len() < self.wanted[here.node_type as usize] {
            (member.is_seeking, member.failures) = (true, 0);
            self.ask_next(state, here, fx);
        }
    }

    /// Asks the next candidate; or pauses, if too many were asked in vain or there are none.
    fn ask_next(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let is_patient = state.member(here.index).failures < self.options.attaching.requests;
        let next = if is_patient { self.next_candidate(state, here) } else { None };
        let (member, figures) = (&mut state.members[here.index - state.supers], &mut state.figures);
        let figures = &mut figures.attach[here.node_type as usize];
        member.asked = next.unwrap_or(NOBODY);
        let number = member.next_number();
        let wait = if let Some(next) = next {
            figures.requests += 1;
            fx.send(next, RouterMessage::Attach { number });
            self.options.attaching.timeout
        } else {
            figures.pauses += 1;
            member.failures = 0;
            self.options.attaching.pause
        };
        fx.wake_after(wait, RouterTimer::Attach { number });
    }

    /// Whoever was named; or else the next of the list, or of the one after it.
    fn next_candidate(&self, state: &mut RouterState, here: Here) -> Option<NodeId> {
        let RouterState { members, supers, scratch, figures, .. } = state;
        let member = &mut members[here.index - *supers];
        let may_ask = |member: &Member, node| self.is_above(node, here.node_type) && member.place_of(node).is_none();
        let named = std::mem::replace(&mut member.named, NOBODY);
        if may_ask(member, named) {
            figures.attach[here.node_type as usize].redirected += 1;
            return Some(named);
        }
        for _ in 0..2 {
            scratch.nodes.clear();
            self.candidates.candidates(here.id, member.round, &mut scratch.nodes);
            scratch.nodes.truncate(super::candidates::CANDIDATES_MAX);
            while let Some(&next) = scratch.nodes.get(usize::from(member.cursor)) {
                member.cursor += 1;
                if may_ask(member, next) {
                    return Some(next);
                }
            }
            (member.round, member.cursor) = (member.round.wrapping_add(1), 0);
        }
        None
    }

    /// The request `number` was not answered in time, or it is time for the next.
    pub(super) fn go_on(&self, state: &mut RouterState, here: Here, number: u16, fx: &mut impl Effects<Self>) {
        let member = &mut state.members[here.index - state.supers];
        if !member.is_seeking || member.number != number {
            return;
        }
        if !member.has_joined && member.lost == CoarseTime::NEVER {
            member.lost = fx.now().into();
        }
        if member.asked != NOBODY {
            state.figures.attach[here.node_type as usize].timeouts += 1;
            // It may have accepted; then its answer was lost or is late.
            fx.send(member.asked, RouterMessage::Detach);
            self.fail(state, here, fx);
        } else if member.parents().len() < self.wanted[here.node_type as usize] {
            self.ask_next(state, here, fx);
        } else {
            member.is_seeking = false;
        }
    }

    /// Whoever was asked will not be a parent.
    fn fail(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let member = &mut state.members[here.index - state.supers];
        member.asked = NOBODY;
        if member.replaces != NO_PLACE {
            // Nothing is amiss: the parent that was to be replaced is still there.
            (member.replaces, member.is_seeking, member.named) = (NO_PLACE, false, NOBODY);
            state.figures.attach[here.node_type as usize].stayed += 1;
            return self.seek(state, here, fx);
        }
        member.failures += 1;
        if member.named != NOBODY || member.failures >= self.options.attaching.requests {
            return self.ask_next(state, here, fx);
        }
        let number = member.next_number();
        let wait = self.options.attaching.backoff * (1 << (member.failures - 1));
        fx.wake_after(wait, RouterTimer::Attach { number });
    }

    /// `from` says that it is a parent.
    pub(super) fn accepted(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        number: u16,
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_above(from, here.node_type) {
            state.figures.rejected += 1;
            return;
        }
        let (now, member) = (fx.now(), &mut state.members[here.index - state.supers]);
        if member.asked != from || member.number != number || member.place_of(from).is_some() {
            return self.reject_parent(state, here, from, fx);
        }
        let figures = &mut state.figures.attach[here.node_type as usize];
        figures.accepted += 1;
        (member.asked, member.named, member.failures, member.is_seeking) = (NOBODY, NOBODY, 0, false);
        let place = match std::mem::replace(&mut member.replaces, NO_PLACE) {
            NO_PLACE => member.push(from),
            place => {
                figures.moved += 1;
                fx.send(member.replace(usize::from(place), from), RouterMessage::Detach);
                usize::from(place)
            }
        };
        if member.lost != CoarseTime::NEVER {
            let [lost, heard] = [member.lost, member.heard].map(|since| coarse_span(now.into(), since));
            if member.has_joined { figures.end_orphaned(lost, heard) } else { figures.joined.add(lost) }
        }
        (member.has_joined, member.lost, member.heard) = (true, CoarseTime::NEVER, now.into());
        self.tell_ranks(state, here, place..place + 1, fx);
        self.seek(state, here, fx);
    }

    /// Tells the parents at `places` which of the parents they are, as far as it matters to the homes.
    fn tell_ranks(&self, state: &mut RouterState, here: Here, places: Range<usize>, fx: &mut impl Effects<Self>) {
        if here.node_type == NodeType::FullNode {
            return;
        }
        let parents = state.member(here.index).parents().iter().zip(0u8..self.options.locations);
        for (&parent, rank) in parents.take(places.end).skip(places.start) {
            fx.send(parent, RouterMessage::Heartbeat { child: here.id, rank });
        }
    }

    /// `from` has no room, and may have named another.
    pub(super) fn refused(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        (number, named): (u16, NodeId),
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_above(from, here.node_type) || (named != NOBODY && !self.is_above(named, here.node_type)) {
            state.figures.rejected += 1;
            return;
        }
        let member = &mut state.members[here.index - state.supers];
        if member.asked != from || member.number != number {
            state.figures.strangers += 1;
            return;
        }
        member.named = if member.place_of(named).is_none() { named } else { NOBODY };
        state.figures.attach[here.node_type as usize].refused += 1;
        self.fail(state, here, fx);
    }

    /// Sends the heartbeats of a light or mobile node.
    #[inline]
    pub(super) fn beat(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let member = state.member(here.index);
        let must_check = member.await_all();
        let heartbeat = |rank: usize| RouterMessage::Heartbeat { child: here.id, rank: rank.min(3) as u8 };
        fx.send_each(member.parents().iter().enumerate().map(|(rank, &parent)| (parent, heartbeat(rank))));
        if must_check {
            fx.wake_after(self.options.repeat, RouterTimer::Check);
        }
    }

    /// `from` acknowledges. Returns whether it is a parent.
    #[inline]
    pub(super) fn hear_parent(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        fx: &mut impl Effects<Self>,
    ) -> bool {
        if !self.is_above(from, here.node_type) {
            state.figures.rejected += 1;
            return false;
        }
        let member = state.member(here.index);
        let Some(place) = member.place_of(from) else {
            self.reject_parent(state, here, from, fx);
            return false;
        };
        (member.missed[place], member.heard) = (0, fx.now().into());
        true
    }

    /// Tells `from`, which takes itself for a parent, that it is none.
    fn reject_parent(&self, state: &mut RouterState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        state.figures.strangers += 1;
        if state.member(here.index).place_of(from).is_none() {
            fx.send(from, RouterMessage::Detach);
        }
    }

    /// Repeats what was not acknowledged, and drops the parents that missed too much.
    pub(super) fn check_parents(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let member = state.member(here.index);
        let (mut dead, mut late) = (0u8, 0u8);
        for place in 0..member.parents().len() {
            let missed = member.missed[place];
            if missed & AWAITED == 0 {
                continue;
            }
            if (missed & !AWAITED) + 1 >= self.options.missed {
                dead |= 1 << place;
            } else {
                member.missed[place] = missed + 1;
                late |= 1 << place;
            }
        }
        member.is_checking = late > 0;
        if late > 0 {
            if here.node_type == NodeType::FullNode {
                self.send_digests(state, here, late, fx);
            } else {
                let parents = state.member(here.index).parents().iter().enumerate();
                for (place, &parent) in parents.filter(|(place, _)| late >> place & 1 == 1) {
                    fx.send(parent, RouterMessage::Heartbeat { child: here.id, rank: place.min(3) as u8 });
                }
            }
            fx.wake_after(self.options.repeat, RouterTimer::Check);
        }
        if dead > 0 {
            state.figures.attach[here.node_type as usize].failovers += u64::from(dead.count_ones());
            let parents = state.member(here.index).parents().iter().enumerate();
            let dead_parents = parents.filter(|(place, _)| dead >> place & 1 == 1);
            fx.send_each(dead_parents.map(|(_, &parent)| (parent, RouterMessage::Detach)));
            self.drop_parents(state, here, dead, fx);
        }
    }

    /// Takes out the parents at the places that are set in `places`, and looks for others.
    fn drop_parents(&self, state: &mut RouterState, here: Here, places: u8, fx: &mut impl Effects<Self>) {
        let member = state.member(here.index);
        for place in (0..member.parents().len()).rev().filter(|place| places >> place & 1 == 1) {
            member.remove(place);
        }
        if member.parents().is_empty() && member.lost == CoarseTime::NEVER {
            member.lost = fx.now().into();
        }
        let first = places.trailing_zeros() as usize;
        self.tell_ranks(state, here, first..usize::MAX, fx);
        self.seek(state, here, fx);
    }

    /// `from` is no longer, or not, a parent or a child.
    pub(super) fn detached(&self, state: &mut RouterState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        if here.node_type != NodeType::SuperNode
            && let Some(place) = state.member(here.index).place_of(from)
        {
            state.figures.attach[here.node_type as usize].dismissed += 1;
            self.drop_parents(state, here, 1 << place, fx);
        } else {
            self.forget_child(state, here, from, fx);
        }
    }

    /// The parent `from` asks the node to choose `to` instead.
    pub(super) fn move_over(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        to: NodeId,
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_above(from, here.node_type) || !self.is_above(to, here.node_type) {
            state.figures.rejected += 1;
            return;
        }
        let member = &mut state.members[here.index - state.supers];
        let Some(place) = member.place_of(from) else {
            return self.reject_parent(state, here, from, fx);
        };
        let figures = &mut state.figures.attach[here.node_type as usize];
        if member.is_seeking || member.place_of(to).is_some() {
            figures.stayed += 1;
            return;
        }
        (member.is_seeking, member.replaces, member.asked) = (true, place as u8, to);
        let number = member.next_number();
        figures.requests += 1;
        fx.send(to, RouterMessage::Attach { number });
        fx.wake_after(self.options.attaching.timeout, RouterTimer::Attach { number });
    }
}
