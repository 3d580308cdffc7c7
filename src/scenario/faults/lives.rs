//! Faults that make nodes come and go: churn, crashes, crowds.

use super::whom::{Whom, covers};
use super::{Context, Item};
use crate::contract::{SimSpan, SimTime};
use crate::engine::Distribution;
use crate::engine::faults::{Churn, NodeSet, Outage};
use crate::scenario::codes::Code;
use crate::scenario::distribution::distribution;
use crate::scenario::keys::Preset;
use crate::scenario::problem::Draft;
use crate::scenario::quantity::span_text;
use crate::scenario::reader::{Reader, SPAN_MAX, Section};
use crate::scenario::tree::Value;

const CHURN_KEYS: &[&str] = &["types", "regions", "share", "session", "absence", "graceful", "start"];
const CRASH_KEYS: &[&str] = &["types", "regions", "share", "at", "over", "until", "until_over", "graceful"];
const CROWD_KEYS: &[&str] = &["types", "regions", "share", "at", "over", "stay", "graceful"];
/// How churn begins; the default first.
const STARTS: &[&str] = &["steady", "up"];

/// The churns; those that are refused are left out.
pub(super) fn churns(context: &mut Context<'_>, faults: &Section<'_>) -> Vec<Churn> {
    let mut churns: Vec<(Item<'_>, Churn)> = Vec::new();
    for item in context.items(faults, "churn", "churns", CHURN_KEYS) {
        let whom = context.whom(&item);
        context.mark(&item, &[&whom], None);
        let Some(churn) = churn(context, &item, whom) else { continue };
        // A node follows the first churn that it is in the set of.
        if let Some((first, _)) = churns.iter().find(|(_, earlier)| covers(&earlier.nodes, &churn.nodes)) {
            let title = format!("no node is left for this churn: {} has all that it names", first.name());
            let draft = Draft::new(item.at, title, "name other types or regions, or write it first");
            context.reader.report(draft.help("a node follows the first churn that names it"));
            continue;
        }
        churns.push((item, churn));
    }
    churns.into_iter().map(|(_, churn)| churn).collect()
}

fn churn(context: &mut Context<'_>, item: &Item<'_>, whom: Option<Whom>) -> Option<Churn> {
    let session = spans(context, item, "session");
    let absence = spans(context, item, "absence");
    let graceful = context.reader.field(&item.section, "graceful", 0.0, |reader, value| {
        reader.number(value, "a share of departures from 0 to 1", |share| (0.0..=1.0).contains(&share))
    });
    let start =
        context.reader.field(&item.section, "start", 0, |reader, value| reader.choice(value, "a start", STARTS));
    Some(Churn {
        nodes: whom?.nodes,
        session: session?,
        absence: absence?,
        graceful: graceful.value?,
        steady: STARTS[start.value?] == "steady",
    })
}

/// The distribution `key`, which churn cannot do without.
fn spans(context: &mut Context<'_>, item: &Item<'_>, key: &str) -> Option<Distribution> {
    let Some(entry) = item.section.get(key) else {
        let label = format!("add {key} = {{ model = \"exponential\", mean = \"10min\" }}");
        context.reader.lacks(Some(item.at), format!("the churn has no `{key}`"), label);
        return None;
    };
    context.reader.note_preset(&entry.value, Preset::Required);
    distribution(context.reader, &mut context.traces, &item.section, key)
}

/// The crashes, and what crowds are made of; those that are refused are left out.
pub(super) fn outages(context: &mut Context<'_>, faults: &Section<'_>) -> Vec<Outage> {
    let mut outages = Vec::new();
    for item in context.items(faults, "crash", "crashes", CRASH_KEYS) {
        outages.extend(crash(context, &item));
    }
    for item in context.items(faults, "crowd", "crowds", CROWD_KEYS) {
        outages.extend(crowd(context, &item).into_iter().flatten());
    }
    outages
}

fn crash(context: &mut Context<'_>, item: &Item<'_>) -> Option<Outage> {
    let whom = context.whom(item);
    let at = context.moment(item, "at");
    context.mark(item, &[&whom], at);
    let over = context.span(item, "over");
    let until = context.moment_if_any(item, "until");
    let until_over = context.span(item, "until_over");
    let graceful = graceful(context, item, false);
    if let (Some(entry), false) = (item.section.get("until_over"), item.section.has("until")) {
        let draft = Draft::new(entry.key_at, "`until_over` has no meaning without `until`", "add until = \"120s\"")
            .code(Code::Meaningless);
        context.reader.report(draft);
        return None;
    }
    let ((from, _), from_over, until) = (at?, over?, until?);
    if let Some((until, at)) = until {
        let gone = from + from_over;
        if until <= from || until < gone {
            let title = format!("nodes come back from {until} on, but they go from {from} to {gone}");
            context.reader.report(Draft::new(at, title, format!("write a moment after {gone}")));
            return None;
        }
    }
    let until = until.map(|(moment, _)| moment);
    Some(Outage { nodes: whom?.nodes, from, from_over, until, until_over: until_over?, graceful: graceful? })
}

/// A crowd is away from the start on until it comes; if it stays for a while only, it goes again.
fn crowd(context: &mut Context<'_>, item: &Item<'_>) -> Option<Vec<Outage>> {
    let whom = context.whom(item);
    let at = context.moment(item, "at");
    context.mark(item, &[&whom], at);
    let over = context.span(item, "over");
    let read = |reader: &mut Reader, value: &Value| Some(Some(reader.span(value, SimSpan::ZERO, SPAN_MAX)?));
    let stay = context.reader.field(&item.section, "stay", None, read);
    let graceful = graceful(context, item, true);
    if let (Some(entry), None) = (item.section.get("graceful"), stay.at) {
        let title = "`graceful` has no meaning for a crowd that stays";
        context
            .reader
            .report(Draft::new(entry.key_at, title, "add stay = \"5min\", or remove it").code(Code::Meaningless));
        return None;
    }
    let ((at, written), over, stay) = (at?, over?, stay.value.map(|value| (value, stay.at))?);
    if at == SimTime::ZERO {
        let draft = Draft::new(written, "a crowd comes after the start of the run", "write for example \"60s\"");
        context.reader.report(draft.help("its nodes are away until then; at 0s they would never have been"));
        return None;
    }
    let nodes = whom?.nodes;
    let away = |nodes: &NodeSet| Outage {
        nodes: nodes.clone(),
        from: SimTime::ZERO,
        from_over: SimSpan::ZERO,
        until: Some(at),
        until_over: over,
        graceful: false,
    };
    let mut outages = vec![away(&nodes)];
    if let (Some(stay), place) = stay {
        if stay == SimSpan::ZERO || stay < over {
            let title = format!("a crowd that comes over {} cannot stay for {}", span_text(over), span_text(stay));
            let draft = Draft::new(place.unwrap_or(item.at), title, "write a `stay` above 0s, not shorter than `over`");
            context
                .reader
                .report(draft.help("each node comes and goes at a moment of its own in spans as long as `over`"));
            return None;
        }
        let from = at + stay;
        outages.push(Outage {
            nodes,
            from,
            from_over: over,
            until: None,
            until_over: SimSpan::ZERO,
            graceful: graceful?,
        });
    }
    graceful.map(|_| outages)
}

fn graceful(context: &mut Context<'_>, item: &Item<'_>, default: bool) -> Option<bool> {
    context.reader.field(&item.section, "graceful", default, Reader::boolean).value
}
