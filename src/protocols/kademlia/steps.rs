//! What a node does of its own accord, step by step: it joins, looks things up, refreshes its buckets, and publishes.

use super::figures::LookupRecord;
use super::lookup::{Late, Lookup, Purpose};
use super::state::{KademliaState, Presence, give_back};
use super::table::{BUCKETS, bucket_of};
use super::{Bootstrap, Kademlia, KademliaMessage, KademliaRouting, KademliaTimer, LOOKUPS_MAX};
use crate::contract::{Effects, Here, Key256, NodeId, SimSpan, SimTime, Stream};

/// 256 random bits.
pub(super) fn random_key(random: &mut Stream) -> Key256 {
    let words: [u64; 4] = std::array::from_fn(|_| random.word());
    std::array::from_fn(|place| words[place / 8].to_be_bytes()[place % 8])
}

/// A random key that an id would share with `own` the bucket `bucket` for, if `own` begins with these 64 bits.
fn key_in_bucket(own: u64, bucket: usize, random: &mut Stream) -> Key256 {
    let mut key = random_key(random);
    let head = super::keys::head_of(&key);
    // The first `bucket` bits are those of `own`, and the next is not, but for the last bucket.
    let same = !(u64::MAX >> bucket);
    let flipped = if bucket < BUCKETS - 1 { 1 << (63 - bucket) } else { 0 };
    let head = own & same | head & !same & !flipped | !own & flipped;
    key[..8].copy_from_slice(&head.to_be_bytes());
    key
}

impl Kademlia {
    /// Sets the timers of what a node does again and again, and of what it publishes.
    pub(super) fn set_timers(&self, here: Here, fx: &mut impl Effects<Self>) {
        let joined = SimTime::ZERO + self.turn_of(self.nodes());
        let until_joined = joined.since(fx.now());
        let after = |span: SimSpan, random: u64| span + SimSpan::from_nanos(random);
        if let Some(refresh) = self.options.refresh {
            let phase = fx.random().below(refresh.as_nanos());
            fx.wake_after(SimSpan::from_nanos(phase), KademliaTimer::Refresh);
        }
        if let Some(lookups) = self.options.lookups {
            let phase = fx.random().below((lookups * 2).as_nanos());
            fx.wake_after(after(until_joined, phase), KademliaTimer::Lookup);
        }
        let Some(values) = self.options.values else { return };
        if let Some(lookups) = values.lookups {
            let phase = fx.random().below((lookups * 2).as_nanos());
            let until_stored = (joined + values.over).since(fx.now());
            fx.wake_after(after(until_stored, phase), KademliaTimer::ValueLookup);
        }
        for value in (here.id..values.values).step_by(self.nodes() as usize) {
            let phase = fx.random().below(values.over.as_nanos());
            fx.wake_after(after(until_joined, phase), KademliaTimer::Publish { value });
        }
    }

    /// Sets `timer` for a random moment, after `mean` on average: uniform up to twice that.
    pub(super) fn wake_about(&self, mean: Option<SimSpan>, timer: KademliaTimer, fx: &mut impl Effects<Self>) {
        if let Some(mean) = mean {
            let span = fx.random().below((mean * 2).as_nanos());
            fx.wake_after(SimSpan::from_nanos(span), timer);
        }
    }

    /// Joins when it is the node's turn, or now if that is over.
    pub(super) fn join_in_turn(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        let wait = (SimTime::ZERO + self.turn_of(here.id)).since(fx.now());
        if wait > SimSpan::ZERO {
            fx.wake_after(wait, KademliaTimer::Join);
        } else {
            self.join(state, here, fx);
        }
    }

    /// Looks for the node's own id through a random node whose turn to join has come.
    pub(super) fn join(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        let Some(contact) = self.known_node(here.id, fx) else {
            state.nodes[here.index].presence = Presence::Joined;
            return;
        };
        state.nodes[here.index].presence = Presence::Joining;
        self.start(state, here, Purpose::Join, self.keys.id(here.id), Some(contact), fx);
    }

    /// A random node other than `own` whose turn to join has come.
    fn known_node(&self, own: NodeId, fx: &mut impl Effects<Self>) -> Option<NodeId> {
        let total = self.nodes();
        let known = match self.bootstrap {
            Bootstrap::Joins(over) if over > SimSpan::ZERO => {
                let passed = u128::from(fx.now().since(SimTime::ZERO).as_nanos()) * u128::from(total);
                (passed / u128::from(over.as_nanos()) + 1).min(u128::from(total)) as NodeId
            }
            _ => total,
        };
        let others = known - NodeId::from(own < known);
        if others == 0 {
            return None;
        }
        let other = fx.random().below(u64::from(others)) as NodeId;
        Some(other + NodeId::from(own < known && other >= own))
    }

    /// Begins a lookup of `target`, unless the node has not joined or has enough to do.
    pub(super) fn begin(
        &self,
        state: &mut KademliaState,
        here: Here,
        purpose: Purpose,
        target: Key256,
        fx: &mut impl Effects<Self>,
    ) {
        let node = &state.nodes[here.index];
        let under_way = node.lookups.iter().filter(|lookup| !lookup.has_ended).count();
        if node.presence != Presence::Joined || under_way >= LOOKUPS_MAX {
            state.figures.skipped += 1;
            return;
        }
        if let Purpose::Value { .. } = purpose
            && node.values().is_some_and(|values| values.get(&target).is_some())
        {
            let lookup = Lookup::new(0, purpose, target, fx.now());
            self.record(state, here, &lookup, Some((here.id, 0)), fx.now());
            return;
        }
        self.start(state, here, purpose, target, None, fx);
    }

    fn start(
        &self,
        state: &mut KademliaState,
        here: Here,
        purpose: Purpose,
        target: Key256,
        contact: Option<NodeId>,
        fx: &mut impl Effects<Self>,
    ) {
        let KademliaState { nodes, found, .. } = state;
        let node = &mut nodes[here.index];
        KademliaRouting::new(here.id, self.k(), &node.table, &self.keys).find_closest(&target, None, found);
        let number = node.next_number();
        let mut lookup = Lookup::new(number, purpose, target, fx.now());
        for known in found.iter().map(|&(_, known)| known).chain(contact) {
            lookup.learn(&self.keys, self.k(), known, 1);
        }
        node.looked |= 1 << bucket_of(self.keys.head(here.id), super::keys::head_of(&target));
        node.lookups.reserve_exact(1);
        node.lookups.push(lookup);
        self.go_on(state, here, number, fx);
    }

    /// Asks whoever is to be asked next in lookup `number`, or ends it.
    fn go_on(&self, state: &mut KademliaState, here: Here, number: u32, fx: &mut impl Effects<Self>) {
        let lookups = &mut state.nodes[here.index].lookups;
        let Some(place) = lookups.iter().position(|lookup| lookup.number == number) else { return };
        let lookup = &mut lookups[place];
        if lookup.has_ended {
            if lookup.is_quiet() {
                lookups.swap_remove(place);
                give_back(lookups);
            }
            return;
        }
        while let Some(to) = lookup.next(self.k(), usize::from(self.options.alpha)) {
            self.ask(lookup, to, fx);
        }
        if lookup.is_done(self.k()) {
            let mut lookup = lookups.swap_remove(place);
            self.end(state, here, &lookup, fx);
            lookup.retire();
            state.nodes[here.index].wait_out(lookup);
        }
    }

    /// Asks `to` for the first or the second time.
    fn ask(&self, lookup: &Lookup, to: NodeId, fx: &mut impl Effects<Self>) {
        let number = lookup.number;
        let message = match lookup.purpose {
            Purpose::Value { .. } => KademliaMessage::FindValue { number },
            _ => KademliaMessage::FindNode { number },
        };
        fx.send_payload(to, message, &lookup.target);
        fx.wake_after(self.patience(), KademliaTimer::Answer { number, from: to });
    }

    /// Half of the time that a request has.
    pub(super) fn patience(&self) -> SimSpan {
        SimSpan::from_nanos(self.options.timeout.as_nanos() / 2)
    }

    /// Takes in that `from` told of the nodes in `state.told`, in answer to lookup `number`.
    pub(super) fn hear(
        &self,
        state: &mut KademliaState,
        here: Here,
        from: NodeId,
        number: u32,
        fx: &mut impl Effects<Self>,
    ) {
        let KademliaState { nodes, told, figures, .. } = state;
        let lookup = nodes[here.index].lookups.iter_mut().find(|lookup| lookup.number == number);
        if lookup.is_some_and(|lookup| lookup.answer(&self.keys, (self.k(), here.id), from, told)) {
            self.go_on(state, here, number, fx);
        } else {
            figures.unasked += 1;
        }
    }

    /// Takes in that `from` sent the value that lookup `number` is for.
    pub(super) fn hear_value(
        &self,
        state: &mut KademliaState,
        here: Here,
        from: NodeId,
        number: u32,
        fx: &mut impl Effects<Self>,
    ) {
        let lookups = &mut state.nodes[here.index].lookups;
        let asked = lookups.iter_mut().position(|lookup| {
            let is_for_value = matches!(lookup.purpose, Purpose::Value { .. });
            lookup.number == number && is_for_value && lookup.answer(&self.keys, (self.k(), here.id), from, &[])
        });
        let Some(place) = asked else {
            state.figures.unasked += 1;
            return;
        };
        if lookups[place].has_ended {
            // Another was quicker, but this one lives.
            self.go_on(state, here, number, fx);
            return;
        }
        let mut lookup = lookups.swap_remove(place);
        let hops = lookup.hops_to(&self.keys, from).unwrap_or(0);
        self.record(state, here, &lookup, Some((from, hops)), fx.now());
        lookup.retire();
        state.nodes[here.index].wait_out(lookup);
    }

    /// `from` has had half of its time to answer lookup `number`, for the first or the second time: it is asked again, or
    /// given up.
    pub(super) fn miss(
        &self,
        state: &mut KademliaState,
        here: Here,
        number: u32,
        from: NodeId,
        fx: &mut impl Effects<Self>,
    ) {
        let lookup = state.nodes[here.index].lookups.iter_mut().find(|lookup| lookup.number == number);
        let Some(lookup) = lookup else { return };
        match lookup.miss(&self.keys, from) {
            Late::No => {}
            Late::AskAgain => {
                self.ask(lookup, from, fx);
                state.figures.repeated += 1;
            }
            Late::GivenUp => {
                self.drop_contact(state, here, from);
                self.go_on(state, here, number, fx);
            }
        }
    }

    /// A lookup has asked all that it could: does what it was for.
    fn end(&self, state: &mut KademliaState, here: Here, lookup: &Lookup, fx: &mut impl Effects<Self>) {
        let nearest = lookup.answered().next();
        let is_nearer = |(other, _): &(NodeId, u8)| self.keys.compare(&lookup.target, *other, here.id).is_lt();
        let closest = match lookup.purpose {
            // Whoever had the value would have ended the lookup.
            Purpose::Value { .. } => None,
            _ => nearest.map(|nearest| Some(nearest).filter(is_nearer).unwrap_or((here.id, 0))),
        };
        self.record(state, here, lookup, closest, fx.now());
        match lookup.purpose {
            Purpose::Join if nearest.is_none() => self.join(state, here, fx),
            Purpose::Join => {
                let node = &mut state.nodes[here.index];
                node.presence = Presence::Joined;
                node.due = node.table.deepest().map_or(0, |deepest| (1 << deepest) - 1);
                self.refresh_next(state, here, fx);
            }
            Purpose::Refresh => self.refresh_next(state, here, fx),
            Purpose::Publish { .. } => self.publish(state, here, lookup, fx),
            Purpose::Node | Purpose::Value { .. } => {}
        }
    }

    fn record(
        &self,
        state: &mut KademliaState,
        here: Here,
        lookup: &Lookup,
        closest: Option<(NodeId, u8)>,
        ended: SimTime,
    ) {
        let (node, hops) = closest.unwrap_or((here.id, 0));
        let record = LookupRecord {
            ended,
            node: here.id,
            purpose: lookup.purpose,
            target: lookup.target,
            closest: node,
            found: closest.is_some(),
            hops,
            requests: lookup.requests,
            timeouts: lookup.timeouts,
            latency: ended.since(lookup.started),
        };
        if lookup.started >= self.counted_from {
            state.figures.lookups_mut(lookup.purpose).add(&record);
        }
        let records = &mut state.nodes[here.index].records;
        if *records < self.options.records_max {
            *records += 1;
            state.records.push(record);
        }
    }

    /// Stores a value at the k closest nodes that answered, of which the node itself may be one.
    fn publish(&self, state: &mut KademliaState, here: Here, lookup: &Lookup, fx: &mut impl Effects<Self>) {
        let key = lookup.target;
        let mut payload = std::mem::take(&mut state.payload);
        payload.clear();
        payload.extend(key.into_iter().chain(self.bytes_of(&key)));
        let nearer = lookup.answered().map(|(other, _)| other);
        let nearer = nearer.take_while(|&other| self.keys.compare(&key, other, here.id).is_lt()).take(self.k()).count();
        let (others, is_own) = if nearer < self.k() { (self.k() - 1, true) } else { (self.k(), false) };
        for (other, _) in lookup.answered().take(others) {
            fx.send_payload(other, KademliaMessage::Store { number: lookup.number }, &payload);
        }
        if is_own {
            self.keep(state, here, &key, &payload[key.len()..]);
        }
        state.payload = payload;
    }

    /// Begins to refresh the buckets in whose range nothing was looked for since the last time. A node that has no
    /// contacts left joins again.
    pub(super) fn refresh(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        let node = &mut state.nodes[here.index];
        if node.presence != Presence::Joined {
            return;
        }
        match node.table.deepest() {
            Some(deepest) => {
                node.due = (u32::MAX >> (BUCKETS - 1 - deepest)) & !node.looked;
                node.looked = 0;
                self.refresh_next(state, here, fx);
            }
            None => self.join(state, here, fx),
        }
    }

    /// Looks for a random key in the next bucket that is due, unless another is being refreshed.
    fn refresh_next(&self, state: &mut KademliaState, here: Here, fx: &mut impl Effects<Self>) {
        let node = &mut state.nodes[here.index];
        let is_busy = node.lookups.iter().any(|lookup| lookup.purpose == Purpose::Refresh && !lookup.has_ended);
        if is_busy || node.due == 0 {
            return;
        }
        let bucket = node.due.trailing_zeros() as usize;
        node.due &= node.due - 1;
        let key = key_in_bucket(self.keys.head(here.id), bucket, &mut fx.random());
        self.begin(state, here, Purpose::Refresh, key, fx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    #[test]
    fn a_random_key_in_a_bucket_is_in_it() {
        let mut random = RandomKey::new(1, Domain::Protocol).stream(0, 0);
        for bucket in 0..BUCKETS {
            let own = random.word();
            let keys: Vec<_> = (0..64).map(|_| key_in_bucket(own, bucket, &mut random)).collect();
            assert!(keys.iter().all(|key| bucket_of(own, super::super::keys::head_of(key)) == bucket));
            let all = |byte: usize| keys.iter().fold((0, 255), |(or, and), key| (or | key[byte], and & key[byte]));
            assert!((5..32).all(|byte| all(byte) == (255, 0)), "the rest is random");
        }
    }
}
