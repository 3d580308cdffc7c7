//! How records get to whoever is to keep them: batches, one at a time and confirmed, and offers that mend what is missing.
//!
//! When a node's view changes, the old owners of a record that are owners no more give it to the new ones, each to the one
//! that takes its place; for one that is down, the first that still is an owner does it. Who is an owner no more drops a
//! record when it is confirmed. So each replica that moves is sent once, as long as nothing is lost and changes are far
//! apart.
//!
//! What goes wrong is mended by offers: missing records are asked for, and what an owner has, others drop. Who gets a
//! record that is others' to keep by its own view offers it to the
//! owners at once, for it may be the one that should have given it on. And every so often an owner tells the next
//! owner what it keeps, and who keeps what is others' tells the first of these; that finds the rest (a sender crashed, a
//! batch was given up).

use super::figures::TraceEntry;
use super::placement::Owners;
use super::state::Keeper;
use super::view::View;
use super::{ATTEMPTS_MAX, OFFER_MAX, Sharding, ShardingMessage, ShardingState, ShardingTimer, wire};
use crate::contract::{CoarseTime, Effects, Here, NodeId, SimSpan};

impl Sharding {
    /// The node `here` learns of the view of `epoch`: `make` makes it, from the views that are known. Those in `leaving`
    /// are no members from now on, but not down.
    pub(super) fn change_view(
        &self,
        state: &mut ShardingState,
        here: Here,
        epoch: u32,
        leaving: &[NodeId],
        make: impl FnOnce(&super::state::Views) -> View,
        fx: &mut impl Effects<Self>,
    ) {
        let place = here.index - state.first;
        let (keeper, now) = (&mut state.keepers[place], fx.now());
        let since = CoarseTime::from(now).ticks_since(keeper.changed);
        let is_overlap =
            keeper.changed != CoarseTime::NEVER && CoarseTime::TICK * u64::from(since) < self.options.settle;
        if is_overlap {
            keeper.overlap = (now + self.options.settle).into();
        }
        keeper.changed = now.into();
        let before = std::mem::replace(&mut keeper.epoch, epoch);
        state.views.take(epoch, make);
        let mut offers = Vec::new();
        if let (Some(old), Some(new)) = (state.views.get(before), state.views.get(epoch)) {
            let keeper = &mut state.keepers[place];
            let is_alive = |node: NodeId| new.contains(node) || leaving.contains(&node);
            let mut wanted = Vec::new();
            for &record in &keeper.held {
                let hash = self.hash_of(record);
                let (was, is) = (self.placer.owners(hash, old), self.placer.owners(hash, new));
                if was != is {
                    let targets = targets_of(here.id, &was, &is, is_alive);
                    wanted.extend(targets.map(|target| (target, record)));
                    // Who was to give it before may have been down already, or have missed that it was to.
                    if is_overlap {
                        keeper.doubtful.push(record);
                    }
                }
            }
            // What is under way stays in front. What was for those who are members no more, the owners may miss.
            let (mut place, mut missed) = (0, Vec::new());
            let sending = usize::from(keeper.sending);
            keeper.queue.retain(|&(target, record)| {
                place += 1;
                let stays = place <= sending || new.contains(target);
                if !stays {
                    missed.push(record);
                }
                stays
            });
            keeper.enqueue(wanted);
            for record in missed {
                let owners = self.placer.owners(self.hash_of(record), new);
                let others = owners.iter().filter(|&&owner| owner != here.id);
                offers.extend(others.map(|&owner| (owner, false, record)));
            }
        }
        state.views.give_back(before);
        self.wait_to_mend(&mut state.keepers[place], fx);
        self.send_offers(state, offers, fx);
        self.pace(&mut state.keepers[place], fx);
    }

    /// Sets the timer for offers of what is doubtful, if anything is.
    fn wait_to_mend(&self, keeper: &mut Keeper, fx: &mut impl Effects<Self>) {
        if keeper.doubtful.is_empty() {
            return;
        }
        // Each record once, so that there are never more than are kept.
        if keeper.doubtful.len() > keeper.held.len() {
            keeper.doubtful.sort_unstable();
            keeper.doubtful.dedup();
        }
        if !keeper.is_mending {
            keeper.is_mending = true;
            fx.wake_after(self.options.settle, ShardingTimer::Mend);
        }
    }

    /// Offers to all owners what they may have missed, when all that was to be handed over should be there.
    pub(super) fn mend(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let keeper = &mut state.keepers[here.index - state.first];
        let since = CoarseTime::TICK * u64::from(CoarseTime::from(fx.now()).ticks_since(keeper.changed));
        let left = self.options.settle - since;
        if left > CoarseTime::TICK {
            fx.wake_after(left, ShardingTimer::Mend);
            return;
        }
        keeper.is_mending = false;
        let mut doubtful = std::mem::take(&mut keeper.doubtful);
        doubtful.sort_unstable();
        doubtful.dedup();
        let Some(view) = state.views.get(keeper.epoch) else { return };
        let mut offers = Vec::new();
        for record in doubtful.into_iter().filter(|record| keeper.held.binary_search(record).is_ok()) {
            let owners = self.placer.owners(self.hash_of(record), view);
            let others = owners.iter().filter(|&&owner| owner != here.id);
            offers.extend(others.map(|&owner| (owner, false, record)));
        }
        self.send_offers(state, offers, fx);
    }

    /// Sets the timer for the next batch, if there is one to be sent.
    pub(super) fn pace(&self, keeper: &mut Keeper, fx: &mut impl Effects<Self>) {
        if !keeper.queue.is_empty() && keeper.sending == 0 && !keeper.is_paced {
            keeper.is_paced = true;
            fx.wake_after(self.options.pace, ShardingTimer::Send);
        }
    }

    /// Sends the next batch.
    pub(super) fn send_next(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let keeper = &mut state.keepers[here.index - state.first];
        keeper.is_paced = false;
        let Some(&(target, _)) = keeper.queue.front() else { return };
        if keeper.sending == 0 {
            let batch = usize::from(self.options.batch);
            let count = keeper.queue.iter().take(batch).take_while(|&&(to, _)| to == target).count();
            keeper.sending = count as u16;
            keeper.number = keeper.number.wrapping_add(1);
            keeper.attempts = 0;
            self.send_batch(state, here, fx);
        }
    }

    fn send_batch(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let keeper = &mut state.keepers[here.index - state.first];
        let Some(&(target, _)) = keeper.queue.front() else { return };
        keeper.attempts += 1;
        let number = keeper.number;
        state.bytes.clear();
        let records = keeper.queue.iter().take(usize::from(keeper.sending));
        wire::pack(records.map(|&(_, record)| record), &mut state.bytes);
        state.counts.sent += u64::from(keeper.sending);
        fx.send_payload(target, ShardingMessage::Batch { number }, &state.bytes);
        fx.wake_after(self.options.retry, ShardingTimer::Retry { number });
    }

    /// A batch was not confirmed in time: sends it again, or gives it up.
    pub(super) fn retry(&self, state: &mut ShardingState, here: Here, number: u32, fx: &mut impl Effects<Self>) {
        let keeper = &mut state.keepers[here.index - state.first];
        if keeper.sending == 0 || keeper.number != number {
            return;
        }
        if keeper.attempts < ATTEMPTS_MAX {
            self.send_batch(state, here, fx);
            return;
        }
        state.counts.abandoned += u64::from(keeper.sending);
        keeper.queue.drain(..usize::from(std::mem::take(&mut keeper.sending)));
        self.pace(keeper, fx);
    }

    /// The batch `number` has arrived.
    pub(super) fn finish(
        &self,
        state: &mut ShardingState,
        here: Here,
        from: NodeId,
        number: u32,
        fx: &mut impl Effects<Self>,
    ) {
        let place = here.index - state.first;
        let keeper = &mut state.keepers[place];
        let is_awaited = keeper.sending > 0 && keeper.number == number;
        if !is_awaited || keeper.queue.front().is_none_or(|&(target, _)| target != from) {
            return;
        }
        let sent: Vec<u32> =
            keeper.queue.drain(..usize::from(std::mem::take(&mut keeper.sending))).map(|(_, record)| record).collect();
        self.drop_what_is_not_own(state, here, sent.into_iter(), fx);
        self.pace(&mut state.keepers[place], fx);
    }

    /// Drops those of `records` that are others' to keep, unless they wait for somebody else.
    fn drop_what_is_not_own(
        &self,
        state: &mut ShardingState,
        here: Here,
        records: impl Iterator<Item = u32>,
        fx: &mut impl Effects<Self>,
    ) {
        let keeper = &mut state.keepers[here.index - state.first];
        let Some(view) = state.views.get(keeper.epoch) else { return };
        for record in records {
            if self.placer.owners(self.hash_of(record), view).contains(&here.id)
                || keeper.queue.iter().any(|&(_, waiting)| waiting == record)
            {
                continue;
            }
            if let Ok(at) = keeper.held.binary_search(&record) {
                keeper.held.remove(at);
                state.counts.dropped += 1;
                if self.options.trace {
                    state.trace.push(TraceEntry::dropped(fx.now(), here.id, record));
                }
            }
        }
        if keeper.leaves && keeper.held.is_empty() {
            state.counts.drained += 1;
            keeper.held = Vec::new();
        }
    }

    /// A batch: keeps what is new, and confirms it.
    pub(super) fn take_batch(
        &self,
        state: &mut ShardingState,
        here: Here,
        (from, number): (NodeId, u32),
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let keeper = &mut state.keepers[here.index - state.first];
        let Some(records) = self.numbers(payload, usize::from(self.options.batch)) else {
            state.counts.rejected += 1;
            return;
        };
        let is_overlap = CoarseTime::from(fx.now()) < keeper.overlap;
        let view = state.views.get(keeper.epoch);
        let mut offers = Vec::new();
        for record in records {
            let Err(at) = keeper.held.binary_search(&record) else {
                state.counts.repeated += 1;
                continue;
            };
            keeper.held.insert(at, record);
            state.counts.stored += 1;
            if self.options.trace {
                state.trace.push(TraceEntry::stored(fx.now(), here.id, record));
            }
            // Whom the sender took for an owner may be none any more; then it has missed to whom to give this.
            let owners = view.map_or(Owners::default(), |view| self.placer.owners(self.hash_of(record), view));
            if !owners.contains(&here.id) {
                let others = owners.iter().filter(|&&owner| owner != from);
                offers.extend(others.map(|&owner| (owner, false, record)));
            } else if is_overlap {
                keeper.doubtful.push(record);
            }
        }
        self.wait_to_mend(keeper, fx);
        fx.send(from, ShardingMessage::Taken { number });
        self.send_offers(state, offers, fx);
    }

    /// Tells others what is kept: an owner the next owner, others the first.
    pub(super) fn offer_all(&self, state: &mut ShardingState, here: Here, fx: &mut impl Effects<Self>) {
        let keeper = &state.keepers[here.index - state.first];
        let Some(view) = state.views.get(keeper.epoch) else { return };
        let offer = |&record: &u32| {
            let owners = self.placer.owners(self.hash_of(record), view);
            let own = owners.iter().position(|&owner| owner == here.id);
            let target = own.map_or(0, |own| (own + 1) % owners.len());
            let target = *owners.get(target)?;
            (target != here.id).then_some((target, own.is_none(), record))
        };
        let offers = keeper.held.iter().filter_map(offer).collect();
        self.send_offers(state, offers, fx);
    }

    /// Offers records: to whom, whether they are others' to keep, and which.
    fn send_offers(
        &self,
        state: &mut ShardingState,
        mut offers: Vec<(NodeId, bool, u32)>,
        fx: &mut impl Effects<Self>,
    ) {
        offers.sort_unstable();
        for group in offers.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).flat_map(|group| group.chunks(OFFER_MAX)) {
            let (target, keeps_for_others, _) = group[0];
            state.bytes.clear();
            wire::pack(group.iter().map(|&(.., record)| record), &mut state.bytes);
            fx.send_payload(target, ShardingMessage::Offer { keeps_for_others }, &state.bytes);
            state.counts.offered += group.len() as u64;
        }
    }

    /// An offer: asks for what is missing, and if the sender keeps it for others, says what is not.
    pub(super) fn take_offer(
        &self,
        state: &mut ShardingState,
        here: Here,
        (from, keeps_for_others): (NodeId, bool),
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let keeper = &state.keepers[here.index - state.first];
        let (Some(records), Some(view)) = (self.numbers(payload, OFFER_MAX), state.views.get(keeper.epoch)) else {
            state.counts.rejected += u64::from(keeper.epoch > 0);
            return;
        };
        state.bytes.clear();
        for record in records {
            if keeper.held.binary_search(&record).is_ok() {
                if keeps_for_others {
                    wire::pack(std::iter::once(wire::item(record, 0)), &mut state.bytes);
                }
            } else if self.placer.owners(self.hash_of(record), view).contains(&here.id) {
                wire::pack(std::iter::once(wire::item(record, 1)), &mut state.bytes);
                state.counts.asked += 1;
            }
        }
        if !state.bytes.is_empty() {
            fx.send_payload(from, ShardingMessage::Answer, &state.bytes);
        }
    }

    /// An answer to an offer.
    pub(super) fn take_answer(
        &self,
        state: &mut ShardingState,
        here: Here,
        from: NodeId,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) {
        let place = here.index - state.first;
        let items = wire::unpack(payload).filter(|items| items.len() <= OFFER_MAX);
        let Some(items) = items.map(|items| items.map(wire::parts)) else {
            state.counts.rejected += 1;
            return;
        };
        let keeper = &mut state.keepers[place];
        let asked = items.clone().filter(|&(record, flag)| flag == 1 && keeper.held.binary_search(&record).is_ok());
        keeper.enqueue(asked.map(|(record, _)| (from, record)).collect());
        let Some(view) = state.views.get(keeper.epoch) else { return };
        let (mut offers, mut done) = (Vec::new(), Vec::new());
        for record in
            items.filter(|&(record, flag)| flag == 0 && record < self.options.records).map(|(record, _)| record)
        {
            let owners = self.placer.owners(self.hash_of(record), view);
            // The last of the owners is asked last.
            let next = owners.iter().position(|&owner| owner == from).and_then(|place| owners.get(place + 1));
            match next {
                Some(&owner) if owner != here.id => offers.push((owner, true, record)),
                _ => done.push(record),
            }
        }
        offers.retain(|(.., record)| state.keepers[place].held.binary_search(record).is_ok());
        self.drop_what_is_not_own(state, here, done.into_iter(), fx);
        self.send_offers(state, offers, fx);
        self.pace(&mut state.keepers[place], fx);
    }

    /// Record numbers of a payload; `None` if it has others, or more than `most`.
    fn numbers<'a>(&self, payload: &'a [u8], most: usize) -> Option<impl Iterator<Item = u32> + Clone + 'a> {
        let records = wire::unpack(payload).filter(|records| records.len() <= most)?;
        records.clone().all(|record| record < self.options.records).then_some(records)
    }

    /// A random part of `span`.
    pub(super) fn phase(span: SimSpan, fx: &mut impl Effects<Self>) -> SimSpan {
        SimSpan::from_nanos(fx.random().below(span.as_nanos()))
    }
}

impl Keeper {
    /// Appends what does not wait yet, target by target.
    fn enqueue(&mut self, mut wanted: Vec<(NodeId, u32)>) {
        if wanted.is_empty() {
            return;
        }
        if wanted.len() < 8 {
            wanted.retain(|entry| !self.queue.contains(entry));
        } else {
            let mut waiting: Vec<_> = self.queue.iter().copied().collect();
            waiting.sort_unstable();
            wanted.retain(|entry| waiting.binary_search(entry).is_err());
        }
        wanted.sort_unstable();
        wanted.dedup();
        self.queue.extend(wanted);
    }
}

/// To whom `own` is to give a record whose owners change: those that take the place of `own`, or of one that is down.
fn targets_of<'a>(
    own: NodeId,
    was: &'a Owners,
    is: &'a Owners,
    is_alive: impl Fn(NodeId) -> bool + 'a,
) -> impl Iterator<Item = NodeId> + 'a {
    let mut gone = was.iter().filter(|node| !is.contains(node));
    let stays = was.iter().copied().find(|node| is.contains(node));
    // Where all owners change, the first that is alive gives for those that are not.
    let substitute = stays.or_else(|| was.iter().copied().find(|&node| is_alive(node)));
    let new = is.iter().copied().filter(|node| !was.contains(node));
    new.filter(move |_| {
        let giver = gone.next().copied().filter(|&node| is_alive(node)).or(substitute);
        giver == Some(own)
    })
}

#[cfg(test)]
mod tests;
