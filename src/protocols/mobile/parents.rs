//! What parents do: they judge their children, check them, and tell them what there is for them.

use super::policy::WakePolicy;
use super::state::{MobileState, Waiting};
use super::{Mobile, MobileMessage, MobileTimer};
use crate::contract::{CoarseTime, Effects, Here, NodeId, NodeType, SimSpan, SimTime, Verdict};

impl Mobile {
    /// A child was heard at `slot`. What there is for it follows, unless `is_confirmed`.
    pub(super) fn hear(
        &self,
        state: &mut MobileState,
        slot: usize,
        from: NodeId,
        is_confirmed: bool,
        fx: &mut impl Effects<Self>,
    ) {
        if state.watch.hear(slot, &self.rule, fx.now()) {
            fx.judge(from, Verdict::Up);
        }
        if !is_confirmed && state.waiting.get(slot).is_some_and(|waiting| !waiting.is_empty()) {
            self.notify(state, slot, fx);
        }
    }

    /// Tells a child what there is for it.
    pub(super) fn notify(&self, state: &mut MobileState, slot: usize, fx: &mut impl Effects<Self>) {
        state.counts.notices += 1;
        fx.send(state.senders[slot], MobileMessage::Notice { newest: state.waiting[slot].newest });
    }

    /// A child has got what was newest then.
    pub(super) fn confirm(&self, state: &mut MobileState, slot: usize, newest: u16, now: SimTime) {
        let Some(waiting) = state.waiting.get_mut(slot) else { return };
        if waiting.is_empty() || waiting.newest != newest {
            return;
        }
        state.counts.delivered += u64::from(waiting.count);
        let ticks = CoarseTime::from(now).ticks_since(waiting.since);
        state.counts.delay.add(CoarseTime::TICK * u64::from(ticks));
        *waiting = Waiting { newest, ..Waiting::NOTHING };
    }

    /// The parent `here` judges its children, and if it pushes, checks those that it has not heard for long.
    pub(super) fn look(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        let now = fx.now();
        let slots = self.incoming.slots(here.id, NodeType::MobileNode);
        state.watch.look(slots.clone(), &self.rule, now, |slot| fx.judge(state.senders[slot], Verdict::Down));
        let WakePolicy::Push { check } = self.options.policy else { return };
        let ticks = |span: SimSpan| (span / CoarseTime::TICK) as u32;
        let (check, look) = (ticks(check).max(1), ticks(self.options.look).max(1));
        for slot in slots {
            let heard = state.watch.heard()[slot];
            if heard == CoarseTime::NEVER {
                continue;
            }
            let silent = CoarseTime::from(now).ticks_since(heard);
            let waits = state.waiting.get(slot).filter(|waiting| !waiting.is_empty());
            // Again after 1, 2, 4, ... looks: who is away is told seldom.
            let looks = waits.map(|waiting| CoarseTime::from(now).ticks_since(waiting.since) / look);
            if looks.is_some_and(u32::is_power_of_two) {
                self.notify(state, slot, fx);
            } else if silent / check > silent.saturating_sub(look) / check {
                state.counts.checks += 1;
                fx.send(state.senders[slot], MobileMessage::Check);
            }
        }
    }

    /// There is something for one of the children of the parent `here`.
    pub(super) fn bring_news(&self, state: &mut MobileState, here: Here, fx: &mut impl Effects<Self>) {
        let slots = self.incoming.slots(here.id, NodeType::MobileNode);
        let slot = slots.start + fx.random().below(slots.len() as u64) as usize;
        let waiting = &mut state.waiting[slot];
        if waiting.is_empty() {
            waiting.since = fx.now().into();
        }
        waiting.newest = waiting.newest.wrapping_add(1);
        waiting.count = waiting.count.saturating_add(1);
        state.counts.news += 1;
        if self.options.policy.is_push() && state.watch.heard()[slot] != CoarseTime::NEVER {
            self.notify(state, slot, fx);
        }
        self.wait_for_news(here, fx);
    }

    /// Sets the timer for when there is next something for a child of the parent `here`.
    pub(super) fn wait_for_news(&self, here: Here, fx: &mut impl Effects<Self>) {
        let Some(mean) = self.options.news else { return };
        let children = self.incoming.slots(here.id, NodeType::MobileNode).len() as u64;
        // A child has news at each of its parents, so each makes a part of them.
        let nanos = mean.as_nanos() as f64 * self.parents as f64 / children as f64;
        let span = fx.random().exponential(nanos);
        fx.wake_after(span, MobileTimer::News);
    }

    /// The link of the child `from` that a message names, if it is one.
    pub(super) fn checked_slot(&self, state: &MobileState, here: Here, from: NodeId, slot: u32) -> Option<usize> {
        let is_own = here.node_type == NodeType::FullNode && self.incoming.all(here.id).contains(&(slot as usize));
        (is_own && state.senders[slot as usize] == from).then_some(slot as usize)
    }
}
