//! The way of a block through one view: proposal, votes, commit; and the beginning of the next height.

use super::blocks::head_of;
use super::figures::CommitRecord;
use super::quorum::Vote;
use super::state::{BLOCKS_MAX, Certificate, Committed};
use super::{
    Block, Consensus, ConsensusMessage, ConsensusState, ConsensusTimer, HISTORY_MAX, Instance, Mandate, MessageKind,
    Output, Pattern, Refusal, ReplicaSet, digest_of,
};
use crate::contract::{Effects, Here, NodeId, SimSpan, SimTime};

impl Consensus {
    /// The instance that `message` is for.
    pub(super) fn instance<'a>(
        &self,
        state: &'a mut ConsensusState,
        here: Here,
        message: &ConsensusMessage,
    ) -> Result<&'a mut Instance, Refusal> {
        let replica = &mut state.replicas[here.index];
        if message.height < replica.height {
            return Err(Refusal::Late);
        }
        if self.is_beyond(message.height) {
            return Err(Refusal::Rejected);
        }
        replica.instance(message.height).ok_or(Refusal::Early)
    }

    /// The height that the replica `here` decides begins, or goes on after it was down.
    pub(super) fn begin_height(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let height = state.replicas[here.index].height;
        if self.is_beyond(height) {
            return;
        }
        let view = state.replicas[here.index].current().view;
        self.set_view_timer(state, here, fx);
        if view == 0 && self.leader(state, here.index, 0) == here.id {
            if self.options.interval.as_nanos() == 0 {
                self.prepare_proposal(state, here, 0, fx);
            } else {
                fx.wake_after(self.options.interval, ConsensusTimer::Propose { height });
            }
        }
    }

    /// Asks the layer above for a block, or proposes that of a view before, if the replica `here` leads `view`, is in it,
    /// and has not done so.
    pub(super) fn prepare_proposal(
        &self,
        state: &mut ConsensusState,
        here: Here,
        view: u16,
        fx: &mut impl Effects<Self>,
    ) {
        if self.leader(state, here.index, view) != here.id {
            return;
        }
        let replica = &mut state.replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        if instance.view != view || instance.is_changing || instance.current().has_proposed {
            return;
        }
        match instance.current().mandate {
            Mandate::Unknown => {}
            Mandate::Own => {
                instance.current().has_proposed = true;
                state.outputs.push_back(Output::Propose { height });
            }
            Mandate::Again(digest) => {
                let Some(block) = instance.block(digest).cloned() else { return };
                instance.current().has_proposed = true;
                self.send_proposal(state, here, digest, &block, fx);
            }
        }
    }

    /// Proposes a block with `body`, in answer to [`Output::Propose`]. Does nothing if the replica `here` was not asked to.
    ///
    /// # Panics
    /// If `body` is longer than [`BODY_LEN_MAX`](super::BODY_LEN_MAX).
    pub fn propose(&self, state: &mut ConsensusState, here: Here, body: &[u8], fx: &mut impl Effects<Self>) {
        assert!(body.len() <= super::BODY_LEN_MAX, "a body of {} bytes", body.len());
        let Some(replica) = state.replicas.get_mut(here.index) else { return };
        let height = replica.height;
        let round = replica.current().current();
        if !round.has_proposed || round.mandate != Mandate::Own || round.proposal_of(here.id).is_some() {
            return;
        }
        let block = Block::new(here.id, fx.now(), body);
        state.figures.proposed += 1;
        if self.options.equivocator == Some(here.id) {
            return self.equivocate(state, here, &block, fx);
        }
        self.send_proposal(state, here, digest_of(height, block.as_bytes()), &block, fx);
    }

    fn send_proposal(
        &self,
        state: &mut ConsensusState,
        here: Here,
        digest: u64,
        block: &Block,
        fx: &mut impl Effects<Self>,
    ) {
        let replica = &mut state.replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        let message = ConsensusMessage { kind: MessageKind::PrePrepare, view: instance.view, height, digest };
        instance.keep_block(digest, block.as_bytes());
        instance.current().proposals.push((here.id, digest));
        for other in self.others(here.id) {
            fx.send_payload(other, message, block.as_bytes());
        }
        self.progress(state, here, fx);
    }

    /// Sends `block` to every other replica and a different one to the rest, and votes for each where it is sent.
    fn equivocate(&self, state: &mut ConsensusState, here: Here, block: &Block, fx: &mut impl Effects<Self>) {
        let replica = &mut state.replicas[here.index];
        let (height, view) = (replica.height, replica.current().view);
        let different = Block::new(here.id, fx.now(), &[block.body(), &[1]].concat());
        let blocks = [block, &different].map(|block| (digest_of(height, block.as_bytes()), block));
        replica.current().current().proposals.push((here.id, blocks[0].0));
        for other in self.others(here.id) {
            let (digest, block) = blocks[other as usize % 2];
            let message = |kind| ConsensusMessage { kind, view, height, digest };
            fx.send_payload(other, message(MessageKind::PrePrepare), block.as_bytes());
            if self.options.pattern == Pattern::Pbft {
                fx.send(other, message(MessageKind::Prepare));
                fx.send(other, message(MessageKind::Commit));
            }
        }
    }

    pub(super) fn take_proposal(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        let (_, proposed) = head_of(payload).ok_or(Refusal::Rejected)?;
        if proposed > fx.now() || digest_of(message.height, payload) != message.digest {
            return Err(Refusal::Rejected);
        }
        let is_current = state.replicas[here.index].height == message.height;
        if is_current && self.leader(state, here.index, message.view) != from {
            return Err(Refusal::Rejected);
        }
        let instance = self.instance(state, here, &message)?;
        let is_decided = instance.decided.is_some_and(|decided| decided.digest == message.digest);
        if is_decided {
            instance.keep_block(message.digest, payload);
        }
        let is_late = message.view < instance.view;
        let Some(round) = instance.round(message.view) else {
            // What is decided is wanted in whatever view.
            return match (is_decided, is_late) {
                (true, _) if is_current => {
                    self.progress(state, here, fx);
                    Ok(())
                }
                (true, _) => Ok(()),
                (false, true) => Err(Refusal::Late),
                (false, false) => Err(Refusal::Early),
            };
        };
        match round.proposal_of(from) {
            Some(other) if other != message.digest => state.figures.equivocations += 1,
            Some(_) => instance.keep_block(message.digest, payload),
            None => {
                if is_current {
                    // Whoever else proposed when it was not known who leads does not.
                    round.proposals.clear();
                }
                if round.proposals.len() == BLOCKS_MAX {
                    return Err(Refusal::Early);
                }
                round.proposals.push((from, message.digest));
                instance.keep_block(message.digest, payload);
            }
        }
        if is_current {
            self.progress(state, here, fx);
        }
        Ok(())
    }

    /// A prepare, a commit, or a vote of the linear pattern.
    pub(super) fn take_vote(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        if !payload.is_empty() || message.digest == 0 {
            return Err(Refusal::Rejected);
        }
        let quorum = self.quorum();
        let instance = self.instance(state, here, &message)?;
        if message.view < instance.view {
            return Err(Refusal::Late);
        }
        let is_commit = message.kind == MessageKind::Commit;
        let round = instance.round(message.view).ok_or(Refusal::Early)?;
        let tally = if is_commit { &mut round.commits } else { &mut round.prepares };
        match tally.add(from, message.digest) {
            Vote::Again => Err(Refusal::Late),
            Vote::Counted(count) if count != quorum => Ok(()),
            Vote::Counted(_) => {
                if is_commit && instance.decided.is_none() {
                    let voters = instance.round(message.view).map(|round| round.commits.voters(message.digest));
                    let certificate = voters.map(|voters| Certificate { voters, ..Certificate::of(&message) });
                    instance.decided = certificate;
                }
                self.progress_at(state, here, message.height, fx);
                Ok(())
            }
        }
    }

    /// The leader of the linear pattern says that a quorum voted for a block.
    pub(super) fn take_certificate(
        &self,
        state: &mut ConsensusState,
        here: Here,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        let voters = ReplicaSet::decode(self.replicas, payload).ok_or(Refusal::Rejected)?;
        if voters.len() < self.quorum() || message.digest == 0 {
            return Err(Refusal::Rejected);
        }
        let instance = self.instance(state, here, &message)?;
        if instance.decided.is_none() {
            instance.decided = Some(Certificate { voters, ..Certificate::of(&message) });
        }
        self.progress_at(state, here, message.height, fx);
        Ok(())
    }

    /// As [`Consensus::progress`], if `height` is the one that the replica `here` decides.
    fn progress_at(&self, state: &mut ConsensusState, here: Here, height: u32, fx: &mut impl Effects<Self>) {
        if state.replicas[here.index].height == height {
            self.progress(state, here, fx);
        }
    }

    /// Does all that can be done with what the replica `here` knows: votes, commits, and goes on with the next height.
    pub(super) fn progress(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        // Each turn commits a height of which something was known before, so there are few.
        while !self.is_beyond(state.replicas[here.index].height) {
            self.consider_changes(state, here, fx);
            self.vote(state, here, fx);
            self.close_phase(state, here, fx);
            if !self.commit(state, here, fx) {
                return;
            }
        }
    }

    /// What the replica `here` may vote for in its view: the leader's proposal, if it is what the leader may propose.
    fn acceptable(&self, state: &mut ConsensusState, here: Here) -> Option<u64> {
        let view = state.replicas[here.index].current().view;
        let leader = self.leader(state, here.index, view);
        let instance = state.replicas[here.index].current();
        if instance.is_changing {
            return None;
        }
        let round = instance.current();
        let (digest, mandate) = (round.proposal_of(leader).filter(|_| round.voted.is_none())?, round.mandate);
        let block = instance.block(digest)?;
        match mandate {
            Mandate::Unknown => false,
            Mandate::Own => block.proposer() == leader,
            Mandate::Again(other) => other == digest,
        }
        .then_some(digest)
    }

    /// Sends a prepare, or a vote of the linear pattern, if there is something to vote for.
    fn vote(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        if self.options.equivocator == Some(here.id) {
            // It has said enough.
            return;
        }
        let Some(digest) = self.acceptable(state, here) else { return };
        let replica = &mut state.replicas[here.index];
        let (height, last) = (replica.height, replica.last_proposer);
        let instance = replica.current();
        let view = instance.view;
        let round = instance.current();
        round.voted = Some(digest);
        round.prepares.add(here.id, digest);
        let message = ConsensusMessage { kind: MessageKind::Prepare, view, height, digest };
        match self.options.pattern {
            Pattern::Pbft => self.send_others(here.id, message, fx),
            Pattern::Linear => {
                instance.prepared = Some(Certificate::of(&message));
                let leader = self.leader_after(last, view);
                if leader != here.id {
                    fx.send(leader, message);
                }
            }
        }
    }

    /// Sends a commit if a quorum prepared what the replica `here` voted for; in the linear pattern, a certificate if a
    /// quorum voted for it.
    fn close_phase(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let quorum = self.quorum();
        let replica = &mut state.replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        let (view, is_changing, decided) = (instance.view, instance.is_changing, instance.decided);
        // Who learns of a quorum of commits before it has prepared owes the others its own commit all the same.
        let is_pbft = self.options.pattern == Pattern::Pbft;
        let is_decided = |digest| decided.is_some_and(|known| (known.view, known.digest) == (view, digest));
        let round = instance.current();
        let Some(digest) = round.voted.filter(|_| !is_changing && !round.has_committed) else { return };
        let is_prepared = round.prepares.count(digest) >= quorum;
        if !(is_prepared || is_pbft && is_decided(digest)) {
            return;
        }
        round.has_committed = true;
        let certificate = Certificate { view, digest, voters: round.prepares.voters(digest) };
        let message = ConsensusMessage { kind: MessageKind::Commit, view, height, digest };
        match self.options.pattern {
            Pattern::Pbft => {
                let reached = round.commits.add(here.id, digest) == Vote::Counted(quorum);
                let voters = round.commits.voters(digest);
                if is_prepared {
                    instance.prepared = Some(certificate);
                }
                if reached && instance.decided.is_none() {
                    instance.decided = Some(Certificate { voters, ..certificate });
                }
                self.send_others(here.id, message, fx);
            }
            Pattern::Linear => {
                instance.decided = Some(certificate);
                state.payload.clear();
                certificate.voters.encode(self.replicas, &mut state.payload);
                for other in self.others(here.id) {
                    fx.send_payload(other, message, &state.payload);
                }
            }
        }
    }

    /// Commits what is decided, if its block is there; returns whether the next height has begun.
    fn commit(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) -> bool {
        let replica = &mut state.replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        let Some(decided) = instance.decided else { return false };
        let Some(place) = instance.blocks.iter().position(|(digest, _)| *digest == decided.digest) else {
            if !instance.is_missing {
                instance.is_missing = true;
                let wait = SimSpan::from_nanos(self.options.timeout.as_nanos() / 4);
                fx.wake_after(wait, ConsensusTimer::Missing { height });
            }
            return false;
        };
        let (_, block) = instance.blocks.swap_remove(place);
        replica.instances.pop_front();
        replica.height += 1;
        replica.last_proposer = block.proposer() % self.replicas;
        replica.is_fetching = false;
        self.record(state, here, height, decided.digest, block.proposed(), fx.now());
        let replica = &mut state.replicas[here.index];
        if replica.history.len() == HISTORY_MAX {
            replica.history.pop_front();
        }
        replica.history.push_back(Committed { height, certificate: decided, block });
        state.outputs.push_back(Output::Committed { height });
        self.begin_height(state, here, fx);
        true
    }

    fn record(
        &self,
        state: &mut ConsensusState,
        here: Here,
        height: u32,
        digest: u64,
        proposed: SimTime,
        committed: SimTime,
    ) {
        let ConsensusState { figures, records, replicas, .. } = state;
        figures.committed += 1;
        figures.height_max = figures.height_max.max(height);
        figures.latency.add(committed.since(proposed));
        let replica = &mut replicas[here.index];
        if replica.records < self.options.records_max {
            replica.records += 1;
            records.push(CommitRecord { height, replica: here.id, digest, proposed, committed });
        }
    }
}

impl Certificate {
    /// Of what `message` is about, without voters.
    pub(super) fn of(message: &ConsensusMessage) -> Self {
        Certificate { view: message.view, digest: message.digest, voters: ReplicaSet::default() }
    }
}
