//! The parent's side: it takes children in, acknowledges them, forgets them, tells of them, and sends some elsewhere.

use super::rows::NOBODY;
use super::state::{Advice, Child, LOAD_UNKNOWN, RouterState, Scratch, Ward, coarse_span};
use super::{HierarchicalRouter, Rebalancing, RouterMessage, RouterTimer};
use crate::contract::{CoarseTime, Effects, Here, NodeId, NodeType, SimSpan, SimTime};
use crate::protocols::wire::{Digest, WireMessage};

/// Full nodes, known by digests, that a super node looks at to find one with few children: the load of the fullest then hardly exceeds the
/// mean, and those who ask at the same time are not all sent to the same one (Mitzenmacher, "The Power of Two Choices in
/// Randomized Load Balancing", 2001).
const CHOICES: usize = 8;

impl HierarchicalRouter {
    /// `from` asks to be a child.
    pub(super) fn take_in(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        number: u16,
        fx: &mut impl Effects<Self>,
    ) {
        let (has_room, named) = match here.node_type {
            NodeType::SuperNode if self.is_full(from) => {
                let ward = Ward { heard: fx.now().into(), load: LOAD_UNKNOWN, alive: 0 };
                (state.wards.get_or_insert(here.index, from, ward).is_some(), NOBODY)
            }
            NodeType::FullNode if self.is_leaf(from) => {
                let row = here.index - state.supers;
                let child = Child::new(fx.now(), 3);
                let own = state.children.get_or_insert(row, from, child);
                (own.map(|own| *own = Child::new(fx.now(), own.rank())).is_some(), state.advice[row].lighter)
            }
            _ => {
                state.figures.rejected += 1;
                return;
            }
        };
        let answer = if has_room { RouterMessage::Accept { number } } else { RouterMessage::Refuse { number, named } };
        fx.send(from, answer);
    }

    /// A heartbeat of `child`, which says the place of this node among its parents.
    #[inline]
    pub(super) fn hear_child(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        (child, rank): (NodeId, u8),
        fx: &mut impl Effects<Self>,
    ) {
        if here.node_type != NodeType::FullNode || child != from || !self.is_leaf(child) {
            state.figures.rejected += 1;
            return;
        }
        let Some(own) = state.children.get_mut(here.index - state.supers, child) else {
            state.figures.strangers += 1;
            return fx.send(child, RouterMessage::Detach);
        };
        *own = Child::new(fx.now(), rank);
        fx.send(child, RouterMessage::Ack);
        if rank < self.options.locations {
            self.homes.all(child).for_each(|home| fx.send(home, RouterMessage::Register { child, rank }));
        }
    }

    /// `from` is no longer a child.
    pub(super) fn forget_child(&self, state: &mut RouterState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        let was_child = match here.node_type {
            NodeType::SuperNode => state.wards.remove(here.index, from).is_some(),
            NodeType::FullNode => {
                let child = state.children.remove(here.index - state.supers, from);
                if child.is_some_and(|child| child.rank() < self.options.locations) {
                    self.homes.all(from).for_each(|home| fx.send(home, RouterMessage::Unregister { child: from }));
                }
                child.is_some()
            }
            NodeType::LightNode | NodeType::MobileNode => false,
        };
        state.figures.strangers += u64::from(!was_child);
    }

    /// Time for which a child of `node_type` may be silent before it is forgotten.
    pub(super) fn lease(&self, node_type: NodeType) -> SimSpan {
        (self.intervals[node_type as usize] + self.options.repeat) * u64::from(self.options.missed)
    }

    /// Forgets the children of a full node that are silent, and sends digests of the others.
    pub(super) fn report(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let (now, row) = (fx.now(), here.index - state.supers);
        let gone = &mut state.scratch.lives;
        gone.clear();
        state.children.retain(row, |child, own| {
            let is_here = own.silent(now) <= self.lease(self.population.type_of(child));
            if !is_here {
                gone.push((child, own.rank() < self.options.locations));
            }
            is_here
        });
        state.figures.expired += gone.len() as u64;
        for &(child, _) in gone.iter().filter(|(_, is_located)| *is_located) {
            self.homes.all(child).for_each(|home| fx.send(home, RouterMessage::Unregister { child }));
        }
        let slot = self.options.sample.map_or(0, |sample| now.since(SimTime::ZERO) / sample);
        state.figures.add_load(slot, state.children.len(row));
        state.advice[row].moved = 0;
        let must_check = state.member(here.index).await_all();
        self.send_digests(state, here, u8::MAX, fx);
        if must_check {
            fx.wake_after(self.options.repeat, RouterTimer::Check);
        }
    }

    /// Sends a digest of the children of a full node to the parents at the places that are set in `places`.
    pub(super) fn send_digests(&self, state: &mut RouterState, here: Here, places: u8, fx: &mut impl Effects<Self>) {
        let (now, row) = (fx.now(), here.index - state.supers);
        let RouterState { scratch, children, members, .. } = state;
        if members[row].parents().is_empty() {
            return;
        }
        let Scratch { lives, bitmap, bytes, .. } = scratch;
        let repeats = self.options.repeat * u64::from(self.options.missed);
        lives.clear();
        lives.extend(children.iter(row).map(|(child, own)| {
            let interval = self.intervals[self.population.type_of(child) as usize];
            (child, own.silent(now) <= interval + repeats)
        }));
        lives.sort_unstable();
        let alive = lives.iter().filter(|(_, lives)| *lives).count() as u32;
        bitmap.clear();
        let pack =
            |eight: &[(NodeId, bool)]| eight.iter().rev().fold(0, |byte, &(_, lives)| byte << 1 | u8::from(lives));
        bitmap.extend(lives.chunks(8).map(pack));
        bytes.clear();
        let beat = (now.since(SimTime::ZERO) / self.intervals[here.node_type as usize]) as u16;
        // At most 65 535 children, which one digest holds.
        let digest = Digest { sender: here.id, beat, children: lives.len() as u32, alive, first: 0, bitmap };
        WireMessage::Digest(digest).encode(bytes);
        let parents = members[row].parents().iter().enumerate();
        for (_, &parent) in parents.filter(|(place, _)| places >> place & 1 == 1) {
            fx.send_payload(parent, RouterMessage::Digest { beat }, bytes);
        }
    }

    /// A digest of the full node `from`.
    pub(super) fn hear_digest(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let digest = match WireMessage::decode(payload) {
            Ok(WireMessage::Digest(digest)) if digest.sender == from => digest,
            _ => {
                state.figures.rejected += 1;
                return;
            }
        };
        if here.node_type != NodeType::SuperNode || !self.is_full(from) || digest.children >= u32::from(LOAD_UNKNOWN) {
            state.figures.rejected += 1;
            return;
        }
        let Some(ward) = state.wards.get_mut(here.index, from) else {
            state.figures.strangers += 1;
            return fx.send(from, RouterMessage::Detach);
        };
        let (load, alive) = (digest.children as u16, digest.alive as u16);
        *ward = Ward { heard: fx.now().into(), load, alive };
        state.figures.digests += 1;
        let (lighter, room) = self.advise(state, here, (from, load), fx);
        fx.send(from, RouterMessage::Advice { lighter, room });
    }

    /// A full node other than `from` that has few children; and how many `from`, with `load`, should send there, which
    /// are taken for sent.
    fn advise(
        &self,
        state: &mut RouterState,
        here: Here,
        (from, load): (NodeId, u16),
        fx: &mut impl Effects<Self>,
    ) -> (NodeId, u16) {
        let (wards, mut random) = (&mut state.wards, fx.random());
        let width = wards.width() as u64;
        // Half of the cells or more are free: so many draws find as many nodes nearly always.
        let drawn = (0..4 * CHOICES).filter_map(|_| wards.at(here.index, random.below(width) as usize));
        let others = drawn.filter(|&(full, ward)| full != from && ward.load != LOAD_UNKNOWN).take(CHOICES);
        let Some((their_load, lighter)) = others.map(|(full, ward)| (ward.load, full)).min() else {
            return (NOBODY, 0);
        };
        let Some(Rebalancing { high_percent, moves_max }) = self.options.rebalancing else { return (lighter, 0) };
        let mean = state.means[here.index];
        let high = (u32::from(mean) * u32::from(high_percent) / 100).min(u32::from(u16::MAX)) as u16;
        let room = load.saturating_sub(high).min(mean.saturating_sub(their_load)).min(moves_max);
        if room > 0
            && let Some(ward) = wards.get_mut(here.index, lighter)
        {
            ward.load += room;
        }
        (lighter, room)
    }

    /// The super node `from` had a digest, and gives advice.
    pub(super) fn advised(
        &self,
        state: &mut RouterState,
        here: Here,
        from: NodeId,
        (lighter, room): (NodeId, u16),
        fx: &mut impl Effects<Self>,
    ) {
        let is_sound = lighter == NOBODY || self.is_full(lighter) && lighter != here.id;
        if here.node_type != NodeType::FullNode || !is_sound {
            state.figures.rejected += 1;
            return;
        }
        if !self.hear_parent(state, here, from, fx) {
            return;
        }
        let RouterState { advice, children, figures, .. } = state;
        let row = here.index - state.supers;
        let Advice { lighter: known, moved } = &mut advice[row];
        *known = lighter;
        let Some(Rebalancing { moves_max, .. }) = self.options.rebalancing else { return };
        let room = room.min(moves_max.saturating_sub(*moved));
        if lighter == NOBODY || room == 0 {
            return;
        }
        // From a random place on, so that not always the same are asked.
        let start = fx.random().below(children.width() as u64) as usize;
        let places = (start..children.width()).chain(0..start);
        let asked = places.filter_map(|place| children.at(row, place)).take(usize::from(room));
        for (child, _) in asked {
            *moved += 1;
            figures.asked_to_move += 1;
            fx.send(child, RouterMessage::Move { to: lighter });
        }
    }

    /// A super node forgets whom it has not heard of.
    pub(super) fn sweep(&self, state: &mut RouterState, here: Here, fx: &mut impl Effects<Self>) {
        let now = CoarseTime::from(fx.now());
        let is_fresh = |since, node_type| coarse_span(now, since) <= self.lease(node_type);
        state.wards.retain(here.index, |_, ward| is_fresh(ward.heard, NodeType::FullNode));
        let before = state.locations.len(here.index);
        state
            .locations
            .retain(here.index, |child, location| is_fresh(location.confirmed, self.population.type_of(child)));
        state.figures.lapsed += u64::from(before - state.locations.len(here.index));
        let known = state.wards.iter(here.index).filter(|(_, ward)| ward.load != LOAD_UNKNOWN);
        let (count, sum) = known.fold((0, 0), |(count, sum), (_, ward)| (count + 1, sum + u64::from(ward.load)));
        state.means[here.index] = sum.checked_div(count).unwrap_or(0) as u16;
    }
}
