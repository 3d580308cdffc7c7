//! Tests of placement: balance, and what a change moves, against theory.

use super::*;
use crate::protocols::sharding::shard::{address_of, hash_of};

const FIRST: NodeId = 3;
const RECORDS: u32 = 20_000;

fn placements() -> [ShardPlacement; 5] {
    [
        ShardPlacement::Modulo,
        ShardPlacement::FixedShards { shards: 2_048 },
        ShardPlacement::ConsistentHashing { virtual_nodes: 32 },
        ShardPlacement::ByRegion { virtual_nodes: 32, rule: RegionRule::Spread },
        ShardPlacement::ByRegion { virtual_nodes: 32, rule: RegionRule::Together },
    ]
}

fn regions() -> Placement {
    Placement::new(&[0.4, 0.3, 0.2, 0.1], 5)
}

fn placer(placement: ShardPlacement, count: u32, replicas: usize) -> Placer {
    Placer::new(placement, FIRST, count, replicas, Some(&regions()))
}

fn hashes() -> impl Iterator<Item = u64> {
    (0..RECORDS).map(|record| hash_of(&address_of(record)))
}

/// Replicas on each of `count` full nodes.
fn loads(placer: &Placer, view: &View, count: u32) -> Vec<u32> {
    let mut loads = vec![0; count as usize];
    for hash in hashes() {
        placer.owners(hash, view).iter().for_each(|&owner| loads[(owner - FIRST) as usize] += 1);
    }
    loads
}

/// The largest load by the mean.
fn imbalance(loads: &[u32]) -> f64 {
    let most = loads.iter().max().copied().unwrap_or(0);
    f64::from(most) * loads.len() as f64 / f64::from(loads.iter().sum::<u32>())
}

/// The share of replicas that have moved when the view changes from one to the other.
fn moved(placer: &Placer, old: &View, new: &View) -> f64 {
    let mut counts = (0, 0);
    for hash in hashes() {
        let (was, is) = (placer.owners(hash, old), placer.owners(hash, new));
        counts.0 += is.iter().filter(|&node| !was.contains(node)).count();
        counts.1 += is.len();
    }
    counts.0 as f64 / counts.1 as f64
}

#[test]
fn every_record_has_as_many_different_owners_as_it_should() {
    for placement in placements() {
        for (count, gone, replicas) in [(50, 0, 3), (50, 20, 8), (4, 2, 3), (1, 0, 2), (5, 5, 3)] {
            let placer = placer(placement, count, replicas);
            let view = View::of(FIRST, count, |node| node >= FIRST + gone);
            let expected = replicas.min((count - gone) as usize);
            for hash in hashes().take(500) {
                let owners = placer.owners(hash, &view);
                assert_eq!(owners.len(), expected, "{}", placement.name());
                assert!(owners.iter().all(|&node| view.contains(node)));
                let mut distinct = owners.to_vec();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), expected);
            }
        }
    }
}

#[test]
fn the_first_owner_by_modulo_is_whom_the_documents_formula_makes_responsible() {
    let placer = placer(ShardPlacement::Modulo, 40, 3);
    let view = View::of(FIRST, 40, |node| node % 7 != 0);
    for record in 0..1_000 {
        let address = address_of(record);
        let owners = placer.owners(hash_of(&address), &view);
        let responsible = |&node: &NodeId| {
            let shard = placer.shard_of_member(node, &view);
            shard.is_some_and(|shard| shard.is_responsible_for(&address))
        };
        let found: Vec<NodeId> = (0..50).filter(responsible).collect();
        assert_eq!(found, owners[..1], "exactly one");
    }
}

#[test]
fn an_owner_on_the_ring_is_the_first_member_from_the_hash_on() {
    let placer = placer(ShardPlacement::ConsistentHashing { virtual_nodes: 5 }, 30, 2);
    let view = View::of(FIRST, 30, |node| node % 3 != 0);
    for hash in hashes().take(2_000).chain([0, u64::MAX]) {
        let distance = |node: NodeId| (0..5).map(|turn| place_of(node, turn).wrapping_sub(hash)).min();
        let mut members = view.members().to_vec();
        members.sort_by_key(|&node| distance(node));
        assert_eq!(placer.owners(hash, &view)[..], members[..2]);
    }
}

#[test]
fn an_owner_of_a_fixed_shard_is_the_member_of_the_largest_weight() {
    let placer = placer(ShardPlacement::FixedShards { shards: 64 }, 60, 3);
    // So few members that candidates do not suffice.
    for share in [1, 2, 10] {
        let view = View::of(FIRST, 60, |node| node % share == 0);
        for hash in hashes().take(300) {
            let mut members = view.members().to_vec();
            members.sort_by_key(|&node| std::cmp::Reverse(placer.weights.word(node, shard_of(hash, 64))));
            assert_eq!(placer.owners(hash, &view)[..], members[..3]);
        }
    }
}

#[test]
fn more_virtual_nodes_balance_better() {
    let view = View::all(FIRST, 100);
    let by_virtual_nodes = [1, 8, 64, 512].map(|virtual_nodes| {
        imbalance(&loads(&placer(ShardPlacement::ConsistentHashing { virtual_nodes }, 100, 1), &view, 100))
    });
    assert!(by_virtual_nodes.is_sorted_by(|more, less| more > less), "{by_virtual_nodes:?}");
    // With one place each, the largest of n exponential arcs is about ln n times the mean; with many, it is
    // multinomial: 200 records each, so three standard deviations are a fifth.
    assert!(by_virtual_nodes[0] > 3.0 && by_virtual_nodes[3] < 1.35, "{by_virtual_nodes:?}");
    let modulo = imbalance(&loads(&placer(ShardPlacement::Modulo, 100, 1), &view, 100));
    assert!(modulo < 1.25, "{modulo}");
}

#[test]
fn a_change_moves_what_theory_says() {
    let count = 100;
    let (all, fewer) = (View::all(FIRST, count), View::of(FIRST, count, |node| node != FIRST + 40));
    for replicas in [1, 3] {
        for placement in placements() {
            let placer = placer(placement, count, replicas);
            for (old, new) in [(&all, &fewer), (&fewer, &all)] {
                let share = moved(&placer, old, new);
                let load = loads(&placer, &all, count)[40];
                let own = f64::from(load) / f64::from(RECORDS * replicas as u32);
                let case = format!("{}, {replicas} replicas: {share}, own share {own}", placement.name());
                match placement {
                    // Of the hashes, 1 in n leaves the same remainder by n and by n - 1 but for rank; those above the
                    // rank of the node that goes come to a neighbour. Replicas overlap with those of neighbours.
                    ShardPlacement::Modulo if replicas == 1 => assert!((0.97..=1.0).contains(&share), "{case}"),
                    ShardPlacement::Modulo => assert!(share > 0.9, "{case}"),
                    // Exactly what the node has, and no other replica.
                    ShardPlacement::FixedShards { .. } | ShardPlacement::ConsistentHashing { .. } => {
                        assert!((share - own).abs() < 1e-9 && share < 0.02, "{case}");
                    }
                    // Where the first of the owners changes, so may the region of the others.
                    ShardPlacement::ByRegion { .. } => assert!(share >= own && share < 3.0 * own, "{case}"),
                }
            }
        }
    }
}

#[test]
fn replicas_stand_in_regions_as_the_rule_says() {
    let regions = regions();
    let view = View::all(FIRST, 200);
    for (rule, replicas, expected) in
        [(RegionRule::Spread, 3, 3), (RegionRule::Together, 3, 1), (RegionRule::Spread, 6, 4)]
    {
        let placer = placer(ShardPlacement::ByRegion { virtual_nodes: 16, rule }, 200, replicas);
        for hash in hashes().take(1_000) {
            let mut used: Vec<_> = placer.owners(hash, &view).iter().map(|&node| regions.region_of(node)).collect();
            used.sort_unstable();
            used.dedup();
            assert_eq!(used.len(), expected, "{rule:?}");
        }
    }
}
