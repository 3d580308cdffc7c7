//! Claims about the recommended architecture as a whole: budgets, latency, break-even, places.

use super::{Parts, ROUNDING, Rule, documented};
use crate::claims::evidence::{Evidence, named};
use crate::claims::search::Crossing;
use crate::claims::verdict::{Means, Part};
use crate::claims::{bandwidth_budget, monthly_data};
use crate::contract::NodeType;
use crate::metrics::PointResult;

const MONTH_S: f64 = 30.0 * 86_400.0;

/// The type of node that one of four claims from number `first` on is about.
fn type_of(id: &str, first: usize) -> NodeType {
    let number = id.trim_start_matches("QN-").parse::<usize>().unwrap_or(first);
    NodeType::ALL[number.saturating_sub(first) % NodeType::ALL.len()]
}

pub(super) fn budget(evidence: &Evidence, id: &'static str) -> Parts {
    let node_type = type_of(id, 40);
    let budget = bandwidth_budget(node_type);
    let mut parts = Vec::new();
    for (direction, granted) in [("upload", budget.upload_mbps), ("download", budget.download_mbps)] {
        for statistic in ["mean", "p99", "max"] {
            let metric = format!("{direction}.{node_type}.{statistic}");
            let bits = named(&metric);
            let mbps = |point: &PointResult| Some(bits(point)? / 1e6);
            let measured = evidence.largest("together", "recommended", &mbps)?;
            parts.push(measured.part(&format!("{direction}, {statistic}"), "Mbps", Some(granted), Rule::AtMost));
        }
    }
    Ok(parts)
}

pub(super) fn month(evidence: &Evidence, id: &'static str) -> Parts {
    let node_type = type_of(id, 44);
    let (granted, budget) = (monthly_data(node_type), bandwidth_budget(node_type));
    let moved = |point: &PointResult| {
        let band = point.bandwidth[node_type as usize]?;
        Some((band.upload.mean + band.download.mean) * MONTH_S / point.measure.as_secs_f64() / 1e9)
    };
    let part = evidence.largest("together", "recommended", &moved)?;
    let part = part.part("upload and download", "GB", Some(granted.gigabytes), Rule::AtMost);
    Ok(vec![Part { implied: Some(budget.upload_mbps / 8.0 * MONTH_S / 1e3), ..part }])
}

pub(super) fn consensus_latency(evidence: &Evidence, id: &'static str) -> Parts {
    let figures = [
        ("committed, p50", "consensus.super.commit-p50"),
        ("committed, p99", "consensus.super.commit-p99"),
        ("at 50 % of full nodes", "blocks-held.full.since-proposal-p50"),
        ("at 99 % of full nodes", "blocks-held.full.since-proposal-p99"),
        ("at 50 % of light nodes", "blocks-held.light.since-proposal-p50"),
        ("at 99 % of light nodes", "blocks-held.light.since-proposal-p99"),
        ("at 50 % of mobile nodes", "blocks-held.mobile.since-proposal-p50"),
        ("at 99 % of mobile nodes", "blocks-held.mobile.since-proposal-p99"),
    ];
    let part = |(name, figure): &(&str, &str)| {
        let latency = evidence.largest("blocks", "ledger", &named(figure))?;
        Ok(latency.part(name, "s", documented(id), Rule::AtMost))
    };
    figures.iter().map(part).collect()
}

pub(super) fn break_even(evidence: &Evidence, id: &'static str) -> Parts {
    let part = |crossing: &Crossing| {
        // The claim is about networks without a hierarchy: they should exceed budgets at that size or before.
        let is_claimed = crossing.approach == "full-mesh";
        let (documented, rule) = if is_claimed { (documented(id), Rule::AtMost) } else { (None, Rule::Shown) };
        let means = if crossing.is_counted { Means::Counted } else { Means::Event };
        let name = format!("{}, budget of {} nodes", crossing.approach, crossing.node_type);
        let part = Part::new(&name, "nodes", documented, crossing.sizes.clone(), means, rule);
        Part { is_lower_bound: crossing.is_open, ..part }
    };
    Ok(evidence.crossings()?.iter().map(part).collect())
}

pub(super) fn clustering(evidence: &Evidence, _: &'static str) -> Parts {
    let mut parts = Vec::new();
    for (approach, statistic) in
        [("hierarchical", "p50"), ("hierarchical", "p99"), ("gossip", "p50"), ("gossip", "p99")]
    {
        let metric = format!("delay.{statistic}");
        let delay = named(&metric);
        let anywhere = evidence.largest("places", &format!("{approach} nearby 0"), &delay)?;
        let near = evidence.largest("places", &format!("{approach} nearby 0.8"), &delay)?;
        let ratios = near.values.iter().zip(&anywhere.values).map(|(near, anywhere)| near / anywhere).collect();
        // Less than what may be chance is no reduction.
        let rule = Rule::NoMoreThan(1.0 - ROUNDING);
        parts.push(Part::new(
            &format!("{approach}, {statistic}, near by any"),
            "ratio",
            None,
            ratios,
            near.means,
            rule,
        ));
    }
    Ok(parts)
}
