//! Which rank each node is on: whole regions where ranks are to be far apart, children where their parents are.
//!
//! All of it follows from the scenario and the number of ranks, so every rank finds the same. Nothing of it can be seen in a
//! result.

use std::cmp::Reverse;

use super::{clustering, degrees, latency};
use crate::contract::{NodeId, NodeType, Placement, Places, Population, Share, SimSpan};
use crate::engine::{Latency, Settings};
use crate::scenario::{Approach, LatencySpec, Point, Scenario};

/// How much more than an even share of the nodes a rank may have, for the sake of whole regions.
const UNEVEN_MAX: f64 = 1.25;

/// How nodes are dealt out to ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::scenario) enum Deal {
    /// By number: what a rank gets is like what any other gets.
    Numbers,
    /// Whole regions.
    Regions {
        /// The rank of each.
        rank_of: Vec<usize>,
        /// The smallest delay between regions of different ranks.
        apart: SimSpan,
    },
    /// Regions stand in this order, and ranks get even stretches of them.
    Stretches(Vec<usize>),
    /// Each child goes to the rank that has most of its parents and is not full.
    Parents,
}

impl Deal {
    /// How the nodes of `point` are best dealt out to `ranks` ranks.
    pub(in crate::scenario) fn of(scenario: &Scenario, point: &Point, ranks: usize) -> Deal {
        if ranks <= 1 {
            return Deal::Numbers;
        }
        let is_tiered = matches!(point.approach, Approach::Hierarchical(_) | Approach::Gossip { .. });
        let others = if is_tiered { Deal::Parents } else { Deal::Numbers };
        let LatencySpec::Regions { table, shares, .. } = &scenario.network.latency else { return others };
        let near = |from: usize, to: usize| table.one_way(from, to).min(table.one_way(to, from));
        let is_clustered = point.nearby.is_some_and(|nearby| nearby > 0.0);
        match whole_regions(shares, near, ranks) {
            Some((rank_of, apart)) if is_clustered || apart > table.smallest() => Deal::Regions { rank_of, apart },
            None if is_clustered => Deal::Stretches(chain(shares.len(), near)),
            _ => others,
        }
    }

    /// Whether that takes a table.
    pub(in crate::scenario) fn is_listed(&self) -> bool {
        *self != Deal::Numbers
    }
}

/// The rank of each region, and the smallest delay between two ranks, which is as large as it can be where no rank gets much
/// more than others. `None` if regions are too few or too large to go to ranks as wholes.
fn whole_regions(
    shares: &[f64],
    near: impl Fn(usize, usize) -> SimSpan,
    ranks: usize,
) -> Option<(Vec<usize>, SimSpan)> {
    let inhabited: Vec<usize> = (0..shares.len()).filter(|&region| shares[region] > 0.0).collect();
    let pairs = inhabited.iter().flat_map(|&one| inhabited.iter().map(move |&other| (one, other)));
    let mut bounds: Vec<SimSpan> =
        pairs.filter(|(one, other)| one < other).map(|(one, other)| near(one, other)).collect();
    bounds.sort_unstable_by_key(|&bound| Reverse(bound));
    bounds.dedup();
    bounds.into_iter().find_map(|apart| {
        // Regions that are nearer than that have to stay together, and so has what is near to either.
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &region in &inhabited {
            let is_near = |group: &Vec<usize>| group.iter().any(|&other| near(region, other) < apart);
            let (joined, mut others): (Vec<_>, Vec<_>) = groups.into_iter().partition(is_near);
            others.push(joined.into_iter().flatten().chain([region]).collect());
            groups = others;
        }
        Some((packed(shares, groups, ranks)?, apart))
    })
}

/// The rank of each region where `groups` of them stay together: the largest first, each to whom has least. `None` if some
/// rank gets too much, or nothing.
fn packed(shares: &[f64], groups: Vec<Vec<usize>>, ranks: usize) -> Option<Vec<usize>> {
    let load = |group: &Vec<usize>| group.iter().map(|&region| shares[region]).sum::<f64>();
    let mut groups: Vec<(f64, Vec<usize>)> = groups.into_iter().map(|group| (load(&group), group)).collect();
    groups.sort_by(|(one, first), (other, second)| other.total_cmp(one).then_with(|| first.cmp(second)));
    let (mut loads, mut rank_of) = (vec![0.0f64; ranks], vec![0; shares.len()]);
    for (load, group) in groups {
        let least = (0..ranks).min_by(|&one, &other| loads[one].total_cmp(&loads[other]))?;
        loads[least] += load;
        group.into_iter().for_each(|region| rank_of[region] = least);
    }
    let most = UNEVEN_MAX / ranks as f64;
    loads.iter().all(|&load| load > 0.0 && load <= most).then_some(rank_of)
}

/// All regions, each followed by the nearest of those that are left.
fn chain(regions: usize, near: impl Fn(usize, usize) -> SimSpan) -> Vec<usize> {
    let mut left: Vec<usize> = (1..regions).collect();
    let mut chain = vec![0];
    while let Some(last) = chain.last().copied().filter(|_| !left.is_empty()) {
        let nearest = (0..left.len()).min_by_key(|&place| near(last, left[place])).unwrap_or(0);
        chain.push(left.remove(nearest));
    }
    chain
}

/// Deals out the nodes of `point` in `settings` to as many ranks as these say, whose share may be of another number of ranks: a
/// run that goes on from a checkpoint keeps its partitions.
pub(super) fn deal_out(settings: &mut Settings, scenario: &Scenario, point: &Point) {
    let (population, seed, partitions_log2) = (settings.population, settings.seed, settings.partitions_log2());
    // There may be more ranks than partitions.
    let ranks = settings.dealt_to.min(1 << partitions_log2);
    let deal = Deal::of(scenario, point, ranks);
    let placement = settings.placement.as_ref();
    let rank_of: Vec<u16> = match (&deal, placement) {
        (Deal::Regions { rank_of, .. }, Some(placement)) => {
            (0..population.total()).map(|node| rank_of[placement.region_of(node)] as u16).collect()
        }
        (Deal::Stretches(order), Some(placement)) => stretches(population, placement, order, ranks),
        (Deal::Parents, _) => by_parents(scenario, point, seed, ranks),
        _ => return,
    };
    // Within a rank they go round.
    let own: Vec<Vec<u32>> =
        (0..ranks).map(|rank| Share::new(rank, ranks).partitions(partitions_log2).collect()).collect();
    let mut turns = vec![0; ranks];
    let places = Places::new(population, partitions_log2, |node| {
        let rank = usize::from(rank_of[node as usize]);
        turns[rank] += 1;
        own[rank][(turns[rank] - 1) % own[rank].len()]
    });
    settings.apart = placement.and_then(|placement| {
        let Latency::Regions(matrix) = latency(&scenario.network.latency, seed) else { return None };
        let share = settings.share;
        // Who lives where, by rank.
        let mut inhabited = vec![0u64; share.ranks()];
        for node in 0..population.total() {
            inhabited[share.holder(places.partition_of(node))] |= 1 << placement.region_of(node);
        }
        let is_between = |from: usize, to: usize| {
            let others = |own| (0..inhabited.len()).any(|rank| rank != own && inhabited[rank] >> to & 1 == 1);
            (0..inhabited.len()).any(|rank| inhabited[rank] >> from & 1 == 1 && others(rank))
        };
        matrix.smallest_where(is_between)
    });
    settings.places = Some(places);
}

/// The rank of each node where regions stand in a line in this `order`, and ranks get even stretches of it, of each type of
/// nodes on its own.
fn stretches(population: Population, placement: &Placement, order: &[usize], ranks: usize) -> Vec<u16> {
    let mut starts = vec![[0u64; 4]; placement.regions()];
    for node in 0..population.total() {
        starts[placement.region_of(node)][population.type_of(node) as usize] += 1;
    }
    let mut end = [0u64; 4];
    for &region in order {
        for (end, start) in end.iter_mut().zip(&mut starts[region]) {
            *end += std::mem::replace(start, *end);
        }
    }
    let rank = |node: NodeId| {
        let node_type = population.type_of(node) as usize;
        let place = &mut starts[placement.region_of(node)][node_type];
        *place += 1;
        ((*place - 1) * ranks as u64 / end[node_type]) as u16
    };
    (0..population.total()).map(rank).collect()
}

/// The rank of each node: where most of its parents are, as long as there is room; each rank has room for an even share of the
/// nodes of each type. What has no parents goes where there is most room. That is linear deterministic greedy partitioning
/// (Stanton and Kliot, "Streaming graph partitioning for large distributed graphs", 2012), of a stream from the top.
fn by_parents(scenario: &Scenario, point: &Point, seed: u64, ranks: usize) -> Vec<u16> {
    let (Approach::Hierarchical(links) | Approach::Gossip { links, .. }) = point.approach else { return Vec::new() };
    let population = point.population;
    let near = clustering(&scenario.network.latency, seed, point.nearby);
    let targets = degrees(links, false).targets(population, seed, near.as_ref());
    let (mut rank_of, mut parents) = (Vec::<u16>::with_capacity(population.total() as usize), Vec::new());
    for node_type in NodeType::ALL {
        let room = u64::from(population.count(node_type)).div_ceil(ranks as u64);
        let mut left = vec![room; ranks];
        for node in population.range(node_type) {
            parents.clear();
            targets(node, &mut parents);
            let mut counts = vec![0u64; ranks];
            parents.iter().for_each(|&parent| counts[usize::from(rank_of[parent as usize])] += 1);
            let best = (0..ranks).max_by_key(|&rank| (counts[rank] * left[rank], left[rank], Reverse(rank)));
            let best = best.unwrap_or(0);
            left[best] -= 1;
            rank_of.push(best as u16);
        }
    }
    rank_of
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs of regions, 5 ms within a pair and 50 ms between them.
    fn pairs(one: usize, other: usize) -> SimSpan {
        SimSpan::from_millis(if one / 2 == other / 2 { 5 } else { 50 })
    }

    #[test]
    fn near_regions_stay_together_as_far_as_ranks_are_even() {
        let rank_of = |shares: &[f64], ranks| whole_regions(shares, pairs, ranks);
        assert_eq!(rank_of(&[0.25; 4], 2), Some((vec![0, 0, 1, 1], SimSpan::from_millis(50))));
        let (regions, apart) = rank_of(&[0.25; 4], 4).expect("a region for each rank");
        assert_eq!((regions.len(), apart), (4, SimSpan::from_millis(5)));
        // The first pair is too large for one of two ranks.
        assert_eq!(rank_of(&[0.4, 0.4, 0.1, 0.1], 2).map(|(_, apart)| apart), Some(SimSpan::from_millis(5)));
        assert_eq!(rank_of(&[0.25; 4], 5), None, "fewer regions than ranks");
        assert_eq!(rank_of(&[0.7, 0.1, 0.1, 0.1], 2), None, "a region that is too large");
        assert_eq!(rank_of(&[0.5, 0.0, 0.0, 0.5], 2).map(|(_, apart)| apart), Some(SimSpan::from_millis(50)));
    }

    #[test]
    fn stretches_are_even_and_follow_the_order() {
        let population = Population::new([4, 40, 400, 0]).unwrap();
        let placement = Placement::new(&[0.7, 0.1, 0.1, 0.1], 3);
        let order = chain(4, pairs);
        assert_eq!(order, [0, 1, 2, 3]);
        let ranks = stretches(population, &placement, &order, 4);
        for node_type in NodeType::ALL {
            for rank in 0..4 {
                let count = population.range(node_type).filter(|&node| ranks[node as usize] == rank).count();
                assert_eq!(count as u32, population.count(node_type) / 4);
            }
        }
        let lights = || population.range(NodeType::LightNode);
        assert!(lights().all(|node| ranks[node as usize] < 3 || placement.region_of(node) > 0));
        assert!(lights().filter(|&node| placement.region_of(node) == 0).any(|node| ranks[node as usize] == 1));
    }
}
