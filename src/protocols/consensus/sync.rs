//! Replicas that missed blocks: whom they ask, and what they are given.

use super::state::Certificate;
use super::wire::{self, BlockBody};
use super::{Consensus, ConsensusMessage, ConsensusState, MessageKind, Refusal};
use crate::contract::{Effects, Here, NodeId, SimSpan};

/// How many replicas are asked at a time by one that does not know who has the block.
const ASKED: usize = 2;

impl Consensus {
    fn fetch(&self, state: &mut ConsensusState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        let replica = &mut state.replicas[here.index];
        replica.is_fetching = true;
        replica.ask_after = fx.now() + SimSpan::from_nanos(self.options.timeout.as_nanos() / 4);
        state.figures.fetches += 1;
        let message = ConsensusMessage { kind: MessageKind::Fetch, view: 0, height: replica.height, digest: 0 };
        fx.send(from, message);
    }

    /// Asks random replicas for the block of the current height.
    pub(super) fn ask_anybody(&self, state: &mut ConsensusState, here: Here, fx: &mut impl Effects<Self>) {
        let others = u64::from(self.replicas - 1);
        let mut random = fx.random();
        let mut asked = [here.id; ASKED];
        for place in 0..ASKED.min(others as usize) {
            let other = loop {
                let step = 1 + random.below(others) as u32;
                let other = (here.id + step) % self.replicas;
                if !asked[..place].contains(&other) {
                    break other;
                }
            };
            asked[place] = other;
            self.fetch(state, here, other, fx);
        }
    }

    /// Asks `from`, who is at least two heights ahead, for the block of the current height, unless somebody was just asked.
    pub(super) fn catch_up(&self, state: &mut ConsensusState, here: Here, from: NodeId, fx: &mut impl Effects<Self>) {
        let replica = &state.replicas[here.index];
        if !self.is_beyond(replica.height) && fx.now() >= replica.ask_after {
            self.fetch(state, here, from, fx);
        }
    }

    pub(super) fn take_fetch(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        if !payload.is_empty() || message.view != 0 || message.digest != 0 {
            return Err(Refusal::Rejected);
        }
        let ConsensusState { replicas, payload, .. } = state;
        let replica = &replicas[here.index];
        // Who has no such block says nothing.
        let Some(committed) = replica.committed_from(message.height) else { return Ok(()) };
        payload.clear();
        wire::encode_block(self, replica.height - 1, &committed.certificate, &committed.block, payload);
        let Certificate { view, digest, .. } = committed.certificate;
        let answer = ConsensusMessage { kind: MessageKind::Block, view, height: committed.height, digest };
        fx.send_payload(from, answer, payload);
        Ok(())
    }

    pub(super) fn take_block(
        &self,
        state: &mut ConsensusState,
        here: Here,
        from: NodeId,
        message: ConsensusMessage,
        payload: &[u8],
        fx: &mut impl Effects<Self>,
    ) -> Result<(), Refusal> {
        let BlockBody { tip, voters, block } = wire::decode_block(self, &message, payload).ok_or(Refusal::Rejected)?;
        let replica = &mut state.replicas[here.index];
        if message.height < replica.height {
            return Err(Refusal::Late);
        }
        if self.is_beyond(message.height) || (message.height > replica.height && !replica.is_fetching) {
            return Err(Refusal::Rejected);
        }
        // Whoever was asked has kept no older one, so what is below is lost to this replica.
        state.figures.skipped += u64::from(replica.skip_to(message.height));
        state.figures.synced += 1;
        let instance = replica.current();
        instance.decided = Some(Certificate { voters, ..Certificate::of(&message) });
        instance.keep_block(message.digest, block);
        self.progress(state, here, fx);
        let height = state.replicas[here.index].height;
        if tip >= height && !self.is_beyond(height) {
            self.fetch(state, here, from, fx);
        }
        Ok(())
    }
}
