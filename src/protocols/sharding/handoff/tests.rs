//! Tests of who gives a record to whom.

use super::*;
use crate::protocols::sharding::placement::{Placer, ShardPlacement};

const PLACEMENTS: [ShardPlacement; 3] = [
    ShardPlacement::Modulo,
    ShardPlacement::FixedShards { shards: 256 },
    ShardPlacement::ConsistentHashing { virtual_nodes: 8 },
];

/// For every change of a few views and many records: who gives to whom.
#[test]
fn each_new_owner_gets_a_record_once_from_somebody_who_has_it_and_is_alive() {
    let views = [
        View::all(0, 20),
        View::of(0, 20, |node| node != 7),
        View::of(0, 20, |node| node > 2),
        View::of(0, 20, |node| node % 2 == 0),
    ];
    for placement in PLACEMENTS {
        let placer = Placer::new(placement, 0, 20, 3, None);
        for (old, new) in views.iter().flat_map(|old| views.iter().map(move |new| (old, new))) {
            for hash in (0..500u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                // Node 7 may leave in good order.
                for leaves in [false, true] {
                    let is_alive = |node: NodeId| new.contains(node) || (leaves && node == 7);
                    let (was, is) = (placer.owners(hash, old), placer.owners(hash, new));
                    let gives = |own| targets_of(own, &was, &is, is_alive).collect::<Vec<_>>();
                    let given: Vec<(NodeId, NodeId)> =
                        (0..20).flat_map(|own| gives(own).into_iter().map(move |to| (own, to))).collect();
                    let mut new_owners: Vec<_> = is.iter().filter(|node| !was.contains(node)).copied().collect();
                    new_owners.sort_unstable();
                    let mut to: Vec<_> = given.iter().map(|&(_, to)| to).collect();
                    to.sort_unstable();
                    if was.iter().any(|&node| is_alive(node)) {
                        assert_eq!(to, new_owners);
                    }
                    assert!(given.iter().all(|&(from, _)| was.contains(&from) && is_alive(from)));
                    // Who is an owner no more gives at most once: its place.
                    for &own in was.iter().filter(|node| is_alive(**node)) {
                        let times = given.iter().filter(|&&(from, _)| from == own).count();
                        let dead = was.iter().filter(|node| !is_alive(**node)).count();
                        assert!(is.contains(&own) || times <= 1 + dead, "{own} gives {times} times");
                    }
                }
            }
        }
    }
}

#[test]
fn what_waits_already_is_not_queued_twice_and_targets_stay_together() {
    let mut keeper = Keeper::default();
    keeper.enqueue(vec![(2, 9), (1, 5), (2, 3)]);
    keeper.enqueue(vec![(1, 5), (1, 6), (1, 6), (2, 9)]);
    assert_eq!(keeper.queue, [(1, 5), (2, 3), (2, 9), (1, 6)]);
}
