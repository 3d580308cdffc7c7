//! What one of several processes takes that share a run.

use super::super::build::Deal;
use super::super::{Approach, Point, Scenario};
use super::{counted, faults, memory, nearby, of_process, upper_nodes, verdicts};

/// What Open MPI takes of a process on top, in bytes: 10 to 14 MB were measured, for 2 and 3 ranks on one machine.
const MPI_BYTES: u64 = 16 << 20;
/// Of each super and full node: how many links it has from each type of node, and where they begin.
const TYPES_BYTES: u64 = 20;

/// Peak memory of that of `ranks` processes which takes the most, in bytes, where they run `point` together, each on
/// `threads` threads. That is rank 0, which gathers what becomes results.
pub fn memory_of_rank(scenario: &Scenario, point: &Point, threads: usize, ranks: usize) -> u64 {
    let whole = memory(scenario, point, threads);
    let of_process = of_process(scenario, point, threads);
    if ranks <= 1 {
        return whole;
    }
    let (of_nodes, nodes) = (whole.saturating_sub(of_process), u64::from(point.population.total()));
    // One rank may have one more of the partitions than another: at least four each, unless all have the same number.
    let uneven = if ranks.is_power_of_two() { 4 } else { 5 };
    let shared_out = |bytes: u64| (bytes / 4).saturating_mul(uneven) / ranks as u64;
    let undivided = undivided(scenario, point).min(of_nodes);
    // Every rank knows where all nodes are, and which are its own.
    let is_listed = Deal::of(scenario, point, ranks).is_listed();
    let places = if is_listed { (nodes * 6).saturating_add(shared_out(nodes * 4)) } else { 0 };
    let held = undivided.saturating_add(shared_out(of_nodes - undivided)).saturating_add(drawing(point));
    of_process.saturating_add(MPI_BYTES).saturating_add(held).saturating_add(places)
}

/// The part of what one process takes that is not shared out: what every rank has for all nodes, and what rank 0 gathers.
fn undivided(scenario: &Scenario, point: &Point) -> u64 {
    let of_approach = match point.approach {
        Approach::Mechanism(mechanism) => mechanism.spec().undivided(scenario, point),
        // Who of its tier is tracked.
        Approach::Gossip { .. } if scenario.detection.is_some() => u64::from(upper_nodes(point)) * 4,
        Approach::Sampled { .. } => counted(scenario, point),
        _ => 0,
    };
    of_approach
        .saturating_add(nearby(point))
        .saturating_add(verdicts::bytes(scenario, point))
        .saturating_add(faults::gathered(scenario, point))
}

/// What a rank takes besides because it draws the links of all nodes and keeps its own.
fn drawing(point: &Point) -> u64 {
    let (nodes, uppers) = (u64::from(point.population.total()), u64::from(upper_nodes(point)));
    let of_tiers = nodes * 4 + uppers * TYPES_BYTES;
    match point.approach {
        Approach::FullMesh { .. } | Approach::Swim(_) => 0,
        Approach::Ping | Approach::FlatGossip { .. } => nodes * 4,
        Approach::Hierarchical(_) | Approach::Gossip { .. } | Approach::Sampled { .. } => of_tiers,
        Approach::Mechanism(mechanism) => {
            if mechanism.spec().has_links() {
                of_tiers
            } else {
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::super::PROCESS_BYTES;
    use super::*;

    /// What each of so many ranks takes of ten million nodes.
    fn of_ranks(sets: &str, ranks: &[usize]) -> Vec<u64> {
        let text = format!("name = \"a\"\nnodes = \"10M\"\n{sets}\n");
        let scenario = parse("a.toml", &text, &[]).unwrap_or_else(|error| panic!("{error}"));
        ranks.iter().map(|&ranks| memory_of_rank(&scenario, &scenario.points[0], 1, ranks)).collect()
    }

    #[test]
    fn a_rank_takes_its_share_of_what_is_shared_out() {
        for approach in ["ping", "flat-gossip", "full-mesh", "hierarchical", "sampled", "kademlia", "routing"] {
            let taken = of_ranks(&format!("approaches = \"{approach}\""), &[1, 2, 3, 4, 64]);
            assert!(taken[1..].is_sorted_by(|one, other| one >= other), "{approach}: {taken:?}");
            // Of a counted mesh there is little else than what every process takes.
            assert!(approach == "full-mesh" || taken[4] < taken[0] * 2 / 5, "{approach}: {taken:?}");
        }
        let taken = of_ranks("approaches = \"flat-gossip\"", &[1, 64]);
        // Four bytes for each of all nodes while links are made, and what every process takes.
        let shared_out = (taken[0] - PROCESS_BYTES) / 64 + MPI_BYTES;
        assert!((shared_out + 40_000_000..shared_out + 52_000_000).contains(&taken[1]), "{taken:?}");
    }

    #[test]
    fn links_of_those_that_judge_are_shared_out_and_verdicts_are_not() {
        for approach in ["ping", "flat-gossip", "hierarchical", "sampled"] {
            let taken = of_ranks(&format!("approaches = \"{approach}\"\ndetection = {{}}"), &[1, 4]);
            let shared_out = taken[0] / 4 + MPI_BYTES + 10_000_000 * (4 + 6 + 1);
            assert!(taken[1] < shared_out + (20 << 20), "{approach}: {taken:?}");
        }
        let crash = "faults.crash = [{ at = \"1s\", types = \"full\", share = 0.5 }]";
        let taken =
            of_ranks(&format!("approaches = \"flat-gossip\"\nmeasure = \"5min\"\ndetection = {{}}\n{crash}"), &[1, 64]);
        // Five million crash, and eight others judge each.
        assert!(taken[1] > 5_000_000 * 8 * 24, "{taken:?}");
    }

    #[test]
    fn what_no_sum_tells_is_gathered_whole() {
        let taken = of_ranks("approaches = \"registry\"", &[1, 64]);
        assert!(taken[1] > taken[0] - 10_000_000 * 48, "{taken:?}");
        let ids = of_ranks("approaches = \"kademlia\"", &[64])[0];
        assert!(ids > 10_000_000 * 36, "all ranks know all ids: {ids}");
    }
}
