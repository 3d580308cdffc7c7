//! What faults and capacities take.

use super::super::{LatencySpec, NetworkSpec, Point, Scenario};
use crate::contract::{NodeType, SimTime};
use crate::engine::faults::NodeSet;

/// Of every node, where some come and go: where it stands in its life.
const LIFE_BYTES: u64 = 4;
/// Of a node that comes and goes: its next change.
const CHANGE_BYTES: f64 = 40.0;
/// A change that happened, kept for the result.
const TURN_BYTES: f64 = 24.0;
/// Of every node with a capacity: when its link is free, up and down.
const CAPACITY_BYTES: u64 = 16;

/// What faults and capacities take in `point`, in bytes, if as many nodes come and go as are expected to.
pub(super) fn bytes(scenario: &Scenario, point: &Point) -> u64 {
    let nodes = u64::from(point.population.total());
    let capacity = if scenario.network.capacity.is_some() { nodes * CAPACITY_BYTES } else { 0 };
    let schedule = &scenario.faults.schedule;
    if schedule.churns.is_empty() && schedule.outages.is_empty() {
        return capacity;
    }
    let run = point.warmup + point.measure;
    let end = SimTime::ZERO + run;
    let (mut changing, mut turns) = (0.0, 0.0);
    for churn in &schedule.churns {
        let size = expected(&churn.nodes, &scenario.network, point);
        let cycle = churn.session.mean() + churn.absence.mean();
        changing += size;
        // A run that begins in the middle of a session and one that is cut off make up to two more.
        turns += size * 2.0 * (run.as_secs_f64() / cycle + 1.0);
    }
    for outage in &schedule.outages {
        let size = expected(&outage.nodes, &scenario.network, point);
        let ends = [Some(outage.from), outage.until].into_iter().flatten().filter(|&moment| moment < end).count();
        changing += size;
        turns += size * ends as f64;
    }
    let changes = changing.min(nodes as f64) * CHANGE_BYTES + turns * TURN_BYTES;
    // The cast saturates.
    (nodes * LIFE_BYTES + capacity).saturating_add(changes as u64)
}

/// How many nodes of `point` are expected to come or go at all.
pub(super) fn changing(scenario: &Scenario, point: &Point) -> u64 {
    let schedule = &scenario.faults.schedule;
    let sets =
        schedule.churns.iter().map(|churn| &churn.nodes).chain(schedule.outages.iter().map(|outage| &outage.nodes));
    let nodes = sets.fold(0.0, |sum, set| sum + expected(set, &scenario.network, point));
    (nodes.ceil() as u64).min(u64::from(point.population.total()))
}

/// The longest delay, in seconds, that surges make of one of up to `delay`. No two of them are about the same links.
pub(super) fn longest_delay(scenario: &Scenario, delay: f64) -> f64 {
    let surges = scenario.faults.disturbances.surges.iter();
    surges.fold(delay, |longest, (_, factor, extra)| longest.max(delay * factor + extra.as_secs_f64()))
}

/// How many nodes of `point` are in `set`, on average over all seeds.
fn expected(set: &NodeSet, network: &NetworkSpec, point: &Point) -> f64 {
    let of_types = NodeType::ALL.into_iter().filter(|&node_type| set.types[node_type as usize]);
    let count: u64 = of_types.map(|node_type| u64::from(point.population.count(node_type))).sum();
    let in_regions = match &network.latency {
        LatencySpec::Regions { shares, .. } => {
            let chosen = shares.iter().enumerate().filter(|(region, _)| set.regions >> region & 1 == 1);
            chosen.fold(0.0, |sum, (_, share)| sum + share)
        }
        _ => 1.0,
    };
    count as f64 * in_regions * set.share
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;

    const TIERS: &str = "name = \"a\"\nnodes = \"100K\"\napproaches = \"hierarchical\"\nwarmup = \"10s\"\n\
                         measure = \"90s\"\ntiers = { super = 100, full = 900, mobile = \"49K\" }\n";

    #[track_caller]
    fn scenario(lines: &str) -> Scenario {
        parse("a.toml", &format!("{TIERS}{lines}"), &[]).unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    fn check(lines: &str, expected: u64) {
        let scenario = scenario(lines);
        assert_eq!(bytes(&scenario, &scenario.points[0]), expected, "{lines}");
    }

    const SPANS: &str = "session = { model = \"constant\", value = \"15s\" }\n\
                         absence = { model = \"exponential\", mean = \"5s\" }\n";

    #[test]
    fn what_is_off_takes_nothing() {
        check("", 0);
        check("[[faults.loss]]\nstart = \"1s\"\nend = \"2s\"\nloss = 0.5", 0);
        check("[network.capacity]", 16 * 100_000);
    }

    #[test]
    fn churn_takes_a_pending_change_and_all_that_happen() {
        // Five cycles of 20 s and the two changes at the ends.
        check(&format!("[faults.churn]\n{SPANS}"), 100_000 * (4 + 40 + 12 * 24));
        check(&format!("[faults.churn]\ntypes = \"light\"\nshare = 0.5\n{SPANS}"), 400_000 + 25_000 * (40 + 12 * 24));
        let regions = "[network.latency]\nmodel = \"regions\"\nshares = { Tokyo = 0.5, Seoul = 0.25, London = 0.25 }\n";
        let churn = format!("{regions}[faults.churn]\nregions = [\"Seoul\", \"London\"]\n{SPANS}");
        check(&churn, 400_000 + 50_000 * (40 + 12 * 24));
    }

    #[test]
    fn outages_count_what_happens_within_the_run() {
        let crash = "[[faults.crash]]\nat = \"10s\"\ntypes = \"super\"\n";
        check(crash, 400_000 + 100 * (40 + 24));
        check(&format!("{crash}until = \"99s\""), 400_000 + 100 * (40 + 2 * 24));
        check(&format!("{crash}until = \"100s\""), 400_000 + 100 * (40 + 24));
        let crowd = "[[faults.crowd]]\nat = \"10s\"\nstay = \"20s\"\n";
        check(crowd, 400_000 + 100_000 * (40 + 3 * 24));
    }

    #[test]
    fn surges_prolong_the_longest_delay() {
        let surge = "[[faults.surge]]\nstart = \"10s\"\nend = \"20s\"\nfactor = 3.0\nextra = \"1s\"";
        assert_eq!(longest_delay(&scenario(surge), 2.0), 7.0);
        assert_eq!(longest_delay(&scenario(""), 2.0), 2.0);
    }
}
