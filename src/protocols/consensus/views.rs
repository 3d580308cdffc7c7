//! Leaders that are given up: view changes, new-views, and the timeouts that bring them about.

use super::state::{Certificate, Change, Changes};
use super::wire::{self, ChangeBody, NewViewBody, Report};
use super::{
    Consensus, ConsensusMessage, ConsensusState, ConsensusTimer, DOUBLINGS_MAX, Instance, Mandate, MessageKind,
    Pattern, Refusal, VIEW_MAX, faults_max,
};
use crate::contract::{Effects, Here, NodeId, SimSpan};

impl Consensus {
    /// Gives the leader of the own view time from now on; timers of before do not count any more.
    pub(super) fn set_view_timer(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let replica = &mut state.replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        instance.attempt = instance.attempt.wrapping_add(1);
        let (attempt, view) = (instance.attempt, instance.view);
        // Only the first leader waits before it proposes.
        let interval = if view == 0 { self.options.interval } else { SimSpan::ZERO };
        fx.wake_after(interval + self.half_patience(view), ConsensusTimer::Repeat { attempt, view, height });
    }

    /// Half of the time that the leader of `view` is given.
    fn half_patience(&self, view: u16) -> SimSpan {
        let half = SimSpan::from_nanos(self.options.timeout.as_nanos() / 2);
        half * (1 << view.min(DOUBLINGS_MAX))
    }

    /// Whether the timer `(height, view, attempt)` was set for what the replica `here` still waits for.
    fn is_due(&self, state: &mut ConsensusState, here: Here, timer: (u32, u16, u8)) -> bool {
        let (height, view, attempt) = timer;
        let replica = &mut state.replicas[here.index];
        let is_open = replica.height == height && !self.is_beyond(height);
        is_open && (replica.current().view, replica.current().attempt) == (view, attempt)
    }

    /// Says again what it said in its view, and waits for as long again.
    pub(super) fn repeat(
        &self,
        state: &mut ConsensusState,
        here: Here,
        timer: (u32, u16, u8),
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_due(state, here, timer) {
            return;
        }
        let (height, view, attempt) = timer;
        fx.wake_after(self.half_patience(view), ConsensusTimer::View { attempt, view, height });
        let last = state.replicas[here.index].last_proposer;
        let leader = self.leader_after(last, view);
        let instance = state.replicas[here.index].current();
        if instance.is_changing {
            return self.send_change(state, here, fx);
        }
        if leader == here.id {
            self.repeat_proposal(instance, here, height, fx);
        }
        let round = instance.current();
        let Some(digest) = round.voted else { return };
        let has_committed = round.has_committed;
        let message = |kind| ConsensusMessage { kind, view, height, digest };
        match self.options.pattern {
            Pattern::Pbft => {
                self.send_others(here.id, message(MessageKind::Prepare), fx);
                if has_committed {
                    self.send_others(here.id, message(MessageKind::Commit), fx);
                }
            }
            Pattern::Linear if leader != here.id => fx.send(leader, message(MessageKind::Prepare)),
            Pattern::Linear => {}
        }
    }

    /// The leader `here` of the view of `instance` tells those whose votes it has not heard what it proposed.
    fn repeat_proposal(&self, instance: &mut Instance, here: Here, height: u32, fx: &mut impl Effects<Self>) {
        let view = instance.view;
        let round = instance.current();
        let Some(digest) = round.voted else { return };
        let (heard, new_view, mandate) = (round.prepares.voters(digest), round.new_view.clone(), round.mandate);
        let Some(block) = instance.block(digest) else { return };
        let bound = if let Mandate::Again(digest) = mandate { digest } else { 0 };
        for other in self.others(here.id).filter(|&other| !heard.contains(other)) {
            if view > 0 {
                let message = ConsensusMessage { kind: MessageKind::NewView, view, height, digest: bound };
                fx.send_payload(other, message, &new_view);
            }
            let message = ConsensusMessage { kind: MessageKind::PrePrepare, view, height, digest };
            fx.send_payload(other, message, block.as_bytes());
        }
    }

    /// The leader of a view had its time.
    pub(super) fn give_up(
        &self,
        state: &mut ConsensusState,
        here: Here,
        timer: (u32, u16, u8),
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_due(state, here, timer) {
            return;
        }
        let (quorum, view) = (self.quorum(), timer.1);
        self.ask_anybody(state, here, fx);
        let instance = state.replicas[here.index].current();
        let followers = instance.changes.as_ref().map_or(0, |changes| changes.count_from(view));
        if instance.decided.is_some() {
            self.set_view_timer(state, here, fx);
        } else if view == VIEW_MAX || (instance.is_changing && followers < quorum) {
            // In a later view it would be alone; it waits, and asks again, until enough follow.
            self.set_view_timer(state, here, fx);
        } else {
            self.move_to(state, here, view + 1, fx);
            self.progress(state, here, fx);
        }
    }

    /// Leaves the own view for `view`, and says so.
    fn move_to(&self, state: &mut ConsensusState, here: Here, view: u16, fx: &mut impl Effects<Self>) {
        let instance = state.replicas[here.index].current();
        instance.enter(view, true);
        state.figures.view_changes += 1;
        let prepared = instance.prepared;
        let changes = instance.changes(self.replicas);
        changes.add(here.id, Change::to(view, prepared));
        prepared.into_iter().for_each(|certificate| changes.keep(certificate));
        self.set_view_timer(state, here, fx);
        self.send_change(state, here, fx);
    }

    fn send_change(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let ConsensusState { replicas, payload, .. } = state;
        let replica = &mut replicas[here.index];
        let (height, last) = (replica.height, replica.last_proposer);
        let instance = replica.current();
        let view = instance.view;
        let digest = instance.prepared.map_or(0, |prepared| prepared.digest);
        let message = ConsensusMessage { kind: MessageKind::ViewChange, view, height, digest };
        let Some(prepared) = instance.prepared else { return self.send_others(here.id, message, fx) };
        payload.clear();
        wire::encode_prepared(self, &prepared, payload);
        let leader = self.leader_after(last, view);
        for other in self.others(here.id).filter(|&other| other != leader) {
            fx.send_payload(other, message, payload);
        }
        if leader != here.id {
            // It is to propose the block, so it has to have it.
            payload.extend_from_slice(instance.block(prepared.digest).map_or(&[], |block| block.as_bytes()));
            fx.send_payload(leader, message, payload);
        }
    }

    pub(super) fn take_change(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        let ChangeBody { prepared, block } = wire::decode_change(self, &message, payload).ok_or(Refusal::Rejected)?;
        let instance = self.instance(state, here, &message)?;
        if message.view < instance.view {
            return Err(Refusal::Late);
        }
        if let Some(block) = block {
            instance.keep_block(message.digest, block);
        }
        let changes = instance.changes(self.replicas);
        changes.add(from, Change::to(message.view, prepared));
        prepared.into_iter().for_each(|certificate| changes.keep(certificate));
        if state.replicas[here.index].height == message.height {
            self.progress(state, here, fx);
        }
        Ok(())
    }

    /// Follows others to their view, and begins to lead it, if there are enough of them.
    pub(super) fn consider_changes(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let instance = state.replicas[here.index].current();
        let Some(changes) = instance.changes.as_ref().filter(|_| instance.decided.is_none()) else { return };
        // One of f + 1 at least has not failed.
        let reached = changes.reached_by(faults_max(self.replicas) + 1);
        if let Some(view) = reached.filter(|&view| view > instance.view) {
            self.move_to(state, here, view, fx);
        }
        let instance = state.replicas[here.index].current();
        let (view, quorum) = (instance.view, self.quorum());
        let Some(changes) = instance.changes.as_ref().filter(|_| instance.is_changing) else { return };
        let (there, passed) = (changes.count(view), changes.count_from(view));
        if passed >= quorum && !instance.is_awaited {
            instance.is_awaited = true;
            self.set_view_timer(state, here, fx);
        }
        if there >= quorum && self.leader(state, here.index, view) == here.id {
            self.lead(state, here, view, fx);
        }
    }

    /// Begins to lead `view`, to which a quorum changes; not yet if the block that it has to propose has not come.
    fn lead(&self, state: &mut ConsensusState, here: Here, view: u16, fx: &mut impl Effects<Self>) {
        let ConsensusState { replicas, payload, figures, .. } = state;
        let replica = &mut replicas[here.index];
        let height = replica.height;
        let instance = replica.current();
        let Some(changes) = instance.changes.as_ref() else { return };
        let reports: Vec<Report> = changes.reports(view).collect();
        let chosen = choose(&reports);
        let certificate = chosen.and_then(|(view, digest)| {
            changes.certificates.iter().copied().find(|known| (known.view, known.digest) == (view, digest))
        });
        let has_block = chosen.is_some_and(|(_, digest)| instance.block(digest).is_some());
        if chosen.is_some() && !(has_block && certificate.is_some()) {
            return;
        }
        let digest = chosen.map_or(0, |(_, digest)| digest);
        payload.clear();
        wire::encode_new_view(self, &reports, certificate.as_ref(), payload);
        instance.go_on(view, chosen.map(|(_, digest)| digest));
        instance.current().new_view = payload.as_slice().into();
        figures.new_views += 1;
        let message = ConsensusMessage { kind: MessageKind::NewView, view, height, digest };
        for other in self.others(here.id) {
            fx.send_payload(other, message, payload);
        }
        self.prepare_proposal(state, here, view, fx);
    }

    pub(super) fn take_new_view(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        let NewViewBody { reports, voters } =
            wire::decode_new_view(self, message.view, payload).ok_or(Refusal::Rejected)?;
        let chosen = choose(&reports);
        if chosen.map_or(0, |(_, digest)| digest) != message.digest || (reports.len() as u32) < self.quorum() {
            return Err(Refusal::Rejected);
        }
        let height = state.replicas[here.index].height;
        let instance = self.instance(state, here, &message)?;
        if message.height != height {
            return Err(Refusal::Early);
        }
        if message.view < instance.view || (message.view == instance.view && !instance.is_changing) {
            return Err(Refusal::Late);
        }
        if self.leader(state, here.index, message.view) != from {
            return Err(Refusal::Rejected);
        }
        let instance = state.replicas[here.index].current();
        if let (Some((view, digest)), Some(voters)) = (chosen, voters) {
            instance.changes(self.replicas).keep(Certificate { view, digest, voters });
        }
        instance.go_on(message.view, chosen.map(|(_, digest)| digest));
        state.figures.new_views += 1;
        self.set_view_timer(state, here, fx);
        self.progress(state, here, fx);
        Ok(())
    }
}

/// What a leader has to propose after these reports: the block prepared in the highest view, and of several in the linear
/// pattern the one that most report; the view and the digest. `None` if it is free.
///
/// In Pbft a view has one prepared block at most. In the linear pattern a leader that proposed two blocks in a view may
/// have got votes for both; then more than f of any quorum report the one that was committed, if one was, and at most f
/// the other.
pub(super) fn choose(reports: &[Report]) -> Option<(u16, u64)> {
    let highest = reports.iter().map(|report| report.prepared).max().filter(|&prepared| prepared > 0)?;
    let mut digests: Vec<u64> =
        reports.iter().filter(|report| report.prepared == highest).map(|report| report.digest).collect();
    digests.sort_unstable();
    let most = digests.chunk_by(|one, other| one == other).max_by_key(|same| same.len())?;
    Some((highest - 1, most[0]))
}

impl Change {
    fn to(view: u16, prepared: Option<Certificate>) -> Self {
        Change {
            view,
            prepared: prepared.map_or(0, |certificate| certificate.view + 1),
            digest: prepared.map_or(0, |certificate| certificate.digest),
        }
    }
}

impl Changes {
    /// What those report who changed last to `view`.
    fn reports(&self, view: u16) -> impl Iterator<Item = Report> {
        let there = self.last.iter().enumerate().filter(move |(_, change)| change.view == view);
        there.map(|(replica, change)| Report {
            replica: replica as u16,
            prepared: change.prepared,
            digest: change.digest,
        })
    }
}

impl Instance {
    /// Goes on in `view`, whose leader may propose `digest`, or its own block if that is `None`.
    fn go_on(&mut self, view: u16, digest: Option<u64>) {
        self.enter(view, false);
        self.current().mandate = digest.map_or(Mandate::Own, Mandate::Again);
    }
}

impl Consensus {
    /// Whether certificates have voters: in the linear pattern a replica vouches for its own vote alone.
    pub(super) fn has_voters(&self) -> bool {
        self.options.pattern == Pattern::Pbft
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(replica: u16, prepared: u16, digest: u64) -> Report {
        Report { replica, prepared, digest }
    }

    #[test]
    fn a_leader_is_bound_by_the_highest_view_and_there_by_most() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[report(0, 0, 0), report(1, 0, 0)]), None);
        assert_eq!(choose(&[report(0, 1, 5), report(1, 1, 5), report(2, 3, 6)]), Some((2, 6)));
        assert_eq!(choose(&[report(0, 3, 9), report(1, 3, 5), report(2, 3, 9), report(3, 2, 5)]), Some((2, 9)));
    }
}
