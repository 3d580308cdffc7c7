//! Faults: when nodes come and go, and what disturbs the links between them, all as functions of seed and time.

use crate::contract::{NodeId, NodeType, RandomKey, SimSpan, SimTime};

use super::distribution::Distribution;

/// Nodes that a fault hits: of some types, in some regions, and of those a share drawn at random.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSet {
    /// By type, in the order of [`NodeType::ALL`].
    pub types: [bool; 4],
    /// A bit for each region; all bits where regions do not matter.
    pub regions: u64,
    /// Which share of these nodes, from 0 to 1; drawn by node.
    pub share: f64,
    /// Sets with different numbers draw independently; those with the same number and a smaller share are subsets.
    pub number: u32,
}

impl NodeSet {
    /// Every node.
    pub const ALL: NodeSet = NodeSet { types: [true; 4], regions: u64::MAX, share: 1.0, number: 0 };

    /// Whether `node`, which is of `node_type` and stands in `region`, is in the set. `key` is that of
    /// [`Domain::Fault`](crate::contract::Domain::Fault).
    pub fn contains(&self, key: &RandomKey, node: NodeId, node_type: NodeType, region: usize) -> bool {
        self.types[node_type as usize]
            && self.regions >> (region % 64) & 1 == 1
            && (self.share >= 1.0 || key.word(node, self.number) < threshold(self.share))
    }
}

/// A chance as a threshold for 64 uniform bits: they are below it with that chance. 1 becomes the largest number.
pub fn threshold(chance: f64) -> u64 {
    // 2^64 as a float; the cast saturates.
    (chance.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0) as u64
}

/// Nodes that come and go on their own: sessions and absences in turn, each drawn anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Churn {
    /// Whom it concerns. A node follows the first churn that it is in the set of.
    pub nodes: NodeSet,
    /// How long a node stays, in seconds.
    pub session: Distribution,
    /// How long it stays away, in seconds.
    pub absence: Distribution,
    /// Share of departures in good order; the others are crashes.
    pub graceful: f64,
    /// Whether the run starts in the steady state: a node is up with the chance that it is at any moment, and in the
    /// middle of its session or absence. Otherwise all nodes are up and begin a session.
    pub steady: bool,
}

/// Nodes that are away for some time, on top of any churn.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    /// Whom it concerns.
    pub nodes: NodeSet,
    /// When they go: each at a moment of its own, uniform in a span from `from` on.
    pub from: SimTime,
    /// Length of that span.
    pub from_over: SimSpan,
    /// When they come back, likewise; `None` if never.
    pub until: Option<SimTime>,
    /// Length of that span.
    pub until_over: SimSpan,
    /// Whether they leave in good order.
    pub graceful: bool,
}

/// Everything that makes nodes come and go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// Churn.
    pub churns: Vec<Churn>,
    /// Crashes, crowds and departures.
    pub outages: Vec<Outage>,
}

/// Messages between two sets of nodes in a span of time. Both spans and sets are those of the moment of sending.
#[derive(Clone, Debug, PartialEq)]
pub struct Between {
    /// From this moment on, up to, not including, another.
    pub during: std::ops::Range<SimTime>,
    /// Senders.
    pub from: NodeSet,
    /// Receivers.
    pub to: NodeSet,
    /// Whether messages in the other direction are meant as well.
    pub both_ways: bool,
}

/// What disturbs the links between nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disturbances {
    /// Messages that are lost with another chance than the network's; where several apply, with the largest.
    pub losses: Vec<(Between, f64)>,
    /// Messages that take longer: their delay times a factor of at least one, plus a span. All that apply add up.
    pub surges: Vec<(Between, f64, SimSpan)>,
    /// Times in which no message passes between a set of nodes and the others.
    pub partitions: Vec<(std::ops::Range<SimTime>, NodeSet)>,
}
