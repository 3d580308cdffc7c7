//! One iterative lookup: whom the node has heard of, whom it has asked, and whom it asks next.
//!
//! Up to alpha requests are under way. They go to the closest nodes that were not asked yet, of the k closest that are
//! known and have not failed. When alpha answers in a row told of no closer node, up to k may be under way: the paper's
//! last round, in which all that are left of the k closest are asked. The lookup ends when these k have answered.

use serde::{Deserialize, Serialize};

use super::keys::{Keys, head_of};
use crate::contract::{Key256, NodeId, SimTime, exact};

/// A lookup keeps up to this many times k nodes, the closest.
pub const KEPT_PER_K: usize = 3;

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Somebody wants to know the nodes closest to a random key.
    Node,
    /// Somebody wants the value of a stored key.
    Value {
        /// The number of the value.
        value: u32,
    },
    /// To store a value at the nodes closest to its key.
    Publish {
        /// The number of the value.
        value: u32,
    },
    /// The node has just joined and looks for its own id.
    Join,
    /// A bucket in whose range the node looked for nothing for long.
    Refresh,
}

impl Purpose {
    /// How many purposes there are.
    pub const COUNT: usize = 5;

    /// A number below [`Purpose::COUNT`].
    pub fn index(self) -> usize {
        match self {
            Purpose::Node => 0,
            Purpose::Value { .. } => 1,
            Purpose::Publish { .. } => 2,
            Purpose::Join => 3,
            Purpose::Refresh => 4,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    /// Heard of.
    New,
    /// Asked.
    Waiting,
    /// Asked for the second time.
    Repeated,
    /// It has answered.
    Answered,
    /// It has not answered either time.
    Failed,
}

impl Stage {
    fn is_waited_for(self) -> bool {
        matches!(self, Stage::Waiting | Stage::Repeated)
    }
}

/// What to do about a node that has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// Nothing: it has answered, or was given up before.
    No,
    /// Ask it again.
    AskAgain,
    /// It was asked twice and is given up.
    GivenUp,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Candidate {
    /// The first 64 bits of its distance.
    distance: u64,
    node: NodeId,
    /// How many nodes told of each other on the way to it: 1 for a contact of the node itself.
    hops: u8,
    stage: Stage,
}

/// A lookup under way. Bounded: it keeps [`KEPT_PER_K`] times k nodes, 16 bytes each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lookup {
    pub(super) number: u32,
    pub(super) purpose: Purpose,
    pub(super) target: Key256,
    pub(super) started: SimTime,
    /// Requests that were sent, repetitions included.
    pub(super) requests: u16,
    /// Nodes that did not answer in time.
    pub(super) timeouts: u16,
    waiting: u16,
    /// Whether it has done what it was for, and only waits to see who does not answer.
    pub(super) has_ended: bool,
    /// Answers in a row that told of no closer node.
    idle: u8,
    /// The closest first.
    #[serde(with = "exact")]
    candidates: Vec<Candidate>,
}

impl Lookup {
    pub(super) fn new(number: u32, purpose: Purpose, target: Key256, started: SimTime) -> Self {
        Lookup {
            number,
            purpose,
            target,
            started,
            requests: 0,
            timeouts: 0,
            waiting: 0,
            has_ended: false,
            idle: 0,
            candidates: Vec::new(),
        }
    }

    /// The place of `node`, or where it belongs.
    fn place(&self, keys: &Keys, node: NodeId) -> Result<usize, usize> {
        let distance = keys.head(node) ^ head_of(&self.target);
        self.candidates.binary_search_by(|other| {
            other.distance.cmp(&distance).then_with(|| {
                if other.node == node {
                    std::cmp::Ordering::Equal
                } else {
                    keys.compare_tails(&self.target, other.node, node)
                }
            })
        })
    }

    /// Takes in that there is `node`. `hops` is how many nodes told of each other on the way to it.
    pub(super) fn learn(&mut self, keys: &Keys, k: usize, node: NodeId, hops: u8) {
        let Err(place) = self.place(keys, node) else { return };
        if self.candidates.len() >= KEPT_PER_K * k {
            // The farthest makes room, but for those who are waited for.
            let dropped = self.candidates.iter().rposition(|other| !other.stage.is_waited_for());
            let Some(dropped) = dropped.filter(|&dropped| dropped >= place) else { return };
            self.candidates.remove(dropped);
        }
        let distance = keys.head(node) ^ head_of(&self.target);
        self.candidates.insert(place, Candidate { distance, node, hops, stage: Stage::New });
    }

    /// Ends the lookup: nobody is asked any more, and all are forgotten but those who are waited for.
    pub(super) fn retire(&mut self) {
        self.has_ended = true;
        self.candidates.retain(|other| other.stage.is_waited_for());
    }

    /// Whether nobody is waited for.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting == 0
    }

    /// Whom to ask next, if anybody may be asked now.
    pub(super) fn next(&mut self, k: usize, alpha: usize) -> Option<NodeId> {
        let width = if usize::from(self.idle) >= alpha { k.max(alpha) } else { alpha };
        if usize::from(self.waiting) >= width {
            return None;
        }
        let mut closest = self.candidates.iter_mut().filter(|other| other.stage != Stage::Failed).take(k);
        let next = closest.find(|other| other.stage == Stage::New)?;
        next.stage = Stage::Waiting;
        self.waiting += 1;
        self.requests = self.requests.saturating_add(1);
        Some(next.node)
    }

    /// Whether the k closest that have not failed have all answered.
    pub(super) fn is_done(&self, k: usize) -> bool {
        let mut closest = self.candidates.iter().filter(|other| other.stage != Stage::Failed).take(k);
        closest.all(|other| other.stage == Stage::Answered)
    }

    /// Takes in that `node` answered with `told`. Returns false if it was not asked or has answered already: then what
    /// it told is not taken in.
    pub(super) fn answer(&mut self, keys: &Keys, (k, own): (usize, NodeId), node: NodeId, told: &[NodeId]) -> bool {
        let Ok(place) = self.place(keys, node) else { return false };
        let candidate = &mut self.candidates[place];
        match candidate.stage {
            Stage::New | Stage::Answered => return false,
            Stage::Waiting | Stage::Repeated => self.waiting -= 1,
            // It is late, but it is there.
            Stage::Failed => {}
        }
        candidate.stage = Stage::Answered;
        if self.has_ended {
            return true;
        }
        let hops = candidate.hops.saturating_add(1);
        let before = self.candidates[0].distance;
        told.iter().filter(|&&other| other != own).for_each(|&other| self.learn(keys, k, other, hops));
        self.idle = if self.candidates[0].distance < before { 0 } else { self.idle.saturating_add(1) };
        true
    }

    /// Takes in that half of the time that `node` has to answer is over.
    pub(super) fn miss(&mut self, keys: &Keys, node: NodeId) -> Late {
        let Ok(place) = self.place(keys, node) else { return Late::No };
        let candidate = &mut self.candidates[place];
        match candidate.stage {
            Stage::New | Stage::Answered | Stage::Failed => Late::No,
            Stage::Waiting => {
                candidate.stage = Stage::Repeated;
                self.requests = self.requests.saturating_add(1);
                Late::AskAgain
            }
            Stage::Repeated => {
                candidate.stage = Stage::Failed;
                self.waiting -= 1;
                self.timeouts = self.timeouts.saturating_add(1);
                self.idle = self.idle.saturating_add(1);
                Late::GivenUp
            }
        }
    }

    /// The hops to `node`, if it is known.
    pub(super) fn hops_to(&self, keys: &Keys, node: NodeId) -> Option<u8> {
        self.place(keys, node).ok().map(|place| self.candidates[place].hops)
    }

    /// Those that have answered, the closest first, and the hops to each.
    pub(super) fn answered(&self) -> impl Iterator<Item = (NodeId, u8)> {
        let answered = self.candidates.iter().filter(|other| other.stage == Stage::Answered);
        answered.map(|other| (other.node, other.hops))
    }

    /// Memory held besides the lookup itself, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.candidates.capacity() * size_of::<Candidate>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: usize = 4;
    const OWN: NodeId = 99;

    /// The nodes of `keys` in the order of their distance from [0; 32], and a lookup of that.
    fn setting(keys: &Keys) -> (Vec<NodeId>, Lookup) {
        let target = [0; 32];
        let mut nodes: Vec<_> = (0..99).collect();
        nodes.sort_by(|&a, &b| keys.compare(&target, a, b));
        (nodes, Lookup::new(1, Purpose::Node, target, SimTime::ZERO))
    }

    fn asked(lookup: &mut Lookup, alpha: usize) -> Vec<NodeId> {
        std::iter::from_fn(|| lookup.next(K, alpha)).collect()
    }

    #[test]
    fn the_closest_are_asked_alpha_at_a_time_and_all_of_k_when_nothing_closer_is_found() {
        let keys = Keys::new(100);
        let (near, mut lookup) = setting(&keys);
        (10..20).for_each(|place| lookup.learn(&keys, K, near[place], 1));
        assert_eq!(asked(&mut lookup, 2), near[10..12]);
        assert!(lookup.answer(&keys, (K, OWN), near[10], &[near[3], near[30], OWN, near[10]]));
        assert_eq!(asked(&mut lookup, 2), [near[3]], "closer, and one is under way");
        assert!(lookup.answer(&keys, (K, OWN), near[3], &[near[5]]));
        assert!(lookup.answer(&keys, (K, OWN), near[11], &[near[12]]));
        assert_eq!(asked(&mut lookup, 2), [near[5]], "the other three of the four closest have answered");
        let mut lookup = setting(&keys).1;
        (0..6).for_each(|place| lookup.learn(&keys, K, near[place], 1));
        assert_eq!(asked(&mut lookup, 2), near[..2]);
        assert!(lookup.answer(&keys, (K, OWN), near[0], &near[..6]));
        assert_eq!(asked(&mut lookup, 2), [near[2]]);
        assert!(lookup.answer(&keys, (K, OWN), near[1], &near[..6]));
        assert_eq!(
            asked(&mut lookup, 2),
            [near[3]],
            "nothing closer in two answers, but that is all that are left of four"
        );
        assert!(!lookup.is_done(K));
    }

    #[test]
    fn a_lookup_ends_when_the_k_closest_that_live_have_answered() {
        let keys = Keys::new(100);
        let (near, mut lookup) = setting(&keys);
        (0..6).for_each(|place| lookup.learn(&keys, K, near[place], 1));
        assert_eq!(asked(&mut lookup, 10), near[..4]);
        assert_eq!(
            [1, 0, 1, 1, 9].map(|place| lookup.miss(&keys, near[place])),
            [Late::AskAgain, Late::AskAgain, Late::GivenUp, Late::No, Late::No]
        );
        assert_eq!(asked(&mut lookup, 10), [near[4]]);
        for place in [0, 2, 3] {
            assert!(lookup.answer(&keys, (K, OWN), near[place], &[]) && !lookup.is_done(K));
        }
        assert!(lookup.answer(&keys, (K, OWN), near[4], &[]) && lookup.is_done(K));
        assert_eq!(lookup.answered().collect::<Vec<_>>(), [0, 2, 3, 4].map(|place| (near[place], 1)));
        assert_eq!((lookup.requests, lookup.timeouts), (7, 1));
        assert!(lookup.answer(&keys, (K, OWN), near[1], &[near[7]]), "better late than never");
        assert_eq!(lookup.answered().next(), Some((near[0], 1)));
        assert_eq!(lookup.hops_to(&keys, near[7]), Some(2));
        for place in [1, 5, 40] {
            assert!(!lookup.answer(&keys, (K, OWN), near[place], &[near[8]]), "not asked, or answered already");
        }
        assert_eq!(lookup.hops_to(&keys, near[8]), None);
    }

    #[test]
    fn a_lookup_keeps_no_more_than_it_may_and_rather_the_close() {
        let keys = Keys::new(100);
        let (near, mut lookup) = setting(&keys);
        (50..99).for_each(|place| lookup.learn(&keys, K, near[place], 1));
        assert_eq!(asked(&mut lookup, K), near[50..54]);
        assert!(lookup.answer(&keys, (K, OWN), near[50], &near[20..60]));
        assert_eq!(lookup.candidates.len(), KEPT_PER_K * K);
        let kept = near[20..29].iter().chain(&near[51..54]).copied();
        assert!(lookup.candidates.iter().map(|other| other.node).eq(kept), "those who are waited for as well");
        assert!(!lookup.answer(&keys, (K, OWN), near[50], &[near[1]]), "it is forgotten");
        assert!(lookup.answer(&keys, (K, OWN), near[51], &[near[60], near[19]]));
        let kept = near[19..29].iter().chain(&near[52..54]).copied();
        assert!(lookup.candidates.iter().map(|other| other.node).eq(kept));
        lookup.retire();
        assert!(!lookup.is_quiet());
        assert_eq!([(); 2].map(|()| lookup.miss(&keys, near[52])), [Late::AskAgain, Late::GivenUp]);
        assert!(lookup.answer(&keys, (K, OWN), near[53], &[near[1]]) && lookup.is_quiet());
        assert_eq!(lookup.hops_to(&keys, near[1]), None, "it has ended");
        assert_eq!(size_of::<Candidate>(), 16);
    }
}
