//! How each claim about networks is decided.

mod architecture;
mod load;
mod mechanisms;

use super::evidence::{BREAK_EVEN, IDS, Missing};
use super::fit::Law;
use super::verdict::Rule;
use super::{Definition, Parts, documented};
use crate::metrics::{Flow, PointResult};

/// What is not exact in a run of finite length: heartbeats that fall just inside of the span or just outside.
const ROUNDING: f64 = 0.05;
/// How far an exponent may be from the documented one.
const EXPONENT: f64 = 0.05;
/// How far a rate may be from a documented one, which has one digit.
const ONE_DIGIT: f64 = 0.25;

/// Every claim about networks, in the order of the documents.
pub const DEFINITIONS: &[Definition] = &[
    Definition::new("QN-01", &["load"], load::ping_rate),
    Definition::new("QN-02", &["load"], load::ping_bandwidth),
    Definition::new("QN-03", &["watch-all", "watch-some"], mechanisms::tracking_state),
    Definition::new("QN-04", &["load"], load::mesh_growth),
    Definition::new("QN-05", &["load"], load::mesh_messages),
    Definition::new("QN-06", &["votes"], mechanisms::vote_growth),
    Definition::new("QN-07", &["tiers"], load::tiers_run),
    Definition::new("QN-08", &["load"], load::hierarchy_growth),
    Definition::new("QN-09", &["rumours"], mechanisms::rumour_hops),
    Definition::new("QN-10", &["rumours", "shares"], load::gossip_growth),
    Definition::new("QN-11", &[IDS, "samples"], mechanisms::sample_share),
    Definition::new("QN-12", &["types"], load::intervals),
    Definition::new("QN-13", &["lookups", "lookups-churn"], mechanisms::lookup_growth),
    Definition::new("QN-14", &["supers-100", "supers-1000"], load::super_rate),
    Definition::new("QN-15", &["fulls-10k", "fulls-100k", "shares"], load::full_rate),
    Definition::new("QN-16", &["tiers", "together"], load::light_rate),
    Definition::new("QN-17", &["phones"], mechanisms::wakes),
    Definition::new("QN-20", &["load"], load::cell),
    Definition::new("QN-21", &["load"], load::cell),
    Definition::new("QN-22", &["load"], load::cell),
    Definition::new("QN-23", &["load"], load::cell),
    Definition::new("QN-24", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-25", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-26", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-27", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-28", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-29", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-30", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-31", &["load", "drawn"], load::tiers_cell),
    Definition::new("QN-40", &["together"], architecture::budget),
    Definition::new("QN-41", &["together"], architecture::budget),
    Definition::new("QN-42", &["together"], architecture::budget),
    Definition::new("QN-43", &["together"], architecture::budget),
    Definition::new("QN-44", &["together"], architecture::month),
    Definition::new("QN-45", &["together"], architecture::month),
    Definition::new("QN-46", &["together"], architecture::month),
    Definition::new("QN-47", &["together"], architecture::month),
    Definition::new("QN-50", &["load"], load::nodes_supported),
    Definition::new("QN-51", &["load"], load::bandwidth_growth),
    Definition::new("QN-52", &["phones"], mechanisms::battery),
    Definition::new("QN-53", &["blocks"], architecture::consensus_latency),
    Definition::new("QN-54", &["shards"], mechanisms::shard_balance),
    Definition::new("QN-55", &[BREAK_EVEN], architecture::break_even),
    Definition::new("QN-56", &["places"], architecture::clustering),
];

/// Growth no faster than O(log n).
const SLOW: Rule = Rule::NoFasterThan(Law::Logarithmic);

fn rate(point: &PointResult) -> Option<f64> {
    Some(point.messages_per_second())
}

fn per_interval(point: &PointResult) -> Option<f64> {
    Some(point.messages_per_interval())
}

fn per_node(point: &PointResult) -> Option<f64> {
    Some(point.messages_per_node_per_second())
}

/// Wire bytes a second of all nodes.
fn bytes(point: &PointResult) -> Option<f64> {
    Some(point.measured.total(Flow::Sent).wire_bytes(point.header) as f64 / point.measure.as_secs_f64())
}

/// Wire bytes a second that a node sends on average.
fn bytes_per_node(point: &PointResult) -> Option<f64> {
    Some(point.wire_bytes_per_node_per_second())
}

/// Wire bytes a second that the busiest node of any type sends or gets, whichever is more.
fn busiest(point: &PointResult) -> Option<f64> {
    let most = point.bandwidth_by_type().map(|(_, band)| band.upload.max.max(band.download.max)).max()?;
    Some(most as f64 / point.measure.as_secs_f64())
}

fn missing(what: &str) -> Missing {
    Missing(format!("there is no {what}"))
}
