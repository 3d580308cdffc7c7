//! Peers and parents chosen nearby first: most links stay short, and some far ones keep the network in one piece.

use std::ops::Range;

use super::random::{distinct_peers, fill_peers};
use crate::contract::{NodeId, Placement, SimSpan, Stream};

/// How links are chosen by distance: of `count` links of a node, `round(nearby * count)` go to the nearest regions in
/// which there are candidates, the node's own first, and the others to anyone.
#[derive(Clone, Debug)]
pub struct Clustering {
    placement: Placement,
    /// By region: all regions, the nearest first, itself before all others.
    order: Vec<Vec<u8>>,
    nearby: f64,
}

impl Clustering {
    /// Links of nodes that stand where `placement` says. A share `nearby` of them, from 0 to 1, is chosen nearby; near is
    /// what `one_way(from, to)`, the delay from one region to another, is small for. Where delays are equal, the region
    /// with the smaller number is nearer.
    ///
    /// # Panics
    /// If `nearby` is not in `0..=1`.
    pub fn new(placement: Placement, nearby: f64, one_way: impl Fn(usize, usize) -> SimSpan) -> Self {
        assert!((0.0..=1.0).contains(&nearby), "a share of {nearby} nearby");
        let regions = placement.regions();
        let order = (0..regions).map(|from| {
            let mut order: Vec<u8> = (0..regions).map(|region| region as u8).collect();
            order.sort_by_key(|&to| (usize::from(to) != from, one_way(from, usize::from(to))));
            order
        });
        Clustering { order: order.collect(), placement, nearby }
    }

    /// How near the region of `other` is to that of `node`: 0 if it is the same, 1 for the nearest other, and so on.
    pub fn rank(&self, node: NodeId, other: NodeId) -> usize {
        let (from, to) = (self.placement.region_of(node), self.placement.region_of(other));
        let place = self.order[from].iter().position(|&region| usize::from(region) == to);
        place.expect("the order holds all regions")
    }

    /// How many of `count` links are chosen nearby.
    pub fn near_of(&self, count: u32) -> u32 {
        (f64::from(count) * self.nearby).round() as u32
    }
}

/// The nodes of a tier by region, to choose near ones from: four bytes a node.
#[derive(Clone, Debug)]
pub struct Neighbourhood {
    clustering: Clustering,
    tier: Range<NodeId>,
    /// Ordered by region, then by number.
    members: Vec<NodeId>,
    /// Where the members of each region start, and where the last ones end.
    starts: Vec<u32>,
}

impl Neighbourhood {
    /// The nodes of `tier`, chosen from as `clustering` says. Goes over them twice.
    pub fn new(clustering: &Clustering, tier: Range<NodeId>) -> Self {
        let regions = clustering.placement.regions();
        let mut starts = vec![0u32; regions + 1];
        for node in tier.clone() {
            starts[clustering.placement.region_of(node) + 1] += 1;
        }
        for region in 0..regions {
            starts[region + 1] += starts[region];
        }
        let (mut next, mut members) = (starts.clone(), vec![0; tier.len()]);
        for node in tier.clone() {
            let place = &mut next[clustering.placement.region_of(node)];
            members[*place as usize] = node;
            *place += 1;
        }
        Neighbourhood { clustering: clustering.clone(), tier, members, starts }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.members.len() * size_of::<NodeId>()
    }

    /// Appends `count` distinct members of the tier other than `own`, all of them if there are no more: as many as
    /// [`Clustering::near_of`] says from the nearest regions, uniformly within each, and then the others uniformly from
    /// all that are left. With none nearby, the same as [`distinct_peers`].
    pub fn distinct_peers(&self, count: u32, own: NodeId, random: &mut Stream, peers: &mut Vec<NodeId>) {
        let others = self.tier.len() as u32 - u32::from(self.tier.contains(&own));
        let near = self.clustering.near_of(count);
        if near == 0 || count >= others {
            return distinct_peers(count, self.tier.clone(), own, random, peers);
        }
        let first = peers.len();
        for candidates in self.nearest(own) {
            let missing = near - (peers.len() - first) as u32;
            if missing == 0 {
                break;
            }
            let from = peers.len();
            // Places among the candidates, which are then replaced by who stands there. Nobody has the number MAX.
            distinct_peers(missing, 0..candidates.count, NodeId::MAX, random, peers);
            peers[from..].iter_mut().for_each(|place| *place = candidates.at(*place));
        }
        fill_peers(count, self.tier.clone(), own, random, peers, first);
    }

    /// `count` members of the tier other than `own`, independent of each other, so that some may coincide: as many as
    /// [`Clustering::near_of`] says from the nearest regions, of each at most as many as there are candidates, and then
    /// the others from all. None if there are no others.
    #[inline]
    pub fn peers(&self, count: u32, own: NodeId, mut random: Stream) -> impl Iterator<Item = NodeId> + use<'_> {
        let others = (self.tier.end - self.tier.start).saturating_sub(1);
        let near = self.clustering.near_of(count).min(others);
        let mut regions = self.nearest(own);
        let mut left = 0;
        let mut candidates = Candidates { members: &[], count: 0, own };
        (0..if others == 0 { 0 } else { count }).map(move |number| {
            if number >= near {
                let peer = self.tier.start + random.below(u64::from(others)) as NodeId;
                return peer + NodeId::from(peer >= own);
            }
            while left == 0 {
                candidates = regions.next().expect("all regions together hold as many as are chosen nearby");
                left = candidates.count;
            }
            left -= 1;
            candidates.at(random.below(u64::from(candidates.count)) as NodeId)
        })
    }

    /// The candidates for links of `own`, region by region, the nearest first.
    #[inline]
    fn nearest(&self, own: NodeId) -> impl Iterator<Item = Candidates<'_>> + use<'_> {
        let home = self.clustering.placement.region_of(own);
        let is_member = self.tier.contains(&own);
        self.clustering.order[home].iter().map(move |&region| {
            let region = usize::from(region);
            let members = &self.members[self.starts[region] as usize..self.starts[region + 1] as usize];
            let count = members.len() as u32 - u32::from(is_member && region == home);
            Candidates { members, count, own }
        })
    }
}

/// Members of a region other than one.
#[derive(Clone, Copy, Debug)]
struct Candidates<'a> {
    members: &'a [NodeId],
    /// One less than there are members if `own` is among them.
    count: u32,
    own: NodeId,
}

impl Candidates<'_> {
    /// The candidate at `place`, which is below `count`. Where `own` stands, the last one stands in: so nobody has to
    /// search for it.
    #[inline]
    fn at(&self, place: u32) -> NodeId {
        let member = self.members[place as usize];
        if member == self.own { self.members[self.count as usize] } else { member }
    }
}

/// The nodes of a tier, to choose peers or parents from.
#[derive(Clone, Debug)]
pub enum Tier {
    /// All alike.
    Uniform(Range<NodeId>),
    /// Near ones first.
    Nearby(Neighbourhood),
}

impl Tier {
    /// The nodes of `range`, near ones first if there is a `clustering`.
    pub fn new(range: Range<NodeId>, clustering: Option<&Clustering>) -> Self {
        match clustering {
            Some(clustering) => Tier::Nearby(Neighbourhood::new(clustering, range)),
            None => Tier::Uniform(range),
        }
    }

    /// The numbers of its nodes.
    pub fn range(&self) -> Range<NodeId> {
        match self {
            Tier::Uniform(range) => range.clone(),
            Tier::Nearby(neighbourhood) => neighbourhood.tier.clone(),
        }
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Tier::Uniform(_) => 0,
            Tier::Nearby(neighbourhood) => neighbourhood.bytes(),
        }
    }

    /// As [`Neighbourhood::distinct_peers`], or as [`distinct_peers`] where all are alike.
    pub fn distinct_peers(&self, count: u32, own: NodeId, random: &mut Stream, peers: &mut Vec<NodeId>) {
        match self {
            Tier::Uniform(range) => distinct_peers(count, range.clone(), own, random, peers),
            Tier::Nearby(neighbourhood) => neighbourhood.distinct_peers(count, own, random, peers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    const SHARES: [f64; 4] = [0.5, 0.3, 0.2, 0.0];

    /// Regions on a line, a hundred milliseconds apart; nobody stands in the last.
    fn line(nearby: f64) -> Clustering {
        let placement = Placement::new(&SHARES, 3);
        Clustering::new(placement, nearby, |from, to| SimSpan::from_millis(100 * from.abs_diff(to) as u64))
    }

    fn region(node: NodeId) -> usize {
        Placement::new(&SHARES, 3).region_of(node)
    }

    fn random(node: NodeId, round: u32) -> Stream {
        RandomKey::new(1, Domain::Topology).stream(node, round)
    }

    #[test]
    fn the_own_region_comes_first_and_equal_delays_by_number() {
        let order = line(0.5).order;
        assert_eq!(order, [[0, 1, 2, 3], [1, 0, 2, 3], [2, 1, 3, 0], [3, 2, 1, 0]].map(Vec::from));
        let far_home = Clustering::new(Placement::new(&SHARES, 3), 0.5, |from, to| {
            SimSpan::from_millis(if from == to { 500 } else { 100 })
        });
        assert_eq!(far_home.order[2], [2, 0, 1, 3]);
        assert_eq!([0.0, 0.5, 0.8, 1.0].map(|nearby| line(nearby).near_of(3)), [0, 2, 2, 3]);
    }

    #[test]
    fn the_share_nearby_stays_in_the_region_and_the_others_go_anywhere() {
        let tier = Neighbourhood::new(&line(0.8), 100..5_100);
        assert_eq!(tier.bytes(), 4 * 5_000);
        // Of ten links eight are near, of a hundred (drawn another way) eighty; a share of the others is so by chance.
        for count in [10, 100] {
            let (mut within, mut links) = ([0u32; 3], [0u32; 3]);
            for node in 0..2_000 {
                let mut peers = vec![node];
                tier.distinct_peers(count, node, &mut random(node, 0), &mut peers);
                let home = region(node);
                let near = peers[1..].iter().filter(|&&peer| region(peer) == home).count() as u32;
                assert!(near >= count * 8 / 10 && peers.len() as u32 == count + 1);
                within[home] += near;
                links[home] += count;
                let mut distinct = peers.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), peers.len(), "node {node} is linked to itself or to another twice");
                assert!(peers[1..].iter().all(|peer| (100..5_100).contains(peer)));
            }
            for home in 0..3 {
                let share = f64::from(within[home]) / f64::from(links[home]);
                let expected = 0.8 + 0.2 * SHARES[home];
                // Four standard deviations of the far links that come back by chance.
                let sigma = (0.2 * SHARES[home] * (1.0 - SHARES[home]) / f64::from(links[home])).sqrt();
                assert!((share - expected).abs() < 4.0 * sigma + 0.005, "region {home}: {share}, expected {expected}");
            }
        }
    }

    #[test]
    fn near_peers_are_uniform_within_the_region() {
        let tier = Neighbourhood::new(&line(1.0), 0..100);
        let own = (0..100).find(|&node| region(node) == 1).unwrap();
        let home: Vec<_> = (0..100).filter(|&node| region(node) == 1 && node != own).collect();
        let (mut linked, mut told) = ([0u32; 100], [0u32; 100]);
        for round in 0..10_000 {
            let mut peers = Vec::new();
            tier.distinct_peers(4, own, &mut random(own, round), &mut peers);
            peers.iter().for_each(|&peer| linked[peer as usize] += 1);
            tier.peers(4, own, random(own, round)).for_each(|peer| told[peer as usize] += 1);
        }
        let expected = 40_000.0 / home.len() as f64;
        for hits in [linked, told] {
            assert_eq!(home.iter().map(|&peer| hits[peer as usize]).sum::<u32>(), 40_000);
            assert!(home.iter().all(|&peer| (f64::from(hits[peer as usize]) - expected).abs() < 6.0 * expected.sqrt()));
        }
    }

    #[test]
    fn a_small_region_is_filled_up_from_the_next() {
        // Few enough nodes that the smallest region has less than ten.
        let tier = Neighbourhood::new(&line(0.9), 0..30);
        let home: Vec<_> = (0..30).filter(|&node| region(node) == 2).collect();
        assert!((2..9).contains(&home.len()), "the seed makes a small region: {home:?}");
        for (round, &own) in home.iter().enumerate() {
            let mut peers = Vec::new();
            tier.distinct_peers(12, own, &mut random(own, round as u32), &mut peers);
            assert_eq!(peers.len(), 12);
            let neighbours = home.iter().filter(|&&node| node != own);
            assert!(neighbours.clone().all(|node| peers.contains(node)), "all of the own region");
            // 11 are near; what the region does not have comes from the next, before the last one is asked.
            let next = peers.iter().filter(|&&peer| region(peer) == 1).count();
            let available = (0..30).filter(|&node| region(node) == 1).count();
            assert!(next >= (11 - (home.len() - 1)).min(available), "{next} of {available}");
            let told = tier.peers(12, own, random(own, 7)).filter(|&peer| region(peer) == 2).count();
            assert!(
                (home.len() - 1..home.len() + 1).contains(&told),
                "no more than there are, and one at most by chance"
            );
        }
    }

    #[test]
    fn none_nearby_is_as_without_clustering_and_small_tiers_are_taken_whole() {
        let none = Tier::new(10..500, Some(&line(0.0)));
        for node in [5, 10, 300] {
            let (mut near, mut uniform) = (Vec::new(), Vec::new());
            none.distinct_peers(20, node, &mut random(node, 0), &mut near);
            Tier::new(10..500, None).distinct_peers(20, node, &mut random(node, 0), &mut uniform);
            assert_eq!(near, uniform);
        }
        let mut peers = Vec::new();
        Tier::new(4..8, Some(&line(0.7))).distinct_peers(32, 6, &mut random(6, 0), &mut peers);
        assert_eq!(peers, [4, 5, 7]);
        let alone = Neighbourhood::new(&line(1.0), 4..5);
        assert_eq!(alone.peers(8, 4, random(4, 0)).count(), 0);
        let pair = Neighbourhood::new(&line(1.0), 4..6);
        assert!(pair.peers(8, 4, random(4, 0)).eq([5; 8]));
    }
}
