//! What the replicas of a partition remember: the height that is being decided, a few above it, and the last blocks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::blocks::Block;
use super::figures::{CommitRecord, ConsensusFigures};
use super::quorum::{ReplicaSet, Tally};
use super::{ConsensusMessage, Output};
use crate::contract::{NodeId, SimTime, exact};

/// Heights that a replica takes messages for: the one that it decides, and those above it that faster replicas are at.
pub const HEIGHTS_AHEAD: u32 = 4;
/// Views of a height that a replica takes messages for, from its own on.
pub const VIEWS_AHEAD: u16 = 4;
/// Blocks that a replica keeps after they are committed, for those that missed them.
pub const HISTORY_MAX: usize = 16;
/// Blocks that a replica keeps of a height that is not committed, and proposals and certificates that it keeps of it.
pub(super) const BLOCKS_MAX: usize = 4;

/// That a quorum voted for a block in a view. In the linear pattern also: that this replica did, with no voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Certificate {
    pub(super) view: u16,
    pub(super) digest: u64,
    pub(super) voters: ReplicaSet,
}

/// What the leader of a view may propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mandate {
    /// Not known yet: no new-view has come.
    Unknown,
    /// A block of its own.
    Own,
    /// This one, which may have been committed by somebody.
    Again(u64),
}

/// One view of one height.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) view: u16,
    pub(super) mandate: Mandate,
    /// The payload of the new-view, if this replica leads.
    pub(super) new_view: Box<[u8]>,
    /// Whether this replica, as the leader, has asked for a block to propose or has proposed one.
    pub(super) has_proposed: bool,
    /// Who proposed what, the first of each sender.
    #[serde(with = "exact")]
    pub(super) proposals: Vec<(NodeId, u64)>,
    /// What this replica voted for.
    pub(super) voted: Option<u64>,
    /// Whether it has sent a commit, or as the leader of the linear pattern a certificate.
    pub(super) has_committed: bool,
    /// Prepares, or votes of the linear pattern.
    pub(super) prepares: Tally,
    pub(super) commits: Tally,
}

impl Round {
    fn new(view: u16) -> Self {
        Round {
            view,
            mandate: if view == 0 { Mandate::Own } else { Mandate::Unknown },
            new_view: Box::default(),
            has_proposed: false,
            proposals: Vec::new(),
            voted: None,
            has_committed: false,
            prepares: Tally::default(),
            commits: Tally::default(),
        }
    }

    /// What `leader` proposed.
    pub(super) fn proposal_of(&self, leader: NodeId) -> Option<u64> {
        self.proposals.iter().find(|(sender, _)| *sender == leader).map(|(_, digest)| *digest)
    }

    fn bytes(&self) -> usize {
        let lists = self.new_view.len() + self.proposals.capacity() * size_of::<(NodeId, u64)>();
        lists + self.prepares.bytes() + self.commits.bytes()
    }
}

/// The last view change of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    /// To which view; 0 if there was none.
    pub(super) view: u16,
    /// One more than the view in which it prepared a block; 0 if in none.
    pub(super) prepared: u16,
    /// Which block.
    pub(super) digest: u64,
}

/// View changes of one height.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Changes {
    /// By replica.
    pub(super) last: Box<[Change]>,
    /// How many replicas changed last to each view, ascending by view.
    #[serde(with = "exact")]
    views: Vec<(u16, u32)>,
    /// What is known to have been prepared, by the views that are highest.
    #[serde(with = "exact")]
    pub(super) certificates: Vec<Certificate>,
}

impl Changes {
    fn new(replicas: u32) -> Self {
        Changes {
            last: vec![Change::default(); replicas as usize].into_boxed_slice(),
            views: Vec::new(),
            certificates: Vec::new(),
        }
    }

    /// Replaces the last view change of `replica`, if `change` is to a later view; returns whether it is.
    pub(super) fn add(&mut self, replica: NodeId, change: Change) -> bool {
        let last = &mut self.last[replica as usize];
        if change.view <= last.view {
            return false;
        }
        if let Ok(place) = self.views.binary_search_by_key(&last.view, |&(view, _)| view) {
            self.views[place].1 -= 1;
            if self.views[place].1 == 0 {
                self.views.remove(place);
            }
        }
        match self.views.binary_search_by_key(&change.view, |&(view, _)| view) {
            Ok(place) => self.views[place].1 += 1,
            Err(place) => self.views.insert(place, (change.view, 1)),
        }
        *last = change;
        true
    }

    /// Keeps `certificate` unless there are enough of views as high.
    pub(super) fn keep(&mut self, certificate: Certificate) {
        let is_same = |other: &Certificate| (other.view, other.digest) == (certificate.view, certificate.digest);
        if self.certificates.iter().any(is_same) {
            return;
        }
        if self.certificates.len() < BLOCKS_MAX {
            self.certificates.push(certificate);
        } else if let Some(lowest) = self.certificates.iter_mut().min_by_key(|other| other.view)
            && lowest.view < certificate.view
        {
            *lowest = certificate;
        }
    }

    /// How many changed last to `view`.
    pub(super) fn count(&self, view: u16) -> u32 {
        self.views.iter().find(|(other, _)| *other == view).map_or(0, |(_, count)| *count)
    }

    /// How many changed last to `view` or a later one.
    pub(super) fn count_from(&self, view: u16) -> u32 {
        self.views.iter().filter(|(other, _)| *other >= view).map(|(_, count)| *count).sum()
    }

    /// The latest view that at least `count` replicas have reached or passed.
    pub(super) fn reached_by(&self, count: u32) -> Option<u16> {
        let mut passed = 0;
        let reached = |&&(_, more): &&(u16, u32)| {
            passed += more;
            passed >= count
        };
        self.views.iter().rev().find(reached).map(|(view, _)| *view)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.last)
            + self.views.capacity() * size_of::<(u16, u32)>()
            + self.certificates.capacity() * size_of::<Certificate>()
    }
}

/// One height that is not committed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Instance {
    /// The view that this replica is in, or changes to.
    pub(super) view: u16,
    /// Whether it has left the view before, but knows of no new-view.
    pub(super) is_changing: bool,
    /// Number of the timer that counts; others are of before.
    pub(super) attempt: u8,
    /// Whether that timer was set anew because a quorum changes to the view.
    pub(super) is_awaited: bool,
    /// Ascending by view.
    #[serde(with = "exact")]
    pub(super) rounds: Vec<Round>,
    #[serde(with = "exact")]
    pub(super) blocks: Vec<(u64, Block)>,
    /// What this replica prepared last.
    pub(super) prepared: Option<Certificate>,
    pub(super) changes: Option<Box<Changes>>,
    /// What is to be committed as soon as its block is there.
    pub(super) decided: Option<Certificate>,
    /// Whether a timer runs after which that block is asked for.
    pub(super) is_missing: bool,
}

impl Instance {
    /// The round of `view`; `None` if it is over or too far ahead.
    pub(super) fn round(&mut self, view: u16) -> Option<&mut Round> {
        if view < self.view || view - self.view >= VIEWS_AHEAD {
            return None;
        }
        let place = match self.rounds.binary_search_by_key(&view, |round| round.view) {
            Ok(place) => place,
            Err(place) => {
                self.rounds.insert(place, Round::new(view));
                place
            }
        };
        Some(&mut self.rounds[place])
    }

    /// The round of this replica's view.
    pub(super) fn current(&mut self) -> &mut Round {
        self.round(self.view).expect("the own view is never too far ahead")
    }

    /// Goes on to `view` and forgets the rounds before.
    pub(super) fn enter(&mut self, view: u16, is_changing: bool) {
        self.view = view;
        self.is_changing = is_changing;
        self.is_awaited = false;
        self.rounds.retain(|round| round.view >= view);
    }

    pub(super) fn block(&self, digest: u64) -> Option<&Block> {
        self.blocks.iter().find(|(other, _)| *other == digest).map(|(_, block)| block)
    }

    /// Keeps `block`; where there are too many, instead of one that this replica has not voted for.
    pub(super) fn keep_block(&mut self, digest: u64, block: &[u8]) {
        if self.block(digest).is_some() {
            return;
        }
        if self.blocks.len() == BLOCKS_MAX {
            let needed = [self.prepared, self.decided].map(|certificate| certificate.map(|known| known.digest));
            let spare = self.blocks.iter().position(|(other, _)| !needed.contains(&Some(*other)));
            self.blocks.remove(spare.expect("two of four blocks are needed at most"));
        }
        self.blocks.push((digest, Block::from_bytes(block)));
    }

    /// The view changes of this height among `replicas`.
    pub(super) fn changes(&mut self, replicas: u32) -> &mut Changes {
        self.changes.get_or_insert_with(|| Box::new(Changes::new(replicas)))
    }

    fn bytes(&self) -> usize {
        let rounds: usize = self.rounds.iter().map(Round::bytes).sum();
        let blocks: usize = self.blocks.iter().map(|(_, block)| block.bytes()).sum();
        rounds
            + self.rounds.capacity() * size_of::<Round>()
            + blocks
            + self.blocks.capacity() * size_of::<(u64, Block)>()
            + self.changes.as_ref().map_or(0, |changes| changes.bytes())
    }
}

/// A block that is committed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Committed {
    pub(super) height: u32,
    pub(super) certificate: Certificate,
    pub(super) block: Block,
}

/// A message that waits until the replica has handled those before it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) from: NodeId,
    pub(super) message: ConsensusMessage,
    pub(super) payload: Box<[u8]>,
}

/// What one replica remembers. All but what waits is durable: a replica that forgot its votes could vote twice.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Replica {
    /// The height that it decides; all below are committed.
    pub(super) height: u32,
    /// Who proposed the block below.
    pub(super) last_proposer: NodeId,
    /// The height that it decides, and those above that it has heard of.
    #[serde(with = "exact")]
    pub(super) instances: VecDeque<Instance>,
    #[serde(with = "exact")]
    pub(super) history: VecDeque<Committed>,
    #[serde(with = "exact")]
    pub(super) queue: VecDeque<Waiting>,
    /// Bytes of the payloads in the queue.
    pub(super) queued: usize,
    /// Whether it waits for a block that it asked for.
    pub(super) is_fetching: bool,
    /// When it may ask again because others are ahead.
    pub(super) ask_after: SimTime,
    pub(super) records: u32,
}

impl Replica {
    pub(super) fn new(last_proposer: NodeId) -> Self {
        Replica {
            height: 1,
            last_proposer,
            instances: VecDeque::new(),
            history: VecDeque::new(),
            queue: VecDeque::new(),
            queued: 0,
            is_fetching: false,
            ask_after: SimTime::ZERO,
            records: 0,
        }
    }

    /// The instance of `height`; `None` if it is committed or too far ahead.
    pub(super) fn instance(&mut self, height: u32) -> Option<&mut Instance> {
        let place = height.checked_sub(self.height).filter(|&place| place < HEIGHTS_AHEAD)? as usize;
        while self.instances.len() <= place {
            self.instances.push_back(Instance::default());
        }
        Some(&mut self.instances[place])
    }

    /// The instance of the height that it decides.
    pub(super) fn current(&mut self) -> &mut Instance {
        self.instance(self.height).expect("the own height is never too far ahead")
    }

    /// Forgets the heights below `height`, which it will never know; returns how many they are.
    pub(super) fn skip_to(&mut self, height: u32) -> u32 {
        let skipped = height.saturating_sub(self.height);
        self.instances.drain(..self.instances.len().min(skipped as usize));
        self.height += skipped;
        skipped
    }

    /// The block of `height`, or if it is gone the first above that is kept; `None` if none is.
    pub(super) fn committed_from(&self, height: u32) -> Option<&Committed> {
        self.history.iter().find(|committed| committed.height >= height)
    }

    fn bytes(&self) -> usize {
        let instances: usize = self.instances.iter().map(Instance::bytes).sum();
        let history: usize = self.history.iter().map(|committed| committed.block.bytes()).sum();
        size_of::<Self>()
            + instances
            + self.instances.capacity() * size_of::<Instance>()
            + history
            + self.history.capacity() * size_of::<Committed>()
            + self.queue.capacity() * size_of::<Waiting>()
            + self.queued
    }
}

/// What the replicas of a partition remember, and what became of their blocks.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsensusState {
    /// The super nodes of the partition, which come first in it.
    pub(super) replicas: Vec<Replica>,
    pub(super) figures: ConsensusFigures,
    pub(super) records: Vec<CommitRecord>,
    /// What the event that is being handled asks of the layer above; empty between events.
    pub(super) outputs: VecDeque<Output>,
    /// The payload that is being made.
    pub(super) payload: Vec<u8>,
}

impl ConsensusState {
    pub(super) fn new(replicas: usize, last_proposer: NodeId) -> Self {
        ConsensusState {
            replicas: std::iter::repeat_with(|| Replica::new(last_proposer)).take(replicas).collect(),
            figures: ConsensusFigures::default(),
            records: Vec::new(),
            outputs: VecDeque::new(),
            payload: Vec::new(),
        }
    }

    /// What the event that was just handled asks of the layer above; to be called until there is nothing left.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What became of the blocks.
    pub fn figures(&self) -> &ConsensusFigures {
        &self.figures
    }

    /// The first commits of each replica, as many as the options say, in the order in which they happened in the
    /// partition.
    pub fn records(&self) -> &[CommitRecord] {
        &self.records
    }

    /// The height that the replica at `index` decides; all below are committed.
    pub fn height(&self, index: usize) -> u32 {
        self.replicas[index].height
    }

    /// The block that the replica at `index` committed at `height`, if it is one of the last [`HISTORY_MAX`].
    pub fn block(&self, index: usize, height: u32) -> Option<&Block> {
        let history = &self.replicas[index].history;
        history.iter().find(|committed| committed.height == height).map(|committed| &committed.block)
    }

    /// The last blocks that the replica at `index` committed, with their heights, ascending.
    pub fn blocks(&self, index: usize) -> impl Iterator<Item = (u32, &Block)> {
        self.replicas[index].history.iter().map(|committed| (committed.height, &committed.block))
    }

    pub(super) fn bytes(&self) -> usize {
        self.replicas.iter().map(Replica::bytes).sum()
    }
}
