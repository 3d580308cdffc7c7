//! Random graphs: links to peers drawn uniformly.

use crate::contract::{NodeId, Stream};

/// Appends `count` distinct members of `range` other than `own`, uniformly drawn; all of them if there are no more.
///
/// Draws and rejects repeats, which is cheap while `count` is small against the range; otherwise a partial
/// Fisher-Yates shuffle.
pub fn distinct_peers(
    count: u32,
    range: std::ops::Range<NodeId>,
    own: NodeId,
    random: &mut Stream,
    peers: &mut Vec<NodeId>,
) {
    let others = (range.end - range.start) - u32::from(range.contains(&own));
    // The `draw`-th of the range without `own`.
    let pick = |draw: NodeId| range.start + draw + u32::from(range.contains(&own) && range.start + draw >= own);
    if count >= others {
        peers.extend((0..others).map(pick));
    } else if count > 64 || count * 2 > others {
        let mut pool: Vec<NodeId> = (0..others).collect();
        for chosen in 0..count as usize {
            let with = chosen + random.below((pool.len() - chosen) as u64) as usize;
            pool.swap(chosen, with);
            peers.push(pick(pool[chosen]));
        }
    } else {
        let first = peers.len();
        while peers.len() < first + count as usize {
            let peer = pick(random.below(u64::from(others)) as NodeId);
            if !peers[first..].contains(&peer) {
                peers.push(peer);
            }
        }
    }
}

/// Appends distinct members of `range`, uniformly drawn, until there are `count` behind the first `first` of `peers`:
/// other than those that stand there already, and other than `own`. There must be more than `count` others.
pub(super) fn fill_peers(
    count: u32,
    range: std::ops::Range<NodeId>,
    own: NodeId,
    random: &mut Stream,
    peers: &mut Vec<NodeId>,
    first: usize,
) {
    let end = first + count as usize;
    if count > 64 || count * 2 > range.end - range.start {
        let mut chosen = peers[first..].to_vec();
        chosen.sort_unstable();
        let is_left = |peer: &NodeId| *peer != own && chosen.binary_search(peer).is_err();
        let mut pool: Vec<NodeId> = range.filter(is_left).collect();
        for place in 0..end - peers.len() {
            let with = place + random.below((pool.len() - place) as u64) as usize;
            pool.swap(place, with);
            peers.push(pool[place]);
        }
    } else {
        while peers.len() < end {
            let peer = range.start + random.below(u64::from(range.end - range.start)) as NodeId;
            if peer != own && !peers[first..].contains(&peer) {
                peers.push(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Domain, RandomKey};

    #[test]
    fn peers_are_distinct_never_oneself_and_uniform() {
        let key = RandomKey::new(3, Domain::Topology);
        for (count, range, own) in [(8, 0..100, 5), (60, 0..100, 99), (5, 10..20, 3), (9, 10..20, 12), (70, 0..500, 0)]
        {
            let mut hits = vec![0u32; range.end as usize];
            let rounds = 4_000;
            for round in 0..rounds {
                let mut peers = vec![own];
                distinct_peers(count, range.clone(), own, &mut key.stream(own, round), &mut peers);
                let mut sorted = peers[1..].to_vec();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), count as usize);
                assert!(sorted.iter().all(|peer| range.contains(peer) && *peer != own));
                sorted.iter().for_each(|&peer| hits[peer as usize] += 1);
            }
            let others = range.len() as u32 - u32::from(range.contains(&own));
            let expected = f64::from(rounds * count) / f64::from(others);
            for peer in range.filter(|&peer| peer != own) {
                let off = (f64::from(hits[peer as usize]) - expected) / expected.sqrt();
                assert!(off.abs() < 6.0, "peer {peer} drawn {} times, expected {expected}", hits[peer as usize]);
            }
        }
    }

    #[test]
    fn a_small_range_is_taken_whole() {
        let mut peers = Vec::new();
        let mut random = RandomKey::new(3, Domain::Topology).stream(0, 0);
        distinct_peers(32, 4..8, 6, &mut random, &mut peers);
        assert_eq!(peers, [4, 5, 7]);
    }
}
