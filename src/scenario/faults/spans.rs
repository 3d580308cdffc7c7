//! Faults of the links between nodes, each for a span of time: losses, surges of latency, partitions.

use std::ops::Range;

use super::whom::meet;
use super::{Context, Item};
use crate::contract::{SimSpan, SimTime};
use crate::engine::faults::{Between, NodeSet};
use crate::scenario::keys::Preset;
use crate::scenario::problem::{Draft, Place};
use crate::scenario::reader::Section;

const LOSS_KEYS: &[&str] = &["start", "end", "loss", "from", "to", "both_ways"];
const SURGE_KEYS: &[&str] = &["start", "end", "factor", "extra", "from", "to", "both_ways"];
const PARTITION_KEYS: &[&str] = &["start", "heal", "types", "regions", "share"];
/// A delay that is longer than a thousand times another is better written as `extra`.
const FACTOR_MAX: f64 = 1_000.0;
/// As for the delays of the network.
const EXTRA_MAX: SimSpan = SimSpan::from_secs(3_600);

/// The losses; those that are refused are left out. `usual` is the loss of the network without them.
pub(super) fn losses(context: &mut Context<'_>, faults: &Section<'_>, usual: f64) -> Vec<(Between, f64)> {
    let mut earlier: Vec<(Item<'_>, Between)> = Vec::new();
    let mut losses = Vec::new();
    for item in context.items(faults, "loss", "losses", LOSS_KEYS) {
        let between = between(context, &item);
        let Some(entry) = item.section.get("loss") else {
            context.reader.lacks(Some(item.at), "the loss has no `loss`", "add loss = 0.2");
            continue;
        };
        context.reader.note_preset(&entry.value, Preset::Required);
        let range = "a share of messages above 0, up to 1";
        let loss = context.reader.number(&entry.value, range, |loss| loss > 0.0 && loss <= 1.0);
        if let Some(loss) = loss.filter(|loss| *loss <= usual) {
            let title = format!("a loss of {loss} changes nothing: the network always loses {usual}");
            let draft = Draft::new(entry.value.at, title, format!("write more than {usual}, or lower network.loss"));
            context.reader.report(draft.help("where several losses apply, the largest counts"));
            continue;
        }
        let (Some(between), Some(loss)) = (between, loss) else { continue };
        if alone(context, &mut earlier, item, &between) {
            losses.push((between, loss));
        }
    }
    losses
}

/// The surges; those that are refused are left out.
pub(super) fn surges(context: &mut Context<'_>, faults: &Section<'_>) -> Vec<(Between, f64, SimSpan)> {
    let mut earlier: Vec<(Item<'_>, Between)> = Vec::new();
    let mut surges = Vec::new();
    for item in context.items(faults, "surge", "surges", SURGE_KEYS) {
        let between = between(context, &item);
        let range = format!("a factor from 1 to {FACTOR_MAX}");
        let factor = context.reader.field(&item.section, "factor", 1.0, |reader, value| {
            reader.number(value, &range, |factor| (1.0..=FACTOR_MAX).contains(&factor))
        });
        let extra = context
            .reader
            .field(&item.section, "extra", SimSpan::ZERO, |reader, value| reader.span(value, SimSpan::ZERO, EXTRA_MAX));
        if (factor.value, extra.value) == (Some(1.0), Some(SimSpan::ZERO)) {
            let at = factor.at.or(extra.at).unwrap_or(item.at);
            context.reader.lacks(Some(at), "this surge delays nothing", "add factor = 3.0, or extra = \"100ms\"");
            continue;
        }
        let (Some(between), Some(factor), Some(extra)) = (between, factor.value, extra.value) else { continue };
        if alone(context, &mut earlier, item, &between) {
            surges.push((between, factor, extra));
        }
    }
    surges
}

/// The partitions; those that are refused are left out.
pub(super) fn partitions(context: &mut Context<'_>, faults: &Section<'_>) -> Vec<(Range<SimTime>, NodeSet)> {
    let mut partitions: Vec<(Item<'_>, Range<SimTime>, NodeSet)> = Vec::new();
    for item in context.items(faults, "partition", "partitions", PARTITION_KEYS) {
        let whom = context.whom(&item);
        let during = during(context, &item, "heal");
        let start = during.clone().map(|(during, at)| (during.start, at));
        context.mark(&item, &[&whom], start);
        let Some(whom) = whom else { continue };
        if !whom.is_part() {
            let title = "this side of the partition is the whole network";
            let draft = Draft::new(item.at, title, "add regions = [...], types = [...] or share = 0.5");
            context.reader.report(draft.help("a partition parts the nodes that it names from all others"));
            continue;
        }
        let Some((during, at)) = during else { continue };
        let clash = partitions.iter().find(|(_, other, nodes)| overlap(other, &during) && meet(nodes, &whom.nodes));
        if let Some((other, span, _)) = clash {
            report_overlap(context, at, &item, other, span);
            continue;
        }
        partitions.push((item, during, whom.nodes));
    }
    partitions.into_iter().map(|(_, during, nodes)| (during, nodes)).collect()
}

/// The links and the time that a loss or a surge is about.
fn between(context: &mut Context<'_>, item: &Item<'_>) -> Option<Between> {
    let during = during(context, item, "end");
    let start = during.clone().map(|(during, at)| (during.start, at));
    context.mark(item, &[], start);
    let from = context.side(item, "from");
    let to = context.side(item, "to");
    let both_ways = context.reader.field(&item.section, "both_ways", true, super::Reader::boolean);
    Some(Between { during: during?.0, from: from?, to: to?, both_ways: both_ways.value? })
}

/// The span from `start` to `end_key`, and where its start is written.
fn during(context: &mut Context<'_>, item: &Item<'_>, end_key: &str) -> Option<(Range<SimTime>, Place)> {
    let start = context.moment(item, "start");
    let end = context.moment(item, end_key);
    let ((start, at), (end, end_at)) = (start?, end?);
    if end <= start {
        let title = format!("the {} begins at {start} and ends at {end}", item.kind);
        context.reader.report(Draft::new(end_at, title, format!("write a moment after {start}")));
        return None;
    }
    Some((start..end, at))
}

fn overlap(one: &Range<SimTime>, other: &Range<SimTime>) -> bool {
    one.start < other.end && other.start < one.end
}

/// Whether some message is meant by both.
fn share_links(one: &Between, other: &Between) -> bool {
    let along = meet(&one.from, &other.from) && meet(&one.to, &other.to);
    let across = meet(&one.from, &other.to) && meet(&one.to, &other.from);
    along || (across && (one.both_ways || other.both_ways))
}

/// Whether no message is meant by both `between` and one of `earlier`, to which it is then added.
fn alone<'t>(
    context: &mut Context<'_>,
    earlier: &mut Vec<(Item<'t>, Between)>,
    item: Item<'t>,
    between: &Between,
) -> bool {
    let clash =
        earlier.iter().find(|(_, other)| overlap(&other.during, &between.during) && share_links(other, between));
    if let Some((other, Between { during, .. })) = clash {
        report_overlap(context, item.at, &item, other, during);
        return false;
    }
    earlier.push((item, between.clone()));
    true
}

fn report_overlap(context: &mut Context<'_>, at: Place, item: &Item<'_>, other: &Item<'_>, span: &Range<SimTime>) {
    let Range { start, end } = span;
    let title = format!("this {} overlaps {}, which lasts from {start} to {end}", item.kind, other.name());
    context.reader.report(Draft::new(at, title, format!("begin at {end} or later, or name other nodes")));
}
