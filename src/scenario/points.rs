//! The points of a scenario: every approach at every size, and the checks that concern both.

use super::approaches::{KINDS, Kind};
use super::codes::Code;
use super::keys::Preset;
use super::options::{self, Options};
use super::problem::{Draft, Place};
use super::quantity::{count_text, span_text};
use super::reader::{Field, Reader, SPAN_MAX, Section};
use super::tiers::{Tiers, tiers};
use super::{Approach, HeartbeatSpec, Point};
use crate::contract::{NodeType, Population, SimSpan};

/// The largest network: node numbers have 32 bits.
pub(super) const NODES_MAX: u32 = 4_000_000_000;
const NODES_MIN: u32 = 2;
/// Sizes of one scenario.
const SIZES_MAX: usize = 64;
/// Buckets of a point's timeline: bounds what a result holds.
const BUCKETS_MAX: u64 = 100_000;
const TIMELINE_MIN: SimSpan = SimSpan::from_millis(1);
/// Shortest interval of heartbeats by which nodes are judged, and longest time of such a run: what
/// [`CoarseTime`](crate::contract::CoarseTime) can tell apart.
const WATCHED_INTERVAL_MIN: SimSpan = SimSpan::from_millis(10);
const WATCHED_TIME_MAX: SimSpan = SimSpan::from_secs(52 * 86_400);

/// A number of nodes and where it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) count: u32,
    pub(super) at: Place,
}

/// What concerns single messages, so that a full mesh that is counted rather than run cannot have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerMessage {
    /// Where it is written.
    pub(super) at: Place,
    /// What a full mesh cannot do: `lose messages`.
    pub(super) what: &'static str,
    /// What to write to be without it.
    pub(super) without: &'static str,
    /// Why: `a full mesh is counted, and ...`.
    pub(super) why: &'static str,
}

/// All that the points are made of.
#[derive(Debug)]
pub(super) struct Axes {
    sizes: Vec<Size>,
    /// Numbers of [`Approach::NAMES`].
    approaches: Vec<(usize, Place)>,
    pub(super) timeline: Field<SimSpan>,
    tiers: Tiers,
    options: [Options; Approach::NAMES.len()],
}

/// Reads everything that the points are made of.
pub(super) fn axes(reader: &mut Reader, root: &Section<'_>) -> Axes {
    Axes {
        sizes: sizes(reader, root),
        approaches: approaches(reader, root),
        timeline: reader
            .field(root, "timeline", SimSpan::from_secs(1), |reader, value| reader.span(value, TIMELINE_MIN, SPAN_MAX)),
        tiers: tiers(reader, root),
        options: options::all(reader, root),
    }
}

fn sizes(reader: &mut Reader, root: &Section<'_>) -> Vec<Size> {
    let mut sizes: Vec<Size> = Vec::new();
    let Some(entry) = root.get("nodes") else {
        reader.missing("nodes", "add nodes = \"1K\", or a list of sizes");
        return sizes;
    };
    reader.note_preset(&entry.value, Preset::Required);
    for value in reader.items(&entry.value, "sizes", SIZES_MAX) {
        let Some(count) = reader.count_u32(value, NODES_MIN, NODES_MAX) else { continue };
        if sizes.iter().any(|size| size.count == count) {
            let title = format!("{} nodes stand in the list for the second time", count_text(u64::from(count)));
            reader.report(Draft::new(value.at, title, "remove it").code(Code::Twice));
            continue;
        }
        sizes.push(Size { count, at: value.at });
    }
    sizes
}

fn approaches(reader: &mut Reader, root: &Section<'_>) -> Vec<(usize, Place)> {
    let mut approaches: Vec<(usize, Place)> = Vec::new();
    let Some(entry) = root.get("approaches") else {
        let names = Approach::NAMES.map(|name| format!("\"{name}\"")).join(", ");
        reader.missing("approaches", &format!("add approaches = [...] with any of {names}"));
        return approaches;
    };
    reader.note_preset(&entry.value, Preset::Required);
    for value in reader.items(&entry.value, "approaches", Approach::NAMES.len()) {
        let Some(index) = reader.choice(value, "an approach", &Approach::NAMES) else { continue };
        if approaches.iter().any(|(other, _)| *other == index) {
            let title = format!("{} stands in the list for the second time", Approach::NAMES[index]);
            reader.report(Draft::new(value.at, title, "remove it").code(Code::Twice));
            continue;
        }
        approaches.push((index, value.at));
    }
    approaches
}

impl Axes {
    /// Every approach at every size, with each of the shares `nearby` of links to near nodes. What does not go together
    /// is reported and left out.
    pub(super) fn points(&self, reader: &mut Reader, nearby: &[f64]) -> Vec<Point> {
        let tiered = self.approaches.iter().any(|(index, _)| is_tiered(*index));
        let populations: Vec<Option<Population>> =
            self.sizes.iter().map(|size| tiered.then(|| self.tiers.population(reader, *size)).flatten()).collect();
        let mut points = Vec::new();
        for &(index, at) in &self.approaches {
            let options = &self.options[index];
            let times = self.times(reader, index, at);
            if index == SWIM {
                options.check_probes(reader, at);
            }
            let mut accepted = Vec::new();
            for (size, tiers) in self.sizes.iter().zip(&populations) {
                let population = match is_tiered(index) {
                    true => *tiers,
                    false => Some(Population::flat(size.count)),
                };
                let Some(population) = population else { continue };
                if is_tiered(index) && kind_of(index).is_none() {
                    check_links(reader, options, index, population, *size);
                }
                if has_fanout(index) {
                    check_fanout(reader, options.fanout, index, *size);
                }
                accepted.push(population);
            }
            let Some((warmup, measure)) = times else { continue };
            let mut of_approach = Vec::new();
            for (suffix, approach) in options.approaches(index) {
                for &population in &accepted {
                    if let Approach::Mechanism(mechanism) = approach {
                        mechanism.spec().check(reader, population, at);
                    }
                    let label = format!("{}{suffix}", approach.name());
                    of_approach.push(Point { approach, nearby: None, label, population, warmup, measure });
                }
            }
            points.extend(with_shares(&of_approach, nearby));
        }
        points
    }

    /// How long approach `index` warms up and is measured.
    fn times(&self, reader: &mut Reader, index: usize, at: Place) -> Option<(SimSpan, SimSpan)> {
        let options = &self.options[index];
        let (warmup, measure) = (options.warmup.value?, options.measure.value?);
        let timeline = self.timeline.value?;
        let total = warmup + measure;
        let buckets = total.as_nanos().div_ceil(timeline.as_nanos().max(1));
        if buckets <= BUCKETS_MAX {
            return Some((warmup, measure));
        }
        let title = format!(
            "{} of {} make {} timeline buckets of {}",
            Approach::NAMES[index],
            span_text(total),
            count_text(buckets),
            span_text(timeline),
        );
        let millis = total.as_nanos().div_ceil(BUCKETS_MAX).div_ceil(1_000_000);
        let enough = span_text(SimSpan::from_millis(millis));
        let at = options.measure.at.or(options.warmup.at).or(self.timeline.at).unwrap_or(at);
        let draft = Draft::new(at, title, format!("measure for less, or write timeline = \"{enough}\""));
        reader.report(
            draft.help(format!("warm-up and measurement together may have {} buckets", count_text(BUCKETS_MAX))),
        );
        None
    }

    /// Refuses options that have no meaning with a detector, or without; and times that detectors cannot tell apart.
    pub(super) fn check_detection(&self, reader: &mut Reader, has_detector: bool, heartbeat: Option<HeartbeatSpec>) {
        if let (Some(at), false) = (self.options[GOSSIP].track.at, has_detector) {
            let draft = Draft::new(at, "`track` has no meaning without a detector", "remove it, or add [detection]")
                .code(Code::Meaningless);
            reader.report(draft.help("it says of which nodes rumours are tracked, so that others can judge them"));
        }
        if let (Some(at), true) = (self.options[SAMPLED].missed.at, has_detector) {
            let draft =
                Draft::new(at, "`missed` has no meaning beside [detection]", "remove it").code(Code::Meaningless);
            reader.report(draft.help("where there is a table [detection], trackers judge by it as all others do"));
        }
        let sampled = self.approaches.iter().find(|(index, _)| *index == SAMPLED);
        if !has_detector && sampled.is_none() {
            return;
        }
        let too_fast = heartbeat.filter(|heartbeat| heartbeat.interval < WATCHED_INTERVAL_MIN);
        if let (Some(heartbeat), Some(at)) = (too_fast, self.approaches.first().map(|(_, at)| *at)) {
            let at = sampled.map_or(at, |(_, at)| *at);
            let title = format!("heartbeats every {} are too fast to judge nodes by", span_text(heartbeat.interval));
            let label = format!("write heartbeat.interval = \"{}\" or more", span_text(WATCHED_INTERVAL_MIN));
            reader
                .report(Draft::new(at, title, label).help("nodes keep to within a millisecond when they heard others"));
        }
        for &(index, at) in self.approaches.iter().filter(|(index, _)| has_detector || *index == SAMPLED) {
            let options = &self.options[index];
            let (Some(warmup), Some(measure)) = (options.warmup.value, options.measure.value) else { continue };
            if warmup + measure > WATCHED_TIME_MAX {
                let title = format!("{} runs for longer than nodes can keep times", Approach::NAMES[index]);
                let at = options.measure.at.or(options.warmup.at).unwrap_or(at);
                let label = format!("measure for at most {} with the warm-up", span_text(WATCHED_TIME_MAX));
                reader.report(Draft::new(at, title, label));
            }
        }
    }

    /// Refuses each of `features` in full meshes that are counted rather than run; one problem, however many sizes.
    pub(super) fn check_counted(&self, reader: &mut Reader, features: &[PerMessage]) {
        if !self.approaches.iter().any(|(index, _)| *index == FULL_MESH) {
            return;
        }
        let Some(event_nodes_max) = self.options[FULL_MESH].event_nodes_max.value else { return };
        let Some(size) = self.sizes.iter().find(|size| size.count > event_nodes_max) else { return };
        let (nodes, limit) = (count_text(u64::from(size.count)), count_text(u64::from(event_nodes_max)));
        for feature in features {
            let title = format!("a full mesh of {nodes} nodes cannot {}", feature.what);
            let draft = Draft::new(feature.at, title, format!("{}, or raise event_nodes_max", feature.without));
            reader.report(
                draft
                    .help(format!("above {limit} nodes (event_nodes_max) a full mesh is counted, and {}", feature.why)),
            );
        }
    }

    /// Whether the approach `name` is among those that run.
    pub(super) fn has(&self, name: &str) -> bool {
        self.approaches.iter().any(|(index, _)| Approach::NAMES[*index] == name)
    }

    /// How long the longest point takes; `None` if a time that it depends on is refused.
    pub(super) fn longest(&self) -> Option<SimSpan> {
        let times = self.approaches.iter().map(|(index, _)| {
            let options = &self.options[*index];
            Some(options.warmup.value? + options.measure.value?)
        });
        times.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// The points of an approach once for each share of links nearby, if it chooses whom to link to.
fn with_shares(points: &[Point], nearby: &[f64]) -> Vec<Point> {
    if nearby.is_empty() || points.iter().any(|point| !point.approach.chooses_peers()) {
        return points.to_vec();
    }
    let with = |share: f64, point: &Point| {
        let name = &point.label;
        let label = if nearby.len() > 1 { format!("{name} nearby {share}") } else { name.clone() };
        Point { nearby: Some(share), label, ..point.clone() }
    };
    nearby.iter().flat_map(|&share| points.iter().map(move |point| with(share, point))).collect()
}

const FULL_MESH: usize = 0;
const GOSSIP: usize = 2;
const SAMPLED: usize = 5;
const SWIM: usize = 6;

/// Whether approach `index` has tiers; the others are flat.
fn is_tiered(index: usize) -> bool {
    let own = matches!(Approach::NAMES[index], "hierarchical" | "gossip" | "sampled");
    own || kind_of(index).is_some_and(|kind| kind.is_tiered)
}

/// Approach `index` as a mechanism, if it is one: then it checks its own options.
fn kind_of(index: usize) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == Approach::NAMES[index])
}

fn has_fanout(index: usize) -> bool {
    matches!(Approach::NAMES[index], "gossip" | "flat-gossip")
}

/// A node cannot have more parents, or trackers, than there are nodes in the tier above.
fn check_links(reader: &mut Reader, options: &Options, index: usize, population: Population, size: Size) {
    let parents = [
        ("super_parents", options.super_parents, NodeType::SuperNode),
        ("light_parents", options.light_parents, NodeType::FullNode),
    ];
    let trackers = [("trackers", options.trackers, NodeType::SuperNode)];
    for &(key, parents, above) in if index == SAMPLED { &trackers[..] } else { &parents } {
        let count = population.count(above);
        let Some(wanted) = parents.value.filter(|wanted| *wanted > count) else { continue };
        let title = format!(
            "for {} nodes there are {} {above} nodes, fewer than {key} = {wanted}",
            count_text(u64::from(size.count)),
            count_text(u64::from(count)),
        );
        let label = format!("write {key} = {count} or less, or more {above} nodes under [tiers]");
        reader.report(Draft::new(parents.at.unwrap_or(size.at), title, label));
    }
}

/// A node cannot gossip to more nodes than there are others.
fn check_fanout(reader: &mut Reader, fanout: Field<u32>, index: usize, size: Size) {
    let Some(wanted) = fanout.value.filter(|fanout| *fanout >= size.count) else { return };
    let name = Approach::NAMES[index];
    let title = format!("{name} with fanout {wanted} needs more than {} nodes", count_text(u64::from(size.count)));
    let label = format!("write fanout = {} or less under [approach.{name}], or more nodes", size.count - 1);
    reader.report(Draft::new(fanout.at.unwrap_or(size.at), title, label));
}
