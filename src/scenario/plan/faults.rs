//! What faults and capacities take.

use super::super::{LatencySpec, NetworkSpec, Point, Scenario};
use crate::contract::{NodeType, SimTime};
use crate::engine::faults::{NodeSet, Schedule};

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
    let sets =
        schedule.churns.iter().map(|churn| &churn.nodes).chain(schedule.outages.iter().map(|outage| &outage.nodes));
    let changing: f64 = sets.map(|set| expected(set, &scenario.network, point)).sum();
    // The cast saturates.
    let changes = (changing.min(nodes as f64) * CHANGE_BYTES) as u64;
    (nodes * LIFE_BYTES + capacity).saturating_add(changes).saturating_add(gathered(scenario, point))
}

/// What of that is kept for the result: when nodes came and went.
pub(super) fn gathered(scenario: &Scenario, point: &Point) -> u64 {
    let turns = turns(scenario, point);
    let turns: f64 = turns.departures.iter().chain(&turns.returns).sum();
    // The cast saturates.
    (turns * TURN_BYTES) as u64
}

/// How many nodes of `point` are expected to come or go at all before its run ends.
pub(super) fn changing(scenario: &Scenario, point: &Point) -> u64 {
    let end = SimTime::ZERO + point.warmup + point.measure;
    let Schedule { churns, outages } = &scenario.faults.schedule;
    let within = outages.iter().filter(|outage| outage.from < end).map(|outage| &outage.nodes);
    let sets = churns.iter().map(|churn| &churn.nodes).chain(within);
    let nodes = sets.fold(0.0, |sum, set| sum + expected(set, &scenario.network, point));
    (nodes.ceil() as u64).min(u64::from(point.population.total()))
}

/// How often nodes are expected to go and to come back, by type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Turns {
    pub(super) departures: [f64; 4],
    pub(super) returns: [f64; 4],
}

impl Turns {
    /// Adds turns of all nodes in `set`.
    fn add(&mut self, set: &NodeSet, departures: f64, returns: f64, scenario: &Scenario, point: &Point) {
        for (node_type, size) in by_type(set, &scenario.network, point).into_iter().enumerate() {
            self.departures[node_type] += size * departures;
            self.returns[node_type] += size * returns;
        }
    }
}

/// The turns of a run of `point`.
pub(super) fn turns(scenario: &Scenario, point: &Point) -> Turns {
    let mut turns = turns_of_churn(scenario, point);
    let end = SimTime::ZERO + point.warmup + point.measure;
    let happens = |moment: SimTime| f64::from(moment < end);
    for outage in &scenario.faults.schedule.outages {
        turns.add(&outage.nodes, happens(outage.from), outage.until.map_or(0.0, happens), scenario, point);
    }
    turns
}

/// Those of them that churn makes.
pub(super) fn turns_of_churn(scenario: &Scenario, point: &Point) -> Turns {
    let mut turns = Turns::default();
    let run = (point.warmup + point.measure).as_secs_f64();
    for churn in &scenario.faults.schedule.churns {
        let cycles = run / (churn.session.mean() + churn.absence.mean());
        turns.add(&churn.nodes, cycles, cycles, scenario, point);
    }
    turns
}

/// The longest delay, in seconds, that surges make of one of up to `delay`. No two of them are about the same links.
pub(super) fn longest_delay(scenario: &Scenario, delay: f64) -> f64 {
    let surges = scenario.faults.disturbances.surges.iter();
    surges.fold(delay, |longest, (_, factor, extra)| longest.max(delay * factor + extra.as_secs_f64()))
}

/// How many nodes of `point` are in `set`, on average over all seeds.
pub(super) fn expected(set: &NodeSet, network: &NetworkSpec, point: &Point) -> f64 {
    by_type(set, network, point).iter().sum()
}

/// The same by type.
pub(super) fn by_type(set: &NodeSet, network: &NetworkSpec, point: &Point) -> [f64; 4] {
    let in_regions = match &network.latency {
        LatencySpec::Regions { shares, .. } => {
            let chosen = shares.iter().enumerate().filter(|(region, _)| set.regions >> region & 1 == 1);
            chosen.fold(0.0, |sum, (_, share)| sum + share)
        }
        _ => 1.0,
    };
    NodeType::ALL.map(|node_type| {
        let is_meant = f64::from(set.types[node_type as usize]);
        is_meant * f64::from(point.population.count(node_type)) * in_regions * set.share
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::parse;
    use super::*;
    use crate::contract::SimSpan;

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
        // Five cycles of 20 s.
        check(&format!("[faults.churn]\n{SPANS}"), 100_000 * (4 + 40 + 10 * 24));
        check(&format!("[faults.churn]\ntypes = \"light\"\nshare = 0.5\n{SPANS}"), 400_000 + 25_000 * (40 + 10 * 24));
        let regions = "[network.latency]\nmodel = \"regions\"\nshares = { Tokyo = 0.5, Seoul = 0.25, London = 0.25 }\n";
        let churn = format!("{regions}[faults.churn]\nregions = [\"Seoul\", \"London\"]\n{SPANS}");
        check(&churn, 400_000 + 50_000 * (40 + 10 * 24));
    }

    #[test]
    fn outages_count_what_happens_within_the_run() {
        let crash = "[[faults.crash]]\nat = \"10s\"\ntypes = \"super\"\n";
        check(crash, 400_000 + 100 * (40 + 24));
        check(&format!("{crash}until = \"99s\""), 400_000 + 100 * (40 + 2 * 24));
        let late = scenario(&format!("{crash}[[faults.crash]]\nat = \"50s\"\ntypes = \"full\""));
        let short = Point { measure: SimSpan::from_secs(39), ..late.points[0].clone() };
        assert_eq!([changing(&late, &late.points[0]), changing(&late, &short)], [1_000, 100]);
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
