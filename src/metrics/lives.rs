//! When nodes come and go, and what others take them for.

use crate::contract::{NodeId, SimTime, Verdict};

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// It joins, or comes back.
    Joined,
    /// It leaves in good order, and can still say so.
    Left,
    /// It is gone from one moment to the next.
    Crashed,
}

/// A moment in the life of a node. Nodes that are away when the run starts have left at time zero; all others are up
/// from the start without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LifeEvent {
    /// When.
    pub time: SimTime,
    /// Who.
    pub node: NodeId,
    /// What.
    pub turn: Turn,
}

/// A node changed its mind about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Judgement {
    /// When.
    pub time: SimTime,
    /// Who judges.
    pub observer: NodeId,
    /// Whom.
    pub subject: NodeId,
    /// What the observer now takes the subject for.
    pub verdict: Verdict,
}

/// What a node that tracks a sample of all nodes knew at some moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleCount {
    /// When.
    pub time: SimTime,
    /// Who tracks.
    pub observer: NodeId,
    /// Which share of all ids is in the sample.
    pub rate: f64,
    /// How many nodes of the sample the tracker takes for up.
    pub alive: u32,
}
