//! How large the result files of a point become.

use super::super::{Approach, Point, Scenario};
use super::{buckets, faults};
use crate::contract::NodeType;
use crate::engine::faults::Schedule;

/// A line of the time series or of the live nodes, of messages.csv, of links.csv, and of latency.csv.
const TIMELINE_BYTES: u64 = 62;
const POPULATION_BYTES: u64 = 96;
const MESSAGES_BYTES: u64 = 85;
const LINK_BYTES: u64 = 108;
const LATENCY_BYTES: u64 = 110;
/// What a point has in all other files, what a mechanism has in figures.csv and the tables, and in curves.csv for a bucket.
const POINT_BYTES: u64 = 4_000;
const FIGURES_BYTES: u64 = 8_000;
const CURVES_BYTES: u64 = 160;

/// The part of the result files that is about `point`, in bytes.
pub(super) fn bytes(scenario: &Scenario, point: &Point) -> u64 {
    let kinds = kinds(scenario, point) as u64;
    let buckets = buckets(scenario, point);
    let Schedule { churns, outages } = &scenario.faults.schedule;
    let comes_and_goes = !churns.is_empty() || !outages.is_empty();
    let is_lossy = scenario.network.loss > 0.0 || !scenario.faults.disturbances.losses.is_empty();
    // What was sent and received, and what was lost or did not find its receiver, if anything.
    let flows = 2 + u64::from(is_lossy) + u64::from(comes_and_goes);
    let types = NodeType::ALL.iter().filter(|&&node_type| point.population.count(node_type) > 0).count() as u64;
    let regions = scenario.network.latency.regions().len() as u64;
    let rates = match point.approach {
        Approach::Sampled { rates, .. } => rates.as_slice().len() as u64,
        _ => u64::from(comes_and_goes && faults::changing(scenario, point) > 0),
    };
    let figures =
        if matches!(point.approach, Approach::Mechanism(_)) { FIGURES_BYTES + buckets * CURVES_BYTES } else { 0 };
    buckets * (kinds * flows * TIMELINE_BYTES + rates * POPULATION_BYTES)
        + kinds * (types * flows * MESSAGES_BYTES + LATENCY_BYTES)
        + regions * regions * LINK_BYTES
        + POINT_BYTES
        + figures
}

/// How many kinds of messages the protocol of `point` has.
fn kinds(scenario: &Scenario, point: &Point) -> usize {
    let Schedule { churns, outages } = &scenario.faults.schedule;
    let leaves = churns.iter().any(|churn| churn.graceful > 0.0) || outages.iter().any(|outage| outage.graceful);
    let leaves = usize::from(leaves || scenario.detection.is_some());
    match point.approach {
        Approach::FullMesh { .. } | Approach::Ping | Approach::FlatGossip { .. } | Approach::Sampled { .. } => {
            1 + leaves
        }
        Approach::Hierarchical(_) => 2 + leaves,
        Approach::Gossip { .. } => 3 + leaves,
        Approach::Swim(_) => 6,
        Approach::Mechanism(mechanism) => mechanism.spec().kinds(),
    }
}
