//! Claims about single mechanisms: tracking, votes, rumours, samples, lookups, radios, shards.

use super::{EXPONENT, Parts, ROUNDING, Rule, SLOW, busiest, bytes, documented, missing};
use crate::claims::evidence::{Evidence, named};
use crate::claims::verdict::{Means, Part};
use crate::metrics::PointResult;

/// The fullest node holds at most this many times the mean where records are spread.
const IMBALANCE_MAX: f64 = 2.0;
/// How far the share of tracked ids may be from the rate; at ten thousand tracked ids that is ten standard errors.
const TRACKED: f64 = 0.1;

pub(super) fn tracking_state(evidence: &Evidence, _: &'static str) -> Parts {
    let state = |point: &PointResult| Some(point.state_bytes as f64 / 1e6);
    let all = evidence.largest("watch-all", "sampled", &state)?;
    let some = evidence.largest("watch-some", "sampled", &state)?;
    let saved: Vec<f64> = all.values.iter().zip(&some.values).map(|(all, some)| all / some).collect();
    let means = all.means;
    let nodes = all.nodes;
    Ok(vec![
        all.part(&format!("all of {nodes} nodes tracked"), "MB", None, Rule::Shown),
        some.part("one in a thousand tracked", "MB", None, Rule::Shown),
        Part::new("all by sample", "ratio", None, saved, means, Rule::NoLessThan(1.0)),
    ])
}

pub(super) fn vote_growth(evidence: &Evidence, id: &'static str) -> Parts {
    let messages = named("consensus.super.messages-per-round");
    let per_node = |point: &PointResult| Some(messages(point)? / f64::from(point.nodes()));
    let rounds = |point: &PointResult| named("consensus.super.rounds")(point).filter(|rounds| *rounds > 0.0);
    let per_round = |quantity: fn(&PointResult) -> Option<f64>| {
        move |point: &PointResult| Some(quantity(point)? * point.measure.as_secs_f64() / rounds(point)?)
    };
    let linear = "consensus linear";
    let growth = |approach, name, quantity, documented, rule| {
        evidence.growth("votes", approach, name, quantity, documented, rule)
    };
    Ok(vec![
        growth(linear, "messages of a round", &messages, documented(id), Rule::Exponent(2.0 * EXPONENT))?,
        growth(linear, "messages of a node", &per_node, None, Rule::Shown)?,
        growth(linear, "bytes of a round", &per_round(bytes), None, Rule::Shown)?,
        growth(linear, "bytes at the busiest node", &per_round(busiest), None, Rule::Shown)?,
        growth("consensus pbft", "PBFT, messages of a round", &messages, None, Rule::Shown)?,
    ])
}

pub(super) fn rumour_hops(evidence: &Evidence, id: &'static str) -> Parts {
    const NODES: u32 = 1_000_000;
    let mut parts = Vec::new();
    for (name, figure) in [
        ("hops to 50 %", "coverage.all.coverage-50-hops"),
        ("hops to 99 %", "coverage.all.coverage-99-hops"),
        ("hops to 99.9 %", "coverage.all.coverage-99.9-hops"),
        ("hops to 100 %", "coverage.all.coverage-100-hops"),
    ] {
        let hops = match evidence.at("rumours", "dissemination", NODES, &named(figure)) {
            // Where some are never reached, which is told below, nothing is known of all.
            Err(_) if name == "hops to 100 %" => continue,
            hops => hops?,
        };
        let part = hops.part(name, "hops", documented(id), Rule::AtMost);
        parts.push(Part { implied: Some(8.0 * libm::log2(f64::from(NODES))), ..part });
    }
    let missed = evidence.largest("rumours", "dissemination", &named("coverage.all.never-reached"))?;
    parts.push(missed.part("never reached, after repair", "share", None, Rule::Shown));
    Ok(parts)
}

pub(super) fn sample_share(evidence: &Evidence, id: &'static str) -> Parts {
    let tracked = evidence.tracked()?;
    let last = tracked.last().ok_or_else(|| missing("number of ids"))?;
    let mut parts = Vec::new();
    for counted in tracked {
        let ids = counted.ids as f64;
        let share = counted.tracked as f64 / ids;
        let rule = if counted == last { Rule::Near(TRACKED) } else { Rule::Shown };
        let name = format!("tracked of {} ids", counted.ids);
        let half_width = Some(1.96 * libm::sqrt(share * (1.0 - share) / ids));
        parts.push(Part { half_width, ..Part::new(&name, "share", documented(id), vec![share], Means::Counted, rule) });
    }
    let sample = |point: &PointResult| {
        let rows = &point.population_over_time.as_ref()?.rows;
        let row = rows.iter().rev().find(|row| row.sample.is_some_and(|sample| sample.rate == 0.001))?;
        Some((row.sample?, row.total()))
    };
    let error = |point: &PointResult| sample(point).map(|(sample, live)| sample.standard_error / live);
    let off = |point: &PointResult| sample(point).map(|(sample, live)| sample.estimate / live);
    let nodes = evidence.largest("samples", "sampled", &error)?;
    parts.push(nodes.part("standard error of the estimate", "share", None, Rule::Shown));
    parts.push(evidence.largest("samples", "sampled", &off)?.part(
        "estimate by live nodes",
        "ratio",
        None,
        Rule::Shown,
    ));
    Ok(parts)
}

pub(super) fn lookup_growth(evidence: &Evidence, _: &'static str) -> Parts {
    let (hops, requests) = (named("lookups.node.hops-mean"), named("lookups.node.requests-mean"));
    let found = named("lookups.node.found");
    let largest = evidence.largest("lookups", "kademlia", &hops)?;
    let bound = libm::log2(f64::from(largest.nodes));
    Ok(vec![
        evidence.growth("lookups", "kademlia", "hops", &hops, None, SLOW)?,
        evidence.growth("lookups", "kademlia", "requests", &requests, None, SLOW)?,
        evidence.growth("lookups", "kademlia", "bytes at the busiest node", &busiest, None, Rule::Shown)?,
        Part { implied: Some(bound), ..largest.part("hops at the largest size", "hops", None, Rule::UpTo(0.0)) },
        evidence.largest("lookups", "kademlia", &found)?.part("found", "share", None, Rule::Shown),
        evidence.largest("lookups-churn", "kademlia", &found)?.part("found under churn", "share", None, Rule::Shown),
    ])
}

/// The policies of a mobile node that save energy.
const SAVING: [&str; 3] = ["adaptive", "piggyback", "push"];

pub(super) fn wakes(evidence: &Evidence, _: &'static str) -> Parts {
    let wakes = named("battery.mobile.wakes-a-day");
    let pinging = evidence.largest("phones", "mobile ping", &wakes)?.part("ping", "1/day", None, Rule::Shown);
    let most = pinging.mean().ok_or_else(|| missing("phone"))?.0;
    let mut parts = vec![pinging];
    for policy in SAVING {
        let wakes = evidence.largest("phones", &format!("mobile {policy}"), &wakes)?;
        parts.push(wakes.part(policy, "1/day", None, Rule::NoMoreThan(libm::round(most))));
    }
    Ok(parts)
}

pub(super) fn battery(evidence: &Evidence, id: &'static str) -> Parts {
    let mut parts = Vec::new();
    for policy in SAVING {
        for (what, figure) in
            [("radio", "battery.mobile.life-of-radio-by-pinging"), ("phone", "battery.mobile.life-of-phone-by-pinging")]
        {
            let life = evidence.largest("phones", &format!("mobile {policy}"), &named(figure))?;
            parts.push(life.part(&format!("{policy}, {what}"), "times", documented(id), Rule::From(ROUNDING)));
        }
    }
    Ok(parts)
}

pub(super) fn shard_balance(evidence: &Evidence, _: &'static str) -> Parts {
    let placements = ["sharding modulo", "sharding fixed-shards", "sharding consistent-hashing"];
    let part = |label: &&str| {
        let imbalance = evidence.largest("shards", label, &named("storage.full.imbalance"))?;
        let name = label.trim_start_matches("sharding ");
        Ok(imbalance.part(name, "max/mean", None, Rule::NoMoreThan(IMBALANCE_MAX)))
    };
    placements.iter().map(part).collect()
}
