//! What a node does about messages and contacts: it answers, learns who is there, and finds out who is not.

use super::lookup::Purpose;
use super::state::{Check, KademliaState, give_back};
use super::table::bucket_of;
use super::wire::{self, KademliaWireError};
use super::{CHECKS_MAX, Kademlia, KademliaMessage, KademliaRouting, KademliaTimer};
use crate::contract::{Effects, Here, Key256, NodeId};

impl Kademlia {
    /// Takes in a message.
    ///
    /// # Errors
    /// If the payload cannot be understood; then nothing of the message is believed.
    pub(super) fn take(
        &self,
        state: &mut KademliaState,
        here: Here,
        from: NodeId,
        message: KademliaMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), KademliaWireError> {
        match message {
            KademliaMessage::Ping { number } => {
                check_empty(payload)?;
                self.see(state, here, from);
                fx.send(from, KademliaMessage::Pong { number });
            }
            KademliaMessage::Pong { .. } | KademliaMessage::Stored { .. } => {
                check_empty(payload)?;
                self.see(state, here, from);
            }
            KademliaMessage::FindNode { number } => {
                let key = wire::decode_key(payload)?;
                self.see_or_check(state, here, from, fx);
                self.tell_closest(state, here, from, number, key, fx);
            }
            KademliaMessage::FindValue { number } => {
                let key = wire::decode_key(payload)?;
                self.see_or_check(state, here, from, fx);
                let values = state.nodes[here.index].values();
                match values.and_then(|values| values.get(key)) {
                    Some(value) => fx.send_payload(from, KademliaMessage::Value { number }, value),
                    None => self.tell_closest(state, here, from, number, key, fx),
                }
            }
            KademliaMessage::Store { number } => {
                let (key, value) = wire::decode_store(payload)?;
                self.see_or_check(state, here, from, fx);
                let kept = self.keep(state, here, key, value);
                fx.send(from, KademliaMessage::Stored { number, kept });
            }
            KademliaMessage::Nodes { number } => {
                state.told.clear();
                wire::decode_contacts(&self.keys, self.k(), payload, &mut state.told)?;
                self.see_or_check(state, here, from, fx);
                self.hear(state, here, from, number, fx);
            }
            KademliaMessage::Value { number } => {
                let asked = state.nodes[here.index].lookups.iter().find(|lookup| lookup.number == number);
                if let Some(lookup) = asked
                    && let Purpose::Value { .. } = lookup.purpose
                    && !payload.iter().copied().eq(self.bytes_of(&lookup.target))
                {
                    return Err(KademliaWireError::Length { found: payload.len() });
                }
                self.see_or_check(state, here, from, fx);
                self.hear_value(state, here, from, number, fx);
            }
        }
        Ok(())
    }

    /// The bytes of the value of `key`.
    pub(super) fn bytes_of(&self, key: &Key256) -> impl Iterator<Item = u8> {
        Self::bytes_of_value(key, self.options.values.map_or(0, |values| values.len))
    }

    /// Takes in that `from` lives. Returns false if it is no contact because its bucket is full; then it is kept as a
    /// replacement.
    pub(super) fn see(&self, state: &mut KademliaState, here: Here, from: NodeId) -> bool {
        if from >= self.nodes() {
            // It only asks, and is no node of the network.
            return true;
        }
        let node = &mut state.nodes[here.index];
        let bucket = bucket_of(self.keys.head(here.id), self.keys.head(from));
        if !node.checks.is_empty() {
            // It lives, whatever the answer to the ping.
            node.checks.retain(|check| check.contact != from);
            give_back(&mut node.checks);
        }
        let is_contact = node.table.touch(bucket, from) || node.table.insert(bucket, from, self.k());
        if !is_contact {
            node.keep_spare(bucket, from);
        }
        is_contact
    }

    /// Takes in that `from` lives. If its bucket is full, pings the contact in it that was not seen for longest, unless
    /// the bucket is being checked already, or [`CHECKS_MAX`] others.
    fn see_or_check(&self, state: &mut KademliaState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        if self.see(state, here, from) {
            return;
        }
        let node = &mut state.nodes[here.index];
        let own = self.keys.head(here.id);
        let bucket = bucket_of(own, self.keys.head(from));
        let is_checked = node.checks.iter().any(|check| bucket_of(own, self.keys.head(check.contact)) == bucket);
        if is_checked || node.checks.len() >= CHECKS_MAX {
            return;
        }
        let Some(&contact) = node.table.bucket(bucket).first() else { return };
        let number = node.next_number();
        node.checks.push(Check { number, contact });
        state.figures.checks += 1;
        fx.send(contact, KademliaMessage::Ping { number });
        fx.wake_after(self.options.timeout, KademliaTimer::Pong { number });
    }

    /// No pong came in time to ping `number`, if it is still waited for: a replacement takes the contact's place.
    pub(super) fn evict(&self, state: &mut KademliaState, here: Here, number: u32) {
        let node = &mut state.nodes[here.index];
        let Some(place) = node.checks.iter().position(|check| check.number == number) else { return };
        let Check { contact, .. } = node.checks.swap_remove(place);
        give_back(&mut node.checks);
        let is_gone = self.replace(state, here, contact);
        state.figures.evicted += u64::from(is_gone);
    }

    /// Removes a contact that does not answer a request.
    pub(super) fn drop_contact(&self, state: &mut KademliaState, here: Here, contact: NodeId) {
        let is_gone = self.replace(state, here, contact);
        state.figures.failed += u64::from(is_gone);
    }

    /// Replaces `contact`, or removes it if there is no replacement; returns whether it was one.
    fn replace(&self, state: &mut KademliaState, here: Here, contact: NodeId) -> bool {
        let bucket = bucket_of(self.keys.head(here.id), self.keys.head(contact));
        let (is_gone, is_replaced) = state.nodes[here.index].replace(bucket, contact, self.k());
        state.figures.replaced += u64::from(is_replaced);
        is_gone
    }

    /// Sends the contacts that are closest to `key` to `asker`.
    fn tell_closest(
        &self,
        state: &mut KademliaState,
        here: Here,
        asker: NodeId,
        number: u32,
        key: &Key256,
        fx: &mut impl Effects<Self>,
    ) {
        let KademliaState { nodes, found, payload, .. } = state;
        let routing = KademliaRouting::new(here.id, self.k(), &nodes[here.index].table, &self.keys);
        routing.find_closest(key, Some(asker), found);
        payload.clear();
        wire::encode_contacts(&self.keys, found.iter().map(|&(_, contact)| contact), payload);
        fx.send_payload(asker, KademliaMessage::Nodes { number }, payload);
    }

    /// Keeps a value, if there is room.
    pub(super) fn keep(&self, state: &mut KademliaState, here: Here, key: &Key256, value: &[u8]) -> bool {
        let most = self.options.values.map_or(0, |values| usize::from(values.kept_max));
        let own = &mut state.nodes[here.index].kept;
        let kept = most > 0 && own.get_or_insert_default().values.store(key, value, most);
        state.figures.stored += u64::from(kept);
        state.figures.refused += u64::from(!kept);
        kept
    }
}

fn check_empty(payload: &[u8]) -> Result<(), KademliaWireError> {
    if payload.is_empty() { Ok(()) } else { Err(KademliaWireError::Length { found: payload.len() }) }
}
