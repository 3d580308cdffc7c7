//! Whom the nodes of the hierarchy judge, and by which rules.

use std::ops::Range;

use crate::contract::{Column, NodeId, NodeType, Population, SimSpan, SimTime};
use crate::protocols::detector::{Detector, Rule, Watch};
use crate::protocols::sampler::NodeSampler;
use crate::protocols::wire::key_of;

/// The tiers within which rumours spread, in the order of the state's columns.
const TIERS: [NodeType; 2] = [NodeType::SuperNode, NodeType::FullNode];

/// A detector with its rule for each type of peer, and the origins of rumours that are tracked in each tier.
#[derive(Debug)]
pub(super) struct Detection {
    pub(super) detector: Detector,
    pub(super) rules: [Rule; 4],
    pub(super) tracked: [Tracked; 2],
}

impl Detection {
    /// `intervals` are those of each type. Rumours are tracked of the nodes in the sample of `track`; of nobody if there
    /// is none.
    pub(super) fn new(
        detector: Detector,
        intervals: [SimSpan; 4],
        population: Population,
        track: Option<&NodeSampler>,
    ) -> Self {
        Detection {
            detector,
            rules: intervals.map(|interval| detector.rule(interval)),
            tracked: TIERS.map(|tier| Tracked::new(population.range(tier), track)),
        }
    }

    /// When each of `members` of the tier last heard of each tracked origin.
    pub(super) fn watch(&self, tier: usize, members: impl ExactSizeIterator<Item = NodeId>) -> Watch {
        let tracked = &self.tracked[tier];
        let mut watch = Watch::new(members.len() * tracked.origins.len(), Some(&self.detector));
        for (index, member) in members.enumerate() {
            tracked.leave_out(&mut watch, index, member);
        }
        watch
    }
}

/// The tracked origins of a tier. A member of it has a row of cells, one for each of them.
#[derive(Debug)]
pub(super) struct Tracked {
    first: NodeId,
    pub(super) origins: Column<NodeId>,
    /// By member: its place in a row, or `u32::MAX` if it is not tracked.
    places: Column<u32>,
}

impl Tracked {
    fn new(tier: Range<NodeId>, track: Option<&NodeSampler>) -> Self {
        let is_tracked = |node: &NodeId| track.is_some_and(|sampler| sampler.should_track_node(&key_of(*node)));
        let count = tier.clone().filter(is_tracked).count();
        let mut places = Column::filled(if count == 0 { 0 } else { tier.len() }, u32::MAX);
        let origins = Column::collect(count, tier.clone().filter(is_tracked));
        for (place, origin) in (0..).zip(origins.iter()) {
            places[(origin - tier.start) as usize] = place;
        }
        Tracked { first: tier.start, origins, places }
    }

    /// The cells of the member at `index`.
    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> Range<usize> {
        let len = self.origins.len();
        index * len..(index + 1) * len
    }

    /// The cell for `origin` of the member at `index`, if it is tracked.
    #[inline(always)]
    pub(super) fn cell(&self, index: usize, origin: NodeId) -> Option<usize> {
        let place = *self.places.get(origin.checked_sub(self.first)? as usize)?;
        (place < u32::MAX).then(|| index * self.origins.len() + place as usize)
    }

    /// The row of the member `own` at `index` starts anew.
    pub(super) fn forget(&self, watch: &mut Watch, index: usize, own: NodeId, detector: &Detector, now: SimTime) {
        watch.forget(self.row(index), Some(detector), now);
        self.leave_out(watch, index, own);
    }

    /// A node does not judge itself.
    fn leave_out(&self, watch: &mut Watch, index: usize, own: NodeId) {
        if let Some(cell) = self.cell(index, own) {
            watch.leave(cell);
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.origins.bytes() + self.places.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::CoarseTime;

    #[test]
    fn every_member_has_a_cell_for_every_tracked_origin_but_itself() {
        let population = Population::new([4, 300, 5, 0]).unwrap();
        let detector = Detector::Timeout { missed: 3 };
        let sampler = NodeSampler::new(0.1);
        let detection = Detection::new(detector, [SimSpan::from_secs(30); 4], population, Some(&sampler));
        let tracked = &detection.tracked[1];
        assert!((15..50).contains(&tracked.origins.len()), "a tenth of 300");
        let mut watch = detection.watch(1, 4..304);
        assert_eq!(watch.heard().len(), 300 * tracked.origins.len());
        for (index, member) in (4..304).enumerate() {
            for origin in 0..309 {
                let expected = (4..304).contains(&origin) && sampler.should_track_node(&key_of(origin));
                let cell = tracked.cell(index, origin);
                assert_eq!(cell.is_some(), expected, "origin {origin}");
                if let Some(cell) = cell {
                    assert!(tracked.row(index).contains(&cell));
                    assert_eq!(tracked.origins[cell - tracked.row(index).start], origin);
                    assert_eq!(watch.heard()[cell] == CoarseTime::NEVER, origin == member);
                }
            }
        }
        let own = tracked.origins[0];
        let index = (own - 4) as usize;
        tracked.forget(&mut watch, index, own, &detector, SimTime::from_nanos(1 << 40));
        let later = CoarseTime::from(SimTime::from_nanos(1 << 40));
        assert_eq!(watch.heard()[tracked.row(index)][..2], [CoarseTime::NEVER, later]);
        let nobody = Detection::new(detector, [SimSpan::from_secs(30); 4], population, None);
        assert_eq!((nobody.tracked[1].bytes(), nobody.watch(1, 4..304).bytes()), (0, 0));
    }
}
