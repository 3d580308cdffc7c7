//! What the nodes of the router remember: a cache line for each below the super nodes, and tables of children.

use serde::{Deserialize, Serialize};

use super::figures::{Cause, RouterFigures};
use super::rows::{NOBODY, Rows};
use super::{PARENTS_MAX, RouterOptions};
use crate::contract::{CoarseTime, Column, Here, NodeId, NodeType, Nodes, SimSpan, SimTime};

/// Set in a parent's count of missing acknowledgements while one is due.
pub(super) const AWAITED: u8 = 0x80;

/// The load of a full node that has sent no digest yet.
pub(super) const LOAD_UNKNOWN: u16 = u16::MAX;

/// No place among the parents.
pub(super) const NO_PLACE: u8 = u8::MAX;

/// What a node below the super nodes remembers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub(super) struct Member {
    /// The first `count` are its parents, in the order in which it came by them.
    parents: [NodeId; PARENTS_MAX],
    /// Acknowledgements that are missing of each in a row, and whether one is due.
    pub(super) missed: [u8; PARENTS_MAX],
    count: u8,
    /// Candidates of the list that were gone through.
    pub(super) cursor: u8,
    /// Requests in vain since the last success or pause.
    pub(super) failures: u8,
    /// Whom it has asked to be its parent, or [`NOBODY`].
    pub(super) asked: NodeId,
    /// Whom another has named, or [`NOBODY`].
    pub(super) named: NodeId,
    /// When a parent was last heard of.
    pub(super) heard: CoarseTime,
    /// Since when it has no parent; [`CoarseTime::NEVER`] if it has any, or was told to do nothing yet.
    pub(super) lost: CoarseTime,
    /// To whom a message is under way, or [`NOBODY`].
    pub(super) to: NodeId,
    /// A hash of the sender and the time of the message that arrived last.
    pub(super) last: u32,
    /// Number of the last request or pause, by which answers and timers are told apart.
    pub(super) number: u16,
    /// How often it has gone through a list of candidates.
    pub(super) round: u16,
    /// When the message under way was first sent.
    pub(super) stamp: u16,
    pub(super) attempt: u8,
    pub(super) cause: Cause,
    /// The place of the parent that whoever is asked is to replace, or [`NO_PLACE`].
    pub(super) replaces: u8,
    /// Whether it looks for a parent: a request or a pause is under way.
    pub(super) is_seeking: bool,
    /// Whether it had a parent since it joined.
    pub(super) has_joined: bool,
    /// Whether a timer is set to look for missing acknowledgements.
    pub(super) is_checking: bool,
}

const _: () = assert!(size_of::<Member>() == 64, "a member is a cache line");

impl Default for Member {
    fn default() -> Self {
        Member {
            parents: [NOBODY; PARENTS_MAX],
            missed: [0; PARENTS_MAX],
            count: 0,
            cursor: 0,
            failures: 0,
            asked: NOBODY,
            named: NOBODY,
            heard: CoarseTime::NEVER,
            lost: CoarseTime::NEVER,
            to: NOBODY,
            last: 0,
            number: 0,
            round: 0,
            stamp: 0,
            attempt: 0,
            cause: Cause::Unanswered,
            replaces: NO_PLACE,
            is_seeking: false,
            has_joined: false,
            is_checking: false,
        }
    }
}

impl Member {
    #[inline(always)]
    pub(super) fn parents(&self) -> &[NodeId] {
        &self.parents[..usize::from(self.count)]
    }

    /// The place of a parent.
    #[inline(always)]
    pub(super) fn place_of(&self, parent: NodeId) -> Option<usize> {
        self.parents().iter().position(|&own| own == parent)
    }

    /// Adds a parent behind the others and returns its place. There must be room.
    pub(super) fn push(&mut self, parent: NodeId) -> usize {
        let place = usize::from(self.count);
        (self.parents[place], self.missed[place]) = (parent, 0);
        self.count += 1;
        place
    }

    /// Puts a parent in the place of another, and returns that.
    pub(super) fn replace(&mut self, place: usize, parent: NodeId) -> NodeId {
        self.missed[place] = 0;
        std::mem::replace(&mut self.parents[place], parent)
    }

    /// Takes out a parent; those behind it move up.
    pub(super) fn remove(&mut self, place: usize) {
        let last = usize::from(self.count) - 1;
        self.parents.copy_within(place + 1..=last, place);
        self.missed.copy_within(place + 1..=last, place);
        self.count -= 1;
        if self.replaces != NO_PLACE {
            match usize::from(self.replaces).cmp(&place) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => self.replaces = NO_PLACE,
                std::cmp::Ordering::Greater => self.replaces -= 1,
            }
        }
    }

    /// All parents are to acknowledge. Returns whether a timer must be set to look whether they have.
    #[inline(always)]
    pub(super) fn await_all(&mut self) -> bool {
        let count = usize::from(self.count);
        self.missed[..count].iter_mut().for_each(|missed| *missed |= AWAITED);
        let must_check = count > 0 && !self.is_checking;
        self.is_checking |= must_check;
        must_check
    }

    /// Number of the next request or pause.
    pub(super) fn next_number(&mut self) -> u16 {
        self.number = self.number.wrapping_add(1);
        self.number
    }
}

/// When a full node last heard a child, to within four milliseconds, and which of the child's parents it is: four bytes.
/// Reaches 52 days; later moments are taken for that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Child(u32);

impl Child {
    const STEP_LOG2: u32 = 22;

    #[inline]
    pub(super) fn new(now: SimTime, rank: u8) -> Self {
        let steps = (now.as_nanos() >> Self::STEP_LOG2).min(u64::from(u32::MAX >> 2)) as u32;
        Child(steps << 2 | u32::from(rank.min(3)))
    }

    /// The place among the child's parents; 3 if it is none of the first three.
    #[inline]
    pub(super) fn rank(self) -> u8 {
        (self.0 & 3) as u8
    }

    /// How long the child was not heard, at `now`.
    #[inline]
    pub(super) fn silent(self, now: SimTime) -> SimSpan {
        now.since(SimTime::from_nanos(u64::from(self.0 >> 2) << Self::STEP_LOG2))
    }
}

/// What a super node knows of a full node below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ward {
    pub(super) heard: CoarseTime,
    /// Children by its last digest, and those that others were told to send there since.
    pub(super) load: u16,
    /// Of which lived.
    pub(super) alive: u16,
}

/// Where a child is, as its home knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Location {
    /// Its first and second parent, or [`NOBODY`].
    pub(super) fulls: [NodeId; 2],
    pub(super) confirmed: CoarseTime,
}

impl Default for Location {
    fn default() -> Self {
        Location { fulls: [NOBODY; 2], confirmed: CoarseTime::NEVER }
    }
}

/// What a full node was last told of others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Advice {
    /// A full node with few children, or [`NOBODY`].
    pub(super) lighter: NodeId,
    /// Children that were asked to move since the last digest.
    pub(super) moved: u16,
}

const NO_ADVICE: Advice = Advice { lighter: NOBODY, moved: 0 };

/// What the nodes of a partition remember.
#[derive(Debug, Serialize, Deserialize)]
pub struct RouterState {
    pub(super) nodes: Nodes,
    /// First index of a full node.
    pub(super) supers: usize,
    /// All but super nodes.
    pub(super) members: Column<Member>,
    /// Children of full nodes.
    pub(super) children: Rows<Child>,
    /// Full nodes below super nodes.
    pub(super) wards: Rows<Ward>,
    /// Of super nodes.
    pub(super) locations: Rows<Location>,
    /// Of full nodes.
    pub(super) advice: Column<Advice>,
    /// Of super nodes: the mean load of the full nodes below them.
    pub(super) means: Column<u16>,
    pub(super) figures: RouterFigures,
    pub(super) scratch: Scratch,
}

/// Reused from event to event.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Scratch {
    pub(super) nodes: Vec<NodeId>,
    pub(super) lives: Vec<(NodeId, bool)>,
    pub(super) bitmap: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl RouterState {
    pub(super) fn new(nodes: Nodes, options: &RouterOptions) -> Self {
        let (supers, uppers) = (nodes.end_of(NodeType::SuperNode), nodes.end_of(NodeType::FullNode));
        RouterState {
            supers,
            members: Column::filled(nodes.len() - supers, Member::default()),
            nodes,
            children: Rows::new(uppers - supers, u32::from(options.children_max)),
            wards: Rows::new(supers, u32::from(options.fulls_max)),
            locations: Rows::new(supers, options.locations_max),
            advice: Column::filled(uppers - supers, NO_ADVICE),
            means: Column::filled(supers, 0),
            figures: RouterFigures::default(),
            scratch: Scratch::default(),
        }
    }

    /// What the node at `index`, which is no super node, remembers.
    #[inline(always)]
    pub(super) fn member(&mut self, index: usize) -> &mut Member {
        &mut self.members[index - self.supers]
    }

    /// Forgets everything that a node knew, but the number of its last request: no old answer must fit a new one.
    pub(super) fn reset(&mut self, here: Here) {
        let Some(place) = here.index.checked_sub(self.supers) else {
            self.wards.clear(here.index);
            self.locations.clear(here.index);
            self.means[here.index] = 0;
            return;
        };
        let member = &mut self.members[place];
        self.figures.aborted += u64::from(member.to != NOBODY);
        *member = Member { number: member.next_number(), round: member.round, ..Member::default() };
        if here.node_type == NodeType::FullNode {
            self.children.clear(place);
            self.advice[place] = NO_ADVICE;
        }
    }

    /// Memory that the nodes hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.children.bytes() + self.wards.bytes() + self.locations.bytes();
        self.members.bytes() + tables + self.advice.bytes() + self.means.bytes()
    }

    /// The parents of the node at `index`, in the order in which it came by them.
    pub fn parents(&self, index: usize) -> &[NodeId] {
        index.checked_sub(self.supers).map_or(&[], |place| self.members[place].parents())
    }

    /// The children of the full node at `index`, or the full nodes below the super node at `index`, in no particular
    /// order; none of others.
    pub fn children(&self, index: usize) -> Vec<NodeId> {
        match self.nodes.here(index).node_type {
            NodeType::SuperNode => self.wards.iter(index).map(|(full, _)| full).collect(),
            NodeType::FullNode => self.children.iter(index - self.supers).map(|(child, _)| child).collect(),
            NodeType::LightNode | NodeType::MobileNode => Vec::new(),
        }
    }

    /// What the super node at `index` knows by digests of the full nodes below it: each with its number of children, and
    /// how many of them live.
    pub fn digested(&self, index: usize) -> impl Iterator<Item = (NodeId, u16, u16)> {
        self.wards.iter(index).map(|(full, ward)| (full, ward.load, ward.alive))
    }

    /// How many locations the super node at `index` keeps.
    pub fn locations(&self, index: usize) -> u32 {
        self.locations.len(index)
    }

    /// What became of the attachments and messages of these nodes. Of spans without parents, those that have ended.
    pub fn figures(&self) -> &RouterFigures {
        &self.figures
    }

    /// As [`RouterState::figures`]; besides, spans without parents that last at `end`, of nodes that had one and that
    /// `is_up`.
    pub fn figures_at(&self, end: SimTime, is_up: impl Fn(NodeId) -> bool) -> RouterFigures {
        let mut figures = self.figures.clone();
        for (place, member) in self.members.iter().enumerate() {
            let here = self.nodes.here(self.supers + place);
            if member.has_joined && member.lost != CoarseTime::NEVER && is_up(here.id) {
                let spans = [member.lost, member.heard].map(|since| coarse_span(end.into(), since));
                figures.attach[here.node_type as usize].end_orphaned(spans[0], spans[1]);
            }
        }
        figures
    }
}

/// The time from `since` to `now`, to within [`CoarseTime::TICK`].
#[inline]
pub(super) fn coarse_span(now: CoarseTime, since: CoarseTime) -> SimSpan {
    CoarseTime::TICK * u64::from(now.ticks_since(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_move_up_and_so_does_the_place_of_the_one_to_be_replaced() {
        let mut member = Member::default();
        assert_eq!([10, 11, 12, 13].map(|parent| member.push(parent)), [0, 1, 2, 3]);
        (member.missed[2], member.replaces) = (2, 2);
        member.remove(1);
        assert_eq!((member.parents(), member.missed[1], member.replaces), (&[10, 12, 13][..], 2, 1));
        member.remove(2);
        assert_eq!((member.replace(1, 14), member.missed[1]), (12, 0));
        assert_eq!((member.parents(), member.place_of(14), member.replaces), (&[10, 14][..], Some(1), 1));
        member.remove(1);
        assert_eq!((member.parents(), member.replaces), (&[10][..], NO_PLACE));
    }

    #[test]
    fn a_child_keeps_its_rank_and_when_it_was_heard_in_four_bytes() {
        let at = |millis: u64| SimTime::ZERO + SimSpan::from_millis(millis);
        for (millis, rank) in [(0, 0), (5, 1), (86_400_000, 2), (3_600_000, 9)] {
            let child = Child::new(at(millis), rank);
            assert_eq!(child.rank(), rank.min(3));
            let silent = child.silent(at(millis + 60_000));
            assert!(silent >= SimSpan::from_secs(60) && silent < SimSpan::from_millis(60_005), "{silent}");
        }
        assert_eq!(size_of::<Child>(), 4);
        assert_eq!(Child::new(SimTime::MAX, 0).silent(at(0)), SimSpan::ZERO);
    }
}
