//! How a replica takes the place of another: it gets the records at the start and the log, is added, and then the other is
//! removed.

use serde::{Deserialize, Serialize};

use super::replica::{Own, Peer, Replica, Role, Sendings};
use super::shards::{MEMBERS_MAX, Members};
use super::store::{Command, CommandKind, changes};
use super::{DRIVER, RegistryMessage, wire};
use crate::contract::{NodeId, SimTime};

/// Entries that one who is to be added may lack.
const LACKING_MAX: u32 = 16;

/// A node that takes the place of another in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replacing {
    pub(super) old: NodeId,
    pub(super) new: NodeId,
}

impl Replica {
    /// Of the records at the start, how many there are.
    fn whole(&self, own: &Own<'_>) -> u32 {
        own.directory.base.records(self.shard).iter().sum()
    }

    /// The driver wants `new` in the place of `old`.
    pub(super) fn take_replace(&mut self, own: &Own<'_>, replacing: Replacing, out: &mut Sendings) {
        if self.role != Role::Leader {
            return;
        }
        self.replacing = Some(replacing);
        // Who was to be added before, and is not, is forgotten.
        let members = self.members;
        self.peers.retain(|peer| members.contains(&peer.node) || peer.node == replacing.new);
        self.replace(own, out);
    }

    /// Takes the next step, if it can be taken now.
    pub(super) fn replace(&mut self, own: &Own<'_>, out: &mut Sendings) {
        let Some(Replacing { old, new }) = self.replacing else { return };
        let pending = &self.log[self.commit as usize..];
        let is_changing = pending.iter().any(|entry| changes(&entry.command).is_some());
        if self.role != Role::Leader || is_changing {
            return;
        }
        if self.term_at(self.commit) != self.term && self.last() > 0 {
            // A leader of another term may have committed changes that are not known here to be so.
            return;
        }
        match (self.members.contains(&old), self.members.contains(&new)) {
            (true, false) if self.was_member(own, new) => self.replacing = None,
            (true, false) => self.teach(own, new, out),
            (true, true) if old == own.node => self.hand_over(out),
            (true, true) => {
                self.propose(own, Command::new(CommandKind::Remove, 0, old), out);
            }
            (false, _) => {
                let shard = self.shard;
                self.replacing = None;
                let members = self.members;
                self.peers.retain(|peer| members.contains(&peer.node));
                out.push((old, RegistryMessage::Gone { shard, leader: own.node }));
                out.push((DRIVER, RegistryMessage::Changed { shard, members: self.members }));
            }
        }
    }

    /// Gives `new` what it lacks, and adds it when that is little.
    fn teach(&mut self, own: &Own<'_>, new: NodeId, out: &mut Sendings) {
        let (last, whole) = (self.last(), self.whole(own));
        match self.peers.iter().position(|peer| peer.node == new) {
            None => {
                let never = SimTime::ZERO;
                let peer =
                    Peer { node: new, next: 1, matched: 0, heard: never, sent: own.now, repaired: never, held: 0 };
                self.peers.push(peer);
                self.send_to(own, self.peers.len() - 1, out);
            }
            Some(place) => {
                let peer = self.peers[place];
                let is_known = peer.held >= whole && peer.heard > SimTime::ZERO;
                if is_known && peer.matched + LACKING_MAX >= last && self.members.len() < MEMBERS_MAX {
                    self.propose(own, Command::new(CommandKind::Add, 0, new), out);
                }
            }
        }
    }

    /// Has the one lead that has most of the log.
    fn hand_over(&self, out: &mut Sendings) {
        let members = self.peers.iter().filter(|peer| self.members.contains(&peer.node));
        if let Some(best) = members.max_by_key(|peer| (peer.matched, peer.heard)) {
            out.push((best.node, RegistryMessage::Elect { shard: self.shard, term: self.term }));
        }
    }

    /// Sends the peer at `place` records at the start, if it lacks any, or else entries.
    pub(super) fn send_to(&mut self, own: &Own<'_>, place: usize, out: &mut Sendings) {
        let whole = self.whole(own);
        let peer = &mut self.peers[place];
        if peer.held >= whole {
            peer.repaired = own.now;
            return self.send_entries(own, place, out);
        }
        peer.sent = own.now;
        let (from, to) = (peer.held, (peer.held + wire::CHUNK_MAX).min(whole));
        // Users come first.
        let users = own.directory.base.records(self.shard)[0];
        let of_users = to.min(users).saturating_sub(from);
        let chunk = RegistryMessage::Chunk {
            shard: self.shard,
            term: self.term,
            from,
            users: of_users as u16,
            ids: (to - from - of_users) as u16,
        };
        out.push((peer.node, chunk));
    }

    /// The leader sends records at the start.
    pub(super) fn take_chunk(
        &mut self,
        own: &Own<'_>,
        leader: NodeId,
        [term, from, count]: [u32; 3],
        out: &mut Sendings,
    ) {
        if term < self.term {
            return;
        }
        self.heard = own.now;
        if from == self.held {
            self.held = (self.held + count).min(self.whole(own));
        }
        out.push((leader, RegistryMessage::ChunkTaken { shard: self.shard, held: self.held }));
    }

    /// Who is to be added says how much it holds.
    pub(super) fn take_chunk_taken(&mut self, own: &Own<'_>, from: NodeId, held: u32, out: &mut Sendings) {
        let whole = self.whole(own);
        if self.role != Role::Leader || held > whole {
            return;
        }
        let Some(place) = self.peers.iter().position(|peer| peer.node == from && peer.held < whole) else { return };
        let peer = &mut self.peers[place];
        peer.heard = own.now;
        if held > peer.held || peer.held == 0 {
            peer.held = held;
            self.send_to(own, place, out);
        }
    }

    /// Whether `node` is or was a member, by the log. Who was is never added again: what it said then could be taken for
    /// what it says now.
    pub(super) fn was_member(&self, own: &Own<'_>, node: NodeId) -> bool {
        own.directory.shards.at_start(self.shard).contains(&node)
            || self.log.iter().any(|entry| changes(&entry.command) == Some((node, true)))
    }

    /// Whether `node` has been removed for good.
    pub(super) fn has_removed(&self, node: NodeId) -> bool {
        self.log[..self.commit as usize].iter().any(|entry| changes(&entry.command) == Some((node, false)))
    }

    /// A replica to be, which the leader will teach.
    pub(super) fn to_be(shard: u32, start: Members, now: SimTime) -> Self {
        let mut replica = Replica::new(shard, start, super::NOBODY, 0);
        (replica.heard, replica.leader) = (now, super::NOBODY);
        (replica.term, replica.voted) = (0, super::NOBODY);
        replica
    }
}
