//! A replica of a shard: a log that a leader writes and a majority keeps, by the rules of Raft.
//!
//! Ongaro and Ousterhout, "In search of an understandable consensus algorithm", USENIX ATC 2014; leaders that are heard of
//! are not voted against, votes are asked for beforehand, and members change one at a time, as in Ongaro, "Consensus:
//! bridging theory and practice", Stanford 2014, sections 4.1, 4.2.3, 6.2, 9.6. What a node must not forget in a crash
//! (term, vote, log, members, records) stands on its disk.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::members::Replacing;
use super::shards::Members;
use super::store::{Command, CommandKind, Decision, Directory, Entry, Outcome, Store, Tentative, changes};
use super::{Acknowledge, NOBODY, RegistryMessage, RegistryOptions, ticks};
use crate::contract::{NodeId, RandomKey, SimSpan, SimTime, exact};

/// Most entries that are sent at a time to who lacks them.
pub const ENTRIES_MAX: usize = 400;
/// For how long one who lacks entries is not sent them again.
pub(super) const REPAIR_PAUSE: SimSpan = SimSpan::from_millis(500);

/// What a replica acts by: where it stands and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    pub(super) directory: Directory<'a>,
    pub(super) options: &'a RegistryOptions,
    /// By node and term: how long it waits for a leader.
    pub(super) patience: RandomKey,
    pub(super) node: NodeId,
    pub(super) now: SimTime,
}

/// A message that a replica wants sent. What `Entries` carry is encoded when they are sent, which is at once.
pub(super) type Sendings = Vec<(NodeId, RegistryMessage)>;

/// Which votes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Phase {
    /// Whether it would be voted for.
    Before,
    /// A vote.
    Vote,
    /// A vote, because the leader itself wants it.
    Handover,
}

impl Phase {
    /// All of them, in the order of their numbers.
    pub const ALL: [Phase; 3] = [Phase::Before, Phase::Vote, Phase::Handover];
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It keeps what the leader sends.
    Follower,
    /// It asks to become leader.
    Candidate(Phase),
    /// It decides.
    Leader,
}

/// What a leader knows of another replica.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    /// The next entry to send.
    pub(super) next: u32,
    /// Up to where it is known to have the same log.
    pub(super) matched: u32,
    pub(super) heard: SimTime,
    pub(super) sent: SimTime,
    pub(super) repaired: SimTime,
    /// Of the records at the start, how many it holds; of a member, all.
    pub(super) held: u32,
}

/// Who waits for an entry to be committed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    index: u32,
    to: NodeId,
    flow: u32,
    outcome: Outcome,
    value: u32,
}

/// A replica of a shard.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replica {
    pub(super) shard: u32,
    pub(super) term: u32,
    pub(super) voted: NodeId,
    pub(super) role: Role,
    pub(super) leader: NodeId,
    pub(super) members: Members,
    #[serde(with = "exact")]
    pub(super) log: Vec<Entry>,
    pub(super) commit: u32,
    pub(super) store: Store,
    /// How many of the records at the start it holds.
    pub(super) held: u32,
    /// Since when the leader, or who was voted for, has not been heard of.
    pub(super) heard: SimTime,
    /// When the leader had committed nothing that is not here, in steps as [`ticks`] makes them.
    pub(super) as_of: u32,
    tries: u32,
    votes: Members,
    #[serde(with = "exact")]
    pub(super) peers: Vec<Peer>,
    #[serde(with = "exact")]
    waiting: VecDeque<Waiting>,
    pub(super) replacing: Option<Replacing>,
}

impl Replica {
    /// A replica of `shard` at `node`, which is one of `members` from the start if `held`, else one to be.
    pub(super) fn new(shard: u32, members: Members, node: NodeId, held: u32) -> Self {
        let leader = members.first().copied().unwrap_or(NOBODY);
        let mut replica = Replica {
            shard,
            term: 1,
            voted: leader,
            role: Role::Follower,
            leader,
            members,
            log: Vec::new(),
            commit: 0,
            store: Store::default(),
            held,
            heard: SimTime::ZERO,
            as_of: 0,
            tries: 0,
            votes: Members::default(),
            peers: Vec::new(),
            waiting: VecDeque::new(),
            replacing: None,
        };
        if leader == node {
            replica.role = Role::Leader;
            replica.peers = replica.new_peers(node, SimTime::ZERO);
        }
        replica
    }

    fn new_peers(&self, node: NodeId, now: SimTime) -> Vec<Peer> {
        let next = self.last() + 1;
        let peer = |&node| Peer {
            node,
            next,
            matched: 0,
            heard: now,
            sent: SimTime::ZERO,
            repaired: SimTime::ZERO,
            held: u32::MAX,
        };
        self.members.iter().filter(|&&member| member != node).map(peer).collect()
    }

    /// Which shard it is of.
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// What it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The term that it is in.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// Its log, and how much of it is known to be committed.
    pub fn entries(&self) -> (&[Entry], u32) {
        (&self.log, self.commit)
    }

    /// What is committed.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Of the records at the start, how many it holds.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Who the members are, by its log.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Memory, in bytes, of lists and maps.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.log.capacity() * size_of::<Entry>()
            + self.peers.capacity() * size_of::<Peer>()
            + self.waiting.capacity() * size_of::<Waiting>()
            + self.store.bytes()
    }

    /// The place of the last entry; places begin with 1.
    pub(super) fn last(&self) -> u32 {
        self.log.len() as u32
    }

    pub(super) fn term_at(&self, index: u32) -> u32 {
        index.checked_sub(1).and_then(|place| self.log.get(place as usize)).map_or(0, |entry| entry.term)
    }

    /// What a crash takes: all that is not on disk.
    pub(super) fn restart(&mut self, now: SimTime) {
        self.follow(self.term, NOBODY);
        self.heard = now;
    }

    /// Follows `leader` in `term`.
    fn follow(&mut self, term: u32, leader: NodeId) {
        if term > self.term {
            (self.term, self.voted) = (term, NOBODY);
        }
        (self.role, self.leader) = (Role::Follower, leader);
        self.votes = Members::default();
        self.peers.clear();
        self.waiting.clear();
        self.replacing = None;
    }

    fn push(&mut self, entry: Entry) {
        match changes(&entry.command) {
            Some((node, true)) => self.members.add(node),
            Some((node, false)) => self.members.remove(node),
            None => {}
        }
        self.log.push(entry);
    }

    /// Drops entries beyond `last`, none of which is committed.
    fn truncate(&mut self, own: &Own<'_>, last: u32) {
        debug_assert!(last >= self.commit, "what is committed stays");
        let dropped = self.log.split_off(last as usize);
        if dropped.iter().all(|entry| changes(&entry.command).is_none()) {
            return;
        }
        self.members = self.members_at(own.directory, last);
    }

    /// Who the members were after the entry at `index`.
    pub fn members_at(&self, directory: Directory<'_>, index: u32) -> Members {
        let mut members = directory.shards.at_start(self.shard);
        for (node, is_in) in self.log[..index as usize].iter().filter_map(|entry| changes(&entry.command)) {
            if is_in { members.add(node) } else { members.remove(node) }
        }
        members
    }

    /// Appends `command` as the leader, and sends it to those who have all that is before it.
    pub(super) fn propose(&mut self, own: &Own<'_>, command: Command, out: &mut Sendings) -> u32 {
        let (prev, prev_term) = (self.last(), self.term_at(self.last()));
        let entry = Entry { term: self.term, command };
        self.push(entry);
        let (shard, term, commit, sent) = (self.shard, self.term, self.commit, ticks(own.now));
        let whole = own.directory.base.records(shard).iter().sum::<u32>();
        for peer in self.peers.iter_mut().filter(|peer| peer.next == prev + 1 && peer.held >= whole) {
            peer.next += 1;
            peer.sent = own.now;
            out.push((peer.node, RegistryMessage::Append { shard, term, prev, prev_term, commit, sent, entry }));
        }
        prev + 1
    }

    /// Sends the peer at `place` what it lacks, or that there is nothing, so that it says how far it is.
    pub(super) fn send_entries(&mut self, own: &Own<'_>, place: usize, out: &mut Sendings) {
        let last = self.last();
        let peer = &mut self.peers[place];
        let (node, prev) = (peer.node, peer.next - 1);
        peer.sent = own.now;
        let count = (last - prev).min(ENTRIES_MAX as u32);
        peer.next += count;
        let (shard, term, commit, sent, prev_term) =
            (self.shard, self.term, self.commit, ticks(own.now), self.term_at(prev));
        out.push(match count {
            0 => (node, RegistryMessage::Beat { shard, term, prev, prev_term, commit, sent }),
            _ => (node, RegistryMessage::Entries { shard, term, prev, prev_term, commit, sent }),
        });
    }

    /// A gateway asks for `command`. Returns whether there was room for it.
    pub(super) fn request(
        &mut self,
        own: &Own<'_>,
        (to, flow): (NodeId, u32),
        command: Command,
        out: &mut Sendings,
    ) -> bool {
        if self.role != Role::Leader {
            let leader = if self.leader == own.node { NOBODY } else { self.leader };
            out.push((to, RegistryMessage::Elsewhere { flow, leader }));
            return true;
        }
        let room = own.options.pipeline_max as usize;
        if (self.last() - self.commit) as usize >= room || self.waiting.len() >= 2 * room {
            return false;
        }
        let tentative = Tentative {
            directory: own.directory,
            shard: self.shard,
            store: &self.store,
            pending: &self.log[self.commit as usize..],
            first: self.commit + 1,
        };
        let mut waiting = Waiting { index: self.last(), to, flow, outcome: Outcome::Done, value: 0 };
        match tentative.decide(&command) {
            Decision::Append => {
                waiting.index = self.propose(own, command, out);
                waiting.value = waiting.index;
            }
            Decision::Answer(outcome) => waiting.outcome = outcome,
        }
        if own.options.acknowledge == Acknowledge::Leader {
            let Waiting { to, flow, outcome, value, .. } = waiting;
            out.push((to, RegistryMessage::Answer { flow, outcome, value }));
        } else {
            self.waiting.push_back(waiting);
        }
        self.advance(own, out);
        true
    }

    /// Commits what a majority has, if it is of this term, and does what follows.
    pub(super) fn advance(&mut self, own: &Own<'_>, out: &mut Sendings) {
        let matched = |node: &NodeId| match self.peers.iter().find(|peer| peer.node == *node) {
            Some(peer) => peer.matched,
            None if *node == own.node => self.last(),
            None => 0,
        };
        let mut have = [0; super::shards::MEMBERS_MAX];
        let have = &mut have[..self.members.len()];
        have.iter_mut().zip(self.members.iter()).for_each(|(have, node)| *have = matched(node));
        have.sort_unstable_by(|one, other| other.cmp(one));
        let by_most = have.get(self.members.majority() - 1).copied().unwrap_or(0);
        if by_most > self.commit && self.term_at(by_most) == self.term {
            self.commit_to(own, by_most);
        }
        while self.waiting.front().is_some_and(|waiting| waiting.index <= self.commit) {
            let Some(Waiting { to, flow, outcome, value, .. }) = self.waiting.pop_front() else { break };
            out.push((to, RegistryMessage::Answer { flow, outcome, value }));
        }
        if self.replacing.is_some() {
            self.replace(own, out);
        }
    }

    fn commit_to(&mut self, own: &Own<'_>, index: u32) {
        for place in self.commit..index {
            let command = self.log[place as usize].command;
            self.store.apply(&own.directory, &command, place + 1, own.now);
        }
        self.commit = index;
    }

    /// A leader sends entries that follow `prev`, or none.
    pub(super) fn take_entries(
        &mut self,
        own: &Own<'_>,
        from: NodeId,
        [term, prev, prev_term, commit, sent]: [u32; 5],
        entries: impl Iterator<Item = Entry>,
        out: &mut Sendings,
    ) {
        let shard = self.shard;
        let mut answer = |term, matched, ok| out.push((from, RegistryMessage::Appended { shard, term, matched, ok }));
        if term < self.term {
            return answer(self.term, 0, false);
        }
        if term > self.term || self.role != Role::Follower || self.leader != from {
            self.follow(term, from);
        }
        (self.heard, self.tries) = (own.now, 0);
        if prev > self.last() || self.term_at(prev) != prev_term {
            // What is committed here the leader has as well.
            return answer(term, self.last().min(prev.saturating_sub(1)).max(self.commit), false);
        }
        let mut index = prev;
        for entry in entries {
            index += 1;
            if index <= self.last() {
                if self.term_at(index) == entry.term {
                    continue;
                }
                self.truncate(own, index - 1);
            }
            self.push(entry);
        }
        if commit.min(index) > self.commit {
            self.commit_to(own, commit.min(index));
        }
        if commit <= index {
            self.as_of = self.as_of.max(sent);
        }
        answer(term, index, true);
    }

    /// A follower says how far its log is that of the leader.
    pub(super) fn take_appended(
        &mut self,
        own: &Own<'_>,
        from: NodeId,
        [term, matched]: [u32; 2],
        ok: bool,
        out: &mut Sendings,
    ) {
        if term > self.term {
            self.follow(term, NOBODY);
            self.heard = own.now;
            return;
        }
        let last = self.last();
        let Some(place) = self.peers.iter().position(|peer| peer.node == from) else { return };
        if term < self.term || self.role != Role::Leader || matched > last {
            return;
        }
        let peer = &mut self.peers[place];
        peer.heard = own.now;
        if ok {
            peer.matched = peer.matched.max(matched);
            peer.next = peer.next.max(matched + 1);
        } else if own.now.since(peer.repaired) >= REPAIR_PAUSE || peer.repaired == SimTime::ZERO {
            peer.next = matched + 1;
            peer.repaired = own.now;
        }
        if self.peers[place].next <= last {
            self.send_entries(own, place, out);
        }
        if ok {
            self.advance(own, out);
        }
    }

    /// How long this replica waits for a leader.
    fn timeout(&self, own: &Own<'_>) -> SimSpan {
        let word = own.patience.word(own.node ^ self.shard.rotate_left(16), self.term.wrapping_add(self.tries));
        let least = own.options.election;
        least + SimSpan::from_nanos(crate::contract::scale_word(word, least.as_nanos()))
    }

    /// Looks after peers, or for a leader. Returns whether it begins to ask for votes.
    pub(super) fn tick(&mut self, own: &Own<'_>, out: &mut Sendings) -> bool {
        if self.role == Role::Leader {
            self.tick_as_leader(own, out);
            return false;
        }
        let whole = own.directory.base.records(self.shard).iter().sum::<u32>();
        let may = self.members.contains(&own.node) && self.held >= whole;
        if !may || own.now.since(self.heard) < self.timeout(own) {
            return false;
        }
        self.tries += 1;
        self.heard = own.now;
        self.leader = NOBODY;
        self.campaign(own, Phase::Before, out);
        true
    }

    fn tick_as_leader(&mut self, own: &Own<'_>, out: &mut Sendings) {
        let is_heard =
            |peer: &&Peer| self.members.contains(&peer.node) && own.now.since(peer.heard) < own.options.election * 2;
        if self.peers.iter().filter(is_heard).count() + 1 < self.members.majority() {
            // A majority may have another leader by now.
            self.restart(own.now);
            return;
        }
        let last = self.last();
        for place in 0..self.peers.len() {
            let peer = &mut self.peers[place];
            let (silent, lags) = (own.now.since(peer.sent), peer.matched < last);
            if lags && silent >= own.options.patience {
                peer.next = peer.matched + 1;
            }
            if silent >= own.options.heartbeat || (lags && silent >= own.options.patience) {
                self.send_to(own, place, out);
            }
        }
        if self.replacing.is_some() {
            self.replace(own, out);
        }
    }

    /// Asks for votes.
    pub(super) fn campaign(&mut self, own: &Own<'_>, phase: Phase, out: &mut Sendings) {
        if phase != Phase::Before {
            (self.term, self.voted) = (self.term.saturating_add(1), own.node);
        }
        self.role = Role::Candidate(phase);
        self.votes = Members::of(&[own.node]);
        let term = if phase == Phase::Before { self.term.saturating_add(1) } else { self.term };
        let (shard, last, last_term) = (self.shard, self.last(), self.term_at(self.last()));
        let vote = RegistryMessage::Vote { shard, term, last, last_term, phase };
        out.extend(self.members.iter().filter(|&&member| member != own.node).map(|&member| (member, vote)));
        self.count_votes(own, out);
    }

    /// Somebody wants to become leader.
    pub(super) fn take_vote(
        &mut self,
        own: &Own<'_>,
        from: NodeId,
        [term, last, last_term]: [u32; 3],
        phase: Phase,
        out: &mut Sendings,
    ) {
        let shard = self.shard;
        let is_led =
            self.role == Role::Leader || (self.leader != NOBODY && own.now.since(self.heard) < own.options.election);
        let mut granted = (last_term, last) >= (self.term_at(self.last()), self.last());
        if is_led && phase != Phase::Handover {
            if self.role == Role::Leader && self.has_removed(from) {
                out.push((from, RegistryMessage::Gone { shard, leader: own.node }));
            }
            granted = false;
        } else if phase == Phase::Before {
            granted &= term > self.term;
        } else {
            if term > self.term {
                let heard = self.heard;
                self.follow(term, NOBODY);
                self.heard = heard;
            }
            granted &= term == self.term && (self.voted == NOBODY || self.voted == from);
            if granted {
                (self.voted, self.heard) = (from, own.now);
            }
        }
        let before = phase == Phase::Before;
        let term = if before && granted { term } else { self.term };
        out.push((from, RegistryMessage::Voted { shard, term, granted, before }));
    }

    /// Somebody answers whether it votes for this replica. Returns whether it leads now.
    pub(super) fn take_voted(
        &mut self,
        own: &Own<'_>,
        from: NodeId,
        (term, granted, before): (u32, bool, bool),
        out: &mut Sendings,
    ) -> bool {
        if !granted {
            if term > self.term {
                let heard = self.heard;
                self.follow(term, NOBODY);
                self.heard = heard;
            }
            return false;
        }
        let Role::Candidate(phase) = self.role else { return false };
        let expected = if phase == Phase::Before { self.term.saturating_add(1) } else { self.term };
        if before != (phase == Phase::Before) || term != expected || !self.members.contains(&from) {
            return false;
        }
        self.votes.add(from);
        self.count_votes(own, out)
    }

    fn count_votes(&mut self, own: &Own<'_>, out: &mut Sendings) -> bool {
        if self.votes.len() < self.members.majority() {
            return false;
        }
        match self.role {
            Role::Candidate(Phase::Before) => {
                self.campaign(own, Phase::Vote, out);
                self.role == Role::Leader
            }
            Role::Candidate(_) => {
                (self.role, self.leader, self.tries) = (Role::Leader, own.node, 0);
                self.peers = self.new_peers(own.node, own.now);
                self.propose(own, Command::new(CommandKind::Begin, 0, 0), out);
                self.advance(own, out);
                true
            }
            _ => false,
        }
    }
}
