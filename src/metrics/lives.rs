//! When nodes come and go, and what others take them for.

use serde::{Deserialize, Serialize};

use crate::contract::{NodeId, SimTime, Verdict};

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LifeEvent {
    /// When.
    pub time: SimTime,
    /// Who.
    pub node: NodeId,
    /// What.
    pub turn: Turn,
}

/// A node changed its mind about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// Life events by node, to look up what was with one at some moment. 16 bytes an event, none for nodes without.
#[derive(Debug)]
pub(super) struct Lives {
    /// By node, then in order of time.
    events: Vec<LifeEvent>,
}

impl Lives {
    /// Takes `events`, in order of time.
    pub(super) fn new(events: &[LifeEvent]) -> Self {
        let mut events = events.to_vec();
        events.sort_by_key(|event| event.node);
        Lives { events }
    }

    /// All events, by node and then in order of time.
    pub(super) fn all(&self) -> &[LifeEvent] {
        &self.events
    }

    /// Whether `node` is up at `time`, what happens then included.
    pub(super) fn is_up(&self, node: NodeId, time: SimTime) -> bool {
        let last = self.until(node, time).checked_sub(1).map(|place| self.events[place]);
        last.is_none_or(|event| event.node != node || event.turn == Turn::Joined)
    }

    /// Whether `node` goes down after `since`, up to and including `until`.
    pub(super) fn goes_down(&self, node: NodeId, since: SimTime, until: SimTime) -> bool {
        let first = self.until(node, since);
        let events = self.events[first..].iter().take_while(|event| event.node == node && event.time <= until);
        events.into_iter().any(|event| event.turn != Turn::Joined)
    }

    /// The place behind the last event of `node` up to `time`.
    fn until(&self, node: NodeId, time: SimTime) -> usize {
        self.events.partition_point(|event| (event.node, event.time) <= (node, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_with_a_node_is_found_whatever_happened_to_its_neighbours() {
        let at = SimTime::from_nanos;
        let event = |time, node, turn| LifeEvent { time: at(time), node, turn };
        let lives = Lives::new(&[
            event(0, 5, Turn::Left),
            event(3, 4, Turn::Crashed),
            event(7, 5, Turn::Joined),
            event(7, 6, Turn::Crashed),
            event(9, 4, Turn::Joined),
        ]);
        let up = |node| (0..11).filter(|&time| lives.is_up(node, at(time))).collect::<Vec<_>>();
        assert_eq!(up(3), (0..11).collect::<Vec<_>>());
        assert_eq!(up(4), [0, 1, 2, 9, 10]);
        assert_eq!(up(5), [7, 8, 9, 10]);
        assert_eq!(up(6), [0, 1, 2, 3, 4, 5, 6]);
        assert!(
            lives.goes_down(4, at(2), at(3)) && !lives.goes_down(4, at(3), at(10)) && !lives.goes_down(4, at(0), at(2))
        );
        assert!(!lives.goes_down(3, at(0), at(10)) && lives.goes_down(6, at(0), at(10)));
    }
}
