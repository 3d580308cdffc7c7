//! The lives of nodes: when each goes and comes back, drawn from a schedule of faults.

use serde::{Deserialize, Serialize};

use super::faults::{Churn, Outage, Schedule};
use crate::contract::{Domain, NodeId, NodeType, Placement, Population, RandomKey, SimTime};
use crate::metrics::Turn;

/// Counters of the draws of a node for the moments of outage `i` are `MOMENTS + 2 i` and the next, so that they differ
/// from those for the membership of sets.
const MOMENTS: u32 = 1 << 16;
/// Which outages there may be at most: their counters must not collide.
const OUTAGES_MAX: usize = 1 << 14;

/// A schedule for a given population: what happens to a node is a function of its number alone.
#[derive(Clone, Debug)]
pub struct Lives {
    schedule: Schedule,
    /// Of each churn, in seconds: the mean of its sessions, and that of a session with an absence.
    means: Vec<(f64, f64)>,
    population: Population,
    placement: Option<Placement>,
    /// When the run ends, in nanoseconds.
    end: u64,
    churn_key: RandomKey,
    fault_key: RandomKey,
}

/// Where a node stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Whether it is up.
    pub up: bool,
    /// Whether it would be up if there were no outages.
    churn_up: bool,
    /// Sessions and absences that churn has drawn.
    periods: u32,
    /// When the current one ends, in nanoseconds; `u64::MAX` without churn.
    churn_until: u64,
}

impl Lives {
    /// The lives that `schedule` gives the nodes of `population` in a run that ends at `end`. Regions matter only with a
    /// `placement`.
    ///
    /// # Panics
    /// If there are more than 16 384 outages.
    pub fn new(
        schedule: Schedule,
        population: Population,
        placement: Option<Placement>,
        seed: u64,
        end: SimTime,
    ) -> Self {
        assert!(schedule.outages.len() <= OUTAGES_MAX, "{} outages", schedule.outages.len());
        let means = |churn: &Churn| (churn.session.mean(), churn.session.mean() + churn.absence.mean());
        Lives {
            means: schedule.churns.iter().map(means).collect(),
            schedule,
            population,
            placement,
            end: end.as_nanos(),
            churn_key: RandomKey::new(seed, Domain::Churn),
            fault_key: RandomKey::new(seed, Domain::Fault),
        }
    }

    /// Whether no node ever goes.
    pub fn is_empty(&self) -> bool {
        self.schedule.churns.is_empty() && self.schedule.outages.is_empty()
    }

    /// How `node` starts the run.
    pub fn start(&self, node: NodeId) -> Life {
        let mut life = Life { up: true, churn_up: true, periods: 0, churn_until: u64::MAX };
        if let Some((number, churn)) = self.churn_of(node) {
            let (session, cycle) = self.means[number];
            let mut random = self.churn_key.stream(node, 0);
            life.churn_up = !churn.steady || random.unit() * cycle < session;
            let period = match (churn.steady, life.churn_up) {
                (false, _) => churn.session.sample(&mut random),
                (true, true) => churn.session.sample_residual(&mut random),
                (true, false) => churn.absence.sample_residual(&mut random),
            };
            life.churn_until = nanos(period);
        }
        life.up = life.churn_up && !self.is_out(node, 0);
        life
    }

    /// What happens to `node` next, after `now`, when it stands at `life`: when, what, and how it stands then. `None` if
    /// nothing does before the run ends.
    pub fn next(&self, node: NodeId, life: Life, now: SimTime) -> Option<(SimTime, Turn, Life)> {
        let mut time = now.as_nanos();
        let mut life = life;
        loop {
            time = self.next_boundary(node, time).unwrap_or(u64::MAX).min(life.churn_until);
            if time >= self.end {
                return None;
            }
            let mut crashed = self.outages_of(node).any(|(from, _, outage)| from == time && !outage.graceful);
            if life.churn_until == time {
                crashed |= !self.end_period(node, &mut life);
            }
            let up = life.churn_up && !self.is_out(node, time);
            if up != life.up {
                life.up = up;
                let turn = match (up, crashed) {
                    (true, _) => Turn::Joined,
                    (false, true) => Turn::Crashed,
                    (false, false) => Turn::Left,
                };
                return Some((SimTime::from_nanos(time), turn, life));
            }
        }
    }

    /// Ends the session or absence of a node with churn. Returns whether that is in good order.
    fn end_period(&self, node: NodeId, life: &mut Life) -> bool {
        let Some((_, churn)) = self.churn_of(node) else { return true };
        life.periods = life.periods.wrapping_add(1);
        life.churn_up = !life.churn_up;
        let mut random = self.churn_key.stream(node, life.periods);
        let graceful = random.unit() < churn.graceful;
        let period = if life.churn_up { churn.session.sample(&mut random) } else { churn.absence.sample(&mut random) };
        life.churn_until = life.churn_until.saturating_add(nanos(period));
        graceful || life.churn_up
    }

    fn region_of(&self, node: NodeId) -> usize {
        self.placement.as_ref().map_or(0, |placement| placement.region_of(node))
    }

    /// The churn that `node` follows, and its number.
    fn churn_of(&self, node: NodeId) -> Option<(usize, &Churn)> {
        let (node_type, region) = (self.population.type_of(node), self.region_of(node));
        let mut churns = self.schedule.churns.iter().enumerate();
        churns.find(|(_, churn)| churn.nodes.contains(&self.fault_key, node, node_type, region))
    }

    /// The outages of `node`, with the moments at which they begin and end for it, in nanoseconds; the end is
    /// `u64::MAX` if they do not.
    fn outages_of(&self, node: NodeId) -> impl Iterator<Item = (u64, u64, &Outage)> {
        let (node_type, region) = match self.schedule.outages.is_empty() {
            true => (NodeType::SuperNode, 0),
            false => (self.population.type_of(node), self.region_of(node)),
        };
        self.schedule.outages.iter().enumerate().filter_map(move |(number, outage)| {
            let hit = outage.nodes.contains(&self.fault_key, node, node_type, region);
            hit.then(|| {
                let counter = MOMENTS + 2 * number as u32;
                let within = |start: SimTime, over: u64, counter| {
                    let moment = self.fault_key.stream(node, counter).below(over.saturating_add(1));
                    start.as_nanos().saturating_add(moment)
                };
                let from = within(outage.from, outage.from_over.as_nanos(), counter);
                let until =
                    outage.until.map_or(u64::MAX, |until| within(until, outage.until_over.as_nanos(), counter + 1));
                (from, until, outage)
            })
        })
    }

    fn is_out(&self, node: NodeId, time: u64) -> bool {
        self.outages_of(node).any(|(from, until, _)| from <= time && time < until)
    }

    /// The first moment after `time` at which an outage of `node` begins or ends.
    fn next_boundary(&self, node: NodeId, time: u64) -> Option<u64> {
        self.outages_of(node).flat_map(|(from, until, _)| [from, until]).filter(|&moment| moment > time).min()
    }
}

/// A span of so many seconds in nanoseconds: at least one.
fn nanos(seconds: f64) -> u64 {
    // The cast saturates.
    ((seconds * 1e9) as u64).max(1)
}
